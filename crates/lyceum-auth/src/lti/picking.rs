//! Somebody who teaches picks what a link of her course shall open (1EdTech LTI Deep Linking 2.0). The
//! platform asks by a launch of its own kind; what was picked goes back signed, by her browser.

use anyhow::{Context, ensure};
use lyceum_model::id::new_secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::message::{CLAIM, VERSION, text};
use super::{Launch, Lti, role};
use crate::claims::Claims;

const SETTINGS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings";
const ITEMS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/content_items";
const DATA: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/data";
const ADDRESS_MAX: usize = 4_096;
/// What the platform wants back as it was.
const DATA_MAX: usize = 16 * 1024;
/// How long an answer is good, in seconds: her browser posts it at once.
const LIFE: i64 = 300;

/// What the platform says of the answer that it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picking {
    /// Where the answer is posted to. Made sure of by `Lti::arrive`.
    pub back: Url,
    data: Option<String>,
    /// It takes addresses, but no links that are launched.
    plain: bool,
}

/// A request that waits for somebody to pick: what is to be kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    client: String,
    deployment: String,
    back: String,
    data: Option<String>,
    plain: bool,
}

/// What was picked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked<'a> {
    /// What the link is called there.
    pub title: &'a str,
    pub url: &'a str,
}

/// A form that her browser posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub to: Url,
    pub token: String,
}

impl Picking {
    pub(super) fn read(claims: &Claims) -> Result<Self, &'static str> {
        let settings = claims
            .get(SETTINGS)
            .ok_or("it does not say what may be picked (`deep_linking_settings`)")?;
        let back = text(settings.get("deep_link_return_url"), ADDRESS_MAX)
            .and_then(|url| url.parse().ok())
            .ok_or("it does not say where the answer goes (`deep_link_return_url`)")?;
        let data = match settings.get("data") {
            None | Some(Value::Null) => None,
            Some(Value::String(data)) if data.len() <= DATA_MAX => Some(data.clone()),
            Some(_) => return Err("what it wants back is no text, or is too long (`data`)"),
        };
        let kinds = settings.get("accept_types").and_then(Value::as_array);
        let takes = |kind: &str| kinds.is_some_and(|kinds| kinds.iter().any(|one| one == kind));
        let plain = !takes("ltiResourceLink");
        if plain && !takes("link") {
            return Err("it takes no links (`accept_types`)");
        }
        Ok(Self { back, data, plain })
    }
}

impl Launch {
    /// Whether whoever came may say what links of the course open: those who teach it, and who makes its
    /// content.
    pub fn may_pick(&self) -> bool {
        role::makes_links(&self.message.roles, self.role)
    }

    /// What is to be kept until she has picked.
    pub fn wanted(&self) -> Option<Wanted> {
        let picking = self.message.picking.as_ref()?;
        Some(Wanted {
            client: self.client.clone(),
            deployment: self.message.deployment.clone(),
            back: picking.back.to_string(),
            data: picking.data.clone(),
            plain: picking.plain,
        })
    }
}

impl Lti {
    /// The answer, for the browser of her who picked.
    pub async fn reply(&self, wanted: &Wanted, picked: &Picked<'_>) -> anyhow::Result<Reply> {
        // It may have been taken out of the configuration since she came.
        ensure!(
            self.config.client_ids.contains(&wanted.client)
                && self.config.deployments.contains(&wanted.deployment),
            "the platform is no longer known by what it asked as"
        );
        let to: Url = wanted.back.parse().context("where the answer goes")?;
        ensure!(self.may_tell(&to), "the answer would leave the platform");
        let tool = self.tool.as_ref().context("there are no keys to sign by")?;
        let now = self.clock.now().0 / 1_000;
        let kind = match wanted.plain {
            true => "link",
            false => "ltiResourceLink",
        };
        let item = json!({"type": kind, "title": picked.title, "url": picked.url});
        let mut claims = json!({
            "iss": wanted.client, "aud": [self.config.issuer],
            "iat": now, "exp": now + LIFE, "nonce": new_secret(),
            format!("{CLAIM}message_type"): "LtiDeepLinkingResponse",
            format!("{CLAIM}version"): VERSION,
            format!("{CLAIM}deployment_id"): wanted.deployment,
            ITEMS: [item],
        });
        if let Some(data) = &wanted.data {
            claims[DATA] = json!(data);
        }
        let token = tool.sign(&claims).await?;
        Ok(Reply { to, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_in_one_way() {
        let read = |settings: Value| {
            let mut claims = Claims::new();
            claims.insert(SETTINGS.into(), settings);
            Picking::read(&claims)
        };
        let good = |more: Value| {
            let mut settings = json!({
                "deep_link_return_url": "https://lms.example.edu/back?x=1",
                "accept_types": ["html", "ltiResourceLink"],
            });
            for (key, value) in more.as_object().expect("keys") {
                settings[key] = value.clone();
            }
            settings
        };
        let picking = read(good(json!({"data": "a\nb"}))).expect("a good one");
        assert_eq!(picking.back.as_str(), "https://lms.example.edu/back?x=1");
        assert_eq!(
            (picking.data.as_deref(), picking.plain),
            (Some("a\nb"), false)
        );
        let plain = read(good(json!({"accept_types": ["link"]}))).expect("a good one");
        assert!(plain.plain);
        for odd in [
            json!({"deep_link_return_url": null}),
            json!({"deep_link_return_url": "/back"}),
            json!({"deep_link_return_url": 7}),
            json!({"accept_types": ["file", "html"]}),
            json!({"accept_types": "ltiResourceLink"}),
            json!({"accept_types": null}),
            json!({"data": {"a": 1}}),
            json!({"data": "x".repeat(DATA_MAX + 1)}),
        ] {
            assert!(read(good(odd.clone())).is_err(), "{odd:.80}");
        }
        assert!(Picking::read(&Claims::new()).is_err());
    }
}
