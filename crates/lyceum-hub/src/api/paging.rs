//! Pages of long lists, as JupyterHub's clients ask for them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use lyceum_model::saying::Saying;
use lyceum_web::request::{RequestInfo, header};
use lyceum_web::{ApiError, ApiResult};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Hub;

const PAGED: &str = "application/jupyterhub-pagination+json";
/// On one page, and for clients that don't know of pages.
const MOST: i64 = 200;
const USUAL: i64 = 50;

/// The query of a request. Of what is given twice the last counts; space around it and control
/// characters in it do not.
#[derive(Debug, Clone)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self(
            pairs
                .map(|(key, value)| {
                    let value = value.chars().filter(|c| !c.is_control()).collect();
                    (key.into_owned(), value)
                })
                .collect(),
        )
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.trim())
    }

    /// Whether `key` is there and says neither `0` nor `false`.
    pub fn says(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// The same with other values for some keys, in their places.
    fn with(&self, values: &[(&str, i64)]) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        let mut left: Vec<_> = values.to_vec();
        for (key, value) in &self.0 {
            if !values.iter().any(|(name, _)| name == key) {
                text.append_pair(key, value);
            } else if let Some(at) = left.iter().position(|(name, _)| name == key) {
                text.append_pair(key, &left.remove(at).1.to_string());
            }
        }
        for (key, value) in left {
            text.append_pair(key, &value.to_string());
        }
        text.finish()
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

/// A list as it is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer<T> {
    Plain(T),
    Wrapped {
        items: T,
        #[serde(rename = "_pagination")]
        place: Value,
    },
}

/// Which part of a list is wanted, and in which form.
pub struct Page {
    pub offset: i64,
    pub limit: i64,
    /// Whether the client knows of pages.
    wrapped: bool,
    pub query: Query,
    /// Of the list, without a query.
    address: String,
}

impl FromRequestParts<Hub> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> ApiResult<Self> {
        let info = parts.extensions.get::<RequestInfo>();
        let address = format!("{}{}", origin(hub, info), hub.at(parts.uri.path()));
        Self::read(&parts.headers, Query::of(&parts.uri), address)
    }
}

impl Page {
    fn read(headers: &HeaderMap, query: Query, address: String) -> ApiResult<Self> {
        let wrapped = header(headers, "accept").is_some_and(|accept| {
            accept
                .split(',')
                .any(|kind| kind.trim().eq_ignore_ascii_case(PAGED))
        });
        let usual = if wrapped { USUAL } else { MOST };
        Ok(Self {
            offset: number(&query, "offset")?.unwrap_or(0),
            limit: number(&query, "limit")?.unwrap_or(usual).clamp(1, MOST),
            wrapped,
            query,
            address,
        })
    }

    /// Whether the answer says how long the whole list is.
    pub fn wrapped(&self) -> bool {
        self.wrapped
    }

    /// The answer: the items alone, or with what leads to the next page.
    pub fn answer<T: Serialize>(&self, items: T, total: i64) -> Answer<T> {
        match self.wrapped {
            true => self.wrap(items, total),
            false => Answer::Plain(items),
        }
    }

    /// The answer of lists that have this form whatever the client knows.
    pub fn wrap<T: Serialize>(&self, items: T, total: i64) -> Answer<T> {
        let Self { offset, limit, .. } = *self;
        let following = offset.saturating_add(limit);
        let next = (following < total).then(|| {
            let query = self.query.with(&[("offset", following), ("limit", limit)]);
            let url = format!("{}?{query}", self.address);
            json!({ "offset": following, "limit": limit, "url": url })
        });
        let place = json!({ "offset": offset, "limit": limit, "total": total, "next": next });
        Answer::Wrapped { items, place }
    }

    /// The part of a whole list that is this page.
    pub fn cut<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let from = usize::try_from(self.offset).map_or(all.len(), |at| at.min(all.len()));
        let many = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let rest = &all[from..];
        &rest[..many.min(rest.len())]
    }
}

/// Where this hub is, as the configuration or else the client says.
fn origin(hub: &Hub, info: Option<&RequestInfo>) -> String {
    let settings = hub.settings();
    match (settings.origins.hub(), info) {
        (Some(origin), _) => origin.to_owned(),
        (None, Some(info)) => {
            let scheme = if info.secure { "https" } else { "http" };
            format!("{scheme}://{}", info.host)
        }
        (None, None) => String::new(),
    }
}

/// A whole number; the sign tells nothing, as in JupyterHub.
fn number(query: &Query, key: &str) -> ApiResult<Option<i64>> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown: String = text.chars().take(60).collect();
        return Err(ApiError::bad_request(Saying::quote(format!(
            "{key}: {shown:?} is not a whole number"
        ))));
    }
    Ok(Some(digits.parse().unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::of(&format!("/?{text}").parse().expect("a path"))
    }

    #[test]
    fn pages_are_read_as_clients_mean_them() {
        let check = |accept: &'static str, text: &str, expect: Option<(i64, i64)>| {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().expect("a header"));
            let page = Page::read(&headers, query(text), String::new()).ok();
            assert_eq!(page.map(|page| (page.offset, page.limit)), expect, "{text}");
        };
        check("*/*", "", Some((0, 200)));
        check(PAGED, "", Some((0, 50)));
        check(
            "text/html, Application/JupyterHub-Pagination+JSON",
            "",
            Some((0, 50)),
        );
        check(
            "application/jupyterhub-pagination+json2",
            "",
            Some((0, 200)),
        );
        check("*/*", "offset=7&limit=3", Some((7, 3)));
        check("*/*", "offset=-7&limit=-3", Some((7, 3)));
        check("*/*", "limit=0", Some((0, 1)));
        check("*/*", "limit=%201%20&offset=%2B2", Some((2, 1)));
        check("*/*", "limit=1&limit=2", Some((0, 2)));
        check("*/*", "limit=99999999999999999999", Some((0, 200)));
        for bad in [
            "limit=",
            "limit=many",
            "offset=1.5",
            "offset=1e3",
            "limit=0x10",
            "limit=--1",
        ] {
            check("*/*", bad, None);
        }
    }

    #[test]
    fn the_next_page_keeps_what_was_asked() {
        let query = query("sort=-name&limit=1&limit=2&odd=%26%3D%2B");
        let next = query.with(&[("offset", 5), ("limit", 2)]);
        assert_eq!(next, "sort=-name&limit=2&odd=%26%3D%2B&offset=5");
    }

    #[test]
    fn yes_is_what_does_not_say_no() {
        for (text, expect) in [
            ("", false),
            ("stopped", true),
            ("stopped=", true),
            ("stopped=1", true),
            ("stopped=0", false),
            ("stopped=False", false),
            ("stopped=1&stopped=0", false),
        ] {
            assert_eq!(query(text).says("stopped"), expect, "{text}");
        }
    }
}
