//! Exams to which people come in with codes on paper: who gets in, once, when and from where.

use std::sync::LazyLock;

use lyceum_hub::audit::Doer;
use lyceum_hub::db::users::User;
use lyceum_hub::second_factor::{Meant, Required};
use lyceum_hub::sittings::{self, By, NotNow, Sheet, Sitting, Which, Wish};
use lyceum_hub::tokens::{self, NewToken};
use lyceum_hub::{Hub, db, users};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::name::UserName;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use prometheus_client::registry::Registry;
use serde_json::json;

use crate::grants::{name, role};
use crate::kit::{Socket, program, start_server};

const CODE: &str = "/hub/login/seat";
const HOUR: i64 = 3_600_000;
/// Looks after the room and makes no sittings.
static IVY: LazyLock<Doer> = LazyLock::new(|| Doer::person(&name("ivy")));
static ROOT: LazyLock<Doer> = LazyLock::new(|| Doer::person(&name("root")));

fn ivy() -> By<'static> {
    By {
        doer: &IVY,
        is_maker: false,
    }
}

pub(crate) fn root() -> By<'static> {
    By::maker(&ROOT)
}

/// Goes on for two hours, from an hour ago.
pub(crate) fn wish(hub: &Hub, people: &str) -> Wish {
    Wish {
        title: "Signals and Systems".into(),
        course: None,
        begins: hub.now().plus(-HOUR),
        ends: hub.now().plus(HOUR),
        networks: vec!["127.0.0.0/8".into()],
        invigilators: Vec::new(),
        people: people.into(),
    }
}

/// Whoever takes part by her own account has one.
pub(crate) async fn make(hub: &Hub, wish: Wish) -> (Sitting, Vec<Sheet>) {
    let mut tx = hub.db().write().await.expect("a database");
    let places = sittings::places(&wish.people).expect("good lines");
    for place in places.iter().filter(|place| !place.is_numbered) {
        let made = users::ensure(&mut tx, &place.who, hub.now()).await;
        made.expect("written");
    }
    tx.commit().await.expect("written");
    let checked = wish.check(hub.now()).expect("a good wish");
    let made = sittings::made_by(hub, &checked, root()).await;
    made.expect("a database").expect("a sitting")
}

/// The field that is wrong with it, and why.
async fn not_made(hub: &Hub, wish: Wish) -> (&'static str, String) {
    let checked = wish.check(hub.now()).expect("good lines");
    let made = sittings::made_by(hub, &checked, root()).await;
    let wrong = made.expect("a database").expect_err("nothing good");
    (wrong.field, wrong.why.to_string())
}

async fn row_of(hub: &Hub, name: &str) -> User {
    let mut tx = hub.db().read().await.expect("a database");
    let name = UserName::parse(name).expect("a name");
    let user = db::users::find(&mut tx, &name).await.expect("read");
    user.expect("there")
}

async fn rename(hub: &Hub, from: &str, to: &str) {
    let user = row_of(hub, from).await;
    let to = UserName::parse(to).expect("a name");
    let mut tx = hub.db().write().await.expect("a database");
    let renamed = users::rename(&mut tx, &user, &to, hub.now()).await;
    renamed.expect("renamed");
    tx.commit().await.expect("written");
}

async fn come(client: &Client, code: &str) -> Answer {
    client.get(CODE).await;
    client.post_form(CODE, &[("code", code)]).await
}

pub(crate) async fn come_by(client: &Client, sheet: &Sheet) -> Answer {
    come(client, &sheet.code.shown()).await
}

async fn name_of(client: &Client) -> Option<String> {
    let answer = client.get("/hub/api/user").await;
    (answer.status == 200).then(|| answer.json()["name"].as_str().unwrap_or("").to_owned())
}

/// Refused in these words, with nobody signed in.
async fn refused(client: &Client, code: &str, status: u16, words: &str) {
    let answer = come(client, code).await.expect(status);
    let text = answer.text();
    assert!(text.contains(words), "{words}: {text}");
    assert!(!text.contains(code), "what was typed is not repeated");
    assert_eq!(name_of(client).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_lets_in_once_and_until_the_end() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
        let hub = hub.with_user("ada").await;
        let (sitting, sheets) = make(&hub.hub, wish(&hub.hub, "ada, 17\nben, 18")).await;
        let ada = hub.client();
        let page = ada.get("/hub/login").await.expect(200);
        assert!(page.text().contains("/hub/login/seat\""));
        // Typed in small letters, with a space.
        let typed = sheets[0].code.shown().to_lowercase().replace('-', " ");
        assert_eq!(come(&ada, &typed).await.expect(302).location(), "/hub/home");
        assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
        // Somebody who has never logged in.
        let ben = hub.client();
        come_by(&ben, &sheets[1]).await.expect(302);
        assert_eq!(name_of(&ben).await.as_deref(), Some("ben"));
        let code = sheets[0].code.shown();
        refused(&hub.client(), &code, 403, "was used already").await;
        // Nothing of it is in the database as it was printed.
        let mut tx = hub.hub.db().read().await.expect("a database");
        let rows = db::sittings::codes_of(&mut tx, &sitting.id)
            .await
            .expect("read");
        drop(tx);
        let kept = format!("{rows:?}");
        assert!(!kept.contains(&code) && !kept.contains(&code.replace('-', "")));
        assert_eq!(rows[0].used_address.as_deref(), Some("127.0.0.1"));
        clock.advance(HOUR - 1);
        assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
        clock.advance(1);
        assert_eq!(name_of(&ada).await, None);
        assert_eq!(name_of(&ben).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_of_codes_of_ours_only() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
        let (_, coming) = make(
            &hub.hub,
            Wish {
                begins: hub.hub.now().plus(HOUR),
                ends: hub.hub.now().plus(2 * HOUR),
                ..wish(&hub.hub, "ada")
            },
        )
        .await;
        let elsewhere = Wish {
            networks: vec!["10.0.5.0/24".into(), "fd00::/8".into()],
            ..wish(&hub.hub, "ben")
        };
        let (_, room) = make(&hub.hub, elsewhere).await;
        let (_, seat) = make(&hub.hub, wish(&hub.hub, "cid, A 17, 10.0.5.17")).await;
        let (now, running) = make(&hub.hub, wish(&hub.hub, "dan")).await;
        let refuse = async |code: &str, status, words| {
            refused(&hub.client(), code, status, words).await;
        };
        refuse(&coming[0].code.shown(), 403, "the exam has not begun").await;
        refuse(&room[0].code.shown(), 403, "in another network").await;
        refuse(&seat[0].code.shown(), 403, "for another seat: A 17").await;
        let back = running[0].code.shown();
        let taken = sittings::taken_back_by(&hub.hub, &now, 1, root()).await;
        assert!(taken.expect("done"));
        refuse(&back, 403, "was taken back").await;
        let stranger = lyceum_auth::otp::Code::new().shown();
        refuse(&stranger, 403, "There is no such code").await;
        let mut slip = stranger.into_bytes();
        slip[0] = if slip[0] == b'2' { b'3' } else { b'2' };
        let slip = String::from_utf8(slip).expect("letters");
        refuse(&slip, 400, "is not as it is printed").await;
        refuse("K7PRM", 400, "has ten letters and digits").await;
        refuse(&"A".repeat(10_000), 400, "has ten letters and digits").await;
        // Not said before it is clear that the browser itself sends it.
        let answer = hub.client().post_form(CODE, &[("code", &back)]).await;
        assert!(answer.expect(403).text().contains("open for too long"));
        clock.advance(2 * HOUR);
        refuse(&room[0].code.shown(), 403, "the exam is over").await;
        let page = hub.client().get("/hub/login").await.expect(200).text();
        assert!(
            !page.contains("/hub/login/seat\""),
            "nothing is near any more"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hubs_one_takes_a_code() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let one = TestHub::start_with(db.db().clone(), spawner.clone()).await;
        let other = TestHub::start_with(db.db().clone(), spawner).await;
        for round in 0..8 {
            let people = format!("ada{round}");
            let (_, sheets) = make(&one.hub, wish(&one.hub, &people)).await;
            let browsers = [one.client(), other.client(), one.client(), other.client()];
            let tries = browsers.iter().map(|browser| come_by(browser, &sheets[0]));
            let answers = futures_util::future::join_all(tries).await;
            let let_in = answers.iter().filter(|answer| answer.status == 302).count();
            assert_eq!(let_in, 1);
            let mut inside = 0;
            for (browser, answer) in browsers.iter().zip(&answers) {
                assert!(answer.status == 302 || answer.status == 403);
                inside += usize::from(name_of(browser).await.is_some());
            }
            assert_eq!(inside, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_code_opens_the_account_of_somebody_with_power() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let (field, why) = not_made(&hub.hub, wish(&hub.hub, "root")).await;
        assert!(field == "people" && why.contains("administers"), "{why}");
        // Made one only after the sheets were printed.
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "ada\nben")).await;
        let hub = hub.with_admin("ada").await;
        let mut registry = Registry::default();
        let prefix = lyceum_hub::metrics::PREFIX;
        hub.hub.register_metrics(&mut registry, prefix);
        hub.hub.publish_metrics(registry);
        let root = program(&hub, "root").await;
        let before = successes(&root).await;
        let code = sheets[0].code.shown();
        refused(&hub.client(), &code, 403, "no code opens such an account").await;
        assert_eq!(successes(&root).await, before, "nobody came in");
        // Whom an administrator keeps out stays out.
        let hub = hub.with_user("ben").await;
        let mut tx = hub.hub.db().write().await.expect("a database");
        let ben = UserName::parse("ben").expect("a name");
        let ben = db::users::find(&mut tx, &ben)
            .await
            .expect("read")
            .expect("there");
        let blocked = lyceum_hub::users::set_blocked(&mut tx, &ben, true, hub.hub.now());
        blocked.await.expect("written");
        tx.commit().await.expect("written");
        let code = sheets[1].code.shown();
        refused(&hub.client(), &code, 403, "is not admitted here").await;
    }
}

/// How often somebody has signed in.
async fn successes(root: &Client) -> String {
    let text = root.get("/hub/metrics").await.expect(200).text();
    let is_it = |line: &&str| line.contains("sign_ins") && line.contains("success");
    let line = text.lines().find(is_it);
    line.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_come_from_one_address_while_guesses_count() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "exam-bio-{1..300}")).await;
        assert_eq!(sheets[16].who.as_str(), "exam-bio-017");
        assert_eq!(sheets[16].seat, "017");
        let begun = std::time::Instant::now();
        for some in sheets.chunks(20) {
            let browsers: Vec<Client> = some.iter().map(|_| hub.client()).collect();
            let tries = browsers.iter().zip(some);
            let answers = tries.map(|(browser, sheet)| come_by(browser, sheet));
            for answer in futures_util::future::join_all(answers).await {
                answer.expect(302);
            }
        }
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
        // Whoever tries codes out is slowed down, and slips are no guesses.
        let guesser = hub.client();
        for _ in 0..20 {
            come(&guesser, "22222-22223").await.expect(400);
        }
        let mut refused = 0;
        // One is forgotten in two seconds.
        for _ in 0..900 {
            let guess = lyceum_auth::otp::Code::new().shown();
            let answer = guesser.post_form(CODE, &[("code", &guess)]).await;
            refused += usize::from(answer.status == 429);
            assert!(answer.status == 429 || answer.status == 403);
            if refused > 0 {
                break;
            }
        }
        assert!(refused > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_taken_back_ends_what_it_began_and_a_new_one_begins_anew() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let (sitting, sheets) = make(&hub.hub, wish(&hub.hub, "ada, 17\nben, 18")).await;
        let ada = hub.client();
        come_by(&ada, &sheets[0]).await.expect(302);
        let mut socket = Socket::by_cookie(&hub, &ada).await;
        let which = Which::One(1);
        let new = sittings::renewed_by(&hub.hub, &sitting, which, ivy()).await;
        let new = new.expect("a new code");
        assert_eq!((new.len(), new[0].seat.as_str()), (1, "17"));
        assert_eq!(name_of(&ada).await, None);
        socket.assert_ends().await;
        refused(
            &hub.client(),
            &sheets[0].code.shown(),
            403,
            "was taken back",
        )
        .await;
        come_by(&ada, &new[0]).await.expect(302);
        // The rest anew: whoever is in stays.
        let rest = sittings::renewed_by(&hub.hub, &sitting, Which::Unused, ivy()).await;
        let rest = rest.expect("new codes");
        assert_eq!((rest.len(), rest[0].who.as_str()), (1, "ben"));
        assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
        // A later end holds for her, too; one that has passed logs her out.
        let ends = hub.hub.now().plus(3 * HOUR);
        assert_eq!(end(&hub.hub, &sitting, ends, ivy()).await, Ok(()));
        assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
        let over: Millis = hub.hub.now().plus(-1);
        assert_eq!(end(&hub.hub, &sitting, over, ivy()).await, Ok(()));
        assert_eq!(name_of(&ada).await, None);
        refused(
            &hub.client(),
            &rest[0].code.shown(),
            403,
            "the exam is over",
        )
        .await;
    }
}

async fn end(hub: &Hub, sitting: &Sitting, ends: Millis, by: By<'_>) -> Result<(), NotNow> {
    let done = sittings::ended_by(hub, sitting, ends, by).await;
    done.expect("a database")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_sheets_and_who_looks_after_a_room() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let hub = hub.with_user("ivy").await.with_user("eve").await;
        let hub = hub.with_user("ada").await;
        let (root, ivy) = (hub.signed_in("root").await, hub.signed_in("ivy").await);
        let eve = hub.signed_in("eve").await;
        let fields = [
            ("title", "Signals"),
            ("begins", "2020-01-01T09:00"),
            ("ends", "2099-01-01T09:00"),
            ("invigilators", "ivy"),
            ("people", "ada, 17\nexam-{1..3}"),
        ];
        let page = root.post_form("/hub/sittings", &fields).await.expect(400);
        assert!(page.text().contains("two weeks at most"), "{}", page.text());
        let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
        let text = |hours: i64| {
            let at = now
                .checked_add(jiff::Span::new().hours(hours))
                .expect("a time");
            at.strftime("%Y-%m-%dT%H:%M").to_string()
        };
        let (begins, ends) = (text(-1), text(2));
        let fields = [
            ("title", "Signals"),
            ("begins", &*begins),
            ("ends", &*ends),
            ("invigilators", "ivy"),
            ("people", "ada, 17\nexam-{1..3}"),
        ];
        let odd = [&fields[..], &[("course", "no-such-course")]].concat();
        let page = root.post_form("/hub/sittings", &odd).await.expect(400);
        let text = page.text();
        assert!(text.contains("There is no course no-such-course"), "{text}");
        eve.post_form("/hub/sittings", &fields).await.expect(403);
        ivy.post_form("/hub/sittings", &fields).await.expect(403);
        let sheets = root
            .post_form("/hub/sittings", &fields)
            .await
            .expect(200)
            .text();
        assert_eq!(sheets.matches("<li class=\"sheet\">").count(), 4);
        assert_eq!(sheets.matches("<svg class=\"qr\"").count(), 4);
        // What is printed is the same from every browser: no script puts its times into the reader's zone.
        let (_, printed) = sheets.split_once("<ul class=\"sheets\">").expect("sheets");
        assert!(!printed.contains("<time"), "{printed}");
        let year = now.strftime("%Y").to_string();
        assert!(printed.contains(&year), "{printed}");
        assert!(printed.contains(" UTC. Good once."), "{printed}");
        assert!(
            !sheets.contains("?code"),
            "codes are in no address that is sent"
        );
        let (_, rest) = sheets.split_once("class=\"sheet-code\">").expect("a code");
        let code = rest.split('<').next().unwrap_or_default().to_owned();
        // Her home leads there, and nobody else's.
        let home = ivy.get("/hub/home").await.expect(200).text();
        assert!(home.contains("Exams that you look after"), "{home}");
        assert!(home.contains("href=\"/hub/sittings\""), "{home}");
        for other in [&root, &eve] {
            let home = other.get("/hub/home").await.expect(200).text();
            assert!(!home.contains("Exams that you look after"), "{home}");
        }
        let list = ivy.get("/hub/sittings").await.expect(200).text();
        assert!(!list.contains("<time"), "{list}");
        let (_, rest) = list.split_once("/hub/sitting/").expect("its page");
        let id = rest.split('"').next().unwrap_or_default();
        let path = format!("/hub/sitting/{id}");
        eve.get("/hub/sittings").await.expect(403);
        eve.get(&path).await.expect(404);
        eve.post_form(&path, &[("do", "renew"), ("place", "1")])
            .await
            .expect(404);
        let ada = hub.client();
        come(&ada, &code).await.expect(302);
        let page = ivy.get(&path).await.expect(200).text();
        assert!(
            page.contains("1 of 4") && page.contains("127.0.0.1"),
            "{page}"
        );
        // In one zone, which it names.
        assert!(!page.contains("<time"), "{page}");
        assert!(page.contains("time zone of this site: UTC"), "{page}");
        assert!(!page.contains(&code), "shown once");
        // She who sits there looks after nothing.
        ada.get(&path).await.expect(404);
        ivy.post_form(&path, &[("do", "remove")]).await.expect(400);
        ivy.post_form(&path, &[("do", "take_back"), ("place", "9")])
            .await;
        let done = ivy
            .post_form(&path, &[("do", "take_back"), ("place", "1")])
            .await;
        let page = ivy
            .get(done.expect(302).location())
            .await
            .expect(200)
            .text();
        assert!(page.contains("The code is taken back."));
        assert_eq!(name_of(&ada).await, None);
        let page = ivy
            .post_form(&path, &[("do", "renew"), ("place", "1")])
            .await;
        assert!(page.expect(200).text().contains("sheet-code"));
        // Numbered accounts are not those of another exam, or of anybody.
        let page = root.post_form("/hub/sittings", &fields).await.expect(400);
        let text = page.text();
        assert!(text.contains("The name exam-1 is an account"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_make_and_look_after_them() {
    const LIST: &str = "/hub/api/lyceum/sittings";
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_admin("root").await;
        let hub = hub.with_user("eve").await.with_user("ada").await;
        let root = hub.client().with_token(&hub.token("root").await);
        let eve = hub.client().with_token(&hub.token("eve").await);
        let wish = |people: serde_json::Value| {
            serde_json::json!({
                "title": "Signals",
                "begins": hub.hub.now().plus(-HOUR).to_iso(),
                "ends": hub.hub.now().plus(HOUR).to_iso(),
                "people": people,
            })
        };
        let good = wish(serde_json::json!(["ada, 17", "exam-{1..2}"]));
        eve.post_json(LIST, &good).await.expect(403);
        let odd = root
            .post_json(LIST, &wish(serde_json::json!(["no body"])))
            .await;
        assert!(odd.expect(400).text().contains("people: Line 1"));
        let mut unknown = good.clone();
        unknown["people_"] = true.into();
        root.post_json(LIST, &unknown).await.expect(400);
        let mut local = good.clone();
        local["ends"] = "2026-11-30 11:00".into();
        let local = root.post_json(LIST, &local).await.expect(400);
        assert!(local.text().contains("with its offset"));
        let made = root.post_json(LIST, &good).await.expect(201).json();
        assert_eq!(made["codes"].as_array().map(Vec::len), Some(3));
        let code = made["codes"][0]["code"].as_str().expect("a code");
        let ada = hub.client();
        come(&ada, code).await.expect(302);
        let one = format!("{LIST}/{}", made["id"].as_str().expect("an id"));
        eve.get(&one).await.expect(403);
        let told = root.get(&one).await.expect(200);
        assert!(!told.text().contains(code));
        let told = told.json();
        assert_eq!(told["places"][0]["address"], "127.0.0.1");
        assert!(told["places"][1]["used"].is_null());
        let place = format!("{one}/places/1");
        root.delete(&place).await.expect(204);
        root.delete(&place).await.expect(404);
        assert_eq!(name_of(&ada).await, None);
        let new = root.post_json(&place, &serde_json::json!({})).await;
        let new = new.expect(201).json();
        come(&ada, new["code"].as_str().expect("a code"))
            .await
            .expect(302);
        let far = format!("{one}/places/9");
        root.post_json(&far, &serde_json::json!({}))
            .await
            .expect(404);
        root.delete(&one).await.expect(204);
        assert_eq!(name_of(&ada).await, None);
        root.get(&one).await.expect(404);
        let list = root.get(LIST).await.expect(200).json();
        assert_eq!(list["sittings"], serde_json::json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_end_gives_more_time_to_browsers_that_are_in() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
        let (sitting, sheets) = make(&hub.hub, wish(&hub.hub, "ada")).await;
        // As browsers do, it forgets cookies when they say so.
        let ada = hub.client().with_clock(clock.clone());
        come_by(&ada, &sheets[0]).await.expect(302);
        let ends = sitting.ends.plus(HOUR);
        assert_eq!(end(&hub.hub, &sitting, ends, root()).await, Ok(()));
        // Past the end that was known when she came in.
        clock.advance(HOUR + 1_000);
        assert_eq!(name_of(&ada).await.as_deref(), Some("ada"));
        clock.advance(HOUR);
        assert_eq!(name_of(&ada).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_outlives_an_exam() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let (sitting, sheets) = make(&hub.hub, wish(&hub.hub, "ada")).await;
        let ada = hub.client();
        come_by(&ada, &sheets[0]).await.expect(302);
        let page = ada.get("/hub/token").await.expect(200).text();
        assert!(page.contains("no tokens can be made here"), "{page}");
        assert!(!page.contains("token/new"), "{page}");
        let page = ada.post_form("/hub/token/new", &[("note", "mine")]).await;
        let page = page.expect(400).text();
        assert!(page.contains("came in with a code"), "{page}");
        let xsrf = ada.cookie("_xsrf").expect("a form token");
        let own = "/hub/api/users/ada/tokens";
        let answer = ada
            .post_json(&format!("{own}?_xsrf={xsrf}"), &json!({}))
            .await;
        let text = answer.expect(403).text();
        assert!(text.contains("came in with a code"), "{text}");
        // Nor by a token that a program has got by her session.
        let row = row_of(&hub.hub, "ada").await;
        let mut tx = hub.hub.db().write().await.expect("a database");
        let codes = db::sittings::codes_of(&mut tx, &sitting.id)
            .await
            .expect("read");
        let new = NewToken {
            scopes: vec!["inherit".into()],
            session_id: codes[0].session_id.clone(),
            ..NewToken::default()
        };
        let issued = tokens::issue(&mut tx, &row, new, hub.hub.now()).await;
        let (_, secret) = issued.expect("a token");
        tx.commit().await.expect("written");
        let by_token = hub.client().with_token(&secret);
        let text = by_token.post_json(own, &json!({})).await.expect(403).text();
        assert!(text.contains("came in with a code"), "{text}");
        let mut tx = hub.hub.db().read().await.expect("a database");
        let all = db::tokens::of_user(&mut tx, &row.id, hub.hub.now().0).await;
        assert_eq!(all.expect("read").len(), 1, "only the one of this story");
        drop(tx);
        // By her password she makes what she wants.
        let ada = hub.signed_in("ada").await;
        let page = ada.post_form("/hub/token/new", &[("note", "mine")]).await;
        page.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_numbered_account_that_is_somebodys_opens_by_no_code() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner, |settings, _| {
            role(&mut settings.grants, "desk", &["admin:users"], &["dora"]);
        });
        let hub = hub.await.with_user("dora").await.with_user("eve").await;
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "exam-bio-{1..2}")).await;
        // Whoever keeps accounts calls nobody so.
        let dora = program(&hub, "dora").await;
        let made = dora
            .post_json("/hub/api/users/exam-bio-1", &json!({}))
            .await;
        assert!(made.expect(403).text().contains("made for an exam"));
        dora.post_json("/hub/api/users/anybody", &json!({}))
            .await
            .expect(201);
        // Even so a password of that name may come to be.
        let hub = hub.with_account("exam-bio-1").await;
        let code = sheets[0].code.shown();
        refused(&hub.client(), &code, 403, "has become somebody").await;
        let free = hub.client();
        come_by(&free, &sheets[1]).await.expect(302);
        assert_eq!(name_of(&free).await.as_deref(), Some("exam-bio-2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_passes_nobodys_second_step() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ben").await;
        let (_, sheets) = make(&hub.hub, wish(&hub.hub, "ada\nexam-{1..1}")).await;
        let mut settings = hub.hub.settings().as_ref().clone();
        settings.second_factor = Required(vec![Meant::parse("role:user").expect("a list")]);
        hub.hub.reload(settings).await;
        let (field, why) = not_made(&hub.hub, wish(&hub.hub, "ben")).await;
        assert!(field == "people" && why.contains("second step"), "{why}");
        let code = sheets[0].code.shown();
        refused(&hub.client(), &code, 403, "has a second step").await;
        // There is no password to a numbered account, and so nothing behind one.
        come_by(&hub.client(), &sheets[1]).await.expect(302);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_for_accounts_that_are_there_and_go_with_them() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await;
        let (field, why) = not_made(&hub.hub, wish(&hub.hub, "ada")).await;
        assert!(field == "people" && why.contains("no account ada"), "{why}");
        // Who has but a password has an account.
        let hub = hub.with_account("pat").await;
        let checked = wish(&hub.hub, "pat").check(hub.hub.now()).expect("good");
        let made = sittings::made_by(&hub.hub, &checked, root()).await;
        made.expect("a database").expect("a sitting");
        let people = "ada\nben\ncid";
        let (sitting, sheets) = make(&hub.hub, wish(&hub.hub, people)).await;
        let (ada, ben) = (hub.client(), hub.client());
        come_by(&ada, &sheets[0]).await.expect(302);
        rename(&hub.hub, "ada", "countess").await;
        assert_eq!(name_of(&ada).await.as_deref(), Some("countess"));
        rename(&hub.hub, "ben", "benny").await;
        come_by(&ben, &sheets[1]).await.expect(302);
        assert_eq!(name_of(&ben).await.as_deref(), Some("benny"));
        let taken = sittings::taken_back_by(&hub.hub, &sitting, 1, root()).await;
        assert!(taken.expect("done"));
        assert_eq!(name_of(&ada).await, None);
        // Whoever is deleted has no sheet any more, nor has the next of her name.
        let cid = row_of(&hub.hub, "cid").await;
        let mut tx = hub.hub.db().write().await.expect("a database");
        let removed = users::remove(&mut tx, &cid, hub.hub.now()).await;
        removed.expect("removed");
        tx.commit().await.expect("written");
        let code = sheets[2].code.shown();
        refused(&hub.client(), &code, 403, "was taken back").await;
        let new = sittings::renewed_by(&hub.hub, &sitting, Which::One(3), root());
        let new = new.await.expect("a new code");
        let code = new[0].code.shown();
        refused(&hub.client(), &code, 403, "is not admitted here").await;
        sittings::removed_by(&hub.hub, &sitting, root())
            .await
            .expect("removed");
        assert_eq!(name_of(&ben).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_after_a_room_does_so_until_the_end_and_by_her_account() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Clock::system().now());
        let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone()).await;
        let by_ivy = |hub: &Hub| Wish {
            invigilators: vec!["ivy".into()],
            ..wish(hub, "exam-{1..2}")
        };
        let (field, why) = not_made(&hub.hub, by_ivy(&hub.hub)).await;
        assert!(
            field == "invigilators" && why.contains("no account ivy"),
            "{why}"
        );
        let hub = hub.with_user("ivy").await.with_admin("root").await;
        let (sitting, _) = make(&hub.hub, by_ivy(&hub.hub)).await;
        let path = format!("/hub/sitting/{}", sitting.id);
        let (ivy, root) = (hub.signed_in("ivy").await, hub.signed_in("root").await);
        let page = ivy.get(&path).await.expect(200).text();
        assert!(page.contains("New code") && page.contains("Another end"));
        // Whoever gets her name looks after nothing.
        rename(&hub.hub, "ivy", "ivory").await;
        let hub = hub.with_user("ivy").await;
        let other = hub.signed_in("ivy").await;
        other.get(&path).await.expect(404);
        ivy.get(&path).await.expect(200);
        clock.advance(HOUR);
        let page = ivy.get(&path).await.expect(200).text();
        assert!(page.contains("This exam is over"), "{page}");
        assert!(!page.contains("Another end"), "{page}");
        let later = jiff::Timestamp::from_millisecond(hub.hub.now().plus(HOUR).0);
        let later = later.expect("a time").to_zoned(jiff::tz::TimeZone::UTC);
        let later = later.strftime("%Y-%m-%dT%H:%M").to_string();
        let more: [(&str, &str); 2] = [("do", "ends"), ("ends", &later)];
        let renew = [("do", "renew"), ("place", "1")];
        let rest = [("do", "renew_unused")];
        ivy.post_form(&path, &more).await.expect(403);
        ivy.post_form(&path, &renew).await.expect(403);
        ivy.post_form(&path, &rest).await.expect(403);
        let back = [("do", "take_back"), ("place", "1")];
        ivy.post_form(&path, &back).await.expect(302);
        root.get(&path).await.expect(200);
        root.post_form(&path, &more).await.expect(302);
        // It goes on, and she with it.
        ivy.post_form(&path, &renew).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_at_once_is_done_one_after_the_other() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let one = TestHub::start_with(db.db().clone(), spawner.clone()).await;
        let other = TestHub::start_with(db.db().clone(), spawner).await;
        for round in 0..8 {
            // Two exams never have the same accounts.
            let lines = format!("exam-{round}-{{1..30}}");
            let checked = |hub: &Hub| wish(hub, &lines).check(hub.now()).expect("good lines");
            let (here, there) = (checked(&one.hub), checked(&other.hub));
            let (here, there) = tokio::join!(
                sittings::made_by(&one.hub, &here, root()),
                sittings::made_by(&other.hub, &there, root()),
            );
            let made = [here.expect("a database"), there.expect("a database")];
            assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
            // Whoever comes in while it is ended, or while her code is made anew, is not in.
            let people = format!("ada{round}\nben{round}");
            let (sitting, sheets) = make(&one.hub, wish(&one.hub, &people)).await;
            let (ada, ben) = (one.client(), one.client());
            let (_, new) = tokio::join!(
                come_by(&ada, &sheets[0]),
                sittings::renewed_by(&other.hub, &sitting, Which::One(1), ivy()),
            );
            assert_eq!(new.expect("a new code").len(), 1);
            assert_eq!(name_of(&ada).await, None);
            let now = other.hub.now();
            let (_, ended) = tokio::join!(
                come_by(&ben, &sheets[1]),
                end(&other.hub, &sitting, now, ivy()),
            );
            assert_eq!(ended, Ok(()));
            assert_eq!(name_of(&ben).await, None);
        }
    }
}
