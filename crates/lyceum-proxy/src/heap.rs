//! Gives memory back to the system after a crowd has left.
//!
//! What an idle WebSocket holds is some small pieces among those of all others. When thousands
//! close, the GNU allocator keeps nearly all of their pages, because it gives back by itself only
//! what lies at the very end of its heap. So the housekeeping of the workers tells it to look for
//! whole free pages everywhere, and only after many have left: it costs milliseconds. Nothing of
//! this is done for each request. Other allocators give back by themselves or not at all.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// So many fewer than there were at most make it worth while.
const CROWD: i64 = 256;

/// How many connections and tunnels there were at most since memory was last given back; shared by
/// all workers.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    most: AtomicI64,
}

impl Heap {
    pub(crate) fn saw(&self, open: i64) {
        if open > self.most.load(Relaxed) {
            self.most.fetch_max(open, Relaxed);
        }
    }

    /// Whether a crowd has left; says so to one of those who ask.
    fn has_emptied(&self, open: i64) -> bool {
        self.saw(open);
        let most = self.most.load(Relaxed);
        most - open >= CROWD
            && (self.most)
                .compare_exchange(most, open, Relaxed, Relaxed)
                .is_ok()
    }

    /// To be called every few seconds.
    pub(crate) fn tidy(&self, open: i64) {
        if self.has_emptied(open) {
            give_back();
            tracing::debug!(open, "free memory was given back to the system");
        }
    }
}

/// Gives whole free pages back to the system, which takes milliseconds. For whoever has had a crowd
/// of its own, too.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "no crate wraps it; it takes no pointer and may be called at any time by any thread"
)]
pub fn give_back() {
    // SAFETY: malloc_trim(3) is thread-safe, touches no memory in use, and takes only a number.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_after_many_have_left_and_once_for_all_who_ask() {
        let heap = Heap::default();
        for open in [0, 100, 1_000] {
            assert!(!heap.has_emptied(open), "{open} are still coming");
        }
        heap.saw(2_000);
        assert!(!heap.has_emptied(1_745), "few have left");
        assert!(heap.has_emptied(1_744));
        assert!(!heap.has_emptied(1_744), "it was done");
        assert!(!heap.has_emptied(1_600));
        assert!(heap.has_emptied(1_488));
        assert!(!heap.has_emptied(3_000));
        assert!(heap.has_emptied(0));
        assert!(!heap.has_emptied(0));
    }
}
