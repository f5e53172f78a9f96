//! Services that the hub runs, as rows: whose turn it is to look after each, and how it is.

use lyceum_model::saying::Saying;
use lyceum_store::{Tx, on};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Row {
    pub name: String,
    /// By which the spawner knows it.
    pub key: String,
    pub digest: Option<String>,
    pub started_at: Option<i64>,
    pub failures: i64,
    pub start_at: Option<i64>,
    /// In English; see [`Row::saying`].
    pub said: Option<String>,
    pub saying: Option<String>,
    pub lease_owner: Option<String>,
    pub lease_until: Option<i64>,
}

impl Row {
    /// Whether this replica may look after it, as far as the row tells.
    pub fn is_free_for(&self, owner: &str, now: i64) -> bool {
        match &self.lease_owner {
            None => true,
            Some(other) => other == owner || self.lease_until.is_none_or(|until| until < now),
        }
    }

    /// Why it does not run.
    pub fn saying(&self) -> Option<Saying> {
        let text = self.said.as_deref()?;
        Some(Saying::from_stored(text, self.saying.as_deref()))
    }
}

pub async fn all(tx: &mut Tx) -> sqlx::Result<Vec<Row>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT name, key, digest, started_at, failures, start_at, said, saying, lease_owner, lease_until \
         FROM managed_services ORDER BY name"
    )
    .fetch_all(c)
    .await
    })
}

/// Leaves it alone when there is one of that name.
pub async fn insert(tx: &mut Tx, name: &str, key: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "INSERT INTO managed_services (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(key)
        .execute(c)
        .await
        .map(|_| ())
    })
}

/// Takes or keeps the lease of one; false: another replica has it.
pub async fn claim(
    tx: &mut Tx,
    name: &str,
    owner: &str,
    now: i64,
    until: i64,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE managed_services SET lease_owner = $2, lease_until = $4 \
             WHERE name = $1 AND (lease_owner IS NULL OR lease_owner = $2 OR lease_until < $3)",
        )
        .bind(name)
        .bind(owner)
        .bind(now)
        .bind(until)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
    })
}

pub async fn release(tx: &mut Tx, name: &str, owner: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE managed_services SET lease_owner = NULL, lease_until = NULL WHERE name = $1 AND lease_owner = $2"
    )
    .bind(name)
    .bind(owner)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// Keeps the leases of this replica; tells of which ones it could.
pub async fn renew(tx: &mut Tx, owner: &str, until: i64) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
            "UPDATE managed_services SET lease_until = $2 WHERE lease_owner = $1 RETURNING name",
        )
        .bind(owner)
        .bind(until)
        .fetch_all(c)
        .await
    })
}

/// It was started with what `digest` tells.
pub async fn set_started(
    tx: &mut Tx,
    name: &str,
    owner: &str,
    digest: &str,
    now: i64,
) -> sqlx::Result<bool> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE managed_services SET digest = $3, started_at = $4, start_at = NULL WHERE name = $1 AND lease_owner = $2",
        )
        .bind(name)
        .bind(owner)
        .bind(digest)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected() > 0)
    })
}

/// It has run for so long that earlier ends count no more.
pub async fn set_well(tx: &mut Tx, name: &str, owner: &str) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE managed_services SET failures = 0, said = NULL, saying = NULL WHERE name = $1 AND lease_owner = $2"
    )
    .bind(name)
    .bind(owner)
    .execute(c)
    .await
    .map(|_| ())
    })
}

/// It does not run; it is to be started again then.
pub async fn set_ended(
    tx: &mut Tx,
    name: &str,
    owner: &str,
    why: Option<&Saying>,
    failures: i64,
    start_at: i64,
) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
            "UPDATE managed_services SET started_at = NULL, failures = $3, start_at = $4, said = $5, saying = $6 \
             WHERE name = $1 AND lease_owner = $2",
        )
        .bind(name)
        .bind(owner)
        .bind(failures)
        .bind(start_at)
        .bind(why.map(ToString::to_string))
        .bind(why.map(Saying::to_stored))
        .execute(c)
        .await
        .map(|_| ())
    })
}

pub async fn delete(tx: &mut Tx, name: &str, owner: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "DELETE FROM managed_services WHERE name = $1 AND lease_owner = $2"
    )
    .bind(name)
    .bind(owner)
    .execute(c)
    .await
    .map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_s_lease_is_left_alone_until_it_is_over() {
        let check = |lease: Option<(&str, i64)>, expect: bool| {
            let row = Row {
                name: "s".into(),
                key: "s".into(),
                digest: None,
                started_at: None,
                failures: 0,
                start_at: None,
                said: None,
                saying: None,
                lease_owner: lease.map(|(owner, _)| owner.to_owned()),
                lease_until: lease.map(|(_, until)| until),
            };
            assert_eq!(row.is_free_for("us", 100), expect, "{row:?}");
        };
        check(None, true);
        check(Some(("us", 500)), true);
        check(Some(("them", 500)), false);
        check(Some(("them", 99)), true);
    }
}
