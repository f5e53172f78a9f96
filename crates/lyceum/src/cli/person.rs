//! `lyceum user export` and `lyceum user erase`: all that is kept of one person, given to her or forgotten.

use std::fs::{self, File};
use std::io::{ErrorKind, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use lyceum_exchange::person;
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::db;
use lyceum_hub::users::{self, NotNow};
use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use serde_json::{Value, json};

use super::people::failed;
use super::{ConfigArgs, DataArgs, Outcome, ask, block_on, ground, print, print_json};
use crate::compose;
use crate::exchange::signer;
use crate::failure::Failure;

/// Write all that is kept of a person into a zip, for her: account, log, submissions, files.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Not in it: her home, which lies in the folder of homes, and archives of courses that were removed. \
                  Exit code 3: something could not be read; unread.json in the zip names it.\n\n\
                  Example:\n  lyceum user export ada --to ada.zip"
)]
pub struct ExportArgs {
    name: UserName,
    /// The file. Left out: NAME.zip in this folder.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// Erase a person: her account and all that says who she was. Receipts stay under a pseudonym.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What she handed in and got back goes too, unless --keep-files is given. `lyceum exchange verify` finds all receipts \
                  good after it as before. Her home, backups, archives of courses, files of courses and of the configuration \
                  that name her, and logs elsewhere are yours to look after.\n\n\
                  Examples:\n  lyceum user erase ada\n  lyceum user erase ada --confirm ada --keep-files"
)]
pub struct EraseArgs {
    name: UserName,
    /// Her name once more, instead of being asked for it.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// What she handed in and got back stays, under the pseudonym.
    #[arg(long)]
    keep_files: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

impl ExportArgs {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let to = self
            .to
            .unwrap_or_else(|| format!("{}.zip", self.name).into());
        let name = self.name;
        let counts = block_on(async {
            let (ground, _, _) = ground(&self.data, &self.config).await?;
            let mut tx = ground.db.read().await.map_err(failed)?;
            let user = db::users::find(&mut tx, &name).await.map_err(failed)?;
            let id = user.map(|user| user.id);
            let told = db::person::told(&mut tx, id.as_deref(), name.as_str()).await;
            let told = told.map_err(failed)?;
            let is_told = told
                .values()
                .any(|rows| rows.as_array().is_some_and(|rows| !rows.is_empty()));
            let is_here = person::is_known(&mut tx, &name).await.map_err(failed)?;
            if !is_told && !is_here {
                return Err(nobody(&name));
            }
            let told = Value::from(told);
            drop(tx);
            let about = json!({ "name": name, "written_at": ground.clock.now().to_iso() });
            let others = vec![
                ("about.json".to_owned(), about),
                ("account.json".to_owned(), told),
            ];
            let unwritable = |error: &std::io::Error| {
                Failure::io(format!("{} can't be written", to.display()), error)
            };
            let partial = to.with_added_extension("partial");
            // Never through what somebody else has put there.
            match fs::remove_file(&partial) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.map_err(|error| unwritable(&error))?,
            }
            let mut options = File::options();
            let options = options.read(true).write(true).create_new(true);
            let file = options.mode(0o600).open(&partial);
            let file = file.map_err(|error| unwritable(&error))?;
            let (db, blobs) = (&ground.db, &ground.blobs);
            let written = match person::export(db, blobs, &name, others, file).await {
                Ok((counts, file)) => file.sync_all().map(|()| counts),
                Err(error) => {
                    let _ = fs::remove_file(&partial);
                    return Err(Failure::new(format!(
                        "what is kept of {name} could not be written: {error:#}"
                    )));
                }
            };
            let counts = written.map_err(|error| unwritable(&error))?;
            fs::rename(&partial, &to).map_err(|error| unwritable(&error))?;
            let now = ground.clock.now();
            let mut tx = ground.db.write().await.map_err(failed)?;
            let doer = Doer::nobody();
            let act = Act::new(&doer, What::PersonExported)
                .about_whoever(id.as_deref(), name.as_str())
                .with("submissions", counts.submissions)
                .with("by", "command_line");
            audit::note(&mut tx, act, now).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            Ok(counts)
        })?;
        if self.json {
            print_json(&json!({
                "file": to, "submissions": counts.submissions, "files": counts.files,
                "unread": counts.unread,
            }))?;
        } else {
            print(&format!(
                "{}: what is kept of {name}, with {} submissions and {} files\n",
                to.display(),
                counts.submissions,
                counts.files
            ))?;
            if counts.unread > 0 {
                print(&format!(
                    "{} things could not be read: unread.json in it names them, `lyceum exchange verify` says more\n",
                    counts.unread
                ))?;
            }
        }
        Ok(match counts.unread {
            0 => Outcome::Good,
            _ => Outcome::Problems,
        })
    }
}

fn nobody(name: &UserName) -> Failure {
    Failure::new(format!("nothing is kept of anybody called {name}"))
        .hint("`lyceum user list` tells who there is")
}

impl EraseArgs {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let name = &self.name;
        confirm(name, self.confirm.as_deref(), self.keep_files)?;
        let (pseudonym, counts, home, named, before) = block_on(async {
            let (ground, config, layout) = ground(&self.data, &self.config).await?;
            let now = ground.clock.now();
            let pseudonym = pseudonym(now);
            let mut tx = ground.db.write().await.map_err(failed)?;
            let signer = signer(&ground.keys);
            // First what whoever hands in takes first, too.
            let files = !self.keep_files;
            let counts = person::erase(&mut tx, &signer, name, &pseudonym, files, now).await;
            let counts =
                counts.map_err(|error| Failure::new(format!("nothing was erased: {error:#}")))?;
            let user = db::users::find(&mut tx, name).await.map_err(failed)?;
            let (mut before, mut home) = (Vec::new(), None);
            if let Some(user) = &user {
                let names = db::person::earlier_names(&mut tx, &user.id, name.as_str()).await;
                before = names.map_err(failed)?;
                users::remove(&mut tx, user, now).await.map_err(not_now)?;
                home = Some(user.home.clone());
            }
            let id = user.as_ref().map(|user| &*user.id);
            let forgotten = db::person::forget(&mut tx, id, name.as_str(), &pseudonym).await;
            let forgotten = forgotten.map_err(failed)?;
            if user.is_none() && counts.submissions + counts.others + forgotten == 0 {
                return Err(nobody(name));
            }
            let doer = Doer::nobody();
            let act = Act::new(&doer, What::PersonErased)
                .about_whoever(id, &pseudonym)
                .with("submissions", counts.submissions)
                .with("by", "command_line");
            audit::note(&mut tx, act, now).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            let shelf = compose::shelf(&layout, &config)?;
            let names_her = |id: &lyceum_courses::CourseId| {
                let course = shelf.course(id);
                course.is_some_and(|course| !course.roles_of(name, &[]).is_empty())
            };
            let named = shelf.ids().into_iter().filter(|id| names_her(id));
            let named: Vec<String> = named.map(|id| id.to_string()).collect();
            Ok((pseudonym, counts, home, named, before))
        })?;
        if self.json {
            print_json(&json!({
                "pseudonym": pseudonym, "submissions": counts.submissions, "home": home,
                "named_in_courses": named, "called_before": before,
            }))?;
            return Ok(Outcome::Good);
        }
        let what = match self.keep_files {
            true => "with their files",
            false => "without their files, which are collected in a day",
        };
        let mut text = format!(
            "{name} is erased; {} receipts stand under {pseudonym}, {what}\n",
            counts.submissions
        );
        if let Some(home) = home {
            text.push_str(&format!(
                "still there: her home, {home} in the folder of homes\n"
            ));
        }
        if !named.is_empty() {
            let named = named.join(", ");
            text.push_str(&format!(
                "still there: her name in the files of the courses {named}\n"
            ));
        }
        for before in before {
            text.push_str(&format!(
                "she was called {before} before; what she did under that name is still there, \
                 and if nobody else has it, `lyceum user erase {before}` erases that, too\n"
            ));
        }
        print(&text)?;
        Ok(Outcome::Good)
    }
}

/// Nobody can work out from it who she was.
fn pseudonym(now: Millis) -> String {
    let random = Digest::of(new_id(now).as_bytes()).to_hex();
    format!("{}{}", person::PSEUDONYM, &random[..12])
}

fn not_now(error: NotNow) -> Failure {
    match error {
        NotNow::Busy(name) => Failure::new(format!(
            "a server of {name} runs or is being started; nothing was erased"
        ))
        .hint("stop it first, on the Admin page"),
        NotNow::Database(error) => failed(error),
        other => Failure::new(format!("nothing was erased: {other}")),
    }
}

fn confirm(name: &UserName, given: Option<&str>, keep_files: bool) -> Result<(), Failure> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if std::io::stdin().is_terminal() => {
            let files = match keep_files {
                true => "what she handed in stays under a pseudonym",
                false => "what she handed in goes, too",
            };
            ask(&format!(
                "{name} is erased for good: her account, and who she was; {files}.\nType her name to do that: "
            ))?
        }
        None => {
            return Err(
                Failure::new("a person is erased only when her name is said twice")
                    .hint(format!("add --confirm {name}")),
            );
        }
    };
    match typed == name.as_str() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "this is not her name, which is {name}; nothing was erased"
        ))),
    }
}
