//! What course files say of assignments, held against the server's time and what comes.

use hyper::Method;
use lyceum_exchange::course::Course;
use lyceum_exchange::db as tables;
use lyceum_exchange::names::Name;
use lyceum_exchange::people::Standing;
use lyceum_exchange::rules::{Author, NotTaken};
use lyceum_exchange::submissions::hand_in;
use lyceum_exchange::tree::Tree;
use lyceum_exchange::verify::verify;
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::digest::Digest;
use lyceum_model::name::UserName;
use lyceum_store::on;
use lyceum_testkit::TestDb;
use serde_json::json;

use crate::kit::{FORM, Stage, done, files, refused};

const PS: &str = "submission/bio/ps1";
/// 9 o'clock in Berlin on 22 November 2026.
const DUE: i64 = 1_795_334_400_000;
const MINUTE: i64 = 60_000;
const PEOPLE: &str = "title: Biology
people:
  teachers: [tess]
  students: [ada, ben, eve]
  labels: {extra-time: [ben]}
";

/// With the course's rules of `ps1`, which is released.
async fn stage(db: &TestDb, clock: &Clock, rules: &str) -> Stage {
    let stage = Stage::set_at(db, clock.clone()).await;
    stage.write_course("bio", &course(rules));
    let tess = stage.asks("tess").await;
    let given = [("ps1.ipynb", "?"), ("helper.py", "def help(): pass")];
    done(&tess.post_files("assignment/bio/ps1", &given).await);
    stage
}

fn course(rules: &str) -> String {
    format!("{PEOPLE}assignments:\n  ps1: {rules}\n")
}

/// Who handed in, when it was due for her, and how late she was.
async fn rows(db: &TestDb) -> Vec<(String, Option<i64>, Option<i64>)> {
    let mut tx = db.db().read().await.expect("a transaction");
    on!(&mut tx, |c| sqlx::query_as(
        "SELECT student, due, late FROM exchange_submissions ORDER BY number"
    )
    .fetch_all(c)
    .await)
    .expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_time_late_and_not_at_all() {
    const RULES: &str = "{due: 2026-11-22 09:00, grace: 5m, late: {until: 1h}, extend: {extra-time: 1d, eve: 2026-11-22 11:00}}";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock, RULES).await;
        let (tess, ada, ben, eve) = (
            stage.asks("tess").await,
            stage.asks("ada").await,
            stage.asks("ben").await,
            stage.asks("eve").await,
        );
        let late = async |expect: i64| {
            ada.submit(PS, &[("ps1.ipynb", "!")]).await;
            let expect = ("ada".to_owned(), Some(DUE), Some(expect));
            assert_eq!(rows(&db).await.last(), Some(&expect));
        };
        late(0).await;
        clock.advance(5 * MINUTE);
        late(0).await;
        clock.advance(1);
        late(301).await;
        clock.advance(55 * MINUTE - 1);
        late(3600).await;
        clock.advance(1);
        let closed = "This assignment could be handed in until 2026-11-22 10:00 CET; nothing is taken any more";
        refused(&ada.post_files(PS, &[]).await, 403, closed);
        // Whatever it is: nobody sends a hundred megabytes for nothing, and reads why.
        let large = files(&[("a", &"x".repeat(1024 * 1024))]);
        let body = format!("files={}", large.replace('+', "%2B"));
        refused(&ada.post_body(PS, FORM, body.into()).await, 403, closed);
        let count = rows(&db).await.len();
        assert_eq!(count, 4);

        ben.submit(PS, &[]).await;
        eve.submit(PS, &[]).await;
        // Who teaches tries when she likes.
        tess.submit(PS, &[]).await;
        clock.advance(2 * 60 * MINUTE);
        refused(
            &eve.post_files(PS, &[]).await,
            403,
            "This assignment could be handed in until 2026-11-22 12:00 CET; nothing is taken any more",
        );
        let own = |name: &str, due: i64, late: i64| (name.to_owned(), Some(due), Some(late));
        let expect = [
            own("ben", DUE + 24 * 60 * MINUTE, 0),
            own("eve", DUE + 120 * MINUTE, 0),
            own("tess", DUE, 3601),
        ];
        assert_eq!(rows(&db).await[count..], expect);

        // Another deadline is for what comes from now on.
        let before = rows(&db).await;
        stage.write_course("bio", &course("{due: 2026-11-22 15:00}"));
        assert_eq!(rows(&db).await, before);
        ada.submit(PS, &[]).await;
        let expect = own("ada", DUE + 6 * 60 * MINUTE, 0);
        assert_eq!(rows(&db).await.last(), Some(&expect));
        stage.write_course("bio", PEOPLE);
        ada.submit(PS, &[]).await;
        assert_eq!(rows(&db).await.last(), Some(&("ada".into(), None, None)));

        let mut faults = Vec::new();
        let signer = stage.exchange.signer();
        let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
        let counts = verify(db.db(), stage.exchange.blobs(), signer, tell).await;
        assert_eq!(counts.expect("looked").receipts, 9);
        assert!(faults.is_empty(), "{faults:?}");
        let mut tx = db.db().read().await.expect("a transaction");
        let receipt: String = on!(&mut tx, |c| sqlx::query_scalar(
            "SELECT receipt FROM exchange_submissions WHERE number = 3"
        )
        .fetch_one(c)
        .await)
        .expect("read");
        let lines = "\narrived: 2026-11-22T08:05:00.001000Z\ndue: 2026-11-22T08:00:00.000000Z\nlate: 301 seconds\n";
        assert!(receipt.contains(lines), "{receipt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_it_before_it_opens() {
    const RULES: &str = "{opens: 2026-11-22 09:00, due: 2026-11-23 09:00}";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE - 1));
        let stage = stage(&db, &clock, RULES).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        let all = json!({ "assignments": ["ps1"] });
        assert_eq!(
            ada.told("assignments/bio").await,
            json!({ "assignments": [] })
        );
        assert_eq!(tess.told("assignments/bio").await, all);
        for path in [
            "assignment/bio/ps1",
            "submissions/bio/ps1/ada",
            "feedback/bio/ps1/ada",
        ] {
            refused(&ada.get(path).await, 404, "Assignment not found");
        }
        refused(&ada.post_files(PS, &[]).await, 404, "Assignment not found");
        tess.get("assignment/bio/ps1").await.expect(200);
        tess.submit(PS, &[]).await;
        clock.advance(1);
        assert_eq!(ada.told("assignments/bio").await, all);
        ada.get("assignment/bio/ps1").await.expect(200);
        ada.submit(PS, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken() {
    const RULES: &str = "{limits: {size: 1000B, files: 3, kinds: [ipynb, csv], submissions: 2}}";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock, RULES).await;
        let (ada, tess) = (stage.asks("ada").await, stage.asks("tess").await);
        let large =
            "The files are larger than 1K together, which is the most that this assignment takes";
        let half = "x".repeat(500);
        let more = "x".repeat(501);
        let both = |second| [("a.ipynb", half.as_str()), ("b.csv", second)];
        refused(&ada.post_files(PS, &both(&more)).await, 413, large);
        let huge = "x".repeat(2_000_000);
        refused(&ada.post_files(PS, &both(&huge)).await, 413, large);
        let four = ["a.csv", "b.csv", "c.csv", "d.csv"].map(|name| (name, ""));
        refused(
            &ada.post_files(PS, &four).await,
            413,
            "These are 4 files; this assignment takes at most 3",
        );
        let kind = |path: &str| {
            format!(
                "This assignment takes no file like {path:?}, only those whose names end in .ipynb, .csv and those that were handed out"
            )
        };
        for path in ["a.py", "x/helper.py", "ipynb", "a.csv.exe"] {
            let given = [("ps1.ipynb", ""), (path, "")];
            refused(&ada.post_files(PS, &given).await, 400, &kind(path));
        }
        assert!(rows(&db).await.is_empty());
        ada.submit(PS, &both(&half)).await;
        // The folder as it was handed out, with an answer in it; also if a newer version lacks a file.
        done(&tess.delete("assignment/bio/ps1").await);
        done(&tess.post_files("assignment/bio/ps1", &[]).await);
        ada.submit(
            PS,
            &[
                ("ps1.IPYNB", "!"),
                ("helper.py", "def help(): return 1"),
                ("d/x.csv", ""),
            ],
        )
        .await;
        let often = "You have handed in this assignment 2 times; at most 2 are kept";
        refused(&ada.post_files(PS, &[]).await, 409, often);
        // Another assignment has no rules.
        done(&tess.post_files("assignment/bio/ps2", &[]).await);
        ada.submit("submission/bio/ps2", &[("a.py", &huge)]).await;
    }
}

/// `ü` is one letter in the file and two in the name that a Mac gave the folder.
#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_for_a_name_however_it_is_written() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE + MINUTE));
        let stage = Stage::set_at(&db, clock).await;
        let rules = "{due: 2026-11-22 09:00}";
        stage.write_course(
            "bio",
            &format!("{PEOPLE}assignments:\n  \u{fc}bung: {rules}\n"),
        );
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        for (name, status) in [("u%CC%88bung", 403), ("%C3%BCbung", 403), ("ubung", 200)] {
            done(
                &tess
                    .post_files(&format!("assignment/bio/{name}"), &[])
                    .await,
            );
            let given = ada.post_files(&format!("submission/bio/{name}"), &[]).await;
            assert_eq!(given.status.as_u16(), status, "{name}: {}", given.text());
        }
    }
}

/// Nobody knows until when, so nothing is taken that would have to be taken back.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_while_a_course_has_a_file_that_was_never_good() {
    for db in TestDb::both().await {
        let stage = Stage::with_course(&db).await;
        let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
        done(&tess.post_files("assignment/bio/ps1", &[("a", "?")]).await);
        ada.submit(PS, &[("a", "1")]).await;
        stage.write_course_as_it_is("bio", "title: [");
        let why = "The rules of this course can't be read just now, so nothing is taken; tell whoever teaches it";
        refused(&ada.post_files(PS, &[("a", "2")]).await, 503, why);
        assert_eq!(rows(&db).await.len(), 1);
        stage.write_course("bio", &course("{}"));
        ada.submit(PS, &[("a", "2")]).await;
    }
}

/// As many at the same time as may be, and not one more.
#[tokio::test(flavor = "multi_thread")]
async fn how_often_holds_for_all_at_once() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock, "{limits: {submissions: 1}}").await;
        let ada = stage.asks("ada").await;
        let (one, other, third) = tokio::join!(
            ada.post_files(PS, &[("a", "1")]),
            ada.post_files(PS, &[("a", "2")]),
            ada.post_files(PS, &[("a", "3")]),
        );
        let mut told = [one, other, third].map(|answer| answer.status.as_u16());
        told.sort_unstable();
        assert_eq!(told, [200, 409, 409]);
        assert_eq!(rows(&db).await.len(), 1);
    }
}

/// Whoever has sent all of it in time is in time, however long it waits for others.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_here_makes_nobody_late() {
    const RULES: &str = "{due: 2026-11-22 09:00}";
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock, RULES).await;
        let (ada, ben) = (stage.asks("ada").await, stage.asks("ben").await);
        let mut others = db.db().write().await.expect("a transaction");
        let course = tables::courses::find(&mut others, "bio")
            .await
            .expect("read");
        let course = course.expect("there").id;
        tables::courses::take_number(&mut others, &course, 0)
            .await
            .expect("taken");
        let wait = async {
            for content in ["of ada", "of ben"] {
                let blob = Digest::of(content.as_bytes());
                while !stage.exchange.blobs().has(blob).await.expect("looked") {
                    tokio::task::yield_now().await;
                }
            }
            clock.advance(MINUTE);
            drop(others);
        };
        let native = "/hub/api/lyceum/exchange/courses/bio/assignments/ps1/submissions";
        let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nof ben\r\n--b--\r\n";
        let kind = [("content-type", "multipart/form-data; boundary=b")];
        let (adas, bens, ()) = tokio::join!(
            ada.post_files(PS, &[("a", "of ada")]),
            ben.0.send(Method::POST, native, &kind, part.into()),
            wait,
        );
        adas.expect(200);
        bens.expect(201);
        let mut told = rows(&db).await;
        told.sort();
        let own = |name: &str| (name.to_owned(), Some(DUE), Some(0));
        assert_eq!(told, [own("ada"), own("ben")]);
        let mut faults = 0;
        let signer = stage.exchange.signer();
        let looked = verify(db.db(), stage.exchange.blobs(), signer, |_| faults += 1).await;
        assert_eq!((looked.expect("looked").receipts, faults), (2, 0));
        let closed = ada.post_files(PS, &[("a", "of ada")]).await;
        assert_eq!(closed.status.as_u16(), 403);
    }
}

/// What is withdrawn while somebody waits for others takes nothing; a new version is the one that counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_is_looked_at_again_when_its_turn_comes() {
    for db in TestDb::both().await {
        let clock = Clock::manual(Millis(DUE));
        let stage = stage(&db, &clock, "{}").await;
        let exchange = &stage.exchange;
        let ada = UserName::parse("ada").expect("a name");
        let author = Author {
            name: &ada,
            groups: &[],
            standing: Standing::default(),
        };
        let empty = Tree::new(Vec::new()).expect("a tree");
        let sent = (&empty, exchange.time());
        let mut tx = db.db().write().await.expect("a transaction");
        let name = Name::parse("bio").expect("a name");
        let course = Course::find(exchange, &mut tx, &name).await.expect("read");
        let mut course = course.expect("there");
        let id = course.known_id().expect("an id").to_owned();
        let old = tables::assignments::find(&mut tx, &id, "ps1").await;
        let old = old.expect("read").expect("there");
        tables::assignments::withdraw(&mut tx, &old.id, DUE)
            .await
            .expect("done");
        let taken = hand_in(exchange, &mut tx, &mut course, &old, author, sent).await;
        assert!(matches!(taken, Err(NotTaken::Withdrawn)), "{taken:?}");
        tables::assignments::renew(&mut tx, &old.id)
            .await
            .expect("done");
        let taken = hand_in(exchange, &mut tx, &mut course, &old, author, sent).await;
        assert_eq!(taken.expect("taken").version, 2);
    }
}
