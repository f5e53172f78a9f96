//! The numbers by which somebody's files are hers, as an administrator sees and says them. Whoever has another
//! number opens other files, so only those say one who may do all.

use lyceum_model::posix::{list, parse_list};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::NumbersRow;
use lyceum_web::{ApiError, ApiResult};

use super::Visit;
use crate::audit::Doer;
use crate::db;
use crate::db::users::User;
use crate::pages::fields::Fields;
use crate::posix::{self, NotHers, Wish};

/// Hers, if the visitor may say others.
pub(super) async fn shown(
    visit: &Visit,
    tx: &mut Tx,
    user: &User,
) -> ApiResult<Option<NumbersRow>> {
    if !visit.holds_all() {
        return Ok(None);
    }
    let text = |number: u32| number.to_string();
    let known = db::posix::of(tx, &user.id).await?;
    Ok(Some(known.map_or_else(NumbersRow::default, |known| {
        let posix = known.posix;
        NumbersRow {
            uid: text(posix.uid),
            gid: posix.gid.map(text).unwrap_or_default(),
            group: posix.group.unwrap_or_default(),
            gids: list(&posix.gids),
            by_hand: known.by_hand,
        }
    })))
}

/// Keeps what was typed; empty is as before, and nobody is in further groups. Or says what is wrong.
pub(super) async fn keep(
    visit: &Visit,
    user: &User,
    form: &Fields,
) -> ApiResult<Result<(), Saying>> {
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let number = |key: &str| match form.get(key) {
        "" => Ok(None),
        text => text.parse().map(Some),
    };
    let (Ok(uid), Ok(gid), Some(gids)) =
        (number("uid"), number("gid"), parse_list(form.get("gids")))
    else {
        return Ok(Err(say!("posix.numbers")));
    };
    let group = Some(form.get("group")).filter(|group| !group.is_empty());
    let wish = Wish {
        uid,
        gid,
        group: group.map(str::to_owned),
        gids: Some(gids),
    };
    let hub = &visit.hub;
    let mut tx = hub.db().write().await?;
    db::servers::lock_owner(&mut tx, &user.id).await?;
    let now = db::users::get(&mut tx, &user.id).await?;
    if now.is_none_or(|now| now.name != user.name) {
        tx.rollback().await?;
        return Err(ApiError::not_found());
    }
    let doer = Doer::of(&visit.caller);
    let rules = &hub.settings().posix;
    match posix::set(&mut tx, user, &wish, (&doer, None), rules, hub.now()).await {
        Ok(_) => tx.commit().await?,
        Err(NotHers::Database(error)) => return Err(error.into()),
        Err(why) => {
            tx.rollback().await?;
            return Ok(Err(why.saying()));
        }
    }
    tracing::info!(by = %visit.caller.who, user = %user.name, "numbers for files said");
    Ok(Ok(()))
}
