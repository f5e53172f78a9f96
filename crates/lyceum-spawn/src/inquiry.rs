//! What a running notebook server says of itself when it is asked: whether its kernels work, and
//! when it was last used.
//!
//! Whoever asks makes sure right before that the server is the one that listens at its address
//! ([`crate::PortOwner`]). What it answers is its own word: people's code runs in it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use lyceum_model::clock::Millis;
use lyceum_model::secret::Secret;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A list of kernels is small; nothing of what is longer is believed.
const BODY_MAX: usize = 1 << 20;

/// What it answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Kernels that are just working.
    pub busy: usize,
    /// Pages and programs that are connected to its kernels.
    pub connections: u64,
    /// Requests, kernels, terminals: whatever was last.
    pub last_activity: Option<Millis>,
}

/// Asks for kernels and status; none when it does not answer as a Jupyter server does, in time.
/// Asking does not count as use.
pub async fn ask(address: &str, prefix: &str, token: &Secret, limit: Duration) -> Option<Report> {
    let both = async {
        tokio::join!(
            get(address, format!("{prefix}api/kernels"), token),
            get(address, format!("{prefix}api/status"), token),
        )
    };
    let (kernels, status) = timeout(limit, both).await.ok()?;
    read(kernels.as_ref(), status.as_ref())
}

fn read(kernels: Option<&Value>, status: Option<&Value>) -> Option<Report> {
    let kernels = kernels?.as_array()?;
    let busy = |kernel: &&Value| kernel["execution_state"] == "busy";
    let last = status.and_then(|status| status["last_activity"].as_str());
    let connected = kernels.iter().map(|kernel| kernel["connections"].as_u64());
    Some(Report {
        busy: kernels.iter().filter(busy).count(),
        connections: connected.map(Option::unwrap_or_default).sum(),
        last_activity: last.and_then(Millis::from_iso),
    })
}

async fn get(address: &str, path: String, token: &Secret) -> Option<Value> {
    let authority = address.strip_prefix("http://")?;
    let stream = TcpStream::connect(authority).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut credential =
        header::HeaderValue::from_str(&format!("token {}", token.expose())).ok()?;
    credential.set_sensitive(true);
    let request = Request::get(format!("{path}?no_track_activity=1"))
        .header(header::HOST, authority)
        .header(header::AUTHORIZATION, credential)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(answer.into_body(), BODY_MAX);
        let body = body.collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    };
    tokio::pin!(answer);
    // The connection may well be through before its answer was looked at.
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn busy_kernels_are_counted() {
        let at = "2026-11-18T11:06:40.123000Z";
        let status = json!({ "last_activity": at, "kernels": 2, "connections": 1 });
        let report = |kernels: Value| read(Some(&kernels), Some(&status));
        let idle = json!({ "id": "a", "execution_state": "idle", "connections": 2 });
        let busy = json!({ "id": "b", "execution_state": "busy" });
        let last_activity = Some(Millis(1_795_000_000_123));
        let expect = |busy, connections| {
            Some(Report {
                busy,
                connections,
                last_activity,
            })
        };
        assert_eq!(report(json!([])), expect(0, 0));
        assert_eq!(report(json!([idle, busy, busy])), expect(2, 2));
        // No Jupyter server, or one that does not know us.
        assert_eq!(report(json!({ "message": "Forbidden" })), None);
        assert_eq!(read(None, Some(&status)), None);
        let kernels = json!([busy]);
        let quiet = read(Some(&kernels), None);
        assert_eq!(quiet.map(|report| report.last_activity), Some(None));
    }
}
