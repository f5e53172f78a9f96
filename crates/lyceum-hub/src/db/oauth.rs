//! Authorization codes: single use, five minutes.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Code {
    pub hash: String,
    pub client_id: String,
    pub user_id: String,
    pub session_id: String,
    pub redirect_uri: String,
    pub scopes: String,
    pub challenge: Option<String>,
    pub expires_at: i64,
}

pub async fn insert(tx: &mut Tx, code: &Code) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO oauth_codes (hash, client_id, user_id, session_id, redirect_uri, scopes, challenge, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&code.hash)
    .bind(&code.client_id)
    .bind(&code.user_id)
    .bind(&code.session_id)
    .bind(&code.redirect_uri)
    .bind(&code.scopes)
    .bind(&code.challenge)
    .bind(code.expires_at)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Takes a code out: whoever asks second, at the same moment too, gets nothing.
pub async fn take(tx: &mut Tx, hash: &str) -> sqlx::Result<Option<Code>> {
    on!(tx, |c| {
        sqlx::query_as(
        "DELETE FROM oauth_codes WHERE hash = $1 \
         RETURNING hash, client_id, user_id, session_id, redirect_uri, scopes, challenge, expires_at"
    )
    .bind(hash)
    .fetch_optional(c)
    .await
    })
}
