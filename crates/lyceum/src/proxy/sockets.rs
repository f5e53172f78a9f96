//! Sockets that listened before this process did: those of the proxy that ran until now and hands
//! them over ([`lyceum_proxy::HandOver`]), or those that systemd has bound.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use lyceum_proxy::{Door, Handed, ListenAddress, SideListener, inherited, take_over};

use crate::failure::Failure;

/// How this proxy follows another and is followed.
#[derive(Clone, Debug)]
pub struct Succession {
    /// The folder where the next one asks; the proxy's own.
    pub folder: PathBuf,
    /// Whether the one that runs is asked.
    pub take_over: bool,
}

impl Succession {
    /// Where the sockets are handed over.
    pub fn place(&self) -> PathBuf {
        self.folder.join("hand-over")
    }
}

/// What a socket is for, and its name when it changes hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Public,
    Redirect,
    Metrics,
}

impl Role {
    const ALL: [Self; 3] = [Self::Public, Self::Redirect, Self::Metrics];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Redirect => "redirect",
            Self::Metrics => "metrics",
        }
    }

    /// A unit of systemd with one socket calls it after itself: that is the public one.
    fn of(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|role| role.name() == name);
        known.unwrap_or(Self::Public)
    }
}

/// Sockets that wait to be served.
#[derive(Debug, Default)]
pub(super) struct Given {
    sockets: Vec<(Role, OwnedFd)>,
    before: Option<Handed>,
}

impl Given {
    /// From the proxy that runs, if it is to be taken over from; else from systemd.
    pub(super) fn find(succession: Option<&Succession>) -> Result<Self, Failure> {
        match succession.filter(|succession| succession.take_over) {
            Some(succession) => Self::from_predecessor(&succession.place()),
            None => Self::from_systemd(),
        }
    }

    fn from_predecessor(place: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!(
                "the proxy that runs does not hand its ports over: {error}"
            ))
            .hint("it goes on; its log may say more")
        };
        let Some(mut before) = take_over(place).map_err(failed)? else {
            tracing::info!(
                "nobody hands ports over at {}; taking them anew",
                place.display()
            );
            return Ok(Self::default());
        };
        let mut sockets = Vec::new();
        for role in Role::ALL {
            while let Some(socket) = before.take(role.name()) {
                sockets.push((role, socket));
            }
        }
        tracing::info!(
            sockets = sockets.len(),
            "taking over from the proxy that runs"
        );
        Ok(Self {
            sockets,
            before: Some(before),
        })
    }

    /// As `sd_listen_fds(3)` says.
    fn from_systemd() -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).unwrap_or_default();
        if variable("LISTEN_PID") != std::process::id().to_string() {
            return Ok(Self::default());
        }
        let count: u16 = variable("LISTEN_FDS").parse().unwrap_or_default();
        let sockets = inherited(count, &variable("LISTEN_FDNAMES")).map_err(|error| {
            Failure::new(format!("the sockets from systemd can't be used: {error}"))
                .hint("the unit's sockets must be of ListenStream= and Accept=no")
        })?;
        let named = |(name, socket): (String, OwnedFd)| (Role::of(&name), socket);
        Ok(Self {
            sockets: sockets.into_iter().map(named).collect(),
            before: None,
        })
    }

    /// All that listen for one purpose. Those of a predecessor count only if they are where this
    /// process is told to listen; where systemd listens is the unit's to say.
    pub(super) fn take(&mut self, role: Role, wanted: &ListenAddress) -> Vec<OwnedFd> {
        let (mine, others) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|(of, _)| *of == role);
        self.sockets = others;
        let mine: Vec<(Role, OwnedFd)> = mine;
        let is_handed = self.before.is_some();
        let all = mine.into_iter().map(|(_, socket)| socket);
        all.filter(|socket| !is_handed || listens_at(socket, wanted))
            .collect()
    }

    pub(super) fn has_predecessor(&self) -> bool {
        self.before.is_some()
    }

    /// Tells the predecessor that it may drain.
    pub(super) fn serving(self) {
        let Some(before) = self.before else {
            return;
        };
        match before.serving() {
            Ok(()) => tracing::info!("the proxy before has been told that it may end"),
            Err(error) => {
                tracing::warn!(%error, "the proxy before ended before it was told to");
            }
        }
    }
}

fn listens_at(socket: &OwnedFd, wanted: &ListenAddress) -> bool {
    let Ok(copy) = socket.as_fd().try_clone_to_owned() else {
        return false;
    };
    match wanted {
        ListenAddress::Tcp(wanted) => TcpListener::from(copy).local_addr().is_ok_and(|found| {
            found.ip() == wanted.ip() && (found.port() == wanted.port() || wanted.port() == 0)
        }),
        ListenAddress::Unix(wanted) => UnixListener::from(copy)
            .local_addr()
            .is_ok_and(|found| found.as_pathname() == Some(wanted)),
    }
}

/// Copies of all sockets, for the one that comes after.
pub(super) fn copies<'a>(
    doors: impl Iterator<Item = (Role, &'a Door)>,
    metrics: Option<&SideListener>,
) -> std::io::Result<Vec<(String, OwnedFd)>> {
    let mut all = Vec::new();
    for (role, door) in doors {
        all.push((role.name().to_owned(), door.share()?));
    }
    if let Some(metrics) = metrics {
        all.push((Role::Metrics.name().to_owned(), metrics.share()?));
    }
    Ok(all)
}
