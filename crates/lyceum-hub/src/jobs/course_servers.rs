//! Follows what courses say of their servers: tells who came to open one or does no more, and stops
//! the servers of courses that have none any more.
//!
//! Each replica reads the courses by itself and a little apart in time, so each tells what changed for
//! it; and since a file may have changed while no hub ran, each holds what it finds against what was
//! told last. Whoever starts anew tells once more what changed in the last minutes: the replica that it was
//! before may have let somebody in by what it had not read yet, and not have lived to tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::who::{Forms, Who};
use lyceum_store::{Tx, settings};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keeper::{self, Trouble};
use super::revocations::{self, Fallen};
use crate::course_servers::{self, is_open_to};
use crate::db::cull::Sentence;
use crate::db::servers::Server;
use crate::launch::CourseServers;
use crate::servers::State;
use crate::{Hub, db, launching, services, shares};

/// The setting that remembers what was told last.
const TOLD: &str = "course-servers";
/// The one that remembers whom courses let in until lately.
const LATELY: &str = "course-servers-lately";
/// Longer than a replica goes on by what it read before, or than somebody's access is remembered.
const LATELY_MS: i64 = 600_000;
/// With more people to be told than this, everybody is.
const MOST_TOLD: usize = 2_000;

/// Who opens the server of each course, as it is kept.
type Openers = BTreeMap<String, Vec<String>>;

/// Looks until shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut telling = Trouble::with("telling who opens the servers of courses");
    let mut stopping = Trouble::with("stopping servers of courses that have none any more");
    let mut changes = hub.shelf().changes();
    let mut known: Option<Arc<CourseServers>> = None;
    let mut gone = HashMap::new();
    let rounds = async {
        loop {
            changes.mark_unchanged();
            let servers = hub.shelf().servers();
            let is_same = known
                .as_ref()
                .is_some_and(|known| Arc::ptr_eq(known, &servers));
            if !is_same && telling.note(tell(&hub, known.as_deref(), &servers).await) {
                known = Some(servers);
            }
            stopping.note(stop_those_gone(&hub, &mut gone).await);
            let pause = tokio::time::sleep(hub.timings().courses_every);
            tokio::select! {
                () = pause => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

fn openers(servers: &CourseServers) -> Openers {
    let there = servers.there.iter();
    there
        .map(|server| {
            let who = server.open_to.iter().map(Who::to_string);
            (server.id.to_string(), who.collect())
        })
        .collect()
}

/// Says, in one transaction, for whom something is different from what this replica knew and from what
/// was told last. That it commits makes every look at a caller a new one ([`crate::seen`]).
async fn tell(
    hub: &Hub,
    known: Option<&CourseServers>,
    servers: &CourseServers,
) -> anyhow::Result<()> {
    let now = hub.now();
    let new = openers(servers);
    let mut tx = hub.db().write().await?;
    settings::lock(&mut tx, TOLD, "{}", now).await?;
    let text = settings::get(&mut tx, TOLD).await?.unwrap_or_default();
    let told: Openers = serde_json::from_str(&text).unwrap_or_default();
    let lately = lately(&mut tx, now).await?;
    let mut fallen = Some(Fallen::new());
    let earlier = match known {
        Some(known) => openers(known),
        None => over(&lately, &told),
    };
    for before in [&earlier, &told] {
        fallen = match (fallen, changed(&mut tx, before, &new).await?) {
            (Some(all), Some(some)) => Some(joined(all, some)),
            _ => None,
        };
    }
    if told == new && earlier == new {
        return Ok(tx.rollback().await?);
    }
    if told != new {
        remember(&mut tx, &lately, &told, &new, now).await?;
    }
    match &fallen {
        Some(fallen) => revocations::announce_several(&mut tx, fallen, now).await?,
        None => revocations::announce_all(&mut tx, now).await?,
    }
    // Written also when it is the same: that there is a commit is what counts.
    let text = serde_json::to_string(&new)?;
    settings::set(&mut tx, TOLD, &text, now).await?;
    tx.commit().await?;
    crate::proxy::pass_on(hub).await;
    Ok(())
}

/// Whom courses let in until lately, whoever of them is in by now.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lately {
    at: i64,
    openers: Openers,
}

async fn lately(tx: &mut Tx, now: Millis) -> anyhow::Result<Openers> {
    let text = settings::get(tx, LATELY).await?.unwrap_or_default();
    let lately: Lately = serde_json::from_str(&text).unwrap_or_default();
    let is_recent = now.since(Millis(lately.at)) < LATELY_MS;
    Ok(if is_recent {
        lately.openers
    } else {
        Openers::new()
    })
}

/// What may have been in force at some replica: what was told, with those that it left out since.
fn over(lately: &Openers, told: &Openers) -> Openers {
    let mut all = told.clone();
    for (course, entries) in lately {
        let known = all.entry(course.clone()).or_default();
        let missing = entries.iter().filter(|entry| !known.contains(entry));
        let missing: Vec<String> = missing.cloned().collect();
        known.extend(missing);
    }
    all
}

/// Keeps what was in force of those courses that are different now.
async fn remember(
    tx: &mut Tx,
    lately: &Openers,
    told: &Openers,
    new: &Openers,
    now: Millis,
) -> anyhow::Result<()> {
    let mut openers = over(lately, told);
    openers.retain(|course, _| lately.contains_key(course) || told.get(course) != new.get(course));
    let text = serde_json::to_string(&Lately { at: now.0, openers })?;
    Ok(settings::set(tx, LATELY, &text, now).await?)
}

fn joined(mut all: Fallen, some: Fallen) -> Fallen {
    for (name, grounds) in some {
        let known = all.entry(name).or_insert_with(|| Some(Vec::new()));
        *known = known
            .take()
            .zip(grounds)
            .map(|(known, new)| [known, new].concat());
    }
    all
}

/// Those who open a server now and did not, or the other way round, each with what of hers rests on
/// it. None: they are too many to be told one by one.
async fn changed(tx: &mut Tx, before: &Openers, after: &Openers) -> anyhow::Result<Option<Fallen>> {
    let mut fallen = Fallen::new();
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for id in ids {
        let [old, new] =
            [before.get(id), after.get(id)].map(|entry| entry.map_or(&[][..], |entry| &**entry));
        if old == new {
            continue;
        }
        let [old, new] = [old, new].map(|entries| {
            let entries = entries.iter();
            let read = entries.filter_map(|entry| Who::parse(entry, Forms::People).ok());
            read.collect::<Vec<Who>>()
        });
        let Some(server) = course_servers::row_of(tx, id).await? else {
            // It never ran, so nothing rests on it; that others are told to open it is enough.
            continue;
        };
        let ground = shares::ground(&server.id);
        let mut somebody_left = false;
        for (name, groups) in people(tx, old.iter().chain(&new)).await? {
            let (opened, opens) = (
                is_open_to(&old, &name, &groups),
                is_open_to(&new, &name, &groups),
            );
            if opened != opens {
                let known = fallen
                    .entry(name.to_string())
                    .or_insert_with(|| Some(Vec::new()));
                known.get_or_insert_default().push(ground.clone());
            }
            somebody_left |= opened && !opens;
        }
        if somebody_left {
            // Who worked in it may have taken what the server holds of the others; they get new ones
            // without a question.
            db::tokens::delete_of_client(tx, &server.client_id).await?;
        }
        if fallen.len() > MOST_TOLD {
            return Ok(None);
        }
    }
    Ok(Some(fallen))
}

/// All whom these entries name, each with those of the groups among them that she is in.
async fn people(
    tx: &mut Tx,
    entries: impl Iterator<Item = &Who>,
) -> anyhow::Result<BTreeMap<UserName, Vec<String>>> {
    let mut people = BTreeMap::<UserName, Vec<String>>::new();
    for entry in entries {
        match entry {
            Who::Person(name) => {
                people.entry(name.clone()).or_default();
            }
            Who::Group(group) => {
                for name in db::groups::members(tx, group).await? {
                    people.entry(name).or_default().push(group.clone());
                }
            }
            Who::Course { .. } | Who::Role(_) => {}
        }
    }
    Ok(people)
}

/// A server goes when its course has been without one for a while: files are written anew in more than
/// one step. `gone`: since when, by their ids.
async fn stop_those_gone(hub: &Hub, gone: &mut HashMap<String, Instant>) -> anyhow::Result<()> {
    let mut tx = hub.db().read().await?;
    let running = db::servers::active_of_courses(&mut tx).await?;
    if running.is_empty() {
        gone.clear();
        return Ok(());
    }
    let named = services::all(&hub.settings().grants, &mut tx).await?;
    drop(tx);
    let servers = hub.shelf().servers();
    let is_wanted = |server: &Server| {
        server.user_name.course().is_some_and(|course| {
            let there = servers.there.iter().any(|one| one.id == course);
            !named.contains_key(course.as_str()) && (there || servers.unclear.contains(&course))
        })
    };
    let unwanted: Vec<&Server> = running.iter().filter(|one| !is_wanted(one)).collect();
    gone.retain(|id, _| unwanted.iter().any(|server| server.id == *id));
    for server in unwanted {
        let since = gone.entry(server.id.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= hub.timings().courses_every {
            stop(hub, server).await?;
        }
    }
    Ok(())
}

async fn stop(hub: &Hub, server: &Server) -> anyhow::Result<()> {
    if server.state != State::Ready {
        if server.state != State::Stopping {
            launching::stop(hub, server).await?;
        }
        return Ok(());
    }
    let now = hub.now();
    let reason = say!("course.no_server_any_more");
    let sentence = Sentence {
        reason: &reason,
        unused_since: i64::MAX,
        remove: false,
    };
    let mut tx = hub.db().write().await?;
    let ended = db::cull::end(&mut tx, server, sentence, now.0).await?;
    if ended {
        keeper::publish(&mut tx, server, now).await?;
    }
    tx.commit().await?;
    if ended {
        tracing::info!(user = %server.user_name, "the server of a course is stopped: the course has none any more");
    }
    Ok(())
}
