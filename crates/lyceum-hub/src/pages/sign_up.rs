//! An account of one's own, by an invitation: whoever has the link chooses a name that is free, and a password.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::LocalAccounts;
use lyceum_auth::invitations::{self, Invitation};
use lyceum_auth::local::{self, NewPassword};
use lyceum_model::lti::is_platforms;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::password::PasswordProblem;
use lyceum_web::page::contexts::sign_up::{SignUpPage, SignUpState};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::login::is_foreign;
use super::password::{Trouble, prepare, way_in};
use super::{frame, html, language};
use crate::api::users::change::new_name;
use crate::audit::{self, Act, Doer, What};
use crate::grants::USER;
use crate::{Hub, db, groups, proxy, sittings, users};

pub(super) const PATH: &str = "/hub/sign-up";

pub(super) fn routes() -> Routes<Hub> {
    let why = "whoever is invited has no account yet";
    Routes::default()
        .public(Method::GET, PATH, why, show)
        .public(Method::POST, PATH, why, sign_up)
}

/// The accounts, if people make theirs by invitations.
pub(super) fn by_invitation(hub: &Hub) -> ApiResult<LocalAccounts> {
    let accounts = way_in(hub)?;
    match accounts.takes_invitations() {
        true => Ok(accounts),
        false => Err(ApiError::not_found()),
    }
}

#[derive(Deserialize)]
struct InvitationQuery {
    #[serde(default)]
    invitation: String,
}

/// Looking at it does not use it up.
async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<InvitationQuery>,
) -> ApiResult<Response> {
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers)?;
    let mut tx = hub.db().read().await?;
    match invitations::find(&mut tx, &query.invitation, hub.now()).await? {
        Some(_) => desk.answer(StatusCode::OK, desk.form(&query.invitation, "")),
        None => desk.gone(),
    }
}

#[derive(Deserialize)]
struct SignUpForm {
    #[serde(default)]
    invitation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    again: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn sign_up(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<SignUpForm>,
) -> ApiResult<Response> {
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers)?;
    let mut tx = hub.db().read().await?;
    let found = invitations::find(&mut tx, &form.invitation, hub.now()).await?;
    drop(tx);
    if found.is_none() {
        return desk.gone();
    }
    let page = desk.form(&form.invitation, &form.name);
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        let trouble = Trouble::is(StatusCode::FORBIDDEN, PasswordProblem::Expired);
        return desk.refuse(page, trouble);
    }
    let name = match new_name(&form.name) {
        Ok(name) => name,
        Err(error) => return desk.refuse_name(page, error.saying()),
    };
    let new = match prepare(&desk.accounts, &name, form.new, &form.again).await {
        Ok(new) => new,
        Err(trouble) => return desk.refuse(page, trouble),
    };
    // Only now it is said whether a name is taken, and whoever asks for many waits.
    let sign_in = hub.sign_in();
    let counted = match sign_in.begin_unnamed(info.address).await {
        Ok(counted) => counted,
        Err(refused) => return desk.refuse(page, Trouble::of(refused)),
    };
    let made = make(&desk, &form.invitation, &name, &new).await?;
    if !matches!(made, Made::Taken) {
        sign_in.no_guess(counted).await;
    }
    match made {
        Made::Yes(invitation) => {
            let (id, by, address) = (invitation.id, invitation.made_by, info.address);
            tracing::info!(user = %name, %address, invitation = id, by, "account made by an invitation");
            let done = SignUpPage {
                state: SignUpState::Done,
                name: name.to_string(),
                ..page
            };
            desk.answer(StatusCode::OK, done)
        }
        Made::Taken => desk.refuse_name(page, say!("person.name_not_free", name = name.as_str())),
        Made::Gone => desk.gone(),
    }
}

enum Made {
    Yes(Invitation),
    /// The name is somebody's, or kept for somebody.
    Taken,
    /// Another one used the invitation meanwhile, or it was taken back.
    Gone,
}

async fn make(
    desk: &Desk<'_>,
    secret: &str,
    name: &UserName,
    new: &NewPassword,
) -> ApiResult<Made> {
    let (hub, now) = (desk.hub, desk.hub.now());
    let mut tx = hub.db().write().await?;
    let Some(invitation) = invitations::find(&mut tx, secret, now).await? else {
        tx.rollback().await?;
        return Ok(Made::Gone);
    };
    if is_spoken_for(hub, &mut tx, name, &invitation.groups()).await? {
        tx.rollback().await?;
        return Ok(Made::Taken);
    }
    let Some(user) = users::create(&mut tx, name, now).await? else {
        tx.rollback().await?;
        return Ok(Made::Taken);
    };
    let Some(invitation) = invitations::take(&mut tx, secret, now).await? else {
        tx.rollback().await?;
        return Ok(Made::Gone);
    };
    let doer = Doer::person(name).at(Some(desk.info.address));
    let act = Act::new(&doer, What::InvitationUsed)
        .about(&user)
        .with("invitation", &invitation.id)
        .with("made_by", &invitation.made_by);
    audit::note(&mut tx, act, now).await?;
    desk.accounts.put(&mut tx, name, new).await?;
    for group in invitation.groups() {
        // It may have been deleted since.
        if !is_platforms(&group) && db::groups::find(&mut tx, &group).await?.is_some() {
            db::groups::add_member(&mut tx, &group, &user.id).await?;
            let (grants, her) = (&hub.settings().grants, std::slice::from_ref(name));
            groups::announce(&mut tx, grants, &group, her, now).await?;
        }
    }
    tx.commit().await?;
    proxy::pass_on(hub).await;
    Ok(Made::Yes(invitation))
}

/// Whether a name belongs to somebody, or is meant for somebody: the configuration gives it something, a course
/// file names it, it is that of a seat in an exam, or it may not come in. Whoever chose such a name would be
/// taken for her.
async fn is_spoken_for(
    hub: &Hub,
    tx: &mut Tx,
    name: &UserName,
    groups: &[String],
) -> ApiResult<bool> {
    if db::users::find(tx, name).await?.is_some()
        || local::is_there(tx, name).await?
        || sittings::keeps(tx, name, hub.now()).await?
    {
        return Ok(true);
    }
    let settings = hub.settings();
    let grants = &settings.grants;
    let mut roles = grants.roles_of_user(name, false);
    roles.remove(USER);
    Ok(!roles.is_empty()
        || settings.admission.admins.contains(name)
        || grants.groups_naming(name).next().is_some()
        || !hub.shelf().roles_of(name, &[]).is_empty()
        || !settings.admission.lets_in(name, groups))
}

/// One page, in all that can come of it.
struct Desk<'a> {
    hub: &'a Hub,
    headers: &'a HeaderMap,
    info: &'a RequestInfo,
    caller: Option<&'a Caller>,
    accounts: LocalAccounts,
}

impl<'a> Desk<'a> {
    fn new(
        hub: &'a Hub,
        caller: Option<&'a Caller>,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
    ) -> ApiResult<Self> {
        Ok(Self {
            hub,
            headers,
            info,
            caller,
            accounts: by_invitation(hub)?,
        })
    }

    fn form(&self, invitation: &str, name: &str) -> SignUpPage {
        let name = name.chars().filter(|c| !c.is_control()).take(128);
        SignUpPage {
            page: frame(self.hub, self.caller, self.info),
            invitation: invitation.to_owned(),
            name: name.collect(),
            shortest: self.accounts.shortest().try_into().unwrap_or(u64::MAX),
            ..SignUpPage::default()
        }
    }

    fn gone(&self) -> ApiResult<Response> {
        let page = SignUpPage {
            state: SignUpState::Gone,
            ..self.form("", "")
        };
        self.answer(StatusCode::NOT_FOUND, page)
    }

    fn refuse(&self, page: SignUpPage, trouble: Trouble) -> ApiResult<Response> {
        let page = SignUpPage {
            problem: Some(trouble.problem),
            wait_seconds: trouble.wait,
            ..page
        };
        self.answer(trouble.status, page)
    }

    fn refuse_name(&self, page: SignUpPage, why: Saying) -> ApiResult<Response> {
        let lang = language(self.hub, self.headers);
        let page = SignUpPage {
            name_problem: Some(why.sentence(lang)),
            ..page
        };
        self.answer(StatusCode::BAD_REQUEST, page)
    }

    fn answer(&self, status: StatusCode, page: SignUpPage) -> ApiResult<Response> {
        let Self { hub, info, .. } = *self;
        let mut response = html(hub, self.headers, status, "sign_up.html", &page)?;
        if let Some(seconds) = page.wait_seconds {
            (response.headers_mut()).insert(header::RETRY_AFTER, seconds.into());
        }
        let binding = match self.caller.map(|caller| &caller.credential) {
            Some(Credential::Session { binding, .. }) => Binding::Session(binding),
            _ => Binding::Anonymous(info),
        };
        super::set_xsrf(hub, &mut response, binding, super::secure(hub, info));
        Ok(response)
    }
}
