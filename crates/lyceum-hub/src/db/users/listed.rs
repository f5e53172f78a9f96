//! People as the API lists them: a whole page in one row.
//!
//! Each value that SQLite hands over on its own costs more than to find it. So a page comes as one
//! text of JSON, which both engines write.

use lyceum_model::name::UserName;
use lyceum_store::{Engine, Tx, on};
use serde::Deserialize;
use sqlx::AssertSqlSafe;

use super::{Search, Sort, User, contains, not_at_rest};

/// A person with what else a list tells of her.
#[derive(Debug)]
pub struct Listed {
    pub user: User,
    /// The names of her groups, in order.
    pub groups: Vec<String>,
    /// Not all of her servers are at rest.
    pub has_active: bool,
}

/// In the order of the statement.
#[derive(Deserialize)]
struct Written {
    id: String,
    name: UserName,
    display_name: Option<String>,
    admin: u8,
    home: String,
    created_at: i64,
    last_activity_at: Option<i64>,
    blocked_at: Option<i64>,
    /// With [`BETWEEN`] them.
    groups: Option<String>,
    active: u8,
}

/// Between names of groups, none of which holds it.
const BETWEEN: &str = "\u{1f}";

impl From<Written> for Listed {
    fn from(written: Written) -> Self {
        let groups = written.groups.unwrap_or_default();
        let groups = groups.split(BETWEEN).filter(|name| !name.is_empty());
        let mut groups: Vec<String> = groups.map(str::to_owned).collect();
        groups.sort_unstable();
        Self {
            user: User {
                id: written.id,
                name: written.name,
                display_name: written.display_name,
                admin: written.admin != 0,
                home: written.home,
                created_at: written.created_at,
                last_activity_at: written.last_activity_at,
                blocked_at: written.blocked_at,
            },
            groups,
            has_active: written.active != 0,
        }
    }
}

impl Search<'_> {
    /// As [`Search::page`], with what else the list tells.
    pub async fn listed(
        &self,
        tx: &mut Tx,
        sort: Sort,
        offset: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<Listed>> {
        let (all, one) = match tx.engine() {
            Engine::Sqlite => ("json_group_array", "json_array"),
            Engine::Postgres => ("json_agg", "json_build_array"),
        };
        let (page, order) = (self.statement_from(5, self.busy, sort), sort.sql());
        let active = concat!(
            "EXISTS (SELECT 1 FROM servers s WHERE s.user_id = users.id AND ",
            not_at_rest!(),
            ")"
        );
        // What stands beside a person is looked up for those of the page alone.
        let sql = format!(
            "SELECT CAST({all}({one}(id, name, display_name, CAST(admin AS INTEGER), home, created_at, \
             last_activity_at, blocked_at, \
             (SELECT string_agg(g.name, $4) FROM group_members m JOIN groups g ON g.id = m.group_id \
             WHERE m.user_id = users.id), CAST({active} AS INTEGER)) ORDER BY {order}) AS TEXT) FROM ({page}) users"
        );
        let text: Option<String> = on!(tx, |c| {
            let mut query = sqlx::query_scalar(AssertSqlSafe(sql))
                .bind(contains(self.filter))
                .bind(limit)
                .bind(offset)
                .bind(BETWEEN);
            for name in self.names() {
                query = query.bind(name);
            }
            query.fetch_one(c).await
        })?;
        let written: Vec<Written> = match text {
            Some(text) => {
                serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?
            }
            // Of nobody PostgreSQL makes nothing.
            None => Vec::new(),
        };
        Ok(written.into_iter().map(Listed::from).collect())
    }
}
