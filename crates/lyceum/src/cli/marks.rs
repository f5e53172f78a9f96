//! `lyceum user identity …`: by which marks people are known at other places.

use clap::Subcommand;
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::db::{self, identities::Mark};
use lyceum_hub::users;
use lyceum_model::clock::Millis;
use lyceum_model::identity::Subject;
use lyceum_model::name::UserName;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose;
use crate::failure::Failure;

/// The longest list printed at once.
const LIST_MAX: i64 = 100_000;

/// Say by which marks at other places people are known, and take one away.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// List the marks: whose account each leads to.
    List {
        /// Only this person's.
        name: Option<UserName>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Take a mark away from an account, for one that was given to the wrong person.
    ///
    /// Groups and the role of an administrator that came by it go with it, and all sessions and tokens of
    /// the account end. Then nothing leads to it; whoever brings its name gets it where `adopt` says so.
    #[command(
        after_help = "Example:\n  lyceum user identity list ada\n  lyceum user identity remove ada --issuer https://login.example.edu --mark 248289761001"
    )]
    Remove {
        name: UserName,
        /// The place, as the list shows it.
        #[arg(long, value_name = "ADDRESS")]
        issuer: String,
        /// The mark there, as the list shows it.
        #[arg(long)]
        mark: String,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl IdentityCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::List {
                name,
                data,
                config,
                json,
            } => {
                let marks = block_on(async move {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    let user = match &name {
                        Some(name) => Some(super::people::get(&mut tx, name).await?),
                        None => None,
                    };
                    let id = user.as_ref().map(|user| user.id.as_str());
                    db::identities::list(&mut tx, id, LIST_MAX)
                        .await
                        .map_err(failed)
                })?;
                show(&marks, json)
            }
            Self::Remove {
                name,
                issuer,
                mark,
                data,
                config,
            } => {
                let subject = Subject { issuer, id: mark };
                block_on(remove(&name, &subject, &data, &config))?;
                print(&format!(
                    "that mark does not lead to {name} any more; all sessions and tokens of the account have ended\n"
                ))?;
                Ok(Outcome::Good)
            }
        }
    }
}

async fn remove(
    name: &UserName,
    subject: &Subject,
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<(), Failure> {
    let (ground, config, _) = ground(data, config).await?;
    let grants = compose::grants(&config, &ground.keys);
    let mut tx = ground.db.write().await.map_err(failed)?;
    let user = super::people::get(&mut tx, name).await?;
    let known = db::identities::find(&mut tx, subject).await;
    let known = known.map_err(failed)?;
    if known.is_none_or(|known| known.user_id != user.id) {
        return Err(
            Failure::new(format!("no such mark leads to {name}")).hint(format!(
                "`lyceum user identity list {name}` shows those that do"
            )),
        );
    }
    users::forget_mark(&mut tx, &user, subject, &grants, ground.clock.now())
        .await
        .map_err(failed)?;
    let (nobody, now) = (Doer::nobody(), ground.clock.now());
    let act = Act::new(&nobody, What::MarkRemoved)
        .about(&user)
        .with("by", "command_line")
        .with("issuer", &subject.issuer)
        .with("mark", &subject.id);
    audit::note(&mut tx, act, now).await.map_err(failed)?;
    tx.commit().await.map_err(failed)
}

fn show(marks: &[Mark], json: bool) -> Result<Outcome, Failure> {
    if json {
        let rows: Vec<serde_json::Value> = marks
            .iter()
            .map(|mark| {
                serde_json::json!({
                    "name": mark.user,
                    "issuer": mark.issuer,
                    "mark": mark.subject,
                    "since": Millis(mark.created_at).to_iso(),
                    "last_seen": Millis(mark.seen_at).to_iso(),
                })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Outcome::Good);
    }
    let width = marks.iter().map(|mark| mark.user.len()).max().unwrap_or(0);
    let lines: String = marks
        .iter()
        .map(|mark| {
            format!(
                "{:width$}  {}  {}  last seen {}\n",
                mark.user,
                mark.issuer,
                mark.subject,
                Millis(mark.seen_at).to_iso()
            )
        })
        .collect();
    print(&lines)?;
    Ok(Outcome::Good)
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
