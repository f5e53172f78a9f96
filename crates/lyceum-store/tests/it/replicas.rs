//! What replicas need of the database: one clock, and tables that two versions can work on.

use std::time::{Duration, Instant};

use lyceum_model::clock::{Clock, Millis};
use lyceum_store::migrate::{self, Step};
use lyceum_testkit::TestDb;
use lyceum_testkit::db::set_clock;
use tokio_util::sync::CancellationToken;

const HOUR: i64 = 3_600_000;
/// Many times the pause between two questions.
const LONG: Duration = Duration::from_secs(120);

#[tokio::test]
async fn on_postgresql_the_database_tells_the_time() {
    let test = TestDb::postgres().await;
    set_clock(&test, HOUR).await;
    let db = test.another().await;
    let ahead = |clock: &Clock| clock.now().since(Clock::system().now());
    let is_about = |clock: &Clock, hours: i64| (ahead(clock) - hours * HOUR).abs() < HOUR / 2;
    let clock = db.clock().await.unwrap();
    assert!(is_about(&clock, 1), "{} ms", ahead(&clock));

    // It is set meanwhile, as after a fail-over to another machine.
    set_clock(&test, 3 * HOUR).await;
    let cancel = CancellationToken::new();
    let (keeping, stop) = (clock.clone(), cancel.clone());
    let kept = tokio::spawn(async move { db.keep_time(keeping, stop).await });
    let begun = Instant::now();
    while !is_about(&clock, 3) {
        assert!(begun.elapsed() < LONG, "{} ms", ahead(&clock));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cancel.cancel();
    kept.await.unwrap();
}

#[tokio::test]
async fn on_sqlite_the_machine_tells_the_time() {
    let test = TestDb::sqlite().await;
    let clock = test.db().clock().await.unwrap();
    clock.tell(Millis(0));
    let off = clock.now().since(Clock::system().now()).abs();
    assert!(off < HOUR, "{off} ms");
    // Returns at once.
    test.db().keep_time(clock, CancellationToken::new()).await;
}

const EXPAND: Step = Step {
    version: 9001,
    name: "expand",
    sql: "CREATE TABLE colours (id TEXT PRIMARY KEY);",
};
const CONTRACT: Step = Step {
    version: 9002,
    name: "contract",
    sql: "-- needs: 9001\nDROP TABLE colours;",
};

/// This version's steps and some that come later.
fn steps(more: &[Step]) -> Vec<Step> {
    let copy = |step: &Step| Step {
        version: step.version,
        name: step.name,
        sql: step.sql,
    };
    migrate::STEPS.iter().chain(more).map(copy).collect()
}

#[tokio::test]
async fn a_program_goes_on_with_tables_that_a_newer_one_has_added_to() {
    for test in TestDb::both().await {
        let newer = steps(&[EXPAND]);
        assert_eq!(migrate::run_steps(test.db(), &newer).await.unwrap(), 1);
        assert_eq!(migrate::run(test.db()).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_program_refuses_tables_from_which_something_it_needs_was_taken() {
    for test in TestDb::both().await {
        let next = steps(&[EXPAND]);
        let after = steps(&[EXPAND, CONTRACT]);
        assert_eq!(migrate::run_steps(test.db(), &after).await.unwrap(), 2);
        let refused = migrate::run(test.db()).await.unwrap_err().to_string();
        assert!(
            refused.contains("9002_contract") && refused.contains("newer program"),
            "{refused}"
        );
        // The one in between knows what the step asks for.
        assert_eq!(migrate::run_steps(test.db(), &next).await.unwrap(), 0);
        assert_eq!(migrate::run_steps(test.db(), &after).await.unwrap(), 0);
    }
}

#[test]
fn steps_say_what_they_need() {
    assert_eq!((EXPAND.needs(), CONTRACT.needs()), (0, 9001));
    // Each is read at some start, and one that can't be read would end it.
    for step in migrate::STEPS {
        assert!(step.needs() < step.version, "{}", step.name);
    }
}
