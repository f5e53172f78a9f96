//! Markup in what people write, in what configurations say and in where links want to go on, on
//! every page that shows it: it is text there. The log-in page has a test of its own beside it.

use std::time::Duration;

use hyper::Method;
use lyceum_hub::profiles::{Choice, Pattern, Profile, ProfileOption, Profiles, Unlisted};
use lyceum_testkit::client::Answer;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb};
use serde_json::json;

use crate::kit::{hidden_fields, program, quoted, send_json, until};
use crate::shares::{tuned, with_user};

/// Ends an attribute, an element and a script, in either kind of quotation marks.
const MARK: &str = "\"'></title></textarea><script>alert(1)</script><img src=x onerror=alert(1)>";

/// Where links of strangers want to go on.
const WISHES: [&str; 5] = [
    "/hub/home?\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "/hub/home#\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "/hub/home/\"'><script>alert(1)</script><img src=x onerror=alert(1)>",
    "javascript:alert(1)//\"'><script>alert(1)</script>",
    "//elsewhere.example/\"'><script>alert(1)</script>",
];

async fn page_of(browser: &Client, path: &str) -> Answer {
    let html = [("accept", "text/html")];
    browser.send(Method::GET, path, &html, "".into()).await
}

fn assert_no_markup(what: &str, page: &str) {
    for raw in ["<script>alert", "<img src=x", "</title></textarea>"] {
        assert!(!page.contains(raw), "{what}: {raw} in {page}");
    }
    for address in page.split("href=\"").chain(page.split("action=\"")).skip(1) {
        let scheme = address.trim_start().to_ascii_lowercase();
        assert!(!scheme.starts_with("javascript:"), "{what}: {page}");
    }
}

/// What was written stands there, as text, and as it was written.
fn assert_shown(what: &str, page: &str) {
    assert!(page.contains("&lt;script&gt;alert(1)"), "{what}: {page}");
    assert!(!page.contains("&amp;lt;"), "{what}, escaped twice: {page}");
    assert_no_markup(what, page);
}

fn odd_profiles() -> Profiles {
    let choice = |name: &str| Choice {
        name: name.into(),
        title: format!("{name} {MARK}"),
        ..Choice::default()
    };
    let unlisted = Unlisted {
        title: Some(MARK.into()),
        pattern: Some(Pattern::parse("^never$").expect("good")),
        message: Some(MARK.into()),
        ..Unlisted::default()
    };
    let tag = ProfileOption {
        name: "tag".into(),
        title: MARK.into(),
        choices: vec![choice("new"), choice("old")],
        unlisted: Some(unlisted),
    };
    let profile = |slug: &str| Profile {
        slug: slug.into(),
        title: format!("{slug} {MARK}"),
        description: Some(MARK.into()),
        options: vec![tag.clone()],
        ..Profile::default()
    };
    Profiles(vec![profile("odd"), profile("odder")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_code_for_a_server_with_markup_in_its_title() {
    for db in TestDb::both().await {
        let hub = tuned(&db, |_, _| {}).await;
        let ada = program(&hub, "ada").await;
        let gpu = "/hub/api/users/ada/servers/gpu";
        let wish = json!({ "display_name": MARK });
        let made = send_json(&ada, Method::PUT, gpu, &wish).await;
        made.expect(201);
        ada.post_json(gpu, &json!({})).await.expect(201);
        let codes = "/hub/api/share-codes/ada/gpu";
        let code = ada.post_json(codes, &json!({})).await.expect(200).json();
        let secret = code["code"].as_str().expect("a code");
        let ben = hub.signed_in("ben").await;
        for wish in WISHES {
            let path = format!("/hub/accept-share?code={secret}&next={}", quoted(wish));
            let page = page_of(&ben, &path).await.expect(200).text();
            assert_shown(wish, &page);
            let fields = hidden_fields(&page);
            assert!(fields.contains(&("code".into(), secret.into())), "{page}");
            // The wish is in the form, as far as it stays here.
            let next = fields.iter().find(|(name, _)| name == "next");
            assert_eq!(next.is_some(), wish.starts_with("/hub/"), "{wish}: {page}");
            if let Some((_, next)) = next {
                let local = next.starts_with("/hub/home") && !next.contains(['<', '>', '"']);
                assert!(local, "{wish}: {next}");
            }
            // Signed out, the whole address is the wish of the log-in page.
            let stranger = hub.client();
            let sent = page_of(&stranger, &path).await.expect(302);
            let page = page_of(&stranger, sent.location()).await.expect(200);
            assert_no_markup(wish, &page.text());
            // And she goes on to where it says, when she has accepted.
            let fields = [("code", secret), ("next", wish)];
            let done = ben.post_form("/hub/accept-share", &fields).await;
            let to = done.expect(302).location().to_owned();
            assert!(to.starts_with("/hub/home"), "{wish}: {to}");
            assert!(!to.contains(['<', '>', '"']), "{wish}: {to}");
            assert_no_markup(wish, &page_of(&ben, &to).await.text());
        }
        // A code that is none, with the same.
        let path = format!("/hub/accept-share?code={}", quoted(MARK));
        let page = page_of(&ben, &path).await.expect(404);
        assert_no_markup("a code of nothing", &page.text());
        for (browser, path) in [
            (&ben, "/hub/home"),
            (&hub.signed_in("ada").await, "/hub/home"),
            (&hub.signed_in("ada").await, "/hub/sharing"),
        ] {
            let page = page_of(browser, path).await.expect(200).text();
            assert_shown(path, &page);
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_with_markup_in_all_their_words() {
    let db = TestDb::sqlite().await;
    let hub = tuned(&db, |settings, _| settings.profiles = odd_profiles()).await;
    let ben = hub.signed_in("ben").await;
    let page = page_of(&ben, "/hub/spawn").await.expect(200).text();
    assert_shown("the form", &page);
    for wish in WISHES {
        let path = format!("/hub/spawn/ben?next={}", quoted(wish));
        let page = page_of(&ben, &path).await.expect(200).text();
        assert_shown(wish, &page);
    }
    // What was typed stands there again, with what is wrong about it.
    let fields = [
        ("profile", "odd"),
        ("profile-option-odd--tag", "unlisted-choice"),
        ("profile-option-odd--tag--unlisted-choice", MARK),
    ];
    let page = ben.post_form("/hub/spawn", &fields).await.expect(400);
    let page = page.text();
    assert_shown("a value of her own", &page);
    assert!(page.contains("value=\"&quot;&#39;&gt;"), "{page}");
    for value in ["profile", "profile-option-odd--tag"] {
        let page = ben.post_form("/hub/spawn", &[(value, MARK)]).await;
        assert_no_markup(value, &page.text());
    }
    // Words of a profile are told where it runs, too.
    let fields = [("profile", "odd"), ("profile-option-odd--tag", "new")];
    ben.post_form("/hub/spawn", &fields).await.expect(302);
    for path in ["/hub/spawn-pending/ben", "/hub/home", "/hub/logs/ben"] {
        let page = page_of(&ben, path).await;
        assert_no_markup(path, &page.text());
    }
    let root = hub.signed_in("root").await;
    for path in [
        "/hub/admin/servers",
        "/hub/admin/user/ben",
        "/hub/admin/configuration",
    ] {
        let page = page_of(&root, path).await.expect(200).text();
        assert_no_markup(path, &page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn markup_in_what_people_write_elsewhere() {
    let db = TestDb::sqlite().await;
    let soon = Duration::from_millis(50);
    let hub = tuned(&db, |_, timings| timings.watch_every = soon).await;
    let (ada, root) = (program(&hub, "ada").await, program(&hub, "root").await);
    let gpu = "/hub/api/users/ada/servers/gpu";
    let wish = json!({ "display_name": MARK });
    let made = send_json(&ada, Method::PUT, gpu, &wish).await;
    made.expect(201);
    let note = json!({ "note": MARK });
    ada.post_json("/hub/api/users/ada/tokens", &note)
        .await
        .expect(201);
    ada.post_json("/hub/api/shares/ada/gpu", &with_user("ben"))
        .await
        .expect(200);
    // Her browser says odd things of itself.
    let browser = hub.client().with_header("user-agent", MARK);
    browser.log_in("ada", PASSWORD).await.expect(302);
    for path in ["/hub/home", "/hub/token", "/hub/sessions", "/hub/sharing"] {
        assert_shown(path, &page_of(&browser, path).await.expect(200).text());
    }
    let page = page_of(&browser, "/hub/user/ada/gpu/lab").await.expect(424);
    assert_shown("not running", &page.text());
    for wish in WISHES {
        let path = format!("/hub/user/ada/gpu/{}", quoted(wish));
        assert_no_markup(wish, &page_of(&browser, &path).await.text());
        let path = format!("/hub/spawn-pending/ada/gpu?next={}", quoted(wish));
        assert_no_markup(wish, &page_of(&browser, &path).await.text());
    }
    let admin = hub.signed_in("root").await;
    for path in ["/hub/admin/servers?state=all", "/hub/admin/user/ada"] {
        assert_shown(path, &page_of(&admin, path).await.expect(200).text());
    }
    let path = format!("/hub/admin/users?q={}", quoted(MARK));
    assert_shown(&path, &page_of(&admin, &path).await.expect(200).text());
    for list in ["groups", "servers", "tokens", "activity"] {
        let path = format!(
            "/hub/admin/{list}?q={0}&name={0}&sort={0}&state={0}&before={0}",
            quoted(MARK)
        );
        assert_no_markup(&path, &page_of(&admin, &path).await.text());
    }
    let path = format!("/hub/api/groups/{}", quoted(MARK).replace('+', "%20"));
    let made = root.post_json(&path, &json!({})).await;
    if made.status == 201 {
        let page = page_of(&admin, "/hub/admin/groups").await.expect(200);
        assert_shown("groups", &page.text());
    }
    // What a server said when it ended.
    let key = hub.spawner.running().remove(0);
    hub.spawner.crash(&key, &MARK.replace('1', "2"));
    until("her page says why it ended", async || {
        let page = page_of(&browser, "/hub/home").await.text();
        assert_no_markup("the end of a server", &page);
        page.contains("alert(2)")
    })
    .await;
}
