//! Ends servers that nobody uses or that are too old, by the rules of [`crate::cull`].
//!
//! One replica looks at a time, whoever's turn it is; that a server ends once is seen to by its row:
//! it must still run as it was seen. The end itself is an ordinary stop, done by
//! [`super::keeper`], with a reason for the owner.
//!
//! A server counts as used when the proxy saw something move, when it says so itself (its posts of
//! activity), and while a kernel works: right before one is ended for being idle it is asked. One
//! that answers without being a Jupyter server is judged by what is known; one that does not answer is
//! left alone until it has been silent for long (`culler/silence.rs`).

mod people;
mod room;
mod silence;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use lyceum_model::clock::Millis;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::say;
use lyceum_model::secret::Secret;
use lyceum_model::server::ServerKey;
use lyceum_spawn::inquiry::{self, Answer};
use lyceum_spawn::{PortOwner, Status};
use lyceum_store::settings;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keeper::{self, Trouble, answer};
use crate::cull::{Limits, Why, in_ms};
use crate::db::cull::Sentence;
use crate::db::servers::Server;
use crate::event_log::Event;
use crate::metrics::ReasonLabel;
use crate::select::Subject;
use crate::{Hub, db, tokens};
use silence::Silences;

/// Until when another replica has looked.
const TURN: &str = "culler";
/// Rows read at once, and servers asked at once.
const ROWS: usize = 200;
const ASKED_AT_ONCE: usize = 16;
/// For so long a token is good by which a server knows that the hub asks.
const TOKEN_MS: i64 = 60_000;
/// A round that comes so much later than it should was kept waiting by the database.
const LATE: Duration = Duration::from_secs(10);
/// What the proxies saw may be under way for so long.
const NEWS_TAKE: Duration = Duration::from_secs(30);

/// Looks until shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut trouble = Trouble::with("looking for servers that have to end");
    let mut forgetting = Trouble::with("looking for people who never came again");
    let mut contact = Contact {
        since: hub.started_at(),
        last: None,
    };
    let silences = Silences::default();
    let rounds = async {
        loop {
            tokio::time::sleep(pause(&hub)).await;
            trouble.note(look(&hub, &mut contact, &silences).await);
            forgetting.note(people::forget(&hub).await);
            contact.seen();
        }
    };
    let _ = shutdown.run_until_cancelled(rounds).await;
}

/// Short limits are looked after more often.
fn pause(hub: &Hub) -> Duration {
    let usual = hub.timings().cull_every;
    match shortest(hub) {
        Some(shortest) => usual.min((shortest / 4).max(Duration::from_secs(1))),
        None => usual,
    }
}

fn shortest(hub: &Hub) -> Option<Duration> {
    let culling = &hub.settings().culling;
    let of = |which: fn(&Limits) -> Option<Duration>| culling.shortest(which);
    [of(|limits| limits.idle), of(|limits| limits.age)]
        .into_iter()
        .flatten()
        .min()
}

/// Since when what servers did could be told without a gap.
#[derive(Debug, Clone, Copy)]
struct Contact {
    since: Millis,
    /// When the database answered last.
    last: Option<Instant>,
}

impl Contact {
    /// The database has answered: if that took long, reports wait to be written.
    fn note(&mut self, now: Millis, patience: Duration) {
        if self.last.is_some_and(|last| last.elapsed() > patience) {
            self.since = now;
        }
        self.last = Some(Instant::now());
    }

    /// A round is over; however long it took, that was its own work.
    fn seen(&mut self) {
        if self.last.is_some() {
            self.last = Some(Instant::now());
        }
    }

    fn lost(&mut self, now: Millis) {
        self.since = now;
        self.last = None;
    }
}

async fn look(hub: &Hub, contact: &mut Contact, silences: &Silences) -> anyhow::Result<()> {
    let Some(shortest) = shortest(hub) else {
        return Ok(());
    };
    let looked = look_after(hub, contact, silences, shortest).await;
    if looked.is_err() {
        // Whatever it was: until it works again, nobody knows what was not told.
        contact.lost(hub.now());
    }
    looked
}

async fn look_after(
    hub: &Hub,
    contact: &mut Contact,
    silences: &Silences,
    shortest: Duration,
) -> anyhow::Result<()> {
    ping(hub).await?;
    let now = hub.now();
    contact.note(now, pause(hub) + LATE);
    // While no hub was there, or no database, nobody could tell of what servers did.
    let new = hub.timings().cull_after.min(shortest);
    if now.since(contact.since) < in_ms(new) || !take_turn(hub, TURN, pause(hub), now).await? {
        return Ok(());
    }
    let looked = match look_at_all(hub, silences, now).await {
        Ok(()) => room::make(hub, now).await,
        failed => failed,
    };
    if looked.is_err() {
        give_turn_back(hub, TURN, now).await?;
    }
    looked
}

/// Whether the database takes what is told: writing, for a fail-over may leave one that is only read.
async fn ping(hub: &Hub) -> anyhow::Result<()> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    settings::lock(&mut tx, TURN, "0", now).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether it is this replica's turn to look; then it is nobody's for nearly so long.
async fn take_turn(hub: &Hub, name: &str, pause: Duration, now: Millis) -> anyhow::Result<bool> {
    let mut tx = hub.db().write().await?;
    settings::lock(&mut tx, name, "0", now).await?;
    let taken = settings::get(&mut tx, name).await?;
    let until: i64 = taken.and_then(|text| text.parse().ok()).unwrap_or(0);
    let next = now.plus(in_ms(pause) / 10 * 9);
    // One that lies far ahead was written by a clock that was wrong.
    let is_mine = until <= now.0 || until > next.0;
    if is_mine {
        settings::set(&mut tx, name, &next.0.to_string(), now).await?;
    }
    tx.commit().await?;
    Ok(is_mine)
}

async fn give_turn_back(hub: &Hub, name: &str, now: Millis) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    settings::set(&mut tx, name, "0", now).await?;
    tx.commit().await?;
    Ok(())
}

async fn look_at_all(hub: &Hub, silences: &Silences, now: Millis) -> anyhow::Result<()> {
    let settings = hub.settings();
    let culling = &settings.culling;
    let before = |limit: Option<Duration>| limit.map_or(0, |limit| now.plus(-in_ms(limit)).0 + 1);
    let unused_since = before(culling.shortest(|limits| limits.idle));
    let old_since = before(culling.shortest(|limits| limits.age));
    let mut tx = hub.db().read().await?;
    let ids = db::cull::candidates(&mut tx, unused_since, old_since).await?;
    drop(tx);
    // Of the others something was heard since, or they have ended.
    silences.keep(&ids);
    let mut outcome = Ok(());
    for ids in ids.chunks(ROWS) {
        let looks = stream::iter(limits_among(hub, ids).await?);
        let looks = looks.map(|(limits, server)| async move {
            look_at(hub, silences, &server, &limits, now).await
        });
        let mut looks = looks.buffer_unordered(ASKED_AT_ONCE);
        while let Some(one) = looks.next().await {
            outcome = outcome.and(one);
        }
    }
    outcome
}

/// These servers, each with what holds for it.
async fn limits_among(hub: &Hub, ids: &[String]) -> anyhow::Result<Vec<(Limits, Server)>> {
    let mut tx = hub.db().read().await?;
    let servers = db::servers::of_ids(&mut tx, ids).await?;
    let owners: Vec<&str> = servers.iter().map(|one| one.user_id.as_str()).collect();
    let admins: BTreeSet<String> = db::cull::admins_among(&mut tx, &owners)
        .await?
        .into_iter()
        .collect();
    let mut groups: HashMap<String, Vec<String>> = HashMap::new();
    for (user, group) in db::users::groups_of(&mut tx, &owners).await? {
        groups.entry(user).or_default().push(group);
    }
    drop(tx);
    let culling = &hub.settings().culling;
    let limits_of = |server: Server| {
        let subject = Subject {
            server: &server,
            admin: admins.contains(&server.user_id),
            groups: groups.get(&server.user_id).map_or(&[], Vec::as_slice),
        };
        (culling.limits_of(subject).clone(), server)
    };
    Ok(servers.into_iter().map(limits_of).collect())
}

async fn look_at(
    hub: &Hub,
    silences: &Silences,
    server: &Server,
    limits: &Limits,
    now: Millis,
) -> anyhow::Result<()> {
    let Some(end) = limits.end_of(server, now).filter(|end| end.at <= now) else {
        return Ok(());
    };
    let Why::Idle(idle) = end.why else {
        self::end(hub, server, limits, end.why, i64::MAX, now).await?;
        return Ok(());
    };
    let late = NEWS_TAKE.min(idle / 4);
    if end.at.plus(in_ms(late)) <= now && !may_be_used(hub, silences, server, idle, now).await? {
        let known = server.last_activity_at.unwrap_or(0);
        self::end(hub, server, limits, end.why, known, now).await?;
        return Ok(());
    }
    // Whatever is known of its use, it gets no older than it may.
    let by_age = Limits {
        idle: None,
        ..limits.clone()
    };
    if let Some(end) = by_age.end_of(server, now).filter(|end| end.at <= now) {
        self::end(hub, server, limits, end.why, i64::MAX, now).await?;
    }
    Ok(())
}

/// Ends a server unless it was used after `unused_since`; says whether it did.
async fn end(
    hub: &Hub,
    server: &Server,
    limits: &Limits,
    why: Why,
    unused_since: i64,
    now: Millis,
) -> anyhow::Result<bool> {
    let reason = why.saying();
    let mut tx = hub.db().write().await?;
    let sentence = Sentence {
        reason: &reason,
        unused_since,
        remove: limits.remove,
    };
    let ended = db::cull::end(&mut tx, server, sentence, now.0).await?;
    if ended {
        keeper::publish(&mut tx, server, now).await?;
    }
    tx.commit().await?;
    if ended {
        let word = why.word();
        let culled = &hub.metrics().culled;
        culled.get_or_create(&ReasonLabel { reason: word }).inc();
        hub.tell(Event::Culled {
            user: server.user_name.as_str(),
            server: server.name.as_str(),
            reason: word,
        });
        tracing::info!(user = %server.user_name, server = %server.name, key = server.key, why = %reason, "server is ended by rule");
    }
    Ok(ended)
}

/// Asks the server itself, and notes what it says.
async fn may_be_used(
    hub: &Hub,
    silences: &Silences,
    server: &Server,
    idle: Duration,
    now: Millis,
) -> anyhow::Result<bool> {
    if silences.is_left_alone(server, now) {
        return Ok(true);
    }
    let report = match ask(hub, server).await? {
        Some(Answer::Report(report)) => report,
        Some(Answer::NoJupyter) => return Ok(false),
        Some(Answer::Silent) => return Ok(!silences.was_long(server, idle, now)),
        None => return Ok(true),
    };
    silences.broken(server);
    let last = match (report.busy, report.last_activity) {
        (0, None) => return Ok(false),
        (0, Some(last)) => Millis(last.0.min(now.0)),
        // A kernel that works is use, now.
        _ => now,
    };
    let mut tx = hub.db().write().await?;
    db::servers::touch(&mut tx, &server.id, last).await?;
    tx.commit().await?;
    Ok(now.since(last) < in_ms(idle))
}

/// With a token that opens this server and nothing else, for as long as the question takes. None when it
/// can't be asked: the spawner does not say where it is, which tells nothing of the server, or says that
/// it has ended or was robbed of its port, which the watch sees to.
async fn ask(hub: &Hub, server: &Server) -> anyhow::Result<Option<Answer>> {
    let Some(key) = ServerKey::parse(&server.key) else {
        return Ok(None);
    };
    let address = match answer(hub, hub.spawner().poll(&key)).await {
        Ok(Status::Running { address, port }) if port.is_safe() => address,
        Ok(Status::Running {
            port: PortOwner::Nobody,
            ..
        }) => return Ok(Some(Answer::Silent)),
        _ => return Ok(None),
    };
    let now = hub.now();
    let secret = Secret::new(new_secret());
    let scope = format!("access:servers!server={}/{}", server.user_name, server.name);
    let token = db::tokens::Token {
        id: format!("a{}", new_id(now)),
        hash: tokens::hash(secret.expose()),
        user_id: server.user_id.clone(),
        note: say!("culled.ask_token").to_string(),
        scopes: serde_json::to_string(&[scope])?,
        created_at: now.0,
        last_used_at: None,
        expires_at: Some(now.plus(TOKEN_MS).0),
        session_id: None,
        oauth_client: None,
        // It is the hub that comes with it, not the owner.
        server_id: Some(server.id.clone()),
    };
    let mut tx = hub.db().write().await?;
    db::tokens::insert(&mut tx, &token).await?;
    tx.commit().await?;
    let prefix = crate::servers::prefix(&hub.base(), &server.user_name, &server.name);
    let limit = hub.timings().answer_limit;
    let answer = inquiry::ask(&address, &prefix, &secret, limit).await;
    let mut tx = hub.db().write().await?;
    db::tokens::delete(&mut tx, &token).await?;
    tx.commit().await?;
    Ok(Some(answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_gap_it_begins_anew() {
        let mut contact = Contact {
            since: Millis(5),
            last: None,
        };
        contact.note(Millis(10), Duration::from_secs(3600));
        contact.note(Millis(20), Duration::from_secs(3600));
        assert_eq!(contact.since, Millis(5));
        // The database did not answer, or only after more than was to be expected.
        contact.lost(Millis(30));
        assert_eq!(contact.since, Millis(30));
        contact.note(Millis(40), Duration::from_secs(3600));
        assert_eq!(contact.since, Millis(30));
        let earlier = Instant::now();
        while earlier.elapsed().is_zero() {}
        contact.note(Millis(50), Duration::ZERO);
        assert_eq!(contact.since, Millis(50));
    }
}
