//! Somebody comes from a platform in a browser where somebody else is logged in. It may be a shared machine, and
//! it may be a form that somebody planted: the one who is here is asked before her session ends.

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_auth::Refused;
use lyceum_model::identity::Identity;
use lyceum_model::say;
use lyceum_web::page::contexts::LtiOtherPage;
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Person};
use serde::Deserialize;

use super::super::login::{Way, come_in};
use super::super::{frame, html};
use crate::Hub;
use crate::db::users::User;

/// Where she goes on.
pub(super) const PATH: &str = "/hub/lti13/other";

/// Whoever is logged in in this browser.
pub(super) struct Present<'a> {
    caller: &'a Caller,
    person: &'a Person,
    session: &'a str,
}

/// Whoever comes, and as what.
pub(super) struct Comes<'a> {
    pub(super) user: &'a User,
    pub(super) identity: &'a Identity,
    pub(super) next: &'a str,
    pub(super) method: &'a str,
    /// What the platform is called.
    pub(super) platform: String,
}

/// Whoever else is logged in here.
pub(super) fn present<'a>(caller: Option<&'a Caller>, user: &User) -> Option<Present<'a>> {
    let caller = caller?;
    let person = caller.person().ok()?;
    match &caller.credential {
        Credential::Session { id, .. } if person.id != user.id => Some(Present {
            caller,
            person,
            session: id,
        }),
        _ => None,
    }
}

pub(super) fn ask(
    hub: &Hub,
    present: Present<'_>,
    info: &RequestInfo,
    headers: &HeaderMap,
    comes: &Comes<'_>,
) -> ApiResult<Response> {
    let Present {
        caller,
        person,
        session,
    } = present;
    let sign_in = hub.sign_in();
    let held = sign_in.hold(comes.identity, comes.next, comes.method, session);
    let called = |display: &Option<String>, name: String| display.clone().unwrap_or(name);
    let page = LtiOtherPage {
        page: frame(hub, Some(caller), info),
        platform: comes.platform.clone(),
        present: called(&person.display_name, person.name.to_string()),
        name: called(&comes.user.display_name, comes.user.name.to_string()),
        action: hub.at(PATH),
        held: held.unwrap_or_default(),
    };
    html(hub, headers, StatusCode::OK, "lti_other.html", &page)
}

#[derive(Deserialize)]
pub(super) struct GoesOn {
    #[serde(default)]
    held: String,
}

/// Somebody else goes on here: the session that there was ends.
pub(super) async fn go_on(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<GoesOn>,
) -> ApiResult<Response> {
    let Credential::Session { id, .. } = &caller.credential else {
        return Err(ApiError::forbidden(say!("refused.for_browsers")));
    };
    let resumed = hub.sign_in().resume(&form.held, id).await;
    let way = Way {
        caller: Some(&caller),
        info: &info,
        headers: &headers,
        next: "",
        method: None,
        grant: None,
        username: "",
        ticket: None,
    };
    match resumed {
        Ok(held) => {
            let way = Way {
                next: &held.next,
                method: Some(&held.method),
                ..way
            };
            come_in(&hub, Ok(held.identity), way).await
        }
        Err(Refused::Expired) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            say!("refused.lti_other_gone"),
        )),
        Err(refused) => come_in(&hub, Err(refused), way).await,
    }
}
