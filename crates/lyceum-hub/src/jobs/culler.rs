//! Ends servers that nobody uses or that are too old, by the rules of [`crate::cull`].
//!
//! One replica looks at a time, whoever's turn it is; that a server ends once is seen to by its row:
//! it must still run as it was seen. The end itself is an ordinary stop, done by
//! [`super::keeper`], with a reason for the owner.
//!
//! A server counts as used when the proxy saw something move, when it says so itself (its posts of
//! activity), and while a kernel works: right before one is ended for being idle it is asked. One
//! that does not answer is judged by what is known.

mod people;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use lyceum_model::clock::Millis;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::say;
use lyceum_model::secret::Secret;
use lyceum_model::server::ServerKey;
use lyceum_spawn::Status;
use lyceum_spawn::inquiry::{self, Report};
use lyceum_store::settings;
use tokio_util::sync::CancellationToken;

use super::keeper::{self, Trouble, answer};
use crate::cull::{Limits, Why, in_ms};
use crate::db::cull::Sentence;
use crate::db::servers::Server;
use crate::event_log::Event;
use crate::metrics::ReasonLabel;
use crate::select::Subject;
use crate::{Hub, db, tokens};

/// Until when another replica has looked.
const TURN: &str = "culler";
/// Rows read at once, and servers asked at once.
const ROWS: usize = 200;
const ASKED_AT_ONCE: usize = 16;
/// For so long a token is good by which a server knows that the hub asks.
const TOKEN_MS: i64 = 60_000;
/// What the proxies saw may be under way for so long.
const NEWS_TAKE: Duration = Duration::from_secs(30);

/// Looks until shutdown.
pub async fn run(hub: Hub, shutdown: CancellationToken) {
    let mut trouble = Trouble::with("looking for servers that have to end");
    let mut forgetting = Trouble::with("looking for people who never came again");
    let rounds = async {
        loop {
            tokio::time::sleep(pause(&hub)).await;
            trouble.note(look(&hub).await);
            forgetting.note(people::forget(&hub).await);
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

async fn look(hub: &Hub) -> anyhow::Result<()> {
    let Some(shortest) = shortest(hub) else {
        return Ok(());
    };
    let now = hub.now();
    // While no hub was there, nobody could tell of what servers did.
    let new = hub.timings().cull_after.min(shortest);
    if now.since(hub.started_at()) < in_ms(new) || !take_turn(hub, TURN, pause(hub), now).await? {
        return Ok(());
    }
    let looked = look_at_all(hub, now).await;
    if looked.is_err() {
        give_turn_back(hub, TURN, now).await?;
    }
    looked
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

async fn look_at_all(hub: &Hub, now: Millis) -> anyhow::Result<()> {
    let settings = hub.settings();
    let culling = &settings.culling;
    let before = |limit: Option<Duration>| limit.map_or(0, |limit| now.plus(-in_ms(limit)).0 + 1);
    let unused_since = before(culling.shortest(|limits| limits.idle));
    let old_since = before(culling.shortest(|limits| limits.age));
    let mut tx = hub.db().read().await?;
    let ids = db::cull::candidates(&mut tx, unused_since, old_since).await?;
    drop(tx);
    let mut outcome = Ok(());
    for ids in ids.chunks(ROWS) {
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
        let sized: Vec<(Limits, Server)> = servers
            .into_iter()
            .map(|server| {
                let subject = Subject {
                    server: &server,
                    admin: admins.contains(&server.user_id),
                    groups: groups.get(&server.user_id).map_or(&[], Vec::as_slice),
                };
                (culling.limits_of(subject).clone(), server)
            })
            .collect();
        let looks = stream::iter(sized);
        let looks =
            looks.map(|(limits, server)| async move { look_at(hub, &server, &limits, now).await });
        let mut looks = looks.buffer_unordered(ASKED_AT_ONCE);
        while let Some(one) = looks.next().await {
            outcome = outcome.and(one);
        }
    }
    outcome
}

async fn look_at(hub: &Hub, server: &Server, limits: &Limits, now: Millis) -> anyhow::Result<()> {
    let Some(end) = limits.end_of(server, now).filter(|end| end.at <= now) else {
        return Ok(());
    };
    let unused_since = match end.why {
        Why::Age(_) => i64::MAX,
        Why::Idle(idle) => {
            let late = NEWS_TAKE.min(idle / 4);
            let known = server.last_activity_at.unwrap_or(0);
            if end.at.plus(in_ms(late)) > now || is_used(hub, server, idle, now).await? {
                return Ok(());
            }
            known
        }
    };
    let reason = end.why.saying();
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
        let word = end.why.word();
        let culled = &hub.metrics().culled;
        culled.get_or_create(&ReasonLabel { reason: word }).inc();
        hub.tell(Event::Culled {
            user: server.user_name.as_str(),
            server: server.name.as_str(),
            reason: word,
        });
        tracing::info!(user = %server.user_name, server = %server.name, key = server.key, why = %reason, "server is ended by rule");
    }
    Ok(())
}

/// Asks the server itself, and notes what it says.
async fn is_used(hub: &Hub, server: &Server, idle: Duration, now: Millis) -> anyhow::Result<bool> {
    let Some(report) = ask(hub, server).await? else {
        return Ok(false);
    };
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

/// With a token that opens this server and nothing else, for as long as the question takes.
async fn ask(hub: &Hub, server: &Server) -> anyhow::Result<Option<Report>> {
    let Some(key) = ServerKey::parse(&server.key) else {
        return Ok(None);
    };
    let address = match answer(hub, hub.spawner().poll(&key)).await {
        Ok(Status::Running { address, port }) if port.is_safe() => address,
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
    let report = inquiry::ask(&address, &prefix, &secret, limit).await;
    let mut tx = hub.db().write().await?;
    db::tokens::delete(&mut tx, &token).await?;
    tx.commit().await?;
    Ok(report)
}
