//! The exchange as a part of the product: what it is given, and who may use it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use lyceum_courses::Shelf;
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{BODY_MAX, Exchange, Groups, Parts, SERVICE};
use lyceum_hub::db;
use lyceum_hub::grants::{Grants, SERVER, USER, default_roles};
use lyceum_model::name::UserName;
use lyceum_model::scope::{Filter, Scope, ScopeName};
use lyceum_store::Tx;
use lyceum_store::secret::Keys;

use crate::compose::Ground;
use crate::data::Layout;
use crate::failure::Failure;

/// Tells nbgrader in a server where the exchange is, if its environment has the client.
const NBGRADER_CONFIG: &str = include_str!("exchange/nbgrader_config.py");

pub fn open(ground: &Ground, shelf: Shelf) -> Exchange {
    Exchange::new(Parts {
        db: ground.db.clone(),
        clock: ground.clock.clone(),
        blobs: ground.blobs.clone(),
        shelf,
        groups: Arc::new(HubGroups),
        signer: signer(&ground.keys),
        body_max: BODY_MAX,
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

/// Leaves a folder for Jupyter's configuration path, with which nbgrader in a server finds the
/// exchange by itself.
pub fn write_jupyter_config(data: &Layout) -> Result<PathBuf, Failure> {
    let folder = data.jupyter_config();
    let file = folder.join("nbgrader_config.py");
    if std::fs::read_to_string(&file).is_ok_and(|text| text == NBGRADER_CONFIG) {
        return Ok(folder);
    }
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&folder)?;
        // There whole or not at all: a server may be reading it.
        let mut whole = tempfile::NamedTempFile::new_in(&folder)?;
        whole.write_all(NBGRADER_CONFIG.as_bytes())?;
        whole.persist(&file).map_err(|error| error.error)?;
        Ok(())
    };
    match write() {
        Ok(()) => Ok(folder),
        Err(error) => Err(Failure::io(
            format!("{} can't be written", file.display()),
            &error,
        )),
    }
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
}
