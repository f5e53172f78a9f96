//! How many starts the spawner takes at the moment, when what it stands before counts calls; those that
//! another hub has left behind are among them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lyceum_spawn::Pace;
use tokio::time::Instant;

/// Lets starts through no faster than the spawner says; those it holds back stay in line.
#[derive(Default)]
pub(super) struct Tap {
    /// When all that was taken is paid for; nothing: nothing was taken yet.
    paid: Mutex<Option<Instant>>,
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.paid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many may be taken up now.
    pub(super) fn free(&self, pace: Option<Pace>, now: Instant) -> usize {
        let Some(pace) = pace.filter(|pace| !pace.every.is_zero()) else {
            return usize::MAX;
        };
        let owed = self
            .lock()
            .map_or_else(Default::default, |paid| paid.saturating_duration_since(now));
        let room = (pace.every * pace.at_once.max(1)).saturating_sub(owed);
        usize::try_from(room.as_nanos() / pace.every.as_nanos()).unwrap_or(usize::MAX)
    }

    pub(super) fn take(&self, pace: Option<Pace>, count: usize, now: Instant) {
        let Some(pace) = pace else {
            return;
        };
        let mut paid = self.lock();
        let from = paid.map_or(now, |paid| paid.max(now));
        *paid = Some(from + pace.every * u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// When the next may be taken up, if none may now.
    pub(super) fn opens(&self, pace: Option<Pace>, now: Instant) -> Option<Instant> {
        let pace = pace?;
        let paid = *self.lock();
        let shut = self.free(Some(pace), now) == 0;
        // Until there is room for one.
        paid.filter(|_| shut)
            .map(|paid| paid - pace.every * (pace.at_once.max(1) - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PACE: Option<Pace> = Some(Pace {
        at_once: 3,
        every: Duration::from_millis(100),
    });

    #[test]
    fn no_faster_than_the_pace() {
        let (tap, begun) = (Tap::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        assert_eq!(tap.free(PACE, at(0)), 3);
        tap.take(PACE, 2, at(0));
        assert_eq!(tap.free(PACE, at(0)), 1);
        assert_eq!(tap.opens(PACE, at(0)), None);
        tap.take(PACE, 1, at(0));
        assert_eq!(tap.free(PACE, at(99)), 0);
        assert_eq!(tap.opens(PACE, at(0)), Some(at(100)));
        assert_eq!(tap.free(PACE, at(100)), 1);
        tap.take(PACE, 1, at(100));
        assert_eq!(tap.opens(PACE, at(100)), Some(at(200)));
        // A pause fills it again, and no more than that.
        assert_eq!(tap.free(PACE, at(10_000)), 3);
    }

    #[test]
    fn without_a_pace_nothing_is_held_back() {
        let (tap, now) = (Tap::default(), Instant::now());
        tap.take(None, 1_000_000, now);
        assert_eq!(tap.free(None, now), usize::MAX);
        assert_eq!(tap.opens(None, now), None);
    }
}
