//! Limits for servers that are alike: who waits for them, and who does not.

use axum::http::Method;
use lyceum_hub::Settings;
use lyceum_hub::launching;
use lyceum_hub::maintenance::{self, Switched};
use lyceum_hub::notices::Audience;
use lyceum_hub::queue::Held;
use lyceum_hub::quota::Quota;
use lyceum_hub::select::{People, Selector};
use lyceum_hub::servers::State;
use lyceum_model::who::{Forms, Who};
use lyceum_store::Db;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::queue::{line, place, places, user};
use super::{at_peace, in_state, row, state, until, until_state};
use crate::grants::group;
use crate::kit::send_json;

async fn hub(db: Db, spawner: &FakeSpawner, tune: impl FnOnce(&mut Settings)) -> TestHub {
    TestHub::start_tuned(db, spawner.clone(), |settings, timings| {
        places(64, 8)(settings, timings);
        tune(settings);
    })
    .await
}

async fn with_people(mut hub: TestHub, names: &[&str]) -> TestHub {
    for name in names {
        hub = hub.with_user(name).await;
    }
    hub
}

/// Asks for a default server of this course and profile.
async fn wish(hub: &TestHub, name: &str, course: &str, profile: &str) {
    let owner = user(hub.hub.db(), name).await;
    let options = json!({ "course": course, "profile": profile });
    let server = "".parse().unwrap();
    launching::start(&hub.hub, &owner, &server, options)
        .await
        .unwrap();
}

async fn stop(hub: &TestHub, name: &str) {
    let row = row(hub.hub.db(), name, "").await.unwrap();
    launching::stop(&hub.hub, &row).await.unwrap();
    until_state(hub.hub.db(), name, State::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_holds_back_its_own_and_nobody_else() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, |settings| {
            group(&mut settings.grants, "guests", &["g1", "g2"]);
            let quota = |whom: Selector, running: u64| Quota {
                whom,
                running: Some(running),
                starting: None,
            };
            settings.quotas = vec![
                quota(
                    Selector {
                        profiles: Some(vec!["gpu".into()]),
                        ..Selector::default()
                    },
                    2,
                ),
                quota(
                    Selector {
                        people: Some(People {
                            names: Vec::new(),
                            groups: vec!["guests".into()],
                        }),
                        ..Selector::default()
                    },
                    1,
                ),
            ];
        })
        .await;
        let names = ["p0", "p1", "p2", "p3", "ada", "g1", "g2"];
        let hub = with_people(hub, &names).await;
        for name in &names[..4] {
            wish(&hub, name, "", "gpu").await;
        }
        until("two of them run", async || {
            in_state(db.db(), State::Ready).await == 2
        })
        .await;
        // Whoever is not meant passes by.
        wish(&hub, "ada", "", "small").await;
        until_state(db.db(), "ada", State::Ready).await;
        wish(&hub, "g1", "", "small").await;
        until_state(db.db(), "g1", State::Ready).await;
        wish(&hub, "g2", "", "small").await;
        let wait = place(&hub, "g2").await;
        assert_eq!(
            (wait.place, wait.held, wait.estimate),
            (1, Some(Held::Full), None)
        );
        let mut waiting = Vec::new();
        for name in &names[..4] {
            if state(db.db(), name).await == State::Queued {
                waiting.push((place(&hub, name).await.place, *name));
            }
        }
        waiting.sort_unstable();
        assert_eq!(
            waiting.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            [1, 2]
        );
        let (_, last) = waiting[1];
        let page = hub.signed_in(last).await;
        let page = page.get(&format!("/hub/spawn-pending/{last}")).await;
        let page = page.expect(200).text();
        assert!(page.contains("counts towards a limit"), "{page}");
        assert!(page.contains("number 2 among"), "{page}");
        assert_eq!(in_state(db.db(), State::Ready).await, 4);

        // A place that gets free is taken, by the next in line.
        stop(&hub, "g1").await;
        until_state(db.db(), "g2", State::Ready).await;
        let running: Vec<&str> = {
            let mut running = Vec::new();
            for name in &names[..4] {
                if state(db.db(), name).await == State::Ready {
                    running.push(*name);
                }
            }
            running
        };
        stop(&hub, running[0]).await;
        until_state(db.db(), waiting[0].1, State::Ready).await;
        assert_eq!(state(db.db(), last).await, State::Queued);
        // More room without a restart.
        let mut settings = (*hub.hub.settings()).clone();
        settings.quotas[0].running = Some(3);
        hub.hub.reload(settings).await;
        until_state(db.db(), last, State::Ready).await;
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_a_course_holds_back_the_course_alone() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, |settings| {
            settings.quotas = vec![Quota {
                whom: Selector {
                    courses: Some(vec!["bio".into(), "chem".into()]),
                    ..Selector::default()
                },
                running: Some(2),
                starting: None,
            }];
        })
        .await;
        let names = ["b1", "b2", "c1", "c2", "law", "none"];
        let hub = with_people(hub, &names).await;
        // Those it names have their places together.
        for (name, course) in [("b1", "bio"), ("c1", "chem")] {
            wish(&hub, name, course, "").await;
            until_state(db.db(), name, State::Ready).await;
        }
        for (name, course, number) in [("b2", "bio", 1), ("c2", "chem", 2)] {
            wish(&hub, name, course, "").await;
            let wait = place(&hub, name).await;
            assert_eq!((wait.place, wait.held), (number, Some(Held::Full)));
        }
        for (name, course) in [("law", "law"), ("none", "")] {
            wish(&hub, name, course, "").await;
            until_state(db.db(), name, State::Ready).await;
        }
        // What others give back is no place of theirs.
        stop(&hub, "law").await;
        let wait = place(&hub, "b2").await;
        assert_eq!((wait.place, wait.held), (1, Some(Held::Full)));
        stop(&hub, "c1").await;
        until_state(db.db(), "b2", State::Ready).await;
        assert_eq!(state(db.db(), "c2").await, State::Queued);
        stop(&hub, "b1").await;
        until_state(db.db(), "c2", State::Ready).await;
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// However many run: as long as one is on its way up, the next waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_starts_counts_what_is_on_its_way_up() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, |settings| {
            settings.quotas = vec![Quota {
                whom: Selector {
                    profiles: Some(vec!["gpu".into()]),
                    ..Selector::default()
                },
                running: None,
                starting: Some(1),
            }];
        })
        .await;
        let names = ["p0", "p1", "p2", "ada"];
        let hub = with_people(hub, &names).await;
        wish(&hub, "p0", "", "gpu").await;
        until_state(db.db(), "p0", State::Ready).await;
        spawner.behave_for("p1", Behaviour::HangsAfter);
        wish(&hub, "p1", "", "gpu").await;
        until_state(db.db(), "p1", State::Starting).await;
        wish(&hub, "p2", "", "gpu").await;
        let wait = place(&hub, "p2").await;
        assert_eq!((wait.place, wait.held), (1, Some(Held::Full)));
        wish(&hub, "ada", "", "small").await;
        until_state(db.db(), "ada", State::Ready).await;
        assert_eq!(state(db.db(), "p2").await, State::Queued);
        // Once that one is up, it is the next one's turn; the one before it goes on.
        spawner.behave_for("p1", Behaviour::Good);
        until_state(db.db(), "p2", State::Ready).await;
        for name in ["p0", "p1"] {
            assert_eq!(state(db.db(), name).await, State::Ready, "{name}");
        }
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// Many wishes at once on two replicas: no more run than may, and each place is taken.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_give_the_last_place_once() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let tune = |settings: &mut Settings| {
        settings.quotas = vec![Quota {
            running: Some(5),
            ..Quota::default()
        }];
    };
    let one = hub(db.db().clone(), &spawner, tune).await;
    let two = hub(db.another().await, &spawner, tune).await;
    let names: Vec<String> = (0..24).map(|number| format!("p{number}")).collect();
    let people: Vec<&str> = names.iter().map(String::as_str).collect();
    let one = with_people(one, &people).await;
    spawner.behave(Behaviour::HangsAfter);
    for (at, name) in people.iter().enumerate() {
        wish(if at % 2 == 0 { &one } else { &two }, name, "", "").await;
    }
    until("all places are taken", async || {
        spawner.running().len() == 5
    })
    .await;
    // What waits is looked at again and again meanwhile.
    for _ in 0..3 {
        let before = one.hub.now().0;
        place(&one, &waiting(db.db(), &people).await).await;
        until("a sweep has passed", async || {
            one.hub.now().0 > before + 500
        })
        .await;
        assert_eq!(spawner.running().len(), 5);
    }
    spawner.behave(Behaviour::Good);
    let mut done = 0;
    while done < people.len() {
        let mut stopped = 0;
        for name in &people {
            if state(db.db(), name).await == State::Ready {
                assert!(spawner.running().len() <= 5);
                stop(&one, name).await;
                stopped += 1;
            }
        }
        done += stopped;
        if stopped == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    at_peace(db.db(), &spawner, &[&one, &two]).await;
    one.stop().await;
    two.stop().await;
}

async fn waiting(db: &Db, people: &[&str]) -> String {
    for name in people {
        if state(db, name).await == State::Queued {
            return (*name).to_owned();
        }
    }
    panic!("nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn courses_take_turns() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
        let names = ["a1", "a2", "a3", "a4", "b1", "b2", "none", "zoe"];
        let hub = with_people(hub, &names).await;
        spawner.behave_for("zoe", Behaviour::HangsBefore);
        wish(&hub, "zoe", "z", "").await;
        until("the place is held", async || spawner.at_work().len() == 1).await;
        for name in ["a1", "a2", "a3", "a4"] {
            wish(&hub, name, "a", "").await;
        }
        for name in ["b1", "b2"] {
            wish(&hub, name, "b", "").await;
        }
        wish(&hub, "none", "", "").await;
        let names: Vec<String> = line(db.db(), &hub).await;
        let names: Vec<&str> = names
            .iter()
            .map(|name| name.trim_end_matches('/'))
            .collect();
        assert_eq!(names, ["a1", "b1", "none", "a2", "b2", "a3", "a4"]);
        spawner.behave_for("zoe", Behaviour::Good);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// Neither a maintenance nor who is kept out is passed by for having waited.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_does_not_begin_in_a_maintenance_or_while_kept_out() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = hub(db.db().clone(), &spawner, |settings| {
            settings.quotas = vec![Quota {
                whom: Selector::default(),
                running: Some(1),
                starting: None,
            }];
            let tess = Who::parse("tess", Forms::People).unwrap();
            settings.notices.let_in = vec![Audience::Some(tess)];
        })
        .await;
        let names = ["ada", "ben", "tess", "tim"];
        let hub = with_people(hub.with_admin("root").await, &names).await;
        wish(&hub, "ada", "", "small").await;
        until_state(db.db(), "ada", State::Ready).await;
        wish(&hub, "ben", "", "small").await;
        assert_eq!(place(&hub, "ben").await.held, Some(Held::Site));
        wish(&hub, "tess", "", "small").await;

        let order = Switched {
            since: hub.hub.now().plus(1),
            until: None,
            message: None,
            by: "command line".into(),
        };
        let mut tx = db.db().write().await.unwrap();
        maintenance::switch_on(&mut tx, &order).await.unwrap();
        tx.commit().await.unwrap();
        until("the one who waits is told", || async {
            place(&hub, "ben").await.held == Some(Held::Maintenance)
        })
        .await;
        assert_eq!(place(&hub, "tess").await.held, Some(Held::Site));
        stop(&hub, "ada").await;
        // Those who are let in pass whoever waits, and so does what is asked for since.
        until_state(db.db(), "tess", State::Ready).await;
        stop(&hub, "tess").await;
        until("time goes on", || async { hub.hub.now().0 > order.since.0 }).await;
        wish(&hub, "tim", "", "small").await;
        until_state(db.db(), "tim", State::Ready).await;
        assert_eq!(state(db.db(), "ben").await, State::Queued);
        stop(&hub, "tim").await;
        let mut tx = db.db().write().await.unwrap();
        maintenance::switch_off(&mut tx, hub.hub.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        until_state(db.db(), "ben", State::Ready).await;

        wish(&hub, "tim", "", "small").await;
        let root = crate::kit::program(&hub, "root").await;
        let block = "/hub/api/lyceum/users/tim/block";
        send_json(&root, Method::PUT, block, &json!({}))
            .await
            .expect(204);
        wish(&hub, "ada", "", "small").await;
        stop(&hub, "ben").await;
        until_state(db.db(), "ada", State::Ready).await;
        // His start did not wait for him to be let in again, which may be never.
        let tims = row(db.db(), "tim", "").await.unwrap();
        assert_eq!(tims.state, State::Stopped);
        let why = tims.why_failed().map(|why| why.to_string());
        assert_eq!(why.as_deref(), Some("stopped by root"));
        let start = root
            .post_json("/hub/api/users/tim/server", &json!({}))
            .await;
        assert!(start.expect(403).text().contains("tim is kept out"));
        root.delete(block).await.expect(204);
        stop(&hub, "ada").await;
        wish(&hub, "tim", "", "small").await;
        until_state(db.db(), "tim", State::Ready).await;
        // What runs goes on, as before.
        send_json(&root, Method::PUT, block, &json!({}))
            .await
            .expect(204);
        assert_eq!(state(db.db(), "tim").await, State::Ready);

        let started = spawner.orders().len();
        wish(&hub, "ben", "", "small").await;
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.admission.block.people = [crate::grants::name("ben")].into();
        hub.hub.reload(settings).await;
        stop(&hub, "tim").await;
        until_state(db.db(), "ben", State::Stopped).await;
        assert_eq!(spawner.orders().len(), started, "it did not begin");
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}
