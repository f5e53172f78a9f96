//! Picking a free port of the loopback address.
//!
//! Between the pick and the server's bind another program can take the port: what listens there is
//! therefore looked at before it counts as the server ([`super::owner`]), and a start that meets a
//! stranger fails; the next one gets another port.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use crate::error::SpawnError;
use lyceum_model::say;
use lyceum_model::saying::Saying;

/// How many ports are remembered, and how often is tried.
const REMEMBERED: usize = 512;

/// Remembers what was handed out lately, because a server takes its port only seconds later and
/// the system might give the same one to the next.
#[derive(Debug, Default)]
pub(crate) struct Ports(Mutex<VecDeque<u16>>);

impl Ports {
    pub(crate) fn pick(&self) -> Result<u16, SpawnError> {
        let failed =
            |error: std::io::Error| SpawnError::NoFreePort(Saying::quote(error.to_string()));
        // Keeping the refused ones bound makes the system offer others.
        let mut refused = Vec::new();
        for _ in 0..REMEMBERED {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
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
        let mut recent = self.0.lock().expect("nothing panics while holding it");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let ports = Ports::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            assert!(seen.insert(ports.pick().expect("a port")));
        }
    }
}
