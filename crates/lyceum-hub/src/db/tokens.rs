//! API tokens: kept as hashes, together with what they may do.

use lyceum_store::{Later, Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Token {
    pub id: String,
    pub hash: String,
    pub user_id: String,
    pub note: String,
    /// JSON list of scopes as granted.
    pub scopes: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub session_id: Option<String>,
    pub oauth_client: Option<String>,
    pub server_id: Option<String>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, hash, user_id, note, scopes, created_at, last_used_at, expires_at, session_id, oauth_client, server_id \
             FROM tokens ",
            $rest
        )
    };
}

pub async fn insert(tx: &mut Tx, token: &Token) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO tokens (id, hash, user_id, note, scopes, created_at, expires_at, session_id, oauth_client, server_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&token.id)
    .bind(&token.hash)
    .bind(&token.user_id)
    .bind(&token.note)
    .bind(&token.scopes)
    .bind(token.created_at)
    .bind(token.expires_at)
    .bind(&token.session_id)
    .bind(&token.oauth_client)
    .bind(&token.server_id)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn by_hash(tx: &mut Tx, hash: &str, now: i64) -> sqlx::Result<Option<Token>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)"
    ))
    .bind(hash)
    .bind(now)
    .fetch_optional(c)
    .await)
}

pub async fn find(tx: &mut Tx, user_id: &str, id: &str, now: i64) -> sqlx::Result<Option<Token>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE user_id = $1 AND id = $2 AND (expires_at IS NULL OR expires_at > $3)"
    ))
    .bind(user_id)
    .bind(id)
    .bind(now)
    .fetch_optional(c)
    .await)
}

/// All of them, the newest first: how many there can be is bounded where they are made.
pub async fn of_user(tx: &mut Tx, user_id: &str, now: i64) -> sqlx::Result<Vec<Token>> {
    on!(tx, |c| {
        sqlx::query_as(select!(
        "WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2) ORDER BY created_at DESC, id DESC"
    ))
    .bind(user_id)
    .bind(now)
    .fetch_all(c)
    .await
    })
}

/// How many she has that somebody asked for.
pub async fn count_asked(tx: &mut Tx, user_id: &str, now: i64) -> sqlx::Result<i64> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT COUNT(*) FROM tokens WHERE user_id = $1 AND oauth_client IS NULL AND server_id IS NULL AND (expires_at IS NULL OR expires_at > $2)"
    )
    .bind(user_id)
    .bind(now)
    .fetch_one(c)
    .await
    })
}

/// Of her tokens for an OAuth client those that were used or made last stay, so many. Tells the ids of the others.
pub async fn keep_latest(
    tx: &mut Tx,
    user_id: &str,
    client: &str,
    kept: i64,
) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE user_id = $1 AND oauth_client = $2 \
         ORDER BY COALESCE(last_used_at, created_at) DESC, id DESC LIMIT $4 OFFSET $3) RETURNING id"
    )
    .bind(user_id)
    .bind(client)
    .bind(kept)
    .bind(i64::MAX)
    .fetch_all(c)
    .await
    })
}

/// Takes a token back. One from an OAuth client takes all of this person's tokens for that client
/// with it, since a client that holds one gets the next without asking. Tells their ids.
pub async fn delete(tx: &mut Tx, token: &Token) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "DELETE FROM tokens WHERE id = $1 OR (user_id = $2 AND oauth_client = $3) RETURNING id"
    )
    .bind(&token.id)
    .bind(&token.user_id)
    .bind(&token.oauth_client)
    .fetch_all(c)
    .await)
}

/// A stopped server's own token, and what people's browsers held through it.
pub async fn delete_of_server(tx: &mut Tx, server_id: &str, client_id: &str) -> sqlx::Result<()> {
    // Codes first, as when a session ends: a token that is just being made is waited for.
    on!(tx, |c| sqlx::query(
        "DELETE FROM oauth_codes WHERE client_id = $1"
    )
    .bind(client_id)
    .execute(c)
    .await
    .map(|_| ()))?;
    on!(tx, |c| sqlx::query(
        "DELETE FROM tokens WHERE server_id = $1 OR oauth_client = $2"
    )
    .bind(server_id)
    .bind(client_id)
    .execute(c)
    .await
    .map(|_| ()))
}

/// As [`delete_of_server`], and a new one in their place; left for the commit.
pub fn replace_of_server(tx: &mut Tx, server_id: &str, client_id: &str, token: &Token) {
    tx.later(Later::new("DELETE FROM oauth_codes WHERE client_id = $1").bind(client_id));
    tx.later(
        Later::new("DELETE FROM tokens WHERE server_id = $1 OR oauth_client = $2")
            .bind(server_id)
            .bind(client_id),
    );
    tx.later(
        Later::new(
            "INSERT INTO tokens (id, hash, user_id, note, scopes, created_at, expires_at, session_id, oauth_client, server_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(token.id.as_str())
        .bind(token.hash.as_str())
        .bind(token.user_id.as_str())
        .bind(token.note.as_str())
        .bind(token.scopes.as_str())
        .bind(token.created_at)
        .bind(token.expires_at)
        .bind(token.session_id.clone())
        .bind(token.oauth_client.clone())
        .bind(token.server_id.clone()),
    );
}

/// What people's browsers hold through a service that is gone. Tells whose it was.
pub async fn delete_of_client(tx: &mut Tx, client_id: &str) -> sqlx::Result<Vec<String>> {
    let owners = on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT DISTINCT u.name FROM users u JOIN tokens t ON t.user_id = u.id WHERE t.oauth_client = $1"
    )
    .bind(client_id)
    .fetch_all(c)
    .await
    })?;
    for sql in [
        "DELETE FROM oauth_codes WHERE client_id = $1",
        "DELETE FROM tokens WHERE oauth_client = $1",
    ] {
        on!(tx, |c| sqlx::query(sql)
            .bind(client_id)
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    Ok(owners)
}

/// The names of those who hold a token with a scope that is narrowed down to this group.
pub async fn owners_with_scope_over(tx: &mut Tx, group: &str) -> sqlx::Result<Vec<String>> {
    // As it stands in the JSON list, up to the end of the text.
    let text = serde_json::Value::from(format!("!group={group}")).to_string();
    let mut pattern = String::from("%");
    for c in text.chars().skip(1) {
        if matches!(c, '%' | '_' | '~') {
            pattern.push('~');
        }
        pattern.push(c);
    }
    pattern.push('%');
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT DISTINCT u.name FROM users u JOIN tokens t ON t.user_id = u.id WHERE t.scopes LIKE $1 ESCAPE '~'"
    )
    .bind(pattern)
    .fetch_all(c)
    .await
    })
}

/// Whether this person has let this client in before, with at least these scopes, and that still holds.
pub async fn granted(
    tx: &mut Tx,
    user_id: &str,
    client_id: &str,
    now: i64,
) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT scopes FROM tokens WHERE user_id = $1 AND oauth_client = $2 AND (expires_at IS NULL OR expires_at > $3) LIMIT 100"
    )
    .bind(user_id)
    .bind(client_id)
    .bind(now)
    .fetch_all(c)
    .await
    })?;
    Ok(rows.into_iter().map(|(scopes,)| scopes).collect())
}
