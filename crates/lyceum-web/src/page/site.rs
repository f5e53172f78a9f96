//! Templates of a site: those people wrote for JupyterHub, over ours.
//!
//! A site's `login.html` takes the place of ours; what it extends as `templates/login.html`, or
//! leaves alone, is ours, under JupyterHub's names and with JupyterHub's blocks and variables
//! (`jupyterhub`). They are rendered with bounds on work, depth and size, and when one fails our
//! own page is shown: nothing in a template takes the hub down.
//!
//! `files` reads them, `nonce` marks what they have inline, `finish` adds what old ones lack,
//! `python` has the objects with Python's manners, `trial` renders each once before anybody sees it.

mod files;
mod finish;
mod jupyterhub;
mod nonce;
mod python;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use lyceum_model::language::Language;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

pub use files::{SiteFile, SiteFiles};

use super::assets::asset_path;
use super::functions;
use super::messages::{Lang, Messages};
use super::{Pages, SitePage};

/// Steps of the engine for one page: the longest pages of ours need a tenth.
const FUEL: u64 = 2_000_000;
/// Includes and macros within each other; an include costs ten, a macro four.
const DEPTH: usize = 200;
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many failures of a running hub are remembered.
const TROUBLES_MAX: usize = 20;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteProblem {
    pub path: PathBuf,
    pub line: Option<usize>,
    pub what: String,
}

impl fmt::Display for SiteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            Some(line) => write!(f, "{path}:{line}: {}", self.what),
            None => write!(f, "{path}: {}", self.what),
        }
    }
}

/// What a site brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteSettings {
    pub files: SiteFiles,
    /// `template_vars` of the configuration.
    pub vars: serde_json::Map<String, serde_json::Value>,
    /// Whether scripts that stand in the templates run.
    pub inline_scripts: bool,
    /// Other hosts that pictures, fonts and style sheets may come from, `https://cdn.example.edu`.
    pub hosts: Vec<String>,
    /// Languages that the site adds.
    pub languages: Vec<Arc<Language>>,
}

/// A site's templates, ready to render.
pub struct SiteTemplates {
    environments: Vec<(Lang, Environment<'static>)>,
    messages: Arc<Messages>,
    /// What is in force: a broken file may be here as it was before.
    files: BTreeMap<String, SiteFile>,
    settings: SiteSettings,
    vars: BTreeMap<String, Value>,
    problems: Vec<SiteProblem>,
    troubles: Mutex<BTreeSet<SiteProblem>>,
}

impl fmt::Debug for SiteTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteTemplates")
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

impl SiteTemplates {
    /// Compiles and tries a site's templates. Where one is broken its last good text goes on if
    /// `before` has it, else our own page does; [`Self::problems`] tells.
    pub fn new(pages: &Pages, settings: SiteSettings, before: Option<&Self>) -> Self {
        let vars = settings.vars.iter();
        let mut site = Self {
            environments: Vec::new(),
            messages: Arc::clone(&pages.messages),
            files: settings.files.0.clone(),
            vars: vars
                .map(|(name, value)| (name.clone(), Value::from(minijinja::value::Serde(value))))
                .collect(),
            settings,
            problems: Vec::new(),
            troubles: Mutex::default(),
        };
        site.leave_out_broken(before);
        site.build(pages);
        // Each round takes one file back, so this ends.
        for _ in 0..=site.files.len() {
            let Some((name, problem)) = site.first_trouble() else {
                break;
            };
            let is_new = !site.problems.contains(&problem);
            if is_new {
                site.problems.push(problem);
            }
            let good = before.and_then(|before| before.files.get(&name));
            let now = site.files.get(&name);
            match good {
                Some(good) if now != Some(good) => {
                    site.files.insert(name, good.clone());
                }
                _ => {
                    site.files.remove(&name);
                }
            }
            site.build(pages);
        }
        site
    }

    /// What is wrong with the files as they are on disk.
    pub fn problems(&self) -> &[SiteProblem] {
        &self.problems
    }

    /// What went wrong since while pages were shown.
    pub fn troubles(&self) -> Vec<SiteProblem> {
        let troubles = self.troubles.lock().expect("no holder panics");
        troubles.iter().cloned().collect()
    }

    /// Whether the site has a template of this name that can be used.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub fn settings(&self) -> &SiteSettings {
        &self.settings
    }

    /// Templates that can't be read as such, by the parser alone.
    fn leave_out_broken(&mut self, before: Option<&Self>) {
        let mut bare = Environment::new();
        let names: Vec<String> = self.files.keys().cloned().collect();
        for name in names {
            let file = &self.files[&name];
            let text = file.text.to_string();
            let told = match bare.add_template_owned(name.clone(), text) {
                Ok(()) => admin_app(&name, file),
                Err(error) => Some(SiteProblem {
                    path: file.path.clone(),
                    line: error.line(),
                    what: words_of(&error),
                }),
            };
            let Some(told) = told else { continue };
            self.problems.push(told);
            match before.and_then(|before| before.files.get(&name)) {
                Some(good) => self.files.insert(name, good.clone()),
                None => self.files.remove(&name),
            };
        }
    }

    fn build(&mut self, pages: &Pages) {
        let english = self.environment(pages);
        let added = self.settings.languages.iter().cloned().map(Lang::Added);
        let languages = Lang::BUILT_IN.into_iter().chain(added);
        self.environments = languages
            .map(|lang| {
                let mut environment = english.clone();
                functions::register(&mut environment, &lang, &self.messages);
                environment.add_function("static_url", static_url);
                (lang, environment)
            })
            .collect();
    }

    fn environment(&self, pages: &Pages) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_debug(false);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(DEPTH);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        minijinja_contrib::add_to_environment(&mut environment);
        // Each makes as much text as a number says, before anything could stop it.
        for filter in ["indent", "format", "center"] {
            environment.remove_filter(filter);
        }
        environment.remove_global("lipsum");
        functions::register(&mut environment, &Lang::En, &self.messages);
        let own = "our own templates were compiled before";
        let mut add = |name: String, text: String| environment.add_template_owned(name, text);
        let mut theirs: BTreeMap<&str, String> = jupyterhub::NAMES
            .iter()
            .map(|name| (*name, UNUSED.to_owned()))
            .collect();
        theirs.insert("404.html", "{% extends \"error.html\" %}".into());
        // JupyterHub's pages have the frame's title: where a site gives one, ours leave it alone.
        let frame = self.files.get("page.html");
        let titled = frame.is_some_and(|file| file.text.contains("block title"));
        for (name, text) in &pages.templates {
            let title = match titled && *name != "base.html" {
                true => "{% block own_title %}",
                false => "{% block title %}",
            };
            let mut text = text
                .replace("{% block title %}", title)
                .replace("{% extends \"base.html\"", "{% extends \"page.html\"");
            for (library, _) in &pages.templates {
                let from = format!("from \"{library}\"");
                text = text.replace(&from, &format!("from \"lyceum/{library}\""));
            }
            add(format!("lyceum/{name}"), text.clone()).expect(own);
            if let Some(known) = theirs.get_mut(jupyterhub::name_of(name)) {
                *known = text;
            }
        }
        for (name, text) in theirs {
            if !self.files.contains_key(name) {
                add(name.to_owned(), text.clone()).expect(own);
            }
            add(format!("templates/{name}"), text).expect(own);
        }
        for (name, file) in &self.files {
            let text = nonce::mark(&file.text, self.settings.inline_scripts);
            if let Err(error) = add(name.clone(), text) {
                // It could be read without our marks; a page that needs it falls back to ours.
                tracing::error!(%name, %error, "a site's template could not be marked");
            }
        }
        environment
    }

    /// The template for a page of ours, with what it shows.
    fn template_for<'a>(&self, page: &'a str, own: &Value) -> std::borrow::Cow<'a, str> {
        use std::borrow::Cow;
        let failed = own.get_attr("failure").is_ok_and(|why| why.is_true());
        if page == "progress.html" && failed && self.files.contains_key("not_running.html") {
            return Cow::Borrowed("not_running.html");
        }
        if page == "error.html"
            && let Ok(status) = own.get_attr("status")
            && self.files.contains_key(&format!("{status}.html"))
        {
            return Cow::Owned(format!("{status}.html"));
        }
        if own.get_attr("gone").is_ok_and(|gone| gone.is_true()) {
            // JupyterHub has no page for a link that is not good.
            return Cow::Owned(format!("lyceum/{page}"));
        }
        let name = jupyterhub::name_of(page);
        match jupyterhub::NAMES.contains(&name) {
            true => Cow::Borrowed(name),
            false => Cow::Owned(format!("lyceum/{page}")),
        }
    }

    /// The HTML of a page; on failure what is wrong, with its place.
    pub(super) fn render(&self, asked: &SitePage<'_>) -> Result<String, SiteProblem> {
        let name = self.template_for(asked.name, &asked.own);
        self.render_named(&name, asked).map_err(|error| {
            let (_, problem) = self.place(&error, &name);
            problem
        })
    }

    fn render_named(&self, name: &str, asked: &SitePage<'_>) -> anyhow::Result<String> {
        let (_, environment) = self
            .environments
            .iter()
            .find(|(own, _)| own.as_str() == asked.lang.as_str())
            .or_else(|| self.environments.first())
            .context("no such language")?;
        let context = jupyterhub::variables(
            &jupyterhub::Asked {
                page: asked.name,
                own: &asked.own,
                lang: asked.lang,
                messages: &self.messages,
                nonce: asked.nonce,
                terms: asked.terms,
                own_frame: (self.files.get("page.html"))
                    .is_some_and(|frame| !frame.text.contains("templates/page.html")),
            },
            &self.vars,
        );
        let mut out = Bounded::default();
        let template = environment.get_template(name)?;
        let rendered = template.render_captured_to(context, &mut out).map(drop);
        anyhow::ensure!(!out.full, "the page is larger than {BYTES_MAX} bytes");
        rendered?;
        let html = String::from_utf8(out.bytes).context("not UTF-8")?;
        let page = |path: &[&str]| jupyterhub::text(&asked.own, path);
        let base = page(&["page", "base"]);
        let waits = matches!(asked.name, "progress.html" | "stopping.html")
            && !asked.own.get_attr("failure").is_ok_and(|why| why.is_true())
            && !html.contains("http-equiv=\"refresh\"");
        Ok(finish::finish(
            &html,
            &finish::Extras {
                xsrf: &page(&["page", "xsrf"]),
                at_end: &scripts(&base, asked, &page),
                in_head: match waits {
                    true => "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>",
                    false => "",
                },
            },
        ))
    }

    /// Remembers that a page could not be shown; true when it is news.
    pub(super) fn note(&self, problem: &SiteProblem) -> bool {
        let mut troubles = self.troubles.lock().expect("no holder panics");
        troubles.len() < TROUBLES_MAX && troubles.insert(problem.clone())
    }

    /// Tries every page; the first file that makes one fail.
    fn first_trouble(&self) -> Option<(String, SiteProblem)> {
        let (lang, _) = self.environments.first()?;
        let known = trial::pages();
        let mut tried = known.iter().map(|(name, own)| {
            let asked = SitePage {
                name,
                lang,
                own: own.clone(),
                nonce: "trial",
                terms: None,
            };
            (self.template_for(name, own).into_owned(), asked)
        });
        let unused = ["spawn.html", "accept-share.html"];
        let more = unused.iter().map(|name| {
            let asked = SitePage {
                name: "base.html",
                lang,
                own: trial::frame(),
                nonce: "trial",
                terms: None,
            };
            ((*name).to_owned(), asked)
        });
        tried.by_ref().chain(more).find_map(|(template, asked)| {
            let error = self.render_named(&template, &asked).err()?;
            let (name, problem) = self.place(&error, &template);
            // Where no file of the site is to blame there is nothing to take back.
            self.files.contains_key(&name).then_some((name, problem))
        })
    }

    /// The innermost file of the site that an error is about; else the one that was asked for, or
    /// the frame of all pages.
    fn place(&self, error: &anyhow::Error, asked: &str) -> (String, SiteProblem) {
        let mut found: Option<(String, Option<usize>)> = None;
        let mut what = format!("{error:#}");
        let mut inner = error.downcast_ref::<minijinja::Error>();
        while let Some(error) = inner {
            if let Some(name) = error.name()
                && self.files.contains_key(name)
            {
                found = Some((name.to_owned(), error.line()));
            }
            what = words_of(error);
            inner = error
                .source()
                .and_then(|source| source.downcast_ref::<minijinja::Error>());
        }
        let (name, line) = found.unwrap_or_else(|| {
            let known = [asked, "page.html"];
            let known = known.iter().find(|name| self.files.contains_key(**name));
            ((*known.unwrap_or(&asked)).to_owned(), None)
        });
        let path = self.files.get(&name).map(|file| file.path.clone());
        let path = path.unwrap_or_else(|| PathBuf::from(&name));
        (name, SiteProblem { path, line, what })
    }
}

/// Templates of pages that Lyceum does not show can be extended all the same.
const UNUSED: &str = "{% extends \"page.html\" %}{% block main %}{% block heading %}{% endblock %}\
     {% block message %}{% endblock %}{% endblock %}";

/// JupyterHub's administrators' page is a program of its own, which is not here.
fn admin_app(name: &str, file: &SiteFile) -> Option<SiteProblem> {
    let line = |what: &str| file.text.lines().position(|line| line.contains(what));
    let at = line("react-admin-hook").filter(|_| name == "admin.html")?;
    Some(SiteProblem {
        path: file.path.clone(),
        line: Some(at + 1),
        what: "this page needs JupyterHub's own program (react-admin-hook); extend \
               `templates/admin.html` instead"
            .into(),
    })
}

fn words_of(error: &minijinja::Error) -> String {
    let words = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => return "it never ends: too many steps for one page".into(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    words.chars().take(300).collect()
}

/// Our scripts: the live parts of our pages, and what JupyterHub's scripts did on theirs.
fn scripts(base: &str, asked: &SitePage<'_>, page: &dyn Fn(&[&str]) -> String) -> String {
    let file = |name: &str| format!("{base}{}", asset_path(name).unwrap_or_default());
    let mut data = String::new();
    for (name, value) in [
        ("base", base.to_owned()),
        ("user", page(&["page", "user", "name"])),
        ("owner", page(&["server", "user"])),
        ("server", page(&["server", "server"])),
        ("xsrf", page(&["page", "xsrf"])),
        ("events", page(&["events_url"])),
        ("page", asked.name.trim_end_matches(".html").to_owned()),
    ] {
        let value = jupyterhub::escaped(&value);
        data.push_str(&format!(" data-{name}=\"{value}\""));
    }
    format!(
        "<div id=\"lyceum-page\" hidden{data}></div>\n\
         <script type=\"module\" src=\"{}\"></script>\n\
         <script type=\"module\" src=\"{}\"></script>\n",
        file("lyceum.js"),
        file("classic.js")
    )
}

/// `static_url("css/x.css", include_version=False)`: ours with their hash, the site's as they are.
fn static_url(
    state: &mut minijinja::State,
    path: &str,
    options: minijinja::value::Kwargs,
) -> Result<String, minijinja::Error> {
    // JupyterHub's one option; our addresses have no version to leave out.
    let _: Option<bool> = options.get("include_version")?;
    let base = state
        .lookup("page")
        .and_then(|page| page.get_attr("base").ok())
        .and_then(|base| base.as_str().map(str::to_owned))
        .unwrap_or_else(|| "/hub/".into());
    let path = path.trim_start_matches('/');
    // A site may bring JupyterHub's own files: these have no hash of ours.
    let own = asset_path(path).filter(|_| !path.contains('/'));
    Ok(match own {
        Some(own) => format!("{base}{own}"),
        None => format!("{base}static/{path}"),
    })
}

/// Takes so much and no more.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > BYTES_MAX {
            self.full = true;
            return Err(io::Error::other("too much"));
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
