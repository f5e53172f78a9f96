//! What is told in the event log, and what is not.

use std::path::Path;
use std::time::Duration;

use lyceum_hub::event_log::Target;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::program;

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

fn target(folder: &Path) -> Target {
    Target {
        file: folder.join("events"),
        size: 1_000_000,
        keep: 1,
    }
}

/// The lines without their times and ids, in no order: what the keeper tells of comes when it comes.
async fn told(hub: &TestHub, folder: &Path, many: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(folder.join("events")).unwrap_or_default();
    let waiting = async {
        while read().lines().count() < many {
            tokio::task::yield_now().await;
        }
    };
    // What is missing is shown by the comparison.
    let _ = tokio::time::timeout(LONG, waiting).await;
    hub.hub.event_log().close();
    let text = read();
    let lines = text.lines().map(|line| {
        let mut event: Value = serde_json::from_str(line).expect("JSON");
        let fields = event.as_object_mut().expect("an object");
        let at = fields.remove("__timestamp__").expect("a time");
        assert!(at.as_str().expect("a text").ends_with('Z'), "{at}");
        assert_eq!(fields.remove("__schema_version__"), Some(json!("1")));
        assert_eq!(fields.remove("__metadata_version__"), Some(json!(1)));
        if let Some(id) = fields.get_mut("token_id") {
            assert!(id.as_str().expect("a text").starts_with('a'), "{id}");
            *id = "<id>".into();
        }
        event.to_string()
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_sessions_and_tokens_are_told() {
    const SERVER: &str = "https://schema.jupyter.org/jupyterhub/events/server-action";
    const SESSION: &str = "urn:lyceum:events:session-action";
    const TOKEN: &str = "urn:lyceum:events:token-action";
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let hub = hub.with_user("ada").await;
        let folder = tempfile::tempdir().expect("a folder");
        let root = program(&hub, "root").await;
        let tokens = "/hub/api/users/ada/tokens";
        // Before there is a log nothing waits for one.
        root.post_json(tokens, &json!({})).await.expect(201);
        hub.hub.event_log().open(Some(target(folder.path())));

        let browser = hub.signed_in("ada").await;
        let made = root.post_json(tokens, &json!({})).await.expect(201).json();
        let id = made["id"].as_str().expect("an id");
        root.delete(&format!("{tokens}/{id}")).await.expect(204);
        for server in ["server", "servers/gpu"] {
            let server = format!("/hub/api/users/ada/{server}");
            root.post_json(&server, &json!({})).await.expect(201);
            root.delete(&server).await.expect(204);
        }
        // Refused, so nothing has happened.
        hub.client().log_in("ada", "wrong").await.expect(403);
        hub.client().post_json(tokens, &json!({})).await.expect(403);
        browser
            .post_form("/hub/token/new", &[("note", "mine")])
            .await
            .expect(200);
        browser.post_form("/hub/logout", &[]).await.expect(302);

        let server = |action: &str, name: &str| json!({ "__schema__": SERVER, "action": action, "username": "ada", "servername": name });
        let session =
            |action: &str| json!({ "__schema__": SESSION, "action": action, "username": "ada" });
        let token = |action: &str, by: &str| json!({ "__schema__": TOKEN, "action": action, "username": "ada", "token_id": "<id>", "by": by });
        let mut expect = [
            session("sign-in"),
            token("make", "root"),
            token("revoke", "root"),
            server("start", ""),
            server("stop", ""),
            server("start", "gpu"),
            server("stop", "gpu"),
            token("make", "ada"),
            session("sign-out"),
        ]
        .map(|event| event.to_string());
        expect.sort_unstable();
        assert_eq!(told(&hub, folder.path(), expect.len()).await, expect);
        assert_eq!(hub.hub.event_log().lost().get(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_file_is_written_from_its_edit_on() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_admin("root").await;
    let root = program(&hub, "root").await;
    let folder = tempfile::tempdir().expect("a folder");
    let named = |name: &str| Target {
        file: folder.path().join(name),
        ..target(folder.path())
    };
    let log = hub.hub.event_log();
    for wish in [
        Some(named("one")),
        Some(named("one")),
        Some(named("two")),
        None,
    ] {
        log.open(wish);
        let tokens = "/hub/api/users/root/tokens";
        root.post_json(tokens, &json!({})).await.expect(201);
    }
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        text.lines().count()
    };
    let waiting = async {
        while (lines("one"), lines("two")) != (2, 1) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(LONG, waiting).await;
    assert!(waited.is_ok(), "{} and {}", lines("one"), lines("two"));
    // What came when there was no file any more is nowhere.
    log.close();
    assert_eq!((lines("one"), lines("two")), (2, 1));
    assert_eq!(log.lost().get(), 0);
}
