//! Whether a change of what was handed in is found.

use std::path::{Path, PathBuf};

use lyceum_exchange::moment::Moment;
use lyceum_exchange::receipt::{Content, Form, Signer};
use lyceum_exchange::rules::Lateness;
use lyceum_exchange::verify::{Counts, verify};
use lyceum_model::digest::Digest;
use lyceum_store::on;
use lyceum_testkit::TestDb;
use sqlx::Row;

use crate::kit::Stage;

async fn look(stage: &Stage, db: &TestDb) -> (Counts, Vec<String>) {
    let mut faults = Vec::new();
    let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
    let signer = stage.exchange.signer();
    let counts = verify(db.db(), stage.exchange.blobs(), signer, tell).await;
    (counts.expect("looked"), faults)
}

async fn run(db: &TestDb, sql: &'static str) {
    let mut tx = db.db().write().await.expect("a transaction");
    on!(tx, |c| sqlx::raw_sql(sql).execute(c).await.map(|_| ())).expect("done");
    tx.commit().await.expect("written");
}

/// Some blob's file.
fn blob(folder: &Path) -> PathBuf {
    let mut folder = folder.to_owned();
    loop {
        let mut entries = std::fs::read_dir(&folder).expect("listed");
        let path = entries
            .find_map(|entry| {
                let path = entry.expect("an entry").path();
                (path.file_name().is_some_and(|name| name != "tmp")).then_some(path)
            })
            .expect("something");
        if path.is_file() {
            return path;
        }
        folder = path;
    }
}

/// What is handed in while it looks is no fault.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_meanwhile_is_no_fault() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        stage
            .asks("root")
            .await
            .post("course/zoo", &[])
            .await
            .expect(200);
        ada.submit("submission/bio/hw", &[("a", "1")]).await;
        // A course before it, whose fault is told while the other is still to be looked at.
        run(
            &db,
            "INSERT INTO exchange_courses (id, name, receipts) VALUES ('0', 'first', 1)",
        )
        .await;
        let mut faults = Vec::new();
        let tell = |fault: lyceum_exchange::verify::Fault| {
            faults.push(fault.to_string());
            let submit = ada.submit("submission/bio/hw", &[("a", "2")]);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(submit));
        };
        let signer = stage.exchange.signer();
        let counts = verify(db.db(), stage.exchange.blobs(), signer, tell).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(counts.expect("looked").receipts, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_change_is_found() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada, ben) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
        );
        tess.post_files("assignment/bio/hw", &[("q", "?")])
            .await
            .expect(200);
        for n in ["1", "2", "3"] {
            ada.submit("submission/bio/hw", &[("a", n)]).await;
            ben.submit("submission/bio/hw", &[("a", n)]).await;
        }
        let (counts, faults) = look(&stage, &db).await;
        assert!(faults.is_empty(), "{faults:?}");
        let expect = Counts {
            receipts: 6,
            trees: 4,
            blobs: 4,
            faults: 0,
        };
        assert_eq!(counts, expect);

        // Each is done, found, and undone.
        let changes = [
            (
                "UPDATE exchange_submissions SET student = 'eve' WHERE number = 2",
                "UPDATE exchange_submissions SET student = 'ben' WHERE number = 2",
                "receipt 2",
            ),
            (
                "UPDATE exchange_submissions SET at = at + 1 WHERE number = 3",
                "UPDATE exchange_submissions SET at = at - 1 WHERE number = 3",
                "receipt 3",
            ),
            (
                "UPDATE exchange_submissions SET version = 2 WHERE number = 6",
                "UPDATE exchange_submissions SET version = 1 WHERE number = 6",
                "receipt 6",
            ),
            (
                "UPDATE exchange_submissions SET late = 0 WHERE number = 4",
                "UPDATE exchange_submissions SET late = NULL WHERE number = 4",
                "receipt 4",
            ),
            (
                "UPDATE exchange_submissions SET arrived = arrived - 1 WHERE number = 4",
                "UPDATE exchange_submissions SET arrived = arrived + 1 WHERE number = 4",
                "receipt 4",
            ),
            (
                "UPDATE exchange_submissions SET due = 1 WHERE number = 5",
                "UPDATE exchange_submissions SET due = NULL WHERE number = 5",
                "receipt 5",
            ),
            (
                "UPDATE exchange_submissions SET receipt = receipt || ' ' WHERE number = 6",
                "UPDATE exchange_submissions SET receipt = SUBSTR(receipt, 1, LENGTH(receipt) - 1) WHERE number = 6",
                "signature",
            ),
            (
                "UPDATE exchange_submissions SET number = 7 WHERE number = 6",
                "UPDATE exchange_submissions SET number = 6 WHERE number = 7",
                "numbers that were never given",
            ),
            (
                "UPDATE exchange_assignments SET name = 'hx'",
                "UPDATE exchange_assignments SET name = 'hw'",
                "receipt 1",
            ),
            (
                "UPDATE exchange_courses SET receipts = 7",
                "UPDATE exchange_courses SET receipts = 6",
                "7 receipts were given",
            ),
            (
                "UPDATE exchange_tree_files SET path = 'b' WHERE path = 'a'",
                "UPDATE exchange_tree_files SET path = 'a' WHERE path = 'b'",
                "list of files",
            ),
            (
                "UPDATE exchange_blobs SET size = 2",
                "UPDATE exchange_blobs SET size = 1",
                "list of files",
            ),
            (
                "UPDATE exchange_blobs SET md5 = 'x' || md5",
                "UPDATE exchange_blobs SET md5 = SUBSTR(md5, 2)",
                "MD5",
            ),
        ];
        for (change, undo, words) in changes {
            run(&db, change).await;
            let (_, faults) = look(&stage, &db).await;
            let found = faults.iter().any(|fault| fault.contains(words));
            assert!(found, "{change}: {faults:?}");
            run(&db, undo).await;
            let (_, faults) = look(&stage, &db).await;
            assert!(faults.is_empty(), "{undo}: {faults:?}");
        }
        let file = blob(&stage.blob_folder());
        let whole = std::fs::read(&file).expect("read");
        let name = file.file_stem().and_then(|name| name.to_str());
        let digest = Digest::parse(name.expect("a name")).expect("a digest");
        let blobs = stage.exchange.blobs();
        let content = blobs.get_bytes(digest, 100).await.expect("read");
        let mut found = 0;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&file, &changed).expect("written");
            let (_, faults) = look(&stage, &db).await;
            found += faults.len();
            if faults.is_empty() {
                // How it was packed says the same in two ways.
                assert_eq!(blobs.get_bytes(digest, 100).await.expect("read"), content);
            }
        }
        assert!(found + 2 > whole.len(), "{found} of {}", whole.len());
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(look(&stage, &db).await.1.len(), 1);
        std::fs::write(&file, &whole).expect("written");
        assert!(look(&stage, &db).await.1.is_empty());

        // Signed by another key.
        let (mut faults, other) = (0, Signer::new([6; 32]));
        let counts = verify(db.db(), stage.exchange.blobs(), &other, |_| faults += 1).await;
        assert_eq!((faults, counts.expect("looked").faults), (6, 6));
    }
}

/// Receipts of versions before this one say nothing of lateness.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_the_first_form_are_still_good() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        ada.submit("submission/bio/hw", &[("a", "1")]).await;
        let mut tx = db.db().write().await.expect("a transaction");
        let (at, tree, course_id): (i64, String, String) = on!(&mut tx, |c| {
            let row = sqlx::query("SELECT at, tree, course_id FROM exchange_submissions")
                .fetch_one(c)
                .await;
            row.map(|row| (row.get(0), row.get(1), row.get(2)))
        })
        .expect("read");
        let receipt = stage.exchange.signer().sign(&Content {
            form: Form::First,
            course: "bio".into(),
            course_id,
            assignment: "hw".into(),
            version: 1,
            student: "ada".into(),
            at: Moment(at),
            lateness: Lateness::default(),
            tree: Digest::parse(&tree).expect("a digest"),
            number: 1,
            previous: String::new(),
            stands_for: String::new(),
        });
        on!(&mut tx, |c| {
            let change =
                "UPDATE exchange_submissions SET receipt = $1, receipt_digest = $2, signature = $3, arrived = NULL";
            let query = sqlx::query(change)
                .bind(&receipt.text)
                .bind(&receipt.digest);
            let done = query.bind(&receipt.signature).execute(c).await;
            done.map(|_| ())
        })
        .expect("written");
        on!(&mut tx, |c| {
            let query = sqlx::query("UPDATE exchange_courses SET newest_receipt = $1");
            query.bind(&receipt.digest).execute(c).await.map(|_| ())
        })
        .expect("written");
        tx.commit().await.expect("written");
        let (counts, faults) = look(&stage, &db).await;
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(counts.receipts, 1);
        // Those that follow are of the second.
        ada.submit("submission/bio/hw", &[("a", "2")]).await;
        assert!(look(&stage, &db).await.1.is_empty());
        run(
            &db,
            "UPDATE exchange_submissions SET late = 0 WHERE number = 1",
        )
        .await;
        let (_, faults) = look(&stage, &db).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].contains("which its receipt does not"),
            "{faults:?}"
        );
    }
}
