//! Sign-in by OpenID Connect: the authorization code flow with PKCE (RFC 7636), as OpenID Connect
//! Core 1.0 and the current best practice for OAuth (RFC 9700) have it.
//!
//! `provider` knows the provider's addresses and keys, `id_token` what a token must say,
//! [`crate::claims`] what becomes of it, [`crate::journey`] who may come back.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use jsonwebtoken::jwk::Jwk;
use lyceum_model::clock::Clock;
use lyceum_model::identity::Identity;
use lyceum_model::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::attempt::Refused;
use crate::claims::{Claims, Mapping};
use crate::code::{self, Client};
use crate::elsewhere::{Elsewhere, LoggedOut, Return};
use crate::http::{Http, Proof};
use crate::journey::Proofs;
use crate::renewal::{self, Arrived, Grant, NotSaid, OutOfOrder, Renewed, Renewing, Token};

mod id_token;
mod provider;

pub(crate) use id_token::{Expected, Untrusted, is_subject, verify_launch};
pub(crate) use provider::KeySet;
use provider::{Metadata, Provider};

/// How long whoever logs out waits for a provider.
const FAREWELL: Duration = Duration::from_secs(2);

/// One provider, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct OidcConfig {
    /// Tells it from others in addresses; may be empty.
    pub id: String,
    pub title: String,
    /// Whether browsers are sent there from the log-in page without being asked.
    pub automatic: bool,
    /// To the letter as it calls itself.
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<Secret>,
    pub scopes: Vec<String>,
    /// Sent along on the way out.
    pub parameters: BTreeMap<String, String>,
    pub mapping: Mapping,
    pub log_out_there: bool,
    /// How often it is asked about those who are here, where it gives refresh tokens.
    pub renewing: Option<Renewing>,
    /// Authorities besides the system's, in PEM form.
    pub authorities: Option<Vec<u8>>,
}

/// Sign-in at one provider.
pub struct Oidc {
    config: OidcConfig,
    provider: Provider,
    clock: Clock,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<Secret>,
    refresh_token: Option<Value>,
}

impl Oidc {
    pub fn new(config: OidcConfig, clock: Clock) -> anyhow::Result<Self> {
        let http = Http::new(config.authorities.as_deref())?;
        Ok(Self {
            provider: Provider::new(config.issuer.clone(), http),
            config,
            clock,
        })
    }

    /// Whether the provider could be asked: it tells of itself, and has keys.
    pub async fn look(&self) -> anyhow::Result<()> {
        let keys = self.provider.keys(None).await?;
        ensure!(
            !keys.is_empty(),
            "the provider {} has no keys that could sign anything",
            self.provider.issuer()
        );
        Ok(())
    }

    /// Changes the code for tokens (3.1.3).
    async fn tokens(
        &self,
        metadata: &Metadata,
        code: &str,
        back: &Url,
        proofs: &Proofs,
    ) -> Result<Tokens, Refused> {
        let client = self.client(metadata);
        let http = self.provider.http();
        code::redeem(http, &metadata.token_endpoint, &client, code, back, proofs).await
    }

    fn client(&self, metadata: &Metadata) -> Client<'_> {
        Client {
            id: &self.config.client_id,
            secret: self.config.client_secret.as_ref(),
            in_form: metadata.wants_secret_in_form(),
        }
    }

    fn expected<'a>(&'a self, nonce: &'a str, may_lack_nonce: bool) -> Expected<'a> {
        Expected {
            issuer: self.provider.issuer(),
            client_id: &self.config.client_id,
            nonce,
            may_lack_nonce,
            now: self.clock.now(),
        }
    }

    /// What a token says, by the provider's keys; it may have new ones.
    async fn with_keys(
        &self,
        verify: impl Fn(&[Jwk]) -> Result<Claims, Untrusted>,
    ) -> anyhow::Result<Result<Claims, Untrusted>> {
        let failed = || OutOfOrder("fetching the provider's keys".into());
        let keys = self.provider.keys(None).await.with_context(failed)?;
        Ok(match verify(&keys) {
            Err(Untrusted::NoKey | Untrusted::Signature) => {
                let keys = self.provider.keys(Some(&keys)).await;
                verify(&keys.with_context(failed)?)
            }
            verified => verified,
        })
    }

    /// The claims of the ID token, and those of the provider's userinfo if something is missing; and the
    /// session that she has there.
    async fn claims(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        proofs: &Proofs,
    ) -> anyhow::Result<(Claims, Option<String>)> {
        let token = tokens.id_token.as_deref();
        let token = token.context("there is no ID token; is `openid` among `scopes`?")?;
        let expected = self.expected(&proofs.nonce, false);
        let verify = |keys: &[Jwk]| id_token::verify(token, keys, &expected);
        let verified = self.with_keys(verify).await?;
        let mut claims = verified.context("the ID token is not to be trusted")?;
        let session = claims.get("sid").and_then(Value::as_str).map(str::to_owned);
        self.fill(metadata, tokens, &mut claims).await?;
        Ok((claims, session))
    }

    /// Adds what the provider's userinfo says, if something is missing.
    async fn fill(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        claims: &mut Claims,
    ) -> anyhow::Result<()> {
        if let (true, Some(url), Some(access)) = (
            self.config.mapping.lacks(claims),
            &metadata.userinfo_endpoint,
            &tokens.access_token,
        ) {
            let more = self.userinfo(url, access, claims).await?;
            join(claims, more);
        }
        Ok(())
    }

    /// What tokens that came for a refresh token say of the same person (12.2). Nothing where they tell less
    /// than those of her log-in did: what is only not told must take nothing from her.
    async fn claims_again(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        grant: &Grant,
    ) -> anyhow::Result<Option<Claims>> {
        if let Some(token) = &tokens.id_token {
            let expected = self.expected(&grant.nonce, true);
            let verify = |keys: &[Jwk]| id_token::verify(token, keys, &expected);
            let verified = self.with_keys(verify).await?;
            let mut claims = verified.context("the new ID token is not to be trusted")?;
            ensure!(
                claims.get("sub").and_then(Value::as_str) == Some(&grant.subject.id),
                "the new ID token is about somebody else (`sub`)"
            );
            self.fill(metadata, tokens, &mut claims).await?;
            return Ok(grant.is_told_by(&claims).then_some(claims));
        }
        let (Some(url), Some(access)) = (&metadata.userinfo_endpoint, &tokens.access_token) else {
            return Ok(None);
        };
        let known = Claims::from_iter([("sub".to_owned(), grant.subject.id.clone().into())]);
        let claims = self.userinfo(url, access, &known).await?;
        Ok(grant.is_told_by(&claims).then_some(claims))
    }

    /// What a refresh token is worth: the tokens that come for it.
    async fn refreshed(&self, grant: &Grant) -> Result<(Metadata, Tokens), NotSaid> {
        let Token::Refresh(token) = &grant.token else {
            return Err(NotSaid::Unasked);
        };
        if !grant.is_of(self.provider.issuer(), &self.config.client_id) {
            return Err(NotSaid::Unasked);
        }
        let metadata = self.provider.metadata().await.map_err(NotSaid::Away)?;
        let client = self.client(&metadata);
        let (http, endpoint) = (self.provider.http(), &metadata.token_endpoint);
        let tokens = code::refresh(http, endpoint, &client, token).await?;
        Ok(((*metadata).clone(), tokens))
    }

    async fn identity_again(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        grant: &Grant,
    ) -> Result<Option<Identity>, NotSaid> {
        let Some(claims) = self.claims_again(metadata, tokens, grant).await? else {
            return Ok(None);
        };
        let (issuer, mapping) = (self.provider.issuer(), &self.config.mapping);
        let name = Some(&grant.name);
        let identity = mapping.identity_called(issuer, &grant.subject.id, &claims, name);
        Ok(Some(identity?))
    }

    /// What it says besides, of the same person (5.3).
    async fn userinfo(&self, url: &Url, access: &Secret, known: &Claims) -> anyhow::Result<Claims> {
        let answer = self.provider.http().get(url, Proof::Bearer(access)).await?;
        // Also a no is no news of her: the provider has just taken her refresh token.
        answer.check("userinfo")?;
        let claims: Claims = answer.json().context("reading userinfo")?;
        if claims.get("sub") != known.get("sub") {
            bail!("userinfo is about somebody else (`sub`)");
        }
        Ok(claims)
    }
}

/// What was signed is not replaced. An address of mail and whether it is vouched for belong together:
/// they come from one place, or say the same at both.
fn join(signed: &mut Claims, mut more: Claims) {
    match signed.get("email") {
        None => {
            signed.remove("email_verified");
        }
        mail if mail != more.get("email") => {
            more.remove("email_verified");
        }
        _ => {}
    }
    for (name, value) in more {
        signed.entry(name).or_insert(value);
    }
}

#[async_trait]
impl Elsewhere for Oidc {
    fn kind(&self) -> &'static str {
        "oidc"
    }

    fn id(&self) -> &str {
        &self.config.id
    }

    fn title(&self) -> &str {
        &self.config.title
    }

    fn is_automatic(&self) -> bool {
        self.config.automatic
    }

    fn names_people(&self) -> bool {
        self.config.mapping.allow.is_some()
    }

    async fn depart(&self, proofs: &Proofs, back: &Url) -> Result<Url, Refused> {
        let metadata = self.provider.metadata().await?;
        let config = &self.config;
        let mut url = code::way_out(
            &metadata.authorization_endpoint,
            &config.client_id,
            back,
            &config.scopes,
            proofs,
            &config.parameters,
        );
        url.query_pairs_mut().append_pair("nonce", &proofs.nonce);
        Ok(url)
    }

    async fn arrive(
        &self,
        proofs: &Proofs,
        back: &Url,
        answer: &Return,
    ) -> Result<Arrived, Refused> {
        let metadata = self.provider.metadata().await?;
        // Another provider's answer must not pass for this one's (RFC 9207).
        let wants_issuer = metadata.authorization_response_iss_parameter_supported;
        match &answer.issuer {
            Some(issuer) if issuer != self.provider.issuer() => {
                tracing::warn!(
                    expected = self.provider.issuer(),
                    "sign-in refused: somebody else answered (`iss`)"
                );
                return Err(Refused::Expired);
            }
            None if wants_issuer => {
                tracing::warn!(
                    expected = self.provider.issuer(),
                    "sign-in refused: whoever answered does not say who it is (`iss`)"
                );
                return Err(Refused::Expired);
            }
            _ => {}
        }
        let code = code::brought(answer)?;
        let tokens = self.tokens(&metadata, code, back, proofs).await?;
        let (claims, session) = self.claims(&metadata, &tokens, proofs).await?;
        let subject = claims.get("sub").and_then(|value| value.as_str());
        let subject = subject.filter(|text| is_subject(text));
        let subject = subject.context("there is no `sub`")?;
        let mapping = &self.config.mapping;
        let identity = mapping.identity(self.provider.issuer(), subject, &claims)?;
        // Not from userinfo, which is not about this session.
        let session = session.filter(|text| is_subject(text));
        let refresh = renewal::token(tokens.refresh_token.as_ref());
        let refresh = refresh.filter(|_| self.config.renewing.is_some());
        let grant = refresh.and_then(|token| {
            let (client, had) = (&self.config.client_id, mapping.had(&claims));
            let grant = Grant::new(Token::Refresh(token), &identity, client, had)?;
            Some(grant.of_sign_in(&proofs.nonce))
        });
        Ok(Arrived {
            identity: Identity {
                session,
                ..identity
            },
            grant,
        })
    }

    fn renewing(&self) -> Option<Renewing> {
        self.config.renewing
    }

    async fn renew(&self, grant: &Grant) -> Renewed<Identity> {
        let (metadata, tokens) = match self.refreshed(grant).await {
            Ok(refreshed) => refreshed,
            Err(why) => return Renewed::without(why),
        };
        Renewed {
            grant: grant.turned(tokens.refresh_token.as_ref()),
            said: self.identity_again(&metadata, &tokens, grant).await,
        }
    }

    async fn told(&self, message: &str) -> Result<LoggedOut, Refused> {
        let verify =
            |keys: &[Jwk]| id_token::verify_log_out(message, keys, &self.expected("", false));
        let claims = self.with_keys(verify).await?.map_err(|untrusted| {
            tracing::warn!(%untrusted, "a message of a log-out at a provider is not taken");
            Refused::Denied
        })?;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        Ok(LoggedOut {
            issuer: self.provider.issuer().to_owned(),
            subject: text("sub"),
            session: text("sid"),
            mark: text("jti").unwrap_or_default(),
            // Somewhat longer than it would be taken.
            until: self.clock.now().plus(3 * id_token::NEWS),
        })
    }

    async fn log_out(&self, back: &Url) -> Option<Url> {
        // She is logged out here; nobody waits for a provider that is away.
        let metadata = tokio::time::timeout(FAREWELL, self.provider.metadata()).await;
        let metadata = metadata.ok()?.ok()?;
        let mut url = metadata.end_session_endpoint.clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", back.as_str());
        Some(url)
    }

    fn logs_out_there(&self) -> bool {
        self.config.log_out_there
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_signed_counts_and_mail_is_vouched_for_where_it_is_told() {
        let check = |signed: Value, more: Value, expect: Value| {
            let object = |value: Value| value.as_object().cloned().expect("claims");
            let (mut claims, before) = (object(signed.clone()), more.clone());
            join(&mut claims, object(more));
            assert_eq!(Value::Object(claims), expect, "{signed} {before}");
        };
        check(
            json!({"sub": "1", "name": "Ada"}),
            json!({"name": "Eve", "groups": ["a"]}),
            json!({"sub": "1", "name": "Ada", "groups": ["a"]}),
        );
        check(
            json!({"email": "a@x.org"}),
            json!({"email": "a@x.org", "email_verified": true}),
            json!({"email": "a@x.org", "email_verified": true}),
        );
        check(
            json!({"email": "a@x.org"}),
            json!({"email": "b@x.org", "email_verified": true}),
            json!({"email": "a@x.org"}),
        );
        check(
            json!({"email": "a@x.org"}),
            json!({"email_verified": true}),
            json!({"email": "a@x.org"}),
        );
        check(
            json!({"email_verified": true}),
            json!({"email": "b@x.org"}),
            json!({"email": "b@x.org"}),
        );
    }
}
