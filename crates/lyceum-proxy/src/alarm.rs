//! One timer for a whole connection, moved as seldom as possible.
//!
//! Deadlines mostly move away before they come. So the timer stays where it was set, and when it
//! fires too early it is set again; only an earlier deadline moves it at once.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// How often something that stands still looks whether anyone is left to wait for.
pub(crate) const TICK: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready at `when` or later; otherwise wakes then.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, when: Instant) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(when)));
        if sleep.deadline() > when {
            sleep.as_mut().reset(when);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= when {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(when);
        }
        Poll::Pending
    }
}

/// That much later, or never where it would not fit.
pub(crate) fn after(from: Instant, span: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(30 * 365 * 86_400);
    from + span.min(LONG)
}
