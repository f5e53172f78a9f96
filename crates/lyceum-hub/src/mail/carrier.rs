//! One letter, to the mail server of the configuration.

use std::time::Duration;

use anyhow::{Context, ensure};
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::{LONGEST, Letter, MailConfig, Security};

/// Delivers it, or says why not. It takes no longer than [`LONGEST`].
pub async fn deliver(config: &MailConfig, letter: &Letter) -> anyhow::Result<()> {
    let message = message(config, letter)?;
    let wanted = config.clone();
    // The system's certificates are read from the disk.
    let transport = tokio::task::spawn_blocking(move || transport(&wanted)).await??;
    let (server, port) = (&config.server, config.port);
    let sent = tokio::time::timeout(LONGEST, transport.send(message)).await;
    sent.with_context(|| {
        format!(
            "{server}:{port} did not take it within {} s",
            LONGEST.as_secs()
        )
    })?
    .with_context(|| format!("{server}:{port} did not take it"))?;
    Ok(())
}

/// Whether the server could be asked: it greets us, goes over to TLS and takes name and password, as far as
/// the configuration says so.
pub async fn look(config: &MailConfig, limit: Duration) -> anyhow::Result<()> {
    let wanted = config.clone();
    let transport = tokio::task::spawn_blocking(move || transport(&wanted)).await??;
    let found = tokio::time::timeout(limit, transport.test_connection()).await;
    let found = found.with_context(|| format!("it did not answer within {} s", limit.as_secs()))?;
    ensure!(found?, "it ends the conversation at once");
    Ok(())
}

fn transport(config: &MailConfig) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let hello = config.hello.clone();
    let hello = hello.map_or_else(ClientId::default, ClientId::Domain);
    let tls = match config.security {
        Security::None => Tls::None,
        Security::StartTls => Tls::Required(tls_parameters(config)?),
        Security::Tls => Tls::Wrapper(tls_parameters(config)?),
    };
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.server.as_str())
            .port(config.port)
            .timeout(Some(LONGEST))
            .hello_name(hello)
            .tls(tls);
    if let Some((user, password)) = &config.credentials {
        let credentials = Credentials::new(user.clone(), password.expose().to_owned());
        builder = builder.credentials(credentials);
    }
    Ok(builder.build())
}

fn tls_parameters(config: &MailConfig) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(config.server.clone());
    if let Some(pem) = &config.authorities {
        builder = builder.add_root_certificate(Certificate::from_pem(pem)?);
    }
    Ok(builder.build()?)
}

fn message(config: &MailConfig, letter: &Letter) -> anyhow::Result<Message> {
    let from: Address = config.from.as_str().parse()?;
    let to: Address = letter.to.as_str().parse()?;
    let name = one_line(&letter.from_name);
    let name = (!name.is_empty()).then_some(name);
    let id = format!(
        "<{}@{}>",
        lyceum_model::id::new_secret(),
        config.from.domain()
    );
    let message = Message::builder()
        .from(Mailbox::new(name, from))
        .to(Mailbox::new(None, to))
        .subject(one_line(&letter.subject))
        .message_id(Some(id))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        .body(letter.text.clone())?;
    Ok(message)
}

/// What stands in a header: nothing in it begins another.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use lyceum_auth::addresses::MailAddress;

    use super::*;

    fn address(text: &str) -> MailAddress {
        MailAddress::parse(text).expect("an address")
    }

    #[test]
    fn no_header_is_begun_by_what_stands_in_another() {
        let config = MailConfig {
            server: "localhost".into(),
            port: 25,
            security: Security::None,
            credentials: None,
            from: address("lyceum@example.edu"),
            hello: None,
            authorities: None,
        };
        let letter = Letter {
            to: address("ada@example.edu"),
            from_name: "Uni\r\nBcc: eve@example.edu".into(),
            subject: "A link\r\nBcc: eve@example.edu".into(),
            text: "Bcc: eve@example.edu\r\n".into(),
        };
        let message = message(&config, &letter).expect("a message");
        let text = String::from_utf8(message.formatted()).expect("text");
        let (head, _) = text.split_once("\r\n\r\n").expect("a head");
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect();
        assert!(!names.contains(&"Bcc"), "{head}");
        assert!(
            names.contains(&"Message-ID") && names.contains(&"Date"),
            "{head}"
        );
        let to: Vec<String> = message
            .envelope()
            .to()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(to, ["ada@example.edu"]);
    }
}
