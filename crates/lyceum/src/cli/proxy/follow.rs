//! `lyceum proxy --hub …`: follows Lyceum hubs. [`run`] is all there is to call.

use std::path::{Path, PathBuf};

use clap::Args;
use lyceum_proxy::follow::{FollowError, Link, Settings};
use lyceum_proxy::{Proxy, Target};
use tokio_util::sync::CancellationToken;

use crate::compose::proxy_config;
use crate::config::{RawLog, SecretRef, Span, check_shared_secret};
use crate::failure::Failure;
use crate::progress::{put, say};
use crate::serve::{Signals, address, listen};
use crate::telemetry;

#[derive(Debug, Args)]
#[group(id = "following")]
pub struct FollowArgs {
    /// Address of a hub, `http://10.0.0.5:8081`; named again for each further one.
    #[arg(
        long = "hub",
        value_name = "URL",
        env = "LYCEUM_HUBS",
        value_delimiter = ',',
        required = true
    )]
    pub hubs: Vec<Target>,
    /// Where the secret is that hubs and proxies share: `file:PATH` or `env:NAME`. A hub on this machine
    /// has left it in `keys/proxy` of its data folder.
    #[arg(long, value_name = "file:PATH", requires = "hubs")]
    pub hub_secret: Option<SecretRef>,
    /// Folder of this proxy alone, where the last routes are kept for a start without any hub.
    #[arg(
        long,
        value_name = "FOLDER",
        env = "LYCEUM_PROXY_STATE",
        default_value = "lyceum-proxy-data"
    )]
    pub state: PathBuf,
    /// How long decisions about access are remembered while no hub tells of log-outs.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub keep_when_cut: Span,
}

/// Serves on this port until SIGINT or SIGTERM.
pub(super) fn run(
    args: &FollowArgs,
    listener: std::net::TcpListener,
    json: bool,
) -> Result<(), Failure> {
    telemetry::start(&RawLog::default())?;
    crate::cli::block_on(serve(args, listener, json))
}

async fn serve(
    args: &FollowArgs,
    listener: std::net::TcpListener,
    json: bool,
) -> Result<(), Failure> {
    let secret = args
        .hub_secret
        .as_ref()
        .ok_or_else(|| {
            Failure::new("without --hub-secret no hub talks to this proxy").hint(
                "--hub-secret file:PATH names the file with the hub's `proxy.secret`, or keys/proxy in its data folder",
            )
        })?
        .resolve(Path::new("."))
        .map_err(|error| Failure::new(format!("--hub-secret: {error}")))?;
    check_shared_secret(&secret).map_err(|error| Failure::new(format!("--hub-secret: {error}")))?;
    let mut settings = Settings::new(args.hubs.clone(), secret.expose().to_owned().into());
    settings.folder = Some(args.state.clone());
    settings.keep_when_cut = args.keep_when_cut.0;
    let link = Link::new(settings).map_err(|error| match &error {
        FollowError::Folder(_, _) => Failure::new(error.to_string())
            .hint("name a folder that this user may write with --state"),
        _ => Failure::new(error.to_string()),
    })?;
    let mut stop = Signals::new()?;
    let listener = listen(listener)?;
    let address = address(&listener)?;
    let proxy = Proxy::new(proxy_config(&secret), link.fallback(), link.access());
    let shutdown = CancellationToken::new();
    let stopping = shutdown.clone();
    let serving = tokio::spawn({
        let (proxy, stopping) = (proxy.clone(), shutdown.clone());
        async move { proxy.run(listener, stopping.cancelled_owned()).await }
    });
    let following = tokio::spawn(link.run(proxy, shutdown));
    if json {
        put(&serde_json::json!({ "event": "listening", "url": format!("http://{address}") }));
    } else {
        say(&format!(
            "The proxy listens at http://{address}. Ctrl-C stops it."
        ));
    }
    stop.wait().await;
    stopping.cancel();
    for task in [serving, following] {
        if let Err(error) = task.await {
            tracing::error!(%error, "a part of the proxy broke off");
        }
    }
    Ok(())
}
