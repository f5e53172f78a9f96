//! What goes wrong with a server, or with the spawner, and what people see of it.

use std::time::{Duration, Instant};

use lyceum_hub::servers::State;
use lyceum_model::server::ServerKey;
use lyceum_testkit::fake::{Behaviour, Ending, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};

use super::EMPTY;
use super::{
    at_peace, hasty, hasty_hub, key, program, row, server_tokens, state, until, until_state,
};

const SERVER: &str = "/hub/api/users/ada/server";

#[tokio::test(flavor = "multi_thread")]
async fn every_failed_start_leaves_nothing_and_can_be_repeated() {
    for db in TestDb::both().await {
        let hub = TestHub::start_tuned(
            db.db().clone(),
            FakeSpawner::default(),
            |settings, timings| {
                hasty(settings, timings);
                settings.start_timeout = Duration::from_secs(1);
                timings.launch_limit = Duration::from_secs(1);
            },
        )
        .await
        .with_user("ada")
        .await;
        let ada = program(&hub, "ada").await;
        let browser = hub.signed_in("ada").await;
        for (behaviour, words) in [
            (Behaviour::NotFound, "no-such-program"),
            (Behaviour::ExitsAtOnce, "ended with code 3"),
            (Behaviour::NeverReady, "HTTP 502"),
            (Behaviour::HangsBefore, "did not come up within 1 seconds"),
            (Behaviour::HangsAfter, "did not come up within 1 seconds"),
            (
                Behaviour::Busy,
                "Something in the hub keeps this server from starting",
            ),
        ] {
            hub.spawner.behave(behaviour);
            let failed = ada.post_json(SERVER, &EMPTY).await.expect(500).text();
            assert!(failed.contains(words), "{behaviour:?}: {failed}");
            let row = row(db.db(), "ada", "").await.unwrap();
            assert_eq!(row.state, State::Failed);
            assert!(row.failure.as_ref().unwrap().contains(words), "{row:?}");
            assert_eq!(server_tokens(db.db(), &row).await, 0);
            let page = browser
                .get("/hub/spawn-pending/ada")
                .await
                .expect(500)
                .text();
            assert!(page.contains("a line that the fake server wrote"), "{page}");
            at_peace(db.db(), &hub.spawner, &[&hub]).await;
        }
        hub.spawner.behave(Behaviour::Good);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        let row = row(db.db(), "ada", "").await.unwrap();
        assert_eq!(
            (row.failure.as_deref(), server_tokens(db.db(), &row).await),
            (None, 1)
        );
        let mut registry = prometheus_client::registry::Registry::default();
        hub.hub
            .register_metrics(&mut registry, lyceum_hub::metrics::PREFIX);
        hub.hub.publish_metrics(registry);
        let metrics = hub.hub.metrics_text().unwrap();
        for line in [
            "lyceum_server_starts_total{status=\"failure\"} 6",
            "lyceum_server_starts_total{status=\"success\"} 1",
            "jupyterhub_server_spawn_duration_seconds_count{status=\"success\",reason=\"\"} 1",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_by_itself_is_noticed() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        ada.get("/user/ada/lab").await.expect(200);
        spawner.crash(&key(db.db(), "ada").await, "ran out of memory");
        let ended = until_state(db.db(), "ada", State::Stopped).await;
        assert!(
            ended
                .failure
                .as_ref()
                .unwrap()
                .contains("ran out of memory"),
            "{ended:?}"
        );
        assert_eq!(server_tokens(db.db(), &ended).await, 0);
        at_peace(db.db(), &spawner, &[&hub]).await;
        ada.get("/user/ada/lab").await.expect(302);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        ada.get("/user/ada/lab").await.expect(200);
        hub.stop().await;
    }
}

/// A stop that fails for ever is tried with pauses, and other people's stops are not held up.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_fails_is_tried_again_with_pauses() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        spawner.end(Ending::Fails);
        let begun = Instant::now();
        let stopping = ada.delete(SERVER);
        let seen = async {
            until("it was tried four times", || async { spawner.stops() >= 4 }).await;
            let (tries, took) = (spawner.stops(), begun.elapsed());
            assert_eq!(state(db.db(), "ada").await, State::Stopping);
            spawner.end(Ending::Good);
            (tries, took)
        };
        let (stopped, (tries, took)) = tokio::join!(stopping, seen);
        stopped.expect(204);
        // Pauses of 0.1, 0.2 and 0.4 s lie between four tries.
        assert!(
            tries <= 5 && took >= Duration::from_millis(700),
            "{tries} in {took:?}"
        );
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// A spawner that never answers for one server delays neither the others nor a renewal.
#[tokio::test(flavor = "multi_thread")]
async fn one_question_that_hangs_holds_nobody_up() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await
            .with_user("bob")
            .await;
        let (ada, bob) = (program(&hub, "ada").await, program(&hub, "bob").await);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        bob.post_json("/hub/api/users/bob/server", &EMPTY)
            .await
            .expect(201);
        let (adas, bobs) = (key(db.db(), "ada").await, key(db.db(), "bob").await);
        spawner.mute(Some(&adas));
        spawner.crash(&bobs, "ended");
        until_state(db.db(), "bob", State::Stopped).await;
        bob.post_json("/hub/api/users/bob/server", &EMPTY)
            .await
            .expect(201);
        assert_eq!(state(db.db(), "ada").await, State::Ready);
        spawner.mute(None);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// What runs though its row is at rest, or though there is no row, is ended.
#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_ended() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        let order = spawner.orders().remove(0);
        ada.delete(SERVER).await.expect(204);
        hub.kill().await;

        let mut unknown = order.clone();
        unknown.key = ServerKey::parse("of-another-life").unwrap();
        for order in [&order, &unknown] {
            let steps = lyceum_spawn::Steps::silent();
            lyceum_spawn::Spawner::start(&spawner, order, &steps)
                .await
                .unwrap();
        }
        assert_eq!(spawner.running().len(), 2);
        let hub = hasty_hub(db.db().clone(), &spawner).await;
        until("nothing runs", || async { spawner.running().is_empty() }).await;
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}
