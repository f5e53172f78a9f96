//! JupyterHub's REST API, as far as it is here: thin adapters over the hub's operations. Our own API
//! is below `lyceum`.

pub mod activity;
pub mod body;
pub mod groups;
pub mod lyceum;
pub mod model;
pub mod oauth;
pub mod openapi;
pub mod paging;
pub mod progress;
pub mod root;
pub mod routing;
pub mod servers;
pub mod services;
pub mod shares;
pub mod shutdown;
pub mod tokens;
pub mod users;

use axum::http::{Method, StatusCode};
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::db::users::User;
use crate::{Hub, db};

/// The version that clients compare themselves with.
pub const JUPYTERHUB_VERSION: &str = "6.1.1";

pub fn routes() -> Routes<Hub> {
    let version = "a notebook server asks for the version before it has a token";
    Routes::default()
        .public(Method::GET, "/hub/api", version, root::version)
        .public(Method::GET, "/hub/api/", version, root::version)
        .public(
            Method::GET,
            openapi::PATH,
            "the manual is open to everybody too",
            openapi::show,
        )
        .scoped(Method::GET, "/hub/api/info", root::info)
        .public(
            Method::GET,
            "/hub/health",
            "load balancers and probes ask it",
            root::health,
        )
        .public(
            Method::GET,
            "/hub/api/health",
            "load balancers and probes ask it",
            root::health,
        )
        .scoped(Method::GET, "/hub/metrics", root::metrics)
        .scoped(Method::GET, "/hub/api/metrics", root::metrics)
        .scoped(Method::GET, "/hub/api/user", users::read_self)
        .scoped(Method::GET, "/hub/api/users", users::list_users)
        .scoped(Method::POST, "/hub/api/users", users::change::create_users)
        .scoped(Method::GET, "/hub/api/users/{user}", users::get_user)
        .scoped(
            Method::POST,
            "/hub/api/users/{user}",
            users::change::create_user,
        )
        .scoped(
            Method::PATCH,
            "/hub/api/users/{user}",
            users::change::change_user,
        )
        .scoped(
            Method::DELETE,
            "/hub/api/users/{user}",
            users::change::delete_user,
        )
        .scoped(
            Method::POST,
            "/hub/api/users/{user}/activity",
            activity::update_activity,
        )
        .scoped(
            Method::GET,
            "/hub/api/users/{user}/tokens",
            tokens::list_tokens,
        )
        .public(
            Method::POST,
            "/hub/api/users/{user}/tokens",
            "takes a name and password in the body as well",
            tokens::create_token,
        )
        .scoped(
            Method::GET,
            "/hub/api/users/{user}/tokens/{id}",
            tokens::get_token,
        )
        .scoped(
            Method::DELETE,
            "/hub/api/users/{user}/tokens/{id}",
            tokens::delete_token,
        )
        .merge(servers::routes())
        .scoped(Method::GET, "/hub/api/proxy", routing::list_routes)
        .scoped(Method::POST, "/hub/api/proxy", routing::check_routes)
        .scoped(Method::PATCH, "/hub/api/proxy", routing::change_proxy)
        .scoped(Method::POST, "/hub/api/shutdown", shutdown::shut_down)
        .scoped(
            Method::GET,
            "/hub/api/authorizations/token/{token}",
            root::no_secrets_in_addresses,
        )
        .scoped(
            Method::POST,
            "/hub/api/authorizations/token",
            root::no_secrets_in_addresses,
        )
        .scoped(
            Method::GET,
            "/hub/api/authorizations/cookie/{name}/{value}",
            root::no_secrets_in_addresses,
        )
        .public(
            Method::GET,
            "/hub/api/oauth2/authorize",
            "sends anonymous visitors to the log-in page",
            oauth::authorize,
        )
        .scoped(Method::POST, "/hub/api/oauth2/authorize", oauth::confirm)
        .public(
            Method::POST,
            "/hub/api/oauth2/token",
            "the client proves itself with its secret",
            oauth::token,
        )
        .merge(groups::routes())
        .merge(services::routes())
        .merge(shares::routes())
        .merge(lyceum::routes())
}

/// The person a path names. What may not be seen and what is not there look the same.
pub(crate) async fn person(tx: &mut Tx, name: &str) -> ApiResult<User> {
    let name = UserName::parse(name).map_err(|_| ApiError::not_found())?;
    db::users::find(tx, &name)
        .await?
        .ok_or_else(ApiError::not_found)
}

/// As [`person`]; whoever holds none of the scopes hears of that, whether the person is there or not.
pub(crate) async fn find_person(
    tx: &mut Tx,
    caller: &Caller,
    scopes: &[ScopeName],
    name: &str,
) -> ApiResult<User> {
    match person(tx, name).await {
        Err(error) if error.status == StatusCode::NOT_FOUND => {
            caller.require_any(scopes, Target::Everything)?;
            Err(error)
        }
        found => found,
    }
}

/// For what is nobody's in particular: a scope with a filter is not enough, and nothing is there that
/// would have to be hidden.
pub(crate) fn require_everywhere(caller: &Caller, scope: ScopeName) -> ApiResult<()> {
    match caller.may(scope, Target::Everything) {
        true => Ok(()),
        false => Err(lacking(&[scope])),
    }
}

pub(crate) fn lacking(scopes: &[ScopeName]) -> ApiError {
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    ApiError::forbidden(say!("refused.scope", scope = names.join(", ")))
}
