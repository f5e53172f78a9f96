//! The words of the templates, and which language a browser asked for.
//!
//! How a message file looks is in [`lyceum_model::messages`]. What handlers and background work
//! say is elsewhere, in [`lyceum_model::saying`]: it is said in logs and to programs too.

pub use lyceum_model::lang::Lang;
pub use lyceum_model::messages::Messages;

/// The words of this crate and of the hub's pages.
pub const OWN_MESSAGES: &[(Lang, &str)] = &[
    (Lang::En, include_str!("../../messages/en.txt")),
    (Lang::De, include_str!("../../messages/de.txt")),
];

/// Chooses by `Accept-Language` (RFC 9110, section 12.5.4): the highest weight wins, the first of
/// equals, English when nothing fits.
pub fn pick_language(accept_language: Option<&str>) -> Lang {
    let mut best: Option<(f32, Lang)> = None;
    // A header can be long; nobody speaks more than twenty languages.
    for range in accept_language.unwrap_or_default().split(',').take(20) {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let lang = match tag.split('-').next().unwrap_or_default() {
            "*" => Some(Lang::default()),
            own => Lang::from_tag(own),
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
    best.map(|(_, lang)| lang).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_a_browser_asks_for() {
        let check = |header: &str, expect: Lang| {
            assert_eq!(pick_language(Some(header)), expect, "{header:?}");
        };
        assert_eq!(pick_language(None), Lang::En);
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
}
