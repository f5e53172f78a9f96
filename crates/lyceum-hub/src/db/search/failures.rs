//! What went wrong with whose servers lately, the newest first.

use lyceum_model::saying::Saying;
use lyceum_store::Tx;

use super::Statement;
use crate::db::users::Among;

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Failed {
    pub server_id: String,
    pub at: i64,
    failure: String,
    failure_saying: Option<String>,
}

impl Failed {
    pub fn why(&self) -> Saying {
        Saying::from_stored(&self.failure, self.failure_saying.as_deref())
    }
}

/// Those since a moment.
pub async fn latest(
    tx: &mut Tx,
    among: Option<&Among>,
    since: i64,
    limit: i64,
) -> sqlx::Result<Vec<Failed>> {
    let mut statement = Statement::new(
        "SELECT f.server_id, f.at, f.failure, f.failure_saying \
         FROM server_failures f CROSS JOIN servers s CROSS JOIN users u",
    );
    conditions(&mut statement, among, since);
    statement.page("f.at DESC, f.id DESC", 0, limit);
    statement.all(tx).await
}

pub async fn count(tx: &mut Tx, among: Option<&Among>, since: i64) -> sqlx::Result<i64> {
    let mut statement = Statement::new(
        "SELECT COUNT(*) FROM server_failures f CROSS JOIN servers s CROSS JOIN users u",
    );
    conditions(&mut statement, among, since);
    statement.count(tx).await
}

fn conditions(statement: &mut Statement, among: Option<&Among>, since: i64) {
    statement.and().say("s.id = f.server_id");
    statement.and().say("u.id = s.user_id");
    statement.and().say("f.at > ").number(since);
    if let Some(among) = among {
        statement.among(among, true);
    }
}
