//! The few pages that a proxy makes itself, in a language that the site adds: at the proxy in the hub's
//! process, and at one that runs apart.

use std::sync::Arc;
use std::time::Instant;

use lyceum_hub::{Settings, languages};
use lyceum_model::language::Language;
use lyceum_testkit::{Client, TestDb, TestFollower, TestHub};
use lyceum_web::cookie;
use lyceum_web::page::{Added, Theme};

use super::{PATIENCE, make_ready, quiet_hub};

async fn speak(hub: &TestHub, files: &[(&str, &str)]) {
    let english = languages::english();
    let read = files.iter().map(|(tag, text)| {
        let read = Language::read(tag, text, &english);
        assert_eq!(read.faults, [], "{tag}");
        Arc::new(read.language)
    });
    let read: Vec<Arc<Language>> = read.collect();
    let pages = lyceum_hub::pages::templates().build().expect("good");
    let mut settings = Settings::clone(&hub.hub.settings());
    settings.theme = Theme::default().with_added(Arc::new(Added::new(&pages, &read)));
    hub.hub.reload(settings).await;
}

fn french(client: Client) -> Client {
    client.with_header("accept-language", "fr-CH,fr;q=0.9,de;q=0.5")
}

/// Asks a proxy apart until its page says so.
async fn says(client: &Client, path: &str, status: u16, words: &str) -> String {
    let began = Instant::now();
    loop {
        let page = client.get(path).await;
        let text = page.text();
        if page.status.as_u16() == status && text.contains(words) {
            return text;
        }
        assert!(began.elapsed() < PATIENCE, "{words}: {text}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_proxies_are_in_the_languages_of_the_site() {
    let db = TestDb::sqlite().await;
    let hub = quiet_hub(db.db().clone()).await.with_user("ada").await;
    make_ready(&hub, "ada", "", "http://127.0.0.1:1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let apart = TestFollower::start_tuned(&[hub.hub_address()], Some(folder.path()), |_| {}).await;
    let ada = french(hub.signed_in("ada").await);
    let stranger = french(apart.client());
    // What nobody has translated is in the next language that is there.
    let page = ada.get("/user/ada/lab").await.expect(503).text();
    assert!(page.contains("Der Server antwortet nicht"), "{page}");
    says(
        &stranger,
        "/user/ada/lab",
        403,
        "Das dürfen Sie nicht öffnen",
    )
    .await;

    speak(
        &hub,
        &[(
            "fr",
            "proxy.no_server.title = Le serveur <script>ne répond pas</script>\n\
             proxy.denied.title = <b>Interdit</b> & \"fermé\"\n\
             proxy.no_hub.title = Rien ne répond\n",
        )],
    )
    .await;
    // In this process it holds when the new configuration does.
    let page = ada.get("/user/ada/lab").await.expect(503).text();
    assert!(page.contains("<html lang=\"fr\">"), "{page}");
    let title = "<h1>Le serveur &lt;script&gt;ne répond pas&lt;/script&gt;</h1>";
    assert!(page.contains(title), "{page}");
    assert!(
        page.contains("Go to your home page"),
        "a key that is missing: {page}"
    );
    let title = "<h1>&lt;b&gt;Interdit&lt;/b&gt; &amp; &quot;fermé&quot;</h1>";
    let page = says(&stranger, "/user/ada/lab", 403, title).await;
    assert!(page.contains("<html lang=\"fr\">"), "{page}");
    assert!(page.contains("Go to your home page"), "{page}");

    // What a reader chose at the foot of a page comes before what her browser asks for.
    let choose = async |language: &str| {
        let form = [("language", language)];
        ada.post_form("/hub/language", &form).await.expect(302);
        stranger.plant(cookie::LANGUAGE, language, "/");
    };
    for (language, here, there) in [
        (
            "de",
            "Der Server antwortet nicht",
            "Das dürfen Sie nicht öffnen",
        ),
        ("en", "The server does not answer", "You may not open this"),
        ("fr", "Le serveur", "Interdit"),
    ] {
        choose(language).await;
        let lang = format!("<html lang=\"{language}\">");
        let page = ada.get("/user/ada/lab").await.expect(503).text();
        assert!(page.contains(&lang) && page.contains(here), "{page}");
        let page = stranger.get("/user/ada/lab").await.expect(403).text();
        assert!(page.contains(&lang) && page.contains(there), "{page}");
    }

    // One that comes later is told at once.
    let later = TestFollower::start(&[hub.hub_address()]).await;
    says(&french(later.client()), "/user/ada/lab", 403, title).await;
    later.stop().await;

    speak(
        &hub,
        &[(
            "fr",
            "language.direction = rtl\nproxy.home = Accueil\nproxy.no_hub.title = Plus rien\n",
        )],
    )
    .await;
    let page = ada.get("/user/ada/lab").await.expect(503).text();
    assert!(page.contains("<html lang=\"fr\" dir=\"rtl\">"), "{page}");
    assert!(
        page.contains("Accueil") && page.contains("The server does not answer"),
        "{page}"
    );
    says(&stranger, "/user/ada/lab", 403, "Accueil").await;

    // Without a hub it stays so, also after the proxy's own restart.
    apart.stop().await;
    let gone = hub.hub_address();
    hub.stop().await;
    let alone = TestFollower::start_tuned(&[gone], Some(folder.path()), |_| {}).await;
    let page = says(
        &french(alone.client()),
        "/hub/home",
        503,
        "<h1>Plus rien</h1>",
    )
    .await;
    assert!(page.contains("dir=\"rtl\""), "{page}");
    alone.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_is_taken_away_is_no_longer_spoken() {
    let db = TestDb::sqlite().await;
    let hub = quiet_hub(db.db().clone()).await;
    make_ready(&hub, "ada", "", "http://127.0.0.1:1").await;
    speak(&hub, &[("fr", "proxy.denied.title = Interdit")]).await;
    let apart = TestFollower::start(&[hub.hub_address()]).await;
    let (here, there) = (french(hub.client()), french(apart.client()));
    for client in [&here, &there] {
        says(client, "/user/ada/lab", 403, "Interdit").await;
    }
    speak(&hub, &[]).await;
    for client in [&here, &there] {
        says(client, "/user/ada/lab", 403, "<html lang=\"de\">").await;
    }
    apart.stop().await;
    hub.stop().await;
}
