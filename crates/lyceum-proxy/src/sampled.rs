//! How long something short takes, from a sample, as a Prometheus summary.
//!
//! Every call is counted and one in [`Sampled::EVERY`] timed: reading the clock would cost as much
//! as what is timed. Quantiles are over the last [`KEPT`] timed ones, with the marks that
//! configurable-http-proxy has.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

const KEPT: usize = 1_024;
const MARKS: [f64; 7] = [0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999];

#[derive(Debug)]
pub(crate) struct Sampled {
    count: AtomicU64,
    timed: AtomicU64,
    nanos: AtomicU64,
    /// The last ones, in no order.
    last: [AtomicU32; KEPT],
}

impl Default for Sampled {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampled {
    const EVERY: u64 = 64;

    pub(crate) const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            timed: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            last: [const { AtomicU32::new(0) }; KEPT],
        }
    }

    pub(crate) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        if !self.count.fetch_add(1, Relaxed).is_multiple_of(Self::EVERY) {
            return work();
        }
        let began = Instant::now();
        let done = work();
        self.note(began.elapsed().as_nanos() as u64);
        done
    }

    fn note(&self, nanos: u64) {
        self.nanos.fetch_add(nanos, Relaxed);
        let at = self.timed.fetch_add(1, Relaxed) % KEPT as u64;
        self.last[at as usize].store(u32::try_from(nanos).unwrap_or(u32::MAX), Relaxed);
    }

    pub(crate) fn show(&self, text: &mut String, name: &str) {
        let timed = self.timed.load(Relaxed);
        let kept = usize::try_from(timed).map_or(KEPT, |timed| timed.min(KEPT));
        let mut last: Vec<u32> = self.last[..kept]
            .iter()
            .map(|one| one.load(Relaxed))
            .collect();
        last.sort_unstable();
        for mark in MARKS {
            let seconds = f64::from(quantile(&last, mark)) / 1e9;
            let _ = writeln!(text, "{name}{{quantile=\"{mark}\"}} {seconds}");
        }
        // All together by the sample's average.
        let count = self.count.load(Relaxed);
        let average = self.nanos.load(Relaxed) as f64 / timed.max(1) as f64;
        let seconds = average * count as f64 / 1e9;
        let _ = writeln!(text, "{name}_sum {seconds}\n{name}_count {count}");
    }
}

/// The least of these that at least so large a part does not exceed; 0 of none.
fn quantile(sorted: &[u32], mark: f64) -> u32 {
    let rank = (mark * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_timed_last() {
        let sampled = Sampled::new();
        for nanos in 1..=1_000 {
            sampled.note(nanos * 1_000);
        }
        sampled.count.store(64_000, Relaxed);
        let mut text = String::new();
        sampled.show(&mut text, "x");
        let expect = "x{quantile=\"0.01\"} 0.00001\nx{quantile=\"0.05\"} 0.00005\nx{quantile=\"0.5\"} 0.0005\nx{quantile=\"0.9\"} 0.0009\nx{quantile=\"0.95\"} 0.00095\nx{quantile=\"0.99\"} 0.00099\nx{quantile=\"0.999\"} 0.000999\nx_sum 32.032\nx_count 64000\n";
        assert_eq!(text, expect);
        // Old ones are forgotten.
        for _ in 0..KEPT {
            sampled.note(7_000_000_000);
        }
        text.clear();
        sampled.show(&mut text, "x");
        assert!(
            text.starts_with("x{quantile=\"0.01\"} 4.294967295\n"),
            "{text}"
        );
    }

    #[test]
    fn of_none_all_are_0_as_in_the_original() {
        let mut text = String::new();
        Sampled::new().show(&mut text, "x");
        assert!(
            text.contains("x{quantile=\"0.999\"} 0\nx_sum 0\nx_count 0\n"),
            "{text}"
        );
    }
}
