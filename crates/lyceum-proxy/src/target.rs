//! Where a route leads: the address of one HTTP server.

use std::{fmt, net::SocketAddr, path::Path, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{passage::Way, rewrite::Scheme};

/// An address such as `http://127.0.0.1:8888`, `https://pod-7.lab:8888/base` or
/// `unix:///run/lab.sock` (also written `http+unix://%2Frun%2Flab.sock/base`). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    place: Place,
    /// `host:port`; for unix sockets and within this process `localhost`.
    authority: String,
    /// Without a slash at its end.
    path: String,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// An address that needs no resolver is there already.
    Tcp(Scheme, Option<SocketAddr>),
    Unix(String),
    Within(Way),
}

impl Target {
    /// `host:port`, as a resolver and a Host header take it.
    pub(crate) fn authority(&self) -> &str {
        &self.0.authority
    }

    /// As a `Host` header says it: the usual port is left out.
    pub(crate) fn host(&self) -> &str {
        let usual = match self.0.place {
            Place::Tcp(scheme, _) => usual_port(scheme),
            Place::Unix(_) | Place::Within(_) => return self.authority(),
        };
        let authority = self.authority();
        authority
            .strip_suffix(&format!(":{usual}"))
            .unwrap_or(authority)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }
}

impl Target {
    pub(crate) fn within(way: Way) -> Self {
        Self(Arc::new(Parts {
            place: Place::Within(way),
            authority: "localhost".into(),
            path: String::new(),
        }))
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self(Arc::new(Parts {
            place: Place::Tcp(Scheme::Http, Some(address)),
            authority: address.to_string(),
            path: String::new(),
        }))
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{text}\" cannot be a target: {why}");
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it must begin with http://, https:// or unix://"))?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) || rest.contains(['?', '#', '\\', '"'])
        {
            return Err(wrong("it may have a host, a port and a path, nothing else"));
        }
        match scheme {
            "http" => tcp(Scheme::Http, rest).map_err(|why| wrong(&why)),
            "https" => tcp(Scheme::Https, rest).map_err(|why| wrong(&why)),
            "unix" => unix(rest, "").map_err(|why| wrong(&why)),
            "unix+http" | "http+unix" => {
                let (socket, path) = cut(rest);
                let socket = percent_encoding::percent_decode_str(socket)
                    .decode_utf8()
                    .map_err(|_| wrong("the socket's path is not text"))?;
                unix(&socket, path).map_err(|why| wrong(&why))
            }
            _ => Err(wrong("it must begin with http://, https:// or unix://")),
        }
    }
}

fn usual_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

/// The part before the first slash, and the rest without a slash at its end.
fn cut(rest: &str) -> (&str, &str) {
    let end = rest.find('/').unwrap_or(rest.len());
    (&rest[..end], rest[end..].trim_end_matches('/'))
}

fn tcp(scheme: Scheme, rest: &str) -> Result<Target, String> {
    let (name, path) = cut(rest);
    if name.contains('@') {
        return Err("it must not carry a user name".into());
    }
    let authority: hyper::http::uri::Authority =
        name.parse().map_err(|_| "a host and a port must follow")?;
    let after_host = &name[authority.host().len()..];
    let port = match after_host.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port
            .parse::<u16>()
            .map_err(|_| "its port is not a number up to 65535")?,
        Some(_) => return Err("its port is not a number up to 65535".into()),
        None => usual_port(scheme),
    };
    let authority = format!("{}:{port}", authority.host());
    Ok(Target(Arc::new(Parts {
        place: Place::Tcp(scheme, authority.parse().ok()),
        authority,
        path: path.into(),
    })))
}

fn unix(socket: &str, path: &str) -> Result<Target, String> {
    if !Path::new(socket).is_absolute() || socket.ends_with('/') || socket.contains('\0') {
        return Err("a socket's whole path must follow".into());
    }
    Ok(Target(Arc::new(Parts {
        place: Place::Unix(socket.into()),
        authority: "localhost".into(),
        path: path.into(),
    })))
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
        let Parts {
            place,
            authority,
            path,
        } = &*self.0;
        match place {
            Place::Tcp(scheme, _) => write!(f, "{}://{authority}{path}", scheme.as_str()),
            Place::Unix(socket) if path.is_empty() => write!(f, "unix://{socket}"),
            Place::Unix(socket) => {
                let socket = percent_encoding::utf8_percent_encode(
                    socket,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                write!(f, "http+unix://{socket}{path}")
            }
            Place::Within(_) => f.write_str("this process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_and_nothing_more() {
        let check = |text: &str, expect: Option<&str>| {
            let got = text.parse::<Target>().ok();
            let shown = got.as_ref().map(ToString::to_string);
            assert_eq!(shown.as_deref(), expect, "{text}");
            if let Some(shown) = shown {
                assert_eq!(shown.parse::<Target>().ok(), got, "{shown} is read back");
            }
        };
        check("http://127.0.0.1:8888", Some("http://127.0.0.1:8888"));
        check("http://lab/", Some("http://lab:80"));
        check("https://lab", Some("https://lab:443"));
        check("http://a:1/x/", Some("http://a:1/x"));
        check("http://[::1]:9", Some("http://[::1]:9"));
        check("unix:///run/lab.sock", Some("unix:///run/lab.sock"));
        check(
            "http+unix://%2Frun%2Flab.sock",
            Some("unix:///run/lab.sock"),
        );
        check("http+unix://%2Fa/b", Some("http+unix://%2Fa/b"));
        for wrong in [
            "ftp://a:1",
            "a:1",
            "http://",
            "http://a:1/x?y",
            "http://a:1/x#y",
            "http://u@a:1",
            "http://a:",
            "http://a:+1",
            "http://a:99999",
            "http://a b/",
            "unix://",
            "unix://x",
            "unix:///run/",
            "http+unix://x/y",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_host_leaves_its_usual_port_out() {
        let check = |text: &str, expect: &str| {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.host(), expect);
        };
        check("http://lab", "lab");
        check("https://lab:443/x", "lab");
        check("https://lab:80", "lab:80");
        check("unix:///run/lab.sock", "localhost");
    }
}
