//! Counts frames that cost work and carry nothing, without IO.
//!
//! Such frames are legal one by one, so the protocol's own checks let them through: settings, pings,
//! resets of requests just sent (CVE-2023-44487), empty data, continuations, priorities, windows
//! opened byte by byte. Only their headers are looked at (RFC 9113, section 4.1). A client has a
//! budget that fills with time; window updates have one that also fills with what is sent to it,
//! because a client that downloads must send them.

use std::time::Instant;

/// Bytes that every client sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;
/// A client that reads may open its window once for so many bytes sent to it, twice over (its
/// connection's and its stream's).
const BYTES_PER_UPDATE: u64 = 512;

const END_STREAM: u8 = 1;

/// The kind of frame that there were too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flood {
    Data = 1,
    Priority,
    Reset,
    Settings,
    Ping,
    Window,
    Continuation,
    Unknown,
}

impl Flood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Priority => "priority",
            Self::Reset => "reset",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::Window => "window_update",
            Self::Continuation => "continuation",
            Self::Unknown => "unknown",
        }
    }

    /// None for frames that carry something.
    fn of(kind: u8, flags: u8, length: usize) -> Option<Self> {
        match kind {
            0 if length == 0 && flags & END_STREAM == 0 => Some(Self::Data),
            // Their number is bounded by the streams that may be open, and by resets.
            0 | 1 => None,
            2 => Some(Self::Priority),
            3 => Some(Self::Reset),
            4 => Some(Self::Settings),
            6 => Some(Self::Ping),
            8 => Some(Self::Window),
            9 => Some(Self::Continuation),
            _ => Some(Self::Unknown),
        }
    }
}

/// So many at once, and so many per second.
#[derive(Debug)]
struct Budget {
    left: u64,
    most: u64,
    per_second: u64,
    filled: Instant,
}

impl Budget {
    fn new(most: u32, per_second: u32, now: Instant) -> Self {
        let most = u64::from(most.max(1));
        Self {
            left: most,
            most,
            per_second: per_second.into(),
            filled: now,
        }
    }

    /// The clock is asked only when nothing is left.
    fn spend(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = now();
            let millis = now.saturating_duration_since(self.filled).as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            let earned = millis.saturating_mul(self.per_second) / 1_000;
            if earned == 0 {
                return false;
            }
            self.left = earned.min(self.most);
            self.filled = now;
        }
        self.left -= 1;
        true
    }
}

#[derive(Debug)]
pub(crate) struct Meter {
    /// Of the preface or a payload, to be passed over.
    skip: usize,
    header: [u8; HEADER],
    have: usize,
    control: Budget,
    window: Budget,
    /// Bytes sent that have not yet paid for a window update.
    sent: u64,
}

impl Meter {
    pub(crate) fn new(most: u32, per_second: u32, now: Instant) -> Self {
        Self {
            skip: PREFACE.len(),
            header: [0; HEADER],
            have: 0,
            control: Budget::new(most, per_second, now),
            window: Budget::new(most, per_second, now),
            sent: 0,
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Looks at what came; says what there is too much of.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Option<Flood> {
        let mut found = None;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < HEADER {
                break;
            }
            self.have = 0;
            let [high, middle, low, kind, flags, ..] = self.header;
            let length = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.skip = length;
            if let Some(flood) = Flood::of(kind, flags, length)
                && !self.pay(flood, &now)
            {
                found = Some(flood);
            }
        }
        found
    }

    fn pay(&mut self, flood: Flood, now: impl Fn() -> Instant) -> bool {
        if flood != Flood::Window {
            return self.control.spend(now);
        }
        if self.sent >= BYTES_PER_UPDATE {
            self.sent -= BYTES_PER_UPDATE;
            return true;
        }
        self.window.spend(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 1];
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn useless_frames_are_counted_and_others_are_not() {
        let now = Instant::now();
        let check = |kind, flags, payload: &[u8], expect: Option<Flood>| {
            let mut meter = Meter::new(10, 0, now);
            let mut bytes = PREFACE.to_vec();
            for _ in 0..11 {
                bytes.extend_from_slice(&frame(kind, flags, payload));
            }
            assert_eq!(meter.read(&bytes, || now), expect, "{kind} {flags}");
            // The same, byte by byte.
            let mut meter = Meter::new(10, 0, now);
            let seen = bytes
                .iter()
                .find_map(|byte| meter.read(std::slice::from_ref(byte), || now));
            assert_eq!(seen, expect, "{kind} {flags}");
        };
        check(0, 0, b"", Some(Flood::Data));
        check(0, END_STREAM, b"", None);
        check(0, 0, b"data", None);
        check(1, 4, b"head", None);
        check(2, 0, &[0; 5], Some(Flood::Priority));
        check(3, 0, &[0; 4], Some(Flood::Reset));
        check(4, 0, b"", Some(Flood::Settings));
        check(6, 0, &[0; 8], Some(Flood::Ping));
        check(8, 0, &[0, 0, 0, 1], Some(Flood::Window));
        check(9, 0, b"more", Some(Flood::Continuation));
        check(99, 0, b"?", Some(Flood::Unknown));
    }

    #[test]
    fn the_budget_fills_with_time() {
        let start = Instant::now();
        let mut meter = Meter::new(10, 5, start);
        meter.read(PREFACE, || start);
        let ping = frame(6, 0, &[0; 8]);
        for _ in 0..10 {
            assert_eq!(meter.read(&ping, || start), None);
        }
        assert_eq!(meter.read(&ping, || start), Some(Flood::Ping));
        let later = start + Duration::from_secs(1);
        for _ in 0..5 {
            assert_eq!(meter.read(&ping, || later), None);
        }
        assert_eq!(meter.read(&ping, || later), Some(Flood::Ping));
        // A long rest earns no more than a burst.
        let much_later = start + Duration::from_secs(1_000_000);
        for _ in 0..10 {
            assert_eq!(meter.read(&ping, || much_later), None);
        }
        assert_eq!(meter.read(&ping, || much_later), Some(Flood::Ping));
    }

    #[test]
    fn who_downloads_may_open_its_window() {
        let now = Instant::now();
        let mut meter = Meter::new(10, 0, now);
        meter.read(PREFACE, || now);
        let update = frame(8, 0, &[0, 0, 64, 0]);
        for _ in 0..10_000 {
            meter.sent(16 * 1024);
            assert_eq!(meter.read(&update, || now), None);
            assert_eq!(meter.read(&update, || now), None);
        }
    }
}
