//! What the hub tells of itself is what has happened.

use std::time::Duration;

use hyper::Method;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{Client, TestDb, TestHub};
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::kit::program;

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

/// The value of one series; nothing while it is not there.
async fn value(root: &Client, series: &str) -> Option<f64> {
    let text = root.get("/hub/metrics").await.expect(200).text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.trim().parse().expect("a number"))
}

/// Waits until a series has this value.
async fn until(root: &Client, series: &str, expect: f64) {
    let waiting = async {
        while value(root, series).await != Some(expect) {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(LONG, waiting).await.is_err() {
        panic!("{series} is {:?}, not {expect}", value(root, series).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_under_the_names_of_jupyterhub() {
    for db in TestDb::both().await {
        let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), |_, timings| {
            timings.census_every = Duration::from_millis(50);
            timings.watch_every = Duration::from_millis(50);
        })
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await
        .with_user("ben")
        .await;
        let mut registry = Registry::default();
        hub.hub
            .register_metrics(&mut registry, lyceum_hub::metrics::PREFIX);
        hub.hub.publish_metrics(registry);
        let root = program(&hub, "root").await;

        // Before anything has happened: what a rate is made of is there.
        for zero in [
            "jupyterhub_server_spawn_duration_seconds_count{status=\"success\",reason=\"\"}",
            "jupyterhub_server_spawn_duration_seconds_count{status=\"failure\",reason=\"\"}",
            "jupyterhub_server_stop_seconds_count{status=\"success\"}",
            "jupyterhub_login_duration_seconds_count{status=\"success\"}",
            "jupyterhub_proxy_add_duration_seconds_count{status=\"success\"}",
        ] {
            assert_eq!(value(&root, zero).await, Some(0.0), "{zero}");
        }
        until(&root, "jupyterhub_total_users", 3.0).await;
        until(&root, "jupyterhub_hub_startup_duration_seconds_count", 1.0).await;
        until(
            &root,
            "jupyterhub_init_spawners_duration_seconds_count",
            1.0,
        )
        .await;

        // Nobody has come, by the clock of the rows.
        until(&root, "jupyterhub_active_users{period=\"24h\"}", 0.0).await;
        let ago = |days: i64| {
            let at = hub.hub.now().plus(-days * 24 * 3_600_000);
            json!({ "last_activity": at.to_iso() })
        };
        for (name, days) in [("ada", 0), ("ben", 10)] {
            let path = format!("/hub/api/users/{name}/activity");
            root.post_json(&path, &ago(days)).await.expect(200);
        }
        until(&root, "jupyterhub_active_users{period=\"24h\"}", 1.0).await;
        until(&root, "jupyterhub_active_users{period=\"7d\"}", 1.0).await;
        until(&root, "jupyterhub_active_users{period=\"30d\"}", 2.0).await;

        let starts = "jupyterhub_server_spawn_duration_seconds_count";
        let server = "/hub/api/users/ada/server";
        root.post_json(server, &json!({})).await.expect(201);
        until(
            &root,
            &format!("{starts}{{status=\"success\",reason=\"\"}}"),
            1.0,
        )
        .await;
        until(&root, "jupyterhub_running_servers", 1.0).await;
        until(
            &root,
            "jupyterhub_proxy_add_duration_seconds_count{status=\"success\"}",
            1.0,
        )
        .await;
        let polled = "jupyterhub_server_poll_duration_seconds_count{status=\"running\"}";
        let polls = value(&root, polled).await.expect("there");
        let more = async {
            while value(&root, polled).await.expect("there") <= polls {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, more)
            .await
            .expect("it is asked after");
        root.delete(server).await.expect(204);
        until(
            &root,
            "jupyterhub_server_stop_seconds_count{status=\"success\"}",
            1.0,
        )
        .await;
        until(&root, "jupyterhub_running_servers", 0.0).await;
        until(
            &root,
            "jupyterhub_proxy_delete_duration_seconds_count{status=\"success\"}",
            1.0,
        )
        .await;

        hub.spawner.behave(Behaviour::NotFound);
        root.post_json(server, &json!({})).await.expect(500);
        until(
            &root,
            &format!("{starts}{{status=\"failure\",reason=\"\"}}"),
            1.0,
        )
        .await;
        assert_eq!(
            value(
                &root,
                &format!("{starts}{{status=\"success\",reason=\"\"}}")
            )
            .await,
            Some(1.0)
        );

        let browser = hub.signed_in("ben").await;
        until(
            &root,
            "jupyterhub_login_duration_seconds_count{status=\"success\"}",
            1.0,
        )
        .await;
        hub.client().log_in("ben", "wrong").await.expect(403);
        until(
            &root,
            "jupyterhub_login_duration_seconds_count{status=\"failure\"}",
            1.0,
        )
        .await;
        browser.post_form("/hub/logout", &[]).await.expect(302);
        until(&root, "jupyterhub_logout_duration_seconds_count", 1.0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_browsers_are_counted_for_those_who_are_signed_in() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    let mut registry = Registry::default();
    hub.hub
        .register_metrics(&mut registry, lyceum_hub::metrics::PREFIX);
    hub.hub.publish_metrics(registry);
    let root = program(&hub, "root").await;
    let counted = "jupyterhub_csp_reports_total";
    assert_eq!(value(&root, counted).await, Some(0.0));
    let path = "/hub/security/csp-report";
    let report = json!({ "csp-report": {
        "document-uri": "http://localhost/user/ada/lab",
        "blocked-uri": "https://elsewhere.example/x.js",
        "violated-directive": "script-src",
    }});
    let kind = [("content-type", "application/csp-report")];
    let send = async |client: &Client, body: String| {
        let sent = client.send(Method::POST, path, &kind, body.into());
        sent.await.status.as_u16()
    };
    let browser = hub.signed_in("ada").await;
    assert_eq!(send(&hub.client(), report.to_string()).await, 403);
    assert_eq!(send(&root, report.to_string()).await, 403);
    // Any page could make this browser send it.
    assert_eq!(send(&browser, report.to_string()).await, 403);
    assert_eq!(value(&root, counted).await, Some(0.0));
    let xsrf = browser.cookie("_xsrf").expect("a form token");
    let browser = browser.with_header("x-xsrftoken", &xsrf);
    assert_eq!(send(&browser, report.to_string()).await, 200);
    assert_eq!(send(&browser, "no JSON".into()).await, 200);
    assert_eq!(send(&browser, "x".repeat(1_000_000)).await, 413);
    assert_eq!(value(&root, counted).await, Some(2.0));
}
