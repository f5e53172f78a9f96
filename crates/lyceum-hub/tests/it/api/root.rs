//! Version, health, information, metrics.

use lyceum_testkit::{TestDb, TestHub};
use prometheus_client::registry::Registry;

use crate::kit::{header, program};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_ask_for_version_and_health() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let client = hub.client();
    for path in ["/hub/api", "/hub/api/"] {
        let answer = client.get(path).await.expect(200);
        assert_eq!(
            answer.json()["version"],
            header(&answer, "x-jupyterhub-version")
        );
        // This one answer may be read by pages of other sites.
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
    }
    for path in ["/hub/health", "/hub/api/health"] {
        let answer = client.get(path).await.expect(200);
        assert_eq!(answer.json()["status"], "ok");
        assert_eq!(header(&answer, "access-control-allow-origin"), "");
    }
    program(&hub, "ada")
        .await
        .get("/hub/api/info")
        .await
        .expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_those_who_may_read_them_and_stay_few() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let mut registry = Registry::default();
    hub.hub
        .register_metrics(&mut registry, lyceum_hub::metrics::PREFIX);
    hub.hub.publish_metrics(registry);
    let root = program(&hub, "root").await;
    for path in ["/hub/metrics", "/hub/api/metrics"] {
        hub.client().get(path).await.expect(403);
        program(&hub, "ada").await.get(path).await.expect(403);
        let text = root.get(path).await.expect(200).text();
        assert!(text.contains("jupyterhub_total_users"), "{path}: {text}");
    }
    for n in 0..40 {
        root.get(&format!("/hub/no/such/{n}")).await.expect(404);
        root.get(&format!("/hub/api/users/nobody{n}"))
            .await
            .expect(404);
        let odd = hyper::Method::from_bytes(format!("ODD{n}").as_bytes()).expect("a method");
        root.send(odd, "/hub/api/users/ada", &[], Default::default())
            .await;
    }
    let answer = root.get("/hub/metrics").await.expect(200);
    assert!(header(&answer, "content-type").starts_with("application/openmetrics-text"));
    let text = answer.text();
    assert!(text.contains("handler=\"/hub/api/users/{user}\""), "{text}");
    assert!(
        !text.contains("nobody1") && !text.contains("ODD1"),
        "{text}"
    );
    assert!(!text.contains("/no/such/"), "{text}");
    let series = text
        .lines()
        .filter(|line| line.contains("request_duration_seconds_count"))
        .count();
    assert!((2..10).contains(&series), "{text}");
    assert!(text.contains("jupyterhub_running_servers 0"), "{text}");
}
