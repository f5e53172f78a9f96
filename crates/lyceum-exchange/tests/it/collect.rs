//! Whether what nothing refers to goes, and nothing else, whoever uploads meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lyceum_exchange::collect::{self, Collected, GRACE};
use lyceum_exchange::rules::NotTaken;
use lyceum_exchange::stored;
use lyceum_exchange::tree::{FilePath, Tree, TreeFile};
use lyceum_exchange::verify::verify;
use lyceum_model::digest::Digest;
use lyceum_store::on;
use lyceum_testkit::TestDb;

use crate::kit::{Asker, Stage, files};

async fn all_is_well(stage: &Stage, db: &TestDb) {
    let mut faults = Vec::new();
    let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
    let signer = stage.exchange.signer();
    let counts = verify(db.db(), stage.exchange.blobs(), signer, tell).await;
    counts.expect("looked");
    assert!(faults.is_empty(), "{faults:?}");
}

async fn collect(stage: &Stage, db: &TestDb, grace: Duration) -> Collected {
    let collected = collect::collect(db.db(), stage.exchange.blobs(), grace).await;
    collected.expect("collected")
}

async fn feedback(tess: &Asker, person: &str, at: &str, given: &[(&str, &str)]) -> u16 {
    let path = format!("feedback/bio/hw/{person}");
    let fields = [("timestamp", at), ("files", &*files(given))];
    tess.post(&path, &fields).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_refers_to_goes_when_it_is_old() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[("q", "?")])
            .await
            .expect(200);
        let at = ada
            .submit("submission/bio/hw", &[("a", "1"), ("q", "?")])
            .await;
        assert_eq!(feedback(&tess, "ada", &at, &[("f", "first")]).await, 200);
        assert_eq!(feedback(&tess, "ada", &at, &[("f", "second")]).await, 200);
        // What an upload leaves that was refused.
        let blobs = stage.exchange.blobs();
        let left = blobs.put_bytes(b"left").await.expect("written");
        let first = Digest::of(b"first");

        let expect = Collected {
            trees: 1,
            blobs: 1,
            files: 1,
            bytes: 0,
        };
        let looked = collect::look(db.db(), blobs, Duration::ZERO).await;
        let looked = looked.expect("looked");
        assert!(looked.bytes > 0);
        assert_eq!(Collected { bytes: 0, ..looked }, expect);
        assert!(blobs.has(left).await.expect("asked"));

        // Not old enough.
        let young = collect(&stage, &db, GRACE).await;
        assert_eq!((young.trees, young.blobs, young.files), (1, 1, 0));
        assert!(blobs.has(left).await.expect("asked"));
        assert!(blobs.has(first).await.expect("asked"));

        let old = collect(&stage, &db, Duration::ZERO).await;
        assert_eq!((old.trees, old.blobs, old.files), (0, 0, 2));
        assert!(old.bytes > 0);
        assert!(!blobs.has(left).await.expect("asked"));
        assert!(!blobs.has(first).await.expect("asked"));
        let again = collect(&stage, &db, Duration::ZERO).await;
        assert_eq!(again, Collected::default());
        all_is_well(&stage, &db).await;
        let path = format!("feedback/bio/hw/ada?timestamp={}", at.replace(' ', "%20"));
        assert_eq!(
            ada.files(&path).await,
            [("f".to_owned(), "second".to_owned())]
        );
        // What was cleared away can come again.
        ada.submit("submission/bio/hw", &[("a", "first")]).await;
        all_is_well(&stage, &db).await;
    }
}

/// A content that lost its last row a moment ago may be what an upload has just found to be there.
#[tokio::test(flavor = "multi_thread")]
async fn what_loses_its_row_begins_its_age_anew() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let at = ada.submit("submission/bio/hw", &[("a", "1")]).await;
        assert_eq!(feedback(&tess, "ada", &at, &[("f", "first")]).await, 200);
        assert_eq!(feedback(&tess, "ada", &at, &[("f", "second")]).await, 200);
        let name = Digest::of(b"first").to_hex();
        let file = format!("{}/{}/{name}.zst", &name[..2], &name[2..4]);
        let file = std::fs::File::open(stage.blob_folder().join(file)).expect("there");
        let long_ago = std::time::SystemTime::now() - 30 * GRACE;
        file.set_modified(long_ago).expect("made old");
        let collected = collect(&stage, &db, GRACE).await;
        assert_eq!((collected.blobs, collected.files), (1, 0));
        // It has been without a row for long.
        file.set_modified(long_ago).expect("made old");
        assert_eq!(collect(&stage, &db, GRACE).await.files, 1);
    }
}

/// The same content is handed in between any two steps, and cut off there they leave nothing wrong.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_between_the_steps() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let at = ada.submit("submission/bio/hw", &[("a", "1")]).await;
        for step in 0..3 {
            let content = format!("content {step}");
            let given = [("f", &*content)];
            assert_eq!(feedback(&tess, "ada", &at, &given).await, 200);
            assert_eq!(feedback(&tess, "ada", &at, &[("f", "other")]).await, 200);
            if step >= 1 {
                let gone = collect::trees(db.db()).await.expect("collected");
                assert_eq!(gone, 1);
            }
            if step >= 2 {
                let gone = collect::blob_rows(db.db(), stage.exchange.blobs()).await;
                assert_eq!(gone.expect("collected"), 1);
            }
            all_is_well(&stage, &db).await;
            ada.submit("submission/bio/hw", &given).await;
            collect(&stage, &db, Duration::ZERO).await;
            all_is_well(&stage, &db).await;
            let path = "submission/bio/hw/ada";
            assert_eq!(tess.files(path).await, [("f".to_owned(), content)]);
        }
    }
}

/// What was cleared away under an upload is never said to be there.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_too_slow_is_refused() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let blobs = stage.exchange.blobs();
        let blob = blobs.put_bytes(b"x").await.expect("written");
        let file = TreeFile {
            path: FilePath::parse("a").expect("a path"),
            blob,
            size: 1,
            md5: "9dd4e461268c8034f5c8564e155c67a6".into(),
        };
        let tree = Tree::new(vec![file]).expect("a tree");
        assert_eq!(collect(&stage, &db, Duration::ZERO).await.files, 1);
        let mut tx = db.db().write().await.expect("a transaction");
        let course: String = on!(tx, |c| sqlx::query_scalar(
            "SELECT id FROM exchange_courses"
        )
        .fetch_one(c)
        .await)
        .expect("the course");
        let written = stored::write_down(&stage.exchange, &mut tx, &course, &tree).await;
        assert!(matches!(written, Err(NotTaken::ClearedAway)), "{written:?}");
        drop(tx);
        blobs.put_bytes(b"x").await.expect("written");
        let mut tx = db.db().write().await.expect("a transaction");
        let written = stored::write_down(&stage.exchange, &mut tx, "another", &tree).await;
        assert!(matches!(written, Err(NotTaken::NoCourse)), "{written:?}");
        drop(tx);
        let mut tx = db.db().write().await.expect("a transaction");
        let written = stored::write_down(&stage.exchange, &mut tx, &course, &tree).await;
        written.expect("written down");
        tx.commit().await.expect("written");
        all_is_well(&stage, &db).await;
    }
}

/// Three contents lose and get references all the time, while two collect without any mercy.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_race_collections() {
    const TIMES: usize = 40;
    for db in TestDb::both().await {
        let stage = Arc::new(Stage::with_course(&db).await);
        let tess = Arc::new(stage.asks("tess").await);
        tess.post_files("assignment/bio/hw", &[]).await.expect(200);
        let mut handed_in = Vec::new();
        for name in ["ada", "ben"] {
            let asker = stage.asks(name).await;
            for n in ["1", "2"] {
                let at = asker.submit("submission/bio/hw", &[("a", n)]).await;
                handed_in.push((name, at));
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let collectors = [(); 2].map(|()| {
            let (over, stage, store) = (over.clone(), stage.clone(), db.db().clone());
            tokio::spawn(async move {
                let mut files = 0;
                while !over.load(Ordering::SeqCst) {
                    let blobs = stage.exchange.blobs();
                    let collected = collect::collect(&store, blobs, Duration::ZERO).await;
                    files += collected.expect("collected").files;
                }
                files
            })
        });
        let uploads = handed_in.iter().enumerate().map(|(who, (name, at))| {
            let (tess, name, at) = (tess.clone(), *name, at.clone());
            tokio::spawn(async move {
                let mut good = 0;
                for n in 0..TIMES {
                    let content = |k: usize| format!("content {}", (n * k + who) % 3);
                    let given = [("f", &*content(1)), ("g", &*content(2))];
                    match feedback(&tess, name, &at, &given).await {
                        200 => good += 1,
                        // It was cleared away while it came.
                        503 => {}
                        status => panic!("{status}"),
                    }
                }
                good
            })
        });
        let uploads: Vec<_> = uploads.collect();
        let mut good = 0;
        for upload in uploads {
            good += upload.await.expect("uploaded");
        }
        over.store(true, Ordering::SeqCst);
        let mut files = 0;
        for collector in collectors {
            files += collector.await.expect("collected");
        }
        assert!(good > 0 && files > 0, "{good} uploads, {files} files");
        all_is_well(&stage, &db).await;
    }
}
