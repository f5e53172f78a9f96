//! The master key: where it comes from, and whether it is the one that belongs to the database.
//!
//! Its fingerprint is a setting of the database. All hubs of one database must have the same key,
//! or one can't read what another has sealed and signed.

use anyhow::Context;
use lyceum_model::clock::Clock;
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use lyceum_store::{Db, settings};

use crate::config::Config;
use crate::data::Layout;
use crate::failure::Failure;

const FINGERPRINT_SETTING: &str = "master-key";

/// Finds the key, or makes the first one of a new database.
pub async fn find(db: &Db, config: &Config, data: &Layout, clock: &Clock) -> Result<Keys, Failure> {
    let unreadable = |error: anyhow::Error| {
        Failure::new(format!("the key file can't be used: {error:#}"))
            .hint("it must be readable by its owner alone; a lost key can be had from a backup")
    };
    let known = fingerprint(db).await.map_err(failed)?;
    let file = data.master_key();
    let (keys, from) = match &config.store.key {
        Some(digits) => (from_digits(digits), "`store.key`".to_owned()),
        None => {
            let keys = match Keys::load(&file).map_err(unreadable)? {
                Some(keys) => keys,
                None => match &known {
                    Some(known) => {
                        return Err(Failure::new(format!(
                            "the master key is missing: this database is used with the key {known}, and there is no {}",
                            file.display()
                        ))
                        .hint("copy keys/master from another hub or from a backup, or name it with `store: {key: file:…}`"));
                    }
                    None => Keys::load_or_create(&file).map_err(unreadable)?,
                },
            };
            (keys, file.display().to_string())
        }
    };
    let first = match known {
        Some(known) => known,
        None => note(db, clock, keys.id()).await.map_err(failed)?,
    };
    if first != keys.id() {
        return Err(Failure::new(format!(
            "the master key of {from} is another ({}) than this database is used with ({first})",
            keys.id()
        ))
        .hint("all hubs of one database have the same: copy keys/master from the hub that was there first, or name it with `store: {key: file:…}`"));
    }
    Ok(keys)
}

/// What hubs and proxies share.
pub fn proxy_secret(keys: &Keys, config: &Config) -> Secret {
    match &config.proxy_secret {
        Some(secret) => secret.clone(),
        None => Secret::new(data_encoding::HEXLOWER.encode(&keys.derive("lyceum proxy"))),
    }
}

/// What a service that the hub runs proves itself with: the same on every replica.
pub fn service_token(keys: &Keys, service: &str) -> Secret {
    let token = keys.derive(&format!("lyceum service {service}"));
    Secret::new(data_encoding::HEXLOWER.encode(&token))
}

/// Leaves the secret in the data folder, for proxies on this machine.
pub fn write_proxy_secret(secret: &Secret, data: &Layout) -> Result<(), Failure> {
    use std::io::Write;
    let path = data.proxy_secret();
    let known = std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == secret.expose());
    if known {
        return Ok(());
    }
    let folder = path.parent().expect("it lies in a folder");
    let write = || -> std::io::Result<()> {
        // Made with mode 0600, and there whole or not at all.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", secret.expose())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| Failure::io(format!("{} can't be written", path.display()), &error))
}

async fn fingerprint(db: &Db) -> anyhow::Result<Option<String>> {
    let mut tx = db.read().await?;
    Ok(settings::get(&mut tx, FINGERPRINT_SETTING).await?)
}

/// Of several hubs that start at once on a new database, the first one's key counts.
async fn note(db: &Db, clock: &Clock, id: &str) -> anyhow::Result<String> {
    let mut tx = db.write().await?;
    let make = || id.to_owned();
    let first = settings::get_or_create(&mut tx, FINGERPRINT_SETTING, clock.now(), make).await?;
    tx.commit().await.context("noting the key's fingerprint")?;
    Ok(first)
}

fn from_digits(digits: &Secret) -> Keys {
    let bytes = data_encoding::HEXLOWER
        .decode(digits.expose().as_bytes())
        .expect("checked with the configuration");
    Keys::from_bytes(bytes.try_into().expect("checked with the configuration"))
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::new(format!(
        "the master key's fingerprint can't be looked up: {error:#}"
    ))
}
