//! The real program in temporary folders: configuration errors, data folder, preparation, the proxy
//! alone, several hubs and proxies and what may befall them, and all beside a real JupyterHub.

mod commands;
mod config;
mod doctor;
mod faults;
mod harness;
mod jupyterhub;
mod proxy;
mod replicas;
mod services;
mod storm;
mod tls;
mod up;
