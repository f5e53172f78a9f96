//! Launches by LTI 1.1: signed forms, each good once.

use std::collections::BTreeMap;

use lyceum_auth::lti::{OldLti, OldLtiConfig};
use lyceum_model::secret::Secret;
use lyceum_store::on;
use lyceum_testkit::fake::old_lti::{KEY, SECRET};
use lyceum_testkit::fake::{FakeSpawner, OldPlatform};

use super::courses::link;
use super::*;
use crate::kit::hidden_fields;

const OLD: &str = "/hub/lti/launch";

fn old_config(id: &str, username: &str) -> OldLtiConfig {
    OldLtiConfig {
        id: id.into(),
        title: "The old one".into(),
        consumers: BTreeMap::from([(KEY.into(), Secret::new(SECRET))]),
        home: None,
        mapping: Mapping {
            username: NameFrom::parse(username).expect("a good one"),
            display_name: "name".into(),
            numbers: Default::default(),
            mail: None,
            groups: None,
            groups_only: None,
            allow: Some(Rule {
                everyone: true,
                ..Rule::default()
            }),
            admins: None,
            adopts: Adopts::default(),
        },
        mail_is_verified: false,
        trust_labels: false,
        trust_links: false,
        roles: Default::default(),
    }
}

async fn with_old(db: &TestDb, configs: Vec<OldLtiConfig>) -> TestHub {
    let hub = TestHub::start(db).await;
    hub.offer_platforms(Vec::new(), People::default()).await;
    let configs = configs.into_iter();
    let all = configs.map(|config| Arc::new(OldLti::new(config, Clock::system())));
    hub.offer_old_platforms(all.collect());
    hub
}

async fn one_old(db: &TestDb) -> TestHub {
    with_old(db, vec![old_config("", "claim:ext_user_username")]).await
}

/// What a browser does: the platform's form brings no cookie, the page of ours that answers does.
async fn bring(hub: &TestHub, client: &Client, path: &str, form: &[(String, String)]) -> Answer {
    let page = post(&hub.client(), path, form).await;
    if page.status != 200 {
        return page;
    }
    let text = page.text();
    assert!(text.contains("data-onward"), "{text}");
    let unescaped = |text: String| {
        let pairs = [
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
        ];
        let signs = pairs
            .iter()
            .rev()
            .fold(text, |text, (from, to)| text.replace(from, to));
        signs.replace("&#x27;", "'")
    };
    let fields: Vec<(String, String)> = hidden_fields(&text)
        .into_iter()
        .map(|(name, value)| (name, unescaped(value)))
        .collect();
    post(client, path, &fields).await
}

async fn follow(hub: &TestHub, platform: &OldPlatform, path: &str) -> (Client, Answer) {
    let client = hub.client();
    let form = platform.launch(&address(hub, path));
    let answer = bring(hub, &client, path, &form).await;
    (client, answer)
}

/// Rows of launches that have counted.
async fn counted(hub: &TestHub) -> i64 {
    let mut tx = hub.hub.db().read().await.expect("a database");
    let many = on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM sign_in_returns"
    )
    .fetch_one(c)
    .await);
    many.expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_form_lets_in_once_and_makes_a_member() {
    for db in TestDb::both().await {
        let hub = one_old(&db).await;
        link(&hub, ":context:42", "bio");
        let mut platform = OldPlatform::default();
        let form = platform.launch(&address(&hub, OLD));
        let ada = hub.client();
        let answer = bring(&hub, &ada, OLD, &form).await;
        let start = "/hub/spawn/ada?next=&course=bio";
        assert_eq!(answer.expect(302).location(), start);
        let user: Value = ada.get("/hub/api/user").await.expect(200).json();
        assert_eq!(user["name"], "ada");
        assert_eq!(user["groups"], json!(["lti::context:42/student"]));
        assert_eq!(counted(&hub).await, 1);
        // A second time it counts for nobody; who is in goes on.
        let thief = hub.client();
        let answer = bring(&hub, &thief, OLD, &form).await.expect(403);
        assert!(answer.text().contains("begin again"));
        assert!(is_out(&thief).await);
        assert_eq!(
            bring(&hub, &ada, OLD, &form).await.expect(302).location(),
            "/hub/home"
        );
        // What she is there she is here.
        platform.say("roles", "Instructor,urn:lti:instrole:ims/lis/Administrator");
        let (ada, _) = follow(&hub, &platform, OLD).await;
        let user: Value = ada.get("/hub/api/user").await.expect(200).json();
        assert_eq!(user["groups"], json!(["lti::context:42/teacher"]));
        // Renamed there she is the same here.
        platform.log_in("1", "countess");
        let (ada, _) = follow(&hub, &platform, OLD).await;
        assert_eq!(name_of(&ada).await, "ada");
        platform.log_in("2", "ada");
        let (_, answer) = follow(&hub, &platform, OLD).await;
        assert!(
            answer
                .expect(403)
                .text()
                .contains("belongs to another account")
        );
        let page = hub.client().get("/hub/login").await.expect(200).text();
        assert!(page.contains("The old one"), "{page}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_whole_signed_form_lets_anybody_in() {
    let db = TestDb::sqlite().await;
    let hub = one_old(&db).await;
    let to = address(&hub, OLD);
    let refused = async |form: &[(String, String)], words: &str, why: &str| {
        let client = hub.client();
        let answer = bring(&hub, &client, OLD, form).await;
        assert_eq!(answer.status, 403, "{why}");
        assert!(answer.text().contains(words), "{why}: {}", answer.text());
        assert!(is_out(&client).await, "{why}");
    };
    let no = "not logged in there";
    let platform = OldPlatform::default();
    // Signed otherwise, or for elsewhere, or at another time.
    refused(&platform.launch_at(&to, 0, "another secret"), no, "secret").await;
    refused(&platform.launch_at(&to, 0, ""), no, "no secret").await;
    for late in [-400, 400, -1_000_000] {
        refused(&platform.launch_at(&to, late, SECRET), no, "time").await;
    }
    for other in [
        "https://other.example.edu/hub/lti/launch".to_owned(),
        format!("{to}/"),
        format!("{to}?a=b"),
        to.replace("http://", "https://"),
        address(&hub, "/hub/lti13/oauth_callback"),
    ] {
        refused(&platform.launch(&other), no, &other).await;
    }
    // Changed, added and left out on the way.
    let good = platform.launch(&to);
    for (name, value) in [
        ("user_id", Some("2")),
        ("roles", Some("Instructor")),
        ("context_id", Some("43")),
        ("custom_next", Some("/hub/token")),
        ("oauth_nonce", Some("another")),
        ("oauth_consumer_key", Some("another")),
        ("oauth_signature_method", Some("PLAINTEXT")),
        ("oauth_signature", Some("")),
        ("oauth_signature", Some("AAAA")),
        ("custom_empty", None),
    ] {
        let mut form = good.clone();
        form.retain(|(key, _)| key != name);
        form.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        refused(&form, no, &format!("{name} {value:?}")).await;
    }
    // Said twice it could be understood in two ways.
    for name in ["user_id", "oauth_nonce", "oauth_signature"] {
        let field = good.iter().find(|(key, _)| key == name).expect("there");
        let form = [&good[..], std::slice::from_ref(field)].concat();
        refused(&form, "begin again", &format!("{name} twice")).await;
    }
    // Signed, but no launch.
    for (name, value) in [
        ("lti_version", "LTI-2p0"),
        ("lti_message_type", "ContentItemSelectionRequest"),
        ("resource_link_id", ""),
        ("oauth_version", "2.0"),
        ("oauth_nonce", ""),
        ("oauth_timestamp", "soon"),
        ("oauth_timestamp", "+1"),
        ("custom_next", "https://evil.example/"),
        ("custom_next", "//evil.example/"),
        ("custom_next", "javascript:alert(1)"),
    ] {
        let mut odd = OldPlatform::default();
        odd.say(name, value);
        refused(&odd.launch(&to), no, &format!("{name} {value}")).await;
    }
    let mut nobody = OldPlatform::default();
    nobody.without("user_id");
    refused(&nobody.launch(&to), "does not say who you are", "nobody").await;
    // By a link nobody is let in.
    let client = hub.client();
    let query = encoded(&platform.launch(&to));
    assert_eq!(client.get(&format!("{OLD}?{query}")).await.status, 405);
    assert!(is_out(&client).await);
    // And after all that a good one does.
    let client = hub.client();
    bring(&hub, &client, OLD, &good).await.expect(302);
    assert_eq!(name_of(&client).await, "ada");
    hub.stop().await;
}

/// CVE-2026-34052: whoever knows a key and not its secret leaves nothing behind, however many nonces she makes up.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_forms_that_nobody_signed_is_kept_nowhere() {
    for db in TestDb::both().await {
        let hub = one_old(&db).await;
        let platform = OldPlatform::default();
        let to = address(&hub, OLD);
        for _ in 0..300 {
            let form = platform.launch_at(&to, 0, "not the secret");
            let answer = bring(&hub, &hub.client(), OLD, &form).await;
            assert_eq!(answer.status, 403);
        }
        assert_eq!(counted(&hub).await, 0);
        hub.stop().await;
    }
}

/// What has counted is forgotten when it would not be taken any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_counted_is_kept_no_longer_than_it_could_count() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Clock::system().now());
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock).await;
    hub.offer_platforms(Vec::new(), People::default()).await;
    let config = old_config("", "claim:ext_user_username");
    hub.offer_old_platforms(vec![Arc::new(OldLti::new(config, Clock::system()))]);
    let platform = OldPlatform::default();
    for _ in 0..3 {
        follow(&hub, &platform, OLD).await.1.expect(302);
    }
    assert_eq!(counted(&hub).await, 3);
    hub.hub.sign_in().tidy().await.expect("tidied");
    assert_eq!(counted(&hub).await, 3);
    hub.clock.advance(11 * 60_000);
    hub.hub.sign_in().tidy().await.expect("tidied");
    assert_eq!(counted(&hub).await, 0);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leads_where_the_link_leads_here() {
    let db = TestDb::sqlite().await;
    let second = old_config("second", "claim:ext_user_username");
    let hub = with_old(&db, vec![old_config("", "claim:user_id"), second]).await;
    let mut platform = OldPlatform::default();
    // What stands behind the address is signed with the rest.
    let path = format!("{OLD}?next=%2Fhub%2Fsessions");
    let (_, answer) = follow(&hub, &platform, &path).await;
    assert_eq!(answer.expect(302).location(), "/hub/sessions");
    let form = platform.launch(&address(&hub, &path));
    let client = hub.client();
    let other = format!("{OLD}?next=%2Fhub%2Ftoken");
    bring(&hub, &client, &other, &form).await.expect(403);
    platform.say("custom_next", "/hub/token?a=b");
    let (_, answer) = follow(&hub, &platform, OLD).await;
    assert_eq!(answer.expect(302).location(), "/hub/token?a=b");
    // People of one number at two platforms are two people, and one's form is not the other's.
    let (ada, _) = follow(&hub, &platform, "/hub/lti/launch/second").await;
    assert_eq!(name_of(&ada).await, "ada");
    let (other, _) = follow(&hub, &platform, OLD).await;
    assert_eq!(name_of(&other).await, "1");
    let form = platform.launch(&address(&hub, OLD));
    let client = hub.client();
    let answer = bring(&hub, &client, "/hub/lti/launch/second", &form).await;
    answer.expect(403);
    let (_, answer) = follow(&hub, &platform, "/hub/lti/launch/third").await;
    answer.expect(403);
    hub.stop().await;
}

/// A page of another site can't say that its form came from a page of ours.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_page_of_ours_brings_it_the_second_time() {
    let db = TestDb::sqlite().await;
    let hub = one_old(&db).await;
    let platform = OldPlatform::default();
    let form = platform.launch(&address(&hub, OLD));
    let client = hub.client();
    let page = post(&client, OLD, &form).await.expect(200);
    assert!(is_out(&client).await);
    let policy = header(&page, "content-security-policy").to_owned();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let token = hidden_fields(&page.text());
    let token = token.iter().find(|(name, _)| name == "_xsrf");
    let token = token.expect("a token").1.clone();
    let again = |token: &str| {
        let more = [("lyceum_again", "1"), ("_xsrf", token)];
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        encoded(&[&form[..], &more].concat())
    };
    let kind = FORM[0];
    for headers in [
        vec![kind, ("sec-fetch-site", "cross-site")],
        vec![kind, ("origin", "https://evil.example")],
    ] {
        let body = again(&token).into();
        let answer = client.send(Method::POST, OLD, &headers, body).await;
        assert!(answer.expect(200).text().contains("data-onward"));
        assert!(is_out(&client).await);
    }
    let answer = client
        .send(Method::POST, OLD, &FORM, again("x").into())
        .await;
    assert!(answer.expect(200).text().contains("data-onward"));
    assert!(is_out(&client).await);
    // A browser that is never known to be on a page of ours does not go round for ever.
    let body = again("x").replace("lyceum_again=1", "lyceum_again=2");
    let answer = client.send(Method::POST, OLD, &FORM, body.into()).await;
    answer.expect(403);
    // In a frame it goes on in a window.
    let headers = [kind, ("sec-fetch-dest", "iframe")];
    let framed = client.send(Method::POST, OLD, &headers, encoded(&form).into());
    let framed = framed.await.expect(200);
    assert!(header(&framed, "content-security-policy").contains("frame-ancestors *"));
    assert!(framed.text().contains("target=\"_blank\""));
    let headers = [kind, ("sec-fetch-site", "same-origin")];
    let answer = client.send(Method::POST, OLD, &headers, again(&token).into());
    answer.await.expect(302);
    assert_eq!(name_of(&client).await, "ada");
    hub.stop().await;
}

/// Nothing binds such a form to a browser. Somebody else's must not take over a session unasked.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_here_is_asked_first() {
    for db in TestDb::both().await {
        let hub = one_old(&db).await;
        let mut platform = OldPlatform::default();
        let (ada, _) = follow(&hub, &platform, OLD).await;
        platform.log_in("2", "eve");
        let form = platform.launch(&address(&hub, OLD));
        let page = bring(&hub, &ada, OLD, &form).await.expect(200).text();
        assert!(page.contains("Somebody else is logged in here"), "{page}");
        assert_eq!(name_of(&ada).await, "ada");
        let fields = hidden_fields(&page);
        let held = fields.iter().find(|(name, _)| name == "held");
        let held = held.expect("what goes on").1.as_str();
        // In another session it is worth nothing, and without a form token neither.
        platform.log_in("1", "ada");
        let (other, _) = follow(&hub, &platform, OLD).await;
        let other_page = "/hub/lti13/other";
        other.get("/hub/home").await.expect(200);
        let answer = other.post_form(other_page, &[("held", held)]).await;
        answer.expect(400);
        let bare = [("held".to_owned(), held.to_owned())];
        assert_eq!(post(&ada, other_page, &bare).await.status, 403);
        assert_eq!(name_of(&ada).await, "ada");
        ada.get("/hub/home").await.expect(200);
        let answer = ada.post_form(other_page, &[("held", held)]).await;
        answer.expect(302);
        assert_eq!(name_of(&ada).await, "eve");
        // Once.
        ada.get("/hub/home").await.expect(200);
        let answer = ada.post_form(other_page, &[("held", held)]).await;
        answer.expect(400);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_made_of_what_is_told() {
    let db = TestDb::sqlite().await;
    let hub = TestHub::start(&db).await;
    let offer = async |username: &str, mail: bool| {
        let mut config = old_config("", username);
        config.mail_is_verified = mail;
        hub.offer_platforms(Vec::new(), People::default()).await;
        hub.offer_old_platforms(vec![Arc::new(OldLti::new(config, Clock::system()))]);
    };
    let mut platform = OldPlatform::default();
    platform
        .say("custom_login", "ada.l")
        .say("lis_person_sourcedid", "s-4711");
    for (mark, username, mail, expect) in [
        ("11", "claim:user_id", false, Some("11")),
        ("12", "claim:lis_person_sourcedid", false, Some("s-4711")),
        ("13", "claim:custom_login", false, Some("ada.l")),
        ("14", "claim:email", false, None),
        ("14", "claim:email", true, Some("ada@example.edu")),
        ("15", "claim:custom_nothing", true, None),
        // What signs is nobody's name.
        ("16", "claim:oauth_consumer_key", true, None),
    ] {
        offer(username, mail).await;
        platform.say("user_id", mark);
        let (client, answer) = follow(&hub, &platform, OLD).await;
        match expect {
            Some(name) => {
                answer.expect(302);
                assert_eq!(name_of(&client).await, name, "{username}");
            }
            None => {
                let text = answer.expect(403).text();
                assert!(text.contains("no user name can be made"), "{username}");
            }
        }
    }
    // What stands behind the address is written by whoever makes the link.
    offer("claim:custom_login", true).await;
    platform.without("custom_login").say("user_id", "17");
    let path = format!("{OLD}?custom_login=eve");
    let (_, answer) = follow(&hub, &platform, &path).await;
    let text = answer.expect(403).text();
    assert!(text.contains("no user name can be made"), "{text}");
    hub.stop().await;
}
