//! What a client is given when it asks for a person: no more than it may have, and no more than
//! she holds at that moment. What she comes to hold later it gets only when she is asked again.

use std::collections::BTreeSet;

use lyceum_model::scope::{NoGroups, Owner, ScopeName, ScopeSet};
use lyceum_store::Tx;

use super::Client;
use crate::Hub;
use crate::db::users::User;
use crate::standing::Standing;

/// The name that stood for "who is there" before there were scopes. It adds nothing.
const IDENTIFY: &str = "identify";

/// What the client asked for and may never have, or what there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAllowed(pub String);

impl NotAllowed {
    /// As much of it as a log should have.
    fn of(text: &str) -> Self {
        Self(text.chars().take(100).collect())
    }
}

/// So many words a client may ask with.
const MOST_ASKED: usize = 200;

/// The scopes of a token for this client. `asked` is the `scope` of its request: scopes or names of
/// roles with spaces between, or nothing for all that it may have.
pub async fn offer(
    hub: &Hub,
    tx: &mut Tx,
    client: &Client,
    user: &User,
    asked: &str,
) -> sqlx::Result<Result<Vec<String>, NotAllowed>> {
    let settings = hub.settings();
    let grants = &settings.grants;
    let allowed = client.allowed(grants);
    let always = client.always();
    let mut owner = Owner::user(user.name.clone());
    if let Client::Service(name, _) = client {
        owner.service = Some(name.clone());
    }
    let mut wanted = Vec::new();
    if asked.split_ascii_whitespace().count() > MOST_ASKED {
        return Ok(Err(NotAllowed::of(asked)));
    }
    for word in asked
        .split_ascii_whitespace()
        .filter(|one| *one != IDENTIFY)
    {
        match grants.vocabulary.parse(word) {
            Ok(scope) => wanted.push(scope),
            Err(_) => match grants.roles.get(word) {
                Some(role) => wanted.extend(role.scopes.iter()),
                None => return Ok(Err(NotAllowed::of(word))),
            },
        }
    }
    if asked.trim().is_empty() {
        wanted.extend(allowed.iter());
    }
    wanted.retain(|scope| !always.contains(&scope.to_string()));

    let limit = reach(allowed, &owner);
    let anything = allowed.iter().any(|scope| scope.name == ScopeName::Inherit);
    let mut offered: BTreeSet<String> = always.into_iter().collect();
    let mut fitting = Vec::new();
    for scope in wanted {
        let text = scope.to_string();
        let one = reach(&ScopeSet::from_iter([scope.clone()]), &owner);
        // Who is in a group changes: what a client may have of a group, it asks for by the group.
        let fits = match scope.name {
            ScopeName::Inherit => anything,
            _ => !one.is_empty() && (anything || limit.missing(&one, &NoGroups).is_empty()),
        };
        if !fits {
            return Ok(Err(NotAllowed::of(&text)));
        }
        match scope.name {
            ScopeName::Inherit => {
                offered.insert(text);
            }
            _ => fitting.push((text, one)),
        }
    }
    let mut standing = Standing::of_user(hub, tx, user).await?;
    for (text, one) in fitting {
        standing.know(tx, &one).await?;
        let held = one.intersect(standing.held(), standing.members());
        if held == one {
            offered.insert(text);
        } else {
            offered.extend(held.to_list());
        }
    }
    Ok(Ok(offered.into_iter().collect()))
}

/// With the owner filled in and everything that is implied.
fn reach(set: &ScopeSet, owner: &Owner) -> ScopeSet {
    set.resolve(owner).expand()
}

/// Of what was offered, what she said yes to. What a client always gets can't be left out.
pub fn agreed(offered: Vec<String>, client: &Client, said: &[String]) -> Vec<String> {
    let always = client.always();
    let keeps = |scope: &String| always.contains(scope) || said.contains(scope);
    offered.into_iter().filter(keeps).collect()
}
