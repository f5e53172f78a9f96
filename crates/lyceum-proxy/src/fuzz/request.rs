//! A request from a client's bytes to the server's: nothing hidden in it, nothing put into it.

use std::sync::Arc;

use crate::{
    head::Head,
    http1::{framing::Framing, request, scan::Scan},
    listen::Conn,
    outgoing,
    request::{Ctx, check, find_way},
    request_id::RequestId,
};

use super::{
    body, heads,
    naive::{End, Message, decode, trim},
    peer,
    world::{ADDRESS, HIDDEN, PREFIX, SECRET, World, worlds},
};

/// Bodies that are said to be longer are not made.
const LONGEST: u64 = 64 * 1024;
/// What follows on the same connection must be found where it begins.
const NEXT: &[u8] = b"GET /the-next-one HTTP/1.1\r\nhost: next\r\n\r\n";

/// A byte of settings, then what a client sends on a connection.
pub fn request_head(data: &[u8]) {
    let [settings, input @ ..] = data else {
        return;
    };
    let world = &worlds()[usize::from(settings & 3) % 3];
    let is_trusted = settings & 4 != 0;

    let whole = Scan::default().find_end(input);
    let mut scan = Scan::default();
    let part = input.len() * usize::from(settings >> 3) / 32;
    let slowly = match scan.find_end(&input[..part]) {
        Ok(None) => scan.find_end(input),
        early => early,
    };
    assert_eq!(whole, slowly, "the end depends on how the bytes come");
    let Ok(Some(end)) = whole else {
        return;
    };
    let mut head = Head::default();
    // A connection's first byte is looked at before (`serve.rs`).
    if !input[0].is_ascii_alphabetic() || request::parse(&input[..end], &mut head).is_err() {
        return;
    }
    if check(&world.inner, conn(world, is_trusted), &head).is_err() {
        return;
    }
    let came = Message::strict(&input[..end]);
    check_as_it_came(&head, &came);
    let body = body_of(&head, &input[end..]);
    check_with_peer(&head, body.as_ref(), input);

    let mut out = Vec::new();
    let is_hub = send(world, is_trusted, &head, &mut out);
    let sent = Message::strict(&out);
    assert!(sent.rest.is_empty());
    heads::check(&sent);
    check_line(world, &head, &came, &sent);
    check_fields(world, is_trusted, is_hub, &head, &came, &sent);
    let Some((body, _)) = body else {
        return;
    };
    check_behind(&mut out, &head, &body, settings);
}

fn conn(world: &World, is_trusted: bool) -> &Arc<Conn> {
    match is_trusted {
        true => &world.trusted,
        false => &world.stranger,
    }
}

fn send(world: &World, is_trusted: bool, head: &Head, out: &mut Vec<u8>) -> bool {
    let id = RequestId::new();
    let ctx = Ctx {
        inner: &world.inner,
        conn: conn(world, is_trusted),
        id: &id,
    };
    let found = world.inner.find("", head);
    let Ok(way) = find_way(&world.inner, found.as_ref()) else {
        panic!("there is a hub and each route has a target");
    };
    outgoing::request_head(out, &ctx, &way, head);
    way.is_hub()
}

/// What our index says is what stands there.
fn check_as_it_came(head: &Head, came: &Message<'_>) {
    let (method, target, version) = heads::three(came.first).expect("a line of three words");
    assert_eq!(head.method(), method);
    assert!(target.ends_with(head.target()) && !target.contains(&b' '));
    assert!([&b"HTTP/1.1"[..], b"HTTP/1.0"].contains(&version));
    let before = &target[..target.len() - head.target().len()];
    if !before.is_empty() {
        let text = String::from_utf8_lossy(before).to_ascii_lowercase();
        let authority = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .expect("an absolute address");
        assert!(!authority.contains(['/', '?', '#', '@', '\\']));
        let host = head.host().map(<[u8]>::to_ascii_lowercase);
        assert_eq!(host.as_deref(), Some(authority.as_bytes()));
    }
    assert!(came.all("host").len() <= 1);
    assert_eq!(head.fields.list.len(), came.fields.len());
    for (field, (name, value)) in head.fields.list.iter().zip(&came.fields) {
        assert!(head.fields.at(field.name).eq_ignore_ascii_case(name));
        assert_eq!(trim(head.fields.at(field.value)), *value);
    }
}

/// The body, and how it ended; none if it is too long to be made.
fn body_of(head: &Head, rest: &[u8]) -> Option<(Vec<u8>, End)> {
    match head.framing {
        Framing::None => Some((Vec::new(), End::Done(0))),
        Framing::Length(length) if length > LONGEST => None,
        Framing::Length(length) => {
            let length = length as usize;
            let mut body = rest[..length.min(rest.len())].to_vec();
            let end = match body.len() == length {
                true => End::Done(length),
                false => End::More,
            };
            body.resize(length, b'x');
            Some((body, end))
        }
        Framing::Chunked => {
            let (body, _, end) = body::read(rest, &[7]);
            Some((body, end))
        }
        Framing::UntilClose => panic!("a request ends before its connection does"),
    }
}

/// hyper, in our place, takes the same bytes for the same request, if it takes them at all.
fn check_with_peer(head: &Head, body: Option<&(Vec<u8>, End)>, input: &[u8]) {
    let seen = peer::requests(input);
    let Some(first) = seen.first() else {
        return;
    };
    assert_eq!(first.method.as_bytes(), head.method());
    assert_eq!(first.target.as_bytes(), head.target());
    match body {
        Some((body, End::Done(_))) if first.is_whole => assert_eq!(first.body, *body, "two bodies"),
        Some((body, End::Done(_))) => assert!(body.starts_with(&first.body)),
        Some((_, End::More)) => assert!(!first.is_whole, "hyper sees an end and we wait"),
        // Ours may be the stricter reader: the request is broken off.
        Some((_, End::Bad)) | None => {}
    }
}

fn check_line(world: &World, head: &Head, came: &Message<'_>, sent: &Message<'_>) {
    let (method, target, version) = heads::three(sent.first).expect("a line of three words");
    let (their_method, asked, _) = heads::three(came.first).expect("a line of three words");
    assert_eq!((method, version), (their_method, &b"HTTP/1.1"[..]));
    assert!(target.starts_with(b"/") && target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    assert!(!target.contains(&b'#'));
    let path = head.path();
    let rewrite = &world.inner.config.rewrite;
    let is_ada = path
        .split('/')
        .skip(1)
        .take(2)
        .map(|raw| decode(raw.as_bytes()))
        .eq([b"user".to_vec(), b"ada".to_vec()]);
    let base: &[u8] = match is_ada && rewrite.prepend_path {
        true => b"/base",
        false => b"",
    };
    let rest = target.strip_prefix(base).expect("the target's own path");
    if is_ada && !rewrite.include_prefix {
        let inner: Vec<&str> = path.splitn(4, '/').skip(3).collect();
        let expect = [b"/", inner.concat().as_bytes(), head.query()].concat();
        assert_eq!(rest, expect, "the path without {PREFIX}");
    } else {
        assert_eq!(rest, head.target());
        assert!(asked.ends_with(rest));
    }
}

fn check_fields(
    world: &World,
    is_trusted: bool,
    is_hub: bool,
    head: &Head,
    came: &Message<'_>,
    sent: &Message<'_>,
) {
    let rewrite = &world.inner.config.rewrite;
    let host = sent.one("host").expect("a host");
    if let Some(host) = head.host().filter(|_| !rewrite.change_origin) {
        assert_eq!(sent.one("host"), Some(host));
    } else {
        assert!([&b"hub.lab:8081"[..], b"ada.lab:8888"].contains(&host));
    }
    assert!(sent.one("x-request-id").is_some());
    let secret = sent.one("x-lyceum-proxy");
    assert_eq!(secret, is_hub.then_some(SECRET.as_bytes()));
    let client = sent.one("x-lyceum-client");
    assert_eq!(client.is_some(), is_hub);
    assert!(is_trusted || client.is_none_or(|client| client == ADDRESS.as_bytes()));
    let far = sent.one("x-forwarded-for").expect("a client");
    if is_trusted {
        assert!(far == ADDRESS.as_bytes() || far.ends_with(b", 192.0.2.7"));
    } else {
        assert_eq!(far, ADDRESS.as_bytes());
        assert_eq!(sent.one("x-forwarded-proto"), Some(&b"http"[..]));
        assert!(sent.one("x-forwarded-host").is_some() && sent.one("x-forwarded-port").is_some());
    }
    let ours = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-request-id",
        "x-lyceum-proxy",
        "x-lyceum-client",
        "x-custom",
        "host",
        "cookie",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
    ];
    heads::check_origin(sent, came, &ours);
    for (name, value) in &sent.fields {
        let is_exact = !name.contains(&b'_');
        let name = heads::dashed(name);
        assert!(is_exact || !["content-length", "transfer-encoding", "host"].contains(&&*name));
        let is_real = sent
            .fields
            .iter()
            .any(|(other, _)| *other == name.as_bytes());
        let speaks = name.starts_with("x-forwarded-")
            || name.starts_with("x-lyceum-")
            || ["forwarded", "x-forwarded", "x-real-ip", "x-scheme"].contains(&name.as_str());
        assert!(
            !speaks || is_real && (is_trusted || ours.contains(&name.as_str())),
            "{name}"
        );
        if name == "cookie" && !is_hub {
            let mut pairs = value.split(|byte| *byte == b';');
            assert!(!pairs.any(|pair| heads::names_cookie(pair, HIDDEN)));
        }
        let tells = |value: &[u8]| {
            let mut parts = value.windows(SECRET.len());
            parts.any(|part| part == SECRET.as_bytes())
        };
        // Unless the client has guessed it; what is left of a cookie is not what came.
        let knew = || came.fields.iter().any(|(_, theirs)| tells(theirs));
        assert!(is_hub || !tells(value) || knew());
    }
    // What `Connection` names stays here.
    for name in came
        .all("connection")
        .iter()
        .flat_map(|line| line.split(|b| *b == b','))
    {
        let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
        if !name.is_empty() && !ours.contains(&name.as_str()) {
            assert!(sent.all(&name).is_empty(), "{name} was for us only");
        }
    }
}

/// The server behind us finds this request, whole, and then the next one.
fn check_behind(out: &mut Vec<u8>, head: &Head, body: &[u8], settings: &u8) {
    let sent = Message::strict(out);
    let length = sent.one("content-length").map(<[u8]>::to_vec);
    let target = heads::three(sent.first).expect("three words").1.to_vec();
    let is_chunked = sent.one("transfer-encoding").is_some();
    assert_eq!(is_chunked, head.framing == Framing::Chunked);
    if is_chunked {
        for piece in body.chunks(1 + usize::from(*settings) * 8) {
            body::write(out, piece);
        }
        crate::http1::chunked::write_end(out, b"").expect("no trailers");
    } else {
        let said = length
            .map_or(Ok("0".into()), String::from_utf8)
            .expect("digits");
        assert_eq!(said, body.len().to_string());
        out.extend_from_slice(body);
    }
    out.extend_from_slice(NEXT);
    let seen = peer::requests(out);
    // hyper may refuse an address that we pass on; then it sees nothing at all.
    let Some(first) = seen.first() else {
        return;
    };
    assert_eq!(seen.len(), 2, "there are not two requests but {seen:?}");
    assert_eq!(first.method.as_bytes(), head.method());
    assert_eq!(first.target.as_bytes(), target);
    assert!(first.is_whole && first.body == body);
    assert_eq!(seen[1].target, "/the-next-one");
}
