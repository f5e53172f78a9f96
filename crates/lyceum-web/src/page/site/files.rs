//! Template files of a site, read from its folders with bounds on everything.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SiteProblem;

/// More are no theme; somebody named the wrong folder.
const FILES_MAX: usize = 500;
const FILE_BYTES_MAX: u64 = 256 * 1024;
const DEPTH_MAX: usize = 8;

/// One template as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFile {
    pub path: PathBuf,
    pub text: Arc<str>,
}

/// All templates by their names (`login.html`, `parts/menu.html`). The first folder that has a name
/// wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteFiles(pub BTreeMap<String, SiteFile>);

impl SiteFiles {
    /// Reads the folders. What can't be read is told, and the rest goes on.
    pub fn read(folders: &[PathBuf]) -> (Self, Vec<SiteProblem>) {
        let mut reading = Reading::default();
        for folder in folders {
            reading.folder(folder, "", 0);
        }
        (Self(reading.files), reading.problems)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Default)]
struct Reading {
    files: BTreeMap<String, SiteFile>,
    problems: Vec<SiteProblem>,
}

impl Reading {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.tell(folder, format!("can't be read: {error}")),
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Some(own) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            // Also the `..data` of a mounted ConfigMap: its files are links beside it.
            if own.starts_with('.') {
                continue;
            }
            let (path, name) = (entry.path(), format!("{prefix}{own}"));
            // Behind every link.
            let Ok(meta) = fs::metadata(&path) else {
                self.tell(&path, "the link leads nowhere".into());
                continue;
            };
            if meta.is_dir() {
                if depth + 1 == DEPTH_MAX {
                    self.tell(&path, format!("more than {DEPTH_MAX} folders deep"));
                } else {
                    self.folder(&path, &format!("{name}/"), depth + 1);
                }
            } else if meta.is_file() && !self.files.contains_key(&name) {
                if self.files.len() == FILES_MAX {
                    return self.tell(folder, format!("more than {FILES_MAX} templates"));
                }
                self.file(path, name);
            }
        }
    }

    fn file(&mut self, path: PathBuf, name: String) {
        let mut bytes = Vec::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return self.tell(&path, format!("can't be read: {error}"));
        }
        let is_template = name.ends_with(".html") || name.ends_with(".j2");
        if bytes.len() as u64 > FILE_BYTES_MAX {
            // Pictures may lie beside templates.
            if is_template {
                self.tell(&path, "larger than 256 KiB, which no template is".into());
            }
            return;
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = Arc::from(text);
                self.files.insert(name, SiteFile { path, text });
            }
            Err(_) if is_template => self.tell(&path, "not UTF-8 text".into()),
            Err(_) => {}
        }
    }

    fn tell(&mut self, path: &Path, what: String) {
        self.problems.push(SiteProblem {
            path: path.to_owned(),
            line: None,
            what,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_wins_and_the_rest_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [
            ("a/login.html", b"first".as_slice()),
            ("a/parts/menu.html", b"menu"),
            ("a/.hidden.html", b"no"),
            ("a/logo.png", b"\xff\xfe"),
            ("b/login.html", b"second"),
            ("b/home.html", b"home"),
            ("b/bad.html", b"\xff"),
        ] {
            fs::create_dir_all(at(name).parent().expect("a folder")).expect("made");
            fs::write(at(name), text).expect("written");
        }
        fs::write(at("b/huge.html"), vec![b'x'; 256 * 1024 + 1]).expect("written");
        let (files, problems) = SiteFiles::read(&[at("a"), at("b"), at("c")]);
        let read: Vec<(&str, &str)> = files
            .0
            .iter()
            .map(|(name, file)| (name.as_str(), &*file.text))
            .collect();
        assert_eq!(
            read,
            [
                ("home.html", "home"),
                ("login.html", "first"),
                ("parts/menu.html", "menu")
            ]
        );
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].ends_with("b/bad.html: not UTF-8 text"), "{told:?}");
        assert!(told[1].contains("b/huge.html: larger than 256 KiB"));
        assert!(told[2].contains("c: can't be read"), "{told:?}");
    }
}
