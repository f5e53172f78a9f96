//! Who may not.

use hyper::Method;
use lyceum_testkit::TestDb;
use serde_json::{Value, json};

use super::{ACCESS, ADAS, CODES, code, held, opens, patch, sharing, with_group, with_user};
use crate::grants::{as_service, reload, role, service};
use crate::kit::{program, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn by_default_nobody_shares() {
    let db = TestDb::sqlite().await;
    let hub = sharing(&db).await;
    let ben = program(&hub, "ben").await;
    start_server(&hub, "ben").await;
    for who in ["ben", "ada"] {
        for path in [
            format!("/hub/api/shares/{who}/"),
            format!("/hub/api/share-codes/{who}/"),
        ] {
            ben.post_json(&path, &with_user("tess")).await.expect(403);
            patch(&ben, &path, &with_user("tess")).await;
            ben.delete(&path).await.expect(403);
        }
    }
    patch(&ben, ADAS, &with_user("tess")).await.expect(403);
    // What is hers she may read, and nothing else.
    for path in ["/hub/api/shares/ben", "/hub/api/share-codes/ben/"] {
        let list = ben.get(path).await.expect(200).json();
        assert_eq!(list["items"], json!([]));
    }
    for path in [
        "/hub/api/shares/ada",
        "/hub/api/shares/nobody",
        ADAS,
        CODES,
        "/hub/api/users/ada/shared",
        "/hub/api/users/nobody/shared",
        "/hub/api/users/ada/shared/ben/",
    ] {
        ben.get(path).await.expect(404);
    }
    ben.get("/hub/api/groups/lab/shared").await.expect(403);
    let stranger = hub.client();
    for path in ["/hub/api/shares/ada", "/hub/api/shares/nobody", CODES] {
        stranger.get(path).await.expect(403);
        stranger.post_json(path, &json!({})).await;
    }
    let server = hub.spawner.orders();
    let server = server
        .iter()
        .rev()
        .find(|order| order.hub.user.as_str() == "ada");
    let own = server.expect("ada's").hub.api_token.expose().to_owned();
    let own = hub.client().with_token(&own);
    own.post_json(ADAS, &with_user("ben")).await.expect(403);
    own.post_json(CODES, &json!({})).await.expect(403);
    own.get(ADAS).await.expect(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_shares_more_than_she_holds() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, tess) = (program(&hub, "ada").await, program(&hub, "tess").await);
        start_server(&hub, "tess").await;
        start_server(&hub, "ben").await;
        let check = async |body: Value, expect: u16| {
            let answer = ada.post_json(ADAS, &body).await;
            assert_eq!(answer.status, expect, "{body}: {}", answer.text());
            if body.get("group").is_none() && body.get("user").is_none_or(Value::is_string) {
                let mut body = body.clone();
                if let Some(fields) = body.as_object_mut() {
                    fields.remove("user");
                }
                let answer = ada.post_json(CODES, &body).await;
                let expect = if expect == 400 && body == json!({}) {
                    200
                } else {
                    expect
                };
                assert_eq!(answer.status, expect, "{body}: {}", answer.text());
            }
        };
        let of = |scopes: &[&str]| json!({ "user": "ben", "scopes": scopes });
        check(of(&["admin:servers"]), 403).await;
        check(of(&["access:servers", "admin:users"]), 403).await;
        check(of(&["self"]), 403).await;
        check(of(&["inherit"]), 403).await;
        check(of(&["access:servers!server=ben/"]), 400).await;
        check(of(&["access:servers!server=ada/one"]), 400).await;
        check(of(&["access:servers!user=ada"]), 400).await;
        check(of(&["access:servers!user"]), 400).await;
        check(of(&["access:servers!server"]), 400).await;
        check(of(&["access:servers!group=lab"]), 400).await;
        check(of(&["made:up"]), 400).await;
        check(of(&["access:servers!"]), 400).await;
        check(json!({ "user": "ben", "scopes": "access:servers" }), 400).await;
        check(json!({ "user": "ben", "scopes": [1] }), 400).await;
        check(json!({ "user": "ben", "more": 1 }), 400).await;
        check(json!({}), 400).await;
        check(json!({ "user": null }), 400).await;
        check(json!({ "user": 1 }), 400).await;
        check(json!({ "user": "ben", "group": "lab" }), 400).await;
        check(json!({ "user": "nobody" }), 400).await;
        check(json!({ "group": "nobody" }), 400).await;
        check(json!([1]), 400).await;
        assert_eq!(super::number(&hub, "SELECT COUNT(*) FROM shares").await, 0);
        // Others' servers, and ones that are not there.
        for path in [
            "/hub/api/shares/ben/",
            "/hub/api/shares/nobody/",
            "/hub/api/shares/ada/none",
            "/hub/api/shares/ada/No%20name",
            "/hub/api/share-codes/ben/",
            "/hub/api/share-codes/ada/none",
        ] {
            ada.post_json(path, &json!({})).await;
            let body = match path.contains("codes") {
                true => json!({}),
                false => with_user("tess"),
            };
            ada.post_json(path, &body).await.expect(404);
            ada.delete(path).await.expect(404);
        }
        // Nobody's name is learnt by sharing.
        let tess_own = "/hub/api/shares/tess/";
        for who in ["ben", "nobody", "a b"] {
            tess.post_json(tess_own, &with_user(who)).await.expect(403);
        }
        for group in ["lab", "none"] {
            tess.post_json(tess_own, &with_group(group))
                .await
                .expect(403);
        }
        ada.post_json("/hub/api/shares/ada", &with_user("ben"))
            .await
            .expect(405);
        // A narrow token does what it may.
        let body = json!({ "scopes": ["read:shares!user=ada"] });
        let narrow = ada
            .post_json("/hub/api/users/ada/tokens", &body)
            .await
            .expect(201);
        let narrow = narrow.json()["token"].as_str().expect("a token").to_owned();
        let narrow = hub.client().with_token(&narrow);
        narrow.get(ADAS).await.expect(200);
        narrow.post_json(ADAS, &with_user("ben")).await.expect(403);
        narrow.delete(ADAS).await.expect(403);
        // And one that may share, but not open, gives nothing.
        let body = json!({ "scopes": ["read:shares!server=ada/", "read:users:name"] });
        let narrow = ada
            .post_json("/hub/api/users/ada/tokens", &body)
            .await
            .expect(201);
        let narrow = narrow.json()["token"].as_str().expect("a token").to_owned();
        let narrow = hub.client().with_token(&narrow);
        narrow.get(ADAS).await.expect(200);
        narrow.get("/hub/api/shares/ada").await.expect(404);
        narrow.post_json(CODES, &json!({})).await.expect(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_does_not_share_unless_she_was_given_that() {
    for db in TestDb::both().await {
        let hub = sharing(&db).await;
        let (ada, ben) = (program(&hub, "ada").await, program(&hub, "ben").await);
        let (tess, root) = (program(&hub, "tess").await, program(&hub, "root").await);
        ada.post_json(ADAS, &with_user("ben")).await.expect(200);
        ben.post_json(ADAS, &with_user("tess")).await.expect(403);
        ben.post_json(CODES, &json!({})).await.expect(403);
        ben.get(ADAS).await.expect(404);
        tess.post_json(ADAS, &with_user("tess")).await.expect(404);
        // With `shares` he may, as in JupyterHub; by a code, for he knows nobody's name.
        let body = json!({ "user": "ben", "scopes": ["shares"] });
        ada.post_json(ADAS, &body).await.expect(200);
        ben.post_json(ADAS, &with_user("tess")).await.expect(403);
        let (code, _) = code(&ben).await;
        let browser = hub.signed_in("tess").await;
        super::accept(&browser, &code).await.expect(302);
        assert_eq!(opens(&tess).await, 200);
        // More than he has he gives no one.
        let body = json!({ "scopes": ["servers"] });
        ben.post_json(CODES, &body).await.expect(403);
        // What he passed on ends with what he has.
        patch(&ada, ADAS, &json!({ "user": "ben", "scopes": ["shares"] }))
            .await
            .expect(200);
        assert_eq!((opens(&ben).await, opens(&tess).await), (200, 403));
        assert!(held(&tess).await.is_empty());
        // Two who give it to one another hold nothing by that.
        let body = json!({ "user": "ben", "scopes": ["shares"] });
        ada.post_json(ADAS, &body).await.expect(200);
        assert_eq!(held(&tess).await, [ACCESS]);
        let body = json!({ "scopes": ["shares"] });
        let back = ben.post_json(CODES, &body).await.expect(200).json();
        super::accept(&browser, back["code"].as_str().expect("a code"))
            .await
            .expect(302);
        let back = tess.post_json(CODES, &body).await.expect(200).json();
        let browser = hub.signed_in("ben").await;
        super::accept(&browser, back["code"].as_str().expect("a code"))
            .await
            .expect(302);
        reload(&hub, |grants| role(grants, "sharer", &["shares!user"], &[])).await;
        reload(&hub, |grants| {
            grants.roles.remove("sharer");
        })
        .await;
        assert_eq!((opens(&ben).await, opens(&tess).await), (403, 403));
        assert!(held(&ben).await.is_empty() && held(&tess).await.is_empty());
        // An administrator's gift stands by itself.
        root.post_json(ADAS, &with_user("tess")).await.expect(200);
        assert_eq!(held(&tess).await, [ACCESS]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_shares_what_its_role_allows() {
    let db = TestDb::sqlite().await;
    let hub = sharing(&db).await;
    reload(&hub, |grants| {
        service(grants, "desk", |_| {});
        let scopes = ["shares!group=makers", "read:users:name"];
        role(grants, "desk", &scopes, &["service:desk"]);
        crate::grants::group(grants, "makers", &["ada"]);
    })
    .await;
    let (desk, ben) = (as_service(&hub, "desk"), program(&hub, "ben").await);
    start_server(&hub, "tess").await;
    desk.post_json(ADAS, &with_user("ben")).await.expect(200);
    desk.post_json("/hub/api/shares/tess/", &with_user("ben"))
        .await
        .expect(404);
    assert_eq!(opens(&ben).await, 200);
    let root = program(&hub, "root").await;
    let body = json!({ "users": ["ada"] }).to_string();
    let json = [("content-type", "application/json")];
    let users = "/hub/api/groups/makers/users";
    root.send(Method::DELETE, users, &json, body.into())
        .await
        .expect(200);
    assert!(
        held(&ben).await.is_empty(),
        "it may not share ada's any more"
    );
}
