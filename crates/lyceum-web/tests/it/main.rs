//! Every template in both languages, with much and with nothing to show; and the message files.
//!
//! The rendered samples are kept in the target folder's `tmp/pages`, to be looked at.

mod admin_samples;
mod jupyterhub;
mod samples;
mod sayings;
mod site;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lyceum_web::page::messages::{Messages, OWN_MESSAGES};
use lyceum_web::page::theme::FooterLink;
use lyceum_web::page::{Lang, Pages, PagesBuilder, Theme, ThemeSettings, assets};
use minijinja::Value;

/// Folders with templates: ours, and those of the parts whose contexts are ours.
fn template_files() -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in [
        "lyceum-web/templates",
        "lyceum-hub/templates",
        "lyceum-exchange/templates",
    ] {
        for entry in fs::read_dir(crates.join(folder)).expect("the folder is there") {
            files.push(entry.expect("readable").path());
        }
    }
    files.sort();
    files
}

macro_rules! templates_of {
    ($part:literal, $($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../../", $part, "/templates/", $name)))),*]
    };
}

fn builder() -> PagesBuilder {
    let of_exchange = templates_of![
        "lyceum-exchange",
        "assignment.html",
        "course.html",
        "course_people.html",
        "courses.html",
        "submission.html",
        "work.html"
    ];
    Pages::builder().add(of_exchange).add(templates_of![
        "lyceum-hub",
        "accept_share.html",
        "admin.html",
        "admin_activity.html",
        "admin_audit.html",
        "admin_configuration.html",
        "admin_group.html",
        "admin_groups.html",
        "admin_servers.html",
        "admin_services.html",
        "admin_tokens.html",
        "admin_user.html",
        "admin_users.html",
        "audit.html",
        "document.html",
        "home.html",
        "lists.html",
        "login.html",
        "logout.html",
        "logs.html",
        "lti_onward.html",
        "lti_other.html",
        "lti_pick.html",
        "mail.html",
        "not_running.html",
        "oauth.html",
        "password.html",
        "progress.html",
        "seat.html",
        "second_factor.html",
        "sharing.html",
        "sheets.html",
        "sitting.html",
        "sittings.html",
        "sessions.html",
        "sign_up.html",
        "spawn.html",
        "spawn_form.html",
        "stopping.html",
        "switch.html",
        "token.html"
    ])
}

fn render(name: &str, lang: Lang, ctx: &Value) -> String {
    let pages = builder().build().expect("good templates");
    let theme = Theme::new(&ThemeSettings {
        footer: Some("Faculty of Sums · help@example.edu".into()),
        ..ThemeSettings::default()
    })
    .expect("a good theme")
    .with_links(
        ["help", "privacy", "terms", "imprint"]
            .map(|kind| FooterLink {
                kind,
                url: format!("/hub/pages/{kind}"),
                own: true,
            })
            .to_vec(),
    );
    pages
        .render(name, &lang, &theme, ctx)
        .unwrap_or_else(|error| panic!("{error:#}"))
}

/// The text of a page: no tags, so that attributes don't count.
fn has_unfilled_place(html: &str) -> bool {
    html.match_indices('{').any(|(at, _)| {
        let rest = &html[at + 1..];
        rest.find('}')
            .is_some_and(|end| end > 0 && rest[..end].bytes().all(|b| b.is_ascii_lowercase()))
    })
}

#[test]
fn every_template_renders() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&folder).expect("a folder to write to");
    fs::write(folder.join("theme.css"), Theme::default().css()).expect("written");
    let messages = Messages::read(OWN_MESSAGES).expect("good files");
    let keys: BTreeSet<&str> = messages.keys(&Lang::En).collect();
    let mut covered = BTreeSet::new();
    for (name, variant, ctx) in samples::all() {
        covered.insert(name);
        for lang in Lang::BUILT_IN {
            let html = render(name, lang.clone(), &ctx);
            let place = format!("{name}, {variant}, {}", lang.as_str());
            assert!(
                html.contains(&format!("<html lang=\"{}\">", lang.as_str())),
                "{place}"
            );
            assert!(!html.contains("<title> ·"), "{place}: no title");
            assert!(!has_unfilled_place(&html), "{place}: {html}");
            for word in html.split(|c: char| !(c.is_alphanumeric() || "._:-".contains(c))) {
                assert!(
                    !word.contains('.') || !keys.contains(word),
                    "{place}: the key {word} shows"
                );
            }
            assert!(!html.contains("<script>alert"), "{place}: not escaped");
            for inline in [" style=", "<style", " onclick=", "javascript:"] {
                assert!(!html.contains(inline), "{place}: {inline}");
            }
            let forms = html.matches("method=\"post\"").count();
            let tokens = html.matches("name=\"_xsrf\"").count();
            // What a platform has sent goes on as it is: its `state` binds it to the browser.
            let forms = forms - usize::from(name == "lti_onward.html");
            assert_eq!(forms, tokens, "{place}: each form has its token");
            let file = format!(
                "{}-{variant}-{}.html",
                name.trim_end_matches(".html"),
                lang.as_str()
            );
            fs::write(folder.join(file), html).expect("written");
        }
    }
    let own: BTreeSet<String> = template_files()
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| {
            let pieces = [
                "audit.html",
                "base.html",
                "courses.html",
                "lists.html",
                "spawn_form.html",
                "ui.html",
            ];
            !pieces.contains(&name.as_str())
        })
        .collect();
    assert_eq!(own, covered.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn home_has_one_primary_action_at_most() {
    let homes = samples::all().into_iter();
    for (name, variant, ctx) in homes.filter(|(name, ..)| *name == "home.html") {
        let html = render(name, Lang::En, &ctx);
        let primary = html.split("class=\"").skip(1);
        let primary = primary.filter_map(|rest| rest.split('"').next());
        let primary = primary.filter(|class| class.split(' ').any(|word| word == "primary"));
        assert!(primary.count() <= 1, "{variant}: {html}");
    }
}

/// The names of what is filled in.
fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

#[test]
fn both_languages_say_the_same_things() {
    let messages = Messages::read(OWN_MESSAGES).expect("good files");
    let keys = |lang| messages.keys(lang).collect::<BTreeSet<_>>();
    let (en, de) = (keys(&Lang::En), keys(&Lang::De));
    assert_eq!(en.difference(&de).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert_eq!(de.difference(&en).collect::<Vec<_>>(), Vec::<&&str>::new());
    for key in en {
        let of = |lang| -> BTreeSet<&str> {
            places(messages.find(lang, key).expect("just listed")).collect()
        };
        // "the last line" needs no number.
        if !key.ends_with(".one") {
            assert_eq!(of(&Lang::En), of(&Lang::De), "{key}");
        }
        if let Some(stem) = key.strip_suffix(".one") {
            let other = format!("{stem}.other");
            assert!(
                messages.find(&Lang::En, &other).is_some(),
                "{other} is missing"
            );
        }
    }
}

#[test]
fn every_key_in_templates_exists_and_every_key_is_used() {
    let messages = Messages::read(OWN_MESSAGES).expect("good files");
    let keys: Vec<&str> = messages.keys(&Lang::En).collect();
    let mut used = BTreeSet::new();
    // The functions of pages use these without a template.
    let mut prefixes =
        BTreeSet::from(["time.", "scope.", "scope-of.", "scope-other."].map(str::to_owned));
    for path in template_files() {
        let text = fs::read_to_string(&path).expect("readable");
        for call in text.split(" t(\"").chain(text.split("(t(\"")).skip(1) {
            let Some((key, rest)) = call.split_once('"') else {
                continue;
            };
            if rest.starts_with(" ~") {
                prefixes.insert(key.to_owned());
            } else if rest.starts_with([')', ',']) {
                used.insert(key.to_owned());
                // `, n=lines|length) }}…`: names are what stands before `=`.
                let given: BTreeSet<&str> = rest
                    .split(')')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .filter_map(|part| Some(part.split_once('=')?.0.trim()))
                    .collect();
                let text = messages.find_for(&Lang::En, key, given.contains("n").then_some(2));
                let wanted: BTreeSet<&str> = places(text.unwrap_or_default()).collect();
                assert_eq!(given, wanted, "{key} in {}", path.display());
            }
        }
    }
    // error.html makes its keys of the status.
    prefixes.insert("error.".into());
    for key in &used {
        let found = keys
            .iter()
            .any(|own| own == key || own.strip_suffix(".other") == Some(key));
        assert!(found, "a template uses {key}, which has no text");
    }
    for prefix in &prefixes {
        assert!(
            keys.iter().any(|own| own.starts_with(prefix)),
            "nothing starts with {prefix}"
        );
    }
    for key in keys {
        let stem = key.trim_end_matches(".one").trim_end_matches(".other");
        let by_prefix = prefixes.iter().any(|prefix| key.starts_with(prefix));
        assert!(
            by_prefix || used.contains(stem) || used.contains(key),
            "no page says {key}"
        );
    }
}

#[test]
fn pages_name_files_that_exist() {
    let html = render(
        "message.html",
        Lang::En,
        &samples::find("message.html", "full"),
    );
    let paths: Vec<&str> = html
        .split('"')
        .filter_map(|part| part.strip_prefix("/hub/static/"))
        .filter(|path| !path.starts_with("theme.css?v="))
        .collect();
    assert_eq!(paths.len(), 3, "icon, style, script: {paths:?}");
    for path in paths {
        assert!(assets(path).is_some_and(|asset| asset.immutable), "{path}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let error = builder()
        .add(&[("home.html", "")])
        .build()
        .err()
        .expect("refused");
    assert_eq!(error.to_string(), "two templates are called home.html");
}

#[test]
fn an_unknown_name_in_a_template_is_an_error_not_a_gap() {
    let pages = Pages::builder()
        .add(&[("odd.html", "{{ nothing_of_the_kind }}")])
        .build()
        .expect("it can be compiled");
    let rendered = pages.render("odd.html", &Lang::En, &Theme::default(), Value::UNDEFINED);
    assert!(rendered.is_err());
}
