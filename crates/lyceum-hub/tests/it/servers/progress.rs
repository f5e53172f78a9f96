//! The progress stream and the progress page.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use lyceum_hub::servers::State;
use lyceum_testkit::fake::{Behaviour, Ending, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::EMPTY;
use super::{hasty_hub, program, until_state};

const STREAM: &str = "/hub/api/users/ada/server/progress";
const SERVER: &str = "/hub/api/users/ada/server";

pub(super) fn events(text: &str) -> Vec<Value> {
    let lines = text
        .split("\n\n")
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let data = line
                .strip_prefix("data: ")
                .unwrap_or_else(|| panic!("{line:?}"));
            serde_json::from_str(data).unwrap_or_else(|_| panic!("{data:?}"))
        })
        .collect()
}

/// Without the places in line: whether one is told depends on how busy the machine is.
fn steps(events: Vec<Value>) -> Vec<Value> {
    let steps = events
        .into_iter()
        .filter(|event| event.get("place").is_none());
    steps.collect()
}

pub(super) fn in_order(events: &[Value]) {
    let progress: Vec<i64> = events
        .iter()
        .map(|event| event["progress"].as_i64().unwrap())
        .collect();
    assert!(progress.is_sorted(), "{events:?}");
    assert_eq!(progress.last(), Some(&100), "{events:?}");
    assert_eq!(
        progress.iter().filter(|at| **at == 100).count(),
        1,
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_watch_a_start_and_one_comes_late() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        ada.get("/hub/api/users/nobody/server/progress")
            .await
            .expect(404);
        ada.get("/hub/api/users/ada/servers/none/progress")
            .await
            .expect(404);
        ada.get(STREAM).await.expect(404);

        hub.spawner.behave(Behaviour::HangsBefore);
        let listening = AtomicUsize::new(0);
        let watch = || async {
            until_state(db.db(), "ada", State::Starting).await;
            let stream = ada.listen(STREAM).await;
            listening.fetch_add(1, Relaxed);
            stream.rest().await
        };
        let (started, first, second, late) =
            tokio::join!(ada.post_json(SERVER, &EMPTY), watch(), watch(), async {
                super::until("both watch", || async { listening.load(Relaxed) == 2 }).await;
                hub.spawner.behave(Behaviour::HangsAfter);
                super::until("it runs", || async { !hub.spawner.running().is_empty() }).await;
                // As one that lost its connection and comes again.
                let late = ada.get(STREAM);
                hub.spawner.behave(Behaviour::Good);
                late.await
            },);
        started.expect(201);
        let late = late.expect(200);
        assert_eq!(late.headers["content-type"], "text/event-stream");
        assert_eq!(late.headers["cache-control"], "no-cache");
        let all = steps(events(&first));
        in_order(&all);
        assert_eq!(all[0]["message"], "Server requested");
        assert!(all.len() > 3, "{all:?}");
        let last = all.last().unwrap();
        assert_eq!(
            (&last["ready"], &last["url"]),
            (&json!(true), &json!("/user/ada/"))
        );
        assert_eq!(steps(events(&second)), all);
        let late = steps(events(&late.text()));
        // One event if it was ready already, else all of them.
        assert!(late == all || late == [last.clone()], "{late:?}");
        // Ready already: one event.
        assert_eq!(
            events(&ada.get(STREAM).await.expect(200).text()),
            std::slice::from_ref(last)
        );

        hub.spawner.end(Ending::HangsBefore);
        let (stopped, refused) = tokio::join!(ada.delete(SERVER), async {
            until_state(db.db(), "ada", State::Stopping).await;
            let refused = ada.get(STREAM).await;
            hub.spawner.end(Ending::Good);
            refused
        });
        stopped.expect(204);
        refused.expect(400);
        ada.get(STREAM).await.expect(400);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_start_is_kept_alive_and_a_failed_one_told() {
    for db in TestDb::both().await {
        let hub = TestHub::start_tuned(
            db.db().clone(),
            FakeSpawner::default(),
            |settings, timings| {
                settings.start_timeout = Duration::from_secs(5);
                // Programs are used to a line that often.
                assert_eq!(timings.keepalive, Duration::from_secs(8));
                timings.keepalive = Duration::from_millis(200);
            },
        )
        .await
        .with_user("ada")
        .await;
        let ada = program(&hub, "ada").await;
        hub.spawner.behave(Behaviour::NeverReady);
        let (started, told) = tokio::join!(ada.post_json(SERVER, &EMPTY), async {
            until_state(db.db(), "ada", State::Starting).await;
            ada.get(STREAM).await
        });
        let started = started.expect(500).text();
        assert!(started.contains("HTTP 502"), "{started}");
        let told = told.expect(200).text();
        assert!(told.contains("\n\n\n\n"), "no blank line: {told}");
        let told = events(&told);
        in_order(&told);
        let last = told.last().unwrap();
        assert_eq!(last["failed"], true);
        assert!(
            last["message"]
                .as_str()
                .unwrap()
                .starts_with("Spawn failed: "),
            "{last}"
        );
        assert_eq!(
            events(&ada.get(STREAM).await.expect(200).text()),
            std::slice::from_ref(last)
        );

        let browser = hub.signed_in("ada").await;
        let page = browser
            .get("/hub/spawn-pending/ada")
            .await
            .expect(500)
            .text();
        assert!(page.contains("HTTP 502"), "{page}");
        assert!(page.contains("a line that the fake server wrote"), "{page}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_start_ends_the_stream() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        hub.spawner.behave(Behaviour::NeverReady);
        let (started, told, stopped) = tokio::join!(
            ada.post_json(SERVER, &EMPTY),
            async {
                until_state(db.db(), "ada", State::Starting).await;
                ada.get(STREAM).await
            },
            async {
                super::until("it runs", || async { !hub.spawner.running().is_empty() }).await;
                ada.delete(SERVER).await
            }
        );
        stopped.expect(204);
        assert!(started.expect(500).text().contains("stopped meanwhile"));
        // The watcher may have come just when the stop had begun.
        if told.status == 200 {
            let told = events(&told.text());
            in_order(&told);
            assert!(
                told.last().unwrap()["message"]
                    .as_str()
                    .unwrap()
                    .contains("stopped"),
                "{told:?}"
            );
        } else {
            told.expect(400);
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_taken_back_ends_the_stream_it_opened() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        hub.spawner.behave(Behaviour::NeverReady);
        let made = ada.post_json("/hub/api/users/ada/tokens", &EMPTY).await;
        let made = made.expect(201).json();
        let guest = hub.client().with_token(made["token"].as_str().unwrap());
        let (started, told) = tokio::join!(ada.post_json(SERVER, &EMPTY), async {
            until_state(db.db(), "ada", State::Starting).await;
            let stream = guest.listen(STREAM).await;
            let path = format!("/hub/api/users/ada/tokens/{}", made["id"].as_str().unwrap());
            ada.delete(&path).await.expect(204);
            stream.rest().await
        });
        // The start goes on; its end is not told to whom it is no business any more.
        started.expect(202);
        assert!(
            events(&told).iter().all(|event| event["progress"] != 100),
            "{told}"
        );
        assert_eq!(super::state(db.db(), "ada").await, State::Starting);
        ada.delete(SERVER).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_one_replica_is_watched_on_another() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let one = hasty_hub(db.db().clone(), &spawner)
        .await
        .with_user("ada")
        .await;
    let two = hasty_hub(db.another().await, &spawner).await;
    let ada = program(&one, "ada").await;
    let token = two.token("ada").await;
    let elsewhere = two.client().with_token(&token);
    spawner.behave(Behaviour::HangsBefore);
    let watched = Notify::new();
    let (started, told, ()) = tokio::join!(
        ada.post_json(SERVER, &EMPTY),
        async {
            until_state(db.db(), "ada", State::Starting).await;
            watched.notify_one();
            elsewhere.get(STREAM).await
        },
        async {
            super::until("the spawner is asked", || async {
                !spawner.at_work().is_empty()
            })
            .await;
            watched.notified().await;
            spawner.behave(Behaviour::Good);
        }
    );
    started.expect(201);
    let told = events(&told.expect(200).text());
    in_order(&told);
    assert_eq!(told.last().unwrap()["ready"], true);
    elsewhere.get("/user/ada/lab").await.expect(200);
    assert_eq!(spawner.orders().len(), 1);
    one.stop().await;
    two.stop().await;
}
