//! The life of a stream, and its number (RFC 9113, section 5).

use h2::Reason;

use super::{super::raw::*, *};

const LATE: &str = "whether the codec still knows the stream decides between the two";

fn data(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, b"x")
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &[0, 0, 0, 8])
}

fn window(stream: u32) -> Vec<u8> {
    frame(WINDOW, 0, stream, &[0, 0, 0, 1])
}

fn priority(stream: u32) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1])
}

fn trailers(flags: u8, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(&[("x", b"1")]))
}

#[tokio::test]
async fn idle_streams() {
    check(vec![
        case("9113 5.1", "DATA", data(1), Bye(Reason::PROTOCOL_ERROR)),
        case(
            "9113 5.1",
            "RST_STREAM",
            reset(1),
            Bye(Reason::PROTOCOL_ERROR),
        ),
        case(
            "9113 5.1",
            "WINDOW_UPDATE",
            window(1),
            Bye(Reason::PROTOCOL_ERROR),
        ),
        case(
            "9113 5.1",
            "PRIORITY",
            [priority(1), ask(1)].concat(),
            Served(&[1]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn streams_whose_client_has_finished() {
    let then = |next| [hold(1), next].concat();
    check(vec![
        case(
            "9113 5.1",
            "DATA",
            then(data(1)),
            Reset(1, Reason::STREAM_CLOSED),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        case(
            "9113 5.1",
            "HEADERS that end it again",
            then(trailers(END_STREAM, 1)),
            Reset(1, Reason::STREAM_CLOSED),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), HARDER),
        case(
            "9113 5.1",
            "HEADERS that do not",
            then(trailers(0, 1)),
            Reset(1, Reason::STREAM_CLOSED),
        )
        .but(Reset(1, Reason::PROTOCOL_ERROR), OTHER_WORD),
        case("9113 5.1", "WINDOW_UPDATE", then(window(1)), Served(&[])),
        case("9113 5.1", "PRIORITY", then(priority(1)), Served(&[])),
        case("9113 5.1", "RST_STREAM", then(reset(1)), Served(&[])),
    ])
    .await;
}

#[tokio::test]
async fn streams_that_the_client_has_reset() {
    let then = |next| [hold(1), reset(1), next].concat();
    check(vec![
        case(
            "9113 5.1",
            "DATA",
            then(data(1)),
            Reset(1, Reason::STREAM_CLOSED),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), LATE)
        .or(Reset(1, Reason::STREAM_CLOSED)),
        case(
            "9113 5.1",
            "HEADERS",
            then(ask(1)),
            Bye(Reason::STREAM_CLOSED),
        )
        .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD),
        case("9113 5.1", "WINDOW_UPDATE", then(window(1)), Served(&[])),
        case("9113 5.1", "PRIORITY", then(priority(1)), Served(&[])),
        case("9113 5.1", "RST_STREAM", then(reset(1)), Served(&[])),
    ])
    .await;
}

#[tokio::test]
async fn streams_that_are_over() {
    let then = |what, next, standard| case("9113 5.1", what, ask(1), standard).after_answer(next);
    check(vec![
        then("DATA", data(1), Bye(Reason::STREAM_CLOSED))
            .but(Bye(Reason::PROTOCOL_ERROR), LATE)
            .or(Reset(1, Reason::STREAM_CLOSED)),
        then("HEADERS", ask(1), Bye(Reason::STREAM_CLOSED))
            .but(Bye(Reason::PROTOCOL_ERROR), OTHER_WORD),
        then("WINDOW_UPDATE", window(1), Served(&[1])),
        then("PRIORITY", priority(1), Served(&[1])),
        then("RST_STREAM", reset(1), Served(&[1])),
    ])
    .await;
}

#[tokio::test]
async fn numbers() {
    let broken = |what, sent| case("9113 5.1.1", what, sent, Bye(Reason::PROTOCOL_ERROR));
    check(vec![
        broken("an even one", hold(2)),
        broken("one that is lower", [hold(5), hold(3)].concat()),
        broken("DATA on an even one", data(2)),
        broken("WINDOW_UPDATE on an even one", window(2)),
        broken("RST_STREAM on an even one", reset(2)),
        // Those that were passed over are closed.
        case(
            "9113 5.1.1",
            "WINDOW_UPDATE and RST_STREAM on one that was passed over",
            [hold(5), window(3), reset(3)].concat(),
            Served(&[]),
        ),
        case(
            "9113 5.1.1",
            "with room between them",
            [ask(1), ask(7), ask(999)].concat(),
            Served(&[1, 7, 999]),
        ),
    ])
    .await;
}

#[tokio::test]
async fn dependencies() {
    // A weight and a stream to follow are no longer of use (RFC 9113, section 5.3), but may come.
    let with = |dependency: &[u8]| {
        let block = [dependency, &get("/open/")].concat();
        frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &block)
    };
    check(vec![
        case(
            "9113 6.2",
            "on another",
            with(&[0x80, 0, 0, 9, 255]),
            Served(&[1]),
        ),
        case(
            "7540 5.3.1",
            "HEADERS that depend on themselves",
            with(&[0, 0, 0, 1, 1]),
            Reset(1, Reason::PROTOCOL_ERROR),
        ),
        case(
            "7540 5.3.1",
            "PRIORITY that depends on itself",
            [hold(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1])].concat(),
            Reset(1, Reason::PROTOCOL_ERROR),
        ),
    ])
    .await;
}
