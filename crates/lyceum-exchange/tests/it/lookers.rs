//! Those who look on, and those who are kept out.

use hyper::Method;
use lyceum_exchange::api::native::PREFIX;
use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{NAMELESS, Stage, done, refused};

#[tokio::test(flavor = "multi_thread")]
async fn observers_see_what_students_see_and_hand_nothing_in() {
    const BIO: &str =
        "title: Biology\npeople: {teachers: [tess], students: [ada], observers: [eve]}\n";
    const REFUSED: &str = "You are an observer in this course: observers hand nothing in";
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        stage.write_course("bio", BIO);
        let tess = stage.asks("tess").await;
        let (ada, eve) = (stage.asks("ada").await, stage.asks("eve").await);
        tess.post_files("assignment/bio/ps1", &[("a", "x")])
            .await
            .expect(200);
        ada.submit("submission/bio/ps1", &[("a", "hers")]).await;

        assert_eq!(eve.told("courses").await, json!({ "courses": ["bio"] }));
        let ps1 = json!({ "assignments": ["ps1"] });
        assert_eq!(eve.told("assignments/bio").await, ps1);
        let files = [("a".to_owned(), "x".to_owned())];
        assert_eq!(eve.files("assignment/bio/ps1").await, files);
        let native = format!("{PREFIX}courses/bio");
        let told = eve.0.get(&native).await.expect(200).json();
        assert_eq!(told["role"], "observer");

        // Nothing of hers comes in, by either way; nothing of others' goes out.
        let answer = eve.post_files("submission/bio/ps1", &[("a", "y")]).await;
        refused(&answer, 403, REFUSED);
        let form = [("content-type", "multipart/form-data; boundary=b")];
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ny\r\n--b--\r\n";
        let path = format!("{native}/assignments/ps1/submissions");
        let sent = eve.0.send(Method::POST, &path, &form, body.into());
        let answer = sent.await;
        assert_eq!(answer.status.as_u16(), 403, "{}", answer.text());
        assert!(answer.text().contains(REFUSED), "{}", answer.text());
        for path in [
            "submissions/bio/ps1",
            "submissions/bio/ps1/ada",
            "submission/bio/ps1/ada",
            "students/bio",
            "student/bio/ada",
        ] {
            refused(&eve.get(path).await, 403, "Permission denied");
        }
        let others = format!("{native}/submissions?student=ada");
        assert_eq!(eve.0.get(&others).await.status.as_u16(), 403);
        let own = eve
            .0
            .get(&format!("{native}/submissions"))
            .await
            .expect(200);
        assert_eq!(own.json()["submissions"], json!([]));
        for written in [
            eve.post_files("assignment/bio/ps2", &[("a", "x")]).await,
            eve.post("student/bio/ben", &NAMELESS).await,
            eve.delete("assignment/bio/ps1").await,
        ] {
            refused(&written, 403, "Permission denied");
        }

        // She is none of those who take it, until somebody who teaches it adds her.
        let students = tess.told("students/bio").await;
        assert_eq!(students["students"].as_array().map(Vec::len), Some(1));
        done(&tess.post("student/bio/eve", &NAMELESS).await);
        eve.submit("submission/bio/ps1", &[("a", "y")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_is_nothing_whoever_adds_her() {
    const BIO: &str = "title: Biology
people: {teachers: [tess], students: [ada, ben, 'group:late'], blocked: ['group:late', ben]}
";
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        // Before they were blocked.
        stage.write_course("bio", "title: Biology\npeople: {teachers: [tess]}\n");
        let root = stage
            .hub
            .client()
            .with_token(&stage.hub.token("root").await);
        root.post_json("/hub/api/groups/late", &json!({}))
            .await
            .expect(201);
        root.post_json("/hub/api/groups/late/users", &json!({ "users": ["eve"] }))
            .await
            .expect(200);
        let tess = stage.asks("tess").await;
        done(&tess.post("student/bio/eve", &NAMELESS).await);
        let (ben, eve) = (stage.asks("ben").await, stage.asks("eve").await);
        eve.get("assignments/bio").await.expect(200);

        stage.write_course("bio", BIO);
        for out in [&ben, &eve] {
            refused(&out.get("assignments/bio").await, 403, "Permission denied");
            assert_eq!(out.told("courses").await, json!({ "courses": [] }));
        }
        let students = tess.told("students/bio").await;
        let students = students["students"].as_array().expect("a list").clone();
        let names: Vec<&str> = students
            .iter()
            .filter_map(|student| student["username"].as_str())
            .collect();
        assert_eq!(names, ["ada"]);
        refused(
            &tess.post("student/bio/ben", &NAMELESS).await,
            409,
            "The course file keeps ben from taking this course (`people.blocked`)",
        );
        stage.write_course("bio", &BIO.replace(", blocked: ['group:late', ben]", ""));
        eve.get("assignments/bio").await.expect(200);
    }
}
