//! Services as callers, in the API, and behind the proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lyceum_hub::grants::Service;
use lyceum_testkit::TestDb;
use lyceum_testkit::fake::{Manner, NotebookServer, hub_env};
use serde_json::json;

use super::{as_service, fields, granting, group, reload, role, service};
use crate::kit::{program, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_what_its_roles_make_of_it() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            group(grants, "course", &["ada"]);
            service(grants, "idle", |_| {});
            service(grants, "culler", |_| {});
            service(grants, "boss", |service| service.admin = true);
            let scopes = [
                "list:users!group=course",
                "read:servers!group=course",
                "delete:servers!group=course",
                "access:servers!group=course",
                "read:services!service",
            ];
            role(grants, "culls", &scopes, &["service:culler"]);
        })
        .await;
        let idle = as_service(&hub, "idle");
        let who = idle.get("/hub/api/user").await.expect(200).json();
        assert_eq!(
            who,
            json!({
                "kind": "service", "name": "idle", "admin": false, "session_id": null,
                "token_id": "s-idle", "scopes": [],
            })
        );
        idle.get("/hub/api/users").await.expect(403);
        idle.get("/hub/api/users/ada").await.expect(403);
        idle.get("/hub/api/services").await.expect(403);
        idle.get("/hub/api/services/idle").await.expect(403);
        // It is nobody: nothing that is for people opens.
        idle.get("/hub/home").await.expect(302);
        let made = idle
            .post_json("/hub/api/users/ada/tokens", &json!({}))
            .await;
        made.expect(403);

        let culler = as_service(&hub, "culler");
        start_server(&hub, "ada").await;
        start_server(&hub, "ben").await;
        let list = culler.get("/hub/api/users").await.expect(200).json();
        let names: Vec<_> = list.as_array().expect("a list").iter().collect();
        assert_eq!(names.len(), 1, "{list}");
        assert_eq!(list[0]["name"], "ada");
        assert_eq!(culler.get("/user/ada/api").await.status, 200);
        assert_eq!(culler.get("/user/ben/api").await.status, 403);
        culler.delete("/hub/api/users/ada/server").await.expect(204);
        culler.delete("/hub/api/users/ben/server").await.expect(404);
        let own = culler.get("/hub/api/services/culler").await.expect(200);
        let own = own.json();
        culler.get("/hub/api/services/idle").await.expect(404);
        assert_eq!(
            fields(&own),
            [
                "admin", "command", "display", "info", "kind", "name", "pid", "prefix", "url"
            ]
        );

        let boss = as_service(&hub, "boss");
        let all = boss.get("/hub/api/services").await.expect(200).json();
        assert_eq!(fields(&all), ["boss", "culler", "idle"]);
        assert_eq!(all["culler"]["roles"], json!(["culls"]));
        assert_eq!(all["boss"]["roles"], json!(["admin"]));
        assert_eq!(all["boss"]["admin"], true);
        boss.get("/hub/api/services/none").await.expect(404);
        // A service makes tokens for people, within what it holds.
        let made = boss
            .post_json("/hub/api/users/ada/tokens", &json!({}))
            .await;
        made.expect(201);

        // A service that is gone, or whose token is another, is nobody.
        reload(&hub, |grants| {
            grants.services.remove("culler");
            service(grants, "boss", |service| {
                service.admin = true;
                service.token_hash = Some(lyceum_hub::tokens::hash("another secret"));
            });
        })
        .await;
        for gone in [&culler, &boss] {
            gone.get("/hub/api/user").await.expect(403);
            assert_eq!(gone.get("/user/ben/api").await.status, 403);
        }
        let boss = hub.client().with_token("another secret");
        boss.get("/hub/api/users").await.expect(200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_made_and_deleted_while_all_runs() {
    for db in TestDb::both().await {
        let env = hub_env("nobody", "/services/made/");
        let behind = NotebookServer::start(env, Manner::Answers, Arc::default());
        let behind = behind.await.expect("a service");
        let hub = granting(&db, |grants| {
            service(grants, "fixed", |_| {});
            let scopes = ["admin:services", "list:users", "access:services"];
            role(grants, "keeper", &scopes, &["tess"]);
            role(grants, "one", &["admin:services!service=own"], &["ben"]);
        })
        .await;
        let (root, tess, ben) = (
            program(&hub, "root").await,
            program(&hub, "tess").await,
            program(&hub, "ben").await,
        );
        let made = "/hub/api/services/made";
        let secret = "a-token-of-a-service-by-the-api";
        let wish = json!({
            "url": format!("http://{}", behind.address), "api_token": secret,
            "oauth_no_confirm": true, "info": { "a": 1 },
        });
        // It could be made to act for whoever comes, and that is more than to make services.
        for body in [
            wish.clone(),
            json!({ "url": "http://127.0.0.1:9" }),
            json!({ "oauth_no_confirm": true }),
            json!({ "oauth_client_allowed_scopes": ["self"] }),
            json!({ "oauth_client_allowed_scopes": ["list:users", "tokens!user"] }),
        ] {
            tess.post_json(made, &body).await.expect(403);
        }
        let model = root.post_json(made, &wish).await.expect(201).json();
        assert_eq!(
            (&model["name"], &model["prefix"]),
            (&json!("made"), &json!("/services/made/"))
        );
        assert_eq!(tess.post_json(made, &wish).await.status, 409);
        let list = root.get("/hub/api/services").await.expect(200).json();
        assert_eq!(fields(&list), ["fixed", "made"]);
        hub.client().get("/services/made/api").await.expect(200);
        let own = hub.client().with_token(secret);
        let who = own.get("/hub/api/user").await.expect(200).json();
        assert_eq!(
            (&who["kind"], &who["scopes"]),
            (&json!("service"), &json!([]))
        );
        // It holds no more than its maker, nor does what people give it.
        let other = "/hub/api/services/other";
        for body in [
            json!({ "admin": true }),
            json!({ "oauth_client_allowed_scopes": ["read:users"] }),
            json!({ "oauth_client_allowed_scopes": ["nothing:like"] }),
            json!({ "command": ["x"] }),
            json!({ "colour": "red" }),
            json!({ "url": 7 }),
            json!({ "api_token": "short" }),
            json!({ "api_token": secret }),
            json!({ "oauth_client_id": "mine" }),
            json!({ "oauth_client_id": "service-made" }),
            json!({ "oauth_redirect_uri": "x" }),
            json!({}),
            json!([]),
        ] {
            let answer = tess.post_json(other, &body).await;
            assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        }
        let ftp = json!({ "url": "ftp://x" });
        root.post_json(other, &ftp).await.expect(400);
        let fits = json!({ "oauth_client_allowed_scopes": ["list:users"] });
        tess.post_json(other, &fits).await.expect(201);
        let boss = json!({ "admin": true, "api_token": "a-token-of-the-new-boss" });
        root.post_json("/hub/api/services/boss", &boss)
            .await
            .expect(201);
        let boss = hub.client().with_token("a-token-of-the-new-boss");
        boss.get("/hub/api/users").await.expect(200);
        ben.post_json(other, &fits).await.expect(404);
        ben.delete(made).await.expect(404);
        ben.post_json("/hub/api/services/own", &json!({ "display": false }))
            .await
            .expect(201);
        program(&hub, "ada").await.delete(made).await.expect(403);
        tess.delete("/hub/api/services/fixed").await.expect(405);
        tess.delete("/hub/api/services/none").await.expect(404);
        // It stays when the configuration is read again, and goes at once when it is deleted.
        reload(&hub, |grants| service(grants, "more", |_| {})).await;
        own.get("/hub/api/user").await.expect(200);
        let ada = hub.signed_in("ada").await;
        tess.delete(made).await.expect(200);
        own.get("/hub/api/user").await.expect(403);
        assert_ne!(ada.get("/services/made/api").await.status, 200);
        tess.get(made).await.expect(404);
        // Where the configuration names it too, the configuration's is in force.
        reload(&hub, |grants| service(grants, "boss", |_| {})).await;
        boss.get("/hub/api/user").await.expect(403);
        let boss = as_service(&hub, "boss");
        boss.get("/hub/api/users").await.expect(403);
        // Also where the rows do not know it yet.
        let late = Service {
            admin: true,
            token_hash: Some(lyceum_hub::tokens::hash("a-token-of-a-late-boss")),
            client_id: "service-late".into(),
            ..Service::default()
        };
        let mut tx = hub.hub.db().write().await.expect("a database");
        let row = lyceum_hub::services::row_of("boss", &late);
        let put = lyceum_hub::db::services::put(&mut tx, &row).await;
        put.expect("written");
        tx.commit().await.expect("written");
        let late = hub.client().with_token("a-token-of-a-late-boss");
        late.get("/hub/api/user").await.expect(403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_leads_to_a_service_without_the_hubs_cookies() {
    for db in TestDb::both().await {
        let (asked, of_other) = (Arc::<AtomicUsize>::default(), Arc::default());
        let start = |count| {
            let env = hub_env("nobody", "/services/grades/");
            NotebookServer::start(env, Manner::Answers, count)
        };
        let behind = start(Arc::clone(&asked)).await.expect("a service");
        let other = start(of_other).await.expect("another");
        let url = |server: &NotebookServer| Some(format!("http://{}", server.address));
        let hub = granting(&db, |grants| {
            service(grants, "grades", |service| service.url = url(&behind));
        })
        .await;
        let root = program(&hub, "root").await;
        let model = root
            .get("/hub/api/services/grades")
            .await
            .expect(200)
            .json();
        assert_eq!(model["prefix"], "/services/grades/");
        assert_eq!(model["url"], format!("http://{}", behind.address));
        // Anybody comes through; the service asks the hub who it is. What tells the hub does not.
        let ada = hub.signed_in("ada").await;
        let answer = ada.get("/services/grades/headers").await.expect(200);
        let (login, session) = ("jupyterhub-hub-login", "jupyterhub-session-id");
        assert!(ada.cookie(login).is_some());
        assert!(!answer.text().contains(login), "{}", answer.text());
        assert!(
            !answer.text().contains("lyceum-access"),
            "{}",
            answer.text()
        );
        assert!(answer.text().contains(session), "{}", answer.text());
        hub.client().get("/services/grades/api").await.expect(200);
        // Another address holds at once, and a service that is gone has no route.
        reload(&hub, |grants| {
            service(grants, "grades", |service| service.url = url(&other));
        })
        .await;
        let before = asked.load(Ordering::SeqCst);
        hub.client().get("/services/grades/api").await.expect(200);
        assert_eq!(asked.load(Ordering::SeqCst), before);
        reload(&hub, |grants| grants.services.clear()).await;
        let answer = hub.client().get("/services/grades/api").await;
        assert_ne!(answer.status, 200);
        hub.stop().await;
    }
}
