//! Instructors and students.

use lyceum_exchange::db::people;
use lyceum_testkit::TestDb;
use serde_json::{Value, json};

use crate::kit::{NAMELESS, Stage, done, refused};

const ADA: [(&str, &str); 3] = [
    ("first_name", "Ada"),
    ("last_name", "Lovelace"),
    ("email", "ada@example.edu"),
];

fn ada() -> Value {
    json!({
        "username": "ada", "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.edu"
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn instructors() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let root = stage.asks("root").await;
        let (tess, ben, eve) = (
            stage.asks("tess").await,
            stage.asks("ben").await,
            stage.asks("eve").await,
        );
        refused(
            &root.post("instructor/none/ada", &ADA).await,
            404,
            "Course not found",
        );
        refused(
            &eve.post("instructor/bio/eve", &ADA).await,
            403,
            "Permission denied",
        );
        refused(
            &ben.post("instructor/bio/ben", &ADA).await,
            403,
            "Permission denied",
        );
        for (missing, words) in [(0, "first name"), (1, "last name"), (2, "email")] {
            let mut fields = ADA.to_vec();
            fields.remove(missing);
            let answer = root.post("instructor/bio/ada", &fields).await;
            refused(&answer, 400, &format!("Please supply {words}"));
        }
        refused(
            &tess.post("instructor/bio/eve", &ADA).await,
            400,
            "Permission denied (cannot modify instructors)",
        );
        refused(
            &tess.post("instructor/bio/ada", &ADA).await,
            400,
            "Permission denied (cannot modify instructors)",
        );
        // A student is moved.
        done(&root.post("instructor/bio/ada", &ADA).await);
        refused(&tess.get("student/bio/ada").await, 404, "Student not found");
        assert_eq!(ben.told("instructor/bio/ada").await, ada());
        refused(
            &tess.post("instructor/bio/ada", &ADA).await,
            400,
            "Permission denied (cannot modify other instructors)",
        );
        let nameless = json!({
            "username": "tess", "first_name": null, "last_name": null, "email": null
        });
        assert_eq!(ben.told("instructor/bio/tess").await, nameless);
        let both = json!({ "instructors": [ada(), nameless] });
        assert_eq!(ben.told("instructors/bio").await, both);
        done(&tess.post("instructor/bio/tess", &NAMELESS).await);
        assert_eq!(ben.told("instructor/bio/tess").await["email"], "");

        refused(
            &eve.get("instructor/bio/ada").await,
            403,
            "Permission denied",
        );
        refused(&eve.get("instructors/bio").await, 403, "Permission denied");
        refused(&eve.get("instructors/none").await, 404, "Course not found");
        refused(
            &ben.get("instructor/bio/ben").await,
            404,
            "Instructor not found",
        );
        refused(
            &ben.get("instructor/bio/a%20b").await,
            404,
            "Instructor not found",
        );

        refused(
            &tess.delete("instructor/bio/ada").await,
            403,
            "Permission denied",
        );
        refused(
            &tess.delete("instructor/none/ada").await,
            403,
            "Permission denied",
        );
        refused(
            &root.delete("instructor/none/ada").await,
            404,
            "Course not found",
        );
        refused(
            &root.delete("instructor/bio/ben").await,
            404,
            "Instructor not found",
        );
        done(&root.delete("instructor/bio/ada").await);
        refused(
            &root.delete("instructor/bio/ada").await,
            404,
            "Instructor not found",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn students() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (root, tess, ben, eve) = (
            stage.asks("root").await,
            stage.asks("tess").await,
            stage.asks("ben").await,
            stage.asks("eve").await,
        );
        refused(
            &tess.post("student/none/eve", &ADA).await,
            404,
            "Course not found",
        );
        refused(
            &eve.post("student/bio/eve", &ADA).await,
            403,
            "Permission denied",
        );
        refused(
            &ben.post("student/bio/eve", &ADA).await,
            403,
            "Permission denied",
        );
        for (missing, words) in [(0, "first name"), (1, "last name"), (2, "email")] {
            let mut fields = ADA.to_vec();
            fields.remove(missing);
            let answer = tess.post("student/bio/ada", &fields).await;
            refused(&answer, 400, &format!("Please supply {words}"));
        }
        refused(
            &tess.post("student/bio/tess", &ADA).await,
            409,
            "Cannot add instructor as student",
        );
        let wrong = tess.post("student/bio/a%20b", &ADA).await;
        assert_eq!(wrong.status, 400, "{}", wrong.text());
        for _ in 0..2 {
            done(&tess.post("student/bio/ada", &ADA).await);
        }
        assert_eq!(tess.told("student/bio/ada").await, ada());
        assert_eq!(root.told("student/bio/ada").await, ada());
        let own = stage.asks("ada").await;
        assert_eq!(own.told("student/bio/ada").await, ada());
        refused(&ben.get("student/bio/ada").await, 403, "Permission denied");
        refused(&eve.get("student/bio/eve").await, 404, "Student not found");
        refused(
            &tess.get("student/bio/tess").await,
            404,
            "Student not found",
        );
        refused(&tess.get("student/bio/eve").await, 404, "Student not found");
        refused(&own.get("students/bio").await, 403, "Permission denied");
        let listed = tess.told("students/bio").await;
        assert_eq!(listed["students"][0], ada());
        assert_eq!(listed["students"][1]["username"], "ben");

        refused(
            &ben.delete("student/bio/ada").await,
            403,
            "Permission denied",
        );
        refused(
            &tess.delete("student/none/ada").await,
            404,
            "Course not found",
        );
        refused(
            &tess.delete("student/bio/eve").await,
            404,
            "Student not found",
        );
        done(&tess.delete("student/bio/ada").await);
        refused(
            &tess.delete("student/bio/ada").await,
            404,
            "Student not found",
        );
        refused(&own.get("assignments/bio").await, 403, "Permission denied");
    }
}

/// What a request gave beyond what the file gives, a request takes back.
#[tokio::test(flavor = "multi_thread")]
async fn whom_a_file_names_can_be_promoted_and_that_be_taken_back() {
    for db in TestDb::both().await {
        let stage = Stage::set(&db).await;
        let text = "title: Art\npeople: {teachers: [tess], graders: [ben], students: [ada]}\n";
        stage.write_course("art", text);
        let (root, student) = (stage.asks("root").await, stage.asks("ada").await);
        done(&root.post("instructor/art/ada", &ADA).await);
        student.get("students/art").await.expect(200);
        done(&root.delete("instructor/art/ada").await);
        refused(&student.get("students/art").await, 403, "Permission denied");
        assert_eq!(root.told("student/art/ada").await, ada());
        let kept = root.delete("student/art/ada").await;
        assert_eq!(kept.status, 409, "{}", kept.text());

        // A grader stays one, whatever an administrator calls her.
        let ben = stage.asks("ben").await;
        done(&root.post("instructor/art/ben", &ADA).await);
        assert_eq!(ben.told("instructor/art/ben").await["first_name"], "Ada");
        let release = ben.post_files("assignment/art/hw", &[]).await;
        refused(&release, 403, "Permission denied");
        done(&root.post("instructor/art/tess", &ADA).await);
        let without = "title: Art\npeople: {students: [ada]}\n";
        stage.write_course("art", without);
        for name in ["ben", "tess"] {
            let asker = stage.asks(name).await;
            refused(
                &asker.get("assignments/art").await,
                403,
                "Permission denied",
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_students_at_once() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ben) = (stage.asks("tess").await, stage.asks("ben").await);
        let send = async |text: &str| tess.post("students/bio", &[("students", text)]).await;
        refused(
            &ben.post("students/bio", &[]).await,
            403,
            "Permission denied",
        );
        refused(
            &tess.post("students/none", &[]).await,
            404,
            "Course not found",
        );
        refused(
            &tess.post("students/bio", &[]).await,
            400,
            "Please supply students",
        );
        for text in ["", "[]"] {
            refused(&send(text).await, 400, "Please supply students");
        }
        refused(&send("[").await, 400, "Students cannot be JSON decoded");
        for text in [
            "{}",
            "1",
            "[1]",
            r#"[{"username": "x"}]"#,
            r#"[{"username": "x", "first_name": "", "last_name": "", "email": null}]"#,
        ] {
            refused(&send(text).await, 400, "Incorrect request format");
        }
        let one = |name: &str| json!({ "username": name, "first_name": name, "last_name": "", "email": "" });
        let many = json!([one("zoe"), one("tess"), one("zoe"), one("a b")]).to_string();
        let status = send(&many).await.expect(200).json();
        let good = json!({ "username": "zoe", "success": true });
        let taught = json!({
            "username": "tess", "success": false, "message": "Cannot add instructor as student"
        });
        let status = status["status"].as_array().expect("a list");
        assert_eq!(status[..3], [good.clone(), taught, good]);
        assert_eq!(status[3]["success"], false);
        assert_eq!(tess.told("student/bio/zoe").await["first_name"], "zoe");
    }
}

/// Whoever made an account of such a name would have what is hers.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_those_who_were_added_or_handed_in_are_known() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
        let is_named = async |name: &str| {
            let mut tx = db.db().read().await.expect("a transaction");
            people::is_named(&mut tx, name).await.expect("read")
        };
        for (name, expect) in [("tess", true), ("ben", true), ("eve", false)] {
            assert_eq!(is_named(name).await, expect, "{name}");
        }
        // Nobody is called so yet.
        assert!(!is_named("prof").await);
        done(&root.post("instructor/bio/prof", &ADA).await);
        assert!(is_named("prof").await);
        // What was handed in stays hers when she takes the course no more.
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let ada = stage.asks("ada").await;
        ada.submit("submission/bio/hw", &[("hw.ipynb", "mine")])
            .await;
        for (name, expect) in [("ada", true), ("ben", false)] {
            done(&tess.delete(&format!("student/bio/{name}")).await);
            assert_eq!(is_named(name).await, expect, "{name}");
        }
    }
}
