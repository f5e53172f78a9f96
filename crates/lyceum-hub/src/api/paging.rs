//! Lists in pages, as JupyterHub has them: `offset` and `limit`, and a form with what comes next for
//! those who ask for it by `Accept`.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use lyceum_model::saying::Saying;
use lyceum_web::ApiError;
use lyceum_web::request::{RequestInfo, header};
use serde_json::{Value, json};

use crate::Hub;

const ACCEPT: &str = "application/jupyterhub-pagination+json";
const MOST: u64 = 200;
const USUAL: u64 = 50;

/// Which page is wanted, and in which form.
pub struct Paging {
    pub offset: i64,
    pub limit: i64,
    with_next: bool,
    /// Of the page itself, without a query.
    address: String,
    others: Vec<(String, String)>,
}

impl FromRequestParts<Hub> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Self, ApiError> {
        let with_next =
            header(&parts.headers, "accept").is_some_and(|accept| accept.contains(ACCEPT));
        let query = parts.uri.query().unwrap_or_default();
        let mut others: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let find = |name: &str| {
            let (_, text) = others.iter().rfind(|(key, _)| key == name)?;
            Some(text.as_str())
        };
        let offset = number("offset", find("offset"), 0)?;
        let usual = if with_next { USUAL } else { MOST };
        let limit = number("limit", find("limit"), usual)?.clamp(1, MOST);
        others.retain(|(key, _)| key != "offset" && key != "limit");
        let origin = hub.settings().origins.hub().map(str::to_owned).or_else(|| {
            let info = parts.extensions.get::<RequestInfo>()?;
            let scheme = if info.secure { "https" } else { "http" };
            Some(format!("{scheme}://{}", info.host))
        });
        Ok(Self {
            offset: i64::try_from(offset).unwrap_or(i64::MAX),
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            with_next,
            address: format!("{}{}", origin.unwrap_or_default(), parts.uri.path()),
            others,
        })
    }
}

/// As JupyterHub reads it: a sign is of no weight.
fn number(name: &str, text: Option<&str>, usual: u64) -> Result<u64, ApiError> {
    let Some(text) = text else {
        return Ok(usual);
    };
    let number = text.trim().parse::<i64>().map_err(|_| {
        let text: String = text.chars().take(60).collect();
        ApiError::bad_request(Saying::quote(format!(
            "{name}: {text:?} is not a whole number"
        )))
    })?;
    Ok(number.unsigned_abs())
}

impl Paging {
    /// The items of this page, of a list that has `total` in all.
    pub fn answer(self, items: Vec<Value>, total: i64) -> Response {
        if !self.with_next {
            return Json(Value::Array(items)).into_response();
        }
        let following = self.offset.saturating_add(self.limit);
        let next = (following < total).then(|| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.others)
                .append_pair("offset", &following.to_string())
                .append_pair("limit", &self.limit.to_string())
                .finish();
            let url = format!("{}?{query}", self.address);
            json!({ "offset": following, "limit": self.limit, "url": url })
        });
        Json(json!({
            "items": items,
            "_pagination": {
                "offset": self.offset, "limit": self.limit, "total": total, "next": next
            },
        }))
        .into_response()
    }

    /// The part of a whole list that is this page.
    pub fn cut<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let from = usize::try_from(self.offset).map_or(all.len(), |at| at.min(all.len()));
        let many = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let rest = &all[from..];
        &rest[..many.min(rest.len())]
    }
}
