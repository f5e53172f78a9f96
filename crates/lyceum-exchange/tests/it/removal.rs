//! Whether all of a course is in its archive before any of it goes, and only what was its own goes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use lyceum_exchange::archive::{self, Counts, Written};
use lyceum_exchange::receipt::Signer;
use lyceum_exchange::{collect, db, removal};
use lyceum_model::digest::Digest;
use lyceum_store::on;
use lyceum_testkit::TestDb;
use std::time::Duration;

use crate::kit::{Stage, done, files};

async fn course_id(db: &TestDb, name: &'static str) -> String {
    let mut tx = db.db().read().await.expect("a transaction");
    let courses = db::removal::courses(&mut tx, name).await.expect("listed");
    courses.last().expect("a course").id.clone()
}

async fn run(db: &TestDb, sql: &'static str) {
    let mut tx = db.db().write().await.expect("a transaction");
    on!(tx, |c| sqlx::raw_sql(sql).execute(c).await.map(|_| ())).expect("done");
    tx.commit().await.expect("written");
}

async fn archived(
    stage: &Stage,
    db: &TestDb,
    id: &str,
    to: &Path,
) -> anyhow::Result<(std::path::PathBuf, Written)> {
    let exchange = &stage.exchange;
    let (blobs, signer, now) = (exchange.blobs(), exchange.signer(), exchange.now());
    removal::archive(db.db(), blobs, signer, id, to, now).await
}

async fn purge(db: &TestDb, id: &str, written: &Written) -> bool {
    let mut tx = db.db().write().await.expect("a transaction");
    let gone = removal::purge(&mut tx, id, written).await.expect("done");
    tx.commit().await.expect("written");
    gone
}

fn look(bytes: &[u8], signer: &Signer) -> anyhow::Result<(Counts, Vec<String>)> {
    let mut faults = Vec::new();
    let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
    let counts = archive::verify(bytes, signer, tell)?;
    Ok((counts, faults))
}

/// What unpacks of it below these folders.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut tar = tar::Archive::new(zstd::Decoder::new(bytes).expect("zstd"));
    let mut contents: BTreeMap<String, String> = BTreeMap::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let name = entry
            .path()
            .expect("a path")
            .to_str()
            .expect("text")
            .to_owned();
        let content = match entry.link_name().expect("a link") {
            Some(to) => contents[to.to_str().expect("text")].clone(),
            None => {
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("read");
                text
            }
        };
        contents.insert(name, content);
    }
    contents.retain(|name, _| name.contains('/') && !name.starts_with("contents/"));
    contents
}

async fn bio_and_zoo(db: &TestDb) -> Stage {
    let stage = Stage::with_course(db).await;
    let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
    let (ada, ben) = (stage.asks("ada").await, stage.asks("ben").await);
    done(
        &root
            .post("course/zoo", &[("instructors", r#"["tess", "ada"]"#)])
            .await,
    );
    tess.post_files("assignment/bio/hw", &[("q", "?")])
        .await
        .expect(200);
    tess.post_files("assignment/zoo/hw", &[("q", "?")])
        .await
        .expect(200);
    let at = ada
        .submit("submission/bio/hw", &[("a", "of ada"), ("q", "?")])
        .await;
    ben.submit("submission/bio/hw", &[("b/c d", "of ben")])
        .await;
    ada.submit("submission/bio/hw", &[("a", "shared")]).await;
    ada.submit("submission/zoo/hw", &[("z", "shared")]).await;
    let given = files(&[("f.html", "good")]);
    let fields = [("timestamp", &*at), ("files", &*given)];
    tess.post("feedback/bio/hw/ada", &fields).await.expect(200);
    tess.delete("assignment/bio/hw").await.expect(200);
    tess.post_files("assignment/bio/hw", &[("q", "??")])
        .await
        .expect(200);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_a_course_goes_into_its_archive_and_then_away() {
    for db in TestDb::both().await {
        let stage = bio_and_zoo(&db).await;
        let (root, tess) = (stage.asks("root").await, stage.asks("tess").await);
        let id = course_id(&db, "bio").await;
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("archives");
        let early = archived(&stage, &db, &id, &to).await;
        let error = early.expect_err("it is still there").to_string();
        assert!(error.contains("has to be removed before"), "{error}");

        done(&root.delete("course/bio").await);
        let (file, written) = archived(&stage, &db, &id, &to).await.expect("archived");
        assert_eq!((written.submissions, written.receipts), (3, 3));
        let names = |folder: &Path| {
            let names = fs::read_dir(folder).expect("listed");
            let names = names.map(|entry| entry.expect("an entry").path());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&to), std::slice::from_ref(&file));
        let bytes = fs::read(&file).expect("read");
        let signer = stage.exchange.signer();
        let (counts, faults) = look(&bytes, signer).expect("read");
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            (counts.course.as_str(), counts.receipts, counts.contents),
            ("bio", 3, 6)
        );
        let expect = [
            ("assignments/hw/1/q", "?"),
            ("assignments/hw/2/q", "??"),
            ("feedback/hw/ada/1/f.html", "good"),
            ("submissions/hw/ada/1/a", "of ada"),
            ("submissions/hw/ada/1/q", "?"),
            ("submissions/hw/ada/3/a", "shared"),
            ("submissions/hw/ben/2/b/c d", "of ben"),
        ];
        let expect = expect.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(unpacked(&bytes), BTreeMap::from(expect));

        // Once more does no harm, and stands beside the first, which stays as it is.
        let (second, same) = archived(&stage, &db, &id, &to).await.expect("archived");
        assert_eq!((names(&to).len(), &same), (2, &written));
        assert_ne!(second, file);
        assert_eq!(fs::read(&file).expect("read"), bytes);
        assert!(purge(&db, &id, &written).await);
        // Whoever comes later takes none of them away.
        let late = archived(&stage, &db, &id, &to).await;
        let error = late.expect_err("it is gone").to_string();
        assert!(error.contains("not there any more"), "{error}");
        assert_eq!(names(&to).len(), 2);
        assert!(!purge(&db, &id, &written).await);
        let mut tx = db.db().read().await.expect("a transaction");
        let left = db::removal::courses(&mut tx, "bio").await.expect("listed");
        assert!(left.is_empty(), "{left:?}");
        drop(tx);
        let blobs = stage.exchange.blobs();
        let gone = collect::collect(db.db(), blobs, Duration::ZERO).await;
        // What only this course had: `of ada`, `of ben`, `good`, `??`.
        assert_eq!(gone.expect("collected").files, 4);
        let has = async |text: &str| blobs.has(Digest::of(text.as_bytes())).await.expect("asked");
        assert!(has("shared").await && has("?").await && !has("of ada").await);
        let mut faults = Vec::new();
        let tell = |fault: lyceum_exchange::verify::Fault| faults.push(fault.to_string());
        let counts = lyceum_exchange::verify::verify(db.db(), blobs, signer, tell).await;
        assert_eq!(counts.expect("looked").receipts, 1);
        assert!(faults.is_empty(), "{faults:?}");
        let kept = tess.files("submission/zoo/hw/ada").await;
        assert_eq!(kept, [("z".to_owned(), "shared".to_owned())]);
        // Its name is free.
        done(&root.post("course/bio", &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_change_of_an_archive_is_found() {
    let db = TestDb::sqlite().await;
    let stage = bio_and_zoo(&db).await;
    let id = course_id(&db, "bio").await;
    removal::mark(db.db(), &id, stage.exchange.now())
        .await
        .expect("marked");
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = archived(&stage, &db, &id, folder.path())
        .await
        .expect("archived");
    let bytes = fs::read(&file).expect("read");
    let signer = stage.exchange.signer();
    let is_found = |bytes: &[u8], signer: &Signer| match look(bytes, signer) {
        Ok((_, faults)) => !faults.is_empty(),
        Err(_) => true,
    };
    assert!(!is_found(&bytes, signer));
    assert!(is_found(&bytes, &Signer::new([6; 32])));
    let whole = zstd::decode_all(&*bytes).expect("zstd");
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        // Some bits of what is packed mean nothing.
        let is_same = zstd::decode_all(&*changed).is_ok_and(|text| text == whole);
        assert!(is_same || is_found(&changed, signer), "byte {at}");
    }
    for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(is_found(&bytes[..len], signer), "{len} bytes");
    }
    // By somebody who packs it anew.
    type Change = fn(&mut String, &mut Option<String>, &mut Vec<u8>) -> bool;
    let changes: [(&str, Change); 5] = [
        ("nothing", |_, _, _| true),
        ("a name", |name, _, _| {
            *name = name.replace("feedback/hw/ada", "feedback/hw/eve");
            true
        }),
        ("a link", |name, to, _| {
            if name.starts_with("submissions/hw/ben") {
                *to = Some(format!("contents/aa/{}", Digest::of(b"x")));
            }
            true
        }),
        ("an entry less", |name, _, _| name != "people-000000.jsonl"),
        ("a person", |name, _, content| {
            if name == "people-000000.jsonl" {
                content[10] ^= 1;
            }
            true
        }),
    ];
    for (what, change) in changes {
        let changed = packed_anew(&bytes, change);
        assert_eq!(is_found(&changed, signer), what != "nothing", "{what}");
    }
}

fn packed_anew(
    bytes: &[u8],
    change: fn(&mut String, &mut Option<String>, &mut Vec<u8>) -> bool,
) -> Vec<u8> {
    let mut from = tar::Archive::new(zstd::Decoder::new(bytes).expect("zstd"));
    let mut to = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).expect("zstd"));
    for entry in from.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let mut name = entry
            .path()
            .expect("a path")
            .to_str()
            .expect("text")
            .to_owned();
        let link = entry.link_name().expect("a link");
        let mut link = link.map(|to| to.to_str().expect("text").to_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        if !change(&mut name, &mut link, &mut content) {
            continue;
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        match link {
            Some(link) => {
                header.set_entry_type(tar::EntryType::Link);
                to.append_link(&mut header, &name, &link).expect("written");
            }
            None => to
                .append_data(&mut header, &name, content.as_slice())
                .expect("written"),
        }
    }
    to.into_inner().expect("ended").finish().expect("ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_archive_stays() {
    for db in TestDb::both().await {
        let stage = bio_and_zoo(&db).await;
        let id = course_id(&db, "bio").await;
        removal::mark(db.db(), &id, stage.exchange.now())
            .await
            .expect("marked");
        let folder = tempfile::tempdir().expect("a folder");
        let (_, written) = archived(&stage, &db, &id, folder.path())
            .await
            .expect("archived");
        run(&db, "UPDATE exchange_courses SET receipts = receipts + 1").await;
        assert!(!purge(&db, &id, &written).await);
        run(&db, "UPDATE exchange_courses SET receipts = receipts - 1").await;
        // Of a course without submissions nothing else would tell.
        for (more, less) in [
            (
                "INSERT INTO exchange_people (course_id, name, role) SELECT id, 'new', 'student' FROM exchange_courses",
                "DELETE FROM exchange_people WHERE name = 'new'",
            ),
            (
                "INSERT INTO exchange_assignments (id, course_id, name, version, created_at) \
                 SELECT 'new ' || id, id, 'new', 1, 1 FROM exchange_courses",
                "DELETE FROM exchange_assignments WHERE name = 'new'",
            ),
            (
                "INSERT INTO exchange_versions (assignment_id, version, tree, released_at, released_by) \
                 SELECT id, 99, (SELECT MIN(tree) FROM exchange_trees), 1, 'tess' FROM exchange_assignments",
                "DELETE FROM exchange_versions WHERE version = 99",
            ),
        ] {
            run(&db, more).await;
            assert!(!purge(&db, &id, &written).await, "{more}");
            run(&db, less).await;
        }
        assert!(purge(&db, &id, &written).await);

        // A content that can't be read keeps all of a course.
        let id = course_id(&db, "zoo").await;
        removal::mark(db.db(), &id, stage.exchange.now())
            .await
            .expect("marked");
        let shared = Digest::of(b"shared");
        stage
            .exchange
            .blobs()
            .delete(shared)
            .await
            .expect("deleted");
        let to = folder.path().join("zoo");
        let error = archived(&stage, &db, &id, &to).await;
        let error = format!("{:#}", error.expect_err("a content is missing"));
        assert!(error.contains(&shared.to_hex()), "{error}");
        assert_eq!(fs::read_dir(&to).expect("listed").count(), 0);
    }
}

/// Whatever was acknowledged is in the archive, whoever hands in while the course is removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_races_those_who_hand_in() {
    for db in TestDb::both().await {
        let stage = Arc::new(bio_and_zoo(&db).await);
        let id = course_id(&db, "bio").await;
        let students = ["ada", "ben"].map(|name| {
            let stage = stage.clone();
            tokio::spawn(async move {
                let asker = stage.asks(name).await;
                for n in 0.. {
                    let text = format!("{name} {n}");
                    let given = [("a", &*text)];
                    let answer = asker.post_files("submission/bio/hw", &given).await;
                    match answer.status.as_u16() {
                        200 => {}
                        404 => return n,
                        _ => panic!("{}", answer.text()),
                    }
                }
                0
            })
        });
        let handed_in = async || {
            let mut tx = db.db().read().await.expect("a transaction");
            db::removal::size(&mut tx, &id).await.expect("asked").2
        };
        while handed_in().await < 20 {
            tokio::task::yield_now().await;
        }
        removal::mark(db.db(), &id, stage.exchange.now())
            .await
            .expect("marked");
        let folder = tempfile::tempdir().expect("a folder");
        let (file, written) = archived(&stage, &db, &id, folder.path())
            .await
            .expect("archived");
        assert!(purge(&db, &id, &written).await);
        let mut acknowledged = 3;
        for student in students {
            acknowledged += student.await.expect("handed in");
        }
        assert_eq!(written.submissions, acknowledged);
        let signer = stage.exchange.signer();
        let read = File::open(file).expect("opened");
        let counts = archive::verify(read, signer, |fault| panic!("{fault}"));
        assert_eq!(counts.expect("read").receipts, acknowledged);
    }
}
