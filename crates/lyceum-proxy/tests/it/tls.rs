//! TLS: names, versions, changed files, client certificates, and what is said to plain HTTP.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use lyceum_proxy::{
    Arrivals, CertificateFiles, Certificates, ClientCertificates, Config, Door, Listener,
    RouteAccess, Tls, TlsVersion,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::support::{Server, TestProxy, header, route, soon, until};

/// An authority of our own.
pub(crate) struct Authority(pub(crate) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn issue(&self, names: &[&str]) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue_files(&self, folder: &Path, name: &str, names: &[&str]) -> CertificateFiles {
        let files = CertificateFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

fn client(authority: &Authority) -> ClientConfig {
    client_of(authority, rustls::ALL_VERSIONS, None)
}

fn client_of(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    own: Option<(CertificateDer<'static>, KeyPair)>,
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(authority.roots());
    match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![certificate],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap(),
    }
}

async fn connect(
    address: SocketAddr,
    config: ClientConfig,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    soon("a handshake", connector.connect(name, stream)).await
}

const GET: &[u8] = b"GET /open/ HTTP/1.1\r\nHost: lab.example.edu\r\nConnection: close\r\n\r\n";

async fn get(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    stream.write_all(GET).await?;
    let mut text = Vec::new();
    soon("an answer", stream.read_to_end(&mut text)).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn listener() -> Listener {
    Listener {
        tls: true,
        ..Listener::plain("127.0.0.1:0".parse::<SocketAddr>().unwrap())
    }
}

async fn start(tls: Tls, server: &Server) -> (TestProxy, Certificates) {
    start_with(Config::default(), tls, server).await
}

async fn start_with(config: Config, tls: Tls, server: &Server) -> (TestProxy, Certificates) {
    let certificates = Certificates::open(tls).unwrap();
    let door = Door::bind(&listener(), Some(&certificates), false).unwrap();
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start_doors(config, server.address, routes, vec![door]).await;
    (proxy, certificates)
}

fn leaf(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn requests_come_in_by_tls_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(folder.path(), "a", &["lab.example.edu"]);
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![files],
        strict_transport: Some(Duration::from_secs(3_600)),
        strict_subdomains: true,
        http2: false,
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut config = client_of(&authority, &[version], None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = connect(proxy.address, config, "lab.example.edu")
            .await
            .unwrap();
        let alpn = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(alpn.as_deref(), Some(&b"http/1.1"[..]));
        let answer = get(&mut stream).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(
            header(&answer, "strict-transport-security").as_deref(),
            Some("max-age=3600; includeSubDomains")
        );
        let (head, _) = server.last();
        assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some("https"));
        assert_eq!(header(&head, "x-forwarded-port").as_deref(), Some("443"));
    }
    assert!(proxy.metrics().contains("tls_handshakes_total 2"));
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered_and_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(folder.path(), "a", &["lab.example.edu"]);
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![files],
        strict_transport: Some(Duration::from_secs(3_600)),
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    let mut config = client_of(&authority, &[&rustls::version::TLS13], None);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = connect(proxy.address, config, "lab.example.edu")
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for (path, status) in [("/open/", 200), ("/open/../", 400)] {
        let request = hyper::Request::get(format!("https://lab.example.edu{path}"));
        let (answer, _) = requests
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        let answer = crate::support::soon("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), status);
        let strict = &answer.headers()["strict-transport-security"];
        assert_eq!(strict, "max-age=3600");
    }
    let (head, _) = server.last();
    assert_eq!(header(&head, "x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(header(&head, "host").as_deref(), Some("lab.example.edu"));
    connection.abort();
}

#[tokio::test]
async fn an_old_version_is_refused_if_so_configured() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
        oldest: TlsVersion::Tls13,
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    let old = client_of(&authority, &[&rustls::version::TLS12], None);
    assert!(connect(proxy.address, old, "lab").await.is_err());
    assert!(
        connect(proxy.address, client(&authority), "lab")
            .await
            .is_ok()
    );
    let count = "why=\"handshake_failed\"} 1";
    until("the count", || proxy.metrics().contains(count)).await;
}

#[tokio::test]
async fn each_name_gets_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::ok().await;
    let names = [
        ("a", "lab.example.edu"),
        ("b", "*.lab.example.edu"),
        ("c", "other.example.edu"),
    ];
    let tls = Tls {
        certificates: names
            .iter()
            .map(|(file, name)| authority.issue_files(folder.path(), file, &[name]))
            .collect(),
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    for name in [
        "lab.example.edu",
        "ada.lab.example.edu",
        "other.example.edu",
    ] {
        connect(proxy.address, client(&authority), name)
            .await
            .expect(name);
    }
    // The first certificate, which the client does not take for this name.
    let error = connect(proxy.address, client(&authority), "unknown.example.edu").await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("not valid for name")
    );
}

#[tokio::test]
async fn changed_files_are_taken_over_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(folder.path(), "a", &["lab"]);
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![files.clone()],
        look_every: Duration::from_millis(20),
        ..Tls::default()
    };
    let (proxy, certificates) = start(tls, &server).await;
    let keeping = tokio::spawn({
        let certificates = certificates.clone();
        async move { certificates.keep(std::future::pending()).await }
    });
    let shown = async || {
        leaf(
            &connect(proxy.address, client(&authority), "lab")
                .await
                .unwrap(),
        )
    };
    let first = shown().await;
    // In force before, and still usable by whoever is connected.
    let mut old = connect(proxy.address, client(&authority), "lab")
        .await
        .unwrap();
    let bad = |certificates: &Certificates| certificates.states()[0].problem.clone();
    fs::write(&files.certificate, "-----BEGIN NONSENSE-----\n").unwrap();
    until("the bad edit to be seen", || bad(&certificates).is_some()).await;
    assert!(bad(&certificates).unwrap().contains("a.pem"));
    assert_eq!(shown().await, first);
    // A certificate without its key, as between two copies.
    let (other, _) = authority.issue(&["lab"]);
    let pem = rcgen_pem(&other);
    fs::write(&files.certificate, pem).unwrap();
    until("the wrong key to be seen", || {
        bad(&certificates).is_some_and(|problem| problem.contains("is not that of"))
    })
    .await;
    assert_eq!(shown().await, first);
    authority.issue_files(folder.path(), "a", &["lab"]);
    until("the good edit to be in force", || {
        bad(&certificates).is_none()
    })
    .await;
    assert_ne!(shown().await, first);
    assert!(get(&mut old).await.unwrap().starts_with("HTTP/1.1 200"));
    fs::remove_file(&files.key).unwrap();
    until("the missing key to be seen", || {
        bad(&certificates).is_some()
    })
    .await;
    assert_ne!(shown().await, first);
    let mut registry = prometheus_client::registry::Registry::default();
    certificates.register_metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("lyceum_proxy_certificate_reads_total 1"),
        "{text}"
    );
    assert!(
        text.contains("lyceum_proxy_certificate_bad_edit{"),
        "{text}"
    );
    keeping.abort();
}

fn rcgen_pem(certificate: &CertificateDer<'_>) -> String {
    let text = data_encoding::BASE64.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn what_is_wrong_with_a_file_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let good = authority.issue_files(folder.path(), "good", &["lab"]);
    let other = authority.issue_files(folder.path(), "other", &["lab"]);
    let junk = folder.path().join("junk");
    fs::write(&junk, "junk").unwrap();
    let locked = folder.path().join("locked");
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    fs::write(&locked, text).unwrap();
    let check = |certificate: &Path, key: &Path, expect: &str| {
        let tls = Tls {
            certificates: vec![CertificateFiles {
                certificate: certificate.into(),
                key: key.into(),
            }],
            ..Tls::default()
        };
        let error = Certificates::open(tls).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(
        &folder.path().join("none"),
        &good.key,
        "none: can't be read",
    );
    check(&junk, &good.key, "junk: holds no certificate");
    check(&good.certificate, &junk, "junk: holds no private key");
    check(&good.certificate, &locked, "locked: the key is locked");
    check(
        &good.certificate,
        &other.key,
        "other.key: this key is not that of",
    );
    let error = Certificates::open(Tls::default()).unwrap_err().to_string();
    assert!(error.contains("TLS needs certificates"), "{error}");
}

#[tokio::test]
async fn client_certificates_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let people = Authority::new();
    let file = folder.path().join("people.pem");
    fs::write(&file, people.0.pem()).unwrap();
    let server = Server::ok().await;
    for required in [true, false] {
        let tls = Tls {
            certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
            clients: Some(ClientCertificates {
                authorities: file.clone(),
                required,
            }),
            ..Tls::default()
        };
        let (proxy, _) = start(tls, &server).await;
        let ask = async |own| {
            let config = client_of(&authority, rustls::ALL_VERSIONS, own);
            let mut stream = connect(proxy.address, config, "lab").await?;
            get(&mut stream).await
        };
        let answer = ask(Some(people.issue(&["ada"]))).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(ask(None).await.is_ok(), !required);
        // One that a stranger has signed is refused either way.
        assert!(ask(Some(Authority::new().issue(&["ada"]))).await.is_err());
    }
}

#[tokio::test]
async fn plain_http_on_the_https_port_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    let answer = proxy.get("/open/", "").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("speaks https"), "{answer:?}");
    assert!(proxy.metrics().contains("why=\"plain_http\"} 1"));
    // Neither HTTP nor TLS: nothing to say.
    let mut client = proxy.connect().await;
    client.send([0, 1, 2, 3, 4, 5, 6, 7]).await;
    let (bytes, _) = client.read_rest().await;
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");
}

#[tokio::test]
async fn handshakes_that_stand_still_end_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
        ..Tls::default()
    };
    let config = Config {
        arrivals: Arrivals {
            handshake: Duration::from_secs(10),
            ..Arrivals::default()
        },
        ..Config::default()
    };
    let (proxy, _) = start_with(config, tls, &server).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(proxy.connect().await);
    }
    // These have begun, and do not go on.
    for _ in 0..50 {
        let mut slow = proxy.connect().await;
        slow.send([0x16, 0x03]).await;
        silent.push(slow);
    }
    connect(proxy.address, client(&authority), "lab")
        .await
        .unwrap();
    assert!(!proxy.metrics().contains("handshake_time_out"));
    for mut client in silent {
        client.read_rest().await;
    }
    let count = "why=\"handshake_time_out\"} 100";
    until("the count", || proxy.metrics().contains(count)).await;
    until("their places to be free", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
}

#[tokio::test]
async fn one_client_has_only_so_many_handshakes_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = Server::ok().await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
        ..Tls::default()
    };
    let config = Config {
        arrivals: Arrivals {
            handshakes_per_client: 3,
            ..Arrivals::default()
        },
        ..Config::default()
    };
    let (proxy, _) = start_with(config, tls, &server).await;
    let mut flood = Vec::new();
    for _ in 0..10 {
        flood.push(proxy.connect().await);
    }
    let count = "why=\"handshakes_per_client\"} 7";
    until("the count", || proxy.metrics().contains(count)).await;
    drop(flood);
    until("their places to be free", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
    connect(proxy.address, client(&authority), "lab")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_large_answer_and_a_web_socket_go_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let body = vec![b'x'; 5_000_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let server = Server::answer_with([head.as_bytes(), &body].concat()).await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "a", &["lab"])],
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &server).await;
    let mut stream = connect(proxy.address, client(&authority), "lab")
        .await
        .unwrap();
    let answer = get(&mut stream).await.unwrap();
    assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), body.len());

    let echo = Server::raw(|mut stream, _| async move {
        crate::support::read_head(&mut stream).await;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let tls = Tls {
        certificates: vec![authority.issue_files(folder.path(), "b", &["lab"])],
        ..Tls::default()
    };
    let (proxy, _) = start(tls, &echo).await;
    let mut stream = connect(proxy.address, client(&authority), "lab")
        .await
        .unwrap();
    let ask = b"GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    for round in 0..100_u32 {
        let message = round.to_be_bytes().repeat(1_000);
        stream.write_all(&message).await.unwrap();
        let mut back = vec![0; message.len()];
        soon("an echo", stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, message);
    }
}

/// `openssl` is not needed: a key locked as it locks them (PBKDF2 with SHA-256, AES-256-CBC).
fn lock(key: &KeyPair, passphrase: &str) -> String {
    use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, pkcs5::pbes2};
    let der = key.serialize_der();
    let info = PrivateKeyInfoRef::try_from(der.as_slice()).unwrap();
    let parameters =
        pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2_048, b"salt-of-8", [7; 16]);
    let locked = info
        .encrypt_with_params(parameters.unwrap(), passphrase)
        .unwrap();
    assert!(EncryptedPrivateKeyInfoRef::try_from(locked.as_bytes()).is_ok());
    let pem = locked.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF);
    pem.unwrap().as_str().to_owned()
}

#[tokio::test]
async fn a_locked_key_is_unlocked_by_its_pass_phrase_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(folder.path(), "a", &["lab.example.edu"]);
    let key = KeyPair::from_pem(&fs::read_to_string(&files.key).unwrap()).unwrap();
    fs::write(&files.key, lock(&key, "correct horse")).unwrap();
    let with = |passphrase: Option<&str>| Tls {
        certificates: vec![files.clone()],
        passphrase: passphrase.map(|text| text.to_owned().into()),
        ..Tls::default()
    };
    for (passphrase, why) in [
        (None, "locked by a pass phrase and none was given"),
        (Some("wrong"), "the pass phrase does not unlock the key"),
    ] {
        let error = Certificates::open(with(passphrase))
            .unwrap_err()
            .to_string();
        assert!(error.contains("a.key") && error.contains(why), "{error}");
    }
    let server = Server::ok().await;
    let (proxy, certificates) = start(with(Some("correct horse")), &server).await;
    let mut stream = connect(proxy.address, client(&authority), "lab.example.edu")
        .await
        .unwrap();
    assert!(get(&mut stream).await.unwrap().starts_with("HTTP/1.1 200"));
    // A changed one is unlocked too.
    let before = leaf(&stream);
    authority.issue_files(folder.path(), "a", &["lab.example.edu"]);
    let key = KeyPair::from_pem(&fs::read_to_string(&files.key).unwrap()).unwrap();
    fs::write(&files.key, lock(&key, "correct horse")).unwrap();
    certificates.look();
    let stream = connect(proxy.address, client(&authority), "lab.example.edu")
        .await
        .unwrap();
    assert_ne!(leaf(&stream), before);
    assert!(
        certificates
            .states()
            .iter()
            .all(|one| one.problem.is_none())
    );
}
