//! Every page with real rows behind it, in both languages.

use std::sync::Arc;

use lyceum_auth::Dummy;
use lyceum_auth::config::People;
use lyceum_auth::dummy::DummyConfig;
use lyceum_hub::course_work::Mistake;
use lyceum_hub::launch::{FaultyFile, Holds};
use lyceum_model::clock::Millis;
use lyceum_model::secret::Secret;
use lyceum_testkit::fake::Behaviour;
use lyceum_testkit::{TestDb, TestHub};

use crate::kit::{program, start_server};

#[tokio::test(flavor = "multi_thread")]
async fn every_page_in_english_and_german() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db)
            .await
            .with_user("ada")
            .await
            .with_admin("root")
            .await;
        let env = start_server(&hub, "ada").await;
        start_server(&hub, "root").await;
        hub.spawner.behave(Behaviour::NotFound);
        program(&hub, "root")
            .await
            .post_json("/hub/api/users/root/servers/broken", &serde_json::json!({}))
            .await
            .expect(500);
        let authorize = format!(
            "/hub/api/oauth2/authorize?client_id={}&redirect_uri={}oauth_callback&response_type=code",
            env.client_id, env.prefix
        );
        for (accept, lang, log_in, home) in [
            ("en-GB,en;q=0.9", "en", "Log in", "My servers"),
            ("de-DE,de;q=0.9,en;q=0.5", "de", "Anmelden", "Meine Server"),
            ("fr", "en", "Log in", "My servers"),
        ] {
            let client = hub.client().with_header("accept-language", accept);
            let page = client.get("/hub/login").await.expect(200).text();
            assert!(page.contains(log_in), "{page}");
            client
                .log_in("root", lyceum_testkit::hub::PASSWORD)
                .await
                .expect(302);
            let client = client.with_header("accept", "text/html");
            for (path, status, word) in [
                ("/hub/home", 200, home),
                ("/hub/token", 200, "root"),
                ("/hub/admin", 200, "no-such-program"),
                ("/hub/admin/users?q=ad&sort=-last_activity", 200, "ada"),
                ("/hub/admin/users?offset=9000&limit=9000", 200, "root"),
                ("/hub/admin/user/ada", 200, "ada"),
                ("/hub/admin/servers", 200, "ada"),
                ("/hub/admin/servers?state=failed", 200, "no-such-program"),
                ("/hub/admin/tokens", 200, "ada"),
                ("/hub/admin/groups", 200, "root"),
                ("/hub/admin/services", 200, "root"),
                ("/hub/admin/activity", 200, "ada"),
                ("/hub/admin/configuration", 200, "root"),
                ("/hub/sessions", 200, "root"),
                ("/hub/logs/root", 200, "a line that the fake server wrote"),
                ("/hub/logs/root/broken", 200, "broken"),
                ("/hub/spawn-pending/root/broken", 500, "no-such-program"),
                ("/hub/user/root/nothing", 302, ""),
                ("/hub/user/ada/lab?redirects=4", 403, "ada"),
                ("/hub/no-such-page", 404, "404"),
                ("/hub/admin/users?limit=x", 400, "400"),
                (authorize.as_str(), 200, "/user/ada/"),
            ] {
                let answer = client.get(path).await.expect(status);
                if status == 302 {
                    continue;
                }
                let page = answer.text();
                assert!(page.contains(&format!("<html lang=\"{lang}\"")), "{path}");
                assert!(page.contains(word), "{path}: {page}");
                assert!(!page.contains("{{") && !page.contains("{%"), "{path}");
            }
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_edit_of_the_configuration_is_seen_by_administrators() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let problem = "lyceum.yaml:3:5: unknown key `usres`, did you mean `users`? <here>";
    let mut settings = (*hub.hub.settings()).clone();
    settings.config_state.generation = 7;
    settings.config_state.source = Some("lyceum.yaml".into());
    settings.config_state.problem = Some((hub.hub.now().0, problem.into()));
    settings.site_name = "Uni <Test>".into();
    hub.hub.reload(settings.clone()).await;
    let root = hub.signed_in("root").await;
    let page = root.get("/hub/admin").await.expect(200).text();
    assert!(
        page.contains("did you mean `users`? &lt;here&gt;"),
        "{page}"
    );
    assert!(page.contains("Uni &lt;Test&gt;"), "{page}");
    let ada = hub.signed_in("ada").await;
    ada.get("/hub/admin").await.expect(403);
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(!home.contains("usres"), "{home}");
    settings.config_state.problem = None;
    hub.hub.reload(settings).await;
    let page = root.get("/hub/admin").await.expect(200).text();
    assert!(!page.contains("usres"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_page_says_what_its_form_is_for() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let page = async || hub.client().get("/hub/login").await.expect(200).text();
    // With a single way in there is nothing to tell apart.
    let plain = page().await;
    assert!(!plain.contains("This form is for"), "{plain}");
    assert!(!plain.contains("for trying out"), "{plain}");
    for (password, says) in [
        (None, "under any user name, with any password"),
        (Some(Secret::new("open sesame")), "the same for all"),
    ] {
        let dummy = Dummy::new(DummyConfig {
            title: "Whoever you want to be".into(),
            password,
            anywhere: false,
        });
        hub.ask_first(vec![Arc::new(dummy)], People::default())
            .await;
        let page = page().await;
        assert!(page.contains(says), "{page}");
        assert!(
            page.contains("Whoever you want to be, Local account"),
            "{page}"
        );
        assert!(!page.contains("open sesame"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_course_files_are_seen_by_administrators() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db)
        .await
        .with_user("ada")
        .await
        .with_admin("root")
        .await;
    let root = hub.signed_in("root").await;
    let overview = root.get("/hub/admin").await.expect(200).text();
    assert!(overview.contains("All is well"), "{overview}");
    let page = root.get("/hub/admin/configuration").await.expect(200);
    let page = page.text();
    assert!(page.contains("Nothing is wrong in any of them."), "{page}");

    let files = (0..7).map(|at| FaultyFile {
        course: Some(format!("bio-{at}")),
        file: format!("/courses/bio-{at}.yaml"),
        mistakes: vec![Mistake {
            line: Some(12),
            words: "unknown key `peopel` <here>".into(),
        }],
        holds: Holds::Earlier(Some(Millis(1_795_248_000_000))),
    });
    hub.break_course_files(files.collect());
    let overview = root.get("/hub/admin").await.expect(200).text();
    assert!(!overview.contains("All is well"), "{overview}");
    assert!(overview.contains("/hub/admin/configuration"), "{overview}");
    let said = words(&overview);
    let one = "bio-4 · /courses/bio-4.yaml Line 12: unknown key `peopel` &lt;here&gt; The last good version of this file stays in force. It was written";
    assert!(said.contains(one), "{said}");
    assert!(!said.contains("bio-5"), "{said}");
    assert!(
        said.contains("In 2 more files something is wrong."),
        "{said}"
    );
    let page = root.get("/hub/admin/configuration").await.expect(200);
    let said = words(&page.text());
    assert!(said.contains("bio-0") && said.contains("bio-6"), "{said}");
    hub.break_course_files(vec![FaultyFile {
        course: None,
        file: "/courses".into(),
        mistakes: vec![Mistake {
            line: None,
            words: "is gone; put it back".into(),
        }],
        holds: Holds::AllEarlier,
    }]);
    for path in ["/hub/admin", "/hub/admin/configuration"] {
        let page = root.get(path).await.expect(200).text();
        assert!(!page.contains("All is well"), "{page}");
        let said = words(&page);
        let gone = "/courses is gone; put it back The last good versions of all course files stay in force.";
        assert!(said.contains(gone), "{path}: {said}");
    }
    let ada = hub.signed_in("ada").await;
    let home = ada.get("/hub/home").await.expect(200).text();
    assert!(!home.contains("peopel"), "{home}");
    hub.stop().await;
}

/// What stands between tags, in one line.
fn words(page: &str) -> String {
    let text: String = page
        .split('<')
        .filter_map(|part| part.split_once('>'))
        .map(|(_, text)| text)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_read_as_sentences() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await.with_user("ada").await;
    start_server(&hub, "ada").await;
    for (lang, since, refused, missing) in [
        (
            "en",
            "Ready since ",
            "A server name has lower-case letters, digits and single hyphens",
            "There is no such page The address is mistyped, or it leads to something that is gone or that you have no access to. Back home Status 404",
        ),
        (
            "de",
            "Bereit seit ",
            "Ein Servername ",
            "Diese Seite gibt es nicht Die Adresse ist falsch geschrieben, oder sie führt zu etwas, das es nicht mehr gibt oder worauf Sie keinen Zugriff haben. Zur Startseite Status 404",
        ),
    ] {
        let ada = hub.signed_in("ada").await;
        let ada = ada
            .with_header("accept-language", lang)
            .with_header("accept", "text/html");
        let page = words(&ada.get("/hub/logs/ada").await.expect(200).text());
        assert!(page.contains(since), "{page}");
        let page = ada.post_form("/hub/servers/add", &[("server", "GPU")]);
        let page = words(&page.await.expect(400).text());
        assert!(page.contains(refused), "{page}");
        for path in [
            "/hub/no-such-page",
            "/hub/logs/nobody",
            "/hub/static/nothing",
        ] {
            let page = words(&ada.get(path).await.expect(404).text());
            assert!(page.contains(missing), "{path}: {page}");
        }
    }
    hub.stop().await;
}
