//! What runs the queue: handlers, retries, panics, the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lyceum_model::clock::{Clock, Millis};
use lyceum_store::jobs::{self, NewJob};
use lyceum_store::runner::Runner;
use lyceum_store::{Db, on};
use lyceum_testkit::TestDb;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const LONG: Duration = Duration::from_secs(30);

fn runner(db: &Db, clock: &Clock) -> Runner {
    Runner::new(db.clone(), clock.clone()).poll(Duration::from_millis(50))
}

async fn enqueue(db: &Db, kind: &str, key: &str) {
    let mut tx = db.write().await.unwrap();
    let job = NewJob::now(kind, key, json!({"key": key}), Millis(0));
    jobs::enqueue(&mut tx, &job, Millis(0)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Waits until as many jobs are in the state that `state` (SQL) describes.
async fn wait_for(db: &Db, state: &'static str, count: i64) {
    let mut wake_ups = db.wake_ups();
    let waiting = async {
        loop {
            let mut tx = db.read().await.unwrap();
            let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM jobs WHERE {state}"));
            let found: i64 = on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).unwrap();
            drop(tx);
            if found == count {
                return;
            }
            let _ = timeout(Duration::from_millis(100), wake_ups.recv()).await;
        }
    };
    timeout(LONG, waiting)
        .await
        .unwrap_or_else(|_| panic!("{count} jobs become {state}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_run_each_job_once() {
    const JOBS: usize = 30;
    for test in TestDb::both().await {
        let cancel = CancellationToken::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let busy = Arc::new(AtomicUsize::new(0));
        let mut running = Vec::new();
        for _ in 0..2 {
            let (runs, busy) = (runs.clone(), busy.clone());
            let replica = runner(&test.another().await, &Clock::system())
                .concurrency(2)
                .on("count", move |_| {
                    let (runs, busy) = (runs.clone(), busy.clone());
                    async move {
                        assert!(
                            busy.fetch_add(1, Ordering::SeqCst) < 4,
                            "two of each replica"
                        );
                        tokio::task::yield_now().await;
                        runs.fetch_add(1, Ordering::SeqCst);
                        busy.fetch_sub(1, Ordering::SeqCst);
                        Ok(())
                    }
                });
            running.push(tokio::spawn(replica.run(cancel.clone())));
        }
        for n in 0..JOBS {
            enqueue(test.db(), "count", &n.to_string()).await;
        }
        wait_for(test.db(), "done_at IS NOT NULL", JOBS.try_into().unwrap()).await;
        assert_eq!(runs.load(Ordering::SeqCst), JOBS);
        cancel.cancel();
        for replica in running {
            timeout(LONG, replica).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_failed_or_panicked_job_is_tried_again() {
    for test in TestDb::both().await {
        let db = test.db();
        let clock = Clock::manual(Millis(0));
        let cancel = CancellationToken::new();
        let replica = runner(db, &clock).on("moody", |context| async move {
            match context.job.attempt {
                1 => anyhow::bail!("not yet"),
                2 => panic!("nor now"),
                _ => Ok(()),
            }
        });
        let running = tokio::spawn(replica.run(cancel.clone()));
        enqueue(db, "moody", "a").await;
        wait_for(db, "last_error = 'not yet' AND attempts = 1", 1).await;
        clock.advance(2_000);
        wait_for(db, "last_error LIKE '%panicked%' AND attempts = 2", 1).await;
        clock.advance(4_000);
        wait_for(db, "done_at IS NOT NULL AND last_error IS NULL", 1).await;
        cancel.cancel();
        timeout(LONG, running).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn kinds_without_a_handler_are_left_to_others() {
    for test in TestDb::both().await {
        let cancel = CancellationToken::new();
        let replica = runner(test.db(), &Clock::system()).on("known", |_| async { Ok(()) });
        let running = tokio::spawn(replica.run(cancel.clone()));
        enqueue(test.db(), "unknown", "a").await;
        enqueue(test.db(), "known", "a").await;
        wait_for(test.db(), "kind = 'known' AND done_at IS NOT NULL", 1).await;
        wait_for(test.db(), "kind = 'unknown' AND attempts = 0", 1).await;
        cancel.cancel();
        timeout(LONG, running).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_end_waits_for_running_jobs() {
    for test in TestDb::both().await {
        let cancel = CancellationToken::new();
        let (started, mut starts) = mpsc::channel(1);
        let finish = Arc::new(Notify::new());
        // One slot, so that the second job can't slip in before the end is announced.
        let replica = runner(test.db(), &Clock::system())
            .concurrency(1)
            .drain(LONG)
            .on("slow", {
                let finish = finish.clone();
                move |context| {
                    let (started, finish) = (started.clone(), finish.clone());
                    async move {
                        started.send(()).await?;
                        context.stop.cancelled().await;
                        finish.notified().await;
                        Ok(())
                    }
                }
            });
        let running = tokio::spawn(replica.run(cancel.clone()));
        enqueue(test.db(), "slow", "a").await;
        timeout(LONG, starts.recv()).await.unwrap().unwrap();
        cancel.cancel();
        // New work is no longer taken.
        enqueue(test.db(), "slow", "b").await;
        finish.notify_one();
        timeout(LONG, running).await.unwrap().unwrap();
        wait_for(test.db(), "key = 'a' AND done_at IS NOT NULL", 1).await;
        wait_for(
            test.db(),
            "key = 'b' AND attempts = 0 AND done_at IS NULL",
            1,
        )
        .await;
    }
}

#[tokio::test]
async fn a_job_that_does_not_end_is_given_back() {
    for test in TestDb::both().await {
        let cancel = CancellationToken::new();
        let (started, mut starts) = mpsc::channel(1);
        let replica = runner(test.db(), &Clock::system())
            .drain(Duration::from_millis(20))
            .on("endless", move |_| {
                let started = started.clone();
                async move {
                    started.send(()).await?;
                    std::future::pending().await
                }
            });
        let running = tokio::spawn(replica.run(cancel.clone()));
        enqueue(test.db(), "endless", "a").await;
        timeout(LONG, starts.recv()).await.unwrap().unwrap();
        cancel.cancel();
        timeout(LONG, running).await.unwrap().unwrap();
        wait_for(test.db(), "attempts = 0 AND lease_owner IS NULL", 1).await;
    }
}

#[tokio::test]
async fn a_lease_is_renewed_while_the_job_runs_and_its_loss_cuts_it_off() {
    for test in TestDb::both().await {
        let cancel = CancellationToken::new();
        let (started, mut starts) = mpsc::channel(4);
        let ended = CancellationToken::new();
        let ends = ended.clone();
        let replica = runner(test.db(), &Clock::system())
            .lease(Duration::from_secs(9))
            .on("held", move |_| {
                let (started, ended) = (started.clone(), ended.clone());
                async move {
                    // Cancelled when the handler is cut off.
                    let _ended = ended.drop_guard();
                    started.send(()).await?;
                    std::future::pending().await
                }
            });
        let running = tokio::spawn(replica.run(cancel.clone()));
        enqueue(test.db(), "held", "a").await;
        timeout(LONG, starts.recv()).await.unwrap().unwrap();
        let mut tx = test.db().read().await.unwrap();
        let (lease, until): (String, i64) = on!(tx, |c| sqlx::query_as(
            "SELECT lease_owner, lease_until FROM jobs"
        )
        .fetch_one(c)
        .await)
        .unwrap();
        drop(tx);
        // Renewed: the end of the lease moves on although nobody else touches it.
        let renewed = async {
            loop {
                let mut tx = test.db().read().await.unwrap();
                let (now_held, now_until): (String, i64) = on!(tx, |c| sqlx::query_as(
                    "SELECT lease_owner, lease_until FROM jobs"
                )
                .fetch_one(c)
                .await)
                .unwrap();
                drop(tx);
                assert_eq!(now_held, lease, "it stays with the one who runs it");
                if now_until > until {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, renewed).await.expect("the lease is renewed");
        // Taken away, as after a long pause of the machine.
        let mut tx = test.db().write().await.unwrap();
        on!(tx, |c| sqlx::query(
            "UPDATE jobs SET lease_owner = 'another', lease_until = lease_until + 1000000"
        )
        .execute(c)
        .await
        .map(|_| ()))
        .unwrap();
        tx.commit().await.unwrap();
        timeout(LONG, ends.cancelled())
            .await
            .expect("it is cut off");
        cancel.cancel();
        timeout(LONG, running).await.unwrap().unwrap();
        wait_for(test.db(), "lease_owner = 'another'", 1).await;
    }
}
