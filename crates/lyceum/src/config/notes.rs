//! What is no mistake of a configuration, but hardly what somebody meant.

use lyceum_hub::profiles::{Override, Profiles, Unlisted};

/// What people might type: numbers, sizes, words, images.
const TRIED: [&str; 16] = [
    "1",
    "2",
    "8",
    "16",
    "0.5",
    "1.0",
    "1G",
    "2G",
    "512M",
    "4096M",
    "1073741824",
    "x",
    "lab",
    "/lab",
    "latest",
    "registry.example.edu/notebook:1",
];

/// Of profiles: each with the key it is about.
pub(super) fn of_profiles(profiles: &Profiles) -> Vec<(String, String)> {
    let mut notes = Vec::new();
    for profile in &profiles.0 {
        for option in &profile.options {
            let Some(unlisted) = &option.unlisted else {
                continue;
            };
            let key =
                |rest: &str| format!("profiles: {:?}, {:?}{rest}", profile.title, option.name);
            if option.choices.is_empty() {
                let words = "has only values of one's own and so no default: a start that names none of them is refused";
                notes.push((key(""), words.to_owned()));
            }
            for one in &unlisted.overrides {
                if never_fits(unlisted, one) {
                    let words = format!(
                        "no value that was tried is let through by `validation_regex` and fits `{}`",
                        one.name
                    );
                    notes.push((key(""), words));
                }
            }
        }
    }
    notes
}

/// Whether nothing of what was tried passes the pattern and makes a good value. What takes any word
/// takes whatever passes.
fn never_fits(unlisted: &Unlisted, one: &Override) -> bool {
    let passes = |value: &&&str| {
        let pattern = unlisted.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(value))
    };
    one.with("x").is_err() && !(TRIED.iter().filter(passes)).any(|value| one.with(value).is_ok())
}

#[cfg(test)]
mod tests {
    use lyceum_hub::profiles::Pattern;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_and_what_is_made_of_its_values() {
        let check = |name: &str, value: serde_json::Value, pattern: Option<&str>, expect: bool| {
            let unlisted = Unlisted {
                pattern: pattern.map(|text| Pattern::parse(text).expect("good")),
                ..Unlisted::default()
            };
            let one = Override {
                name: name.into(),
                value,
                path: "x".into(),
            };
            assert_eq!(never_fits(&unlisted, &one), expect, "{name} {pattern:?}");
        };
        check("mem_limit", json!("{value}"), None, false);
        check("mem_limit", json!("{value}"), Some("^[a-z]+$"), true);
        check("mem_limit", json!("{value}G"), Some("^[0-9]+$"), false);
        check("mem_limit", json!("{value}B"), Some("^[0-9]+$"), true);
        // It must be a number, which text in quotes never is.
        check("cpu_limit", json!("{value}"), Some("^[0-9.]+$"), true);
        check("image", json!("{value}"), Some("^jupyter/.+:.+$"), false);
        check("image", json!("{value}"), Some("^[a-z]+$"), false);
    }
}
