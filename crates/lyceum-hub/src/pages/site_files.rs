//! Files of the site's own: its logo, and what its templates load.
//!
//! `/hub/static/site/PATH` and, where we have nothing of that name, `/hub/static/PATH` are files
//! below `theme.static`; templates for JupyterHub expect theirs there. Whoever writes into that
//! folder is trusted with styles and scripts, as JupyterHub does; a page among them is only text.

use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_model::say;
use lyceum_web::page::assets;
use lyceum_web::{ApiError, ApiResult};

use crate::Hub;

/// Larger files belong on a web server.
const BYTES_MAX: u64 = 10 * 1024 * 1024;
/// A picture that is opened by itself runs nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";
/// Edited files are seen within minutes.
const KEEP: &str = "public, max-age=300";

/// What JupyterHub has at `/hub/logo`.
pub async fn logo(State(hub): State<Hub>) -> Response {
    let settings = hub.settings();
    match settings.theme.picture() {
        Some(logo) => file(logo.content_type, logo.bytes.clone()),
        None => {
            let icon = assets("favicon.svg").expect("it is compiled in");
            file(icon.content_type, icon.bytes.to_vec())
        }
    }
}

/// A file below the site's folder.
pub async fn find(hub: &Hub, path: &str) -> ApiResult<Response> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, say!("refused.no_file"));
    let path = path.strip_prefix("site/").unwrap_or(path);
    let settings = hub.settings();
    let folder = settings.theme.files().ok_or_else(missing)?.to_owned();
    let wanted = below(&folder, path).ok_or_else(missing)?;
    let bytes = tokio::task::spawn_blocking(move || read(&folder, &wanted))
        .await
        .map_err(anyhow::Error::from)?
        .ok_or_else(missing)?;
    Ok(file(content_type(path), bytes))
}

fn file(content_type: &'static str, bytes: Vec<u8>) -> Response {
    (
        [
            (header::CONTENT_TYPE, content_type),
            (header::CACHE_CONTROL, KEEP),
            (header::CONTENT_SECURITY_POLICY, POLICY),
        ],
        bytes,
    )
        .into_response()
}

/// The path of a file that may be asked for: no way up, nothing hidden.
fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let is_good =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    path.split('/').all(is_good).then(|| folder.join(path))
}

/// Links may lead about within the folder (a mounted ConfigMap has such), not out of it.
fn read(folder: &Path, wanted: &Path) -> Option<Vec<u8>> {
    let (folder, wanted) = (folder.canonicalize().ok()?, wanted.canonicalize().ok()?);
    let meta = wanted.metadata().ok()?;
    let fits = wanted.starts_with(folder) && meta.is_file() && meta.len() <= BYTES_MAX;
    fits.then(|| std::fs::read(wanted).ok()).flatten()
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "pdf" => "application/pdf",
        "txt" | "md" | "html" | "htm" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("static");
        std::fs::create_dir_all(folder.join("css/..data")).expect("made");
        std::fs::write(root.path().join("secret"), "s").expect("written");
        std::fs::write(folder.join("css/..data/a.css"), "a").expect("written");
        let link = |to: &str, at: &str| {
            std::os::unix::fs::symlink(to, folder.join(at)).expect("linked");
        };
        link("..data/a.css", "css/a.css");
        link("../secret", "out.css");
        let get = |path: &str| below(&folder, path).and_then(|path| read(&folder, &path));
        assert_eq!(get("css/a.css").as_deref(), Some(b"a".as_slice()));
        for bad in [
            "",
            "css",
            "../secret",
            "css/../../secret",
            "css/..data/a.css",
            "out.css",
            "css//a.css",
            "/etc/passwd",
            "..\\secret",
            "nowhere",
        ] {
            assert_eq!(get(bad), None, "{bad}");
        }
    }
}
