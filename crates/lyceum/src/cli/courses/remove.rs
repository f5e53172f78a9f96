//! `lyceum course remove`: all of a course of the exchange goes into an archive, and then its rows go.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use lyceum_courses::CourseId;
use lyceum_exchange::removal;
use lyceum_exchange::{archive::Written, db};
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_model::clock::Millis;
use serde_json::json;

use crate::cli::people::failed;
use crate::cli::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose::{self, Ground};
use crate::exchange::signer;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    /// Its name.
    course: String,
    /// Its name once more, instead of being asked for it.
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Where its archive goes. Left out: `archives` in the data folder.
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
            let folder = self.to.clone().unwrap_or_else(|| layout.archives());
            let mut done = Vec::new();
            for course in &kept.courses {
                done.push(remove(&ground, course, &folder).await?);
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
            eprint!(
                "{assignments} assignments, {people} people and {submissions} submissions ({bytes} bytes) of {name} \
                 go into an archive and out of the exchange.\nType the course's name to do that: "
            );
            let _ = std::io::stderr().flush();
            let mut line = String::new();
            std::io::stdin()
                .read_line(&mut line)
                .map_err(|error| Failure::io("the answer can't be read", &error))?;
            line.trim_end_matches(['\n', '\r']).to_owned()
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

async fn remove(
    ground: &Ground,
    course: &db::removal::CourseRow,
    folder: &std::path::Path,
) -> Result<(PathBuf, Written), Failure> {
    let now = ground.clock.now();
    let marked = removal::mark(&ground.db, &course.id, now).await;
    marked.map_err(failed)?;
    let signer = signer(&ground.keys);
    let (db, blobs) = (&ground.db, &ground.blobs);
    let archived = removal::archive(db, blobs, &signer, &course.id, folder, now).await;
    let (file, written) = archived.map_err(|error| {
        Failure::new(format!(
            "the archive of {} could not be written: {error:#}",
            course.name
        ))
        .hint("the course can't be reached any more, but all of it is still there; run this again once that is mended")
    })?;
    purge(ground, course, &file, &written, now).await?;
    Ok((file, written))
}

async fn purge(
    ground: &Ground,
    course: &db::removal::CourseRow,
    file: &std::path::Path,
    written: &Written,
    now: Millis,
) -> Result<(), Failure> {
    let mut tx = ground.db.write().await.map_err(failed)?;
    let gone = removal::purge(&mut tx, &course.id, written).await;
    if !gone.map_err(failed)? {
        return Err(Failure::new(format!(
            "something was handed in to {} while its archive was written; nothing was removed",
            course.name
        ))
        .hint("run this again"));
    }
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, What::CourseRemoved)
        .with("course", &course.name)
        .with("archive", file.display())
        .with("submissions", written.submissions)
        .with("by", "command_line");
    audit::note(&mut tx, act, now).await.map_err(failed)?;
    tx.commit().await.map_err(failed)
}
