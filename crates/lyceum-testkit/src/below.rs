//! Stories below a path: the same words, told of a hub that stands at `/below/`.
//!
//! `LYCEUM_TEST_BASE` says where the hubs of tests stand. A [`Client`](crate::client::Client) puts
//! that before each path it is told and takes it off all that comes back, so that a story need not
//! know of it; and it fails when a page, an answer or a redirect leads out of the base.

use std::sync::LazyLock;

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION, SET_COOKIE};
use lyceum_model::base::BasePath;

/// What of ours begins with a slash.
const OURS: [&str; 3] = ["/hub/", "/user/", "/services/"];
/// Parameters that hold a path.
const HOLDERS: [&str; 2] = ["next", "redirect_uri"];

static ASKED: LazyLock<BasePath> = LazyLock::new(|| {
    let text = std::env::var("LYCEUM_TEST_BASE").unwrap_or_default();
    BasePath::parse(&text).expect("LYCEUM_TEST_BASE is a path")
});

/// Where hubs stand unless a story says otherwise.
pub fn asked() -> BasePath {
    ASKED.clone()
}

/// As it is sent: a path, with what its query says of paths.
pub(crate) fn outwards(base: &BasePath, path: &str) -> String {
    if base.is_root() || !path.starts_with('/') {
        return path.to_owned();
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut all = match base.within(path) {
        Some(_) => path.to_owned(),
        None => base.at(path),
    };
    if let Some(query) = query {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| pair_outwards(base, pair))
            .collect();
        all.push('?');
        all.push_str(&pairs.join("&"));
    }
    all
}

fn pair_outwards(base: &BasePath, pair: &str) -> String {
    let (quoted, plain) = (quoted(base), base.as_str());
    match pair.split_once('=') {
        Some((key, value)) if HOLDERS.contains(&key) => {
            if value.starts_with(&quoted) || value.starts_with(plain) {
                pair.to_owned()
            } else if let Some(rest) = value
                .strip_prefix("%2F")
                .filter(|_| is_ours(&value.replace("%2F", "/")))
            {
                format!("{key}={quoted}{rest}")
            } else if is_ours(value) {
                format!("{key}={}", base.at(value))
            } else {
                pair.to_owned()
            }
        }
        _ => pair.to_owned(),
    }
}

fn is_ours(path: &str) -> bool {
    OURS.iter().any(|ours| path.starts_with(ours))
}

/// A field of a form.
pub(crate) fn field(base: &BasePath, key: &str, value: &str) -> String {
    match HOLDERS.contains(&key) && is_ours(value) && !base.is_root() {
        true => base.at(value),
        false => value.to_owned(),
    }
}

/// `%2Fbelow%2F`.
fn quoted(base: &BasePath) -> String {
    base.as_str().replace('/', "%2F")
}

/// As a story reads it. Fails where it leads out.
pub(crate) fn inwards(base: &BasePath, headers: &mut HeaderMap, body: &str, asked: &str) -> String {
    if let Some(to) = headers.get(LOCATION).and_then(|to| to.to_str().ok()) {
        let to = text(base, to, asked);
        headers.insert(LOCATION, HeaderValue::from_str(&to).expect("a header"));
    }
    let lines: Vec<String> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .map(|line| line.replace(&format!("Path={base}"), "Path=/"))
        .collect();
    headers.remove(SET_COOKIE);
    for line in lines {
        headers.append(SET_COOKIE, HeaderValue::from_str(&line).expect("a header"));
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let ours = ["text/html", "application/json", "text/event-stream"];
    if !ours.iter().any(|ours| kind.starts_with(ours)) {
        // A server tells the path it was asked for.
        return match kind.is_empty() || kind.starts_with("text/plain") {
            true => body.replace(base.as_str(), "/"),
            false => body.to_owned(),
        };
    }
    for mark in ["href=\"", "action=\"", "src=\"", "url=", "\""] {
        for (at, _) in body.match_indices(mark) {
            let to = &body[at + mark.len()..];
            assert!(
                !is_ours(to),
                "{asked} leads out of {base}: {mark}{}",
                to.chars().take(60).collect::<String>()
            );
        }
    }
    body.replace(base.as_str(), "/")
        .replace(&quoted(base), "%2F")
}

/// Where a redirect leads.
fn text(base: &BasePath, to: &str, asked: &str) -> String {
    let (origin, path) = match to.split_once("://") {
        Some((scheme, rest)) => {
            let cut = rest.find('/').unwrap_or(rest.len());
            to.split_at(scheme.len() + 3 + cut)
        }
        None => ("", to),
    };
    assert!(!is_ours(path), "{asked} is redirected out of {base}: {to}");
    let path = match path.strip_prefix(base.as_str()) {
        Some(rest) => format!("/{rest}"),
        None => path.to_owned(),
    };
    format!("{origin}{}", path.replace(&quoted(base), "%2F"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> BasePath {
        BasePath::parse("/b/").expect("a good base")
    }

    #[test]
    fn paths_get_the_base() {
        for (told, sent) in [
            ("/hub/home", "/b/hub/home"),
            ("/b/hub/home", "/b/hub/home"),
            (
                "/hub/login?next=%2Fhub%2Fx&a=%2F",
                "/b/hub/login?next=%2Fb%2Fhub%2Fx&a=%2F",
            ),
            ("/hub/login?next=/user/a/", "/b/hub/login?next=/b/user/a/"),
            ("/hub/login?next=//evil", "/b/hub/login?next=//evil"),
        ] {
            assert_eq!(outwards(&base(), told), sent);
        }
    }

    #[test]
    #[should_panic(expected = "leads out of /b/")]
    fn a_link_that_leads_out_is_seen() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        inwards(&base(), &mut headers, "<a href=\"/hub/home\">", "/");
    }

    #[test]
    #[should_panic(expected = "redirected out of /b/")]
    fn a_redirect_that_leads_out_is_seen() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static("/hub/home"));
        inwards(&base(), &mut headers, "", "/");
    }
}
