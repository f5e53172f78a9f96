//! The real program in temporary folders: configuration errors, data folder, preparation, the proxy alone.

mod config;
mod harness;
mod proxy;
mod up;
