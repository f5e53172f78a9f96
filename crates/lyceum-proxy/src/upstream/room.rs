//! How many connections one server may have from this process, whichever worker makes them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::AtomicUsize},
};

use tokio::sync::Semaphore;

use crate::target::Target;

use super::pool::Home;

/// The connections that one server may have.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) free: Arc<Semaphore>,
    /// Requests that wait for it.
    pub(super) waiting: AtomicUsize,
    /// Where each worker keeps its own.
    homes: Mutex<Vec<Weak<Home>>>,
}

impl Room {
    fn homes(&self) -> MutexGuard<'_, Vec<Weak<Home>>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(&self, home: &Arc<Home>) {
        let mut homes = self.homes();
        homes.retain(|home| home.strong_count() > 0);
        homes.push(Arc::downgrade(home));
    }

    /// Closes an idle connection, whoever keeps it.
    pub(super) fn drop_one(&self) {
        let homes: Vec<Arc<Home>> = self.homes().iter().filter_map(Weak::upgrade).collect();
        let _ = homes.iter().any(|home| home.drop_one());
    }
}

/// The rooms of all servers that are spoken to.
#[derive(Debug)]
pub(super) struct Rooms {
    most: usize,
    rooms: Mutex<HashMap<Target, Weak<Room>>>,
}

impl Rooms {
    /// `most`: connections to one server.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.clamp(1, Semaphore::MAX_PERMITS),
            rooms: Mutex::default(),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<Target, Weak<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, target: &Target) -> Arc<Room> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(target).and_then(Weak::upgrade) {
            return room;
        }
        let room = Arc::new(Room {
            free: Arc::new(Semaphore::new(self.most)),
            waiting: AtomicUsize::new(0),
            homes: Mutex::default(),
        });
        rooms.insert(target.clone(), Arc::downgrade(&room));
        room
    }

    /// Forgets servers without a connection.
    pub(super) fn prune(&self) {
        let mut rooms = self.rooms();
        rooms.retain(|_, room| room.strong_count() > 0);
        if rooms.len() < rooms.capacity() / 8 {
            let few = rooms.len() * 2;
            rooms.shrink_to(few.max(64));
        }
    }
}
