//! The `languages` folder: one file for each language that a site adds, `fr.txt`.
//!
//! A line with a mistake is not used and what is missing is said in English, so nothing in these files
//! holds up the configuration; both are told by `lyceum config check` and on the Admin page.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_hub::languages::english;
use lyceum_model::lang::Lang;
use lyceum_model::language::{self, Fault, Language, OWN_KEYS, Read, Wrong};
use lyceum_web::page::SiteProblem;

use super::raw::RawConfig;
use super::theme::read_file;
use lyceum_written::problem::suggest;

/// More is no site that people read.
const LANGUAGES_MAX: usize = 30;
/// How many keys are named of those that are missing.
const NAMED_MAX: usize = 30;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteLanguages {
    pub languages: Vec<Arc<Language>>,
    /// Lines that are not used.
    pub problems: Vec<SiteProblem>,
    /// What is said in English, by file.
    pub notes: Vec<SiteProblem>,
    pub(super) folder: Option<PathBuf>,
}

impl SiteLanguages {
    /// The tags of all languages that pages are in.
    pub fn tags(&self) -> Vec<String> {
        let built_in = Lang::BUILT_IN.map(|lang| lang.as_str().to_owned());
        let added = self.languages.iter().map(|own| own.tag().to_owned());
        built_in.into_iter().chain(added).collect()
    }
}

pub(super) fn check_languages(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> SiteLanguages {
    let mut site = SiteLanguages::default();
    let Some(path) = &raw.languages else {
        return site;
    };
    let path = folder.join(path);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("{} can't be read: {error}", path.display());
            problem("languages", message);
            return site;
        }
    };
    let files: BTreeSet<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let english = english();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str());
        let tag = name.and_then(|name| name.strip_suffix(".txt"));
        // Notes and copies of editors may lie beside them.
        let Some(tag) = tag.filter(|tag| !tag.starts_with('.')) else {
            continue;
        };
        let mut tell = |line: Option<usize>, what: String| {
            let path = file.clone();
            site.problems.push(SiteProblem { path, line, what });
        };
        if !language::is_tag(tag) {
            tell(
                None,
                "is not named after a language, such as `fr.txt` or `pt-BR.txt`".into(),
            );
            continue;
        }
        if let Some(lang) = Lang::BUILT_IN.iter().find(|lang| lang.as_str() == tag) {
            tell(
                None,
                format!("{} is built in; its texts can't be changed", lang.name()),
            );
            continue;
        }
        if site.languages.len() == LANGUAGES_MAX {
            tell(None, format!("more than {LANGUAGES_MAX} languages"));
            break;
        }
        let text = read_file(&file)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned()));
        let text = match text {
            Ok(text) => text,
            Err(message) => {
                tell(None, message);
                continue;
            }
        };
        let Read {
            language,
            faults,
            missing,
        } = Language::read(tag, &text, &english);
        for Fault { line, wrong } in faults {
            tell(Some(line), words_of(&wrong));
        }
        site.notes
            .extend(said_in_english(&missing).map(|what| SiteProblem {
                path: file.clone(),
                line: None,
                what,
            }));
        site.languages.push(Arc::new(language));
    }
    site.folder = Some(path);
    site
}

fn said_in_english(missing: &[String]) -> Option<String> {
    let (named, more) = missing.split_at(missing.len().min(NAMED_MAX));
    let texts = match missing.len() {
        0 => return None,
        1 => "1 text is missing and said in English: ".to_owned(),
        count => format!("{count} texts are missing and said in English: "),
    };
    let more = match more.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(texts + &named.join(", ") + &more)
}

fn words_of(wrong: &Wrong) -> String {
    let list = |names: &[String]| {
        let names = names.iter().map(|name| format!("`{{{name}}}`"));
        names.collect::<Vec<_>>().join(", ")
    };
    match wrong {
        Wrong::NoLine => "expected `key = text`".into(),
        Wrong::Twice(key) => format!("`{key}` is there twice; the first counts"),
        Wrong::Unknown(key) => {
            let english = english();
            let own = OWN_KEYS.iter().map(|(name, _)| *name);
            let known = english.keys().copied().chain(own);
            match lyceum_written::problem::nearest(key, known) {
                Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
                None => format!("unknown key `{key}`; `lyceum language template` prints all keys"),
            }
        }
        Wrong::Places {
            key,
            missing,
            unknown,
        } => {
            let missing = (!missing.is_empty()).then(|| format!("{} is missing", list(missing)));
            let unknown = (!unknown.is_empty()).then(|| format!("there is no {}", list(unknown)));
            let told: Vec<String> = missing.into_iter().chain(unknown).collect();
            format!("`{key}`: {}", told.join(", "))
        }
        Wrong::Form { key, forms } => format!(
            "`{key}`: for numbers this language has the forms {}",
            forms.join(", ")
        ),
        Wrong::Count {
            key,
            words,
            expected,
        } => format!(
            "`{key}`: {words} words instead of {expected}; one space is between each, and within one a no-break space"
        ),
        Wrong::TooLong(key) => format!("`{key}`: longer than 2000 characters"),
        Wrong::Value { key, known: [] } => format!("`{key}`: longer than 40 characters"),
        Wrong::Value { key, known } => format!("`{key}`: {}", suggest("", known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> SiteLanguages {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("written");
        }
        let raw = RawConfig {
            languages: Some(folder.path().to_owned()),
            ..RawConfig::default()
        };
        check_languages(&raw, Path::new("."), &mut |key, message| {
            panic!("{key}: {message}")
        })
    }

    #[test]
    fn files_are_named_after_languages() {
        let site = read(&[
            ("fr.txt", "nav.home = Accueil"),
            ("de.txt", ""),
            ("../etc.txt".trim_start_matches("../"), ""),
            ("French.txt", ""),
            ("fr.txt~", "nonsense"),
            ("README.md", "nonsense"),
        ]);
        assert_eq!(site.tags(), ["en", "de", "etc", "fr"]);
        let told: Vec<&str> = site.problems.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(
            told,
            [
                "is not named after a language, such as `fr.txt` or `pt-BR.txt`",
                "Deutsch is built in; its texts can't be changed"
            ]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_the_nearest_key() {
        let site = read(&[(
            "fr.txt",
            "nav.hmoe = Accueil\nlogin.heading = Connexion\nlanguage.direction = up\n\
             login.wait.few = x\nnav.home = {x}",
        )]);
        let told: Vec<String> = site
            .problems
            .iter()
            .map(|one| format!("{} {}", one.line.unwrap_or_default(), one.what))
            .collect();
        assert_eq!(
            told,
            [
                "1 unknown key `nav.hmoe`; did you mean `nav.home`?",
                "2 `login.heading`: `{site}` is missing",
                "3 `language.direction`: known here: ltr, rtl",
                "4 `login.wait.few`: for numbers this language has the forms one, other",
                "5 `nav.home`: there is no `{x}`",
            ]
        );
        assert!(
            site.notes[0]
                .what
                .contains("texts are missing and said in English: ")
        );
    }
}
