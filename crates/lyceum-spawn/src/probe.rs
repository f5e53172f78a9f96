//! Waiting until a server answers, and saying plainly why it does not.
//!
//! Ready is: `GET <address><prefix>api` gets any status below 500. Redirects are not followed. Each
//! try has its own connection and time-out. Before a try and after it the spawner is asked whether
//! the server still runs and whether it is the one that listens at its address: a stranger there
//! gets no request, and its answer would not count. The request carries no secret.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::server::ServerKey;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::error::SpawnError;
use crate::spawner::{PortOwner, Spawner, Status};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// A Jupyter that still imports its extensions accepts and then takes its time.
const TRY_LIMIT: Duration = Duration::from_secs(10);
const LOG_LINES: usize = 20;

/// Why a server is not ready. `words` are for the person, `log` for the fold-out below.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct NotReady {
    pub cause: Cause,
    pub words: Saying,
    /// The last lines of the server's log, oldest first.
    pub log: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It ended while we waited.
    Exited,
    /// Another program listens on its port: always [`PortOwner::Stranger`].
    PortTaken(PortOwner),
    /// Nothing answered in time.
    Silent,
    /// It answered, but only with server errors.
    ServerErrors,
    /// It cannot be told whether it runs.
    Unknown,
}

/// What one try found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tried {
    Ready,
    ServerError(StatusCode),
    Nothing(Saying),
}

/// Waits until the server answers, ends, or the time is up.
pub async fn wait_until_answering(
    address: &str,
    prefix: &str,
    limit: Duration,
    spawner: &dyn Spawner,
    key: &ServerKey,
) -> Result<(), NotReady> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit_of_try = TRY_LIMIT.min(left).max(FIRST_PAUSE);
        let mut status = spawner.poll(key).await;
        let tried = match &status {
            Ok(Status::Running { port, .. }) if port.is_safe() => {
                let tried = attempt(address, prefix, limit_of_try).await;
                // It may have ended, and another program have answered.
                status = spawner.poll(key).await;
                tried
            }
            _ => Tried::Nothing(say!("try.nobody")),
        };
        let late = Instant::now() >= deadline;
        let problem = match (status, &tried) {
            (Ok(Status::Running { port, .. }), Tried::Ready) if port.is_safe() => return Ok(()),
            (status, tried) => problem(status, tried, late, address, limit),
        };
        if let Some((cause, words)) = problem {
            let log = spawner.log_tail(key, LOG_LINES).await.unwrap_or_default();
            return Err(NotReady { cause, words, log });
        }
        sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Why there is nothing to wait for any more, if so.
fn problem(
    status: Result<Status, SpawnError>,
    tried: &Tried,
    late: bool,
    address: &str,
    limit: Duration,
) -> Option<(Cause, Saying)> {
    match status {
        Ok(Status::Running {
            port: port @ PortOwner::Stranger { .. },
            ..
        }) => Some((Cause::PortTaken(port), port_taken(address))),
        Ok(Status::Running { .. }) => late.then(|| time_up(address, limit, tried)),
        Ok(Status::Exited { reason, .. }) => {
            Some((Cause::Exited, say!("probe.ended", reason = reason)))
        }
        Ok(Status::Gone) => Some((Cause::Exited, say!("probe.taken_away"))),
        Err(error) => late.then(|| {
            (
                Cause::Unknown,
                say!("probe.not_known", error = error.saying()),
            )
        }),
    }
}

/// What to say of a server whose port a stranger has.
pub fn port_taken(address: &str) -> Saying {
    let port = address.rsplit(':').next().unwrap_or(address);
    say!("probe.port_taken", port = port.to_owned())
}

fn time_up(address: &str, limit: Duration, tried: &Tried) -> (Cause, Saying) {
    match tried {
        Tried::ServerError(status) => (
            Cause::ServerErrors,
            say!(
                "probe.server_errors",
                seconds = limit,
                status = status.as_str()
            ),
        ),
        Tried::Nothing(last) => (
            Cause::Silent,
            say!(
                "probe.silent",
                address = address,
                seconds = limit,
                last = last.clone()
            ),
        ),
        Tried::Ready => (Cause::Unknown, say!("probe.late", seconds = limit)),
    }
}

async fn attempt(address: &str, prefix: &str, limit: Duration) -> Tried {
    match timeout(limit, ask(address, prefix)).await {
        Ok(Ok(status)) if status.is_server_error() => Tried::ServerError(status),
        Ok(Ok(_)) => Tried::Ready,
        Ok(Err(words)) => Tried::Nothing(words),
        Err(_) => Tried::Nothing(say!("try.no_answer", seconds = limit)),
    }
}

async fn ask(address: &str, prefix: &str) -> Result<StatusCode, Saying> {
    let authority = address
        .strip_prefix("http://")
        .ok_or_else(|| say!("try.bad_address", address = address))?;
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => say!("try.refused"),
            _ => say!("try.not_connected", error = error.to_string()),
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| say!("try.not_http", error = error.to_string()))?;
    let request = Request::get(format!("{prefix}api"))
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| say!("try.bad_path", prefix = prefix, error = error.to_string()))?;
    // Driven here and dropped with the answer's head: the body is of no interest. The connection
    // may well be through before its answer was looked at.
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    match answer {
        Ok(answer) => Ok(answer.status()),
        Err(error) if error.is_incomplete_message() || error.is_canceled() => {
            Err(say!("try.closed"))
        }
        Err(error) => Err(say!("try.bad_answer", error = error.to_string())),
    }
}
