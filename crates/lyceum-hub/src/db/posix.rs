//! Tables `posix_uids` and `posix_people`: whose which number for files is.

use lyceum_model::clock::Millis;
use lyceum_model::posix::Posix;
use lyceum_store::{Tx, on};

use super::users::User;

/// Whose a uid is, for ever.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Owner {
    pub owner: String,
    pub owner_name: String,
    pub mark: Option<String>,
    pub given_by: String,
}

/// Somebody's numbers as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub posix: Posix,
    /// An administrator said all but the uid.
    pub by_hand: bool,
}

#[derive(sqlx::FromRow)]
struct Row {
    uid: i64,
    gid: Option<i64>,
    group_name: Option<String>,
    gids: String,
    by_hand: bool,
}

fn number(value: i64) -> sqlx::Result<u32> {
    u32::try_from(value).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub async fn of(tx: &mut Tx, user_id: &str) -> sqlx::Result<Option<Known>> {
    let row: Option<Row> = on!(tx, |c| sqlx::query_as(
        "SELECT uid, gid, group_name, gids, by_hand FROM posix_people WHERE user_id = $1"
    )
    .bind(user_id)
    .fetch_optional(c)
    .await)?;
    let Some(row) = row else {
        return Ok(None);
    };
    Ok(Some(Known {
        posix: Posix {
            uid: number(row.uid)?,
            gid: row.gid.map(number).transpose()?,
            group: row.group_name,
            gids: serde_json::from_str(&row.gids)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
        },
        by_hand: row.by_hand,
    }))
}

pub async fn put(tx: &mut Tx, user_id: &str, known: &Known) -> sqlx::Result<()> {
    let Known { posix, by_hand } = known;
    let gids = serde_json::json!(posix.gids).to_string();
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO posix_people (user_id, uid, gid, group_name, gids, by_hand) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (user_id) DO UPDATE SET uid = excluded.uid, gid = excluded.gid,
             group_name = excluded.group_name, gids = excluded.gids, by_hand = excluded.by_hand"
    )
    .bind(user_id)
    .bind(i64::from(posix.uid))
    .bind(posix.gid.map(i64::from))
    .bind(posix.group.as_deref())
    .bind(gids)
    .bind(*by_hand)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Leaves it alone where it is somebody's already.
pub async fn claim(
    tx: &mut Tx,
    uid: u32,
    user: &User,
    mark: Option<&str>,
    by: &str,
    now: Millis,
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO posix_uids (uid, owner, owner_name, mark, given_by, given_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (uid) DO NOTHING"
    )
    .bind(i64::from(uid))
    .bind(&user.id)
    .bind(user.name.as_str())
    .bind(mark)
    .bind(by)
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn owner(tx: &mut Tx, uid: u32) -> sqlx::Result<Option<Owner>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT owner, owner_name, mark, given_by FROM posix_uids WHERE uid = $1"
    )
    .bind(i64::from(uid))
    .fetch_optional(c)
    .await)
}

/// She is back under another account.
pub async fn hand_on(tx: &mut Tx, uid: u32, user: &User) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE posix_uids SET owner = $2, owner_name = $3 WHERE uid = $1"
    )
    .bind(i64::from(uid))
    .bind(&user.id)
    .bind(user.name.as_str())
    .execute(c)
    .await
    .map(|_| ()))
}

/// The mark by which she comes is known only now.
pub async fn set_mark(tx: &mut Tx, uid: u32, mark: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE posix_uids SET mark = $2 WHERE uid = $1 AND mark IS NULL"
    )
    .bind(i64::from(uid))
    .bind(mark)
    .execute(c)
    .await
    .map(|_| ()))
}

/// A mark leads to her no more: it brings nobody back to her numbers.
pub async fn forget_mark(tx: &mut Tx, user_id: &str, mark: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE posix_uids SET mark = NULL WHERE owner = $1 AND mark = $2"
    )
    .bind(user_id)
    .bind(mark)
    .execute(c)
    .await
    .map(|_| ()))
}

/// The last one that somebody with this mark had whose account is gone.
pub async fn left_by(tx: &mut Tx, mark: &str) -> sqlx::Result<Option<u32>> {
    let uid: Option<i64> = on!(tx, |c| sqlx::query_scalar(
        "SELECT p.uid FROM posix_uids p WHERE p.mark = $1
         AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = p.owner)
         ORDER BY p.given_at DESC, p.uid DESC LIMIT 1"
    )
    .bind(mark)
    .fetch_optional(c)
    .await)?;
    uid.map(number).transpose()
}

/// Keeps a number as nobody's, so that the search for the next one goes on behind it.
pub async fn reserve(tx: &mut Tx, uid: u32, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO posix_uids (uid, owner, owner_name, mark, given_by, given_at)
             VALUES ($1, '-', 'nobody', NULL, 'system', $2) ON CONFLICT (uid) DO NOTHING",
        )
        .bind(i64::from(uid))
        .bind(now.0)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// The lowest of a range that was never anybody's. Rows never go, so a gap was never given.
pub async fn free(tx: &mut Tx, first: u32, last: u32) -> sqlx::Result<Option<u32>> {
    if owner(tx, first).await?.is_none() {
        return Ok(Some(first));
    }
    let next: Option<i64> = on!(tx, |c| sqlx::query_scalar(
        "SELECT MIN(u.uid) + 1 FROM posix_uids u WHERE u.uid >= $1 AND u.uid < $2
         AND NOT EXISTS (SELECT 1 FROM posix_uids v WHERE v.uid = u.uid + 1)"
    )
    .bind(i64::from(first))
    .bind(i64::from(last))
    .fetch_one(c)
    .await)?;
    next.map(number).transpose()
}
