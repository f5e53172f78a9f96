//! A proxy apart from its hubs, as `lyceum proxy` runs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lyceum_model::base::BasePath;
use lyceum_proxy::Proxy;
use lyceum_proxy::follow::{Link, Settings};
use tokio_util::sync::CancellationToken;

use crate::below;
use crate::client::Client;
use crate::hub::PROXY_SECRET;

/// A running proxy; it ends when dropped.
pub struct TestFollower {
    pub proxy: Proxy,
    base: BasePath,
    address: SocketAddr,
    shutdown: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl TestFollower {
    pub async fn start(hubs: &[SocketAddr]) -> Self {
        Self::start_tuned(hubs, None, |_| {}).await
    }

    /// With its table kept in `folder`, and other settings than the usual ones.
    pub async fn start_tuned(
        hubs: &[SocketAddr],
        folder: Option<&Path>,
        tune: impl FnOnce(&mut Settings),
    ) -> Self {
        let hubs = hubs.iter().map(|hub| (*hub).into()).collect();
        let mut settings = Settings::new(hubs, PROXY_SECRET.to_owned().into());
        settings.folder = folder.map(Path::to_owned);
        settings.report_every = Duration::from_millis(50);
        let base = below::asked();
        settings.base_path = base.to_string();
        tune(&mut settings);
        let base_path = settings.base_path.clone();
        let link = Link::new(settings).expect("good settings");
        let config = lyceum_proxy::Config {
            base_path,
            proxy_secret: PROXY_SECRET.to_owned().into(),
            limits: lyceum_proxy::Limits {
                drain: Duration::from_millis(100),
                ..lyceum_proxy::Limits::default()
            },
            ..lyceum_proxy::Config::default()
        };
        let proxy = Proxy::new(config, link.fallback(), link.access());
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let (serving, stop) = (proxy.clone(), shutdown.clone());
        let run = async move { serving.run(listener, stop.cancelled_owned()).await };
        let tasks = vec![
            tokio::spawn(run),
            tokio::spawn(link.run(proxy.clone(), shutdown.clone())),
        ];
        Self {
            base,
            proxy,
            address,
            shutdown,
            tasks,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new browser in front of it.
    pub fn client(&self) -> Client {
        Client::new(self.address).below(self.base.clone())
    }

    pub fn has_route(&self, path: &str) -> bool {
        self.proxy
            .routes()
            .find(&below::outwards(&self.base, path))
            .is_some()
    }

    /// Ends it in good order; fails when something goes on.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        for task in self.tasks.drain(..) {
            let ended = tokio::time::timeout(Duration::from_secs(30), task).await;
            ended
                .expect("every task ends at shutdown")
                .expect("no task panics");
        }
    }
}

impl Drop for TestFollower {
    fn drop(&mut self) {
        self.shutdown.cancel();
        for task in &self.tasks {
            task.abort();
        }
    }
}
