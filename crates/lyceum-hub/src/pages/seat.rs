//! Coming in with a code on paper: one field. The picture on the sheet leads here with the code behind a
//! `#`, which browsers keep to themselves, so that it is in no log.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::Refused;
use lyceum_auth::local;
use lyceum_auth::otp::{Code, NoCode};
use lyceum_store::Tx;
use lyceum_web::page::contexts::sittings::{SeatPage, SeatProblem};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiResult, Caller, Credential};
use serde::Deserialize;

use super::login::{NextQuery, Way, come_in, has_power_in_courses, is_foreign, let_in};
use super::{frame, html};
use crate::db::users::User;
use crate::sittings::{self, METHOD, Ticket, Unfit};
use crate::{Hub, db, second_factor, users};

/// Where the code is typed.
pub(super) const PATH: &str = "/hub/login/seat";
/// When everybody signs in at once, how long to wait before the next try.
const BUSY_SECONDS: u64 = 5;

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .public(Method::GET, PATH, "where a code is typed", show)
        .public(
            Method::POST,
            PATH,
            "whoever has a code comes in by it",
            come,
        )
}

async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<NextQuery>,
) -> ApiResult<Response> {
    let desk = Desk {
        hub: &hub,
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
        next: &query.next,
    };
    desk.answer(StatusCode::OK, SeatPage::default())
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
    #[serde(default, rename = "_xsrf")]
    xsrf: String,
}

async fn come(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> ApiResult<Response> {
    let desk = Desk {
        hub: &hub,
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
        next: &typed.next,
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &typed.xsrf) {
        return desk.refuse(StatusCode::FORBIDDEN, SeatProblem::Expired);
    }
    let code = match Code::parse(&typed.code) {
        Ok(code) => code,
        Err(NoCode::Length) => return desk.refuse(StatusCode::BAD_REQUEST, SeatProblem::Length),
        Err(NoCode::Slip) => return desk.refuse(StatusCode::BAD_REQUEST, SeatProblem::Slip),
    };
    let sign_in = hub.sign_in();
    let counted = match sign_in.begin_code(info.address).await {
        Ok(counted) => counted,
        Err(refused) => return desk.tell(refused),
    };
    let mut tx = hub.db().read().await?;
    let found = sittings::look_up(&mut tx, hub.code_key(), &code, info.address, hub.now()).await?;
    drop(tx);
    let Some(found) = found else {
        tracing::info!(address = %info.address, "sign-in refused: no such code");
        return desk.refuse(StatusCode::FORBIDDEN, SeatProblem::Unknown);
    };
    sign_in.is_a_code(counted).await;
    let ticket = match found {
        Ok(ticket) => ticket,
        Err(unfit) => {
            tracing::info!(address = %info.address, ?unfit, "sign-in refused: a code of a sitting is not good here and now");
            return desk.unfit(unfit);
        }
    };
    if !has_account(&hub, &ticket).await? {
        tracing::warn!(user = %ticket.who, address = %info.address, sitting = ticket.sitting.id, "sign-in refused: the account of a code is gone");
        return desk.refuse(StatusCode::FORBIDDEN, SeatProblem::NotAdmitted);
    }
    let proven = sign_in.prove_by_code(ticket.who.clone());
    let identity = let_in(&hub, proven, info.address).await;
    let way = Way {
        caller: caller.as_ref(),
        info: &info,
        headers: &headers,
        next: &typed.next,
        method: Some(METHOD),
        grant: None,
        username: "",
        ticket: Some(&ticket),
    };
    let answer = come_in(&hub, identity, way).await?;
    if answer.status().is_redirection() {
        tracing::info!(
            user = %ticket.who, address = %info.address, sitting = ticket.sitting.id,
            seat = ticket.seat, "came in with a code"
        );
    }
    Ok(answer)
}

/// Only numbered accounts are made by a code: one that it made for somebody, her own way in might not give her.
async fn has_account(hub: &Hub, ticket: &Ticket) -> ApiResult<bool> {
    if ticket.is_numbered {
        return Ok(true);
    }
    let mut tx = hub.db().read().await?;
    let user = db::users::find(&mut tx, &ticket.who).await?;
    Ok(user.is_some() || local::is_there(&mut tx, &ticket.who).await?)
}

/// Uses the code up, unless another was faster, or it is for an account that no code opens: of somebody who may
/// do more than look after herself, or who has a second step, which a sheet would pass by (who makes sheets has
/// named her without knowing that, perhaps); or a numbered one that has become somebody's. Tells why not.
pub(super) async fn kept_out(
    hub: &Hub,
    tx: &mut Tx,
    ticket: &Ticket,
    user: &User,
    session: &str,
    info: &RequestInfo,
) -> ApiResult<Option<SeatProblem>> {
    let settings = hub.settings();
    let in_force = users::InForce {
        grants: &settings.grants,
        admins: &settings.admission.admins,
        has_power_in_courses: has_power_in_courses(hub, tx, &user.name).await?,
        posix: &settings.posix,
    };
    if users::rules_over_others(tx, user, in_force).await? {
        tracing::warn!(user = %user.name, sitting = ticket.sitting.id, "sign-in refused: codes do not open accounts of those who administer or teach");
        return Ok(Some(SeatProblem::Power));
    }
    if ticket.is_numbered {
        if db::identities::lead_to(tx, &user.id).await? || local::is_there(tx, &user.name).await? {
            tracing::warn!(user = %user.name, sitting = ticket.sitting.id, "sign-in refused: another way in leads to this numbered account");
            return Ok(Some(SeatProblem::NotFree));
        }
    } else if second_factor::needed(hub, tx, user).await?.is_some() {
        tracing::warn!(user = %user.name, sitting = ticket.sitting.id, "sign-in refused: codes do not open accounts with a second step");
        return Ok(Some(SeatProblem::SecondStep));
    }
    let taken = ticket.take(tx, user, session, info.address, hub.now());
    Ok((!taken.await?).then_some(SeatProblem::NotNow))
}

/// The code was good, but nobody comes in by it.
pub(super) fn refuse(hub: &Hub, way: &Way<'_>, refused: Refused) -> ApiResult<Response> {
    let desk = Desk {
        hub,
        caller: way.caller,
        info: way.info,
        headers: way.headers,
        next: way.next,
    };
    desk.tell(refused)
}

/// As [`refuse`], in words of its own.
pub(super) fn tell_why(hub: &Hub, way: &Way<'_>, why: SeatProblem) -> ApiResult<Response> {
    let desk = Desk {
        hub,
        caller: way.caller,
        info: way.info,
        headers: way.headers,
        next: way.next,
    };
    desk.refuse(StatusCode::FORBIDDEN, why)
}

/// One page, in all that can come of it.
struct Desk<'a> {
    hub: &'a Hub,
    caller: Option<&'a Caller>,
    info: &'a RequestInfo,
    headers: &'a HeaderMap,
    next: &'a str,
}

impl Desk<'_> {
    fn refuse(&self, status: StatusCode, problem: SeatProblem) -> ApiResult<Response> {
        let problem = Some(problem);
        self.answer(
            status,
            SeatPage {
                problem,
                ..SeatPage::default()
            },
        )
    }

    fn unfit(&self, unfit: Unfit) -> ApiResult<Response> {
        let (problem, at, seat) = match unfit {
            Unfit::Used { at } => (SeatProblem::Used, Some(at.0), None),
            Unfit::TakenBack => (SeatProblem::TakenBack, None, None),
            Unfit::Early { from } => (SeatProblem::Early, Some(from.0), None),
            Unfit::Over { at } => (SeatProblem::Over, Some(at.0), None),
            Unfit::Elsewhere => (SeatProblem::Elsewhere, None, None),
            Unfit::OtherSeat { seat } => (SeatProblem::OtherSeat, None, Some(seat)),
        };
        let page = SeatPage {
            problem: Some(problem),
            at,
            seat,
            ..SeatPage::default()
        };
        self.answer(StatusCode::FORBIDDEN, page)
    }

    fn tell(&self, refused: Refused) -> ApiResult<Response> {
        let wait = |status, seconds| {
            let page = SeatPage {
                problem: Some(SeatProblem::Wait),
                wait_seconds: Some(seconds),
                ..SeatPage::default()
            };
            self.answer(status, page)
        };
        match refused {
            Refused::TooMany { retry_after } => {
                wait(StatusCode::TOO_MANY_REQUESTS, u64::from(retry_after))
            }
            Refused::Busy => wait(StatusCode::SERVICE_UNAVAILABLE, BUSY_SECONDS),
            Refused::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "a code can't be looked at");
                self.refuse(StatusCode::SERVICE_UNAVAILABLE, SeatProblem::Unavailable)
            }
            // Another browser was faster, or it was taken back at this moment.
            Refused::Expired => self.refuse(StatusCode::FORBIDDEN, SeatProblem::NotNow),
            _ => self.refuse(StatusCode::FORBIDDEN, SeatProblem::NotAdmitted),
        }
    }

    fn answer(&self, status: StatusCode, page: SeatPage) -> ApiResult<Response> {
        let Self { hub, info, .. } = *self;
        let wait = page.wait_seconds;
        let next = crate::next::local_target(&hub.base(), self.next, &info.host);
        let page = SeatPage {
            page: frame(hub, self.caller, info),
            next: next.unwrap_or_default(),
            ..page
        };
        let mut response = html(hub, self.headers, status, "seat.html", &page)?;
        if let Some(seconds) = wait {
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
