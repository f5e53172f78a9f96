//! Hubs that die, and databases that go away for a moment.

use std::time::Duration;

use lyceum_hub::db;
use lyceum_hub::servers::State;
use lyceum_model::name::UserName;
use lyceum_store::db::Location;
use lyceum_testkit::fake::{Behaviour, Ending, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;
use sqlx::{Connection, Executor};

use super::{
    at_peace, hasty, hasty_hub, key, pending, program, row, running_keys, server_tokens, state,
    until, until_state,
};

const SERVER: &str = "/hub/api/users/ada/server";

/// A wish, as a request would make it that is cut off with the hub.
async fn ask(hub: &TestHub, user: &str, start: bool) {
    let name = UserName::parse(user).unwrap();
    let mut tx = hub.hub.db().read().await.unwrap();
    let user = db::users::find(&mut tx, &name).await.unwrap().unwrap();
    let server = db::servers::find(&mut tx, &user.id, &Default::default())
        .await
        .unwrap();
    drop(tx);
    if start {
        // Running or stopping: refused, which is an answer too.
        drop(lyceum_hub::launching::start(&hub.hub, &user, &Default::default(), json!({})).await);
    } else if let Some(server) = server {
        lyceum_hub::launching::stop(&hub.hub, &server)
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_start() {
    for behaviour in [
        Behaviour::HangsBefore,
        Behaviour::HangsAfter,
        Behaviour::NeverReady,
    ] {
        for db in TestDb::both().await {
            let spawner = FakeSpawner::default();
            let hub = hasty_hub(db.db().clone(), &spawner)
                .await
                .with_user("ada")
                .await;
            spawner.behave(behaviour);
            ask(&hub, "ada", true).await;
            let process = behaviour != Behaviour::HangsBefore;
            until("the start is in the middle", || async {
                match process {
                    true => !spawner.running().is_empty(),
                    false => !spawner.at_work().is_empty(),
                }
            })
            .await;
            hub.kill().await;
            until("nothing moves", || async { spawner.at_work().is_empty() }).await;
            assert_eq!(state(db.db(), "ada").await, State::Starting);
            if behaviour == Behaviour::NeverReady {
                // It is what it is: the next life finds it so, and gives it up in time.
                let hub =
                    TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
                        hasty(settings, timings);
                        settings.start_timeout = Duration::from_secs(1);
                    })
                    .await;
                until_state(db.db(), "ada", State::Failed).await;
                assert_eq!(spawner.orders().len(), 1);
                at_peace(db.db(), &spawner, &[&hub]).await;
                hub.stop().await;
                continue;
            }
            spawner.behave(Behaviour::Good);
            let hub = hasty_hub(db.db().clone(), &spawner).await;
            let server = until_state(db.db(), "ada", State::Ready).await;
            assert_eq!(spawner.orders().len(), 1, "adopted, not started twice");
            assert_eq!(server_tokens(db.db(), &server).await, 1);
            at_peace(db.db(), &spawner, &[&hub]).await;
            let ada = program(&hub, "ada").await;
            ada.get("/user/ada/lab").await.expect(200);
            // The token that the process was born with is the one that counts.
            let born_with = spawner.orders()[0].hub.api_token.expose().to_owned();
            let server = hub.client().with_token(&born_with);
            server.get("/hub/api/user").await.expect(200);
            hub.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_life_ends_the_tokens_of_the_one_before() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            hasty(settings, timings);
            // Nobody else sees that it ends.
            timings.watch_every = Duration::from_secs(3600);
        })
        .await
        .with_user("ada")
        .await;
        ask(&hub, "ada", true).await;
        until_state(db.db(), "ada", State::Ready).await;
        let born_with = spawner.orders()[0].hub.api_token.expose().to_owned();
        spawner.crash(&key(db.db(), "ada").await, "killed by signal 9");
        let mut tx = db.db().write().await.unwrap();
        let at_rest = "UPDATE servers SET state = 'stopped'";
        lyceum_store::on!(tx, |c| sqlx::query(at_rest).execute(c).await.map(drop)).unwrap();
        tx.commit().await.unwrap();
        let old = hub.client().with_token(&born_with);
        let ada = program(&hub, "ada").await;
        for who in [&old, &ada] {
            who.get("/hub/api/user").await.expect(200);
        }
        ask(&hub, "ada", true).await;
        until_state(db.db(), "ada", State::Ready).await;
        // Whoever came lately is remembered through a start; what the start takes is not.
        old.get("/hub/api/user").await.expect(403);
        ada.get("/hub/api/user").await.expect(200);
        assert_eq!(spawner.orders().len(), 2);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_stop() {
    for ending in [Ending::HangsBefore, Ending::HangsAfter] {
        for db in TestDb::both().await {
            let spawner = FakeSpawner::default();
            let hub = hasty_hub(db.db().clone(), &spawner)
                .await
                .with_user("ada")
                .await;
            ask(&hub, "ada", true).await;
            until_state(db.db(), "ada", State::Ready).await;
            spawner.end(ending);
            ask(&hub, "ada", false).await;
            until("the stop is in the middle", || async {
                !spawner.at_work().is_empty()
            })
            .await;
            hub.kill().await;
            until("nothing moves", || async { spawner.at_work().is_empty() }).await;
            assert_eq!(state(db.db(), "ada").await, State::Stopping);
            spawner.end(Ending::Good);
            let hub = hasty_hub(db.db().clone(), &spawner).await;
            let server = until_state(db.db(), "ada", State::Stopped).await;
            assert_eq!(server_tokens(db.db(), &server).await, 0);
            at_peace(db.db(), &spawner, &[&hub]).await;
            hub.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_servers_run() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await
            .with_user("bob")
            .await;
        for user in ["ada", "bob"] {
            ask(&hub, user, true).await;
            until_state(db.db(), user, State::Ready).await;
        }
        hub.kill().await;
        // One ends while nobody looks.
        spawner.crash(&key(db.db(), "bob").await, "killed by signal 9");
        let hub = hasty_hub(db.db().clone(), &spawner).await;
        let bobs = until_state(db.db(), "bob", State::Stopped).await;
        assert!(bobs.failure.unwrap().contains("signal 9"));
        at_peace(db.db(), &spawner, &[&hub]).await;
        assert_eq!(state(db.db(), "ada").await, State::Ready);
        assert_eq!(spawner.orders().len(), 2);
        let ada = program(&hub, "ada").await;
        ada.get("/user/ada/lab").await.expect(200);
        hub.stop().await;
    }
}

/// Stopped in good order in the middle of a start: handed over at once, and the process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_in_the_middle_of_a_start() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        spawner.behave(Behaviour::HangsAfter);
        ask(&hub, "ada", true).await;
        until("it runs", || async { !spawner.running().is_empty() }).await;
        hub.stop().await;
        let handed_over = row(db.db(), "ada", "").await.unwrap();
        assert_eq!(
            (handed_over.state, handed_over.lease_owner),
            (State::Starting, None)
        );
        assert_eq!(spawner.running().len(), 1);
        spawner.behave(Behaviour::Good);
        let hub = hasty_hub(db.db().clone(), &spawner).await;
        until_state(db.db(), "ada", State::Ready).await;
        assert_eq!(spawner.orders().len(), 1);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// The other replica waits until the dead one's lease is over, then goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_dies_and_another_goes_on() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let one = hasty_hub(db.db().clone(), &spawner)
        .await
        .with_user("ada")
        .await;
    spawner.behave(Behaviour::HangsAfter);
    ask(&one, "ada", true).await;
    until("it runs", || async { !spawner.running().is_empty() }).await;
    let two = hasty_hub(db.another().await, &spawner).await;
    one.kill().await;
    let held = row(db.db(), "ada", "").await.unwrap();
    assert!(held.lease_owner.is_some());
    spawner.behave(Behaviour::Good);
    until_state(db.db(), "ada", State::Ready).await;
    let now = two.hub.now().0;
    assert!(
        now >= held.lease_until.unwrap(),
        "taken before the lease was over"
    );
    assert_eq!(spawner.orders().len(), 1);
    at_peace(db.db(), &spawner, &[&two]).await;
    two.stop().await;
}

/// Small and repeatable: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn random_story(db: &TestDb, replicas: usize, seed: u64) {
    const USERS: [&str; 4] = ["ada", "bob", "cyd", "dan"];
    let spawner = FakeSpawner::default();
    let mut dice = Dice(seed);
    let mut hubs = Vec::new();
    for _ in 0..replicas {
        hubs.push(hasty_hub(db.another().await, &spawner).await);
    }
    for user in USERS {
        let hub = hubs.remove(0).with_user(user).await;
        hubs.push(hub);
    }
    for _ in 0..40 {
        for _ in 0..=dice.roll(4) {
            let user = USERS[dice.roll(4) as usize];
            let hub = &hubs[dice.roll(replicas as u64) as usize];
            match dice.roll(6) {
                0..=2 => ask(hub, user, true).await,
                3 | 4 => ask(hub, user, false).await,
                _ => {
                    if let Some(server) = row(db.db(), user, "").await {
                        spawner.crash(&server.key.parse_key(), "crashed by the dice");
                    }
                }
            }
        }
        match dice.roll(8) {
            0 => {
                let dead = hubs.remove(0);
                dead.kill().await;
                if replicas == 1 {
                    until("nothing moves", || async { spawner.at_work().is_empty() }).await;
                }
                hubs.push(hasty_hub(db.another().await, &spawner).await);
            }
            1 => {
                hubs.remove(0).stop().await;
                hubs.push(hasty_hub(db.another().await, &spawner).await);
            }
            _ => {}
        }
        let all: Vec<&TestHub> = hubs.iter().collect();
        at_peace(db.db(), &spawner, &all).await;
        // What the dice do says nothing of the environment.
        let mut tx = db.db().write().await.unwrap();
        lyceum_hub::db::trouble::forget(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    for hub in hubs {
        hub.stop().await;
    }
}

trait ParseKey {
    fn parse_key(&self) -> lyceum_model::server::ServerKey;
}

impl ParseKey for String {
    fn parse_key(&self) -> lyceum_model::server::ServerKey {
        lyceum_model::server::ServerKey::parse(self).expect("a key")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_rounds_of_trouble_alone() {
    random_story(&TestDb::sqlite().await, 1, 0x5eed_0001).await;
    random_story(&TestDb::postgres().await, 1, 0x5eed_0002).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_rounds_of_trouble_with_two_replicas() {
    random_story(&TestDb::postgres().await, 2, 0x5eed_0003).await;
}

/// Connections are cut again and again while servers start, run and stop.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_goes_away_for_a_moment() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let hub = hasty_hub(db.another().await, &spawner)
        .await
        .with_user("ada")
        .await;
    let Location::Postgres(url) = db.location() else {
        unreachable!("it is on PostgreSQL");
    };
    let mut cutter = sqlx::PgConnection::connect(url).await.unwrap();
    let mut cut = async || {
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        cutter.execute(all).await.unwrap();
    };
    for _ in 0..3 {
        spawner.behave(Behaviour::HangsBefore);
        ask(&hub, "ada", true).await;
        until("the spawner is asked", || async {
            !spawner.at_work().is_empty()
        })
        .await;
        cut().await;
        spawner.behave(Behaviour::Good);
        cut().await;
        until("it is ready", || async { ready(&db, "ada").await }).await;
        let before = spawner.orders().len();
        cut().await;
        until("the routes are right", || async {
            hub.proxy.routes().routes().len() == 1
        })
        .await;
        spawner.end(Ending::HangsBefore);
        ask(&hub, "ada", false).await;
        until("the spawner is asked", || async {
            !spawner.at_work().is_empty()
        })
        .await;
        cut().await;
        spawner.end(Ending::Good);
        until("it is stopped", || async {
            pending_or_none(&db).await && running_keys(&spawner).is_empty()
        })
        .await;
        assert_eq!(spawner.orders().len(), before);
    }
    assert_eq!(spawner.orders().len(), 3);
    let fresh = TestHub::start_with(db.another().await, spawner.clone()).await;
    let server = row(fresh.hub.db(), "ada", "").await.unwrap();
    assert_eq!((server.state, server.failure), (State::Stopped, None));
    assert_eq!(
        server_tokens(
            fresh.hub.db(),
            &row(fresh.hub.db(), "ada", "").await.unwrap()
        )
        .await,
        0
    );
    assert_eq!(pending(fresh.hub.db()).await, 0);
    fresh.stop().await;
    hub.stop().await;
}

/// On a connection of its own, since the pool's may just have been cut.
async fn states(db: &TestDb) -> Vec<String> {
    let Location::Postgres(url) = db.location() else {
        unreachable!("it is on PostgreSQL");
    };
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let states = sqlx::query_scalar("SELECT state FROM servers")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    states
}

async fn ready(db: &TestDb, _: &str) -> bool {
    states(db).await == ["ready"]
}

async fn pending_or_none(db: &TestDb) -> bool {
    states(db).await == ["stopped"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_ends_the_pause_after_a_failure() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            hasty(settings, timings);
            timings.first_pause = Duration::from_secs(3600);
            timings.longest_pause = Duration::from_secs(3600);
        })
        .await
        .with_user("ada")
        .await;
        let ada = program(&hub, "ada").await;
        spawner.behave(Behaviour::Busy);
        ask(&hub, "ada", true).await;
        until("it pauses", || async {
            row(db.db(), "ada", "")
                .await
                .is_some_and(|row| row.lease_owner.is_none() && row.lease_until.is_some())
        })
        .await;
        ada.delete(SERVER).await.expect(204);
        assert_eq!(state(db.db(), "ada").await, State::Stopped);
        hub.stop().await;
    }
}
