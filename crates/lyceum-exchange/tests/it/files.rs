//! Files on their way in and out: what is refused, how they are sent, how large they may be.

use std::time::Duration;

use lyceum_exchange::{Limits, Space};
use lyceum_model::clock::Clock;
use lyceum_testkit::TestDb;
use lyceum_testkit::client::Answer;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::kit::{Asker, BODY_MAX, FORM, Stage, files, refused};

const HW: &str = "submission/bio/hw";

async fn stage(db: &TestDb) -> (Stage, Asker, Asker) {
    let stage = Stage::with_course(db).await;
    let (tess, ada) = (stage.asks("tess").await, stage.asks("ada").await);
    tess.post_files("assignment/bio/hw", &[]).await.expect(200);
    (stage, tess, ada)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing() {
    for db in TestDb::both().await {
        let (_stage, tess, ada) = stage(&db).await;
        let send = async |text: &str| -> Answer { ada.post(HW, &[("files", text)]).await };
        let no_json = "Files cannot be JSON decoded";
        for text in [
            "",
            "x",
            "{}",
            "null",
            "[1]",
            "[{}]",
            r#"[{"path":"a"}]"#,
            "[[",
        ] {
            refused(&send(text).await, 400, no_json);
        }
        let good = ("good", "x");
        for path in [
            "",
            "/",
            "/etc/passwd",
            ".",
            "..",
            "../x",
            "a/../../x",
            "a/./b",
            "a/",
            "a//b",
            "a\0b",
            "a\nb",
        ] {
            refused(
                &send(&files(&[good, (path, "")])).await,
                400,
                "Illegal path",
            );
        }
        for (one, other) in [("a", "a"), ("a", "a/b"), ("\u{e4}", "a\u{308}")] {
            let both = files(&[(one, ""), (other, "")]);
            refused(&send(&both).await, 400, "Illegal path");
        }
        for content in ["a", "!", "aGVsbG8", "aGVsbG8=x"] {
            let text = json!([{ "path": "a", "content": content }]).to_string();
            refused(&send(&text).await, 400, "Content cannot be base64 decoded");
        }
        let many: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|path| (path.as_str(), "")).collect();
        let answer = send(&files(&many)).await;
        refused(&answer, 400, "Too many files; at most 10000 are taken");
        let none = json!({ "submissions": [] });
        assert_eq!(tess.told("submissions/bio/hw").await, none);

        let legal = ["..a", "A", "a", "a\\b", "d/?#%", "\u{e4}.ipynb"];
        ada.submit(HW, &legal.map(|path| (path, path))).await;
        let expect = legal.map(|path| (path.to_owned(), path.to_owned()));
        assert_eq!(tess.files("submission/bio/hw/ada").await, expect);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_both_kinds_and_nothing_else() {
    let db = TestDb::sqlite().await;
    let (_stage, tess, ada) = stage(&db).await;
    let text = files(&[("a", "by parts")]);
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nada\r\n\
         --b\r\nContent-Disposition: form-data; name=\"files\"\r\n\r\n{text}\r\n--b--\r\n"
    );
    let kind = "multipart/form-data; boundary=b";
    ada.post_body(HW, kind, body.clone().into())
        .await
        .expect(200);
    let collected = tess.files("submission/bio/hw/ada").await;
    assert_eq!(collected, [("a".to_owned(), "by parts".to_owned())]);
    let broken = ada
        .post_body(HW, kind, body.replace("--b--", "").into())
        .await;
    refused(&broken, 400, "The body is not what its content type says");
    let as_json = json!({ "files": text }).to_string();
    for kind in ["application/json", "text/plain", "multipart/form-data"] {
        let answer = ada.post_body(HW, kind, as_json.clone().into()).await;
        refused(&answer, 400, "Please supply files");
    }
    // The last one counts, as it does there.
    let twice = [
        ("files", files(&[("a", "1")])),
        ("files", files(&[("b", "2")])),
    ];
    let twice = [
        ("files", twice[0].1.as_str()),
        ("files", twice[1].1.as_str()),
    ];
    ada.post(HW, &twice).await.expect(200);
    let collected = tess.files("submission/bio/hw/ada").await;
    assert_eq!(collected, [("b".to_owned(), "2".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_many() {
    for db in TestDb::both().await {
        let (stage, tess, ada) = stage(&db).await;
        // Larger than what goes to the disk in one piece; contents that are alike are kept once.
        let large = "0123456789abcdef".repeat(50_000);
        let given = [
            ("a", "small"),
            ("large", large.as_str()),
            ("same", large.as_str()),
            ("z", "small"),
        ];
        ada.submit(HW, &given).await;
        let got = tess.files("submission/bio/hw/ada").await;
        let expect = given.map(|(path, content)| (path.to_owned(), content.to_owned()));
        assert!(got == expect, "other files came back");
        assert_eq!(blobs(&stage), 2);
        let many: Vec<(String, String)> = (0..2000)
            .map(|n| (format!("d/{n:04}"), n.to_string()))
            .collect();
        let sent: Vec<(&str, &str)> = many
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        ada.submit(HW, &sent).await;
        assert_eq!(tess.files("submission/bio/hw/ada").await, many);
        let before = blobs(&stage);
        ada.submit(HW, &sent).await;
        assert_eq!(blobs(&stage), before);

        let most = usize::try_from(BODY_MAX).expect("a small number");
        let over = format!("files={}", "a".repeat(most));
        let answer = ada.post_body(HW, FORM, over.into()).await;
        let words = format!("The request is larger than the {BODY_MAX} bytes that are allowed");
        refused(&answer, 413, &words);
        let fits = format!("files={}", "a".repeat(most - 6));
        let answer = ada.post_body(HW, FORM, fits.into()).await;
        refused(&answer, 400, "Files cannot be JSON decoded");
    }
}

/// The database was restored, and the blobs were not.
#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_known_but_lost_is_written_again() {
    let db = TestDb::sqlite().await;
    let (stage, tess, ada) = stage(&db).await;
    ada.submit(HW, &[("a", "work")]).await;
    let blob = lyceum_model::digest::Digest::of(b"work");
    let blobs = stage.exchange.blobs();
    assert!(blobs.delete(blob).await.expect("deleted"));
    ada.submit(HW, &[("b", "work")]).await;
    assert!(blobs.has(blob).await.expect("looked"));
    let got = tess.files("submission/bio/hw/ada").await;
    assert_eq!(got, [("b".to_owned(), "work".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_no_files() {
    let db = TestDb::sqlite().await;
    let short = |_: &std::path::Path| {
        let (free, total) = (1 << 20, 1 << 40);
        Some(Space { free, total })
    };
    let stage = Stage::set_with(&db, Clock::system(), Limits::default(), short).await;
    stage.make_course().await;
    let tess = stage.asks("tess").await;
    let answer = tess.post_files("assignment/bio/hw", &[("a", "x")]).await;
    let words = "There is no room for more files at the moment; tell those who run this site";
    refused(&answer, 503, words);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(blobs(&stage), 0);
}

/// Whoever stops in the middle of a large file leaves nothing of it, and is told in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_cut_off() {
    let db = TestDb::sqlite().await;
    let limits = Limits {
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let stage = Stage::set_with(&db, Clock::system(), limits, |_| None).await;
    stage.make_course().await;
    let tess = stage.asks("tess").await;
    tess.post_files("assignment/bio/hw", &[]).await.expect(200);
    let token = stage.hub.token("ada").await;
    let whole = format!("files={}", files(&[("a", &"x".repeat(1_000_000))]));
    let mut stream = tokio::net::TcpStream::connect(stage.hub.address())
        .await
        .expect("connected");
    let head = format!(
        "POST /services/ngshare/{HW} HTTP/1.1\r\nHost: {}\r\nAuthorization: token {token}\r\n\
         Content-Type: {FORM}\r\nContent-Length: {}\r\n\r\n",
        stage.hub.address(),
        whole.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let some = &whole.as_bytes()[..whole.len() - 1000];
    stream.write_all(some).await.expect("sent");
    let mut answer = Vec::new();
    while memchr::memmem::find(&answer, b"}").is_none() {
        let read = stream.read_buf(&mut answer).await.expect("read");
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let words = r#"{"message":"The request took too long","success":false}"#;
    assert!(answer.ends_with(words), "{answer}");
    // Its writer ends by itself, soon after.
    let nothing_left = async {
        while blobs(&stage) > 0 {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), nothing_left).await;
    assert!(ended.is_ok(), "half a file is kept");
}

/// Fields that nobody asks for are read over, and those that are asked for have an end.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_is_kept() {
    let db = TestDb::sqlite().await;
    let (stage, tess, ada) = stage(&db).await;
    let long = "x".repeat(1_000_000);
    let some = files(&[("a", "x")]);
    let given = [("user", long.as_str()), ("files", some.as_str())];
    ada.post(HW, &given).await.expect(200);
    let names = [
        ("first_name", long.as_str()),
        ("last_name", ""),
        ("email", ""),
    ];
    let answer = tess.post("student/bio/eve", &names).await;
    let words = "The field first_name is longer than the 4096 bytes that are allowed";
    refused(&answer, 413, words);
    // Files too, where none are asked for.
    let other = files(&[("a", "never seen before")]);
    let [first, last, email] = crate::kit::NAMELESS;
    let before = blobs(&stage);
    let given = [first, last, email, ("files", other.as_str())];
    tess.post("student/bio/eve", &given).await.expect(200);
    assert_eq!(blobs(&stage), before);
}

/// Elsewhere the hub takes no more than before.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_taken_here_alone() {
    let db = TestDb::sqlite().await;
    let (_stage, _, ada) = stage(&db).await;
    let large = json!({ "note": "x".repeat(400_000) });
    let answer = ada.0.post_json("/hub/api/users/ada/tokens", &large).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
}

fn blobs(stage: &Stage) -> usize {
    let mut count = 0;
    let mut folders = vec![stage.blob_folder()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => count += 1,
            }
        }
    }
    count
}
