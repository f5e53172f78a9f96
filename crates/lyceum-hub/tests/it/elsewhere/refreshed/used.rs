//! Whose session is asked about when: those who are here in whatever way, and whoever comes back.

use hyper::Method;
use lyceum_proxy::{Access, Ask, Credential, Decision};

use super::*;

/// Longer than a session is due to be late, and shorter than those that nobody uses wait.
const LATE_MS: i64 = 40 * 60_000;

/// Nobody asks at once about a browser that is not used; when it is used again, it is asked before it goes
/// on.
#[tokio::test(flavor = "multi_thread")]
async fn an_unused_session_is_looked_at_when_it_is_used_again() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        let eve = comes(&hub, &provider, person("2", "eve")).await;
        // They were in use until the first time.
        clock.advance(DUE_MS);
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 2);
        clock.advance(LATE_MS);
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 2);
        provider.disable("1");
        // Several requests at once wait for one answer.
        let three = (0..3).map(|_| is_out(&ada));
        let three = futures_util::future::join_all(three).await;
        assert_eq!(three, [true; 3]);
        assert_eq!(provider.times_refreshed(), 3);
        assert!(!is_out(&eve).await);
        assert!(!is_out(&eve).await);
        assert_eq!(provider.times_refreshed(), 4);
        // Now and then all the same.
        clock.advance(2 * 3_600_000);
        provider.disable("2");
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 5);
        assert!(is_out(&eve).await);
        hub.stop().await;
    }
}

/// An open connection to a server, or a token of her own: her browser's session does not see them.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_here_in_another_way_is_asked_about() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        let _eve = comes(&hub, &provider, person("2", "eve")).await;
        clock.advance(DUE_MS);
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 2);
        clock.advance(DUE_MS);
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 2);
        let mut tx = hub.hub.db().write().await.expect("a database");
        let name = UserName::parse("ada").expect("a name");
        let row = db::users::find(&mut tx, &name).await.expect("read");
        let now = hub.hub.now();
        db::users::touch(&mut tx, &row.expect("there").id, now)
            .await
            .expect("written");
        tx.commit().await.expect("kept");
        provider.disable("1").disable("2");
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 3);
        assert!(is_out(&ada).await);
        hub.stop().await;
    }
}

/// A provider that is slow keeps nobody from her page for long, nor out.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_slow_provider_for_long() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    provider.give_refresh_tokens(true);
    let hub = offering_tuned(&db, &provider, &clock, impatient, |_| {}).await;
    let ada = comes(&hub, &provider, person("1", "ada")).await;
    clock.advance(LATE_MS);
    provider.hold(true);
    let goes_on = tokio::time::timeout(LONG, is_out(&ada)).await;
    assert!(!goes_on.expect("she goes on"));
    provider.disable("1");
    provider.hold(false);
    // What it says counts as soon as it is there.
    let out = async {
        while !is_out(&ada).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, out).await.expect("she is out");
    assert_eq!(provider.times_refreshed(), 1);
    hub.stop().await;
}

/// However many come back at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_asked_about_before_a_page_than_in_a_round() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    provider.give_refresh_tokens(true);
    let hub = offering_tuned(&db, &provider, &clock, impatient, |_| {}).await;
    let mut all = Vec::new();
    for number in 0..20 {
        let (sub, name) = (number.to_string(), format!("user{number}"));
        all.push(comes(&hub, &provider, person(&sub, &name)).await);
    }
    clock.advance(LATE_MS);
    provider.hold(true);
    for client in &all {
        assert!(!is_out(client).await);
    }
    meanwhile::until_asked(&provider, 16).await;
    for client in &all {
        assert!(!is_out(client).await);
    }
    assert_eq!(provider.times_refreshed(), 16);
    provider.hold(false);
    hub.stop().await;
}

/// The proxy would take a hub that waits for one that is away.
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_is_answered_at_once_and_asks_again_soon() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        let route_id = crate::proxies::make_ready(&hub, "ada", "", "http://127.0.0.1:9").await;
        let cookie = ada.cookie(lyceum_web::cookie::ACCESS).expect("a cookie");
        let ask = Ask {
            route_id,
            prefix: String::new(),
            owner: String::new(),
            credential: Credential::AccessCookie(cookie),
            method: Method::GET,
            is_websocket: false,
        };
        let keeps = async || {
            let said = tokio::time::timeout(LONG / 2, hub.hub.check(&ask)).await;
            match said.expect("it does not wait") {
                Decision::Allow { for_how_long, .. } => Some(for_how_long),
                _ => None,
            }
        };
        let usual = keeps().await.expect("she may");
        clock.advance(LATE_MS);
        provider.hold(true);
        let unsure = keeps().await.expect("she may for now");
        assert!(unsure <= Duration::from_secs(3) && unsure < usual);
        meanwhile::until_asked(&provider, 1).await;
        assert_eq!(keeps().await, Some(unsure));
        assert_eq!(provider.times_refreshed(), 1);
        provider.disable("1");
        provider.hold(false);
        let out = async {
            while keeps().await.is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, out).await.expect("she is out");
        hub.stop().await;
    }
}
