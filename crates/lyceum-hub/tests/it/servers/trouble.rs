//! Environments that fail for one after the other. The clock stands still until a story moves it.

use lyceum_hub::db::trouble;
use lyceum_hub::queue::Held;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings, launching};
use lyceum_model::clock::Clock;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::queue::{place, places, user};
use super::{state, until_state};

async fn wish(hub: &TestHub, name: &str, profile: &str) {
    let owner = user(hub.hub.db(), name).await;
    let options = json!({ "profile": profile });
    let server = "".parse().unwrap();
    launching::start(&hub.hub, &owner, &server, options)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_many_is_tried_less_often_until_it_works() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let tune =
            |settings: &mut Settings, timings: &mut Timings| places(16, 2)(settings, timings);
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune);
        let mut hub = hub.await;
        for name in ["ada", "ben", "eve", "sam", "tim", "tess"] {
            hub = hub.with_user(name).await;
        }
        // One person's failures alone hold back nobody, however many.
        spawner.behave(Behaviour::NotFound);
        for _ in 0..4 {
            wish(&hub, "ada", "broken").await;
            until_state(db.db(), "ada", State::Failed).await;
        }
        for name in ["ben", "eve"] {
            wish(&hub, name, "broken").await;
            until_state(db.db(), name, State::Failed).await;
        }
        let tries = spawner.orders().len();
        assert_eq!(tries, 6);
        wish(&hub, "sam", "broken").await;
        // Her wait is told once she has waited for a moment, which this clock has to be told.
        clock.advance(1_000);
        let wait = place(&hub, "sam").await;
        // Six failures: the pause has doubled three times.
        assert_eq!(wait.held, Some(Held::Trouble(120)), "{wait:?}");
        let page = hub.signed_in("sam").await;
        let page = page.get("/hub/spawn-pending/sam").await.expect(200).text();
        assert!(page.contains("have failed for several people"), "{page}");
        assert!(page.contains("about 2 min 0 s"), "{page}");
        // Another environment is as good as ever.
        spawner.behave_for("tess", Behaviour::Good);
        wish(&hub, "tess", "good").await;
        until_state(db.db(), "tess", State::Ready).await;
        assert_eq!(spawner.orders().len(), tries + 1);
        assert_eq!(state(db.db(), "sam").await, State::Queued);

        // One try after the pause; it fails, and the next pause is longer.
        clock.advance(120_000);
        until_state(db.db(), "sam", State::Failed).await;
        wish(&hub, "tim", "broken").await;
        clock.advance(1_000);
        let wait = place(&hub, "tim").await;
        assert_eq!(wait.held, Some(Held::Trouble(240)), "{wait:?}");
        // It works again, for all at once.
        spawner.behave(Behaviour::Good);
        clock.advance(240_000);
        until_state(db.db(), "tim", State::Ready).await;
        for name in ["ada", "ben", "eve", "sam"] {
            wish(&hub, name, "broken").await;
            until_state(db.db(), name, State::Ready).await;
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_forgotten_in_time_and_never_too_many() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let tune =
            |settings: &mut Settings, timings: &mut Timings| places(16, 2)(settings, timings);
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune);
        let hub = hub.await.with_user("ada").await;
        spawner.behave(Behaviour::NotFound);
        for profile in ["one", "two", "three"] {
            clock.advance(1_000);
            wish(&hub, "ada", profile).await;
            until_state(db.db(), "ada", State::Failed).await;
        }
        let left = async |since: i64, most: i64| {
            let mut tx = db.db().write().await.unwrap();
            trouble::prune(&mut tx, since, most).await.unwrap();
            let left = trouble::failing(&mut tx, 0, 1).await.unwrap();
            tx.commit().await.unwrap();
            left.len()
        };
        let now = clock.now();
        assert_eq!(left(0, 3).await, 3);
        assert_eq!(left(0, 2).await, 2);
        assert_eq!(left(now.plus(-1_000).0, 2).await, 1);
        assert_eq!(left(now.0, 2).await, 0);
        hub.stop().await;
    }
}
