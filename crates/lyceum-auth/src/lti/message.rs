//! What a token says of a launch (LTI Core 1.3, 5.3 and 5.4). Pure rules; that the platform has said it is
//! made sure of before.

use lyceum_model::lti::{By, Place};
use serde_json::Value;
use url::Url;

use super::picking::Picking;
use crate::claims::Claims;

pub(super) const CLAIM: &str = "https://purl.imsglobal.org/spec/lti/claim/";
const ROSTER: &str = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice";
pub(super) const VERSION: &str = "1.3.0";
/// By the specification, of most marks.
const ID_MAX: usize = 255;
const TEXT_MAX: usize = 1_024;
const TARGET_MAX: usize = 4_096;
const ROLES_MAX: usize = 100;

/// A launch of a link, or of the question what a link shall open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub deployment: String,
    /// Nothing where it is asked what a link shall open.
    pub target: String,
    /// What she is, in the words of LTI.
    pub roles: Vec<String>,
    /// The course there, if it is launched from one.
    pub context: Option<Context>,
    /// Where whoever wrote the link says that it leads (`next`).
    pub next: Option<String>,
    /// The course that whoever wrote the link names (`course`).
    pub course: Option<String>,
    /// Where it is told who is in the context.
    pub roster: Option<Url>,
    /// It is asked what a link shall open.
    pub picking: Option<Picking>,
}

/// A course at a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub id: String,
    pub label: Option<String>,
    pub title: Option<String>,
}

/// A claim of LTI by its last word.
pub(super) fn of_lti<'a>(claims: &'a Claims, word: &str) -> Option<&'a Value> {
    claims.get(&format!("{CLAIM}{word}"))
}

pub(super) fn text(value: Option<&Value>, most: usize) -> Option<String> {
    let text = value?.as_str()?;
    let fits = !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

impl Message {
    pub(super) fn read(claims: &Claims) -> Result<Self, &'static str> {
        let of = |word: &str| of_lti(claims, word);
        if of("version").and_then(Value::as_str) != Some(VERSION) {
            return Err("it is not of version 1.3.0 (`version`)");
        }
        let picking = match of("message_type").and_then(Value::as_str) {
            Some("LtiResourceLinkRequest") => None,
            Some("LtiDeepLinkingRequest") => Some(Picking::read(claims)?),
            _ => return Err("it is no launch of a link (`message_type`)"),
        };
        let deployment = text(of("deployment_id"), ID_MAX)
            .ok_or("it does not say by which deployment (`deployment_id`)")?;
        let target = match &picking {
            Some(_) => String::new(),
            None => {
                let link = of("resource_link").and_then(|link| link.get("id"));
                text(link, ID_MAX).ok_or("it does not say which link it is (`resource_link`)")?;
                text(of("target_link_uri"), TARGET_MAX)
                    .ok_or("it does not say where the link leads (`target_link_uri`)")?
            }
        };
        let roles = of("roles")
            .and_then(Value::as_array)
            .ok_or("it does not say what she is (`roles`)")?;
        let roles = roles.iter().take(ROLES_MAX);
        let roles = roles.filter_map(|role| text(Some(role), TEXT_MAX));
        let custom = |name: &str| of("custom").and_then(|custom| custom.get(name));
        Ok(Self {
            deployment,
            target,
            roles: roles.collect(),
            context: match of("context") {
                None => None,
                Some(context) => {
                    Some(Context::read(context).ok_or("its course has no id (`context`)")?)
                }
            },
            next: text(custom("next"), TARGET_MAX),
            course: text(custom("course"), ID_MAX),
            roster: claims
                .get(ROSTER)
                .and_then(|claim| text(claim.get("context_memberships_url"), TARGET_MAX))
                .and_then(|url| url.parse().ok()),
            picking,
        })
    }
}

impl Message {
    /// By what its course may be known here, nothing where it is from none. What people write there counts
    /// where that is trusted: short names, and what links say.
    pub(super) fn places(&self, platform: &str, (labels, links): (bool, bool)) -> Vec<Place> {
        let Some(context) = &self.context else {
            return Vec::new();
        };
        let known = [
            (By::Context, Some(&context.id)),
            (By::Label, context.label.as_ref().filter(|_| labels)),
            (By::Link, self.course.as_ref().filter(|_| links)),
        ];
        let places = known.into_iter().filter_map(|(by, value)| {
            Some(Place {
                platform: platform.to_owned(),
                by,
                value: value?.clone(),
            })
        });
        places.collect()
    }
}

impl Context {
    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            id: text(value.get("id"), ID_MAX)?,
            label: text(value.get("label"), ID_MAX),
            title: text(value.get("title"), TEXT_MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Claims {
        let claim = |word: &str| format!("{CLAIM}{word}");
        let mut claims = Claims::new();
        for (word, value) in [
            ("version", json!("1.3.0")),
            ("message_type", json!("LtiResourceLinkRequest")),
            ("deployment_id", json!("1")),
            ("target_link_uri", json!("https://hub.example.edu/")),
            ("resource_link", json!({"id": "7"})),
            (
                "roles",
                json!(["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"]),
            ),
            ("context", json!({"id": "42", "label": "BIO"})),
            ("custom", json!({"next": "/hub/home", "course": "bio"})),
        ] {
            claims.insert(claim(word), value);
        }
        claims
    }

    #[test]
    fn a_launch_says_all_that_it_must() {
        let read = Message::read(&good()).unwrap();
        assert_eq!(read.deployment, "1");
        assert_eq!(read.context.unwrap().id, "42");
        assert_eq!(read.course.as_deref(), Some("bio"));
        assert_eq!(read.roles.len(), 1);
        let check = |word: &str, value: Value, good_now: bool| {
            let mut claims = good();
            let name = format!("{CLAIM}{word}");
            match value.is_null() {
                true => claims.remove(&name),
                false => claims.insert(name, value.clone()),
            };
            assert_eq!(Message::read(&claims).is_ok(), good_now, "{word} {value}");
        };
        for word in [
            "version",
            "message_type",
            "deployment_id",
            "target_link_uri",
        ] {
            for odd in [
                Value::Null,
                json!(""),
                json!(7),
                json!(["1.3.0"]),
                json!("a\nb"),
            ] {
                check(word, odd, false);
            }
        }
        check("version", json!("1.1"), false);
        check("message_type", json!("LtiSubmissionReviewRequest"), false);
        check("deployment_id", json!("d".repeat(256)), false);
        for odd in [Value::Null, json!("7"), json!({}), json!({"id": 7})] {
            check("resource_link", odd, false);
        }
        for odd in [Value::Null, json!("Learner"), json!({})] {
            check("roles", odd, false);
        }
        check("roles", json!([]), true);
        check("roles", json!([1, null, {}]), true);
        check("context", Value::Null, true);
        check("context", json!({"label": "BIO"}), false);
        check("custom", Value::Null, true);
        check("custom", json!("x"), true);
    }
}
