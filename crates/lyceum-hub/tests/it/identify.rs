//! Which requests with a cookie need the form token, and which count as nobody's.

use hyper::Method;
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb, TestHub};

use crate::kit::{program, quoted};

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
    let forms = [
        "/hub/token/new",
        "/hub/token/revoke",
        "/hub/token/end-session",
        "/hub/servers/start",
        "/hub/servers/stop",
        "/hub/servers/add",
        "/hub/servers/remove",
        "/hub/servers/keep",
        "/hub/servers/title",
        "/hub/spawn",
        "/hub/spawn/ada",
        "/hub/accept-share",
        "/hub/sharing/code",
        "/hub/sessions/end-others",
        "/hub/logout",
        "/hub/login",
    ];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for path in forms {
        for foreign in [
            before.clone(),
            other.cookie("_xsrf").expect("one"),
            eve.cookie("_xsrf").expect("one"),
            own.to_ascii_uppercase(),
            String::new(),
        ] {
            let body = format!("user=ada&_xsrf={}", quoted(&foreign));
            let answer = ada.send(Method::POST, path, &form, body.into()).await;
            answer.expect(403);
        }
        // The right one in the cookie alone, which a foreign form sends as well, is none.
        let answer = ada.send(Method::POST, path, &form, "user=ada".into()).await;
        assert_eq!(
            answer.expect(403).json()["message"],
            "'_xsrf' argument missing from POST",
            "{path}"
        );
    }
    ada.get("/hub/home").await.expect(200);
    let too_large = format!("_xsrf={own}&note={}", "x".repeat(300_000));
    ada.send(Method::POST, "/hub/token/new", &form, too_large.into())
        .await
        .expect(413);
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
