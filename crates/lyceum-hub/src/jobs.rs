//! Background work of the hub.

pub mod census;
pub mod course_servers;
pub mod culler;
pub mod housekeeping;
pub mod keeper;
pub mod managed;
pub mod refreshes;
pub mod revocations;
pub mod rooms;
pub mod rosters;
pub mod token_uses;

use std::future::Future;
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use crate::{Hub, proxy};

/// A piece of background work; it ends at shutdown.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All of them, for the composition root to spawn.
pub fn all(hub: &Hub, shutdown: &CancellationToken) -> Vec<Task> {
    let (db, stop) = (hub.db().clone(), shutdown.clone());
    let (time, clock, end) = (db.clone(), hub.clock().clone(), shutdown.clone());
    vec![
        Box::pin(async move { db.listen(stop).await }),
        Box::pin(async move { time.keep_time(clock, end).await }),
        Box::pin(keeper::Keeper::new(hub.clone(), shutdown.clone()).run()),
        Box::pin(proxy::follow(hub.clone(), shutdown.clone())),
        Box::pin(proxy::activity::run(hub.clone(), shutdown.clone())),
        Box::pin(housekeeping::run(hub.clone(), shutdown.clone())),
        Box::pin(culler::run(hub.clone(), shutdown.clone())),
        Box::pin(course_servers::run(hub.clone(), shutdown.clone())),
        Box::pin(rooms::run(hub.clone(), shutdown.clone())),
        Box::pin(rosters::run(hub.clone(), shutdown.clone())),
        Box::pin(token_uses::run(hub.clone(), shutdown.clone())),
        Box::pin(refreshes::run(hub.clone(), shutdown.clone())),
        Box::pin(crate::mail::run(hub.clone(), shutdown.clone())),
        Box::pin(census::people(hub.clone(), shutdown.clone())),
        Box::pin(census::turns(hub.clone(), shutdown.clone())),
        Box::pin(crate::maintenance::follow(hub.clone(), shutdown.clone())),
    ]
}
