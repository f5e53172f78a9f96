//! The exchange as a part of the product: what it is given, and who may use it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lyceum_courses::Shelf;
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{BODY_MAX, Exchange, Groups, Limits, Parts, SERVICE, Space};
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

    async fn members_of_all(
        &self,
        tx: &mut Tx,
        groups: &[&str],
        most: usize,
    ) -> sqlx::Result<Option<Vec<(String, UserName)>>> {
        db::groups::members_of_all(tx, groups, most).await
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Jupyter as far as the file asks it, and a client that says what it was told.
    const JUPYTER: &str = r#"
import sys, types

home, ours = sys.argv[1:]
paths = types.ModuleType("jupyter_core.paths")
paths.jupyter_config_dir = lambda: home
paths.jupyter_config_path = lambda: [ours, home, "/nowhere"]
client = types.ModuleType("ngshare_exchange")
client.configureExchange = lambda c, url: print(url)
sys.modules["jupyter_core"] = types.ModuleType("jupyter_core")
sys.modules["jupyter_core.paths"] = paths
sys.modules["ngshare_exchange"] = client
file = ours + "/nbgrader_config.py"
names = {"get_config": dict, "__file__": file}
exec(compile(open(file).read(), file, "exec"), names)
"#;

    fn said(home: &Path, ours: &Path) -> String {
        let output = Command::new("python3")
            .args(["-c", JUPYTER])
            .args([home, ours])
            .current_dir(ours)
            .env("JUPYTERHUB_API_URL", "http://127.0.0.1:1/lab/hub/api")
            .output()
            .expect("python3 runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn what_people_configured_wins() {
        let temp = tempfile::tempdir().expect("a folder");
        let (home, ours) = (temp.path().join("home"), temp.path().join("ours"));
        for folder in [&home, &ours] {
            std::fs::create_dir(folder).expect("made");
        }
        std::fs::write(ours.join("nbgrader_config.py"), NBGRADER_CONFIG).expect("written");
        let url = "http://127.0.0.1:1/lab/services/ngshare\n";
        assert_eq!(said(&home, &ours), url);
        let check = |name: &str, text: &str, expect: &str| {
            std::fs::write(home.join(name), text).expect("written");
            assert_eq!(said(&home, &ours), expect, "{text:?}");
            std::fs::remove_file(home.join(name)).expect("removed");
        };
        let py = "nbgrader_config.py";
        check(py, "c.CourseDirectory.course_id = 'bio'\n", url);
        check(py, "# c.ExchangeFactory.exchange = 'x'\n", url);
        check(py, "c.ExchangeFactory.exchange = 'x'\n", "");
        check(py, "\u{0}configureExchange(c, 'x')\n", "");
        check(py, "c.Exchange.root = '/srv/exchange'\n", "");
        check("jupyter_config.py", "c.Exchange.root = '/x'\n", "");
        check("nbgrader_config.json", "{\"Exchange\": {}}", "");
        std::fs::create_dir(home.join(py)).expect("made");
        assert_eq!(said(&home, &ours), url);
    }
}
