//! Who gets the next place among the starts under way.
//!
//! The order is made of the rows alone, so every replica sees the same line: a person's first
//! waiting start stands behind as many others as she has under way or was given a place for a
//! moment ago, her second one turn later, and so on; otherwise the earlier wish comes first.
//! So however many named servers somebody asks for, another's first comes before her next. Within a
//! turn courses come one after the other in the same way, and all starts without a course count as
//! those of one: a lecture of three hundred does not keep a seminar of ten waiting.
//! Behind all of them stand starts of an environment that fails for several people ([`crate::trouble`]),
//! of those for whom it has failed: whoever tries it next is somebody else, if there is one.
//!
//! Leases, and what becomes of a row that was taken up: [`super::servers`].

use std::collections::HashSet;

use lyceum_store::{Tx, on};

use super::quotas;
use super::search::Statement;
use crate::maintenance::Closed;
use crate::select::Selector;
use crate::servers::State;
use crate::trouble;

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

/// What a maintenance does with a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Passes,
    Waits,
}

/// Of which starts a line is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Among<'a> {
    /// Those that fit none of these.
    pub without: &'a [&'a Selector],
    /// And that fit this.
    pub only: Option<&'a Selector>,
    /// And that this maintenance lets pass, or keeps waiting.
    pub maintenance: Option<(&'a Closed, Kept)>,
}

/// The line as a table `line`, for a statement that goes on. `counts_since` is the moment since when
/// a place given still counts.
fn line_of(among: Among<'_>, now: i64, counts_since: i64) -> Statement {
    let mut line = Statement::new(
        "WITH lately AS (SELECT user_id, course, state, unplaced_at FROM servers WHERE state = 'starting' OR placed_at > ",
    );
    line.number(counts_since).say(
        "), burden AS (SELECT user_id, COUNT(*) AS starts, \
         COUNT(CASE WHEN state = 'starting' AND unplaced_at IS NULL THEN 1 END) AS holding \
         FROM lately GROUP BY user_id), \
         load AS (SELECT COALESCE(course, '') AS course, COUNT(*) AS starts FROM lately GROUP BY COALESCE(course, '')), \
         wishes AS (SELECT s.id, s.user_id, s.state, s.unplaced_at, s.requested_at, COALESCE(s.course, '') AS course, \
         COALESCE(b.starts, 0) AS starts, COALESCE(b.holding, 0) AS holding, COALESCE(l.starts, 0) AS course_starts, \
         CASE WHEN f.user_id IS NULL THEN 0 ELSE 1 END AS failed, \
         ROW_NUMBER() OVER (PARTITION BY s.user_id ORDER BY s.requested_at, s.id) AS nth \
         FROM servers s JOIN users u ON u.id = s.user_id LEFT JOIN burden b ON b.user_id = s.user_id \
         LEFT JOIN load l ON l.course = COALESCE(s.course, '') \
         LEFT JOIN failing_starts f ON f.environment = s.environment AND f.user_id = s.user_id AND f.environment IN \
         (SELECT environment FROM failing_starts WHERE failed_at > ",
    );
    line.number(now.saturating_sub(trouble::WITHIN_MS));
    line.say(" GROUP BY environment HAVING COUNT(*) >= ");
    line.number(trouble::PEOPLE);
    line.say(") WHERE s.state = 'queued' AND (s.lease_until IS NULL OR s.lease_until < ");
    // Whoever is kept out could not use it.
    line.number(now).say(") AND u.blocked_at IS NULL");
    if let Some((closed, kept)) = among.maintenance {
        line.say(match kept {
            Kept::Passes => " AND ",
            Kept::Waits => " AND NOT ",
        });
        passes(&mut line, closed);
    }
    for full in among.without {
        line.say(" AND NOT ");
        quotas::condition(&mut line, full);
    }
    if let Some(only) = among.only {
        line.say(" AND ");
        quotas::condition(&mut line, only);
    }
    line.say(
        "), line AS (SELECT id, user_id, state, unplaced_at, requested_at, holding, nth, failed, nth + starts AS turn, \
         course_starts + ROW_NUMBER() OVER (PARTITION BY course ORDER BY failed, nth + starts, requested_at, id) AS course_turn \
         FROM wishes) ",
    );
    line
}

/// Each person's first before anybody's next, and among those the courses in turn.
const ORDER: &str = " ORDER BY failed, turn, course_turn, requested_at, id LIMIT ";

/// The line is told so far; whoever stands behind learns no place yet.
const LINE_MAX: i64 = 20_000;

/// Rows in a state between two rests that nobody works on, the oldest wish first.
pub async fn due(tx: &mut Tx, state: State, now: i64, limit: i64) -> sqlx::Result<Vec<Due>> {
    // In the text, since SQLite prepares anew what depends on a value in a partial index.
    let sql = format!(
        "SELECT id, user_id, state, unplaced_at FROM servers \
         WHERE state = '{}' AND (lease_until IS NULL OR lease_until < $1) \
         ORDER BY requested_at, id LIMIT $2",
        state.as_str()
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(now)
        .bind(limit)
        .fetch_all(c)
        .await)
}

/// The head of the line. More of one person's starts than `per_person` are not looked at: they
/// could not all be taken up, and would hide those behind them.
pub async fn head(
    tx: &mut Tx,
    among: Among<'_>,
    (now, counts_since): (i64, i64),
    per_person: i64,
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    let mut head = line_of(among, now, counts_since);
    head.say("SELECT id, user_id, state, unplaced_at FROM line WHERE nth <= ");
    head.number(per_person).say(ORDER).number(limit);
    head.all(tx).await
}

/// That a maintenance lets the start `s` pass, whose owner is `u`. Never NULL.
fn passes(statement: &mut Statement, closed: &Closed) {
    statement.say("(u.admin OR COALESCE(s.requested_at, s.created_at) >= ");
    statement.number(closed.since.0).say(" OR ");
    quotas::of_people(statement, &closed.let_in);
    statement.say(")");
}

/// Those of these starts that this maintenance keeps waiting.
pub async fn kept_waiting(
    tx: &mut Tx,
    ids: &[&str],
    closed: &Closed,
) -> sqlx::Result<HashSet<String>> {
    let mut kept = Statement::new(
        "SELECT s.id FROM servers s JOIN users u ON u.id = s.user_id WHERE s.id IN (NULL",
    );
    for id in ids {
        kept.say(", ").text(id);
    }
    kept.say(") AND NOT ");
    passes(&mut kept, closed);
    let rows: Vec<(String,)> = kept.all(tx).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Everybody in line, in the order of [`head`].
pub async fn line(
    tx: &mut Tx,
    among: Among<'_>,
    now: i64,
    counts_since: i64,
) -> sqlx::Result<Vec<Waiting>> {
    let mut line = line_of(among, now, counts_since);
    line.say("SELECT id, nth, holding FROM line");
    line.say(ORDER).number(LINE_MAX);
    line.all(tx).await
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
