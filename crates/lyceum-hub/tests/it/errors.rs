//! How answers look that are not the good one, and what every answer carries.

use std::net::SocketAddr;

use hyper::Method;
use lyceum_hub::size::BODY_LIMIT;
use lyceum_testkit::{TestDb, TestHub};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::kit::{header, program};

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_json_and_people_get_a_page() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    let signed_in = hub.signed_in("ada").await;
    let json = [("content-type", "application/json")];
    for (method, path, body, status) in [
        (Method::GET, "/hub/no-such-page", "", 404),
        (Method::GET, "/hub/api/no-such-thing", "", 404),
        (Method::GET, "/hub/api/users/nobody", "", 404),
        (Method::GET, "/hub/api/users/%ff", "", 400),
        (Method::GET, "/hub/static/no-such-file", "", 404),
        (Method::DELETE, "/hub/api/user", "", 405),
        (Method::PUT, "/hub/login", "", 405),
        (Method::POST, "/hub/home", "{}", 405),
        (Method::POST, "/hub/api/users/ada/activity", "{", 400),
        (Method::POST, "/hub/api/users/ada/activity", "5", 400),
        (Method::POST, "/elsewhere", "{}", 404),
    ] {
        let said = ada
            .send(method.clone(), path, &json, body.into())
            .await
            .expect(status);
        let value = said.json();
        assert_eq!(value["status"], status, "{path}");
        assert!(
            value["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{path}: {value}"
        );
        assert_eq!(header(&said, "cache-control"), "no-store");
        assert_eq!(header(&said, "allow").is_empty(), status != 405, "{path}");

        let browser = [json[0], ("accept", "text/html,*/*;q=0.8")];
        let page = ada.send(method, path, &browser, body.into()).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        if path.starts_with("/hub/api/") {
            assert_eq!(page.json()["status"], status);
        } else {
            let text = page.text();
            assert!(text.contains("<!doctype html>"), "{path}: {text}");
            let id = header(&page, "x-request-id");
            assert!(!id.is_empty() && text.contains(id), "{path}: {text}");
        }
    }
    // Who is signed in stays so on an error page.
    let browser = [("accept", "text/html")];
    let page = signed_in
        .send(Method::GET, "/hub/no-such-page", &browser, "".into())
        .await
        .expect(404);
    assert!(page.text().contains("/hub/logout"), "{}", page.text());
    assert!(page.text().contains(">ada<"), "{}", page.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_is_here_and_locks_itself_up() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let html = [("accept", "text/html")];
    for path in [
        "/hub/home",
        "/hub/token",
        "/hub/login",
        "/hub/",
        "/hub/no-such-page",
        "/hub/api",
        "/hub/api/user",
        "/hub/api/users/nobody",
        "/hub/health",
        "/hub/metrics",
        "/hub/user/ada/lab",
        "/hub/static/theme.css",
        "/favicon.ico",
        "/elsewhere",
    ] {
        let answer = ada.send(Method::GET, path, &html, "".into()).await;
        assert_eq!(
            header(&answer, "x-jupyterhub-version"),
            lyceum_hub::api::JUPYTERHUB_VERSION,
            "{path}"
        );
        assert!(!header(&answer, "x-request-id").is_empty(), "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "x-frame-options"), "DENY");
        // Who is sent on still comes from where she came from.
        let referrer = match answer.status.is_redirection() {
            true => "",
            false => "same-origin",
        };
        assert_eq!(header(&answer, "referrer-policy"), referrer, "{path}");
        let policy = header(&answer, "content-security-policy");
        for rule in ["default-src", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        if header(&answer, "content-type").starts_with("text/html") {
            assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
            assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
            let text = answer.text();
            for inline in [" style=", "<style", " onclick=", " onload="] {
                assert!(!text.contains(inline), "{path}: {inline}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_route_is_led_below_the_hub() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let client = hub.client();
    for (path, to) in [
        ("/", "/hub/home"),
        ("/hub", "/hub/home"),
        ("/hub/", "/hub/home"),
        ("/user/ada/lab?x=1", "/hub/user/ada/lab?x=1"),
        ("/lab/tree/a%20b", "/hub/lab/tree/a%20b"),
        ("//evil.example/x", "/hub//evil.example/x"),
        ("/services/formgrader/", "/hub/services/formgrader/"),
    ] {
        let answer = client.get(path).await;
        // The proxy refuses odd paths by itself; none leads to another site.
        if answer.status.as_u16() == 302 {
            assert_eq!(answer.location(), to, "{path}");
        } else {
            assert!(path.starts_with("//"), "{path} {}", answer.status);
            assert!(answer.status.is_client_error(), "{path} {}", answer.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_without_a_bottom_is_refused_as_what_it_is() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let hub = hub.with_admin("root").await;
    let root = program(&hub, "root").await;
    let json = [("content-type", "application/json")];
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(20_000), close.repeat(20_000));
        let inside = format!("{{\"note\": {deep}, \"last_activity\": {deep}}}");
        for (method, path) in [
            (Method::POST, "/hub/api/users/ada/activity"),
            (Method::POST, "/hub/api/users/ada/tokens"),
            (Method::POST, "/hub/api/users/ada/server"),
            (Method::PATCH, "/hub/api/users/ada"),
            (Method::POST, "/hub/api/groups/some"),
        ] {
            for body in [&deep, &inside] {
                let body = body.clone().into();
                let said = root.send(method.clone(), path, &json, body).await;
                assert_eq!(said.expect(400).json()["status"], 400, "{path}");
            }
        }
    }
    root.get("/hub/api/users/ada").await.expect(200);
    hub.stop().await;
}

/// Posts a body in pieces, without saying how long it is. Gives the whole answer.
async fn post_in_pieces(to: SocketAddr, path: &str, headers: &str, body: &[u8]) -> String {
    let mut sent = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
    )
    .into_bytes();
    for piece in body.chunks(10_000) {
        sent.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        sent.extend_from_slice(piece);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    let mut stream = TcpStream::connect(to).await.expect("connected");
    stream.write_all(&sent).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_hides_its_length_is_bounded_as_well() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let token = hub.token("root").await;
    // A door that is open to everybody, where there is no such platform: it leads to the log-in page.
    let open = hub.hub.at("/hub/lti13/oauth_login");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for to in [hub.address(), hub.hub_address()] {
        for (length, status) in [
            (0, 302),
            (5, 302),
            (BODY_LIMIT, 302),
            (BODY_LIMIT + 1, 413),
            (20 * BODY_LIMIT, 413),
        ] {
            let answer = post_in_pieces(to, &open, form, &vec![b'x'; length]).await;
            let line = format!("HTTP/1.1 {status} ");
            assert!(answer.starts_with(&line), "{to} {length}: {answer}");
            let says = answer.contains("larger than 256 kB");
            assert_eq!(says, status == 413, "{to} {length}: {answer}");
        }
    }
    // What is small comes to whom it is for.
    let json = format!("Content-Type: application/json\r\nAuthorization: token {token}\r\n");
    let path = hub.hub.at("/hub/api/groups/some");
    let body = br#"{"users": ["root"]}"#;
    let answer = post_in_pieces(hub.address(), &path, &json, body).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(answer.contains(r#""root""#), "{answer}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_the_page_of_an_error() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let client = hub.client();
    for status in [403, 404, 503, 599] {
        let page = client.get(&format!("/hub/error/{status}")).await;
        let text = page.expect(200).text();
        assert!(text.contains("<!doctype html>"), "{status}: {text}");
        assert!(text.contains(&status.to_string()), "{status}: {text}");
    }
    for odd in ["x", "-503", "+503", "99999999", "503.html"] {
        client.get(&format!("/hub/error/{odd}")).await.expect(404);
    }
}
