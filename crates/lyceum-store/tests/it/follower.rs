//! A PostgreSQL that follows another one, where a fail-over leads to too early.

use std::time::Duration;

use lyceum_store::db::{Location, Patience};
use lyceum_store::{Db, on};
use lyceum_testkit::postgres::Postgres;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

/// Of whoever waits for no fail-over to end.
const HASTY: Patience = Patience {
    statement: Duration::from_secs(20),
    quiet: Duration::ZERO,
    connection: Duration::from_secs(2),
    farewell: Duration::from_secs(300),
};

async fn write(db: &Db) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    on!(&mut tx, |c| sqlx::query("INSERT INTO notes VALUES (1)")
        .execute(c)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_follows_is_refused_until_it_is_promoted() {
    let mut server = Postgres::start().unwrap();
    let location = Location::Postgres(server.url().to_owned());
    let before = Db::open_with(&location, HASTY).await.unwrap();
    let mut direct = PgConnection::connect(server.url()).await.unwrap();
    sqlx::query("CREATE TABLE notes (number BIGINT)")
        .execute(&mut direct)
        .await
        .unwrap();
    write(&before).await.unwrap();

    let server = tokio::task::spawn_blocking(move || {
        server.follow().unwrap();
        server
    });
    let server = server.await.unwrap();
    // It is there and answers questions.
    let mut direct = PgConnection::connect(server.url()).await.unwrap();
    let notes: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM notes")
        .fetch_one(&mut direct)
        .await
        .unwrap();
    assert_eq!(notes, 1);
    // A hub that starts says what is wrong; one that was there takes it for no database either.
    let refused = Db::open_with(&location, HASTY).await;
    let refused = format!("{:#}", refused.map(|_| ()).unwrap_err());
    assert!(refused.contains("follows another one"), "{refused}");
    before.read().await.map(|_| ()).unwrap_err();
    // Whoever has patience waits until it is promoted.
    let patient = tokio::spawn({
        let location = location.clone();
        async move { Db::open(&location).await }
    });
    let promoted: bool = sqlx::query_scalar("SELECT pg_promote()")
        .fetch_one(&mut direct)
        .await
        .unwrap();
    assert!(promoted);
    write(&patient.await.unwrap().unwrap()).await.unwrap();
    write(&before).await.unwrap();
}
