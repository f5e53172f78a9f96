//! The exchange as a part of the product: what it is given, and who may use it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lyceum_courses::Shelf;
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{BODY_MAX, Exchange, Groups, Limits, Parts, SERVICE, Space};
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::db;
use lyceum_hub::grants::{Grants, SERVER, USER, default_roles};
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::scope::{Filter, NoGroups, Scope, ScopeName};
use lyceum_store::Tx;
use lyceum_store::secret::Keys;

use crate::compose::Ground;

/// `disk` is where blobs go.
pub fn open(ground: &Ground, shelf: Shelf, disk: PathBuf) -> Exchange {
    Exchange::new(Parts {
        db: ground.db.clone(),
        clock: ground.clock.clone(),
        blobs: ground.blobs.clone(),
        shelf,
        groups: Arc::new(HubGroups),
        signer: signer(&ground.keys),
        body_max: BODY_MAX,
        limits: Limits::default(),
        space,
        disk,
    })
}

/// Of the disk with the blobs; nothing if it can't be asked.
fn space(folder: &Path) -> Option<Space> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(Space {
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        total: disk.f_blocks.saturating_mul(disk.f_frsize),
    })
}

/// Signs receipts, on every replica alike.
pub fn signer(keys: &Keys) -> Signer {
    Signer::new(keys.derive("lyceum receipts"))
}

/// Lets people and their notebook servers use the exchange as they would a service of its name, unless
/// the configuration has such a service, or says itself what people or servers may do.
pub fn open_to_people(grants: &mut Grants) {
    if grants.services.contains_key(SERVICE) {
        return;
    }
    for (name, _, scopes) in default_roles() {
        if name != USER && name != SERVER {
            continue;
        }
        if let Some(role) = grants.roles.get_mut(name)
            && role.scopes == scopes
        {
            let filter = Filter::Service(SERVICE.to_owned());
            role.scopes
                .insert(Scope::new(ScopeName::AccessServices, filter));
        }
    }
}

/// Which of the roles that everybody and every server has the configuration has given other scopes, without
/// the one that the exchange asks for; with that scope.
pub fn kept_from_people(grants: &Grants) -> Vec<(&'static str, Scope)> {
    let mut grants = grants.clone();
    open_to_people(&mut grants);
    if grants.services.contains_key(SERVICE) {
        return Vec::new();
    }
    let needs = Scope::new(
        ScopeName::AccessServices,
        Filter::Service(SERVICE.to_owned()),
    );
    let lacks = |role: &&str| {
        let scopes = grants.roles.get(*role).map(|role| &role.scopes);
        scopes.is_some_and(|scopes| {
            // What its owner may do, a server with this may do too.
            let inherits = scopes.iter().any(|scope| scope.name == ScopeName::Inherit);
            !inherits && !scopes.contains(&needs, &NoGroups)
        })
    };
    let roles = [USER, SERVER].into_iter().filter(lacks);
    roles.map(|role| (role, needs.clone())).collect()
}

/// As the hub's rows say.
struct HubGroups;

#[async_trait]
impl Groups for HubGroups {
    async fn of(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<Vec<String>> {
        match db::users::find(tx, name).await? {
            Some(user) => db::groups::names_of(tx, &user.id).await,
            None => Ok(Vec::new()),
        }
    }

    async fn members(&self, tx: &mut Tx, group: &str) -> sqlx::Result<BTreeSet<UserName>> {
        db::groups::members(tx, group).await
    }

    async fn note_removed(
        &self,
        tx: &mut Tx,
        by: &UserName,
        course: &str,
        now: Millis,
    ) -> sqlx::Result<()> {
        let doer = Doer::person(by);
        let act = Act::new(&doer, What::CourseRemoved).with("course", course);
        audit::note(tx, act, now).await
    }

    async fn members_of_all(
        &self,
        tx: &mut Tx,
        groups: &[&str],
        most: usize,
    ) -> sqlx::Result<Option<Vec<(String, UserName)>>> {
        db::groups::members_of_all(tx, groups, most).await
    }
}
