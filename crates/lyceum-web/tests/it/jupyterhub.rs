//! A site's templates beside those of a real JupyterHub, which are read where it is installed: names
//! of blocks and variables are there, and they can be shown in place of ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_web::page::{Lang, SiteFiles, SiteSettings, SiteTemplates, Theme};
use minijinja::Environment;

use super::{builder, samples};

/// Ours, where they have other names.
const OURS: [(&str, &str); 5] = [
    ("404.html", "error.html"),
    ("accept-share.html", "accept_share.html"),
    ("page.html", "base.html"),
    ("spawn_pending.html", "progress.html"),
    ("stop_pending.html", "stopping.html"),
];

/// Names that stand free in their templates and come from no hub.
const NOT_GIVEN: [(&str, &str); 9] = [
    ("announcement", "a site's own variable"),
    ("announcement_home", "a site's own variable"),
    ("announcement_login", "a site's own variable"),
    ("announcement_logout", "a site's own variable"),
    ("announcement_spawn", "a site's own variable"),
    ("named_spawners", "set in the template itself"),
    ("client", "of a loop around the block"),
    ("service", "of a loop around the block"),
    ("token", "of a loop around the block"),
];

fn their_folder() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let environment = std::env::var_os("LYCEUM_TEST_JUPYTER_ENV");
    let environment = environment.map_or_else(|| top.join(".cache/jupyter-env"), PathBuf::from);
    let folder = environment.join("share/jupyterhub/templates");
    assert!(
        folder.is_dir(),
        "{} is not there: run `cargo xtask setup` once",
        folder.display()
    );
    folder
}

/// Their templates by their names.
fn theirs() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(their_folder())
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "html"))
        .map(|path| {
            let name = path
                .file_name()
                .expect("a file")
                .to_string_lossy()
                .into_owned();
            (name, fs::read_to_string(&path).expect("text"))
        })
        .collect();
    found.sort();
    assert!(found.len() >= 14, "{found:?}");
    found
}

fn our_name(theirs: &str) -> &str {
    let other = OURS.iter().find(|(name, _)| *name == theirs);
    other.map_or(theirs, |(_, ours)| ours)
}

fn our_text(name: &str) -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    ["lyceum-web/templates", "lyceum-hub/templates"]
        .iter()
        .find_map(|folder| fs::read_to_string(crates.join(folder).join(name)).ok())
        .unwrap_or_else(|| panic!("there is no template {name}"))
}

fn blocks(text: &str) -> BTreeSet<&str> {
    let tags = text.split("{%").skip(1);
    let words = tags.map(|tag| tag.trim_start_matches('-').split_whitespace());
    words
        .filter_map(|mut words| (words.next() == Some("block")).then(|| words.next())?)
        .collect()
}

#[test]
fn each_block_of_jupyterhub_is_there() {
    let frame = our_text("base.html");
    let mut missing = Vec::new();
    let mut seen = 0;
    for (name, text) in theirs() {
        let own = our_text(our_name(&name));
        for block in blocks(&text) {
            seen += 1;
            if !blocks(&own).contains(block) && !blocks(&frame).contains(block) {
                missing.push(format!("{name}: {block}"));
            }
        }
    }
    assert!(seen > 50, "{seen} blocks only");
    assert_eq!(missing, [""; 0]);
}

#[test]
fn each_variable_of_jupyterhub_is_given() {
    let environment = Environment::new();
    let free = |text: &str| -> BTreeSet<String> {
        let template = environment.template_from_str(text).expect("a template");
        let given = |name: &String| !NOT_GIVEN.iter().any(|(other, _)| other == name);
        let names = template.undeclared_variables(false).into_iter();
        names.filter(given).collect()
    };
    let frame = theirs().into_iter().find(|(name, _)| name == "page.html");
    let of_frame = free(&frame.expect("a frame").1);
    assert!(of_frame.contains("parsed_scopes"), "{of_frame:?}");
    let pages = builder().build().expect("good templates");
    let mut looked_at = BTreeSet::new();
    for (name, text) in theirs() {
        let own = our_name(&name);
        let Some((_, _, ctx)) = samples::all().into_iter().find(|(page, _, _)| *page == own) else {
            assert_eq!(name, "page.html", "a sample for {own}");
            continue;
        };
        let names: BTreeSet<String> = free(&text).union(&of_frame).cloned().collect();
        let lines = names
            .iter()
            .map(|name| format!("{{% if {name} is not defined %}}[{name}]{{% endif %}}"));
        let asking: String = lines.collect();
        let folder = tempfile::tempdir().expect("a folder");
        let file = if name == "404.html" {
            "error.html"
        } else {
            name.as_str()
        };
        fs::write(folder.path().join(file), format!("<i>asked</i>{asking}")).expect("written");
        let site = site_of(&pages, folder.path());
        assert_eq!(site.problems(), [], "{name}");
        let theme = Theme::default().with_site(Some(Arc::new(site)));
        let html = pages
            .show(own, &Lang::En, &theme, &ctx)
            .expect("a page")
            .html;
        assert!(html.contains("<i>asked</i>"), "{name}: {html}");
        assert!(
            !html.contains('['),
            "{name} lacks what is in brackets: {html}"
        );
        looked_at.insert(name);
    }
    assert!(looked_at.len() >= 13, "{looked_at:?}");
}

fn site_of(pages: &lyceum_web::page::Pages, folder: &Path) -> SiteTemplates {
    let (files, problems) = SiteFiles::read(&[folder.to_owned()]);
    assert_eq!(problems, []);
    let settings = SiteSettings {
        files,
        ..SiteSettings::default()
    };
    SiteTemplates::new(pages, settings, None)
}

/// All but the administrators' page, which is a program of its own.
#[test]
fn the_templates_of_jupyterhub_itself_can_be_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in theirs() {
        if name != "admin.html" {
            fs::write(folder.path().join(name), text).expect("written");
        }
    }
    let pages = builder().build().expect("good templates");
    let site = Arc::new(site_of(&pages, folder.path()));
    assert_eq!(site.problems(), []);
    let theme = Theme::default().with_site(Some(Arc::clone(&site)));
    for (name, variant, ctx) in samples::all() {
        let html = pages
            .show(name, &Lang::En, &theme, &ctx)
            .expect("a page")
            .html;
        assert!(
            html.contains("jupyterhub-logo"),
            "{name}, {variant}: {html}"
        );
        assert!(
            !html.contains("<script>alert"),
            "{name}, {variant}: not escaped"
        );
    }
    assert_eq!(site.troubles(), []);
}

#[test]
fn rows_of_tokens_and_what_one_may_do_are_as_in_jupyterhub() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("token.html"),
        "{% extends 'templates/token.html' %}\
         {% block token_row %}<td>T {{ token.note }} {{ token.api_id }} {{ token.created.isoformat() }}</td>{% endblock %}\
         {% block client_row %}<td>C {{ client['description'] }} \
         {{ client.tokens | sum(attribute='scopes', start=[]) | unique | sort | join(' ') }}</td>{% endblock %}\
         {% block footer %}{{ parsed_scopes['admin-ui'] }} {{ parsed_scopes['read:users'] }} \
         {{ parsed_scopes['access:servers'].user[0] }} {{ parsed_scopes['access:servers'].server[0] }} \
         {{ 'tokens' in parsed_scopes }} {{ 'access:servers!user=ada' in expanded_scopes }}{% endblock %}",
    )
    .expect("written");
    let pages = builder().build().expect("good templates");
    let site = site_of(&pages, folder.path());
    assert_eq!(site.problems(), []);
    let theme = Theme::default().with_site(Some(Arc::new(site)));
    let (_, _, ctx) = samples::all()
        .into_iter()
        .find(|(name, _, _)| *name == "token.html")
        .expect("a sample");
    let html = pages
        .show("token.html", &Lang::En, &theme, &ctx)
        .expect("a page")
        .html;
    let has = |what: &str| assert!(html.contains(what), "{what} in {html}");
    has("<td>T Backup script a1 2026-");
    has("<td>C OAuth for /user/ada/ ");
    has(" access:servers!user=ada custom:grades:read</td>");
    has("True True ada eve/gpu False True");
}
