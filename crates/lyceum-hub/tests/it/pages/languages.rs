//! A language that the site adds by a file, on whole pages; and how a reader chooses.

use std::sync::Arc;

use hyper::Method;
use lyceum_hub::Settings;
use lyceum_model::language::Language;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use lyceum_web::page::messages::{OWN_MESSAGES, english, template_files};
use lyceum_web::page::{Added, Theme};

use crate::kit::{assert_no_english, start_server};

/// What somebody might put into a text.
const EVIL: &str = "<script>alert(1)</script>";

/// All our texts with a word before each, so that they can be told from English.
fn whole_file() -> String {
    let mut file = String::from("language.name = Français\nlanguage.thousands = space\n");
    for line in template_files().into_iter().flat_map(str::lines) {
        let Some((key, text)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let text = match key {
            "time.weekdays" | "time.months" => text
                .split(' ')
                .map(|word| format!("fr{word} "))
                .collect::<String>()
                .trim()
                .to_owned(),
            _ => in_pieces(text),
        };
        file.push_str(&format!("{key} = {text}\n"));
    }
    file
}

/// `Log in to {site}` as `~Log~in~to~ {site}`: no two English words side by side.
fn in_pieces(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.contains('{') {
        true => word.to_owned(),
        false => format!("~{word}~"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn theme(languages: &[(&str, &str)]) -> Theme {
    let english = english();
    let languages: Vec<Arc<Language>> = languages
        .iter()
        .map(|(tag, text)| {
            let read = Language::read(tag, text, &english);
            assert_eq!(read.faults, [], "{tag}");
            Arc::new(read.language)
        })
        .collect();
    let pages = lyceum_hub::pages::templates().build().expect("good");
    Theme::default().with_added(Arc::new(Added::new(&pages, &languages)))
}

async fn hub(languages: &[(&str, &str)]) -> TestHub {
    let db = TestDb::sqlite().await;
    let theme = theme(languages);
    let tune = |settings: &mut Settings, _: &mut _| settings.theme = theme;
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune).await;
    hub.with_user("ada").await.with_admin("root").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_of_the_sites_is_spoken_on_whole_pages() {
    let file = whole_file();
    let hub = hub(&[("fr", &file)]).await;
    let french = |client: lyceum_testkit::Client| {
        client
            .with_header("accept-language", "fr-CH,fr;q=0.9,en;q=0.5")
            .with_header("accept", "text/html,*/*;q=0.8")
    };
    let page = french(hub.client())
        .get("/hub/login")
        .await
        .expect(200)
        .text();
    assert!(page.contains("<html lang=\"fr\">"), "{page}");
    assert!(page.contains("~Log~ ~in~ ~to~ Lyceum"), "{page}");
    assert_no_english(&page);
    start_server(&hub, "ada").await;
    let ada = french(hub.signed_in("ada").await);
    let root = french(hub.signed_in("root").await);
    for (client, paths) in [
        (
            &ada,
            &[
                "/hub/home",
                "/hub/token",
                "/hub/sessions",
                "/hub/no/such/page",
            ][..],
        ),
        (
            &root,
            &["/hub/admin", "/hub/admin/users", "/hub/admin/servers"],
        ),
    ] {
        for path in paths {
            let page = client.get(path).await.text();
            assert!(page.contains("<html lang=\"fr\">"), "{path}: {page}");
            assert_no_english(&page);
        }
    }
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(home.contains(">fr"), "days of the week: {home}");
    // What handlers say, and what a start says to a page that watches.
    let page = ada.post_form("/hub/servers/add", &[("server", "")]).await;
    assert_no_english(&page.expect(400).text());
    let told = ada
        .get("/hub/api/users/ada/server/progress?lang=fr")
        .await
        .expect(200)
        .text();
    assert!(told.contains("\"words\":\"~"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_lacks_is_english_and_what_it_says_is_text() {
    let file = format!(
        "language.name = {EVIL}\nlanguage.direction = rtl\nlogin.submit = {EVIL}\n\
         time.full = {EVIL} {{weekday}} {{day}} {{month}} {{year}} {{clock}} {{zone}}\nlifetime.never = {EVIL}"
    );
    let hub = hub(&[("ar", &file)]).await;
    let client = hub.client().with_header("accept-language", "ar");
    let page = client.get("/hub/login").await.expect(200).text();
    assert!(page.contains("<html lang=\"ar\" dir=\"rtl\">"), "{page}");
    assert!(page.contains("Log in to Lyceum"), "{page}");
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    let ada = hub
        .signed_in("ada")
        .await
        .with_header("accept-language", "ar");
    start_server(&hub, "ada").await;
    for path in ["/hub/login", "/hub/home", "/hub/token", "/hub/sessions"] {
        let page = ada.get(path).await.text();
        assert!(!page.contains(EVIL), "{path}: {page}");
    }
    // Others read as before.
    let page = hub.client().get("/hub/login").await.expect(200).text();
    assert!(page.contains("<html lang=\"en\">"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_chooses_at_the_foot_of_a_page() {
    let hub = hub(&[("fr", "language.name = Français\nlogin.submit = Connexion")]).await;
    let browser = hub.client().with_header("accept-language", "en");
    let page = browser
        .get("/hub/login?next=%2Fhub%2Ftoken")
        .await
        .expect(200)
        .text();
    let offered: Vec<&str> = page
        .split("name=\"language\" value=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(offered, ["en", "de", "fr"], "{page}");
    assert!(
        page.contains("lang=\"en\" dir=\"ltr\" aria-current=\"true\">English<"),
        "{page}"
    );

    let choose = |language: &str, from: &str| {
        let headers = [
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
            ("referer".to_owned(), from.to_owned()),
        ];
        let (browser, body) = (&browser, format!("language={language}"));
        async move {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let body = body.into_bytes().into();
            browser
                .send(Method::POST, "/hub/language", &headers, body)
                .await
                .expect(302)
        }
    };
    let here = format!("http://{}/hub/login?next=%2Fhub%2Ftoken", hub.address());
    let back = choose("fr", &here).await;
    assert_eq!(back.location(), "/hub/login?next=%2Fhub%2Ftoken");
    let page = browser.get("/hub/login").await.expect(200).text();
    assert!(
        page.contains("<html lang=\"fr\">") && page.contains("Connexion"),
        "{page}"
    );
    // Nothing leads elsewhere, and a page that is the answer to a form is not asked for.
    for from in [
        "https://evil.example/hub/login",
        "",
        "/hub/token/new",
        "/hub/language",
    ] {
        assert_eq!(choose("de", from).await.location(), "/hub/home", "{from}");
    }
    assert!(
        browser
            .get("/hub/login")
            .await
            .text()
            .contains("<html lang=\"de\">")
    );
    // What is not there leaves it as it is; when it is taken away the browser's wish counts again.
    choose("xx", "").await;
    assert!(
        browser
            .get("/hub/login")
            .await
            .text()
            .contains("<html lang=\"de\">")
    );
    choose("fr", "").await;
    let mut settings = Settings::clone(&hub.hub.settings());
    settings.theme = theme(&[("fr", "login.submit = Entrer")]);
    hub.hub.reload(settings.clone()).await;
    assert!(
        browser.get("/hub/login").await.text().contains("Entrer"),
        "read anew"
    );
    settings.theme = Theme::default();
    hub.hub.reload(settings).await;
    assert!(
        browser
            .get("/hub/login")
            .await
            .text()
            .contains("<html lang=\"en\">")
    );
}

/// German is complete, so the file is held against English alone.
#[test]
fn the_whole_file_is_good_by_our_own_rules() {
    let read = Language::read("fr", &whole_file(), &english());
    assert_eq!((read.faults, read.missing), (vec![], vec![]));
    assert_eq!(OWN_MESSAGES[0].0.as_str(), "en");
}
