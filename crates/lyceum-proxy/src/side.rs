//! Small servers beside the data path: the control API and the metrics page. HTTP/1.1 over TCP, TLS
//! or a unix socket, with bounds of its own.

use std::{
    convert::Infallible,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::tls::{Certificates, HandshakeError};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 1024;
/// How long the head of a request may take, and a connection may idle.
const HEAD: Duration = Duration::from_secs(15);
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long answers under way may take once it is to stop.
const LAST: Duration = Duration::from_secs(2);

pub(crate) type Answer = Full<Bytes>;

/// Where such a server listens.
#[derive(Debug)]
pub enum SideListener {
    Tcp(TcpListener),
    Unix(UnixListener),
    Tls(TcpListener, Certificates),
}

impl SideListener {
    /// A second handle to the same queue of connections, for whoever takes over.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }
}

pub(crate) async fn run<H, F>(
    listener: SideListener,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepting = async {
            let permit = room.clone().acquire_owned().await;
            (permit, accept(&listener).await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepting => accepted,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            let io = tokio::select! {
                io = accepted.introduce() => io,
                () = stop.cancelled() => None,
            };
            if let Some(io) = io {
                serve(io, handler, stop).await;
            }
        });
    }
    drop(listener);
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(LAST, tasks.wait()).await;
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, which may have to say first who it is.
enum Accepted {
    Ready(Box<dyn Stream>),
    Tls(TcpStream, Certificates),
}

impl Accepted {
    async fn introduce(self) -> Option<Box<dyn Stream>> {
        let (stream, certificates) = match self {
            Self::Ready(stream) => return Some(stream),
            Self::Tls(stream, certificates) => (stream, certificates),
        };
        let handshake = certificates.handshake(stream);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(HandshakeError::Failed(error))) => {
                tracing::warn!(%error, "a TLS handshake beside the data path failed");
                None
            }
            Ok(Err(HandshakeError::PlainHttp)) => {
                tracing::warn!("plain HTTP came to the TLS port of the control API");
                None
            }
            Ok(Err(HandshakeError::Acme)) | Err(_) => None,
        }
    }
}

async fn accept(listener: &SideListener) -> io::Result<Accepted> {
    Ok(match listener {
        SideListener::Tcp(socket) => Accepted::Ready(Box::new(accept_tcp(socket).await?)),
        SideListener::Unix(socket) => Accepted::Ready(Box::new(socket.accept().await?.0)),
        SideListener::Tls(socket, certificates) => {
            Accepted::Tls(accept_tcp(socket).await?, certificates.clone())
        }
    })
}

async fn accept_tcp(socket: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = socket.accept().await?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn serve<H, F>(io: Box<dyn Stream>, handler: H, stop: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Answer>>,
{
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let end = tokio::select! {
        end = connection.as_mut() => end,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = end {
        tracing::debug!(%error, "a connection beside the data path ended early");
    }
}
