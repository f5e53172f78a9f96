//! What is compared: [`PEERS`] is the table, `peers/` how each is configured and changed.
//!
//! A new peer is a line in the table; one that speaks configurable-http-proxy's command line and
//! control API needs nothing else.

mod haproxy;
mod nginx;
mod rest;

use crate::http::{ask, body_of};
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Order of the table's columns.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: "configurable-http-proxy",
        kind: Kind::Rest {
            program: |programs| &programs.chp,
            arguments: &["--log-level", "warn"],
            workers: None,
        },
    },
    Peer {
        name: "nginx",
        kind: Kind::Nginx,
    },
    Peer {
        name: "haproxy",
        kind: Kind::Haproxy,
    },
    Peer {
        name: "Lyceum",
        kind: Kind::Rest {
            program: |programs| &programs.lyceum,
            arguments: &["proxy", "--log-level", "warn"],
            workers: Some("--workers"),
        },
    },
];
pub(crate) const CHP: usize = 0;
pub(crate) const NGINX: usize = 1;
pub(crate) const OURS: usize = 3;

/// How long a peer may take until it answers on its last route.
const START: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// configurable-http-proxy's command line and control API.
    Rest {
        program: fn(&Programs) -> &PathBuf,
        arguments: &'static [&'static str],
        /// The option for their number, if there is one.
        workers: Option<&'static str>,
    },
    Nginx,
    Haproxy,
}

/// Programs that are not found on the `PATH`.
pub(crate) struct Programs {
    pub(crate) lyceum: PathBuf,
    pub(crate) chp: PathBuf,
}

/// What a peer is started with.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) routes: usize,
    pub(crate) workers: usize,
    /// Routes lead to these in turn; only through the control API can there be more than one.
    pub(crate) targets: &'a [SocketAddr],
    /// Where everything goes that no route matches.
    pub(crate) fallback: SocketAddr,
    /// For what it writes; exists.
    pub(crate) folder: &'a Path,
}

impl Setup<'_> {
    fn target(&self, route: usize) -> SocketAddr {
        self.targets[route % self.targets.len()]
    }

    fn only_target(&self) -> SocketAddr {
        self.targets[0]
    }
}

/// Of equal length, so that sorted by number is sorted.
pub(crate) fn prefix(route: usize) -> String {
    format!("/user/u{route:06}")
}

/// Something a user's page asks for.
pub(crate) fn path(route: usize) -> String {
    format!("{}/api/status", prefix(route))
}

/// A peer that answers, with all its routes.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
    control: Control,
}

enum Control {
    Rest { api: SocketAddr },
    Nginx(nginx::Files),
    Haproxy(haproxy::Files),
}

/// How quickly routes can be changed.
pub(crate) struct Changes {
    pub(crate) added_per_second: f64,
    pub(crate) deleted_per_second: f64,
}

impl Peer {
    /// Whether the number of worker threads can be set.
    pub(crate) fn has_workers(&self) -> bool {
        !matches!(self.kind, Kind::Rest { workers: None, .. })
    }

    pub(crate) async fn start(
        &'static self,
        programs: &Programs,
        setup: Setup<'_>,
    ) -> Result<Running> {
        let address = free_address()?;
        let (process, control) = match &self.kind {
            Kind::Rest {
                program,
                arguments,
                workers,
            } => {
                let mut words: Vec<String> =
                    arguments.iter().map(|word| (*word).to_owned()).collect();
                if let Some(option) = workers {
                    words.extend([(*option).to_owned(), setup.workers.to_string()]);
                }
                rest::start(self.name, program(programs), words, address, setup)?
            }
            Kind::Nginx => nginx::start(address, setup)?,
            Kind::Haproxy => haproxy::start(address, setup)?,
        };
        let mut running = Running {
            address,
            process,
            control,
        };
        running
            .get_ready(setup)
            .await
            .with_context(|| format!("starting {} with {} routes", self.name, setup.routes))?;
        Ok(running)
    }
}

impl Running {
    async fn get_ready(&mut self, setup: Setup<'_>) -> Result<()> {
        let limit = Instant::now() + START;
        if let Control::Rest { api } = self.control {
            while let Err(error) = rest::list(api).await {
                self.process.check_running()?;
                ensure!(Instant::now() < limit, "its API does not answer: {error:#}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            rest::add(api, 0..setup.routes, setup).await?;
        }
        // Only one that routes as it was told is worth measuring.
        let last = setup.routes - 1;
        self.expect_server(last, last % setup.targets.len(), limit)
            .await?;
        let fallback = ask(self.address, "/nobody", "").await?;
        ensure!(
            fallback.0 == 200 && !fallback.1.contains(&body_of(0)),
            "what has no route was answered {fallback:?}"
        );
        Ok(())
    }

    /// Waits until this route leads to that server.
    async fn expect_server(&mut self, route: usize, server: usize, limit: Instant) -> Result<()> {
        loop {
            let answer = ask(self.address, &path(route), "").await;
            match &answer {
                Ok((200, body)) if *body == body_of(server) => return Ok(()),
                _ => self.process.check_running()?,
            }
            if Instant::now() > limit {
                bail!("{} should lead to server {server}: {answer:?}", path(route));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Adds routes after those it has, looks whether they work, and deletes them again. nginx
    /// cannot do that; it is reloaded, and so adds without deleting.
    pub(crate) async fn change(&mut self, routes: usize, setup: Setup<'_>) -> Result<Changes> {
        let range = setup.routes..setup.routes + routes;
        let limit = Instant::now() + START;
        if let Control::Nginx(files) = &self.control {
            return nginx::reload(files, &self.process, self.address, setup).await;
        }
        let started = Instant::now();
        match &mut self.control {
            Control::Rest { api } => rest::add(*api, range.clone(), setup).await?,
            Control::Haproxy(files) => files.add(range.clone()).await?,
            Control::Nginx(_) => {}
        }
        let added = started.elapsed();
        let last = range.end - 1;
        self.expect_server(last, last % setup.targets.len(), limit)
            .await?;
        let started = Instant::now();
        match &mut self.control {
            Control::Rest { api } => rest::delete(*api, range.clone()).await?,
            Control::Haproxy(files) => files.delete(range.clone()).await?,
            Control::Nginx(_) => {}
        }
        let deleted = started.elapsed();
        while ask(self.address, &path(last), "").await?.1 == body_of(last % setup.targets.len()) {
            ensure!(Instant::now() < limit, "a deleted route still works");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let rate = |took: Duration| crate::measure::to_float(routes) / took.as_secs_f64();
        Ok(Changes {
            added_per_second: rate(added),
            deleted_per_second: rate(deleted),
        })
    }
}

/// Free now; whoever takes it in between makes the start fail aloud.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
