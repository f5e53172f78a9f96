//! A language that a site adds by a file, which looks like our own (see [`crate::messages`]).
//!
//! Besides the texts it says of itself, each with a default: `language.name` (what the chooser shows),
//! `language.direction` (`ltr` or `rtl`), `language.thousands` (what stands between the thousands of a
//! number: `comma`, `point`, `space`, `apostrophe` or `none`). A key whose text is empty is not said
//! yet. What is missing or wrong is said in English: nothing in such a file holds anything up.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::plural;

/// A page's line, not a page.
const TEXT_MAX: usize = 2000;
/// `pt-BR`, `zh-Hant-TW`.
const TAG_MAX: usize = 20;

/// The keys of what a file says of itself, with what it may say.
pub const OWN_KEYS: [(&str, &[&str]); 3] = [
    ("language.name", &[]),
    ("language.direction", &["ltr", "rtl"]),
    (
        "language.thousands",
        &["comma", "point", "space", "apostrophe", "none"],
    ),
];

/// What a site brings; equal are those that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    tag: String,
    name: String,
    right_to_left: bool,
    thousands: &'static str,
    texts: HashMap<String, String>,
}

/// A line that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub wrong: Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Not `key = text`.
    NoLine,
    Twice(String),
    Unknown(String),
    /// What is to be filled in: left out, and made up.
    Places {
        key: String,
        missing: Vec<String>,
        unknown: Vec<String>,
    },
    /// The language has other forms for numbers.
    Form {
        key: String,
        forms: plural::Forms,
    },
    /// Days of a week and months, with one space between each.
    Count {
        key: String,
        words: usize,
        expected: usize,
    },
    TooLong(String),
    Value {
        key: String,
        known: &'static [&'static str],
    },
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub language: Language,
    pub faults: Vec<Fault>,
    /// The keys of what is said in English, sorted.
    pub missing: Vec<String>,
}

/// Whether this can stand in `lang=`: `fr`, `pt-BR`, `zh-Hant`.
pub fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    text.len() <= TAG_MAX
        && (2..=3).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_lowercase())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// The names of what is filled in.
pub fn places(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// The texts a translation is held against: of our English files, by key.
pub type English = BTreeMap<&'static str, &'static str>;

/// The keys that a language has for one of ours: by its own forms where the text counts something.
fn keys_of(tag: &str, key: &str, english: &English) -> Vec<String> {
    match stem_of(key, english) {
        Some(stem) => {
            let forms = plural::forms(tag).iter();
            forms.map(|form| format!("{stem}.{form}")).collect()
        }
        None => vec![key.to_owned()],
    }
}

/// `wait` of `wait.one` and `wait.other`, if it is a text with forms.
fn stem_of<'a>(key: &'a str, english: &English) -> Option<&'a str> {
    let (stem, form) = key.rsplit_once('.')?;
    let has = |form: &str| english.contains_key(format!("{stem}.{form}").as_str());
    let known = ["zero", "one", "two", "few", "many", "other"].contains(&form);
    (known && has("one") && has("other")).then_some(stem)
}

impl Language {
    /// Reads a file.
    pub fn read(tag: &str, text: &str, english: &English) -> Read {
        let mut language = Self {
            tag: tag.to_owned(),
            name: tag.to_owned(),
            right_to_left: false,
            thousands: ",",
            texts: HashMap::new(),
        };
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let told = match line.split_once('=') {
                Some((key, text)) => language.take(key.trim(), text.trim(), english, &mut seen),
                None => Err(Wrong::NoLine),
            };
            faults.extend(told.err().map(|wrong| Fault {
                line: at + 1,
                wrong,
            }));
        }
        let wanted: BTreeSet<String> = english
            .keys()
            .flat_map(|key| keys_of(tag, key, english))
            .collect();
        let missing = wanted.into_iter();
        let missing = missing.filter(|key| !language.texts.contains_key(key));
        Read {
            missing: missing.collect(),
            faults,
            language,
        }
    }

    fn take(
        &mut self,
        key: &str,
        text: &str,
        english: &English,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), Wrong> {
        let own = || key.to_owned();
        // What is not filled in yet does not count.
        if !text.is_empty() && !seen.insert(own()) {
            return Err(Wrong::Twice(own()));
        }
        if text.chars().count() > TEXT_MAX {
            return Err(Wrong::TooLong(own()));
        }
        if let Some((_, known)) = OWN_KEYS.iter().find(|(name, _)| *name == key) {
            return match self.of_itself(key, text) {
                true => Ok(()),
                false => Err(Wrong::Value { key: own(), known }),
            };
        }
        let stem = stem_of(key, english);
        let like = match stem {
            Some(stem) => english.get(format!("{stem}.other").as_str()),
            None => english.get(key),
        };
        let Some(like) = like else {
            return Err(Wrong::Unknown(own()));
        };
        let form = stem.and_then(|stem| key.strip_prefix(stem)?.strip_prefix('.'));
        let forms = plural::forms(&self.tag);
        if form.is_some_and(|form| !forms.contains(&form)) {
            return Err(Wrong::Form { key: own(), forms });
        }
        if text.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<&str> = places(like).collect();
        let there: BTreeSet<&str> = places(text).collect();
        // "the last line" needs no number.
        let may_leave = |name: &str| name == "n" && form.is_some_and(|form| form != "other");
        let missing = wanted.difference(&there).filter(|name| !may_leave(name));
        let missing: Vec<String> = missing.map(|name| (*name).to_owned()).collect();
        let unknown = there.difference(&wanted);
        let unknown: Vec<String> = unknown.map(|name| (*name).to_owned()).collect();
        if !missing.is_empty() || !unknown.is_empty() {
            return Err(Wrong::Places {
                key: own(),
                missing,
                unknown,
            });
        }
        if ["time.weekdays", "time.months"].contains(&key) {
            let (words, expected) = (text.split(' ').count(), like.split(' ').count());
            if words != expected {
                return Err(Wrong::Count {
                    key: own(),
                    words,
                    expected,
                });
            }
        }
        self.texts.insert(own(), text.to_owned());
        Ok(())
    }

    /// Takes what the file says of itself; `false` when it can't be that.
    fn of_itself(&mut self, key: &str, text: &str) -> bool {
        if text.is_empty() {
            return true;
        }
        match (key, text) {
            ("language.name", name) if name.chars().count() <= 40 => self.name = name.to_owned(),
            ("language.direction", "ltr") => self.right_to_left = false,
            ("language.direction", "rtl") => self.right_to_left = true,
            ("language.thousands", name) => {
                self.thousands = match name {
                    "comma" => ",",
                    "point" => ".",
                    // A narrow one, at which no line is broken.
                    "space" => "\u{202f}",
                    "apostrophe" => "’",
                    "none" => "",
                    _ => return false,
                }
            }
            _ => return false,
        }
        true
    }

    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// As those who speak it call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_right_to_left(&self) -> bool {
        self.right_to_left
    }

    pub(crate) fn thousands(&self) -> &str {
        self.thousands
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.texts.get(key).map(String::as_str)
    }
}

/// A file to fill in: our English files with each text as a comment above its empty key.
pub fn template(tag: &str, files: &[&'static str], english: &English) -> String {
    let mut out = format!(
        "# {tag}. Lines are `key = text`; each stands below its English text. What is in braces is filled\n\
         # in and keeps its name. A key without a text is said in English.\n\n\
         language.name =\n# ltr or rtl\nlanguage.direction = ltr\n\
         # What stands between the thousands of a number: comma, point, space, apostrophe or none\n\
         language.thousands =\n"
    );
    let mut done: BTreeSet<String> = BTreeSet::new();
    for file in files {
        // Its first line is about the English file.
        for line in file.lines().skip(1) {
            let line = line.trim();
            let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
                match line.strip_prefix('#') {
                    Some(words) => out.push_str(&format!("##{words}\n")),
                    None => out.push_str(&format!("{line}\n")),
                }
                continue;
            };
            let keys = keys_of(tag, key, english);
            if !done.insert(keys[0].clone()) {
                continue;
            }
            if let Some(stem) = stem_of(key, english) {
                out.push_str(&format!("# {}\n", english[format!("{stem}.one").as_str()]));
                out.push_str(&format!(
                    "# {}\n",
                    english[format!("{stem}.other").as_str()]
                ));
            } else {
                out.push_str(&format!("# {}\n", english[key]));
            }
            if key == "time.weekdays" || key == "time.months" {
                out.push_str("# (one space between each; within a name take a no-break space)\n");
            }
            for key in keys {
                out.push_str(&format!("{key} =\n"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# English.\n\n# Times\ntime.weekdays = Mon Tue\n\n\
        wait.one = Wait {n} second, {name}\nwait.other = Wait {n} seconds, {name}\n# End\nbye = Bye";

    fn english() -> English {
        let lines = FILE.lines();
        lines.filter_map(|line| line.split_once(" = ")).collect()
    }

    fn read(tag: &str, text: &str) -> Read {
        Language::read(tag, text, &english())
    }

    #[test]
    fn tags() {
        for good in ["fr", "pt-BR", "zh-Hant-TW", "gsw"] {
            assert!(is_tag(good), "{good}");
        }
        for bad in [
            "",
            "f",
            "FR",
            "fr-",
            "fr_FR",
            "../fr",
            "fr-\"><b>",
            "fr.txt",
            "francais",
        ] {
            assert!(!is_tag(bad), "{bad}");
        }
    }

    #[test]
    fn a_good_file_is_taken_and_what_is_missing_is_told() {
        let text = "\u{feff}language.name = Français\nlanguage.direction = ltr\n\
            language.thousands = space\nbye = Au revoir = {fin\nwait.one = Une seconde, {name}\n\
            wait.other =";
        let read = read("fr", text);
        assert_eq!(read.faults, []);
        assert_eq!(read.missing, ["time.weekdays", "wait.other"]);
        assert_eq!(read.language.name(), "Français");
        assert_eq!(read.language.thousands(), "\u{202f}");
        assert_eq!(read.language.text("bye"), Some("Au revoir = {fin"));
        assert_eq!(read.language.text("wait.other"), None);
    }

    #[test]
    fn each_mistake_is_told_and_its_line_is_not_used() {
        let text = "nonsense\nbey = x\nbye = {x}\nbye = y\nwait.one = {name} {m}\nwait.few = a\n\
            wait.other = {n}\ntime.weekdays = a b c\nlanguage.direction = up";
        let read = read("fr", text);
        let faults: Vec<String> = read
            .faults
            .iter()
            .map(|fault| format!("{} {:?}", fault.line, fault.wrong))
            .collect();
        assert_eq!(
            faults,
            [
                "1 NoLine",
                "2 Unknown(\"bey\")",
                "3 Places { key: \"bye\", missing: [], unknown: [\"x\"] }",
                "4 Twice(\"bye\")",
                "5 Places { key: \"wait.one\", missing: [], unknown: [\"m\"] }",
                "6 Form { key: \"wait.few\", forms: [\"one\", \"other\"] }",
                "7 Places { key: \"wait.other\", missing: [\"name\"], unknown: [] }",
                "8 Count { key: \"time.weekdays\", words: 3, expected: 2 }",
                "9 Value { key: \"language.direction\", known: [\"ltr\", \"rtl\"] }",
            ]
        );
        assert!(read.language.texts.is_empty());
    }

    #[test]
    fn a_language_has_its_own_forms() {
        let text = "wait.one = {n} {name}\nwait.few = {n} {name}\nwait.many = {name}";
        let read = read("pl", text);
        assert_eq!(read.faults, []);
        assert_eq!(read.missing, ["bye", "time.weekdays", "wait.other"]);
    }

    #[test]
    fn a_template_that_is_filled_in_is_good() {
        let template = template("pl", &[FILE], &english());
        let empty = read("pl", &template);
        assert_eq!(empty.faults, []);
        assert_eq!(empty.missing.len(), 6);
        assert!(template.contains("## End\n# Bye\nbye =\n"), "{template}");
        let filled: String = template
            .lines()
            .map(|line| match line.strip_suffix(" =") {
                Some("time.weekdays") => "time.weekdays = a b\n".to_owned(),
                Some(key) if key.starts_with("wait") => format!("{key} = {{n}} {{name}}\n"),
                Some("language.thousands") => String::new(),
                Some(key) => format!("{key} = x\n"),
                None => format!("{line}\n"),
            })
            .collect();
        let read = read("pl", &filled);
        assert_eq!((read.faults, read.missing), (vec![], vec![]), "{filled}");
    }
}
