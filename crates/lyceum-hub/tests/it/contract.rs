//! What programs beside JupyterHub rely on and no other story here shows. Which test holds which line is
//! in docs/developer/contract.md.

use hyper::Method;
use lyceum_hub::servers::State;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::cookie;
use serde_json::json;

use crate::kit::{program, quoted, start_server, until};
use crate::servers::row;

/// The pages that say which test holds which line of the contract, and which attack, name tests that are there.
#[test]
fn the_pages_about_the_contract_name_what_is_there() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let page = |name: &str| {
        let page = std::fs::read_to_string(format!("{root}/docs/developer/{name}.md"));
        page.expect("the page is there")
    };
    let page = page("contract") + &page("differences") + &page("attacks");
    let mut missing = Vec::new();
    let mut named = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let there = if let Some((file, test)) = word.split_once("::") {
            let (part, rest) = file.split_once('/').expect("`PART/FILE::TEST`");
            let inside = rest.strip_prefix("src/").map(|rest| format!("src/{rest}"));
            let inside = inside.unwrap_or_else(|| format!("tests/it/{rest}"));
            let source = std::fs::read_to_string(format!("{root}/crates/{part}/{inside}.rs"));
            source.is_ok_and(|source| source.contains(&format!("fn {test}(")))
        } else if let Some(story) = word.strip_prefix("e2e/") {
            std::fs::exists(format!("{root}/e2e/{story}.test.mjs")).is_ok_and(|there| there)
        } else if word.starts_with("conformance/") {
            std::fs::exists(format!("{root}/{word}")).is_ok_and(|there| there)
        } else {
            continue;
        };
        named += 1;
        if !there {
            missing.push(word);
        }
    }
    assert!(named > 200, "{named}");
    assert_eq!(missing, [""; 0]);
}

/// What a cookie was set with, apart from its value; sorted.
fn flags(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.headers.get_all("set-cookie").iter();
    let mut lines = lines.filter_map(|line| line.to_str().ok());
    let line = lines
        .find(|line| line.starts_with(&format!("{name}=")))
        .unwrap_or_else(|| panic!("{name} is not set"));
    let mut flags: Vec<String> = line
        .split("; ")
        .skip(1)
        .map(|flag| match flag.split_once('=') {
            // How long it lasts is ours to say; that it lasts is not.
            Some(("Max-Age", _)) if name != cookie::XSRF => "Max-Age".to_owned(),
            _ => flag.to_owned(),
        })
        .collect();
    flags.sort();
    flags
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_have_the_paths_and_flags_that_programs_know() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let client = hub.client();
    let stranger = client.get("/hub/login").await.expect(200);
    let xsrf = ["Max-Age=3600", "Path=/hub/", "SameSite=Lax"];
    assert_eq!(flags(&stranger, cookie::XSRF), xsrf);
    let inside = client.log_in("ada", PASSWORD).await.expect(302);
    let lasting = |path: &str| ["HttpOnly", "Max-Age", path, "SameSite=Lax"].map(str::to_owned);
    assert_eq!(flags(&inside, cookie::LOGIN), lasting("Path=/hub/"));
    assert_eq!(flags(&inside, cookie::SESSION_ID), lasting("Path=/"));
    assert_eq!(flags(&inside, cookie::XSRF), ["Path=/hub/", "SameSite=Lax"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn form_tokens_of_servers_stand_in_nobodys_way() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let [login, xsrf] =
        [cookie::LOGIN, cookie::XSRF].map(|name| ada.cookie(name).expect("it was set"));
    let body = format!("note=mine&_xsrf={}", quoted(&xsrf));
    let kind = ("content-type", "application/x-www-form-urlencoded");
    for cookies in [
        format!("_xsrf=2|of|a|server; _xsrf={xsrf}"),
        format!("_xsrf={xsrf}; _xsrf=2|of|a|server; _xsrf=\"another\""),
    ] {
        let cookies = format!("{}={login}; {cookies}", cookie::LOGIN);
        let headers = [kind, ("cookie", cookies.as_str())];
        let path = "/hub/token/new";
        let sent = hub.client();
        let sent = sent.send(Method::POST, path, &headers, body.clone().into());
        sent.await.expect(200);
        // One that a server made is none of the hub's.
        let foreign = "note=mine&_xsrf=2%7Cof%7Ca%7Cserver".to_owned();
        let sent = hub.client();
        let sent = sent.send(Method::POST, path, &headers, foreign.into());
        sent.await.expect(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_sessions_outlive_a_restart() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_with(db.db().clone(), spawner.clone()).await;
        let hub = hub.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let token = hub.token("ada").await;
        let before = hub.signed_in("ada").await;
        let names = [cookie::LOGIN, cookie::SESSION_ID];
        let cookies = names.map(|name| before.cookie(name).expect("it was set"));
        hub.stop().await;

        let hub = TestHub::start_with(db.db().clone(), spawner).await;
        for token in [&token, env.api_token.expose()] {
            let program = hub.client().with_token(token);
            let who = program.get("/hub/api/user").await.expect(200).json();
            assert_eq!(who["name"], "ada");
        }
        let after = hub.client();
        for ((name, value), path) in names.iter().zip(&cookies).zip(["/hub/", "/"]) {
            after.plant(name, value, path);
        }
        after.get("/hub/home").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_its_way_is_waited_for_by_people_and_not_by_programs() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    let browser = hub.signed_in("ada").await;
    hub.spawner.behave(Behaviour::HangsBefore);
    let server = "/hub/api/users/ada/servers/gpu";
    let none = json!({});
    let (started, ()) = tokio::join!(ada.post_json(server, &none), async {
        until("it is on its way", async || {
            let row = row(db.db(), "ada", "gpu").await;
            row.is_some_and(|row| row.state == State::Starting)
        })
        .await;
        let page = browser.get("/hub/user/ada/gpu/lab?x=1").await.expect(302);
        let wanted = quoted("/user/ada/gpu/lab?x=1");
        let pending = format!("/hub/spawn-pending/ada/gpu?next={wanted}");
        assert_eq!(page.location(), pending);
        let said = browser.get("/hub/user/ada/gpu/api/status").await;
        let said = said.expect(424).json();
        let said = said["message"].as_str().expect("words").to_owned();
        assert!(said.contains("/hub/spawn/ada/gpu"), "{said}");
        // A start of what starts already is the same start.
        let again = browser.get("/hub/spawn/ada/gpu").await.expect(302);
        assert_eq!(again.location(), "/hub/spawn-pending/ada/gpu");
        hub.spawner.behave(Behaviour::Good);
    });
    started.expect(201);
    let there = browser.get("/hub/spawn-pending/ada/gpu").await.expect(302);
    assert_eq!(there.location(), "/user/ada/gpu/");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_server_reports_activity_and_opens_that_server() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let env = start_server(&hub, "ada").await;
    let server = hub.client().with_token(env.api_token.expose());
    let who = server.get("/hub/api/user").await.expect(200).json();
    let expect = [
        "access:servers!server=ada/",
        "read:users:activity!user=ada",
        "read:users:groups!user=ada",
        "read:users:name!user=ada",
        "users:activity!user=ada",
    ];
    assert_eq!(who["scopes"], json!(expect));
    let ada = program(&hub, "ada").await;
    ada.delete("/hub/api/users/ada/server").await.expect(204);
    server.get("/hub/api/user").await.expect(403);
    hub.stop().await;
}
