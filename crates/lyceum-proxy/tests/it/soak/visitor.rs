//! Visitors over HTTP/1: they ask, several at once, leave in the middle, babble, open tunnels.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::{
    faults::{FAULTS, Fault, Fault::*},
    places::{Line, Places},
    random::{Rng, body_of, chunks},
    wire::{Got, hold, read_answer, read_body, read_head, read_length, say},
};
use crate::support::{header, soon};

pub(super) const BY_TLS: &str = "connection by TLS";

/// What was seen, by what was asked for.
#[derive(Default)]
pub(super) struct Tally(pub(super) Mutex<BTreeMap<(Fault, String), usize>>);

impl Tally {
    pub(super) fn note(&self, fault: Fault, what: impl Into<String>) {
        let mut tally = self.0.lock().unwrap();
        *tally.entry((fault, what.into())).or_default() += 1;
    }
}

/// One who comes again and again.
pub(super) struct Visitor {
    pub(super) places: Places,
    pub(super) rng: Rng,
    pub(super) tally: Arc<Tally>,
}

impl Visitor {
    /// A connection and a few requests on it; by TLS and over HTTP/2 as chance will have it.
    pub(super) async fn visit(&mut self) {
        let line = self.places.connect(&mut self.rng).await;
        let Some(line) = line else { return };
        if line.is_secure() {
            self.tally.note(Length, BY_TLS);
        }
        if line.is_http2() {
            return self.visit_http2(line).await;
        }
        let mut wire = BufReader::new(line);
        for _ in 0..1 + self.rng.below(5) {
            let goes_on = match self.rng.below(12) {
                0 => self.tunnel(&mut wire).await,
                1 => self.leave(&mut wire).await,
                2 => self.babble(&mut wire).await,
                3 => self.several(&mut wire).await,
                _ => self.ask(&mut wire).await,
            };
            if !goes_on {
                break;
            }
        }
        if self.rng.below(2) == 0 {
            wire.get_ref().reset_at_end();
        }
    }

    pub(super) fn fault(&mut self) -> Fault {
        // Half of all answers are good, so that connections are kept and taken again.
        let faults = if self.rng.below(2) == 0 {
            &FAULTS[..7]
        } else {
            &FAULTS[..]
        };
        self.rng.pick(faults)
    }

    fn request(&mut self, fault: Fault, number: u64) -> Vec<u8> {
        let body = body_of(self.rng.next());
        let index = FAULTS.iter().position(|one| *one == fault).unwrap();
        let target = format!("/open/{index}/{number}");
        let line = |method| format!("{method} {target} HTTP/1.1\r\nHost: lab\r\n");
        match self.rng.below(4) {
            0 | 1 => format!("{}\r\n", line("GET")).into_bytes(),
            2 => {
                let head = format!("{}Content-Length: {}\r\n\r\n", line("PUT"), body.len());
                [head.as_bytes(), &body].concat()
            }
            _ => {
                let head = format!("{}Transfer-Encoding: chunked\r\n\r\n", line("POST"));
                [head.as_bytes(), &chunks(number, &body), b"0\r\n\r\n"].concat()
            }
        }
    }

    async fn ask(&mut self, wire: &mut BufReader<Line>) -> bool {
        let (fault, number) = (self.fault(), self.rng.next());
        let request = self.request(fault, number);
        // Sent and read at the same time, or neither side would go on.
        let (reading, mut writing) = tokio::io::split(wire.get_mut());
        let mut reading = BufReader::new(reading);
        let send = async {
            let _ = writing.write_all(&request).await;
        };
        let read = read_answer(&mut reading);
        let ((), answer) = soon(&format!("{fault:?} {number}"), async {
            tokio::join!(send, read)
        })
        .await;
        self.check(fault, number, answer)
    }

    /// Whether the answer was whole and the connection goes on; fails if it may not be so.
    pub(super) fn check(&self, fault: Fault, number: u64, answer: Option<Got>) -> bool {
        let Some(got) = answer else {
            self.tally.note(fault, "ended");
            return false;
        };
        let what = || format!("{fault:?} {number}: {}", got.head);
        let is_allowed = got.status == 504 || fault.allowed().contains(&got.status);
        assert!(is_allowed, "{}", what());
        if got.status == 200 {
            let expect = body_of(number);
            assert!(expect.starts_with(&got.body), "not its own: {}", what());
            assert_eq!(got.is_whole, fault.can_end(), "{}", what());
            if got.is_whole {
                assert_eq!(got.body.len(), expect.len(), "{}", what());
            }
        }
        let end = if got.is_whole { "" } else { " cut" };
        self.tally.note(fault, format!("{}{end}", got.status));
        got.is_whole && header(&got.head, "connection").is_none_or(|value| value != "close")
    }

    /// Several at once; the answers come in their order.
    async fn several(&mut self, wire: &mut BufReader<Line>) -> bool {
        let asked: Vec<(Fault, u64)> = (0..3)
            .map(|_| (self.rng.pick(&FAULTS[..7]), self.rng.next()))
            .collect();
        let text: String = asked
            .iter()
            .map(|(fault, number)| {
                let index = FAULTS.iter().position(|one| one == fault).unwrap();
                format!("GET /open/{index}/{number} HTTP/1.1\r\nHost: lab\r\n\r\n")
            })
            .collect();
        if !say(wire, text).await {
            return false;
        }
        for (fault, number) in asked {
            let answer = soon("one of several", read_answer(wire)).await;
            if !self.check(fault, number, answer) {
                return false;
            }
        }
        true
    }

    /// Goes away somewhere in the middle.
    async fn leave(&mut self, wire: &mut BufReader<Line>) -> bool {
        let (fault, number) = (self.fault(), self.rng.next());
        let request = self.request(fault, number);
        let part = self.rng.below(request.len() + 1);
        let send = wire.get_mut().write_all(&request[..part]);
        // A server that does not read may hold this up, which is one more way to leave.
        let _ = tokio::time::timeout(Duration::from_millis(300), send).await;
        match self.rng.below(5) {
            0 => {
                let _ = wire.get_mut().shutdown().await;
                soon("the rest", hold(wire)).await;
            }
            1 => {
                let mut some = vec![0; 1 + self.rng.below(5_000)];
                let read = wire.read_exact(&mut some);
                let _ = tokio::time::timeout(Duration::from_millis(100), read).await;
            }
            // Waits for the proxy to have had enough.
            2 => soon("the end", hold(wire)).await,
            _ => {}
        }
        self.tally.note(fault, "left");
        false
    }

    /// Sends what is no HTTP.
    async fn babble(&mut self, wire: &mut BufReader<Line>) -> bool {
        let length = self.rng.below(3_000);
        let mut bytes = self.rng.bytes(length);
        if self.rng.below(2) == 0 {
            bytes.splice(0..0, *b"GET /open/0/1 HTTP/1.1\r\nHost: lab\r\n");
        }
        say(wire, bytes).await;
        let _ = wire.get_mut().shutdown().await;
        soon("an end after garbage", hold(wire)).await;
        false
    }

    async fn tunnel(&mut self, wire: &mut BufReader<Line>) -> bool {
        let number = self.rng.next();
        let request = format!(
            "GET /open/0/{number} HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
        );
        say(wire, request).await;
        let Some(head) = soon("a tunnel", read_head(wire)).await else {
            return false;
        };
        if !head.starts_with("HTTP/1.1 101") {
            let body = soon("a refusal", read_body(wire, &head)).await;
            let is_late = head.starts_with("HTTP/1.1 504");
            assert!(is_late || head.starts_with("HTTP/1.1 503"), "{head}");
            return body.1;
        }
        self.tally.note(Length, "tunnel");
        for _ in 0..self.rng.below(20) {
            let length = 1 + self.rng.below(6_000);
            let piece = self.rng.bytes(length);
            if !say(wire, &piece).await {
                return false;
            }
            let (back, is_whole) = soon("an echo", read_length(wire, length)).await;
            assert!(piece.starts_with(&back), "another's bytes in a tunnel");
            if !is_whole {
                return false;
            }
        }
        match self.rng.below(3) {
            0 => {
                let _ = wire.get_mut().shutdown().await;
                soon("the tunnel's end", hold(wire)).await;
            }
            1 => soon("the tunnel's end", hold(wire)).await,
            _ => {}
        }
        false
    }
}
