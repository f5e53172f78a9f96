//! Templates as universities write them for their JupyterHubs, on a hub that works; what the
//! operator tells everybody; maintenance.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hyper::Method;
use lyceum_hub::Settings;
use lyceum_hub::notices::{Announcement, Audience, Maintenance, Notices, Window, Words};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::who::{CourseRole, Forms, Who};
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::page::plain::Document;
use lyceum_web::page::theme::FooterLink;
use lyceum_web::page::{Logo, SiteFiles, SiteSettings, SiteTemplates, Theme};
use serde_json::json;

use crate::grants::role;

/// Where the test themes are, for the stories too.
fn themes() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/themes")
}

fn themed(name: &str, vars: &serde_json::Value, settings: &mut Settings) {
    let folder = themes().join(name);
    let (files, problems) = SiteFiles::read(&[folder.join("templates")]);
    assert_eq!(problems, []);
    let pages = lyceum_hub::pages::templates().build().expect("good");
    let site = SiteSettings {
        files,
        vars: vars.as_object().expect("a map").clone(),
        hosts: vec!["https://cdn.example.edu".into()],
        ..SiteSettings::default()
    };
    let site = SiteTemplates::new(&pages, site, None);
    assert_eq!(site.problems(), []);
    settings.theme = Theme::default()
        .with_site(Some(Arc::new(site)))
        .with_files(Some(folder.join("static")));
}

async fn hub(tune: impl FnOnce(&mut Settings)) -> TestHub {
    let db = TestDb::sqlite().await;
    let tune = |settings: &mut Settings, _: &mut _| tune(settings);
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    hub.with_user("ada").await.with_admin("root").await
}

fn policy(answer: &Answer) -> String {
    let policy = answer.headers.get("content-security-policy");
    policy.expect("a policy").to_str().expect("text").to_owned()
}

/// What a browser would send of the first form of a page.
fn form_of(html: &str) -> (String, Vec<(String, String)>) {
    let form = html.split("<form").nth(1).expect("a form");
    let form = form.split("</form").next().expect("it ends");
    let value = |tag: &str, name: &str| {
        let from = tag.split(&format!("{name}=\"")).nth(1)?;
        Some(from.split('"').next()?.replace("&amp;", "&"))
    };
    let fields = form
        .split("<input")
        .skip(1)
        .filter_map(|tag| Some((value(tag, "name")?, value(tag, "value").unwrap_or_default())));
    let action = value(form, "action").expect("an action");
    (action, fields.collect())
}

async fn log_in_by_form(client: &Client, page: &str) -> Answer {
    let html = client.get(page).await.expect(200).text();
    let (action, mut fields) = form_of(&html);
    for (name, value) in &mut fields {
        match name.as_str() {
            "username" => *value = "ada".into(),
            "password" => *value = lyceum_testkit::hub::PASSWORD.into(),
            _ => {}
        }
    }
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&fields)
        .finish();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    client
        .send(Method::POST, &action, &headers, body.into())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_that_extends_works_from_log_in_to_progress() {
    let vars = json!({"announcement": "<b>New</b> term", "faculty": "Sums & Co"});
    let hub = hub(|settings| themed("extending", &vars, settings)).await;
    let client = hub.client();
    let answer = client
        .get("/hub/login?next=%2Fhub%2Ftoken")
        .await
        .expect(200);
    let html = answer.text();
    assert!(
        html.contains("<b>New</b> term"),
        "the site's own markup: {html}"
    );
    assert!(html.contains("Sums &amp; Co"), "{html}");
    let nonce = html.split("<style nonce=\"").nth(1).expect("a style");
    let nonce = nonce.split('"').next().expect("it ends");
    let policy = policy(&answer);
    assert!(
        policy.contains(&format!("script-src 'self' 'nonce-{nonce}';")),
        "{policy}"
    );
    assert!(
        policy.contains("img-src 'self' data: https://cdn.example.edu"),
        "{policy}"
    );
    assert!(policy.contains("default-src 'none'") && policy.contains("base-uri 'none'"));
    let again = client.get("/hub/login").await.text();
    assert!(!again.contains(nonce), "each page has a nonce of its own");

    let answer = log_in_by_form(&client, "/hub/login?next=%2Fhub%2Ftoken").await;
    assert_eq!(
        (answer.status.as_u16(), answer.location()),
        (302, "/hub/token")
    );
    let home = client.get("/hub/home").await.expect(200).text();
    assert!(
        home.contains("Sums &amp; Co") && home.contains("Signals and Systems"),
        "{home}"
    );
    let missing = client.get("/hub/nowhere").await;
    assert_eq!(missing.status.as_u16(), 404);
    let visitor = client.with_header("accept", "text/html");
    let missing = visitor.get("/hub/nowhere").await.expect(404).text();
    assert!(missing.contains("Nothing grows here"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_that_replaces_everything_works_from_log_in_to_progress() {
    let hub = hub(|settings| {
        themed(
            "replacing",
            &json!({"announcement_home": "Welcome"}),
            settings,
        );
        settings.notices = notices();
    })
    .await;
    hub.spawner.behave(Behaviour::NeverReady);
    let client = hub.client().with_header("accept", "text/html");
    let answer = log_in_by_form(&client, "/hub/login?next=%2Fhub%2Fhome").await;
    assert_eq!(
        (answer.status.as_u16(), answer.location()),
        (302, "/hub/home")
    );
    let home = client.get("/hub/home").await.expect(200).text();
    assert!(home.contains("href=\"/hub/spawn/ada\""), "{home}");
    assert!(home.contains("Welcome"), "{home}");
    assert!(
        home.contains("<a href=\"https://news.example.edu\">news</a>"),
        "our notice: {home}"
    );
    let start = client.get("/hub/spawn/ada").await;
    assert_eq!(
        (start.status.as_u16(), start.location()),
        (302, "/hub/spawn-pending/ada")
    );
    let pending = client
        .get("/hub/spawn-pending/ada")
        .await
        .expect(200)
        .text();
    assert!(pending.contains("id=\"progress-bar\""), "{pending}");
    assert!(
        pending.contains("data-events=\"/hub/api/users/ada/server/progress"),
        "{pending}"
    );
    assert!(pending.contains("http-equiv=\"refresh\""), "{pending}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sites_files_are_served_and_ours_stay() {
    let hub = hub(|settings| {
        themed("replacing", &json!({}), settings);
        let theme = std::mem::take(&mut settings.theme);
        settings.theme = theme.with_logo(Some(Logo {
            content_type: "image/svg+xml",
            bytes: b"<svg/>".to_vec(),
        }));
    })
    .await;
    let client = hub.client();
    for path in [
        "/hub/static/site/external/theme.css",
        "/hub/static/external/theme.css",
    ] {
        let answer = client.get(path).await.expect(200);
        assert!(answer.text().contains(".uni-bar"), "{path}");
        assert_eq!(answer.headers["content-type"], "text/css; charset=utf-8");
        assert!(policy(&answer).contains("sandbox"));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    let theirs = client
        .get("/hub/static/css/style.min.css")
        .await
        .expect(200);
    assert!(theirs.text().contains(".btn-jupyter"));
    let logo = client.get("/hub/logo").await.expect(200);
    assert_eq!(
        (logo.text().as_str(), &logo.headers["content-type"]),
        ("<svg/>", &"image/svg+xml".parse().expect("a header"))
    );
    for path in [
        "/hub/static/site/../templates/page.html",
        "/hub/static/site/%2e%2e/templates/page.html",
        "/hub/static/site/..%2ftemplates/page.html",
        "/hub/static/nothing.css",
    ] {
        let answer = client.get(path).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_what_fails_while_pages_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    // Fails only for whoever is called ada.
    let text = "{% extends 'page.html' %}{% block main %}\n{% if user.name == 'root' %}{{ nothing() }}{% endif %}{% endblock %}";
    fs::write(folder.path().join("home.html"), text).expect("written");
    let hub = hub(|settings| {
        let (files, _) = SiteFiles::read(&[folder.path().to_owned()]);
        let pages = lyceum_hub::pages::templates().build().expect("good");
        let site = SiteSettings {
            files,
            ..SiteSettings::default()
        };
        let site = SiteTemplates::new(&pages, site, None);
        assert_eq!(site.problems(), []);
        settings.theme = Theme::default().with_site(Some(Arc::new(site)));
    })
    .await;
    let root = hub.signed_in("root").await;
    let home = root.get("/hub/home").await.expect(200).text();
    assert!(home.contains("Signals and Systems"), "ours: {home}");
    let admin = root.get("/hub/admin").await.expect(200).text();
    assert!(admin.contains("home.html:2: "), "{admin}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_can_have_a_page_for_those_who_have_left() {
    let plain = hub(|_| {}).await;
    let ada = plain.signed_in("ada").await;
    let out = ada.post_form("/hub/logout", &[]).await.expect(302);
    assert_eq!(out.location(), "/hub/login");

    let folder = tempfile::tempdir().expect("a folder");
    for (text, said) in [
        (
            "{% extends 'page.html' %}{% block main %}<i>Goodbye</i>{% endblock %}",
            "<i>Goodbye</i>",
        ),
        (
            "{% extends 'templates/logout.html' %}",
            "You are logged out",
        ),
    ] {
        fs::write(folder.path().join("logout.html"), text).expect("written");
        let hub = hub(|settings| {
            let (files, _) = SiteFiles::read(&[folder.path().to_owned()]);
            let pages = lyceum_hub::pages::templates().build().expect("good");
            let site = SiteSettings {
                files,
                ..SiteSettings::default()
            };
            let site = SiteTemplates::new(&pages, site, None);
            settings.theme = Theme::default().with_site(Some(Arc::new(site)));
        })
        .await;
        let ada = hub.signed_in("ada").await;
        let out = ada.post_form("/hub/logout", &[]).await.expect(200);
        let page = out.text();
        assert!(page.contains(said) && !page.contains("Log out"), "{page}");
        let home = ada.get("/hub/home").await.expect(302);
        assert!(
            home.location().starts_with("/hub/login"),
            "the session is over"
        );
    }
}

fn some(text: &str) -> Audience {
    Audience::Some(Who::parse(text, Forms::All).expect("good"))
}

fn notices() -> Notices {
    let words = |en: &str, de: &str| {
        Words([("en".into(), en.to_owned()), ("de".into(), de.to_owned())].into())
    };
    let announcement = |words, audience| Announcement {
        words,
        window: Window::default(),
        audience: vec![audience],
        warning: false,
    };
    Notices {
        announcements: vec![
            announcement(
                words("[news](https://news.example.edu)", "Neues <b>"),
                Audience::All,
            ),
            announcement(words("Only before", "Nur davor"), Audience::LogIn),
            announcement(words("Only biology", ""), some("group:bio")),
            announcement(words("Room changed", "Raum"), some("course:signals")),
            announcement(words("For teachers", ""), some("course:signals/teacher")),
        ],
        documents: [("privacy", Document::read("# Data\n\nWe keep names."))].into(),
        ..Notices::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_are_for_those_they_are_for() {
    let hub = hub(|settings| {
        settings.notices = notices();
        let theme = std::mem::take(&mut settings.theme);
        settings.theme = theme.with_links(vec![
            FooterLink {
                kind: "help",
                url: "mailto:help@example.edu".into(),
                own: false,
            },
            FooterLink {
                kind: "privacy",
                url: "/hub/pages/privacy".into(),
                own: true,
            },
        ]);
    })
    .await;
    let login = hub.client().get("/hub/login").await.expect(200).text();
    assert!(
        login.contains("<a href=\"https://news.example.edu\">news</a>"),
        "{login}"
    );
    assert!(
        login.contains("Only before") && !login.contains("Only biology"),
        "{login}"
    );
    assert!(
        login.contains("<a href=\"mailto:help@example.edu\">Help</a>"),
        "{login}"
    );
    let ada = hub
        .signed_in("ada")
        .await
        .with_header("accept-language", "de");
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(
        home.contains("Neues &lt;b&gt;") && !home.contains("Nur davor"),
        "{home}"
    );
    assert!(!home.contains("Raum"), "not hers: {home}");
    hub.put_in_course("ada", "signals", CourseRole::Student);
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(
        home.contains("Raum") && !home.contains("For teachers"),
        "{home}"
    );
    let page = hub
        .client()
        .get("/hub/pages/privacy")
        .await
        .expect(200)
        .text();
    assert!(
        page.contains("<h1>Data</h1>") && page.contains("We keep names."),
        "{page}"
    );
    hub.client().get("/hub/pages/terms").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_holds_up_new_comers_and_starts_and_nothing_else() {
    let clock = Clock::manual(Millis(1_000_000));
    let db = TestDb::sqlite().await;
    let hub = TestHub::start_tuned_at(
        db.db().clone(),
        FakeSpawner::default(),
        clock.clone(),
        |settings, _| {
            role(
                &mut settings.grants,
                "operators",
                &["admin:servers"],
                &["ops"],
            );
            settings.notices.maintenance = Some(Maintenance {
                from: Millis(2_000_000),
                until: Some(Millis(2_090_500)),
                words: Words([("en".into(), "New disks".into())].into()),
            });
            settings.notices.let_in = vec![some("tess")];
        },
    )
    .await
    .with_user("ada")
    .await
    .with_user("tess")
    .await
    .with_user("ops")
    .await
    .with_admin("root")
    .await;
    let ada = hub.signed_in("ada").await;
    crate::kit::start_server(&hub, "ada").await;
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(
        home.contains("Maintenance begins") && home.contains("New disks"),
        "{home}"
    );

    clock.advance(1_000_000);
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(home.contains("Maintenance is under way"), "{home}");
    // What runs goes on, and can be stopped.
    ada.get("/user/ada/").await.expect(200);
    let refused = |answer: Answer| {
        assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
        assert_eq!(answer.headers["retry-after"], "91");
    };
    let token = hub.token("ada").await;
    let program = hub.client().with_token(&token);
    let answer = program
        .post_json("/hub/api/users/ada/servers/gpu", &json!({}))
        .await;
    assert!(
        answer.json()["message"]
            .as_str()
            .expect("words")
            .contains("Maintenance")
    );
    refused(answer);
    let (_, page) = ada.visit("/hub/spawn/ada/gpu").await;
    refused(page);
    let other = hub.client();
    refused(other.log_in("ada", lyceum_testkit::hub::PASSWORD).await);
    // Who is refused reads one thing about when to come back.
    let browser = hub.client().with_header("accept", "text/html");
    let page = browser.log_in("ada", lyceum_testkit::hub::PASSWORD).await;
    let page = page.expect(503).text();
    assert!(page.contains("Come back after its end"), "{page}");
    assert!(!page.contains("in a minute"), "{page}");
    // A password gets no token either, and administrators by a role are let in.
    let auth = json!({"auth": {"username": "ada", "password": lyceum_testkit::hub::PASSWORD}});
    refused(other.post_json("/hub/api/users/ada/tokens", &auth).await);
    for name in ["tess", "root", "ops"] {
        let her = hub.signed_in(name).await;
        let home = her.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Meanwhile you can log in"), "{home}");
    }
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(
        home.contains("Meanwhile only administrators") && !home.contains("Meanwhile you"),
        "{home}"
    );
    let root = hub.client().with_token(&hub.token("root").await);
    root.post_json("/hub/api/users/tess/server", &json!({}))
        .await
        .expect(201);

    clock.advance(90_500);
    hub.signed_in("ada").await;
    program
        .post_json("/hub/api/users/ada/servers/gpu", &json!({}))
        .await
        .expect(201);
}
