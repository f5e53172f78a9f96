//! People who come from a learning platform: who comes in, as whom, where to, and what a wrong launch is
//! worth.

use std::sync::Arc;

use hyper::Method;
use lyceum_auth::Lti;
use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::config::People;
use lyceum_auth::lti::{LtiConfig, ToolKeys};
use lyceum_model::clock::Clock;
use lyceum_model::identity::Adopts;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::lti::{DEPLOYMENT, TOOL};
use lyceum_testkit::fake::{FakePlatform, Slip};
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::{header, hidden_fields};

mod courses;
mod flood;
mod old;
mod picking;
mod rosters;

const COOKIE: &str = "lyceum-sign-in";
const BEGIN: &str = "/hub/lti13/oauth_login";
pub(crate) const LAUNCH: &str = "/hub/lti13/oauth_callback";
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

fn config(platform: &FakePlatform, id: &str) -> LtiConfig {
    let issuer = platform.issuer();
    LtiConfig {
        id: id.into(),
        title: "The Moodle".into(),
        authorize_url: format!("{issuer}/auth").parse().expect("an address"),
        keys_url: format!("{issuer}/keys").parse().expect("an address"),
        client_ids: [TOOL.to_owned()].into(),
        deployments: [DEPLOYMENT.to_owned()].into(),
        token_url: format!("{issuer}/token").parse().ok(),
        token_audience: None,
        issuer,
        home: None,
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("claim:ext.user_username").expect("a good one"),
            display_name: "name".into(),
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
        authorities: None,
    }
}

fn platform_of(config: LtiConfig) -> Arc<Lti> {
    Arc::new(Lti::new(config, Clock::system()).expect("a platform"))
}

fn tool_of(db: &TestDb, clock: &Clock) -> ToolKeys {
    let keys = lyceum_store::secret::Keys::from_bytes([9; 32]);
    ToolKeys::new(db.db().clone(), keys, clock.clone())
}

/// The hub's own address, as it stands in the configuration.
fn own(hub: &TestHub) -> String {
    format!("http://{}", hub.address())
}

/// Where this platform posts launches to.
fn address(hub: &TestHub, path: &str) -> String {
    format!("{}{}", own(hub), hub.hub.at(path))
}

/// A hub to which people come from this platform.
pub(crate) async fn offering(
    db: &TestDb,
    platform: &FakePlatform,
    tune: impl FnOnce(&mut LtiConfig),
) -> TestHub {
    let hub = TestHub::start(db).await;
    let mut config = config(platform, "");
    tune(&mut config);
    platform.register(&address(&hub, LAUNCH));
    hub.offer_platforms(vec![platform_of(config)], People::default())
        .await;
    hub
}

fn encoded(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

pub(crate) async fn post(client: &Client, path: &str, fields: &[(String, String)]) -> Answer {
    let body = encoded(fields).into();
    client.send(Method::POST, path, &FORM, body).await
}

/// Follows a link there; gives the launch that the platform posts.
pub(crate) async fn leave(
    hub: &TestHub,
    client: &Client,
    platform: &FakePlatform,
    target: &str,
) -> Vec<(String, String)> {
    let asked = platform.follow(&address(hub, target));
    let out = client.get(&format!("{BEGIN}?{}", encoded(&asked))).await;
    let out = out.expect(302);
    platform.authorize(out.location()).1
}

async fn come(hub: &TestHub, platform: &FakePlatform, target: &str) -> (Client, Answer) {
    let client = hub.client();
    let form = leave(hub, &client, platform, target).await;
    let answer = post(&client, LAUNCH, &form).await;
    (client, answer)
}

async fn name_of(client: &Client) -> Value {
    let user: Value = client.get("/hub/api/user").await.expect(200).json();
    user["name"].clone()
}

async fn is_out(client: &Client) -> bool {
    client.get("/hub/api/user").await.status == 403
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_lets_in_and_leads_where_its_link_leads() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = offering(&db, &platform, |_| {}).await;
        let (ada, answer) = come(&hub, &platform, "/hub/token?x=1").await;
        assert_eq!(answer.expect(302).location(), "/hub/token?x=1");
        assert_eq!(name_of(&ada).await, "ada");
        // The address of the launch itself leads nowhere in particular, unless it says so.
        for (target, expect) in [
            (LAUNCH, "/hub/home"),
            ("/", "/hub/home"),
            (
                "/hub/lti13/oauth_login?next=%2Fhub%2Fsessions",
                "/hub/sessions",
            ),
        ] {
            let (_, answer) = come(&hub, &platform, target).await;
            assert_eq!(answer.expect(302).location(), expect, "{target}");
        }
        platform.say("custom", json!({"next": "/hub/token"}));
        let (_, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.expect(302).location(), "/hub/token");
        platform.say("custom", Value::Null);
        // The request to begin may be a form.
        let client = hub.client();
        let asked = platform.follow(&address(&hub, "/"));
        let out = post(&client, BEGIN, &asked).await.expect(302);
        let (back, form) = platform.authorize(out.location());
        assert_eq!(back, address(&hub, LAUNCH));
        post(&client, LAUNCH, &form).await.expect(302);
        assert_eq!(name_of(&client).await, "ada");
        // Renamed there she is the same here; whoever has her old name there is not.
        platform.log_in("1", "countess");
        let (ada, _) = come(&hub, &platform, "/").await;
        assert_eq!(name_of(&ada).await, "ada");
        platform.log_in("2", "ada");
        let (other, answer) = come(&hub, &platform, "/").await;
        let page = answer.expect(403).text();
        assert!(page.contains("belongs to another account"), "{page}");
        assert!(is_out(&other).await);
        hub.stop().await;
    }
}

/// CVE-2023-25574 and its like: what is not signed by the platform, for us, now and for this browser.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_whole_launch_lets_anybody_in() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    let refused = async |why: &str, words: &str| {
        let (client, answer) = come(&hub, &platform, "/").await;
        assert_eq!(answer.status, 403, "{why}");
        assert!(answer.text().contains(words), "{why}: {}", answer.text());
        assert!(is_out(&client).await, "{why}");
        platform.as_usual();
    };
    let no = "not logged in there";
    for slip in [
        Slip::Unsigned,
        Slip::SignedWithWord,
        Slip::ForeignKey,
        Slip::UnknownKey,
        Slip::Tampered,
    ] {
        platform.slip(Some(slip));
        refused(&format!("{slip:?}"), no).await;
    }
    let past = 1_600_000_000;
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!(["another tool"])),
        ("aud", json!([TOOL, "another tool"])),
        ("azp", json!("another tool")),
        ("nonce", json!("a nonce of another launch")),
        ("nonce", Value::Null),
        ("exp", json!(past)),
        ("exp", Value::Null),
        ("iat", json!(4_000_000_000_u64)),
        ("@version", json!("1.1.0")),
        ("@version", Value::Null),
        ("@message_type", json!("LtiSubmissionReviewRequest")),
        ("@message_type", Value::Null),
        ("@deployment_id", json!("of another site")),
        ("@deployment_id", Value::Null),
        ("@target_link_uri", json!("https://evil.example/hub/home")),
        ("@target_link_uri", json!("//evil.example/")),
        ("@target_link_uri", json!("javascript:alert(1)")),
        ("@target_link_uri", Value::Null),
        ("@resource_link", Value::Null),
        ("@roles", Value::Null),
        ("@custom", json!({"next": "https://evil.example/"})),
    ] {
        // Several audiences want `azp` to be us; it is, so here it is not there.
        if value == json!([TOOL, "another tool"]) {
            platform.replace("azp", Value::Null);
        }
        platform.replace(claim, value.clone());
        refused(&format!("{claim} {value}"), no).await;
    }
    // Nobody in particular.
    for value in [Value::Null, json!(""), json!(7)] {
        platform.replace("sub", value.clone());
        refused(&format!("sub {value}"), "does not say who you are").await;
    }
    platform.replace("@ext", json!({}));
    refused("no name", "no user name can be made").await;
    // And after all that a good one does.
    come(&hub, &platform, "/").await.1.expect(302);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_is_posted_once_by_the_browser_that_left() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = offering(&db, &platform, |_| {}).await;
        let refused = async |client: &Client, form: &[(String, String)], why: &str| {
            let answer = post(client, LAUNCH, form).await;
            assert_eq!(answer.status, 403, "{why}");
            assert!(answer.text().contains("begin again"), "{why}");
            assert!(is_out(client).await, "{why}");
        };
        let (ada, eve) = (hub.client(), hub.client());
        let form = leave(&hub, &ada, &platform, "/").await;
        let of_eve = leave(&hub, &eve, &platform, "/").await;
        // A browser that did not leave, and one that left by itself.
        refused(&eve, &form, "another browser's").await;
        refused(&ada, &of_eve, "another's launch planted").await;
        // Two cookies of the name: one of them was planted.
        let twice = hub.client();
        let form_of_two = leave(&hub, &twice, &platform, "/").await;
        twice.plant(COOKIE, &"a".repeat(43), "/hub/");
        let again = [&form_of_two[..], &[("again".into(), "1".into())]].concat();
        refused(&twice, &again, "two cookies").await;
        // By a link nobody is let in.
        let query = encoded(&form);
        let answer = ada.get(&format!("{LAUNCH}?{query}")).await;
        assert_eq!(answer.status, 405);
        assert!(is_out(&ada).await);
        // The pieces of two launches don't make one.
        let second = leave(&hub, &ada, &platform, "/").await;
        let mixed = vec![form[0].clone(), second[1].clone()];
        let answer = post(&ada, LAUNCH, &mixed).await;
        assert_eq!(answer.status, 403);
        assert!(is_out(&ada).await);
        post(&ada, LAUNCH, &second).await.expect(302);
        assert_eq!(name_of(&ada).await, "ada");
        // Once more, in a browser with the same cookie and no session.
        let thief = hub.client();
        let cookie = ada.cookie(COOKIE).expect("kept");
        thief.plant(COOKIE, &cookie, "/hub/");
        refused(&thief, &second, "a second time").await;
        // What the platform says instead of a launch.
        let client = hub.client();
        let form = leave(&hub, &client, &platform, "/").await;
        let error = vec![form[0].clone(), ("error".into(), "login_required".into())];
        let page = post(&client, LAUNCH, &error).await.expect(403).text();
        assert!(page.contains("not logged in there"), "{page}");
        hub.stop().await;
    }
}

/// From another site's page browsers send no cookie; the launch comes once more from a page of ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_launch_without_the_cookie_is_posted_once_more_from_here() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    let ada = hub.client();
    let form = leave(&hub, &ada, &platform, "/hub/token").await;
    // What a browser does with a form from elsewhere.
    let bare = hub.client();
    let page = post(&bare, LAUNCH, &form).await.expect(200);
    assert!(header(&page, "content-security-policy").contains("frame-ancestors 'none'"));
    let text = page.text();
    assert!(
        text.contains("data-onward") && text.contains(&form[1].1),
        "{text}"
    );
    assert!(text.contains("You come from The Moodle"), "{text}");
    assert!(bare.cookie(COOKIE).is_none() && is_out(&bare).await);
    // Without cookies at all there is an end to it.
    let again = [&form[..], &[("again".into(), "1".into())]].concat();
    post(&bare, LAUNCH, &again).await.expect(403);
    let answer = post(&ada, LAUNCH, &again).await.expect(302);
    assert_eq!(answer.location(), "/hub/token");
    assert_eq!(name_of(&ada).await, "ada");
    // What it can't read it does not repeat.
    let evil = vec![
        ("state".into(), "\"><script>".into()),
        ("id_token".into(), "\"><script>alert(1)</script>".into()),
    ];
    let text = post(&bare, LAUNCH, &evil).await.expect(200).text();
    assert!(!text.contains("<script>alert"), "{text}");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_frame_it_goes_on_in_a_window() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    let asked = platform.follow(&address(&hub, "/"));
    let page = format!("{BEGIN}?{}", encoded(&asked));
    for dest in ["iframe", "frame", "embed", "object"] {
        let client = hub.client();
        let headers = [("sec-fetch-dest", dest)];
        let answer = client.send(Method::GET, &page, &headers, "".into()).await;
        let answer = answer.expect(200);
        assert!(header(&answer, "content-security-policy").contains("frame-ancestors *"));
        let text = answer.text();
        assert!(
            text.contains("target=\"_blank\"") && text.contains("hint &amp; 1"),
            "{text}"
        );
        assert!(client.cookie(COOKIE).is_none());
    }
    let headers = [("sec-fetch-dest", "document")];
    let client = hub.client();
    let out = client.send(Method::GET, &page, &headers, "".into()).await;
    platform.authorize(out.expect(302).location());
    hub.stop().await;
}

/// Links are followed all day: what she has open goes on, and whoever else sits there is asked first.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_here_stays_in_her_session() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = offering(&db, &platform, |_| {}).await;
        let (ada, _) = come(&hub, &platform, "/").await;
        let session = ada.cookie("jupyterhub-session-id").expect("a session");
        // Her cookie comes along where the page that posts is ours: no form token is asked for.
        let form = leave(&hub, &ada, &platform, "/hub/token").await;
        let answer = post(&ada, LAUNCH, &form).await.expect(302);
        assert_eq!(answer.location(), "/hub/token");
        assert_eq!(ada.cookie("jupyterhub-session-id").as_ref(), Some(&session));
        platform.log_in("2", "eve");
        let form = leave(&hub, &ada, &platform, "/hub/token").await;
        let page = post(&ada, LAUNCH, &form).await.expect(200).text();
        assert!(page.contains("Somebody else is logged in here"), "{page}");
        assert_eq!(ada.cookie("jupyterhub-session-id").as_ref(), Some(&session));
        assert_eq!(name_of(&ada).await, "ada");
        let fields = hidden_fields(&page);
        let held = fields.iter().find(|(name, _)| name == "held");
        let held = held.expect("what goes on").1.as_str();
        let answer = ada.post_form("/hub/lti13/other", &[("held", held)]).await;
        assert_eq!(answer.expect(302).location(), "/hub/token");
        assert_eq!(name_of(&ada).await, "eve");
        assert_ne!(ada.cookie("jupyterhub-session-id").as_ref(), Some(&session));
        hub.stop().await;
    }
}

/// What Canvas reads when it is given the address instead of all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_can_read_how_to_register_this_tool() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    let asked = Lti::new(config(&platform, "canvas"), Clock::system()).expect("a platform");
    let asked = asked.with_tool(tool_of(&db, &Clock::system()));
    let all = vec![platform_of(config(&platform, "")), Arc::new(asked)];
    hub.offer_platforms(all, People::default()).await;
    let read = async |page: &str| -> Value { hub.client().get(page).await.expect(200).json() };
    for (id, scopes) in [
        ("", json!([])),
        (
            "/canvas",
            json!(["https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"]),
        ),
    ] {
        let said = read(&format!("/hub/lti13/config{id}")).await;
        assert_eq!(said["scopes"], scopes, "{said}");
        let at = |path: &str| json!(address(&hub, path));
        assert_eq!(said["target_link_uri"], at(&format!("{LAUNCH}{id}")));
        assert_eq!(said["oidc_initiation_url"], at(&format!("{BEGIN}{id}")));
        assert_eq!(said["public_jwk_url"], at("/hub/lti13/jwks"));
        let settings = &said["extensions"][0]["settings"];
        let placements = settings["placements"].as_array().expect("a list");
        let places = placements.iter().map(|one| &one["placement"]);
        let places: Vec<&Value> = places.collect();
        assert_eq!(places, ["course_navigation", "link_selection"]);
        // What it calls the addresses is what answers there.
        let keys = said["public_jwk_url"].as_str().expect("an address");
        let keys = keys.strip_prefix(&own(&hub)).expect("ours");
        assert!(read(keys).await["keys"].is_array());
        for named in ["title", "description"] {
            assert!(said[named].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
    let none = hub.client().get("/hub/lti13/config/moodle").await;
    assert_eq!(none.status, 404);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn platforms_are_not_taken_for_each_other() {
    let db = TestDb::sqlite().await;
    let (honest, evil) = (FakePlatform::start().await, FakePlatform::start().await);
    let hub = TestHub::start(&db).await;
    let evil_launch = format!("{LAUNCH}/evil");
    honest.register(&address(&hub, LAUNCH));
    evil.register(&address(&hub, &evil_launch));
    let all = vec![
        platform_of(config(&honest, "")),
        platform_of(config(&evil, "evil")),
    ];
    hub.offer_platforms(all, People::default()).await;
    let evil_begin = format!("{BEGIN}/evil");
    let begin = async |client: &Client, page: &str, asked: &[(String, String)]| {
        client.get(&format!("{page}?{}", encoded(asked))).await
    };
    // One asks at the other's address.
    let client = hub.client();
    let asked = evil.follow(&address(&hub, "/"));
    begin(&client, BEGIN, &asked).await.expect(403);
    // A launch that began at one is not taken at the other, nor is the other's token in it.
    let out = begin(&client, &evil_begin, &asked).await.expect(302);
    let (_, of_evil) = evil.authorize(out.location());
    post(&client, LAUNCH, &of_evil).await.expect(403);
    assert!(is_out(&client).await);
    let form = leave(&hub, &client, &honest, "/").await;
    let mixed = vec![form[0].clone(), of_evil[1].clone()];
    post(&client, LAUNCH, &mixed).await.expect(403);
    assert!(is_out(&client).await);
    // A platform that calls itself like the other has other keys.
    evil.replace("iss", json!(honest.issuer()));
    let asked = evil.follow(&address(&hub, "/"));
    let out = begin(&client, &evil_begin, &asked).await.expect(302);
    let (_, of_evil) = evil.authorize(out.location());
    let answer = post(&client, &evil_launch, &of_evil).await;
    assert_eq!(answer.status, 403);
    evil.as_usual();
    // People of one number are two people.
    let (ada, _) = come(&hub, &honest, "/").await;
    assert_eq!(name_of(&ada).await, "ada");
    evil.log_in("1", "adele");
    let other = hub.client();
    let out = begin(&other, &evil_begin, &evil.follow(&address(&hub, "/"))).await;
    let (_, form) = evil.authorize(out.expect(302).location());
    post(&other, &evil_launch, &form).await.expect(302);
    assert_eq!(name_of(&other).await, "adele");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_begin_is_whole_and_of_this_platform() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |config| {
        config.client_ids.insert("the old name".into());
    })
    .await;
    let with = |key: &str, value: Option<&str>| {
        let mut asked = platform.follow(&address(&hub, "/"));
        asked.retain(|(name, _)| name != key);
        asked.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        format!("{BEGIN}?{}", encoded(&asked))
    };
    for (key, value) in [
        ("iss", None),
        ("iss", Some("https://evil.example")),
        ("login_hint", None),
        ("target_link_uri", None),
        ("client_id", Some("another tool")),
        // One of two names: which?
        ("client_id", None),
        ("lti_deployment_id", Some("of another site")),
    ] {
        let client = hub.client();
        let answer = client.get(&with(key, value)).await;
        assert_eq!(answer.status, 403, "{key} {value:?}");
        assert!(client.cookie(COOKIE).is_none(), "{key} {value:?}");
    }
    hub.client()
        .get(&with("lti_deployment_id", None))
        .await
        .expect(302);
    let twice = format!("{}&iss=x", with("x", None));
    hub.client().get(&twice).await.expect(403);
    // The way out leads to the platform whatever the link says, and back to the address of ours.
    let out = hub
        .client()
        .get(&with("target_link_uri", Some("https://evil.example/")))
        .await;
    assert!(out.expect(302).location().starts_with(&platform.issuer()));
    // By another name of this machine she is sent to the one that the platform knows.
    let client = hub.client().at("localhost");
    let answer = client.get(&with("x", None)).await.expect(302);
    let begin = format!("{}?", address(&hub, BEGIN));
    assert!(
        answer.location().starts_with(&begin),
        "{}",
        answer.location()
    );
    // A platform without people here.
    let page = format!("{BEGIN}/canvas");
    assert_eq!(
        hub.client().get(&page).await.expect(302).location(),
        "/hub/login"
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_found_and_a_platform_may_be_away() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    come(&hub, &platform, "/").await.1.expect(302);
    assert_eq!(platform.times_asked_for_keys(), 1);
    platform.rotate();
    come(&hub, &platform, "/").await.1.expect(302);
    assert_eq!(platform.times_asked_for_keys(), 2);
    // Keys that nobody published don't make us ask at every launch.
    platform.slip(Some(Slip::UnknownKey));
    for _ in 0..5 {
        come(&hub, &platform, "/").await.1.expect(403);
    }
    assert!(platform.times_asked_for_keys() <= 3);
    // While it is away, what is known of it holds.
    platform.slip(Some(Slip::Away));
    come(&hub, &platform, "/").await.1.expect(302);
    let fresh = FakePlatform::start().await;
    let other = offering(&TestDb::sqlite().await, &fresh, |_| {}).await;
    fresh.slip(Some(Slip::Away));
    let (client, answer) = come(&other, &fresh, "/").await;
    assert!(answer.expect(503).text().contains("answer as it should"));
    assert!(is_out(&client).await);
    other.stop().await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_come_in_who_may() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |config| {
        let claims = [("ext.user_username".to_owned(), ["ada".to_owned()].into())];
        config.mapping.allow = Some(Rule {
            claims: claims.into(),
            ..Rule::default()
        });
    })
    .await;
    come(&hub, &platform, "/").await.1.expect(302);
    platform.log_in("2", "eve");
    let (eve, answer) = come(&hub, &platform, "/").await;
    assert!(answer.expect(403).text().contains("admitted here"));
    assert!(is_out(&eve).await);
    // The log-in page says where people come from, and asks for no password of theirs.
    let page = hub.client().get("/hub/login").await.expect(200).text();
    assert!(page.contains("The Moodle"), "{page}");
    // Whose account it is: one that was made here before is nobody's for a name.
    let hub = hub.with_account("grace").await;
    let everyone = config(&platform, "");
    hub.offer_platforms(vec![platform_of(everyone)], People::default())
        .await;
    platform.log_in("3", "grace");
    let (_, answer) = come(&hub, &platform, "/").await;
    assert!(
        answer
            .expect(403)
            .text()
            .contains("belongs to another account")
    );
    // An address of mail counts where somebody vouches for it.
    let by_mail = |verified: bool| {
        let mut config = config(&platform, "");
        config.mapping.username = NameFrom::parse("claim:email").expect("a good one");
        config.mail_is_verified = verified;
        vec![platform_of(config)]
    };
    platform.log_in("4", "joan");
    hub.offer_platforms(by_mail(false), People::default()).await;
    come(&hub, &platform, "/").await.1.expect(403);
    hub.offer_platforms(by_mail(true), People::default()).await;
    let (joan, _) = come(&hub, &platform, "/").await;
    assert_eq!(name_of(&joan).await, "joan@example.edu");
    hub.stop().await;
}
