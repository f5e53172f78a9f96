//! Who may ask PAM now. Its modules hold a place for seconds after a wrong password, so no network has more
//! than a share of them: whoever guesses from one address keeps others waiting there alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use lyceum_auth::Refused;
use lyceum_auth::throttle::network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A network has one place of so many.
const SHARES: usize = 4;
/// So many times as many as there are places may wait, of one network and of all.
const QUEUE_OF_ONE: usize = 16;
const QUEUE: usize = 64;

pub(crate) struct Places {
    all: Arc<Semaphore>,
    at_once: usize,
    /// The share of each network that asks or waits.
    networks: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_network: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(at_once: usize) -> Self {
        let at_once = at_once.max(1);
        Self {
            all: Arc::new(Semaphore::new(at_once)),
            at_once,
            networks: Mutex::default(),
        }
    }

    /// Waits for a place and then for what is asked with it, for `limit` in all.
    pub(crate) async fn run<T, F>(
        &self,
        address: IpAddr,
        limit: Duration,
        ask: impl FnOnce(Place) -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        let until = Instant::now() + limit;
        let place = timeout_at(until, self.take(address)).await;
        let place = place.map_err(|_| Refused::Busy)??;
        match timeout_at(until, ask(place)).await {
            Ok(done) => done,
            Err(_) => Err(Refused::Internal(anyhow!(
                "PAM did not answer within {} s",
                limit.as_secs_f32()
            ))),
        }
    }

    async fn take(&self, address: IpAddr) -> Result<Place, Refused> {
        let share = self.share_of(network(address))?;
        // First of its own network: who waits there takes no turn from others.
        let of_network = share.acquire_owned().await.context("places for PAM")?;
        let all = self.all.clone();
        let of_all = all.acquire_owned().await.context("places for PAM")?;
        Ok(Place {
            _of_network: of_network,
            _of_all: of_all,
        })
    }

    fn share_of(&self, network: IpAddr) -> Result<Arc<Semaphore>, Refused> {
        let networks = self.networks.lock();
        let mut networks = networks.unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or asks holds one, and the map does.
        networks.retain(|_, share| Arc::strong_count(share) > 1);
        let there = |share: &Arc<Semaphore>| Arc::strong_count(share) - 1;
        let all: usize = networks.values().map(there).sum();
        let of_one = networks.get(&network).map_or(0, there);
        if all >= self.at_once * QUEUE || of_one >= self.at_once * QUEUE_OF_ONE {
            return Err(Refused::Busy);
        }
        let most = (self.at_once / SHARES).max(1);
        let share = networks.entry(network);
        let share = share.or_insert_with(|| Arc::new(Semaphore::new(most)));
        Ok(share.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// The place, if there is one at once.
    async fn now(places: &Places, address: IpAddr) -> Option<Place> {
        let place = tokio::time::timeout(Duration::ZERO, places.take(address));
        place.await.ok().map(|place| place.expect("a short queue"))
    }

    #[tokio::test]
    async fn one_network_never_has_all_places() {
        let places = Places::new(8);
        let first = now(&places, HERE).await.expect("free");
        let _second = now(&places, HERE).await.expect("free");
        assert!(now(&places, HERE).await.is_none());
        let _other = now(&places, THERE).await.expect("free for others");
        drop(first);
        let _third = now(&places, HERE).await.expect("free once more");
    }

    #[tokio::test]
    async fn a_queue_has_an_end() {
        let places = Arc::new(Places::new(1));
        let _held = now(&places, HERE).await.expect("free");
        let mut waiting = tokio::task::JoinSet::new();
        // One of them is too many: who holds the place counts, too.
        for _ in 0..QUEUE_OF_ONE {
            let places = places.clone();
            waiting.spawn(async move { places.take(HERE).await });
        }
        let refused = tokio::time::timeout(Duration::from_secs(10), waiting.join_next());
        let refused = refused.await.expect("at once").expect("one of them");
        let refused = refused.expect("it ran");
        assert!(matches!(refused, Err(Refused::Busy)), "{refused:?}");
    }

    #[tokio::test]
    async fn both_waits_together_have_one_end() {
        let places = Places::new(1);
        let held = now(&places, HERE).await.expect("free");
        let limit = Duration::from_millis(300);
        let answers = places.run(HERE, limit, |place| async move {
            std::future::pending::<()>().await;
            drop(place);
            Ok(())
        });
        let frees = async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            drop(held);
            // With a time for each wait it would go on until 550.
            tokio::time::sleep(Duration::from_millis(250)).await;
        };
        tokio::select! {
            biased;
            done = answers => assert!(done.is_err(), "nobody answers"),
            () = frees => panic!("it still waits"),
        }
    }
}
