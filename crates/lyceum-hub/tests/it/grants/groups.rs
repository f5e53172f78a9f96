//! Groups in the API, as JupyterHub has them.

use hyper::Method;
use lyceum_hub::grants::GroupWish;
use lyceum_model::who::CourseRole;
use lyceum_testkit::{Client, TestDb};
use serde_json::{Value, json};

use super::roles::narrowed;
use super::{as_service, delete_json, fields, granting, group, reload, role, service, users};
use crate::kit::program;

const ALL: &str = "/hub/api/groups";

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(|group| group["name"].as_str()).collect()
}

async fn put(client: &Client, path: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let body = body.to_string().into();
    let answer = client.send(Method::PUT, path, &headers, body).await;
    (answer.status.as_u16(), answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_changed_and_deleted() {
    for db in TestDb::both().await {
        let hub = granting(&db, |_| {}).await;
        let root = program(&hub, "root").await;
        let empty = root.get(ALL).await.expect(200).json();
        assert_eq!(empty, json!([]));
        let made = root
            .post_json("/hub/api/groups/lab", &users(&["ben", "ada"]))
            .await;
        let expect = json!({
            "kind": "group", "name": "lab", "roles": [], "users": ["ada", "ben"], "properties": {},
        });
        assert_eq!(made.expect(201).json(), expect);
        let got = root.get("/hub/api/groups/lab").await.expect(200).json();
        assert_eq!(got, expect);
        let again = root.post_json("/hub/api/groups/lab", &json!({})).await;
        let again = again.expect(409).json();
        assert_eq!(again["message"], "Group lab already exists");
        // Without a body, too.
        let bare = root.send(Method::POST, "/hub/api/groups/bare", &[], "".into());
        assert_eq!(bare.await.expect(201).json()["users"], json!([]));
        let path = "/hub/api/groups/lab/users";
        let now = root.post_json(path, &users(&["tess", "ada"])).await;
        assert_eq!(
            now.expect(200).json()["users"],
            json!(["ada", "ben", "tess"])
        );
        assert_eq!(
            delete_json(&root, path, &users(&["ben", "root"])).await,
            200
        );
        let lab = root.get("/hub/api/groups/lab").await.expect(200).json();
        assert_eq!(lab["users"], json!(["ada", "tess"]));
        let ada = root.get("/hub/api/users/ada").await.expect(200).json();
        assert_eq!(ada["groups"], json!(["lab"]));
        let properties = json!({ "gpu": true, "limits": { "memory": "2G" } });
        let (status, model) = put(&root, "/hub/api/groups/lab/properties", &properties).await;
        assert_eq!((status, &model["properties"]), (200, &properties));
        let several = json!({ "groups": ["b", "a"], "users": ["ben"] });
        let made = root.post_json(ALL, &several).await.expect(201).json();
        assert_eq!(names(&made), ["b", "a"]);
        assert_eq!(made[1]["users"], json!(["ben"]));
        let all = root.get(ALL).await.expect(200).json();
        assert_eq!(names(&all), ["lab", "bare", "b", "a"]);
        let page = root
            .send(
                Method::GET,
                "/hub/api/groups?limit=3&x=y",
                &[("accept", "application/jupyterhub-pagination+json")],
                "".into(),
            )
            .await
            .expect(200)
            .json();
        assert_eq!(names(&page["items"]), ["lab", "bare", "b"]);
        let next = format!(
            "http://{}/hub/api/groups?limit=3&x=y&offset=3",
            hub.address()
        );
        assert_eq!(
            page["_pagination"],
            json!({ "offset": 0, "limit": 3, "total": 4,
                    "next": { "offset": 3, "limit": 3, "url": next } })
        );
        let rest = root
            .get("/hub/api/groups?offset=3")
            .await
            .expect(200)
            .json();
        assert_eq!(names(&rest), ["a"]);
        root.delete("/hub/api/groups/lab").await.expect(204);
        root.delete("/hub/api/groups/lab").await.expect(404);
        let ada = root.get("/hub/api/users/ada").await.expect(200).json();
        assert_eq!(ada["groups"], json!([]));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_group_is_refused() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| group(grants, "lab", &["ada"])).await;
    let root = program(&hub, "root").await;
    let post = async |path: &str, body: Value| root.post_json(path, &body).await.status.as_u16();
    for (path, body, expect) in [
        (ALL, json!({}), 400),
        (ALL, json!([]), 400),
        (ALL, json!("lab"), 400),
        (ALL, json!({ "groups": [] }), 400),
        (ALL, json!({ "groups": "new" }), 400),
        (ALL, json!({ "groups": [7] }), 400),
        (ALL, json!({ "groups": ["new"], "colour": "red" }), 400),
        (ALL, json!({ "groups": ["new"], "users": ["nobody"] }), 400),
        (ALL, json!({ "groups": ["new", "lab"] }), 409),
        (ALL, json!({ "groups": ["new", "new"] }), 409),
        (ALL, json!({ "groups": [""] }), 400),
        (ALL, json!({ "groups": ["a\nb"] }), 400),
        (ALL, json!({ "groups": ["x".repeat(300)] }), 400),
        ("/hub/api/groups/new", json!({ "users": "ada" }), 400),
        ("/hub/api/groups/new", json!({ "users": ["nobody"] }), 400),
        ("/hub/api/groups/new", json!({ "users": [1] }), 400),
        ("/hub/api/groups/new", json!([]), 400),
        ("/hub/api/groups/lab/users", json!({}), 400),
        ("/hub/api/groups/lab/users", json!(null), 400),
        (
            "/hub/api/groups/lab/users",
            json!({ "users": ["nobody"] }),
            400,
        ),
        ("/hub/api/groups/gone/users", users(&["ada"]), 404),
    ] {
        assert_eq!(post(path, body.clone()).await, expect, "{path} {body}");
    }
    let properties = "/hub/api/groups/lab/properties";
    for body in [json!([]), json!("x"), json!(null)] {
        assert_eq!(put(&root, properties, &body).await.0, 400, "{body}");
    }
    let gone = put(&root, "/hub/api/groups/gone/properties", &json!({})).await;
    assert_eq!(gone.0, 404);
    for query in ["limit=x", "offset=1.5"] {
        root.get(&format!("{ALL}?{query}")).await.expect(400);
    }
    // Nothing of what was refused was made.
    assert_eq!(names(&root.get(ALL).await.expect(200).json()), ["lab"]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_is_as_if_it_were_not_there() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        group(grants, "course", &["ada"]);
        group(grants, "other", &["ben"]);
        role(grants, "keeper", &["groups!group=course"], &["tess"]);
        role(
            grants,
            "namer",
            &["read:groups:name!group=course"],
            &["ada"],
        );
        role(grants, "roler", &["read:roles:groups"], &["ben"]);
        role(grants, "shown", &["read:hub"], &["group:course"]);
    })
    .await;
    let course = "/hub/api/groups/course";
    let (tess, ada, ben) = (
        program(&hub, "tess").await,
        program(&hub, "ada").await,
        program(&hub, "ben").await,
    );
    let seen = tess.get(course).await.expect(200).json();
    assert_eq!(fields(&seen), ["kind", "name", "properties", "users"]);
    let seen = ada.get(course).await.expect(200).json();
    assert_eq!(seen, json!({ "kind": "group", "name": "course" }));
    let seen = ben.get(course).await.expect(200).json();
    assert_eq!(
        seen,
        json!({ "kind": "group", "name": "course", "roles": ["shown"] })
    );
    for path in ["/hub/api/groups/other", "/hub/api/groups/none"] {
        tess.get(path).await.expect(404);
        ada.get(path).await.expect(404);
        tess.post_json(&format!("{path}/users"), &users(&["ada"]))
            .await
            .expect(404);
        tess.delete(path).await.expect(403);
    }
    let list = tess.get(ALL).await.expect(200).json();
    assert_eq!(names(&list), ["course"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    ada.get(ALL).await.expect(403);
    tess.post_json("/hub/api/groups/new", &json!({}))
        .await
        .expect(403);
    tess.post_json(ALL, &json!({ "groups": ["new"] }))
        .await
        .expect(403);
    // Its filter names the group, so she may take people out and put them in.
    assert_eq!(
        delete_json(&tess, &format!("{course}/users"), &users(&["ada"])).await,
        200
    );
    tess.post_json(&format!("{course}/users"), &users(&["ben"]))
        .await
        .expect(403);
    hub.stop().await;
}

/// GHSA-69wv-m5fw-2fhp: a scope for one group made others.
#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_of_one_group_makes_no_other() {
    let db = TestDb::sqlite().await;
    let hub = granting(&db, |grants| {
        role(grants, "keeper", &["admin:groups!group=course"], &["tess"]);
    })
    .await;
    let tess = program(&hub, "tess").await;
    tess.post_json("/hub/api/groups/other", &json!({}))
        .await
        .expect(404);
    for groups in [
        json!(["other"]),
        json!(["course"]),
        json!(["course", "other"]),
    ] {
        let wish = json!({ "groups": groups });
        tess.post_json(ALL, &wish).await.expect(404);
    }
    let made = tess
        .post_json("/hub/api/groups/course", &users(&["ada"]))
        .await;
    assert_eq!(made.expect(201).json()["users"], json!(["ada"]));
    tess.delete("/hub/api/groups/course").await.expect(204);
    hub.stop().await;
}

/// Course files name groups, which are roles in the course.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_group_wins_no_role_in_a_course() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            let whose = ["tess", "ada", "service:sync"];
            role(grants, "keeper", &["groups", "admin:groups"], &whose);
            service(grants, "sync", |_| {});
        })
        .await;
        hub.put_in_course("group:staff", "bio", CourseRole::Teacher);
        hub.put_in_course("group:graders", "bio", CourseRole::Grader);
        hub.put_in_course("ada", "bio", CourseRole::Grader);
        hub.put_in_course("group:takers", "bio", CourseRole::Student);
        let (root, tess, ada) = (
            program(&hub, "root").await,
            program(&hub, "tess").await,
            program(&hub, "ada").await,
        );
        let sync = as_service(&hub, "sync");
        for group in ["staff", "graders", "takers", "free"] {
            root.post_json(&format!("{ALL}/{group}"), &json!({}))
                .await
                .expect(201);
        }
        let check = async |client: &Client, group: &str, who: &str, expect: u16| {
            let path = format!("{ALL}/{group}/users");
            let answer = client.post_json(&path, &users(&[who])).await;
            assert_eq!(answer.status.as_u16(), expect, "{group} {who}");
            answer.text()
        };
        let said = check(&tess, "staff", "tess", 403).await;
        assert!(said.contains("teacher in the course bio"), "{said}");
        for keeper in [&tess, &sync] {
            check(keeper, "staff", "ben", 403).await;
            check(keeper, "graders", "ben", 403).await;
            // Who enrols people wins nothing by it.
            check(keeper, "takers", "ben", 200).await;
            check(keeper, "free", "ben", 200).await;
        }
        // A grader gives what graders and students have, and no more.
        check(&ada, "staff", "ada", 403).await;
        check(&ada, "takers", "ben", 200).await;
        check(&ada, "graders", "ben", 200).await;
        // Who is it already gains nothing.
        check(&tess, "graders", "ada", 200).await;
        check(&root, "staff", "tess", 200).await;
        check(&tess, "staff", "ben", 200).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_keeps_a_group_wins_nothing_by_it() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            // The group has a role that gives more than its keeper holds.
            role(
                grants,
                "staff",
                &["admin:users", "tokens"],
                &["group:staff"],
            );
            role(grants, "keeper", &["admin:groups"], &["tess"]);
            // And ada may act for whoever is in her course.
            let over = ["groups!group=course", "servers!group=course"];
            role(grants, "over", &over, &["ada"]);
            group(grants, "course", &["tess"]);
        })
        .await;
        let (root, tess, ada) = (
            program(&hub, "root").await,
            program(&hub, "tess").await,
            program(&hub, "ada").await,
        );
        let staff = "/hub/api/groups/staff/users";
        let refused = tess.post_json(staff, &users(&["tess"])).await.expect(403);
        assert!(
            refused.text().contains("give more than you hold"),
            "{}",
            refused.text()
        );
        tess.post_json(staff, &users(&["ben"])).await.expect(403);
        tess.post_json("/hub/api/groups/free", &users(&["tess"]))
            .await
            .expect(201);
        // Made anew under the name that a role knows, it is the same.
        root.delete("/hub/api/groups/staff").await.expect(204);
        tess.post_json("/hub/api/groups/staff", &users(&["tess"]))
            .await
            .expect(403);
        tess.post_json(ALL, &json!({ "groups": ["staff"], "users": ["tess"] }))
            .await
            .expect(403);
        let course = "/hub/api/groups/course/users";
        let refused = ada.post_json(course, &users(&["ben"])).await.expect(403);
        assert!(refused.text().contains("win power"), "{}", refused.text());
        ada.delete("/hub/api/users/ben/server").await.expect(404);
        // A token for less wins as much: she has another for the rest.
        let narrow = narrowed(&hub, &ada, "ada", &["groups!group=course"]).await;
        let narrow = narrow.expect("a token");
        let refused = narrow.post_json(course, &users(&["ben"])).await;
        assert!(refused.expect(403).text().contains("win power"));
        ada.post_json(course, &users(&["ada", "tess"]))
            .await
            .expect(200);
        // An administrator holds all there is to hold.
        root.post_json(ALL, &json!({ "groups": ["staff"], "users": ["ben"] }))
            .await
            .expect(201);
        root.post_json(course, &users(&["ben"])).await.expect(200);
        ada.delete("/hub/api/users/ben/server").await.expect(204);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_adds_to_groups_and_takes_nobody_out() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| group(grants, "lab", &["ada"])).await;
        let root = program(&hub, "root").await;
        let lab = async || {
            let model = root.get("/hub/api/groups/lab").await.expect(200).json();
            (model["users"].clone(), model["properties"].clone())
        };
        assert_eq!(lab().await, (json!(["ada"]), json!({})));
        let properties = json!({ "mine": 1 });
        put(&root, "/hub/api/groups/lab/properties", &properties).await;
        // Somebody who never came is there from now on.
        reload(&hub, |grants| group(grants, "lab", &["newcomer"])).await;
        assert_eq!(lab().await, (json!(["ada", "newcomer"]), properties));
        root.get("/hub/api/users/newcomer").await.expect(200);
        reload(&hub, |grants| {
            let wish = GroupWish {
                users: Default::default(),
                properties: json!({ "theirs": 2 }).as_object().cloned(),
            };
            grants.groups.insert("lab".into(), wish);
        })
        .await;
        assert_eq!(
            lab().await,
            (json!(["ada", "newcomer"]), json!({ "theirs": 2 }))
        );
        reload(&hub, |grants| grants.groups.clear()).await;
        assert_eq!(lab().await.0, json!(["ada", "newcomer"]));
        hub.stop().await;
    }
}
