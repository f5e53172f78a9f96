//! Tunnels: WebSockets and any other upgrade.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use lyceum_proxy::{Config, Limits, Revoked, RouteAccess, RouteTable};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    alone::{alone, resident_kib},
    support::{Server, TestProxy, read_head, resting_on, route, soon, until},
};

async fn websocket_echo() -> Server {
    Server::raw(|stream, _| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

async fn dial(
    proxy: &TestProxy,
    path: &str,
    cookie: &str,
) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let mut request = format!("ws://{}{path}", proxy.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    let (socket, _) = soon("a WebSocket", tokio_tungstenite::connect_async(request))
        .await
        .unwrap();
    socket
}

async fn is_closed(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> bool {
    !matches!(
        soon("the close", socket.next()).await,
        Some(Ok(Message::Text(_) | Message::Binary(_)))
    )
}

#[tokio::test]
async fn messages_go_both_ways_and_count_as_activity() {
    let server = websocket_echo().await;
    let proxy = TestProxy::open(server.address).await;
    let mut socket = dial(&proxy, "/open/api/kernels/1/channels?session_id=2", "a=1").await;
    let big = Message::binary(vec![7; 3 << 20]);
    for message in [Message::text("hello"), big] {
        socket.send(message.clone()).await.unwrap();
        let back = soon("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(back, message);
    }
    assert_eq!(proxy.proxy.activity_now().get("open"), Some(&1));
    let moved = proxy.proxy.take_activity();
    assert!(moved[0].bytes_in > 3 << 20 && moved[0].bytes_out > 3 << 20);
    assert_eq!(moved[0].open_websockets, 1);
    assert!(proxy.metrics().contains("lyceum_proxy_websockets 1"));
    socket.close(None).await.unwrap();
    until("the tunnel to end", || {
        proxy.proxy.activity_now().is_empty()
    })
    .await;
    until("the gauge", || {
        proxy.metrics().contains("lyceum_proxy_websockets 0")
    })
    .await;
}

/// Sends `hello` after its 101, then echoes, and says `bye` at the end of input.
async fn talkative() -> Server {
    Server::raw(|mut stream, seen| async move {
        let Some(head) = read_head(&mut stream).await else {
            return;
        };
        seen.lock().unwrap().push((head, Vec::new()));
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            stream.write_all(&piece[..read]).await.unwrap();
        }
        let _ = stream.write_all(b"bye").await;
    })
    .await
}

const CHAT: &str =
    "GET /open/ HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";

#[tokio::test]
async fn bytes_sent_along_with_the_upgrade_are_not_lost() {
    let server = talkative().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send(format!("{CHAT}early")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101"));
    assert_eq!(client.exactly(10).await, b"helloearly");
    client.send("late").await;
    assert_eq!(client.exactly(4).await, b"late");
}

#[tokio::test]
async fn one_side_may_finish_first() {
    let server = talkative().await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    client.send(CHAT).await;
    client.head().await;
    client.exactly(5).await;
    client.send("last words").await;
    client.0.shutdown().await.unwrap();
    let (rest, was_reset) = client.read_rest().await;
    assert_eq!((rest.as_slice(), was_reset), (&b"last wordsbye"[..], false));
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let server = Server::answer_with("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = TestProxy::open(server.address).await;
    let answer = proxy.ask(CHAT).await;
    assert_eq!((answer.status, answer.text().as_str()), (404, "no"));
}

#[tokio::test]
async fn revocation_closes_what_it_let_in_and_nothing_else() {
    let server = websocket_echo().await;
    let routes = vec![route("/user/ada/", server.address, RouteAccess::Checked)];
    let proxy = TestProxy::start(Config::default(), server.address, routes).await;
    proxy.access.allow("a", "ada");
    proxy.access.allow("b", "bob");
    for what in [Revoked::Subject("ada".into()), resting_on("ada", "a")] {
        let mut ada = dial(&proxy, "/user/ada/", "lyceum-access=a").await;
        let mut bob = dial(&proxy, "/user/ada/", "lyceum-access=b").await;
        proxy.proxy.revoke(what);
        assert!(is_closed(&mut ada).await);
        bob.send(Message::text("still here")).await.unwrap();
        assert!(!is_closed(&mut bob).await);
    }
    let mut bob = dial(&proxy, "/user/ada/", "lyceum-access=b").await;
    proxy.proxy.revoke(Revoked::All);
    assert!(is_closed(&mut bob).await);
    until("no tunnel to be left", || {
        proxy.proxy.activity_now().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_outlives_its_route() {
    let server = websocket_echo().await;
    let proxy = TestProxy::open(server.address).await;
    let mut socket = dial(&proxy, "/open/", "a=1").await;
    proxy.proxy.set_routes(RouteTable::default());
    socket.send(Message::text("still here")).await.unwrap();
    assert!(!is_closed(&mut socket).await);
    assert_eq!(proxy.proxy.take_activity()[0].open_websockets, 1);
    drop(socket);
    until("the route to be forgotten", || {
        proxy.proxy.take_activity();
        proxy.proxy.activity_now().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_frozen_server_does_not_hold_clients_that_left() {
    let held = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let server = Server::raw({
        let held = held.clone();
        move |mut stream, _| {
            let held = held.clone();
            async move {
                read_head(&mut stream).await;
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                held.lock().await.push(stream);
            }
        }
    })
    .await;
    let config = Config {
        limits: Limits {
            half_closed: Duration::from_millis(200),
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", server.address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, server.address, routes).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        let mut client = proxy.connect().await;
        client.send(CHAT).await;
        assert!(client.head().await.starts_with("HTTP/1.1 101"));
        if number % 2 == 0 {
            // These tunnels are in the middle of a write that does not go on.
            client.send_until_stuck().await;
            // A plain close would wait behind the bytes that nobody takes.
            client.0.set_zero_linger().unwrap();
        }
        clients.push(client);
    }
    drop(clients);
    until("all connections to be given up", || {
        proxy.metrics().contains("lyceum_proxy_connections 0")
    })
    .await;
    assert_eq!(server.connections.load(SeqCst), 20);
}

fn read_head_of(mut stream: &StdStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
}

/// Clients' ends of so many WebSockets, which hold nothing but a descriptor each.
async fn idle_websockets(proxy: SocketAddr, many: usize) -> Vec<StdStream> {
    let open = move || {
        let mut clients = Vec::with_capacity(many);
        for _ in 0..many {
            let mut client = StdStream::connect(proxy).unwrap();
            client.write_all(CHAT.as_bytes()).unwrap();
            read_head_of(&client);
            clients.push(client);
        }
        clients
    };
    tokio::task::spawn_blocking(open).await.unwrap()
}

#[tokio::test]
async fn idle_ones_take_little_memory_and_give_it_back() {
    if !alone("websocket::idle_ones_take_little_memory_and_give_it_back") {
        return;
    }
    const MANY: usize = 3_000;
    const MOST_KIB: usize = 8;
    lyceum_proxy::raise_descriptor_limit().unwrap();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let held = Arc::new(Mutex::new(Vec::with_capacity(MANY)));
    std::thread::spawn({
        let held = held.clone();
        move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                read_head_of(&stream);
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
                stream.write_all(answer.as_bytes()).unwrap();
                held.lock().unwrap().push(stream);
            }
        }
    });
    let config = Config {
        limits: Limits {
            connections: 2 * MANY,
            connections_per_client: 2 * MANY,
            ..Limits::default()
        },
        ..Config::default()
    };
    let routes = vec![route("/open/", address, RouteAccess::Open)];
    let proxy = TestProxy::start(config, address, routes).await;
    let close = async |clients: Vec<StdStream>| {
        drop(clients);
        held.lock().unwrap().clear();
        until("all to be closed", || {
            proxy.sample("lyceum_proxy_connections") == 0
        })
        .await;
    };
    // What is there once for all.
    close(idle_websockets(proxy.address, 20).await).await;
    let before = resident_kib();
    let clients = idle_websockets(proxy.address, MANY).await;
    let full = resident_kib();
    println!("{before} KiB, with {MANY} idle WebSockets {full} KiB");
    assert!(
        full - before < MANY * MOST_KIB,
        "{before} KiB, then {full} KiB"
    );
    close(clients).await;
    let back = before + before / 5;
    assert!(full > back, "too few to tell");
    let began = Instant::now();
    while resident_kib() > back {
        let now = resident_kib();
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{before} KiB, {full} KiB, {now} KiB"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
