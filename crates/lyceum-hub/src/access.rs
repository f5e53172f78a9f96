//! The answer to the proxy's question: is this browser or token allowed at that server?
//!
//! The notebook server asks the hub again by OAuth; this check is there so that a request to
//! somebody else's server never reaches it.

use std::time::Duration;

use async_trait::async_trait;
use lyceum_model::scope::{NoGroups, ScopeName, Target, Verdict};
use lyceum_proxy::{Access, Ask, Credential, Decision};

use crate::{Hub, db, identify, tokens};

/// How long the proxy may act on an answer. Log-out and lost roles are told at once besides.
const KEEP: Duration = Duration::from_secs(30);

#[async_trait]
impl Access for Hub {
    async fn check(&self, ask: &Ask) -> Decision {
        match decide(self, ask).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "could not check access");
                Decision::Unavailable
            }
        }
    }
}

async fn decide(hub: &Hub, ask: &Ask) -> anyhow::Result<Decision> {
    let now = hub.now();
    let mut tx = hub.db().read().await?;
    let (user_id, granted) = match &ask.credential {
        Credential::None => return Ok(Decision::SignIn),
        Credential::AccessCookie(cookie) => {
            match db::sessions::by_access(&mut tx, &tokens::hash_access(cookie), now.0).await? {
                Some(session) => (session.user_id, None),
                None => return Ok(Decision::SignIn),
            }
        }
        Credential::Token(token) => {
            match db::tokens::by_hash(&mut tx, &tokens::hash(token), now.0).await? {
                Some(token) => {
                    hub.token_uses().note(&token.id, now);
                    (token.user_id, Some(token.scopes))
                }
                None => return Ok(Decision::Deny),
            }
        }
    };
    let Some(user) = db::users::get(&mut tx, &user_id).await? else {
        return Ok(Decision::SignIn);
    };
    if hub.shuts_out(&user) {
        return Ok(Decision::Deny);
    }
    let Some(server) = db::servers::get(&mut tx, &ask.route_id).await? else {
        return Ok(Decision::Deny);
    };
    drop(tx);
    // All servers share one origin, so a page of somebody else's server could act as whoever looks
    // at it. A browser therefore opens its owner's servers only; programs use tokens.
    if granted.is_none() && user.id != server.user_id {
        return Ok(Decision::Deny);
    }
    let scopes = match granted {
        None => identify::held_scopes(&user),
        Some(granted) => identify::token_scopes(&user, &granted),
    };
    let target = Target::Server(&server.user_name, &server.name);
    Ok(
        match scopes.allows(ScopeName::AccessServers, target, &NoGroups) {
            Verdict::Yes => Decision::Allow {
                subject: user.name.to_string(),
                for_how_long: KEEP,
            },
            _ => Decision::Deny,
        },
    )
}
