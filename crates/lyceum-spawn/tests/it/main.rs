//! Real processes, small and bounded: the stories that every spawner must pass.

mod adoption;
mod ending;
mod environment;
mod failing;
mod limiting;
mod port_owner;
mod rig;
mod starting;
