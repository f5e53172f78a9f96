//! Where a route leads: the address of one HTTP server.
//!
//! Only plain `http` for now; TLS to servers will be another scheme here and another connector in
//! `pool.rs`.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// An address such as `http://127.0.0.1:8888` or `http://pod-7.lab:8888`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    authority: Arc<str>,
}

impl Target {
    /// `host:port`, as a resolver and a Host header take it.
    pub(crate) fn authority(&self) -> &Arc<str> {
        &self.authority
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self {
            authority: address.to_string().into(),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" cannot be a target: {why}");
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| wrong("it must begin with http://"))?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority: hyper::http::uri::Authority = rest
            .parse()
            .map_err(|_| wrong("only a host and a port may follow http://"))?;
        if rest.contains('@') {
            return Err(wrong("it must not carry a user name"));
        }
        let after_host = &rest[authority.host().len()..];
        let port = match after_host.strip_prefix(':') {
            Some(port) => port
                .parse::<u16>()
                .map_err(|_| wrong("its port is not a number up to 65535"))?,
            None => 80,
        };
        Ok(Self {
            authority: format!("{}:{port}", authority.host()).into(),
        })
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_and_nothing_more() {
        let check = |text: &str, expect: Option<&str>| {
            let got = text.parse::<Target>().ok().map(|t| t.to_string());
            assert_eq!(got.as_deref(), expect, "{text}");
        };
        check("http://127.0.0.1:8888", Some("http://127.0.0.1:8888"));
        check("http://lab/", Some("http://lab:80"));
        check("http://[::1]:9", Some("http://[::1]:9"));
        for wrong in [
            "https://a:1",
            "a:1",
            "http://",
            "http://a:1/x",
            "http://u@a:1",
            "http://a:",
            "http://a:99999",
        ] {
            check(wrong, None);
        }
    }
}
