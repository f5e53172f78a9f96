//! Each person's servers at a host of their own, below the hub's.

use std::sync::Arc;

use hyper::Method;
use lyceum_hub::origins::Origins;
use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::notebook_server::{Manner, NotebookServer};
use lyceum_testkit::fake::{FakeSpawner, hub_env};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::cookie;
use serde_json::json;

use crate::grants::service;
use crate::kit::{Socket, header, post_plain, query_value, quoted, start_server};

const HUB: &str = "http://lab.example.edu";
const ADA: &str = "http://ada.lab.example.edu";

async fn apart(db: &TestDb, hub: &'static str, clock: Clock) -> TestHub {
    let hub: url::Url = hub.parse().expect("a URL");
    let spawner = FakeSpawner::default();
    let begun = TestHub::start_tuned_at(db.db().clone(), spawner, clock, |settings, _| {
        settings.origins = Origins::apart(&hub).expect("a host");
    });
    begun.await.with_user("ada").await.with_user("eve").await
}

async fn start(db: &TestDb) -> TestHub {
    apart(db, HUB, Clock::system()).await
}

/// A browser that has signed in at the hub's host.
async fn signed_in(hub: &TestHub, name: &str) -> Client {
    let client = hub.client().at("lab.example.edu");
    client.log_in(name, PASSWORD).await.expect(302);
    client
}

/// As a script of a page asks.
async fn fetch(client: &Client, to: &str, headers: &[(&str, &str)]) -> Answer {
    let all: Vec<_> = [("sec-fetch-mode", "cors"), ("accept", "*/*")]
        .into_iter()
        .chain(headers.iter().copied())
        .collect();
    client.send(Method::GET, to, &all, Default::default()).await
}

/// The way that the hub sends this browser to Ada's server.
async fn ticket(browser: &Client) -> String {
    let answer = browser.get("/hub/user/ada/lab").await.expect(302);
    let way = answer.location().to_owned();
    assert!(
        way.starts_with(&format!("{ADA}/hub/enter?ticket=")),
        "{way}"
    );
    way
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_led_to_the_host_of_a_server() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    start_server(&hub, "ada").await;
    let browser = signed_in(&hub, "ada").await;
    assert_eq!(
        browser.cookie(cookie::ACCESS),
        None,
        "none for the hub's host"
    );
    let (at, page) = browser.visit("/user/ada/headers").await;
    assert!(at.starts_with(&format!("{ADA}/user/ada/headers?")), "{at}");
    let seen = page.expect(200).text();
    assert!(
        seen.contains("jupyterhub-session-id"),
        "servers see the session: {seen}"
    );
    let proof = browser.cookie(cookie::LOGIN).expect("signed in");
    assert!(
        !seen.contains(&proof) && !seen.contains(cookie::ACCESS),
        "{seen}"
    );
    // From now on the hub is not asked.
    let (at, page) = browser.visit(&format!("{ADA}/user/ada/lab")).await;
    assert_eq!(at, format!("{ADA}/user/ada/lab"));
    assert_eq!(
        page.expect(200).text(),
        "the server of ada at /user/ada/lab"
    );
    // The language that is chosen at the hub's pages is that of the proxy's there, and no server's affair.
    let language = [("language", "de")];
    browser
        .post_form("/hub/language", &language)
        .await
        .expect(302);
    let html = [("accept", "text/html"), ("accept-language", "en")];
    let odd = format!("{ADA}/user/ada/../eve");
    let page = browser
        .send(Method::GET, &odd, &html, Default::default())
        .await;
    let page = page.expect(400).text();
    assert!(page.contains("<html lang=\"de\">"), "{page}");
    let seen = browser.get(&format!("{ADA}/user/ada/headers")).await;
    let seen = seen.expect(200).text();
    assert!(!seen.contains(cookie::LANGUAGE), "{seen}");
    // The page that says "ready" leads there too, and so does log-in.
    let (at, _) = browser.visit("/hub/spawn-pending/ada").await;
    assert!(at.starts_with(&format!("{ADA}/user/ada/")), "{at}");
    let another = hub.client().at("lab.example.edu");
    let (at, _) = another.visit(&format!("{ADA}/user/ada/lab?x=1")).await;
    let expect = quoted("/hub/user/ada/lab?x=1");
    assert_eq!(at, format!("{HUB}/hub/login?next={expect}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_ends_what_it_opened_at_every_host() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    start_server(&hub, "ada").await;
    let browser = signed_in(&hub, "ada").await;
    browser.visit("/user/ada/lab").await.1.expect(200);
    let access = browser.cookie(cookie::ACCESS).expect("one for Ada's host");
    let cookies = format!("{}={access}", cookie::ACCESS);
    let mut socket = Socket::open_at(&hub, "ada.lab.example.edu", "cookie", &cookies)
        .await
        .expect("a WebSocket");
    browser.get("/hub/home").await.expect(200);
    browser.post_form("/hub/logout", &[]).await.expect(302);
    socket.assert_ends().await;
    let here = format!("{ADA}/user/ada/api");
    fetch(&browser, &here, &[]).await.expect(403);
    let later = Socket::open_at(&hub, "ada.lab.example.edu", "cookie", &cookies).await;
    assert!(later.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_opens_one_host() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    start_server(&hub, "ada").await;
    start_server(&hub, "eve").await;
    let eve = signed_in(&hub, "eve").await;
    eve.visit("/user/eve/lab").await.1.expect(200);
    // Not Eve's business, and what she has for her own host is worth nothing at another.
    let (at, page) = eve.visit(&format!("{ADA}/user/ada/lab")).await;
    assert_eq!(
        (at.as_str(), page.status.as_u16()),
        (&*format!("{HUB}/hub/user/ada/lab"), 404)
    );
    let access = eve.cookie(cookie::ACCESS).expect("one for Eve's host");
    let headers = [("cookie", &*format!("{}={access}", cookie::ACCESS))];
    let stranger = hub.client();
    fetch(
        &stranger,
        "http://eve.lab.example.edu/user/eve/api",
        &headers,
    )
    .await
    .expect(200);
    for elsewhere in [ADA, HUB, "http://x.lab.example.edu"] {
        let to = format!("{elsewhere}/user/eve/lab");
        let answer = fetch(&stranger, &to, &headers).await;
        assert_ne!(answer.status, 200, "{to}");
    }
    fetch(&stranger, &format!("{ADA}/user/ada/api"), &headers)
        .await
        .expect(403);
    // An administrator's browser may: there is nothing it could be robbed of.
    let hub = hub.with_admin("root").await;
    let root = signed_in(&hub, "root").await;
    root.visit("/user/ada/lab").await.1.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_and_for_a_minute() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hub = apart(&db, HUB, clock.clone()).await;
    start_server(&hub, "ada").await;
    let browser = signed_in(&hub, "ada").await;
    let refused = async |way: &str, why: &str| {
        let answer = hub.client().get(way).await.expect(302);
        assert_eq!(answer.location(), format!("{HUB}/hub/home"), "{why}");
        assert!(!answer.headers.contains_key("set-cookie"), "{why}");
    };
    let way = ticket(&browser).await;
    let used = hub.client().get(&way).await.expect(302);
    assert!(
        used.location().starts_with("/user/ada/lab?"),
        "{}",
        used.location()
    );
    assert!(header(&used, "set-cookie").contains("HttpOnly"));
    refused(&way, "used").await;

    let way = ticket(&browser).await;
    refused(&way.replace("ada.lab", "eve.lab"), "at another host").await;
    refused(&way, "used up by the attempt").await;

    let way = ticket(&browser).await;
    clock.advance(61_000);
    refused(&way, "too late").await;

    let way = ticket(&browser).await;
    browser.get("/hub/home").await.expect(200);
    browser.post_form("/hub/logout", &[]).await.expect(302);
    refused(&way, "the session has ended").await;
    refused(&format!("{ADA}/hub/enter"), "none at all").await;
    // The hub itself has no use for one.
    let at_hub = hub.client().get(&format!("{HUB}/hub/enter?ticket=x")).await;
    assert_eq!(at_hub.expect(302).location(), "/hub/home");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_has_no_pages_at_the_hosts_of_people() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    let browser = signed_in(&hub, "ada").await;
    let token = hub.token("ada").await;
    for (path, expect) in [
        ("/", "/hub/"),
        ("/hub/home", "/hub/home"),
        ("/hub/token?x=1", "/hub/token?x=1"),
        ("/user/ada/lab", "/hub/user/ada/lab"),
    ] {
        let html = [("accept", "text/html")];
        let to = format!("{ADA}{path}");
        let answer = browser
            .send(Method::GET, &to, &html, Default::default())
            .await;
        assert_eq!(answer.expect(302).location(), format!("{HUB}{expect}"));
    }
    let program = hub.client().with_token(&token);
    for path in ["/hub/home", "/hub/api/user", "/hub/api", "/hub/static/x"] {
        fetch(&browser, &format!("{ADA}{path}"), &[])
            .await
            .expect(404);
        fetch(&program, &format!("{ADA}{path}"), &[])
            .await
            .expect(404);
    }
    for path in [
        "/hub/login",
        "/hub/logout",
        "/hub/servers/start",
        "/hub/token/new",
    ] {
        let form = [("username", "ada"), ("password", PASSWORD)];
        let answer = post_plain(&browser, &format!("{ADA}{path}"), &form).await;
        assert!(!answer.expect(404).headers.contains_key("set-cookie"));
    }
    // Programs hear that the server is not there, without a way to another origin.
    let gone = fetch(&browser, &format!("{ADA}/user/ada/api/contents"), &[]).await;
    let gone = gone.expect(424).json();
    assert!(
        gone["message"]
            .as_str()
            .is_some_and(|text| text.contains("no longer running"))
    );
    let there = format!("{ADA}/user/ada/api/x");
    let put = browser.send(Method::PUT, &there, &[], "x".into());
    put.await.expect(424);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_needs_no_host() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    start_server(&hub, "ada").await;
    let (ada, eve) = (hub.token("ada").await, hub.token("eve").await);
    for host in [HUB, ADA, "http://10.0.0.1:8000"] {
        let to = format!("{host}/user/ada/lab");
        let answer = hub.client().with_token(&ada).get(&to).await;
        assert_eq!(
            answer.expect(200).text(),
            "the server of ada at /user/ada/lab"
        );
        hub.client().with_token(&eve).get(&to).await.expect(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_clients_are_told_of_the_hosts() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    let env = start_server(&hub, "ada").await;
    assert_eq!((env.host.as_str(), env.own_host.as_str()), (HUB, ADA));
    assert_eq!(env.public_url, format!("{ADA}/user/ada/"));
    assert_eq!(env.public_hub_url, format!("{HUB}/hub/"));
    assert!(!env.host_cookies);
    let program = hub.client().with_token(&hub.token("ada").await);
    let model = program.get("/hub/api/users/ada").await.expect(200).json();
    assert_eq!(model["server"], format!("{ADA}/user/ada/"));
    assert_eq!(model["servers"][""]["url"], format!("{ADA}/user/ada/"));
    assert_eq!(model["servers"][""]["full_url"], format!("{ADA}/user/ada/"));
    let progress = program
        .get("/hub/api/users/ada/server/progress")
        .await
        .expect(200)
        .text();
    assert!(
        progress.contains(&json!(format!("{ADA}/user/ada/")).to_string()),
        "{progress}"
    );

    let browser = signed_in(&hub, "ada").await;
    let ask = |redirect: &str| {
        let (client, redirect) = (quoted(&env.client_id), quoted(redirect));
        format!(
            "/hub/api/oauth2/authorize?client_id={client}&redirect_uri={redirect}&response_type=code&state=s"
        )
    };
    let back = format!("{ADA}/user/ada/oauth_callback");
    // One that was started before had only a path.
    for given in [back.as_str(), "/user/ada/oauth_callback"] {
        let answer = browser.get(&ask(given)).await.expect(302);
        let to = answer.location();
        assert!(to.starts_with(&format!("{back}?")), "{to}");
        let code = query_value(to, "code").expect("a code");
        let fields = [
            ("client_id", env.client_id.as_str()),
            ("client_secret", env.api_token.expose()),
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", given),
        ];
        post_plain(&hub.client(), "/hub/api/oauth2/token", &fields)
            .await
            .expect(200);
    }
    for elsewhere in [
        format!("{HUB}/user/ada/oauth_callback"),
        "http://eve.lab.example.edu/user/ada/oauth_callback".into(),
        "http://ada.lab.example.edu.evil.example/user/ada/oauth_callback".into(),
    ] {
        browser.get(&ask(&elsewhere)).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_ones_own_server_count_as_ours() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    let browser = signed_in(&hub, "ada").await;
    let log_out = async |referer: &str| {
        let headers = [("sec-fetch-site", "same-site"), ("referer", referer)];
        let to = format!("{HUB}/hub/logout");
        browser
            .send(Method::GET, &to, &headers, Default::default())
            .await
    };
    log_out("http://eve.lab.example.edu/user/eve/lab")
        .await
        .expect(403);
    log_out("http://evil.example/?http://ada.lab.example.edu/")
        .await
        .expect(403);
    log_out("").await.expect(403);
    // A picture in a stranger's notebook is no link.
    let own = format!("{ADA}/user/ada/lab");
    let picture = [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-dest", "image"),
        ("referer", own.as_str()),
    ];
    let to = format!("{HUB}/hub/logout");
    let drawn = browser.send(Method::GET, &to, &picture, Default::default());
    drawn.await.expect(403);
    log_out(&format!("{ADA}/user/ada/lab")).await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_go_where_they_belong() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    let lines = |answer: &Answer| -> Vec<String> {
        let all = answer.headers.get_all("set-cookie").iter();
        all.map(|line| line.to_str().expect("text").to_owned())
            .collect()
    };
    let browser = hub.client().at("lab.example.edu");
    let set = lines(&browser.log_in("ada", PASSWORD).await.expect(302));
    let of = |name: &str| {
        set.iter()
            .find(|line| line.starts_with(&format!("{name}=")))
    };
    let session = of(cookie::SESSION_ID).expect("the session's name");
    assert!(session.contains("; Domain=lab.example.edu"), "{session}");
    assert!(of(cookie::LOGIN).is_some_and(|line| !line.contains("Domain")));
    assert_eq!(of(cookie::ACCESS), None);
    let gone = lines(&browser.post_form("/hub/logout", &[]).await.expect(302));
    let session = gone
        .iter()
        .find(|line| line.starts_with(cookie::SESSION_ID));
    assert!(
        session.is_some_and(
            |line| line.contains("Domain=lab.example.edu") && line.contains("Max-Age=0")
        )
    );

    // With TLS the proof of a session has a name that hosts below can't plant.
    let db = TestDb::sqlite().await;
    let hub = apart(&db, "https://lab.example.edu", Clock::system()).await;
    let env = start_server(&hub, "ada").await;
    assert!(env.host_cookies);
    let browser = hub.client().at("lab.example.edu");
    let set = lines(&browser.log_in("ada", PASSWORD).await.expect(302));
    let proof = set
        .iter()
        .find(|line| line.starts_with("__Host-jupyterhub-hub-login="));
    let proof = proof.unwrap_or_else(|| panic!("{set:?}"));
    assert!(proof.contains("; Path=/;") && proof.contains("; Secure") && !proof.contains("Domain"));
    browser.get("/hub/home").await.expect(200);
    let eve = hub.client().at("lab.example.edu");
    eve.log_in("eve", PASSWORD).await.expect(302);
    let own = eve.cookie(cookie::LOGIN_ONE_HOST).expect("signed in");
    let tossed = hub.client().at("lab.example.edu");
    tossed.plant(cookie::LOGIN, &own, "/");
    tossed.get("/hub/home").await.expect(302);
    let way = browser.get("/hub/user/ada/lab").await.expect(302);
    let entered = browser
        .get(&way.location().replace("https://", "http://"))
        .await
        .expect(302);
    let access = header(&entered, "set-cookie");
    assert!(
        access.starts_with("__Host-lyceum-access=") && access.contains("Secure"),
        "{access}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_at_the_host_of_the_hub() {
    let db = TestDb::sqlite().await;
    let env = hub_env("nobody", "/services/made/");
    let behind = NotebookServer::start(env, Manner::Answers, Arc::default());
    let behind = behind.await.expect("a service");
    let hub = start(&db).await;
    let mut settings = lyceum_hub::Settings::clone(&hub.hub.settings());
    service(&mut settings.grants, "made", |made| {
        made.url = Some(format!("http://{}", behind.address));
    });
    hub.hub.reload(settings).await;
    let at = async |host: &str| {
        let to = format!("{host}/services/made/api");
        fetch(&hub.client(), &to, &[]).await.status.as_u16()
    };
    assert_eq!(at(HUB).await, 200);
    assert_eq!(at(ADA).await, 404);
    assert_eq!(at("http://x.lab.example.edu").await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_works_as_whoever_planted_a_cookie() {
    let db = TestDb::sqlite().await;
    let hub = start(&db).await;
    let eve = signed_in(&hub, "eve").await;
    let planted = eve.cookie(cookie::LOGIN).expect("signed in");
    let ada = signed_in(&hub, "ada").await;
    ada.get("/hub/home").await.expect(200);
    ada.plant(cookie::LOGIN, &planted, "/hub/home");
    ada.get("/hub/home").await.expect(302);
    ada.get("/hub/token").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_this_machine_leads_to_its_name() {
    let db = TestDb::sqlite().await;
    let hub = apart(&db, "http://localhost:8000", Clock::system()).await;
    let html = [("accept", "text/html")];
    for (here, expect) in [
        ("http://127.0.0.1:8000/", "http://localhost:8000/hub/"),
        (
            "http://[::1]:8000/hub/login?next=x",
            "http://localhost:8000/hub/login?next=x",
        ),
    ] {
        let answer = hub
            .client()
            .send(Method::GET, here, &html, Default::default())
            .await;
        assert_eq!(answer.expect(302).location(), expect);
    }
    let browser = hub.client().at("localhost");
    let set = browser.log_in("ada", PASSWORD).await.expect(302);
    assert!(
        !format!("{:?}", set.headers).contains("Domain="),
        "no browser takes it"
    );
    // Programs may use either.
    let program = hub.client().with_token(&hub.token("ada").await);
    program.get("/hub/api/user").await.expect(200);
}
