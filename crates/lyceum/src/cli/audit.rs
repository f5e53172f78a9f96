//! `lyceum audit …`: who did what.

use clap::Subcommand;
use lyceum_hub::api::lyceum::audit::model;
use lyceum_hub::audit::detail;
use lyceum_hub::db::audit::Row;
use lyceum_hub::db::search::audit::Search;
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
        let rows = block_on(async move {
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
            search
                .page(&mut tx, 0, i64::from(limit))
                .await
                .map_err(failed)
        })?;
        if json {
            let rows: Vec<serde_json::Value> = rows.into_iter().map(model).collect();
            print_json(&rows)?;
        } else {
            let lines: String = rows.iter().map(line).collect();
            print(&lines)?;
        }
        Ok(Outcome::Good)
    }
}

/// A day begins at midnight in the site's time zone.
fn day_or_moment(text: &str, zone: &jiff::tz::TimeZone) -> Result<Millis, Failure> {
    let text = text.trim();
    let text = match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == 10 => format!("{day} 00:00"),
        _ => text.to_owned(),
    };
    moment(&text, zone).map_err(|message| Failure::new(format!("--since: {message}")))
}

fn line(row: &Row) -> String {
    let mut words = vec![Millis(row.at).to_iso(), row.what.clone()];
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
            at: 0,
            doer: Some("root".into()),
            address: None,
            what: "person_renamed".into(),
            about_id: Some("2".into()),
            about_name: Some("ada".into()),
            detail: r#"{"to": "a\nb"}"#.into(),
            times: 3,
        };
        let told = line(&row);
        assert!(
            told.ends_with("person_renamed  about=ada  by=root  times=3  to=a\\nb\n"),
            "{told}"
        );
    }

    #[test]
    fn a_day_begins_at_midnight() {
        let zone = jiff::tz::TimeZone::UTC;
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
