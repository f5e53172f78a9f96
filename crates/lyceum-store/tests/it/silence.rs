//! A PostgreSQL that is there and says nothing any more, as after its machine was lost.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lyceum_store::db::{Location, Patience};
use lyceum_store::{Db, DbError, on};
use lyceum_testkit::TestDb;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_util::either::Either;
use url::Url;

const HASTY: Patience = Patience {
    statement: Duration::from_secs(6),
    quiet: Duration::from_secs(600),
    connection: Duration::from_secs(30),
};
/// Whoever waits for longer waits for ever.
const LONG: Duration = Duration::from_secs(60);

/// Passes connections on to a server, until it swallows what comes over those that are open.
struct Relay {
    url: String,
    /// Of the connections that came so far; later ones have their own.
    is_silent: Arc<std::sync::Mutex<Arc<AtomicBool>>>,
}

impl Relay {
    async fn before(test: &TestDb) -> Self {
        let Location::Postgres(url) = test.location() else {
            panic!("no PostgreSQL");
        };
        let server = Server::of(url);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let mut through = Url::parse(url).expect("a URL");
        through.set_host(Some("127.0.0.1")).expect("a host");
        through.set_port(Some(port)).expect("a port");
        // The folder of a socket.
        through.set_query(None);
        let url = through.into();
        let is_silent = Arc::new(std::sync::Mutex::new(Arc::new(AtomicBool::new(false))));
        let now = Arc::clone(&is_silent);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let silent = Arc::clone(&now.lock().expect("unpoisoned"));
                let (from_server, to_server) = server.connect().await;
                let (from_client, to_client) = client.into_split();
                tokio::spawn(pass(from_client, to_server, Arc::clone(&silent)));
                tokio::spawn(pass(from_server, to_client, silent));
            }
        });
        Self { url, is_silent }
    }

    /// Nothing passes any more over the connections that there are; new ones are good.
    fn fail_over(&self) {
        let mut now = self.is_silent.lock().expect("unpoisoned");
        now.store(true, Ordering::SeqCst);
        *now = Arc::default();
    }
}

/// Where a test's PostgreSQL listens: one of its own by a socket file, that of a whole run by a port.
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

    async fn connect(
        &self,
    ) -> (
        impl AsyncRead + Unpin + Send + use<>,
        impl AsyncWrite + Unpin + Send + use<>,
    ) {
        match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path).await.expect("PostgreSQL");
                let (from, to) = stream.into_split();
                (Either::Left(from), Either::Left(to))
            }
            Self::Port(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await;
                let (from, to) = stream.expect("PostgreSQL").into_split();
                (Either::Right(from), Either::Right(to))
            }
        }
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    silent: Arc<AtomicBool>,
) {
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

async fn one(tx: &mut lyceum_store::Tx) -> Result<i64, DbError> {
    on!(tx, |c| sqlx::query_scalar("SELECT CAST(1 AS BIGINT)")
        .fetch_one(c)
        .await)
}

/// Whatever was under way fails in time, and all goes on without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn who_gets_no_answer_goes_on_with_new_connections() {
    let test = TestDb::postgres().await;
    let relay = Relay::before(&test).await;
    let db = Db::open_with(&Location::Postgres(relay.url.clone()), HASTY)
        .await
        .expect("it opens");
    // All connections there may be, each in a transaction.
    let mut open = Vec::new();
    for number in 0..8 {
        let mut tx = match number % 2 {
            0 => db.write().await.expect("a transaction"),
            _ => db.read().await.expect("a transaction"),
        };
        assert_eq!(one(&mut tx).await.expect("asked"), 1);
        open.push(tx);
    }
    relay.fail_over();
    let last = open.pop().expect("one");
    let asked = open
        .into_iter()
        .map(|mut tx| async move { one(&mut tx).await });
    let answers = timeout(LONG, futures_util::future::join_all(asked));
    for answer in answers.await.expect("each in time") {
        assert!(matches!(answer, Err(DbError::Io(_))), "{answer:?}");
    }
    // Nobody knows whether it was committed, and that is what is said.
    let committed = timeout(LONG, last.commit()).await.expect("in time");
    assert!(matches!(committed, Err(DbError::Io(_))), "{committed:?}");
    for _ in 0..20 {
        let mut tx = timeout(LONG, db.write())
            .await
            .expect("in time")
            .expect("one");
        assert_eq!(one(&mut tx).await.expect("asked"), 1);
        tx.commit().await.expect("committed");
    }
}

/// Connections that nobody used meanwhile are tried before somebody relies on them.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_tried_first() {
    let test = TestDb::postgres().await;
    let relay = Relay::before(&test).await;
    let patience = Patience {
        statement: HASTY.statement,
        ..Patience::default()
    };
    let db = Db::open_with(&Location::Postgres(relay.url.clone()), patience)
        .await
        .expect("it opens");
    let mut tx = db.glance().await.expect("a connection");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
    drop(tx);
    let begun = Instant::now();
    while db.connections() != Some((1, 1)) {
        assert!(begun.elapsed() < LONG, "{:?}", db.connections());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    relay.fail_over();
    let mut tx = timeout(LONG, db.glance())
        .await
        .expect("in time")
        .expect("another");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
}

/// The server itself ends what takes too long, and says so; nothing is given up for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_ended_by_the_server() {
    let test = TestDb::postgres().await;
    let patience = Patience {
        statement: Duration::from_secs(3),
        ..HASTY
    };
    let db = Db::open_with(test.location(), patience)
        .await
        .expect("it opens");
    let mut tx = db.write().await.expect("a transaction");
    let slept = on!(&mut tx, |c| sqlx::query("SELECT pg_sleep(600)")
        .execute(c)
        .await
        .map(|_| ()));
    let error = slept.expect_err("it takes too long");
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(String::from));
    assert_eq!(code.as_deref(), Some("57014"), "{error}");
    drop(tx);
    let mut tx = db.write().await.expect("a transaction");
    assert_eq!(one(&mut tx).await.expect("asked"), 1);
}
