//! From what is written to what is meant: addresses parsed, names checked, secrets fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use lyceum_hub::cull::Culling;
use lyceum_hub::grants::{ADMIN, Grants};
use lyceum_hub::quota::Quota;
use lyceum_model::base::BasePath;
use lyceum_model::environment::{Said, rules};
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_model::server::Resources;
use lyceum_proxy::Network;
use lyceum_store::secret::KEY_LEN;
use url::Url;

use super::grants::{admins, check_grants};
use super::people::{People, check_people};
use super::raw::{RawConfig, SpawnerAccounts, SpawnerKind};
use super::sign_in::{SignInMethod, check_sign_in};
use super::{Look, ProxySettings, RawLog, SiteWords, Tls};

/// The checked configuration: whoever holds one need not check again.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub public_url: Option<Url>,
    /// Below which path all of it is.
    pub base: BasePath,
    /// `None`: where the names below are known anyway.
    pub subdomains: Option<bool>,
    pub listen: SocketAddr,
    /// `None`: plain HTTP.
    pub tls: Option<Tls>,
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: Vec<Network>,
    pub store: Store,
    pub hub: Hub,
    /// What hubs and proxies share; `None`: made from the master key.
    pub proxy_secret: Option<Secret>,
    pub proxy: ProxySettings,
    pub sign_in: Vec<SignInMethod>,
    /// By which headers a proxy in front says who people are, for our own proxy.
    pub identity: Option<lyceum_proxy::Identity>,
    pub second_factor: lyceum_hub::second_factor::Required,
    pub posix: lyceum_hub::posix::Rules,
    /// `None`: no mail is sent.
    pub mail: Option<std::sync::Arc<lyceum_hub::mail::MailConfig>>,
    pub people: People,
    pub grants: Grants,
    pub servers: Servers,
    pub quotas: Vec<Quota>,
    pub culling: Culling,
    pub profiles: lyceum_hub::profiles::Profiles,
    /// What each says, with what it begins with.
    pub environments: BTreeMap<String, Vec<Said>>,
    /// Groups that are people of every course.
    pub course_groups: lyceum_courses::people::Patterns,
    pub spawner: Spawner,
    pub exchange: super::exchange::Kept,
    pub time_zone: TimeZone,
    pub log: RawLog,
    pub metrics_prefix: String,
    /// `None`: there is no event log.
    pub events: Option<lyceum_hub::event_log::Target>,
    pub theme: Look,
    pub site: SiteWords,
}

impl Config {
    /// Files and folders besides the configuration's own that it is made from.
    pub fn watched_files(&self) -> Vec<&PathBuf> {
        (self.people.watched.iter())
            .chain(&self.theme.watched)
            .chain(&self.site.watched)
            .collect()
    }

    /// What is no mistake, but might be news to whoever wrote it.
    pub fn notes(&self) -> Vec<super::Problem> {
        let hosts = self
            .shared_host()
            .map(|words| ("subdomains".to_owned(), words));
        let told = super::notes::of_profiles(&self.profiles)
            .into_iter()
            .chain(hosts)
            .chain(self.notes_of_sign_in(self.listen))
            .chain(super::notes::of_administrators(self))
            .chain(super::notes::of_exchange(&self.grants));
        let told = told.map(|(key, message)| super::Problem {
            file: key,
            place: None,
            message,
        });
        told.chain(self.theme.notes()).collect()
    }

    /// Those of who comes in, each with its key; `listen`: where people come.
    pub fn notes_of_sign_in(&self, listen: SocketAddr) -> Vec<(String, String)> {
        super::notes::of_sign_in(self, listen)
    }

    /// Whether passwords of accounts here are a way in.
    pub fn has_local(&self) -> bool {
        let mut ways = self.sign_in.iter();
        ways.any(|way| matches!(way, SignInMethod::Local(_)))
    }

    /// Whether whoever comes takes a name without anybody's yes.
    pub fn gives_names_away(&self) -> bool {
        let mut ways = self.sign_in.iter();
        ways.any(
            |way| matches!(way, SignInMethod::Local(local) if local.sign_up.gives_names_away()),
        )
    }

    /// What it means that all have one host, where nobody has said that it is meant.
    pub fn shared_host(&self) -> Option<String> {
        super::notes::of_hosts(self.public_url.as_ref(), self.subdomains)
    }

    /// Changes when one of these does.
    pub fn files_stamp(&self) -> u64 {
        super::theme::stamp(&self.watched_files())
    }
}

/// What concerns whoever stands at the public port, in `lyceum up` or as `lyceum proxy --config`.
#[derive(Debug, Clone, PartialEq)]
pub struct Front {
    pub public_url: Option<Url>,
    /// Below which path all of it is.
    pub base: BasePath,
    pub listen: SocketAddr,
    pub tls: Option<Tls>,
    pub trusted_proxies: Vec<Network>,
    pub proxy_protocol: Vec<Network>,
    pub proxy_secret: Option<Secret>,
    pub proxy: ProxySettings,
    /// By which headers a proxy in front says who people are.
    pub identity: Option<lyceum_proxy::Identity>,
}

impl Front {
    /// Where browsers are sent on to, if it is not the port that is listened on.
    pub fn https_port(&self) -> Option<u16> {
        https_port(self.public_url.as_ref())
    }
}

/// The port of the address that people type.
pub fn https_port(public_url: Option<&Url>) -> Option<u16> {
    public_url.and_then(Url::port_or_known_default)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// `None`: SQLite in the data folder.
    pub database: Option<Secret>,
    /// `None`: a folder in the data folder.
    pub blobs: Option<PathBuf>,
    /// The master key as 64 hexadecimal digits. `None`: a file in the data folder.
    pub key: Option<Secret>,
}

/// The hub as a process of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    pub listen: SocketAddr,
    /// Without a slash at its end. `None`: this hub itself.
    pub api_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawner {
    pub kind: SpawnerKind,
    /// `None`: what suits the account that Lyceum runs under.
    pub accounts: Option<SpawnerAccounts>,
    /// Absolute. `None`: a folder in the data folder.
    pub homes: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    /// `None`: `jupyterhub-singleuser` of the Jupyter environment.
    pub command: Option<Vec<String>>,
    pub opens: String,
    pub start_timeout: Duration,
    pub per_person: u32,
    pub concurrent_starts: u32,
    pub concurrent_starts_per_person: u32,
    pub slow_after: Duration,
    pub resources: Resources,
    pub shared_in_browsers: bool,
    pub env: std::collections::BTreeMap<String, String>,
}

/// As [`check`], of what concerns the public port only: a proxy's machine need not have the secrets
/// of the hub.
pub(crate) fn check_front(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Front {
    let public_url = raw.public_url.as_deref().and_then(|text| {
        check_public_url(text)
            .map_err(|message| problem("public_url", message))
            .ok()
    });
    let base = check_base(raw, public_url.as_ref(), problem);
    let listen = raw.listen.0.parse().unwrap_or_else(|_| {
        problem(
            "listen",
            format!(
                "{:?} is not an address with a port, such as `127.0.0.1:8000` or `[::]:8000`",
                raw.listen.0
            ),
        );
        SocketAddr::from(([127, 0, 0, 1], 8000))
    });
    Front {
        public_url,
        base,
        listen,
        tls: super::tls::check_tls(raw, folder, problem),
        trusted_proxies: networks("trusted_proxies", &raw.trusted_proxies, problem),
        proxy_protocol: networks("proxy_protocol", &raw.proxy_protocol, problem),
        proxy_secret: check_proxy_secret(raw, folder, problem),
        proxy: super::proxy::check_proxy(raw, problem),
        identity: super::sign_in::identity(raw),
    }
}

/// Checks, and says through `problem(path, message)` what is wrong; a wrong value is replaced by
/// its default so that the rest can be checked too.
pub(crate) fn check(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Config {
    let Front {
        public_url,
        base,
        listen,
        tls,
        trusted_proxies,
        proxy_protocol,
        proxy_secret,
        proxy,
        identity,
    } = check_front(raw, folder, problem);
    check_subdomains(raw, public_url.as_ref(), listen, problem);
    let mut grants = check_grants(raw, folder, problem);
    let mut people = check_people(raw, folder, problem);
    people.admins.extend(admins(&grants));
    if let Some(role) = grants.roles.get_mut(ADMIN) {
        role.groups.extend(people.admin_groups.iter().cloned());
        people.admin_groups.clone_from(&role.groups);
    }
    let hub = check_hub(raw, &base, problem);
    let time_zone = check_time_zone(raw.time_zone.as_deref(), problem);
    let theme = super::theme::check_theme(raw, folder, problem);
    let (profiles, environments) = super::profiles::check_profiles(raw, problem);
    Config {
        public_url,
        base,
        subdomains: raw.subdomains,
        listen,
        tls,
        trusted_proxies,
        proxy_protocol,
        store: check_store(raw, folder, problem),
        hub,
        proxy_secret,
        proxy,
        sign_in: check_sign_in(raw, folder, problem),
        identity,
        second_factor: super::second_factor::check_second_factor(raw, problem),
        posix: super::posix::check_posix(raw, problem),
        mail: super::mail::check_mail(raw, folder, problem),
        people,
        grants,
        servers: check_servers(raw, problem),
        quotas: super::quotas::check_quotas(raw, problem),
        culling: super::cull::check_cull(raw, problem),
        profiles,
        environments,
        course_groups: super::courses::check_groups(raw, problem),
        spawner: check_spawner(raw, folder, problem),
        exchange: super::exchange::check_exchange(raw, folder, problem),
        log: raw.log.clone(),
        metrics_prefix: check_metrics_prefix(raw, problem),
        events: super::events::check_events(&raw.events, folder, problem),
        site: super::site::check_site(raw, folder, &theme.languages.tags(), &time_zone, problem),
        time_zone,
        theme,
    }
}

fn check_metrics_prefix(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> String {
    let prefix = &raw.metrics_prefix.0;
    let is_good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    if !prefix.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        || !prefix.bytes().all(is_good)
        || prefix.len() > 60
    {
        problem(
            "metrics_prefix",
            format!(
                "{prefix:?} can't begin the name of a metric: letters, digits and `_`, such as `jupyterhub`"
            ),
        );
    }
    prefix.clone()
}

fn check_time_zone(name: Option<&str>, problem: &mut dyn FnMut(&str, String)) -> TimeZone {
    let Some(name) = name else {
        return TimeZone::system();
    };
    TimeZone::get(name).unwrap_or_else(|_| {
        let shown: String = name.chars().take(40).collect();
        problem(
            "time_zone",
            format!("this machine knows no zone {shown:?}; write a name such as `Europe/Berlin` or `UTC` (they are in /usr/share/zoneinfo, of the package tzdata)"),
        );
        TimeZone::UTC
    })
}

fn check_subdomains(
    raw: &RawConfig,
    public_url: Option<&Url>,
    listen: SocketAddr,
    problem: &mut dyn FnMut(&str, String),
) {
    if raw.subdomains != Some(true) {
        return;
    }
    match public_url {
        // What is wrong with it has been said.
        None if raw.public_url.is_some() || listen.ip().is_loopback() => {}
        None => problem(
            "subdomains",
            "hosts below which host? `public_url` must be set to the address people type".into(),
        ),
        Some(url) if url.domain().is_none() => problem(
            "subdomains",
            format!("there are no names below a number: `public_url` is {url}"),
        ),
        Some(_) => {}
    }
}

fn check_public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("{text:?} is not a web address such as `https://jupyter.example.edu` ({error})")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{text:?} must start with `https://` or `http://`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a web address here has no user and no password".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} must end after the path"));
    }
    // Browsers and the address that is shown have the slash.
    let base = BasePath::parse(url.path()).map_err(|error| error.to_string())?;
    let mut url = url;
    url.set_path(base.as_str());
    Ok(url)
}

/// Below which path all of it is: what `base_url` says, else the path of `public_url`.
fn check_base(
    raw: &RawConfig,
    public_url: Option<&Url>,
    problem: &mut dyn FnMut(&str, String),
) -> BasePath {
    let of_public = public_url.and_then(|url| BasePath::parse(url.path()).ok());
    let Some(text) = &raw.base_url else {
        return of_public.unwrap_or_default();
    };
    let said = match BasePath::parse(text) {
        Ok(said) => said,
        Err(error) => {
            problem("base_url", error.to_string());
            return of_public.unwrap_or_default();
        }
    };
    if let (Some(of_public), Some(url)) = (&of_public, public_url)
        && *of_public != said
    {
        let message = format!(
            "{said} is not the path of `public_url`, {url}: people would look in the wrong place. Leave one of them out, or write the same path"
        );
        problem("base_url", message);
    }
    said
}

fn networks(path: &str, list: &[String], problem: &mut dyn FnMut(&str, String)) -> Vec<Network> {
    let mut networks = Vec::new();
    for (index, text) in list.iter().enumerate() {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(message) => problem(&format!("{path}[{index}]"), message),
        }
    }
    networks
}

fn check_store(raw: &RawConfig, folder: &Path, problem: &mut dyn FnMut(&str, String)) -> Store {
    let database = raw.store.database.as_ref().and_then(|from| {
        let secret = from
            .resolve(folder)
            .map_err(|message| problem("store.database", message))
            .ok()?;
        let known = ["postgres://", "postgresql://", "sqlite:"];
        if !known
            .iter()
            .any(|scheme| secret.expose().starts_with(scheme))
        {
            problem(
                "store.database",
                format!("what `{from}` holds does not start with `postgres://`"),
            );
            return None;
        }
        Some(secret)
    });
    let blobs = raw.store.blobs.as_ref().and_then(|text| {
        if text.trim().is_empty() || text.contains("://") {
            problem("store.blobs", format!("{text:?} is not a folder"));
            return None;
        }
        Some(folder.join(text))
    });
    let key = raw.store.key.as_ref().and_then(|from| {
        from.resolve_bytes(folder)
            .and_then(|bytes| {
                key_digits(&bytes).ok_or_else(|| {
                    format!("what `{from}` holds is no key: 64 hexadecimal digits, or the 32 bytes of a `keys/master`")
                })
            })
            .map_err(|message| problem("store.key", message))
            .ok()
    });
    Store {
        database,
        blobs,
        key,
    }
}

/// A key as digits, from digits or from its bare bytes.
fn key_digits(bytes: &[u8]) -> Option<Secret> {
    if bytes.len() == KEY_LEN {
        return Some(Secret::new(data_encoding::HEXLOWER.encode(bytes)));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let key = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .ok()?;
    (key.len() == KEY_LEN).then(|| Secret::new(data_encoding::HEXLOWER.encode(&key)))
}

fn check_hub(raw: &RawConfig, base: &BasePath, problem: &mut dyn FnMut(&str, String)) -> Hub {
    let listen = raw.hub.listen.parse().unwrap_or_else(|_| {
        problem(
            "hub.listen",
            format!(
                "{:?} is not an address with a port, such as `127.0.0.1:8081` or `[::]:8081`",
                raw.hub.listen
            ),
        );
        SocketAddr::from(([127, 0, 0, 1], 8081))
    });
    let api = base.at("/hub/api");
    let api_url = raw.hub.api_url.as_deref().and_then(|text| {
        let is_good = Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.path().trim_end_matches('/').ends_with(&api)
                && url.username().is_empty()
                && url.query().is_none()
        });
        if !is_good {
            problem(
                "hub.api_url",
                format!(
                    "{text:?} is not the address of the API, such as `http://10.0.0.5:8000{api}`"
                ),
            );
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    });
    Hub { listen, api_url }
}

fn check_proxy_secret(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Option<Secret> {
    let secret = raw.proxy.secret.as_ref()?.resolve(folder);
    let secret = secret
        .map_err(|message| problem("proxy.secret", message))
        .ok()?;
    if let Err(message) = check_shared_secret(&secret) {
        problem("proxy.secret", message);
        return None;
    }
    Some(secret)
}

/// What hubs and proxies share stands in a header and must not be guessed.
pub fn check_shared_secret(secret: &Secret) -> Result<(), String> {
    let text = secret.expose();
    if text.len() < 16 || text.len() > 512 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the secret of the proxies has from 16 to 512 letters, digits and signs, without blanks; `openssl rand -hex 32` makes a good one".into());
    }
    Ok(())
}

fn check_spawner(raw: &RawConfig, folder: &Path, problem: &mut dyn FnMut(&str, String)) -> Spawner {
    let homes = raw.spawner.homes.as_ref().and_then(|text| {
        if text.trim().is_empty() {
            problem("spawner.homes", "the name of the folder is empty".into());
            return None;
        }
        std::path::absolute(folder.join(text)).ok()
    });
    Spawner {
        kind: raw.spawner.kind,
        accounts: raw.spawner.accounts,
        homes,
    }
}

pub(super) fn names(
    path: &str,
    list: &[String],
    problem: &mut dyn FnMut(&str, String),
) -> BTreeSet<UserName> {
    let mut names = BTreeSet::new();
    for (index, text) in list.iter().enumerate() {
        match UserName::parse(text) {
            Ok(name) => {
                names.insert(name);
            }
            Err(error) => problem(&format!("{path}[{index}]"), format!("{text:?}: {error}")),
        }
    }
    names
}

fn check_servers(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> Servers {
    let servers = &raw.servers;
    let mut must = |good: bool, path: &str, message: String| {
        if !good {
            problem(path, message);
        }
    };
    let command = servers.command.as_deref();
    must(
        command.is_none_or(|words| words.first().is_some_and(|word| !word.is_empty())),
        "servers.command",
        "the command is empty".into(),
    );
    let opens = &servers.opens;
    must(
        opens.starts_with('/') && !opens.starts_with("//"),
        "servers.opens",
        format!(
            "a page of the server starts with one `/`, such as `/lab` or `/tree`; found {opens:?}"
        ),
    );
    for (path, span, besides) in [
        ("servers.start_timeout", servers.start_timeout, ""),
        (
            "servers.slow_after",
            servers.slow_after,
            "; `20s` is long for a server that is well",
        ),
    ] {
        must(
            (1..=3600).contains(&span.0.as_secs()),
            path,
            format!("a time from `1s` to `1h` is expected, found `{span}`{besides}"),
        );
    }
    for (path, number, besides) in [
        ("servers.per_person", servers.per_person, ""),
        ("servers.concurrent_starts", servers.concurrent_starts, ""),
        (
            "servers.concurrent_starts_per_person",
            servers.concurrent_starts_per_person,
            "; a small part of `concurrent_starts` keeps it fair",
        ),
    ] {
        must(
            (1..=1000).contains(&number),
            path,
            format!("a number from 1 to 1000 is expected, found {number}{besides}"),
        );
    }
    if let Some(limit) = servers.memory.limit {
        must(
            limit.0 >= 128 << 20,
            "servers.memory.limit",
            format!("a notebook server does not start with less than `128Mi`, found `{limit}`"),
        );
    }
    if let Some(limit) = servers.cpu.limit {
        must(
            limit.is_finite() && (0.01..=4096.0).contains(&limit),
            "servers.cpu.limit",
            format!("a number of cores from 0.01 to 4096 is expected, found {limit}"),
        );
    }
    if let Some(processes) = servers.processes {
        must(
            processes >= 16,
            "servers.processes",
            format!("a notebook server needs at least 16 processes and threads, found {processes}"),
        );
    }
    for (key, limit) in [("home", servers.disk.home), ("file", servers.disk.file)] {
        if let Some(Err(message)) = limit.map(|limit| rules::disk(limit.0)) {
            must(false, &format!("servers.disk.{key}"), message);
        }
    }
    for (name, value) in &servers.env {
        let path = format!("servers.env.{name}");
        must(
            !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'),
            &path,
            "not usable as an environment variable".into(),
        );
        must(
            !name.starts_with("JUPYTERHUB_"),
            &path,
            "`JUPYTERHUB_…` variables are set by Lyceum itself".into(),
        );
    }
    Servers {
        command: servers.command.clone(),
        opens: servers.opens.clone(),
        start_timeout: servers.start_timeout.0,
        per_person: servers.per_person,
        concurrent_starts: servers.concurrent_starts,
        concurrent_starts_per_person: servers.concurrent_starts_per_person,
        slow_after: servers.slow_after.0,
        resources: Resources {
            memory_limit: servers.memory.limit.map(|limit| limit.0),
            cpu_limit: servers.cpu.limit,
            processes: servers.processes,
            home_size: servers.disk.home.map(|limit| limit.0),
            file_size: servers.disk.file.map(|limit| limit.0),
            ..Resources::default()
        },
        shared_in_browsers: servers.shared_in_browsers,
        env: servers.env.clone(),
    }
}
