//! How frames and header blocks are cut (RFC 9113, sections 3.4 and 4), and what a block holds
//! (RFC 7541).

use h2::Reason;

use super::{super::raw::*, *};
use crate::support::soon;

/// With this flag a PING or SETTINGS is none.
const UNKNOWN_FLAGS: u8 = 0xd2;
const RESERVED: u32 = 1 << 31;

/// An unfinished block, and something else.
fn cut(next: Vec<u8>) -> Vec<u8> {
    [frame(HEADERS, END_STREAM, 1, &get("/open/")), next].concat()
}

#[tokio::test]
async fn frames_of_any_kind() {
    let large = |kind, flags, stream| frame(kind, flags, stream, &[0; 16_385]);
    let fits = frame(DATA, END_STREAM, 1, &[7; 16_384]);
    check(vec![
        case(
            "9113 4.1",
            "unknown kinds",
            [frame(0xfa, 0xff, 0, b"x"), frame(0xfb, 0, 7, b""), ask(1)].concat(),
            Served(&[1]),
        ),
        case(
            "9113 4.1",
            "unknown flags",
            [
                frame(SETTINGS, UNKNOWN_FLAGS, 0, &[]),
                frame(PING, UNKNOWN_FLAGS, 0, &[0; 8]),
                frame(HEADERS, END_HEADERS | 0xc2, 1, &get("/open/")),
                frame(WINDOW, 0xff, 1, &[0, 0, 0, 1]),
                frame(DATA, END_STREAM | 0xf6, 1, b"body"),
            ]
            .concat(),
            Served(&[1]),
        ),
        case(
            "9113 4.1",
            "the reserved bit",
            [
                frame(PING, 0, RESERVED, &[0; 8]),
                frame(WINDOW, 0, RESERVED, &[0x80, 0, 0, 1]),
                ask(RESERVED | 1),
            ]
            .concat(),
            Served(&[1]),
        ),
        case(
            "9113 4.2",
            "as large as it may be",
            [post(1), fits, frame(0xfa, 0, 0, &[0; 16_384])].concat(),
            Served(&[1]),
        ),
        case(
            "9113 4.2",
            "DATA that is too large",
            [upload(1), large(DATA, 0, 1)].concat(),
            Reset(1, Reason::FRAME_SIZE_ERROR),
        )
        .but(Bye(Reason::FRAME_SIZE_ERROR), HARDER),
        case(
            "9113 4.2",
            "HEADERS that are too large",
            large(HEADERS, END_HEADERS | END_STREAM, 1),
            Bye(Reason::FRAME_SIZE_ERROR),
        ),
        case(
            "9113 4.2",
            "SETTINGS that are too large",
            frame(SETTINGS, 0, 0, &[0xff; 16_386]),
            Bye(Reason::FRAME_SIZE_ERROR),
        ),
        case(
            "9113 4.2",
            "something unknown that is too large",
            large(0xfa, 0, 0),
            Bye(Reason::FRAME_SIZE_ERROR),
        ),
    ])
    .await;
}

#[tokio::test]
async fn header_blocks_are_whole() {
    let whole = get("/open/");
    let (first, rest) = whole.split_at(9);
    let mut cases = vec![case(
        "9113 4.3",
        "in pieces, one of them empty",
        [
            frame(HEADERS, END_STREAM, 1, first),
            frame(CONTINUATION, 0, 1, b""),
            frame(CONTINUATION, 0, 1, &rest[..1]),
            frame(CONTINUATION, END_HEADERS, 1, &rest[1..]),
        ]
        .concat(),
        Served(&[1]),
    )];
    for (what, next) in [
        ("DATA inside", frame(DATA, 0, 1, b"x")),
        ("HEADERS of another stream inside", ask(3)),
        ("HEADERS of the same stream inside", ask(1)),
        ("PRIORITY inside", frame(PRIORITY, 0, 3, &[0; 5])),
        ("RST_STREAM inside", frame(RESET, 0, 1, &[0; 4])),
        ("SETTINGS inside", frame(SETTINGS, 0, 0, &[])),
        ("PING inside", frame(PING, 0, 0, &[0; 8])),
        ("GOAWAY inside", frame(GOAWAY, 0, 0, &[0; 8])),
        ("WINDOW_UPDATE inside", frame(WINDOW, 0, 0, &[0, 0, 0, 1])),
        ("something unknown inside", frame(0xfa, 0, 0, b"")),
        (
            "CONTINUATION of another stream inside",
            frame(CONTINUATION, END_HEADERS, 3, b""),
        ),
    ] {
        cases.push(case(
            "9113 6.10",
            what,
            cut(next),
            Bye(Reason::PROTOCOL_ERROR),
        ));
    }
    check(cases).await;
}

#[tokio::test]
async fn continuations_of_nothing() {
    let more = |stream| frame(CONTINUATION, END_HEADERS, stream, b"");
    check(
        [
            ("alone", more(1)),
            ("after a whole block", [hold(1), more(1)].concat()),
            ("on stream 0", more(0)),
            (
                "on stream 0, inside a block",
                cut(frame(CONTINUATION, END_HEADERS, 0, b"")),
            ),
        ]
        .into_iter()
        .map(|(what, sent)| case("9113 6.10", what, sent, Bye(Reason::PROTOCOL_ERROR)))
        .collect(),
    )
    .await;
}

/// A request with these bytes before or behind its fields.
fn packed(stream: u32, before: &[u8], behind: &[u8]) -> Vec<u8> {
    let block = [before, &get("/open/"), behind].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

#[tokio::test]
async fn compressed_fields() {
    // `x: y`, to be remembered as number 62.
    let remember = [0x40, 1, b'x', 1, b'y'];
    let mut cases = vec![
        case(
            "7541 4.2",
            "the table made smaller twice before the first field",
            packed(1, &[0x20, 0x3f, 0x11], &[]),
            Served(&[1]),
        ),
        case(
            "7541 2.2",
            "the table outlives its stream",
            [packed(1, &[], &remember), packed(3, &[], &[0x80 | 62])].concat(),
            Served(&[1, 3]),
        ),
        case(
            "9113 4.3",
            "the table learns from a request that is wrong",
            [
                packed(
                    1,
                    &[],
                    &[&remember[..], &block(&[("upgrade", b"x")])].concat(),
                ),
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    3,
                    &[&get("/open/hold")[..], &[0x80 | 62]].concat(),
                ),
            ]
            .concat(),
            Reset(1, Reason::PROTOCOL_ERROR),
        ),
        case(
            "7541 5.2",
            "Huffman's code with padding that is right",
            packed(1, &[], &[0, 1, b'x', 0x81, 0x1f]),
            Served(&[1]),
        ),
    ];
    for (section, what, behind) in [
        ("7541 6.1", "the field number 0", &[0x80][..]),
        (
            "7541 2.3.3",
            "a field that is not in the table",
            &[0x80 | 62],
        ),
        (
            "7541 2.3.3",
            "a name that is not in the table",
            &[0x40 | 62, 1, b'y'],
        ),
        ("7541 6.3", "a size behind the first field", &[0x20]),
        (
            "7541 5.1",
            "a number without end",
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        ),
        ("7541 5.1", "a number that is cut", &[0xff, 0x80]),
        ("7541 5.2", "a text that is cut", &[0, 1, b'x', 5, b'y']),
        (
            "7541 5.2",
            "padding of a whole byte",
            &[0, 1, b'x', 0x82, 0x1f, 0xff],
        ),
        ("7541 5.2", "padding of zeros", &[0, 1, b'x', 0x81, 0x18]),
        (
            "7541 5.2",
            "the end of the code inside",
            &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff],
        ),
    ] {
        let sent = packed(1, &[], behind);
        cases.push(
            case(section, what, sent, Bye(Reason::COMPRESSION_ERROR))
                .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD),
        );
    }
    // 4,097, where 4,096 is what holds without a word of ours.
    cases.push(
        case(
            "7541 6.3",
            "a table larger than it may be",
            packed(1, &[0x3f, 0xe2, 0x1f], &[]),
            Bye(Reason::COMPRESSION_ERROR),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD),
    );
    cases.push(case(
        "7541 6.3",
        "a table as large as it may be",
        packed(1, &[0x3f, 0xe1, 0x1f], &[]),
        Served(&[1]),
    ));
    check(cases).await;
}

#[tokio::test]
async fn a_preface_is_all_of_it() {
    let server = server().await;
    let proxy = plain(&server).await;
    // One whose end is wrong is no connection (RFC 9113, section 3.4); without its first words it
    // is HTTP/1, and wrong there.
    for wrong in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = proxy.connect().await;
        client.send([wrong.as_bytes(), &ask(1)].concat()).await;
        let (said, _) = client.read_rest().await;
        // Our settings may have been said before that was seen.
        let is_settings = said.get(3) == Some(&SETTINGS) && said.len() == 9 + said[2] as usize;
        let refused = is_settings || said.starts_with(b"HTTP/1.1 ");
        assert!(refused, "{}", String::from_utf8_lossy(&said));
    }
    // One that is cut is no reason to wait.
    let mut client = proxy.connect().await;
    client.send(&PREFACE[..20]).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.0)
        .await
        .unwrap();
    client.read_rest().await;
    assert_eq!(server.count(), 0);
    // SETTINGS come first. The codec does not insist on it; until they come, what the standard
    // gives every client holds, so nothing depends on them.
    let mut client = Raw::silent(&proxy).await;
    client.send(PREFACE).await;
    client.send(&ask(1)).await;
    let answer = soon("an answer", client.find(&[HEADERS, GOAWAY]))
        .await
        .unwrap();
    assert_eq!((answer.kind, status(&answer.payload)), (HEADERS, 200));
}
