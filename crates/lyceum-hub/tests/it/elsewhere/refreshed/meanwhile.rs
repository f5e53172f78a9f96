//! What happens while a provider has not answered yet: others take over, and people leave.

use tokio::task::JoinHandle;

use super::*;

pub(super) async fn until_asked(provider: &FakeProvider, times: usize) {
    let asked = async {
        while provider.times_refreshed() < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, asked)
        .await
        .expect("it is asked");
}

/// A round that does not end before the provider answers.
async fn hanging(hub: &TestHub, provider: &FakeProvider) -> JoinHandle<()> {
    provider.hold(true);
    let asking = tokio::spawn({
        let hub = hub.hub.clone();
        async move { refreshing::round(&hub, "", || false).await }
    });
    until_asked(provider, 1).await;
    asking
}

async fn count(hub: &TestHub, sql: &'static str) -> i64 {
    let mut tx = hub.hub.db().read().await.expect("a database");
    on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("read")
}

async fn claim(hub: &TestHub, session: &str) -> bool {
    let now = hub.hub.now();
    let until = now.plus(60_000).0;
    let mut tx = hub.hub.db().write().await.expect("a database");
    let claimed = db::refreshes::claim_one(&mut tx, session, "another", (now.0, until)).await;
    let claimed = claimed.expect("asked").is_some();
    tx.commit().await.expect("kept");
    claimed
}

/// It took longer than it may, and another hub has taken over: that one's answer counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_after_the_lease_is_nobodys() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        let mut tx = hub.hub.db().read().await.expect("a database");
        let id: String = on!(tx, |c| sqlx::query_scalar("SELECT id FROM sessions")
            .fetch_one(c)
            .await)
        .expect("a session");
        drop(tx);
        later(&hub, &clock, DUE_MS).await;
        let asking = hanging(&hub, &provider).await;
        clock.advance(140_000);
        assert!(!claim(&hub, &id).await, "it is another's");
        clock.advance(20_000);
        assert!(claim(&hub, &id).await);
        provider.disable("1");
        provider.hold(false);
        asking.await.expect("it ends");
        assert!(!is_out(&ada).await);
        assert_eq!(count(&hub, "SELECT COUNT(*) FROM session_ends").await, 0);
        let hers = "SELECT COUNT(*) FROM sessions WHERE refresh_by = 'another'";
        assert_eq!(count(&hub, hers).await, 1);
        hub.stop().await;
    }
}

/// Whoever has logged out herself is gone, whatever is said of her then.
#[tokio::test(flavor = "multi_thread")]
async fn who_logs_out_meanwhile_is_out() {
    for db in TestDb::both().await {
        for disabled in [false, true] {
            let (provider, clock) = (FakeProvider::start().await, at_nine());
            provider.give_refresh_tokens(true);
            let hub = offering_at(&db, &provider, &clock, |_| {}).await;
            let name = format!("ada{disabled}");
            let ada = comes(&hub, &provider, person("1", &name)).await;
            later(&hub, &clock, DUE_MS).await;
            let asking = hanging(&hub, &provider).await;
            ada.post_form("/hub/logout", &[]).await.expect(200);
            // What is said now is new, too: nothing of it is taken over.
            provider.change(in_groups("1", &name, &["late"]));
            if disabled {
                provider.disable("1");
            }
            provider.hold(false);
            asking.await.expect("it ends");
            assert!(is_out(&ada).await);
            assert_eq!(count(&hub, "SELECT COUNT(*) FROM sessions").await, 0);
            assert_eq!(count(&hub, "SELECT COUNT(*) FROM session_ends").await, 0);
            assert_eq!(count(&hub, "SELECT COUNT(*) FROM group_members").await, 0);
            hub.stop().await;
        }
    }
}
