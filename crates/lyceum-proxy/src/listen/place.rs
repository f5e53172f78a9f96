//! How many connections there may be: in all, per client, and in a TLS handshake at once. Requests
//! beyond the first on a connection count as connections.
//!
//! A client is one IPv4 address or one /64 of IPv6: whoever has an IPv6 address has the whole /64.
//! Trusted proxies speak for many and are counted only among all.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::OwnedSemaphorePermit;

use crate::Inner;

/// What each client has open.
#[derive(Debug, Default)]
pub(crate) struct PerClient(Mutex<HashMap<IpAddr, Counts>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    connections: usize,
    handshakes: usize,
}

impl PerClient {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a crowd of clients has left.
    pub(crate) fn shrink(&self) {
        let mut counts = self.counts();
        if counts.len() < counts.capacity() / 8 {
            let few = counts.len() * 2;
            counts.shrink_to(few.max(64));
        }
    }

    fn change(&self, client: IpAddr, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        change(count);
        if *count == Counts::default() {
            counts.remove(&client);
        }
    }
}

/// The part of an address that stands for one client.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A client's part of what may be open in all; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    inner: Weak<Inner>,
    client: Option<IpAddr>,
    _permit: OwnedSemaphorePermit,
}

impl Share {
    /// None if the client has too many. Nobody to count: a trusted proxy.
    fn take(
        inner: &Arc<Inner>,
        permit: OwnedSemaphorePermit,
        client: Option<IpAddr>,
    ) -> Option<Self> {
        if let Some(client) = client {
            let mut counts = inner.per_client.counts();
            let count = counts.entry(client).or_default();
            if count.connections >= inner.most_per_client {
                if *count == Counts::default() {
                    counts.remove(&client);
                }
                return None;
            }
            count.connections += 1;
        }
        Some(Self {
            inner: Arc::downgrade(inner),
            client,
            _permit: permit,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let (Some(inner), Some(client)) = (self.inner.upgrade(), self.client) {
            inner
                .per_client
                .change(client, |count| count.connections -= 1);
        }
    }
}

/// A connection's place within the limits; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    share: Share,
    open: Gauge,
}

impl Place {
    /// None if the client has too many.
    pub(crate) fn find(
        inner: &Arc<Inner>,
        permit: OwnedSemaphorePermit,
        address: IpAddr,
        is_trusted: bool,
    ) -> Option<Self> {
        let client = (!is_trusted).then(|| client(address));
        let share = Share::take(inner, permit, client)?;
        inner.metrics.connections.inc();
        inner.heap.saw(inner.open());
        Some(Self {
            share,
            open: inner.metrics.connections.clone(),
        })
    }

    /// For one more request at the same time on this connection, which takes as much towards its
    /// server as one on a connection of its own would. None if there are too many, of this client
    /// or in all.
    pub(crate) fn one_more(&self) -> Option<Share> {
        let inner = self.share.inner.upgrade()?;
        let permit = inner.room.clone().try_acquire_owned().ok()?;
        Share::take(&inner, permit, self.share.client)
    }

    /// A place among the handshakes under way; none if the client has too many there.
    pub(crate) fn begin_handshake(&self, at_once: usize) -> Option<Handshaking> {
        let (Some(client), Some(inner)) = (self.share.client, self.share.inner.upgrade()) else {
            return Some(Handshaking(None));
        };
        let mut has_room = false;
        inner.per_client.change(client, |count| {
            has_room = count.handshakes < at_once;
            count.handshakes += usize::from(has_room);
        });
        has_room.then(|| Handshaking(Some((self.share.inner.clone(), client))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// One handshake under way.
#[derive(Debug)]
pub(crate) struct Handshaking(Option<(Weak<Inner>, IpAddr)>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        if let Some((inner, client)) = &self.0
            && let Some(inner) = inner.upgrade()
        {
            inner
                .per_client
                .change(*client, |count| count.handshakes -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_an_ipv4_address_or_a_64() {
        let check = |a: &str, b: &str, same: bool| {
            let [one, two] = [a, b].map(|text| client(text.parse().expect(text)));
            assert_eq!(one == two, same, "{a} {b}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("::ffff:192.0.2.1", "192.0.2.1", true);
        check("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true);
        check("2001:db8:1:2::1", "2001:db8:1:3::1", false);
    }
}
