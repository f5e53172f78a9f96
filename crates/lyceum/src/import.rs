//! From what other systems were told to what Lyceum is told: `lyceum import …`.
//!
//! What a file says becomes text of a `lyceum.yaml` ([`mod@write`]), and a [`Report`] says of each of its keys
//! what became of it. Nothing is guessed where it decides who may come in: a key that is not known, or that
//! has no counterpart and lets fewer people in, is a problem, and then there is no file.
//!
//! `z2jh` reads values of the Zero-to-JupyterHub chart.

pub mod report;
pub mod write;
pub mod z2jh;

pub use report::{Fate, Report};
pub use write::Out;
