//! A client that makes frames by hand, so that it can make wrong ones (RFC 9113, section 4.1).

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{TestProxy, soon};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 32;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Of a reset or a GOAWAY.
    pub(super) fn reason(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Headers as literals that no table remembers (RFC 7541, section 6.2.2).
pub(super) fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_bytes(), value] {
            // A number with a prefix of seven bits (RFC 7541, section 5.1).
            if text.len() < 127 {
                bytes.push(text.len() as u8);
            } else {
                bytes.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    bytes.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                bytes.push(rest as u8);
            }
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

/// One setting (RFC 9113, section 6.5.1).
pub(super) fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// The head of a proper request.
pub(super) fn get(path: &str) -> Vec<u8> {
    block(&[
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"lab"),
        (":path", path.as_bytes()),
    ])
}

pub(super) struct Raw(TcpStream);

impl Raw {
    pub(super) async fn new(proxy: &TestProxy) -> Self {
        Self::with_settings(proxy, &[]).await
    }

    pub(super) async fn with_settings(proxy: &TestProxy, settings: &[u8]) -> Self {
        let mut raw = Self::silent(proxy).await;
        raw.send(PREFACE).await;
        raw.send(&frame(SETTINGS, 0, 0, settings)).await;
        raw
    }

    /// Has not said anything yet.
    pub(super) async fn silent(proxy: &TestProxy) -> Self {
        Self(TcpStream::connect(proxy.address).await.unwrap())
    }

    /// Whether they were taken.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        soon("sending", self.0.write_all(bytes)).await.is_ok()
    }

    /// None at the end.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        soon("a frame", self.0.read_exact(&mut header)).await.ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        soon("a payload", self.0.read_exact(&mut payload))
            .await
            .ok()?;
        Some(Frame {
            kind: header[3],
            flags: header[4],
            stream: u32::from_be_bytes(header[5..9].try_into().unwrap()),
            payload,
        })
    }

    /// The next frame of one of these kinds; none at the end.
    pub(super) async fn find(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}
