//! A notebook server that costs next to nothing: `lyceum-load stub FOLDER`, as either hub starts it.
//!
//! It answers everything, echoes over WebSockets, posts its activity once a minute as real ones do
//! every five, and ends when the folder of the measurement is gone.

use crate::backend;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(super) const ACTIVE_EVERY: Duration = Duration::from_secs(60);

pub(crate) fn run(words: &[String]) -> Result<()> {
    let [folder] = words else {
        anyhow::bail!("stub wants the folder of the measurement");
    };
    let told = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
    let url = told("JUPYTERHUB_SERVICE_URL")?;
    let address = address(&url)?;
    let activity = Activity {
        url: told("JUPYTERHUB_ACTIVITY_URL")?,
        token: told("JUPYTERHUB_API_TOKEN")?,
        server: std::env::var("JUPYTERHUB_SERVER_NAME").unwrap_or_default(),
    };
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            () = backend::serve_alone(listener) => {}
            () = activity.post(Path::new(folder)) => {}
        }
    });
    Ok(())
}

fn address(url: &str) -> Result<SocketAddr> {
    let (_, rest) = url.split_once("://").context("no URL")?;
    let host = rest.split('/').next().unwrap_or_default();
    host.parse()
        .with_context(|| format!("{host} is no address"))
}

struct Activity {
    url: String,
    token: String,
    server: String,
}

impl Activity {
    /// Until the folder is gone. What fails is a hub that is not there; the next one is told.
    async fn post(&self, folder: &Path) {
        // Not all at once, however they were started.
        let share = u64::from(std::process::id() % 60);
        tokio::time::sleep(Duration::from_secs(share)).await;
        while folder.exists() {
            self.post_once().await.ok();
            tokio::time::sleep(ACTIVE_EVERY).await;
        }
    }

    async fn post_once(&self) -> Result<()> {
        let to = address(&self.url)?;
        let path = self.url.splitn(4, '/').nth(3).unwrap_or_default();
        let now = now_iso();
        let server = &self.server;
        let body = format!(
            "{{\"last_activity\": \"{now}\", \"servers\": {{\"{server}\": {{\"last_activity\": \"{now}\"}}}}}}"
        );
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {to}\r\nAuthorization: token {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let mut stream = TcpStream::connect(to).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut Vec::new()).await?;
        Ok(())
    }
}

/// The moment as hubs want to read it.
fn now_iso() -> String {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let seconds = since.map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's `civil_from_days`, for days since 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, ahead) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = year_of_era + era * 400 + ahead;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000000Z")
}

/// Ends the servers of a measurement when it is over: they outlive their hub.
pub(super) struct Stubs<'a>(pub(super) &'a Path);

impl Drop for Stubs<'_> {
    fn drop(&mut self) {
        for pid in living(self.0) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// How many servers of a measurement there are.
pub(super) fn count_living(folder: &Path) -> usize {
    living(folder).count()
}

fn living(folder: &Path) -> impl Iterator<Item = Pid> {
    let marks = [
        std::env::current_exe().unwrap_or_default().into_os_string(),
        "stub".into(),
        folder.as_os_str().to_owned(),
    ];
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(move |pid| {
        let pid = Pid::from_raw(pid.file_name().to_str()?.parse().ok()?)?;
        let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
        let line = std::fs::read(path).unwrap_or_default();
        let words = line
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty());
        words
            .eq(marks.iter().map(|mark| mark.as_encoded_bytes()))
            .then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_hubs_read_them() {
        let now = now_iso();
        assert!(
            now.len() == 27 && now.starts_with("20") && now.ends_with(".000000Z"),
            "{now}"
        );
    }
}
