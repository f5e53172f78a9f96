//! Files that belong together, in three ways each: as a list, one by one, as a zip.

use std::future::Future;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use lyceum_store::Tx;
use lyceum_web::ApiResult;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files::{self, AskedPath};
use super::zip::{self, Folder};
use super::{Asker, model};
use crate::tree::TreeFile;
use crate::{Exchange, db};

/// The files of a version, of a submission, or of its feedback.
pub(crate) struct Held {
    /// What a zip of them is called.
    pub(crate) name: String,
    pub(crate) tree: String,
    /// When they came, in milliseconds.
    pub(crate) at: i64,
}

/// Where such files are, as the path of a request says it.
pub(crate) trait Holder: DeserializeOwned + Send {
    /// For somebody who may have them; to others they are not there.
    fn find(
        self,
        exchange: &Exchange,
        tx: &mut Tx,
        asker: &Asker,
    ) -> impl Future<Output = ApiResult<Held>> + Send;
}

pub(crate) async fn list<H: Holder>(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path(holder): Path<H>,
) -> ApiResult<Json<Value>> {
    let (_, found) = open(&exchange, &asker, holder).await?;
    Ok(Json(model::files(&found)))
}

pub(crate) async fn one<H: Holder>(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path(holder): Path<H>,
    path: AskedPath,
) -> ApiResult<Response> {
    let (_, found) = open(&exchange, &asker, holder).await?;
    files::one(&exchange, found, &path).await
}

pub(crate) async fn zip<H: Holder>(
    State(exchange): State<Exchange>,
    asker: Asker,
    Path(holder): Path<H>,
) -> ApiResult<Response> {
    let (held, found) = open(&exchange, &asker, holder).await?;
    let folder = Folder {
        name: String::new(),
        tree: held.tree,
        at: held.at,
        files: i64::try_from(found.len()).unwrap_or(i64::MAX),
    };
    zip::answer(&exchange, asker.0.name(), &held.name, vec![folder]).await
}

async fn open<H: Holder>(
    exchange: &Exchange,
    asker: &Asker,
    holder: H,
) -> ApiResult<(Held, Vec<TreeFile>)> {
    let mut tx = exchange.db().read().await?;
    let held = holder.find(exchange, &mut tx, asker).await?;
    let files = db::trees::get(&mut tx, &held.tree).await?;
    Ok((held, files))
}
