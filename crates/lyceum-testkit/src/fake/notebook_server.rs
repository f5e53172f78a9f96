//! A notebook server that starts in microseconds: it answers like one as far as the hub looks, and
//! tells what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lyceum_model::server::HubEnv;
use tokio_util::sync::CancellationToken;

/// How it behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Answers,
    /// Only server errors, as one whose start never ends.
    Fails,
}

/// A running fake; it ends when dropped.
#[derive(Debug)]
pub struct NotebookServer {
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl NotebookServer {
    pub async fn start(hub: HubEnv, manner: Manner) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let router = Router::new()
            .fallback(answer)
            .with_state((Arc::new(hub), manner));
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

async fn answer(State((hub, manner)): State<(Arc<HubEnv>, Manner)>, request: Request) -> Response {
    if manner == Manner::Fails {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let Some(rest) = request.uri().path().strip_prefix(&hub.prefix) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match rest {
        "api" => axum::Json(serde_json::json!({ "version": "fake" })).into_response(),
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
