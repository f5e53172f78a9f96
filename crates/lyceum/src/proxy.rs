//! `lyceum proxy` at work: takes its ports, writes its pid file, runs the workers and, on a thread
//! of their own, the metrics page and what tells the routes (the control API, or the tie to Lyceum
//! hubs), until a signal comes.
//!
//! A proxy of Lyceum hubs is followed by the next without a lost connection (module `sockets`):
//! the next one knows all routes before it takes its first request, and only then may this one
//! drain.
//!
//! Each worker is a thread with a runtime and a listening socket of its own on the same port, so
//! that the system spreads connections and no worker ever waits for another.

mod sockets;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_proxy::follow::{FollowError, Link, Settings};
use lyceum_proxy::{
    Certificates, Config, Door, HandOver, ListenAddress, Listener, Proxy, ProxySecret,
    SideListener, Tls,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::progress::{put, say};
use crate::serve::Signals;
use sockets::{Given, Role, copies};

pub use sockets::Succession;

/// How long a proxy that takes over waits for a hub, before the table on disk has to do.
const FIRST_NEWS: Duration = Duration::from_secs(5);

/// What the command line asks for.
pub struct Plan {
    pub public: Listener,
    /// Plain HTTP that is sent on to `https`.
    pub redirect: Option<Listener>,
    pub tls: Option<Tls>,
    pub metrics: Option<At>,
    pub config: Config,
    pub task: Task,
    pub pid_file: Option<PathBuf>,
    pub succession: Option<Succession>,
    pub workers: usize,
    pub json: bool,
    /// What is told in the log at the beginning.
    pub notes: Vec<String>,
}

/// Who tells the routes.
pub enum Task {
    /// Somebody else's hub, through the control API.
    DropIn {
        api: At,
        api_tls: Option<Box<Tls>>,
        token: Option<ProxySecret>,
        default_target: Option<String>,
    },
    /// Lyceum hubs.
    Follow(Settings),
}

/// Where a server beside the public port listens.
pub enum At {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl At {
    fn listen_address(&self) -> ListenAddress {
        match self {
            Self::Tcp(address) => ListenAddress::Tcp(*address),
            Self::Unix(path) => ListenAddress::Unix(path.clone()),
        }
    }
}

/// Runs until SIGINT or SIGTERM, or until another proxy has taken over.
pub fn run(plan: Plan) -> Result<(), Failure> {
    crate::open_files::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the async runtime can't be started", &error))?;
    let ended = runtime.block_on(serve(plan));
    // What a second signal left undone is not waited for.
    runtime.shutdown_background();
    ended
}

async fn serve(plan: Plan) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    // A file that can't be used is told now, not when the first server speaks TLS.
    let upstream = &plan.config.upstream;
    if upstream.ca.is_some() || upstream.certificate.is_some() {
        upstream
            .check()
            .map_err(|error| Failure::new(format!("--client-ssl-…: {error}")))?;
    }
    upstream
        .check_addresses()
        .map_err(|error| Failure::new(format!("--bind-address: {error}")))?;
    let certificates = plan.tls.map(Certificates::open).transpose();
    let certificates = certificates.map_err(|error| Failure::new(error.to_string()))?;
    let mut given = Given::find(plan.succession.as_ref())?;
    let sockets = given.take(Role::Public, &plan.public.address);
    let mut workers = bind_workers(&plan.public, certificates.as_ref(), plan.workers, sockets)?;
    let public = place_of(&workers[0][0]);
    let redirect = match &plan.redirect {
        Some(listener) => {
            let socket = given.take(Role::Redirect, &listener.address).pop();
            Some(bind_redirect(listener, certificates.as_ref(), socket)?)
        }
        None => None,
    };
    let metrics = match &plan.metrics {
        Some(at) => {
            let socket = given.take(Role::Metrics, &at.listen_address()).pop();
            Some(Place::take("--metrics-port", at, socket)?)
        }
        None => None,
    };
    let heirlooms = {
        let doors = workers.iter().flatten().map(|door| (Role::Public, door));
        let doors = doors.chain(redirect.iter().map(|door| (Role::Redirect, door)));
        copies(doors, metrics.as_ref().map(|(listener, _)| listener))
            .map_err(|error| Failure::io("a socket can't be copied", &error))?
    };
    if let Some(door) = redirect {
        tracing::info!("redirecting {} to https", place_of(&door));
        workers[0].push(door);
    }
    let (proxy, teller) = Teller::prepare(plan.task, plan.config, certificates.as_ref())?;
    let pid_file = plan.pid_file.as_deref().map(PidFile::write).transpose()?;
    // The end of listening, and of all that was under way: until then hubs are followed, since
    // whoever logs out loses open WebSockets too.
    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
    let (target, reached) = (teller.target().to_owned(), teller.reached());
    let beside = tokio::spawn({
        let (proxy, stop, over) = (proxy.clone(), stop.clone(), over.clone());
        async move {
            let for_api = teller.certificates().cloned();
            let keep = async |certificates: Option<&Certificates>| {
                if let Some(certificates) = certificates {
                    certificates.keep(stop.cancelled()).await;
                }
            };
            let telling = teller.run(proxy.clone(), stop.clone(), over);
            let telling = async {
                tokio::join!(telling, keep(certificates.as_ref()), keep(for_api.as_ref()))
            };
            match metrics {
                Some((listener, place)) => {
                    tracing::info!("metrics at {place}/metrics");
                    // Those of the API are told of with those of the public port.
                    let told = certificates.as_ref().or(for_api.as_ref());
                    tokio::join!(telling, proxy.run_metrics(listener, told, stop.cancelled()));
                }
                None => {
                    telling.await;
                }
            }
        }
    });
    if let Some(reached) = reached.filter(|_| given.has_predecessor()) {
        let settled = tokio::select! {
            settled = settle(&proxy, reached) => settled,
            () = signals.wait() => Err(Failure::new("stopped before it took over")),
        };
        if settled.is_err() {
            stop.cancel();
            over.cancel();
            let _ = beside.await;
            return settled;
        }
    }
    // Workers hold an end of it and say nothing; once all have ended there is nobody left to.
    let (working, mut ended) = mpsc::channel::<()>(1);
    let count = workers.len();
    for (number, doors) in workers.into_iter().enumerate() {
        let (proxy, stop, working) = (proxy.clone(), stop.clone(), working.clone());
        std::thread::Builder::new()
            .name(format!("proxy-{number}"))
            .spawn(move || {
                work(&proxy, doors, &stop);
                drop(working);
            })
            .map_err(|error| Failure::io("a worker thread can't be started", &error))?;
    }
    drop(working);
    given.serving();
    tracing::info!(workers = count, "proxying {public} to {target}");
    let follows = plan.succession.is_some();
    if plan.json {
        put(&serde_json::json!({ "event": "listening", "url": public }));
    } else if follows {
        say(&format!("The proxy listens at {public}. Ctrl-C stops it."));
    }
    tokio::select! {
        () = signals.wait() => {
            tracing::info!("stopping; open connections have some seconds left");
        }
        () = succeeded(plan.succession.as_ref(), heirlooms) => {
            proxy.hand_on();
            tracing::info!("another proxy serves now; open connections have some time left");
        }
        _ = ended.recv() => {
            return Err(Failure::new("all workers have ended; the log says why"));
        }
    }
    stop.cancel();
    let ending = async {
        ended.recv().await;
        over.cancel();
        let _ = beside.await;
    };
    tokio::select! {
        () = ending => {}
        () = signals.wait() => tracing::info!("stopping at once"),
    }
    drop(pid_file);
    Ok(())
}

/// Until the routes are known that the proxy before serves.
async fn settle(proxy: &Proxy, mut reached: watch::Receiver<Option<i64>>) -> Result<(), Failure> {
    let heard = tokio::time::timeout(FIRST_NEWS, reached.wait_for(Option::is_some)).await;
    match (heard, proxy.trouble()) {
        (Ok(_), _) => Ok(()),
        (Err(_), None) => {
            tracing::warn!("no hub answers: taking over with the routes on disk");
            Ok(())
        }
        (Err(_), Some(trouble)) => Err(Failure::new(format!("not taking over: {trouble}"))
            .hint("the proxy that runs goes on; `--hub` names where the hubs are")),
    }
}

/// Until another proxy has these sockets and serves.
async fn succeeded(succession: Option<&Succession>, sockets: Vec<(String, OwnedFd)>) {
    if let Some(succession) = succession {
        let place = succession.place();
        let offered = match HandOver::bind(&place, sockets) {
            Ok(offer) => offer.wait().await,
            Err(error) => Err(error),
        };
        match offered {
            Ok(()) => return,
            Err(error) => tracing::warn!(
                place = %place.display(),
                %error,
                "no other proxy can take over from this one without lost connections"
            ),
        }
    }
    std::future::pending().await
}

/// A [`Task`] that is ready to be begun.
enum Teller {
    Api {
        listener: SideListener,
        place: String,
        token: Option<ProxySecret>,
        default_target: Option<String>,
    },
    Hubs(Box<Link>),
}

impl Teller {
    /// `public`: the certificates of the public port.
    fn prepare(
        task: Task,
        config: Config,
        public: Option<&Certificates>,
    ) -> Result<(Proxy, Self), Failure> {
        match task {
            Task::DropIn {
                api,
                api_tls,
                token,
                default_target,
            } => {
                let certificates = api_tls.map(|tls| match public {
                    Some(public) => public.open_beside(*tls),
                    None => Certificates::open(*tls),
                });
                let certificates = certificates
                    .transpose()
                    .map_err(|error| Failure::new(error.to_string()))?;
                let (listener, place) = Place::take("--api-port", &api, None)?;
                let (listener, place) = match (listener, &certificates) {
                    (SideListener::Tcp(listener), Some(certificates)) => (
                        SideListener::Tls(listener, certificates.clone()),
                        place.replacen("http:", "https:", 1),
                    ),
                    (listener, _) => (listener, place),
                };
                if token.is_none() {
                    tracing::warn!(
                        "CONFIGPROXY_AUTH_TOKEN is not set: whoever reaches the control API may change the routes"
                    );
                }
                let proxy = Proxy::drop_in(config, default_target.as_deref());
                let teller = Self::Api {
                    listener,
                    place,
                    token,
                    default_target,
                };
                Ok((proxy, teller))
            }
            Task::Follow(settings) => {
                let link = Link::new(settings).map_err(|error| match &error {
                    FollowError::Folder(_, _) => Failure::new(error.to_string())
                        .hint("name a folder that this user may write with --state"),
                    _ => Failure::new(error.to_string()),
                })?;
                let proxy = Proxy::new(config, link.fallback(), link.access());
                Ok((proxy, Self::Hubs(Box::new(link))))
            }
        }
    }

    /// Those of the control API.
    fn certificates(&self) -> Option<&Certificates> {
        match self {
            Self::Api {
                listener: SideListener::Tls(_, certificates),
                ..
            } => Some(certificates),
            _ => None,
        }
    }

    /// For people.
    fn target(&self) -> &str {
        match self {
            Self::Api { default_target, .. } => {
                default_target.as_deref().unwrap_or("no default target")
            }
            Self::Hubs(_) => "the hubs",
        }
    }

    /// How far it knows what Lyceum hubs tell.
    fn reached(&self) -> Option<watch::Receiver<Option<i64>>> {
        match self {
            Self::Api { .. } => None,
            Self::Hubs(link) => Some(link.reached()),
        }
    }

    async fn run(self, proxy: Proxy, stop: CancellationToken, over: CancellationToken) {
        match self {
            Self::Api {
                listener,
                place,
                token,
                ..
            } => {
                tracing::info!("control API at {place}/api/routes");
                proxy.run_control(listener, token, stop.cancelled()).await;
            }
            Self::Hubs(link) => link.run(proxy, over).await,
        }
    }
}

fn work(proxy: &Proxy, doors: Vec<Door>, stop: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(proxy.run_doors(doors, stop.cancelled())),
        Err(error) => tracing::error!(%error, "a worker's runtime can't be started"),
    }
}

/// One door for each worker, at one address; or several, if that many `sockets` listen already.
fn bind_workers(
    listener: &Listener,
    certificates: Option<&Certificates>,
    workers: usize,
    sockets: Vec<OwnedFd>,
) -> Result<Vec<Vec<Door>>, Failure> {
    let explain = |error: std::io::Error| explain_door("--port", listener, &error);
    if !sockets.is_empty() {
        return adopt_all(listener, certificates, workers, sockets).map_err(explain);
    }
    // Alone on the port: sockets that share one would also share it with another program that
    // does the same, and each would get half of the requests.
    let first = Door::bind(listener, certificates, false).map_err(explain)?;
    if workers == 1 {
        return Ok(vec![vec![first]]);
    }
    let Some(address) = first.local_addr() else {
        // A unix socket has one queue; all workers take from it.
        let others: Result<Vec<_>, _> = (1..workers)
            .map(|_| Door::adopt(listener, certificates, first.share()?).map(|door| vec![door]))
            .collect();
        let mut all = others.map_err(explain)?;
        all.insert(0, vec![first]);
        return Ok(all);
    };
    drop(first);
    let listener = Listener {
        address: address.into(),
        ..listener.clone()
    };
    (0..workers)
        .map(|_| Door::bind(&listener, certificates, true).map(|door| vec![door]))
        .collect::<Result<_, _>>()
        .map_err(explain)
}

/// Each socket has a queue of its own, so none may be left without a worker.
fn adopt_all(
    listener: &Listener,
    certificates: Option<&Certificates>,
    workers: usize,
    sockets: Vec<OwnedFd>,
) -> std::io::Result<Vec<Vec<Door>>> {
    let count = sockets.len();
    let mut all: Vec<Vec<Door>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        all[index % workers].push(Door::adopt(listener, certificates, socket)?);
    }
    for index in count..workers {
        let shared = all[index % count][0].share()?;
        all[index].push(Door::adopt(listener, certificates, shared)?);
    }
    Ok(all)
}

fn bind_redirect(
    listener: &Listener,
    certificates: Option<&Certificates>,
    socket: Option<OwnedFd>,
) -> Result<Door, Failure> {
    let door = match socket {
        Some(socket) => Door::adopt(listener, certificates, socket),
        None => Door::bind(listener, certificates, false),
    };
    door.map_err(|error| explain_door("--redirect-port", listener, &error))
}

/// As people write it.
fn place_of(door: &Door) -> String {
    let scheme = if door.speaks_tls() { "https" } else { "http" };
    match door.local_addr() {
        Some(address) => format!("{scheme}://{address}"),
        None => door.name().to_owned(),
    }
}

fn explain_door(option: &str, listener: &Listener, error: &std::io::Error) -> Failure {
    match &listener.address {
        ListenAddress::Tcp(address) => explain_bind(option, *address, error),
        ListenAddress::Unix(path) => {
            Failure::io(format!("{} can't be listened on", path.display()), error)
        }
    }
}

fn local(listener: &std::net::TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::io("the listening address can't be read", &error))
}

fn explain_bind(option: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = crate::public::explain_bind(address, error);
    match error.kind() {
        std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied => {
            failure.hint(format!("choose another with {option}"))
        }
        _ => failure,
    }
}

/// Where it listens, to be told.
struct Place;

impl Place {
    fn take(
        option: &str,
        at: &At,
        socket: Option<OwnedFd>,
    ) -> Result<(SideListener, String), Failure> {
        match at {
            At::Tcp(address) => {
                let listener = match socket {
                    Some(socket) => std::net::TcpListener::from(socket),
                    None => std::net::TcpListener::bind(address)
                        .map_err(|error| explain_bind(option, *address, &error))?,
                };
                let place = format!("http://{}", local(&listener)?);
                let listener = listener
                    .set_nonblocking(true)
                    .and_then(|()| TcpListener::from_std(listener))
                    .map_err(|error| Failure::io("a port can't be listened on", &error))?;
                Ok((SideListener::Tcp(listener), place))
            }
            At::Unix(path) => {
                let failed = |error: std::io::Error| {
                    Failure::io(format!("{} can't be listened on", path.display()), &error)
                };
                let listener = match socket {
                    Some(socket) => {
                        let listener = std::os::unix::net::UnixListener::from(socket);
                        listener.set_nonblocking(true).map_err(failed)?;
                        UnixListener::from_std(listener).map_err(failed)?
                    }
                    None => {
                        remove_dead_socket(path)?;
                        bind_private(path).map_err(failed)?
                    }
                };
                Ok((SideListener::Unix(listener), path.display().to_string()))
            }
        }
    }
}

/// Under its name it is never open to all, whatever the umask says.
fn bind_private(path: &Path) -> std::io::Result<UnixListener> {
    let mut early = path.as_os_str().to_owned();
    early.push(format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&early);
    let listener = UnixListener::bind(&early)?;
    std::fs::set_permissions(&early, std::fs::Permissions::from_mode(0o660))?;
    std::fs::rename(&early, path)?;
    Ok(listener)
}

/// A socket's file stays when its program is killed; one where somebody listens is left alone.
fn remove_dead_socket(path: &Path) -> Result<(), Failure> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(Failure::new(format!(
            "{} is taken by another program",
            path.display()
        )));
    }
    std::fs::remove_file(path)
        .map_err(|error| Failure::io(format!("{} can't be removed", path.display()), &error))
}

/// The file with this process's id, for as long as it runs.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, Failure> {
        std::fs::write(path, std::process::id().to_string()).map_err(|error| {
            Failure::io(
                format!("the pid file {} can't be written", path.display()),
                &error,
            )
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A successor may have written its own meanwhile.
        let ours = std::process::id().to_string();
        if std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == ours) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
