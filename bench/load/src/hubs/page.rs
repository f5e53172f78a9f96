//! A browser as far as a log-in needs one: cookies, and the token that a form has.

use super::peers::{PASSWORD, Running};
use crate::http::{PATIENCE, connect};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Somebody who is signed in.
pub(super) struct Browser {
    cookies: BTreeMap<String, String>,
    /// What its slowest request took, from connecting to the end of the answer.
    pub(super) slowest: Duration,
}

impl Browser {
    pub(super) async fn log_in(hub: &Running, name: &str) -> Result<Self> {
        let mut browser = Self {
            cookies: BTreeMap::new(),
            slowest: Duration::ZERO,
        };
        let form = browser.ask(hub, "GET", "/hub/login", "").await?;
        ensure!(
            form.status == 200,
            "the log-in page was answered {}",
            form.status
        );
        let token = browser
            .cookies
            .get("_xsrf")
            .context("no form token")?
            .clone();
        let fields = format!(
            "username={name}&password={}&_xsrf={}",
            quote(PASSWORD),
            quote(&token)
        );
        let answer = browser.ask(hub, "POST", "/hub/login", &fields).await?;
        ensure!(
            answer.status == 302,
            "{}: the log-in was answered {}",
            hub.name(),
            answer.status
        );
        Ok(browser)
    }

    /// Looks at a page, which must be there.
    pub(super) async fn visit(&mut self, hub: &Running, path: &str) -> Result<()> {
        let answer = self.ask(hub, "GET", path, "").await?;
        let status = answer.status;
        ensure!(status == 200, "{}: GET {path}: {status}", hub.name());
        Ok(())
    }

    /// What a script of a page sends along, as a header.
    pub(super) fn form_token(&self) -> Result<String> {
        let token = self.cookies.get("_xsrf").context("no form token")?;
        Ok(format!("X-XSRFToken: {token}\r\n"))
    }

    /// As a header.
    pub(super) fn cookies(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("Cookie: {}\r\n", pairs.join("; "))
    }

    async fn ask(&mut self, hub: &Running, method: &str, path: &str, form: &str) -> Result<Answer> {
        let more = format!(
            "Connection: close\r\n{}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            self.cookies(),
            form.len()
        );
        let mut bytes = hub.request(path, &more);
        let get = b"GET".len();
        bytes.splice(..get, method.bytes());
        bytes.extend_from_slice(form.as_bytes());
        let asked = Instant::now();
        let answer = exchange(hub, &bytes).await;
        self.slowest = self.slowest.max(asked.elapsed());
        let answer = answer?;
        for cookie in answer.headers("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies
                    .insert(name.trim().to_owned(), value.trim_matches('"').to_owned());
            }
        }
        Ok(answer)
    }
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (given, value) = line.split_once(':')?;
            given.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One request with `Connection: close`.
pub(super) async fn exchange(hub: &Running, request: &[u8]) -> Result<Answer> {
    let asking = async {
        let mut stream = connect(hub.address, None).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok(Answer {
            status: status.context("no status in the answer")?,
            head: head.to_owned(),
            body: body.to_owned(),
        })
    };
    timeout(PATIENCE, asking)
        .await
        .context("no answer in time")?
}

pub(super) fn quote(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let quoted = text.bytes().map(|byte| match keep(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    quoted.collect()
}
