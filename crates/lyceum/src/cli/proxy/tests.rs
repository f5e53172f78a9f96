//! The command line of `lyceum proxy` and the plan that it becomes; `tests/it/proxy.rs` runs it.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn parse(args: &[&str]) -> ProxyCommand {
    let cli = Cli::try_parse_from([&["lyceum", "proxy"], args].concat());
    match cli.expect("understood").command {
        Command::Proxy(proxy) => *proxy,
        other => panic!("{other:?}"),
    }
}

fn plan(args: &[&str]) -> Plan {
    let token = Some(ProxySecret::from("secret".to_owned()));
    parse(args).plan(token).expect("can be done")
}

/// Where the control API is, and the default target.
fn drop_in(plan: &Plan) -> (SocketAddr, Option<&str>) {
    match &plan.task {
        Task::DropIn {
            api,
            default_target,
            ..
        } => (tcp(api), default_target.as_deref()),
        Task::Follow(_) => panic!("it follows"),
    }
}

/// The public address.
fn at(plan: &Plan) -> SocketAddr {
    match plan.public.address {
        ListenAddress::Tcp(address) => address,
        ListenAddress::Unix(_) => panic!("a socket"),
    }
}

fn tcp(at: &At) -> SocketAddr {
    match at {
        At::Tcp(address) => *address,
        At::Unix(path) => panic!("{}", path.display()),
    }
}

#[test]
fn it_starts_as_a_jupyterhub_starts_it() {
    // As 6.1 does by itself, with a public address that names no host.
    let made = plan(&[
        "--ip",
        "",
        "--port",
        "8000",
        "--api-ip",
        "127.0.0.1",
        "--api-port",
        "8001",
        "--error-target",
        "http://127.0.0.1:8081/hub/error",
        "--log-level",
        "info",
        "--host-routing",
    ]);
    assert!(at(&made).ip().is_unspecified());
    assert_eq!(at(&made).port(), 8000);
    assert_eq!(drop_in(&made).0.to_string(), "127.0.0.1:8001");
    assert!(made.config.host_routing);
    let target = made.config.error_pages.target.expect("said");
    assert_eq!(target.to_string(), "http://127.0.0.1:8081/hub/error");
    assert_eq!(made.config.rewrite, Rewrite::default());
}

#[test]
fn the_defaults_are_those_of_configurable_http_proxy() {
    let made = plan(&[]);
    assert!(at(&made).ip().is_unspecified());
    assert_eq!(at(&made).port(), 8000);
    assert_eq!(drop_in(&made).0.to_string(), "127.0.0.1:8001");
    assert!(made.metrics.is_none() && made.pid_file.is_none());
    let api = |args: &[&str]| drop_in(&plan(args)).0.port();
    assert_eq!(api(&["--port", "80"]), 81);
    assert_eq!(api(&["--port", "80", "--api-port", "9"]), 9);
    assert_eq!(api(&["--listen", "127.0.0.1:80"]), 81);
}

#[test]
fn the_last_of_two_wins_except_for_headers() {
    let made = plan(&[
        "--port",
        "1",
        "--custom-header",
        "k1:v1",
        "--log-level",
        "debug",
        "--port",
        "2",
        "--custom-header",
        "k2: v2",
        "--log-level",
        "WARN",
    ]);
    assert_eq!(at(&made).port(), 2);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        made.config.rewrite.custom_headers,
        [pair("k1", "v1"), pair("k2", "v2")]
    );
}

#[test]
fn every_other_option_ends_where_it_belongs() {
    let made = plan(&[
        "--no-x-forward",
        "--no-prepend-path",
        "--no-include-prefix",
        "--auto-rewrite",
        "--change-origin",
        "--protocol-rewrite",
        "https",
        "--timeout",
        "1000",
        "--proxy-timeout",
        "2000",
        "--keep-alive-timeout",
        "3000",
        "--metrics-ip",
        "127.0.0.1",
        "--metrics-port",
        "9090",
        "--workers",
        "3",
        "--pid-file",
        "p",
        "--default-target",
        "http://hub",
        "--error-path",
        ".",
        "--trusted-proxy",
        "10.0.0.0/8",
        "--bind-address",
        "10.0.0.5",
        "--bind-address",
        "fd00::5",
    ]);
    let expect = Rewrite {
        include_prefix: false,
        prepend_path: false,
        x_forward: false,
        auto_rewrite: true,
        change_origin: true,
        protocol_rewrite: Some(Scheme::Https),
        custom_headers: Vec::new(),
    };
    assert_eq!(made.config.rewrite, expect);
    let limits = &made.config.limits;
    assert_eq!(limits.idle, Duration::from_secs(1));
    assert_eq!(limits.first_byte, Duration::from_secs(2));
    assert_eq!(limits.header_read, Duration::from_secs(3));
    assert_eq!(
        tcp(made.metrics.as_ref().expect("said")).to_string(),
        "127.0.0.1:9090"
    );
    assert_eq!((made.workers, made.pid_file.clone()), (3, Some("p".into())));
    assert_eq!(drop_in(&made).1, Some("http://hub"));
    assert_eq!(made.config.error_pages.folder, Some(".".into()));
    assert_eq!(
        made.config.trusted_proxies,
        ["10.0.0.0/8".parse().expect("one")]
    );
    let from = &made.config.upstream.bind_addresses;
    let from: Vec<String> = from.iter().map(ToString::to_string).collect();
    assert_eq!(from, ["10.0.0.5", "fd00::5"]);
}

#[test]
fn limits_and_the_access_log_are_said_by_name() {
    let made = plan(&[
        "--access-log",
        "1/100",
        "--limit",
        "connect=2s",
        "--limit",
        "least_speed=500",
    ]);
    assert_eq!(made.config.access_log.to_string(), "1/100");
    assert_eq!(made.config.limits.connect, Duration::from_secs(2));
    assert_eq!(made.config.limits.least_speed, 500);
    assert_eq!(plan(&[]).config.access_log, AccessLog::Off);
    let failure = parse(&["--limit", "idel=1s"]).plan(None);
    let failure = failure.err().expect("refused");
    assert!(failure.message.contains("idel"), "{failure}");
}

#[test]
fn with_a_hub_it_follows_and_takes_the_common_options() {
    let folder = tempfile::tempdir().expect("made");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef").expect("written");
    let secret = format!("file:{}", secret.display());
    let with = |args: &[&str]| {
        let hub = ["--hub", "http://hub:8081", "--hub-secret", &secret];
        plan(&[&hub, args].concat())
    };
    let made = with(&["--workers", "3", "--timeout", "1000", "--pid-file", "p"]);
    assert!(matches!(made.task, Task::Follow(_)));
    assert_eq!(at(&made).to_string(), "127.0.0.1:8000");
    assert_eq!((made.workers, made.pid_file), (3, Some("p".into())));
    assert_eq!(made.config.limits.idle, Duration::from_secs(1));
    assert!(!made.config.drop_in && made.config.trusted_proxies.is_empty());
    let made = with(&["--ip", "*", "--port", "9", "--trusted-proxy", "10.0.0.0/8"]);
    assert!(at(&made).ip().is_unspecified());
    assert_eq!(at(&made).port(), 9);
    assert_eq!(made.config.trusted_proxies.len(), 1);
    let made = with(&["--listen", "127.0.0.2:7"]);
    assert_eq!(at(&made).to_string(), "127.0.0.2:7");
}

#[test]
fn what_a_hub_decides_cannot_be_said_beside_it() {
    for more in [
        &["--api-port", "1"][..],
        &["--api-ip", "127.0.0.1"],
        &["--api-socket", "s"],
        &["--open-api"],
        &["--default-target", "http://h"],
        &["--error-target", "http://h"],
        &["--no-x-forward"],
        &["--no-prepend-path"],
        &["--auto-rewrite"],
        &["--protocol-rewrite", "https"],
        &["--host-routing"],
        &["--no-include-prefix"],
        &["--change-origin"],
    ] {
        let args = [&["lyceum", "proxy", "--hub", "http://hub:8081"], more].concat();
        let error = Cli::try_parse_from(args).expect_err("refused").to_string();
        assert!(
            error.contains("cannot be used with") && error.contains(more[0]),
            "{error}"
        );
    }
}

#[test]
fn tls_options_reach_listeners_and_servers() {
    let made = plan(&[
        "--ip",
        "127.0.0.1",
        "--port",
        "443",
        "--ssl-key",
        "k",
        "--ssl-cert",
        "c",
        "--ssl-ca",
        "a",
        "--ssl-request-cert",
        "--ssl-protocol",
        "TLSv1_3",
        "--redirect-port",
        "80",
        "--client-ssl-key",
        "ck",
        "--client-ssl-cert",
        "cc",
        "--client-ssl-ca",
        "ca",
        "--client-ssl-request-cert",
        "--client-ssl-reject-unauthorized",
        "--insecure",
        "--proxy-protocol",
        "10.0.0.0/8",
    ]);
    assert!(made.public.tls && made.public.proxy_protocol.len() == 1);
    let tls = made.tls.expect("said");
    assert_eq!(tls.certificates[0].key, PathBuf::from("k"));
    assert_eq!(tls.certificates[0].certificate, PathBuf::from("c"));
    assert_eq!(tls.oldest, lyceum_proxy::TlsVersion::Tls13);
    let clients = tls.clients.expect("asked for");
    assert_eq!((clients.authorities, clients.required), ("a".into(), false));
    let redirect = made.redirect.expect("said");
    assert_eq!(redirect.address.to_string(), "127.0.0.1:80");
    assert_eq!(redirect.redirect_to_https, Some(443));
    let upstream = &made.config.upstream;
    assert!(tls.http2);
    assert_eq!(upstream.ca, Some("ca".into()));
    assert_eq!(upstream.key, Some("ck".into()));
    assert_eq!(upstream.certificate, Some("cc".into()));
    assert!(upstream.insecure);

    let made = plan(&["--socket", "/run/p.sock"]);
    assert_eq!(made.public.address.to_string(), "unix:/run/p.sock");
    assert!(made.public.trusted && made.tls.is_none());
}

#[test]
fn what_tls_cannot_do_is_refused_by_its_name() {
    for option in [
        "--ssl-key",
        "--ssl-cert",
        "--ssl-ca",
        "--ssl-protocol",
        "--api-ssl-key",
        "--api-ssl-cert",
        "--api-ssl-ca",
        "--redirect-port",
        "--redirect-to",
    ] {
        check_refused(&[option, "443"]);
    }
    for option in [
        "--ssl-request-cert",
        "--ssl-reject-unauthorized",
        "--api-ssl-request-cert",
        "--api-ssl-reject-unauthorized",
    ] {
        check_refused(&[option]);
    }
    let old = [
        "--ssl-protocol",
        "TLSv9",
        "--ssl-key",
        "k",
        "--ssl-cert",
        "c",
    ];
    let failure = parse(&old).plan(None).err().expect("refused");
    assert!(failure.message.contains("1.2 and 1.3"), "{failure}");
}

#[test]
fn what_changes_nothing_is_taken_and_told() {
    let made = plan(&[
        "--ssl-ciphers",
        "HIGH",
        "--ssl-allow-rc4",
        "--ssl-dhparam",
        "d",
        "--ssl-protocol",
        "TLSv1",
        "--ssl-key",
        "k",
        "--ssl-cert",
        "c",
        "--no-http2",
    ]);
    let tls = made.tls.expect("said");
    assert_eq!(tls.oldest, lyceum_proxy::TlsVersion::Tls12);
    assert!(!tls.http2);
    let options = [
        "--ssl-ciphers",
        "--ssl-allow-rc4",
        "--ssl-dhparam",
        "--ssl-protocol",
    ];
    assert_eq!(made.notes.len(), options.len(), "{:?}", made.notes);
    for (note, option) in made.notes.iter().zip(options) {
        assert!(note.starts_with(option), "{note}");
    }
    assert!(
        plan(&["--ssl-key", "k", "--ssl-cert", "c"])
            .notes
            .is_empty()
    );
}

#[test]
fn the_control_api_speaks_tls_as_a_jupyterhub_asks_for_it() {
    let args = [
        "--api-ip",
        "0.0.0.0",
        "--api-ssl-key",
        "k",
        "--api-ssl-cert",
        "c",
        "--api-ssl-ca",
        "a",
        "--api-ssl-request-cert",
        "--api-ssl-reject-unauthorized",
    ];
    // Whoever has no certificate gets nowhere, so no token is needed.
    let made = parse(&args).plan(None).expect("can be done");
    let Task::DropIn { api_tls, .. } = made.task else {
        panic!("it follows");
    };
    let tls = api_tls.expect("said");
    assert_eq!(tls.certificates[0].key, PathBuf::from("k"));
    assert_eq!(tls.certificates[0].certificate, PathBuf::from("c"));
    let clients = tls.clients.expect("asked for");
    assert_eq!((clients.authorities, clients.required), ("a".into(), true));
    assert!(!tls.http2 && made.tls.is_none());
    let socket = [
        "--api-socket",
        "s",
        "--api-ssl-key",
        "k",
        "--api-ssl-cert",
        "c",
    ];
    let failure = parse(&socket).plan(None).err().expect("refused");
    assert!(failure.message.contains("unix socket"), "{failure}");
}

/// A configuration in a folder of its own, which goes with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lyceum-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join("lyceum.yaml"), text).expect("written");
        std::fs::write(folder.join("secret"), "0123456789abcdef").expect("written");
        Self(folder)
    }

    fn name(&self) -> String {
        self.0.join("lyceum.yaml").display().to_string()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FRONT: &str = "\
public_url: https://lab.example.edu
listen: 127.0.0.2:8443
tls:
  certificates: [{certificate: a.pem, key: a.key}, {certificate: b.pem, key: b.key}]
  acme: {names: [lab.example.edu], agree_to_terms: true, folder: shared}
  redirect_from: 127.0.0.3:80
  strict_transport: 1h
  oldest: tls1.3
trusted_proxies: [10.0.0.0/8]
proxy_protocol: [10.1.0.0/16]
store: {database: 'env:A_VARIABLE_THAT_ONLY_HUBS_HAVE'}
proxy:
  secret: file:secret
  access_log: full
  plain_http2: true
  limits: {idle: 7m, connect: 3s}
";

#[test]
fn a_configuration_says_what_lyceum_up_would_do_at_the_public_port() {
    let file = File::new("front", FRONT);
    let name = file.name();
    let made = plan(&["--hub", "http://h:1", "--config", &name]);
    // With the secret of the file: without one there is no following.
    assert!(matches!(made.task, Task::Follow(_)));
    assert_eq!(at(&made).to_string(), "127.0.0.2:8443");
    let tls = made.tls.expect("said");
    let keys = tls.certificates.iter().map(|one| one.key.clone());
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys, [file.0.join("a.key"), file.0.join("b.key")]);
    let acme = tls.acme.expect("said");
    assert_eq!(acme.names, ["lab.example.edu"]);
    assert_eq!(acme.folder, file.0.join("shared"));
    assert_eq!(tls.strict_transport, Some(Duration::from_secs(3_600)));
    assert_eq!(tls.oldest, lyceum_proxy::TlsVersion::Tls13);
    assert!(tls.http2 && made.public.tls && made.config.http2.prior_knowledge);
    let redirect = made.redirect.expect("said");
    assert_eq!(redirect.redirect_to_https, Some(443), "as people type it");
    let plain: SocketAddr = "127.0.0.3:80".parse().expect("an address");
    assert_eq!(redirect.address, plain.into());
    assert_eq!(
        made.config.trusted_proxies,
        ["10.0.0.0/8".parse().expect("a network")]
    );
    for listener in [&made.public, &redirect] {
        assert_eq!(
            listener.proxy_protocol,
            ["10.1.0.0/16".parse().expect("a network")]
        );
    }
    assert_eq!(made.config.access_log.to_string(), "full");
    let limits = &made.config.limits;
    assert_eq!(limits.idle, Duration::from_secs(420));
    assert_eq!(limits.connect, Duration::from_secs(3));
    assert_eq!(
        limits.drain,
        Limits::default().drain,
        "not that of a terminal"
    );

    let made = plan(&[
        "--config",
        &name,
        "--port",
        "9",
        "--limit",
        "idle=8m",
        "--access-log",
        "off",
        "--trusted-proxy",
        "10.2.0.0/16",
    ]);
    assert_eq!(at(&made).to_string(), "127.0.0.2:9");
    assert_eq!(drop_in(&made).0.port(), 10);
    assert_eq!(made.config.limits.idle, Duration::from_secs(480));
    assert_eq!(made.config.limits.connect, Duration::from_secs(3));
    assert_eq!(made.config.access_log, AccessLog::Off);
    assert_eq!(
        made.config.trusted_proxies,
        ["10.2.0.0/16".parse().expect("a network")]
    );

    let both = ["lyceum", "proxy", "--config", &name, "--ssl-cert", "c"];
    let error = Cli::try_parse_from(both)
        .expect_err("said twice")
        .to_string();
    assert!(error.contains("--ssl-cert"), "{error}");
}

#[test]
fn a_configuration_alone_keeps_what_acme_gets_with_the_routes() {
    let text = "tls:\n  acme: {names: [lab.example.edu], agree_to_terms: true, challenge: tls-alpn}\nproxy: {limits: {drain: 1m}}\n";
    let file = File::new("front-acme", text);
    let secret = format!("file:{}", file.0.join("secret").display());
    let made = plan(&[
        "--hub",
        "http://h:1",
        "--hub-secret",
        &secret,
        "--state",
        "mine",
        "--config",
        &file.name(),
    ]);
    let acme = made.tls.expect("said").acme.expect("said");
    assert_eq!(acme.folder, PathBuf::from("mine/acme"));
    assert_eq!(made.config.limits.drain, Duration::from_secs(60));
    assert!(made.redirect.is_none());

    let file = File::new("front-wrong", "tls: {strict_transport: 1h}\nlissten: x\n");
    let failure = parse(&["--config", &file.name()]).plan(None).err();
    let said = failure.expect("refused").to_string();
    for words in ["TLS needs a certificate", "unknown key `lissten`"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn headers_and_pages_of_ones_own_go_with_hubs() {
    let file = File::new("front-pages", "");
    let folder = file.0.display().to_string();
    let secret = format!("file:{}", file.0.join("secret").display());
    let made = plan(&[
        "--hub",
        "http://h:1",
        "--hub-secret",
        &secret,
        "--custom-header",
        "x-site: lab",
        "--error-path",
        &folder,
    ]);
    let header = ("x-site".to_owned(), "lab".to_owned());
    assert_eq!(made.config.rewrite.custom_headers, [header]);
    assert_eq!(made.config.error_pages.folder.as_ref(), Some(&file.0));
    assert!(made.config.trusted_proxies.is_empty(), "none by default");
}

fn check_refused(args: &[&str]) {
    let failure = parse(args).plan(None).err().expect("refused");
    assert!(
        failure.message.starts_with(&format!("{}:", args[0])),
        "{failure}"
    );
}
