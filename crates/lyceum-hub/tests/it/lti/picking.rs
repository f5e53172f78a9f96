//! Somebody who teaches picks what a link at the platform opens.

use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::fake::lti::role;

use super::*;
use crate::kit::hidden_fields;

const SETTINGS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings";

/// The page where she picks, in her browser.
async fn asked(hub: &TestHub, platform: &FakePlatform) -> (Client, String) {
    let (browser, answer) = come(hub, platform, "/").await;
    let page = answer.expect(302).location().to_owned();
    assert!(page.starts_with("/hub/lti13/pick/"), "{page}");
    (browser, page)
}

async fn teaching(db: &TestDb) -> (FakePlatform, TestHub) {
    let platform = FakePlatform::start().await;
    let clock = Clock::manual(Clock::system().now());
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock).await;
    platform.register(&address(&hub, LAUNCH));
    hub.offer_platforms(Vec::new(), People::default()).await;
    let lti = Lti::new(config(&platform, ""), Clock::system()).expect("a platform");
    let lti = lti.with_tool(tool_of(db, &Clock::system()));
    hub.offer_platforms(vec![Arc::new(lti)], People::default())
        .await;
    let keys = hub.client().get("/hub/lti13/jwks").await.expect(200).json();
    platform.know_tool(keys);
    platform.say("roles", json!([role("Instructor")]));
    (platform, hub)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_picked_goes_back_signed() {
    for db in TestDb::both().await {
        let (platform, hub) = teaching(&db).await;
        let data = "of the platform\n\"<&>";
        let back = platform.ask_for_link(data);
        let (ada, page) = asked(&hub, &platform).await;
        assert_eq!(name_of(&ada).await, "ada");
        let form = ada.get(&page).await.expect(200).text();
        assert!(form.contains("You come from The Moodle"), "{form}");
        let files = address(&hub, "/hub/user-redirect/lab/tree/");
        for (fields, title, url) in [
            (
                [
                    ("what", "start"),
                    ("path", ""),
                    ("name", "Notebooks & more"),
                ],
                "Notebooks & more",
                address(&hub, "/hub/"),
            ),
            (
                [("what", "file"), ("path", "week 1/a.ipynb"), ("name", "")],
                "a.ipynb",
                format!("{files}week%201/a.ipynb"),
            ),
            // Whoever writes a path means it.
            (
                [("what", "start"), ("path", "week1"), ("name", " ")],
                "week1",
                format!("{files}week1"),
            ),
        ] {
            let answer = ada.post_form(&page, &fields).await.expect(200);
            let policy = header(&answer, "content-security-policy").to_owned();
            let text = answer.text().replace("&#x2f;", "/");
            let action = format!("action=\"{back}\"");
            assert!(
                text.contains(&action) && text.contains("data-answer"),
                "{text}"
            );
            // The form may go there, and nowhere else but here.
            let origin = platform.issuer().replace("/lms", "");
            let allowed = policy.split(';').find(|rule| rule.contains("form-action"));
            let allowed: Vec<&str> = allowed.expect("a rule").split_whitespace().collect();
            assert_eq!(allowed, ["form-action", "'self'", &origin], "{policy}");
            let fields = hidden_fields(&text);
            let token = fields.iter().find(|(name, _)| name == "JWT");
            let items = platform.take_link(&token.expect("an answer").1, data);
            let expect = json!({"type": "ltiResourceLink", "title": title, "url": url});
            assert_eq!(items, [expect]);
        }
        // Such a link opens that.
        platform.as_usual();
        let (_, answer) = come(&hub, &platform, "/hub/user-redirect/lab/tree/week%201/a").await;
        let to = answer.expect(302).location().to_owned();
        assert_eq!(to, "/hub/user-redirect/lab/tree/week%201/a");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_pick_who_teach_and_were_asked() {
    let db = TestDb::sqlite().await;
    let (platform, hub) = teaching(&db).await;
    platform.ask_for_link("x");
    for roles in [
        json!([role("Learner")]),
        json!([]),
        json!(["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"]),
    ] {
        platform.say("roles", roles.clone());
        let (client, answer) = come(&hub, &platform, "/").await;
        let page = answer.expect(403).text();
        assert!(page.contains("Only those who teach"), "{roles}: {page}");
        assert!(is_out(&client).await);
    }
    platform.say("roles", json!([role("ContentDeveloper")]));
    let (ada, page) = asked(&hub, &platform).await;
    // Another one, nobody, too late, and a page of nothing.
    platform.log_in("2", "eve");
    let (eve, _) = asked(&hub, &platform).await;
    eve.get(&page).await.expect(404);
    let fields = [("what", "start")];
    eve.post_form(&page, &fields).await.expect(404);
    assert_eq!(hub.client().get(&page).await.status, 302);
    ada.get("/hub/lti13/pick/nothing").await.expect(404);
    // From elsewhere nobody posts it.
    let bare = [("what".to_owned(), "start".to_owned())];
    let answer = post(&ada, &page, &bare).await;
    assert_eq!(answer.status, 403);
    for odd in ["../eve", "a/../../b", "https://evil.example/x", "a\\b"] {
        let fields = [("what", "file"), ("path", odd)];
        let text = ada.post_form(&page, &fields).await.expect(400).text();
        assert!(text.contains("no path below the home folder"), "{odd}");
    }
    hub.clock.advance(2 * 3_600_000);
    ada.get(&page).await.expect(404);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_the_question_and_the_latest_are_kept() {
    for db in TestDb::both().await {
        let (platform, hub) = teaching(&db).await;
        platform.ask_for_link("x");
        let (ada, first) = asked(&hub, &platform).await;
        let fields = [("what", "start")];
        ada.get(&first).await.expect(200);
        ada.post_form(&first, &fields).await.expect(200);
        // She may go back and pick something else for a while, which does not grow with each answer.
        hub.clock.advance(4 * 60_000);
        ada.post_form(&first, &fields).await.expect(200);
        hub.clock.advance(2 * 60_000);
        ada.get(&first).await.expect(404);
        platform.log_in("2", "ben");
        let (ben, bens) = asked(&hub, &platform).await;
        platform.log_in("1", "ada");
        let mut pages = Vec::new();
        for _ in 0..21 {
            hub.clock.advance(1_000);
            pages.push(asked(&hub, &platform).await);
        }
        let (her, oldest) = &pages[0];
        her.get(oldest).await.expect(404);
        for (her, page) in &pages[1..] {
            her.get(page).await.expect(200);
        }
        // Somebody else's are not counted with hers.
        ben.get(&bens).await.expect(200);
        hub.stop().await;
    }
}

/// Where the answer goes stands in what is signed, and is the platform's by TLS.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_pick_is_whole() {
    let db = TestDb::sqlite().await;
    let (platform, hub) = teaching(&db).await;
    let good = |more: Value| {
        let mut all = json!({
            "deep_link_return_url": format!("{}/picked", platform.issuer()),
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["window"],
        });
        for (key, value) in more.as_object().expect("keys") {
            all[key] = value.clone();
        }
        all
    };
    platform.ask_for_link("x");
    for odd in [
        Value::Null,
        json!({}),
        good(json!({"deep_link_return_url": "http://lms.example.edu/picked"})),
        good(json!({"deep_link_return_url": "javascript:alert(1)"})),
        good(json!({"deep_link_return_url": "/picked"})),
        good(json!({"accept_types": ["image"]})),
        good(json!({"data": 7})),
    ] {
        platform.replace(SETTINGS, odd.clone());
        let (client, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.status, 403, "{odd}");
        assert!(is_out(&client).await, "{odd}");
    }
    platform.replace(SETTINGS, good(json!({})));
    asked(&hub, &platform).await;
    hub.stop().await;
}
