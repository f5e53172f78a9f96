//! Addresses of servers that do not run, and links that mean "in my own server".

use hyper::Method;
use lyceum_testkit::fake::Behaviour;
use lyceum_testkit::{TestDb, TestHub};

use crate::kit::{header, program, quoted, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_run_says_so_to_people_and_to_programs() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let away = ada.get("/user/ada/lab/tree/a%20b?x=1").await.expect(302);
    assert_eq!(away.location(), "/hub/user/ada/lab/tree/a%20b?x=1");
    let page = ada.get(away.location()).await.expect(424);
    assert!(header(&page, "content-type").starts_with("text/html"));
    let link = format!(
        "/hub/spawn/ada?next={}",
        quoted("/hub/user/ada/lab/tree/a%20b?x=1")
    );
    assert!(page.text().contains(&link), "{link}: {}", page.text());

    let said = ada.get("/hub/user/ada/api/contents").await.expect(424);
    let message = said.json()["message"].as_str().expect("text").to_owned();
    assert!(
        message.contains("no longer running at /user/ada/"),
        "{message}"
    );
    assert!(message.contains("/hub/spawn/ada"), "{message}");
    let json = [("accept", "application/json")];
    ada.send(Method::GET, "/hub/user/ada/lab", &json, "".into())
        .await
        .expect(424)
        .json();
    // A notebook that saves hears it in JSON, whatever it accepts.
    let program = program(&hub, "ada").await;
    let html = [("accept", "text/html,*/*")];
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for path in ["/hub/user/ada/api/contents/a", "/hub/user/ada/lab"] {
            let answer = program.send(method.clone(), path, &html, "".into()).await;
            assert_eq!(answer.expect(424).json()["status"], 424);
        }
        for client in [&ada, &program] {
            let path = "/user/ada/api/contents/a";
            let answer = client.send(method.clone(), path, &html, "".into()).await;
            assert_eq!(answer.expect(424).json()["message"], message);
        }
    }
    // The link starts the server and ends at the page that was wanted.
    let pending = ada.get(&link).await.expect(302);
    program
        .get("/hub/api/users/ada/server/progress")
        .await
        .expect(200);
    let there = ada.get(pending.location()).await.expect(302);
    assert_eq!(there.location(), "/user/ada/lab/tree/a%20b?x=1");
    ada.get(there.location()).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_in_circles_comes_to_an_end() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    start_server(&hub, "ada").await;
    let ada = hub.signed_in("ada").await;
    let answer = ada.get("/hub/user/ada/lab?x=1").await.expect(302);
    assert_eq!(answer.location(), "/user/ada/lab?x=1&redirects=1");
    let answer = ada.get("/hub/user/ada/lab?redirects=1").await.expect(302);
    assert_eq!(answer.location(), "/user/ada/lab?redirects=2");
    ada.get("/hub/user/ada/lab?redirects=4").await.expect(500);
    for odd in ["-1", "x", "", "99999999999999999999"] {
        let answer = ada.get(&format!("/hub/user/ada/lab?redirects={odd}")).await;
        assert!(
            matches!(answer.status.as_u16(), 302 | 400 | 500),
            "{odd} {}",
            answer.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_is_shown_with_its_reason() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    hub.spawner.behave(Behaviour::NotFound);
    program(&hub, "ada")
        .await
        .post_json("/hub/api/users/ada/server", &serde_json::json!({}))
        .await
        .expect(500);
    let ada = hub.signed_in("ada").await;
    let answer = ada.get("/hub/user/ada/lab").await.expect(302);
    let to = format!("/hub/spawn-pending/ada?next={}", quoted("/user/ada/lab"));
    assert_eq!(answer.location(), to);
    let page = ada.get(&to).await.expect(500).text();
    assert!(page.contains("no-such-program"), "{page}");
    ada.get("/hub/user/ada/api/status").await.expect(424);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_others_learn_nothing() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let stranger = hub.client();
    for name in ["ada", "nobody", "NOT%20A%20NAME"] {
        let path = format!("/hub/user/{name}/lab");
        let answer = stranger.get(&path).await.expect(302);
        assert_eq!(
            answer.location(),
            format!("/hub/login?next={}", quoted(&path))
        );
        stranger
            .get(&format!("/hub/user/{name}/api/status"))
            .await
            .expect(403);
        let eve = hub.signed_in("eve").await;
        eve.get(&path).await.expect(404);
        eve.get(&format!("/hub/user/{name}/api/status"))
            .await
            .expect(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_into_ones_own_server_keeps_its_path() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let link = "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgit.example%2Fa&urlpath=lab%2Ftree%2Fa%252Fb";
    let ada = hub.signed_in("ada").await;
    let answer = ada.get(link).await.expect(302);
    let wanted = link.replace("/hub/user-redirect/", "/user/ada/");
    assert_eq!(
        answer.location(),
        format!("/hub/spawn/ada?next={}", quoted(&wanted))
    );
    let deep = ada
        .get("/hub/user-redirect/lab/tree/a%2Fb%20c")
        .await
        .expect(302);
    let next = crate::kit::query_value(deep.location(), "next");
    assert_eq!(next.as_deref(), Some("/user/ada/lab/tree/a%2Fb%20c"));
    // From another site nothing is started, but the wish is kept.
    let spawn = answer.location().to_owned();
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let page = ada.send(Method::GET, &spawn, &foreign, "".into()).await;
    let page = page.expect(302);
    assert_eq!(page.location(), format!("/hub{wanted}"));
    ada.get(page.location()).await.expect(424);
    assert!(hub.spawner.orders().is_empty());
    start_server(&hub, "ada").await;
    let page = ada.send(Method::GET, &spawn, &foreign, "".into()).await;
    let on = ada.get(page.expect(302).location()).await.expect(302);
    assert_eq!(on.location(), format!("{wanted}&redirects=1"));
}
