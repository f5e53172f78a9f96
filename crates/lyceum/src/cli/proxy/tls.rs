//! The options of `lyceum proxy` about TLS: what they ask of the listeners and of the connections to
//! servers. What cannot be done is refused by its name.

use std::path::PathBuf;

use clap::Args;
use lyceum_proxy::{CertificateFiles, ClientCertificates, Tls, TlsVersion, Upstream};

use crate::failure::Failure;

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
    /// Not supported: only sound cipher suites are there.
    #[arg(long, value_name = "LIST")]
    pub ssl_ciphers: Option<String>,
    /// Not supported: RC4 is broken.
    #[arg(long)]
    pub ssl_allow_rc4: bool,
    /// Not supported: nothing uses them.
    #[arg(long, value_name = "FILE")]
    pub ssl_dhparam: Option<PathBuf>,
    /// Not supported yet: key of the control API.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_key: Option<PathBuf>,
    /// Not supported yet: certificate of the control API.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_cert: Option<PathBuf>,
    /// Not supported yet: authorities whose client certificates the control API accepts.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_ca: Option<PathBuf>,
    /// Not supported yet: ask clients of the control API for certificates.
    #[arg(long)]
    pub api_ssl_request_cert: bool,
    /// Not supported yet: turn away clients of the control API without an accepted certificate.
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
    /// A port whose plain HTTP requests are redirected to HTTPS.
    #[arg(long, value_name = "PORT")]
    pub redirect_port: Option<u16>,
    /// The port they are redirected to [default: the public port].
    #[arg(long, value_name = "PORT")]
    pub redirect_to: Option<u16>,
    /// Passphrase of the public port's key.
    #[arg(skip)]
    pub ssl_passphrase: Option<String>,
    /// Passphrase of the control API's key.
    #[arg(skip)]
    pub api_ssl_passphrase: Option<String>,
}

impl TlsOptions {
    /// Passphrases come by the environment, as with configurable-http-proxy.
    pub(super) fn read_environment(&mut self) {
        let value = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        self.ssl_passphrase = value("CONFIGPROXY_SSL_KEY_PASSPHRASE");
        self.api_ssl_passphrase = value("CONFIGPROXY_API_SSL_KEY_PASSPHRASE");
    }

    /// Refuses what cannot be done, by the first option that asks for it.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        let asked = [
            ("--ssl-ciphers", self.ssl_ciphers.is_some()),
            ("--ssl-allow-rc4", self.ssl_allow_rc4),
            ("--ssl-dhparam", self.ssl_dhparam.is_some()),
            ("--api-ssl-key", self.api_ssl_key.is_some()),
            ("--api-ssl-cert", self.api_ssl_cert.is_some()),
            ("--api-ssl-ca", self.api_ssl_ca.is_some()),
            ("--api-ssl-request-cert", self.api_ssl_request_cert),
            (
                "--api-ssl-reject-unauthorized",
                self.api_ssl_reject_unauthorized,
            ),
        ];
        if let Some((name, _)) = asked.into_iter().find(|(_, is_asked)| *is_asked) {
            let (why, hint) = if name.starts_with("--api") {
                (
                    "the control API does not speak TLS yet",
                    "leave it out, and keep the API on this machine or on a unix socket",
                )
            } else {
                (
                    "which cipher suites are spoken can't be chosen",
                    "leave it out: only sound ones are",
                )
            };
            return Err(Failure::new(format!("{name}: {why}")).hint(hint));
        }
        if self.ssl_passphrase.is_some() || self.api_ssl_passphrase.is_some() {
            return Err(Failure::new(
                "CONFIGPROXY_SSL_KEY_PASSPHRASE: keys with a passphrase can't be read",
            )
            .hint("write the key without one, readable to this account only"));
        }
        if self.redirect_to.is_some() && self.redirect_port.is_none() {
            return Err(Failure::new(
                "--redirect-to: without --redirect-port nothing is redirected",
            ));
        }
        Ok(())
    }

    /// TLS of the public port; none for plain HTTP.
    pub(super) fn listening(&self) -> Result<Option<Tls>, Failure> {
        let (certificate, key) = match (&self.ssl_cert, &self.ssl_key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
            (Some(_), None) => {
                return Err(
                    Failure::new("--ssl-cert: its key is missing").hint("name it with --ssl-key")
                );
            }
            (None, Some(_)) => {
                return Err(Failure::new("--ssl-key: its certificate is missing")
                    .hint("name it with --ssl-cert"));
            }
            (None, None) => {
                let asked = [
                    ("--ssl-ca", self.ssl_ca.is_some()),
                    ("--ssl-request-cert", self.ssl_request_cert),
                    ("--ssl-reject-unauthorized", self.ssl_reject_unauthorized),
                    ("--ssl-protocol", self.ssl_protocol.is_some()),
                    ("--redirect-port", self.redirect_port.is_some()),
                ];
                return match asked.into_iter().find(|(_, is_asked)| *is_asked) {
                    Some((name, _)) => Err(Failure::new(format!(
                        "{name}: the public port speaks no TLS"
                    ))
                    .hint("name its certificate with --ssl-cert and --ssl-key")),
                    None => Ok(None),
                };
            }
        };
        let asks = self.ssl_request_cert || self.ssl_reject_unauthorized;
        let clients = match &self.ssl_ca {
            Some(authorities) if asks => Some(ClientCertificates {
                authorities: authorities.clone(),
                required: self.ssl_reject_unauthorized,
            }),
            None if asks => {
                return Err(Failure::new(
                    "--ssl-request-cert: no authority of client certificates is known",
                )
                .hint("name a file with --ssl-ca"));
            }
            _ => None,
        };
        Ok(Some(Tls {
            certificates: vec![CertificateFiles { certificate, key }],
            clients,
            oldest: self.oldest()?,
            ..Tls::default()
        }))
    }

    fn oldest(&self) -> Result<TlsVersion, Failure> {
        let Some(name) = &self.ssl_protocol else {
            return Ok(TlsVersion::Tls12);
        };
        match name.trim_end_matches("_method").replace('_', ".").as_str() {
            "TLSv1.3" => Ok(TlsVersion::Tls13),
            "TLSv1.2" | "TLS" | "SSLv23" => Ok(TlsVersion::Tls12),
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
