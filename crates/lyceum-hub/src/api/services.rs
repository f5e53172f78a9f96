//! Services: told, made and deleted. The configuration's own can't be deleted here.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{Filter, Owner, Scope, ScopeName, ScopeSet, Target, admin_role};
use lyceum_model::who::CourseId;
use lyceum_store::Tx;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller, Who};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::model::{self, SERVICE_FIELDS};
use crate::audit::{self, Act, Doer, What};
use crate::grants::{self, CLIENT_PREFIX, Grants, Service};
use crate::jobs::revocations;
use crate::services::{self, Known};
use crate::{Hub, course_servers, db, giving, groups, tokens};

pub fn routes() -> Routes<Hub> {
    const ONE: &str = "/hub/api/services/{service}";
    Routes::default()
        .scoped(Method::GET, "/hub/api/services", list_services)
        .scoped(Method::GET, ONE, get_service)
        .scoped(Method::POST, ONE, create_service)
        .scoped(Method::DELETE, ONE, delete_service)
}

/// Scope: `list:services`.
pub async fn list_services(State(hub): State<Hub>, caller: Caller) -> ApiResult<Json<Value>> {
    let reach = caller.scopes.reach(ScopeName::ListServices);
    if reach.is_empty() {
        caller.require(ScopeName::ListServices, Target::Everything)?;
    }
    let grants = &hub.settings().grants;
    let mut tx = hub.db().read().await?;
    let all = services::all(grants, &mut tx).await?;
    let listed = all.into_iter().filter(|(name, _)| {
        reach.iter().any(|filter| match filter {
            Filter::All => true,
            Filter::Service(held) => held == name,
            _ => false,
        })
    });
    let models: Map<String, Value> = listed
        .map(|(name, known)| (name, model::service(&known, &hub.base(), grants, &caller)))
        .collect();
    Ok(Json(models.into()))
}

/// Scope: `read:services!service=…`, `read:services:name!service=…` or `read:roles:services!service=…`.
pub async fn get_service(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<Value>> {
    let scopes: Vec<ScopeName> = SERVICE_FIELDS.iter().map(|(scope, _)| *scope).collect();
    caller.require_any(&scopes, Target::Service(&name))?;
    let grants = &hub.settings().grants;
    let mut tx = hub.db().read().await?;
    let known = find(grants, &mut tx, &name).await?;
    Ok(Json(model::service(&known, &hub.base(), grants, &caller)))
}

/// As JupyterHub takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(rename = "name", default)]
    _name: Option<String>,
    #[serde(default)]
    admin: bool,
    url: Option<String>,
    api_token: Option<String>,
    oauth_client_id: Option<String>,
    oauth_redirect_uri: Option<String>,
    #[serde(default)]
    oauth_client_allowed_scopes: Vec<String>,
    #[serde(default)]
    oauth_no_confirm: bool,
    display: Option<bool>,
    #[serde(default)]
    info: Map<String, Value>,
    // Of a service that the hub would start.
    #[serde(default)]
    command: Vec<String>,
    #[serde(rename = "cwd", default)]
    _cwd: Option<String>,
    #[serde(rename = "environment", default)]
    _environment: Map<String, Value>,
    #[serde(rename = "user", default)]
    _user: Option<String>,
}

/// Scope: `admin:services!service=…`.
pub async fn create_service(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> ApiResult<Response> {
    caller.require(ScopeName::AdminServices, Target::Service(&name))?;
    let grants = &hub.settings().grants;
    let mut tx = hub.db().write().await?;
    if services::find(grants, &mut tx, &name).await?.is_some() {
        let message = Saying::quote(format!("Service {name} already exists"));
        return Err(ApiError::conflict(message));
    }
    let is_courses = CourseId::parse(&name).and_then(|course| course_servers::find(&hub, &course));
    // Also one whose course has just lost it, or can't be read.
    let runs = course_servers::row_of(&mut tx, &name).await?;
    if is_courses.is_some() || runs.is_some_and(|server| server.state.is_active()) {
        let place = grants::service_prefix(&hub.base(), &name);
        let message = format!(
            "{place} is where the server of the course {name} is found; call the service otherwise"
        );
        return Err(ApiError::conflict(Saying::quote(message)));
    }
    let wish: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("Invalid service data: {error}")))?;
    if wish.is_empty() {
        return Err(bad("Invalid service data".into()));
    }
    let wish: Wish = serde_json::from_value(wish.into())
        .map_err(|error| bad(format!("Invalid service data: {error}")))?;
    let service = check(grants, &mut tx, &caller, &name, wish).await?;
    db::services::put(&mut tx, &services::row_of(&name, &service)).await?;
    grants::announce_route(&mut tx, &name, hub.now()).await?;
    let doer = Doer::of(&caller);
    let act = Act::new(&doer, What::ServiceMade).with("service", &name);
    audit::note(&mut tx, act, hub.now()).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, service = name, admin = service.admin, "service made");
    let known = Known {
        name,
        service,
        configured: false,
    };
    let model = model::service(&known, &hub.base(), grants, &caller);
    Ok((StatusCode::CREATED, Json(model)).into_response())
}

async fn check(
    grants: &Grants,
    tx: &mut Tx,
    caller: &Caller,
    name: &str,
    wish: Wish,
) -> ApiResult<Service> {
    services::check_name(name).map_err(bad)?;
    if !wish.command.is_empty() {
        return Err(bad(format!(
            "Can not create managed service {name} at runtime"
        )));
    }
    let allowed_scopes = (grants.vocabulary)
        .parse_all(&wish.oauth_client_allowed_scopes)
        .map_err(|error| bad(error.to_string()))?;
    // Nobody gives a service more than she holds.
    let mut owner = match &caller.who {
        Who::Person(person) => Owner::user(person.name.clone()),
        Who::Service(_) => Owner::default(),
    };
    owner.service = Some(name.to_owned());
    let given = match wish.admin {
        true => allowed_scopes.clone().union(&admin_role()),
        false => allowed_scopes.clone(),
    };
    let given: ScopeSet = given.resolve(&owner).expand();
    let beyond = caller.scopes.missing(&given, &*caller.members);
    if let Some(scope) = beyond.first() {
        return Err(bad(format!(
            "Whoever asks does not hold these scopes: {scope}"
        )));
    }
    let url = match wish.url.as_deref() {
        None | Some("") => None,
        Some(url) => Some(services::check_address(url).map_err(bad)?),
    };
    if let Some(uri) = &wish.oauth_redirect_uri {
        services::check_redirect(uri).map_err(bad)?;
    }
    // Whom it signs in unasked, where it is found, and what it may do for whoever signs in: each of
    // these is power over people that nobody has by this scope alone.
    let for_others = |scope: &Scope| scope.name.is_meta() || scope.filter == Filter::SelfUser;
    let reaches_people = wish.oauth_no_confirm
        || url.is_some()
        || allowed_scopes.iter().any(|scope| for_others(&scope));
    if reaches_people && !giving::holds_all(caller) {
        return Err(ApiError::forbidden(say!("refused.service_power")));
    }
    let token_hash = match &wish.api_token {
        None => None,
        Some(token) => {
            services::check_token(token).map_err(bad)?;
            let hash = tokens::hash(token);
            let taken = db::tokens::by_hash(tx, &hash, i64::MIN).await?.is_some()
                || services::by_token(grants, tx, &hash).await?.is_some();
            if taken {
                return Err(bad("This token is in use; each service has its own".into()));
            }
            Some(hash)
        }
    };
    let client_id = match wish.oauth_client_id {
        Some(id) if !id.starts_with(CLIENT_PREFIX) => {
            return Err(bad(format!(
                "oauth_client_id must begin with {CLIENT_PREFIX}"
            )));
        }
        Some(id) => id,
        None => format!("{CLIENT_PREFIX}{name}"),
    };
    let others = services::all(grants, tx).await?;
    if others
        .values()
        .any(|one| one.service.client_id == client_id)
    {
        return Err(bad("This oauth_client_id is another service's".into()));
    }
    Ok(Service {
        url,
        admin: wish.admin,
        token_hash,
        client_id,
        redirect_uri: wish.oauth_redirect_uri,
        allowed_scopes,
        no_confirm: wish.oauth_no_confirm,
        display: wish.display.unwrap_or(true),
        info: wish.info,
        managed: None,
    })
}

/// Scope: `admin:services!service=…`.
pub async fn delete_service(
    State(hub): State<Hub>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<StatusCode> {
    caller.require(ScopeName::AdminServices, Target::Service(&name))?;
    let grants = &hub.settings().grants;
    let mut tx = hub.db().write().await?;
    let known = find(grants, &mut tx, &name).await?;
    if known.configured {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Saying::quote(format!("Service {name} is not modifiable at runtime")),
        ));
    }
    let now = hub.now();
    db::services::delete(&mut tx, &name).await?;
    grants::end_client(&mut tx, &known.service.client_id, now).await?;
    grants::announce_route(&mut tx, &name, now).await?;
    let subject = groups::service_subject(&name);
    revocations::announce(&mut tx, &subject, now).await?;
    db::shares::forget_giver(&mut tx, &subject).await?;
    let doer = Doer::of(&caller);
    let act = Act::new(&doer, What::ServiceDeleted).with("service", &name);
    audit::note(&mut tx, act, now).await?;
    tx.commit().await?;
    crate::proxy::pass_on(&hub).await;
    tracing::info!(by = %caller.who, service = name, "service deleted");
    Ok(StatusCode::OK)
}

async fn find(grants: &Grants, tx: &mut Tx, name: &str) -> ApiResult<Known> {
    let known = services::find(grants, tx, name).await?;
    known.ok_or_else(ApiError::not_found)
}

fn bad(message: String) -> ApiError {
    ApiError::bad_request(Saying::quote(message))
}
