//! CVE-2026-34052 and its like: who floods the door with launches that nobody signed fills nothing.

use std::collections::BTreeMap;

use lyceum_store::on;

use super::*;

/// How many rows each table has.
async fn rows(db: &TestDb) -> BTreeMap<String, i64> {
    let mut tx = db.db().read().await.expect("a transaction");
    let tables: Vec<String> = on!(&mut tx, |c| sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    .fetch_all(c)
    .await)
    .expect("read");
    let mut counted = BTreeMap::new();
    for table in tables {
        let statement = format!("SELECT count(*) FROM \"{table}\"");
        let count: i64 = on!(&mut tx, |c| sqlx::query_scalar(sqlx::AssertSqlSafe(
            statement.clone()
        ))
        .fetch_one(c)
        .await)
        .expect("counted");
        counted.insert(table, count);
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_launches_that_nobody_signed_leaves_nothing() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    // What a first one makes once and for all.
    come(&hub, &platform, "/").await.1.expect(302);
    let before = rows(&db).await;
    let client = hub.client();
    // Each begins, with a nonce of its own, and is never seen again.
    for _ in 0..150 {
        let asked = platform.follow(&address(&hub, "/"));
        let out = client.get(&format!("{BEGIN}?{}", encoded(&asked))).await;
        out.expect(302);
    }
    assert_eq!(
        rows(&db).await,
        before,
        "whoever leaves is not written down"
    );
    // Launches with states that nobody sealed, and nonces that nobody gave.
    for number in 0..300 {
        let form = [
            ("state".to_owned(), format!("state {number}")),
            ("id_token".to_owned(), format!("e30.e30.{number}")),
            ("again".to_owned(), "1".to_owned()),
        ];
        let answer = post(&client, LAUNCH, &form).await;
        let refused = [403, 429].contains(&answer.status.as_u16());
        assert!(refused, "{}", answer.text());
    }
    let mut after = rows(&db).await;
    // Failures are counted in one row for an address, however many there are.
    let failures = "sign_in_failures";
    let counted = after.insert(failures.into(), before[failures]);
    assert!(
        counted.is_some_and(|count| count <= before[failures] + 1),
        "{counted:?}"
    );
    assert_eq!(after, before);
    hub.stop().await;
}
