//! All of it below a path. That other stories hold there, too, is told by running them with
//! `LYCEUM_TEST_BASE=/below/` (`cargo xtask test` does): see `lyceum_testkit::below`. Here stands
//! what differs.

use std::fs;
use std::path::{Path, PathBuf};

use hyper::Method;
use lyceum_hub::origins::Origins;
use lyceum_model::base::BasePath;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::follower::TestFollower;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::cookie;
use lyceum_web::routes::Guard;
use serde_json::json;

use crate::grants::service;
use crate::kit::{header, query_value, quoted, start_server, until};

const BASE: &str = "/x/y/";

fn base() -> BasePath {
    BasePath::parse(BASE).expect("a good base")
}

async fn below(db: &TestDb, origins: Origins) -> TestHub {
    let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
        settings.origins = origins.below_path(base());
        service(&mut settings.grants, "grades", |service| {
            service.url = Some("http://127.0.0.1:9".into());
        });
    };
    TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await
}

/// A client that shows what is really sent.
fn plain(hub: &TestHub) -> Client {
    Client::new(hub.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_leads_on_below() {
    let db = TestDb::sqlite().await;
    let hub = below(&db, Origins::one(None)).await;
    start_server(&hub, "ada").await;
    let mut seen = 0;
    for who in ["ada", "root"] {
        // The client fails when something it is answered leads out.
        let browser = hub.signed_in(who).await.with_header("accept", "text/html");
        for route in hub
            .routes
            .iter()
            .filter(|route| route.method == Method::GET)
        {
            let path = route
                .path
                .replace("{user}", "ada")
                .replace("{server}", "gpu");
            let streams = route.path.contains("lyceum/proxy") || route.path.ends_with("progress");
            if streams || path.contains('{') || path == "/hub/logout" || path == "/favicon.ico" {
                continue;
            }
            browser.get(&path).await;
            seen += 1;
        }
        for path in [
            "/hub/no-such-page",
            "/hub/user/ada/lab",
            "/user/ben/lab",
            "/",
        ] {
            browser.get(path).await;
        }
    }
    assert!(seen > 40, "only {seen} pages were looked at");
    let stranger = hub.client().with_header("accept", "text/html");
    for route in hub
        .routes
        .iter()
        .filter(|route| route.guard != Guard::Caller)
    {
        if route.method == Method::GET && !route.path.contains('{') {
            stranger.get(&route.path).await;
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_the_host_leads_below_or_is_nothing() {
    let db = TestDb::sqlite().await;
    let hub = below(&db, Origins::one(None)).await;
    let client = plain(&hub);
    for (path, to) in [
        ("/", "/x/y/hub/"),
        ("/x/y", "/x/y/hub/home"),
        ("/x/y/", "/x/y/hub/home"),
        ("/x/", "/x/y/hub/x/"),
        ("/hub/login?a=b", "/x/y/hub/hub/login?a=b"),
        ("/user/ada/lab", "/x/y/hub/user/ada/lab"),
        ("//evil.example/", "/x/y/hub//evil.example/"),
        ("/x/y/user/ada/lab?z=1", "/x/y/hub/user/ada/lab?z=1"),
        ("/x/y/hub/home", "/x/y/hub/login?next=%2Fx%2Fy%2Fhub%2Fhome"),
    ] {
        let answer = client.get(path).await.expect(302);
        assert_eq!(answer.location(), to, "{path}");
    }
    client.get("/x/y/hub/health").await.expect(200);
    client.get("/hub/health").await.expect(302);
    let nothing = json!({});
    let post = client.post_json("/hub/api/users/ada/tokens", &nothing);
    post.await.expect(404);
    let token = hub.token("ada").await;
    let program = plain(&hub).with_token(&token);
    let document = program.get("/x/y/hub/api/openapi.json").await.expect(200);
    assert_eq!(document.json()["servers"], json!([{ "url": BASE }]));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_stay_below_and_log_in_leads_nowhere_else() {
    let db = TestDb::sqlite().await;
    let hub = below(&db, Origins::one(None)).await;
    let client = plain(&hub);
    for (next, to) in [
        ("/x/y/hub/token", "/x/y/hub/token"),
        ("/hub/token", "/x/y/hub/home"),
        ("/wiki/", "/x/y/hub/home"),
        ("/x/y/../../wiki/", "/x/y/hub/home"),
    ] {
        client.get("/x/y/hub/login").await.expect(200);
        let fields = [("username", "ada"), ("password", PASSWORD), ("next", next)];
        let answer = client
            .post_form("/x/y/hub/login", &fields)
            .await
            .expect(302);
        assert_eq!(answer.location(), to, "{next}");
        let set: Vec<&str> = (answer.headers.get_all("set-cookie").iter())
            .filter_map(|line| line.to_str().ok())
            .collect();
        let path = |name: &str| {
            let line = set
                .iter()
                .find(|line| line.starts_with(&format!("{name}=")));
            let line = line.expect("it is set");
            let at = line.split("; ").find_map(|part| part.strip_prefix("Path="));
            at.expect("a path")
        };
        assert_eq!(path(cookie::LOGIN), "/x/y/hub/");
        assert_eq!(path(cookie::XSRF), "/x/y/hub/");
        assert_eq!(path(cookie::SESSION_ID), BASE);
        assert_eq!(path(cookie::ACCESS), BASE);
        // All of them go again.
        client.get("/x/y/hub/home").await.expect(200);
        let out = client.post_form("/x/y/hub/logout", &[]).await.expect(302);
        assert_eq!(out.location(), "/x/y/hub/login");
        for name in [cookie::LOGIN, cookie::SESSION_ID, cookie::ACCESS] {
            assert_eq!(client.cookie(name), None, "{name}");
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_below_is_told_so_and_reached() {
    for db in TestDb::both().await {
        let hub = below(&db, Origins::one(None)).await;
        let told = start_server(&hub, "ada").await;
        assert_eq!(told.base_url, BASE);
        assert_eq!(told.prefix, "/x/y/user/ada/");
        let api = format!("http://{}/x/y/hub/api", hub.hub_address());
        assert_eq!(told.api_url, api);
        let token = hub.token("root").await;
        let root = plain(&hub).with_token(&token);
        let model = root.get("/x/y/hub/api/users/ada").await.expect(200).json();
        assert_eq!(model["server"], "/x/y/user/ada/");
        let server = &model["servers"][""];
        assert_eq!(server["url"], "/x/y/user/ada/");
        let progress = "/x/y/hub/api/users/ada/server/progress";
        assert_eq!(server["progress_url"], progress);
        let routes = root.get("/x/y/hub/api/proxy").await.expect(200).json();
        let named: Vec<&String> = routes.as_object().expect("a table").keys().collect();
        assert_eq!(named, [BASE, "/x/y/services/grades/", "/x/y/user/ada/"]);
        let grades = root.get("/x/y/hub/api/services/grades").await.expect(200);
        assert_eq!(grades.json()["prefix"], "/x/y/services/grades/");

        let ada = plain(&hub);
        let to = ada.send(
            Method::GET,
            "/x/y/user/ada/lab",
            &[("accept", "text/html")],
            Default::default(),
        );
        let to = to.await.expect(302);
        assert_eq!(to.location(), "/x/y/hub/user/ada/lab");
        ada.log_in_below(BASE, "ada").await;
        let page = ada.get("/x/y/user/ada/lab").await.expect(200).text();
        assert_eq!(page, "the server of ada at /x/y/user/ada/lab");

        // The server's own question who is there.
        let back = format!("{}oauth_callback", told.prefix);
        let ask = format!(
            "/x/y/hub/api/oauth2/authorize?client_id={}&redirect_uri={}&response_type=code&state=s",
            told.client_id,
            quoted(&back)
        );
        let answer = ada.get(&ask).await.expect(302);
        assert!(
            answer.location().starts_with(&back),
            "{}",
            answer.location()
        );
        assert!(query_value(answer.location(), "code").is_some());
        let outside = ask.replace("%2Fx%2Fy", "");
        ada.get(&outside).await.expect(400);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_apart_finds_what_is_below() {
    let db = TestDb::sqlite().await;
    let hub = below(&db, Origins::one(None)).await;
    let proxy = TestFollower::start_tuned(&[hub.hub_address()], None, |settings| {
        settings.base_path = BASE.into();
    })
    .await;
    start_server(&hub, "ada").await;
    let ada = Client::new(proxy.address());
    ada.log_in_below(BASE, "ada").await;
    until("the proxy knows the route", async || {
        proxy.proxy.routes().find("/x/y/user/ada/").is_some()
    })
    .await;
    let page = ada.get("/x/y/user/ada/lab").await.expect(200).text();
    assert_eq!(page, "the server of ada at /x/y/user/ada/lab");
    proxy.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_people_are_below_too() {
    let db = TestDb::sqlite().await;
    let url = "http://lab.example.edu".parse().expect("a URL");
    let hub = below(&db, Origins::apart(&url).expect("a host")).await;
    let told = start_server(&hub, "ada").await;
    let public = "http://ada.lab.example.edu/x/y/user/ada/";
    assert_eq!(told.public_url, public);
    assert_eq!(told.public_hub_url, "http://lab.example.edu/x/y/hub/");
    assert_eq!(told.host, "http://lab.example.edu");
    let ada = plain(&hub).at("lab.example.edu");
    ada.log_in_below(BASE, "ada").await;
    let (at, page) = ada.visit("/x/y/user/ada/lab").await;
    assert!(at.starts_with(&format!("{public}lab")), "{at}");
    assert!(!header(&page, "content-type").is_empty());
    let text = page.expect(200).text();
    assert_eq!(
        text.split('?').next(),
        Some("the server of ada at /x/y/user/ada/lab")
    );
    // A host of hers that is asked for something else leads to the hub.
    let (at, _) = ada.visit("http://ada.lab.example.edu/").await;
    assert_eq!(at, "http://lab.example.edu/x/y/hub/home");
    hub.stop().await;
}

/// Paths are made by `BasePath`: no text of the sources is one that a browser is given as it is.
#[test]
fn no_path_is_written_out() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for part in [
        "lyceum-hub/src",
        "lyceum-hub/templates",
        "lyceum-web/templates",
        "lyceum-web/assets",
    ] {
        collect(&sources.join(part), &mut files);
    }
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_rust = file.extension().is_some_and(|kind| kind == "rs");
        // Those say where routes are, and the document of the API has its base in `servers`.
        let told = file.components().any(|part| part.as_os_str() == "openapi");
        let lines = code.lines().filter(|_| !told);
        found.extend(
            lines
                .filter(|line| is_written_out(line, is_rust))
                .map(|line| format!("{}: {}", file.display(), line.trim())),
        );
    }
    assert!(
        found.is_empty(),
        "use `BasePath::at`:\n{}",
        found.join("\n")
    );
}

fn is_written_out(line: &str, is_rust: bool) -> bool {
    let line = line.trim();
    let has = ["\"/hub/", "\"/user/", "\"/services/", "\"/hub\""];
    if !has.iter().any(|path| line.contains(path)) || line.starts_with("//") {
        return false;
    }
    if !is_rust {
        return true;
    }
    let made = [
        ".at(",
        "to(hub,",
        "to(&hub,",
        "hub_url(", // outwards
        ".public(",
        ".scoped(",
        "const ", // where routes are
        "starts_with(\"",
        "strip_prefix(\"",
        "== \"", // what came in, without the base
    ];
    let is_route = line.starts_with("\"/hub") && line.ends_with("\",");
    // What is put together here goes through one of those ways then.
    let parts = [
        "\"/hub\"",
        "format!(\"/user/",
        "format!(\"/hub/api/users/",
        "/{{",
    ];
    let is_part = parts.iter().any(|part| line.contains(part));
    !(is_route || is_part || made.iter().any(|way| line.contains(way)))
}

#[test]
fn a_path_that_is_written_out_is_found() {
    for bad in [
        "redirect(\"/hub/home\")",
        "href: format!(\"/services/{name}/\"),",
        "base: \"/hub/\".into(),",
    ] {
        assert!(is_written_out(bad, true), "{bad}");
    }
    assert!(is_written_out("<a href=\"/hub/home\">", false));
    assert!(!is_written_out("    to(&hub, \"/hub/home\")", true));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
