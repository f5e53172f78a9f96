//! How many bodies are read at the same time: some of one person, and some in all. So nobody takes
//! memory and disk from the others by opening more connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lyceum_model::name::UserName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

pub struct Uploads {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<UserName, Arc<Semaphore>>>,
    of_one: usize,
    wait: Duration,
}

/// Lets one body be read; the next may when this is gone.
pub struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Uploads {
    /// So many of one person, so many in all, and how long the others wait.
    pub fn new(of_one: usize, all: usize, wait: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            of: Mutex::default(),
            of_one,
            wait,
        }
    }

    /// Waits for a moment if there is no place; nothing: there was none.
    pub async fn enter(&self, person: &UserName) -> Option<Place> {
        let own = self.of(person);
        // Her own first: who waits for herself takes no place of others.
        let both = async {
            let own = own.acquire_owned().await.ok()?;
            let all = self.all.clone().acquire_owned().await.ok()?;
            Some(Place {
                _own: own,
                _all: all,
            })
        };
        timeout(self.wait, both).await.ok().flatten()
    }

    fn of(&self, person: &UserName) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        // Those whom nobody holds or waits for.
        of.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let of_one = || Arc::new(Semaphore::new(self.of_one));
        of.entry(person.clone()).or_insert_with(of_one).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn some_of_one_and_some_in_all() {
        let uploads = Uploads::new(2, 3, Duration::ZERO);
        let name = |name: &str| UserName::parse(name).expect("a name");
        let (ada, ben, eve) = (name("ada"), name("ben"), name("eve"));
        let first = uploads.enter(&ada).await.expect("a place");
        let _second = uploads.enter(&ada).await.expect("a place");
        assert!(uploads.enter(&ada).await.is_none());
        let _third = uploads.enter(&ben).await.expect("a place");
        assert!(uploads.enter(&eve).await.is_none());
        drop(first);
        assert!(uploads.enter(&eve).await.is_some());
        assert!(uploads.enter(&ada).await.is_some());
        assert_eq!(uploads.of.lock().expect("a lock").len(), 2);
    }
}
