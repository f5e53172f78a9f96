//! What is kept with sessions so that the provider by which they began can be asked about their people
//! again, and why sessions ended by that.

use lyceum_store::{Engine, Tx, on};

/// So long a session may have been in use before it was written down ([`super::sessions::seen`]).
const SEEN_LATE_MS: i64 = 60_000;
/// Also one that nobody seems to use is asked about when it is due for so long.
const UNUSED_MS: i64 = 3_600_000;

/// A session that this replica asks about.
#[derive(Clone, sqlx::FromRow)]
pub struct Due {
    pub id: String,
    pub user_id: String,
    pub method: String,
    #[sqlx(rename = "refresh_grant")]
    pub grant: String,
    pub refreshed_at: i64,
    /// The hash of what the provider said last.
    #[sqlx(rename = "refresh_told")]
    pub told: Option<String>,
    #[sqlx(rename = "refresh_failures")]
    pub failures: i64,
    pub address: Option<String>,
}

/// With a new session, in the transaction that makes it.
pub async fn keep(
    tx: &mut Tx,
    session: &str,
    (grant, told): (&str, &str),
    now: i64,
    at: i64,
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE sessions SET refresh_grant = $2, refresh_told = $3, refreshed_at = $4, refresh_at = $5 WHERE id = $1",
        )
        .bind(session)
        .bind(grant)
        .bind(told)
        .bind(now)
        .bind(at)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// Which sessions of a way in.
pub struct Wanted<'a> {
    pub method: &'a str,
    /// Those that are due by then.
    pub due_by: i64,
    /// Those that were last confirmed by then.
    pub confirmed_by: i64,
    /// Those about which it was asked in vain so often.
    pub failures: i64,
}

/// Takes up to so many that were used since they were last looked at, or whose people were here in another
/// way, by an open connection to a server, say, or a token; and that no other replica has.
pub async fn claim(
    tx: &mut Tx,
    wanted: &Wanted<'_>,
    by: &str,
    (now, until): (i64, i64),
    most: i64,
) -> sqlx::Result<Vec<Due>> {
    // What another one takes just now is not waited for.
    let lock = match tx.engine() {
        Engine::Postgres => "FOR UPDATE SKIP LOCKED",
        Engine::Sqlite => "",
    };
    let sql = format!(
        "UPDATE sessions SET refresh_by = $2, refresh_until = $4 WHERE id IN (\
         SELECT id FROM sessions WHERE method = $1 AND refresh_at <= $7 AND refreshed_at <= $8 \
         AND refresh_grant IS NOT NULL AND refresh_failures >= $10 AND expires_at > $3 \
         AND (seen_at + $5 > refreshed_at OR refresh_at + $9 <= $3 OR EXISTS (\
         SELECT 1 FROM users u WHERE u.id = sessions.user_id AND u.last_activity_at + $5 > refreshed_at)) \
         AND (refresh_until IS NULL OR refresh_until < $3) \
         ORDER BY refresh_at, id LIMIT $6 {lock}) \
         RETURNING id, user_id, method, refresh_grant, refreshed_at, refresh_told, refresh_failures, address"
    );
    on!(tx, |c| sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(wanted.method)
        .bind(by)
        .bind(now)
        .bind(until)
        .bind(SEEN_LATE_MS)
        .bind(most)
        .bind(wanted.due_by)
        .bind(wanted.confirmed_by)
        .bind(UNUSED_MS)
        .bind(wanted.failures)
        .fetch_all(c)
        .await)
}

/// Takes this one if it is due, used or not.
pub async fn claim_one(
    tx: &mut Tx,
    id: &str,
    by: &str,
    (now, until): (i64, i64),
) -> sqlx::Result<Option<Due>> {
    on!(tx, |c| {
        sqlx::query_as(
            "UPDATE sessions SET refresh_by = $2, refresh_until = $4 \
             WHERE id = $1 AND refresh_at <= $3 AND refresh_grant IS NOT NULL AND method IS NOT NULL \
             AND (refresh_until IS NULL OR refresh_until < $3) \
             RETURNING id, user_id, method, refresh_grant, refreshed_at, refresh_told, refresh_failures, address",
        )
        .bind(id)
        .bind(by)
        .bind(now)
        .bind(until)
        .fetch_optional(c)
        .await
    })
}

/// The cookie of a session that is still this claim's, which nobody else takes or ends before the
/// transaction does.
pub async fn held(tx: &mut Tx, id: &str, by: &str) -> sqlx::Result<Option<String>> {
    let sql = match tx.engine() {
        Engine::Postgres => {
            "SELECT cookie_hash FROM sessions WHERE id = $1 AND refresh_by = $2 FOR UPDATE"
        }
        Engine::Sqlite => "SELECT cookie_hash FROM sessions WHERE id = $1 AND refresh_by = $2",
    };
    on!(tx, |c| sqlx::query_scalar(sql)
        .bind(id)
        .bind(by)
        .fetch_optional(c)
        .await)
}

/// The provider has confirmed her, and this is what it said. `grant`: what it gave instead of the one
/// before. Tells whether the session is still this claim's.
pub async fn confirmed(
    tx: &mut Tx,
    (id, by): (&str, &str),
    grant: Option<&str>,
    told: Option<&str>,
    (now, at): (i64, i64),
) -> sqlx::Result<u64> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE sessions SET refresh_grant = COALESCE($3, refresh_grant), \
             refresh_told = COALESCE($4, refresh_told), refreshed_at = $5, refresh_at = $6, \
             refresh_failures = 0, refresh_by = NULL, refresh_until = NULL WHERE id = $1 AND refresh_by = $2",
        )
        .bind(id)
        .bind(by)
        .bind(grant)
        .bind(told)
        .bind(now)
        .bind(at)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })
}

/// It could not be asked; it will be at `at`.
pub async fn unclear(
    tx: &mut Tx,
    (id, by): (&str, &str),
    grant: Option<&str>,
    at: i64,
) -> sqlx::Result<u64> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE sessions SET refresh_grant = COALESCE($3, refresh_grant), refresh_at = $4, \
             refresh_failures = refresh_failures + 1, refresh_by = NULL, refresh_until = NULL \
             WHERE id = $1 AND refresh_by = $2",
        )
        .bind(id)
        .bind(by)
        .bind(grant)
        .bind(at)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })
}

/// Nobody was asked; it will be looked at again at `at`.
pub async fn put_off(tx: &mut Tx, (id, by): (&str, &str), at: i64) -> sqlx::Result<u64> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE sessions SET refresh_at = $3, refresh_by = NULL, refresh_until = NULL \
             WHERE id = $1 AND refresh_by = $2",
        )
        .bind(id)
        .bind(by)
        .bind(at)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    })
}

/// Remembers why the session of this cookie ended.
pub async fn note_end(tx: &mut Tx, cookie_hash: &str, why: &str, until: i64) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO session_ends (cookie_hash, why, until) VALUES ($1, $2, $3) \
             ON CONFLICT (cookie_hash) DO NOTHING",
        )
        .bind(cookie_hash)
        .bind(why)
        .bind(until)
        .execute(c)
        .await
        .map(|_| ())
    })
}

pub async fn why_ended(tx: &mut Tx, cookie_hash: &str) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT why FROM session_ends WHERE cookie_hash = $1"
    )
    .bind(cookie_hash)
    .fetch_optional(c)
    .await)
}

pub async fn prune_ends(tx: &mut Tx, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM session_ends WHERE until <= $1"
    )
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}
