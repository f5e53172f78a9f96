//! `lyceum maintenance …`: a time in which only administrators, and whom the configuration
//! lets in, come in; begun and ended at once.

use clap::Subcommand;
use jiff::tz::TimeZone;
use lyceum_hub::audit::Doer;
use lyceum_hub::maintenance::{self, MESSAGE_MAX, Switched};
use lyceum_model::clock::Millis;
use serde_json::{Value, json};

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::config::{Config, moment, told};
use crate::failure::Failure;

/// Begin and end a maintenance, in which only administrators, and those in `maintenance.allow`, log in
/// and start servers.
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Begin one now. It holds at all hubs when this returns; their pages tell of it a moment later. What
    /// runs goes on.
    #[command(
        after_help = "Examples:\n  lyceum maintenance on --message \"New disks\"\n  \
                      lyceum maintenance on --until \"2026-11-30 20:00\""
    )]
    On {
        /// What people are told besides.
        #[arg(long, value_name = "TEXT")]
        message: Option<String>,
        /// When it ends by itself, such as `2026-11-30 20:00`, in the `time_zone` of the configuration
        /// unless an offset (`+01:00`, `Z`) stands behind it.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// End it.
    Off {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Say whether there is one, by this command, by the Admin page or by the configuration.
    Status {
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl MaintenanceCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::On {
                message,
                until,
                data,
                config,
            } => {
                let message = message.as_deref().and_then(Switched::message);
                let length = message.as_ref().map_or(0, |text| text.chars().count());
                if length > MESSAGE_MAX {
                    let message = format!("the message is longer than {MESSAGE_MAX} characters");
                    return Err(Failure::new(message));
                }
                let (until, zone) = block_on(async move {
                    let (ground, config, _) = ground(&data, &config).await?;
                    let now = ground.clock.now();
                    let end = |text: &str| moment(text, &config.time_zone).map_err(Failure::new);
                    let until = until.as_deref().map(end).transpose()?;
                    if until.is_some_and(|until| until.0 <= now.0) {
                        return Err(Failure::new("that end is over already"));
                    }
                    let order = Switched {
                        since: now,
                        until,
                        message,
                        by: "command line".into(),
                    };
                    let mut tx = ground.db.write().await.map_err(failed)?;
                    let done = maintenance::switch_on(&mut tx, &order).await;
                    done.map_err(failed)?;
                    let (nobody, now) = (Doer::nobody(), ground.clock.now());
                    let noted = maintenance::note_switched(&mut tx, &nobody, Some(&order), now);
                    noted.await.map_err(failed)?;
                    tx.commit().await.map_err(failed)?;
                    Ok((until, config.time_zone))
                })?;
                let end = until.map(|at| format!(" until {}", told(at, &zone)));
                let end = end.unwrap_or_default();
                print(&format!(
                    "maintenance is on{end}; `lyceum maintenance off` ends it\n"
                ))?;
            }
            Self::Off { data, config } => {
                let (was, planned) = block_on(async move {
                    let (ground, config, _) = ground(&data, &config).await?;
                    let now = ground.clock.now();
                    let mut tx = ground.db.write().await.map_err(failed)?;
                    let was = maintenance::switch_off(&mut tx, now).await;
                    let was = was.map_err(failed)?;
                    if was {
                        let noted =
                            maintenance::note_switched(&mut tx, &Doer::nobody(), None, now).await;
                        noted.map_err(failed)?;
                    }
                    tx.commit().await.map_err(failed)?;
                    Ok((was, planned(&config, now)))
                })?;
                print(match was {
                    true => "maintenance is off\n",
                    false => "maintenance was not on\n",
                })?;
                if planned.is_some_and(|planned| planned.now) {
                    print("the configuration still names one that is going on: `maintenance`\n")?;
                }
            }
            Self::Status { data, config, json } => {
                let (order, planned, zone) = block_on(async move {
                    let (ground, config, _) = ground(&data, &config).await?;
                    let now = ground.clock.now();
                    let mut tx = ground.db.read().await.map_err(failed)?;
                    let order = maintenance::find(&mut tx).await.map_err(failed)?;
                    let order = order.filter(|order| !order.is_over(now));
                    let planned = planned(&config, now);
                    Ok((order, planned, config.time_zone))
                })?;
                match json {
                    true => print_json(&as_json(order.as_ref(), planned.as_ref()))?,
                    false => print(&status(order.as_ref(), planned.as_ref(), &zone))?,
                }
            }
        }
        Ok(Outcome::Good)
    }
}

/// What the configuration names.
struct Planned {
    from: Millis,
    until: Option<Millis>,
    now: bool,
}

fn planned(config: &Config, now: Millis) -> Option<Planned> {
    let planned = config.site.notices.maintenance.as_ref()?;
    let is_over = planned.until.is_some_and(|until| until.0 <= now.0);
    (!is_over).then_some(Planned {
        from: planned.from,
        until: planned.until,
        now: planned.from.0 <= now.0,
    })
}

fn is_on(order: Option<&Switched>, planned: Option<&Planned>) -> bool {
    order.is_some() || planned.is_some_and(|planned| planned.now)
}

fn as_json(order: Option<&Switched>, planned: Option<&Planned>) -> Value {
    let until = |at: Option<Millis>| at.map(|at| at.to_iso());
    json!({
        "on": is_on(order, planned),
        "switched": order.map(|order| json!({
            "since": order.since.to_iso(),
            "until": until(order.until),
            "message": order.message,
            "by": order.by,
        })),
        "planned": planned.map(|planned| json!({
            "from": planned.from.to_iso(),
            "until": until(planned.until),
        })),
    })
}

/// In words, with times as people tell them there.
fn status(order: Option<&Switched>, planned: Option<&Planned>, zone: &TimeZone) -> String {
    let end = |at: Option<Millis>| {
        let end = at.map(|at| format!(" until {}", told(at, zone)));
        end.unwrap_or_default()
    };
    let on = is_on(order, planned);
    let mut text = format!("maintenance is {}\n", if on { "on" } else { "off" });
    if let Some(order) = order {
        let message = order.message.as_ref();
        let message = message.map_or_else(String::new, |text| format!(": {text}"));
        text.push_str(&format!(
            "switched on {}{} by {}{message}\n",
            told(order.since, zone),
            end(order.until),
            order.by
        ));
    }
    if let Some(planned) = planned {
        let from = told(planned.from, zone);
        text.push_str(&format!("planned from {from}{}\n", end(planned.until)));
    }
    text
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
