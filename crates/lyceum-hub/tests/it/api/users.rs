//! People as the API lists them.

use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{add_people, program, start_server};

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .expect("a list")
        .iter()
        .filter_map(|user| user["name"].as_str())
        .collect()
}

async fn paged(client: &Client, query: &str) -> Value {
    client
        .send(
            hyper::Method::GET,
            &format!("/hub/api/users?{query}"),
            &[("accept", "application/jupyterhub-pagination+json")],
            Default::default(),
        )
        .await
        .expect(200)
        .json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_pages() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let people: Vec<String> = (0..260).map(|n| format!("p{n:03}")).collect();
        add_people(&hub, &people).await;
        let root = program(&hub, "root").await;
        let plain = root.get("/hub/api/users").await.expect(200).json();
        assert_eq!(names(&plain).len(), 200);
        let page = paged(&root, "sort=name").await;
        assert_eq!(names(&page["items"]).len(), 50);
        let pages = &page["_pagination"];
        assert_eq!(pages["total"], 261);
        assert_eq!((&pages["offset"], &pages["limit"]), (&0.into(), &50.into()));
        // Following `next` to the end sees everybody once.
        let mut seen = Vec::new();
        let mut url = "/hub/api/users?sort=-name&limit=100".to_owned();
        loop {
            let query = url.split_once('?').expect("a query").1.to_owned();
            let page = paged(&root, &query).await;
            seen.extend(names(&page["items"]).into_iter().map(str::to_owned));
            match page["_pagination"]["next"]["url"].as_str() {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        let mut expect = people.clone();
        expect.push("root".into());
        expect.sort();
        expect.reverse();
        assert_eq!(seen, expect);
        let long = format!("name_filter={}", "%25".repeat(20_000));
        for (query, expect) in [
            ("limit=1000", 200),
            ("limit=0", 1),
            ("limit=-5", 5),
            ("limit=1&limit=2", 2),
            ("limit=100&offset=200", 61),
            ("offset=-1&limit=3", 3),
            ("offset=261", 0),
            ("offset=9223372036854775807", 0),
            ("offset=9223372036854775808", 0),
            (long.as_str(), 0),
            ("name_filter=%00", 50),
            ("name_filter=P00", 10),
            ("name_filter=%25", 0),
            ("name_filter=_", 0),
            ("name_filter=oo&sort=last_activity", 1),
        ] {
            let page = paged(&root, query).await;
            assert_eq!(names(&page["items"]).len(), expect, "{query}: {page}");
        }
        let next = paged(&root, "name_filter=p1&limit=2").await["_pagination"]["next"].clone();
        let url = next["url"].as_str().expect("there is more");
        assert!(url.contains("name_filter=p1"), "{url}");
        assert_eq!((&next["offset"], &next["limit"]), (&2.into(), &2.into()));
        for bad in [
            "limit=many",
            "limit=",
            "offset=1.5",
            "limit=0x10",
            "sort=password",
            "sort=name;drop",
            "sort=",
            "state=gone",
        ] {
            let answer = root.get(&format!("/hub/api/users?{bad}")).await.expect(400);
            assert_eq!(answer.json()["status"], 400, "{bad:.40}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_tells_of_each_what_is_told_of_her_alone() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        add_people(&hub, &["ada".into(), "ben".into(), "cy".into()]).await;
        let root = program(&hub, "root").await;
        for (group, users) in [("z", ["ada", "ben"]), ("a b, c\"d", ["ada", "cy"])] {
            let path = format!(
                "/hub/api/groups/{}",
                group.replace(' ', "%20").replace('"', "%22")
            );
            root.post_json(&path, &json!({ "users": users }))
                .await
                .expect(201);
        }
        start_server(&hub, "ben").await;
        for query in ["", "?include_stopped_servers", "?sort=-last_activity"] {
            let list = root.get(&format!("/hub/api/users{query}")).await;
            let list = list.expect(200).json();
            assert_eq!(names(&list).len(), 4, "{query}");
            for listed in list.as_array().expect("a list") {
                let name = listed["name"].as_str().expect("a name");
                let stopped = query.trim_start_matches("?sort=-last_activity");
                let alone = root.get(&format!("/hub/api/users/{name}{stopped}")).await;
                let mut alone = alone.expect(200).json();
                // The caller's own moves on with each call.
                alone["last_activity"] = listed["last_activity"].clone();
                assert_eq!(&alone, listed, "{query}");
            }
        }
        let ben = root.get("/hub/api/users?state=ready").await.expect(200);
        let ben = &ben.json()[0];
        assert_eq!(ben["servers"][""]["ready"], true);
        assert_eq!(ben["groups"], json!(["z"]));
        let ada = root.get("/hub/api/users?name_filter=ada").await.expect(200);
        assert_eq!(ada.json()[0]["groups"], json!(["a b, c\"d", "z"]));
        let none = root.get("/hub/api/users?name_filter=nobody").await;
        assert_eq!(none.expect(200).json(), json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_looks_like_what_is_not_there() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let eve = program(&hub, "eve").await;
    for path in [
        "/hub/api/users/X",
        "/hub/api/users/X/tokens",
        "/hub/api/users/X/tokens/a1",
        "/hub/api/users/X/server/progress",
        "/hub/api/users/X/servers/gpu/progress",
        "/hub/api/users/X/servers/NOT%20A%20NAME/progress",
        "/hub/user/X/lab",
        "/hub/spawn/X",
        "/hub/spawn-pending/X",
        "/hub/logs/X",
    ] {
        let browser = hub.signed_in("eve").await;
        for client in [&eve, &browser] {
            if !path.starts_with("/hub/api") && std::ptr::eq(client, &eve) {
                continue;
            }
            let there = client.get(&path.replace('X', "ada")).await.expect(404);
            let nobody = client.get(&path.replace('X', "nobody")).await.expect(404);
            let strip =
                |answer: lyceum_testkit::client::Answer| answer.text().replace("ada", "nobody");
            assert_eq!(strip(there), strip(nobody), "{path}");
        }
    }
    for (path, body) in [
        ("/hub/api/users/X/server", "{}"),
        ("/hub/api/users/X/servers/gpu", "{}"),
        ("/hub/api/users/X/servers/NOT%20A%20NAME", "{}"),
        ("/hub/api/users/X/activity", "{}"),
    ] {
        let body: Value = serde_json::from_str(body).expect("JSON");
        let there = eve.post_json(&path.replace('X', "ada"), &body).await;
        let nobody = eve.post_json(&path.replace('X', "nobody"), &body).await;
        assert_eq!(
            there.expect(404).text(),
            nobody.expect(404).text(),
            "{path}"
        );
    }
    let message = eve.get("/hub/api/users/ada").await.expect(404).json();
    assert_eq!(
        message["message"],
        "No access to resources or resources not found"
    );
    // Without the right at all it is said which one is missing.
    let refused = eve.get("/hub/api/info").await.expect(403).json();
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|m| m.contains("read:hub"))
    );
    let refused = eve.get("/hub/api/users").await.expect(403).json();
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|m| m.contains("list:users"))
    );
}
