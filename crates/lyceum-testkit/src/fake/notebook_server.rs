//! A notebook server that starts in microseconds: it answers like one as far as the hub looks, and
//! tells what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use lyceum_model::server::HubEnv;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// How it behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Answers,
    /// Only server errors, as one whose start never ends.
    Fails,
}

/// Whose servers have kernels, and in which state: `busy`, `idle`. `silent`: the question after them gets
/// no answer; `none`: the server knows no kernels.
pub type Kernels = Arc<Mutex<HashMap<String, String>>>;

/// A running fake; it ends when dropped.
#[derive(Debug)]
pub struct NotebookServer {
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl NotebookServer {
    /// `requests` counts what arrives.
    pub async fn start(
        hub: HubEnv,
        manner: Manner,
        requests: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        Self::start_with(hub, manner, requests, Kernels::default()).await
    }

    /// One that has kernels.
    pub async fn start_with(
        hub: HubEnv,
        manner: Manner,
        requests: Arc<AtomicUsize>,
        kernels: Kernels,
    ) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        Self::serve(listener, hub, manner, requests, kernels)
    }

    /// At an address that somebody else has chosen.
    pub fn start_on(
        listener: tokio::net::TcpListener,
        hub: HubEnv,
        manner: Manner,
        requests: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        Self::serve(listener, hub, manner, requests, Kernels::default())
    }

    fn serve(
        listener: tokio::net::TcpListener,
        hub: HubEnv,
        manner: Manner,
        requests: Arc<AtomicUsize>,
        kernels: Kernels,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let router = Router::new()
            .fallback(answer)
            .layer(axum::middleware::map_request(move |request: Request| {
                requests.fetch_add(1, Ordering::SeqCst);
                std::future::ready(request)
            }))
            .with_state((Arc::new(hub), manner, kernels));
        let ended = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(ended.cancelled_owned())
                .await;
            served.expect("a fake server serves");
        });
        Ok(Self { address, stop })
    }
}

impl Drop for NotebookServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A WebSocket that says back what it hears, until either side ends it.
fn echo(mut request: Request) -> Response {
    let Some(key) = request.headers().get("sec-websocket-key").cloned() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() || socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let headers = [
        ("connection", "upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-accept", accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// What a notebook server tells of its kernels, to whom the hub says may open it.
async fn tell_kernels(
    hub: &HubEnv,
    kernels: &Kernels,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Response {
    let state = |kernels: &Kernels| {
        let kernels = kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.get(hub.user.as_str()).cloned()
    };
    match state(kernels).as_deref() {
        Some("silent") => return std::future::pending().await,
        Some("none") => return StatusCode::NOT_FOUND.into_response(),
        _ => {}
    }
    let given = headers.get("authorization");
    let token = given.and_then(|value| value.to_str().ok()?.strip_prefix("token "));
    let api = hub.api_url.strip_prefix("http://");
    let address = api.and_then(|rest| rest.split('/').next()?.parse().ok());
    let (Some(token), Some(address)) = (token, address) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let asked = Client::new(address).with_token(token);
    let asked = asked.get("/hub/api/user").await;
    let opens = |text: &serde_json::Value| {
        let scopes = text["scopes"].as_array().cloned().unwrap_or_default();
        let known = scopes.iter().filter_map(|scope| scope.as_str());
        known
            .into_iter()
            .any(|scope| hub.access_scopes.iter().any(|one| one == scope))
    };
    if asked.status != StatusCode::OK || !opens(&asked.json()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if query != Some("no_track_activity=1") {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let list: Vec<_> = state(kernels)
        .map(|state| serde_json::json!({ "id": "k", "execution_state": state }))
        .into_iter()
        .collect();
    axum::Json(list).into_response()
}

async fn answer(
    State((hub, manner, kernels)): State<(Arc<HubEnv>, Manner, Kernels)>,
    request: Request,
) -> Response {
    if manner == Manner::Fails {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let Some(rest) = request.uri().path().strip_prefix(&hub.prefix) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match rest {
        "api" => axum::Json(serde_json::json!({ "version": "fake" })).into_response(),
        "api/kernels" => {
            let (head, _) = request.into_parts();
            tell_kernels(&hub, &kernels, &head.headers, head.uri.query()).await
        }
        "api/status" => axum::Json(serde_json::json!({ "kernels": 1 })).into_response(),
        "echo" => echo(request),
        "headers" => {
            let headers: Vec<(String, String)> = request
                .headers()
                .iter()
                .map(|(name, value)| {
                    (
                        name.to_string(),
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    )
                })
                .collect();
            axum::Json(headers).into_response()
        }
        _ => format!("the server of {} at {}", hub.user, request.uri().path()).into_response(),
    }
}
