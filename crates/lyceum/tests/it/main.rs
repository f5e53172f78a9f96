//! The real program in temporary folders: configuration errors, data folder, preparation, the proxy
//! alone, several hubs and proxies and what may befall them, all beside a real JupyterHub, and the
//! exchange with the real clients of ngshare.

mod commands;
mod config;
mod course_files;
mod doctor;
mod faults;
mod harness;
mod import;
mod jupyterhub;
mod keeping;
mod newer;
mod ngshare;
mod played;
mod proxy;
mod replicas;
mod rooms;
mod services;
mod storm;
mod tls;
mod up;
