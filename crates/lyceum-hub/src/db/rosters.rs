//! Table `lti_rosters`: which platform is asked when who is in which of its courses.

use std::collections::BTreeSet;

use lyceum_model::clock::Millis;
use lyceum_model::lti::{By, Place};
use lyceum_store::{Tx, on};

/// A course there, and where the platform tells of it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub platform: String,
    known_by: String,
    value: String,
    pub context: String,
    pub client: String,
    pub url: String,
    pub failures: i64,
}

impl Row {
    /// None of a kind that a newer program has.
    pub fn place(&self) -> Option<Place> {
        let all = [By::Context, By::Label, By::Link];
        let by = all.into_iter().find(|by| by.as_str() == self.known_by)?;
        Some(Place {
            platform: self.platform.clone(),
            by,
            value: self.value.clone(),
        })
    }
}

/// What a launch tells of a course.
pub struct Told<'a> {
    pub place: &'a Place,
    pub context: &'a str,
    pub client: &'a str,
    pub url: &'a str,
}

/// It is asked now, unless it was asked less than `rest` ago, after which it waits for `every`; where it failed
/// it waits for its time. Where it is being asked, the answer may be older than this launch, so it is asked
/// once more after `rest`: see [`finish`].
pub async fn upsert(
    tx: &mut Tx,
    told: &Told<'_>,
    now: Millis,
    (every, rest): (i64, i64),
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO lti_rosters (platform, known_by, value, context, client, url, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (platform, known_by, value) DO UPDATE SET context = excluded.context, client = excluded.client, url = excluded.url, \
             due_at = CASE WHEN lti_rosters.lease_until > $7 THEN $9 \
             WHEN lti_rosters.due_at <= $7 OR lti_rosters.failures > 0 THEN lti_rosters.due_at \
             WHEN lti_rosters.due_at - $8 > $7 THEN lti_rosters.due_at - $8 ELSE $7 END",
        )
        .bind(&told.place.platform)
        .bind(told.place.by.as_str())
        .bind(&told.place.value)
        .bind(told.context)
        .bind(told.client)
        .bind(told.url)
        .bind(now.0)
        .bind(every - rest)
        .bind(now.plus(rest).0)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// Those that are to be asked for, the longest waiting first, without those at which another replica is.
pub async fn due(tx: &mut Tx, now: Millis, most: i64) -> sqlx::Result<Vec<Row>> {
    on!(tx, |c| {
        sqlx::query_as(
            "SELECT platform, known_by, value, context, client, url, failures FROM lti_rosters \
             WHERE due_at <= $1 AND (lease_until IS NULL OR lease_until < $1) ORDER BY due_at LIMIT $2",
        )
        .bind(now.0)
        .bind(most)
        .fetch_all(c)
        .await
    })
}

/// Whether it is ours until then.
pub async fn claim(
    tx: &mut Tx,
    row: &Row,
    owner: &str,
    now: Millis,
    until: Millis,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE lti_rosters SET lease_owner = $4, lease_until = $6 WHERE platform = $1 AND known_by = $2 AND value = $3 \
             AND due_at <= $5 AND (lease_until IS NULL OR lease_until < $5)",
        )
        .bind(&row.platform)
        .bind(&row.known_by)
        .bind(&row.value)
        .bind(owner)
        .bind(now.0)
        .bind(until.0)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
    })
}

/// Whether it was still ours: what was asked for may be written then. It is due at `due`, or when a launch wished
/// for it that came after `asked`; one that failed waits all the same.
pub async fn finish(
    tx: &mut Tx,
    row: &Row,
    owner: &str,
    failures: i64,
    (asked, due): (Millis, Millis),
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE lti_rosters SET lease_owner = NULL, lease_until = NULL, failures = $5, \
             due_at = CASE WHEN $5 = 0 AND due_at > $7 THEN due_at ELSE $6 END \
             WHERE platform = $1 AND known_by = $2 AND value = $3 AND lease_owner = $4",
        )
        .bind(&row.platform)
        .bind(&row.known_by)
        .bind(&row.value)
        .bind(owner)
        .bind(failures)
        .bind(due.0)
        .bind(asked.0)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
    })
}

/// The ids of those who came from this platform after that.
pub async fn came_since(
    tx: &mut Tx,
    issuer: &str,
    asked: Millis,
) -> sqlx::Result<BTreeSet<String>> {
    let ids: Vec<String> = on!(tx, |c| {
        sqlx::query_scalar("SELECT user_id FROM identities WHERE issuer = $1 AND seen_at > $2")
            .bind(issuer)
            .bind(asked.0)
            .fetch_all(c)
            .await
    })?;
    Ok(ids.into_iter().collect())
}
