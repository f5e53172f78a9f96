//! A maintenance that is switched on and off while hubs run.

use std::time::Duration;

use lyceum_hub::maintenance::{self, Switched};
use lyceum_hub::notices::Audience;
use lyceum_hub::{Settings, Timings};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::who::{Forms, Who};
use lyceum_store::settings;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

use crate::kit::{assert_german, program, until};

async fn start(program: &Client, server: &str) -> u16 {
    let path = format!("/hub/api/users/ada/servers/{server}");
    let answer = program.post_json(&path, &json!({})).await;
    answer.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_in_the_database_holds_at_every_replica() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(1_000_000));
        let replica = || TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone());
        let first = replica()
            .await
            .with_user("ada")
            .await
            .with_admin("root")
            .await;
        let second = replica().await;
        let token = first.token("ada").await;
        let ada = [&first, &second].map(|hub| hub.client().with_token(&token));

        let order = Switched {
            since: Millis(1_000_000),
            until: Some(Millis(2_000_000)),
            message: Some("New <b>disks".into()),
            by: "command line".into(),
        };
        // As another process leaves it, before anybody is woken: it holds from now on.
        let row = serde_json::to_string(&order).expect("JSON");
        let mut tx = db.db().write().await.expect("a transaction");
        settings::set(&mut tx, "maintenance", &row, order.since)
            .await
            .expect("written");
        tx.commit().await.expect("committed");
        for ada in &ada {
            assert_eq!(start(ada, "gpu").await, 503);
        }
        let came = second.client().log_in("ada", PASSWORD).await;
        came.expect(503);
        for hub in [&first, &second] {
            until("the pages tell of it", async || {
                let page = hub.client().get("/hub/login").await.text();
                page.contains("Maintenance is under way") && page.contains("New &lt;b&gt;disks")
            })
            .await;
        }
        let root = program(&first, "root").await;
        let none = json!({});
        let started = root.post_json("/hub/api/users/ada/server", &none).await;
        assert!([201, 202].contains(&started.status.as_u16()));

        let mut tx = db.db().write().await.expect("a transaction");
        assert!(
            maintenance::switch_off(&mut tx, clock.now())
                .await
                .expect("written")
        );
        tx.commit().await.expect("committed");
        for (ada, server) in ada.iter().zip(["a", "b"]) {
            let status = start(ada, server).await;
            assert!([201, 202].contains(&status), "{status}");
        }

        // One with an end ends by itself.
        let mut tx = db.db().write().await.expect("a transaction");
        maintenance::switch_on(&mut tx, &order)
            .await
            .expect("written");
        tx.commit().await.expect("committed");
        until("it holds", async || {
            let page = second.client().get("/hub/login").await.text();
            page.contains("Maintenance is under way")
        })
        .await;
        clock.advance(1_000_000);
        let page = second.client().get("/hub/login").await.text();
        assert!(!page.contains("Maintenance"), "{page}");
        let mut tx = db.db().write().await.expect("a transaction");
        assert!(
            !maintenance::switch_off(&mut tx, clock.now())
                .await
                .expect("written")
        );
        tx.commit().await.expect("committed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_configuration_lets_in_comes_in_during_a_switched_one() {
    let db = TestDb::sqlite().await;
    let tune = |settings: &mut Settings, _: &mut Timings| {
        let tess = Who::parse("tess", Forms::People).expect("good");
        settings.notices.let_in = vec![Audience::Some(tess)];
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let mut hub = hub.with_admin("root").await;
    for name in ["ada", "tess"] {
        hub = hub.with_user(name).await;
    }
    let root = hub.signed_in("root").await;
    let begin = [("do", "begin")];
    let begun = root.post_form("/hub/admin/maintenance", &begin).await;
    begun.expect(302);
    for (name, expect) in [("tess", 302), ("ada", 503)] {
        let browser = hub.client();
        browser.log_in(name, PASSWORD).await.expect(expect);
        let program = program(&hub, name).await;
        let path = format!("/hub/api/users/{name}/server");
        let started = program.post_json(&path, &json!({})).await;
        let expect = if expect == 302 { 201 } else { 503 };
        started.expect(expect);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn home_invites_nobody_to_start_who_would_be_refused() {
    let db = TestDb::sqlite().await;
    let tune = |settings: &mut Settings, _: &mut Timings| {
        let tess = Who::parse("tess", Forms::People).expect("good");
        settings.notices.let_in = vec![Audience::Some(tess)];
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let hub = hub.with_user("ada").await.with_user("tess").await;
    let hub = hub.with_admin("root").await;
    let [ada, tess, root] = ["ada", "tess", "root"].map(|name| hub.signed_in(name));
    let (ada, tess, root) = (ada.await, tess.await, root.await);
    let home = async |browser: &Client| browser.get("/hub/home").await.expect(200).text();
    // The buttons that start something, and what stands in their place.
    let starts = |page: &str| {
        let count = |form: &str| page.matches(&format!("action=\"/hub/{form}\"")).count();
        let closed = page.matches("aria-disabled=\"true\"").count();
        let forms = ["servers/start", "servers/add", "spawn"].map(count);
        (forms, page.contains("primary"), closed)
    };
    let open = ([2, 1, 1], true, 0);
    for browser in [&ada, &tess, &root] {
        assert_eq!(starts(&home(browser).await), open);
    }
    let path = "/hub/admin/maintenance";
    let begun = root.post_form(path, &[("do", "begin")]).await;
    begun.expect(302);
    for browser in [&tess, &root] {
        assert_eq!(starts(&home(browser).await), open);
    }
    let page = home(&ada).await;
    // Her server, and the course.
    assert_eq!(starts(&page), ([0, 0, 0], false, 2), "{page}");
    for has in [
        "aria-disabled=\"true\" aria-describedby=\"closed\"",
        "<p id=\"closed\">No server can be started until the maintenance is over.",
        "<a class=\"button\" href=\"/hub/home\">Look again</a>",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    assert_eq!(page.matches("id=\"closed\"").count(), 1, "{page}");
    let rests = ada.get("/hub/user/ada/lab").await.expect(424).text();
    assert!(rests.contains("until the maintenance is over"), "{rests}");
    assert!(!rests.contains("primary"), "{rests}");
    // Who is kept away gets no new session: this one is from before.
    let language = [("language", "de")];
    ada.post_form("/hub/language", &language).await.expect(302);
    for path in ["/hub/home", "/hub/user/ada/lab"] {
        let page = ada.get(path).await.text();
        assert!(page.contains("Bis die Wartung vorbei ist"), "{page}");
        assert_german(&page);
    }
    // What runs is the next thing all the same.
    let started = root.post_form("/hub/servers/start", &[("user", "ada"), ("server", "")]);
    started.await.expect(302);
    until("it runs", async || home(&ada).await.contains("state ready")).await;
    let page = home(&ada).await;
    assert!(
        page.contains("class=\"button primary\" href=\"/user/ada/\""),
        "{page}"
    );
    assert_eq!(page.matches("id=\"closed\"").count(), 1, "{page}");
    root.post_form(path, &[("do", "end")]).await.expect(302);
    assert_eq!(starts(&home(&tess).await), open);
    assert!(!home(&ada).await.contains("aria-disabled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_switch_it_on_their_page() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let root = hub.signed_in("root").await;
    let ada = hub.signed_in("ada").await;
    let page = root.get("/hub/admin").await.expect(200).text();
    assert!(page.contains("Begin maintenance"), "{page}");
    let path = "/hub/admin/maintenance";
    let fields = [
        ("do", "begin"),
        ("message", " New\n disks "),
        ("lasts", "60"),
    ];
    ada.post_form(path, &fields).await.expect(403);
    let long = "x".repeat(1001);
    let too_long = [("do", "begin"), ("message", long.as_str())];
    root.post_form(path, &too_long).await.expect(400);
    let done = root.post_form(path, &fields).await.expect(302);
    let page = root.get(done.location()).await.expect(200).text();
    assert!(page.contains("The maintenance has begun."), "{page}");
    assert!(
        page.contains("End maintenance") && page.contains("New disks"),
        "{page}"
    );
    assert!(page.contains("(root)"), "who did it: {page}");
    let token = hub.client().with_token(&hub.token("ada").await);
    assert_eq!(start(&token, "gpu").await, 503);
    root.post_form(path, &[("do", "end")]).await.expect(302);
    assert!([201, 202].contains(&start(&token, "gpu").await));
    root.post_form(path, &[("do", "what")]).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_tried_again_after_the_maintenance() {
    let db = TestDb::sqlite().await;
    let tune = |settings: &mut Settings, _: &mut Timings| {
        settings.start_timeout = Duration::from_secs(1);
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let hub = hub.with_user("ada").await.with_admin("root").await;
    let (ada, root) = (hub.signed_in("ada").await, hub.signed_in("root").await);
    hub.spawner.behave(Behaviour::NeverReady);
    let asked = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/server";
    asked.post_json(path, &json!({})).await.expect(500);
    // Whether there is a form that starts it, and a button that says why not.
    let again = async || {
        let page = ada.get("/hub/spawn-pending/ada").await.expect(500).text();
        let form = page.contains("action=\"/hub/servers/start\"");
        (form, page.contains("aria-disabled=\"true\""))
    };
    assert_eq!(again().await, (true, false));
    for (order, expect) in [("begin", (false, true)), ("end", (true, false))] {
        let order = [("do", order)];
        let switched = root.post_form("/hub/admin/maintenance", &order).await;
        switched.expect(302);
        assert_eq!(again().await, expect, "{order:?}");
    }
}
