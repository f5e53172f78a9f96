//! The bounded log of a server: `log` and, before it, `log.old`, each at most [`FILE_LIMIT`].
//!
//! The keeper writes ([`Relay`]), the hub reads ([`tail`]). A server never waits for the disk: what
//! cannot be written is dropped.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::local::folder::open_private;

pub(crate) const FILE_LIMIT: usize = 1 << 20;
pub(crate) const LINE_LIMIT: usize = 8 << 10;
const CUT: &[u8] = b" [...]";

pub(crate) struct Relay {
    current: PathBuf,
    old: PathBuf,
    file: Option<File>,
    written: usize,
    /// Bytes of the unfinished line that were kept; over the limit, the rest of it is skipped.
    line: usize,
}

impl Relay {
    /// Starts an empty log.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let (current, old) = names(folder);
        drop(fs::remove_file(&old));
        let file = open_private(&current)?;
        Ok(Self {
            current,
            old,
            file: Some(file),
            written: 0,
            line: 0,
        })
    }

    /// Takes what the server wrote, at most a pipe's worth at a time.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let mut kept = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, end) = match piece {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            if self.line < LINE_LIMIT {
                let room = LINE_LIMIT - self.line;
                kept.extend_from_slice(&text[..text.len().min(room)]);
                if text.len() > room {
                    kept.extend_from_slice(CUT);
                }
            }
            self.line = self.line.saturating_add(text.len());
            if end {
                kept.push(b'\n');
                self.line = 0;
            }
        }
        self.write(&kept);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.written + bytes.len() > FILE_LIMIT {
            self.file = None;
            // When this fails the old contents are emptied below: bounded comes first.
            drop(fs::rename(&self.current, &self.old));
            self.written = 0;
        }
        if self.file.is_none() {
            self.file = open_private(&self.current).ok();
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.written += bytes.len();
        }
    }
}

fn names(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("log"), folder.join("log.old"))
}

/// The last lines, oldest first. No log is an empty one.
pub(crate) fn tail(folder: &Path, max_lines: usize) -> io::Result<Vec<String>> {
    let (current, old) = names(folder);
    let mut bytes = read_bounded(&old)?;
    bytes.extend(read_bounded(&current)?);
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let lines = text.rsplit(|b| *b == b'\n').take(max_lines);
    let mut lines: Vec<String> = lines
        .map(|line| plain(&String::from_utf8_lossy(line)))
        .collect();
    lines.reverse();
    Ok(lines)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => {
            let limit = u64::try_from(2 * FILE_LIMIT).expect("two MiB fit");
            file.take(limit).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
        Err(error) => Err(error),
    }
}

/// Without colours and control characters: these lines are shown in pages and terminals.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ECMA-48 5.4: CSI, parameters, then one final byte from `@` to `~`.
            if chars.next() == Some('[') {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
        } else if c == '\t' || !c.is_control() {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_even_across_pieces() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut relay = Relay::create(folder.path()).expect("a log");
        relay.push(&[b'a'; LINE_LIMIT - 1]);
        relay.push(&[b'b'; 100]);
        relay.push(&[b'c'; 100]);
        relay.push(b"\nnext\nunfinished");
        let lines = tail(folder.path(), 10).expect("readable");
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].len(), LINE_LIMIT + CUT.len());
        assert!(lines[0].ends_with("ab [...]"));
        assert_eq!(&lines[1..], ["next", "unfinished"]);
    }

    #[test]
    fn the_log_is_bounded_and_its_end_is_right() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut relay = Relay::create(folder.path()).expect("a log");
        for n in 0..400_000 {
            relay.push(format!("line {n}\n").as_bytes());
        }
        let (current, old) = names(folder.path());
        for name in [current, old] {
            let size = fs::metadata(name).expect("there").len();
            assert!(size <= FILE_LIMIT as u64, "{size}");
        }
        let lines = tail(folder.path(), 2).expect("readable");
        assert_eq!(lines, ["line 399998", "line 399999"]);
    }

    #[test]
    fn colours_are_taken_off() {
        assert_eq!(plain("\u{1b}[31;1mred\u{1b}[0m\r\u{7} a\tb"), "red a\tb");
    }
}
