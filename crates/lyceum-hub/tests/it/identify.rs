//! Which requests with a cookie need the form token, and which count as nobody's.

use hyper::Method;
use lyceum_model::clock::Clock;
use lyceum_store::on;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::cookie;
use lyceum_web::routes::{Guard, RouteInfo};

use crate::kit::{program, quoted};
use crate::walk::fill;

const WRONG: &str = "XSRF cookie does not match the page's: load the page again and repeat";

/// What a browser says of where a request comes from; none: it says nothing.
const SITES: [Option<&str>; 5] = [
    None,
    Some("none"),
    Some("same-origin"),
    Some("same-site"),
    Some("cross-site"),
];
/// What a browser says of how it asks.
const MODES: [Option<&str>; 6] = [
    None,
    Some("navigate"),
    Some("no-cors"),
    Some("cors"),
    Some("same-origin"),
    Some("websocket"),
];

/// Every combination of them, as headers.
pub(crate) fn fetches() -> impl Iterator<Item = Vec<(&'static str, &'static str)>> {
    let pairs = SITES
        .into_iter()
        .flat_map(|site| MODES.map(|mode| (site, mode)));
    pairs.map(|(site, mode)| {
        let site = site.map(|site| ("sec-fetch-site", site));
        let mode = mode.map(|mode| ("sec-fetch-mode", mode));
        site.into_iter().chain(mode).collect()
    })
}

/// Asked by methods that change something. What changes by a link is told by its own stories.
fn changes(route: &RouteInfo) -> bool {
    route.method != Method::GET
}

/// By the form token, that is; a launch from a learning platform is bound to a browser by its own state, of
/// which [`crate::lti`] tells.
fn wants_token(route: &RouteInfo) -> bool {
    let is_launch = ["/hub/lti/", "/hub/lti13/"]
        .iter()
        .any(|start| route.path.starts_with(start));
    changes(route) && !(is_launch && route.guard != Guard::Caller)
}

/// Where JSON is sent; pages send forms, and so do clients of the OAuth provider.
fn is_api(route: &RouteInfo) -> bool {
    route.path.starts_with("/hub/api/") && !route.path.starts_with("/hub/api/oauth2/")
}

async fn get(client: &Client, path: &str, fetch: &[(&str, &str)]) -> Answer {
    client
        .send(Method::GET, path, fetch, Default::default())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_needs_the_form_token_and_a_click_does_not() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let xsrf = ada.cookie("_xsrf").expect("a form token");
    let path = "/hub/api/user";
    for (mode, site, expect) in [
        (None, None, 200),
        (Some("navigate"), Some("none"), 200),
        (Some("navigate"), Some("cross-site"), 200),
        (Some("websocket"), Some("same-origin"), 200),
        (Some("no-cors"), Some("same-origin"), 200),
        (Some("no-cors"), Some("same-site"), 403),
        (Some("no-cors"), Some("cross-site"), 403),
        (Some("no-cors"), None, 403),
        (Some("cors"), Some("same-origin"), 403),
        (Some("cors"), Some("cross-site"), 403),
        (Some("same-origin"), Some("same-origin"), 403),
        (Some("nested-navigate"), Some("same-origin"), 403),
        (Some(""), None, 403),
    ] {
        let mut fetch = Vec::new();
        fetch.extend(mode.map(|mode| ("sec-fetch-mode", mode)));
        fetch.extend(site.map(|site| ("sec-fetch-site", site)));
        let answer = get(&ada, path, &fetch).await.expect(expect);
        if expect == 403 {
            assert_eq!(
                answer.json()["message"],
                "'_xsrf' argument missing from GET"
            );
        }
        // With the token, wherever it may stand.
        for name in ["x-xsrftoken", "x-csrftoken"] {
            let mut fetch = fetch.clone();
            fetch.push((name, &xsrf));
            get(&ada, path, &fetch).await.expect(200);
        }
        let query = format!("{path}?_xsrf={}", quoted(&xsrf));
        get(&ada, &query, &fetch).await.expect(200);
        // A program with a token is asked for nothing.
        let program = program(&hub, "ada").await;
        get(&program, path, &fetch).await.expect(200);
    }
    // The page's own script module is fetched in just this way.
    let page = ada.get("/hub/home").await.expect(200).text();
    let (_, rest) = page
        .split_once("<script type=\"module\" src=\"")
        .expect("a script");
    let script = rest.split('"').next().expect("an address");
    let fetch = [
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ];
    get(&ada, script, &fetch).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_session_is_refused() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let anonymous = hub.client();
    anonymous.get("/hub/login").await.expect(200);
    let before = anonymous.cookie("_xsrf").expect("a form token");
    let ada = hub.signed_in("ada").await;
    let other = hub.signed_in("ada").await;
    let eve = hub.signed_in("eve").await;
    let own = ada.cookie("_xsrf").expect("a form token");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let foreign = [
        before,
        other.cookie("_xsrf").expect("one"),
        eve.cookie("_xsrf").expect("one"),
        own.to_ascii_uppercase(),
        String::new(),
    ];
    for route in hub.routes.iter().filter(|route| wants_token(route)) {
        let (method, path) = (&route.method, fill(&route.path, "a01"));
        let what = format!("{method} {path}");
        for token in &foreign {
            // In a form as pages have it, or in a header as scripts do.
            let (headers, body) = match is_api(route) {
                false => (vec![form[0]], format!("user=ada&_xsrf={}", quoted(token))),
                true => (
                    vec![
                        ("content-type", "application/json"),
                        ("x-xsrftoken", token.as_str()),
                    ],
                    "{}".to_owned(),
                ),
            };
            let answer = ada.send(method.clone(), &path, &headers, body.into()).await;
            assert_eq!(answer.status, 403, "{what}: {}", answer.text());
            let answer = answer.json();
            let message = answer["message"].as_str().expect("a message");
            let empty = token.is_empty() && message.starts_with("'_xsrf' argument missing");
            assert!(message == WRONG || empty, "{what}: {message}");
        }
    }
    ada.get("/hub/home").await.expect(200);
    let too_large = format!("_xsrf={own}&note={}", "x".repeat(300_000));
    ada.send(Method::POST, "/hub/token/new", &form, too_large.into())
        .await
        .expect(413);
}

/// The cookie alone, which a page of another site makes the browser send as well, changes nothing
/// anywhere, whatever the browser says of where the request comes from. The routes are the hub's own
/// list, so a new one is asked too.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_without_the_form_token() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    // She may do everything, so it is for want of the token that she is refused.
    let root = hub.signed_in("root").await;
    let mut asked = 0;
    for route in hub.routes.iter().filter(|route| wants_token(route)) {
        let (method, path) = (&route.method, fill(&route.path, "a01"));
        let missing = format!("'_xsrf' argument missing from {method}");
        let (kind, body) = match is_api(route) {
            true => ("application/json", "{}"),
            false => ("application/x-www-form-urlencoded", "user=ada&server="),
        };
        for fetch in fetches() {
            let what = format!("{method} {path} {fetch:?}");
            let headers = [&fetch[..], &[("content-type", kind)]].concat();
            let answer = root
                .send(method.clone(), &path, &headers, body.into())
                .await;
            assert_eq!(answer.status, 403, "{what}: {}", answer.text());
            assert_eq!(answer.json()["message"], missing, "{what}");
            asked += 1;
        }
    }
    assert!(asked > 2000, "{asked}");
    assert!(hub.spawner.orders().is_empty());
    root.get("/hub/home").await.expect(200);
}

/// What a browser may ask for without a session, by a form of another site too.
#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_may_send_is_a_short_list() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let mut open: Vec<String> = hub
        .routes
        .iter()
        .filter(|route| changes(route) && route.guard != Guard::Caller)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    open.sort();
    let known = [
        // For proxies, which prove themselves with a secret of their own.
        "POST /hub/api/lyceum/proxy/access",
        "POST /hub/api/lyceum/proxy/activity",
        "POST /hub/api/lyceum/proxy/vouch",
        // A client proves itself in the body.
        "POST /hub/api/oauth2/token",
        // By name and password.
        "POST /hub/api/users/{user}/tokens",
        // Whoever has forgotten her password can't log in.
        "POST /hub/forgotten",
        // Which words a reader sees.
        "POST /hub/language",
        // With a form token of its own: `pages::login`.
        "POST /hub/login",
        // Likewise, after the right password.
        "POST /hub/login/code",
        // By a code on paper, with a form token of its own: `pages::seat`.
        "POST /hub/login/seat",
        // There is nothing to end.
        "POST /hub/logout",
        // A platform's word, which it signs: `pages::lti`.
        "POST /hub/lti/launch",
        "POST /hub/lti/launch/{method}",
        // Likewise, in the browser that left for it.
        "POST /hub/lti13/oauth_callback",
        "POST /hub/lti13/oauth_callback/{method}",
        // Sends a browser to its platform.
        "POST /hub/lti13/oauth_login",
        "POST /hub/lti13/oauth_login/{method}",
        // A link says whose address it is about.
        "POST /hub/mail",
        // Whoever has a link for a password may have nothing else.
        "POST /hub/new-password",
        // A provider's word, which it signs.
        "POST /hub/oauth_backchannel",
        "POST /hub/oauth_backchannel/{method}",
        // Whoever is invited has no account yet.
        "POST /hub/sign-up",
    ];
    assert_eq!(open, known);
}

/// A script's look at a page, an image or a form by `GET`: whatever is read with the cookie wants the
/// token too, unless it is a visit, or something of our own pages that they show.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_by_scripts_without_the_form_token() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let root = hub.signed_in("root").await;
    // The cookie goes to what is below the hub only.
    let with_cookie = |route: &RouteInfo| {
        let path = route.path.as_str();
        path.starts_with("/hub/") && !path.starts_with("/hub/static/")
    };
    for route in &hub.routes {
        if changes(route) || !with_cookie(route) {
            continue;
        }
        let path = fill(&route.path, "a01");
        for fetch in fetches() {
            let said = |header: &str| {
                let found = fetch.iter().find(|(name, _)| *name == header);
                found.map(|(_, value)| *value)
            };
            let (site, mode) = (said("sec-fetch-site"), said("sec-fetch-mode"));
            let is_visit = matches!(mode, None | Some("navigate" | "websocket"));
            if is_visit || (mode, site) == (Some("no-cors"), Some("same-origin")) {
                continue;
            }
            let what = format!("{path} {fetch:?}");
            let answer = get(&root, &path, &fetch).await;
            assert_eq!(answer.status, 403, "{what}: {}", answer.text());
            let message = "'_xsrf' argument missing from GET";
            assert_eq!(answer.json()["message"], message, "{what}");
        }
    }
}

/// A link, a picture or a frame of another site leads somewhere and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn no_link_of_another_site_changes_anything() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let routes = hub.routes.iter().filter(|route| !changes(route));
    for route in routes {
        let path = fill(&route.path, "a01");
        for (site, dest) in [
            ("cross-site", "document"),
            ("cross-site", "iframe"),
            ("cross-site", "image"),
            ("same-site", "document"),
        ] {
            let fetch = [
                ("accept", "text/html"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", site),
                ("sec-fetch-dest", dest),
                ("referer", "http://elsewhere.example/"),
            ];
            let answer = get(&ada, &path, &fetch).await;
            assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text());
            let still = get(&ada, "/hub/api/user", &[]).await;
            assert_eq!(still.status, 200, "{path} {site} {dest}: signed out");
            let orders = hub.spawner.orders();
            assert!(orders.is_empty(), "{path} {site} {dest}: a server started");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_form_can_not_post_to_the_api() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let xsrf = ada.cookie("_xsrf").expect("a form token");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "",
    ] {
        let headers = [("content-type", kind), ("x-xsrftoken", &*xsrf)];
        let path = "/hub/api/users/ada/tokens";
        let answer = ada.send(Method::POST, path, &headers, "{}".into()).await;
        assert_eq!(answer.status.as_u16(), 403, "{kind}");
        assert_eq!(
            answer.json()["message"],
            "Missing or invalid credentials.",
            "{kind}"
        );
    }
    for kind in ["application/json", "Application/JSON; charset=utf-8"] {
        let headers = [("content-type", kind), ("x-xsrftoken", &*xsrf)];
        let path = "/hub/api/users/ada/tokens";
        ada.send(Method::POST, path, &headers, "{}".into())
            .await
            .expect(201);
        ada.send(Method::POST, path, &headers[..1], "{}".into())
            .await
            .expect(403);
    }
}

/// What is kept of a session saves looking it up; it neither outlives it nor hides that it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_known_ends_all_the_same() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
        let hub = hub.with_user("ada").await.with_admin("root").await;
        let ada = hub.signed_in("ada").await;
        let home = async |status: u16| {
            for _ in 0..3 {
                ada.get("/hub/home").await.expect(status);
            }
        };
        let seen = async || -> i64 {
            let mut tx = db.db().read().await.expect("a transaction");
            let newest = "SELECT CAST(MAX(seen_at) AS BIGINT) FROM sessions";
            on!(&mut tx, |c| sqlx::query_scalar(newest).fetch_one(c).await).expect("a moment")
        };
        home(200).await;
        let first = seen().await;
        clock.advance(60_001);
        home(200).await;
        assert_eq!(seen().await, first + 60_001);
        // Who she is changes at once, and so does what she may.
        ada.get("/hub/admin").await.expect(403);
        let path = "/hub/api/users/ada";
        let root = program(&hub, "root").await;
        root.send(
            Method::PATCH,
            path,
            &[("content-type", "application/json")],
            r#"{"admin": true}"#.into(),
        )
        .await
        .expect(200);
        ada.get("/hub/admin").await.expect(200);
        root.send(
            Method::PATCH,
            path,
            &[("content-type", "application/json")],
            r#"{"admin": false}"#.into(),
        )
        .await
        .expect(200);
        ada.get("/hub/admin").await.expect(403);
        home(200).await;
        // A second cookie of the name is looked at although the first is known.
        let eve = hub.signed_in("root").await;
        let hers = eve.cookie(cookie::LOGIN).expect("a session");
        let both = format!(
            "{login}={}; {login}={hers}",
            ada.cookie(cookie::LOGIN).expect("a session"),
            login = cookie::LOGIN
        );
        let twice = hub.client();
        get(&twice, "/hub/home", &[("cookie", &both)])
            .await
            .expect(302);
        // Nothing is written down, and its time is over.
        home(200).await;
        clock.advance(15 * 24 * 3_600_000);
        home(302).await;
        hub.stop().await;
    }
}
