//! A whole HTTP/2 connection over a pair of sockets, with a server behind it: whatever frames come,
//! the server is only sent what is one request of HTTP/1, the client gets whole frames, and when it
//! has left nothing of it stays.

use std::{
    cell::OnceCell,
    io::ErrorKind,
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    runtime::Runtime,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Proxy,
    access::{Access, Ask, Decision},
    config::Config,
    http2,
    io::{Io, Plain},
    listen::Conn,
    route::{Route, RouteAccess, RouteTable},
    serve::Worker,
    upstream::Pool,
};

use super::{heads, naive::Message};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Far more than anything takes when the client has left.
const PATIENCE: Duration = Duration::from_secs(15);
/// All tasks get a turn so often before the client takes silence for the end.
const TURNS: usize = 64;

type Visits = Arc<Mutex<Vec<JoinHandle<()>>>>;

struct World {
    runtime: Runtime,
    proxy: Proxy,
    /// What the server behind does for each connection.
    visits: Visits,
}

struct Nobody;

#[async_trait]
impl Access for Nobody {
    async fn check(&self, _: &Ask) -> Decision {
        Decision::Deny
    }
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(1)
            .build()
            .expect("a runtime");
        let socket: PathBuf = std::env::temp_dir().join(format!("fuzz-{}", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let listener = runtime.block_on(async { UnixListener::bind(&socket).expect("a socket") });
        let visits = Visits::default();
        let book = visits.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let visit = tokio::spawn(serve(stream));
                book.lock().expect("nobody panics with it").push(visit);
            }
        });
        let target: crate::Target = format!("unix://{}", socket.display())
            .parse()
            .expect("a target");
        let proxy = Proxy::new(Config::default(), target.clone(), Arc::new(Nobody));
        let route = |prefix: &str, access| Route {
            prefix: prefix.into(),
            id: prefix.into(),
            target: target.clone(),
            access,
            owner: String::new(),
        };
        let table = RouteTable::new(vec![
            route("/user/ada/", RouteAccess::Open),
            route("/user/bob/", RouteAccess::Checked),
        ]);
        proxy.set_routes(table.expect("a table"));
        Self {
            runtime,
            proxy,
            visits,
        }
    }
}

/// A server: looks strictly at each request's head, answers, closes.
async fn serve(mut stream: UnixStream) {
    let mut got = Vec::new();
    let end = loop {
        if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read_buf(&mut got).await {
            Ok(1..) => {}
            _ => return,
        }
    };
    let head = Message::strict(&got[..end]);
    heads::check(&head);
    let (method, target, version) = heads::three(head.first).expect("three words");
    assert_eq!(version, b"HTTP/1.1");
    assert!(!method.is_empty() && target.starts_with(b"/") && method != b"CONNECT");
    assert!(head.one("host").is_some() && head.one("x-request-id").is_some());
    assert!(head.all("x-lyceum-user").is_empty() && head.all("x_lyceum_user").is_empty());
    assert!(!target.starts_with(b"/user/bob/"), "nobody may");
    let answer: &[u8] = match target.len() % 3 {
        0 => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        1 => {
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"
        }
        _ => b"HTTP/1.0 404 No\r\n\r\nnothing",
    };
    let _ = stream.write_all(answer).await;
    // What still comes is read, until the proxy has had the answer and closes.
    let mut rest = [0; 1024];
    let _ = stream.shutdown().await;
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

/// A byte of settings; then either frames as `kind, flags, stream, length, payload` with one byte
/// each, so that a change makes another frame and not noise, or raw bytes.
pub fn http2(data: &[u8]) {
    let [settings, input @ ..] = data else {
        return;
    };
    thread_local! {
        static WORLD: OnceCell<Rc<World>> = const { OnceCell::new() };
    }
    let world = WORLD.with(|world| world.get_or_init(|| Rc::new(World::new())).clone());
    let mut bytes = match settings & 2 {
        0 => PREFACE.to_vec(),
        _ => Vec::new(),
    };
    match settings & 1 {
        0 => frames(input, &mut bytes),
        _ => bytes.extend_from_slice(input),
    }
    let leaves = settings & 4 != 0;
    let answer = world
        .runtime
        .block_on(converse(&world.proxy, &bytes, leaves));
    check_frames(&answer);
    let visits = std::mem::take(&mut *world.visits.lock().expect("nobody panics with it"));
    world.runtime.block_on(async {
        for visit in visits {
            let end = timeout(PATIENCE, visit).await;
            let end = end.expect("connections to servers end with the worker");
            end.expect("the server was sent one strict request");
        }
    });
}

fn frames(mut input: &[u8], out: &mut Vec<u8>) {
    while let [kind, flags, stream, length, rest @ ..] = input {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        out.extend_from_slice(&[
            0,
            0,
            payload.len() as u8,
            kind % 12,
            *flags,
            0,
            0,
            0,
            *stream,
        ]);
        out.extend_from_slice(payload);
        input = rest;
    }
}

/// What the client gets. `leaves`: it closes at once when all is sent.
async fn converse(proxy: &Proxy, bytes: &[u8], leaves: bool) -> Vec<u8> {
    let inner = proxy.inner.clone();
    let (mut client, server) = UnixStream::pair().expect("a pair");
    let address: SocketAddr = ([192, 0, 2, 7], 9).into();
    let conn = Arc::new(Conn::of_nobody(&inner, address, false));
    let tasks: TaskTracker = conn.tasks.clone();
    let worker = Arc::new(Worker {
        pool: Pool::new(&inner.config, inner.connector.clone()),
        inner: inner.clone(),
        drain: CancellationToken::new(),
    });
    let served = http2::serve(worker, Io::Plain(Plain::Unix(server)), conn, Vec::new());
    let served = tokio::spawn(served);
    let mut answer = Vec::new();
    let client = async {
        let _ = client.write_all(bytes).await;
        if leaves {
            drop(client);
            return;
        }
        // Until nothing more comes, however often the others get their turn.
        let mut idle = 0;
        let mut buffer = vec![0; 16 * 1024];
        while idle < TURNS {
            match client.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    answer.extend_from_slice(&buffer[..read]);
                    idle = 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => idle += 1,
                Err(_) => return,
            }
            tokio::task::yield_now().await;
        }
        drop(client);
    };
    client.await;
    let end = timeout(PATIENCE, served).await.expect("a connection ends");
    end.expect("no panic");
    tasks.close();
    let all = timeout(PATIENCE, tasks.wait()).await;
    all.expect("requests end with their connection");
    assert_eq!(inner.http2.streams.get(), 0);
    assert_eq!(inner.http2.connections.get(), 0);
    answer
}

/// Whole frames, settings first.
fn check_frames(mut bytes: &[u8]) {
    let mut is_first = true;
    while let [a, b, c, kind, _, d, e, f, g, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        assert!(
            length <= 16 * 1024 && *kind <= 9,
            "frame {kind} of {length} bytes"
        );
        assert!(!is_first || *kind == 4, "settings come first");
        // No push, and streams are the client's; one that it may not open can only be reset.
        assert!(*kind != 5 && (stream == 0 || stream % 2 == 1 || *kind == 3));
        is_first = false;
        match rest.get(length..) {
            Some(rest) => bytes = rest,
            // Cut off when the connection was closed.
            None => return,
        }
    }
}
