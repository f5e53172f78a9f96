//! Who would get a connection to a port of 127.0.0.1, as the kernel's tables tell.
//!
//! `/proc/net/tcp` and `tcp6` name for each listening socket its address, the account that made it
//! and its inode, by which it is found among the descriptors of a process ([`super::owner`]). Where
//! the kernel answers for a single port, it is asked for that ([`diag`]).

mod diag;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The state "listening" as the tables write it.
const LISTENING: &str = "0A";

/// A listening socket that connections to 127.0.0.1 may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    port: u16,
    reach: Reach,
    pub(crate) uid: u32,
    pub(crate) inode: u64,
}

/// What a socket is bound to; of those on one port the kernel takes the first kind there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// 127.0.0.1 itself.
    Loopback,
    /// 0.0.0.0.
    Any4,
    /// `[::]`, which may or may not take IPv4: the table does not say.
    Any6,
}

/// All listening sockets at one moment.
///
/// Reading a table costs the kernel a walk through its hash of connections until it meets one:
/// milliseconds where there are none, as often in that of IPv6. So that one is read when it is
/// needed: the kernel lets nobody but the same account listen on a port there that has a listener
/// for 127.0.0.1 here.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    v4: Vec<Socket>,
    v6: OnceLock<Result<Vec<Socket>, String>>,
}

impl Listeners {
    pub(crate) fn read() -> io::Result<Self> {
        Ok(Self {
            v4: collect(BufReader::new(File::open("/proc/net/tcp")?))?,
            v6: OnceLock::new(),
        })
    }

    /// The sockets that would get a connection to this port of 127.0.0.1. Several only when they
    /// share it, and then any of them.
    pub(crate) fn at(&self, port: u16) -> io::Result<Vec<Socket>> {
        let found = first(&self.v4, port);
        if !found.is_empty() {
            return Ok(found);
        }
        let v6 = self.v6.get_or_init(|| read_v6().map_err(|e| e.to_string()));
        match v6 {
            Ok(v6) => Ok(first(v6, port)),
            Err(words) => Err(io::Error::other(words.clone())),
        }
    }
}

fn read_v6() -> io::Result<Vec<Socket>> {
    match File::open("/proc/net/tcp6") {
        Ok(file) => collect(BufReader::new(file)),
        // A machine without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn first(sockets: &[Socket], port: u16) -> Vec<Socket> {
    let there = || sockets.iter().filter(|socket| socket.port == port);
    let first = there().map(|socket| socket.reach).min();
    let taken = there().filter(|socket| Some(socket.reach) == first);
    taken.copied().collect()
}

/// The kernel writes the listening sockets first and then the connections, which may be many.
fn collect(table: impl BufRead) -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1);
        if fields.nth(1) != Some(LISTENING) {
            break;
        }
        let uid = fields.nth(3).and_then(|uid| uid.parse().ok());
        let inode = fields.nth(1).and_then(|inode| inode.parse().ok());
        let (Some((address, port)), Some(uid), Some(inode)) =
            (local.and_then(|local| local.split_once(':')), uid, inode)
        else {
            let words = "a line in the table of sockets is not as proc(5) has it";
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        };
        let port = u16::from_str_radix(port, 16).map_err(io::Error::other)?;
        if let Some(reach) = reach_of(address) {
            found.push(Socket {
                port,
                reach,
                uid,
                inode,
            });
        }
    }
    Ok(found)
}

/// Addresses are written as numbers of 32 bits whose bytes lie in memory as on the wire.
fn reach_of(address: &str) -> Option<Reach> {
    let words: Vec<[u8; 4]> = address
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let number = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
            Some(number.to_ne_bytes())
        })
        .collect::<Option<_>>()?;
    reach(&words)
}

fn reach(words: &[[u8; 4]]) -> Option<Reach> {
    match *words {
        [[127, 0, 0, 1]] | [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 255, 255], [127, 0, 0, 1]] => {
            Some(Reach::Loopback)
        }
        [[0, 0, 0, 0]] | [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 255, 255], [0, 0, 0, 0]] => {
            Some(Reach::Any4)
        }
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]] => Some(Reach::Any6),
        _ => None,
    }
}

/// Whether it can be told who listens on a port; else why not.
pub(crate) fn self_check() -> Result<(), String> {
    if check(diag::at).is_ok() {
        return Ok(());
    }
    check(|port| Listeners::read()?.at(port)).map_err(|words| format!("/proc/net/tcp: {words}"))
}

/// Whether a socket that was just made is told of; else why not.
fn check(ask: impl Fn(u16) -> io::Result<Vec<Socket>>) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| error.to_string();
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| words(&e))?;
    let port = socket.local_addr().map_err(|e| words(&e))?.port();
    let inode = rustix::fs::fstat(socket.as_fd())
        .map_err(|e| words(&e))?
        .st_ino;
    let found = ask(port).map_err(|e| words(&e))?;
    if found.iter().any(|found| found.inode == inode) {
        Ok(())
    } else {
        Err("a socket that was just made is not told of".into())
    }
}

/// Tells of ports. Where the tables must be read, a reading serves all who asked before it began.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    kept: Mutex<Kept>,
    begun: AtomicU64,
    /// Whether the kernel answers for one port.
    answers: OnceLock<bool>,
}

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    listeners: Arc<Listeners>,
}

impl Reader {
    /// The sockets that would get a connection to this port of 127.0.0.1, at a moment after this was
    /// called. Blocking.
    pub(crate) fn at(&self, port: u16) -> io::Result<Vec<Socket>> {
        match self.answers.get_or_init(|| check(diag::at).is_ok()) {
            true => diag::at(port),
            false => self.read()?.at(port),
        }
    }

    fn read(&self) -> io::Result<Arc<Listeners>> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.number <= before {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let listeners = Arc::new(Listeners::read()?);
            *kept = Kept { number, listeners };
        }
        Ok(kept.listeners.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(bytes: &[[u8; 4]], port: u16, state: &str, uid: u32, inode: u64) -> String {
        let address: String = bytes
            .iter()
            .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
            .collect();
        format!(
            "   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 \
             00000000 {uid:>5}        0 {inode} 1 000000004851190f 100 0 0 10 0\n"
        )
    }

    const NULL: [u8; 4] = [0; 4];
    const MAPPED: [u8; 4] = [0, 0, 255, 255];
    const LOOPBACK: [u8; 4] = [127, 0, 0, 1];

    fn listeners(v4: &[&String], v6: &[&String]) -> io::Result<Listeners> {
        let read = |lines: &[&String]| {
            let lines: String = lines.iter().map(|line| line.as_str()).collect();
            collect(format!("{HEAD}{lines}").as_bytes())
        };
        Ok(Listeners {
            v4: read(v4)?,
            v6: OnceLock::from(Ok(read(v6)?)),
        })
    }

    #[test]
    fn the_most_exact_address_gets_the_connection() {
        let check = |v4: &[&String], v6: &[&String], expect: &[u64]| {
            let found = listeners(v4, v6).and_then(|listeners| listeners.at(80));
            let found = found.expect("a table");
            let inodes: Vec<u64> = found.iter().map(|socket| socket.inode).collect();
            assert_eq!(inodes, expect);
        };
        let exact = line(&[LOOPBACK], 80, "0A", 7, 1);
        let mapped = line(&[NULL, NULL, MAPPED, LOOPBACK], 80, "0A", 7, 2);
        let any = line(&[NULL], 80, "0A", 7, 3);
        let any6 = line(&[NULL; 4], 80, "0A", 7, 4);
        let elsewhere = line(&[[10, 0, 0, 1]], 80, "0A", 7, 5);
        let other_port = line(&[LOOPBACK], 81, "0A", 7, 6);
        let shared = line(&[LOOPBACK], 80, "0A", 8, 7);
        check(&[], &[], &[]);
        check(&[&elsewhere, &other_port], &[], &[]);
        check(&[&elsewhere], &[&any6], &[4]);
        check(&[&any], &[&any6], &[3]);
        check(&[], &[&any6, &mapped], &[2]);
        check(&[&any, &exact, &elsewhere], &[&any6], &[1]);
        check(&[&any, &exact, &shared], &[], &[1, 7]);
    }

    #[test]
    fn connections_are_not_listeners() {
        let lines = [
            line(&[LOOPBACK], 80, "0A", 7, 1),
            line(&[LOOPBACK], 80, "01", 8, 2),
        ];
        let found = listeners(&[&lines[0], &lines[1]], &[]);
        let found = found.and_then(|listeners| listeners.at(80));
        let found = found.expect("a table");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].uid, found[0].inode), (7, 1));
    }

    #[test]
    fn a_strange_table_is_an_error_and_not_an_empty_one() {
        assert!(listeners(&[&"  0: nonsense x 0A y\n".to_owned()], &[]).is_err());
    }

    #[test]
    fn this_machine_tells() {
        assert_eq!(self_check(), Ok(()));
    }

    #[test]
    fn a_reading_is_never_older_than_the_question() {
        let reader = Reader::default();
        for _ in 0..20 {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let port = socket.local_addr().expect("bound").port();
            let there = || {
                let listeners = reader.read().expect("a table");
                listeners.at(port).expect("a table").len()
            };
            assert_eq!(there(), 1);
            drop(socket);
            assert_eq!(there(), 0);
        }
    }
}
