//! `POST /hub/language`: the language that a reader chooses at the foot of a page.
//!
//! It is kept in a cookie, of people who are not signed in too. Without one the browser's
//! `Accept-Language` decides. The proxy's own pages go by it as well, so it is sent with every path, and
//! to the hosts of people's servers; the servers themselves never see it.

use std::sync::LazyLock;

use axum::extract::{Extension, Form, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use lyceum_web::ApiResult;
use lyceum_web::cookie::{self, Cookie};
use lyceum_web::page::Theme;
use lyceum_web::page::contexts::LanguageChoice;
use lyceum_web::request::{RequestInfo, header as header_text};
use serde::Deserialize;

use super::{redirect, secure};
use crate::Hub;
use crate::next::local_target;

const YEAR: i64 = 365 * 24 * 3600;

/// What a page offers.
pub fn choices(theme: &Theme) -> Vec<LanguageChoice> {
    let languages = theme.languages().into_iter();
    languages
        .map(|lang| LanguageChoice {
            tag: lang.as_str().to_owned(),
            name: lang.name().to_owned(),
            dir: lang.direction(),
        })
        .collect()
}

#[derive(Debug, Default, Deserialize)]
pub struct Chosen {
    #[serde(default)]
    language: String,
}

/// Back to the page it was chosen on. A language that is not there (any more) leaves all as it is.
pub async fn choose(
    State(hub): State<Hub>,
    Extension(info): Extension<RequestInfo>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> ApiResult<Response> {
    let base = hub.base();
    let page = header_text(&headers, "referer").unwrap_or_default();
    let back = local_target(&base, page, &info.host).filter(|page| {
        let path = page.split(['?', '#']).next().unwrap_or_default();
        !takes_forms_only(base.within(path).unwrap_or(path))
    });
    let back = back.unwrap_or_else(|| base.at("/hub/home"));
    let mut response = redirect(&base, &back);
    let there = hub.settings().theme.languages();
    if let Some(lang) = there.iter().find(|lang| lang.as_str() == chosen.language) {
        let settings = hub.settings();
        let cookie = Cookie {
            name: cookie::LANGUAGE,
            value: lang.as_str(),
            path: base.as_str(),
            domain: settings.origins.cookie_domain(),
            http_only: true,
            secure: secure(&hub, &info),
            max_age: Some(YEAR),
        };
        // Once it was sent to the hub alone, and one that is left of then would come first.
        let earlier = Cookie::expire(cookie::LANGUAGE, &base.hub(), None, cookie.secure);
        let headers = response.headers_mut();
        headers.append(header::SET_COOKIE, earlier);
        headers.append(header::SET_COOKIE, cookie.header());
    }
    Ok(response)
}

/// Whether a page stood there as the answer to a form, and can't be asked for.
fn takes_forms_only(path: &str) -> bool {
    static ROUTES: LazyLock<Vec<(Method, String)>> = LazyLock::new(|| {
        let routes = super::routes();
        let listed = routes.list().iter();
        listed
            .map(|route| (route.method.clone(), route.path.to_string()))
            .collect()
    });
    let fits = |pattern: &str| {
        let (mut parts, mut wanted) = (path.split('/'), pattern.split('/'));
        loop {
            match (parts.next(), wanted.next()) {
                (None, None) => return true,
                (Some(_), Some(name)) if name.starts_with("{*") => return true,
                (Some(part), Some(name)) if name.starts_with('{') || name == part => {}
                _ => return false,
            }
        }
    };
    let mut fitting = ROUTES
        .iter()
        .filter(|(_, pattern)| fits(pattern))
        .peekable();
    fitting.peek().is_some() && fitting.all(|(method, _)| *method != Method::GET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_forms_are_no_pages_to_go_back_to() {
        let check = |path: &str, expect: bool| assert_eq!(takes_forms_only(path), expect, "{path}");
        check("/hub/token/new", true);
        check("/hub/servers/add", true);
        check("/hub/language", true);
        check("/hub/login", false);
        check("/hub/home", false);
        check("/hub/token", false);
        check("/hub/user/ada/lab", false);
        check("/hub/no/such/page", false);
    }
}
