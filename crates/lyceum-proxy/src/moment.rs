//! Moments that others can place in a time of their own.
//!
//! Machines' clocks differ and are set while programs run. So a moment is kept by a clock that
//! nobody sets, and told as its age.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A moment of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(
    /// Milliseconds since [`BEGAN`], and one: nought is never.
    pub(crate) u64,
);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The time of day at [`BEGAN`], in milliseconds since 1970.
static BEGAN_AT: AtomicI64 = AtomicI64::new(0);
/// So far what we take for the time of day may be from what the machine shows. Without that a
/// moment would be another one each time it is shown.
const STEP_MS: i64 = 1_000;

impl Moment {
    pub fn now() -> Self {
        let passed = BEGAN.elapsed().as_millis();
        Self(u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// How long ago it was.
    pub fn age(self) -> Duration {
        Duration::from_millis(Self::now().0.saturating_sub(self.0))
    }

    /// By the machine's clock, in milliseconds.
    pub(crate) fn since_1970(self) -> u64 {
        let shown = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| signed(since.as_millis()));
        let began = shown - signed(u128::from(Self::now().0));
        let known = BEGAN_AT.load(Relaxed);
        let began = if began.abs_diff(known) <= STEP_MS.unsigned_abs() {
            known
        } else {
            BEGAN_AT.store(began, Relaxed);
            began
        };
        u64::try_from(began + signed(u128::from(self.0))).unwrap_or(0)
    }
}

fn signed(milliseconds: u128) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_gets_older_and_is_shown_alike_each_time() {
        let moment = Moment::now();
        let shown = moment.since_1970();
        let before = moment.age();
        while moment.age() == before {
            std::hint::spin_loop();
        }
        // The machine's clock and that of ages are read one after the other.
        assert!(moment.since_1970().abs_diff(shown) <= 1_000);
        // As the machine's clock has it, whatever that was at the start.
        BEGAN_AT.store(5, Relaxed);
        assert!(moment.since_1970().abs_diff(shown) <= 1_000);
    }
}
