//! The composition root behind `main.rs`: the only crate that knows all others. Nobody imports
//! it; it is a library only so that its parts are checked as one.
//!
//! Reading order: [`compose`] (how the parts are joined), [`cli`] (what can be said), [`config`] and
//! [`reload`], [`data`], [`keys`] and [`jupyter`] (what `up` prepares, until an [`interrupt`]), [`serve`], [`up`] and [`demo`]
//! (what then runs), [`launch`] (what the hub asks us), [`import`] (what others were told), [`exchange`], [`proxy`] (the data plane alone), [`open_files`],
//! [`telemetry`].

pub mod cli;
pub mod compose;
pub mod config;
mod course_pages;
mod course_work;
pub mod data;
pub mod demo;
pub mod exchange;
pub mod failure;
pub mod import;
pub mod interrupt;
pub mod jupyter;
mod jupyter_config;
pub mod keeping;
pub mod keys;
pub mod launch;
pub mod open_files;
pub mod place;
pub mod plan;
mod process;
pub mod progress;
pub mod proxy;
pub mod public;
pub mod reload;
pub mod retention;
pub mod serve;
pub mod telemetry;
pub mod up;
mod within;
