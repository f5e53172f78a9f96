//! All that the hub has of one person: told to her without secrets, or forgotten.

use std::net::IpAddr;

use lyceum_hub::audit::{self, Act, Doer, What};
use lyceum_hub::{db, users};
use lyceum_model::clock::Millis;
use lyceum_store::on;
use lyceum_testkit::hub::PASSWORD;
use lyceum_testkit::{TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::name;

const PSEUDONYM: &str = "erased:0123456789ab";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_told_and_forgotten() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let hub = hub.with_admin("root").await;
        let browser = hub.client().with_header("user-agent", "Browser of Ada");
        browser.log_in("ada", PASSWORD).await.expect(302);
        let token = hub.token("ada").await;
        let mut tx = db.db().read().await.expect("a transaction");
        let ada = db::users::find(&mut tx, &name("ada")).await.expect("read");
        let ada = ada.expect("somebody");
        let told = db::person::told(&mut tx, Some(&ada.id), "ada").await;
        let told = Value::from(told.expect("told"));
        drop(tx);
        assert_eq!(told["account"][0]["name"], "ada");
        let made = Millis(ada.created_at).to_iso();
        assert_eq!(told["account"][0]["created_at"], made);
        let sessions = told["sessions"].as_array().expect("a list");
        assert_eq!(sessions.len(), 1);
        assert_eq!(sessions[0]["agent"], "Browser of Ada");
        assert_eq!(told["tokens"].as_array().expect("a list").len(), 1);
        assert_eq!(told["groups"], json!([]));
        let log = told["log_about_her"].as_array().expect("a list");
        assert!(log.iter().any(|row| row["what"] == "sign_in"), "{log:?}");
        // Nothing by which one could be her.
        let text = told.to_string();
        for secret in ["hash", "$argon2", &*token] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }

        let mut tx = db.db().write().await.expect("a transaction");
        let now = Millis(ada.created_at + 1);
        users::remove(&mut tx, &ada, now).await.expect("removed");
        let forgotten = db::person::forget(&mut tx, Some(&ada.id), "ada", PSEUDONYM).await;
        forgotten.expect("forgotten");
        tx.commit().await.expect("written");
        let mut tx = db.db().read().await.expect("a transaction");
        let told = db::person::told(&mut tx, Some(&ada.id), "ada").await;
        let told = told.expect("told");
        for (title, rows) in &told {
            let rows = rows.as_array().expect("a list");
            // By her old account's number there is still what was done, and no more.
            let is_empty = title == "log_about_her" || rows.is_empty();
            assert!(is_empty, "{title}: {rows:?}");
        }
        let log = Value::from(told).to_string();
        assert!(
            !log.contains("Browser of Ada") && !log.contains("127.0.0.1"),
            "{log}"
        );
        assert!(log.contains(PSEUDONYM), "{log}");
        let named: i64 = on!(tx, |c| sqlx::query_scalar(
            "SELECT COUNT(*) FROM audit WHERE doer = 'ada' OR about_name = 'ada'"
        )
        .fetch_one(c)
        .await)
        .expect("counted");
        assert_eq!(named, 0);
        drop(tx);
        hub.stop().await;
    }
}

/// Rows of the log that are about nobody, or about others, name her all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_never_had_an_account_is_forgotten_too() {
    for db in TestDb::both().await {
        let now = Millis(5);
        let mut tx = db.db().write().await.expect("a transaction");
        let (nobody, root) = (Doer::nobody(), Doer::person(&name("root")));
        let visitor = Doer::nobody().at(Some(IpAddr::from([10, 1, 2, 3])));
        for (doer, what, details) in [
            (
                &visitor,
                What::SignUpAsked,
                vec![("name", "ada"), ("note", "Ada L., room 7")],
            ),
            (&root, What::SignUpRefused, vec![("name", "ada")]),
            (
                &root,
                What::ExamCodeMade,
                vec![("account", "ada"), ("exam", "Logic")],
            ),
            (
                &nobody,
                What::PosixRefused,
                vec![("of", "ada"), ("uid", "1001")],
            ),
            // Somebody else.
            (
                &visitor,
                What::SignUpAsked,
                vec![("name", "adam"), ("note", "\":\"ada\"")],
            ),
        ] {
            let mut act = Act::new(doer, what);
            for (key, text) in details {
                act = act.with(key, text);
            }
            audit::note(&mut tx, act, now).await.expect("noted");
        }
        on!(tx, |c| sqlx::raw_sql(
            "INSERT INTO posix_uids (uid, owner, owner_name, mark, given_by, given_at) \
             VALUES (1001, 'gone', 'ada', 'mark', 'provider', 1)"
        )
        .execute(c)
        .await
        .map(|_| ()))
        .expect("done");
        let told = db::person::told(&mut tx, None, "ada").await.expect("told");
        let asked = Value::from(told).to_string();
        assert!(
            asked.contains("room 7") && !asked.contains("adam"),
            "{asked}"
        );

        let forgotten = db::person::forget(&mut tx, None, "ada", PSEUDONYM).await;
        assert!(forgotten.expect("forgotten") >= 5);
        let again = db::person::forget(&mut tx, None, "ada", PSEUDONYM).await;
        assert_eq!(again.expect("forgotten"), 0);
        let details: Vec<String> = on!(tx, |c| sqlx::query_scalar("SELECT detail FROM audit")
            .fetch_all(c)
            .await)
        .expect("read");
        let all = details.concat();
        assert!(
            !all.contains(":\"ada\"") && !all.contains("room 7"),
            "{all}"
        );
        assert!(all.contains("adam") && all.contains("Logic"), "{all}");
        assert!(
            details
                .iter()
                .all(|detail| !audit::detail(detail).is_empty())
        );
        let left: i64 = on!(tx, |c| sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM audit WHERE address IS NOT NULL) \
             + (SELECT COUNT(*) FROM posix_uids WHERE owner_name = 'ada' OR mark IS NOT NULL)"
        )
        .fetch_one(c)
        .await)
        .expect("counted");
        assert_eq!(left, 1);
        // Of two who had no account each has her own entry.
        for pseudonym in [PSEUDONYM, "erased:aaaaaaaaaaaa"] {
            let act = Act::new(&nobody, What::PersonErased).about_whoever(None, pseudonym);
            audit::note(&mut tx, act, now).await.expect("noted");
        }
        let forgotten = db::person::forget(&mut tx, None, "eve", "erased:bbbbbbbbbbbb").await;
        assert_eq!(forgotten.expect("forgotten"), 0);
        tx.rollback().await.expect("undone");
    }
}
