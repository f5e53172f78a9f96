//! Services: where they come from, what they may do, whether they answer.

use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::admin::{AdminService, ServiceRun, ServicesPage};
use url::Url;

use super::Visit;
use crate::db;
use crate::grants::service_prefix;
use crate::pages::list::ListQuery;
use crate::services::{self, Known};

/// How long a service may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many are tried at a time.
const AT_ONCE: usize = 16;

pub(super) async fn show(visit: Visit, Query(query): Query<ListQuery>) -> ApiResult<Response> {
    if !visit.reaches(ScopeName::ListServices) {
        return Err(crate::api::lacking(&[ScopeName::ListServices]));
    }
    let settings = visit.hub.settings();
    let mut tx = visit.hub.db().read().await?;
    let all = services::all(&settings.grants, &mut tx).await?;
    let runs = db::managed::all(&mut tx).await?;
    drop(tx);
    let caller = &visit.caller;
    let lang = &visit.lang();
    let runs = &runs;
    let listed = all
        .into_values()
        .filter(|known| caller.may(ScopeName::ListServices, Target::Service(&known.name)));
    let rows = stream::iter(listed).map(|known| {
        let may = |scope| caller.may(scope, Target::Service(&known.name));
        let sees = may(ScopeName::ReadServices);
        let roles = sees || may(ScopeName::ReadRolesServices);
        let roles = roles.then(|| {
            let roles = known.roles(&settings.grants).into_iter();
            roles.map(str::to_owned).collect()
        });
        let prefix = service_prefix(settings.origins.base(), &known.name);
        async move {
            AdminService {
                roles,
                configured: known.configured,
                run: (runs.iter().find(|run| run.name == known.name))
                    .filter(|_| sees)
                    .map(|run| ServiceRun {
                        since: run.started_at,
                        why: run.saying().map(|why| why.sentence(lang)),
                    }),
                prefix: (known.service.url.as_ref())
                    .filter(|_| sees)
                    .map(|_| prefix),
                reachable: match sees {
                    true => reachable(&known).await,
                    false => None,
                },
                url: known.service.url.filter(|_| sees),
                name: known.name,
            }
        }
    });
    let page = ServicesPage {
        page: visit.page(),
        area: visit.area("services", &query),
        services: rows.buffered(AT_ONCE).collect().await,
    };
    visit.html(StatusCode::OK, "admin_services.html", &page)
}

/// Whether something listens where the proxy would find it. Nothing is sent there.
async fn reachable(known: &Known) -> Option<bool> {
    let url = Url::parse(known.service.url.as_deref()?).ok()?;
    let host = url
        .host_str()?
        .trim_start_matches('[')
        .trim_end_matches(']');
    let address = (host, url.port_or_known_default()?);
    let connected = tokio::net::TcpStream::connect(address);
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    Some(connected.is_ok_and(|connected| connected.is_ok()))
}
