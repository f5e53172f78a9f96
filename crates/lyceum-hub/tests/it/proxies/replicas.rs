//! Two hubs on one database, two proxies before them.

use std::time::{Duration, Instant};

use lyceum_testkit::{TestDb, TestFollower, TestHub};
use serde_json::json;

use super::{PATIENCE, make_ready, quiet_hub, set_address, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_route_works_at_every_proxy_at_once() {
    let db = TestDb::postgres().await;
    let first = quiet_hub(db.db().clone()).await;
    let second = quiet_hub(db.another().await).await;
    let proxies = [
        TestFollower::start(&[first.hub_address()]).await,
        TestFollower::start(&[second.hub_address()]).await,
    ];
    let early = make_ready(&first, "early", "", "http://127.0.0.1:9").await;
    until("both follow", || {
        proxies.iter().all(|proxy| proxy.has_route("/user/early/x"))
    })
    .await;
    // A stranger: at a server's route the proxy says 403, elsewhere the hub says something else.
    let asked = async |path: &str| {
        let mut answers = Vec::new();
        for proxy in &proxies {
            answers.push(proxy.client().get(path).await.status.as_u16());
        }
        answers
    };
    let mut took = Vec::new();
    for round in 0..20 {
        let name = format!("person{round}");
        let path = format!("/user/{name}/x");
        assert!(!asked(&path).await.contains(&403));
        make_ready(&first, &name, "", "http://127.0.0.1:9").await;
        // `make_ready` returns with the commit.
        let began = Instant::now();
        while asked(&path).await != [403, 403] {
            assert!(began.elapsed() < PATIENCE, "{path}");
        }
        took.push(began.elapsed());
    }
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("from a commit to a request at each proxy, of 20: median {median:?}, worst {worst:?}");
    // 100 ms is the promise; the rest is for a machine that is busy with other tests. Whoever only
    // asks now and then is far slower.
    assert!(median < Duration::from_secs(2), "{median:?}");
    set_address(&first, &early, None).await;
    until("the old route is gone everywhere", || {
        !proxies.iter().any(|proxy| proxy.has_route("/user/early/x"))
    })
    .await;
    for proxy in proxies {
        proxy.stop().await;
    }
    second.stop().await;
    first.stop().await;
}

/// Everything a person does, with each step through another proxy.
#[tokio::test(flavor = "multi_thread")]
async fn hubs_come_and_go_and_people_go_on() {
    let db = TestDb::postgres().await;
    let spawner = lyceum_testkit::fake::FakeSpawner::default();
    let first = TestHub::start_with(db.db().clone(), spawner.clone()).await;
    let first = first.with_user("ada").await;
    let second = TestHub::start_with(db.another().await, spawner.clone()).await;
    let hubs = [first.hub_address(), second.hub_address()];
    let folder = tempfile::tempdir().expect("a folder");
    let one = TestFollower::start_tuned(&hubs, Some(folder.path()), |_| {}).await;
    let two = TestFollower::start(&hubs).await;
    let browser = one.client();
    browser
        .log_in("ada", lyceum_testkit::hub::PASSWORD)
        .await
        .expect(302);
    let token = first.token("ada").await;
    two.client()
        .with_token(&token)
        .post_json("/hub/api/users/ada/server", &json!({}))
        .await
        .expect(201);
    // Who is told "ready" can go there at once, at whichever proxy.
    browser.get("/user/ada/lab").await.expect(200);
    let elsewhere = two.client();
    for name in ["lyceum-access", "jupyterhub-hub-login"] {
        let value = browser.cookie(name).expect("signed in");
        elsewhere.plant(name, &value, "/");
    }
    elsewhere.get("/user/ada/lab").await.expect(200);

    // One hub is gone from one moment to the next: nobody notices.
    first.kill().await;
    for _ in 0..10 {
        browser.get("/hub/home").await.expect(200);
        elsewhere.get("/user/ada/lab").await.expect(200);
        two.client()
            .with_token(&token)
            .get("/hub/api/user")
            .await
            .expect(200);
    }
    // A log-out at one proxy holds at the other.
    let late = two.client();
    late.log_in("ada", lyceum_testkit::hub::PASSWORD)
        .await
        .expect(302);
    late.get("/user/ada/lab").await.expect(200);
    late.post_form("/hub/logout", &[]).await.expect(302);
    let planted = one.client();
    planted.plant(
        "lyceum-access",
        &late.cookie("lyceum-access").unwrap_or_default(),
        "/",
    );
    planted.get("/user/ada/lab").await.expect(403);
    browser.get("/user/ada/lab").await.expect(200);

    // No hub at all: what is known goes on, strangers stay out, and so it is after a restart.
    second.kill().await;
    browser.get("/user/ada/lab").await.expect(200);
    one.client().get("/user/ada/lab").await.expect(403);
    one.client()
        .with_token("unknown")
        .get("/user/ada/api")
        .await
        .expect(503);
    one.client().get("/_chp_healthz").await.expect(200);
    one.stop().await;
    let again = TestFollower::start_tuned(&hubs, Some(folder.path()), |_| {}).await;
    until("the table of before is in force", || {
        again.has_route("/user/ada/lab")
    })
    .await;
    // It says so once all of the table is there.
    crate::kit::until("it is ready", async || {
        again.client().get("/_chp_healthz").await.status == 200
    })
    .await;
    let unknown = again.client().with_token(&token).get("/user/ada/lab").await;
    unknown.expect(503);
    two.stop().await;

    // A proxy without a table has nothing to offer, and says so.
    let empty = TestFollower::start(&hubs).await;
    let health = empty.client().get("/_chp_healthz").await.expect(503).text();
    assert!(health.contains("no hub has answered yet"), "{health}");
    empty.stop().await;
    again.stop().await;
}

/// Decisions are not acted upon for ever while nobody tells of revocations.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_ends_when_no_hub_is_heard() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let proxy = TestFollower::start_tuned(&[hub.hub_address()], None, |settings| {
        settings.keep_when_cut = Duration::from_millis(300);
    })
    .await;
    let token = hub.token("ada").await;
    let ada = proxy.client().with_token(&token);
    ada.post_json("/hub/api/users/ada/server", &json!({}))
        .await
        .expect(201);
    ada.get("/user/ada/lab").await.expect(200);
    let spawner = hub.spawner.clone();
    hub.kill().await;
    let patience = std::time::Instant::now() + super::PATIENCE;
    loop {
        let answer = ada.get("/user/ada/lab").await;
        if answer.status == 503 {
            break;
        }
        assert_eq!(answer.status, 200);
        assert!(std::time::Instant::now() < patience, "kept for too long");
    }
    drop(spawner);
    proxy.stop().await;
}

/// What proxies have seen reaches the rows, and waits for a hub if need be.
#[tokio::test(flavor = "multi_thread")]
async fn activity_comes_back() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let proxy = TestFollower::start(&[hub.hub_address()]).await;
    let ada = proxy.client().with_token(&hub.token("ada").await);
    ada.post_json("/hub/api/users/ada/server", &json!({}))
        .await
        .expect(201);
    let last_used = || async {
        let mut tx = db.db().read().await.expect("a transaction");
        let rows = lyceum_hub::db::servers::in_state(&mut tx, lyceum_hub::servers::State::Ready)
            .await
            .expect("read");
        rows[0].last_activity_at
    };
    let before = last_used().await;
    ada.get("/user/ada/lab").await.expect(200);
    let patience = std::time::Instant::now() + super::PATIENCE;
    while last_used().await <= before {
        assert!(std::time::Instant::now() < patience, "activity never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.stop().await;
    hub.stop().await;
}
