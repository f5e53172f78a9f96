//! `lyceum user second-factor`: whether a second step stands behind somebody's password, and its end when her
//! phone is lost.

use clap::Args;
use lyceum_auth::second_factor::{self, Doer, State, What};
use lyceum_hub::audit::{self, Act};
use lyceum_hub::db;
use lyceum_model::name::UserName;

use super::{ConfigArgs, DataArgs, Outcome, block_on, ground, print, print_json};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct SecondFactorArgs {
    name: UserName,
    /// Take it off, recovery codes and all. She is told on her page.
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

impl SecondFactorArgs {
    pub(super) fn run(self) -> Result<Outcome, Failure> {
        let Self {
            name,
            remove,
            data,
            config,
            json,
        } = self;
        let wanted = name.clone();
        let state = block_on(async move {
            let (ground, _, _) = ground(&data, &config).await?;
            let mut tx = ground.db.write().await.map_err(failed)?;
            let user = db::users::find(&mut tx, &wanted).await.map_err(failed)?;
            let user = user.ok_or_else(|| {
                Failure::new(format!("there is nobody called {wanted}"))
                    .hint("`lyceum user list` tells who is there")
            })?;
            let state = second_factor::state(&mut tx, &user.id).await;
            let state = state.map_err(failed)?;
            if state.is_some() && remove {
                let now = ground.clock.now();
                second_factor::remove(&mut tx, &user.id)
                    .await
                    .map_err(failed)?;
                let (what, doer) = (What::TakenOff, Doer::Operator);
                second_factor::note(&mut tx, &user.id, what, doer, now)
                    .await
                    .map_err(failed)?;
                let nobody = audit::Doer::nobody();
                let act = Act::new(&nobody, audit::What::SecondFactorOff)
                    .about(&user)
                    .with("by", "command_line");
                audit::note(&mut tx, act, now).await.map_err(failed)?;
                tx.commit().await.map_err(failed)?;
            }
            Ok::<Option<State>, Failure>(state)
        })?;
        if json {
            let there = state.filter(|_| !remove);
            print_json(&serde_json::json!({
                "name": name,
                "since": there.map(|state| state.since.to_iso()),
                "recovery_codes": there.map(|state| state.codes_left),
                "removed": remove && state.is_some(),
            }))?;
            return Ok(Outcome::Good);
        }
        print(&match (state, remove) {
            (None, _) => format!("{name} has no second step\n"),
            (Some(_), true) => format!(
                "{name} has no second step any more, and is told so; where one is required, the next log-in asks for another\n"
            ),
            (Some(state), false) => format!(
                "{name} has a second step since {}, and {} recovery codes\n",
                state.since.to_iso(),
                state.codes_left
            ),
        })?;
        Ok(Outcome::Good)
    }
}

fn failed(error: lyceum_store::DbError) -> Failure {
    Failure::new(format!("the database: {error}"))
}
