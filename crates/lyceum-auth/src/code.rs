//! The authorization code flow of OAuth 2.0 (RFC 6749, 4.1) with PKCE (RFC 7636), as far as providers
//! of OpenID Connect and those of plain OAuth do it alike.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use data_encoding::BASE64URL_NOPAD;
use lyceum_model::secret::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use url::Url;

use crate::attempt::Refused;
use crate::elsewhere::Return;
use crate::http::{Answer, Http, Proof};
use crate::journey::Proofs;
use crate::renewal::NotSaid;

/// Parameters of the way out that are ours to say.
pub const RESERVED: [&str; 9] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Lyceum as a provider knows it.
pub(crate) struct Client<'a> {
    pub(crate) id: &'a str,
    /// `None`: a public client.
    pub(crate) secret: Option<&'a Secret>,
    /// Whether the secret stands in the form instead of in a header.
    pub(crate) in_form: bool,
}

#[derive(Deserialize)]
struct TokenError {
    error: String,
}

/// Where the browser goes. `more`: what is sent along besides.
pub(crate) fn way_out(
    authorization: &Url,
    client: &str,
    back: &Url,
    scopes: &[String],
    proofs: &Proofs,
    more: &BTreeMap<String, String>,
) -> Url {
    let challenge = Sha256::digest(proofs.verifier.expose().as_bytes());
    let mut url = authorization.clone();
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", client)
        .append_pair("redirect_uri", back.as_str());
    if !scopes.is_empty() {
        query.append_pair("scope", &scopes.join(" "));
    }
    query
        .append_pair("state", &proofs.state)
        .append_pair("code_challenge", &BASE64URL_NOPAD.encode(&challenge))
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(more);
    drop(query);
    url
}

/// The code that a browser brought, unless the provider said no.
pub(crate) fn brought(answer: &Return) -> Result<&str, Refused> {
    match (&answer.code, answer.error.as_deref()) {
        (Some(code), _) => Ok(code),
        (None, Some("server_error" | "temporarily_unavailable")) => Err(Refused::Internal(
            anyhow!("the provider says that it is out of order"),
        )),
        (None, error) => {
            let word = error.filter(|word| is_word(word)).unwrap_or("something");
            // Mostly that she changed her mind; else the operator has to know.
            tracing::info!(word, "sign-in refused by the provider");
            Err(Refused::Denied)
        }
    }
}

/// Changes the code for tokens (4.1.3).
pub(crate) async fn redeem<T: DeserializeOwned>(
    http: &Http,
    endpoint: &Url,
    client: &Client<'_>,
    code: &str,
    back: &Url,
    proofs: &Proofs,
) -> Result<T, Refused> {
    let fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", back.as_str()),
        ("code_verifier", proofs.verifier.expose()),
    ];
    let (proof, fields) = as_client(client, fields);
    let answer = http.post_form(endpoint, proof, &fields).await?;
    // Some say 200 and mean no.
    if answer.status.is_success() && answer.json::<TokenError>().is_err() {
        return Ok(answer.json().context("reading the tokens")?);
    }
    Err(refusal_of(&answer))
}

/// Changes a refresh token for others (6.). Only the standard's word for it says that it is worth nothing
/// any more; whatever else is wrong is no news of her.
pub(crate) async fn refresh<T: DeserializeOwned>(
    http: &Http,
    endpoint: &Url,
    client: &Client<'_>,
    token: &Secret,
) -> Result<T, NotSaid> {
    let fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", token.expose()),
    ];
    let (proof, fields) = as_client(client, fields);
    let answer = http.post_precious_form(endpoint, proof, &fields).await?;
    let error = answer.json::<TokenError>().map(|said| said.error);
    if answer.status.is_success() && error.is_err() {
        return Ok(answer.json().context("reading the tokens")?);
    }
    let word = error.ok().filter(|word| is_word(word));
    let why = match &word {
        Some(word) => word.clone(),
        None => answer.status.to_string(),
    };
    let problem = anyhow!("the provider gives no tokens for a refresh token: {why}");
    Err(match word.as_deref() {
        _ if answer.is_out_of_order() => NotSaid::Away(problem),
        // GitHub has a word of its own for it. The last two: she would have to do something there first.
        Some("invalid_grant" | "bad_refresh_token" | "interaction_required" | "login_required") => {
            NotSaid::Ended
        }
        // We ourselves, or all, are refused.
        Some(
            "invalid_client"
            | "unauthorized_client"
            | "incorrect_client_credentials"
            | "server_error"
            | "temporarily_unavailable",
        ) => NotSaid::Away(problem),
        _ => NotSaid::Unclear(problem),
    })
}

/// Fields as this client sends them, and the proof that it is this one.
fn as_client<'a>(
    client: &Client<'a>,
    mut fields: Vec<(&'a str, &'a str)>,
) -> (Proof<'a>, Vec<(&'a str, &'a str)>) {
    let proof = match client.secret {
        Some(secret) if !client.in_form => Proof::Basic(client.id, secret),
        secret => {
            fields.push(("client_id", client.id));
            fields.extend(secret.map(|secret| ("client_secret", secret.expose())));
            Proof::None
        }
    };
    (proof, fields)
}

/// Why there are no tokens. Of what it says nothing is repeated but a word from the standard.
fn refusal_of(answer: &Answer) -> Refused {
    let error = answer.json::<TokenError>().map(|said| said.error);
    match error.as_deref() {
        // The code was used before, is too old, or was not given for this journey; GitHub has a word of
        // its own for it.
        Ok("invalid_grant" | "bad_verification_code") => {
            tracing::info!("sign-in refused: the provider does not take its code (any more)");
            Refused::Expired
        }
        // Nextcloud's word for it; but also for what is wrong with us.
        Ok("invalid_request") => {
            tracing::warn!(
                "sign-in refused: the provider does not take its code (any more), or not like this (invalid_request)"
            );
            Refused::Expired
        }
        Ok("invalid_client" | "unauthorized_client" | "incorrect_client_credentials") => {
            Refused::Internal(anyhow!(
                "the provider does not take `client_id` and `client_secret`"
            ))
        }
        Ok(word) if is_word(word) => {
            Refused::Internal(anyhow!("the provider gives no tokens: {word}"))
        }
        _ => Refused::Internal(anyhow!("the provider gives no tokens: {}", answer.status)),
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
