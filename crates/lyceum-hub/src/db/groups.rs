//! Groups and who is in them.

use lyceum_store::{Tx, on};

pub async fn names_of(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT g.name FROM groups g JOIN group_members m ON m.group_id = g.id WHERE m.user_id = $1 ORDER BY g.name"
    )
    .bind(user_id)
    .fetch_all(c)
    .await
    })?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

pub async fn ensure(tx: &mut Tx, id: &str, name: &str, now: i64) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO groups (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
    )
    .bind(id)
    .bind(name)
    .bind(now)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn add_member(tx: &mut Tx, group: &str, user_id: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO group_members (group_id, user_id) SELECT id, $2 FROM groups WHERE name = $1 ON CONFLICT DO NOTHING"
    )
    .bind(group)
    .bind(user_id)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn remove_member(tx: &mut Tx, group: &str, user_id: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "DELETE FROM group_members WHERE user_id = $2 AND group_id IN (SELECT id FROM groups WHERE name = $1)"
    )
    .bind(group)
    .bind(user_id)
    .execute(c)
    .await
    .map(|_| ())
    })
}
