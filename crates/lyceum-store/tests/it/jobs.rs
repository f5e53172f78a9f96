//! The queue: one job never runs twice at once while its lease holds.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use lyceum_model::clock::Millis;
use lyceum_store::jobs::{self, Claimed, Failed, NewJob};
use lyceum_store::{Db, on};
use lyceum_testkit::TestDb;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const LEASE: i64 = 1_000;

async fn enqueue(db: &Db, key: &str, payload: Value, now: i64) -> String {
    let mut tx = db.write().await.unwrap();
    let job = NewJob::now("mail", key, payload, Millis(now));
    let id = jobs::enqueue(&mut tx, &job, Millis(now)).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn claim(db: &Db, limit: u32, now: i64) -> Vec<Claimed> {
    let mut tx = db.write().await.unwrap();
    let claimed = jobs::claim(&mut tx, "w", &["mail", "other"], LEASE, limit, Millis(now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    claimed
}

async fn complete(db: &Db, job: &Claimed, now: i64) -> bool {
    let mut tx = db.write().await.unwrap();
    let ours = jobs::complete(&mut tx, job, Millis(now)).await.unwrap();
    tx.commit().await.unwrap();
    ours
}

async fn fail(db: &Db, job: &Claimed, now: i64) -> Failed {
    let mut tx = db.write().await.unwrap();
    let failed = jobs::fail(&mut tx, job, "no luck", Millis(now))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    failed
}

async fn renew(db: &Db, job: &Claimed, now: i64) -> bool {
    let mut tx = db.write().await.unwrap();
    let ours = jobs::renew(&mut tx, job, LEASE, Millis(now)).await.unwrap();
    tx.commit().await.unwrap();
    ours
}

#[tokio::test]
async fn open_jobs_with_one_key_are_one() {
    for test in TestDb::both().await {
        let db = test.db();
        let first = enqueue(db, "a", json!(1), 0).await;
        assert_eq!(enqueue(db, "a", json!(2), 5).await, first);
        assert_ne!(enqueue(db, "b", json!(3), 5).await, first);
        let claimed = claim(db, 10, 5).await;
        assert_eq!(claimed.len(), 2);
        assert_eq!(claimed[0].payload, json!(2), "the newest word counts");
        assert!(complete(db, &claimed[0], 6).await);
        let next = enqueue(db, "a", json!(4), 7).await;
        assert_ne!(next, first, "a done job is no longer in the way");
    }
}

#[tokio::test]
async fn asked_for_while_it_runs_it_runs_once_more() {
    for test in TestDb::both().await {
        let db = test.db();
        enqueue(db, "a", json!("old"), 0).await;
        let running = claim(db, 1, 0).await.remove(0);
        enqueue(db, "a", json!("new"), 1).await;
        assert_eq!(claim(db, 1, 1).await, [], "not beside the first");
        assert!(complete(db, &running, 2).await);
        let again = claim(db, 1, 2).await.remove(0);
        assert_eq!((again.payload.clone(), again.attempt), (json!("new"), 1));
        assert!(complete(db, &again, 3).await);
        assert_eq!(claim(db, 1, 9_999_999).await, []);
    }
}

#[tokio::test]
async fn failures_wait_longer_and_end() {
    for test in TestDb::both().await {
        let db = test.db();
        let mut tx = db.write().await.unwrap();
        let job = NewJob {
            max_attempts: 3,
            ..NewJob::now("mail", "a", json!(null), Millis(0))
        };
        let id = jobs::enqueue(&mut tx, &job, Millis(0)).await.unwrap();
        tx.commit().await.unwrap();
        for (at, next) in [(0, 2_000), (2_000, 6_000)] {
            assert_eq!(claim(db, 1, at - 1).await, []);
            let job = claim(db, 1, at).await.remove(0);
            assert_eq!(fail(db, &job, at).await, Failed::Again { at: Millis(next) });
        }
        let job = claim(db, 1, 6_000).await.remove(0);
        assert_eq!(job.attempt, 3);
        assert_eq!(fail(db, &job, 6_000).await, Failed::GivenUp);
        assert_eq!(claim(db, 1, 9_999_999).await, []);

        let mut tx = db.write().await.unwrap();
        let error: String = on!(tx, |c| sqlx::query_scalar("SELECT last_error FROM jobs")
            .fetch_one(c)
            .await)
        .unwrap();
        assert_eq!(error, "no luck");
        assert!(jobs::retry(&mut tx, &id, Millis(7_000)).await.unwrap());
        assert!(!jobs::retry(&mut tx, &id, Millis(7_000)).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(claim(db, 1, 7_000).await[0].attempt, 1);
    }
}

#[tokio::test]
async fn a_lapsed_lease_goes_to_another_and_the_first_has_no_say() {
    for test in TestDb::both().await {
        let db = test.db();
        enqueue(db, "a", json!(null), 0).await;
        let first = claim(db, 1, 0).await.remove(0);
        assert!(renew(db, &first, 900).await);
        assert_eq!(claim(db, 1, 1_899).await, []);
        let second = claim(db, 1, 1_900).await.remove(0);
        assert_eq!(second.attempt, 2);
        assert!(!renew(db, &first, 1_900).await);
        assert!(!complete(db, &first, 1_900).await);
        assert_eq!(fail(db, &first, 1_900).await, Failed::NotOurs);
        assert!(complete(db, &second, 1_900).await);
    }
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_given_up() {
    for test in TestDb::both().await {
        let db = test.db();
        enqueue(db, "a", json!(null), 0).await;
        let mut now = 0;
        for _ in 0..jobs::MAX_ATTEMPTS {
            assert_eq!(claim(db, 1, now).await.len(), 1);
            now += LEASE;
        }
        assert_eq!(claim(db, 1, now).await, []);
        let mut tx = db.read().await.unwrap();
        assert_eq!(jobs::next_due(&mut tx, &["mail"]).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_released_job_has_lost_no_attempt() {
    for test in TestDb::both().await {
        let db = test.db();
        enqueue(db, "a", json!(null), 0).await;
        let job = claim(db, 1, 0).await.remove(0);
        let mut tx = db.write().await.unwrap();
        assert!(jobs::release(&mut tx, &job).await.unwrap());
        tx.commit().await.unwrap();
        assert_eq!(claim(db, 1, 0).await[0].attempt, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_share_the_work() {
    const JOBS: usize = 60;
    for test in TestDb::both().await {
        for n in 0..JOBS {
            enqueue(test.db(), &n.to_string(), json!(n), 0).await;
        }
        let running: Arc<Mutex<HashSet<String>>> = Arc::default();
        let mut workers = Vec::new();
        for _ in 0..4 {
            let db = test.another().await;
            let running = running.clone();
            workers.push(tokio::spawn(async move {
                let mut done = Vec::new();
                loop {
                    let claimed = claim(&db, 3, 1).await;
                    if claimed.is_empty() {
                        return done;
                    }
                    assert!(claimed.len() <= 3);
                    for job in &claimed {
                        let fresh = running.lock().unwrap().insert(job.id.clone());
                        assert!(fresh, "{} runs twice at once", job.id);
                    }
                    for job in claimed {
                        running.lock().unwrap().remove(&job.id);
                        assert!(complete(&db, &job, 1).await);
                        done.push(job.id);
                    }
                }
            }));
        }
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.await.unwrap());
        }
        // A worker may have gone home while others held the last jobs, but none is lost or doubled.
        let distinct: HashSet<&String> = done.iter().collect();
        assert_eq!((done.len(), distinct.len()), (JOBS, JOBS));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Enqueue(u8),
    Claim(u32),
    Complete(prop::sample::Index),
    Fail(prop::sample::Index),
    Renew(prop::sample::Index),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4_u8).prop_map(Step::Enqueue),
        4 => (1..4_u32).prop_map(Step::Claim),
        2 => any::<prop::sample::Index>().prop_map(Step::Complete),
        2 => any::<prop::sample::Index>().prop_map(Step::Fail),
        2 => any::<prop::sample::Index>().prop_map(Step::Renew),
        3 => (1..2 * LEASE).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

/// Plays the steps against a model: who holds which job until when.
async fn play(db: &Db, steps: Vec<Step>) {
    let mut tx = db.write().await.unwrap();
    on!(tx, |c| sqlx::query("DELETE FROM jobs")
        .execute(c)
        .await
        .map(|_| ()))
    .unwrap();
    tx.commit().await.unwrap();
    let mut now = 0;
    // All claims there ever were, with stale ones: what they say must not count.
    let mut claims: Vec<Claimed> = Vec::new();
    // Job -> the lease that is good, and its end.
    let mut held: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Enqueue(key) => {
                enqueue(db, &key.to_string(), json!(now), now).await;
            }
            Step::Claim(limit) => {
                for job in claim(db, limit, now).await {
                    let before = held.insert(job.id.clone(), (job.lease.clone(), now + LEASE));
                    assert!(
                        before.is_none_or(|(_, until)| until <= now),
                        "claimed although another holds it"
                    );
                    claims.push(job);
                }
            }
            Step::Wait(millis) => now += millis,
            Step::Complete(_) | Step::Fail(_) | Step::Renew(_) if claims.is_empty() => {}
            Step::Complete(index) => {
                let job = index.get(&claims);
                let ours = held
                    .get(&job.id)
                    .is_some_and(|(lease, _)| *lease == job.lease);
                assert!(
                    !complete(db, job, now).await || ours,
                    "a stale word counted"
                );
                if ours {
                    held.remove(&job.id);
                }
            }
            Step::Fail(index) => {
                let job = index.get(&claims);
                let ours = held
                    .get(&job.id)
                    .is_some_and(|(lease, _)| *lease == job.lease);
                assert!(fail(db, job, now).await == Failed::NotOurs || ours);
                if ours {
                    held.remove(&job.id);
                }
            }
            Step::Renew(index) => {
                let job = index.get(&claims);
                let ours = held
                    .get(&job.id)
                    .is_some_and(|(lease, until)| *lease == job.lease && *until > now);
                assert_eq!(renew(db, job, now).await, ours);
                if ours {
                    held.insert(job.id.clone(), (job.lease.clone(), now + LEASE));
                }
            }
        }
    }
}

#[test]
fn leases_follow_the_model() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for test in runtime.block_on(TestDb::both()) {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::with_cases(40)
        });
        runner
            .run(&steps(), |steps| {
                runtime.block_on(play(test.db(), steps));
                Ok(())
            })
            .unwrap();
    }
}
