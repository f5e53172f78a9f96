//! Running notebook servers: the [`Spawner`] trait and its first implementation.
//!
//! A spawner gets a finished [`lyceum_model::server::ServerSpec`] and brings it to life. It knows
//! no course, no database and no user beyond the order, so that local processes and Kubernetes
//! look alike to the hub.
//!
//! Reading order: [`spawner`] (the trait and its words), [`error`] (what can go wrong, in words
//! for people), [`mod@env`] (the environment of a server), [`probe`] (waiting until it answers),
//! [`steps`] (news for the progress page), [`local`] (processes of this machine).
//!
//! To add a spawner: a file `noun.rs` with a type that implements [`Spawner`], its drawers in
//! `noun/`, one line here, one line in the composition root, and the stories of `tests/it/` against
//! it. `start` must be idempotent, `stop` must leave nothing, `list` must find what the hub forgot.

pub mod env;
pub mod error;
pub mod inquiry;
pub mod local;
pub mod probe;
pub mod spawner;
pub mod steps;

pub use error::SpawnError;
pub use probe::{NotReady, wait_until_answering};
pub use spawner::{
    Pace, PortOwner, Resource, Shortage, Spawner, StartOrder, Started, Status, Usage,
};
pub use steps::{Step, Steps};
