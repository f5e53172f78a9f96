//! What others did with somebody's servers, and that she is told.

use lyceum_hub::deeds::{self, Doer, What};
use lyceum_hub::launching;
use lyceum_hub::servers::State;
use lyceum_model::clock::Clock;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::page::contexts::DeedRow;
use serde_json::json;

use crate::grants::{as_service, role, service};
use crate::kit::{assert_german, in_german, program, start_server};
use crate::servers::until_state;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Ada, whose server runs, and Eve are people, Root runs all, `cull` is a service that stops servers.
/// The clock begins at the machine's time, by which a decision that a proxy remembers ends.
async fn hub(db: &TestDb) -> (TestHub, Clock) {
    let clock = Clock::manual(Clock::system().now());
    let tune = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
        service(&mut settings.grants, "cull", |_| {});
        let scopes = ["delete:servers", "read:servers", "list:users"];
        role(&mut settings.grants, "culler", &scopes, &["service:cull"]);
    };
    let hub = TestHub::start_tuned_at(db.db().clone(), FakeSpawner::default(), clock.clone(), tune);
    let hub = hub.await.with_user("ada").await.with_user("eve").await;
    let hub = hub.with_admin("root").await;
    start_server(&hub, "ada").await;
    (hub, clock)
}

/// What is kept for Ada, the newest first.
async fn kept(hub: &TestHub) -> Vec<(String, String, String)> {
    let mut tx = hub.hub.db().read().await.expect("a transaction");
    let ada = lyceum_model::name::UserName::parse("ada").expect("a name");
    let ada = lyceum_hub::db::users::find(&mut tx, &ada).await;
    let ada = ada.expect("read").expect("Ada");
    let rows = lyceum_hub::deeds::all(&mut tx, &ada.id, hub.hub.now()).await;
    let told = |row: DeedRow| (row.who, row.what, row.server);
    rows.expect("read").into_iter().map(told).collect()
}

fn deed(who: &str, what: &str, server: &str) -> (String, String, String) {
    (who.to_owned(), what.to_owned(), server.to_owned())
}

async fn home(client: &Client) -> String {
    client.get("/hub/home").await.expect(200).text()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_or_handles_a_server_is_told_to_its_owner() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let ada = hub.signed_in("ada").await;
        // What she did herself is no news.
        program(&hub, "ada")
            .await
            .get("/user/ada/lab")
            .await
            .expect(200);
        ada.get("/user/ada/lab").await.expect(200);
        assert_eq!(kept(&hub).await, []);
        let title = "What others did with my servers";
        assert!(!home(&ada).await.contains(title));
        let page = ada.get("/hub/sessions").await.expect(200).text();
        assert!(page.contains("Nobody but you has"), "{page}");

        // Nor who was refused.
        let eve = program(&hub, "eve").await;
        eve.get("/user/ada/lab").await.expect(403);
        let root = program(&hub, "root").await;
        for path in ["/user/ada/lab", "/user/ada/api/contents"] {
            root.get(path).await.expect(200);
        }
        assert_eq!(kept(&hub).await, [deed("root", "opened", "")]);
        let page = home(&ada).await;
        assert!(page.contains("root opened: My notebook server"), "{page}");

        // The one that the area of administrators stops says why it ended.
        clock.advance(1);
        let boss = hub.signed_in("root").await;
        let chosen = [("do", "stop"), ("chosen", "ada/")];
        boss.post_form("/hub/admin/servers/do", &chosen)
            .await
            .expect(302);
        until_state(db.db(), "ada", State::Stopped).await;
        let page = home(&ada).await;
        assert!(page.contains("Stopped by root."), "{page}");
        clock.advance(1);
        let chosen = [("do", "start"), ("chosen", "ada/")];
        boss.post_form("/hub/admin/servers/do", &chosen)
            .await
            .expect(302);
        until_state(db.db(), "ada", State::Ready).await;
        clock.advance(1);
        let cull = as_service(&hub, "cull");
        cull.delete("/hub/api/users/ada/server").await.expect(204);
        clock.advance(1);
        let fields = [("user", "ada"), ("server", "gpu")];
        boss.post_form("/hub/servers/start", &fields)
            .await
            .expect(302);
        let body = json!({ "remove": true });
        let gone = root.send(
            hyper::Method::DELETE,
            "/hub/api/users/ada/servers/gpu",
            &[("content-type", "application/json")],
            body.to_string().into(),
        );
        let gone = gone.await.status.as_u16();
        assert!(matches!(gone, 202 | 204), "{gone}");
        // The newest stand first.
        let expect = [
            deed("cull", "stopped", ""),
            deed("root", "started", ""),
            deed("root", "stopped", ""),
            deed("root", "opened", ""),
        ];
        let all = kept(&hub).await;
        assert!(all.ends_with(&expect), "{all:?}");
        for what in ["started", "stopped", "removed"] {
            assert!(all.contains(&deed("root", what, "gpu")), "{what}: {all:?}");
        }
        let page = ada.get("/hub/sessions").await.expect(200).text();
        assert!(
            page.contains("The service cull stopped: My notebook"),
            "{page}"
        );
        assert!(page.contains("root removed: gpu"), "{page}");
        let german = in_german(hub.signed_in("ada").await);
        for path in ["/hub/home", "/hub/sessions"] {
            let page = german.get(path).await.expect(200).text();
            assert!(page.contains("root hat entfernt: gpu"), "{page}");
            assert_german(&page);
        }
        let page = home(&german).await;
        assert!(page.contains("Angehalten vom Dienst cull."), "{page}");
        let page = hub.signed_in("eve").await;
        assert!(!home(&page).await.contains(title));
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_is_told_once_an_hour_and_forgotten_after_ninety_days() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let visit = async || {
            // A token that no decision is remembered of.
            program(&hub, "root")
                .await
                .get("/user/ada/lab")
                .await
                .expect(200);
            kept(&hub).await.len()
        };
        assert_eq!(visit().await, 1);
        clock.advance(HOUR_MS / 2);
        assert_eq!(visit().await, 1);
        clock.advance(HOUR_MS);
        assert_eq!(visit().await, 2);
        let ada = hub.signed_in("ada").await;
        clock.advance(8 * DAY_MS);
        assert!(!home(&ada).await.contains("root opened"));
        assert_eq!(kept(&hub).await.len(), 2);
        clock.advance(83 * DAY_MS);
        assert_eq!(kept(&hub).await, []);
        hub.stop().await;
    }
}

/// And nothing of another kind is lost for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_two_hundred_of_a_kind_are_kept() {
    for db in TestDb::both().await {
        let (hub, clock) = hub(&db).await;
        let server = crate::servers::row(db.db(), "ada", "")
            .await
            .expect("a row");
        let loud = Doer::service("loud");
        let mut tx = db.db().write().await.expect("a transaction");
        for number in 0..204 {
            clock.advance(1);
            let what = match number {
                0 => What::Opened,
                _ => What::Changed,
            };
            deeds::note(&mut tx, &server, &loud, what, clock.now())
                .await
                .expect("written");
        }
        tx.commit().await.expect("written");
        let kept = kept(&hub).await;
        assert_eq!(kept.len(), 201);
        assert_eq!(kept[200], deed("loud", "opened", ""));
        hub.stop().await;
    }
}

/// Only one of them stopped it.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_stop_it_one_is_told() {
    for db in TestDb::both().await {
        let (hub, _) = hub(&db).await;
        let server = crate::servers::row(db.db(), "ada", "")
            .await
            .expect("a row");
        // All know it as it was before any of them came.
        let mut asked = Vec::new();
        for name in ["a", "b", "c", "d"] {
            let (hub, server) = (hub.hub.clone(), server.clone());
            asked.push(tokio::spawn(async move {
                let doer = Doer::service(name);
                launching::stop_as(&hub, &server, doer).await
            }));
        }
        for asked in asked {
            asked.await.expect("no panic").expect("asked to stop");
        }
        until_state(db.db(), "ada", State::Stopped).await;
        let kept = kept(&hub).await;
        assert_eq!(kept.len(), 1, "{kept:?}");
        hub.stop().await;
    }
}
