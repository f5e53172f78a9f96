//! Background work of the hub.

pub mod housekeeping;
pub mod keeper;
