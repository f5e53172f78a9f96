//! Accounts that people make themselves, by an invitation.

use lyceum_auth::config::SignUp;
use lyceum_hub::db;
use lyceum_model::clock::Clock;
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::on;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};

use crate::grants::{group, role};
use crate::sittings;

const PAGE: &str = "/hub/sign-up";
const INVITE: &str = "/hub/admin/users/invite";
const NEW: &str = "lantern orbit gravel";
const DAY: i64 = 24 * 3_600_000;

async fn hub(db: &TestDb) -> (TestHub, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let spawner = FakeSpawner::default();
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |settings, _| {
        let name = |text| UserName::parse(text).expect("a good name");
        settings.admission.block.people = [name("eve")].into();
        settings.admission.admins = [name("chief")].into();
        role(&mut settings.grants, "tutor", &["list:users"], &["tutor"]);
        group(&mut settings.grants, "staff", &["stan"]);
        group(&mut settings.grants, "guests", &[]);
    });
    let hub = hub.await.with_admin("root").await.with_user("ada").await;
    hub.sign_up(SignUp::Invitation);
    (hub, clock)
}

/// The secret of an invitation that this administrator makes.
async fn invite(root: &Client, groups: &str) -> String {
    let fields = [("do", "make"), ("note", "the guest"), ("groups", groups)];
    let page = root.post_form(INVITE, &fields).await.expect(200).text();
    let (_, rest) = page.split_once("/hub/sign-up?invitation=").expect("a link");
    rest.split('"').next().unwrap_or_default().to_owned()
}

async fn use_it(client: &Client, secret: &str, name: &str, new: &str) -> (u16, String) {
    let fields = [
        ("invitation", secret),
        ("name", name),
        ("new", new),
        ("again", new),
    ];
    let answer = client.post_form(PAGE, &fields).await;
    (answer.status.as_u16(), answer.text())
}

async fn look(client: &Client, secret: &str) -> u16 {
    client.status(&format!("{PAGE}?invitation={secret}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_invited_makes_an_account_once() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = hub.signed_in("root").await;
        let secret = invite(&root, "guests").await;
        let page = root.get("/hub/admin/users").await.expect(200).text();
        assert!(
            page.contains("the guest") && page.contains("guests"),
            "{page}"
        );
        assert!(!page.contains(&secret), "it is shown once");
        let guest = hub.client();
        assert_eq!(look(&guest, &secret).await, 200);
        for (name, new, status, words) in [
            ("gu est", NEW, 400, "user name has letters"),
            ("", NEW, 400, "empty"),
            ("grete", "kurz", 400, "at least 8 characters"),
            ("grete", "password1", 400, "guessed first"),
        ] {
            let (got, page) = use_it(&guest, &secret, name, new).await;
            assert!(
                got == status && page.contains(words),
                "{got} {words}: {page}"
            );
            assert!(!page.contains(NEW), "{page}");
        }
        let (got, page) = use_it(&guest, &secret, "Grete", NEW).await;
        assert!(
            got == 200 && page.contains("You are called grete"),
            "{page}"
        );
        guest.log_in("grete", NEW).await.expect(302);
        let user = guest.get("/hub/api/user").await.expect(200).json();
        assert_eq!(user["groups"], serde_json::json!(["guests"]));
        assert_eq!(user["admin"], false);
        // Used up.
        let other = hub.client();
        assert_eq!(look(&other, &secret).await, 404);
        other.get("/hub/login").await.expect(200);
        assert_eq!(use_it(&other, &secret, "hans", NEW).await.0, 404);
        // Too late, and taken back.
        let late = invite(&root, "").await;
        clock.advance(7 * DAY);
        assert_eq!(look(&other, &late).await, 404);
        let root = hub.signed_in("root").await;
        let back = invite(&root, "").await;
        let page = root.get("/hub/admin/users").await.expect(200).text();
        let (_, rest) = page
            .split_once("name=\"id\" value=\"")
            .expect("one is open");
        let id = rest.split('"').next().unwrap_or_default();
        let fields = [("do", "withdraw"), ("id", id)];
        root.post_form(INVITE, &fields).await.expect(302);
        assert_eq!(look(&other, &back).await, 404);
        root.post_form(INVITE, &fields).await.expect(404);
        // Nothing of them stands in the database as it is.
        let again = invite(&root, "").await;
        let mut tx = db.db().read().await.expect("a transaction");
        let hashes: Vec<String> = on!(&mut tx, |c| sqlx::query_scalar(
            "SELECT hash FROM invitations"
        )
        .fetch_all(c)
        .await)
        .expect("read");
        assert!(hashes.len() == 1 && hashes[0] != again, "{hashes:?}");
        drop(tx);
        hub.stop().await;
    }
}

/// Names that are somebody's, or meant for somebody, are not to be had.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_meant_for_somebody_is_not_to_be_had() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        let hub = hub.with_account("late").await;
        hub.put_in_course("tess", "bio", CourseRole::Teacher);
        hub.put_in_course("stu", "bio", CourseRole::Student);
        hub.put_in_exchange("prof");
        hub.give_machine_account("mach");
        let root = hub.signed_in("root").await;
        let secret = invite(&root, "").await;
        let guest = hub.client();
        assert_eq!(look(&guest, &secret).await, 200);
        for name in [
            "ada", "ADA", "root", "late", "chief", "tutor", "stan", "tess", "stu", "eve", "prof",
            "mach",
        ] {
            let (got, page) = use_it(&guest, &secret, name, NEW).await;
            assert!(got == 400 && page.contains("be had here"), "{name}: {page}");
            hub.client().log_in(name, NEW).await.expect(403);
            // It is said only of what is right otherwise.
            let (_, page) = use_it(&guest, &secret, name, "kurz").await;
            assert!(!page.contains("be had here"), "{page}");
        }
        assert_eq!(use_it(&guest, &secret, "grete", NEW).await.0, 200);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_invite_and_only_where_it_is_meant() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        let (root, ada) = (hub.signed_in("root").await, hub.signed_in("ada").await);
        let make = [("do", "make"), ("note", "x"), ("groups", "")];
        ada.post_form(INVITE, &make).await.expect(403);
        let script = crate::kit::program(&hub, "root").await;
        script.post_form(INVITE, &make).await.expect(403);
        let wrong = [("do", "make"), ("note", "x"), ("groups", "nobodys")];
        let page = root.post_form(INVITE, &wrong).await.expect(400).text();
        assert!(page.contains("no group nobodys"), "{page}");
        let long = "x".repeat(201);
        let wrong = [("do", "make"), ("note", &*long), ("groups", "")];
        root.post_form(INVITE, &wrong).await.expect(400);
        root.post_form(INVITE, &[("do", "dance")]).await.expect(400);
        let secret = invite(&root, "").await;
        // A page elsewhere posts nothing here.
        let guest = hub.client();
        assert_eq!(look(&guest, &secret).await, 200);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let body = format!("invitation={secret}&name=grete&new={NEW}&again={NEW}");
        let foreign = guest.send(hyper::Method::POST, PAGE, &form, body.into());
        foreign.await.expect(403);
        hub.client().log_in("grete", NEW).await.expect(403);
        // No more once the configuration says so.
        hub.sign_up(SignUp::Closed);
        assert_eq!(look(&guest, &secret).await, 404);
        assert_eq!(use_it(&guest, &secret, "grete", NEW).await.0, 404);
        root.post_form(INVITE, &make).await.expect(404);
        let page = root.get("/hub/admin/users").await.expect(200).text();
        assert!(!page.contains("invite"), "{page}");
        hub.stop().await;
    }
}

/// How many names of these acts stand there, for administrators.
async fn written(root: &Client, what: &str) -> Vec<serde_json::Value> {
    let list = "/hub/api/lyceum/audit?kind=people&limit=100";
    let items = root.get(list).await.expect(200).json()["items"].clone();
    let rows = items.as_array().expect("a list").iter();
    rows.filter(|row| row["what"] == what).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_makes_an_account_where_it_is_open() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        hub.sign_up(SignUp::Open);
        hub.put_in_course("tess", "bio", CourseRole::Teacher);
        hub.put_in_exchange("prof");
        hub.give_machine_account("mach");
        let guest = hub.client();
        let page = guest.get("/hub/login").await.expect(200).text();
        assert!(page.contains("/hub/sign-up"), "{page}");
        guest.get(PAGE).await.expect(200);
        let make = async |name: &str| {
            let fields = [("name", name), ("new", NEW), ("again", NEW)];
            let answer = guest.post_form(PAGE, &fields).await;
            (answer.status.as_u16(), answer.text())
        };
        for name in [
            "ada", "ADA", "root", "chief", "tutor", "stan", "tess", "eve", "prof", "mach",
        ] {
            let (got, page) = make(name).await;
            assert!(got == 400 && page.contains("be had here"), "{name}: {page}");
        }
        let (got, page) = make("Grete").await;
        assert!(got == 200 && page.contains("called grete"), "{page}");
        guest.log_in("grete", NEW).await.expect(302);
        let user = guest.get("/hub/api/user").await.expect(200).json();
        assert_eq!(
            (&user["admin"], &user["groups"]),
            (&false.into(), &serde_json::json!([]))
        );
        let root = hub.signed_in("root").await;
        let rows = written(&root, "signed_up").await;
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (&rows[0]["doer"], &rows[0]["about"]),
            (&"grete".into(), &"grete".into())
        );
        // Whoever makes many waits.
        let other = hub.client();
        other.get(PAGE).await.expect(200);
        let mut last = 200;
        for n in 0..45 {
            let name = format!("g{n}");
            let fields = [("name", &*name), ("new", "kurz"), ("again", "kurz")];
            last = other.post_form(PAGE, &fields).await.status.as_u16();
        }
        assert_eq!(last, 429);
        // No more once the configuration says so.
        hub.sign_up(SignUp::Invitation);
        other.get(PAGE).await.expect(404);
        hub.stop().await;
    }
}

/// Whom the configuration lets in by her name may come by another way yet.
#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_open_nobody_takes_a_name_that_is_let_in() {
    let db = TestDb::sqlite().await;
    let (hub, _) = hub(&db).await;
    hub.sign_up(SignUp::Open);
    let mut settings = hub.hub.settings().as_ref().clone();
    let name = UserName::parse("lise").expect("a good name");
    let allow = lyceum_model::who::Listed {
        people: [name].into(),
        ..Default::default()
    };
    settings.admission.allow = Some(allow);
    settings.admission.existing = true;
    hub.hub.reload(settings).await;
    let guest = hub.client();
    guest.get(PAGE).await.expect(200);
    for (name, status) in [("lise", 400), ("grete", 200)] {
        let fields = [("name", name), ("new", NEW), ("again", NEW)];
        guest.post_form(PAGE, &fields).await.expect(status);
    }
    hub.stop().await;
}

/// Also when the machine gets an account of that name while somebody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_by_the_name_of_an_account_of_the_machine() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        hub.sign_up(SignUp::Approval);
        let (root, guest) = (hub.signed_in("root").await, hub.client());
        guest.get(PAGE).await.expect(200);
        let fields = [("name", "mach"), ("note", ""), ("new", NEW), ("again", NEW)];
        guest.post_form(PAGE, &fields).await.expect(200);
        let page = root.get("/hub/admin/users").await.expect(200).text();
        let (_, list) = page.split_once("id=\"sign-ups\"").expect("a list");
        let (_, rest) = list
            .split_once("name=\"chosen\" value=\"")
            .expect("one waits");
        let id = rest.split('"').next().unwrap_or_default();
        hub.give_machine_account("mach");
        let yes = [("do", "approve"), ("chosen", id)];
        root.post_form("/hub/admin/users/sign-ups", &yes)
            .await
            .expect(400);
        hub.client().log_in("mach", NEW).await.expect(403);
        hub.stop().await;
    }
}

/// Of two who use one at the same moment one has an account.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_makes_an_account() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        let root = hub.signed_in("root").await;
        let secret = invite(&root, "").await;
        let (one, other) = (hub.client(), hub.client());
        for client in [&one, &other] {
            assert_eq!(look(client, &secret).await, 200);
        }
        let (first, second) = tokio::join!(
            use_it(&one, &secret, "grete", NEW),
            use_it(&other, &secret, "hans", NEW)
        );
        let mut statuses = [first.0, second.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 404], "{first:?} {second:?}");
        let mut tx = db.db().read().await.expect("a transaction");
        let name = |text| UserName::parse(text).expect("a good name");
        let grete = db::users::find(&mut tx, &name("grete"))
            .await
            .expect("read");
        let hans = db::users::find(&mut tx, &name("hans")).await.expect("read");
        assert!(grete.is_some() != hans.is_some());
        drop(tx);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_of_an_exams_accounts_are_kept() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let people = "exam-bio-{1..3}";
        sittings::make(&hub.hub, sittings::wish(&hub.hub, people)).await;
        let secret = invite(&hub.signed_in("root").await, "guests").await;
        let guest = hub.client();
        assert_eq!(look(&guest, &secret).await, 200);
        let (status, page) = use_it(&guest, &secret, "exam-bio-2", NEW).await;
        assert!(
            status == 400 && page.contains("kept for somebody"),
            "{page}"
        );
        // Long after the exam it is a name like others.
        clock.advance(91 * DAY);
        let secret = invite(&hub.signed_in("root").await, "guests").await;
        let guest = hub.client();
        assert_eq!(look(&guest, &secret).await, 200);
        let (status, page) = use_it(&guest, &secret, "exam-bio-2", NEW).await;
        assert_eq!(status, 200, "{page}");
    }
}
