//! Whether those who say who people are can be asked: providers and directories of the configuration.

use std::time::Duration;

use lyceum_auth::ldap::LdapConfig;
use lyceum_auth::oidc::OidcConfig;
use lyceum_auth::{Ldap, Oidc};
use lyceum_model::causes;
use lyceum_model::clock::Clock;

use crate::config::{Config, SignInMethod};

/// Nobody waits longer for one answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// One that is asked by us, before somebody comes.
pub(super) enum Door<'a> {
    Provider(&'a OidcConfig),
    Directory(&'a LdapConfig),
}

/// What one look found; it is good where there is nothing to do.
pub(super) struct Look {
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

pub(super) fn asked(config: &Config) -> Vec<Door<'_>> {
    let ways = config.sign_in.iter();
    let doors = ways.filter_map(|way| match way {
        SignInMethod::Oidc(oidc) => Some(Door::Provider(oidc)),
        SignInMethod::Ldap(ldap) => Some(Door::Directory(ldap)),
        _ => None,
    });
    doors.collect()
}

pub(super) async fn look(doors: &[Door<'_>]) -> Vec<Look> {
    let mut looks = Vec::new();
    for door in doors {
        match door {
            Door::Provider(oidc) => looks.push(look_at_provider(oidc).await),
            Door::Directory(ldap) => looks.extend(look_at_directory(ldap).await),
        }
    }
    looks
}

async fn look_at_provider(config: &OidcConfig) -> Look {
    let asking = async {
        let oidc = Oidc::new(config.clone(), Clock::system())?;
        match tokio::time::timeout(LIMIT, oidc.look()).await {
            Ok(found) => found,
            Err(_) => anyhow::bail!(
                "the provider {} did not answer within {} s",
                config.issuer,
                LIMIT.as_secs()
            ),
        }
    };
    let good = format!("{}: {} answers", config.title, config.issuer);
    let hint = "look at `issuer` and `authority`, and whether this machine reaches the provider";
    told(&config.title, good, hint, asking.await)
}

async fn look_at_directory(config: &LdapConfig) -> Vec<Look> {
    let hint = "look at `servers`, `authority`, `reader` and `base`, and whether this machine reaches the directory; sign-in-ldap.md says what its words mean";
    let ldap = match Ldap::new(config.clone()) {
        Ok(ldap) => ldap,
        Err(error) => return vec![told(&config.title, String::new(), hint, Err(error))],
    };
    let looks = ldap.look(LIMIT).await.into_iter();
    let looks = looks.map(|(url, found)| {
        let good = format!("{}: {url} answers", config.title);
        told(&format!("{}: {url}", config.title), good, hint, found)
    });
    looks.collect()
}

fn told(what: &str, good: String, hint: &'static str, found: anyhow::Result<()>) -> Look {
    match found {
        Ok(()) => Look {
            message: good,
            hint: None,
        },
        Err(error) => Look {
            message: format!("{what}: {}", causes::told(error.as_ref())),
            hint: Some(hint),
        },
    }
}
