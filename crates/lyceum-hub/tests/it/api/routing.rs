//! Routes as JupyterHub's clients see them, and the end that a program may ask for.

use hyper::Method;
use lyceum_hub::origins::Origins;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::{granting, service};
use crate::kit::{program, send_json, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_told() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("a+b@x.org")
        .await
        .with_user("eve")
        .await;
    let root = program(&hub, "root").await;
    let path = "/hub/api/proxy";
    let own = format!("http://{}", hub.hub_address());
    let hubs = json!({ "routespec": "/", "target": own, "data": { "hub": true } });
    assert_eq!(
        root.get(path).await.expect(200).json(),
        json!({ "/": hubs })
    );
    start_server(&hub, "a+b@x.org").await;
    let routes = root.get(path).await.expect(200).json();
    let route = &routes["/user/a%2Bb@x.org/"];
    assert_eq!(route["routespec"], "/user/a%2Bb@x.org/");
    assert_eq!(
        route["data"],
        json!({ "user": "a+b@x.org", "server_name": "" })
    );
    assert!(
        route["target"]
            .as_str()
            .is_some_and(|target| target.starts_with("http://127.0.0.1:"))
    );
    let page = root
        .send(
            Method::GET,
            "/hub/api/proxy?limit=1",
            &[("accept", "application/jupyterhub-pagination+json")],
            Default::default(),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(page["items"], json!({ "/": hubs }));
    assert_eq!(page["_pagination"]["total"], 2);
    let next = page["_pagination"]["next"]["url"].as_str().expect("more");
    assert_eq!(
        next,
        format!("http://{}/hub/api/proxy?limit=1&offset=1", hub.address())
    );
    root.get("/hub/api/proxy?limit=x").await.expect(400);
    root.send(Method::POST, path, &[], Default::default())
        .await
        .expect(200);
    // Proxies find the hub; it is not told where they are.
    send_json(&root, Method::PATCH, path, &json!({}))
        .await
        .expect(200);
    for body in [
        json!(null),
        json!([]),
        json!({ "api_url": "http://127.0.0.1:1" }),
    ] {
        send_json(&root, Method::PATCH, path, &body)
            .await
            .expect(400);
    }
    let eve = program(&hub, "eve").await;
    for method in [Method::GET, Method::POST, Method::PATCH] {
        send_json(&eve, method, path, &json!({})).await.expect(403);
    }
}

/// A service that has an address and one that has none.
fn services(grants: &mut lyceum_hub::grants::Grants) {
    service(grants, "grader", |service| {
        service.url = Some("http://127.0.0.1:9".into());
    });
    service(grants, "script", |_| {});
}

fn to_grader(routespec: &str) -> Value {
    json!({ "routespec": routespec, "target": "http://127.0.0.1:9", "data": { "service": "grader" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_of_services_are_told_too() {
    for db in TestDb::both().await {
        let hub = granting(&db, services).await;
        let root = program(&hub, "root").await;
        let routes = root.get("/hub/api/proxy").await.expect(200).json();
        let named: Vec<&String> = routes.as_object().expect("a table").keys().collect();
        assert_eq!(named, ["/", "/services/grader/"]);
        assert_eq!(routes["/services/grader/"], to_grader("/services/grader/"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_tells_its_host_where_people_have_their_own() {
    let db = TestDb::sqlite().await;
    let address: url::Url = "https://lab.example.edu:8443".parse().expect("a URL");
    let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
        settings.origins = Origins::apart(&address).expect("a host");
        services(&mut settings.grants);
    };
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    start_server(&hub, "ada").await;
    let root = hub
        .client()
        .at("lab.example.edu")
        .with_token(&hub.token("root").await);
    let routes = root.get("/hub/api/proxy").await.expect(200).json();
    let named: Vec<&String> = routes.as_object().expect("a table").keys().collect();
    let servers = "ada.lab.example.edu/user/ada/";
    let graders = "lab.example.edu/services/grader/";
    assert_eq!(named, ["/", servers, graders]);
    assert_eq!(routes[servers]["routespec"], servers);
    assert_eq!(routes[graders], to_grader(graders));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_asked_for() {
    for servers in [false, true] {
        let db = TestDb::sqlite().await;
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await;
        start_server(&hub, "ada").await;
        let root = program(&hub, "root").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/shutdown";
        ada.post_json(path, &json!({})).await.expect(403);
        hub.client().post_json(path, &json!({})).await.expect(403);
        for body in [
            json!({ "servers": "x" }),
            json!({ "servers": 1 }),
            json!({ "proxy": "x" }),
            // It is in the same process.
            json!({ "proxy": false }),
            json!(["servers"]),
        ] {
            root.post_json(path, &body).await.expect(400);
        }
        assert!(!hub.hub.asked_to_end().is_cancelled());
        let wish = json!({ "servers": servers, "proxy": true });
        root.post_json(path, &wish).await.expect(202);
        hub.hub.asked_to_end().cancelled().await;
        assert_eq!(hub.spawner.running().is_empty(), servers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_asked_for_in_an_address() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let token = hub.token("ada").await;
    let ada = hub.client().with_token(&token);
    let path = format!("/hub/api/authorizations/token/{token}");
    let answer = ada.get(&path).await.expect(404).text();
    assert!(answer.contains("/hub/api/user"), "{answer}");
    hub.client().get(&path).await.expect(403);
    ada.post_json("/hub/api/authorizations/token", &json!({}))
        .await
        .expect(404);
    ada.get("/hub/api/authorizations/cookie/a/b")
        .await
        .expect(404);
}
