//! Just enough HTTP/1.1, over bytes: requests made ahead, answers read without keeping them.

use anyhow::{Context, Result, bail, ensure};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) const MIB: usize = 1024 * 1024;
const LARGEST_READ: usize = 256 * 1024;
/// For anything that should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server with this number says.
pub(crate) fn body_of(server: usize) -> String {
    format!("this is server {server}\n")
}

/// Headers about as a browser with a Jupyter page sends them, without a `Connection`.
pub(crate) fn request(method: &str, path: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: hub.example.org\r\nUser-Agent: lyceum-load\r\nAccept: application/json, text/javascript, */*; q=0.01\r\nAccept-Encoding: gzip, deflate\r\nCookie: _xsrf=2|8e5ea6d1|4f9c1ffbbf3c4a3f; theme=dark\r\n{more}\r\n"
    )
    .into_bytes()
}

/// Its key is the example of RFC 6455, section 1.3.
pub(crate) fn upgrade_request(path: &str) -> Vec<u8> {
    request(
        "GET",
        path,
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    )
}

/// Where the head of a message ends, if all of it is there.
pub(crate) fn find_end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
        let at = from + at;
        if at >= 3 && bytes[at - 3..at] == *b"\r\n\r" {
            return Some(at + 1);
        }
        from = at + 1;
    }
    None
}

/// What matters in a request's or an answer's head.
pub(crate) struct Head {
    pub(crate) length: Option<usize>,
    /// `Connection: close`.
    pub(crate) is_last: bool,
    pub(crate) is_upgrade: bool,
    pub(crate) is_chunked: bool,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let mut head = Self {
            length: None,
            is_last: false,
            is_upgrade: false,
            is_chunked: false,
        };
        for line in bytes.split(|byte| *byte == b'\n') {
            let value = |name: &str| {
                let (start, rest) = line.split_at_checked(name.len())?;
                start
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| rest.trim_ascii())
            };
            if let Some(length) = value("content-length:") {
                let length = std::str::from_utf8(length).context("a strange length")?;
                head.length = Some(length.parse().context("a strange length")?);
            } else if let Some(words) = value("connection:") {
                head.is_last = words.eq_ignore_ascii_case(b"close");
            } else if value("upgrade:").is_some() {
                head.is_upgrade = true;
            } else if value("transfer-encoding:").is_some() {
                head.is_chunked = true;
            }
        }
        Ok(head)
    }

    /// Of a request.
    pub(crate) fn path_ends_with(&self, bytes: &[u8], ending: &[u8]) -> bool {
        bytes
            .split(|byte| *byte == b' ')
            .nth(1)
            .is_some_and(|path| path.ends_with(ending))
    }
}

/// A client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = connect(to, None).await?;
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1024],
            start: 0,
            end: 0,
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads one answer and forgets its body; gives the status.
    pub(crate) async fn read_answer(&mut self) -> Result<u16> {
        let (status, head) = loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some(end) = find_end(bytes) {
                let status = bytes
                    .strip_prefix(b"HTTP/1.1 ")
                    .and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok())
                    .context("no status in the answer")?;
                let head = Head::read(&bytes[..end])?;
                self.start += end;
                break (status, head);
            }
            self.fill().await?;
        };
        match head.length {
            Some(length) => self.skip(length).await?,
            None if head.is_chunked => while self.skip_chunk().await? > 0 {},
            None if status == 204 => {}
            None => bail!("an answer with status {status} and no length"),
        }
        Ok(status)
    }

    async fn skip(&mut self, length: usize) -> Result<()> {
        let mut left = length;
        loop {
            let here = left.min(self.end - self.start);
            self.start += here;
            left -= here;
            if self.start == self.end {
                self.start = 0;
                self.end = 0;
            }
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// RFC 9112, section 7.1, without trailers; the last chunk has no bytes.
    async fn skip_chunk(&mut self) -> Result<usize> {
        let line = loop {
            let bytes = &self.buffer[self.start..self.end];
            if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            self.fill().await?;
        };
        let digits = self.buffer[self.start..self.start + line].trim_ascii();
        let size =
            usize::from_str_radix(std::str::from_utf8(digits)?, 16).context("a strange chunk")?;
        self.skip(line + 1).await?;
        self.skip(size + b"\r\n".len()).await?;
        Ok(size)
    }

    async fn fill(&mut self) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        ensure!(self.end < self.buffer.len(), "an endless head");
        let got = self.stream.read(&mut self.buffer[self.end..]).await?;
        ensure!(got > 0, "the connection was closed before the answer ended");
        self.end += got;
        // Large bodies are read in large pieces.
        if self.end == self.buffer.len() && self.end < LARGEST_READ {
            self.buffer.resize(self.end * 2, 0);
        }
        Ok(())
    }

    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request).await?;
        self.read_answer().await
    }

    /// An exchange that must be answered 200.
    pub(crate) async fn get(&mut self, request: &[u8]) -> Result<()> {
        let status = self.exchange(request).await?;
        ensure!(status == 200, "answered with status {status}");
        Ok(())
    }

    /// Whether the other side has closed it since the last answer.
    pub(crate) fn was_closed(&self) -> bool {
        match self.stream.try_read(&mut [0]) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// For what comes after an answer.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// A connection, with a source address of its own if there will be more than ports.
pub(crate) async fn connect(to: SocketAddr, from: Option<Ipv4Addr>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(from) = from {
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    }
    let stream = timeout(PATIENCE, socket.connect(to))
        .await
        .with_context(|| format!("connecting to {to} took too long"))?
        .with_context(|| format!("connecting to {to}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request on a connection of its own: status and body.
pub(crate) async fn ask(to: SocketAddr, path: &str, more: &str) -> Result<(u16, String)> {
    let asking = async {
        let mut stream = connect(to, None).await?;
        let more = format!("Connection: close\r\n{more}");
        stream.write_all(&request("GET", path, &more)).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .context("no status in the answer")?;
        Ok((status, body.to_owned()))
    };
    timeout(PATIENCE, asking)
        .await
        .context("no answer in time")?
}
