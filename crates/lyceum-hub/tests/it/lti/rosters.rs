//! A platform tells who is in its course: people come and go here as they do there.

use std::collections::BTreeSet;
use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_model::identity::Subject;
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::on;
use lyceum_testkit::fake::FakeSpawner;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::courses::link;
use super::*;

/// A hub that asks this platform without delay; it knows our keys.
async fn asking(db: &TestDb, platform: &FakePlatform) -> TestHub {
    let clock = Clock::manual(Clock::system().now());
    let spawner = FakeSpawner::default();
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock, |_, timings| {
        timings.rosters_every = Duration::from_millis(20);
    })
    .await;
    platform.register(&address(&hub, LAUNCH));
    let lti = Lti::new(config(platform, ""), Clock::system()).expect("a platform");
    let lti = lti.with_tool(tool_of(db, &Clock::system()));
    hub.offer_platforms(vec![Arc::new(lti)], People::default())
        .await;
    link(&hub, ":context:42", "bio");
    let keys = hub.client().get("/hub/lti13/jwks").await.expect(200).json();
    platform.know_tool(keys);
    hub
}

/// Who is what in the course: `ada student`.
async fn people(hub: &TestHub) -> Vec<String> {
    let mut tx = hub.hub.db().read().await.expect("a database");
    let mut found = Vec::new();
    for role in CourseRole::ALL {
        let group = format!("lti::context:42/{}", role.as_str());
        let members = lyceum_hub::db::groups::members(&mut tx, &group).await;
        let members = members.expect("read");
        found.extend(
            members
                .iter()
                .map(|name| format!("{name} {}", role.as_str())),
        );
    }
    found.sort();
    found
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(done.is_ok(), "waited in vain: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_go_as_they_do_there() {
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = asking(&db, &platform).await;
        for (mark, name) in [("1", "ada"), ("2", "ben"), ("3", "cleo"), ("4", "dora")] {
            platform.log_in(mark, name);
            come(&hub, &platform, "/").await.1.expect(302);
        }
        assert_eq!(people(&hub).await.len(), 4);
        // Ben is away for good, Cleo helps from now on, Dora is somewhere on the next page; one has never
        // been here.
        platform.enrol(&[
            ("1", &["Learner"], "Active"),
            ("9", &["Learner"], "Active"),
            ("3", &["Instructor"], "Active"),
            ("2", &["Learner"], "Inactive"),
            ("4", &["Learner"], "Active"),
        ]);
        platform.log_in("1", "ada");
        let (ada, _) = come(&hub, &platform, "/").await;
        let expect = ["ada student", "cleo teacher", "dora student"];
        until("the course there", async || people(&hub).await == expect).await;
        assert_eq!(platform.refusal(), None);
        assert_eq!(name_of(&ada).await, "ada");
        // Nobody asks once more without a reason.
        come(&hub, &platform, "/").await.1.expect(302);
        assert_eq!(platform.times_asked_for_members(), 1);
        hub.clock.advance(6 * 60_000);
        // Out of the list is out of the course, and her account stays.
        platform.enrol(&[("1", &["Learner"], "Active"), ("3", &["Learner"], "Active")]);
        come(&hub, &platform, "/").await.1.expect(302);
        let expect = ["ada student", "cleo student"];
        until("who left", async || people(&hub).await == expect).await;
        platform.log_in("4", "dora");
        let (dora, _) = come(&hub, &platform, "/").await;
        assert_eq!(name_of(&dora).await, "dora");
        hub.stop().await;
    }
}

/// People who are known here by marks of this platform, as if they had come by it.
async fn make_known(hub: &TestHub, platform: &FakePlatform, many: usize) {
    let now = hub.clock.now();
    let mut tx = hub.hub.db().write().await.expect("a database");
    for number in 100..100 + many {
        let name = format!("student{number}");
        let user = lyceum_hub::db::users::User {
            id: format!("id-{number}"),
            name: UserName::parse(&name).expect("a name"),
            display_name: None,
            admin: false,
            home: name,
            created_at: now.0,
            last_activity_at: None,
            blocked_at: None,
        };
        let made = lyceum_hub::db::users::insert(&mut tx, &user).await;
        assert!(made.expect("written"));
        let mark = Subject {
            issuer: platform.issuer(),
            id: number.to_string(),
        };
        let made = lyceum_hub::db::identities::insert(&mut tx, &mark, &user.id, now).await;
        assert!(made.expect("written"));
    }
    tx.commit().await.expect("written");
}

/// A door before a platform: whoever comes to it waits until it is opened.
struct Door {
    /// Where the platform tells by this way who is in the course.
    members: String,
    is_knocked: CancellationToken,
    open: CancellationToken,
}

impl Door {
    async fn before(platform: &FakePlatform) -> Self {
        let there: url::Url = platform.issuer().parse().expect("an address");
        let port = there.port().expect("a port");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let here = listener.local_addr().expect("an address");
        let door = Self {
            members: format!("http://{here}/lms/members?course=42"),
            is_knocked: CancellationToken::new(),
            open: CancellationToken::new(),
        };
        let (is_knocked, open) = (door.is_knocked.clone(), door.open.clone());
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                is_knocked.cancel();
                let open = open.clone();
                tokio::spawn(async move {
                    open.cancelled().await;
                    let mut to = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut from, &mut to).await
                });
            }
        });
        door
    }
}

/// What was asked for before a launch knows nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_answer_does_not_undo_a_launch() {
    const NRPS: &str = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice";
    for db in TestDb::both().await {
        let platform = FakePlatform::start().await;
        let hub = asking(&db, &platform).await;
        platform.log_in("3", "cleo");
        come(&hub, &platform, "/").await.1.expect(302);
        // Neither Cleo nor Ben is in what is told.
        platform
            .tell_at_once(10)
            .enrol(&[("1", &["Learner"], "Active")]);
        let door = Door::before(&platform).await;
        let told = json!({"context_memberships_url": door.members, "service_versions": ["2.0"]});
        platform.replace(NRPS, told);
        platform.log_in("1", "ada");
        come(&hub, &platform, "/").await.1.expect(302);
        until("it is asked", async || door.is_knocked.is_cancelled()).await;
        hub.clock.advance(1_000);
        platform.log_in("2", "ben");
        come(&hub, &platform, "/").await.1.expect(302);
        let all = ["ada student", "ben student", "cleo student"];
        assert_eq!(people(&hub).await, all);
        door.open.cancel();
        let expect = ["ada student", "ben student"];
        until("who came since stays", async || {
            people(&hub).await == expect
        })
        .await;
        // His launch wished for a newer answer, which comes long before the next hour.
        platform.enrol(&[
            ("1", &["Learner"], "Active"),
            ("2", &["Instructor"], "Active"),
        ]);
        hub.clock.advance(6 * 60_000);
        let expect = ["ada student", "ben teacher"];
        until("it is asked anew", async || people(&hub).await == expect).await;
        hub.stop().await;
    }
}

/// One course of which nothing can be written keeps no other waiting.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_one_course_is_done_for_the_others() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = asking(&db, &platform).await;
    platform.log_in("2", "ben");
    come(&hub, &platform, "/").await.1.expect(302);
    let mut tx = hub.hub.db().write().await.expect("a database");
    // It has waited the longest, so it is always the first.
    for sql in [
        "INSERT INTO lti_rosters (platform, known_by, value, context, client, url, due_at) \
         VALUES ('', 'context', '41', '41', 'tool', 'http://127.0.0.1/', 0)",
        "CREATE TRIGGER no_more BEFORE UPDATE ON lti_rosters WHEN OLD.value = '41' \
         BEGIN SELECT RAISE(ABORT, 'this one was written'); END",
    ] {
        on!(tx, |c| sqlx::query(sql).execute(c).await.map(|_| ())).expect("written");
    }
    tx.commit().await.expect("written");
    platform.enrol(&[("1", &["Learner"], "Active")]);
    platform.log_in("1", "ada");
    come(&hub, &platform, "/").await.1.expect(302);
    let told = async || people(&hub).await == ["ada student"];
    until("the other is asked", told).await;
    hub.stop().await;
}

/// Most hours a roster is as it was: then nobody is written anew.
#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_only_those_are_written_for_whom_it_is_news() {
    const MANY: usize = 3_000;
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = asking(&db, &platform).await;
    make_known(&hub, &platform, MANY).await;
    let marks: Vec<String> = (100..100 + MANY).map(|mark| mark.to_string()).collect();
    let mut all: Vec<(&str, &[&str], &str)> = vec![("1", &["Learner"], "Active")];
    let learner: &[&str] = &["Learner"];
    all.extend(marks.iter().map(|mark| (mark.as_str(), learner, "Active")));
    platform.tell_at_once(1_000).enrol(&all);
    come(&hub, &platform, "/").await.1.expect(302);
    let in_course = async || people(&hub).await.len();
    until("all are in", async || in_course().await == MANY + 1).await;
    // Whoever tries to put anybody in again, who is in already or not, fails from now on.
    let mut tx = hub.hub.db().write().await.expect("a database");
    let no_more = "CREATE TRIGGER no_more BEFORE INSERT ON group_members \
         BEGIN SELECT RAISE(ABORT, 'somebody was written'); END";
    on!(tx, |c| sqlx::query(no_more).execute(c).await.map(|_| ())).expect("a trigger");
    tx.commit().await.expect("written");
    platform.enrol(&all[..MANY]);
    hub.clock.advance(61 * 60_000);
    until("who left is out", async || in_course().await == MANY).await;
    assert_eq!(platform.times_asked_for_members(), 2);
    assert_eq!(failures(&hub).await, 0);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_changes_nothing() {
    for slip in [
        Slip::Nobody,
        Slip::OtherCourse,
        Slip::StrayPage,
        Slip::OtherTokens,
    ] {
        let db = TestDb::sqlite().await;
        let platform = FakePlatform::start().await;
        let hub = asking(&db, &platform).await;
        for (mark, name) in [("2", "ben"), ("1", "ada")] {
            platform.log_in(mark, name);
            if name == "ada" {
                // Ben is none of these.
                let three = [
                    ("1", &["Learner"][..], "Active"),
                    ("8", &["Learner"], "Active"),
                    ("9", &["Learner"], "Active"),
                ];
                platform.enrol(&three).slip(Some(slip));
            }
            come(&hub, &platform, "/").await.1.expect(302);
        }
        until("it failed", async || failures(&hub).await == 1).await;
        let both = ["ada student", "ben student"];
        assert_eq!(people(&hub).await, both, "{slip:?}");
        hub.stop().await;
    }
}

async fn failures(hub: &TestHub) -> i64 {
    let mut tx = hub.hub.db().read().await.expect("a database");
    let late = Millis(i64::MAX);
    let rows = lyceum_hub::db::rosters::due(&mut tx, late, 10).await;
    rows.expect("read").first().map_or(0, |row| row.failures)
}

/// A platform that does not know our keys tells nothing, and the log says so; nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_gives_tokens_to_our_keys_alone() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = asking(&db, &platform).await;
    platform.know_tool(json!({"keys": []}));
    platform.enrol(&[("1", &["Instructor"], "Active")]);
    come(&hub, &platform, "/").await.1.expect(302);
    until("it failed", async || failures(&hub).await == 1).await;
    assert_eq!(
        platform.refusal().as_deref(),
        Some("a key that is not registered")
    );
    assert_eq!(people(&hub).await, ["ada student"]);
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_and_the_old_ones_are_known_for_a_while() {
    const DAY: i64 = 24 * 3_600_000;
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(1_000_000 * DAY / 50));
        let tool = tool_of(&db, &clock);
        let ids = async || -> BTreeSet<String> {
            let published = tool.published().await.expect("published");
            let text = published.to_string();
            assert!(!text.contains("\"d\"") && !text.contains("\"p\""), "{text}");
            let keys = published["keys"].as_array().expect("keys").clone();
            let id = |key: &Value| key["kid"].as_str().expect("an id").to_owned();
            keys.iter().map(id).collect()
        };
        let first = ids().await;
        assert_eq!(first.len(), 1);
        // Another replica has the same, and the database does not hold them openly.
        let other = tool_of(&db, &clock).published().await.expect("published");
        assert_eq!(other["keys"].as_array().map(Vec::len), Some(1));
        let mut tx = db.db().read().await.expect("a database");
        let kept = lyceum_store::settings::get(&mut tx, "lti-tool-keys").await;
        assert!(kept.expect("read").expect("there").starts_with("sealed1."));
        drop(tx);
        clock.advance(89 * DAY);
        assert_eq!(ids().await, first);
        clock.advance(2 * DAY);
        let both = ids().await;
        assert!(both.len() == 2 && both.is_superset(&first));
        clock.advance(30 * DAY);
        let second = ids().await;
        assert!(second.len() == 1 && second.is_disjoint(&first));
    }
}
