//! Long lists are read in their order: fifty thousand people and servers make no page slow.

use std::time::{Duration, Instant};

use lyceum_hub::db::search::{groups, servers, tokens};
use lyceum_hub::db::users::{self, Busy};
use lyceum_hub::servers::State;
use lyceum_store::{Engine, Tx, on};
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};

const MANY: i64 = 50_000;

/// Fifty thousand people with a server and a token each; a hundred servers run.
async fn fill(tx: &mut Tx) {
    let count = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) "
    );
    for insert in [
        "INSERT INTO users (id, name, admin, home, created_at, last_activity_at, blocked_at) \
         SELECT 'u' || i, 'student' || i, i % 5000 = 0, 'h' || i, i * 7 % 9973, \
         CASE WHEN i % 3 = 0 THEN NULL ELSE i * 11 % 99991 END, CASE WHEN i % 1000 = 0 THEN i ELSE NULL END FROM n",
        "INSERT INTO servers (id, user_id, name, key, client_id, state, generation, user_options, created_at, \
         requested_at, ready_at, stopped_at, last_activity_at) \
         SELECT 's' || i, 'u' || i, '', 'k' || i, 'c' || i, CASE WHEN i % 500 = 0 THEN 'ready' ELSE 'stopped' END, \
         1, '{}', i, i, i, i * 13 % 99989, i * 17 % 99971 FROM n",
        "INSERT INTO tokens (id, hash, user_id, note, scopes, created_at, last_used_at) \
         SELECT 't' || i, 'x' || i, 'u' || i, 'note', '[]', i * 19 % 99961, i * 23 % 99929 FROM n",
        "INSERT INTO groups (id, name, created_at) SELECT 'g' || i, 'group' || i, i FROM n WHERE i <= 2000",
        "INSERT INTO group_members (group_id, user_id) SELECT 'g' || (1 + i % 2000), 'u' || i FROM n",
    ] {
        let sql = match insert.split_once("SELECT") {
            // Where both engines take what comes before it.
            Some((into, select)) => format!("{into}{count}SELECT{select}"),
            None => insert.to_owned(),
        };
        let done = on!(tx, |c| sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(c)
            .await
            .map(|_| ()));
        done.expect("filled");
    }
    if tx.engine() == Engine::Postgres {
        // As the database does by itself after a while.
        for table in ["users", "servers", "tokens", "groups", "group_members"] {
            let sql = format!("ANALYZE {table}");
            let done = on!(tx, |c| sqlx::query(sqlx::AssertSqlSafe(sql))
                .execute(c)
                .await
                .map(|_| ()));
            done.expect("analysed");
        }
    }
}

/// How SQLite would go about it.
async fn plan(tx: &mut Tx, sql: &str) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows: Vec<(i64, i64, i64, String)> = on!(tx, |c| {
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(c).await
    })
    .expect("a plan");
    let steps = rows.into_iter().map(|(_, _, _, step)| step);
    steps.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_fifty_thousand_are_read_by_an_index() {
    let db = TestDb::sqlite().await;
    let mut tx = db.db().read().await.expect("a transaction");
    let everybody = users::Search::default();
    for (sort, index) in [
        (users::Sort::Name, "sqlite_autoindex_users_2"),
        (users::Sort::NameDown, "sqlite_autoindex_users_2"),
        (users::Sort::Created, "users_created"),
        (users::Sort::CreatedDown, "users_created"),
        (users::Sort::Activity, "users_activity"),
        (users::Sort::ActivityDown, "users_activity"),
    ] {
        let plan = plan(&mut tx, &everybody.statement(sort)).await;
        assert!(
            plan.contains(&format!("USING INDEX {index}")),
            "{sort:?}: {plan}"
        );
        let sorts = plan.contains("TEMP B-TREE FOR ORDER BY");
        assert!(!sorts, "{sort:?}: {plan}");
    }
    for (search, index) in [
        (
            users::Search {
                blocked: Some(true),
                ..users::Search::default()
            },
            "users_blocked",
        ),
        (
            users::Search {
                admin: Some(true),
                ..users::Search::default()
            },
            "users_admins",
        ),
        (
            users::Search {
                busy: Some(Busy::Active),
                ..users::Search::default()
            },
            "servers_state",
        ),
    ] {
        let plan = plan(&mut tx, &search.statement(users::Sort::Name)).await;
        assert!(plan.contains(index), "{search:?}: {plan}");
    }
    let all = servers::Search::default();
    let running = servers::Search {
        states: Some(&[State::Ready]),
        ..servers::Search::default()
    };
    for (search, sort, index) in [
        (&all, servers::Sort::Owner, "sqlite_autoindex_users_2"),
        (&all, servers::Sort::SinceDown, "servers_since"),
        (&all, servers::Sort::Since, "servers_since"),
        (&all, servers::Sort::Activity, "servers_activity"),
        (&all, servers::Sort::ActivityDown, "servers_activity"),
        (&running, servers::Sort::Owner, "servers_state"),
    ] {
        let plan = plan(&mut tx, search.statement(sort, 0, 50).as_str()).await;
        assert!(plan.contains(index), "{sort:?}: {plan}");
        let sorts = plan.contains("TEMP B-TREE FOR ORDER BY");
        assert_eq!(sorts, search.states.is_some(), "{sort:?}: {plan}");
    }
    for (sort, index) in [
        (tokens::Sort::Owner, "tokens_user"),
        (tokens::Sort::Created, "tokens_created"),
        (tokens::Sort::CreatedDown, "tokens_created"),
        (tokens::Sort::Used, "tokens_used"),
        (tokens::Sort::UsedDown, "tokens_used"),
    ] {
        let search = tokens::Search::default();
        let plan = plan(&mut tx, search.statement(sort, 0, 50).as_str()).await;
        assert!(plan.contains(index), "{sort:?}: {plan}");
        assert!(
            !plan.contains("TEMP B-TREE FOR ORDER BY"),
            "{sort:?}: {plan}"
        );
    }
    let search = groups::Search::default();
    let plan = plan(
        &mut tx,
        search.statement(groups::Sort::Name, 0, 50).as_str(),
    )
    .await;
    assert!(plan.contains("sqlite_autoindex_groups_2"), "{plan}");
}

/// What each page shows of so many; how long it took is printed for who looks (`--nocapture`).
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_fifty_thousand_show_the_right_rows() {
    for db in TestDb::both().await {
        // Nobody looks whether these servers run: there are rows only.
        let hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), |_, timings| {
            timings.watch_every = Duration::from_secs(3600);
            timings.orphans_every = Duration::from_secs(3600);
        })
        .await
        .with_admin("root")
        .await;
        let mut tx = hub.hub.db().write().await.expect("a transaction");
        fill(&mut tx).await;
        tx.commit().await.expect("written");
        let root = hub.signed_in("root").await;
        for (path, expect) in [
            ("users", "1 to 50 of 50,001"),
            (
                "users?sort=-name&offset=40000",
                "40,001 to 40,050 of 50,001",
            ),
            ("users?q=student4999", "1 to 11 of 11"),
            ("users?sort=-created", "of 50,001"),
            ("users?sort=-last_activity", "of 50,001"),
            ("users?sort=-running", "of 50,001"),
            ("users?sort=running&offset=25000", "of 50,001"),
            ("users?state=active", "1 to 50 of 100"),
            ("users?role=blocked", "1 to 50 of 50"),
            ("servers", "1 to 50 of 100"),
            ("servers?state=all", "1 to 50 of 50,000"),
            (
                "servers?state=all&sort=owner&offset=49999",
                "50,000 to 50,000 of 50,000",
            ),
            ("servers?state=all&sort=-last_activity", "of 50,000"),
            ("servers?state=stopped&q=student4999", "of 11"),
            ("groups", "1 to 50 of 2,000"),
            ("groups?sort=-members&q=group19", "of 111"),
            ("group?name=group7", "1 to 25 of 25"),
            ("tokens", "of 50,000"),
            ("tokens?sort=owner&q=student4999", "of 11"),
            ("tokens?sort=-last_used", "of 50,000"),
        ] {
            let begun = Instant::now();
            let page = root.get(&format!("/hub/admin/{path}")).await.expect(200);
            eprintln!("{:?} {path}: {:?}", hub.hub.db().engine(), begun.elapsed());
            assert!(page.text().contains(expect), "{path}: {}", page.text());
        }
        for path in ["", "/activity"] {
            let begun = Instant::now();
            root.get(&format!("/hub/admin{path}")).await.expect(200);
            eprintln!(
                "{:?} {path:?}: {:?}",
                hub.hub.db().engine(),
                begun.elapsed()
            );
        }
        hub.stop().await;
    }
}
