//! `environments:` and `profiles:`: what a server can be, and what people choose from.
//!
//! A profile is written in KubeSpawner's words, so that a list which is there can be taken over as it
//! is, and in ours: `title`, `use`, `for`. What comes of it is [`lyceum_hub::profiles`].

mod written;

use std::collections::BTreeMap;

use lyceum_hub::grants::default_roles;
use lyceum_hub::profiles::choose::{COURSE, PROFILE, UNLISTED};
use lyceum_hub::profiles::kubespawner::{self, OTHERS, SETTINGS};
use lyceum_hub::profiles::{
    Choice, Override, Pattern, Profile, ProfileOption, Profiles, Unlisted, slug_of,
};
use lyceum_model::environment::Said;
use lyceum_model::name::is_free_name;
use lyceum_model::who::{Forms, Who};

use lyceum_written::Tell;
use lyceum_written::environment::RawEnvironment;
use lyceum_written::problem::{nearest, suggest};

use super::raw::RawConfig;
use written::{Overrides, RawOption, RawUnlisted};
pub(super) use written::{RawProfile, a_list_of_profiles};

/// A list that people can still look through.
const PROFILES_MAX: usize = 200;
const OPTIONS_MAX: usize = 50;
const CHOICES_MAX: usize = 500;
const TEXT_MAX: usize = 2000;

/// Environments by their names, each with all that holds for it.
pub(super) type Known = BTreeMap<String, Vec<Said>>;

pub(super) fn check_profiles(raw: &RawConfig, problem: Tell<'_>) -> (Profiles, Known) {
    let known = check_environments(&raw.environments, problem);
    let own = raw.load_roles.iter().map(|role| role.name.as_str());
    let roles: Vec<&str> = own
        .chain(default_roles().map(|(name, _, _)| name))
        .collect();
    if raw.profiles.len() > PROFILES_MAX {
        let message = format!("more than {PROFILES_MAX} profiles, which nobody looks through");
        problem("profiles", message);
    }
    let mut profiles: Vec<Profile> = Vec::new();
    let mut default: Option<usize> = None;
    for (index, raw) in raw.profiles.iter().enumerate() {
        let path = format!("profiles[{index}]");
        let profile = check_profile(raw, &path, &known, &roles, problem);
        if let Some(at) = profiles.iter().position(|one| one.slug == profile.slug)
            && !profile.slug.is_empty()
        {
            let key = raw.slug.as_ref().map_or("", |_| ".slug");
            problem(
                &format!("{path}{key}"),
                format!(
                    "the slug `{}` is taken by profiles[{at}]; write another `slug`",
                    profile.slug
                ),
            );
        }
        if profile.is_default {
            match default {
                None => default = Some(index),
                Some(at) => problem(
                    &format!("{path}.default"),
                    format!("profiles[{at}] is the default already"),
                ),
            }
        }
        profiles.push(profile);
    }
    (Profiles(profiles), known)
}

fn check_environments(raw: &BTreeMap<String, RawEnvironment>, problem: Tell<'_>) -> Known {
    let names: Vec<&str> = raw.keys().map(String::as_str).collect();
    let mut own: BTreeMap<&str, Vec<Said>> = BTreeMap::new();
    for (name, environment) in raw {
        let path = format!("environments.{name}");
        if !is_free_name(name) {
            problem(&path, format!("{name:?} is not a name"));
        }
        own.insert(name, environment.parts().check(&path, problem));
        if let Some(base) = &environment.base
            && !raw.contains_key(base)
        {
            problem(&format!("{path}.use"), no_environment(base, &names));
        }
    }
    let mut known = Known::new();
    for name in raw.keys() {
        let mut chain = vec![name.as_str()];
        let mut at = name.as_str();
        while let Some(base) = raw.get(at).and_then(|one| one.base.as_deref()) {
            if chain.contains(&base) {
                // Told once, of those that are in the circle.
                if base == name {
                    let path = format!("environments.{name}.use");
                    chain.push(base);
                    problem(
                        &path,
                        format!("goes round in a circle: {}", chain.join(" -> ")),
                    );
                }
                break;
            }
            chain.push(base);
            at = base;
        }
        let said = chain.iter().rev().filter_map(|name| own.get(name));
        known.insert(name.clone(), said.flatten().cloned().collect());
    }
    known
}

fn no_environment(name: &str, known: &[&str]) -> String {
    let known = match known {
        [] => "there are no `environments`".into(),
        known => suggest(name, known),
    };
    format!("there is no environment `{name}`; {known}")
}

fn check_profile(
    raw: &RawProfile,
    path: &str,
    known: &Known,
    roles: &[&str],
    problem: Tell<'_>,
) -> Profile {
    let title = match (&raw.title, &raw.display_name) {
        (Some(_), Some(_)) => {
            let message = "`title` and `display_name` mean the same; write one of them";
            problem(&format!("{path}.display_name"), message.into());
            None
        }
        (Some(title), None) => Some(("title", title)),
        (None, Some(title)) => Some(("display_name", title)),
        (None, None) => {
            problem(path, "the key `title` is missing here".into());
            None
        }
    };
    if let Some((key, title)) = title {
        check_text(&format!("{path}.{key}"), title, problem);
    }
    let title = title.map_or("", |(_, title)| title).trim();
    if let Some(description) = &raw.description {
        check_text(&format!("{path}.description"), description, problem);
    }
    let slug = match &raw.slug {
        Some(slug) => {
            if !is_slug(slug) {
                problem(
                    &format!("{path}.slug"),
                    format!("{slug:?}: a slug has 1 to 100 letters, digits, `-`, `_` and `.`"),
                );
            }
            slug.clone()
        }
        None => slug_of(title).unwrap_or_else(|| {
            if !title.is_empty() {
                let message = format!("no slug can be made of {title:?}; write a `slug`");
                problem(path, message);
            }
            String::new()
        }),
    };
    let mut said = Vec::new();
    if let Some(name) = &raw.environment {
        match known.get(name) {
            Some(environment) => said.extend(environment.iter().cloned()),
            None => {
                let known: Vec<&str> = known.keys().map(String::as_str).collect();
                problem(&format!("{path}.use"), no_environment(name, &known));
            }
        }
    }
    said.extend(overrides(
        &raw.kubespawner_override,
        &format!("{path}.kubespawner_override"),
        problem,
    ));
    if raw.profile_options.0.len() > OPTIONS_MAX {
        let message = format!("more than {OPTIONS_MAX} options, which nobody looks through");
        problem(&format!("{path}.profile_options"), message);
    }
    let options = raw.profile_options.0.iter().map(|(name, option)| {
        let path = format!("{path}.profile_options.{name}");
        check_option(name, option, &path, roles, problem)
    });
    let options = options.collect();
    Profile {
        slug,
        title: title.to_owned(),
        description: raw.description.as_deref().map(one_line),
        is_default: raw.is_default,
        audience: audience(&raw.audience, path, roles, problem),
        said,
        options,
    }
}

fn check_option(
    name: &str,
    raw: &RawOption,
    path: &str,
    roles: &[&str],
    problem: Tell<'_>,
) -> ProfileOption {
    if !is_free_name(name) || [PROFILE, COURSE].contains(&name) || name.contains(UNLISTED) {
        let message = format!("{name:?} can't be the name of an option; write another");
        problem(path, message);
    }
    if let Some(title) = &raw.display_name {
        check_text(&format!("{path}.display_name"), title, problem);
    }
    if raw.choices.0.is_empty() && !raw.unlisted_choice.enabled {
        let message = "there is nothing to choose: write `choices`, or enable `unlisted_choice`";
        problem(path, message.into());
    }
    if raw.choices.0.len() > CHOICES_MAX {
        let message = format!("more than {CHOICES_MAX} choices, which nobody looks through");
        problem(&format!("{path}.choices"), message);
    }
    let mut default: Option<&str> = None;
    let mut choices = Vec::new();
    for (name, raw) in &raw.choices.0 {
        let path = format!("{path}.choices.{name}");
        if !is_free_name(name) || name == UNLISTED {
            problem(&path, format!("{name:?} can't be the name of a choice"));
        }
        if let Some(title) = &raw.display_name {
            check_text(&format!("{path}.display_name"), title, problem);
        }
        if raw.is_default {
            match default {
                None => default = Some(name),
                Some(first) => problem(
                    &format!("{path}.default"),
                    format!("`{first}` is the default already"),
                ),
            }
        }
        choices.push(Choice {
            name: name.clone(),
            title: raw
                .display_name
                .as_deref()
                .map_or_else(|| name.clone(), one_line),
            is_default: raw.is_default,
            audience: audience(&raw.audience, &path, roles, problem),
            said: overrides(
                &raw.kubespawner_override,
                &format!("{path}.kubespawner_override"),
                problem,
            ),
        });
    }
    let unlisted = check_unlisted(
        &raw.unlisted_choice,
        &format!("{path}.unlisted_choice"),
        problem,
    );
    ProfileOption {
        name: name.to_owned(),
        title: raw
            .display_name
            .as_deref()
            .map_or_else(|| name.to_owned(), one_line),
        choices,
        unlisted,
    }
}

/// What is not enabled is checked all the same: it will be some day.
fn check_unlisted(raw: &RawUnlisted, path: &str, problem: Tell<'_>) -> Option<Unlisted> {
    for (key, text) in [
        ("display_name", &raw.display_name),
        ("display_name_in_choices", &raw.display_name_in_choices),
        ("validation_message", &raw.validation_message),
    ] {
        if let Some(text) = text {
            check_text(&format!("{path}.{key}"), text, problem);
        }
    }
    let pattern = raw.validation_regex.as_deref().and_then(|text| {
        Pattern::parse(text)
            .map_err(|error| {
                problem(
                    &format!("{path}.validation_regex"),
                    format!("{text:?} can't be used as a regular expression: {error}"),
                );
            })
            .ok()
    });
    let path = format!("{path}.kubespawner_override");
    let mut overrides = Vec::new();
    for (name, value) in &raw.kubespawner_override {
        let path = format!("{path}.{name}");
        if !is_setting(name, &path, problem) {
            continue;
        }
        let one = Override {
            name: name.clone(),
            value: value.clone(),
            path,
        };
        if one.is_fixed()
            && let Err(misfit) = one.with("")
        {
            problem(&misfit.path, misfit.why);
        }
        overrides.push(one);
    }
    raw.enabled.then(|| Unlisted {
        title: raw.display_name.as_deref().map(one_line),
        title_in_choices: raw.display_name_in_choices.as_deref().map(one_line),
        pattern,
        message: raw.validation_message.as_deref().map(one_line),
        overrides,
    })
}

fn overrides(raw: &Overrides, path: &str, problem: Tell<'_>) -> Vec<Said> {
    let mut all = Vec::new();
    for (name, value) in raw {
        let path = format!("{path}.{name}");
        if !is_setting(name, &path, problem) {
            continue;
        }
        match kubespawner::said(name, value, &path) {
            Ok(said) => all.extend(said),
            Err(misfit) => problem(&misfit.path, misfit.why),
        }
    }
    all
}

fn is_setting(name: &str, path: &str, problem: Tell<'_>) -> bool {
    if SETTINGS.contains(&name) {
        return true;
    }
    let message = match OTHERS.contains(&name) {
        true => {
            format!("`{name}` is for Kubernetes alone; servers here are processes on this machine")
        }
        false => {
            let all = SETTINGS.iter().chain(OTHERS).copied();
            match nearest(name, all) {
                Some(near) => format!("unknown setting; did you mean `{near}`?"),
                None => format!("unknown setting; understood here: {}", SETTINGS.join(", ")),
            }
        }
    };
    problem(path, message);
    false
}

fn audience(
    raw: &Option<Vec<String>>,
    path: &str,
    roles: &[&str],
    problem: Tell<'_>,
) -> Option<Vec<Who>> {
    let list = raw.as_ref()?;
    let mut all = Vec::new();
    for (index, text) in list.iter().enumerate() {
        let path = format!("{path}.for[{index}]");
        match Who::parse(text, Forms::All) {
            Ok(Who::Role(role)) if !roles.contains(&role.as_str()) => problem(
                &path,
                format!("there is no role `{role}`; {}", suggest(&role, roles)),
            ),
            Ok(who) => all.push(who),
            Err(message) => problem(&path, message),
        }
    }
    Some(all)
}

fn check_text(path: &str, text: &str, problem: Tell<'_>) {
    if text.trim().is_empty() {
        problem(path, "the text is empty".into());
    }
    if text.len() > TEXT_MAX {
        problem(path, format!("longer than {TEXT_MAX} bytes"));
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_slug(slug: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&slug.len()) && slug.bytes().all(fits)
}
