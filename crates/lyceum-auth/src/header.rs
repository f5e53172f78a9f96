//! A proxy in front says by a header who is there: Shibboleth, an SSO gateway.
//!
//! Whoever can write the header can be anybody, so it counts only on connections from the addresses that
//! are configured, whatever `X-Forwarded-For` says, and, where it is configured, only beside a secret
//! that the proxy in front alone has. From anywhere else it is as if it were not there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lyceum_model::identity::{Identity, Subject};
use lyceum_model::network::Network;
use lyceum_model::secret::Secret;
use serde_json::Value;
use subtle::ConstantTimeEq;
use url::Url;

use crate::attempt::Refused;
use crate::claims::{Claims, Mapping};

/// What sessions by this way in have as their method; no way in elsewhere can be called so.
pub const METHOD: &str = ":header";
/// What the values are called in a [`Mapping`].
pub const USER: &str = "user";
pub const DISPLAY: &str = "display";
pub const GROUPS: &str = "groups";
const MAIL: &str = "email";
const VALUE_MAX: usize = 16 * 1024;
const USER_MAX: usize = 1024;

/// Names of headers are in small letters.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderConfig {
    pub title: String,
    /// Whether it is taken on the log-in page without being asked, also beside other ways in.
    pub automatic: bool,
    pub header: String,
    pub mark: Option<String>,
    pub display_name: Option<String>,
    pub mail: Option<String>,
    pub groups: Option<String>,
    /// Between several values of one header.
    pub separator: char,
    pub from: Vec<Network>,
    pub proof: Option<Proof>,
    pub mapping: Mapping,
    pub log_out: Option<Url>,
}

/// A header that the proxy in front sends along, so that an address is not enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub header: String,
    pub secret: Secret,
}

impl HeaderConfig {
    /// All headers that mean something here. None of them is a notebook server's business.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.mark, &self.display_name, &self.mail, &self.groups];
        let proof = self.proof.as_ref().map(|proof| proof.header.as_str());
        let rules = self.mapping.allow.iter().chain(&self.mapping.admins);
        [self.header.as_str()]
            .into_iter()
            .chain(optional.into_iter().flatten().map(String::as_str))
            .chain(proof)
            .chain(rules.flat_map(|rule| rule.claims.keys().map(String::as_str)))
    }
}

/// The lines of one header of a request.
pub type Lines<'a> = &'a (dyn Fn(&str) -> Vec<&'a [u8]> + Sync);

/// Why a header that is believed names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear;

pub struct ByHeader(HeaderConfig);

impl ByHeader {
    pub fn new(config: HeaderConfig) -> Self {
        Self(config)
    }

    pub fn title(&self) -> &str {
        &self.0.title
    }

    pub fn is_automatic(&self) -> bool {
        self.0.automatic
    }

    /// Where whoever logs out here logs out at the proxy in front.
    pub fn log_out(&self) -> Option<&Url> {
        self.0.log_out.as_ref()
    }

    pub fn names_people(&self) -> bool {
        self.0.mapping.allow.is_some()
    }

    /// Whether what this peer says counts. `peer`: who made the connection; nothing where that is not known.
    fn believes(&self, peer: Option<IpAddr>, lines: Lines<'_>) -> bool {
        let is_from = peer.is_some_and(|peer| self.0.from.iter().any(|net| net.contains(peer)));
        is_from
            && (self.0.proof.as_ref()).is_none_or(|proof| match lines(&proof.header)[..] {
                [given] => {
                    let right = blake3::hash(proof.secret.expose().as_bytes());
                    (blake3::hash(given).as_bytes())
                        .ct_eq(right.as_bytes())
                        .into()
                }
                _ => false,
            })
    }

    /// Why nobody is there, for the log.
    pub fn why_nobody(&self, peer: Option<IpAddr>, lines: Lines<'_>) -> &'static str {
        let is_from = peer.is_some_and(|peer| self.0.from.iter().any(|net| net.contains(peer)));
        match (is_from, self.believes(peer, lines)) {
            (false, _) => "`from` does not name the address that connects",
            (true, false) => "the secret of `proof` is missing or wrong",
            (true, true) => "the header is missing or empty",
        }
    }

    /// Who is there, by the mark. Nobody: nothing is said, or not by whom it counts.
    pub fn subject(
        &self,
        peer: Option<IpAddr>,
        lines: Lines<'_>,
    ) -> Option<Result<Subject, Unclear>> {
        if !self.believes(peer, lines) {
            return None;
        }
        let header = self.0.mark.as_ref().unwrap_or(&self.0.header);
        // Without a name nobody is there, whatever mark is left of somebody.
        match self.user(lines) {
            Ok(None) => return None,
            Err(unclear) => return Some(Err(unclear)),
            Ok(Some(_)) => {}
        }
        let issuer = match self.0.mark {
            Some(_) => "header:mark",
            None => "header",
        };
        let subject = match one(lines, header) {
            Ok(Some(id)) => Ok(Subject {
                issuer: issuer.into(),
                id: match self.0.mark {
                    Some(_) => id,
                    // The same name for us in any case.
                    None => id.to_ascii_lowercase(),
                },
            }),
            _ => Err(Unclear),
        };
        Some(subject)
    }

    fn user(&self, lines: Lines<'_>) -> Result<Option<String>, Unclear> {
        one(lines, &self.0.header)
    }

    /// Who is there, with all that is said of her.
    pub fn identity(
        &self,
        peer: Option<IpAddr>,
        lines: Lines<'_>,
    ) -> Option<Result<Identity, Refused>> {
        let subject = match self.subject(peer, lines)? {
            Ok(subject) => subject,
            Err(Unclear) => {
                tracing::warn!(
                    header = self.0.header,
                    "sign-in refused: a header of the proxy in front names nobody, or two people"
                );
                return Some(Err(Refused::Unnamed));
            }
        };
        let claims = self.claims(lines);
        Some(
            self.0
                .mapping
                .identity(&subject.issuer, &subject.id, &claims),
        )
    }

    fn claims(&self, lines: Lines<'_>) -> Claims {
        let mut claims = Claims::new();
        let single = [
            (USER, Some(&self.0.header)),
            (DISPLAY, self.0.display_name.as_ref()),
            (MAIL, self.0.mail.as_ref()),
        ];
        for (claim, header) in single {
            let value = header.and_then(|header| one(lines, header).ok().flatten());
            if let Some(value) = value {
                claims.insert(claim.into(), value.into());
            }
        }
        // The proxy in front vouches for all it says.
        claims.insert("email_verified".into(), Value::Bool(true));
        if let Some(groups) = &self.0.groups {
            claims.insert(GROUPS.into(), self.many(lines, groups));
        }
        let rules = (self.0.mapping.allow.iter()).chain(&self.0.mapping.admins);
        let wanted: BTreeMap<&String, ()> = rules
            .flat_map(|rule| rule.claims.keys())
            .map(|header| (header, ()))
            .collect();
        for header in wanted.into_keys() {
            claims.insert(header.clone(), self.many(lines, header));
        }
        claims
    }

    fn many(&self, lines: Lines<'_>, header: &str) -> Value {
        let lines = lines(header);
        let texts = lines.iter().filter_map(|line| text(line, VALUE_MAX));
        let values: Vec<Value> = texts
            .flat_map(|text| {
                let parts = text.split(self.0.separator);
                let parts = parts.map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect::<Vec<_>>()
            })
            .collect();
        Value::Array(values)
    }
}

/// The value of a header that is there once. Said twice, with control characters, or not in UTF-8, it
/// could be understood in two ways.
fn one(lines: Lines<'_>, header: &str) -> Result<Option<String>, Unclear> {
    match lines(header)[..] {
        [] => Ok(None),
        [line] => {
            let value = text(line, USER_MAX).ok_or(Unclear)?;
            // What Apache writes where a variable is not set.
            let is_nothing = value.is_empty() || value == "(null)";
            Ok((!is_nothing).then_some(value))
        }
        _ => Err(Unclear),
    }
}

fn text(line: &[u8], most: usize) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?.trim();
    (text.len() <= most && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
