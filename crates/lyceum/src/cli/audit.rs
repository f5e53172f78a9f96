//! `lyceum audit …`: who did what.

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_hub::api::lyceum::audit::model;
use lyceum_hub::audit::detail;
use lyceum_hub::db::audit::Row;
use lyceum_hub::db::search::audit::Search;
use lyceum_hub::db::users;
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::config::moment;
use crate::failure::Failure;

/// Say who logged in, what administrators and services did, and from where.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List it, the newest first.
    #[command(
        after_help = "Examples:\n  lyceum audit list --person ada\n  lyceum audit list --since 2026-11-30 --json"
    )]
    List {
        /// Only what this person did, or what was done with her account.
        #[arg(long, value_name = "NAME")]
        person: Option<UserName>,
        /// Only what was done since then: a day, or a time such as `2026-11-30 18:00`.
        #[arg(long, value_name = "DATE")]
        since: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl AuditCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self::List {
            person,
            since,
            limit,
            data,
            config,
            json,
        } = self;
        let (rows, zone) = block_on(async move {
            let (ground, config, _) = ground(&data, &config).await?;
            let since = since
                .map(|text| day_or_moment(&text, &config.time_zone))
                .transpose()?;
            let search = Search {
                person: person.as_ref().map(UserName::as_str),
                since: since.map(|at| at.0),
                ..Search::default()
            };
            let mut tx = ground.db.read().await.map_err(failed)?;
            let rows = search.page(&mut tx, 0, i64::from(limit)).await;
            let rows = rows.map_err(failed)?;
            // Of somebody who is gone there may be rows; a name that nobody has or had is a slip.
            if let Some(name) = person.as_ref().filter(|_| rows.is_empty())
                && users::find(&mut tx, name).await.map_err(failed)?.is_none()
                && !is_written_of(&mut tx, name).await?
            {
                return Err(nobody(name));
            }
            Ok((rows, config.time_zone))
        })?;
        if json {
            let rows: Vec<serde_json::Value> = rows.into_iter().map(model).collect();
            print_json(&rows)?;
        } else {
            let lines: String = rows.iter().map(|row| line(row, &zone)).collect();
            print(&lines)?;
        }
        Ok(Outcome::Good)
    }
}

/// Whether anything is, at any time.
async fn is_written_of(tx: &mut lyceum_store::Tx, name: &UserName) -> Result<bool, Failure> {
    let ever = Search {
        person: Some(name.as_str()),
        ..Search::default()
    };
    Ok(ever.count(tx).await.map_err(failed)? > 0)
}

fn nobody(name: &UserName) -> Failure {
    Failure::new(format!(
        "there is nobody called {name}, and nothing is written down of such a one"
    ))
    .hint("without --person all is listed; `lyceum admin list` names administrators, the page People everybody")
}

/// A day begins at midnight in the site's time zone.
fn day_or_moment(text: &str, zone: &TimeZone) -> Result<Millis, Failure> {
    let text = text.trim();
    let text = match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == 10 => format!("{day} 00:00"),
        _ => text.to_owned(),
    };
    moment(&text, zone).map_err(|message| {
        Failure::new(format!("--since: {message}"))
            .hint("a day alone will do, such as 2026-11-30: it begins at midnight there")
    })
}

/// As `--since` takes it: `2026-11-30 18:00:05+01:00`, in the site's zone. JSON has UTC to the millisecond.
fn stamp(at: Millis, zone: &TimeZone) -> String {
    let Ok(stamp) = Timestamp::from_millisecond(at.0) else {
        return at.to_iso();
    };
    let zone = match zone.is_unknown() {
        true => TimeZone::UTC,
        false => zone.clone(),
    };
    let at = stamp.to_zoned(zone);
    at.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

fn line(row: &Row, zone: &TimeZone) -> String {
    let mut words = vec![stamp(Millis(row.at), zone), row.what.clone()];
    let mut say = |key: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            words.push(format!("{key}={}", value.escape_debug()));
        }
    };
    say("about", row.about_name.as_deref());
    say("by", row.doer.as_deref());
    say("from", row.address.as_deref());
    if row.times > 1 {
        say("times", Some(row.times.to_string().as_str()));
    }
    for (key, value) in detail(&row.detail) {
        // Who did it stands there already as `by`.
        let key = if key == "by" { "through" } else { key.as_str() };
        say(key, Some(value.as_str()));
    }
    format!("{}\n", words.join("  "))
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_more_than_one_line() {
        let row = Row {
            id: "1".into(),
            at: 1_795_000_000_123,
            doer: Some("root".into()),
            address: None,
            what: "person_renamed".into(),
            about_id: Some("2".into()),
            about_name: Some("ada".into()),
            detail: r#"{"to": "a\nb"}"#.into(),
            times: 3,
        };
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let told = line(&row, &berlin);
        assert_eq!(
            told,
            "2026-11-18 12:06:40+01:00  person_renamed  about=ada  by=root  times=3  to=a\\nb\n"
        );
        // What is told there can be asked for.
        let since = day_or_moment("2026-11-18 12:06:40+01:00", &TimeZone::UTC);
        assert_eq!(since.expect("a time").0, 1_795_000_000_000);
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let zone = TimeZone::UTC;
        let at = day_or_moment("2026-11-30", &zone).expect("a day");
        assert_eq!(
            at.to_iso(),
            day_or_moment("2026-11-30 00:00", &zone)
                .expect("a time")
                .to_iso()
        );
        assert!(day_or_moment("yesterday", &zone).is_err());
    }
}
