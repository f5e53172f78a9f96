//! The `theme` section: colours and pictures, and templates that were written for JupyterHub.
//!
//! Files are read here, with the configuration. Whether templates are good is seen when the pages
//! are made of them ([`Look::theme`]): a broken one does not keep the rest from working.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_web::page::{
    Added, Logo, Pages, SiteFiles, SiteProblem, SiteSettings, SiteTemplates, Theme, ThemeSettings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SiteLanguages;
use super::raw::RawConfig;
use super::{Place, Problem};
use crate::failure::Failure;

/// Of a logo or a style sheet.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Files and folders that are looked at for edits.
const WATCHED_MAX: usize = 2000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawTheme {
    /// The one accent colour, `#rrggbb`.
    pub accent: String,
    /// The name in the head of every page.
    pub name: String,
    /// A file with the logo: SVG, PNG, JPEG, WebP or GIF.
    pub logo: Option<PathBuf>,
    /// Font names as in CSS, `"Source Sans 3", sans-serif`: those people have on their machines.
    pub font: Option<String>,
    /// The line at the foot of every page.
    pub footer: Option<String>,
    /// A file with a style sheet, which comes behind ours.
    pub css: Option<PathBuf>,
    /// A folder with files for pages and templates; they are at `/hub/static/site/`, and at
    /// `/hub/static/` where Lyceum has none of that name.
    #[serde(rename = "static")]
    pub static_folder: Option<PathBuf>,
    /// Folders with templates as people write them for JupyterHub. The first that has a name wins.
    pub template_paths: Vec<PathBuf>,
    /// Variables for these templates, such as `announcement`.
    pub template_vars: serde_json::Map<String, serde_json::Value>,
    /// `true`: scripts that stand in these templates run. Scripts in files do anyway.
    pub inline_scripts: bool,
    /// Other hosts that pictures, fonts and style sheets of these templates may come from,
    /// `https://cdn.example.edu`.
    pub hosts: Vec<String>,
}

impl Default for RawTheme {
    fn default() -> Self {
        Self {
            accent: "#1f6feb".into(),
            name: "Lyceum".into(),
            logo: None,
            font: None,
            footer: None,
            css: None,
            static_folder: None,
            template_paths: Vec::new(),
            template_vars: serde_json::Map::new(),
            inline_scripts: false,
            hosts: Vec::new(),
        }
    }
}

/// How pages look, with all files read.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub name: String,
    settings: ThemeSettings,
    logo: Option<Logo>,
    static_folder: Option<PathBuf>,
    site: SiteSettings,
    pub languages: SiteLanguages,
    /// Of single template files; folders that can't be read are mistakes of the configuration.
    unread: Vec<SiteProblem>,
    /// What else to look at for edits.
    pub(super) watched: Vec<PathBuf>,
}

impl Look {
    pub fn has_templates(&self) -> bool {
        !self.site.files.is_empty()
    }

    /// The theme; templates that can't be used now stay as they were `before`.
    pub fn theme(&self, pages: &Pages, before: Option<&Arc<SiteTemplates>>) -> Theme {
        let theme = Theme::new(&self.settings).unwrap_or_default();
        let theme = theme
            .with_logo(self.logo.clone())
            .with_files(self.static_folder.clone())
            .with_added(Arc::new(Added::new(pages, &self.languages.languages)));
        if self.site.files.is_empty() && self.site.vars.is_empty() {
            return theme;
        }
        let site = match before {
            Some(before) if *before.settings() == self.site => Arc::clone(before),
            before => {
                let before = before.map(|before| &**before);
                Arc::new(SiteTemplates::new(pages, self.site.clone(), before))
            }
        };
        theme.with_site(Some(site))
    }

    /// What is wrong with templates and languages, for those who check a configuration.
    pub fn check(&self) -> Result<Vec<Problem>, Failure> {
        let theme = self.theme(&crate::compose::pages()?, None);
        let problems = [self.problems(&theme), self.languages.problems.clone()].concat();
        Ok(Self::for_check(&problems))
    }

    /// What those who check a configuration might like to know.
    pub fn notes(&self) -> Vec<Problem> {
        Self::for_check(&self.languages.notes)
    }

    fn for_check(problems: &[SiteProblem]) -> Vec<Problem> {
        let place = |line: Option<usize>| {
            let line = u64::try_from(line?).ok()?;
            Some(Place { line, column: 1 })
        };
        let problems = problems.iter();
        problems
            .map(|problem| Problem {
                file: problem.path.display().to_string(),
                place: place(problem.line),
                message: problem.what.clone(),
            })
            .collect()
    }

    /// What is wrong with templates: they don't hold up the rest.
    pub fn problems(&self, theme: &Theme) -> Vec<SiteProblem> {
        let site = theme.site().map(|site| site.problems()).unwrap_or_default();
        [&self.unread, site].concat()
    }
}

/// Changes when one of these files does, or one in these folders.
pub(super) fn stamp(paths: &[&PathBuf]) -> u64 {
    let mut stamps = std::hash::DefaultHasher::new();
    let mut left = WATCHED_MAX;
    for path in paths {
        look_at(path, &mut stamps, &mut left);
    }
    std::hash::Hasher::finish(&stamps)
}

fn look_at(path: &Path, stamps: &mut std::hash::DefaultHasher, left: &mut usize) {
    use std::hash::Hash;
    path.hash(stamps);
    let Some(fewer) = left.checked_sub(1) else {
        return;
    };
    *left = fewer;
    let Ok(meta) = fs::metadata(path) else {
        return;
    };
    let when = (meta.mtime(), meta.mtime_nsec());
    (meta.dev(), meta.ino(), meta.size(), when).hash(stamps);
    let mut inside: Vec<PathBuf> = fs::read_dir(path)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    inside.sort();
    for path in inside {
        look_at(&path, stamps, left);
    }
}

pub(super) fn check_theme(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Look {
    let theme = &raw.theme;
    let hex = theme.accent.strip_prefix('#').unwrap_or_default();
    if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        problem(
            "theme.accent",
            format!("{:?} is not a colour such as `\"#1f6feb\"`", theme.accent),
        );
    }
    if theme.name.trim().is_empty() || theme.name.chars().count() > 60 {
        problem(
            "theme.name",
            "the name is empty or longer than 60 characters".into(),
        );
    }
    let font = ThemeSettings {
        font: theme.font.clone(),
        ..ThemeSettings::default()
    };
    if Theme::new(&font).is_err() {
        let words = "write font names as in CSS, such as `'\"Source Sans 3\", sans-serif'`";
        problem("theme.font", words.into());
    }
    let mut watched = Vec::new();
    let mut open = |key: &str, path: &Option<PathBuf>| {
        let path = folder.join(path.as_ref()?);
        watched.push(path.clone());
        read_file(&path)
            .map_err(|message| problem(key, message))
            .ok()
    };
    let css = open("theme.css", &theme.css);
    let logo = open("theme.logo", &theme.logo);
    let css = css.and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|_| problem("theme.css", "the file is not text".into()))
            .ok()
    });
    let logo = logo.and_then(|bytes| {
        let name = theme.logo.as_ref()?.to_string_lossy();
        let Some(content_type) = Logo::kind(&name) else {
            let words = "a logo is a file that ends in .svg, .png, .jpg, .webp or .gif";
            problem("theme.logo", words.into());
            return None;
        };
        Some(Logo {
            content_type,
            bytes,
        })
    });
    let static_folder = theme.static_folder.as_ref().map(|path| folder.join(path));
    if let Some(path) = &static_folder
        && !path.is_dir()
    {
        problem("theme.static", format!("{} is no folder", path.display()));
    }
    // All of it is served to everybody.
    let holds_us = |path: &PathBuf| {
        let (theirs, ours) = (path.canonicalize().ok(), folder.canonicalize().ok());
        theirs
            .zip(ours)
            .is_some_and(|(theirs, ours)| ours.starts_with(theirs))
    };
    if static_folder.as_ref().is_some_and(holds_us) {
        problem(
            "theme.static",
            "the configuration itself lies in that folder, and all of it is served to everybody; \
             take a folder of its own"
                .into(),
        );
    }
    let mut paths = Vec::new();
    for (at, path) in theme.template_paths.iter().enumerate() {
        let path = folder.join(path);
        match fs::read_dir(&path) {
            Ok(_) => paths.push(path),
            Err(error) => problem(
                &format!("theme.template_paths[{at}]"),
                format!("{} can't be read: {error}", path.display()),
            ),
        }
    }
    let (files, unread) = SiteFiles::read(&paths);
    watched.extend(paths);
    let languages = super::languages::check_languages(raw, folder, problem);
    watched.extend(languages.folder.clone());
    for (at, host) in theme.hosts.iter().enumerate() {
        if !is_origin(host) {
            problem(
                &format!("theme.hosts[{at}]"),
                format!("{host:?} is not a host such as `https://cdn.example.edu`"),
            );
        }
    }
    Look {
        name: theme.name.clone(),
        settings: ThemeSettings {
            accent: Some(theme.accent.clone()),
            font: theme.font.clone(),
            footer: theme.footer.clone(),
            css,
            ..ThemeSettings::default()
        },
        logo,
        static_folder,
        site: SiteSettings {
            files,
            vars: theme.template_vars.clone(),
            inline_scripts: theme.inline_scripts,
            hosts: theme.hosts.clone(),
            languages: languages.languages.clone(),
        },
        languages,
        unread,
        watched,
    }
}

/// Goes into a header as it is.
fn is_origin(text: &str) -> bool {
    text.starts_with("https://")
        && url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("{} is larger than 1 MiB", path.display())),
        false => Ok(bytes),
    }
}
