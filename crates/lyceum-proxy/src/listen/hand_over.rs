//! A change of processes without a lost connection: the one that runs hands its listening sockets
//! to the next, which goes on accepting from the same queues.
//!
//! The running process waits at a unix socket ([`HandOver`]). The next one asks there
//! ([`take_over`]), puts its doors on what it is given ([`crate::Door::adopt`]), and says when it
//! serves ([`Handed::serving`]); then the first one drains and ends. Should the next one die before
//! that, nothing has happened. Closing sockets of one's own beside another's on the same port would
//! reset connections that are half made; a shared queue loses none.
//!
//! [`inherited`] is for sockets that systemd has bound (`sd_listen_fds(3)`).

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    time::Duration,
};

use rustix::{
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
    process::{Pid, PidfdFlags, PidfdGetfdFlags},
};

use super::door::SocketFile;

/// The most sockets that change hands.
const MOST: usize = 64;
/// The first descriptor that systemd hands over.
const FIRST_INHERITED: i32 = 3;
/// How long the two processes may keep each other waiting for a word.
const WORD: Duration = Duration::from_secs(10);
/// How long the next process may take from its sockets to its first request.
const PREPARATION: Duration = Duration::from_secs(120);
const SERVING: u8 = b'S';

/// A socket and the name it is asked for by.
type Named = (String, OwnedFd);

/// Where the next process asks for the sockets.
#[derive(Debug)]
pub struct HandOver {
    listener: UnixListener,
    sockets: Vec<Named>,
    _file: SocketFile,
}

impl HandOver {
    /// Takes the place at `path`, from whoever had it before. `sockets`: see [`crate::Door::share`].
    pub fn bind(path: &Path, sockets: Vec<Named>) -> io::Result<Self> {
        if sockets.len() > MOST || sockets.iter().any(|(name, _)| name.contains('\n')) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("at most {MOST} sockets with names of one line can be handed over"),
            ));
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}", data_encoding::HEXLOWER.encode(&random)));
        let new = Path::new(&new);
        let listener = UnixListener::bind(new)?;
        // Nobody can ask before the file has its place, so nobody can before it is private.
        let placed = fs::set_permissions(new, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(new, path));
        if let Err(error) = placed {
            let _ = fs::remove_file(new);
            return Err(error);
        }
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            sockets,
            _file: SocketFile::at(path),
        })
    }

    /// Waits until a next process has the sockets and serves; then it is time to drain.
    pub async fn wait(self) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        let mut sockets = self.sockets;
        loop {
            let (stream, _) = listener.accept().await?;
            let stream = stream.into_std()?;
            let given = tokio::task::spawn_blocking(move || {
                let given = give(&stream, &sockets);
                (sockets, given)
            });
            let (back, given) = given.await.map_err(io::Error::other)?;
            sockets = back;
            match given {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(%error, "a next process asked for the sockets but does not serve; going on");
                }
            }
        }
    }
}

/// One conversation on the side of the process that runs.
fn give(stream: &UnixStream, sockets: &[Named]) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(WORD))?;
    stream.set_read_timeout(Some(PREPARATION))?;
    let names: String = sockets
        .iter()
        .map(|(name, _)| format!("{name}\n"))
        .collect();
    let descriptors: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    let length = (names.len() as u32).to_be_bytes();
    let sent = rustix::net::sendmsg(
        stream,
        &[IoSlice::new(&length)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent != length.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut stream = stream;
    stream.write_all(names.as_bytes())?;
    let mut word = [0];
    stream.read_exact(&mut word)?;
    if word != [SERVING] {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(())
}

/// Sockets from the process before; its conversation partner as long as this lives.
#[derive(Debug)]
pub struct Handed {
    sockets: Vec<Named>,
    stream: UnixStream,
}

impl Handed {
    /// A socket by its name; further ones of the same name come with further calls.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let index = self.sockets.iter().position(|(known, _)| known == name)?;
        Some(self.sockets.remove(index).1)
    }

    /// Tells the process before that it may drain.
    pub fn serving(mut self) -> io::Result<()> {
        self.stream.write_all(&[SERVING])
    }
}

/// Asks the process that runs for its sockets; none if there is no such process.
pub fn take_over(path: &Path) -> io::Result<Option<Handed>> {
    let mut stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let other = rustix::net::sockopt::socket_peercred(&stream)?.uid;
    if other != rustix::process::geteuid() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "it runs under another account, with the uid {}",
                other.as_raw()
            ),
        ));
    }
    stream.set_read_timeout(Some(WORD))?;
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(
        &stream,
        &mut [IoSliceMut::new(&mut length)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL,
    )?;
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let strange = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "not a Lyceum proxy that answers",
        )
    };
    let length = u32::from_be_bytes(length);
    if got.bytes != 4 || length > 64 * 1024 {
        return Err(strange());
    }
    let mut names = vec![0; length as usize];
    stream.read_exact(&mut names)?;
    let names = String::from_utf8(names).map_err(|_| strange())?;
    if names.lines().count() != descriptors.len() {
        return Err(strange());
    }
    let sockets = names.lines().map(str::to_owned).zip(descriptors).collect();
    Ok(Some(Handed { sockets, stream }))
}

/// Sockets that systemd bound for us: `count` from `LISTEN_FDS` and `names` from
/// `LISTEN_FDNAMES`, once the caller has seen that `LISTEN_PID` is this process. The descriptors
/// are copied; a process that starts others should not be started this way, since the originals
/// stay open in them.
pub fn inherited(count: u16, names: &str) -> io::Result<Vec<Named>> {
    copies(FIRST_INHERITED, count, names)
}

fn copies(first: i32, count: u16, names: &str) -> io::Result<Vec<Named>> {
    let this = Pid::from_raw(i32::try_from(std::process::id()).map_err(io::Error::other)?)
        .ok_or_else(|| io::Error::other("this process has no number"))?;
    let this = rustix::process::pidfd_open(this, PidfdFlags::empty())?;
    let mut names = names.split(':');
    (0..i32::from(count))
        .map(|index| {
            let name = names.next().unwrap_or("unknown").to_owned();
            let number = first + index;
            let socket = rustix::process::pidfd_getfd(&this, number, PidfdGetfdFlags::empty())?;
            if !rustix::net::sockopt::socket_acceptconn(&socket)? {
                let why = format!("descriptor {number} ({name}) is not a listening socket");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
            Ok((name, socket))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    use super::*;

    #[test]
    fn inherited_sockets_are_copied_and_named() {
        let bound = TcpListener::bind("127.0.0.1:0").expect("bound");
        let mut sockets = copies(bound.as_raw_fd(), 1, "web").expect("copied");
        let (name, socket) = sockets.pop().expect("one");
        assert_eq!(name, "web");
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
        assert_eq!(address, bound.local_addr().expect("an address"));
        drop(bound);
        let client = TcpStream::connect(address).expect("connected");
        let (_, from) = listener.accept().expect("accepted");
        assert_eq!(from, client.local_addr().expect("an address"));
    }

    #[test]
    fn what_is_no_listening_socket_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(copies(file.as_raw_fd(), 1, "web").is_err());
        let bound = TcpListener::bind("127.0.0.1:0").expect("bound");
        let client =
            TcpStream::connect(bound.local_addr().expect("an address")).expect("connected");
        let error = copies(client.as_raw_fd(), 1, "web").expect_err("refused");
        assert!(
            error
                .to_string()
                .contains("(web) is not a listening socket"),
            "{error}"
        );
    }
}
