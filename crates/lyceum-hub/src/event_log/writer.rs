//! The thread that writes lines to a file: whole ones, in order, up to a size, and then to the next
//! file. A file that was moved or removed by others is made anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;

/// Lines that may wait. More than that come only while nothing can be written.
const QUEUE: usize = 10_000;
/// Lines written at once.
const AT_ONCE: usize = 500;

/// Which file, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub file: PathBuf,
    /// In bytes; a file that would grow larger is put aside as `FILE.1`.
    pub size: u64,
    /// How many of those put aside are kept.
    pub keep: usize,
}

pub(super) struct Writer {
    target: Target,
    queue: SyncSender<String>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(target: Target, lost: Counter) -> io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let mut book = Book::new(target.clone());
        let thread = std::thread::Builder::new()
            .name("event-log".into())
            .spawn(move || book.keep(&lines, &lost))?;
        Ok(Self {
            target,
            queue,
            thread,
        })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// False when there is no place for it.
    pub(super) fn put(&self, line: String) -> bool {
        self.queue.try_send(line).is_ok()
    }

    pub(super) fn finish(self) {
        drop(self.queue);
        // A thread that panicked has told so.
        drop(self.thread.join());
    }
}

struct Book {
    target: Target,
    file: Option<File>,
}

impl Book {
    fn new(target: Target) -> Self {
        Self { target, file: None }
    }

    /// Until nobody can send any more and all is written.
    fn keep(&mut self, lines: &Receiver<String>, lost: &Counter) {
        // Whoever named a file that can't be made hears of it before the first event.
        let mut failing = self.file().inspect_err(|error| self.tell(error)).is_err();
        while let Ok(first) = lines.recv() {
            let mut text = first + "\n";
            let mut many = 1;
            for line in lines.try_iter().take(AT_ONCE - 1) {
                text.push_str(&line);
                text.push('\n');
                many += 1;
            }
            match self.write(text.as_bytes()) {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!(file = %self.target.file.display(), lost = lost.get(), "the event log is written again");
                }
                Ok(()) => {}
                Err(error) => {
                    lost.inc_by(many);
                    self.file = None;
                    if !failing {
                        self.tell(&error);
                    }
                    failing = true;
                }
            }
        }
    }

    fn tell(&self, error: &io::Error) {
        tracing::error!(
            file = %self.target.file.display(),
            %error,
            "events can't be written down; they are lost until it works again"
        );
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let mut file = self.file()?;
        let mut before = file.metadata()?.len();
        let grown = before.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        if before > 0 && grown > self.target.size {
            self.put_aside()?;
            file = self.file()?;
            before = 0;
        }
        let written = file.write_all(text).and_then(|()| file.sync_data());
        if written.is_err() {
            // No half line stays for readers to stumble over.
            let _ = file.set_len(before);
        }
        written
    }

    /// The file as it stands under its name now.
    fn file(&mut self) -> io::Result<File> {
        if let Some(file) = &self.file
            && is_at(file, &self.target.file)
        {
            return file.try_clone();
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.target.file)?;
        self.file = Some(file.try_clone()?);
        Ok(file)
    }

    /// `FILE` becomes `FILE.1`, that `FILE.2`, and the last one goes.
    fn put_aside(&mut self) -> io::Result<()> {
        self.file = None;
        let file = &self.target.file;
        for number in (1..self.target.keep).rev() {
            let (from, to) = (numbered(file, number), numbered(file, number + 1));
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        match self.target.keep {
            0 => std::fs::remove_file(file),
            _ => std::fs::rename(file, numbered(file, 1)),
        }
    }
}

fn numbered(file: &Path, number: usize) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(folder: &Path, size: u64, keep: usize) -> Book {
        Book::new(Target {
            file: folder.join("events"),
            size,
            keep,
        })
    }

    fn read(folder: &Path, name: &str) -> Option<String> {
        std::fs::read_to_string(folder.join(name)).ok()
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut book = book(folder.path(), 8, 2);
        for text in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            book.write(text.as_bytes()).expect("written");
        }
        let found =
            ["events", "events.1", "events.2", "events.3"].map(|name| read(folder.path(), name));
        let expect = [Some("five\n"), Some("four\n"), Some("three\n"), None];
        assert_eq!(found, expect.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut book = book(folder.path(), 1000, 2);
        book.write(b"one\n").expect("written");
        let (here, there) = (folder.path().join("events"), folder.path().join("moved"));
        std::fs::rename(here, there).expect("moved");
        book.write(b"two\n").expect("written");
        assert_eq!(read(folder.path(), "moved").as_deref(), Some("one\n"));
        assert_eq!(read(folder.path(), "events").as_deref(), Some("two\n"));
    }

    #[test]
    fn what_can_not_be_written_is_counted_and_writing_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("later");
        let lost = Counter::default();
        let target = Target {
            file: place.join("events"),
            size: 1000,
            keep: 1,
        };
        let writer = Writer::start(target.clone(), lost.clone()).expect("started");
        assert!(writer.put("one".into()));
        writer.finish();
        assert_eq!(lost.get(), 1);
        std::fs::create_dir(&place).expect("made");
        let writer = Writer::start(target, lost.clone()).expect("started");
        assert!(writer.put("two".into()));
        writer.finish();
        assert_eq!(read(&place, "events").as_deref(), Some("two\n"));
        assert_eq!(lost.get(), 1);
    }

    #[test]
    fn a_full_disk_is_told() {
        let file = Path::new("/dev/full");
        assert!(file.exists(), "Linux has it");
        let mut book = Book::new(Target {
            file: file.to_owned(),
            size: 1000,
            keep: 0,
        });
        assert!(book.write(b"one\n").is_err());
    }
}
