//! Starting and stopping by API: statuses, names, limits.

use bytes::Bytes;
use hyper::Method;
use lyceum_hub::servers::State;
use lyceum_testkit::fake::{Behaviour, Ending};
use lyceum_testkit::{TestDb, TestHub};
use serde_json::json;

use super::EMPTY;
use super::{at_peace, program, row, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn statuses_of_start_and_stop() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/server";

        // Nothing there yet: stopping is done already, a body is optional, not-JSON is refused.
        ada.delete(path).await.expect(204);
        let bad = ada
            .send(Method::POST, path, &[], Bytes::from_static(b"{nonsense"))
            .await
            .expect(400);
        assert!(bad.text().contains("not JSON"), "{}", bad.text());
        ada.post_json(path, &json!([1])).await.expect(400);

        let created = ada.post_json(path, &EMPTY).await.expect(201);
        assert!(created.body.is_empty());
        // Who is told so gets through at once.
        ada.get("/user/ada/lab").await.expect(200);
        let again = ada.post_json(path, &EMPTY).await.expect(400);
        assert!(again.text().contains("running already"), "{}", again.text());
        let refused = ada
            .send(
                Method::DELETE,
                path,
                &[],
                Bytes::from_static(b"{\"remove\":true}"),
            )
            .await
            .expect(400);
        assert!(refused.text().contains("not removed"), "{}", refused.text());
        assert_eq!(row(db.db(), "ada", "").await.unwrap().state, State::Ready);

        // While it stops, a start is refused.
        hub.spawner.end(Ending::HangsBefore);
        let (stopped, refused) = tokio::join!(ada.delete(path), async {
            until_state(db.db(), "ada", State::Stopping).await;
            let refused = ada.post_json(path, &EMPTY).await;
            hub.spawner.end(Ending::Good);
            refused
        });
        stopped.expect(204);
        refused.expect(400);
        ada.delete(path).await.expect(204);

        // Another person's and nobody's.
        let hub = hub.with_user("bob").await;
        let bob = program(&hub, "bob").await;
        bob.post_json(path, &EMPTY).await.expect(404);
        bob.delete(path).await.expect(404);
        hub.client().post_json(path, &EMPTY).await.expect(403);
        at_peace(db.db(), &hub.spawner, &[&hub]).await;
        assert_eq!(hub.spawner.orders().len(), 1);
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_start_is_accepted_and_a_pending_one_is_cancelled() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let path = "/hub/api/users/ada/server";
        hub.spawner.behave(Behaviour::NeverReady);
        let (first, second) = tokio::join!(ada.post_json(path, &EMPTY), async {
            until_state(db.db(), "ada", State::Starting).await;
            ada.post_json(path, &EMPTY).await
        });
        // The second comes back at once, the first after ten seconds.
        second.expect(202);
        first.expect(202);
        ada.delete(path).await.expect(204);
        let row = row(db.db(), "ada", "").await.unwrap();
        assert_eq!((row.state, row.failure), (State::Stopped, None));
        at_peace(db.db(), &hub.spawner, &[&hub]).await;
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_says_why() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        hub.spawner.behave(Behaviour::NotFound);
        let failed = ada
            .post_json("/hub/api/users/ada/server", &EMPTY)
            .await
            .expect(500);
        assert!(
            failed.text().contains("no-such-program"),
            "{}",
            failed.text()
        );
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_servers() {
    for db in TestDb::both().await {
        let hub = TestHub::start(&db).await.with_user("ada").await;
        let ada = program(&hub, "ada").await;
        let long = "a".repeat(300);
        for name in [
            "a%2Fb",
            "..",
            "%2E%2E",
            ".",
            "a.b",
            "%F0%9F%98%80",
            "%FF",
            "%00",
            "A",
            "-a",
            "a--b",
            "a-",
            "a%20b",
            &long,
        ] {
            let path = format!("/hub/api/users/ada/servers/{name}");
            for answer in [
                ada.post_json(&path, &EMPTY).await,
                ada.delete(&path).await,
                ada.get(&format!("{path}/progress")).await,
            ] {
                let status = answer.status.as_u16();
                assert!(
                    matches!(status, 400 | 403 | 404 | 405),
                    "{name}: {status} {}",
                    answer.text()
                );
            }
        }
        assert_eq!(hub.spawner.orders().len(), 0);
        let path = |name: &str| format!("/hub/api/users/ada/servers/{name}");
        // Three are allowed.
        for name in ["gpu", "big", "r-4"] {
            ada.post_json(&path(name), &EMPTY).await.expect(201);
        }
        let refused = ada.post_json(&path("more"), &EMPTY).await.expect(400);
        assert!(refused.text().contains('3'), "{}", refused.text());
        assert_eq!(
            ada.get("/user/ada/gpu/tree").await.expect(200).text(),
            "the server of ada at /user/ada/gpu/tree"
        );
        ada.delete(&path("unknown")).await.expect(404);

        let remove = Bytes::from_static(b"{\"remove\":true}");
        ada.send(Method::DELETE, &path("gpu"), &[], remove)
            .await
            .expect(204);
        assert!(row(db.db(), "ada", "gpu").await.is_none());
        ada.delete(&path("gpu")).await.expect(404);
        // Stopped, but kept: it still counts, and can be started again.
        ada.delete(&path("big")).await.expect(204);
        assert!(row(db.db(), "ada", "big").await.is_some());
        ada.post_json(&path("more"), &EMPTY).await.expect(201);
        ada.post_json(&path("one-more"), &EMPTY).await.expect(400);
        ada.post_json(&path("big"), &EMPTY).await.expect(201);
        at_peace(db.db(), &hub.spawner, &[&hub]).await;
        hub.stop().await;
    }
}

/// Many wishes, few places: all come up, never more at a time than allowed.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_queued_and_few_places() {
    // More than a sweep looks at.
    const QUEUED: usize = 300;
    for db in TestDb::both().await {
        let hub = TestHub::start_tuned(db.db().clone(), Default::default(), |settings, _| {
            settings.starts.at_once = 4;
            settings.starts.per_person = 4;
            settings.named_servers = QUEUED;
        })
        .await
        .with_user("ada")
        .await;
        let mut tx = db.db().write().await.unwrap();
        let ada = lyceum_model::name::UserName::parse("ada").unwrap();
        let ada = lyceum_hub::db::users::find(&mut tx, &ada)
            .await
            .unwrap()
            .unwrap();
        drop(tx);
        hub.spawner.behave(Behaviour::HangsBefore);
        for number in 0..QUEUED {
            let name = format!("s{number}").parse().unwrap();
            lyceum_hub::launching::start(&hub.hub, &ada, &name, json!({}))
                .await
                .unwrap();
        }
        super::until("all places are taken", || async {
            hub.spawner.at_work().len() == 4
        })
        .await;
        // The rest is not started but dropped, which makes room for the others as well.
        let mut tx = db.db().read().await.unwrap();
        let queued = lyceum_hub::db::servers::in_state(&mut tx, State::Queued)
            .await
            .unwrap();
        drop(tx);
        assert!(queued.len() >= QUEUED - 4, "{}", queued.len());
        for server in &queued[..QUEUED - 50] {
            lyceum_hub::launching::stop(&hub.hub, server).await.unwrap();
        }
        hub.spawner.behave(Behaviour::Good);
        super::until("all have come to their end", || async {
            super::pending(db.db()).await == 0
        })
        .await;
        at_peace(db.db(), &hub.spawner, &[&hub]).await;
        assert!(hub.spawner.running().len() >= 46);
        hub.stop().await;
    }
}
