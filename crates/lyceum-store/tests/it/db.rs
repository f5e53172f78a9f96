//! Transactions, foreign keys, migrations.

use std::collections::HashSet;

use lyceum_store::db::{Location, is_conflict};
use lyceum_store::{Db, Engine, Later, Tx, migrate, on};
use lyceum_testkit::TestDb;

async fn insert_setting(tx: &mut Tx, name: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "INSERT INTO settings (name, value, changed_at) VALUES ($1, 'x', 1)"
    )
    .bind(name)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}

async fn count_settings(tx: &mut Tx) -> i64 {
    on!(tx, |c| sqlx::query_scalar("SELECT count(*) FROM settings")
        .fetch_one(c)
        .await)
    .unwrap()
}

#[tokio::test]
async fn foreign_keys_are_enforced() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        let orphan = on!(tx, |c| sqlx::query(
            "INSERT INTO group_members (group_id, user_id) VALUES ('no-group', 'no-user')"
        )
        .execute(c)
        .await
        .map(|done| done.rows_affected()));
        let error = orphan.expect_err("a member of no group is refused");
        assert!(
            error
                .as_database_error()
                .is_some_and(|e| e.is_foreign_key_violation()),
            "{:?}: {error}",
            test.db().engine()
        );
        assert!(!is_conflict(&error));
    }
}

#[tokio::test]
async fn a_second_row_with_the_key_is_a_conflict() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        insert_setting(&mut tx, "a").await.unwrap();
        let error = insert_setting(&mut tx, "a").await.unwrap_err();
        assert!(is_conflict(&error), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_committed_is_gone() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        insert_setting(&mut tx, "dropped").await.unwrap();
        drop(tx);
        let mut tx = test.db().write().await.unwrap();
        insert_setting(&mut tx, "rolled back").await.unwrap();
        tx.rollback().await.unwrap();
        let mut tx = test.db().write().await.unwrap();
        assert_eq!(count_settings(&mut tx).await, 0);
        insert_setting(&mut tx, "kept").await.unwrap();
        tx.commit().await.unwrap();
        let other = test.another().await;
        assert_eq!(count_settings(&mut other.read().await.unwrap()).await, 1);
    }
}

fn setting(name: &str, value: Option<String>) -> Later {
    Later::new("INSERT INTO settings (name, value, changed_at) VALUES ($1, COALESCE($3, 'x'), $2)")
        .bind(name)
        .bind(1)
        .bind(value)
}

#[tokio::test]
async fn what_is_left_for_the_commit_runs_then_in_order() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        tx.later(setting("a", None));
        tx.later(Later::new("DELETE FROM settings WHERE name = $1").bind("a"));
        tx.later(setting("a", Some("second".into())));
        tx.later(setting("b", None));
        assert_eq!(count_settings(&mut tx).await, 0, "not yet");
        tx.commit().await.unwrap();
        let mut tx = test.db().read().await.unwrap();
        let values: Vec<String> = on!(tx, |c| sqlx::query_scalar(
            "SELECT value FROM settings ORDER BY name"
        )
        .fetch_all(c)
        .await)
        .unwrap();
        assert_eq!(values, ["second", "x"]);
    }
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_of_its_transaction() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        insert_setting(&mut tx, "a").await.unwrap();
        tx.later(setting("b", None));
        tx.later(setting("a", None));
        let error = tx.commit().await.unwrap_err();
        assert!(is_conflict(&error), "{error}");
        let mut tx = test.db().write().await.unwrap();
        assert_eq!(count_settings(&mut tx).await, 0);
        insert_setting(&mut tx, "a").await.unwrap();
        tx.commit().await.unwrap();
        let other = test.another().await;
        assert_eq!(count_settings(&mut other.read().await.unwrap()).await, 1);
    }
}

/// Whoever stops waiting, wherever that is, leaves no open transaction to the next.
#[tokio::test]
async fn a_transaction_that_nobody_waits_for_ends() {
    for test in TestDb::both().await {
        for polls in 0..12 {
            let name = polls.to_string();
            let work = async {
                let mut tx = test.db().write().await?;
                insert_setting(&mut tx, &name).await?;
                tx.later(setting(&format!("{name} later"), None));
                tx.commit().await
            };
            let mut work = std::pin::pin!(work);
            for _ in 0..polls {
                let next = futures_util::poll!(&mut work);
                if next.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Of each both or none.
        let mut tx = test.db().write().await.unwrap();
        let halves: i64 = on!(tx, |c| sqlx::query_scalar(
            "SELECT count(*) FROM settings a WHERE NOT EXISTS \
             (SELECT 1 FROM settings b WHERE b.name = a.name || ' later' OR a.name = b.name || ' later')"
        )
        .fetch_one(c)
        .await)
        .unwrap();
        assert_eq!(halves, 0);
        insert_setting(&mut tx, "last").await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_sees_one_state() {
    for test in TestDb::both().await {
        let mut reader = test.db().read().await.unwrap();
        assert_eq!(count_settings(&mut reader).await, 0);
        let mut writer = test.db().write().await.unwrap();
        insert_setting(&mut writer, "a").await.unwrap();
        writer.commit().await.unwrap();
        assert_eq!(count_settings(&mut reader).await, 0, "still the old state");
        drop(reader);
        let mut reader = test.db().read().await.unwrap();
        assert_eq!(count_settings(&mut reader).await, 1);
    }
}

#[tokio::test]
async fn a_reader_can_not_write() {
    for test in TestDb::both().await {
        let mut tx = test.db().read().await.unwrap();
        assert!(insert_setting(&mut tx, "a").await.is_err());
    }
}

#[tokio::test]
async fn sqlite_is_set_for_durability() {
    let test = TestDb::sqlite().await;
    let mut tx = test.db().write().await.unwrap();
    let journal: String = on!(tx, |c| sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(c)
        .await)
    .unwrap();
    let synchronous: i64 = on!(tx, |c| sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(c)
        .await)
    .unwrap();
    assert_eq!((journal.as_str(), synchronous), ("wal", 2));
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    for test in TestDb::both_empty().await {
        let steps = u64::try_from(migrate::STEPS.len()).unwrap();
        assert_eq!(migrate::run(test.db()).await.unwrap(), steps);
        assert_eq!(migrate::run(test.db()).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_migrate_at_once() {
    for test in TestDb::both_empty().await {
        let replicas: Vec<Db> = vec![
            test.another().await,
            test.another().await,
            test.another().await,
        ];
        let runs: Vec<_> = replicas
            .into_iter()
            .map(|db| tokio::spawn(async move { migrate::run(&db).await }))
            .collect();
        let mut applied = Vec::new();
        for run in runs {
            applied.push(run.await.unwrap().unwrap());
        }
        applied.sort_unstable();
        let steps = u64::try_from(migrate::STEPS.len()).unwrap();
        assert_eq!(applied, [0, 0, steps]);
    }
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        on!(tx, |c| sqlx::query(
            "UPDATE schema_steps SET digest = 'other' WHERE version = 2"
        )
        .execute(c)
        .await
        .map(|_| ()))
        .unwrap();
        tx.commit().await.unwrap();
        let error = migrate::run(test.db()).await.unwrap_err().to_string();
        assert!(error.contains("0002_people was changed"), "{error}");
    }
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let (one, two) = (TestDb::postgres().await, TestDb::postgres().await);
    assert_eq!(one.db().engine(), Engine::Postgres);
    let names: HashSet<String> = [&one, &two]
        .iter()
        .map(|test| match test.location() {
            Location::Postgres(url) => url.clone(),
            Location::Sqlite(path) => panic!("{}", path.display()),
        })
        .collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn locations_are_read() {
    for bad in ["", "sqlite:", "mysql://x", "lyceum.db"] {
        assert!(Location::parse(bad).is_err(), "{bad:?}");
    }
    assert!(matches!(
        Location::parse("sqlite:/x/y.db"),
        Ok(Location::Sqlite(_))
    ));
    assert!(matches!(
        Location::parse("postgres://a:b@c/d"),
        Ok(Location::Postgres(_))
    ));
}

/// Whoever builds elsewhere than in this repository tells it by hand: `.cargo/config.toml`.
#[tokio::test]
async fn sqlite_is_built_as_wanted() {
    let test = TestDb::sqlite().await;
    let mut tx = test.db().glance().await.unwrap();
    let options: Vec<String> = on!(tx, |c| sqlx::query_scalar("PRAGMA compile_options")
        .fetch_all(c)
        .await)
    .unwrap();
    for wanted in ["DEFAULT_MEMSTATUS=0", "ENABLE_QPSG"] {
        assert!(options.iter().any(|option| option == wanted), "{options:?}");
    }
}
