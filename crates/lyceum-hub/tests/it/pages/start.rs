//! Starting, watching and stopping by page.

use lyceum_testkit::{TestDb, TestHub};

use crate::kit::{program, quoted, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn forms_say_what_is_wrong_with_a_name() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    for (name, said) in [
        ("", "Give the new server a name"),
        ("GPU", "lower-case letters"),
        ("<script>alert(1)</script>", "lower-case letters"),
        ("\0", "lower-case letters"),
        (&"a".repeat(100_000), "longer than 30"),
    ] {
        let page = ada
            .post_form("/hub/servers/add", &[("server", name)])
            .await
            .expect(400)
            .text();
        assert!(page.contains(said), "{name:.30}: {page:.3000}");
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.len() < 30_000, "{name:.30}: {}", page.len());
    }
    for name in ["a", "b", "c"] {
        ada.post_form("/hub/servers/add", &[("server", name)])
            .await
            .expect(302);
    }
    let page = ada
        .post_form("/hub/servers/add", &[("server", "d")])
        .await
        .expect(400)
        .text();
    assert!(
        page.contains("You may have 3 named servers; remove one"),
        "{page}"
    );
    assert!(hub.spawner.orders().len() <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_after_a_form_stays_here() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    for next in ["//evil.example", "http://evil.example", "/\\evil.example"] {
        start_server(&hub, "ada").await;
        let fields = [("user", "ada"), ("server", ""), ("next", next)];
        let answer = ada.post_form("/hub/servers/stop", &fields).await;
        assert_eq!(answer.expect(302).location(), "/hub/home");
    }
    start_server(&hub, "ada").await;
    // Ready: the page leads on, into this server only.
    for (next, to) in [
        ("/user/ada/lab", "/user/ada/lab"),
        ("/hub/user/ada/lab", "/user/ada/lab"),
        ("/user/eve/lab", "/user/ada/"),
        ("/user/ada/../eve/lab", "/user/ada/"),
        ("/user/ada/%2e%2e/%2e%2e/hub/logout", "/user/ada/"),
        ("/hub/logout", "/user/ada/"),
        ("//evil.example/user/ada/", "/user/ada/"),
    ] {
        let path = format!("/hub/spawn-pending/ada?next={}", quoted(next));
        assert_eq!(ada.get(&path).await.expect(302).location(), to, "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_can_stop_anybodys_server() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    start_server(&hub, "ada").await;
    let root = hub.signed_in("root").await;
    let fields = [("user", "ada"), ("server", ""), ("next", "/hub/admin")];
    let answer = root.post_form("/hub/servers/stop", &fields).await;
    assert_eq!(answer.expect(302).location(), "/hub/admin");
    assert!(hub.spawner.running().is_empty());
    let model = program(&hub, "root").await;
    let model = model.get("/hub/api/users/ada").await.expect(200).json();
    assert_eq!(model["servers"], serde_json::json!({}));
}
