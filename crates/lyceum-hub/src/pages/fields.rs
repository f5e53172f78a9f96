//! What a form of ours posts, as an extractor.

use std::collections::HashSet;

use axum::extract::{Form, FromRequest, Request};
use axum::response::{IntoResponse, Response};

use crate::Hub;

/// A form, with fields that can be there more than once.
pub struct Fields(Vec<(String, String)>);

impl FromRequest<Hub> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, hub: &Hub) -> Result<Self, Response> {
        let form = Form::<Vec<(String, String)>>::from_request(request, hub).await;
        form.map(|form| Self(form.0))
            .map_err(IntoResponse::into_response)
    }
}

impl Fields {
    /// Empty where it is not there.
    pub fn get(&self, key: &str) -> &str {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value.trim())
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// What was typed into a field that takes many names, each once.
    pub fn names(&self, key: &str) -> Vec<String> {
        let mut known = HashSet::new();
        let words = self
            .get(key)
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
        let names = words.filter(|name| !name.is_empty() && known.insert(*name));
        names.map(str::to_owned).collect()
    }
}
