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
        let seen = ada.get("/user/ada/headers").await.expect(200).text();
        assert!(
            !seen.contains("lyceum-access") && !seen.contains("hub-login"),
            "{seen}"
        );

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
