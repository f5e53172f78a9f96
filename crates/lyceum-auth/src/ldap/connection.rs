//! One connection to a directory: who it speaks as, and the two questions that are asked over it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, anyhow, bail, ensure};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Scope, SearchOptions};
use lyceum_model::secret::Secret;
use url::Url;

use super::entry::Entry;
use super::server::{SHUNNED, lock};

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

/// That a server did not take the password of the account that reads, and what it said. Directories lock
/// accounts with which a wrong password comes often, so it is left alone for a while.
#[derive(Debug, Default)]
pub(super) struct ReaderRefused(Mutex<Option<(Instant, String)>>);

impl ReaderRefused {
    fn remember(&self, now: Instant, problem: &str) {
        *lock(&self.0) = Some((now + SHUNNED, problem.to_owned()));
    }

    /// What to say without asking.
    fn still(&self, now: Instant) -> Option<String> {
        let remembered = lock(&self.0);
        let (until, problem) = remembered.as_ref()?;
        (now < *until).then(|| problem.clone())
    }
}

pub(super) struct Connection {
    ldap: Ldap,
    is: As,
    reader_refused: Arc<ReaderRefused>,
}

impl Connection {
    pub(super) async fn open(
        settings: LdapConnSettings,
        url: &Url,
        reader_refused: Arc<ReaderRefused>,
    ) -> anyhow::Result<Self> {
        let opened = LdapConnAsync::from_url_with_settings(settings, url).await;
        let (connection, ldap) = opened.context("connecting")?;
        // It ends with the last handle; why it ended is told by whatever was asked over it.
        tokio::spawn(connection.drive());
        Ok(Self {
            ldap,
            is: As::Nobody,
            reader_refused,
        })
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
        if reader.is_some()
            && let Some(problem) = self.reader_refused.still(Instant::now())
        {
            bail!(problem);
        }
        let answer = self.ldap.simple_bind(name, password).await;
        let answer = answer.map_err(problem)?;
        if answer.rc != code::SUCCESS {
            let what = match reader {
                Some(_) => "name and password of `reader`",
                None => "questions without a `reader`",
            };
            let problem = format!("the directory does not take {what}: {}", told_of(&answer));
            if reader.is_some() && answer.rc == code::INVALID_CREDENTIALS {
                self.reader_refused.remember(Instant::now(), &problem);
            }
            bail!(problem);
        }
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
        let result = &answer.1;
        let is_all = match (result.rc, place) {
            (code::SUCCESS, _) => true,
            (code::SIZE_LIMIT_EXCEEDED, _) => false,
            // Not there any more, or not for whoever asks.
            (code::NO_SUCH_OBJECT, Place::At(_)) => true,
            (code::NO_SUCH_OBJECT, Place::Below(_)) => {
                let problem = anyhow!(
                    "there is no {base:?} in the directory, or whoever asks may not see it; is `base` right, and is there a `reader`?"
                );
                return Err(self.concerns(problem));
            }
            (rc, _) => {
                let problem = anyhow!("looking below {base:?} was answered {}", told_of(result));
                return Err(match rc {
                    code::INSUFFICIENT_ACCESS_RIGHTS => self.concerns(problem),
                    _ => problem,
                });
            }
        };
        let found = answer.0.into_iter().map(Entry::new).collect();
        Ok(Entries { found, is_all })
    }

    /// What somebody may not see, others may: it is no fault of the server where she herself asks.
    fn concerns(&self, problem: anyhow::Error) -> anyhow::Error {
        match self.is {
            As::Somebody => problem.context(OfOne),
            As::Reader | As::Nobody => problem,
        }
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
    match shown(words).trim() {
        "" => format!("with code {code}"),
        words => format!("with code {code} ({words})"),
    }
}

/// The start of a server's words, in one line.
pub(super) fn shown(words: &str) -> String {
    (words.chars().take(WORDS_MAX))
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_was_refused_is_left_alone_for_a_while() {
        let refused = ReaderRefused::default();
        let begin = Instant::now();
        assert_eq!(refused.still(begin), None);
        refused.remember(begin, "with code 49");
        let still = |after| refused.still(begin + after);
        assert_eq!(still(SHUNNED / 2).as_deref(), Some("with code 49"));
        assert_eq!(still(SHUNNED), None);
    }
}
