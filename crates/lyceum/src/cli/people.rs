//! `lyceum user …` and `lyceum admin …`: accounts and administrators.

use std::io::{IsTerminal, Read};

use clap::Subcommand;
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::db;
use lyceum_hub::jobs::revocations;
use lyceum_hub::users;
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;

use super::second_factor::SecondFactorArgs;
use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose::Ground;
use crate::failure::Failure;

/// The longest list printed at once.
const LIST_MAX: i64 = 100_000;

/// Make, list and change local accounts; export and erase people.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account, or give the one there is a new password.
    #[command(
        after_help = "The password is read from standard input; without one a new one is made and printed.\n\n\
            Examples:\n  lyceum user add ada\n  lyceum user add ada < password.txt"
    )]
    Add {
        /// The name she logs in with.
        name: UserName,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    Erase(super::person::EraseArgs),
    Export(super::person::ExportArgs),
    #[command(subcommand)]
    Identity(super::marks::IdentityCommand),
    /// List the people there are.
    List {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    Posix(super::posix::PosixArgs),
    /// Tell whether a second step stands behind somebody's password, or take it off.
    SecondFactor(SecondFactorArgs),
}

/// Say who administers this installation.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make a person an administrator.
    Grant {
        name: UserName,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Take that back.
    #[command(after_help = "The last administrator stays one, unless --force is given.")]
    Revoke {
        name: UserName,
        /// Even when nobody is left who may administer.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List the administrators.
    List {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl UserCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Add {
                name,
                data,
                config,
                json,
            } => {
                let given = read_password()?;
                let made = given.is_none();
                let password = given.unwrap_or_else(|| Secret::new(crate::demo::easy_password()));
                let (shown, user) = (password.clone(), name.clone());
                let replaced = block_on(async move {
                    let (ground, config, _) = ground(&data, &config).await?;
                    if !config.has_local() {
                        return Err(Failure::new(
                            "no way in takes a password of an account here: `sign_in` has no `kind: local`",
                        )
                        .hint("people come by the ways that stand there, and need no account before; `lyceum admin grant NAME` makes somebody an administrator who has come. For accounts with passwords of their own add `{kind: local, title: …}` first"));
                    }
                    add(&ground, &user, password).await
                })?;
                if replaced && !json {
                    print(&format!(
                        "{name} had an account: its password is replaced, and all sessions and tokens have ended\n"
                    ))?;
                }
                if json {
                    let password = made.then(|| shown.expose().to_owned());
                    print_json(&serde_json::json!({ "name": name, "password": password }))?;
                } else if made {
                    print(&format!("{name}  password {}\n", shown.expose()))?;
                } else {
                    print(&format!("{name} can log in with the password given\n"))?;
                }
                Ok(Outcome::Good)
            }
            Self::Erase(args) => args.run(),
            Self::Export(args) => args.run(),
            Self::Identity(command) => command.run(),
            Self::Posix(args) => args.run(),
            Self::SecondFactor(args) => args.run(),
            Self::List { data, config, json } => {
                let people = block_on(async move {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    db::users::list(&mut tx, "", db::users::Sort::Name, 0, LIST_MAX)
                        .await
                        .map_err(failed)
                })?;
                show(&people, json)
            }
        }
    }
}

impl AdminCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Grant { name, data, config } => grant(&name, &data, &config),
            Self::Revoke {
                name,
                force,
                data,
                config,
            } => revoke(&name, force, &data, &config),
            Self::List { data, config, json } => {
                let people = block_on(async move {
                    let (ground, _, _) = ground(&data, &config).await?;
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    db::users::admins(&mut tx).await.map_err(failed)
                })?;
                show(&people, json)
            }
        }
    }
}

/// Tells whether there was such an account before: then all that was held under it has ended.
async fn add(ground: &Ground, name: &UserName, password: Secret) -> Result<bool, Failure> {
    let mut tx = ground.db.read().await.map_err(failed)?;
    if let Some(user) = db::users::find(&mut tx, name).await.map_err(failed)?
        && db::identities::lead_to(&mut tx, &user.id)
            .await
            .map_err(failed)?
    {
        return Err(Failure::new(format!(
            "the account {name} belongs to somebody who signs in at a provider"
        ))
        .hint("choose another name, or rename or delete hers first"));
    }
    drop(tx);
    let known = ground.accounts.exists(name).await;
    let known = known.map_err(|error| Failure::new(format!("the database: {error:#}")))?;
    ground
        .accounts
        .set_password(name, password)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut tx = ground.db.write().await.map_err(failed)?;
    let now = ground.clock.now();
    let user = users::ensure(&mut tx, name, now).await.map_err(failed)?;
    if known {
        db::sessions::end_all(&mut tx, &user.id)
            .await
            .map_err(failed)?;
        revocations::announce(&mut tx, name.as_str(), now)
            .await
            .map_err(failed)?;
    }
    note(&mut tx, What::PasswordSet, &user, now).await?;
    tx.commit().await.map_err(failed)?;
    Ok(known)
}

/// Nobody calls here by a name of ours.
async fn note(
    tx: &mut lyceum_store::Tx,
    what: What,
    user: &db::users::User,
    now: Millis,
) -> Result<(), Failure> {
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, what)
        .about(user)
        .with("by", "command_line");
    audit::note(tx, act, now).await.map_err(failed)
}

fn grant(name: &UserName, data: &DataArgs, config: &ConfigArgs) -> Result<Outcome, Failure> {
    block_on(async {
        let (ground, _, _) = ground(data, config).await?;
        let mut tx = ground.db.write().await.map_err(failed)?;
        let user = get(&mut tx, name).await?;
        let now = ground.clock.now();
        users::grant_admin(&mut tx, &user, now)
            .await
            .map_err(failed)?;
        if !user.admin {
            note(&mut tx, What::AdminGiven, &user, now).await?;
        }
        tx.commit().await.map_err(failed)
    })?;
    print(&format!("{name} is an administrator now\n"))?;
    Ok(Outcome::Good)
}

fn revoke(
    name: &UserName,
    force: bool,
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<Outcome, Failure> {
    let named = block_on(async {
        let (ground, config, _) = ground(data, config).await?;
        let mut configured = Vec::new();
        for admin in &config.people.admins {
            let known = ground.accounts.exists(admin).await;
            let known = known.map_err(|error| Failure::new(format!("the database: {error:#}")))?;
            let groups = match known {
                true => groups_of(&ground, admin).await?,
                false => Vec::new(),
            };
            if known && config.people.admit(admin, &groups) {
                configured.push(admin.clone());
            }
        }
        let mut tx = ground.db.write().await.map_err(failed)?;
        let user = get(&mut tx, name).await?;
        let stored = db::users::admins(&mut tx).await.map_err(failed)?;
        let mut another = false;
        for other in &stored {
            let groups = db::groups::names_of(&mut tx, &other.id).await;
            let kept_out = config
                .people
                .block
                .has(&other.name, &groups.map_err(failed)?);
            another |= other.id != user.id && other.blocked_at.is_none() && !kept_out;
        }
        if user.admin && !another && configured.is_empty() && !force {
            return Err(Failure::new(format!(
                "{name} is the last administrator: nobody could administer after that"
            ))
            .hint("make another one first (`lyceum admin grant NAME`), or say --force"));
        }
        db::users::set_admin(&mut tx, &user.id, false)
            .await
            .map_err(failed)?;
        let now = ground.clock.now();
        revocations::announce(&mut tx, user.name.as_str(), now)
            .await
            .map_err(failed)?;
        if user.admin {
            note(&mut tx, What::AdminTaken, &user, now).await?;
        }
        tx.commit().await.map_err(failed)?;
        Ok(config.people.admins.contains(name))
    })?;
    print(&match named {
        false => format!("{name} is no administrator any more\n"),
        true => format!(
            "{name} is no administrator any more, until the next log-in: `people.admins` in the configuration names {name}; take the name out there too\n"
        ),
    })?;
    Ok(Outcome::Good)
}

async fn groups_of(ground: &Ground, name: &UserName) -> Result<Vec<String>, Failure> {
    let mut tx = ground.db.read().await.map_err(failed)?;
    match db::users::find(&mut tx, name).await.map_err(failed)? {
        Some(user) => db::groups::names_of(&mut tx, &user.id)
            .await
            .map_err(failed),
        None => Ok(Vec::new()),
    }
}

pub(super) async fn get(
    tx: &mut lyceum_store::Tx,
    name: &UserName,
) -> Result<db::users::User, Failure> {
    let user = db::users::find(tx, name).await.map_err(failed)?;
    user.ok_or_else(|| {
        Failure::new(format!("there is nobody called {name}"))
            .hint("people are there once they have signed in, or after `lyceum user add`")
    })
}

fn show(people: &[db::users::User], json: bool) -> Result<Outcome, Failure> {
    if json {
        let rows: Vec<serde_json::Value> = people
            .iter()
            .map(|user| {
                serde_json::json!({
                    "name": user.name,
                    "admin": user.admin,
                    "created": Millis(user.created_at).to_iso(),
                    "last_activity": user.last_activity_at.map(|at| Millis(at).to_iso()),
                })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Outcome::Good);
    }
    let width = people
        .iter()
        .map(|user| user.name.as_str().len())
        .max()
        .unwrap_or(0);
    let lines: String = people
        .iter()
        .map(|user| {
            let seen = user.last_activity_at.map_or_else(
                || "never seen".into(),
                |at| format!("last seen {}", Millis(at).to_iso()),
            );
            format!(
                "{:width$}  {:5}  {seen}\n",
                user.name.as_str(),
                if user.admin { "admin" } else { "" }
            )
        })
        .collect();
    print(&lines)?;
    Ok(Outcome::Good)
}

/// One line of standard input, unless that is a terminal.
fn read_password() -> Result<Option<Secret>, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    input
        .lock()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io("the password can't be read from standard input", &error))?;
    let line = text.lines().next().unwrap_or_default();
    Ok((!line.is_empty()).then(|| Secret::new(line)))
}

pub(super) fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
