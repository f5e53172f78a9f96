//! Small servers beside the data path: the control API and the metrics page. HTTP/1.1 over TCP or
//! a unix socket, with bounds of its own.

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
    net::{TcpListener, UnixListener},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Connections at once; further ones wait.
const CONNECTIONS: usize = 1024;
/// How long the head of a request may take, and a connection may idle.
const HEAD: Duration = Duration::from_secs(60);
/// How long answers under way may take once it is to stop.
const LAST: Duration = Duration::from_secs(2);

pub(crate) type Answer = Full<Bytes>;

/// Where such a server listens.
#[derive(Debug)]
pub enum SideListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl SideListener {
    /// A second handle to the same queue of connections, for whoever takes over.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
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
        let io = match accepted {
            Ok(io) => io,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (handler, stop) = (handler.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            serve(io, handler, stop).await;
        });
    }
    drop(listener);
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(LAST, tasks.wait()).await;
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn accept(listener: &SideListener) -> io::Result<Box<dyn Stream>> {
    match listener {
        SideListener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        SideListener::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
    }
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
