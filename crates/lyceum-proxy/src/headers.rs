//! Which headers go on, and which are ours.
//!
//! RFC 9110, section 7.6.1: what `Connection` names concerns one hop only and is not forwarded;
//! nor are the headers that have always been hop-by-hop. Length headers are never dropped on a
//! client's word. Everything else passes as it came, except for what only the proxy may say
//! (`X-Forwarded-*`, `X-Request-Id`, `X-Lyceum-*`) and the cookies that only the hub may see.

use hyper::{
    HeaderMap,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, SET_COOKIE, TE,
        TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::access::Credential;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Copies what may go on to the next hop. `Transfer-Encoding`, `Connection` and `Upgrade` are left
/// to the caller, who knows what the next hop needs.
pub(crate) fn copy_end_to_end(from: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let named: Vec<HeaderName> = from
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    let mut to = HeaderMap::with_capacity(from.len() + 8);
    for (name, value) in from {
        let hop = *name == CONNECTION
            || *name == KEEP_ALIVE
            || *name == PROXY_CONNECTION
            || *name == TE
            || *name == TRANSFER_ENCODING
            || *name == UPGRADE
            || *name == HTTP2_SETTINGS
            || (named.contains(name) && *name != HOST && *name != CONTENT_LENGTH);
        if !hop && keep(name) {
            to.append(name.clone(), value.clone());
        }
    }
    // The one `TE` that means something to the next hop as well: trailers are forwarded.
    if from
        .get_all(TE)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case(b"trailers"))
    {
        to.insert(TE, HeaderValue::from_static("trailers"));
        to.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    to
}

/// Header names that only a proxy may speak for a client; `_` counts as `-`, because some servers
/// cannot tell them apart.
pub(crate) fn is_forwarding_header(name: &HeaderName) -> bool {
    let name = name.as_str();
    let Some(first) = name.bytes().next() else {
        return false;
    };
    if first != b'x' && first != b'f' {
        return false;
    }
    let name = name.replace('_', "-");
    name.starts_with("x-forwarded-")
        || matches!(
            name.as_str(),
            "forwarded" | "x-forwarded" | "x-real-ip" | "x-scheme"
        )
}

/// Headers by which an answer speaks for the whole site and not for its own path. A server that
/// belongs to one person has no say there: a service worker let in by it would see everybody's
/// passwords.
pub(crate) fn speaks_for_the_site(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "service-worker-allowed"
            | "clear-site-data"
            | "strict-transport-security"
            | "alt-svc"
            | "nel"
            | "report-to"
            | "reporting-endpoints"
    )
}

/// Header names that nobody outside may use.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with('x') && {
        let name = name.replace('_', "-");
        name.starts_with("x-lyceum-") || name == "x-request-id"
    }
}

/// The protocol a client asks to change to, if it really asks (RFC 9110, section 7.8). `h2c` is
/// left out: the request is then answered as the plain request it also is.
pub(crate) fn asked_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(UPGRADE)?;
    let asks = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let http2 = headers
        .get_all(UPGRADE)
        .iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case(b"h2c") || token.eq_ignore_ascii_case(b"h2"));
    (asks && !http2).then(|| value.clone())
}

fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

/// The names of cookies that only the hub may see or set.
#[derive(Debug)]
pub(crate) struct HiddenCookies(Vec<String>);

impl HiddenCookies {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.map(|name| bare(name).to_ascii_lowercase()).collect())
    }

    /// Browsers fold the case of the prefixes, and servers differ, so names are compared without it.
    fn hides(&self, name: &str) -> bool {
        let name = bare(name.trim());
        self.0
            .iter()
            .any(|hidden| hidden.eq_ignore_ascii_case(name))
    }

    /// A pair such as `a=1`. A browser sends a nameless cookie as its bare value, so `=a=1` and
    /// `a` are read as the name `a` too.
    fn hides_pair(&self, pair: &str) -> bool {
        let pair = pair.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        self.hides(pair.split('=').next().unwrap_or_default())
    }

    /// Takes the hidden cookies out of a request.
    pub(crate) fn strip_request(&self, headers: &mut HeaderMap) {
        let all: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
        let any_hidden = all
            .iter()
            .any(|value| pairs(value).any(|pair| self.hides_pair(&pair)));
        if !any_hidden {
            return;
        }
        headers.remove(COOKIE);
        for value in all {
            let kept: Vec<_> = pairs(&value)
                .filter(|pair| !self.hides_pair(pair))
                .collect();
            let kept: Vec<&str> = kept.iter().map(|pair| pair.trim()).collect();
            if !kept.is_empty()
                && let Ok(value) = HeaderValue::from_bytes(&latin1(&kept.join("; ")))
            {
                headers.append(COOKIE, value);
            }
        }
    }

    /// Takes out of an answer what would set a hidden cookie.
    pub(crate) fn strip_response(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(SET_COOKIE) {
            return;
        }
        let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for value in all {
            let hidden = pairs(&value)
                .next()
                .is_some_and(|pair| self.hides_pair(&pair));
            if !hidden {
                headers.append(SET_COOKIE, value);
            }
        }
    }
}

fn bare(name: &str) -> &str {
    for prefix in ["__Host-", "__Secure-"] {
        if let Some(head) = name.get(..prefix.len())
            && head.eq_ignore_ascii_case(prefix)
        {
            return &name[prefix.len()..];
        }
    }
    name
}

/// The parts between semicolons, one character per byte so that any byte survives the round trip.
fn pairs(value: &HeaderValue) -> impl Iterator<Item = String> {
    value
        .as_bytes()
        .split(|byte| *byte == b';')
        .map(|part| part.iter().map(|byte| char::from(*byte)).collect())
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| c as u32 as u8).collect()
}

/// At most this many access cookies of one request are tried.
const TRIED_COOKIES: usize = 3;

/// What a request offers to say who it is; never empty. A token decides alone. Several access
/// cookies are each tried, because a page of one server can plant a cookie for another's path.
pub(crate) fn credentials(headers: &HeaderMap, cookie_name: &str) -> Vec<Credential> {
    let token = headers
        .get_all(hyper::header::AUTHORIZATION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| {
            let (scheme, secret) = value.trim().split_once(' ')?;
            let known =
                scheme.eq_ignore_ascii_case("token") || scheme.eq_ignore_ascii_case("bearer");
            let secret = secret.trim();
            (known && !secret.is_empty()).then(|| Credential::Token(secret.to_owned()))
        });
    if let Some(token) = token {
        return vec![token];
    }
    let mut found = Vec::new();
    for value in headers.get_all(COOKIE) {
        for pair in pairs(value) {
            if let Some((name, secret)) = pair.split_once('=')
                && name.trim() == cookie_name
                && !secret.trim().is_empty()
            {
                let credential = Credential::AccessCookie(secret.trim().to_owned());
                if found.len() < TRIED_COOKIES && !found.contains(&credential) {
                    found.push(credential);
                }
            }
        }
    }
    if found.is_empty() {
        found.push(Credential::None);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> HiddenCookies {
        HiddenCookies::new(["lyceum-access", "jupyterhub-hub-login"].into_iter())
    }

    #[test]
    fn one_persons_server_does_not_speak_for_the_site() {
        for name in ["service-worker-allowed", "clear-site-data", "alt-svc"] {
            assert!(
                speaks_for_the_site(&HeaderName::from_static(name)),
                "{name}"
            );
        }
        for name in ["content-type", "content-security-policy", "set-cookie"] {
            assert!(
                !speaks_for_the_site(&HeaderName::from_static(name)),
                "{name}"
            );
        }
    }

    #[test]
    fn hidden_cookies_leave_the_request() {
        let check = |before: &[&'static str], after: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in before {
                headers.append(COOKIE, HeaderValue::from_static(value));
            }
            hidden().strip_request(&mut headers);
            let got: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(got, after, "{before:?}");
        };
        check(&["a=1; lyceum-access=x; b=2"], &["a=1; b=2"]);
        check(&["lyceum-access=x"], &[]);
        check(&["a=1;b=2"], &["a=1;b=2"]);
        check(&["__Host-lyceum-access=x; c=3", "d=4"], &["c=3", "d=4"]);
        check(&["__secure-Jupyterhub-Hub-Login=x;e=\"5\""], &["e=\"5\""]);
        check(&["lyceum-access; f=6"], &["f=6"]);
        check(&["xlyceum-access=1"], &["xlyceum-access=1"]);
    }

    #[test]
    fn bytes_of_other_cookies_survive() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"a=\xfc\xc3\xa9; lyceum-access=x").expect("valid");
        headers.append(COOKIE, value);
        hidden().strip_request(&mut headers);
        assert_eq!(headers[COOKIE].as_bytes(), b"a=\xfc\xc3\xa9");
    }

    #[test]
    fn servers_cannot_set_hidden_cookies() {
        let mut headers = HeaderMap::new();
        for value in [
            "lyceum-access=evil; Path=/",
            "__Host-lyceum-access=evil; Secure",
            "=lyceum-access=evil",
            " =  __Secure-JUPYTERHUB-hub-login=evil",
            "lyceum-access",
            "_xsrf=1; Path=/user/ada/",
            "session=2; Comment=lyceum-access",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        hidden().strip_response(&mut headers);
        let got: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(
            got,
            [
                "_xsrf=1; Path=/user/ada/",
                "session=2; Comment=lyceum-access"
            ]
        );
    }

    #[test]
    fn a_token_goes_before_cookies() {
        let check = |pairs: &[(HeaderName, &'static str)], expect: &[Credential]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
            assert_eq!(credentials(&headers, "lyceum-access"), expect, "{pairs:?}");
        };
        let auth = hyper::header::AUTHORIZATION;
        let cookie = |secret: &str| Credential::AccessCookie(secret.into());
        let token = |secret: &str| Credential::Token(secret.into());
        check(&[], &[Credential::None]);
        check(&[(COOKIE, "x=1; lyceum-access=s")], &[cookie("s")]);
        check(
            &[(COOKIE, "lyceum-access=s"), (auth.clone(), "ToKeN  t")],
            &[token("t")],
        );
        check(&[(auth.clone(), "Bearer t")], &[token("t")]);
        check(
            &[(COOKIE, "lyceum-access=s"), (auth, "Basic dTpw")],
            &[cookie("s")],
        );
        check(
            &[(COOKIE, "lyceum-access=a; lyceum-access=b; lyceum-access=a")],
            &[cookie("a"), cookie("b")],
        );
    }
}
