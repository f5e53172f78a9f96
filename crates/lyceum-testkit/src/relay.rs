//! A way to a PostgreSQL that can fail as a network does: without a word, and without an end of the
//! connections that are open.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::either::Either;
use url::Url;

/// Passes connections on to a server. It ends when dropped.
pub struct Relay {
    url: String,
    way: Arc<Mutex<Way>>,
    accepting: JoinHandle<()>,
}

/// Where connections lead that come from now on.
struct Way {
    /// None: to a machine that is gone. They are taken, and nothing ever comes back.
    server: Option<Server>,
    /// Nothing passes any more over those that came by this way.
    is_silent: Arc<AtomicBool>,
}

impl Way {
    fn to(url: &str) -> Self {
        Self {
            server: Some(Server::of(url)),
            is_silent: Arc::default(),
        }
    }
}

impl Relay {
    /// Before the server of this `postgres://…`.
    pub async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let mut through = Url::parse(url).expect("a URL");
        through.set_host(Some("127.0.0.1")).expect("a host");
        through.set_port(Some(port)).expect("a port");
        // The folder of a socket.
        through.set_query(None);
        let way = Arc::new(Mutex::new(Way::to(url)));
        let now = Arc::clone(&way);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, silent) = {
                    let way = now.lock().expect("unpoisoned");
                    (way.server.clone(), Arc::clone(&way.is_silent))
                };
                tokio::spawn(carry(client, server, silent));
            }
        });
        Self {
            url: through.into(),
            way,
            accepting,
        }
    }

    /// By this way, for whoever is to come through here.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Nothing passes any more over the connections that there are; new ones are good.
    pub fn silence(&self) {
        let mut way = self.way.lock().expect("unpoisoned");
        way.is_silent.store(true, Ordering::SeqCst);
        way.is_silent = Arc::default();
    }

    /// The machine is gone: nothing passes any more, neither over the connections that there are nor
    /// over new ones, and none of them ends.
    pub fn vanish(&self) {
        self.silence();
        self.way.lock().expect("unpoisoned").server = None;
    }

    /// Connections that come from now on lead to the server of this `postgres://…`.
    pub fn lead_to(&self, url: &str) {
        self.silence();
        *self.way.lock().expect("unpoisoned") = Way::to(url);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Where a test's PostgreSQL listens: one of its own by a socket file, that of a whole run by a port.
#[derive(Clone)]
enum Server {
    Socket(PathBuf),
    Port(String, u16),
}

impl Server {
    fn of(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let port = options.get_port();
        match options.get_socket() {
            Some(folder) => Self::Socket(folder.join(format!(".s.PGSQL.{port}"))),
            None => Self::Port(options.get_host().to_owned(), port),
        }
    }

    async fn connect(&self) -> std::io::Result<(impl Reader, impl Writer)> {
        Ok(match self {
            Self::Socket(path) => {
                let (from, to) = UnixStream::connect(path).await?.into_split();
                (Either::Left(from), Either::Left(to))
            }
            Self::Port(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                let (from, to) = stream.into_split();
                (Either::Right(from), Either::Right(to))
            }
        })
    }
}

trait Reader: AsyncRead + Unpin + Send + 'static {}
impl<T: AsyncRead + Unpin + Send + 'static> Reader for T {}
trait Writer: AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncWrite + Unpin + Send + 'static> Writer for T {}

async fn carry(client: TcpStream, server: Option<Server>, silent: Arc<AtomicBool>) {
    let Some(server) = server else {
        let _held = client;
        return std::future::pending().await;
    };
    // A server that is away refuses, and so does this.
    let Ok((from_server, to_server)) = server.connect().await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let there = pass(from_client, to_server, Arc::clone(&silent));
    tokio::join!(there, pass(from_server, to_client, silent));
}

async fn pass(mut from: impl Reader, mut to: impl Writer, silent: Arc<AtomicBool>) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut piece).await;
        if silent.load(Ordering::SeqCst) {
            // The connection stays open, as one does to a machine that is gone.
            return std::future::pending().await;
        }
        match read {
            Ok(1..) if to.write_all(&piece[..read.expect("read")]).await.is_ok() => {}
            _ => return,
        }
    }
}
