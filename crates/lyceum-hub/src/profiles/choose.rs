//! From the options of a wish to what they say of the server.
//!
//! Options are KubeSpawner's: `profile` is a slug, an option's name has the name of a choice, and
//! `NAME--unlisted-choice` a value of one's own. Left out is the default; what is not known is of no
//! concern, as there.

use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::who::{CourseId, CourseRole};
use serde_json::{Map, Value};

use super::{Profile, ProfileOption, Unlisted};
use lyceum_model::environment::Said;

/// The key of a course's id.
pub const COURSE: &str = "course";
/// The key of the profile's slug.
pub const PROFILE: &str = "profile";
/// Behind an option's name: the key of a value of one's own. Alone: the choice of it.
pub const UNLISTED: &str = "unlisted-choice";
/// Longest value of one's own.
const VALUE_MAX: usize = 1000;

/// The key under which a value of one's own comes.
pub fn unlisted_key(option: &str) -> String {
    format!("{option}--{UNLISTED}")
}

/// What was chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    /// The profile's slug; none where there is nothing to choose.
    pub profile: Option<String>,
    /// The course it is for, and as what its owner starts it.
    pub course: Option<(CourseId, CourseRole)>,
    pub said: Vec<Said>,
}

/// What is wrong with the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The key that it is about.
    pub field: String,
    pub why: Saying,
}

/// Applies options to what somebody may use ([`super::Profiles::of`]), of which there is some.
pub fn choose(mine: &[Profile], options: &Value) -> Result<Chosen, Wrong> {
    let none = Map::new();
    let options = match options {
        Value::Object(options) => options,
        Value::Null => &none,
        _ => return Err(wrong(PROFILE, say!("profile.no_object"))),
    };
    let profile = match word(options, PROFILE)? {
        Some(slug) => mine.iter().find(|profile| profile.slug == slug),
        None => mine.iter().find(|profile| profile.is_default),
    };
    let profile = profile.ok_or_else(|| wrong(PROFILE, say!("profile.unknown")))?;
    let mut said = profile.said.clone();
    for option in &profile.options {
        said.extend(picked(option, options)?);
    }
    Ok(Chosen {
        profile: Some(profile.slug.clone()),
        course: None,
        said,
    })
}

fn picked(option: &ProfileOption, options: &Map<String, Value>) -> Result<Vec<Said>, Wrong> {
    let own_key = unlisted_key(&option.name);
    let title = option.title.as_str();
    let missing = || wrong(&own_key, say!("profile.value_missing", option = title));
    if let Some(value) = word(options, &own_key)? {
        let unlisted = (option.unlisted.as_ref())
            .ok_or_else(|| wrong(&own_key, say!("profile.only_listed", option = title)))?;
        return typed(option, unlisted, value).map_err(|why| wrong(&own_key, why));
    }
    let choice = match word(options, &option.name)? {
        Some(UNLISTED) if option.unlisted.is_some() => return Err(missing()),
        Some(name) => option.choices.iter().find(|choice| choice.name == name),
        None => match option.choices.iter().find(|choice| choice.is_default) {
            Some(choice) => Some(choice),
            None => return Err(missing()),
        },
    };
    match choice {
        Some(choice) => Ok(choice.said.clone()),
        None => {
            let why = say!("profile.unknown_choice", option = title);
            Err(wrong(&option.name, why))
        }
    }
}

/// A value of one's own.
fn typed(option: &ProfileOption, unlisted: &Unlisted, value: &str) -> Result<Vec<Said>, Saying> {
    let title = option.title.as_str();
    if value.len() > VALUE_MAX || value.chars().any(char::is_control) {
        return Err(say!(
            "profile.value_too_long",
            option = title,
            most = VALUE_MAX
        ));
    }
    if !(unlisted.pattern.as_ref()).is_none_or(|pattern| pattern.matches(value)) {
        return Err(match &unlisted.message {
            Some(message) => say!("profile.value_told", option = title, why = message.as_str()),
            None => say!("profile.value_refused", option = title),
        });
    }
    let said: Result<Vec<_>, _> = (unlisted.overrides.iter())
        .map(|one| one.with(value))
        .collect();
    match said {
        Ok(said) => Ok(said.into_iter().flatten().collect()),
        // The place is the operator's business.
        Err(_) => Err(say!("profile.value_unusable", option = title)),
    }
}

/// A word under a key; nothing for what means nothing in Python too.
pub(crate) fn word<'a>(
    options: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a str>, Wrong> {
    match options.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(key, say!("profile.no_text", key = key))),
    }
}

pub(crate) fn wrong(field: &str, why: Saying) -> Wrong {
    Wrong {
        field: field.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::name::UserName;
    use lyceum_model::who::{Forms, Standing, Who};
    use serde_json::json;

    use super::super::{Choice, Override, Pattern, Profiles, has_choice};
    use super::*;
    use lyceum_model::environment::{Setting, Values};

    fn who(list: &[&str]) -> Option<Vec<Who>> {
        let parse = |text: &&str| Who::parse(text, Forms::All).expect("good");
        Some(list.iter().map(parse).collect())
    }

    fn image(name: &str) -> Vec<Said> {
        vec![Said::new("x", Setting::Image(name.into()))]
    }

    fn choice(name: &str) -> Choice {
        Choice {
            name: name.into(),
            title: name.into(),
            said: image(name),
            ..Choice::default()
        }
    }

    fn profiles() -> Profiles {
        let unlisted = Unlisted {
            pattern: Some(Pattern::parse("lab/").expect("good")),
            overrides: vec![Override {
                name: "image".into(),
                value: json!("own/{value}"),
                path: "x".into(),
            }],
            ..Unlisted::default()
        };
        Profiles(vec![
            Profile {
                slug: "gpu".into(),
                audience: who(&["group:gpu"]),
                is_default: true,
                said: image("gpu"),
                ..Profile::default()
            },
            Profile {
                slug: "small".into(),
                said: image("small"),
                ..Profile::default()
            },
            Profile {
                slug: "hidden".into(),
                options: vec![ProfileOption {
                    name: "hidden".into(),
                    title: "Hidden".into(),
                    choices: vec![Choice {
                        audience: who(&["grace"]),
                        ..choice("secret")
                    }],
                    unlisted: None,
                }],
                ..Profile::default()
            },
            Profile {
                slug: "tags".into(),
                audience: who(&["ada", "role:helps"]),
                options: vec![ProfileOption {
                    name: "image".into(),
                    title: "Image".into(),
                    choices: vec![
                        Choice {
                            audience: who(&["course:bio/teacher"]),
                            is_default: true,
                            ..choice("new")
                        },
                        choice("old"),
                        choice("older"),
                    ],
                    unlisted: Some(unlisted),
                }],
                ..Profile::default()
            },
        ])
    }

    fn standing(text: &str) -> Standing {
        let mut standing = Standing::default();
        for word in text.split_whitespace() {
            match Who::parse(word, Forms::All).expect("good") {
                Who::Group(group) => standing.groups.push(group),
                Who::Role(role) => standing.roles.push(role),
                Who::Course { id, role } => standing.courses.push((id, role.into_iter().collect())),
                Who::Person(_) => {}
            }
        }
        standing
    }

    fn mine(name: &str, text: &str) -> Vec<Profile> {
        profiles().of(&UserName::parse(name).expect("good"), &standing(text))
    }

    #[test]
    fn each_sees_her_own() {
        let check = |name: &str, text: &str, expect: &[&str], default: &str| {
            let mine = mine(name, text);
            let slugs: Vec<&str> = mine.iter().map(|one| one.slug.as_str()).collect();
            assert_eq!(slugs, expect, "{name} {text}");
            let found: Vec<&Profile> = mine.iter().filter(|one| one.is_default).collect();
            assert_eq!(
                (found.len(), found[0].slug.as_str()),
                (1, default),
                "{name}"
            );
        };
        check("ben", "", &["small"], "small");
        check("ben", "group:gpu", &["gpu", "small"], "gpu");
        check("ben", "role:helps", &["small", "tags"], "small");
        check("ada", "group:gpus", &["small", "tags"], "small");
        assert!(!has_choice(&mine("ben", "")));
        assert!(has_choice(&mine("ada", "")));
        let options = |name: &str, text: &str| {
            let tags = mine(name, text).pop().expect("some");
            tags.options
                .iter()
                .map(|option| (option.name.clone(), option.choices.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(options("ada", ""), [("image".into(), 2)]);
        assert_eq!(options("ada", "course:bio/teacher"), [("image".into(), 3)]);
        // A profile with an option of which she has nothing is not offered without it.
        check("grace", "role:helps", &["small", "hidden", "tags"], "small");
    }

    #[test]
    fn options_become_what_is_said() {
        let check = |who: (&str, &str), options: Value, expect: Result<&str, (&str, &str)>| {
            let found = choose(&mine(who.0, who.1), &options);
            match (&found, expect) {
                (Ok(chosen), Ok(image)) => {
                    let mut spec = lyceum_model::server::ServerSpec::default();
                    Values::of(&chosen.said).apply(&mut spec);
                    assert_eq!(spec.image.as_deref(), Some(image), "{options}");
                }
                (Err(wrong), Err((field, words))) => {
                    assert_eq!(wrong.field, field, "{options}");
                    assert!(wrong.why.to_string().contains(words), "{}", wrong.why);
                }
                _ => panic!("{options}: {found:?}"),
            }
        };
        let (ada, ben) = (("ada", ""), ("ben", ""));
        check(ada, json!({}), Ok("small"));
        check(ada, json!(null), Ok("small"));
        check(ada, json!({ "profile": "" }), Ok("small"));
        check(
            ada,
            json!({ "profile": "small", "whatever": [1] }),
            Ok("small"),
        );
        check(ada, json!({ "profile": "tags" }), Ok("old"));
        check(
            ("ada", "course:bio/teacher"),
            json!({ "profile": "tags" }),
            Ok("new"),
        );
        check(
            ada,
            json!({ "profile": "tags", "image": "older" }),
            Ok("older"),
        );
        let own = json!({ "profile": "tags", "image--unlisted-choice": "lab/x" });
        check(ada, own, Ok("own/lab/x"));
        let both = json!({ "profile": "tags", "image": "old", "image--unlisted-choice": "lab/x" });
        check(ada, both, Ok("own/lab/x"));

        let not_mine = Err(("profile", "no such choice"));
        check(ben, json!({ "profile": "gpu" }), not_mine);
        check(ben, json!({ "profile": "tags" }), not_mine);
        check(ben, json!({ "profile": "nothing" }), not_mine);
        check(ben, json!({ "profile": ["gpu"] }), Err(("profile", "text")));
        check(ben, json!([]), Err(("profile", "object")));
        let choice = |value: &str| json!({ "profile": "tags", "image": value });
        check(ada, choice("new"), Err(("image", "Image")));
        check(ada, choice("nope"), Err(("image", "Image")));
        check(
            ada,
            choice("unlisted-choice"),
            Err(("image--unlisted-choice", "Image")),
        );
        let typed = |value: &str| json!({ "profile": "tags", "image--unlisted-choice": value });
        for bad in [
            "x",
            "lab/a b",
            "lab/\n",
            &format!("lab/{}", "x".repeat(1000)),
        ] {
            check(ada, typed(bad), Err(("image--unlisted-choice", "Image")));
        }
    }

    #[test]
    fn a_refusal_says_nothing_of_what_is_hidden() {
        let refused = |slug: &str| {
            choose(&mine("ben", ""), &json!({ "profile": slug })).expect_err("not for ben")
        };
        assert_eq!(refused("gpu"), refused("nothing"));
        let choice = |name: &str| {
            let options = json!({ "profile": "tags", "image": name });
            choose(&mine("ada", ""), &options).expect_err("not for ada")
        };
        assert_eq!(choice("new"), choice("nothing"));
    }
}
