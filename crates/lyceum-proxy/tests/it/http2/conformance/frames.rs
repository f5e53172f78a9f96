//! Each kind of frame: its length, its stream, its values (RFC 9113, section 6).

use h2::Reason;

use super::{super::raw::*, *};

fn length(section: &'static str, what: &'static str, sent: Vec<u8>) -> Case {
    case(section, what, sent, Bye(Reason::FRAME_SIZE_ERROR))
        .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD)
}

fn broken(section: &'static str, what: &'static str, sent: Vec<u8>) -> Case {
    case(section, what, sent, Bye(Reason::PROTOCOL_ERROR))
}

#[tokio::test]
async fn data() {
    let padded = |payload: &[u8]| [post(1), frame(DATA, END_STREAM | PADDED, 1, payload)].concat();
    let held = |payload: &[u8]| [upload(1), frame(DATA, END_STREAM | PADDED, 1, payload)].concat();
    check(vec![
        broken("9113 6.1", "on stream 0", frame(DATA, END_STREAM, 0, b"x")),
        broken("9113 6.1", "padding as long as the frame", held(&[3, 0, 0])),
        broken(
            "9113 6.1",
            "padding longer than the frame",
            held(&[4, 0, 0]),
        ),
        broken("9113 6.1", "padding without a length", held(&[])),
        case(
            "9113 6.1",
            "nothing but padding",
            padded(&[2, 0, 0]),
            Served(&[1]),
        ),
        case(
            "9113 6.1",
            "padding",
            padded(&[2, b'x', 0, 0]),
            Served(&[1]),
        ),
        case(
            "9113 6.1",
            "nothing at all",
            [post(1), frame(DATA, END_STREAM, 1, b"")].concat(),
            Served(&[1]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn headers() {
    let with = |flags, before: &[u8], behind: &[u8]| {
        let block = [before, &get("/open/"), behind].concat();
        frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, &block)
    };
    let short =
        |flags, payload: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, payload);
    check(vec![
        broken("9113 6.2", "on stream 0", ask(0)),
        broken(
            "9113 6.2",
            "padding longer than the rest",
            short(PADDED, &[2, 0x82]),
        ),
        broken("9113 6.2", "padding without a length", short(PADDED, &[])),
        length(
            "9113 6.2",
            "too short for its dependency",
            short(WITH_PRIORITY, &[0; 4]),
        ),
        case(
            "9113 6.2",
            "padding",
            with(PADDED, &[3], &[0; 3]),
            Served(&[1]),
        ),
        case(
            "9113 6.2",
            "padding and a dependency",
            with(PADDED | WITH_PRIORITY, &[1, 0, 0, 0, 0, 15], &[0]),
            Served(&[1]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn priority_and_rst_stream() {
    check(vec![
        broken(
            "9113 6.3",
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
        ),
        case(
            "9113 6.3",
            "PRIORITY that is too short",
            [hold(1), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            Reset(1, Reason::FRAME_SIZE_ERROR),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        broken(
            "9113 6.4",
            "RST_STREAM on stream 0",
            frame(RESET, 0, 0, &[0; 4]),
        ),
        length(
            "9113 6.4",
            "RST_STREAM that is too short",
            [hold(1), frame(RESET, 0, 1, &[0; 3])].concat(),
        ),
        length(
            "9113 6.4",
            "RST_STREAM that is too long",
            [hold(1), frame(RESET, 0, 1, &[0; 5])].concat(),
        ),
        case(
            "9113 7",
            "RST_STREAM with an unknown code",
            [hold(1), frame(RESET, 0, 1, &[0xff; 4])].concat(),
            Served(&[]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn settings() {
    let with = |name, value| frame(SETTINGS, 0, 0, &setting(name, value));
    check(vec![
        broken("9113 6.5", "on a stream", frame(SETTINGS, 0, 1, &[])),
        length(
            "9113 6.5",
            "no multiple of six",
            frame(SETTINGS, 0, 0, &[0; 5]),
        ),
        length(
            "9113 6.5",
            "an acknowledgement with values",
            frame(SETTINGS, ACK, 0, &setting(3, 1)),
        ),
        broken("9113 6.5.2", "ENABLE_PUSH of 2", with(2, 2)),
        case(
            "9113 6.5.2",
            "INITIAL_WINDOW_SIZE over 2^31-1",
            with(4, 1 << 31),
            Bye(Reason::FLOW_CONTROL_ERROR),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD),
        broken("9113 6.5.2", "MAX_FRAME_SIZE below 16,384", with(5, 16_383)),
        broken("9113 6.5.2", "MAX_FRAME_SIZE over 2^24-1", with(5, 1 << 24)),
        broken("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", with(8, 2)),
        case(
            "9113 6.5.2",
            "an unknown one",
            [with(0xfafa, u32::MAX), ask(1)].concat(),
            Served(&[1]),
        ),
        case(
            "9113 6.5.3",
            "the same twice, of which the second holds",
            [
                frame(SETTINGS, 0, 0, &[setting(4, 0), setting(4, 100)].concat()),
                ask(1),
            ]
            .concat(),
            Served(&[1]),
        ),
        case(
            "9113 6.5",
            "an acknowledgement",
            [frame(SETTINGS, ACK, 0, &[]), ask(1)].concat(),
            Served(&[1]),
        ),
        case(
            "9113 6.5.2",
            "all of them, as they may be",
            [
                frame(
                    SETTINGS,
                    0,
                    0,
                    &[
                        setting(1, 0),
                        setting(2, 0),
                        setting(3, 0),
                        setting(4, i32::MAX as u32),
                        setting(5, (1 << 24) - 1),
                        setting(6, u32::MAX),
                        setting(8, 1),
                    ]
                    .concat(),
                ),
                ask(1),
            ]
            .concat(),
            Served(&[1]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn push_promise() {
    // A promise of stream 2, which only servers may give.
    let promise = [&[0, 0, 0, 2][..], &get("/open/")].concat();
    let push = |stream| frame(PUSH_PROMISE, END_HEADERS, stream, &promise);
    check(vec![
        broken(
            "9113 8.4",
            "on an open stream",
            [upload(1), push(1)].concat(),
        ),
        broken(
            "9113 8.4",
            "on a stream that is half closed",
            [hold(1), push(1)].concat(),
        ),
        broken("9113 8.4", "on an idle stream", push(1)),
        broken("9113 6.6", "on stream 0", push(0)),
    ])
    .await;
}

#[tokio::test]
async fn ping_and_goaway() {
    check(vec![
        broken("9113 6.7", "PING on a stream", frame(PING, 0, 1, &[0; 8])),
        length(
            "9113 6.7",
            "PING that is too short",
            frame(PING, 0, 0, &[0; 7]),
        ),
        length(
            "9113 6.7",
            "PING that is too long",
            frame(PING, 0, 0, &[0; 9]),
        ),
        case(
            "9113 6.7",
            "an answer that nobody asked for",
            frame(PING, ACK, 0, &[0; 8]),
            Served(&[]),
        ),
        broken(
            "9113 6.8",
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
        ),
        length(
            "9113 6.8",
            "GOAWAY that is too short",
            frame(GOAWAY, 0, 0, &[0; 7]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn window_update() {
    const MOST: u32 = (1 << 31) - 1;
    let update = |stream, by: u32| frame(WINDOW, 0, stream, &by.to_be_bytes());
    let on = |next| [hold(1), next].concat();
    // What is left of the window that all begin with.
    let fills = MOST - 65_535;
    check(vec![
        length("9113 6.9", "too short", frame(WINDOW, 0, 0, &[0, 0, 1])),
        length(
            "9113 6.9",
            "too long",
            frame(WINDOW, 0, 0, &[0, 0, 0, 0, 1]),
        ),
        broken("9113 6.9", "of 0 for the connection", update(0, 0)),
        case(
            "9113 6.9",
            "of 0 for a stream",
            on(update(1, 0)),
            Reset(1, Reason::PROTOCOL_ERROR),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        case(
            "9113 6.9.1",
            "as large as may be",
            [update(0, fills), on(update(1, fills))].concat(),
            Served(&[]),
        ),
        case(
            "9113 6.9.1",
            "over it for the connection",
            update(0, fills + 1),
            Bye(Reason::FLOW_CONTROL_ERROR),
        ),
        case(
            "9113 6.9.1",
            "over it for a stream",
            on(update(1, fills + 1)),
            Reset(1, Reason::FLOW_CONTROL_ERROR),
        ),
        case(
            "9113 6.9.2",
            "over it by SETTINGS",
            [
                on(update(1, fills)),
                frame(SETTINGS, 0, 0, &setting(4, 65_536)),
            ]
            .concat(),
            Bye(Reason::FLOW_CONTROL_ERROR),
        ),
    ])
    .await;
}
