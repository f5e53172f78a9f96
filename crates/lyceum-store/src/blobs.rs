//! Content-addressed storage: the name of a blob is the BLAKE3 of its content, so blobs never
//! change and writing one twice is harmless. Kept compressed (zstd), in a folder or in S3.
//!
//! Write blobs before the row that names them; an orphan is harmless, a dangling name is not. Who
//! deletes must know that no row names the blob and that nobody is about to write such a row. Whoever
//! writes the first row for a blob looks ([`Blobs::missing`]) in that transaction whether it is there.
//!
//! [`disk`] is the folder, `s3` the bucket (cargo feature `s3`), [`pack`] what both share.

use std::io;
use std::time::Duration;

use lyceum_model::digest::Digest;
use tokio::io::{AsyncRead, AsyncReadExt};

pub mod disk;
pub mod pack;
#[cfg(feature = "s3")]
pub mod s3;

pub use disk::Disk;
pub use pack::BlobReader;
#[cfg(feature = "s3")]
pub use s3::{S3, S3Options};

/// Why a blob could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("the content is longer than the {limit} bytes that are allowed")]
    TooLarge { limit: u64 },
    #[error("there is no blob {0}")]
    NotFound(Digest),
    /// The content came from elsewhere and could not be read to its end.
    #[error("reading the content")]
    Content(#[source] io::Error),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Where blobs are. Cheap to clone.
#[derive(Clone)]
pub enum Blobs {
    Disk(Disk),
    #[cfg(feature = "s3")]
    S3(S3),
}

impl Blobs {
    /// Stores what `content` gives, up to `limit` bytes; gives digest and length. When this
    /// returns, the blob is durable; when it fails, nothing is left behind.
    pub async fn put(
        &self,
        content: impl AsyncRead + Unpin + Send,
        limit: u64,
    ) -> Result<(Digest, u64), BlobError> {
        match self {
            Self::Disk(disk) => disk.put(content, limit).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.put(content, limit).await,
        }
    }

    /// Stores content that is in memory already.
    pub async fn put_bytes(&self, content: &[u8]) -> Result<Digest, BlobError> {
        Ok(self.put(content, u64::MAX).await?.0)
    }

    /// The content as a stream. Its end is an error when the content is not what its digest says,
    /// so treat nothing as true before the end was reached.
    pub async fn get(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        match self {
            Self::Disk(disk) => disk.get(digest).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.get(digest).await,
        }
    }

    /// The whole content, checked; for small things only.
    pub async fn get_bytes(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, BlobError> {
        let mut content = Vec::new();
        let mut reader = self.get(digest).await?.take(limit.saturating_add(1));
        reader
            .read_to_end(&mut content)
            .await
            .map_err(|error| BlobError::Internal(error.into()))?;
        match content.len() as u64 > limit {
            true => Err(BlobError::TooLarge { limit }),
            false => Ok(content),
        }
    }

    pub async fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        match self {
            Self::Disk(disk) => disk.has(digest).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.has(digest).await,
        }
    }

    /// Says whether there was one to delete.
    pub async fn delete(&self, digest: Digest) -> Result<bool, BlobError> {
        match self {
            Self::Disk(disk) => disk.delete(digest).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.delete(digest).await,
        }
    }

    /// Those of these that are not there.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, BlobError> {
        match self {
            Self::Disk(disk) => disk.missing(digests).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.missing(digests).await,
        }
    }

    /// Lets those of these that are there begin their age anew: [`Blobs::old`] counts from now on.
    pub async fn freshen(&self, digests: Vec<Digest>) -> Result<(), BlobError> {
        match self {
            Self::Disk(disk) => disk.freshen(digests).await,
            #[cfg(feature = "s3")]
            Self::S3(_) => Err(s3::not_collected()),
        }
    }

    /// Those of these that were written, or freshened, at least `age` ago; each with the bytes that it
    /// takes.
    pub async fn old(
        &self,
        digests: Vec<Digest>,
        age: Duration,
    ) -> Result<Vec<(Digest, u64)>, BlobError> {
        match self {
            Self::Disk(disk) => disk.old(digests, age, false).await,
            #[cfg(feature = "s3")]
            Self::S3(_) => Err(s3::not_collected()),
        }
    }

    /// Deletes what [`Blobs::old`] would tell, and tells it.
    pub async fn delete_old(
        &self,
        digests: Vec<Digest>,
        age: Duration,
    ) -> Result<Vec<(Digest, u64)>, BlobError> {
        match self {
            Self::Disk(disk) => disk.old(digests, age, true).await,
            #[cfg(feature = "s3")]
            Self::S3(_) => Err(s3::not_collected()),
        }
    }

    /// Up to `limit` digests in order, from behind `after`.
    pub async fn list(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, BlobError> {
        match self {
            Self::Disk(disk) => disk.list(after, limit).await,
            #[cfg(feature = "s3")]
            Self::S3(s3) => s3.list(after, limit).await,
        }
    }
}

/// `ab/cd/abcd….zst`: two levels of folders, so that none grows large.
fn path_of(digest: Digest) -> String {
    let name = digest.to_hex();
    format!("{}/{}/{name}.zst", &name[..2], &name[2..4])
}

/// The digest that a file is named after.
fn digest_of(file_name: &str) -> Option<Digest> {
    Digest::parse(file_name.strip_suffix(".zst")?)
}
