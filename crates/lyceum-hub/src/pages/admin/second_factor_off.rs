//! Takes the second step off somebody's password, who has lost her phone and her recovery codes. It is as good
//! as half a way in, so only those do it who may do all; she is told who it was.

use lyceum_auth::second_factor::{self, Doer, What};
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult};

use super::Visit;
use crate::audit::{self, Act};
use crate::db;
use crate::db::users::User;

/// Not one's own: whoever sits at an administrator's open browser would get rid of it by this.
pub(super) async fn may(visit: &Visit, tx: &mut Tx, user: &User) -> ApiResult<bool> {
    if !visit.holds_all() || visit.caller.is(&user.name) {
        return Ok(false);
    }
    Ok(second_factor::is_on(tx, &user.id).await?)
}

pub(super) async fn take_off(visit: &Visit, user: &User) -> ApiResult<()> {
    let hub = &visit.hub;
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    if visit.caller.is(&user.name) {
        return Err(ApiError::bad_request(say!("person.not_herself")));
    }
    let mut tx = hub.db().write().await?;
    db::servers::lock_owner(&mut tx, &user.id).await?;
    if !second_factor::remove(&mut tx, &user.id).await? {
        return Err(ApiError::bad_request(say!("admin.no_such_action")));
    }
    let by = visit.caller.who.to_string();
    let doer = Doer::Another(&by);
    second_factor::note(&mut tx, &user.id, What::TakenOff, doer, hub.now()).await?;
    let doer = audit::Doer::of(&visit.caller);
    let act = Act::new(&doer, audit::What::SecondFactorOff).about(user);
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by, user = %user.name, "second factor taken off");
    Ok(())
}
