//! An answer from a server's bytes to the client's: the same end, and nothing for others in it.

use crate::{
    head::{Head, Version},
    http1::{
        answer::{self, Answer},
        chunked,
        framing::Framing,
        request,
        scan::Scan,
    },
    outgoing::{self, Ending},
    request::{Ctx, find_way},
    request_id::RequestId,
};

use super::{
    body, heads,
    naive::{self, End, Message},
    world::{HIDDEN, worlds},
};

const LONGEST: u64 = 64 * 1024;

/// A byte of settings, then what a server sends.
pub fn response_head(data: &[u8]) {
    let [settings, input @ ..] = data else {
        return;
    };
    let world = &worlds()[usize::from(settings & 3) % 3];
    let head = asked(settings >> 2);
    let Ok(Some(end)) = Scan::default().find_end(input) else {
        return;
    };
    let mut answer = Answer::default();
    if answer::parse(&input[..end], head.is_head(), &mut answer).is_err() {
        return;
    }
    let came = Message::strict(&input[..end]);
    check_as_it_came(&answer, &came);
    // A change of protocols has no end that we could tell.
    if answer.status < 200 {
        return;
    }
    let Some((body, used)) = body_of(&answer, &input[end..]) else {
        return;
    };
    // Nothing can come after an answer that ends with its connection.
    assert!(!answer.keep_alive || answer.framing != Framing::UntilClose);
    assert!(used <= input.len() - end || matches!(answer.framing, Framing::Length(_)));

    let has_length = matches!(answer.framing, Framing::None | Framing::Length(_));
    let newer = head.version >= Version::Http11;
    let ending = Ending {
        keep_alive: head.keep_alive && (newer || has_length),
        chunked: newer && !has_length,
    };
    let found = world.inner.find("", &head);
    let Ok(way) = find_way(&world.inner, found.as_ref()) else {
        panic!("there is a hub and each route has a target");
    };
    let mut out = Vec::new();
    let ctx = Ctx {
        inner: &world.inner,
        conn: &world.stranger,
        id: &RequestId::new(),
    };
    outgoing::answer_head(&mut out, &ctx, &way, &head, &answer, ending);
    let head_length = out.len();
    match ending.chunked {
        true => {
            body.chunks(1 + usize::from(*settings))
                .for_each(|piece| body::write(&mut out, piece));
            chunked::write_end(&mut out, b"").expect("no trailers");
        }
        false => out.extend_from_slice(&body),
    }

    let mut room = [httparse::EMPTY_HEADER; 256];
    let mut read = httparse::Response::new(&mut room);
    let complete = httparse::Status::Complete(head_length);
    assert_eq!(read.parse(&out), Ok(complete));
    assert_eq!(read.code, Some(answer.status));
    let sent = Message::strict(&out);
    heads::check(&sent);
    heads::check_origin(
        &sent,
        &came,
        &[
            "content-length",
            "transfer-encoding",
            "connection",
            "location",
            "x-request-id",
        ],
    );
    for value in sent.all("set-cookie") {
        let pair = value.split(|byte| *byte == b';').next().unwrap_or_default();
        assert!(way.is_hub() || !heads::names_cookie(pair, HIDDEN));
    }
    for name in ["clear-site-data", "service-worker-allowed", "alt-svc"] {
        assert!(way.is_hub() || sent.all(name).is_empty(), "{name}");
    }
    let (got, is_open) = client_reads(&sent, &head, answer.status);
    assert_eq!(got, body, "the client reads another body");
    assert_eq!(is_open, ending.keep_alive);
}

fn asked(settings: u8) -> Head {
    let (path, method) = match settings & 3 {
        0 => ("/hub/home", "GET"),
        1 => ("/user/ada/lab", "GET"),
        2 => ("/user/ada/lab", "HEAD"),
        _ => ("/user/ada/lab", "POST"),
    };
    let lines = match settings >> 2 & 3 {
        0 | 1 => "HTTP/1.1\r\nhost: lab.example",
        2 => "HTTP/1.0\r\nhost: lab.example\r\nconnection: keep-alive",
        _ => "HTTP/1.0",
    };
    let mut head = Head::default();
    let text = format!("{method} {path} {lines}\r\n\r\n");
    request::parse(text.as_bytes(), &mut head).expect("a request");
    head
}

fn check_as_it_came(answer: &Answer, came: &Message<'_>) {
    let rest = came.first.strip_prefix(b"HTTP/1.").expect("a version");
    assert!(matches!(
        rest,
        [b'0' | b'1', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', ..]
    ));
    assert_eq!(&rest[2..5], answer.status.to_string().as_bytes());
    assert_eq!(answer.fields.list.len(), came.fields.len());
    for (field, (name, value)) in answer.fields.list.iter().zip(&came.fields) {
        assert!(answer.fields.at(field.name).eq_ignore_ascii_case(name));
        assert_eq!(naive::trim(answer.fields.at(field.value)), *value);
    }
}

/// The body and how many bytes it took; none if it is not whole or too long.
fn body_of(answer: &Answer, rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    match answer.framing {
        Framing::None => Some((Vec::new(), 0)),
        Framing::Length(length) if length > LONGEST => None,
        Framing::Length(length) => {
            let mut body = rest[..rest.len().min(length as usize)].to_vec();
            body.resize(length as usize, b'x');
            Some((body, length as usize))
        }
        Framing::Chunked => match body::read(rest, &[11, 3]) {
            (body, _, End::Done(used)) => Some((body, used)),
            _ => None,
        },
        Framing::UntilClose => Some((rest.to_vec(), rest.len())),
    }
}

/// As RFC 9112, section 6.3, has it for clients; and whether the connection can be used again.
fn client_reads(sent: &Message<'_>, head: &Head, status: u16) -> (Vec<u8>, bool) {
    let said = sent.one("connection");
    let is_open = match head.version {
        Version::Http10 => said == Some(b"keep-alive"),
        _ => said != Some(b"close"),
    };
    if head.is_head() || matches!(status, 204 | 304) {
        assert!(status != 204 || sent.one("content-length").is_none());
        return (sent.rest.to_vec(), is_open);
    }
    if sent.one("transfer-encoding").is_some() {
        assert!(head.version != Version::Http10, "it knows no chunks");
        let (body, trailers, end) = naive::unchunk(sent.rest);
        assert_eq!((trailers.len(), end), (0, End::Done(sent.rest.len())));
        return (body, is_open);
    }
    match sent.one("content-length") {
        Some(length) => assert_eq!(length, sent.rest.len().to_string().as_bytes()),
        // An end that only the close can tell.
        None => assert!(!is_open || sent.rest.is_empty() && status < 200),
    }
    (sent.rest.to_vec(), is_open)
}
