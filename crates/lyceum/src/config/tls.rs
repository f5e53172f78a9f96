//! The `tls` section: from what is written to what the proxy takes.
//!
//! Whether files hold what they should is seen when they are opened, by
//! [`lyceum_proxy::Certificates::open`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lyceum_proxy::{Acme, AcmeChallenge, CertificateFiles, ClientCertificates, TlsVersion};

use super::raw::{RawAcmeChallenge, RawConfig, RawTls, RawTlsVersion};

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// How long before its end a certificate is renewed.
const RENEW_BEFORE: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
/// How long to wait after the first failure.
const RETRY: std::time::Duration = std::time::Duration::from_secs(60);

/// TLS on the public port.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    settings: RawTls,
    folder: PathBuf,
    /// Plain HTTP that is sent on to `https`.
    pub redirect_from: Option<SocketAddr>,
}

impl Tls {
    /// `acme_folder`: where ACME keeps its things unless something else is configured.
    pub fn settings(&self, acme_folder: PathBuf) -> lyceum_proxy::Tls {
        let raw = &self.settings;
        let path = |text: &String| self.folder.join(text);
        lyceum_proxy::Tls {
            certificates: raw
                .certificates
                .iter()
                .map(|one| CertificateFiles {
                    certificate: path(&one.certificate),
                    key: path(&one.key),
                })
                .collect(),
            acme: (!raw.acme.names.is_empty()).then(|| Acme {
                names: raw.acme.names.clone(),
                folder: raw.acme.folder.as_ref().map_or(acme_folder, path),
                agree_to_terms: raw.acme.agree_to_terms,
                directory: raw.acme.directory.clone().unwrap_or(LETS_ENCRYPT.into()),
                directory_authority: raw.acme.directory_authority.as_ref().map(path),
                mail: raw.acme.mail.clone(),
                challenge: match raw.acme.challenge {
                    RawAcmeChallenge::Http => AcmeChallenge::Http,
                    RawAcmeChallenge::TlsAlpn => AcmeChallenge::TlsAlpn,
                },
                renew_before: RENEW_BEFORE,
                retry: RETRY,
            }),
            clients: raw
                .clients
                .authorities
                .as_ref()
                .map(|authorities| ClientCertificates {
                    authorities: path(authorities),
                    required: raw.clients.required,
                }),
            oldest: match raw.oldest {
                RawTlsVersion::Tls12 => TlsVersion::Tls12,
                RawTlsVersion::Tls13 => TlsVersion::Tls13,
            },
            strict_transport: raw.strict_transport.map(|span| span.0),
            http2: raw.http2,
            ..lyceum_proxy::Tls::default()
        }
    }
}

pub(super) fn check_tls(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Option<Tls> {
    let tls = &raw.tls;
    let has_acme = !tls.acme.names.is_empty();
    if tls.certificates.is_empty() && !has_acme {
        if *tls != RawTls::default() {
            problem(
                "tls",
                "TLS needs a certificate: name files in `certificates`, or host names in `acme.names`"
                    .into(),
            );
        }
        return None;
    }
    for (index, one) in tls.certificates.iter().enumerate() {
        for (key, file) in [("certificate", &one.certificate), ("key", &one.key)] {
            if file.trim().is_empty() {
                let path = format!("tls.certificates[{index}].{key}");
                problem(&path, "the name of the file is empty".into());
            }
        }
    }
    for (index, name) in tls.acme.names.iter().enumerate() {
        if let Err(message) = Acme::check_name(name) {
            problem(&format!("tls.acme.names[{index}]"), message);
        }
    }
    if has_acme && !tls.acme.agree_to_terms {
        problem(
            "tls.acme",
            "write `agree_to_terms: true` once you have read the authority's terms of service"
                .into(),
        );
    }
    if has_acme
        && let Some(directory) = &tls.acme.directory
        && !directory.starts_with("https://")
    {
        problem(
            "tls.acme.directory",
            format!("{directory:?} does not start with `https://`"),
        );
    }
    if has_acme && tls.acme.challenge == RawAcmeChallenge::Http && tls.redirect_from.is_none() {
        problem(
            "tls.acme",
            "the authority asks on port 80: add `redirect_from: 0.0.0.0:80` to `tls`, or take `challenge: tls-alpn`".into(),
        );
    }
    if has_acme && tls.acme.challenge == RawAcmeChallenge::TlsAlpn && tls.clients.required {
        problem(
            "tls.acme.challenge",
            "an authority that asks by TLS shows no client certificate: use `http`".into(),
        );
    }
    if tls.clients.required && tls.clients.authorities.is_none() {
        problem(
            "tls.clients",
            "name the file of the `authorities` whose certificates count".into(),
        );
    }
    let redirect_from = tls.redirect_from.as_ref().and_then(|text| {
        let address = text.parse().map_err(|_| {
            problem(
                "tls.redirect_from",
                format!("{text:?} is not an address with a port, such as `0.0.0.0:80`"),
            );
        });
        address.ok()
    });
    Some(Tls {
        settings: tls.clone(),
        folder: folder.into(),
        redirect_from,
    })
}
