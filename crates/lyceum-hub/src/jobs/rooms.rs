//! Makes room before many come: tells the spawner, once for each meeting and by one replica, and
//! keeps what it says is short where every replica finds it. Whose places are kept is in
//! [`crate::rooms`], what ends early for it in [`super::culler`].

use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_spawn::spawner::{Resource, Shortage};
use lyceum_store::{Tx, settings};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::keeper::Trouble;
use crate::Hub;
use crate::cull::in_ms;
use crate::metrics::RoomLabel;
use crate::rooms::{self, Room};

/// The name under which it is kept what was done.
const NAME: &str = "rooms";
/// A replica that has not come back after so long has died over it.
const LIMIT: Duration = Duration::from_secs(600);
/// More than this at once is told in the next round.
const MADE_MAX: usize = 500;

/// What was done for a meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub course: String,
    /// When the meeting begins: by that it is known again.
    pub begins: i64,
    pub ends: i64,
    people: u64,
    since: i64,
    /// None while the spawner is at it.
    pub short: Option<Vec<Shortage>>,
}

impl Made {
    fn is_for(&self, room: &Room) -> bool {
        self.course == room.course && self.begins == room.begins.0 && self.people == room.people
    }
}

/// Looks until shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut trouble = Trouble::with("making room for courses");
    let rounds = async {
        loop {
            tokio::time::sleep(hub.timings().rooms_every).await;
            trouble.note(look(&hub).await);
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

async fn look(hub: &Hub) -> anyhow::Result<()> {
    let now = hub.now();
    let rooms = hub.rooms(now);
    let open: Vec<&Room> = rooms.iter().filter(|room| room.is_open(now)).collect();
    tell_missing(hub, &open).await?;
    for room in open {
        if !begin(hub, room, now).await? {
            continue;
        }
        tracing::info!(course = room.course, people = room.people, "making room");
        let made = async {
            let spec = hub.planner().plan_room(&room.course).await?;
            let people = room.people;
            let made = tokio::time::timeout(LIMIT, hub.spawner().make_room(people, &spec));
            Ok::<_, anyhow::Error>(made.await??)
        };
        let short = match made.await {
            Ok(short) => short,
            Err(error) => {
                tracing::warn!(
                    course = room.course,
                    error = format!("{error:#}"),
                    "room could not be made; the meeting goes on without"
                );
                Vec::new()
            }
        };
        for one in &short {
            tracing::warn!(
                course = room.course,
                people = room.people,
                what = one.of.word(),
                needed = one.needed,
                free = one.free,
                "there is less than the servers of a meeting are guaranteed"
            );
        }
        done(hub, room, short).await?;
    }
    Ok(())
}

/// Whether it is this replica that makes it.
async fn begin(hub: &Hub, room: &Room, now: Millis) -> anyhow::Result<bool> {
    // Nearly always there is nothing to do, which needs no lock.
    let mut tx = hub.db().read().await?;
    let is_new = |all: &[Made]| {
        !all.iter().any(|made| {
            made.is_for(room)
                && (made.short.is_some() || now.since(Millis(made.since)) < in_ms(LIMIT) * 2)
        })
    };
    if !is_new(&all(&mut tx).await?) {
        return Ok(false);
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    settings::lock(&mut tx, NAME, "[]", now).await?;
    let mut made = all(&mut tx).await?;
    if !is_new(&made) {
        return Ok(false);
    }
    made.retain(|made| made.ends > now.0 && !made.is_for(room));
    if made.len() >= MADE_MAX {
        return Ok(false);
    }
    made.push(Made {
        course: room.course.clone(),
        begins: room.begins.0,
        ends: room.ends.0,
        people: room.people,
        since: now.0,
        short: None,
    });
    settings::set(&mut tx, NAME, &serde_json::to_string(&made)?, now).await?;
    tx.commit().await?;
    Ok(true)
}

async fn done(hub: &Hub, room: &Room, short: Vec<Shortage>) -> anyhow::Result<()> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    settings::lock(&mut tx, NAME, "[]", now).await?;
    let mut made = all(&mut tx).await?;
    if let Some(made) = made.iter_mut().find(|made| made.is_for(room)) {
        made.short = Some(short);
    }
    settings::set(&mut tx, NAME, &serde_json::to_string(&made)?, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn all(tx: &mut Tx) -> sqlx::Result<Vec<Made>> {
    let text = settings::get(tx, NAME).await?;
    // What another version wrote is made anew.
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

/// What the spawner has said is short for this meeting.
pub async fn short_of(tx: &mut Tx, room: &Room) -> sqlx::Result<Vec<Shortage>> {
    let all = all(tx).await?;
    let made = all.into_iter().find(|made| made.is_for(room));
    Ok(made.and_then(|made| made.short).unwrap_or_default())
}

/// The same on every replica: it is made of what is written down.
async fn tell_missing(hub: &Hub, open: &[&Room]) -> anyhow::Result<()> {
    let mut missing = [
        (Resource::Memory.word(), 0_u64),
        (Resource::Disk.word(), 0),
        ("places", 0),
    ];
    if !open.is_empty() {
        let mut tx = hub.db().read().await?;
        for room in open {
            for short in short_of(&mut tx, room).await? {
                let more = short.needed.saturating_sub(short.free);
                for (what, bytes) in &mut missing {
                    if *what == short.of.word() {
                        *bytes = bytes.saturating_add(more);
                    }
                }
            }
        }
        if let Some(limit) = rooms::limit(hub) {
            let kept = open.iter().filter(|room| room.keeps);
            let people: u64 = kept.map(|room| room.people).sum();
            missing[2].1 = people.saturating_sub(limit);
        }
    }
    for (what, many) in missing {
        let gauge = &hub.metrics().room_missing;
        let many = i64::try_from(many).unwrap_or(i64::MAX);
        gauge.get_or_create(&RoomLabel { what }).set(many);
    }
    Ok(())
}
