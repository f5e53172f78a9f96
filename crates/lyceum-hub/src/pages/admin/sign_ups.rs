//! Those who ask for an account, beside the list of people: one yes makes somebody known here, so only those say it
//! who may do all.

use axum::response::Response;
use lyceum_auth::config::SignUp;
use lyceum_auth::sign_ups;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::SignUpRow;
use lyceum_web::{ApiError, ApiResult};

use super::{Tally, Visit, people};
use crate::audit::{self, Act, Doer, What};
use crate::pages::fields::Fields;
use crate::pages::password::way_in;
use crate::pages::sign_up::{is_of_the_machine, is_spoken_for};
use crate::{Hub, proxy, users};

fn decides(visit: &Visit) -> bool {
    let accounts = way_in(&visit.hub);
    visit.holds_all() && accounts.is_ok_and(|accounts| *accounts.sign_up() == SignUp::Approval)
}

/// Those who wait; none for those who don't decide.
pub(super) async fn shown(visit: &Visit, tx: &mut Tx) -> ApiResult<Option<Vec<SignUpRow>>> {
    if !decides(visit) {
        return Ok(None);
    }
    let waiting = sign_ups::waiting(tx, visit.hub.now()).await?;
    let rows = waiting.into_iter().map(|one| SignUpRow {
        id: one.id,
        name: one.user_name,
        note: one.note,
        asked: one.asked_at,
        expires: one.expires_at,
    });
    Ok(Some(rows.collect()))
}

/// `POST /hub/admin/users/sign-ups`: what `do` says, of each that was chosen.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    if !decides(&visit) {
        return Err(ApiError::not_found());
    }
    let mut tally = Tally::default();
    let done = match form.get("do") {
        "approve" => "approved",
        "refuse" => "turned_down",
        _ => return Err(ApiError::bad_request(say!("admin.no_such_action"))),
    };
    for id in form.all("chosen") {
        tally.note(match done {
            "approved" => approve(&visit, id).await,
            _ => refuse(&visit, id).await,
        });
    }
    let tally = tally.settle()?;
    Ok(visit.back(&form, people::LIST, done, &tally))
}

/// The account is made, unless somebody else has the name by now: then she waits on, to be refused.
async fn approve(visit: &Visit, id: &str) -> ApiResult<()> {
    let hub: &Hub = &visit.hub;
    let accounts = way_in(hub)?;
    let now = hub.now();
    let mut tx = hub.db().read().await?;
    let waiting = sign_ups::waiting(&mut tx, now).await?;
    drop(tx);
    // The machine may have got an account of that name while she waited.
    let asked = waiting.iter().find(|one| one.id == id);
    if let Some(Ok(name)) = asked.map(|one| UserName::parse(&one.user_name))
        && is_of_the_machine(hub, &name).await
    {
        return Err(not_free(&name));
    }
    let mut tx = hub.db().write().await?;
    let Some((name, password)) = sign_ups::take(&mut tx, id, now).await? else {
        tx.rollback().await?;
        return Err(ApiError::not_found());
    };
    let made = match is_spoken_for(hub, &mut tx, &name, &[]).await? {
        true => None,
        false => users::create(&mut tx, &name, now).await?,
    };
    let Some(user) = made else {
        tx.rollback().await?;
        return Err(not_free(&name));
    };
    let doer = Doer::of(&visit.caller);
    let act = Act::new(&doer, What::SignUpApproved).about(&user);
    audit::note(&mut tx, act, now).await?;
    accounts.put(&mut tx, &name, &password).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    tracing::info!(by = %visit.caller.who, user = %name, "account approved");
    Ok(())
}

fn not_free(name: &UserName) -> ApiError {
    ApiError::bad_request(say!("person.name_not_free", name = name.as_str()))
}

async fn refuse(visit: &Visit, id: &str) -> ApiResult<()> {
    let now = visit.hub.now();
    let mut tx = visit.hub.db().write().await?;
    let Some(name) = sign_ups::refuse(&mut tx, id).await? else {
        tx.rollback().await?;
        return Err(ApiError::not_found());
    };
    let doer = Doer::of(&visit.caller);
    let act = Act::new(&doer, What::SignUpRefused).with("name", name);
    audit::note(&mut tx, act, now).await?;
    tx.commit().await?;
    tracing::info!(by = %visit.caller.who, sign_up = id, "account refused");
    Ok(())
}
