//! The options of `lyceum proxy` about TLS: what they ask of the listeners and of the connections to
//! servers. What cannot be done is refused by its name, what changes nothing is told.

use std::path::PathBuf;

use clap::Args;
use lyceum_proxy::{CertificateFiles, ClientCertificates, ProxySecret, Tls, TlsVersion, Upstream};

use crate::failure::Failure;

/// What `tls` of a configuration says.
pub(super) const IN_FILE: [&str; 9] = [
    "ssl_key",
    "ssl_cert",
    "ssl_ca",
    "ssl_request_cert",
    "ssl_reject_unauthorized",
    "ssl_protocol",
    "no_http2",
    "redirect_port",
    "redirect_to",
];

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsOptions {
    /// Key of the public port.
    #[arg(long, value_name = "FILE")]
    pub ssl_key: Option<PathBuf>,
    /// Certificate of the public port, with its chain.
    #[arg(long, value_name = "FILE")]
    pub ssl_cert: Option<PathBuf>,
    /// Authorities whose client certificates are accepted on the public port.
    #[arg(long, value_name = "FILE")]
    pub ssl_ca: Option<PathBuf>,
    /// Ask clients for certificates.
    #[arg(long)]
    pub ssl_request_cert: bool,
    /// Turn away clients without an accepted certificate.
    #[arg(long)]
    pub ssl_reject_unauthorized: bool,
    /// The oldest version of TLS: TLSv1_2 or TLSv1_3.
    #[arg(long, value_name = "NAME")]
    pub ssl_protocol: Option<String>,
    /// Taken and not used: only sound cipher suites are there.
    #[arg(long, value_name = "LIST")]
    pub ssl_ciphers: Option<String>,
    /// Taken and not used: RC4 is broken.
    #[arg(long)]
    pub ssl_allow_rc4: bool,
    /// Taken and not used: nothing needs them.
    #[arg(long, value_name = "FILE")]
    pub ssl_dhparam: Option<PathBuf>,
    /// Key of the control API.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_key: Option<PathBuf>,
    /// Certificate of the control API, with its chain.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_cert: Option<PathBuf>,
    /// Authorities whose client certificates the control API accepts.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_ca: Option<PathBuf>,
    /// Ask clients of the control API for certificates.
    #[arg(long)]
    pub api_ssl_request_cert: bool,
    /// Turn away clients of the control API without an accepted certificate.
    #[arg(long)]
    pub api_ssl_reject_unauthorized: bool,
    /// Key that the proxy shows to servers.
    #[arg(long, value_name = "FILE")]
    pub client_ssl_key: Option<PathBuf>,
    /// Certificate that the proxy shows to servers.
    #[arg(long, value_name = "FILE")]
    pub client_ssl_cert: Option<PathBuf>,
    /// Authorities whose certificates of servers are accepted.
    #[arg(long, value_name = "FILE")]
    pub client_ssl_ca: Option<PathBuf>,
    /// Ask servers for certificates (they always show one).
    #[arg(long)]
    pub client_ssl_request_cert: bool,
    /// Turn away servers without an accepted certificate (always so).
    #[arg(long)]
    pub client_ssl_reject_unauthorized: bool,
    /// Accept any certificate of a server.
    #[arg(long)]
    pub insecure: bool,
    /// Offer clients HTTP/1.1 only.
    #[arg(long)]
    pub no_http2: bool,
    /// A port whose plain HTTP requests are redirected to HTTPS.
    #[arg(long, value_name = "PORT")]
    pub redirect_port: Option<u16>,
    /// The port they are redirected to [default: the public port].
    #[arg(long, value_name = "PORT")]
    pub redirect_to: Option<u16>,
    /// Passphrase of the public port's key.
    #[arg(skip)]
    pub ssl_passphrase: Option<ProxySecret>,
    /// Passphrase of the control API's key.
    #[arg(skip)]
    pub api_ssl_passphrase: Option<ProxySecret>,
}

impl TlsOptions {
    /// Passphrases come by the environment, as with configurable-http-proxy.
    pub(super) fn read_environment(&mut self) {
        let value = |name| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.map(ProxySecret::from)
        };
        self.ssl_passphrase = value("CONFIGPROXY_SSL_KEY_PASSPHRASE");
        self.api_ssl_passphrase = value("CONFIGPROXY_API_SSL_KEY_PASSPHRASE");
    }

    /// Refuses what cannot be done, by the first option that asks for it.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        if self.redirect_to.is_some() && self.redirect_port.is_none() {
            return Err(Failure::new(
                "--redirect-to: without --redirect-port nothing is redirected",
            ));
        }
        Ok(())
    }

    /// What is taken from a command line made for another program and changes nothing here.
    pub(super) fn unused(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut say = |is_said: bool, text: &str| {
            if is_said {
                lines.push(text.to_owned());
            }
        };
        say(
            self.ssl_ciphers.is_some(),
            "--ssl-ciphers is not used: only the sound cipher suites of TLS 1.2 and 1.3 are spoken",
        );
        say(
            self.ssl_allow_rc4,
            "--ssl-allow-rc4 is not used: RC4 is broken and never spoken",
        );
        say(
            self.ssl_dhparam.is_some(),
            "--ssl-dhparam is not used: keys are agreed on elliptic curves",
        );
        if let Some(name) = &self.ssl_protocol
            && is_older(&protocol(name))
        {
            lines.push(format!(
                "--ssl-protocol {name} is not used: TLS 1.2 and 1.3 are spoken"
            ));
        }
        lines
    }

    /// TLS of the public port; none for plain HTTP.
    pub(super) fn listening(&self) -> Result<Option<Tls>, Failure> {
        let port = Port {
            prefix: "--ssl",
            what: "the public port",
            certificate: self.ssl_cert.as_ref(),
            key: self.ssl_key.as_ref(),
            authorities: self.ssl_ca.as_ref(),
            asks: self.ssl_request_cert,
            requires: self.ssl_reject_unauthorized,
            passphrase: self.ssl_passphrase.as_ref(),
        };
        let tls = port.tls()?;
        if tls.is_none() {
            let alone = [
                (
                    "--ssl-protocol",
                    self.ssl_protocol.is_some() && self.api_ssl_cert.is_none(),
                ),
                ("--redirect-port", self.redirect_port.is_some()),
            ];
            if let Some((name, _)) = alone.into_iter().find(|(_, is_asked)| *is_asked) {
                return Err(port.speaks_none(name));
            }
        }
        let oldest = self.oldest();
        tls.map(|tls| {
            Ok(Tls {
                oldest: oldest?,
                http2: !self.no_http2,
                ..tls
            })
        })
        .transpose()
    }

    /// TLS of the control API; none for plain HTTP.
    pub(super) fn api(&self) -> Result<Option<Tls>, Failure> {
        let port = Port {
            prefix: "--api-ssl",
            what: "the control API",
            certificate: self.api_ssl_cert.as_ref(),
            key: self.api_ssl_key.as_ref(),
            authorities: self.api_ssl_ca.as_ref(),
            asks: self.api_ssl_request_cert,
            requires: self.api_ssl_reject_unauthorized,
            passphrase: self.api_ssl_passphrase.as_ref(),
        };
        let tls = port.tls()?;
        let oldest = self.oldest();
        tls.map(|tls| {
            Ok(Tls {
                oldest: oldest?,
                // It has a small server of its own, which speaks HTTP/1.1.
                http2: false,
                ..tls
            })
        })
        .transpose()
    }

    fn oldest(&self) -> Result<TlsVersion, Failure> {
        let Some(name) = &self.ssl_protocol else {
            return Ok(TlsVersion::Tls12);
        };
        match protocol(name).as_str() {
            "TLSv1.3" => Ok(TlsVersion::Tls13),
            "TLSv1.2" | "TLS" | "SSLv23" => Ok(TlsVersion::Tls12),
            older if is_older(older) => Ok(TlsVersion::Tls12),
            _ => Err(Failure::new(format!(
                "--ssl-protocol {name}: only TLS 1.2 and 1.3 are spoken"
            ))
            .hint("write TLSv1_2 or TLSv1_3")),
        }
    }

    /// TLS towards servers.
    pub(super) fn upstream(&self) -> Result<Upstream, Failure> {
        if self.client_ssl_key.is_some() != self.client_ssl_cert.is_some() {
            return Err(Failure::new(
                "--client-ssl-key and --client-ssl-cert belong together",
            ));
        }
        Ok(Upstream {
            ca: self.client_ssl_ca.clone(),
            certificate: self.client_ssl_cert.clone(),
            key: self.client_ssl_key.clone(),
            insecure: self.insecure,
            ..Upstream::default()
        })
    }
}

/// `TLSv1_2_method` and `TLSv1_2` as `TLSv1.2`.
fn protocol(name: &str) -> String {
    name.trim_end_matches("_method").replace('_', ".")
}

fn is_older(protocol: &str) -> bool {
    matches!(protocol, "TLSv1.1" | "TLSv1" | "SSLv3" | "SSLv2")
}

/// The options about one port.
struct Port<'a> {
    prefix: &'static str,
    what: &'static str,
    certificate: Option<&'a PathBuf>,
    key: Option<&'a PathBuf>,
    authorities: Option<&'a PathBuf>,
    asks: bool,
    requires: bool,
    passphrase: Option<&'a ProxySecret>,
}

impl Port<'_> {
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        let prefix = self.prefix;
        let (certificate, key) = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => {
                return Err(Failure::new(format!("{prefix}-cert: its key is missing"))
                    .hint(format!("name it with {prefix}-key")));
            }
            (None, Some(_)) => {
                return Err(
                    Failure::new(format!("{prefix}-key: its certificate is missing"))
                        .hint(format!("name it with {prefix}-cert")),
                );
            }
            (None, None) => {
                let asked = [
                    ("ca", self.authorities.is_some()),
                    ("request-cert", self.asks),
                    ("reject-unauthorized", self.requires),
                ];
                return match asked.into_iter().find(|(_, is_asked)| *is_asked) {
                    Some((name, _)) => Err(self.speaks_none(&format!("{prefix}-{name}"))),
                    None => Ok(None),
                };
            }
        };
        let clients = match self.authorities {
            Some(authorities) if self.asks || self.requires => Some(ClientCertificates {
                authorities: authorities.clone(),
                required: self.requires,
            }),
            None if self.asks || self.requires => {
                return Err(Failure::new(format!(
                    "{prefix}-request-cert: no authority of client certificates is known"
                ))
                .hint(format!("name a file with {prefix}-ca")));
            }
            _ => None,
        };
        Ok(Some(Tls {
            certificates: vec![CertificateFiles { certificate, key }],
            clients,
            passphrase: self.passphrase.cloned(),
            ..Tls::default()
        }))
    }

    fn speaks_none(&self, option: &str) -> Failure {
        let (prefix, what) = (self.prefix, self.what);
        Failure::new(format!("{option}: {what} speaks no TLS")).hint(format!(
            "name its certificate with {prefix}-cert and {prefix}-key"
        ))
    }
}
