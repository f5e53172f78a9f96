//! A bucket for the stories of blobs, on a server that speaks like S3 (`blobs/s3.rs` says how).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use lyceum_model::secret::Secret;
use lyceum_store::blobs::{Blobs, S3, S3Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::blobs::TestBlobs;

/// A shell that ends the server when the test process ends, whichever way.
const SHELL: &str = r#""$1" -H 127.0.0.1 -p 0 2>&1 & server=$!
cat >/dev/null
kill "$server""#;

struct Moto {
    _shell: Mutex<Child>,
    address: String,
}

fn moto() -> &'static Moto {
    static MOTO: OnceLock<Moto> = OnceLock::new();
    MOTO.get_or_init(|| {
        let program = std::env::var("LYCEUM_TEST_MOTO")
            .expect("LYCEUM_TEST_MOTO names moto_server (pip install 'moto[server]')");
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SHELL, "sh", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        // " * Running on http://127.0.0.1:41234"
        let address = lines
            .find_map(|line| Some(line.split_once("http://")?.1.trim().to_owned()))
            .expect("moto says where it listens");
        // What it says later is read, or it would stop when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Moto {
            _shell: Mutex::new(shell),
            address,
        }
    })
}

pub(crate) async fn bucket() -> TestBlobs {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let address = &tokio::task::spawn_blocking(moto).await.unwrap().address;
    let bucket = format!("bucket-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "PUT /{bucket} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    let options = S3Options {
        bucket,
        prefix: "some/where".into(),
        region: Some("us-east-1".into()),
        endpoint: Some(format!("http://{address}")),
        access_key_id: Some("id".into()),
        secret_access_key: Some(Secret::new("secret")),
        allow_http: true,
        spool: Some(folder.path().join("tmp")),
    };
    let blobs = Blobs::S3(S3::open(&options).unwrap());
    TestBlobs { blobs, folder }
}

#[tokio::test]
async fn large_blobs_go_in_parts() {
    let test = bucket().await;
    // Does not compress, so it is more than two parts of 8 MiB.
    let mut content = vec![0; 20_000_000];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    let digest = test.blobs.put_bytes(&content).await.unwrap();
    let read = test.blobs.get_bytes(digest, u64::MAX).await.unwrap();
    assert!(read == content);
}
