//! Stories about servers: how they start and stop, what the API and the progress stream say of it,
//! and what happens when things break.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod api;
mod crash;
mod failures;
mod german;
mod hangs;
mod port_thief;
mod progress;
pub(crate) mod queue;
mod quotas;
mod races;
mod rooms;
mod routes;
mod trouble;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lyceum_hub::db;
use lyceum_hub::db::servers::Server;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings};
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::server::ServerKey;
use lyceum_store::Db;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestHub};

/// The body of a start without any wishes.
static EMPTY: LazyLock<serde_json::Value> = LazyLock::new(|| serde_json::json!({}));

/// Far more than anything here needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Leases and pauses short enough to see them run out.
fn hasty(_: &mut Settings, timings: &mut Timings) {
    timings.lease = Duration::from_secs(2);
    timings.renew_every = Duration::from_millis(300);
    timings.sweep_every = Duration::from_millis(200);
    timings.watch_every = Duration::from_millis(200);
    timings.first_pause = Duration::from_millis(100);
    timings.longest_pause = Duration::from_millis(400);
    timings.grace = Duration::from_millis(200);
    timings.activity_every = Duration::from_millis(200);
    timings.answer_limit = Duration::from_secs(1);
}

async fn hasty_hub(db: Db, spawner: &FakeSpawner) -> TestHub {
    TestHub::start_tuned(db, spawner.clone(), hasty).await
}

/// Looks until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn program(hub: &TestHub, user: &str) -> Client {
    let token = hub.token(user).await;
    hub.client().with_token(&token)
}

/// The row of a server, if there is one.
pub(crate) async fn row(db: &Db, user: &str, server: &str) -> Option<Server> {
    let mut tx = db.read().await.expect("the database answers");
    let user = UserName::parse_kept(user).expect("a name");
    let user = db::users::find(&mut tx, &user).await.expect("read")?;
    let name = ServerName::parse(server).expect("a name");
    db::servers::find(&mut tx, &user.id, &name)
        .await
        .expect("read")
}

async fn state(db: &Db, user: &str) -> State {
    row(db, user, "")
        .await
        .map_or(State::Stopped, |row| row.state)
}

pub(crate) async fn until_state(db: &Db, user: &str, wanted: State) -> Server {
    until(&format!("{user}'s server is {wanted}"), || async {
        state(db, user).await == wanted
    })
    .await;
    row(db, user, "").await.expect("there is a row")
}

async fn key(db: &Db, user: &str) -> ServerKey {
    let row = row(db, user, "").await.expect("there is a row");
    ServerKey::parse(&row.key).expect("a key")
}

/// How many tokens the servers of all hold.
async fn server_tokens(db: &Db, server: &Server) -> usize {
    let mut tx = db.read().await.expect("the database answers");
    let all = db::tokens::of_user(&mut tx, &server.user_id, 0)
        .await
        .expect("read");
    all.iter().filter(|token| token.server_id.is_some()).count()
}

async fn ready_keys(db: &Db) -> BTreeSet<String> {
    let mut tx = db.read().await.expect("the database answers");
    let ready = db::servers::in_state(&mut tx, State::Ready).await;
    ready
        .expect("read")
        .into_iter()
        .map(|row| row.key)
        .collect()
}

async fn pending(db: &Db) -> usize {
    let mut count = 0;
    let mut tx = db.read().await.expect("the database answers");
    for state in [State::Queued, State::Starting, State::Stopping] {
        count += db::servers::in_state(&mut tx, state)
            .await
            .expect("read")
            .len();
    }
    count
}

async fn in_state(db: &Db, state: State) -> usize {
    let mut tx = db.read().await.expect("the database answers");
    let rows = db::servers::in_state(&mut tx, state).await;
    rows.expect("read").len()
}

fn running_keys(spawner: &FakeSpawner) -> BTreeSet<String> {
    let running = spawner.running();
    running.iter().map(ToString::to_string).collect()
}

/// Every start and stop has come to its end, what is ready runs, what runs is ready, and each proxy
/// routes to that and nothing else.
async fn at_peace(db: &Db, spawner: &FakeSpawner, hubs: &[&TestHub]) {
    until("everything is at peace", || async {
        let ready = ready_keys(db).await;
        pending(db).await == 0
            && ready == running_keys(spawner)
            && spawner.at_work().is_empty()
            && hubs
                .iter()
                .all(|hub| hub.proxy.routes().routes().len() == ready.len())
    })
    .await;
    assert_eq!(spawner.overlaps(), [""; 0]);
}
