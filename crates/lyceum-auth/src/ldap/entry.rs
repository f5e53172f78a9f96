//! What a directory says of one entry.

use ldap3::{ResultEntry, SearchEntry};

/// More values of one attribute than this are not looked at.
const VALUES_MAX: usize = 2_000;
const MARK_MAX: usize = 255;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
    /// Attributes that have more values than are looked at.
    cut: Vec<String>,
}

impl Entry {
    pub(super) fn new(found: ResultEntry) -> Self {
        let found = SearchEntry::construct(found);
        let texts = found.attrs.into_iter().map(|(name, values)| {
            let values = values.into_iter().map(String::into_bytes);
            (name, values.collect())
        });
        let mut attributes: Vec<(String, Vec<Vec<u8>>)> = texts.chain(found.bin_attrs).collect();
        let mut cut = Vec::new();
        for (name, values) in &mut attributes {
            if values.len() > VALUES_MAX {
                values.truncate(VALUES_MAX);
                cut.push(name.clone());
            }
        }
        Self {
            dn: found.dn,
            attributes,
            cut,
        }
    }

    /// The values of an attribute that are text. Names of attributes have no case.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a piece of a long list only: the directory gives no more at once, as Active
    /// Directory does, or more is not looked at.
    pub(super) fn is_cut_short(&self, name: &str) -> bool {
        let is_piece = |given: &str| {
            let (given, option) = given.split_once(';').unwrap_or((given, ""));
            given.eq_ignore_ascii_case(name) && option.to_ascii_lowercase().starts_with("range=")
        };
        self.attributes.iter().any(|(given, _)| is_piece(given))
            || self.cut.iter().any(|cut| cut.eq_ignore_ascii_case(name))
    }

    /// What tells this entry from all others for ever, written in one way.
    pub(super) fn mark(&self, name: &str) -> Option<String> {
        let [value] = self.values(name) else {
            return None;
        };
        // Bytes, that may by chance be letters.
        if ["objectGUID", "objectSid"]
            .iter()
            .any(|bytes| name.eq_ignore_ascii_case(bytes))
        {
            return (!value.is_empty() && value.len() <= MARK_MAX / 2)
                .then(|| data_encoding::HEXLOWER.encode(value));
        }
        let text = std::str::from_utf8(value).ok()?;
        let fits = !text.is_empty() && text.len() <= MARK_MAX && !text.contains(char::is_control);
        fits.then(|| text.to_owned())
    }

    pub(super) fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_one_value_written_in_one_way() {
        let check = |name: &str, values: &[&[u8]], expect: Option<&str>| {
            let values = values.iter().map(|value| value.to_vec()).collect();
            let entry = Entry {
                dn: "uid=ada".into(),
                attributes: vec![(name.to_lowercase(), values)],
                cut: Vec::new(),
            };
            assert_eq!(entry.mark(name).as_deref(), expect, "{name}");
        };
        check("entryUUID", &[b"0a1b-2c"], Some("0a1b-2c"));
        check("objectGUID", &[b"AB\x00\xff"], Some("414200ff"));
        check("objectGUID", &[b"ABCD"], Some("41424344"));
        check("entryUUID", &[b"\xff"], None);
        check("entryUUID", &[b"a\nb"], None);
        check("entryUUID", &[b""], None);
        check("objectGUID", &[b""], None);
        check("entryUUID", &[b"a", b"b"], None);
        check("entryUUID", &[], None);
        check("entryUUID", &[&[b'a'; 256]], None);
    }

    #[test]
    fn a_list_that_is_a_piece_is_known() {
        let check = |given: &str, expect: bool| {
            let entry = Entry {
                dn: "cn=ada".into(),
                attributes: vec![(given.into(), Vec::new())],
                cut: Vec::new(),
            };
            assert_eq!(entry.is_cut_short("memberOf"), expect, "{given}");
        };
        check("memberOf;range=0-1499", true);
        check("memberof;Range=0-1499", true);
        check("memberOf", false);
        check("memberOf;lang-de", false);
        check("member;range=0-1499", false);
    }
}
