//! People are made, renamed and deleted by API, and nobody gets beyond what she may.

use hyper::Method;
use lyceum_hub::db;
use lyceum_hub::launching::{self, WishError};
use lyceum_hub::users::{self, NotNow};
use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::Behaviour;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{Socket, add_people, program, send_json, start_server};
use crate::servers::until;

async fn row(hub: &TestHub, name: &str) -> Option<db::users::User> {
    let mut tx = hub.hub.db().read().await.expect("a transaction");
    let name = UserName::parse(name).expect("a good name");
    db::users::find(&mut tx, &name).await.expect("read")
}

/// A program of an administrator with these scopes and no more.
async fn delegate(hub: &TestHub, scopes: &[&str]) -> Client {
    let root = program(hub, "root").await;
    let made = root
        .post_json("/hub/api/users/root/tokens", &json!({ "scopes": scopes }))
        .await
        .expect(201)
        .json();
    hub.client()
        .with_token(made["token"].as_str().expect("a secret"))
}

async fn rename(client: &Client, name: &str, to: &str) -> Answer {
    let path = format!("/hub/api/users/{name}");
    send_json(client, Method::PATCH, &path, &json!({ "name": to })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_made() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let root = program(&hub, "root").await;
        let none = json!({});
        let made = root.post_json("/hub/api/users/Ada", &none).await;
        let made = made.expect(201).json();
        assert_eq!(made["name"], "ada");
        assert_eq!(
            (&made["admin"], &made["kind"]),
            (&json!(false), &json!("user"))
        );
        assert_eq!(made["servers"], json!({}));
        root.post_json("/hub/api/users/ada", &none)
            .await
            .expect(409);
        let chief = root
            .post_json("/hub/api/users/chief", &json!({ "admin": true }))
            .await
            .expect(201)
            .json();
        assert_eq!(chief["admin"], true);
        assert!(row(&hub, "chief").await.expect("there").admin);
        let many = json!({ "usernames": ["ada", "Ben", "carl", "carl"] });
        let made = root
            .post_json("/hub/api/users", &many)
            .await
            .expect(201)
            .json();
        let names: Vec<_> = made
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["ben", "carl"]);
        root.post_json("/hub/api/users", &many).await.expect(409);
        for bad in [
            json!({}),
            json!({ "usernames": [] }),
            json!({ "usernames": "abc" }),
            json!({ "usernames": [1] }),
            json!({ "usernames": ["dora", "a/b"] }),
            json!({ "usernames": ["dora"], "color": "blue" }),
            json!({ "usernames": ["dora"], "admin": "yes" }),
            json!(["dora"]),
        ] {
            root.post_json("/hub/api/users", &bad).await.expect(400);
        }
        for bad in ["a%2Fb", "%C3%A4", "-a", "%20a", "a%20", &"a".repeat(129)] {
            let answer = root
                .post_json(&format!("/hub/api/users/{bad}"), &none)
                .await;
            assert_eq!(answer.status.as_u16(), 400, "{bad}: {}", answer.text());
        }
        assert!(
            row(&hub, "dora").await.is_none(),
            "nobody of a bad list is made"
        );
        // Hundreds at a time, in one order wherever they are listed by it.
        let crowd: Vec<String> = (0..1_200).map(|n| format!("p{n:04}")).collect();
        let made = root
            .post_json("/hub/api/users", &json!({ "usernames": crowd }))
            .await
            .expect(201)
            .json();
        assert_eq!(made.as_array().map(Vec::len), Some(1_200));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_takes_all_with_it() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await
            .with_user("eve")
            .await
            .with_account("guest")
            .await;
        let root = program(&hub, "root").await;
        let ada = program(&hub, "ada").await;
        let browser = hub.signed_in("ada").await;
        let before = row(&hub, "ada").await.expect("there");
        // While a server knows her by her name she keeps it.
        start_server(&hub, "ada").await;
        rename(&root, "ada", "lovelace").await.expect(400);
        root.delete("/hub/api/users/ada/server").await.expect(204);
        let client = hub.spawner.orders()[0].hub.client_id.clone();
        for taken in ["eve", "EVE", "guest", "a/b", "", " x"] {
            rename(&root, "ada", taken).await.expect(400);
        }
        rename(&root, "nobody", "somebody").await.expect(404);
        let stale = before.clone();
        let renamed = rename(&root, "ada", "Lovelace").await.expect(200).json();
        assert_eq!(renamed["name"], "lovelace");
        let after = row(&hub, "lovelace").await.expect("there");
        assert_eq!((&after.id, &after.home), (&before.id, &before.home));
        assert!(row(&hub, "ada").await.is_none());
        root.get("/hub/api/users/ada").await.expect(404);
        // What she holds is good under the new name, and so is her password.
        let who = ada.get("/hub/api/user").await.expect(200).json();
        assert_eq!(who["name"], "lovelace");
        let own = who["scopes"].as_array().expect("a list");
        assert!(own.contains(&json!("servers!user=lovelace")), "{own:?}");
        assert!(!who.to_string().contains("!user=ada"), "{who}");
        browser.get("/hub/home").await.expect(200);
        hub.client().log_in("ada", PASSWORD).await.expect(403);
        hub.client().log_in("lovelace", PASSWORD).await.expect(302);
        // The same home and the same client, made once.
        start_server(&hub, "lovelace").await;
        let order = hub.spawner.orders().pop().expect("started");
        assert_eq!(order.spec.home, before.home);
        assert_eq!(order.hub.client_id, client);
        assert_eq!(order.hub.prefix, "/user/lovelace/");
        ada.get("/user/lovelace/lab").await.expect(200);
        // A start that was under way while she was renamed was planned for somebody else.
        let late = launching::start(&hub.hub, &stale, &Default::default(), json!({})).await;
        assert!(matches!(late, Err(WishError::NoSuchServer)));
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        let late = users::remove(&mut tx, &stale, hub.hub.now()).await;
        assert!(matches!(late, Err(NotNow::Gone)));
        drop(tx);
        // Whoever gets the old name gets nothing of hers.
        root.post_json("/hub/api/users/ada", &json!({}))
            .await
            .expect(201);
        let heir = row(&hub, "ada").await.expect("there");
        assert_ne!((&heir.id, &heir.home), (&before.id, &before.home));
        start_server(&hub, "ada").await;
        let order = hub.spawner.orders().pop().expect("started");
        assert_ne!(order.hub.client_id, client);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_deleted_holds_nothing_any_more() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await;
        let root = program(&hub, "root").await;
        let token = hub.token("ada").await;
        let ada = hub.client().with_token(&token);
        let browser = hub.signed_in("ada").await;
        let env = start_server(&hub, "ada").await;
        ada.post_json("/hub/api/users/ada/servers/gpu", &json!({}))
            .await
            .expect(201);
        ada.post_json("/hub/api/users/ada/servers/old", &json!({}))
            .await
            .expect(201);
        ada.delete("/hub/api/users/ada/servers/old")
            .await
            .expect(204);
        let home = row(&hub, "ada").await.expect("there").home;
        let mut sockets = [
            Socket::by_cookie(&hub, &browser).await,
            Socket::by_token(&hub, &token).await,
        ];
        root.delete("/hub/api/users/nobody").await.expect(404);
        root.delete("/hub/api/users/root").await.expect(400);
        root.delete("/hub/api/users/ada").await.expect(204);
        assert!(hub.spawner.running().is_empty());
        for socket in &mut sockets {
            socket.assert_ends().await;
        }
        ada.get("/hub/api/user").await.expect(403);
        let server = hub.client().with_token(env.api_token.expose());
        server.get("/hub/api/user").await.expect(403);
        let gone = browser.get("/hub/home").await.expect(302);
        assert!(
            gone.location().starts_with("/hub/login"),
            "{}",
            gone.location()
        );
        hub.client().log_in("ada", PASSWORD).await.expect(403);
        root.get("/hub/api/users/ada").await.expect(404);
        root.delete("/hub/api/users/ada").await.expect(404);
        // Somebody of the same name begins with nothing.
        root.post_json("/hub/api/users/ada", &json!({}))
            .await
            .expect(201);
        ada.get("/hub/api/user").await.expect(403);
        assert_ne!(row(&hub, "ada").await.expect("there").home, home);
        let path = "/hub/api/users/ada?include_stopped_servers=1";
        let servers = root.get(path).await.expect(200).json()["servers"].clone();
        let names: Vec<_> = servers.as_object().expect("an object").keys().collect();
        assert_eq!(names, [""]);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_deleted_while_her_server_is_in_the_way() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    let root = program(&hub, "root").await;
    hub.spawner.behave(Behaviour::HangsAfter);
    let path = "/hub/api/users/ada/server";
    let none = json!({});
    let begun = root.post_json(path, &none);
    let stuck = async {
        until("the start is under way", || async {
            !hub.spawner.at_work().is_empty()
        })
        .await;
        root.delete("/hub/api/users/ada").await.expect(400);
        // It is being stopped by then.
        root.delete("/hub/api/users/ada").await.expect(400);
        hub.spawner.behave(Behaviour::Good);
    };
    let (_, ()) = tokio::join!(begun, stuck);
    assert!(row(&hub, "ada").await.is_some());
    root.delete(path).await;
    until("she can be deleted", || async {
        let answer = root.delete("/hub/api/users/ada").await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 204 | 400), "{}", answer.text());
        status == 204
    })
    .await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_right_reaches_nobody_else() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await
        .with_user("eve")
        .await;
    for scopes in [
        vec!["admin:users!user=ada"],
        vec!["admin:users!group=staff"],
        vec!["admin:users!server=ada/"],
    ] {
        let one = delegate(&hub, &scopes).await;
        let none = json!({});
        let many = json!({ "usernames": ["new"] });
        one.post_json("/hub/api/users/new", &none).await.expect(404);
        one.post_json("/hub/api/users/eve", &none).await.expect(404);
        one.post_json("/hub/api/users", &many).await.expect(403);
        rename(&one, "eve", "new").await.expect(404);
        rename(&one, "nobody", "new").await.expect(404);
        one.delete("/hub/api/users/eve").await.expect(404);
        one.delete("/hub/api/users/nobody").await.expect(404);
        assert!(row(&hub, "new").await.is_none() && row(&hub, "eve").await.is_some());
    }
    let one = delegate(&hub, &["admin:users!user=ada"]).await;
    // Renamed she would be out of reach, and the filter would be worth nothing.
    rename(&one, "ada", "new").await.expect(404);
    assert!(row(&hub, "ada").await.is_some());
    one.delete("/hub/api/users/ada").await.expect(204);
    one.post_json("/hub/api/users/ada", &json!({}))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_an_administrator_who_is_none() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start_tuned(db.db().clone(), Default::default(), |settings, _| {
        let named = ["prof"].map(|name| UserName::parse(name).expect("a good name"));
        settings.admission.admins = named.into();
    })
    .await
    .with_admin("root")
    .await
    .with_admin("chief")
    .await
    .with_user("ada")
    .await;
    let clerk = delegate(&hub, &["admin:users"]).await;
    let admin = json!({ "admin": true });
    let none = json!({});
    clerk
        .post_json("/hub/api/users/x1", &admin)
        .await
        .expect(403);
    let many = json!({ "usernames": ["x1"], "admin": true });
    clerk.post_json("/hub/api/users", &many).await.expect(403);
    send_json(&clerk, Method::PATCH, "/hub/api/users/ada", &admin)
        .await
        .expect(403);
    // Nor takes one over, nor a name that the configuration makes one of.
    for body in [json!({ "admin": false }), json!({ "name": "boss" })] {
        send_json(&clerk, Method::PATCH, "/hub/api/users/chief", &body)
            .await
            .expect(403);
    }
    clerk.delete("/hub/api/users/chief").await.expect(403);
    clerk
        .post_json("/hub/api/users/prof", &none)
        .await
        .expect(403);
    let many = json!({ "usernames": ["x1", "prof"] });
    clerk.post_json("/hub/api/users", &many).await.expect(403);
    rename(&clerk, "ada", "prof").await.expect(403);
    for name in ["x1", "prof", "boss"] {
        assert!(row(&hub, name).await.is_none(), "{name}");
    }
    assert!(!row(&hub, "ada").await.expect("there").admin);
    assert!(row(&hub, "chief").await.expect("there").admin);
    // What is left to do it may do.
    clerk
        .post_json("/hub/api/users/x1", &none)
        .await
        .expect(201);
    rename(&clerk, "x1", "x2").await.expect(200);
    // And an administrator may all of it.
    let root = program(&hub, "root").await;
    send_json(&root, Method::PATCH, "/hub/api/users/ada", &admin)
        .await
        .expect(200);
    assert!(row(&hub, "ada").await.expect("there").admin);
    let ada = program(&hub, "ada").await;
    ada.get("/hub/api/info").await.expect(200);
    send_json(
        &root,
        Method::PATCH,
        "/hub/api/users/ada",
        &json!({ "admin": false }),
    )
    .await
    .expect(200);
    // At once, for what she held before too.
    ada.get("/hub/api/info").await.expect(403);
    root.delete("/hub/api/users/chief").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_have_their_types() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    let root = program(&hub, "root").await;
    for bad in [
        json!(null),
        json!([]),
        json!("x"),
        json!({ "color": "blue" }),
        json!({ "name": 5 }),
        json!({ "name": null }),
        json!({ "admin": "yes" }),
        json!({ "admin": 1 }),
        json!({ "groups": ["staff"] }),
        json!({ "roles": ["admin"] }),
        json!({ "roles": "admin" }),
        json!({ "auth_state": {} }),
        json!({ "auth_state": "x" }),
    ] {
        let answer = send_json(&root, Method::PATCH, "/hub/api/users/ada", &bad).await;
        assert_eq!(answer.status.as_u16(), 400, "{bad}: {}", answer.text());
        let message = answer.json()["message"].clone();
        assert!(message.as_str().is_some_and(|m| !m.is_empty()), "{bad}");
    }
    send_json(&root, Method::PATCH, "/hub/api/users/ada", &json!({}))
        .await
        .expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_listed_by_their_servers() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_admin("root")
            .await
            .with_user("ada")
            .await
            .with_user("ben")
            .await
            .with_user("eve")
            .await;
        let root = program(&hub, "root").await;
        let listed = async |client: &Client, query: &str| -> Vec<String> {
            let path = format!("/hub/api/users?sort=name&{query}");
            let list = client.get(&path).await.expect(200).json();
            let list = list.as_array().expect("a list").iter();
            list.map(|one| one["name"].as_str().expect("a name").to_owned())
                .collect()
        };
        start_server(&hub, "ada").await;
        hub.spawner.behave_for("ben", Behaviour::HangsAfter);
        let ben = program(&hub, "ben").await;
        let path = "/hub/api/users/ben/server";
        let none = json!({});
        let coming = ben.post_json(path, &none);
        let looking = async {
            until("ben's server is coming", || async {
                listed(&root, "state=active").await.contains(&"ben".into())
            })
            .await;
            assert_eq!(listed(&root, "state=active").await, ["ada", "ben"]);
            assert_eq!(listed(&root, "state=ready").await, ["ada"]);
            assert_eq!(listed(&root, "state=inactive").await, ["eve", "root"]);
            assert_eq!(listed(&root, "state=").await, ["ada", "ben", "eve", "root"]);
            hub.spawner.behave_for("ben", Behaviour::Good);
        };
        tokio::join!(coming, looking);
        root.delete("/hub/api/users/ada/server").await.expect(204);
        // A server at rest is told when it is asked for, and one that never was as well.
        let model = |list: Value, name: &str| {
            let found = list
                .as_array()
                .expect("a list")
                .iter()
                .find(|one| one["name"] == name);
            found.expect("listed")["servers"].clone()
        };
        let plain = root.get("/hub/api/users").await.expect(200).json();
        assert_eq!(model(plain, "ada"), json!({}));
        let path = "/hub/api/users?include_stopped_servers";
        let all = root.get(path).await.expect(200).json();
        for name in ["ada", "eve"] {
            let server = model(all.clone(), name)[""].clone();
            assert_eq!(
                (&server["stopped"], &server["ready"]),
                (&json!(true), &json!(false))
            );
            assert_eq!(server["started"], Value::Null);
            assert_eq!(server["full_name"], format!("{name}/"));
        }
        // A filter lists those it names; one that names no people lists nobody.
        let some = delegate(&hub, &["list:users!user=eve", "list:users!user=ada"]).await;
        assert_eq!(listed(&some, "").await, ["ada", "eve"]);
        assert_eq!(listed(&some, "name_filter=EV").await, ["eve"]);
        assert_eq!(listed(&some, "state=active").await, Vec::<String>::new());
        add_people(&hub, &["fay".into()]).await;
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        db::groups::ensure(&mut tx, "staff", Millis(0))
            .await
            .expect("written");
        let fay = UserName::parse("fay").expect("a good name");
        let fay = db::users::find(&mut tx, &fay)
            .await
            .expect("read")
            .expect("there");
        db::groups::add_member(&mut tx, "staff", &fay.id)
            .await
            .expect("written");
        tx.commit().await.expect("written");
        for (scopes, total) in [
            (vec!["list:users!group=staff"], 1),
            (vec!["list:users!group=staff", "list:users!user=ada"], 2),
            (vec!["list:users!group=nobody"], 0),
        ] {
            let some = delegate(&hub, &scopes).await;
            let page = some
                .send(
                    Method::GET,
                    "/hub/api/users?limit=1",
                    &[("accept", "application/jupyterhub-pagination+json")],
                    Default::default(),
                )
                .await
                .expect(200)
                .json();
            assert_eq!(page["_pagination"]["total"], total, "{scopes:?}");
        }
        for scopes in [["list:users!server=ada/"], ["read:users!user=ada"]] {
            let none = delegate(&hub, &scopes).await;
            none.get("/hub/api/users").await.expect(403);
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scope_shows_its_fields() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_admin("root")
        .await
        .with_user("ada")
        .await;
    start_server(&hub, "ada").await;
    for (scopes, expect) in [
        (vec!["read:users:name"], "admin kind name user_info"),
        (vec!["read:users:groups"], "groups kind name"),
        (vec!["read:users:activity"], "kind last_activity name"),
        (vec!["read:roles:users"], "admin kind name roles"),
        (
            vec!["read:users"],
            "admin created groups kind last_activity name pending roles server user_info",
        ),
        (vec!["read:servers"], "admin kind name servers user_info"),
        (
            vec!["read:users:activity", "admin:auth_state"],
            "auth_state kind last_activity name",
        ),
        (
            vec!["read:users:activity", "read:servers!server=ada/"],
            "kind last_activity name servers",
        ),
        (
            vec!["read:users:activity", "read:servers!server=ada/gpu"],
            "kind last_activity name",
        ),
    ] {
        let holder = delegate(&hub, &scopes).await;
        let model = holder.get("/hub/api/users/ada").await.expect(200).json();
        let fields: Vec<&str> = model
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(fields.join(" "), expect, "{scopes:?}");
        if let Some(server) = model["servers"].get("") {
            assert!(server.get("state").is_none(), "{server}");
        }
    }
    let none = delegate(&hub, &["admin:server_state"]).await;
    none.get("/hub/api/users/ada").await.expect(404);
    let state = delegate(&hub, &["read:servers", "admin:server_state"]).await;
    let model = state.get("/hub/api/users/ada").await.expect(200).json();
    assert!(model["servers"][""]["state"].is_object(), "{model}");
}
