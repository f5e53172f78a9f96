//! `lyceum mail …`: whether letters go out.

use clap::Subcommand;
use lyceum_auth::addresses::MailAddress;
use lyceum_hub::mail::{Letter, deliver};

use super::{ConfigArgs, Outcome, block_on, print};
use crate::config;
use crate::failure::Failure;

/// Look after the mail that is sent to people.
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Send a letter to try `mail` of the configuration out, and say what the server says.
    #[command(after_help = "Example:\n  lyceum mail test ada@example.edu")]
    Test {
        /// Where it goes.
        address: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

impl MailCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self::Test { address, config } = self;
        let to = MailAddress::parse(&address)
            .map_err(|error| Failure::new(format!("{address:?}: {error}")))?;
        let loaded = super::config::load(config::locate(config.config.as_deref()).as_deref())?;
        let site = loaded.config.theme.name.clone();
        let Some(mail) = loaded.config.mail else {
            return Err(Failure::new("no mail is sent here")
                .hint("write `mail: {server: smtp.example.edu, from: jupyter@example.edu}`"));
        };
        let letter = Letter {
            to,
            subject: format!("A letter from {site}"),
            text: format!("{site} can send mail.\n"),
            from_name: site,
        };
        let (server, port) = (mail.server.clone(), mail.port);
        block_on(async move {
            deliver(&mail, &letter).await.map_err(|error| {
                let why = lyceum_model::causes::told(error.as_ref());
                Failure::new(format!("the letter was not sent: {why}")).hint(
                    "look at `mail` in the configuration, and whether this machine reaches the server",
                )
            })
        })?;
        print(&format!(
            "{server}:{port} has taken a letter to {address}\n"
        ))?;
        Ok(Outcome::Good)
    }
}
