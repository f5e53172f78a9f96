//! Where people reach Lyceum: the public port, TLS on it, and the port that redirects.

use std::net::SocketAddr;

use lyceum_proxy::{Certificates, Door, Listener};

use crate::config::{Config, https_port};
use crate::data::Layout;
use crate::failure::Failure;

/// Bound, with certificates read, but not yet served.
#[derive(Debug)]
pub struct Public {
    pub doors: Vec<Door>,
    pub certificates: Option<Certificates>,
    /// Where the main door is.
    pub address: SocketAddr,
}

impl Public {
    /// `listen`: the address that counts, which the command line may have changed.
    pub fn bind(config: &Config, data: &Layout, listen: SocketAddr) -> Result<Self, Failure> {
        config
            .proxy
            .upstream()
            .check_addresses()
            .map_err(|error| Failure::new(format!("`proxy.bind_addresses`: {error}")))?;
        let certificates = config
            .tls
            .as_ref()
            .map(|tls| Certificates::open(tls.settings(data.acme())))
            .transpose()
            .map_err(|error| {
                Failure::new(format!("`tls`: {error}"))
                    .hint("`lyceum config show` tells which files are meant")
            })?;
        let main = Listener {
            tls: certificates.is_some(),
            proxy_protocol: config.proxy_protocol.clone(),
            ..Listener::plain(listen)
        };
        let door = Door::bind(&main, certificates.as_ref(), false)
            .map_err(|error| explain_bind(listen, &error))?;
        let address = door.local_addr().unwrap_or(listen);
        let mut doors = vec![door];
        if let Some(from) = config.tls.as_ref().and_then(|tls| tls.redirect_from) {
            let port = https_port(config.public_url.as_ref());
            let plain = Listener {
                redirect_to_https: Some(port.unwrap_or(address.port())),
                proxy_protocol: config.proxy_protocol.clone(),
                ..Listener::plain(from)
            };
            let door = Door::bind(&plain, certificates.as_ref(), false)
                .map_err(|error| explain_bind(from, &error))?;
            doors.push(door);
        }
        Ok(Self {
            doors,
            certificates,
            address,
        })
    }

    pub fn scheme(&self) -> &'static str {
        match self.certificates {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// Why an address can't be listened on.
pub fn explain_bind(listen: SocketAddr, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(format!(
            "port {} is taken by another program",
            listen.port()
        ))
        .hint("choose another with --port, or set `listen` in lyceum.yaml"),
        std::io::ErrorKind::PermissionDenied => Failure::new(format!(
            "port {} is for the administrator of the machine",
            listen.port()
        ))
        .hint("choose a port above 1023 with --port"),
        std::io::ErrorKind::AddrNotAvailable => {
            Failure::new(format!("this machine has no address {}", listen.ip()))
                .hint("use 127.0.0.1, 0.0.0.0 or an address of this machine")
        }
        _ => Failure::new(format!("{listen} can't be listened on: {error}")),
    }
}
