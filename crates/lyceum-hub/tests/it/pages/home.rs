//! The home page: services one may open, and what servers are called.

use lyceum_testkit::TestDb;

use crate::grants::{granting, role, service};
use crate::kit::start_server;

#[tokio::test(flavor = "multi_thread")]
async fn services_are_shown_to_those_who_may_open_them() {
    for db in TestDb::both().await {
        let hub = granting(&db, |grants| {
            for (name, url, display) in [
                ("grader", Some("http://127.0.0.1:9"), true),
                ("hidden", Some("http://127.0.0.1:9"), false),
                ("culler", None, true),
                ("secret", Some("http://127.0.0.1:9"), true),
            ] {
                service(grants, name, |service| {
                    service.url = url.map(str::to_owned);
                    service.display = display;
                });
            }
            let scopes = ["grader", "hidden", "culler"]
                .map(|name| format!("access:services!service={name}"));
            let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
            role(grants, "opens", &scopes, &["ada"]);
        })
        .await;
        for (who, expect) in [
            ("ada", vec!["grader"]),
            ("ben", vec![]),
            ("root", vec!["grader", "secret"]),
        ] {
            let home = hub.signed_in(who).await.get("/hub/home").await;
            let home = home.expect(200).text();
            // The frame has links of its own.
            let (_, section) = home.split_once("<h2 id=\"services\"").unwrap_or_default();
            let links = section.split("href=\"/services/").skip(1);
            let links: Vec<&str> = links.filter_map(|rest| rest.split('/').next()).collect();
            assert_eq!(links, expect, "{who}: {home}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_rest_gets_another_name() {
    for db in TestDb::both().await {
        let hub = granting(&db, |_| {}).await;
        start_server(&hub, "ada").await;
        let ada = hub.signed_in("ada").await;
        let named = async |title: &str| {
            let fields = [("server", ""), ("title", title)];
            ada.post_form("/hub/servers/title", &fields).await
        };
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(!home.contains("servers/title"), "{home}");
        named("Thesis").await.expect(400);
        ada.post_form("/hub/servers/stop", &[("server", "")])
            .await
            .expect(302);
        for bad in ["", "two  spaces", "a\nb", &"x".repeat(300)] {
            let page = named(bad).await.expect(400).text();
            assert!(page.contains("printable characters"), "{bad:?}: {page}");
        }
        named("Thesis <b>& co").await.expect(302);
        let home = ada.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Thesis &lt;b&gt;&amp; co"), "{home}");
        let fields = [("server", "no-such"), ("title", "x")];
        ada.post_form("/hub/servers/title", &fields)
            .await
            .expect(404);
        hub.stop().await;
    }
}
