//! How long requests took, by kind of route, as a histogram for Prometheus.
//!
//! Two additions to counters for each request, and no lock.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::metrics::{KINDS, Kind};

/// Upper bounds in seconds; above the last there is one more.
const BOUNDS: [f64; 14] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0,
];

#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(Arc<[OfKind; KINDS.len()]>);

#[derive(Debug, Default)]
struct OfKind {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Durations {
    pub(crate) fn note(&self, kind: Kind, span: Duration) {
        let of_kind = &self.0[kind as usize];
        let seconds = span.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        of_kind.buckets[bucket].fetch_add(1, Relaxed);
        of_kind.micros.fetch_add(span.as_micros() as u64, Relaxed);
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        for (kind, of_kind) in KINDS.iter().zip(self.0.iter()) {
            let mut count = 0;
            let bounds = BOUNDS.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds
                .zip(&of_kind.buckets)
                .map(|(bound, bucket)| {
                    let in_bucket = bucket.load(Relaxed);
                    count += in_bucket;
                    (bound, in_bucket)
                })
                .collect();
            let seconds = of_kind.micros.load(Relaxed) as f64 / 1e6;
            let labels = [("kind", kind.name())];
            encoder
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn each_request_is_in_one_bucket() {
        let durations = Durations::default();
        for millis in [0, 3, 3, 400_000] {
            durations.note(Kind::Open, Duration::from_millis(millis));
        }
        let mut registry = Registry::default();
        registry.register("duration", "How long", durations);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "duration_count{kind=\"Open\"} 4",
            "duration_sum{kind=\"Open\"} 400.006",
            "duration_bucket{le=\"0.0005\",kind=\"Open\"} 1",
            "duration_bucket{le=\"0.005\",kind=\"Open\"} 3",
            "duration_bucket{le=\"300.0\",kind=\"Open\"} 3",
            "duration_bucket{le=\"+Inf\",kind=\"Open\"} 4",
            "duration_count{kind=\"Checked\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
