//! Certificates from a certificate authority by ACME (RFC 8555): when to ask, where things are
//! kept, how an authority's questions are answered.
//!
//! Everything is in one private folder, which several replicas may share: the account, the
//! certificate with its key in one file, answers to questions under way, and a lock that lets one
//! replica ask at a time. An authority may put its question to any replica: each finds the answer
//! in the folder. One order's course is in `tls/acme/order.rs`.

mod folder;
mod order;

use std::{
    collections::HashMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Certificates, ResultLabels, Tls, TlsError, pair::Source};
use crate::config::span;
use folder::Folder;

/// Where an authority asks by HTTP (RFC 8555, section 8.3).
pub(crate) const HTTP_PATH: &str = "/.well-known/acme-challenge/";
/// What it speaks when it asks by TLS (RFC 8737).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(12 * 3_600);
/// How much longer to wait when the authority says that we asked too often.
const TOO_OFTEN: u32 = 60;

/// Certificates that Lyceum gets and renews by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acme {
    /// The host names of the certificate. Wildcards can't be had this way.
    pub names: Vec<String>,
    /// Where the account and the certificates are kept; several replicas may share it.
    pub folder: PathBuf,
    /// Whether you agree to the authority's terms of service. It gives nothing otherwise.
    pub agree_to_terms: bool,
    /// The authority's directory. Left out: Let's Encrypt.
    #[serde(default = "lets_encrypt")]
    pub directory: String,
    /// A file with the certificate of the authority's own server, for authorities inside an
    /// organisation.
    #[serde(default)]
    pub directory_authority: Option<PathBuf>,
    /// An address for mail from the authority.
    #[serde(default)]
    pub mail: Option<String>,
    /// How we show that the names are ours.
    #[serde(default)]
    pub challenge: AcmeChallenge,
    /// How long before its end a certificate is renewed; at the latest after two thirds of its
    /// life.
    #[serde(default = "renew_before", with = "span")]
    pub renew_before: Duration,
    /// How long to wait after a failure; doubles with each further one.
    #[serde(default = "retry", with = "span")]
    pub retry: Duration,
}

fn lets_encrypt() -> String {
    LETS_ENCRYPT.into()
}

fn renew_before() -> Duration {
    Duration::from_secs(30 * 86_400)
}

fn retry() -> Duration {
    Duration::from_secs(60)
}

/// How an authority sees that a name is ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcmeChallenge {
    /// It fetches a page from port 80 of the host.
    #[default]
    Http,
    /// It speaks TLS with port 443 of the host.
    TlsAlpn,
}

impl Acme {
    /// Whether a certificate for this name can be had.
    pub fn check_name(name: &str) -> Result<(), String> {
        if is_host_name(name) {
            return Ok(());
        }
        Err(format!(
            "{name:?} is not a host name; wildcards and addresses can't be had by ACME over HTTP or TLS"
        ))
    }

    pub(super) fn check(&self, tls: &Tls) -> Result<(), TlsError> {
        let wrong = |why: String| Err(TlsError::Settings(format!("ACME: {why}")));
        if self.names.is_empty() {
            return wrong("no names to get a certificate for".into());
        }
        for name in &self.names {
            if let Err(why) = Self::check_name(name) {
                return wrong(why);
            }
        }
        if !self.agree_to_terms {
            return wrong(
                "set `agree_to_terms: true` once you have read the authority's terms of service"
                    .into(),
            );
        }
        if !self.directory.starts_with("https://") {
            return wrong(format!("{:?} does not start with https://", self.directory));
        }
        let refuses = tls.clients.as_ref().is_some_and(|clients| clients.required);
        if refuses && self.challenge == AcmeChallenge::TlsAlpn {
            return wrong("an authority that asks by TLS shows no client certificate: use the challenge `http`".into());
        }
        Ok(())
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.parse::<std::net::IpAddr>().is_err() && name.split('.').all(is_label)
}

/// What an authority may ask just now: answers of this process in memory, those of other replicas
/// in the folder.
#[derive(Default)]
pub(crate) struct Answers {
    http: Mutex<HashMap<String, String>>,
    alpn: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    folder: Option<Folder>,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers {
    pub(super) fn in_folder(path: PathBuf) -> Self {
        Self {
            folder: Some(Folder::new(path)),
            ..Self::default()
        }
    }

    pub(super) fn find_http(&self, token: &str) -> Option<String> {
        let is_token = (1..=128).contains(&token.len())
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_token {
            return None;
        }
        if let Some(answer) = lock(&self.http).get(token) {
            return Some(answer.clone());
        }
        self.folder.as_ref()?.read_answer(token)
    }

    pub(super) fn find_alpn(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        if let Some(key) = lock(&self.alpn).get(&name) {
            return Some(key.clone());
        }
        if !is_host_name(&name) {
            return None;
        }
        let pem = self.folder.as_ref()?.read_answer(&name)?;
        order::parse_answer(&pem).map(Arc::new)
    }
}

/// The certificate as it is kept, or one that no browser believes until there is one.
pub(super) fn open(acme: &Acme) -> Result<Source, TlsError> {
    let folder = Folder::new(acme.folder.clone());
    folder.prepare()?;
    let stand_in = order::stand_in(&acme.names)?;
    let source = Source::awaited(acme.names.join(", "), folder.certificate(), stand_in)?;
    if source.is_stand_in() {
        tracing::warn!(
            names = %source.name(),
            "no certificate is there yet; until ACME has one, a self-signed one stands in that browsers warn of"
        );
    }
    Ok(source)
}

/// Asks for a certificate whenever one is due.
pub(super) async fn keep(certificates: &Certificates, acme: &Acme, stop: &CancellationToken) {
    let folder = Folder::new(acme.folder.clone());
    let mut failures = 0_u32;
    loop {
        let wait = due_in(certificates, acme);
        if !wait.is_zero() {
            // In pieces: another replica may renew it, and clocks may jump.
            pause(stop, wait.min(Duration::from_secs(3_600))).await;
        } else {
            match folder.try_lock() {
                Ok(Some(lock)) => {
                    // Whoever had the lock before may have done the work.
                    certificates.look();
                    if due_in(certificates, acme).is_zero() {
                        let result = attempt(certificates, acme, &folder).await;
                        drop(lock);
                        failures = match result {
                            Ok(()) => 0,
                            Err(wait) => {
                                pause(stop, backoff(acme.retry, failures, wait)).await;
                                failures + 1
                            }
                        };
                    }
                }
                Ok(None) => {
                    pause(stop, Duration::from_secs(5).min(acme.retry)).await;
                    certificates.look();
                }
                Err(error) => {
                    tracing::error!(%error, "the folder of ACME can't be locked");
                    pause(stop, backoff(acme.retry, failures, 1)).await;
                    failures += 1;
                }
            }
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn pause(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Err: how many times longer than usual to wait.
async fn attempt(certificates: &Certificates, acme: &Acme, folder: &Folder) -> Result<(), u32> {
    let answers = &certificates.shared.answers;
    let result = order::order(acme, folder, answers).await;
    answers.clear();
    let (label, problem, result) = match result {
        Ok(()) => ("good", None, Ok(())),
        Err(error) => {
            tracing::warn!(names = %acme.names.join(", "), %error, "no certificate by ACME; trying again later");
            let times = if error.is_too_often() { TOO_OFTEN } else { 1 };
            ("failed", Some(format!("ACME: {error}")), Err(times))
        }
    };
    let orders = &certificates.shared.metrics.orders;
    orders.get_or_create(&ResultLabels { result: label }).inc();
    certificates.look();
    if let Some(source) = certificates.sources().last_mut() {
        source.set_problem(problem);
    }
    certificates.tell();
    result
}

impl Answers {
    /// Puts an answer where this process and other replicas find it.
    async fn put_http(&self, token: &str, answer: String) -> std::io::Result<()> {
        lock(&self.http).insert(token.to_owned(), answer.clone());
        self.publish(token.to_owned(), answer).await
    }

    async fn put_alpn(
        &self,
        name: &str,
        key: Arc<CertifiedKey>,
        pem: String,
    ) -> std::io::Result<()> {
        lock(&self.alpn).insert(name.to_owned(), key);
        self.publish(name.to_owned(), pem).await
    }

    async fn publish(&self, name: String, text: String) -> std::io::Result<()> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || folder.write_answer(&name, &text))
            .await
            .map_err(std::io::Error::other)?
    }

    fn clear(&self) {
        lock(&self.http).clear();
        lock(&self.alpn).clear();
        if let Some(folder) = &self.folder {
            folder.remove_answers();
        }
    }
}

fn due_in(certificates: &Certificates, acme: &Acme) -> Duration {
    let sources = certificates.sources();
    let Some(source) = sources.last() else {
        return Duration::ZERO;
    };
    let pair = source.pair();
    let has_names = acme
        .names
        .iter()
        .all(|name| pair.names.contains(&name.to_ascii_lowercase()));
    if source.is_stand_in() || !has_names {
        return Duration::ZERO;
    }
    let due = renewal(
        pair.begins,
        pair.ends,
        acme.renew_before,
        jitter(&acme.folder),
    );
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64);
    Duration::from_secs(u64::try_from(due - now).unwrap_or(0))
}

/// When to renew, in seconds since 1970: before the end, but not before two thirds of the life
/// are over, and up to a twentieth of the life earlier so that not everybody comes at once.
fn renewal(begins: i64, ends: i64, before: Duration, jitter: f64) -> i64 {
    let life = (ends - begins).max(0);
    let before = i64::try_from(before.as_secs())
        .unwrap_or(i64::MAX)
        .min(life / 3);
    ends - before - (life as f64 / 20.0 * jitter) as i64
}

/// From 0 to 1, the same for the whole life of a process.
fn jitter(folder: &std::path::Path) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(folder.as_os_str().as_encoded_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    f64::from(hasher.finalize().as_bytes()[0]) / 255.0
}

/// Doubles with each failure, and is up to a quarter longer by chance.
fn backoff(first: Duration, failures: u32, times: u32) -> Duration {
    let wait = first
        .saturating_mul(1 << failures.min(16))
        .saturating_mul(times)
        .min(LONGEST_WAIT);
    let mut byte = [0];
    let _ = getrandom::fill(&mut byte);
    wait + wait.mul_f64(f64::from(byte[0]) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn renewal_is_early_enough_and_not_too_early() {
        let check = |days: i64, before: i64, jitter: f64, expect: f64| {
            let before = Duration::from_secs((before * DAY) as u64);
            let due = renewal(0, days * DAY, before, jitter);
            assert!((due as f64 / DAY as f64 - expect).abs() < 0.01, "{due}");
        };
        check(90, 30, 0.0, 60.0);
        check(90, 30, 1.0, 55.5);
        check(365, 30, 0.0, 335.0);
        check(6, 30, 0.0, 4.0);
        check(0, 30, 1.0, 0.0);
    }

    #[test]
    fn waits_grow_and_end() {
        let minute = Duration::from_secs(60);
        for (failures, times, least) in [(0, 1, 60), (3, 1, 480), (0, 60, 3_600), (60, 60, 43_200)]
        {
            let wait = backoff(minute, failures, times).as_secs();
            assert!(
                (least..=least * 5 / 4).contains(&wait),
                "{failures} {times}: {wait}"
            );
        }
    }

    #[test]
    fn names_are_host_names() {
        for good in ["lab", "lab.example.edu", "xn--e1a.example", "1.example.edu"] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in [
            "",
            "*.lab",
            "lab..edu",
            "-a.b",
            "127.0.0.1",
            "::1",
            "a/b",
            "a_b",
            "la b",
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
