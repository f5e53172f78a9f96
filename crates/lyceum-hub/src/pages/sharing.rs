//! Sharing servers: the page about one's own, the one that accepts a code, and what was shared with
//! oneself. The rules are in [`crate::shares`], the API for programs in [`crate::api::shares`].

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::contexts::{
    AcceptSharePage, NewShareCode, PartnerRow, ShareCodeRow, ShareDanger, SharedRow, SharingPage,
    SharingRow,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential};
use serde::Deserialize;

use super::{frame, html, language, redirect, secure, to};
use crate::api::shares::{ACCEPT, accept_url, filtered, full, may_give};
use crate::db::servers::Server;
use crate::db::shares::{Code, Of, Share, With};
use crate::next::local_target;
use crate::servers::{State as ServerState, prefix};
use crate::visit::SignedIn;
use crate::{Hub, db, shares};

const PAGE: &str = "/hub/sharing";
/// People and groups on a page.
const MOST_ROWS: i64 = 500;
/// For so long who has accepted a server is not asked again by it. It may have to be started first.
const AGREED_S: i64 = 86_400;

pub fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(Method::GET, ACCEPT, anon, ask)
        .scoped(Method::POST, ACCEPT, accept)
        .public(Method::GET, PAGE, anon, show)
        .scoped(Method::POST, "/hub/sharing/code", make_code)
        .scoped(Method::POST, "/hub/sharing/give", give)
        .scoped(Method::POST, "/hub/sharing/revoke", revoke)
        .scoped(Method::POST, "/hub/sharing/revoke-code", revoke_code)
        .scoped(Method::POST, "/hub/sharing/revoke-all", revoke_all)
        .scoped(Method::POST, "/hub/sharing/leave", leave)
}

fn danger(hub: &Hub) -> ShareDanger {
    let settings = hub.settings();
    match (settings.origins.are_apart(), settings.shared_in_browsers) {
        (true, _) => ShareDanger::Apart,
        (false, true) => ShareDanger::OneHost,
        (false, false) => ShareDanger::Closed,
    }
}

#[derive(Debug, Default, Deserialize)]
pub struct CodeQuery {
    code: Option<String>,
    #[serde(default)]
    next: String,
}

/// What is offered by a code, and the question whether it is wanted.
pub async fn ask(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<CodeQuery>,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let code = query.code.as_deref();
    let Some((code, secret)) = known(&hub, &mut tx, &caller, code).await? else {
        return gone(&hub, &caller, &headers, &info, StatusCode::NOT_FOUND);
    };
    if code.owner_id == caller.person()?.id {
        return Err(ApiError::forbidden(say!("sharing.own_server")));
    }
    let scopes = shares::scopes_of_code(&hub, &mut tx, &code).await?;
    if scopes.is_empty() {
        return gone(&hub, &caller, &headers, &info, StatusCode::NOT_FOUND);
    }
    let scopes = scopes.iter().map(String::as_str);
    let page = AcceptSharePage {
        page: frame(&hub, Some(&caller), &info),
        code: secret.to_owned(),
        next: local_target(&hub.base(), &query.next, &info.host).unwrap_or_default(),
        owner: code.owner.to_string(),
        owner_title: titled(code.owner.as_str(), code.owner_title.as_deref()),
        server: code.server.to_string(),
        title: code.title.clone(),
        scopes: filtered(scopes, &code.owner, &code.server),
        own_scopes: hub.settings().grants.vocabulary.descriptions(),
        ready: code.state == ServerState::Ready,
        danger: danger(&hub),
        gone: false,
    };
    html(&hub, &headers, StatusCode::OK, "accept_share.html", &page)
}

#[derive(Debug, Default, Deserialize)]
pub struct AcceptForm {
    code: Option<String>,
    #[serde(default)]
    next: String,
}

/// She wants it.
pub async fn accept(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<AcceptForm>,
) -> ApiResult<Response> {
    for_browsers(&caller)?;
    let person = caller.person()?;
    let now = hub.now();
    let not_good = || gone(&hub, &caller, &headers, &info, StatusCode::BAD_REQUEST);
    let given = form.code.as_deref();
    // Strangers' codes cost a look, never the one writer's turn.
    let mut tx = hub.db().read().await?;
    if known(&hub, &mut tx, &caller, given).await?.is_none() {
        return not_good();
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    let Some((code, _)) = known(&hub, &mut tx, &caller, given).await? else {
        return not_good();
    };
    if code.owner_id == person.id {
        return Err(ApiError::bad_request(say!("sharing.own_server")));
    }
    if !shares::exchange(&hub, &mut tx, &code, &person.id, now).await? {
        return not_good();
    }
    let server = db::servers::get(&mut tx, &code.server_id).await?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, owner = %code.owner, server = %code.server, id = code.id, "code changed for a share of a server");
    let opens = danger(&hub) != ShareDanger::Closed && code.state == ServerState::Ready;
    let next = local_target(&hub.base(), &form.next, &info.host);
    let usual = || match opens {
        true => prefix(&hub.base(), &code.owner, &code.server),
        false => hub.at("/hub/home"),
    };
    let mut response = redirect(&hub.base(), &next.unwrap_or_else(usual));
    if let Some(server) = server {
        remember(&hub, &caller, &info, &server.client_id, &mut response);
    }
    Ok(response)
}

/// The page has said what the server learns: its first question, which comes by OAuth, is answered.
fn remember(hub: &Hub, caller: &Caller, info: &RequestInfo, client: &str, response: &mut Response) {
    let Credential::Session { binding, .. } = &caller.credential else {
        return;
    };
    let session = binding.as_str();
    let cookie = Cookie {
        name: cookie::AGREED,
        value: &hub.xsrf().token(Binding::Agreed { session, client }),
        path: &hub.at("/hub/api/oauth2/"),
        domain: None,
        http_only: true,
        secure: secure(hub, info),
        max_age: Some(AGREED_S),
    };
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie.header());
}

/// The same of codes that have ended and of such as never were.
fn gone(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    status: StatusCode,
) -> ApiResult<Response> {
    let page = AcceptSharePage {
        page: frame(hub, Some(caller), info),
        gone: true,
        ..AcceptSharePage::default()
    };
    html(hub, headers, status, "accept_share.html", &page)
}

/// The code that somebody came with, and its row. None if it is good no longer, or never was.
async fn known<'a>(
    hub: &Hub,
    tx: &mut Tx,
    caller: &Caller,
    code: Option<&'a str>,
) -> ApiResult<Option<(Code, &'a str)>> {
    let now = hub.now();
    let person = caller.person()?;
    let Some(code) = code else {
        return Err(ApiError::bad_request(say!("sharing.no_code")));
    };
    if !hub.guesses().may_try(&person.id, now) {
        let message = say!("sharing.too_many_tries");
        return Err(ApiError::later(StatusCode::TOO_MANY_REQUESTS, message, 30));
    }
    match shares::find_code(tx, code, now).await? {
        Some(found) => Ok(Some((found, code))),
        None => {
            hub.guesses().missed(&person.id, now);
            Ok(None)
        }
    }
}

fn for_browsers(caller: &Caller) -> ApiResult<()> {
    match caller.is_session() {
        true => Ok(()),
        false => Err(ApiError::forbidden(say!("refused.for_browsers_not_api"))),
    }
}

/// Whether the page about her own servers has something for her.
pub async fn has_something(tx: &mut Tx, caller: &Caller) -> ApiResult<bool> {
    let person = caller.person()?;
    Ok(may_share(caller, &person.name) || db::shares::count(tx, Of::Owner(&person.id)).await? > 0)
}

fn may_share(caller: &Caller, name: &UserName) -> bool {
    caller.may(ScopeName::Shares, Target::User(name))
}

/// Other people's servers that she may open, one row each, and whether there may be more.
pub async fn with_me(hub: &Hub, tx: &mut Tx, caller: &Caller) -> ApiResult<(Vec<SharedRow>, bool)> {
    let person = caller.person()?;
    let found = db::shares::list(tx, Of::Holder(&person.id), 0, MOST_ROWS).await?;
    let more = i64::try_from(found.len()).is_ok_and(|found| found >= MOST_ROWS);
    let mut rows: Vec<SharedRow> = Vec::new();
    for share in found {
        let target = Target::Server(&share.owner, &share.server);
        // What its giver may give no longer is not hers, and neither is her own server a guest's.
        if share.owner == person.name || !caller.may(ScopeName::AccessServers, target) {
            continue;
        }
        let same = |row: &&mut SharedRow| {
            row.owner == share.owner.as_str() && row.server == share.server.as_str()
        };
        match rows.iter_mut().find(same) {
            // Hers in two ways: what she was given herself is what she can leave.
            Some(row) => row.group = row.group.take().and(share.group_name),
            None => rows.push(SharedRow {
                owner: share.owner.to_string(),
                server: share.server.to_string(),
                title: share.title,
                ready: share.state == ServerState::Ready,
                url: (danger(hub) != ShareDanger::Closed)
                    .then(|| prefix(&hub.base(), &share.owner, &share.server)),
                group: share.group_name,
            }),
        }
    }
    Ok((rows, more))
}

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<PageQuery>,
) -> ApiResult<Response> {
    let told = Told {
        offset: query.offset.max(0),
        ..Told::default()
    };
    page(&hub, &caller, &headers, &info, told).await
}

#[derive(Debug, Default, Deserialize)]
pub struct PageQuery {
    #[serde(default)]
    offset: i64,
}

/// What the page says of the last wish, and with which of her shares it begins.
#[derive(Default)]
struct Told {
    offset: i64,
    new_code: Option<NewShareCode>,
    error: Option<Saying>,
}

async fn page(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    told: Told,
) -> ApiResult<Response> {
    let person = caller.person()?;
    let own = Of::Owner(&person.id);
    let mut tx = hub.db().read().await?;
    let servers = db::servers::of_user(&mut tx, &person.id).await?;
    let total = db::shares::count(&mut tx, own).await?;
    // Behind the end is the last page.
    let last = (total - 1).max(0) / MOST_ROWS * MOST_ROWS;
    let offset = told.offset.min(last);
    let found = db::shares::list(&mut tx, own, offset, MOST_ROWS).await?;
    let ids: Vec<&str> = found.iter().map(|share| share.id.as_str()).collect();
    let scopes = db::shares::scopes(&mut tx, &ids).await?;
    // Of each server there are few.
    let codes = db::shares::list_codes(&mut tx, own, hub.now().0, 0, i64::MAX).await?;
    drop(tx);
    let at = |offset: i64| hub.at(&format!("{PAGE}?offset={offset}"));
    let scopes_of = |share: &Share| {
        let own = scopes.iter().filter(|(id, _)| *id == share.id);
        let own = own.map(|(_, scope)| scope.as_str());
        filtered(own, &share.owner, &share.server)
    };
    let row = |server: &Server| SharingRow {
        server: server.name.to_string(),
        title: server.display_name.clone(),
        partners: (found.iter().filter(|share| share.server_id == server.id))
            .map(|share| PartnerRow {
                id: share.id.clone(),
                name: match (&share.user_name, &share.group_name) {
                    (Some(user), _) => titled(user, share.user_title.as_deref()),
                    (None, group) => group.clone().unwrap_or_default(),
                },
                is_group: share.group_name.is_some(),
                since: share.created_at,
                scopes: scopes_of(share),
            })
            .collect(),
        codes: (codes.iter().filter(|code| code.server_id == server.id))
            .map(code_row)
            .collect(),
    };
    let everywhere = |scope| caller.may(scope, Target::Everything);
    let names_groups = !caller.scopes.reach(ScopeName::ReadGroupsName).is_empty();
    let others = |scope| {
        let mut people = caller.people(scope);
        people.remove(&person.name);
        !people.is_empty()
    };
    let status = match told.error {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    let context = SharingPage {
        page: frame(hub, Some(caller), info),
        servers: servers.iter().map(row).collect(),
        more: total > MOST_ROWS,
        previous: (offset > 0).then(|| at((offset - MOST_ROWS).max(0))),
        next: (offset < last).then(|| at(offset + MOST_ROWS)),
        may_share: may_share(caller, &person.name),
        may_name_people: everywhere(ScopeName::ReadUsersName) || others(ScopeName::ReadUsersName),
        may_name_groups: names_groups,
        new_code: told.new_code,
        error: told
            .error
            .map(|error| error.sentence(language(hub, headers))),
        danger: danger(hub),
    };
    html(hub, headers, status, "sharing.html", &context)
}

/// Who somebody is, for people: `Ada Lovelace (ada)`.
fn titled(name: &str, title: Option<&str>) -> String {
    match title.filter(|title| *title != name) {
        Some(title) => format!("{title} ({name})"),
        None => name.to_owned(),
    }
}

fn code_row(code: &Code) -> ShareCodeRow {
    let scopes: Vec<String> = serde_json::from_str(&code.scopes).unwrap_or_default();
    let scopes = scopes.iter().map(String::as_str);
    ShareCodeRow {
        id: code.id.clone(),
        created: code.created_at,
        expires: code.expires_at,
        used: code.exchange_count,
        last_used: code.last_exchanged_at,
        scopes: filtered(scopes, &code.owner, &code.server),
    }
}

/// One of the caller's own servers, which she may share.
async fn own(tx: &mut Tx, caller: &Caller, name: &str) -> ApiResult<Server> {
    for_browsers(caller)?;
    let person = caller.person()?;
    let name = ServerName::parse(name).map_err(|_| ApiError::not_found())?;
    let server = db::servers::find(tx, &person.id, &name).await?;
    let server = server.ok_or_else(ApiError::not_found)?;
    may_give(caller, &[ScopeName::AccessServers], &server)?;
    Ok(server)
}

#[derive(Debug, Deserialize)]
pub struct CodeForm {
    #[serde(default)]
    server: String,
    #[serde(default)]
    expires_in: i64,
}

pub async fn make_code(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<CodeForm>,
) -> ApiResult<Response> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let server = own(&mut tx, &caller, &form.server).await?;
    let there = db::shares::count_codes(&mut tx, Of::Server(&server.id), now.0).await?;
    let refused = match form.expires_in {
        _ if there >= shares::MOST_CODES => {
            Some(say!("sharing.too_many_codes", most = shares::MOST_CODES))
        }
        shares::CODE_LIFE_LEAST_S..=shares::CODE_LIFE_MOST_S => None,
        _ => Some(say!("sharing.bad_life")),
    };
    if refused.is_some() {
        drop(tx);
        let told = Told {
            error: refused,
            ..Told::default()
        };
        return page(&hub, &caller, &headers, &info, told).await;
    }
    let giver = shares::giver(&caller.who);
    let scopes = [ScopeName::AccessServers];
    let life_s = form.expires_in;
    let (id, code) = shares::new_code(&mut tx, &server.id, &scopes, &giver, life_s, now).await?;
    tx.commit().await?;
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, id, "code for a share made");
    let told = Told {
        new_code: Some(NewShareCode {
            url: full(&hub.settings().origins, &info, &accept_url(&code)),
            server: server.name.to_string(),
            title: server.display_name,
            expires: now.plus(life_s.saturating_mul(1000)).0,
        }),
        ..Told::default()
    };
    page(&hub, &caller, &headers, &info, told).await
}

#[derive(Debug, Deserialize)]
pub struct GiveForm {
    #[serde(default)]
    server: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    group: String,
}

pub async fn give(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(form): Form<GiveForm>,
) -> ApiResult<Response> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let server = own(&mut tx, &caller, &form.server).await?;
    let (user, group) = (form.user.trim().to_lowercase(), form.group.trim());
    // Whoever may not know hears the same of a name that nobody has.
    let found = match group.is_empty() {
        true => match UserName::parse(&user) {
            Ok(name) if caller.may(ScopeName::ReadUsersName, Target::User(&name)) => {
                let user = db::users::find(&mut tx, &name).await?;
                user.map(|user| user.id)
            }
            _ => None,
        },
        false if caller.may(ScopeName::ReadGroupsName, Target::Group(group)) => {
            let group = db::groups::find(&mut tx, group).await?;
            group.map(|group| group.id)
        }
        false => None,
    };
    let Some(id) = found else {
        drop(tx);
        let error = match group.is_empty() {
            true => say!("sharing.no_such_person", name = user),
            false => say!("sharing.no_such_group", name = group),
        };
        let told = Told {
            error: Some(error),
            ..Told::default()
        };
        return page(&hub, &caller, &headers, &info, told).await;
    };
    let with = match group.is_empty() {
        true => With::User(&id),
        false => With::Group(&id),
    };
    let scopes = [ScopeName::AccessServers.to_string()];
    let giver = shares::giver(&caller.who);
    db::shares::grant(&mut tx, &server.id, with, &scopes, &giver, now).await?;
    tx.commit().await?;
    let with = if group.is_empty() { &*user } else { group };
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, with, scopes = ?scopes, "server shared");
    Ok(to(&hub, PAGE))
}

#[derive(Debug, Deserialize)]
pub struct IdForm {
    #[serde(default)]
    id: String,
}

pub async fn revoke(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    for_browsers(&caller)?;
    let mut tx = hub.db().write().await?;
    if let Some(share) = db::shares::get(&mut tx, &form.id).await? {
        // Whose it is not, she does not learn that it is there.
        if !caller.is(&share.owner) {
            return Err(ApiError::not_found());
        }
        own(&mut tx, &caller, share.server.as_str()).await?;
        shares::revoke(&mut tx, &share, None, hub.now()).await?;
        tracing::info!(by = %caller.who, owner = %share.owner, server = %share.server, user = share.user_name, group = share.group_name, "share of a server taken back");
    }
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok(to(&hub, PAGE))
}

pub async fn revoke_code(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    for_browsers(&caller)?;
    let person = caller.person()?;
    let mut tx = hub.db().write().await?;
    let of = Of::Owner(&person.id);
    let codes = db::shares::list_codes(&mut tx, of, hub.now().0, 0, i64::MAX).await?;
    if let Some(code) = codes.iter().find(|code| code.id == form.id) {
        own(&mut tx, &caller, code.server.as_str()).await?;
        db::shares::delete_code(&mut tx, &code.server_id, &code.id).await?;
        tracing::info!(by = %caller.who, owner = %code.owner, server = %code.server, id = code.id, "code for a share taken back");
    }
    tx.commit().await?;
    Ok(to(&hub, PAGE))
}

#[derive(Debug, Deserialize)]
pub struct ServerForm {
    #[serde(default)]
    server: String,
}

/// Nobody may open it any more, and no code leads there.
pub async fn revoke_all(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<ServerForm>,
) -> ApiResult<Response> {
    let mut tx = hub.db().write().await?;
    let server = own(&mut tx, &caller, &form.server).await?;
    // Codes first: whoever is changing one at this moment is waited for, and her share seen below.
    db::shares::delete_codes_of_server(&mut tx, &server.id).await?;
    let shares = shares::revoke_all(&mut tx, &server.id, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, shares, "all shares of a server taken back, with its codes");
    Ok(to(&hub, PAGE))
}

#[derive(Debug, Deserialize)]
pub struct LeaveForm {
    #[serde(default)]
    owner: String,
    #[serde(default)]
    server: String,
}

/// She gives up what was shared with her.
pub async fn leave(
    State(hub): State<Hub>,
    caller: Caller,
    Form(form): Form<LeaveForm>,
) -> ApiResult<Response> {
    for_browsers(&caller)?;
    let person = caller.person()?;
    caller.require(ScopeName::UsersShares, Target::User(&person.name))?;
    let (Ok(owner), Ok(name)) = (
        UserName::parse(&form.owner),
        ServerName::parse(&form.server),
    ) else {
        return Err(ApiError::not_found());
    };
    let mut tx = hub.db().write().await?;
    let found = match db::users::find(&mut tx, &owner).await? {
        Some(owner) => db::servers::find(&mut tx, &owner.id, &name).await?,
        None => None,
    };
    let share = match found {
        Some(server) => db::shares::find(&mut tx, &server.id, With::User(&person.id)).await?,
        None => None,
    };
    if let Some(share) = share {
        shares::revoke(&mut tx, &share, None, hub.now()).await?;
        tracing::info!(by = %caller.who, owner = %share.owner, server = %share.server, "share of a server given up");
    }
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    Ok(to(&hub, "/hub/home"))
}
