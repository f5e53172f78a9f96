//! Which socket gets a connection to a port of 127.0.0.1, asked of the kernel by netlink (sock_diag(7)).
//!
//! The tables in `/proc` can only be read from their beginning: with a server on each of thousands
//! of ports that is milliseconds for each question, and the hub asks for every new connection. Nor is
//! the kernel asked for a list, for which it walks through its whole hash of ports, but for the one
//! socket that it would choose itself. Where several share the port (`SO_REUSEPORT`) that is any of
//! them; only programs of one account can share one, and these are not safe from each other anyway.

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
const ANSWER: usize = 4 * 1024;

const ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
const ALL_STATES: u32 = u32::MAX;
/// The interface `lo`, the first of every network namespace. A socket may be bound to it alone.
const LOOPBACK: u32 = 1;
const HEADER: usize = 16;

/// What sockets are, as `struct inet_diag_msg` names it. One for IPv6 may take IPv4 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4 = 2,
    V6 = 10,
}

/// The socket that would get a connection to this port of 127.0.0.1; none if nobody listens.
pub(super) fn at(port: u16) -> io::Result<Vec<Socket>> {
    let socket: OwnedFd = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request(port), SendFlags::empty(), &kernel)?;
    let mut answer = vec![0; ANSWER];
    loop {
        let (got, whole) = match recv(&socket, answer.as_mut_slice(), RecvFlags::TRUNC) {
            Err(Errno::INTR) => continue,
            received => received?,
        };
        if whole > got || got == 0 {
            return Err(strange());
        }
        return match told(&answer[..got]) {
            Ok(found) => Ok(found.into_iter().collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
    }
}

/// `struct nlmsghdr`, `struct inet_diag_req_v2`.
fn request(port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 56);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    // Number and sender: there is one question on this socket.
    bytes.extend([0; 8]);
    bytes.extend([Family::V4 as u8, TCP, 0, 0]);
    bytes.extend(ALL_STATES.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    // From nobody's port, so that no connection is meant.
    bytes.extend([0; 2]);
    bytes.extend([127, 0, 0, 1]);
    // The rest of the address and the other one; where it would come in; and the mark for "whichever
    // it is".
    bytes.resize(72 - 12, 0);
    bytes.extend(LOOPBACK.to_ne_bytes());
    bytes.extend([255; 8]);
    bytes
}

fn told(bytes: &[u8]) -> io::Result<Option<Socket>> {
    let length = usize::try_from(number(bytes, 0)?).map_err(|_| strange())?;
    let message = bytes.get(..length).filter(|_| length >= HEADER);
    let message = message.ok_or_else(strange)?;
    match u16::from_ne_bytes([message[4], message[5]]) {
        ERROR => {
            let code = number(message, HEADER)?.cast_signed();
            Err(io::Error::from_raw_os_error(-code))
        }
        SOCK_DIAG_BY_FAMILY => socket(&message[HEADER..]),
        _ => Err(strange()),
    }
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
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        nix::sys::socket::setsockopt(
            &bound,
            nix::sys::socket::sockopt::BindToDevice,
            &"lo".into(),
        )
        .expect("there is a loopback");
        all.push(bound);
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
        for bytes in [&[1, 0, 0][..], &[8, 0, 0, 0, 20, 0, 0, 0], &[255; 40]] {
            assert!(told(bytes).is_err(), "{bytes:?}");
        }
    }
}
