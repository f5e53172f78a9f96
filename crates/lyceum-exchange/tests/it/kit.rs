//! A hub with an exchange, people of all kinds, and how they ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use jiff::tz::TimeZone;
use lyceum_courses::{Shelf, Site};
use lyceum_exchange::api::{native, ngshare};
use lyceum_exchange::pages::{self, Setting, Starts};
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{Exchange, Groups, Limits, Parts, Space};
use lyceum_hub::{Settings, db};
use lyceum_model::clock::Clock;
use lyceum_model::name::UserName;
use lyceum_model::scope::Scope;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;
use lyceum_store::blobs::{Blobs, Disk};
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb, TestHub};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
/// Of the exchange of tests.
pub(crate) const BODY_MAX: u64 = 3 * 1024 * 1024;
/// A year from now is not reached by a test.
const ACCESS: &str = "access:services!service=ngshare";

pub(crate) struct Stage {
    pub(crate) hub: TestHub,
    pub(crate) exchange: Exchange,
    folder: TempDir,
}

struct HubGroups;

#[async_trait]
impl Groups for HubGroups {
    async fn of(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<Vec<String>> {
        match db::users::find(tx, name).await? {
            Some(user) => db::groups::names_of(tx, &user.id).await,
            None => Ok(Vec::new()),
        }
    }

    async fn members(&self, tx: &mut Tx, group: &str) -> sqlx::Result<BTreeSet<UserName>> {
        db::groups::members(tx, group).await
    }

    async fn members_of_all(
        &self,
        tx: &mut Tx,
        groups: &[&str],
        most: usize,
    ) -> sqlx::Result<Option<Vec<(String, UserName)>>> {
        db::groups::members_of_all(tx, groups, most).await
    }
}

/// Of the course `bio`: something that everybody may know, and secrets.
struct Started;

impl Starts for Started {
    fn by_role(&self, course: &str, role: CourseRole) -> Option<Vec<Setting>> {
        let setting = |what: &str, place: Option<&str>| Setting {
            what: what.into(),
            value: format!("for a {}", role.as_str()),
            place: place.map(str::to_owned),
            is_env: what.starts_with("env"),
        };
        let settings = vec![
            setting("memory limit", None),
            setting("env OF_THE_SITE", None),
            setting("env OF_THE_COURSE", Some("courses/bio.yaml:9")),
        ];
        (course == "bio").then_some(settings)
    }

    fn own_server(&self, _: &str) -> Option<Vec<Setting>> {
        None
    }
}

fn berlin() -> Site {
    Site {
        zone: TimeZone::get("Europe/Berlin").expect("the zone"),
        ..Site::default()
    }
}

impl Stage {
    /// With `root`, who administers, and `tess`, `ada`, `ben` and `eve`.
    pub(crate) async fn set(db: &TestDb) -> Self {
        Self::set_at(db, Clock::system()).await
    }

    pub(crate) async fn set_at(db: &TestDb, clock: Clock) -> Self {
        Self::set_with(db, clock, Limits::default(), |_| None).await
    }

    pub(crate) async fn set_with(
        db: &TestDb,
        clock: Clock,
        limits: Limits,
        space: fn(&Path) -> Option<Space>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Disk::open(&folder.path().join("blobs"))
            .await
            .expect("opened");
        let shelf = Shelf::open(&folder.path().join("courses"), berlin()).expect("opened");
        let exchange = Exchange::new(Parts {
            db: db.db().clone(),
            clock: clock.clone(),
            blobs: Blobs::Disk(blobs),
            shelf,
            groups: Arc::new(HubGroups),
            signer: Signer::new([5; 32]),
            body_max: BODY_MAX,
            limits,
            space,
            disk: folder.path().to_owned(),
        });
        let tune = |settings: &mut Settings, _: &mut _| {
            for role in ["user", "server"] {
                let role = settings.grants.roles.get_mut(role).expect("a default role");
                role.scopes.insert(Scope::parse(ACCESS).expect("a scope"));
            }
        };
        let parts = vec![
            ngshare::part(&exchange),
            native::part(&exchange),
            pages::part(&exchange, Arc::new(Started)),
        ];
        let mut hub = TestHub::start_beside(db.db().clone(), clock, tune, parts)
            .await
            .with_admin("root")
            .await;
        for name in ["tess", "ada", "ben", "eve"] {
            hub = hub.with_user(name).await;
        }
        Self {
            hub,
            exchange,
            folder,
        }
    }

    /// With the course `bio`: `tess` teaches, `ada` and `ben` take it.
    pub(crate) async fn with_course(db: &TestDb) -> Self {
        let stage = Self::set(db).await;
        stage.make_course().await;
        stage
    }

    pub(crate) async fn make_course(&self) {
        let root = self.asks("root").await;
        let made = [("instructors", r#"["tess"]"#)];
        root.post("course/bio", &made).await.expect(200);
        let tess = self.asks("tess").await;
        for name in ["ada", "ben"] {
            tess.post(&format!("student/bio/{name}"), &NAMELESS)
                .await
                .expect(200);
        }
    }

    pub(crate) async fn asks(&self, name: &str) -> Asker {
        let token = self.hub.token(name).await;
        Asker(self.hub.client().with_token(&token))
    }

    pub(crate) fn write_course(&self, id: &str, text: &str) {
        self.write_course_as_it_is(id, text);
        let problems = self.exchange.shelf().problems();
        assert!(problems.is_empty(), "{problems:?}");
    }

    /// With its mistakes.
    pub(crate) fn write_course_as_it_is(&self, id: &str, text: &str) {
        let folder = self.folder.path().join("courses");
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(folder.join(format!("{id}.yaml")), text).expect("written");
        self.exchange.shelf().look().expect("looked");
    }

    pub(crate) fn remove_course_file(&self, id: &str) {
        let file = self.folder.path().join(format!("courses/{id}.yaml"));
        std::fs::remove_file(file).expect("removed");
        self.exchange.shelf().look().expect("looked");
    }

    pub(crate) fn blob_folder(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }
}

pub(crate) const NAMELESS: [(&str, &str); 3] =
    [("first_name", ""), ("last_name", ""), ("email", "")];

/// Somebody's program.
pub(crate) struct Asker(pub(crate) Client);

impl Asker {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.0.get(&at(path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.0.delete(&at(path)).await
    }

    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.post_body(path, FORM, body.into()).await
    }

    pub(crate) async fn post_body(&self, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let kind = [("content-type", kind)];
        self.0
            .send(Method::POST, &at(path), &kind, body.into())
            .await
    }

    pub(crate) async fn post_files(&self, path: &str, given: &[(&str, &str)]) -> Answer {
        self.post(path, &[("files", &files(given))]).await
    }

    /// Hands in, and gives the time.
    pub(crate) async fn submit(&self, path: &str, given: &[(&str, &str)]) -> String {
        let answer = self.post_files(path, given).await.expect(200).json();
        answer["timestamp"].as_str().expect("a time").to_owned()
    }

    /// What is told when all is well, without the word that it is.
    pub(crate) async fn told(&self, path: &str) -> Value {
        let mut told = self.get(path).await.expect(200).json();
        let fields = told.as_object_mut().expect("an object");
        assert_eq!(fields.remove("success"), Some(json!(true)));
        told
    }

    /// The files at a path, their contents decoded.
    pub(crate) async fn files(&self, path: &str) -> Vec<(String, String)> {
        let told = self.told(path).await;
        let files = told["files"].as_array().expect("files").iter();
        let file = |file: &Value| {
            let content: String = file["content"]
                .as_str()
                .expect("content")
                .split('\n')
                .collect();
            let content = STANDARD.decode(content).expect("base64");
            let content = String::from_utf8(content).expect("text");
            (file["path"].as_str().expect("a path").to_owned(), content)
        };
        files.map(file).collect()
    }
}

fn at(path: &str) -> String {
    format!("/services/ngshare/{path}")
}

/// As clients send files.
pub(crate) fn files(given: &[(&str, &str)]) -> String {
    let file = |(path, content): &(&str, &str)| json!({ "path": path, "content": STANDARD.encode(content) });
    let files: Vec<Value> = given.iter().map(file).collect();
    Value::from(files).to_string()
}

/// A refusal in ngshare's form.
#[track_caller]
pub(crate) fn refused(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let expect = json!({ "success": false, "message": message });
    assert_eq!(answer.json(), expect);
}

#[track_caller]
pub(crate) fn done(answer: &Answer) {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    assert_eq!(answer.json(), json!({ "success": true }));
}
