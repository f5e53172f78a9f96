//! Who gets the next place among the starts under way.
//!
//! The order is made of the rows alone, so every replica sees the same line: a person's first
//! waiting start stands behind as many others as she has under way or was given a place for a
//! moment ago, her second one turn later, and so on; within a turn the earlier wish comes first.
//! So however many named servers somebody asks for, another's first comes before her next.
//!
//! Leases, and what becomes of a row that was taken up: [`super::servers`].

use lyceum_store::{Tx, on};

use crate::servers::State;

/// A row that wants work and that nobody holds.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Due {
    pub id: String,
    pub user_id: String,
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Set on a start that gave its place back because its server did not answer for long.
    pub unplaced_at: Option<i64>,
}

/// A start that waits, in the order of the line.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Waiting {
    pub id: String,
    /// The how manieth of its owner's waiting starts, from 1.
    pub nth: i64,
    /// Places that its owner's other starts hold.
    pub holding: i64,
}

/// `$1` is now, `$2` the moment since when a place given still counts.
macro_rules! line {
    ($rest:literal) => {
        concat!(
            "WITH burden AS (SELECT user_id, COUNT(*) AS starts, \
             COUNT(CASE WHEN state = 'starting' AND unplaced_at IS NULL THEN 1 END) AS holding \
             FROM servers WHERE state = 'starting' OR placed_at > $2 GROUP BY user_id), \
             line AS (SELECT s.id, s.user_id, s.state, s.unplaced_at, s.requested_at, \
             COALESCE(b.starts, 0) AS starts, COALESCE(b.holding, 0) AS holding, \
             ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.requested_at, s.id) AS nth \
             FROM servers s LEFT JOIN burden b ON b.user_id = s.user_id \
             WHERE s.state = 'queued' AND (s.lease_until IS NULL OR s.lease_until < $1)) ",
            $rest
        )
    };
}

/// The line is told so far; whoever stands behind learns no place yet.
const LINE_MAX: i64 = 20_000;

/// Rows in a state between two rests that nobody works on, the oldest wish first.
pub async fn due(tx: &mut Tx, state: State, now: i64, limit: i64) -> sqlx::Result<Vec<Due>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, user_id, state, unplaced_at FROM servers \
         WHERE state = $1 AND (lease_until IS NULL OR lease_until < $2) \
         ORDER BY requested_at, id LIMIT $3"
    )
    .bind(state.as_str())
    .bind(now)
    .bind(limit)
    .fetch_all(c)
    .await)
}

/// The head of the line. More of one person's starts than `per_person` are not looked at: they
/// could not all be taken up, and would hide those behind them.
pub async fn head(
    tx: &mut Tx,
    now: i64,
    counts_since: i64,
    per_person: i64,
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    on!(tx, |c| sqlx::query_as(line!(
        "SELECT id, user_id, state, unplaced_at FROM line WHERE nth <= $3 \
         ORDER BY nth + starts, requested_at, id LIMIT $4"
    ))
    .bind(now)
    .bind(counts_since)
    .bind(per_person)
    .bind(limit)
    .fetch_all(c)
    .await)
}

/// Everybody in line, in the order of [`head`].
pub async fn line(tx: &mut Tx, now: i64, counts_since: i64) -> sqlx::Result<Vec<Waiting>> {
    on!(tx, |c| sqlx::query_as(line!(
        "SELECT id, nth, holding FROM line ORDER BY nth + starts, requested_at, id LIMIT $3"
    ))
    .bind(now)
    .bind(counts_since)
    .bind(LINE_MAX)
    .fetch_all(c)
    .await)
}

/// For how many milliseconds places were held lately, the newest first.
pub async fn held(tx: &mut Tx, since: i64, limit: i64) -> sqlx::Result<Vec<i64>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT unplaced_at - placed_at FROM servers \
         WHERE unplaced_at > $1 AND placed_at IS NOT NULL ORDER BY unplaced_at DESC LIMIT $2"
    )
    .bind(since)
    .bind(limit)
    .fetch_all(c)
    .await)
}

/// How many replicas have starts under way.
pub async fn replicas(tx: &mut Tx, now: i64) -> sqlx::Result<i64> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT COUNT(DISTINCT lease_owner) FROM servers WHERE state = 'starting' AND lease_until >= $1"
    )
    .bind(now)
    .fetch_one(c)
    .await
    })
}

/// The start goes on, but others may have its place.
pub async fn leave_place(tx: &mut Tx, id: &str, owner: &str, now: i64) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET unplaced_at = COALESCE(unplaced_at, $3) \
         WHERE id = $1 AND lease_owner = $2 AND state = 'starting'"
    )
    .bind(id)
    .bind(owner)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}
