//! The outbox and its wake-ups.

use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_store::{Db, Engine, events, on};
use lyceum_testkit::TestDb;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);

async fn publish(db: &Db, topic: &str, subject: &str, at: i64) -> i64 {
    let mut tx = db.write().await.unwrap();
    events::publish(&mut tx, topic, subject, &json!({"n": at}), Millis(at))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.read().await.unwrap();
    events::newest(&mut tx).await.unwrap()
}

async fn subjects(db: &Db, seq: i64, topics: &[&str], limit: u32) -> Vec<String> {
    let mut tx = db.read().await.unwrap();
    let found = events::after(&mut tx, seq, topics, limit).await.unwrap();
    found.into_iter().map(|event| event.subject).collect()
}

#[tokio::test]
async fn events_are_read_by_number_and_topic() {
    for test in TestDb::both().await {
        let db = test.db();
        for (at, (topic, subject)) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]
            .into_iter()
            .enumerate()
        {
            publish(db, topic, subject, at.try_into().unwrap()).await;
        }
        assert_eq!(subjects(db, 0, &[], 10).await, ["1", "2", "3", "4"]);
        assert_eq!(subjects(db, 1, &[], 2).await, ["2", "3"]);
        assert_eq!(subjects(db, 0, &["a", "c"], 10).await, ["1", "3", "4"]);
        assert_eq!(subjects(db, 4, &[], 10).await, [""; 0]);

        let mut tx = db.write().await.unwrap();
        assert_eq!(events::prune(&mut tx, Millis(2)).await.unwrap(), 2);
        assert_eq!(events::oldest(&mut tx).await.unwrap(), Some(3));
        assert_eq!(events::newest(&mut tx).await.unwrap(), 4);
        let kept = events::after(&mut tx, 0, &[], 1).await.unwrap();
        assert_eq!(kept[0].body, json!({"n": 2}));
        assert_eq!(kept[0].at, Millis(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gaps_and_follow_the_commits() {
    const WRITERS: usize = 4;
    const EACH: usize = 15;
    for test in TestDb::both().await {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = test.db().clone();
                tokio::spawn(async move {
                    for n in 0..EACH {
                        let mut tx = db.write().await.unwrap();
                        events::publish(&mut tx, "t", &writer.to_string(), &json!(n), Millis(0))
                            .await
                            .unwrap();
                        // Every third is thought better of: it must leave no hole.
                        match n % 3 {
                            0 => tx.rollback().await.unwrap(),
                            _ => tx.commit().await.unwrap(),
                        }
                    }
                })
            })
            .collect();
        // A follower that goes by the last number it saw misses none.
        let expected = WRITERS * EACH * 2 / 3;
        let mut seen: Vec<i64> = Vec::new();
        let follow = async {
            let mut wake_ups = test.db().wake_ups();
            while seen.len() < expected {
                let mut tx = test.db().read().await.unwrap();
                let last = seen.last().copied().unwrap_or(0);
                let found = events::after(&mut tx, last, &[], 7).await.unwrap();
                drop(tx);
                if found.is_empty() {
                    events::woken(&mut wake_ups, &["t"]).await;
                }
                seen.extend(found.iter().map(|event| event.seq));
            }
        };
        timeout(LONG, follow).await.expect("all events arrive");
        let all: Vec<i64> = (1..=i64::try_from(expected).unwrap()).collect();
        assert_eq!(seen, all);
        for writer in writers {
            writer.await.unwrap();
        }
    }
}

#[tokio::test]
async fn only_what_is_committed_wakes() {
    for test in TestDb::both().await {
        let mut wake_ups = test.db().wake_ups();
        let mut tx = test.db().write().await.unwrap();
        events::publish(&mut tx, "gone", "", &json!(null), Millis(0))
            .await
            .unwrap();
        tx.rollback().await.unwrap();
        publish(test.db(), "kept", "", 0).await;
        assert_eq!(wake_ups.try_recv().unwrap(), "kept");
        assert!(wake_ups.try_recv().is_err());
    }
}

#[tokio::test]
async fn replicas_wake_each_other() {
    let test = TestDb::postgres().await;
    let (one, two) = (test.another().await, test.another().await);
    let cancel = CancellationToken::new();
    let (mut at_one, mut at_two) = (one.wake_ups(), two.wake_ups());
    let listeners: Vec<_> = [&one, &two]
        .map(|db| {
            let (db, cancel) = (db.clone(), cancel.clone());
            tokio::spawn(async move { db.listen(cancel).await })
        })
        .into();
    // Both say so when they listen.
    for wake_ups in [&mut at_one, &mut at_two] {
        let first = timeout(LONG, wake_ups.recv()).await.unwrap().unwrap();
        assert_eq!(first, events::EVERYTHING);
    }
    publish(&one, "from-one", "", 0).await;
    timeout(LONG, events::woken(&mut at_two, &["from-one"]))
        .await
        .expect("the second replica hears of the first's news");
    publish(&two, "from-two", "", 0).await;
    timeout(LONG, events::woken(&mut at_one, &["from-two"]))
        .await
        .expect("and the other way round");

    // Lost connections: both listen again and look at everything.
    while at_two.try_recv().is_ok() {}
    let mut tx = test.db().write().await.unwrap();
    let cut: i64 = on!(tx, |c| sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    .fetch_one(c)
    .await)
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(cut, 2);
    let woken = async { while at_two.recv().await.unwrap() != events::EVERYTHING {} };
    timeout(LONG, woken).await.expect("it listens again");
    publish(&one, "later", "", 0).await;
    timeout(LONG, events::woken(&mut at_two, &["later"]))
        .await
        .expect("and hears news again");

    cancel.cancel();
    for listener in listeners {
        timeout(LONG, listener).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn there_is_nothing_to_listen_to_on_sqlite() {
    let test = TestDb::sqlite().await;
    assert_eq!(test.db().engine(), Engine::Sqlite);
    timeout(LONG, test.db().listen(CancellationToken::new()))
        .await
        .expect("it returns at once");
}
