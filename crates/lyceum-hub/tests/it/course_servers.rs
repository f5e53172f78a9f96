//! Servers that courses have: who opens them, who does no more, and whose they are.

use lyceum_hub::db;
use lyceum_hub::origins::Origins;
use lyceum_hub::servers::State;
use lyceum_hub::{Settings, Timings};
use lyceum_model::clock::Clock;
use lyceum_model::name::UserName;
use lyceum_spawn::StartOrder;
use lyceum_store::migrate;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::cookie;
use serde_json::json;
use std::time::Duration;

use crate::api::oauth;
use crate::grants::{group, service};
use crate::kit::{Socket, in_german, program, quoted, until};
use crate::servers::{row, until_state};

const ACCOUNT: &str = "course:signals";
const LAB: &str = "/services/signals/lab";

/// Ada and Ben teach signals, he by a group; Eve takes it, Root runs all.
async fn hub(db: &TestDb) -> TestHub {
    with(db, FakeSpawner::default(), |_, _| {}).await
}

async fn with(
    db: &TestDb,
    spawner: FakeSpawner,
    tune: impl FnOnce(&mut Settings, &mut Timings),
) -> TestHub {
    let tune = |settings: &mut Settings, timings: &mut Timings| {
        group(&mut settings.grants, "staff", &["ben"]);
        tune(settings, timings);
    };
    let hub = TestHub::start_tuned(db.db().clone(), spawner, tune).await;
    let hub = hub.with_user("ada").await.with_user("ben").await;
    let hub = hub.with_user("eve").await.with_admin("root").await;
    hub.give_courses_servers(&[("signals", &["ada", "group:staff"])]);
    hub
}

async fn start(hub: &TestHub, teacher: &Client) -> StartOrder {
    let fields = [("user", ACCOUNT), ("server", "")];
    let pending = teacher.post_form("/hub/servers/start", &fields).await;
    let pending = pending.expect(302).location().to_owned();
    assert_eq!(pending, "/hub/spawn-pending/course%3Asignals");
    until_state(hub.hub.db(), ACCOUNT, State::Ready).await;
    // Once it says so, the proxy knows the way.
    teacher.get(&pending).await.expect(302);
    let orders = hub.spawner.orders().into_iter();
    let mut ours = orders.filter(|order| order.hub.user.as_str() == ACCOUNT);
    ours.next_back().expect("an order")
}

#[tokio::test(flavor = "multi_thread")]
async fn teachers_of_a_course_share_its_server() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let (ada, ben) = (hub.signed_in("ada").await, hub.signed_in("ben").await);
        let (eve, root) = (hub.signed_in("eve").await, hub.signed_in("root").await);
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Start the course&#39;s server"), "{home}");
        let german = in_german(hub.signed_in("ben").await);
        let home = german.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Server des Kurses starten"), "{home}");
        // Who opens it by its address is told that it does not run; a link elsewhere starts nothing.
        let to = ada.get(LAB).await.expect(302).location().to_owned();
        assert_eq!(to, "/hub/services/signals/lab");
        let page = ada.get(&to).await.expect(424).text();
        let start_link = format!("\"/hub/spawn/course%3Asignals?next={}\"", quoted(&to));
        assert!(page.contains(&start_link), "{page}");
        assert!(page.contains("The course signals"), "{page}");
        assert!(page.contains("nobody has started it yet"), "{page}");
        assert!(!page.contains("was stopped"), "{page}");
        let elsewhere = hub.signed_in("ada").await;
        let elsewhere = elsewhere.with_header("sec-fetch-site", "cross-site");
        for link in [
            "/hub/spawn/course%3Asignals",
            "/hub/spawn/course%3Asignals?course=signals",
        ] {
            let to = elsewhere.get(link).await.expect(302).location().to_owned();
            assert_eq!(to, "/hub/services/signals/", "{link}");
        }
        assert!(hub.spawner.orders().is_empty());

        let order = start(&hub, &ada).await;
        assert_eq!(order.hub.prefix, hub.hub.at("/services/signals/"));
        assert_eq!(order.hub.client_id, "jupyterhub-course-signals");
        assert_eq!(order.spec.course.as_deref(), Some("signals"));
        assert!(order.spec.home.starts_with("course-signals-"), "{order:?}");
        assert_eq!(
            order.hub.access_scopes[0],
            "access:servers!server=course:signals/"
        );
        let pending = ben.get("/hub/spawn-pending/course%3Asignals").await;
        assert_eq!(pending.expect(302).location(), "/services/signals/");
        let progress = "/hub/api/users/course%3Asignals/server/progress";
        for teacher in [&ada, &ben] {
            let seen = teacher.get(LAB).await.expect(200).text();
            assert!(
                seen.starts_with("the server of course:signals at"),
                "{seen}"
            );
            let home = teacher.get("/hub/home").await.expect(200).text();
            assert!(home.contains("Open the course&#39;s server"), "{home}");
            assert!(home.contains("href=\"/services/signals/\""), "{home}");
        }
        let told = program(&hub, "ben").await.get(progress).await.expect(200);
        assert!(told.text().contains("\"ready\":true"));
        // The server asks the hub who is there: each teacher is let in without a question.
        let token = oauth::token(&hub, &ben, &order.hub).await;
        let server = hub.client().with_token(&token);
        let who = server.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["name"], "ben");
        let scopes = who["scopes"].to_string();
        assert!(scopes.contains(&order.hub.access_scopes[0]), "{scopes}");
        // And reports on itself.
        let own = hub.client().with_token(order.hub.api_token.expose());
        let report = json!({ "servers": { "": { "last_activity": hub.clock.now().to_iso() } } });
        let reports = "/hub/api/users/course%3Asignals/activity";
        own.post_json(reports, &report).await.expect(200);

        // Nobody else gets there, whoever runs the whole included, where all share one host.
        let home = eve.get("/hub/home").await.expect(200).text();
        assert!(!home.contains("course&#39;s server"), "{home}");
        hub.client().get(LAB).await.expect(403);
        for stranger in [&eve, &root] {
            stranger.get(LAB).await.expect(403);
        }
        let asked = format!(
            "/hub/api/oauth2/authorize?client_id={}&redirect_uri=/services/signals/oauth_callback&response_type=code",
            order.hub.client_id
        );
        eve.get(&asked).await.expect(403);
        eve.get("/hub/services/signals/lab").await.expect(404);
        eve.get("/hub/spawn-pending/course%3Asignals")
            .await
            .expect(404);
        eve.get("/hub/logs/course%3Asignals").await.expect(404);
        program(&hub, "eve").await.get(progress).await.expect(404);
        let fields = [("user", ACCOUNT)];
        for form in [
            "/hub/servers/start",
            "/hub/servers/stop",
            "/hub/servers/keep",
        ] {
            eve.post_form(form, &fields).await.expect(404);
        }
        // The other teacher stops it.
        ben.get("/hub/logs/course%3Asignals").await.expect(200);
        ben.post_form("/hub/servers/stop", &fields)
            .await
            .expect(302);
        until_state(db.db(), ACCOUNT, State::Stopped).await;
        eve.post_form("/hub/servers/start", &fields)
            .await
            .expect(404);
        ada.get(LAB).await.expect(302);
        hub.stop().await;
    }
}

fn cookies(client: &Client) -> String {
    let access = client.cookie(cookie::ACCESS).expect("an access cookie");
    format!("{}={access}", cookie::ACCESS)
}

async fn socket(hub: &TestHub, client: &Client) -> Option<Socket> {
    Socket::open_path(hub, "/services/signals/echo", "cookie", &cookies(client)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_teaches_no_more_is_out_at_once_and_others_stay() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let (ada, ben) = (hub.signed_in("ada").await, hub.signed_in("ben").await);
        let eve = hub.signed_in("eve").await;
        start(&hub, &ada).await;
        let mut adas = socket(&hub, &ada).await.expect("open");
        let mut bens = socket(&hub, &ben).await.expect("open");
        let token = program(&hub, "ada").await;
        let scopes = async || {
            let me = token.get("/hub/api/user").await.expect(200).json();
            me["scopes"].to_string()
        };
        let hers = "access:servers!server=course:signals/";
        assert!(scopes().await.contains(hers));

        hub.give_courses_servers(&[("signals", &["eve", "group:staff"])]);
        adas.assert_ends().await;
        bens.assert_open().await;
        assert!(socket(&hub, &ada).await.is_none());
        assert!(!scopes().await.contains(hers));
        ada.get(LAB).await.expect(403);
        let fields = [("user", ACCOUNT)];
        ada.post_form("/hub/servers/stop", &fields)
            .await
            .expect(404);
        // Whoever came to it instead gets there.
        until("Eve opens it", async || eve.status(LAB).await == 200).await;

        // By a group it goes the same way, and with the group.
        hub.give_courses_servers(&[("signals", &["ada", "group:staff"])]);
        until("Ada is back", async || ada.status(LAB).await == 200).await;
        bens.assert_open().await;
        let root = program(&hub, "root").await;
        let members = json!({ "users": ["ben"] }).to_string();
        let taken = root
            .send(
                hyper::Method::DELETE,
                "/hub/api/groups/staff/users",
                &[("content-type", "application/json")],
                members.into(),
            )
            .await;
        taken.expect(200);
        bens.assert_ends().await;
        ben.get(LAB).await.expect(403);
        hub.stop().await;
    }
}

/// While nothing can be written, nothing tells of it but the courses themselves.
#[tokio::test(flavor = "multi_thread")]
async fn who_teaches_no_more_is_out_also_while_nothing_can_be_written() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let (ada, token) = (hub.signed_in("ada").await, program(&hub, "ada").await);
        let are_hers = async |expect: bool| {
            for client in [&ada, &token] {
                let me = client.get("/hub/api/user").await.expect(200).json();
                let scopes = me["scopes"].to_string();
                let hers = scopes.contains("access:servers!server=course:signals/");
                assert_eq!(hers, expect, "{scopes}");
            }
        };
        let writer = db.db().write().await.expect("a transaction");
        // The second time they are known.
        are_hers(true).await;
        are_hers(true).await;
        hub.give_courses_servers(&[("signals", &["group:staff"])]);
        are_hers(false).await;
        writer.rollback().await.expect("rolled back");
        are_hers(false).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_a_course_is_nobody() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let ada = hub.signed_in("ada").await;
        let people = async || {
            let root = program(&hub, "root").await;
            let all = root.get("/hub/api/users").await.expect(200).json();
            all.as_array().expect("a list").len()
        };
        let before = people().await;
        start(&hub, &ada).await;
        assert_eq!(people().await, before);
        let root = program(&hub, "root").await;
        for path in [
            "/hub/api/users/course:signals",
            "/hub/api/users/course:signals/tokens",
            "/hub/api/users/course:signals/server",
        ] {
            root.get(path).await.expect(404);
        }
        root.delete("/hub/api/users/course:signals")
            .await
            .expect(404);
        let nothing = json!({});
        root.post_json("/hub/api/users/course:other", &nothing)
            .await
            .expect(400);
        let body = json!({ "users": [ACCOUNT] });
        let added = root.post_json("/hub/api/groups/staff/users", &body).await;
        assert!(added.status.is_client_error(), "{}", added.text());
        let given = root
            .post_json("/hub/api/shares/course:signals/", &json!({ "user": "eve" }))
            .await;
        given.expect(404);
        let stranger = hub.client();
        let came = stranger.log_in(ACCOUNT, PASSWORD).await;
        assert!(came.status.is_client_error(), "{}", came.text());
        stranger.get("/hub/home").await.expect(302);
        let root = hub.signed_in("root").await;
        let page = root.get("/hub/admin/users").await.expect(200).text();
        assert!(!page.contains(ACCOUNT), "{page}");
        root.get("/hub/admin/user/course%3Asignals")
            .await
            .expect(404);
        // Administrators see the server, and can stop it.
        let page = root.get("/hub/admin/servers").await.expect(200).text();
        assert!(page.contains(ACCOUNT), "{page}");
        assert!(!page.contains("admin/user/course"), "{page}");
        let chosen = [("do", "stop"), ("chosen", "course:signals/")];
        root.post_form("/hub/admin/servers/do", &chosen)
            .await
            .expect(302);
        until_state(db.db(), ACCOUNT, State::Stopped).await;
        // However long ago it was made, it is not forgotten like somebody who never came.
        let mut tx = db.db().read().await.expect("a transaction");
        let strangers = db::cull::strangers(&mut tx, i64::MAX).await.expect("read");
        assert!(strangers.iter().all(|(_, name)| name != ACCOUNT));
        let census = db::census::people(&mut tx, [0; 3]).await.expect("read");
        assert_eq!(census.all, i64::try_from(before).expect("few"));
        drop(tx);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_goes_on_until_there_is_an_account_that_it_cannot_read() {
    for db in TestDb::both().await {
        let before = |step: &&migrate::Step| step.version < 16;
        let copy = |step: &migrate::Step| migrate::Step { ..*step };
        let steps: Vec<migrate::Step> = migrate::STEPS.iter().filter(before).map(copy).collect();
        let hub = hub(&db).await;
        assert_eq!(migrate::run_steps(db.db(), &steps).await.expect("fine"), 0);
        let ada = hub.signed_in("ada").await;
        start(&hub, &ada).await;
        let refused = migrate::run_steps(db.db(), &steps).await;
        let refused = refused.expect_err("it can't go on").to_string();
        assert!(refused.contains("0016_course_accounts"), "{refused}");
        // This one can.
        assert_eq!(migrate::run(db.db()).await.expect("fine"), 0);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_that_has_none_any_more_loses_its_server() {
    for db in TestDb::both().await {
        let hasty = |_: &mut Settings, timings: &mut Timings| {
            timings.courses_every = Duration::from_millis(200);
        };
        let hub = with(&db, FakeSpawner::default(), hasty).await;
        hub.give_courses_servers(&[("signals", &["ada"]), ("algebra", &["ada"])]);
        let ada = hub.signed_in("ada").await;
        start(&hub, &ada).await;
        let other = [("user", "course:algebra")];
        ada.post_form("/hub/servers/start", &other)
            .await
            .expect(302);
        until_state(db.db(), "course:algebra", State::Ready).await;
        // Of one whose file can't be read it is not known what it wants; the other is gone.
        hub.blur_courses(&["signals"]);
        let gone = until_state(db.db(), "course:algebra", State::Stopped).await;
        let why = gone.failure.expect("a reason");
        assert!(why.contains("no server of its own any more"), "{why}");
        let ours = row(db.db(), ACCOUNT, "").await.expect("a row");
        assert_eq!(ours.state, State::Ready);
        ada.post_form("/hub/servers/start", &other)
            .await
            .expect(404);
        hub.give_courses_servers(&[]);
        until_state(db.db(), ACCOUNT, State::Stopped).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_the_hub_and_what_changed_meanwhile_counts() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let first = with(&db, spawner.clone(), |_, _| {}).await;
        let ada = first.signed_in("ada").await;
        let order = start(&first, &ada).await;
        until("it is written down who opens it", async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let told = lyceum_store::settings::get(&mut tx, "course-servers").await;
            told.expect("read").is_some_and(|told| told.contains("ada"))
        })
        .await;
        first.kill().await;
        let mut tx = db.db().read().await.expect("a transaction");
        let before = lyceum_store::events::newest(&mut tx).await.expect("read");
        drop(tx);
        // The file was changed while nobody looked: proxies that outlived the hub are told.
        let second = TestHub::start_with(db.db().clone(), spawner.clone()).await;
        second.give_courses_servers(&[("signals", &["group:staff"])]);
        until("it is told that Ada is out", async || {
            let mut tx = db.db().read().await.expect("a transaction");
            let topics = [lyceum_hub::jobs::revocations::TOPIC];
            let told = lyceum_store::events::after(&mut tx, before, &topics, 100).await;
            told.expect("read")
                .iter()
                .any(|event| event.subject == "ada" || event.body["people"].get("ada").is_some())
        })
        .await;
        let (ada, ben) = (second.signed_in("ada").await, second.signed_in("ben").await);
        until("Ben gets there", async || ben.status(LAB).await == 200).await;
        ada.get(LAB).await.expect(403);
        let ours = row(db.db(), ACCOUNT, "").await.expect("a row");
        assert_eq!((ours.state, ours.generation), (State::Ready, 1));
        assert_eq!(ours.key, order.key.to_string());
        second.stop().await;
    }
}

/// Whether it was announced behind this event that something is different for her.
async fn is_announced(db: &TestDb, name: &str, before: i64) -> bool {
    let mut tx = db.db().read().await.expect("a transaction");
    let topics = [lyceum_hub::jobs::revocations::TOPIC];
    let told = lyceum_store::events::after(&mut tx, before, &topics, 100).await;
    told.expect("read")
        .iter()
        .any(|event| event.subject == name || event.body["people"].get(name).is_some())
}

/// What a replica let in by what it knew before, it may not have lived to take back.
#[tokio::test(flavor = "multi_thread")]
async fn who_starts_anew_tells_once_more_what_changed_lately() {
    const NOT_LATELY_MS: i64 = 3_600_000;
    for (later_by, expect) in [(0, true), (NOT_LATELY_MS, false)] {
        for db in TestDb::both().await {
            let spawner = FakeSpawner::default();
            let clock = Clock::manual(Clock::system().now());
            let none = |_: &mut Settings, _: &mut Timings| {};
            let again =
                || TestHub::start_tuned_at(db.db().clone(), spawner.clone(), clock.clone(), none);
            let first = again().await.with_user("ada").await.with_user("ben").await;
            first.give_courses_servers(&[("signals", &["ada", "ben"])]);
            let ada = first.signed_in("ada").await;
            start(&first, &ada).await;
            let mut tx = db.db().read().await.expect("a transaction");
            let begun = lyceum_store::events::newest(&mut tx).await.expect("read");
            drop(tx);
            first.give_courses_servers(&[("signals", &["ben"])]);
            until("it is told that Ada is out", async || {
                is_announced(&db, "ada", begun).await
            })
            .await;
            first.kill().await;
            clock.advance(later_by);
            let mut tx = db.db().read().await.expect("a transaction");
            let before = lyceum_store::events::newest(&mut tx).await.expect("read");
            drop(tx);
            let second = again().await;
            second.give_courses_servers(&[("signals", &["ben", "eve"])]);
            until("it has told what it found", async || {
                is_announced(&db, "eve", before).await
            })
            .await;
            assert_eq!(is_announced(&db, "ada", before).await, expect);
            second.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_a_host_of_its_own_where_people_have() {
    let db = TestDb::sqlite().await;
    let at: url::Url = "http://lab.example.edu".parse().expect("a URL");
    let apart = |settings: &mut Settings, _: &mut Timings| {
        settings.origins = Origins::apart(&at).expect("a host");
    };
    let hub = with(&db, FakeSpawner::default(), apart).await;
    let signed_in = async |name: &str| {
        let client = hub.client().at("lab.example.edu");
        client.log_in(name, PASSWORD).await.expect(302);
        client
    };
    let (ada, eve, root) = (
        signed_in("ada").await,
        signed_in("eve").await,
        signed_in("root").await,
    );
    let order = start(&hub, &ada).await;
    let account = UserName::parse_kept(ACCOUNT).expect("a name");
    let own = hub.hub.settings().origins.of(&account).expect("a host");
    assert!(own.starts_with("http://coursesignals--"), "{own}");
    assert_eq!(order.hub.own_host, own);
    let (at, page) = ada.visit(LAB).await;
    assert!(at.starts_with(&format!("{own}{LAB}?")), "{at}");
    assert!(page.expect(200).text().contains("of course:signals"));
    let (_, page) = eve.visit(LAB).await;
    page.expect(404);
    // There administrators may look in, as into every server.
    let (at, page) = root.visit(LAB).await;
    assert!(at.starts_with(&own), "{at}");
    page.expect(200);
    // A program that writes is told that it is gone, not sent about.
    ada.get("/hub/home").await.expect(200);
    let fields = [("user", ACCOUNT)];
    ada.post_form("/hub/servers/stop", &fields)
        .await
        .expect(302);
    until_state(db.db(), ACCOUNT, State::Stopped).await;
    let write = format!("{own}/services/signals/api/contents/a.ipynb");
    let said = ada
        .send(hyper::Method::PUT, &write, &[], Default::default())
        .await;
    let said = said.expect(424).json();
    assert!(
        said["message"].to_string().contains("/services/signals/"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_does_not_tell_strangers_which_courses_have_servers() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db).await;
    let said = async |client: &Client, course: &str| {
        let path = format!("/services/{course}/api/contents/a.ipynb");
        let put = client.send(hyper::Method::PUT, &path, &[], Default::default());
        let answer = put.await;
        (
            answer.status.as_u16(),
            answer.text().replace(course, "NAME"),
        )
    };
    for client in [hub.client(), hub.signed_in("eve").await] {
        let there = said(&client, "signals").await;
        assert_eq!(there.0, 424, "{there:?}");
        assert_eq!(said(&client, "nowhere").await, there);
    }
    hub.give_courses_servers(&[]);
    assert_eq!(said(&hub.client(), "signals").await.0, 404);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_the_same_name_comes_first() {
    for db in TestDb::both().await {
        let named = |settings: &mut Settings, _: &mut Timings| {
            service(&mut settings.grants, "signals", |_| {});
        };
        let hub = with(&db, FakeSpawner::default(), named).await;
        let ada = in_german(hub.signed_in("ada").await);
        let fields = [("user", ACCOUNT)];
        let said = ada.post_form("/hub/servers/start", &fields).await;
        let said = said.expect(409).text();
        assert!(
            said.contains("Es gibt einen Dienst namens signals"),
            "{said}"
        );
        assert!(row(db.db(), ACCOUNT, "").await.is_none());
        // And none is made where a course's server is.
        hub.give_courses_servers(&[("algebra", &["ada"])]);
        let root = program(&hub, "root").await;
        let wish = json!({ "display": true });
        let said = root.post_json("/hub/api/services/algebra", &wish).await;
        let said = said.expect(409).text();
        assert!(said.contains("the course algebra"), "{said}");
        root.post_json("/hub/api/services/other", &wish)
            .await
            .expect(201);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_nobody_uses_ends() {
    for db in TestDb::both().await {
        let hour = Duration::from_secs(3600);
        let clock = Clock::manual(Clock::system().now().plus(-100 * 3_600_000));
        let tune = |settings: &mut Settings, timings: &mut Timings| {
            settings.culling.others.idle = Some(hour);
            timings.cull_every = Duration::from_millis(100);
            timings.cull_after = Duration::ZERO;
            timings.answer_limit = Duration::from_secs(60);
            timings.activity_every = Duration::from_millis(200);
        };
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), tune).await;
        let hub = hub.with_user("ada").await;
        hub.give_courses_servers(&[("signals", &["ada"])]);
        let ada = hub.signed_in("ada").await;
        start(&hub, &ada).await;
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(
            home.contains("Ends by itself if nothing happens in it"),
            "{home}"
        );
        clock.advance(3_660_000);
        let ended = until_state(db.db(), ACCOUNT, State::Stopped).await;
        let why = ended.failure.expect("a reason");
        assert!(why.contains("nothing happened in it for 1 hour"), "{why}");
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(
            home.contains("Stopped because nothing happened in it"),
            "{home}"
        );
        hub.stop().await;
    }
}
