//! Lists of the configuration that name groups: they hold at once, whoever puts people in and out.

use axum::http::Method;
use lyceum_hub::config::Admission;
use lyceum_model::who::{Forms, Listed};

use super::*;

fn listed(text: &str) -> Listed {
    let entries = text.split_whitespace();
    let entries = entries.map(|who| Who::parse(who, Forms::People).expect("a good entry"));
    entries.collect()
}

async fn put(hub: &TestHub, admission: Admission) {
    let mut settings = hub.hub.settings().as_ref().clone();
    settings.admission = admission;
    hub.hub.reload(settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_keeps_out_for_as_long_as_she_is_in_it() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let hub = hub.with_admin("root").await.with_account("ada").await;
        let root = hub.client().with_token(&hub.token("root").await);
        let ada = hub.signed_in("ada").await;
        let program = hub.client().with_token(&hub.token("ada").await);
        let blocks = Admission {
            block: listed("group:gone"),
            ..Admission::default()
        };
        put(&hub, blocks).await;
        assert!(!is_out(&ada).await && !is_out(&program).await);
        let named = json!({ "users": ["ada"] });
        let members = "/hub/api/groups/gone/users";
        let made = root.post_json("/hub/api/groups/gone", &json!({})).await;
        made.expect(201);
        root.post_json(members, &named).await.expect(200);
        assert!(is_out(&ada).await, "a session counts for nothing");
        assert!(is_out(&program).await, "nor does a token");
        hub.client().log_in("ada", PASSWORD).await.expect(403);
        root.send(Method::DELETE, members, &[], named.to_string().into())
            .await
            .expect(200);
        assert!(!is_out(&ada).await && !is_out(&program).await);
        hub.client().log_in("ada", PASSWORD).await.expect(302);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_comes_in_whom_the_list_does_not_name() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let hub = hub.with_admin("root").await.with_account("ada").await;
        let root = hub.signed_in("root").await;
        let ada = hub.signed_in("ada").await;
        let lists = |block: &str| Admission {
            allow: Some(listed("grace")),
            block: listed(block),
            ..Admission::default()
        };
        let people = |block: &str| People {
            allow: Some(listed("grace")),
            block: listed(block),
            ..People::default()
        };
        hub.offer(Vec::new(), people("")).await;
        put(&hub, lists("")).await;
        assert!(!is_out(&root).await && is_out(&ada).await);
        hub.client().log_in("root", PASSWORD).await.expect(302);
        hub.client().log_in("ada", PASSWORD).await.expect(403);
        // Kept out is kept out.
        hub.offer(Vec::new(), people("root")).await;
        put(&hub, lists("root")).await;
        assert!(is_out(&root).await);
        hub.client().log_in("root", PASSWORD).await.expect(403);
        hub.stop().await;
    }
}

/// What she was in when she came the last time is no news of her.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_the_provider_counts_as_it_tells_it_now() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = TestHub::start(&db).await;
        let people = || People {
            allow: Some(listed("group:staff")),
            block: listed("group:gone"),
            ..People::default()
        };
        hub.offer(vec![way(config(&provider, ""))], people()).await;
        let lists = Admission {
            allow: people().allow,
            block: people().block,
            ..Admission::default()
        };
        put(&hub, lists).await;
        for (groups, status) in [
            (json!(["guests"]), 403),
            (json!(["staff"]), 302),
            (json!(["staff", "gone"]), 403),
            (json!(["staff"]), 302),
            (json!([]), 403),
            (json!(["staff"]), 302),
        ] {
            provider.log_in(json!({"sub": "1", "preferred_username": "ada", "groups": groups}));
            let (client, answer) = log_in(&hub, &provider).await;
            assert_eq!(answer.status, status, "{groups}");
            assert_eq!(is_out(&client).await, status != 302, "{groups}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_an_account_comes_in_where_that_is_enough() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = TestHub::start(&db).await;
        let mut known = config(&provider, "");
        known.mapping.allow = None;
        let closed = known.clone();
        hub.offer(vec![way(config(&provider, ""))], People::default())
            .await;
        provider.log_in(person("1", "ada"));
        log_in(&hub, &provider).await.1.expect(302);
        hub.offer(vec![way(closed)], People::default()).await;
        log_in(&hub, &provider).await.1.expect(403);
        let people = People {
            existing: true,
            ..People::default()
        };
        hub.offer(vec![way(known)], people).await;
        log_in(&hub, &provider).await.1.expect(302);
        provider.log_in(person("2", "eve"));
        log_in(&hub, &provider).await.1.expect(403);
        hub.stop().await;
    }
}
