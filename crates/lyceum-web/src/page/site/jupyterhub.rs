//! The variables that templates written for JupyterHub find, made from what our pages show.
//!
//! Names and meaning are JupyterHub 6.1's. What a page of ours has besides keeps its own name, so
//! that a template can use both.

use std::collections::BTreeMap;

use lyceum_model::messages::fill;
use minijinja::Value;
use minijinja::value::Serde;

use super::python::{Moment, Person, escape};
use crate::page::messages::{Lang, Messages};

/// Which template shows a page of ours: JupyterHub's name for it.
pub(super) fn name_of(own: &str) -> &str {
    match own {
        "accept_share.html" => "accept-share.html",
        "base.html" => "page.html",
        "progress.html" => "spawn_pending.html",
        "stopping.html" => "stop_pending.html",
        other => other,
    }
}

/// JupyterHub's templates. Those that no page of ours uses can be extended all the same.
pub(super) const NAMES: &[&str] = &[
    "404.html",
    "accept-share.html",
    "admin.html",
    "error.html",
    "home.html",
    "login.html",
    "logout.html",
    "not_running.html",
    "oauth.html",
    "page.html",
    "spawn.html",
    "spawn_pending.html",
    "stop_pending.html",
    "token.html",
];

pub(super) struct Asked<'a> {
    /// The name of our page.
    pub page: &'a str,
    /// What it shows.
    pub own: &'a Value,
    pub lang: &'a Lang,
    pub messages: &'a Messages,
    pub nonce: &'a str,
    pub terms: Option<&'a str>,
    /// The frame is the site's alone, and knows nothing of our notices.
    pub own_frame: bool,
}

type Vars = BTreeMap<String, Value>;

/// What every page has; the site's own variables go over these.
pub(super) fn common(asked: &Asked<'_>) -> Vars {
    let own = asked.own;
    let base = text(own, &["page", "base"]);
    let mut vars = Vars::new();
    let mut set = |name: &str, value: Value| vars.insert(name.to_owned(), value);
    set("prefix", prefix(own).into());
    set("login_url", format!("{base}login").into());
    set("logout_url", format!("{base}logout").into());
    set("logo_url", base.clone().into());
    set("base_url", base.into());
    set("user", signed_in(own));
    set("login_service", login_service(own).into());
    set("version_hash", "".into());
    set("no_spawner_check", true.into());
    set("server_version", env!("CARGO_PKG_VERSION").into());
    set("services", get(own, &["page", "services"]));
    let admin = get(own, &["page", "user", "admin"]).is_true();
    let scopes = get(own, &["page", "scopes"]);
    set("parsed_scopes", parsed_scopes(&scopes));
    set("expanded_scopes", scopes);
    set("admin_access", admin.into());
    set("authenticator", authenticator(own));
    set(
        "login_term_url",
        asked.terms.map_or(Value::from(()), Value::from),
    );
    vars
}

/// Scopes by their names: `true` without a filter, else the filters' values by their kinds. As in
/// JupyterHub `"users" in parsed_scopes` asks whether there is any.
fn parsed_scopes(scopes: &Value) -> Value {
    type Filters = BTreeMap<String, Vec<String>>;
    let mut parsed: BTreeMap<String, Option<Filters>> = BTreeMap::new();
    for scope in scopes.try_iter().into_iter().flatten() {
        let Some(scope) = scope.as_str() else {
            continue;
        };
        let Some((name, filter)) = scope.split_once('!') else {
            parsed.insert(scope.to_owned(), None);
            continue;
        };
        let held = parsed
            .entry(name.to_owned())
            .or_insert_with(|| Some(Filters::new()));
        // Nothing narrows down what is held for all.
        if let (Some(filters), Some((kind, value))) = (held, filter.split_once('=')) {
            filters
                .entry(kind.to_owned())
                .or_default()
                .push(value.to_owned());
        }
    }
    let value = |filters: Option<Filters>| match filters {
        Some(filters) => Value::from(Serde(filters)),
        None => Value::from(true),
    };
    let parsed = parsed.into_iter();
    Value::from_pairs(parsed.map(|(name, filters)| (name, value(filters))))
}

/// What this page has, and what nobody may replace.
pub(super) fn of_page(asked: &Asked<'_>) -> Vars {
    let own = asked.own;
    let mut vars = Vars::new();
    let mut set = |name: &str, value: Value| vars.insert(name.to_owned(), value);
    let xsrf = get(own, &["page", "xsrf"]);
    set("xsrf", xsrf.clone());
    set("xsrf_token", xsrf);
    set("csp_nonce", asked.nonce.into());
    match asked.page {
        "login.html" => {
            let next = escape_query(&text(own, &["next_path"]));
            let base = text(own, &["page", "base"]);
            let url = match next.as_str() {
                "" => format!("{base}login"),
                next => format!("{base}login?next={next}"),
            };
            let url = match (login_service(own).as_str(), list(own, "methods").first()) {
                ("", _) | (_, None) => url,
                (_, Some(method)) => text(method, &["url"]),
            };
            set("authenticator_login_url", url.into());
            set("next", next.into());
            set("custom_html", "".into());
            set("login_error", login_error(asked).into());
        }
        "home.html" => {
            let default = list(own, "servers").first().map(spawner);
            let is_active = |server: &Value| server.get_attr("active").is_ok_and(|is| is.is_true());
            let name = escape(&text(own, &["page", "user", "name"]));
            let url = match default.as_ref().is_some_and(is_active) {
                true => format!("{}user/{name}/", prefix(own)),
                false => format!("{}spawn/{name}", text(own, &["page", "base"])),
            };
            set("url", url.into());
            set("default_server", default.unwrap_or_default());
            set("allow_named_servers", get(own, &["add"]).is_true().into());
            let limit = get(own, &["add", "limit"]);
            let limit = i64::try_from(limit).unwrap_or(0);
            set("named_server_limit_per_user", limit.into());
            set("invalid_server_names", Value::from(Vec::<Value>::new()));
        }
        "progress.html" => {
            owner(own, &mut set);
            set("progress_url", get(own, &["events_url"]));
            let failure = get(own, &["failure"]);
            set("failed", failure.is_true().into());
            set("failed_message", get(own, &["failure", "reason"]));
            set("failed_html_message", "".into());
            set("server_name", get(own, &["server", "server"]));
            let user = text(own, &["server", "user"]);
            let server = text(own, &["server", "server"]);
            let base = text(own, &["page", "base"]);
            let mut spawn = format!("{base}spawn/{}", escape(&user));
            if !server.is_empty() {
                spawn.push_str(&format!("/{}", escape(&server)));
            }
            let next = escape_query(&text(own, &["url"]));
            let course = match text(own, &["server", "course"]) {
                course if course.is_empty() => course,
                course => format!("&course={}", escape_query(&course)),
            };
            set("spawn_url", format!("{spawn}?next={next}{course}").into());
            set("implicit_spawn_seconds", 0.into());
        }
        "stopping.html" => owner(own, &mut set),
        "spawn.html" => {
            // `user` stays who looks: templates compare the two.
            let server = get(own, &["server"]);
            let name = text(&server, &["user"]);
            let for_user = Person {
                display_name: name.clone(),
                admin: false,
                spawners: spawners([&server].into_iter()),
                prefix: prefix(own),
                name,
            };
            set("for_user", Value::from_object(for_user));
            set("spawner", spawner(&server));
            let form = text(own, &["options_form"]);
            set("spawner_options_form", Value::from_safe_string(form));
            let said = get(own, &["error"]);
            set(
                "error_message",
                if said.is_true() { said } else { "".into() },
            );
            set("error_html_message", "".into());
            set("html_error_message", "".into());
            set("url", get(own, &["action"]));
            set("auth_state", Value::from(()));
        }
        "not_running.html" => {
            owner(own, &mut set);
            set("server_name", get(own, &["server", "server"]));
            set("spawn_url", get(own, &["start_url"]));
            set("failed", false.into());
            set("failed_message", "".into());
            set("failed_html_message", "".into());
            set("implicit_spawn_seconds", 0.into());
        }
        "error.html" => {
            let status = get(own, &["status"]);
            set("status_code", status.clone());
            set("status_message", reason(&status).into());
            let said = [get(own, &["detail"]), get(own, &["technical"])];
            let said = said.into_iter().find(Value::is_true);
            set("message", said.unwrap_or_else(|| "".into()));
            set("message_html", "".into());
            set("extra_error_html", "".into());
        }
        "oauth.html" | "accept_share.html" => {
            let scopes = list(own, "scopes");
            let words = |scope: &Value| {
                let all = scope.as_str().unwrap_or_default();
                let (name, filter) = all.split_once('!').unwrap_or((all, ""));
                let said = asked.messages.find(asked.lang, &format!("scope.{name}"));
                let described = get(own, &["own_scopes", name]);
                let described = said.map_or(described, Value::from);
                let described = if described.is_true() {
                    described
                } else {
                    name.into()
                };
                minijinja::context! { scope, description => described, filter }
            };
            let described: Vec<Value> = scopes.iter().map(words).collect();
            set("scope_descriptions", described.into());
            set("allowed_scopes", scopes.into());
            let path = get(own, &["client", "path"]);
            let client = minijinja::context! {
                description => client_in_words(asked), identifier => &path, redirect_uri => &path,
            };
            set("oauth_client", client);
            if asked.page == "accept_share.html" {
                let (owner, server) = (text(own, &["owner"]), text(own, &["server"]));
                let mut url = format!("{}user/{}/", prefix(own), escape(&owner));
                if !server.is_empty() {
                    url.push_str(&format!("{}/", escape(&server)));
                }
                // Our own page says the name, JupyterHub's `owner.name`: it is both.
                let owner = Person {
                    display_name: owner.clone(),
                    admin: false,
                    spawners: Vec::new(),
                    prefix: prefix(own),
                    name: owner,
                };
                set("owner", Value::from_object(owner));
                set("spawner", minijinja::context! { name => server });
                set("spawner_url", url.into());
                set("spawner_ready", get(own, &["ready"]));
                set("next_url", get(own, &["next"]));
            }
        }
        "token.html" => {
            let given = list(own, "applications");
            let made = list(&get(own, &["list"]), "rows");
            let row = |token: &Value| {
                minijinja::context! {
                    api_id => get(token, &["id"]), id => get(token, &["id"]),
                    note => get(token, &["note"]), scopes => get(token, &["scopes"]),
                    created => moment(token, "created"),
                    last_activity => moment(token, "last_used"),
                    expires_at => moment(token, "expires"),
                }
            };
            let client = |application: &Value| {
                minijinja::context! {
                    token_id => get(application, &["id"]),
                    description => get(application, &["name"]),
                    created => moment(application, "since"),
                    last_activity => moment(application, "last_used"),
                    tokens => vec![minijinja::context! {
                        api_id => get(application, &["id"]), id => get(application, &["id"]),
                        note => get(application, &["name"]),
                        scopes => get(application, &["scopes"]),
                        created => moment(application, "since"),
                        last_activity => moment(application, "last_used"),
                    }],
                }
            };
            let made: Vec<Value> = made.iter().map(row).collect();
            let given: Vec<Value> = given.iter().map(client).collect();
            set("api_tokens", made.into());
            set("oauth_clients", given.into());
            let longest = get(own, &["form", "max_lifetime"]);
            set("token_expires_in_max_seconds", longest.clone());
            let longest = i64::try_from(longest).unwrap_or(i64::MAX);
            set(
                "token_expires_in_options_html",
                Value::from_safe_string(lifetimes(asked, longest)),
            );
        }
        "admin.html" => {
            // As many as a page of the API has by itself.
            set("api_page_limit", 50.into());
        }
        _ => {}
    }
    vars
}

/// Who asks on the page for consent.
fn client_in_words(asked: &Asked<'_>) -> String {
    let said = |field: &str| text(asked.own, &["client", field]);
    let key = format!("oauth.client.{}", said("kind"));
    let words = asked.messages.find(asked.lang, &key).unwrap_or_default();
    let values = ["name", "owner"].map(|field| (field.to_owned(), said(field)));
    fill(words, &values)
}

/// Who looks, with her servers where the page has them.
fn signed_in(own: &Value) -> Value {
    let user = get(own, &["page", "user"]);
    if !user.is_true() {
        return Value::from(());
    }
    let name = text(&user, &["name"]);
    let is_hers = |server: &&Value| text(server, &["user"]) == name;
    let mut servers = list(own, "servers");
    servers.extend(Some(get(own, &["server"])).filter(Value::is_true));
    Value::from_object(Person {
        display_name: text(&user, &["display_name"]),
        admin: get(&user, &["admin"]).is_true(),
        spawners: spawners(servers.iter().filter(is_hers)),
        prefix: prefix(own),
        name,
    })
}

/// The base path, which JupyterHub calls so.
fn prefix(own: &Value) -> String {
    let hub = text(own, &["page", "base"]);
    hub.strip_suffix("hub/").unwrap_or("/").to_owned()
}

/// On pages about one server `user` is its owner.
fn owner(own: &Value, set: &mut impl FnMut(&str, Value) -> Option<Value>) {
    let server = get(own, &["server"]);
    let name = text(&server, &["user"]);
    if text(own, &["page", "user", "name"]) != name {
        let owner = Person {
            display_name: name.clone(),
            admin: false,
            spawners: spawners([&server].into_iter()),
            prefix: prefix(own),
            name,
        };
        set("user", Value::from_object(owner));
    }
    set("spawner", spawner(&server));
}

/// The default server first, also where none is known.
fn spawners<'a>(servers: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    let (default, named): (Vec<&Value>, Vec<&Value>) =
        servers.partition(|server| text(server, &["server"]).is_empty());
    let default = default
        .first()
        .map_or_else(Value::default, |server| (*server).clone());
    std::iter::once(&default)
        .chain(named)
        .map(spawner)
        .collect()
}

fn spawner(server: &Value) -> Value {
    let state = text(server, &["state"]);
    let pending = match state.as_str() {
        "waiting" | "starting" => Value::from("spawn"),
        "stopping" => Value::from("stop"),
        _ => Value::from(()),
    };
    minijinja::context! {
        name => get(server, &["server"]),
        display_name => get(server, &["title"]),
        active => matches!(state.as_str(), "waiting" | "starting" | "ready" | "stopping"),
        ready => state == "ready",
        pending,
        server => if state == "ready" { get(server, &["url"]) } else { Value::from(()) },
        url => get(server, &["url"]),
        last_activity => moment(server, "last_activity"),
        options_form => "",
    }
}

fn authenticator(own: &Value) -> Value {
    minijinja::context! {
        login_service => login_service(own),
        request_otp => false,
        otp_prompt => "",
        auto_login => false,
        custom_html => "",
    }
}

/// Where people come in by another site alone.
fn login_service(own: &Value) -> String {
    match get(own, &["password_form"]).is_true() {
        true => String::new(),
        false => list(own, "methods")
            .first()
            .map(|method| text(method, &["name"]))
            .unwrap_or_default(),
    }
}

fn login_error(asked: &Asked<'_>) -> String {
    let find = |key: &str| asked.messages.find(asked.lang, key).unwrap_or_default();
    if let Ok(seconds) = i64::try_from(get(asked.own, &["wait_seconds"])) {
        let form = asked
            .messages
            .find_for(asked.lang, "login.wait", Some(seconds));
        let values = [("n".to_owned(), asked.lang.number(seconds))];
        return lyceum_model::messages::fill(form.unwrap_or_default(), &values);
    }
    match text(asked.own, &["error"]).as_str() {
        "" => String::new(),
        error => find(&format!("login.error.{error}")).to_owned(),
    }
}

/// The choices of a token's life, as `<option>`s.
fn lifetimes(asked: &Asked<'_>, longest: i64) -> String {
    let mut options = String::new();
    for seconds in [3600, 86_400, 604_800, 2_592_000, 31_536_000] {
        if seconds <= longest {
            let words = asked
                .messages
                .find(asked.lang, &format!("lifetime.{seconds}"));
            let chosen = if seconds == 2_592_000 {
                " selected"
            } else {
                ""
            };
            let words = escaped(words.unwrap_or_default());
            options.push_str(&format!(
                "<option value=\"{seconds}\"{chosen}>{words}</option>"
            ));
        }
    }
    if longest == i64::MAX {
        let words = asked.messages.find(asked.lang, "lifetime.never");
        options.push_str(&format!(
            "<option value=\"\">{}</option>",
            escaped(words.unwrap_or_default())
        ));
    }
    options
}

fn reason(status: &Value) -> &'static str {
    u16::try_from(status.clone())
        .ok()
        .and_then(|status| axum::http::StatusCode::from_u16(status).ok())
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

fn escape_query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn moment(of: &Value, name: &str) -> Value {
    Moment::value(i64::try_from(get(of, &[name])).ok())
}

fn get(value: &Value, path: &[&str]) -> Value {
    path.iter().fold(value.clone(), |value, name| {
        value.get_attr(name).unwrap_or_default()
    })
}

pub(super) fn text(value: &Value, path: &[&str]) -> String {
    get(value, path).as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    get(value, &[name])
        .try_iter()
        .map(Iterator::collect)
        .unwrap_or_default()
}

/// The second to last take the place of the first on their pages, where they are given.
const ANNOUNCEMENTS: [&str; 5] = [
    "announcement",
    "announcement_login",
    "announcement_home",
    "announcement_spawn",
    "announcement_logout",
];

/// JupyterHub's announcement, which is markup, and ours behind it.
fn with_notices(asked: &Asked<'_>, said: &Value) -> Value {
    let lang = asked.lang.as_str();
    let mut html = said.as_str().unwrap_or_default().to_owned();
    let mut notices = list(&get(asked.own, &["page"]), "notices");
    let maintenance = get(asked.own, &["page", "maintenance"]);
    if get(&maintenance, &["now"]).is_true() {
        for key in ["maintenance.now", "maintenance.means"] {
            html.push_str(&escaped(
                asked.messages.find(asked.lang, key).unwrap_or_default(),
            ));
            html.push(' ');
        }
    }
    notices.extend(Some(maintenance).filter(Value::is_true));
    for notice in notices {
        html.push_str("<p>");
        let texts = get(&notice, &["texts"]);
        let unsaid = !get(&texts, &[lang]).is_true();
        for piece in list(&texts, if unsaid { "en" } else { lang }) {
            let words = escaped(&text(&piece, &["text"]));
            match text(&piece, &["url"]).as_str() {
                "" => html.push_str(&words),
                url => html.push_str(&format!("<a href=\"{}\">{words}</a>", escaped(url))),
            }
        }
        html.push_str("</p>");
    }
    Value::from_safe_string(html)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// All of it in one map: the site's variables over the common ones, the page's own over these.
pub(super) fn variables(asked: &Asked<'_>, site: &BTreeMap<String, Value>) -> Value {
    let mut vars = common(asked);
    vars.extend(site.clone());
    if let Ok(names) = asked.own.try_iter() {
        for name in names {
            if let (Some(name), Ok(value)) = (name.as_str(), asked.own.get_item(&name)) {
                vars.insert(name.to_owned(), value);
            }
        }
    }
    vars.extend(of_page(asked));
    if asked.own_frame {
        for name in ANNOUNCEMENTS {
            let said = vars.get(name).cloned();
            if said.is_some() || name == "announcement" {
                let said = said.unwrap_or_default();
                vars.insert(name.into(), with_notices(asked, &said));
            }
        }
    }
    Value::from_pairs(vars)
}
