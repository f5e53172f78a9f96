//! The second step behind a password: set up, asked for, required, lost; and every way round it.

use data_encoding::BASE32_NOPAD;
use lyceum_auth::second_factor::{self, Asked, CodeRefused, Proof};
use lyceum_auth::totp::Key;
use lyceum_auth::{Refused, SecondFactors};
use lyceum_hub::db;
use lyceum_hub::second_factor::{Meant, Required};
use lyceum_model::clock::Clock;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_model::who::CourseRole;
use lyceum_store::on;
use lyceum_store::secret::Keys;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::json;

const PAGE: &str = "/hub/second-factor";
const CODE: &str = "/hub/login/code";
const STEP: i64 = 30_000;
const NEW: &str = "lantern orbit gravel";

/// A hub whose clock moves when told, and of whom it wants a second step.
async fn hub(db: &TestDb, required: &[&str]) -> (TestHub, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let spawner = FakeSpawner::default();
    let required = required.iter().map(|text| Meant::parse(text).expect(text));
    let required = Required(required.collect());
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |settings, _| {
        settings.second_factor = required;
    });
    (hub.await, clock)
}

fn value_of(page: &str, id: &str) -> String {
    let (_, rest) = page
        .split_once(id)
        .unwrap_or_else(|| panic!("no {id}: {page}"));
    let (_, rest) = rest.split_once("value=\"").expect("a value");
    rest.split('"').next().unwrap_or_default().to_owned()
}

pub(crate) fn key_on(page: &str) -> Key {
    let text = text_of(page, "id=\"key-text\"").replace(' ', "");
    let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes());
    Key::from_slice(&bytes.expect("base 32")).expect("twenty bytes")
}

fn codes_on(page: &str) -> Vec<String> {
    let codes = text_of(page, "id=\"codes-text\"");
    codes.lines().map(str::to_owned).collect()
}

/// What stands in a field of several lines.
fn text_of(page: &str, id: &str) -> String {
    let (_, rest) = page
        .split_once(id)
        .unwrap_or_else(|| panic!("no {id}: {page}"));
    let (_, rest) = rest.split_once('>').expect("a field");
    rest.split('<').next().unwrap_or_default().to_owned()
}

/// Sets an app up on one's own page.
pub(crate) async fn set_up(client: &Client, clock: &Clock) -> (Key, Vec<String>) {
    let page = client.get(PAGE).await.expect(200).text();
    let (key, sealed) = (key_on(&page), value_of(&page, "name=\"set_up\""));
    let code = key.code_at(clock.now());
    let fields = [
        ("do", "set_up"),
        ("set_up", &sealed),
        ("password", PASSWORD),
        ("code", &code),
    ];
    let page = client.post_form(PAGE, &fields).await.expect(200).text();
    let codes = codes_on(&page);
    assert_eq!(codes.len(), second_factor::CODES);
    (key, codes)
}

/// The right password; the answer is where the rest is asked for.
pub(crate) async fn half_way(hub: &TestHub, name: &str) -> Client {
    let client = hub.client();
    let answer = client.log_in(name, PASSWORD).await.expect(302);
    assert!(answer.location().ends_with(CODE), "{}", answer.location());
    client.get(CODE).await.expect(200);
    client
}

pub(crate) async fn type_code(client: &Client, code: &str) -> Answer {
    client.post_form(CODE, &[("code", code)]).await
}

async fn is_in(client: &Client) -> bool {
    client.status("/hub/home").await == 200
}

async fn user_id(hub: &TestHub, name: &str) -> String {
    let mut tx = hub.hub.db().read().await.expect("a transaction");
    let name = UserName::parse(name).expect("a good name");
    let user = db::users::find(&mut tx, &name).await.expect("read");
    user.expect("she is there").id
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_password_a_code_is_asked_for() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let page = ada.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("Set up a second step"), "{page}");
        let (key, _) = set_up(&ada, &clock).await;
        let page = ada.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("A second step behind my password"), "{page}");

        let client = hub.client();
        let login = "/hub/login?next=%2Fhub%2Ftoken";
        client.get(login).await.expect(200);
        let fields = [
            ("username", "ada"),
            ("password", PASSWORD),
            ("next", "/hub/token"),
        ];
        let answer = client.post_form("/hub/login", &fields).await.expect(302);
        assert!(answer.location().ends_with(CODE));
        assert!(!is_in(&client).await, "a password is not enough");
        let page = client.get(CODE).await.expect(200).text();
        for words in ["one-time-code", "inputmode=\"numeric\"", "ada"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        // The code by which she set it up is used.
        let page = type_code(&client, &key.code_at(clock.now())).await;
        assert!(page.expect(403).text().contains("used already"));
        let page = type_code(&client, "000000").await.expect(403).text();
        assert!(page.contains("not right"), "{page}");
        assert!(!is_in(&client).await);
        clock.advance(STEP);
        let code = key.code_at(clock.now());
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        let answer = type_code(&client, &spaced).await.expect(302);
        assert!(answer.location().ends_with("/hub/token"));
        assert!(is_in(&client).await);
        // What was half-way is gone with it.
        assert_eq!(client.cookie("lyceum-half-way"), None);
        // Nobody takes the code again.
        let other = half_way(&hub, "ada").await;
        type_code(&other, &code).await.expect(403);
        assert!(!is_in(&other).await);
        // She is told of the wrong one.
        let page = ada.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("Somebody typed your password"), "{page}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_is_good_once() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let (_, codes) = set_up(&ada, &clock).await;
        let client = half_way(&hub, "ada").await;
        type_code(&client, &codes[3].replace('-', " "))
            .await
            .expect(302);
        assert!(is_in(&client).await);
        let client = half_way(&hub, "ada").await;
        type_code(&client, &codes[3]).await.expect(403);
        assert!(!is_in(&client).await);
        type_code(&client, &codes[4]).await.expect(302);
        let page = ada.get(PAGE).await.expect(200).text();
        assert!(page.contains("8 recovery codes left"), "{page}");
        assert!(page.contains("A recovery code was used"), "{page}");
        // None of them is in the database as it is.
        let mut tx = db.db().read().await.expect("a transaction");
        let kept: Vec<String> = on!(&mut tx, |c| sqlx::query_scalar(
            "SELECT hash FROM recovery_codes"
        )
        .fetch_all(c)
        .await)
        .expect("read");
        let plain = |hash: &String| {
            codes
                .iter()
                .any(|code| hash.contains(&code.replace('-', "")))
        };
        assert!(kept.len() == 8 && !kept.iter().any(plain), "{kept:?}");
        hub.stop().await;
    }
}

/// Two hubs on one database are brought the same code at the same moment: one takes it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_hubs_one_takes_a_code() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let (key, codes) = set_up(&ada, &clock).await;
        let user_id = user_id(&hub, "ada").await;
        let asked = Asked {
            user_id: &user_id,
            password: "",
            address: [192, 0, 2, 1].into(),
        };
        let replicas = [db.db().clone(), db.another().await];
        for round in 0..5 {
            clock.advance(STEP);
            let code = match round {
                0 => codes[0].clone(),
                _ => key.code_at(clock.now()),
            };
            let tries = replicas.iter().map(|db| {
                let keys = Keys::from_bytes([9; 32]);
                let factors = SecondFactors::new(keys, db.clone(), clock.clone());
                let code = code.clone();
                async move {
                    let turn = factors.begin(asked).await.expect("let through");
                    let tx = db.write().await.expect("a transaction");
                    factors.prove(tx, turn, &code).await
                }
            });
            let tries: Vec<_> = tries.collect();
            let [one, other] = tries.try_into().ok().expect("two");
            let (one, other) = tokio::join!(one, other);
            let taken = [&one, &other].into_iter().filter(|tried| tried.is_ok());
            assert_eq!(taken.count(), 1, "{one:?} {other:?}");
        }
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_slowed_down_for_the_account_and_anew_with_a_new_password() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_user("ada").await;
        let ada = hub.signed_in("ada").await;
        let (key, _) = set_up(&ada, &clock).await;
        let factors = SecondFactors::new(Keys::from_bytes([9; 32]), db.db().clone(), clock.clone());
        let user_id = user_id(&hub, "ada").await;
        let attempt = async |password: &str, last: u8, code: &str| {
            let asked = Asked {
                user_id: &user_id,
                password,
                address: [192, 0, 2, last].into(),
            };
            let turn = factors.begin(asked).await?;
            let tx = db.db().write().await.expect("a transaction");
            factors.prove(tx, turn, code).await
        };
        // Each from another address.
        for last in 0..5 {
            let wrong = attempt("one", last, "000000").await;
            assert!(matches!(wrong, Err(CodeRefused::Wrong)), "{wrong:?}");
        }
        clock.advance(1_000);
        let waits = attempt("one", 9, "000000").await;
        assert!(
            matches!(waits, Err(CodeRefused::TooMany { .. })),
            "{waits:?}"
        );
        // The owner has another password now, which whoever guesses does not know.
        clock.advance(STEP);
        let code = key.code_at(clock.now());
        let right = attempt("another", 1, &code).await;
        assert!(matches!(right, Ok(Proof::App)), "{right:?}");
        // What is used already is no guess.
        for _ in 0..10 {
            let used = attempt("another", 1, &code).await;
            assert!(matches!(used, Err(CodeRefused::Used)), "{used:?}");
        }
        // On the page, with the time to wait.
        let client = half_way(&hub, "ada").await;
        for _ in 0..5 {
            type_code(&client, "000000").await.expect(403);
        }
        let answer = type_code(&client, "000000").await.expect(429);
        assert!(answer.headers.contains_key("retry-after"));
        // Nobody without her password is asked for a code, so nobody else makes her wait.
        let stranger = hub.client();
        stranger.log_in("ada", "a guess").await.expect(403);
        type_code(&stranger, "000000").await.expect(403);
        assert_eq!(stranger.cookie("lyceum-half-way"), None);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_must_have_one_sets_it_up_before_she_is_in() {
    for db in TestDb::both().await {
        let required = ["role:admin", "course:*/teacher", "group:staff"];
        let (hub, clock) = hub(&db, &required).await;
        let hub = hub.with_admin("root").await.with_user("tess").await;
        let hub = hub.with_user("sue").await.with_user("ada").await;
        hub.put_in_course("tess", "bio", CourseRole::Teacher);
        hub.put_in_course("ada", "bio", CourseRole::Student);
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        let now = hub.hub.now();
        db::groups::ensure(&mut tx, "staff", now)
            .await
            .expect("a group");
        let sue = user_id(&hub, "sue").await;
        db::groups::add_member(&mut tx, "staff", &sue)
            .await
            .expect("a member");
        tx.commit().await.expect("written");
        assert!(
            is_in(&hub.signed_in("ada").await).await,
            "students need none"
        );
        for name in ["root", "tess", "sue"] {
            let client = half_way(&hub, name).await;
            assert!(!is_in(&client).await);
            client.get(PAGE).await.expect(302);
            let page = client.get(CODE).await.expect(200).text();
            let key = key_on(&page);
            // The key stays while she looks for an app, and another's code is none.
            assert_eq!(key_on(&client.get(CODE).await.text()), key);
            let page = type_code(&client, "000000").await.expect(403).text();
            assert_eq!(key_on(&page), key);
            assert!(!is_in(&client).await);
            let tab = half_way(&hub, name).await;
            let page = type_code(&client, &key.code_at(clock.now())).await;
            let codes = codes_on(&page.expect(200).text());
            assert!(is_in(&client).await);
            // Another tab, with another key, asks for a code of this app now.
            let other = tab.get(CODE).await.expect(200).text();
            assert!(!other.contains("key-text"), "{other}");
            type_code(&tab, &codes[0]).await.expect(302);
            // She can't get rid of it.
            clock.advance(STEP);
            let code = key.code_at(clock.now());
            let page = client.get(PAGE).await.expect(200).text();
            assert!(!page.contains("value=\"off\""), "{page}");
            let answer = client
                .post_form(PAGE, &[("do", "off"), ("code", &code)])
                .await;
            assert!(
                answer
                    .expect(403)
                    .text()
                    .contains("can&#39;t be switched off")
            );
            half_way(&hub, name).await;
        }
        hub.stop().await;
    }
}

/// What else takes a password: none of it makes a session or a token without the second step.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_way_round() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &["role:admin"]).await;
        let hub = hub.with_admin("root").await.with_user("ada").await;
        let by_password = async |name: &str, password: &str| {
            let body = json!({ "auth": { "username": name, "password": password } });
            let path = format!("/hub/api/users/{name}/tokens");
            hub.client().post_json(&path, &body).await
        };
        by_password("ada", PASSWORD).await.expect(201);
        let ada = hub.signed_in("ada").await;
        let (key, codes) = set_up(&ada, &clock).await;
        // Tokens by password: neither with one set up, nor where one is required.
        for name in ["ada", "root"] {
            let said = by_password(name, PASSWORD).await.expect(403).text();
            assert!(said.contains("second step"), "{said}");
            let wrong = by_password(name, "a guess").await.expect(403).text();
            assert!(!wrong.contains("second step"), "{wrong}");
        }
        // What is half-way is no session anywhere: not for pages, the API, the proxy, or her own page.
        let client = half_way(&hub, "ada").await;
        for path in [
            "/hub/home",
            "/hub/token",
            "/hub/password",
            PAGE,
            "/user/ada/lab",
        ] {
            assert_eq!(client.status(path).await, 302, "{path}");
        }
        client.get("/hub/api/user").await.expect(403);
        let authorize = "/hub/api/oauth2/authorize?client_id=x&response_type=code&redirect_uri=/";
        assert_ne!(client.status(authorize).await, 200);
        // Nor in the place of another cookie.
        let sealed = client.cookie("lyceum-half-way").expect("half-way");
        let thief = hub.client();
        for name in [
            "jupyterhub-hub-login",
            "lyceum-access",
            "jupyterhub-session-id",
        ] {
            thief.plant(name, &sealed, "/");
        }
        assert!(!is_in(&thief).await);
        // Two of a name: one of them was planted.
        let planted = half_way(&hub, "ada").await;
        planted.plant("lyceum-half-way", &sealed, "/");
        assert_eq!(planted.status(CODE).await, 302);
        // A form without the token of this browser's page.
        let foreign = client
            .send(
                hyper::Method::POST,
                CODE,
                &[("content-type", "application/x-www-form-urlencoded")],
                format!("code={}", codes[0]).into(),
            )
            .await;
        foreign.expect(403);
        assert!(!is_in(&client).await);
        // With a new password it is nothing any more, and the new one leads to the code again.
        let root = hub.client();
        root.log_in("root", PASSWORD).await.expect(302);
        let page = root.get(CODE).await.expect(200).text();
        let roots = key_on(&page);
        type_code(&root, &roots.code_at(clock.now()))
            .await
            .expect(200);
        let page = root
            .post_form("/hub/admin/user/ada", &[("do", "password-link")])
            .await;
        let page = page.expect(200).text();
        let (_, link) = page.split_once("/hub/new-password?link=").expect("a link");
        let link = link.split('"').next().unwrap_or_default();
        let her = hub.client();
        her.get(&format!("/hub/new-password?link={link}"))
            .await
            .expect(200);
        let fields = [("link", link), ("new", NEW), ("again", NEW)];
        her.post_form("/hub/new-password", &fields)
            .await
            .expect(200);
        assert!(!is_in(&her).await);
        let late = type_code(&client, &codes[1]).await.expect(403).text();
        assert!(late.contains("took too long or was used before"), "{late}");
        assert!(!is_in(&client).await);
        her.log_in("ada", NEW).await.expect(302);
        assert!(!is_in(&her).await);
        her.get(CODE).await.expect(200);
        clock.advance(STEP);
        type_code(&her, &key.code_at(clock.now())).await.expect(302);
        assert!(is_in(&her).await);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_way_ends_with_time_and_with_who_she_is() {
    let db = TestDb::sqlite().await;
    let (hub, clock) = hub(&db, &[]).await;
    let hub = hub.with_admin("root").await.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let (key, codes) = set_up(&ada, &clock).await;
    let late = half_way(&hub, "ada").await;
    let sealed = late.cookie("lyceum-half-way").expect("half-way");
    clock.advance(10 * 60_000);
    let copied = hub.client();
    copied.plant("lyceum-half-way", &sealed, "/hub/");
    assert_eq!(copied.status(CODE).await, 302);
    type_code(&copied, &key.code_at(clock.now()))
        .await
        .expect(403);
    assert!(!is_in(&copied).await);
    // Blocked meanwhile.
    let client = half_way(&hub, "ada").await;
    let root = hub.signed_in("root").await;
    root.post_form("/hub/admin/user/ada", &[("do", "block")])
        .await
        .expect(302);
    let said = type_code(&client, &codes[0]).await.expect(403).text();
    assert!(said.contains("admitted"), "{said}");
    root.post_form("/hub/admin/user/ada", &[("do", "unblock")])
        .await
        .expect(302);
    // The code was not looked at.
    let client = half_way(&hub, "ada").await;
    type_code(&client, &codes[0]).await.expect(302);
    // Renamed and deleted people have, and have not, what they had.
    let client = half_way(&hub, "ada").await;
    let fields = [("do", "rename"), ("to", "countess")];
    root.post_form("/hub/admin/user/ada", &fields)
        .await
        .expect(302);
    // It is still she, and her password.
    type_code(&client, &codes[1]).await.expect(302);
    half_way(&hub, "countess").await;
    let fields = [("do", "delete"), ("confirm", "countess")];
    root.post_form("/hub/admin/user/countess", &fields)
        .await
        .expect(302);
    type_code(&client, &codes[2]).await.expect(403);
    let mut tx = db.db().read().await.expect("a transaction");
    for left in [
        "SELECT COUNT(*) FROM second_factors",
        "SELECT COUNT(*) FROM recovery_codes",
        "SELECT COUNT(*) FROM second_factor_events",
    ] {
        let rows: i64 =
            on!(&mut tx, |c| sqlx::query_scalar(left).fetch_one(c).await).expect("read");
        assert_eq!(rows, 0, "{left}");
    }
}

/// Whoever sits at somebody's open browser sets nothing up, and takes nothing off.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_browser_is_not_enough_to_change_it() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_user("ada").await.with_user("ben").await;
        let ada = hub.signed_in("ada").await;
        let page = ada.get(PAGE).await.expect(200).text();
        let (key, sealed) = (key_on(&page), value_of(&page, "name=\"set_up\""));
        let code = key.code_at(clock.now());
        let begin = async |client: &Client, password: &str, sealed: &str, code: &str| {
            let fields = [
                ("do", "set_up"),
                ("set_up", sealed),
                ("password", password),
                ("code", code),
            ];
            let answer = client.post_form(PAGE, &fields).await;
            (answer.status.as_u16(), answer.text())
        };
        for (password, sealed, code, status, words) in [
            (
                "a guess",
                sealed.as_str(),
                code.as_str(),
                403,
                "not your password",
            ),
            ("", &sealed, &code, 403, "not your password"),
            (PASSWORD, &sealed, "000000", 403, "not right"),
            (PASSWORD, "sealed1.x.y", &code, 403, "open for too long"),
            (PASSWORD, "", &code, 403, "open for too long"),
        ] {
            let (got, page) = begin(&ada, password, sealed, code).await;
            assert!(
                got == status && page.contains(words),
                "{got} {words}: {page}"
            );
            assert!(!page.contains(PASSWORD), "{page}");
        }
        // Another's, or of another browser of hers.
        let (ben, other) = (hub.signed_in("ben").await, hub.signed_in("ada").await);
        for client in [&ben, &other] {
            client.get(PAGE).await.expect(200);
            let (got, page) = begin(client, PASSWORD, &sealed, &code).await;
            assert!(got == 403 && page.contains("open for too long"), "{page}");
        }
        let (got, page) = begin(&ada, PASSWORD, &sealed, &code).await;
        assert_eq!((got, codes_on(&page).len()), (200, 10));
        // Nothing takes the place of an app that is there but by a code of it.
        clock.advance(STEP);
        let (got, page) = begin(&ada, PASSWORD, &sealed, &key.code_at(clock.now())).await;
        assert!(got == 403 && page.contains("open for too long"), "{page}");
        for wish in ["off", "codes", "move"] {
            let answer = ada
                .post_form(PAGE, &[("do", wish), ("code", "000000")])
                .await;
            answer.expect(403);
        }
        ada.post_form(PAGE, &[("do", "dance"), ("code", "000000")])
            .await
            .expect(400);
        half_way(&hub, "ada").await;
        // New codes end those before them.
        let old = codes_on(&page_of_new_codes(&ada, &key, &clock).await);
        clock.advance(STEP);
        let new = codes_on(&page_of_new_codes(&ada, &key, &clock).await);
        let client = half_way(&hub, "ada").await;
        type_code(&client, &old[0]).await.expect(403);
        type_code(&client, &new[0]).await.expect(302);
        // Another phone, by a code of the one there is.
        clock.advance(STEP);
        let code = key.code_at(clock.now());
        let answer = ada
            .post_form(PAGE, &[("do", "move"), ("code", &code)])
            .await;
        let page = answer.expect(200).text();
        assert!(!page.contains("type=\"password\""), "{page}");
        let (next, sealed) = (key_on(&page), value_of(&page, "name=\"set_up\""));
        let (got, _) = begin(&ada, "", &sealed, &next.code_at(clock.now())).await;
        assert_eq!(got, 200);
        clock.advance(STEP);
        let client = half_way(&hub, "ada").await;
        type_code(&client, &key.code_at(clock.now()))
            .await
            .expect(403);
        type_code(&client, &next.code_at(clock.now()))
            .await
            .expect(302);
        // Once more the same would take the place of what is there now.
        let (got, page) = begin(&ada, "", &sealed, &next.code_at(clock.now())).await;
        assert!(got == 403 && page.contains("open for too long"), "{page}");
        // Off.
        clock.advance(STEP);
        let code = next.code_at(clock.now());
        ada.post_form(PAGE, &[("do", "off"), ("code", &code)])
            .await
            .expect(302);
        assert!(is_in(&hub.signed_in("ada").await).await);
        hub.stop().await;
    }
}

async fn page_of_new_codes(client: &Client, key: &Key, clock: &Clock) -> String {
    let code = key.code_at(clock.now());
    let fields = [("do", "codes"), ("code", code.as_str())];
    client.post_form(PAGE, &fields).await.expect(200).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_it_off_and_she_is_told() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db, &[]).await;
        let hub = hub.with_admin("root").await.with_user("ada").await;
        let (ada, root) = (hub.signed_in("ada").await, hub.signed_in("root").await);
        let path = "/hub/admin/user/ada";
        let off = [("do", "second-factor-off")];
        let page = root.get(path).await.expect(200).text();
        assert!(!page.contains("second-factor-off"), "there is none");
        root.post_form(path, &off).await.expect(400);
        set_up(&ada, &clock).await;
        let page = root.get(path).await.expect(200).text();
        assert!(page.contains("second-factor-off"), "{page}");
        ada.post_form(path, &off).await.expect(403);
        half_way(&hub, "ada").await;
        root.post_form(path, &off).await.expect(302);
        let again = hub.signed_in("ada").await;
        assert!(is_in(&again).await);
        let page = again.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("root took it off"), "{page}");
        // Nobody takes off her own without a code of it.
        set_up(&root, &clock).await;
        let own = "/hub/admin/user/root";
        let page = root.get(own).await.expect(200).text();
        assert!(!page.contains("second-factor-off"), "{page}");
        root.post_form(own, &off).await.expect(400);
        half_way(&hub, "root").await;
        hub.stop().await;
    }
}

/// With another key of this place nothing opens, and nobody is let in for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_open_lets_nobody_in() {
    let db = TestDb::sqlite().await;
    let (hub, clock) = hub(&db, &[]).await;
    let hub = hub.with_user("ada").await;
    let ada = hub.signed_in("ada").await;
    let (_, codes) = set_up(&ada, &clock).await;
    let mut tx = db.db().write().await.expect("a transaction");
    let sealed: String = on!(&mut tx, |c| sqlx::query_scalar(
        "SELECT key FROM second_factors"
    )
    .fetch_one(c)
    .await)
    .expect("read");
    assert!(sealed.starts_with("sealed1."), "{sealed}");
    let foreign = Keys::from_bytes([1; 32]).seal("second factor", &[7; 20]);
    on!(&mut tx, |c| sqlx::query(
        "UPDATE second_factors SET key = $1"
    )
    .bind(&foreign)
    .execute(c)
    .await
    .map(|_| ()))
    .expect("written");
    tx.commit().await.expect("written");
    let client = half_way(&hub, "ada").await;
    let code = Key::from_slice(&[7; 20])
        .expect("a key")
        .code_at(clock.now());
    type_code(&client, &code).await.expect(503);
    type_code(&client, &codes[0]).await.expect(503);
    assert!(!is_in(&client).await);
}

/// A password that counts as wrong says nothing of a second step, and takes as long.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_tells_nothing_of_it() {
    let db = TestDb::sqlite().await;
    let (hub, clock) = hub(&db, &["role:admin"]).await;
    let hub = hub
        .with_admin("root")
        .await
        .with_user("ada")
        .await
        .with_user("ben")
        .await;
    set_up(&hub.signed_in("ada").await, &clock).await;
    let sign_in = hub.hub.sign_in();
    for name in ["ada", "ben", "root", "nobody"] {
        let refused = sign_in
            .sign_in(name, Secret::new("a guess"), [192, 0, 2, 7].into())
            .await;
        assert!(matches!(refused, Err(Refused::Credentials)), "{name}");
        let client = hub.client();
        let page = client.log_in(name, "a guess").await.expect(403).text();
        assert!(!page.contains("second") && !page.contains("code"), "{page}");
    }
}
