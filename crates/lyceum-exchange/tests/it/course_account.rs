//! The account of a course's own server: a teacher of that course while its file says that it grades
//! there, and nobody otherwise.

use std::time::{Duration, Instant};

use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{Asker, NAMELESS, Stage, done, files, refused};

const PATIENCE: Duration = Duration::from_secs(60);
const DENIED: &str = "Permission denied";

fn write(stage: &Stage, id: &str, more: &str) {
    let text = format!("title: T\npeople: {{teachers: [tess], students: [ada, ben]}}\n{more}\n");
    stage.write_course(id, &text);
}

/// Tess starts the server of a course; what runs in it asks with its token.
async fn server_of(stage: &Stage, course: &str) -> Asker {
    stage.hub.give_courses_servers(&[(course, &["tess"])]);
    let account = format!("course:{course}");
    let fields = [("user", account.as_str()), ("server", "")];
    let tess = stage.hub.signed_in("tess").await;
    tess.post_form("/hub/servers/start", &fields)
        .await
        .expect(302);
    let begun = Instant::now();
    let token = loop {
        let mut started = stage.hub.spawner.orders().into_iter();
        if let Some(order) = started.find(|order| order.hub.user.as_str() == account) {
            break order.hub.api_token;
        }
        assert!(begun.elapsed() < PATIENCE, "it was not started");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    Asker(stage.hub.client().with_token(token.expose()))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_teaches_its_course() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        write(&stage, "bio", "formgrader: true");
        let server = server_of(&stage, "bio").await;
        let ada = stage.asks("ada").await;
        assert_eq!(server.told("courses").await, json!({ "courses": ["bio"] }));
        let release = "assignment/bio/hw";
        done(&server.post_files(release, &[("a.ipynb", "{}")]).await);
        let at = ada.submit("submission/bio/hw", &[("a.ipynb", "{1}")]).await;
        let told = server.told("submissions/bio/hw").await;
        assert_eq!(told["submissions"][0]["student_id"], "ada");
        let got = server.files("submission/bio/hw/ada").await;
        assert_eq!(got, [("a.ipynb".to_owned(), "{1}".to_owned())]);
        let back = files(&[("a.html", "well done")]);
        let fields = [("timestamp", at.as_str()), ("files", &back)];
        done(&server.post("feedback/bio/hw/ada", &fields).await);
        let seen = format!("feedback/bio/hw/ada?timestamp={}", at.replace(' ', "+"));
        assert_eq!(ada.files(&seen).await[0].1, "well done");
        done(&server.delete(release).await);
        done(&server.post_files(release, &[("b.ipynb", "{}")]).await);
        server.post("student/bio/eve", &NAMELESS).await.expect(200);
        // It is none of the course's people, and hands nothing in.
        let people = json!({ "instructors": ["tess"] });
        assert_eq!(names(&server, "instructors").await, people);
        let none = "The server of a course hands nothing in; people do";
        let given = server
            .post_files("submission/bio/hw", &[("b.ipynb", "")])
            .await;
        refused(&given, 403, none);
        let native = "/hub/api/lyceum/exchange/courses/bio";
        let told = server.0.get(native).await.expect(200).text();
        assert!(told.contains("hw"), "{told}");
    }
}

async fn names(asker: &Asker, what: &str) -> serde_json::Value {
    let told = asker.told(&format!("{what}/bio")).await;
    let all = told[what].as_array().expect("a list").iter();
    let all: Vec<_> = all.map(|one| one["username"].clone()).collect();
    json!({ what: all })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_nobody_elsewhere() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    write(&stage, "bio", "formgrader: true");
    write(&stage, "chem", "formgrader: true");
    let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
    tess.post_files("assignment/chem/hw", &[("a", "1")])
        .await
        .expect(200);
    ada.submit("submission/chem/hw", &[("a", "2")]).await;
    let server = server_of(&stage, "bio").await;
    for path in [
        "assignments/chem",
        "assignment/chem/hw",
        "submissions/chem/hw",
        "submission/chem/hw/ada",
        "students/chem",
        "instructors/chem",
    ] {
        refused(&server.get(path).await, 403, DENIED);
    }
    let native = "/hub/api/lyceum/exchange/courses/chem";
    server.0.get(native).await.expect(404);
    refused(
        &server.post_files("assignment/chem/new", &[]).await,
        403,
        DENIED,
    );
    refused(&server.delete("assignment/chem/hw").await, 403, DENIED);
    refused(
        &server.post("student/chem/eve", &NAMELESS).await,
        403,
        DENIED,
    );
    // A course that was made by request, of a name that its account would have.
    let root = stage.asks("root").await;
    root.post("course/course:bio", &[]).await.expect(200);
    refused(&server.get("assignments/course:bio").await, 403, DENIED);
    // What administrators do it does not, in its own course neither.
    refused(&server.post("course/new", &[]).await, 403, DENIED);
    refused(&server.delete("course/bio").await, 403, DENIED);
    let made = server.post("instructor/bio/ada", &NAMELESS).await;
    assert_ne!(made.status.as_u16(), 200, "{}", made.text());
    assert_eq!(
        names(&tess, "instructors").await,
        json!({ "instructors": ["tess"] })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_nobody_once_the_file_says_no_more_that_it_grades() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    write(&stage, "bio", "formgrader: true");
    let server = server_of(&stage, "bio").await;
    server
        .post_files("assignment/bio/hw", &[])
        .await
        .expect(200);
    for more in [
        "server: true",
        "formgrader: true\nvisible: archived",
        "formgrader: false",
    ] {
        write(&stage, "bio", more);
        refused(&server.get("assignments/bio").await, 403, DENIED);
        refused(&server.get("submissions/bio/hw").await, 403, DENIED);
        refused(
            &server.post_files("assignment/bio/new", &[]).await,
            403,
            DENIED,
        );
        assert_eq!(
            server.told("courses").await,
            json!({ "courses": [] }),
            "{more}"
        );
    }
    write(&stage, "bio", "formgrader: true\nvisible: private");
    server.get("submissions/bio/hw").await.expect(200);
    stage.remove_course_file("bio");
    refused(
        &server.get("assignments/bio").await,
        404,
        "Course not found",
    );
}
