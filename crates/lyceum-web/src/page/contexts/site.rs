//! What the site says by itself: notices above pages, and pages of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Page;
use crate::page::plain::{Document, Piece};

/// A line above every page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Notice {
    /// By the tags of languages: each built-in one is there, and others that it is written in.
    pub texts: BTreeMap<String, Vec<Piece>>,
    pub warning: bool,
}

/// What people are told of a maintenance.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Maintenance {
    pub from: i64,
    pub until: Option<i64>,
    /// It has begun.
    pub now: bool,
    /// The reader may log in and start servers all the same.
    pub let_in: bool,
    /// The operator's words, as in [`Notice::texts`].
    pub texts: BTreeMap<String, Vec<Piece>>,
}

/// `logout.html`: what is left after a log-out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogoutPage {
    pub page: Page,
    /// Where she came by, and is still logged in.
    pub there: Option<StillThere>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct StillThere {
    /// What the log-in page calls it.
    pub name: String,
    /// Where she logs out there; it leads back here.
    pub url: String,
    /// The browser goes there by itself.
    pub at_once: bool,
}

/// `document.html`: a page of the site's own.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DocumentPage {
    pub page: Page,
    /// `privacy`, `terms`, `imprint`: its title is the message `foot.KIND` unless it has one.
    pub kind: &'static str,
    pub document: Document,
}

/// A language at the foot of every page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LanguageChoice {
    pub tag: String,
    /// As those who speak it call it.
    pub name: String,
    /// `ltr` or `rtl`.
    pub dir: &'static str,
}
