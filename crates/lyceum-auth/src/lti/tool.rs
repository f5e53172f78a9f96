//! The keys by which Lyceum proves itself to platforms (Security Framework, 4.1). Made when they are first
//! needed, kept sealed in the database, the same for all replicas.
//!
//! A key signs for three months. The next one is published a day before it signs, so that whoever keeps
//! what is published for a while knows it, and for a month after.

use anyhow::Context;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::id::new_secret;
use lyceum_model::secret::Secret;
use lyceum_store::secret::Keys;
use lyceum_store::{Db, settings};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const SETTING: &str = "lti-tool-keys";
const DAY: i64 = 24 * 3_600_000;
/// So old is a key when the next one is made.
const SIGNS: i64 = 90 * DAY;
/// So long is a key published before it signs.
const BEFORE: i64 = DAY;
/// So long after.
const AFTER: i64 = 30 * DAY;

/// The keys of this site. Cheap to clone.
#[derive(Clone)]
pub struct ToolKeys {
    db: Db,
    keys: Keys,
    clock: Clock,
}

#[derive(Clone, Serialize, Deserialize)]
struct Key {
    id: String,
    /// PKCS #8, in base 64.
    der: String,
    made_at: i64,
}

impl ToolKeys {
    pub fn new(db: Db, keys: Keys, clock: Clock) -> Self {
        Self { db, keys, clock }
    }

    /// What platforms are told: a set of keys (RFC 7517).
    pub async fn published(&self) -> anyhow::Result<Value> {
        let keys = self.kept().await?;
        let keys: anyhow::Result<Vec<Value>> = keys.iter().map(Key::public).collect();
        Ok(json!({ "keys": keys? }))
    }

    /// A token with these claims (RFC 7519).
    pub(super) async fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let keys = self.kept().await?;
        let since = self.clock.now().0 - BEFORE;
        // The newest that everybody may know by now; there is always one.
        let known = keys.iter().rev().find(|key| key.made_at <= since);
        let key = known.or(keys.first()).context("there is no key")?;
        key.sign(claims)
    }

    /// The keys that are published, the oldest first; the newest signs or will soon.
    async fn kept(&self) -> anyhow::Result<Vec<Key>> {
        let now = self.clock.now();
        let mut tx = self.db.read().await?;
        let kept = settings::get_sealed(&mut tx, &self.keys, SETTING).await?;
        drop(tx);
        let mut kept = read(kept.as_ref())?;
        if !is_due(&kept, now) {
            kept.retain(|key| now.0 - key.made_at < SIGNS + AFTER);
            return Ok(kept);
        }
        // That takes a while, so no transaction is open meanwhile.
        let new = tokio::task::spawn_blocking(move || Key::make(now)).await??;
        let mut tx = self.db.write().await?;
        let mut kept = settings::get_sealed(&mut tx, &self.keys, SETTING).await?;
        if kept.is_none() {
            // Of replicas that begin at once one makes the first.
            let first = || Secret::new(text(std::slice::from_ref(&new)));
            let made =
                settings::get_or_create_sealed(&mut tx, &self.keys, SETTING, now, first).await?;
            kept = Some(made);
        }
        let mut kept = read(kept.as_ref())?;
        if is_due(&kept, now) {
            kept.retain(|key| now.0 - key.made_at < SIGNS + AFTER);
            kept.push(new);
            let text = Secret::new(text(&kept));
            settings::set_sealed(&mut tx, &self.keys, SETTING, &text, now).await?;
        }
        tx.commit().await?;
        Ok(kept)
    }
}

fn is_due(keys: &[Key], now: Millis) -> bool {
    keys.last().is_none_or(|key| now.0 - key.made_at >= SIGNS)
}

fn read(kept: Option<&Secret>) -> anyhow::Result<Vec<Key>> {
    let Some(kept) = kept else {
        return Ok(Vec::new());
    };
    // The parser's own words would repeat what was kept.
    serde_json::from_str(kept.expose())
        .map_err(|_| anyhow::anyhow!("the keys for learning platforms can't be read"))
}

fn text(keys: &[Key]) -> String {
    serde_json::to_string(keys).expect("texts and numbers")
}

impl Key {
    fn make(now: Millis) -> anyhow::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).context("making a key")?;
        let der = pair.as_der().context("writing a key")?;
        Ok(Self {
            id: new_secret(),
            der: BASE64.encode(der.as_ref()),
            made_at: now.0,
        })
    }

    fn pair(&self) -> anyhow::Result<KeyPair> {
        let der = BASE64.decode(self.der.as_bytes());
        let der = der.map_err(|_| anyhow::anyhow!("a key for learning platforms can't be read"))?;
        KeyPair::from_pkcs8(&der)
            .map_err(|_| anyhow::anyhow!("a key for learning platforms can't be read"))
    }

    fn public(&self) -> anyhow::Result<Value> {
        let pair = self.pair()?;
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        Ok(json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id,
            "n": BASE64URL_NOPAD.encode(n.big_endian_without_leading_zero()),
            "e": BASE64URL_NOPAD.encode(e.big_endian_without_leading_zero()),
        }))
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let pair = self.pair()?;
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let coded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", coded(&header), coded(claims));
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .context("signing for a learning platform")?;
        Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}
