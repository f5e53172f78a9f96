//! From contents on the disk to rows that name them, without what is collected meanwhile.
//!
//! Invariant: for each row of `exchange_blobs` the blob is there. Whoever writes such a row has written
//! its tree in the same transaction before, and so stands in line with the collection, which takes the
//! table of trees for itself ([`crate::db::collect::gate`]) whenever it removes rows or blobs: one of
//! the two sees what the other has done. So whoever adds the first row for a blob looks whether it is
//! still there, and the collection removes no blob that has a row.

use lyceum_store::Tx;

use crate::rules::NotTaken;
use crate::tree::Tree;
use crate::{Exchange, db};

/// Writes down a tree in a course, whose blobs are durable. It counts once the transaction is committed.
pub async fn write_down(
    exchange: &Exchange,
    tx: &mut Tx,
    course_id: &str,
    tree: &Tree,
) -> Result<(), NotTaken> {
    let new = db::trees::insert(tx, tree, exchange.now()).await?;
    // Removed meanwhile: what came then would be in no archive.
    if !db::courses::is_there(tx, course_id).await? {
        return Err(NotTaken::NoCourse);
    }
    if new.is_empty() {
        return Ok(());
    }
    match exchange.blobs().missing(new).await?.is_empty() {
        true => Ok(()),
        false => Err(NotTaken::ClearedAway),
    }
}
