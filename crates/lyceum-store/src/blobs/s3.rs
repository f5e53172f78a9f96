//! Blobs in a bucket of S3 or what speaks like it: `PREFIX/ab/cd/abcd….zst`.
//!
//! The name is known only when the whole content was seen, so content is packed into a local
//! temporary file first and sent from there: memory stays bounded and nothing half done is ever in
//! the bucket.
//!
//! The tests need a server: `python3 -m venv v && v/bin/pip install 'moto[server]'`, then
//! `LYCEUM_TEST_MOTO=v/bin/moto_server cargo test -p lyceum-store --features s3`.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use lyceum_model::digest::Digest;
use lyceum_model::secret::Secret;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::io::AsyncRead;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::pack::{BlobReader, Packed, blocking, pack};
use super::{BlobError, digest_of, path_of};

/// How much is sent in one request; S3 wants at least 5 MiB in all parts but the last.
const PART: usize = 8 * 1024 * 1024;
/// Also for a whole part or a whole download of a piece.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the bucket is. What is absent comes from the usual `AWS_*` variables or the machine's role.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    pub bucket: String,
    /// In front of all names, without slashes at its ends; empty for none.
    pub prefix: String,
    pub region: Option<String>,
    /// `https://s3.example.edu`, for other servers than Amazon's.
    pub endpoint: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret>,
    /// Whether `endpoint` may be `http://`: inside one machine only.
    pub allow_http: bool,
    /// Where content waits to be sent; the system's temporary folder when absent.
    pub spool: Option<PathBuf>,
}

#[derive(Clone)]
pub struct S3(Arc<Inner>);

struct Inner {
    store: AmazonS3,
    prefix: Path,
    spool: PathBuf,
}

impl S3 {
    /// Checks the options; the bucket itself is met with the first call.
    pub fn open(options: &S3Options) -> anyhow::Result<Self> {
        let client = ClientOptions::new()
            .with_allow_http(options.allow_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT);
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&options.bucket)
            .with_client_options(client);
        if let Some(region) = &options.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(id) = &options.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &options.secret_access_key {
            builder = builder.with_secret_access_key(secret.expose());
        }
        let store = builder
            .build()
            .with_context(|| format!("the options of the bucket {}", options.bucket))?;
        Ok(Self(Arc::new(Inner {
            store,
            prefix: Path::parse(&options.prefix).context("the prefix in the bucket")?,
            spool: options.spool.clone().unwrap_or_else(std::env::temp_dir),
        })))
    }

    fn path(&self, digest: Digest) -> Path {
        let prefix = &self.0.prefix;
        match prefix.as_ref() {
            "" => Path::from(path_of(digest)),
            prefix => Path::from(format!("{prefix}/{}", path_of(digest))),
        }
    }

    pub(super) async fn put(
        &self,
        content: impl AsyncRead + Unpin + Send,
        limit: u64,
    ) -> Result<(Digest, u64), BlobError> {
        let Packed { file, digest, len } = pack(content, limit, &self.0.spool).await?;
        let path = self.path(digest);
        let reopened = blocking(move || {
            let content = file.reopen()?;
            // Named until the end, then removed.
            Ok((file, content))
        });
        let (_file, content) = reopened.await?;
        let (content, first) = next_part(content).await?;
        if first.len() < PART {
            let sent = self.0.store.put(&path, first.into()).await;
            sent.with_context(|| format!("sending {path}"))?;
            return Ok((digest, len));
        }
        let begun = self.0.store.put_multipart(&path).await;
        let mut upload = begun.with_context(|| format!("sending {path}"))?;
        if let Err(error) = send_parts(&mut *upload, content, first).await {
            if let Err(error) = upload.abort().await {
                tracing::warn!(error = %error, "an unfinished upload stays in the bucket");
            }
            return Err(error.context(format!("sending {path}")).into());
        }
        Ok((digest, len))
    }

    pub(super) async fn get(&self, digest: Digest) -> Result<BlobReader, BlobError> {
        let path = self.path(digest);
        let found = match self.0.store.get(&path).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Err(BlobError::NotFound(digest)),
            Err(error) => return Err(internal(error, &path)),
        };
        let packed = StreamReader::new(found.into_stream().map_err(std::io::Error::other));
        // Read on the blocking threads only.
        let packed = SyncIoBridge::new(Box::pin(packed));
        let reader = blocking(move || Ok(BlobReader::new(packed, digest)?));
        Ok(reader.await?)
    }

    pub(super) async fn has(&self, digest: Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match self.0.store.head(&path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(internal(error, &path)),
        }
    }

    pub(super) async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, BlobError> {
        let mut missing = Vec::new();
        for digest in digests {
            if !self.has(digest).await? {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    pub(super) async fn delete(&self, digest: Digest) -> Result<bool, BlobError> {
        // S3 does not say whether there was anything.
        if !self.has(digest).await? {
            return Ok(false);
        }
        let path = self.path(digest);
        match self.0.store.delete(&path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(internal(error, &path)),
        }
    }

    /// S3 lists in the order of names, and so of digests.
    pub(super) async fn list(
        &self,
        after: Option<Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, BlobError> {
        let prefix = (!self.0.prefix.as_ref().is_empty()).then_some(&self.0.prefix);
        let objects = match after {
            Some(after) => self.0.store.list_with_offset(prefix, &self.path(after)),
            None => self.0.store.list(prefix),
        };
        let digests = objects.try_filter_map(|object| async move {
            Ok(object.location.filename().and_then(digest_of))
        });
        let found: Result<Vec<Digest>, _> = digests.take(limit).try_collect().await;
        found.map_err(|error| internal(error, &self.0.prefix))
    }
}

async fn send_parts(
    upload: &mut dyn MultipartUpload,
    mut content: File,
    mut part: Bytes,
) -> anyhow::Result<()> {
    while !part.is_empty() {
        upload.put_part(part.into()).await?;
        (content, part) = next_part(content).await?;
    }
    upload.complete().await?;
    Ok(())
}

async fn next_part(mut content: File) -> anyhow::Result<(File, Bytes)> {
    blocking(move || {
        let mut part = Vec::new();
        (&mut content).take(PART as u64).read_to_end(&mut part)?;
        Ok((content, part.into()))
    })
    .await
}

/// Nothing in a bucket can begin its age anew without being written anew.
pub(super) fn not_collected() -> BlobError {
    BlobError::Internal(anyhow::anyhow!("what is in a bucket can't be collected"))
}

fn internal(error: object_store::Error, path: &Path) -> BlobError {
    let error = anyhow::Error::new(error).context(format!("asking the bucket for {path}"));
    BlobError::Internal(error)
}
