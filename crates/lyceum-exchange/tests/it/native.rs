//! The exchange's own API.

use std::process::Command;

use hyper::Method;
use lyceum_exchange::api::native::{DESCRIBED, PREFIX};
use lyceum_hub::api::openapi;
use lyceum_model::clock::{Clock, Millis};
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestDb};
use serde_json::{Value, json};

use crate::kit::Stage;

/// 9 o'clock in Berlin on 22 November 2026.
const DUE: i64 = 1_795_334_400_000;
const PEOPLE: &str = "title: Biology
term: autumn
people:
  teachers: [tess]
  graders: [gina]
  students: [ada, ben]
  labels: {extra-time: [ben]}
assignments:
  ps1:
    due: 2026-11-22 09:00
    late: {until: 1h, costs: 10% per day}
    extend: {extra-time: 1d}
    limits: {size: 1000B, files: 3, kinds: [ipynb]}
  ps9: {due: 2026-12-22 09:00}
";

/// Somebody's program.
struct Program(Client);

impl Program {
    async fn of(stage: &Stage, name: &str) -> Self {
        Self(stage.asks(name).await.0)
    }

    async fn get(&self, path: &str) -> Answer {
        self.0.get(&format!("{PREFIX}{path}")).await
    }

    async fn told(&self, path: &str) -> Value {
        self.get(path).await.expect(200).json()
    }

    async fn send(&self, method: Method, path: &str, files: &[(&str, &str)]) -> Answer {
        let field = |(path, content): &(&str, &str)| {
            let heading = format!(
                "Content-Disposition: form-data; name=\"{}\"",
                path.replace('\\', "\\\\")
            );
            format!("--b\r\n{heading}\r\n\r\n{content}\r\n")
        };
        let body = files.iter().map(field).collect::<String>() + "--b--\r\n";
        let kind = [("content-type", "multipart/form-data; boundary=b")];
        let path = format!("{PREFIX}{path}");
        self.0.send(method, &path, &kind, body.into()).await
    }

    async fn post(&self, path: &str, files: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, files).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["status"], status);
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains(words), "{message}");
}

/// Paths and contents of a zip, as Python reads it: by the list at its end, and then once more as it
/// came, as a reader does that can't go back. Such readers know no sizes of 64 bits.
fn unzipped(answer: &Answer) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.zip");
    std::fs::write(&file, &answer.body).expect("written");
    let program = "import json, struct, sys, zipfile, zlib
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
listed = {name: z.read(name).decode() for name in z.namelist()}
data, at, streamed = open(sys.argv[1], 'rb').read(), 0, {}
while data[at:at + 4] == b'PK\\x03\\x04':
    needs, flags, method, *_, name, extra = struct.unpack('<4xHHHHHIIIHH', data[at:at + 30])
    assert (needs, flags & 8, method) == (20, 8, 8), (needs, flags, method)
    at += 30 + name + extra
    name, one = data[at - name - extra:at - extra].decode(), zlib.decompressobj(-15)
    content = one.decompress(data[at:])
    at = len(data) - len(one.unused_data)
    end = struct.unpack('<IIII', data[at:at + 16])
    assert (end[0], end[1], end[3]) == (0x08074b50, zlib.crc32(content), len(content)), (name, end)
    at += 16
    streamed[name] = content.decode()
assert streamed == listed
assert all(one.date_time[0] > 1980 for one in z.infolist())
print(json.dumps(listed))";
    let done = Command::new("python3")
        .args(["-c", program])
        .arg(&file)
        .output();
    let done = done.expect("python3 runs");
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).expect("JSON")
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name);
    value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

async fn stage(db: &TestDb, clock: &Clock) -> Stage {
    let mut stage = Stage::set_at(db, clock.clone()).await;
    stage.hub = stage.hub.with_user("gina").await;
    stage.write_course("bio", PEOPLE);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_of_an_assignment() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE + 1500));
        let stage = stage(&db, &clock).await;
        let (tess, ada, ben) = (
            Program::of(&stage, "tess").await,
            Program::of(&stage, "ada").await,
            Program::of(&stage, "ben").await,
        );
        let ps1 = "courses/bio/assignments/ps1";
        refused(&ada.get(ps1).await, 404, "Assignment not found");
        assert_eq!(tess.told(ps1).await["state"], "planned");
        let given = [("ps1.ipynb", "question"), ("data/x.csv", "1,2")];
        let made = tess
            .post(&format!("{ps1}/versions"), &given)
            .await
            .expect(201)
            .json();
        assert_eq!(
            (&made["version"], &made["files"], &made["bytes"]),
            (&json!(1), &json!(2), &json!(11))
        );

        let courses = ada.told("courses").await;
        let bio = json!({ "course": "bio", "title": "Biology", "term": "autumn", "role": "student", "archived": false });
        assert_eq!(courses, json!({ "courses": [bio] }));
        // Each sees what counts for her, and students nothing that is not there yet.
        let told = ada.told("courses/bio").await;
        let expect = json!([{
            "assignment": "ps1", "state": "late", "version": 1, "released_at": "2026-11-22T08:00:01.500000Z",
            "opens": null, "due": "2026-11-22T08:00:00.000000Z", "in_time_until": "2026-11-22T08:00:00.000000Z",
            "taken_until": "2026-11-22T09:00:00.000000Z", "late_costs": "10% per day",
            "limits": { "size": "1K", "files": 3, "kinds": ["ipynb"], "submissions": null },
        }]);
        assert_eq!(told["assignments"], expect);
        let bens = ben.told(ps1).await;
        assert_eq!(
            (&bens["state"], &bens["due"]),
            (&json!("open"), &json!("2026-11-23T08:00:00.000000Z"))
        );
        assert_eq!(bens["versions"], json!(null));
        let names: Vec<Value> = tess.told("courses/bio").await["assignments"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| json!([one["assignment"], one["state"]]))
            .collect();
        assert_eq!(names, [json!(["ps1", "late"]), json!(["ps9", "planned"])]);

        let newest = format!("{ps1}/versions/newest");
        let listed = ada.told(&format!("{newest}/files")).await;
        assert_eq!(listed["files"][0]["path"], "data/x.csv");
        assert_eq!(listed["files"][1]["size"], 8);
        let file = ada
            .get(&format!("{newest}/file?path=data%2Fx.csv"))
            .await
            .expect(200);
        assert_eq!(
            (file.text().as_str(), header(&file, "content-length")),
            ("1,2", "3")
        );
        assert_eq!(
            header(&file, "content-disposition"),
            "attachment; filename=\"x.csv\"; filename*=UTF-8''x%2Ecsv"
        );
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
        refused(
            &ada.get(&format!("{newest}/file?path=y")).await,
            404,
            "File not found",
        );
        refused(&ada.get(&format!("{newest}/file")).await, 400, "?path=");
        let zip = ada.get(&format!("{newest}/zip")).await.expect(200);
        assert_eq!(
            unzipped(&zip),
            json!({ "ps1.ipynb": "question", "data/x.csv": "1,2" })
        );

        let submit = format!("{ps1}/submissions");
        let first = ada
            .post(&submit, &[("ps1.ipynb", "answer")])
            .await
            .expect(201)
            .json();
        assert_eq!(
            (&first["late"], &first["number"], &first["files"]),
            (&json!(2), &json!(1), &json!(1))
        );
        let receipt = first["receipt"]["text"].as_str().expect("a text");
        assert!(receipt.contains("\nlate: 2 seconds\n"), "{receipt}");
        let signature = first["receipt"]["signature"].as_str().expect("a signature");
        assert!(stage.exchange.signer().signed(receipt, signature));
        let own = format!(
            "courses/bio/submissions/{}",
            first["id"].as_str().expect("an id")
        );
        let file = ada.get(&format!("{own}/receipt")).await.expect(200);
        assert!(file.text().starts_with(receipt) && file.text().contains(signature));
        assert_eq!(ada.told(&own).await, first);
        ada.post(&submit, &[("ps1.ipynb", "better"), ("data/x.csv", "3")])
            .await
            .expect(201);
        ben.post(&submit, &[("ps1.ipynb", "bens")])
            .await
            .expect(201);
        let text = ada
            .get(&format!("{own}/file?path=ps1.ipynb"))
            .await
            .expect(200)
            .text();
        assert_eq!(text, "answer");
        assert_eq!(
            unzipped(&ada.get(&format!("{own}/zip")).await.expect(200)),
            json!({ "ps1.ipynb": "answer" })
        );
        let all = tess.get(&format!("{ps1}/zip")).await.expect(200);
        let expect =
            json!({ "ada/ps1.ipynb": "better", "ada/data/x.csv": "3", "ben/ps1.ipynb": "bens" });
        assert_eq!(unzipped(&all), expect);
        assert_eq!(header(&all, "content-type"), "application/zip");

        let feedback = format!("{own}/feedback");
        refused(
            &ada.get(&format!("{feedback}/files")).await,
            404,
            "Feedback not found",
        );
        for text in ["good", "very good"] {
            tess.send(Method::PUT, &feedback, &[("ps1.html", text)])
                .await
                .expect(204);
        }
        let got = ada
            .get(&format!("{feedback}/file?path=ps1.html"))
            .await
            .expect(200);
        assert_eq!(got.text(), "very good");
        assert_eq!(header(&got, "content-type"), "application/octet-stream");
        assert_eq!(
            ada.told(&format!("{feedback}/files")).await["files"][0]["path"],
            "ps1.html"
        );
        assert_eq!(
            unzipped(&ada.get(&format!("{feedback}/zip")).await),
            json!({ "ps1.html": "very good" })
        );
        assert_eq!(
            ada.told(&own).await["feedback_at"],
            "2026-11-22T08:00:01.500000Z"
        );

        // A new version takes nothing away, and neither does withdrawing.
        let second = tess
            .post(&format!("{ps1}/versions"), &[("ps1.ipynb", "again")])
            .await;
        assert_eq!(second.expect(201).json()["version"], 2);
        let old = format!("{ps1}/versions/1/file?path=ps1.ipynb");
        assert_eq!(tess.get(&old).await.expect(200).text(), "question");
        refused(&ada.get(&old).await, 404, "Version not found");
        let versions = tess.told(ps1).await["versions"].as_array().map(Vec::len);
        assert_eq!(versions, Some(2));
        tess.send(Method::DELETE, ps1, &[]).await.expect(204);
        refused(&ada.get(ps1).await, 404, "Assignment not found");
        refused(
            &ada.post(&submit, &[("a.ipynb", "")]).await,
            404,
            "Assignment not found",
        );
        ada.get(&own).await.expect(200);
        tess.post(&format!("{ps1}/versions"), &[("ps1.ipynb", "back")])
            .await
            .expect(201);
        // Other clients see the same.
        let list = stage.asks("tess").await.told("submissions/bio/ps1").await;
        assert_eq!(list["submissions"].as_array().map(Vec::len), Some(3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_look_like_the_hubs() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock).await;
        let (tess, ada) = (
            Program::of(&stage, "tess").await,
            Program::of(&stage, "ada").await,
        );
        let ps1 = "courses/bio/assignments/ps1";
        let (versions, submit) = (format!("{ps1}/versions"), format!("{ps1}/submissions"));
        refused(&tess.post(&versions, &[]).await, 400, "no files");
        refused(
            &tess.post(&versions, &[("../a", "")]).await,
            400,
            "Illegal path",
        );
        refused(
            &tess.post(&versions, &[("a", ""), ("a", "")]).await,
            400,
            "Illegal path",
        );
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let path = format!("{PREFIX}{versions}");
        let sent = tess.0.send(Method::POST, &path, &form, "a=b".into()).await;
        refused(&sent, 415, "multipart/form-data");
        tess.post(&versions, &[("ps1.ipynb", "?")])
            .await
            .expect(201);
        let large = "x".repeat(1001);
        refused(
            &ada.post(&submit, &[("a.ipynb", &large)]).await,
            413,
            "larger than 1K",
        );
        let four = ["a", "b", "c", "d"].map(|name| (name, ""));
        refused(&ada.post(&submit, &four).await, 413, "4 files");
        refused(&ada.post(&submit, &[("a.py", "")]).await, 400, "a.py");
        clock.advance(3_600_000);
        ada.post(&submit, &[("a.ipynb", "")]).await.expect(201);
        clock.advance(1);
        refused(
            &ada.post(&submit, &[("a.ipynb", "")]).await,
            403,
            "until 2026-11-22 10:00 CET",
        );
        stage.write_course("bio", &format!("{PEOPLE}visible: archived\n"));
        refused(
            &ada.post(&submit, &[("a.ipynb", "")]).await,
            403,
            "archived",
        );
        refused(&tess.post(&versions, &[("a", "")]).await, 403, "archived");
        let found = ada.told(&format!("{ps1}/submissions")).await;
        assert_eq!(found["submissions"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock).await;
        let (tess, ada, ben) = (
            Program::of(&stage, "tess").await,
            Program::of(&stage, "ada").await,
            Program::of(&stage, "ben").await,
        );
        let submit = |name: &str| format!("courses/bio/assignments/{name}/submissions");
        for name in ["ps1", "ps2"] {
            let path = format!("courses/bio/assignments/{name}/versions");
            tess.post(&path, &[("a.ipynb", "?")]).await.expect(201);
            ada.post(&submit(name), &[("a.ipynb", "1")])
                .await
                .expect(201);
            ben.post(&submit(name), &[("a.ipynb", "1")])
                .await
                .expect(201);
            ada.post(&submit(name), &[("a.ipynb", "2")])
                .await
                .expect(201);
        }
        let numbers = |told: &Value| -> (Vec<i64>, Option<i64>) {
            let list = told["submissions"].as_array().expect("a list").iter();
            let numbers = list.map(|one| one["number"].as_i64().expect("a number"));
            (numbers.collect(), told["next"].as_i64())
        };
        let check = async |who: &Program, path: &str, expect: &[i64], next: Option<i64>| {
            let told = who.told(path).await;
            assert_eq!(numbers(&told), (expect.to_vec(), next), "{path}");
        };
        let course = "courses/bio/submissions";
        check(&tess, course, &[6, 5, 4, 3, 2, 1], None).await;
        check(&tess, &format!("{course}?limit=4"), &[6, 5, 4, 3], Some(3)).await;
        check(&tess, &format!("{course}?limit=4&before=3"), &[2, 1], None).await;
        check(
            &tess,
            &format!("{course}?limit=6"),
            &[6, 5, 4, 3, 2, 1],
            None,
        )
        .await;
        check(&tess, &format!("{course}?student=ben"), &[5, 2], None).await;
        check(&tess, &submit("ps1"), &[3, 2, 1], None).await;
        check(
            &tess,
            &format!("{}?student=ada", submit("ps2")),
            &[6, 4],
            None,
        )
        .await;
        check(&ada, course, &[6, 4, 3, 1], None).await;
        check(
            &ada,
            &format!("{course}?student=ada&limit=1"),
            &[6],
            Some(6),
        )
        .await;
        check(&ada, &submit("ps1"), &[3, 1], None).await;
        refused(
            &ada.get(&format!("{course}?student=ben")).await,
            403,
            "denied",
        );
        refused(&tess.get(&format!("{course}?limit=x")).await, 400, "");
    }
}

/// Each route, and what it is answered by kind of caller.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_what() {
    const TABLE: &[(&str, &str, [u16; 7])] = &[
        // nobody, eve (no member), ben (another student), ada, gina (grader), tess, root
        ("GET", "courses", [403, 200, 200, 200, 200, 200, 200]),
        (
            "GET",
            "courses/{course}",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "POST",
            "courses/{course}/assignments/{assignment}/versions",
            [403, 404, 403, 403, 403, 201, 201],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}/versions/{version}/files",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}/versions/{version}/file",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}/versions/{version}/zip",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}/submissions",
            [403, 404, 200, 200, 200, 200, 200],
        ),
        (
            "POST",
            "courses/{course}/assignments/{assignment}/submissions",
            [403, 404, 201, 201, 201, 201, 201],
        ),
        (
            "GET",
            "courses/{course}/assignments/{assignment}/zip",
            [403, 404, 403, 403, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/receipt",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/files",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/file",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/zip",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "PUT",
            "courses/{course}/submissions/{submission}/feedback",
            [403, 404, 404, 403, 204, 204, 204],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/feedback/files",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/feedback/file",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        (
            "GET",
            "courses/{course}/submissions/{submission}/feedback/zip",
            [403, 404, 404, 200, 200, 200, 200],
        ),
        // The last: who withdraws it takes it from the others.
        (
            "DELETE",
            "courses/{course}/assignments/{assignment}",
            [403, 404, 403, 403, 403, 204, 404],
        ),
    ];
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock).await;
        let mut people = vec![Program(stage.hub.client())];
        for name in ["eve", "ben", "ada", "gina", "tess", "root"] {
            people.push(Program::of(&stage, name).await);
        }
        let (ada, tess) = (&people[3], &people[5]);
        let ps1 = "courses/bio/assignments/ps1";
        let file = [("a.ipynb", "x")];
        tess.post(&format!("{ps1}/versions"), &file)
            .await
            .expect(201);
        let made = ada
            .post(&format!("{ps1}/submissions"), &file)
            .await
            .expect(201)
            .json();
        let id = made["id"].as_str().expect("an id");
        let feedback = format!("courses/bio/submissions/{id}/feedback");
        tess.send(Method::PUT, &feedback, &file).await.expect(204);
        for (method, path, expect) in TABLE {
            let mut filled = path
                .replace("{course}", "bio")
                .replace("{assignment}", "ps1");
            filled = filled
                .replace("{version}", "newest")
                .replace("{submission}", id);
            if path.ends_with("/file") {
                filled.push_str("?path=a.ipynb");
            }
            let mut told = Vec::new();
            for person in &people {
                let method: Method = method.parse().expect("a method");
                let answer = match method == Method::GET {
                    true => person.get(&filled).await,
                    false => person.send(method, &filled, &file).await,
                };
                told.push(answer.status.as_u16());
            }
            assert_eq!(told, expect, "{method} {path}");
        }
        let ours = stage
            .hub
            .routes
            .iter()
            .filter(|route| route.path.starts_with(PREFIX));
        for route in ours.clone() {
            let rest = &route.path[PREFIX.len()..];
            let is_told =
                |(method, path, _): &(&str, &str, _)| *path == rest && route.method == *method;
            assert!(
                TABLE.iter().any(is_told),
                "{} {rest} is not in the table",
                route.method
            );
        }
        assert_eq!(ours.count(), TABLE.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_it_is_in_the_apis_document() {
    let db = TestDb::sqlite().await;
    let stage = Stage::set(&db).await;
    let faults = openapi::faults(&stage.hub.routes, &[DESCRIBED]);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let served = stage
        .hub
        .client()
        .get(openapi::PATH)
        .await
        .expect(200)
        .json();
    assert_eq!(served, openapi::document(&Default::default(), &[DESCRIBED]));
    let path = format!("{PREFIX}courses/{{course}}/submissions/{{submission}}/receipt");
    assert_eq!(served["paths"][path]["get"]["operationId"], "get_receipt");
}

/// As many fields as may be, and contents larger than what is kept in memory.
#[tokio::test(flavor = "multi_thread")]
async fn large_and_many() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE));
    let stage = stage(&db, &clock).await;
    let (tess, ada) = (
        Program::of(&stage, "tess").await,
        Program::of(&stage, "ada").await,
    );
    let large = "x".repeat(1_000_000);
    let names: Vec<String> = (0..1500).map(|n| format!("d/{n}")).collect();
    let mut given: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "y")).collect();
    given.push(("large", &large));
    given.push(("back\\slash", "z"));
    let versions = "courses/bio/assignments/ps2/versions";
    let made = tess.post(versions, &given).await.expect(201).json();
    assert_eq!(made["files"], 1502);
    let zip = ada.get(&format!("{versions}/newest/zip")).await.expect(200);
    // Packed on the way.
    assert!(zip.body.len() < 500_000, "{}", zip.body.len());
    let files = unzipped(&zip);
    assert_eq!(files.as_object().map(serde_json::Map::len), Some(1502));
    assert_eq!(files["large"], large);
    assert_eq!(files["back_slash"], "z");
    let too_large = "x".repeat(4_000_000);
    refused(
        &tess.post(versions, &[("a", &too_large)]).await,
        413,
        "3145728",
    );
}

/// Whoever reads that all is well has handed in all that she sent.
#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_left_out_in_silence() {
    let db = TestDb::sqlite().await;
    let clock = Clock::manual(Millis(DUE));
    let stage = stage(&db, &clock).await;
    let (tess, ada) = (
        Program::of(&stage, "tess").await,
        Program::of(&stage, "ada").await,
    );
    let ps1 = "courses/bio/assignments/ps1";
    let given = [("ps1.ipynb", "?")];
    tess.post(&format!("{ps1}/versions"), &given)
        .await
        .expect(201);
    let submissions = format!("{PREFIX}{ps1}/submissions");
    let kind = [("content-type", "multipart/form-data; boundary=b")];
    let good = "--b\r\nContent-Disposition: form-data; name=\"a.ipynb\"\r\n\r\n1\r\n";
    for heading in [
        format!(
            "Content-Disposition: form-data; name=\"{}.ipynb\"",
            "x".repeat(1024)
        ),
        "Content-Disposition: form-data; name*=UTF-8''b.ipynb".into(),
        "Content-Disposition: form-data; filename=\"b.ipynb\"".into(),
        "Content-Disposition: form-data; name=\"b.ipynb".into(),
        "Content-Disposition: attachment; name=\"b.ipynb\"".into(),
        "Content-Type: text/plain".into(),
        String::new(),
    ] {
        let body = format!("{good}--b\r\n{heading}\r\n\r\n2\r\n{good}--b--\r\n");
        let sent = ada.0.send(Method::POST, &submissions, &kind, body.into());
        refused(&sent.await, 400, "Part 2 of the form has no name");
    }
    let told = ada.told(&format!("{ps1}/submissions")).await;
    assert_eq!(told["submissions"], json!([]));
}
