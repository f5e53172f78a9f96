//! Pages about shared servers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Page;

/// `accept_share.html`: may I open her server?
#[derive(Debug, Clone, Default, Serialize)]
pub struct AcceptSharePage {
    pub page: Page,
    /// Posted back, with the code.
    pub code: String,
    pub next: String,
    pub owner: String,
    /// Who that is, for people: `Ada Lovelace (ada)`.
    pub owner_title: String,
    /// The server's name; empty for the default one.
    pub server: String,
    pub title: Option<String>,
    /// What one will be able to do, with filters.
    pub scopes: Vec<String>,
    /// What scopes mean that the site defines itself, by their names.
    pub own_scopes: BTreeMap<String, String>,
    pub ready: bool,
    pub danger: ShareDanger,
    /// The link is not good, or no longer; the rest is empty.
    pub gone: bool,
}

/// What it means to open somebody else's server in a browser of this site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareDanger {
    /// It has a host of its own.
    #[default]
    Apart,
    /// Its pages could act as the visitor, and the site lets that be.
    OneHost,
    /// Its pages could act as the visitor, so no browser opens it.
    Closed,
}

/// `sharing.html`: who may open my servers?
#[derive(Debug, Clone, Default, Serialize)]
pub struct SharingPage {
    pub page: Page,
    pub servers: Vec<SharingRow>,
    /// Not all whom they are shared with are on this page.
    pub more: bool,
    pub previous: Option<String>,
    pub next: Option<String>,
    /// Whether she may share at all.
    pub may_share: bool,
    /// Whether she may name people, or groups.
    pub may_name_people: bool,
    pub may_name_groups: bool,
    /// The code just made; it can't be shown again.
    pub new_code: Option<NewShareCode>,
    /// What was wrong with the last wish.
    pub error: Option<String>,
    pub danger: ShareDanger,
}

/// One of my servers, and whom it is shared with.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SharingRow {
    pub server: String,
    pub title: Option<String>,
    pub partners: Vec<PartnerRow>,
    pub codes: Vec<ShareCodeRow>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct PartnerRow {
    /// Of the share.
    pub id: String,
    pub name: String,
    pub is_group: bool,
    pub since: i64,
    pub scopes: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ShareCodeRow {
    pub id: String,
    pub created: i64,
    pub expires: i64,
    pub used: i64,
    pub last_used: Option<i64>,
    pub scopes: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct NewShareCode {
    /// The whole address that others are given.
    pub url: String,
    pub server: String,
    pub title: Option<String>,
    pub expires: i64,
}

/// Somebody else's server, on the home page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SharedRow {
    pub owner: String,
    pub server: String,
    pub title: Option<String>,
    pub ready: bool,
    /// Where it is opened; none when browsers open no such server here.
    pub url: Option<String>,
    /// By which group she has it; she can't leave what a group has.
    pub group: Option<String>,
}
