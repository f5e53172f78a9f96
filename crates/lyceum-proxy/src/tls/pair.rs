//! A certificate with its key: read from files, checked, and looked at again.
//!
//! Contents are compared, not times: copies that keep times, links that are turned (as Kubernetes
//! does with secrets) and clocks that jump make no difference.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{CertificateFiles, CertificateState, TlsError, provider, unlock::unlock};
use crate::config::ProxySecret;

/// No chain is larger.
const LARGEST: u64 = 1 << 20;

/// One certificate that may be shown.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: Arc<CertifiedKey>,
    /// Host names and addresses, in lower case; wildcards as `*.lab.example.edu`.
    pub(crate) names: Vec<String>,
    /// Seconds since 1970.
    pub(crate) begins: i64,
    pub(crate) ends: i64,
}

impl Pair {
    /// `path` and `key_path` are only for what errors say.
    pub(crate) fn parse(
        (path, bytes): (&Path, &[u8]),
        (key_path, key_bytes): (&Path, &[u8]),
    ) -> Result<Self, TlsError> {
        let chain = certificates(path, bytes)?;
        let wrong_key = |why: String| TlsError::File {
            path: key_path.into(),
            why,
        };
        let text = String::from_utf8_lossy(key_bytes);
        let key = PrivateKeyDer::from_pem_slice(key_bytes).map_err(|_| {
            wrong_key(if text.contains("ENCRYPTED") {
                "the key is locked by a pass phrase in OpenSSL's old form; write it anew (openssl pkcs8 -topk8 -in … -out …) or without one (openssl pkey -in … -out …)"
                    .into()
            } else {
                "holds no private key in PEM form".into()
            })
        })?;
        let wrong = |why: String| TlsError::File {
            path: path.into(),
            why,
        };
        let (names, begins, ends) = {
            let first = chain.first().expect("at least one, seen while reading");
            let (_, leaf) = X509Certificate::from_der(first)
                .map_err(|error| wrong(format!("the first certificate can't be read: {error}")))?;
            let validity = leaf.validity();
            (
                names(&leaf),
                validity.not_before.timestamp(),
                validity.not_after.timestamp(),
            )
        };
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            wrong_key(match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!("this key is not that of {}", path.display())
                }
                error => format!("the key can't be used: {error}"),
            })
        })?;
        Ok(Self {
            key: Arc::new(key),
            names,
            begins,
            ends,
        })
    }
}

/// The names a certificate is for. One without alternative names counts for none: browsers do not
/// look at the common name either.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    alternative
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// At least one.
pub(super) fn certificates(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File {
        path: path.into(),
        why,
    };
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(format!("not certificates in PEM form: {error}")))?;
    if chain.is_empty() {
        return Err(wrong("holds no certificate in PEM form".into()));
    }
    Ok(chain)
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let wrong = |why: String| TlsError::File {
        path: path.into(),
        why,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("can't be read: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("larger than 1 MiB, which no certificate is".into()));
    }
    Ok(bytes)
}

/// Where a certificate comes from, and how it stands.
#[derive(Debug)]
pub(super) struct Source {
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    pair: Option<Arc<Pair>>,
    /// No file yet: what is shown was made in memory.
    is_stand_in: bool,
    /// What was looked at last, good or bad.
    seen: Option<blake3::Hash>,
    problem: Option<String>,
    /// What unlocks the key.
    passphrase: Option<ProxySecret>,
    /// The day of the last warning that it ends soon.
    warned: Option<SystemTime>,
}

/// What looking again found.
#[derive(Debug)]
pub(super) enum Look {
    Same,
    Changed,
    /// Told once for each bad content.
    Bad(String),
}

impl Source {
    pub(super) fn files(files: CertificateFiles) -> Self {
        Self {
            name: files.certificate.display().to_string(),
            certificate: files.certificate,
            key: files.key,
            pair: None,
            is_stand_in: false,
            seen: None,
            problem: None,
            passphrase: None,
            warned: None,
        }
    }

    pub(super) fn unlocked_by(mut self, passphrase: Option<ProxySecret>) -> Self {
        self.passphrase = passphrase;
        self
    }

    /// One file for both, which may not be there yet; then the stand-in is shown.
    pub(super) fn awaited(name: String, file: PathBuf, stand_in: Pair) -> Result<Self, TlsError> {
        let mut source = Self::files(CertificateFiles {
            certificate: file.clone(),
            key: file,
        });
        source.name = name;
        source.pair = Some(Arc::new(stand_in));
        source.is_stand_in = true;
        if source.certificate.exists() {
            return source.open();
        }
        Ok(source)
    }

    /// The first look, where a fault is an error.
    pub(super) fn open(mut self) -> Result<Self, TlsError> {
        let (hash, pair) = self.read()?;
        self.seen = Some(hash);
        self.pair = Some(Arc::new(pair?));
        self.is_stand_in = false;
        Ok(self)
    }

    fn read(&self) -> Result<(blake3::Hash, Result<Pair, TlsError>), TlsError> {
        let bytes = read_file(&self.certificate)?;
        let key = read_file(&self.key)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes).update(&key);
        // Unlocking is slow by design, and what stands in force has been unlocked.
        let hash = hasher.finalize();
        if self.seen == Some(hash)
            && let Some(pair) = &self.pair
        {
            return Ok((hash, Ok(Pair::clone(pair))));
        }
        let pair = unlock(&self.key, &key, self.passphrase.as_ref())
            .and_then(|key| Pair::parse((&self.certificate, &bytes), (&self.key, &key)));
        Ok((hash, pair))
    }

    pub(super) fn look(&mut self) -> Look {
        if self.is_stand_in && !self.certificate.exists() {
            return Look::Same;
        }
        let problem = match self.read() {
            Ok((hash, _)) if self.seen == Some(hash) => return Look::Same,
            Ok((hash, Ok(pair))) => {
                self.seen = Some(hash);
                self.pair = Some(Arc::new(pair));
                (self.is_stand_in, self.problem, self.warned) = (false, None, None);
                return Look::Changed;
            }
            Ok((hash, Err(problem))) => {
                self.seen = Some(hash);
                problem
            }
            Err(problem) => {
                // The same content as before the trouble is news again.
                self.seen = None;
                problem
            }
        };
        let problem = problem.to_string();
        if self.problem.as_ref() == Some(&problem) {
            return Look::Same;
        }
        self.problem = Some(problem.clone());
        Look::Bad(problem)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pair(&self) -> Arc<Pair> {
        self.pair
            .clone()
            .expect("every source is opened or has a stand-in")
    }

    pub(super) fn is_stand_in(&self) -> bool {
        self.is_stand_in
    }

    pub(super) fn set_problem(&mut self, problem: Option<String>) {
        self.problem = problem;
    }

    pub(super) fn state(&self) -> CertificateState {
        CertificateState {
            name: self.name.clone(),
            is_stand_in: self.is_stand_in,
            ends: self.pair.as_ref().map_or(0, |pair| pair.ends),
            problem: self.problem.clone(),
        }
    }

    /// Days until the end, if that is soon and was not said within a day.
    pub(super) fn warn_of_end(&mut self, now: SystemTime, soon: Duration) -> Option<i64> {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64)
        };
        let left = self.pair.as_ref()?.ends - seconds(now);
        let day = Duration::from_secs(86_400);
        let is_said = self
            .warned
            .is_some_and(|last| now.duration_since(last).is_ok_and(|since| since < day));
        if left > soon.as_secs() as i64 || is_said {
            return None;
        }
        self.warned = Some(now);
        Some(left.div_euclid(86_400))
    }
}
