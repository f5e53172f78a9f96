//! Environments that fail for one after the other. The clock stands still until a story moves it.

use std::time::Duration;

use lyceum_hub::db::trouble;
use lyceum_hub::queue::Held;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings, launching};
use lyceum_model::clock::Clock;
use lyceum_store::Db;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::queue::{place, places, user};
use super::{key, state, until, until_state};

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
        // Six failures of three people, and it is the people who count.
        assert_eq!(wait.held, Some(Held::Trouble(15)), "{wait:?}");
        let page = hub.signed_in("sam").await;
        let page = page.get("/hub/spawn-pending/sam").await.expect(200).text();
        assert!(page.contains("have failed for several people"), "{page}");
        assert!(page.contains("about 15 s"), "{page}");
        // Another environment is as good as ever.
        spawner.behave_for("tess", Behaviour::Good);
        wish(&hub, "tess", "good").await;
        until_state(db.db(), "tess", State::Ready).await;
        assert_eq!(spawner.orders().len(), tries + 1);
        assert_eq!(state(db.db(), "sam").await, State::Queued);

        // One try after the pause; it fails, and the next pause is longer.
        clock.advance(15_000);
        until_state(db.db(), "sam", State::Failed).await;
        wish(&hub, "tim", "broken").await;
        clock.advance(1_000);
        let wait = place(&hub, "tim").await;
        assert_eq!(wait.held, Some(Held::Trouble(30)), "{wait:?}");
        // It works again: still one at a time at first, and for all at once when it has for a minute.
        spawner.behave(Behaviour::Good);
        clock.advance(30_000);
        until_state(db.db(), "tim", State::Ready).await;
        assert_eq!(failing(db.db()).await, 1);
        spawner.behave(Behaviour::HangsBefore);
        clock.advance(60_000);
        for name in ["ada", "ben", "eve", "sam"] {
            wish(&hub, name, "broken").await;
        }
        for name in ["ada", "ben", "eve", "sam"] {
            until_state(db.db(), name, State::Starting).await;
        }
        assert_eq!(failing(db.db()).await, 0);
        spawner.behave(Behaviour::Good);
        for name in ["ada", "ben", "eve", "sam"] {
            until_state(db.db(), name, State::Ready).await;
        }
        hub.stop().await;
    }
}

/// How many environments are held back.
async fn failing(db: &Db) -> usize {
    let mut tx = db.read().await.unwrap();
    trouble::failing(&mut tx, 0, 3).await.unwrap().len()
}

async fn troubled_hub(db: &TestDb, spawner: &FakeSpawner, clock: &Clock) -> TestHub {
    let tune = |settings: &mut Settings, timings: &mut Timings| {
        places(16, 2)(settings, timings);
        timings.watch_every = Duration::from_millis(100);
    };
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune).await;
    let mut hub = hub;
    for name in ["ada", "ben", "eve", "sam", "tim"] {
        hub = hub.with_user(name).await;
    }
    hub
}

/// A few people whose homes are broken and who ask again and again hold back nobody but themselves.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_not_failed_tries_next() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let hub = troubled_hub(&db, &spawner, &clock).await;
        let broken = ["ada", "ben", "eve"];
        for name in broken {
            spawner.behave_for(name, Behaviour::NotFound);
            wish(&hub, name, "usual").await;
            until_state(db.db(), name, State::Failed).await;
        }
        // They are back before anybody else comes.
        for name in broken {
            wish(&hub, name, "usual").await;
            clock.advance(1_000);
        }
        wish(&hub, "tim", "usual").await;
        clock.advance(1_000);
        let tims = place(&hub, "tim").await;
        assert_eq!(tims.place, 1, "{tims:?}");
        assert_eq!(place(&hub, "ada").await.place, 2);
        clock.advance(15_000);
        until_state(db.db(), "tim", State::Ready).await;
        let orders = spawner.orders();
        assert_eq!(orders[broken.len()].hub.user.as_str(), "tim");
        // Then it is their turn, one after the other.
        for name in broken {
            until_state(db.db(), name, State::Failed).await;
            clock.advance(15_000);
        }
        hub.stop().await;
    }
}

/// What answers once and then dies has not gone well.
#[tokio::test(flavor = "multi_thread")]
async fn an_end_right_after_the_start_is_a_failure() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let hub = troubled_hub(&db, &spawner, &clock).await;
        for name in ["ada", "ben", "eve"] {
            wish(&hub, name, "dying").await;
            until_state(db.db(), name, State::Ready).await;
            clock.advance(2_000);
            spawner.crash(&key(db.db(), name).await, "it exited with code 3");
            until_state(db.db(), name, State::Stopped).await;
        }
        assert_eq!(failing(db.db()).await, 1);
        wish(&hub, "sam", "dying").await;
        clock.advance(1_000);
        let wait = place(&hub, "sam").await;
        assert_eq!(wait.held, Some(Held::Trouble(15)), "{wait:?}");
        clock.advance(15_000);
        until_state(db.db(), "sam", State::Ready).await;
        // It may die as the others did; a minute later that is known.
        assert_eq!(failing(db.db()).await, 1);
        clock.advance(60_000);
        until("it has gone well", || async { failing(db.db()).await == 0 }).await;
        // Whoever ends later crashed for a reason of her own.
        spawner.crash(&key(db.db(), "sam").await, "out of memory");
        until_state(db.db(), "sam", State::Stopped).await;
        let mut tx = db.db().read().await.unwrap();
        assert!(trouble::failing(&mut tx, 0, 1).await.unwrap().is_empty());
        drop(tx);
        hub.stop().await;
    }
}

/// An end while no hub ran may have been at any time: it does not make good what has failed. A server
/// of something else that gives no answer keeps nobody from seeing that it goes well again.
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_nobody_watched_has_not_gone_well() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let hub = troubled_hub(&db, &spawner, &clock).await;
        let hub = hub.with_user("zoe").await;
        wish(&hub, "zoe", "other").await;
        until_state(db.db(), "zoe", State::Ready).await;
        for name in ["ada", "ben", "eve"] {
            spawner.behave_for(name, Behaviour::NotFound);
            wish(&hub, name, "dying").await;
            until_state(db.db(), name, State::Failed).await;
        }
        clock.advance(15_000);
        wish(&hub, "sam", "dying").await;
        until_state(db.db(), "sam", State::Ready).await;
        hub.kill().await;
        clock.advance(2_000);
        spawner.crash(&key(db.db(), "sam").await, "it exited with code 3");
        clock.advance(120_000);
        spawner.mute(Some(&key(db.db(), "zoe").await));
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            places(16, 2)(settings, timings);
            timings.answer_limit = Duration::from_secs(1);
        };
        let next =
            TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune).await;
        until_state(db.db(), "sam", State::Stopped).await;
        assert_eq!(failing(db.db()).await, 1);
        // Somebody tries, and from here on it is seen how that goes.
        wish(&next, "tim", "dying").await;
        until_state(db.db(), "tim", State::Ready).await;
        clock.advance(60_000);
        until("it has gone well", || async { failing(db.db()).await == 0 }).await;
        next.stop().await;
    }
}

/// A hub at which three people's starts have failed, and sam's server has come up since; tim is there, too.
async fn where_sam_runs_after_three_failed(
    db: &TestDb,
    spawner: &FakeSpawner,
    clock: &Clock,
    tune: impl FnOnce(&mut Settings, &mut Timings),
) -> TestHub {
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune);
    let mut hub = hub.await;
    for name in ["ada", "ben", "eve", "sam", "tim"] {
        hub = hub.with_user(name).await;
    }
    for name in ["ada", "ben", "eve"] {
        spawner.behave_for(name, Behaviour::NotFound);
        wish(&hub, name, "dying").await;
        until_state(db.db(), name, State::Failed).await;
    }
    clock.advance(15_000);
    wish(&hub, "sam", "dying").await;
    until_state(db.db(), "sam", State::Ready).await;
    hub
}

/// A spawner that tells nothing, neither which servers run nor of one whether it does, has not said that
/// it goes well.
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_spawner_told_nothing_has_not_gone_well() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            places(16, 2)(settings, timings);
            timings.answer_limit = Duration::from_secs(1);
        };
        let hub = where_sam_runs_after_three_failed(&db, &spawner, &clock, tune).await;
        let sams = key(db.db(), "sam").await;
        spawner.mute(Some(&sams));
        spawner.mute_list(true);
        spawner.crash(&sams, "it exited with code 3");
        clock.advance(120_000);
        // The second question from here on is of a look that has begun since, the third comes after it.
        let polls = spawner.polls(&sams);
        until("it was looked in vain", || async {
            spawner.polls(&sams) >= polls + 3
        })
        .await;
        // Whoever is next is let try, and not because it has gone well.
        wish(&hub, "tim", "dying").await;
        until_state(db.db(), "tim", State::Ready).await;
        assert_eq!(failing(db.db()).await, 1);
        spawner.mute(None);
        spawner.mute_list(false);
        until_state(db.db(), "sam", State::Stopped).await;
        assert_eq!(failing(db.db()).await, 1);
        hub.stop().await;
    }
}

/// A hub that was suspended, with its machine perhaps, has looked once and not since: what its rows say
/// to run may have ended at any time.
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_the_hub_slept_has_not_gone_well() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), Clock::manual(Clock::system().now()));
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            places(16, 2)(settings, timings);
            timings.watch_every = Duration::from_secs(3600);
        };
        let hub = where_sam_runs_after_three_failed(&db, &spawner, &clock, tune).await;
        clock.advance(120_000);
        spawner.crash(&key(db.db(), "sam").await, "it exited with code 3");
        // Whoever is next is let try, and not because it has gone well.
        wish(&hub, "tim", "dying").await;
        until_state(db.db(), "tim", State::Ready).await;
        assert_eq!(failing(db.db()).await, 1);
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
