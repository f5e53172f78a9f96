//! The hub's door for the proxy of its own process.

use std::convert::Infallible;
use std::future::pending;
use std::io;

use axum::serve::Listener;
use lyceum_proxy::Passage;
use tokio::io::DuplexStream;

pub(crate) struct Within(pub(crate) Passage);

impl Listener for Within {
    type Io = DuplexStream;
    type Addr = Option<Infallible>;

    async fn accept(&mut self) -> (DuplexStream, Self::Addr) {
        match self.0.accept().await {
            Some(stream) => (stream, None),
            // The proxy has gone, and this ends when the process is told to.
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(None)
    }
}
