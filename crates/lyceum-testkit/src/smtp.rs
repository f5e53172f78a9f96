//! A small mail server that speaks as little of SMTP as a client needs, and is strict about it: a line that does not
//! come in its turn, or does not end as it has to, ends the connection. It keeps what it takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::{BASE64, BASE64_MIME};
use lyceum_auth::addresses::MailAddress;
use lyceum_hub::mail::{MailConfig, Security};
use lyceum_model::secret::Secret;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// From whom letters come.
pub const FROM: &str = "jupyter@example.edu";
const USER: &str = "lyceum";
const PASSWORD: &str = "a password of the mail server";
/// A test does not wait longer for a letter.
const PATIENCE: Duration = Duration::from_secs(20);

/// A letter as it was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    pub from: String,
    pub to: Vec<String>,
    pub head: String,
    /// Decoded, with plain line ends.
    pub text: String,
}

impl Taken {
    /// What stands behind `key=` in the letter's link.
    pub fn secret(&self, key: &str) -> String {
        let (_, rest) = (self.text.split_once(&format!("{key}=")))
            .unwrap_or_else(|| panic!("no {key} in: {}", self.text));
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest[..end].to_owned()
    }
}

#[derive(Default)]
struct State {
    letters: watch::Sender<Vec<Taken>>,
    is_silent: AtomicBool,
    connections: AtomicUsize,
}

/// It ends when dropped.
pub struct Smtp {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let kept = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&kept);
                state.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if state.is_silent.load(Ordering::SeqCst) {
                        // Held open, and never answered.
                        std::future::pending::<()>().await;
                    }
                    // The client hears of it as an end of the connection.
                    drop(serve(stream, &state).await);
                });
            }
        });
        Self {
            address,
            state,
            accepting,
        }
    }

    /// How to send mail by it.
    pub fn config(&self) -> MailConfig {
        MailConfig {
            server: self.address.ip().to_string(),
            port: self.address.port(),
            security: Security::None,
            credentials: Some((USER.into(), Secret::new(PASSWORD))),
            from: MailAddress::parse(FROM).expect("an address"),
            hello: Some("hub.example.edu".into()),
            authorities: None,
        }
    }

    /// It answers nobody who comes from now on.
    pub fn fall_silent(&self) {
        self.state.is_silent.store(true, Ordering::SeqCst);
    }

    /// How often somebody came.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// All so far.
    pub fn letters(&self) -> Vec<Taken> {
        self.state.letters.borrow().clone()
    }

    /// The one of this number, the first is 1, as soon as it is there.
    pub async fn letter(&self, number: usize) -> Taken {
        let mut letters = self.state.letters.subscribe();
        let there = letters.wait_for(|letters| letters.len() >= number);
        let there = tokio::time::timeout(PATIENCE, there).await;
        let there = there.unwrap_or_else(|_| panic!("no letter {number} has come"));
        there.expect("the server runs")[number - 1].clone()
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

type Lines = BufReader<TcpStream>;

/// A line as it has to be: with its whole end, and not too long.
async fn line(lines: &mut Lines) -> std::io::Result<String> {
    let mut line = String::new();
    lines.read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(line) if !line.contains(['\r', '\n']) && line.len() <= 998 => Ok(line.to_owned()),
        _ => Err(std::io::Error::other(format!("no line: {line:?}"))),
    }
}

async fn say(lines: &mut Lines, words: &str) -> std::io::Result<()> {
    lines.get_mut().write_all(words.as_bytes()).await?;
    lines.get_mut().write_all(b"\r\n").await
}

async fn refuse<T>(lines: &mut Lines, line: &str) -> std::io::Result<T> {
    say(lines, "503 not now").await?;
    Err(std::io::Error::other(format!("out of turn: {line:?}")))
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    say(&mut lines, "220 mail.example.edu ESMTP").await?;
    let hello = line(&mut lines).await?;
    if hello != "EHLO hub.example.edu" {
        return refuse(&mut lines, &hello).await;
    }
    say(&mut lines, "250-mail.example.edu").await?;
    say(&mut lines, "250 AUTH PLAIN").await?;
    let auth = line(&mut lines).await?;
    let wanted = BASE64.encode(format!("\0{USER}\0{PASSWORD}").as_bytes());
    if auth != format!("AUTH PLAIN {wanted}") {
        say(&mut lines, "535 wrong").await?;
        return Err(std::io::Error::other("a wrong password"));
    }
    say(&mut lines, "235 welcome").await?;
    loop {
        let command = line(&mut lines).await?;
        if command == "QUIT" {
            return say(&mut lines, "221 bye").await;
        }
        if command == "NOOP" {
            say(&mut lines, "250 still here").await?;
            continue;
        }
        let Some(from) = path(&command, "MAIL FROM:<") else {
            return refuse(&mut lines, &command).await;
        };
        say(&mut lines, "250 good").await?;
        let mut to = Vec::new();
        loop {
            let command = line(&mut lines).await?;
            match path(&command, "RCPT TO:<") {
                Some(address) => to.push(address),
                None if command == "DATA" && !to.is_empty() => break,
                None => return refuse(&mut lines, &command).await,
            }
            say(&mut lines, "250 good").await?;
        }
        say(&mut lines, "354 go on").await?;
        let mut content = Vec::new();
        loop {
            let line = line(&mut lines).await?;
            match line.strip_prefix('.') {
                Some("") => break,
                Some(rest) => content.push(rest.to_owned()),
                None => content.push(line),
            }
        }
        let taken = read(from, to, &content.join("\r\n"));
        state.letters.send_modify(|letters| letters.push(taken));
        say(&mut lines, "250 taken").await?;
    }
}

/// The address of a command, whatever parameters stand behind it.
fn path(command: &str, before: &str) -> Option<String> {
    let rest = command.strip_prefix(before)?;
    let (address, _) = rest.split_once('>')?;
    Some(address.to_owned())
}

fn read(from: String, to: Vec<String>, content: &str) -> Taken {
    let (head, body) = content.split_once("\r\n\r\n").expect("a head and a body");
    let encoding = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.eq_ignore_ascii_case("content-transfer-encoding");
        is_it.then(|| value.trim().to_ascii_lowercase())
    });
    let bytes = match encoding.as_deref() {
        Some("quoted-printable") => unquote(body),
        Some("base64") => {
            let body = format!("{}\r\n", body.trim_end());
            BASE64_MIME.decode(body.as_bytes()).expect("base64")
        }
        _ => body.as_bytes().to_vec(),
    };
    let text = String::from_utf8(bytes).expect("text");
    Taken {
        from,
        to,
        head: head.to_owned(),
        text: text.replace("\r\n", "\n"),
    }
}

/// Quoted-printable (RFC 2045, 6.7).
fn unquote(body: &str) -> Vec<u8> {
    let joined = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'=', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}
