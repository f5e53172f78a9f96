//! What makes a request (RFC 9113, section 8, and RFC 8441). Which heads are refused so that nothing
//! is smuggled into HTTP/1.1 is in `attacks`; here it is with which word.

use h2::Reason;

use super::{super::raw::*, *};

type Fields<'a> = &'a [(&'a str, &'a [u8])];

fn with(fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

const METHOD: (&str, &[u8]) = (":method", b"GET");
const SCHEME: (&str, &[u8]) = (":scheme", b"http");
const AUTHORITY: (&str, &[u8]) = (":authority", b"lab");
const PATH: (&str, &[u8]) = (":path", b"/open/");

fn malformed(section: &'static str, what: &'static str, fields: Fields<'_>) -> Case {
    let standard = Reset(1, Reason::PROTOCOL_ERROR);
    case(section, what, with(fields), standard)
}

#[tokio::test]
async fn heads() {
    let more = |one| [METHOD, SCHEME, AUTHORITY, PATH, one];
    check(vec![
        malformed("9113 8.2.1", "a name in capitals", &more(("X-Y", b"1")))
            .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        malformed(
            "9113 8.2.1",
            "a line in a value",
            &more(("x", b"1\r\ny: 2")),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        malformed("9113 8.2.2", "connection", &more(("connection", b"x"))),
        malformed(
            "9113 8.2.2",
            "transfer-encoding",
            &more(("transfer-encoding", b"chunked")),
        ),
        malformed(
            "9113 8.2.2",
            "te that is not trailers",
            &more(("te", b"gzip")),
        ),
        case(
            "9113 8.2.2",
            "te that is",
            with(&more(("te", b"trailers"))),
            Served(&[1]),
        ),
        malformed(
            "9113 8.3",
            "a field before a pseudo-field",
            &[METHOD, ("x", b"1"), SCHEME, AUTHORITY, PATH],
        ),
        malformed("9113 8.3", "an unknown pseudo-field", &more((":x", b"1")))
            .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        malformed("9113 8.3", "one of an answer", &more((":status", b"200"))),
        malformed("9113 8.3", "the same twice", &more(PATH)),
        malformed("9113 8.3.1", "no method", &[SCHEME, AUTHORITY, PATH]),
        malformed("9113 8.3.1", "no scheme", &[METHOD, AUTHORITY, PATH]),
        malformed("9113 8.3.1", "no path", &[METHOD, SCHEME, AUTHORITY]),
        malformed(
            "9113 8.3.1",
            "an empty path",
            &[METHOD, SCHEME, AUTHORITY, (":path", b"")],
        ),
        malformed(
            "9113 8.3.1",
            "a user in the authority",
            &[METHOD, SCHEME, (":authority", b"u@lab"), PATH],
        )
        .but(Refused(1), "an answer says it better"),
        malformed("9113 8.3.1", "another host", &more(("host", b"evil")))
            .but(Refused(1), "an answer says it better"),
        case(
            "9113 8.3.1",
            "the same host",
            with(&more(("host", b"lab"))),
            Served(&[1]),
        ),
        malformed(
            "9113 8.5",
            "CONNECT with a path",
            &[(":method", b"CONNECT"), AUTHORITY, PATH],
        ),
        malformed(
            "9113 8.5",
            "CONNECT with a scheme",
            &[(":method", b"CONNECT"), AUTHORITY, SCHEME],
        ),
    ])
    .await;
}

#[tokio::test]
async fn extended_connect() {
    const CONNECT: (&str, &[u8]) = (":method", b"CONNECT");
    const WEBSOCKET: (&str, &[u8]) = (":protocol", b"websocket");
    check(vec![
        malformed(
            "8441 4",
            "without a scheme",
            &[CONNECT, AUTHORITY, PATH, WEBSOCKET],
        ),
        malformed(
            "8441 4",
            "without a path",
            &[CONNECT, AUTHORITY, SCHEME, WEBSOCKET],
        ),
        malformed(
            "8441 4",
            "with another method",
            &[METHOD, AUTHORITY, SCHEME, PATH, WEBSOCKET],
        ),
        malformed(
            "8441 4",
            "twice",
            &[CONNECT, AUTHORITY, SCHEME, PATH, WEBSOCKET, WEBSOCKET],
        ),
        malformed(
            "8441 4",
            "without an authority",
            &[CONNECT, SCHEME, PATH, WEBSOCKET],
        )
        .but(Refused(1), "an answer says it better"),
    ])
    .await;
}

#[tokio::test]
async fn bodies_and_trailers() {
    let sized = |length: &'static [u8]| {
        let length = ("content-length", length);
        let head = block(&[(":method", b"POST"), SCHEME, AUTHORITY, PATH, length]);
        frame(HEADERS, END_HEADERS, 1, &head)
    };
    let body = |bytes: &[u8]| frame(DATA, END_STREAM, 1, bytes);
    let trailers = |flags, fields| frame(HEADERS, END_HEADERS | flags, 1, &block(fields));
    let broken = Reset(1, Reason::PROTOCOL_ERROR);
    check(vec![
        case(
            "9113 8.1.1",
            "less than it says",
            [sized(b"5"), body(b"four")].concat(),
            broken,
        ),
        case(
            "9113 8.1.1",
            "more than it says",
            [sized(b"3"), body(b"four")].concat(),
            broken,
        ),
        case(
            "9113 5.1",
            "what was on its way when we ended the stream",
            [
                sized(b"3"),
                frame(DATA, 0, 1, b"four"),
                frame(DATA, 0, 1, b"more"),
                frame(WINDOW, 0, 1, &[0, 0, 0, 1]),
                trailers(END_STREAM, &[("x", b"1")]),
            ]
            .concat(),
            broken,
        ),
        case(
            "9113 8.1.1",
            "less than it says, before trailers",
            [
                sized(b"5"),
                frame(DATA, 0, 1, b"four"),
                trailers(END_STREAM, &[("x", b"1")]),
            ]
            .concat(),
            broken,
        ),
        case(
            "9113 8.1.1",
            "as much as it says, with padding",
            [
                sized(b"4"),
                frame(DATA, END_STREAM | PADDED, 1, b"\x02four\0\0"),
            ]
            .concat(),
            Served(&[1]),
        ),
        case(
            "9113 8.1",
            "trailers",
            [post(1), trailers(END_STREAM, &[("x", b"1")])].concat(),
            Served(&[1]),
        ),
        case(
            "9113 8.1",
            "trailers that are not the end",
            [upload(1), trailers(0, &[("x", b"1")])].concat(),
            broken,
        ),
        case(
            "9113 8.1",
            "trailers with a pseudo-field",
            [post(1), trailers(END_STREAM, &[(":path", b"/user/ada/")])].concat(),
            broken,
        )
        .but(
            Served(&[1]),
            "the codec drops it, and the request was decided on before",
        ),
        case(
            "9113 8.2.2",
            "trailers with a header of one hop",
            [
                upload(1),
                trailers(END_STREAM, &[("transfer-encoding", b"chunked")]),
            ]
            .concat(),
            broken,
        ),
        case(
            "9113 8.1",
            "DATA behind trailers",
            [upload(1), trailers(END_STREAM, &[("x", b"1")]), body(b"x")].concat(),
            Reset(1, Reason::STREAM_CLOSED),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
    ])
    .await;
}
