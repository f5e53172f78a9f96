//! Tokens of everybody, or of those whose tokens somebody may see.

use lyceum_store::Tx;

use super::Statement;
use crate::db::users::Among;

/// How a token came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asked for it.
    Asked,
    /// A program came by it for somebody who signed in there.
    OAuth,
    /// A notebook server's own.
    Server,
}

#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// What the owner's name holds; in quotation marks, the whole name.
    pub filter: &'a str,
    /// Of this person alone.
    pub of: Option<&'a str>,
    pub kind: Option<Kind>,
    pub among: Option<Among>,
    /// Those that are good at this moment.
    pub now: i64,
    /// Behind this one, by its owner's name and its id, for lists that are read piece by piece.
    pub after: Option<(&'a str, &'a str)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    Owner,
    OwnerDown,
    Created,
    #[default]
    CreatedDown,
    Used,
    UsedDown,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Found {
    pub id: String,
    pub owner: String,
    pub note: String,
    /// JSON list of scopes as granted.
    pub scopes: String,
    pub created_at: i64,
    pub last_used_at: Option<i64>,
    pub expires_at: Option<i64>,
    pub oauth_client: Option<String>,
    pub server_id: Option<String>,
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
        let owners = !self.filter.is_empty() || self.among.is_some() || self.after.is_some();
        let mut statement = Statement::new("SELECT COUNT(*) FROM tokens t");
        if owners {
            statement.say(" JOIN users u ON u.id = t.user_id");
        }
        self.conditions(&mut statement);
        statement.count(tx).await
    }

    /// What finds a page.
    pub fn statement(&self, sort: Sort, offset: i64, limit: i64) -> Statement {
        let mut statement = Statement::new(
            "SELECT t.id, u.name AS owner, t.note, t.scopes, t.created_at, t.last_used_at, t.expires_at, t.oauth_client, t.server_id FROM ",
        );
        let (from, order) = match sort {
            Sort::Owner => ("users u CROSS JOIN tokens t", "u.name, t.id"),
            Sort::OwnerDown => ("users u CROSS JOIN tokens t", "u.name DESC, t.id DESC"),
            Sort::Created => ("tokens t CROSS JOIN users u", "t.created_at, t.id"),
            Sort::CreatedDown => (
                "tokens t CROSS JOIN users u",
                "t.created_at DESC, t.id DESC",
            ),
            Sort::Used => (
                "tokens t CROSS JOIN users u",
                "COALESCE(t.last_used_at, 0), t.id",
            ),
            Sort::UsedDown => (
                "tokens t CROSS JOIN users u",
                "COALESCE(t.last_used_at, 0) DESC, t.id DESC",
            ),
        };
        statement.say(from).and().say("u.id = t.user_id");
        self.conditions(&mut statement);
        statement.page(order, offset, limit);
        statement
    }

    fn conditions(&self, statement: &mut Statement) {
        statement
            .and()
            .say("(t.expires_at IS NULL OR t.expires_at > ");
        statement.number(self.now).say(")");
        match self.kind {
            None => {}
            Some(Kind::Asked) => {
                let own = "t.server_id IS NULL AND t.oauth_client IS NULL";
                statement.and().say(own);
            }
            Some(Kind::OAuth) => {
                statement.and().say("t.oauth_client IS NOT NULL");
            }
            Some(Kind::Server) => {
                statement.and().say("t.server_id IS NOT NULL");
            }
        }
        if !self.filter.is_empty() {
            let whole = self.filter.strip_prefix('"');
            match whole.and_then(|rest| rest.strip_suffix('"')) {
                Some(name) => statement.and().say("u.name = ").text(&name.to_lowercase()),
                None => statement.and().holds("u.name", self.filter, true),
            };
        }
        if let Some(owner) = self.of {
            statement.and().say("t.user_id = ").text(owner);
        }
        if let Some(among) = &self.among {
            statement.among(among, false);
        }
        if let Some((owner, id)) = self.after {
            statement.and().say("(u.name > ").text(owner);
            statement.say(" OR (u.name = ").text(owner);
            statement.say(" AND t.id > ").text(id).say("))");
        }
    }
}
