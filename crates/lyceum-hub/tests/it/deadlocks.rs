//! What two replicas write at the same moment about the same person: one waits for the other, and
//! neither is ended by PostgreSQL. (SQLite lets in one writer at a time.)

use std::collections::HashMap;

use lyceum_hub::db;
use lyceum_hub::jobs::token_uses;
use lyceum_hub::proxy::activity;
use lyceum_hub::users;
use lyceum_model::name::UserName;
use lyceum_store::{Db, Tx, on};
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

/// What ends several sessions of a person at once.
#[derive(Debug, Clone, Copy)]
enum Ender {
    All,
    Expired,
}

impl Ender {
    async fn end(self, tx: &mut Tx, user: &str, now: i64) -> sqlx::Result<()> {
        match self {
            Self::All => db::sessions::end_all(tx, user).await,
            Self::Expired => db::sessions::prune(tx, now + 1_000_000).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_while_they_are_seen_and_ended() {
    for ender in [Ender::All, Ender::Expired] {
        let db = TestDb::postgres().await;
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let now = hub.hub.now().0;
        let mut tx = db.db().write().await.expect("a transaction");
        let name = UserName::parse("ada").expect("a name");
        let user = db::users::find(&mut tx, &name).await.expect("asked");
        let user = user.expect("she is there");
        // In the table the second comes first.
        for id in ["second", "first"] {
            let session = db::sessions::Session {
                id: id.into(),
                cookie_hash: format!("cookie of {id}"),
                access_hash: format!("access of {id}"),
                user_id: user.id.clone(),
                created_at: now - 3,
                seen_at: now - 3,
                expires_at: now + 1_000_000,
                address: None,
                agent: None,
                method: None,
                elsewhere: None,
                refresh_at: None,
            };
            let written = db::sessions::insert(&mut tx, &session).await;
            written.expect("written");
        }
        tx.commit().await.expect("written");

        let mut writer = db.db().write().await.expect("a transaction");
        let seen = db::sessions::seen(&mut writer, "first", now - 2).await;
        seen.expect("seen");
        let ending = {
            let (db, user) = (db.db().clone(), user.id.clone());
            tokio::spawn(async move {
                let mut tx = db.write().await.expect("a transaction");
                ender.end(&mut tx, &user, now).await?;
                tx.commit().await
            })
        };
        until("it waits", async || waiting(db.db()).await > 0).await;
        let seen = db::sessions::seen(&mut writer, "second", now - 2).await;
        seen.unwrap_or_else(|error| panic!("{ender:?}: {error}"));
        let ended = db::sessions::end(&mut writer, "first", &user.id).await;
        assert!(ended.expect("ended"), "{ender:?}");
        writer.commit().await.expect("written");
        let ended = ending.await.expect("no panic");
        ended.unwrap_or_else(|error| panic!("{ender:?}: {error}"));
        hub.stop().await;
    }
}
