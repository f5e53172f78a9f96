//! The servers of one directory: which is asked first, and the connections that are kept to each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ldap3::LdapConnSettings;
use rustls::ClientConfig;

use super::connection::Connection;

/// A connection that nobody used for so long is not trusted any more: servers and what stands between
/// close or forget them.
const KEPT: Duration = Duration::from_secs(30);
/// One that failed is asked last for so long.
const SHUNNED: Duration = Duration::from_secs(30);

pub(super) struct Server {
    pub(super) url: String,
    start_tls: bool,
    tls: Arc<ClientConfig>,
    /// Oldest first.
    kept: Mutex<Vec<(Instant, Connection)>>,
    shunned_until: Mutex<Option<Instant>>,
}

impl Server {
    pub(super) fn new(url: String, start_tls: bool, tls: Arc<ClientConfig>) -> Self {
        Self {
            url,
            start_tls,
            tls,
            kept: Mutex::default(),
            shunned_until: Mutex::default(),
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
        let settings = LdapConnSettings::new()
            .set_starttls(self.start_tls)
            .set_config(self.tls.clone());
        Connection::open(settings, &self.url).await
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

/// As they are configured, those that failed lately at the end.
pub(super) fn in_order(servers: &[Server], now: Instant) -> Vec<&Server> {
    let (shunned, mut order): (Vec<_>, Vec<_>) =
        servers.iter().partition(|server| server.is_shunned(now));
    order.extend(shunned);
    order
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
