//! Whether a client sends or takes a body fast enough to be worth its connection.
//!
//! Only time spent waiting for the client counts, so a slow server or a stream of seldom events
//! never makes a client slow. Each byte buys a little time, up to a bound: who was fast before may
//! not trickle for long. Nothing is computed, and no clock read, while data flows freely.

use std::time::Duration;

use tokio::time::Instant;

use crate::{alarm::after, config::Limits};

/// What the system's socket buffer may take at once from us without the client having read it: to
/// us a slow reader reads in lumps of this.
const LUMP: u64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Pace {
    /// Nanoseconds that a byte buys; 0 if speed does not matter.
    per_byte: u64,
    most: Duration,
    left: Duration,
    waiting: Option<Instant>,
}

impl Pace {
    pub(crate) fn of_sender(limits: &Limits) -> Self {
        Self::new(limits, limits.slow_grace)
    }

    pub(crate) fn of_reader(limits: &Limits) -> Self {
        let per_byte = per_byte(limits);
        let lump = Duration::from_nanos(per_byte.saturating_mul(LUMP));
        Self::new(limits, limits.slow_grace.max(lump))
    }

    fn new(limits: &Limits, most: Duration) -> Self {
        Self {
            per_byte: per_byte(limits),
            most,
            left: limits.slow_grace,
            waiting: None,
        }
    }

    pub(crate) fn moved(&mut self, bytes: usize) {
        if self.per_byte > 0 {
            let bought = Duration::from_nanos(self.per_byte.saturating_mul(bytes as u64));
            self.left = self.left.saturating_add(bought).min(self.most);
        }
    }

    /// Told each time everything has been moved that could be; gives when the client's time is up.
    pub(crate) fn wait(&mut self, for_client: bool) -> Option<Instant> {
        if self.per_byte == 0 || !for_client && self.waiting.is_none() {
            return None;
        }
        self.wait_at(for_client, Instant::now())
    }

    fn wait_at(&mut self, for_client: bool, now: Instant) -> Option<Instant> {
        if let Some(since) = self.waiting.take() {
            self.left = self.left.saturating_sub(now - since);
        }
        if !for_client {
            return None;
        }
        self.waiting = Some(now);
        Some(after(now, self.left))
    }
}

fn per_byte(limits: &Limits) -> u64 {
    1_000_000_000_u64
        .checked_div(limits.least_speed)
        .map_or(0, |nanos| nanos.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(least_speed: u64) -> Limits {
        Limits {
            least_speed,
            slow_grace: Duration::from_secs(10),
            ..Limits::default()
        }
    }

    #[test]
    fn only_waiting_for_the_client_uses_its_time_up() {
        let mut pace = Pace::of_sender(&limits(100));
        let second = Duration::from_secs(1);
        let start = Instant::now();
        assert_eq!(pace.wait_at(true, start), Some(start + 10 * second));
        // The server is slow now.
        let later = start + 4 * second;
        assert_eq!(pace.wait_at(false, later), None);
        let later = start + 64 * second;
        assert_eq!(pace.wait_at(true, later), Some(start + 70 * second));
        pace.moved(200);
        assert_eq!(pace.wait_at(true, later), Some(start + 72 * second));
        // Never more than the grace.
        pace.moved(1_000_000);
        assert_eq!(pace.wait_at(true, later), Some(start + 74 * second));
        let late = start + 80 * second;
        assert_eq!(pace.wait_at(true, late), Some(late), "its time is up");
    }

    #[test]
    fn a_reader_is_given_time_for_what_the_socket_took() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut pace = Pace::of_reader(&limits(1 << 20));
        pace.moved(64 << 20);
        assert_eq!(pace.wait_at(true, start), Some(start + 10 * second));
        let mut pace = Pace::of_reader(&limits(64 << 10));
        pace.moved(64 << 20);
        let lump = pace.wait_at(true, start).expect("a deadline") - start;
        assert!(lump > 60 * second && lump < 65 * second, "{lump:?}");
    }

    #[test]
    fn without_a_least_speed_nobody_is_slow() {
        let mut pace = Pace::of_sender(&limits(0));
        pace.moved(1);
        assert_eq!(pace.wait(true), None);
    }
}
