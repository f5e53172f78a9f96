//! What a provider tells of itself: its addresses (OpenID Connect Discovery 1.0) and its keys, fetched
//! when they are first needed and kept for an hour. It may be away when Lyceum starts; when it is away
//! later, what was known of it goes on holding.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use jsonwebtoken::jwk::Jwk;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::http::{Http, Proof, may_be_asked};

/// So long is known what was fetched.
const FRESH: Duration = Duration::from_secs(3600);
/// So long it may be used while the provider is away.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Whoever comes so shortly after a failure is told of it and asks nobody.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// Keys that are not old are not fetched more often than this, whatever a token says of its key.
const BETWEEN_KEYS: Duration = Duration::from_secs(5);
const KEYS_MAX: usize = 64;

/// The discovery document, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    #[serde(deserialize_with = "url")]
    pub(crate) authorization_endpoint: Url,
    #[serde(deserialize_with = "url")]
    pub(crate) token_endpoint: Url,
    #[serde(deserialize_with = "url")]
    jwks_uri: Url,
    #[serde(default, deserialize_with = "maybe_url")]
    pub(crate) userinfo_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "maybe_url")]
    pub(crate) end_session_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn maybe_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let url = text.map(|text| text.parse()).transpose();
    url.map_err(serde::de::Error::custom)
}

impl Metadata {
    /// How a client with a secret proves itself; where nothing is said it is `Basic`.
    pub(crate) fn wants_secret_in_form(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        let has = |name: &str| methods.is_some_and(|all| all.iter().any(|one| one == name));
        has("client_secret_post") && !has("client_secret_basic")
    }

    fn check(&self, issuer: &str) -> anyhow::Result<()> {
        // To the letter (Discovery, 4.3).
        ensure!(
            self.issuer == issuer,
            "it calls itself {:?}, not {issuer:?}; write `issuer` exactly so",
            self.issuer.chars().take(200).collect::<String>()
        );
        let optional = self
            .userinfo_endpoint
            .iter()
            .chain(&self.end_session_endpoint);
        let all = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.jwks_uri,
        ];
        for url in all.into_iter().chain(optional) {
            may_be_asked(url)?;
            // A provider elsewhere must not send us to a program of this machine.
            let is_here = !issuer.starts_with("https://");
            ensure!(
                is_here || url.as_str().starts_with("https://"),
                "it names the address {url}, which is not https"
            );
        }
        if let Some(methods) = &self.code_challenge_methods_supported {
            ensure!(
                methods.iter().any(|method| method == "S256"),
                "it does not know PKCE by S256"
            );
        }
        Ok(())
    }
}

/// What was fetched, when, and when it last failed.
#[derive(Default)]
struct Kept<T> {
    value: Option<(Arc<T>, Instant)>,
    tried: Option<(Instant, String)>,
    /// When it was last fetched though it was not old.
    renewed: Option<Instant>,
}

/// One document that is fetched by one caller at a time.
struct Fetched<T> {
    kept: Mutex<Kept<T>>,
    turn: tokio::sync::Mutex<()>,
}

impl<T> Fetched<T> {
    fn new() -> Self {
        Self {
            kept: Mutex::new(Kept {
                value: None,
                tried: None,
                renewed: None,
            }),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<T>> {
        let kept = self.kept();
        let (value, at) = kept.value.as_ref()?;
        (at.elapsed() < age).then(|| value.clone())
    }

    fn keep(&self, value: Arc<T>) {
        let mut kept = self.kept();
        kept.value = Some((value, Instant::now()));
        kept.tried = None;
    }

    /// Another one than `old`, if there is one; not asked for often.
    async fn renew(
        &self,
        old: &Arc<T>,
        fetch: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Arc<T>> {
        let _turn = self.turn.lock().await;
        {
            let mut kept = self.kept();
            match &kept.value {
                Some((value, _)) if !Arc::ptr_eq(value, old) => return Ok(value.clone()),
                _ => {}
            }
            if kept.renewed.is_some_and(|at| at.elapsed() < BETWEEN_KEYS) {
                return Ok(old.clone());
            }
            kept.renewed = Some(Instant::now());
        }
        let value = Arc::new(fetch.await?);
        self.keep(value.clone());
        Ok(value)
    }

    /// The document, no older than `age` if the provider answers.
    async fn get(
        &self,
        age: Duration,
        fetch: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Arc<T>> {
        if let Some(value) = self.younger_than(age) {
            return Ok(value);
        }
        let _turn = self.turn.lock().await;
        // Whoever had the turn before may have fetched it, or failed.
        if let Some(value) = self.younger_than(age) {
            return Ok(value);
        }
        let failed = match &self.kept().tried {
            Some((at, problem)) if at.elapsed() < AFTER_FAILURE => Some(problem.clone()),
            _ => None,
        };
        let problem = match failed {
            Some(problem) => anyhow::anyhow!(problem),
            None => match fetch.await {
                Ok(value) => {
                    let value = Arc::new(value);
                    self.keep(value.clone());
                    return Ok(value);
                }
                Err(problem) => {
                    self.kept().tried = Some((Instant::now(), format!("{problem:#}")));
                    problem
                }
            },
        };
        match self.younger_than(STALE) {
            Some(value) => {
                tracing::warn!(
                    problem = format!("{problem:#}"),
                    "a sign-in provider can't be asked; what was known of it goes on holding"
                );
                Ok(value)
            }
            None => Err(problem),
        }
    }
}

/// A provider. What is known of it is shared by all who hold it.
pub(crate) struct Provider {
    issuer: String,
    http: Http,
    metadata: Fetched<Metadata>,
    keys: Fetched<Vec<Jwk>>,
}

impl Provider {
    pub(crate) fn new(issuer: String, http: Http) -> Self {
        Self {
            issuer,
            http,
            metadata: Fetched::new(),
            keys: Fetched::new(),
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    pub(crate) async fn metadata(&self) -> anyhow::Result<Arc<Metadata>> {
        let fetch = async {
            let base = self.issuer.trim_end_matches('/');
            let url = format!("{base}/.well-known/openid-configuration").parse()?;
            let answer = self.http.get(&url, Proof::None).await?;
            ensure!(
                answer.status.is_success(),
                "{url} answered {}",
                answer.status
            );
            let metadata: Metadata = answer.json().with_context(|| format!("reading {url}"))?;
            metadata.check(&self.issuer)?;
            Ok(metadata)
        };
        let metadata = self.metadata.get(FRESH, fetch).await;
        metadata.with_context(|| format!("asking the provider {} of itself", self.issuer))
    }

    /// Its keys. `old`: a token was signed with one that is not among these.
    pub(crate) async fn keys(&self, old: Option<&Arc<Vec<Jwk>>>) -> anyhow::Result<Arc<Vec<Jwk>>> {
        let metadata = self.metadata().await?;
        let fetch = fetch_keys(&self.http, &metadata.jwks_uri);
        let keys = match old {
            Some(old) => self.keys.renew(old, fetch).await,
            None => self.keys.get(FRESH, fetch).await,
        };
        keys.with_context(|| format!("fetching the keys of {}", self.issuer))
    }
}

/// Keys at an address that is known without asking: those of somebody who tells nothing else of itself.
pub(crate) struct KeySet {
    url: Url,
    http: Http,
    keys: Fetched<Vec<Jwk>>,
}

impl KeySet {
    pub(crate) fn new(url: Url, http: Http) -> Self {
        Self {
            url,
            http,
            keys: Fetched::new(),
        }
    }

    /// As [`Provider::keys`].
    pub(crate) async fn keys(&self, old: Option<&Arc<Vec<Jwk>>>) -> anyhow::Result<Arc<Vec<Jwk>>> {
        let fetch = fetch_keys(&self.http, &self.url);
        let keys = match old {
            Some(old) => self.keys.renew(old, fetch).await,
            None => self.keys.get(FRESH, fetch).await,
        };
        keys.with_context(|| format!("fetching the keys at {}", self.url))
    }
}

async fn fetch_keys(http: &Http, url: &Url) -> anyhow::Result<Vec<Jwk>> {
    let answer = http.get(url, Proof::None).await?;
    ensure!(
        answer.status.is_success(),
        "{url} answered {}",
        answer.status
    );
    read_keys(&answer.json().with_context(|| format!("reading {url}"))?)
}

/// Keys of kinds that nobody here knows are no mistake; they sign nothing for us.
fn read_keys(document: &Value) -> anyhow::Result<Vec<Jwk>> {
    let Some(keys) = document["keys"].as_array() else {
        bail!("it has no list `keys`");
    };
    Ok(keys
        .iter()
        .take(KEYS_MAX)
        .filter_map(|key| Jwk::deserialize(key).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let mut document = json!({
            "issuer": "https://login.example.edu/x",
            "authorization_endpoint": "https://login.example.edu/x/auth",
            "token_endpoint": "https://login.example.edu/x/token",
            "jwks_uri": "https://login.example.edu/x/keys",
        });
        change(&mut document);
        let metadata: Metadata = serde_json::from_value(document)?;
        metadata.check("https://login.example.edu/x")
    }

    #[test]
    fn a_provider_is_who_it_was_taken_for_and_asked_by_tls() {
        assert!(metadata(|_| {}).is_ok());
        let issuers = [
            "https://login.example.edu/x/",
            "https://login.example.edu",
            "https://evil.org",
        ];
        for issuer in issuers {
            assert!(
                metadata(|d| d["issuer"] = json!(issuer)).is_err(),
                "{issuer}"
            );
        }
        for key in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
        ] {
            for url in [
                "http://login.example.edu/",
                "/relative",
                "file:///etc/passwd",
                "javascript:x",
            ] {
                assert!(metadata(|d| d[key] = json!(url)).is_err(), "{key} {url}");
            }
        }
        assert!(metadata(|d| d["code_challenge_methods_supported"] = json!(["plain"])).is_err());
    }

    #[test]
    fn odd_keys_are_left_out() {
        let keys = json!({"keys": [
            {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
             "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0", "kid": "a"},
            {"kty": "new", "x": 1}, 7, {"kty": "RSA"}
        ]});
        let keys = read_keys(&keys).unwrap();
        assert!(
            keys.iter()
                .any(|key| key.common.key_id.as_deref() == Some("a"))
        );
        assert!(read_keys(&json!({})).is_err());
    }
}
