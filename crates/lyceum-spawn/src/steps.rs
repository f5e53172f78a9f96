//! News of a start, on the way to the progress page.

use lyceum_model::saying::Saying;
use tokio::sync::mpsc;

/// One line of news. `progress` runs from 0 to 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub progress: u8,
    pub message: Saying,
}

/// The sending end. Bounded: when nobody reads, news is dropped, and a start never waits for it.
#[derive(Debug, Clone)]
pub struct Steps(Option<mpsc::Sender<Step>>);

impl Steps {
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Step>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self(Some(sender)), receiver)
    }

    /// For callers that want no news.
    pub fn silent() -> Self {
        Self(None)
    }

    pub fn say(&self, progress: u8, message: Saying) {
        let Some(sender) = &self.0 else { return };
        let step = Step {
            progress: progress.min(100),
            message,
        };
        // Full or closed: the reader is slow or gone, and the start matters more.
        drop(sender.try_send(step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_news_and_stops_nobody() {
        let (steps, mut receiver) = Steps::channel(1);
        steps.say(200, Saying::quote("first"));
        steps.say(20, Saying::quote("second"));
        let first = receiver.try_recv().expect("the first fits");
        assert_eq!(
            (first.progress, first.message.quoted()),
            (100, Some("first"))
        );
        assert!(receiver.try_recv().is_err());
        Steps::silent().say(1, Saying::quote("nobody"));
    }
}
