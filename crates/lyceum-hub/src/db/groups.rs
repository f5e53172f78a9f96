//! Groups and who is in them.

use std::collections::BTreeSet;

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_store::{Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Group {
    pub id: String,
    pub name: String,
    /// A JSON object.
    pub properties: String,
}

pub async fn find(tx: &mut Tx, name: &str) -> sqlx::Result<Option<Group>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, name, properties FROM groups WHERE name = $1"
    )
    .bind(name)
    .fetch_optional(c)
    .await)
}

/// One page of all groups, the oldest first.
pub async fn list(tx: &mut Tx, offset: i64, limit: i64) -> sqlx::Result<Vec<Group>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, name, properties FROM groups ORDER BY id LIMIT $1 OFFSET $2"
    )
    .bind(limit)
    .bind(offset)
    .fetch_all(c)
    .await)
}

pub async fn count(tx: &mut Tx) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar("SELECT COUNT(*) FROM groups")
        .fetch_one(c)
        .await)
}

pub async fn names_of(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT g.name FROM groups g JOIN group_members m ON m.group_id = g.id WHERE m.user_id = $1 ORDER BY g.name"
    )
    .bind(user_id)
    .fetch_all(c)
    .await
    })
}

/// As [`names_of`], and whether anything may be shared with her, by herself or by a group.
pub async fn names_and_shares_of(tx: &mut Tx, user_id: &str) -> sqlx::Result<(Vec<String>, bool)> {
    let rows: Vec<(Option<String>,)> = on!(tx, |c| {
        sqlx::query_as(
            "SELECT g.name AS name FROM groups g JOIN group_members m ON m.group_id = g.id WHERE m.user_id = $1 \
             UNION ALL SELECT NULL WHERE EXISTS (SELECT 1 FROM shares WHERE user_id = $1) \
             OR EXISTS (SELECT 1 FROM shares s JOIN group_members m ON m.group_id = s.group_id WHERE m.user_id = $1)",
        )
        .bind(user_id)
        .fetch_all(c)
        .await
    })?;
    let shares = rows.iter().any(|(name,)| name.is_none());
    let mut names: Vec<String> = rows.into_iter().filter_map(|(name,)| name).collect();
    names.sort_unstable();
    Ok((names, shares))
}

/// Who is in a group; nobody when there is none of that name. A damaged name is left out.
pub async fn members(tx: &mut Tx, group: &str) -> sqlx::Result<BTreeSet<UserName>> {
    let names: Vec<String> = on!(tx, |c| {
        sqlx::query_scalar(
        "SELECT u.name FROM users u JOIN group_members m ON m.user_id = u.id JOIN groups g ON g.id = m.group_id WHERE g.name = $1"
    )
    .bind(group)
    .fetch_all(c)
    .await
    })?;
    let names = names.iter().filter_map(|name| UserName::parse(name).ok());
    Ok(names.collect())
}

/// The members of these groups, each with the group; nothing where they are more than so many.
pub async fn members_of_all(
    tx: &mut Tx,
    groups: &[&str],
    most: usize,
) -> sqlx::Result<Option<Vec<(String, UserName)>>> {
    let sql = format!(
        "SELECT g.name, u.name FROM groups g JOIN group_members m ON m.group_id = g.id \
         JOIN users u ON u.id = m.user_id WHERE g.name IN ({}) LIMIT $1",
        super::users::places(2, groups.len())
    );
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let rows: Vec<(String, String)> = on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(limit);
        for group in groups {
            query = query.bind(*group);
        }
        query.fetch_all(c).await
    })?;
    if rows.len() > most {
        return Ok(None);
    }
    let rows = rows.into_iter();
    let known = rows.filter_map(|(group, name)| Some((group, UserName::parse(&name).ok()?)));
    Ok(Some(known.collect()))
}

/// Makes a group if there is none of that name, and says whether it did.
pub async fn ensure(tx: &mut Tx, name: &str, now: Millis) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO groups (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
    )
    .bind(new_id(now))
    .bind(name)
    .bind(now.0)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<()> {
    for sql in [
        "DELETE FROM group_members WHERE group_id = $1",
        "DELETE FROM groups WHERE id = $1",
    ] {
        on!(tx, |c| sqlx::query(sql)
            .bind(id)
            .execute(c)
            .await
            .map(|_| ()))?;
    }
    Ok(())
}

pub async fn set_properties(tx: &mut Tx, group: &str, properties: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE groups SET properties = $2 WHERE name = $1"
    )
    .bind(group)
    .bind(properties)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Says whether she was not in it before.
pub async fn add_member(tx: &mut Tx, group: &str, user_id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO group_members (group_id, user_id) SELECT id, $2 FROM groups WHERE name = $1 ON CONFLICT DO NOTHING"
    )
    .bind(group)
    .bind(user_id)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}

/// Says whether she was in it.
pub async fn remove_member(tx: &mut Tx, group: &str, user_id: &str) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
        "DELETE FROM group_members WHERE user_id = $2 AND group_id IN (SELECT id FROM groups WHERE name = $1)"
    )
    .bind(group)
    .bind(user_id)
    .execute(c)
    .await
    .map(|done| done.rows_affected() > 0)
    })
}
