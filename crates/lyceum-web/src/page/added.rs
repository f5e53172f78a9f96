//! The pages in languages that a site adds: our templates once more, with other words.

use std::fmt;
use std::sync::Arc;

use lyceum_model::language::Language;
use minijinja::Environment;

use super::messages::Lang;
use super::{Pages, functions};

/// Ready to render; compiled templates are shared with those of the built-in languages.
#[derive(Default)]
pub struct Added(Vec<(Lang, Environment<'static>)>);

impl fmt::Debug for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.0.iter().map(|(lang, _)| lang.as_str());
        f.debug_list().entries(tags).finish()
    }
}

impl Added {
    pub fn new(pages: &Pages, languages: &[Arc<Language>]) -> Self {
        let languages = languages.iter().cloned().map(Lang::Added);
        Self(
            languages
                .map(|lang| {
                    let mut environment = pages.environments[0].1.clone();
                    functions::register(&mut environment, &lang, &pages.messages);
                    (lang, environment)
                })
                .collect(),
        )
    }

    pub fn languages(&self) -> impl Iterator<Item = &Lang> {
        self.0.iter().map(|(lang, _)| lang)
    }

    pub(super) fn environment(&self, lang: &Lang) -> Option<&Environment<'static>> {
        let own = self.0.iter().find(|(own, _)| own.as_str() == lang.as_str());
        own.map(|(_, environment)| environment)
    }
}
