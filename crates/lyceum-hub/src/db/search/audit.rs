//! Who did what, the newest first.

use lyceum_store::Tx;

use super::Statement;
use crate::audit::Kind;
use crate::db::audit::Row;

/// Where a search looks for its words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Both,
    /// Whose account it is about.
    About,
    /// Who did it.
    Doer,
}

#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// A part of a name.
    pub filter: &'a str,
    pub side: Side,
    pub kind: Option<Kind>,
    /// What whoever is called so did, and what is about her, also by a name she had before.
    pub person: Option<&'a str>,
    /// About this account, by its id.
    pub about: Option<&'a str>,
    /// What she did herself is left out.
    pub by_others: bool,
    /// These words only; none: all.
    pub words: &'a [&'a str],
    /// Not before this moment.
    pub since: Option<i64>,
    /// Older than this row: a moment and an id.
    pub after: Option<(i64, &'a str)>,
}

impl Search<'_> {
    pub async fn count(&self, tx: &mut Tx) -> sqlx::Result<i64> {
        let mut statement = Statement::new("SELECT COUNT(*) FROM audit x");
        self.conditions(&mut statement);
        statement.count(tx).await
    }

    pub async fn page(&self, tx: &mut Tx, offset: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
        let mut statement = Statement::new(
            "SELECT x.id, x.at, x.doer, x.address, x.what, x.about_id, x.about_name, x.detail, x.times FROM audit x",
        );
        self.conditions(&mut statement);
        statement.page("x.at DESC, x.id DESC", offset, limit);
        statement.all(tx).await
    }

    fn conditions(&self, statement: &mut Statement) {
        if !self.filter.is_empty() {
            statement.and();
            // Names are lower-case.
            let text = self.filter.to_lowercase();
            match self.side {
                Side::About => {
                    statement.holds("x.about_name", &text, true);
                }
                Side::Doer => {
                    statement.holds("x.doer", &text, true);
                }
                Side::Both => {
                    statement.say("(").holds("x.about_name", &text, true);
                    statement.say(" OR ").holds("x.doer", &text, true).say(")");
                }
            }
        }
        if let Some(kind) = self.kind {
            statement.and().say("x.what IN (").texts(&kind.words());
            statement.say(")");
        }
        if !self.words.is_empty() {
            let words: Vec<String> = self.words.iter().map(|word| (*word).to_owned()).collect();
            statement.and().say("x.what IN (").texts(&words).say(")");
        }
        if let Some(name) = self.person {
            statement.and().say("(x.doer = ").text(name);
            statement.say(" OR x.about_name = ").text(name);
            statement
                .say(" OR x.about_id IN (SELECT u.id FROM users u WHERE u.name = ")
                .text(name);
            statement.say("))");
        }
        if let Some(id) = self.about {
            statement.and().say("x.about_id = ").text(id);
        }
        if self.by_others {
            statement
                .and()
                .say("(x.doer IS NULL OR x.doer <> x.about_name)");
        }
        if let Some(since) = self.since {
            statement.and().say("x.at >= ").number(since);
        }
        if let Some((at, id)) = self.after {
            statement.and().say("(x.at < ").number(at);
            statement.say(" OR (x.at = ").number(at);
            statement.say(" AND x.id < ").text(id).say("))");
        }
    }
}
