//! Servers for courses: from the card, by a link, by program, and what is told who may not.

use std::time::Duration;

use hyper::Method;
use lyceum_hub::origins::Origins;
use lyceum_hub::profiles::{Profile, Profiles};
use lyceum_hub::quota::Quota;
use lyceum_hub::select::Selector;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings};
use lyceum_model::environment::{Said, Setting};
use lyceum_store::on;
use lyceum_testkit::fake::{Behaviour, Ending, FakeSpawner};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::{granting, reload, role};
use crate::kit::{assert_german, in_german, program, send_json};
use crate::servers::{row, until_state};

async fn hub(db: &TestDb) -> TestHub {
    patient(db, Duration::from_secs(60)).await
}

/// One whose forms wait so long until what they stop has ended.
async fn patient(db: &TestDb, patience: Duration) -> TestHub {
    let spawner = FakeSpawner::default();
    let tune = |_: &mut Settings, timings: &mut Timings| timings.stop_patience = patience;
    let hub = TestHub::start_tuned(db.db().clone(), spawner, tune).await;
    hub.with_user("ada").await
}

/// The courses for which servers were started, in turn.
fn courses(hub: &TestHub) -> Vec<Option<String>> {
    let orders = hub.spawner.orders().into_iter();
    orders.map(|order| order.spec.course).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_of_the_home_page_starts_a_server_for_its_course() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let ada = hub.signed_in("ada").await;
        let home = ada.get("/hub/home").await.expect(200).text();
        let card = "<input type=\"hidden\" name=\"course\" value=\"signals\">";
        assert!(home.contains(card), "{home}");
        let started = ada.post_form("/hub/spawn", &[("course", "signals")]).await;
        let started = started.expect(302);
        assert_eq!(started.location(), "/hub/spawn-pending/ada");
        until_state(db.db(), "ada", State::Ready).await;
        assert_eq!(courses(&hub), [Some("signals".into())]);
        let ours = row(db.db(), "ada", "").await.expect("a row");
        assert_eq!(ours.course.as_deref(), Some("signals"));
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(!home.contains(card), "{home}");
        // Once more leads there.
        let again = ada.post_form("/hub/spawn", &[("course", "signals")]).await;
        assert_eq!(again.expect(302).location(), "/hub/spawn-pending/ada");
        assert_eq!(courses(&hub).len(), 1);
        // What was stopped is offered again for its course, and is a plain server where it is started
        // as one.
        ada.post_form("/hub/servers/stop", &[]).await.expect(302);
        until_state(db.db(), "ada", State::Stopped).await;
        let page = ada.get("/hub/user/ada/lab").await.expect(424).text();
        let link = "/hub/spawn/ada?next=%2Fhub%2Fuser%2Fada%2Flab&amp;course=signals";
        assert!(page.contains(link), "{page}");
        let again = [("course", "signals"), ("server", "")];
        ada.post_form("/hub/servers/start", &again)
            .await
            .expect(302);
        until_state(db.db(), "ada", State::Ready).await;
        ada.post_form("/hub/servers/stop", &[]).await.expect(302);
        until_state(db.db(), "ada", State::Stopped).await;
        ada.post_form("/hub/servers/start", &[]).await.expect(302);
        until_state(db.db(), "ada", State::Ready).await;
        let signals = Some("signals".to_owned());
        assert_eq!(courses(&hub), [signals.clone(), signals, None]);
        // To start it plainly was a choice, too.
        ada.post_form("/hub/servers/stop", &[]).await.expect(302);
        until_state(db.db(), "ada", State::Stopped).await;
        let program = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/server";
        program.post_json(path, &Value::Null).await.expect(201);
        assert_eq!(courses(&hub).pop(), Some(None));
    }
}

/// The hidden field by which a form says what it is about.
#[track_caller]
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().expect("its end")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_for_something_else_is_stopped_where_that_is_wished() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let ada = hub.signed_in("ada").await;
        ada.post_form("/hub/spawn", &[("course", "signals")])
            .await
            .expect(302);
        until_state(db.db(), "ada", State::Ready).await;
        let algebra = [("course", "algebra")];
        let page = ada.post_form("/hub/spawn", &algebra).await;
        let page = page.expect(409).text();
        for has in [
            "<h1>Start: The course algebra</h1>",
            "My notebook server runs already, for something else.",
            "It is for the course Signals and Systems.",
            "<button class=\"primary\">Stop it and start The course algebra</button>",
            "<a class=\"button\" href=\"/user/ada/\">Open what runs</a>",
            "method=\"post\" action=\"/hub/spawn/ada\"",
        ] {
            assert!(page.contains(has), "{has}: {page}");
        }
        assert_eq!(page.matches("primary\"").count(), 1, "{page}");
        // Nothing goes on by itself.
        assert!(!page.contains("data-look-at"), "{page}");
        let german = in_german(hub.signed_in("ada").await);
        let told = german.post_form("/hub/spawn", &algebra).await;
        let told = told.expect(409).text();
        assert!(told.contains("läuft schon, und zwar"), "{told}");
        assert_german(
            &told
                .replace("The course algebra", "")
                .replace("Signals and Systems", ""),
        );
        // Neither the question nor a link has ended anything.
        ada.get("/hub/spawn?course=algebra&stop=1")
            .await
            .expect(409);
        let life = hidden(&page, "stop").to_owned();
        let life = life.as_str();
        let send = async |life: &str| {
            let fields = [("course", "algebra"), ("stop", life)];
            ada.post_form("/hub/spawn/ada", &fields).await
        };
        for other in ["0", "no number", ""] {
            send(other).await.expect(409);
        }
        assert_eq!(
            row(db.db(), "ada", "").await.expect("a row").state,
            State::Ready
        );
        // What can't be started ends nothing.
        ada.post_form(
            "/hub/spawn/ada",
            &[("course", "closed-one"), ("stop", life)],
        )
        .await
        .expect(404);
        assert_eq!(
            row(db.db(), "ada", "").await.expect("a row").state,
            State::Ready
        );

        // And so does what is refused only when it is planned.
        let refused = [("course", "refused-one"), ("stop", life)];
        let page = ada.post_form("/hub/spawn/ada", &refused).await;
        let page = page.expect(400).text();
        assert!(page.contains("The test refuses it."), "{page}");
        let ours = row(db.db(), "ada", "").await.expect("a row");
        assert_eq!((ours.state, hub.spawner.stops()), (State::Ready, 0));

        let started = send(life).await.expect(302);
        assert_eq!(started.location(), "/hub/spawn-pending/ada");
        until_state(db.db(), "ada", State::Ready).await;
        let expect = ["signals", "algebra"].map(|course| Some(course.to_owned()));
        assert_eq!(courses(&hub), expect);
        // The page that was left open ends nothing that began since.
        ada.post_form("/hub/spawn/ada", &[("course", "signals"), ("stop", life)])
            .await
            .expect(409);
        assert_eq!(courses(&hub).len(), 2);
    }
}

/// The place that gets free is not kept: who would wait is told so before anything ends.
#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_behind_others_is_told_before_her_server_is_stopped() {
    for db in TestDb::both().await {
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            timings.stop_patience = Duration::from_secs(60);
            let quota = |running: u64, courses: Option<Vec<String>>| Quota {
                whom: Selector {
                    courses,
                    ..Selector::default()
                },
                running: Some(running),
                starting: None,
            };
            settings.quotas = vec![quota(2, None), quota(1, Some(vec!["signals".into()]))];
        };
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner, tune).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("cyd").await;
        let ada = hub.signed_in("ada").await;
        let ask = async |course: &str, more: &[(&str, &str)]| {
            let fields = [&[("course", course)], more].concat();
            ada.post_form("/hub/spawn/ada", &fields).await
        };
        let is_ready = async || {
            let ours = row(db.db(), "ada", "").await.expect("a row");
            ours.state == State::Ready
        };
        ada.get("/hub/spawn").await.expect(302);
        until_state(db.db(), "ada", State::Ready).await;
        let ben = hub.signed_in("ben").await;
        start_for(&ben, "/hub/spawn", "signals").await;
        until_state(db.db(), "ben", State::Ready).await;

        // All places are taken, but nobody waits: hers is hers again.
        let page = ask("algebra", &[]).await.expect(409).text();
        assert!(!page.contains("name=\"waits\""), "{page}");
        // The course has as many as it may, and that her server ends changes nothing there.
        let page = ask("signals", &[]).await.expect(409).text();
        assert!(page.contains("the one that gets free here"), "{page}");
        assert!(!page.contains("waits for that already"), "{page}");
        assert_eq!(hidden(&page, "waits"), "1");
        let life = hidden(&page, "stop").to_owned();
        // Who was not told stops nothing.
        let unwarned = ask("signals", &[("stop", &life)]).await.expect(409);
        assert!(unwarned.text().contains("name=\"waits\""));
        assert!(is_ready().await);

        let cyd = hub.signed_in("cyd").await;
        start_for(&cyd, "/hub/spawn", "algebra").await;
        until_state(db.db(), "cyd", State::Queued).await;
        let page = ask("algebra", &[]).await.expect(409).text();
        assert!(page.contains("1 start waits for one."), "{page}");
        let german = in_german(hub.signed_in("ada").await);
        let told = german.post_form("/hub/spawn/ada", &[("course", "algebra")]);
        let told = told.await.expect(409).text();
        assert!(told.contains("der neue Start wartet mit ihnen"), "{told}");
        // It has become so since the page was made.
        ask("algebra", &[("stop", &life)]).await.expect(409);
        assert!(is_ready().await);
        ask("algebra", &[("stop", &life), ("waits", "1")])
            .await
            .expect(302);
        until_state(db.db(), "cyd", State::Ready).await;
        let ours = row(db.db(), "ada", "").await.expect("a row");
        assert_eq!(ours.state, State::Queued);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_its_time_to_end_is_waited_for() {
    for db in TestDb::both().await {
        let hub = patient(&db, Duration::ZERO).await;
        let ada = hub.signed_in("ada").await;
        start_for(&ada, "/hub/spawn", "signals").await;
        let ours = until_state(db.db(), "ada", State::Ready).await;
        hub.spawner.end(Ending::HangsBefore);
        let life = ours.generation.to_string();
        let fields = [("course", "algebra"), ("stop", life.as_str())];
        let way = "/hub/spawn/ada?next=%2Fhub%2Fhome&course=algebra";
        let shown = way.replace('&', "&amp;");
        let asked = "/hub/spawn/ada?next=/hub/home";
        let stopping = ada.post_form(asked, &fields).await.expect(409).text();
        for has in [
            "My notebook server is still being stopped.",
            "starts The course algebra when that is done",
            &format!("data-look-again=\"3000\" data-look-at=\"{shown}\""),
            &format!("content=\"3; url={shown}\""),
        ] {
            assert!(stopping.contains(has), "{has}: {stopping}");
        }
        assert!(!stopping.contains("<p></p>"), "{stopping}");
        let german = in_german(hub.signed_in("ada").await);
        let told = german.get(way).await.expect(409).text();
        assert!(told.contains("geht von selbst weiter"), "{told}");
        assert_german(
            &told
                .replace("The course algebra", "")
                .replace("Signals and Systems", ""),
        );
        // Where a page of another site led her, nothing begins without her.
        let elsewhere = hub.signed_in("ada").await;
        let elsewhere = elsewhere.with_header("sec-fetch-site", "cross-site");
        let led = elsewhere.get(way).await.expect(409).text();
        assert!(led.contains("is still being stopped"), "{led}");
        assert!(
            !led.contains("data-look-a") && !led.contains("refresh"),
            "{led}"
        );

        hub.spawner.end(Ending::Good);
        until_state(db.db(), "ada", State::Stopped).await;
        let started = ada.get(way).await.expect(302);
        assert_eq!(
            started.location(),
            "/hub/spawn-pending/ada?next=%2Fhub%2Fhome"
        );
        until_state(db.db(), "ada", State::Ready).await;
        let expect = ["signals", "algebra"].map(|course| Some(course.to_owned()));
        assert_eq!(courses(&hub), expect);
    }
}

async fn start_for(client: &Client, path: &str, course: &str) {
    let fields = [("course", course)];
    client.post_form(path, &fields).await.expect(302);
}

/// Who may start somebody's server, but not stop it.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_stopped_by_those_who_may() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            role(grants, "starts", &["start:servers!user=ada"], &["ben"]);
        })
        .await;
        let (ada, ben) = (hub.signed_in("ada").await, hub.signed_in("ben").await);
        start_for(&ada, "/hub/spawn", "signals").await;
        let ours = until_state(db.db(), "ada", State::Ready).await;
        let life = ours.generation.to_string();
        let algebra = [("course", "algebra"), ("stop", life.as_str())];
        for fields in [&algebra[..1], &algebra[..]] {
            let page = ben.post_form("/hub/spawn/ada", fields).await;
            let page = page.expect(409).text();
            assert!(page.contains("Somebody who may stop it"), "{page}");
            for not in ["name=\"stop\"", "primary\"", "Stop it and start"] {
                assert!(!page.contains(not), "{not}: {page}");
            }
        }
        let ours = row(db.db(), "ada", "").await.expect("a row");
        assert_eq!((ours.state, hub.spawner.stops()), (State::Ready, 0));
        assert_eq!(courses(&hub).len(), 1);
        // With the right to it, it is he who stops it.
        reload(&hub, |grants| {
            role(grants, "stops", &["delete:servers!user=ada"], &["ben"]);
        })
        .await;
        let page = ben.post_form("/hub/spawn/ada", &algebra[..1]).await;
        let page = page.expect(409).text();
        assert_eq!(hidden(&page, "stop"), life);
        hub.stop().await;
    }
}

/// Of what somebody else's server does, that page tells as much as others do.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_told_to_those_who_may_read_it() {
    const READS: [&str; 3] = [
        "It is for the course Signals and Systems.",
        "Since",
        "<time ",
    ];
    const WATCH: &str = "href=\"/hub/spawn-pending/ada\"";
    const OPEN: &str = "href=\"/user/ada/\"";
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "starts", &["start:servers!user=ada"], &["ben"]);
    })
    .await;
    let rename = json!({ "display_name": "Thesis" });
    let program = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/server";
    send_json(&program, Method::PATCH, path, &rename)
        .await
        .expect(200);
    let told = async |client: &Client| {
        let page = client.post_form("/hub/spawn/ada", &[("course", "algebra")]);
        let page = page.await.expect(409).text();
        let main = page.split_once("<main").expect("its middle").1.to_owned();
        assert!(!main.contains("<p></p>"), "{main}");
        main
    };
    let ben = hub.signed_in("ben").await;
    let ada = hub.signed_in("ada").await;
    hub.spawner.behave(Behaviour::HangsBefore);
    start_for(&ada, "/hub/spawn", "signals").await;
    let page = told(&ben).await;
    assert!(page.contains("The server of ada is on its way"), "{page}");
    for not in READS.iter().chain([&WATCH, &OPEN, &"Thesis"]) {
        assert!(!page.contains(not), "{not}: {page}");
    }
    hub.spawner.behave(Behaviour::Good);
    until_state(db.db(), "ada", State::Ready).await;
    let page = told(&ben).await;
    assert!(page.contains("The server of ada runs already"), "{page}");
    for not in READS.iter().chain([&WATCH, &OPEN, &"Thesis"]) {
        assert!(!page.contains(not), "{not}: {page}");
    }
    // He may read and open it; but there is one host for all.
    let more = ["read:servers!user=ada", "access:servers!user=ada"];
    reload(&hub, |grants| role(grants, "reads", &more, &["ben"])).await;
    let page = told(&ben).await;
    for has in READS.iter().chain([&"Thesis of ada runs already"]) {
        assert!(page.contains(has), "{has}: {page}");
    }
    assert!(!page.contains(OPEN), "{page}");
    let own = told(&ada).await;
    assert!(own.contains(OPEN) && own.contains("Thesis runs"), "{own}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_at_a_host_of_its_own_is_opened_by_those_who_may() {
    let db = TestDb::sqlite().await;
    let site = "http://lab.example.edu".parse().expect("a URL");
    let tune = |settings: &mut Settings, _: &mut Timings| {
        settings.origins = Origins::apart(&site).expect("a host");
        let scopes = ["start:servers!user=ada", "access:servers!user=ada"];
        role(&mut settings.grants, "opens", &scopes, &["ben"]);
        role(&mut settings.grants, "starts", &scopes[..1], &["eve"]);
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let hub = hub.with_user("ada").await.with_user("ben").await;
    let hub = hub.with_user("eve").await;
    let path = "/hub/api/users/ada/server";
    let signals = json!({ "course": "signals" });
    let ada = program(&hub, "ada").await;
    ada.post_json(path, &signals).await.expect(201);
    for (who, opens) in [("ben", true), ("eve", false)] {
        let browser = hub.client().at("lab.example.edu");
        browser.log_in(who, PASSWORD).await.expect(302);
        let page = browser.post_form("/hub/spawn/ada", &[("course", "algebra")]);
        let page = page.await.expect(409).text();
        assert_eq!(page.contains("Open what runs"), opens, "{who}: {page}");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_another_site_offers_the_course_and_starts_nothing() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db).await;
    let ada = hub.signed_in("ada").await;
    let elsewhere = hub.signed_in("ada").await;
    let elsewhere = elsewhere.with_header("sec-fetch-site", "cross-site");
    let page = elsewhere.get("/hub/spawn?course=signals").await;
    let page = page.expect(200).text();
    for has in [
        "<input type=\"hidden\" name=\"course\" value=\"signals\">",
        "made for the course The course signals",
        "action=\"/hub/spawn/ada\"",
    ] {
        assert!(page.contains(has), "{has}: {page}");
    }
    assert!(courses(&hub).is_empty());
    // From her own hand it starts at once.
    ada.get("/hub/spawn?course=signals").await.expect(302);
    until_state(db.db(), "ada", State::Ready).await;
    assert_eq!(courses(&hub), [Some("signals".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_not_start_looks_like_what_is_not_there() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db).await;
    let (browser, ada) = (hub.signed_in("ada").await, program(&hub, "ada").await);
    let asked = async |options: Value| {
        let path = "/hub/api/users/ada/server";
        let answer = ada.post_json(path, &options).await.expect(400);
        answer.json()["message"].as_str().expect("words").to_owned()
    };
    let unknown = asked(json!({ "course": "Not An Id" })).await;
    assert!(unknown.contains("no such course"), "{unknown}");
    assert_eq!(asked(json!({ "course": "closed-one" })).await, unknown);
    let wrapped = json!({ "user_options": { "course": "closed-one" } });
    assert_eq!(asked(wrapped).await, unknown);
    let said = asked(json!({ "course": ["signals"] })).await;
    assert!(said.contains("\"course\" must be text"), "{said}");
    for course in ["closed-one", "Not An Id"] {
        let path = format!("/hub/spawn?course={}", course.replace(' ', "%20"));
        let page = browser.get(&path).await.expect(404).text();
        assert!(page.contains("no such course"), "{page}");
    }
    assert!(courses(&hub).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_hears_that_a_server_runs_for_something_else() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/server";
        let (signals, algebra) = (
            json!({ "course": "signals" }),
            json!({ "course": "algebra" }),
        );
        ada.post_json(path, &signals).await.expect(201);
        let said = ada.post_json(path, &algebra).await.expect(409).json();
        let words = said["message"].as_str().expect("words");
        assert!(words.contains("runs for something else"), "{words}");
        let said = ada.post_json(path, &signals).await.expect(400).json();
        let words = said["message"].as_str().expect("words");
        assert!(words.contains("running already"), "{words}");
        assert_eq!(courses(&hub), [Some("signals".into())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_has_no_profile_and_is_kept_as_a_choice() {
    let db = TestDb::sqlite().await;
    let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
        let said = vec![Said::new("x", Setting::Image("of-the-profile".into()))];
        settings.profiles = Profiles(vec![Profile {
            slug: "plain".into(),
            title: "Plain".into(),
            said,
            ..Profile::default()
        }]);
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    let hub = hub.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/server";
    let both = json!({ "course": "signals", "profile": "plain" });
    let said = ada.post_json(path, &both).await.expect(400);
    let said = said.json()["message"].as_str().expect("words").to_owned();
    assert!(said.contains("choose one of both"), "{said}");
    for options in [json!({ "course": "signals" }), Value::Null] {
        ada.post_json(path, &options).await.expect(201);
        let spec = hub.spawner.orders().pop().expect("an order").spec;
        assert_eq!(spec.course.as_deref(), Some("signals"), "{options}");
        assert_eq!((spec.image, spec.profile), (None, None), "{options}");
        ada.delete(path).await.expect(204);
    }
    ada.post_json(path, &json!({ "profile": "plain" }))
        .await
        .expect(201);
    let spec = hub.spawner.orders().pop().expect("an order").spec;
    assert_eq!(
        (spec.course, spec.profile.as_deref()),
        (None, Some("plain"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_she_may_start_no_more_is_started_again_as_without() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let browser = hub.signed_in("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/server";
        ada.post_json(path, &json!({ "course": "signals" }))
            .await
            .expect(201);
        ada.delete(path).await.expect(204);
        // She has left it since.
        let mut tx = db.db().write().await.expect("a transaction");
        on!(tx, |c| sqlx::query(
            "UPDATE servers SET course = 'closed-one', user_options = '{\"course\":\"closed-one\"}'"
        )
        .execute(c)
        .await
        .map(|_| ()))
        .expect("written");
        tx.commit().await.expect("committed");
        let elsewhere = [("course", "closed-two")];
        browser
            .post_form("/hub/servers/start", &elsewhere)
            .await
            .expect(404);
        let again = [("course", "closed-one")];
        let started = browser.post_form("/hub/servers/start", &again).await;
        assert_eq!(started.expect(302).location(), "/hub/spawn-pending/ada");
        until_state(db.db(), "ada", State::Ready).await;
        assert_eq!(courses(&hub), [Some("signals".into()), None]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_other_options_a_server_is_of_its_course_no_more() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/servers/one";
        let signals = json!({ "course": "signals" });
        ada.post_json(path, &signals).await.expect(201);
        ada.delete(path).await.expect(204);
        for (options, course) in [(&signals, Some("signals")), (&json!({}), None)] {
            let change = json!({ "user_options": options });
            send_json(&ada, Method::PATCH, path, &change)
                .await
                .expect(200);
            let now = row(db.db(), "ada", "one").await.expect("a row");
            assert_eq!(now.course.as_deref(), course);
        }
    }
}
