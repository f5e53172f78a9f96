//! The ID token: who says it, of whom, for whom, until when (OpenID Connect Core 1.0, 3.1.3.7), and the
//! one by which a provider tells of a log-out (OpenID Connect Back-Channel Logout 1.0, 2.6). Pure rules;
//! the signature is checked by `jsonwebtoken` on aws-lc-rs, everything else here.

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lyceum_model::clock::Millis;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::claims::Claims;

/// How far the clocks of two machines may be apart.
const LEEWAY: i64 = 60_000;
/// So long a message of a log-out is taken.
pub(crate) const NEWS: i64 = 5 * 60_000;
/// What says that it is one.
const LOG_OUT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Longer than any ID token.
const TOKEN_MAX: usize = 64 * 1024;
/// By the specification (2.).
const SUBJECT_MAX: usize = 255;

/// With which signatures a token counts: those with a public key. What is signed with the client's
/// secret, or not at all, never does.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Those of a launch from a learning platform (1EdTech Security Framework 1.0, 5.1.3: RS256, and what was
/// agreed on besides).
const LAUNCHES: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// What the token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    /// Whether it may say none: one that came for a refresh token (12.2).
    pub(crate) may_lack_nonce: bool,
    pub(crate) now: Millis,
}

/// Why a token does not count. Holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error("it is no token that can be read")]
    Form,
    #[error("it is not signed, or not with the key of a provider (`alg`)")]
    Algorithm,
    #[error("it demands what is not understood (`crit`)")]
    Critical,
    #[error("the provider publishes no key by which it is signed")]
    NoKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is from another issuer (`iss`)")]
    Issuer,
    #[error("it is for another client (`aud`)")]
    Audience,
    #[error("it was given to another client (`azp`)")]
    AuthorizedParty,
    #[error("it has expired, or does not say when it does (`exp`)")]
    Expired,
    #[error("it is from the future (`iat`, `nbf`); look at the clocks of both machines")]
    FromTheFuture,
    #[error("it belongs to another sign-in (`nonce`)")]
    Nonce,
    #[error("it does not say whom it is about (`sub`)")]
    Subject,
    #[error("it is no message of a log-out (`events`, `jti`, `nonce`)")]
    NoLogOut,
}

/// The claims of a token that counts, its subject among them.
pub(crate) fn verify(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Claims, Untrusted> {
    let claims = signed_claims(token, keys)?;
    check(&claims, expected)?;
    Ok(claims)
}

/// As [`verify`], with fewer signatures.
pub(crate) fn verify_launch(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Claims, Untrusted> {
    if token.len() > TOKEN_MAX {
        return Err(Untrusted::Form);
    }
    let header = decode_header(token).map_err(|_| Untrusted::Algorithm)?;
    match LAUNCHES.contains(&header.alg) {
        true => verify(token, keys, expected),
        false => Err(Untrusted::Algorithm),
    }
}

fn signed_claims(token: &str, keys: &[Jwk]) -> Result<Claims, Untrusted> {
    if token.len() > TOKEN_MAX || token.split('.').count() != 3 {
        return Err(Untrusted::Form);
    }
    // An `alg` that it does not know, `none` among them, is no header to it.
    let header = decode_header(token).map_err(|_| Untrusted::Algorithm)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Untrusted::Algorithm);
    }
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(Untrusted::Critical);
    }
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    // Looked at below, with our own clock and our own words.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    validation.validate_aud = false;
    let mut found = Untrusted::NoKey;
    for key in keys
        .iter()
        .filter(|key| fits(key, header.alg, header.kid.as_deref()))
    {
        let Ok(key) = DecodingKey::from_jwk(key) else {
            continue;
        };
        match decode::<Claims>(token, &key, &validation) {
            Ok(data) => return Ok(data.claims),
            Err(error) => {
                use jsonwebtoken::errors::ErrorKind;
                match error.kind() {
                    ErrorKind::Json(_) | ErrorKind::Utf8(_) => return Err(Untrusted::Form),
                    _ => found = Untrusted::Signature,
                }
            }
        }
    }
    Err(found)
}

/// Whether a token with this header can be signed by this key.
fn fits(key: &Jwk, algorithm: Algorithm, id: Option<&str>) -> bool {
    let common = &key.common;
    let is_named = match (id, &common.key_id) {
        (Some(id), Some(key_id)) => id == key_id,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let is_for_signing = !matches!(common.public_key_use, Some(PublicKeyUse::Encryption));
    let said = common.key_algorithm.map(|said| said.to_string());
    let of_algorithm = said.is_none_or(|said| said == format!("{algorithm:?}"));
    let of_family = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512)
        | (AlgorithmParameters::RSA(_), Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512)
        | (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA) => true,
        (AlgorithmParameters::EllipticCurve(curve), algorithm) => {
            use jsonwebtoken::jwk::EllipticCurve::{P256, P384};
            matches!(
                (&curve.curve, algorithm),
                (P256, Algorithm::ES256) | (P384, Algorithm::ES384)
            )
        }
        _ => false,
    };
    is_named && is_for_signing && of_algorithm && of_family
}

/// The claims of a message that somebody has logged out; `nonce` of what is expected means nothing.
pub(crate) fn verify_log_out(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Claims, Untrusted> {
    let claims = signed_claims(token, keys)?;
    // Read above already, with this header.
    let kind = decode_header(token).ok().and_then(|header| header.typ);
    let is_kind = |kind: &String| ["jwt", "logout+jwt"].contains(&&*kind.to_ascii_lowercase());
    if !kind.as_ref().is_none_or(is_kind) {
        return Err(Untrusted::NoLogOut);
    }
    check_parties(&claims, expected)?;
    let now = expected.now.0;
    if claims.contains_key("exp") {
        check_end(&claims, now)?;
    }
    check_begin(&claims, now)?;
    match moment(&claims, "iat") {
        Some(iat) if now < iat.saturating_add(NEWS) => {}
        _ => return Err(Untrusted::Expired),
    }
    // Else an ID token could be passed off as one.
    let events = claims.get("events").and_then(|events| events.get(LOG_OUT));
    let is_log_out = events.is_some_and(Value::is_object) && !claims.contains_key("nonce");
    if !is_log_out || !claims.get("jti").is_some_and(is_mark) {
        return Err(Untrusted::NoLogOut);
    }
    let (subject, session) = (claims.get("sub"), claims.get("sid"));
    let about = subject.is_some() || session.is_some();
    match about && subject.into_iter().chain(session).all(is_mark) {
        true => Ok(claims),
        false => Err(Untrusted::Subject),
    }
}

fn is_mark(value: &Value) -> bool {
    value.as_str().is_some_and(is_subject)
}

fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), Untrusted> {
    check_parties(claims, expected)?;
    let now = expected.now.0;
    check_end(claims, now)?;
    check_begin(claims, now)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let nonce = text("nonce").unwrap_or_default().as_bytes();
    let lacks = expected.may_lack_nonce && !claims.contains_key("nonce");
    if !lacks && !bool::from(nonce.ct_eq(expected.nonce.as_bytes())) {
        return Err(Untrusted::Nonce);
    }
    match text("sub") {
        Some(subject) if is_subject(subject) => Ok(()),
        _ => Err(Untrusted::Subject),
    }
}

/// Who says it, and to whom.
fn check_parties(claims: &Claims, expected: &Expected<'_>) -> Result<(), Untrusted> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(Untrusted::Issuer);
    }
    let (is_ours, several) = match claims.get("aud") {
        Some(Value::String(audience)) => (audience == expected.client_id, false),
        Some(Value::Array(audiences)) => {
            let is_us = |audience: &Value| audience.as_str() == Some(expected.client_id);
            (audiences.iter().any(is_us), audiences.len() > 1)
        }
        _ => (false, false),
    };
    if !is_ours {
        return Err(Untrusted::Audience);
    }
    // With several audiences it must say that it was given to us; if it says to whom, it must be us.
    match claims.get("azp") {
        None if !several => Ok(()),
        Some(Value::String(party)) if party == expected.client_id => Ok(()),
        _ => Err(Untrusted::AuthorizedParty),
    }
}

fn moment(claims: &Claims, name: &str) -> Option<i64> {
    let seconds = claims.get(name)?.as_f64()?;
    // Further away than any date, either way; a float that large is cut to what fits.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is cut to what fits before"
    )]
    Some((seconds.clamp(-1e12, 1e12) * 1_000.0) as i64)
}

fn check_end(claims: &Claims, now: i64) -> Result<(), Untrusted> {
    match moment(claims, "exp") {
        Some(exp) if now < exp.saturating_add(LEEWAY) => Ok(()),
        _ => Err(Untrusted::Expired),
    }
}

fn check_begin(claims: &Claims, now: i64) -> Result<(), Untrusted> {
    let has_begun =
        |name: &str| moment(claims, name).is_some_and(|begin| begin <= now.saturating_add(LEEWAY));
    match has_begun("iat") && (!claims.contains_key("nbf") || has_begun("nbf")) {
        true => Ok(()),
        false => Err(Untrusted::FromTheFuture),
    }
}

/// Whether somebody can be told by this for ever.
pub(crate) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= SUBJECT_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "iss": "https://login.example.edu", "aud": "lyceum", "sub": "1", "nonce": "n",
            "exp": 1_000, "iat": 900
        })
    }

    #[test]
    fn every_claim_must_be_as_it_should() {
        let check_with = |name: &str, value: Value, now: i64, expect: Result<(), Untrusted>| {
            let mut claims = good();
            match value.is_null() {
                true => claims.as_object_mut().unwrap().remove(name),
                false => (claims.as_object_mut().unwrap()).insert(name.into(), value.clone()),
            };
            let expected = Expected {
                issuer: "https://login.example.edu",
                client_id: "lyceum",
                nonce: "n",
                may_lack_nonce: false,
                now: Millis(now * 1_000),
            };
            let claims = claims.as_object().unwrap();
            assert_eq!(check(claims, &expected), expect, "{name} {value} at {now}");
        };
        let check = |name: &str, value: Value, expect| check_with(name, value, 950, expect);
        check("x", json!(1), Ok(()));
        for iss in [
            Value::Null,
            json!("https://login.example.edu/"),
            json!("https://login.example.edu.evil.org"),
            json!(["https://login.example.edu"]),
            json!(""),
        ] {
            check("iss", iss, Err(Untrusted::Issuer));
        }
        check("aud", json!(["lyceum"]), Ok(()));
        for aud in [
            Value::Null,
            json!("other"),
            json!([]),
            json!(["x", "y"]),
            json!("lyceum2"),
        ] {
            check("aud", aud, Err(Untrusted::Audience));
        }
        check(
            "aud",
            json!(["lyceum", "x"]),
            Err(Untrusted::AuthorizedParty),
        );
        check("azp", json!("lyceum"), Ok(()));
        check("azp", json!("x"), Err(Untrusted::AuthorizedParty));
        check("azp", json!(["lyceum"]), Err(Untrusted::AuthorizedParty));
        for exp in [
            Value::Null,
            json!("1000"),
            json!(0),
            json!(-1e300),
            json!(889),
        ] {
            check("exp", exp, Err(Untrusted::Expired));
        }
        check("exp", json!(1e300), Ok(()));
        check("exp", json!(950.5), Ok(()));
        for iat in [Value::Null, json!("900"), json!(1_011), json!(1e300)] {
            check("iat", iat, Err(Untrusted::FromTheFuture));
        }
        check("nbf", json!(940), Ok(()));
        check("nbf", json!(1_011), Err(Untrusted::FromTheFuture));
        check("nbf", json!("x"), Err(Untrusted::FromTheFuture));
        for nonce in [
            Value::Null,
            json!(""),
            json!("m"),
            json!("nn"),
            json!(["n"]),
        ] {
            check("nonce", nonce, Err(Untrusted::Nonce));
        }
        for sub in [
            Value::Null,
            json!(""),
            json!(1),
            json!("a\n"),
            json!("a".repeat(256)),
        ] {
            check("sub", sub, Err(Untrusted::Subject));
        }
        check_with("x", json!(1), 1_059, Ok(()));
        check_with("x", json!(1), 1_060, Err(Untrusted::Expired));
        check_with("x", json!(1), 840, Ok(()));
        check_with("x", json!(1), 839, Err(Untrusted::FromTheFuture));
    }

    #[test]
    fn what_is_not_signed_by_a_provider_does_not_count() {
        let coded =
            |value: Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let token = |header: Value, end: &str| format!("{}.{}.{end}", coded(header), coded(good()));
        let check = |token: &str, expect: Untrusted| {
            assert_eq!(signed_claims(token, &[]), Err(expect), "{token:.80}");
        };
        for alg in [
            "none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS255",
        ] {
            check(&token(json!({"alg": alg}), ""), Untrusted::Algorithm);
            check(&token(json!({"alg": alg}), "AAAA"), Untrusted::Algorithm);
        }
        check(&token(json!({}), "AAAA"), Untrusted::Algorithm);
        check(
            &token(json!({"alg": "RS256", "crit": ["x"]}), "AAAA"),
            Untrusted::Critical,
        );
        check(&token(json!({"alg": "RS256"}), "AAAA"), Untrusted::NoKey);
        check("", Untrusted::Form);
        check("a.b", Untrusted::Form);
        check("a.b.c.d.e", Untrusted::Form);
        check(&"a".repeat(100_000), Untrusted::Form);
    }
}
