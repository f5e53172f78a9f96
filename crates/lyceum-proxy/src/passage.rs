//! From the proxy to a server in its own process: connections that are pipes in memory. A socket
//! would cost both sides calls of the system and a wait for its news with each request.
//!
//! Whatever comes through is HTTP as on a socket; neither side knows the other by anything else.

use std::{
    hash::{Hash, Hasher},
    io,
};

use tokio::{
    io::DuplexStream,
    sync::mpsc::{Receiver, Sender, channel},
};

use crate::target::Target;

/// The most that waits in a pipe, each way.
const PIPE: usize = 64 * 1024;
/// Connections that wait to be taken.
const QUEUE: usize = 1024;

/// The server's end: where connections come in.
#[derive(Debug)]
pub struct Passage(Receiver<DuplexStream>);

/// The proxy's end.
#[derive(Clone, Debug)]
pub(crate) struct Way(Sender<DuplexStream>);

/// A server that is only reached from within, and where it takes its connections.
pub fn passage() -> (Target, Passage) {
    let (sender, receiver) = channel(QUEUE);
    (Target::within(Way(sender)), Passage(receiver))
}

impl Passage {
    /// The next connection; none once nobody can come any more.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}

impl Way {
    pub(crate) async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let sent = self.0.send(theirs).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl Eq for Way {}

/// Few targets have one, so all may be alike here.
impl Hash for Way {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::{
        config::Config,
        upstream::{ConnectError, Connector, Pool},
    };

    #[tokio::test]
    async fn a_kept_connection_ends_when_the_server_within_ends_it() {
        let (target, mut passage) = passage();
        let config = Config::default();
        let pool = Pool::new(&config, Connector::new(&config));
        let mut server = pool.connect(&target).await.expect("it is taken later");
        let mut stream = passage.accept().await.expect("a connection");
        server.link.out.extend_from_slice(b"hello");
        std::future::poll_fn(|cx| server.link.poll_flush(cx))
            .await
            .expect("sent");
        let mut got = [0; 5];
        stream.read_exact(&mut got).await.expect("read");
        assert_eq!(&got, b"hello");

        server.give_back();
        let kept = pool.take(&target, true).expect("it is silent");
        kept.give_back();
        stream.write_all(b"x").await.expect("sent");
        assert!(pool.take(&target, false).is_none(), "nobody asked for that");

        let kept = pool.connect(&target).await.expect("taken");
        drop(passage.accept().await);
        kept.give_back();
        assert!(pool.take(&target, false).is_none(), "it has ended");
    }

    #[tokio::test]
    async fn nobody_comes_to_a_server_that_has_gone() {
        let (target, passage) = passage();
        let config = Config::default();
        let pool = Pool::new(&config, Connector::new(&config));
        drop(passage);
        let refused = pool.connect(&target).await.expect_err("it has gone");
        assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
    }

    #[test]
    fn a_way_within_is_nothing_that_can_be_written() {
        let ((one, _one), (other, _other)) = (passage(), passage());
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        assert!(one.to_string().parse::<Target>().is_err());
    }
}
