//! A text as a picture that a camera reads, for a page: the path of an SVG.

use lyceum_auth::totp::outline;
use serde::Serialize;

/// Squares of side 1, dark where the path is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// How wide and high it is.
    pub size: u32,
    pub path: String,
}

/// Nothing: the text is too long for one.
pub fn picture(text: &str) -> Option<Picture> {
    let (path, size) = outline(text)?;
    let size = u32::try_from(size).ok()?;
    Some(Picture { size, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corners_are_where_readers_look() {
        let picture = picture("https://hub.example.edu/hub/login/seat#K7PRM-4XW2C").expect("short");
        assert!(picture.path.starts_with("M4 4h7v1h-7z"));
        assert!(picture.size > 29);
        assert_eq!(super::picture(&"x".repeat(10_000)), None);
    }
}
