//! The kinds of load: each is a number of tasks that go round until they are told to stop, and
//! count what they did.

use crate::http::{Connection, PATIENCE, connect, upgrade_request};
use anyhow::{Context, Result, anyhow, ensure};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Requests made ahead; connections go through them from different places.
pub(crate) type Requests = Arc<Vec<Vec<u8>>>;

const WEBSOCKET_PAYLOAD: usize = 128;
/// WebSockets opened at the same time.
const OPENING: usize = 64;

/// What the tasks of one load share.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    errors: Arc<AtomicU64>,
    latencies: Arc<Mutex<Vec<u64>>>,
}

impl Tally {
    fn count(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }
}

/// Load that is being made.
pub(crate) struct Load {
    tally: Tally,
    tasks: JoinSet<Result<()>>,
}

impl Load {
    fn start<F>(tasks: usize, task: impl Fn(usize, Tally) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let tally = Tally::default();
        let mut set = JoinSet::new();
        for index in 0..tasks {
            set.spawn(task(index, tally.clone()));
        }
        Self { tally, tasks: set }
    }

    pub(crate) fn done(&self) -> u64 {
        self.tally.done.load(Relaxed)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.tally.errors.load(Relaxed)
    }

    /// Forgets the latencies so far.
    pub(crate) fn take_latencies(&self) -> Vec<u64> {
        std::mem::take(
            &mut self
                .tally
                .latencies
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Lets it go on; a task that ends by itself is a fault.
    pub(crate) async fn go_on(&mut self, span: Duration) -> Result<()> {
        match timeout(span, self.tasks.join_next()).await {
            Err(_) => Ok(()),
            Ok(None) => Err(anyhow!("the load has no tasks")),
            Ok(Some(ended)) => Err(match ended? {
                Err(error) => error,
                Ok(()) => anyhow!("a task of the load ended by itself"),
            }),
        }
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.tally.stop.store(true, Relaxed);
        let ending = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended??;
            }
            Ok(())
        };
        timeout(PATIENCE, ending)
            .await
            .context("a request is still not answered")?
    }
}

/// Keep-alive requests, as fast as the answers come.
pub(crate) fn keep_alive(to: SocketAddr, connections: usize, requests: &Requests) -> Load {
    Load::start(connections, |index, tally| {
        let requests = requests.clone();
        async move {
            let mut connection = Connection::open(to).await?;
            let mut next = index * requests.len() / connections;
            while tally.goes_on() {
                connection.get(&requests[next % requests.len()]).await?;
                tally.count();
                next += 1;
            }
            Ok(())
        }
    })
}

/// The same with several requests sent at once, which costs the client much less.
pub(crate) fn pipelined(to: SocketAddr, connections: usize, depth: usize, request: &[u8]) -> Load {
    let batch = Arc::new(request.repeat(depth));
    Load::start(connections, |_, tally| {
        let batch = batch.clone();
        async move {
            let mut connection = Connection::open(to).await?;
            while tally.goes_on() {
                connection.send(&batch).await?;
                for _ in 0..depth {
                    let status = connection.read_answer().await?;
                    ensure!(status == 200, "answered with status {status}");
                    tally.count();
                }
            }
            Ok(())
        }
    })
}

/// A new connection for each request; the server closes it.
pub(crate) fn connect_each(to: SocketAddr, tasks: usize, request: &[u8]) -> Load {
    let request = Arc::new(request.to_vec());
    Load::start(tasks, |_, tally| {
        let request = request.clone();
        async move {
            while tally.goes_on() {
                let mut connection = Connection::open(to).await?;
                connection.get(&request).await?;
                let end = connection.into_stream().read(&mut [0]).await?;
                ensure!(end == 0, "more came than the answer");
                tally.count();
            }
            Ok(())
        }
    })
}

/// What a paced load does about an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    End,
    /// Counts it and connects anew.
    Count,
}

/// So many requests a second, spread evenly over the connections; keeps each one's time from
/// sending to the end of the answer.
pub(crate) fn paced(
    to: SocketAddr,
    connections: u32,
    per_second: u32,
    requests: &Requests,
    on_error: OnError,
) -> Load {
    let start = Instant::now() + Duration::from_millis(20);
    let pace = Duration::from_secs(1) * connections / per_second;
    Load::start(connections as usize, |index, tally| {
        let requests = requests.clone();
        async move {
            let mut connection = Connection::open(to).await?;
            let mut due = start + Duration::from_secs(1) * u32::try_from(index)? / per_second;
            let mut next = index;
            while tally.goes_on() {
                sleep_until(due).await;
                due += pace;
                // Closed while nothing was asked is no error; any client connects again.
                if on_error == OnError::Count && connection.was_closed() {
                    connection = Connection::open(to).await?;
                }
                let sent = Instant::now();
                let got = connection.get(&requests[next % requests.len()]).await;
                next += 1;
                match got {
                    Ok(()) => {
                        let took = u64::try_from(sent.elapsed().as_nanos())?;
                        tally
                            .latencies
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(took);
                        tally.count();
                    }
                    Err(error) if on_error == OnError::End => return Err(error),
                    Err(_) => {
                        tally.errors.fetch_add(1, Relaxed);
                        connection = Connection::open(to).await?;
                    }
                }
            }
            Ok(())
        }
    })
}

/// Opens a WebSocket and says one thing over it.
async fn open_websocket(
    to: SocketAddr,
    from: Option<Ipv4Addr>,
    request: &[u8],
) -> Result<TcpStream> {
    let mut stream = connect(to, from).await?;
    stream.write_all(request).await?;
    // Only the head of the answer: the server speaks no further before it is spoken to.
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        let got = stream.read_buf(&mut head).await?;
        ensure!(
            got > 0 && head.len() < 4096,
            "no whole answer to the upgrade"
        );
    }
    ensure!(
        head.starts_with(b"HTTP/1.1 101 "),
        "no upgrade, but: {}",
        String::from_utf8_lossy(&head).lines().next().unwrap_or("")
    );
    echo(&mut stream).await?;
    Ok(stream)
}

/// One binary message with a mask of zeros there, the same without a mask back.
async fn echo(stream: &mut TcpStream) -> Result<()> {
    let mut frame = [b'.'; 8 + WEBSOCKET_PAYLOAD];
    frame[..8].copy_from_slice(&[0x82, 0x80 | 126, 0, 128, 0, 0, 0, 0]);
    stream.write_all(&frame).await?;
    let mut answer = [0; 4 + WEBSOCKET_PAYLOAD];
    stream.read_exact(&mut answer).await?;
    ensure!(answer[..4] == [0x82, 126, 0, 128], "not the echo");
    ensure!(answer[4..] == frame[8..], "not what was said");
    Ok(())
}

/// Each WebSocket says the next thing as soon as it has heard the last.
pub(crate) fn websocket_echo(to: SocketAddr, websockets: usize, path: &str) -> Load {
    let request = Arc::new(upgrade_request(path));
    Load::start(websockets, |_, tally| {
        let request = request.clone();
        async move {
            let mut stream = open_websocket(to, None, &request).await?;
            while tally.goes_on() {
                echo(&mut stream).await?;
                tally.count();
            }
            Ok(())
        }
    })
}

/// Opens so many WebSockets, each of which says one thing and is then silent. They come from
/// several addresses, because one has only some 28,000 ports.
pub(crate) async fn hold_websockets(
    to: SocketAddr,
    websockets: usize,
    paths: &[String],
) -> Result<Vec<TcpStream>> {
    let requests: Vec<_> = paths
        .iter()
        .map(|path| Arc::new(upgrade_request(path)))
        .collect();
    let mut opening = JoinSet::new();
    let mut held = Vec::with_capacity(websockets);
    for index in 0..websockets {
        if opening.len() == OPENING {
            let opened: Result<TcpStream> = opening.join_next().await.context("one is there")??;
            held.push(opened?);
        }
        let from = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + index % 16)?);
        let request = requests[index % requests.len()].clone();
        opening.spawn(async move {
            timeout(PATIENCE, open_websocket(to, Some(from), &request))
                .await
                .context("opening a WebSocket took too long")?
        });
    }
    while let Some(opened) = opening.join_next().await {
        held.push(opened??);
    }
    Ok(held)
}
