//! Log in and out: guesses, floods, planted cookies, forms and links from elsewhere.

use lyceum_testkit::client::Answer;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::cookie;

use crate::kit::{Socket, form_token, header, quoted, start_server};

async fn fresh(hub: &TestHub) -> (Client, String) {
    let client = hub.client();
    let page = client.get("/hub/login").await.expect(200).text();
    (client, form_token(&page))
}

async fn post(client: &Client, xsrf: &str, more: &[(&str, &str)], next: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("username", "ada"),
            ("password", PASSWORD),
            ("next", next),
            ("_xsrf", xsrf),
        ])
        .finish();
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend_from_slice(more);
    client
        .send(hyper::Method::POST, "/hub/login", &headers, body.into())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unknown_name_look_alike() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let (client, _) = fresh(&hub).await;
    let wrong = client.log_in("ada", "wrong").await.expect(403);
    let unknown = client.log_in("eve", "wrong").await.expect(403);
    assert_eq!(
        wrong.text().replace("value=\"ada\"", "value=\"eve\""),
        unknown.text()
    );
    assert!(wrong.text().contains("fit together"), "{}", wrong.text());
    let names = |answer: &Answer| -> Vec<String> {
        answer.headers.keys().map(ToString::to_string).collect()
    };
    assert_eq!(names(&wrong), names(&unknown));
    assert!(client.cookie(cookie::LOGIN).is_none());
    // Names are lower-cased, and the right password still gets in.
    client.log_in("ADA", PASSWORD).await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_says_how_long() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let client = hub.client();
        let mut told = None;
        for _ in 0..12 {
            let answer = client.log_in("ada", "a guess").await;
            if answer.status.as_u16() == 429 {
                told = Some(answer);
                break;
            }
            assert_eq!(answer.status.as_u16(), 403);
        }
        let told = told.expect("the guesses are slowed down");
        let seconds: u64 = header(&told, "retry-after").parse().expect("seconds");
        assert!(seconds >= 1);
        assert!(
            told.text().contains("There were too many tries"),
            "{}",
            told.text()
        );
        // Whoever guesses goes on waiting: an address that she makes up is not believed.
        let disguised = hub.client().with_header("x-forwarded-for", "203.0.113.9");
        disguised.log_in("ada", "a guess").await.expect(429);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_refused_in_the_same_words() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let client = hub.client();
        for name in [
            "a".repeat(200_000).as_str(),
            "ada\0",
            "ada\r\nlog: a line of mine",
            "\u{1b}[31mada",
            "ädä",
            "аdа",
            "ada\u{200b}",
            "../../etc/passwd",
            "' OR 1=1 --",
            "",
            "<script>alert(1)</script>",
        ] {
            let answer = client.log_in(name, "x").await.expect(403);
            let page = answer.text();
            assert!(page.contains("fit together"), "{name:.40}: {page}");
            assert!(page.len() < 20_000, "{name:.40}: {}", page.len());
            assert!(!page.contains("<script>"), "{page}");
            assert!(!page.contains(['\0', '\u{1b}']), "{page:?}");
        }
        client
            .log_in("ada", &"x".repeat(3_000_000))
            .await
            .expect(413);
        client.log_in("ada", PASSWORD).await.expect(302);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_form_comes_from_this_site_and_this_browser() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let (client, token) = fresh(&hub).await;
    let other = hub.client().with_header("user-agent", "another browser");
    let foreign = form_token(&other.get("/hub/login").await.expect(200).text());
    assert_ne!(token, foreign);
    for bad in ["", "x", foreign.as_str(), &token[1..]] {
        let refused = post(&client, bad, &[], "").await.expect(403);
        assert!(refused.text().contains("log in once more"), "{bad:?}");
        assert!(client.cookie(cookie::LOGIN).is_none());
    }
    let refused = ["cross-site", "same-site", "", "SAME-ORIGIN", "null"];
    let taken = ["same-origin", "none"];
    let modes = [
        "navigate",
        "no-cors",
        "cors",
        "same-origin",
        "websocket",
        "odd",
    ];
    for site in refused.iter().chain(&taken) {
        for mode in modes {
            let (client, token) = fresh(&hub).await;
            let headers = [("sec-fetch-site", *site), ("sec-fetch-mode", mode)];
            let status = post(&client, &token, &headers, "").await.status.as_u16();
            let expect = if taken.contains(site) { 302 } else { 403 };
            assert_eq!(status, expect, "{site} {mode}");
        }
    }
    // Over plain HTTP browsers tell nothing but the origin.
    let own = format!("http://{}", hub.address());
    for (origin, expect) in [
        ("http://evil.example", 403),
        ("null", 403),
        (&format!("{own}.evil.example"), 403),
        (own.as_str(), 302),
    ] {
        let (client, token) = fresh(&hub).await;
        let answer = post(&client, &token, &[("origin", origin)], "").await;
        assert_eq!(answer.status.as_u16(), expect, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_session_is_no_session() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let (client, _) = fresh(&hub).await;
    for name in [cookie::LOGIN, cookie::SESSION_ID, cookie::ACCESS] {
        client.plant(name, "planted", "/");
    }
    let answer = client.log_in("ada", PASSWORD).await.expect(302);
    let set: Vec<&str> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    assert_eq!(set.len(), 4, "{set:?}");
    for line in &set {
        assert!(!line.contains("planted"), "{line}");
        assert!(line.contains("SameSite=Lax"), "{line}");
        assert_eq!(line.contains("HttpOnly"), !line.starts_with("_xsrf="));
        let below_hub = line.starts_with(cookie::LOGIN) || line.starts_with("_xsrf=");
        assert_eq!(line.contains("Path=/hub/;"), below_hub, "{line}");
    }
    // The planted ones are still sent first, and do not stand in the way.
    client.get("/hub/home").await.expect(200);
    let planted = hub.client();
    planted.plant(cookie::LOGIN, "planted", "/");
    planted.get("/hub/home").await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_again_ends_the_session_before() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let client = hub.signed_in("ada").await;
        let before = client.cookie(cookie::LOGIN).expect("a cookie");
        let xsrf = client.cookie("_xsrf").expect("a form token");
        let old = hub.client();
        old.plant(cookie::LOGIN, &before, "/hub/");
        old.get("/hub/home").await.expect(200);
        // Already in: the page leads on.
        let on = client.get("/hub/login").await.expect(302);
        assert_eq!(on.location(), "/hub/home");
        post(&client, &xsrf, &[], "").await.expect(302);
        let after = client.cookie(cookie::LOGIN).expect("a cookie");
        assert_ne!(before, after);
        assert_ne!(xsrf, client.cookie("_xsrf").expect("a form token"));
        old.get("/hub/home").await.expect(302);
        client.get("/hub/home").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_ends_everything_the_session_opened() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let elsewhere = hub.signed_in("ada").await;
        let token = crate::api::oauth_token(&hub, &ada, &env).await;
        let program = hub.client().with_token(&token);
        program.get("/hub/api/user").await.expect(200);
        ada.get("/user/ada/lab").await.expect(200);

        let own = hub.token("ada").await;
        let mut sockets = [
            Socket::by_cookie(&hub, &ada).await,
            Socket::by_token(&hub, &token).await,
        ];
        let mut others = [
            Socket::by_cookie(&hub, &elsewhere).await,
            Socket::by_token(&hub, &own).await,
        ];

        let access = ada.cookie(cookie::ACCESS).expect("an access cookie");
        let (login, session_id) = (ada.cookie(cookie::LOGIN), ada.cookie(cookie::SESSION_ID));
        ada.post_form("/hub/logout", &[]).await.expect(302);
        for name in [
            cookie::LOGIN,
            cookie::SESSION_ID,
            cookie::ACCESS,
            cookie::XSRF,
        ] {
            assert!(ada.cookie(name).is_none(), "{name}");
        }
        // Whoever kept copies has nothing.
        let thief = hub.client();
        thief.plant(cookie::LOGIN, &login.expect("it was set"), "/hub/");
        thief.plant(cookie::SESSION_ID, &session_id.expect("it was set"), "/");
        thief.plant(cookie::ACCESS, &access, "/");
        thief.get("/hub/home").await.expect(302);
        assert_ne!(thief.get("/user/ada/lab").await.status.as_u16(), 200);
        program.get("/hub/api/user").await.expect(403);
        program.get("/user/ada/lab").await.expect(403);
        for socket in &mut sockets {
            socket.assert_ends().await;
        }
        let cookies = format!("{}={access}", cookie::ACCESS);
        assert!(Socket::open(&hub, "cookie", &cookies).await.is_none());
        // Her other browser stays in, and so does a program with a token of its own.
        for socket in &mut others {
            socket.assert_open().await;
        }
        elsewhere.get("/hub/home").await.expect(200);
        elsewhere.get("/user/ada/lab").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_link_works_from_here_only() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    for site in ["cross-site", "same-site"] {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "navigate")];
        ada.send(
            hyper::Method::GET,
            "/hub/logout",
            &headers,
            Default::default(),
        )
        .await
        .expect(403);
    }
    let bare = [("content-type", "application/x-www-form-urlencoded")];
    ada.send(
        hyper::Method::POST,
        "/hub/logout",
        &bare,
        "a=b".to_owned().into(),
    )
    .await
    .expect(403);
    ada.get("/hub/home").await.expect(200);
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
    ];
    ada.send(
        hyper::Method::GET,
        "/hub/logout",
        &headers,
        Default::default(),
    )
    .await
    .expect(302);
    ada.get("/hub/home").await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_cookies_are_nobodys() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let real = ada.cookie(cookie::LOGIN).expect("a cookie");
    let session = ada.cookie(cookie::SESSION_ID).expect("a cookie");
    let access = ada.cookie(cookie::ACCESS).expect("a cookie");
    let upper = real.to_ascii_uppercase();
    let stranger = hub.client();
    let ask = |line: String| {
        let stranger = &stranger;
        async move {
            stranger
                .send(
                    hyper::Method::GET,
                    "/hub/home",
                    &[("cookie", &line)],
                    Default::default(),
                )
                .await
                .status
                .as_u16()
        }
    };
    for forged in [
        "",
        "\"",
        "=",
        "a=b=c",
        "' OR 1=1 --",
        "%00",
        &real[1..],
        &format!("{real}x"),
        &upper,
        &session,
        &access,
        &"a".repeat(5000),
    ] {
        let line = format!("{}={forged}", cookie::LOGIN);
        assert_eq!(ask(line).await, 302, "{forged:.60}");
    }
    assert_eq!(ask(format!("{}={real}", cookie::LOGIN)).await, 200);
    // Several of one name, as a sibling site can toss them: the real one counts.
    let tossed = format!("{}=tossed; ", cookie::LOGIN).repeat(10);
    assert_eq!(ask(format!("{tossed}{}={real}", cookie::LOGIN)).await, 200);
    assert_eq!(
        ask(format!("{}={real}; {tossed}", cookie::LOGIN)).await,
        200
    );
    // Thousands cost no more than a few.
    let flood = format!("{}=x; ", cookie::LOGIN).repeat(1000);
    assert_eq!(ask(flood).await, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn next_never_leads_to_another_site() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let own = hub.address().to_string();
    let hostile = [
        "http://evil.example/".to_owned(),
        "https://evil.example".into(),
        "//evil.example".into(),
        "///evil.example".into(),
        "////evil.example".into(),
        "/\\evil.example".into(),
        "\\/evil.example".into(),
        "\\\\evil.example".into(),
        "/\t/evil.example".into(),
        "/\n/evil.example".into(),
        "/\r\nLocation: http://evil.example".into(),
        "\t//evil.example".into(),
        " //evil.example".into(),
        "/%2f/evil.example".into(),
        "/%2F%2Fevil.example".into(),
        "/%5cevil.example".into(),
        "/.//evil.example".into(),
        "/x/..//evil.example".into(),
        "/x/%2e%2e//evil.example".into(),
        "javascript:alert(1)".into(),
        "JaVaScRiPt:alert(1)".into(),
        "data:text/html,x".into(),
        "https:evil.example".into(),
        "http:///evil.example".into(),
        format!("http://{own}@evil.example/"),
        format!("http://{own}.evil.example/"),
        format!("http://evil.example/http://{own}/"),
        format!("//{own}/hub/home"),
        "evil.example".into(),
        "?next=//evil.example".into(),
        "#//evil.example".into(),
        "\u{2028}//evil.example".into(),
        "/\u{ff0f}evil.example".into(),
        format!("/{}", "a".repeat(9000)),
    ];
    let base = url::Url::parse(&format!("http://{own}/hub/login")).expect("an address");
    let ada = hub.signed_in("ada").await;
    let local = |answer: Answer, wish: &str| {
        let location = answer.expect(302).location().to_owned();
        let to = base.join(&location).expect("an address");
        assert_eq!(to.origin(), base.origin(), "{wish:?} led to {location}");
        assert!(location.starts_with('/'), "{wish:?} led to {location}");
        assert!(!location.starts_with("//"), "{wish:?} led to {location}");
        assert!(!location.contains('\\'), "{wish:?} led to {location}");
        location
    };
    for wish in &hostile {
        let path = format!("/hub/login?next={}", quoted(wish));
        let by_link = local(ada.get(&path).await, wish);
        let (client, token) = fresh(&hub).await;
        let by_form = local(post(&client, &token, &[], wish).await, wish);
        assert_eq!(by_link, by_form, "{wish:?}");
        if !wish.starts_with("/\u{ff0f}") {
            assert_eq!(by_link, "/hub/home", "{wish:?}");
        }
        // And the page that asks first does not carry it on either.
        let page = hub.client().get(&path).await.expect(200).text();
        assert!(
            page.contains("name=\"next\" value=\"\"") || wish.starts_with("/\u{ff0f}"),
            "{wish:?}: {page}"
        );
    }
    for (wish, expect) in [
        ("/hub/token", "/hub/token"),
        (
            "/user/ada/lab?x=1&y=%2F#cell",
            "/user/ada/lab?x=1&y=%2F#cell",
        ),
        (
            "/user/ada/lab/tree/\u{fc}.ipynb",
            "/user/ada/lab/tree/%C3%BC.ipynb",
        ),
        (&format!("http://{own}/hub/token"), "/hub/token"),
    ] {
        let (client, token) = fresh(&hub).await;
        let answer = post(&client, &token, &[], wish).await;
        assert_eq!(local(answer, wish), expect);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_the_wish_stays_text() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let wish = "/hub/home?\"><script>alert(1)</script><img src=x onerror=alert(1)>'";
    let client = hub.client();
    let ada = hub.signed_in("ada").await;
    for path in [
        "/hub/login",
        "/hub/spawn",
        "/hub/spawn-pending/ada",
        "/hub/user/ada/lab",
        "/hub/accept-share",
        "/hub/no-such-page",
    ] {
        for browser in [&client, &ada] {
            let wish = quoted(wish);
            let page = browser
                .get(&format!("{path}?next={wish}&code={wish}"))
                .await;
            let text = page.text();
            assert!(!text.contains("<script>alert"), "{path}: {text}");
            assert!(!text.contains("<img src=x"), "{path}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_log_in_of_somebody_new_makes_one_person() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_account("grace").await;
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let client = hub.client();
            waiting.push(async move { client.log_in("grace", PASSWORD).await });
        }
        for answer in futures_util::future::join_all(waiting).await {
            answer.expect(302);
        }
        let mut tx = hub.hub.db().read().await.expect("a transaction");
        let people = lyceum_hub::db::users::count(&mut tx, "grace").await;
        assert_eq!(people.expect("counted"), 1);
        drop(tx);
        hub.stop().await;
    }
}
