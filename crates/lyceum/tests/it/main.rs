//! The real program in temporary folders: configuration errors, data folder, preparation, the proxy
//! alone, several hubs and proxies, and all beside a real JupyterHub.

mod commands;
mod config;
mod doctor;
mod harness;
mod jupyterhub;
mod proxy;
mod replicas;
mod tls;
mod up;
