//! Proxies that run apart from the hubs: what they are told, what they ask, and who may be one.

mod replicas;
mod stream;

use std::time::{Duration, Instant};

use lyceum_hub::jobs::keeper;
use lyceum_model::name::{ServerName, UserName};
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
    let (user, name) = (
        UserName::parse(user).expect("a name"),
        ServerName::parse(server).expect("a name"),
    );
    let db = hub.hub.db();
    let now = hub.hub.now();
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
        address: None,
        failure: None,
        failure_saying: None,
        created_at: now.0,
        requested_at: None,
        started_at: None,
        ready_at: None,
        stopped_at: None,
        last_activity_at: None,
        stop_requested_at: None,
        lease_owner: None,
        lease_until: None,
    };
    assert!(
        lyceum_hub::db::servers::insert(&mut tx, &row)
            .await
            .expect("written")
    );
    tx.commit().await.expect("written");
    set_address(hub, &id, Some(address)).await;
    id
}

/// Another address, or none any more, told as a keeper tells it.
pub(crate) async fn set_address(hub: &TestHub, id: &str, address: Option<&str>) {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
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
    keeper::publish(&mut tx, &row, hub.hub.now())
        .await
        .expect("published");
    tx.commit().await.expect("written");
}

/// A hub that leaves made-up rows alone.
pub(crate) async fn quiet_hub(db: lyceum_store::Db) -> TestHub {
    TestHub::start_tuned(
        db,
        lyceum_testkit::fake::FakeSpawner::default(),
        |_, timings| {
            timings.watch_every = Duration::from_secs(3_600);
            timings.orphans_every = Duration::from_secs(3_600);
        },
    )
    .await
}
