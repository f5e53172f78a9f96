//! Many hands on one server at once.

use futures_util::future::join_all;
use lyceum_hub::servers::State;
use lyceum_testkit::TestDb;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use serde_json::json;

use super::{at_peace, hasty_hub, program, row, state, until};

const SERVER: &str = "/hub/api/users/ada/server";

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_are_asked_for_the_same_first_start() {
    for named in ["server", "servers/gpu"] {
        let db = TestDb::postgres().await;
        let spawner = FakeSpawner::default();
        let one = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        let two = hasty_hub(db.another().await, &spawner).await;
        let token = one.token("ada").await;
        let programs: Vec<_> = (0..8)
            .map(|at| {
                if at % 2 == 0 { &one } else { &two }
                    .client()
                    .with_token(&token)
            })
            .collect();
        let path = format!("/hub/api/users/ada/{named}");
        spawner.behave(Behaviour::HangsBefore);
        let asked = async {
            until("the spawner is asked", || async {
                !spawner.at_work().is_empty()
            })
            .await;
            spawner.behave(Behaviour::Good);
        };
        let body = json!({});
        let all = join_all(
            programs
                .iter()
                .map(|program| program.post_json(&path, &body)),
        );
        let (answers, ()) = tokio::join!(all, asked);
        let mut statuses: Vec<u16> = answers
            .iter()
            .map(|answer| answer.status.as_u16())
            .collect();
        statuses.sort_unstable();
        assert_eq!(
            statuses.iter().filter(|status| **status == 201).count(),
            1,
            "{statuses:?}"
        );
        // Who came when it was ready already was told so.
        assert!(
            statuses
                .iter()
                .all(|status| [201, 202, 400].contains(status)),
            "{statuses:?}"
        );
        at_peace(db.db(), &spawner, &[&one, &two]).await;
        assert_eq!(spawner.orders().len(), 1);
        one.stop().await;
        two.stop().await;
    }
}

/// Named servers asked for at once on two replicas keep to the limit.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_when_all_come_at_once() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let one = hasty_hub(db.db().clone(), &spawner)
        .await
        .with_user("ada")
        .await;
    let two = hasty_hub(db.another().await, &spawner).await;
    let token = one.token("ada").await;
    let body = json!({});
    let asked = (0..8).map(|at| {
        let client = if at % 2 == 0 { &one } else { &two }
            .client()
            .with_token(&token);
        let body = &body;
        async move {
            let path = format!("/hub/api/users/ada/servers/s{at}");
            client.post_json(&path, body).await.status.as_u16()
        }
    });
    let mut statuses = join_all(asked).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 400, 400, 400, 400, 400]);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_stops_at_once() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hasty_hub(db.db().clone(), &spawner)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        for round in 0..100 {
            let body = json!({});
            let (started, stopped) = tokio::join!(ada.post_json(SERVER, &body), async {
                // Each time a little later in the life of the start.
                for _ in 0..round {
                    tokio::task::yield_now().await;
                }
                ada.delete(SERVER).await
            });
            let (started, stopped) = (started.status.as_u16(), stopped.status.as_u16());
            assert!([201, 400, 500].contains(&started), "{started}");
            assert_eq!(stopped, 204);
            assert!(spawner.running().len() <= 1);
            let now = state(db.db(), "ada").await;
            assert!(matches!(now, State::Ready | State::Stopped), "{now}");
        }
        at_peace(db.db(), &spawner, &[&hub]).await;
        let row = row(db.db(), "ada", "").await.unwrap();
        assert_eq!(row.failure, None);
        hub.stop().await;
    }
}
