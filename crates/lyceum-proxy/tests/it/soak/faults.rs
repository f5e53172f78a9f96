//! Servers that do wrong, each request in the way that it names itself.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{
    random::{Rng, body_of, chunks},
    wire::{hold, read_body, read_head, say, say_slowly},
};
use crate::support::header;

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
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

type Wire = BufReader<TcpStream>;

pub(super) const FAULTS: [Fault; 25] = [
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
    /// Whether the proxy is to pass on an answer of 200, and all of it.
    pub(super) fn answers_well(self) -> bool {
        self.allowed().contains(&200) && self.can_end()
    }

    /// Statuses a client may see, other than that its connection ends, or that it was too late.
    pub(super) fn allowed(self) -> &'static [u16] {
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
    pub(super) fn can_end(self) -> bool {
        !matches!(
            self,
            FreezeInBody | ResetInBody | TooShort | CloseInChunks | BadChunks
        )
    }
}

/// One connection of the server that does wrong.
pub(super) async fn serve_badly(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut wire = BufReader::new(stream);
    while let Some(head) = read_head(&mut wire).await {
        let mut parts = head.split(' ').nth(1).unwrap().split('/').skip(2);
        let fault: usize = parts.next().unwrap().parse().unwrap();
        let number: u64 = parts.next().unwrap().parse().unwrap();
        if header(&head, "upgrade").is_some() {
            return serve_tunnel(wire, &head, number).await;
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
async fn serve_tunnel(mut wire: Wire, head: &str, number: u64) {
    let mut rng = Rng(number);
    let name = header(head, "upgrade").unwrap();
    let key = header(head, "sec-websocket-key").unwrap_or_default();
    let proof = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {name}\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    );
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
