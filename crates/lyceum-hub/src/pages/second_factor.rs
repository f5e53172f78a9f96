//! One's own second step: set up an app, take another one, get new recovery codes, switch it off.
//!
//! Whoever sits at somebody's open browser gains nothing: an app is set up by the password besides, and
//! everything else is done by a code.

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::half_way::SetUp;
use lyceum_auth::second_factor::{self, Asked, CodeRefused, Doer, Happened, What};
use lyceum_auth::totp::{Key, outline};
use lyceum_auth::{Refused, SecondFactors};
use lyceum_model::say;
use lyceum_model::secret::Secret;
use lyceum_store::Tx;
use lyceum_web::page::contexts::second_factor::{
    KeyToShow, SecondFactorEvent, SecondFactorPage, SecondFactorProblem, SecondFactorState,
};
use lyceum_web::page::contexts::sessions::SecondStep;
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::login::let_in;
use super::password::came_by_password;
use super::second_step::{factors, mark};
use super::{frame, html};
use crate::audit::{self, Act};
use crate::db::users::User;
use crate::visit::SignedIn;
use crate::{Hub, db};

const PATH: &str = "/hub/second-factor";
/// On the page of sessions for so long.
const NEWS_MS: i64 = 7 * 24 * 3_600_000;
/// When everybody does it at once, how long to wait before the next try.
const BUSY_SECONDS: u64 = 5;

pub(super) fn routes() -> Routes<Hub> {
    Routes::default()
        .public(
            Method::GET,
            PATH,
            "whoever is not signed in is sent to the log-in page",
            show,
        )
        .scoped(Method::POST, PATH, change)
}

async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let desk = Desk::open(&hub, &caller, &info, &headers).await?;
    desk.look(None).await
}

#[derive(Deserialize)]
struct Wish {
    #[serde(default, rename = "do")]
    what: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    set_up: String,
}

async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(wish): Form<Wish>,
) -> ApiResult<Response> {
    let desk = Desk::open(&hub, &caller, &info, &headers).await?;
    match wish.what.as_str() {
        "set_up" => desk.set_up(wish).await,
        "move" => desk.begin_move(&wish.code).await,
        "codes" => desk.new_codes(&wish.code).await,
        "off" => desk.switch_off(&wish.code).await,
        _ => Err(ApiError::bad_request(say!("admin.no_such_action"))),
    }
}

/// What the page of sessions says of it.
pub(super) async fn on_sessions(hub: &Hub, caller: &Caller) -> ApiResult<Option<SecondStep>> {
    if factors(hub).is_err() || !came_by_password(hub, caller).await? {
        return Ok(None);
    }
    let id = &caller.person()?.id;
    let mut tx = hub.db().read().await?;
    let on = second_factor::is_on(&mut tx, id).await?;
    let events = second_factor::events(&mut tx, id, hub.now()).await?;
    let since = hub.now().plus(-NEWS_MS).0;
    let news = events.into_iter().filter(|one| one.at >= since);
    let news = news.map(event).collect();
    Ok(Some(SecondStep { on, news }))
}

fn event(happened: Happened) -> SecondFactorEvent {
    SecondFactorEvent {
        what: happened.what,
        who: happened.doer,
        address: happened.address,
        at: happened.at,
    }
}

/// A key as a page shows it.
pub(super) fn key_to_show(hub: &Hub, key: &Key, name: &str, sealed: String) -> KeyToShow {
    let address = key.address(&hub.settings().site_name, name);
    // A name of a site that no QR code holds is left to the fingers.
    let (outline, width) = outline(&address).unwrap_or_default();
    KeyToShow {
        text: key.text(),
        outline,
        width: width.try_into().unwrap_or_default(),
        address,
        sealed,
    }
}

/// What came in the way.
pub(super) struct Trouble {
    status: StatusCode,
    problem: SecondFactorProblem,
    wait: Option<u64>,
}

impl Trouble {
    fn is(status: StatusCode, problem: SecondFactorProblem) -> Self {
        Self {
            status,
            problem,
            wait: None,
        }
    }

    pub(super) fn expired() -> Self {
        Self::is(StatusCode::FORBIDDEN, SecondFactorProblem::Expired)
    }

    fn wait(status: StatusCode, seconds: u64) -> Self {
        Self {
            wait: Some(seconds),
            ..Self::is(status, SecondFactorProblem::Wait)
        }
    }

    fn internal(error: &anyhow::Error) -> Self {
        tracing::error!(
            error = format!("{error:#}"),
            "a second factor could not be looked at"
        );
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::is(status, SecondFactorProblem::Unavailable)
    }

    pub(super) fn of(refused: CodeRefused) -> Self {
        match refused {
            CodeRefused::Wrong => Self::is(StatusCode::FORBIDDEN, SecondFactorProblem::Wrong),
            CodeRefused::Used => Self::is(StatusCode::FORBIDDEN, SecondFactorProblem::Used),
            CodeRefused::Gone => Self::expired(),
            CodeRefused::TooMany { retry_after } => {
                Self::wait(StatusCode::TOO_MANY_REQUESTS, retry_after.into())
            }
            CodeRefused::Internal(error) => Self::internal(&error),
        }
    }

    fn of_password(refused: Refused) -> Self {
        match refused {
            Refused::TooMany { retry_after } => {
                Self::wait(StatusCode::TOO_MANY_REQUESTS, retry_after.into())
            }
            Refused::Busy => Self::wait(StatusCode::SERVICE_UNAVAILABLE, BUSY_SECONDS),
            Refused::Internal(error) => Self::internal(&error),
            _ => Self::is(StatusCode::FORBIDDEN, SecondFactorProblem::Password),
        }
    }
}

/// The page, with what came in the way.
pub(super) fn answer(
    hub: &Hub,
    headers: &HeaderMap,
    info: &RequestInfo,
    caller: Option<&Caller>,
    mut page: SecondFactorPage,
    trouble: Option<Trouble>,
) -> ApiResult<Response> {
    let status = trouble.as_ref().map_or(StatusCode::OK, |one| one.status);
    page.problem = trouble.as_ref().map(|one| one.problem);
    page.wait_seconds = trouble.as_ref().and_then(|one| one.wait);
    let mut response = html(hub, headers, status, "second_factor.html", &page)?;
    if let Some(seconds) = page.wait_seconds {
        (response.headers_mut()).insert(header::RETRY_AFTER, seconds.into());
    }
    let binding = match caller.map(|caller| &caller.credential) {
        Some(Credential::Session { binding, .. }) => Binding::Session(binding),
        _ => Binding::Anonymous(info),
    };
    super::set_xsrf(hub, &mut response, binding, super::secure(hub, info));
    Ok(response)
}

/// One page, in all that can come of it.
struct Desk<'a> {
    hub: &'a Hub,
    headers: &'a HeaderMap,
    info: &'a RequestInfo,
    caller: &'a Caller,
    factors: SecondFactors,
    user: User,
    session: &'a str,
}

impl<'a> Desk<'a> {
    /// For whoever came in by a password; others have their second step where they come from.
    async fn open(
        hub: &'a Hub,
        caller: &'a Caller,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
    ) -> ApiResult<Self> {
        let factors = factors(hub)?;
        let Credential::Session { id: session, .. } = &caller.credential else {
            return Err(ApiError::not_found());
        };
        if !came_by_password(hub, caller).await? {
            return Err(ApiError::not_found());
        }
        let mut tx = hub.db().read().await?;
        let user = db::users::get(&mut tx, &caller.person()?.id).await?;
        drop(tx);
        Ok(Self {
            hub,
            headers,
            info,
            caller,
            factors,
            user: user.ok_or_else(ApiError::not_found)?,
            session,
        })
    }

    fn say(&self, page: SecondFactorPage, trouble: Option<Trouble>) -> ApiResult<Response> {
        let Self {
            hub, headers, info, ..
        } = *self;
        let page = SecondFactorPage {
            page: frame(hub, Some(self.caller), info),
            name: self.user.name.to_string(),
            ..page
        };
        answer(hub, headers, info, Some(self.caller), page, trouble)
    }

    /// What she has; nothing yet: a key for an app.
    async fn look(&self, trouble: Option<Trouble>) -> ApiResult<Response> {
        let mut tx = self.hub.db().read().await?;
        let state = second_factor::state(&mut tx, &self.user.id).await?;
        let events = second_factor::events(&mut tx, &self.user.id, self.hub.now()).await?;
        let required = crate::second_factor::is_required(self.hub, &mut tx, &self.user).await?;
        drop(tx);
        let page = SecondFactorPage {
            events: events.into_iter().map(event).collect(),
            required,
            ..SecondFactorPage::default()
        };
        let Some(state) = state else {
            return self.show_key(page, self.new_set_up(None), trouble);
        };
        let page = SecondFactorPage {
            state: SecondFactorState::On,
            since: Some(state.since.0),
            codes_left: state.codes_left,
            ..page
        };
        self.say(page, trouble)
    }

    fn new_set_up(&self, instead_of: Option<i64>) -> SetUp {
        SetUp {
            user_id: self.user.id.clone(),
            session: self.session.to_owned(),
            key: Some(Key::new()),
            instead_of,
        }
    }

    fn show_key(
        &self,
        page: SecondFactorPage,
        set_up: SetUp,
        trouble: Option<Trouble>,
    ) -> ApiResult<Response> {
        let asks_password = set_up.instead_of.is_none();
        let sealed = self.factors.seal_set_up(set_up.clone());
        let name = self.user.name.as_str();
        let key = set_up.key.as_ref();
        let page = SecondFactorPage {
            state: SecondFactorState::SetUp,
            key: key.map(|key| key_to_show(self.hub, key, name, sealed)),
            asks_password,
            ..page
        };
        self.say(page, trouble)
    }

    fn show_codes(&self, codes: &[Secret]) -> ApiResult<Response> {
        let page = SecondFactorPage {
            state: SecondFactorState::Codes,
            codes: codes.iter().map(|code| code.expose().to_owned()).collect(),
            next: self.hub.at(PATH),
            ..SecondFactorPage::default()
        };
        self.say(page, None)
    }

    async fn set_up(&self, wish: Wish) -> ApiResult<Response> {
        let set_up = self.factors.open_set_up(&wish.set_up);
        let set_up = set_up
            .filter(|set_up| set_up.user_id == self.user.id && set_up.session == self.session);
        let Some(set_up) = set_up else {
            return self.look(Some(Trouble::expired())).await;
        };
        let Some(key) = &set_up.key else {
            return self.look(Some(Trouble::expired())).await;
        };
        let again = |trouble| {
            let page = SecondFactorPage::default();
            self.show_key(page, set_up.clone(), Some(trouble))
        };
        if set_up.instead_of.is_none()
            && let Err(refused) = self.confirm(Secret::new(wish.password)).await
        {
            return again(Trouble::of_password(refused));
        }
        let mut tx = self.still().await?;
        let id = &self.user.id;
        let done = match set_up.instead_of {
            None => self.factors.set_up(&mut tx, id, key, &wish.code).await,
            Some(before) => {
                let instead = (key, before);
                self.factors.move_to(&mut tx, id, instead, &wish.code).await
            }
        };
        let codes = match done {
            Ok(codes) => codes,
            Err(CodeRefused::Gone) => {
                tx.rollback().await?;
                return self.look(Some(Trouble::expired())).await;
            }
            Err(refused) => {
                tx.rollback().await?;
                return again(Trouble::of(refused));
            }
        };
        let what = match set_up.instead_of {
            None => What::SetUp,
            Some(_) => What::Moved,
        };
        self.note(tx, what).await?;
        self.show_codes(&codes)
    }

    /// Her password once more; by whichever method, it must be she who comes of it.
    async fn confirm(&self, password: Secret) -> Result<(), Refused> {
        let (sign_in, name) = (self.hub.sign_in(), self.user.name.as_str());
        let proven = sign_in.prove(name, password, self.info.address).await?;
        let identity = let_in(self.hub, proven, self.info.address).await?;
        match identity.name == self.user.name {
            true => Ok(()),
            false => Err(Refused::Credentials),
        }
    }

    async fn begin_move(&self, code: &str) -> ApiResult<Response> {
        if let Err(refused) = self.prove(code).await {
            return self.look(Some(Trouble::of(refused))).await;
        }
        let mut tx = self.hub.db().read().await?;
        let state = second_factor::state(&mut tx, &self.user.id).await?;
        drop(tx);
        match state {
            Some(state) => {
                let set_up = self.new_set_up(Some(state.since.0));
                self.show_key(SecondFactorPage::default(), set_up, None)
            }
            None => self.look(Some(Trouble::expired())).await,
        }
    }

    async fn new_codes(&self, code: &str) -> ApiResult<Response> {
        if let Err(refused) = self.prove(code).await {
            return self.look(Some(Trouble::of(refused))).await;
        }
        let mut tx = self.still().await?;
        let codes = match self.factors.give_codes(&mut tx, &self.user.id).await {
            Ok(codes) => codes,
            Err(refused) => {
                tx.rollback().await?;
                return self.look(Some(Trouble::of(refused))).await;
            }
        };
        self.note(tx, What::NewCodes).await?;
        self.show_codes(&codes)
    }

    async fn switch_off(&self, code: &str) -> ApiResult<Response> {
        let mut tx = self.hub.db().read().await?;
        let required = crate::second_factor::is_required(self.hub, &mut tx, &self.user).await?;
        drop(tx);
        if required {
            let trouble = Trouble::is(StatusCode::FORBIDDEN, SecondFactorProblem::Required);
            return self.look(Some(trouble)).await;
        }
        if let Err(refused) = self.prove(code).await {
            return self.look(Some(Trouble::of(refused))).await;
        }
        let mut tx = self.still().await?;
        second_factor::remove(&mut tx, &self.user.id).await?;
        self.note(tx, What::SwitchedOff).await?;
        Ok(super::to(self.hub, super::sessions::PAGE))
    }

    async fn prove(&self, code: &str) -> Result<(), CodeRefused> {
        let mut tx = self.hub.db().read().await.map_err(anyhow::Error::from)?;
        let password = mark(self.hub, &mut tx, &self.user).await?;
        drop(tx);
        let asked = Asked {
            user_id: &self.user.id,
            password: &password,
            address: self.info.address,
        };
        let turn = self.factors.begin(asked).await?;
        let tx = self.still().await;
        let tx = tx.map_err(|error| anyhow::anyhow!("{}", error.message))?;
        self.factors.prove(tx, turn, code).await?;
        Ok(())
    }

    /// A transaction in which she stays.
    async fn still(&self) -> ApiResult<Tx> {
        let mut tx = self.hub.db().write().await?;
        db::servers::lock_owner(&mut tx, &self.user.id).await?;
        Ok(tx)
    }

    async fn note(&self, mut tx: Tx, what: What) -> ApiResult<()> {
        let doer = Doer::At(self.info.address);
        let now = self.hub.now();
        second_factor::note(&mut tx, &self.user.id, what, doer, now).await?;
        let in_audit = match what {
            What::SetUp | What::Moved => Some(audit::What::SecondFactorOn),
            What::SwitchedOff | What::TakenOff => Some(audit::What::SecondFactorOff),
            _ => None,
        };
        if let Some(what) = in_audit {
            let doer = audit::Doer::person(&self.user.name).at(Some(self.info.address));
            audit::note(&mut tx, Act::new(&doer, what).about(&self.user), now).await?;
        }
        tx.commit().await?;
        let (user, address) = (&self.user.name, self.info.address);
        tracing::info!(%user, %address, ?what, "second factor changed");
        Ok(())
    }
}
