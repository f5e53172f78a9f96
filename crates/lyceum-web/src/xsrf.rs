//! Proof that a state-changing request comes from a page of ours.
//!
//! The token is a MAC over the session (or, before sign-in, over address and user agent), so it can't
//! be made elsewhere, moved to another session, or replaced by a tossed cookie. It is taken from
//! `_xsrf` (query or form), `X-XSRFToken` or `X-CSRFToken`.
//!
//! Which requests need it follows JupyterHub's contract: every one that a cookie authenticates, also
//! a GET made by a script (`Sec-Fetch-Mode: cors`), but not navigation.

use axum::http::{HeaderMap, Method};
use subtle::ConstantTimeEq;

use crate::request::{RequestInfo, header};

/// Makes and checks tokens.
#[derive(Clone)]
pub struct XsrfKey([u8; 32]);

/// To what a token is bound.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// The hash of the session's cookie: as secret as the session, changes at each sign-in.
    Session(&'a str),
    Anonymous(&'a RequestInfo),
    /// That the person of this session has said yes to this OAuth client, on a page that said what it
    /// learns. No request is proved by it.
    Agreed {
        session: &'a str,
        client: &'a str,
    },
}

impl XsrfKey {
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub fn token(&self, binding: Binding<'_>) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        match binding {
            Binding::Session(session) => {
                hasher.update(b"session\0");
                hasher.update(session.as_bytes());
            }
            Binding::Anonymous(info) => {
                hasher.update(b"anonymous\0");
                hasher.update(info.address.to_string().as_bytes());
                hasher.update(b"\0");
                hasher.update(info.agent.as_bytes());
            }
            Binding::Agreed { session, client } => {
                hasher.update(b"agreed\0");
                hasher.update(session.as_bytes());
                hasher.update(b"\0");
                hasher.update(client.as_bytes());
            }
        }
        data_encoding::BASE64URL_NOPAD.encode(hasher.finalize().as_bytes())
    }

    pub fn accepts(&self, binding: Binding<'_>, given: &str) -> bool {
        self.token(binding)
            .as_bytes()
            .ct_eq(given.as_bytes())
            .into()
    }
}

/// Whether a request that a cookie authenticates must carry a token.
pub fn needed(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let mode = header(headers, "sec-fetch-mode");
    let site = header(headers, "sec-fetch-site");
    !matches!(
        (mode, site),
        (None | Some("navigate" | "websocket"), _) | (Some("no-cors"), Some("same-origin"))
    )
}

/// The token as sent in a header or the query; one in a form is read by the caller.
pub fn given_outside_body(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    header(headers, "x-xsrftoken")
        .or_else(|| header(headers, "x-csrftoken"))
        .map(str::to_owned)
        .or_else(|| {
            url::form_urlencoded::parse(query?.as_bytes())
                .find(|(key, _)| key == "_xsrf")
                .map(|(_, value)| value.into_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_session_only() {
        let key = XsrfKey::new([7; 32]);
        let token = key.token(Binding::Session("a"));
        assert!(key.accepts(Binding::Session("a"), &token));
        assert!(!key.accepts(Binding::Session("b"), &token));
        assert!(!XsrfKey::new([8; 32]).accepts(Binding::Session("a"), &token));
        assert!(!key.accepts(Binding::Session("a"), ""));
        let agreed = |session, client| Binding::Agreed { session, client };
        let token = key.token(agreed("a", "x"));
        assert!(key.accepts(agreed("a", "x"), &token));
        for other in [agreed("b", "x"), agreed("a", "y"), Binding::Session("a")] {
            assert!(!key.accepts(other, &token), "{other:?}");
        }
    }

    #[test]
    fn which_requests_need_one() {
        let check = |method: Method, mode: Option<&str>, site: Option<&str>, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(mode) = mode {
                headers.insert("sec-fetch-mode", mode.parse().expect("a header"));
            }
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().expect("a header"));
            }
            assert_eq!(
                needed(&method, &headers),
                expect,
                "{method} {mode:?} {site:?}"
            );
        };
        check(Method::GET, None, None, false);
        check(Method::GET, Some("navigate"), Some("cross-site"), false);
        check(Method::GET, Some("cors"), Some("same-origin"), true);
        check(Method::GET, Some("no-cors"), Some("same-origin"), false);
        check(Method::GET, Some("no-cors"), Some("same-site"), true);
        check(Method::GET, Some("no-cors"), None, true);
        check(Method::GET, Some("websocket"), Some("same-origin"), false);
        check(Method::POST, None, None, true);
        check(Method::POST, Some("navigate"), Some("same-origin"), true);
        check(Method::DELETE, Some("cors"), Some("same-origin"), true);
    }
}
