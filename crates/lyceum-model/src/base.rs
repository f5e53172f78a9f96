//! Where all of Lyceum stands on its host: at `/`, or below a path such as `/jupyter/` where the rest
//! of the host is somebody else's.
//!
//! Every path that leaves this program is made here: links, redirects, cookies, routes, what servers
//! and services are told. Routes of the hub are registered without the base; what comes in loses it
//! in one place ([`BasePath::within`]).

use std::fmt;
use std::sync::Arc;

/// Longest base, in bytes.
const LONGEST: usize = 200;

/// `/`, or `/a/b/`: with a slash at both ends.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BasePath(Arc<str>);

/// Why a text is no base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no path to stand below, such as `/jupyter/`: between the slashes are letters, digits, `-`, `_`, `.` and `~`, at most 200 in all"
)]
pub struct BadBase(String);

impl Default for BasePath {
    fn default() -> Self {
        Self("/".into())
    }
}

impl BasePath {
    /// Slashes at the ends may be left out.
    pub fn parse(text: &str) -> Result<Self, BadBase> {
        let bad = || BadBase(text.chars().take(LONGEST).collect());
        if matches!(text, "" | "/") {
            return Ok(Self::default());
        }
        let inner = text.strip_prefix('/').unwrap_or(text);
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        let is_segment = |segment: &str| {
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.chars().all(is_plain)
        };
        if inner.len() > LONGEST || !inner.split('/').all(is_segment) {
            return Err(bad());
        }
        Ok(Self(format!("/{inner}/").into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// What stands before a path that begins with a slash.
    fn front(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or_default()
    }

    /// A path as browsers see it, from one as routes are registered: `/hub/home` is `/x/hub/home`.
    pub fn at(&self, path: &str) -> String {
        debug_assert!(path.starts_with('/'), "{path:?} is no path");
        format!("{}{path}", self.front())
    }

    /// `/x/hub/`.
    pub fn hub(&self) -> String {
        format!("{}hub/", self.0)
    }

    /// A path as routes are registered, from one as browsers see it; none if it is outside.
    pub fn within<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.front())? {
            "" => Some("/"),
            rest => rest.starts_with('/').then_some(rest),
        }
    }

    /// Where the hub explains what has no route: `/x/user/ada/lab` is `/x/hub/user/ada/lab`.
    pub fn to_hub(&self, path: &str) -> String {
        self.at(&format!("/hub{}", self.within(path).unwrap_or(path)))
    }

    /// The other way round; a path that is not of this kind stays as it is.
    pub fn out_of_hub(&self, path: &str) -> String {
        let of_server = self.within(path).and_then(|path| path.strip_prefix("/hub"));
        let leads_to_one =
            |path: &&str| path.starts_with("/user/") || path.starts_with("/services/");
        match of_server.filter(leads_to_one) {
            Some(path) => self.at(path),
            None => path.to_owned(),
        }
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BasePath({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(text: &str) -> BasePath {
        BasePath::parse(text).expect("a good base")
    }

    #[test]
    fn what_a_base_is() {
        for (text, expect) in [
            ("", "/"),
            ("/", "/"),
            ("x", "/x/"),
            ("/x", "/x/"),
            ("x/", "/x/"),
            ("/a/b-1.~_/", "/a/b-1.~_/"),
        ] {
            assert_eq!(base(text).as_str(), expect, "{text:?}");
        }
        for bad in [
            "//",
            "//x/",
            "/x//",
            "/a//b/",
            "/a b/",
            "/../",
            "/a/./",
            "/%41/",
            "/ä/",
            "/a?b",
            "/a\\b",
            &"a".repeat(201),
        ] {
            assert!(BasePath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn paths_go_out_and_come_in() {
        let (root, below) = (base("/"), base("/x/"));
        for path in ["/", "/hub/home?a=/b", "/user/ada/"] {
            assert_eq!(root.at(path), path);
            assert_eq!(root.within(path), Some(path));
            assert_eq!(below.within(&below.at(path)), Some(path));
        }
        assert_eq!(below.at("/hub/home"), "/x/hub/home");
        assert_eq!(below.hub(), "/x/hub/");
        assert_eq!(below.within("/x"), Some("/"));
        for outside in ["/", "/hub/home", "/xy/hub", "/X/hub", "x/hub"] {
            assert_eq!(below.within(outside), None, "{outside}");
        }
    }

    #[test]
    fn ways_to_the_hub_and_back() {
        for (of_base, own, explained) in [
            ("/", "/user/ada/lab", "/hub/user/ada/lab"),
            ("/x/", "/x/user/ada/lab", "/x/hub/user/ada/lab"),
            ("/hub/", "/hub/user/ada/", "/hub/hub/user/ada/"),
        ] {
            let base = base(of_base);
            assert_eq!(base.to_hub(own), explained);
            assert_eq!(base.out_of_hub(explained), own);
            assert_eq!(base.out_of_hub(own), own);
        }
        assert_eq!(base("/x/").out_of_hub("/x/hub/home"), "/x/hub/home");
        assert_eq!(base("/x/").out_of_hub("/hub/user/ada/"), "/hub/user/ada/");
    }
}
