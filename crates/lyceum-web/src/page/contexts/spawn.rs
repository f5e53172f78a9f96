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
    /// What is wrong with what was posted.
    pub error: Option<String>,
    /// The field at which it stands too: the page leads there instead of saying it twice.
    pub wrong: Option<WrongField>,
    /// The fields: `spawn_form.html`, made of a [`SpawnForm`]. Templates written for JupyterHub print
    /// them into a form of their own.
    pub options_form: String,
}

/// Where to look again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongField {
    /// In the page.
    pub id: String,
    /// What it is about; none: which profile.
    pub title: Option<String>,
}

impl SpawnForm {
    /// The field that has something wrong beside it, by the ids that the template gives.
    pub fn wrong(&self) -> Option<WrongField> {
        if self.error.is_some() && !self.profiles.is_empty() {
            let id = "profile-1".to_owned();
            return Some(WrongField { id, title: None });
        }
        let profiles = (1..).zip(&self.profiles);
        let mut options = profiles.flat_map(|(nth, profile): (usize, _)| {
            let options = (1..).zip(&profile.options);
            options.map(move |(at, option): (usize, _)| (format!("profile-{nth}-{at}"), option))
        });
        options.find_map(|(id, option)| {
            let own = option.unlisted.as_ref();
            let end = match option.error.is_some() && !option.choices.is_empty() {
                true => "",
                false => own.and_then(|own| own.error.as_ref()).map(|_| "-own")?,
            };
            let title = Some(option.title.clone());
            Some(WrongField {
                id: format!("{id}{end}"),
                title,
            })
        })
    }
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
