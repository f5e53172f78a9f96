//! The head of an HTTP/2 request becomes a [`Head`] (RFC 9113, section 8; RFC 8441, section 4).
//!
//! The codec has refused what it must (names in capitals, headers of one hop, pseudo-headers out of
//! place, control characters), and resets such a request. Here is refused what would become
//! something else when it is written in HTTP/1.1, so that both protocols keep the same rules.

use h2::ext::Protocol;
use hyper::{Method, http::request::Parts};

use crate::{
    fields::Known,
    head::{Head, Version},
    http1::{
        Refused,
        framing::{self, Framing},
        request::MOST_HEADERS,
    },
};

/// Reads it into `head`. `has_ended`: no body follows. `key`: for a WebSocket, what the server has
/// to prove that it read (RFC 6455, section 4.1).
pub(super) fn fill(
    head: &mut Head,
    parts: &Parts,
    has_ended: bool,
    most: usize,
    key: &str,
) -> Result<(), Refused> {
    let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
    let is_tunnel = match protocol {
        None => false,
        Some("websocket") => true,
        Some(_) => return Err(Refused::Unknown("tunnels carry nothing but WebSockets")),
    };
    // A tunnel is asked for by GET in HTTP/1.1; any other CONNECT is refused later.
    let method = if is_tunnel {
        &Method::GET
    } else {
        &parts.method
    };
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    head.begin(
        Version::Http2,
        method.as_str().as_bytes(),
        target.as_bytes(),
        authority.map(str::as_bytes),
    );
    let mut size = method.as_str().len() + target.len() + authority.map_or(0, str::len);
    let mut cookie = Vec::new();
    for (name, value) in &parts.headers {
        let (name, value) = (name.as_str(), value.as_bytes());
        // As it would be written in HTTP/1.1, so that both allow the same.
        size += name.len() + value.len() + 4;
        if size > most || head.fields.list.len() >= MOST_HEADERS {
            return Err(Refused::TooLarge);
        }
        // The one byte that the codec lets through and no token has (RFC 9110, section 5.6.2).
        if name.contains('"') {
            return Err(Refused::Bad("a header's name has a quotation mark"));
        }
        if value.trim_ascii().len() != value.len() {
            return Err(Refused::Bad("a header begins or ends with a blank"));
        }
        match name {
            // A client may cut it in pieces (RFC 9113, section 8.2.3).
            "cookie" => {
                if !cookie.is_empty() {
                    cookie.extend_from_slice(b"; ");
                }
                cookie.extend_from_slice(value);
            }
            "sec-websocket-key" | "sec-websocket-accept" if is_tunnel => {}
            _ => head.fields.push(name.as_bytes(), value),
        }
    }
    if !cookie.is_empty() {
        head.fields.push(b"cookie", &cookie);
    }
    if head.fields.list.iter().any(|field| is_of_hop(field.known)) {
        return Err(Refused::Bad("it has a header that HTTP/2 does not have"));
    }
    head.framing = length(head, has_ended)?;
    if is_tunnel {
        if head.fields.has(Known::ContentLength) {
            return Err(Refused::Bad("a tunnel has no length"));
        }
        head.framing = Framing::None;
        head.fields.push(b"upgrade", b"websocket");
        head.fields.push(b"sec-websocket-key", key.as_bytes());
    }
    head.finish()?;
    if is_tunnel {
        head.ask_upgrade();
    }
    Ok(())
}

/// Concerns connections of HTTP/1 (RFC 9113, section 8.2.2).
fn is_of_hop(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

fn length(head: &Head, has_ended: bool) -> Result<Framing, Refused> {
    match framing::of_request(&head.fields, true)? {
        Framing::Length(_) if has_ended => Err(Refused::Bad("its body is not as long as it says")),
        Framing::None if !has_ended && !head.fields.has(Known::ContentLength) => {
            Ok(Framing::Chunked)
        }
        framing => Ok(framing),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{
        Request,
        header::{HeaderName, HeaderValue},
    };

    use super::*;

    fn read(
        method: &str,
        uri: &str,
        fields: &[(&'static str, &'static str)],
        has_ended: bool,
    ) -> Result<Head, Refused> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            request = request.header(name, HeaderValue::from_static(value));
        }
        if fields.contains(&("sec-websocket-version", "13")) {
            request = request.extension(Protocol::from_static("websocket"));
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let mut head = Head::default();
        fill(&mut head, &parts, has_ended, 1_000, "fresh").map(|()| head)
    }

    #[test]
    fn a_request_is_what_it_would_be_in_http1() {
        let head = read(
            "POST",
            "https://lab:80/a%20b?c",
            &[("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2")],
            false,
        )
        .expect("valid");
        assert_eq!((head.path(), head.query()), ("/a%20b", &b"?c"[..]));
        assert_eq!(head.host(), Some(&b"lab:80"[..]));
        assert_eq!(head.fields.first(Known::Cookie), Some(&b"a=1; b=2"[..]));
        assert_eq!(head.framing, Framing::Chunked);
        let check = |fields: &[(&'static str, &'static str)], has_ended, expect| {
            let head = read("POST", "https://lab/", fields, has_ended);
            assert_eq!(head.map(|head| head.framing).ok(), expect, "{fields:?}");
        };
        check(&[], true, Some(Framing::None));
        check(&[("content-length", "0")], false, Some(Framing::None));
        check(&[("content-length", "3")], false, Some(Framing::Length(3)));
        check(&[("content-length", "3")], true, None);
    }

    #[test]
    fn what_http1_would_read_otherwise_is_refused() {
        for fields in [
            &[("transfer-encoding", "chunked")][..],
            &[("connection", "close")],
            &[("upgrade", "h2c")],
            &[("keep-alive", "1")],
            &[("proxy-connection", "close")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "+1")],
            &[("content_length", "1")],
            &[("transfer_encoding", "chunked")],
            &[("host", "evil")],
            &[("host", "lab"), ("host", "lab")],
            &[("x-a", " 1")],
            &[("x-a", "1\t")],
        ] {
            let read = read("POST", "https://lab/", fields, false);
            assert!(read.is_err(), "{fields:?}");
        }
        assert!(matches!(read("GET", "/", &[], true), Err(Refused::NoHost)));
        assert!(read("GET", "https://user@lab/", &[], true).is_err());
    }

    #[test]
    fn a_websocket_is_asked_for_anew() {
        let head = read(
            "CONNECT",
            "https://lab/ws",
            &[
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", "old"),
            ],
            false,
        )
        .expect("valid");
        assert_eq!(head.method(), b"GET");
        assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
        let keys: Vec<&[u8]> = (head.fields.list.iter())
            .filter(|field| head.fields.at(field.name) == b"sec-websocket-key")
            .map(|field| head.fields.at(field.value))
            .collect();
        assert_eq!(keys, [b"fresh"]);
        let plain = read("CONNECT", "lab:80", &[], false).expect("refused later");
        assert_eq!(plain.method(), b"CONNECT");
    }
}
