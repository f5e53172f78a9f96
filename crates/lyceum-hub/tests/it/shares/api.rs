//! What the API tells and takes.

use lyceum_testkit::TestDb;
use serde_json::{Value, json};

use super::{ACCESS, ADAS, CODES, held, opens, patch, sharing, with_group, with_user};
use crate::grants::fields;
use crate::kit::program;

#[tokio::test(flavor = "multi_thread")]
async fn a_share_is_given_shown_and_taken_back() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let made = ada.post_json(ADAS, &with_user("ben")).await.expect(200);
        let made = made.json();
        assert_eq!(
            fields(&made),
            ["created_at", "group", "kind", "scopes", "server", "user"]
        );
        assert_eq!(made["scopes"], json!([ACCESS]));
        assert_eq!(made["user"], json!({ "name": "ben" }));
        assert_eq!(
            (&made["group"], &made["kind"]),
            (&Value::Null, &json!("user"))
        );
        let server = json!({
            "user": { "name": "ada" }, "name": "", "url": "/user/ada/", "full_url": null, "ready": true,
        });
        assert_eq!(made["server"], server);
        // A token that was made before.
        assert_eq!(held(&ben).await, [ACCESS]);
        assert_eq!(opens(&ben).await, 200);
        let one = [made.clone()];
        for (who, path) in [
            (&ada, "/hub/api/shares/ada"),
            (&ada, ADAS),
            (&ben, "/hub/api/users/ben/shared"),
        ] {
            let list = who.get(path).await.expect(200).json();
            assert_eq!(list["items"], json!(one), "{path}");
            let page = json!({ "offset": 0, "limit": 200, "total": 1, "next": null });
            assert_eq!(list["_pagination"], page, "{path}");
        }
        let seen = ben.get("/hub/api/users/ben/shared/ada/").await.expect(200);
        assert_eq!(seen.json(), made);

        // More scopes come on top; the same ones change nothing.
        let more = json!({ "user": "ben", "scopes": ["read:servers", "access:servers"] });
        let more = ada.post_json(ADAS, &more).await.expect(200).json();
        assert_eq!(more["scopes"], json!([ACCESS, "read:servers!server=ada/"]));
        assert_eq!(more["created_at"], made["created_at"]);
        let model = ben.get("/hub/api/users/ada/servers/").await.expect(200);
        assert_eq!(model.json()["ready"], true);
        let less = json!({ "user": "ben", "scopes": ["read:servers!server=ada/"] });
        let less = patch(&ada, ADAS, &less).await.expect(200).json();
        assert_eq!(less["scopes"], json!([ACCESS]));
        ben.get("/hub/api/users/ada/servers/").await.expect(404);

        // Nothing is left.
        let gone = patch(&ada, ADAS, &with_user("ben")).await.expect(200);
        assert_eq!(gone.json(), json!({}));
        assert_eq!(opens(&ben).await, 403);
        assert!(held(&ben).await.is_empty());
        ben.get("/hub/api/users/ben/shared/ada/").await.expect(404);
        for nobody in ["ben", "nobody", "no body"] {
            let answer = patch(&ada, ADAS, &with_user(nobody)).await.expect(200);
            assert_eq!(answer.json(), json!({}), "{nobody}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_group_has_what_was_shared_with_it() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let (tess, root) = (program(&hub, "tess").await, program(&hub, "root").await);
        let made = ada.post_json(ADAS, &with_group("lab")).await.expect(200);
        let made = made.json();
        assert_eq!(made["group"], json!({ "name": "lab" }));
        assert_eq!(
            (&made["user"], &made["kind"]),
            (&Value::Null, &json!("group"))
        );
        assert_eq!((opens(&ben).await, opens(&tess).await), (200, 403));
        let list = ben.get("/hub/api/users/ben/shared").await.expect(200);
        assert_eq!(list.json()["items"], json!([made]));
        // She can't give up what is the group's.
        ben.get("/hub/api/users/ben/shared/ada/").await.expect(404);
        ben.delete("/hub/api/users/ben/shared/ada/")
            .await
            .expect(404);
        ben.get("/hub/api/groups/lab/shared").await.expect(403);
        let list = root.get("/hub/api/groups/lab/shared").await.expect(200);
        assert_eq!(list.json()["items"], json!([made]));
        let one = root.get("/hub/api/groups/lab/shared/ada/").await;
        assert_eq!(one.expect(200).json(), made);
        // Whoever comes later has it, whoever leaves has it no longer.
        let users = "/hub/api/groups/lab/users";
        let body = json!({ "users": ["tess"] });
        root.post_json(users, &body).await.expect(200);
        assert_eq!(held(&tess).await.len(), 1);
        root.delete("/hub/api/groups/lab/shared/ada/")
            .await
            .expect(204);
        root.delete("/hub/api/groups/lab/shared/ada/")
            .await
            .expect(404);
        assert_eq!(opens(&ben).await, 403);
        assert!(held(&tess).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let db = TestDb::sqlite().await;
    let hub = sharing(&db).await;
    let ada = program(&hub, "ada").await;
    for name in ["ben", "tess", "root"] {
        ada.post_json(ADAS, &with_user(name)).await.expect(200);
        ada.post_json(CODES, &json!({})).await.expect(200);
    }
    for path in ["/hub/api/shares/ada", "/hub/api/share-codes/ada"] {
        let first = ada.get(&format!("{path}?limit=2")).await.expect(200).json();
        assert_eq!(first["items"].as_array().map(Vec::len), Some(2), "{path}");
        assert_eq!(first["_pagination"]["total"], 3);
        let next = first["_pagination"]["next"]["url"].as_str().expect("a URL");
        let next = &next[next.find("/hub/").expect("a path")..];
        let second = ada.get(next).await.expect(200).json();
        assert_eq!(second["items"].as_array().map(Vec::len), Some(1), "{path}");
        assert_eq!(second["_pagination"]["next"], Value::Null);
        ada.get(&format!("{path}?limit=some")).await.expect(400);
    }
    // Codes tell nobody's secret.
    let codes = ada.get(CODES).await.expect(200).json();
    assert_eq!(
        fields(&codes["items"][0]),
        [
            "created_at",
            "exchange_count",
            "expires_at",
            "id",
            "last_exchanged_at",
            "scopes",
            "server"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_servers_and_people_may_change() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let root = program(&hub, "root").await;
        let one = "/hub/api/users/ada/servers/one";
        let body = json!({});
        let put = crate::kit::send_json(&ada, hyper::Method::PUT, one, &body);
        put.await.expect(201);
        let shares = "/hub/api/shares/ada/one";
        ada.post_json(shares, &with_user("ben")).await.expect(200);
        assert_eq!(held(&ben).await, ["access:servers!server=ada/one"]);
        let body = json!({ "name": "two" });
        patch(&ada, "/hub/api/users/ada/servers/one", &body)
            .await
            .expect(200);
        assert_eq!(held(&ben).await, ["access:servers!server=ada/two"]);
        ada.delete("/hub/api/users/ada/server").await;
        crate::kit::settled(&hub, "ada").await;
        let body = json!({ "name": "ada2" });
        patch(&root, "/hub/api/users/ada", &body).await.expect(200);
        // Her role goes by her old name, so she may share no longer.
        assert!(held(&ben).await.is_empty());
        let scopes = |model: Value| model["scopes"].to_string();
        let me = scopes(ben.get("/hub/api/user").await.expect(200).json());
        assert!(!me.contains("ada"), "{me}");
        crate::grants::reload(&hub, |grants| {
            crate::grants::role(grants, "sharer", &["shares!user"], &["ada2"]);
        })
        .await;
        let me = scopes(ben.get("/hub/api/user").await.expect(200).json());
        assert!(me.contains("access:servers!server=ada2/two"), "{me}");
        // Who holds it may be called something else, too.
        patch(&root, "/hub/api/users/ben", &json!({ "name": "benjamin" }))
            .await
            .expect(200);
        let me = scopes(ben.get("/hub/api/user").await.expect(200).json());
        assert!(me.contains("access:servers!server=ada2/two"), "{me}");
        root.delete("/hub/api/users/ada2").await.expect(204);
        let me = scopes(ben.get("/hub/api/user").await.expect(200).json());
        assert!(!me.contains("ada"), "{me}");
    }
}
