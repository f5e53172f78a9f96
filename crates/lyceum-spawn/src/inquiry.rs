//! What a running notebook server says of itself when it is asked: whether its kernels work, and
//! when it was last used.
//!
//! Whoever asks makes sure right before that the server is the one that listens at its address
//! ([`crate::PortOwner`]). What it answers is its own word: people's code runs in it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
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

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Report(Report),
    /// Something answers there, but not as a Jupyter server does: it has no kernels to tell of.
    NoJupyter,
    /// Nothing came in time, or only that it can't tell just now. That says nothing of its kernels: one
    /// that computes with all it has leaves its own server no time to answer.
    Silent,
}

/// Asks for kernels and status. Asking does not count as use.
pub async fn ask(address: &str, prefix: &str, token: &Secret, limit: Duration) -> Answer {
    let both = async {
        tokio::join!(
            get(address, format!("{prefix}api/kernels"), token),
            get(address, format!("{prefix}api/status"), token),
        )
    };
    match timeout(limit, both).await {
        Ok((Said::Json(kernels), status)) => match read(&kernels, status.json()) {
            Some(report) => Answer::Report(report),
            None => Answer::NoJupyter,
        },
        Ok((Said::Else, _)) => Answer::NoJupyter,
        Ok((Said::Nothing, _)) | Err(_) => Answer::Silent,
    }
}

fn read(kernels: &Value, status: Option<&Value>) -> Option<Report> {
    let kernels = kernels.as_array()?;
    let busy = |kernel: &&Value| kernel["execution_state"] == "busy";
    let last = status.and_then(|status| status["last_activity"].as_str());
    let connected = kernels.iter().map(|kernel| kernel["connections"].as_u64());
    Some(Report {
        busy: kernels.iter().filter(busy).count(),
        connections: connected.map(Option::unwrap_or_default).sum(),
        last_activity: last.and_then(Millis::from_iso),
    })
}

/// What came back for one path.
enum Said {
    Json(Value),
    Else,
    Nothing,
}

impl Said {
    fn json(&self) -> Option<&Value> {
        match self {
            Self::Json(value) => Some(value),
            Self::Else | Self::Nothing => None,
        }
    }
}

/// What an answer with this head says before its body is read: a server that fails, or has too much to
/// do, would answer otherwise at another time.
fn without_body(status: StatusCode) -> Option<Said> {
    if status == StatusCode::OK {
        None
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Some(Said::Nothing)
    } else {
        Some(Said::Else)
    }
}

async fn get(address: &str, path: String, token: &Secret) -> Said {
    fetch(address, path, token).await.unwrap_or(Said::Nothing)
}

/// None if there is no whole answer.
async fn fetch(address: &str, path: String, token: &Secret) -> Option<Said> {
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
        let answer = match sender.send_request(request).await {
            Ok(answer) => answer,
            // It speaks, but not HTTP.
            Err(error) if error.is_parse() => return Some(Said::Else),
            Err(_) => return None,
        };
        if let Some(said) = without_body(answer.status()) {
            return Some(said);
        }
        let body = Limited::new(answer.into_body(), BODY_MAX);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Some(Said::Else),
            Err(_) => return None,
        };
        Some(match serde_json::from_slice(&body) {
            Ok(value) => Said::Json(value),
            Err(_) => Said::Else,
        })
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn busy_kernels_are_counted() {
        let at = "2026-11-18T11:06:40.123000Z";
        let status = json!({ "last_activity": at, "kernels": 2, "connections": 1 });
        let report = |kernels: Value| read(&kernels, Some(&status));
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
        let quiet = read(&json!([busy]), None);
        assert_eq!(quiet.map(|report| report.last_activity), Some(None));
    }

    /// A server whose every connection gets these bytes and its end, or nothing at all.
    async fn asked(bytes: Option<&'static [u8]>, limit: Duration) -> Answer {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = async {
            let mut open = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let Some(bytes) = bytes else {
                    open.push(stream);
                    continue;
                };
                let mut request = [0; 4096];
                let read = stream.read(&mut request).await.expect("a request");
                assert!(read > 0, "nothing was asked");
                stream.write_all(bytes).await.expect("written");
            }
        };
        let token = Secret::new("t");
        tokio::select! {
            answer = ask(&address, "/user/ada/", &token, limit) => answer,
            () = serving => unreachable!("it serves for ever"),
        }
    }

    #[tokio::test]
    async fn silence_is_no_answer() {
        let long = Duration::from_secs(60);
        let check = async |bytes: &'static [u8], expect: Answer| {
            let answer = asked(Some(bytes), long).await;
            assert_eq!(answer, expect, "{}", String::from_utf8_lossy(bytes));
        };
        let idle = Answer::Report(Report::default());
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", idle).await;
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2p1\r\n",
        ] {
            check(other.as_bytes(), Answer::NoJupyter).await;
        }
        for none in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n[",
            "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        ] {
            check(none.as_bytes(), Answer::Silent).await;
        }
        // It takes the connection and says nothing.
        let brief = Duration::from_millis(50);
        assert_eq!(asked(None, brief).await, Answer::Silent);
    }
}
