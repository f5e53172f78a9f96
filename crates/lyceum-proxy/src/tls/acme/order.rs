//! One order from its beginning to the certificate on disk (RFC 8555, section 7.4).

use std::{sync::Arc, time::Duration};

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{Acme, AcmeChallenge, Answers, folder::Folder};
use crate::tls::{TlsError, pair::Pair, provider};

/// The whole of an order, with all questions of the authority.
const TIME: Duration = Duration::from_secs(300);
/// How long the authority may take to look, and then to sign.
const POLL: Duration = Duration::from_secs(90);

#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("the authority says: {0}")]
    Refused(String),
    #[error("the authority says that it was asked too often: {0}")]
    TooOften(String),
    #[error("the authority can't be spoken with: {0}")]
    Talk(String),
    #[error("no answer within five minutes")]
    TimeOut,
    #[error("the folder can't be written: {0}")]
    Folder(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

impl OrderError {
    pub(super) fn is_too_often(&self) -> bool {
        matches!(self, Self::TooOften(_))
    }
}

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> Self {
        match error {
            instant_acme::Error::Api(problem) => {
                let too_often = problem
                    .r#type
                    .as_deref()
                    .is_some_and(|kind| kind.ends_with(":rateLimited"));
                let text = problem.to_string();
                if too_often || problem.status == Some(429) {
                    Self::TooOften(text)
                } else {
                    Self::Refused(text)
                }
            }
            error => Self::Talk(chain(&error)),
        }
    }
}

impl From<rcgen::Error> for OrderError {
    fn from(error: rcgen::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// An error with its causes: "connection failed" alone helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Gets a certificate and keeps it.
pub(super) async fn order(
    acme: &Acme,
    folder: &Folder,
    answers: &Answers,
) -> Result<(), OrderError> {
    tokio::time::timeout(TIME, run(acme, folder, answers))
        .await
        .unwrap_or(Err(OrderError::TimeOut))
}

async fn run(acme: &Acme, folder: &Folder, answers: &Answers) -> Result<(), OrderError> {
    let account = account(acme, folder).await?;
    let identifiers: Vec<_> = acme
        .names
        .iter()
        .map(|name| Identifier::Dns(name.to_ascii_lowercase()))
        .collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let kind = match acme.challenge {
        AcmeChallenge::Http => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn => ChallengeType::TlsAlpn01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => {
                return Err(OrderError::Refused(format!(
                    "an authorization is {status:?}"
                )));
            }
        }
        let mut challenge = authorization.challenge(kind.clone()).ok_or_else(|| {
            OrderError::Refused(format!("it does not offer the challenge {kind:?}"))
        })?;
        let answer = challenge.key_authorization();
        match acme.challenge {
            AcmeChallenge::Http => {
                let token = challenge.token.clone();
                answers.put_http(&token, answer.as_str().to_owned()).await?;
            }
            AcmeChallenge::TlsAlpn => {
                let name = challenge.identifier().to_string();
                let (pem, key) = alpn_answer(&name, answer.digest().as_ref())?;
                answers.put_alpn(&name, Arc::new(key), pem).await?;
            }
        }
        challenge.set_ready().await?;
    }
    let patience = RetryPolicy::new()
        .initial_delay(Duration::from_millis(250))
        .timeout(POLL);
    match order.poll_ready(&patience).await? {
        OrderStatus::Ready | OrderStatus::Valid => {}
        status => return Err(why_not(&mut order, status).await),
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(acme.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&patience).await?;
    let file = format!("{}{chain}", key.serialize_pem());
    let path = folder.certificate();
    // What can't be used must not replace what is in force.
    Pair::parse((&path, file.as_bytes()), (&path, file.as_bytes()))
        .map_err(|error| OrderError::Other(error.to_string()))?;
    let folder = folder.clone();
    tokio::task::spawn_blocking(move || folder.write(&path, file.as_bytes()))
        .await
        .map_err(|error| OrderError::Other(error.to_string()))??;
    Ok(())
}

/// The authority's own words about what it did not like.
async fn why_not(order: &mut instant_acme::Order, status: OrderStatus) -> OrderError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let name = state.identifier().to_string();
        if let Some(problem) = state.challenges.iter().find_map(|one| one.error.as_ref()) {
            return OrderError::Refused(format!("{name}: {problem}"));
        }
    }
    OrderError::Refused(format!("the order is {status:?}"))
}

/// The account as it is kept, or a new one.
async fn account(acme: &Acme, folder: &Folder) -> Result<Account, OrderError> {
    let builder = match &acme.directory_authority {
        Some(path) => Account::builder_with_root(path)?,
        None => Account::builder()?,
    };
    let path = folder.account(&acme.directory);
    if let Ok(text) = folder.read(&path) {
        let credentials: AccountCredentials = serde_json::from_str(&text).map_err(|_| {
            OrderError::Other(format!(
                "{} is damaged; removed, a new account is made",
                path.display()
            ))
        })?;
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact = acme.mail.as_ref().map(|mail| format!("mailto:{mail}"));
    let contact: Vec<&str> = contact.as_deref().into_iter().collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: acme.agree_to_terms,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    let text =
        serde_json::to_vec(&credentials).map_err(|error| OrderError::Other(error.to_string()))?;
    folder.write(&path, &text)?;
    Ok(account)
}

/// The certificate that answers a question by TLS (RFC 8737, section 3).
fn alpn_answer(name: &str, digest: &[u8]) -> Result<(String, CertifiedKey), OrderError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
    let key = parse_answer(&pem)
        .ok_or_else(|| OrderError::Other("a certificate of ours is unreadable".into()))?;
    Ok((pem, key))
}

/// Not by way of [`Pair`]: the extension with the answer is critical, and so refused there.
pub(super) fn parse_answer(pem: &str) -> Option<CertifiedKey> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty())?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let key = provider().key_provider.load_private_key(key).ok()?;
    Some(CertifiedKey::new(chain, key))
}

/// What is shown until there is a certificate; no browser believes it.
pub(super) fn stand_in(names: &[String]) -> Result<Pair, TlsError> {
    let failed =
        |error: rcgen::Error| TlsError::Settings(format!("no certificate can be made: {error}"));
    let key = KeyPair::generate().map_err(failed)?;
    let params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
    let path = std::path::Path::new("the stand-in");
    Pair::parse((path, pem.as_bytes()), (path, pem.as_bytes()))
}
