//! What notebook servers report.

use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use crate::kit::{program, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn activity_moves_forward_only() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let env = start_server(&hub, "ada").await;
        let server = hub.client().with_token(env.api_token.expose());
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/activity";
        let at = |minutes: i64| hub.hub.now().plus(minutes * 60_000).to_iso();
        let seen = || async {
            let user = ada.get("/hub/api/users/ada").await.expect(200).json();
            user["servers"][""]["last_activity"].clone()
        };
        let soon = at(10);
        let answer = server
            .post_json(
                path,
                &json!({ "servers": { "": { "last_activity": soon } }, "last_activity": soon }),
            )
            .await
            .expect(200);
        assert!(answer.body.is_empty());
        assert_eq!(seen().await, soon);
        server
            .post_json(
                path,
                &json!({ "servers": { "": { "last_activity": at(-10) } } }),
            )
            .await
            .expect(200);
        assert_eq!(seen().await, soon);
        for bad in [
            json!({ "servers": { "": { "last_activity": at(61) } } }),
            json!({ "servers": { "": { "last_activity": "tomorrow" } } }),
            json!({ "servers": { "": { "last_activity": 5 } } }),
            json!({ "servers": { "": {} } }),
            json!({ "servers": { "gpu": { "last_activity": at(0) } } }),
            json!({ "servers": { "A B\u{0}": { "last_activity": at(0) } } }),
            json!({ "last_activity": at(61) }),
            json!({ "last_activity": "" }),
            json!([1]),
        ] {
            let answer = server.post_json(path, &bad).await.expect(400);
            assert!(answer.json()["message"].is_string(), "{bad}");
        }
        assert_eq!(seen().await, soon);
        hub.stop().await;
    }
}
