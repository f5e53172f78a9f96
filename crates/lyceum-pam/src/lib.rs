//! Accounts of the machine: whoever may log in to it may log in here, by the machine's own rules (PAM).
//!
//! PAM's modules block for as long as they like (seconds after a wrong password), so they run on threads of
//! their own, of which there are only so many; whoever has waited too long is told that it is out of order.
//!
//! Accounts of the system itself, root first, don't come in: those with a number below 1000, and `nobody`. Their
//! passwords are not tried either: PAM is asked about a name that nobody has, so nothing here tells whether one
//! was right, and no guess counts against them.
//!
//! With the feature `system` it needs the system's library to be built; without it there is nothing here, so
//! that everybody can build the workspace.

#![cfg(feature = "system")]

use std::ffi::{CString, OsStr, OsString};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use lyceum_auth::pam::{Allow, PamConfig};
use lyceum_auth::{Attempt, Authenticator, Refused};
use lyceum_model::id::new_secret;
use lyceum_model::identity::{Identity, Subject};
use lyceum_model::name::is_free_name;
use lyceum_model::posix::Told;
use nix::errno::Errno;
use nix::unistd::{Gid, Group, User, getgrouplist};
use nonstick::items::Items;
use nonstick::{
    AuthnFlags, ConversationAdapter, ErrorCode, PamShared, Transaction, TransactionBuilder,
};

use crate::places::{Place, Places};

mod places;

/// Lower numbers are the system's.
pub const PEOPLE_FROM: u32 = 1_000;
/// `nobody`, and what is no number of an account.
const NOBODY: std::ops::RangeInclusive<u32> = 65_534..=65_535;
/// No account is called so: a colon ends names where accounts are written down.
const NO_ACCOUNT: &str = "lyceum:nobody";

/// The accounts of this machine.
pub struct Pam {
    config: Arc<PamConfig>,
    places: Places,
}

impl Pam {
    pub fn new(config: PamConfig) -> Self {
        Self {
            places: Places::new(config.at_once),
            config: Arc::new(config),
        }
    }
}

#[async_trait]
impl Authenticator for Pam {
    fn kind(&self) -> &'static str {
        "pam"
    }

    fn title(&self) -> &str {
        &self.config.title
    }

    fn names_people(&self) -> bool {
        self.config.allow.is_some()
    }

    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused> {
        let (config, own) = (self.config.clone(), attempt.clone());
        let ask = move |place| on_a_thread(config, own, place);
        let limit = self.config.timeout;
        self.places.run(attempt.address, limit, ask).await
    }
}

async fn on_a_thread(
    config: Arc<PamConfig>,
    attempt: Attempt,
    place: Place,
) -> Result<Identity, Refused> {
    let asking = tokio::task::spawn_blocking(move || {
        // Held until the modules are done, whoever still waits for them.
        let _place = place;
        ask(&config, &attempt)
    });
    asking.await.context("asking PAM")?
}

/// Says the password to whoever asks without showing it, and nothing else.
struct Answers(OsString);

impl ConversationAdapter for Answers {
    fn prompt(&self, _request: impl AsRef<OsStr>) -> nonstick::Result<OsString> {
        Err(ErrorCode::ConversationError)
    }

    fn masked_prompt(&self, _request: impl AsRef<OsStr>) -> nonstick::Result<OsString> {
        Ok(self.0.clone())
    }

    fn error_msg(&self, _message: impl AsRef<OsStr>) {}

    fn info_msg(&self, _message: impl AsRef<OsStr>) {}
}

fn ask(config: &PamConfig, attempt: &Attempt) -> Result<Identity, Refused> {
    let (name, password) = (attempt.name.as_str(), attempt.password.expose());
    if password.contains('\0') {
        return Err(Refused::Credentials);
    }
    let account = account(name);
    // What could not be looked up may be one of the system, too.
    let is_open = match &account {
        Ok(Some(account)) => is_a_persons(account.uid.as_raw()),
        Ok(None) => true,
        Err(_) => false,
    };
    let (asked_name, said) = match is_open {
        true => (name, password.to_owned()),
        false => (NO_ACCOUNT, new_secret()),
    };
    let answers = Answers(said.into()).into_conversation();
    let builder = TransactionBuilder::new_with_service(&config.service).username(asked_name);
    let started = builder.build(answers);
    let mut asked = started.map_err(|error| out_of_order("begin", error))?;
    let flags = AuthnFlags::DISALLOW_NULL_AUTHTOK | AuthnFlags::SILENT;
    let proved = asked.authenticate(flags);
    // Told only now, after the time that a wrong password takes.
    let account = account?;
    proved.map_err(|error| match error {
        ErrorCode::AuthenticationError
        | ErrorCode::UserUnknown
        | ErrorCode::PermissionDenied
        | ErrorCode::CredentialsError
        | ErrorCode::MaxTries => Refused::Credentials,
        error => out_of_order("authenticate", error),
    })?;
    // From here on she has proved who she is.
    asked
        .account_management(flags)
        .map_err(|error| match error {
            ErrorCode::AccountExpired
            | ErrorCode::NewAuthTokRequired
            | ErrorCode::AuthTokExpired
            | ErrorCode::CredentialsExpired
            | ErrorCode::AuthenticationError
            | ErrorCode::PermissionDenied
            | ErrorCode::UserUnknown => {
                tracing::info!(name, why = ?error, "sign-in refused: the account is not open");
                Refused::NotAdmitted
            }
            error => out_of_order("look at the account", error),
        })?;
    // A module may take a name for another one.
    let became = asked.items().user();
    let became = became.map_err(|error| out_of_order("tell the name", error))?;
    if became.as_deref() != Some(OsStr::new(asked_name)) {
        return Err(Refused::Internal(anyhow!(
            "PAM made another name of the one that was typed"
        )));
    }
    drop(asked);
    identity(config, name, account)
}

fn out_of_order(what: &str, error: ErrorCode) -> Refused {
    Refused::Internal(anyhow!("PAM can't {what}: {error} ({error:?})"))
}

fn is_a_persons(uid: u32) -> bool {
    uid >= PEOPLE_FROM && !NOBODY.contains(&uid)
}

fn account(name: &str) -> anyhow::Result<Option<User>> {
    match User::from_name(name) {
        // Some sources of accounts say so of a name that they don't have.
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(None),
        found => found.context("looking the account up"),
    }
}

fn identity(config: &PamConfig, name: &str, account: Option<User>) -> Result<Identity, Refused> {
    let Some(account) = account.filter(|account| account.name == name) else {
        return Err(Refused::Internal(anyhow!(
            "PAM knows the name, and the system has no such account"
        )));
    };
    let uid = account.uid.as_raw();
    if !is_a_persons(uid) {
        tracing::warn!(name, uid, "sign-in refused: an account of the system");
        return Err(Refused::NotAdmitted);
    }
    let groups = groups_of(name, account.gid)?;
    let is_in = match &config.allow {
        Some(Allow::Groups(wanted)) => groups.iter().any(|group| wanted.contains(group)),
        Some(Allow::Everyone) | None => true,
    };
    if !is_in {
        tracing::info!(name, "sign-in refused: in no group that `allow` names");
        return Err(Refused::NotAdmitted);
    }
    let name = lyceum_model::name::UserName::parse(name).map_err(|_| Refused::Unnamed)?;
    Ok(Identity {
        display_name: shown(&account),
        posix: Told {
            uid: Some(uid),
            gid: Some(account.gid.as_raw()),
            ..Told::default()
        },
        // Machines give a number anew when its account is gone, and a name as well: whoever has one of both
        // only is somebody else.
        subject: Some(Subject {
            issuer: "pam".into(),
            id: format!("{uid}:{}", account.name),
        }),
        adopts: config.adopts,
        ..Identity::named(name)
    })
}

/// The first field of what the system says of a person.
fn shown(account: &User) -> Option<String> {
    let said = account.gecos.to_str().ok()?;
    let name = said.split(',').next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(120).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn groups_of(name: &str, gid: Gid) -> anyhow::Result<Vec<String>> {
    let name = CString::new(name)?;
    let mut names = Vec::new();
    for gid in getgrouplist(&name, gid).context("looking the groups up")? {
        let group = Group::from_gid(gid).context("looking a group up")?;
        names.extend(
            group
                .map(|group| group.name)
                .filter(|name| is_free_name(name)),
        );
    }
    Ok(names)
}
