//! Files on their way out, `{"path": …, "checksum": …, "content": …}`, written as they are read: of a
//! large answer little is in memory.
//!
//! A blob that turns out damaged in the middle breaks the answer off, so that nobody takes it for
//! whole.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::stream;
use lyceum_store::blobs::BlobReader;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::answer::{Answered, success};
use crate::Exchange;
use crate::tree::TreeFile;

/// Bytes that fill a line of base64.
const LINE: usize = 57;
/// What is read of a blob at a time: whole lines.
const READ: usize = LINE * 2048;
/// So much is gathered before it is sent.
const PIECE: usize = 128 * 1024;

/// A parameter of the query.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let values = pairs.filter(|(key, _)| key == name);
    values.last().map(|(_, value)| value.into_owned())
}

pub(super) fn is_list_only(query: Option<&str>) -> bool {
    parameter(query, "list_only").is_some_and(|value| value == "true")
}

pub(super) async fn answer(
    exchange: &Exchange,
    files: Vec<TreeFile>,
    list_only: bool,
    timestamp: Option<String>,
) -> Answered {
    if list_only {
        let files: Vec<Value> = files.iter().map(listed).collect();
        let mut body = json!({ "files": files });
        if let Some(timestamp) = timestamp {
            body["timestamp"] = timestamp.into();
        }
        return Ok(success(body));
    }
    let mut begin = "{\"success\":true,".to_owned();
    if let Some(timestamp) = timestamp {
        begin.push_str(&format!("\"timestamp\":{},", json!(timestamp)));
    }
    begin.push_str("\"files\":[");
    let mut writer = Writer {
        exchange: exchange.clone(),
        files: files.into(),
        open: None,
        text: begin.into_bytes(),
        is_first: true,
        ended: false,
    };
    // The first piece is made before the answer begins, so that what fails at once fails in words.
    let first = writer.next().await?;
    let rest = stream::try_unfold(writer, |mut writer| async move {
        let piece = writer.next().await?;
        Ok::<_, anyhow::Error>(piece.map(|piece| (piece, writer)))
    });
    let first = stream::iter(first.map(Ok));
    let body = Body::from_stream(futures_util::StreamExt::chain(first, rest));
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((kind, body).into_response())
}

fn listed(file: &TreeFile) -> Value {
    json!({ "path": file.path.as_str(), "checksum": file.md5 })
}

struct Writer {
    exchange: Exchange,
    files: VecDeque<TreeFile>,
    open: Option<BlobReader>,
    text: Vec<u8>,
    is_first: bool,
    ended: bool,
}

impl Writer {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        while self.text.len() < PIECE {
            if let Some(mut blob) = self.open.take() {
                let mut content = Vec::with_capacity(READ);
                (&mut blob)
                    .take(READ as u64)
                    .read_to_end(&mut content)
                    .await?;
                encode(&content, &mut self.text);
                match content.len() == READ {
                    true => self.open = Some(blob),
                    false => self.text.extend_from_slice(b"\"}"),
                }
                continue;
            }
            let Some(file) = self.files.pop_front() else {
                break;
            };
            if !std::mem::take(&mut self.is_first) {
                self.text.push(b',');
            }
            let mut head = listed(&file).to_string();
            head.pop();
            self.text.extend_from_slice(head.as_bytes());
            self.text.extend_from_slice(b",\"content\":\"");
            self.open = Some(self.exchange.blobs().get(file.blob).await?);
        }
        let is_last = self.open.is_none() && self.files.is_empty();
        if is_last && !std::mem::replace(&mut self.ended, true) {
            self.text.extend_from_slice(b"]}");
        }
        let text = std::mem::take(&mut self.text);
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

/// Lines of 76 characters, each with a line break as JSON writes it.
fn encode(content: &[u8], text: &mut Vec<u8>) {
    for line in content.chunks(LINE) {
        let begin = text.len();
        text.resize(begin + BASE64.encode_len(line.len()), 0);
        BASE64.encode_mut(line, &mut text[begin..]);
        text.extend_from_slice(b"\\n");
    }
}
