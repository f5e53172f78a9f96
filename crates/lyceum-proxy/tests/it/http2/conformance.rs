//! HTTP/2 frame by frame: what the standard says of each, and what a client gets for it.
//!
//! Each case names its section (`9113 6.1`: RFC 9113, section 6.1), the frames that a client sends
//! after its preface, and how the standard wants that to end. Where the codec does otherwise, the
//! case says so with [`Case::but`], together with the reason why that harms nobody. Whether the
//! connection goes on is always tried with a request.
//!
//! The cases: `framing` (sections 4 and 3.4, and RFC 7541) → `streams` (section 5) → `frames`
//! (section 6) → `requests` (section 8 and RFC 8441). What we send ourselves is in `ours`.

mod frames;
mod framing;
mod ours;
mod requests;
mod streams;

use std::collections::{BTreeMap, BTreeSet};

use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    plain,
    raw::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET, Raw, block, frame, get},
};
use crate::support::{PATIENCE, Server, TestProxy, read_body, read_head};

/// Far above every stream of a case.
const PROBE: u32 = 1_001;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// GOAWAY with this code, and the connection closes.
    Bye(Reason),
    /// This stream alone is reset with this code.
    Reset(u32, Reason),
    /// This stream alone is answered with 400 (RFC 9113, section 8.1.1, allows that).
    Refused(u32),
    /// Nothing is wrong; these streams are answered with 200.
    Served(&'static [u32]),
}

use End::*;

struct Case {
    section: &'static str,
    what: &'static str,
    sent: Vec<u8>,
    /// Sent once stream 1 has been answered.
    after_answer: Vec<u8>,
    standard: End,
    ours: Vec<End>,
    why: &'static str,
}

fn case(section: &'static str, what: &'static str, sent: Vec<u8>, standard: End) -> Case {
    Case {
        section,
        what,
        sent,
        after_answer: Vec::new(),
        standard,
        ours: Vec::new(),
        why: "",
    }
}

impl Case {
    fn after_answer(mut self, sent: Vec<u8>) -> Self {
        self.after_answer = sent;
        self
    }

    /// What we do instead of what the standard says, and why that is no harm.
    fn but(mut self, ours: End, why: &'static str) -> Self {
        assert_ne!(ours, self.standard, "{}: not otherwise", self.what);
        self.ours.push(ours);
        self.why = why;
        self
    }

    /// Either of both, as it happens to be early or late.
    fn or(mut self, ours: End) -> Self {
        self.ours.push(ours);
        self
    }

    fn allowed(&self) -> Vec<End> {
        if self.ours.is_empty() {
            vec![self.standard]
        } else {
            self.ours.clone()
        }
    }
}

/// Section 5.4.1 lets any error of a stream be one of the connection.
const HARDER: &str = "the whole connection of a client that is broken may end";
const OTHER_WORD: &str = "it ends all the same; only the code is less exact";

fn head(flags: u8, stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &get(path))
}

/// A request that is whole, and answered.
fn ask(stream: u32) -> Vec<u8> {
    head(END_STREAM, stream, "/open/")
}

fn begin(stream: u32, path: &str) -> Vec<u8> {
    let head = block(&[
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"lab"),
        (":path", path.as_bytes()),
    ]);
    frame(HEADERS, END_HEADERS, stream, &head)
}

/// A request whose body follows.
fn post(stream: u32) -> Vec<u8> {
    begin(stream, "/open/")
}

/// One whose body has no end.
fn upload(stream: u32) -> Vec<u8> {
    begin(stream, "/open/hold")
}

/// A request that is whole, and never answered.
fn hold(stream: u32) -> Vec<u8> {
    head(END_STREAM, stream, "/open/hold")
}

/// Answers all but `/open/hold`, and keeps what it has answered.
async fn server() -> Server {
    Server::raw(|mut stream, seen| async move {
        while let Some(head) = read_head(&mut stream).await {
            if head.contains("/open/hold") {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            let body = read_body(&mut stream, &head).await;
            seen.lock().unwrap().push((head, body));
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// The static table's `:status`, after what may stand before it (RFC 7541, appendix A and 6.3).
fn status(block: &[u8]) -> u16 {
    let first = block.iter().find(|byte| **byte & 0xe0 != 0x20);
    match first {
        Some(0x88) => 200,
        Some(0x8c) => 400,
        other => panic!("no status that is expected here: {other:?}"),
    }
}

#[derive(Debug, Default)]
struct Got {
    bye: Option<u32>,
    closed: bool,
    resets: BTreeMap<u32, u32>,
    statuses: BTreeMap<u32, u16>,
    ended: BTreeSet<u32>,
}

impl Got {
    fn note(&mut self, frame: Option<super::raw::Frame>) {
        let Some(frame) = frame else {
            self.closed = true;
            return;
        };
        let stream = frame.stream;
        match frame.kind {
            GOAWAY => self.bye = Some(frame.reason()),
            RESET => {
                self.resets.insert(stream, frame.reason());
            }
            HEADERS => {
                self.statuses.insert(stream, status(&frame.payload));
            }
            _ => {}
        }
        if matches!(frame.kind, HEADERS | DATA) && frame.has(END_STREAM) {
            self.ended.insert(stream);
        }
    }

    /// Whether this is how it ended; all of it must have been read.
    fn is(&self, end: End) -> bool {
        let reset = |stream, reason: Reason| BTreeMap::from([(stream, u32::from(reason))]);
        let has_gone_on = self.bye.is_none() && self.statuses.get(&PROBE) == Some(&200);
        match end {
            Bye(reason) => self.closed && self.bye == Some(reason.into()),
            Reset(stream, reason) => has_gone_on && self.resets == reset(stream, reason),
            Refused(stream) => has_gone_on && self.statuses.get(&stream) == Some(&400),
            Served(streams) => {
                has_gone_on
                    && self.resets.is_empty()
                    && streams
                        .iter()
                        .all(|stream| self.statuses.get(stream) == Some(&200))
            }
        }
    }
}

/// Sends it and reads until it has ended in one of the ways that are expected, or cannot any more.
async fn ended(proxy: &TestProxy, case: &Case) -> Got {
    let mut client = Raw::new(proxy).await;
    let mut got = Got::default();
    client.send(&case.sent).await;
    if !case.after_answer.is_empty() {
        while !got.closed && !got.ended.contains(&1) {
            got.note(client.next().await);
        }
        client.send(&case.after_answer).await;
    }
    client.send(&ask(PROBE)).await;
    // What was sent before this is answered before it.
    client.send(&frame(PING, 0, 0, b"the end.")).await;
    let mut is_read = false;
    loop {
        // A little before everything here gives up, so that the case can be named.
        let waited = tokio::time::timeout(PATIENCE.mul_f32(0.9), client.next());
        let Ok(frame) = waited.await else { return got };
        is_read |= matches!(&frame, Some(frame) if frame.kind == PING);
        got.note(frame);
        let is_over = is_read && got.ended.contains(&PROBE) && got.bye.is_none();
        let is_expected = case.allowed().into_iter().any(|end| got.is(end));
        // Answers come in any order; an unexpected reset or farewell is the end of it.
        if got.closed || is_over && (is_expected || !got.resets.is_empty()) {
            return got;
        }
    }
}

async fn check(cases: Vec<Case>) {
    let server = server().await;
    let proxy = plain(&server).await;
    for case in cases {
        let before = server.count();
        let got = ended(&proxy, &case).await;
        let allowed = case.allowed();
        let is_expected = allowed.iter().any(|end| got.is(*end));
        let Case {
            section,
            what,
            standard,
            why,
            ..
        } = case;
        assert!(
            is_expected,
            "RFC {section}: {what}\nstandard: {standard:?}\nours: {allowed:?} {why}\ngot: {got:?}"
        );
        // Only what was answered well has reached the server.
        let answered = got.statuses.values().filter(|one| **one == 200).count();
        assert_eq!(server.count() - before, answered, "RFC {section}: {what}");
    }
}
