//! One connection to a directory: who it speaks as, and the two questions that are asked over it.

use std::fmt;

use anyhow::{Context, bail, ensure};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions};
use lyceum_model::secret::Secret;
use url::Url;

use super::entry::Entry;

/// How much of a server's own words the log repeats.
const WORDS_MAX: usize = 200;

/// Result codes of RFC 4511, appendix A, that concern us.
pub(super) mod code {
    pub(in crate::ldap) const SUCCESS: u32 = 0;
    pub(in crate::ldap) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(in crate::ldap) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(in crate::ldap) const NO_SUCH_OBJECT: u32 = 32;
    pub(in crate::ldap) const INVALID_DN_SYNTAX: u32 = 34;
    pub(in crate::ldap) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(in crate::ldap) const INVALID_CREDENTIALS: u32 = 49;
    pub(in crate::ldap) const INSUFFICIENT_ACCESS_RIGHTS: u32 = 50;
    pub(in crate::ldap) const UNWILLING_TO_PERFORM: u32 = 53;
}

/// The connection has ended, by whichever side.
#[derive(Debug)]
pub(super) struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection has ended")
    }
}

/// Whom the server takes us for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Nobody,
    Reader,
    Somebody,
}

/// What is wrong concerns one person, not the server.
#[derive(Debug)]
pub(super) struct OfOne;

impl fmt::Display for OfOne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("she can't be let in")
    }
}

/// What was found, and whether that is all.
pub(super) struct Entries {
    pub(super) found: Vec<Entry>,
    pub(super) is_all: bool,
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    /// At this entry alone.
    At(&'a str),
    Below(&'a str),
}

pub(super) struct Connection {
    ldap: Ldap,
    is: As,
}

impl Connection {
    pub(super) async fn open(settings: LdapConnSettings, url: &Url) -> anyhow::Result<Self> {
        let opened = LdapConnAsync::from_url_with_settings(settings, url).await;
        let (connection, ldap) = opened.context("connecting")?;
        // It ends with the last handle; why it ended is told by whatever was asked over it.
        tokio::spawn(connection.drive());
        let is = As::Nobody;
        Ok(Self { ldap, is })
    }

    /// Whether it is known to have ended.
    pub(super) fn is_closed(&mut self) -> bool {
        self.ldap.is_closed()
    }

    /// Whether this is the password of whoever is called so.
    ///
    /// Invariant: no bind without a name and a password leaves here. A directory answers one without a
    /// password with success, and has proved nothing (RFC 4513, 5.1.2).
    pub(super) async fn proves(&mut self, name: &str, password: &Secret) -> anyhow::Result<bool> {
        ensure!(
            !name.is_empty() && !password.expose().is_empty(),
            "a bind without a name or a password proves nothing"
        );
        self.is = As::Somebody;
        let answer = self.ldap.simple_bind(name, password.expose()).await;
        let answer = answer.map_err(problem)?;
        match answer.rc {
            code::SUCCESS => Ok(true),
            // The word of the standard for a wrong password, and those that servers have for accounts that
            // are locked, have no password, or are not there.
            code::INVALID_CREDENTIALS
            | code::NO_SUCH_OBJECT
            | code::INVALID_DN_SYNTAX
            | code::INAPPROPRIATE_AUTHENTICATION
            | code::INSUFFICIENT_ACCESS_RIGHTS
            | code::CONSTRAINT_VIOLATION
            | code::UNWILLING_TO_PERFORM => {
                tracing::debug!(answer = told_of(&answer), "a directory refused a password");
                Ok(false)
            }
            _ => bail!("a bind was answered {}", told_of(&answer)),
        }
    }

    /// From here on as the account that reads, or as nobody where there is none.
    pub(super) async fn be_reader(
        &mut self,
        reader: Option<(&str, &Secret)>,
    ) -> anyhow::Result<()> {
        let (wanted, name, password) = match reader {
            Some((name, password)) => (As::Reader, name, password.expose()),
            None => (As::Nobody, "", ""),
        };
        if self.is == wanted {
            return Ok(());
        }
        let answer = self.ldap.simple_bind(name, password).await;
        let answer = answer.map_err(problem)?;
        ensure!(
            answer.rc == code::SUCCESS,
            "the directory does not take {}: {}",
            match reader {
                Some(_) => "name and password of `reader`",
                None => "questions without a `reader`",
            },
            told_of(&answer)
        );
        self.is = wanted;
        Ok(())
    }

    /// At most so many entries. References to other servers are left out.
    pub(super) async fn find(
        &mut self,
        place: Place<'_>,
        filter: &str,
        attributes: &[String],
        most: i32,
    ) -> anyhow::Result<Entries> {
        let (base, scope) = match place {
            Place::At(name) => (name, Scope::Base),
            Place::Below(base) => (base, Scope::Subtree),
        };
        let options = SearchOptions::new().sizelimit(most);
        let answer = (self.ldap.with_search_options(options))
            .search(base, scope, filter, attributes)
            .await
            .map_err(problem)?;
        let is_all = match (answer.1.rc, place) {
            (code::SUCCESS, _) => true,
            (code::SIZE_LIMIT_EXCEEDED, _) => false,
            // Not there any more, or not for whoever asks.
            (code::NO_SUCH_OBJECT, Place::At(_)) => true,
            (code::NO_SUCH_OBJECT, Place::Below(_)) => bail!(
                "there is no {base:?} in the directory, or whoever asks may not see it; is `base` right, and is there a `reader`?"
            ),
            _ => bail!("looking below {base:?} was answered {}", told_of(&answer.1)),
        };
        let found = answer.0.into_iter().map(Entry::new).collect();
        Ok(Entries { found, is_all })
    }
}

/// What the library says, told apart by whether the connection is at an end.
fn problem(error: LdapError) -> anyhow::Error {
    let is_lost = matches!(
        error,
        LdapError::Io { .. }
            | LdapError::OpSend { .. }
            | LdapError::ResultRecv { .. }
            | LdapError::IdScrubSend { .. }
            | LdapError::EndOfStream
    );
    let error = anyhow::Error::new(error);
    match is_lost {
        true => error.context(Lost),
        false => error,
    }
}

fn told_of(answer: &LdapResult) -> String {
    told(answer.rc, &answer.text)
}

/// A result for the log: its number and the start of the server's words, in one line.
pub(super) fn told(code: u32, words: &str) -> String {
    let words: String = (words.chars().take(WORDS_MAX))
        .flat_map(char::escape_debug)
        .collect();
    match words.trim() {
        "" => format!("with code {code}"),
        words => format!("with code {code} ({words})"),
    }
}
