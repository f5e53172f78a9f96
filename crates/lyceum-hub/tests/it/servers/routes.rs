//! From the row to the proxy and back.

use std::time::{Duration, Instant};

use lyceum_hub::servers::State;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::EMPTY;
use super::{hasty, program, row, until, until_state};

const SERVER: &str = "/hub/api/users/ada/server";
/// It takes some milliseconds; the rest is for a machine that does other things too.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn routed(hub: &TestHub, there: bool) -> Instant {
    until("the route is right", || async {
        hub.proxy.routes().routes().is_empty() != there
    })
    .await;
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_in_force_at_once_everywhere() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let one = TestHub::start_with(db.db().clone(), spawner.clone())
        .await
        .with_user("ada")
        .await;
    let two = TestHub::start_with(db.another().await, spawner.clone()).await;
    let ada = program(&one, "ada").await;
    let token = one.token("ada").await;
    let elsewhere = two.client().with_token(&token);
    // The first round may find the other replica not listening yet.
    for _ in 0..3 {
        let committed = async {
            until_state(db.db(), "ada", State::Ready).await;
            Instant::now()
        };
        let body = json!({});
        let (started, ready, here, there) = tokio::join!(
            ada.post_json(SERVER, &body),
            committed,
            routed(&one, true),
            routed(&two, true)
        );
        started.expect(201);
        assert!(here.saturating_duration_since(ready) < AT_ONCE);
        assert!(there.saturating_duration_since(ready) < AT_ONCE);
        ada.get("/user/ada/lab").await.expect(200);
        elsewhere.get("/user/ada/lab").await.expect(200);
        let (stopped, gone, here, there) = tokio::join!(
            ada.delete(SERVER),
            async {
                until("it is no longer ready", || async {
                    row(db.db(), "ada", "").await.unwrap().state != State::Ready
                })
                .await;
                Instant::now()
            },
            routed(&one, false),
            routed(&two, false)
        );
        stopped.expect(204);
        assert!(here.saturating_duration_since(gone) < AT_ONCE);
        assert!(there.saturating_duration_since(gone) < AT_ONCE);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_lands_in_the_rows() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), hasty)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        ada.post_json(SERVER, &EMPTY).await.expect(201);
        let at_start = row(db.db(), "ada", "").await.unwrap().last_activity_at;
        assert!(at_start.is_some());
        until("a visit is written down", || async {
            ada.get("/user/ada/lab").await.expect(200);
            row(db.db(), "ada", "").await.unwrap().last_activity_at > at_start
        })
        .await;
        hub.stop().await;

        // What came last is written at the shutdown.
        let hub = TestHub::start_tuned(db.db().clone(), spawner, |_, timings| {
            timings.activity_every = Duration::from_secs(3600);
        })
        .await;
        routed(&hub, true).await;
        let ada = program(&hub, "ada").await;
        let before = row(db.db(), "ada", "").await.unwrap().last_activity_at;
        tokio::time::sleep(Duration::from_millis(5)).await;
        ada.get("/user/ada/lab").await.expect(200);
        assert_eq!(
            row(db.db(), "ada", "").await.unwrap().last_activity_at,
            before
        );
        hub.stop().await;
        assert!(row(db.db(), "ada", "").await.unwrap().last_activity_at > before);
    }
}
