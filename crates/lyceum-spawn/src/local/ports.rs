//! Picking a free port of the loopback address.
//!
//! Taken from below the range from which the system serves outgoing connections and whoever asks
//! for any port: on a busy machine thousands of those are in use, each of them for a moment, and a
//! server that binds its port seconds after it was picked would now and then meet one.
//!
//! Between the pick and the server's bind another program can still take the port: what listens
//! there is therefore looked at before it counts as the server ([`super::owner`]), and a start that
//! meets a stranger fails; the next one gets another port.

use std::collections::VecDeque;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use crate::error::SpawnError;
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// How many ports are remembered, and how often is tried.
const REMEMBERED: usize = 512;
/// Below are services with numbers people know.
const LOWEST: u16 = 10_000;
/// A range with fewer ports is not worth keeping to.
const ENOUGH: u16 = 2_048;

/// Remembers what was handed out lately, because a server takes its port only seconds later.
#[derive(Debug)]
pub(crate) struct Ports {
    recent: Mutex<VecDeque<u16>>,
    /// None: the system says.
    range: Option<Range<u16>>,
}

impl Default for Ports {
    fn default() -> Self {
        let told = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        Self {
            recent: Mutex::default(),
            range: told.ok().and_then(|text| outside(&text)),
        }
    }
}

/// The ports below the system's own range, if there are enough.
fn outside(told: &str) -> Option<Range<u16>> {
    let first: u16 = told.split_whitespace().next()?.parse().ok()?;
    (first.saturating_sub(LOWEST) >= ENOUGH).then_some(LOWEST..first)
}

impl Ports {
    pub(crate) fn pick(&self) -> Result<u16, SpawnError> {
        let failed =
            |error: std::io::Error| SpawnError::NoFreePort(Saying::quote(error.to_string()));
        // Keeping the refused ones bound makes the system offer others.
        let mut refused = Vec::new();
        for _ in 0..REMEMBERED {
            let wanted = match &self.range {
                Some(range) => anywhere_in(range)?,
                None => 0,
            };
            let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
                Err(_) if wanted != 0 => continue,
                bound => bound.map_err(failed)?,
            };
            let port = listener.local_addr().map_err(failed)?.port();
            if self.remember(port) {
                return Ok(port);
            }
            refused.push(listener);
        }
        let words = say!("port.all_taken", count = REMEMBERED);
        Err(SpawnError::NoFreePort(words))
    }

    /// False if the port was handed out lately.
    fn remember(&self, port: u16) -> bool {
        let mut recent = self.recent.lock().expect("nothing panics while holding it");
        if recent.contains(&port) {
            return false;
        }
        recent.push_back(port);
        if recent.len() > REMEMBERED {
            recent.pop_front();
        }
        true
    }
}

/// By chance, so that two Lyceums on one machine seldom pick the same.
fn anywhere_in(range: &Range<u16>) -> Result<u16, SpawnError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_err(|error| SpawnError::NoFreePort(Saying::quote(error.to_string())))?;
    let width = u32::from(range.end - range.start);
    let above = u32::from_le_bytes(bytes) % width;
    Ok(range.start + u16::try_from(above).expect("less than the width, which fits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_range() -> Ports {
        Ports {
            recent: Mutex::default(),
            range: None,
        }
    }

    #[test]
    fn no_port_is_given_twice() {
        for ports in [Ports::default(), without_range()] {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..100 {
                assert!(seen.insert(ports.pick().expect("a port")));
            }
        }
    }

    #[test]
    fn ports_come_from_below_the_systems_own() {
        assert_eq!(outside("32768\t60999\n"), Some(10_000..32_768));
        assert_eq!(outside("1024 65535"), None);
        assert_eq!(outside("nonsense"), None);
        let ports = Ports {
            recent: Mutex::default(),
            range: Some(20_000..22_048),
        };
        for _ in 0..50 {
            assert!((20_000..22_048).contains(&ports.pick().expect("a port")));
        }
    }

    #[test]
    fn one_that_is_in_use_is_left_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let ports = Ports {
            recent: Mutex::default(),
            range: Some(port..port + 1),
        };
        ports.pick().expect_err("the only one is taken");
    }
}
