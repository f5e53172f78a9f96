//! A way in for trying out: `kind: dummy` of `sign_in`.

use std::path::Path;

use lyceum_auth::dummy::DummyConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::SecretRef;
use super::sign_in::Say;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawDummy {
    /// What the log-in page calls it.
    pub title: String,
    /// One password for all, `file:PATH` or `env:NAME`. Left out: any will do.
    pub password: Option<SecretRef>,
    /// `true`: people may come from other machines, too. Whoever reaches the log-in page can be anybody
    /// then, administrators among them.
    pub anywhere: bool,
}

pub(super) fn check_dummy(
    raw: &RawDummy,
    public_url: Option<&Url>,
    folder: &Path,
    say: Say<'_>,
) -> DummyConfig {
    if public_url.is_some_and(|url| !is_here(url)) && !raw.anywhere {
        say("anywhere", "here whoever comes is whoever she says she is, and `public_url` is an address for others; take another way in, or write `anywhere: true` if that is meant".into());
    }
    let password = (raw.password.as_ref()).map(|secret| secret.resolve(folder));
    let password = password.transpose().unwrap_or_else(|message| {
        say("password", message);
        None
    });
    DummyConfig {
        title: raw.title.trim().into(),
        password,
        anywhere: raw.anywhere,
    }
}

pub(super) fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
