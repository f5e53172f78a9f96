//! The page of one's own sessions.

use lyceum_hub::db::sessions::{self, Session};
use lyceum_hub::jobs::token_uses;
use lyceum_model::clock::Clock;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::cookie;

use crate::kit::{Socket, post_plain, program, start_server};

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_from_another_browser_and_only_by_its_owner() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_user("ada")
            .await
            .with_user("eve")
            .await;
        start_server(&hub, "ada").await;
        let here = hub.signed_in("ada").await;
        let there = hub.client().with_header("user-agent", AGENT);
        there
            .log_in("ada", lyceum_testkit::hub::PASSWORD)
            .await
            .expect(302);
        let eve = hub.signed_in("eve").await;
        let seen = here.get("/hub/sessions").await.expect(200).text();
        assert!(seen.contains("Firefox 145, Linux"), "{seen}");
        assert_eq!(seen.matches("this one").count(), 1, "{seen}");
        assert!(seen.contains("Log out 1 other session"), "{seen}");
        let id = there.cookie(cookie::SESSION_ID).expect("a session");
        let mut socket = Socket::by_cookie(&hub, &there).await;
        let mut own = Socket::by_cookie(&hub, &here).await;
        eve.post_form("/hub/sessions/end", &[("id", &id)])
            .await
            .expect(302);
        eve.post_form("/hub/sessions/end-others", &[("id", &id)])
            .await
            .expect(302);
        socket.assert_open().await;
        here.post_form("/hub/sessions/end", &[("id", &id)])
            .await
            .expect(302);
        socket.assert_ends().await;
        there.get("/hub/home").await.expect(302);
        own.assert_open().await;
        let seen = here.get("/hub/sessions").await.expect(200).text();
        assert!(!seen.contains("other session"), "{seen}");
        for odd in ["", "\0", "a'--", &"x".repeat(5000)] {
            let answer = here.post_form("/hub/sessions/end", &[("id", odd)]).await;
            assert!(matches!(answer.status.as_u16(), 302 | 400), "{odd:?}");
        }
        own.assert_open().await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_others_end_at_once_and_this_one_goes_on() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let here = hub.signed_in("ada").await;
        let mut own = Socket::by_cookie(&hub, &here).await;
        // More than are announced at a time.
        let mut others = Vec::new();
        for _ in 0..34 {
            others.push(hub.signed_in("ada").await);
        }
        let mut socket = Socket::by_cookie(&hub, &others[33]).await;
        here.post_form("/hub/sessions/end-others", &[])
            .await
            .expect(302);
        socket.assert_ends().await;
        for other in &others {
            other.get("/hub/home").await.expect(302);
        }
        here.get("/hub/home").await.expect(200);
        own.assert_open().await;
        // A token of hers is no way to these forms.
        let program = program(&hub, "ada").await;
        for path in ["/hub/sessions/end", "/hub/sessions/end-others"] {
            post_plain(&program, path, &[("id", "x")]).await.expect(403);
        }
        hub.stop().await;
    }
}

/// A script that logs in again and again pushes out what nobody uses, and the page shows all there are.
/// To work in a server is use, whether a page of the hub is looked at or not.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_are_kept_at_a_time() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |_, _| {}).await;
        let hub = hub.with_user("ada").await;
        start_server(&hub, "ada").await;
        let (working, forgotten) = (hub.signed_in("ada").await, hub.signed_in("ada").await);
        let mut socket = Socket::by_cookie(&hub, &forgotten).await;
        clock.advance(1_800_000);
        plant(&hub, 198).await;
        clock.advance(1_800_000);
        working.get("/user/ada/api").await.expect(200);
        token_uses::flush(&hub.hub).await.expect("written");
        let here = hub.signed_in("ada").await;
        socket.assert_ends().await;
        forgotten.get("/hub/home").await.expect(302);
        working.get("/hub/home").await.expect(200);
        let page = here.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("Log out 199 other sessions"), "{page}");
        hub.stop().await;
    }
}

/// Sessions of Ada's that were seen now.
async fn plant(hub: &TestHub, many: usize) {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
    let ada = lyceum_model::name::UserName::parse("ada").expect("a name");
    let ada = lyceum_hub::db::users::find(&mut tx, &ada).await;
    let ada = ada.expect("read").expect("Ada");
    let now = hub.hub.now();
    for number in 0..many {
        let session = Session {
            id: format!("planted-{number}"),
            cookie_hash: format!("cookie {number}"),
            access_hash: format!("access {number}"),
            user_id: ada.id.clone(),
            created_at: now.0,
            seen_at: now.0,
            expires_at: now.plus(86_400_000).0,
            address: None,
            agent: None,
            method: None,
            elsewhere: None,
            refresh_at: None,
        };
        sessions::insert(&mut tx, &session).await.expect("planted");
    }
    tx.commit().await.expect("committed");
}
