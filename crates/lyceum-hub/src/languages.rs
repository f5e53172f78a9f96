//! What a language that a site adds has texts for: the pages of the hub, what is said, and the few pages
//! that the proxy makes itself. The last are handed over to proxies, which know no file of the site's.

use lyceum_model::lang::Lang;
use lyceum_model::language::English;
use lyceum_model::messages::Messages;
use lyceum_proxy::{AddedLanguage, ERROR_PAGE_TEXTS};
use lyceum_web::page::{Theme, messages};

/// The English files, in the order of a file to fill in.
pub fn files() -> [&'static str; 3] {
    let [pages, sayings] = messages::template_files();
    [pages, sayings, ERROR_PAGE_TEXTS]
}

/// The English texts that a site's own language is held against, by key.
pub fn english() -> English {
    let mut english = messages::english();
    english.extend(of_proxies());
    english
}

fn of_proxies() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = ERROR_PAGE_TEXTS.lines();
    let lines = lines.filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = "))
}

/// The site's languages as proxies take them.
pub fn for_proxies(theme: &Theme) -> Vec<AddedLanguage> {
    // No texts of ours: what the site's file lacks a proxy says by itself.
    let none = Messages::default();
    let added = theme.languages().into_iter();
    let added = added.filter(|lang| matches!(lang, Lang::Added(_)));
    let languages = added.map(|lang| AddedLanguage {
        tag: lang.as_str().to_owned(),
        right_to_left: lang.direction() == "rtl",
        texts: of_proxies()
            .filter_map(|(key, _)| Some((key.to_owned(), none.find(&lang, key)?.to_owned())))
            .collect(),
    });
    AddedLanguage::fitting(languages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One file of a site has all kinds; a key has one meaning.
    #[test]
    fn no_key_is_in_two_files() {
        let lines = files().into_iter().flat_map(str::lines);
        let lines = lines.filter(|line| line.contains(" = ") && !line.starts_with('#'));
        assert_eq!(lines.count(), english().len());
    }
}
