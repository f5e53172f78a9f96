//! Steps and failures in the language of the page.

use std::time::Duration;

use lyceum_hub::servers::State;
use lyceum_store::{Db, on};
use lyceum_testkit::fake::{Behaviour, FakeSpawner};
use lyceum_testkit::{TestDb, TestHub};

use super::{EMPTY, hasty, key, program, row, until_state};
use crate::kit::{assert_german, assert_no_english, in_german};

const SERVER: &str = "/hub/api/users/ada/server";

/// How a start fails, and what is said of it in German and in English.
type Failing = (Behaviour, &'static str, &'static str);

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_told_in_german() {
    const LONG: Duration = Duration::from_secs(60);
    let at_once: &[Failing] = &[
        (
            Behaviour::NotFound,
            "Der Befehl „no-such-program“ wurde im PATH",
            "was not found on the PATH",
        ),
        (
            Behaviour::ExitsAtOnce,
            "um zu antworten: Er endete mit Code 3",
            "ended before it answered: ended with code 3",
        ),
        (
            Behaviour::Busy,
            "Etwas im Hub verhindert",
            "Something in the hub",
        ),
    ];
    let not_ready: &[Failing] = &[(Behaviour::NeverReady, "noch mit HTTP 502", "with HTTP 502")];
    let hanging: &[Failing] = &[(
        Behaviour::HangsAfter,
        "nicht innerhalb von 1 Sekunden",
        "did not come up within 1 seconds",
    )];
    // What fails at once has all the time it needs, so that on a slow machine no limit speaks before it.
    let stages = [
        (LONG, LONG, at_once),
        (Duration::from_secs(8), LONG, not_ready),
        (LONG, Duration::from_secs(1), hanging),
    ];
    for db in TestDb::both().await {
        for (start_timeout, launch_limit, failing) in stages {
            let hub = TestHub::start_tuned(
                db.db().clone(),
                FakeSpawner::default(),
                |settings, timings| {
                    hasty(settings, timings);
                    settings.start_timeout = start_timeout;
                    timings.launch_limit = launch_limit;
                },
            )
            .await
            .with_user("ada")
            .await;
            for (behaviour, german, english) in failing {
                hub.spawner.behave(*behaviour);
                told_in_german(&hub, db.db(), german, english).await;
            }
            hub.stop().await;
        }
    }
}

async fn told_in_german(hub: &TestHub, db: &Db, german: &str, english: &str) {
    let ada = program(hub, "ada").await;
    let browser = in_german(hub.signed_in("ada").await);
    // Accepted, when it fails only after ten seconds.
    let asked = ada.post_json(SERVER, &EMPTY).await.status.as_u16();
    assert!([202, 500].contains(&asked), "{asked}");
    until_state(db, "ada", State::Failed).await;
    let page = browser.get("/hub/spawn-pending/ada").await.expect(500);
    // What the server wrote stays as it is.
    let page = page.text().replace("a line that the fake server wrote", "");
    let page = page.replace("Making a fake server", "");
    assert!(page.contains(german), "{page}");
    assert!(page.contains("Start angefordert"), "{page}");
    assert_german(&page);
    let page = browser.get("/hub/home").await.expect(200).text();
    assert!(page.contains(german), "{page}");
    assert_german(&page);

    let stream = format!("{SERVER}/progress");
    let told = ada.get(&stream).await.expect(200).text();
    assert!(told.contains(english) && !told.contains("words"), "{told}");
    let told = ada.get(&format!("{stream}?lang=de")).await;
    let told = told.expect(200).text();
    assert!(
        told.contains(english),
        "programs go on reading `message`: {told}"
    );
    let (_, words) = told.split_once("\"words\":").expect("both");
    assert!(words.contains(german), "{told}");
    assert_no_english(words);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_program_wrote_is_shown_as_it_is() {
    for db in TestDb::both().await {
        let spawner = FakeSpawner::default();
        let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), hasty)
            .await
            .with_user("ada")
            .await;
        let ada = program(&hub, "ada").await;
        let browser = in_german(hub.signed_in("ada").await);
        spawner.behave(Behaviour::NotFound);
        ada.post_json(SERVER, &EMPTY).await.expect(500);
        let failed = row(db.db(), "ada", "").await.expect("there is a row");
        assert!(failed.failure_saying.is_some());
        // It knows nothing of the other columns and leaves them.
        let mut tx = db.db().write().await.expect("a transaction");
        for sql in [
            "UPDATE servers SET failure = 'an old reason'",
            "UPDATE server_steps SET message = 'an old step' WHERE progress = 0",
        ] {
            let rows = on!(&mut tx, |c| sqlx::query(sql)
                .execute(c)
                .await
                .map(|done| done.rows_affected()));
            assert_eq!(rows.expect("written"), 1);
        }
        tx.commit().await.expect("written");
        let page = browser
            .get("/hub/spawn-pending/ada")
            .await
            .expect(500)
            .text();
        assert!(
            page.contains("an old reason") && page.contains("an old step"),
            "{page}"
        );
        assert!(!page.contains("no-such-program"), "{page}");
        hub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_server_ended_by_itself_is_told_at_home() {
    let db = TestDb::sqlite().await;
    let spawner = FakeSpawner::default();
    let hub = TestHub::start_tuned(db.db().clone(), spawner.clone(), hasty)
        .await
        .with_user("ada")
        .await;
    program(&hub, "ada")
        .await
        .post_json(SERVER, &EMPTY)
        .await
        .expect(201);
    spawner.crash(&key(db.db(), "ada").await, "boom");
    until_state(db.db(), "ada", State::Stopped).await;
    let browser = in_german(hub.signed_in("ada").await);
    let page = browser.get("/hub/home").await.expect(200).text();
    assert!(
        page.contains("Der Server läuft nicht mehr: boom."),
        "{page}"
    );
    assert_german(&page);
    hub.stop().await;
}
