//! New connections: TCP, unix sockets, TLS, and within this process.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use nix::sys::socket::sockopt::IpBindAddressNoPort;
use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::{
    config::Config,
    io::{Io, Plain},
    rewrite::Scheme,
    target::{Place, Target},
};

use super::{Upstream, room::Rooms};

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within the time-out")]
    TimeOut,
    #[error("{0}")]
    Refused(#[from] io::Error),
    /// It listens, but does not prove who it is, or does not take what we show.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// What is configured cannot be used; says which file and why.
    #[error("{0}")]
    Settings(String),
}

#[derive(Debug)]
pub(crate) struct Connector {
    /// Connections there are, in use or kept.
    pub(crate) open: Gauge,
    pub(crate) made: Counter,
    /// Requests for whom there was no room at first.
    pub(crate) waited: Counter,
    pub(super) rooms: Rooms,
    settings: Upstream,
    next: AtomicUsize,
    /// Made when first needed: most sites have no server with TLS.
    tls: OnceLock<Result<Tls, String>>,
}

/// So long until a socket whose queue is full is tried again.
const FULL: Duration = Duration::from_millis(5);

/// Where too many wait to be accepted, a port's system tries again by itself; a socket file's refuses at
/// once. Whoever asks has a limit for it.
async fn unix(path: &str) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(FULL).await;
            }
            outcome => return outcome,
        }
    }
}

#[derive(Clone)]
struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Connector {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            open: Gauge::default(),
            made: Counter::default(),
            waited: Counter::default(),
            rooms: Rooms::new(config.limits.connections_per_server),
            settings: config.upstream.clone(),
            next: AtomicUsize::new(0),
            tls: OnceLock::new(),
        })
    }

    pub(crate) async fn connect(&self, target: &Target) -> Result<Io, ConnectError> {
        match target.place() {
            Place::Unix(path) => Ok(Io::Plain(Plain::Unix(unix(path).await?))),
            Place::Within(way) => Ok(Io::Pipe(way.connect().await?)),
            Place::Tcp(scheme, address) => {
                let stream = match address {
                    Some(address) => self.tcp(*address).await?,
                    None => self.resolve(target.authority()).await?,
                };
                stream.set_nodelay(true)?;
                match scheme {
                    Scheme::Http => Ok(stream.into()),
                    Scheme::Https => self.handshake(target, stream).await,
                }
            }
        }
    }

    async fn resolve(&self, authority: &str) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in tokio::net::lookup_host(authority).await? {
            match self.tcp(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn tcp(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let from: Vec<IpAddr> = self
            .settings
            .bind_addresses
            .iter()
            .copied()
            .filter(|from| from.is_ipv4() == to.is_ipv4())
            .collect();
        if from.is_empty() {
            return TcpStream::connect(to).await;
        }
        let start = self.next.fetch_add(1, Relaxed);
        let mut failed = None;
        for step in 0..from.len() {
            // Ports of the address may be used up; the next one has others.
            match bound_to(from[(start + step) % from.len()]) {
                Ok(socket) => match socket.connect(to).await {
                    Err(error) if is_used_up(&error) => failed = Some(error),
                    done => return done,
                },
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    async fn handshake(&self, target: &Target, stream: TcpStream) -> Result<Io, ConnectError> {
        let tls = self
            .tls
            .get_or_init(|| {
                client_config(&self.settings).map(|config| Tls(Arc::new(config).into()))
            })
            .clone()
            .map_err(ConnectError::Settings)?;
        let authority = target.authority();
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name = ServerName::try_from(host)
            .map_err(|_| ConnectError::Settings(format!("{authority} is no name for TLS")))?;
        let shaken = tls.0.connect(name, Plain::Tcp(stream)).await;
        let stream = shaken.map_err(ConnectError::Tls)?;
        Ok(Io::Tls(Box::new(stream.into())))
    }
}

/// A socket whose port is chosen when it connects: then it must differ only from those to the same
/// server, where one chosen now would be taken from the ports to all servers.
fn bound_to(address: IpAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    nix::sys::socket::setsockopt(&socket, IpBindAddressNoPort, &true)?;
    socket.bind(SocketAddr::new(address, 0))?;
    Ok(socket)
}

fn is_used_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}

impl Upstream {
    /// Reads the files; says which one cannot be used and why.
    pub fn check(&self) -> Result<(), String> {
        client_config(self).map(|_| ())
    }

    /// Says which of the addresses that connections shall come from this machine does not have.
    pub fn check_addresses(&self) -> Result<(), String> {
        for address in &self.bind_addresses {
            std::net::UdpSocket::bind((*address, 0))
                .map_err(|error| format!("{address} is no address of this machine: {error}"))?;
        }
        Ok(())
    }
}

pub(crate) fn client_config(settings: &Upstream) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if settings.insecure {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakeAny(provider)))
    } else {
        builder.with_root_certificates(roots(settings)?)
    };
    let mut config = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            let chain = read_certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("{}: no key can be read: {error}", key.display()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("{}: {error}", certificate.display()))?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => {
            return Err(
                "upstream.certificate and upstream.key belong together; give both or neither"
                    .into(),
            );
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(settings: &Upstream) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match &settings.ca {
        Some(file) => {
            for certificate in read_certificates(file)? {
                store
                    .add(certificate)
                    .map_err(|error| format!("{}: {error}", file.display()))?;
            }
        }
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(
                    "this system has no certificates to check servers by; set upstream.ca".into(),
                );
            }
        }
    }
    Ok(store)
}

fn read_certificates(file: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!("{}: no certificate can be read: {error}", file.display())
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(|error| wrong(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(wrong(&"there is none in it"));
    }
    Ok(found)
}

/// For `insecure`: any certificate will do, but the handshake's signature must be its own.
#[derive(Debug)]
struct TakeAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else some 28,000 connections would use up an address, to however many servers they go.
    #[tokio::test]
    async fn a_bound_socket_takes_no_port_before_it_connects() {
        let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        for address in ["127.0.0.2", "::1"]
            .into_iter()
            .take(1 + usize::from(has_ipv6))
        {
            let address = address.parse().expect("an address");
            let socket = bound_to(address).expect("bound");
            let bound = socket.local_addr().expect("an address");
            assert_eq!((bound.ip(), bound.port()), (address, 0));
        }
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let upstream = |address: &str| Upstream {
            bind_addresses: vec![address.parse().expect("an address")],
            ..Upstream::default()
        };
        assert_eq!(upstream("127.0.0.2").check_addresses(), Ok(()));
        let wrong = upstream("192.0.2.1").check_addresses();
        assert!(wrong.is_err_and(|error| error.starts_with("192.0.2.1 is no address")));
    }
}
