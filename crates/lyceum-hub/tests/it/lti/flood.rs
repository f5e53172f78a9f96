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
    let mut states = Vec::new();
    // Each begins, with a nonce of its own.
    for _ in 0..150 {
        let asked = platform.follow(&address(&hub, "/"));
        let out = client.get(&format!("{BEGIN}?{}", encoded(&asked))).await;
        states.push(state_of(out.expect(302).location()));
    }
    assert_eq!(
        rows(&db).await,
        before,
        "whoever leaves is not written down"
    );
    // Each state that was sealed for this browser, with a token that nobody signed, and states that nobody sealed.
    states.extend((0..400).map(|number| format!("state {number}")));
    for (number, state) in states.into_iter().enumerate() {
        let form = [
            ("state".to_owned(), state),
            ("id_token".to_owned(), format!("e30.e30.{number}")),
            ("again".to_owned(), "1".to_owned()),
        ];
        // Never told to wait: whoever comes from the same address would wait with her.
        post(&client, LAUNCH, &form).await.expect(403);
    }
    assert_eq!(rows(&db).await, before);
    come(&hub, &platform, "/").await.1.expect(302);
    hub.stop().await;
}

/// What a browser is sent to the platform with, to bring back.
fn state_of(way_out: &str) -> String {
    let url: url::Url = way_out.parse().expect("an address");
    let mut fields = url.query_pairs();
    let state = fields.find(|(name, _)| name == "state");
    state.expect("a state").1.into_owned()
}

/// A launch that was refused can still be posted rightly; one that was let in can't, however often it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_uses_up_no_launch() {
    let db = TestDb::sqlite().await;
    let platform = FakePlatform::start().await;
    let hub = offering(&db, &platform, |_| {}).await;
    let ada = hub.client();
    let form = leave(&hub, &ada, &platform, "/").await;
    let junk = [
        form[0].clone(),
        ("id_token".to_owned(), "e30.e30.x".to_owned()),
    ];
    post(&ada, LAUNCH, &junk).await.expect(403);
    // Of several at once one is the first.
    let thief = hub.client();
    thief.plant(COOKIE, &ada.cookie(COOKIE).expect("kept"), "/hub/");
    let both = tokio::join!(post(&ada, LAUNCH, &form), post(&thief, LAUNCH, &form));
    let mut statuses = [both.0.status.as_u16(), both.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [302, 403]);
    hub.stop().await;
}
