//! What came in, counted for one look and kept for those that follow within some seconds: in a large
//! course many rows are read for it. Whoever comes while it is counted waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lyceum_model::clock::Millis;
use tokio::sync::OnceCell;

use super::arrivals::Counted;

/// So old what is told may be, from the moment on at which it began to be counted.
const FRESH_MS: i64 = 8_000;
/// So many answers at most; one more forgets the oldest.
const KEPT_MAX: usize = 256;

/// By the ids of the assignments that were asked about; of those follows which courses they are of.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<Vec<String>, Entry>>);

struct Entry {
    began: Millis,
    answer: Arc<OnceCell<Arc<Counted>>>,
}

impl Entry {
    /// A clock that was set back makes nothing last longer.
    fn is_fresh(&self, now: Millis) -> bool {
        (0..FRESH_MS).contains(&now.since(self.began))
    }
}

impl Kept {
    /// What is known, or what `count` finds. It must not be asked by whoever holds a connection: what
    /// she waits for needs one.
    pub(crate) async fn get(
        &self,
        assignments: Vec<String>,
        now: Millis,
        count: impl Future<Output = sqlx::Result<Counted>>,
    ) -> sqlx::Result<Arc<Counted>> {
        let answer = self.answer(assignments, now);
        // Where one who counts goes away, the next who waits does it.
        let counted = answer.get_or_try_init(|| async { count.await.map(Arc::new) });
        counted.await.cloned()
    }

    fn answer(&self, assignments: Vec<String>, now: Millis) -> Arc<OnceCell<Arc<Counted>>> {
        let mut kept = self.lock();
        if let Some(known) = kept.get(&assignments).filter(|entry| entry.is_fresh(now)) {
            return known.answer.clone();
        }
        kept.retain(|_, entry| entry.is_fresh(now));
        if kept.len() >= KEPT_MAX {
            let oldest = kept.iter().min_by_key(|(_, entry)| entry.began);
            if let Some(oldest) = oldest.map(|(asked, _)| asked.clone()) {
                kept.remove(&oldest);
            }
        }
        let answer = Arc::<OnceCell<Arc<Counted>>>::default();
        let entry = Entry {
            began: now,
            answer: answer.clone(),
        };
        kept.insert(assignments, entry);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<String>, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn ids(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    /// Counts how often it was counted.
    struct Counter(AtomicUsize);

    impl Counter {
        async fn count(&self) -> sqlx::Result<Counted> {
            self.0.fetch_add(1, Ordering::SeqCst);
            // Others get their turn meanwhile.
            tokio::task::yield_now().await;
            Ok(Counted::default())
        }

        fn so_far(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn those_who_come_together_count_once_and_after_some_seconds_anew() {
        let kept = Kept::default();
        let counter = Counter(AtomicUsize::new(0));
        let ask = async |what: &str, now: i64| {
            let asked = kept.get(ids(what), Millis(now), counter.count()).await;
            asked.expect("counted")
        };
        let (one, other) = tokio::join!(ask("bio", 1000), ask("bio", 1001));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(counter.so_far(), 1);
        ask("bio", 1000 + FRESH_MS - 1).await;
        assert_eq!(counter.so_far(), 1);
        ask("art", 1001).await;
        assert_eq!(counter.so_far(), 2);
        ask("bio", 1000 + FRESH_MS).await;
        assert_eq!(counter.so_far(), 3);
        // The clock was set back.
        ask("bio", 1000).await;
        assert_eq!(counter.so_far(), 4);
    }

    #[tokio::test]
    async fn what_could_not_be_counted_is_not_kept_and_who_goes_away_leaves_it_to_the_next() {
        let kept = Kept::default();
        let counter = Counter(AtomicUsize::new(0));
        let failed = kept.get(ids("bio"), Millis(0), async {
            Err(sqlx::Error::PoolTimedOut)
        });
        assert!(failed.await.is_err());
        let mut gone = Box::pin(kept.get(ids("bio"), Millis(0), std::future::pending()));
        assert!(futures_util::poll!(&mut gone).is_pending());
        let mut next = Box::pin(kept.get(ids("bio"), Millis(0), counter.count()));
        assert!(futures_util::poll!(&mut next).is_pending());
        assert_eq!(counter.so_far(), 0);
        drop(gone);
        next.await.expect("counted");
        assert_eq!(counter.so_far(), 1);
    }

    #[tokio::test]
    async fn no_more_are_kept_than_so_many() {
        let kept = Kept::default();
        let counter = Counter(AtomicUsize::new(0));
        for at in 0..=KEPT_MAX {
            let now = Millis(at as i64);
            let asked = kept.get(ids(&at.to_string()), now, counter.count());
            asked.await.expect("counted");
        }
        assert_eq!(kept.lock().len(), KEPT_MAX);
        assert!(!kept.lock().contains_key(&ids("0")), "the oldest went");
    }
}
