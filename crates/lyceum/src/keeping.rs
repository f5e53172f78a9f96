//! What is cleared away once a day: what of the exchange is over for long enough ([`crate::retention`]), and
//! contents that nothing refers to any more. Of several hubs on one database one does it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lyceum_courses::Shelf;
use lyceum_exchange::collect::{self, Collected, GRACE};
use lyceum_exchange::quota;
use lyceum_exchange::receipt::Signer;
use lyceum_model::clock::{Clock, Millis};
use lyceum_store::blobs::Blobs;
use lyceum_store::{Db, settings};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::data::Layout;
use crate::reload::ConfigWatch;
use crate::retention::Retention;

/// When it is due next, in milliseconds since 1970.
const NEXT: &str = "exchange.collect_at";
/// After a start others have the disk to themselves first.
const FIRST: Duration = Duration::from_secs(600);
/// How often it is asked whether it is due.
const LOOK: Duration = Duration::from_secs(1800);
const DAY_MS: i64 = 24 * 3_600_000;
/// Whoever began it and was cut off is followed by another after so long.
const AGAIN_MS: i64 = 3 * 3_600_000;

/// Does it for as long as the program runs.
pub struct Keeping {
    pub db: Db,
    pub blobs: Blobs,
    pub clock: Clock,
    pub signer: Signer,
    pub shelf: Shelf,
    pub watch: Arc<ConfigWatch>,
    pub data: Layout,
    pub metrics: Metrics,
}

#[derive(Clone, Default)]
pub struct Metrics {
    files: Counter,
    bytes: Counter,
    failures: Counter,
    last: Gauge,
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let own = registry.sub_registry_with_prefix("lyceum_exchange_collected");
        own.register(
            "files",
            "Contents that were removed since nothing referred to them",
            self.files.clone(),
        );
        own.register("bytes", "What these took on the disk", self.bytes.clone());
        own.register(
            "failures",
            "How often that failed, or something that should be kept no longer could not go",
            self.failures.clone(),
        );
        own.register(
            "timestamp_seconds",
            "When this hub did so last; 0: not since its start",
            self.last.clone(),
        );
    }
}

impl Keeping {
    pub async fn run(self, shutdown: CancellationToken) {
        let mut tick = interval_at(Instant::now() + FIRST, LOOK);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            // It may be cut off anywhere.
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = self.once() => done,
            };
            if let Err(error) = done {
                self.metrics.failures.inc();
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "clearing away in the exchange failed, at least in part; it is tried again in some hours"
                );
            }
        }
    }

    /// Says what was collected, if it was due.
    pub async fn once(&self) -> anyhow::Result<Option<Collected>> {
        if !self.claim().await? {
            return Ok(None);
        }
        // Each is done whatever comes of the others.
        let let_go = self.let_go().await;
        let counted = quota::recount(&self.db).await;
        let collected = collect::collect(&self.db, &self.blobs, GRACE).await;
        if let Ok(collected) = &collected {
            self.tell(*collected);
        }
        let let_go = let_go.context("looking what is kept no longer");
        let counted = counted.context("counting what is kept");
        let collected = all(let_go, counted, collected)?;
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        settings::set(&mut tx, NEXT, &now.plus(DAY_MS).0.to_string(), now).await?;
        tx.commit().await?;
        Ok(Some(collected))
    }

    fn tell(&self, collected: Collected) {
        let Metrics {
            files, bytes, last, ..
        } = &self.metrics;
        files.inc_by(collected.files);
        bytes.inc_by(collected.bytes);
        last.set(self.clock.now().0.div_euclid(1000));
        tracing::info!(
            lists = collected.trees,
            contents = collected.blobs,
            files = collected.files,
            bytes = collected.bytes,
            "collected what nothing in the exchange refers to"
        );
    }

    async fn let_go(&self) -> anyhow::Result<()> {
        let kept = self.watch.current().exchange.clone();
        let archives = kept.archives.unwrap_or_else(|| self.data.archives());
        let retention = Retention {
            db: &self.db,
            blobs: &self.blobs,
            signer: &self.signer,
            shelf: &self.shelf,
            archives: &archives,
            keep: kept.keep,
            now: self.clock.now(),
            by: "retention",
            by_hand: false,
        };
        for reason in retention.run(false).await?.failed {
            self.metrics.failures.inc();
            tracing::warn!(
                reason,
                "something of the exchange should be kept no longer and could not go; it is tried again tomorrow"
            );
        }
        Ok(())
    }

    /// Whether it is due, and nobody else has begun with it.
    async fn claim(&self) -> anyhow::Result<bool> {
        let now = self.clock.now();
        let mut tx = self.db.write().await?;
        settings::lock(&mut tx, NEXT, "0", now).await?;
        let next = settings::get(&mut tx, NEXT).await?;
        let next: i64 = next.and_then(|next| next.parse().ok()).unwrap_or_default();
        // One that lies further ahead than it may comes from a clock that was wrong.
        let is_due = next <= now.0 || next > now.plus(DAY_MS).0;
        if is_due {
            let again: Millis = now.plus(AGAIN_MS);
            settings::set(&mut tx, NEXT, &again.0.to_string(), now).await?;
        }
        tx.commit().await?;
        Ok(is_due)
    }
}

/// What the last has done, or all that went wrong.
fn all(
    let_go: anyhow::Result<()>,
    counted: anyhow::Result<()>,
    collected: anyhow::Result<Collected>,
) -> anyhow::Result<Collected> {
    let failed = [let_go.err(), counted.err()].into_iter().flatten();
    let mut failed: Vec<String> = failed.map(|error| format!("{error:#}")).collect();
    match collected {
        Ok(collected) if failed.is_empty() => Ok(collected),
        collected => {
            failed.extend(collected.err().map(|error| format!("{error:#}")));
            Err(anyhow!(failed.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::pin::pin;
    use std::task::Poll;

    use lyceum_courses::Site;
    use lyceum_store::blobs::Disk;
    use lyceum_testkit::TestDb;

    use super::*;

    async fn hub(db: &Db, clock: &Clock, folder: &Path) -> Keeping {
        for name in ["keys", "courses"] {
            fs::create_dir_all(folder.join(name)).expect("made");
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder, private).expect("set");
        let blobs = Disk::open(&folder.join("blobs")).await.expect("opened");
        let shelf = Shelf::open(&folder.join("courses"), Site::default());
        Keeping {
            db: db.clone(),
            blobs: Blobs::Disk(blobs),
            clock: clock.clone(),
            signer: Signer::new([5; 32]),
            shelf: shelf.expect("opened"),
            watch: ConfigWatch::open(None, clock.clone()).expect("the defaults are good"),
            data: Layout::existing(folder).expect("a data folder"),
            metrics: Metrics::default(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_several_hubs_one_does_it_once_a_day() {
        for db in TestDb::both().await {
            let folder = tempfile::tempdir().expect("a folder");
            let clock = Clock::manual(Millis(DAY_MS));
            let one = hub(db.db(), &clock, folder.path()).await;
            let other = hub(db.db(), &clock, folder.path()).await;
            let (first, second) = tokio::join!(one.once(), other.once());
            let did = [first, second].map(|done| done.expect("done").is_some());
            assert_ne!(did[0], did[1]);
            assert!(one.once().await.expect("done").is_none());
            clock.advance(DAY_MS);
            assert!(other.once().await.expect("done").is_some());

            // One that began and is no more: another does it some hours later.
            clock.advance(DAY_MS);
            assert!(one.claim().await.expect("asked"));
            assert!(other.once().await.expect("done").is_none());
            clock.advance(AGAIN_MS);
            assert!(other.once().await.expect("done").is_some());
        }
    }

    /// Until it was asked so often whether it is done.
    async fn cut_off(hub: &Keeping, after: usize) {
        let mut once = pin!(hub.once());
        for _ in 0..after {
            let asked = std::future::poll_fn(|c| Poll::Ready(once.as_mut().poll(c).is_ready()));
            if asked.await {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_may_be_cut_off_anywhere() {
        for db in TestDb::both().await {
            let folder = tempfile::tempdir().expect("a folder");
            let clock = Clock::manual(Millis(DAY_MS));
            let one = hub(db.db(), &clock, folder.path()).await;
            let other = hub(db.db(), &clock, folder.path()).await;
            for after in (0..12).map(|n| 1 << n) {
                cut_off(&one, after).await;
                clock.advance(DAY_MS);
                assert!(other.once().await.expect("done").is_some(), "{after}");
                clock.advance(DAY_MS);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_fails_holds_up_nothing_else() {
        let db = TestDb::sqlite().await;
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::manual(Millis(DAY_MS));
        let hub = hub(db.db(), &clock, folder.path()).await;
        // No folder of archives.
        fs::write(hub.data.archives(), "").expect("written");
        let failed = hub.once().await.expect_err("no folder").to_string();
        assert!(failed.contains("kept no longer"), "{failed}");
        assert_eq!(hub.metrics.last.get(), DAY_MS / 1000);
    }
}
