//! How many there are.

use lyceum_store::{Tx, on};

/// People, and those active since three moments.
pub struct Census {
    pub all: i64,
    pub active: [i64; 3],
}

pub async fn people(tx: &mut Tx, since: [i64; 3]) -> sqlx::Result<Census> {
    let [first, second, third] = since;
    let (all, one, two, three): (i64, i64, i64, i64) = on!(tx, |c| sqlx::query_as(
        "SELECT COUNT(*), COUNT(CASE WHEN last_activity_at >= $1 THEN 1 END), \
         COUNT(CASE WHEN last_activity_at >= $2 THEN 1 END), \
         COUNT(CASE WHEN last_activity_at >= $3 THEN 1 END) FROM users WHERE course IS NULL"
    )
    .bind(first)
    .bind(second)
    .bind(third)
    .fetch_one(c)
    .await)?;
    Ok(Census {
        all,
        active: [one, two, three],
    })
}
