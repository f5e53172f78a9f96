//! What is chosen before a start.

use serde::Serialize;

use super::{Page, ServerRow};

/// `spawn.html`: which server shall it be?
#[derive(Debug, Clone, Default, Serialize)]
pub struct SpawnPage {
    pub page: Page,
    pub server: ServerRow,
    /// Where the form posts to, with the page to go on to in its query.
    pub action: String,
    /// What is wrong with what was posted; it stands at its field too.
    pub error: Option<String>,
    /// The fields: `spawn_form.html`, made of a [`SpawnForm`]. Templates written for JupyterHub print
    /// them into a form of their own.
    pub options_form: String,
}

/// `spawn_form.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SpawnForm {
    /// For a course there is nothing else to choose.
    pub course: Option<CourseChoice>,
    pub profiles: Vec<ProfileRow>,
    /// What is wrong with the choice of the profile.
    pub error: Option<String>,
}

/// A course that a server is to be for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CourseChoice {
    pub id: String,
    pub title: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ProfileRow {
    pub slug: String,
    pub title: String,
    pub description: Option<String>,
    pub chosen: bool,
    pub options: Vec<OptionRow>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct OptionRow {
    /// Of the field.
    pub name: String,
    pub title: String,
    pub choices: Vec<ChoiceRow>,
    pub unlisted: Option<UnlistedRow>,
    pub error: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ChoiceRow {
    pub name: String,
    pub title: String,
    pub chosen: bool,
}

/// The field for a value of one's own.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UnlistedRow {
    pub name: String,
    pub title: Option<String>,
    /// Among the choices.
    pub title_in_choices: Option<String>,
    pub chosen: bool,
    pub value: String,
    /// What a value looks like.
    pub hint: Option<String>,
    pub error: Option<String>,
}
