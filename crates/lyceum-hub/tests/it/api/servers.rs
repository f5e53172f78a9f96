//! Start, stop and remove by API: the edges. The life itself is told elsewhere.

use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use crate::kit::{program, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_names_are_looked_at() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    let post = |path: &'static str, body: &'static str| {
        let ada = &ada;
        async move {
            ada.send(
                hyper::Method::POST,
                path,
                &[("content-type", "application/json")],
                body.to_owned().into(),
            )
            .await
        }
    };
    for body in ["{", "[1]", "1", "\"x\"", " ", "{\"display_name\": 5}"] {
        let answer = post("/hub/api/users/ada/server", body).await.expect(400);
        assert_eq!(answer.json()["status"], 400, "{body}");
    }
    for name in ["GPU", "-gpu", "a--b", "a%2Fb", "1a"] {
        let answer = ada
            .post_json(&format!("/hub/api/users/ada/servers/{name}"), &json!({}))
            .await
            .expect(400);
        let said = answer.json()["message"].clone();
        assert!(
            said.as_str().is_some_and(|m| m.contains("server name")),
            "{name}: {said}"
        );
    }
    assert!(hub.spawner.orders().is_empty());
    start_server(&hub, "ada").await;
    post("/hub/api/users/ada/server", "").await.expect(400);
    let remove = || async {
        ada.send(
            hyper::Method::DELETE,
            "/hub/api/users/ada/server",
            &[("content-type", "application/json")],
            "{\"remove\":true}".to_owned().into(),
        )
        .await
    };
    remove().await.expect(400);
    ada.delete("/hub/api/users/ada/server").await.expect(204);
    ada.delete("/hub/api/users/ada/server").await.expect(204);
    ada.delete("/hub/api/users/ada/servers/gpu")
        .await
        .expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_server_is_forgotten() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/servers/gpu";
        ada.post_json(path, &json!({})).await.expect(201);
        let model = ada.get("/hub/api/users/ada").await.expect(200).json();
        let server = &model["servers"]["gpu"];
        assert_eq!(server["ready"], true);
        assert_eq!(server["stopped"], false);
        assert_eq!(server["pending"], json!(null));
        assert_eq!(server["full_name"], "ada/gpu");
        assert_eq!(server["url"], "/user/ada/gpu/");
        assert_eq!(
            server["progress_url"],
            "/hub/api/users/ada/servers/gpu/progress"
        );
        ada.send(
            hyper::Method::DELETE,
            path,
            &[("content-type", "application/json")],
            "{\"remove\":true}".to_owned().into(),
        )
        .await
        .expect(204);
        ada.delete(path).await.expect(404);
        assert!(hub.spawner.running().is_empty());
        hub.stop().await;
    }
}
