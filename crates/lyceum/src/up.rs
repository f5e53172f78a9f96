//! `lyceum up`: everything in one process, a hub ([`crate::serve`]) and a proxy.

use lyceum_model::say;
use std::net::{Ipv4Addr, SocketAddr};

use lyceum_store::settings;
use tokio::net::TcpListener;

use crate::compose::Ground;
use crate::demo::{self, Account};
use crate::failure::Failure;
use crate::launch::Accounts;
use crate::progress::{put, say};
use crate::public::Public;
use crate::serve::{self, Doors, Site, Standing};

/// The setting that remembers the hub's own port: servers that run know it and are adopted.
const PORT_SETTING: &str = "internal-port";

/// What the command line has prepared.
pub struct Prepared {
    pub site: Site,
    /// Bound before minutes of preparation, so that a taken port is told at once.
    pub public: Public,
    pub demo: bool,
    pub json: bool,
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(prepared: Prepared) -> Result<(), Failure> {
    let Prepared {
        site,
        public,
        demo,
        json,
    } = prepared;
    crate::open_files::raise();
    let config = site.watch.current();
    let data = site.folder.layout().clone();
    let standing = Standing::open(&site, demo).await?;
    let running = standing.running().await?;
    let adopted = standing.adopted().await?;
    let internal = internal_listener(&standing.ground, running).await?;
    let hub = serve::address(&internal)?;
    if demo {
        demo::write_course(&data.courses())?;
    }
    let url = match &config.public_url {
        Some(url) => url.to_string(),
        None => format!(
            "{}://{}{}",
            public.scheme(),
            shown(public.address),
            config.base
        ),
    };
    let shared = standing.accounts == Accounts::Shared;
    let (ground, machine) = standing.start(
        &site,
        Doors {
            public: Some(public),
            internal,
            api_url: format!("http://{hub}{}", config.base.at("/hub/api")),
        },
        demo.then(|| say!("login.demo")),
    )?;
    // Hashing passwords takes a moment: the product answers already meanwhile.
    let first = serve::first_admin(&ground, &config, demo).await?;
    let mut people: Vec<Account> = first.into_iter().collect();
    if demo {
        people.extend(demo::people(&ground).await?);
    }
    let show = demo || std::io::IsTerminal::is_terminal(&std::io::stderr());
    let ready = Ready {
        url: &url,
        people: &people,
        show,
        shared,
        adopted,
    };
    ready.announce(json);
    let asked = serve::until_end(&site.interrupt, &machine).await;
    if !json && asked.is_ok() {
        say(
            "lyceum: stopping; notebook servers that run go on and are there again at the next start",
        );
    }
    machine.stop().await;
    asked
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

/// What there is to say once it runs.
struct Ready<'a> {
    url: &'a str,
    people: &'a [Account],
    /// First passwords may be shown.
    show: bool,
    /// Servers run under Lyceum's own account.
    shared: bool,
    /// How many servers of an earlier life still run.
    adopted: usize,
}

impl Ready<'_> {
    /// Says where to point the browser and how to log in.
    fn announce(&self, json: bool) {
        if json {
            put(&serde_json::json!({
                "event": "ready",
                "url": self.url,
                "accounts": self.people,
                "adopted": self.adopted,
            }));
            return;
        }
        say(&format!("\nLyceum is ready:  {}\n", self.url));
        if let Some(words) = still_running(self.adopted) {
            say(&words);
        }
        if !self.people.is_empty() && self.show {
            say("Log in as");
            let names = self.people.iter().map(|account| account.name.len());
            let width = names.max().unwrap_or(0);
            for account in self.people {
                say(&format!(
                    "  {:width$}  password {}  ({})",
                    account.name, account.password, account.role
                ));
            }
            say("These are the first passwords; each is shown until it is changed.\n");
        } else if !self.people.is_empty() {
            // What is not a terminal is a log, and a password has no place there.
            say(
                "The first password of admin is not told to a log: `lyceum user add admin` sets one.\n",
            );
        }
        if self.shared {
            say(serve::shared_warning());
        }
        say("Ctrl-C stops it.");
    }
}

/// After a restart: what went on meanwhile.
fn still_running(servers: usize) -> Option<String> {
    match servers {
        0 => None,
        1 => Some("1 notebook server has gone on running and is here again.\n".into()),
        many => Some(format!(
            "{many} notebook servers have gone on running and are here again.\n"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_went_on_are_counted() {
        let check = |servers: usize, expect: Option<&str>| {
            let said = still_running(servers);
            let said = said.as_deref().map(|said| said.split(" gone ").next());
            assert_eq!(said.flatten(), expect, "{servers}");
        };
        check(0, None);
        check(1, Some("1 notebook server has"));
        check(17, Some("17 notebook servers have"));
    }
}
