//! The head of a request becomes a [`Head`] (RFC 9112, sections 3 and 5).

use std::mem::MaybeUninit;

use crate::{
    fields::Span,
    head::{Head, Version},
};

use super::{Refused, framing};

/// More headers than this are answered 431.
pub(crate) const MOST_HEADERS: usize = 128;

/// Reads a whole head, as found by [`super::scan::Scan`], into `head`.
pub(crate) fn parse(bytes: &[u8], head: &mut Head) -> Result<(), Refused> {
    head.fields.clear();
    head.fields.text.extend_from_slice(bytes);
    let text = std::mem::take(&mut head.fields.text);
    let lines = read_lines(&text, head);
    head.fields.text = text;
    let line = lines?;
    head.fields.know();
    head.version = line.version;
    head.set_line(line.method, line.target, line.authority);
    head.framing = framing::of_request(&head.fields, line.version == Version::Http11)?;
    head.finish()
}

struct Line {
    version: Version,
    method: Span,
    target: Span,
    authority: Option<Span>,
}

fn read_lines(text: &[u8], head: &mut Head) -> Result<Line, Refused> {
    let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_request_with_uninit_headers(&mut request, text, &mut room)
        .map_err(refused)?;
    if status != httparse::Status::Complete(text.len()) {
        return Err(Refused::Bad("its headers end in two places"));
    }
    let base = text.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        Span::new(start, start + part.len())
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(Refused::Bad("its first line is not one of HTTP"));
    };
    if text.first().is_none_or(u8::is_ascii_whitespace) {
        return Err(Refused::Bad("its first line is empty"));
    }
    for header in request.headers.iter() {
        head.fields
            .enter(span(header.name.as_bytes()), span(header.value));
    }
    let whole = span(target.as_bytes());
    let (authority, target) = split_target(target, whole)?;
    Ok(Line {
        version: if version == 0 {
            Version::Http10
        } else {
            Version::Http11
        },
        method: span(method.as_bytes()),
        target,
        authority,
    })
}

/// An absolute address names its host beside its path (RFC 9112, section 3.2.2).
fn split_target(target: &str, whole: Span) -> Result<(Option<Span>, Span), Refused> {
    if target.contains('#') {
        return Err(Refused::Bad("its address has a fragment"));
    }
    let bytes = target.as_bytes();
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        bytes.len() >= scheme.len() && bytes[..scheme.len()].eq_ignore_ascii_case(scheme)
    });
    let Some(scheme) = scheme else {
        return Ok((None, whole));
    };
    let rest = &bytes[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let Some(end) = end.filter(|end| rest[*end] == b'/') else {
        return Err(Refused::Bad("its address has no path"));
    };
    let start = whole.start + scheme.len() as u32;
    let middle = start + end as u32;
    let authority = Span { start, end: middle };
    Ok((
        Some(authority),
        Span {
            start: middle,
            end: whole.end,
        },
    ))
}

pub(crate) fn refused(error: httparse::Error) -> Refused {
    match error {
        httparse::Error::TooManyHeaders => Refused::TooLarge,
        httparse::Error::Version => Refused::Bad("its version is not HTTP/1.0 or HTTP/1.1"),
        httparse::Error::HeaderName => {
            Refused::Bad("a header's name has a character that is none of a name")
        }
        httparse::Error::HeaderValue => {
            Refused::Bad("a header's value has a control character in it")
        }
        httparse::Error::NewLine => Refused::Bad("a line does not end in CR LF"),
        httparse::Error::Token => Refused::Bad("its first line is not one of HTTP"),
        _ => Refused::Bad("it is not HTTP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fields::Known, http1::framing::Framing};

    #[test]
    fn a_head_is_indexed() {
        let mut head = Head::default();
        for _ in 0..2 {
            parse(
                b"POST /a?b HTTP/1.1\r\nHOST: Lab:80\r\nContent-Length: 5\r\nX-A:  v \r\nX-Empty:\r\n\r\n",
                &mut head,
            )
            .expect("valid");
            assert_eq!((head.method(), head.path()), (&b"POST"[..], "/a"));
            assert_eq!(
                (head.query(), head.host()),
                (&b"?b"[..], Some(&b"Lab:80"[..]))
            );
            assert_eq!(head.framing, Framing::Length(5));
            let fields: Vec<_> = head
                .fields
                .list
                .iter()
                .map(|field| (head.fields.at(field.name), head.fields.at(field.value)))
                .collect();
            assert_eq!(fields[0], (&b"host"[..], &b"Lab:80"[..]));
            assert_eq!(fields[2], (&b"x-a"[..], &b"v"[..]));
            assert_eq!(fields[3], (&b"x-empty"[..], &b""[..]));
            assert_eq!(head.fields.list[1].known, Known::ContentLength);
        }
    }

    #[test]
    fn heads_with_two_meanings_are_refused() {
        for wrong in [
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
            "GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a?/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: \u{7f}\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX@: 1\r\n\r\n",
        ] {
            let mut head = Head::default();
            assert!(parse(wrong.as_bytes(), &mut head).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn too_many_headers_are_refused() {
        let mut head = Head::default();
        let lines = "X: 1\r\n".repeat(MOST_HEADERS);
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(parse(text.as_bytes(), &mut head), Err(Refused::TooLarge));
    }

    #[test]
    fn an_absolute_address_is_its_path() {
        let mut head = Head::default();
        parse(
            b"GET HTTP://Lab:80/x?y HTTP/1.1\r\nHost: lab:80\r\n\r\n",
            &mut head,
        )
        .expect("valid");
        assert_eq!((head.target(), head.path()), (&b"/x?y"[..], "/x"));
    }
}
