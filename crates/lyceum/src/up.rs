//! `lyceum up`: everything in one process.

use lyceum_model::say;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use lyceum_spawn::Spawner;
use lyceum_store::settings;
use tokio::net::TcpListener;

use crate::compose::{Ground, Machine, Order, closed_to_others, local_spawner};
use crate::config::{Config, SpawnerAccounts};
use crate::data::DataFolder;
use crate::demo::{self, Account};
use crate::failure::Failure;
use crate::jupyter::Environment;
use crate::launch::Accounts;
use crate::progress::{put, say};
use crate::public::Public;
use crate::reload::ConfigWatch;

/// The setting that remembers the hub's own port: servers that run know it and are adopted.
const PORT_SETTING: &str = "internal-port";
/// For whoever starts Lyceum without system accounts.
const SHARED_WARNING: &str = "All notebook servers run under the account of Lyceum itself: whoever has one can read everybody's files \
and Lyceum's own.\nThat is for trying out and for people who trust each other; otherwise run it as root with system accounts \
(docs/admin/system-accounts.md).\n";
/// Stands on the log-in page of a demo.
/// What the command line has prepared.
pub struct Prepared {
    pub watch: Arc<ConfigWatch>,
    /// Held, and so locked, until the end.
    pub folder: DataFolder,
    pub environment: Environment,
    /// Bound before minutes of preparation, so that a taken port is told at once.
    pub public: Public,
    pub demo: bool,
    pub json: bool,
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(prepared: Prepared) -> Result<(), Failure> {
    let Prepared {
        watch,
        folder,
        environment,
        public,
        demo,
        json,
    } = prepared;
    let data = folder.layout().clone();
    let config = watch.current();
    let accounts = accounts(&config, demo)?;
    if accounts == Accounts::System {
        let homes = config.spawner.homes.clone().unwrap_or_else(|| data.homes());
        // An environment's Python is most often a link to one elsewhere.
        let python = environment.bin.join("python").canonicalize();
        let python = python.unwrap_or_else(|_| environment.bin.clone());
        check_reach(&[homes, environment.bin.clone(), python])?;
    }
    let ground = Ground::open(&config, &data).await?;
    let spawner = local_spawner(&config, &data)?;
    if let Some(why) = spawner.ports_unchecked() {
        tracing::warn!(
            why,
            "who listens on the port of a server can't be checked here"
        );
    }
    let running = spawner
        .list()
        .await
        .map_err(|error| Failure::new(format!("running servers can't be looked up: {error}")))?;
    let internal = internal_listener(&ground, running.len()).await?;
    if demo {
        demo::write_course(&data.courses())?;
    }
    let url = match &config.public_url {
        Some(url) => url.to_string(),
        None => format!("{}://{}/", public.scheme(), shown(public.address)),
    };
    let mut stop = Signals::new()?;
    let machine = Machine::start(
        &ground,
        Order {
            watch,
            environment,
            data,
            public,
            internal,
            spawner,
            accounts,
            hint: demo.then(|| say!("login.demo")),
        },
    )?;
    // Hashing passwords takes a moment: the product answers already meanwhile.
    let mut people: Vec<Account> = demo::first_admin(&ground).await?.into_iter().collect();
    if demo {
        people.extend(demo::people(&ground).await?);
    }
    let show = demo || std::io::IsTerminal::is_terminal(&std::io::stderr());
    announce(&url, &people, json, show, accounts == Accounts::Shared);
    stop.wait().await;
    if !json {
        say("lyceum: stopping; notebook servers go on and are there again at the next start");
    }
    machine.stop().await;
    Ok(())
}

/// As whom servers run. As root they run under the system account of each person, unless that is
/// switched off in so many words or this is only for trying out.
fn accounts(config: &Config, demo: bool) -> Result<Accounts, Failure> {
    let root = rustix::process::geteuid().is_root();
    match config.spawner.accounts {
        Some(SpawnerAccounts::Shared) => Ok(Accounts::Shared),
        Some(SpawnerAccounts::System) if root => Ok(Accounts::System),
        Some(SpawnerAccounts::System) => Err(Failure::new(
            "`spawner.accounts: system` needs root: only root can run a server as somebody else",
        )
        .hint("start Lyceum as root, or write `accounts: shared`")),
        None if root && !demo => Ok(Accounts::System),
        None => Ok(Accounts::Shared),
    }
}

/// Servers under other accounts must be able to reach their home and their program.
fn check_reach(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        if let Some(folder) = closed_to_others(path) {
            return Err(Failure::new(format!(
                "servers run under people's own system accounts, but these can't reach {}: {} is closed to them",
                path.display(),
                folder.display()
            ))
            .hint("set `spawner: {homes: /srv/homes}` and --jupyter-env to folders that all may enter, run Lyceum as an ordinary user, or write `spawner: {accounts: shared}` to run all servers under Lyceum's account (only for trying out)"));
        }
    }
    Ok(())
}

/// The hub's own port on loopback: the same at each start, since running servers know it. What the
/// database believes to run does not count: it may have been restored from elsewhere.
async fn internal_listener(ground: &Ground, running: usize) -> Result<TcpListener, Failure> {
    let failed = |error: anyhow::Error| {
        Failure::new(format!("the hub's own port can't be looked up: {error:#}"))
    };
    let mut tx = ground
        .db
        .read()
        .await
        .map_err(|error| failed(error.into()))?;
    let known = settings::get(&mut tx, PORT_SETTING)
        .await
        .map_err(|error| failed(error.into()))?;
    drop(tx);
    let known: Option<u16> = known.and_then(|port| port.parse().ok());
    if let Some(port) = known {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if running == 0 => {
                tracing::debug!(port, %error, "the hub's earlier port is taken, choosing another")
            }
            Err(error) => {
                return Err(Failure::new(format!(
                    "port {port} on 127.0.0.1 is taken ({error}), but {running} servers that still run reach the hub there"
                ))
                .hint("stop the program that has taken it, then start again"));
            }
        }
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(|error| Failure::io("no port on 127.0.0.1 can be had for the hub", &error))?;
    let port = listener
        .local_addr()
        .map_err(|error| Failure::io("the hub's port can't be read", &error))?
        .port();
    let mut tx = ground
        .db
        .write()
        .await
        .map_err(|error| failed(error.into()))?;
    settings::set(&mut tx, PORT_SETTING, &port.to_string(), ground.clock.now())
        .await
        .map_err(|error| failed(error.into()))?;
    tx.commit().await.map_err(|error| failed(error.into()))?;
    Ok(listener)
}

/// `localhost` reads better than a number, and is what browsers take for a safe place.
fn shown(address: SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    }
}

/// Says where to point the browser and how to log in.
fn announce(url: &str, people: &[Account], json: bool, show: bool, shared: bool) {
    if json {
        put(&serde_json::json!({ "event": "ready", "url": url, "accounts": people }));
        return;
    }
    say(&format!("\nLyceum is ready:  {url}\n"));
    if !people.is_empty() && show {
        say("Log in as");
        let names = people.iter().map(|account| account.name.len());
        let width = names.max().unwrap_or(0);
        for account in people {
            say(&format!(
                "  {:width$}  password {}  ({})",
                account.name, account.password, account.role
            ));
        }
        say("These are the first passwords; each is shown until it is changed.\n");
    } else if !people.is_empty() {
        // What is not a terminal is a log, and a password has no place there.
        say(
            "The first password of admin is not told to a log: `lyceum user add admin` sets one.\n",
        );
    }
    if shared {
        say(SHARED_WARNING);
    }
    say("Ctrl-C stops it.");
}

/// SIGINT and SIGTERM, taken from before anything runs.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| Failure::io("signals can't be listened to", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
