//! The heads that are sent on: which headers pass, which are ours, and how they are written.
//!
//! RFC 9110, section 7.6.1: what `Connection` names concerns one hop only and is not forwarded; nor
//! are the headers that have always been hop-by-hop. Lengths are our own reading of a message,
//! never copied. Everything else passes as it came, except for what only the proxy may say
//! (`X-Forwarded-*`, `X-Request-Id`, `X-Lyceum-*`) and the cookies that only the hub may see.
//! Names are written in lower case, which every HTTP reader takes.

use std::{borrow::Cow, io::Write as _};

use bytes::Bytes;
use hyper::Response;

use crate::{
    Inner,
    error_page::X_REQUEST_ID,
    fields::{Field, Known},
    head::{Head, Version},
    http1::{answer::Answer, framing::Framing},
    listen::Conn,
    request::{Ctx, Way},
    request_id::RequestId,
    rewrite::{Rewrite, Scheme},
    target::Place,
};

const STRICT_TRANSPORT: &[u8] = b"strict-transport-security";
const REQUEST_ID: &[u8] = b"x-request-id";
/// Room for what is added to a head, so that most need no second allocation.
const ADDED: usize = 320;

/// Headers added to every request, written ahead.
#[derive(Debug, Default)]
pub(crate) struct Custom {
    names: Vec<Vec<u8>>,
    lines: Vec<u8>,
}

impl Custom {
    /// Leaves out, and says so, what cannot be a header or would change how a message is read.
    pub(crate) fn new(rewrite: &Rewrite) -> Self {
        let mut custom = Self::default();
        for (name, value) in &rewrite.custom_headers {
            let lower = name.to_ascii_lowercase();
            let readable = hyper::header::HeaderName::from_bytes(lower.as_bytes()).is_ok()
                && hyper::header::HeaderValue::from_str(value).is_ok();
            let mut fields = crate::fields::Fields::default();
            fields.push(lower.as_bytes(), b"");
            if !readable || fields.list[0].known.is_hop() {
                tracing::warn!(header = %name, "this custom header cannot be sent and is left out");
                continue;
            }
            custom.lines.extend_from_slice(lower.as_bytes());
            custom.lines.extend_from_slice(b": ");
            custom.lines.extend_from_slice(value.trim().as_bytes());
            custom.lines.extend_from_slice(b"\r\n");
            custom.names.push(lower.into_bytes());
        }
        custom
    }

    fn has(&self, name: &[u8]) -> bool {
        self.names.iter().any(|one| one == name)
    }
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while at == digits.len() || number > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the request as the server gets it, always in HTTP/1.1.
pub(crate) fn request_head(out: &mut Vec<u8>, ctx: &Ctx<'_>, way: &Way<'_>, head: &Head) {
    let config = &ctx.inner.config;
    let fields = &head.fields;
    out.reserve(fields.text.len() + ADDED);
    out.extend_from_slice(head.method());
    out.push(b' ');
    request_path(out, &config.rewrite, way, head);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let custom = &ctx.inner.custom;
    let is_trusted = ctx.conn.is_trusted;
    let host = head.host().unwrap_or_else(|| way.target.host().as_bytes());
    if !custom.has(b"host") {
        let theirs = config.rewrite.change_origin.then(|| way.target.host());
        line(out, b"host", theirs.map_or(host, str::as_bytes));
    }
    let identity = ctx.inner.identity.get();
    let peer = ctx.conn.address.ip().to_canonical();
    let says_who = (identity.as_ref()).filter(|one| way.is_hub() && one.counts_from(peer));
    for field in &fields.list {
        if let Some(identity) = &*identity
            && identity.is_one(fields.at(field.name))
        {
            let name = fields.at(field.name);
            if says_who.is_some() && !name.contains(&b'_') {
                line(out, name, fields.at(field.value));
            }
            continue;
        }
        let value = fields.at(field.value);
        let value = match field.known {
            // No client takes away what a proxy in front of us says.
            known if known.is_hop() || (field.is_named && !known.is_forwarding()) => continue,
            Known::Host | Known::ForwardedFor | Known::Ours | Known::Lookalike => continue,
            known if known.is_forwarding() && !is_trusted => continue,
            Known::Expect if !head.expects_continue => continue,
            Known::Cookie if !way.is_hub() => match ctx.inner.hidden.strip_request(value) {
                Some(value) => value,
                None => continue,
            },
            _ => Cow::Borrowed(value),
        };
        let name = fields.at(field.name);
        if custom.names.is_empty() || !custom.has(name) {
            line(out, name, &value);
        }
    }
    if config.rewrite.x_forward {
        forwarded(out, ctx, head, host);
    }
    if !custom.has(REQUEST_ID) {
        line(out, REQUEST_ID, ctx.id.as_str().as_bytes());
    }
    let secret = config.proxy_secret.expose();
    if way.is_hub() && !secret.is_empty() {
        line(out, b"x-lyceum-proxy", secret.as_bytes());
        // Whom the request comes from, worked out from the chain.
        let said = fields.all(Known::ForwardedFor);
        let client = ctx.conn.client(ctx.inner, said);
        // Writing to memory cannot fail.
        let _ = write!(out, "x-lyceum-client: {client}\r\n");
        if says_who.is_some() {
            let _ = write!(out, "x-lyceum-peer: {peer}\r\n");
        }
    }
    out.extend_from_slice(&custom.lines);
    match head.framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::None if fields.has(Known::ContentLength) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        Framing::None | Framing::UntilClose => {}
    }
    if let Some(protocol) = head.upgrade() {
        out.extend_from_slice(b"connection: upgrade\r\n");
        line(out, b"upgrade", protocol);
    } else if takes_trailers(head) {
        // The one `TE` that means something to the next hop as well: trailers are forwarded.
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn takes_trailers(head: &Head) -> bool {
    head.fields
        .tokens(Known::Te)
        .any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

fn request_path(out: &mut Vec<u8>, rewrite: &Rewrite, way: &Way<'_>, head: &Head) {
    if rewrite.prepend_path {
        out.extend_from_slice(way.target.path().as_bytes());
    }
    let cut = if rewrite.include_prefix {
        0
    } else {
        way.prefix_len
    };
    let rest = &head.path()[cut..];
    if !rest.starts_with('/') {
        out.push(b'/');
    }
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(head.query());
}

/// Says who asked for what. A trusted peer's word is kept and added to; anyone else's has been
/// left out. What the configuration says in its own words is not said again.
fn forwarded(out: &mut Vec<u8>, ctx: &Ctx<'_>, head: &Head, host: &[u8]) {
    let fields = &head.fields;
    let is_trusted = ctx.conn.is_trusted;
    let custom = &ctx.inner.custom;
    let said = |known| is_trusted && fields.has(known);
    if !custom.has(b"x-forwarded-for") {
        out.extend_from_slice(b"x-forwarded-for: ");
        if is_trusted {
            for value in fields.all(Known::ForwardedFor) {
                out.extend_from_slice(value);
                out.extend_from_slice(b", ");
            }
        }
        // Writing to memory cannot fail.
        let _ = write!(out, "{}\r\n", ctx.conn.address.ip().to_canonical());
    }
    let https = ctx.conn.is_https;
    if !said(Known::ForwardedProto) && !custom.has(b"x-forwarded-proto") {
        line(
            out,
            b"x-forwarded-proto",
            if https { b"https" } else { b"http" },
        );
    }
    let is_https = if said(Known::ForwardedProto) {
        fields.first(Known::ForwardedProto) == Some(b"https")
    } else {
        https
    };
    if !said(Known::ForwardedPort) && !custom.has(b"x-forwarded-port") {
        out.extend_from_slice(b"x-forwarded-port: ");
        number(
            out,
            port_of(host)
                .unwrap_or(if is_https { 443 } else { 80 })
                .into(),
        );
        out.extend_from_slice(b"\r\n");
    }
    if !said(Known::ForwardedHost) && !custom.has(b"x-forwarded-host") {
        line(out, b"x-forwarded-host", host);
    }
}

fn port_of(host: &[u8]) -> Option<u16> {
    let colon = memchr::memrchr(b':', host)?;
    let digits = &host[colon + 1..];
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether this header of an answer passes to the client.
fn passes(inner: &Inner, way: &Way<'_>, answer: &Answer, field: &Field) -> bool {
    if field.known.is_hop() || field.is_named {
        return false;
    }
    match field.known {
        // Ours is told, which the log has too.
        Known::Ours => !answer
            .fields
            .at(field.name)
            .eq_ignore_ascii_case(REQUEST_ID),
        // In place of configurable-http-proxy the hub is one of the routes.
        Known::SiteWide => way.is_hub() || inner.config.drop_in,
        Known::SetCookie if !way.is_hub() => {
            !inner.hidden.hides_set_cookie(answer.fields.at(field.value))
        }
        _ => true,
    }
}

/// The headers of an answer that pass, names in lower case; lengths are left to the caller.
pub(crate) fn answer_fields<'a>(
    inner: &'a Inner,
    way: &'a Way<'_>,
    head: &'a Head,
    answer: &'a Answer,
) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> {
    answer
        .fields
        .list
        .iter()
        .filter(move |field| passes(inner, way, answer, field))
        .map(move |field| {
            let value = answer.fields.at(field.value);
            let value = match field.known {
                Known::Location => location(&inner.config.rewrite, way, head, answer, value),
                _ => None,
            }
            .map_or(Cow::Borrowed(value), Cow::Owned);
            (answer.fields.at(field.name), value)
        })
}

/// The address of a redirect that names the target's host, as the client should see it.
fn location(
    rewrite: &Rewrite,
    way: &Way<'_>,
    head: &Head,
    answer: &Answer,
    value: &[u8],
) -> Option<Vec<u8>> {
    let asked = rewrite.auto_rewrite || rewrite.protocol_rewrite.is_some();
    if !asked || !matches!(answer.status, 201 | 301 | 302 | 307 | 308) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, rest) = text.split_once("://")?;
    let known = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = &rest[..end];
    let ours = match way.target.place() {
        Place::Tcp(..) => way.target.host(),
        Place::Unix(_) | Place::Within(_) => return None,
    };
    if !host.eq_ignore_ascii_case(ours) && !host.eq_ignore_ascii_case(way.target.authority()) {
        return None;
    }
    let mut out = Vec::with_capacity(value.len() + 32);
    out.extend_from_slice(
        rewrite
            .protocol_rewrite
            .unwrap_or(known)
            .as_str()
            .as_bytes(),
    );
    out.extend_from_slice(b"://");
    let client = head.host().filter(|_| rewrite.auto_rewrite);
    out.extend_from_slice(client.unwrap_or(host.as_bytes()));
    out.extend_from_slice(&rest.as_bytes()[end..]);
    Some(out)
}

/// Whether this is the one answer to a request, be it a tunnel.
pub(crate) fn is_final(status: u16) -> bool {
    status == 101 || status >= 200
}

/// How the client is to take the answer's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) keep_alive: bool,
    pub(crate) chunked: bool,
}

/// Writes the answer as an HTTP/1 client gets it.
pub(crate) fn answer_head(
    out: &mut Vec<u8>,
    ctx: &Ctx<'_>,
    way: &Way<'_>,
    head: &Head,
    answer: &Answer,
    ending: Ending,
) {
    out.reserve(answer.fields.text.len() + ADDED);
    start_line(out, answer.status, answer.reason());
    let strict = ctx.conn.strict_transport();
    for (name, value) in answer_fields(ctx.inner, way, head, answer) {
        if strict.is_none() || name != STRICT_TRANSPORT {
            line(out, name, &value);
        }
    }
    if let Some(strict) = strict {
        line(out, STRICT_TRANSPORT, strict.as_bytes());
    }
    if is_final(answer.status) {
        line(out, REQUEST_ID, ctx.id.as_str().as_bytes());
    }
    let has_no_length = answer.status < 200 || answer.status == 204;
    match answer.framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::None if !has_no_length && !answer.fields.has(Known::TransferEncoding) => {
            // For HEAD and 304 it is the length of what is not sent.
            if let Some(length) = answer.fields.first(Known::ContentLength) {
                line(out, b"content-length", length);
            }
        }
        _ if ending.chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        _ => {}
    }
    if answer.status == 101 {
        out.extend_from_slice(b"connection: upgrade\r\n");
        if let Some(agreed) = answer.fields.first(Known::Upgrade) {
            line(out, b"upgrade", agreed);
        }
    } else if answer.status >= 200 {
        connection(out, head, ending.keep_alive);
    }
    out.extend_from_slice(b"\r\n");
}

fn connection(out: &mut Vec<u8>, head: &Head, keep_alive: bool) {
    if !keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    } else if head.version == Version::Http10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
}

fn start_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Writes an answer made here.
pub(crate) fn own_answer(
    out: &mut Vec<u8>,
    conn: &Conn,
    head: &Head,
    answer: &Response<Bytes>,
    id: &RequestId,
    keep_alive: bool,
) {
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    start_line(out, status.as_u16(), reason.as_bytes());
    for (name, value) in answer.headers() {
        if name == X_REQUEST_ID {
            continue;
        }
        line(out, name.as_str().as_bytes(), value.as_bytes());
    }
    if let Some(strict) = conn.strict_transport() {
        line(out, STRICT_TRANSPORT, strict.as_bytes());
    }
    line(out, REQUEST_ID, id.as_str().as_bytes());
    out.extend_from_slice(b"content-length: ");
    number(out, answer.body().len() as u64);
    out.extend_from_slice(b"\r\n");
    connection(out, head, keep_alive);
    out.extend_from_slice(b"\r\n");
    if !head.is_head() {
        out.extend_from_slice(answer.body());
    }
}
