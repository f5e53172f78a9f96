//! The real program in temporary folders: configuration errors, data folder, preparation.

mod config;
mod harness;
mod tls;
mod up;
