//! Launches from learning platforms by LTI 1.3 (1EdTech's Learning Tools Interoperability Core 1.3 and
//! Security Framework 1.0). A platform, not the log-in page, begins: it asks for a launch ([`Initiation`]),
//! the browser is sent to it with a `state` and a nonce of [`crate::journey`], and posts what the platform
//! has signed ([`Posted`]). All that is believed stands in that one token; what the request to begin said
//! besides is forgotten.
//!
//! `message` reads what the token says of the launch, [`crate::claims`] of the person.

use std::collections::{BTreeMap, BTreeSet};

use jsonwebtoken::jwk::Jwk;
use lyceum_model::clock::Clock;
use lyceum_model::identity::Identity;
use lyceum_model::lti::Place;
use lyceum_model::who::CourseRole;
use serde_json::Value;
use url::Url;

use crate::attempt::Refused;
use crate::claims::{Claims, Mapping};
use crate::http::Http;
use crate::journey::Proofs;
use crate::oidc::{Expected, KeySet, Untrusted, is_subject, verify_launch};

mod form;
mod message;
mod oauth1;
mod old;
mod picking;
mod role;
mod roster;
mod tool;

pub use form::{Initiation, Posted};
pub use message::{Context, Message};
pub use old::{OldLti, OldLtiConfig, Signed};
pub use picking::{Picked, Picking, Reply, Wanted};
pub use roster::Roster;
pub use tool::ToolKeys;

/// One platform, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct LtiConfig {
    /// Tells it from others in addresses; may be empty.
    pub id: String,
    pub title: String,
    /// To the letter as it calls itself.
    pub issuer: String,
    /// Under which Lyceum is registered there.
    pub client_ids: BTreeSet<String>,
    /// The deployments from which launches are taken.
    pub deployments: BTreeSet<String>,
    pub authorize_url: Url,
    pub keys_url: Url,
    /// Where it gives out tokens; `None`: it is asked for nothing.
    pub token_url: Option<Url>,
    /// What it wants to be called there, if not by that address.
    pub token_audience: Option<String>,
    /// Where people find it.
    pub home: Option<Url>,
    pub mapping: Mapping,
    /// It makes sure of addresses of mail, though it does not say so.
    pub mail_is_verified: bool,
    /// Short names of courses are given so that none has another's.
    pub trust_labels: bool,
    /// What links say of where they lead is written by those who may say it.
    pub trust_links: bool,
    /// Words for what somebody is in a course, besides those of the specification.
    pub roles: BTreeMap<String, CourseRole>,
    /// Authorities besides the system's, in PEM form.
    pub authorities: Option<Vec<u8>>,
}

/// Launches from one platform.
pub struct Lti {
    config: LtiConfig,
    keys: KeySet,
    http: Http,
    /// By which it knows us when it is asked for something.
    tool: Option<ToolKeys>,
    clock: Clock,
}

/// What a platform has signed, made sure of.
#[derive(Debug, Clone)]
pub struct Launch {
    pub identity: Identity,
    /// Where the link leads, as the platform has it; not checked to be of this site.
    pub target: String,
    pub message: Message,
    /// From which course there, by all that may be believed of it.
    pub places: Vec<Place>,
    /// What she is in it.
    pub role: Option<CourseRole>,
    /// As whom we are known there.
    pub client: String,
}

impl Lti {
    pub fn new(config: LtiConfig, clock: Clock) -> anyhow::Result<Self> {
        let http = Http::new(config.authorities.as_deref())?;
        Ok(Self {
            keys: KeySet::new(config.keys_url.clone(), http.clone()),
            http,
            tool: None,
            config,
            clock,
        })
    }

    /// With keys by which the platform knows us when it is asked who is in its courses.
    #[must_use]
    pub fn with_tool(mut self, tool: ToolKeys) -> Self {
        self.tool = Some(tool);
        self
    }

    /// The keys by which platforms know us.
    pub fn tool(&self) -> Option<&ToolKeys> {
        self.tool.as_ref()
    }

    /// What it calls itself.
    pub fn issuer(&self) -> &str {
        &self.config.issuer
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    pub fn title(&self) -> &str {
        &self.config.title
    }

    /// Where people find it.
    pub fn home(&self) -> Option<&Url> {
        self.config.home.as_ref()
    }

    pub(crate) fn names_people(&self) -> bool {
        self.config.mapping.allow.is_some()
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &str> {
        self.config.client_ids.iter().map(String::as_str)
    }

    /// As which of its clients it asks for a launch. What it says here is not signed; it only has to be
    /// what may be believed later.
    pub(crate) fn client_of(&self, asked: &Initiation) -> Result<&str, Refused> {
        let refuse = |problem: &str| {
            tracing::warn!(
                platform = self.config.id,
                expected = self.config.issuer,
                "a launch was asked for and is refused: {problem}"
            );
            Err(Refused::Denied)
        };
        if asked.issuer != self.config.issuer {
            return refuse("it calls itself otherwise (`iss`); write `issuer` exactly so");
        }
        let deployment = asked.deployment.as_ref();
        if deployment.is_some_and(|id| !self.config.deployments.contains(id)) {
            return refuse("`deployments` does not have this one (`lti_deployment_id`)");
        }
        let found = match &asked.client_id {
            Some(id) => self.clients().find(|client| client == id),
            None if self.config.client_ids.len() == 1 => self.clients().next(),
            None => None,
        };
        match found {
            Some(client) => Ok(client),
            None => refuse(
                "`client_id` does not have the one that it names, or it names none of several",
            ),
        }
    }

    /// Where the browser is sent (Security Framework, 5.1.1.2).
    pub(crate) fn depart(
        &self,
        asked: &Initiation,
        client: &str,
        proofs: &Proofs,
        back: &Url,
    ) -> Url {
        let mut url = self.config.authorize_url.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("scope", "openid")
            .append_pair("response_type", "id_token")
            .append_pair("response_mode", "form_post")
            .append_pair("prompt", "none")
            .append_pair("client_id", client)
            .append_pair("redirect_uri", back.as_str())
            .append_pair("login_hint", &asked.login_hint)
            .append_pair("state", &proofs.state)
            .append_pair("nonce", &proofs.nonce);
        if let Some(hint) = &asked.message_hint {
            query.append_pair("lti_message_hint", hint);
        }
        drop(query);
        url
    }

    /// What it says of who came, and from where.
    pub(crate) async fn arrive(
        &self,
        client: &str,
        proofs: &Proofs,
        posted: &Posted,
    ) -> Result<Launch, Refused> {
        let Some(token) = &posted.token else {
            tracing::info!(
                platform = self.config.id,
                word = posted.error,
                "sign-in refused by the platform"
            );
            return Err(Refused::Denied);
        };
        let claims = self.claims(token, client, &proofs.nonce).await?;
        let refuse = |problem: &str| {
            tracing::warn!(platform = self.config.id, "a launch is refused: {problem}");
            Refused::Denied
        };
        let message = Message::read(&claims).map_err(refuse)?;
        if !self.config.deployments.contains(&message.deployment) {
            let said = format!(
                "`deployments` does not have {:?} (`deployment_id`)",
                message.deployment.chars().take(80).collect::<String>()
            );
            return Err(refuse(&said));
        }
        if let Some(picking) = &message.picking
            && !self.may_tell(&picking.back)
        {
            return Err(refuse(
                "what is picked would go to an address without TLS (`deep_link_return_url`)",
            ));
        }
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.filter(|text| is_subject(text));
        let subject = subject.ok_or(Refused::Anonymous)?.to_owned();
        let (places, role) = self.course(&message);
        let target = message.target.clone();
        let claims = self.told(claims);
        let mapping = &self.config.mapping;
        Ok(Launch {
            identity: mapping.identity(&self.config.issuer, &subject, &claims)?,
            target,
            message,
            places,
            role,
            client: client.to_owned(),
        })
    }

    /// From which course it is, and what somebody with these roles is in it.
    fn course(&self, message: &Message) -> (Vec<Place>, Option<CourseRole>) {
        if message.context.is_none() {
            return (Vec::new(), None);
        }
        let trusts = (self.config.trust_labels, self.config.trust_links);
        let places = message.places(&self.config.id, trusts);
        let role = role::in_course(&message.roles, &self.config.roles);
        (places, role)
    }

    /// What the token says, by the platform's keys; it may have new ones.
    async fn claims(&self, token: &str, client: &str, nonce: &str) -> Result<Claims, Refused> {
        let expected = Expected {
            issuer: &self.config.issuer,
            client_id: client,
            nonce,
            now: self.clock.now(),
            may_lack_nonce: false,
        };
        let verify = |keys: &[Jwk]| verify_launch(token, keys, &expected);
        let keys = self.keys.keys(None).await?;
        let verified = match verify(&keys) {
            Err(Untrusted::NoKey | Untrusted::Signature) => {
                verify(&self.keys.keys(Some(&keys)).await?)
            }
            verified => verified,
        };
        verified.map_err(|untrusted| {
            tracing::warn!(platform = self.config.id, %untrusted, "a launch is refused");
            match untrusted {
                Untrusted::Subject => Refused::Anonymous,
                _ => Refused::Denied,
            }
        })
    }

    /// The claims by the names that the configuration has for them: what stands in the claims of LTI by
    /// their last word, such as `custom.login` and `ext.user_username`.
    fn told(&self, mut claims: Claims) -> Claims {
        for word in ["custom", "ext", "lis", "context", "tool_platform"] {
            claims.remove(word);
            if let Some(value) = message::of_lti(&claims, word).cloned() {
                claims.insert(word.into(), value);
            }
        }
        if self.config.mail_is_verified {
            claims.insert("email_verified".into(), Value::Bool(true));
        }
        claims
    }
}
