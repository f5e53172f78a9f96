//! Room for a course to which many come, from the line in its file to the place that is kept.

use lyceum_hub::servers::State;
use lyceum_store::{Db, settings};
use lyceum_testkit::{Client, TestDb};
use serde_json::{Value, json};

use crate::faults::{client, make, rows, until};
use crate::replicas::{Place, Running};
use crate::storm::CONFIG;

/// A course with one student and a meeting in a few minutes, for which room is made already.
fn course() -> String {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let at = soon.to_zoned(jiff::tz::TimeZone::UTC);
    let at = at.strftime("%Y-%m-%d %H:%M");
    format!(
        "title: Biology\nenvironment: {{}}\npeople: {{students: [ada]}}\n\
         schedule: [{{at: {at}, people: 1, before: 2h, for: 2h}}]\n"
    )
}

async fn browser(hub: &Running) -> Client {
    let password = hub.said["accounts"][0]["password"].as_str();
    let password = password.expect("the first password");
    let url = hub.text("hub");
    let address = url.strip_prefix("http://").expect("a URL");
    let browser = Client::new(address.parse().expect("an address"));
    browser.log_in("admin", password).await.expect(302);
    browser
}

/// What was done for the meeting, as hubs keep it for each other.
async fn made(db: &Db) -> Value {
    let mut tx = db.read().await.expect("a transaction");
    let kept = settings::get(&mut tx, "rooms").await.expect("read");
    let all: Value = serde_json::from_str(&kept.unwrap_or_default()).unwrap_or_default();
    all[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_kept_for_whom_the_course_file_expects() {
    let test = TestDb::empty_postgres().await;
    let db = test.db();
    let config = format!("  running: 2\n{CONFIG}time_zone: UTC\n");
    let place = Place::on(test.location().clone(), &config);
    let hub = place.hub("127.0.0.1:0");
    make(&hub, &["ada".to_owned(), "ben".to_owned()]).await;
    let (there, admin) = (client(&hub), browser(&hub).await);
    let runs = async |names: &[&str]| {
        let ready = rows(db, State::Ready).await;
        let mut owners: Vec<&str> = ready.iter().map(|row| row.user_name.as_str()).collect();
        owners.sort_unstable();
        owners == names
    };
    let told = async |words: &str| {
        let page = admin.get("/hub/spawn-pending/admin").await;
        page.status == 200 && page.text().contains(words)
    };

    // One place is anybody's, the other is kept.
    place.site.write("data/courses/bio.yaml", &course());
    until("the overview tells of the meeting", async || {
        let page = admin.get("/hub/admin").await.expect(200).text();
        page.contains("Biology") && page.contains("Places are kept now")
    })
    .await;
    until("the spawner has made ready for it", async || {
        made(db).await["short"].is_array()
    })
    .await;
    drop(
        there
            .post_json("/hub/api/users/ben/server", &json!({}))
            .await,
    );
    until("ben has the one place", async || runs(&["ben"]).await).await;
    let wish = [("user", "admin"), ("server", "")];
    admin
        .post_form("/hub/servers/start", &wish)
        .await
        .expect(302);
    until(
        "who comes next is told that the other is kept",
        async || told("the free places are kept for it").await,
    )
    .await;

    // For whom it is kept walks past everybody who waits.
    let of_course = json!({ "course": "bio" });
    let started = there
        .post_json("/hub/api/users/ada/server", &of_course)
        .await;
    assert!(
        [201, 202].contains(&started.status.as_u16()),
        "{}",
        started.text()
    );
    until("ada has hers", async || runs(&["ada", "ben"]).await).await;
    let ada = rows(db, State::Ready).await;
    let ada = ada.iter().find(|row| row.user_name.as_str() == "ada");
    assert_eq!(ada.expect("hers").course.as_deref(), Some("bio"));
    assert_eq!(rows(db, State::Queued).await.len(), 1);

    // While she is away for a moment nobody else gets it.
    let stopped = there.delete("/hub/api/users/ada/server").await;
    assert!([202, 204].contains(&stopped.status.as_u16()));
    until("it is kept again", async || {
        runs(&["ben"]).await && told("the free places are kept for it").await
    })
    .await;

    // Once the file says nothing of a meeting, it is anybody's.
    let quiet = "title: Biology\nenvironment: {}\npeople: {students: [ada]}\n";
    place.site.write("data/courses/bio.yaml", quiet);
    until("who waited has it", async || runs(&["admin", "ben"]).await).await;
    assert_eq!(place.notes.most_at_once(), 2);
    assert_eq!(place.notes.twins(), "");
}
