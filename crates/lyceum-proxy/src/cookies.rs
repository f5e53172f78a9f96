//! The cookies that only the hub may see or set, and what a request offers to say who it is.

use std::borrow::Cow;

use crate::{
    access::Credential,
    fields::{Fields, Known},
};

/// The names of cookies that only the hub may see or set.
#[derive(Debug)]
pub(crate) struct HiddenCookies(Vec<String>);

impl HiddenCookies {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(
            names
                .map(|name| String::from_utf8_lossy(bare(name.as_bytes())).to_ascii_lowercase())
                .collect(),
        )
    }

    /// Browsers fold the case of the prefixes, and servers differ, so names are compared without it.
    fn hides(&self, name: &[u8]) -> bool {
        let name = bare(trim(name));
        self.0
            .iter()
            .any(|hidden| hidden.as_bytes().eq_ignore_ascii_case(name))
    }

    /// A pair such as `a=1`. A browser sends a nameless cookie as its bare value, so `=a=1` and
    /// `a` are read as the name `a` too.
    fn hides_pair(&self, pair: &[u8]) -> bool {
        let start = pair
            .iter()
            .position(|byte| !is_space(*byte) && *byte != b'=')
            .unwrap_or(pair.len());
        let name = pair[start..].split(|byte| *byte == b'=').next();
        self.hides(name.unwrap_or_default())
    }

    /// A `Cookie` value without the hidden ones; none if nothing is left.
    pub(crate) fn strip_request<'a>(&self, value: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if !pairs(value).any(|pair| self.hides_pair(pair)) {
            return Some(Cow::Borrowed(value));
        }
        let mut kept = Vec::with_capacity(value.len());
        for pair in pairs(value).filter(|pair| !self.hides_pair(pair)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(trim(pair));
        }
        (!kept.is_empty()).then_some(Cow::Owned(kept))
    }

    /// Whether this `Set-Cookie` value would set a hidden cookie.
    pub(crate) fn hides_set_cookie(&self, value: &[u8]) -> bool {
        pairs(value)
            .next()
            .is_some_and(|pair| self.hides_pair(pair))
    }
}

fn bare(name: &[u8]) -> &[u8] {
    for prefix in [&b"__Host-"[..], b"__Secure-"] {
        if name.len() >= prefix.len() && name[..prefix.len()].eq_ignore_ascii_case(prefix) {
            return &name[prefix.len()..];
        }
    }
    name
}

fn pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';')
}

/// Also what readers of Latin-1 take for a blank.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0x85 | 0xa0)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// One character per byte, so that any byte survives.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Browsers take a cookie of such a name from the host itself alone, by TLS.
const ONE_HOST: &[u8] = b"__Host-";

/// At most this many cookies of one name and request are tried.
const TRIED_COOKIES: usize = 3;

/// The token that a program brings.
pub(crate) fn token(fields: &Fields) -> Option<Credential> {
    fields
        .all(Known::Authorization)
        .filter(|value| value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')))
        .find_map(|value| {
            let value = value.trim_ascii();
            let blank = memchr::memchr(b' ', value)?;
            let (scheme, secret) = (&value[..blank], value[blank..].trim_ascii());
            let known =
                scheme.eq_ignore_ascii_case(b"token") || scheme.eq_ignore_ascii_case(b"bearer");
            (known && !secret.is_empty()).then(|| Credential::Token(latin1(secret)))
        })
}

/// What a request offers to say who it is; never empty. A token decides alone. Several access
/// cookies are each tried, because a page of one server can plant a cookie for another's path; first
/// those that by their name nobody can have planted.
pub(crate) fn credentials(fields: &Fields, cookie_name: &str) -> Vec<Credential> {
    if let Some(token) = token(fields) {
        return vec![token];
    }
    let mut found = Vec::new();
    for is_of_host in [true, false] {
        for pair in fields.all(Known::Cookie).flat_map(pairs) {
            if let Some(equals) = memchr::memchr(b'=', pair)
                && let name = trim(&pair[..equals])
                && let bare = name.strip_prefix(ONE_HOST).filter(|_| is_of_host)
                && bare.unwrap_or(name) == cookie_name.as_bytes()
                && bare.is_some() == is_of_host
                && let secret = trim(&pair[equals + 1..])
                && !secret.is_empty()
            {
                let credential = Credential::AccessCookie(latin1(secret));
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

/// The values of a cookie that proves nothing. A browser may send several of one name.
pub(crate) fn values<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let of_name = move |pair: &'a [u8]| {
        let equals = memchr::memchr(b'=', pair)?;
        let fits = !name.is_empty() && trim(&pair[..equals]) == name.as_bytes();
        let value = trim(&pair[equals + 1..]);
        let inner = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        fits.then(|| inner.unwrap_or(value))
    };
    let pairs = fields.all(Known::Cookie).flat_map(pairs);
    pairs.filter_map(of_name).take(TRIED_COOKIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden() -> HiddenCookies {
        HiddenCookies::new(["lyceum-access", "jupyterhub-hub-login"].into_iter())
    }

    #[test]
    fn hidden_cookies_leave_the_request() {
        let check = |before: &[u8], after: Option<&[u8]>| {
            let hidden = hidden();
            let got = hidden.strip_request(before);
            assert_eq!(got.as_deref(), after, "{before:?}");
        };
        check(b"a=1; lyceum-access=x; b=2", Some(b"a=1; b=2"));
        check(b"lyceum-access=x", None);
        check(b"a=1;b=2", Some(b"a=1;b=2"));
        check(b"__Host-lyceum-access=x; c=3", Some(b"c=3"));
        check(b"__secure-Jupyterhub-Hub-Login=x;e=\"5\"", Some(b"e=\"5\""));
        check(b"lyceum-access; f=6", Some(b"f=6"));
        check(b"xlyceum-access=1", Some(b"xlyceum-access=1"));
        check(b"a=\xfc\xc3\xa9; lyceum-access=x", Some(b"a=\xfc\xc3\xa9"));
        check(b"\xa0lyceum-access=x; g=7", Some(b"g=7"));
    }

    #[test]
    fn servers_cannot_set_hidden_cookies() {
        for value in [
            "lyceum-access=evil; Path=/",
            "__Host-lyceum-access=evil; Secure",
            "=lyceum-access=evil",
            " =  __Secure-JUPYTERHUB-hub-login=evil",
            "lyceum-access",
        ] {
            assert!(hidden().hides_set_cookie(value.as_bytes()), "{value}");
        }
        for value in [
            "_xsrf=1; Path=/user/ada/",
            "session=2; Comment=lyceum-access",
        ] {
            assert!(!hidden().hides_set_cookie(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn a_token_goes_before_cookies() {
        let check = |pairs: &[(&str, &str)], expect: &[Credential]| {
            let mut fields = Fields::default();
            for (name, value) in pairs {
                fields.push(name.as_bytes(), value.as_bytes());
            }
            assert_eq!(credentials(&fields, "lyceum-access"), expect, "{pairs:?}");
        };
        let cookie = |secret: &str| Credential::AccessCookie(secret.into());
        let token = |secret: &str| Credential::Token(secret.into());
        check(&[], &[Credential::None]);
        check(&[("cookie", "x=1; lyceum-access=s")], &[cookie("s")]);
        check(
            &[("cookie", "lyceum-access=s"), ("authorization", "ToKeN  t")],
            &[token("t")],
        );
        check(&[("authorization", "Bearer t")], &[token("t")]);
        let planted = "lyceum-access=a; lyceum-access=b; lyceum-access=c; __Host-lyceum-access=own";
        check(
            &[("cookie", planted)],
            &[cookie("own"), cookie("a"), cookie("b")],
        );
        check(
            &[
                ("cookie", "lyceum-access=s"),
                ("authorization", "Basic dTpw"),
            ],
            &[cookie("s")],
        );
        check(
            &[(
                "cookie",
                "lyceum-access=a; lyceum-access=b; lyceum-access=a",
            )],
            &[cookie("a"), cookie("b")],
        );
    }
}
