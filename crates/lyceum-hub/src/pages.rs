//! What people look at. Plain HTML that works without script; forms post and redirect.

pub mod admin;
pub mod assets;
pub(crate) mod by_header;
mod by_itself;
pub mod documents;
mod elsewhere;
pub mod enter;
pub mod fields;
pub(crate) mod frames;
pub mod home;
pub mod keep;
pub mod languages;
mod list;
pub mod login;
pub mod logs;
mod lti;
mod lti_pick;
mod mail;
pub mod password;
pub mod reports;
mod seat;
mod second_factor;
mod second_step;
pub mod sessions;
pub mod sharing;
mod sign_up;
pub mod site_files;
mod sittings;
mod spawn;
pub mod start;
mod switch;
pub mod tokens;
pub mod user_paths;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use lyceum_model::base::BasePath;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::who::Standing;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::contexts::{
    ErrorPage, Maintenance, OAuthClient, OAuthPage, Page, PageUser, ServiceLink, Site,
};
use lyceum_web::page::{Lang, pick_language};
use lyceum_web::request::{RequestInfo, header as header_text};
use lyceum_web::routes::{Part, Routes};
use lyceum_web::xsrf::Binding;
use lyceum_web::{ApiError, ApiResult, Caller, Credential, Failure, Person};
use serde::Serialize;

use crate::api::oauth::Checked;
use crate::grants::service_prefix;
use crate::oauth::Client;
use crate::{Hub, Settings, notices};

/// How much of a refusal by the framework is passed on.
const EXPLANATION_MAX: usize = 4096;

pub fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(
            Method::GET,
            "/",
            "sends everybody to the home page",
            home::go_home,
        )
        .public(
            Method::GET,
            "/hub",
            "sends everybody to the home page",
            home::go_home,
        )
        .public(
            Method::GET,
            "/hub/",
            "sends everybody to the home page",
            home::go_home,
        )
        .public(Method::GET, "/hub/login", "the log-in page", login::show)
        .public(
            Method::POST,
            "/hub/login",
            "the log-in form",
            login::sign_in,
        )
        .merge(second_step::routes())
        .merge(second_factor::routes())
        .merge(sign_up::routes())
        .merge(mail::routes())
        .merge(elsewhere::routes())
        .merge(by_header::routes())
        .merge(lti::routes())
        .merge(lti_pick::routes())
        .merge(seat::routes())
        .merge(sittings::routes())
        .public(
            Method::GET,
            "/hub/logout",
            "ends what there is",
            login::sign_out_link,
        )
        .public(
            Method::POST,
            "/hub/logout",
            "ends what there is",
            login::sign_out,
        )
        .public(
            Method::POST,
            "/hub/language",
            "everybody reads in her own language",
            languages::choose,
        )
        .public(
            Method::GET,
            enter::PATH,
            "a ticket says whose browser it is",
            enter::enter,
        )
        .public(
            Method::GET,
            "/hub/static/{*path}",
            "style sheet, script, icon",
            assets::get,
        )
        .public(Method::GET, "/favicon.ico", "the icon", assets::favicon)
        .public(
            Method::GET,
            "/hub/pages/{name}",
            "what the site says of itself",
            documents::show,
        )
        .public(Method::GET, "/hub/logo", "the logo", site_files::logo)
        .public(Method::GET, "/hub/home", anon, home::show)
        .merge(spawn::routes())
        .scoped(Method::POST, "/hub/servers/start", start::start_form)
        .scoped(Method::POST, "/hub/servers/add", start::add_form)
        .scoped(Method::POST, "/hub/servers/stop", start::stop_form)
        .scoped(Method::POST, "/hub/servers/remove", start::remove_form)
        .scoped(Method::POST, "/hub/servers/title", home::set_title)
        .scoped(Method::POST, "/hub/servers/keep", keep::keep)
        .public(
            Method::GET,
            "/hub/spawn-pending/{user}",
            anon,
            start::pending,
        )
        .public(
            Method::GET,
            "/hub/spawn-pending/{user}/{server}",
            anon,
            start::pending,
        )
        .public(Method::GET, "/hub/logs/{user}", anon, logs::show)
        .public(Method::GET, "/hub/logs/{user}/{server}", anon, logs::show)
        .public(Method::GET, "/hub/token", anon, tokens::show)
        .scoped(Method::POST, "/hub/token/new", tokens::create)
        .scoped(Method::POST, "/hub/token/revoke", tokens::revoke)
        .merge(sharing::routes())
        .public(Method::GET, "/hub/sessions", anon, sessions::show)
        .scoped(Method::POST, "/hub/sessions/end", sessions::end)
        .scoped(
            Method::POST,
            "/hub/sessions/end-others",
            sessions::end_others,
        )
        .merge(password::routes())
        .merge(admin::routes())
        .public(
            Method::GET,
            "/hub/error/{status}",
            "a proxy fetches it for whoever it can't answer",
            reports::error_page,
        )
        .scoped(
            Method::POST,
            "/hub/security/csp-report",
            reports::policy_report,
        )
        .public(
            Method::GET,
            "/hub/user-redirect/{*path}",
            anon,
            user_paths::user_redirect,
        )
        .public(
            Method::GET,
            "/hub/user/{*path}",
            anon,
            user_paths::not_running,
        )
        .scoped(Method::POST, "/hub/user/{*path}", user_paths::gone)
        .scoped(Method::PUT, "/hub/user/{*path}", user_paths::gone)
        .scoped(Method::PATCH, "/hub/user/{*path}", user_paths::gone)
        .scoped(Method::DELETE, "/hub/user/{*path}", user_paths::gone)
        .public(
            Method::GET,
            "/hub/services/{*path}",
            anon,
            user_paths::course_not_running,
        )
        .scoped(
            Method::POST,
            "/hub/services/{*path}",
            user_paths::course_gone,
        )
        .scoped(
            Method::PUT,
            "/hub/services/{*path}",
            user_paths::course_gone,
        )
        .scoped(
            Method::PATCH,
            "/hub/services/{*path}",
            user_paths::course_gone,
        )
        .scoped(
            Method::DELETE,
            "/hub/services/{*path}",
            user_paths::course_gone,
        )
}

/// The hub's templates and those of the parts beside it, ready for the builder.
pub fn templates_with(beside: &[Part]) -> lyceum_web::page::PagesBuilder {
    let parts = beside.iter().map(|part| part.templates);
    parts.fold(templates(), lyceum_web::page::PagesBuilder::add)
}

/// The hub's templates, ready for the builder.
pub fn templates() -> lyceum_web::page::PagesBuilder {
    lyceum_web::page::Pages::builder().add(&[
        (
            "accept_share.html",
            include_str!("../templates/accept_share.html"),
        ),
        ("admin.html", include_str!("../templates/admin.html")),
        (
            "admin_activity.html",
            include_str!("../templates/admin_activity.html"),
        ),
        (
            "admin_audit.html",
            include_str!("../templates/admin_audit.html"),
        ),
        (
            "admin_configuration.html",
            include_str!("../templates/admin_configuration.html"),
        ),
        (
            "admin_group.html",
            include_str!("../templates/admin_group.html"),
        ),
        (
            "admin_groups.html",
            include_str!("../templates/admin_groups.html"),
        ),
        (
            "admin_servers.html",
            include_str!("../templates/admin_servers.html"),
        ),
        (
            "admin_services.html",
            include_str!("../templates/admin_services.html"),
        ),
        (
            "admin_tokens.html",
            include_str!("../templates/admin_tokens.html"),
        ),
        (
            "admin_user.html",
            include_str!("../templates/admin_user.html"),
        ),
        (
            "admin_users.html",
            include_str!("../templates/admin_users.html"),
        ),
        ("lists.html", include_str!("../templates/lists.html")),
        ("audit.html", include_str!("../templates/audit.html")),
        ("document.html", include_str!("../templates/document.html")),
        ("home.html", include_str!("../templates/home.html")),
        ("login.html", include_str!("../templates/login.html")),
        ("logout.html", include_str!("../templates/logout.html")),
        ("logs.html", include_str!("../templates/logs.html")),
        (
            "lti_onward.html",
            include_str!("../templates/lti_onward.html"),
        ),
        (
            "lti_other.html",
            include_str!("../templates/lti_other.html"),
        ),
        ("lti_pick.html", include_str!("../templates/lti_pick.html")),
        (
            "not_running.html",
            include_str!("../templates/not_running.html"),
        ),
        ("oauth.html", include_str!("../templates/oauth.html")),
        ("progress.html", include_str!("../templates/progress.html")),
        ("seat.html", include_str!("../templates/seat.html")),
        ("sheets.html", include_str!("../templates/sheets.html")),
        ("sitting.html", include_str!("../templates/sitting.html")),
        ("sittings.html", include_str!("../templates/sittings.html")),
        ("sharing.html", include_str!("../templates/sharing.html")),
        ("mail.html", include_str!("../templates/mail.html")),
        ("password.html", include_str!("../templates/password.html")),
        (
            "second_factor.html",
            include_str!("../templates/second_factor.html"),
        ),
        ("sign_up.html", include_str!("../templates/sign_up.html")),
        ("sessions.html", include_str!("../templates/sessions.html")),
        ("spawn.html", include_str!("../templates/spawn.html")),
        (
            "spawn_form.html",
            include_str!("../templates/spawn_form.html"),
        ),
        ("stopping.html", include_str!("../templates/stopping.html")),
        ("switch.html", include_str!("../templates/switch.html")),
        ("token.html", include_str!("../templates/token.html")),
    ])
}

/// Whether a browser is sent here by a learning platform, with a form that has no token of ours.
pub(crate) fn is_launch(path: &str) -> bool {
    lti::takes(path)
}

/// For whatever has no route: paths outside `/hub/` lead below it, where they are explained.
pub async fn fallback(State(hub): State<Hub>, uri: Uri, method: Method) -> ApiResult<Response> {
    let path = uri.path();
    if path.starts_with("/hub/") || path == "/hub" {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            say!("refused.no_page"),
        ));
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        // A notebook that saves to a server that is gone. The same for everybody and every name.
        if let Some(answer) = user_paths::gone_outside(&hub, path) {
            return Ok(answer);
        }
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            say!("refused.nothing_here"),
        ));
    }
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Ok(to(&hub, &format!("/hub{path}{query}")))
}

/// 302 to a path of ours, as routes are registered.
pub fn to(hub: &Hub, path: &str) -> Response {
    let base = hub.base();
    redirect(&base, &base.at(path))
}

/// 302 to where a browser can go: a whole address, or a path that has the base.
pub fn redirect(base: &BasePath, to: &str) -> Response {
    let to = HeaderValue::from_str(to).or_else(|_| HeaderValue::from_str(&base.at("/hub/home")));
    let to = to.expect("a base is a header's value");
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

/// 302 to the log-in page, which comes back to what was asked for.
pub fn to_login(base: &BasePath, here: &Uri) -> Response {
    let home = base.at("/hub/home");
    let next = here.path_and_query().map_or(&*home, |path| path.as_str());
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    redirect(base, &base.at(&format!("/hub/login?next={next}")))
}

/// Whether cookies are for TLS only.
pub fn secure(hub: &Hub, info: &RequestInfo) -> bool {
    info.secure || hub.settings().origins.are_secure()
}

/// The form token as a cookie too, for scripts of other programs that look there.
pub fn set_xsrf(hub: &Hub, response: &mut Response, binding: Binding<'_>, secure: bool) {
    let max_age = matches!(binding, Binding::Anonymous(_)).then_some(3600);
    let value = hub.xsrf().token(binding);
    let cookie = Cookie {
        name: cookie::XSRF,
        value: &value,
        path: &hub.base().hub(),
        domain: None,
        http_only: false,
        secure,
        max_age,
    };
    response
        .headers_mut()
        .append(header::SET_COOKIE, cookie.header());
}

/// What was chosen at the foot of a page, else what the browser asks for.
pub fn language(hub: &Hub, headers: &HeaderMap) -> Lang {
    let there = hub.settings().theme.languages();
    let chosen = cookie::values(headers, cookie::LANGUAGE).next();
    let chosen = chosen.and_then(|tag| there.iter().find(|lang| lang.as_str() == tag));
    chosen.cloned().unwrap_or_else(|| {
        let asked = header_text(headers, "accept-language");
        pick_language(&there, asked)
    })
}

/// What every page shows around its own content.
pub fn frame(hub: &Hub, caller: Option<&Caller>, info: &RequestInfo) -> Page {
    let may_administer =
        caller.is_some_and(|caller| caller.may(ScopeName::AdminUi, Target::Everything));
    let binding = match caller.map(|caller| &caller.credential) {
        Some(Credential::Session { binding, .. }) => Binding::Session(binding),
        _ => Binding::Anonymous(info),
    };
    let settings = hub.settings();
    let person = caller.and_then(|caller| caller.person().ok());
    // Only where there is something to read.
    let reader = person.filter(|_| !settings.notices.announcements.is_empty());
    let reader = reader.map(|her| (&her.name, standing_of(hub, her)));
    let reader = reader.as_ref().map(|(name, standing)| (*name, standing));
    Page {
        base: settings.origins.base().hub(),
        user: caller
            .and_then(|caller| caller.person().ok())
            .map(|her| PageUser {
                name: her.name.to_string(),
                display_name: (her.display_name.clone()).unwrap_or_else(|| her.name.to_string()),
                admin: may_administer,
            }),
        xsrf: hub.xsrf().token(binding),
        site: Site {
            name: settings.site_name.clone(),
        },
        announcement: None,
        notices: settings.notices.of(reader, hub.now()),
        maintenance: {
            let switched = notices::switched(hub);
            let told = settings.notices.maintenance(switched.as_ref(), hub.now());
            told.map(|told| Maintenance {
                let_in: caller.is_some_and(|caller| notices::is_let_in(hub, caller)),
                ..told
            })
        },
        services: caller.map_or_else(Vec::new, |caller| services_of(hub, caller)),
        languages: languages::choices(&settings.theme),
        scopes: match (settings.theme.site(), caller) {
            (Some(_), Some(caller)) => caller.scopes.to_list(),
            _ => Vec::new(),
        },
    }
}

/// What she is, for lists that name people.
fn standing_of(hub: &Hub, her: &Person) -> Standing {
    let grants = &hub.settings().grants;
    Standing {
        groups: her.groups.clone(),
        roles: grants.all_roles_of(&her.name, her.admin, &her.groups),
        courses: hub.shelf().roles_of(&her.name, &her.groups),
    }
}

/// The services with pages that she may open, for the frame.
fn services_of(hub: &Hub, caller: &Caller) -> Vec<ServiceLink> {
    let settings = hub.settings();
    let services = settings.grants.services.iter();
    services
        .filter(|(name, service)| {
            let may = caller.may(ScopeName::AccessServices, Target::Service(name));
            service.display && service.url.is_some() && may
        })
        .map(|(name, _)| ServiceLink {
            name: name.clone(),
            href: service_prefix(settings.origins.base(), name),
        })
        .collect()
}

/// Where our forms may lead in the end, besides the hub: log-in and consent go on to servers, and to
/// services that are elsewhere.
fn form_targets(settings: &Settings) -> Vec<String> {
    let services = settings.grants.services.values();
    let elsewhere = services
        .filter_map(|service| url::Url::parse(service.redirect_uri.as_deref()?).ok())
        .map(|uri| uri.origin().ascii_serialization());
    settings
        .origins
        .below()
        .into_iter()
        .chain(elsewhere)
        .collect()
}

pub fn html(
    hub: &Hub,
    headers: &HeaderMap,
    status: StatusCode,
    name: &str,
    context: &impl Serialize,
) -> ApiResult<Response> {
    html_leading_to(hub, headers, status, name, context, &[])
}

/// As [`html`], for a page whose form leads on to other origins.
fn html_leading_to(
    hub: &Hub,
    headers: &HeaderMap,
    status: StatusCode,
    name: &str,
    context: &impl Serialize,
    elsewhere: &[String],
) -> ApiResult<Response> {
    let settings = hub.settings();
    let theme = &settings.theme;
    let shown = hub
        .pages()
        .show(name, &language(hub, headers), theme, context)?;
    let targets = [&form_targets(&settings), elsewhere].concat();
    let policy = match (&shown.nonce, theme.site()) {
        (Some(nonce), Some(site)) => {
            lyceum_web::page::site_policy(nonce, &site.settings().hosts, &targets)
        }
        _ => lyceum_web::page::content_security_policy(&targets),
    };
    Ok((
        status,
        [(header::CONTENT_SECURITY_POLICY, policy)],
        Html(shown.html),
    )
        .into_response())
}

/// The consent page of the OAuth provider.
pub fn oauth_confirm(
    hub: &Hub,
    caller: &Caller,
    headers: &HeaderMap,
    info: &RequestInfo,
    asked: &Checked,
    uri: &Uri,
) -> ApiResult<Response> {
    let Checked { client, back, .. } = asked;
    let page = OAuthPage {
        page: frame(hub, Some(caller), info),
        action: uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string),
        client: client_of(client, &hub.base()),
        scopes: asked.offered.clone(),
        own_scopes: hub.settings().grants.vocabulary.descriptions(),
        cancel_url: hub.at("/hub/home"),
    };
    // The form leads on to this client, wherever it is.
    let elsewhere = url::Url::parse(back).ok();
    let elsewhere = elsewhere.map(|uri| uri.origin().ascii_serialization());
    let elsewhere: Vec<String> = elsewhere.into_iter().collect();
    html_leading_to(
        hub,
        headers,
        StatusCode::OK,
        "oauth.html",
        &page,
        &elsewhere,
    )
}

/// Who asks for consent, for a reader.
fn client_of(client: &Client, base: &BasePath) -> OAuthClient {
    let path = client.prefix(base);
    match client {
        Client::Server(server) => OAuthClient {
            kind: match server.name.is_default() {
                true => "server",
                false => "named",
            },
            name: server.name.to_string(),
            owner: server.user_name.to_string(),
            path,
        },
        Client::Service(name, _) => OAuthClient {
            kind: "service",
            name: name.clone(),
            owner: String::new(),
            path,
        },
    }
}

/// Layer: errors become pages for those who look with a browser, and stay JSON for programs.
pub async fn dress(State(hub): State<Hub>, request: Request, next: Next) -> Response {
    let of_page = wants_page(request.headers(), request.uri().path()).then(|| {
        let info = request.extensions().get::<RequestInfo>().cloned();
        (request.headers().clone(), info)
    });
    let response = explain(next.run(request).await).await;
    let Some((headers, Some(info))) = of_page else {
        return response;
    };
    let Some(failure) = response.extensions().get::<Failure>().cloned() else {
        return response;
    };
    let caller = response.extensions().get::<Caller>().cloned();
    // What others say is English at best: the page says in its own words what the status means.
    let quoted = failure.message.quoted();
    let page = ErrorPage {
        page: frame(&hub, caller.as_ref(), &info),
        status: failure.status.as_u16(),
        detail: quoted
            .is_none()
            .then(|| failure.message.sentence(language(&hub, &headers))),
        technical: quoted.map(str::to_owned),
        code: Some(info.id.clone()),
        retry_url: None,
        maintenance: failure.message.key() == notices::REFUSED,
    };
    match html(&hub, &headers, failure.status, "error.html", &page) {
        Ok(mut dressed) => {
            if let Some(seconds) = response.headers().get(header::RETRY_AFTER) {
                dressed
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.clone());
            }
            dressed
        }
        Err(error) => {
            tracing::error!(
                error = %error.message,
                "the error page itself could not be made"
            );
            (
                failure.status,
                Body::from(failure.message.in_lang(language(&hub, &headers))),
            )
                .into_response()
        }
    }
}

/// What the framework refuses (a form that can't be read, a method that isn't there) it says in bare
/// text; here it gets the shape that all our errors have.
async fn explain(response: Response) -> Response {
    let status = response.status();
    let kind = header_text(response.headers(), "content-type");
    let bare = kind.is_none_or(|kind| kind.starts_with("text/plain"));
    if !(status.is_client_error() || status.is_server_error())
        || !bare
        || response.extensions().get::<Failure>().is_some()
    {
        return response;
    }
    // What can be parsed but doesn't fit is a bad request to JupyterHub's clients.
    let status = match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other => other,
    };
    let caller = response.extensions().get::<Caller>().cloned();
    let allow = response.headers().get(header::ALLOW).cloned();
    let said = axum::body::to_bytes(response.into_body(), EXPLANATION_MAX).await;
    let said = said
        .ok()
        .and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
        .filter(|text| !text.is_empty());
    let message = match (said, status) {
        (Some(said), _) => Saying::quote(said),
        (None, StatusCode::METHOD_NOT_ALLOWED) => {
            say!("refused.method")
        }
        (None, status) => Saying::quote(status.canonical_reason().unwrap_or("Error")),
    };
    let mut response = ApiError::new(status, message).into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

/// A browser that navigates, not a program and not a script.
pub fn wants_page(headers: &HeaderMap, path: &str) -> bool {
    let accepts = header_text(headers, "accept").unwrap_or_default();
    accepts.contains("text/html")
        && (!path.starts_with("/hub/api/") || path.starts_with("/hub/api/oauth2/"))
}
