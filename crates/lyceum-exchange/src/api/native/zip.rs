//! Zips, made while they are sent: one file of one tree is open at a time.
//!
//! Names in a zip become files on somebody's machine, so what means something special there is
//! replaced, and no two are alike afterwards, not even where large and small letters are one.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_zip::tokio::write::ZipFileWriter;
use async_zip::{Compression, ZipEntryBuilder};
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::AsyncWriteExt;
use lyceum_model::saying::Saying;
use lyceum_web::{ApiError, ApiResult};
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use super::files::to_keep;
use crate::api::refusal::RETRY_AFTER;
use crate::intake::WholeOrNothing;
use crate::{Exchange, db};

/// What is on its way to the reader.
const PIPE: usize = 256 * 1024;
const PIECE: usize = 64 * 1024;
/// The list at a zip's end is in memory until then.
const FILES_MAX: i64 = 200_000;

/// A tree, and the folder of the zip that it comes into; empty: the top.
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) tree: String,
    pub(super) files: i64,
}

/// A zip of these under a name that people know it by.
pub(super) async fn answer(
    exchange: &Exchange,
    person: &lyceum_model::name::UserName,
    name: &str,
    folders: Vec<Folder>,
) -> ApiResult<Response> {
    let files: i64 = folders.iter().map(|folder| folder.files).sum();
    if files > FILES_MAX {
        let message = format!("these are {files} files; one zip has at most {FILES_MAX}");
        return Err(ApiError::new(StatusCode::CONFLICT, Saying::quote(message)));
    }
    let place = exchange.zips().enter(person).await.ok_or_else(|| {
        let message = "too many downloads at the same time; try again in a moment";
        ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            Saying::quote(message),
            RETRY_AFTER,
        )
    })?;
    let (pipe, content) = tokio::io::duplex(PIPE);
    let is_whole = Arc::new(AtomicBool::new(false));
    let content = WholeOrNothing::new(content, is_whole.clone());
    let exchange = exchange.clone();
    // Ends when nobody reads any more.
    tokio::spawn(async move {
        let (idle, total) = (exchange.limits().idle, exchange.limits().total);
        let written = timeout(total, write(&exchange, folders, pipe, idle, &is_whole)).await;
        if let Err(error) = written.context("it took too long").flatten() {
            tracing::warn!(error = format!("{error:#}"), "a zip was not sent whole");
        }
        drop(place);
    });
    let body = Body::from_stream(ReaderStream::with_capacity(content, PIECE));
    Ok(to_keep(&format!("{name}.zip"), "application/zip", body))
}

async fn write(
    exchange: &Exchange,
    folders: Vec<Folder>,
    mut pipe: DuplexStream,
    idle: Duration,
    is_whole: &AtomicBool,
) -> anyhow::Result<()> {
    let mut names = Names::default();
    let mut zip = ZipFileWriter::with_tokio(&mut pipe);
    for folder in folders {
        let mut tx = exchange.db().read().await?;
        let files = db::trees::get(&mut tx, &folder.tree).await?;
        drop(tx);
        let top = match folder.name.as_str() {
            "" => String::new(),
            name => format!("{}/", names.folder(name)),
        };
        for file in files {
            let name = names.file(&format!("{top}{}", file.path.as_str()));
            let mut content = exchange.blobs().get(file.blob).await?;
            let entry =
                ZipEntryBuilder::new(name.into(), Compression::Deflate).unix_permissions(0o644);
            let begun = timeout(idle, zip.write_entry_stream(entry)).await;
            let mut entry = begun.context("nobody reads")??;
            let mut piece = vec![0; PIECE];
            loop {
                let read = content.read(&mut piece).await?;
                if read == 0 {
                    break;
                }
                let written = timeout(idle, entry.write_all(&piece[..read])).await;
                written.context("nobody reads")??;
            }
            timeout(idle, entry.close())
                .await
                .context("nobody reads")??;
        }
    }
    timeout(idle, zip.close()).await.context("nobody reads")??;
    is_whole.store(true, Ordering::SeqCst);
    Ok(())
}

/// Of the files and folders of one zip, in small letters.
#[derive(Default)]
struct Names {
    files: HashSet<String>,
    folders: HashSet<String>,
}

impl Names {
    /// A safe name that no other has, as near to this one as may be.
    fn file(&mut self, path: &str) -> String {
        let mut path = safe(path);
        if above(&path.to_lowercase()).any(|folder| self.files.contains(folder)) {
            path = path.replace('/', "_");
        }
        let name = self.free(&path);
        let lower = name.to_lowercase();
        self.folders.extend(above(&lower).map(str::to_owned));
        self.files.insert(lower);
        name
    }

    /// The same of a folder at the top.
    fn folder(&mut self, name: &str) -> String {
        let name = self.free(&safe(name));
        self.folders.insert(name.to_lowercase());
        name
    }

    fn free(&self, path: &str) -> String {
        let mut name = path.to_owned();
        let mut number = 2;
        let is_taken = |name: &String| self.files.contains(name) || self.folders.contains(name);
        while is_taken(&name.to_lowercase()) {
            name = format!("{path} ({number})");
            number += 1;
        }
        name
    }
}

/// The folders that a path is in.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Names of devices where Windows runs.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

fn safe(path: &str) -> String {
    path.split('/').map(safe_part).collect::<Vec<_>>().join("/")
}

fn safe_part(part: &str) -> String {
    let plain = |c: char| match c {
        '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => '_',
        // What turns the direction of a line round can show one ending for another.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let mut part: String = part.chars().map(plain).collect();
    if part.ends_with(['.', ' ']) {
        part.push('_');
    }
    let stem = part.split('.').next().unwrap_or_default().to_lowercase();
    let numbered = |stem: &str| {
        let number = stem
            .strip_prefix("com")
            .or_else(|| stem.strip_prefix("lpt"));
        number.is_some_and(|number| {
            number.len() == 1 && number != "0" && number.bytes().all(|b| b.is_ascii_digit())
        })
    };
    if DEVICES.contains(&stem.as_str()) || numbered(&stem) {
        part.insert(0, '_');
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_and_differ() {
        let mut names = Names::default();
        let mut check = |path: &str, expect: &str| assert_eq!(names.file(path), expect, "{path:?}");
        check("ada/ps1.ipynb", "ada/ps1.ipynb");
        check("ada/PS1.ipynb", "ada/PS1.ipynb (2)");
        check("ada/ps1.ipynb", "ada/ps1.ipynb (3)");
        check("..\\..\\evil", ".._.._evil");
        check("c:/x", "c_/x");
        check("a./b ", "a._/b _");
        check("x/nul.txt", "x/_nul.txt");
        check("COM1", "_COM1");
        check("comb", "comb");
        check("a\u{202e}gpj.exe", "a_gpj.exe");
        check("Ü?/ö", "Ü_/ö");
        // One is a file, and the other would be a folder of its name.
        check("a:", "a_");
        check("a_/b", "a__b");
        check("x", "x (2)");
        assert_eq!(names.folder("ada"), "ada (2)");
        assert_eq!(names.folder("Ben"), "Ben");
        assert_eq!(names.folder("ben"), "ben (2)");
        assert_eq!(names.file("ben/a"), "ben/a");
    }
}
