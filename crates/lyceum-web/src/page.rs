//! Pages: templates, their words in each language, the look, and the files they load.
//!
//! A part registers its templates once ([`PagesBuilder::add`]) and its handlers fill in one of the
//! structs of [`contexts`]; [`Pages::render`] makes HTML of it. The words live in
//! `messages/en.txt` and `messages/de.txt` ([`messages`]), those of languages that a site adds in its
//! files ([`added`]); the colours come from [`theme`], style
//! sheet and script from [`assets()`], and what templates can call is in [`functions`].
//!
//! Nothing here is inline: no `style=`, no `<style>`, no script in the page, so that
//! [`CONTENT_SECURITY_POLICY`] can forbid it.
//!
//! To add a page: a struct in `contexts.rs`, a template that extends `base.html` in the part's
//! `templates/`, its words in both message files, a sample in `tests/it/samples.rs` (the test
//! fails for a template without one).

pub mod added;
pub mod assets;
pub mod contexts;
pub mod functions;
pub mod list;
pub mod messages;
pub mod plain;
pub mod site;
pub mod theme;

use std::sync::Arc;

use anyhow::{Context, Result};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

pub use added::Added;
pub use assets::{Asset, assets};
pub use messages::{Lang, pick_language};
pub use site::{SiteFiles, SiteProblem, SiteSettings, SiteTemplates};
pub use theme::{Logo, Theme, ThemeSettings};

use messages::Messages;

/// The policy for every page of ours. The consent page of the OAuth provider redirects to the
/// client after its POST, and browsers apply `form-action` to that redirect too: where servers
/// have origins of their own, its handler adds the client's origin
/// ([`content_security_policy`]).
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// [`CONTENT_SECURITY_POLICY`] with more origins (`https://ada.example.edu`) that a form may lead to.
pub fn content_security_policy(form_targets: &[String]) -> String {
    let allowed = ["form-action 'self'".to_owned()];
    let allowed = [&allowed, form_targets].concat().join(" ");
    CONTENT_SECURITY_POLICY.replace("form-action 'self'", &allowed)
}

/// The policy for a page from a site's templates: what these have inline by itself is marked with
/// `nonce`, and `style=` counts. Pictures, fonts and style sheets may come from `hosts`.
pub fn site_policy(nonce: &str, hosts: &[String], form_targets: &[String]) -> String {
    let hosts: String = hosts.iter().map(|host| format!(" {host}")).collect();
    content_security_policy(form_targets)
        .replace(
            "script-src 'self'",
            &format!("script-src 'self' 'nonce-{nonce}'"),
        )
        .replace(
            "style-src 'self'",
            &format!(
                "style-src 'self' 'nonce-{nonce}'{hosts}; style-src-attr 'unsafe-inline'; \
                 font-src 'self'{hosts}"
            ),
        )
        .replace("img-src 'self'", &format!("img-src 'self' data:{hosts}"))
}

/// Name and text of templates that are compiled into the program.
pub type Templates = &'static [(&'static str, &'static str)];

/// The templates that every part can extend or use.
const OWN_TEMPLATES: Templates = &[
    ("base.html", include_str!("../templates/base.html")),
    ("ui.html", include_str!("../templates/ui.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("message.html", include_str!("../templates/message.html")),
];

/// All templates, ready to render.
pub struct Pages {
    /// One environment per language: a template's `t` needs no look-up of who asks.
    environments: Vec<(Lang, Environment<'static>)>,
    messages: Arc<Messages>,
    /// As they were given, for those of a site that extend them.
    templates: Vec<(&'static str, &'static str)>,
}

/// A page as a site's templates are asked for it.
pub(in crate::page) struct SitePage<'a> {
    /// The name of our template.
    name: &'a str,
    lang: &'a Lang,
    /// What it shows.
    own: Value,
    nonce: &'a str,
    /// The address of the terms of use.
    terms: Option<&'a str>,
}

/// A page, and the policy it needs.
pub struct Shown {
    pub html: String,
    /// For the site's template that it was made from; none when it is ours.
    pub nonce: Option<String>,
}

impl Pages {
    /// Starts with the templates and words of this crate.
    pub fn builder() -> PagesBuilder {
        PagesBuilder {
            templates: OWN_TEMPLATES.to_vec(),
            messages: messages::OWN_MESSAGES.to_vec(),
        }
    }

    /// Makes the HTML of one page from the site's template, if there is a good one, else from
    /// ours. `ctx` is one of [`contexts`].
    pub fn show(
        &self,
        name: &str,
        lang: &Lang,
        theme: &Theme,
        ctx: impl Serialize,
    ) -> Result<Shown> {
        if let Some(site) = theme.site() {
            let nonce = lyceum_model::id::new_secret();
            let own = context! { theme => theme.for_templates(), ..Value::from(Serde(&ctx)) };
            let asked = SitePage {
                name,
                lang,
                own,
                nonce: &nonce,
                terms: theme.terms(),
            };
            match functions::in_zone(theme.zone(), || site.render(&asked)) {
                Ok(html) => {
                    let nonce = Some(nonce);
                    return Ok(Shown { html, nonce });
                }
                Err(problem) if site.note(&problem) => tracing::error!(
                    page = name,
                    %problem,
                    "a template of the site failed; the built-in page is shown instead"
                ),
                Err(_) => {}
            }
        }
        self.render(name, lang, theme, ctx)
            .map(|html| Shown { html, nonce: None })
    }

    /// Makes the HTML of one page from our own template. `ctx` is one of [`contexts`]: it has a
    /// field `page`.
    pub fn render(
        &self,
        name: &str,
        lang: &Lang,
        theme: &Theme,
        ctx: impl Serialize,
    ) -> Result<String> {
        // One that the site has taken away meanwhile is English.
        let own = self.environments.iter().find(|(own, _)| own == lang);
        let own = own.map(|(_, environment)| environment);
        let environment = own
            .or_else(|| theme.added().environment(lang))
            .unwrap_or(&self.environments[0].1);
        let template = environment
            .get_template(name)
            .with_context(|| format!("page {name}: no such template"))?;
        let ctx = context! { theme => theme.for_templates(), ..Value::from(Serde(&ctx)) };
        functions::in_zone(theme.zone(), || template.render(ctx))
            .with_context(|| format!("page {name} in {}", lang.as_str()))
    }

    /// The names of all templates, sorted.
    pub fn names(&self) -> Vec<&str> {
        let (_, environment) = &self.environments[0];
        let mut names: Vec<&str> = environment.templates().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }
}

/// Collects what the parts bring.
pub struct PagesBuilder {
    templates: Vec<(&'static str, &'static str)>,
    messages: Vec<(Lang, &'static str)>,
}

impl PagesBuilder {
    /// Adds the templates of a part.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "templates are added, not summed up"
    )]
    pub fn add(mut self, templates: Templates) -> Self {
        self.templates.extend_from_slice(templates);
        self
    }

    /// Adds the words of a part: texts of message files, with their language.
    #[must_use]
    pub fn messages(mut self, messages: &[(Lang, &'static str)]) -> Self {
        self.messages.extend_from_slice(messages);
        self
    }

    /// Compiles everything. Fails on a template that can't be read, on a message line that can't
    /// be read, and on a name or key that is there twice.
    pub fn build(self) -> Result<Pages> {
        let messages = Arc::new(Messages::read(&self.messages)?);
        let mut environments = Vec::new();
        for lang in Lang::BUILT_IN {
            let mut environment = Environment::new();
            environment.set_undefined_behavior(UndefinedBehavior::Strict);
            environment.set_debug(false);
            functions::register(&mut environment, &lang, &messages);
            for (at, (name, text)) in self.templates.iter().enumerate() {
                let twice = self.templates[..at].iter().any(|(other, _)| other == name);
                anyhow::ensure!(!twice, "two templates are called {name}");
                environment
                    .add_template(name, text)
                    .with_context(|| format!("template {name}"))?;
            }
            environments.push((lang, environment));
        }
        Ok(Pages {
            environments,
            messages,
            templates: self.templates,
        })
    }
}
