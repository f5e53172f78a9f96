//! Which request paths are accepted, and how they are cut into segments for routing.
//!
//! A path is forwarded byte for byte as it came; here it is only *read*. The rules, chosen so that
//! the proxy and whatever stands behind it cannot understand one path in two ways:
//!
//! - A segment is what stands between two literal `/`, percent-decoded once by itself. So `%2f`
//!   never separates segments: `/user%2fada/` does not match the route `/user/ada/`.
//! - Empty segments count. `//user/ada/` is not `/user/ada/`, and no segment is ever lost.
//! - A `%` that begins no valid escape stands for itself.
//! - Refused with 400: a NUL (`%00`), a backslash (`\`, `%5c`), and the segments `.` and `..` in
//!   every spelling (`%2e%2e`, `.%2E`, also between encoded slashes as in `a%2f..%2fb`).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Why a path is refused; the words for it are in `error_page/words.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPath {
    NotAbsolute,
    Nul,
    Backslash,
    DotSegment,
}

/// The decoded segments after the leading slash; `/a/b/` gives `a`, `b` and an empty one.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decode_segment)
}

/// What stands between two slashes, decoded once.
pub(crate) fn decode_segment(raw: &str) -> Cow<'_, [u8]> {
    percent_decode_str(raw).into()
}

pub(crate) fn check_path(path: &str) -> Result<(), BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath::NotAbsolute);
    }
    // Nearly every path has none of these, and then nothing can be wrong with it.
    if !path.contains(['%', '\\', '\0']) && !path.contains("/.") {
        return Ok(());
    }
    for segment in segments(path) {
        if segment.contains(&0) {
            return Err(BadPath::Nul);
        }
        if segment.contains(&b'\\') {
            return Err(BadPath::Backslash);
        }
        if segment
            .split(|byte| *byte == b'/')
            .any(|part| part == b"." || part == b"..")
        {
            return Err(BadPath::DotSegment);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_two_meanings_are_refused() {
        let check = |path: &str, expect: Result<(), BadPath>| {
            assert_eq!(check_path(path), expect, "{path}");
        };
        for good in [
            "/",
            "//x",
            "/%",
            "/%zz",
            "/a/.hidden/b",
            "/a/..b",
            "/a%2fb",
            "/a/...",
            "/x/%25%32%65",
        ] {
            check(good, Ok(()));
        }
        for dots in [
            "/..",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2e/b",
            "/a/.%2E",
            "/a/b%2f..%2fc",
            "/a/%2e",
        ] {
            check(dots, Err(BadPath::DotSegment));
        }
        check("/a%00b", Err(BadPath::Nul));
        check("/a\\b", Err(BadPath::Backslash));
        check("/a%5Cb", Err(BadPath::Backslash));
        check("*", Err(BadPath::NotAbsolute));
    }
}
