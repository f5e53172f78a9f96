//! What an operator may set about the data plane, and the defaults.
//!
//! Values arrive typed and checked by serde; an unknown key is an error. What belongs to one
//! subject is a struct of its own there, such as [`Arrivals`].

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    access_log::AccessLog, descriptors, error_page::ErrorPages, http2::Http2, identity::Identity,
    listen::Arrivals, metrics::Kind, rewrite::Rewrite, upstream::Upstream,
};

/// The data plane's settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The path everything of this site lives under, with a slash at both ends.
    pub base_path: String,
    /// Name of the cookie whose value says who is asking.
    pub access_cookie: String,
    /// Cookies that only the hub may see or set; also meant are their `__Host-` and `__Secure-`
    /// variants. The access cookie is always among them.
    pub hidden_cookies: Vec<String>,
    /// Name of the cookie that says in which language a reader wants our pages, before what the browser
    /// asks for; empty: none does.
    pub language_cookie: String,
    /// Networks of proxies in front of this one, whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Headers by which a proxy in front says who people are, until [`crate::Proxy::set_identity`] says
    /// otherwise.
    pub identity: Option<Identity>,
    /// Sent to the hub as `X-Lyceum-Proxy`, so that it believes our headers.
    #[serde(skip_serializing)]
    pub proxy_secret: ProxySecret,
    /// The first segment of a route is a host name.
    pub host_routing: bool,
    /// In place of configurable-http-proxy: the hub is one of the routes, so no server is kept from
    /// speaking for the site, and what cannot be served is 404 or 503.
    pub drop_in: bool,
    pub rewrite: Rewrite,
    pub error_pages: ErrorPages,
    pub limits: Limits,
    /// Which requests are told in the log, until [`crate::Proxy::set_access_log`] says otherwise.
    pub access_log: AccessLog,
    pub upstream: Upstream,
    /// What happens before a connection's first request.
    pub arrivals: Arrivals,
    pub http2: Http2,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_path: "/".into(),
            access_cookie: "lyceum-access".into(),
            hidden_cookies: [
                "lyceum-access",
                "jupyterhub-hub-login",
                "lyceum-sign-in",
                "lyceum-half-way",
                "lyceum-language",
            ]
            .map(str::to_owned)
            .to_vec(),
            language_cookie: "lyceum-language".into(),
            trusted_proxies: Vec::new(),
            identity: None,
            proxy_secret: ProxySecret::default(),
            host_routing: false,
            drop_in: false,
            rewrite: Rewrite::default(),
            error_pages: ErrorPages::default(),
            limits: Limits::default(),
            access_log: AccessLog::default(),
            upstream: Upstream::default(),
            arrivals: Arrivals::default(),
            http2: Http2::default(),
        }
    }
}

/// A client's connections, unless something else is said.
const MOST_OF_ONE: usize = 4_096;

/// Every bound of the data plane. Times are written `250ms`, `30s`, `5m`, `1h`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Client connections at once, and requests over HTTP/2 beyond the first of each; further
    /// connections wait in the system's queue. 0 means as many as go
    /// with the limit of open files at the start: half of it less some, at most 32,768.
    pub connections: usize,
    /// Of these from one address (trusted proxies are exempt). 0 means a quarter of `connections`, at
    /// most 4,096, so that nobody alone keeps all others out.
    pub connections_per_client: usize,
    /// Connections to one server at once, WebSockets among them; further requests wait.
    pub connections_per_server: usize,
    /// Bytes of a request's first line and headers; more is answered 431.
    pub header_bytes: usize,
    /// Headers of a request, at most 128; more are answered 431.
    pub header_count: usize,
    /// Bytes of a request's body to the hub; more are answered 413. 0 means any number, here and
    /// for the two below.
    pub body_bytes_hub: u64,
    /// The same to people's servers, and other routes whose access is checked.
    pub body_bytes_servers: u64,
    /// The same to routes that are open to all.
    pub body_bytes_open: u64,
    /// How long a client may take to send its headers. A kept connection may idle as long.
    #[serde(with = "span")]
    pub header_read: Duration,
    /// How long to wait for a server to take a connection.
    #[serde(with = "span")]
    pub connect: Duration,
    /// How long to wait for a server's first byte after the last byte it was sent.
    #[serde(with = "span")]
    pub first_byte: Duration,
    /// How long a body may stand still in either direction.
    #[serde(with = "span")]
    pub idle: Duration,
    /// Bytes a second that a client must send of a body, or take of an answer, while it alone is
    /// waited for; 0 means any speed will do.
    pub least_speed: u64,
    /// How long a client may be slower than that.
    #[serde(with = "span")]
    pub slow_grace: Duration,
    /// How long a WebSocket may be silent; none means for ever.
    #[serde(with = "optional_span")]
    pub websocket_idle: Option<Duration>,
    /// How long a tunnel may go on silently after one of its sides has finished.
    #[serde(with = "span")]
    pub half_closed: Duration,
    /// How long to wait for an access decision.
    #[serde(with = "span")]
    pub access: Duration,
    /// How long a refusal is remembered.
    #[serde(with = "span")]
    pub refusal: Duration,
    /// Access decisions remembered at once.
    pub decisions: usize,
    /// Idle connections kept to one server, and how long.
    pub pooled_per_target: usize,
    #[serde(with = "span")]
    pub pooled: Duration,
    /// How long to go on taking connections after a shutdown was asked for, while the readiness
    /// page already says no: as long as a load balancer takes to notice.
    #[serde(with = "span")]
    pub unready: Duration,
    /// How long requests and WebSockets may go on after that.
    #[serde(with = "span")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_per_client: 0,
            connections_per_server: 16_384,
            header_bytes: 64 * 1024,
            header_count: 128,
            body_bytes_hub: 0,
            body_bytes_servers: 0,
            body_bytes_open: 0,
            header_read: Duration::from_secs(60),
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(600),
            idle: Duration::from_secs(3_600),
            least_speed: 1_024,
            slow_grace: Duration::from_secs(120),
            websocket_idle: None,
            half_closed: Duration::from_secs(10),
            access: Duration::from_secs(10),
            refusal: Duration::from_secs(1),
            decisions: 65_536,
            pooled_per_target: 512,
            pooled: Duration::from_secs(50),
            unready: Duration::ZERO,
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// These, with some of them said anew as names and texts: `idle` and `5m`, `connections` and
    /// `1000`.
    pub fn with<'a>(
        &self,
        said: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut limits = self.clone();
        for (name, text) in said {
            let wrong = |error: serde_json::Error| format!("the limit {name}={text}: {error}");
            let mut all = serde_json::to_value(&limits).map_err(wrong)?;
            all[name] = match text.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => text.into(),
            };
            limits = serde_json::from_value(all).map_err(wrong)?;
        }
        Ok(limits)
    }

    pub(crate) fn all_connections(&self) -> usize {
        match self.connections {
            0 => descriptors::connections_now(),
            connections => connections,
        }
    }

    pub(crate) fn connections_of_one(&self) -> usize {
        match self.connections_per_client {
            0 => (self.all_connections() / 4).clamp(1, MOST_OF_ONE),
            connections => connections,
        }
    }

    /// Bytes that a request's body to there may have.
    pub(crate) fn body_bytes(&self, kind: Kind) -> u64 {
        let most = match kind {
            Kind::Fallback | Kind::Proxy => self.body_bytes_hub,
            Kind::Checked => self.body_bytes_servers,
            Kind::Open => self.body_bytes_open,
        };
        if most == 0 { u64::MAX } else { most }
    }
}

/// A shared secret; prints as `***`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct ProxySecret(String);

impl ProxySecret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for ProxySecret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A range of addresses, written `10.0.0.0/8` or as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// IPv4 addresses that arrive mapped into IPv6 are compared as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let shift = width - u32::from(self.bits);
        self.bits == 0 || ours >> shift == theirs >> shift
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a network; write it like 10.0.0.0/8 or fd00::/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.address, network.bits)
    }
}

/// Reads `250ms`, `30s`, `5m`, `1h`, `2d`.
fn parse_span(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let wrong = || format!("\"{text}\" is not a time; write it like 250ms, 30s, 5m or 1h");
    let number: u64 = text[..split].parse().map_err(|_| wrong())?;
    let unit: u64 = match text[split..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

fn show_span(span: Duration) -> String {
    let millis = span.as_millis();
    if millis.is_multiple_of(1_000) {
        format!("{}s", millis / 1_000)
    } else {
        format!("{millis}ms")
    }
}

pub(crate) mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::show_span(*span))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        super::parse_span(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

pub(crate) mod optional_span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => s.serialize_str(&super::show_span(*span)),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(d)?
            .map(|text| super::parse_span(&text).map_err(D::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let check = |network: &str, address: &str, expect: bool| {
            let network: Network = network.parse().expect(network);
            let address = address.parse().expect(address);
            assert_eq!(network.contains(address), expect, "{network:?} {address}");
        };
        check("10.0.0.0/8", "10.200.3.4", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.1.1", true);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.8", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "10.0.0.1", false);
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "host", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_are_strict_and_times_are_words() {
        let config: Config =
            serde_json::from_str(r#"{"limits":{"connect":"250ms","websocket_idle":"2h"}}"#)
                .expect("valid");
        assert_eq!(config.limits.connect, Duration::from_millis(250));
        assert_eq!(
            config.limits.websocket_idle,
            Some(Duration::from_secs(7_200))
        );
        for wrong in [
            r#"{"limit":{}}"#,
            r#"{"limits":{"connect":"5 apples"}}"#,
            r#"{"limits":{"connect":"99999999999999999999h"}}"#,
            r#"{"trusted_proxies":["everyone"]}"#,
        ] {
            assert!(serde_json::from_str::<Config>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_secret_does_not_print() {
        let config = Config {
            proxy_secret: "hunter2".to_owned().into(),
            ..Config::default()
        };
        let shown = format!(
            "{config:?}{}",
            serde_json::to_string(&config).expect("serialises")
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn limits_are_said_by_name() {
        let said = [
            ("idle", "5m"),
            ("connections", "7"),
            ("websocket_idle", "90s"),
        ];
        let limits = Limits::default().with(said).expect("all known");
        assert_eq!(limits.idle, Duration::from_secs(300));
        assert_eq!(limits.connections, 7);
        assert_eq!(limits.websocket_idle, Some(Duration::from_secs(90)));
        assert_eq!(limits.connect, Limits::default().connect);
        for (name, text, hint) in [
            ("idel", "5m", "`idle`"),
            ("idle", "soon", "not a time"),
            ("connections", "many", "connections=many"),
        ] {
            let error = Limits::default().with([(name, text)]).expect_err("refused");
            assert!(error.contains(hint), "{error}");
        }
    }
}
