//! Groups and how many are in each.

use lyceum_store::Tx;

use super::Statement;

#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// What the name holds.
    pub filter: &'a str,
    /// No others than these.
    pub among: Option<Vec<String>>,
    /// Behind this one, for lists that are read piece by piece.
    pub after: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    NameDown,
    Members,
    MembersDown,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Found {
    pub name: String,
    pub members: i64,
}

impl Search<'_> {
    pub async fn page(
        &self,
        tx: &mut Tx,
        sort: Sort,
        offset: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<Found>> {
        self.statement(sort, offset, limit).all(tx).await
    }

    pub async fn count(&self, tx: &mut Tx) -> sqlx::Result<i64> {
        let mut statement = Statement::new("SELECT COUNT(*) FROM groups g");
        self.conditions(&mut statement);
        statement.count(tx).await
    }

    /// What finds a page.
    pub fn statement(&self, sort: Sort, offset: i64, limit: i64) -> Statement {
        let mut statement = Statement::new(
            "SELECT g.name, (SELECT COUNT(*) FROM group_members m WHERE m.group_id = g.id) AS members FROM groups g",
        );
        self.conditions(&mut statement);
        let order = match sort {
            Sort::Name => "g.name",
            Sort::NameDown => "g.name DESC",
            Sort::Members => "members, g.name",
            Sort::MembersDown => "members DESC, g.name",
        };
        statement.page(order, offset, limit);
        statement
    }

    fn conditions(&self, statement: &mut Statement) {
        if !self.filter.is_empty() {
            statement.and().holds("g.name", self.filter, false);
        }
        if let Some(among) = &self.among {
            statement.and().say("g.name IN (").texts(among).say(")");
        }
        if let Some(after) = self.after {
            statement.and().say("g.name > ").text(after);
        }
    }
}
