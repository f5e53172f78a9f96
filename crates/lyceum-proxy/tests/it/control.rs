//! The control API: one test for each line of its contract, then the defects that the original
//! has there, answered the safe way.

use lyceum_proxy::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    drop_in::{DropIn, TOKEN, change},
    support::{Client, Server, dead_address, header, read_head, soon, until},
};

fn by_host() -> Config {
    Config {
        host_routing: true,
        ..Config::default()
    }
}

#[tokio::test]
async fn a_token_is_needed_and_nothing_else_will_do() {
    let it = DropIn::start(Config::default()).await;
    let body = r#"{"target":"http://127.0.0.1:9"}"#;
    for headers in [
        "",
        "Authorization: Bearer secret-of-the-hub\r\n",
        "Authorization: token wrong\r\n",
        "Authorization: token secret-of-the-hub-and-more\r\n",
        "Authorization: token\r\n",
        "Authorization: secret-of-the-hub\r\n",
    ] {
        for (method, path) in [
            ("GET", "/api/routes"),
            ("GET", "/api/routes/a"),
            ("POST", "/api/routes/a"),
            ("DELETE", "/api/routes/a"),
        ] {
            let answer = it.api_with(method, path, headers, body).await;
            let got = (answer.status, answer.text());
            assert_eq!(got, (403, String::new()), "{method} {headers}");
        }
    }
    assert_eq!(it.routes().await, json!({}));
    let headers = format!("authorization:  token   {TOKEN} \r\n");
    let answer = it.api_with("GET", "/api/routes", &headers, "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn without_a_token_configured_it_is_open() {
    let it = DropIn::with_token(Config::default(), None).await;
    let body = r#"{"target":"http://127.0.0.1:9"}"#;
    assert_eq!(
        it.api_with("POST", "/api/routes/a", "", body).await.status,
        201
    );
    assert_eq!(
        it.api_with("GET", "/api/routes/a", "", "").await.status,
        200
    );
    assert_eq!(
        it.api_with("DELETE", "/api/routes/a", "", "").await.status,
        204
    );
    // But not to a page of anybody's in a browser on this machine.
    for header in [
        "Origin: http://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = it.api_with("POST", "/api/routes/a", header, body).await;
        assert_eq!(answer.status, 403, "{header}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_before_the_token_is_looked_at() {
    let it = DropIn::start(Config::default()).await;
    for body in ["", "{", "target"] {
        let answer = it.api_with("POST", "/api/routes/a", "", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("JSON"), "{}", answer.text());
    }
}

#[tokio::test]
async fn all_routes_are_listed_by_path_the_root_among_them() {
    let it = DropIn::start(Config::default()).await;
    let server = dead_address().await;
    it.put("/", server).await;
    it.put("/user/ada", server).await;
    for path in ["/api/routes", "/api/routes/", "/api/routes?inactive_since="] {
        let answer = it.api("GET", path, "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("application/json")
        );
        let routes: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let names: Vec<&String> = routes.as_object().unwrap().keys().collect();
        assert_eq!(names, ["/", "/user/ada"], "{path}");
        assert_eq!(routes["/"]["target"], format!("http://{server}"));
        assert_eq!(routes["/"]["jupyterhub"], true);
    }
}

#[tokio::test]
async fn the_default_target_is_the_root_until_it_is_removed() {
    let server = Server::ok().await;
    let it = DropIn::with_default(&format!("http://{}", server.address)).await;
    let routes = it.routes().await;
    let root = routes.as_object().unwrap();
    assert_eq!(root.keys().collect::<Vec<_>>(), ["/"]);
    assert_eq!(root["/"]["target"], format!("http://{}", server.address));
    assert_eq!(it.get("/anything", "").await.status, 200);
    assert_eq!(it.api("DELETE", "/api/routes/", "").await.status, 204);
    assert_eq!(it.routes().await, json!({}));
    assert_eq!(it.get("/anything", "").await.status, 404);
}

#[tokio::test]
async fn a_time_keeps_the_routes_that_are_older() {
    let it = DropIn::with_ada(dead_address().await).await;
    let last = it.last_activity("/user/ada").await;
    let bare = last.trim_end_matches('Z');
    let check = async |query: &str, expect: usize| {
        let answer = it.api("GET", &format!("/api/routes?{query}"), "").await;
        assert_eq!(answer.status, 200, "{query}");
        let routes: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(routes.as_object().unwrap().len(), expect, "{query}");
    };
    // Strictly older: its own time does not keep it.
    check(&format!("inactive_since={last}"), 0).await;
    check("inactive_since=2100-01-01", 1).await;
    check("inactiveSince=2100-01-01T00%3A00%3A00.000Z", 1).await;
    check("inactive_since=2000-01-01", 0).await;
    check(&format!("inactive_since={bare}-00:01"), 1).await;
    check(&format!("inactive_since={bare}%2B00:01"), 0).await;
    check("inactive_since=", 1).await;
    check("other=1", 1).await;
    let answer = it.api("GET", "/api/routes?inactive_since=soon", "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("\"soon\""), "{}", answer.text());
}

#[tokio::test]
async fn one_route_is_looked_at_by_its_exact_path() {
    let server = dead_address().await;
    let it = DropIn::with_ada(server).await;
    let answer = it.api("GET", "/api/routes/user/ada", "").await;
    assert_eq!(answer.status, 200);
    let route: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(route["target"], format!("http://{server}"));
    assert!(route["last_activity"].is_string());
    for path in ["/user", "/user/ada/lab", "/other"] {
        let answer = it.api("GET", &format!("/api/routes{path}"), "").await;
        assert_eq!((answer.status, answer.text().as_str()), (404, ""), "{path}");
    }
}

#[tokio::test]
async fn a_route_is_put_with_all_its_fields_and_replaced_as_a_whole() {
    let it = DropIn::start(Config::default()).await;
    let first = r#"{"target":"http://127.0.0.1:9","user":"ada","deep":{"a":[1,null]}}"#;
    let answer = it.api("POST", "/api/routes/user/ada", first).await;
    assert_eq!((answer.status, answer.text().as_str()), (201, ""));
    let route = it.routes().await["/user/ada"].clone();
    assert_eq!(route["user"], "ada");
    assert_eq!(route["deep"], json!({"a": [1, null]}));
    let second = r#"{"target":"http://127.0.0.1:10","last_activity":"1999"}"#;
    it.api("POST", "/api/routes/user/ada", second).await;
    let route = it.routes().await["/user/ada"].clone();
    assert_eq!(route["target"], "http://127.0.0.1:10");
    assert_eq!(route.get("user"), None);
    assert_ne!(route["last_activity"], "1999");
    // Without a path it is the root's.
    assert_eq!(it.api("POST", "/api/routes", first).await.status, 201);
    assert_eq!(it.routes().await["/"]["user"], "ada");
}

#[tokio::test]
async fn a_target_must_be_text_but_need_not_be_an_address() {
    let it = DropIn::start(Config::default()).await;
    for body in [
        "{}",
        "null",
        "[]",
        "3",
        r#"{"target":3}"#,
        r#"{"target":null}"#,
    ] {
        let answer = it.api("POST", "/api/routes/a", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("\"target\""), "{}", answer.text());
    }
    let answer = it
        .api("POST", "/api/routes/a", r#"{"target":"nonsense"}"#)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(it.routes().await["/a"]["target"], "nonsense");
    assert_eq!(it.get("/a/x", "").await.status, 503);
}

#[tokio::test]
async fn under_host_routing_the_host_is_told_and_found_whatever_its_case_and_port() {
    let it = DropIn::start(by_host()).await;
    let (server, other) = (
        Server::ok().await,
        Server::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"[..]).await,
    );
    it.put("/Ada.Example.org/user/ada", server.address).await;
    it.put("/", other.address).await;
    let routes = it.routes().await;
    assert_eq!(
        routes["/Ada.Example.org/user/ada"]["host"],
        "Ada.Example.org"
    );
    assert_eq!(routes["/"].get("host"), None);
    let check = async |host: &str, path: &str, expect: &str| {
        let mut client = it.client().await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.text(), expect, "{host} {path}");
    };
    check("ada.example.org", "/user/ada/x", "ok").await;
    check("ADA.example.ORG:8000", "/user/ada", "ok").await;
    check("ada.example.org", "/user/bob", "other").await;
    check("bob.example.org", "/user/ada/x", "other").await;
    check("[::1]:8000", "/user/ada/x", "other").await;
    // A person's server can't get a certificate for its name.
    it.put("/eve.example.org/", server.address).await;
    check("eve.example.org", "/.well-known/x", "ok").await;
    let challenge = "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: eve.example.org\r\n\r\n";
    let mut client = it.client().await;
    client.send(challenge).await;
    assert_eq!(client.answer().await.status, 404);
    // The first segment of a path is no host.
    check("x", "/ada.example.org/user/ada", "other").await;
    let path = "/api/routes/ada.example.org/user/ada";
    assert_eq!(it.api("GET", path, "").await.status, 200);
    assert_eq!(it.api("DELETE", path, "").await.status, 204);
    check("ada.example.org", "/user/ada/x", "other").await;
}

#[tokio::test]
async fn a_route_is_removed_once() {
    let it = DropIn::with_ada(dead_address().await).await;
    for expect in [204, 404] {
        let answer = it.api("DELETE", "/api/routes/user/ada", "").await;
        assert_eq!((answer.status, answer.text().as_str()), (expect, ""));
    }
    assert_eq!(it.routes().await, json!({}));
    assert_eq!(it.get("/user/ada/x", "").await.status, 404);
}

#[tokio::test]
async fn removing_a_route_leaves_what_is_below_it() {
    let server = Server::ok().await;
    let it = DropIn::with_ada(server.address).await;
    it.put("/user/ada/lab", server.address).await;
    assert_eq!(
        it.api("DELETE", "/api/routes/user/ada", "").await.status,
        204
    );
    assert_eq!(it.get("/user/ada/lab/x", "").await.status, 200);
    assert_eq!(it.get("/user/ada/x", "").await.status, 404);
}

const SWITCH: &str =
    "GET /user/ada/ws HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Agrees to change protocols; then sends back what it gets, and `hello` when it gets a `?`.
async fn echo() -> Server {
    Server::raw(|mut stream, _| async move {
        let _ = read_head(&mut stream).await;
        stream.write_all(SWITCHING).await.unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() {
            let answer: &[u8] = if byte == *b"?" { b"hello" } else { &byte };
            stream.write_all(answer).await.unwrap();
        }
    })
    .await
}

async fn open_websocket(it: &DropIn) -> Client {
    let mut client = it.client().await;
    client.send(SWITCH).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    client
}

#[tokio::test]
async fn open_websockets_survive_the_removal_of_their_route() {
    let server = echo().await;
    let it = DropIn::with_ada(server.address).await;
    let mut client = open_websocket(&it).await;
    it.api("DELETE", "/api/routes/user/ada", "").await;
    client.send("x").await;
    assert_eq!(client.exactly(1).await, b"x");
}

#[tokio::test]
async fn other_methods_are_405_and_other_paths_404() {
    let it = DropIn::start(Config::default()).await;
    for method in ["HEAD", "PUT", "PATCH", "OPTIONS"] {
        for token in ["", &format!("Authorization: token {TOKEN}\r\n")] {
            let mut client = it.api_client().await;
            let ask = format!("{method} /api/routes/a HTTP/1.1\r\nHost: lab\r\n{token}\r\n");
            client.send(ask).await;
            let head = client.head().await;
            assert!(head.starts_with("HTTP/1.1 405 "), "{method}: {head}");
            assert_eq!(header(&head, "allow").as_deref(), Some("GET, POST, DELETE"));
        }
    }
    assert_eq!(it.routes().await, json!({}));
    for path in ["/", "/api", "/api/routesx", "/api/other", "/routes"] {
        assert_eq!(it.api("GET", path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn keys_are_decoded_and_lose_one_slash_at_the_end() {
    let it = DropIn::start(Config::default()).await;
    let server = Server::ok().await;
    it.put("/user/a%40b%20c/", server.address).await;
    it.put("/user/%C3%A9", server.address).await;
    let routes = it.routes().await;
    let names: Vec<&String> = routes.as_object().unwrap().keys().collect();
    assert_eq!(names, ["/user/a@b c", "/user/é"]);
    for path in ["/user/a@b%20c/x", "/user/%61%40b%20c", "/user/%c3%a9/x"] {
        assert_eq!(it.get(path, "").await.status, 200, "{path}");
    }
    for path in ["/user/a@b%20cd", "/user/", "/user%2F%C3%A9"] {
        assert_eq!(it.get(path, "").await.status, 404, "{path}");
    }
    assert_eq!(
        it.api("DELETE", "/api/routes/user/a@b%20c/", "")
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn activity_is_a_moment_with_milliseconds() {
    let it = DropIn::with_ada(dead_address().await).await;
    let last = it.last_activity("/user/ada").await;
    let shape: String = last
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
}

#[tokio::test]
async fn activity_is_moved_by_answers_below_300_only() {
    let answer = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    for (status, moves) in [
        (200, true),
        (204, true),
        (301, false),
        (404, false),
        (500, false),
    ] {
        let server = Server::answer_with(answer(status)).await;
        let it = DropIn::with_ada(server.address).await;
        let before = it.later("/user/ada").await;
        assert_eq!(it.get("/user/ada/x", "").await.status, status);
        let after = it.last_activity("/user/ada").await;
        assert_eq!(after > before, moves, "{status}");
    }
    let it = DropIn::with_ada(dead_address().await).await;
    let before = it.later("/user/ada").await;
    assert_eq!(it.get("/user/ada/x", "").await.status, 503);
    assert_eq!(it.last_activity("/user/ada").await, before);
}

#[tokio::test]
async fn activity_is_moved_by_the_data_of_a_request() {
    let server = Server::answer_with(&b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"[..]).await;
    let it = DropIn::with_ada(server.address).await;
    let before = it.later("/user/ada").await;
    let mut client = it.client().await;
    client
        .send("POST /user/ada/x HTTP/1.1\r\nHost: lab\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    assert_eq!(client.answer().await.status, 400);
    assert!(it.last_activity("/user/ada").await > before);
}

#[tokio::test]
async fn activity_is_moved_by_websockets_in_both_directions() {
    let server = echo().await;
    let it = DropIn::with_ada(server.address).await;
    let mut client = open_websocket(&it).await;
    let before = it.later("/user/ada").await;
    client.send("x").await;
    client.exactly(1).await;
    let after = it.last_activity("/user/ada").await;
    assert!(after > before);

    // What only the server says counts too.
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let server = Server::raw(move |mut stream, _| {
        let told = told.lock().unwrap().take();
        async move {
            let _ = read_head(&mut stream).await;
            stream.write_all(SWITCHING).await.unwrap();
            told.unwrap().await.unwrap();
            stream.write_all(b"news").await.unwrap();
            let _ = stream.read_u8().await;
        }
    })
    .await;
    let it = DropIn::with_ada(server.address).await;
    let mut client = open_websocket(&it).await;
    let before = it.later("/user/ada").await;
    tell.send(()).unwrap();
    assert_eq!(client.exactly(4).await, b"news");
    assert!(it.last_activity("/user/ada").await > before);
}

#[tokio::test]
async fn activity_is_moved_by_an_answer_that_goes_on() {
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let server = Server::raw(move |mut stream, _| {
        let told = told.lock().unwrap().take();
        async move {
            let _ = read_head(&mut stream).await;
            let begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
            stream.write_all(begin).await.unwrap();
            told.unwrap().await.unwrap();
            stream.write_all(b"1\r\nb\r\n").await.unwrap();
            let _ = stream.read_u8().await;
        }
    })
    .await;
    let it = DropIn::with_ada(server.address).await;
    let mut client = it.client().await;
    client
        .send("GET /user/ada/x HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    assert_eq!(client.exactly(6).await, b"1\r\na\r\n");
    let before = it.later("/user/ada").await;
    tell.send(()).unwrap();
    assert_eq!(client.exactly(6).await, b"1\r\nb\r\n");
    assert!(it.last_activity("/user/ada").await > before);
}

#[tokio::test]
async fn a_replaced_route_keeps_counting_for_those_who_use_it() {
    let server = echo().await;
    let it = DropIn::with_ada(server.address).await;
    let mut client = open_websocket(&it).await;
    it.put("/user/ada", dead_address().await).await;
    let before = it.later("/user/ada").await;
    client.send("x").await;
    client.exactly(1).await;
    assert!(it.last_activity("/user/ada").await > before);
}

#[tokio::test]
async fn its_health_is_told_on_the_public_port() {
    let it = DropIn::start(Config::default()).await;
    let answer = it.get("/_chp_healthz", "").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"status":"OK"}"#)
    );
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/json")
    );
}

#[tokio::test]
async fn targets_may_have_a_path_or_be_a_socket() {
    let server = Server::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"[..]).await;
    let it = DropIn::start(Config::default()).await;
    let body = format!(r#"{{"target":"http://{}/base/"}}"#, server.address);
    assert_eq!(it.api("POST", "/api/routes/a", &body).await.status, 201);
    assert_eq!(it.get("/a/x", "").await.text(), "ok");
    assert!(server.last().0.starts_with("GET /base/a/x HTTP/1.1\r\n"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsock";
        stream.write_all(answer).await.unwrap();
        head
    });
    let escaped = path.to_str().unwrap().replace('/', "%2F");
    let body = format!(r#"{{"target":"http+unix://{escaped}"}}"#);
    assert_eq!(it.api("POST", "/api/routes/s", &body).await.status, 201);
    assert_eq!(it.get("/s/x", "").await.text(), "sock");
    assert!(serving.await.unwrap().starts_with(b"GET /s/x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn what_cannot_be_served_is_404_or_503() {
    let it = DropIn::with_ada(dead_address().await).await;
    assert_eq!(it.get("/user/bob", "").await.status, 404);
    assert_eq!(it.get("/user/ada/x", "").await.status, 503);
    let nonsense = Server::answer_with(&b"nonsense\r\n\r\n"[..]).await;
    it.put("/nonsense", nonsense.address).await;
    assert_eq!(it.get("/nonsense", "").await.status, 503);
    let quiet = Server::raw(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let mut config = Config::default();
    config.limits.first_byte = std::time::Duration::from_millis(50);
    let it = DropIn::start(config).await;
    it.put("/quiet", quiet.address).await;
    assert_eq!(it.get("/quiet", "").await.status, 503);
}

#[tokio::test]
async fn the_hub_is_a_route_and_nothing_is_hidden_from_it() {
    let hub = Server::answer_with(
        &b"HTTP/1.1 200 OK\r\nSet-Cookie: jupyterhub-hub-login=1\r\nService-Worker-Allowed: /\r\nContent-Length: 0\r\n\r\n"[..],
    )
    .await;
    let it = DropIn::start(Config::default()).await;
    it.put("/", hub.address).await;
    let cookies = "jupyterhub-hub-login=a; lyceum-access=b; lyceum-language=de; =c;";
    let answer = it.get("/hub/x", &format!("Cookie: {cookies}\r\n")).await;
    assert_eq!(
        answer.header("set-cookie").as_deref(),
        Some("jupyterhub-hub-login=1")
    );
    assert_eq!(
        answer.header("service-worker-allowed").as_deref(),
        Some("/")
    );
    let head = hub.last().0;
    assert!(head.contains(cookies), "{head}");
    // Nor is a cookie of somebody else's read.
    it.api("DELETE", "/api/routes/", "").await;
    let page = it.get("/hub/x", &format!("Cookie: {cookies}\r\n")).await;
    assert_eq!(page.status, 404);
    let page = page.text();
    assert!(page.contains("<html lang=\"en\">"), "{page}");
}

#[tokio::test]
async fn a_websocket_that_cannot_be_opened_gets_a_status_and_nothing_more() {
    let it = DropIn::with_ada(dead_address().await).await;
    for (path, expect) in [("/user/ada/ws", 503), ("/nowhere", 404)] {
        let headers = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        let answer = it.get(path, headers).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (expect, ""),
            "{path}"
        );
        assert_eq!(answer.header("content-length").as_deref(), Some("0"));
    }
}

#[tokio::test]
async fn metrics_have_the_names_that_dashboards_know() {
    let server = Server::ok().await;
    let it = DropIn::with_ada(server.address).await;
    it.get("/_chp_healthz", "").await;
    it.get("/user/ada/x", "").await;
    it.get("/nowhere", "").await;
    it.get(
        "/user/ada/x",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
    )
    .await;
    it.routes().await;
    it.api("GET", "/api/routes/user/ada", "").await;
    it.api("DELETE", "/api/routes/nowhere", "").await;
    let check = async |name: &str, expect: f64| {
        assert_eq!(it.metric(name).await, Some(expect), "{name}");
    };
    check("requests_web", 2.0).await;
    check("requests_ws", 1.0).await;
    check("requests_proxy{status=\"200\"}", 2.0).await;
    check("requests_proxy{status=\"404\"}", 1.0).await;
    check("requests_api{status=\"201\"}", 1.0).await;
    check("requests_api{status=\"200\"}", 2.0).await;
    check("requests_api{status=\"404\"}", 1.0).await;
    check("api_route_get", 1.0).await;
    check("api_route_add", 1.0).await;
    check("api_route_delete", 1.0).await;
    check("find_target_for_req_count", 3.0).await;
    assert!(it.metric("last_activity_updating_count").await >= Some(2.0));
    // Ours are there as well.
    check("lyceum_proxy_connections_over_limit_total", 0.0).await;
}

#[tokio::test]
async fn an_escape_that_is_none_is_answered() {
    let it = DropIn::start(Config::default()).await;
    let body = r#"{"target":"http://127.0.0.1:9"}"#;
    for path in ["/%", "/a%2", "/%zz", "/%FF", "/a%"] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = it.api(method, &format!("/api/routes{path}"), body).await;
            assert_eq!(answer.status, 400, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_path_that_no_request_has_is_refused() {
    let it = DropIn::start(Config::default()).await;
    let body = r#"{"target":"http://127.0.0.1:9"}"#;
    let deep = "/x".repeat(33);
    for path in [
        "//a",
        "/a//b",
        "/a/../b",
        "/a/%2e%2e",
        "/./a",
        "/a%5Cb",
        "/a%00b",
        &deep,
    ] {
        let answer = it.api("POST", &format!("/api/routes{path}"), body).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(
            it.api("DELETE", &format!("/api/routes{path}"), "")
                .await
                .status,
            404
        );
    }
    assert_eq!(it.routes().await, json!({}));
}

#[tokio::test]
async fn a_body_without_end_is_refused_at_its_bound() {
    let it = DropIn::start(Config::default()).await;
    let mut client = it.api_client().await;
    client
        .send("POST /api/routes/a HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    for _ in 0..17 {
        client.send(&piece).await;
    }
    assert_eq!(client.answer().await.status, 413);
    // A hundred MiB are never taken, whatever is said about their length.
    let mut client = it.api_client().await;
    client
        .send(format!(
            "POST /api/routes/a HTTP/1.1\r\nHost: api\r\nContent-Length: {}\r\n\r\n",
            100 * 1024 * 1024
        ))
        .await;
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn names_that_mean_something_elsewhere_are_names_here() {
    let server = Server::ok().await;
    let it = DropIn::start(Config::default()).await;
    it.put("/x", server.address).await;
    for path in ["/constructor/x", "/__proto__", "/toString/y", "/%"] {
        assert_eq!(it.get(path, "").await.status, 404, "{path}");
    }
    it.put("/constructor", server.address).await;
    assert_eq!(it.get("/constructor/x", "").await.status, 200);
    // No segment is lost: this is not the route's path, and goes nowhere else instead.
    assert_eq!(it.get("//x/y", "").await.status, 404);
    assert_eq!(it.get("//host/x/y", "").await.status, 404);
    it.put("/", server.address).await;
    assert_eq!(it.get("//host/x/y", "").await.status, 200);
    assert!(server.last().0.starts_with("GET //host/x/y HTTP/1.1"));
    assert_eq!(it.get("/%", "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_changes_under_traffic_break_nothing() {
    let server = Server::ok().await;
    let it = DropIn::with_ada(server.address).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::SeqCst);
    let answered = std::sync::atomic::AtomicUsize::new(0);
    let traffic = async {
        let mut client = it.client().await;
        while !is_done() {
            client
                .send("GET /user/ada/x HTTP/1.1\r\nHost: lab\r\n\r\n")
                .await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
            answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    };
    let headers = format!("Authorization: token {TOKEN}\r\n");
    let body = r#"{"target":"http://127.0.0.1:9"}"#;
    let changes = async {
        let mut client = it.api_client().await;
        for number in 0..5_000 {
            let path = format!("/api/routes/user/u{number}");
            client.send(change("POST", &path, &headers, body)).await;
            assert_eq!(client.answer().await.status, 201);
            // Twice as many as are there at the end.
            if number % 2 == 1 {
                for gone in [number - 1, number] {
                    let path = format!("/api/routes/user/u{gone}");
                    client.send(change("DELETE", &path, &headers, "")).await;
                    assert_eq!(client.answer().await.status, 204);
                }
            }
        }
        let before = answered.load(std::sync::atomic::Ordering::SeqCst);
        until("traffic after the changes", || {
            answered.load(std::sync::atomic::Ordering::SeqCst) > before + 10
        })
        .await;
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    soon("all of it", async { tokio::join!(traffic, changes) }).await;
    assert_eq!(it.proxy.routes().routes().len(), 1);
}
