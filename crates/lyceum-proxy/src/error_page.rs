//! What people and programs see when a request cannot be served.
//!
//! A browser gets a small page without scripts or outside parts; a program gets
//! `{"status": …, "message": …}`. Neither carries the cause, but both the request id, which the log
//! has too.

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
        REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};

use crate::body::Body;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Why a request was not served; the wording is for whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    BadRequest(String),
    HeadersTooLarge,
    MethodNotAllowed,
    Denied,
    AccessUnavailable,
    /// Nothing listens, or it closed without an answer.
    NoServer,
    /// Something answered that is not HTTP.
    BadAnswer,
    TooSlow,
}

impl Failure {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::AccessUnavailable | Self::NoServer => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn words(&self) -> Words {
        match self {
            Self::BadRequest(_) => Words {
                title: "This address cannot be opened",
                meaning: "Nothing was changed, and your files are safe.",
                remedy: "Check the address for a typing mistake, or start again from your home page.",
            },
            Self::HeadersTooLarge => Words {
                title: "Your browser sent too much at once",
                meaning: "This is nearly always caused by too many stored cookies. Your files are safe.",
                remedy: "Delete the cookies of this site in your browser, then log in again.",
            },
            Self::MethodNotAllowed => Words {
                title: "This kind of request is not served here",
                meaning: "Nothing was changed, and your files are safe.",
                remedy: "Start again from your home page.",
            },
            Self::Denied => Words {
                title: "You may not open this",
                meaning: "You are not logged in, or this belongs to somebody else.",
                remedy: "Log in from your home page, or ask the owner to share it with you.",
            },
            Self::AccessUnavailable => Words {
                title: "We cannot check who you are right now",
                meaning: "The log-in service does not answer. Your server keeps running and your files are safe.",
                remedy: "Wait a moment and reload this page.",
            },
            Self::NoServer => Words {
                title: "The server does not answer",
                meaning: "It may be starting, stopping, or have run out of memory. Your files are safe: saved work is still there.",
                remedy: "Wait a moment and reload this page. If that does not help, stop and start the server from your home page.",
            },
            Self::BadAnswer => Words {
                title: "The server gave an answer we could not read",
                meaning: "It may be overloaded or misconfigured. Your files are safe: saved work is still there.",
                remedy: "Reload this page. If that does not help, restart the server from your home page.",
            },
            Self::TooSlow => Words {
                title: "The server took too long to answer",
                meaning: "It is running but busy. Your files are safe, and what it is computing may still finish.",
                remedy: "Wait and reload this page. If that does not help, restart the server from your home page.",
            },
        }
    }

    /// One sentence for programs.
    fn message(&self) -> String {
        match self {
            Self::BadRequest(why) => format!("Bad request: {why}"),
            Self::Denied => "Not allowed: log in, or use a token that may access this".into(),
            other => format!("{}. {}", other.words().title, other.words().remedy),
        }
    }
}

struct Words {
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

/// Whether whoever asks wants JSON rather than a page.
pub(crate) fn wants_json(headers: &HeaderMap, path: &str) -> bool {
    let accept = headers.get(ACCEPT).map_or(&b""[..], HeaderValue::as_bytes);
    let names = |what: &[u8]| accept.windows(what.len()).any(|part| part == what);
    !names(b"text/html") && names(b"application/json") || path.contains("/api/")
}

pub(crate) fn render(
    failure: &Failure,
    json: bool,
    request_id: &str,
    base_path: &str,
) -> Response<Body> {
    let status = failure.status();
    let (content_type, text) = if json {
        let message = failure.message();
        let body = serde_json::json!({"status": status.as_u16(), "message": message});
        ("application/json", body.to_string())
    } else {
        (
            "text/html; charset=utf-8",
            page(failure, request_id, base_path),
        )
    };
    let mut response = Response::new(Body::Full(Some(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

const STYLE: &str = "
:root{color-scheme:light dark;--back:#f6f5f2;--card:#fff;--ink:#1f2328;--soft:#57606a;--line:#d8d6d0;--link:#0b57a4}
@media(prefers-color-scheme:dark){:root{--back:#16181b;--card:#1f2226;--ink:#e8e6e3;--soft:#a9b1ba;--line:#363b41;--link:#7ab8ff}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--back);color:var(--ink);font:1.0625rem/1.6 system-ui,sans-serif}
main{max-width:34rem;width:100%;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.25}
p{margin:0 0 1rem}
a{color:var(--link)}
.code{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
";

fn page(failure: &Failure, request_id: &str, base_path: &str) -> String {
    let Words {
        title,
        meaning,
        remedy,
    } = failure.words();
    let status = failure.status().as_u16();
    let why = match failure {
        Failure::BadRequest(why) => format!("<p>The request was refused: {}.</p>\n", escape(why)),
        _ => String::new(),
    };
    let home = escape(&format!("{base_path}hub/home"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{why}<p>{meaning}</p>\n<p>{remedy}</p>\n\
         <p><a href=\"{home}\">Go to your home page</a></p>\n\
         <p class=\"code\">If you ask for help, give this code: <code>{request_id}</code> (error {status})</p>\n\
         </main>\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_escape_what_came_from_outside() {
        let page = page(&Failure::BadRequest("<script>".into()), "0id", "/a\"><b>/");
        assert!(
            !page.contains("<script>") && !page.contains("\"><b>"),
            "{page}"
        );
        assert!(page.contains("lang=\"en\"") && page.contains("<h1>") && page.contains("0id"));
    }

    #[test]
    fn programs_get_json() {
        let check = |accept: Option<&'static str>, path: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(wants_json(&headers, path), expect, "{accept:?} {path}");
        };
        check(None, "/user/ada/lab", false);
        check(Some("text/html,application/json"), "/user/ada/lab", false);
        check(Some("application/json"), "/user/ada/lab", true);
        check(Some("text/html"), "/user/ada/api/contents", true);
    }
}
