//! configurable-http-proxy, and whatever takes its command line and control API: ours.

use super::{Control, Setup, free_address, prefix};
use crate::http::{Connection, ask, request};
use crate::process::Process;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use tokio::task::JoinSet;

/// Only for this run, on loopback.
const TOKEN: &str = "bench";
/// Connections to the control API at once; the hub has about as many.
const CONNECTIONS: usize = 8;

pub(super) fn start(
    name: &str,
    program: &Path,
    mut words: Vec<String>,
    address: SocketAddr,
    setup: Setup<'_>,
) -> Result<(Process, Control)> {
    let api = free_address()?;
    for (option, value) in [
        ("--ip", address.ip().to_string()),
        ("--port", address.port().to_string()),
        ("--api-ip", api.ip().to_string()),
        ("--api-port", api.port().to_string()),
        ("--default-target", format!("http://{}", setup.fallback)),
    ] {
        words.extend([option.to_owned(), value]);
    }
    let process = Process::start(
        program.as_os_str(),
        &words,
        &[("CONFIGPROXY_AUTH_TOKEN", TOKEN)],
        setup.folder.join(format!("{name}.log")),
    )?;
    Ok((process, Control::Rest { api }))
}

pub(super) async fn list(api: SocketAddr) -> Result<()> {
    let (status, _) = ask(api, "/api/routes", &authorization()).await?;
    ensure!(status == 200, "GET /api/routes was answered {status}");
    Ok(())
}

pub(super) async fn add(api: SocketAddr, routes: Range<usize>, setup: Setup<'_>) -> Result<()> {
    let requests = routes.map(|route| {
        let body = format!("{{\"target\": \"http://{}\"}}", setup.target(route));
        let more = format!(
            "{}Content-Type: application/json\r\nContent-Length: {}\r\n",
            authorization(),
            body.len()
        );
        let mut bytes = request("POST", &format!("/api/routes{}", prefix(route)), &more);
        bytes.extend(body.into_bytes());
        bytes
    });
    send_all(api, requests.collect(), 201).await
}

pub(super) async fn delete(api: SocketAddr, routes: Range<usize>) -> Result<()> {
    let requests = routes.map(|route| {
        let path = format!("/api/routes{}", prefix(route));
        request("DELETE", &path, &authorization())
    });
    send_all(api, requests.collect(), 204).await
}

fn authorization() -> String {
    format!("Authorization: token {TOKEN}\r\n")
}

async fn send_all(api: SocketAddr, requests: Vec<Vec<u8>>, expect: u16) -> Result<()> {
    let mut parts: Vec<Vec<Vec<u8>>> = vec![Vec::new(); CONNECTIONS];
    for (index, request) in requests.into_iter().enumerate() {
        parts[index % CONNECTIONS].push(request);
    }
    let mut tasks = JoinSet::new();
    for part in parts {
        tasks.spawn(async move {
            let mut connection = Connection::open(api).await?;
            for request in part {
                let status = connection
                    .exchange(&request)
                    .await
                    .context("changing a route")?;
                ensure!(
                    status == expect,
                    "a route's change was answered {status}, not {expect}"
                );
            }
            Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
