//! nginx: a `location` for each route; a change is a new configuration and a reload.
//!
//! Set up as the others work without being told: kept connections on both sides, WebSockets, the
//! usual `X-Forwarded-*`, no access log. Buffering is left as it comes.

use super::{Changes, Control, Setup, path, prefix};
use crate::http::{ask, body_of};
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const RELOADS: usize = 10;
const RELOAD: Duration = Duration::from_secs(10);

pub(super) struct Files {
    configuration: PathBuf,
    folder: PathBuf,
}

pub(super) fn start(address: SocketAddr, setup: Setup<'_>) -> Result<(Process, Control)> {
    let folder = setup.folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let files = Files {
        configuration: folder.join("nginx.conf"),
        folder,
    };
    files.write(address, setup, setup.routes)?;
    let words = [
        "-c".to_owned(),
        files.configuration.display().to_string(),
        "-p".to_owned(),
        files.folder.display().to_string(),
        "-e".to_owned(),
        "stderr".to_owned(),
    ];
    let log = setup.folder.join("nginx.log");
    let process = Process::start(OsStr::new("nginx"), &words, &[], log)?;
    Ok((process, Control::Nginx(files)))
}

impl Files {
    fn write(&self, address: SocketAddr, setup: Setup<'_>, routes: usize) -> Result<()> {
        let folder = self.folder.display();
        let workers = setup.workers;
        let target = setup.only_target();
        let fallback = setup.fallback;
        // Root's workers would become `nobody`, who cannot write here.
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        let mut text = format!(
            r#"daemon off;
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  proxy_http_version 1.1;
  proxy_read_timeout 1h;
  proxy_send_timeout 1h;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream users {{ server {target}; keepalive 1024; keepalive_requests 1000000000; }}
  upstream hub {{ server {fallback}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen {address} reuseport backlog=4096;
    location / {{ proxy_pass http://hub; }}
"#
        );
        for route in 0..routes {
            let prefix = prefix(route);
            writeln!(
                text,
                "    location {prefix}/ {{ proxy_pass http://users; }}"
            )?;
        }
        text.push_str("  }\n}\n");
        fs::write(&self.configuration, text).context("writing nginx's configuration")
    }
}

/// One route more with each reload; counted until it works.
pub(super) async fn reload(
    files: &Files,
    process: &Process,
    address: SocketAddr,
    setup: Setup<'_>,
) -> Result<Changes> {
    // Back to the routes it began with, when this was done before.
    let works = async |route: usize| -> Result<bool> {
        Ok(ask(address, &path(route), "").await?.1 == body_of(0))
    };
    let change = async |routes: usize, probe: usize, expect: bool| -> Result<()> {
        files.write(address, setup, routes)?;
        process.signal(Signal::HUP)?;
        let limit = Instant::now() + RELOAD;
        // A connection that the old worker took and then ended is asked again.
        while works(probe).await.ok() != Some(expect) {
            ensure!(Instant::now() < limit, "a reload had no effect");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    };
    let started = Instant::now();
    for reloads in 1..=RELOADS {
        change(setup.routes + reloads, setup.routes + reloads - 1, true).await?;
    }
    let rate = crate::measure::to_float(RELOADS) / started.elapsed().as_secs_f64();
    change(setup.routes, setup.routes, false).await?;
    Ok(Changes {
        added_per_second: rate,
        deleted_per_second: rate,
    })
}
