//! A request's head, whichever protocol it came by: what every decision looks at.
//!
//! HTTP/1 fills it from a connection's bytes (`http1/request.rs`), HTTP/2 through [`Head::begin`],
//! [`Head::fields`] and [`Head::finish`]. It owns its text, so that the connection's buffer is free
//! for the body, and is used again for the next request on the same connection.

use hyper::Method;

use crate::{
    fields::{Fields, Known, Span},
    http1::{Refused, framing::Framing},
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) fields: Fields,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    method: Span,
    /// Path and query.
    target: Span,
    path_length: u32,
    /// From an absolute address or `:authority`.
    authority: Option<Span>,
    /// The client wants its connection kept.
    pub(crate) keep_alive: bool,
    /// It waits for a word before it sends its body.
    pub(crate) expects_continue: bool,
    asks_upgrade: bool,
}

impl Head {
    /// Starts anew with these; the path is taken byte for byte.
    pub(crate) fn begin(
        &mut self,
        version: Version,
        method: &[u8],
        target: &[u8],
        authority: Option<&[u8]>,
    ) {
        self.fields.clear();
        self.version = version;
        self.framing = Framing::None;
        let method = self.fields.append(method);
        let target = self.fields.append(target);
        let authority = authority.map(|authority| self.fields.append(authority));
        self.set_line(method, target, authority);
    }

    pub(crate) fn set_line(&mut self, method: Span, target: Span, authority: Option<Span>) {
        self.method = method;
        self.target = target;
        self.authority = authority;
        let text = self.fields.at(target);
        self.path_length = memchr::memchr(b'?', text).unwrap_or(text.len()) as u32;
    }

    /// To be called when all fields are in: reads what they say together.
    pub(crate) fn finish(&mut self) -> Result<(), Refused> {
        let is_http11 = self.version == Version::Http11;
        let (mut close, mut keep, mut upgrade) = (false, false, false);
        let mut has_connection = false;
        for token in self.fields.tokens(Known::Connection) {
            has_connection = true;
            close |= token.eq_ignore_ascii_case(b"close");
            keep |= token.eq_ignore_ascii_case(b"keep-alive");
            upgrade |= token.eq_ignore_ascii_case(b"upgrade");
        }
        if has_connection {
            self.fields
                .mark_named()
                .ok_or(Refused::Bad("its connection header names too much"))?;
        }
        self.keep_alive = !close && (is_http11 || keep);
        self.expects_continue = is_http11
            && self
                .fields
                .tokens(Known::Expect)
                .any(|token| token.eq_ignore_ascii_case(b"100-continue"));
        // `h2c` is left out: the request is then answered as the plain request it also is. A
        // request with a body cannot be a tunnel's beginning: its body would be the first bytes.
        self.asks_upgrade = upgrade
            && is_http11
            && self.framing == Framing::None
            && self.fields.has(Known::Upgrade)
            && !self.fields.tokens(Known::Upgrade).any(|token| {
                token.eq_ignore_ascii_case(b"h2c") || token.eq_ignore_ascii_case(b"h2")
            });
        self.check_hosts()
    }

    /// The request becomes a tunnel (RFC 8441, section 4); its protocol stands under `Upgrade`.
    pub(crate) fn ask_upgrade(&mut self) {
        self.asks_upgrade = true;
    }

    /// Exactly one host, and the same one in both places (RFC 9112, section 3.2).
    fn check_hosts(&self) -> Result<(), Refused> {
        let mut hosts = self.fields.all(Known::Host);
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(Refused::TwoHosts);
        }
        let authority = self.authority.map(|authority| self.fields.at(authority));
        match (host, authority) {
            (None, None) if self.version >= Version::Http11 => {
                return Err(Refused::NoHost);
            }
            (None, _) if self.version == Version::Http11 => {
                return Err(Refused::NoHost);
            }
            (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
                return Err(Refused::HostsDiffer);
            }
            _ => {}
        }
        for name in host.into_iter().chain(authority) {
            if !is_host(name) {
                return Err(Refused::Bad("its host is not a name"));
            }
        }
        Ok(())
    }

    pub(crate) fn method(&self) -> &[u8] {
        self.fields.at(self.method)
    }

    /// None for what is no method; the parsers let none of these in.
    pub(crate) fn to_method(&self) -> Option<Method> {
        Method::from_bytes(self.method()).ok()
    }

    /// Path and query as they came.
    pub(crate) fn target(&self) -> &[u8] {
        self.fields.at(self.target)
    }

    /// The path as it came. Empty if it is not text, which `check` refuses.
    pub(crate) fn path(&self) -> &str {
        let path = &self.target()[..self.path_length as usize];
        std::str::from_utf8(path).unwrap_or_default()
    }

    /// With its question mark; empty if there is none.
    pub(crate) fn query(&self) -> &[u8] {
        &self.target()[self.path_length as usize..]
    }

    pub(crate) fn host(&self) -> Option<&[u8]> {
        let authority = || self.authority.map(|authority| self.fields.at(authority));
        self.fields.first(Known::Host).or_else(authority)
    }

    /// The protocol the client asks to change to, if it really asks (RFC 9110, section 7.8).
    pub(crate) fn upgrade(&self) -> Option<&[u8]> {
        self.asks_upgrade
            .then(|| self.fields.first(Known::Upgrade))
            .flatten()
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    pub(crate) fn has_body(&self) -> bool {
        self.framing != Framing::None
    }

    /// Whether it may be sent a second time (RFC 9110, section 9.2.2).
    pub(crate) fn is_repeatable(&self) -> bool {
        !self.has_body()
            && matches!(
                self.method(),
                b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
            )
    }
}

/// Characters of a host and port (RFC 3986, section 3.2.2), without those that end it elsewhere.
fn is_host(name: &[u8]) -> bool {
    name.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b':'
                    | b'['
                    | b']'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_fills_the_same_head() {
        let mut head = Head::default();
        head.begin(Version::Http2, b"GET", b"/a%20b?c", Some(b"lab:80"));
        head.fields.push(b"accept", b"text/html");
        head.finish().expect("valid");
        assert_eq!((head.path(), head.query()), ("/a%20b", &b"?c"[..]));
        assert_eq!(head.host(), Some(&b"lab:80"[..]));
        assert!(head.is_repeatable() && !head.keep_alive && head.upgrade().is_none());
        head.begin(Version::Http2, b"GET", b"/", Some(b"lab"));
        head.fields.push(b"host", b"evil");
        assert!(head.finish().is_err());
    }
}
