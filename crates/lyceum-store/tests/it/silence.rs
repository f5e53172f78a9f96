//! A PostgreSQL that is there and says nothing any more, as after its machine was lost.

use std::time::{Duration, Instant};

use lyceum_store::db::{Location, Patience};
use lyceum_store::{Db, DbError, on};
use lyceum_testkit::{Relay, TestDb};
use tokio::time::timeout;

const HASTY: Patience = Patience {
    statement: Duration::from_secs(6),
    quiet: Duration::from_secs(600),
    connection: Duration::from_secs(30),
    farewell: Duration::from_secs(300),
};
/// Whoever waits for longer waits for ever.
const LONG: Duration = Duration::from_secs(60);

async fn relay_before(test: &TestDb) -> Relay {
    let Location::Postgres(url) = test.location() else {
        panic!("no PostgreSQL");
    };
    Relay::before(url).await
}

fn through(relay: &Relay) -> Location {
    Location::Postgres(relay.url().to_owned())
}

async fn one(tx: &mut lyceum_store::Tx) -> Result<i64, DbError> {
    on!(tx, |c| sqlx::query_scalar("SELECT CAST(1 AS BIGINT)")
        .fetch_one(c)
        .await)
}

/// Whatever was under way fails in time, and all goes on without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_answer_goes_on_with_new_connections() {
    let test = TestDb::postgres().await;
    let relay = relay_before(&test).await;
    let db = Db::open_with(&through(&relay), HASTY)
        .await
        .expect("it opens");
    // All connections there may be, each in a transaction.
    let mut open = Vec::new();
    for number in 0..8 {
        let mut tx = match number % 2 {
            0 => db.write().await.expect("a transaction"),
            _ => db.read().await.expect("a transaction"),
        };
        assert_eq!(one(&mut tx).await.expect("asked"), 1);
        open.push(tx);
    }
    relay.silence();
    let last = open.pop().expect("one");
    let asked = open
        .into_iter()
        .map(|mut tx| async move { one(&mut tx).await });
    let answers = timeout(LONG, futures_util::future::join_all(asked));
    for answer in answers.await.expect("each in time") {
        assert!(matches!(answer, Err(DbError::Io(_))), "{answer:?}");
    }
    // Nobody knows whether it was committed, and that is what is said.
    let committed = timeout(LONG, last.commit()).await.expect("in time");
    assert!(matches!(committed, Err(DbError::Io(_))), "{committed:?}");
    for _ in 0..20 {
        let mut tx = timeout(LONG, db.write())
            .await
            .expect("in time")
            .expect("one");
        assert_eq!(one(&mut tx).await.expect("asked"), 1);
        tx.commit().await.expect("committed");
    }
}

/// Whoever stops waiting leaves a connection behind whose answer is waited for without an end. However
/// often that happens, it keeps nobody from new ones.
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_takes_no_connection_from_others() {
    let test = TestDb::postgres().await;
    let relay = relay_before(&test).await;
    let hasty = Patience {
        statement: Duration::from_secs(4),
        connection: Duration::from_secs(8),
        // Over by the time at which the next ones are late.
        farewell: Duration::from_millis(500),
        ..HASTY
    };
    let db = Db::open_with(&through(&relay), hasty)
        .await
        .expect("it opens");
    for round in 0..5 {
        // All connections there may be.
        let mut open = Vec::new();
        for _ in 0..8 {
            let tx = timeout(LONG, db.read()).await.expect("in time");
            open.push(tx.unwrap_or_else(|error| panic!("round {round}: {error}")));
        }
        relay.silence();
        let mut left = open.pop().expect("one");
        let answer = timeout(Duration::from_millis(100), one(&mut left)).await;
        answer.expect_err("nobody answers");
        drop(left);
        let asked = open
            .into_iter()
            .map(|mut tx| async move { one(&mut tx).await });
        let answers = timeout(LONG, futures_util::future::join_all(asked));
        for answer in answers.await.expect("each in time") {
            assert!(matches!(answer, Err(DbError::Io(_))), "{answer:?}");
        }
    }
    let mut tx = timeout(LONG, db.write())
        .await
        .expect("in time")
        .expect("a transaction");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
}

/// Connections that nobody used meanwhile are tried before somebody relies on them.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_tried_first() {
    let test = TestDb::postgres().await;
    let relay = relay_before(&test).await;
    let patience = Patience {
        statement: HASTY.statement,
        ..Patience::default()
    };
    let db = Db::open_with(&through(&relay), patience)
        .await
        .expect("it opens");
    let mut tx = db.glance().await.expect("a connection");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
    drop(tx);
    let begun = Instant::now();
    while db.connections() != Some((1, 1)) {
        assert!(begun.elapsed() < LONG, "{:?}", db.connections());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    relay.silence();
    let mut tx = timeout(LONG, db.glance())
        .await
        .expect("in time")
        .expect("another");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
}

/// Whoever reads the log knows which machine is gone, and for how long it was waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_swallows_all_is_named() {
    let test = TestDb::postgres().await;
    let relay = relay_before(&test).await;
    let hasty = Patience {
        connection: Duration::from_secs(4),
        ..HASTY
    };
    let db = Db::open_with(&through(&relay), hasty)
        .await
        .expect("it opens");
    // One that works while others lose theirs.
    let mut held = db.read().await.expect("a transaction");
    relay.vanish();
    let names_it = |error: String| {
        let (_, port) = relay.url().rsplit_once(':').expect("a port");
        let (port, _) = port.split_once('/').expect("a path");
        let place = format!("PostgreSQL at 127.0.0.1:{port} ");
        assert!(error.contains(&place), "{error}");
        assert!(!error.contains("postgres://"), "{error}");
        error
    };
    let late = timeout(LONG, db.write()).await.expect("in time");
    let late = names_it(late.map(|_| ()).expect_err("no connection").to_string());
    assert!(late.contains("within 4 s"), "{late}");
    let late = timeout(LONG, one(&mut held)).await.expect("in time");
    let late = names_it(late.expect_err("no answer").to_string());
    assert!(late.contains("within 6 s"), "{late}");
    // Who starts then says the same.
    let refused = timeout(LONG, Db::open_with(&through(&relay), hasty)).await;
    let refused = refused
        .expect("in time")
        .map(|_| ())
        .expect_err("no database");
    let refused = names_it(format!("{refused:#}"));
    assert!(refused.contains("within 4 s"), "{refused}");
}

/// The server itself ends what takes too long, and says so; nothing is given up for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_ended_by_the_server() {
    let test = TestDb::postgres().await;
    let patience = Patience {
        statement: Duration::from_secs(3),
        ..HASTY
    };
    let db = Db::open_with(test.location(), patience)
        .await
        .expect("it opens");
    let mut tx = db.write().await.expect("a transaction");
    let slept = on!(&mut tx, |c| sqlx::query("SELECT pg_sleep(600)")
        .execute(c)
        .await
        .map(|_| ()));
    let error = slept.expect_err("it takes too long");
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("57014"), "{error}");
    drop(tx);
    let mut tx = db.write().await.expect("a transaction");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
}
