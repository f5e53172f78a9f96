//! How lost access is announced.

use lyceum_hub::jobs::revocations::{self, Fallen, TOPIC};
use lyceum_model::clock::Millis;
use lyceum_store::events;
use lyceum_testkit::TestDb;

/// During an upgrade hubs of before follow too; they know a name or everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_before_cuts_off_more_rather_than_nothing() {
    for db in TestDb::both().await {
        let mut tx = db.db().write().await.expect("a transaction");
        let before = events::newest(&mut tx).await.expect("read");
        let names = ["ada", "ben"].map(|name| (name.to_owned(), None));
        let fallen = Fallen::from(names);
        let done = revocations::announce_several(&mut tx, &fallen, Millis(1)).await;
        done.expect("written");
        tx.commit().await.expect("committed");
        let mut tx = db.db().read().await.expect("a transaction");
        let told = events::after(&mut tx, before, &[TOPIC], 10).await;
        let told = told.expect("read");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].subject, "*");
        assert!(
            told[0].body["people"].get("ada").is_some(),
            "{:?}",
            told[0].body
        );
    }
}
