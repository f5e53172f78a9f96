//! What tells whether anything was committed.

use std::time::{Duration, Instant};

use lyceum_model::clock::Millis;
use lyceum_store::db::Location;
use lyceum_store::{Db, Engine, events};
use lyceum_testkit::TestDb;

async fn publish(db: &Db) {
    let mut tx = db.write().await.expect("a transaction");
    let body = serde_json::json!({});
    let published = events::publish(&mut tx, "test", "x", &body, Millis(1)).await;
    published.expect("written");
    tx.commit().await.expect("committed");
}

#[tokio::test]
async fn a_commit_shows_at_once_and_nothing_else_does() {
    for test in TestDb::both().await {
        let db = test.db();
        // PostgreSQL's stamps end with the second they are of.
        let alike = || async {
            for _ in 0..100 {
                let before = db.stamp().expect("it can be told");
                let mut tx = db.read().await.expect("a transaction");
                events::newest(&mut tx).await.expect("read");
                drop(tx);
                let mut tx = db.write().await.expect("a transaction");
                let body = serde_json::json!({});
                let published = events::publish(&mut tx, "test", "x", &body, Millis(1)).await;
                published.expect("written");
                tx.rollback().await.expect("rolled back");
                if db.stamp() == Some(before) {
                    return true;
                }
            }
            false
        };
        assert!(alike().await, "reading and what was not committed show");
        for _ in 0..20 {
            let before = db.stamp().expect("it can be told");
            publish(db).await;
            assert_ne!(db.stamp(), Some(before));
        }
    }
}

#[tokio::test]
async fn a_commit_of_another_process_shows() {
    for test in TestDb::both().await {
        let db = test.db();
        let other = test.another().await;
        publish(&other).await;
        for _ in 0..5 {
            let before = db.stamp().expect("it can be told");
            publish(&other).await;
            match db.engine() {
                Engine::Sqlite => assert_ne!(db.stamp(), Some(before), "at once"),
                // Nobody listens here, so that it is the second that ends.
                Engine::Postgres => {
                    let begun = Instant::now();
                    while db.stamp() == Some(before) {
                        assert!(begun.elapsed() < Duration::from_secs(30), "never");
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }
        other.close().await;
    }
}

#[tokio::test]
async fn it_can_be_told_after_all_others_have_closed() {
    let test = TestDb::sqlite().await;
    let db = test.db();
    for _ in 0..3 {
        let other = test.another().await;
        let before = db.stamp().expect("it can be told");
        publish(&other).await;
        assert_ne!(db.stamp(), Some(before));
        other.close().await;
        let before = db.stamp().expect("it can be told");
        publish(db).await;
        assert_ne!(db.stamp(), Some(before));
    }
}

#[tokio::test]
async fn a_link_to_the_file_is_followed() {
    let test = TestDb::sqlite().await;
    let Location::Sqlite(file) = test.location() else {
        panic!("a file");
    };
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("linked.db");
    std::os::unix::fs::symlink(file, &link).expect("a link");
    // Left over from when the file itself lay here.
    std::fs::write(folder.path().join("linked.db-shm"), [7; 32768]).expect("written");
    let db = Db::open(&Location::Sqlite(link)).await.expect("it opens");
    for _ in 0..3 {
        let before = db.stamp().expect("it can be told");
        publish(&db).await;
        assert_ne!(db.stamp(), Some(before));
    }
    db.close().await;
}

#[tokio::test]
async fn one_commit_alone_knows_the_stamps_around_it() {
    for test in TestDb::both().await {
        let db = test.db();
        let alone = || async {
            // PostgreSQL's stamps end with the second they are of.
            for _ in 0..100 {
                let before = db.stamp().expect("it can be told");
                let mut tx = db.write().await.expect("a transaction");
                let body = serde_json::json!({});
                let published = events::publish(&mut tx, "test", "x", &body, Millis(1)).await;
                published.expect("written");
                let both = tx.commit_alone().await.expect("committed");
                if let Some((was, is)) = both
                    && was == before
                    && db.stamp() == Some(is)
                {
                    return was != is;
                }
            }
            false
        };
        for _ in 0..20 {
            assert!(alone().await, "{:?}", db.engine());
        }
    }
}
