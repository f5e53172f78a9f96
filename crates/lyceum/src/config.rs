//! One `lyceum.yaml`: read strictly, checked wholly, then trusted.
//!
//! Two phases: text becomes [`RawConfig`] (`raw.rs`, the manual), and [`RawConfig`] becomes
//! [`Config`] (`check.rs`: addresses, names, secrets). All mistakes are told at once, each with
//! file, line, column and the nearest known word.
//!
//! `lyceum-written` reads YAML with places, makes structs of it and has amounts with their units;
//! `secret_ref.rs` is another type people write, `tls.rs`, `proxy.rs`, `events.rs` `grants.rs` (roles, groups, services), `profiles.rs`, `theme.rs`, `languages.rs`, `sign_in.rs` with `ldap.rs`, `lti.rs`, `lti11.rs`, `second_factor.rs`, `posix.rs`, `mail.rs`, and `site.rs` (links, announcements, maintenance) are sections, `show.rs` is for `lyceum config show|schema|example`.
//! Reading again while running is [`crate::reload`].
//!
//! A new key: a field in `raw.rs` with its manual, its check in `check.rs`, `cargo run -- config
//! example > config.example.yaml`. A key that does nothing yet does not stand here.

mod check;
mod courses;
mod cull;
mod dummy;
mod events;
pub mod exchange;
mod grants;
mod header;
mod languages;
mod ldap;
mod lti;
mod lti11;
mod mail;
mod notes;
mod oauth2;
mod oidc;
mod pam;
mod people;
mod posix;
mod profiles;
mod proxy;
mod quotas;
mod raw;
mod refresh;
mod second_factor;
mod secret_ref;
mod show;
mod sign_in;
mod site;
pub mod theme;
mod tls;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use self::check::{
    Config, Front, Hub, Servers, Spawner, Store, check_shared_secret, https_port,
};
pub use self::languages::SiteLanguages;
pub use self::notes::of_exchange;
pub use self::people::People;
pub use self::proxy::ProxySettings;
pub use self::raw::{LogFormat, LogLevel, RawConfig, RawLog, SpawnerAccounts, SpawnerKind};
pub use self::secret_ref::SecretRef;
pub use self::show::{Shown, example, schema};
pub use self::sign_in::{NAMES_OF_THE_MACHINE, SignInMethod};
pub use self::site::{SiteWords, moment, told};
pub use self::theme::Look;
pub use self::tls::Tls;
pub use lyceum_written::{Bytes, Place, Problem, Problems, Span};
use lyceum_written::{Node, tree};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "lyceum.yaml";

/// A configuration that passed, with what is needed to explain it.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub raw: RawConfig,
    /// The name of the file as given; `default` without one.
    pub file: String,
    tree: Option<Node>,
}

/// The file to read: the named one, else `lyceum.yaml` here if there is one.
pub fn locate(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.into()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    }
}

/// Reads and checks a file; without one the defaults hold.
pub fn load(path: Option<&Path>) -> Result<Loaded, Problems> {
    match path {
        Some(path) => parse(
            &path.display().to_string(),
            &text_of(path)?,
            folder_of(path),
        ),
        None => parse("default", "", Path::new(".")),
    }
}

/// Of a file what `lyceum proxy` takes from it. Its drain is longer than that of `lyceum up`, where
/// somebody waits at the terminal.
pub fn load_front(path: &Path) -> Result<Front, Problems> {
    let file = path.display().to_string();
    let text = text_of(path)?;
    let folder = folder_of(path);
    let read = lyceum_written::read(&file, &text, |raw: &RawConfig, _, problem| {
        check::check_front(raw, folder, problem)
    })?;
    let mut front = read.checked;
    if read.tree.place_of("proxy.limits.drain").is_none() {
        front.proxy.limits.drain = lyceum_proxy::Limits::default().drain;
    }
    Ok(front)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

fn text_of(path: &Path) -> Result<String, Problems> {
    let file = path.display().to_string();
    let problem = |message: String| {
        Problems(vec![Problem {
            file: file.clone(),
            place: None,
            message,
        }])
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|from| from.take(tree::MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| problem(format!("can't be read: {error}")))?;
    if bytes.len() as u64 > tree::MAX_BYTES {
        return Err(problem(
            "larger than 1 MiB, which no configuration is".into(),
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        problem(format!("not UTF-8 text (line {})", line + 1))
    })
}

/// Reads and checks a text; `folder` is what its relative paths start from.
pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Loaded, Problems> {
    let read = lyceum_written::read(file, text, |raw: &RawConfig, _, problem| {
        check::check(raw, folder, problem)
    })?;
    Ok(Loaded {
        config: read.checked,
        raw: read.written,
        file: file.to_owned(),
        tree: Some(read.tree),
    })
}

impl Loaded {
    /// Where a value stands, `lyceum.yaml:7`; none when it is a default.
    pub fn place(&self, path: &str) -> Option<String> {
        let place = self.tree.as_ref()?.place_of(path)?;
        Some(format!("{}:{}", self.file, place.line))
    }
}
