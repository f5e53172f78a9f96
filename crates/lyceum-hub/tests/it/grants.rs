//! What the configuration grants: roles, groups, scopes of one's own, services.

mod groups;
mod oauth;
mod roles;
mod services;

use lyceum_hub::grants::{Grants, GroupWish, Role, Service};
use lyceum_model::name::UserName;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};

pub(crate) fn name(text: &str) -> UserName {
    UserName::parse(text).expect("a good name")
}

/// A role by its scopes, and by who has it: `ada`, `group:staff`, `service:grader`.
pub(crate) fn role(grants: &mut Grants, role: &str, scopes: &[&str], whose: &[&str]) {
    let scopes = grants.vocabulary.parse_all(scopes).expect("good scopes");
    let mut is = grants.roles.remove(role).unwrap_or_default();
    is = Role { scopes, ..is };
    for who in whose {
        match who.split_once(':') {
            Some(("group", group)) => is.groups.insert(group.to_owned()),
            Some((_, service)) => is.services.insert(service.to_owned()),
            None => is.users.insert(name(who)),
        };
    }
    grants.roles.insert(role.to_owned(), is);
}

pub(crate) fn group(grants: &mut Grants, group: &str, users: &[&str]) {
    let wish = GroupWish {
        users: users.iter().map(|user| name(user)).collect(),
        properties: None,
    };
    grants.groups.insert(group.to_owned(), wish);
}

pub(crate) const SECRET: &str = "the secret of a service in a test";

pub(crate) fn service(grants: &mut Grants, name: &str, tune: impl FnOnce(&mut Service)) {
    let mut service = Service {
        token_hash: Some(lyceum_hub::tokens::hash(&format!("{SECRET} {name}"))),
        client_id: format!("service-{name}"),
        display: true,
        ..Service::default()
    };
    tune(&mut service);
    grants.services.insert(name.to_owned(), service);
}

/// A service with its own token.
pub(crate) fn as_service(hub: &TestHub, name: &str) -> Client {
    hub.client().with_token(&format!("{SECRET} {name}"))
}

/// A hub with these grants, an administrator `root`, and ada, ben and tess.
pub(crate) async fn granting(db: &TestDb, tune: impl FnOnce(&mut Grants)) -> TestHub {
    let settings = |settings: &mut lyceum_hub::Settings, _: &mut lyceum_hub::Timings| {
        tune(&mut settings.grants);
    };
    let mut hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), settings)
        .await
        .with_admin("root")
        .await;
    for name in ["ada", "ben", "tess"] {
        hub = hub.with_user(name).await;
    }
    hub
}

/// An edit of the configuration.
pub(crate) async fn reload(hub: &TestHub, tune: impl FnOnce(&mut Grants)) {
    let mut settings = hub.hub.settings().as_ref().clone();
    tune(&mut settings.grants);
    hub.hub.reload(settings).await;
}

pub(crate) fn users(names: &[&str]) -> Value {
    json!({ "users": names })
}

pub(crate) async fn delete_json(client: &Client, path: &str, body: &Value) -> u16 {
    let body = body.to_string().into();
    let headers = [("content-type", "application/json")];
    let answer = client.send(hyper::Method::DELETE, path, &headers, body);
    answer.await.status.as_u16()
}

/// The fields of a model, in order.
pub(crate) fn fields(model: &Value) -> Vec<&str> {
    let model = model.as_object().expect("an object");
    model.keys().map(String::as_str).collect()
}
