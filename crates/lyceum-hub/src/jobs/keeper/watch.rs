//! Servers that end by themselves, and ones that run though nobody knows them.
//!
//! Every replica looks; state and generation of the row decide whose finding counts.

use std::collections::HashSet;
use std::time::Instant;

use futures_util::{StreamExt, stream};
use lyceum_model::say;
use lyceum_model::server::ServerKey;
use lyceum_spawn::probe::port_taken;
use lyceum_spawn::{PortOwner, Status};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Trouble, answer, publish};
use crate::db::servers::Server;
use crate::servers::State;
use crate::{Hub, db, metrics, trouble};

/// A ready server is asked after each this many rounds; in between it is enough that the spawner
/// still has it, which it tells of all at once.
const ROUNDS: u64 = 12;
/// Rows read at a time.
const CHUNK: usize = 200;
/// Questions to the spawner under way at once: one server whose answer hangs delays few.
const ASKED_AT_ONCE: usize = 32;
/// Orphans stopped at once.
const ORPHANS_AT_ONCE: usize = 8;

/// What came of a look: whether all that was to be asked was, and what was found is written down;
/// and if so, whether each of these questions had an answer.
type Looked = anyhow::Result<anyhow::Result<()>>;

/// A look at all of them whose findings are written down.
struct Round {
    /// The spawner told which servers run, or else of each whether it does. One that gives no answer
    /// keeps that from no other.
    told: bool,
    answered: anyhow::Result<()>,
}

/// Looks after ready servers until shutdown.
pub(super) async fn ended(hub: &Hub, shutdown: &CancellationToken) {
    let mut trouble = Trouble::with("looking after ready servers");
    let mut tick = interval(hub.timings().watch_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_first, mut round) = (true, 0);
    let rounds = async {
        loop {
            let begun = tokio::select! {
                _ = tick.tick() => Instant::now(),
                keys = hub.suspicion().keys() => {
                    trouble.note(look_at_suspects(hub, &keys).await.flatten());
                    continue;
                }
            };
            let from = hub.now();
            // What was before is unknown: all are asked.
            let looked = look(hub, (!is_first).then_some(round)).await;
            round += 1;
            if looked.as_ref().is_ok_and(|looked| looked.told) {
                hub.say_watched(from);
            }
            if looked.is_ok() && std::mem::take(&mut is_first) {
                let seconds = &hub.metrics().first_watch_seconds;
                seconds.observe(begun.elapsed().as_secs_f64());
            }
            trouble.note(looked.and_then(|looked| looked.answered));
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

/// Without a round's number, asks after each ready server.
async fn look(hub: &Hub, round: Option<u64>) -> anyhow::Result<Round> {
    let mut listed = Ok(());
    let running: Option<HashSet<String>> = match round {
        None => None,
        Some(_) => match answer(hub, hub.spawner().list()).await {
            Ok(running) => Some(running.iter().map(ToString::to_string).collect()),
            // A spawner that can't tell of all may tell of each: then all are asked.
            Err(error) => {
                listed = Err(error.context("listing servers; each is asked after instead"));
                None
            }
        },
    };
    let mut tx = hub.db().read().await?;
    let ready = db::servers::ready(&mut tx).await?;
    drop(tx);
    let is_due = |(id, key): &(String, String)| match (round, &running) {
        (Some(round), Some(running)) if running.contains(key) => turn_of(id) == round % ROUNDS,
        _ => true,
    };
    let due: Vec<String> = ready.into_iter().filter(is_due).map(|(id, _)| id).collect();
    let asked = look_at_all(hub, &due).await?;
    Ok(Round {
        told: running.is_some() || asked.is_ok(),
        answered: asked.and(listed),
    })
}

/// Which of the rounds is a server's.
fn turn_of(id: &str) -> u64 {
    let sum = |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    id.bytes().fold(0, sum) % ROUNDS
}

async fn look_at_suspects(hub: &Hub, keys: &[ServerKey]) -> Looked {
    let mut tx = hub.db().read().await?;
    let mut ids = Vec::new();
    for key in keys {
        ids.extend(db::servers::by_key(&mut tx, key.as_str()).await?);
    }
    drop(tx);
    let ids: Vec<String> = ids.into_iter().map(|server| server.id).collect();
    look_at_all(hub, &ids).await
}

async fn look_at_all(hub: &Hub, ids: &[String]) -> Looked {
    let (mut written, mut answered) = (Ok(()), Ok(()));
    for ids in ids.chunks(CHUNK) {
        let mut tx = hub.db().read().await?;
        let servers = db::servers::of_ids(&mut tx, ids).await?;
        drop(tx);
        let ready = servers
            .into_iter()
            .filter(|server| server.state == State::Ready);
        let looks = stream::iter(ready).map(|server| async move { look_at(hub, &server).await });
        let mut looks = looks.buffer_unordered(ASKED_AT_ONCE);
        while let Some(one) = looks.next().await {
            match one {
                Ok(answer) => answered = answered.and(answer),
                Err(error) => written = written.and(Err(error)),
            }
        }
    }
    written.map(|()| answered)
}

async fn look_at(hub: &Hub, server: &Server) -> Looked {
    let Some(key) = ServerKey::parse(&server.key) else {
        return Ok(Ok(()));
    };
    let asked = Instant::now();
    let status = answer(hub, hub.spawner().poll(&key)).await;
    if let Ok(status) = &status {
        let label = match status {
            Status::Running { .. } => metrics::RUNNING,
            Status::Exited { .. } | Status::Gone => metrics::STOPPED,
        };
        let seconds = &hub.metrics().poll_seconds;
        let took = asked.elapsed().as_secs_f64();
        seconds.get_or_create(&label).observe(took);
    }
    match status {
        Ok(status) => act_on(hub, server, &key, status).await.map(Ok),
        Err(error) => Ok(Err(error.context(format!("asking after {key}")))),
    }
}

/// Writes down how a server is that was taken to be ready.
async fn act_on(hub: &Hub, server: &Server, key: &ServerKey, status: Status) -> anyhow::Result<()> {
    // The machine may have been restarted.
    let is_unseen = matches!(status, Status::Gone);
    let is_orderly = matches!(status, Status::Exited { code: Some(0), .. });
    let reason = match status {
        Status::Running {
            address,
            port: port @ PortOwner::Stranger { .. },
        } => return robbed(hub, server, &address, port).await,
        Status::Running { address, .. } if server.address.as_deref() == Some(&address) => {
            return Ok(());
        }
        Status::Running { address, .. } => return moved(hub, server, &address).await,
        Status::Exited { reason, .. } => say!("ended.by_itself", reason = reason),
        Status::Gone => {
            say!("ended.unseen")
        }
    };
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    if db::servers::set_gone(&mut tx, server, &reason, now.0).await? {
        db::tokens::delete_of_server(&mut tx, &server.id, &server.client_id).await?;
        if !is_orderly {
            db::failures::insert(&mut tx, &server.id, &reason, now).await?;
        }
        trouble::ended(hub, &mut tx, server, !is_orderly && !is_unseen, now).await?;
        publish(&mut tx, server, now).await?;
        tx.commit().await?;
        tracing::warn!(user = %server.user_name, server = %server.name, key = %key, %reason, "server ended by itself");
    }
    Ok(())
}

/// A stranger listens where the server did: its route is closed at once, and what is left of it
/// is stopped.
async fn robbed(hub: &Hub, server: &Server, address: &str, port: PortOwner) -> anyhow::Result<()> {
    let reason = say!("ended.robbed", reason = port_taken(address));
    let mut tx = hub.db().write().await?;
    if db::servers::set_robbed(&mut tx, server, &reason).await? {
        publish(&mut tx, server, hub.now()).await?;
        tx.commit().await?;
        tell_stranger(&server.key, address, port);
    }
    Ok(())
}

/// For the log: who listens on a server's port without being the server.
pub(super) fn tell_stranger(key: &str, address: &str, port: PortOwner) {
    if let PortOwner::Stranger { uid, pid } = port {
        tracing::warn!(
            server = key,
            address,
            uid,
            pid,
            "another program listens on the port of a server; nothing was sent to it"
        );
    }
}

async fn moved(hub: &Hub, server: &Server, address: &str) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    if db::servers::set_moved(&mut tx, server, address).await? {
        publish(&mut tx, server, hub.now()).await?;
        tx.commit().await?;
        tracing::info!(server = server.key, address, "server answers elsewhere now");
    }
    Ok(())
}

/// Ends what runs without being wanted, from the start until shutdown.
pub(super) async fn orphans(hub: &Hub, shutdown: &CancellationToken) {
    let timings = hub.timings();
    let mut trouble = Trouble::with("looking for servers that nobody knows");
    let rounds = async {
        loop {
            let pause = match trouble.note(end_orphans(hub).await) {
                true => timings.orphans_every,
                false => timings.watch_every,
            };
            tokio::time::sleep(pause).await;
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

async fn end_orphans(hub: &Hub) -> anyhow::Result<()> {
    // Listed before the rows are read, so a server that starts meanwhile is never an orphan.
    let running = answer(hub, hub.spawner().list()).await?;
    let mut tx = hub.db().read().await?;
    let known = db::servers::active_keys(&mut tx).await?;
    drop(tx);
    let known: HashSet<String> = known.into_iter().collect();
    let strays = running
        .into_iter()
        .filter(|key| !known.contains(key.as_str()));
    let ends = stream::iter(strays).map(|key| async move { end_orphan(hub, key).await });
    let mut ends = ends.buffer_unordered(ORPHANS_AT_ONCE);
    let mut outcome = Ok(());
    while let Some(one) = ends.next().await {
        outcome = outcome.and(one);
    }
    outcome
}

async fn end_orphan(hub: &Hub, key: ServerKey) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    // One with a row may be started anew at any time, so its end goes through the row.
    if let Some(server) = db::servers::by_key(&mut tx, key.as_str()).await? {
        if db::servers::set_stray(&mut tx, key.as_str()).await? {
            publish(&mut tx, &server, hub.now()).await?;
            tx.commit().await?;
            tracing::warn!(server = %key, "runs though it should not, stopping it");
        }
        return Ok(());
    }
    drop(tx);
    tracing::warn!(server = %key, "runs but belongs to nobody, stopping it");
    let limit = hub.timings().stop_limit;
    tokio::time::timeout(limit, hub.spawner().stop(&key))
        .await
        .map_err(|_| anyhow::anyhow!("the orphan {key} did not stop in time"))?
        .map_err(|error| anyhow::anyhow!("stopping the orphan {key}: {error}"))
}
