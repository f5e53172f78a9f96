//! API tokens: how they are sent, made, limited and taken back.

use lyceum_hub::jobs::token_uses;
use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{Socket, program, start_server};

async fn with(client: &Client, path: &str, authorization: &str) -> u16 {
    client
        .send(
            hyper::Method::GET,
            path,
            &[("authorization", authorization)],
            Default::default(),
        )
        .await
        .status
        .as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_in_one_header_and_two_schemes() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let token = hub.token("ada").await;
    let client = hub.client();
    for scheme in ["token", "Token", "TOKEN", "bearer", "Bearer", "bEaReR"] {
        let status = with(&client, "/hub/api/user", &format!("{scheme} {token}")).await;
        assert_eq!(status, 200, "{scheme}");
    }
    let basic = data(&format!("ada:{token}"));
    let flipped = token.to_ascii_uppercase();
    for bad in [
        format!("Basic {basic}"),
        format!("Digest {token}"),
        token.clone(),
        format!("token{token}"),
        "token".into(),
        "token ".into(),
        format!("token {flipped}"),
        format!("token {token}x"),
        format!("token {}", &token[1..]),
        format!("token {}", "x".repeat(4000)),
        "token ' OR 1=1 --".into(),
    ] {
        for path in ["/hub/api/user", "/hub/api/users/ada", "/hub/api/users"] {
            assert_eq!(with(&client, path, &bad).await, 403, "{bad:.60} {path}");
        }
    }
    client
        .get(&format!("/hub/api/user?token={token}"))
        .await
        .expect(403);
    client.get("/hub/api/user").await.expect(403);
    // A bad token is not made good by a good cookie.
    let ada = hub.signed_in("ada").await;
    assert_eq!(with(&ada, "/hub/api/user", "token nonsense").await, 403);
}

fn data(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_tells_its_model_and_its_secret_once() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let made = ada
            .post_json(
                "/hub/api/users/ada/tokens",
                &json!({ "note": "for\u{0} tests\n", "expires_in": 3600 }),
            )
            .await
            .expect(201)
            .json();
        let secret = made["token"].as_str().expect("a secret").to_owned();
        let id = made["id"].as_str().expect("an id").to_owned();
        assert!(id.starts_with('a'));
        assert_eq!(made["kind"], "api_token");
        assert_eq!(made["user"], "ada");
        assert_eq!(made["note"], "for tests");
        assert_eq!(made["roles"], json!([]));
        assert_eq!(made["session_id"], Value::Null);
        assert!(made["expires_at"].as_str().expect("a time").ends_with('Z'));
        let scopes: Vec<&str> = made["scopes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(scopes.contains(&"read:users:name!user=ada"), "{scopes:?}");
        assert!(scopes.contains(&"access:servers!user=ada"), "{scopes:?}");
        assert!(!scopes.contains(&"inherit"), "{scopes:?}");
        let path = format!("/hub/api/users/ada/tokens/{id}");
        let mut read = ada.get(&path).await.expect(200).json();
        assert!(read.get("token").is_none());
        read["token"] = secret.clone().into();
        assert_eq!(read, made);

        let who = hub.client().with_token(&secret);
        let who = who.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["token_id"].as_str(), Some(id.as_str()));
        assert_eq!(who["session_id"], Value::Null);
        assert_eq!(who["name"], "ada");
        assert_eq!(who["servers"], json!({}));
        ada.delete(&path).await.expect(204);
        ada.get(&path).await.expect(404);
        ada.delete(&path).await.expect(404);
        let used = hub.client().with_token(&secret);
        used.get("/hub/api/user").await.expect(403);
        // An id that no database can hold is an id that isn't there.
        for odd in ["%00", "%F0%9F%92%A9", "a%27--"] {
            let answer = ada.get(&format!("/hub/api/users/ada/tokens/{odd}")).await;
            assert!(
                matches!(answer.status.as_u16(), 400 | 404),
                "{odd}: {}",
                answer.text()
            );
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_token_for_more_than_she_holds() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await
        .with_admin("root")
        .await;
    let ada = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/tokens";
    let many = vec!["read:users!user"; 201];
    for (wish, status) in [
        (json!({ "scopes": ["read:users!user"] }), 201),
        (json!({ "scopes": ["read:users!user=ada"] }), 201),
        (json!({ "scopes": ["inherit"] }), 201),
        (json!({ "scopes": [] }), 201),
        (json!({ "roles": ["token"] }), 201),
        (json!({}), 201),
        (json!({ "scopes": ["read:users"] }), 400),
        (json!({ "scopes": ["read:users!user=eve"] }), 400),
        (json!({ "scopes": ["admin:users"] }), 400),
        (json!({ "scopes": ["access:servers"] }), 400),
        (json!({ "scopes": ["access:servers!server=eve/"] }), 400),
        (json!({ "scopes": ["no:such:scope"] }), 400),
        (json!({ "scopes": [""] }), 400),
        (json!({ "scopes": many }), 400),
        (json!({ "scopes": "inherit" }), 400),
        (json!({ "roles": ["admin"] }), 400),
        (json!({ "roles": ["token"], "scopes": ["inherit"] }), 400),
        (json!({ "expires_in": -1 }), 400),
        (json!({ "expires_in": "soon" }), 400),
        (json!({ "expires_in": i64::MAX }), 201),
        (json!({ "expires_in": 1.5 }), 400),
        (json!({ "roles": ["user"] }), 201),
        (json!({ "roles": [] }), 201),
        (json!({ "roles": [], "scopes": [] }), 400),
        (json!({ "roles": ["pilot"] }), 400),
        (json!({ "note": 5 }), 400),
        (json!([]), 201),
        (json!(["note"]), 400),
    ] {
        let answer = ada.post_json(path, &wish).await;
        assert_eq!(answer.status.as_u16(), status, "{wish}: {}", answer.text());
        if status == 400 {
            let message = answer.json()["message"].clone();
            assert!(message.as_str().is_some_and(|m| !m.is_empty()), "{wish}");
        }
    }
    let everybody = json!({});
    ada.post_json("/hub/api/users/eve/tokens", &everybody)
        .await
        .expect(403);
    ada.post_json("/hub/api/users/nobody/tokens", &everybody)
        .await
        .expect(403);
    // An administrator makes tokens for others, no stronger than their owners.
    let root = program(&hub, "root").await;
    let made = root.post_json(path, &everybody).await.expect(201).json();
    let secret = made["token"].as_str().expect("a secret");
    let who = hub.client().with_token(secret);
    let who = who.get("/hub/api/user").await.expect(200).json();
    assert_eq!(
        (who["name"].as_str(), who["admin"].as_bool()),
        (Some("ada"), Some(false))
    );
    root.post_json(path, &json!({ "scopes": ["read:metrics"] }))
        .await
        .expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_token_can_not_make_a_strong_one() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let root = program(&hub, "root").await;
    let path = "/hub/api/users/root/tokens";
    let weak = root
        .post_json(path, &json!({ "scopes": ["tokens!user=root"] }))
        .await
        .expect(201)
        .json();
    let weak = hub
        .client()
        .with_token(weak["token"].as_str().expect("a secret"));
    weak.get(path).await.expect(200);
    weak.post_json(path, &json!({ "scopes": ["tokens!user"] }))
        .await
        .expect(201);
    for wish in [
        json!({}),
        json!({ "scopes": ["inherit"] }),
        json!({ "scopes": ["admin:users"] }),
        json!({ "scopes": ["access:servers!user"] }),
    ] {
        weak.post_json(path, &wish).await.expect(400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_its_time_is_up() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(1_800_000_000_000));
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone())
        .await
        .with_user("ada")
        .await;
    let ada = program(&hub, "ada").await;
    let made = ada
        .post_json("/hub/api/users/ada/tokens", &json!({ "expires_in": 60 }))
        .await
        .expect(201)
        .json();
    assert_eq!(made["expires_at"], "2027-01-15T08:01:00.000000Z");
    let id = made["id"].as_str().expect("an id");
    let short = hub
        .client()
        .with_token(made["token"].as_str().expect("a secret"));
    clock.advance(59_999);
    short.get("/hub/api/user").await.expect(200);
    clock.advance(1);
    short.get("/hub/api/user").await.expect(403);
    ada.get(&format!("/hub/api/users/ada/tokens/{id}"))
        .await
        .expect(404);
    let left = ada
        .get("/hub/api/users/ada/tokens")
        .await
        .expect(200)
        .json();
    assert_eq!(left["api_tokens"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_name_and_a_password() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let stranger = hub.client();
    let auth =
        |name: &str, password: &str| json!({ "auth": { "username": name, "password": password } });
    let made = stranger
        .post_json("/hub/api/users/ada/tokens", &auth("ada", PASSWORD))
        .await
        .expect(201)
        .json();
    let ada = hub
        .client()
        .with_token(made["token"].as_str().expect("a secret"));
    ada.get("/hub/api/user").await.expect(200);
    let mut said = Vec::new();
    for (user, wish) in [
        ("ada", auth("ada", "wrong")),
        ("ada", auth("nobody", "wrong")),
        ("ada", auth("eve", PASSWORD)),
        ("nobody", auth("eve", PASSWORD)),
        ("NOT%20A%20NAME", auth("eve", PASSWORD)),
        ("ada", json!({})),
    ] {
        let path = format!("/hub/api/users/{user}/tokens");
        said.push(stranger.post_json(&path, &wish).await.expect(403).text());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // Guessing here is slowed down as it is on the page.
    let mut slowed = false;
    for _ in 0..12 {
        let answer = stranger
            .post_json("/hub/api/users/ada/tokens", &auth("ada", "a guess"))
            .await;
        if answer.status.as_u16() == 429 {
            assert!(answer.headers.contains_key("retry-after"));
            slowed = true;
            break;
        }
        assert_eq!(answer.status.as_u16(), 403);
    }
    assert!(slowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_one_oauth_token_back_takes_all_of_that_client() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let browsers = [hub.signed_in("ada").await, hub.signed_in("ada").await];
        let mut held = Vec::new();
        for browser in &browsers {
            let token = super::oauth_token(&hub, browser, &env).await;
            held.push(hub.client().with_token(&token));
        }
        let ada = program(&hub, "ada").await;
        let list = ada
            .get("/hub/api/users/ada/tokens")
            .await
            .expect(200)
            .json();
        let all = list["api_tokens"].as_array().expect("a list");
        let of_client = |token: &&Value| token["oauth_client"] != "JupyterHub";
        let oauth: Vec<&Value> = all.iter().filter(of_client).collect();
        assert_eq!(oauth.len(), 2);
        assert_eq!(oauth[0]["oauth_client"], "jupyterhub-user-ada");
        let id = oauth[0]["id"].as_str().expect("an id");
        ada.delete(&format!("/hub/api/users/ada/tokens/{id}"))
            .await
            .expect(204);
        for program in &held {
            program.get("/hub/api/user").await.expect(403);
        }
        // The server itself and her own tokens stay.
        ada.get("/hub/api/user").await.expect(200);
        let server = hub.client().with_token(env.api_token.expose());
        server.get("/hub/api/user").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_known_when_a_token_was_last_used() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let made = ada
            .post_json("/hub/api/users/ada/tokens", &json!({ "note": "used" }))
            .await
            .expect(201)
            .json();
        let path = format!(
            "/hub/api/users/ada/tokens/{}",
            made["id"].as_str().expect("an id")
        );
        assert_eq!(ada.get(&path).await.json()["last_activity"], Value::Null);
        let used = hub
            .client()
            .with_token(made["token"].as_str().expect("a secret"));
        let before = hub.hub.now().to_iso();
        used.get("/hub/api/user").await.expect(200);
        token_uses::flush(&hub.hub).await.expect("written");
        let first = ada.get(&path).await.expect(200).json();
        let first = first["last_activity"].as_str().expect("a time").to_owned();
        assert!(first >= before, "{first} {before}");
        used.get("/hub/api/user").await.expect(200);
        // What is noted at the end of a life is not lost.
        let reader = db.another().await;
        let id = made["id"].as_str().expect("an id").to_owned();
        hub.stop().await;
        let mut tx = reader.read().await.expect("a transaction");
        let owner = lyceum_model::name::UserName::parse("ada").expect("a good name");
        let owner = lyceum_hub::db::users::find(&mut tx, &owner)
            .await
            .expect("read")
            .expect("there");
        let row = lyceum_hub::db::tokens::find(&mut tx, &owner.id, &id, 0)
            .await
            .expect("read")
            .expect("there");
        let last = Millis(row.last_used_at.expect("used")).to_iso();
        assert!(last > first, "{last} {first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_taken_back_ends_what_it_opened() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let own = hub.token("ada").await;
        let script = hub.client().with_token(&own);
        let mut others = [
            Socket::by_cookie(&hub, &ada).await,
            Socket::by_token(&hub, &own).await,
        ];
        for by_page in [false, true] {
            let made = script
                .post_json("/hub/api/users/ada/tokens", &json!({ "note": "mine" }))
                .await
                .expect(201)
                .json();
            let token = made["token"].as_str().expect("a token");
            let id = made["id"].as_str().expect("an id");
            let program = hub.client().with_token(token);
            program.get("/user/ada/lab").await.expect(200);
            let mut socket = Socket::by_token(&hub, token).await;
            if by_page {
                let taken = ada.post_form("/hub/token/revoke", &[("id", id)]).await;
                taken.expect(302);
            } else {
                let path = format!("/hub/api/users/ada/tokens/{id}");
                script.delete(&path).await.expect(204);
            }
            // What the proxy remembered would be good for half a minute.
            program.get("/user/ada/lab").await.expect(403);
            socket.assert_ends().await;
            for other in &mut others {
                other.assert_open().await;
            }
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_in_the_order_of_their_use() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone())
            .await
            .with_user("ada")
            .await
            .with_admin("root")
            .await;
        let root = program(&hub, "root").await;
        let path = "/hub/api/users/ada/tokens";
        let mut made = Vec::new();
        for wish in [
            json!({ "note": "first" }),
            json!({ "note": "second" }),
            json!({}),
        ] {
            clock.advance(1_000);
            made.push(root.post_json(path, &wish).await.expect(201).json());
        }
        let notes = async || {
            let list = root.get(path).await.expect(200).json();
            let list = list["api_tokens"].as_array().expect("a list").clone();
            list.iter()
                .map(|one| one["note"].as_str().expect("a note").to_owned())
                .collect::<Vec<_>>()
        };
        let others = "Requested via api by user root";
        assert_eq!(notes().await, ["first", "second", others]);
        clock.advance(1_000);
        let first = hub
            .client()
            .with_token(made[0]["token"].as_str().expect("a secret"));
        let own = first.post_json(path, &json!({})).await.expect(201).json();
        assert_eq!(own["note"], "Requested via api");
        clock.advance(1_000);
        first.get("/hub/api/user").await.expect(200);
        token_uses::flush(&hub.hub).await.expect("written");
        assert_eq!(
            notes().await,
            ["second", others, "Requested via api", "first"]
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_uses_a_token_was_there_but_a_server_is_not_its_owner() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_user("ada")
            .await
            .with_user("ben")
            .await
            .with_admin("root")
            .await;
        let root = program(&hub, "root").await;
        let last = async |name: &str| {
            let model = root
                .get(&format!("/hub/api/users/{name}"))
                .await
                .expect(200)
                .json();
            model["last_activity"].clone()
        };
        root.post_json("/hub/api/users/ben/server", &json!({}))
            .await
            .expect(201);
        let orders = hub.spawner.orders();
        let server = hub.client().with_token(orders[0].hub.api_token.expose());
        server.get("/hub/api/user").await.expect(200);
        let ada = program(&hub, "ada").await;
        ada.get("/hub/api/user").await.expect(200);
        assert_eq!(last("ada").await, Value::Null);
        token_uses::flush(&hub.hub).await.expect("written");
        assert!(last("ada").await.is_string());
        assert_eq!(last("ben").await, Value::Null);
        hub.stop().await;
    }
}

/// The list is whole because there can't be more than somebody could read.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_a_thousand_are_kept_and_all_are_listed() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/tokens";
        let first = ada.get(path).await.expect(200).json()["api_tokens"].clone();
        let there = first.as_array().expect("a list").len();
        plant(&hub, there..1000).await;
        let listed = ada.get(path).await.expect(200).json()["api_tokens"].clone();
        assert_eq!(listed.as_array().expect("a list").len(), 1000);
        let full = ada.post_json(path, &json!({})).await.expect(400).json();
        let said = full["message"].as_str().expect("words");
        assert!(said.contains("has 1,000 tokens already"), "{said}");
        // The page says the same, and shows them in pieces that can be searched.
        let browser = hub.signed_in("ada").await;
        let form = [("note", "one more"), ("expires_in", "3600")];
        let page = browser.post_form("/hub/token/new", &form).await.expect(400);
        assert!(page.text().contains("has 1,000 tokens already"));
        let page = browser.get("/hub/token").await.expect(200).text();
        assert_eq!(page.matches("planted ").count(), 2 * 50, "{page}");
        assert!(page.contains("/hub/token?offset=50"), "{page}");
        let found = browser.get("/hub/token?q=planted+99").await.expect(200);
        let expect = (there..1000).filter(|number| number.to_string().starts_with("99"));
        let expect = 2 * expect.count();
        assert_eq!(found.text().matches("planted ").count() - 1, expect);
        // Whoever takes one back can make one.
        let id = listed[500]["id"].as_str().expect("an id");
        ada.delete(&format!("{path}/{id}")).await.expect(204);
        ada.post_json(path, &json!({})).await.expect(201);
        ada.post_json(path, &json!({})).await.expect(400);
        hub.stop().await;
    }
}

/// Tokens of Ada's with these numbers.
async fn plant(hub: &TestHub, numbers: std::ops::Range<usize>) {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
    let ada = lyceum_model::name::UserName::parse("ada").expect("a name");
    let ada = lyceum_hub::db::users::find(&mut tx, &ada).await;
    let ada = ada.expect("read").expect("Ada");
    for number in numbers {
        let new = lyceum_hub::tokens::NewToken {
            note: format!("planted {number}"),
            ..Default::default()
        };
        let made = lyceum_hub::tokens::issue(&mut tx, &ada, new, hub.hub.now()).await;
        made.expect("made");
    }
    tx.commit().await.expect("committed");
}

/// A program that asks again and again loses those that nobody used for longest, at once and everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn of_one_program_those_used_last_stay() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let first = of_program(&hub, 0..200).await;
        let client = hub.client();
        let status = async |secret: &str| {
            let authorization = format!("token {secret}");
            with(&client, "/hub/api/user", &authorization).await
        };
        // The oldest is in use, the next has a connection that nothing goes over.
        let mut idle = Socket::by_token(&hub, &first[1]).await;
        assert_eq!(status(&first[0]).await, 200);
        token_uses::flush(&hub.hub).await.expect("written");
        forget_use(&hub, &first[1]).await;
        let more = of_program(&hub, 200..202).await;
        lyceum_hub::proxy::pass_on(&hub.hub).await;
        idle.assert_ends().await;
        for (number, secret) in first.iter().chain(&more).enumerate() {
            let expect = if matches!(number, 1 | 2) { 403 } else { 200 };
            assert_eq!(status(secret).await, expect, "{number}");
        }
        hub.stop().await;
    }
}

/// As if it had not been used.
async fn forget_use(hub: &TestHub, secret: &str) {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
    let hash = lyceum_hub::tokens::hash(secret);
    lyceum_store::on!(&mut tx, |c| sqlx::query(
        "UPDATE tokens SET last_used_at = NULL WHERE hash = $1"
    )
    .bind(&hash)
    .execute(c)
    .await
    .map(|_| ()))
    .expect("written");
    tx.commit().await.expect("committed");
}

/// Tokens of Ada's that a program came by, each a moment later than the one before.
async fn of_program(hub: &TestHub, numbers: std::ops::Range<i64>) -> Vec<String> {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
    let ada = lyceum_model::name::UserName::parse("ada").expect("a name");
    let ada = lyceum_hub::db::users::find(&mut tx, &ada).await;
    let ada = ada.expect("read").expect("Ada");
    let mut secrets = Vec::new();
    for number in numbers {
        let new = lyceum_hub::tokens::NewToken {
            scopes: vec!["access:servers!server=ada/".into()],
            ..Default::default()
        };
        let now = Millis(hub.hub.now().0 + number);
        let made =
            lyceum_hub::tokens::issue_to_client(&mut tx, &ada, "jupyterhub-user-ada", new, now)
                .await;
        secrets.push(made.expect("made").1);
    }
    tx.commit().await.expect("committed");
    secrets
}
