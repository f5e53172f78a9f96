//! An account of one's own: whoever has an invitation, or reads an address of mail in the right domain, chooses a
//! name that is free, and a password, or whoever comes does; elsewhere she asks for it, and an administrator says
//! yes or no.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_auth::LocalAccounts;
use lyceum_auth::addresses::{self, MailAddress};
use lyceum_auth::config::SignUp;
use lyceum_auth::invitations::{self, Invitation};
use lyceum_auth::local::{self, NewPassword};
use lyceum_auth::sign_ups::{self, Asked, NOTE_MAX};
use lyceum_model::lti::is_platforms;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::password::PasswordProblem;
use lyceum_web::page::contexts::sign_up::{SignUpKind, SignUpPage, SignUpState};
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
use crate::mail::Errand;
use crate::{Hub, db, groups, proxy, sittings, users};

pub(super) const PATH: &str = "/hub/sign-up";

pub(super) fn routes() -> Routes<Hub> {
    let why = "whoever makes an account has none yet";
    Routes::default()
        .public(Method::GET, PATH, why, show)
        .public(Method::POST, PATH, why, sign_up)
}

/// The accounts, if people come to theirs by themselves: then by invitations, too.
pub(super) fn by_invitation(hub: &Hub) -> ApiResult<LocalAccounts> {
    let accounts = way_in(hub)?;
    match accounts.takes_invitations() {
        true => Ok(accounts),
        false => Err(ApiError::not_found()),
    }
}

/// Whether whoever comes by herself can make an account, or ask for one.
pub(super) fn is_open(hub: &Hub) -> bool {
    way_in(hub).is_ok_and(|accounts| match accounts.sign_up() {
        SignUp::Closed | SignUp::Invitation => false,
        SignUp::Approval | SignUp::Open => true,
        SignUp::Domains(_) => hub.mail().is_some(),
    })
}

/// By what somebody comes to an account.
#[derive(Clone, Copy)]
enum Ticket<'a> {
    Invitation(&'a str),
    /// A link that was sent to an address in one of the domains.
    Mail(&'a str),
    /// None: an administrator says yes or no.
    Approval,
    /// None: whoever comes has one.
    Open,
    /// None yet: one is sent to her.
    Address,
}

impl<'a> Ticket<'a> {
    fn of(desk: &Desk<'_>, invitation: &'a str, mail: &'a str) -> Self {
        match desk.accounts.sign_up() {
            _ if !invitation.is_empty() => Self::Invitation(invitation),
            SignUp::Domains(_) if !mail.is_empty() => Self::Mail(mail),
            SignUp::Domains(_) if desk.hub.mail().is_some() => Self::Address,
            SignUp::Approval => Self::Approval,
            SignUp::Open => Self::Open,
            _ => Self::Invitation(""),
        }
    }

    /// What it opens: nothing if it is good no more.
    async fn look(self, desk: &Desk<'_>, tx: &mut Tx) -> ApiResult<Option<SignUpPage>> {
        let now = desk.hub.now();
        Ok(match self {
            Self::Invitation(secret) => {
                let found = invitations::find(tx, secret, now).await?;
                found.map(|_| SignUpPage {
                    invitation: secret.to_owned(),
                    ..desk.form(SignUpKind::Invitation)
                })
            }
            Self::Mail(secret) => {
                let found = addresses::find_sign_up(tx, secret, now).await?;
                let found = found.filter(|address| desk.takes(address));
                found.map(|address| SignUpPage {
                    mail: secret.to_owned(),
                    address: address.to_string(),
                    ..desk.form(SignUpKind::Mail)
                })
            }
            Self::Approval => Some(desk.form(SignUpKind::Approval)),
            Self::Open => Some(desk.form(SignUpKind::Open)),
            Self::Address => Some(desk.form(SignUpKind::Address)),
        })
    }
}

#[derive(Deserialize)]
struct SignUpQuery {
    #[serde(default)]
    invitation: String,
    #[serde(default)]
    mail: String,
}

/// Looking at it does not use it up.
async fn show(
    State(hub): State<Hub>,
    caller: Option<Caller>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<SignUpQuery>,
) -> ApiResult<Response> {
    let desk = Desk::new(&hub, caller.as_ref(), &info, &headers)?;
    let mut tx = hub.db().read().await?;
    let ticket = Ticket::of(&desk, &query.invitation, &query.mail);
    let page = ticket.look(&desk, &mut tx).await?;
    drop(tx);
    match page {
        Some(page) => desk.answer(StatusCode::OK, page),
        None => desk.gone(),
    }
}

#[derive(Deserialize)]
struct SignUpForm {
    #[serde(default)]
    invitation: String,
    #[serde(default)]
    mail: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    note: String,
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
    let ticket = Ticket::of(&desk, &form.invitation, &form.mail);
    let mut tx = hub.db().read().await?;
    let found = ticket.look(&desk, &mut tx).await?;
    drop(tx);
    let Some(page) = found else {
        return desk.gone();
    };
    let page = SignUpPage {
        name: shown(&form.name, 128),
        note: shown(&form.note, NOTE_MAX),
        ..page
    };
    if caller.is_none() && is_foreign(&hub, &headers, &info, &form.xsrf) {
        let trouble = Trouble::is(StatusCode::FORBIDDEN, PasswordProblem::Expired);
        return desk.refuse(page, trouble);
    }
    let sign_in = hub.sign_in();
    if let Ticket::Address = ticket {
        return desk.send_ticket(page, &form.address).await;
    }
    if let Ticket::Approval | Ticket::Open = ticket {
        // Whoever has nothing to show makes work for an administrator, and for the machine.
        if let Err(refused) = sign_in.begin_errand(info.address).await {
            return desk.refuse(page, Trouble::of(refused));
        }
    }
    if let Ticket::Approval = ticket {
        let note = form.note.trim();
        if note.chars().count() > NOTE_MAX || note.chars().any(char::is_control) {
            return desk.refuse_name(page, say!("sign_up.long_note", most = NOTE_MAX));
        }
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
    let counted = match sign_in.begin_unnamed(info.address).await {
        Ok(counted) => counted,
        Err(refused) => return desk.refuse(page, Trouble::of(refused)),
    };
    let made = make(&desk, ticket, &name, &new, form.note.trim()).await?;
    if !matches!(made, Made::Taken) {
        sign_in.no_guess(counted).await;
    }
    let address = info.address;
    let state = match made {
        Made::Invited(invitation) => {
            let (id, by) = (invitation.id, invitation.made_by);
            tracing::info!(user = %name, %address, invitation = id, by, "account made by an invitation");
            SignUpState::Done
        }
        Made::Mailed(mailbox) => {
            tracing::info!(user = %name, %address, %mailbox, "account made by an address of mail");
            SignUpState::Done
        }
        Made::Alone => {
            tracing::info!(user = %name, %address, "account made by whoever came");
            SignUpState::Done
        }
        Made::Waits => {
            tracing::info!(user = %name, %address, "somebody asks for an account");
            SignUpState::Waits
        }
        Made::Taken => {
            let why = say!("person.name_not_free", name = name.as_str());
            return desk.refuse_name(page, why);
        }
        Made::Full => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return desk.refuse_with(page, status, say!("sign_up.full"));
        }
        Made::Gone => return desk.gone(),
    };
    let done = SignUpPage {
        state,
        name: name.to_string(),
        ..page
    };
    desk.answer(StatusCode::OK, done)
}

/// What was typed, as it is shown once more.
fn shown(text: &str, most: usize) -> String {
    let text = text.chars().filter(|c| !c.is_control());
    text.take(most).collect()
}

enum Made {
    Invited(Invitation),
    Mailed(MailAddress),
    Alone,
    /// An administrator decides.
    Waits,
    /// The name is somebody's, or kept for somebody.
    Taken,
    /// Too many wait.
    Full,
    /// Another one used the link meanwhile, or it was taken back.
    Gone,
}

async fn make(
    desk: &Desk<'_>,
    ticket: Ticket<'_>,
    name: &UserName,
    new: &NewPassword,
    note: &str,
) -> ApiResult<Made> {
    if is_of_the_machine(desk.hub, name).await {
        return Ok(Made::Taken);
    }
    match ticket {
        Ticket::Invitation(secret) => make_invited(desk, secret, name, new).await,
        Ticket::Mail(secret) => make_mailed(desk, secret, name, new).await,
        Ticket::Approval => ask(desk, name, new, note).await,
        Ticket::Open => make_alone(desk, name, new).await,
        Ticket::Address => Ok(Made::Gone),
    }
}

async fn make_invited(
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
    Ok(Made::Invited(invitation))
}

/// By a link that was sent to an address: one account for each.
async fn make_mailed(
    desk: &Desk<'_>,
    secret: &str,
    name: &UserName,
    new: &NewPassword,
) -> ApiResult<Made> {
    let hub = desk.hub;
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    // The link goes first: of two who use it at once one comes this far, whatever names they want.
    let address = addresses::take_sign_up(&mut tx, secret, now).await?;
    let Some(address) = address.filter(|address| desk.takes(address)) else {
        tx.rollback().await?;
        return Ok(Made::Gone);
    };
    if !addresses::names(&mut tx, &address).await?.is_empty() {
        tx.rollback().await?;
        return Ok(Made::Gone);
    }
    if is_spoken_for(hub, &mut tx, name, &[]).await? {
        tx.rollback().await?;
        return Ok(Made::Taken);
    }
    let Some(user) = users::create(&mut tx, name, now).await? else {
        tx.rollback().await?;
        return Ok(Made::Taken);
    };
    let doer = Doer::person(name).at(Some(desk.info.address));
    let act = Act::new(&doer, What::SignedUp)
        .about(&user)
        .with("by", "mail")
        .with("mail", &address);
    audit::note(&mut tx, act, now).await?;
    desk.accounts.put(&mut tx, name, new).await?;
    addresses::put(&mut tx, name, &address, name.as_str(), Some(now)).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    Ok(Made::Mailed(address))
}

/// By nothing at all.
async fn make_alone(desk: &Desk<'_>, name: &UserName, new: &NewPassword) -> ApiResult<Made> {
    let (hub, now) = (desk.hub, desk.hub.now());
    // Who is let in by her name may come by another way yet.
    let allow = &hub.settings().admission.allow;
    let is_awaited = allow
        .as_ref()
        .is_some_and(|allow| allow.people.contains(name));
    let mut tx = hub.db().write().await?;
    if is_awaited
        || sign_ups::is_waiting(&mut tx, name, now).await?
        || is_spoken_for(hub, &mut tx, name, &[]).await?
    {
        tx.rollback().await?;
        return Ok(Made::Taken);
    }
    let Some(user) = users::create(&mut tx, name, now).await? else {
        tx.rollback().await?;
        return Ok(Made::Taken);
    };
    let doer = Doer::person(name).at(Some(desk.info.address));
    let act = Act::new(&doer, What::SignedUp).about(&user);
    audit::note(&mut tx, act, now).await?;
    desk.accounts.put(&mut tx, name, new).await?;
    tx.commit().await?;
    proxy::pass_on(hub).await;
    Ok(Made::Alone)
}

async fn ask(desk: &Desk<'_>, name: &UserName, new: &NewPassword, note: &str) -> ApiResult<Made> {
    let (hub, now) = (desk.hub, desk.hub.now());
    let mut tx = hub.db().write().await?;
    if is_spoken_for(hub, &mut tx, name, &[]).await? {
        tx.rollback().await?;
        return Ok(Made::Taken);
    }
    let made = match sign_ups::ask(&mut tx, name, new, note, now).await? {
        Asked::Waits(_) => {
            // She is nobody yet.
            let doer = Doer::nobody().at(Some(desk.info.address));
            let act = Act::new(&doer, What::SignUpAsked)
                .with("name", name)
                .with("note", note);
            audit::note(&mut tx, act, now).await?;
            Made::Waits
        }
        Asked::Taken => Made::Taken,
        Asked::Full => Made::Full,
    };
    tx.commit().await?;
    Ok(made)
}

/// Whether a name is that of an account of the machine, under which its owner's server would run. Asked outside of
/// transactions: the machine may have to ask a directory elsewhere, and others wait to write meanwhile.
pub(super) async fn is_of_the_machine(hub: &Hub, name: &UserName) -> bool {
    hub.planner().is_of_the_machine(name).await
}

/// Whether a name belongs to somebody, or is meant for somebody: the configuration gives it something, a course
/// file or the exchange names it, it is that of a seat in an exam, or it may not come in. Whoever chose such a
/// name would be taken for her. Beside this goes [`is_of_the_machine`].
pub(super) async fn is_spoken_for(
    hub: &Hub,
    tx: &mut Tx,
    name: &UserName,
    groups: &[String],
) -> ApiResult<bool> {
    if db::users::find(tx, name).await?.is_some()
        || local::is_there(tx, name).await?
        || sittings::keeps(tx, name, hub.now()).await?
        || hub.shelf().is_named(tx, name).await?
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

    /// Whether whoever reads this address makes an account.
    fn takes(&self, address: &MailAddress) -> bool {
        self.accounts.sign_up().takes_domain(address.domain())
    }

    fn form(&self, kind: SignUpKind) -> SignUpPage {
        let domains = match self.accounts.sign_up() {
            SignUp::Domains(domains) => domains.clone(),
            _ => Vec::new(),
        };
        SignUpPage {
            page: frame(self.hub, self.caller, self.info),
            kind,
            domains,
            shortest: self.accounts.shortest().try_into().unwrap_or(u64::MAX),
            ..SignUpPage::default()
        }
    }

    /// A link goes to an address, if it is in one of the domains; the answer is the same whether somebody has
    /// an account by it.
    async fn send_ticket(&self, page: SignUpPage, typed: &str) -> ApiResult<Response> {
        let page = SignUpPage {
            address: shown(typed, 254),
            ..page
        };
        let address = match MailAddress::parse(typed) {
            Ok(address) if self.takes(&address) => address,
            _ => {
                let domains = page.domains.join(", ");
                let why = say!("sign_up.no_such_address", domains = domains);
                return self.refuse_name(page, why);
            }
        };
        let (hub, from) = (self.hub, self.info.address);
        if let Err(refused) = hub.sign_in().begin_errand(from).await {
            return self.refuse(page, Trouble::of(refused));
        }
        let lang = language(hub, self.headers);
        hub.post().ask(Errand::SignUp {
            address: address.clone(),
            lang,
        });
        let page = SignUpPage {
            state: SignUpState::Sent,
            address: address.to_string(),
            ..page
        };
        self.answer(StatusCode::OK, page)
    }

    fn gone(&self) -> ApiResult<Response> {
        let page = SignUpPage {
            state: SignUpState::Gone,
            ..self.form(SignUpKind::Invitation)
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
        self.refuse_with(page, StatusCode::BAD_REQUEST, why)
    }

    fn refuse_with(
        &self,
        page: SignUpPage,
        status: StatusCode,
        why: Saying,
    ) -> ApiResult<Response> {
        let lang = language(self.hub, self.headers);
        let page = SignUpPage {
            name_problem: Some(why.sentence(lang)),
            ..page
        };
        self.answer(status, page)
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
