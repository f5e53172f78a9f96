//! Feedback: for one submission, to whoever handed it in.

use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{Stage, done, files, refused};

#[tokio::test(flavor = "multi_thread")]
async fn given_and_seen() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada, ben) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
        );
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let at = ada.submit("submission/bio/hw", &[("a", "1")]).await;
        let path = "feedback/bio/hw/ada";
        let good = files(&[("hw.html", "well done")]);
        let give = async |at: &str, files: &str| {
            tess.post(path, &[("timestamp", at), ("files", files)])
                .await
        };
        refused(&ada.post(path, &[]).await, 403, "Permission denied");
        refused(
            &tess.post("feedback/none/hw/ada", &[]).await,
            404,
            "Course not found",
        );
        refused(
            &tess.post("feedback/bio/none/ada", &[]).await,
            404,
            "Assignment not found",
        );
        refused(
            &tess.post("feedback/bio/hw/eve", &[]).await,
            404,
            "Student not found",
        );
        refused(&tess.post(path, &[]).await, 400, "Please supply timestamp");
        let query = format!("{path}?timestamp={}", at.replace(' ', "+"));
        refused(
            &tess.post(&query, &[]).await,
            400,
            "Please supply timestamp",
        );
        // The time is asked for before the files.
        refused(&give("x", "x").await, 400, "Time format incorrect");
        let iso = format!("{}Z", at.replace(' ', "T"));
        refused(&give(&iso, &good).await, 400, "Time format incorrect");
        let other = "2020-01-01 00:00:00.000000";
        refused(&give(other, "x").await, 404, "Submission not found");
        let unsupplied = tess.post(path, &[("timestamp", &at)]).await;
        refused(&unsupplied, 400, "Please supply files");
        refused(&give(&at, "x").await, 400, "Files cannot be JSON decoded");

        let none = json!({ "files": [], "timestamp": at });
        assert_eq!(ada.told(&query).await, none);
        done(&give(&at, &good).await);
        let well = [("hw.html".to_owned(), "well done".to_owned())];
        for who in [&ada, &tess] {
            assert_eq!(who.files(&query).await, well);
        }
        let listed = ada.told(&format!("{query}&list_only=true")).await;
        assert_eq!(listed["files"][0]["path"], "hw.html");
        assert_eq!(listed["files"][0]["content"], json!(null));
        // All of it is replaced.
        done(&give(&format!("{at} UTC"), &files(&[("b", "better")])).await);
        assert_eq!(
            ada.files(&query).await,
            [("b".to_owned(), "better".to_owned())]
        );
        done(&give(&format!("{at} "), "[]").await);
        assert_eq!(ada.told(&query).await, none);

        refused(&ben.get(&query).await, 403, "Permission denied");
        refused(&ada.get(path).await, 400, "Please supply timestamp");
        refused(
            &ada.get(&format!("{path}?timestamp=x")).await,
            400,
            "Time format incorrect",
        );
        let wrong = format!("{path}?timestamp={}", other.replace(' ', "+"));
        refused(&ada.get(&wrong).await, 404, "Submission not found");
        // Of somebody else's time there is nothing of hers.
        let of_ben = query.replace("hw/ada", "hw/ben");
        refused(&ben.get(&of_ben).await, 404, "Submission not found");
        refused(
            &tess.get(&query.replace("hw/ada", "hw/eve")).await,
            404,
            "Student not found",
        );
    }
}
