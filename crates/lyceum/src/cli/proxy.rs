//! `lyceum proxy`: the data plane alone. With `--hub` it follows Lyceum hubs; without, it has the
//! command line and control API of configurable-http-proxy, so that a JupyterHub can start it in
//! place of that one.
//!
//! Here the options become a [`Plan`]; [`crate::proxy::run`] carries it out. Options about hubs are
//! in `proxy/follow.rs`, about TLS in `proxy/tls.rs`. What is taken, and what is different:
//! docs/admin/proxy.md and docs/admin/several-hubs.md.

mod follow;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use lyceum_proxy::{
    AccessLog, Config, ErrorPages, ErrorTarget, Limits, ListenAddress, Listener, Network,
    ProxySecret, Rewrite, Scheme,
};

use super::Outcome;
use crate::config::{LogLevel, RawLog};
use crate::failure::Failure;
use crate::proxy::{At, Plan, Task};
use crate::telemetry;

/// Networks whose `X-Forwarded-*` headers are believed when none are named.
const TRUSTED: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// Run only the proxy, in front of Lyceum hubs or of a JupyterHub.
#[derive(Debug, Args)]
#[command(
    version,
    args_override_self = true,
    long_about = "Run only the proxy, in front of Lyceum hubs or of a JupyterHub.\n\n\
        With --hub it follows the routes of one of these hubs (`lyceum serve`) and goes on at \
        another when that one goes. While no hub answers, running servers stay usable.\n\n\
        Without --hub it is in place of configurable-http-proxy: it takes that program's options \
        and serves its control API. The API's token comes in the environment variable \
        CONFIGPROXY_AUTH_TOKEN.\n\n\
        SIGTERM or SIGINT stop it: it takes no new connections and gives open ones 10 seconds; a \
        second signal ends it at once.",
    after_help = "Examples:\n  \
        lyceum proxy --listen 0.0.0.0:8000 --hub http://127.0.0.1:8081 --hub http://127.0.0.1:8082 \\\n      \
        --hub-secret file:/srv/lyceum/keys/proxy --state /var/lib/lyceum-proxy\n  \
        lyceum proxy --default-target http://127.0.0.1:8081\n  \
        in jupyterhub_config.py: c.ConfigurableHTTPProxy.command = [\"lyceum\", \"proxy\"]"
)]
pub struct ProxyCommand {
    #[command(flatten)]
    pub follow: follow::FollowArgs,
    /// Address of the public port; empty or `*` for all of this machine [default: all, or
    /// 127.0.0.1 with --hub].
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// The public port.
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,
    /// Address and port in one.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with_all = ["ip", "port"])]
    pub listen: Option<SocketAddr>,
    /// Listen on this unix socket in place of the public port.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["ip", "port", "listen"])]
    pub socket: Option<PathBuf>,
    /// Address of the control API.
    #[arg(long, value_name = "ADDRESS", default_value = "localhost")]
    pub api_ip: String,
    /// Port of the control API [default: the public port + 1].
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Serve the control API on this unix socket in place of a port.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["api_ip", "api_port"])]
    pub api_socket: Option<PathBuf>,
    /// Serve the control API without a token on an address that others reach.
    #[arg(long)]
    pub open_api: bool,
    /// Where requests go that no route matches.
    #[arg(long, value_name = "ADDRESS")]
    pub default_target: Option<String>,
    /// A server that is asked for error pages, as ADDRESS/CODE?url=...
    #[arg(long, value_name = "ADDRESS", conflicts_with = "error_path")]
    pub error_target: Option<ErrorTarget>,
    /// A folder with error pages: CODE.html, else error.html.
    #[arg(long, value_name = "FOLDER")]
    pub error_path: Option<PathBuf>,
    /// Write the process id to this file; it is removed at the end.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// The first segment of a route is a host name.
    #[arg(long)]
    pub host_routing: bool,
    /// Networks of proxies in front of this one whose X-Forwarded-* headers are believed; may be
    /// repeated [default: this machine, or none with --hub].
    #[arg(long, value_name = "NETWORK")]
    pub trusted_proxy: Vec<Network>,
    /// Networks of load balancers that begin each connection with a PROXY header; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub proxy_protocol: Vec<Network>,
    /// Threads that carry requests [default: one per processor].
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    #[command(flatten)]
    pub rewriting: Rewriting,
    #[command(flatten)]
    pub tls: tls::TlsOptions,
    /// Address of the metrics page; empty for all of this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    pub metrics_ip: String,
    /// Port of the metrics page, /metrics; without it there is none.
    #[arg(long, value_name = "PORT")]
    pub metrics_port: Option<u16>,
    /// Serve the metrics page on this unix socket in place of a port.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["metrics_ip", "metrics_port"])]
    pub metrics_socket: Option<PathBuf>,
    /// How much is told.
    #[arg(long, value_name = "LEVEL", ignore_case = true, default_value = "info")]
    pub log_level: Level,
    /// Which requests are told in the log: off, full, or 1/100 for one in a hundred.
    #[arg(long, value_name = "WHICH", default_value_t)]
    pub access_log: AccessLog,
    /// A limit by its name, NAME=VALUE, such as least_speed=500 or idle=10m; may be repeated.
    #[arg(long, value_name = "LIMIT", value_parser = limit)]
    pub limit: Vec<(String, String)>,
    /// Milliseconds that a body may stand still.
    #[arg(long, value_name = "MILLISECONDS", value_parser = millis)]
    pub timeout: Option<Duration>,
    /// Milliseconds that a server may take to begin its answer.
    #[arg(long, value_name = "MILLISECONDS", value_parser = millis)]
    pub proxy_timeout: Option<Duration>,
    /// Milliseconds that a client's connection may idle between requests.
    #[arg(long, value_name = "MILLISECONDS", value_parser = millis)]
    pub keep_alive_timeout: Option<Duration>,
    /// Not supported: routes are always kept in memory.
    #[arg(long, value_name = "MODULE")]
    pub storage_backend: Option<String>,
    /// Tell that it listens as a JSON line on standard output, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What is changed in requests and answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rewriting")]
pub struct Rewriting {
    /// Leave out the X-Forwarded-* headers.
    #[arg(long)]
    pub no_x_forward: bool,
    /// Leave out the target's own path.
    #[arg(long)]
    pub no_prepend_path: bool,
    /// Leave out the route's prefix.
    #[arg(long)]
    pub no_include_prefix: bool,
    /// Redirects that name the target's host get the client's.
    #[arg(long)]
    pub auto_rewrite: bool,
    /// The target gets its own name as Host.
    #[arg(long)]
    pub change_origin: bool,
    /// The scheme that redirects get.
    #[arg(long, value_name = "SCHEME", value_parser = scheme)]
    pub protocol_rewrite: Option<Scheme>,
    /// A header added to every request, NAME:VALUE; may be repeated.
    #[arg(long, value_name = "HEADER", value_parser = Rewrite::parse_header)]
    pub custom_header: Vec<(String, String)>,
}

/// The levels that configurable-http-proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    Debug,
    Info,
    #[value(alias = "warning")]
    Warn,
    Error,
}

impl ProxyCommand {
    pub(super) fn run(mut self) -> Result<Outcome, Failure> {
        self.tls.read_environment();
        let token = std::env::var("CONFIGPROXY_AUTH_TOKEN").unwrap_or_default();
        let token = Some(token).filter(|token| !token.is_empty());
        let plan = self.plan(token.map(ProxySecret::from))?;
        telemetry::start(&RawLog {
            level: match self.log_level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            ..RawLog::default()
        })?;
        crate::proxy::run(plan)?;
        Ok(Outcome::Good)
    }

    fn plan(&self, token: Option<ProxySecret>) -> Result<Plan, Failure> {
        if let Some(backend) = &self.storage_backend {
            return Err(Failure::new(format!(
                "--storage-backend {backend}: that is a Node module, and this is no Node program; routes are kept in memory"
            ))
            .hint("leave it out: a hub tells a new proxy all its routes"));
        }
        self.tls.refuse()?;
        if let Some(folder) = &self.error_path
            && !folder.is_dir()
        {
            return Err(Failure::new(format!(
                "--error-path {}: there is no such folder",
                folder.display()
            )));
        }
        let metrics = match (&self.metrics_socket, self.metrics_port) {
            (Some(path), _) => Some(At::Unix(path.clone())),
            (None, Some(port)) => Some(At::Tcp(address("--metrics-ip", &self.metrics_ip, port)?)),
            (None, None) => None,
        };
        let (config, task) = if self.follow.hubs.is_empty() {
            let config = Config {
                limits: self.limits(Limits::default())?,
                ..self.config()
            };
            (config, self.drop_in(token)?)
        } else {
            let (config, mut settings) = self.follow.settings(&self.trusted_proxy)?;
            settings.upstream = self.tls.upstream()?;
            let limits = self.limits(config.limits.clone())?;
            (Config { limits, ..config }, Task::Follow(settings))
        };
        let config = Config {
            upstream: self.tls.upstream()?,
            ..config
        };
        let tls = self.tls.listening()?;
        let public = Listener {
            tls: tls.is_some(),
            proxy_protocol: self.proxy_protocol.clone(),
            // Whoever reaches the file is on this machine.
            trusted: self.socket.is_some(),
            ..Listener::plain(self.public()?)
        };
        let redirect = match (self.tls.redirect_port, &public.address) {
            (Some(_), ListenAddress::Unix(_)) => {
                return Err(Failure::new(
                    "--redirect-port: a unix socket speaks no TLS to redirect to",
                ));
            }
            (Some(from), ListenAddress::Tcp(public)) => Some(Listener {
                redirect_to_https: Some(self.tls.redirect_to.unwrap_or(public.port())),
                proxy_protocol: self.proxy_protocol.clone(),
                ..Listener::plain(SocketAddr::new(public.ip(), from))
            }),
            (None, _) => None,
        };
        Ok(Plan {
            public,
            redirect,
            tls,
            metrics,
            config: Config {
                access_log: self.access_log,
                ..config
            },
            task,
            pid_file: self.pid_file.clone(),
            succession: self.follow.succession(),
            workers: self.workers.map_or_else(processors, NonZeroUsize::get),
            json: self.json,
            notes: self.tls.unused(),
        })
    }

    /// Whoever stands before hubs names the address that others reach.
    fn public(&self) -> Result<ListenAddress, Failure> {
        if let Some(path) = &self.socket {
            let path = std::path::absolute(path)
                .map_err(|error| Failure::io("--socket can't be found", &error))?;
            return Ok(ListenAddress::Unix(path));
        }
        let follows = !self.follow.hubs.is_empty();
        let address = match (&self.listen, &self.ip) {
            (Some(address), _) => *address,
            (None, Some(ip)) => address("--ip", ip, self.port)?,
            (None, None) if follows => (Ipv4Addr::LOCALHOST, self.port).into(),
            (None, None) => address("--ip", "", self.port)?,
        };
        Ok(address.into())
    }

    fn drop_in(&self, token: Option<ProxySecret>) -> Result<Task, Failure> {
        let api = match &self.api_socket {
            Some(path) => At::Unix(path.clone()),
            None => At::Tcp(address("--api-ip", &self.api_ip, self.api_port()?)?),
        };
        let api_tls = self.tls.api()?.map(Box::new);
        if let (At::Unix(_), Some(_)) = (&api, &api_tls) {
            return Err(Failure::new(
                "--api-ssl-cert: a unix socket speaks no TLS; who may open the file is what counts",
            ));
        }
        let is_closed = api_tls
            .as_ref()
            .and_then(|tls| tls.clients.as_ref())
            .is_some_and(|clients| clients.required);
        if let (At::Tcp(address), None, false) = (&api, &token, self.open_api)
            && !address.ip().is_loopback()
            && !is_closed
        {
            return Err(Failure::new(format!(
                "the control API would be open to everybody who reaches {}, because CONFIGPROXY_AUTH_TOKEN is not set",
                address.ip()
            ))
            .hint("set CONFIGPROXY_AUTH_TOKEN to a secret, take --api-ip 127.0.0.1, or say --open-api"));
        }
        Ok(Task::DropIn {
            api,
            api_tls,
            token,
            default_target: self.default_target.clone(),
        })
    }

    fn api_port(&self) -> Result<u16, Failure> {
        let port = self.listen.map_or(self.port, |address| address.port());
        match (self.api_port, port) {
            (Some(port), _) => Ok(port),
            (None, 0) => Ok(0),
            (None, port) => port.checked_add(1).ok_or_else(|| {
                Failure::new("there is no port after 65535 for the control API")
                    .hint("name one with --api-port")
            }),
        }
    }

    fn config(&self) -> Config {
        let trusted_proxies = if self.trusted_proxy.is_empty() {
            TRUSTED
                .iter()
                .map(|network| network.parse().expect("written here"))
                .collect()
        } else {
            self.trusted_proxy.clone()
        };
        Config {
            trusted_proxies,
            host_routing: self.host_routing,
            rewrite: Rewrite {
                include_prefix: !self.rewriting.no_include_prefix,
                prepend_path: !self.rewriting.no_prepend_path,
                x_forward: !self.rewriting.no_x_forward,
                auto_rewrite: self.rewriting.auto_rewrite,
                change_origin: self.rewriting.change_origin,
                protocol_rewrite: self.rewriting.protocol_rewrite,
                custom_headers: self.rewriting.custom_header.clone(),
            },
            error_pages: ErrorPages {
                target: self.error_target.clone(),
                folder: self.error_path.clone(),
                ..ErrorPages::default()
            },
            ..Config::default()
        }
    }

    fn limits(&self, others: Limits) -> Result<Limits, Failure> {
        let limits = Limits {
            idle: self.timeout.unwrap_or(others.idle),
            first_byte: self.proxy_timeout.unwrap_or(others.first_byte),
            header_read: self.keep_alive_timeout.unwrap_or(others.header_read),
            ..others
        };
        let said = self.limit.iter();
        limits
            .with(said.map(|(name, text)| (name.as_str(), text.as_str())))
            .map_err(|error| Failure::new(format!("--limit: {error}")))
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn millis(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number of milliseconds above 0".into()),
        Ok(number) => Ok(Duration::from_millis(number)),
    }
}

fn limit(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE, such as idle=10m".into())
}

fn scheme(text: &str) -> Result<Scheme, String> {
    match text.trim_end_matches(':') {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err("write http or https".into()),
    }
}

/// An address to listen on, by number or name.
fn address(option: &str, ip: &str, port: u16) -> Result<SocketAddr, Failure> {
    let ip = ip.trim().trim_start_matches('[').trim_end_matches(']');
    if matches!(ip, "" | "*") {
        // Takes IPv4 as well, where the machine has IPv6 at all.
        let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
        return Ok(if has_ipv6 {
            all
        } else {
            (Ipv4Addr::UNSPECIFIED, port).into()
        });
    }
    if let Ok(ip) = ip.parse::<IpAddr>() {
        return Ok((ip, port).into());
    }
    let found: Vec<SocketAddr> = (ip, port)
        .to_socket_addrs()
        .map_err(|error| {
            Failure::new(format!(
                "{option} {ip}: no address is known for it: {error}"
            ))
        })?
        .collect();
    let first = found.iter().find(|address| address.is_ipv4());
    first
        .or(found.first())
        .copied()
        .ok_or_else(|| Failure::new(format!("{option} {ip}: no address is known for it")))
}

#[cfg(test)]
mod tests {
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
            &["--error-path", "."],
            &["--host-routing"],
            &["--no-include-prefix"],
            &["--change-origin"],
            &["--custom-header", "a:b"],
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

    fn check_refused(args: &[&str]) {
        let failure = parse(args).plan(None).err().expect("refused");
        assert!(
            failure.message.starts_with(&format!("{}:", args[0])),
            "{failure}"
        );
    }
}
