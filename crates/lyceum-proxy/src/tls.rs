//! TLS towards clients: what is configured, the certificates in force, the handshake.
//!
//! [`Certificates`] is made once and shared by all doors and workers. Somebody must run
//! [`Certificates::keep`]: it looks at the files again and again and gets certificates by ACME.
//! Files and their checks are in `tls/pair.rs`, locked keys in `tls/unlock.rs`, which one is shown to whom in `tls/choose.rs`,
//! ACME in `tls/acme.rs`.

pub(crate) mod acme;
mod choose;
mod pair;
mod unlock;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{ProxySecret, optional_span, span},
    io::Plain,
};
use acme::Answers;
pub use acme::{Acme, AcmeChallenge};
use choose::Chooser;
use pair::{Pair, Source};

/// A certificate that ends sooner is warned about.
const ENDS_SOON: Duration = Duration::from_secs(14 * 86_400);
/// The most that is kept of what one client has not read yet.
const SEND_BUFFER: usize = 64 * 1024;

/// TLS for every listener that says `tls`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates in files. A client that names a host gets the one for it, any other client
    /// the first.
    pub certificates: Vec<CertificateFiles>,
    /// Get certificates from a certificate authority by itself.
    pub acme: Option<Acme>,
    /// Ask clients for certificates.
    pub clients: Option<ClientCertificates>,
    /// The oldest version that is spoken.
    pub oldest: TlsVersion,
    /// Offer HTTP/2, which browsers then speak, for WebSockets too.
    pub http2: bool,
    /// Tell browsers never to come without TLS, and for how long they shall remember it.
    #[serde(with = "optional_span")]
    pub strict_transport: Option<Duration>,
    /// Whether that holds for the host's sub-domains too.
    pub strict_subdomains: bool,
    /// What unlocks the keys of `certificates` that are locked.
    #[serde(skip)]
    pub passphrase: Option<ProxySecret>,
    /// How often the files are looked at.
    #[serde(with = "span")]
    pub look_every: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            acme: None,
            clients: None,
            oldest: TlsVersion::Tls12,
            http2: true,
            strict_transport: None,
            strict_subdomains: false,
            passphrase: None,
            look_every: Duration::from_secs(5),
        }
    }
}

/// A certificate with its chain, and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key; may be the same file.
    pub key: PathBuf,
}

/// Certificates that clients show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// Authorities whose certificates count, as PEM.
    pub authorities: PathBuf,
    /// Whether to refuse whoever shows none.
    #[serde(default)]
    pub required: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Why TLS can't be set up: which file, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("{0}")]
    Settings(String),
}

/// What an operator sees of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CertificateState {
    /// Its file, or the names ACME gets it for.
    pub name: String,
    /// Whether a stand-in is shown that no browser believes, since the real one is not there yet.
    pub is_stand_in: bool,
    /// Seconds since 1970.
    pub ends: i64,
    /// Why the last edit or order did not work; the certificate before it stays in force.
    pub problem: Option<String>,
}

/// The certificates in force; clones share everything.
#[derive(Clone)]
pub struct Certificates {
    shared: Arc<Shared>,
}

struct Shared {
    tls: Tls,
    strict_transport: Option<String>,
    config: ArcSwap<ServerConfig>,
    chooser: Arc<Chooser>,
    answers: Arc<Answers>,
    sources: Mutex<Vec<Source>>,
    authorities: Mutex<Authorities>,
    metrics: Metrics,
}

/// The file of client authorities as it was last looked at.
#[derive(Default)]
struct Authorities {
    seen: Option<blake3::Hash>,
    problem: Option<String>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("tls", &self.shared.tls)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Metrics {
    ends: Family<NameLabels, Gauge>,
    stand_in: Family<NameLabels, Gauge>,
    bad: Family<NameLabels, Gauge>,
    read: Counter,
    orders: Family<ResultLabels, Counter>,
}

/// Why a connection does not get to speak TLS.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// It spoke plain HTTP, and was told.
    PlainHttp,
    /// It was a certificate authority's question and has been answered.
    Acme,
    Failed(io::Error),
}

impl HandshakeError {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::PlainHttp => "plain_http",
            Self::Acme => "acme",
            Self::Failed(_) => "handshake_failed",
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Certificates {
    /// Reads every file. What is wrong with one is an error now, and only a warning later.
    pub fn open(tls: Tls) -> Result<Self, TlsError> {
        Self::with(tls, Metrics::default())
    }

    /// Others, told of in the same metrics.
    pub fn open_beside(&self, tls: Tls) -> Result<Self, TlsError> {
        Self::with(tls, self.shared.metrics.clone())
    }

    fn with(tls: Tls, metrics: Metrics) -> Result<Self, TlsError> {
        if tls.certificates.is_empty() && tls.acme.is_none() {
            return Err(TlsError::Settings(
                "TLS needs certificates: name files, or let ACME get some".into(),
            ));
        }
        let mut sources = Vec::new();
        for files in &tls.certificates {
            sources.push(
                Source::files(files.clone())
                    .unlocked_by(tls.passphrase.clone())
                    .open()?,
            );
        }
        let answers = match &tls.acme {
            Some(acme) => {
                acme.check(&tls)?;
                sources.push(acme::open(acme)?);
                Answers::in_folder(acme.folder.clone())
            }
            None => Answers::default(),
        };
        let answers = Arc::new(answers);
        let chooser = Arc::new(Chooser::new(answers.clone()));
        chooser.set(sources.iter().map(Source::pair));
        let mut authorities = Authorities::default();
        let verifier = read_authorities(&tls, &mut authorities)?.flatten();
        let config = server_config(&tls, chooser.clone(), verifier)?;
        let strict_transport = tls.strict_transport.map(|span| {
            let and = if tls.strict_subdomains {
                "; includeSubDomains"
            } else {
                ""
            };
            format!("max-age={}{and}", span.as_secs())
        });
        let certificates = Self {
            shared: Arc::new(Shared {
                tls,
                strict_transport,
                config: ArcSwap::from_pointee(config),
                chooser,
                answers,
                sources: Mutex::new(sources),
                authorities: Mutex::new(authorities),
                metrics,
            }),
        };
        certificates.tell();
        Ok(certificates)
    }

    /// Looks at the files and gets and renews certificates, until `shutdown`. Run it once.
    pub async fn keep(&self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let work = async {
            tokio::join!(self.look_again(), async {
                if let Some(acme) = &self.shared.tls.acme {
                    acme::keep(self, acme, &stop).await;
                }
            });
        };
        tokio::select! {
            () = work => {}
            () = shutdown => stop.cancel(),
        }
    }

    async fn look_again(&self) {
        loop {
            tokio::time::sleep(self.shared.tls.look_every).await;
            let this = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
                tracing::error!(%error, "looking at the certificates failed");
            }
        }
    }

    /// Puts what has changed in the files in force.
    pub fn look(&self) {
        let mut changed = false;
        for source in self.sources().iter_mut() {
            match source.look() {
                pair::Look::Same => {}
                pair::Look::Changed => {
                    changed = true;
                    self.shared.metrics.read.inc();
                    tracing::info!(certificate = %source.name(), "a new certificate is in force");
                }
                pair::Look::Bad(problem) => {
                    tracing::warn!(certificate = %source.name(), %problem, "a changed certificate can't be used; the one before stays in force");
                }
            }
        }
        if changed {
            let sources = self.sources();
            self.shared.chooser.set(sources.iter().map(Source::pair));
        }
        let read = {
            let mut authorities = self.authorities();
            read_authorities(&self.shared.tls, &mut authorities)
                .map_err(|error| authorities.problem = Some(error.to_string()))
        };
        if let Ok(Some(verifier)) = read {
            // Sessions begun before end with the old settings' tickets.
            match server_config(&self.shared.tls, self.shared.chooser.clone(), verifier) {
                Ok(config) => {
                    self.shared.config.store(Arc::new(config));
                    tracing::info!("new authorities of client certificates are in force");
                }
                Err(error) => self.authorities().problem = Some(error.to_string()),
            }
        }
        self.tell();
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        self.shared
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn authorities(&self) -> MutexGuard<'_, Authorities> {
        self.shared
            .authorities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Every certificate and how it stands.
    pub fn states(&self) -> Vec<CertificateState> {
        let mut states: Vec<_> = self.sources().iter().map(Source::state).collect();
        if let Some(problem) = &self.authorities().problem {
            states.push(CertificateState {
                name: "authorities of client certificates".into(),
                is_stand_in: false,
                ends: i64::MAX,
                problem: Some(problem.clone()),
            });
        }
        states
    }

    /// Brings the metrics up to date, and warns of what ends soon.
    fn tell(&self) {
        let metrics = &self.shared.metrics;
        let now = SystemTime::now();
        for source in self.sources().iter_mut() {
            let state = source.state();
            let labels = NameLabels {
                name: state.name.clone(),
            };
            metrics.ends.get_or_create(&labels).set(state.ends);
            metrics
                .stand_in
                .get_or_create(&labels)
                .set(i64::from(state.is_stand_in));
            metrics
                .bad
                .get_or_create(&labels)
                .set(i64::from(state.problem.is_some()));
            if !state.is_stand_in
                && let Some(days) = source.warn_of_end(now, ENDS_SOON)
            {
                tracing::warn!(certificate = %state.name, days, "a certificate ends soon");
            }
        }
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        let metrics = &self.shared.metrics;
        let registry = registry.sub_registry_with_prefix("lyceum_proxy_certificate");
        registry.register(
            "ends_seconds",
            "When a certificate ends, in seconds since 1970",
            metrics.ends.clone(),
        );
        registry.register(
            "stand_in",
            "1 while no certificate is there yet and a self-signed one stands in",
            metrics.stand_in.clone(),
        );
        registry.register(
            "bad_edit",
            "1 while the last change of a certificate's files is not in force",
            metrics.bad.clone(),
        );
        registry.register(
            "reads",
            "Times a changed certificate was put in force",
            metrics.read.clone(),
        );
        registry.register(
            "orders",
            "Certificates asked for by ACME, by result",
            metrics.orders.clone(),
        );
    }

    pub(crate) fn strict_transport(&self) -> Option<&str> {
        self.shared.strict_transport.as_deref()
    }

    /// The answer to a certificate authority that asks by HTTP.
    pub(crate) fn http_answer(&self, token: &str) -> Option<String> {
        self.shared.answers.find_http(token)
    }

    /// Speaks TLS. The caller sets the time. Nobody waits for another's handshake: those that never
    /// end would keep all others out, and their number is that of connections.
    pub(crate) async fn handshake(
        &self,
        mut stream: TcpStream,
    ) -> Result<TlsStream<Plain>, HandshakeError> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if first[0].is_ascii_uppercase() {
            explain_tls(&mut stream).await?;
            return Err(HandshakeError::PlainHttp);
        }
        let acceptor = TlsAcceptor::from(self.shared.config.load_full());
        let mut stream = acceptor
            .accept_with(Plain::Tcp(stream), |session| {
                session.set_buffer_limit(Some(SEND_BUFFER));
            })
            .await?;
        if stream.get_ref().1.alpn_protocol() == Some(acme::ALPN) {
            let _ = stream.shutdown().await;
            return Err(HandshakeError::Acme);
        }
        Ok(stream)
    }
}

/// Tells a client that speaks plain HTTP to the wrong port.
async fn explain_tls(stream: &mut TcpStream) -> io::Result<()> {
    const TEXT: &str = "This port speaks https: write https:// in front of the address.\n";
    // Unread bytes would make the close a reset, and the client might not see the answer.
    let mut head = [0; 4096];
    let _ = stream.read(&mut head).await?;
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{TEXT}",
        TEXT.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

type Verifier = Arc<dyn ClientCertVerifier>;

/// None if the file is as it was; `Some(None)` if no client certificates are asked for.
fn read_authorities(
    tls: &Tls,
    known: &mut Authorities,
) -> Result<Option<Option<Verifier>>, TlsError> {
    let Some(clients) = &tls.clients else {
        return Ok(None);
    };
    let wrong = |why: String| TlsError::File {
        path: clients.authorities.clone(),
        why,
    };
    let bytes = pair::read_file(&clients.authorities)?;
    let hash = blake3::hash(&bytes);
    if known.seen == Some(hash) {
        return Ok(None);
    }
    known.seen = Some(hash);
    let mut roots = RootCertStore::empty();
    for certificate in pair::certificates(&clients.authorities, &bytes)? {
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("not the certificate of an authority: {error}")))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let verifier = if clients.required {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    let verifier = verifier.build().map_err(|error| wrong(error.to_string()))?;
    known.problem = None;
    Ok(Some(Some(verifier)))
}

fn server_config(
    tls: &Tls,
    chooser: Arc<Chooser>,
    verifier: Option<Verifier>,
) -> Result<ServerConfig, TlsError> {
    let failed = |error: rustls::Error| TlsError::Settings(format!("TLS can't be set up: {error}"));
    let versions: &[_] = match tls.oldest {
        TlsVersion::Tls12 => &[&TLS13, &TLS12],
        TlsVersion::Tls13 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(failed)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(chooser);
    if tls.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    let by_alpn = |acme: &Acme| acme.challenge == AcmeChallenge::TlsAlpn;
    if tls.acme.as_ref().is_some_and(by_alpn) {
        config.alpn_protocols.push(acme::ALPN.to_vec());
    }
    // Sessions are resumed from what the client keeps: nothing to bound here, and any worker can.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// Certificates by the names they are for, as [`Chooser`] takes them.
type Names = BTreeMap<String, Vec<Arc<Pair>>>;
