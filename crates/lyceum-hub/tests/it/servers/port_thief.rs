//! Somebody else's program listens where a server should.

use std::time::Duration;

use lyceum_hub::servers::State;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};

use super::{EMPTY, at_peace, hasty, key, program, server_tokens, until_state};

const SERVER: &str = "/hub/api/users/ada/server";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_port_was_taken_is_closed_and_stopped() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), hasty)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        spawner.rob(&key(db.db(), "ada").await);
        let row = until_state(db.db(), "ada", State::Failed).await;
        let failure = row.failure.clone().unwrap_or_default();
        assert!(failure.contains("another program"), "{failure}");
        assert!(failure.contains("start the server again"), "{failure}");
        assert_eq!(server_tokens(db.db(), &row).await, 0);
        assert_eq!(spawner.stops(), 1);
        at_peace(db.db(), &spawner, &[&hub]).await;

        spawner.give_back(&key(db.db(), "ada").await);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        ada.get("/user/ada/lab").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_looks_of_the_watch_a_thief_gets_no_request() {
    let db = TestDb::sqlite().await;
    let spawner = FakeSpawner::default();
    let never = Duration::from_secs(3600);
    let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
        hasty(settings, timings);
        timings.watch_every = never;
    })
    .await
    .with_user("ada")
    .await;
    let ada = program(&hub, "ada").await;
    ada.post_json(SERVER, &EMPTY).await.expect(201);
    spawner.rob(&key(db.db(), "ada").await);
    let seen = spawner.requests();
    ada.get("/user/ada/lab").await.expect(503);
    assert_eq!(spawner.requests(), seen, "it was asked nothing");
    // The request that was refused has woken the watch.
    until_state(db.db(), "ada", State::Failed).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_the_port_fails_the_start() {
    let db = TestDb::sqlite().await;
    let spawner = FakeSpawner::default();
    let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), hasty)
        .await
        .with_user("ada")
        .await;
    let ada = program(&hub, "ada").await;
    ada.post_json(SERVER, &EMPTY).await.expect(201);
    ada.delete(SERVER).await.expect(204);
    let key = key(db.db(), "ada").await;
    spawner.rob(&key);
    let seen = spawner.requests();
    let failed = ada.post_json(SERVER, &EMPTY).await.expect(500);
    let words = failed.text();
    assert!(words.contains("listens on port"), "{words}");
    assert_eq!(spawner.requests(), seen, "it was asked nothing");
    at_peace(db.db(), &spawner, &[&hub]).await;
    hub.stop().await;
}
