//! All of one person: given to her, or forgotten.

use std::io::{Cursor, Read};
use std::time::Duration;

use lyceum_exchange::{archive, collect, db, person, removal};
use lyceum_model::digest::Digest;
use lyceum_model::name::UserName;
use lyceum_store::on;
use lyceum_testkit::TestDb;
use serde_json::{Value, json};

use crate::kit::{Stage, done, files};

const PSEUDONYM: &str = "erased:0123456789ab";

fn name(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

async fn faults(stage: &Stage, db: &TestDb) -> Vec<String> {
    let mut faults = Vec::new();
    let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
    let (blobs, signer) = (stage.exchange.blobs(), stage.exchange.signer());
    let counts = lyceum_exchange::verify::verify(db.db(), blobs, signer, tell).await;
    counts.expect("looked");
    faults
}

async fn run(db: &TestDb, sql: &'static str) {
    let mut tx = db.db().write().await.expect("a transaction");
    on!(tx, |c| sqlx::raw_sql(sql).execute(c).await.map(|_| ())).expect("done");
    tx.commit().await.expect("written");
}

async fn count(db: &TestDb, sql: &'static str) -> i64 {
    let mut tx = db.db().read().await.expect("a transaction");
    on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).expect("counted")
}

async fn erase(stage: &Stage, db: &TestDb, who: &str, with_files: bool) -> person::Counts {
    let mut tx = db.db().write().await.expect("a transaction");
    let (signer, now) = (stage.exchange.signer(), stage.exchange.now());
    let erased = person::erase(&mut tx, signer, &name(who), PSEUDONYM, with_files, now).await;
    tx.commit().await.expect("written");
    erased.expect("erased")
}

/// Ada and ben hand in in `bio`, where tess teaches; ada teaches `zoo`, where ben hands in.
async fn busy(db: &TestDb) -> Stage {
    let stage = Stage::with_course(db).await;
    let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
    let (ada, ben) = (stage.asks("ada").await, stage.asks("ben").await);
    tess.post_files("assignment/bio/hw", &[("q", "?")])
        .await
        .expect(200);
    let first = [("a", "of ada"), ("q", "?")];
    let at = ada.submit("submission/bio/hw", &first).await;
    ben.submit("submission/bio/hw", &[("b", "of ben")]).await;
    ada.submit("submission/bio/hw", &[("a/B c", "shared")])
        .await;
    ben.submit("submission/bio/hw", &[("b", "shared")]).await;
    let given = files(&[("f.html", "well done, ada")]);
    let fields = [("timestamp", &*at), ("files", &*given)];
    tess.post("feedback/bio/hw/ada", &fields).await.expect(200);
    done(
        &root
            .post("course/zoo", &[("instructors", r#"["ada"]"#)])
            .await,
    );
    let student = [
        ("first_name", "Ben"),
        ("last_name", "B"),
        ("email", "ben@x"),
    ];
    ada.post("student/zoo/ben", &student).await.expect(200);
    ada.post_files("assignment/zoo/hw", &[]).await.expect(200);
    let at = ben.submit("submission/zoo/hw", &[("z", "1")]).await;
    let fields = [("timestamp", &*at), ("files", "[]")];
    ada.post("feedback/zoo/hw/ben", &fields).await.expect(200);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_named_nowhere_and_the_chain_is_whole() {
    for db in TestDb::both().await {
        let stage = busy(&db).await;
        let (tess, ben) = (stage.asks("tess").await, stage.asks("ben").await);
        let counts = erase(&stage, &db, "ada", true).await;
        assert_eq!(counts.submissions, 2);
        assert_eq!(faults(&stage, &db).await, Vec::<String>::new());
        let named = "SELECT (SELECT COUNT(*) FROM exchange_submissions WHERE student = 'ada' OR receipt LIKE '%student: ada%') \
             + (SELECT COUNT(*) FROM exchange_people WHERE name = 'ada') \
             + (SELECT COUNT(*) FROM exchange_feedback WHERE given_by = 'ada') \
             + (SELECT COUNT(*) FROM exchange_versions WHERE released_by = 'ada')";
        assert_eq!(count(&db, named).await, 0);
        let bytes = "SELECT bytes FROM exchange_courses WHERE name = 'bio'";
        assert_eq!(count(&db, bytes).await, 12);

        // Nothing of it can be changed, and the next receipts follow.
        ben.submit("submission/bio/hw", &[("b", "next")]).await;
        assert_eq!(faults(&stage, &db).await, Vec::<String>::new());
        for (change, back) in [
            (
                "UPDATE exchange_submissions SET student = 'ben' WHERE number = 3 AND student LIKE 'erased:%'",
                "UPDATE exchange_submissions SET student = 'erased:0123456789ab' WHERE number = 3 AND student = 'ben'",
            ),
            (
                "UPDATE exchange_submissions SET at = at + 1 WHERE student LIKE 'erased:%'",
                "UPDATE exchange_submissions SET at = at - 1 WHERE student LIKE 'erased:%'",
            ),
            (
                "UPDATE exchange_submissions SET receipt_digest = 'x' || receipt_digest WHERE student LIKE 'erased:%'",
                "UPDATE exchange_submissions SET receipt_digest = SUBSTR(receipt_digest, 2) WHERE student LIKE 'erased:%'",
            ),
        ] {
            run(&db, change).await;
            assert!(!faults(&stage, &db).await.is_empty(), "{change}");
            run(&db, back).await;
            assert_eq!(faults(&stage, &db).await, Vec::<String>::new());
        }

        // What only she had goes.
        let blobs = stage.exchange.blobs();
        let gone = collect::collect(db.db(), blobs, Duration::ZERO).await;
        assert_eq!(gone.expect("collected").files, 2);
        let has = async |text: &str| blobs.has(Digest::of(text.as_bytes())).await.expect("asked");
        assert!(!has("of ada").await && !has("well done, ada").await);
        assert!(has("shared").await && has("?").await);
        let kept = tess.files("submission/bio/hw/ben").await;
        assert_eq!(kept, [("b".to_owned(), "next".to_owned())]);
        assert_eq!(faults(&stage, &db).await, Vec::<String>::new());

        // Nobody is there to be erased any more.
        assert_eq!(erase(&stage, &db, "ada", true).await.submissions, 0);
        // An archive has the pseudonym, too.
        let mut tx = db.db().read().await.expect("a transaction");
        let course = db::removal::courses(&mut tx, "bio").await.expect("listed");
        drop(tx);
        let (id, now) = (&course[0].id, stage.exchange.now());
        removal::mark(db.db(), id, now).await.expect("marked");
        let folder = tempfile::tempdir().expect("a folder");
        let signer = stage.exchange.signer();
        let archived = removal::archive(db.db(), blobs, signer, id, folder.path(), now).await;
        let (file, written) = archived.expect("archived");
        assert_eq!(written.submissions, 5);
        let packed = std::fs::File::open(file).expect("opened");
        let counts = archive::verify(packed, signer, |fault| panic!("{fault}"));
        assert_eq!(counts.expect("read").receipts, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_who_is_erased_may_stay() {
    for db in TestDb::both().await {
        let stage = busy(&db).await;
        erase(&stage, &db, "ada", false).await;
        let gone = collect::collect(db.db(), stage.exchange.blobs(), Duration::ZERO).await;
        assert_eq!(gone.expect("collected").files, 0);
        assert_eq!(faults(&stage, &db).await, Vec::<String>::new());
        let mut tx = db.db().read().await.expect("a transaction");
        let kept = db::person::submissions(&mut tx, PSEUDONYM).await;
        let kept = kept.expect("read");
        assert_eq!(kept.len(), 2);
        let files = db::trees::get(&mut tx, &kept[0].tree).await.expect("read");
        assert_eq!(files.len(), 2);
        assert!(kept[0].feedback.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_gets_all_that_is_hers_and_nothing_else() {
    for db in TestDb::both().await {
        let stage = busy(&db).await;
        let blobs = stage.exchange.blobs();
        let others = vec![("account.json".to_owned(), json!({ "name": "ada" }))];
        let out = Cursor::new(Vec::new());
        let exported = person::export(db.db(), blobs, &name("ada"), others, out).await;
        let (counts, out) = exported.expect("written");
        assert_eq!((counts.submissions, counts.files), (2, 4));
        let mut zip = zip::ZipArchive::new(out).expect("a zip");
        let mut names: Vec<String> = zip
            .file_names()
            .map(|name| name.expect("a name").into_owned())
            .collect();
        names.sort();
        let expect = [
            "account.json",
            "exchange.json",
            "files/bio/hw/1 feedback/f.html",
            "files/bio/hw/1/a",
            "files/bio/hw/1/q",
            "files/bio/hw/3/a/B c",
        ];
        assert_eq!(names, expect);
        let mut read = |name: &str| {
            let mut text = String::new();
            let mut file = zip.by_name(name).expect("there");
            file.read_to_string(&mut text).expect("read");
            text
        };
        assert_eq!(read("files/bio/hw/1/a"), "of ada");
        assert_eq!(read("files/bio/hw/1 feedback/f.html"), "well done, ada");
        let told: Value = serde_json::from_str(&read("exchange.json")).expect("JSON");
        assert_eq!(told["submissions"].as_array().expect("a list").len(), 2);
        assert_eq!(told["courses"][1]["role"], "instructor");
        assert_eq!(told["feedback_given"], 1);
        let receipt = told["submissions"][0]["receipt"].as_str().expect("text");
        assert!(receipt.contains("student: ada\n"), "{receipt}");
        assert!(!told.to_string().contains("ben@x"));

        // What is damaged keeps nothing else from her, and is named.
        let deleted = blobs.delete(Digest::of(b"of ada")).await;
        assert!(deleted.expect("deleted"));
        let out = Cursor::new(Vec::new());
        let exported = person::export(db.db(), blobs, &name("ada"), Vec::new(), out).await;
        let (counts, out) = exported.expect("written");
        assert_eq!((counts.files, counts.unread), (3, 1));
        let mut zip = zip::ZipArchive::new(out).expect("a zip");
        assert!(zip.by_name("files/bio/hw/1/a").is_err());
        let unread: Value =
            serde_json::from_reader(zip.by_name("unread.json").expect("there")).expect("JSON");
        assert_eq!(unread[0]["name"], "files/bio/hw/1/a");
    }
}
