//! Servers that are shared, and the codes for them.

mod api;
mod attacks;
mod browser;
mod codes;
mod losing;

use hyper::Method;
use lyceum_hub::grants::Grants;
use lyceum_hub::{Settings, Timings};
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

use crate::grants::{group, role};
use crate::kit::{send_json, start_server};

const ADAS: &str = "/hub/api/shares/ada/";
const CODES: &str = "/hub/api/share-codes/ada/";
const ACCESS: &str = "access:servers!server=ada/";

/// Ada and tess may share what is theirs, ada with whom she likes; ben is in the group `lab`.
fn grants(grants: &mut Grants) {
    let names = ["read:users:name", "read:groups:name"];
    role(grants, "sharer", &["shares!user"], &["ada", "tess"]);
    role(grants, "knows-names", &names, &["ada"]);
    group(grants, "lab", &["ben"]);
}

/// A hub on which ada's default server runs.
pub(crate) async fn sharing(db: &TestDb) -> TestHub {
    tuned(db, |_, _| {}).await
}

pub(crate) async fn tuned(db: &TestDb, tune: impl FnOnce(&mut Settings, &mut Timings)) -> TestHub {
    let settings = |settings: &mut Settings, timings: &mut Timings| {
        grants(&mut settings.grants);
        tune(settings, timings);
    };
    let mut hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), settings)
        .await
        .with_admin("root")
        .await;
    for name in ["ada", "ben", "tess"] {
        hub = hub.with_user(name).await;
    }
    start_server(&hub, "ada").await;
    hub
}

async fn patch(client: &Client, path: &str, body: &Value) -> Answer {
    send_json(client, Method::PATCH, path, body).await
}

pub(crate) fn with_user(name: &str) -> Value {
    json!({ "user": name })
}

fn with_group(name: &str) -> Value {
    json!({ "group": name })
}

/// The scopes over ada's server that somebody holds now.
async fn held(client: &Client) -> Vec<String> {
    let model = client.get("/hub/api/user").await.expect(200).json();
    let scopes = model["scopes"].as_array().expect("a list").clone();
    let scopes = scopes.iter().filter_map(Value::as_str);
    scopes
        .filter(|scope| scope.contains("server=ada/"))
        .map(str::to_owned)
        .collect()
}

/// What the proxy answers at ada's server.
async fn opens(client: &Client) -> u16 {
    client.get("/user/ada/lab").await.status.as_u16()
}

/// Makes a code, and tells it with its id.
pub(crate) async fn code(client: &Client) -> (String, String) {
    let made = client.post_json(CODES, &json!({})).await.expect(200).json();
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    (text("code"), text("id"))
}

pub(crate) async fn accept(browser: &Client, code: &str) -> Answer {
    // The page sets the form token.
    browser.get("/hub/home").await.expect(200);
    let fields = [("code", code)];
    browser.post_form("/hub/accept-share", &fields).await
}

/// The one number that a query of the database tells.
async fn number(hub: &TestHub, sql: &'static str) -> i64 {
    let mut tx = hub.hub.db().read().await.expect("a transaction");
    lyceum_store::on!(&mut tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("a number")
}
