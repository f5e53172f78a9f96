//! `lyceum proxy`: the data plane alone. With `--hub` it follows Lyceum hubs; without, it has the
//! command line and control API of configurable-http-proxy, so that a JupyterHub can start it in
//! place of that one.
//!
//! Here the options become a [`Plan`]; [`crate::proxy::run`] carries it out. Options about hubs are
//! in `proxy/follow.rs`, about TLS in `proxy/tls.rs`. What is taken, and what is different:
//! docs/admin/proxy.md and docs/admin/several-hubs.md.

mod follow;
#[cfg(test)]
mod tests;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use lyceum_proxy::{
    AccessLog, Config, ErrorPages, ErrorTarget, Http2, Limits, ListenAddress, Listener, Network,
    ProxySecret, Rewrite, Scheme, Upstream,
};

use super::Outcome;
use crate::config::{Front, LogLevel, RawLog};
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
        lyceum proxy --config /etc/lyceum.yaml --hub http://10.0.0.5:8081 --state /var/lib/lyceum-proxy\n  \
        lyceum proxy --default-target http://127.0.0.1:8081\n  \
        in jupyterhub_config.py: c.ConfigurableHTTPProxy.command = [\"lyceum\", \"proxy\"]"
)]
pub struct ProxyCommand {
    /// Take what concerns the public port from this configuration, as `lyceum up` does: listen,
    /// tls with ACME and several names, public_url, trusted_proxies, proxy_protocol, proxy, and the
    /// headers of `kind: header` in sign_in. Options count more. Its other keys are for hubs.
    #[arg(long, value_name = "FILE", conflicts_with_all = tls::IN_FILE)]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub follow: follow::FollowArgs,
    /// Address of the public port; empty or `*` for all of this machine [default: all, or
    /// 127.0.0.1 with --hub].
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// The public port [default: 8000].
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
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
    /// Which requests are told in the log: off, full, or 1/100 for one in a hundred [default: off].
    #[arg(long, value_name = "WHICH")]
    pub access_log: Option<AccessLog>,
    /// A limit by its name, NAME=VALUE, such as least_speed=500 or idle=10m; may be repeated. All
    /// names and defaults: docs/admin/proxy.md#limits.
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
    /// An address of this machine that connections to servers come from; with several, in turn
    /// [default: the system chooses].
    #[arg(long, value_name = "ADDRESS")]
    pub bind_address: Vec<IpAddr>,
    /// Taken and not used: routes are always kept in memory.
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
        self.tls.refuse()?;
        let file = self.config.as_deref().map(load_front).transpose()?;
        let file = file.as_ref();
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
            (Config::default(), self.drop_in(token, file)?)
        } else {
            let secret = file.and_then(|file| file.proxy_secret.as_ref());
            let (config, mut settings) = self
                .follow
                .settings(secret, file.as_ref().map(|file| &file.base))?;
            settings.upstream = self.tls.upstream()?;
            (config, Task::Follow(settings))
        };
        let limits = file.map_or_else(Limits::default, |file| file.proxy.limits.clone());
        let config = Config {
            upstream: Upstream {
                bind_addresses: self.bind_addresses(file),
                ..self.tls.upstream()?
            },
            limits: self.limits(limits)?,
            access_log: match (self.access_log, file) {
                (Some(said), _) => said,
                (None, Some(file)) => file.proxy.access_log,
                (None, None) => AccessLog::Off,
            },
            trusted_proxies: self.trusted_proxies(file),
            identity: file.and_then(|file| file.identity.clone()),
            host_routing: self.host_routing,
            rewrite: self.rewrite(),
            error_pages: ErrorPages {
                target: self.error_target.clone(),
                folder: self.error_path.clone(),
                ..ErrorPages::default()
            },
            http2: Http2 {
                prior_knowledge: file.is_some_and(|file| file.proxy.plain_http2),
                ..Http2::default()
            },
            ..config
        };
        let tls = match file {
            Some(file) => {
                let tls = file.tls.as_ref();
                tls.map(|tls| tls.settings(self.follow.state.join("acme")))
            }
            None => self.tls.listening()?,
        };
        let proxy_protocol = match file {
            Some(file) if self.proxy_protocol.is_empty() => file.proxy_protocol.clone(),
            _ => self.proxy_protocol.clone(),
        };
        let public = Listener {
            tls: tls.is_some(),
            proxy_protocol: proxy_protocol.clone(),
            // Whoever reaches the file is on this machine.
            trusted: self.socket.is_some(),
            ..Listener::plain(self.public(file)?)
        };
        let redirect = self.redirect(&public.address, file)?;
        let redirect = redirect.map(|redirect| Listener {
            proxy_protocol,
            ..redirect
        });
        Ok(Plan {
            public,
            redirect,
            tls,
            metrics,
            config,
            task,
            pid_file: self.pid_file.clone(),
            succession: self.follow.succession(),
            workers: self.workers.map_or_else(processors, NonZeroUsize::get),
            json: self.json,
            notes: self.notes(),
        })
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(8000)
    }

    /// Plain HTTP that is sent on to `https`.
    fn redirect(
        &self,
        public: &ListenAddress,
        file: Option<&Front>,
    ) -> Result<Option<Listener>, Failure> {
        let in_file = file.and_then(|file| file.tls.as_ref()?.redirect_from);
        let public = match public {
            ListenAddress::Tcp(public) => public,
            ListenAddress::Unix(_) if in_file.is_some() || self.tls.redirect_port.is_some() => {
                return Err(Failure::new(
                    "--redirect-port: a unix socket speaks no TLS to redirect to",
                ));
            }
            ListenAddress::Unix(_) => return Ok(None),
        };
        let said = self.tls.redirect_port;
        let from = said.map(|port| SocketAddr::new(public.ip(), port));
        let to = file.and_then(Front::https_port).or(self.tls.redirect_to);
        Ok(from.or(in_file).map(|from| Listener {
            redirect_to_https: Some(to.unwrap_or(public.port())),
            ..Listener::plain(from)
        }))
    }

    fn bind_addresses(&self, file: Option<&Front>) -> Vec<IpAddr> {
        match file {
            Some(file) if self.bind_address.is_empty() => file.proxy.bind_addresses.clone(),
            _ => self.bind_address.clone(),
        }
    }

    /// What is taken and does nothing.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.tls.unused();
        notes.extend(self.storage_backend.as_ref().map(|backend| {
            format!("--storage-backend {backend} does nothing here: routes are kept in memory, and a hub tells a new proxy all of them")
        }));
        notes
    }

    /// Whoever stands before hubs names the address that others reach.
    fn public(&self, file: Option<&Front>) -> Result<ListenAddress, Failure> {
        if let Some(path) = &self.socket {
            let path = std::path::absolute(path)
                .map_err(|error| Failure::io("--socket can't be found", &error))?;
            return Ok(ListenAddress::Unix(path));
        }
        let follows = !self.follow.hubs.is_empty();
        let address = match (&self.listen, &self.ip, file) {
            (Some(address), _, _) => *address,
            (None, Some(ip), _) => address("--ip", ip, self.port())?,
            (None, None, Some(file)) => {
                let port = self.port.unwrap_or(file.listen.port());
                SocketAddr::new(file.listen.ip(), port)
            }
            (None, None, None) if follows => (Ipv4Addr::LOCALHOST, self.port()).into(),
            (None, None, None) => address("--ip", "", self.port())?,
        };
        Ok(address.into())
    }

    fn drop_in(&self, token: Option<ProxySecret>, file: Option<&Front>) -> Result<Task, Failure> {
        let api = match &self.api_socket {
            Some(path) => At::Unix(path.clone()),
            None => At::Tcp(address("--api-ip", &self.api_ip, self.api_port(file)?)?),
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

    fn api_port(&self, file: Option<&Front>) -> Result<u16, Failure> {
        let listen = self.listen.map(|address| address.port());
        let in_file = file.map(|file| file.listen.port());
        let port = listen.or(self.port).or(in_file).unwrap_or(self.port());
        match (self.api_port, port) {
            (Some(port), _) => Ok(port),
            (None, 0) => Ok(0),
            (None, port) => port.checked_add(1).ok_or_else(|| {
                Failure::new("there is no port after 65535 for the control API")
                    .hint("name one with --api-port")
            }),
        }
    }

    /// Without hubs and without a file, this machine.
    fn trusted_proxies(&self, file: Option<&Front>) -> Vec<Network> {
        match file {
            _ if !self.trusted_proxy.is_empty() => self.trusted_proxy.clone(),
            Some(file) => file.trusted_proxies.clone(),
            None if !self.follow.hubs.is_empty() => Vec::new(),
            None => TRUSTED
                .iter()
                .map(|network| network.parse().expect("written here"))
                .collect(),
        }
    }

    fn rewrite(&self) -> Rewrite {
        Rewrite {
            include_prefix: !self.rewriting.no_include_prefix,
            prepend_path: !self.rewriting.no_prepend_path,
            x_forward: !self.rewriting.no_x_forward,
            auto_rewrite: self.rewriting.auto_rewrite,
            change_origin: self.rewriting.change_origin,
            protocol_rewrite: self.rewriting.protocol_rewrite,
            custom_headers: self.rewriting.custom_header.clone(),
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

fn load_front(file: &Path) -> Result<Front, Failure> {
    crate::config::load_front(file).map_err(|problems| {
        Failure::new(format!("the configuration has problems\n{problems}"))
            .hint("`lyceum config example` shows every key")
    })
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
