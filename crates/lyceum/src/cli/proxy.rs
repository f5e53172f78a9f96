//! `lyceum proxy`: a proxy as a process of its own.

mod follow;

use std::net::SocketAddr;

use clap::Args;

use super::Outcome;
use crate::failure::Failure;
use crate::serve::explain_bind;

/// Run a proxy before hubs that run apart from it.
#[derive(Debug, Args)]
#[command(
    long_about = "Run a proxy before hubs that run apart from it; any number of them.\n\n\
        It follows the routes of one of the hubs and goes on at another when that one goes. While no \
        hub answers, running servers stay usable.",
    after_help = "Example:\n  lyceum proxy --listen 0.0.0.0:8000 --hub http://127.0.0.1:8081 --hub http://127.0.0.1:8082 \\\n      \
        --hub-secret file:/srv/lyceum/keys/proxy --state /var/lib/lyceum-proxy"
)]
pub struct Proxy {
    #[command(flatten)]
    pub follow: follow::FollowArgs,
    /// Address and port that people reach.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Tell that it listens as a JSON line on standard output, for machines.
    #[arg(long)]
    pub json: bool,
}

impl Proxy {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let listener = std::net::TcpListener::bind(self.listen)
            .map_err(|error| explain_bind(self.listen, &error))?;
        follow::run(&self.follow, listener, self.json)?;
        Ok(Outcome::Good)
    }
}
