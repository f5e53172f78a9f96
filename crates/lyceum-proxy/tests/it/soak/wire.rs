//! HTTP/1 as it comes, whole or not, and as it is written, taken or not.

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};

use crate::support::header;

/// None at the end.
pub(super) async fn read_head(wire: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
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
pub(super) async fn hold(wire: &mut (impl AsyncRead + Unpin)) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(1..) = wire.read(&mut piece).await {}
}

/// A body by length or chunks, as far as it came, and whether that is all of it.
pub(super) async fn read_body(
    wire: &mut (impl AsyncBufRead + Unpin),
    head: &str,
) -> (Vec<u8>, bool) {
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

pub(super) async fn read_length(
    wire: &mut (impl AsyncBufRead + Unpin),
    length: usize,
) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let read = wire.take(length as u64).read_to_end(&mut body).await;
    let complete = read.is_ok() && body.len() == length;
    (body, complete)
}

/// Writes, however it goes; what is written is what a fault is about.
pub(super) async fn say(wire: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) -> bool {
    wire.write_all(bytes.as_ref()).await.is_ok()
}

pub(super) async fn say_slowly(wire: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    for piece in bytes.chunks(1 + bytes.len() / 12) {
        if !say(wire, piece).await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

pub(super) struct Got {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    pub(super) is_whole: bool,
}

/// The real answer, as far as it came; none if not even its head did.
pub(super) async fn read_answer(wire: &mut (impl AsyncBufRead + Unpin)) -> Option<Got> {
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
