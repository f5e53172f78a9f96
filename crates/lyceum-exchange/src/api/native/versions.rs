//! An assignment and its versions: released, seen, fetched, withdrawn.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use lyceum_model::id::new_id;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use serde::Deserialize;
use serde_json::{Value, json};

use super::held::{Held, Holder};
use super::{Asker, FILES, courses, may_change, model};
use crate::api::refusal::Refusal;
use crate::api::visitor::Entered;
use crate::names::Name;
use crate::people::Standing;
use crate::{Exchange, db, stored};

/// Older ones are kept, and found by their numbers.
const SHOWN: i64 = 100;

/// With its newest versions, for those who teach.
pub(crate) async fn get_assignment(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, name)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    let grades = entered.standing.grades();
    let released = match entered.course.known_id() {
        Some(id) => db::assignments::released(&mut tx, id).await?,
        None => Vec::new(),
    };
    let released = released.into_iter().find(|row| row.name == name);
    let can_be_had = released
        .as_ref()
        .is_some_and(|row| row.withdrawn_at.is_none());
    let is_known = released.is_some() || entered.course.rules(&name).is_some();
    let may_see = match grades {
        true => is_known,
        false => can_be_had && entered.sees(&name),
    };
    if !may_see {
        return Err(Refusal::not_found("Assignment").into());
    }
    let mut told = courses::assignment(&asker, &entered, &name, released.as_ref());
    if let Some(row) = released.filter(|_| grades) {
        let versions = db::assignments::versions(&mut tx, &row.id, SHOWN).await?;
        told["versions"] = versions.iter().map(model::version).collect();
    }
    Ok(Json(told))
}

/// Makes the assignment, or a new version of it; what was handed in stays.
pub(crate) async fn release_version(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, name)): Path<(String, String)>,
    request: Request,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let mut tx = exchange.db().read().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    may_change(&entered, Standing::teaches)?;
    let name = Name::parse_new(&name).ok_or_else(|| {
        Refusal::bad(
            "An assignment's name has 1 to 255 bytes, no slash, no backslash and no control character",
        )
    })?;
    drop(tx);
    let (tree, _) = asker.files(&exchange, request, FILES).await?;
    // Asked again: the body may have taken its time.
    let mut tx = exchange.db().write().await?;
    let mut entered = asker.enter(&exchange, &mut tx, &course).await?;
    may_change(&entered, Standing::teaches)?;
    let now = exchange.now();
    let course_id = entered.course.id(&exchange, &mut tx).await?.to_owned();
    stored::write_down(&exchange, &mut tx, &course_id, &tree)
        .await
        .map_err(Refusal::from)?;
    let new = new_id(now);
    let is_new = db::assignments::insert(&mut tx, &new, &course_id, name.as_str(), now.0).await?;
    let (id, version) = match is_new {
        true => (new, 1),
        false => {
            let known = db::assignments::find(&mut tx, &course_id, name.as_str()).await?;
            let known = known.ok_or_else(|| Refusal::not_found("Assignment"))?;
            let version = db::assignments::next_version(&mut tx, &known.id).await?;
            (known.id, version)
        }
    };
    let by = (now.0, asker.0.name().as_str());
    let digest = tree.digest().to_hex();
    db::assignments::insert_version(&mut tx, &id, version, &digest, by).await?;
    tx.commit().await?;
    let told = json!({
        "version": version,
        "released_at": model::time(now.0),
        "released_by": asker.0.name().as_str(),
        "files": tree.files().len(),
        "bytes": tree.bytes(),
    });
    Ok((StatusCode::CREATED, Json(told)))
}

/// What was handed in stays, and is there again when the assignment is.
pub(crate) async fn withdraw_assignment(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path((course, assignment)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let mut tx = exchange.db().write().await?;
    let entered = asker.enter(&exchange, &mut tx, &course).await?;
    may_change(&entered, Standing::teaches)?;
    let assignment = entered.assignment(&mut tx, &assignment).await?;
    db::assignments::withdraw(&mut tx, &assignment.id, exchange.now().0).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A version by its number, or `newest`. Students get the newest alone.
#[derive(Deserialize)]
pub(crate) struct VersionFiles {
    course: String,
    assignment: String,
    version: String,
}

impl Holder for VersionFiles {
    async fn find(self, exchange: &Exchange, tx: &mut Tx, asker: &Asker) -> ApiResult<Held> {
        let Self {
            course,
            assignment,
            version,
        } = self;
        let entered = asker.enter(exchange, tx, &course).await?;
        let (tree, at) = tree(tx, &entered, &assignment, &version).await?;
        let name = format!("{course}-{assignment}-{version}");
        Ok(Held { name, tree, at })
    }
}

async fn tree(
    tx: &mut Tx,
    entered: &Entered,
    assignment: &str,
    version: &str,
) -> Result<(String, i64), Refusal> {
    let missing = || Refusal::not_found("Version");
    let row = entered.assignment(tx, assignment).await?;
    let number = match version {
        "newest" => row.version,
        number => number.parse().map_err(|_| missing())?,
    };
    if number != row.version && !entered.standing.grades() {
        return Err(missing());
    }
    let tree = db::assignments::find_tree(tx, &row.id, number).await?;
    tree.ok_or_else(missing)
}
