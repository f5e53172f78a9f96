//! Addresses of mail of those who have a password here, and links that show that somebody reads what is sent
//! to one.
//!
//! An address that is kept is good for a link to a new password, so it is worth as much as the password: an
//! administrator gives it, or its owner does by her password and a link that was sent there. Kept of links is
//! their hash.

use std::fmt;

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::name::UserName;
use lyceum_store::Tx;

use crate::db::{mail_addresses, password_links};

/// How long a link is good that shows that an address is read.
pub const PROOF_HOURS: i64 = 24;
/// So many accounts of one address are told of.
pub const ACCOUNTS_MOST: i64 = 5;
/// The longest address (RFC 5321, 4.5.3.1).
const LONGEST: usize = 254;
const LONGEST_LOCAL: usize = 64;

/// An address to which mail can be sent, in small letters. None that needs quotation marks, so that it stands
/// in any header as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailAddress(String);

/// It is no address of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address of mail such as `ada@example.edu`")]
pub struct NoAddress;

impl MailAddress {
    pub fn parse(text: &str) -> Result<Self, NoAddress> {
        let text = text.trim();
        let (local, domain) = text.split_once('@').ok_or(NoAddress)?;
        let good = text.len() <= LONGEST && is_local(local) && is_domain(domain);
        match good {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(NoAddress),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_local(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    let dots_fit = text.split('.').all(|piece| !piece.is_empty());
    text.len() <= LONGEST_LOCAL && dots_fit && text.bytes().all(fits)
}

/// Whether a text is a domain by its name: at least two labels, as `example.edu`.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let ends_fit = !label.starts_with('-') && !label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && ends_fit && label.bytes().all(fits)
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// An address as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Known {
    pub address: String,
    /// Whoever wrote it: she herself, or an administrator.
    pub given_by: String,
    /// When it was shown that it is read; nothing where an administrator says so.
    pub verified_at: Option<i64>,
}

/// A link was followed that had been sent to this address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub name: UserName,
    pub address: MailAddress,
}

/// Hers, if she has one.
pub async fn find(tx: &mut Tx, name: &UserName) -> sqlx::Result<Option<Known>> {
    mail_addresses::find(tx, name).await
}

/// Whose it is; the first few.
pub async fn names(tx: &mut Tx, address: &MailAddress) -> sqlx::Result<Vec<UserName>> {
    let names = mail_addresses::names(tx, address.as_str(), ACCOUNTS_MOST).await?;
    let names = names.iter().filter_map(|name| UserName::parse(name).ok());
    Ok(names.collect())
}

/// Her address from now on. What was sent to another is good for nothing.
pub async fn put(
    tx: &mut Tx,
    name: &UserName,
    address: &MailAddress,
    by: &str,
    verified_at: Option<Millis>,
) -> sqlx::Result<()> {
    end_links(tx, name).await?;
    let known = Known {
        address: address.to_string(),
        given_by: by.to_owned(),
        verified_at: verified_at.map(|at| at.0),
    };
    mail_addresses::upsert(tx, name, &known).await
}

/// She has none any more; whether she had one.
pub async fn remove(tx: &mut Tx, name: &UserName) -> sqlx::Result<bool> {
    end_links(tx, name).await?;
    mail_addresses::delete(tx, name).await
}

async fn end_links(tx: &mut Tx, name: &UserName) -> sqlx::Result<()> {
    mail_addresses::delete_proof(tx, name).await?;
    password_links::delete_mailed(tx, name).await
}

/// Somebody gets another name, and her address with her.
pub(crate) async fn rename(tx: &mut Tx, from: &UserName, to: &UserName) -> sqlx::Result<()> {
    end_links(tx, from).await?;
    remove(tx, to).await?;
    mail_addresses::rename(tx, from, to).await
}

/// The secret of a link to be sent to an address that shall be hers; the one before it ends.
pub async fn ask_proof(
    tx: &mut Tx,
    name: &UserName,
    address: &MailAddress,
    now: Millis,
) -> sqlx::Result<String> {
    let secret = new_secret();
    let hash = hashed(&secret);
    let until = now.plus(PROOF_HOURS * 3_600_000);
    mail_addresses::upsert_proof(tx, name, (&hash, address.as_str()), until).await?;
    Ok(secret)
}

/// What a link shows, if it is still good. Looking at it does not use it up.
pub async fn find_proof(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<Proof>> {
    let found = mail_addresses::find_proof(tx, &hashed(secret), now).await?;
    Ok(found.and_then(|(name, address)| {
        Some(Proof {
            name: UserName::parse(&name).ok()?,
            address: MailAddress::parse(&address).ok()?,
        })
    }))
}

/// Uses a link up: the address is hers. Of two at once one gets it.
pub async fn prove(tx: &mut Tx, secret: &str, now: Millis) -> sqlx::Result<Option<Proof>> {
    let Some(proof) = find_proof(tx, secret, now).await? else {
        return Ok(None);
    };
    if !mail_addresses::delete_proof_hash(tx, &hashed(secret)).await? {
        return Ok(None);
    }
    put(
        tx,
        &proof.name,
        &proof.address,
        proof.name.as_str(),
        Some(now),
    )
    .await?;
    Ok(Some(proof))
}

/// The secret of a link by which whoever reads this address makes an account; the one before it ends.
pub async fn ask_sign_up(tx: &mut Tx, address: &MailAddress, now: Millis) -> sqlx::Result<String> {
    let secret = new_secret();
    let until = now.plus(PROOF_HOURS * 3_600_000);
    mail_addresses::upsert_sign_up(tx, address.as_str(), &hashed(&secret), until).await?;
    Ok(secret)
}

/// The address to which the link of an account was sent, if it is still good.
pub async fn find_sign_up(
    tx: &mut Tx,
    secret: &str,
    now: Millis,
) -> sqlx::Result<Option<MailAddress>> {
    let found = mail_addresses::find_sign_up(tx, &hashed(secret), now).await?;
    Ok(found.and_then(|address| MailAddress::parse(&address).ok()))
}

/// Uses it up. Of two at once one gets it.
pub async fn take_sign_up(
    tx: &mut Tx,
    secret: &str,
    now: Millis,
) -> sqlx::Result<Option<MailAddress>> {
    match find_sign_up(tx, secret, now).await? {
        Some(address) if mail_addresses::delete_sign_up(tx, &hashed(secret)).await? => {
            Ok(Some(address))
        }
        _ => Ok(None),
    }
}

/// Forgets links that are too old; to be called now and then.
pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    mail_addresses::purge(tx, now).await
}

fn hashed(secret: &str) -> String {
    hash_secret("lyceum mail address 1", secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_header() {
        let check = |text: &str, expect: Option<&str>| {
            let parsed = MailAddress::parse(text).ok();
            assert_eq!(parsed.as_ref().map(MailAddress::as_str), expect, "{text:?}");
        };
        check("ada@example.edu", Some("ada@example.edu"));
        check(" Ada.L+x@Example.EDU ", Some("ada.l+x@example.edu"));
        check("o'brien@mail.example.edu", Some("o'brien@mail.example.edu"));
        for bad in [
            "",
            "ada",
            "@example.edu",
            "ada@",
            "ada@localhost",
            "ada@example..edu",
            "ada@-example.edu",
            "ada@[127.0.0.1]",
            ".ada@example.edu",
            "a..b@example.edu",
            "ada@eve@example.edu",
            "ada b@example.edu",
            "ada@example.edu\r\nBcc: eve@example.edu",
            "Ada <ada@example.edu>",
            "ada@example.edu,eve@example.edu",
            "\"ada\"@example.edu",
            "ädä@example.edu",
        ] {
            check(bad, None);
        }
        check(&format!("{}@example.edu", "a".repeat(65)), None);
        let long = format!("ada@{}.edu", "a.".repeat(130));
        check(&long, None);
    }

    #[test]
    fn a_domain_is_behind_the_sign() {
        let address = MailAddress::parse("Ada@Example.edu").expect("an address");
        assert_eq!(address.domain(), "example.edu");
    }
}
