//! The line of starts that wait: who is next, what those are told who wait, and what hangs.

use std::time::{Duration, Instant};

use lyceum_hub::config::StartLimits;
use lyceum_hub::db::users::User;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings, db, launching, queue};
use lyceum_model::name::UserName;
use lyceum_spawn::Pace;
use lyceum_store::Db;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use super::progress::{events, in_order};
use super::{EMPTY, at_peace, hasty, in_state, program, row, state, until, until_state};

/// Few places, and servers that hang do so for longer than any story.
pub(crate) fn places(
    at_once: usize,
    per_person: usize,
) -> impl FnOnce(&mut Settings, &mut Timings) {
    move |settings, timings| {
        hasty(settings, timings);
        // No question is left unanswered here, and the machine may be busy.
        timings.answer_limit = Duration::from_secs(10);
        timings.launch_limit = Duration::from_secs(120);
        // Nor does a replica lose its work because it gets no processor for two seconds.
        timings.lease = Duration::from_secs(8);
        settings.start_timeout = Duration::from_secs(120);
        settings.named_servers = 50;
        settings.starts = StartLimits {
            at_once,
            per_person,
            slow_after: Duration::from_secs(120),
        };
    }
}

pub(super) async fn user(db: &Db, name: &str) -> User {
    let mut tx = db.read().await.unwrap();
    let name = UserName::parse(name).unwrap();
    db::users::find(&mut tx, &name).await.unwrap().unwrap()
}

/// Wishes for named servers, in this order.
pub(crate) async fn wish(hub: &TestHub, wishes: &[(&str, &str)]) {
    for (name, server) in wishes {
        let owner = user(hub.hub.db(), name).await;
        launching::start(&hub.hub, &owner, &server.parse().unwrap(), json!({}))
            .await
            .unwrap();
    }
}

/// Who waits, as `ada/a`, in the order of the line.
pub(super) async fn line(db: &Db, hub: &TestHub) -> Vec<String> {
    let now = hub.hub.now();
    let mut tx = db.read().await.unwrap();
    let line = db::queue::line(
        &mut tx,
        Default::default(),
        now.0,
        queue::counts_since(now).0,
    )
    .await
    .unwrap();
    let mut names = Vec::new();
    for waiting in line {
        let row = db::servers::get(&mut tx, &waiting.id).await.unwrap();
        let row = row.unwrap();
        names.push(format!("{}/{}", row.user_name, row.name));
    }
    names
}

/// Orders in the order in which they came to the spawner.
fn orders(spawner: &FakeSpawner) -> Vec<String> {
    let orders = spawner.orders();
    let name =
        |order: &lyceum_spawn::StartOrder| format!("{}/{}", order.hub.user, order.hub.server);
    orders.iter().map(name).collect()
}

/// What is told to the owner, once it is in line.
pub(crate) async fn place(hub: &TestHub, name: &str) -> queue::Wait {
    let mut wait = None;
    let begun = Instant::now();
    while wait.is_none() {
        assert!(begun.elapsed() < super::PATIENCE, "{name} is not in line");
        let row = row(hub.hub.db(), name, "").await.unwrap();
        wait = queue::wait_of(&hub.hub, &row).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wait.unwrap()
}

async fn until_place(hub: &TestHub, name: &str, wanted: u64) -> queue::Wait {
    until(&format!("{name} has place {wanted}"), || async {
        place(hub, name).await.place == wanted
    })
    .await;
    place(hub, name).await
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_hang_hold_up_nobody_for_long() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let mut hub =
            TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
                places(16, 2)(settings, timings);
                settings.starts.slow_after = Duration::from_secs(3);
            })
            .await
            .with_user("eve")
            .await;
        let people: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
        for name in &people {
            hub = hub.with_user(name).await;
            spawner.behave_for(name, Behaviour::NeverReady);
        }
        let eve = program(&hub, "eve").await;
        for name in &people {
            wish(&hub, &[(name, ""), (name, "b")]).await;
        }
        until("all places are held", || async {
            spawner.orders().len() >= 16
        })
        .await;
        // Answered by 201 within the ten seconds that a program is kept waiting.
        eve.post_json("/hub/api/users/eve/server", &EMPTY)
            .await
            .expect(201);
        // It came up although none of the others has: their own time has only begun.
        for (state, expect) in [(State::Ready, 1), (State::Stopping, 0), (State::Failed, 0)] {
            assert_eq!(in_state(db.db(), state).await, expect, "{state}");
        }
        // She went before the second servers of those who have one already; what had its place at
        // the same moment as she may be ahead of her.
        let at = orders(&spawner).iter().position(|name| name == "eve/");
        assert!(at.unwrap() < 36, "{:?}", orders(&spawner));
        // All the others get their turn as well, each with its own time.
        until("all have begun", || async {
            in_state(db.db(), State::Starting).await == 40
        })
        .await;
        let mut tx = db.db().read().await.unwrap();
        let rows = db::servers::in_state(&mut tx, State::Starting).await;
        let mut steps = Vec::new();
        for row in rows.unwrap() {
            let of_row = db::servers::steps(&mut tx, &row.id, row.generation, 0).await;
            steps.extend(of_row.unwrap().into_iter().map(|step| step.message));
        }
        drop(tx);
        let slow = "The server has not answered for 3 s; waiting on, at most 120 s in all";
        assert!(steps.iter().any(|step| step == slow), "{steps:?}");
        // What has stepped aside can still be stopped.
        spawner.behave(Behaviour::Good);
        for name in &people {
            for server in ["", "b"] {
                let row = row(db.db(), name, server).await.unwrap();
                launching::stop(&hub.hub, &row).await.unwrap();
            }
        }
        at_peace(db.db(), &spawner, &[&hub]).await;
        assert_eq!(spawner.running().len(), 1);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_persons_many_servers_delay_nobody() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(4, 2))
            .await
            .with_user("ada")
            .await
            .with_user("bob")
            .await;
        let bob = program(&hub, "bob").await;
        spawner.behave_for("ada", Behaviour::HangsBefore);
        let names: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
        for name in &names {
            wish(&hub, &[("ada", name)]).await;
        }
        until("she has her share", || async {
            spawner.at_work().len() == 2
        })
        .await;
        bob.post_json("/hub/api/users/bob/server", &EMPTY)
            .await
            .expect(201);
        assert_eq!(spawner.at_work().len(), 2);
        // Places are free; she waits for her own starts and is told so.
        let last = row(db.db(), "ada", "s29").await.unwrap();
        until("it is in line", || async {
            queue::wait_of(&hub.hub, &last).await.unwrap().is_some()
        })
        .await;
        let wait = queue::wait_of(&hub.hub, &last).await.unwrap().unwrap();
        assert!(wait.own_first, "{wait:?}");
        assert_eq!(wait.place, 28);
        let ada = hub.signed_in("ada").await;
        let page = ada
            .get("/hub/spawn-pending/ada/s29")
            .await
            .expect(200)
            .text();
        assert!(
            page.contains("Waiting until another of this person"),
            "{page}"
        );
        // More places, at once and without a restart.
        let mut settings = (*hub.hub.settings()).clone();
        settings.starts.per_person = 3;
        hub.hub.reload(settings).await;
        until("she has the larger share", || async {
            spawner.at_work().len() == 3
        })
        .await;
        spawner.behave_for("ada", Behaviour::Good);
        until("all run", || async { spawner.running().len() == 31 }).await;
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_take_turns() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let mut hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
        for name in ["zoe", "ada", "bob", "eve"] {
            hub = hub.with_user(name).await;
        }
        spawner.behave_for("zoe", Behaviour::HangsBefore);
        wish(&hub, &[("zoe", "z")]).await;
        until("the place is held", || async {
            spawner.at_work().len() == 1
        })
        .await;
        let wishes = [
            ("zoe", "y"),
            ("ada", "a1"),
            ("ada", "a2"),
            ("ada", "a3"),
            ("bob", "b1"),
            ("bob", "b2"),
            ("eve", "e1"),
        ];
        wish(&hub, &wishes).await;
        // Zoe has a start under way: her next one stands with the second ones of the others, and
        // was asked for before them.
        let fair = [
            "ada/a1", "bob/b1", "eve/e1", "zoe/y", "ada/a2", "bob/b2", "ada/a3",
        ];
        assert_eq!(line(db.db(), &hub).await, fair);
        spawner.behave_for("zoe", Behaviour::Good);
        until("all run", || async { spawner.running().len() == 8 }).await;
        // Who has just had a place lets others go first: the line comes true.
        assert_eq!(orders(&spawner)[1..], fair);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_the_place_and_when_it_comes() {
    const STREAM: &str = "/hub/api/users/eve/server/progress";
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let mut hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
        for name in ["zoe", "ada", "bob", "eve"] {
            hub = hub.with_user(name).await;
            spawner.behave_for(name, Behaviour::HangsBefore);
        }
        wish(&hub, &[("zoe", "")]).await;
        until("the place is held", || async {
            spawner.at_work().len() == 1
        })
        .await;
        wish(&hub, &[("ada", ""), ("bob", "")]).await;
        let (program, browser) = (program(&hub, "eve").await, hub.signed_in("eve").await);
        let german = hub
            .signed_in("eve")
            .await
            .with_header("accept-language", "de");
        let page = async |browser: &Client| {
            let page = browser.get("/hub/spawn-pending/eve").await;
            page.expect(200).text()
        };
        // JupyterHub's programs are told that it is under way, however long the line.
        for _ in 0..2 {
            program
                .post_json("/hub/api/users/eve/server", &EMPTY)
                .await
                .expect(202);
        }
        let mut stream = program.listen(STREAM).await;
        stream.until("\"place\":3").await;
        let wait = place(&hub, "eve").await;
        // Nothing was measured: no estimate.
        assert_eq!(
            (wait.place, wait.estimate, wait.own_first),
            (3, None, false)
        );
        let text = page(&browser).await;
        assert!(text.contains("free place: number 3 in line.</p>"), "{text}");
        spawner.behave_for("zoe", Behaviour::Good);
        stream.until("\"place\":2").await;
        let wait = until_place(&hub, "eve", 2).await;
        // The first one held its place for those ten seconds; now there are two ahead.
        assert!(
            wait.estimate.is_some_and(|seconds| seconds >= 20),
            "{wait:?}"
        );
        let text = page(&browser).await;
        assert!(
            text.contains("free place: number 2 in line. Its turn comes in about "),
            "{text}"
        );
        let text = page(&german).await;
        assert!(
            text.contains("Nummer 2 in der Reihe. An der Reihe in etwa "),
            "{text}"
        );
        spawner.behave_for("ada", Behaviour::Good);
        stream.until("\"place\":1").await;
        until_place(&hub, "eve", 1).await;
        let text = page(&browser).await;
        assert!(
            text.contains("free place: next in line. Its turn"),
            "{text}"
        );
        spawner.behave_for("bob", Behaviour::Good);
        spawner.behave_for("eve", Behaviour::Good);
        let told = stream.rest().await;
        let told = events(&told);
        in_order(&told);
        let places: Vec<u64> = told
            .iter()
            .filter_map(|event| event["place"].as_u64())
            .collect();
        let mut each = places.clone();
        each.dedup();
        assert_eq!(each, [3, 2, 1], "{told:?}");
        let of = |place: u64| told.iter().find(|event| event["place"] == place).unwrap();
        assert_eq!(of(3)["estimate"], Value::Null);
        assert_eq!(
            of(3)["message"],
            "Waiting for a free place: number 3 in line"
        );
        assert!(of(2)["estimate"].is_i64(), "{told:?}");
        let begins = told
            .iter()
            .any(|event| event["message"] == "A place is free; the start begins");
        assert!(begins, "{told:?}");
        assert_eq!(told.last().unwrap()["ready"], true);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// Both replicas say the same place, and either takes up whoever is next.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_have_one_line() {
    let db = TestDb::postgres().await;
    let spawner = FakeSpawner::default();
    let mut one = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
    let two = TestHub::start_tuned(db.another().await, spawner.clone(), places(1, 1)).await;
    let waiting = ["ada", "bob", "eve", "ian"];
    for name in ["zoe", "zed"].iter().chain(&waiting) {
        one = one.with_user(name).await;
        spawner.behave_for(name, Behaviour::HangsBefore);
    }
    wish(&one, &[("zoe", ""), ("zed", "")]).await;
    until("both have a start under way", || async {
        spawner.at_work().len() == 2
    })
    .await;
    let holder = async |name| row(db.db(), name, "").await.unwrap().lease_owner;
    assert_ne!(holder("zoe").await, holder("zed").await);
    for (at, name) in waiting.iter().enumerate() {
        wish(if at % 2 == 0 { &one } else { &two }, &[(name, "")]).await;
    }
    for (expect, name) in (1..).zip(waiting) {
        let wait = until_place(&one, name, expect).await;
        assert_eq!(wait, until_place(&two, name, expect).await, "{name}");
        assert_eq!(wait.estimate, None);
    }
    // One gets the place that comes free, on whichever replica; the others move up on both.
    spawner.behave_for("zed", Behaviour::Good);
    until_state(db.db(), "ada", State::Starting).await;
    for (expect, name) in (1..).zip(&waiting[1..]) {
        let wait = until_place(&one, name, expect).await;
        assert_eq!(wait.place, until_place(&two, name, expect).await.place);
        assert!(wait.estimate.is_some(), "{wait:?}");
    }
    assert_eq!(state(db.db(), "bob").await, State::Queued);
    for name in ["zoe", "zed"].iter().chain(&waiting) {
        spawner.behave_for(name, Behaviour::Good);
    }
    at_peace(db.db(), &spawner, &[&one, &two]).await;
    assert_eq!(spawner.running().len(), 6);
    assert_eq!(spawner.orders().len(), 6);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_cancelled_while_it_waits() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let mut hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
        for name in ["zoe", "ada", "bob"] {
            hub = hub.with_user(name).await;
        }
        spawner.behave_for("zoe", Behaviour::HangsBefore);
        wish(&hub, &[("zoe", "")]).await;
        until("the place is held", || async {
            spawner.at_work().len() == 1
        })
        .await;
        let (program, browser) = (program(&hub, "ada").await, hub.signed_in("ada").await);
        let (started, told, ()) = tokio::join!(
            program.post_json("/hub/api/users/ada/server", &EMPTY),
            async {
                until_state(db.db(), "ada", State::Queued).await;
                program.get("/hub/api/users/ada/server/progress").await
            },
            async {
                until_state(db.db(), "ada", State::Queued).await;
                wish(&hub, &[("bob", "")]).await;
                until_place(&hub, "bob", 2).await;
                program
                    .delete("/hub/api/users/ada/server")
                    .await
                    .expect(204);
                until_place(&hub, "bob", 1).await;
            }
        );
        assert!(started.expect(500).text().contains("stopped meanwhile"));
        let told = events(&told.expect(200).text());
        in_order(&told);
        let last = told.last().unwrap();
        assert_eq!(last["failed"], true);
        assert!(
            last["message"]
                .as_str()
                .unwrap()
                .contains("cancelled while it waited"),
            "{told:?}"
        );
        let page = browser
            .get("/hub/spawn-pending/ada")
            .await
            .expect(200)
            .text();
        assert!(
            page.contains("The start was cancelled before the server was ready."),
            "{page}"
        );
        assert!(
            page.contains("/hub/spawn/ada?next=%2Fuser%2Fada%2F"),
            "{page}"
        );

        // By the button of the page as well.
        wish(&hub, &[("ada", "")]).await;
        until_place(&hub, "ada", 2).await;
        let fields = [("user", "ada"), ("server", ""), ("next", "/hub/home")];
        let gone = browser.post_form("/hub/servers/stop", &fields).await;
        assert_eq!(gone.expect(302).location(), "/hub/home");
        assert_eq!(state(db.db(), "ada").await, State::Stopped);
        // The spawner was never asked about her.
        assert_eq!((spawner.stops(), spawner.orders().len()), (0, 0));
        spawner.behave_for("zoe", Behaviour::Good);
        until("the others run", || async { spawner.running().len() == 2 }).await;
        assert_eq!(orders(&spawner), ["zoe/", "bob/"]);
        // She can start again.
        program
            .post_json("/hub/api/users/ada/server", &EMPTY)
            .await
            .expect(201);
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// A start that had stepped aside needs no place when it is gone on with after a crash.
#[tokio::test(flavor = "multi_thread")]
async fn what_hung_before_a_crash_holds_up_nobody_after_it() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), |settings, timings| {
            places(1, 1)(settings, timings);
            settings.starts.slow_after = Duration::from_millis(200);
        })
        .await
        .with_user("ada")
        .await
        .with_user("bob")
        .await;
        spawner.behave_for("ada", Behaviour::NeverReady);
        wish(&hub, &[("ada", "")]).await;
        until("it has stepped aside", || async {
            let row = row(db.db(), "ada", "").await.unwrap();
            row.unplaced_at.is_some()
        })
        .await;
        hub.kill().await;
        // Here a place is held for ever.
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(1, 1)).await;
        until("it is gone on with", || async {
            let row = row(db.db(), "ada", "").await.unwrap();
            row.lease_owner.as_deref() == Some(hub.hub.replica())
        })
        .await;
        let bob = program(&hub, "bob").await;
        bob.post_json("/hub/api/users/bob/server", &EMPTY)
            .await
            .expect(201);
        assert_eq!(state(db.db(), "ada").await, State::Starting);
        assert_eq!(orders(&spawner), ["ada/", "bob/"]);
        let row = row(db.db(), "ada", "").await.unwrap();
        launching::stop(&hub.hub, &row).await.unwrap();
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// Two at once and then one by one, though there are places for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_spawner_gets_no_more_starts_than_it_can_take() {
    const EVERY: Duration = Duration::from_millis(150);
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        spawner.walk(Pace {
            at_once: 2,
            every: EVERY,
        });
        let hub = TestHub::start_tuned(db.db().clone(), spawner, places(50, 50)).await;
        let hub = hub.with_user("ada").await;
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let begun = Instant::now();
        wish(&hub, &names.map(|name| ("ada", name))).await;
        until("all run", || async { hub.spawner.running().len() == 8 }).await;
        assert!(begun.elapsed() >= EVERY * 6, "{:?}", begun.elapsed());
        until("all are ready", || async {
            in_state(db.db(), State::Ready).await == 8
        })
        .await;
        hub.stop().await;
    }
}

/// A hub that died leaves many starts behind; whoever takes them up goes at the spawner's pace as well.
#[tokio::test(flavor = "multi_thread")]
async fn starts_that_were_left_behind_are_taken_up_at_the_pace_of_the_spawner() {
    const EVERY: Duration = Duration::from_millis(250);
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        spawner.behave(Behaviour::HangsBefore);
        let dies = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(50, 50)).await;
        let dies = dies.with_user("ada").await;
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        wish(&dies, &names.map(|name| ("ada", name))).await;
        until("all have begun", || async { spawner.at_work().len() == 8 }).await;
        dies.kill().await;
        until("nothing moves", || async { spawner.at_work().is_empty() }).await;
        spawner.walk(Pace {
            at_once: 2,
            every: EVERY,
        });
        spawner.behave(Behaviour::Good);
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), places(50, 50)).await;
        // On PostgreSQL not before the leases are over.
        until("all run", || async { spawner.running().len() == 8 }).await;
        let begun = spawner.begun();
        // The first may have come late; those after it have one turn's time to spare.
        let pairs = (1..begun.len()).flat_map(|from| (from..begun.len()).map(move |to| (from, to)));
        for (from, to) in pairs {
            let turns = u32::try_from((to - from).saturating_sub(1)).unwrap();
            let took = begun[to] - begun[from];
            assert!(
                took >= EVERY * turns,
                "{from} to {to}: {took:?} of {begun:?}"
            );
        }
        at_peace(db.db(), &spawner, &[&hub]).await;
        hub.stop().await;
    }
}
