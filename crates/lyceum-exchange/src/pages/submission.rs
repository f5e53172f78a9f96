//! What was handed in, once: its receipt, its files, and what came back for it.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_web::ApiResult;
use lyceum_web::page::contexts::courses::{FeedbackFiles, FileRow, ReceiptText, SubmissionPage};
use serde::Deserialize;

use super::{Desk, Reader, assignment_path, in_words, part_of_path, shown, submission_path};
use crate::api::native::submissions::{find, receipt_of};
use crate::db;
use crate::tree::TreeFile;

/// More of one submission are in the zip alone.
const FILES_SHOWN: usize = 200;
/// What the address says where files were put into folders of the assignment.
pub(super) const PLACED: &str = "placed";
/// So many of them are named.
const PLACED_SHOWN: usize = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: String,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    reader: Reader,
    Path((course, submission)): Path<(String, String)>,
    Query(asked): Query<Done>,
) -> ApiResult<Response> {
    let exchange = &desk.exchange;
    let mut tx = exchange.db().read().await?;
    let found = find(exchange, &mut tx, &reader.asker, &course, &submission).await;
    let (entered, row) = found.map_err(in_words)?;
    let files = db::trees::get(&mut tx, &row.tree).await?;
    let feedback = match &row.feedback {
        Some(tree) => Some(db::trees::get(&mut tx, tree).await?),
        None => None,
    };
    drop(tx);
    let path = submission_path(&course, &row.id);
    let assignment = assignment_path(&course, &row.assignment);
    let own = reader.asker.0.is(&row.student);
    let work = format!("{assignment}/people/{}", part_of_path(&row.student));
    let placed = files.iter().map(|file| shown::readable(file.path.as_str()));
    let placed = placed.filter(|path| own && asked.done == PLACED && path.contains('/'));
    let placed: Vec<String> = placed.take(PLACED_SHOWN).collect();
    let (files_rows, files_more) = rows(&reader, files, &format!("{path}/file"), None);
    let page = SubmissionPage {
        page: reader.visit.page(),
        course: shown::course(&reader, &entered),
        assignment: row.assignment.clone(),
        assignment_url: reader.at(&assignment),
        submission: shown::told(&reader, &course, &row),
        work_url: entered.standing.grades().then(|| reader.at(&work)),
        own,
        // A link can say so of what she handed in herself, and of nothing else.
        done: own && !asked.done.is_empty(),
        placed,
        files_rows,
        files_more,
        feedback: feedback.map(|files| {
            let look = format!("{path}/feedback/look");
            let to_keep = format!("{path}/feedback/file");
            let (files, more) = rows(&reader, files, &to_keep, Some(&look));
            FeedbackFiles {
                at: row.feedback_at.unwrap_or_default(),
                files,
                more,
                zip_url: reader.at(&format!("{path}/feedback/zip")),
            }
        }),
        receipt: ReceiptText {
            due: row.due,
            digest: row.tree.clone(),
            text: receipt_of(exchange, &row),
            url: reader.at(&format!("{path}/receipt")),
        },
    };
    reader.visit.show(StatusCode::OK, "submission.html", &page)
}

/// Those that are shown, first what can be read here; and how many more there are.
fn rows(
    reader: &Reader,
    mut files: Vec<TreeFile>,
    path: &str,
    look: Option<&str>,
) -> (Vec<FileRow>, usize) {
    if look.is_some() {
        files.sort_by_key(|file| !shown::is_page(file));
    }
    let shown = files.iter().take(FILES_SHOWN);
    let shown = shown.map(|file| shown::file(reader, file, path, look));
    (shown.collect(), files.len().saturating_sub(FILES_SHOWN))
}
