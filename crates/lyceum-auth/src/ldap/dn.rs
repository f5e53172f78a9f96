//! Distinguished names as text (RFC 4514): enough to tell what stands below what, and what an entry is
//! called. Anything odd is no name, so that nothing is understood in two ways.

/// A name, from the entry up to the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dn(Vec<Vec<Part>>);

/// `cn=Staff`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// In small letters.
    attribute: String,
    value: String,
}

impl Dn {
    /// `None`: it is no name, or one with nothing in it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut levels = vec![Vec::new()];
        for (part, closed_by) in split(text)? {
            levels.last_mut()?.push(part);
            if closed_by == ',' {
                levels.push(Vec::new());
            }
        }
        Some(Self(levels))
    }

    /// Whether it is somewhere below that one, or that one itself.
    pub fn is_within(&self, base: &Self) -> bool {
        let above = self.0.len().checked_sub(base.0.len());
        above.is_some_and(|above| {
            let mut pairs = self.0[above..].iter().zip(&base.0);
            pairs.all(|(ours, theirs)| alike(ours, theirs))
        })
    }

    /// What the entry is called by this attribute among those it is called by.
    pub fn own_name(&self, attribute: &str) -> Option<&str> {
        let parts = self.0.first()?;
        let part = parts
            .iter()
            .find(|part| part.attribute.eq_ignore_ascii_case(attribute))?;
        Some(&part.value)
    }
}

/// Whether two entries side by side are the same: the order of their parts does not matter, nor, as with
/// nearly all that names are made of, the case.
fn alike(one: &[Part], other: &[Part]) -> bool {
    let same = |a: &Part, b: &Part| {
        a.attribute == b.attribute && a.value.to_lowercase() == b.value.to_lowercase()
    };
    one.len() == other.len()
        && (one.iter()).all(|part| other.iter().any(|theirs| same(part, theirs)))
}

/// The parts, each with the sign that stands behind it (a comma behind the last is none).
fn split(text: &str) -> Option<Vec<(Part, char)>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let (attribute, behind) = rest.split_once('=')?;
        let attribute = attribute.trim();
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        if attribute.is_empty() || !attribute.bytes().all(is_word) {
            return None;
        }
        let (value, closed_by, behind) = value_of(behind)?;
        let part = Part {
            attribute: attribute.to_ascii_lowercase(),
            value,
        };
        match closed_by {
            Some(sign) => parts.push((part, sign)),
            None => {
                parts.push((part, '\0'));
                return Some(parts);
            }
        }
        rest = behind;
    }
}

/// A value up to a `,` or `+` that is not escaped, which of them it was, and what stands behind.
fn value_of(text: &str) -> Option<(String, Option<char>, &str)> {
    let text = text.trim_start_matches(' ');
    let mut value = Vec::new();
    // Blanks at the end count only where they are escaped.
    let mut kept = 0;
    let mut signs = text.char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            ',' | '+' => return close(value, kept, Some(sign), &text[at + 1..]),
            '\\' => {
                let (_, next) = signs.next()?;
                match next.to_digit(16) {
                    Some(high) => {
                        let low = signs.next()?.1.to_digit(16)?;
                        value.push(u8::try_from(high * 16 + low).ok()?);
                    }
                    None if " \"#+,;<=>\\".contains(next) => value.push(next as u8),
                    None => return None,
                }
                kept = value.len();
            }
            '"' | ';' | '<' | '>' | '\0' => return None,
            sign => {
                value.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
                if sign != ' ' {
                    kept = value.len();
                }
            }
        }
    }
    close(value, kept, None, "")
}

fn close(
    mut value: Vec<u8>,
    kept: usize,
    sign: Option<char>,
    behind: &str,
) -> Option<(String, Option<char>, &str)> {
    value.truncate(kept);
    let value = String::from_utf8(value).ok()?;
    (!value.is_empty()).then_some((value, sign, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_entry_is_called() {
        let check = |text: &str, expect: Option<&str>| {
            let dn = Dn::parse(text);
            let name = dn.as_ref().and_then(|dn| dn.own_name("CN"));
            assert_eq!(name, expect, "{text}");
        };
        check("cn=staff,ou=groups,dc=example,dc=edu", Some("staff"));
        check("CN = Staff , ou=groups", Some("Staff"));
        check("ou=x+cn=staff,dc=edu", Some("staff"));
        check(r"cn=a\,b,dc=edu", Some("a,b"));
        check(r"cn=a\2cb,dc=edu", Some("a,b"));
        check(r"cn=J\c3\bcrgen,dc=edu", Some("Jürgen"));
        check("cn=Jürgen,dc=edu", Some("Jürgen"));
        check(r"cn=\20a\ ,dc=edu", Some(" a "));
        check("cn=a=b,dc=edu", Some("a=b"));
        check("uid=staff,dc=edu", None);
        for wrong in [
            "",
            "cn",
            "cn=",
            "cn=a,",
            "cn=a,,dc=edu",
            "=a",
            "c n=a",
            r"cn=a\",
            r"cn=a\4",
            r"cn=a\ff",
            r"cn=a\q",
            "cn=\"a\"",
            "cn=a;dc=edu",
            "cn=<a>",
        ] {
            assert_eq!(Dn::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_stands_below_what() {
        let check = |text: &str, base: &str, expect: bool| {
            let (dn, base) = (Dn::parse(text).unwrap(), Dn::parse(base).unwrap());
            assert_eq!(dn.is_within(&base), expect, "{text} in {base:?}");
        };
        let base = "ou=groups,dc=example,dc=edu";
        check("cn=staff,ou=groups,dc=example,dc=edu", base, true);
        check("cn=staff, OU=Groups, DC=Example,dc=edu", base, true);
        check("cn=x,ou=deep,ou=groups,dc=example,dc=edu", base, true);
        check(base, base, true);
        check("dc=example,dc=edu", base, false);
        check("cn=staff,ou=clubs,dc=example,dc=edu", base, false);
        check("cn=staff,ou=groups,dc=example,dc=com", base, false);
        check(r"cn=staff\,ou=groups,dc=example,dc=edu", base, false);
        check("cn=x,ou=a+cn=b,dc=edu", "cn=b+ou=a,dc=edu", true);
        check("cn=x,ou=a,dc=edu", "cn=b+ou=a,dc=edu", false);
    }
}
