//! What the page posts, and what links hold: fields with the names that KubeSpawner's form has.

use serde_json::{Map, Value};

use super::choose::{COURSE, PROFILE, UNLISTED, unlisted_key};

/// So many fields are looked at.
const FIELDS_MAX: usize = 500;

/// The name of an option's field.
pub fn field(slug: &str, option: &str) -> String {
    format!("profile-option-{slug}--{option}")
}

/// The options that a form or a query says; of several values of a field the first counts.
///
/// Without script a page posts the list and the field for a value of one's own alike, so the list
/// says which of them is meant; KubeSpawner's script leaves one of them out.
pub fn options(fields: &[(String, String)]) -> Value {
    let mut options = Map::new();
    let find = |name: &str| fields.iter().find(|(own, _)| own == name);
    if let Some((_, course)) = find(COURSE).filter(|(_, course)| !course.is_empty()) {
        options.insert(COURSE.into(), course.as_str().into());
    }
    let Some((_, slug)) = find(PROFILE).filter(|(_, slug)| !slug.is_empty()) else {
        return Value::Object(options);
    };
    options.insert(PROFILE.into(), slug.as_str().into());
    let prefix = field(slug, "");
    let behind = format!("--{UNLISTED}");
    for (name, value) in fields.iter().take(FIELDS_MAX) {
        let Some(name) = name.strip_prefix(&prefix) else {
            continue;
        };
        let listed = (name.strip_suffix(&behind))
            .and_then(|option| find(&field(slug, option)))
            .is_some_and(|(_, choice)| choice != UNLISTED);
        let typed = || {
            find(&field(slug, &unlisted_key(name)))
                .is_some_and(|(_, typed)| !typed.trim().is_empty())
        };
        if listed || (value == UNLISTED && typed()) {
            continue;
        }
        let value = value.trim();
        options.entry(name).or_insert_with(|| value.into());
    }
    Value::Object(options)
}

/// Whether a value of one's own is among them.
pub fn is_typed(options: &Value) -> bool {
    let mut keys = options.as_object().into_iter().flat_map(Map::keys);
    keys.any(|key| key.ends_with(&format!("--{UNLISTED}")))
}

/// The fields of a link that starts a server: those that JupyterHub keeps for itself are none, and if
/// any has the prefix `opt-`, only those count.
pub fn of_query(query: &[(String, String)]) -> Vec<(String, String)> {
    let ours = |name: &str| !matches!(name, "next" | "display_name" | "_xsrf");
    let fields = query.iter().filter(|(name, _)| ours(name));
    let (new, old): (Vec<_>, Vec<_>) = fields.partition(|(name, _)| name.starts_with("opt-"));
    let new: Vec<(String, String)> = new
        .into_iter()
        .map(|(name, value)| (name["opt-".len()..].to_owned(), value.clone()))
        .collect();
    match new.is_empty() {
        false => new,
        true => old.into_iter().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .collect()
    }

    #[test]
    fn fields_become_options() {
        let check =
            |text: &str, expect: Value| assert_eq!(options(&fields(text)), expect, "{text}");
        check("", json!({}));
        check("image=x", json!({}));
        check("profile=", json!({}));
        check("profile=a&profile=b", json!({ "profile": "a" }));
        let one = "profile=a&profile-option-a--image";
        check(
            &format!("{one}=x&profile-option-b--image=y&other=z"),
            json!({ "profile": "a", "image": "x" }),
        );
        let own = "profile-option-a--image--unlisted-choice";
        check(
            &format!("profile=a&{own}=x"),
            json!({ "profile": "a", "image--unlisted-choice": "x" }),
        );
        check(
            &format!("{one}=unlisted-choice&{own}=+x+"),
            json!({ "profile": "a", "image--unlisted-choice": "x" }),
        );
        check(
            &format!("{one}=old&{own}=x"),
            json!({ "profile": "a", "image": "old" }),
        );
        check(
            &format!("{one}=unlisted-choice&{own}="),
            json!({ "profile": "a", "image": "unlisted-choice", "image--unlisted-choice": "" }),
        );
    }

    #[test]
    fn queries_are_jupyterhubs() {
        let check = |text: &str, expect: &str| {
            assert_eq!(of_query(&fields(text)), fields(expect), "{text}");
        };
        check("next=/x&display_name=y&_xsrf=z", "");
        check("profile=a&next=/x", "profile=a");
        check("opt-profile=a&profile=b", "profile=a");
    }
}
