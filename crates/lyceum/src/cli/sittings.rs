//! `lyceum sitting …`: exams to which people come in with codes on paper.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lyceum_hub::audit::Doer;
use lyceum_hub::db;
use lyceum_hub::sittings::{self, By, NotNow, Sheet, Sitting, Which, Wish, as_text};
use serde_json::{Value, json};

use super::explain::unknown;
use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::compose::{self, code_key};
use crate::config::{Config, moment, told};
use crate::failure::Failure;

/// Where a code is typed, with the code behind it.
const PAGE: &str = "/hub/login/seat";
/// What stands in the log and in lists for whoever did it here.
const PEOPLE_MAX: u64 = 1024 * 1024;

/// Make exams with codes on paper: each good once, for one account, in one window of time.
#[derive(Debug, Subcommand)]
pub enum SittingCommand {
    /// Make one, and print its codes. They are shown once. The page "Exams" of administrators makes sheets
    /// with pictures for cameras as well.
    #[command(
        after_help = "Who takes part stands in a file, one on each line: `ada`, `ada, 17` with her seat, \
            `ada, 17, 10.0.5.17` with the seat's address, each with an account here; or `exam-bio-{1..30}`: accounts with numbers that are \
            made for this exam, one for each seat.\n\n\
            Examples:\n  lyceum sitting create --title \"Signals\" --begins \"2026-11-30 09:00\" --ends \"2026-11-30 11:00\" \
            --network 10.0.5.0/24 people.txt\n  \
            echo 'exam-bio-{1..30}' | lyceum sitting create --title Biology --begins … --ends … --csv - > codes.csv"
    )]
    Create(Box<Create>),
    /// List them.
    List {
        #[command(flatten)]
        at: At,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Say who has come.
    Show {
        /// Its id.
        sitting: String,
        #[command(flatten)]
        at: At,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Make new codes; those before are good no more. Whoever came in with one of them is logged out.
    Renew {
        /// Its id.
        sitting: String,
        /// The number of the place, as `show` tells it. Left out: all where nobody has come.
        #[arg(long, value_name = "N")]
        place: Option<i64>,
        #[command(flatten)]
        at: At,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
    /// Take a code back; whoever came in with it is logged out.
    TakeBack {
        /// Its id.
        sitting: String,
        /// The number of the place, as `show` tells it.
        place: i64,
        #[command(flatten)]
        at: At,
    },
    /// Remove one with its codes; whoever came in with one is logged out. Accounts and files stay.
    Remove {
        /// Its id.
        sitting: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// What stands on the sheets.
    #[arg(long)]
    title: String,
    /// When the codes begin to be good, such as `2026-11-30 09:00`, in the `time_zone` of the configuration
    /// unless an offset stands behind it.
    #[arg(long, value_name = "TIME")]
    begins: String,
    /// When they end to be, and whoever came in with one is logged out.
    #[arg(long, value_name = "TIME")]
    ends: String,
    /// The id of a course of this site, for whoever reads the list.
    #[arg(long, value_name = "ID")]
    course: Option<String>,
    /// From where codes are good; may be repeated. Left out: from anywhere.
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Who besides administrators sees who has come, takes codes back and, until the end, makes new ones; may be
    /// repeated. She has to have an account here.
    #[arg(long, value_name = "NAME")]
    invigilator: Vec<String>,
    /// Who takes part; `-` or left out: standard input.
    people: Option<PathBuf>,
    #[command(flatten)]
    at: At,
    /// Print JSON, for machines.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print lines of `seat,user,code`.
    #[arg(long)]
    csv: bool,
}

/// Which installation.
#[derive(Debug, Args)]
pub struct At {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl SittingCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Create(create) => create.run()?,
            Self::List { at, json } => list(&at, json)?,
            Self::Show { sitting, at, json } => show(&at, &sitting, json)?,
            Self::Renew {
                sitting,
                place,
                at,
                json,
            } => renew(&at, &sitting, place, json)?,
            Self::TakeBack { sitting, place, at } => take_back(&at, &sitting, place)?,
            Self::Remove { sitting, at } => remove(&at, &sitting)?,
        }
        Ok(Outcome::Good)
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let people = read(self.people.as_deref())?;
        let (json, csv) = (self.json, self.csv);
        let (sitting, sheets, config) = block_on(async move {
            let (ground, config, layout) = ground(&self.at.data, &self.at.config).await?;
            let time = |key: &str, text: &str| {
                moment(text, &config.time_zone)
                    .map_err(|message| Failure::new(format!("--{key}: {message}")))
            };
            let wish = Wish {
                title: self.title,
                course: self.course,
                begins: time("begins", &self.begins)?,
                ends: time("ends", &self.ends)?,
                networks: self.network,
                invigilators: self.invigilator,
                people,
            };
            let now = ground.clock.now();
            let wrong =
                |wrong: sittings::Wrong| Failure::new(format!("{}: {}", wrong.field, wrong.why));
            let checked = wish.check(now).map_err(wrong)?;
            if let Some(id) = checked.course() {
                let shelf = compose::shelf(&layout, &config)?;
                if shelf.course(&id).is_none() && !shelf.is_unclear(&id) {
                    return Err(unknown(&id, &shelf));
                }
            }
            if let Some(name) = (checked.names()).find(|name| config.people.admins.contains(*name))
            {
                return Err(Failure::new(format!(
                    "people: {name} administers here; a code opens no such account"
                )));
            }
            let mut tx = ground.db.write().await.map_err(failed)?;
            let key = code_key(&ground.keys);
            let nobody = Doer::nobody();
            let made = sittings::make(&mut tx, &key, &checked, By::maker(&nobody), now).await;
            let (sitting, sheets) = made.map_err(failed)?.map_err(wrong)?;
            tx.commit().await.map_err(failed)?;
            Ok((sitting, sheets, config))
        })?;
        if csv {
            return print(&as_text(&sheets));
        }
        tell_sheets(&sitting, &sheets, &config, json)
    }
}

fn read(file: Option<&std::path::Path>) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file.filter(|file| file.as_os_str() != "-") {
        Some(file) => std::fs::File::open(file)
            .and_then(|from| from.take(PEOPLE_MAX).read_to_string(&mut text)),
        None => (std::io::stdin().lock().take(PEOPLE_MAX)).read_to_string(&mut text),
    };
    read.map_err(|error| Failure::io("the list of those who take part can't be read", &error))?;
    Ok(text)
}

/// Codes are shown here and nowhere else.
fn tell_sheets(
    sitting: &Sitting,
    sheets: &[Sheet],
    config: &Config,
    as_json: bool,
) -> Result<(), Failure> {
    let page = config.public_url.as_ref().map(|url| {
        let origin = url.origin().ascii_serialization();
        format!("{origin}{}", config.base.at(PAGE))
    });
    if as_json {
        let sheets = sheets.iter().map(|sheet| {
            let code = sheet.code.shown();
            json!({
                "place": sheet.place,
                "seat": sheet.seat,
                "user": sheet.who,
                "link": page.as_ref().map(|page| format!("{page}#{code}")),
                "code": code,
            })
        });
        let sheets: Vec<Value> = sheets.collect();
        return print_json(&json!({ "id": sitting.id, "codes": sheets }));
    }
    let mut text = format!("{}  {}\n", sitting.id, sitting.title);
    for sheet in sheets {
        let seat = match sheet.seat.as_str() {
            "" => String::new(),
            seat => format!("  seat {seat}"),
        };
        text.push_str(&format!("{}  {}{seat}\n", sheet.code.shown(), sheet.who));
    }
    if let Some(page) = page {
        text.push_str(&format!("they are typed at {page}\n"));
    }
    text.push_str("these codes are not shown again; `lyceum sitting renew` makes new ones\n");
    print(&text)
}

fn list(at: &At, as_json: bool) -> Result<(), Failure> {
    let (all, tallies, zone) = block_on(async {
        let (ground, config, _) = ground(&at.data, &at.config).await?;
        let mut tx = ground.db.read().await.map_err(failed)?;
        let all = db::sittings::list(&mut tx, sittings::LIST_MAX).await;
        let tallies = db::sittings::tallies(&mut tx).await.map_err(failed)?;
        Ok((all.map_err(failed)?, tallies, config.time_zone))
    })?;
    let tally = |id: &str| {
        let found = tallies.iter().find(|(one, ..)| one == id);
        found.map_or((0, 0), |(_, places, came)| (*places, *came))
    };
    let all: Vec<Sitting> = all.into_iter().map(Sitting::from).collect();
    if as_json {
        let models: Vec<Value> = (all.iter())
            .map(|one| {
                let (places, came) = tally(&one.id);
                json!({
                    "id": one.id, "title": one.title, "course": one.course,
                    "begins": one.begins.to_iso(), "ends": one.ends.to_iso(),
                    "places": places, "came": came,
                })
            })
            .collect();
        return print_json(&json!({ "sittings": models }));
    }
    if all.is_empty() {
        return print("there is no exam with codes; `lyceum sitting create` makes one\n");
    }
    let lines = all.iter().map(|one| {
        let (places, came) = tally(&one.id);
        let (begins, ends) = (told(one.begins, &zone), told(one.ends, &zone));
        format!(
            "{}  {begins} to {ends}  {came} of {places}  {}\n",
            one.id, one.title
        )
    });
    print(&lines.collect::<String>())
}

fn show(at: &At, id: &str, as_json: bool) -> Result<(), Failure> {
    let (sitting, rows, zone) = block_on(async {
        let (ground, config, _) = ground(&at.data, &at.config).await?;
        let mut tx = ground.db.read().await.map_err(failed)?;
        let sitting = find(&mut tx, id).await?;
        let rows = sittings::now_at(&mut tx, id).await.map_err(failed)?;
        Ok((sitting, rows, config.time_zone))
    })?;
    let iso = |at: Option<i64>| at.map(|at| lyceum_model::clock::Millis(at).to_iso());
    if as_json {
        let places: Vec<Value> = (rows.iter())
            .map(|row| {
                json!({
                    "place": row.place, "seat": row.seat, "user": row.user_name,
                    "used": iso(row.used_at), "address": row.used_address,
                    "taken_back": iso(row.revoked_at),
                })
            })
            .collect();
        return print_json(&json!({ "id": sitting.id, "title": sitting.title, "places": places }));
    }
    let mut text = format!(
        "{}  {} to {}\n",
        sitting.title,
        told(sitting.begins, &zone),
        told(sitting.ends, &zone)
    );
    for row in rows {
        let time = |at: i64| told(lyceum_model::clock::Millis(at), &zone);
        let state = match (row.revoked_at, row.used_at) {
            (Some(at), _) => format!("taken back {}", time(at)),
            (None, Some(at)) => {
                let address = row.used_address.unwrap_or_default();
                format!("came {} from {address}", time(at))
            }
            (None, None) => "not yet".into(),
        };
        let seat = if row.seat.is_empty() { "-" } else { &row.seat };
        text.push_str(&format!(
            "{}  seat {seat}  {}  {state}\n",
            row.place, row.user_name
        ));
    }
    print(&text)
}

fn renew(at: &At, id: &str, place: Option<i64>, as_json: bool) -> Result<(), Failure> {
    let which = place.map_or(Which::Unused, Which::One);
    let (sitting, sheets, config) = block_on(async {
        let (ground, config, _) = ground(&at.data, &at.config).await?;
        let mut tx = ground.db.write().await.map_err(failed)?;
        let sitting = find(&mut tx, id).await?;
        let (key, now) = (code_key(&ground.keys), ground.clock.now());
        let nobody = Doer::nobody();
        let sheets = sittings::renew(&mut tx, &key, id, which, By::maker(&nobody), now).await;
        let gone = |_: NotNow| no_such(id);
        let sheets = sheets.map_err(failed)?.map_err(gone)?;
        tx.commit().await.map_err(failed)?;
        Ok((sitting, sheets, config))
    })?;
    if sheets.is_empty() {
        return Err(Failure::new("there is no such place, or all have come")
            .hint("`lyceum sitting show ID` lists the places with their numbers"));
    }
    tell_sheets(&sitting, &sheets, &config, as_json)
}

fn take_back(at: &At, id: &str, place: i64) -> Result<(), Failure> {
    let was = block_on(async {
        let (ground, _, _) = ground(&at.data, &at.config).await?;
        let mut tx = ground.db.write().await.map_err(failed)?;
        find(&mut tx, id).await?;
        let nobody = Doer::nobody();
        let by = By::maker(&nobody);
        let was = sittings::take_back(&mut tx, id, place, by, ground.clock.now()).await;
        let was = was.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(was)
    })?;
    match was {
        true => print("the code is taken back\n"),
        false => Err(Failure::new("no code is good at this place")
            .hint("`lyceum sitting show ID` lists the places with their numbers")),
    }
}

fn remove(at: &At, id: &str) -> Result<(), Failure> {
    block_on(async {
        let (ground, _, _) = ground(&at.data, &at.config).await?;
        let mut tx = ground.db.write().await.map_err(failed)?;
        find(&mut tx, id).await?;
        let nobody = Doer::nobody();
        let by = By::maker(&nobody);
        let removed = sittings::remove(&mut tx, id, by, ground.clock.now()).await;
        removed.map_err(failed)?;
        tx.commit().await.map_err(failed)
    })?;
    print("removed\n")
}

async fn find(tx: &mut lyceum_store::Tx, id: &str) -> Result<Sitting, Failure> {
    let found = db::sittings::find(tx, id).await.map_err(failed)?;
    found.map(Sitting::from).ok_or_else(|| no_such(id))
}

fn no_such(id: &str) -> Failure {
    Failure::new(format!("there is no sitting {id:?}"))
        .hint("`lyceum sitting list` tells their ids")
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
