//! A spawner that hangs, many hands at once, and names that nobody expected: each ends in a state
//! that can be told, with words for whoever asked.

use std::time::Duration;

use futures_util::future::join_all;
use lyceum_hub::launching;
use lyceum_hub::servers::State;
use lyceum_model::clock::Clock;
use lyceum_testkit::fake::{Ending, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use crate::kit::in_german;

use super::{EMPTY, at_peace, hasty, hasty_hub, key, program, row, state, until, until_state};

const SERVER: &str = "/hub/api/users/ada/server";

/// Before a start the spawner is asked whether the server runs. Without an answer the start is tried
/// again a few times, and then given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_hangs_in_a_start_is_given_up() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            hasty(settings, timings);
            timings.answer_limit = Duration::from_millis(200);
        })
        .await
        .with_user("ada")
        .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        ada.delete(SERVER).await.expect(204);
        let adas = key(db.db(), "ada").await;
        let stops = spawner.stops();
        spawner.mute(Some(&adas));
        ada.post_json(SERVER, &EMPTY).await;
        let failed = until_state(db.db(), "ada", State::Failed).await;
        let words = failed.failure.unwrap_or_default();
        assert!(words.contains("Something in the hub"), "{words}");
        assert_eq!(spawner.orders().len(), 1, "nothing was started unasked");
        assert!(spawner.stops() > stops, "whatever there was has been ended");
        spawner.mute(None);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// A stop that hangs is broken off and tried again. Meanwhile the server is stopping, says so to
/// whoever wants it started, and nobody else has to wait. When it has failed three times the owner and
/// the administrators read why.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_hangs_is_tried_again() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            hasty(settings, timings);
            timings.stop_limit = Duration::from_millis(300);
        })
        .await
        .with_user("ada")
        .await
        .with_user("bob")
        .await
        .with_admin("root")
        .await;
        let (ada, bob) = (program(&hub, "ada").await, program(&hub, "bob").await);
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        spawner.end(Ending::HangsBefore);
        let (hers, root) = (hub.signed_in("ada").await, hub.signed_in("root").await);
        let german = in_german(hub.signed_in("ada").await);
        let stopping = ada.delete(SERVER);
        let meanwhile = async {
            until("it was tried three times", || async {
                spawner.stops() >= 3
            })
            .await;
            assert_eq!(state(db.db(), "ada").await, State::Stopping);
            let told = ada.post_json(SERVER, &EMPTY).await.expect(400).json();
            let words = told["message"].as_str().unwrap_or_default();
            assert!(words.contains("just being stopped"), "{words}");
            bob.post_json("/hub/api/users/bob/server", &EMPTY)
                .await
                .expect(201);
            until("the row says why", || async {
                let row = row(db.db(), "ada", "").await.unwrap();
                row.why_not_stopped().is_some()
            })
            .await;
            let page = "/hub/spawn-pending/ada";
            for (client, page, words) in [
                (
                    &hers,
                    page,
                    "could not be stopped so far: The stop was not over",
                ),
                (&hers, "/hub/home", "could not be stopped so far"),
                (
                    &german,
                    page,
                    "ließ sich bisher nicht anhalten: Das Anhalten",
                ),
                (&root, "/hub/admin", "could not be stopped so far"),
                (&root, "/hub/admin/servers", "could not be stopped so far"),
            ] {
                let text = client.get(page).await.expect(200).text();
                assert!(text.contains(words), "{page}: {text}");
            }
            let overview = root.get("/hub/admin").await.expect(200).text();
            assert!(overview.contains("id=\"stuck\""), "{overview}");
            spawner.end(Ending::Good);
        };
        let (stopped, ()) = tokio::join!(stopping, meanwhile);
        let status = stopped.status.as_u16();
        assert!([202, 204].contains(&status), "{status}");
        let stopped = until_state(db.db(), "ada", State::Stopped).await;
        assert_eq!(stopped.stop_trouble, None);
        let overview = root.get("/hub/admin").await.expect(200).text();
        assert!(!overview.contains("id=\"stuck\""), "{overview}");
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// What one hub tried before it went is unknown to the next, but not since when somebody waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_fails_at_one_hub_after_the_other_is_told() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let next = || {
            TestHub::start_tuned_at(
                db.db().clone(),
                spawner.clone(),
                clock.clone(),
                |settings, timings| {
                    hasty(settings, timings);
                    // Each tries once.
                    timings.first_pause = Duration::from_secs(3600);
                    timings.longest_pause = timings.first_pause;
                },
            )
        };
        let first = next().await.with_user("ada").await;
        let ada = program(&first, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        spawner.end(Ending::Fails);
        let server = row(db.db(), "ada", "").await.unwrap();
        launching::stop(&first.hub, &server).await.unwrap();
        until("it waits for the next try", || async {
            let row = row(db.db(), "ada", "").await.unwrap();
            let until = row.lease_until.unwrap_or_default();
            row.lease_owner.is_none() && until > clock.now().plus(1_800_000).0
        })
        .await;
        assert_eq!(spawner.stops(), 1);
        let once = row(db.db(), "ada", "").await.unwrap();
        assert_eq!(once.stop_trouble, None);
        first.kill().await;
        clock.advance(3_700_000);
        let second = next().await;
        until("the row says why", || async {
            let row = row(db.db(), "ada", "").await.unwrap();
            row.why_not_stopped().is_some()
        })
        .await;
        assert_eq!(spawner.stops(), 2);
        spawner.end(Ending::Good);
        second.stop().await;
    }
}

/// A hundred at once, by turns a start and a stop of one server, on two replicas.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_starts_and_stops_at_the_same_moment() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let one = hasty_hub(db.db().clone(), &spawner)
        .await
        .with_user("ada")
        .await;
    let two = hasty_hub(db.another().await, &spawner).await;
    let token = one.token("ada").await;
    let clients = [&one, &two].map(|hub| hub.client().with_token(&token));
    let asked = (0..100).map(|number| {
        let client = &clients[number / 2 % 2];
        async move {
            match number % 2 {
                0 => client.post_json(SERVER, &EMPTY).await,
                _ => client.delete(SERVER).await,
            }
        }
    });
    for (number, answer) in join_all(asked).await.into_iter().enumerate() {
        let status = answer.status.as_u16();
        let words = answer.text();
        match number % 2 {
            // Started; on its way; running or stopping already; or cancelled by a stop.
            0 => assert!([201, 202, 400, 500].contains(&status), "{status} {words}"),
            _ => assert!([202, 204].contains(&status), "{status} {words}"),
        }
        if status >= 400 {
            let said = serde_json::from_str::<serde_json::Value>(&words).unwrap();
            let message = said["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{words}");
        }
    }
    at_peace(db.db(), &spawner, &[&one, &two]).await;
    let row = row(db.db(), "ada", "").await.unwrap();
    assert!(
        matches!(row.state, State::Ready | State::Stopped),
        "{}",
        row.state
    );
    one.stop().await;
    two.stop().await;
}

/// Names that become the same when they are written into a path, a file name or a client's id.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_alike_inside_are_kept_apart() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await
            .with_user("ada-gpu")
            .await
            .with_user("ada.gpu")
            .await;
        for (user, server) in [
            ("ada", "servers/gpu"),
            ("ada", "server"),
            ("ada-gpu", "server"),
            ("ada.gpu", "server"),
        ] {
            let one = program(&hub, user).await;
            let path = format!("/hub/api/users/{user}/{server}");
            one.post_json(&path, &EMPTY).await.expect(201);
        }
        at_peace(db.db(), &spawner, &[&hub]).await;
        let orders = spawner.orders();
        let different = |of: &dyn Fn(&lyceum_spawn::StartOrder) -> String| {
            let all: std::collections::BTreeSet<String> = orders.iter().map(of).collect();
            all.len()
        };
        assert_eq!(different(&|order| order.key.to_string()), 4);
        assert_eq!(different(&|order| order.hub.client_id.clone()), 4);
        assert_eq!(different(&|order| order.hub.prefix.clone()), 4);
        // One person's servers share her home, others have theirs.
        assert_eq!(different(&|order| order.spec.home.clone()), 3);
        for (user, prefix) in [
            ("ada", "/user/ada/gpu/"),
            ("ada", "/user/ada/"),
            ("ada-gpu", "/user/ada-gpu/"),
            ("ada.gpu", "/user/ada.gpu/"),
        ] {
            let one = program(&hub, user).await;
            let said = one.get(&format!("{prefix}lab")).await.expect(200).text();
            assert_eq!(said, format!("the server of {user} at {prefix}lab"));
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_names_are_refused_with_a_reason() {
    let db = TestDb::sqlite().await;
    let hub = hasty_hub(db.db().clone(), &FakeSpawner::default())
        .await
        .with_user("ada")
        .await;
    let ada = program(&hub, "ada").await;
    let long = "a".repeat(300);
    for name in [
        "a%2Fb",
        "a%2F..%2Fb",
        "%2e%2e",
        ".",
        "..",
        "a.b",
        ".hidden",
        "%F0%9F%90%8D",
        "gpu%F0%9F%90%8D",
        "a%20b",
        "a%00b",
        "a%0Ab",
        "%ff",
        "a%252Fb",
        long.as_str(),
    ] {
        let path = format!("/hub/api/users/ada/servers/{name}");
        let started = ada.post_json(&path, &json!({})).await;
        let stopped = ada.delete(&path).await;
        for answer in [started, stopped] {
            let status = answer.status.as_u16();
            assert!([400, 404].contains(&status), "{name}: {status}");
            let said = answer.json()["message"].clone();
            assert!(said.as_str().is_some_and(|said| !said.is_empty()), "{name}");
        }
    }
    assert!(hub.spawner.orders().is_empty());
    let model = ada.get("/hub/api/users/ada").await.expect(200).json();
    assert_eq!(model["servers"], json!({}));
    hub.stop().await;
}

/// A spawner that can't tell which servers run may tell of each.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_hangs_hides_no_end() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        spawner.mute_list(true);
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            hasty(settings, timings);
            timings.answer_limit = Duration::from_secs(1);
        })
        .await
        .with_user("ada")
        .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await;
        until_state(db.db(), "ada", State::Ready).await;
        spawner.crash(&key(db.db(), "ada").await, "went away");
        let ended = until_state(db.db(), "ada", State::Stopped).await;
        let words = ended.failure.unwrap_or_default();
        assert!(words.contains("went away"), "{words}");
        spawner.mute_list(false);
        hub.stop().await;
    }
}
