//! Who has to be told when a group changes. Who may change it is in [`crate::giving`].

use std::collections::{BTreeMap, BTreeSet};

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::scope::Filter;
use lyceum_store::Tx;

use crate::grants::{Grants, USER};
use crate::jobs::revocations;
use crate::{db, shares};

/// With more to be told than this, everybody is.
const MOST_TOLD: usize = 2_000;

/// Says, in the transaction that changes it, that these came into or left a group: to them, and to
/// those whose scopes are narrowed down to it.
pub async fn announce(
    tx: &mut Tx,
    grants: &Grants,
    group: &str,
    changed: &[UserName],
    now: Millis,
) -> sqlx::Result<()> {
    let filter = Filter::Group(group.to_owned());
    let mut told: BTreeSet<String> = changed
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    let over = grants
        .roles
        .iter()
        .filter(|(_, role)| role.scopes.iter().any(|scope| scope.filter == filter));
    for (name, role) in over {
        // Everybody has it and nobody is listed.
        if name == USER {
            return revocations::announce_all(tx, now).await;
        }
        told.extend(role.users.iter().map(|name| name.as_str().to_owned()));
        told.extend(role.services.iter().map(|name| service_subject(name)));
        for group in &role.groups {
            let members = db::groups::members(tx, group).await?;
            told.extend(members.iter().map(|name| name.as_str().to_owned()));
        }
    }
    told.extend(db::tokens::owners_with_scope_over(tx, group).await?);
    if told.len() > MOST_TOLD {
        return revocations::announce_all(tx, now).await;
    }
    let mut fallen: revocations::Fallen = BTreeMap::new();
    for subject in told {
        let Some(holders) = shares::resting_on(tx, &subject).await? else {
            return revocations::announce_all(tx, now).await;
        };
        for (holder, servers) in holders {
            let known = fallen.entry(holder).or_insert_with(|| Some(Vec::new()));
            *known = known.take().map(|known| [known, servers].concat());
        }
        fallen.insert(subject, None);
    }
    revocations::announce_several(tx, &fallen, now).await
}

/// What stands before a service's name there.
pub const SERVICE_MARK: &str = "service/";

/// What a service is called where decisions of the proxy have a subject; no person is called so.
pub fn service_subject(name: &str) -> String {
    format!("{SERVICE_MARK}{name}")
}
