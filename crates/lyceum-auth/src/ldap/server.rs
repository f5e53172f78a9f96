//! The servers of one directory: which is asked first, and the connections that are kept to each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use ldap3::{LdapConnSettings, StdStream};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use url::Url;

use super::connection::{Connection, ReaderRefused};
use super::start_tls;

/// Where `ldap://HOST` is.
const PORT: u16 = 389;

/// A connection that nobody used for so long is not trusted any more: servers and what stands between
/// close or forget them.
const KEPT: Duration = Duration::from_secs(30);
/// One that failed is asked last for so long.
pub(super) const SHUNNED: Duration = Duration::from_secs(30);

pub(super) struct Server {
    pub(super) url: String,
    start_tls: bool,
    tls: Arc<ClientConfig>,
    /// Oldest first.
    kept: Mutex<Vec<(Instant, Connection)>>,
    shunned_until: Mutex<Option<Instant>>,
    reader_refused: Arc<ReaderRefused>,
}

impl Server {
    pub(super) fn new(url: String, start_tls: bool, tls: Arc<ClientConfig>) -> Self {
        Self {
            url,
            start_tls,
            tls,
            kept: Mutex::default(),
            shunned_until: Mutex::default(),
            reader_refused: Arc::default(),
        }
    }

    /// A connection that was kept. Whoever has it has it alone.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut kept = lock(&self.kept);
        let now = Instant::now();
        kept.retain_mut(|(since, one)| now.duration_since(*since) < KEPT && !one.is_closed());
        kept.pop().map(|(_, connection)| connection)
    }

    /// Keeps one for the next; nothing may be under way on it.
    pub(super) fn keep(&self, connection: Connection) {
        lock(&self.kept).push((Instant::now(), connection));
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let mut settings = LdapConnSettings::new().set_config(self.tls.clone());
        let mut url = Url::parse(&self.url)?;
        if self.start_tls && url.scheme() == "ldap" {
            let mut stream = connect_to(&url).await.context("connecting")?;
            start_tls::ask(&mut stream).await?;
            settings = settings.set_std_stream(StdStream::Tcp(stream.into_std()?));
            // From here on it is what `ldaps://` is from its beginning.
            let changed = url.set_scheme("ldaps");
            changed.map_err(|()| anyhow!("{url} can't be asked by TLS"))?;
        }
        Connection::open(settings, &url, self.reader_refused.clone()).await
    }

    pub(super) fn answered(&self) {
        *lock(&self.shunned_until) = None;
    }

    pub(super) fn failed(&self, now: Instant) {
        lock(&self.kept).clear();
        *lock(&self.shunned_until) = Some(now + SHUNNED);
    }

    /// Whether others are asked first. Once it is due again, one looks, and the rest go on as before until
    /// it has answered.
    fn is_shunned(&self, now: Instant) -> bool {
        let mut until = lock(&self.shunned_until);
        match *until {
            None => false,
            Some(then) if now < then => true,
            Some(_) => {
                *until = Some(now + SHUNNED);
                false
            }
        }
    }
}

async fn connect_to(url: &Url) -> anyhow::Result<TcpStream> {
    let host = url.host_str().context("the address has no host")?;
    let port = url.port().unwrap_or(PORT);
    Ok(TcpStream::connect(format!("{host}:{port}")).await?)
}

/// As they are configured, those that failed lately at the end.
pub(super) fn in_order(servers: &[Server], now: Instant) -> Vec<&Server> {
    let (shunned, mut order): (Vec<_>, Vec<_>) =
        servers.iter().partition(|server| server.is_shunned(now));
    order.extend(shunned);
    order
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_failed_is_asked_last_and_looked_at_again_by_one() {
        let tls = Arc::new(crate::http::tls(None).unwrap());
        let servers = ["a", "b"].map(|url| Server::new(url.into(), false, tls.clone()));
        let begin = Instant::now();
        let check = |now: Instant, expect: [&str; 2]| {
            let order: Vec<&str> = (in_order(&servers, now).iter())
                .map(|server| server.url.as_str())
                .collect();
            assert_eq!(order, expect);
        };
        check(begin, ["a", "b"]);
        servers[0].failed(begin);
        check(begin, ["b", "a"]);
        let later = begin + SHUNNED;
        check(later, ["a", "b"]);
        check(later, ["b", "a"]);
        servers[0].answered();
        check(later, ["a", "b"]);
        // None is left out.
        servers[0].failed(later);
        servers[1].failed(later);
        check(later, ["a", "b"]);
    }
}
