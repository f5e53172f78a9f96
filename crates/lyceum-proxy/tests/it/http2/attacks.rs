//! Requests that are wrong, or that would become something else in HTTP/1.1: none reaches a server.

use bytes::Bytes;
use h2::Reason;
use lyceum_proxy::{Http2, Limits};

use super::{
    Connection, plain,
    raw::{self, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RESET, Raw, block, frame, get},
    read, request, start, write,
};
use crate::support::{Server, soon};

const GOOD: &[(&str, &[u8])] = &[
    (":method", b"GET"),
    (":scheme", b"http"),
    (":authority", b"lab"),
    (":path", b"/open/"),
];

/// The static table's `:status: 200` (RFC 7541, appendix A).
const OK: u8 = 0x88;

fn with(more: &[(&'static str, &'static [u8])]) -> Vec<u8> {
    block(&[GOOD, more].concat())
}

fn instead(name: &str, value: Option<&[u8]>) -> Vec<u8> {
    let fields: Vec<(&str, &[u8])> = GOOD
        .iter()
        .filter_map(|(known, old)| {
            if *known == name {
                value.map(|value| (*known, value))
            } else {
                Some((*known, *old))
            }
        })
        .collect();
    block(&fields)
}

#[tokio::test]
async fn what_is_no_request_reaches_nobody() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let mut wrong = vec![
        // RFC 9113, section 8.2.1: names.
        with(&[("X-Capital", b"1")]),
        with(&[("x y", b"1")]),
        with(&[("x\"y", b"1")]),
        with(&[("x:y", b"1")]),
        with(&[("", b"1")]),
        with(&[("x\r\ny", b"1")]),
        with(&[("x\0", b"1")]),
        // Values that are lines of their own in HTTP/1.1.
        with(&[("x", b"1\r\nhost: evil")]),
        with(&[("x", b"1\nhost: evil")]),
        with(&[("x", b"1\r")]),
        with(&[("x", b"1\0")]),
        with(&[("x", b" 1")]),
        with(&[("x", b"1\t")]),
        // RFC 9113, section 8.2.2: headers of one hop.
        with(&[("connection", b"close")]),
        with(&[("connection", b"x-request-id")]),
        with(&[("keep-alive", b"1")]),
        with(&[("proxy-connection", b"close")]),
        with(&[("transfer-encoding", b"chunked")]),
        with(&[("transfer-encoding", b"identity")]),
        with(&[("upgrade", b"websocket")]),
        with(&[("te", b"gzip")]),
        with(&[("te", b"trailers, gzip")]),
        // Lengths.
        with(&[("content-length", b"5")]),
        with(&[("content-length", b"-1")]),
        with(&[("content-length", b"0x0")]),
        with(&[("content-length", b"0"), ("content-length", b"1")]),
        with(&[("content-length", b"0"), ("content-length", b"0")]),
        with(&[("content-length", b"0, 0")]),
        with(&[("content_length", b"5")]),
        with(&[("transfer_encoding", b"chunked")]),
        // Hosts.
        with(&[("host", b"evil")]),
        with(&[("host", b"lab"), ("host", b"lab")]),
        with(&[("host", b"lab\0")]),
        instead(":authority", None),
        instead(":authority", Some(b"user@lab")),
        instead(":authority", Some(b"lab/x")),
        instead(":authority", Some(b"lab evil")),
        // Pseudo-headers (RFC 9113, section 8.3).
        instead(":method", None),
        instead(":scheme", None),
        instead(":path", None),
        instead(":method", Some(b"GET / HTTP/1.1\r\nhost: evil\r\n\r\nGET")),
        instead(":method", Some(b"")),
        with(&[(":path", b"/open/other")]),
        with(&[(":authority", b"lab")]),
        with(&[(":status", b"200")]),
        with(&[(":unknown", b"1")]),
        with(&[(":protocol", b"websocket")]),
        block(&[&[("x", &b"1"[..])], GOOD].concat()),
    ];
    for path in [
        &b""[..],
        b"*",
        b"open/",
        b"?x",
        b"/open/ HTTP/1.1\r\nhost: evil\r\n\r\n",
        b"/open/ x",
        b"/open/\n",
        b"/open/\0",
        b"/open/%00",
        b"/open/../user/ada/",
        b"/open/%2e%2E/user/ada/",
        b"/open/a%2f..%2fb",
        b"/open/./",
        b"/open/\\x",
        b"/open/%5cx",
        b"http://evil/open/",
    ] {
        wrong.push(instead(":path", Some(path)));
    }
    for head in wrong {
        let mut client = Raw::new(&proxy).await;
        let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head);
        client.send(&bytes).await;
        let shown = String::from_utf8_lossy(&head);
        let answer = client.find(&[HEADERS, RESET, GOAWAY]).await;
        let answer = answer.unwrap_or_else(|| panic!("some word for {shown:?}"));
        if answer.kind == HEADERS {
            assert_ne!(answer.payload[0], OK, "{shown:?}");
        }
        assert_eq!(server.count(), 0, "{shown:?} reached the server");
    }
    // The same by hand, but right.
    let mut client = Raw::new(&proxy).await;
    client
        .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/open/")))
        .await;
    let answer = client.find(&[HEADERS, RESET, GOAWAY]).await.unwrap();
    assert_eq!((answer.kind, answer.payload[0]), (HEADERS, OK));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_never_whole() {
    let server = Server::raw(|mut stream, seen| async move {
        // A request counts when all that it promises is there.
        use tokio::io::AsyncReadExt;
        let head = crate::support::read_head(&mut stream)
            .await
            .unwrap_or_default();
        let mut body = [0; 5];
        if stream.read_exact(&mut body).await.is_ok() {
            seen.lock().unwrap().push((head, body.to_vec()));
        }
    })
    .await;
    let proxy = plain(&server).await;
    for data in [&b"four"[..], b"sixsix", b""] {
        let mut client = Raw::new(&proxy).await;
        let head = block(&[
            (":method", b"POST"),
            (":scheme", b"http"),
            (":authority", b"lab"),
            (":path", b"/open/"),
            ("content-length", b"5"),
        ]);
        client.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
        client.send(&frame(DATA, END_STREAM, 1, data)).await;
        let answer = client.find(&[HEADERS, RESET, GOAWAY]).await.unwrap();
        assert_eq!(answer.kind, RESET, "{data:?}");
        assert_eq!(answer.reason(), u32::from(Reason::PROTOCOL_ERROR));
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_body_cannot_smuggle_a_request() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let smuggled = "0\r\n\r\nGET /user/ada/ HTTP/1.1\r\nhost: lab\r\n\r\n";
    let (response, mut send) = connection.send(request("POST", "/open/"), false).await;
    write(&mut send, Bytes::from_static(smuggled.as_bytes()), true).await;
    assert_eq!(soon("an answer", response).await.unwrap().status(), 200);
    assert_eq!(connection.get("/open/after").await.0, 200);
    assert_eq!(server.count(), 2);
    assert_eq!(server.seen.lock().unwrap()[0].1, smuggled.as_bytes());
}

#[tokio::test]
async fn trailers_are_headers_of_nothing() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    for trailers in [
        block(&[("X-Capital", b"1")]),
        block(&[("transfer-encoding", b"chunked")]),
        block(&[("x", b"1\r\ny: 2")]),
    ] {
        let mut client = Raw::new(&proxy).await;
        client
            .send(&frame(HEADERS, END_HEADERS, 1, &get("/open/")))
            .await;
        client
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers))
            .await;
        let answer = client.find(&[HEADERS, RESET, GOAWAY]).await.unwrap();
        assert_ne!(
            answer.kind,
            HEADERS,
            "{}",
            String::from_utf8_lossy(&trailers)
        );
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn large_heads_get_431() {
    let server = Server::ok().await;
    let limits = Limits {
        header_bytes: 4_096,
        ..Limits::default()
    };
    let proxy = start(&server, Http2::default(), limits).await;
    let mut connection = Connection::new(&proxy).await;
    let asked = |length: usize| {
        let mut asked = request("GET", "/open/");
        asked
            .headers_mut()
            .insert("x-large", "x".repeat(length).parse().unwrap());
        asked
    };
    assert_eq!(connection.ask(asked(3_900)).await.status(), 200);
    let response = connection.ask(asked(4_100)).await;
    assert_eq!(response.status(), 431);
    let (page, _) = read(response.into_body()).await.unwrap();
    assert!(page.starts_with(b"<!"), "a page as in HTTP/1");
    let mut many = request("GET", "/open/");
    for number in 0..130 {
        let name: hyper::header::HeaderName = format!("x-{number}").parse().unwrap();
        many.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(connection.ask(many).await.status(), 431);
    // Cookies in pieces are one header.
    let mut crumbs = request("GET", "/open/");
    for number in 0..200 {
        let crumb = format!("c{number}=1").parse().unwrap();
        crumbs.headers_mut().append("cookie", crumb);
    }
    assert_eq!(connection.ask(crumbs).await.status(), 200);
    assert_eq!(server.count(), 2);
    assert!(server.last().0.contains("c0=1; c1=1; c2=1;"));
}

#[tokio::test]
async fn a_head_that_unfolds_is_bounded() {
    let server = Server::ok().await;
    let proxy = plain(&server).await;
    // One entry of the table, 4,000 bytes, named 12,000 times by one byte each.
    let mut bomb = get("/open/");
    bomb.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
    bomb.extend_from_slice(&[b'a'; 4_000]);
    bomb.extend_from_slice(&[0x80 | 62; 12_000]);
    let mut client = Raw::new(&proxy).await;
    client
        .send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &bomb[..16_000],
        ))
        .await;
    let answer = client.find(&[HEADERS, RESET, GOAWAY]).await.unwrap();
    if answer.kind == HEADERS {
        assert_ne!(answer.payload[0], OK);
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_nothing_else() {
    let server = Server::raw(|mut stream, seen| async move {
        let head = crate::support::read_head(&mut stream)
            .await
            .unwrap_or_default();
        seen.lock().unwrap().push((head, Vec::new()));
        crate::support::read_head(&mut stream).await;
    })
    .await;
    let http2 = Http2 {
        streams: 3,
        ..Http2::default()
    };
    let proxy = start(&server, http2, Limits::default()).await;
    let mut client = Raw::new(&proxy).await;
    let settings = client.find(&[raw::SETTINGS]).await.unwrap().payload;
    let says = |number: u16, value: u32| {
        let bytes = [&number.to_be_bytes()[..], &value.to_be_bytes()].concat();
        settings.chunks(6).any(|one| one == bytes)
    };
    assert!(says(3, 3), "at most 3 streams: {settings:?}");
    assert!(says(8, 1), "RFC 8441: {settings:?}");
    for number in 0..5 {
        let stream = 2 * number + 1;
        client
            .send(&frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &get("/open/"),
            ))
            .await;
    }
    for expect in [7, 9] {
        let refused = client.find(&[RESET, GOAWAY]).await.unwrap();
        assert_eq!((refused.kind, refused.stream), (RESET, expect));
        assert_eq!(refused.reason(), u32::from(Reason::REFUSED_STREAM));
    }
    crate::support::until("the others", || server.count() == 3).await;
}
