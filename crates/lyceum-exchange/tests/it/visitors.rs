//! Who is let in, by what, at which host; and what is not there.

use hyper::Method;
use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{Asker, FORM, Stage, refused};

#[tokio::test(flavor = "multi_thread")]
async fn only_people_with_good_tokens() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let ada = stage.hub.token("ada").await;
    let client = || stage.hub.client();
    for scheme in ["token", "Token", "Bearer"] {
        let value = format!("{scheme} {ada}");
        let asker = Asker(client().with_header("authorization", &value));
        assert_eq!(asker.told("courses").await, json!({ "courses": ["bio"] }));
    }
    let nobody = [
        Asker(client()),
        Asker(client().with_token("wrong")),
        Asker(client().with_header("authorization", &format!("Basic {ada}"))),
    ];
    for asker in &nobody {
        for path in [
            "courses",
            &format!("courses?token={ada}"),
            "assignment/bio/hw",
            "submissions/bio/hw",
            "feedback/bio/hw/ada",
        ] {
            let answer = asker.get(path).await;
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(answer.json()["success"], false);
        }
        let answer = asker
            .post("submission/bio/hw?user=ada", &[("user", "ada")])
            .await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["success"], false);
    }
    nobody[0].get("healthz").await.expect(200);
}

/// A token that a notebook server gets for its visitor, say, is of no use here.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_needs_the_scope_of_the_service() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let tess = stage.asks("tess").await;
    for (scopes, expect) in [
        (json!(["access:services!service=ngshare"]), 200),
        (json!(["self"]), 403),
        (json!(["access:servers!server=tess/"]), 403),
        (json!(["inherit"]), 200),
    ] {
        let asked = json!({ "scopes": scopes });
        let made = tess.0.post_json("/hub/api/users/tess/tokens", &asked).await;
        let made = made.expect(201).json();
        let token = made["token"].as_str().expect("a token");
        let asker = Asker(stage.hub.client().with_token(token));
        let answer = asker.get("courses").await;
        assert_eq!(answer.status, expect, "{scopes}: {}", answer.text());
    }
    // An administrator's stays an administrator's.
    let root = stage.asks("root").await;
    let asked = json!({ "scopes": ["access:services!service=ngshare"] });
    let made = root.0.post_json("/hub/api/users/root/tokens", &asked).await;
    let made = made.expect(201).json();
    let token = made["token"].as_str().expect("a token");
    let asker = Asker(stage.hub.client().with_token(token));
    asker.post("course/new", &[]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_notebook_server_is_good() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let ada = stage.asks("ada").await;
    ada.0
        .post_json("/hub/api/users/ada/server", &json!({}))
        .await
        .expect(201);
    let orders = stage.hub.spawner.orders();
    let token = orders[0].hub.api_token.expose().to_owned();
    let server = Asker(stage.hub.client().with_token(&token));
    assert_eq!(server.told("courses").await, json!({ "courses": ["bio"] }));
    // Whoever calls is who she is, whatever she says.
    let tess = stage.asks("tess").await;
    tess.post_files("assignment/bio/hw", &[]).await.expect(200);
    let fields = [("user", "ben"), ("files", "[]")];
    server
        .post("submission/bio/hw?user=ben", &fields)
        .await
        .expect(200);
    let told = tess.told("submissions/bio/hw").await;
    assert_eq!(told["submissions"][0]["student_id"], "ada");
}

/// A notebook that an administrator opens may be anybody's.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_notebook_server_administers_nothing() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let root = stage.asks("root").await;
    root.0
        .post_json("/hub/api/users/root/server", &json!({}))
        .await
        .expect(201);
    let orders = stage.hub.spawner.orders();
    let token = orders[0].hub.api_token.expose().to_owned();
    let server = Asker(stage.hub.client().with_token(&token));
    let denied = "Permission denied";
    refused(&server.post("course/new", &[]).await, 403, denied);
    refused(&server.get("assignments/bio").await, 403, denied);
    assert_eq!(server.told("courses").await, json!({ "courses": [] }));
    root.get("assignments/bio").await.expect(200);
}

/// The cookie is not sent there by browsers where all have one host; if it comes, it is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_a_form_token_changes_nothing() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let tess = stage.asks("tess").await;
    tess.post_files("assignment/bio/hw", &[]).await.expect(200);
    let browser = stage.hub.signed_in("ada").await;
    let login = browser.cookie("jupyterhub-hub-login").expect("a session");
    browser.plant("jupyterhub-hub-login", &login, "/");
    let xsrf = browser.cookie("_xsrf").expect("a form token");
    let send = async |headers: &[(&str, &str)]| {
        let path = "/services/ngshare/submission/bio/hw";
        let body = "files=%5B%5D";
        browser.send(Method::POST, path, headers, body.into()).await
    };
    let plain = send(&[("content-type", FORM)]).await;
    assert_eq!(plain.status, 403, "{}", plain.text());
    let wrong = send(&[("content-type", FORM), ("x-xsrftoken", "wrong")]).await;
    assert_eq!(wrong.status, 403, "{}", wrong.text());
    let none = json!({ "submissions": [] });
    assert_eq!(tess.told("submissions/bio/hw").await, none);
    let good = send(&[("content-type", FORM), ("x-xsrftoken", &xsrf)]).await;
    assert_eq!(good.status, 200, "{}", good.text());
}

/// Inside a cluster clients know no other name.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_name_that_clusters_give_the_proxy() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let token = stage.hub.token("ada").await;
    let client = stage.hub.client().with_token(&token);
    let answer = client
        .get("http://proxy-public/services/ngshare/courses")
        .await;
    assert_eq!(answer.expect(200).json()["courses"], json!(["bio"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let db = TestDb::sqlite().await;
    let stage = Stage::with_course(&db).await;
    let root = stage.asks("root").await;
    for path in [
        "none",
        "courses/",
        "assignments/bio/",
        "course/bio/x/y/z",
        "assignments/",
    ] {
        let answer = root.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(answer.text().contains("<h1>"), "{}", answer.text());
    }
    for (method, path) in [
        (Method::POST, "courses"),
        (Method::PUT, "course/bio"),
        (Method::GET, "course/bio"),
        (Method::DELETE, "submissions/bio/hw"),
    ] {
        let path = format!("/services/ngshare/{path}");
        let answer = root.0.send(method.clone(), &path, &[], "".into()).await;
        assert_eq!(answer.status, 405, "{method} {path}");
    }
    let dump = root.get("initialize-Data6ase?action=dump").await;
    refused(&dump, 403, "Debug mode is off");
}
