//! A link by which somebody gives herself a password. It lets in as her whoever has it, so only those make
//! one who may do all.

use lyceum_auth::links;
use lyceum_model::say;
use lyceum_web::page::contexts::admin::PasswordLink;
use lyceum_web::{ApiError, ApiResult};

use super::Visit;
use crate::api::shares::full;
use crate::db;
use crate::db::users::User;
use crate::pages::password::way_in;

/// `elsewhere`: she proves at another site who she is, and has no password here.
pub(super) fn may_make(visit: &Visit, user: &User, elsewhere: bool) -> bool {
    let is_person = !user.name.is_of_course();
    visit.holds_all() && is_person && !elsewhere && way_in(&visit.hub).is_ok()
}

pub(super) async fn make(visit: &Visit, user: &User) -> ApiResult<PasswordLink> {
    let hub = &visit.hub;
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let mut tx = hub.db().write().await?;
    let elsewhere = db::identities::lead_to(&mut tx, &user.id).await?;
    let now = db::users::get(&mut tx, &user.id).await?;
    let is_still_her = now.is_some_and(|now| now.name == user.name);
    if !is_still_her || !may_make(visit, user, elsewhere) {
        return Err(ApiError::bad_request(say!("admin.no_such_action")));
    }
    let by = visit.caller.who.to_string();
    let made = links::make(&mut tx, &user.name, &by, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by, user = %user.name, "link for a password made");
    let path = format!("/hub/new-password?link={}", made.secret);
    Ok(PasswordLink {
        url: full(&hub.settings().origins, &visit.info, &path),
        expires: made.expires_at.0,
    })
}
