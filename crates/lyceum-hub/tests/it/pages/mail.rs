//! Mail to people: links to new passwords, addresses, and accounts that come of them, by a mail server.

use lyceum_auth::config::SignUp;
use lyceum_model::clock::Clock;
use lyceum_model::name::UserName;
use lyceum_store::on;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, Smtp, TestDb, TestHub};

const NEW: &str = "lantern orbit gravel";
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

async fn hub(db: &TestDb) -> (TestHub, Clock, Smtp) {
    let clock = Clock::manual(Clock::system().now());
    let spawner = FakeSpawner::default();
    let hub = TestHub::start_tuned_at(db.db().clone(), spawner, clock.clone(), |settings, _| {
        let name = UserName::parse("chief").expect("a good name");
        settings.admission.admins = [name].into();
    });
    let hub = hub.await.with_admin("root").await.with_user("ada").await;
    let smtp = Smtp::start().await;
    hub.send_mail_by(smtp.config()).await;
    (hub, clock, smtp)
}

async fn give_address(root: &Client, name: &str, address: &str) -> u16 {
    let fields = [("do", "mail"), ("address", address)];
    let path = format!("/hub/admin/user/{name}");
    root.post_form(&path, &fields).await.status.as_u16()
}

/// What somebody hears who has forgotten her password.
async fn forget(client: &Client, who: &str) -> (u16, String) {
    client.get("/hub/forgotten").await.expect(200);
    let answer = client.post_form("/hub/forgotten", &[("who", who)]).await;
    (answer.status.as_u16(), answer.text())
}

async fn by_link(client: &Client, link: &str, new: &str) -> (u16, String) {
    let fields = [("link", link), ("new", new), ("again", new)];
    let answer = client.post_form("/hub/new-password", &fields).await;
    (answer.status.as_u16(), answer.text())
}

async fn count(db: &TestDb, statement: &'static str) -> i64 {
    let mut tx = db.db().read().await.expect("a transaction");
    on!(&mut tx, |c| sqlx::query_scalar(statement)
        .fetch_one(c)
        .await)
    .expect("counted")
}

/// What was done that mail and sign-up have to do with: what, who, about whom.
async fn written(root: &Client) -> Vec<String> {
    let list = "/hub/api/lyceum/audit?kind=people&limit=100";
    let items = root.get(list).await.expect(200).json()["items"].clone();
    let rows = items.as_array().expect("a list").iter().map(|row| {
        let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        (word("what"), word("doer"), word("about"))
    });
    let is_of_it = |what: &str| what != "person_made" && what != "admin_given";
    let rows = rows.filter(|(what, ..)| is_of_it(what));
    let mut rows: Vec<String> = rows
        .map(|(what, doer, about)| format!("{what} {doer} {about}"))
        .collect();
    rows.sort();
    rows
}

/// A form token is another for each page.
fn without_tokens(page: &str) -> String {
    let mut left = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("name=\"_xsrf\" value=\"") {
        left.push_str(before);
        rest = after.split_once('"').map_or("", |(_, rest)| rest);
    }
    left + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_forgotten_her_password_has_a_link_sent() {
    for db in TestDb::both().await {
        let (hub, clock, smtp) = hub(&db).await;
        let hub = hub.with_user("ben").await;
        let root = hub.signed_in("root").await;
        let ada = hub.signed_in("ada").await;
        assert_eq!(give_address(&root, "ada", "Ada@Example.edu").await, 302);
        let stranger = hub.client();
        let login = stranger.get("/hub/login").await.expect(200).text();
        assert!(login.contains("/hub/forgotten"), "{login}");
        // Nobody, somebody without an address, an address of nobody: one answer.
        let (status, said) = forget(&stranger, "ada").await;
        assert_eq!(status, 200, "{said}");
        for other in ["nobody", "ben", "nobody@example.edu", "", "no name at all"] {
            let (status, page) = forget(&stranger, other).await;
            assert_eq!(status, 200, "{page}");
            assert_eq!(without_tokens(&page), without_tokens(&said), "{other}");
        }
        let letter = smtp.letter(1).await;
        assert_eq!(letter.to, ["ada@example.edu"]);
        assert_eq!(letter.from, lyceum_testkit::smtp::FROM);
        assert!(letter.text.contains("account ada"), "{}", letter.text);
        let link = letter.secret("link");
        // Looking at it uses nothing up.
        let show = format!("/hub/new-password?link={link}");
        for _ in 0..2 {
            stranger.get(&show).await.expect(200);
        }
        let (status, page) = by_link(&stranger, &link, NEW).await;
        assert!(status == 200 && page.contains("is changed"), "{page}");
        ada.get("/hub/home").await.expect(302);
        stranger.log_in("ada", PASSWORD).await.expect(403);
        hub.client().log_in("ada", NEW).await.expect(302);
        assert_eq!(by_link(&hub.client(), &link, PASSWORD).await.0, 404);

        // By the address, and too late.
        forget(&stranger, "ADA@example.edu").await;
        let late = smtp.letter(2).await.secret("link");
        clock.advance(HOUR);
        assert_eq!(by_link(&stranger, &late, PASSWORD).await.0, 404);
        hub.stop().await;
        assert_eq!(smtp.letters().len(), 2, "nobody else has a letter");
    }
}

/// Whoever asks in somebody else's name neither fills her mailbox nor ends what an administrator gave her.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_harmed_by_what_others_ask_for() {
    for db in TestDb::both().await {
        let (hub, clock, smtp) = hub(&db).await;
        let root = hub.signed_in("root").await;
        give_address(&root, "ada", "ada@example.edu").await;
        let page = root
            .post_form("/hub/admin/user/ada", &[("do", "password-link")])
            .await
            .expect(200)
            .text();
        let (_, rest) = page.split_once("/hub/new-password?link=").expect("a link");
        let handed = rest.split('"').next().unwrap_or_default().to_owned();
        let stranger = hub.client();
        for number in 1..=3 {
            forget(&stranger, "ada").await;
            smtp.letter(number).await;
        }
        let last = smtp.letter(3).await.secret("link");
        forget(&stranger, "ada").await;
        let (status, _) = by_link(&stranger, &last, NEW).await;
        assert_eq!(status, 200, "the last one that came is good");
        // With the new password the other has ended, as ever; a newer one outlives what is asked for.
        assert_eq!(by_link(&stranger, &handed, NEW).await.0, 404);
        clock.advance(2 * HOUR);
        let page = root
            .post_form("/hub/admin/user/ada", &[("do", "password-link")])
            .await
            .expect(200)
            .text();
        let (_, rest) = page.split_once("/hub/new-password?link=").expect("a link");
        let handed = rest.split('"').next().unwrap_or_default().to_owned();
        forget(&stranger, "ada").await;
        smtp.letter(4).await;
        let show = format!("/hub/new-password?link={handed}");
        stranger.get(&show).await.expect(200);
        hub.stop().await;
        assert_eq!(
            smtp.letters().len(),
            4,
            "the fourth of an hour was not sent"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_many_waits() {
    let db = TestDb::sqlite().await;
    let (hub, _, _smtp) = hub(&db).await;
    let stranger = hub.client();
    let mut statuses = Vec::new();
    for _ in 0..42 {
        statuses.push(forget(&stranger, "nobody").await.0);
    }
    assert_eq!(statuses[..40], [200; 40]);
    assert!(statuses[40..].contains(&429), "{statuses:?}");
    // Those who log in are not held up by it.
    hub.client().log_in("ada", PASSWORD).await.expect(302);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_before_a_letter_goes_finds_what_it_would() {
    let smtp = Smtp::start().await;
    let look = async |config, seconds| {
        let limit = std::time::Duration::from_secs(seconds);
        let found = lyceum_hub::mail::look(&config, limit).await;
        found.map_err(|error| format!("{error:#}"))
    };
    assert_eq!(look(smtp.config(), 20).await, Ok(()));
    assert!(smtp.letters().is_empty());
    let mut stranger = smtp.config();
    stranger.credentials = Some(("lyceum".into(), lyceum_model::secret::Secret::new("wrong")));
    assert!(look(stranger, 20).await.is_err());
    smtp.fall_silent();
    let said = look(smtp.config(), 1).await.expect_err("silent");
    assert!(said.contains("did not answer within 1 s"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_silent_holds_up_nobody() {
    let db = TestDb::sqlite().await;
    let (hub, _, smtp) = hub(&db).await;
    let root = hub.signed_in("root").await;
    give_address(&root, "ada", "ada@example.edu").await;
    smtp.fall_silent();
    for _ in 0..6 {
        assert_eq!(forget(&hub.client(), "ada").await.0, 200);
    }
    crate::kit::until("a letter is on its way", async || smtp.connections() > 0).await;
    // It has not been given up, and pages go on.
    assert_eq!(forget(&hub.client(), "ada").await.0, 200);
    root.get("/hub/home").await.expect(200);
    assert!(smtp.letters().is_empty());
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn her_own_address_wants_her_password_and_a_link() {
    for db in TestDb::both().await {
        let (hub, clock, smtp) = hub(&db).await;
        let ada = hub.signed_in("ada").await;
        let page = ada.get("/hub/password").await.expect(200).text();
        assert!(page.contains("/hub/password/mail"), "{page}");
        let give = async |address: &str, old: &str| {
            let fields = [("address", address), ("old", old)];
            let answer = ada.post_form("/hub/password/mail", &fields).await;
            (answer.status.as_u16(), answer.text())
        };
        ada.get("/hub/password/mail").await.expect(200);
        let (status, page) = give("ada", PASSWORD).await;
        assert!(
            status == 400 && page.contains("no address of mail"),
            "{page}"
        );
        let (status, page) = give("ada@example.edu", "a guess").await;
        assert!(status == 403 && page.contains("is not right"), "{page}");
        assert_eq!(give("ada@example.edu", PASSWORD).await.0, 200);
        let link = smtp.letter(1).await.secret("link");
        let reader = hub.client();
        let show = format!("/hub/mail?link={link}");
        for _ in 0..2 {
            let page = reader.get(&show).await.expect(200).text();
            assert!(page.contains("ada@example.edu"), "{page}");
        }
        // Before it is shown to be hers nothing goes there.
        assert_eq!(count(&db, "SELECT COUNT(*) FROM mail_addresses").await, 0);
        let fields = [("link", link.as_str())];
        reader.post_form("/hub/mail", &fields).await.expect(200);
        reader.post_form("/hub/mail", &fields).await.expect(404);
        let verified = "SELECT COUNT(*) FROM mail_addresses WHERE verified_at IS NOT NULL";
        assert_eq!(count(&db, verified).await, 1);

        // Another one: the one before is told.
        assert_eq!(give("lovelace@example.edu", PASSWORD).await.0, 200);
        let link = smtp.letter(2).await.secret("link");
        let fields = [("link", link.as_str())];
        reader.post_form("/hub/mail", &fields).await.expect(200);
        let told = smtp.letter(3).await;
        assert_eq!(told.to, ["ada@example.edu"]);
        assert!(!told.text.contains("lovelace"), "{}", told.text);

        // Too late.
        assert_eq!(give("third@example.edu", PASSWORD).await.0, 200);
        let late = smtp.letter(4).await.secret("link");
        clock.advance(DAY);
        let fields = [("link", late.as_str())];
        reader.post_form("/hub/mail", &fields).await.expect(404);

        // With her it goes, and ends.
        let root = hub.signed_in("root").await;
        let rename = [("do", "rename"), ("to", "augusta")];
        let renamed = root.post_form("/hub/admin/user/ada", &rename);
        renamed.await.expect(302);
        let hers = "SELECT COUNT(*) FROM mail_addresses WHERE user_name = 'augusta'";
        assert_eq!(count(&db, hers).await, 1);
        let delete = [("do", "delete"), ("confirm", "augusta")];
        let deleted = root.post_form("/hub/admin/user/augusta", &delete);
        deleted.await.expect(302);
        assert_eq!(count(&db, "SELECT COUNT(*) FROM mail_addresses").await, 0);
        hub.stop().await;
        assert_eq!(smtp.letters().len(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_give_others_an_address() {
    let db = TestDb::sqlite().await;
    let (hub, _, _smtp) = hub(&db).await;
    let (root, ada) = (hub.signed_in("root").await, hub.signed_in("ada").await);
    assert_eq!(give_address(&ada, "root", "ada@example.edu").await, 403);
    assert_eq!(give_address(&root, "ada", "ada").await, 400);
    assert_eq!(give_address(&root, "ada", "ada@example.edu").await, 302);
    let page = root.get("/hub/admin/user/ada").await.expect(200).text();
    assert!(page.contains("ada@example.edu"), "{page}");
    assert_eq!(give_address(&root, "ada", "").await, 302);
    assert_eq!(count(&db, "SELECT COUNT(*) FROM mail_addresses").await, 0);
    assert_eq!(
        written(&root).await,
        ["mail_given root ada", "mail_removed root ada"]
    );
    let page = ada.get("/hub/admin/user/ada").await;
    assert_eq!(page.status, 403);
}

async fn make(client: &Client, fields: &[(&str, &str)]) -> (u16, String) {
    let answer = client.post_form("/hub/sign-up", fields).await;
    (answer.status.as_u16(), answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_mail_in_the_right_domain_makes_one_account() {
    for db in TestDb::both().await {
        let (hub, _, smtp) = hub(&db).await;
        hub.sign_up(SignUp::Domains(vec!["Example.edu".into()]));
        let guest = hub.client();
        let page = guest.get("/hub/login").await.expect(200).text();
        assert!(page.contains("/hub/sign-up"), "{page}");
        guest.get("/hub/sign-up").await.expect(200);
        for bad in [
            "grete@example.com",
            "grete@students.example.edu",
            "grete@example.edu.evil.com",
            "grete",
            "",
        ] {
            let (status, page) = make(&guest, &[("address", bad)]).await;
            assert!(status == 400 && page.contains("is wanted"), "{bad}: {page}");
        }
        let ask = [("address", "Grete@Example.edu")];
        let (status, first) = make(&guest, &ask).await;
        assert_eq!(status, 200, "{first}");
        let mail = smtp.letter(1).await.secret("mail");
        let form = format!("/hub/sign-up?mail={mail}");
        let page = guest.get(&form).await.expect(200).text();
        assert!(page.contains("grete@example.edu"), "{page}");
        let use_it = async |name: &str| {
            let fields = [
                ("mail", mail.as_str()),
                ("name", name),
                ("new", NEW),
                ("again", NEW),
            ];
            make(&guest, &fields).await
        };
        for taken in ["ada", "chief", "root"] {
            let (status, page) = use_it(taken).await;
            assert!(status == 400 && page.contains("be had here"), "{page}");
        }
        let (status, page) = use_it("grete").await;
        assert!(status == 200 && page.contains("called grete"), "{page}");
        guest.log_in("grete", NEW).await.expect(302);
        assert_eq!(make_again(&hub, &mail).await, 404);

        // Once more by the same address: the page says the same, the letter that there is one.
        let other = hub.client();
        other.get("/hub/sign-up").await.expect(200);
        let (status, second) = make(&other, &ask).await;
        assert_eq!(status, 200);
        assert_eq!(without_tokens(&second), without_tokens(&first));
        let letter = smtp.letter(2).await;
        assert!(
            letter.text.contains("There is one: grete"),
            "{}",
            letter.text
        );
        assert!(!letter.text.contains("mail="), "{}", letter.text);
        // Her address is known, since she has shown it.
        forget(&other, "grete").await;
        let letter = smtp.letter(3).await;
        assert_eq!(letter.to, ["grete@example.edu"]);

        let root = hub.signed_in("root").await;
        assert_eq!(
            written(&root).await,
            ["password_asked - grete", "signed_up grete grete"]
        );
        // A link that is open ends with the configuration that took it.
        make(&other, &[("address", "hans@example.edu")]).await;
        let letter = smtp.letter(4).await;
        assert!(!letter.text.contains(":."), "{}", letter.text);
        let mail = letter.secret("mail");
        hub.sign_up(SignUp::Domains(vec!["example.org".into()]));
        assert_eq!(make_again(&hub, &mail).await, 404);
        hub.sign_up(SignUp::Closed);
        other.get("/hub/sign-up").await.expect(404);
        hub.stop().await;
    }
}

async fn make_again(hub: &TestHub, mail: &str) -> u16 {
    let client = hub.client();
    client.get("/hub/login").await.expect(200);
    let fields = [
        ("mail", mail),
        ("name", "hans"),
        ("new", NEW),
        ("again", NEW),
    ];
    make(&client, &fields).await.0
}

const DECIDE: &str = "/hub/admin/users/sign-ups";

/// The ids of those who wait.
async fn waiting(root: &Client) -> Vec<String> {
    let page = root.get("/hub/admin/users").await.expect(200).text();
    let (_, list) = page.split_once("id=\"sign-ups\"").expect("a list");
    let (list, _) = list.split_once("</section>").expect("its end");
    let rows = list.split("name=\"chosen\" value=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_an_account_waits_for_a_yes() {
    for db in TestDb::both().await {
        let (hub, clock, _smtp) = hub(&db).await;
        hub.sign_up(SignUp::Approval);
        let root = hub.signed_in("root").await;
        let ask = async |name: &str, note: &str| {
            // Who asked first stands at the top.
            clock.advance(1);
            let guest = hub.client();
            guest.get("/hub/sign-up").await.expect(200);
            let fields = [("name", name), ("note", note), ("new", NEW), ("again", NEW)];
            make(&guest, &fields).await
        };
        let (status, page) = ask("grete", "Grete of physics").await;
        assert!(status == 200 && page.contains("is noted"), "{page}");
        for taken in ["ada", "chief", "grete", "GRETE"] {
            let (status, page) = ask(taken, "").await;
            assert!(status == 400 && page.contains("be had here"), "{page}");
        }
        let long = "x".repeat(201);
        assert_eq!(ask("hans", &long).await.0, 400);
        // Nobody yet, and no difference to nobody.
        hub.client().log_in("grete", NEW).await.expect(403);
        assert_eq!(ask("hans", "Hans").await.0, 200);
        assert_eq!(ask("eve", "<script>").await.0, 200);
        let page = root.get("/hub/admin/users").await.expect(200).text();
        assert!(page.contains("Grete of physics"), "{page}");
        assert!(!page.contains("<strong>eve</strong>: <script>"), "{page}");
        let ids = waiting(&root).await;
        assert_eq!(ids.len(), 3);
        // Who looks at what needs attention hears of them; those without a say don't.
        let overview = root.get("/hub/admin").await.expect(200).text();
        assert!(overview.contains("3 people wait"), "{overview}");
        assert!(overview.contains("admin/users#sign-ups"), "{overview}");
        assert!(!overview.contains("All is well"), "{overview}");
        // A press with nothing ticked is no mistake of the form.
        let none = root.post_form(DECIDE, &[("do", "approve")]).await;
        let back = none.expect(302).location().to_owned();
        let page = root.get(&back).await.expect(200).text();
        assert!(page.contains("because nothing was chosen"), "{page}");
        assert_eq!(waiting(&root).await.len(), 3);

        let ada = hub.signed_in("ada").await;
        let yes = [("do", "approve"), ("chosen", ids[0].as_str())];
        ada.post_form(DECIDE, &yes).await.expect(403);
        root.post_form(DECIDE, &yes).await.expect(302);
        root.post_form(DECIDE, &yes).await.expect(404);
        hub.client().log_in("grete", NEW).await.expect(302);
        // Her name is kept from others who ask alone: an administrator may make another of it.
        let add = [("names", "hans")];
        root.post_form("/hub/admin/users/add", &add)
            .await
            .expect(302);
        let late = [("do", "approve"), ("chosen", ids[1].as_str())];
        root.post_form(DECIDE, &late).await.expect(400);
        let no = [("do", "refuse"), ("chosen", ids[1].as_str())];
        root.post_form(DECIDE, &no).await.expect(302);
        hub.client().log_in("hans", NEW).await.expect(403);

        clock.advance(14 * DAY);
        let root = hub.signed_in("root").await;
        assert!(waiting(&root).await.is_empty());
        let old = [("do", "approve"), ("chosen", ids[2].as_str())];
        root.post_form(DECIDE, &old).await.expect(404);
        assert_eq!(ask("eve", "").await.0, 200, "the name is free again");
        let root = hub.signed_in("root").await;
        assert_eq!(
            written(&root).await,
            [
                "sign_up_approved root grete",
                "sign_up_asked - -",
                "sign_up_asked - -",
                "sign_up_asked - -",
                "sign_up_asked - -",
                "sign_up_refused root -",
            ]
        );
        // Passwords are kept as hashes.
        let plain = "SELECT COUNT(*) FROM sign_ups WHERE password_hash NOT LIKE '$argon2id$%'";
        assert_eq!(count(&db, plain).await, 0);
        hub.stop().await;
    }
}

/// Whoever knew the password before has nothing left to come back with, and she sees where links go.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_what_the_old_one_asked_for() {
    for db in TestDb::both().await {
        let (hub, _, smtp) = hub(&db).await;
        let root = hub.signed_in("root").await;
        give_address(&root, "ada", "ada@example.edu").await;
        let thief = hub.signed_in("ada").await;
        let fields = [("address", "thief@example.org"), ("old", PASSWORD)];
        thief
            .post_form("/hub/password/mail", &fields)
            .await
            .expect(200);
        let link = smtp.letter(1).await.secret("link");
        let ada = hub.signed_in("ada").await;
        let fields = [("old", PASSWORD), ("new", NEW), ("again", NEW)];
        let page = ada.post_form("/hub/password", &fields).await.expect(200);
        assert!(page.text().contains("ada@example.edu"));
        let stranger = hub.client();
        let show = format!("/hub/mail?link={link}");
        stranger.get(&show).await.expect(404);
        let fields = [("link", link.as_str())];
        stranger.post_form("/hub/mail", &fields).await.expect(404);
        forget(&stranger, "ada").await;
        assert_eq!(smtp.letter(2).await.to, ["ada@example.edu"]);
        hub.stop().await;
    }
}

/// Whoever reads somebody's mail has her password, and not her phone.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_is_asked_for_after_a_link_by_mail() {
    let db = TestDb::sqlite().await;
    let (hub, clock, smtp) = hub(&db).await;
    let (root, ada) = (hub.signed_in("root").await, hub.signed_in("ada").await);
    crate::pages::second_factor::set_up(&ada, &clock).await;
    give_address(&root, "ada", "ada@example.edu").await;
    let thief = hub.client();
    forget(&thief, "ada").await;
    let link = smtp.letter(1).await.secret("link");
    assert_eq!(by_link(&thief, &link, NEW).await.0, 200);
    let answer = thief.log_in("ada", NEW).await.expect(302);
    let to = answer.location();
    assert!(to.ends_with("/hub/login/code"), "{to}");
    thief.get("/hub/home").await.expect(302);
}

/// Whoever is shut out has no link sent.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_kept_out_has_no_link_sent() {
    let db = TestDb::sqlite().await;
    let (hub, _, smtp) = hub(&db).await;
    let hub = hub.with_user("ben").await;
    let root = hub.signed_in("root").await;
    give_address(&root, "ada", "ada@example.edu").await;
    give_address(&root, "ben", "ben@example.edu").await;
    let block = root.post_form("/hub/admin/user/ada", &[("do", "block")]);
    block.await.expect(302);
    let stranger = hub.client();
    assert_eq!(forget(&stranger, "ada").await.0, 200);
    assert_eq!(forget(&stranger, "ben").await.0, 200);
    assert_eq!(smtp.letter(1).await.to, ["ben@example.edu"]);
    hub.stop().await;
    assert_eq!(smtp.letters().len(), 1);
}
