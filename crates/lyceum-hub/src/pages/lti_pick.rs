//! What a link in a course of a learning platform opens: the page where somebody who teaches there picks it,
//! and what goes back.

use axum::extract::{Extension, Form, Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use lyceum_auth::lti::{Launch, Picked, Wanted};
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_secret;
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::page::contexts::{LtiOnwardPage, LtiPickPage};
use lyceum_web::request::RequestInfo;
use lyceum_web::routes::Routes;
use lyceum_web::{ApiError, ApiResult, Caller};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use super::{frame, html, html_leading_to};
use crate::Hub;
use crate::db::lti_picks::{self, Pick};
use crate::db::users::User;
use crate::visit::SignedIn;

const PAGE: &str = "/hub/lti13/pick/";
const ROUTE: &str = "/hub/lti13/pick/{id}";
const PURPOSE: &str = "lyceum lti pick 1";
/// So long somebody may think about it.
const LIFE: i64 = 2 * 3_600_000;
/// So long somebody may go back and answer otherwise.
const SECOND_THOUGHT: i64 = 5 * 60_000;
/// Where files open.
const HUB: &str = "/hub/";
const FILES: &str = "/hub/user-redirect/lab/tree/";
const PATH_MAX: usize = 1_000;
const NAME_MAX: usize = 200;

pub(super) fn routes() -> Routes<Hub> {
    let anon = "sends anonymous visitors to the log-in page";
    Routes::default()
        .public(Method::GET, ROUTE, anon, show)
        .scoped(Method::POST, ROUTE, pick)
}

/// Puts down what a platform asks her. Gives where she picks.
pub(super) async fn put(
    hub: &Hub,
    tx: &mut Tx,
    user: &User,
    platform: &str,
    wanted: &Wanted,
) -> anyhow::Result<String> {
    let (secret, now) = (new_secret(), hub.now());
    let pick = Pick {
        id: hash_secret(PURPOSE, &secret),
        user_id: user.id.clone(),
        platform: platform.to_owned(),
        wanted: serde_json::to_string(wanted)?,
        expires_at: now.plus(LIFE).0,
    };
    lti_picks::insert(tx, &pick, now).await?;
    Ok(hub.at(&format!("{PAGE}{secret}")))
}

/// Whether it is for her to pick.
pub(super) fn check(launch: &Launch) -> ApiResult<()> {
    match launch.may_pick() {
        true => Ok(()),
        false => Err(ApiError::forbidden(say!("refused.lti_pick"))),
    }
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    #[serde(default)]
    what: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    name: String,
}

/// What is on the desk: the request, and who was asked.
struct Desk {
    hub: Hub,
    caller: Caller,
    info: RequestInfo,
    headers: HeaderMap,
    secret: String,
    pick: Pick,
}

impl Desk {
    async fn open(
        hub: Hub,
        caller: Caller,
        info: RequestInfo,
        headers: HeaderMap,
        secret: String,
    ) -> ApiResult<Self> {
        let her = caller.person()?.id.clone();
        let id = hash_secret(PURPOSE, &secret);
        let mut tx = hub.db().read().await?;
        let pick = lti_picks::find(&mut tx, &id, &her, hub.now()).await?;
        drop(tx);
        let gone = || ApiError::new(StatusCode::NOT_FOUND, say!("refused.lti_pick_gone"));
        let pick = pick.ok_or_else(gone)?;
        Ok(Self {
            hub,
            caller,
            info,
            headers,
            secret,
            pick,
        })
    }

    fn platform_title(&self) -> String {
        let sign_in = self.hub.sign_in();
        let platform = sign_in.find_platform(&self.pick.platform);
        platform.map_or_else(String::new, |one| one.title().to_owned())
    }

    fn show(&self, choice: Choice, is_wrong: bool) -> ApiResult<Response> {
        let hub = &self.hub;
        let page = LtiPickPage {
            page: frame(hub, Some(&self.caller), &self.info),
            platform: self.platform_title(),
            action: hub.at(&format!("{PAGE}{}", self.secret)),
            is_file: choice.what == "file",
            path: choice.path.chars().take(PATH_MAX).collect(),
            name: choice.name.chars().take(NAME_MAX).collect(),
            is_wrong,
        };
        let status = match is_wrong {
            true => StatusCode::BAD_REQUEST,
            false => StatusCode::OK,
        };
        html(hub, &self.headers, status, "lti_pick.html", &page)
    }

    /// Her browser takes the answer to the platform.
    async fn answer(&self, picked: &Picked<'_>) -> ApiResult<Response> {
        let hub = &self.hub;
        let gone = || ApiError::new(StatusCode::NOT_FOUND, say!("refused.lti_pick_gone"));
        let wanted: Wanted = serde_json::from_str(&self.pick.wanted).map_err(|_| gone())?;
        let sign_in = hub.sign_in();
        let platform = sign_in.find_platform(&self.pick.platform);
        let platform = platform.ok_or_else(gone)?;
        let reply = platform.reply(&wanted, picked).await?;
        let mut tx = hub.db().write().await?;
        lti_picks::end_at(&mut tx, &self.pick.id, hub.now().plus(SECOND_THOUGHT)).await?;
        tx.commit().await?;
        let page = LtiOnwardPage {
            page: frame(hub, None, &self.info),
            platform: platform.title().to_owned(),
            action: reply.to.to_string(),
            fields: vec![("JWT".into(), reply.token)],
            new_window: false,
            answer: true,
        };
        // Of all pages this one alone has a form that leads to the platform.
        let there = [reply.to.origin().ascii_serialization()];
        let (headers, status) = (&self.headers, StatusCode::OK);
        html_leading_to(hub, headers, status, "lti_onward.html", &page, &there)
    }
}

async fn show(
    State(hub): State<Hub>,
    SignedIn(caller): SignedIn,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> ApiResult<Response> {
    let desk = Desk::open(hub, caller, info, headers, id).await?;
    desk.show(Choice::default(), false)
}

async fn pick(
    State(hub): State<Hub>,
    caller: Caller,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Form(choice): Form<Choice>,
) -> ApiResult<Response> {
    let desk = Desk::open(hub, caller, info, headers, id).await?;
    let origins = &desk.hub.settings().origins;
    // Whoever writes a path means it.
    let is_file = choice.what == "file" || !choice.path.trim().is_empty();
    let begin = if is_file { FILES } else { HUB };
    let address = origins
        .hub_url(begin)
        .and_then(|url| url.parse::<Url>().ok());
    let Some(mut address) = address else {
        return Err(ApiError::not_found());
    };
    let mut called = desk.hub.settings().site_name.clone();
    if is_file {
        let Some(folders) = folders(&choice.path) else {
            return desk.show(choice, true);
        };
        called = folders.last().cloned().unwrap_or(called);
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().extend(&folders);
        }
    }
    let name: String = choice.name.trim().chars().take(NAME_MAX).collect();
    let title = match name.is_empty() {
        true => &called,
        false => &name,
    };
    let url = address.as_str();
    desk.answer(&Picked { title, url }).await
}

/// The folders of a path below the home folder, the file last. An address that was copied from JupyterLab is
/// read from there on where its path begins; nothing else may lead anywhere else.
fn folders(written: &str) -> Option<Vec<String>> {
    let written = written.trim();
    let path = match written.split_once("/tree/") {
        Some((before, path)) if before.contains("://") || before.ends_with("lab") => {
            let path = path.split(['?', '#']).next().unwrap_or_default();
            percent_decode_str(path).decode_utf8().ok()?.into_owned()
        }
        _ => written
            .strip_prefix("lab/tree/")
            .unwrap_or(written)
            .to_owned(),
    };
    if path.len() > PATH_MAX || path.contains("://") {
        return None;
    }
    let is_odd = |part: &str| {
        matches!(part, "" | "." | "..") || part.contains(|c: char| c.is_control() || c == '\\')
    };
    let path = path.strip_prefix('/').unwrap_or(&path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let parts: Vec<String> = path.split('/').map(str::to_owned).collect();
    (!parts.iter().any(|part| is_odd(part))).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stays_below_the_home_folder() {
        let check = |written: &str, expect: Option<&str>| {
            let found = folders(written).map(|parts| parts.join("|"));
            assert_eq!(found.as_deref(), expect, "{written:?}");
        };
        check("week1/a b.ipynb", Some("week1|a b.ipynb"));
        check(" /week1/ ", Some("week1"));
        check("lab/tree/week1", Some("week1"));
        check("lab/tree/caf%C3%A9", Some("café"));
        check("100%.ipynb", Some("100%.ipynb"));
        let copied = "https://hub.example.edu/user/ada/lab/tree/w%201/a.ipynb?x=1#y";
        check(copied, Some("w 1|a.ipynb"));
        for odd in [
            "",
            "/",
            "..",
            "a/../../b",
            "a//b",
            "//evil.example/a",
            "https://evil.example/a",
            "lab/tree/%2e%2e/b",
            "lab/tree/a%2F..%2F..%2Fb",
            "a\\b",
            "a\nb",
            &"x".repeat(PATH_MAX + 1),
        ] {
            check(odd, None);
        }
    }
}
