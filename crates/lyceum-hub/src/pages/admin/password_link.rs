//! A link by which somebody gives herself a password. It lets in as her whoever has it, so only those make
//! one who may do all.

use lyceum_auth::{links, local};
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::PasswordLink;
use lyceum_web::{ApiError, ApiResult};

use super::Visit;
use crate::api::shares::full;
use crate::audit::{self, Act, Doer, What};
use crate::db;
use crate::db::users::User;
use crate::pages::password::way_in;

/// What stands before the secret.
const LINK: &str = "/hub/new-password?link=";

/// Not for somebody who proves elsewhere who she is, or may do so one day: with a password here she could
/// not come in there any more.
pub(super) async fn may_make(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<bool> {
    if !visit.holds_all() || user.name.is_of_course() || way_in(&visit.hub).is_err() {
        return Ok(false);
    }
    let sign_in = visit.hub.sign_in();
    let alone = sign_in.elsewhere().is_empty() && sign_in.chain().methods().len() == 1;
    let has_one = local::is_there(tx, &user.name).await?;
    Ok((alone || has_one) && !db::identities::lead_to(tx, &user.id).await?)
}

pub(super) async fn make(visit: &Visit, user: &User) -> ApiResult<PasswordLink> {
    let hub = &visit.hub;
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let mut tx = hub.db().write().await?;
    let now = db::users::get(&mut tx, &user.id).await?;
    let is_still_her = now.is_some_and(|now| now.name == user.name);
    if !is_still_her || !may_make(visit, &mut tx, user).await? {
        return Err(ApiError::bad_request(say!("admin.no_such_action")));
    }
    let by = visit.caller.who.to_string();
    let made = links::make(&mut tx, &user.name, &by, hub.now()).await?;
    let doer = Doer::of(&visit.caller);
    let act = Act::new(&doer, What::PasswordLink).about(user);
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by, user = %user.name, "link for a password made");
    let path = format!("{LINK}{}", made.secret);
    Ok(PasswordLink {
        url: full(&hub.settings().origins, &visit.info, &path),
        expires: made.expires_at.0,
    })
}
