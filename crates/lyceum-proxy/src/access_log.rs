//! One line for each request, for every so many, or for none.
//!
//! A line says who asked for what and how it went. Never in it: queries, tokens, cookies, any other
//! header. WebSockets have theirs when they end, with all their bytes. While the log is off a
//! request costs one comparison.

use std::{
    cell::Cell,
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{Inner, fields::Known, head::Head, listen::Conn, metrics::Kind, request_id::RequestId};

/// What stands for a status where the client left before it was told one.
pub(crate) const CLIENT_LEFT: u16 = 499;

/// Which requests are told in the log: `off`, `full`, or `1/100` for one in a hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AccessLog {
    #[default]
    Off,
    /// One in so many.
    Sampled(NonZeroU32),
    Full,
}

thread_local! {
    static PASSED: Cell<u32> = const { Cell::new(0) };
}

impl AccessLog {
    /// Whether this request is told; to be asked once for each.
    pub(crate) fn takes(self) -> bool {
        match self {
            Self::Off => false,
            Self::Full => true,
            Self::Sampled(every) => {
                let passed = PASSED.get();
                PASSED.set((passed + 1) % every);
                passed == 0
            }
        }
    }
}

/// The access log in force, which may be another from the next request on.
#[derive(Debug)]
pub(crate) struct InForce(AtomicU32);

impl InForce {
    pub(crate) fn new(log: AccessLog) -> Self {
        let this = Self(AtomicU32::new(0));
        this.set(log);
        this
    }

    pub(crate) fn set(&self, log: AccessLog) {
        let every = match log {
            AccessLog::Off => 0,
            AccessLog::Full => 1,
            AccessLog::Sampled(every) => every.get(),
        };
        self.0.store(every, Relaxed);
    }

    fn get(&self) -> AccessLog {
        match NonZeroU32::new(self.0.load(Relaxed)) {
            None => AccessLog::Off,
            Some(NonZeroU32::MIN) => AccessLog::Full,
            Some(every) => AccessLog::Sampled(every),
        }
    }
}

impl FromStr for AccessLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "full" => Ok(Self::Full),
            _ => text
                .strip_prefix("1/")
                .and_then(|every| every.parse().ok())
                .map(Self::Sampled)
                .ok_or_else(|| {
                    format!("\"{text}\" is no access log; write off, full, or 1/100 for one request in a hundred")
                }),
        }
    }
}

impl TryFrom<String> for AccessLog {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Sampled(every) => write!(f, "1/{every}"),
            Self::Full => f.write_str("full"),
        }
    }
}

impl From<AccessLog> for String {
    fn from(log: AccessLog) -> Self {
        log.to_string()
    }
}

/// What was measured of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// From the request's first byte to its server until the answer's head; none if no server was
    /// asked, or none answered.
    pub(crate) upstream: Option<Duration>,
    /// When the answer's last byte was passed on, where that was seen.
    pub(crate) ended: Option<Instant>,
}

/// A request that is told once it is over.
#[derive(Debug)]
pub(crate) struct Line {
    id: RequestId,
    method: Box<str>,
    /// Without the query.
    path: Box<str>,
    client: IpAddr,
    kind: Kind,
    began: Instant,
    status: u16,
    pub(crate) measured: Measured,
}

impl Line {
    /// Notes how long a request took; gives its line if it is to be told.
    #[expect(clippy::too_many_arguments, reason = "all that is known of a request")]
    pub(crate) fn of(
        inner: &Inner,
        conn: &Conn,
        head: &Head,
        id: &RequestId,
        kind: Kind,
        began: Instant,
        status: u16,
        measured: Measured,
    ) -> Option<Self> {
        let ended = measured.ended.unwrap_or_else(Instant::now);
        inner.metrics.durations.note(kind, ended - began);
        if !inner.access_log.get().takes() {
            return None;
        }
        let client = conn.client(inner, head.fields.all(Known::ForwardedFor));
        Some(Self {
            id: *id,
            method: String::from_utf8_lossy(head.method()).into(),
            path: head.path().into(),
            client,
            kind,
            began,
            status,
            measured,
        })
    }

    /// Times are in microseconds.
    pub(crate) fn tell(&self) {
        let upstream = self.measured.upstream.map(|span| span.as_micros() as u64);
        tracing::info!(
            target: "access",
            request = %self.id,
            method = &*self.method,
            path = &*self.path,
            status = self.status,
            bytes_in = self.measured.bytes_in,
            bytes_out = self.measured.bytes_out,
            micros = self.began.elapsed().as_micros() as u64,
            upstream_micros = upstream,
            client = %self.client,
            kind = self.kind.name(),
            "served"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["off", "full", "1/100"] {
            let log: AccessLog = text.parse().expect("one of them");
            assert_eq!(log.to_string(), text);
        }
        for text in ["", "on", "1/0", "1/", "2/3", "1/x"] {
            let error = text.parse::<AccessLog>().expect_err("none of them");
            assert!(error.contains("1/100"), "{error}");
        }
    }

    #[test]
    fn another_is_in_force_from_then_on() {
        let log = InForce::new(AccessLog::Off);
        for text in ["full", "1/7", "off"] {
            let other = text.parse().expect("one of them");
            log.set(other);
            assert_eq!(log.get(), other);
        }
    }

    #[test]
    fn of_a_sample_every_so_manieth_is_told() {
        let log: AccessLog = "1/3".parse().expect("a sample");
        let told: Vec<bool> = (0..6).map(|_| log.takes()).collect();
        assert_eq!(told, [true, false, false, true, false, false]);
        assert!(!AccessLog::Off.takes() && AccessLog::Full.takes());
    }
}
