//! What every head that we write must keep, whichever way it goes.

use super::naive::Message;

/// What stands between two spaces, or none if these are not three words.
pub(super) fn three(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = line.iter().position(|byte| *byte == b' ')?;
    let rest = &line[first + 1..];
    let second = rest.iter().position(|byte| *byte == b' ')?;
    Some((&line[..first], &rest[..second], &rest[second + 1..]))
}

/// Names in small letters, nothing that concerns another hop, and one length at most.
pub(super) fn check(sent: &Message<'_>) {
    for (name, _) in &sent.fields {
        let name = std::str::from_utf8(name).expect("names are ASCII");
        assert_eq!(name, name.to_ascii_lowercase());
        assert!(
            !["keep-alive", "proxy-connection", "http2-settings"].contains(&name),
            "{name} was sent on"
        );
    }
    let length = sent.one("content-length");
    let coding = sent.one("transfer-encoding");
    assert!(coding.is_none_or(|coding| coding == b"chunked"));
    assert!(length.is_none() || coding.is_none(), "two lengths");
    if let Some(length) = length {
        assert!(!length.is_empty() && length.iter().all(u8::is_ascii_digit));
    }
    if let Some(connection) = sent.one("connection") {
        assert!([&b"close"[..], b"keep-alive", b"upgrade", b"te"].contains(&connection));
    }
}

/// Every field that is not one of `ours` came in, with the same value.
pub(super) fn check_origin(sent: &Message<'_>, came: &Message<'_>, ours: &[&str]) {
    let mut left = came.fields.clone();
    for (name, value) in &sent.fields {
        if ours.iter().any(|our| our.as_bytes() == *name) {
            continue;
        }
        let at = left
            .iter()
            .position(|(other, theirs)| other.eq_ignore_ascii_case(name) && theirs == value);
        let at = at.unwrap_or_else(|| {
            let (name, value) = (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value),
            );
            panic!("{name}: {value:?} was sent and did not come")
        });
        left.remove(at);
    }
}

/// A name as servers read it that take `_` for `-`.
pub(super) fn dashed(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .replace('_', "-")
        .to_ascii_lowercase()
}

/// Whether a pair of a cookie header has this name for some browser or server.
pub(super) fn names_cookie(pair: &[u8], hidden: &str) -> bool {
    let text: String = pair.iter().map(|byte| char::from(*byte)).collect();
    let text = text
        .trim()
        .trim_start_matches('=')
        .trim()
        .to_ascii_lowercase();
    let name = text.split('=').next().unwrap_or_default().trim();
    let bare = ["__host-", "__secure-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    bare.unwrap_or(name) == hidden
}
