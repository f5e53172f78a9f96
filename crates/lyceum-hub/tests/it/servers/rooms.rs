//! Places that are kept for courses to which many come: who gets them, who waits, and what admins see.

use std::time::Duration;

use lyceum_hub::Settings;
use lyceum_hub::launching;
use lyceum_hub::queue::Held;
use lyceum_hub::quota::Quota;
use lyceum_hub::rooms::Room;
use lyceum_hub::servers::State;
use lyceum_spawn::{Resource, Shortage};
use lyceum_store::Db;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::queue::{place, places, user};
use super::{at_peace, row, state, until, until_state};
use crate::kit::{in_german, until as until_kit};

const HOUR_MS: i64 = 3_600_000;

async fn hub(db: Db, spawner: &FakeSpawner, running: u64) -> TestHub {
    let tune = |settings: &mut Settings, timings: &mut lyceum_hub::Timings| {
        places(64, 8)(settings, timings);
        timings.rooms_every = Duration::from_millis(100);
        settings.quotas = vec![Quota {
            running: Some(running),
            ..Quota::default()
        }];
    };
    TestHub::start_tuned(db, spawner.clone(), tune).await
}

async fn with_people(mut hub: TestHub, names: &[&str]) -> TestHub {
    for name in names {
        hub = hub.with_user(name).await;
    }
    hub
}

/// A meeting that room is made for now.
fn room(hub: &TestHub, course: &str, people: u64) -> Room {
    let now = hub.hub.now();
    Room {
        course: course.into(),
        title: format!("All about {course}"),
        people,
        opens: now.plus(-HOUR_MS),
        begins: now.plus(HOUR_MS),
        ends: now.plus(2 * HOUR_MS),
        keeps: true,
    }
}

/// As course files would, and until it is known.
async fn plan(hub: &TestHub, rooms: Vec<Room>) {
    let many = rooms.len();
    hub.plan_rooms(rooms);
    until_kit("the meetings are known", async || {
        hub.hub.rooms(hub.hub.now()).len() == many
    })
    .await;
}

async fn wish(hub: &TestHub, name: &str, course: Option<&str>) {
    let owner = user(hub.hub.db(), name).await;
    let options = match course {
        Some(course) => json!({ "course": course }),
        None => json!({}),
    };
    let server = "".parse().unwrap();
    launching::start(&hub.hub, &owner, &server, options)
        .await
        .unwrap();
}

async fn runs(hub: &TestHub, name: &str, course: Option<&str>) {
    wish(hub, name, course).await;
    until_state(hub.hub.db(), name, State::Ready).await;
}

async fn waits(hub: &TestHub, name: &str, why: Held) {
    until(&format!("{name} waits for {why:?}"), || async {
        place(hub, name).await.held == Some(why)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_kept_for_those_who_come_soon() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, 3).await;
        let hub = with_people(hub, &["ada", "ben", "eve", "tess"]).await;
        let hub = hub.with_admin("root").await;
        plan(&hub, vec![room(&hub, "bio", 2)]).await;
        runs(&hub, "ada", None).await;
        wish(&hub, "ben", None).await;
        waits(&hub, "ben", Held::Room).await;
        let ben = hub.signed_in("ben").await;
        let page = ben.get("/hub/spawn-pending/ben").await.expect(200).text();
        assert!(page.contains("the free places are kept for it"), "{page}");
        let ben = in_german(ben);
        let page = ben.get("/hub/spawn-pending/ben").await.expect(200).text();
        assert!(page.contains("für ihn freigehalten"), "{page}");
        let root = hub.signed_in("root").await;
        let page = root.get("/hub/admin").await.expect(200).text();
        for words in ["All about bio", "2 people expected", "Places are kept now"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // They come.
        runs(&hub, "eve", Some("bio")).await;
        assert_eq!(state(db.db(), "ben").await, State::Queued);
        runs(&hub, "tess", Some("bio")).await;
        waits(&hub, "ben", Held::Site).await;
        let one = row(db.db(), "tess", "").await.unwrap();
        launching::stop(&hub.hub, &one).await.unwrap();
        until_state(db.db(), "tess", State::Stopped).await;
        waits(&hub, "ben", Held::Room).await;
        // It is over, and whoever waits has the place.
        plan(&hub, Vec::new()).await;
        until_state(db.db(), "ben", State::Ready).await;
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_courses_leave_each_other_their_places() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, 4).await;
        let hub = with_people(hub, &["b0", "b1", "b2", "c0", "c1"]).await;
        plan(&hub, vec![room(&hub, "bio", 2), room(&hub, "chem", 2)]).await;
        runs(&hub, "b0", Some("bio")).await;
        runs(&hub, "b1", Some("bio")).await;
        wish(&hub, "b2", Some("bio")).await;
        waits(&hub, "b2", Held::Room).await;
        runs(&hub, "c0", Some("chem")).await;
        runs(&hub, "c1", Some("chem")).await;
        assert_eq!(state(db.db(), "b2").await, State::Queued);
        hub.stop().await;
    }
}

/// Told to the spawner once, whichever replica it was, and told on by every replica.
#[tokio::test(flavor = "multi_thread")]
async fn the_spawner_makes_room_and_says_what_is_short() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    spawner.be_short(vec![Shortage {
        of: Resource::Memory,
        needed: 150 << 30,
        free: 90 << 30,
    }]);
    let one = hub(db.db().clone(), &spawner, 250).await;
    let two = hub(db.another().await, &spawner, 250).await;
    let one = one.with_admin("root").await;
    let meeting = room(&one, "bio", 300);
    for hub in [&one, &two] {
        plan(hub, vec![meeting.clone()]).await;
    }
    for hub in [&one, &two] {
        let root = hub.signed_in("root").await;
        until_kit("the shortage is told", async || {
            let page = root.get("/hub/admin").await.expect(200).text();
            page.contains(
                "There are 90 GB of memory free, and servers for all are guaranteed 150 GB",
            )
        })
        .await;
        let page = root.get("/hub/admin").await.expect(200).text();
        assert!(page.contains("so 50 of the people find no place"), "{page}");
        let page = in_german(root).get("/hub/admin").await.expect(200).text();
        assert!(page.contains("zugesichert sind Servern"), "{page}");
        let missing = |what: &'static str| {
            let missing = &hub.hub.metrics().room_missing;
            let label = lyceum_hub::metrics::RoomLabel { what };
            missing.get_or_create(&label).get()
        };
        until_kit("the metric tells it", async || {
            missing("memory") == 60 << 30 && missing("places") == 50
        })
        .await;
    }
    let asked = spawner.rooms();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].0, 300);
    assert_eq!(asked[0].1.course.as_deref(), Some("bio"));
    one.stop().await;
    two.stop().await;
}
