//! Signing in at another site: who comes in, as whom, and what a wrong answer is worth.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::config::{People, Who};
use lyceum_auth::oidc::OidcConfig;
use lyceum_auth::{Elsewhere, Oidc, Renewing};
use lyceum_hub::db;
use lyceum_model::clock::Clock;
use lyceum_model::identity::Adopts;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_model::who::CourseRole;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::provider::{CLIENT, CLIENT_SECRET};
use lyceum_testkit::fake::{FakeProvider, FakeSpawner, Twist};
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::kit::header;

mod automatic;
mod linked;
mod lists;
mod logged_out;
mod marks;
mod numbers;
mod oauth2;
mod refreshed;
mod sheets;

const EVERY: Renewing = Renewing {
    every: Duration::from_secs(300),
    grace: None,
};
const COOKIE: &str = "lyceum-sign-in";

fn config(provider: &FakeProvider, id: &str) -> OidcConfig {
    OidcConfig {
        id: id.into(),
        title: "University account".into(),
        automatic: false,
        issuer: provider.issuer(),
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        scopes: ["openid", "profile"].map(str::to_owned).to_vec(),
        parameters: BTreeMap::from([("prompt".into(), "login".into())]),
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("claim:preferred_username").expect("a good one"),
            display_name: "name".into(),
            groups: Some("groups".into()),
            groups_only: None,
            allow: Some(everyone()),
            admins: None,
            adopts: Adopts::default(),
        },
        log_out_there: false,
        renewing: Some(EVERY),
        authorities: None,
    }
}

fn everyone() -> Rule {
    Rule {
        everyone: true,
        ..Rule::default()
    }
}

fn in_group(group: &str) -> Rule {
    Rule {
        groups: Some([group.to_owned()].into()),
        ..Rule::default()
    }
}

fn way(config: OidcConfig) -> Arc<dyn Elsewhere> {
    Arc::new(Oidc::new(config, Clock::system()).expect("a way in"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_before_people_come_finds_what_they_would() {
    let provider = FakeProvider::start().await;
    let look = async |config: OidcConfig| {
        let oidc = Oidc::new(config, Clock::system()).expect("a way in");
        oidc.look().await.map_err(|error| format!("{error:#}"))
    };
    assert_eq!(look(config(&provider, "")).await, Ok(()));
    let mut other = config(&provider, "");
    other.issuer.push_str("/other");
    assert!(look(other).await.is_err());
}

/// A hub with this way in.
pub(crate) async fn offering(
    db: &TestDb,
    provider: &FakeProvider,
    tune: impl FnOnce(&mut OidcConfig),
) -> TestHub {
    let hub = TestHub::start(db).await;
    let mut config = config(provider, "");
    tune(&mut config);
    hub.offer(vec![way(config)], People::default()).await;
    hub
}

/// Goes out, and gives the query with which the provider sends back.
pub(crate) async fn go_out(client: &Client, provider: &FakeProvider, page: &str) -> String {
    let out = client.get(page).await.expect(302);
    provider.authorize(out.location())
}

pub(crate) async fn come_back(client: &Client, query: &str) -> Answer {
    client.get(&format!("/hub/oauth_callback?{query}")).await
}

async fn log_in(hub: &TestHub, provider: &FakeProvider) -> (Client, Answer) {
    let client = hub.client();
    let query = go_out(&client, provider, "/hub/oauth_login").await;
    let answer = come_back(&client, &query).await;
    (client, answer)
}

async fn user_of(client: &Client) -> Value {
    client.get("/hub/api/user").await.expect(200).json()
}

/// Whether nobody has a session in this browser, whatever it has been told.
async fn is_out(client: &Client) -> bool {
    client.get("/hub/api/user").await.status == 403
}

fn person(sub: &str, name: &str) -> Value {
    json!({"sub": sub, "preferred_username": name})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_leads_to_one_account_for_ever() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {}).await;
        let (ada, answer) = log_in(&hub, &provider).await;
        assert_eq!(answer.expect(302).location(), "/hub/home");
        assert_eq!(user_of(&ada).await["name"], "ada");
        // Her name changes there: she is the same here.
        provider.log_in(person("1", "ada.king"));
        let (ada, _) = log_in(&hub, &provider).await;
        assert_eq!(user_of(&ada).await["name"], "ada");
        // And whoever gets her old name there is not her.
        provider.log_in(person("2", "Ada"));
        let (other, answer) = log_in(&hub, &provider).await;
        assert!(
            answer
                .expect(403)
                .text()
                .contains("belongs to another account")
        );
        assert!(is_out(&other).await);
        // The new name is free, so it may be somebody's.
        provider.log_in(person("3", "ada.king"));
        let (king, _) = log_in(&hub, &provider).await;
        assert_eq!(user_of(&king).await["name"], "ada.king");
        // Renamed here by an administrator: still the same.
        let mut tx = hub.hub.db().write().await.expect("a database");
        let name = UserName::parse("ada").expect("a name");
        let row = db::users::find(&mut tx, &name)
            .await
            .expect("read")
            .expect("there");
        let countess = UserName::parse("countess").expect("a name");
        lyceum_hub::users::rename(&mut tx, &row, &countess, hub.hub.now())
            .await
            .expect("renamed");
        tx.commit().await.expect("kept");
        provider.log_in(person("1", "ada"));
        let (ada, _) = log_in(&hub, &provider).await;
        assert_eq!(user_of(&ada).await["name"], "countess");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_password_is_nobody_elses() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {})
        .await
        .with_account("ada")
        .await;
    let (client, answer) = log_in(&hub, &provider).await;
    assert!(
        answer
            .expect(403)
            .text()
            .contains("belongs to another account")
    );
    assert!(is_out(&client).await);
    // Nothing was made of it, and her own way in is open.
    let ada = hub.signed_in("ada").await;
    assert_eq!(user_of(&ada).await["name"], "ada");
    hub.stop().await;
}

async fn make(hub: &TestHub, name: &str, admin: bool) {
    let mut tx = hub.hub.db().write().await.expect("a database");
    let name = UserName::parse(name).expect("a name");
    let user = lyceum_hub::users::create(&mut tx, &name, hub.hub.now()).await;
    let user = user.expect("written").expect("made");
    if admin {
        let granted = lyceum_hub::users::grant_admin(&mut tx, &user, hub.hub.now()).await;
        granted.expect("granted");
    }
    tx.commit().await.expect("kept");
}

/// Somebody may choose her name at a provider: what was made here for a name is not hers for that.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_for_a_name_goes_to_nobody_unasked() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = TestHub::start(&db).await;
        make(&hub, "eve", false).await;
        make(&hub, "boss", true).await;
        make(&hub, "clerk", false).await;
        // One has it by the configuration, one by a role of her name.
        let root = UserName::parse("root").expect("a name");
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.admission.admins.insert(root.clone());
        let role = lyceum_hub::grants::Role {
            scopes: lyceum_model::scope::ScopeSet::parse(["admin:users"]).expect("scopes"),
            users: [UserName::parse("clerk").expect("a name")].into(),
            ..Default::default()
        };
        settings.grants.roles.insert("clerks".into(), role.clone());
        // One has it by a group of the configuration; somebody took her row away meanwhile.
        let grace = UserName::parse("grace").expect("a name");
        let role = lyceum_hub::grants::Role {
            users: Default::default(),
            groups: ["instructors".to_owned()].into(),
            ..role
        };
        settings.grants.roles.insert("instructing".into(), role);
        let group = lyceum_hub::grants::GroupWish {
            users: [grace.clone()].into(),
            ..Default::default()
        };
        settings.grants.groups.insert("instructors".into(), group);
        hub.hub.reload(settings).await;
        let mut tx = hub.hub.db().write().await.expect("a database");
        if let Some(row) = db::users::find(&mut tx, &grace).await.expect("read") {
            db::users::delete(&mut tx, &row.id).await.expect("deleted");
        }
        tx.commit().await.expect("committed");
        // And one is a teacher by the file of a course.
        hub.put_in_course("tess", "bio", CourseRole::Teacher);
        hub.put_in_course("stu", "bio", CourseRole::Student);
        let offer = async |people: bool, administrators: bool| {
            let mut config = config(&provider, "");
            config.mapping.adopts = Adopts {
                people,
                administrators,
            };
            let people = People {
                admins: [Who::Person(root.clone())].into_iter().collect(),
                ..People::default()
            };
            hub.offer(vec![way(config)], people).await;
        };
        let check = async |sub: &str, name: &str, status: u16| {
            provider.log_in(person(sub, name));
            let (client, answer) = log_in(&hub, &provider).await;
            assert_eq!(answer.status, status, "{name}");
            assert_eq!(is_out(&client).await, status != 302, "{name}");
            if status == 302 {
                assert_eq!(user_of(&client).await["name"], name);
            } else {
                assert!(answer.text().contains("was made here before"), "{name}");
            }
        };
        offer(false, false).await;
        for name in ["eve", "boss", "clerk", "root", "grace", "tess"] {
            check("1", name, 403).await;
        }
        check("7", "stu", 302).await;
        // Nothing was made of it.
        let mut tx = hub.hub.db().read().await.expect("a database");
        let row = db::users::find(&mut tx, &root).await.expect("read");
        assert!(row.is_none());
        drop(tx);
        offer(true, false).await;
        for name in ["boss", "clerk", "root"] {
            check("1", name, 403).await;
        }
        check("2", "eve", 302).await;
        offer(false, true).await;
        for (sub, name) in [("3", "boss"), ("4", "clerk"), ("5", "root")] {
            check(sub, name, 302).await;
        }
        // Once hers, it needs nobody's leave any more, and is nobody else's.
        offer(false, false).await;
        check("2", "eve", 302).await;
        check("5", "root", 302).await;
        provider.log_in(person("6", "eve"));
        let (_, answer) = log_in(&hub, &provider).await;
        let page = answer.expect(403).text();
        assert!(page.contains("belongs to another account"), "{page}");
        hub.stop().await;
    }
}

/// Many new people bring one name at the same moment: one gets it.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_bring_one_name_are_not_one() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {}).await;
        let mut waiting = Vec::new();
        for _ in 0..6 {
            let client = hub.client();
            let query = go_out(&client, &provider, "/hub/oauth_login").await;
            waiting.push((client, query));
        }
        provider.number_subjects();
        let came = waiting
            .iter()
            .map(|(client, query)| come_back(client, query));
        let came = futures_util::future::join_all(came).await;
        let came: Vec<u16> = came.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(
            came.iter().filter(|status| **status == 302).count(),
            1,
            "{came:?}"
        );
        assert_eq!(
            came.iter().filter(|status| **status == 403).count(),
            5,
            "{came:?}"
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_is_taken_once_and_by_one_browser() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |_| {}).await;
        let refused = async |client: &Client, query: &str, why: &str| {
            let answer = come_back(client, query).await;
            assert_eq!(answer.status, 403, "{why}");
            assert!(answer.text().contains("begin again"), "{why}");
            assert!(is_out(client).await, "{why}");
        };
        let ada = hub.client();
        let query = go_out(&ada, &provider, "/hub/oauth_login").await;
        refused(&hub.client(), &query, "a browser that never left").await;
        let eve = hub.client();
        let hers = go_out(&eve, &provider, "/hub/oauth_login").await;
        refused(&eve, &query, "another browser's").await;
        refused(&ada, &hers, "hers, planted at another").await;
        let doubled = format!("{query}&code=x");
        refused(&ada, &doubled, "two codes").await;
        let damaged = query.replace("state=sealed1", "state=sealed2");
        assert_ne!(damaged, query);
        refused(&ada, &damaged, "a changed state").await;
        refused(&ada, "code=x&state=y", "a made-up state").await;
        refused(&ada, "", "nothing").await;
        // Two cookies of a name: one was planted.
        let twice = hub.client();
        let query_of_two = go_out(&twice, &provider, "/hub/oauth_login").await;
        twice.plant(COOKIE, &"a".repeat(43), "/");
        refused(&twice, &query_of_two, "two cookies").await;
        // Two tabs of one browser may be away at once.
        let second = go_out(&ada, &provider, "/hub/oauth_login?next=/hub/token").await;
        assert_eq!(
            come_back(&ada, &query).await.expect(302).location(),
            "/hub/home"
        );
        let answer = come_back(&ada, &second).await.expect(302);
        assert_eq!(answer.location(), "/hub/token");
        // Once more, by who has the browser's secret and no session.
        let again = hub.client();
        again.plant(COOKIE, &ada.cookie(COOKIE).expect("kept"), "/hub/");
        refused(&again, &query, "taken before").await;
        // Who is in already and goes back in her browser comes to no harm.
        assert_eq!(
            come_back(&ada, &query).await.expect(302).location(),
            "/hub/home"
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stays_away_too_long_begins_again() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let clock = Clock::manual(Clock::system().now());
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
    hub.offer(vec![way(config(&provider, ""))], People::default())
        .await;
    let client = hub.client();
    let query = go_out(&client, &provider, "/hub/oauth_login").await;
    clock.advance(30 * 60 * 1_000);
    come_back(&client, &query).await.expect(403);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_let_nobody_in() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let (_, good) = log_in(&hub, &provider).await;
    good.expect(302);
    let check = async |what: &str, status: u16| {
        let (client, answer) = log_in(&hub, &provider).await;
        assert_eq!(answer.status, status, "{what}");
        assert!(is_out(&client).await, "{what}");
        let page = answer.text();
        assert!(
            !page.contains(CLIENT_SECRET) && !page.contains("code 1"),
            "{what}"
        );
        provider.as_usual();
    };
    for twist in [
        Twist::Unsigned,
        Twist::SignedWithSecret,
        Twist::ForeignKey,
        Twist::Tampered,
        Twist::Away,
        Twist::Huge,
        Twist::Redirect,
        Twist::Html,
    ] {
        provider.twist(Some(twist));
        check(&format!("{twist:?}"), 503).await;
    }
    provider.twist(Some(Twist::TakesAnyCode));
    // The code was stolen elsewhere and is brought here with a good state.
    let client = hub.client();
    let query = go_out(&client, &provider, "/hub/oauth_login").await;
    let stolen = query.replace("code=code", "code=stolen");
    assert_ne!(stolen, query);
    come_back(&client, &stolen).await.expect(503);
    provider.as_usual();
    come_back(&client, &query).await.expect(403);
    for (claim, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", Value::Null),
        ("aud", json!("another client")),
        ("aud", json!([CLIENT, "another client"])),
        ("azp", json!("another client")),
        ("exp", json!(1_000)),
        ("exp", Value::Null),
        ("iat", json!(9_999_999_999_i64)),
        ("nonce", json!("of another journey")),
        ("nonce", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("")),
    ] {
        provider.replace(claim, value.clone());
        check(&format!("{claim} {value}"), 503).await;
    }
    provider.replace("preferred_username", json!("../root"));
    check("a name that can't be", 403).await;
    let (_, good) = log_in(&hub, &provider).await;
    good.expect(302);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_providers_are_not_mixed_up() {
    let db = TestDb::sqlite().await;
    let (honest, evil) = (FakeProvider::start().await, FakeProvider::start().await);
    evil.twist(Some(Twist::TakesAnyCode));
    let hub = TestHub::start(&db).await;
    let ways = vec![way(config(&honest, "")), way(config(&evil, "staff"))];
    hub.offer(ways, People::default()).await;
    // She left for one and comes back from the other, which would learn her code.
    let ada = hub.client();
    let query = go_out(&ada, &honest, "/hub/oauth_login").await;
    let page = format!("/hub/oauth_callback/staff?{query}");
    ada.get(&page).await.expect(403);
    assert!(is_out(&ada).await);
    let query = go_out(&ada, &evil, "/hub/oauth_login/staff").await;
    come_back(&ada, &query).await.expect(403);
    assert!(is_out(&ada).await);
    // One mark at two places is two people.
    log_in(&hub, &honest).await.1.expect(302);
    evil.as_usual();
    let ada = hub.client();
    let query = go_out(&ada, &evil, "/hub/oauth_login/staff").await;
    let answer = ada.get(&format!("/hub/oauth_callback/staff?{query}")).await;
    assert!(
        answer
            .expect(403)
            .text()
            .contains("belongs to another account")
    );
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_says_who_it_is() {
    let db = TestDb::sqlite().await;
    let check = async |twist: Twist, more: &str, status: u16| {
        let provider = FakeProvider::start().await;
        provider.twist(Some(twist));
        let hub = offering(&db, &provider, |_| {}).await;
        let client = hub.client();
        let query = go_out(&client, &provider, "/hub/oauth_login").await;
        let answer = come_back(&client, &format!("{query}{more}")).await;
        assert_eq!(answer.status, status, "{twist:?} {more}");
        hub.stop().await;
    };
    check(Twist::SaysIssuer, "", 302).await;
    check(Twist::SaysIssuer, "&iss=https%3A%2F%2Fevil.example", 403).await;
    check(Twist::PromisesIssuer, "", 403).await;
    check(
        Twist::PromisesIssuer,
        "&iss=https%3A%2F%2Fevil.example",
        403,
    )
    .await;
    check(Twist::Redirect, "&iss=https%3A%2F%2Fevil.example", 403).await;
    // It is somebody else from the start: nobody is sent there.
    let provider = FakeProvider::start().await;
    provider.twist(Some(Twist::OtherIssuer));
    let hub = offering(&db, &provider, |_| {}).await;
    hub.client().get("/hub/oauth_login").await.expect(503);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_found_and_asked_for_seldom() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    log_in(&hub, &provider).await.1.expect(302);
    log_in(&hub, &provider).await.1.expect(302);
    assert_eq!(provider.times_asked_for_keys(), 1);
    provider.rotate();
    log_in(&hub, &provider).await.1.expect(302);
    assert_eq!(provider.times_asked_for_keys(), 2);
    provider.twist(Some(Twist::ForeignKey));
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        log_in(&hub, &provider).await.1.expect(503);
    }
    // Once in five seconds, however many come meanwhile.
    let most = 4 + begun.elapsed().as_secs() / 5;
    assert!(u64::try_from(provider.times_asked_for_keys()).expect("few") <= most);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_holds_nobody_up() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.twist(Some(Twist::Silent));
    let hub = offering(&db, &provider, |_| {})
        .await
        .with_user("ben")
        .await;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let client = hub.client();
            tokio::spawn(async move { client.get("/hub/oauth_login").await })
        })
        .collect();
    for _ in 0..3 {
        hub.signed_in("ben").await;
    }
    // All of them are told after the time that one of them takes.
    for one in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(60), one).await;
        let answer = answer.expect("it ends").expect("told").expect(503);
        assert!(answer.text().contains("answer as it should"));
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_unless_named() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = TestHub::start(&db).await;
    let who = |text: &str| Who::Person(UserName::parse(text).expect("a name"));
    let check = async |allow: Option<Rule>, people: People, said: Value, status: u16| {
        let mut config = config(&provider, "");
        config.mapping.allow = allow.clone();
        hub.offer(vec![way(config)], people).await;
        provider.log_in(said.clone());
        let (client, answer) = log_in(&hub, &provider).await;
        assert_eq!(answer.status, status, "{allow:?} {said}");
        assert_eq!(is_out(&client).await, status != 302);
        if status != 302 {
            assert!(answer.text().contains("admitted"), "{allow:?} {said}");
        }
    };
    let staff = |groups: Value| json!({"sub": "1", "preferred_username": "ada", "groups": groups});
    check(None, People::default(), staff(json!([])), 403).await;
    check(
        Some(Rule::default()),
        People::default(),
        staff(json!([])),
        403,
    )
    .await;
    let people = || People {
        allow: Some([who("ada")].into_iter().collect()),
        ..People::default()
    };
    check(None, people(), staff(json!([])), 302).await;
    check(None, people(), person("2", "eve"), 403).await;
    let rule = Some(in_group("staff"));
    check(
        rule.clone(),
        People::default(),
        staff(json!(["staff"])),
        302,
    )
    .await;
    check(
        rule.clone(),
        People::default(),
        staff(json!(["staffs"])),
        403,
    )
    .await;
    // Named as an administrator here, but not whom the provider's rule means.
    let admins = || People {
        admins: [who("root")].into_iter().collect(),
        ..People::default()
    };
    check(rule.clone(), admins(), person("9", "root"), 403).await;
    // Blocked by the name she has here, whatever she is called there now.
    let blocked = || People {
        block: [who("ada")].into_iter().collect(),
        ..People::default()
    };
    check(Some(everyone()), blocked(), person("1", "innocent"), 403).await;
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_roles_come_and_go_with_the_provider() {
    for db in TestDb::both().await {
        let provider = FakeProvider::start().await;
        let hub = offering(&db, &provider, |config| {
            config.mapping.admins = Some(in_group("it"));
        })
        .await;
        let told = async |groups: Value| {
            provider.log_in(json!({"sub": "1", "preferred_username": "ada"}));
            provider
                .tell_in_userinfo(json!({"groups": groups, "name": "Ada Lovelace", "iss": "x"}));
            let (client, answer) = log_in(&hub, &provider).await;
            answer.expect(302);
            let user = user_of(&client).await;
            (user["groups"].clone(), user["admin"].clone(), client)
        };
        let (groups, admin, _) = told(json!(["staff", "chess"])).await;
        assert_eq!((groups, admin), (json!(["chess", "staff"]), json!(false)));
        // Somebody here puts her into another one, and into one that the provider tells as well.
        let mut tx = hub.hub.db().write().await.expect("a database");
        let name = UserName::parse("ada").expect("a name");
        let ada = db::users::find(&mut tx, &name)
            .await
            .expect("read")
            .expect("there");
        assert_eq!(ada.display_name.as_deref(), Some("Ada Lovelace"));
        for group in ["here", "both"] {
            db::groups::ensure(&mut tx, group, hub.hub.now())
                .await
                .expect("made");
            db::groups::add_member(&mut tx, group, &ada.id)
                .await
                .expect("in");
        }
        tx.commit().await.expect("kept");
        let (groups, admin, client) = told(json!(["it", "both", "chess"])).await;
        assert_eq!(
            (groups, admin),
            (json!(["both", "chess", "here", "it"]), json!(true))
        );
        client.get("/hub/admin").await.expect(200);
        let (groups, admin, _) = told(json!([])).await;
        assert_eq!((groups, admin), (json!(["both", "here"]), json!(false)));
        // What she held by the provider is gone in browsers that were open, too.
        client.get("/hub/admin").await.expect(403);
        // A role that was given here is not the provider's to take.
        let mut tx = hub.hub.db().write().await.expect("a database");
        let ada = db::users::find(&mut tx, &name)
            .await
            .expect("read")
            .expect("there");
        lyceum_hub::users::grant_admin(&mut tx, &ada, hub.hub.now())
            .await
            .expect("given");
        tx.commit().await.expect("kept");
        let (_, admin, _) = told(json!([])).await;
        assert_eq!(admin, json!(true));
        provider.twist(Some(Twist::OtherInUserinfo));
        log_in(&hub, &provider).await.1.expect(503);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_she_wanted_to_go_is_here() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let check = async |next: &str, expect: &str| {
        let client = hub.client();
        let coded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = format!("/hub/oauth_login?next={coded}");
        let query = go_out(&client, &provider, &page).await;
        let answer = come_back(&client, &query).await.expect(302);
        assert_eq!(answer.location(), expect, "{next}");
    };
    check("/hub/token", "/hub/token").await;
    check("//evil.example", "/hub/home").await;
    check("https://evil.example/", "/hub/home").await;
    check("/\\evil.example", "/hub/home").await;
    check("javascript:alert(1)", "/hub/home").await;
    check(&format!("/hub/{}", "a".repeat(3_000)), "/hub/home").await;
    // The log-in page keeps the wish; who is here by another name of the host goes to the one first.
    let page = hub
        .client()
        .get("/hub/login?next=/hub/token")
        .await
        .expect(200);
    assert!(
        page.text().contains("/hub/oauth_login?next=%2Fhub%2Ftoken"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("Log in with University account"));
    let there = hub.client().at("other.localhost");
    let sent = there
        .get("/hub/oauth_login?next=/hub/token")
        .await
        .expect(302);
    let own = format!(
        "http://{}/hub/oauth_login?next=%2Fhub%2Ftoken",
        hub.address()
    );
    assert_eq!(sent.location(), own);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_out_offers_to_log_out_there() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {})
        .await
        .with_user("ben")
        .await;
    let (ada, _) = log_in(&hub, &provider).await;
    let answer = ada.post_form("/hub/logout", &[]).await.expect(200);
    assert!(is_out(&ada).await);
    let page = answer.text();
    assert!(page.contains("Log out of University account too"), "{page}");
    let back: String = url::form_urlencoded::byte_serialize(
        format!("http://{}/hub/login", hub.address()).as_bytes(),
    )
    .collect();
    assert!(
        page.contains(&format!("post_logout_redirect_uri={back}")),
        "{page}"
    );
    assert_eq!(header(&answer, "refresh"), "");
    // Who came by a password is logged in nowhere else.
    let ben = hub.signed_in("ben").await;
    ben.post_form("/hub/logout", &[]).await.expect(302);
    hub.stop().await;
    let hub = offering(&db, &provider, |config| config.log_out_there = true).await;
    let (ada, _) = log_in(&hub, &provider).await;
    let answer = ada.post_form("/hub/logout", &[]).await.expect(200);
    let goes_on = format!("0; url={}/logout?x=1&client_id=lyceum", provider.issuer());
    assert!(header(&answer, "refresh").starts_with(&goes_on));
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_her_mind_is_told_so_and_passwords_go_on() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {})
        .await
        .with_user("ben")
        .await;
    let client = hub.client();
    let query = go_out(&client, &provider, "/hub/oauth_login?next=/hub/token").await;
    let state = url::form_urlencoded::parse(query.as_bytes());
    let state = state
        .into_owned()
        .find(|(key, _)| key == "state")
        .expect("a state")
        .1;
    let query = format!("error=access_denied&error_description=%3Cb%3E&state={state}");
    let page = come_back(&client, &query).await.expect(403).text();
    assert!(page.contains("You were not logged in there"), "{page}");
    assert!(page.contains("next=%2Fhub%2Ftoken"), "the wish is kept");
    let fields = [("username", "ben"), ("password", PASSWORD)];
    client.post_form("/hub/login", &fields).await.expect(302);
    hub.stop().await;
}

/// Guessing at states costs what guessing at passwords costs.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_ways_back_are_slowed_down() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    let hub = offering(&db, &provider, |_| {}).await;
    let client = hub.client();
    go_out(&client, &provider, "/hub/oauth_login").await;
    let mut last = None;
    for number in 0..1_000 {
        let answer = come_back(&client, &format!("code=a&state=guess{number}")).await;
        let is_refused = answer.status == 403;
        last = Some(answer);
        if !is_refused {
            break;
        }
    }
    let answer = last.expect("an answer").expect(429);
    assert_ne!(header(&answer, "retry-after"), "");
    hub.stop().await;
}
