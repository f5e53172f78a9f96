//! My API tokens, and the programs that may act for me.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::Scope;
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::admin::Listing;
use lyceum_web::page::contexts::{
    Application, NewToken as ShownToken, ScopeChoice, TokenForm, TokenPage, TokenRow,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;

use super::fields::Fields;
use super::list::{Asked, ListQuery};
use super::{frame, html, language, redirect, to};
use crate::api::tokens::check_scopes;
use crate::db::search::tokens::Found;
use crate::db::tokens::Token;
use crate::event_log::Event;
use crate::jobs::revocations;
use crate::next::local_target;
use crate::standing::Standing;
use crate::tokens::{NewToken, issue, room_for_one_more};
use crate::visit::SignedIn;
use crate::{Hub, db, sittings};

const PAGE: &str = "/hub/token";

const COLUMNS: &[(&str, bool)] = &[
    ("note", false),
    ("scopes", false),
    ("created", true),
    ("last_used", true),
    ("expires", false),
];

/// Scopes that a form offers, at most.
const CHOICES_MOST: usize = 100;
/// Characters of typed scopes that are shown again.
const TYPED_MOST: usize = 1000;

pub async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<ListQuery>,
) -> ApiResult<Response> {
    let visit = Look {
        hub: &hub,
        caller: &caller,
        headers: &headers,
        info: &info,
        query: &query,
    };
    page(&visit, StatusCode::OK, None, TokenForm::default()).await
}

/// Who looks at the page, and at which part of the list.
struct Look<'a> {
    hub: &'a Hub,
    caller: &'a Caller,
    headers: &'a HeaderMap,
    info: &'a RequestInfo,
    query: &'a ListQuery,
}

async fn page(
    look: &Look<'_>,
    status: StatusCode,
    new_token: Option<ShownToken>,
    mut form: TokenForm,
) -> ApiResult<Response> {
    let Look {
        hub,
        caller,
        headers,
        info,
        query,
    } = *look;
    let now = hub.now().0;
    let lang = language(hub, headers);
    let mut tx = hub.db().read().await?;
    let person = caller.person()?;
    let all = db::tokens::of_user(&mut tx, &person.id, now).await?;
    let in_exam = sittings::let_in(&mut tx, caller).await?;
    drop(tx);
    let (by_clients, own): (Vec<Token>, Vec<Token>) = all
        .into_iter()
        .partition(|token| token.oauth_client.is_some());
    let own = own.into_iter().map(|token| own_row(token, &lang));
    // Pages of a site that were written for JupyterHub know of no pieces.
    let whole = (hub.settings().theme.site()).is_some_and(|site| site.has("token.html"));
    let asked = Asked::read(hub.base(), PAGE, query, &["-created", "last_used"]);
    let list = match whole {
        true => Listing {
            rows: own.collect(),
            ..Listing::default()
        },
        false => piece(asked, own.collect()),
    };
    let chosen: Vec<String> = form.scopes.drain(..).map(|one| one.scope).collect();
    let choices = choices(caller).into_iter();
    form.scopes = choices
        .map(|scope| ScopeChoice {
            chosen: chosen.contains(&scope),
            scope,
        })
        .collect();
    let context = TokenPage {
        page: frame(hub, Some(caller), info),
        list,
        applications: applications(&by_clients, &lang),
        own_scopes: hub.settings().grants.vocabulary.descriptions(),
        new_token,
        form,
        in_exam,
    };
    html(hub, headers, status, "token.html", &context)
}

/// The part of the list that was asked for. There are never so many that they could not be looked
/// through here, by the words that are shown.
fn piece(mut asked: Asked, mut rows: Vec<TokenRow>) -> Listing<TokenRow> {
    let words = asked.q.to_lowercase();
    rows.retain(|row| row.note.to_lowercase().contains(&words));
    let (column, down) = asked.sort();
    match column {
        "last_used" => rows.sort_by_key(|row| (row.last_used, row.created)),
        _ => rows.sort_by_key(|row| row.created),
    }
    if down {
        rows.reverse();
    }
    let total = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    asked.settle(total);
    let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let shown = rows.into_iter().skip(count(asked.offset));
    let shown = shown.take(count(asked.limit)).collect();
    asked.listing(shown, total, COLUMNS, None)
}

fn own_row(token: Token, lang: &Lang) -> TokenRow {
    TokenRow {
        scopes: serde_json::from_str(&token.scopes).unwrap_or_default(),
        note: note_in(&token, lang),
        id: token.id,
        client: token.oauth_client,
        of_server: token.server_id.is_some(),
        created: token.created_at,
        last_used: token.last_used_at,
        expires: token.expires_at,
    }
}

/// A token of a list.
pub(super) fn row(found: Found, lang: &Lang) -> TokenRow {
    let (server, client) = (&found.server_id, &found.oauth_client);
    TokenRow {
        note: note(&found.note, server.as_deref(), client.as_deref(), lang),
        scopes: serde_json::from_str(&found.scopes).unwrap_or_default(),
        id: found.id,
        of_server: found.server_id.is_some(),
        client: found.oauth_client,
        created: found.created_at,
        last_used: found.last_used_at,
        expires: found.expires_at,
    }
}

/// What a token can be narrowed down to: all that she may do, without what is a part of something
/// else on the list.
fn choices(caller: &Caller) -> Vec<String> {
    let held: Vec<Scope> = caller.scopes.iter().collect();
    let implied = |scope: &Scope| {
        held.iter().any(|other| {
            other.name != scope.name
                && other.filter == scope.filter
                && other.name.implied().any(|name| name == scope.name)
        })
    };
    let mut choices: Vec<String> = held
        .iter()
        .filter(|scope| !scope.name.is_meta() && !implied(scope))
        .map(ToString::to_string)
        .collect();
    choices.sort_unstable();
    choices.truncate(CHOICES_MOST);
    choices
}

/// Programs, each with all of its tokens taken together: to take one back takes back all.
fn applications(tokens: &[Token], lang: &Lang) -> Vec<Application> {
    let mut by_client: BTreeMap<&str, Vec<&Token>> = BTreeMap::new();
    for token in tokens {
        if let Some(client) = &token.oauth_client {
            by_client.entry(client).or_default().push(token);
        }
    }
    let mut applications: Vec<Application> = by_client
        .into_values()
        .filter_map(|tokens| {
            let newest = tokens.first()?;
            let scopes = tokens.iter().flat_map(|token| {
                serde_json::from_str::<Vec<String>>(&token.scopes).unwrap_or_default()
            });
            let scopes: BTreeSet<String> = scopes.collect();
            Some(Application {
                id: newest.id.clone(),
                name: note_in(newest, lang),
                scopes: scopes.into_iter().collect(),
                since: tokens.iter().map(|token| token.created_at).min()?,
                last_used: tokens.iter().filter_map(|token| token.last_used_at).max(),
            })
        })
        .collect();
    applications.sort_by_key(|one| std::cmp::Reverse((one.last_used, one.since)));
    applications
}

fn note_in(token: &Token, lang: &Lang) -> String {
    let (server, client) = (&token.server_id, &token.oauth_client);
    note(&token.note, server.as_deref(), client.as_deref(), lang)
}

/// What a token is for. The hub's own are noted in English, as JupyterHub's API has it.
fn note(note: &str, server: Option<&str>, client: Option<&str>, lang: &Lang) -> String {
    let own: fn(&str) -> Saying = match (server, client) {
        (Some(_), _) => |prefix| say!("token.of_server", prefix = prefix),
        (None, Some(_)) => |prefix| say!("token.of_client", prefix = prefix),
        (None, None) => return note.to_owned(),
    };
    match note.strip_prefix(&own("").to_string()) {
        Some(prefix) => own(prefix).in_lang(lang),
        None => note.to_owned(),
    }
}

/// `POST /hub/token/new`
pub async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    given: Fields,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
    }
    let lang = language(&hub, &headers);
    let query = ListQuery::default();
    let look = Look {
        hub: &hub,
        caller: &caller,
        headers: &headers,
        info: &info,
        query: &query,
    };
    let note = given.get("note").chars().filter(|c| !c.is_control());
    let note: String = note.take(200).collect();
    let chosen: Vec<&str> = given.all("scope").take(CHOICES_MOST).collect();
    let refuse = async |why: Saying| {
        let form = TokenForm {
            note: note.clone(),
            error: Some(why.sentence(&lang)),
            max_lifetime: None,
            scopes: chosen
                .iter()
                .map(|scope| ScopeChoice {
                    scope: (*scope).to_owned(),
                    chosen: true,
                })
                .collect(),
            more: given.get("scopes").chars().take(TYPED_MOST).collect(),
            lifetime: given.get("expires_in").chars().take(20).collect(),
        };
        page(&look, StatusCode::BAD_REQUEST, None, form).await
    };
    let now = hub.now();
    let expires_at = match given.get("expires_in") {
        "" => None,
        text => match text.parse::<i64>() {
            Ok(seconds) if seconds > 0 => Some(now.plus(seconds.saturating_mul(1000)).0),
            _ => return refuse(say!("token.bad_life")).await,
        },
    };
    let settings = hub.settings();
    let typed = given.get("scopes").split_whitespace();
    let wanted: BTreeSet<&str> = chosen.iter().copied().chain(typed).collect();
    let mut scopes = Vec::new();
    for text in wanted {
        match settings.grants.vocabulary.parse(text) {
            Ok(scope) => scopes.push(scope),
            Err(_) => {
                let text: String = text.chars().take(60).collect();
                return refuse(say!("token.no_such_scope", scope = text)).await;
            }
        }
    }
    let mut tx = hub.db().write().await?;
    let user = db::users::get(&mut tx, &caller.person()?.id)
        .await?
        .ok_or_else(ApiError::not_found)?;
    if sittings::let_in(&mut tx, &caller).await? {
        drop(tx);
        return refuse(say!("token.not_by_code")).await;
    }
    if let Err(full) = room_for_one_more(&mut tx, &user, now).await {
        drop(tx);
        return match full.status {
            StatusCode::BAD_REQUEST => refuse(full.message).await,
            _ => Err(full),
        };
    }
    let scopes = match scopes.is_empty() {
        true => settings.grants.token_scopes(),
        false => {
            let mut standing = Standing::of_user(&hub, &mut tx, &user).await?;
            let held = &caller.scopes;
            let checked = check_scopes(&mut tx, &mut standing, &user.name, held, &scopes).await;
            if let Err(error) = checked {
                drop(tx);
                return match error.status {
                    StatusCode::BAD_REQUEST => refuse(error.message).await,
                    _ => Err(error),
                };
            }
            scopes.iter().map(ToString::to_string).collect()
        }
    };
    let new = NewToken {
        note: if note.is_empty() {
            say!("token.unnamed").in_lang(&lang)
        } else {
            note.clone()
        },
        scopes,
        expires_at,
        ..NewToken::default()
    };
    let (token, secret) = issue(&mut tx, &user, new, now).await?;
    tx.commit().await?;
    tell(&hub, "make", user.name.as_str(), &token.id);
    tracing::info!(user = %user.name, id = %token.id, "token made");
    let shown = ShownToken {
        token: secret,
        note,
        expires: expires_at,
    };
    let form = TokenForm::default();
    page(&look, StatusCode::OK, Some(shown), form).await
}

/// Her own token, by herself.
fn tell(hub: &Hub, action: &'static str, user: &str, id: &str) {
    hub.tell(Event::Token {
        action,
        user,
        id,
        by: user,
    });
}

#[derive(Debug, Deserialize)]
pub struct IdForm {
    #[serde(default)]
    pub id: String,
    /// The part of a list where the button stood.
    #[serde(default)]
    pub next: String,
}

pub async fn revoke(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    Form(form): Form<IdForm>,
) -> ApiResult<Response> {
    if !caller.is_session() {
        return Err(ApiError::forbidden(say!("refused.for_browsers_not_api")));
    }
    let person = caller.person()?;
    let mut tx = hub.db().write().await?;
    let found = db::tokens::find(&mut tx, &person.id, &form.id, hub.now().0).await?;
    if let Some(token) = &found {
        let fallen = db::tokens::delete(&mut tx, token).await?;
        revocations::announce_fallen(&mut tx, person.name.as_str(), &fallen, hub.now()).await?;
        tracing::info!(user = %person.name, id = %token.id, "token revoked");
    }
    tx.commit().await?;
    if let Some(token) = &found {
        tell(&hub, "revoke", person.name.as_str(), &token.id);
    }
    crate::proxy::pass_on(&hub).await;
    Ok(match local_target(&hub.base(), &form.next, &info.host) {
        Some(next) => redirect(&hub.base(), &next),
        None => to(&hub, PAGE),
    })
}
