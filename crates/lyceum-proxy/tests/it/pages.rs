//! What a browser and a program see when something is wrong, and the health page.

use lyceum_proxy::{AddedLanguage, Config, RouteAccess};

use crate::support::{Server, TestProxy, dead_address, read_head, route};

#[tokio::test]
async fn people_get_a_page_and_programs_get_json() {
    let server = Server::ok().await;
    let routes = vec![route("/dead/", dead_address().await, RouteAccess::Open)];
    let proxy = TestProxy::start(Config::default(), server.address, routes).await;

    let page = proxy.get("/dead/lab", "Accept: text/html\r\n").await;
    assert_eq!(page.status, 503);
    assert_eq!(
        page.header("content-type").unwrap(),
        "text/html; charset=utf-8"
    );
    assert_eq!(page.header("cache-control").unwrap(), "no-store");
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    assert!(page.header("retry-after").is_some());
    let id = page.header("x-request-id").unwrap();
    let text = page.text();
    for part in [
        "<html lang=\"en\">",
        "<title>",
        "<main>",
        "<h1>",
        "files are safe",
        "href=\"/hub/home\"",
        id.as_str(),
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("127.0.0.1"), "the cause stays in the log");

    let german = "Accept: text/html\r\nAccept-Language: de-CH,de;q=0.9,en;q=0.5\r\n";
    let text = proxy.get("/dead/lab", german).await.text();
    assert!(text.contains("<html lang=\"de\">") && text.contains("Dieser Dienst antwortet nicht"));
    let text = proxy.get("/a/../b", german).await.text();
    assert!(text.contains("nur aus einem oder zwei Punkten"), "{text}");

    for (path, accept) in [
        ("/dead/lab", "application/json"),
        ("/dead/api/status", "*/*"),
    ] {
        let answer = proxy
            .get(
                path,
                &format!("Accept: {accept}\r\nAccept-Language: de\r\n"),
            )
            .await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["status"], 503);
        let message = body["message"].as_str().unwrap();
        assert!(
            message.starts_with("This service does not answer"),
            "{message}"
        );
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(body["request_id"], id.as_str());
    }
}

/// The language of the page that answers this.
async fn lang_of(proxy: &TestProxy, path: &str, asks: &str, cookies: &[&str]) -> String {
    let cookies = cookies.iter().map(|value| format!("Cookie: {value}\r\n"));
    let cookies: String = cookies.collect();
    let head = format!("Accept: text/html\r\nAccept-Language: {asks}\r\n{cookies}");
    let page = proxy.get(path, &head).await.text();
    let (_, rest) = page.split_once("<html lang=\"").expect("a page");
    rest.split('"').next().expect("a tag").to_owned()
}

#[tokio::test]
async fn the_language_that_a_reader_chose_comes_before_what_her_browser_asks_for() {
    let dead = dead_address().await;
    let routes = vec![route("/dead/", dead, RouteAccess::Open)];
    let proxy = TestProxy::start(Config::default(), dead, routes).await;
    let french = AddedLanguage {
        tag: "fr".into(),
        texts: [("proxy.home".into(), "Accueil".into())].into(),
        ..AddedLanguage::default()
    };
    assert!(proxy.proxy.set_languages(vec![french]));
    for (asks, cookies, expect) in [
        ("en", &["lyceum-language=de"][..], "de"),
        ("de", &["a=1; lyceum-language=en; b=2"], "en"),
        ("de", &["lyceum-language=fr"], "fr"),
        ("de", &["a=1", "lyceum-language=\"fr\""], "fr"),
        // What is not there is passed over; without a choice the browser's wish counts.
        ("de", &["lyceum-language=xx; lyceum-language=fr"], "fr"),
        ("de", &["lyceum-language=xx"], "de"),
        ("fr", &["lyceum-language="], "fr"),
        (
            "de",
            &["xlyceum-language=fr; lyceum-languages=fr; lyceum-language"],
            "de",
        ),
    ] {
        let lang = lang_of(&proxy, "/dead/lab", asks, cookies).await;
        assert_eq!(lang, expect, "{asks} {cookies:?}");
    }
    // Also when the request itself is wrong.
    let chosen = ["lyceum-language=fr"];
    assert_eq!(lang_of(&proxy, "/a/../b", "en", &chosen).await, "fr");
    assert!(proxy.proxy.set_languages(Vec::new()));
    assert_eq!(lang_of(&proxy, "/dead/lab", "de", &chosen).await, "de");
}

/// In place of configurable-http-proxy all routes are open, and servers are among them.
#[tokio::test]
async fn what_does_not_answer_is_a_service_or_in_a_jupyterhub_a_server() {
    let dead = dead_address().await;
    for (drop_in, words, remedy) in [
        (false, "This service does not answer", "the people who run"),
        (true, "The server does not answer", "stop and start"),
    ] {
        let config = Config {
            drop_in,
            ..Config::default()
        };
        let routes = vec![route("/dead/", dead, RouteAccess::Open)];
        let proxy = TestProxy::start(config, dead, routes).await;
        let page = proxy.get("/dead/lab", "Accept: text/html\r\n").await;
        assert_eq!(page.status, 503);
        let text = page.text();
        assert!(text.contains(words) && text.contains(remedy), "{text}");
    }
}

#[tokio::test]
async fn without_the_hub_nobody_is_sent_to_its_pages() {
    let quiet = Server::raw(|mut stream, _| async move {
        let _ = read_head(&mut stream).await;
    })
    .await;
    let garbled = Server::answer_with(&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..]).await;
    for hub in [dead_address().await, quiet.address, garbled.address] {
        let proxy = TestProxy::start(Config::default(), hub, Vec::new()).await;
        for (language, words) in [
            ("en", "This site does not answer right now"),
            ("de", "Diese Website antwortet gerade nicht"),
        ] {
            let asked = format!("Accept: text/html\r\nAccept-Language: {language}\r\n");
            let page = proxy.get("/hub/home", &asked).await;
            assert!([502, 503].contains(&page.status), "{}", page.status);
            let text = page.text();
            assert!(text.contains(words) && !text.contains("href"), "{text}");
        }
        let answer = proxy.get("/hub/api/", "").await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let message = body["message"].as_str().unwrap();
        assert!(message.starts_with("This site does not"), "{message}");
    }
}

#[tokio::test]
async fn the_proxy_says_that_it_is_well() {
    let proxy = TestProxy::open(dead_address().await).await;
    let answer = proxy.get("/_chp_healthz", "").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, r#"{"status":"OK"}"#)
    );
}
