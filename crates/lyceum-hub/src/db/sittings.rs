//! Sittings and their codes, as rows.

use lyceum_store::{Engine, Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Sitting {
    pub id: String,
    pub title: String,
    pub course: Option<String>,
    pub begins_at: i64,
    pub ends_at: i64,
    /// JSON, as are `invigilators`.
    pub networks: String,
    pub invigilators: String,
    pub made_by: String,
    pub created_at: i64,
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Code {
    pub id: String,
    pub sitting_id: String,
    pub place: i64,
    pub seat: String,
    pub user_name: String,
    /// The account is the sitting's own.
    pub is_numbered: bool,
    pub network: Option<String>,
    pub hash: String,
    pub made_at: i64,
    pub used_at: Option<i64>,
    pub used_address: Option<String>,
    pub session_id: Option<String>,
    pub revoked_at: Option<i64>,
}

macro_rules! sittings {
    ($rest:literal) => {
        concat!(
            "SELECT id, title, course, begins_at, ends_at, networks, invigilators, made_by, created_at FROM sittings ",
            $rest
        )
    };
}

macro_rules! codes {
    ($rest:literal) => {
        concat!(
            "SELECT id, sitting_id, place, seat, user_name, is_numbered, network, hash, made_at, used_at, used_address, session_id, revoked_at FROM sitting_codes ",
            $rest
        )
    };
}

pub async fn insert(tx: &mut Tx, sitting: &Sitting) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO sittings (id, title, course, begins_at, ends_at, networks, invigilators, made_by, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&sitting.id)
    .bind(&sitting.title)
    .bind(&sitting.course)
    .bind(sitting.begins_at)
    .bind(sitting.ends_at)
    .bind(&sitting.networks)
    .bind(&sitting.invigilators)
    .bind(&sitting.made_by)
    .bind(sitting.created_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn insert_code(tx: &mut Tx, code: &Code) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO sitting_codes (id, sitting_id, place, seat, user_name, is_numbered, network, hash, made_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&code.id)
    .bind(&code.sitting_id)
    .bind(code.place)
    .bind(&code.seat)
    .bind(&code.user_name)
    .bind(code.is_numbered)
    .bind(&code.network)
    .bind(&code.hash)
    .bind(code.made_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn find(tx: &mut Tx, id: &str) -> sqlx::Result<Option<Sitting>> {
    on!(tx, |c| sqlx::query_as(sittings!("WHERE id = $1"))
        .bind(id)
        .fetch_optional(c)
        .await)
}

/// As [`find`]; nobody else changes it or its codes until the transaction ends. Whoever does either begins with
/// this, before any other row: in another order two could wait for each other.
pub async fn hold(tx: &mut Tx, id: &str) -> sqlx::Result<Option<Sitting>> {
    let sql = match tx.engine() {
        // One writer at a time.
        Engine::Sqlite => sittings!("WHERE id = $1"),
        Engine::Postgres => sittings!("WHERE id = $1 FOR UPDATE"),
    };
    on!(tx, |c| sqlx::query_as(sql).bind(id).fetch_optional(c).await)
}

/// The newest first.
pub async fn list(tx: &mut Tx, most: i64) -> sqlx::Result<Vec<Sitting>> {
    on!(tx, |c| sqlx::query_as(sittings!(
        "ORDER BY begins_at DESC, id DESC LIMIT $1"
    ))
    .bind(most)
    .fetch_all(c)
    .await)
}

/// Those that are not over, the earliest first.
pub async fn not_over(tx: &mut Tx, now: i64, most: i64) -> sqlx::Result<Vec<Sitting>> {
    on!(tx, |c| sqlx::query_as(sittings!(
        "WHERE ends_at > $1 ORDER BY begins_at, id LIMIT $2"
    ))
    .bind(now)
    .bind(most)
    .fetch_all(c)
    .await)
}

/// Whether one goes on at some time between these moments.
pub async fn is_one_between(tx: &mut Tx, now: i64, soon: i64) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM sittings WHERE ends_at > $1 AND begins_at <= $2 LIMIT 1"
    )
    .bind(now)
    .bind(soon)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Whether some code is, or was, for an account of this name.
pub async fn is_named(tx: &mut Tx, name: &str) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM sitting_codes WHERE user_name = $1 LIMIT 1"
    )
    .bind(name)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Whether an account of this name was made for a sitting that ends, or ended, after this moment.
pub async fn is_numbered(tx: &mut Tx, name: &str, after: i64) -> sqlx::Result<bool> {
    let found: Option<String> = on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT sitting_codes.id FROM sitting_codes JOIN sittings ON sittings.id = sitting_codes.sitting_id \
         WHERE sitting_codes.user_name = $1 AND sitting_codes.is_numbered AND sittings.ends_at > $2 LIMIT 1"
    )
    .bind(name)
    .bind(after)
    .fetch_optional(c)
    .await
    })?;
    Ok(found.is_some())
}

/// Somebody is called otherwise now; her codes are hers still.
pub async fn rename(tx: &mut Tx, from: &str, to: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE sitting_codes SET user_name = $2 WHERE user_name = $1"
    )
    .bind(from)
    .bind(to)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Takes back what has not been used of all codes for an account that is gone.
pub async fn revoke_unused(tx: &mut Tx, name: &str, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE sitting_codes SET revoked_at = $2 \
         WHERE user_name = $1 AND used_at IS NULL AND revoked_at IS NULL"
    )
    .bind(name)
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Whose session it is: her id, and what she is called now.
pub async fn owner_of(tx: &mut Tx, session: &str) -> sqlx::Result<Option<(String, String)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT users.id, users.name FROM sessions JOIN users ON users.id = sessions.user_id \
         WHERE sessions.id = $1"
    )
    .bind(session)
    .fetch_optional(c)
    .await)
}

pub async fn by_hash(tx: &mut Tx, hash: &str) -> sqlx::Result<Option<Code>> {
    on!(tx, |c| sqlx::query_as(codes!("WHERE hash = $1"))
        .bind(hash)
        .fetch_optional(c)
        .await)
}

/// All there ever were, in the order of places, the newest of each last.
pub async fn codes_of(tx: &mut Tx, sitting: &str) -> sqlx::Result<Vec<Code>> {
    on!(tx, |c| sqlx::query_as(codes!(
        "WHERE sitting_id = $1 ORDER BY place, made_at, id"
    ))
    .bind(sitting)
    .fetch_all(c)
    .await)
}

/// How many places there are, and how many of those that count have been used, by sitting.
pub async fn tallies(tx: &mut Tx) -> sqlx::Result<Vec<(String, i64, i64)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT sitting_id, COUNT(DISTINCT place), \
         COUNT(CASE WHEN used_at IS NOT NULL AND revoked_at IS NULL THEN 1 END) \
         FROM sitting_codes GROUP BY sitting_id"
    )
    .fetch_all(c)
    .await)
}

/// Uses it up, if it is this person's still. Of two at once one gets it.
pub async fn take(
    tx: &mut Tx,
    id: &str,
    who: &str,
    now: i64,
    address: &str,
    session: &str,
) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE sitting_codes SET used_at = $2, used_address = $3, session_id = $4 \
         WHERE id = $1 AND user_name = $5 AND used_at IS NULL AND revoked_at IS NULL"
    )
    .bind(id)
    .bind(now)
    .bind(address)
    .bind(session)
    .bind(who)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

/// Takes back what counts at a place.
pub async fn revoke(tx: &mut Tx, sitting: &str, place: i64, now: i64) -> sqlx::Result<bool> {
    on!(tx, |c| sqlx::query(
        "UPDATE sitting_codes SET revoked_at = $3 \
         WHERE sitting_id = $1 AND place = $2 AND revoked_at IS NULL"
    )
    .bind(sitting)
    .bind(place)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0))
}

pub async fn set_end(tx: &mut Tx, id: &str, ends_at: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE sittings SET ends_at = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(ends_at)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Sessions that codes of a sitting began go on until this moment.
pub async fn set_end_of_sessions(tx: &mut Tx, id: &str, ends_at: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE sessions SET expires_at = $2 WHERE id IN \
         (SELECT session_id FROM sitting_codes WHERE sitting_id = $1 AND session_id IS NOT NULL)"
    )
    .bind(id)
    .bind(ends_at)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Sessions by codes whose time is over, with whose they are.
pub async fn sessions_over(
    tx: &mut Tx,
    method: &str,
    now: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT users.name, sessions.id FROM sessions JOIN users ON users.id = sessions.user_id \
         WHERE sessions.method = $1 AND sessions.expires_at <= $2"
    )
    .bind(method)
    .bind(now)
    .fetch_all(c)
    .await)
}

pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    // Not every engine follows the reference by itself.
    on!(tx, |c| sqlx::query(
        "DELETE FROM sitting_codes WHERE sitting_id = $1"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|_| ()))?;
    on!(tx, |c| sqlx::query("DELETE FROM sittings WHERE id = $1")
        .bind(id)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0))
}
