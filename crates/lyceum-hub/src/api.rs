//! JupyterHub's REST API, as far as it is here: thin adapters over the hub's operations. Our own API
//! is below `lyceum`.

pub mod activity;
pub mod groups;
pub mod lyceum;
pub mod model;
pub mod oauth;
pub mod paging;
pub mod progress;
pub mod root;
pub mod servers;
pub mod services;
pub mod tokens;
pub mod users;

use axum::http::Method;
use lyceum_model::name::UserName;
use lyceum_store::Tx;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult};

use crate::db::users::User;
use crate::{Hub, db};

/// The version that clients compare themselves with.
pub const JUPYTERHUB_VERSION: &str = "6.1.1";

pub fn routes() -> Routes<Hub> {
    let version = "a notebook server asks for the version before it has a token";
    Routes::default()
        .public(Method::GET, "/hub/api", version, root::version)
        .public(Method::GET, "/hub/api/", version, root::version)
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
        .scoped(Method::GET, "/hub/api/user", users::read_self)
        .scoped(Method::GET, "/hub/api/users", users::list_users)
        .scoped(Method::GET, "/hub/api/users/{user}", users::get_user)
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
        .scoped(Method::POST, "/hub/api/users/{user}/server", servers::start)
        .scoped(
            Method::DELETE,
            "/hub/api/users/{user}/server",
            servers::stop,
        )
        .scoped(
            Method::GET,
            "/hub/api/users/{user}/server/progress",
            progress::watch,
        )
        .scoped(
            Method::POST,
            "/hub/api/users/{user}/servers/{server}",
            servers::start,
        )
        .scoped(
            Method::DELETE,
            "/hub/api/users/{user}/servers/{server}",
            servers::stop,
        )
        .scoped(
            Method::GET,
            "/hub/api/users/{user}/servers/{server}/progress",
            progress::watch,
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
        .merge(lyceum::routes())
}

/// The person a path names. What may not be seen and what is not there look the same.
pub(crate) async fn person(tx: &mut Tx, name: &str) -> ApiResult<User> {
    let name = UserName::parse(name).map_err(|_| ApiError::not_found())?;
    db::users::find(tx, &name)
        .await?
        .ok_or_else(ApiError::not_found)
}
