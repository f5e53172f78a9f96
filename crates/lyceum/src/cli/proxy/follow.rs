//! The options of `lyceum proxy` about Lyceum hubs.

use std::path::{Path, PathBuf};

use clap::Args;
use lyceum_model::base::BasePath;
use lyceum_model::secret::Secret;
use lyceum_proxy::follow::Settings;
use lyceum_proxy::{Config, Target};

use crate::compose::proxy_config;
use crate::config::{SecretRef, Span, check_shared_secret};
use crate::failure::Failure;
use crate::proxy::Succession;

/// What only somebody else's hub is told by, or what Lyceum's hubs decide.
const NOT_WITH_HUBS: [&str; 13] = [
    "api_ip",
    "api_port",
    "api_socket",
    "open_api",
    "default_target",
    "error_target",
    "host_routing",
    "no_x_forward",
    "no_prepend_path",
    "no_include_prefix",
    "auto_rewrite",
    "change_origin",
    "protocol_rewrite",
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Lyceum hubs")]
pub struct FollowArgs {
    /// Address of a hub, `http://10.0.0.5:8081`; named again for each further one.
    #[arg(
        long = "hub",
        value_name = "URL",
        env = "LYCEUM_HUBS",
        value_delimiter = ',',
        conflicts_with_all = NOT_WITH_HUBS
    )]
    pub hubs: Vec<Target>,
    /// Path below which the hubs have everything, `/jupyter/`. Left out: as --config says, else `/`.
    #[arg(long, value_name = "PATH", env = "LYCEUM_BASE_URL", requires = "hubs")]
    pub base_url: Option<String>,
    /// Where the secret is that hubs and proxies share: `file:PATH` or `env:NAME`. A hub on this machine
    /// has left it in `keys/proxy` of its data folder. Left out: `proxy.secret` of --config.
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
    /// Take the ports over from the proxy that runs with the same --state, which then ends what it
    /// has under way; no connection is refused meanwhile. Without such a proxy, just start.
    #[arg(long, requires = "hubs")]
    pub take_over: bool,
    /// How long decisions about access are remembered while no hub tells of log-outs.
    #[arg(long, value_name = "TIME", default_value = "30s", requires = "hubs")]
    pub keep_when_cut: Span,
}

impl FollowArgs {
    pub(super) fn succession(&self) -> Option<Succession> {
        (!self.hubs.is_empty()).then(|| Succession {
            folder: self.state.clone(),
            take_over: self.take_over,
        })
    }

    pub(super) fn settings(
        &self,
        in_file: Option<&Secret>,
        base: Option<&BasePath>,
    ) -> Result<(Config, Settings), Failure> {
        let wrong = |error| Failure::new(format!("--hub-secret: {error}"));
        let said = self.hub_secret.as_ref();
        let said = said.map(|secret| secret.resolve(Path::new(".")));
        let said = said.transpose().map_err(wrong)?;
        let secret = said.or_else(|| in_file.cloned()).ok_or_else(|| {
            Failure::new("without --hub-secret no hub talks to this proxy").hint(
                "--hub-secret file:PATH names the file with the hub's `proxy.secret`, or keys/proxy in its data folder",
            )
        })?;
        check_shared_secret(&secret).map_err(wrong)?;
        let mut settings = Settings::new(self.hubs.clone(), secret.expose().to_owned().into());
        settings.folder = Some(self.state.clone());
        settings.keep_when_cut = self.keep_when_cut.0;
        let said = self.base_url.as_deref().map(BasePath::parse).transpose();
        let said = said.map_err(|error| Failure::new(format!("--base-url: {error}")))?;
        let base = said.or_else(|| base.cloned()).unwrap_or_default();
        settings.base_path = base.to_string();
        let config = Config {
            base_path: base.to_string(),
            ..proxy_config(&secret)
        };
        Ok((config, settings))
    }
}
