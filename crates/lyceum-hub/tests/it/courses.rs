//! Servers for courses: from the card, by a link, by program, and what is told who may not.

use hyper::Method;
use lyceum_hub::profiles::{Profile, Profiles};
use lyceum_model::environment::{Said, Setting};
use lyceum_store::on;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{assert_german, in_german, program, send_json};
use crate::servers::{row, until_state};
use lyceum_hub::servers::State;

async fn hub(db: &TestDb) -> TestHub {
    let hub = TestHub::start(db).await;
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
