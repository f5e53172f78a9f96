//! What is chosen before a start: `/hub/spawn`, with the fields that KubeSpawner's form has.
//!
//! Who comes by a link, or presses a button elsewhere, gets here when there is something to choose
//! ([`super::start`]); where there is nothing, the server starts at once.

use axum::extract::{Extension, Form, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use lyceum_model::name::ServerName;
use lyceum_web::page::Lang;
use lyceum_web::page::contexts::{
    ChoiceRow, CourseChoice, OptionRow, ProfileRow, SpawnForm, SpawnPage, UnlistedRow,
};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiResult, Caller};
use serde_json::Value;

use super::start::{self, Asked, Visit};
use super::{frame, home, html, language, switch};
use crate::db::servers::Server;
use crate::db::users::User;
use crate::launch::CourseStart;
use crate::next::local_target;
use crate::profiles::choose::{PROFILE, UNLISTED, Wrong, choose, unlisted_key};
use crate::profiles::{Profile, ProfileOption, form};
use crate::visit::ServerPath;
use crate::{Hub, db};

pub(super) fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(Method::GET, "/hub/spawn", anon, start::start_own)
        .public(Method::GET, "/hub/spawn/{user}", anon, start::start_by_link)
        .public(
            Method::GET,
            "/hub/spawn/{user}/{server}",
            anon,
            start::start_by_link,
        )
        .scoped(Method::POST, "/hub/spawn", post_own)
        .scoped(Method::POST, "/hub/spawn/{user}", post)
        .scoped(Method::POST, "/hub/spawn/{user}/{server}", post)
}

type Fields = Vec<(String, String)>;

/// `POST /hub/spawn`: my default server.
async fn post_own(
    hub: State<Hub>,
    caller: Caller,
    info: Extension<RequestInfo>,
    headers: HeaderMap,
    query: Query<Fields>,
    fields: Form<Fields>,
) -> ApiResult<Response> {
    let user = caller.person()?.name.to_string();
    let server = String::new();
    let path = ServerPath { user, server };
    post(hub, caller, info, headers, query, path, fields).await
}

/// `POST /hub/spawn/{user}` and `/hub/spawn/{user}/{server}`.
async fn post(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Query(query): Query<Fields>,
    ServerPath { user, server }: ServerPath,
    Form(fields): Form<Fields>,
) -> ApiResult<Response> {
    let next = local_target(&hub.base(), start::next_of(&query), &info.host);
    let asked = Asked::Options(form::options(&fields));
    let ends = switch::Ends::of(&fields);
    let visit = Visit {
        hub,
        caller,
        info,
        headers,
        next,
        asked,
        ends,
    };
    start::start(visit, user, server).await
}

/// What the page is about.
pub(super) struct About<'a> {
    pub owner: &'a User,
    pub name: &'a ServerName,
    pub row: Option<&'a Server>,
    pub mine: &'a [Profile],
    /// What it is to be for.
    pub course: Option<&'a CourseStart>,
}

/// The page. What was refused is shown again with what is wrong about it; what a link names is chosen
/// already, otherwise what was chosen the last time.
pub(super) fn page(
    visit: &Visit,
    about: &About<'_>,
    named: Option<&Value>,
    wrong: Option<&Wrong>,
) -> ApiResult<Response> {
    let lang = language(&visit.hub, &visit.headers);
    let kept = || {
        let row = about.row?;
        let kept: Value = serde_json::from_str(row.choice()).ok()?;
        // It may be hers no more.
        choose(about.mine, &kept).ok().map(|_| kept)
    };
    let named = named.filter(|named| wrong.is_some() || choose(about.mine, named).is_ok());
    let options = named.cloned().or_else(kept).unwrap_or_default();
    let fields = match about.course {
        Some(course) => SpawnForm {
            course: Some(CourseChoice {
                id: course.id.to_string(),
                title: course.title.clone(),
            }),
            ..SpawnForm::default()
        },
        None => fields(about.mine, &options, wrong, &lang),
    };
    let hub = &visit.hub;
    let theme = &hub.settings().theme;
    let base = hub.base();
    let wrong_field = fields.wrong();
    let context = SpawnPage {
        page: frame(hub, Some(&visit.caller), &visit.info),
        server: home::card(&base, &about.owner.name, about.name, about.row, &lang),
        action: start::spawn_url(&base, &about.owner.name, about.name, visit.next.as_deref()),
        error: wrong.map(|wrong| wrong.why.sentence(&lang)),
        wrong: wrong_field,
        options_form: (hub.pages()).render("spawn_form.html", &lang, theme, &fields)?,
    };
    let status = match wrong {
        Some(_) => StatusCode::BAD_REQUEST,
        None => StatusCode::OK,
    };
    html(hub, &visit.headers, status, "spawn.html", &context)
}

fn fields(mine: &[Profile], options: &Value, wrong: Option<&Wrong>, lang: &Lang) -> SpawnForm {
    let text = |key: &str| options[key].as_str().filter(|text| !text.is_empty());
    let slug = text(PROFILE);
    let is_known = |slug: &str| mine.iter().any(|profile| profile.slug == slug);
    let slug = slug.filter(|slug| is_known(slug));
    let error = |field: &str| {
        let wrong = wrong.filter(|wrong| wrong.field == field);
        wrong.map(|wrong| wrong.why.sentence(lang))
    };
    let profile = |profile: &Profile| {
        let chosen = slug.map_or(profile.is_default, |slug| slug == profile.slug);
        let row = |option: &ProfileOption| {
            // What was said of an option counts in the profile it was said for.
            let said = |key: &str| text(key).filter(|_| chosen);
            let wrong = |field: &str| error(field).filter(|_| chosen);
            option_row(&profile.slug, option, &said, &wrong)
        };
        ProfileRow {
            slug: profile.slug.clone(),
            title: profile.title.clone(),
            description: profile.description.clone(),
            chosen,
            options: profile.options.iter().map(row).collect(),
        }
    };
    SpawnForm {
        course: None,
        profiles: mine.iter().map(profile).collect(),
        error: error(PROFILE),
    }
}

fn option_row<'a>(
    slug: &str,
    option: &ProfileOption,
    said: &dyn Fn(&str) -> Option<&'a str>,
    wrong: &dyn Fn(&str) -> Option<String>,
) -> OptionRow {
    let own_key = unlisted_key(&option.name);
    let own = said(&own_key);
    let choice = said(&option.name);
    let is_own = option.unlisted.is_some() && (own.is_some() || choice == Some(UNLISTED));
    let listed = option
        .choices
        .iter()
        .any(|one| Some(one.name.as_str()) == choice);
    OptionRow {
        name: form::field(slug, &option.name),
        title: option.title.clone(),
        choices: (option.choices.iter())
            .map(|one| ChoiceRow {
                name: one.name.clone(),
                title: one.title.clone(),
                chosen: match listed {
                    true => Some(one.name.as_str()) == choice && !is_own,
                    false => one.is_default && !is_own,
                },
            })
            .collect(),
        unlisted: option.unlisted.as_ref().map(|unlisted| UnlistedRow {
            name: form::field(slug, &own_key),
            title: unlisted.title.clone(),
            title_in_choices: unlisted.title_in_choices.clone(),
            chosen: is_own,
            value: own.unwrap_or_default().to_owned(),
            hint: unlisted.message.clone(),
            error: wrong(&own_key),
        }),
        error: wrong(&option.name),
    }
}

/// The row, when there is one already.
pub(super) async fn row_of(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
) -> ApiResult<Option<Server>> {
    let mut tx = hub.db().read().await?;
    Ok(db::servers::find(&mut tx, &owner.id, name).await?)
}
