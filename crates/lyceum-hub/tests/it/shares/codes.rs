//! Codes: made, accepted, taken back.

use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::{ACCESS, CODES, accept, code, grants, held, number, opens, sharing};
use crate::grants::fields;
use crate::kit::{assert_german, in_german, post_plain, program, start_server};

const DAY_MS: i64 = 86_400_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_changed_for_a_share() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let made = ada.post_json(CODES, &json!({})).await.expect(200).json();
        assert_eq!(
            fields(&made),
            [
                "accept_url",
                "code",
                "created_at",
                "exchange_count",
                "expires_at",
                "full_accept_url",
                "id",
                "last_exchanged_at",
                "scopes",
                "server"
            ]
        );
        let secret = made["code"].as_str().expect("a code");
        assert_eq!(made["scopes"], json!([ACCESS]));
        assert!(made["id"].as_str().expect("an id").starts_with("sc_"));
        let url = made["accept_url"].as_str().expect("a path");
        assert_eq!(url, format!("/hub/accept-share?code={secret}"));
        let at =
            |field: &str| Millis::from_iso(made[field].as_str().expect("a time")).expect("a time");
        assert_eq!(at("expires_at").since(at("created_at")), DAY_MS);
        let kept: Vec<(String,)> = {
            let mut tx = hub.hub.db().read().await.expect("a transaction");
            lyceum_store::on!(&mut tx, |c| sqlx::query_as("SELECT hash FROM share_codes")
                .fetch_all(c)
                .await)
            .expect("rows")
        };
        assert!(kept.len() == 1 && !kept[0].0.contains(secret));

        let browser = hub.signed_in("ben").await;
        let page = browser.get(url).await.expect(200).text();
        assert!(page.contains("ada") && page.contains(&format!("value=\"{secret}\"")));
        assert!(held(&ben).await.is_empty(), "looking at it gives nothing");
        // Without the page's form token it is somebody else's doing.
        let forged = post_plain(&browser, "/hub/accept-share", &[("code", secret)]).await;
        forged.expect(403);
        assert!(held(&ben).await.is_empty());
        for _ in 0..2 {
            let done = accept(&browser, secret).await.expect(302);
            assert_eq!(done.location(), "/hub/home", "one host for all");
        }
        assert_eq!(opens(&ben).await, 200);
        assert_eq!(number(&hub, "SELECT COUNT(*) FROM shares").await, 1);
        let list = ada.get(CODES).await.expect(200).json();
        assert_eq!(list["items"][0]["exchange_count"], 2);
        assert!(list["items"][0]["last_exchanged_at"].is_string());
        assert!(list["items"][0].get("code").is_none());
        let home = browser.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Shared with me"), "{home}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_end() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(1_800_000_000_000));
        let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
            grants(&mut settings.grants);
        };
        let spawner = FakeSpawner::default();
        let begun = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), tune);
        let hub = begun.await.with_user("ada").await.with_user("ben").await;
        start_server(&hub, "ada").await;
        let ada = program(&hub, "ada").await;
        let browser = hub.signed_in("ben").await;
        for (life, expect) in [
            (json!(59), 400),
            (json!(60), 200),
            (json!("3600"), 200),
            (json!(365 * 86_400), 200),
            (json!(365 * 86_400 + 1), 400),
            (json!(-1), 400),
            (json!(90.5), 400),
            (json!(null), 400),
            (json!([]), 400),
        ] {
            let answer = ada.post_json(CODES, &json!({ "expires_in": life })).await;
            assert_eq!(answer.status, expect, "{life}");
        }
        ada.delete(CODES).await.expect(204);
        let short = json!({ "expires_in": 60 });
        let short = ada.post_json(CODES, &short).await.expect(200).json();
        let (short, path) = (
            short["code"].as_str().expect("a code"),
            short["accept_url"].as_str().expect("a path"),
        );
        clock.advance(59_999);
        browser.get(path).await.expect(200);
        clock.advance(1);
        browser.get(path).await.expect(404);
        accept(&browser, short).await.expect(400);
        let list = ada.get(CODES).await.expect(200).json();
        assert_eq!(
            (&list["items"], &list["_pagination"]["total"]),
            (&json!([]), &json!(0))
        );
        // Taken back by the code, by its id, and all together.
        let (first, second, third) = (code(&ada).await, code(&ada).await, code(&ada).await);
        ada.delete(&format!("{CODES}?code={}", first.0))
            .await
            .expect(204);
        ada.delete(&format!("{CODES}?code={}", first.0))
            .await
            .expect(404);
        ada.delete(&format!("{CODES}?id={}", second.1))
            .await
            .expect(204);
        ada.delete(&format!("{CODES}?id={}", second.1))
            .await
            .expect(404);
        ada.delete(&format!("{CODES}?id=nonsense"))
            .await
            .expect(404);
        browser
            .get(&format!("/hub/accept-share?code={}", third.0))
            .await
            .expect(200);
        ada.delete(CODES).await.expect(204);
        for (code, _) in [&first, &second, &third] {
            accept(&browser, code).await.expect(400);
        }
        assert_eq!(number(&hub, "SELECT COUNT(*) FROM shares").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_lead_nowhere() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let ada = program(&hub, "ada").await;
        let (of_ben, of_ada) = (hub.signed_in("ben").await, hub.signed_in("ada").await);
        let (good, _) = code(&ada).await;
        let path = |code: &str| format!("/hub/accept-share?code={code}");
        // Her own, nobody's, none, and one of a server that is gone.
        of_ada.get(&path(&good)).await.expect(403);
        accept(&of_ada, &good).await.expect(400);
        of_ben.get("/hub/accept-share").await.expect(400);
        of_ben.get(&path("")).await.expect(404);
        of_ben.get(&path(&"x".repeat(5_000))).await.expect(404);
        let one = "/hub/api/users/ada/servers/one";
        let body = json!({});
        let put = crate::kit::send_json(&ada, hyper::Method::PUT, one, &body);
        put.await.expect(201);
        let lost = ada
            .post_json("/hub/api/share-codes/ada/one", &json!({}))
            .await;
        let lost = lost.expect(200).json();
        let lost = lost["code"].as_str().expect("a code");
        of_ben.get(&path(lost)).await.expect(200);
        let body = json!({ "remove": true }).to_string();
        let json = [("content-type", "application/json")];
        let one = "/hub/api/users/ada/servers/one";
        ada.send(hyper::Method::DELETE, one, &json, body.into())
            .await
            .expect(204);
        of_ben.get(&path(lost)).await.expect(404);
        accept(&of_ben, lost).await.expect(400);
        // A program is no browser, and nobody is nobody.
        let program = program(&hub, "ben").await;
        post_plain(&program, "/hub/accept-share", &[("code", &good)])
            .await
            .expect(403);
        let stranger = hub.client();
        let sent = stranger.get(&path(&good)).await.expect(302);
        assert!(sent.location().starts_with("/hub/login?next="));
        post_plain(&stranger, "/hub/accept-share", &[("code", &good)])
            .await
            .expect(403);
        // Where one is sent on to is on this site.
        of_ben.get("/hub/home").await.expect(200);
        for (next, expect) in [
            ("https://evil.example/", "/hub/home"),
            ("//evil.example", "/hub/home"),
            ("/hub/token", "/hub/token"),
        ] {
            let fields = [("code", &*good), ("next", next)];
            let sent = of_ben
                .post_form("/hub/accept-share", &fields)
                .await
                .expect(302);
            assert_eq!(sent.location(), expect, "{next}");
        }
        // Who made it may share no longer.
        crate::grants::reload(&hub, |grants| {
            grants.roles.remove("sharer");
        })
        .await;
        of_ben.get(&path(&good)).await.expect(404);
        accept(&of_ben, &good).await.expect(400);
        assert!(held(&program).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down() {
    let db = TestDb::sqlite().await;
    let hub = sharing(&db).await;
    let ada = program(&hub, "ada").await;
    let (good, _) = code(&ada).await;
    let ben = hub.signed_in("ben").await;
    let mut statuses = Vec::new();
    for number in 0..40 {
        let path = format!("/hub/accept-share?code=guess{number}");
        statuses.push(ben.get(&path).await.status.as_u16());
    }
    assert_eq!((statuses[0], statuses[39]), (404, 429), "{statuses:?}");
    let path = format!("/hub/accept-share?code={good}");
    ben.get(&path).await.expect(429);
    // Nobody else is.
    hub.signed_in("tess").await.get(&path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_exchanges_and_a_revocation_at_once() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let (one, two) = (hub.signed_in("ben").await, hub.signed_in("ben").await);
        let (secret, _) = code(&ada).await;
        let (first, second) = tokio::join!(accept(&one, &secret), accept(&two, &secret));
        first.expect(302);
        second.expect(302);
        assert_eq!(number(&hub, "SELECT COUNT(*) FROM shares").await, 1);
        let uses = number(&hub, "SELECT exchange_count FROM share_codes").await;
        assert_eq!(uses, 2);
        let owner = hub.signed_in("ada").await;
        for round in 0..8 {
            let (secret, _) = code(&ada).await;
            owner.get("/hub/sharing").await.expect(200);
            let all = [("server", "")];
            let (_, _, gone) = tokio::join!(
                accept(&one, &secret),
                accept(&two, &secret),
                owner.post_form("/hub/sharing/revoke-all", &all),
            );
            gone.expect(302);
            assert!(held(&ben).await.is_empty(), "round {round}");
            assert_eq!(number(&hub, "SELECT COUNT(*) FROM shares").await, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_speak_german() {
    let db = TestDb::sqlite().await;
    let hub = sharing(&db).await;
    let ada = program(&hub, "ada").await;
    let (secret, _) = code(&ada).await;
    let ben = in_german(hub.signed_in("ben").await);
    let page = ben.get(&format!("/hub/accept-share?code={secret}")).await;
    assert_german(&page.expect(200).text());
    assert_german(&ben.get("/hub/accept-share?code=x").await.expect(404).text());
    assert_german(&ben.get("/hub/accept-share").await.expect(400).text());
    accept(&ben, &secret).await.expect(302);
    assert_german(&ben.get("/hub/home").await.expect(200).text());
    let ada = in_german(hub.signed_in("ada").await);
    assert_german(&ada.get("/hub/sharing").await.expect(200).text());
    assert_german(&ben.get("/hub/sharing").await.expect(200).text());
    let own = ada.get(&format!("/hub/accept-share?code={secret}")).await;
    assert_german(&own.expect(403).text());
}
