//! Invitations, beside the list of people: made, shown once, taken back. Whoever has one makes herself known here
//! by a name of her choice, so only those make one who may do all.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_auth::invitations::{self, MOST};
use lyceum_model::lti::is_platforms;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::admin::{AddForm, InvitationRow, Invitations, PasswordLink};
use lyceum_web::{ApiError, ApiResult};

use super::{Tally, Visit, people};
use crate::api::shares::full;
use crate::audit::{self, Act, Doer, What};
use crate::db;
use crate::pages::fields::Fields;
use crate::pages::list::ListQuery;
use crate::pages::sign_up::{self, by_invitation};

/// Characters of what stands beside one.
const NOTE_MAX: usize = 200;

/// What the page shows of them; none for those who make none.
pub(super) async fn shown(visit: &Visit, tx: &mut Tx) -> ApiResult<Option<Invitations>> {
    if !visit.holds_all() || by_invitation(&visit.hub).is_err() {
        return Ok(None);
    }
    let open = invitations::open(tx, visit.hub.now()).await?;
    let open = open.into_iter().map(|one| InvitationRow {
        groups: one.groups(),
        id: one.id,
        note: one.note,
        made_by: one.made_by,
        expires: one.expires_at,
    });
    Ok(Some(Invitations {
        open: open.collect(),
        ..Invitations::default()
    }))
}

/// `POST /hub/admin/users/invite`: what `do` says.
pub(super) async fn act(visit: Visit, form: Fields) -> ApiResult<Response> {
    if !visit.holds_all() {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    by_invitation(&visit.hub)?;
    match form.get("do") {
        "make" => make(&visit, &form).await,
        "withdraw" => {
            let mut tx = visit.hub.db().write().await?;
            if !invitations::withdraw(&mut tx, form.get("id")).await? {
                return Err(ApiError::not_found());
            }
            let doer = Doer::of(&visit.caller);
            let act = Act::new(&doer, What::InvitationWithdrawn).with("invitation", form.get("id"));
            audit::note(&mut tx, act, visit.hub.now()).await?;
            tx.commit().await?;
            tracing::info!(by = %visit.caller.who, invitation = form.get("id"), "invitation taken back");
            Ok(visit.back(&form, people::LIST, "withdrawn", &Tally::one()))
        }
        _ => Err(ApiError::bad_request(say!("admin.no_such_action"))),
    }
}

async fn make(visit: &Visit, form: &Fields) -> ApiResult<Response> {
    let hub = &visit.hub;
    let (note, groups) = (form.get("note"), form.names("groups"));
    let typed = Invitations {
        note: note.to_owned(),
        groups: form.get("groups").to_owned(),
        ..Invitations::default()
    };
    let mut tx = hub.db().write().await?;
    if let Some(why) = what_is_wrong(&mut tx, visit, note, &groups).await? {
        tx.rollback().await?;
        let typed = Invitations {
            error: Some(why.sentence(visit.lang())),
            ..typed
        };
        return page(visit, StatusCode::BAD_REQUEST, typed).await;
    }
    let by = visit.caller.who.to_string();
    let (made, secret) = invitations::make(&mut tx, note, &groups, &by, hub.now()).await?;
    let doer = Doer::of(&visit.caller);
    let act = Act::new(&doer, What::InvitationMade)
        .with("invitation", &made.id)
        .with("note", note)
        .with("groups", groups.join(", "));
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    tracing::info!(by, invitation = made.id, ?groups, "invitation made");
    let path = format!("{}?invitation={secret}", sign_up::PATH);
    let link = PasswordLink {
        url: full(&hub.settings().origins, &visit.info, &path),
        expires: made.expires_at,
    };
    let made = Invitations {
        link: Some(link),
        ..Invitations::default()
    };
    page(visit, StatusCode::OK, made).await
}

async fn what_is_wrong(
    tx: &mut Tx,
    visit: &Visit,
    note: &str,
    groups: &[String],
) -> ApiResult<Option<Saying>> {
    if note.chars().count() > NOTE_MAX || note.chars().any(char::is_control) {
        return Ok(Some(say!("invitation.long_note", most = NOTE_MAX)));
    }
    for group in groups {
        if is_platforms(group) {
            return Ok(Some(say!("group.is_platforms")));
        }
        if db::groups::find(tx, group).await?.is_none() {
            let group: String = group.chars().take(60).collect();
            return Ok(Some(say!("invitation.no_group", group = group)));
        }
    }
    let open = invitations::open(tx, visit.hub.now()).await?;
    Ok((open.len() >= MOST).then(|| say!("invitation.too_many", most = MOST)))
}

async fn page(visit: &Visit, status: StatusCode, invited: Invitations) -> ApiResult<Response> {
    let Query(query) = Query(ListQuery::default());
    people::page(visit, &query, status, AddForm::default(), invited).await
}
