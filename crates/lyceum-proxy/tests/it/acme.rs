//! Certificates by ACME, against a small strict authority of our own (`acme/authority.rs`).

mod authority;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use lyceum_proxy::{Acme, AcmeChallenge, Certificates, Config, Door, Listener, RouteAccess, Tls};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

use crate::support::{Server, TestProxy, route, soon, until};
use authority::Authority;

/// One replica: a plain door and one with TLS.
struct Replica {
    proxy: TestProxy,
    https: SocketAddr,
    certificates: Certificates,
    keeping: Option<JoinHandle<()>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(keeping) = &self.keeping {
            keeping.abort();
        }
    }
}

fn any_port() -> Listener {
    Listener::plain("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

impl Replica {
    async fn start(acme: Acme) -> Self {
        let server = Server::ok().await;
        let certificates = Certificates::open(Tls {
            acme: Some(acme),
            look_every: Duration::from_millis(20),
            ..Tls::default()
        })
        .unwrap();
        let plain = Listener {
            redirect_to_https: Some(443),
            ..any_port()
        };
        let tls = Listener {
            tls: true,
            ..any_port()
        };
        let doors = [plain, tls].map(|one| Door::bind(&one, Some(&certificates), false).unwrap());
        let https = doors[1].local_addr().unwrap();
        let routes = vec![route("/open/", server.address, RouteAccess::Open)];
        let config = Config::default();
        let proxy = TestProxy::start_doors(config, server.address, routes, doors.into()).await;
        Self {
            proxy,
            https,
            certificates,
            keeping: None,
        }
    }

    fn keep(&mut self) {
        let certificates = self.certificates.clone();
        self.keeping = Some(tokio::spawn(async move {
            certificates.keep(std::future::pending()).await;
        }));
    }

    /// Where the authority puts its questions.
    fn is_asked_by(&self, authority: &Authority) {
        *authority.http.lock().unwrap() = Some(self.proxy.address);
        *authority.tls.lock().unwrap() = Some(self.https);
    }

    fn has_certificate(&self) -> bool {
        !self.certificates.states()[0].is_stand_in
    }

    fn problem(&self) -> String {
        let state = self.certificates.states().remove(0);
        state.problem.unwrap_or_default()
    }

    /// Whether a browser that believes the authority believes us.
    async fn is_believed(&self, authority: &Authority, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(authority.root()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.https).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        soon("a handshake", connector.connect(name, stream))
            .await
            .is_ok()
    }

    fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.certificates.register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }
}

fn acme(authority: &Authority, folder: &Path, names: &[&str]) -> Acme {
    Acme {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        folder: folder.join("acme"),
        agree_to_terms: true,
        directory: authority.directory(),
        directory_authority: Some(authority.write_root(folder)),
        mail: Some("it@example.edu".into()),
        challenge: AcmeChallenge::Http,
        renew_before: Duration::from_secs(30 * 86_400),
        retry: Duration::from_millis(20),
    }
}

#[tokio::test]
async fn a_first_start_gets_a_certificate_by_http_and_a_second_one_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    let names = ["lab.example.edu", "www.lab.example.edu"];
    let mut replica = Replica::start(acme(&authority, folder.path(), &names)).await;
    replica.is_asked_by(&authority);
    assert!(!replica.has_certificate());
    assert!(!replica.is_believed(&authority, names[0]).await);
    let stand_in =
        "lyceum_proxy_certificate_stand_in{name=\"lab.example.edu, www.lab.example.edu\"} ";
    assert!(replica.metrics().contains(&format!("{stand_in}1")));
    replica.keep();
    until("the certificate", || replica.has_certificate()).await;
    for name in names {
        assert!(replica.is_believed(&authority, name).await, "{name}");
    }
    assert!(
        replica.metrics().contains(&format!("{stand_in}0")),
        "{}",
        replica.metrics()
    );
    until("the count", || {
        replica
            .metrics()
            .contains("orders_total{result=\"good\"} 1")
    })
    .await;
    // Everything is private, and no answer is left behind.
    let place = folder.path().join("acme");
    for entry in fs::read_dir(&place).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{entry:?}");
    }
    assert_eq!(fs::read_dir(place.join("answers")).unwrap().count(), 0);
    drop(replica);

    let mut replica = Replica::start(acme(&authority, folder.path(), &names)).await;
    assert!(
        replica.is_believed(&authority, names[0]).await,
        "without any waiting"
    );
    // Another name is wanted: a new order, by the account that is there.
    drop(replica);
    let more = ["lab.example.edu", "new.example.edu"];
    replica = Replica::start(acme(&authority, folder.path(), &more)).await;
    replica.is_asked_by(&authority);
    replica.keep();
    until("the new certificate", || authority.issued.load(SeqCst) == 2).await;
    until("its use", || {
        replica.certificates.states()[0].problem.is_none()
    })
    .await;
    soon("the new name", async {
        while !replica.is_believed(&authority, more[1]).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(authority.accounts(), 1);
}

#[tokio::test]
async fn the_authority_may_ask_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    let acme = Acme {
        challenge: AcmeChallenge::TlsAlpn,
        ..acme(&authority, folder.path(), &["lab.example.edu"])
    };
    let mut replica = Replica::start(acme).await;
    replica.is_asked_by(&authority);
    replica.keep();
    until("the certificate", || replica.has_certificate()).await;
    assert!(replica.is_believed(&authority, "lab.example.edu").await);
    let asked = "connections_turned_away_total{why=\"acme\"} 1";
    until("the count", || replica.proxy.metrics().contains(asked)).await;
}

/// The authority's question may reach a replica that did not order.
#[tokio::test]
async fn replicas_share_a_folder_and_order_once() {
    let folder = tempfile::tempdir().unwrap();
    for challenge in [AcmeChallenge::Http, AcmeChallenge::TlsAlpn] {
        let authority = Authority::start().await;
        let acme = Acme {
            challenge,
            ..acme(
                &authority,
                &folder.path().join(format!("{challenge:?}")),
                &["lab.example.edu"],
            )
        };
        let mut one = Replica::start(acme.clone()).await;
        let mut two = Replica::start(acme.clone()).await;
        let silent = Replica::start(acme).await;
        silent.is_asked_by(&authority);
        one.keep();
        two.keep();
        until("both", || one.has_certificate() && two.has_certificate()).await;
        silent.certificates.look();
        for replica in [&one, &two, &silent] {
            assert!(replica.is_believed(&authority, "lab.example.edu").await);
        }
        assert_eq!(authority.issued.load(SeqCst), 1);
        assert_eq!(authority.accounts(), 1);
    }
}

#[tokio::test]
async fn a_used_nonce_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    authority.bad_nonces.store(4, SeqCst);
    let mut replica = Replica::start(acme(&authority, folder.path(), &["lab.example.edu"])).await;
    replica.is_asked_by(&authority);
    replica.keep();
    until("the certificate", || replica.has_certificate()).await;
    assert_eq!(authority.bad_nonces.load(SeqCst), 0);
}

#[tokio::test]
async fn being_asked_too_often_makes_us_wait_longer() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    authority.too_often.store(1, SeqCst);
    let mut replica = Replica::start(acme(&authority, folder.path(), &["lab.example.edu"])).await;
    replica.is_asked_by(&authority);
    replica.keep();
    until("the refusal", || replica.problem().contains("too often")).await;
    let began = std::time::Instant::now();
    until("the certificate", || replica.has_certificate()).await;
    // Sixty times 20 ms; a part of it may have gone by before we looked.
    assert!(
        began.elapsed() > Duration::from_millis(600),
        "{:?}",
        began.elapsed()
    );
    assert!(
        replica
            .metrics()
            .contains("orders_total{result=\"failed\"} 1")
    );
}

#[tokio::test]
async fn a_question_answered_wrongly_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    let mut replica = Replica::start(acme(&authority, folder.path(), &["lab.example.edu"])).await;
    // The name leads elsewhere, as while somebody still moves it.
    let elsewhere = Server::ok().await;
    *authority.http.lock().unwrap() = Some(elsewhere.address);
    replica.keep();
    until("the failure", || {
        replica.problem().contains("lab.example.edu")
    })
    .await;
    assert!(
        replica.problem().contains("wrong answer"),
        "{}",
        replica.problem()
    );
    assert!(!replica.has_certificate());
    replica.is_asked_by(&authority);
    until("the certificate", || replica.has_certificate()).await;
    until("no problem", || replica.problem().is_empty()).await;
}

#[tokio::test]
async fn an_authority_that_is_away_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    let acme = Acme {
        directory: format!("https://{}/directory", crate::support::dead_address().await),
        ..acme(&authority, folder.path(), &["lab.example.edu"])
    };
    let mut replica = Replica::start(acme).await;
    replica.keep();
    until("the failure", || {
        replica.problem().contains("can't be spoken with")
    })
    .await;
    assert!(!replica.has_certificate());
}

#[tokio::test]
async fn a_certificate_is_renewed_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::start().await;
    authority.life.store(6, SeqCst);
    let mut replica = Replica::start(acme(&authority, folder.path(), &["lab.example.edu"])).await;
    replica.is_asked_by(&authority);
    replica.keep();
    until("the first", || replica.has_certificate()).await;
    let first = replica.certificates.states()[0].ends;
    until("the second", || {
        replica.certificates.states()[0].ends > first
    })
    .await;
    assert!(replica.is_believed(&authority, "lab.example.edu").await);
    assert_eq!(authority.accounts(), 1);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = Acme {
        names: vec!["lab.example.edu".into()],
        folder: folder.path().join("acme"),
        agree_to_terms: true,
        directory: "https://acme.example/directory".into(),
        directory_authority: None,
        mail: None,
        challenge: AcmeChallenge::Http,
        renew_before: Duration::from_secs(1),
        retry: Duration::from_secs(1),
    };
    let check = |change: &dyn Fn(&mut Acme), expect: &str| {
        let mut acme = good.clone();
        change(&mut acme);
        let tls = Tls {
            acme: Some(acme),
            ..Tls::default()
        };
        let error = Certificates::open(tls).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&|acme| acme.names.clear(), "no names");
    check(
        &|acme| acme.names.push("*.lab.example.edu".into()),
        "wildcards",
    );
    check(
        &|acme| acme.names.push("127.0.0.1".into()),
        "not a host name",
    );
    check(&|acme| acme.agree_to_terms = false, "agree_to_terms");
    check(
        &|acme| acme.directory = "http://acme.example/".into(),
        "https://",
    );
    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    check(&|acme| acme.folder = open.clone(), "open to everybody");
}
