//! The real program in temporary folders: configuration errors, data folder, preparation;
//! several hubs and proxies.

mod config;
mod harness;
mod replicas;
mod up;
