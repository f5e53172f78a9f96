//! Sees to it that servers become what their rows say.
//!
//! Each replica runs one keeper. A row is worked on by whoever holds its lease; a replica that dies
//! loses the lease and another goes on where it was, since every step is safe to repeat:
//! starting what runs adopts it, stopping what is gone is done.
//!
//! Here: taking rows up, keeping their leases, handing them back. Which start is next:
//! [`crate::db::queue`]; how many at a time: `keeper/desk.rs`; how one server is started and stopped:
//! `keeper/tend.rs`; servers that end by themselves and ones nobody knows: `keeper/watch.rs`.
//!
//! Invariant: only the holder of the lease calls the spawner's `start` and `stop` for a key that
//! has a row; it makes sure of the lease right before, and drops the work when it is lost.

mod desk;
mod tap;
mod tend;
mod watch;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_store::{Engine, Tx, events};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::StartLimits;
use crate::db::queue::{Among, Due, Kept};
use crate::db::servers::Server;
use crate::select::{Selector, Subject};
use crate::servers::State;
use crate::trouble::{self, Gate, Proven};
use crate::{Hub, db, maintenance, queue};
use desk::{Desk, Piece, Seat};
use tap::Tap;
use tend::{End, Work};

/// Rows looked at in a sweep.
const SWEEP_ROWS: i64 = 200;

/// Changes come in crowds: so long after one sweep the next begins. It looks at all that waits.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// So many pieces of work leave behind what is worth giving back to the system.
const CROWD: usize = 256;

/// The topic under which changes of servers are published that proxies must know of.
pub const TOPIC: &str = "servers";

/// Announced when there may be something to take up and no proxy need know.
const WORK: &str = "servers/work";

/// So long the head of the line is gone by. A crowd that waits is sorted a few times a second, not for
/// each place that gets free.
const LINE_HOLDS: Duration = Duration::from_millis(250);

/// So often a sweep whose places were refused is followed by another at once: those who stand behind may
/// take them.
const AGAIN: u32 = 4;

/// Waiting starts that are taken up together where each takes room from the next: whoever else wants
/// to write waits for so many.
const TOGETHER: usize = 8;

pub struct Keeper {
    hub: Hub,
    shutdown: CancellationToken,
    desk: Desk,
    line: Mutex<Line>,
    tap: Tap,
}

/// The head of the line as it was read, without those that have got a place since.
#[derive(Default)]
struct Line {
    read: Option<Instant>,
    waiting: Vec<Due>,
    /// Something stood before starts then.
    gated: bool,
    /// What no longer needs to.
    proven: Vec<Proven>,
}

/// What came of a sweep.
#[derive(Default)]
struct Swept {
    taken: usize,
    /// Somebody who had a place here may not start now, or started elsewhere.
    refused: bool,
}

impl Line {
    fn is_fresh(&self) -> bool {
        self.read.is_some_and(|read| read.elapsed() < LINE_HOLDS)
    }
}

/// A row that has a place here and no lease yet.
struct Seated {
    due: Due,
    piece: Piece,
    seat: Seat,
}

/// Says that something fails when it begins to, and when it is over; not each time in between.
pub(crate) struct Trouble {
    what: &'static str,
    there: bool,
}

impl Trouble {
    pub(crate) fn with(what: &'static str) -> Self {
        Self { what, there: false }
    }

    pub(crate) fn note(&mut self, outcome: anyhow::Result<()>) -> bool {
        match outcome {
            Ok(()) if self.there => {
                self.there = false;
                tracing::info!(what = self.what, "works again");
                true
            }
            Ok(()) => true,
            Err(error) => {
                if !self.there {
                    tracing::warn!(
                        what = self.what,
                        error = format!("{error:#}"),
                        "failed; trying again until it works"
                    );
                }
                self.there = true;
                false
            }
        }
    }
}

impl Keeper {
    pub fn new(hub: Hub, shutdown: CancellationToken) -> Self {
        Self {
            hub,
            shutdown,
            desk: Desk::default(),
            line: Mutex::default(),
            tap: Tap::default(),
        }
    }

    /// Runs until shutdown; then hands its rows back and returns. Dropped, it stops at once, and
    /// the leases run out.
    pub async fn run(self) {
        let drained = CancellationToken::new();
        let work = async {
            self.work().await;
            drained.cancel();
        };
        // Each on its own, so that a spawner or a database that hangs delays no renewal.
        tokio::join!(
            work,
            self.keep_leases(&drained),
            watch::ended(&self.hub, &self.shutdown),
            watch::orphans(&self.hub, &self.shutdown),
        );
    }

    async fn work(&self) {
        let mut tasks = JoinSet::new();
        let mut wake = self.hub.db().wake_ups();
        let mut tick = interval(self.hub.timings().sweep_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = Trouble::with("taking up work on servers");
        let mut alone = self.hub.db().engine() == Engine::Sqlite;
        let (mut crowd, mut in_a_row) = (0, 0);
        loop {
            let mut again = false;
            let round = async {
                if alone {
                    // The data folder is locked: leases are those of an earlier life.
                    let mut tx = self.hub.db().write().await?;
                    db::servers::release_all(&mut tx).await?;
                    tx.commit().await?;
                    alone = false;
                }
                let swept = self.sweep(&mut tasks).await?;
                crowd += swept.taken;
                again = swept.refused;
                Ok(())
            };
            match self.shutdown.run_until_cancelled(round).await {
                None => break,
                Some(outcome) => {
                    trouble.note(outcome);
                }
            }
            in_a_row = if again { in_a_row + 1 } else { 0 };
            if in_a_row > 0 && in_a_row <= AGAIN {
                continue;
            }
            let swept = Instant::now();
            if crowd >= CROWD && tasks.is_empty() {
                crowd = 0;
                tokio::task::spawn_blocking(lyceum_proxy::give_back_memory);
            }
            let pace = self.hub.spawner().pace();
            let opens = self.tap.opens(pace, swept);
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                _ = tick.tick() => {}
                () = tokio::time::sleep_until(opens.unwrap_or(swept)), if opens.is_some() => {}
                Some(ended) = tasks.join_next() => {
                    complain(ended);
                    while let Some(ended) = tasks.try_join_next() {
                        complain(ended);
                    }
                }
                () = events::woken(&mut wake, &[TOPIC, WORK]) => {}
            }
            tokio::time::sleep_until(swept + SWEEP_PAUSE).await;
            // A sweep looks at everything, so what piled up meanwhile is done with it.
            wake = self.hub.db().wake_ups();
        }
        while let Some(ended) = tasks.join_next().await {
            complain(ended);
        }
        let handed_over = timeout(self.hub.timings().answer_limit, self.hand_over()).await;
        if !matches!(handed_over, Ok(Ok(()))) {
            tracing::warn!("could not hand servers back at shutdown; their leases run out");
        }
    }

    /// Takes up what wants work, and passes wishes to stop on to the work under way.
    async fn sweep(&self, tasks: &mut JoinSet<()>) -> anyhow::Result<Swept> {
        let (now, limits) = (self.hub.now(), self.hub.settings().starts.in_force());
        let mut tx = self.hub.db().read().await?;
        let pace = self.hub.spawner().pace();
        let free = self.tap.free(pace, Instant::now());
        let mut stops = db::queue::due(&mut tx, State::Stopping, now.0, SWEEP_ROWS).await?;
        let mut begun = self.sit_down(&mut stops, &limits, usize::MAX);
        // What was begun goes before what waits, and at the same pace: a hub that died may have left
        // many.
        let mut left = db::queue::due(&mut tx, State::Starting, now.0, SWEEP_ROWS).await?;
        let left = self.sit_down(&mut left, &limits, free);
        let free = free - left.len();
        begun.extend(left);
        // Out of its place: what goes wrong from here on leaves no old line behind.
        let mut line =
            std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner));
        let mut first = match line.is_fresh() {
            true => self.sit_down(&mut line.waiting, &limits, free),
            false => Vec::new(),
        };
        // Those who came since may stand before the ones that are left.
        if first.len() < free && self.desk.has_free_place(&limits) {
            line = self.read_line(&mut tx, now, &limits).await?;
            let free = free - first.len();
            first.extend(self.sit_down(&mut line.waiting, &limits, free));
        }
        let unwanted = db::servers::unwanted(&mut tx, self.hub.replica()).await?;
        drop(tx);
        for id in unwanted {
            if let Some(piece) = self.desk.lock().get(&id) {
                piece.stop.cancel();
            }
        }
        let (wanted, gated) = (begun.len() + first.len(), line.gated);
        let mut taken = 0;
        let proven = std::mem::take(&mut line.proven);
        if !proven.is_empty() {
            let mut tx = self.hub.db().write().await?;
            trouble::settle(&mut tx, &proven);
            events::announce(&mut tx, WORK).await?;
            tx.commit().await?;
        }
        if !begun.is_empty() {
            let tx = self.hub.db().write().await?;
            let mine = self.claim(tx, &begun).await?;
            let starts = mine.values().filter(|row| row.state == State::Starting);
            self.tap.take(pace, starts.count(), Instant::now());
            taken += self.set_to_work(tasks, begun, mine);
        }
        while !first.is_empty() {
            let rest = match gated {
                true => first.split_off(first.len().min(TOGETHER)),
                false => Vec::new(),
            };
            let mine = self.claim_waiting(&first).await?;
            self.tap.take(pace, mine.len(), Instant::now());
            taken += self.set_to_work(tasks, std::mem::replace(&mut first, rest), mine);
        }
        let refused = taken < wanted;
        if !refused {
            *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
        }
        Ok(Swept { taken, refused })
    }

    /// Sets those to work that are ours, and tells how many; the others leave their places.
    fn set_to_work(
        &self,
        tasks: &mut JoinSet<()>,
        seated: Vec<Seated>,
        mut mine: HashMap<String, Server>,
    ) -> usize {
        let taken = mine.len();
        for Seated { due, piece, seat } in seated {
            let Some(server) = mine.remove(&due.id) else {
                continue;
            };
            let work = Work {
                hub: self.hub.clone(),
                server,
                seat,
                stop: piece.stop,
                shutdown: self.shutdown.clone(),
            };
            tasks.spawn(see_to(work, piece.lost));
        }
        taken
    }

    /// Takes those out for whom there is a place, so many at most.
    fn sit_down(&self, waiting: &mut Vec<Due>, limits: &StartLimits, most: usize) -> Vec<Seated> {
        let mut seated = Vec::new();
        waiting.retain(|due| {
            let place = match seated.len() < most {
                true => self.desk.sit_down(due, limits),
                false => None,
            };
            let Some((piece, seat)) = place else {
                return true;
            };
            let due = due.clone();
            seated.push(Seated { due, piece, seat });
            false
        });
        seated
    }

    async fn read_line(
        &self,
        tx: &mut Tx,
        now: Millis,
        limits: &StartLimits,
    ) -> anyhow::Result<Line> {
        let since = queue::counts_since(now);
        let (share, rows) = (as_rows(limits.per_person), as_rows(limits.at_once * 4));
        let rows = rows.max(SWEEP_ROWS);
        let gates = trouble::gates(&self.hub, tx, now).await?;
        let gated = !gates.is_empty();
        let proven = trouble::proven(&self.hub, tx, &gates).await?;
        let full = trouble::full(tx, &gates, now).await?;
        let full: Vec<&Selector> = full.iter().map(|gate| &gate.quota.whom).collect();
        let closed = maintenance::closed(&self.hub, tx).await?;
        let among = Among {
            without: &full,
            maintenance: closed.as_ref().map(|closed| (closed, Kept::Passes)),
            ..Among::default()
        };
        let read = Some(Instant::now());
        let mut waiting = db::queue::head(tx, among, (now.0, since.0), share, rows).await?;
        // Those that have a place already and are not taken up yet.
        let desk = self.desk.lock();
        waiting.retain(|due| !desk.contains_key(&due.id));
        Ok(Line {
            read,
            waiting,
            gated,
            proven,
        })
    }

    /// Takes up what nothing stands before.
    async fn claim<'a>(
        &self,
        mut tx: Tx,
        seated: impl IntoIterator<Item = &'a Seated>,
    ) -> anyhow::Result<HashMap<String, Server>> {
        let seated = seated.into_iter();
        let ids: Vec<&str> = seated.map(|seated| seated.due.id.as_str()).collect();
        let mine = self.claim_in(&mut tx, &ids).await?;
        self.hub.seen().pass(tx, as_count(mine.len())).await?;
        Ok(mine)
    }

    async fn claim_in(&self, tx: &mut Tx, ids: &[&str]) -> anyhow::Result<HashMap<String, Server>> {
        let (replica, now) = (self.hub.replica(), self.hub.now());
        let until = lease_until(&self.hub);
        let mine = db::servers::claim(tx, ids, replica, now.0, until).await?;
        if mine.is_empty() {
            return Ok(HashMap::new());
        }
        let servers = db::servers::of_ids(tx, &mine).await?;
        let by_id = |server: Server| (server.id.clone(), server);
        Ok(servers.into_iter().map(by_id).collect())
    }

    /// Takes starts up that waited. Each needs room at every gate that it has to pass, which is counted
    /// while nobody else takes one up.
    async fn claim_waiting(&self, seated: &[Seated]) -> anyhow::Result<HashMap<String, Server>> {
        let now = self.hub.now();
        let mut tx = self.hub.db().write().await?;
        // It may have begun since the line was read.
        let kept = match maintenance::closed(&self.hub, &mut tx).await? {
            None => HashSet::new(),
            Some(closed) => {
                let ids: Vec<&str> = seated.iter().map(|seated| seated.due.id.as_str()).collect();
                db::queue::kept_waiting(&mut tx, &ids, &closed).await?
            }
        };
        let open = || {
            seated
                .iter()
                .filter(|seated| !kept.contains(&seated.due.id))
        };
        let mut gates = trouble::gates(&self.hub, &mut tx, now).await?;
        if gates.is_empty() {
            return self.claim(tx, open()).await;
        }
        db::quotas::lock(&mut tx, now).await?;
        let mut mine = HashMap::new();
        // One after the other, since each takes room from the next; how much a course keeps depends on
        // what it has.
        for (nth, Seated { due, .. }) in open().enumerate() {
            if nth == 0 || gates.iter().any(|gate| gate.room) {
                gates = trouble::gates(&self.hub, &mut tx, now).await?;
            }
            if has_room(&mut tx, &due.id, &gates, now).await? {
                mine.extend(self.claim_in(&mut tx, &[&due.id]).await?);
            }
        }
        tx.commit().await?;
        Ok(mine)
    }

    /// Renews leases until the work is drained. When that fails for too long, the work is given up
    /// before another replica may take it.
    async fn keep_leases(&self, drained: &CancellationToken) {
        let timings = self.hub.timings();
        let mut trouble = Trouble::with("renewing leases of servers");
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = drained.cancelled() => return,
                () = tokio::time::sleep(timings.renew_every) => {}
            }
            if self.desk.lock().is_empty() && !trouble.there {
                renewed = Instant::now();
                continue;
            }
            let asked = Instant::now();
            let outcome = tokio::select! {
                () = drained.cancelled() => return,
                outcome = timeout(timings.lease / 3, self.renew()) => outcome,
            };
            if trouble.note(outcome.unwrap_or_else(|late| Err(late.into()))) {
                renewed = asked;
            } else if renewed.elapsed() >= timings.lease * 2 / 3 {
                for piece in self.desk.lock().values() {
                    piece.lost.cancel();
                }
            }
        }
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let before: Vec<(String, Piece)> = {
            let desk = self.desk.lock();
            let pieces = desk.iter();
            pieces
                .map(|(id, piece)| (id.clone(), piece.clone()))
                .collect()
        };
        let mut tx = self.hub.db().write().await?;
        let until = lease_until(&self.hub);
        let held = db::servers::renew_all(&mut tx, self.hub.replica(), until).await?;
        let idle: Vec<&String> = {
            let desk = self.desk.lock();
            held.iter().filter(|id| !desk.contains_key(*id)).collect()
        };
        // Its work has ended, but the database could not be told. The rows are locked here, so
        // no work on them begins meanwhile.
        for id in idle {
            db::servers::release(&mut tx, id, self.hub.replica()).await?;
        }
        for (id, piece) in before {
            // Not among ours any more: taken by another, or its work has just come to its end. A
            // piece on the desk that has no lease yet is told by the row, which then is nobody's.
            if held.contains(&id) {
                continue;
            }
            let row = db::servers::get(&mut tx, &id).await?;
            let other = row.and_then(|row| row.lease_owner);
            if other.is_some_and(|owner| owner != self.hub.replica()) {
                piece.lost.cancel();
            }
        }
        tx.commit().await?;
        Ok(())
    }

    async fn hand_over(&self) -> anyhow::Result<()> {
        let mut tx = self.hub.db().write().await?;
        db::servers::release_of(&mut tx, self.hub.replica()).await?;
        events::announce(&mut tx, WORK).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Whether every gate that this start has to pass has room for it.
async fn has_room(tx: &mut Tx, id: &str, gates: &[Gate], now: Millis) -> sqlx::Result<bool> {
    let Some(server) = db::servers::get(tx, id).await? else {
        return Ok(false);
    };
    let owner = db::users::get(tx, &server.user_id).await?;
    let groups = db::groups::names_of(tx, &server.user_id).await?;
    let subject = Subject {
        server: &server,
        admin: owner.is_some_and(|owner| owner.admin),
        groups: &groups,
    };
    for Gate { quota, .. } in gates {
        if quota.whom.takes(subject)
            && quota.is_full(db::quotas::count(tx, &quota.whom, now.0).await?)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn complain(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "work on a server broke off; it is taken up again");
    }
}

/// One piece of work, from the lease to its return.
async fn see_to(work: Work, lost: CancellationToken) {
    let (hub, id, key) = (&work.hub, &work.server.id, &work.server.key);
    let desk = work.seat.desk();
    let end = tokio::select! {
        biased;
        () = lost.cancelled() => {
            tracing::warn!(server = key, "lost the lease of a server; whoever has it goes on");
            return;
        }
        end = work.tend(desk.failures(&work.server)) => end,
        () = overtime(&work.shutdown, hub.timings().grace) => Ok(End::Released),
    };
    let pause = match end {
        Ok(End::Done) => return desk.succeeded(id),
        Ok(End::Released) => None,
        Err(error) => {
            let failures = desk.failed(&work.server);
            let pause = pause_after(failures, hub);
            tracing::error!(
                server = key,
                error = format!("{error:#}"),
                failures,
                pause_s = pause.as_secs_f64(),
                "work on a server failed; it is tried again"
            );
            Some(pause)
        }
    };
    report(key, give_back(hub, id, pause).await);
}

fn report(key: &str, outcome: anyhow::Result<()>) {
    if let Err(error) = outcome {
        // The next renewal sees that nobody works on it and gives it back.
        tracing::warn!(
            server = key,
            error = format!("{error:#}"),
            "could not hand a server back"
        );
    }
}

fn pause_after(failures: u32, hub: &Hub) -> Duration {
    let timings = hub.timings();
    let doubled = timings.first_pause * 2u32.saturating_pow(failures.saturating_sub(1).min(16));
    doubled.min(timings.longest_pause)
}

async fn overtime(shutdown: &CancellationToken, grace: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(grace).await;
}

/// Gives the lease back, at once for whoever wants it, or to be taken after a pause.
async fn give_back(hub: &Hub, id: &str, pause: Option<Duration>) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    match pause {
        None => {
            db::servers::release(&mut tx, id, hub.replica()).await?;
            events::announce(&mut tx, WORK).await?;
        }
        Some(pause) => {
            let until = hub.now().plus(in_ms(pause)).0;
            db::servers::postpone(&mut tx, id, hub.replica(), until).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

fn as_rows(places: usize) -> i64 {
    i64::try_from(places).unwrap_or(i64::MAX)
}

fn as_count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn in_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn lease_until(hub: &Hub) -> i64 {
    hub.now().plus(in_ms(hub.timings().lease)).0
}

/// An answer of the spawner, or an error when it takes too long.
pub(crate) async fn answer<T, E>(
    hub: &Hub,
    question: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    let limit = hub.timings().answer_limit;
    match timeout(limit, question).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => anyhow::bail!(
            "the spawner gave no answer within {} s",
            limit.as_secs_f64()
        ),
    }
}

/// The topic that wakes those who wait for what becomes of one server.
pub fn state_topic(server_id: &str) -> String {
    format!("server/{server_id}")
}

/// The topic that wakes those who watch its steps.
pub fn step_topic(server_id: &str) -> String {
    format!("server/{server_id}/step")
}

/// Tells those who take starts up, and who watch this one, that it is wanted. Where the server can be
/// reached, and by whom, is as before.
pub async fn announce_start(tx: &mut Tx, server: &Server) -> sqlx::Result<()> {
    events::announce(tx, WORK).await?;
    events::announce(tx, &step_topic(&server.id)).await
}

/// Tells the same, and who waits for its end, that it is not wanted any more.
pub async fn announce_end(tx: &mut Tx, server: &Server) -> sqlx::Result<()> {
    events::announce(tx, WORK).await?;
    events::announce(tx, &state_topic(&server.id)).await
}

/// Tells everybody, and the proxies, that a server's row has changed.
pub async fn publish(tx: &mut Tx, server: &Server, now: Millis) -> anyhow::Result<()> {
    let body = serde_json::json!({ "user": server.user_name, "server": server.name });
    events::publish(tx, TOPIC, &server.id, &body, now).await?;
    events::announce(tx, &state_topic(&server.id)).await?;
    Ok(())
}
