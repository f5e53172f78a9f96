//! Somebody's address of mail, as an administrator gives it. A link to a new password goes there, so it is as good
//! as one that is handed over: only those give one who may do all.

use lyceum_auth::addresses::{self, MailAddress};
use lyceum_auth::local;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::AddressRow;
use lyceum_web::{ApiError, ApiResult};

use super::Visit;
use crate::audit::{self, Act, Doer, What};
use crate::db;
use crate::db::users::User;
use crate::pages::password::way_in;

/// Hers, if the visitor may give her another: she has a password here, and nothing else leads to her.
pub(super) async fn shown(
    visit: &Visit,
    tx: &mut Tx,
    user: &User,
) -> ApiResult<Option<AddressRow>> {
    if !may_give(visit, tx, user).await? {
        return Ok(None);
    }
    let known = addresses::find(tx, &user.name).await?;
    Ok(Some(known.map_or_else(AddressRow::default, |known| {
        AddressRow {
            verified: known.verified_at,
            given_by: known.given_by,
            address: known.address,
        }
    })))
}

async fn may_give(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<bool> {
    if !visit.holds_all() || user.name.is_of_course() || way_in(&visit.hub).is_err() {
        return Ok(false);
    }
    let has_password = local::is_there(tx, &user.name).await?;
    Ok(has_password && !db::identities::lead_to(tx, &user.id).await?)
}

/// Gives her this one, or none where nothing was typed; or says what is wrong with it.
pub(super) async fn give(visit: &Visit, user: &User, typed: &str) -> ApiResult<Result<(), Saying>> {
    let hub = &visit.hub;
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let address = match (typed, MailAddress::parse(typed)) {
        ("", _) => None,
        (_, Ok(address)) => Some(address),
        (_, Err(_)) => return Ok(Err(say!("person.no_mail_address"))),
    };
    let mut tx = hub.db().write().await?;
    db::servers::lock_owner(&mut tx, &user.id).await?;
    let now = db::users::get(&mut tx, &user.id).await?;
    let is_still_her = now.is_some_and(|now| now.name == user.name);
    if !is_still_her || !may_give(visit, &mut tx, user).await? {
        tx.rollback().await?;
        return Err(ApiError::bad_request(say!("admin.no_such_action")));
    }
    let by = visit.caller.who.to_string();
    let doer = Doer::of(&visit.caller);
    let act = match &address {
        Some(address) => {
            addresses::put(&mut tx, &user.name, address, &by, None).await?;
            let act = Act::new(&doer, What::MailGiven).about(user);
            Some(act.with("mail", address))
        }
        None => {
            let had_one = addresses::remove(&mut tx, &user.name).await?;
            had_one.then(|| Act::new(&doer, What::MailRemoved).about(user))
        }
    };
    if let Some(act) = act {
        audit::note(&mut tx, act, hub.now()).await?;
    }
    tx.commit().await?;
    tracing::info!(by, user = %user.name, given = address.is_some(), "address of mail changed");
    Ok(Ok(()))
}
