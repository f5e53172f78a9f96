//! `sign_in:` and `people:` of the configuration.

use std::fmt;

use lyceum_model::name::UserName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest name of a group.
const GROUP_MAX: usize = 255;

/// A way to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Method {
    /// Accounts kept by Lyceum itself, with a password each. They exist only if made, with
    /// `lyceum user` or on the administration pages.
    Local(LocalConfig),
}

/// Local accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// What the log-in page calls it.
    pub title: String,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            title: "Local account".into(),
        }
    }
}

/// What `sign_in:` is when it is left out: local accounts.
pub fn default_sign_in() -> Vec<Method> {
    vec![Method::Local(LocalConfig::default())]
}

/// Finds what can't be meant: no method at all, one kind of account twice, a title that is empty.
pub fn check_sign_in(methods: &[Method]) -> Result<(), String> {
    if methods.is_empty() {
        return Err(
            "sign_in is an empty list, so nobody could sign in; leave it out for local accounts"
                .into(),
        );
    }
    if methods.len() > 1 {
        return Err("sign_in lists local accounts more than once; keep one entry".into());
    }
    let Method::Local(local) = &methods[0];
    if local.title.trim().is_empty() {
        return Err("sign_in[0].title is empty; leave it out or give it a name".into());
    }
    Ok(())
}

/// Who may come in. Without an allow list, whoever has a local account may, unless blocked: the
/// account was made for her.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct People {
    /// Administrators: they may do everything.
    pub admins: Vec<Who>,
    /// Nobody but these and administrators may come in. Left out: whoever has a local account; of those
    /// whom another source knows, nobody.
    pub allow: Option<Vec<Who>>,
    /// Who may not come in, whatever else is said.
    pub block: Vec<Who>,
}

/// Somebody in a list: `ada` or `group:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    User(UserName),
    Group(String),
}

impl Who {
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(group) = text.strip_prefix("group:") {
            let good = (1..=GROUP_MAX).contains(&group.len())
                && group.trim() == group
                && !group.chars().any(char::is_control);
            return match good {
                true => Ok(Self::Group(group.into())),
                false => Err(format!(
                    "group: needs a name of 1 to {GROUP_MAX} bytes right behind it"
                )),
            };
        }
        if let Some((form, _)) = text.split_once(':') {
            let form: String = form.chars().take(32).collect();
            return Err(format!(
                "{form:?}: is not understood here; people are named as NAME or group:NAME"
            ));
        }
        let name = UserName::parse(text).map_err(|problem| problem.to_string())?;
        Ok(Self::User(name))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "{name}"),
            Self::Group(group) => write!(f, "group:{group}"),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Who {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Who {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Who".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Somebody: `ada` or `group:NAME`.",
            "minLength": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_strictly() {
        let read = |json: &str| serde_json::from_str::<Vec<Method>>(json);
        assert_eq!(read(r#"[{"kind":"local"}]"#).unwrap(), default_sign_in());
        let guests = read(r#"[{"kind":"local","title":"Guests"}]"#).unwrap();
        assert!(matches!(&guests[0], Method::Local(local) if local.title == "Guests"));
        let check = |json: &str, expect: &str| {
            let said = read(json).unwrap_err().to_string();
            assert!(said.contains(expect), "{json}: {said}");
        };
        check(r#"[{"kind":"locale"}]"#, "unknown variant `locale`");
        check(r#"[{"title":"Guests"}]"#, "missing field `kind`");
        check(
            r#"[{"kind":"local","titel":"Guests"}]"#,
            "unknown field `titel`",
        );
    }

    #[test]
    fn what_cannot_be_meant_is_found() {
        let local = |title: &str| {
            Method::Local(LocalConfig {
                title: title.into(),
            })
        };
        assert_eq!(check_sign_in(&default_sign_in()), Ok(()));
        assert!(check_sign_in(&[]).unwrap_err().contains("empty list"));
        assert!(
            check_sign_in(&[local(" ")])
                .unwrap_err()
                .contains("sign_in[0].title")
        );
        let twice = check_sign_in(&[local("a"), local("b")]);
        assert!(twice.unwrap_err().contains("more than once"));
    }

    #[test]
    fn people_are_named_in_two_ways() {
        let check = |text: &str, good: bool| {
            let who = Who::parse(text);
            assert_eq!(who.is_ok(), good, "{text:?}: {who:?}");
            if let Ok(who) = who {
                assert_eq!(who.to_string(), text);
            }
        };
        check("ada", true);
        check("group:it jupyter", true);
        check("group:a:b", true);
        check("group:", false);
        check("group: it", false);
        check("file:blocked.csv", false);
        check("a b", false);
        check("", false);
    }

    #[test]
    fn the_schema_has_the_manual() {
        let schema = schemars::schema_for!(People).to_value().to_string();
        assert!(schema.contains("Who may not come in"));
        let schema = schemars::schema_for!(Method).to_value().to_string();
        assert!(schema.contains("What the log-in page calls it"));
    }
}
