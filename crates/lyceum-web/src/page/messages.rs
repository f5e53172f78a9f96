//! The words of the templates, and which language a browser asked for.
//!
//! How a message file looks is in [`lyceum_model::messages`]. What handlers and background work
//! say is elsewhere, in [`lyceum_model::saying`]: it is said in logs and to programs too.

pub use lyceum_model::lang::Lang;
use lyceum_model::language::English;
pub use lyceum_model::messages::Messages;

/// The words of this crate and of the hub's pages.
pub const OWN_MESSAGES: &[(Lang, &str)] = &[
    (Lang::En, include_str!("../../messages/en.txt")),
    (Lang::De, include_str!("../../messages/de.txt")),
];

/// The English texts that a site's own language is held against, by key.
pub fn english() -> English {
    let files = template_files().into_iter().flat_map(str::lines);
    let lines = files.filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

/// The English files: the words of templates, and what is said.
pub fn template_files() -> [&'static str; 2] {
    [OWN_MESSAGES[0].1, lyceum_model::saying::FILES[0].1]
}

/// Chooses by `Accept-Language` (RFC 9110, section 12.5.4) among the languages there are: the
/// highest weight wins, the first of equals, English when nothing fits. `pt` is content with `pt-BR`,
/// and the other way about.
pub fn pick_language(there: &[Lang], accept_language: Option<&str>) -> Lang {
    let mut best: Option<(f32, &Lang)> = None;
    // A header can be long; nobody speaks more than twenty languages.
    for range in accept_language.unwrap_or_default().split(',').take(20) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_owned();
        let lang = match tag.as_str() {
            "*" => Some(&Lang::En),
            tag => there
                .iter()
                .find(|lang| lang.as_str().eq_ignore_ascii_case(tag))
                .or_else(|| {
                    there
                        .iter()
                        .find(|lang| primary(lang.as_str()) == primary(tag))
                }),
        };
        let Some(lang) = lang else { continue };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(Some(1.0), |text| text.parse::<f32>().ok())
            .unwrap_or(0.0);
        if weight > 0.0 && best.is_none_or(|(highest, _)| weight > highest) {
            best = Some((weight, lang));
        }
    }
    best.map(|(_, lang)| lang.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lyceum_model::language::Language;

    use super::*;

    #[test]
    fn the_language_a_browser_asks_for() {
        let check = |header: &str, expect: Lang| {
            let picked = pick_language(&Lang::BUILT_IN, Some(header));
            assert_eq!(picked, expect, "{header:?}");
        };
        assert_eq!(pick_language(&Lang::BUILT_IN, None), Lang::En);
        check("", Lang::En);
        check("de", Lang::De);
        check("de-AT,de;q=0.9,en;q=0.8", Lang::De);
        check("en-GB,en;q=0.9,de;q=0.8", Lang::En);
        check("fr,de;q=0.5,en;q=0.4", Lang::De);
        check("fr", Lang::En);
        check("en;q=0.2, DE ; q=0.3", Lang::De);
        check("de;q=0,en;q=0.1", Lang::En);
        check("de;q=much", Lang::En);
        check("*", Lang::En);
        check(&"x,".repeat(100_000), Lang::En);
    }

    #[test]
    fn languages_of_the_site_are_chosen_too() {
        let added = |tag: &str| {
            let read = Language::read(tag, "", &English::new());
            Lang::Added(Arc::new(read.language))
        };
        let there = [Lang::En, Lang::De, added("pt-BR"), added("pt-PT")];
        let check = |header: &str, expect: &str| {
            let picked = pick_language(&there, Some(header));
            assert_eq!(picked.as_str(), expect, "{header}");
        };
        check("fr,pt;q=0.9,de;q=0.8", "pt-BR");
        check("pt-pt", "pt-PT");
        check("pt-AO,de;q=0.2", "pt-BR");
        check("de,pt;q=0.9", "de");
    }

    /// One file of a site has both; a key has one meaning.
    #[test]
    fn no_key_is_in_both_kinds_of_files() {
        let lines = template_files().into_iter().flat_map(str::lines);
        let lines = lines.filter(|line| line.contains(" = ") && !line.starts_with('#'));
        assert_eq!(lines.count(), english().len());
    }
}
