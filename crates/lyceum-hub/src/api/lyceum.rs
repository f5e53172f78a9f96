//! Lyceum's own API, below `/hub/api/lyceum/`: what JupyterHub has no word for.

pub mod audit;
pub mod people;
pub mod posix;
pub mod profiles;
pub mod proxy;
pub mod servers;
pub mod sittings;
pub mod upkeep;

use axum::http::Method;
use lyceum_proxy::follow::wire;
use lyceum_web::routes::Routes;

use crate::Hub;

pub fn routes() -> Routes<Hub> {
    let proves = "a proxy proves itself with the secret it shares with the hub";
    Routes::default()
        .scoped(
            Method::GET,
            "/hub/api/lyceum/profiles",
            profiles::list_profiles,
        )
        .public(Method::GET, wire::STREAM_PATH, proves, proxy::watch_routes)
        .public(Method::POST, wire::ACCESS_PATH, proves, proxy::check_access)
        .public(Method::POST, wire::VOUCH_PATH, proves, proxy::vouch)
        .public(
            Method::POST,
            wire::ACTIVITY_PATH,
            proves,
            proxy::take_report,
        )
        .merge(audit::routes())
        .merge(servers::routes())
        .merge(people::routes())
        .merge(posix::routes())
        .merge(upkeep::routes())
        .merge(sittings::routes())
}
