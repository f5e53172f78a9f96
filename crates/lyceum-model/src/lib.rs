//! The words of Lyceum: ids, names, scopes, what a server is made of.
//!
//! No IO happens here and everyone depends on it, so what stands here is small,
//! checked at the edge ("parse once, then trust the type") and slow to change.
//!
//! Reading order: [`id`] and [`name`] (who and what), [`clock`] (when), [`digest`] and
//! [`secret`] (proof), [`scope`] (may I), [`who`] (whom a list names), [`lti`] (how courses elsewhere are called),
//! [`identity`] (what sign-in says of a person), [`posix`] (its numbers for files), [`server`] (what a notebook server is made of),
//! [`environment`] (what is said of one, and where),
//! [`base`] (below which path all stands), [`causes`] (an error in one line), [`saying`] (what people are told, with
//! [`lang`] and [`messages`] below it, [`language`] and [`plural`] for those that a site adds).

pub mod base;
pub mod causes;
pub mod clock;
pub mod digest;
pub mod environment;
pub mod id;
pub mod identity;
pub mod lang;
pub mod language;
pub mod lti;
pub mod messages;
pub mod name;
pub mod network;
pub mod plural;
pub mod posix;
pub mod saying;
pub mod scope;
pub mod secret;
pub mod server;
pub mod who;
