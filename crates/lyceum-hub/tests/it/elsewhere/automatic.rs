//! The log-in page sends browsers to the provider by itself: whom, and whom not.

use crate::sittings::{make, wish};

use super::*;

/// Those of the staff, without being asked which way in they take.
async fn sending(db: &TestDb, provider: &FakeProvider) -> TestHub {
    let hub = offering(db, provider, |config| {
        config.automatic = true;
        config.mapping.allow = Some(in_group("staff"));
    });
    hub.await
}

fn of_the_staff() -> Value {
    json!({"sub": "1", "preferred_username": "ada", "groups": ["staff"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_page_goes_there_by_itself() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        provider.log_in(of_the_staff());
        let hub = sending(&db, &provider).await;
        let ada = hub.client();
        let page = ada.get("/hub/login?next=/hub/token").await.expect(302);
        let out = page.location().to_owned();
        assert_eq!(out, "/hub/oauth_login?next=%2Fhub%2Ftoken");
        let query = go_out(&ada, &provider, &out).await;
        let back = come_back(&ada, &query).await.expect(302);
        assert_eq!(back.location(), "/hub/token");
        assert_eq!(user_of(&ada).await["name"], "ada");
        // An administrator with an account here gets in while the provider is away.
        let root = hub.client();
        let page = root.get("/hub/login?local").await.expect(200).text();
        assert!(page.contains("Log in with University account"));
        assert!(page.contains("type=\"password\""));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_was_refused_is_sent_round() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.log_in(person("2", "eve"));
    let hub = sending(&db, &provider).await;
    let eve = hub.client();
    let query = go_out(&eve, &provider, "/hub/oauth_login").await;
    let page = come_back(&eve, &query).await.expect(403);
    assert!(header(&page, "refresh").is_empty());
    assert!(page.text().contains("Log in with University account"));
    // Nor is a browser that keeps no cookies.
    let query = go_out(&eve, &provider, "/hub/oauth_login").await;
    let page = come_back(&hub.client(), &query).await.expect(403);
    assert!(page.text().contains("Log in with University account"));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_out_stays_out() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.log_in(of_the_staff());
    let hub = sending(&db, &provider).await.with_account("grace").await;
    let (ada, answer) = log_in(&hub, &provider).await;
    answer.expect(302);
    ada.get("/hub/home").await.expect(200);
    let page = ada.post_form("/hub/logout", &[]).await.expect(200);
    assert!(page.text().contains("Log out of University account"));
    // Nobody is sent there by herself at this browser, however often she looks, until somebody has logged in.
    for _ in 0..2 {
        ada.get("/hub/login").await.expect(200);
    }
    // Whoever came by a password finds the page that says she is out, too.
    let grace = hub.client();
    grace.get("/hub/login?local").await.expect(200);
    let typed = [("username", "grace"), ("password", PASSWORD)];
    grace.post_form("/hub/login", &typed).await.expect(302);
    grace.get("/hub/home").await.expect(200);
    let page = grace.post_form("/hub/logout", &[]).await.expect(200);
    assert!(!page.text().contains("Log out of University account"));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_something_there_sees_the_page() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.log_in(of_the_staff());
    let hub = sending(&db, &provider).await;
    hub.client().get("/hub/login").await.expect(302);
    // While there are codes on paper, people have to find where they are typed.
    make(&hub.hub, wish(&hub.hub, "ada, 17")).await;
    let page = hub.client().get("/hub/login").await.expect(200);
    assert!(page.text().contains("/hub/login/seat"));
    hub.stop().await;
}
