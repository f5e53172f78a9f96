//! What we send keeps to the standard, and to what the client has said.

use std::sync::Arc;

use h2::Reason;
use lyceum_proxy::{Http2, Limits};
use tokio::sync::Semaphore;

use super::{
    super::{raw::*, start},
    *,
};

fn settings(values: &[Vec<u8>]) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &values.concat())
}

fn update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW, 0, stream, &by.to_be_bytes())
}

/// The next frame of this kind.
async fn next(client: &mut Raw, kind: u8) -> Frame {
    client.find(&[kind]).await.expect("a frame of this kind")
}

#[tokio::test]
async fn settings_come_first_and_those_of_the_client_are_acknowledged() {
    let server = server().await;
    let proxy = plain(&server).await;
    let mut client = Raw::silent(&proxy).await;
    client.send(PREFACE).await;
    // RFC 9113, section 3.4.
    let first = client.next().await.unwrap();
    assert_eq!((first.kind, first.stream), (SETTINGS, 0));
    assert!(!first.has(ACK) && first.payload.len().is_multiple_of(6));
    // RFC 9113, sections 6.5.3 and 6.7: one for each, and the ping as it was.
    client.send(&settings(&[setting(3, 5)]).repeat(3)).await;
    client.send(&frame(PING, 0, 0, b"12345678")).await;
    for _ in 0..3 {
        let ack = next(&mut client, SETTINGS).await;
        assert!(ack.has(ACK) && ack.payload.is_empty());
    }
    let pong = next(&mut client, PING).await;
    assert!(pong.has(ACK) && pong.payload == b"12345678");
}

/// Answers with so many bytes.
async fn gives(length: usize) -> Server {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    Server::answer_with([head.as_bytes(), &vec![7; length]].concat()).await
}

/// The bytes of the first stream's answer.
struct Body<'a>(&'a mut Raw, usize, bool);

impl Body<'_> {
    /// As many as may come now come, and not one more.
    async fn reaches(&mut self, total: usize) {
        while self.1 < total {
            let data = next(self.0, DATA).await;
            self.1 += data.payload.len();
            self.2 |= data.has(END_STREAM);
        }
        assert_eq!(self.1, total);
        // The answer to a ping overtakes nothing that could have been sent before.
        self.0.send(&frame(PING, 0, 0, &[0; 8])).await;
        let then = self.0.find(&[DATA, PING]).await.unwrap();
        assert_eq!(then.kind, PING, "more than the window");
    }
}

#[tokio::test]
async fn bodies_keep_to_the_windows_of_the_client() {
    // RFC 9113, section 6.9.1: of the stream.
    let server = gives(100).await;
    let proxy = plain(&server).await;
    let mut client = Raw::with_settings(&proxy, &setting(4, 10)).await;
    client.send(&ask(1)).await;
    let mut body = Body(&mut client, 0, false);
    body.reaches(10).await;
    body.0.send(&update(1, 5)).await;
    body.reaches(15).await;
    // RFC 9113, section 6.9.2: a smaller one takes back what is not there; 7 are owed.
    body.0.send(&settings(&[setting(4, 3)])).await;
    body.0.send(&update(1, 7)).await;
    body.reaches(15).await;
    body.0.send(&update(1, 4)).await;
    body.reaches(19).await;
    body.0.send(&settings(&[setting(4, 1_000)])).await;
    body.reaches(100).await;
    assert!(body.2, "the end");

    // Of the connection.
    let server = gives(100_000).await;
    let proxy = plain(&server).await;
    let mut client = Raw::with_settings(&proxy, &setting(4, 1 << 30)).await;
    client.send(&ask(1)).await;
    let mut body = Body(&mut client, 0, false);
    body.reaches(65_535).await;
    body.0.send(&update(0, 1)).await;
    body.reaches(65_536).await;
    body.0.send(&update(0, 1 << 20)).await;
    body.reaches(100_000).await;
    assert!(body.2, "the end");
}

#[tokio::test]
async fn frames_are_as_large_as_the_client_takes_and_blocks_are_not_interrupted() {
    // Too much for one frame: RFC 9113, sections 4.2, 4.3 and 6.10.
    let fields: String = (0..4)
        .map(|number| format!("X-Large-{number}: {}\r\n", "a".repeat(12_000)))
        .collect();
    let body = "b".repeat(60_000);
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 60000\r\n\r\n{body}");
    let server = Server::answer_with(answer).await;
    let proxy = plain(&server).await;
    let mut client = Raw::new(&proxy).await;
    // Others are answered meanwhile.
    client.send(&[ask(1), ask(3), ask(5)].concat()).await;
    client.send(&update(0, 1 << 20)).await;
    let (mut open, mut ended, mut pieces) = (None, 0, 0);
    while ended < 3 {
        let frame = client.next().await.unwrap();
        assert!(frame.payload.len() <= 16_384, "{}", frame.payload.len());
        if let Some(stream) = open {
            assert_eq!((frame.kind, frame.stream), (CONTINUATION, stream));
            pieces += 1;
        }
        if matches!(frame.kind, HEADERS | CONTINUATION) {
            open = (!frame.has(END_HEADERS)).then_some(frame.stream);
        }
        ended += usize::from(frame.kind == DATA && frame.has(END_STREAM));
    }
    assert!(pieces >= 3, "each block has at least one more piece");
}

#[tokio::test]
async fn no_table_is_used_that_the_client_has_not() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: 0\r\n\r\n",
        "a".repeat(2_000)
    );
    let server = Server::answer_with(answer).await;
    let proxy = plain(&server).await;
    // RFC 7541, section 4.2: with a table the second answer is short, without one it is not.
    for (table, is_remembered) in [(4_096, true), (0, false)] {
        let mut client = Raw::with_settings(&proxy, &setting(1, table)).await;
        let mut lengths = Vec::new();
        for stream in [1, 3] {
            client.send(&ask(stream)).await;
            let head = next(&mut client, HEADERS).await;
            assert_eq!((head.stream, status(&head.payload)), (stream, 200));
            lengths.push(head.payload.len());
        }
        assert!(lengths[0] > 1_000, "{lengths:?}");
        assert_eq!(lengths[1] < 1_000, is_remembered, "{lengths:?}");
    }
}

#[tokio::test]
async fn who_sends_more_than_its_window_is_stopped() {
    // Reads nothing, so that what the system holds on the way has an end.
    let server = Server::raw(|stream, _| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let ack = frame(SETTINGS, ACK, 0, &[]);
    // As many pings as it takes.
    let wide = || Http2 {
        control_frames: u32::MAX,
        ..Http2::default()
    };
    let narrow = Http2 {
        stream_window: 1 << 20,
        connection_window: 65_535,
        ..wide()
    };
    // RFC 9113, section 6.9.1: of the stream before our settings hold, then after, then of all.
    for (http2, before, kind) in [
        (wide(), &b""[..], RESET),
        (wide(), &ack, RESET),
        (narrow, &ack, GOAWAY),
    ] {
        let proxy = start(&server, http2, Limits::default()).await;
        let mut client = Raw::new(&proxy).await;
        client.send(before).await;
        client.send(&upload(1)).await;
        // Little by little, so that the stream's window is over long before the connection's.
        let mut piece = frame(DATA, 0, 1, &[7; 16_384]).repeat(2);
        piece.extend(frame(PING, 0, 0, &[0; 8]));
        let stopped = loop {
            client.send(&piece).await;
            let word = client.find(&[PING, RESET, GOAWAY]).await.unwrap();
            if word.kind != PING {
                break word;
            }
        };
        assert_eq!(stopped.kind, kind, "{stopped:?}");
        assert_eq!(stopped.reason(), u32::from(Reason::FLOW_CONTROL_ERROR));
    }
}

#[tokio::test]
async fn a_farewell_says_how_far_it_came_and_keeps_to_it() {
    let go = Arc::new(Semaphore::new(0));
    let server = Server::raw({
        let go = go.clone();
        move |mut stream, seen| {
            let go = go.clone();
            async move {
                let head = read_head(&mut stream).await.unwrap();
                seen.lock().unwrap().push((head, Vec::new()));
                go.acquire().await.unwrap().forget();
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let last = |bye: &Frame| u32::from_be_bytes(bye.payload[..4].try_into().unwrap());
    // RFC 9113, section 6.8: after a mistake, the last stream that was looked at.
    let mut proxy = plain(&server).await;
    let mut client = Raw::new(&proxy).await;
    client.send(&ask(7)).await;
    crate::support::until("the request", || server.count() == 1).await;
    client.send(&frame(PING, 0, 1, &[0; 8])).await;
    assert_eq!(last(&next(&mut client, GOAWAY).await), 7);
    assert!(client.find(&[GOAWAY]).await.is_none(), "and it closes");

    // When we go in peace, first none is ruled out, then the later ones.
    let mut client = Raw::new(&proxy).await;
    client.send(&ask(1)).await;
    crate::support::until("the request", || server.count() == 2).await;
    let running = proxy.begin_stop();
    let first = next(&mut client, GOAWAY).await;
    assert_eq!((last(&first), first.reason()), ((1 << 31) - 1, 0));
    let ping = next(&mut client, PING).await;
    assert!(!ping.has(ACK));
    client.send(&frame(PING, ACK, 0, &ping.payload)).await;
    let second = next(&mut client, GOAWAY).await;
    assert_eq!((last(&second), second.reason()), (1, 0));
    client.send(&ask(3)).await;
    client.send(&frame(PING, 0, 0, &[0; 8])).await;
    assert!(next(&mut client, PING).await.has(ACK));
    go.add_permits(2);
    let answer = client.find(&[HEADERS, RESET, GOAWAY]).await.unwrap();
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
    assert!(
        client.find(&[HEADERS]).await.is_none(),
        "no answer to the later one"
    );
    crate::support::soon("the proxy to end", running)
        .await
        .unwrap();
    assert_eq!(server.count(), 2, "the later one went on to the server");
}

#[tokio::test]
async fn who_is_answered_early_is_told_to_stop_without_blame() {
    let server = server().await;
    let proxy = plain(&server).await;
    let mut client = Raw::new(&proxy).await;
    // RFC 9113, section 8.1.
    client.send(&begin(1, "/open/../")).await;
    let answer = next(&mut client, HEADERS).await;
    assert_eq!(status(&answer.payload), 400);
    let stop = client.find(&[RESET, GOAWAY]).await.unwrap();
    assert_eq!((stop.kind, stop.stream), (RESET, 1));
    assert_eq!(stop.reason(), u32::from(Reason::NO_ERROR));
}
