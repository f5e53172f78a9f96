//! Requests that are answered before any route is looked at: readiness, ACME's questions, and the
//! redirect from plain HTTP to `https`. Also here: what an answer over TLS says about TLS.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION},
};

use crate::{Inner, tls::acme};

use super::Conn;

/// Where a load balancer or Kubernetes asks whether requests should come here.
const READY: &str = "/_lyceum/ready";

/// An answer ready to be written, with neither route nor server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Early {
    pub(crate) status: u16,
    /// For `Location`.
    pub(crate) location: Option<String>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Cow<'static, str>,
}

impl From<Early> for Response<Bytes> {
    fn from(early: Early) -> Self {
        let mut response = Self::new(early.body.into_owned().into());
        *response.status_mut() =
            StatusCode::from_u16(early.status).expect("early answers have statuses of ours");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(early.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(location) = early
            .location
            .and_then(|url| HeaderValue::try_from(url).ok())
        {
            headers.insert(LOCATION, location);
        }
        response
    }
}

impl Early {
    fn text(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            location: None,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }
}

impl Conn {
    /// The answer to a request that is not for any server. To be asked once the head is known to
    /// be well formed; `host` is what the client named, `path` and `query` (with
    /// its `?`) what it asked for.
    pub(crate) fn early_answer(
        &self,
        inner: &Inner,
        method: &str,
        host: Option<&str>,
        path: &str,
        query: &[u8],
    ) -> Option<Early> {
        if path.starts_with("/_") || path.starts_with("/.") {
            if path == READY {
                let trouble = inner.trouble.load();
                return Some(match trouble.as_deref() {
                    _ if inner.is_draining() => Early::text(503, "draining\n"),
                    Some(why) => Early::text(503, format!("{why}\n")),
                    None => Early::text(200, "ready\n"),
                });
            }
            if let Some(token) = path.strip_prefix(acme::HTTP_PATH) {
                // Without an answer of ours it may be for whoever else gets certificates here, behind
                // a redirect too.
                let answer = self
                    .rules
                    .certificates
                    .as_ref()
                    .and_then(|certificates| certificates.http_answer(token));
                if let Some(answer) = answer {
                    return Some(Early::text(200, answer));
                }
            }
        }
        let port = self.rules.redirect_to_https?;
        let path_and_query = str::from_utf8(query).map(|query| format!("{path}{query}"));
        let path_and_query = path_and_query.unwrap_or_default();
        Some(match https_address(host, port, &path_and_query) {
            // Only methods without a body may be repeated as they are by any client.
            Some(location) => Early {
                location: Some(location),
                ..Early::text(
                    if matches!(method, "GET" | "HEAD") {
                        301
                    } else {
                        308
                    },
                    "This address speaks https.\n",
                )
            },
            None => Early::text(400, "The request names no host to go on to.\n"),
        })
    }

    /// The value of `Strict-Transport-Security` for answers on this connection, if there is one.
    pub(crate) fn strict_transport(&self) -> Option<&str> {
        if !self.is_https {
            return None;
        }
        self.rules.certificates.as_ref()?.strict_transport()
    }
}

/// None if the host is not one: its value would become part of a header.
fn https_address(host: Option<&str>, port: u16, path_and_query: &str) -> Option<String> {
    let authority: hyper::http::uri::Authority = host?.parse().ok()?;
    let name = authority.host();
    if name.is_empty() || authority.as_str().contains('@') || !path_and_query.starts_with('/') {
        return None;
    }
    Some(if port == 443 {
        format!("https://{name}{path_and_query}")
    } else {
        format!("https://{name}:{port}{path_and_query}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_redirect_keeps_host_and_path() {
        let check = |host: Option<&str>, port, path: &str, expect: Option<&str>| {
            assert_eq!(
                https_address(host, port, path).as_deref(),
                expect,
                "{host:?} {path}"
            );
        };
        check(Some("lab"), 443, "/a?b=1", Some("https://lab/a?b=1"));
        check(Some("lab:8000"), 8443, "/", Some("https://lab:8443/"));
        check(Some("[::1]:80"), 443, "//x", Some("https://[::1]//x"));
        check(Some("evil@lab"), 443, "/", None);
        check(Some("la b"), 443, "/", None);
        check(Some(""), 443, "/", None);
        check(None, 443, "/", None);
        check(Some("lab"), 443, "*", None);
    }
}
