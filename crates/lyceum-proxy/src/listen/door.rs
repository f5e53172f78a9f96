//! One place where connections come in: its settings, its bound socket, its rules.
//!
//! Binding happens before anything runs, so that a taken port is told at once. Several doors may
//! stand on one port (one per worker): the system then spreads connections over them.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use serde::{Deserialize, Serialize};

use crate::{config::Network, tls::Certificates};

/// Connections the system keeps waiting for us; its own limit may be lower.
const BACKLOG: i32 = 4096;

/// Where and how to listen.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `0.0.0.0:443`, `[::]:443` or `unix:/run/lyceum/proxy.sock`.
    pub address: ListenAddress,
    /// Whether TLS is spoken here, with the certificates of `tls`.
    #[serde(default)]
    pub tls: bool,
    /// Networks of load balancers that begin each connection with a PROXY header (version 1 or
    /// 2). From there it must come; from anywhere else it is not understood.
    #[serde(default)]
    pub proxy_protocol: Vec<Network>,
    /// Whether whoever connects here is a proxy of ours, whose `X-Forwarded-*` headers are
    /// believed: for unix sockets, which have no network.
    #[serde(default)]
    pub trusted: bool,
    /// Send browsers to `https` on this port instead of answering here.
    #[serde(default)]
    pub redirect_to_https: Option<u16>,
    /// Permissions of a unix socket's file.
    #[serde(default = "socket_mode")]
    pub mode: u32,
}

fn socket_mode() -> u32 {
    0o660
}

impl Listener {
    /// Plain HTTP at an address.
    pub fn plain(address: impl Into<ListenAddress>) -> Self {
        Self {
            address: address.into(),
            tls: false,
            proxy_protocol: Vec::new(),
            trusted: false,
            redirect_to_https: None,
            mode: socket_mode(),
        }
    }
}

/// `127.0.0.1:8000`, `[::]:8000` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!(
                    "\"{text}\": the file of a socket is written whole, like unix:/run/lyceum.sock"
                ));
            }
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "\"{text}\" is not an address with a port; write it like 0.0.0.0:443, [::]:443 or unix:/run/lyceum.sock"
            )
        })
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What holds for each connection that comes in at a door.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) certificates: Option<Certificates>,
    pub(crate) speaks_tls: bool,
    pub(crate) proxy_protocol: Vec<Network>,
    pub(crate) trusted: bool,
    pub(crate) redirect_to_https: Option<u16>,
}

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, Option<SocketFile>),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// The file of a unix socket of ours; removed when the door closes for good.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl SocketFile {
    /// Of the socket that was just put there.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            path: path.into(),
            inode: inode_of(path).unwrap_or_default(),
        }
    }

    /// It stays, for whoever listens there now.
    pub(crate) fn leave(mut self) {
        self.inode = 0;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have put its own socket there meanwhile.
        if inode_of(&self.path) == Some(self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode_of(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

/// A bound socket and its rules, ready for [`crate::Proxy::run_doors`].
#[derive(Debug)]
pub struct Door {
    pub(crate) socket: Socket,
    pub(crate) rules: Arc<Rules>,
    name: String,
}

impl Door {
    /// Binds. `shared`: further doors of this or another process may stand on the same port, each
    /// with a share of its connections. `certificates` also answer ACME's questions on plain doors.
    pub fn bind(
        listener: &Listener,
        certificates: Option<&Certificates>,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = match &listener.address {
            ListenAddress::Tcp(address) => Socket::Tcp(bind_tcp(*address, shared)?),
            ListenAddress::Unix(path) => {
                let socket = bind_unix(path, listener.mode)?;
                Socket::Unix(socket, Some(SocketFile::at(path)))
            }
        };
        Self::new(listener, certificates, socket)
    }

    /// Takes a socket that listens already: one that systemd or an earlier process handed over. The
    /// file of a unix socket is left where it is at the end.
    pub fn adopt(
        listener: &Listener,
        certificates: Option<&Certificates>,
        socket: OwnedFd,
    ) -> io::Result<Self> {
        let socket = match listener.address {
            ListenAddress::Tcp(_) => Socket::Tcp(socket.into()),
            ListenAddress::Unix(_) => Socket::Unix(socket.into(), None),
        };
        Self::new(listener, certificates, socket)
    }

    fn new(
        listener: &Listener,
        certificates: Option<&Certificates>,
        socket: Socket,
    ) -> io::Result<Self> {
        let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why);
        if listener.tls && certificates.is_none() {
            return Err(wrong("TLS needs certificates: set `tls`"));
        }
        if listener.tls && matches!(socket, Socket::Unix(..)) {
            return Err(wrong("a unix socket speaks no TLS"));
        }
        if listener.tls && listener.redirect_to_https.is_some() {
            return Err(wrong("a listener that speaks TLS has nothing to redirect"));
        }
        let name = listener.address.to_string();
        let rules = Rules {
            certificates: certificates.cloned(),
            speaks_tls: listener.tls,
            proxy_protocol: listener.proxy_protocol.clone(),
            trusted: listener.trusted,
            redirect_to_https: listener.redirect_to_https,
        };
        Self::with_rules(socket, rules, name)
    }

    /// Plain HTTP on a socket of the caller's.
    pub(crate) fn from_tcp(listener: TcpListener) -> io::Result<Self> {
        let name = listener.local_addr()?.to_string();
        Self::with_rules(Socket::Tcp(listener), Rules::default(), name)
    }

    fn with_rules(socket: Socket, rules: Rules, name: String) -> io::Result<Self> {
        match &socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                // Connections take this over from the socket they came in by.
                sockopt::set_tcp_nodelay(listener, true)?;
            }
            Socket::Unix(listener, _) => listener.set_nonblocking(true)?,
        }
        Ok(Self {
            socket,
            rules: Arc::new(rules),
            name,
        })
    }

    pub fn speaks_tls(&self) -> bool {
        self.rules.speaks_tls
    }

    /// The address as configured.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port that was got; none for unix sockets.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// A second handle to the same queue of connections, for whoever takes over.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

fn bind_tcp(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// A socket's file outlives a process that was killed: one that nobody answers at is replaced.
fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Ok(meta) = fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there and is not a socket", path.display()),
            ));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(listener)
}
