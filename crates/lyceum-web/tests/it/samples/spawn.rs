//! What is chosen before a start.

use super::{EVIL, bare, of, page, server};
use lyceum_web::page::contexts::*;
use lyceum_web::page::{Lang, Theme};
use minijinja::value::Value;

fn form() -> SpawnForm {
    let choice = |name: &str, chosen: bool| ChoiceRow {
        name: name.into(),
        title: format!("Notebook {name}"),
        chosen,
    };
    let option = |unlisted: Option<UnlistedRow>, error: Option<&str>| OptionRow {
        name: "profile-option-tags--image".into(),
        title: "Image".into(),
        choices: vec![
            choice("2026-08", true),
            choice("2026-01", false),
            choice(EVIL, false),
        ],
        unlisted,
        error: error.map(Into::into),
    };
    let own = |error: Option<&str>| UnlistedRow {
        name: "profile-option-tags--image--unlisted-choice".into(),
        title: error.map(|_| "Name of the image".into()),
        title_in_choices: None,
        chosen: error.is_some(),
        value: EVIL.into(),
        hint: Some("An image of the registry of this site, `team/name:tag`".into()),
        error: error.map(Into::into),
    };
    SpawnForm {
        course: None,
        profiles: vec![
            ProfileRow {
                slug: "python".into(),
                title: "Python".into(),
                description: Some("4 cores and 5 GB, for most courses".into()),
                chosen: true,
                options: Vec::new(),
            },
            ProfileRow {
                slug: "tags".into(),
                title: format!("Choose yourself {EVIL}"),
                description: Some(format!("For who knows what it needs {EVIL}")),
                chosen: false,
                options: vec![
                    option(None, Some("Image: choose one of those shown.")),
                    option(Some(own(None)), None),
                    option(
                        Some(own(Some("Image: this is not a name of an image."))),
                        None,
                    ),
                    OptionRow {
                        choices: Vec::new(),
                        ..option(Some(own(None)), None)
                    },
                ],
            },
        ],
        error: Some("There is no such choice.".into()),
    }
}

/// As the hub makes them before the page.
fn fields(lang: Lang, form: &SpawnForm) -> String {
    let pages = crate::builder().build().expect("good templates");
    let made = pages.render("spawn_form.html", &lang, &Theme::default(), form);
    made.expect("the fields")
}

pub(super) fn all() -> Vec<(&'static str, &'static str, Value)> {
    let course = SpawnForm {
        course: Some(CourseChoice {
            id: "signals-2026".into(),
            title: format!("Signals {EVIL}"),
        }),
        ..SpawnForm::default()
    };
    vec![
        (
            "spawn.html",
            "course",
            of(SpawnPage {
                page: page(),
                server: server("", ServerState::Stopped),
                action: "/hub/spawn/ada".into(),
                error: None,
                wrong: None,
                options_form: fields(Lang::En, &course),
            }),
        ),
        (
            "spawn.html",
            "full",
            of(SpawnPage {
                page: page(),
                server: ServerRow {
                    user: "grace".into(),
                    ..server("gpu-1", ServerState::Stopped)
                },
                action: "/hub/spawn/grace/gpu-1?next=%2Fhub%2Fhome".into(),
                error: Some(format!("Image: choose one of those shown. {EVIL}")),
                wrong: form().wrong(),
                options_form: fields(Lang::En, &form()),
            }),
        ),
        (
            "spawn.html",
            "empty",
            of(SpawnPage {
                page: bare(),
                ..SpawnPage::default()
            }),
        ),
        (
            "spawn.html",
            "own",
            of(SpawnPage {
                page: page(),
                server: server("", ServerState::Stopped),
                action: "/hub/spawn/ada".into(),
                error: None,
                wrong: Some(WrongField {
                    id: "profile-1-1-own".into(),
                    title: Some(EVIL.into()),
                }),
                options_form: fields(
                    Lang::De,
                    &SpawnForm {
                        error: None,
                        ..form()
                    },
                ),
            }),
        ),
    ]
}
