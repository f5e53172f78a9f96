//! Where services answer, for the proxies: the configuration's word, written down so that every
//! replica tells the same routes under the same number.

use std::collections::BTreeMap;

use lyceum_store::{Tx, on};

/// Names and addresses.
pub async fn all(tx: &mut Tx) -> sqlx::Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> =
        on!(tx, |c| sqlx::query_as("SELECT name, url FROM services")
            .fetch_all(c)
            .await)?;
    Ok(rows.into_iter().collect())
}

pub async fn find_url(tx: &mut Tx, name: &str) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT url FROM services WHERE name = $1"
    )
    .bind(name)
    .fetch_optional(c)
    .await)
}

pub async fn put(tx: &mut Tx, name: &str, url: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO services (name, url) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET url = $2"
    )
    .bind(name)
    .bind(url)
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
