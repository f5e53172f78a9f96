//! Large bodies: 200 MB each way in little memory, also to someone who reads in fits and starts.
//!
//! Memory is measured in processes of their own, which hold the proxy, the server and the client.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::{
    alone::{alone, resident_kib},
    http2::{Connection, plain, request, write},
    support::{Client, Server, TestProxy, header, read_head, soon, stands_still},
};

const BIG: usize = 200 << 20;
const PIECE: usize = 64 << 10;
/// What three parties may need for their buffers, far below any body.
const ROOM_KIB: usize = 12 << 10;

fn sum() -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for number in 0..BIG / PIECE {
        hasher.update(&vec![number as u8; PIECE]);
    }
    hasher.finalize()
}

/// Gives each piece of a body, by length or in chunks, as it comes.
async fn take(
    wire: &mut BufReader<impl AsyncRead + Unpin>,
    head: &str,
    mut each: impl FnMut(&[u8]),
) {
    let is_chunked = header(head, "transfer-encoding").is_some();
    let mut left = header(head, "content-length").map_or(0, |l| l.parse().unwrap());
    loop {
        if is_chunked {
            let mut line = String::new();
            wire.read_line(&mut line).await.unwrap();
            left = usize::from_str_radix(line.trim(), 16).unwrap();
        }
        let is_last = left == 0 || !is_chunked;
        while left > 0 {
            let piece = soon("more", wire.fill_buf()).await.unwrap();
            assert!(!piece.is_empty(), "the body was cut");
            let taken = piece.len().min(left);
            each(&piece[..taken]);
            left -= taken;
            wire.consume(taken);
        }
        if is_chunked {
            wire.read_line(&mut String::new()).await.unwrap();
        }
        if is_last {
            return;
        }
    }
}

/// Takes uploads and says their sum; gives `BIG` bytes for a GET, in chunks where the path says so,
/// and counts them as they leave.
async fn warehouse(sent: Arc<AtomicUsize>) -> Server {
    Server::raw(move |stream, seen| {
        let sent = sent.clone();
        async move {
            let mut wire = BufReader::with_capacity(PIECE, stream);
            while let Some(head) = read_head(wire.get_mut()).await {
                let mut hasher = blake3::Hasher::new();
                take(&mut wire, &head, |piece| {
                    hasher.update(piece);
                })
                .await;
                let sum = hasher.finalize().as_bytes().to_vec();
                seen.lock().unwrap().push((head.clone(), sum));
                let length = if head.starts_with("GET") { BIG } else { 0 };
                let is_chunked = length > 0 && head.contains("/chunks");
                let (framing, before, after, end) = if is_chunked {
                    let size = format!("{PIECE:x}\r\n");
                    (
                        "Transfer-Encoding: chunked".into(),
                        size,
                        "\r\n",
                        "0\r\n\r\n",
                    )
                } else {
                    (format!("Content-Length: {length}"), String::new(), "", "")
                };
                let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
                wire.write_all(head.as_bytes()).await.unwrap();
                for number in 0..length / PIECE {
                    wire.write_all(before.as_bytes()).await.unwrap();
                    wire.write_all(&vec![number as u8; PIECE]).await.unwrap();
                    wire.write_all(after.as_bytes()).await.unwrap();
                    sent.fetch_add(PIECE, SeqCst);
                }
                wire.write_all(end.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

/// The most that was resident, and what had come.
struct Download {
    hasher: blake3::Hasher,
    left: usize,
    most: usize,
}

impl Download {
    async fn read(&mut self, client: &mut Client, length: usize) {
        let mut piece = vec![0; PIECE];
        let end = self.left.saturating_sub(length);
        while self.left > end {
            let most = PIECE.min(self.left - end);
            let read = soon("the download", client.0.read(&mut piece[..most]))
                .await
                .unwrap();
            assert!(read > 0, "the download was cut");
            self.hasher.update(&piece[..read]);
            self.left -= read;
            self.most = self.most.max(resident_kib());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_megabytes_pass_each_way_in_little_memory() {
    if !alone("big::two_hundred_megabytes_pass_each_way_in_little_memory") {
        return;
    }
    let server = warehouse(Arc::default()).await;
    let expect = sum();
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let before = resident_kib();
    let mut most = before;
    let head = format!("PUT /open/big HTTP/1.1\r\nHost: lab\r\nContent-Length: {BIG}\r\n\r\n");
    client.send(head).await;
    for number in 0..BIG / PIECE {
        client.send(vec![number as u8; PIECE]).await;
        most = most.max(resident_kib());
    }
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(server.last().1, expect.as_bytes());

    client
        .send("GET /open/big HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    let mut download = Download {
        hasher: blake3::Hasher::new(),
        left: BIG,
        most,
    };
    download.read(&mut client, BIG).await;
    assert_eq!(download.hasher.finalize(), expect);
    let most = download.most;
    assert!(most < before + ROOM_KIB, "grew from {before} to {most} KiB");
    println!("resident: {before} KiB before, at most {most} KiB");

    let activity = proxy.proxy.take_activity();
    assert_eq!(activity.len(), 1);
    assert_eq!(activity[0].bytes_in, BIG as u64);
    assert_eq!(activity[0].bytes_out, BIG as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_passes_in_chunks_in_little_memory() {
    if !alone("big::as_much_passes_in_chunks_in_little_memory") {
        return;
    }
    let server = warehouse(Arc::default()).await;
    let expect = sum();
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let before = resident_kib();
    let mut most = before;
    let head = "PUT /open/chunks HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await;
    for number in 0..BIG / PIECE {
        client.send(format!("{PIECE:x}\r\n")).await;
        client.send(vec![number as u8; PIECE]).await;
        client.send("\r\n").await;
        most = most.max(resident_kib());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    let (head, sent) = server.last();
    assert_eq!(sent, expect.as_bytes());
    assert!(header(&head, "content-length").is_none(), "{head}");

    client
        .send("GET /open/chunks HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    let head = client.head().await;
    let mut hasher = blake3::Hasher::new();
    let mut wire = BufReader::with_capacity(PIECE, client.0);
    take(&mut wire, &head, |piece| {
        hasher.update(piece);
        most = most.max(resident_kib());
    })
    .await;
    assert_eq!(hasher.finalize(), expect);
    assert!(most < before + ROOM_KIB, "grew from {before} to {most} KiB");
    println!("resident: {before} KiB before, at most {most} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_passes_over_http2_in_little_memory() {
    if !alone("big::as_much_passes_over_http2_in_little_memory") {
        return;
    }
    let server = warehouse(Arc::default()).await;
    let expect = sum();
    let proxy = plain(&server).await;
    let mut connection = Connection::new(&proxy).await;
    let before = resident_kib();
    let mut most = before;
    let (answer, mut send) = connection.send(request("PUT", "/open/big"), false).await;
    for number in 0..BIG / PIECE {
        let is_last = number == BIG / PIECE - 1;
        let piece = vec![number as u8; PIECE];
        write(&mut send, piece.into(), is_last).await;
        most = most.max(resident_kib());
    }
    assert_eq!(soon("an answer", answer).await.unwrap().status(), 200);
    assert_eq!(server.last().1, expect.as_bytes());

    let mut body = connection
        .ask(request("GET", "/open/big"))
        .await
        .into_body();
    let mut hasher = blake3::Hasher::new();
    while let Some(piece) = soon("more", body.data()).await {
        let piece = piece.unwrap();
        hasher.update(&piece);
        body.flow_control().release_capacity(piece.len()).unwrap();
        most = most.max(resident_kib());
    }
    assert_eq!(hasher.finalize(), expect);
    assert!(most < before + ROOM_KIB, "grew from {before} to {most} KiB");
    println!("resident: {before} KiB before, at most {most} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stops_and_goes_on_gets_all_of_it_and_holds_the_server_back() {
    if !alone("big::a_reader_that_stops_and_goes_on_gets_all_of_it_and_holds_the_server_back") {
        return;
    }
    let sent = Arc::new(AtomicUsize::new(0));
    let server = warehouse(sent.clone()).await;
    let proxy = TestProxy::open(server.address).await;
    let mut client = proxy.connect().await;
    let before = resident_kib();
    client
        .send("GET /open/big HTTP/1.1\r\nHost: lab\r\n\r\n")
        .await;
    client.head().await;
    let mut download = Download {
        hasher: blake3::Hasher::new(),
        left: BIG,
        most: before,
    };
    while download.left > 0 {
        let taken = BIG - download.left;
        stands_still("the server to be held back", || sent.load(SeqCst)).await;
        let ahead = sent.load(SeqCst).saturating_sub(taken);
        assert!(ahead < 64 << 20, "{ahead} bytes were taken ahead");
        download.most = download.most.max(resident_kib());
        download.read(&mut client, BIG / 8).await;
    }
    assert_eq!(download.hasher.finalize(), sum());
    let most = download.most;
    assert!(most < before + ROOM_KIB, "grew from {before} to {most} KiB");
    println!("resident: {before} KiB before, at most {most} KiB");
}
