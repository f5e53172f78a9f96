//! Named servers: made, changed, removed without a start, and what they are called.

use std::time::Duration;

use hyper::Method;
use lyceum_testkit::fake::{Behaviour, Ending, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{program, send_json};
use crate::servers::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_made_before_it_is_started() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/servers/gpu";
        ada.get(path).await.expect(404);
        let wish = json!({ "display_name": "Größe 1", "user_options": { "size": 1 } });
        let made = send_json(&ada, Method::PUT, path, &wish)
            .await
            .expect(201)
            .json();
        assert_eq!(made["name"], "gpu");
        assert_eq!(made["display_name"], "Größe 1");
        assert_eq!(made["user_options"], json!({ "size": 1 }));
        assert_eq!(
            (&made["stopped"], &made["started"]),
            (&json!(true), &Value::Null)
        );
        assert_eq!(ada.get(path).await.expect(200).json(), made);
        assert!(hub.spawner.orders().is_empty());
        send_json(&ada, Method::PUT, path, &wish).await.expect(409);
        // Without a body it starts as it was made; a title is kept, and a new one replaces it.
        ada.send(Method::POST, path, &[], Default::default())
            .await
            .expect(201);
        let ready = ada.get(path).await.expect(200).json();
        assert_eq!(
            (&ready["ready"], &ready["display_name"]),
            (&json!(true), &json!("Größe 1"))
        );
        assert_eq!(ready["user_options"], json!({ "size": 1 }));
        assert!(ready["started"].is_string());
        ada.delete(path).await.expect(204);
        ada.post_json(path, &json!({ "display_name": "Two" }))
            .await
            .expect(201);
        let ready = ada.get(path).await.expect(200).json();
        assert_eq!(ready["display_name"], "Two");
        assert_eq!(ready["user_options"], json!({ "size": 1 }));
        // What was chosen anew replaces what was chosen before, in either form of the body.
        for (body, expect) in [
            (
                json!({ "user_options": { "size": 2 } }),
                json!({ "size": 2 }),
            ),
            (json!({ "size": 3 }), json!({ "size": 3 })),
            (json!({ "user_options": {} }), json!({})),
        ] {
            ada.delete(path).await.expect(204);
            ada.post_json(path, &body).await.expect(201);
            let model = ada.get(path).await.expect(200).json();
            assert_eq!(model["user_options"], expect, "{body}");
        }
        // One without a title is called by its name.
        let made = send_json(
            &ada,
            Method::PUT,
            "/hub/api/users/ada/servers/cpu",
            &json!({}),
        )
        .await;
        assert_eq!(made.expect(201).json()["display_name"], "cpu");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_server_is_always_there() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    for path in ["/hub/api/users/ada/server", "/hub/api/users/ada/servers/"] {
        let model = ada.get(path).await.expect(200).json();
        assert_eq!(
            (&model["name"], &model["stopped"]),
            (&json!(""), &json!(true))
        );
        assert_eq!(model["progress_url"], "/hub/api/users/ada/server/progress");
        send_json(&ada, Method::PUT, path, &json!({}))
            .await
            .expect(409);
        send_json(&ada, Method::DELETE, path, &json!({ "remove": true }))
            .await
            .expect(400);
        ada.delete(path).await.expect(204);
        let change = json!({ "display_name": "Home" });
        let model = send_json(&ada, Method::PATCH, path, &change)
            .await
            .expect(200)
            .json();
        assert_eq!(model["display_name"], "Home");
    }
    ada.post_json("/hub/api/users/ada/servers/", &json!({}))
        .await
        .expect(201);
    let last = ada
        .get("/hub/api/users/ada/servers//progress")
        .await
        .expect(200)
        .text();
    assert!(last.contains("\"ready\":true"), "{last}");
    ada.delete("/hub/api/users/ada/servers/").await.expect(204);
    // Renamed it is a named one, and there is another default one.
    let named = json!({ "name": "old" });
    send_json(&ada, Method::PATCH, "/hub/api/users/ada/server", &named)
        .await
        .expect(200);
    let model = ada
        .get("/hub/api/users/ada/server")
        .await
        .expect(200)
        .json();
    assert_eq!(model["last_activity"], Value::Null);
    let back = json!({ "name": "" });
    send_json(&ada, Method::PATCH, "/hub/api/users/ada/servers/old", &back)
        .await
        .expect(409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_rest_is_changed() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let base = "/hub/api/users/ada/servers";
        let path = format!("{base}/gpu");
        let change =
            async |path: &str, body: Value| send_json(&ada, Method::PATCH, path, &body).await;
        change(&path, json!({ "display_name": "x" }))
            .await
            .expect(404);
        ada.post_json(&path, &json!({})).await.expect(201);
        let before = hub.spawner.orders().pop().expect("started");
        change(&path, json!({ "name": "cpu" })).await.expect(400);
        ada.delete(&path).await.expect(204);
        send_json(&ada, Method::PUT, &format!("{base}/two"), &json!({}))
            .await
            .expect(201);
        for (body, status) in [
            (json!({}), 400),
            (json!(["name"]), 400),
            (json!({ "color": "blue" }), 400),
            (json!({ "name": "A" }), 400),
            (json!({ "name": 5 }), 400),
            (json!({ "name": "gpu" }), 409),
            (json!({ "name": "two" }), 409),
            (json!({ "display_name": 5 }), 400),
            (json!({ "display_name": "a  b" }), 400),
            (json!({ "display_name": "a\u{202e}b" }), 400),
            (json!({ "user_options": "x" }), 400),
            (json!({ "user_options": null }), 400),
            (json!({ "user_options": { "x": "y".repeat(70_000) } }), 400),
        ] {
            let answer = change(&path, body.clone()).await;
            assert_eq!(
                answer.status.as_u16(),
                status,
                "{body:.80}: {}",
                answer.text()
            );
        }
        let all = json!({ "name": "cpu", "display_name": "Processor", "user_options": { "n": 1 } });
        let model = change(&path, all).await.expect(200).json();
        assert_eq!(model["full_name"], "ada/cpu");
        assert_eq!(model["url"], "/user/ada/cpu/");
        assert_eq!(model["display_name"], "Processor");
        assert_eq!(model["user_options"], json!({ "n": 1 }));
        ada.get(&path).await.expect(404);
        // It is the same server: its files and its client are where they were.
        let path = format!("{base}/cpu");
        ada.post_json(&path, &json!({})).await.expect(201);
        let after = hub.spawner.orders().pop().expect("started");
        assert_eq!(
            (&after.key, &after.hub.client_id),
            (&before.key, &before.hub.client_id)
        );
        assert_eq!(after.hub.prefix, "/user/ada/cpu/");
        ada.get("/user/ada/cpu/lab").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_servers_have_a_number() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start_tuned(db.db().clone(), Default::default(), |settings, _| {
        settings.named_servers = 1;
    })
    .await
    .with_user("ada")
    .await;
    let ada = program(&hub, "ada").await;
    let base = "/hub/api/users/ada/servers";
    let none = json!({});
    send_json(&ada, Method::PUT, &format!("{base}/one"), &none)
        .await
        .expect(201);
    send_json(&ada, Method::PUT, &format!("{base}/two"), &none)
        .await
        .expect(400);
    ada.post_json(&format!("{base}/two"), &none)
        .await
        .expect(400);
    send_json(
        &ada,
        Method::PATCH,
        &format!("{base}/"),
        &json!({ "name": "two" }),
    )
    .await
    .expect(400);
    send_json(
        &ada,
        Method::PATCH,
        &format!("{base}/one"),
        &json!({ "name": "uno" }),
    )
    .await
    .expect(200);
    send_json(
        &ada,
        Method::DELETE,
        &format!("{base}/uno"),
        &json!({ "remove": true }),
    )
    .await
    .expect(204);
    send_json(&ada, Method::PUT, &format!("{base}/two"), &none)
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_servers_are_nobodys_business() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    let root = program(&hub, "root").await;
    let path = "/hub/api/users/ada/servers/gpu";
    let none = json!({});
    send_json(&root, Method::PUT, path, &none).await.expect(201);
    let reader = root
        .post_json(
            "/hub/api/users/root/tokens",
            &json!({ "scopes": ["read:servers"] }),
        )
        .await
        .expect(201)
        .json();
    let reader = hub
        .client()
        .with_token(reader["token"].as_str().expect("a secret"));
    let one = root
        .post_json(
            "/hub/api/users/root/tokens",
            &json!({ "scopes": ["servers!server=ada/gpu"] }),
        )
        .await
        .expect(201)
        .json();
    let one = hub
        .client()
        .with_token(one["token"].as_str().expect("a secret"));
    let eve = program(&hub, "eve").await;
    reader.get(path).await.expect(200);
    one.get(path).await.expect(200);
    eve.get(path).await.expect(404);
    for (method, body) in [
        (Method::PUT, none.clone()),
        (Method::PATCH, json!({ "name": "cpu" })),
        (Method::DELETE, json!({ "remove": true })),
        (Method::POST, none.clone()),
    ] {
        send_json(&reader, method.clone(), path, &body)
            .await
            .expect(403);
        for user in ["ada", "nobody"] {
            let path = format!("/hub/api/users/{user}/servers/gpu");
            send_json(&eve, method.clone(), &path, &body)
                .await
                .expect(404);
        }
        send_json(
            &one,
            method.clone(),
            "/hub/api/users/ada/servers/cpu",
            &body,
        )
        .await
        .expect(404);
    }
    // Renamed it would be out of reach of the scope that renames it.
    send_json(&one, Method::PATCH, path, &json!({ "name": "cpu" }))
        .await
        .expect(404);
    send_json(&one, Method::PATCH, path, &json!({ "display_name": "GPU" }))
        .await
        .expect(200);
    reader.get(path).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_waits_for_the_end() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/servers/gpu";
        let remove = json!({ "remove": true });
        ada.post_json(path, &json!({})).await.expect(201);
        hub.spawner.end(Ending::HangsBefore);
        let begun = std::time::Instant::now();
        send_json(&ada, Method::DELETE, path, &remove)
            .await
            .expect(202);
        // It waits a while for the end, but who comes while it is stopping is told so at once.
        assert!(begun.elapsed() > Duration::from_secs(9));
        let begun = std::time::Instant::now();
        ada.delete(path).await.expect(202);
        assert!(begun.elapsed() < Duration::from_secs(9));
        let model = ada.get(path).await.expect(200).json();
        assert_eq!(model["pending"], "stop");
        hub.spawner.end(Ending::Good);
        until("it is forgotten", || async {
            ada.get(path).await.status.as_u16() == 404
        })
        .await;
        assert!(hub.spawner.running().is_empty());
        // A wish that came too early is no wish any more once the server is wanted again.
        ada.post_json(path, &json!({})).await.expect(201);
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        let server = lyceum_hub::db::servers::in_state(&mut tx, lyceum_hub::servers::State::Ready)
            .await
            .expect("read")
            .remove(0);
        tx.commit().await.expect("ended");
        ada.delete(path).await.expect(204);
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        lyceum_hub::db::servers::request_removal(&mut tx, &server.id, 1)
            .await
            .expect("written");
        tx.commit().await.expect("written");
        ada.post_json(path, &json!({})).await.expect(201);
        ada.delete(path).await.expect(204);
        ada.get(path).await.expect(200);
        for odd in [
            json!({ "remove": "yes" }),
            json!({ "remove": 1 }),
            json!(["remove"]),
        ] {
            send_json(&ada, Method::DELETE, path, &odd)
                .await
                .expect(400);
        }
        ada.get(path).await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_tells_how_it_went() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = program(&hub, "ada").await;
    let path = "/hub/api/users/ada/server";
    let none = json!({});
    hub.spawner.behave(Behaviour::ExitsAtOnce);
    ada.post_json(path, &none).await.expect(500);
    let told = ada
        .get(&format!("{path}/progress"))
        .await
        .expect(200)
        .text();
    assert!(told.contains("\"failed\":true"), "{told}");
    hub.spawner.behave(Behaviour::HangsBefore);
    ada.post_json(path, &none).await.expect(202);
    ada.post_json(path, &none).await.expect(202);
    let change = json!({ "user_options": {} });
    send_json(&ada, Method::PATCH, path, &change)
        .await
        .expect(400);
    let model = ada.get(path).await.expect(200).json();
    assert_eq!(
        (&model["pending"], &model["ready"]),
        (&json!("spawn"), &json!(false))
    );
    hub.spawner.behave(Behaviour::Good);
}

/// The limit, her list and her deletion hold for somebody with hundreds of servers.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_servers_are_counted_and_removed() {
    const MANY: usize = 230;
    for db in TestDb::both().await {
        let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), |settings, _| {
            settings.named_servers = MANY;
        });
        let hub = hub.await.with_user("ada").await.with_admin("root").await;
        let ada = program(&hub, "ada").await;
        for number in 0..MANY {
            let path = format!("/hub/api/users/ada/servers/s{number:03}");
            let made = send_json(&ada, Method::PUT, &path, &json!({})).await;
            made.expect(201);
        }
        let more = "/hub/api/users/ada/servers/more";
        let full = send_json(&ada, Method::PUT, more, &json!({})).await;
        let full = full.expect(400).json();
        let words = full["message"].as_str().expect("a message");
        assert!(words.contains("230"), "{words}");
        let list = ada.get("/hub/api/lyceum/users/ada/servers").await;
        let list = list.expect(200).json();
        let named = list["servers"].as_array().expect("a list").iter();
        assert_eq!(named.filter(|one| one["name"] != "").count(), MANY);
        // The last one runs: who deletes her has it stopped first.
        let last = "/hub/api/users/ada/servers/s229";
        ada.post_json(last, &json!({})).await.expect(201);
        let root = program(&hub, "root").await;
        root.delete("/hub/api/users/ada").await.expect(204);
        root.get("/hub/api/users/ada").await.expect(404);
        assert!(hub.spawner.running().is_empty());
        hub.stop().await;
    }
}
