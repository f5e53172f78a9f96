//! `lyceum serve`: reads the configuration, opens the data folder, takes the port, prepares the
//! Jupyter environment, then hands over to [`crate::serve::run`].

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use lyceum_model::clock::Clock;
use lyceum_store::db::Location;
use rustix::fs::{FlockOperation, flock};

use super::{ConfigArgs, DataArgs, Outcome};
use crate::compose::{Program, location};
use crate::config::Config;
use crate::data::{DataFolder, Layout};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::jupyter::{self, Environment};
use crate::progress::Progress;
use crate::public::explain_bind;
use crate::reload::ConfigWatch;
use crate::serve::{Prepared, Site};
use crate::telemetry;

/// Run a hub without a proxy; any number of them on one PostgreSQL.
#[derive(Debug, Args)]
#[command(
    long_about = "Run a hub without a proxy; any number of them on one PostgreSQL.\n\n\
        People reach it through `lyceum proxy`. Several hubs share one data folder on one machine, \
        since servers are processes of that machine; the first makes it. On SQLite there can be one hub.",
    after_help = "Examples:\n  lyceum serve --data /srv/lyceum --config /etc/lyceum.yaml --listen 127.0.0.1:8081\n  \
        lyceum proxy --hub http://127.0.0.1:8081 --hub-secret file:/srv/lyceum/keys/proxy"
)]
pub struct Serve {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Take this existing virtual environment instead of making one.
    #[arg(long, value_name = "FOLDER", env = "LYCEUM_JUPYTER_ENV")]
    pub jupyter_env: Option<PathBuf>,
    /// Address and port to listen on, instead of the configuration's `hub.listen`.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Tell progress as JSON lines on standard output, for machines.
    #[arg(long)]
    pub json: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        self.run_as(Program::this())
    }

    /// Runs as another program than this one would.
    pub fn run_as(self, program: Program) -> Result<Outcome, Failure> {
        let path = crate::config::locate(self.config.config.as_deref());
        super::config::load(path.as_deref())?;
        let watch = ConfigWatch::open(path, Clock::system())
            .map_err(|problems| Failure::new(problems.to_string()))?;
        let configured = watch.current();
        telemetry::start(&configured.log)?;
        let listen = self.listen.unwrap_or(configured.hub.listen);
        let folder = self.open_folder(&configured)?;
        let listener =
            std::net::TcpListener::bind(listen).map_err(|error| explain_bind(listen, &error))?;
        let (environment, interrupt) = self.prepare(folder.layout())?;
        let prepared = Prepared {
            site: Site {
                watch,
                folder,
                environment,
                interrupt,
                program,
            },
            listener,
            json: self.json,
        };
        super::block_on(crate::serve::run(prepared))?;
        Ok(Outcome::Good)
    }

    /// Shared with other hubs when the database is elsewhere.
    fn open_folder(&self, config: &Config) -> Result<DataFolder, Failure> {
        let elsewhere = match &config.store.database {
            None => false,
            // The folder's own place counts for SQLite only.
            Some(url) => matches!(Location::parse(url.expose()), Ok(Location::Postgres(_))),
        };
        let folder = match elsewhere {
            true => DataFolder::open_shared(&self.data.data)?,
            false => DataFolder::open(&self.data.data)?,
        };
        // Says what is wrong with the database's address before minutes of preparation.
        location(config, folder.layout())?;
        Ok(folder)
    }

    /// One hub prepares, the others wait for it.
    fn prepare(&self, layout: &Layout) -> Result<(Environment, Interrupt), Failure> {
        let path = layout.preparing();
        let failed = |error: std::io::Error| {
            Failure::io(format!("{} can't be locked", path.display()), &error)
        };
        let turn = File::create(&path).map_err(failed)?;
        flock(&turn, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        // Not before: whoever waits for the lock ends by Ctrl-C as any program does.
        let interrupt = Interrupt::listen()?;
        let progress = Progress::suited(self.json);
        let environment = match &self.jupyter_env {
            Some(path) => jupyter::existing(path, &layout.jupyter()),
            None => jupyter::prepare(&layout.jupyter(), &progress, &interrupt),
        };
        progress.finish();
        Ok((environment?, interrupt))
    }
}
