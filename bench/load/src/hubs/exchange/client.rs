//! What nbgrader's client does: a form with everything in it, a connection for each request, a token.

use super::super::page::{exchange, quote};
use super::super::peers::Running;
use crate::http::connect;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

const API: &str = "/services/ngshare";
/// A class that hands in at once waits for its turn.
const PATIENCE: Duration = Duration::from_secs(120);
const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody with a token.
pub(super) struct Desk {
    pub(super) name: String,
    token: String,
}

impl Desk {
    pub(super) fn of(name: &str, token: String) -> Self {
        Self {
            name: name.to_owned(),
            token,
        }
    }

    /// With a token that the administrator makes for her.
    pub(super) async fn open(hub: &Running, name: &str) -> Result<Self> {
        let root = Self::of("root", hub.token.clone());
        let path = format!("/hub/api/users/{name}/tokens");
        let request = root.post(hub, &path, "application/json", b"{}");
        let answer = exchange(hub, &request).await?;
        let status = answer.status;
        ensure!(
            status == 201 || status == 200,
            "{}: a token was answered {status}",
            hub.name()
        );
        let answer: serde_json::Value = serde_json::from_str(&answer.body)?;
        let token = answer["token"].as_str().context("no token")?;
        Ok(Self::of(name, token.to_owned()))
    }

    /// Returns when the exchange answers.
    pub(super) async fn is_up(&self, hub: &Running) -> Result<()> {
        let (request, asked) = (self.look_once(hub, "courses"), Instant::now());
        while let Err(error) = ask(hub, &request).await {
            if asked.elapsed() > PATIENCE {
                return Err(error.context("the exchange does not answer"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn token(&self) -> String {
        format!("Authorization: token {}\r\n", self.token)
    }

    pub(super) fn look(&self, hub: &Running, path: &str) -> Vec<u8> {
        hub.request(&format!("{API}/{path}"), &self.token())
    }

    pub(super) fn look_once(&self, hub: &Running, path: &str) -> Vec<u8> {
        let more = format!("Connection: close\r\n{}", self.token());
        hub.request(&format!("{API}/{path}"), &more)
    }

    pub(super) fn post(&self, hub: &Running, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
        let more = format!(
            "Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{}",
            body.len(),
            self.token()
        );
        let mut request = hub.request(path, &more);
        request.splice(..b"GET".len(), b"POST".iter().copied());
        request.extend_from_slice(body);
        request
    }

    pub(super) fn request(&self, hub: &Running, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut body = format!("user={}", self.name);
        for (name, value) in fields {
            body += &format!("&{name}={}", quote(value));
        }
        self.post(hub, &format!("{API}/{path}"), FORM, body.as_bytes())
    }

    pub(super) async fn send(
        &self,
        hub: &Running,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Vec<u8>> {
        ask(hub, &self.request(hub, path, fields)).await
    }
}

/// All of them, so many at a time; returns when the last is acknowledged.
pub(super) async fn all(hub: &Running, requests: Vec<Vec<u8>>, at_once: usize) -> Result<()> {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let (address, name) = (hub.address, hub.name());
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (requests, next) = (requests.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                ask_at(address, name, request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// The answer to a request with `Connection: close`, which must be a success.
pub(super) async fn ask(hub: &Running, request: &[u8]) -> Result<Vec<u8>> {
    ask_at(hub.address, hub.name(), request).await
}

pub(super) async fn ask_at(
    address: std::net::SocketAddr,
    name: &str,
    request: &[u8],
) -> Result<Vec<u8>> {
    let asking = async {
        let mut stream = connect(address, None).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let end = crate::http::find_end(&answer).context("no answer")?;
        let mut body = answer.split_off(end);
        if crate::http::Head::read(&answer)?.is_chunked {
            body = unchunk(&body).context("a body in pieces")?;
        }
        let status = answer.get(9..12).unwrap_or_default();
        if status != b"200" && status != b"201" {
            let told = String::from_utf8_lossy(&body);
            let told: String = told.chars().take(300).collect();
            bail!(
                "{name} answered {}: {told}",
                String::from_utf8_lossy(status)
            );
        }
        Ok(body)
    };
    timeout(PATIENCE, asking)
        .await
        .context("no answer in time")?
}

/// The pieces together; nothing when the last is missing.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::with_capacity(rest.len());
    loop {
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 1..];
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

/// What came back, by path.
pub(super) fn files_of(body: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let answer: serde_json::Value = serde_json::from_slice(body).context("an answer")?;
    let files = answer["files"].as_array().context("no files")?;
    let files = files.iter().map(|file| {
        let path = file["path"].as_str().context("no path")?;
        let mut content = file["content"].as_str().context("no content")?.to_owned();
        content.retain(|letter| letter != '\n');
        Ok((path.to_owned(), STANDARD.decode(content)?))
    });
    files.collect()
}
