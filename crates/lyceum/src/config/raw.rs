//! The configuration as it is written. The comments here are the manual: they become the JSON
//! Schema and `config.example.yaml`. What a value must be beyond its type is in [`super::check`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cull::RawCull;
use super::events::RawEvents;
use super::exchange::RawExchange;
use super::grants::{RawCustomScope, RawGroup, RawRole, RawService};
use super::mail::RawMail;
use super::posix::RawPosix;
use super::profiles::{RawProfile, a_list_of_profiles};
use super::proxy::RawProxy;
use super::quotas::RawQuota;
use super::second_factor::RawSecondFactor;
use super::secret_ref::SecretRef;
use super::sign_in::{RawLocal, RawSignIn};
use super::site::{RawAnnouncement, RawMaintenance, RawSite};
use super::theme::RawTheme;
use lyceum_written::environment::{RawDisk, RawEnvironment};
use lyceum_written::units::{Bytes, Span};

/// The configuration of Lyceum. Every key can be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The address people type, `https://jupyter.example.edu`; with a path, `https://example.edu/jupyter/`,
    /// where the rest of the host is for something else. Leave out on a laptop. Takes effect at the next
    /// start.
    pub public_url: Option<String>,
    /// The path below which everything is, `/jupyter/`. Left out: the path of `public_url`, else `/`.
    /// Takes effect at the next start; stop the servers that run before it is changed, for they know
    /// the path they were started with.
    pub base_url: Option<String>,
    /// `true`: each person's servers have a host of their own, `ada.jupyter.example.edu`, so that their
    /// pages can't act upon the hub or upon somebody else's. The DNS must know all names below, and a
    /// certificate must be for `*.jupyter.example.edu` too. Left out: `true` on `localhost`, else `false`.
    /// Takes effect at the next start.
    pub subdomains: Option<bool>,
    /// Address and port to listen on. Takes effect at the next start.
    pub listen: Listen,
    /// Speak TLS by oneself, on `listen`. Takes effect at the next start; the certificates' files
    /// are read again whenever they change.
    pub tls: RawTls,
    /// Networks of web servers and load balancers in front of Lyceum, such as `10.0.0.0/8`. Only
    /// what they say about clients (`X-Forwarded-For`, `X-Forwarded-Proto` and the like) is
    /// believed. Takes effect at the next start.
    pub trusted_proxies: Vec<String>,
    /// Networks of load balancers that begin each connection with a PROXY header, version 1 or 2.
    /// From there it must come; from elsewhere it is not understood. Takes effect at the next start.
    pub proxy_protocol: Vec<String>,
    /// Where things are kept. Takes effect at the next start.
    pub store: RawStore,
    /// The hub as a process of its own (`lyceum serve`). Takes effect at the next start.
    pub hub: RawHub,
    /// The proxy of `lyceum up` and of `lyceum proxy --config FILE`, and what hubs and proxies share.
    pub proxy: RawProxy,
    /// The ways to sign in, in the order of the log-in page.
    pub sign_in: SignInList,
    /// A second step behind passwords: the code of an app.
    pub second_factor: RawSecondFactor,
    /// Numbers by which a file system knows people.
    pub posix: RawPosix,
    /// Mail to people, by SMTP: links to new passwords, and to accounts.
    pub mail: RawMail,
    /// Who may do what.
    pub people: RawPeople,
    /// Groups and who is in them, each by its name: `staff: [ada]` or
    /// `staff: {users: [ada], properties: {room: 12}}`. People are added; to take somebody out is done
    /// by the API.
    pub load_groups: BTreeMap<String, RawGroup>,
    /// Roles, each with `name` and what it is: `description`, `scopes`, and who has it: `users`,
    /// `groups`, `services`. The default roles `user`, `server` and `token` can be given other scopes.
    pub load_roles: Vec<RawRole>,
    /// Scopes of services' own, each with a `description` and the `subscopes` it includes:
    /// `custom:grades:write`.
    pub custom_scopes: BTreeMap<String, RawCustomScope>,
    /// Programs beside the hub, each with `name`, `url`, `api_token` and more. They run by
    /// themselves; the proxy leads `/services/NAME/` there.
    pub services: Vec<RawService>,
    /// How servers and services learn who is in front of them.
    pub oauth: RawOAuth,
    /// What people start.
    pub servers: RawServers,
    /// What servers can be made of, each by its name: `python: {image: …, memory: {limit: 5G}}`. What is
    /// left out is as `servers` says.
    pub environments: BTreeMap<String, RawEnvironment>,
    /// What people choose from when they start a server, each with `title` and what it is: `use`, `for`,
    /// and KubeSpawner's keys. Left out: there is nothing to choose.
    #[serde(deserialize_with = "a_list_of_profiles")]
    pub profiles: Vec<RawProfile>,
    /// What holds for every course.
    pub courses: RawCourses,
    /// What servers run on.
    pub spawner: RawSpawner,
    /// What people hand in: how much of it is kept, and for how long.
    pub exchange: RawExchange,
    /// The time zone of what is written with a weekday or a date and no zone, here and in course files:
    /// `Europe/Berlin`. Left out: the machine's.
    pub time_zone: Option<String>,
    /// What is written to standard error.
    pub log: RawLog,
    /// What stands before the names of those metrics that JupyterHub has too. Takes effect at the next
    /// start.
    pub metrics_prefix: MetricsPrefix,
    /// What is written down of what people and programs did, for whoever counts it.
    pub events: RawEvents,
    /// How the pages look.
    pub theme: RawTheme,
    /// A folder with languages for the pages besides English and German, each a file such as `fr.txt`;
    /// `lyceum language template fr` prints one to fill in.
    pub languages: Option<PathBuf>,
    /// Where people find help and what they should know.
    pub site: RawSite,
    /// Lines above the pages, each with `text`, and when and for whom it is shown.
    pub announcements: Vec<RawAnnouncement>,
    /// A time in which only some may come in and start servers. What runs goes on.
    pub maintenance: RawMaintenance,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCourses {
    /// Groups that are people of every course besides those in its file, by their names with `{course}` in
    /// the place of the course's id: `{teachers: ['formgrade-{course}'], students: ['nbgrader-{course}']}`.
    pub groups: RawCourseGroups,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCourseGroups {
    /// They own the course.
    pub teachers: Vec<String>,
    /// They grade.
    pub graders: Vec<String>,
    /// They take it.
    pub students: Vec<String>,
    /// They see what students see, and hand nothing in.
    pub observers: Vec<String>,
}

/// `127.0.0.1:8000`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Listen(pub String);

impl Default for Listen {
    fn default() -> Self {
        Self("127.0.0.1:8000".into())
    }
}

/// `jupyterhub`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct MetricsPrefix(pub String);

impl Default for MetricsPrefix {
    fn default() -> Self {
        Self(lyceum_hub::metrics::PREFIX.into())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTls {
    /// Certificates, each with `certificate` (with its chain) and `key`, files in PEM form. Whoever
    /// asks for a name gets the one for it; anybody else the first.
    pub certificates: Vec<RawCertificate>,
    /// Get a certificate from a certificate authority, and renew it.
    pub acme: RawAcme,
    /// A second address and port, `0.0.0.0:80`, that sends browsers on to `https`, and where
    /// certificate authorities ask.
    pub redirect_from: Option<String>,
    /// Ask browsers for certificates.
    pub clients: RawClientCertificates,
    /// The oldest version that is spoken, `tls1.2` or `tls1.3`.
    pub oldest: RawTlsVersion,
    /// Tell browsers to come by `https` only, and for how long they shall remember: `180d`.
    pub strict_transport: Option<Span>,
    /// `false`: offer browsers HTTP/1.1 only.
    pub http2: bool,
}

impl Default for RawTls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            acme: RawAcme::default(),
            redirect_from: None,
            clients: RawClientCertificates::default(),
            oldest: RawTlsVersion::default(),
            strict_transport: None,
            http2: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCertificate {
    /// The certificate, then those that lead to its authority.
    pub certificate: String,
    /// Its key, without a pass phrase.
    pub key: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawAcme {
    /// The host names of the certificate. Left out: no certificate is asked for.
    pub names: Vec<String>,
    /// `true`: you have read the authority's terms of service and agree to them.
    pub agree_to_terms: bool,
    /// An address for mail from the authority.
    pub mail: Option<String>,
    /// `http`: the authority fetches a page from port 80. `tls-alpn`: it speaks TLS with port 443.
    pub challenge: RawAcmeChallenge,
    /// The address of the authority's directory. Left out: Let's Encrypt.
    pub directory: Option<String>,
    /// A file with the authority's own root certificate, for one inside an organisation.
    pub directory_authority: Option<String>,
    /// Where the account and the certificate are kept; one folder for all proxies that serve the same
    /// names. Left out: `acme` in the data folder, or in the `--state` of `lyceum proxy`.
    pub folder: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawAcmeChallenge {
    #[default]
    Http,
    TlsAlpn,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawClientCertificates {
    /// A file with the authorities whose certificates count. Left out: none is asked for.
    pub authorities: Option<String>,
    /// `true`: whoever shows none is refused.
    pub required: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RawTlsVersion {
    #[default]
    #[serde(rename = "tls1.2")]
    Tls12,
    #[serde(rename = "tls1.3")]
    Tls13,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawStore {
    /// `env:DATABASE_URL` or `file:PATH`, holding a `postgres://…` address. Left out: SQLite in the data folder.
    pub database: Option<SecretRef>,
    /// A folder for the files people hand in. Left out: `blobs` in the data folder.
    pub blobs: Option<String>,
    /// `file:PATH` or `env:NAME`, holding the master key: 64 hexadecimal digits, or a copy of another
    /// hub's `keys/master`. All hubs of one database have the same. Left out: `keys/master` in the data folder.
    pub key: Option<SecretRef>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawHub {
    /// Address and port that `lyceum serve` listens on, for proxies and for servers. Not for browsers.
    pub listen: String,
    /// Where servers reach the hub's API, `http://10.0.0.5:8000/hub/api`. With several hubs, the address of
    /// a proxy or load balancer before them. Left out: this hub itself.
    pub api_url: Option<String>,
}

impl Default for RawHub {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8081".into(),
            api_url: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SignInList(pub Vec<RawSignIn>);

impl Default for SignInList {
    fn default() -> Self {
        Self(vec![RawSignIn::Local(RawLocal {
            title: "Lyceum".into(),
            password_length: super::sign_in::shortest(),
            sign_up: Default::default(),
        })])
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPeople {
    /// Administrators: names, groups (`group:it`), or files with names (`file:admins.csv`), with the column
    /// where it is not clear (`file:admins.csv#UID`).
    pub admins: Vec<String>,
    /// Nobody but these (and administrators) may sign in. Left out: everyone with an account.
    pub allow: Option<Vec<String>>,
    /// `true`: besides, whoever has an account already, by whatever way in.
    pub existing: bool,
    /// These may not sign in, whatever else is said.
    pub block: Vec<String>,
    /// People who have not come for so long are deleted, `365d`: administrators, whom this file names
    /// and whose server runs excepted. Their files stay. Left out: nobody.
    pub forget_after: Option<Span>,
    /// How long it is kept who signed in, and who did what as an administrator. Left out: `365d`.
    pub log_kept: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawServers {
    /// The program and its arguments. Left out: `jupyterhub-singleuser` of the Jupyter environment.
    pub command: Option<Vec<String>>,
    /// The page a server opens with.
    pub opens: String,
    /// How long a start may take.
    pub start_timeout: Span,
    /// How many servers a person may have at a time.
    pub per_person: u32,
    /// How many servers may run at once, in all; others wait in line. Left out: as many as are wanted.
    pub running: Option<u64>,
    /// Limits for servers that are alike, each with which ones it counts together (`for`:
    /// `[group:staff]`, `profiles`, `courses`; all that are given) and how many of them there may be:
    /// `running`, `starting`. Others of them wait in line and hold up nobody else.
    pub quotas: Vec<RawQuota>,
    /// How many starts may be under way at once; others wait in line.
    pub concurrent_starts: u32,
    /// How many of them may be one person's.
    pub concurrent_starts_per_person: u32,
    /// A start whose server does not answer for so long goes on without counting as under way, so
    /// that what hangs holds up nobody.
    pub slow_after: Span,
    /// When servers end by themselves.
    pub cull: RawCull,
    /// Memory of one server.
    pub memory: RawMemory,
    /// Processor cores of one server.
    pub cpu: RawCpu,
    /// How many processes and threads one server may have.
    pub processes: Option<u64>,
    /// How much one server may write.
    pub disk: RawDisk,
    /// `true`: with `subdomains: false`, too, browsers open servers that were shared with a person. A
    /// page of such a server can then act as her, so it is for sites where all trust each other.
    /// With `subdomains: true` they open them anyway, without that danger.
    pub shared_in_browsers: bool,
    /// Environment variables of every server.
    pub env: BTreeMap<String, String>,
    /// Scopes that a server may ask of whoever comes in, besides knowing her name and groups:
    /// `[read:users!user]`. Whoever is not its owner is asked first, and gives no more than she has.
    pub oauth_client_allowed_scopes: Vec<String>,
}

impl Default for RawServers {
    fn default() -> Self {
        Self {
            command: None,
            opens: "/lab".into(),
            start_timeout: Span(std::time::Duration::from_secs(120)),
            per_person: 3,
            running: None,
            quotas: Vec::new(),
            concurrent_starts: 16,
            concurrent_starts_per_person: 2,
            slow_after: Span(std::time::Duration::from_secs(20)),
            cull: RawCull::default(),
            memory: RawMemory::default(),
            cpu: RawCpu::default(),
            processes: None,
            disk: RawDisk::default(),
            shared_in_browsers: false,
            env: BTreeMap::new(),
            oauth_client_allowed_scopes: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOAuth {
    /// `required`: only clients that prove that a code was meant for them (PKCE), as JupyterHub's
    /// own do since 6.0. `optional`: others too.
    pub pkce: RawPkce,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawPkce {
    #[default]
    Optional,
    Required,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMemory {
    /// At most this much: `2G`.
    pub limit: Option<Bytes>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCpu {
    /// At most so many cores; 0.5 is half a core.
    pub limit: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawSpawner {
    /// `local`: processes on this machine.
    pub kind: SpawnerKind,
    /// As whom servers run. `system`: under the system account of the person's name, which needs
    /// root. `shared`: all under Lyceum's own account. Left out: `system` for root, else `shared`.
    pub accounts: Option<SpawnerAccounts>,
    /// The folder of homes. Left out: `homes` in the data folder.
    pub homes: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpawnerAccounts {
    System,
    Shared,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpawnerKind {
    #[default]
    Local,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLog {
    /// `pretty` for people, `json` for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Pretty,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}
