//! The provider is asked again about those who are here: who is disabled there is out, what changed of her
//! changes, and a provider that is away logs nobody out.

use lyceum_auth::OAuth2;
use lyceum_hub::refreshing;
use lyceum_hub::{Settings, Timings};
use lyceum_model::clock::Millis;
use lyceum_store::on;

use super::*;

mod meanwhile;
mod used;

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);
/// More than [`EVERY`] with its chance.
const DUE_MS: i64 = 6 * 60_000;

fn at_nine() -> Clock {
    let now = Clock::system().now();
    Clock::manual(now)
}

/// Rounds are for the tests to begin.
fn at_rest(_: &mut Settings, timings: &mut Timings) {
    timings.refresh_every = Duration::from_secs(24 * 3600);
    // Who waits for an answer gets it, however busy the machine is.
    timings.refresh_patience = LONG;
}

/// Nobody waits for an answer.
fn impatient(settings: &mut Settings, timings: &mut Timings) {
    at_rest(settings, timings);
    timings.refresh_patience = Duration::ZERO;
}

type Tune = fn(&mut Settings, &mut Timings);

async fn start(db: &TestDb, clock: &Clock, tune: Tune) -> TestHub {
    let own = db.db().clone();
    TestHub::start_tuned_at(own, FakeSpawner::default(), clock.clone(), tune).await
}

async fn offering_at(
    db: &TestDb,
    provider: &FakeProvider,
    clock: &Clock,
    tune: impl FnOnce(&mut OidcConfig),
) -> TestHub {
    offering_tuned(db, provider, clock, at_rest, tune).await
}

async fn offering_tuned(
    db: &TestDb,
    provider: &FakeProvider,
    clock: &Clock,
    times: Tune,
    tune: impl FnOnce(&mut OidcConfig),
) -> TestHub {
    let hub = start(db, clock, times).await;
    let mut config = config(provider, "");
    tune(&mut config);
    hub.offer(vec![way(config)], People::default()).await;
    hub
}

async fn comes(hub: &TestHub, provider: &FakeProvider, claims: Value) -> Client {
    provider.log_in(claims);
    let (client, answer) = log_in(hub, provider).await;
    answer.expect(302);
    client
}

async fn round(hub: &TestHub) {
    refreshing::round(&hub.hub, "", || false).await;
}

/// So much later, somebody having been there meanwhile.
async fn later(hub: &TestHub, clock: &Clock, milliseconds: i64) {
    clock.advance(milliseconds);
    let now = hub.hub.now().0;
    let mut tx = hub.hub.db().write().await.expect("a database");
    on!(tx, |c| sqlx::query("UPDATE sessions SET seen_at = $1")
        .bind(now)
        .execute(c)
        .await
        .map(|_| ()))
    .expect("written");
    tx.commit().await.expect("kept");
}

/// What the log-in page of this browser says.
async fn told_at_log_in(client: &Client) -> String {
    client.get("/hub/login").await.expect(200).text()
}

fn in_groups(sub: &str, name: &str, groups: &[&str]) -> Value {
    json!({"sub": sub, "preferred_username": name, "groups": groups})
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_there_is_out_and_told_why() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let folder = tempfile::tempdir().expect("a folder");
        hub.hub
            .event_log()
            .open(Some(lyceum_hub::event_log::Target {
                file: folder.path().join("events"),
                size: 1_000_000,
                keep: 1,
            }));
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        let eve = comes(&hub, &provider, person("2", "eve")).await;
        provider.disable("1");
        // Not yet due.
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 0);
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 2);
        assert!(is_out(&ada).await && !is_out(&eve).await);
        let page = told_at_log_in(&ada).await;
        assert!(page.contains("has ended there"), "{page}");
        assert!(
            !told_at_log_in(&hub.client())
                .await
                .contains("has ended there")
        );
        // Once is enough.
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 3);
        hub.hub.event_log().close();
        let log = std::fs::read_to_string(folder.path().join("events")).expect("a log");
        let out: Vec<&str> = log.lines().filter(|line| line.contains("reason")).collect();
        assert_eq!(out.len(), 1, "{log}");
        assert!(
            out[0].contains(r#""reason":"ended at the provider""#),
            "{log}"
        );
        assert!(out[0].contains(r#""username":"ada""#), "{log}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_of_her_there_changes_here() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(false);
        let hub = offering_at(&db, &provider, &clock, |config| {
            config.mapping.allow = Some(in_group("uni"));
            config.mapping.admins = Some(in_group("it"));
        })
        .await;
        let ada = comes(&hub, &provider, in_groups("1", "ada", &["uni", "it"])).await;
        let seen = async || {
            let user = user_of(&ada).await;
            (
                user["groups"].clone(),
                user["admin"].clone(),
                user["name"].clone(),
            )
        };
        assert_eq!(
            seen().await,
            (json!(["it", "uni"]), json!(true), json!("ada"))
        );
        // Another name there is none here, as at a log-in.
        provider.change(in_groups("1", "ada.king", &["uni", "physics"]));
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(
            seen().await,
            (json!(["physics", "uni"]), json!(false), json!("ada"))
        );
        // What somebody here did is left alone as long as nothing is new there.
        let mut tx = hub.hub.db().write().await.expect("a database");
        let name = UserName::parse("ada").expect("a name");
        let row = db::users::find(&mut tx, &name)
            .await
            .expect("read")
            .expect("there");
        db::groups::remove_member(&mut tx, "physics", &row.id)
            .await
            .expect("written");
        tx.commit().await.expect("kept");
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(seen().await.0, json!(["uni"]));
        provider.change(in_groups("1", "ada.king", &["uni", "it"]));
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(seen().await.1, json!(true));
        let program = hub.client().with_token(&hub.token("ada").await);
        // Who is not let in any more loses what her place gave her, with whatever she holds.
        provider.change(in_groups("1", "ada.king", &["it"]));
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert!(is_out(&ada).await);
        let user = user_of(&program).await;
        assert_eq!(
            (&user["admin"], &user["groups"]),
            (&json!(false), &json!([]))
        );
        let page = told_at_log_in(&ada).await;
        assert!(page.contains("admitted here any more"), "{page}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_this_place_are_looked_at_again() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    provider.give_refresh_tokens(true);
    let hub = offering_at(&db, &provider, &clock, |_| {}).await;
    let ada = comes(&hub, &provider, person("1", "ada")).await;
    let people = People {
        block: [Who::Person(UserName::parse("ada").expect("a name"))]
            .into_iter()
            .collect(),
        ..People::default()
    };
    hub.offer(vec![way(config(&provider, ""))], people).await;
    later(&hub, &clock, DUE_MS).await;
    round(&hub).await;
    assert!(is_out(&ada).await);
    hub.stop().await;
}

/// An outage, or nonsense, is no news of anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_or_talks_nonsense_logs_nobody_out() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |config| {
            config.mapping.allow = Some(in_group("uni"));
        })
        .await;
        let ada = comes(&hub, &provider, in_groups("1", "ada", &["uni"])).await;
        let unclear = async |what: &str, pause: i64| {
            let before = provider.times_asked();
            later(&hub, &clock, pause).await;
            round(&hub).await;
            assert!(provider.times_asked() > before, "{what}");
            assert!(!is_out(&ada).await, "{what}");
            let user = user_of(&ada).await;
            assert_eq!(user["groups"], json!(["uni"]), "{what}");
        };
        let day = 24 * 3_600_000;
        for twist in [
            Twist::Away,
            Twist::Html,
            Twist::Huge,
            Twist::Redirect,
            Twist::Unsigned,
            Twist::SignedWithSecret,
            Twist::ForeignKey,
            Twist::Tampered,
            Twist::Overloaded,
            Twist::UnknownClient,
            Twist::NoWithYes,
        ] {
            provider.twist(Some(twist));
            unclear(&format!("{twist:?}"), DUE_MS).await;
            // By then everything may be asked again.
            later(&hub, &clock, 3_600_000).await;
        }
        for (claim, value) in [
            ("sub", json!("2")),
            ("iss", json!("https://evil.example")),
            ("aud", json!("another client")),
            ("nonce", json!("of another sign-in")),
            ("exp", json!(1_000)),
            ("_claim_names", json!({"groups": "src1"})),
        ] {
            provider.as_usual();
            provider.replace(claim, value);
            unclear(claim, 3_600_000).await;
        }
        // All the tokens that came meanwhile were kept, though nothing else was.
        provider.as_usual();
        provider.change(in_groups("1", "ada", &["uni", "physics"]));
        later(&hub, &clock, day).await;
        round(&hub).await;
        assert_eq!(user_of(&ada).await["groups"], json!(["physics", "uni"]));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_asked_about_seldom_and_no_longer_than_is_allowed() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |config| {
            config.renewing = Some(Renewing {
                grace: Some(Duration::from_secs(3600)),
                ..EVERY
            });
        })
        .await;
        let mut all = Vec::new();
        for number in 0..20 {
            let (sub, name) = (number.to_string(), format!("user{number}"));
            all.push(comes(&hub, &provider, person(&sub, &name)).await);
        }
        provider.twist(Some(Twist::Overloaded));
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        // The first ones at once; then it is left alone for a while.
        let first = provider.times_refreshed();
        assert!(first <= 16, "{first}");
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), first);
        later(&hub, &clock, 31_000).await;
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), first + 1, "one tries");
        for client in &all {
            assert!(!is_out(client).await);
        }
        // Beyond that time whoever is not confirmed is out, without that it is asked about each.
        later(&hub, &clock, 3_600_000).await;
        round(&hub).await;
        assert!(provider.times_refreshed() <= first + 2);
        for client in &all {
            assert!(is_out(client).await);
        }
        let page = told_at_log_in(&all[0]).await;
        assert!(page.contains("for a long time"), "{page}");
        hub.stop().await;
    }
}

/// Nobody was asked about over a night: that the first one can't be asked about is no reason yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_and_a_moment_are_not_a_long_outage() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |config| {
            config.renewing = Some(Renewing {
                grace: Some(Duration::from_secs(3600)),
                ..EVERY
            });
        })
        .await;
        let mut all = Vec::new();
        for number in 0..5 {
            let (sub, name) = (number.to_string(), format!("user{number}"));
            all.push(comes(&hub, &provider, person(&sub, &name)).await);
        }
        clock.advance(10 * 3_600_000);
        provider.twist(Some(Twist::Overloaded));
        round(&hub).await;
        provider.as_usual();
        clock.advance(40_000);
        round(&hub).await;
        for client in &all {
            assert!(!is_out(client).await);
        }
        // Each by itself is out when it has been asked about often enough.
        let ended = async |hub: &TestHub| {
            let mut tx = hub.hub.db().read().await.expect("a database");
            let rows: i64 = on!(tx, |c| sqlx::query_scalar(
                "SELECT COUNT(*) FROM session_ends"
            )
            .fetch_one(c)
            .await)
            .expect("read");
            rows
        };
        assert_eq!(ended(&hub).await, 0);
        provider.replace("aud", json!("another client"));
        for tried in 0..3 {
            assert_eq!(ended(&hub).await, 0, "{tried}");
            later(&hub, &clock, 3_600_000 + DUE_MS).await;
            round(&hub).await;
        }
        assert_eq!(ended(&hub).await, 5);
        hub.stop().await;
    }
}

/// Tokens that are good once: a second use of one would end the whole log-in there.
#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_use_no_token_twice() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let other = TestHub::start_tuned_at(
            db.another().await,
            hub.spawner.clone(),
            clock.clone(),
            at_rest,
        )
        .await;
        other
            .offer(vec![way(config(&provider, ""))], People::default())
            .await;
        let ada = comes(&hub, &provider, person("1", "ada")).await;
        for turn in 1..=3 {
            later(&hub, &clock, DUE_MS).await;
            provider.hold(true);
            let asking = tokio::spawn({
                let hub = hub.hub.clone();
                async move { refreshing::round(&hub, "", || false).await }
            });
            let asked = async {
                while provider.times_refreshed() < turn {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LONG, asked)
                .await
                .expect("it is asked");
            // The first waits for its answer; the second one finds nothing to do.
            let nothing = tokio::time::timeout(LONG, round(&other)).await;
            nothing.expect("it asks nobody");
            assert_eq!(provider.times_refreshed(), turn);
            provider.hold(false);
            asking.await.expect("asked");
            assert!(!is_out(&ada).await);
        }
        // Whoever dies with the answer has lost the token: then she has to log in again.
        later(&hub, &clock, DUE_MS).await;
        let old = grant_of(&hub).await;
        round(&hub).await;
        put_back(&hub, &old).await;
        later(&hub, &clock, DUE_MS).await;
        round(&other).await;
        assert!(is_out(&ada).await);
        other.stop().await;
        hub.stop().await;
    }
}

async fn grant_of(hub: &TestHub) -> String {
    let mut tx = hub.hub.db().read().await.expect("a database");
    on!(tx, |c| sqlx::query_scalar(
        "SELECT refresh_grant FROM sessions"
    )
    .fetch_one(c)
    .await)
    .expect("a grant")
}

async fn put_back(hub: &TestHub, grant: &str) {
    let mut tx = hub.hub.db().write().await.expect("a database");
    on!(tx, |c| sqlx::query(
        "UPDATE sessions SET refresh_grant = $1"
    )
    .bind(grant)
    .execute(c)
    .await
    .map(|_| ()))
    .expect("written");
    tx.commit().await.expect("kept");
}

/// All by itself, in an ordinary hub.
#[tokio::test(flavor = "multi_thread")]
async fn it_happens_in_the_background() {
    let db = TestDb::sqlite().await;
    let provider = FakeProvider::start().await;
    provider.give_refresh_tokens(true);
    let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), |_, timings| {
        timings.refresh_every = Duration::from_millis(10);
    })
    .await;
    let mut config = config(&provider, "");
    config.renewing = Some(Renewing {
        every: Duration::from_millis(50),
        grace: None,
    });
    hub.offer(vec![way(config)], People::default()).await;
    let ada = comes(&hub, &provider, person("1", "ada")).await;
    let often = async {
        while provider.times_refreshed() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(!is_out(&ada).await);
        provider.disable("1");
        while !is_out(&ada).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, often).await.expect("she is out");
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_can_be_read_by_nobody() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |_| {}).await;
        let _ada = comes(&hub, &provider, person("1", "ada")).await;
        let sealed = grant_of(&hub).await;
        assert!(sealed.starts_with("sealed1."), "{sealed}");
        for token in provider.refresh_tokens() {
            assert!(!sealed.contains(&token));
        }
        // In another row it opens nothing: nobody is asked with it.
        let _eve = comes(&hub, &provider, person("2", "eve")).await;
        put_back(&hub, &sealed).await;
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        assert_eq!(provider.times_refreshed(), 1);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gave_nothing_to_ask_with_is_not_asked_about() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    let hub = offering_at(&db, &provider, &clock, |_| {}).await;
    let ada = comes(&hub, &provider, person("1", "ada")).await;
    provider.give_refresh_tokens(true);
    hub.stop().await;
    let hub = offering_at(&db, &provider, &clock, |config| config.renewing = None).await;
    let eve = comes(&hub, &provider, person("2", "eve")).await;
    provider.disable("1").disable("2");
    later(&hub, &clock, DUE_MS).await;
    round(&hub).await;
    assert_eq!(provider.times_refreshed(), 0);
    assert!(!is_out(&eve).await);
    drop(ada);
    hub.stop().await;
}

/// Userinfo says what the new token does not; without an ID token it has to tell all of it.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_asked_as_at_a_log_in() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    provider.give_refresh_tokens(true);
    let hub = offering_at(&db, &provider, &clock, |_| {}).await;
    provider.tell_in_userinfo(json!({"groups": ["uni"]}));
    let ada = comes(&hub, &provider, person("1", "ada")).await;
    let after = async |twist: Option<Twist>| {
        provider.as_usual();
        provider.twist(twist);
        later(&hub, &clock, 3_600_000).await;
        round(&hub).await;
    };
    // It tells no groups, which were told at the log-in: that she is in none any more is not said.
    provider.tell_in_userinfo(json!({}));
    after(Some(Twist::NoIdToken)).await;
    assert_eq!(user_of(&ada).await["groups"], json!(["uni"]));
    provider.tell_in_userinfo(json!({"groups": []}));
    after(Some(Twist::UserinfoBreaks)).await;
    after(Some(Twist::OtherInUserinfo)).await;
    assert_eq!(user_of(&ada).await["groups"], json!(["uni"]));
    after(None).await;
    assert_eq!(user_of(&ada).await["groups"], json!([]));
    provider.tell_in_userinfo(json!({"groups": ["bio"]}));
    after(Some(Twist::NoIdToken)).await;
    assert_eq!(user_of(&ada).await["groups"], json!(["bio"]));
    // The ID token has no groups, so userinfo is asked, which does not take a token that is a second old:
    // a fault there, for the refresh token was good.
    for _ in 0..3 {
        after(Some(Twist::RefusesAccess)).await;
        assert!(!is_out(&ada).await);
    }
    assert_eq!(user_of(&ada).await["groups"], json!(["bio"]));
    hub.stop().await;
}

/// A token that has become thinner than that of the log-in takes nothing away.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_any_more_stays() {
    let db = TestDb::sqlite().await;
    let (provider, clock) = (FakeProvider::start().await, at_nine());
    provider.give_refresh_tokens(true);
    let hub = offering_at(&db, &provider, &clock, |config| {
        config.mapping.allow = Some(in_group("uni"));
    })
    .await;
    let ada = comes(&hub, &provider, in_groups("1", "ada", &["uni", "bio"])).await;
    provider.replace("groups", Value::Null);
    later(&hub, &clock, DUE_MS).await;
    round(&hub).await;
    assert!(!is_out(&ada).await);
    assert_eq!(user_of(&ada).await["groups"], json!(["bio", "uni"]));
    // Her name is not told so that one could be made of it: the rest counts all the same.
    provider
        .as_usual()
        .replace("preferred_username", json!("no name at all"));
    provider.change(in_groups("1", "ada", &["uni"]));
    later(&hub, &clock, DUE_MS).await;
    round(&hub).await;
    assert_eq!(user_of(&ada).await["groups"], json!(["uni"]));
    assert_eq!(user_of(&ada).await["name"], "ada");
    hub.stop().await;
}

/// What was said of her in another of her browsers goes as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_browser_brought_goes_with_it() {
    for db in TestDb::both().await {
        let (provider, clock) = (FakeProvider::start().await, at_nine());
        provider.give_refresh_tokens(true);
        let hub = offering_at(&db, &provider, &clock, |config| {
            config.mapping.admins = Some(in_group("it"));
        })
        .await;
        let one = comes(&hub, &provider, in_groups("1", "ada", &["uni"])).await;
        let other = comes(&hub, &provider, in_groups("1", "ada", &["uni", "it"])).await;
        assert_eq!(user_of(&one).await["admin"], true);
        other.post_form("/hub/logout", &[]).await.expect(200);
        // The first one hears the same as at its log-in.
        provider.change(in_groups("1", "ada", &["uni"]));
        later(&hub, &clock, DUE_MS).await;
        round(&hub).await;
        let user = user_of(&one).await;
        assert_eq!(user["admin"], false);
        assert_eq!(user["groups"], json!(["uni"]));
        hub.stop().await;
    }
}

/// Plain OAuth: by a refresh token, or by an access token that does not end.
#[tokio::test(flavor = "multi_thread")]
async fn plain_oauth_is_asked_with_what_there_is() {
    for db in TestDb::both().await {
        let clock = at_nine();
        let after = async |lasting: bool, refresh: bool, by_access: bool| {
            let provider = FakeProvider::start().await;
            if lasting {
                provider.give_lasting_access();
            }
            if refresh {
                provider.give_refresh_tokens(true);
            }
            let hub = start(&db, &clock, at_rest).await;
            let mut config = super::oauth2::config(&provider);
            config.by_access_token = by_access;
            let way: Arc<dyn Elsewhere> = Arc::new(OAuth2::new(config).expect("a way in"));
            hub.offer(vec![way], People::default()).await;
            // Each provider is another one, and its people are.
            let name = format!("u{lasting}{refresh}{by_access}").to_ascii_lowercase();
            let ada = comes(&hub, &provider, person("1", &name)).await;
            later(&hub, &clock, DUE_MS).await;
            round(&hub).await;
            provider.twist(Some(Twist::Away));
            later(&hub, &clock, DUE_MS).await;
            round(&hub).await;
            assert!(!is_out(&ada).await, "{name}");
            provider.as_usual();
            provider.disable("1");
            later(&hub, &clock, 3_600_000).await;
            round(&hub).await;
            if lasting && by_access {
                assert!(!is_out(&ada).await, "the first time may be a slip");
                later(&hub, &clock, 3_600_000).await;
                round(&hub).await;
            }
            let out = is_out(&ada).await;
            hub.stop().await;
            out
        };
        assert!(after(false, true, false).await);
        assert!(after(true, false, true).await);
        assert!(!after(false, false, true).await, "it says that it ends");
        assert!(!after(true, false, false).await, "nobody wanted that");
    }
}

/// Nothing is left of those reasons when the sessions would have ended by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_forgotten() {
    for db in TestDb::both().await {
        let mut tx = db.db().write().await.expect("a database");
        for (cookie, until) in [("old", 10), ("new", 20)] {
            let noted = db::refreshes::note_end(&mut tx, cookie, "x", until).await;
            noted.expect("written");
        }
        let now = Millis(10);
        db::refreshes::prune_ends(&mut tx, now.0)
            .await
            .expect("pruned");
        let old = db::refreshes::why_ended(&mut tx, "old")
            .await
            .expect("read");
        let new = db::refreshes::why_ended(&mut tx, "new")
            .await
            .expect("read");
        assert_eq!((old, new), (None, Some("x".into())));
    }
}
