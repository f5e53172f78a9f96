//! Blobs in a folder; with the feature `s3` also in a bucket (see `blobs/s3.rs` how to run it).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use lyceum_model::digest::Digest;
use lyceum_store::blobs::disk::LEFTOVER_AGE;
use lyceum_store::blobs::{BlobError, Blobs, Disk};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

pub(crate) struct TestBlobs {
    pub(crate) blobs: Blobs,
    pub(crate) folder: TempDir,
}

pub(crate) async fn disk() -> TestBlobs {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::Disk(Disk::open(folder.path()).await.unwrap());
    TestBlobs { blobs, folder }
}

async fn all() -> Vec<TestBlobs> {
    vec![
        disk().await,
        #[cfg(feature = "s3")]
        crate::s3::bucket().await,
    ]
}

/// Does not compress well, so that packed and unpacked differ in more than one place.
fn content(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(&len.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// Gives some bytes, then fails, as a connection that breaks.
struct Breaks(usize);

impl AsyncRead for Breaks {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0 == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let part = self.0.min(out.remaining());
        out.put_slice(&vec![b'x'; part]);
        self.0 -= part;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn content_comes_back_whole() {
    for test in all().await {
        let blobs = &test.blobs;
        for len in [0, 1, 262_143, 262_144, 262_145, 3_000_000] {
            let content = content(len);
            let (digest, stored) = blobs.put(content.as_slice(), len as u64).await.unwrap();
            assert_eq!((digest, stored), (Digest::of(&content), len as u64));
            assert!(blobs.has(digest).await.unwrap());
            let mut read = Vec::new();
            let mut reader = blobs.get(digest).await.unwrap();
            reader.read_to_end(&mut read).await.unwrap();
            assert!(read == content, "{len} bytes");
            let short = blobs
                .get_bytes(digest, (len as u64).saturating_sub(1))
                .await;
            assert_eq!(short.is_err(), len > 0, "{len} bytes");
        }
        let again = blobs.put_bytes(b"").await.unwrap();
        assert_eq!(again, Digest::of(b""));
        assert!(files(&test.folder.path().join("tmp")).is_empty());
    }
}

#[tokio::test]
async fn too_much_or_broken_content_leaves_nothing() {
    for test in all().await {
        for (len, limit) in [(1, 0), (11, 10), (1_000_000, 999_999)] {
            let error = test
                .blobs
                .put(content(len).as_slice(), limit)
                .await
                .unwrap_err();
            assert!(matches!(error, BlobError::TooLarge { limit: l } if l == limit));
        }
        for len in [0, 10, 900_000] {
            let error = test.blobs.put(Breaks(len), u64::MAX).await.unwrap_err();
            assert!(matches!(error, BlobError::Content(_)), "{error:?}");
        }
        assert_eq!(test.blobs.list(None, 10).await.unwrap(), []);
        assert!(files(test.folder.path()).is_empty());
    }
}

#[tokio::test]
async fn blobs_are_listed_in_pages_and_deleted() {
    for test in all().await {
        let mut expect = Vec::new();
        for n in 0..40 {
            expect.push(test.blobs.put_bytes(&content(n)).await.unwrap());
        }
        expect.sort_unstable();
        let mut found: Vec<Digest> = Vec::new();
        loop {
            let page = test.blobs.list(found.last().copied(), 7).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 7);
            found.extend(page);
        }
        assert_eq!(found, expect);
        assert!(test.blobs.delete(expect[3]).await.unwrap());
        assert!(!test.blobs.has(expect[3]).await.unwrap());
        assert!(!test.blobs.delete(expect[3]).await.unwrap());
        let gone = test.blobs.get(expect[3]).await.err();
        assert!(matches!(gone, Some(BlobError::NotFound(d)) if d == expect[3]));
        expect.remove(3);
        assert_eq!(test.blobs.list(None, 100).await.unwrap(), expect);
    }
}

#[tokio::test]
async fn a_damaged_blob_is_noticed_and_healed_by_writing_it_again() {
    let test = disk().await;
    let content = content(700_000);
    let digest = test.blobs.put_bytes(&content).await.unwrap();
    let path = files(test.folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    let other = zstd::encode_all(&b"something else"[..], 0).unwrap();
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    for bad in [other, cut, flipped, Vec::new(), b"no zstd at all".to_vec()] {
        fs::write(&path, &bad).unwrap();
        let error = test.blobs.get_bytes(digest, u64::MAX).await.unwrap_err();
        assert!(format!("{error:#}").contains("damaged"), "{error:#}");
        test.blobs.put_bytes(&content).await.unwrap();
        assert!(test.blobs.get_bytes(digest, u64::MAX).await.unwrap() == content);
    }
}

#[tokio::test]
async fn leftovers_of_dead_writers_go_at_the_next_start() {
    let test = disk().await;
    let tmp = test.folder.path().join("tmp");
    let (old, young) = (tmp.join("old"), tmp.join("young"));
    fs::write(&old, b"x").unwrap();
    fs::write(&young, b"x").unwrap();
    fs::File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(SystemTime::now() - LEFTOVER_AGE * 2)
        .unwrap();
    Disk::open(test.folder.path()).await.unwrap();
    assert_eq!(files(&tmp), [young]);
}

#[tokio::test]
async fn small_ones_are_as_good_as_large_ones() {
    let test = disk().await;
    // One chunk, one byte to either side of it, and two.
    for len in [0, 1, 262_143, 262_144, 262_145, 524_288] {
        let content = content(len);
        let digest = test.blobs.put_bytes(&content).await.unwrap();
        assert!(
            test.blobs.get_bytes(digest, u64::MAX).await.unwrap() == content,
            "{len}"
        );
        let path = files(test.folder.path()).remove(0);
        let good = fs::read(&path).unwrap();
        // A frame that says nothing of its length, as all were once.
        let mut streamed = zstd::Encoder::new(Vec::new(), 0).unwrap();
        std::io::Write::write_all(&mut streamed, &content).unwrap();
        fs::write(&path, streamed.finish().unwrap()).unwrap();
        assert!(
            test.blobs.get_bytes(digest, u64::MAX).await.unwrap() == content,
            "{len}"
        );
        let other = zstd::bulk::compress(b"something else", 0).unwrap();
        let cut = good[..good.len() / 2].to_vec();
        let mut claims = zstd::bulk::compress(&[7; 100_000], 0).unwrap();
        claims.truncate(12);
        for bad in [other, cut, claims, Vec::new()] {
            // Nothing is nothing, packed or not.
            if len == 0 && bad.is_empty() {
                continue;
            }
            fs::write(&path, &bad).unwrap();
            let error = test.blobs.get_bytes(digest, u64::MAX).await.unwrap_err();
            assert!(format!("{error:#}").contains("damaged"), "{len}: {error:#}");
        }
        assert!(test.blobs.delete(digest).await.unwrap());
    }
}
