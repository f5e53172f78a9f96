//! Under random faults for a while, and then nothing may be left over.
//!
//! Servers freeze, reset, trickle, lie and babble; clients leave at any point. Each request says
//! itself what its server is to do, and its answer's body follows from its number, so that a client
//! knows what it may get: never a word of another's answer, never a part that looks like the whole.
//! It goes in rounds; after each everything has left, and descriptors, tasks, connections and memory
//! must be what they were. What is random follows from the round's number alone.
//!
//! A few rounds by default; `LYCEUM_SOAK_SECONDS` says how long (`cargo xtask soak`: five minutes).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lyceum_proxy::{Config, Limits, RouteAccess};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    runtime::Handle,
    sync::oneshot,
};

use crate::{
    alone::{alone, descriptors, resident_kib, settles},
    support::{Server, TestProxy, header, route, soon, stands_still},
};

/// How long a round brings load.
const ROUND: Duration = Duration::from_secs(3);
const CLIENTS: u64 = 96;
/// What the last round may hold more than the first, in all threads of all three parties.
const ROOM_KIB: usize = 16 << 10;

/// The proxy's own bounds, short enough to be reached here.
fn limits() -> Limits {
    Limits {
        header_read: Duration::from_millis(700),
        first_byte: Duration::from_secs(3),
        idle: Duration::from_secs(3),
        half_closed: Duration::from_millis(300),
        websocket_idle: Some(Duration::from_secs(3)),
        pooled: Duration::from_millis(400),
        drain: Duration::from_secs(2),
        ..Limits::default()
    }
}

/// Splitmix64: the same numbers in every run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// The whole body that belongs to a number.
fn body_of(number: u64) -> Vec<u8> {
    let mut rng = Rng(number);
    let length = rng.pick(&[0, 1, 10, 1_000, 5_000, 70_000, 300_000]);
    let word = format!("<{number}>").into_bytes();
    word.iter().copied().cycle().take(length).collect()
}

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    // These answer well.
    Length,
    Chunked,
    UntilClose,
    TrickledHead,
    TrickledBody,
    CloseAfterwards,
    SomeInterim,
    // These do not.
    FreezeAtOnce,
    FreezeInHead,
    FreezeInBody,
    CloseAtOnce,
    ResetAtOnce,
    ResetInHead,
    ResetInBody,
    TooShort,
    CloseInChunks,
    BadChunks,
    TooLong,
    Garbage,
    HalfGarbage,
    HugeHead,
    InterimStorm,
    Unasked101,
    EarlyAnswer,
    NeverReads,
}

use Fault::*;

const FAULTS: [Fault; 25] = [
    Length,
    Chunked,
    UntilClose,
    TrickledHead,
    TrickledBody,
    CloseAfterwards,
    SomeInterim,
    FreezeAtOnce,
    FreezeInHead,
    FreezeInBody,
    CloseAtOnce,
    ResetAtOnce,
    ResetInHead,
    ResetInBody,
    TooShort,
    CloseInChunks,
    BadChunks,
    TooLong,
    Garbage,
    HalfGarbage,
    HugeHead,
    InterimStorm,
    Unasked101,
    EarlyAnswer,
    NeverReads,
];

impl Fault {
    /// Statuses a client may see, other than that its connection ends.
    fn allowed(self) -> &'static [u16] {
        match self {
            // A kept connection may just have closed, and not every request may be sent twice.
            Length | Chunked | UntilClose | TrickledHead | TrickledBody | SomeInterim
            | CloseAfterwards => &[200, 503],
            FreezeAtOnce | FreezeInHead => &[504, 503],
            FreezeInBody | ResetInBody | TooShort | CloseInChunks | BadChunks => &[200, 503, 502],
            CloseAtOnce | ResetAtOnce => &[503],
            ResetInHead | HalfGarbage => &[502, 503],
            TooLong => &[200, 503],
            Garbage | HugeHead | InterimStorm | Unasked101 => &[502, 503],
            EarlyAnswer => &[200, 503],
            NeverReads => &[504, 503],
        }
    }

    /// Whether the whole answer can come.
    fn can_end(self) -> bool {
        !matches!(
            self,
            FreezeInBody | ResetInBody | TooShort | CloseInChunks | BadChunks
        )
    }
}

type Wire = BufReader<TcpStream>;

/// None at the end.
async fn read_head(wire: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = wire.read_until(b'\n', &mut head).await.ok()?;
        if read == 0 {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// Reads to the end, and forgets it.
async fn hold(wire: &mut Wire) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(1..) = wire.read(&mut piece).await {}
}

/// A body by length or chunks, as far as it came, and whether that is all of it.
async fn read_body(wire: &mut (impl AsyncBufRead + Unpin), head: &str) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    if header(head, "transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            if !matches!(wire.read_line(&mut line).await, Ok(1..)) {
                return (body, false);
            }
            let size = line.trim().split(';').next().unwrap_or_default();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return (body, false);
            };
            if size == 0 {
                line.clear();
                let end = wire.read_line(&mut line).await;
                return (body, end.is_ok() && line == "\r\n");
            }
            let (chunk, complete) = read_length(wire, size).await;
            body.extend_from_slice(&chunk);
            let mut end = [0; 2];
            if !complete || wire.read_exact(&mut end).await.is_err() {
                return (body, false);
            }
        }
    }
    if let Some(length) = header(head, "content-length") {
        let (part, complete) = read_length(wire, length.parse().unwrap()).await;
        return (part, complete);
    }
    if head.starts_with("HTTP") {
        let complete = wire.read_to_end(&mut body).await.is_ok();
        return (body, complete);
    }
    (body, true)
}

async fn read_length(wire: &mut (impl AsyncBufRead + Unpin), length: usize) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let read = wire.take(length as u64).read_to_end(&mut body).await;
    let complete = read.is_ok() && body.len() == length;
    (body, complete)
}

/// Writes, however it goes; what is written is what a fault is about.
async fn say(wire: &mut Wire, bytes: impl AsRef<[u8]>) -> bool {
    wire.get_mut().write_all(bytes.as_ref()).await.is_ok()
}

async fn say_slowly(wire: &mut Wire, bytes: &[u8]) -> bool {
    for piece in bytes.chunks(1 + bytes.len() / 12) {
        if !say(wire, piece).await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// Chunks of sizes that follow from the number; without the last one.
fn chunks(number: u64, body: &[u8]) -> Vec<u8> {
    let mut rng = Rng(!number);
    let mut bytes = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(rest.len().min(1 + rng.below(20_000)));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = later;
    }
    bytes
}

/// One connection of the server that does wrong.
async fn serve_badly(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut wire = BufReader::new(stream);
    while let Some(head) = read_head(&mut wire).await {
        let mut parts = head.split(' ').nth(1).unwrap().split('/').skip(2);
        let fault: usize = parts.next().unwrap().parse().unwrap();
        let number: u64 = parts.next().unwrap().parse().unwrap();
        if header(&head, "upgrade").is_some() {
            return serve_tunnel(wire, number).await;
        }
        if !misbehave(&mut wire, &head, FAULTS[fault], number).await {
            return;
        }
    }
}

/// Whether the connection goes on.
async fn misbehave(wire: &mut Wire, head: &str, fault: Fault, number: u64) -> bool {
    let reset = |wire: &mut Wire| {
        let _ = wire.get_mut().set_zero_linger();
        false
    };
    match fault {
        EarlyAnswer => {
            let body = body_of(number);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            return say(wire, answer).await
                && say(wire, body).await
                && read_body(wire, head).await.1;
        }
        NeverReads => {
            tokio::time::sleep(Duration::from_secs(4)).await;
            return false;
        }
        FreezeAtOnce => {
            hold(wire).await;
            return false;
        }
        ResetAtOnce => return reset(wire),
        CloseAtOnce => return false,
        _ => {}
    }
    if !read_body(wire, head).await.1 {
        return false;
    }
    let body = body_of(number);
    let middle = body.len() / 2;
    let by_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let by_chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = [by_length.as_bytes(), &body].concat();
    match fault {
        Length => say(wire, whole).await,
        Chunked => {
            let text = [by_chunks.as_bytes(), &chunks(number, &body), b"0\r\n\r\n"].concat();
            say(wire, text).await
        }
        UntilClose => {
            say(wire, "HTTP/1.1 200 OK\r\n\r\n").await;
            say(wire, body).await;
            false
        }
        TrickledHead => say_slowly(wire, by_length.as_bytes()).await && say(wire, body).await,
        TrickledBody => {
            let slow = body.len().min(500);
            say(wire, by_length).await
                && say_slowly(wire, &body[..slow]).await
                && say(wire, &body[slow..]).await
        }
        CloseAfterwards => {
            say(wire, whole).await;
            false
        }
        SomeInterim => {
            let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(5);
            say(wire, hints).await && say(wire, whole).await
        }
        FreezeInHead => {
            say(wire, &by_length[..20]).await;
            hold(wire).await;
            false
        }
        FreezeInBody => {
            // There is always something left to wait for.
            say(
                wire,
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len() + 1
                ),
            )
            .await;
            say(wire, &body[..middle]).await;
            hold(wire).await;
            false
        }
        ResetInHead => {
            say(wire, &by_length[..20]).await;
            reset(wire)
        }
        ResetInBody => {
            say(
                wire,
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len() + 1
                ),
            )
            .await;
            say(wire, &body[..middle]).await;
            reset(wire)
        }
        TooShort => {
            say(
                wire,
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                    body.len() + 1
                ),
            )
            .await;
            say(wire, body).await;
            false
        }
        CloseInChunks => {
            let mut text = [by_chunks.as_bytes(), &chunks(number, &body)].concat();
            text.truncate(by_chunks.len() + (number % 1_000) as usize);
            say(wire, text).await;
            false
        }
        BadChunks => {
            let bad: &[u8] = [
                &b"zz\r\n"[..],
                b"-1\r\n",
                b"ffffffffffffffffff\r\n",
                b"+5\r\nabcde\r\n",
            ][(number % 4) as usize];
            say(
                wire,
                [by_chunks.as_bytes(), &chunks(number, &body), bad].concat(),
            )
            .await;
            hold(wire).await;
            false
        }
        TooLong => {
            let more = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";
            say(wire, [&whole[..], more].concat()).await
        }
        Garbage => {
            let mut bytes = Rng(number).bytes(2_000);
            bytes[0] = b'#';
            say(wire, bytes).await;
            hold(wire).await;
            false
        }
        HalfGarbage => {
            let bytes = Rng(number).bytes(500);
            say(wire, [&b"HTTP/1.1 \xff"[..], &bytes, b"\r\n\r\n"].concat()).await;
            hold(wire).await;
            false
        }
        HugeHead => {
            say(wire, "HTTP/1.1 200 OK\r\n").await;
            while say(wire, format!("X-More: {}\r\n", "x".repeat(8_000))).await {}
            false
        }
        InterimStorm => {
            while say(wire, "HTTP/1.1 100 Continue\r\n\r\n".repeat(50)).await {}
            false
        }
        Unasked101 => {
            say(wire, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nPOISON").await;
            hold(wire).await;
            false
        }
        FreezeAtOnce | CloseAtOnce | ResetAtOnce | EarlyAnswer | NeverReads => unreachable!(),
    }
}

/// An echo that ends in one of many ways.
async fn serve_tunnel(mut wire: Wire, number: u64) {
    let mut rng = Rng(number);
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    if !say(&mut wire, answer).await {
        return;
    }
    let how = rng.below(5);
    let pieces = if how == 0 { usize::MAX } else { rng.below(20) };
    let mut piece = vec![0; 8 << 10];
    for _ in 0..pieces {
        match wire.read(&mut piece).await {
            Ok(read @ 1..) => {
                if !say(&mut wire, &piece[..read]).await {
                    return;
                }
            }
            _ => return,
        }
    }
    match how {
        1 => {
            let _ = wire.get_mut().set_zero_linger();
        }
        2 => {
            let _ = wire.get_mut().shutdown().await;
            hold(&mut wire).await;
        }
        // Frozen: neither reads nor ends.
        3 => tokio::time::sleep(Duration::from_secs(4)).await,
        _ => {}
    }
}

/// What was seen, by what was asked for.
#[derive(Default)]
struct Tally(Mutex<BTreeMap<(Fault, String), usize>>);

impl Tally {
    fn note(&self, fault: Fault, what: impl Into<String>) {
        let mut tally = self.0.lock().unwrap();
        *tally.entry((fault, what.into())).or_default() += 1;
    }
}

struct Visitor {
    proxy: SocketAddr,
    rng: Rng,
    tally: Arc<Tally>,
}

impl Visitor {
    /// A connection and a few requests on it.
    async fn visit(&mut self) {
        let Ok(stream) = TcpStream::connect(self.proxy).await else {
            panic!("the proxy takes no connections");
        };
        let mut wire = BufReader::new(stream);
        for _ in 0..1 + self.rng.below(5) {
            let goes_on = match self.rng.below(12) {
                0 => self.tunnel(&mut wire).await,
                1 => self.leave(&mut wire).await,
                2 => self.babble(&mut wire).await,
                3 => self.several(&mut wire).await,
                _ => self.ask(&mut wire).await,
            };
            if !goes_on {
                break;
            }
        }
        if self.rng.below(2) == 0 {
            let _ = wire.get_mut().set_zero_linger();
        }
    }

    fn fault(&mut self) -> Fault {
        // Half of all answers are good, so that connections are kept and taken again.
        let faults = if self.rng.below(2) == 0 {
            &FAULTS[..7]
        } else {
            &FAULTS[..]
        };
        self.rng.pick(faults)
    }

    fn request(&mut self, fault: Fault, number: u64) -> Vec<u8> {
        let body = body_of(self.rng.next());
        let index = FAULTS.iter().position(|one| *one == fault).unwrap();
        let target = format!("/open/{index}/{number}");
        let line = |method| format!("{method} {target} HTTP/1.1\r\nHost: lab\r\n");
        match self.rng.below(4) {
            0 | 1 => format!("{}\r\n", line("GET")).into_bytes(),
            2 => {
                let head = format!("{}Content-Length: {}\r\n\r\n", line("PUT"), body.len());
                [head.as_bytes(), &body].concat()
            }
            _ => {
                let head = format!("{}Transfer-Encoding: chunked\r\n\r\n", line("POST"));
                [head.as_bytes(), &chunks(number, &body), b"0\r\n\r\n"].concat()
            }
        }
    }

    async fn ask(&mut self, wire: &mut Wire) -> bool {
        let (fault, number) = (self.fault(), self.rng.next());
        let request = self.request(fault, number);
        // Sent and read at the same time, or neither side would go on.
        let (reading, mut writing) = wire.get_mut().split();
        let mut reading = BufReader::new(reading);
        let send = async {
            let _ = writing.write_all(&request).await;
        };
        let read = read_answer(&mut reading);
        let ((), answer) = soon(&format!("{fault:?} {number}"), async {
            tokio::join!(send, read)
        })
        .await;
        self.check(fault, number, answer)
    }

    /// Whether the answer was whole and the connection goes on; fails if it may not be so.
    fn check(&self, fault: Fault, number: u64, answer: Option<Got>) -> bool {
        let Some(got) = answer else {
            self.tally.note(fault, "ended");
            return false;
        };
        let what = || format!("{fault:?} {number}: {}", got.head);
        assert!(fault.allowed().contains(&got.status), "{}", what());
        if got.status == 200 {
            let expect = body_of(number);
            assert!(expect.starts_with(&got.body), "not its own: {}", what());
            assert_eq!(got.is_whole, fault.can_end(), "{}", what());
            if got.is_whole {
                assert_eq!(got.body.len(), expect.len(), "{}", what());
            }
        }
        let end = if got.is_whole { "" } else { " cut" };
        self.tally.note(fault, format!("{}{end}", got.status));
        got.is_whole && header(&got.head, "connection").is_none_or(|value| value != "close")
    }

    /// Several at once; the answers come in their order.
    async fn several(&mut self, wire: &mut Wire) -> bool {
        let asked: Vec<(Fault, u64)> = (0..3)
            .map(|_| (self.rng.pick(&FAULTS[..7]), self.rng.next()))
            .collect();
        let text: String = asked
            .iter()
            .map(|(fault, number)| {
                let index = FAULTS.iter().position(|one| one == fault).unwrap();
                format!("GET /open/{index}/{number} HTTP/1.1\r\nHost: lab\r\n\r\n")
            })
            .collect();
        if !say(wire, text).await {
            return false;
        }
        for (fault, number) in asked {
            let answer = soon("one of several", read_answer(wire)).await;
            if !self.check(fault, number, answer) {
                return false;
            }
        }
        true
    }

    /// Goes away somewhere in the middle.
    async fn leave(&mut self, wire: &mut Wire) -> bool {
        let (fault, number) = (self.fault(), self.rng.next());
        let request = self.request(fault, number);
        let part = self.rng.below(request.len() + 1);
        let send = wire.get_mut().write_all(&request[..part]);
        // A server that does not read may hold this up, which is one more way to leave.
        let _ = tokio::time::timeout(Duration::from_millis(300), send).await;
        match self.rng.below(5) {
            0 => {
                let _ = wire.get_mut().shutdown().await;
                soon("the rest", hold(wire)).await;
            }
            1 => {
                let mut some = vec![0; 1 + self.rng.below(5_000)];
                let read = wire.read_exact(&mut some);
                let _ = tokio::time::timeout(Duration::from_millis(100), read).await;
            }
            // Waits for the proxy to have had enough.
            2 => soon("the end", hold(wire)).await,
            _ => {}
        }
        self.tally.note(fault, "left");
        false
    }

    /// Sends what is no HTTP.
    async fn babble(&mut self, wire: &mut Wire) -> bool {
        let length = self.rng.below(3_000);
        let mut bytes = self.rng.bytes(length);
        if self.rng.below(2) == 0 {
            bytes.splice(0..0, *b"GET /open/0/1 HTTP/1.1\r\nHost: lab\r\n");
        }
        say(wire, bytes).await;
        let _ = wire.get_mut().shutdown().await;
        soon("an end after garbage", hold(wire)).await;
        false
    }

    async fn tunnel(&mut self, wire: &mut Wire) -> bool {
        let number = self.rng.next();
        let request = format!(
            "GET /open/0/{number} HTTP/1.1\r\nHost: lab\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
        );
        say(wire, request).await;
        let Some(head) = soon("a tunnel", read_head(wire)).await else {
            return false;
        };
        if !head.starts_with("HTTP/1.1 101") {
            let body = soon("a refusal", read_body(wire, &head)).await;
            assert!(head.starts_with("HTTP/1.1 503"), "{head}");
            return body.1;
        }
        self.tally.note(Length, "tunnel");
        for _ in 0..self.rng.below(20) {
            let length = 1 + self.rng.below(6_000);
            let piece = self.rng.bytes(length);
            if !say(wire, &piece).await {
                return false;
            }
            let (back, is_whole) = soon("an echo", read_length(wire, length)).await;
            assert!(piece.starts_with(&back), "another's bytes in a tunnel");
            if !is_whole {
                return false;
            }
        }
        match self.rng.below(3) {
            0 => {
                let _ = wire.get_mut().shutdown().await;
                soon("the tunnel's end", hold(wire)).await;
            }
            1 => soon("the tunnel's end", hold(wire)).await,
            _ => {}
        }
        false
    }
}

struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    is_whole: bool,
}

/// The real answer, as far as it came; none if not even its head did.
async fn read_answer(wire: &mut (impl AsyncBufRead + Unpin)) -> Option<Got> {
    loop {
        let head = read_head(wire).await?;
        let status: u16 = head[9..12].parse().expect("a status");
        if status < 200 {
            assert_ne!(status, 101, "an upgrade that nobody asked for");
            continue;
        }
        let (body, is_whole) = read_body(wire, &head).await;
        return Some(Got {
            status,
            head,
            body,
            is_whole,
        });
    }
}

/// A proxy on a thread and a runtime of its own, as `lyceum proxy` has it, so that its tasks can be
/// counted.
struct Apart {
    proxy: TestProxy,
    tasks: Handle,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Apart {
    async fn start(server: SocketAddr) -> Self {
        let (ready, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let config = Config {
                    limits: limits(),
                    ..Config::default()
                };
                let routes = vec![route("/open/", server, RouteAccess::Open)];
                let proxy = TestProxy::start(config, server, routes).await;
                let _ = ready.send((proxy, Handle::current()));
                let _ = stopped.await;
            });
        });
        let (proxy, tasks) = started.await.unwrap();
        Self {
            proxy,
            tasks,
            stop,
            thread,
        }
    }

    fn gauge(&self, name: &str) -> usize {
        let metrics = self.proxy.metrics();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .expect("the gauge");
        line.parse().unwrap()
    }

    fn task_count(&self) -> usize {
        self.tasks.metrics().num_alive_tasks()
    }
}

fn how_long() -> Duration {
    let seconds = std::env::var("LYCEUM_SOAK_SECONDS").unwrap_or_else(|_| "12".into());
    Duration::from_secs(seconds.parse().expect("LYCEUM_SOAK_SECONDS is a number"))
}

/// Load for a while; ends when every visitor has left.
async fn one_round(round: u64, proxy: SocketAddr, tally: &Arc<Tally>) -> usize {
    let end = Instant::now() + ROUND;
    let visitors: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut visitor = Visitor {
                proxy,
                rng: Rng(round << 32 | client),
                tally: tally.clone(),
            };
            tokio::spawn(async move {
                let mut visits = 0;
                while Instant::now() < end {
                    visitor.visit().await;
                    visits += 1;
                }
                visits
            })
        })
        .collect();
    let mut visits = 0;
    for visitor in visitors {
        visits += visitor.await.expect("nothing that may not be");
    }
    visits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_is_left_over_after_random_faults() {
    if !alone("soak::nothing_is_left_over_after_random_faults") {
        return;
    }
    let server = Server::raw(|stream, _| serve_badly(stream)).await;
    let here = Handle::current().metrics();
    let (our_tasks, at_first) = (here.num_alive_tasks(), descriptors());
    let apart = Apart::start(server.address).await;
    let tally = Arc::new(Tally::default());
    let open = descriptors();
    // All that runs while nobody visits has begun once it has served.
    apart.proxy.get("/open/0/3", "").await;
    stands_still("the proxy's tasks", || apart.task_count()).await;
    let tasks = apart.task_count();

    let end = Instant::now() + how_long();
    let mut first = None;
    let mut visits = 0;
    let mut round = 0;
    while first.is_none() || Instant::now() < end {
        visits += one_round(round, apart.proxy.address, &tally).await;
        for gauge in ["lyceum_proxy_connections", "lyceum_proxy_websockets"] {
            settles(gauge, 0, || apart.gauge(gauge)).await;
        }
        settles("tasks of the proxy", tasks, || apart.task_count()).await;
        settles("tasks of the servers", our_tasks, || here.num_alive_tasks()).await;
        settles("descriptors", open, descriptors).await;
        // It still serves.
        let answer = apart.proxy.get("/open/0/3", "").await;
        assert_eq!((answer.status, answer.body), (200, body_of(3)));
        apart.proxy.proxy.take_activity();
        let resident = resident_kib();
        println!("round {round}: {visits} connections, {resident} KiB resident");
        let first = *first.get_or_insert(resident);
        assert!(
            resident < first + ROOM_KIB,
            "grew from {first} to {resident} KiB"
        );
        round += 1;
    }
    for ((fault, what), count) in &*tally.0.lock().unwrap() {
        println!("{fault:?}: {what}: {count}");
    }

    let Apart {
        mut proxy,
        tasks,
        stop,
        thread,
    } = apart;
    soon("the proxy to end", proxy.begin_stop()).await.unwrap();
    settles("tasks of the ended proxy", 0, || {
        tasks.metrics().num_alive_tasks()
    })
    .await;
    let _ = stop.send(());
    drop(tasks);
    thread.join().unwrap();
    settles("descriptors at the end", at_first, descriptors).await;
}
