//! Assignments: released, fetched, withdrawn and released again.

use lyceum_testkit::{Client, TestDb};
use serde_json::json;

use crate::kit::{Asker, Stage, done, refused};

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_assignment_has() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        // The proxy lets a NUL through to nobody, but the hub's own port is not behind it.
        let token = stage.hub.token("tess").await;
        let tess = Asker(Client::new(stage.hub.hub_address()).with_token(&token));
        for name in ["%00", "a%00b", "%0A"] {
            for path in ["assignment/bio", "submissions/bio"] {
                let answer = tess.get(&format!("{path}/{name}")).await;
                refused(&answer, 404, "Assignment not found");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn released_and_fetched() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada, eve) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("eve").await,
        );
        let hw = "assignment/bio/hw";
        refused(&eve.get("assignments/none").await, 404, "Course not found");
        refused(&eve.get("assignments/bio").await, 403, "Permission denied");
        refused(&eve.get(hw).await, 403, "Permission denied");
        refused(&ada.get(hw).await, 404, "Assignment not found");
        refused(&ada.post_files(hw, &[]).await, 403, "Permission denied");
        refused(&tess.post(hw, &[]).await, 400, "Please supply files");
        assert_eq!(
            ada.told("assignments/bio").await,
            json!({ "assignments": [] })
        );
        let given = [("hw.ipynb", "hello"), ("data/x.csv", "")];
        done(&tess.post_files(hw, &given).await);
        refused(
            &tess.post_files(hw, &given).await,
            409,
            "Assignment already exists",
        );
        refused(&tess.post(hw, &[]).await, 409, "Assignment already exists");
        // The files may stand in the address, and others may be released without files.
        done(&tess.post("assignment/bio/a2?files=%5B%5D", &[]).await);
        done(&tess.post_files("assignment/bio/a1", &[]).await);
        assert_eq!(
            ada.told("assignments/bio").await,
            json!({ "assignments": ["hw", "a2", "a1"] })
        );
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        let hello = "5d41402abc4b2a76b9719d911017c592";
        let whole = json!({ "files": [
            { "path": "data/x.csv", "checksum": empty, "content": "" },
            { "path": "hw.ipynb", "checksum": hello, "content": "aGVsbG8=\n" },
        ] });
        let listed = json!({ "files": [
            { "path": "data/x.csv", "checksum": empty },
            { "path": "hw.ipynb", "checksum": hello },
        ] });
        assert_eq!(ada.told(hw).await, whole);
        assert_eq!(ada.told(&format!("{hw}?list_only=true")).await, listed);
        for other in ["True", "1", "", "true%20"] {
            assert_eq!(ada.told(&format!("{hw}?list_only={other}")).await, whole);
        }
        assert_eq!(ada.told("assignment/bio/a1").await, json!({ "files": [] }));
    }
}

/// Otherwise than with ngshare, where what was handed in is gone after `release --force`.
#[tokio::test(flavor = "multi_thread")]
async fn released_again_it_is_a_new_version_and_what_was_handed_in_stays() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        let hw = "assignment/bio/hw";
        done(&tess.post_files(hw, &[("a", "first")]).await);
        let at = ada.submit("submission/bio/hw", &[("a", "answer")]).await;
        let feedback = format!("feedback/bio/hw/ada?timestamp={}", at.replace(' ', "+"));
        let given = [("timestamp", at.as_str()), ("files", "[]")];
        done(&tess.post("feedback/bio/hw/ada", &given).await);

        refused(&ada.delete(hw).await, 403, "Permission denied");
        refused(
            &tess.delete("assignment/none/hw").await,
            404,
            "Course not found",
        );
        refused(
            &tess.delete("assignment/bio/none").await,
            404,
            "Assignment not found",
        );
        done(&tess.delete(hw).await);
        refused(&tess.delete(hw).await, 404, "Assignment not found");
        for path in [hw, "submissions/bio/hw", "submission/bio/hw/ada", &feedback] {
            refused(&tess.get(path).await, 404, "Assignment not found");
        }
        refused(
            &ada.post_files("submission/bio/hw", &[]).await,
            404,
            "Assignment not found",
        );
        assert_eq!(
            ada.told("assignments/bio").await,
            json!({ "assignments": [] })
        );

        done(&tess.post_files(hw, &[("a", "second")]).await);
        assert_eq!(ada.files(hw).await, [("a".to_owned(), "second".to_owned())]);
        let collected = tess.files("submission/bio/hw/ada").await;
        assert_eq!(collected, [("a".to_owned(), "answer".to_owned())]);
        ada.get(&feedback).await.expect(200);
        ada.submit("submission/bio/hw", &[("a", "better")]).await;
        let list = tess.told("submissions/bio/hw").await;
        assert_eq!(list["submissions"].as_array().map(Vec::len), Some(2));
        assert_eq!(list["submissions"][0]["timestamp"], at.as_str());
    }
}
