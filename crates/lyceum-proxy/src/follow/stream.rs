//! Following: from hub to hub until one speaks, and to the next when it falls silent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    NOTHING_YET, Settings,
    ask::HttpAccess,
    disk::Saved,
    hubs::{Hubs, Trouble},
    lines::{LineError, Lines},
    mirror::{Mirror, NewsError},
    wire::{News, STREAM_PATH},
};
use crate::{Proxy, target::Target};

/// The first pause after all hubs failed; doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A table is written down at most this often.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A stream that lived for less counts as a failure, or one hub that always breaks would be asked
/// without end.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("{0}")]
    Hub(#[from] Trouble),
    #[error("{0}")]
    Line(#[from] LineError),
    #[error("a line of its stream is unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("{0}")]
    News(#[from] NewsError),
}

pub(super) struct Follower<'a> {
    pub(super) settings: &'a Settings,
    pub(super) hubs: &'a Hubs,
    pub(super) access: &'a HttpAccess,
    pub(super) proxy: &'a Proxy,
    pub(super) mirror: Mirror,
    pub(super) numbering: String,
    /// The number we have while we follow, none while we don't.
    pub(super) reached: watch::Sender<Option<i64>>,
    pub(super) to_save: Option<watch::Sender<Option<Arc<Saved>>>>,
    /// What is in force and not handed to whoever writes it down; a large table is costly.
    pub(super) unsaved: bool,
    pub(super) saved_at: Option<Instant>,
}

impl Follower<'_> {
    /// Until dropped.
    pub(super) async fn run(&mut self) {
        let hubs: Vec<Target> = self.hubs.fallback().targets().cloned().collect();
        // Proxies that start together spread over the hubs.
        let mut at = usize::from(random()) % hubs.len();
        let mut failures: u32 = 0;
        let mut told = false;
        loop {
            let hub = &hubs[at];
            let began = Instant::now();
            let Err(broken) = self.follow(hub, &mut told).await;
            let followed = self.is_following();
            self.disconnect(followed);
            if matches!(broken, Broken::News(_)) {
                // What came does not fit what we have: the next hub shall send all of it.
                self.numbering.clear();
            }
            if followed && began.elapsed() >= PROVEN_AFTER {
                failures = 0;
            }
            if !told || followed {
                tracing::warn!(%hub, %broken, "a hub can't be followed; trying the next");
                told = true;
            }
            if self.mirror.number().is_none() {
                let words = match &broken {
                    Broken::Hub(Trouble::Secret) => broken.to_string(),
                    _ => NOTHING_YET.to_owned(),
                };
                self.proxy.set_trouble(Some(words));
            }
            failures = failures.saturating_add(1);
            at = (at + 1) % hubs.len();
            let pause = pause_after(failures, hubs.len());
            tokio::time::sleep(pause).await;
        }
    }

    fn is_following(&self) -> bool {
        self.reached.borrow().is_some()
    }

    /// From now on nobody tells us of revocations.
    fn disconnect(&mut self, was_following: bool) {
        self.access.set_connected(false);
        self.reached.send_replace(None);
        self.mirror.forget_parts();
        self.save_rest();
        if was_following {
            let (proxy, keep) = (self.proxy.clone(), self.settings.keep_when_cut);
            let mut reached = self.reached.subscribe();
            tokio::spawn(async move {
                let again = reached.wait_for(Option::is_some);
                // An error: we are gone altogether.
                if tokio::time::timeout(keep, again).await.is_err() {
                    proxy.forget_decisions();
                }
            });
        }
    }

    async fn follow(
        &mut self,
        hub: &Target,
        told: &mut bool,
    ) -> Result<std::convert::Infallible, Broken> {
        let path = match self.mirror.number() {
            Some(number) if !self.numbering.is_empty() => {
                format!("{STREAM_PATH}?numbering={}&after={number}", self.numbering)
            }
            _ => STREAM_PATH.to_owned(),
        };
        let response = self.hubs.open(hub, &path).await?;
        let mut lines = Lines::new(response.into_body());
        loop {
            let line = lines.next(self.settings.silence).await?;
            let news: News = serde_json::from_slice(&line)?;
            match &news {
                News::Hello {
                    numbering,
                    hub: name,
                } => {
                    tracing::debug!(%hub, name, numbering, "a hub speaks");
                    self.numbering.clone_from(numbering);
                    continue;
                }
                News::Unknown => continue,
                // Whether the table is true they don't say.
                News::Languages { languages } => {
                    self.unsaved |= self.proxy.set_languages(languages.clone());
                    continue;
                }
                News::Snapshot { .. } | News::Changes { .. } | News::Beat { .. } => {}
            }
            let is_beat = matches!(news, News::Beat { .. });
            let changed = self.mirror.apply(news)?;
            let Some(number) = self.mirror.number() else {
                continue;
            };
            if !self.is_following() {
                tracing::info!(%hub, number, "following a hub");
                *told = false;
                self.access.set_connected(true);
                self.proxy.set_trouble(None);
            }
            self.reached.send_if_modified(|reached| {
                let is_new = *reached != Some(number);
                *reached = Some(number);
                is_new
            });
            self.unsaved |= changed && !is_beat;
            if self.unsaved && self.saved_at.is_none_or(|at| at.elapsed() >= SAVE_EVERY) {
                self.save();
            }
        }
    }

    /// The table that is in force, if it was not handed over yet.
    pub(super) fn save_rest(&mut self) {
        if self.unsaved {
            self.save();
        }
    }

    /// Hands the table to whoever writes it down.
    fn save(&mut self) {
        self.unsaved = false;
        self.saved_at = Some(Instant::now());
        if let (Some(to_save), Some(number)) = (&self.to_save, self.mirror.number()) {
            to_save.send_replace(Some(Arc::new(Saved {
                numbering: self.numbering.clone(),
                number,
                routes: self.mirror.routes().cloned().collect(),
                languages: self.proxy.inner.languages.all(),
            })));
        }
    }
}

/// No pause worth the name before the next hub, but a growing one once all have failed. With
/// jitter, so that proxies that lost one hub together do not come together.
fn pause_after(failures: u32, hubs: usize) -> Duration {
    let rounds = failures / u32::try_from(hubs).unwrap_or(u32::MAX);
    let pause = match rounds {
        0 => Duration::from_millis(10),
        rounds => SHORTEST_PAUSE * 2u32.saturating_pow((rounds - 1).min(10)),
    };
    pause.min(LONGEST_PAUSE) / 2 + pause.min(LONGEST_PAUSE) * u32::from(random()) / 65_536
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Only for spreading; without it nothing is spread.
    let _ = getrandom::fill(&mut bytes);
    u16::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_once_all_hubs_have_failed() {
        let at_most = |failures, hubs| {
            let pauses = (0..100).map(|_| pause_after(failures, hubs));
            pauses.max().expect("some")
        };
        assert!(at_most(1, 3) <= Duration::from_millis(15));
        assert!(at_most(3, 3) >= SHORTEST_PAUSE / 2);
        assert!(at_most(1_000_000, 1) <= LONGEST_PAUSE * 3 / 2);
        assert!(pause_after(1_000_000, 1) >= LONGEST_PAUSE / 2);
        assert!(at_most(u32::MAX, 2) <= LONGEST_PAUSE * 3 / 2);
    }
}
