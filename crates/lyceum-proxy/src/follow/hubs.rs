//! Calls to the hubs: to one that is named, or to whichever answers.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use serde::{Serialize, de::DeserializeOwned};

use super::{FollowError, Settings, wire::AUTH_SCHEME};
use crate::{
    fallback::Fallback,
    rewrite::Scheme,
    target::{Place, Target},
    tls::provider,
    upstream::client_config,
};

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// For one hub to answer a short question; then another is asked.
const ANSWER: Duration = Duration::from_secs(3);
const MAX_ANSWER: usize = 1024 * 1024;
/// How often each hub is asked whether it is well.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const HEALTH_PATH: &str = "/hub/api/health";

/// Why a hub gave no answer that can be used. Never holds what was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("it can't be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer in time")]
    TooSlow,
    #[error(
        "it does not take this proxy's secret: give the proxy the same as the hub's `proxy.secret`"
    )]
    Secret,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is unreadable: {0}")]
    Unreadable(String),
}

/// Files are read only if some hub speaks TLS.
fn tls(settings: &Settings) -> Result<ClientConfig, String> {
    let is_https = |hub: &Target| matches!(hub.place(), Place::Tcp(Scheme::Https, _));
    if !settings.hubs.iter().any(is_https) {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let nobody = RootCertStore::empty();
        return Ok(builder.with_root_certificates(nobody).with_no_client_auth());
    }
    let mut config = client_config(&settings.upstream)?;
    // The connector says by itself what it speaks.
    config.alpn_protocols.clear();
    Ok(config)
}

#[derive(Clone)]
pub(crate) struct Hubs {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    fallback: Fallback,
    secret: HeaderValue,
    /// What stands before the paths that are asked for.
    below: Arc<str>,
}

impl fmt::Debug for Hubs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hubs").field(&self.fallback).finish()
    }
}

impl Hubs {
    pub(crate) fn new(fallback: Fallback, settings: &Settings) -> Result<Self, FollowError> {
        let secret = format!("{AUTH_SCHEME} {}", settings.secret.expose());
        let mut secret = HeaderValue::from_str(&secret).map_err(|_| FollowError::Secret)?;
        secret.set_sensitive(true);
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(settings).map_err(FollowError::Tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_max_idle_per_host(16)
            .build(connector);
        Ok(Self {
            client,
            fallback,
            secret,
            below: settings.base_path.trim_end_matches('/').into(),
        })
    }

    pub(crate) fn fallback(&self) -> &Fallback {
        &self.fallback
    }

    /// An answer's head; its body is still to come.
    pub(crate) async fn open(
        &self,
        hub: &Target,
        path_and_query: &str,
    ) -> Result<Response<Incoming>, Trouble> {
        let request = self.request(hub, Method::GET, path_and_query, Bytes::new())?;
        self.send(hub, request).await
    }

    /// Posts to this hub alone.
    pub(crate) async fn post_to<A: DeserializeOwned>(
        &self,
        hub: &Target,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, Trouble> {
        let body = serde_json::to_vec(body).expect("our own types are JSON");
        self.exchange(hub, path, body.into()).await
    }

    /// Posts something that may safely be posted twice to one hub after the other, until one
    /// answers.
    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<A, Trouble> {
        let body = Bytes::from(serde_json::to_vec(body).expect("our own types are JSON"));
        let mut hub = self.fallback.pick().clone();
        let mut tried = 1;
        loop {
            let trouble = match self.exchange(&hub, path, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            tracing::debug!(%hub, %trouble, path, "a hub was no help");
            match self.fallback.instead_of(&hub, tried) {
                Some(next) => hub = next.clone(),
                None => return Err(trouble),
            }
            tried += 1;
        }
    }

    async fn exchange<A: DeserializeOwned>(
        &self,
        hub: &Target,
        path: &str,
        body: Bytes,
    ) -> Result<A, Trouble> {
        let request = self.request(hub, Method::POST, path, body)?;
        let whole = async {
            let response = self.send(hub, request).await?;
            Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| Trouble::Unreadable(error.to_string()))
        };
        let body = tokio::time::timeout(ANSWER, whole)
            .await
            .map_err(|_| Trouble::TooSlow)??;
        serde_json::from_slice(&body.to_bytes())
            .map_err(|error| Trouble::Unreadable(error.to_string()))
    }

    fn request(
        &self,
        hub: &Target,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Trouble> {
        Request::builder()
            .method(method)
            .uri(format!("{hub}{}{path_and_query}", self.below))
            .header(AUTHORIZATION, self.secret.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Trouble::Unreachable(error.to_string()))
    }

    async fn send(
        &self,
        hub: &Target,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Trouble> {
        let answer = tokio::time::timeout(ANSWER, self.client.request(request)).await;
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                self.fallback.shun(hub);
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                return Err(Trouble::Unreachable(
                    cause.unwrap_or_else(|| error.to_string()),
                ));
            }
            Err(_) => {
                self.fallback.shun(hub);
                return Err(Trouble::TooSlow);
            }
        };
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Secret),
            status => Err(Trouble::Status(status)),
        }
    }

    /// Asks one hub again and again whether it is well, so that requests go to those that are.
    pub(crate) async fn watch(&self, hub: &Target) {
        let mut well = true;
        loop {
            let answer = match self.request(hub, Method::GET, HEALTH_PATH, Bytes::new()) {
                Ok(request) => self.send(hub, request).await,
                Err(trouble) => Err(trouble),
            };
            match answer {
                Ok(response) => {
                    // Read to its end, so that the connection can be used again.
                    let body = Limited::new(response.into_body(), MAX_ANSWER);
                    let _ = tokio::time::timeout(ANSWER, body.collect()).await;
                    self.fallback.trust(hub);
                    if !well {
                        tracing::info!(%hub, "a hub is well again");
                    }
                    well = true;
                }
                Err(trouble) => {
                    self.fallback.shun(hub);
                    if well {
                        tracing::warn!(%hub, %trouble, "a hub is not well; requests go to others if there are any");
                    }
                    well = false;
                }
            }
            let pause = match well {
                true => LOOK_EVERY,
                // More often than it is left out for.
                false => LOOK_EVERY / 2,
            };
            tokio::time::sleep(pause).await;
        }
    }
}
