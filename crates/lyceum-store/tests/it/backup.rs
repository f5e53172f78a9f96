//! Backup and restore, within and across engines, while others write, and with bad archives.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lyceum_model::clock::Millis;
use lyceum_store::backup::{self, Progress, Summary};
use lyceum_store::migrate::{self, STEPS};
use lyceum_store::secret::Keys;
use lyceum_store::{Db, Engine, Tx, events, on, settings};
use lyceum_testkit::TestDb;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::blobs::{TestBlobs, disk};

fn quiet() -> impl FnMut(Progress) + Send {
    |_| {}
}

async fn execute(tx: &mut Tx, sql: &'static str) {
    on!(tx, |c| sqlx::raw_sql(sql).execute(c).await.map(|_| ())).unwrap();
}

async fn number(tx: &mut Tx, sql: &'static str) -> i64 {
    on!(tx, |c| sqlx::query_scalar(sql).fetch_one(c).await).unwrap()
}

/// Rows that are hard to carry over: references, nulls, flags, odd letters, large texts.
async fn fill(db: &Db) {
    let mut tx = db.write().await.unwrap();
    execute(
        &mut tx,
        "INSERT INTO users (id, name, display_name, admin, home, created_at, last_activity_at) VALUES \
         ('z', 'ada', 'Ada \"L\" O''Neill \\ \u{1f600}', TRUE, 'ada', 9223372036854775807, NULL), \
         ('a', 'bob', NULL, FALSE, 'bob', -5, 7); \
         INSERT INTO groups (id, name, created_at) VALUES ('g', 'bio', 1); \
         INSERT INTO group_members (group_id, user_id) VALUES ('g', 'z'), ('g', 'a');",
    )
    .await;
    // More than one piece of the archive.
    let long = "\u{e4}\n\"".repeat(900_000);
    settings::set(&mut tx, "long", &long, Millis(1))
        .await
        .unwrap();
    settings::set(&mut tx, "empty", "", Millis(1))
        .await
        .unwrap();
    events::publish(&mut tx, "t", "s", &json!({"a": [1, null]}), Millis(3))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn fill_blobs(test: &TestBlobs) {
    for len in [0, 5, 3_000_000] {
        test.blobs.put_bytes(&vec![b'b'; len]).await.unwrap();
    }
}

async fn save(db: &Db, blobs: &TestBlobs, keys: Option<&Keys>) -> (Summary, Vec<u8>) {
    backup::backup(db, &blobs.blobs, keys, Vec::new(), Millis(5), &mut quiet())
        .await
        .unwrap()
}

async fn restore(
    archive: &[u8],
    db: &Db,
    blobs: &TestBlobs,
    key: Option<&Path>,
) -> anyhow::Result<Summary> {
    let archive = Cursor::new(archive.to_vec());
    backup::restore(archive, db, &blobs.blobs, key, &mut quiet()).await
}

/// The entries of an archive, long ones put together again, read as any tool would.
fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let tar = zstd::decode_all(archive).unwrap();
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let name = match path.rsplit_once('/') {
            Some((folder, _)) => folder.to_owned(),
            None => path,
        };
        let content = found.entry(name).or_default();
        std::io::copy(&mut entry, content).unwrap();
    }
    found
}

/// What an archive says of tables and blobs, whichever engine it came from.
fn contents(archive: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    for (name, content) in unpack(archive) {
        if name.starts_with("tables/") || name.starts_with("blobs/") {
            let text = String::from_utf8(content).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            contents.insert(name, lines);
        }
    }
    contents
}

#[tokio::test]
async fn all_comes_back_on_either_engine() {
    for from in TestDb::both().await {
        fill(from.db()).await;
        let blobs = disk().await;
        fill_blobs(&blobs).await;
        let keys = Keys::from_bytes([9; 32]);
        let mut tx = from.db().write().await.unwrap();
        let sealed = lyceum_model::secret::Secret::new("s");
        settings::set_sealed(&mut tx, &keys, "sealed", &sealed, Millis(1))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let (summary, archive) = save(from.db(), &blobs, Some(&keys)).await;
        assert_eq!(
            (summary.blobs, summary.blob_bytes, summary.key),
            (3, 3_000_005, true)
        );

        for to in TestDb::both().await {
            let story = format!("{:?} to {:?}", from.db().engine(), to.db().engine());
            let restored = disk().await;
            let key_file = restored.folder.path().join("key");
            let done = restore(&archive, to.db(), &restored, Some(&key_file)).await;
            assert_eq!(done.expect(&story), summary, "{story}");
            let (_, again) = save(to.db(), &restored, None).await;
            assert!(contents(&again) == contents(&archive), "{story}");
            // It is a working database: keys open, numbers go on, references are watched.
            let key = Keys::load(&key_file).unwrap().unwrap();
            let mut tx = to.db().write().await.unwrap();
            let opened = settings::get_sealed(&mut tx, &key, "sealed").await.unwrap();
            assert_eq!(opened, Some(sealed.clone()), "{story}");
            events::publish(&mut tx, "t", "", &json!(null), Millis(4))
                .await
                .expect(&story);
            tx.commit().await.expect(&story);
            let mut tx = to.db().write().await.expect(&story);
            assert_eq!(events::newest(&mut tx).await.unwrap(), 2, "{story}");
            execute(&mut tx, "DELETE FROM users WHERE name = 'bob'").await;
            let members = number(&mut tx, "SELECT count(*) FROM group_members").await;
            assert_eq!(members, 1, "{story}: the foreign key cascades");
            let orphan = on!(tx, |c| sqlx::query(
                "INSERT INTO group_members (group_id, user_id) VALUES ('none', 'none')"
            )
            .execute(c)
            .await
            .map(|_| ()));
            assert!(orphan.is_err(), "{story}");
            drop(tx);
            assert_eq!(migrate::run(to.db()).await.unwrap(), 0, "{story}");
        }
    }
}

#[tokio::test]
async fn every_table_of_the_catalogue_is_in_it() {
    for test in TestDb::both().await {
        let mut tx = test.db().write().await.unwrap();
        execute(
            &mut tx,
            "CREATE TABLE \"odd \"\"name\" (id TEXT PRIMARY KEY, score DOUBLE PRECISION, flag BOOLEAN); \
             INSERT INTO \"odd \"\"name\" VALUES ('a', 0.1, TRUE), ('b', 5e-324, NULL), ('c', NULL, FALSE), \
             ('d', 123456789.12345679, TRUE);",
        )
        .await;
        tx.commit().await.unwrap();
        let (summary, archive) = save(test.db(), &disk().await, None).await;
        let mut tx = test.db().read().await.unwrap();
        let sql = match test.db().engine() {
            Engine::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table'",
            Engine::Postgres => "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'",
        };
        let tables = u64::try_from(number(&mut tx, sql).await).unwrap();
        assert_eq!(summary.tables, tables);
        assert_eq!(
            contents(&archive)["tables/odd \"name"],
            [
                "[\"a\",\"1e-1\",true]",
                "[\"b\",\"5e-324\",null]",
                "[\"c\",null,false]",
                "[\"d\",\"1.2345678912345679e8\",true]"
            ]
        );
        // A column that can't be carried over is an error, not a loss.
        drop(tx);
        let mut tx = test.db().write().await.unwrap();
        execute(&mut tx, "CREATE TABLE strange (at TIMESTAMP)").await;
        tx.commit().await.unwrap();
        let blobs = disk().await.blobs;
        let refused =
            backup::backup(test.db(), &blobs, None, Vec::new(), Millis(0), &mut quiet()).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("strange.at"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_is_one_state_while_others_write() {
    for test in TestDb::both().await {
        let blobs = Arc::new(disk().await);
        let stop = Arc::new(AtomicBool::new(false));
        // Each transaction writes the same to two tables, and a blob before.
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (db, blobs, stop) = (test.db().clone(), blobs.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut n = 0;
                    // Bounded, or a slow disk makes the restores below long.
                    while n < 120 && !stop.load(Ordering::SeqCst) {
                        let content = format!("{writer}-{n}");
                        let digest = blobs.blobs.put_bytes(content.as_bytes()).await.unwrap();
                        let mut tx = db.write().await.unwrap();
                        let name = digest.to_hex();
                        settings::set(&mut tx, &name, "", Millis(0)).await.unwrap();
                        events::publish(&mut tx, "t", &name, &json!(n), Millis(0))
                            .await
                            .unwrap();
                        tx.commit().await.unwrap();
                        n += 1;
                    }
                })
            })
            .collect();
        let mut wake_ups = test.db().wake_ups();
        for _ in 0..20 {
            events::woken(&mut wake_ups, &["t"]).await;
        }
        for _ in 0..3 {
            let (_, archive) = save(test.db(), &blobs, None).await;
            let to = TestDb::sqlite().await;
            let restored = disk().await;
            restore(&archive, to.db(), &restored, None).await.unwrap();
            let mut tx = to.db().read().await.unwrap();
            let settings = number(&mut tx, "SELECT count(*) FROM settings").await;
            let events = number(&mut tx, "SELECT count(*) FROM events").await;
            let counter = number(&mut tx, "SELECT value FROM counters").await;
            assert!(events >= 20);
            assert_eq!((settings, counter), (events, events));
            let found = events::after(&mut tx, 0, &[], u32::MAX).await.unwrap();
            for event in found {
                let digest = lyceum_model::digest::Digest::parse(&event.subject).unwrap();
                assert!(
                    restored.blobs.has(digest).await.unwrap(),
                    "a blob is missing"
                );
            }
        }
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
    }
}

async fn is_untouched(db: &Db, blobs: &TestBlobs) -> bool {
    let mut tx = db.read().await.unwrap();
    number(&mut tx, "SELECT count(*) FROM users").await == 0
        && number(&mut tx, "SELECT value FROM counters").await == 0
        && blobs.blobs.list(None, 1).await.unwrap().is_empty()
}

#[test]
fn cut_or_changed_archives_change_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (archive, targets) = runtime.block_on(async {
        let from = TestDb::sqlite().await;
        fill(from.db()).await;
        let blobs = disk().await;
        fill_blobs(&blobs).await;
        let (_, archive) = save(from.db(), &blobs, None).await;
        let mut targets = Vec::new();
        for test in TestDb::both().await {
            targets.push((test, disk().await));
        }
        (archive, targets)
    });
    let check = |bad: &[u8]| {
        for (to, blobs) in &targets {
            let error = runtime
                .block_on(restore(bad, to.db(), blobs, None))
                .unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("damaged") || error.contains("no backup"),
                "{error}"
            );
            assert!(runtime.block_on(is_untouched(to.db(), blobs)));
        }
    };
    check(b"");
    check(&archive[..archive.len() - 1]);
    check(&archive[..archive.len() - 48]);
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(60)
    });
    let places = (any::<prop::sample::Index>(), 0..8_u8, any::<bool>());
    runner
        .run(&places, |(at, bit, cut)| {
            let at = at.index(archive.len());
            let mut bad = archive.clone();
            match cut {
                true => bad.truncate(at),
                false => bad[at] ^= 1 << bit,
            }
            check(&bad);
            Ok(())
        })
        .unwrap();
    for (to, blobs) in &targets {
        runtime
            .block_on(restore(&archive, to.db(), blobs, None))
            .unwrap();
    }
}

/// Packs entries anew with a right digest at the end: an archive that was made wrong on purpose.
fn forge(archive: &[u8], change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let tar = zstd::decode_all(archive).unwrap();
    let mut out = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        if let Some(content) = change(&path, content) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            out.append_data(&mut header, path, content.as_slice())
                .unwrap();
        }
    }
    let mut packed = out.into_inner().unwrap().finish().unwrap();
    let digest = blake3::hash(&packed);
    packed.extend_from_slice(b"\x5e\x2a\x4d\x18\x28\x00\x00\x00lyceum01");
    packed.extend_from_slice(digest.as_bytes());
    packed
}

fn replace(content: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(content.to_vec()).unwrap();
    assert!(text.contains(from), "{from}");
    text.replace(from, to).into_bytes()
}

#[tokio::test]
async fn archives_that_contradict_themselves_or_this_program_are_refused() {
    let from = TestDb::sqlite().await;
    fill(from.db()).await;
    let (_, archive) = save(from.db(), &disk().await, None).await;
    type Change = fn(&str, Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&str, Change); 7] = [
        ("manifest says", |path, content| match path {
            "tables/users/000000" => Some(replace(&content, "\"bob\"", "\"eve\"")),
            _ => Some(content),
        }),
        ("where it should be", |path, content| {
            (path != "tables/groups/000000").then_some(content)
        }),
        ("where manifest.json should be", |path, content| {
            (path != "manifest.json").then_some(content)
        }),
        ("newer Lyceum (format 2", |path, content| match path {
            "header.json" => Some(replace(&content, "\"format\": 1", "\"format\": 2")),
            _ => Some(content),
        }),
        ("another line of Lyceum", |path, content| match path {
            "header.json" => Some(replace(&content, &STEPS[1].digest(), "0")),
            _ => Some(content),
        }),
        (
            "newer Lyceum (database version 99",
            |path, content| match path {
                "header.json" => Some(replace(
                    &content,
                    "\"schema\": [",
                    &format!(
                        "\"schema\": [{}",
                        "{\"version\": 99, \"name\": \"x\", \"digest\": \"x\"},"
                            .repeat(STEPS.len())
                    ),
                ))
                .map(|content| {
                    // The last one counts.
                    let mut header: serde_json::Value = serde_json::from_slice(&content).unwrap();
                    header["schema"].as_array_mut().unwrap().reverse();
                    serde_json::to_vec(&header).unwrap()
                }),
                _ => Some(content),
            },
        ),
        (
            "refer to rows that it does not have",
            |path, content| match path {
                "tables/users/000000" => Some(Vec::new()),
                "manifest.json" => {
                    let mut manifest: serde_json::Value = serde_json::from_slice(&content).unwrap();
                    for table in manifest["tables"].as_array_mut().unwrap() {
                        if table["name"] == "users" {
                            table["rows"] = json!(0);
                            table["digest"] = json!(blake3::hash(b"").to_hex().as_str());
                        }
                    }
                    Some(serde_json::to_vec(&manifest).unwrap())
                }
                _ => Some(content),
            },
        ),
    ];
    for to in TestDb::both().await {
        let blobs = disk().await;
        for (expect, change) in cases {
            let bad = forge(&archive, change);
            let error = restore(&bad, to.db(), &blobs, None).await.unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(expect), "{expect}: {error}");
            assert!(is_untouched(to.db(), &blobs).await, "{expect}");
        }
        let same = forge(&archive, |_, content| Some(content));
        restore(&same, to.db(), &blobs, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_with_rows_is_refused() {
    let from = TestDb::sqlite().await;
    fill(from.db()).await;
    let (_, archive) = save(from.db(), &disk().await, None).await;
    for to in TestDb::both().await {
        let mut tx = to.db().write().await.unwrap();
        settings::set(&mut tx, "mine", "1", Millis(1))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let error = restore(&archive, to.db(), &disk().await, None)
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("not empty: there are rows in settings"),
            "{error}"
        );
        let mut tx = to.db().read().await.unwrap();
        assert_eq!(number(&mut tx, "SELECT count(*) FROM settings").await, 1);
    }
}

#[tokio::test]
async fn another_key_is_never_overwritten() {
    let from = TestDb::sqlite().await;
    let keys = Keys::from_bytes([1; 32]);
    let (_, archive) = save(from.db(), &disk().await, Some(&keys)).await;
    let to = TestDb::sqlite().await;
    let blobs = disk().await;
    let path = blobs.folder.path().join("key");
    let mine = Keys::load_or_create(&path).unwrap();
    let error = restore(&archive, to.db(), &blobs, Some(&path))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another key"), "{error}");
    assert_eq!(Keys::load(&path).unwrap().unwrap().id(), mine.id());
    std::fs::write(&path, [1; 32]).unwrap();
    restore(&archive, to.db(), &blobs, Some(&path))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_older_backup_goes_through_the_later_migrations() {
    for from in TestDb::both_empty().await {
        let steps = &STEPS[..STEPS.len() - 1];
        migrate::run_steps(from.db(), steps).await.unwrap();
        let mut tx = from.db().write().await.unwrap();
        settings::set(&mut tx, "old", "1", Millis(1)).await.unwrap();
        tx.commit().await.unwrap();
        let (_, archive) = save(from.db(), &disk().await, None).await;
        for to in TestDb::both().await {
            restore(&archive, to.db(), &disk().await, None)
                .await
                .unwrap();
            assert_eq!(migrate::run(to.db()).await.unwrap(), 0);
            let (_, again) = save(to.db(), &disk().await, None).await;
            let (_, fresh) = save(TestDb::sqlite().await.db(), &disk().await, None).await;
            let names = |archive: &[u8]| contents(archive).into_keys().collect::<Vec<_>>();
            assert_eq!(names(&again), names(&fresh));
            let mut tx = to.db().read().await.unwrap();
            assert_eq!(settings::get(&mut tx, "old").await.unwrap().unwrap(), "1");
        }
    }
}
