//! Servers that end by rule: whose, when, why, and who keeps them from it. The clock stands still
//! until a story moves it.

use std::time::Duration;

use lyceum_hub::cull::{Limits, Rule};
use lyceum_hub::db::servers::Server;
use lyceum_hub::event_log::Target;
use lyceum_hub::metrics::ReasonLabel;
use lyceum_hub::quota::Quota;
use lyceum_hub::rooms::Room;
use lyceum_hub::select::{People, Selector};
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings};
use lyceum_model::clock::Clock;
use lyceum_model::server::ServerKey;
use lyceum_store::Db;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::group;
use crate::kit::{Socket, in_german, program, start_server, until};
use crate::servers::row;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// Not the machine's time: what the proxies see is told by its age.
fn long_ago() -> Clock {
    Clock::manual(Clock::system().now().plus(-100 * HOUR_MS))
}

fn limits(idle: Option<Duration>, age: Option<Duration>) -> Limits {
    Limits {
        idle,
        age,
        warn: Duration::from_secs(600),
        remove: false,
    }
}

async fn culling(
    db: Db,
    spawner: &FakeSpawner,
    clock: &Clock,
    tune: impl FnOnce(&mut Settings),
) -> TestHub {
    let tune = |settings: &mut Settings, timings: &mut Timings| {
        settings.culling.others = limits(Some(HOUR), Some(8 * HOUR));
        timings.cull_every = Duration::from_millis(100);
        timings.cull_after = Duration::ZERO;
        // However slow the machine is, no question is left unanswered.
        timings.answer_limit = Duration::from_secs(60);
        timings.sweep_every = Duration::from_millis(200);
        timings.activity_every = Duration::from_millis(200);
        tune(settings);
    };
    TestHub::start_tuned_at(db, spawner.clone(), clock.clone(), tune).await
}

async fn ended(db: &Db, user: &str, server: &str) -> Server {
    until(&format!("{user}/{server} has ended"), async || {
        let row = row(db, user, server).await;
        row.is_some_and(|row| row.state == State::Stopped)
    })
    .await;
    row(db, user, server).await.expect("a row")
}

fn culled(hub: &TestHub, reason: &'static str) -> u64 {
    let culled = &hub.hub.metrics().culled;
    culled.get_or_create(&ReasonLabel { reason }).get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_uses_ends_and_says_why() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let staff = |settings: &mut Settings| {
            group(&mut settings.grants, "staff", &["tess"]);
            settings.culling.rules = vec![Rule {
                whom: Selector {
                    people: Some(People {
                        names: Vec::new(),
                        groups: vec!["staff".into()],
                    }),
                    ..Selector::default()
                },
                limits: limits(Some(4 * HOUR), None),
            }];
        };
        let hub = culling(db.db().clone(), &spawner, &clock, staff).await;
        let hub = hub.with_user("ada").await.with_user("tess").await;
        for name in ["ada", "tess"] {
            start_server(&hub, name).await;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let events = folder.path().join("events");
        hub.hub.event_log().open(Some(Target {
            file: events.clone(),
            size: 1_000_000,
            keep: 1,
        }));
        clock.advance(HOUR_MS + MINUTE_MS);
        let row = ended(db.db(), "ada", "").await;
        let read = || std::fs::read_to_string(&events).unwrap_or_default();
        until("the event log tells of it", async || {
            let told = read();
            told.ends_with('\n') && told.contains("server-culled")
        })
        .await;
        let told = read();
        let told = told.lines().filter(|line| line.contains("server-culled"));
        let told = told.map(|line| serde_json::from_str(line).expect("JSON"));
        let mut told: Vec<Value> = told.collect();
        let at = told[0]["__timestamp__"].take();
        assert!(at.is_string(), "{at}");
        let expect = json!({
            "__timestamp__": null,
            "__schema__": "urn:lyceum:events:server-culled",
            "__schema_version__": "1",
            "__metadata_version__": 1,
            "username": "ada",
            "servername": "",
            "reason": "idle",
        });
        assert_eq!(told, [expect]);
        assert_eq!(
            row.failure.as_deref(),
            Some("stopped because nothing happened in it for 1 hour")
        );
        assert_eq!((culled(&hub, "idle"), culled(&hub, "age")), (1, 0));
        let ada = hub.signed_in("ada").await;
        let home = ada.get("/hub/home").await.expect(200).text();
        let words = "Stopped because nothing happened in it for 1 hour.";
        assert!(home.contains(words), "{home}");
        let ada = in_german(hub.signed_in("ada").await);
        let home = ada.get("/hub/home").await.expect(200).text();
        let words = "Beendet, weil darin 1 Stunde lang nichts geschehen ist.";
        assert!(home.contains(words), "{home}");
        // She starts it again, and nothing is left of that.
        start_server(&hub, "ada").await;
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(!home.contains(words), "{home}");

        clock.advance(3 * HOUR_MS);
        let row = ended(db.db(), "tess", "").await;
        assert_eq!(
            row.failure.as_deref(),
            Some("stopped because nothing happened in it for 4 hours")
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_goes_on() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let hub = culling(db.db().clone(), &spawner, &clock, |_| {}).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("eve").await.with_user("tess").await;
        for name in ["ada", "ben", "eve", "tess"] {
            start_server(&hub, name).await;
        }
        spawner.set_kernel("ben", "busy");
        spawner.set_kernel("eve", "idle");
        clock.advance(HOUR_MS / 6);
        // Through the proxy, whose clock shows another time than the hub's.
        let mut socket = Socket::by_token(&hub, &hub.token("ada").await).await;
        let told_after = async |minutes: i64| {
            until("the proxy has told", async || {
                let row = row(db.db(), "ada", "").await.expect("a row");
                row.last_activity_at > row.ready_at.map(|at| at + minutes * MINUTE_MS)
            })
            .await;
        };
        told_after(5).await;
        // What moves through it counts, long after it was opened.
        clock.advance(HOUR_MS / 3);
        socket.assert_open().await;
        told_after(25).await;
        // Tess' server tells by itself.
        let at = clock.now();
        let body = json!({ "servers": { "": { "last_activity": at.to_iso() } } });
        let tess = program(&hub, "tess").await;
        tess.post_json("/hub/api/users/tess/activity", &body)
            .await
            .expect(200);
        clock.advance(HOUR_MS / 2 + MINUTE_MS);
        ended(db.db(), "eve", "").await;
        until("the busy kernel counts as use", async || {
            let row = row(db.db(), "ben", "").await.expect("a row");
            row.last_activity_at == Some(clock.now().0)
        })
        .await;
        for name in ["ada", "ben", "tess"] {
            let row = row(db.db(), name, "").await.expect("a row");
            assert_eq!(row.state, State::Ready, "{name}");
        }
        socket.assert_open().await;
        told_after(60).await;
        // Nothing is left of what was asked with: each server has its own token.
        let row_of = row(db.db(), "ben", "").await.expect("a row");
        let mut tx = db.db().read().await.expect("a transaction");
        let tokens = lyceum_hub::db::tokens::of_user(&mut tx, &row_of.user_id, 0).await;
        let tokens = tokens.expect("read").into_iter();
        assert_eq!(tokens.filter(|token| token.server_id.is_some()).count(), 1);
        drop(tx);

        spawner.set_kernel("ben", "idle");
        clock.advance(HOUR_MS + MINUTE_MS);
        ended(db.db(), "ben", "").await;
        ended(db.db(), "tess", "").await;
        // That a WebSocket is open, and nothing comes through it, keeps no server.
        ended(db.db(), "ada", "").await;
        drop(socket);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_and_can_keep_it_but_not_beyond_its_age() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let hub = culling(db.db().clone(), &spawner, &clock, |settings| {
            settings.culling.others = limits(Some(HOUR), Some(2 * HOUR));
        })
        .await;
        let hub = hub.with_user("ada").await.with_user("eve").await;
        start_server(&hub, "ada").await;
        let (ada, eve) = (hub.signed_in("ada").await, hub.signed_in("eve").await);
        let home = async || ada.get("/hub/home").await.expect(200).text();
        let ends = async || {
            let told = program(&hub, "ada").await;
            let told = told.get("/hub/api/lyceum/users/ada/servers").await;
            told.expect(200).json()["servers"][0]["ends"].clone()
        };
        let page = home().await;
        assert!(
            page.contains("Ends by itself if nothing happens in it"),
            "{page}"
        );
        assert!(!page.contains("Keep it running"), "{page}");
        let began = clock.now();
        assert_eq!(
            ends().await,
            json!({ "at": began.plus(HOUR_MS).to_iso(), "why": "idle", "soon": false })
        );

        clock.advance(55 * MINUTE_MS);
        let page = home().await;
        assert!(page.contains("It ends in 5 min;"), "{page}");
        assert!(page.contains("Keep it running"), "{page}");
        // One thing comes first, and that is to go on in it.
        assert_eq!(page.matches("primary\"").count(), 1, "{page}");
        assert_eq!(ends().await["soon"], true);
        // It is hers alone.
        let fields = [("user", "ada"), ("server", "")];
        eve.post_form("/hub/servers/keep", &fields)
            .await
            .expect(404);
        let keep = "/hub/api/lyceum/users/ada/server/keep";
        let post = async |name: &str| {
            let client = program(&hub, name).await;
            client.post_json(keep, &json!({})).await
        };
        post("eve").await.expect(404);
        assert_eq!(ends().await["soon"], true);

        let answer = ada.post_form("/hub/servers/keep", &fields).await;
        assert_eq!(answer.expect(302).location(), "/hub/home");
        let page = home().await;
        assert!(!page.contains("Keep it running"), "{page}");
        clock.advance(50 * MINUTE_MS);
        post("ada").await.expect(204);
        clock.advance(8 * MINUTE_MS);
        // Two hours after it began, however much it is kept.
        let end = ends().await;
        assert_eq!(end["at"], began.plus(2 * HOUR_MS).to_iso());
        assert_eq!((&end["why"], &end["soon"]), (&json!("age"), &json!(true)));
        let page = home().await;
        assert!(page.contains("nearly as long as servers may"), "{page}");
        assert!(!page.contains("Keep it running"), "{page}");
        clock.advance(8 * MINUTE_MS);
        let row = ended(db.db(), "ada", "").await;
        let why = row.failure.expect("a reason");
        assert!(why.contains("had been running for 2 hours"), "{why}");
        assert_eq!((culled(&hub, "idle"), culled(&hub, "age")), (0, 1));
        // There is nothing to keep any more.
        post("ada").await.expect(400);
        assert_eq!(ends().await, json!(null));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_say_for_whom_it_is_different() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let hub = culling(db.db().clone(), &spawner, &clock, |settings| {
            let rule = |whom: Selector, limits: Limits| Rule { whom, limits };
            let any = Selector::default;
            let one = |text: &str| Some(vec![text.to_owned()]);
            let hours = |many: u32| limits(Some(many * HOUR), None);
            settings.culling.rules = vec![
                rule(
                    Selector {
                        admins: Some(true),
                        ..any()
                    },
                    limits(None, None),
                ),
                rule(
                    Selector {
                        courses: one("bio"),
                        ..any()
                    },
                    hours(2),
                ),
                rule(
                    Selector {
                        profiles: one("gpu"),
                        ..any()
                    },
                    hours(3),
                ),
                rule(
                    Selector {
                        named: Some(true),
                        ..any()
                    },
                    Limits {
                        remove: true,
                        ..hours(4)
                    },
                ),
            ];
        })
        .await;
        let hub = hub.with_admin("root").await.with_user("ada").await;
        let wishes = [
            ("root", "server", json!({})),
            ("ada", "server", json!({})),
            (
                "ada",
                "servers/b",
                json!({ "course": "bio", "profile": "gpu" }),
            ),
            ("ada", "servers/c", json!({ "profile": "gpu" })),
            ("ada", "servers/d", json!({})),
        ];
        for (user, server, wish) in wishes {
            let client = program(&hub, user).await;
            let path = format!("/hub/api/users/{user}/{server}");
            client.post_json(&path, &wish).await.expect(201);
        }
        let reason = async |server: &str| {
            let row = ended(db.db(), "ada", server).await;
            row.failure.unwrap_or_default()
        };
        for (server, hours) in [("", "1 hour"), ("b", "2 hours"), ("c", "3 hours")] {
            clock.advance(HOUR_MS + MINUTE_MS);
            let why = reason(server).await;
            assert!(why.ends_with(hours), "{server}: {why}");
        }
        clock.advance(HOUR_MS + MINUTE_MS);
        until("the named one is gone", async || {
            row(db.db(), "ada", "d").await.is_none()
        })
        .await;
        for kept in ["b", "c"] {
            assert!(row(db.db(), "ada", kept).await.is_some(), "{kept}");
        }
        let root = row(db.db(), "root", "").await.expect("a row");
        assert_eq!(root.state, State::Ready);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_end_soon_makes_room_for_a_course() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let hub = culling(db.db().clone(), &spawner, &clock, |settings| {
            settings.quotas = vec![Quota {
                running: Some(4),
                ..Quota::default()
            }];
        })
        .await;
        let names = ["ada", "ben", "eve", "tess"];
        let mut hub = hub;
        for name in names {
            hub = hub.with_user(name).await;
            start_server(&hub, name).await;
            spawner.set_kernel(name, "idle");
            clock.advance(MINUTE_MS);
        }
        spawner.set_kernel("ada", "busy");
        // Known before the clock moves: at each time there is one look.
        let opens = clock.now().plus(40 * MINUTE_MS);
        hub.plan_rooms(vec![Room {
            course: "bio".into(),
            title: "Biology".into(),
            people: 1,
            opens,
            begins: opens.plus(10 * MINUTE_MS),
            ends: opens.plus(30 * MINUTE_MS),
            keeps: true,
        }]);
        until("the meeting is known", async || {
            hub.hub.rooms(clock.now()).len() == 1
        })
        .await;
        clock.advance(40 * MINUTE_MS);
        // The longest unused works, so it is the next one's turn.
        let row = ended(db.db(), "ben", "").await;
        assert_eq!(
            row.failure.as_deref(),
            Some(
                "stopped because nothing happened in it for 43 minutes and a course needs its place"
            )
        );
        assert_eq!((culled(&hub, "room"), culled(&hub, "idle")), (1, 0));
        // There is room enough now: a look later nothing has changed.
        let turn = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let turn = lyceum_store::settings::get(&mut tx, "culler").await;
            turn.expect("read")
        };
        for _ in 0..2 {
            let before = turn().await;
            clock.advance(MINUTE_MS);
            until("another look", async || turn().await != before).await;
        }
        for name in ["ada", "eve", "tess"] {
            let row = crate::servers::row(db.db(), name, "").await.expect("a row");
            assert_eq!(row.state, State::Ready, "{name}");
        }
        hub.stop().await;
    }
}

/// A kernel that computes with all it has leaves its server no time to answer, and a spawner that hangs
/// tells nothing: neither is a sign that nobody works.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_answer_is_left_alone_for_long() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            settings.culling.others = limits(Some(HOUR), Some(8 * HOUR));
            timings.cull_every = Duration::from_millis(100);
            timings.cull_after = Duration::ZERO;
            timings.answer_limit = Duration::from_millis(500);
        };
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), tune);
        let hub = hub.await.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("eve").await;
        for name in ["ada", "ben", "eve"] {
            start_server(&hub, name).await;
        }
        spawner.set_kernel("ada", "silent");
        spawner.set_kernel("ben", "busy");
        // Something else runs there, and it answers.
        spawner.set_kernel("eve", "none");
        let bens = row(db.db(), "ben", "").await.expect("a row").key;
        spawner.mute(ServerKey::parse(&bens).as_ref());
        let turn = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let turn = lyceum_store::settings::get(&mut tx, "culler").await;
            turn.expect("read")
        };
        // A look that begins is one that has ended before.
        let look = async |later: i64| {
            let before = turn().await;
            clock.advance(later);
            until("another look", async || turn().await != before).await;
        };
        let state = async |name: &str| row(db.db(), name, "").await.expect("a row").state;
        clock.advance(HOUR_MS);
        for _ in 0..7 {
            look(MINUTE_MS).await;
        }
        for name in ["ada", "ben"] {
            assert_eq!(state(name).await, State::Ready, "{name}");
        }
        // It can be that this one was late once.
        ended(db.db(), "eve", "").await;

        // Both tell again.
        spawner.set_kernel("ada", "busy");
        spawner.mute(None);
        until("both kernels count as use", async || {
            // A question is worth something for a minute.
            look(1_000).await;
            let ada = row(db.db(), "ada", "").await.expect("a row");
            let ben = row(db.db(), "ben", "").await.expect("a row");
            ada.last_activity_at > ada.ready_at && ben.last_activity_at > ben.ready_at
        })
        .await;
        // Whoever is silent for as long again as it may be idle ends all the same; what the spawner
        // does not tell of ends by its age alone.
        spawner.set_kernel("ada", "silent");
        spawner.mute(ServerKey::parse(&bens).as_ref());
        clock.advance(HOUR_MS + MINUTE_MS);
        // It is asked a few times in that time.
        for _ in 0..4 {
            look(13 * MINUTE_MS).await;
        }
        assert_eq!(state("ada").await, State::Ready);
        until("its silence has been long", async || {
            look(13 * MINUTE_MS).await;
            state("ada").await != State::Ready
        })
        .await;
        let ada = ended(db.db(), "ada", "").await;
        let why = ada.failure.expect("a reason");
        assert!(why.contains("nothing happened in it for 1 hour"), "{why}");
        look(MINUTE_MS).await;
        assert_eq!(state("ben").await, State::Ready);
        clock.advance(8 * HOUR_MS);
        spawner.mute(None);
        let ben = ended(db.db(), "ben", "").await;
        let why = ben.failure.expect("a reason");
        assert!(why.contains("had been running for 8 hours"), "{why}");
        hub.stop().await;
    }
}

/// Two replicas look at once, and each server ends once.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_end_a_server_once() {
    let db = TestDb::postgres().await;
    let (spawner, clock) = (FakeSpawner::default(), long_ago());
    let one = culling(db.db().clone(), &spawner, &clock, |_| {}).await;
    let two = culling(db.another().await, &spawner, &clock, |_| {}).await;
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    let mut one = one;
    for name in &names {
        one = one.with_user(name).await;
        start_server(&one, name).await;
    }
    clock.advance(HOUR_MS + MINUTE_MS);
    for name in &names {
        ended(db.db(), name, "").await;
    }
    until("all stops are over", async || spawner.at_work().is_empty()).await;
    assert_eq!(spawner.stops(), names.len());
    assert_eq!(spawner.overlaps(), [""; 0]);
    assert_eq!(culled(&one, "idle") + culled(&two, "idle"), 12);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_hub_ends_nothing_before_it_could_hear_of_it() {
    let db = TestDb::sqlite().await;
    let (spawner, clock) = (FakeSpawner::default(), long_ago());
    let hub = culling(db.db().clone(), &spawner, &clock, |_| {}).await;
    let hub = hub.with_user("ada").await.with_user("ben").await;
    start_server(&hub, "ada").await;
    // It can't ask the next hub who asks, which listens elsewhere.
    spawner.set_kernel("ada", "none");
    hub.stop().await;
    // Nobody could tell of anything for two hours.
    clock.advance(2 * HOUR_MS);
    let tune = |settings: &mut Settings, timings: &mut Timings| {
        settings.culling.others = limits(Some(HOUR), None);
        // Looked for in the same round, behind the servers.
        settings.culling.forget_people = Some(5000 * HOUR);
        timings.cull_every = Duration::from_millis(100);
    };
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), tune).await;
    let began = clock.now();
    until("a round is over", async || {
        let mut tx = db.db().read().await.expect("a transaction");
        let turn = lyceum_store::settings::get(&mut tx, "forgetting").await;
        turn.expect("read").is_some()
    })
    .await;
    clock.advance(HOUR_MS / 12);
    let body = json!({ "servers": { "": { "last_activity": began.to_iso() } } });
    let ada = program(&hub, "ada").await;
    ada.post_json("/hub/api/users/ada/activity", &body)
        .await
        .expect(200);
    let ready = row(db.db(), "ada", "").await.expect("a row");
    assert_eq!(ready.state, State::Ready);
    clock.advance(HOUR_MS);
    let row = ended(db.db(), "ada", "").await;
    assert_eq!(row.stopped_at, Some(clock.now().0));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_never_came_again_are_forgotten() {
    for db in TestDb::both().await {
        let (spawner, clock) = (FakeSpawner::default(), long_ago());
        let hub = culling(db.db().clone(), &spawner, &clock, |settings| {
            settings.culling.others = Limits::default();
            settings.culling.forget_people = Some(24 * HOUR);
            group(&mut settings.grants, "staff", &["tess"]);
        })
        .await;
        let mut hub = hub.with_admin("root").await;
        for name in ["ada", "ben", "eve", "tess"] {
            hub = hub.with_user(name).await;
        }
        // One is in the middle of something, one came lately.
        start_server(&hub, "ben").await;
        clock.advance(20 * HOUR_MS);
        let eve = json!({ "last_activity": clock.now().to_iso() });
        program(&hub, "eve")
            .await
            .post_json("/hub/api/users/eve/activity", &eve)
            .await
            .expect(200);
        clock.advance(5 * HOUR_MS);
        let names = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let mut names = Vec::new();
            for name in ["ada", "ben", "eve", "root", "tess"] {
                let parsed = name.parse().expect("a good name");
                let user = lyceum_hub::db::users::find(&mut tx, &parsed).await;
                names.extend(user.expect("read").map(|_| name));
            }
            names
        };
        let stay = ["ben", "eve", "root", "tess"];
        until("ada is forgotten", async || names().await == stay).await;
        hub.stop().await;
    }
}

/// What a server takes is measured when somebody looks, for administrators and by the API.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_takes_is_told() {
    let db = TestDb::sqlite().await;
    let (spawner, clock) = (FakeSpawner::default(), long_ago());
    let hub = culling(db.db().clone(), &spawner, &clock, |_| {}).await;
    let hub = hub.with_admin("root").await.with_user("ada").await;
    start_server(&hub, "ada").await;
    let list = "/hub/api/lyceum/users/ada/servers";
    let told = async || {
        let answer = program(&hub, "ada").await.get(list).await;
        answer.expect(200).json()["servers"][0]["usage"].clone()
    };
    assert_eq!(told().await, json!(null));
    spawner.set_usage(lyceum_spawn::Usage {
        memory: 312 << 20,
        cpu_seconds: 50.0,
        processes: 7,
    });
    clock.advance(100_000);
    let expect = json!({ "memory": 312 << 20, "cpu": 0.5, "processes": 7 });
    assert_eq!(told().await, expect);
    let page = hub.signed_in("root").await.get("/hub/admin/servers").await;
    let page = page.expect(200).text();
    assert!(page.contains("312 MB, "), "{page}");
    hub.stop().await;
}
