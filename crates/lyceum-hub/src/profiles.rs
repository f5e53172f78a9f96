//! What people choose from when they start a server: KubeSpawner's profile list, checked.
//!
//! Pure rules. [`Profiles::of`] leaves what somebody may use; [`choose`] makes of her options what
//! was [`Said`] for her server, or tells what is wrong with which field; [`form`] turns what
//! the page posts into options and back. [`kubespawner`] knows the settings of KubeSpawner that a
//! profile can change. Who is in which group or course is found out by [`crate::launching`], and what
//! a server is besides is the planner's business ([`crate::launch`]).
//!
//! Invariant: what somebody may not use is taken out before anything else is looked at, so that no
//! answer differs by it.

pub mod choose;
pub mod form;
pub mod kubespawner;

use lyceum_model::environment::Said;
use lyceum_model::name::UserName;
use lyceum_model::who::{Standing, Who};
use regex::Regex;
use serde_json::Value;

/// The profiles in their order. None: there is nothing to choose, and everybody gets the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profiles(pub Vec<Profile>);

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    pub slug: String,
    pub title: String,
    pub description: Option<String>,
    pub is_default: bool,
    /// `None`: everybody.
    pub audience: Option<Vec<Who>>,
    pub said: Vec<Said>,
    pub options: Vec<ProfileOption>,
}

/// One thing to choose within a profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProfileOption {
    pub name: String,
    pub title: String,
    pub choices: Vec<Choice>,
    /// A value of one's own.
    pub unlisted: Option<Unlisted>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    pub name: String,
    pub title: String,
    pub is_default: bool,
    /// `None`: everybody who may use the profile.
    pub audience: Option<Vec<Who>>,
    pub said: Vec<Said>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unlisted {
    /// Of the field; none: the page has words.
    pub title: Option<String>,
    /// Among the choices; none: the page has words.
    pub title_in_choices: Option<String>,
    pub pattern: Option<Pattern>,
    /// What is said of a value that does not match.
    pub message: Option<String>,
    pub overrides: Vec<Override>,
}

/// A setting of KubeSpawner in which `{value}` stands for what was typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    pub name: String,
    pub value: Value,
    /// Where it stands in the configuration.
    pub path: String,
}

/// What a value of one's own must begin with, as Python's `re.match` has it.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        // The bounds keep a pattern from taking the memory of the hub.
        let regex = regex::RegexBuilder::new(&format!(r"\A(?:{text})"))
            .size_limit(1 << 20)
            .dfa_size_limit(1 << 20)
            .build()
            .map_err(|error| {
                let said = error.to_string();
                let last = said.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            })?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    pub fn matches(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Profiles {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What somebody may use: one of the profiles is the default, and one of the choices of each
    /// option that has any. A profile with an option of which nothing is hers is not hers either.
    pub fn of(&self, name: &UserName, standing: &Standing) -> Vec<Profile> {
        self.for_whom(|audience| audience.iter().any(|who| who.is(name, standing)))
    }

    /// As if all of it were for somebody: for those who look after the configuration.
    pub fn all(&self) -> Vec<Profile> {
        self.for_whom(|_| true)
    }

    fn for_whom(&self, is_hers: impl Fn(&[Who]) -> bool) -> Vec<Profile> {
        let for_her = |audience: &Option<Vec<Who>>| audience.as_deref().is_none_or(&is_hers);
        let mut mine: Vec<Profile> = self
            .0
            .iter()
            .filter(|profile| for_her(&profile.audience))
            .cloned()
            .collect();
        for profile in &mut mine {
            for option in &mut profile.options {
                option.choices.retain(|choice| for_her(&choice.audience));
                one_default(option.choices.iter_mut().map(|one| &mut one.is_default));
            }
        }
        // Without a choice that the profile asks for she would get less than it says, such as a limit.
        let usable =
            |option: &ProfileOption| !option.choices.is_empty() || option.unlisted.is_some();
        mine.retain(|profile| profile.options.iter().all(usable));
        one_default(mine.iter_mut().map(|profile| &mut profile.is_default));
        mine
    }
}

/// The first that says so, else the first.
fn one_default<'a>(flags: impl Iterator<Item = &'a mut bool>) {
    let mut flags: Vec<&mut bool> = flags.collect();
    let first = flags.iter().position(|flag| **flag).unwrap_or(0);
    for (at, flag) in flags.iter_mut().enumerate() {
        **flag = at == first;
    }
}

/// Whether there is anything to ask before a start.
pub fn has_choice(mine: &[Profile]) -> bool {
    let asks = |option: &ProfileOption| option.choices.len() > 1 || option.unlisted.is_some();
    mine.len() > 1 || mine.iter().any(|profile| profile.options.iter().any(asks))
}

/// The slug of a profile that has none, made of its name as KubeSpawner makes it. None where letters
/// would have to be guessed.
pub fn slug_of(title: &str) -> Option<String> {
    let mut slug = String::new();
    let mut letters = title.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let digits = before.is_ascii_digit() && letters.peek().is_some_and(char::is_ascii_digit);
        before = letter;
        match letter {
            'a'..='z' | '0'..='9' => slug.push(letter),
            'A'..='Z' => slug.push(letter.to_ascii_lowercase()),
            // A figure of a large number is one word.
            ',' if digits => {}
            '\u{2018}' | '\u{2019}' => {}
            _ => match plain(letter) {
                Some(words) => slug.push_str(words),
                None if letter.is_ascii() || is_sign(letter) => slug.push('-'),
                None => return None,
            },
        }
    }
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    let slug = slug.trim_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

fn is_sign(letter: char) -> bool {
    matches!(letter, '\u{a0}' | '·' | '«' | '»' | '\u{2010}'..='\u{2015}' | '\u{201a}'..='\u{201f}' | '\u{2022}' | '\u{2026}')
}

/// Letters of the west without their marks.
fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'À'..='Å' | 'à'..='å' | 'Ā' | 'ā' | 'Ă' | 'ă' | 'Ą' | 'ą' => "a",
        'Æ' | 'æ' => "ae",
        'Ç' | 'ç' | 'Ć' | 'ć' | 'Č' | 'č' => "c",
        'Ď' | 'ď' | 'Đ' | 'đ' => "d",
        'È'..='Ë' | 'è'..='ë' | 'Ē' | 'ē' | 'Ę' | 'ę' | 'Ě' | 'ě' => "e",
        'Ğ' | 'ğ' => "g",
        'Ì'..='Ï' | 'ì'..='ï' | 'İ' | 'ı' => "i",
        'Ł' | 'ł' => "l",
        'Ñ' | 'ñ' | 'Ń' | 'ń' | 'Ň' | 'ň' => "n",
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ő' | 'ő' => "o",
        'Œ' | 'œ' => "oe",
        'Ř' | 'ř' => "r",
        'Ś' | 'ś' | 'Š' | 'š' | 'Ş' | 'ş' => "s",
        'ß' => "ss",
        'Ť' | 'ť' => "t",
        'Ù'..='Ü' | 'ù'..='ü' | 'Ů' | 'ů' | 'Ű' | 'ű' => "u",
        'Ý' | 'ý' | 'ÿ' => "y",
        'Ź' | 'ź' | 'Ż' | 'ż' | 'Ž' | 'ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_made_as_kubespawner_makes_them() {
        let check = |title: &str, expect: Option<&str>| {
            assert_eq!(slug_of(title).as_deref(), expect, "{title}");
        };
        check("Python 3.12 (small)", Some("python-3-12-small"));
        check("  GPU: 1,000 cores  ", Some("gpu-1000-cores"));
        check("Ada's own", Some("ada-s-own"));
        check("Ada’s own", Some("adas-own"));
        check("Größe – für alle", Some("grosse-fur-alle"));
        check("C++ & R", Some("c-r"));
        check("R, 2", Some("r-2"));
        check("日本", None);
        check("!!!", None);
    }

    #[test]
    fn patterns_match_from_the_beginning_only() {
        let check = |pattern: &str, value: &str, expect: bool| {
            let pattern = Pattern::parse(pattern).expect("a good pattern");
            assert_eq!(pattern.matches(value), expect, "{pattern:?} {value}");
        };
        check("^pangeo/.*$", "pangeo/base:1", true);
        check("^pangeo/.*$", "x/pangeo/base:1", false);
        check("a|b", "xb", false);
        check("a|b", "bx", true);
        check("[0-9]+$", "12", true);
        check("[0-9]+$", "12a", false);
        assert!(Pattern::parse("(").is_err());
        assert!(Pattern::parse("(?=a)").is_err());
        assert!(Pattern::parse("(a{1000}){1000}").is_err());
    }

    #[test]
    fn one_of_each_is_the_default() {
        let defaults = |given: &[bool]| {
            let mut flags = given.to_vec();
            one_default(flags.iter_mut());
            flags
        };
        assert_eq!(defaults(&[false, false]), [true, false]);
        assert_eq!(defaults(&[false, true, true]), [false, true, false]);
        assert!(defaults(&[]).is_empty());
    }
}
