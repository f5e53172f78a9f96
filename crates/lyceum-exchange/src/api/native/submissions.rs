//! Submissions: handed in, listed, fetched; and their receipts.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use lyceum_courses::assignment::Limits;
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult};
use serde::Deserialize;
use serde_json::{Value, json};

use super::files::to_keep;
use super::held::{Held, Holder};
use super::zip::Folder;
use super::{Asker, FILES, NotRead, model, require_form, zip};
use crate::api::refusal::Refusal;
use crate::api::visitor::Entered;
use crate::db::submissions::{Told, Wanted};
use crate::intake::{Asked, FilesAs, pass_over};
use crate::moment::Moment;
use crate::people::Standing;
use crate::rules::NotTaken;
use crate::tree::{FilePath, Tree, TreeFile};
use crate::{Exchange, db, receipt, rules, submissions};

const USUAL: i64 = 50;
const MOST: i64 = 200;
/// The same once more within so long is the same.
const TWICE_MS: i64 = 60_000;

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Which {
    student: Option<String>,
    /// Older than the one of this number.
    before: Option<i64>,
    limit: Option<i64>,
}

/// Of a whole course.
pub(crate) async fn list_submissions(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path(course): Path<String>,
    Query(which): Query<Which>,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    list(&mut tx, &asker, &entered, "", which).await
}

pub(crate) async fn list_submissions_of_assignment(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, assignment)): Path<(String, String)>,
    Query(which): Query<Which>,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    list(&mut tx, &asker, &entered, &assignment.id, which).await
}

/// Everybody's for those who grade; one's own for others, also where they ask for more.
async fn list(
    tx: &mut Tx,
    asker: &Asker,
    entered: &Entered,
    assignment_id: &str,
    which: Which,
) -> ApiResult<Json<Value>> {
    let own = asker.0.name().to_string();
    let student = match entered.standing.grades() {
        true => which.student.unwrap_or_default(),
        false if which.student.as_ref().is_some_and(|name| *name != own) => {
            return Err(Refusal::denied().into());
        }
        false => own,
    };
    let limit = which.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut rows = match entered.course.known_id() {
        Some(id) => {
            let wanted = Wanted {
                assignment_id,
                student: &student,
                before: which.before.unwrap_or(i64::MAX),
                limit: limit + 1,
            };
            db::submissions::page(tx, id, wanted).await?
        }
        None => Vec::new(),
    };
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > fits;
    rows.truncate(fits);
    let next = rows.last().filter(|_| has_more).map(|row| row.number);
    let told: Vec<Value> = rows.iter().map(model::submission).collect();
    Ok(Json(json!({ "submissions": told, "next": next })))
}

pub(crate) async fn submit(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, name)): Path<(String, String)>,
    request: Request,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let kept = take(
        &exchange,
        &asker,
        (&course, &name),
        request,
        FilesAs::Fields,
    )
    .await?;
    Ok((
        StatusCode::CREATED,
        Json(with_receipt(&exchange, &kept.row)),
    ))
}

/// Why nothing was taken.
pub(crate) enum NotKept {
    NotRead(NotRead),
    NotTaken(NotTaken),
    Archived,
    Other(ApiError),
}

/// What was taken.
pub(crate) struct Kept {
    pub(crate) row: Told,
    /// Files were put where the assignment has some of their names.
    pub(crate) is_placed: bool,
}

/// Takes what somebody hands in, files and all.
pub(crate) async fn take(
    exchange: &Exchange,
    asker: &Asker,
    (course, name): (&str, &str),
    request: Request,
    files: FilesAs,
) -> Result<Kept, NotKept> {
    let early = take_early(exchange, asker, (course, name), files).await;
    let early = early.and_then(|limits| {
        require_form(&request)?;
        Ok(limits)
    });
    let limits = match early {
        Ok(limits) => limits,
        Err(error) => {
            pass_over(exchange, asker.0.name(), request).await;
            return Err(error);
        }
    };
    let asked = Asked {
        size: limits.size,
        files,
        ..FILES
    };
    let (tree, arrived) = asker.read(exchange, request, asked).await?;
    // Asked again: the body may have taken its time.
    let mut tx = exchange.db().write().await?;
    let mut entered = asker.enter(exchange, &mut tx, course).await?;
    entered.require_hands_in()?;
    if entered.course.is_archived() {
        return Err(NotKept::Archived);
    }
    let assignment = entered.assignment(&mut tx, name).await?;
    let author = asker.0.as_author(entered.standing);
    let (mut tree, mut is_placed) = (tree, false);
    if files == FilesAs::Chosen {
        (tree, is_placed) = placed(&mut tx, &assignment.id, tree).await?;
        let before = just_before(exchange, &mut tx, &assignment, asker).await?;
        if let Some(row) = before.filter(|row| row.tree == tree.digest().to_hex()) {
            let row = db::submissions::find_told(&mut tx, &row.course_id, &row.id).await?;
            let row = row.ok_or(sqlx::Error::RowNotFound)?;
            return Ok(Kept { row, is_placed });
        }
    }
    let course = &mut entered.course;
    let sent = (&tree, arrived);
    let row = submissions::hand_in(exchange, &mut tx, course, &assignment, author, sent).await?;
    let told = db::submissions::find_told(&mut tx, &row.course_id, &row.id).await?;
    let row = told.ok_or(sqlx::Error::RowNotFound)?;
    tx.commit().await?;
    Ok(Kept { row, is_placed })
}

/// What is asked before anything is read.
async fn take_early(
    exchange: &Exchange,
    asker: &Asker,
    (course, name): (&str, &str),
    files: FilesAs,
) -> Result<Limits, NotKept> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(exchange, &mut tx, course).await?;
    entered.require_hands_in()?;
    if entered.course.is_archived() {
        return Err(NotKept::Archived);
    }
    let assignment = entered.assignment(&mut tx, name).await?;
    let author = asker.0.as_author(entered.standing);
    let limits = rules::check_early(exchange, &mut tx, &entered.course, &assignment, author).await;
    // It may be what she sent a moment ago, once more.
    let may_be_same = files == FilesAs::Chosen && matches!(limits, Err(NotTaken::TooOften { .. }));
    if may_be_same {
        let before = just_before(exchange, &mut tx, &assignment, asker).await?;
        if before.is_some() {
            return Ok(entered.course.limits(name));
        }
    }
    Ok(limits?)
}

/// What she handed in a moment ago: whoever presses a button twice means it once.
async fn just_before(
    exchange: &Exchange,
    tx: &mut Tx,
    assignment: &db::assignments::Row,
    asker: &Asker,
) -> sqlx::Result<Option<db::submissions::Row>> {
    let newest = db::submissions::newest(tx, &assignment.id, asker.0.name().as_str()).await?;
    let now = exchange.now().0;
    Ok(newest.filter(|row| {
        let ago = now.saturating_sub(Moment(row.at).to_millis());
        row.version == assignment.version && (0..TWICE_MS).contains(&ago)
    }))
}

/// Browsers send a file's name without its folder: it goes where the assignment has a file of that name,
/// if that is one place.
async fn placed(tx: &mut Tx, assignment_id: &str, tree: Tree) -> sqlx::Result<(Tree, bool)> {
    let is_bare = |file: &TreeFile| !file.path.as_str().contains('/');
    if !tree.files().iter().any(is_bare) {
        return Ok((tree, false));
    }
    let handed_out = db::assignments::paths(tx, assignment_id).await?;
    let place_of = |name: &str| {
        let is_one = |path: &&String| path.rsplit('/').next() == Some(name);
        let mut places = handed_out.iter().filter(is_one);
        match (places.next(), places.next()) {
            (Some(only), None) => FilePath::parse(only),
            _ => None,
        }
    };
    let mut files = tree.files().to_vec();
    for file in files.iter_mut().filter(|file| is_bare(file)) {
        if let Some(path) = place_of(file.path.as_str()) {
            file.path = path;
        }
    }
    Ok(match Tree::new(files) {
        Ok(moved) if moved != tree => (moved, true),
        _ => (tree, false),
    })
}

impl From<NotRead> for NotKept {
    fn from(error: NotRead) -> Self {
        Self::NotRead(error)
    }
}

impl From<NotTaken> for NotKept {
    fn from(error: NotTaken) -> Self {
        Self::NotTaken(error)
    }
}

impl From<ApiError> for NotKept {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl From<Refusal> for NotKept {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal.into())
    }
}

impl From<sqlx::Error> for NotKept {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// As programs are told.
impl From<NotKept> for ApiError {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::NotRead(error) => error.into(),
            NotKept::NotTaken(error) => Refusal::from(error).into(),
            NotKept::Archived => Refusal::archived().into(),
            NotKept::Other(error) => error,
        }
    }
}

fn with_receipt(exchange: &Exchange, row: &Told) -> Value {
    let mut told = model::submission(row);
    told["receipt"] = json!({
        "text": row.receipt,
        "signature": row.signature,
        "public_key": exchange.signer().public_key(),
    });
    told
}

pub(crate) async fn get_submission(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let (_, row) = find(&exchange, &mut tx, &asker, &course, &submission).await?;
    Ok(Json(with_receipt(&exchange, &row)))
}

/// The signed text, and below it what it was signed with.
pub(crate) async fn get_receipt(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, submission)): Path<(String, String)>,
) -> ApiResult<Response> {
    let mut tx = exchange.db().read().await?;
    let (_, row) = find(&exchange, &mut tx, &asker, &course, &submission).await?;
    let name = format!("{course}-{}-{}-receipt.txt", row.assignment, row.number);
    Ok(to_keep(
        &name,
        "text/plain; charset=utf-8",
        Body::from(receipt_of(&exchange, &row)),
    ))
}

pub(crate) fn receipt_of(exchange: &Exchange, row: &Told) -> String {
    let key = exchange.signer().public_key();
    receipt::as_download(&row.receipt, &row.signature, &key)
}

/// What was handed in.
#[derive(Deserialize)]
pub(crate) struct SubmissionFiles {
    course: String,
    submission: String,
}

impl Holder for SubmissionFiles {
    async fn find(self, exchange: &Exchange, tx: &mut Tx, asker: &Asker) -> ApiResult<Held> {
        let course = self.course;
        let (_, row) = find(exchange, tx, asker, &course, &self.submission).await?;
        let name = format!("{course}-{}-{}-{}", row.assignment, row.student, row.number);
        Ok(Held {
            name,
            tree: row.tree,
            at: Moment(row.at).to_millis(),
        })
    }
}

/// Everybody's newest, each in a folder of her name.
pub(crate) async fn get_zip_of_assignment(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, assignment)): Path<(String, String)>,
) -> ApiResult<Response> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    entered.require(Standing::grades)?;
    let row = entered.assignment(&mut tx, &assignment).await?;
    let rows = db::submissions::newest_of_all(&mut tx, &row.id).await?;
    drop(tx);
    let folders = rows.into_iter().map(|row| Folder {
        name: row.student,
        tree: row.tree,
        files: row.files,
        at: Moment(row.at).to_millis(),
    });
    let name = format!("{course}-{assignment}");
    zip::answer(&exchange, asker.0.name(), &name, folders.collect()).await
}

/// One's own, or anybody's for those who grade; others' look like none.
pub(crate) async fn find(
    exchange: &Exchange,
    tx: &mut Tx,
    asker: &Asker,
    course: &str,
    submission: &str,
) -> ApiResult<(Entered, Told)> {
    let missing = || Refusal::not_found("Submission");
    let entered = asker.enter(exchange, tx, course).await?;
    let id = entered.course.known_id().ok_or_else(missing)?;
    let row = db::submissions::find_told(tx, id, submission).await?;
    let row = row.ok_or_else(missing)?;
    match entered.standing.grades() || asker.0.is(&row.student) {
        true => Ok((entered, row)),
        false => Err(missing().into()),
    }
}
