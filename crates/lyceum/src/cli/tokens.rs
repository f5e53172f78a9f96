//! `lyceum token …`: API tokens for programs.

use clap::Subcommand;
use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::db;
use lyceum_hub::tokens::{NewToken, issue, room_for_one_more};
use lyceum_model::name::UserName;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::failure::Failure;

/// Make API tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a person; it is printed once and kept nowhere.
    #[command(
        after_help = "Examples:\n  lyceum token create ada\n  lyceum token create admin --scope read:metrics --note prometheus"
    )]
    Create {
        /// Whose token it is.
        user: UserName,
        /// What it may do, as JupyterHub calls it; may be repeated. Left out: all that the person may.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// What it is for.
        #[arg(long, default_value = "made on the command line")]
        note: String,
        /// Days until it expires. Left out: never.
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        #[command(flatten)]
        data: DataArgs,
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON, for machines.
        #[arg(long)]
        json: bool,
    },
}

impl TokenCommand {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self::Create {
            user,
            scopes,
            note,
            days,
            data,
            config,
            json,
        } = self;
        let name = user.clone();
        let (token, secret) = block_on(async move {
            let failed =
                |error: anyhow::Error| Failure::new(format!("the token can't be made: {error:#}"));
            let (ground, config, _) = ground(&data, &config).await?;
            let mut wanted = Vec::new();
            for text in &scopes {
                let scope = config.grants.vocabulary.parse(text);
                let scope = scope.map_err(|error| Failure::new(format!("--scope: {error}")))?;
                wanted.push(scope.to_string());
            }
            if wanted.is_empty() {
                wanted = config.grants.token_scopes();
            }
            let now = ground.clock.now();
            let mut tx = ground
                .db
                .write()
                .await
                .map_err(|error| failed(error.into()))?;
            let found = db::users::find(&mut tx, &name)
                .await
                .map_err(|error| failed(error.into()))?;
            let Some(owner) = found else {
                return Err(Failure::new(format!("there is nobody called {name}"))
                    .hint("`lyceum user list` shows who there is"));
            };
            let expires_at = days.map(|days| now.plus(i64::from(days) * 86_400_000).0);
            let new = NewToken {
                note,
                scopes: wanted,
                expires_at,
                ..NewToken::default()
            };
            room_for_one_more(&mut tx, &owner, now)
                .await
                .map_err(|full| failed(anyhow::anyhow!(full.message.to_string())))?;
            let made = issue(&mut tx, &owner, new, now).await.map_err(failed)?;
            let nobody = Doer::nobody();
            let act = Act::new(&nobody, What::TokenMade)
                .about(&owner)
                .with("by", "command_line")
                .with("token", &made.0.id)
                .with("note", &made.0.note);
            audit::note(&mut tx, act, now)
                .await
                .map_err(|error| failed(error.into()))?;
            tx.commit().await.map_err(|error| failed(error.into()))?;
            Ok(made)
        })?;
        if json {
            print_json(&serde_json::json!({ "id": token.id, "user": user, "token": secret }))?;
        } else {
            print(&format!("{secret}\n"))?;
        }
        Ok(Outcome::Good)
    }
}
