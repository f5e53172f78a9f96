//! Services as rows: where they answer, for the proxies, so that every replica tells the same routes
//! under the same number; and all of those that were made by the API.

use lyceum_store::{Tx, on};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    pub name: String,
    pub url: Option<String>,
    /// JSON; none for a service of the configuration.
    pub made: Option<String>,
    pub token_hash: Option<String>,
    pub client_id: Option<String>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT name, url, made, token_hash, client_id FROM services ",
            $rest
        )
    };
}

pub async fn all(tx: &mut Tx) -> sqlx::Result<Vec<Row>> {
    on!(tx, |c| sqlx::query_as(select!("ORDER BY name"))
        .fetch_all(c)
        .await)
}

pub async fn find(tx: &mut Tx, name: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE name = $1"))
        .bind(name)
        .fetch_optional(c)
        .await)
}

pub async fn by_token(tx: &mut Tx, hash: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE token_hash = $1"))
        .bind(hash)
        .fetch_optional(c)
        .await)
}

pub async fn by_client(tx: &mut Tx, client_id: &str) -> sqlx::Result<Option<Row>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE client_id = $1"))
        .bind(client_id)
        .fetch_optional(c)
        .await)
}

/// In place of one of the same name. Fails when another has its token or client.
pub async fn put(tx: &mut Tx, row: &Row) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO services (name, url, made, token_hash, client_id) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name) DO UPDATE SET url = $2, made = $3, token_hash = $4, client_id = $5"
    )
    .bind(&row.name)
    .bind(&row.url)
    .bind(&row.made)
    .bind(&row.token_hash)
    .bind(&row.client_id)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn delete(tx: &mut Tx, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query("DELETE FROM services WHERE name = $1")
        .bind(name)
        .execute(c)
        .await
        .map(|_| ()))
}

/// The OAuth clients of services for which somebody holds a token.
pub async fn clients(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT DISTINCT oauth_client FROM tokens WHERE oauth_client LIKE 'service-%'"
    )
    .fetch_all(c)
    .await)
}
