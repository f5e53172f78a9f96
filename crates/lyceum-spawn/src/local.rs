//! Servers as processes of this machine.
//!
//! Three processes play together. The *hub* (this module) writes orders and reads run folders.
//! The *keeper* ([`shim`]) is one small process for each server that outlives the hub and holds
//! the lock of the run folder. The *launcher* (`launch`) turns itself into the server's command.
//! The hub keeps nothing in memory that matters: after a kill -9, the folders tell all.
//!
//! Drawers: `folder` (lock, state, exit), `wire` (what they say to each other), `home`, `limits`,
//! `cgroup`, `size` (how much a home takes), `log`, `ports`, `sockets` and `owner` (who listens on a port), `processes` (/proc),
//! `runs` (reading and ending runs), `keeper` (starting one), `explain` (why it ended), `room` (before
//! many start at once).

mod cgroup;
mod explain;
mod folder;
mod home;
mod keeper;
mod launch;
mod limits;
mod log;
mod owner;
mod ports;
mod processes;
mod room;
mod runs;
pub mod shim;
mod size;
mod sockets;
mod wire;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use rustix::process::Signal;
use tokio::time::sleep;

pub use self::limits::{LimitsReport, Mechanism};
use crate::env::{self, Env, Surroundings};
use crate::error::SpawnError;
use crate::spawner::{PortOwner, Shortage, Spawner, StartOrder, Started, Status, Usage};
use crate::steps::Steps;
use cgroup::Place;
use folder::{RunFolder, State};
use keeper::Begun;
use lyceum_model::say;
use ports::Ports;
use runs::{FORGOTTEN, Found, KILL_LIMIT};
use wire::{Launch, Order, RUN_VARIABLE};

/// How long a keeper that is just opening or closing is waited for.
const TURN_LIMIT: Duration = Duration::from_secs(15);

/// Whether control groups are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cgroups {
    /// Where the system lets us.
    #[default]
    Auto,
    Off,
}

#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Program and arguments of the keeper: `["/usr/bin/lyceum", "shim"]`.
    pub shim: Vec<String>,
    /// The folder of run folders; absolute, ours alone, on a local disk.
    pub run_dir: PathBuf,
    /// The root of homes; absolute.
    pub homes: PathBuf,
    pub shell: String,
    /// What servers get of the hub's environment: see [`env::inherit`].
    pub inherited: Env,
    /// How many files a server may open until it asks for more, where the hub has raised its own
    /// limit and nothing else is said for the server.
    pub open_files: Option<u64>,
    /// The pause after SIGINT, before SIGTERM.
    pub interrupt: Duration,
    /// The pause after SIGTERM, before SIGKILL.
    pub term: Duration,
    pub cgroups: Cgroups,
    /// Bytes that must be free on the disks of homes and run folders for a start.
    pub least_room: u64,
    /// How often a home that has a limit is measured; less often where that takes long.
    pub measure_every: Duration,
}

impl LocalConfig {
    pub fn new(shim: Vec<String>, run_dir: PathBuf, homes: PathBuf) -> Self {
        Self {
            shim,
            run_dir,
            homes,
            shell: "/bin/sh".into(),
            inherited: Env::new(),
            open_files: None,
            interrupt: Duration::from_secs(10),
            term: Duration::from_secs(5),
            cgroups: Cgroups::Auto,
            least_room: 64 << 20,
            measure_every: Duration::from_secs(60),
        }
    }
}

pub struct LocalSpawner {
    config: LocalConfig,
    place: Result<Place, String>,
    ports: Ports,
    /// Who listens where, or why that can't be told on this machine.
    sockets: Result<Arc<sockets::Reader>, String>,
    root: bool,
}

impl LocalSpawner {
    /// Makes the folders where they are missing and looks what the system offers.
    pub fn new(config: LocalConfig) -> Result<Self, SpawnError> {
        if config.shim.is_empty() {
            return Err(SpawnError::BadSpec(say!("order.no_keeper")));
        }
        for path in [&config.run_dir, &config.homes] {
            if !path.is_absolute() {
                let words = say!("order.not_absolute", path = path.as_path());
                return Err(SpawnError::BadSpec(words));
            }
        }
        let run_dir = RunFolder::new(config.run_dir.clone());
        run_dir
            .create()
            .map_err(|e| SpawnError::io(say!("doing.make_folder"), &config.run_dir, &e))?;
        std::fs::create_dir_all(&config.homes)
            .map_err(|e| SpawnError::io(say!("doing.make_homes"), &config.homes, &e))?;
        runs::tidy(&config.run_dir);
        let place = match config.cgroups {
            Cgroups::Auto => Place::find(&tag(&config.run_dir)),
            Cgroups::Off => Err("switched off in the configuration".into()),
        };
        let root = rustix::process::geteuid().is_root();
        Ok(Self {
            config,
            place,
            ports: Ports::default(),
            sockets: sockets::self_check().map(|()| Arc::default()),
            root,
        })
    }

    /// Which limits servers get here, and why not better ones.
    pub fn capabilities(&self) -> LimitsReport {
        let place = self.place.as_ref().map_err(String::as_str);
        let mut report = limits::report(place, self.root);
        if let Some(why) = self.ports_unchecked() {
            report.notes.push(format!(
                "who listens on a server's port can't be checked, so another program of this \
                 machine could take its place: {why}"
            ));
        }
        report
    }

    /// Why it can't be told on this machine whether the program on a server's port is the server;
    /// none if it can.
    pub fn ports_unchecked(&self) -> Option<&str> {
        self.sockets.as_ref().err().map(String::as_str)
    }

    fn folder(&self, key: &ServerKey) -> RunFolder {
        RunFolder::new(self.config.run_dir.join(key.as_str()))
    }

    async fn look(&self, key: &ServerKey) -> Result<Found, SpawnError> {
        let folder = self.folder(key);
        blocking(move || runs::look(&folder)).await
    }

    /// Refuses early what would fail anyway.
    fn check(&self, spec: &ServerSpec) -> Result<(), SpawnError> {
        if spec.command.first().is_none_or(String::is_empty) {
            return Err(SpawnError::BadSpec(say!("order.no_command")));
        }
        if spec.command.iter().any(|word| word.contains('\0')) {
            return Err(SpawnError::BadSpec(say!("order.nul_in_command")));
        }
        home::check(&spec.home)?;
        if let Some(folder) = spec.folder.as_deref()
            && !Path::new(folder).is_absolute()
        {
            return Err(SpawnError::BadSpec(say!(
                "order.not_absolute",
                path = folder
            )));
        }
        let Some(run_as) = &spec.run_as else {
            return Ok(());
        };
        let why = if !self.root {
            say!("run_as.not_root")
        } else if run_as.uid == 0 || run_as.gid == 0 {
            say!("run_as.root_forbidden")
        } else {
            return Ok(());
        };
        Err(SpawnError::RunAs {
            account: run_as.account.clone(),
            why,
        })
    }

    fn write_order(&self, wanted: &Wanted<'_>) -> Result<Order, SpawnError> {
        let Wanted { key, spec, hub } = *wanted;
        let run = random_name()?;
        let address = format!("http://127.0.0.1:{}", self.ports.pick()?);
        let home = self.config.homes.join(&spec.home);
        let home = home.to_str().ok_or_else(|| SpawnError::BadHome {
            home: spec.home.clone(),
            why: say!("home.not_utf8"),
        })?;
        let around = Surroundings {
            address: &address,
            home,
            shell: &self.config.shell,
            inherited: &self.config.inherited,
        };
        let mut env = env::of(spec, hub, &around)?;
        env.insert(RUN_VARIABLE.into(), run.clone());
        let cgroup = self.place.as_ref().ok();
        let cgroup = cgroup.map(|place| place.order(&format!("{key}.{run}")));
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Ok(Order {
            key: key.clone(),
            run,
            address,
            interrupt_ms: millis(self.config.interrupt),
            term_ms: millis(self.config.term),
            measure_ms: millis(self.config.measure_every),
            launch: Launch {
                parent: 0,
                command: spec.command.clone(),
                env,
                homes: self.config.homes.clone(),
                home: spec.home.clone(),
                folder: spec.folder.as_ref().map(PathBuf::from),
                run_as: spec.run_as.clone(),
                resources: spec.resources,
                open_files: self.config.open_files,
                cgroup_procs: None,
                memory_by_cgroup: cgroup.as_ref().is_some_and(|group| group.memory),
                processes_by_cgroup: cgroup.as_ref().is_some_and(|group| group.pids),
            },
            cgroup,
        })
    }

    /// Waits until the keeper let go of the lock. False if it did not in time.
    async fn wait_for_release(&self, key: &ServerKey, limit: Duration) -> Result<bool, SpawnError> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(5);
        loop {
            let folder = self.folder(key);
            if blocking(move || runs::holder(&folder)).await?.is_none() {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn still_running(&self, key: &ServerKey, limit: Duration) -> SpawnError {
        SpawnError::StillRunning {
            key: key.to_string(),
            seconds: limit.as_secs(),
        }
    }
}

/// What is to run.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    key: &'a ServerKey,
    spec: &'a ServerSpec,
    hub: Option<&'a HubEnv>,
}

#[async_trait]
impl Spawner for LocalSpawner {
    fn kind(&self) -> &'static str {
        "local"
    }

    async fn start(&self, order: &StartOrder, steps: &Steps) -> Result<Started, SpawnError> {
        let wanted = Wanted {
            key: &order.key,
            spec: &order.spec,
            hub: Some(&order.hub),
        };
        self.bring(&wanted, steps).await
    }

    async fn poll(&self, key: &ServerKey) -> Result<Status, SpawnError> {
        let deadline = Instant::now() + TURN_LIMIT;
        loop {
            match self.look(key).await? {
                Found::Running(state) => {
                    if let Some(port) = self.port_owner(key, state.clone()).await? {
                        return Ok(Status::Running {
                            address: state.address,
                            port,
                        });
                    }
                }
                Found::Turning(Some((state, exit))) => return Ok(explain::status(&state, &exit)),
                Found::Turning(None) if Instant::now() > deadline => {
                    return Err(SpawnError::Busy {
                        key: key.to_string(),
                    });
                }
                Found::Turning(None) => sleep(Duration::from_millis(20)).await,
                Found::Ended(state, exit) if exit.swept => {
                    return Ok(explain::status(&state, &exit));
                }
                Found::Ended(state, exit) => {
                    let folder = self.folder(key);
                    let sweep = move || {
                        let exit = runs::sweep_and_note(&folder, &state, exit);
                        Ok(explain::status(&state, &exit))
                    };
                    return blocking(sweep).await;
                }
                Found::Nothing => return Ok(Status::Gone),
            }
        }
    }

    async fn stop(&self, key: &ServerKey) -> Result<(), SpawnError> {
        let folder = self.folder(key);
        let asked = blocking(move || runs::signal_keeper(&folder, Signal::TERM)).await?;
        if asked {
            let limit = self.config.interrupt + self.config.term + KILL_LIMIT;
            if !self.wait_for_release(key, limit).await? {
                // The kernel kills the server with its keeper; the rest is swept below.
                let folder = self.folder(key);
                blocking(move || runs::signal_keeper(&folder, Signal::KILL)).await?;
                if !self.wait_for_release(key, KILL_LIMIT).await? {
                    return Err(self.still_running(key, limit + KILL_LIMIT));
                }
            }
        }
        if let Found::Ended(state, exit) = self.look(key).await?
            && !exit.swept
        {
            let folder = self.folder(key);
            let swept = move || Ok(runs::sweep_and_note(&folder, &state, exit).swept);
            if !blocking(swept).await? {
                return Err(self.still_running(key, KILL_LIMIT));
            }
        }
        Ok(())
    }

    async fn log_tail(&self, key: &ServerKey, max_lines: usize) -> Result<Vec<String>, SpawnError> {
        let path = self.folder(key).path().to_path_buf();
        blocking(move || {
            log::tail(&path, max_lines)
                .map_err(|error| SpawnError::io(say!("doing.read_log"), &path, &error))
        })
        .await
    }

    async fn list(&self) -> Result<Vec<ServerKey>, SpawnError> {
        let run_dir = self.config.run_dir.clone();
        blocking(move || runs::list(&run_dir)).await
    }

    async fn forget(&self, key: &ServerKey) -> Result<(), SpawnError> {
        let run_dir = self.config.run_dir.clone();
        let away = run_dir.join(format!("{FORGOTTEN}{}", random_name()?));
        let (folder, key) = (self.folder(key), key.to_string());
        blocking(move || runs::forget(&folder, &away, key)).await
    }

    async fn usage(&self, key: &ServerKey) -> Result<Option<Usage>, SpawnError> {
        let Found::Running(state) = self.look(key).await? else {
            return Ok(None);
        };
        let measure = move || {
            let group = state.cgroup.as_deref().and_then(cgroup::usage);
            Ok(group.unwrap_or_else(|| processes::usage(state.keeper)))
        };
        blocking(measure).await.map(Some)
    }

    async fn make_room(&self, people: u64, spec: &ServerSpec) -> Result<Vec<Shortage>, SpawnError> {
        let (spec, homes) = (spec.clone(), self.config.homes.clone());
        let made = move || {
            let short = room::short(people, &spec, &homes);
            room::warm(&spec);
            Ok(short)
        };
        blocking(made).await
    }
}

impl LocalSpawner {
    /// As [`Spawner::start`], for a program that is no server: what it must know is in its spec.
    pub async fn start_program(
        &self,
        key: &ServerKey,
        spec: &ServerSpec,
    ) -> Result<Started, SpawnError> {
        let wanted = Wanted {
            key,
            spec,
            hub: None,
        };
        self.bring(&wanted, &Steps::silent()).await
    }

    /// Who listens at this address of the machine, as seen from what runs under this key: a program
    /// that was given its port and did not get it from here.
    pub async fn owner_at(&self, key: &ServerKey, address: &str) -> Result<PortOwner, SpawnError> {
        let Found::Running(state) = self.look(key).await? else {
            return Ok(PortOwner::Nobody);
        };
        let state = State {
            address: address.to_owned(),
            ..state
        };
        let owner = self.port_owner(key, state).await?;
        Ok(owner.unwrap_or(PortOwner::Nobody))
    }

    /// Whether what runs here may be root's.
    pub fn is_root(&self) -> bool {
        self.root
    }

    async fn bring(&self, wanted: &Wanted<'_>, steps: &Steps) -> Result<Started, SpawnError> {
        self.check(wanted.spec)?;
        let key = wanted.key;
        let deadline = Instant::now() + TURN_LIMIT;
        let mut pause = Duration::from_millis(5);
        loop {
            match self.look(key).await? {
                Found::Running(state) => {
                    steps.say(30, say!("start.runs_already"));
                    return Ok(Started {
                        address: state.address,
                        adopted: true,
                    });
                }
                Found::Turning(_) => {}
                Found::Ended(state, exit) => {
                    if !exit.swept && !blocking(move || Ok(runs::sweep(&state))).await? {
                        return Err(self.still_running(key, KILL_LIMIT));
                    }
                    if let Some(started) = self.start_keeper(wanted, steps).await? {
                        return Ok(started);
                    }
                }
                Found::Nothing => {
                    if let Some(started) = self.start_keeper(wanted, steps).await? {
                        return Ok(started);
                    }
                }
            }
            if Instant::now() > deadline {
                return Err(SpawnError::Busy {
                    key: key.to_string(),
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// None: the keeper was gone afterwards, so its number may have been another's meanwhile.
    async fn port_owner(
        &self,
        key: &ServerKey,
        state: State,
    ) -> Result<Option<PortOwner>, SpawnError> {
        let Ok(sockets) = &self.sockets else {
            return Ok(Some(PortOwner::Unknown));
        };
        let (sockets, folder) = (sockets.clone(), self.folder(key));
        blocking(move || {
            let owner = owner::of(&state, &sockets).map_err(|error| {
                SpawnError::System(say!("system.port_owner", error = error.to_string()))
            })?;
            let holder = runs::holder(&folder)?.map(|pid| pid.as_raw_nonzero().get());
            Ok((holder == Some(state.keeper)).then_some(owner))
        })
        .await
    }

    /// None: another start was quicker, look again.
    async fn start_keeper(
        &self,
        wanted: &Wanted<'_>,
        steps: &Steps,
    ) -> Result<Option<Started>, SpawnError> {
        steps.say(10, say!("start.preparing"));
        let places = [self.config.homes.clone(), self.config.run_dir.clone()];
        let least = self.config.least_room;
        blocking(move || places.iter().try_for_each(|place| has_room(place, least))).await?;
        let folder = self.folder(wanted.key);
        let order = self.write_order(wanted)?;
        let begun = keeper::begin(&self.config.shim, &folder, &order).await?;
        match begun {
            Begun::Started => {
                steps.say(30, say!("start.process_started"));
                Ok(Some(Started {
                    address: order.address,
                    adopted: false,
                }))
            }
            Begun::Held => Ok(None),
        }
    }
}

/// Whether a server that starts could write what it must. A disk that does not tell is tried.
fn has_room(place: &Path, least: u64) -> Result<(), SpawnError> {
    let Ok(disk) = rustix::fs::statvfs(place) else {
        return Ok(());
    };
    if disk.f_blocks == 0 {
        // What is mounted when it is needed, for one.
        return Ok(());
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    match free >= least {
        true => Ok(()),
        false => Err(SpawnError::NoRoom {
            path: place.display().to_string(),
            free,
            least,
        }),
    }
}

/// File and process look-ups happen on threads made for waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SpawnError> + Send + 'static,
) -> Result<T, SpawnError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(SpawnError::System(say!("system.cut_off"))))
}

fn random_name() -> Result<String, SpawnError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| SpawnError::System(say!("system.no_random", error = error.to_string())))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Tells installations on one machine apart: FNV-1a of the run folder's path.
fn tag(run_dir: &Path) -> String {
    let bytes = run_dir.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
