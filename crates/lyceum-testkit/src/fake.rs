//! Small real servers on loopback that stand where a test needs something quick or naughty.

pub mod notebook_server;
pub mod spawner;

pub use spawner::{Behaviour, Ending, FakeSpawner};
