//! Ctrl-C (or SIGTERM) from the moment preparations begin, told to whoever waits for something.
//!
//! Preparations block and run before the async runtime of the product; a thread of its own
//! listens, so that a program that is waited for can be stopped and the reason said.

use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::serve::Signals;

/// Whether the end was asked for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(CancellationToken);

impl Interrupt {
    /// Listens from now on: signals end the process no longer by themselves.
    pub fn listen() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::io("signals can't be listened to", &error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(failed)?;
        let mut signals = {
            let _inside = runtime.enter();
            Signals::new()?
        };
        let interrupt = Self::default();
        let asked = interrupt.0.clone();
        std::thread::Builder::new()
            .name("interrupt".into())
            .spawn(move || {
                runtime.block_on(signals.wait());
                asked.cancel();
            })
            .map_err(failed)?;
        Ok(interrupt)
    }

    pub fn is_asked(&self) -> bool {
        self.0.is_cancelled()
    }

    pub async fn asked(&self) {
        self.0.cancelled().await;
    }
}
