//! The servers behind the proxies, on a thread of their own: a small answer, 1 MiB when the path
//! ends in `/mib`, WebSocket echo when an upgrade is asked for. Each says which one it is in its
//! body, so that a measure can see that it measures the right thing.

use crate::http::{self, Head, MIB};
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers the key of [`http::upgrade_request`]; both are the example of RFC 6455, section 1.3.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// Frame header of a masked message with a two-byte length.
const MASKED: usize = 8;
const UNMASKED: usize = 4;

/// Several servers, each with its own port.
pub(crate) struct Backend {
    addresses: Vec<SocketAddr>,
    websockets: Arc<AtomicUsize>,
}

/// What one server sends, made once.
struct Answers {
    small: Vec<u8>,
    /// The same to a request with `Connection: close`.
    last: Vec<u8>,
    large: LazyLock<Vec<u8>, Box<dyn FnOnce() -> Vec<u8> + Send>>,
}

impl Backend {
    /// They run until the process ends.
    pub(crate) fn start(servers: usize) -> Result<Self> {
        let websockets = Arc::<AtomicUsize>::default();
        let mut listeners = Vec::new();
        for _ in 0..servers {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            listeners.push(listener);
        }
        let addresses = listeners
            .iter()
            .map(std::net::TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let open = websockets.clone();
        std::thread::Builder::new()
            .name("backend".into())
            .spawn(move || {
                runtime.block_on(async {
                    let serving = listeners.into_iter().enumerate();
                    let tasks: Vec<_> = serving
                        .map(|(index, listener)| tokio::spawn(serve(index, listener, open.clone())))
                        .collect();
                    for task in tasks {
                        task.await.ok();
                    }
                });
            })
            .context("starting the backend's thread")?;
        Ok(Self {
            addresses,
            websockets,
        })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// WebSockets open now, on all servers.
    pub(crate) fn websockets(&self) -> usize {
        self.websockets.load(Relaxed)
    }
}

/// One server in the runtime of whoever calls, until it is dropped.
pub(crate) async fn serve_alone(listener: std::net::TcpListener) {
    serve(0, listener, Arc::default()).await;
}

async fn serve(index: usize, listener: std::net::TcpListener, websockets: Arc<AtomicUsize>) {
    let listener = TcpListener::from_std(listener).expect("it does not block");
    let body = http::body_of(index);
    let head = |length: usize, more: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{more}Content-Length: {length}\r\n\r\n"
        )
    };
    let small = |more: &str| format!("{}{body}", head(body.len(), more)).into_bytes();
    let answers = Arc::new(Answers {
        small: small(""),
        last: small("Connection: close\r\n"),
        // Most servers are never asked for it.
        large: LazyLock::new(Box::new(move || {
            let mut large = head(MIB, "").into_bytes();
            large.resize(large.len() + MIB, b'x');
            large
        })),
    });
    loop {
        // Out of descriptors for a moment: whoever waits shows up as a failed measure.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        stream.set_nodelay(true).ok();
        let (answers, websockets) = (answers.clone(), websockets.clone());
        tokio::spawn(async move {
            // A connection that breaks is its proxy's affair; the client counts it.
            converse(stream, &answers, &websockets).await.ok();
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    answers: &Answers,
    websockets: &AtomicUsize,
) -> Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let (end, head) = loop {
            if let Some(end) = http::find_end(&buffer[..filled]) {
                break (end, Head::read(&buffer[..end])?);
            }
            let got = stream.read(&mut buffer[filled..]).await?;
            if got == 0 {
                return Ok(());
            }
            filled += got;
        };
        if head.is_upgrade {
            stream.write_all(UPGRADED).await?;
            let early = buffer[end..filled].to_vec();
            drop(buffer);
            websockets.fetch_add(1, Relaxed);
            let echoed = echo(stream, early).await;
            websockets.fetch_sub(1, Relaxed);
            return echoed;
        }
        let is_large = head.path_ends_with(&buffer[..end], b"/mib");
        let mut left = head.length.unwrap_or(0);
        let here = left.min(filled - end);
        buffer.copy_within(end + here..filled, 0);
        filled -= end + here;
        left -= here;
        while left > 0 {
            let room = buffer.len().min(left);
            let got = stream.read(&mut buffer[..room]).await?;
            anyhow::ensure!(got > 0, "the body ended early");
            left -= got;
        }
        let answer = if is_large && head.length.is_none() {
            &*answers.large
        } else if head.is_last {
            &answers.last
        } else {
            &answers.small
        };
        stream.write_all(answer).await?;
        if head.is_last {
            return Ok(());
        }
    }
}

/// Sends every message back; only binary messages of 126 to 65,535 bytes and a zero mask come.
async fn echo(mut stream: TcpStream, early: Vec<u8>) -> Result<()> {
    let mut filled = early.len();
    let mut buffer = early;
    buffer.resize(512.max(filled), 0);
    loop {
        let got = stream.read(&mut buffer[filled..]).await?;
        if got == 0 {
            return Ok(());
        }
        filled += got;
        while filled >= MASKED {
            let length = usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
            anyhow::ensure!(buffer[1] == 0x80 | 126, "not a frame of ours");
            if buffer.len() < MASKED + length {
                buffer.resize(MASKED + length, 0);
            }
            if filled < MASKED + length {
                break;
            }
            // The answer has no mask: its header takes the place of the mask's four bytes.
            let [first, second] = [buffer[2], buffer[3]];
            buffer[MASKED - UNMASKED..MASKED].copy_from_slice(&[0x82, 126, first, second]);
            stream
                .write_all(&buffer[MASKED - UNMASKED..MASKED + length])
                .await?;
            buffer.copy_within(MASKED + length..filled, 0);
            filled -= MASKED + length;
        }
    }
}
