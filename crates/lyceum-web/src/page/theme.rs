//! The look a site chooses: accent colour, logo, font and footer; nothing else.
//!
//! Whatever colour a site picks, text stays readable: for each scheme the accent is darkened or
//! lightened until it stands out from the background with at least the contrast that WCAG 2.2
//! (success criterion 1.4.3, level AA) asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use lyceum_model::base::BasePath;
use serde::{Deserialize, Serialize};

use super::added::Added;
use super::messages::Lang;
use super::site::SiteTemplates;

/// What the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThemeSettings {
    /// The accent colour, `#rrggbb`.
    pub accent: Option<String>,
    /// Path of a picture on this host, `/hub/static/site/logo.svg`.
    pub logo: Option<String>,
    /// Font names as in CSS, `"Source Sans 3", sans-serif`. They must be on people's machines:
    /// pages load nothing from elsewhere.
    pub font: Option<String>,
    /// A line at the foot of every page.
    pub footer: Option<String>,
    /// A style sheet of the site's, behind ours.
    pub css: Option<String>,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ThemeError {
    #[error("accent: {0:?} is not a colour; write it as #rrggbb, for example #1f5fa8")]
    Accent(String),
    #[error(
        "logo: {0:?} is not a path on this host; it starts with one / and has no spaces or quotes"
    )]
    Logo(String),
    #[error(
        "font: {0:?} is not a list of font names; letters, digits, spaces, commas, hyphens and \
         double quotes are allowed"
    )]
    Font(String),
}

/// A checked theme with its style sheet.
#[derive(Debug, Clone)]
pub struct Theme {
    logo: Option<String>,
    footer: Option<String>,
    css: String,
    version: String,
    picture: Option<Arc<Logo>>,
    files: Option<Arc<Path>>,
    links: Vec<FooterLink>,
    added: Arc<Added>,
    site: Option<Arc<SiteTemplates>>,
    zone: TimeZone,
}

/// A site's logo, read from its file.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Logo {
    /// What is for pictures by the ending of a name.
    pub fn kind(name: &str) -> Option<&'static str> {
        let (_, ending) = name.rsplit_once('.')?;
        Some(match ending.to_ascii_lowercase().as_str() {
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "webp" => "image/webp",
            "gif" => "image/gif",
            _ => return None,
        })
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.content_type, self.bytes.len())
    }
}

/// A link at the foot of every page; its words are the message `foot.KIND`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FooterLink {
    pub kind: &'static str,
    pub url: String,
    /// A page of ours: the base goes before its path.
    #[serde(skip)]
    pub own: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self::new(&ThemeSettings::default()).expect("the default theme is well formed")
    }
}

impl Theme {
    pub fn new(settings: &ThemeSettings) -> Result<Self, ThemeError> {
        let accent = match &settings.accent {
            Some(text) => Colour::parse(text).ok_or_else(|| ThemeError::Accent(text.clone()))?,
            None => ACCENT,
        };
        if let Some(logo) = &settings.logo
            && !is_local_path(logo)
        {
            return Err(ThemeError::Logo(logo.clone()));
        }
        if let Some(font) = &settings.font
            && !is_font_list(font)
        {
            return Err(ThemeError::Font(font.clone()));
        }
        let mut css = write_css(accent, settings.font.as_deref());
        css.push_str(settings.css.as_deref().unwrap_or_default());
        let version = blake3::hash(css.as_bytes()).to_hex()[..12].to_owned();
        Ok(Self {
            logo: settings.logo.clone(),
            footer: settings.footer.clone(),
            css,
            version,
            picture: None,
            files: None,
            links: Vec::new(),
            added: Arc::default(),
            site: None,
            zone: TimeZone::UTC,
        })
    }

    /// With a logo of the site's, which is shown from `/hub/logo`.
    #[must_use]
    pub fn with_logo(mut self, logo: Option<Logo>) -> Self {
        if let Some(logo) = logo {
            let version = &blake3::hash(&logo.bytes).to_hex()[..12];
            self.logo = Some(format!("/hub/logo?v={version}"));
            self.picture = Some(Arc::new(logo));
        }
        self
    }

    /// With files of the site's, below `/hub/static/site/`.
    #[must_use]
    pub fn with_files(mut self, folder: Option<PathBuf>) -> Self {
        self.files = folder.map(Arc::from);
        self
    }

    #[must_use]
    pub fn with_links(mut self, links: Vec<FooterLink>) -> Self {
        self.links = links;
        self
    }

    /// For pages below a path; what is of ours comes before.
    #[must_use]
    pub fn below(mut self, base: &BasePath) -> Self {
        if self.picture.is_some() {
            self.logo = self.logo.map(|logo| base.at(&logo));
        }
        for link in self.links.iter_mut().filter(|link| link.own) {
            link.url = base.at(&link.url);
        }
        self
    }

    /// With templates of the site's, unless it has none.
    #[must_use]
    pub fn with_site(mut self, site: Option<Arc<SiteTemplates>>) -> Self {
        self.site = site;
        self
    }

    /// With languages of the site's.
    #[must_use]
    pub fn with_added(mut self, added: Arc<Added>) -> Self {
        self.added = added;
        self
    }

    /// With the zone in which times are told, until a script tells them in the reader's.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        // Where the machine's can't be found out.
        self.zone = match zone.is_unknown() {
            true => TimeZone::UTC,
            false => zone,
        };
        self
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    pub fn added(&self) -> &Arc<Added> {
        &self.added
    }

    /// The languages there are pages in, the built-in ones first.
    pub fn languages(&self) -> Vec<Lang> {
        let built_in = Lang::BUILT_IN.into_iter();
        built_in.chain(self.added.languages().cloned()).collect()
    }

    pub fn picture(&self) -> Option<&Logo> {
        self.picture.as_deref()
    }

    /// The folder with the site's own files.
    pub fn files(&self) -> Option<&Path> {
        self.files.as_deref()
    }

    pub fn site(&self) -> Option<&Arc<SiteTemplates>> {
        self.site.as_ref()
    }

    /// Where the terms of use are.
    pub fn terms(&self) -> Option<&str> {
        let terms = self.links.iter().find(|link| link.kind == "terms");
        terms.map(|link| link.url.as_str())
    }

    /// The style sheet behind `static/theme.css`.
    pub fn css(&self) -> &str {
        &self.css
    }

    /// Changes with the style sheet: the `v` of its URL, and its ETag.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn for_templates(&self) -> minijinja::Value {
        minijinja::context! { logo => self.logo.as_deref(), footer => self.footer.as_deref(), version => self.version.as_str(), links => minijinja::Value::from(minijinja::value::Serde(&self.links)) }
    }
}

fn is_local_path(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_graphic() && !b"\"'<>\\".contains(&b);
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(fits)
}

fn is_font_list(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || " ,-\"".contains(c);
    let quotes = text.matches('"').count();
    !text.trim().is_empty()
        && text.len() <= 200
        && quotes.is_multiple_of(2)
        && text.chars().all(fits)
}

fn write_css(accent: Colour, font: Option<&str>) -> String {
    let light = accent.until_readable_on(LIGHT, Colour([0; 3]));
    let dark = accent.until_readable_on(DARK, Colour([255; 3]));
    let font = font.map_or(String::new(), |font| format!("--font:{font};"));
    format!(
        ":root{{--accent:{};{font}}}\n@media (prefers-color-scheme:dark){{:root{{--accent:{}}}}}\n",
        light.to_css(),
        dark.to_css()
    )
}

/// The accent of a site that chose none.
const ACCENT: Colour = Colour([0x1f, 0x5f, 0xa8]);
/// The darkest background of the light scheme that carries accent text (`--sunken`).
const LIGHT: Colour = Colour([0xf1, 0xf1, 0xee]);
/// The lightest background of the dark scheme that carries accent text (`--sunken`).
const DARK: Colour = Colour([0x2a, 0x2e, 0x33]);
/// AA for text of normal size.
const READABLE: f64 = 4.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour([u8; 3]);

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    fn to_css(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// Relative luminance as WCAG 2.2 defines it.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(two) / one.min(two)
    }

    /// Goes towards `goal` (black or white) in steps of 1/32 until it can be read on `ground`.
    fn until_readable_on(self, ground: Self, goal: Self) -> Self {
        let towards = |step: u16| {
            let mix = |from: u8, to: u8| {
                let mixed = (u16::from(from) * (32 - step) + u16::from(to) * step) / 32;
                u8::try_from(mixed).expect("a mean of two bytes")
            };
            Self(std::array::from_fn(|at| mix(self.0[at], goal.0[at])))
        };
        (0..=32)
            .map(towards)
            .find(|colour| colour.contrast(ground) >= READABLE)
            .unwrap_or(goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accent_becomes_readable() {
        for text in [
            "#ffff00", "#000000", "#ffffff", "#1f5fa8", "#777777", "#ff0000",
        ] {
            let accent = Colour::parse(text).expect("a colour");
            let light = accent.until_readable_on(LIGHT, Colour([0; 3]));
            let dark = accent.until_readable_on(DARK, Colour([255; 3]));
            assert!(light.contrast(LIGHT) >= READABLE, "{text} on light");
            assert!(dark.contrast(DARK) >= READABLE, "{text} on dark");
            // Words on a button: white in the light scheme, nearly black in the dark one.
            assert!(light.contrast(Colour([255; 3])) >= READABLE, "{text}");
            assert!(
                dark.contrast(Colour([0x10, 0x14, 0x18])) >= READABLE,
                "{text}"
            );
        }
    }

    #[test]
    fn a_readable_accent_is_kept() {
        let theme = Theme::new(&ThemeSettings {
            accent: Some("#00563F".into()),
            font: Some("\"Source Sans 3\", sans-serif".into()),
            ..ThemeSettings::default()
        })
        .expect("a good theme");
        assert!(
            theme
                .css()
                .starts_with(":root{--accent:#00563f;--font:\"Source Sans 3\", sans-serif;}"),
            "{}",
            theme.css()
        );
        assert_ne!(theme.version(), Theme::default().version());
    }

    #[test]
    fn what_could_leave_the_style_sheet_is_refused() {
        let accent = |text: &str| {
            Theme::new(&ThemeSettings {
                accent: Some(text.into()),
                ..ThemeSettings::default()
            })
            .is_err()
        };
        for bad in [
            "red", "#fff", "#12345g", "#1234567", "#+12345", "}body{", "#é1234",
        ] {
            assert!(accent(bad), "{bad:?}");
        }
        for bad in ["", "x;}", "a\"", "url(x)", "a\nb", "a/*"] {
            assert!(!is_font_list(bad), "{bad:?}");
        }
        for bad in ["//evil.example/x", "https://x", "x", "/a b", "/\"", "/\\x"] {
            assert!(!is_local_path(bad), "{bad:?}");
        }
    }
}
