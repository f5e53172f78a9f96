//! The options of `lyceum proxy` about TLS. They are understood, so that a mistyped one is named;
//! what is asked for is refused until the listeners and connectors can do it. The seam is
//! [`TlsOptions::refuse`].

use std::path::PathBuf;

use clap::Args;

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
    /// The version of TLS.
    #[arg(long, value_name = "NAME")]
    pub ssl_protocol: Option<String>,
    /// Cipher suites, separated by colons.
    #[arg(long, value_name = "LIST")]
    pub ssl_ciphers: Option<String>,
    /// Allow the broken cipher RC4.
    #[arg(long)]
    pub ssl_allow_rc4: bool,
    /// Diffie-Hellman parameters.
    #[arg(long, value_name = "FILE")]
    pub ssl_dhparam: Option<PathBuf>,
    /// Key of the control API.
    #[arg(long, value_name = "FILE")]
    pub api_ssl_key: Option<PathBuf>,
    /// Certificate of the control API.
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
    /// Turn away servers without an accepted certificate.
    #[arg(long)]
    pub client_ssl_reject_unauthorized: bool,
    /// Accept any certificate of a server.
    #[arg(long)]
    pub insecure: bool,
    /// A port whose plain HTTP requests are redirected to HTTPS.
    #[arg(long, value_name = "PORT")]
    pub redirect_port: Option<u16>,
    /// The port they are redirected to.
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

    /// Refuses what is asked for, by the first option that asks.
    pub(super) fn refuse(&self) -> Result<(), Failure> {
        let asked = [
            ("--ssl-key", self.ssl_key.is_some()),
            ("--ssl-cert", self.ssl_cert.is_some()),
            ("--ssl-ca", self.ssl_ca.is_some()),
            ("--ssl-request-cert", self.ssl_request_cert),
            ("--ssl-reject-unauthorized", self.ssl_reject_unauthorized),
            ("--ssl-protocol", self.ssl_protocol.is_some()),
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
            ("--client-ssl-key", self.client_ssl_key.is_some()),
            ("--client-ssl-cert", self.client_ssl_cert.is_some()),
            ("--client-ssl-ca", self.client_ssl_ca.is_some()),
            ("--client-ssl-request-cert", self.client_ssl_request_cert),
            (
                "--client-ssl-reject-unauthorized",
                self.client_ssl_reject_unauthorized,
            ),
            ("--insecure", self.insecure),
            ("--redirect-port", self.redirect_port.is_some()),
            ("--redirect-to", self.redirect_to.is_some()),
        ];
        match asked.into_iter().find(|(_, is_asked)| *is_asked) {
            Some((name, _)) => Err(Failure::new(format!(
                "{name}: lyceum proxy does not speak TLS yet, neither to clients nor to servers"
            ))
            .hint("leave it out, and let a web server in front of the proxy do TLS")),
            None => Ok(()),
        }
    }
}
