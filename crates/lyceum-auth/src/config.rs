//! `sign_in:` and `people:` of the configuration.

pub use lyceum_model::who::Who;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    fn the_schema_has_the_manual() {
        let schema = schemars::schema_for!(People).to_value().to_string();
        assert!(schema.contains("Who may not come in"));
        let schema = schemars::schema_for!(Method).to_value().to_string();
        assert!(schema.contains("What the log-in page calls it"));
    }
}
