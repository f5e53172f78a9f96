//! Browsers that are signed in.

use lyceum_store::{Engine, Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Session {
    pub id: String,
    pub cookie_hash: String,
    pub access_hash: String,
    pub user_id: String,
    pub created_at: i64,
    pub seen_at: i64,
    pub expires_at: i64,
    pub address: Option<String>,
    pub agent: Option<String>,
    /// The id of the way in elsewhere by which it began; `None`: by a password.
    pub method: Option<String>,
    /// The session there that it began with.
    pub elsewhere: Option<String>,
    /// When that way in is to be asked about her again ([`super::refreshes`]); it is written there.
    pub refresh_at: Option<i64>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, cookie_hash, access_hash, user_id, created_at, seen_at, expires_at, address, agent, method, elsewhere, refresh_at FROM sessions ",
            $rest
        )
    };
}

/// Locks rows in the order of their keys, as whoever writes several of them does ([`super::uses`]): in
/// another order two could wait for each other, and PostgreSQL would end one. SQLite lets in one writer
/// at a time.
macro_rules! lock {
    ($tx:ident, $table:literal, $key:literal, $which:literal, $bind:expr) => {
        if $tx.engine() == Engine::Postgres {
            let sql = concat!(
                "SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $which,
                " ORDER BY ",
                $key,
                " FOR UPDATE"
            );
            on!($tx, |c| sqlx::query(sql)
                .bind($bind)
                .execute(c)
                .await
                .map(|_| ()))?;
        }
    };
}

/// Deletes rows that it locks as above.
macro_rules! delete {
    ($tx:ident, $table:literal, $key:literal, $which:literal, $bind:expr) => {
        lock!($tx, $table, $key, $which, $bind);
        on!($tx, |c| sqlx::query(concat!(
            "DELETE FROM ",
            $table,
            " WHERE ",
            $which
        ))
        .bind($bind)
        .execute(c)
        .await
        .map(|_| ()))?;
    };
}

pub async fn insert(tx: &mut Tx, session: &Session) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO sessions (id, cookie_hash, access_hash, user_id, created_at, seen_at, expires_at, address, agent, method, elsewhere) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(&session.id)
    .bind(&session.cookie_hash)
    .bind(&session.access_hash)
    .bind(&session.user_id)
    .bind(session.created_at)
    .bind(session.seen_at)
    .bind(session.expires_at)
    .bind(&session.address)
    .bind(&session.agent)
    .bind(&session.method)
    .bind(&session.elsewhere)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn by_cookie(tx: &mut Tx, cookie_hash: &str, now: i64) -> sqlx::Result<Option<Session>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE cookie_hash = $1 AND expires_at > $2"
    ))
    .bind(cookie_hash)
    .bind(now)
    .fetch_optional(c)
    .await)
}

pub async fn by_access(tx: &mut Tx, access_hash: &str, now: i64) -> sqlx::Result<Option<Session>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE access_hash = $1 AND expires_at > $2"
    ))
    .bind(access_hash)
    .bind(now)
    .fetch_optional(c)
    .await)
}

pub async fn by_id(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<Option<Session>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE id = $1 AND expires_at > $2"
    ))
    .bind(id)
    .bind(now)
    .fetch_optional(c)
    .await)
}

pub async fn of_user(tx: &mut Tx, user_id: &str, now: i64) -> sqlx::Result<Vec<Session>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE user_id = $1 AND expires_at > $2 ORDER BY seen_at DESC, id DESC"
    ))
    .bind(user_id)
    .bind(now)
    .fetch_all(c)
    .await)
}

/// Those that go on, but for the ones that were seen last, so many.
pub async fn ids_beyond(
    tx: &mut Tx,
    user_id: &str,
    kept: i64,
    now: i64,
) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT id FROM sessions WHERE user_id = $1 AND expires_at > $4 ORDER BY seen_at DESC, id DESC LIMIT $3 OFFSET $2"
    )
    .bind(user_id)
    .bind(kept)
    .bind(i64::MAX)
    .bind(now)
    .fetch_all(c)
    .await
    })
}

/// All there are, also those that have expired and are not yet cleared away.
pub async fn ids_of_user(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM sessions WHERE user_id = $1"
    )
    .bind(user_id)
    .fetch_all(c)
    .await)
}

/// Those by a way in that began with this session there, as owner and session. Of one person, if it is
/// known who: then those of which no session there is known, too.
pub async fn of_elsewhere(
    tx: &mut Tx,
    method: &str,
    user_id: Option<&str>,
    elsewhere: Option<&str>,
) -> sqlx::Result<Vec<(String, String)>> {
    match (user_id, elsewhere) {
        (Some(user_id), elsewhere) => on!(tx, |c| {
            sqlx::query_as(
                "SELECT user_id, id FROM sessions WHERE user_id = $1 AND method = $2 \
                 AND ($3 IS NULL OR elsewhere IS NULL OR elsewhere = $3)",
            )
            .bind(user_id)
            .bind(method)
            .bind(elsewhere)
            .fetch_all(c)
            .await
        }),
        (None, Some(elsewhere)) => on!(tx, |c| {
            sqlx::query_as("SELECT user_id, id FROM sessions WHERE elsewhere = $1 AND method = $2")
                .bind(elsewhere)
                .bind(method)
                .fetch_all(c)
                .await
        }),
        (None, None) => Ok(Vec::new()),
    }
}

pub async fn seen(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Whether a session still goes on.
pub async fn is_alive(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT id FROM sessions WHERE id = $1 AND expires_at > $2"
    )
    .bind(id)
    .bind(now)
    .fetch_optional(c)
    .await)?;
    Ok(found.is_some())
}

/// Ends a session of this person and everything that was made through it. Tells whether it was there.
pub async fn end(tx: &mut Tx, id: &str, user_id: &str) -> sqlx::Result<bool> {
    let ended = end_each(tx, vec![id.to_owned()], user_id).await?;
    Ok(!ended.is_empty())
}

/// As [`end`], of several. Tells which were there.
///
/// All sessions, then all codes, then all tokens: whoever changes a code for a token at this moment has
/// locked it and may yet take tokens of other sessions, so nothing of theirs is held while a code is
/// waited for. A token made meanwhile is seen after that wait.
pub async fn end_each(
    tx: &mut Tx,
    mut ids: Vec<String>,
    user_id: &str,
) -> sqlx::Result<Vec<String>> {
    ids.sort_unstable();
    let mut ended = Vec::new();
    for id in ids {
        let gone = on!(tx, |c| sqlx::query(
            "DELETE FROM sessions WHERE id = $1 AND user_id = $2"
        )
        .bind(&id)
        .bind(user_id)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
        if gone > 0 {
            ended.push(id);
        }
    }
    for sql in [
        "DELETE FROM oauth_codes WHERE session_id = $1",
        "DELETE FROM tokens WHERE session_id = $1",
    ] {
        for id in &ended {
            on!(tx, |c| sqlx::query(sql)
                .bind(id)
                .execute(c)
                .await
                .map(|_| ()))?;
        }
    }
    Ok(ended)
}

/// Ends everything a person holds: sessions, codes, and all tokens but those of her running servers.
/// In the order of [`end_each`].
pub async fn end_all(tx: &mut Tx, user_id: &str) -> sqlx::Result<()> {
    delete!(tx, "sessions", "id", "user_id = $1", user_id);
    delete!(tx, "oauth_codes", "hash", "user_id = $1", user_id);
    delete!(
        tx,
        "tokens",
        "id",
        "user_id = $1 AND server_id IS NULL",
        user_id
    );
    Ok(())
}

/// Clears away what has expired; the tokens of expired sessions go with them. In the order of
/// [`end_each`]; the sessions themselves are deleted last, since they tell which tokens are theirs.
pub async fn prune(tx: &mut Tx, now: i64) -> sqlx::Result<()> {
    lock!(tx, "sessions", "id", "expires_at <= $1", now);
    delete!(tx, "oauth_codes", "hash", "expires_at <= $1", now);
    delete!(
        tx,
        "tokens",
        "id",
        "(expires_at IS NOT NULL AND expires_at <= $1) \
         OR session_id IN (SELECT id FROM sessions WHERE expires_at <= $1)",
        now
    );
    delete!(tx, "sessions", "id", "expires_at <= $1", now);
    Ok(())
}
