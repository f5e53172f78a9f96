//! Visitors over HTTP/2: several requests at once on a connection, some of them taken back, and
//! tunnels.

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use hyper::Request;

use super::{
    faults::{FAULTS, Fault, Fault::*},
    places::Line,
    random::body_of,
    visitor::Visitor,
    wire::Got,
};
use crate::support::soon;

fn request(method: &str, fault: Fault, number: u64) -> Request<()> {
    let index = FAULTS.iter().position(|one| *one == fault).unwrap();
    let request = Request::builder().method(method);
    let request = request.uri(format!("https://lab/open/{index}/{number}"));
    request.body(()).unwrap()
}

/// Sends as the window allows, however it goes.
async fn send_all(mut send: SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = match std::future::poll_fn(|cx| send.poll_capacity(cx)).await {
            Some(Ok(room)) => room.min(bytes.len()),
            _ => return false,
        };
        if send.send_data(bytes.split_to(room), false).is_err() {
            return false;
        }
    }
    send.send_data(Bytes::new(), true).is_ok()
}

async fn piece(recv: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let piece = recv.data().await?;
    if let Ok(piece) = &piece {
        let _ = recv.flow_control().release_capacity(piece.len());
    }
    Some(piece)
}

/// As far as it came.
async fn read_all(mut recv: RecvStream) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(piece) = piece(&mut recv).await {
        let Ok(piece) = piece else {
            return (body, false);
        };
        body.extend_from_slice(&piece);
    }
    (body, true)
}

impl Visitor {
    pub(super) async fn visit_http2(&mut self, line: Line) {
        if self.rng.below(2) == 0 {
            line.reset_at_end();
        }
        let handshake = soon("a handshake", h2::client::handshake(line)).await;
        let (mut requests, connection) = handshake.expect("HTTP/2");
        let task = tokio::spawn(connection);
        for _ in 0..1 + self.rng.below(3) {
            let goes_on = match self.rng.below(6) {
                0 => self.tunnel_http2(&mut requests).await,
                1 => self.take_back(&mut requests).await,
                _ => self.ask_several(&mut requests).await,
            };
            if goes_on.is_none() {
                break;
            }
        }
        task.abort();
        let _ = task.await;
    }

    /// None if the connection is over.
    async fn ask_several(&mut self, requests: &mut SendRequest<Bytes>) -> Option<()> {
        let mut asked = Vec::new();
        for _ in 0..1 + self.rng.below(6) {
            let (fault, number) = (self.fault(), self.rng.next());
            let body = match self.rng.below(2) {
                0 => None,
                _ => Some(Bytes::from(body_of(self.rng.next()))),
            };
            let method = if body.is_some() { "PUT" } else { "GET" };
            *requests = soon("room", requests.clone().ready()).await.ok()?;
            let request = request(method, fault, number);
            let (answer, send) = requests.send_request(request, body.is_none()).ok()?;
            asked.push((fault, number, answer, send, body));
        }
        let all = asked
            .into_iter()
            .map(|(fault, number, answer, send, body)| async move {
                let sending = async {
                    if let Some(body) = body {
                        send_all(send, body).await;
                    }
                };
                let reading = async {
                    let answer = answer.await.ok()?;
                    let (parts, recv) = answer.into_parts();
                    let (body, is_whole) = read_all(recv).await;
                    Some(Got {
                        status: parts.status.as_u16(),
                        head: format!("{:?}", parts.headers),
                        body,
                        is_whole,
                    })
                };
                let ((), got) = tokio::join!(sending, reading);
                (fault, number, got)
            });
        let answers = soon("all of them", futures_util::future::join_all(all)).await;
        for (fault, number, got) in answers {
            self.check(fault, number, got);
        }
        Some(())
    }

    async fn take_back(&mut self, requests: &mut SendRequest<Bytes>) -> Option<()> {
        let (fault, number) = (self.fault(), self.rng.next());
        *requests = soon("room", requests.clone().ready()).await.ok()?;
        let request = request("PUT", fault, number);
        let (answer, mut send) = requests.send_request(request, false).ok()?;
        send.send_data(body_of(number).into(), false).ok()?;
        if self.rng.below(2) == 0 {
            let moment = std::time::Duration::from_millis(100);
            let _ = tokio::time::timeout(moment, answer).await;
        }
        send.send_reset(h2::Reason::CANCEL);
        self.tally.note(fault, "taken back");
        Some(())
    }

    async fn tunnel_http2(&mut self, requests: &mut SendRequest<Bytes>) -> Option<()> {
        *requests = soon("room", requests.clone().ready()).await.ok()?;
        // Known once the proxy's settings have come.
        if !requests.is_extended_connect_protocol_enabled() {
            return Some(());
        }
        let mut asked = request("CONNECT", Length, self.rng.next());
        let websocket = Protocol::from_static("websocket");
        asked.extensions_mut().insert(websocket);
        let version = "13".parse().unwrap();
        asked.headers_mut().insert("sec-websocket-version", version);
        let (answer, mut send) = requests.send_request(asked, false).ok()?;
        let answer = soon("a tunnel", answer).await.ok()?;
        if answer.status() != 200 {
            assert!(matches!(answer.status().as_u16(), 503 | 504));
            return Some(());
        }
        self.tally.note(Length, "tunnel over HTTP/2");
        let mut recv = answer.into_body();
        for _ in 0..self.rng.below(20) {
            let length = 1 + self.rng.below(6_000);
            let said = self.rng.bytes(length);
            if send.send_data(said.clone().into(), false).is_err() {
                return Some(());
            }
            let mut back = Vec::new();
            while back.len() < said.len() {
                match soon("an echo", piece(&mut recv)).await {
                    Some(Ok(piece)) => back.extend_from_slice(&piece),
                    _ => return Some(()),
                }
            }
            assert!(back == said, "another's bytes in a tunnel");
        }
        if self.rng.below(2) == 0 && send.send_data(Bytes::new(), true).is_ok() {
            soon("the tunnel's end", read_all(recv)).await;
        }
        Some(())
    }
}
