//! `lyceum serve`: the hub without a proxy, one of any number; and what it has in common with
//! [`crate::up`], which is the same and a proxy in one process.
//!
//! Several hubs work on one PostgreSQL. With the local spawner servers are processes of one
//! machine, so all hubs are on that machine and share one data folder; leases in the rows keep
//! them apart. On SQLite there is one hub.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_model::saying::Saying;
use lyceum_spawn::Spawner;
use lyceum_spawn::local::LocalSpawner;
use tokio::net::TcpListener;

use crate::compose::{
    self, Ground, Machine, Order, Program, closed_to_others, local_spawner, service_spawner,
};
use crate::config::{Config, NAMES_OF_THE_MACHINE, SignInMethod, SpawnerAccounts};
use crate::data::DataFolder;
use crate::demo;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::jupyter::Environment;
use crate::keys;
use crate::launch::Accounts;
use crate::place::Place;
use crate::progress::{put, say};
use crate::public::Public;
use crate::reload::ConfigWatch;

/// For whoever starts Lyceum without system accounts.
pub(crate) fn shared_warning() -> &'static str {
    match rustix::process::geteuid().is_root() {
        true => SHARED_AS_ROOT,
        false => SHARED,
    }
}

const SHARED: &str = "All notebook servers run under the account of Lyceum itself: whoever has one can read everybody's files \
and Lyceum's own.\nThat is for trying out and for people who trust each other; otherwise run it as root with system accounts \
(docs/admin/system-accounts.md).\n";
const SHARED_AS_ROOT: &str = "WARNING: this Lyceum runs as root, so every notebook cell that anybody runs is run as root.\n\
Whoever has a server can read and change everything on this machine. To try it out, start it as an ordinary user, with a \
data folder of its own.\nFor others start it as root without --demo and without `spawner.accounts: shared`: then servers run under \
people's own system accounts (docs/admin/system-accounts.md).\n";

/// What the command line has prepared, for a hub with or without a proxy.
pub struct Site {
    pub watch: Arc<ConfigWatch>,
    /// Held, and so locked, until the end.
    pub folder: DataFolder,
    pub environment: Environment,
    pub interrupt: Interrupt,
    pub program: Program,
}

/// What the command line has prepared.
pub struct Prepared {
    pub site: Site,
    /// Bound before minutes of preparation, so that a taken port is told at once.
    pub listener: std::net::TcpListener,
    pub json: bool,
}

/// Everything that is there before the first request.
pub struct Standing {
    pub ground: Ground,
    pub accounts: Accounts,
    spawner: LocalSpawner,
    services: LocalSpawner,
    place: Option<Place>,
}

/// Where people and programs come in.
pub struct Doors {
    /// For people, through a proxy in this process; none when proxies run apart.
    pub public: Option<Public>,
    pub internal: TcpListener,
    /// Where servers reach the hub's API.
    pub api_url: String,
}

impl Standing {
    pub async fn open(site: &Site, demo: bool) -> Result<Self, Failure> {
        let (config, data) = (site.watch.current(), site.folder.layout());
        let accounts = accounts(&config, demo)?;
        if accounts == Accounts::System {
            check_names(&config)?;
            site.watch.keep_names();
            let homes = homes(&config, data.homes());
            // An environment's Python is most often a link to one elsewhere.
            let bin = &site.environment.bin;
            let python = bin.join("python").canonicalize();
            let python = python.unwrap_or_else(|_| bin.clone());
            check_reach(&[homes, bin.clone(), python])?;
        }
        let ground = Ground::open_as(&site.program, &config, data).await?;
        follow_configuration(&ground, &config).await?;
        let place = Place::take(&ground.db, &ground.clock, &data.run()).await?;
        let services = service_spawner(&site.program, data)?;
        let spawner = local_spawner(&site.program, &config, data)?;
        if let Some(why) = spawner.ports_unchecked() {
            tracing::warn!(
                why,
                "who listens on the port of a server can't be checked here"
            );
        }
        Ok(Self {
            ground,
            spawner,
            services,
            place,
            accounts,
        })
    }

    /// How many servers of an earlier life still run.
    pub async fn running(&self) -> Result<usize, Failure> {
        let running = self.spawner.list().await;
        let running = running.map_err(|error| {
            Failure::new(format!("running servers can't be looked up: {error}"))
        })?;
        Ok(running.len())
    }

    /// How many of these people have: what a restored database knows nothing of doesn't count.
    pub async fn adopted(&self) -> Result<usize, Failure> {
        let running = self.spawner.list().await;
        let running = running.map_err(|error| {
            Failure::new(format!("running servers can't be looked up: {error}"))
        })?;
        let failed = |error: lyceum_store::DbError| Failure::new(format!("the database: {error}"));
        let mut tx = self.ground.db.read().await.map_err(failed)?;
        let known = lyceum_hub::db::servers::active_keys(&mut tx).await;
        let known = known.map_err(failed)?;
        let is_known = |key: &&lyceum_model::server::ServerKey| {
            known.iter().any(|known| known == key.as_str())
        };
        Ok(running.iter().filter(is_known).count())
    }

    pub fn start(
        self,
        site: &Site,
        doors: Doors,
        hint: Option<Saying>,
    ) -> Result<(Ground, Machine), Failure> {
        let data = site.folder.layout().clone();
        let secret = keys::proxy_secret(&self.ground.keys, &site.watch.current());
        keys::write_proxy_secret(&secret, &data)?;
        let machine = Machine::start(
            &self.ground,
            Order {
                watch: site.watch.clone(),
                environment: site.environment.clone(),
                data,
                public: doors.public,
                internal: doors.internal,
                api_url: doors.api_url,
                spawner: self.spawner,
                services: self.services,
                place: self.place,
                accounts: self.accounts,
                hint,
            },
        )?;
        Ok((self.ground, machine))
    }
}

/// Runs a hub until SIGINT or SIGTERM.
pub async fn run(prepared: Prepared) -> Result<(), Failure> {
    let Prepared {
        site,
        listener,
        json,
    } = prepared;
    let config = site.watch.current();
    let internal = listen(listener)?;
    let own = reachable(address(&internal)?);
    let api_url = match &config.hub.api_url {
        Some(url) => url.clone(),
        None => format!("http://{own}{}", config.base.at("/hub/api")),
    };
    let standing = Standing::open(&site, false).await?;
    let shared = standing.accounts == Accounts::Shared;
    let doors = Doors {
        public: None,
        internal,
        api_url,
    };
    let (ground, machine) = standing.start(&site, doors, None)?;
    let people = first_admin(&ground, &config, false).await?;
    let secret = site.folder.layout().proxy_secret();
    let below = match config.base.is_root() {
        true => String::new(),
        false => format!(" --base-url {}", config.base),
    };
    if json {
        put(&serde_json::json!({
            "event": "ready",
            "hub": format!("http://{own}"),
            "proxy_secret": secret,
            "accounts": people.as_slice(),
        }));
    } else {
        say(&format!(
            "\nThe hub is ready at http://{own}. People reach it through a proxy:\n"
        ));
        say(&format!(
            "  lyceum proxy --hub http://{own} --hub-secret file:{}{below}\n",
            secret.display()
        ));
        match people {
            Some(admin) if std::io::IsTerminal::is_terminal(&std::io::stderr()) => say(&format!(
                "The first administrator is {}, with the password {} until it is changed.\n",
                admin.name, admin.password
            )),
            Some(_) => say(
                "The first password of admin is not told to a log: `lyceum user add admin` sets one.\n",
            ),
            None => {}
        }
        if shared {
            say(shared_warning());
        }
        say("Ctrl-C stops it.");
    }
    let asked = until_end(&site.interrupt, &machine).await;
    if !json && asked.is_ok() {
        say("lyceum: stopping; notebook servers go on");
    }
    machine.stop().await;
    asked
}

/// The first administrator, where there is a way in for one with a password. Elsewhere the account would be
/// nobody's, and its name in the way of whoever has it there.
pub(crate) async fn first_admin(
    ground: &Ground,
    config: &Config,
    demo: bool,
) -> Result<Option<demo::Account>, Failure> {
    let is_dummy = |way: &SignInMethod| matches!(way, SignInMethod::Dummy(_));
    match demo || config.has_local() || config.sign_in.iter().any(is_dummy) {
        true => demo::first_admin(ground).await,
        false => Ok(None),
    }
}

/// Waits until it is asked to stop, or stops by itself for a reason that the log tells.
pub async fn until_end(interrupt: &Interrupt, machine: &Machine) -> Result<(), Failure> {
    tokio::select! {
        () = interrupt.asked() => Ok(()),
        () = machine.asked() => Ok(()),
        () = machine.ended() => Err(Failure::new("this hub has stopped by itself; its log says why")),
    }
}

pub fn listen(listener: std::net::TcpListener) -> Result<TcpListener, Failure> {
    listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener))
        .map_err(|error| Failure::io("the port can't be listened on", &error))
}

pub fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::io("the listening address can't be read", &error))
}

/// Whoever listens everywhere is reached from this machine by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(_) => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
    }
}

fn homes(config: &Config, usual: PathBuf) -> PathBuf {
    config.spawner.homes.clone().unwrap_or(usual)
}

/// What would keep servers from running under the accounts that the configuration wants, for whoever looks
/// before a start. `data`: the data folder, which may not be there yet.
pub(crate) fn look_at_accounts(
    config: &Config,
    data: &Path,
) -> Result<(Accounts, PathBuf), Failure> {
    let accounts = accounts(config, false)?;
    let homes = homes(config, data.join("homes"));
    if accounts == Accounts::System {
        check_names(config)?;
        // It is made so that others can't enter.
        if homes.starts_with(data) && !data.exists() {
            return Err(closed(&homes, data));
        }
        check_reach(std::slice::from_ref(&homes))?;
    }
    Ok((accounts, homes))
}

/// What the configuration alone says of it, which the default for root may make a mistake.
pub(crate) fn look_at_names(config: &Config) -> Result<(), Failure> {
    match accounts(config, false) {
        Ok(Accounts::System) => check_names(config),
        _ => Ok(()),
    }
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

/// Under system accounts whoever took somebody's name would have her files. The configuration's own check knows
/// only of what is written there, not of what is the default for root.
fn check_names(config: &Config) -> Result<(), Failure> {
    match config.gives_names_away() {
        true => Err(Failure::new(format!("`sign_up`: {NAMES_OF_THE_MACHINE}"))),
        false => Ok(()),
    }
}

/// The configuration may have changed while nothing ran.
async fn follow_configuration(ground: &Ground, config: &Config) -> Result<(), Failure> {
    let failed = |error: lyceum_store::DbError| Failure::new(format!("the database: {error}"));
    let mut tx = ground.db.write().await.map_err(failed)?;
    let (admins, now) = (&config.people.admins, ground.clock.now());
    let lost = lyceum_hub::users::follow_configuration(&mut tx, admins, now).await;
    for name in lost.map_err(failed)? {
        tracing::info!(%name, "no administrator any more: the configuration no longer says so");
    }
    let grants = compose::grants(config, &ground.keys);
    let followed = lyceum_hub::grants::follow(&mut tx, &grants, now).await;
    followed.map_err(failed)?;
    tx.commit().await.map_err(failed)
}

/// Servers under other accounts must be able to reach their home and their program.
fn check_reach(paths: &[PathBuf]) -> Result<(), Failure> {
    for path in paths {
        if let Some(folder) = closed_to_others(path) {
            return Err(closed(path, &folder));
        }
    }
    Ok(())
}

fn closed(path: &Path, folder: &Path) -> Failure {
    Failure::new(format!(
        "servers run under people's own system accounts, but these can't reach {}: {} is closed to them",
        path.display(),
        folder.display()
    ))
    .hint("set `spawner: {homes: /srv/homes}` and --jupyter-env to folders that all may enter, run Lyceum as an ordinary user, or write `spawner: {accounts: shared}` to run all servers under Lyceum's account (only for trying out)")
}

/// SIGINT and SIGTERM, taken from before anything runs.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Failure> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| Failure::io("signals can't be listened to", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_machine_are_not_given_away() {
        let check = |sign_up: &str, expect: bool| {
            let text = format!("sign_in:\n  - {{kind: local, title: T, sign_up: {sign_up}}}\n");
            let loaded = crate::config::parse("lyceum.yaml", &text, Path::new("/"));
            let config = loaded.expect("good").config;
            assert_eq!(check_names(&config).is_ok(), expect, "{sign_up}");
        };
        check("open", false);
        check("approval", true);
        check("invitation", true);
        let usual = crate::config::parse("lyceum.yaml", "", Path::new("/"));
        assert!(check_names(&usual.expect("good").config).is_ok());
    }
}
