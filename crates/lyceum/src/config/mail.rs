//! The `mail` section: where letters to people go out.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use lyceum_auth::addresses::{MailAddress, is_domain};
use lyceum_hub::mail::{MailConfig, Security};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::raw::RawConfig;
use super::sign_in::{Say, read_authorities};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawMail {
    /// The host that takes mail, `smtp.example.edu`. Left out: no mail is sent.
    pub server: Option<String>,
    /// Left out: 587 with `starttls`, 465 with `tls`, 25 with `none`.
    pub port: Option<u16>,
    /// `starttls`: TLS that is begun in the clear, and without which nothing is sent. `tls`: TLS from the
    /// first byte on. `none`: in the clear; never with a password, unless the server is this machine.
    pub security: RawSecurity,
    /// The name under which Lyceum logs in there. Left out: it does not.
    pub user: Option<String>,
    /// `file:PATH` or `env:NAME`, holding the password for it.
    pub password: Option<SecretRef>,
    /// The address that letters come from, `jupyter@example.edu`.
    pub from: Option<String>,
    /// A file with the certificates of authorities that count for this server besides the system's.
    pub authority: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawSecurity {
    #[default]
    StartTls,
    Tls,
    None,
}

pub(super) fn check_mail(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Option<Arc<MailConfig>> {
    let mail = &raw.mail;
    let mut say = |key: &str, message| problem(&format!("mail.{key}"), message);
    let Some(server) = &mail.server else {
        if *mail != RawMail::default() {
            say(
                "server",
                "which host takes the mail? write `server: smtp.example.edu`".into(),
            );
        }
        return None;
    };
    if !is_host(server) {
        say(
            "server",
            format!("{server:?} is no host such as `smtp.example.edu`; the port stands in `port`"),
        );
    }
    if mail.port == Some(0) {
        say("port", "it is between 1 and 65535".into());
    }
    let credentials = check_credentials(mail, server, folder, &mut say);
    let authorities = read_authorities(mail.authority.as_ref(), folder, &mut say);
    if mail.authority.is_some() && mail.security == RawSecurity::None {
        say(
            "authority",
            "without TLS there is no certificate to look at".into(),
        );
    }
    let from = check_from(mail, &mut say);
    let public_url = raw.public_url.as_ref().and_then(|url| Url::parse(url).ok());
    if public_url.is_none() && !is_found_here(raw) {
        say(
            "server",
            "letters have links in them; write the address that people type as `public_url`".into(),
        );
    }
    Some(Arc::new(MailConfig {
        server: server.clone(),
        port: mail.port.unwrap_or(match mail.security {
            RawSecurity::StartTls => 587,
            RawSecurity::Tls => 465,
            RawSecurity::None => 25,
        }),
        security: match mail.security {
            RawSecurity::StartTls => Security::StartTls,
            RawSecurity::Tls => Security::Tls,
            RawSecurity::None => Security::None,
        },
        credentials,
        from: from?,
        hello: (public_url.as_ref())
            .and_then(Url::domain)
            .map(str::to_owned),
        authorities,
    }))
}

fn check_credentials(
    mail: &RawMail,
    server: &str,
    folder: &Path,
    say: Say<'_>,
) -> Option<(String, lyceum_model::secret::Secret)> {
    match (&mail.user, &mail.password) {
        (None, None) => None,
        (Some(_), None) => {
            say("password", "`user` wants a password beside it".into());
            None
        }
        (None, Some(_)) => {
            say("user", "whose password is it? write `user`".into());
            None
        }
        (Some(user), Some(password)) => {
            if user.trim().is_empty() || user.len() > 255 || user.chars().any(char::is_control) {
                say("user", "the name is empty, or too long".into());
            }
            if mail.security == RawSecurity::None && !is_this_machine(server) {
                say(
                    "security",
                    "the password would go over the network in the clear; write `starttls` or `tls`"
                        .into(),
                );
            }
            match password.resolve(folder) {
                Ok(secret) => Some((user.clone(), secret)),
                Err(message) => {
                    say("password", message);
                    None
                }
            }
        }
    }
}

fn check_from(mail: &RawMail, say: Say<'_>) -> Option<MailAddress> {
    let Some(from) = &mail.from else {
        say(
            "from",
            "letters come from somebody; write an address such as `jupyter@example.edu`".into(),
        );
        return None;
    };
    let address = MailAddress::parse(from);
    address
        .map_err(|error| say("from", format!("{from:?}: {error}")))
        .ok()
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(fits)
    };
    text.parse::<IpAddr>().is_ok() || is_domain(text) || label(text)
}

fn is_this_machine(server: &str) -> bool {
    let address = server.parse::<IpAddr>();
    server == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether browsers come from this machine alone, by an address that is known.
fn is_found_here(raw: &RawConfig) -> bool {
    let listen = raw.listen.0.parse::<SocketAddr>();
    raw.public_url.is_none()
        && raw.subdomains != Some(false)
        && listen.is_ok_and(|listen| listen.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    fn read(keys: &str) -> Result<Option<Arc<MailConfig>>, String> {
        let text = format!("public_url: https://jupyter.example.edu\nmail: {{{keys}}}\n");
        let loaded = parse("lyceum.yaml", &text, Path::new("."));
        loaded
            .map(|loaded| loaded.config.mail)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn ports_follow_from_security() {
        for (security, port) in [("starttls", 587), ("tls", 465), ("none", 25)] {
            let keys =
                format!("server: smtp.example.edu, from: j@example.edu, security: {security}");
            let mail = read(&keys).expect("good").expect("mail");
            assert_eq!(mail.port, port, "{security}");
            assert_eq!(mail.hello.as_deref(), Some("jupyter.example.edu"));
        }
        let keys = "server: smtp.example.edu, from: j@example.edu";
        let mail = read(keys).expect("good").expect("mail");
        assert_eq!((mail.security, mail.port), (Security::StartTls, 587));
        assert_eq!(read(""), Ok(None));
    }

    #[test]
    fn mistakes_have_their_places() {
        let good = "server: smtp.example.edu, from: j@example.edu";
        let check = |keys: &str, words: &str| {
            let said = read(keys).expect_err(keys);
            assert!(
                said.contains("lyceum.yaml:2:") && said.contains(words),
                "{keys}: {said}"
            );
        };
        check("from: j@example.edu", "which host takes the mail");
        check("server: smtp.example.edu", "letters come from somebody");
        check(
            "server: 'smtp://smtp.example.edu', from: j@example.edu",
            "is no host",
        );
        check(
            "server: 'smtp.example.edu:25', from: j@example.edu",
            "is no host",
        );
        check("server: smtp.example.edu, from: jupyter", "not an address");
        check(&format!("{good}, port: 0"), "between 1 and 65535");
        check(&format!("{good}, user: lyceum"), "wants a password");
        check(
            &format!("{good}, password: 'env:LYCEUM_TEST_NOT_SET'"),
            "whose password",
        );
        check(
            &format!("{good}, user: lyceum, password: 'env:LYCEUM_TEST_NOT_SET'"),
            "is not set",
        );
        check(
            &format!("{good}, security: none, user: lyceum, password: 'file:Cargo.toml'"),
            "in the clear",
        );
        check(&format!("{good}, security: ssl"), "starttls");
        check(&format!("{good}, authority: gone.pem"), "gone.pem");
    }

    #[test]
    fn links_need_an_address() {
        let mail = "mail: {server: localhost, security: none, from: j@example.edu}\n";
        let read = |before: &str| {
            let text = format!("{before}{mail}");
            let loaded = parse("lyceum.yaml", &text, Path::new("."));
            loaded
                .map(|loaded| loaded.config.mail.is_some())
                .map_err(|problems| problems.to_string())
        };
        assert_eq!(read(""), Ok(true));
        let said = read("listen: '0.0.0.0:8000'\n").expect_err("no address");
        assert!(said.contains("public_url"), "{said}");
    }
}
