//! Proxies that run apart from the hubs: what they are told, what they ask, and who may be one.

mod languages;
mod replicas;
mod stream;

use std::time::{Duration, Instant};

use lyceum_hub::jobs::keeper;
use lyceum_model::clock::Clock;
use lyceum_model::name::{ServerName, UserName};
use lyceum_store::Db;
use lyceum_testkit::TestHub;

/// Generous: only a hang takes it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again until it holds; says how long that took.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> impl Future<Output = Duration> {
    let began = Instant::now();
    let what = what.to_owned();
    async move {
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        began.elapsed()
    }
}

/// Makes a row ready as a keeper does, on this hub's own connection, and gives the row's id.
pub(crate) async fn make_ready(hub: &TestHub, user: &str, server: &str, address: &str) -> String {
    make_ready_in(hub.hub.db(), user, server, address).await
}

async fn make_ready_in(db: &Db, user: &str, server: &str, address: &str) -> String {
    let (user, name) = (
        UserName::parse(user).expect("a name"),
        ServerName::parse(server).expect("a name"),
    );
    let now = Clock::system().now();
    let mut tx = db.write().await.expect("a transaction");
    let owner = lyceum_hub::users::ensure(&mut tx, &user, now)
        .await
        .expect("a user");
    let id = lyceum_model::id::new_id(now);
    let row = lyceum_hub::db::servers::Server {
        id: id.clone(),
        user_id: owner.id.clone(),
        user_name: user,
        name,
        key: format!("key-{id}"),
        client_id: format!("client-{id}"),
        display_name: None,
        state: lyceum_hub::servers::State::Stopped,
        generation: 0,
        spec: None,
        user_options: "{}".into(),
        kept_choice: None,
        address: None,
        failure: None,
        failure_saying: None,
        stop_trouble: None,
        stop_trouble_saying: None,
        created_at: now.0,
        requested_at: None,
        started_at: None,
        ready_at: None,
        stopped_at: None,
        last_activity_at: None,
        stop_requested_at: None,
        lease_owner: None,
        lease_until: None,
        placed_at: None,
        unplaced_at: None,
        profile: None,
        course: None,
        environment: None,
    };
    assert!(
        lyceum_hub::db::servers::insert(&mut tx, &row)
            .await
            .expect("written")
    );
    tx.commit().await.expect("written");
    set_address_in(db, &id, Some(address)).await;
    id
}

/// Another address, or none any more, told as a keeper tells it.
pub(crate) async fn set_address(hub: &TestHub, id: &str, address: Option<&str>) {
    set_address_in(hub.hub.db(), id, address).await;
}

async fn set_address_in(db: &Db, id: &str, address: Option<&str>) {
    let mut tx = db.write().await.expect("a transaction");
    let state = if address.is_some() {
        "ready"
    } else {
        "stopped"
    };
    lyceum_store::on!(tx, |c| sqlx::query(
        "UPDATE servers SET state = $2, address = $3 WHERE id = $1"
    )
    .bind(id)
    .bind(state)
    .bind(address)
    .execute(c)
    .await
    .map(|_| ()))
    .expect("written");
    let row = lyceum_hub::db::servers::get(&mut tx, id)
        .await
        .expect("read")
        .expect("there");
    keeper::publish(&mut tx, &row, Clock::system().now())
        .await
        .expect("published");
    tx.commit().await.expect("written");
}

/// A hub that leaves made-up rows alone: its keeper has looked after servers once, and does not
/// again.
pub(crate) async fn quiet_hub(db: Db) -> TestHub {
    let mark = lyceum_model::id::new_id(Clock::system().now());
    let sentinel = make_ready_in(&db, &format!("s{mark}"), "", "http://127.0.0.1:1").await;
    let spawner = lyceum_testkit::fake::FakeSpawner::default();
    let hub = TestHub::start_tuned(db.clone(), spawner, |_, timings| {
        timings.watch_every = Duration::from_secs(3_600);
        timings.orphans_every = Duration::from_secs(3_600);
    })
    .await;
    let began = Instant::now();
    loop {
        let mut tx = db.read().await.expect("a transaction");
        let row = lyceum_hub::db::servers::get(&mut tx, &sentinel).await;
        if row.expect("read").expect("there").state == lyceum_hub::servers::State::Stopped {
            return hub;
        }
        assert!(began.elapsed() < PATIENCE, "the keeper never looked");
        drop(tx);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
