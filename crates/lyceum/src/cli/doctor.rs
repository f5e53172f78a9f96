//! `lyceum doctor`: looks for what would keep Lyceum from running, and says what to do.
//!
//! A check is a function `fn(&Doctor) -> Check`; parts add theirs to [`CHECKS`].

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use clap::Args;
use serde::Serialize;

use super::{ConfigArgs, DataArgs, ListenArgs, Outcome, print, print_json};
use crate::config::Loaded;
use crate::data::{self, Found, ROOM_FOR_JUPYTER};
use crate::failure::Failure;
use crate::launch::Accounts;
use crate::{compose, config, jupyter, serve};

mod doors;

/// Look for what would keep Lyceum from running.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3 when something must be mended. Nothing is changed.")]
pub struct Doctor {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Say more where there is more to say.
    #[arg(long, short)]
    pub verbose: bool,
    /// Ask no other machine: ways in and the mail server are not looked at.
    #[arg(long)]
    pub offline: bool,
    /// Print JSON, for machines.
    #[arg(long)]
    pub json: bool,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub result: CheckResult,
    /// One short sentence.
    pub message: String,
    pub hint: Option<String>,
    /// What is worth knowing besides, for `--verbose` and for machines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    Good,
    /// Must be mended.
    Problem,
    /// Something else stands before it, so nothing is known of it.
    NotLookedAt,
}

impl CheckResult {
    /// All of one width.
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good   ",
            Self::Problem => "PROBLEM",
            Self::NotLookedAt => "skipped",
        }
    }
}

impl Check {
    pub(crate) fn of(name: &'static str, result: Result<String, Failure>) -> Self {
        let (result, message, hint) = match result {
            Ok(message) => (CheckResult::Good, message, None),
            Err(failure) => (CheckResult::Problem, failure.message, failure.hint),
        };
        Self {
            name,
            result,
            message,
            hint,
            details: Vec::new(),
        }
    }
}

/// Why courses and limits are not looked at.
const NO_DATA: &str = "the data folder is not there yet";

/// A check that can't be made for now.
fn skipped(name: &'static str, why: &str) -> Check {
    Check {
        result: CheckResult::NotLookedAt,
        ..Check::of(name, Ok(format!("not looked at: {why}")))
    }
}

/// What is wrong in the configuration is told once, by [`check_config`].
fn without_config(name: &'static str) -> Check {
    skipped(name, "the configuration has problems")
}

/// Every check, in the order people read them.
pub const CHECKS: &[fn(&Doctor) -> Check] = &[
    check_config,
    check_templates,
    check_data,
    check_courses,
    check_disk,
    check_python,
    check_port,
    check_hosts,
    check_base,
    check_accounts,
    check_limits,
    check_sign_in,
    check_mail,
];

fn check_config(doctor: &Doctor) -> Check {
    let path = config::locate(doctor.config.config.as_deref());
    let loaded = match super::config::load(path.as_deref()) {
        Ok(loaded) => loaded,
        Err(failure) => return Check::of("config", Err(failure)),
    };
    let said = match path {
        Some(_) => format!("{} is good", loaded.file),
        None => "no lyceum.yaml, the defaults hold".into(),
    };
    let notes = config::of_exchange(&loaded.config.grants).into_iter();
    let listen = doctor.listen.address(loaded.config.listen);
    let notes: Vec<String> = (loaded.config.notes_of_sign_in(listen).into_iter())
        .chain(notes)
        .map(|(key, words)| format!("{key}: {words}"))
        .collect();
    Check {
        hint: (!notes.is_empty()).then(|| notes.join("\n")),
        ..Check::of("config", Ok(said))
    }
}

fn check_templates(doctor: &Doctor) -> Check {
    let Some(loaded) = doctor.configuration() else {
        return without_config("templates");
    };
    let said = loaded.config.theme.check().and_then(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        match (lines.is_empty(), loaded.config.theme.has_templates()) {
            (true, true) => Ok("the templates of the site are good".into()),
            (true, false) => Ok("none of the site's own".into()),
            (false, _) => Err(Failure::new(lines.join("\n"))
                .hint("pages made from these are shown as Lyceum has them")),
        }
    });
    Check::of("templates", said)
}

fn check_data(doctor: &Doctor) -> Check {
    let root = &doctor.data.data;
    // Not the lock: doctor must be usable beside a running Lyceum.
    let said = data::look(root).map(|found| match found {
        Found::There => format!("{} is private and writable", root.display()),
        Found::ToBeMade => format!("{} is not there yet and will be made", root.display()),
    });
    Check::of("data", said)
}

/// What is wrong in course files, as the page of the configuration tells it.
fn check_courses(doctor: &Doctor) -> Check {
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config("courses");
    };
    let Ok(layout) = data::Layout::existing(&doctor.data.data) else {
        return skipped("courses", NO_DATA);
    };
    // It is made at each start, so somebody has taken it away since.
    if data::running_on(layout.root()).is_some() && !layout.courses().exists() {
        let gone = format!("the course folder {} is gone", layout.courses().display());
        let hint = "put it back; the running Lyceum keeps the last good version of each course file until then";
        return Check::of("courses", Err(Failure::new(gone).hint(hint)));
    }
    let said = compose::shelf(&layout, &config).and_then(|shelf| {
        let faulty = shelf.faulty();
        let problems = faulty.iter().flat_map(|file| &file.problems);
        let lines: Vec<String> = problems.map(ToString::to_string).collect();
        match (lines.is_empty(), shelf.ids().len()) {
            (true, 0) => Ok("there are no course files".into()),
            (true, 1) => Ok("the course file is good".into()),
            (true, many) => Ok(format!("{many} course files are good")),
            (false, _) => Err(Failure::new(lines.join("\n")).hint(
                "a running Lyceum keeps the last good version of each; the page Configuration of administrators says which",
            )),
        }
    });
    Check::of("courses", said)
}

fn check_disk(doctor: &Doctor) -> Check {
    let root = std::path::absolute(&doctor.data.data).unwrap_or_else(|_| doctor.data.data.clone());
    let ready = jupyter::find(&root.join("jupyter")).is_some();
    let said = data::free_space(&root).and_then(|free| {
        let text = format!("{:.1} GB free for {}", free as f64 / 1e9, root.display());
        if free < ROOM_FOR_JUPYTER && !ready {
            return Err(Failure::new(text).hint("the Jupyter environment needs 2 GB"));
        }
        Ok(text)
    });
    Check::of("disk", said)
}

fn check_python(doctor: &Doctor) -> Check {
    let root = std::path::absolute(&doctor.data.data).unwrap_or_else(|_| doctor.data.data.clone());
    let said = match jupyter::find(&root.join("jupyter")) {
        Some(ready) => Ok(format!(
            "the Jupyter environment is prepared ({})",
            ready.version
        )),
        None => jupyter::Python::find()
            .map(|python| format!("Python {} at {}", python.version, python.program.display())),
    };
    Check::of("python", said)
}

fn check_port(doctor: &Doctor) -> Check {
    let Some(loaded) = doctor.configuration() else {
        return without_config("port");
    };
    if let Some(process) = data::running_on(&doctor.data.data) {
        let why = format!("Lyceum runs on this data folder (process {process})");
        return skipped("port", &why);
    }
    let listen = doctor.listen.address(loaded.config.listen);
    let from = loaded.config.tls.and_then(|tls| tls.redirect_from);
    let free = |address: SocketAddr| {
        TcpListener::bind(address)
            .map(|_| format!("{address} is free"))
            .map_err(|error| crate::public::explain_bind(address, &error))
    };
    let said = free(listen).and_then(|said| match from {
        Some(from) => free(from).map(|other| format!("{said}, {other}")),
        None => Ok(said),
    });
    Check::of("port", said)
}

/// Whether a page of somebody's server could act upon the hub.
fn check_hosts(doctor: &Doctor) -> Check {
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config("hosts");
    };
    let listen = doctor.listen.address(config.listen);
    let origins = compose::origins(&config, Some(listen));
    let Some(domain) = origins.domain() else {
        let said = "the hub and all servers share one host".into();
        if let Some(words) = config.shared_host() {
            return Check::of("hosts", Err(Failure::new(format!("`subdomains` {words}"))));
        }
        return Check {
            hint: Some("a page of a server is a page of the hub's host then, so browsers open their owner's servers only; `subdomains: true` gives each person a host".into()),
            ..Check::of("hosts", Ok(said))
        };
    };
    let one = format!("lyceum-doctor.{domain}");
    // Browsers know these by themselves.
    let known = domain == "localhost"
        || domain.ends_with(".localhost")
        || (one.as_str(), 0).to_socket_addrs().is_ok();
    Check::of(
        "hosts",
        match known {
            true => Ok(format!(
                "each person's servers have a host of their own below {domain}"
            )),
            false => Err(Failure::new(format!(
                "the DNS knows no {one}, so nobody reaches servers below {domain}"
            ))
            .hint(format!(
                "add a record for *.{domain}, or set `subdomains: false`"
            ))),
        },
    )
}

/// Below which path people find it, and what of the configuration lies beside that path.
fn check_base(doctor: &Doctor) -> Check {
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config("base");
    };
    let base = &config.base;
    if base.is_root() {
        return Check::of("base", Ok("everything of the host is Lyceum's".into()));
    }
    let services = config.grants.services.iter();
    let beside = services.filter_map(|(name, service)| {
        let path = service.redirect_uri.as_deref()?;
        let is_beside = path.starts_with('/') && base.within(path).is_none();
        is_beside.then(|| format!("`oauth_redirect_uri` of the service {name} is {path}"))
    });
    let beside: Vec<String> = beside.collect();
    if !beside.is_empty() {
        let said = format!("{}, which is not below {base}", beside.join(", "));
        let hint = format!(
            "write the whole path, such as {}",
            base.at("/services/NAME/oauth_callback")
        );
        return Check::of("base", Err(Failure::new(said).hint(hint)));
    }
    Check {
        hint: Some("a web server in front must pass the path on as it is; servers that run since before it was changed answer at the old one until they are stopped".into()),
        ..Check::of("base", Ok(format!("Lyceum is below {base}, the rest of the host is for others")))
    }
}

/// Whether servers could run under the accounts that they shall run under.
fn check_accounts(doctor: &Doctor) -> Check {
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config("accounts");
    };
    // As which it was started, `--demo` or not, is its own affair.
    if let Some(process) = data::running_on(&doctor.data.data) {
        let why = format!("Lyceum runs on this data folder (process {process})");
        return skipped("accounts", &why);
    }
    let root = std::path::absolute(&doctor.data.data).unwrap_or_else(|_| doctor.data.data.clone());
    match serve::look_at_accounts(&config, &root) {
        Ok((Accounts::Shared, _)) => Check::of(
            "accounts",
            Ok("all servers run under the account of Lyceum itself".into()),
        ),
        Ok((Accounts::System, homes)) => Check {
            hint: Some("accounts can't reach a Jupyter environment in the data folder: give `up` one that all may enter with --jupyter-env".into()),
            ..Check::of(
                "accounts",
                Ok(format!(
                    "servers run under people's own system accounts, which reach {}",
                    homes.display()
                )),
            )
        },
        Err(failure) => Check::of("accounts", Err(failure)),
    }
}

/// Which limits servers get here, and why not better ones.
fn check_limits(doctor: &Doctor) -> Check {
    let Some(loaded) = doctor.configuration() else {
        return without_config("limits");
    };
    let Ok(layout) = data::Layout::existing(&doctor.data.data) else {
        return skipped("limits", NO_DATA);
    };
    let spawner = compose::local_spawner(&compose::Program::this(), &loaded.config, &layout);
    match spawner.map(|spawner| spawner.capabilities()) {
        Ok(report) => Check {
            details: report.notes.clone(),
            ..Check::of("limits", Ok(report.to_string()))
        },
        Err(failure) => Check::of("limits", Err(failure)),
    }
}

/// Whether those who say who people are can be asked.
fn check_sign_in(doctor: &Doctor) -> Check {
    const NAME: &str = "sign-in";
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config(NAME);
    };
    let ways = doors::asked(&config);
    if ways.is_empty() {
        return Check::of(NAME, Ok("nobody else is asked who people are".into()));
    }
    if doctor.offline {
        return skipped(NAME, "--offline");
    }
    match super::block_on(async { Ok(doors::look(&ways).await) }) {
        Ok(looks) => {
            let bad: Vec<&doors::Look> = looks.iter().filter(|look| look.hint.is_some()).collect();
            let lines = |looks: &[&doors::Look]| {
                let lines: Vec<&str> = looks.iter().map(|look| look.message.as_str()).collect();
                lines.join("\n")
            };
            let mut hints: Vec<&str> = bad.iter().filter_map(|look| look.hint).collect();
            hints.dedup();
            Check::of(
                NAME,
                match bad.is_empty() {
                    true => Ok(lines(&looks.iter().collect::<Vec<_>>())),
                    false => Err(Failure::new(lines(&bad)).hint(hints.join("\n"))),
                },
            )
        }
        Err(failure) => Check::of(NAME, Err(failure)),
    }
}

/// Whether letters would be taken.
fn check_mail(doctor: &Doctor) -> Check {
    let Some(config) = doctor.configuration().map(|loaded| loaded.config) else {
        return without_config("mail");
    };
    let Some(mail) = config.mail else {
        return Check::of("mail", Ok("no mail is sent".into()));
    };
    if doctor.offline {
        return skipped("mail", "--offline");
    }
    let server = format!("{}:{}", mail.server, mail.port);
    let said = super::block_on(async {
        lyceum_hub::mail::look(&mail, doors::LIMIT).await.map_err(|error| {
            let why = lyceum_model::causes::told(error.as_ref());
            Failure::new(format!("{server} takes no letters: {why}")).hint(
                "look at `mail` in the configuration, and whether this machine reaches the server; `lyceum mail test ADDRESS` sends a letter",
            )
        })
    });
    let how = match mail.credentials {
        Some(_) => ", and takes name and password",
        None => "",
    };
    Check::of("mail", said.map(|()| format!("{server} answers{how}")))
}

impl Doctor {
    /// None when it has problems.
    fn configuration(&self) -> Option<Loaded> {
        let path = config::locate(self.config.config.as_deref());
        config::load(path.as_deref()).ok()
    }

    pub(super) fn run(&self) -> Result<Outcome, Failure> {
        let checks: Vec<Check> = CHECKS.iter().map(|check| check(self)).collect();
        let problems = checks
            .iter()
            .filter(|check| check.result == CheckResult::Problem)
            .count();
        if self.json {
            print_json(&serde_json::json!({ "checks": checks, "problems": problems }))?;
        } else {
            for check in &checks {
                let word = check.result.word();
                let message = check.message.replace('\n', &format!("\n{:19}", ""));
                print(&format!("{word}  {:8}  {message}\n", check.name))?;
                let details = check.details.iter().filter(|_| self.verbose);
                let hint = check.hint.iter().flat_map(|hint| hint.lines());
                for line in hint.chain(details.map(String::as_str)) {
                    print(&format!("{:19}{line}\n", ""))?;
                }
            }
            if !self.verbose && checks.iter().any(|check| !check.details.is_empty()) {
                print("--verbose says why limits are not better\n")?;
            }
        }
        Ok(if problems == 0 {
            Outcome::Good
        } else {
            Outcome::Problems
        })
    }
}
