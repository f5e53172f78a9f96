//! What two replicas write at the same moment about the same person: one waits for the other, and
//! neither is ended by PostgreSQL. (SQLite lets in one writer at a time.)

use std::collections::HashMap;

use lyceum_hub::db;
use lyceum_hub::jobs::token_uses;
use lyceum_hub::proxy::activity;
use lyceum_hub::users;
use lyceum_model::name::UserName;
use lyceum_store::{Db, on};
use lyceum_testkit::{TestDb, TestHub};

use crate::kit::{program, settled, start_server, until};

/// Who tells that a person or something of hers was used.
#[derive(Debug, Clone, Copy)]
enum Teller {
    Servers,
    Proxies,
    Tokens,
}

impl Teller {
    async fn tell(self, hub: lyceum_hub::Hub, user: String, server: String) {
        let now = hub.now();
        match self {
            Self::Servers => lyceum_hub::uses::report(&hub, &[(server, now)], &[(user, now)])
                .await
                .expect("a report of a server"),
            Self::Proxies => activity::write(&hub, &mut HashMap::from([(server, now.0)]))
                .await
                .expect("a report of a proxy"),
            Self::Tokens => token_uses::flush(&hub).await.expect("uses of tokens"),
        }
    }
}

/// Statements of this database that wait for somebody's lock.
async fn waiting(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("a transaction");
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    on!(&mut tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_deleted_while_she_is_seen() {
    for teller in [Teller::Servers, Teller::Proxies, Teller::Tokens] {
        let db = TestDb::postgres().await;
        let hub = TestHub::start(&db).await.with_user("ada").await;
        start_server(&hub, "ada").await;
        let ada = program(&hub, "ada").await;
        let stopped = ada.delete("/hub/api/users/ada/server").await;
        assert!(stopped.status.is_success(), "{stopped:?}");
        settled(&hub, "ada").await;
        // A use of her token, which nothing has written down yet.
        token_uses::flush(&hub.hub).await.expect("written");
        ada.get("/hub/api/user").await.expect(200);

        let mut tx = hub.hub.db().write().await.expect("a transaction");
        let name = UserName::parse("ada").expect("a name");
        let user = db::users::find(&mut tx, &name).await.expect("asked");
        let user = user.expect("she is there");
        let servers = db::servers::of_user(&mut tx, &user.id).await;
        let server = servers.expect("asked")[0].id.clone();
        db::servers::lock_owner(&mut tx, &user.id)
            .await
            .expect("locked");
        let told = tokio::spawn(teller.tell(hub.hub.clone(), user.id.clone(), server));
        until("it waits for her", async || waiting(db.db()).await > 0).await;
        users::remove(&mut tx, &user, hub.hub.now())
            .await
            .unwrap_or_else(|error| panic!("{teller:?}: {error}"));
        tx.commit().await.expect("deleted");
        told.await.expect("told of somebody who is gone");
        hub.stop().await;
    }
}
