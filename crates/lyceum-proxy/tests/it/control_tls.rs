//! The control API by TLS, as a JupyterHub with `internal_ssl` wants it: whoever shows no
//! certificate of its authority gets nowhere.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use lyceum_proxy::{
    CertificateFiles, Certificates, ClientCertificates, Config, Proxy, ProxySecret, SideListener,
    Tls,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use crate::{drop_in::TOKEN, support::soon, tls::Authority};

struct Api {
    address: SocketAddr,
    metrics: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Api {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Api {
    async fn start(certificates: Certificates) -> Self {
        let proxy = Proxy::drop_in(Config::default(), None);
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (api, metrics) = (listen().await, listen().await);
        let (address, metrics_at) = (api.local_addr().unwrap(), metrics.local_addr().unwrap());
        let told = certificates.clone();
        let never = std::future::pending::<()>;
        let other = proxy.clone();
        let tasks = [
            tokio::spawn(async move {
                let token = Some(ProxySecret::from(TOKEN.to_owned()));
                let listener = SideListener::Tls(api, certificates);
                proxy.run_control(listener, token, never()).await;
            }),
            tokio::spawn(async move {
                let listener = SideListener::Tcp(metrics);
                other.run_metrics(listener, Some(&told), never()).await;
            }),
        ];
        Self {
            address,
            metrics: metrics_at,
            tasks,
        }
    }

    /// What is answered; an error if the connection does not get so far.
    async fn ask(&self, config: ClientConfig, request: &str) -> std::io::Result<String> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = soon("a handshake", connector.connect(name, stream)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        soon("an answer", stream.read_to_string(&mut answer)).await?;
        Ok(answer)
    }
}

fn client(authority: &Authority, own: Option<&Authority>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let Some(own) = own else {
        return builder.with_no_client_auth();
    };
    let (certificate, key) = own.issue(&["hub"]);
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    builder
        .with_client_auth_cert(vec![certificate], key)
        .unwrap()
}

fn pem(path: PathBuf, der: &[u8]) -> PathBuf {
    let text = data_encoding::BASE64.encode(der);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    fs::write(&path, pem).unwrap();
    path
}

#[tokio::test]
async fn only_who_shows_the_right_certificate_gets_in_and_still_needs_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (own, hubs, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let (certificate, key) = own.issue(&["localhost"]);
    fs::write(at("key.pem"), key.serialize_pem()).unwrap();
    let certificates = Certificates::open(Tls {
        certificates: vec![CertificateFiles {
            certificate: pem(at("cert.pem"), &certificate),
            key: at("key.pem"),
        }],
        clients: Some(ClientCertificates {
            authorities: pem(at("ca.pem"), hubs.0.der()),
            required: true,
        }),
        ..Tls::default()
    })
    .unwrap();
    let api = Api::start(certificates).await;
    let with = |token: &str| {
        format!(
            "GET /api/routes HTTP/1.1\r\nHost: localhost\r\nAuthorization: token {token}\r\nConnection: close\r\n\r\n"
        )
    };
    let answer = api
        .ask(client(&own, Some(&hubs)), &with(TOKEN))
        .await
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n{}"),
        "{answer}"
    );
    let answer = api
        .ask(client(&own, Some(&hubs)), &with("guess"))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    for stranger in [None, Some(&strangers)] {
        let answer = api.ask(client(&own, stranger), &with(TOKEN)).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    // Plain HTTP is told what it did wrong.
    let mut plain = TcpStream::connect(api.address).await.unwrap();
    plain.write_all(with(TOKEN).as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("an answer", plain.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");

    // When the certificate ends is among the metrics.
    let mut metrics = TcpStream::connect(api.metrics).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    metrics.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    soon("a page", metrics.read_to_string(&mut page))
        .await
        .unwrap();
    let line = page
        .lines()
        .find(|line| line.starts_with("lyceum_proxy_certificate_ends_seconds{"))
        .unwrap_or_else(|| panic!("{page}"));
    let name = format!("name=\"{}\"", at("cert.pem").display());
    assert!(line.contains(&name), "{line}");
    let ends: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(ends > 4_000_000_000, "rcgen's own far end: {line}");
    for quantile in ["0.01", "0.05", "0.5", "0.9", "0.95", "0.99", "0.999"] {
        let line = format!("\nfind_target_for_req{{quantile=\"{quantile}\"}} 0\n");
        assert!(page.contains(&line), "{line} is not in {page}");
    }
}
