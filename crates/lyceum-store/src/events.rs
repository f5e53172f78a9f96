//! The outbox: news written in the transaction that makes them, numbered in commit order.
//!
//! A follower keeps the number it has seen, asks for what came [`after`] it and then waits until
//! it is [`woken`]. The rows are the truth; a wake-up only saves time. On SQLite wake-ups travel
//! inside the process, on PostgreSQL also between replicas ([`crate::Db::listen`]).
//!
//! Invariant: numbers have no gaps and a lower number was committed earlier, since the counter's
//! row is locked until its transaction ends; therefore events are written right before the commit.

use lyceum_model::clock::Millis;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::db::{Conn, Tx};
use crate::later::Later;
use crate::on;

/// The wake-up that concerns every topic: wake-ups may have been lost.
pub const EVERYTHING: &str = "*";
/// The channel of PostgreSQL's notifications; the payload is the topic.
pub(crate) const CHANNEL: &str = "lyceum";

/// One piece of news.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub seq: i64,
    pub topic: String,
    /// What it is about, most often an id.
    pub subject: String,
    pub body: Value,
    pub at: Millis,
}

/// Leaves an event for the commit of `tx`, and wakes its followers then.
pub async fn publish(
    tx: &mut Tx,
    topic: &str,
    subject: &str,
    body: &Value,
    now: Millis,
) -> sqlx::Result<()> {
    tx.later(Later::new(
        "UPDATE counters SET value = value + 1 WHERE name = 'events'",
    ));
    tx.later(
        Later::new(
            "INSERT INTO events (seq, topic, subject, body, at) \
             SELECT value, $1, $2, $3, $4 FROM counters WHERE name = 'events'",
        )
        .bind(topic)
        .bind(subject)
        .bind(body.to_string())
        .bind(now.0),
    );
    announce(tx, topic).await
}

/// Wakes those who wait for `topic` when `tx` is committed, without an event: for tables that are
/// themselves the list of what is to do.
pub async fn announce(tx: &mut Tx, topic: &str) -> sqlx::Result<()> {
    if tx.news.iter().any(|known| known == topic) {
        return Ok(());
    }
    if let Conn::Postgres(transaction) = &mut tx.conn {
        let watch = transaction.watch();
        let notify = sqlx::query("SELECT pg_notify($1, $2)")
            .bind(CHANNEL)
            .bind(topic)
            .execute(&mut **transaction);
        watch.in_time(notify).await?;
    }
    tx.news.push(topic.to_owned());
    Ok(())
}

/// The events behind number `seq`, oldest first; of all topics when `topics` is empty. Without a
/// filter, a first number other than `seq + 1` says that older ones were pruned meanwhile.
pub async fn after(tx: &mut Tx, seq: i64, topics: &[&str], limit: u32) -> sqlx::Result<Vec<Event>> {
    let filter = match topics.len() {
        0 => String::new(),
        count => format!("AND topic IN ({}) ", placeholders(3, count)),
    };
    let sql = format!(
        "SELECT seq, topic, subject, body, at FROM events WHERE seq > $1 {filter}ORDER BY seq LIMIT $2"
    );
    let rows: Vec<(i64, String, String, String, i64)> = on!(tx, |c| {
        let mut query = sqlx::query_as(AssertSqlSafe(sql))
            .bind(seq)
            .bind(i64::from(limit));
        for topic in topics {
            query = query.bind(*topic);
        }
        query.fetch_all(c).await
    })?;
    rows.into_iter()
        .map(|(seq, topic, subject, body, at)| {
            Ok(Event {
                seq,
                topic,
                subject,
                body: serde_json::from_str(&body)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                at: Millis(at),
            })
        })
        .collect()
}

/// The number of the newest event there has been, 0 before the first.
pub async fn newest(tx: &mut Tx) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT value FROM counters WHERE name = 'events'"
    )
    .fetch_one(c)
    .await)
}

/// The number of the oldest event that is still kept. A follower that has seen less than the one
/// before it has missed some and must look at everything.
pub async fn oldest(tx: &mut Tx) -> sqlx::Result<Option<i64>> {
    on!(tx, |c| sqlx::query_scalar("SELECT min(seq) FROM events")
        .fetch_one(c)
        .await)
}

/// Forgets events from before `before`; says how many.
pub async fn prune(tx: &mut Tx, before: Millis) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query("DELETE FROM events WHERE at < $1")
        .bind(before.0)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))
}

/// Waits for a wake-up of one of `topics`, or of everything. Safe to drop and call again. Take the
/// receiver ([`crate::Db::wake_ups`]) *before* looking at the rows, or news in between are missed.
pub async fn woken(wake_ups: &mut broadcast::Receiver<String>, topics: &[&str]) {
    loop {
        match wake_ups.recv().await {
            Ok(topic) if topic == EVERYTHING || topics.contains(&topic.as_str()) => return,
            Ok(_) => {}
            // Too many to keep: some of them may have been ours.
            Err(RecvError::Lagged(_)) => return,
            // The database is closed: nothing will come any more.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// `$3, $4, $5` for `(3, 3)`.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}
