//! The proxy under test, and what it holds.

use std::{net::SocketAddr, time::Duration};

use lyceum_proxy::{Certificates, Config, Door, Http2, Limits, Listener, RouteAccess, Tls};
use tokio::{runtime::Handle, sync::oneshot};

use super::places::Places;
use crate::{
    support::{TestProxy, route},
    tls::Authority,
};

/// The proxy's own bounds, short enough to be reached here.
fn limits() -> Limits {
    Limits {
        header_read: Duration::from_millis(700),
        first_byte: Duration::from_secs(3),
        idle: Duration::from_secs(3),
        half_closed: Duration::from_millis(300),
        websocket_idle: Some(Duration::from_secs(3)),
        pooled: Duration::from_millis(400),
        drain: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// A proxy on a thread and a runtime of its own, as `lyceum proxy` has it, so that its tasks can be
/// counted.
pub(super) struct Apart {
    pub(super) proxy: TestProxy,
    pub(super) places: Places,
    pub(super) tasks: Handle,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) thread: std::thread::JoinHandle<()>,
}

impl Apart {
    pub(super) async fn start(server: SocketAddr) -> Self {
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let config = Config {
                    limits: limits(),
                    http2: Http2 {
                        prior_knowledge: true,
                        ..Http2::default()
                    },
                    ..Config::default()
                };
                let folder = tempfile::tempdir().unwrap();
                let authority = Authority::new();
                let files = authority.issue_files(folder.path(), "a", &["lab"]);
                let certificates = Certificates::open(Tls {
                    certificates: vec![files],
                    ..Tls::default()
                })
                .unwrap();
                let plain = Listener::plain("127.0.0.1:0".parse::<SocketAddr>().unwrap());
                let secure = Listener {
                    tls: true,
                    ..plain.clone()
                };
                let doors =
                    [plain, secure].map(|at| Door::bind(&at, Some(&certificates), false).unwrap());
                let [plain, secure] = [0, 1].map(|at: usize| doors[at].local_addr().unwrap());
                let routes = vec![route("/open/", server, RouteAccess::Open)];
                let proxy = TestProxy::start_doors(config, server, routes, doors.into()).await;
                let places = Places::new(plain, secure, &authority);
                let _ = ready.send((proxy, places, Handle::current()));
                let _ = stopped.await;
            });
        });
        let (proxy, places, tasks) = started.await.unwrap();
        Self {
            proxy,
            places,
            tasks,
            stop,
            thread,
        }
    }

    pub(super) fn gauge(&self, name: &str) -> usize {
        let metrics = self.proxy.metrics();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .expect("the gauge");
        line.parse().unwrap()
    }

    pub(super) fn task_count(&self) -> usize {
        self.tasks.metrics().num_alive_tasks()
    }
}
