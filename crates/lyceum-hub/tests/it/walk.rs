//! Every route, asked by six kinds of callers: what each is answered stands in `walk.txt`, which people
//! review. A route without a line there fails, with the line to add.
//!
//! What a path names is Ada's: her default server runs, `gpu` is at rest, she is in the group `course`
//! and takes the course `signals`, which has a server. After each answer that is no refusal everything
//! is put back.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use lyceum_hub::{Settings, Timings};
use lyceum_model::who::CourseRole;
use lyceum_testkit::client::Answer;
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{Client, TestDb, TestHub};
use lyceum_web::routes::RouteInfo;
use serde_json::{Value, json};

use crate::grants::{SECRET, role, service};
use crate::kit::{header, program, send_json, until};

const TABLE: &str = include_str!("walk.txt");

/// In the order of the columns: who is nothing to Ada, whom a course file names as her teacher, who
/// looks after the group that she is in, who runs all.
const PEOPLE: [&str; 4] = ["eve", "tess", "kim", "root"];
/// Where the service without scopes stands among them.
const SERVICE: usize = 4;

/// What somebody may do who got a role over a group.
const KEEPS: &[&str] = &[
    "list:users!group=course",
    "read:users!group=course",
    "admin:servers!group=course",
    "access:servers!group=course",
    "groups!group=course",
];

/// Bodies that would be taken; elsewhere `{}` is sent.
fn body(method: &Method, path: &str) -> Value {
    match (method.as_str(), path) {
        ("POST", "/hub/api/users") => json!({ "usernames": ["fresh"] }),
        ("PATCH", "/hub/api/users/{user}") => json!({ "admin": false }),
        ("POST", "/hub/api/users/{user}/activity") => {
            json!({ "last_activity": "2026-01-02T03:04:05Z" })
        }
        ("PATCH", path) if path.contains("/server") => json!({ "display_name": "Other" }),
        ("POST", "/hub/api/groups") => json!({ "groups": ["fresh"] }),
        (_, "/hub/api/groups/{group}/users") => json!({ "users": ["ada"] }),
        ("POST", "/hub/api/services/{service}") => json!({ "display": true }),
        _ => json!({}),
    }
}

/// What stands for the parts of a path.
pub(crate) fn fill(path: &str, id: &str) -> String {
    let mut filled = path.to_owned();
    for (part, value) in [
        ("{user}", "ada"),
        ("{server}", "gpu"),
        ("{owner}", "ada"),
        ("{group}", "course"),
        ("{service}", "made"),
        ("{id}", id),
        ("{token}", "0123456789"),
        ("{name}", "jupyterhub-hub-login"),
        ("{value}", "x"),
        ("{method}", "staff"),
        ("{status}", "503"),
        ("{session}", "never"),
        ("{sitting}", "never"),
        ("{place}", "1"),
        (
            "{*path}",
            match path.starts_with("/hub/services/") {
                true => "signals/lab",
                false => "ada/lab",
            },
        ),
    ] {
        filled = filled.replace(part, value);
    }
    assert!(
        !filled.contains('{'),
        "{path}: say in `fill` of tests/it/walk.rs what stands for its parts"
    );
    if path == "/hub/api/oauth2/authorize" {
        filled += "?client_id=jupyterhub-user-ada&response_type=code&redirect_uri=/user/ada/oauth_callback";
    }
    filled
}

struct Stage {
    hub: TestHub,
    root: Client,
    nobody: Client,
    service: Client,
    /// With a token, and with a browser.
    people: Vec<(Client, Client)>,
}

impl Stage {
    async fn set(db: &TestDb) -> Self {
        let tune = |settings: &mut Settings, _: &mut Timings| {
            service(&mut settings.grants, "idle", |_| {});
            role(&mut settings.grants, "keeps", KEEPS, &["kim"]);
        };
        let mut hub = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), tune)
            .await
            .with_admin("root")
            .await;
        for name in ["eve", "tess", "kim"] {
            hub = hub.with_user(name).await;
        }
        hub.put_in_course("tess", "signals", CourseRole::Teacher);
        hub.put_in_course("ada", "signals", CourseRole::Student);
        hub.give_courses_servers(&[("signals", &["tess"])]);
        let mut people = Vec::new();
        for name in PEOPLE {
            people.push((program(&hub, name).await, browser(&hub, name).await));
        }
        let mut stage = Self {
            root: program(&hub, "root").await,
            nobody: hub.client(),
            service: hub.client().with_token(&format!("{SECRET} idle")),
            people,
            hub,
        };
        stage.put_back().await;
        let (_, teacher) = &stage.people[1];
        until("the course has its server", async || {
            teacher.get("/hub/services/signals/lab").await.status == 424
        })
        .await;
        stage
    }

    /// Everything as it was, whatever has happened.
    async fn put_back(&mut self) {
        self.do_as_root("POST", "users/ada", json!({}), &[201, 409])
            .await;
        // For who is kept out nothing is started.
        let block = "lyceum/users/ada/block";
        self.do_as_root("DELETE", block, json!({}), &[204]).await;
        self.do_as_root("DELETE", "users/fresh", json!({}), &[204, 404])
            .await;
        self.do_as_root("DELETE", "groups/fresh", json!({}), &[204, 404])
            .await;
        self.do_as_root("POST", "groups/course", json!({}), &[201, 409])
            .await;
        let members = json!({ "users": ["ada"] });
        self.do_as_root("POST", "groups/course/users", members, &[200])
            .await;
        self.do_as_root(
            "POST",
            "services/made",
            json!({ "display": true }),
            &[201, 409],
        )
        .await;
        self.do_as_root("DELETE", "users/ada/servers/gpu", json!({}), &[204, 404])
            .await;
        self.do_as_root("PUT", "users/ada/servers/gpu", json!({}), &[201, 409])
            .await;
        self.do_as_root("POST", "users/ada/server", json!({}), &[201, 400])
            .await;
        for name in PEOPLE {
            let path = format!("users/{name}/server");
            self.do_as_root("DELETE", &path, json!({}), &[204]).await;
        }
        for (name, (_, browser)) in PEOPLE.into_iter().zip(&mut self.people) {
            // A session that was ended.
            if browser.get("/hub/api/user").await.status != 200 {
                *browser = self::browser(&self.hub, name).await;
            }
        }
    }

    async fn do_as_root(&self, method: &str, path: &str, body: Value, expect: &[u16]) -> Answer {
        let method: Method = method.parse().expect("a method");
        let path = format!("/hub/api/{path}");
        let answer = send_json(&self.root, method.clone(), &path, &body).await;
        let status = answer.status.as_u16();
        assert!(
            expect.contains(&status),
            "{method} {path}: {status} {}",
            answer.text()
        );
        answer
    }

    /// The cells of a route's line.
    async fn cells(&mut self, route: &RouteInfo) -> Vec<String> {
        let mut cells = vec![self.ask(route, |stage| &stage.nobody).await.to_string()];
        for at in 0..PEOPLE.len() {
            let by_token = self.ask(route, |stage| &stage.people[at].0).await;
            let by_cookie = self.ask(route, |stage| &stage.people[at].1).await;
            cells.push(match by_token == by_cookie {
                true => by_token.to_string(),
                false => format!("{by_token}/{by_cookie}"),
            });
        }
        let service = self.ask(route, |stage| &stage.service).await;
        cells.insert(SERVICE, service.to_string());
        cells
    }

    async fn ask(&mut self, route: &RouteInfo, who: impl Fn(&Self) -> &Client) -> u16 {
        let id = if route.path.contains("{id}") || route.path.contains("/token/") {
            let made = self.do_as_root("POST", "users/ada/tokens", json!({}), &[201]);
            made.await.json()["id"].as_str().expect("an id").to_owned()
        } else {
            String::new()
        };
        let path = fill(&route.path, &id);
        let is_form = !path.starts_with("/hub/api/") || path.starts_with("/hub/api/oauth2/");
        let answer = if route.method == Method::GET {
            who(self).get(&path).await
        } else if is_form {
            let form = format!("user=ada&server=gpu&id={id}&note=walk");
            let kind = [("content-type", "application/x-www-form-urlencoded")];
            let sent = who(self).send(route.method.clone(), &path, &kind, form.into());
            sent.await
        } else {
            let body = body(&route.method, &route.path);
            send_json(who(self), route.method.clone(), &path, &body).await
        };
        let status = answer.status.as_u16();
        assert!(status < 500, "{} {path}: {}", route.method, answer.text());
        if status < 400 {
            self.put_back().await;
        }
        status
    }
}

/// A browser whose requests carry the form token, as our pages' do.
async fn browser(hub: &TestHub, name: &str) -> Client {
    let browser = hub.signed_in(name).await;
    let xsrf = browser.cookie("_xsrf").expect("a form token");
    browser.with_header("x-xsrftoken", &xsrf)
}

/// The cells of the table by method and path.
fn table() -> BTreeMap<(String, String), Vec<String>> {
    let mut table = BTreeMap::new();
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let mut words = line.split_whitespace().map(str::to_owned);
        let key = (
            words.next().expect("a method"),
            words.next().expect("a path"),
        );
        let cells: Vec<String> = words.collect();
        assert_eq!(cells.len(), 6, "walk.txt: six columns in {line:?}");
        let twice = table.insert(key, cells);
        assert!(twice.is_none(), "walk.txt: twice: {line:?}");
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn six_kinds_of_callers_walk_every_route() {
    let db = TestDb::sqlite().await;
    let mut stage = Stage::set(&db).await;
    let mut table = table();
    let mut faults = Vec::new();
    for route in stage.hub.routes.clone() {
        let cells = stage.cells(&route).await;
        let (method, path) = (route.method.to_string(), route.path.clone());
        let mut line = format!("{method:<6} {path:<52}");
        for cell in &cells {
            line.push_str(&format!(" {cell:<7}"));
        }
        let line = line.trim_end();
        match table.remove(&(method, path)) {
            None => faults.push(format!("not in the table; if it is right, add\n{line}")),
            Some(expected) if expected != cells => {
                faults.push(format!(
                    "otherwise than the table, which says {}\n{line}",
                    expected.join(" ")
                ));
            }
            Some(_) => {}
        }
    }
    for (method, path) in table.keys() {
        faults.push(format!("in the table, and no route: {method} {path}"));
    }
    assert!(
        faults.is_empty(),
        "tests/it/walk.txt (method, path; nobody, student, teacher, keeper, service, administrator):\n{}",
        faults.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused_and_head_is_like_get() {
    let db = TestDb::sqlite().await;
    let mut stage = Stage::set(&db).await;
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for route in &stage.hub.routes {
        let methods = paths.entry(route.path.clone()).or_default();
        methods.insert(route.method.to_string());
        if route.method == Method::GET {
            methods.insert("HEAD".to_owned());
        }
    }
    for (path, methods) in &paths {
        let path = fill(path, "a01");
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
        ] {
            if methods.contains(method) {
                continue;
            }
            let method: Method = method.parse().expect("a method");
            for client in [&stage.nobody, &stage.root] {
                let answer = client
                    .send(method.clone(), &path, &[], Vec::new().into())
                    .await;
                assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
                if method == Method::TRACE {
                    // The proxy itself refuses it, whatever the path.
                    continue;
                }
                let allowed: BTreeSet<String> = header(&answer, "allow")
                    .split(',')
                    .map(|one| one.trim().to_owned())
                    .collect();
                assert_eq!(allowed, *methods, "{method} {path}");
            }
        }
        if methods.contains("HEAD") {
            for client in [&stage.nobody, &stage.root] {
                let get = client.get(&path).await;
                let head = client
                    .send(Method::HEAD, &path, &[], Vec::new().into())
                    .await;
                assert_eq!(head.status, get.status, "HEAD {path}");
                assert!(head.body.is_empty(), "HEAD {path}");
            }
            stage.put_back().await;
        }
    }
}
