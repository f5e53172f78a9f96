//! Names in a zip become files on somebody's machine, so what means something special there is
//! replaced, and no two are alike afterwards, not even where large and small letters are one.
//!
//! Students choose these names, so what is kept of each is a few bytes, and a name that many want
//! costs each of them a few looks. Two names of one mark get a number that they could do without;
//! never do two files get one name.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};

use unicode_normalization::UnicodeNormalization;

/// Of a part of a path, in bytes: what file systems take.
const LONGEST_PART: usize = 255;
/// What follows the last dot is no ending when it is longer.
const LONGEST_ENDING: usize = 32;
/// Room for ` (4294967295)`.
const LONGEST_NUMBER: usize = 13;

/// Of the files and folders in one folder.
#[derive(Default)]
pub(crate) struct Names {
    seed: RandomState,
    files: HashSet<u64>,
    folders: HashSet<u64>,
    /// The number for the next that wants a name.
    next: HashMap<u64, u32>,
}

impl Names {
    /// A safe name that no other has, as near to this one as may be.
    pub(crate) fn file(&mut self, path: &str) -> String {
        let mut path = path.split('/').map(safe).collect::<Vec<_>>().join("/");
        if self
            .above(&path)
            .iter()
            .any(|mark| self.files.contains(mark))
        {
            path = safe(&path);
        }
        let name = self.free(path);
        let above = self.above(&name);
        self.folders.extend(above);
        self.files.insert(self.mark(&name));
        name
    }

    /// The same of a folder.
    pub(crate) fn folder(&mut self, name: &str) -> String {
        let name = self.free(safe(name));
        self.folders.insert(self.mark(&name));
        name
    }

    fn free(&mut self, path: String) -> String {
        if !self.is_taken(&path) {
            return path;
        }
        let wanted = Wanted::of(&path);
        // Other than a name with its number: no two that are wanted come to the same one.
        let mark = self.mark(&wanted.named("*"));
        let mut number = self.next.get(&mark).copied().unwrap_or(2);
        loop {
            let name = wanted.named(&format!(" ({number})"));
            number = number.saturating_add(1);
            if !self.is_taken(&name) {
                self.next.insert(mark, number);
                return name;
            }
        }
    }

    fn is_taken(&self, path: &str) -> bool {
        let mark = self.mark(path);
        self.files.contains(&mark) || self.folders.contains(&mark)
    }

    /// The same for large and small letters.
    fn mark(&self, path: &str) -> u64 {
        self.marks(path).pop().unwrap_or_default()
    }

    /// Of the folders that a path is in.
    fn above(&self, path: &str) -> Vec<u64> {
        let mut marks = self.marks(path);
        marks.pop();
        marks
    }

    /// Of the folders and of the path itself.
    fn marks(&self, path: &str) -> Vec<u64> {
        let mut hasher = self.seed.build_hasher();
        let part = |part: &str| {
            hasher.write(alike(part).as_bytes());
            let mark = hasher.finish();
            hasher.write_u8(b'/');
            mark
        };
        path.split('/').map(part).collect()
    }
}

/// The same text for all that a file system may take for one.
fn alike(part: &str) -> String {
    match part.is_ascii() {
        true => part.to_ascii_lowercase(),
        false => {
            let letters = part.nfc().flat_map(char::to_uppercase);
            letters.flat_map(char::to_lowercase).collect()
        }
    }
}

/// A name that is taken, ready for a number before its ending.
struct Wanted<'a> {
    folder: &'a str,
    stem: &'a str,
    ending: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(path: &'a str) -> Self {
        let (folder, part) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        let (stem, ending) = parted(part);
        let stem = start(stem, LONGEST_PART - LONGEST_NUMBER - ending.len());
        Self {
            folder,
            stem,
            ending,
        }
    }

    fn named(&self, number: &str) -> String {
        [self.folder, self.stem, number, self.ending].concat()
    }
}

fn parted(part: &str) -> (&str, &str) {
    match part.rfind('.') {
        Some(at) if at > 0 && part.len() - at <= LONGEST_ENDING => part.split_at(at),
        _ => (part, ""),
    }
}

/// So much of it as fits into these bytes.
fn start(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Names of devices where Windows runs.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// One part of a path.
fn safe(part: &str) -> String {
    let plain = |c: char| match c {
        '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        // What turns the direction of a line round can show one ending for another.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let mut part: String = part.chars().map(plain).collect();
    if is_device(&part) {
        part.insert(0, '_');
    }
    if part.ends_with(['.', ' ']) {
        part.push('_');
    }
    if part.len() <= LONGEST_PART {
        return part;
    }
    let (stem, ending) = parted(&part);
    let stem = start(stem, LONGEST_PART - 1 - ending.len());
    match ending.is_empty() && stem.ends_with(['.', ' ']) {
        true => [stem, "_"].concat(),
        false => [stem, ending].concat(),
    }
}

fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_lowercase();
    let number = stem
        .strip_prefix("com")
        .or_else(|| stem.strip_prefix("lpt"));
    let is_numbered = number.is_some_and(|number| {
        number.len() == 1 && number != "0" && number.bytes().all(|b| b.is_ascii_digit())
    });
    is_numbered || DEVICES.contains(&stem.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let mut names = Names::default();
        let mut check = |path: &str, expect: &str| assert_eq!(names.file(path), expect, "{path:?}");
        check("ada/ps1.ipynb", "ada/ps1.ipynb");
        check("ada/PS1.ipynb", "ada/PS1 (2).ipynb");
        check("ada/ps1.ipynb", "ada/ps1 (3).ipynb");
        check("ada/ps1 (2).ipynb", "ada/ps1 (2) (2).ipynb");
        check(".profile", ".profile");
        check(".Profile", ".Profile (2)");
        check("..\\..\\evil", ".._.._evil");
        check("c:/x", "c_/x");
        check("a./b ", "a._/b _");
        check("x/nul.txt", "x/_nul.txt");
        check("COM1", "_COM1");
        check("con .txt", "_con .txt");
        check("comb", "comb");
        check("a\u{202e}gpj.exe", "a_gpj.exe");
        check("Ü?/ö", "Ü_/ö");
        // The same letters, written in another way.
        check("\u{212a}", "\u{212a}");
        check("k", "k (2)");
        check("Σ", "Σ");
        check("ς", "ς (2)");
        check("u\u{308}_/o\u{308}", "u\u{308}_/o\u{308} (2)");
        // One is a file, and the other would be a folder of its name.
        check("a:", "a_");
        check("a_/b", "a__b");
        check("x", "x (2)");
        assert_eq!(names.folder("ada"), "ada (2)");
        assert_eq!(names.folder("Ben"), "Ben");
        assert_eq!(names.folder("ben"), "ben (2)");
        assert_eq!(names.folder("../c"), ".._c");
        assert_eq!(names.file("ben/a"), "ben/a");
    }

    #[test]
    fn no_part_is_too_long() {
        let mut names = Names::default();
        let long = "ä".repeat(127);
        let mut check = |path: &str, expect: &str| {
            let name = names.file(path);
            assert_eq!(name, expect, "{path:?}");
            assert!(name.split('/').all(|part| part.len() <= LONGEST_PART));
        };
        check(&long, &long);
        check(&long.to_uppercase(), &format!("{} (2)", "Ä".repeat(121)));
        check(&format!("{long}."), &format!("{}._", "ä".repeat(126)));
        let dots = ".".repeat(255);
        check(&dots, &format!("{}_", ".".repeat(253)));
        let device = format!("con.{}", "x".repeat(251));
        check(&device, &format!("_con.{}", "x".repeat(249)));
        let ended = format!("d/{}.ipynb", "y".repeat(249));
        check(&ended, &ended);
        let number = format!("d/{} (2).ipynb", "y".repeat(236));
        check(&ended, &number);
        // A path that comes to be one part.
        check("f:", "f_");
        let below = format!("f_/{}/z.py", "z".repeat(255));
        check(&below, &format!("f__{}.py", "z".repeat(248)));
    }

    /// In a course of many, one student's names must not stop the others' requests.
    #[test]
    fn many_that_want_one_name() {
        let mut names = Names::default();
        let letters = |n: usize| -> String {
            let letter = |bit: usize| if n >> bit & 1 == 1 { 'A' } else { 'a' };
            (0..14).map(letter).collect()
        };
        let long = |n: usize| format!("{}{:06}.ipynb", "x".repeat(243), n);
        let mut seen = HashSet::new();
        for n in 0..10_000 {
            for path in [letters(n), long(n % 5_000)] {
                let name = names.file(&path);
                assert!(name.len() <= LONGEST_PART);
                assert!(seen.insert(name.to_lowercase()), "{name}");
            }
        }
        assert!(seen.contains("aaaaaaaaaaaaaa (10000)"));
    }

    #[test]
    fn deep_paths_cost_little() {
        let mut names = Names::default();
        for n in 0..1000 {
            let folders = "0123456789abcdef/".repeat(63);
            names.file(&format!("{n}/{folders}f"));
        }
        assert_eq!(names.folders.len(), 64_000);
        assert_eq!(size_of_val(names.folders.iter().next().expect("one")), 8);
    }
}
