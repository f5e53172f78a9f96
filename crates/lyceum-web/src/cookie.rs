//! Cookies, read and written. The names and paths are JupyterHub's where other programs read them.

use axum::http::{HeaderMap, HeaderValue, header};

/// The hub's own cookie: proves the session to the hub, never sent to a notebook server.
pub const LOGIN: &str = "jupyterhub-hub-login";
/// The same where hosts below the hub's belong to others: browsers let nobody but the hub set it.
pub const LOGIN_ONE_HOST: &str = "__Host-jupyterhub-hub-login";
/// Names the session to services; proves nothing by itself.
pub const SESSION_ID: &str = "jupyterhub-session-id";
/// Opens the proxy to the person's servers; the proxy takes it out before it forwards.
pub const ACCESS: &str = "lyceum-access";
/// The same where browsers keep it to one host.
pub const ACCESS_ONE_HOST: &str = "__Host-lyceum-access";
/// What a browser keeps while it is away to sign in elsewhere; the proxy takes it out, too.
pub const JOURNEY: &str = "lyceum-sign-in";
/// The same by TLS, where browsers keep it to one host.
pub const JOURNEY_ONE_HOST: &str = "__Host-lyceum-sign-in";
/// What a browser keeps between the right password and the code that belongs to it; the proxy takes it out, too.
pub const HALF_WAY: &str = "lyceum-half-way";
/// The same by TLS, where browsers keep it to one host.
pub const HALF_WAY_ONE_HOST: &str = "__Host-lyceum-half-way";
/// Somebody has logged out and was sent elsewhere for it: back at the log-in page she stays there, once.
pub const LEFT: &str = "lyceum-left";
/// The server that somebody has just accepted, so that she is not asked once more when she opens it. Only
/// the OAuth provider is sent it.
pub const AGREED: &str = "lyceum-agreed";
pub const XSRF: &str = "_xsrf";
/// The tag of the language that was chosen on a page.
pub const LANGUAGE: &str = "lyceum-language";

/// Every value of a cookie, in the order sent (a browser may send several of one name).
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(move |pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value.trim_matches('"'))
        })
}

/// A cookie to set. `path` and the flags are stated each time: there is no default to forget.
pub struct Cookie<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub path: &'a str,
    /// Sent to this host and all below it; `None`: to the one that sets it alone.
    pub domain: Option<&'a str>,
    pub http_only: bool,
    pub secure: bool,
    /// Seconds; `None` lasts as long as the browser.
    pub max_age: Option<i64>,
}

impl Cookie<'_> {
    pub fn header(&self) -> HeaderValue {
        let mut line = format!(
            "{}={}; Path={}; SameSite=Lax",
            self.name, self.value, self.path
        );
        if let Some(domain) = self.domain {
            line.push_str(&format!("; Domain={domain}"));
        }
        if let Some(seconds) = self.max_age {
            line.push_str(&format!("; Max-Age={seconds}"));
        }
        if self.http_only {
            line.push_str("; HttpOnly");
        }
        if self.secure {
            line.push_str("; Secure");
        }
        HeaderValue::from_str(&line).expect("names, values and paths of our own making")
    }

    /// The header that takes a cookie away.
    pub fn expire(name: &str, path: &str, domain: Option<&str>, secure: bool) -> HeaderValue {
        Cookie {
            name,
            value: "",
            path,
            domain,
            http_only: true,
            secure,
            max_age: Some(0),
        }
        .header()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cookie_of_a_name_is_seen() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("_xsrf=one; a=b; _xsrf=\"two\""),
        );
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("_xsrf=three; junk"),
        );
        assert_eq!(
            values(&headers, XSRF).collect::<Vec<_>>(),
            ["one", "two", "three"]
        );
    }

    #[test]
    fn flags_are_written() {
        let cookie = Cookie {
            name: "a",
            value: "b",
            path: "/hub/",
            domain: None,
            http_only: true,
            secure: true,
            max_age: Some(5),
        };
        assert_eq!(
            cookie.header(),
            "a=b; Path=/hub/; SameSite=Lax; Max-Age=5; HttpOnly; Secure"
        );
        let wide = Cookie {
            domain: Some("hub.example.edu"),
            secure: false,
            max_age: None,
            ..cookie
        };
        assert_eq!(
            wide.header(),
            "a=b; Path=/hub/; SameSite=Lax; Domain=hub.example.edu; HttpOnly"
        );
    }
}
