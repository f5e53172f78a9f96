//! Calls to a provider: bounded in time, size and number, and only where nobody can listen.
//!
//! Redirects are not followed: what a provider says of itself are the addresses that are asked.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use data_encoding::BASE64;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lyceum_model::secret::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;

use crate::renewal::OutOfOrder;

const CONNECT: Duration = Duration::from_secs(5);
/// For a whole answer.
const ANSWER: Duration = Duration::from_secs(10);
/// For one that is lost for good with whoever does not wait for it: the token that was brought may be used up.
const PRECIOUS: Duration = Duration::from_secs(30);
/// No document of a provider is longer.
const MAX_BODY: usize = 512 * 1024;
const JSON: &str = "application/json";
/// As many calls may be under way; whoever waits longer than an answer may take is told so.
const AT_ONCE: usize = 64;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    content_type: String,
    next: Result<Option<String>, Unread>,
    body: Bytes,
}

impl Answer {
    /// Whether whoever answers says that it can't do so just now, whatever was asked.
    pub(crate) fn is_out_of_order(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Refuses what is no success. `place`: what answered.
    pub(crate) fn check(&self, place: &str) -> anyhow::Result<()> {
        let problem = format!("{place} answered {}", self.status);
        match self.status.is_success() {
            true => Ok(()),
            false if self.is_out_of_order() => Err(OutOfOrder(problem).into()),
            false => bail!(problem),
        }
    }

    /// Where the next page is, as it says it. That it says so in a way that can't be read is not that there is none.
    pub(crate) fn next_page(&self) -> anyhow::Result<Option<&str>> {
        match &self.next {
            Ok(next) => Ok(next.as_deref()),
            Err(Unread) => bail!("where its next page is can't be read (`Link`)"),
        }
    }

    /// The body as JSON, if it says that it is.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        let kind = self.content_type.split(';').next().unwrap_or_default();
        let kind = kind.trim().to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            bail!("it answered {} with {kind:?} instead of JSON", self.status);
        }
        // The parser's own words would repeat what was sent.
        serde_json::from_slice(&self.body).map_err(|error| {
            anyhow!(
                "its answer is not the JSON that is expected (line {}, column {})",
                error.line(),
                error.column()
            )
        })
    }
}

/// A header that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unread;

/// What headers `Link` say of the next page (RFC 8288, 3).
fn next_page(headers: &HeaderMap) -> Result<Option<String>, Unread> {
    for line in headers.get_all(LINK) {
        let mut rest = line
            .to_str()
            .map_err(|_| Unread)?
            .trim_start_matches(is_between);
        while !rest.is_empty() {
            let (url, more) = (rest.strip_prefix('<'))
                .and_then(|rest| rest.split_once('>'))
                .ok_or(Unread)?;
            let (params, others) = cut(more, ',');
            if is_next(params) {
                return Ok(Some(url.to_owned()));
            }
            rest = others.trim_start_matches(is_between);
        }
    }
    Ok(None)
}

fn is_between(sign: char) -> bool {
    sign == ',' || sign.is_ascii_whitespace()
}

/// What stands before and behind the first sign of this kind that is not within quotes.
fn cut(text: &str, at: char) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (index, sign) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if quoted && sign == '\\' {
            escaped = true;
        } else if sign == '"' {
            quoted = !quoted;
        } else if sign == at && !quoted {
            return (&text[..index], &text[index + at.len_utf8()..]);
        }
    }
    (text, "")
}

/// Whether a link with these parameters is of the type `next`, which may be one of several.
fn is_next(mut params: &str) -> bool {
    while !params.is_empty() {
        let (param, others) = cut(params, ';');
        params = others;
        let Some((name, value)) = param.split_once('=') else {
            continue;
        };
        // Of several the first counts.
        if name.trim().eq_ignore_ascii_case("rel") {
            let mut types = value.trim().trim_matches('"').split_ascii_whitespace();
            return types.any(|one| one.eq_ignore_ascii_case("next"));
        }
    }
    false
}

/// How a call proves who calls.
pub(crate) enum Proof<'a> {
    None,
    /// Name and password of a client, as OAuth wants them written (RFC 6749, 2.3.1).
    Basic(&'a str, &'a Secret),
    Bearer(&'a Secret),
}

/// The client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    places: Arc<Semaphore>,
}

impl Http {
    /// `authorities`: certificates in PEM form that count besides the system's.
    pub(crate) fn new(authorities: Option<&[u8]>) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(8)
            .http1_max_buf_size(64 * 1024)
            .build(connector);
        Ok(Self {
            client,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub(crate) async fn get(&self, url: &Url, proof: Proof<'_>) -> anyhow::Result<Answer> {
        self.get_as(url, proof, JSON).await
    }

    /// As JSON of this kind.
    pub(crate) async fn get_as(
        &self,
        url: &Url,
        proof: Proof<'_>,
        kind: &str,
    ) -> anyhow::Result<Answer> {
        let call = Call {
            method: Method::GET,
            kind,
            body: Bytes::new(),
            is_precious: false,
        };
        self.call(url, proof, call).await
    }

    pub(crate) async fn post_form(
        &self,
        url: &Url,
        proof: Proof<'_>,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        self.call(url, proof, Call::post(fields)).await
    }

    /// As [`Self::post_form`], for an answer that must not be lost.
    pub(crate) async fn post_precious_form(
        &self,
        url: &Url,
        proof: Proof<'_>,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let call = Call {
            is_precious: true,
            ..Call::post(fields)
        };
        self.call(url, proof, call).await
    }

    async fn call(&self, url: &Url, proof: Proof<'_>, call: Call<'_>) -> anyhow::Result<Answer> {
        let Call {
            method,
            kind,
            body,
            is_precious,
        } = call;
        may_be_asked(url)?;
        let mut request = Request::builder()
            .method(&method)
            .uri(url.as_str())
            .header(ACCEPT, kind)
            .header("user-agent", "lyceum");
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(value) = proof.header()? {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).context("making a request")?;
        let place = url.host_str().unwrap_or_default().to_owned();
        let failed = || OutOfOrder(format!("asking {place}"));
        let late = |limit: Duration| {
            let problem = anyhow!("it did not answer within {} s", limit.as_secs());
            problem.context(failed())
        };
        let begun = Instant::now();
        let waiting = tokio::time::timeout(ANSWER, self.places.acquire()).await;
        let _place = waiting.map_err(|_| late(ANSWER))?.context("closed")?;
        // Nothing had been asked as long as there was no place.
        let (from, limit) = match is_precious {
            true => (Instant::now(), PRECIOUS),
            false => (begun, ANSWER),
        };
        let asking = async {
            let answer = self.client.request(request).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await;
            let body = body
                .map_err(
                    |error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
                        Some(_) => anyhow!("its answer is larger than {MAX_BODY} bytes"),
                        None => anyhow!("its answer broke off"),
                    },
                )?
                .to_bytes();
            let content_type = parts.headers.get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            anyhow::Ok(Answer {
                status: parts.status,
                next: next_page(&parts.headers),
                content_type: content_type.unwrap_or_default().chars().take(80).collect(),
                body,
            })
        };
        match tokio::time::timeout_at(from + limit, asking).await {
            Ok(answer) => answer.with_context(failed),
            Err(_) => Err(late(limit)),
        }
    }
}

/// What is sent, and what kind of answer is wanted.
struct Call<'a> {
    method: Method,
    kind: &'a str,
    body: Bytes,
    is_precious: bool,
}

impl Call<'_> {
    fn post(fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        Self {
            method: Method::POST,
            kind: JSON,
            body: form.finish().into(),
            is_precious: false,
        }
    }
}

impl Proof<'_> {
    fn header(&self) -> anyhow::Result<Option<HeaderValue>> {
        let line = match self {
            Self::None => return Ok(None),
            Self::Basic(name, password) => {
                let coded = |text: &str| -> String {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", coded(name), coded(password.expose()));
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            Self::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut value = HeaderValue::from_str(&line)
            .map_err(|_| anyhow!("a token or secret holds what no header can"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// By TLS, or on this machine for trying out.
pub fn may_be_asked(url: &Url) -> anyhow::Result<()> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here(url) => Ok(()),
        _ => bail!(
            "{} is no address with https",
            url.origin().ascii_serialization()
        ),
    }
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// TLS as a client, with the system's authorities and these.
pub(crate) fn tls(authorities: Option<&[u8]>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Some of a system's certificates are always odd; those that are not count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = authorities {
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate =
                certificate.map_err(|_| anyhow!("it holds no certificate in PEM form"))?;
            roots
                .add(certificate)
                .map_err(|error| anyhow!("a certificate can't be used: {error}"))?;
            found = true;
        }
        if !found {
            bail!("it holds no certificate in PEM form");
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Whether these can be used as authorities.
pub fn check_authorities(pem: &[u8]) -> anyhow::Result<()> {
    tls(Some(pem)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nobody_can_listen() {
        let check = |url: &str, good: bool| {
            let url = Url::parse(url).unwrap();
            assert_eq!(may_be_asked(&url).is_ok(), good, "{url}");
        };
        check("https://login.example.edu/x", true);
        check("http://127.0.0.1:4000/x", true);
        check("http://[::1]:4000/x", true);
        check("http://localhost/x", true);
        check("http://login.example.edu/x", false);
        check("http://localhost.example.edu/x", false);
        check("http://10.0.0.1/x", false);
        check("file:///etc/passwd", false);
        check("ftp://127.0.0.1/x", false);
    }

    #[test]
    fn secrets_are_written_as_oauth_wants_them() {
        let secret = Secret::new("a:b c%ü");
        let proof = Proof::Basic("client:1", &secret);
        let header = proof.header().unwrap().unwrap();
        assert!(header.is_sensitive());
        let pair = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = BASE64.decode(pair.as_bytes()).unwrap();
        assert_eq!(pair, b"client%3A1:a%3Ab+c%25%C3%BC");
        let odd = Secret::new("a\nb");
        assert!(Proof::Bearer(&odd).header().is_err());
    }

    #[test]
    fn the_next_page_is_found() {
        let check = |lines: &[&'static str], expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(LINK, HeaderValue::from_static(line));
            }
            let expect = expect.map(str::to_owned);
            assert_eq!(next_page(&headers), Ok(expect), "{lines:?}");
        };
        check(&[], None);
        check(&[""], None);
        check(&["<https://x/2>; rel=\"next\""], Some("https://x/2"));
        check(
            &["<https://x/d>; rel=differences, <https://x/2>;rel=next"],
            Some("https://x/2"),
        );
        check(
            &["<https://x/d>; rel=\"differences\"", "</2>; rel=\"next\""],
            Some("/2"),
        );
        check(&["<https://x/2>; rel=\"nextish\"", "</2>; rev=next"], None);
        // Signs that part links elsewhere part none here; types are a list, in any letters.
        check(
            &["<https://x/2?ids=1,2;rel=3>; rel=\"next\""],
            Some("https://x/2?ids=1,2;rel=3"),
        );
        check(&["</2>; rel=\"next last\""], Some("/2"));
        check(&["</2> ; REL = Next"], Some("/2"));
        check(
            &["</1>; title=\"a, <b>; rel=next \\\", c\"; rel=prev ,, </2>; rel=\"x next\","],
            Some("/2"),
        );
        check(&["</1>; rel=prev; rel=next"], None);
    }

    /// To take it for the last page would be to take the rest for not there.
    #[test]
    fn a_next_page_that_cannot_be_read_is_not_none() {
        for line in [
            &b"https://x/2; rel=next"[..],
            b"</1>; rel=prev, https://x/2; rel=next",
            b"<https://x/2; rel=next",
            b"</\xFF>; rel=next",
        ] {
            let mut headers = HeaderMap::new();
            headers.append(LINK, HeaderValue::from_bytes(line).unwrap());
            assert_eq!(next_page(&headers), Err(Unread), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert!(check_authorities(b"").is_err());
        assert!(check_authorities(b"hello").is_err());
    }
}
