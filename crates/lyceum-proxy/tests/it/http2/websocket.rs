//! WebSockets over HTTP/2 (RFC 8441): to the server they are those of HTTP/1.1.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_util::{SinkExt, StreamExt};
use h2::{RecvStream, SendStream, ext::Protocol};
use hyper::{Request, Response};
use lyceum_proxy::{Http2, Limits, Revoked};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use super::{Connection, plain, request, start};
use crate::support::{Server, header, read_head, resting_on, soon, until};

/// The client's side of a stream.
pub(super) struct Side(pub(super) SendStream<Bytes>, RecvStream, Bytes);

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let side = &mut *self;
        while side.2.is_empty() {
            match std::task::ready!(side.1.poll_data(cx)) {
                Some(data) => side.2 = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
            let length = side.2.len();
            let flow = side.1.flow_control();
            flow.release_capacity(length).map_err(io::Error::other)?;
        }
        let length = side.2.len().min(buf.remaining());
        buf.put_slice(&side.2[..length]);
        side.2.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = &mut self.0;
        send.reserve_capacity(buf.len());
        while send.capacity() == 0 {
            match std::task::ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = send.capacity().min(buf.len());
        let sent = send.send_data(Bytes::copy_from_slice(&buf[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.0.send_data(Bytes::new(), true);
        Poll::Ready(sent.map_err(io::Error::other))
    }
}

pub(super) fn connect(path: &str, protocol: &'static str) -> Request<()> {
    let mut asked = request("CONNECT", path);
    asked
        .extensions_mut()
        .insert(Protocol::from_static(protocol));
    let headers = asked.headers_mut();
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    headers.insert("sec-websocket-protocol", "v1.kernel".parse().unwrap());
    headers.insert("origin", "http://lab".parse().unwrap());
    asked
}

type Socket = WebSocketStream<Side>;

pub(super) async fn tunnel(
    connection: &mut Connection,
    asked: Request<()>,
) -> (Response<()>, Option<Side>) {
    until("the settings", || {
        connection.requests.is_extended_connect_protocol_enabled()
    })
    .await;
    let (response, send) = connection.send(asked, false).await;
    let response = soon("an answer", response).await.unwrap();
    let (parts, recv) = response.into_parts();
    let is_open = parts.status == 200;
    let side = is_open.then(|| Side(send, recv, Bytes::new()));
    (Response::from_parts(parts, ()), side)
}

async fn open(connection: &mut Connection, asked: Request<()>) -> (Response<()>, Option<Socket>) {
    let (response, side) = tunnel(connection, asked).await;
    let socket = match side {
        Some(side) => Some(WebSocketStream::from_raw_socket(side, Role::Client, None).await),
        None => None,
    };
    (response, socket)
}

#[expect(
    clippy::result_large_err,
    reason = "the library's own type for a refused handshake"
)]
async fn echo() -> Server {
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
    Server::raw(|stream, seen| async move {
        let choose = |request: &Request, mut response: Response| {
            let mut head = format!("GET {} HTTP/1.1\r\n", request.uri());
            for (name, value) in request.headers() {
                head += &format!("{name}: {}\r\n", value.to_str().unwrap());
            }
            seen.lock().unwrap().push((head, Vec::new()));
            let protocol = "v1.kernel".parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let accepted = tokio_tungstenite::accept_hdr_async(stream, choose).await;
        let Ok(mut socket) = accepted else { return };
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

async fn say(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let back = soon("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(back, message);
}

async fn is_closed(socket: &mut Socket) -> bool {
    !matches!(
        soon("the close", socket.next()).await,
        Some(Ok(Message::Text(_) | Message::Binary(_)))
    )
}

#[tokio::test]
async fn messages_go_both_ways_beside_requests() {
    let server = echo().await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let mut asked = connect("/open/api/kernels/1/channels?session_id=2", "websocket");
    let key = "b2xkIGtleSBvZiBjbGllbnQ=".parse().unwrap();
    asked.headers_mut().insert("sec-websocket-key", key);
    let (response, socket) = open(&mut connection, asked).await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "v1.kernel");
    for gone in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(!response.headers().contains_key(gone), "{gone}");
    }
    let (head, _) = server.last();
    assert!(head.starts_with("GET /open/api/kernels/1/channels?session_id=2 "));
    assert_eq!(header(&head, "host").unwrap(), "lab");
    assert_eq!(header(&head, "origin").unwrap(), "http://lab");
    assert_ne!(
        header(&head, "sec-websocket-key").unwrap(),
        "b2xkIGtleSBvZiBjbGllbnQ="
    );
    let mut socket = socket.unwrap();
    say(&mut socket, Message::text("hello")).await;
    say(&mut socket, Message::binary(vec![7; 3 << 20])).await;
    assert_eq!(proxy.proxy.activity_now().get("open"), Some(&1));
    let moved = proxy.proxy.take_activity();
    let open = moved.iter().find(|one| one.route_id == "open").unwrap();
    assert!(open.bytes_in > 3 << 20 && open.bytes_out > 3 << 20);
    assert!(proxy.metrics().contains("lyceum_proxy_websockets 1"));
    assert_eq!(connection.get("/_chp_healthz").await.0, 200);
    socket.close(None).await.unwrap();
    assert!(is_closed(&mut socket).await);
    until("the tunnel to end", || {
        let metrics = proxy.metrics();
        proxy.proxy.activity_now().is_empty()
            && metrics.contains("lyceum_proxy_websockets 0")
            && metrics.contains("lyceum_proxy_http2_streams 0")
    })
    .await;
    // One that is simply taken back ends too.
    let asked = connect("/open/", "websocket");
    let (_, socket) = super::websocket::open(&mut connection, asked).await;
    assert_eq!(proxy.proxy.activity_now().get("open"), Some(&1));
    drop(socket);
    until("the tunnel to end", || {
        proxy.proxy.activity_now().is_empty()
    })
    .await;
}

#[tokio::test]
async fn revocation_closes_what_it_let_in_and_nothing_else() {
    let server = echo().await;
    let proxy = plain(&server).await;
    proxy.access.allow("a", "ada");
    proxy.access.allow("b", "bob");
    let mut connection = Connection::new(&proxy).await;
    let asked = |cookie: &str| {
        let mut asked = connect("/user/ada/", "websocket");
        asked
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        asked
    };
    let (refused, _) = open(&mut connection, asked("a=1")).await;
    assert_eq!(refused.status(), 403);
    let (_, ada) = open(&mut connection, asked("lyceum-access=a")).await;
    let (_, bob) = open(&mut connection, asked("lyceum-access=b")).await;
    let (mut ada, mut bob) = (ada.unwrap(), bob.unwrap());
    assert!(
        proxy
            .access
            .asks
            .lock()
            .unwrap()
            .iter()
            .all(|ask| ask.is_websocket)
    );
    proxy.proxy.revoke(resting_on("ada", "another browser"));
    say(&mut ada, Message::text("still here")).await;
    proxy.proxy.revoke(resting_on("ada", "a"));
    assert!(is_closed(&mut ada).await);
    say(&mut bob, Message::text("still here")).await;
    proxy.proxy.revoke(Revoked::All);
    assert!(is_closed(&mut bob).await);
}

#[tokio::test]
async fn a_drain_keeps_tunnels_until_its_deadline() {
    let server = echo().await;
    let limits = Limits {
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    let mut proxy = start(&server, Http2::default(), limits).await;
    let mut connection = Connection::new(&proxy).await;
    let (_, socket) = open(&mut connection, connect("/open/", "websocket")).await;
    let mut socket = socket.unwrap();
    let running = proxy.begin_stop();
    say(&mut socket, Message::text("still here")).await;
    assert!(is_closed(&mut socket).await);
    soon("the proxy to end", running).await.unwrap();
    assert!(proxy.metrics().contains("lyceum_proxy_websockets 0"));
}

#[tokio::test]
async fn what_is_no_websocket_is_refused() {
    let answers = |path: &str| match path {
        "/open/no-proof" => "101 X\r\nConnection: upgrade\r\nUpgrade: websocket",
        "/open/false-proof" => {
            "101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        }
        "/open/other" => "101 X\r\nConnection: upgrade\r\nUpgrade: chat",
        "/open/ok" => "200 OK\r\nContent-Length: 0",
        "/open/moved" => "302 Found\r\nLocation: /x\r\nContent-Length: 0",
        _ => "404 No\r\nContent-Length: 0",
    };
    let server = Server::raw(move |mut stream, seen| async move {
        use tokio::io::AsyncWriteExt;
        let head = read_head(&mut stream).await.unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        seen.lock().unwrap().push((head, Vec::new()));
        let answer = format!("HTTP/1.1 {}\r\n\r\n", answers(&path));
        stream.write_all(answer.as_bytes()).await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    for (path, expect) in [
        ("/open/no-proof", 502),
        ("/open/false-proof", 502),
        ("/open/other", 502),
        ("/open/ok", 502),
        ("/open/moved", 302),
        ("/open/none", 404),
    ] {
        let (response, _) = open(&mut connection, connect(path, "websocket")).await;
        assert_eq!(response.status(), expect, "{path}");
    }
    let count = server.count();
    let (response, _) = open(&mut connection, connect("/open/", "connect-udp")).await;
    assert_eq!(response.status(), 501);
    let mut sized = connect("/open/", "websocket");
    sized
        .headers_mut()
        .insert("content-length", "4".parse().unwrap());
    let (response, _) = open(&mut connection, sized).await;
    assert_eq!(response.status(), 400);
    let tunnel = Request::builder()
        .method("CONNECT")
        .uri("lab:80")
        .body(())
        .unwrap();
    let (response, _) = open(&mut connection, tunnel).await;
    assert_eq!(response.status(), 405);
    assert_eq!(server.count(), count, "none of these reached the server");
    assert!(proxy.metrics().contains("lyceum_proxy_websockets 0"));
}
