//! The `people` section: who may come in at all, and who administers.
//!
//! Its lists name people, groups (`group:staff`) and files with names (`file:blocked.csv`), which are read
//! again whenever they change. A row that can't be read is a mistake of the configuration, so that the last
//! good one stays in force: a list with a hole in it would let somebody in, or keep somebody out.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_model::name::UserName;
use lyceum_model::who::{Forms, Listed, Who};
use lyceum_written::table;

use super::raw::{RawConfig, RawPeople};

/// So many bad rows of a file are told.
const ROWS_TOLD: usize = 5;
const FILES_MAX: usize = 64;
const LOG_KEPT_LEAST: Duration = Duration::from_secs(24 * 3600);
const LOG_KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    pub admins: BTreeSet<UserName>,
    /// Groups whose members administer.
    pub admin_groups: BTreeSet<String>,
    /// `None`: everyone with an account.
    pub allow: Option<Listed>,
    /// Besides, whoever has an account already.
    pub existing: bool,
    pub block: Listed,
    /// Files with names.
    pub watched: Vec<PathBuf>,
    /// Entries of `allow` that mean nobody, each with its place and its file.
    pub nobody: Vec<(String, String)>,
    /// How long it is kept who did what.
    pub log_kept: Duration,
}

impl People {
    /// Whether the lists let somebody in who has an account and is in these groups; blocking wins over
    /// everything. Administrators come in besides whom only the database knows as such.
    pub fn admit(&self, name: &UserName, groups: &[String]) -> bool {
        let administers =
            self.admins.contains(name) || groups.iter().any(|one| self.admin_groups.contains(one));
        let allowed = self
            .allow
            .as_ref()
            .is_none_or(|allow| allow.has(name, groups));
        !self.block.has(name, groups) && (administers || allowed || self.existing)
    }
}

/// Says who may come in at all, apart from each way in.
pub(super) fn names_somebody(raw: &RawPeople) -> bool {
    raw.allow.is_some() || raw.existing
}

pub(super) fn check_people(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> People {
    let raw = &raw.people;
    let (mut watched, mut nobody) = (Vec::new(), Vec::new());
    let mut list = |path: &str, entries: &[String]| {
        let mut found = Listed::default();
        for (index, entry) in entries.iter().enumerate() {
            let mut say = |message| problem(&format!("{path}[{index}]"), message);
            match entry.strip_prefix("file:") {
                Some(file) if watched.len() < FILES_MAX => {
                    let (file, column) = match file.rsplit_once('#') {
                        Some((file, column)) => (file, Some(column)),
                        None => (file, None),
                    };
                    let file_path = folder.join(file);
                    let names = names_of(&file_path, file, column, &mut say);
                    if names.is_empty() && path == "people.allow" {
                        nobody.push((format!("{path}[{index}]"), file.to_owned()));
                    }
                    found.people.extend(names);
                    watched.push(file_path);
                }
                Some(_) => say(format!("these are more than {FILES_MAX} files")),
                None => match Who::parse(entry, Forms::People) {
                    Ok(Who::Person(name)) => drop(found.people.insert(name)),
                    Ok(Who::Group(group)) => drop(found.groups.insert(group)),
                    Ok(Who::Course { .. } | Who::Role(_)) => {}
                    Err(message) if message.contains("no way to name") => {
                        say(format!(
                            "{message}, or a file with names (`file:blocked.csv`)"
                        ));
                    }
                    Err(message) => say(message),
                },
            }
        }
        found
    };
    let admins = list("people.admins", &raw.admins);
    let allow = raw.allow.as_ref().map(|allow| list("people.allow", allow));
    let block = list("people.block", &raw.block);
    People {
        admins: admins.people,
        admin_groups: admins.groups,
        allow,
        existing: raw.existing,
        block,
        watched,
        nobody,
        log_kept: log_kept(raw, problem),
    }
}

fn log_kept(raw: &RawPeople, problem: &mut dyn FnMut(&str, String)) -> Duration {
    let Some(kept) = raw.log_kept else {
        return LOG_KEPT;
    };
    if kept.0 < LOG_KEPT_LEAST {
        let message = format!("it is kept for `1d` at least, found `{kept}`");
        problem("people.log_kept", message);
    }
    kept.0
}

/// The names in a file.
fn names_of(
    path: &Path,
    shown: &str,
    column: Option<&str>,
    say: &mut dyn FnMut(String),
) -> BTreeSet<UserName> {
    let read = read(path).and_then(|bytes| table::column(&bytes, column, &table::NAMES));
    let cells = match read {
        Ok(column) => column.cells,
        Err(message) => {
            let how = match message.starts_with("which column") {
                true => format!("; write which, `file:{shown}#COLUMN`"),
                false => String::new(),
            };
            say(format!("{shown}: {message}{how}"));
            return BTreeSet::new();
        }
    };
    let mut names = BTreeSet::new();
    let mut bad = 0;
    for cell in cells {
        match UserName::parse(&cell.text) {
            Ok(name) => drop(names.insert(name)),
            Err(error) => {
                bad += 1;
                if bad <= ROWS_TOLD {
                    let text = table::short(&cell.text);
                    say(format!("{shown}, line {}: {text:?}: {error}", cell.line));
                }
            }
        }
    }
    if bad > ROWS_TOLD {
        say(format!(
            "{shown}: {} more rows are no user names",
            bad - ROWS_TOLD
        ));
    }
    names
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(table::MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("can't be read: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, parse};
    use super::*;

    fn config(folder: &Path, people: &str) -> Result<Config, String> {
        let text = format!("people: {people}\n");
        let loaded = parse("lyceum.yaml", &text, folder);
        loaded
            .map(|loaded| loaded.config)
            .map_err(|problems| problems.to_string())
    }

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a good name")
    }

    #[test]
    fn lists_name_people_groups_and_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| {
            std::fs::write(folder.path().join(file), text).expect("it can be written");
        };
        write("staff.csv", "Name;Username\nLovelace, Ada;Ada\n");
        write("exam.csv", "FB02UID,seat\neve,1\n");
        let config = config(
            folder.path(),
            "{admins: [root, 'group:it'], allow: ['file:staff.csv', 'group:students'], block: ['file:exam.csv#FB02UID', 'group:gone']}",
        )
        .expect("good");
        let people = &config.people;
        let admit = |who: &str, groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|one| (*one).to_owned()).collect();
            people.admit(&name(who), &groups)
        };
        assert!(admit("ada", &[]) && admit("root", &[]) && admit("ben", &["it"]));
        assert!(admit("ben", &["students"]) && !admit("ben", &["student"]));
        assert!(!admit("eve", &["students"]) && !admit("ada", &["gone"]));
        // Whoever is in that group holds the role.
        assert!(config.grants.roles["admin"].groups.contains("it"));
        assert_eq!(people.watched.len(), 2);
        assert_eq!(config.watched_files().len(), 2);
    }

    #[test]
    fn a_list_that_names_nobody_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let notes = |people: &str| -> Vec<String> {
            let config = config(folder.path(), people).expect("good");
            config.notes().iter().map(ToString::to_string).collect()
        };
        std::fs::write(folder.path().join("head.csv"), "Username;Name\n").expect("written");
        std::fs::write(folder.path().join("none.csv"), "").expect("written");
        for people in [
            "{allow: []}",
            "{allow: ['file:head.csv']}",
            "{allow: ['file:none.csv']}",
        ] {
            let said = notes(people);
            assert!(said[0].contains("names nobody"), "{people}: {said:?}");
        }
        let said = notes("{allow: [ada, 'file:none.csv']}");
        assert!(
            said[0].contains("people.allow[1]") && said.len() == 1,
            "{said:?}"
        );
        assert!(notes("{allow: [ada]}").is_empty());
        assert!(notes("{existing: true, allow: []}").is_empty());
        assert!(notes("{block: ['file:none.csv']}").is_empty());
    }

    #[test]
    fn who_has_an_account_is_enough_where_that_is_said() {
        let folder = Path::new(".");
        let config = config(folder, "{existing: true, allow: [ada], block: [eve]}").expect("good");
        let people = &config.people;
        assert!(people.admit(&name("ben"), &[]) && !people.admit(&name("eve"), &[]));
    }

    #[test]
    fn a_list_with_a_hole_is_a_mistake() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |text: &str, entry: &str, words: &[&str]| {
            std::fs::write(folder.path().join("x.csv"), text).expect("it can be written");
            let said = config(folder.path(), &format!("{{block: ['{entry}']}}")).expect_err("bad");
            for words in words {
                assert!(said.contains(words), "{said}");
            }
        };
        refused(
            "login\nada\n=cmd()\n",
            "file:x.csv",
            &["people.block[0]", "x.csv, line 3", "=cmd()"],
        );
        refused(
            "a,b\n1,2\n",
            "file:x.csv",
            &["\"a\", \"b\"", "`file:x.csv#COLUMN`"],
        );
        refused("", "file:y.csv", &["y.csv: can't be read"]);
        refused(
            "",
            "fiel:x.csv",
            &["`fiel:` is no way to name people here", "file:blocked.csv"],
        );
        let said = config(folder.path(), "{block: ['group:']}").expect_err("nameless");
        assert!(
            said.contains("right behind it") && !said.contains("file"),
            "{said}"
        );
        let many = format!("login\n{}", "a b\n".repeat(9));
        refused(&many, "file:x.csv", &["line 6", "4 more rows"]);
    }
}
