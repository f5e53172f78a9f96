//! A site's templates: written in the manner of JupyterHub, good and broken.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lyceum_web::page::contexts::*;
use lyceum_web::page::{Lang, SiteFiles, SiteSettings, SiteTemplates, Theme, site_policy};
use serde_json::json;

use super::{builder, samples};

struct Folder(tempfile::TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn settings(&self) -> SiteSettings {
        let (files, problems) = SiteFiles::read(&[self.path().to_owned()]);
        assert_eq!(problems, []);
        SiteSettings {
            files,
            ..SiteSettings::default()
        }
    }

    fn site(&self, before: Option<&SiteTemplates>) -> SiteTemplates {
        let pages = builder().build().expect("good templates");
        SiteTemplates::new(&pages, self.settings(), before)
    }
}

fn show(site: SiteTemplates, name: &str, ctx: &impl serde::Serialize) -> (String, Option<String>) {
    let pages = builder().build().expect("good templates");
    let theme = Theme::default().with_site(Some(Arc::new(site)));
    let shown = pages.show(name, &Lang::En, &theme, ctx).expect("a page");
    (shown.html, shown.nonce)
}

fn page() -> Page {
    Page {
        base: "/hub/".into(),
        xsrf: "token<1>".into(),
        site: Site {
            name: "Example".into(),
        },
        ..Page::default()
    }
}

fn ada() -> Page {
    Page {
        user: Some(PageUser {
            name: "ada".into(),
            display_name: "Ada".into(),
            admin: false,
        }),
        ..page()
    }
}

fn login() -> LoginPage {
    LoginPage {
        page: page(),
        password_form: true,
        next: "/hub/spawn?a=1&b=2".into(),
        error: Some(LoginError::Refused),
        ..LoginPage::default()
    }
}

fn told(site: &SiteTemplates, folder: &Folder) -> Vec<String> {
    let own = format!("{}/", folder.path().display());
    let problems = site.problems().iter();
    problems
        .map(|problem| problem.to_string().replace(&own, ""))
        .collect()
}

#[test]
fn every_page_is_shown_in_the_frame_of_a_site() {
    let folder = Folder::of(&[(
        "page.html",
        "<!doctype html><html><head></head><body><h6>Ours</h6>{% block main %}{% endblock %}\
         {% block footer %}{% endblock %}</body></html>",
    )]);
    let pages = builder().build().expect("good templates");
    let site = folder.site(None);
    assert_eq!(told(&site, &folder), [""; 0]);
    let theme = Theme::default().with_site(Some(Arc::new(site)));
    for (name, variant, ctx) in samples::all() {
        let shown = pages.show(name, &Lang::De, &theme, &ctx).expect("a page");
        let (html, nonce) = (shown.html, shown.nonce);
        let place = format!("{name}, {variant}");
        assert!(
            nonce.is_some() && html.contains("<h6>Ours</h6>"),
            "{place}: {html}"
        );
        assert!(!html.contains("<script>alert"), "{place}: not escaped");
        let forms = html.matches("method=\"post\"").count();
        let tokens = html.matches("name=\"_xsrf\"").count();
        // What goes to a learning platform has none of ours.
        let forms = forms - usize::from(variant == "answer");
        assert_eq!(forms, tokens, "{place}: each form has its token");
    }
}

#[test]
fn blocks_and_variables_are_those_of_jupyterhub() {
    let folder = Folder::of(&[
        (
            "page.html",
            "{% extends 'templates/page.html' %}\
             {% block title %}{{ site_title }}{% endblock %}\
             {% block logo %}<img src=\"{{ static_url('external/logo.png') }}\">{% endblock %}\
             {% block footer %}{% include 'parts/foot.html' %}{% endblock %}",
        ),
        (
            "parts/foot.html",
            "<p>{{ links.items()|list|length }} {% if 'Abc'.lower().startswith('a') %}yes{% endif %}</p>",
        ),
        (
            "login.html",
            "{% extends \"templates/login.html\" %}\
             {% block login %}<aside>{{ login_error }} {{ nothing.at.all }} [{{ xsrf }}]</aside>{{ super() }}{% endblock %}\
             {% block username_input_attrs %}type=\"text\" name=\"username\" data-own{% endblock %}",
        ),
        (
            "home.html",
            "{% extends 'page.html' %}{% block main %}\
             <a id=\"start\" href=\"{{ url }}\">{% if not default_server.active %}Start{% endif %}</a>\
             {% for spawner in user.all_spawners(include_default=False) %}[{{ spawner.name }} \
             {{ user.server_url(spawner.name) }} \
             {% if user and spawner.last_activity %}{{ spawner.last_activity.isoformat() + 'Z' }}{% endif %}]{% endfor %}\
             {% if 'admin-ui' in parsed_scopes %}admin{% endif %} {{ prefix }} {{ base_url }} {{ user.name }}\
             {% endblock %}",
        ),
        (
            "404.html",
            "{% extends 'error.html' %}{% block error_detail %}No such moon {{ status_code }}{% endblock %}",
        ),
    ]);
    let site = || {
        let mut settings = folder.settings();
        let vars = json!({"site_title": "<Up>", "links": {"a": 1, "b": 2}, "xsrf": "planted"});
        settings.vars = vars.as_object().expect("a map").clone();
        let pages = builder().build().expect("good templates");
        let site = SiteTemplates::new(&pages, settings, None);
        assert_eq!(site.problems(), []);
        site
    };

    let (html, _) = show(site(), "login.html", &login());
    let has = |what: &str| assert!(html.contains(what), "{what} in {html}");
    has("<title>&lt;Up&gt; · Example</title>");
    has("<img src=\"/hub/static/external/logo.png\">");
    has("<p>2 yes</p>");
    has("<aside>User name and password don&#39;t fit together");
    has("data-own");
    has("[token&lt;1&gt;]</aside>");
    has("name=\"next\" value=\"/hub/spawn?a=1&amp;b=2\"");
    has("name=\"_xsrf\" value=\"token&lt;1&gt;\"");
    assert!(!html.contains("planted"));

    let ctx = HomePage {
        page: ada(),
        servers: vec![
            ServerRow {
                user: "ada".into(),
                ..ServerRow::default()
            },
            ServerRow {
                user: "ada".into(),
                server: "gpu".into(),
                last_activity: Some(1_795_000_000_123),
                ..ServerRow::default()
            },
        ],
        ..HomePage::default()
    };
    let (html, _) = show(site(), "home.html", &ctx);
    let has = |what: &str| assert!(html.contains(what), "{what} in {html}");
    has("<a id=\"start\" href=\"/hub/spawn/ada\">Start</a>");
    has("[gpu /user/ada/gpu/ 2026-11-18T11:06:40Z]");
    has(" / /hub/ ada");
    assert!(!html.contains("admin"), "{html}");

    let error = |status| ErrorPage {
        page: page(),
        status,
        ..ErrorPage::default()
    };
    let (html, _) = show(site(), "error.html", &error(404));
    assert!(html.contains("No such moon 404"), "{html}");
    let (html, _) = show(site(), "error.html", &error(403));
    assert!(
        html.contains("<title>&lt;Up&gt;") && !html.contains("moon"),
        "{html}"
    );
}

#[test]
fn the_form_of_an_old_template_logs_in() {
    // Before JupyterHub 4.1 there was no token in it.
    let folder = Folder::of(&[(
        "login.html",
        "{% extends 'page.html' %}{% block main %}\
         <form action=\"{{ login_url }}?next={{ next }}\" method=\"post\" role=\"form\">\
         <input name=\"username\" value=\"{{ username }}\"></form>{% endblock %}",
    )]);
    let (html, _) = show(folder.site(None), "login.html", &login());
    assert!(
        html.contains(
            "<form action=\"/hub/login?next=%2Fhub%2Fspawn%3Fa%3D1%26b%3D2\" method=\"post\" role=\"form\">\
             <input type=\"hidden\" name=\"_xsrf\" value=\"token&lt;1>\">"
        ),
        "{html}"
    );
}

#[test]
fn what_waits_goes_on_without_script_and_with_it() {
    let folder = Folder::of(&[(
        "spawn_pending.html",
        "<html><head></head><body><div id=\"progress-bar\"></div>{{ progress_url }}</body></html>",
    )]);
    let ctx = ProgressPage {
        page: ada(),
        server: ServerRow {
            user: "ada".into(),
            state: ServerState::Starting,
            ..ServerRow::default()
        },
        events_url: "/hub/api/users/ada/server/progress?_xsrf=1".into(),
        ..ProgressPage::default()
    };
    let (html, _) = show(folder.site(None), "progress.html", &ctx);
    let has = |what: &str| assert!(html.contains(what), "{what} in {html}");
    has("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript></head>");
    has("data-events=\"/hub/api/users/ada/server/progress?_xsrf=1\"");
    has("/classic.js\"></script>");
}

#[test]
fn a_broken_template_is_told_with_its_place_and_ours_is_shown() {
    let deep = "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}";
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let big = "{% for a in range(90) %}{{ 'x' * 90000 }}{% endfor %}";
    let check = |name: &str, text: &str, expect: &str| {
        let folder = Folder::of(&[(name, text)]);
        let site = folder.site(None);
        let found = told(&site, &folder);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(expect), "{text}: {found:?}");
        let (html, nonce) = show(site, "login.html", &login());
        assert!(html.contains("id=\"username\""), "{text}: {html}");
        assert!(nonce.is_some(), "the rest of the site stays");
    };
    check(
        "login.html",
        "a\n\n{% if %}",
        "login.html:3: syntax error: ",
    );
    check(
        "login.html",
        "{% block main %}",
        "login.html:1: syntax error: ",
    );
    check(
        "login.html",
        "x\n{% include 'nowhere.html' %}",
        "login.html:2: template not found: ",
    );
    check(
        "login.html",
        "{% extends 'nowhere.html' %}",
        "login.html:1: template not found: ",
    );
    check("login.html", "{{ 1 }}\n{{ x() }}", "login.html:2: ");
    check(
        "login.html",
        "{{ x|nofilter }}",
        "login.html:1: unknown filter: ",
    );
    check("login.html", "{% include 'login.html' %}", "login.html:1: ");
    check("login.html", "{% extends 'login.html' %}", "login.html:1: ");
    check("page.html", "{% extends 'page.html' %}", "page.html:1: ");
    check("login.html", deep, "login.html:1: ");
    check("login.html", endless, "login.html:1: it never ends");
    check("login.html", big, "login.html");
    check(
        "admin.html",
        "\n<div id='react-admin-hook'>",
        "admin.html:2: this page needs JupyterHub's own program",
    );
}

#[test]
fn a_bad_edit_keeps_what_was_good() {
    let good = "{% extends 'page.html' %}{% block main %}<i>good</i>{% endblock %}";
    let folder = Folder::of(&[("login.html", good)]);
    let first = folder.site(None);
    for bad in ["{% if %}", "{{ x|nofilter }}"] {
        folder.write("login.html", bad);
        let second = folder.site(Some(&first));
        assert_eq!(told(&second, &folder).len(), 1, "{bad}");
        let (html, _) = show(second, "login.html", &login());
        assert!(html.contains("<i>good</i>"), "{bad}: {html}");
    }
    folder.write("login.html", &good.replace("good", "better"));
    let third = folder.site(Some(&first));
    assert_eq!(told(&third, &folder), [""; 0]);
    let (html, _) = show(third, "login.html", &login());
    assert!(html.contains("<i>better</i>"), "{html}");
}

#[test]
fn what_fails_for_one_visitor_is_shown_by_ours_and_remembered() {
    // Nothing in the trial is called so.
    let text = "{% extends 'page.html' %}{% block main %}\n{% if username == 'bob' %}{{ x() }}{% endif %}{% endblock %}";
    let folder = Folder::of(&[("login.html", text)]);
    let pages = builder().build().expect("good templates");
    let site = Arc::new(folder.site(None));
    let theme = Theme::default().with_site(Some(Arc::clone(&site)));
    let mut ctx = login();
    let shown = pages
        .show("login.html", &Lang::De, &theme, &ctx)
        .expect("a page");
    assert!(shown.nonce.is_some() && site.troubles().is_empty());
    ctx.username = "bob".into();
    for _ in 0..2 {
        let shown = pages
            .show("login.html", &Lang::De, &theme, &ctx)
            .expect("a page");
        assert!(shown.nonce.is_none() && shown.html.contains("id=\"username\""));
    }
    let troubles = site.troubles();
    assert_eq!(troubles.len(), 1);
    assert_eq!(troubles[0].line, Some(2), "{}", troubles[0]);
}

#[test]
fn scripts_of_a_template_run_only_where_the_site_says_so() {
    let folder = Folder::of(&[(
        "login.html",
        "{% extends 'page.html' %}{% block main %}<script>one()</script><style>p{}</style>\
         {{ custom|safe }}{% endblock %}",
    )]);
    let render = |inline_scripts| {
        let mut settings = folder.settings();
        settings.inline_scripts = inline_scripts;
        let vars = json!({"custom": "<script>two()</script>"});
        settings.vars = vars.as_object().expect("a map").clone();
        let pages = builder().build().expect("good templates");
        let (html, nonce) = show(
            SiteTemplates::new(&pages, settings, None),
            "login.html",
            &login(),
        );
        (html, nonce.expect("it is the site's"))
    };
    let (html, nonce) = render(false);
    assert!(html.contains("<script>one()") && html.contains("<script>two()"));
    assert!(
        html.contains(&format!("<style nonce=\"{nonce}\">")),
        "{html}"
    );
    let (html, second) = render(true);
    assert_ne!(nonce, second);
    assert!(
        html.contains(&format!("<script nonce=\"{second}\">one()")),
        "{html}"
    );
    assert!(html.contains("<script>two()"), "a value is never marked");
}

#[test]
fn the_policy_of_a_site_names_its_hosts() {
    let policy = site_policy("abc", &["https://cdn.example.edu".into()], &[]);
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self' 'nonce-abc'; style-src 'self' 'nonce-abc' \
         https://cdn.example.edu; style-src-attr 'unsafe-inline'; font-src 'self' \
         https://cdn.example.edu; img-src 'self' data: https://cdn.example.edu; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
}
