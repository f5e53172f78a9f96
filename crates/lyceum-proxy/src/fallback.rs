//! Where everything goes that no route matches: one hub, or several that are all as good.
//!
//! Hubs take turns. One that refuses a connection or fails a look at its health is left out for a
//! moment; when all are, all are tried, since one of them may be back. Who looks at their health
//! is `follow/hubs.rs`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::target::Target;

/// How long a hub that refused a connection is left out.
const SHUNNED: Duration = Duration::from_secs(2);

/// The hubs; clones share what is known of their health.
#[derive(Clone, Debug)]
pub struct Fallback(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hubs: Vec<Hub>,
    turn: AtomicUsize,
    began: Instant,
}

#[derive(Debug)]
struct Hub {
    target: Target,
    /// Milliseconds after `began`; 0: never.
    shunned_until: AtomicU64,
}

impl From<Target> for Fallback {
    fn from(target: Target) -> Self {
        Self::build(vec![target])
    }
}

impl Fallback {
    /// None without any hub.
    pub fn new(targets: Vec<Target>) -> Option<Self> {
        (!targets.is_empty()).then(|| Self::build(targets))
    }

    fn build(targets: Vec<Target>) -> Self {
        let hubs = targets.into_iter().map(|target| Hub {
            target,
            shunned_until: AtomicU64::new(0),
        });
        Self(Arc::new(Inner {
            hubs: hubs.collect(),
            turn: AtomicUsize::new(0),
            began: Instant::now(),
        }))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.hubs.len()
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.hubs.iter().map(|hub| &hub.target)
    }

    /// The hub whose turn it is.
    pub(crate) fn pick(&self) -> &Target {
        let from = self.0.turn.fetch_add(1, Relaxed);
        self.first_good(from)
    }

    /// Another hub after one refused a connection; none when `tried` so many were asked already.
    pub(crate) fn instead_of(&self, refused: &Target, tried: usize) -> Option<&Target> {
        self.shun(refused);
        if tried >= self.len() {
            return None;
        }
        let at = self.0.hubs.iter().position(|hub| hub.target == *refused)?;
        Some(self.first_good(at + 1))
    }

    pub(crate) fn shun(&self, target: &Target) {
        let until = (self.0.began.elapsed() + SHUNNED).as_millis() as u64;
        if let Some(hub) = self.find(target) {
            hub.shunned_until.store(until, Relaxed);
        }
    }

    pub(crate) fn trust(&self, target: &Target) {
        if let Some(hub) = self.find(target) {
            hub.shunned_until.store(0, Relaxed);
        }
    }

    fn find(&self, target: &Target) -> Option<&Hub> {
        self.0.hubs.iter().find(|hub| hub.target == *target)
    }

    fn first_good(&self, from: usize) -> &Target {
        let hubs = &self.0.hubs;
        let now = self.0.began.elapsed().as_millis() as u64;
        let turns = (0..hubs.len()).map(|step| &hubs[(from % hubs.len() + step) % hubs.len()]);
        let good = turns
            .clone()
            .find(|hub| hub.shunned_until.load(Relaxed) <= now);
        &good
            .or_else(|| turns.clone().next())
            .expect("there is at least one hub")
            .target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hubs(count: u16) -> (Fallback, Vec<Target>) {
        let targets: Vec<Target> = (1..=count)
            .map(|port| format!("http://hub:{port}").parse().expect("a target"))
            .collect();
        (Fallback::new(targets.clone()).expect("some"), targets)
    }

    #[test]
    fn hubs_take_turns_and_a_refusing_one_is_left_out() {
        let (fallback, targets) = hubs(3);
        let picked: Vec<&Target> = (0..3).map(|_| fallback.pick()).collect();
        assert_eq!(picked, targets.iter().collect::<Vec<_>>());
        assert_eq!(fallback.instead_of(&targets[1], 1), Some(&targets[2]));
        for _ in 0..6 {
            assert_ne!(fallback.pick(), &targets[1]);
        }
        fallback.trust(&targets[1]);
        assert!((0..3).any(|_| fallback.pick() == &targets[1]));
    }

    #[test]
    fn when_all_refuse_each_is_asked_once() {
        let (fallback, targets) = hubs(3);
        let mut asked = vec![fallback.pick().clone()];
        while let Some(next) = fallback.instead_of(asked.last().expect("one"), asked.len()) {
            asked.push(next.clone());
        }
        asked.sort_by_key(ToString::to_string);
        assert_eq!(asked, targets);
        // They may be back, so somebody is asked all the same.
        fallback.pick();
        assert!(Fallback::new(Vec::new()).is_none());
    }
}
