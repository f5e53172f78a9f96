//! Courses: made by administrators, described by files, listed, removed.

use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{NAMELESS, Stage, done, refused};

#[tokio::test(flavor = "multi_thread")]
async fn administrators_make_and_delete_courses() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
        refused(
            &tess.post("course/bio", &[]).await,
            403,
            "Permission denied",
        );
        let bad = "Instructors cannot be JSON decoded";
        for text in ["x", "{}", "[1]", "[\"tess\""] {
            refused(
                &root.post("course/bio", &[("instructors", text)]).await,
                400,
                bad,
            );
        }
        assert_eq!(root.told("courses").await, json!({ "courses": [] }));
        let wrong = root
            .post("course/bio", &[("instructors", r#"["a b"]"#)])
            .await;
        assert_eq!(wrong.status, 400, "{}", wrong.text());
        done(&root.post("course/zoo", &[]).await);
        // It may stand in the address as well.
        done(
            &root
                .post("course/bio?instructors=%5B%22tess%22%5D", &[])
                .await,
        );
        refused(
            &root.post("course/bio", &[]).await,
            409,
            "Course already exists",
        );
        refused(
            &tess.post("course/bio", &[]).await,
            403,
            "Permission denied",
        );
        assert_eq!(
            root.told("courses").await,
            json!({ "courses": ["bio", "zoo"] })
        );
        assert_eq!(tess.told("courses").await, json!({ "courses": ["bio"] }));
        let eve = stage.asks("eve").await;
        assert_eq!(eve.told("courses").await, json!({ "courses": [] }));

        refused(&tess.delete("course/bio").await, 403, "Permission denied");
        refused(&tess.delete("course/none").await, 403, "Permission denied");
        refused(&root.delete("course/none").await, 404, "Course not found");
        done(&root.delete("course/bio").await);
        refused(&root.delete("course/bio").await, 404, "Course not found");
        refused(&tess.get("assignments/bio").await, 404, "Course not found");
        assert_eq!(tess.told("courses").await, json!({ "courses": [] }));
        // Of the same name, and with nobody in it.
        done(&root.post("course/bio", &[]).await);
        refused(&tess.get("assignments/bio").await, 403, "Permission denied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_courses_are_free_and_safe() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    let root = stage.asks("root").await;
    for (name, path) in [("a b?ä", "a%20b%3F%C3%A4"), ("Bio", "Bio"), ("..a", "..a")] {
        done(&root.post(&format!("course/{path}"), &[]).await);
        let told = root.told("courses").await;
        let courses = told["courses"].as_array().expect("a list");
        assert!(courses.contains(&json!(name)), "{name}: {told}");
        assert_eq!(
            root.told(&format!("assignments/{path}")).await,
            json!({ "assignments": [] })
        );
    }
    for path in ["%0A", "a%2Fb", "%20", &"a".repeat(256)] {
        let answer = root.post(&format!("course/{path}"), &[]).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert_eq!(answer.json()["success"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_course_file_says_who_is_who_at_this_moment() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        let text = |more: &str| {
            format!(
                "title: Signals\npeople:\n  teachers: [tess]\n  graders: ['group:tutors']\n  students: [ada]\n{more}"
            )
        };
        stage.write_course("signals", &text(""));
        let root = stage.asks("root").await;
        let (tess, ada, ben) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
        );
        let signals = json!({ "courses": ["signals"] });
        for one in [&root, &tess, &ada] {
            assert_eq!(one.told("courses").await, signals);
        }
        refused(
            &root.post("course/signals", &[]).await,
            409,
            "Course already exists",
        );
        refused(
            &root.post("course/Signals", &[]).await,
            409,
            "Course already exists",
        );
        let kept = root.delete("course/signals").await;
        assert_eq!(kept.status, 409, "{}", kept.text());
        assert!(kept.text().contains("course file"), "{}", kept.text());
        refused(
            &ben.get("assignments/signals").await,
            403,
            "Permission denied",
        );

        // Of a group: a grader sees and gives back, and does not release.
        root.0
            .post_json("/hub/api/groups/tutors", &json!({}))
            .await
            .expect(201);
        let users = json!({ "users": ["ben"] });
        root.0
            .post_json("/hub/api/groups/tutors/users", &users)
            .await
            .expect(200);
        assert_eq!(ben.told("courses").await, signals);
        tess.post_files("assignment/signals/hw", &[("a", "x")])
            .await
            .expect(200);
        ben.get("submissions/signals/hw").await.expect(200);
        let release = ben.post_files("assignment/signals/hw2", &[]).await;
        refused(&release, 403, "Permission denied");
        let instructors = ada.told("instructors/signals").await;
        let names = |told: &serde_json::Value| -> Vec<String> {
            let list = told.as_array().expect("a list").iter();
            list.map(|one| one["username"].as_str().expect("a name").to_owned())
                .collect()
        };
        assert_eq!(names(&instructors["instructors"]), ["ben", "tess"]);
        let students = ben.told("students/signals").await;
        assert_eq!(names(&students["students"]), ["ada"]);

        // Whom the file names, the file alone takes out; others can be added.
        let kept = tess.delete("student/signals/ada").await;
        assert_eq!(kept.status, 409, "{}", kept.text());
        assert!(kept.text().contains("course file"), "{}", kept.text());
        let kept = root.delete("instructor/signals/tess").await;
        assert_eq!(kept.status, 409, "{}", kept.text());
        let again = tess.post("student/signals/ben", &NAMELESS).await;
        refused(&again, 409, "Cannot add instructor as student");
        done(&tess.post("student/signals/eve", &NAMELESS).await);
        let eve = stage.asks("eve").await;
        assert_eq!(eve.told("courses").await, signals);
        done(&tess.delete("student/signals/eve").await);
        assert_eq!(eve.told("courses").await, json!({ "courses": [] }));

        // What the file says next holds at once.
        stage.write_course("signals", &text("visible: private\n"));
        refused(
            &ada.get("assignments/signals").await,
            403,
            "Permission denied",
        );
        tess.get("assignments/signals").await.expect(200);
        stage.write_course("signals", &text("visible: archived\n"));
        assert_eq!(
            ada.files("assignment/signals/hw").await,
            [("a".to_owned(), "x".to_owned())]
        );
        let closed = "This course is archived: it can only be read";
        refused(
            &ada.post_files("submission/signals/hw", &[]).await,
            403,
            closed,
        );
        refused(
            &tess.post_files("assignment/signals/hw2", &[]).await,
            403,
            closed,
        );
        refused(&tess.delete("assignment/signals/hw").await, 403, closed);

        // Without the file there is no such course; with it all is there again.
        stage.remove_course_file("signals");
        refused(
            &tess.get("assignments/signals").await,
            404,
            "Course not found",
        );
        assert_eq!(root.told("courses").await, json!({ "courses": [] }));
        stage.write_course("signals", &text(""));
        assert_eq!(
            ada.told("assignments/signals").await,
            json!({ "assignments": ["hw"] })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_course_is_hidden_from_students_who_were_added_too() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        let text = |more: &str| format!("title: Art\npeople: {{teachers: [tess]}}\n{more}");
        stage.write_course("art", &text(""));
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        done(&tess.post("student/art/ada", &NAMELESS).await);
        tess.post_files("assignment/art/hw", &[]).await.expect(200);
        ada.get("assignment/art/hw").await.expect(200);
        stage.write_course("art", &text("visible: private\n"));
        let denied = "Permission denied";
        refused(&ada.get("assignment/art/hw").await, 403, denied);
        refused(&ada.get("assignments/art").await, 403, denied);
        refused(&ada.post_files("submission/art/hw", &[]).await, 403, denied);
        assert_eq!(ada.told("courses").await, json!({ "courses": [] }));
        let students = tess.told("students/art").await;
        assert_eq!(students, json!({ "students": [] }));
        // She can be taken out meanwhile.
        done(&tess.delete("student/art/ada").await);
        stage.write_course("art", &text(""));
        refused(&ada.get("assignments/art").await, 403, denied);
    }
}

/// A course that an administrator makes after a file is gone has nothing of the file's.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_course_inherits_nothing_of_a_file_that_is_gone() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        stage.write_course("art", "title: Art\npeople: {teachers: [tess]}\n");
        let (root, tess, ada) = (
            stage.asks("root").await,
            stage.asks("tess").await,
            stage.asks("ada").await,
        );
        done(&tess.post("student/art/ada", &NAMELESS).await);
        tess.post_files("assignment/art/hw", &[]).await.expect(200);
        stage.remove_course_file("art");
        done(&root.post("course/art", &[]).await);
        let none = json!({ "assignments": [] });
        assert_eq!(root.told("assignments/art").await, none);
        refused(&ada.get("assignments/art").await, 403, "Permission denied");
        assert_eq!(ada.told("courses").await, json!({ "courses": [] }));
    }
}

/// Whom a file names as a teacher stays one by the file alone, whatever she writes about herself.
#[tokio::test(flavor = "multi_thread")]
async fn a_teacher_of_a_file_who_says_her_name_is_no_teacher_without_the_file() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    stage.write_course("art", "title: Art\npeople: {teachers: [tess]}\n");
    let tess = stage.asks("tess").await;
    let called = [("first_name", "Tess"), ("last_name", "T"), ("email", "")];
    done(&tess.post("instructor/art/tess", &called).await);
    assert_eq!(
        tess.told("instructor/art/tess").await["first_name"],
        json!("Tess")
    );
    stage.write_course("art", "title: Art\npeople: {teachers: [ben]}\n");
    refused(&tess.get("assignments/art").await, 403, "Permission denied");
    assert_eq!(tess.told("courses").await, json!({ "courses": [] }));
}
