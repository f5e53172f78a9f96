//! The life of a server, from the log-in to "gone".

use lyceum_testkit::{TestDb, TestHub};

#[tokio::test(flavor = "multi_thread")]
async fn from_log_in_to_log_out() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Signals and Systems"), "{home}");

        let pending = ada
            .post_form("/hub/servers/start", &[("user", "ada"), ("server", "")])
            .await
            .expect(302);
        assert_eq!(pending.location(), "/hub/spawn-pending/ada");
        let token = hub.token("ada").await;
        let program = hub.client().with_token(&token);
        let progress = program
            .get("/hub/api/users/ada/server/progress")
            .await
            .expect(200)
            .text();
        assert!(progress.contains("\"ready\":true"), "{progress}");
        assert_eq!(
            ada.get("/hub/spawn-pending/ada")
                .await
                .expect(302)
                .location(),
            "/user/ada/"
        );
        assert_eq!(
            ada.get("/user/ada/lab").await.expect(200).text(),
            "the server of ada at /user/ada/lab"
        );

        // Nobody else gets through, and the hub's cookies stay with the hub.
        hub.client().get("/user/ada/lab").await.expect(403);
        let language = [("language", "de")];
        ada.post_form("/hub/language", &language).await.expect(302);
        let seen = ada.get("/user/ada/headers").await.expect(200).text();
        for hidden in ["lyceum-access", "hub-login", "lyceum-language"] {
            assert!(!seen.contains(hidden), "{seen}");
        }

        ada.post_form("/hub/servers/stop", &[("user", "ada"), ("server", "")])
            .await
            .expect(302);
        ada.get("/user/ada/lab").await.expect(302);
        ada.post_form("/hub/logout", &[]).await.expect(302);
        assert!(
            ada.get("/hub/home")
                .await
                .expect(302)
                .location()
                .starts_with("/hub/login")
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_opens_its_owners_servers_only() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let hub = hub.with_user("ada").await.with_admin("root").await;
    let ada = hub.client().with_token(&hub.token("ada").await);
    let body = serde_json::json!({});
    let started = ada.post_json("/hub/api/users/ada/server", &body).await;
    started.expect(201);
    let root = hub.signed_in("root").await;
    root.get("/user/ada/lab").await.expect(403);
    let page = root.get("/hub/user/ada/lab").await.expect(403).text();
    assert!(page.contains("owner"), "{page}");
    // A program that was given the right may.
    let program = hub.client().with_token(&hub.token("root").await);
    program.get("/user/ada/lab").await.expect(200);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_takes_away_is_gone_here_too() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let token = hub.token("ada").await;
        let program = hub.client().with_token(&token);
        let body = serde_json::json!({});
        let started = program.post_json("/hub/api/users/ada/server", &body).await;
        started.expect(201);
        let ada = hub.signed_in("ada").await;
        ada.get("/user/ada/lab").await.expect(200);

        // As the command line does it for a new password, on a connection of its own.
        let other = db.another().await;
        let name = lyceum_model::name::UserName::parse("ada").expect("a good name");
        let mut tx = other.write().await.expect("a transaction");
        let user = lyceum_hub::db::users::find(&mut tx, &name)
            .await
            .expect("read");
        let user = user.expect("the user is there");
        lyceum_hub::db::sessions::end_all(&mut tx, &user.id)
            .await
            .expect("written");
        let told = lyceum_hub::jobs::revocations::announce(&mut tx, "ada", hub.hub.now());
        told.await.expect("written");
        tx.commit().await.expect("written");

        program.get("/hub/api/user").await.expect(403);
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while ada.status("/user/ada/lab").await == 200 {
            assert!(
                std::time::Instant::now() < patience,
                "the proxy still lets her in"
            );
        }
        hub.stop().await;
    }
}
