//! Table `lti_picks`: what learning platforms ask people to pick.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, on};

/// A request that waits.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Pick {
    /// A hash of what stands in the page's address.
    pub id: String,
    pub user_id: String,
    /// The id of the way in.
    pub platform: String,
    /// In JSON.
    pub wanted: String,
    pub expires_at: i64,
}

/// So many wait for one person at most; who is asked more often has left the first ones.
const WAITING: i64 = 20;

/// Puts one down, and forgets all that nobody can answer any more.
pub async fn insert(tx: &mut Tx, pick: &Pick, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM lti_picks WHERE expires_at <= $1"
    )
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))?;
    // Those that end first were asked first, or are answered.
    on!(tx, |c| sqlx::query(
        "DELETE FROM lti_picks WHERE user_id = $1 AND id NOT IN \
         (SELECT id FROM lti_picks WHERE user_id = $1 ORDER BY expires_at DESC, id LIMIT $2)"
    )
    .bind(&pick.user_id)
    .bind(WAITING - 1)
    .execute(c)
    .await
    .map(|_| ()))?;
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO lti_picks (id, user_id, platform, wanted, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&pick.id)
        .bind(&pick.user_id)
        .bind(&pick.platform)
        .bind(&pick.wanted)
        .bind(pick.expires_at)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// One that this person was asked, if it can still be answered.
pub async fn find(tx: &mut Tx, id: &str, user_id: &str, now: Millis) -> sqlx::Result<Option<Pick>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT id, user_id, platform, wanted, expires_at FROM lti_picks \
             WHERE id = $1 AND user_id = $2 AND expires_at > $3",
        )
        .bind(id)
        .bind(user_id)
        .bind(now.0)
        .fetch_optional(c)
        .await
    })
}

/// It was answered: from then on it can't be answered any more.
pub async fn end_at(tx: &mut Tx, id: &str, end: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE lti_picks SET expires_at = $2 WHERE id = $1 AND expires_at > $2"
    )
    .bind(id)
    .bind(end.0)
    .execute(c)
    .await
    .map(|_| ()))
}
