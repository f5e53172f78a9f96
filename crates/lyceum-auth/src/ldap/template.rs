//! Names and filters with `{username}` or `{dn}` in them, into which values are written escaped.

use ldap3::{dn_escape, ldap_escape, parse_filter};

use super::dn::Dn;

const USERNAME: &str = "username";
const DN: &str = "dn";

/// A text with places for values. Parsed, so that what stands in a value is never taken for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Username,
    Dn,
}

impl Template {
    /// Finds people: a filter with `{username}`.
    pub fn people(text: &str) -> Result<Self, String> {
        let template = Self::filter(text)?;
        match template.0.contains(&Piece::Username) && !template.0.contains(&Piece::Dn) {
            true => Ok(template),
            false => Err(format!(
                "{text:?} has to hold `{{username}}`, as in `(uid={{username}})`, and no other place for a value"
            )),
        }
    }

    /// Finds the groups of a person: a filter with `{dn}` or `{username}`.
    pub fn groups(text: &str) -> Result<Self, String> {
        let template = Self::filter(text)?;
        match template
            .0
            .iter()
            .any(|piece| !matches!(piece, Piece::Text(_)))
        {
            true => Ok(template),
            false => Err(format!(
                "{text:?} finds the same groups for everybody; write `{{dn}}` or `{{username}}` where the person belongs, as in `(member={{dn}})`"
            )),
        }
    }

    /// What to bind as: the name of an entry, or `{username}@example.edu`.
    pub fn bind(text: &str) -> Result<Self, String> {
        let template = Self::parse(text)?;
        let fits = template.0.contains(&Piece::Username) && !template.0.contains(&Piece::Dn);
        let is_name = !template.is_entry() || Dn::parse(&template.as_name("x")).is_some();
        match fits && is_name {
            true => Ok(template),
            false => Err(format!(
                "{text:?} is no name of an entry with `{{username}}` in it, such as `uid={{username}},ou=people,dc=example,dc=edu`"
            )),
        }
    }

    fn filter(text: &str) -> Result<Self, String> {
        let template = Self::parse(text)?;
        let sample = template.as_filter("x", "uid=x");
        match sample.starts_with('(') && parse_filter(&sample).is_ok() {
            true => Ok(template),
            false => Err(format!(
                "{text:?} is no filter such as `(&(objectClass=person)(uid={{username}}))`"
            )),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((place, behind)) = behind.split_once('}') else {
                return Err(format!("{text:?} has a `{{` without its `}}`"));
            };
            pieces.push(Piece::Text(before.into()));
            pieces.push(match place {
                USERNAME => Piece::Username,
                DN => Piece::Dn,
                other => {
                    return Err(format!(
                        "{text:?}: there is no value `{{{other}}}`; there are `{{username}}` and, for groups, `{{dn}}`"
                    ));
                }
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.into()));
        Ok(Self(pieces))
    }

    /// Whether it makes the name of an entry, and not one that only the directory understands.
    pub fn is_entry(&self) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if text.contains('=')))
    }

    /// A name to bind as.
    pub(super) fn as_name(&self, username: &str) -> String {
        let is_entry = self.is_entry();
        self.fill(|piece| match (piece, is_entry) {
            (Piece::Username, true) => dn_escape(username).into_owned(),
            (Piece::Username, false) => username.to_owned(),
            _ => String::new(),
        })
    }

    pub(super) fn as_filter(&self, username: &str, dn: &str) -> String {
        self.fill(|piece| match piece {
            Piece::Dn => ldap_escape(dn).into_owned(),
            _ => ldap_escape(username).into_owned(),
        })
    }

    fn fill(&self, value: impl Fn(&Piece) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            place => value(place),
        });
        pieces.collect()
    }
}

/// Whether an attribute can be called so.
pub fn check_attribute(text: &str) -> Result<(), String> {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    match begins_well && text.len() <= 64 && text.bytes().all(fits) {
        true => Ok(()),
        false => Err(format!("{text:?} is no name of an attribute such as `uid`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stays_a_value() {
        let check = |username: &str, filter: &str, name: &str| {
            let people = Template::people("(&(a=b)(uid={username}))").unwrap();
            assert_eq!(people.as_filter(username, ""), filter);
            let bind = Template::bind("uid={username},ou=people,dc=edu").unwrap();
            assert_eq!(bind.as_name(username), name);
        };
        check("ada", "(&(a=b)(uid=ada))", "uid=ada,ou=people,dc=edu");
        check(
            "*)(uid=*",
            r"(&(a=b)(uid=\2a\29\28uid=\2a))",
            r"uid=*)(uid\3d*,ou=people,dc=edu",
        );
        check(
            "ada,ou=x",
            "(&(a=b)(uid=ada,ou=x))",
            r"uid=ada\2cou\3dx,ou=people,dc=edu",
        );
        check(
            "{dn}{username}\\",
            r"(&(a=b)(uid={dn}{username}\5c))",
            r"uid={dn}{username}\5c,ou=people,dc=edu",
        );
        check(
            "a+b@c.de",
            "(&(a=b)(uid=a+b@c.de))",
            r"uid=a\2bb@c.de,ou=people,dc=edu",
        );
        // What is written is read as one value again.
        let filter = Template::people("(uid={username})").unwrap();
        for odd in ["*)(uid=*", "\0", "a*", "((", "\\2a", "é\u{202e}"] {
            let text = filter.as_filter(odd, "");
            assert!(parse_filter(&text).is_ok(), "{odd:?}");
            assert!(
                !text[1..text.len() - 1].contains(['(', ')', '*', '\0']),
                "{odd:?}"
            );
        }
        let groups = Template::groups("(|(member={dn})(memberUid={username}))").unwrap();
        assert_eq!(
            groups.as_filter("{dn}", "cn=a(b),dc=edu"),
            r"(|(member=cn=a\28b\29,dc=edu)(memberUid={dn}))"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        type Make = fn(&str) -> Result<Template, String>;
        let check = |make: Make, good: &[&str], wrong: &[&str]| {
            for text in good {
                assert_eq!(make(text).map(|_| ()), Ok(()), "{text}");
            }
            for text in wrong {
                assert!(make(text).is_err(), "{text}");
            }
        };
        check(
            Template::people,
            &[
                "(uid={username})",
                "(|(uid={username})(mail={username}))",
                "(&(sAMAccountName={username})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
            ],
            &[
                "",
                "uid={username}",
                "(uid=ada)",
                "(uid={username}",
                "(uid={user})",
                "(uid={username)",
                "(uid={username})(a=b)",
                "(member={dn}{username})",
            ],
        );
        check(
            Template::groups,
            &[
                "(member={dn})",
                "(memberUid={username})",
                "(member:1.2.840.113556.1.4.1941:={dn})",
            ],
            &["(cn=staff)", "member={dn}", "(member={dn"],
        );
        check(
            Template::bind,
            &[
                "uid={username},ou=people,dc=example,dc=edu",
                "{username}@example.edu",
                r"EXAMPLE\{username}",
            ],
            &[
                "uid=ada,dc=edu",
                "uid={username},ou",
                "",
                "{dn}",
                "ada@example.edu",
            ],
        );
    }

    #[test]
    fn names_of_attributes() {
        for good in ["uid", "sAMAccountName", "x-y-1"] {
            assert_eq!(check_attribute(good), Ok(()));
        }
        for wrong in [
            "",
            "claim:uid",
            "a b",
            "a.b",
            "1a",
            "(a)",
            "a;b",
            "memberOf,x",
        ] {
            assert!(check_attribute(wrong).is_err(), "{wrong}");
        }
    }
}
