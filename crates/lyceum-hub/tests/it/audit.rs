//! Who did what, from where: written down with the act, and who sees it.

use hyper::Method;
use lyceum_hub::audit;
use lyceum_hub::users;
use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::name;
use crate::kit::{assert_german, in_german, program, send_json, until};

const DAY_MS: i64 = 24 * 3_600_000;
const LIST: &str = "/hub/api/lyceum/audit";

async fn hub(db: &TestDb) -> (TestHub, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let hub = TestHub::start_at(db.db().clone(), FakeSpawner::default(), clock.clone());
    let hub = hub.await.with_user("ada").await.with_user("eve").await;
    (hub.with_admin("root").await, clock)
}

/// What is told of a query, the newest first.
async fn told(root: &Client, query: &str) -> Vec<Value> {
    let answer = root.get(&format!("{LIST}?{query}")).await.expect(200);
    let items = answer.json()["items"].clone();
    items.as_array().expect("a list").clone()
}

/// The same in short: what, about whom, by whom.
async fn acts(root: &Client, query: &str) -> Vec<(String, String, String)> {
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let rows = told(root, query).await;
    let row = |row: &Value| (word(row, "what"), word(row, "about"), word(row, "doer"));
    rows.iter().map(row).collect()
}

fn act(what: &str, about: &str, doer: &str) -> (String, String, String) {
    (what.to_owned(), about.to_owned(), doer.to_owned())
}

async fn json_of(client: &Client, method: Method, path: &str, body: Value, expect: u16) {
    send_json(client, method, path, &body).await.expect(expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_are_written_down_with_address_and_browser() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        let ada = hub
            .client()
            .with_header("user-agent", "Mozilla/5.0 Firefox/145.0");
        ada.log_in("ada", PASSWORD).await.expect(302);
        let rows = told(&root, "person=ada&kind=sign_ins").await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["what"], "sign_in");
        assert_eq!(rows[0]["doer"], "ada");
        assert_eq!(rows[0]["address"], "127.0.0.1");
        assert_eq!(rows[0]["detail"]["method"], "password");
        assert_eq!(rows[0]["detail"]["agent"], "Mozilla/5.0 Firefox/145.0");
        clock.advance(1000);
        ada.post_form("/hub/logout", &[]).await;
        let newest = acts(&root, "person=ada&kind=sign_ins").await;
        assert_eq!(newest[0], act("sign_out", "ada", "ada"));
        hub.stop().await;
    }
}

/// And nothing is kept of names that are nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn refused_log_ins_are_one_row_for_account_address_and_hour() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        // In the middle of an hour.
        let hour = 3_600_000;
        clock.advance(hour + hour / 2 - clock.now().0 % hour);
        let client = hub.client();
        client.log_in("nobody-here", "wrong").await.expect(403);
        client.log_in("ada", "wrong").await.expect(403);
        client.log_in("ada", "wrong").await.expect(403);
        until("both are counted", async || {
            let rows = told(&root, "person=ada&kind=sign_ins").await;
            rows.first().is_some_and(|row| row["times"] == 2)
        })
        .await;
        let rows = told(&root, "kind=sign_ins").await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["what"], "sign_in_refused");
        assert_eq!(
            (&rows[0]["about"], &rows[0]["doer"]),
            (&json!("ada"), &Value::Null)
        );
        assert_eq!(rows[0]["detail"]["why"], "credentials");
        clock.advance(hour);
        client.log_in("ada", "wrong").await.expect(403);
        until("the next hour has a row of its own", async || {
            told(&root, "person=ada&kind=sign_ins").await.len() == 2
        })
        .await;
        // And so has another reason: a wrong password is not what kept her out.
        let chief = hub.signed_in("root").await;
        let fields = [("do", "block"), ("chosen", "ada")];
        let blocked = chief.post_form("/hub/admin/users/do", &fields).await;
        blocked.expect(302);
        client.log_in("ada", PASSWORD).await.expect(403);
        client.log_in("ada", "wrong").await.expect(403);
        let counts = async || {
            let rows = told(&root, "person=ada&kind=sign_ins").await;
            let rows = rows
                .iter()
                .filter(|row| row["what"] == "sign_in_refused")
                .map(|row| (row["detail"]["why"].clone(), row["times"].clone()));
            let mut rows: Vec<(Value, Value)> = rows.take(2).collect();
            rows.sort_by_key(|(why, _)| why.to_string());
            rows
        };
        let both = [("credentials", 2), ("not_admitted", 1)];
        let both = both.map(|(why, times)| (json!(why), json!(times)));
        until("each reason is counted by itself", async || {
            counts().await == both
        })
        .await;
        let own = chief.get("/hub/admin/user/ada").await.expect(200).text();
        assert!(own.contains("wrong password"), "{own}");
        assert!(own.contains("not let in"), "{own}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_on_people_say_who_it_was() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        let users = |rest: &str| format!("/hub/api/users/{rest}");
        json_of(&root, Method::POST, &users("new"), json!({}), 201).await;
        clock.advance(1);
        json_of(
            &root,
            Method::PATCH,
            &users("new"),
            json!({ "name": "newer" }),
            200,
        )
        .await;
        clock.advance(1);
        json_of(
            &root,
            Method::PATCH,
            &users("newer"),
            json!({ "admin": true }),
            200,
        )
        .await;
        clock.advance(1);
        json_of(
            &root,
            Method::PATCH,
            &users("newer"),
            json!({ "admin": false }),
            200,
        )
        .await;
        clock.advance(1);
        let block = "/hub/api/lyceum/users/newer/block";
        json_of(&root, Method::PUT, block, json!({}), 204).await;
        clock.advance(1);
        // Who is kept out already is not kept out again.
        json_of(&root, Method::PUT, block, json!({}), 204).await;
        json_of(&root, Method::DELETE, block, json!({}), 204).await;
        clock.advance(1);
        let all = acts(&root, "person=newer&kind=people").await;
        // By her id what was done under the name before is found, too.
        assert_eq!(
            all,
            [
                act("person_let_in", "newer", "root"),
                act("person_kept_out", "newer", "root"),
                act("admin_taken", "newer", "root"),
                act("admin_given", "newer", "root"),
                act("person_renamed", "new", "root"),
                act("person_made", "new", "root"),
            ]
        );
        root.delete(&users("newer")).await.expect(204);
        let newest = acts(&root, "person=newer").await;
        assert_eq!(newest[0], act("person_deleted", "newer", "root"));
        // What was refused did not happen.
        let eve = program(&hub, "eve").await;
        json_of(&eve, Method::POST, &users("more"), json!({}), 403).await;
        assert_eq!(
            acts(&root, "person=eve&kind=people").await,
            [act("person_made", "eve", "")]
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_tokens_sessions_and_the_site() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        let ada = hub.signed_in("ada").await;
        let group = "/hub/api/groups/bio";
        let members = json!({ "users": ["ada"] });
        json_of(&root, Method::POST, group, json!({}), 201).await;
        clock.advance(1);
        json_of(
            &root,
            Method::POST,
            &format!("{group}/users"),
            members.clone(),
            200,
        )
        .await;
        clock.advance(1);
        json_of(
            &root,
            Method::DELETE,
            &format!("{group}/users"),
            members,
            200,
        )
        .await;
        clock.advance(1);
        root.delete(group).await.expect(204);
        assert_eq!(
            acts(&root, "kind=groups").await,
            [
                act("group_deleted", "", "root"),
                act("member_removed", "ada", "root"),
                act("member_added", "ada", "root"),
                act("group_made", "", "root"),
            ]
        );
        // Her own tokens are her own matter.
        let hers = program(&hub, "ada").await;
        json_of(
            &hers,
            Method::POST,
            "/hub/api/users/ada/tokens",
            json!({}),
            201,
        )
        .await;
        assert_eq!(acts(&root, "kind=tokens").await, []);
        json_of(
            &root,
            Method::POST,
            "/hub/api/users/ada/tokens",
            json!({}),
            201,
        )
        .await;
        assert_eq!(
            acts(&root, "kind=tokens").await,
            [act("token_made", "ada", "root")]
        );
        root.delete("/hub/api/lyceum/users/ada/sessions")
            .await
            .expect(200);
        let ended = acts(&root, "person=ada&kind=sign_ins").await;
        assert_eq!(ended[0], act("sessions_ended", "ada", "root"));
        drop(ada);
        let maintenance = "/hub/api/lyceum/maintenance";
        json_of(&root, Method::PUT, maintenance, json!({}), 204).await;
        clock.advance(1);
        root.delete(maintenance).await.expect(204);
        root.delete(maintenance).await.expect(204);
        assert_eq!(
            acts(&root, "kind=site").await,
            [
                act("maintenance_ended", "", "root"),
                act("maintenance_begun", "", "root"),
            ]
        );
        hub.stop().await;
    }
}

/// Whoever loses the role because the configuration no longer names her.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_does_has_nobody_as_doer() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        clock.advance(1);
        let mut tx = db.db().write().await.expect("a transaction");
        let identity = lyceum_model::identity::Identity {
            admin: Some(true),
            ..lyceum_model::identity::Identity::named(name("ada"))
        };
        let grants = hub.hub.settings().grants.clone();
        let admins = std::collections::BTreeSet::from([name("ada")]);
        let in_force = users::InForce {
            grants: &grants,
            admins: &admins,
            has_power_in_courses: false,
            posix: &Default::default(),
        };
        let user = users::admit(&mut tx, &identity, in_force, hub.hub.now()).await;
        user.expect("written").expect("admitted");
        let later = Millis(hub.hub.now().0 + 1);
        let none = std::collections::BTreeSet::new();
        let lost = users::follow_configuration(&mut tx, &none, later).await;
        assert_eq!(lost.expect("written"), [name("ada")]);
        tx.commit().await.expect("written");
        let rows = told(&root, "person=ada&kind=people").await;
        let what: Vec<_> = rows.iter().map(|row| row["what"].as_str()).collect();
        assert_eq!(what[..2], [Some("admin_taken"), Some("admin_given")]);
        assert_eq!(rows[0]["doer"], Value::Null);
        assert_eq!(rows[0]["detail"]["by"], "configuration");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_it_to_administrators_and_to_her() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let program = program(&hub, "root").await;
        let root = hub.signed_in("root").await;
        clock.advance(1);
        let ada = hub.signed_in("ada").await;
        clock.advance(1);
        let to = json!({ "users": ["ada"] });
        json_of(
            &program,
            Method::POST,
            "/hub/api/groups/bio",
            json!({}),
            201,
        )
        .await;
        json_of(&program, Method::POST, "/hub/api/groups/bio/users", to, 200).await;

        let list = root.get("/hub/admin/audit").await.expect(200).text();
        assert!(
            list.contains("Put into a group") && list.contains("127.0.0.1"),
            "{list}"
        );
        let narrow = "/hub/admin/audit?q=root&side=about&kind=groups";
        let narrow = root.get(narrow).await.expect(200).text();
        assert!(!narrow.contains("Put into a group"), "{narrow}");
        let first = root
            .get("/hub/admin/audit?limit=1")
            .await
            .expect(200)
            .text();
        assert!(first.contains("rel=\"next\""), "{first}");
        let file = root.get("/hub/admin/audit.csv?q=ada&side=about&kind=groups");
        let file = file.await.expect(200).text();
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(lines.len(), 2, "{file}");
        assert!(
            lines[1].contains("\"member_added\",\"ada\",\"root\",\"127.0.0.1\""),
            "{file}"
        );
        let hers = root.get("/hub/admin/user/ada").await.expect(200).text();
        assert!(hers.contains("/hub/admin/audit?q=ada"), "{hers}");
        let own = ada.get("/hub/sessions").await.expect(200).text();
        assert!(
            own.contains("Put into a group") && own.contains("My last log-ins"),
            "{own}"
        );
        for (who, path) in [("root", "/hub/admin/audit"), ("ada", "/hub/sessions")] {
            let german = in_german(hub.client());
            german.log_in(who, PASSWORD).await.expect(302);
            assert_german(&german.get(path).await.expect(200).text());
        }
        // It is nobody else's business.
        ada.get("/hub/admin/audit").await.expect(403);
        ada.get("/hub/admin/audit.csv").await.expect(403);
        ada.get(LIST).await.expect(403);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten_and_what_is_asked_wrongly_is_refused() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        json_of(&root, Method::POST, "/hub/api/groups/old", json!({}), 201).await;
        clock.advance(200 * DAY_MS);
        let since = clock.now().to_iso();
        json_of(&root, Method::POST, "/hub/api/groups/new", json!({}), 201).await;
        assert_eq!(acts(&root, "kind=groups").await.len(), 2);
        assert_eq!(
            acts(&root, &format!("kind=groups&since={since}"))
                .await
                .len(),
            1
        );
        clock.advance(200 * DAY_MS);
        let mut tx = db.db().write().await.expect("a transaction");
        audit::prune(&hub.hub, &mut tx).await.expect("pruned");
        tx.commit().await.expect("written");
        let left = told(&root, "kind=groups").await;
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(left[0]["detail"]["group"], "new");
        root.get(&format!("{LIST}?kind=none")).await.expect(400);
        root.get(&format!("{LIST}?since=yesterday"))
            .await
            .expect(400);
        hub.stop().await;
    }
}

/// What she does with her own account is among what is written down, and so is what is done with exams.
#[tokio::test(flavor = "multi_thread")]
async fn own_passwords_second_steps_and_exams() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let root = program(&hub, "root").await;
        clock.advance(1);
        let phone = hub.signed_in("eve").await;
        crate::pages::second_factor::set_up(&phone, &clock).await;
        clock.advance(1);
        let ada = hub.signed_in("ada").await;
        let new = "lantern orbit gravel";
        let fields = [("old", PASSWORD), ("new", new), ("again", new)];
        ada.post_form("/hub/password", &fields).await.expect(200);
        let rows = told(&root, "person=ada&kind=people").await;
        assert_eq!(
            (&rows[0]["what"], &rows[0]["doer"]),
            (&json!("password_set"), &json!("ada"))
        );
        assert_eq!(rows[0]["address"], "127.0.0.1");
        let rows = acts(&root, "person=eve&kind=people").await;
        assert_eq!(rows[0], act("second_factor_on", "eve", "eve"));

        let sittings = "/hub/api/lyceum/sittings";
        let (begins, ends) = (clock.now(), clock.now().plus(DAY_MS));
        let wish = json!({
            "title": "Signals",
            "begins": begins.to_iso(),
            "ends": ends.to_iso(),
            "people": ["ada, 17", "exam-{1..2}"],
        });
        let made = send_json(&root, Method::POST, sittings, &wish).await;
        let id = made.expect(201).json()["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let place = |place: u8| format!("{sittings}/{id}/places/{place}");
        clock.advance(1);
        root.post_json(&place(1), &json!({})).await.expect(201);
        clock.advance(1);
        root.delete(&place(2)).await.expect(204);
        clock.advance(1);
        root.delete(&format!("{sittings}/{id}")).await.expect(204);
        let rows = told(&root, "kind=site").await;
        let short: Vec<(&str, &str)> = (rows.iter())
            .map(|row| {
                (
                    row["what"].as_str().unwrap(),
                    row["about"].as_str().unwrap_or(""),
                )
            })
            .collect();
        assert_eq!(
            short[..4],
            [
                ("exam_removed", ""),
                ("exam_code_withdrawn", ""),
                ("exam_code_made", "ada"),
                ("exam_made", ""),
            ],
        );
        assert!(
            rows[..4].iter().all(|row| row["doer"] == "root"),
            "{rows:?}"
        );
        assert_eq!(rows[0]["detail"]["exam"], "Signals");
        assert_eq!(rows[2]["detail"]["seat"], "17");
        hub.stop().await;
    }
}
