//! Paths: what is accepted means the same to every reader who decodes once.

use crate::path::{check_path, segments};

use super::naive::decode;

/// A path, as the parser of heads gives it.
pub fn uri(data: &[u8]) {
    let Ok(path) = std::str::from_utf8(data) else {
        return;
    };
    let raw: Vec<&[u8]> = data.split(|byte| *byte == b'/').collect();
    let decoded: Vec<Vec<u8>> = raw.iter().map(|raw| decode(raw)).collect();
    let whole = decode(data);
    let has_dots = whole
        .split(|byte| *byte == b'/')
        .any(|part| matches!(part, b"." | b".."));
    let is_good =
        data.starts_with(b"/") && !has_dots && !whole.contains(&0) && !whole.contains(&b'\\');
    assert_eq!(check_path(path).is_ok(), is_good);
    if !is_good {
        return;
    }

    // Ours: cut, then decode. The first is what stands before the leading slash.
    let ours: Vec<Vec<u8>> = segments(path).map(|one| one.into_owned()).collect();
    assert_eq!(ours, decoded[1..]);
    // Another: decode, then tidy dots away. There is nothing to tidy.
    assert_eq!(without_dots(&whole), whole);
    // Another: a C string, or one that takes `\` for `/`.
    let until_nul = whole.split(|byte| *byte == 0).next();
    assert_eq!(until_nul, Some(&whole[..]));
    // And nobody who decodes once can leave a prefix that we have matched.
    assert!(!whole.windows(4).any(|four| four == b"/../"));
    assert!(!whole.ends_with(b"/..") && !whole.ends_with(b"/."));
}

/// RFC 3986, section 5.2.4, on whole segments.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"." => {}
            b".." => {
                kept.pop();
            }
            _ => kept.push(part),
        }
    }
    kept.join(&b'/')
}
