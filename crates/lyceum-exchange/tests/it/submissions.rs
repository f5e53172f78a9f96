//! Submissions: handed in, listed, collected, kept.

use lyceum_exchange::Limits;
use lyceum_exchange::submissions::TOPIC;
use lyceum_model::clock::{Clock, Millis};
use lyceum_store::events;
use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{NAMELESS, Stage, done, refused};

const HW: &str = "submission/bio/hw";

#[tokio::test(flavor = "multi_thread")]
async fn handed_in_and_collected() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (root, tess, ada, ben, eve) = (
            stage.asks("root").await,
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
            stage.asks("eve").await,
        );
        refused(&ada.post_files(HW, &[]).await, 404, "Assignment not found");
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        refused(&eve.post_files(HW, &[]).await, 403, "Permission denied");
        refused(
            &ada.post_files("submission/none/hw", &[]).await,
            404,
            "Course not found",
        );
        refused(&ada.post(HW, &[]).await, 400, "Please supply files");
        // Not in the address.
        let in_query = ada.post(&format!("{HW}?files=%5B%5D"), &[]).await;
        refused(&in_query, 400, "Please supply files");
        assert_eq!(
            tess.told("submissions/bio/hw").await,
            json!({ "submissions": [] })
        );
        refused(
            &tess.get("submission/bio/hw/ada").await,
            404,
            "Submission not found",
        );

        let first = ada.submit(HW, &[("hw.ipynb", "first")]).await;
        let second = ada.submit(HW, &[("hw.ipynb", "second")]).await;
        let own = tess.submit(HW, &[("hw.ipynb", "mine")]).await;
        root.submit(HW, &[]).await;
        assert!(first < second && first.len() == 26, "{first} {second}");
        let one = |name: &str, at: &str| json!({ "student_id": name, "timestamp": at });
        let adas = json!([one("ada", &first), one("ada", &second)]);
        let told = tess.told("submissions/bio/hw").await;
        assert_eq!(told["submissions"][0], adas[0]);
        assert_eq!(told["submissions"][2], one("tess", &own));
        let list = "submissions/bio/hw/ada";
        for who in [&tess, &ada, &root] {
            assert_eq!(who.told(list).await, json!({ "submissions": adas }));
        }
        refused(&ben.get(list).await, 403, "Permission denied");
        refused(
            &ada.get("submissions/bio/hw").await,
            403,
            "Permission denied",
        );
        refused(
            &ada.get("submissions/bio/none/ada").await,
            404,
            "Assignment not found",
        );
        refused(
            &tess.get("submissions/bio/hw/eve").await,
            404,
            "Student not found",
        );
        refused(
            &eve.get("submissions/bio/hw/eve").await,
            404,
            "Student not found",
        );

        let got = "submission/bio/hw/ada";
        let file = |content: &str| vec![("hw.ipynb".to_owned(), content.to_owned())];
        assert_eq!(tess.files(got).await, file("second"));
        assert_eq!(
            tess.files(&format!("{got}?timestamp=")).await,
            file("second")
        );
        let timed = format!("{got}?timestamp={}", first.replace(' ', "%20"));
        assert_eq!(tess.files(&timed).await, file("first"));
        let listed = tess.told(&format!("{timed}&list_only=true")).await;
        assert_eq!(listed["timestamp"], first.as_str());
        assert_eq!(listed["files"][0]["path"], "hw.ipynb");
        assert_eq!(listed["files"][0]["content"], json!(null));
        // To the letter.
        for other in [
            "x",
            &format!("{first} UTC"),
            &first[..25],
            "2020-01-01 00:00:00.000000",
        ] {
            let path = format!("{got}?timestamp={}", other.replace(' ', "%20"));
            refused(&tess.get(&path).await, 404, "Submission not found");
        }
        // Not even her own.
        refused(&ada.get(got).await, 403, "Permission denied");
        refused(
            &tess.get("submission/bio/hw/eve").await,
            404,
            "Student not found",
        );
        refused(
            &tess.get("submission/bio/none/ada").await,
            404,
            "Assignment not found",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_who_was_removed_stays() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        ada.submit(HW, &[("a", "work")]).await;
        done(&tess.delete("student/bio/ada").await);
        refused(
            &ada.get("assignment/bio/hw").await,
            403,
            "Permission denied",
        );
        refused(&ada.post_files(HW, &[]).await, 403, "Permission denied");
        refused(
            &tess.get("submission/bio/hw/ada").await,
            404,
            "Student not found",
        );
        refused(
            &ada.get("submissions/bio/hw/ada").await,
            404,
            "Student not found",
        );
        done(&tess.post("student/bio/ada", &NAMELESS).await);
        assert_eq!(
            tess.files("submission/bio/hw/ada").await,
            [("a".to_owned(), "work".to_owned())]
        );
    }
}

/// The clock stands still, and goes back: each still has a time of its own, later than the one before.
#[tokio::test(flavor = "multi_thread")]
async fn no_two_submissions_have_one_time() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(1_795_334_400_000));
        let stage = Stage::set_at(&db, clock.clone()).await;
        stage.make_course().await;
        let (tess, ada, ben) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
        );
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let all = tokio::join!(
            ada.submit(HW, &[("a", "1")]),
            ada.submit(HW, &[("a", "2")]),
            ada.submit(HW, &[("a", "3")]),
            ben.submit(HW, &[("a", "1")]),
        );
        assert_eq!(all.3, "2026-11-22 08:00:00.000000");
        let mut times = [all.0, all.1, all.2];
        times.sort();
        let expect = [0, 1, 2].map(|n| format!("2026-11-22 08:00:00.00000{n}"));
        assert_eq!(times, expect);
        clock.advance(-1000);
        let earlier = ada.submit(HW, &[("a", "4")]).await;
        assert_eq!(earlier, "2026-11-22 08:00:00.000003");
    }
}

/// What is handed in is kept for good, so nobody fills the disk with one assignment.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_an_end_to_how_often() {
    for db in TestDb::both().await {
        let limits = Limits {
            submissions: 2,
            ..Limits::default()
        };
        let stage = Stage::set_with(&db, Clock::system(), limits, |_| None).await;
        stage.make_course().await;
        let (tess, ada, ben) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
        );
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        for n in ["1", "2"] {
            ada.submit(HW, &[("a", n)]).await;
        }
        let words = "You have handed in this assignment 2 times; at most 2 are kept";
        refused(&ada.post_files(HW, &[("a", "3")]).await, 409, words);
        ben.submit(HW, &[("a", "1")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_hears_of_it() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        ada.submit(HW, &[]).await;
        let mut tx = db.db().read().await.expect("a transaction");
        let heard = events::after(&mut tx, 0, &[TOPIC], 10).await.expect("read");
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].body["course"], "bio");
        assert_eq!(heard[0].body["student"], "ada");
    }
}
