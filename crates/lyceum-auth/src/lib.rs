//! Who: how people prove who they are, and whether they may come in at all.
//!
//! [`SignIn`] is the door that pages and the API call. Behind it, in this order: a name that can't
//! be one is refused, [`throttle`] slows guessing down, [`chain`] asks the authenticators,
//! [`admit`] looks at the allow and block lists. Whoever proves at another site who she is comes by
//! [`elsewhere`] instead, on a [`journey`] that leads back once. What someone may *do* is decided
//! elsewhere (`lyceum_model::scope`, the hub's roles); sessions, cookies and whose row it is are the
//! hub's.
//!
//! Reading order: [`attempt`] (what is asked and how it can end), [`sign_in`], [`local`] with
//! [`password`], [`links`] with [`addresses`], [`invitations`] and [`sign_ups`], [`second_factor`] with [`totp`] and [`half_way`], [`throttle`], [`chain`], [`admit`], [`config`]; then [`elsewhere`], [`journey`],
//! [`oidc`] and [`oauth2`] with [`code`], [`claims`], [`renewal`], [`lti`], [`ldap`], [`header`] (a proxy in front says who it is), [`otp`] (codes on paper).
//!
//! # How to add an authenticator
//! One that asks for a password is an [`Authenticator`], one that sends browsers to another site an
//! [`Elsewhere`]; otherwise both are added alike.
//!
//! 1. One file `src/KIND.rs` with a type that implements [`Authenticator`].
//! 2. `sign_in` answers [`Refused::Credentials`] for an unknown name and for a wrong password
//!    alike, after the same amount of work.
//! 3. Every call outward has a time-out; a source that does not answer is `Refused::Internal`
//!    with the cause as context, without any password in it.
//! 4. A struct of what is configured beside it; in the binary a variant in `config/sign_in.rs`, with
//!    doc comments, and its check.
//! 5. A line where the binary builds the chain.
//! 6. `tests/it/KIND.rs` against a small real server of the test kit.

use async_trait::async_trait;
use lyceum_model::identity::Identity;

pub mod addresses;
pub mod admit;
pub mod attempt;
pub mod chain;
pub mod claims;
pub mod code;
pub mod config;
mod db;
pub mod dummy;
pub mod elsewhere;
pub mod half_way;
pub mod header;
mod http;
pub mod invitations;
pub mod journey;
pub mod ldap;
pub mod links;
pub mod local;
pub mod lti;
pub mod oauth2;
pub mod oidc;
pub mod otp;
pub mod pam;
pub mod password;
pub mod renewal;
pub mod second_factor;
pub mod sign_in;
pub mod sign_ups;
pub mod throttle;
pub mod totp;

pub use admit::{Admission, Here, KnownHere, NobodyKnown};
pub use attempt::{Attempt, Refused};
pub use chain::Chain;
pub use dummy::Dummy;
pub use elsewhere::{Elsewhere, LoggedOut};
pub use header::ByHeader;
pub use http::{check_authorities, may_be_asked};
pub use journey::Journeys;
pub use ldap::Ldap;
pub use local::LocalAccounts;
pub use lti::Lti;
pub use oauth2::OAuth2;
pub use oidc::Oidc;
pub use renewal::{Grant, NotSaid, Renewing};
pub use second_factor::SecondFactors;
pub use sign_in::SignIn;
pub use throttle::Throttle;

/// What [`dummy`] takes for a password, which its log-in page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryOut {
    /// Any.
    Any,
    /// The same of everybody.
    Shared,
}

/// One way to prove who one is.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The word in the configuration: `local`.
    fn kind(&self) -> &'static str;

    /// What the log-in page calls it.
    fn title(&self) -> &str;

    /// Whether someone had to be named by an administrator to be known here. If so, being known
    /// is enough to be let in; otherwise an allow list must name the person.
    fn names_people(&self) -> bool {
        false
    }

    /// Which password lets in under any name, where one does.
    fn for_trying_out(&self) -> Option<TryOut> {
        None
    }

    /// Accounts that are kept here, whose passwords can be changed here.
    fn accounts(&self) -> Option<&LocalAccounts> {
        None
    }

    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused>;
}
