//! `lyceum up`: reads the configuration, opens the data folder, takes the port, prepares the
//! Jupyter environment, then hands over to [`crate::up::run`].

use std::path::PathBuf;

use clap::Args;
use lyceum_model::clock::Clock;

use super::{ConfigArgs, DataArgs, ListenArgs, Outcome};
use crate::compose::Program;
use crate::data::DataFolder;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::public::Public;
use crate::reload::ConfigWatch;
use crate::serve::Site;
use crate::up::Prepared;
use crate::{config, jupyter, telemetry};

/// Prepare what is missing and run everything in one process.
#[derive(Debug, Args)]
#[command(
    long_about = "Prepare what is missing and run everything in one process.\n\n\
        The first time this makes a private data folder (`--data`) and installs JupyterLab into it, which needs \
        Python 3.11 or newer, the network and 2 GB. Interrupted, it goes on where it was. \
        Afterwards it starts at once and needs no network.",
    after_help = "Examples:\n  lyceum up\n  lyceum up --data /srv/lyceum --port 8080\n  lyceum up --jupyter-env ~/venvs/jupyter"
)]
pub struct Up {
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Take this existing virtual environment instead of making one.
    #[arg(long, value_name = "FOLDER", env = "LYCEUM_JUPYTER_ENV")]
    pub jupyter_env: Option<PathBuf>,
    #[command(flatten)]
    pub listen: ListenArgs,
    /// Add a course, a teacher and two students to look around with.
    #[arg(long)]
    pub demo: bool,
    /// Tell progress as JSON lines on standard output, for machines.
    #[arg(long)]
    pub json: bool,
}

impl Up {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let path = config::locate(self.config.config.as_deref());
        // Looked at twice, so that problems are told as `config check` tells them.
        super::config::load(path.as_deref())?;
        let watch = ConfigWatch::open(path, Clock::system())
            .map_err(|problems| Failure::new(problems.to_string()))?;
        let configured = watch.current();
        telemetry::start(&configured.log)?;
        let listen = self.listen.address(configured.listen);
        let folder = DataFolder::open(&self.data.data)?;
        // Taken before minutes of preparation, so that a taken port is told at once.
        let public = Public::bind(&configured, folder.layout(), listen)?;
        let interrupt = Interrupt::listen()?;
        let progress = Progress::suited(self.json);
        let jupyter = match &self.jupyter_env {
            Some(path) => jupyter::existing(path, &folder.layout().jupyter()),
            None => jupyter::prepare(&folder.layout().jupyter(), &progress, &interrupt),
        };
        progress.finish();
        let prepared = Prepared {
            site: Site {
                watch,
                folder,
                environment: jupyter?,
                interrupt,
                program: Program::this(),
            },
            public,
            demo: self.demo,
            json: self.json,
        };
        super::block_on(crate::up::run(prepared))?;
        Ok(Outcome::Good)
    }
}
