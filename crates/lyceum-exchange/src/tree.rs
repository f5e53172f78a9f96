//! Files under their paths: which paths are safe, and the digest that names a whole tree.
//!
//! The digest is BLAKE3 of the tree's list, a line `digest size path` for each file in the order of
//! the paths' bytes, behind a line that names the form. So equal trees have equal names, and no byte
//! of a path or a content can change without the name changing.

use std::collections::BTreeSet;

use lyceum_model::digest::Digest;
use unicode_normalization::UnicodeNormalization;

/// First line of the list.
const FORM: &str = "lyceum tree 1\n";
/// Of a path and of one of its parts, in bytes: what file systems take.
const LONGEST_PATH: usize = 1024;
const LONGEST_PART: usize = 255;
/// Parts of a path. Each costs a look whenever a tree is made.
const DEEPEST: usize = 64;

/// A path inside a tree, relative and without ways out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    pub fn parse(text: &str) -> Option<Self> {
        let is_part = |part: &str| {
            (1..=LONGEST_PART).contains(&part.len())
                && !matches!(part, "." | "..")
                && !part.chars().any(char::is_control)
        };
        let fits = text.len() <= LONGEST_PATH
            && text.split('/').count() <= DEEPEST
            && text.split('/').all(is_part);
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file whose content is a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    pub path: FilePath,
    pub blob: Digest,
    pub size: u64,
    /// What clients of ngshare compare.
    pub md5: String,
}

/// Files that can lie beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    digest: Digest,
    files: Vec<TreeFile>,
}

/// Two files that can't both be written: the same path, one that only looks otherwise (two ways to
/// write the same letter), or one below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash;

impl Tree {
    pub fn new(mut files: Vec<TreeFile>) -> Result<Self, Clash> {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let seen: BTreeSet<String> = files
            .iter()
            .map(|file| file.path.as_str().nfc().collect())
            .collect();
        let above = |path: &str| {
            let mut slashes = path.match_indices('/');
            slashes.any(|(at, _)| seen.contains(&path[..at]))
        };
        if seen.len() != files.len() || seen.iter().any(|path| above(path)) {
            return Err(Clash);
        }
        let digest = Digest::of(list(&files).as_bytes());
        Ok(Self { digest, files })
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// In the order of their paths.
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    pub fn into_files(self) -> Vec<TreeFile> {
        self.files
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

fn list(files: &[TreeFile]) -> String {
    let mut list = FORM.to_owned();
    for file in files {
        let (blob, size, path) = (file.blob, file.size, file.path.as_str());
        list.push_str(&format!("{blob} {size} {path}\n"));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Result<Tree, Clash> {
        let file = |path: &&str| TreeFile {
            path: FilePath::parse(path).expect("a good path"),
            blob: Digest::of(b"x"),
            size: 1,
            md5: String::new(),
        };
        Tree::new(paths.iter().map(file).collect())
    }

    #[test]
    fn paths() {
        let check = |text: &str, expect: bool| {
            assert_eq!(FilePath::parse(text).is_some(), expect, "{text:?}");
        };
        for good in [
            "a", "a/b", "..a", "a\\b", "ä.ipynb", "a?#%", ".x", "a b", "...", "-r",
        ] {
            check(good, true);
        }
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/./b", "../a", "a/..", "a/../b",
            "a\0", "a\nb", "\u{7f}",
        ] {
            check(bad, false);
        }
        check(&"a".repeat(256), false);
        let longest = format!("{}{}", "a".repeat(204), "/".to_owned() + &"a".repeat(204));
        check(&format!("{longest}/{longest}/{}", "a".repeat(204)), true);
        check(&format!("{longest}/{longest}/{}", "a".repeat(205)), false);
        check(&format!("{}a", "a/".repeat(DEEPEST - 1)), true);
        check(&format!("{}a", "a/".repeat(DEEPEST)), false);
    }

    #[test]
    fn files_that_can_not_lie_beside_each_other() {
        let check = |paths: &[&str], expect: bool| {
            assert_eq!(tree(paths).is_ok(), expect, "{paths:?}");
        };
        check(&[], true);
        check(&["a", "b/c", "b/d"], true);
        check(&["a", "A"], true);
        check(&["a", "a"], false);
        check(&["a", "a/b"], false);
        check(&["a/b/c", "a", "a-b"], false);
        check(&["a", "a-b/c", "a.b"], true);
        check(&["\u{e4}", "a\u{308}"], false);
    }

    #[test]
    fn a_tree_is_named_by_all_that_is_in_it() {
        let name = |paths: &[&str]| tree(paths).expect("a tree").digest();
        assert_eq!(name(&["a", "b"]), name(&["b", "a"]));
        assert_ne!(name(&["a", "b"]), name(&["a", "c"]));
        assert_ne!(name(&["a"]), name(&[]));
        let mut files = tree(&["a"]).expect("a tree").into_files();
        files[0].size = 2;
        assert_ne!(Tree::new(files).expect("a tree").digest(), name(&["a"]));
    }
}
