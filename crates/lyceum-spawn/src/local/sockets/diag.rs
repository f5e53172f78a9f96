//! The listening sockets of one port, asked of the kernel by netlink (sock_diag(7)).
//!
//! The tables in `/proc` can only be read from their beginning: with a server on each of thousands
//! of ports that is milliseconds for each question, and the hub asks for every new connection.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use super::{Reach, Socket, reach};

/// The kernel answers at once or never.
const LIMIT: Duration = Duration::from_secs(5);
const ANSWER: usize = 32 * 1024;

const DONE: u16 = 3;
const ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const TCP: u8 = 6;
const LISTENING: u32 = 1 << 10;
const HEADER: usize = 16;

/// Which sockets are asked for, as `struct inet_diag_msg` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4 = 2,
    V6 = 10,
}

/// The sockets that would get a connection to this port of 127.0.0.1, as
/// [`super::Listeners::at`] has it.
pub(super) fn at(port: u16) -> io::Result<Vec<Socket>> {
    let found = super::first(&ask(port, Family::V4)?, port);
    if !found.is_empty() {
        return Ok(found);
    }
    match ask(port, Family::V6) {
        Ok(found) => Ok(super::first(&found, port)),
        // A machine without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn ask(port: u16, family: Family) -> io::Result<Vec<Socket>> {
    let socket: OwnedFd = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request(port, family), SendFlags::empty(), &kernel)?;
    let mut found = Vec::new();
    let mut answer = vec![0; ANSWER];
    loop {
        let (got, whole) = match recv(&socket, answer.as_mut_slice(), RecvFlags::TRUNC) {
            Err(Errno::INTR) => continue,
            received => received?,
        };
        if whole > got || got == 0 {
            return Err(strange());
        }
        if collect(&answer[..got], &mut found)? {
            return Ok(found);
        }
    }
}

/// `struct nlmsghdr`, `struct inet_diag_req_v2`; the kernel looks at the port by itself.
fn request(port: u16, family: Family) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_AND_DUMP.to_ne_bytes());
    // Number and sender: there is one question on this socket.
    bytes.extend([0; 8]);
    bytes.extend([family as u8, TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    // The other port, addresses, interface and cookie: any.
    bytes.resize(72, 0);
    bytes
}

/// Whether that was the last.
fn collect(mut bytes: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    while !bytes.is_empty() {
        let length = usize::try_from(number(bytes, 0)?).map_err(|_| strange())?;
        let message = bytes.get(..length).filter(|_| length >= HEADER);
        let message = message.ok_or_else(strange)?;
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let code = number(message, HEADER)?.cast_signed();
                return Err(io::Error::from_raw_os_error(-code));
            }
            SOCK_DIAG_BY_FAMILY => found.extend(socket(&message[HEADER..])?),
            _ => {}
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// `struct inet_diag_msg`; none for one that connections to 127.0.0.1 don't reach.
fn socket(bytes: &[u8]) -> io::Result<Option<Socket>> {
    let bytes: &[u8; 72] = bytes.first_chunk().ok_or_else(strange)?;
    let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    let source = [word(8), word(12), word(16), word(20)];
    let words = match bytes[0] {
        family if family == Family::V4 as u8 => &source[..1],
        family if family == Family::V6 as u8 => &source[..],
        _ => return Err(strange()),
    };
    let Some(reach): Option<Reach> = reach(words) else {
        return Ok(None);
    };
    Ok(Some(Socket {
        port: u16::from_be_bytes([bytes[4], bytes[5]]),
        reach,
        uid: number(bytes, 64)?,
        inode: u64::from(number(bytes, 68)?),
    }))
}

fn number(bytes: &[u8], at: usize) -> io::Result<u32> {
    let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
    bytes
        .map(|bytes| u32::from_ne_bytes(*bytes))
        .ok_or_else(strange)
}

fn strange() -> io::Error {
    let words = "the kernel's answer about sockets is not as sock_diag(7) has it";
    io::Error::new(io::ErrorKind::InvalidData, words)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_socket_is_found_while_it_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        // A connection at the same port is no listener.
        let _connection = TcpStream::connect(address).expect("connected");
        let found = at(address.port()).expect("told");
        let inode = rustix::fs::fstat(listener.as_fd()).expect("there").st_ino;
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].inode, found[0].uid), (inode, uid));
        assert_eq!(found[0].reach, Reach::Loopback);
        drop(listener);
        assert_eq!(at(address.port()).expect("told"), []);
    }

    #[test]
    fn both_ways_tell_the_same() {
        let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
        let mut all = vec![four];
        // A machine may have no IPv6.
        all.extend(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)));
        for listener in all {
            let port = listener.local_addr().expect("bound").port();
            let tables = super::super::Listeners::read().expect("tables");
            let tables = tables.at(port).expect("tables");
            assert_eq!(at(port).expect("told"), tables);
            assert_eq!(tables.len(), 1);
        }
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let mut found = Vec::new();
        for bytes in [&[1, 0, 0][..], &[8, 0, 0, 0, 20, 0, 0, 0], &[255; 40]] {
            assert!(collect(bytes, &mut found).is_err(), "{bytes:?}");
        }
        assert!(found.is_empty());
    }
}
