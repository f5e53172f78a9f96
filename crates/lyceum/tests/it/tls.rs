//! `tls`, `trusted_proxies` and `proxy_protocol` in `lyceum.yaml`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;

use insta::assert_snapshot;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::Site;

/// A certificate that stands for itself, in `cert.pem` and `key.pem`.
fn write_certificate(site: &Site) -> CertificateDer<'static> {
    write_certificate_for(site, "localhost", ["cert.pem", "key.pem"])
}

fn write_certificate_for(
    site: &Site,
    name: &str,
    [certificate_file, key_file]: [&str; 2],
) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signed");
    site.write(certificate_file, &certificate.pem());
    site.write(key_file, &key.serialize_pem());
    certificate.der().clone()
}

/// Who believes these certificates, and speaks HTTP/2 if asked to.
fn believing(certificates: &[CertificateDer<'static>], protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).expect("added");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn site_with_environment() -> Site {
    let site = Site::new();
    std::fs::create_dir_all(site.path("mine/bin")).expect("made");
    site.program("../mine/bin/python", "");
    site.program("../mine/bin/jupyterhub-singleuser", "echo 5.4.0");
    site
}

const UP: [&str; 7] = [
    "up",
    "--demo",
    "--port",
    "0",
    "--json",
    "--jupyter-env",
    "mine",
];

#[test]
fn lyceum_up_speaks_tls_and_says_so_to_the_hub() {
    let site = site_with_environment();
    let certificate = write_certificate(&site);
    site.write(
        "lyceum.yaml",
        "tls:\n  certificates: [{certificate: cert.pem, key: key.pem}]\n  strict_transport: 1h\nproxy:\n  access_log: full\n  limits: {header_count: 20}\n",
    );
    let mut command = site.command(&UP);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let url = lines
        .by_ref()
        .map(|line| line.expect("read"))
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
        .find(|event| event["event"] == "ready")
        .and_then(|event| event["url"].as_str().map(str::to_owned))
        .expect("ready");
    let place = url.strip_prefix("https://localhost:").expect("https");
    let port: u16 = place.trim_end_matches('/').parse().expect("a port");

    let config = believing(std::slice::from_ref(&certificate), &[b"h2"]);
    assert_eq!(ask(port, &config, "").1.as_deref(), Some(&b"h2"[..]));
    let config = believing(&[certificate], &[]);
    let (answer, _) = ask(port, &config, &"X-A: b\r\n".repeat(20));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let (answer, _) = ask(port, &config, "");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let head = answer
        .split("\r\n\r\n")
        .next()
        .expect("a head")
        .to_lowercase();
    assert!(
        head.contains("strict-transport-security: max-age=3600"),
        "{head}"
    );
    let cookies: Vec<_> = head
        .lines()
        .filter(|line| line.starts_with("set-cookie"))
        .collect();
    assert!(!cookies.is_empty(), "{head}");
    for cookie in cookies {
        assert!(cookie.contains("; secure"), "{cookie}");
    }

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    let mut log = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut log).expect("read");
    assert!(log.contains("/hub/login"), "no access log: {log}");
}

/// What is answered, as far as it is text, and the protocol that was agreed on.
fn ask(port: u16, config: &Arc<ClientConfig>, headers: &str) -> (String, Option<Vec<u8>>) {
    ask_as("localhost", port, config, headers)
}

fn ask_as(
    name: &'static str,
    port: u16,
    config: &Arc<ClientConfig>,
    headers: &str,
) -> (String, Option<Vec<u8>>) {
    let name = ServerName::try_from(name).expect("a name");
    let session = ClientConnection::new(config.clone(), name).expect("a session");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let mut stream = StreamOwned::new(session, socket);
    write!(
        stream,
        "GET /hub/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("sent");
    let mut answer = Vec::new();
    // One that speaks HTTP/2 hangs up on this.
    let _ = stream.read_to_end(&mut answer);
    let agreed = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
    (String::from_utf8_lossy(&answer).into_owned(), agreed)
}

#[test]
fn lyceum_proxy_speaks_tls_for_several_names_as_a_configuration_says() {
    let site = Site::new();
    let one = write_certificate_for(&site, "one.example.edu", ["one.pem", "one.key"]);
    let two = write_certificate_for(&site, "two.example.edu", ["two.pem", "two.key"]);
    site.write("secret", "0123456789abcdef");
    site.write(
        "lyceum.yaml",
        "listen: 127.0.0.1:0\ntls:\n  certificates: [{certificate: one.pem, key: one.key}, {certificate: two.pem, key: two.key}]\n  strict_transport: 1h\nproxy: {secret: file:secret}\n",
    );
    // Nobody is there: what the proxy itself says is enough.
    let hub = "http://127.0.0.1:1";
    let mut command = site.command(&["proxy", "--config", "lyceum.yaml", "--hub", hub, "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("read");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let url = said["url"].as_str().expect("where it listens");
    let place = url.strip_prefix("https://127.0.0.1:").expect("https");
    let port: u16 = place.parse().expect("a port");

    for (name, certificate) in [("one.example.edu", one), ("two.example.edu", two)] {
        // Believing only this one: that of another name would end the handshake.
        let config = believing(std::slice::from_ref(&certificate), &[b"h2"]);
        let (_, agreed) = ask_as(name, port, &config, "");
        assert_eq!(agreed.as_deref(), Some(&b"h2"[..]), "{name}");
        let config = believing(&[certificate], &[]);
        let (answer, _) = ask_as(name, port, &config, "");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let answer = answer.to_lowercase();
        let strict = "strict-transport-security: max-age=3600";
        assert!(answer.contains(strict), "{answer}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
}

#[test]
fn a_certificate_that_can_not_be_used_is_told_before_anything_is_prepared() {
    let site = site_with_environment();
    site.write(
        "lyceum.yaml",
        "tls:\n  certificates: [{certificate: cert.pem, key: key.pem}]\n",
    );
    let said = site.run(&UP);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.err, @r#"
    lyceum: `tls`: cert.pem: can't be read: No such file or directory (os error 2)
            `lyceum config show` tells which files are meant
    "#);
}

#[test]
fn mistakes_have_their_places() {
    let site = Site::new();
    site.write(
        "lyceum.yaml",
        "\
trusted_proxies: [10.0.0.0/33, everyone]
proxy_protocol: [host]
tls:
  certificates: [{certificate: '', key: key.pem}, {certificat: x}]
  acme: {names: ['*.lab.example.edu', lab.example.edu], directory: http://ca/}
  redirect_from: '80'
  oldest: tls1.1
  clients: {required: true}
",
    );
    let said = site.run(&["config", "check"]);
    assert_eq!(said.code, Some(3));
    assert_snapshot!(said.out, @r#"
    lyceum.yaml:1:19: `trusted_proxies[0]`: "10.0.0.0/33" is not a network; write it like 10.0.0.0/8 or fd00::/8
    lyceum.yaml:1:32: `trusted_proxies[1]`: "everyone" is not a network; write it like 10.0.0.0/8 or fd00::/8
    lyceum.yaml:2:18: `proxy_protocol[0]`: "host" is not a network; write it like 10.0.0.0/8 or fd00::/8
    lyceum.yaml:4:51: `tls.certificates[1]`: the key `certificate` is missing here
    lyceum.yaml:4:52: unknown key `certificat`; did you mean `certificate`?
    lyceum.yaml:5:9: `tls.acme`: write `agree_to_terms: true` once you have read the authority's terms of service
    lyceum.yaml:5:18: `tls.acme.names[0]`: "*.lab.example.edu" is not a host name; wildcards and addresses can't be had by ACME over HTTP or TLS
    lyceum.yaml:5:68: `tls.acme.directory`: "http://ca/" does not start with `https://`
    lyceum.yaml:6:18: `tls.redirect_from`: "80" is not an address with a port, such as `0.0.0.0:80`
    lyceum.yaml:7:11: `tls.oldest`: unknown value `tls1.1`; did you mean `tls1.2`?
    lyceum.yaml:8:12: `tls.clients`: name the file of the `authorities` whose certificates count
    lyceum.yaml: 11 problems
    "#);
    site.write("lyceum.yaml", "tls: {strict_transport: 1h}\n");
    assert_snapshot!(site.run(&["config", "check"]).out, @r#"
    lyceum.yaml:1:6: `tls`: TLS needs a certificate: name files in `certificates`, or host names in `acme.names`
    lyceum.yaml: 1 problem
    "#);
    site.write(
        "lyceum.yaml",
        "tls: {acme: {names: [lab.example.edu], agree_to_terms: true}}\n",
    );
    assert_snapshot!(site.run(&["config", "check"]).out, @r#"
    lyceum.yaml:1:13: `tls.acme`: the authority asks on port 80: add `redirect_from: 0.0.0.0:80` to `tls`, or take `challenge: tls-alpn`
    lyceum.yaml: 1 problem
    "#);
}
