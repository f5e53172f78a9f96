//! Languages that a site adds to the error pages. The proxy is told them, in process or by the hubs it
//! follows, and takes of them what has a place on its pages, within bounds.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::words::{Lang, is_key};

/// More is no site that people read.
const LANGUAGES_MAX: usize = 30;
const TAG_MAX: usize = 20;
/// Bytes of all texts together. As JSON, where a character can take six times its room, they still fit
/// into a line of [`crate::follow::wire::MAX_LINE`].
const BYTES_MAX: usize = 512 * 1024;

/// A language by its tag, with texts by the keys of [`super::words::ENGLISH_TEXTS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedLanguage {
    pub tag: String,
    #[serde(default, skip_serializing_if = "is_no")]
    pub right_to_left: bool,
    /// Text, never markup. What is missing is said in English.
    #[serde(default)]
    pub texts: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_no(it: &bool) -> bool {
    !it
}

impl AddedLanguage {
    /// Those that a proxy takes, with what it can use of them: no other keys than its own, nothing
    /// in place of a built-in language, and no more than fits.
    pub fn fitting(languages: Vec<Self>) -> Vec<Self> {
        let mut room = BYTES_MAX;
        let mut taken: Vec<Self> = Vec::new();
        for mut language in languages {
            let tag = language.tag.as_str();
            let is_tag = !tag.is_empty()
                && tag.len() <= TAG_MAX
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let mut known = Lang::BUILT_IN.iter().map(Lang::tag);
            let mut before = taken.iter().map(|other| other.tag.as_str());
            if !is_tag || known.any(|own| own == tag) || before.any(|other| other == tag) {
                continue;
            }
            language.texts.retain(|key, _| is_key(key));
            let lengths = language
                .texts
                .iter()
                .map(|(key, text)| key.len() + text.len());
            let bytes: usize = lengths.sum();
            if taken.len() == LANGUAGES_MAX || bytes > room {
                tracing::warn!(
                    language = language.tag,
                    "the proxy's own pages are not in this language: at most {LANGUAGES_MAX} with {BYTES_MAX} bytes together are taken"
                );
                continue;
            }
            room -= bytes;
            taken.push(language);
        }
        taken
    }
}

/// Those in force.
#[derive(Debug, Default)]
pub(crate) struct Languages(ArcSwap<Vec<Arc<AddedLanguage>>>);

impl Languages {
    /// Whether they are others than before.
    pub(crate) fn set(&self, languages: Vec<AddedLanguage>) -> bool {
        let languages = AddedLanguage::fitting(languages);
        let languages: Vec<_> = languages.into_iter().map(Arc::new).collect();
        let differ = **self.0.load() != languages;
        if differ {
            self.0.store(Arc::new(languages));
        }
        differ
    }

    /// For writing down.
    pub(crate) fn all(&self) -> Vec<AddedLanguage> {
        let languages = self.0.load();
        languages.iter().map(|one| (**one).clone()).collect()
    }

    /// What somebody wants who chose one of these, as far as there is one, and sends this
    /// `Accept-Language`.
    pub(crate) fn wanted<'a>(
        &self,
        mut chosen: impl Iterator<Item = &'a [u8]>,
        accepted: &[u8],
    ) -> Lang {
        let added = self.0.load();
        let chosen = chosen.find_map(|tag| Lang::find(tag, &added));
        chosen.unwrap_or_else(|| Lang::wanted(accepted, &added))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language(tag: &str, key: &str, text: &str) -> AddedLanguage {
        AddedLanguage {
            tag: tag.into(),
            right_to_left: false,
            texts: [(key.to_owned(), text.to_owned())].into(),
        }
    }

    #[test]
    fn only_what_can_be_used_is_taken_and_no_more_than_fits() {
        let half = "x".repeat(BYTES_MAX / 2);
        let offered = vec![
            language("de", "proxy.home", "Heim"),
            language("\"><b>", "proxy.home", "x"),
            language("", "proxy.home", "x"),
            language("fr", "proxy.home", "Accueil"),
            language("fr", "proxy.home", "Encore"),
            language("it", "login.heading", "Entra"),
            language("es", "proxy.home", &half),
            language("pl", "proxy.home", &half),
            language("nl", "proxy.home", "Thuis"),
        ];
        let taken = AddedLanguage::fitting(offered);
        let tags: Vec<&str> = taken.iter().map(|one| one.tag.as_str()).collect();
        assert_eq!(tags, ["fr", "it", "es", "nl"]);
        assert_eq!(taken[0].texts["proxy.home"], "Accueil");
        assert!(taken[1].texts.is_empty());
        let many = (0..100).map(|at| language(&format!("x{at}"), "proxy.home", "x"));
        assert_eq!(AddedLanguage::fitting(many.collect()).len(), LANGUAGES_MAX);
    }

    #[test]
    fn the_most_that_is_taken_fits_into_a_line() {
        let worst = language("fr", "proxy.home", &"\u{1}".repeat(BYTES_MAX - 10));
        let news = crate::follow::wire::News::Languages {
            languages: AddedLanguage::fitting(vec![worst]),
        };
        let line = serde_json::to_vec(&news).expect("JSON");
        assert!(line.len() > BYTES_MAX && line.len() < crate::follow::wire::MAX_LINE);
    }
}
