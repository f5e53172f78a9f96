//! Shares of servers and the codes for them, as JupyterHub has them. What a share is worth is in
//! [`crate::shares`].

mod codes;
mod received;
mod wish;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde_json::{Value, json};

use self::codes::{create_code, delete_codes, list_codes_of_owner, list_codes_of_server};
use self::received::{
    get_shared_with_group, get_shared_with_user, leave_share, leave_share_of_group,
    list_shared_with_group, list_shared_with_user,
};
use self::wish::{Going, Partner, Whom, Wish};
use super::body;
use super::find_person;
use super::paging::{Answer, Page};
use crate::db::groups::Group;
use crate::db::servers::Server;
use crate::db::shares::{Of, Share, With};
use crate::db::users::User;
use crate::origins::Origins;
use crate::servers::State as ServerState;
use crate::{Hub, db, shares};

/// Where a code is accepted by whoever has it.
pub const ACCEPT: &str = "/hub/accept-share";

pub fn routes() -> Routes<Hub> {
    const OWNER: &str = "/hub/api/shares/{user}";
    const CODES: &str = "/hub/api/share-codes/{user}";
    let mut routes = Routes::default()
        .scoped(Method::GET, OWNER, list_of_owner)
        .scoped(Method::GET, CODES, list_codes_of_owner)
        .scoped(
            Method::GET,
            "/hub/api/users/{user}/shared",
            list_shared_with_user,
        )
        .scoped(
            Method::GET,
            "/hub/api/groups/{group}/shared",
            list_shared_with_group,
        );
    // The default server has no name, and a path that ends in a slash.
    for server in ["/{server}", "/"] {
        let share = format!("{OWNER}{server}");
        let code = format!("{CODES}{server}");
        let with_user = format!("/hub/api/users/{{user}}/shared/{{owner}}{server}");
        let with_group = format!("/hub/api/groups/{{group}}/shared/{{owner}}{server}");
        routes = routes
            .scoped(Method::GET, &share, list_of_server)
            .scoped(Method::POST, &share, grant_share)
            .scoped(Method::PATCH, &share, revoke_share)
            .scoped(Method::DELETE, &share, revoke_all_shares)
            .scoped(Method::GET, &code, list_codes_of_server)
            .scoped(Method::POST, &code, create_code)
            .scoped(Method::DELETE, &code, delete_codes)
            .scoped(Method::GET, &with_user, get_shared_with_user)
            .scoped(Method::DELETE, &with_user, leave_share)
            .scoped(Method::GET, &with_group, get_shared_with_group)
            .scoped(Method::DELETE, &with_group, leave_share_of_group);
    }
    routes
}

/// `/…/{user}/{server}`; without a server it is the default one.
#[derive(Debug, serde::Deserialize)]
pub struct ServerOf {
    user: String,
    #[serde(default)]
    server: String,
}

/// All shares of somebody's servers. Scope: `read:shares!user=…`.
pub async fn list_of_owner(
    State(hub): State<Hub>,
    caller: Caller,
    Path(owner): Path<String>,
    page: Page,
) -> ApiResult<Json<Many>> {
    let owner = owner_of(&hub, &caller, &owner).await?;
    let mut tx = hub.db().read().await?;
    answer(&hub, &mut tx, Of::Owner(&owner.id), &page).await
}

/// Scope: `read:shares!server=…`.
pub async fn list_of_server(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    page: Page,
) -> ApiResult<Json<Many>> {
    let server = asked(&hub, &caller, ScopeName::ReadShares, &path).await?;
    let mut tx = hub.db().read().await?;
    let server = existing(&mut tx, server).await?;
    answer(&hub, &mut tx, Of::Server(&server.id), &page).await
}

/// Shares a server with a person or a group, or adds to what is shared. Scope: `shares!server=…`, and
/// each scope that is given.
pub async fn grant_share(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let (owner, name) = asked(&hub, &caller, ScopeName::Shares, &path).await?;
    let fields = body::fields(&body)?;
    let wish = Wish::read(
        &hub,
        &fields,
        &["user", "group"],
        &owner.name,
        &name,
        Going::Out,
    )?;
    let whom = Whom::read(&fields)?;
    let scopes = wish.or_access();
    let mut tx = hub.db().write().await?;
    let server = existing(&mut tx, (owner, name)).await?;
    may_give(&caller, &scopes, &server)?;
    let partner = match &whom {
        Whom::User(name) => {
            let parsed = UserName::parse(name);
            let may = parsed
                .as_ref()
                .is_ok_and(|name| caller.may(ScopeName::ReadUsersName, Target::User(name)));
            if !may && !caller.may(ScopeName::ReadUsersName, Target::Everything) {
                return Err(super::lacking(&[ScopeName::ReadUsersName]));
            }
            let user = match parsed {
                Ok(name) => db::users::find(&mut tx, &name).await?,
                Err(_) => None,
            };
            Partner::User(user.ok_or_else(|| no_such("user", name))?)
        }
        Whom::Group(name) => {
            if !caller.may(ScopeName::ReadGroupsName, Target::Group(name)) {
                return Err(super::lacking(&[ScopeName::ReadGroupsName]));
            }
            let group = db::groups::find(&mut tx, name).await?;
            Partner::Group(group.ok_or_else(|| no_such("group", name))?)
        }
    };
    let names: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let giver = shares::giver(&caller.who);
    let with = partner.with();
    db::shares::grant(&mut tx, &server.id, with, &names, &giver, hub.now()).await?;
    let share = db::shares::find(&mut tx, &server.id, with).await?;
    let share = share.ok_or_else(ApiError::not_found)?;
    let model = one(&hub, &mut tx, &share).await?;
    tx.commit().await?;
    tracing::info!(
        by = %caller.who,
        owner = %server.user_name,
        server = %server.name,
        with = partner.name(),
        scopes = ?names,
        "server shared"
    );
    Ok(Json(model))
}

/// Takes a share back, or some of its scopes. Scope: `shares!server=…`.
pub async fn revoke_share(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
    body: Bytes,
) -> ApiResult<Json<Value>> {
    let (owner, name) = asked(&hub, &caller, ScopeName::Shares, &path).await?;
    let fields = body::fields(&body)?;
    let wish = Wish::read(
        &hub,
        &fields,
        &["user", "group"],
        &owner.name,
        &name,
        Going::Back,
    )?;
    let whom = Whom::read(&fields)?;
    let mut tx = hub.db().write().await?;
    let server = existing(&mut tx, (owner, name)).await?;
    let nothing = Ok(Json(json!({})));
    let partner = match &whom {
        Whom::User(name) => match UserName::parse(name) {
            Ok(name) => db::users::find(&mut tx, &name).await?.map(Partner::User),
            Err(_) => None,
        },
        Whom::Group(name) => db::groups::find(&mut tx, name).await?.map(Partner::Group),
    };
    let Some(partner) = partner else {
        return nothing;
    };
    let Some(share) = db::shares::find(&mut tx, &server.id, partner.with()).await? else {
        return nothing;
    };
    shares::revoke(&mut tx, &share, wish.scopes.as_deref(), hub.now()).await?;
    let left = db::shares::find(&mut tx, &server.id, partner.with()).await?;
    let model = match &left {
        Some(share) => one(&hub, &mut tx, share).await?,
        None => json!({}),
    };
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(
        by = %caller.who,
        owner = %server.user_name,
        server = %server.name,
        with = partner.name(),
        scopes = ?wish.scopes,
        "share of a server taken back"
    );
    Ok(Json(model))
}

/// Takes all shares of a server back. Scope: `shares!server=…`.
pub async fn revoke_all_shares(
    State(hub): State<Hub>,
    caller: Caller,
    Path(path): Path<ServerOf>,
) -> ApiResult<StatusCode> {
    let server = asked(&hub, &caller, ScopeName::Shares, &path).await?;
    let mut tx = hub.db().write().await?;
    let server = existing(&mut tx, server).await?;
    let shares = shares::revoke_all(&mut tx, &server.id, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, owner = %server.user_name, server = %server.name, shares, "all shares of a server taken back");
    Ok(StatusCode::NO_CONTENT)
}

/// Where a code is accepted, as a path without the base.
pub fn accept_url(code: &str) -> String {
    format!("{ACCEPT}?code={code}")
}

/// A path of the hub's with its origin, as the configuration or else the browser says.
pub fn full(origins: &Origins, info: &RequestInfo, path: &str) -> String {
    let origin = origins.hub().map(str::to_owned).unwrap_or_else(|| {
        let scheme = if info.secure { "https" } else { "http" };
        format!("{scheme}://{}", info.host)
    });
    format!("{origin}{}", origins.base().at(path))
}

/// Nobody gives more than she holds.
pub fn may_give(caller: &Caller, scopes: &[ScopeName], server: &Server) -> ApiResult<()> {
    let target = Target::Server(&server.user_name, &server.name);
    let mut needed = [ScopeName::Shares].iter().chain(scopes);
    match needed.find(|scope| !caller.may(**scope, target)) {
        None => Ok(()),
        Some(beyond) => Err(super::lacking(&[*beyond])),
    }
}

/// The person whose servers they are, for whoever may read about shares of all of them.
async fn owner_of(hub: &Hub, caller: &Caller, name: &str) -> ApiResult<User> {
    holder(hub, caller, ScopeName::ReadShares, name).await
}

async fn holder(hub: &Hub, caller: &Caller, scope: ScopeName, name: &str) -> ApiResult<User> {
    let mut tx = hub.db().read().await?;
    let user = find_person(&mut tx, caller, &[scope], name).await?;
    caller.require(scope, Target::User(&user.name))?;
    Ok(user)
}

/// Whose server, and which one, when the caller may. A name that no server can have names none.
async fn asked(
    hub: &Hub,
    caller: &Caller,
    scope: ScopeName,
    path: &ServerOf,
) -> ApiResult<(User, ServerName)> {
    let mut tx = hub.db().read().await?;
    let owner = find_person(&mut tx, caller, &[scope], &path.user).await?;
    let Ok(name) = ServerName::parse(&path.server) else {
        caller.require(scope, Target::User(&owner.name))?;
        return Err(ApiError::not_found());
    };
    caller.require(scope, Target::Server(&owner.name, &name))?;
    Ok((owner, name))
}

async fn existing(tx: &mut Tx, (owner, name): (User, ServerName)) -> ApiResult<Server> {
    let server = db::servers::find(tx, &owner.id, &name).await?;
    server.ok_or_else(ApiError::not_found)
}

async fn find_group(tx: &mut Tx, name: &str) -> ApiResult<Group> {
    let group = db::groups::find(tx, name).await?;
    group.ok_or_else(ApiError::not_found)
}

async fn find_share(tx: &mut Tx, owner: &str, server: &str, with: With<'_>) -> ApiResult<Share> {
    let owner = super::person(tx, owner).await?;
    let name = ServerName::parse(server).map_err(|_| ApiError::not_found())?;
    let server = existing(tx, (owner, name)).await?;
    let share = db::shares::find(tx, &server.id, with).await?;
    share.ok_or_else(ApiError::not_found)
}

fn no_such(kind: &str, name: &str) -> ApiError {
    let name: String = name.chars().take(60).collect();
    ApiError::bad_request(Saying::quote(format!("No such {kind}: {name}")))
}

/// A page of shares or codes.
type Many = Answer<Vec<Value>>;

async fn answer(hub: &Hub, tx: &mut Tx, of: Of<'_>, page: &Page) -> ApiResult<Json<Many>> {
    let total = db::shares::count(tx, of).await?;
    let found = db::shares::list(tx, of, page.offset, page.limit).await?;
    let items = models(hub, tx, &found).await?;
    Ok(Json(page.wrap(items, total)))
}

async fn one(hub: &Hub, tx: &mut Tx, share: &Share) -> ApiResult<Value> {
    let mut models = models(hub, tx, std::slice::from_ref(share)).await?;
    Ok(models.pop().unwrap_or(Value::Null))
}

async fn models(hub: &Hub, tx: &mut Tx, found: &[Share]) -> ApiResult<Vec<Value>> {
    let origins = &hub.settings().origins;
    let ids: Vec<&str> = found.iter().map(|share| share.id.as_str()).collect();
    let scopes = db::shares::scopes(tx, &ids).await?;
    let model = |share: &Share| {
        let own = scopes.iter().filter(|(id, _)| *id == share.id);
        let own = own.map(|(_, scope)| scope.as_str());
        let named = |name: &Option<String>| name.as_ref().map(|name| json!({ "name": name }));
        json!({
            "server": server_model(origins, &share.owner, &share.server, share.state),
            "scopes": filtered(own, &share.owner, &share.server),
            "user": named(&share.user_name),
            "group": named(&share.group_name),
            "kind": if share.group_name.is_some() { "group" } else { "user" },
            "created_at": Millis(share.created_at).to_iso(),
        })
    };
    Ok(found.iter().map(model).collect())
}

fn server_model(
    origins: &Origins,
    owner: &UserName,
    name: &ServerName,
    state: ServerState,
) -> Value {
    json!({
        "user": { "name": owner },
        "name": name,
        "url": origins.url(owner, name),
        "full_url": origins.full_url(owner, name),
        "ready": state == ServerState::Ready,
    })
}

/// With the filter that they always have.
pub fn filtered<'a>(
    scopes: impl Iterator<Item = &'a str>,
    owner: &UserName,
    server: &ServerName,
) -> Vec<String> {
    let mut scopes: Vec<String> = scopes
        .map(|scope| format!("{scope}!server={owner}/{server}"))
        .collect();
    scopes.sort_unstable();
    scopes
}
