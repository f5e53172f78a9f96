//! Sign-in by plain OAuth 2.0: a provider that gives tokens but does not sign who somebody is. Who it is
//! says its own API, asked with the token that was given for this journey: nobody else's words count.
//!
//! What is alike with OpenID Connect is in [`crate::code`]; what becomes of what is said, in
//! [`crate::claims`].

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, ensure};
use async_trait::async_trait;
use hyper::StatusCode;
use lyceum_model::identity::Identity;
use lyceum_model::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use url::{Position, Url};

use crate::attempt::Refused;
use crate::claims::{Claims, Mapping, NameFrom};
use crate::code::{self, Client};
use crate::elsewhere::{Elsewhere, Return};
use crate::http::{Http, Proof};
use crate::journey::Proofs;
use crate::renewal::{self, Arrived, Grant, NotSaid, Renewed, Renewing, Token, TokenRefused};

/// Of a list more is not looked at.
const LIST_MAX: usize = 1_000;

/// One provider, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct OAuth2Config {
    /// Tells it from others in addresses; may be empty.
    pub id: String,
    pub title: String,
    /// Whether browsers are sent there from the log-in page without being asked.
    pub automatic: bool,
    pub authorize_url: Url,
    pub token_url: Url,
    pub userdata_url: Url,
    /// Whether that is asked with POST.
    pub userdata_by_post: bool,
    /// Whether the client's secret stands in the form instead of in a header.
    pub secret_in_form: bool,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<Secret>,
    pub scopes: Vec<String>,
    /// Sent along on the way out.
    pub parameters: BTreeMap<String, String>,
    /// The claim by which the provider knows a person for ever.
    pub mark: String,
    /// Whether the provider makes sure of every address of mail that it tells.
    pub mail_is_verified: bool,
    /// What else is asked, where it is wanted.
    pub lists: Vec<List>,
    pub mapping: Mapping,
    /// How often it is asked about those who are here, where it gives refresh tokens.
    pub renewing: Option<Renewing>,
    /// Whether it is asked also with an access token alone, where it does not say that such a token ends.
    pub by_access_token: bool,
    /// Authorities besides the system's, in PEM form.
    pub authorities: Option<Vec<u8>>,
}

impl OAuth2Config {
    /// Whose marks they are: who tells them, and what there. A mark of another claim is another mark, and
    /// several sites may be below one host.
    pub fn source(&self) -> String {
        format!("oauth2:{}#{}", shown(&self.userdata_url), self.mark)
    }
}

/// An address without what may be secret in it.
fn shown(url: &Url) -> &str {
    &url[..Position::AfterPath]
}

/// A list that the provider tells by itself, such as that of the groups of whoever asks.
#[derive(Debug, Clone, PartialEq)]
pub struct List {
    /// The claim that it becomes.
    pub claim: String,
    pub url: Url,
    /// What becomes of each entry.
    pub each: NameFrom,
}

/// Sign-in at one provider.
pub struct OAuth2 {
    config: OAuth2Config,
    /// Whose marks they are.
    source: String,
    http: Http,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: Secret,
    token_type: Option<String>,
    refresh_token: Option<Value>,
    expires_in: Option<Value>,
}

impl Tokens {
    fn check_kind(&self) -> anyhow::Result<()> {
        let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
        ensure!(
            self.token_type.as_ref().is_none_or(is_bearer),
            "its tokens are of a kind that nobody here knows"
        );
        Ok(())
    }
}

impl OAuth2 {
    pub fn new(config: OAuth2Config) -> anyhow::Result<Self> {
        let http = Http::new(config.authorities.as_deref())?;
        Ok(Self {
            source: config.source(),
            config,
            http,
        })
    }

    async fn claims(&self, access: &Secret) -> anyhow::Result<Claims> {
        let config = &self.config;
        let said = self.ask(&config.userdata_url, config.userdata_by_post, access);
        let Value::Object(mut claims) = said.await? else {
            anyhow::bail!(
                "{} does not answer with a person",
                shown(&config.userdata_url)
            );
        };
        // An address of mail counts only where somebody vouches for it; that the answer says so itself it
        // may have from the person.
        match config.mail_is_verified {
            true => {
                claims.insert("email_verified".into(), true.into());
            }
            false => forget_mail(&mut claims),
        }
        claims.remove("hd");
        for list in &config.lists {
            // What is told of her never stands where a list belongs.
            claims.remove(&list.claim);
        }
        for list in &config.lists {
            if config.mapping.names(&list.claim) {
                let entries = self.entries(list, access).await?;
                claims.insert(list.claim.clone(), entries.into());
            }
        }
        Ok(claims)
    }

    async fn entries(&self, list: &List, access: &Secret) -> anyhow::Result<Vec<String>> {
        let entries = self.ask(&list.url, false, access).await;
        // A list that does not take the token, or not any more, says nothing about her.
        let entries = entries.map_err(|error| match error.is::<TokenRefused>() {
            true => anyhow!("{error:#}"),
            false => error,
        })?;
        let Value::Array(entries) = entries else {
            anyhow::bail!("{} does not answer with a list", shown(&list.url));
        };
        let entries = entries.into_iter().take(LIST_MAX);
        Ok(entries
            .filter_map(|entry| match entry {
                Value::Object(entry) => list.each.text(&entry, None).ok(),
                Value::String(text) => Some(text),
                _ => None,
            })
            .collect())
    }

    async fn ask(&self, url: &Url, by_post: bool, access: &Secret) -> anyhow::Result<Value> {
        let proof = Proof::Bearer(access);
        let answer = match by_post {
            true => self.http.post_form(url, proof, &[]).await?,
            false => self.http.get(url, proof).await?,
        };
        let place = shown(url);
        // That it forbids something is no news: some say so to who asks too often.
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(TokenRefused).with_context(|| format!("asking {place}"));
        }
        answer.check(place)?;
        answer.json().with_context(|| format!("reading {place}"))
    }

    fn client(&self) -> Client<'_> {
        Client {
            id: &self.config.client_id,
            secret: self.config.client_secret.as_ref(),
            in_form: self.config.secret_in_form,
        }
    }

    /// Who the owner of the token with these claims is.
    fn identity(&self, claims: &Claims) -> Result<Identity, Refused> {
        let mark = mark(claims, &self.config.mark)?;
        let mapping = &self.config.mapping;
        mapping.identity(&self.source, &mark, claims)
    }

    /// What can be asked with later.
    fn grant(&self, tokens: &Tokens, identity: &Identity, claims: &Claims) -> Option<Grant> {
        self.config.renewing?;
        let refresh = renewal::token(tokens.refresh_token.as_ref()).map(Token::Refresh);
        let lasts = self.config.by_access_token && tokens.expires_in.is_none();
        let access = lasts.then(|| Token::Access(tokens.access_token.clone()));
        let (client, had) = (&self.config.client_id, self.config.mapping.had(claims));
        Grant::new(refresh.or(access)?, identity, client, had)
    }

    /// The access token by which she is asked about, and what came with it.
    async fn access_again(&self, grant: &Grant) -> Result<(Secret, Option<Value>), NotSaid> {
        if !grant.is_of(&self.source, &self.config.client_id) {
            return Err(NotSaid::Unasked);
        }
        let refresh = match &grant.token {
            Token::Refresh(token) => token,
            Token::Access(token) if self.config.by_access_token => {
                return Ok((token.clone(), None));
            }
            Token::Access(_) => return Err(NotSaid::Unasked),
        };
        let client = self.client();
        let url = &self.config.token_url;
        let tokens: Tokens = code::refresh(&self.http, url, &client, refresh).await?;
        tokens.check_kind()?;
        Ok((tokens.access_token, tokens.refresh_token))
    }

    /// Nothing where less is told than at the log-in.
    fn identity_again(
        &self,
        claims: anyhow::Result<Claims>,
        grant: &Grant,
    ) -> Result<Option<Identity>, NotSaid> {
        let claims = claims?;
        let mark = mark(&claims, &self.config.mark)?;
        if mark != grant.subject.id {
            return Err(anyhow!("it tells of somebody else than at the log-in (`mark`)").into());
        }
        if !grant.is_told_by(&claims) {
            return Ok(None);
        }
        let (mapping, name) = (&self.config.mapping, Some(&grant.name));
        let identity = mapping.identity_called(&self.source, &mark, &claims, name);
        Ok(Some(identity?))
    }
}

#[async_trait]
impl Elsewhere for OAuth2 {
    fn kind(&self) -> &'static str {
        "oauth2"
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
        let config = &self.config;
        Ok(code::way_out(
            &config.authorize_url,
            &config.client_id,
            back,
            &config.scopes,
            proofs,
            &config.parameters,
        ))
    }

    async fn arrive(
        &self,
        proofs: &Proofs,
        back: &Url,
        answer: &Return,
    ) -> Result<Arrived, Refused> {
        let config = &self.config;
        // Who says who it is must be who was asked (RFC 9207).
        let asked = config.authorize_url.origin();
        let is_asked = |issuer: &String| Url::parse(issuer).is_ok_and(|url| url.origin() == asked);
        if !answer.issuer.as_ref().is_none_or(is_asked) {
            tracing::warn!(
                expected = asked.ascii_serialization(),
                "sign-in refused: somebody else answered (`iss`)"
            );
            return Err(Refused::Expired);
        }
        let code = code::brought(answer)?;
        let client = self.client();
        let tokens: Tokens =
            code::redeem(&self.http, &config.token_url, &client, code, back, proofs).await?;
        tokens.check_kind()?;
        let claims = self.claims(&tokens.access_token).await?;
        let identity = self.identity(&claims)?;
        Ok(Arrived {
            grant: self.grant(&tokens, &identity, &claims),
            identity,
        })
    }

    fn renewing(&self) -> Option<Renewing> {
        self.config.renewing
    }

    async fn renew(&self, grant: &Grant) -> Renewed<Identity> {
        let (access, given) = match self.access_again(grant).await {
            Ok(access) => access,
            Err(why) => return Renewed::without(why),
        };
        let claims = self.claims(&access).await;
        if let Token::Access(_) = grant.token {
            // One refusal may be a slip; the second one is meant. One that was just given is good.
            let is_refused = |error: &anyhow::Error| error.is::<TokenRefused>();
            let refused = claims.as_ref().is_err_and(is_refused);
            return Renewed {
                grant: (refused || claims.is_ok())
                    .then(|| grant.noting(refused))
                    .flatten(),
                said: match refused && grant.refused {
                    true => Err(NotSaid::Ended),
                    false => self.identity_again(claims, grant),
                },
            };
        }
        Renewed {
            grant: grant.turned(given.as_ref()),
            said: self.identity_again(claims, grant),
        }
    }

    async fn log_out(&self, _: &Url) -> Option<Url> {
        None
    }
}

/// All addresses of mail, wherever they stand.
fn forget_mail(claims: &mut Claims) {
    claims.retain(|name, _| !name.to_ascii_lowercase().contains("mail"));
    for value in claims.values_mut() {
        if let Value::Object(inner) = value {
            forget_mail(inner);
        }
    }
}

/// By what the provider knows her: a number, or a text in which nothing is hidden.
fn mark(claims: &Claims, name: &str) -> anyhow::Result<String> {
    let mark = match crate::claims::find(claims, name) {
        // Larger ones would not be told apart.
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    };
    ensure!(
        crate::oidc::is_subject(&mark),
        "the provider tells nothing that can be a mark as {name:?} (`mark`)"
    );
    Ok(mark)
}
