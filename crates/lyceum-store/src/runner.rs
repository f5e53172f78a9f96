//! Runs the handlers of background jobs; the queue itself is [`crate::jobs`].
//!
//! To add a kind of job: implement [`Job`] (or pass a closure to [`Runner::on`]), register it where
//! the program is composed, enqueue it with [`crate::jobs::enqueue`]. A handler is idempotent: it may
//! run again after it was cut off anywhere. It watches [`JobContext::stop`] when it runs for long.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use lyceum_model::clock::Clock;
use lyceum_model::id::new_id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::db::Db;
use crate::events::woken;
use crate::jobs::{self, Claimed, Failed};

/// How long to leave a queue alone whose due jobs went to others.
const CONTENDED_PAUSE: Duration = Duration::from_millis(500);

/// Runs all jobs of one kind.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    fn kind(&self) -> &str;

    async fn run(&self, job: JobContext) -> anyhow::Result<()>;

    /// A handler that takes longer has failed.
    fn time_limit(&self) -> Duration {
        Duration::from_secs(3600)
    }
}

/// What a handler gets.
#[derive(Debug, Clone)]
pub struct JobContext {
    pub job: Claimed,
    /// Cancelled when the program ends: finish soon, or return an error to be tried again.
    pub stop: CancellationToken,
}

struct Closure<F> {
    kind: String,
    run: F,
}

#[async_trait]
impl<F, Fut> Job for Closure<F>
where
    F: Fn(JobContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    fn kind(&self) -> &str {
        &self.kind
    }

    async fn run(&self, job: JobContext) -> anyhow::Result<()> {
        (self.run)(job).await
    }
}

/// Claims due jobs and runs their handlers.
#[derive(Clone)]
pub struct Runner {
    db: Db,
    clock: Clock,
    owner: String,
    handlers: BTreeMap<String, Arc<dyn Job>>,
    concurrency: u32,
    lease: Duration,
    poll: Duration,
    drain: Duration,
}

impl Runner {
    pub fn new(db: Db, clock: Clock) -> Self {
        Self {
            owner: new_id(clock.now()),
            db,
            clock,
            handlers: BTreeMap::new(),
            concurrency: 8,
            lease: Duration::from_secs(60),
            poll: Duration::from_secs(10),
            drain: Duration::from_secs(20),
        }
    }

    /// Registers a handler; a later one for the same kind takes its place.
    #[must_use]
    pub fn job(mut self, handler: impl Job) -> Self {
        self.handlers
            .insert(handler.kind().to_owned(), Arc::new(handler));
        self
    }

    /// Registers a closure as the handler of `kind`.
    #[must_use]
    pub fn on<F, Fut>(self, kind: &str, run: F) -> Self
    where
        F: Fn(JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let kind = kind.to_owned();
        self.job(Closure { kind, run })
    }

    /// How many jobs run at once.
    #[must_use]
    pub fn concurrency(mut self, jobs: u32) -> Self {
        self.concurrency = jobs.max(1);
        self
    }

    /// How long a job stays ours without renewal; it is renewed at a third of that.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long to wait at most before the queue is looked at without a wake-up.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// How long running handlers may go on after the end was announced.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Runs until `cancel`, then lets handlers finish; those that do not are cut off and their jobs
    /// given back.
    pub async fn run(self, cancel: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.concurrency as usize));
        let running = TaskTracker::new();
        // Cancelled when the time to finish is over.
        let cut = CancellationToken::new();
        let mut wake_ups = self.db.wake_ups();
        // Only waiting is cut short by `cancel`: a claim that is under way is finished, or its jobs
        // would lie about until their leases end.
        while let Some(Ok(slot)) = cancel
            .run_until_cancelled(slots.clone().acquire_owned())
            .await
        {
            let mut free = vec![slot];
            while let Ok(slot) = slots.clone().try_acquire_owned() {
                free.push(slot);
            }
            let pause = match self.start_due(free, &running, &cancel, &cut).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(error = %error, "the queue of jobs can't be read; trying again");
                    self.poll
                }
            };
            let waiting = timeout(pause, woken(&mut wake_ups, &[jobs::TOPIC]));
            if cancel.run_until_cancelled(waiting).await.is_none() {
                break;
            }
        }
        running.close();
        if timeout(self.drain, running.wait()).await.is_err() {
            tracing::warn!(
                jobs = running.len(),
                "cutting off jobs that did not finish in time"
            );
            cut.cancel();
            running.wait().await;
        }
    }

    /// Starts what is due in the free slots; says how long to wait without a wake-up.
    async fn start_due(
        &self,
        free: Vec<OwnedSemaphorePermit>,
        running: &TaskTracker,
        stop: &CancellationToken,
        cut: &CancellationToken,
    ) -> sqlx::Result<Duration> {
        let kinds: Vec<&str> = self.handlers.keys().map(String::as_str).collect();
        let now = self.clock.now();
        let limit = u32::try_from(free.len()).unwrap_or(u32::MAX);
        // Looks first, so that an idle replica leaves the one writer alone.
        let mut tx = self.db.read().await?;
        let due = jobs::next_due(&mut tx, &kinds).await?;
        tx.rollback().await?;
        match due {
            None => return Ok(self.poll),
            Some(due) if due > now => {
                let wait = u64::try_from(due.since(now)).unwrap_or(0);
                return Ok(Duration::from_millis(wait).min(self.poll));
            }
            Some(_) => {}
        }
        let asked_at = Instant::now();
        let mut tx = self.db.write().await?;
        if stop.is_cancelled() {
            return Ok(Duration::ZERO);
        }
        let claimed = jobs::claim(
            &mut tx,
            &self.owner,
            &kinds,
            self.lease_millis(),
            limit,
            now,
        )
        .await?;
        tx.commit().await?;
        // Others were quicker: no need to fight over the rest at once.
        let pause = match claimed.is_empty() {
            true => CONTENDED_PAUSE.min(self.poll),
            false => Duration::ZERO,
        };
        for (job, slot) in claimed.into_iter().zip(free) {
            let runner = self.clone();
            let (stop, cut) = (stop.child_token(), cut.clone());
            running.spawn(async move {
                runner.run_one(job, stop, cut, asked_at).await;
                drop(slot);
            });
        }
        Ok(pause)
    }

    async fn run_one(
        &self,
        job: Claimed,
        stop: CancellationToken,
        cut: CancellationToken,
        claimed_at: Instant,
    ) {
        let Some(handler) = self.handlers.get(&job.kind).cloned() else {
            return;
        };
        let context = JobContext {
            job: job.clone(),
            stop,
        };
        let limit = handler.time_limit();
        // A task of its own, so that a panic is a failure of the job and not of the runner.
        let mut work = AbortOnDropHandle::new(tokio::spawn(async move {
            match timeout(limit, handler.run(context)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(anyhow!("it took longer than {} s", limit.as_secs())),
            }
        }));
        let outcome = tokio::select! {
            outcome = &mut work => Some(match outcome {
                Ok(outcome) => outcome,
                Err(panic) => Err(anyhow!("the handler panicked: {panic}")),
            }),
            () = self.hold(&job, claimed_at) => {
                tracing::warn!(kind = job.kind, job = job.id, "the lease was lost; the job is cut off");
                return end(work).await;
            }
            () = cut.cancelled() => None,
        };
        end(work).await;
        if let Err(error) = self.settle(&job, outcome).await {
            // The lease ends by itself and another tries again.
            tracing::error!(kind = job.kind, job = job.id, error = %error, "what became of a job could not be written");
        }
    }

    /// Renews the lease; returns when it is lost.
    async fn hold(&self, job: &Claimed, claimed_at: Instant) {
        let mut until = claimed_at + self.lease;
        loop {
            sleep(self.lease / 3).await;
            let asked_at = Instant::now();
            match tokio::time::timeout_at(until, self.renew(job)).await {
                Ok(Ok(true)) => until = asked_at + self.lease,
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(error)) => {
                    tracing::warn!(kind = job.kind, job = job.id, error = %error, "the lease could not be renewed");
                    if Instant::now() >= until {
                        return;
                    }
                }
            }
        }
    }

    async fn renew(&self, job: &Claimed) -> sqlx::Result<bool> {
        let mut tx = self.db.write().await?;
        let ours = jobs::renew(&mut tx, job, self.lease_millis(), self.clock.now()).await?;
        tx.commit().await?;
        Ok(ours)
    }

    /// Writes down what became of a job; `None` means it was cut off.
    async fn settle(&self, job: &Claimed, outcome: Option<anyhow::Result<()>>) -> sqlx::Result<()> {
        let mut tx = self.db.write().await?;
        let now = self.clock.now();
        match outcome {
            None => {
                jobs::release(&mut tx, job).await?;
            }
            Some(Ok(())) => {
                jobs::complete(&mut tx, job, now).await?;
            }
            Some(Err(error)) => {
                let text = format!("{error:#}");
                let failed = jobs::fail(&mut tx, job, &text, now).await?;
                let (kind, id, attempt) = (&job.kind, &job.id, job.attempt);
                match failed {
                    Failed::GivenUp => {
                        tracing::error!(
                            kind,
                            job = id,
                            attempt,
                            error = text,
                            "a job failed for good"
                        );
                    }
                    _ => tracing::warn!(kind, job = id, attempt, error = text, "a job failed"),
                }
            }
        }
        tx.commit().await
    }

    fn lease_millis(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Cuts a handler off and waits until it is gone, so that it can't run beside its successor.
async fn end(work: AbortOnDropHandle<anyhow::Result<()>>) {
    if !work.is_finished() {
        work.abort();
        let _ = work.await;
    }
}
