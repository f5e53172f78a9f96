//! `lyceum course remove`: all of a course of the exchange goes into an archive, and then its rows go.

use std::io::IsTerminal;
use std::path::PathBuf;

use lyceum_courses::CourseId;
use lyceum_exchange::db;
use serde_json::json;

use crate::cli::people::failed;
use crate::cli::{ConfigArgs, DataArgs, Outcome, ask, block_on, ground, print, print_json};
use crate::compose::{self, Ground};
use crate::exchange::signer;
use crate::failure::Failure;
use crate::retention::Retention;

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Its name.
    course: String,
    /// Its name once more, instead of being asked for it.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Where its archive goes. Left out: where `exchange.archives` says, else `archives` in the data folder.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// What is kept under a name: of the course that is there, and of those that were removed before.
#[derive(Default)]
struct Kept {
    courses: Vec<db::removal::CourseRow>,
    assignments: i64,
    people: i64,
    submissions: i64,
    bytes: i64,
}

impl RemoveArgs {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let done = block_on(async {
            let (ground, config, layout) = ground(&self.data, &self.config).await?;
            let shelf = compose::shelf(&layout, &config)?;
            if let Some(id) = CourseId::parse(&self.course)
                && (shelf.course(&id).is_some() || shelf.is_unclear(&id))
            {
                return Err(Failure::new(format!(
                    "the course {id} has a file, and is there as long as the file is"
                ))
                .hint(format!(
                    "move {id}.yaml out of {} first; `visible: archived` in it lets it be read only",
                    layout.courses().display()
                )));
            }
            let kept = look(&ground, &self.course).await?;
            if kept.courses.is_empty() {
                return Err(Failure::new(format!(
                    "nothing is kept of a course {}",
                    self.course
                ))
                .hint("its name is that of its file, or the one it was made under, in the same letters"));
            }
            confirm(&self.course, self.confirm.as_deref(), &kept)?;
            let configured = config.exchange.archives.clone();
            let folder = self.to.clone().or(configured);
            let folder = folder.unwrap_or_else(|| layout.archives());
            let mut done = Vec::new();
            let signer = signer(&ground.keys);
            let retention = Retention {
                db: &ground.db,
                blobs: &ground.blobs,
                signer: &signer,
                shelf: &shelf,
                archives: &folder,
                keep: config.exchange.keep,
                now: ground.clock.now(),
                by: "command_line",
                by_hand: true,
            };
            for course in &kept.courses {
                done.push(retention.let_go(course).await.map_err(|error| {
                    Failure::new(format!("{} could not be removed: {error:#}", course.name))
                        .hint("all of it is still there; run this again once that is mended")
                })?);
            }
            Ok(done)
        })?;
        if self.json {
            let told = done.iter().map(|(file, written)| {
                json!({ "archive": file, "submissions": written.submissions,
                    "contents": written.contents, "bytes": written.bytes })
            });
            print_json(&told.collect::<Vec<_>>())?;
        } else {
            let lines = done.iter().map(|(file, written)| {
                format!(
                    "{} submissions with {} contents are in {} now, and out of the exchange\n",
                    written.submissions,
                    written.contents,
                    file.display()
                )
            });
            print(&lines.collect::<String>())?;
        }
        Ok(Outcome::Good)
    }
}

async fn look(ground: &Ground, name: &str) -> Result<Kept, Failure> {
    let mut tx = ground.db.read().await.map_err(failed)?;
    let courses = db::removal::courses(&mut tx, name).await.map_err(failed)?;
    let mut kept = Kept::default();
    for course in &courses {
        let size = db::removal::size(&mut tx, &course.id).await;
        let (assignments, people, submissions, bytes) = size.map_err(failed)?;
        kept.assignments += assignments;
        kept.people += people;
        kept.submissions += submissions;
        kept.bytes += bytes;
    }
    Ok(Kept { courses, ..kept })
}

/// By its name, which nobody types by mistake.
fn confirm(name: &str, given: Option<&str>, kept: &Kept) -> Result<(), Failure> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if std::io::stdin().is_terminal() => {
            let Kept {
                assignments,
                people,
                submissions,
                bytes,
                ..
            } = kept;
            ask(&format!(
                "{assignments} assignments, {people} people and {submissions} submissions ({bytes} bytes) of {name} \
                 go into an archive and out of the exchange.\nType the course's name to do that: "
            ))?
        }
        None => {
            return Err(
                Failure::new("a course is removed only when its name is said twice")
                    .hint(format!("add --confirm '{name}'")),
            );
        }
    };
    match typed == name {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "this is not the course's name, which is {name}; nothing was removed"
        ))),
    }
}
