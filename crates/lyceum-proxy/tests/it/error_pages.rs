//! Error pages from elsewhere: a server that is asked for them, and files in a folder.

use std::{path::PathBuf, time::Duration};

use lyceum_proxy::{Config, ErrorPages};
use tokio::io::AsyncReadExt;

use crate::{
    drop_in::DropIn,
    support::{Server, dead_address},
};

fn asking(target: impl std::fmt::Display) -> Config {
    Config {
        error_pages: ErrorPages {
            target: Some(target.to_string().parse().unwrap()),
            ..ErrorPages::default()
        },
        ..Config::default()
    }
}

#[tokio::test]
async fn a_server_is_asked_with_the_code_and_the_address() {
    let pages = Server::answer_with(
        &b"HTTP/1.1 200 OK\r\nContent-Type: text/x-page\r\nContent-Encoding: x-odd\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\npage"[..],
    )
    .await;
    let it = DropIn::start(asking(format!("http://{}/hub/error", pages.address))).await;
    it.put("/dead", dead_address().await).await;
    let answer = it
        .get("/nowhere/a%20b?q=1&r='", "Cookie: secret=1\r\n")
        .await;
    // The status is the proxy's, two headers and the body are the server's.
    assert_eq!((answer.status, answer.text().as_str()), (404, "page"));
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("text/x-page")
    );
    assert_eq!(answer.header("content-encoding").as_deref(), Some("x-odd"));
    assert_eq!(answer.header("set-cookie"), None);
    let (head, _) = pages.last();
    assert!(
        head.starts_with("GET /hub/error/404?url=%2Fnowhere%2Fa%2520b%3Fq%3D1%26r%3D%27 HTTP/1.1"),
        "{head}"
    );
    assert!(!head.contains("secret"), "{head}");
    let answer = it.get("/dead/x", "").await;
    assert_eq!((answer.status, answer.text().as_str()), (503, "page"));
    assert!(
        pages
            .last()
            .0
            .starts_with("GET /hub/error/503?url=%2Fdead%2Fx ")
    );
    // Nobody looks at a WebSocket's page, and what a request got wrong is told by us.
    it.get("/nowhere", "Connection: upgrade\r\nUpgrade: websocket\r\n")
        .await;
    assert_eq!(it.get("/a/../b", "").await.status, 400);
    assert_eq!(pages.count(), 2);
}

#[tokio::test]
async fn a_server_that_has_no_page_is_replaced_by_our_own() {
    let quiet = Server::raw(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let cut = Server::answer_with(&b"HTTP/1.1 200 OK\r\nContent-Le"[..]).await;
    let endless = Server::answer_with(
        [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"[..],
            &vec![b'x'; 2_000_000],
        ]
        .concat(),
    )
    .await;
    let dead = dead_address().await;
    for address in [quiet.address, cut.address, endless.address, dead] {
        let mut config = asking(format!("http://{address}"));
        config.error_pages.patience = Duration::from_millis(200);
        let it = DropIn::start(config).await;
        let answer = it.get("/nowhere", "").await;
        assert_eq!(answer.status, 404, "{address}");
        let text = answer.text();
        assert!(text.contains("There is nothing at this address"), "{text}");
        let answer = it.get("/nowhere", "Accept: application/json\r\n").await;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["status"], 404);
    }
}

/// A folder for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lyceum-proxy-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_folder_has_a_page_for_one_code_or_for_all() {
    let folder = Folder::new("pages");
    let it = DropIn::start(Config {
        error_pages: ErrorPages {
            folder: Some(folder.0.clone()),
            ..ErrorPages::default()
        },
        ..Config::default()
    })
    .await;
    it.put("/dead", dead_address().await).await;
    let check = async |path: &str, status: u16, words: &str| {
        let answer = it.get(path, "").await;
        assert_eq!(answer.status, status);
        let text = answer.text();
        assert!(text.contains(words), "{path}: {text}");
    };
    check("/nowhere", 404, "There is nothing at this address").await;
    folder.write("error.html", "for all");
    check("/nowhere", 404, "for all").await;
    folder.write("404.html", "for one");
    check("/nowhere", 404, "for one").await;
    check("/dead", 503, "for all").await;
    let answer = it.get("/nowhere", "").await;
    assert_eq!(answer.header("content-type").as_deref(), Some("text/html"));
    folder.write("404.html", &"x".repeat(1024 * 1024 + 1));
    folder.write("error.html", "small");
    check("/nowhere", 404, "small").await;
}
