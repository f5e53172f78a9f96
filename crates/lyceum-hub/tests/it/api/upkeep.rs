//! What administrators do by programs and JupyterHub has no word for.

use hyper::Method;
use lyceum_hub::course_work::Mistake;
use lyceum_hub::launch::{FaultyFile, Holds};
use lyceum_model::clock::Millis;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::cookie;
use serde_json::{Value, json};

use crate::grants::{group, role};
use crate::kit::{Socket, program, send_json, start_server};

const MAINTENANCE: &str = "/hub/api/lyceum/maintenance";

async fn hub(db: &TestDb) -> TestHub {
    let hub = TestHub::start(db).await.with_user("ada").await;
    hub.with_user("eve").await.with_admin("root").await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_kept_out_reaches_nothing_by_anything_she_holds() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        start_server(&hub, "ada").await;
        let (ada, root) = (program(&hub, "ada").await, program(&hub, "root").await);
        let browser = hub.signed_in("ada").await;
        let mut socket = Socket::by_cookie(&hub, &browser).await;
        let path = "/hub/api/lyceum/users/ada/block";
        let state = root.get(path).await.expect(200).json();
        assert_eq!(state, json!({ "blocked": false, "since": null }));
        for _ in 0..2 {
            send_json(&root, Method::PUT, path, &json!({}))
                .await
                .expect(204);
        }
        socket.assert_ends().await;
        for asked in ["/hub/api/user", "/hub/api/users/ada", "/user/ada/api"] {
            ada.get(asked).await.expect(403);
        }
        let nothing = json!({});
        let start = ada.post_json("/hub/api/users/ada/server", &nothing);
        start.await.expect(403);
        browser.get("/hub/home").await.expect(302);
        let login = hub.client().log_in("ada", PASSWORD).await;
        assert_ne!(login.status, 302, "{}", login.text());
        let state = root.get(path).await.expect(200).json();
        assert_eq!(state["blocked"], true);
        assert!(state["since"].is_string(), "{state}");
        for _ in 0..2 {
            root.delete(path).await.expect(204);
        }
        ada.get("/hub/api/user").await.expect(200);
        browser.get("/hub/home").await.expect(200);
        // There is always somebody left who may do this.
        let herself = "/hub/api/lyceum/users/root/block";
        send_json(&root, Method::PUT, herself, &json!({}))
            .await
            .expect(400);
        send_json(&ada, Method::PUT, herself, &json!({}))
            .await
            .expect(403);
        root.get("/hub/api/lyceum/users/nobody/block")
            .await
            .expect(404);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        start_server(&hub, "ada").await;
        let root = program(&hub, "root").await;
        let here = hub.signed_in("ada").await;
        let there = hub.client().with_header("user-agent", "curl/8.5.0");
        there.log_in("ada", PASSWORD).await.expect(302);
        let mut socket = Socket::by_cookie(&hub, &there).await;
        let mut other = Socket::by_cookie(&hub, &here).await;
        let path = "/hub/api/lyceum/users/ada/sessions";
        let ids = async || -> Vec<Value> {
            let told = root.get(path).await.expect(200).json();
            told["sessions"].as_array().expect("a list").clone()
        };
        let all = ids().await;
        assert_eq!(all.len(), 2);
        let id = there.cookie(cookie::SESSION_ID).expect("a session");
        let one = all.iter().find(|one| one["id"] == id.as_str());
        let one = one.expect("it is among them");
        assert_eq!(one["agent"], "curl/8.5.0");
        assert_eq!(one["method"], Value::Null);
        // Of somebody else's it is not there.
        let eves = format!("/hub/api/lyceum/users/eve/sessions/{id}");
        root.delete(&eves).await.expect(404);
        root.delete(&format!("{path}/{id}")).await.expect(204);
        socket.assert_ends().await;
        there.get("/hub/home").await.expect(302);
        here.get("/hub/home").await.expect(200);
        root.delete(&format!("{path}/{id}")).await.expect(404);
        assert_eq!(ids().await.len(), 1);
        let ended = root.delete(path).await.expect(200).json();
        assert_eq!(ended, json!({ "ended": 1 }));
        other.assert_ends().await;
        here.get("/hub/home").await.expect(302);
        let eve = program(&hub, "eve").await;
        eve.get(path).await.expect(403);
        eve.delete(path).await.expect(403);
        hub.stop().await;
    }
}

/// Whoever looks after one group reaches those in it, and no administrator.
#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_right_reaches_so_far() {
    for db in TestDb::both().await {
        let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
            role(
                &mut settings.grants,
                "keeper",
                &["admin:users!group=lab"],
                &["eve"],
            );
            group(&mut settings.grants, "lab", &["ada", "root"]);
        };
        let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let hub = hub.with_user("eve").await.with_admin("root").await;
        let eve = program(&hub, "eve").await;
        let roots = hub.signed_in("root").await;
        for (name, block, sessions) in [("ada", 204, 200), ("ben", 404, 404), ("root", 403, 403)] {
            let block_path = format!("/hub/api/lyceum/users/{name}/block");
            let blocked = send_json(&eve, Method::PUT, &block_path, &json!({})).await;
            blocked.expect(block);
            let path = format!("/hub/api/lyceum/users/{name}/sessions");
            eve.delete(&path).await.expect(sessions);
        }
        roots.get("/hub/home").await.expect(200);
        for path in [MAINTENANCE, "/hub/api/lyceum/configuration"] {
            eve.get(path).await.expect(403);
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_is_begun_and_ended() {
    for db in TestDb::both().await {
        let hub = hub(&db).await;
        let (ada, root) = (program(&hub, "ada").await, program(&hub, "root").await);
        let off = json!({ "on": false, "since": null, "until": null, "message": null, "by": null });
        assert_eq!(root.get(MAINTENANCE).await.expect(200).json(), off);
        for bad in [
            json!({ "until": "2020-01-01T00:00:00Z" }),
            json!({ "until": "soon" }),
            json!({ "until": "2999-01-01T00:00:00" }),
            json!({ "until": 7 }),
            json!({ "message": ["x"] }),
            json!({ "mesage": "New disks" }),
            json!([]),
            json!({ "message": "x".repeat(1001) }),
        ] {
            send_json(&root, Method::PUT, MAINTENANCE, &bad)
                .await
                .expect(400);
        }
        assert_eq!(root.get(MAINTENANCE).await.expect(200).json(), off);
        let until = hub.hub.now().plus(3_600_000).to_iso();
        let wish = json!({ "message": " New\ndisks ", "until": until });
        send_json(&ada, Method::PUT, MAINTENANCE, &wish)
            .await
            .expect(403);
        send_json(&root, Method::PUT, MAINTENANCE, &wish)
            .await
            .expect(204);
        let told = root.get(MAINTENANCE).await.expect(200).json();
        assert_eq!(told["on"], true);
        assert_eq!(told["until"], until);
        assert_eq!(told["message"], "New disks");
        assert_eq!(told["by"], "root");
        let nothing = json!({});
        let start = ada.post_json("/hub/api/users/ada/server", &nothing);
        let refused = start.await.expect(503).json();
        let said = refused["message"].as_str().expect("words");
        assert!(said.contains("Maintenance is under way"), "{said}");
        root.get("/hub/api/user").await.expect(200);
        for _ in 0..2 {
            root.delete(MAINTENANCE).await.expect(204);
        }
        assert_eq!(root.get(MAINTENANCE).await.expect(200).json(), off);
        start_server(&hub, "ada").await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_the_configuration_is_told() {
    let db = TestDb::sqlite().await;
    let hub = hub(&db).await;
    let path = "/hub/api/lyceum/configuration";
    let root = program(&hub, "root").await;
    let told = root.get(path).await.expect(200).json();
    assert_eq!(told["problem"], Value::Null);
    let mut settings = (*hub.hub.settings()).clone();
    settings.config_state.generation = 7;
    settings.config_state.source = Some("/etc/lyceum.yaml".into());
    settings.config_state.problem = Some((1_795_248_000_000, "3:3: nmae".into()));
    hub.hub.reload(settings).await;
    let told = root.get(path).await.expect(200).json();
    assert_eq!(told["generation"], 7);
    assert_eq!(told["source"], "/etc/lyceum.yaml");
    let problem = json!({ "at": "2026-11-21T08:00:00.000000Z", "text": "3:3: nmae" });
    assert_eq!(told["problem"], problem);
    assert_eq!(told["course_files"], json!([]));
    let mistake = Mistake {
        line: Some(3),
        words: "unknown key `peopel`".into(),
    };
    hub.break_course_files(vec![
        FaultyFile {
            course: None,
            file: "/courses".into(),
            mistakes: Vec::new(),
            holds: Holds::AllEarlier,
        },
        FaultyFile {
            course: None,
            file: "/courses/No Id.yaml".into(),
            mistakes: Vec::new(),
            holds: Holds::Nothing,
        },
        FaultyFile {
            course: Some("bio".into()),
            file: "/courses/bio.yaml".into(),
            mistakes: vec![mistake],
            holds: Holds::Earlier(Some(Millis(1_795_248_000_000))),
        },
    ]);
    let told = root.get(path).await.expect(200).json();
    let expect = json!([
        {
            "course": null, "file": "/courses", "mistakes": [], "in_force": "all_earlier",
            "written": null,
        },
        {
            "course": null, "file": "/courses/No Id.yaml", "mistakes": [], "in_force": "nothing",
            "written": null,
        },
        {
            "course": "bio", "file": "/courses/bio.yaml", "in_force": "earlier",
            "mistakes": [{ "line": 3, "text": "unknown key `peopel`" }],
            "written": "2026-11-21T08:00:00.000000Z",
        },
    ]);
    assert_eq!(told["course_files"], expect);
    program(&hub, "ada").await.get(path).await.expect(403);
    hub.stop().await;
}
