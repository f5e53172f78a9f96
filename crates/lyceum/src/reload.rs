//! The configuration while running: read again when its file changes or on SIGHUP.
//!
//! Files are looked at, not watched: ConfigMaps and network file systems defeat watching. A good
//! edit is published whole; a bad one leaves the last good configuration in force and is told in
//! [`ConfigState`].

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use lyceum_model::clock::{Clock, Millis};
use tokio::sync::watch;

use crate::config::{self, Config, Loaded, NAMES_OF_THE_MACHINE, Problem, Problems, ProxySettings};

const INTERVAL: Duration = Duration::from_secs(2);

/// What the log, the metric and the administrators' page tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigState {
    /// When the configuration in force was read.
    pub loaded_at: Millis,
    /// When the file was last looked at with a result.
    pub looked_at: Millis,
    /// The file, as it was named; none when everything is default.
    pub source: Option<String>,
    /// Why the last edit is not in force.
    pub problem: Option<String>,
    /// Values that differ in the file but are fixed until the next start.
    pub at_next_start: Vec<&'static str>,
    /// Counts the configurations that were in force.
    pub generation: u64,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    Unchanged,
    Loaded,
    Refused,
}

/// What changes with the configuration's file, and with the files it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// `None`: the file was not there.
    file: Option<Stamp>,
    files: u64,
}

impl Seen {
    fn now(path: Option<&Path>, config: &Config) -> Self {
        Self {
            file: stamp(path),
            files: config.files_stamp(),
        }
    }
}

/// Device, inode, size and modification time of the file behind every link.
type Stamp = (u64, u64, u64, i64, i64);

pub struct ConfigWatch {
    /// Empty until there is a file: one that comes later is taken up.
    path: OnceLock<PathBuf>,
    clock: Clock,
    current: ArcSwap<Config>,
    state: ArcSwap<ConfigState>,
    news: watch::Sender<u64>,
    seen: Mutex<Seen>,
    /// Set: servers run under people's own accounts of the machine until this program ends.
    keeps_names: OnceLock<()>,
}

impl ConfigWatch {
    /// Reads the file for the first time; here a problem is an error.
    pub fn open(path: Option<PathBuf>, clock: Clock) -> Result<Arc<Self>, Problems> {
        let file = stamp(path.as_deref());
        let loaded = config::load(path.as_deref())?;
        let files = loaded.config.files_stamp();
        let state = ConfigState {
            loaded_at: clock.now(),
            looked_at: clock.now(),
            source: path.as_ref().map(|path| path.display().to_string()),
            problem: None,
            at_next_start: Vec::new(),
            generation: 1,
        };
        Ok(Arc::new(Self {
            path: path.map_or_else(OnceLock::new, OnceLock::from),
            clock,
            current: ArcSwap::from_pointee(loaded.config),
            state: ArcSwap::from_pointee(state),
            news: watch::Sender::new(1),
            seen: Mutex::new(Seen { file, files }),
            keeps_names: OnceLock::new(),
        }))
    }

    /// From now on no configuration is taken by which people take names without anybody's yes.
    pub fn keep_names(&self) {
        self.keeps_names.get_or_init(|| ());
    }

    /// The file, if it fits what runs: as whom servers run is fixed until the next start.
    fn load(&self, path: Option<&Path>) -> Result<Loaded, Problems> {
        let loaded = config::load(path)?;
        if self.keeps_names.get().is_some() && loaded.config.gives_names_away() {
            return Err(Problems(vec![Problem {
                file: loaded.file,
                place: None,
                message: format!("`sign_up`: {NAMES_OF_THE_MACHINE}"),
            }]));
        }
        Ok(loaded)
    }

    /// The file, once there is one. From then on its absence is a problem, not a wish for defaults.
    fn path(&self) -> Option<&Path> {
        if self.path.get().is_none()
            && let Some(path) = config::locate(None)
        {
            return Some(self.path.get_or_init(|| path));
        }
        self.path.get().map(PathBuf::as_path)
    }

    pub fn current(&self) -> Arc<Config> {
        self.current.load_full()
    }

    pub fn state(&self) -> Arc<ConfigState> {
        self.state.load_full()
    }

    /// Tells of each new configuration, and of each edit that was refused.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Looks at the file and reads it if it changed. Blocks for a moment.
    pub fn check_now(&self) -> Look {
        let now = Seen::now(self.path(), &self.current());
        {
            let mut before = self.seen.lock().expect("no holder panics");
            if *before == now {
                // What is wrong may be put right in a file that only the refused edit names.
                return match self.state().problem {
                    Some(_) => self.read_now(),
                    None => Look::Unchanged,
                };
            }
            *before = now;
        }
        self.read_now()
    }

    /// Reads the file whether or not it changed: secrets in other files may have (SIGHUP).
    pub fn read_now(&self) -> Look {
        let state = self.state();
        let path = self.path();
        let source = path.map(|path| path.display().to_string());
        match self.load(path) {
            Ok(Loaded { mut config, .. }) => {
                let current = self.current();
                let at_next_start = keep_fixed(&current, &mut config);
                if config.watched_files() != current.watched_files() {
                    // Others are looked at from now on; they were read just now.
                    let files = config.files_stamp();
                    self.seen.lock().expect("no holder panics").files = files;
                }
                let generation = state.generation + 1;
                tracing::info!(generation, ?at_next_start, "configuration read again");
                self.current.store(Arc::new(config));
                self.state.store(Arc::new(ConfigState {
                    loaded_at: self.clock.now(),
                    looked_at: self.clock.now(),
                    source,
                    problem: None,
                    at_next_start,
                    generation,
                }));
                self.news.send_replace(generation);
                Look::Loaded
            }
            // That was told.
            Err(problems) if state.problem.as_ref() == Some(&problems.to_string()) => {
                Look::Unchanged
            }
            Err(problems) => {
                tracing::error!(%problems, "the configuration was edited wrongly; the last good one stays in force");
                self.state.store(Arc::new(ConfigState {
                    source,
                    problem: Some(problems.to_string()),
                    looked_at: self.clock.now(),
                    ..ConfigState::clone(&state)
                }));
                self.news.send_replace(state.generation);
                Look::Refused
            }
        }
    }

    /// Looks every two seconds, and on SIGHUP, until `shutdown` ends.
    pub async fn run(self: Arc<Self>, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let always = tokio::select! {
                () = &mut shutdown => return Ok(()),
                _ = ticks.tick() => false,
                Some(()) = hangups.recv() => true,
            };
            let watch = Arc::clone(&self);
            let look = move || {
                if always {
                    watch.read_now()
                } else {
                    watch.check_now()
                }
            };
            tokio::task::spawn_blocking(look)
                .await
                .map_err(std::io::Error::other)?;
        }
    }
}

/// What is bound or opened at the start stays as it is; the answer names what differs.
fn keep_fixed(current: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    if new.public_url != current.public_url {
        new.public_url = current.public_url.clone();
        kept.push("public_url");
    }
    if new.base != current.base {
        new.base = current.base.clone();
        kept.push("base_url");
    }
    if new.subdomains != current.subdomains {
        new.subdomains = current.subdomains;
        kept.push("subdomains");
    }
    if new.listen != current.listen {
        new.listen = current.listen;
        kept.push("listen");
    }
    if new.tls != current.tls {
        new.tls = current.tls.clone();
        kept.push("tls");
    }
    if new.trusted_proxies != current.trusted_proxies {
        new.trusted_proxies = current.trusted_proxies.clone();
        kept.push("trusted_proxies");
    }
    if new.proxy_protocol != current.proxy_protocol {
        new.proxy_protocol = current.proxy_protocol.clone();
        kept.push("proxy_protocol");
    }
    if new.store != current.store {
        new.store = current.store.clone();
        kept.push("store");
    }
    if new.hub != current.hub {
        new.hub = current.hub.clone();
        kept.push("hub");
    }
    if new.proxy_secret != current.proxy_secret {
        new.proxy_secret = current.proxy_secret.clone();
        kept.push("proxy.secret");
    }
    if new.proxy.limits != current.proxy.limits {
        kept.push("proxy.limits");
    }
    if new.proxy.plain_http2 != current.proxy.plain_http2 {
        kept.push("proxy.plain_http2");
    }
    if new.proxy.bind_addresses != current.proxy.bind_addresses {
        kept.push("proxy.bind_addresses");
    }
    new.proxy = ProxySettings {
        access_log: new.proxy.access_log,
        ..current.proxy.clone()
    };
    if new.spawner != current.spawner {
        new.spawner = current.spawner.clone();
        kept.push("spawner");
    }
    if new.log != current.log {
        new.log = current.log.clone();
        kept.push("log");
    }
    if new.metrics_prefix != current.metrics_prefix {
        new.metrics_prefix = current.metrics_prefix.clone();
        kept.push("metrics_prefix");
    }
    kept
}

fn stamp(path: Option<&Path>) -> Option<Stamp> {
    let meta = std::fs::metadata(path?).ok()?;
    Some((
        meta.dev(),
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn good_edits_are_taken_and_bad_ones_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lyceum.yaml");
        fs::write(&path, "theme: {name: One}\n").expect("written");
        let clock = Clock::manual(Millis(1000));
        let watch = ConfigWatch::open(Some(path.clone()), clock.clone()).expect("good");
        let news = watch.subscribe();
        assert_eq!(watch.check_now(), Look::Unchanged);

        clock.advance(500);
        fs::write(&path, "theme: {name: Second}\nlisten: 127.0.0.1:9\n").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.current().theme.name, "Second");
        assert_eq!(watch.current().listen.port(), 8000);
        assert_eq!(watch.state().at_next_start, ["listen"]);
        assert_eq!(
            (watch.state().generation, watch.state().loaded_at),
            (2, Millis(1500))
        );
        assert!(news.has_changed().expect("alive"));

        fs::write(&path, "theme: {nmae: Third}\n").expect("written");
        assert_eq!(watch.check_now(), Look::Refused);
        assert_eq!(watch.check_now(), Look::Unchanged);
        let state = watch.state();
        assert!(
            state
                .problem
                .as_deref()
                .expect("told")
                .contains("did you mean `name`")
        );
        assert_eq!(
            (watch.current().theme.name.as_str(), state.generation),
            ("Second", 2)
        );

        fs::remove_file(&path).expect("removed");
        assert_eq!(watch.check_now(), Look::Refused);
        assert_eq!(watch.current().theme.name, "Second");

        fs::write(&path, "theme: {name: Fourth}\n").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.state().problem, None);
    }

    #[test]
    fn names_are_not_given_away_while_servers_run_under_system_accounts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lyceum.yaml");
        let write = |sign_up: &str| {
            // As whom servers run changes at the next start only.
            let text = format!(
                "spawner: {{accounts: shared}}\nsign_in: [{{kind: local, title: T, sign_up: {sign_up}}}]\n"
            );
            fs::write(&path, text).expect("written");
        };
        write("approval");
        let watch = ConfigWatch::open(Some(path.clone()), Clock::system()).expect("good");
        watch.keep_names();
        write("open");
        assert_eq!(watch.read_now(), Look::Refused);
        let problem = watch.state().problem.clone().expect("told");
        assert!(problem.contains("without anybody's yes"), "{problem}");
        assert!(!watch.current().gives_names_away());
        write("invitation");
        assert_eq!(watch.read_now(), Look::Loaded);
    }

    #[test]
    fn of_the_proxy_the_access_log_is_taken_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lyceum.yaml");
        fs::write(&path, "proxy: {limits: {idle: 5m}}\n").expect("written");
        let watch = ConfigWatch::open(Some(path.clone()), Clock::system()).expect("good");
        let text = "proxy: {limits: {idle: 6m}, plain_http2: true, bind_addresses: [127.0.0.2], access_log: 1/10}\n";
        fs::write(&path, text).expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        let config = watch.current();
        assert_eq!(config.proxy.access_log.to_string(), "1/10");
        assert_eq!(config.proxy.limits.idle.as_secs(), 300);
        assert!(!config.proxy.plain_http2 && config.proxy.bind_addresses.is_empty());
        let kept = watch.state().at_next_start.clone();
        let expect = ["proxy.limits", "proxy.plain_http2", "proxy.bind_addresses"];
        assert_eq!(kept, expect);
    }

    #[test]
    fn edits_of_templates_are_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("templates")).expect("made");
        fs::write(at("templates/login.html"), "one").expect("written");
        let path = at("lyceum.yaml");
        fs::write(&path, "theme: {name: One}\n").expect("written");
        let watch = ConfigWatch::open(Some(path.clone()), Clock::system()).expect("good");
        fs::write(&path, "theme: {template_paths: [templates]}\n").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.check_now(), Look::Unchanged);
        fs::write(at("templates/login.html"), "three").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.check_now(), Look::Unchanged);
        fs::write(at("templates/home.html"), "new").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.state().generation, 4);
    }

    #[test]
    fn edits_of_languages_are_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("languages")).expect("made");
        fs::write(at("lyceum.yaml"), "languages: languages\n").expect("written");
        let watch = ConfigWatch::open(Some(at("lyceum.yaml")), Clock::system()).expect("good");
        assert_eq!(watch.check_now(), Look::Unchanged);
        fs::write(at("languages/fr.txt"), "nav.home = Accueil\n").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        let tags = watch.current().theme.languages.tags();
        assert_eq!(tags, ["en", "de", "fr"]);
        // A mistake holds nothing up.
        fs::write(at("languages/fr.txt"), "nav.hoome = Accueil, encore\n").expect("written");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.current().theme.languages.problems.len(), 1);
    }

    #[test]
    fn a_swapped_link_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["v1", "v2"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(
                at(name).join("lyceum.yaml"),
                format!("theme: {{name: {name}}}\n"),
            )
            .expect("written");
        }
        std::os::unix::fs::symlink("v1", at("data")).expect("linked");
        std::os::unix::fs::symlink("data/lyceum.yaml", at("lyceum.yaml")).expect("linked");
        let watch = ConfigWatch::open(Some(at("lyceum.yaml")), Clock::system()).expect("good");
        std::os::unix::fs::symlink("v2", at("new")).expect("linked");
        fs::rename(at("new"), at("data")).expect("swapped");
        assert_eq!(watch.check_now(), Look::Loaded);
        assert_eq!(watch.current().theme.name, "v2");
    }
}
