//! `lyceum explain`: what somebody's server would be, and where each value stands.

mod course;
mod profile;
mod server;

pub(super) use course::unknown;

use clap::Args;
use lyceum_courses::Shelf;
use lyceum_hub::db;
use lyceum_hub::profiles::choose::{Chosen, PROFILE};
use lyceum_model::environment::{Said, Setting, Values};
use lyceum_model::name::UserName;
use lyceum_model::posix::Posix;
use lyceum_model::who::{CourseId, CourseRole, Standing};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{ConfigArgs, DataArgs, Outcome, block_on, guarantees, print, print_json};
use crate::compose::Ground;
use crate::config::{Bytes, Loaded};
use crate::data::Layout;
use crate::failure::Failure;
use crate::plan::{self, COMMAND};

/// Say what a person's server would be, each value with its rule and its line.
#[derive(Debug, Args)]
#[command(
    after_help = "A server of which more is guaranteed than its limit lets gets as much as the limit.\n\nExamples:\n  lyceum explain ada\n  lyceum explain ada --profile gpu --option size=small\n  \
        lyceum explain ada --profile own --option image--unlisted-choice=team/lab:2\n  \
        lyceum explain ada signals-2026\n  lyceum explain ada signals-2026 --as teacher\n  \
        lyceum explain --server signals-2026\n  lyceum explain ada --server signals-2026"
)]
pub struct Explain {
    /// Whose server. May be left out with `--server`; else whether she opens that.
    #[arg(required_unless_present = "server")]
    person: Option<UserName>,
    /// For which course. Left out: for none.
    #[arg(value_parser = course_id)]
    course: Option<CourseId>,
    /// As what in the course: `teacher`, `grader`, `student` or `observer`. Left out: as what she is there.
    #[arg(long = "as", value_name = "ROLE", requires = "course")]
    role: Option<CourseRole>,
    /// The server that this course has for those who teach it.
    #[arg(long, value_name = "COURSE", value_parser = course_id,
          conflicts_with_all = ["course", "role", "profile", "options"])]
    server: Option<CourseId>,
    /// Which profile, by its slug. Left out: the one that she has without choosing.
    #[arg(long, value_name = "SLUG", conflicts_with = "course")]
    profile: Option<String>,
    /// What is chosen within it. May be given again.
    #[arg(long = "option", value_name = "NAME=CHOICE", value_parser = pair, conflicts_with = "course")]
    options: Vec<(String, String)>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=CHOICE".into()),
    }
}

pub(super) fn course_id(text: &str) -> Result<CourseId, String> {
    let wrong = "the id of a course has lower-case letters, digits, `-`, `_` and `.`";
    CourseId::parse(text).ok_or_else(|| wrong.to_owned())
}

/// What is known of the person.
struct Person {
    name: UserName,
    standing: Standing,
    shelf: Shelf,
    /// The numbers by which her files are hers.
    posix: Option<Posix>,
    /// Why she may start nothing.
    kept_out: Option<&'static str>,
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) value: Value,
    /// Where it stands in the configuration: `environments.python.memory.limit`.
    pub(super) rule: String,
    /// `lyceum.yaml:7`, `courses/bio.yaml:3` or `default`.
    pub(super) from: String,
}

#[derive(Debug, Default, Serialize)]
struct Explained {
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<UserName>,
    /// It is the server of this course.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<CourseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    course: Option<CourseId>,
    /// As what in the course.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<CourseRole>,
    may_start: bool,
    /// In words.
    why: String,
    values: Vec<Row>,
    /// What of the values is not as somebody wrote it, and why.
    notes: Vec<String>,
}

/// Rows, and what is to be said of them besides.
type Told = (Vec<Row>, Vec<String>);

impl Explain {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let path = crate::config::locate(self.config.config.as_deref());
        let loaded = super::config::load(path.as_deref())?;
        let person = match &self.person {
            Some(name) => Some(block_on(look_up(name, &self.data, &loaded))?),
            None => None,
        };
        let explained = match (&self.server, &self.course, &person) {
            (Some(id), _, person) => server::explain(id, person.as_ref(), &self.data, &loaded)?,
            (None, Some(id), Some(person)) => self.explain_course(id, &loaded, person)?,
            (None, None, Some(person)) => self.explain(&loaded, person)?,
            (None, _, None) => return Err(Failure::new("name a person, or a course by --server")),
        };
        if self.json {
            print_json(&explained)?;
        } else {
            print(&text(&explained))?;
        }
        Ok(Outcome::Good)
    }

    fn explain(&self, loaded: &Loaded, person: &Person) -> Result<Explained, Failure> {
        let config = &loaded.config;
        let (chosen, may, others) = match config.profiles.is_empty() {
            true => {
                if self.profile.is_some() || !self.options.is_empty() {
                    return Err(Failure::new(
                        "there are no `profiles`, so there is nothing to choose",
                    ));
                }
                let everybody = Ok("everybody may".to_owned());
                (Some(Chosen::default()), everybody, Vec::new())
            }
            false => self.pick(&config.profiles, person)?,
        };
        let (mut values, mut notes) = match &chosen {
            Some(chosen) => {
                let found: Values = plan::plan(&config.servers, &[COMMAND.to_owned()], chosen);
                told(&found, loaded)
            }
            None => Told::default(),
        };
        let slug = chosen.and_then(|chosen| chosen.profile);
        values.splice(0..0, slug.map(|slug| profile_row(&slug, loaded)));
        values.extend(posix_rows(person));
        notes.extend(others);
        // What she would get is told all the same.
        let may = match person.kept_out {
            Some(why) => Err(why.to_owned()),
            None => may,
        };
        Ok(Explained {
            person: Some(person.name.clone()),
            may_start: may.is_ok(),
            why: may.unwrap_or_else(|why| why),
            values,
            notes,
            ..Explained::default()
        })
    }

    fn options(&self) -> Value {
        let mut options: Map<String, Value> = (self.options.iter())
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        if let Some(slug) = &self.profile {
            options.insert(PROFILE.into(), slug.as_str().into());
        }
        Value::Object(options)
    }
}

async fn look_up(name: &UserName, data: &DataArgs, loaded: &Loaded) -> Result<Person, Failure> {
    let config = &loaded.config;
    let layout = Layout::existing(&data.data)?;
    let ground = Ground::open(config, &layout).await?;
    let failed = |error: lyceum_store::DbError| Failure::new(format!("the database: {error}"));
    let mut tx = ground.db.read().await.map_err(failed)?;
    let user = db::users::find(&mut tx, name).await.map_err(failed)?;
    let groups = match &user {
        Some(user) => db::groups::names_of(&mut tx, &user.id)
            .await
            .map_err(failed)?,
        // She has not come yet; so much is known of her all the same.
        None => (config.grants.groups.iter())
            .filter(|(_, wish)| wish.users.contains(name))
            .map(|(group, _)| group.clone())
            .collect(),
    };
    let posix = match &user {
        Some(user) => db::posix::of(&mut tx, &user.id).await.map_err(failed)?,
        None => None,
    };
    let posix = posix.map(|known| lyceum_hub::posix::in_force(known.posix, &config.posix));
    drop(tx);
    let shelf = crate::compose::shelf(&layout, config)?;
    let named = config.people.admins.contains(name);
    let admin = named || user.as_ref().is_some_and(|user| user.admin);
    let blocked = user.is_some_and(|user| user.blocked_at.is_some());
    let kept_out = match (blocked, config.people.block.has(name, &groups)) {
        (_, true) => Some("she may not come in: `people.block` names her"),
        (true, false) => Some("she may not come in: an administrator keeps her out"),
        (false, false) if !admin && !config.people.admit(name, &groups) => {
            Some("she may not come in: `people.allow` does not name her")
        }
        (false, false) => None,
    };
    Ok(Person {
        name: name.clone(),
        standing: Standing {
            roles: config.grants.all_roles_of(name, admin, &groups),
            courses: shelf.roles_of(name, &groups),
            groups,
        },
        shelf,
        posix,
        kept_out,
    })
}

/// Whose account says them, not the configuration. With a system account, that one's count.
fn posix_rows(person: &Person) -> Vec<Row> {
    let row = |what: &str, value: Value| Row {
        what: what.into(),
        value,
        rule: "posix".into(),
        from: format!("the account {}", person.name),
    };
    let Some(posix) = &person.posix else {
        return Vec::new();
    };
    let mut rows = vec![row("uid", posix.uid.into())];
    rows.extend(posix.gid.map(|gid| row("gid", gid.into())));
    if !posix.gids.is_empty() {
        rows.push(row("groups", posix.gids.clone().into()));
    }
    rows
}

fn profile_row(slug: &str, loaded: &Loaded) -> Row {
    let of_all = &loaded.config.profiles.0;
    let at = of_all.iter().position(|one| one.slug == slug);
    let path = format!("profiles[{}]", at.expect("it was chosen of these"));
    Row {
        what: "profile".into(),
        value: slug.into(),
        from: loaded.place(&path).unwrap_or_else(|| "default".into()),
        rule: path,
    }
}

fn told(values: &Values, loaded: &Loaded) -> Told {
    let rows = values.iter().map(|said| row(said, loaded));
    let notes = values
        .lowered()
        .iter()
        .map(|one| guarantees::words(one, loaded));
    (rows.collect(), notes.collect())
}

/// What it is about, and what holds.
pub(crate) fn what_is_said(said: &Said) -> (String, Value) {
    let amount = |bytes: &Option<u64>| bytes.map(|bytes| Bytes(bytes).to_string().into());
    let (what, value): (&str, Option<Value>) = match &said.setting {
        Setting::Image(image) => ("image", Some(image.as_str().into())),
        Setting::Command(words) => ("command", Some(words.clone().into())),
        Setting::Args(words) => ("args", Some(words.clone().into())),
        Setting::Opens(page) => ("opens", Some(page.as_str().into())),
        Setting::MemoryGuarantee(bytes) => ("memory guarantee", amount(bytes)),
        Setting::MemoryLimit(bytes) => ("memory limit", amount(bytes)),
        Setting::CpuGuarantee(cores) => ("cpu guarantee", cores.map(Into::into)),
        Setting::CpuLimit(cores) => ("cpu limit", cores.map(Into::into)),
        Setting::Processes(count) => ("processes", count.map(Into::into)),
        Setting::HomeSize(bytes) => ("disk home", amount(bytes)),
        Setting::FileSize(bytes) => ("disk file", amount(bytes)),
        Setting::Env(_, value) => ("env", value.clone().map(Into::into)),
        Setting::Nbgrader(_, value) => ("nbgrader", Some(value.clone())),
    };
    let what = match &said.setting {
        Setting::Env(name, _) | Setting::Nbgrader(name, _) => format!("{what} {name}"),
        _ => what.to_owned(),
    };
    (what, value.unwrap_or_default())
}

pub(super) fn row(said: &Said, loaded: &Loaded) -> Row {
    let (what, value) = what_is_said(said);
    Row {
        what,
        value,
        from: match &said.place {
            Some(place) => place.to_string(),
            None => loaded.place(&said.path).unwrap_or_else(|| "default".into()),
        },
        rule: said.path.clone(),
    }
}

fn text(explained: &Explained) -> String {
    let cells: Vec<[String; 4]> = (explained.values.iter())
        .map(|row| {
            let value = shown(&row.value);
            [row.what.clone(), value, row.rule.clone(), row.from.clone()]
        })
        .collect();
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max();
    let [what, value, rule] = [0, 1, 2].map(|at| width(at).unwrap_or(0));
    let mut text: String = cells
        .iter()
        .map(|[a, b, c, d]| format!("{a:what$}  {b:value$}  {c:rule$}  {d}\n"))
        .collect();
    text.extend(explained.notes.iter().map(|note| format!("note: {note}\n")));
    let may = if explained.may_start { "yes" } else { "no" };
    text.push_str(&format!("may start: {may} ({})\n", explained.why));
    text
}

pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            let words = words.iter().filter_map(Value::as_str);
            words.collect::<Vec<_>>().join(" ")
        }
        // `4`, not `4.0`.
        Value::Number(number) => number
            .as_f64()
            .map_or_else(String::new, |number| number.to_string()),
        other => other.to_string(),
    }
}
