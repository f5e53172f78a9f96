//! `lyceum user posix`: the numbers by which a file system knows somebody.

use clap::Args;
use lyceum_hub::audit::Doer;
use lyceum_hub::db;
use lyceum_hub::posix::{self, NotHers, Wish};
use lyceum_model::name::UserName;
use lyceum_model::posix::{Posix, list, parse_list};

use super::people::{failed, get};
use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::failure::Failure;

/// Tell or say by which numbers somebody's files are hers.
#[derive(Debug, Args)]
#[command(
    after_help = "What is said here no way in changes. A uid is one person's for ever: also after she is deleted, or has got another, nobody else gets it.\n\n\
        Examples:\n  lyceum user posix ada\n  lyceum user posix ada --uid 1234 --gid 1000 --groups 5000,5001"
)]
pub struct PosixArgs {
    name: UserName,
    /// Hers for ever. Left out: the one she has, or the next of `posix.uids`.
    #[arg(long)]
    uid: Option<u32>,
    /// The number of her group.
    #[arg(long)]
    gid: Option<u32>,
    /// What that group is called.
    #[arg(long)]
    group: Option<String>,
    /// Numbers of further groups, with commas between them; empty for none.
    #[arg(long, value_parser = numbers)]
    groups: Option<Numbers>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// `5,6`
#[derive(Debug, Clone)]
struct Numbers(Vec<u32>);

fn numbers(text: &str) -> Result<Numbers, String> {
    let read = parse_list(text).map(Numbers);
    read.ok_or_else(|| "expected numbers with commas between them, such as `5000,5001`".into())
}

impl PosixArgs {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let wish = Wish {
            uid: self.uid,
            gid: self.gid,
            group: self.group.clone(),
            gids: self.groups.as_ref().map(|groups| groups.0.clone()),
        };
        let posix = block_on(async {
            let (ground, config, _) = ground(&self.data, &self.config).await?;
            if wish == Wish::default() {
                let mut tx = ground.db.read().await.map_err(failed)?;
                let user = get(&mut tx, &self.name).await?;
                let known = db::posix::of(&mut tx, &user.id).await.map_err(failed)?;
                return Ok(known.map(|known| posix::in_force(known.posix, &config.posix)));
            }
            let mut tx = ground.db.write().await.map_err(failed)?;
            let user = get(&mut tx, &self.name).await?;
            let nobody = (&Doer::nobody(), Some("command_line"));
            let now = ground.clock.now();
            let set = posix::set(&mut tx, &user, &wish, nobody, &config.posix, now).await;
            let set = set.map_err(|why| match why {
                NotHers::Database(error) => failed(error),
                why => Failure::new(why.to_string()),
            })?;
            tx.commit().await.map_err(failed)?;
            Ok(Some(posix::in_force(set, &config.posix)))
        })?;
        if self.json {
            print_json(&serde_json::json!({ "name": self.name, "posix": posix }))?;
        } else {
            print(&text(&self.name, posix.as_ref()))?;
        }
        Ok(Outcome::Good)
    }
}

fn text(name: &UserName, posix: Option<&Posix>) -> String {
    let Some(posix) = posix else {
        return format!("{name} has no numbers for files\n");
    };
    let mut line = format!("{name}  uid {}", posix.uid);
    if let Some(gid) = posix.gid {
        line.push_str(&format!("  gid {gid}"));
    }
    if let Some(group) = &posix.group {
        line.push_str(&format!(" ({group})"));
    }
    if !posix.gids.is_empty() {
        line.push_str(&format!("  groups {}", list(&posix.gids)));
    }
    line.push('\n');
    line
}
