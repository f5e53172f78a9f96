//! haproxy: a map file of prefixes, changed over its command socket.

use super::{Control, Setup, prefix};
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub(super) struct Files {
    map: PathBuf,
    socket: PathBuf,
    /// Opened with the first change, then kept.
    commands: Option<UnixStream>,
}

pub(super) fn start(address: SocketAddr, setup: Setup<'_>) -> Result<(Process, Control)> {
    let folder = setup.folder.join("haproxy");
    fs::create_dir_all(&folder)?;
    let files = Files {
        map: folder.join("routes.map"),
        socket: folder.join("commands"),
        commands: None,
    };
    let mut map = String::new();
    for route in 0..setup.routes {
        writeln!(map, "{}/ users", prefix(route))?;
    }
    fs::write(&files.map, map)?;
    let configuration = folder.join("haproxy.cfg");
    let text = format!(
        "global
  nbthread {workers}
  maxconn 9000
  stats socket {socket} mode 600 level admin
  stats timeout 1h
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  timeout http-keep-alive 1h
  http-reuse always
frontend public
  bind {address} backlog 4096
  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port {port}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  use_backend %[path,map_beg({map},hub)]
backend users
  server user {target}
backend hub
  server hub {fallback}
",
        workers = setup.workers,
        socket = files.socket.display(),
        port = address.port(),
        map = files.map.display(),
        target = setup.only_target(),
        fallback = setup.fallback,
    );
    fs::write(&configuration, text)?;
    let words = [
        "-db".to_owned(),
        "-f".to_owned(),
        configuration.display().to_string(),
    ];
    let log = setup.folder.join("haproxy.log");
    let process = Process::start(OsStr::new("haproxy"), &words, &[], log)?;
    Ok((process, Control::Haproxy(files)))
}

impl Files {
    pub(super) async fn add(&mut self, routes: Range<usize>) -> Result<()> {
        let map = self.map.display().to_string();
        self.send_all(routes.map(|route| format!("add map {map} {}/ users\n", prefix(route))))
            .await
    }

    pub(super) async fn delete(&mut self, routes: Range<usize>) -> Result<()> {
        let map = self.map.display().to_string();
        self.send_all(routes.map(|route| format!("del map {map} {}/\n", prefix(route))))
            .await
    }

    /// One command after the other, each waited for.
    async fn send_all(&mut self, commands: impl Iterator<Item = String>) -> Result<()> {
        let mut stream = match self.commands.take() {
            Some(stream) => stream,
            None => {
                let mut stream = UnixStream::connect(&self.socket)
                    .await
                    .context("connecting to haproxy's command socket")?;
                send(&mut stream, "prompt\n").await?;
                stream
            }
        };
        for command in commands {
            send(&mut stream, &command).await?;
        }
        self.commands = Some(stream);
        Ok(())
    }
}

/// Success is an empty answer before the next prompt.
async fn send(stream: &mut UnixStream, command: &str) -> Result<()> {
    stream.write_all(command.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n> ") {
        let got = stream.read_buf(&mut answer).await?;
        ensure!(got > 0, "haproxy closed its command socket");
    }
    let said = String::from_utf8_lossy(&answer);
    ensure!(
        said.trim() == ">",
        "haproxy answered {:?} to {:?}",
        said.trim(),
        command.trim()
    );
    Ok(())
}
