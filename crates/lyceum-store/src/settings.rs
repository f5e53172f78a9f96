//! Small values under a name that the program itself keeps, open or sealed.
//!
//! Not here: configuration, which is a file.

use anyhow::Context;
use lyceum_model::clock::Millis;
use lyceum_model::secret::Secret;

use crate::db::Tx;
use crate::on;
use crate::secret::Keys;

pub async fn get(tx: &mut Tx, name: &str) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT value FROM settings WHERE name = $1"
    )
    .bind(name)
    .fetch_optional(c)
    .await)
}

pub async fn set(tx: &mut Tx, name: &str, value: &str, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO settings (name, value, changed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at"
    )
    .bind(name)
    .bind(value)
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}

/// Until the end of the transaction nobody else reads or writes this setting through here. It is
/// made with `first` when there is none.
pub async fn lock(tx: &mut Tx, name: &str, first: &str, now: Millis) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO settings (name, value, changed_at) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET value = settings.value"
    )
    .bind(name)
    .bind(first)
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ()))
}

/// The value, or the one that `make` gives when there is none. Replicas that ask at once all get
/// the one that was first.
pub async fn get_or_create(
    tx: &mut Tx,
    name: &str,
    now: Millis,
    make: impl FnOnce() -> String,
) -> sqlx::Result<String> {
    if let Some(value) = get(tx, name).await? {
        return Ok(value);
    }
    on!(tx, |c| {
        sqlx::query(
        "INSERT INTO settings (name, value, changed_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
    )
    .bind(name)
    .bind(make())
    .bind(now.0)
    .execute(c)
    .await
    .map(|_| ())
    })?;
    get(tx, name).await?.ok_or(sqlx::Error::RowNotFound)
}

pub async fn get_sealed(tx: &mut Tx, keys: &Keys, name: &str) -> anyhow::Result<Option<Secret>> {
    match get(tx, name).await? {
        Some(text) => open(keys, name, &text).map(Some),
        None => Ok(None),
    }
}

pub async fn set_sealed(
    tx: &mut Tx,
    keys: &Keys,
    name: &str,
    value: &Secret,
    now: Millis,
) -> sqlx::Result<()> {
    set(tx, name, &seal(keys, name, value), now).await
}

/// As [`get_or_create`], sealed.
pub async fn get_or_create_sealed(
    tx: &mut Tx,
    keys: &Keys,
    name: &str,
    now: Millis,
    make: impl FnOnce() -> Secret,
) -> anyhow::Result<Secret> {
    let text = get_or_create(tx, name, now, || seal(keys, name, &make())).await?;
    open(keys, name, &text)
}

fn seal(keys: &Keys, name: &str, value: &Secret) -> String {
    keys.seal(&purpose(name), value.expose().as_bytes())
}

fn open(keys: &Keys, name: &str, text: &str) -> anyhow::Result<Secret> {
    let plain = keys
        .open(&purpose(name), text)
        .with_context(|| format!("opening the setting {name}"))?;
    let plain =
        String::from_utf8(plain).map_err(|_| anyhow::anyhow!("the setting {name} is not text"))?;
    Ok(Secret::new(plain))
}

/// The name is part of it, so a value can't be passed off as another's.
fn purpose(name: &str) -> String {
    format!("setting {name}")
}
