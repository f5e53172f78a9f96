//! The few files pages load, compiled in.
//!
//! A page asks for `static/HASH/lyceum.css`; the hash is of the content, so a browser may keep
//! the file for ever. During an upgrade one replica's page can ask another replica: a hash of
//! another version gets the file as it is here, but not for ever.

use std::sync::LazyLock;

/// A file to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    pub content_type: &'static str,
    pub bytes: &'static [u8],
    /// With its quotes, as the header wants it.
    pub etag: &'static str,
    /// The URL names this very content.
    pub immutable: bool,
}

impl Asset {
    /// The value for `Cache-Control`.
    pub fn cache_control(&self) -> &'static str {
        if self.immutable {
            "public, max-age=31536000, immutable"
        } else {
            "public, no-cache"
        }
    }
}

/// Name, content type and content.
const FILES: &[(&str, &str, &[u8])] = &[
    (
        "lyceum.css",
        "text/css; charset=utf-8",
        include_bytes!("../../assets/lyceum.css"),
    ),
    (
        "lyceum.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/lyceum.js"),
    ),
    (
        "onward.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/onward.js"),
    ),
    // For codes on paper: where they are typed, and their sheets.
    (
        "seat.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/seat.js"),
    ),
    (
        "sheets.css",
        "text/css; charset=utf-8",
        include_bytes!("../../assets/sheets.css"),
    ),
    // The pages of courses, where files are handed in.
    (
        "course.css",
        "text/css; charset=utf-8",
        include_bytes!("../../assets/course.css"),
    ),
    (
        "course.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/course.js"),
    ),
    // For a site's templates: what JupyterHub's scripts do, and what stands at their places.
    (
        "classic.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/classic.js"),
    ),
    (
        "components/requirejs/require.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../../assets/require.js"),
    ),
    (
        "css/style.min.css",
        "text/css; charset=utf-8",
        concat!(
            include_str!("../../assets/lyceum.css"),
            include_str!("../../assets/classic.css")
        )
        .as_bytes(),
    ),
    (
        "favicon.svg",
        "image/svg+xml",
        include_bytes!("../../assets/favicon.svg"),
    ),
];

/// One per file, in the order of `FILES`: hash, and the same as an ETag.
static HASHES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    FILES
        .iter()
        .map(|(_, _, bytes)| (hash(bytes), format!("\"{}\"", hash(bytes))))
        .collect()
});

/// Finds a file by what follows `/hub/static/`: `HASH/lyceum.css`, or `lyceum.css`.
pub fn assets(path: &str) -> Option<Asset> {
    let named = |name: &str| FILES.iter().position(|(own, _, _)| *own == name);
    let (wanted, at) = match (named(path), path.split_once('/')) {
        (Some(at), _) => (None, at),
        (None, Some((hash, name))) => (Some(hash), named(name)?),
        (None, None) => return None,
    };
    let (_, content_type, bytes) = FILES[at];
    let (hash, etag) = &HASHES[at];
    Some(Asset {
        content_type,
        bytes,
        etag,
        immutable: wanted == Some(hash),
    })
}

/// `static/HASH/lyceum.css`, below the hub's base.
pub fn asset_path(name: &str) -> Option<String> {
    let at = FILES.iter().position(|(own, _, _)| *own == name)?;
    Some(format!("static/{}/{name}", HASHES[at].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_page_is_immutable() {
        for (name, ..) in FILES {
            let path = asset_path(name).expect("it is in the list");
            let asset = assets(path.strip_prefix("static/").expect("below static"))
                .expect("the path leads to it");
            assert!(asset.immutable, "{name}");
            assert!(asset.cache_control().contains("immutable"));
        }
    }

    #[test]
    fn other_paths() {
        let plain = assets("lyceum.css").expect("by its name alone");
        assert!(!plain.immutable);
        assert_eq!(assets("0123/lyceum.css"), Some(plain));
        let theirs = assets("css/style.min.css").expect("where JupyterHub has it");
        assert!(!theirs.immutable && theirs.bytes.starts_with(plain.bytes));
        for bad in [
            "",
            "/",
            "x",
            "../lyceum.css/",
            "a/b/lyceum.css",
            "lyceum.css/",
        ] {
            assert_eq!(assets(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn style_and_script_are_small() {
        let size = |name: &str| assets(name).expect("it is in the list").bytes.len();
        assert!(size("lyceum.css") + size("lyceum.js") < 30_000);
    }
}
