//! Lists that are searched, sorted and read in pages: servers, their failures, groups, tokens, sign-ins, who did what. People are in
//! [`super::users::Search`].
//!
//! What somebody may see is a part of the question, so that pages and counts are right for her. The
//! statements are put together here from pieces of our own; whatever comes from outside is bound.

pub mod audit;
pub mod failures;
pub mod groups;
pub mod servers;
pub mod sign_ins;
pub mod tokens;

use lyceum_store::{Tx, on};
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::users::{Among, contains, places};

/// A statement and what is bound in it.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    text: String,
    values: Vec<Bound>,
    conditions: usize,
}

#[derive(Debug, Clone)]
enum Bound {
    Text(String),
    Number(i64),
}

/// What both engines can read a row into.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

impl Statement {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ..Self::default()
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Goes on with words of our own.
    pub(super) fn say(&mut self, words: &str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.bind(Bound::Text(value.to_owned()))
    }

    pub(super) fn number(&mut self, value: i64) -> &mut Self {
        self.bind(Bound::Number(value))
    }

    fn bind(&mut self, value: Bound) -> &mut Self {
        self.values.push(value);
        let place = format!("${}", self.values.len());
        self.say(&place)
    }

    /// `$3, $4`; of none a value that nothing is.
    pub(super) fn texts(&mut self, values: &[String]) -> &mut Self {
        let places = places(self.values.len() + 1, values.len());
        self.values.extend(values.iter().cloned().map(Bound::Text));
        self.say(&places)
    }

    /// Begins one more condition that has to hold.
    pub(super) fn and(&mut self) -> &mut Self {
        self.conditions += 1;
        self.say(match self.conditions {
            1 => " WHERE ",
            _ => " AND ",
        })
    }

    /// That a column holds this text. Names of people are lower-case; of others the case does not
    /// count, as far as the engine knows letters.
    fn holds(&mut self, column: &str, text: &str, lower: bool) -> &mut Self {
        match lower {
            true => self.say(column),
            false => self.say("LOWER(").say(column).say(")"),
        };
        self.say(" LIKE ").text(&contains(text)).say(" ESCAPE '!'")
    }

    /// That `u`, the owner, or `s`, the server, is among these.
    fn among(&mut self, among: &Among, with_servers: bool) -> &mut Self {
        self.and().say("(u.name IN (").texts(&among.users);
        self.say(") OR u.id IN (SELECT m.user_id FROM group_members m JOIN groups g ON g.id = m.group_id WHERE g.name IN (")
            .texts(&among.groups)
            .say("))");
        for (user, server) in among.servers.iter().filter(|_| with_servers) {
            self.say(" OR (u.name = ").text(user);
            self.say(" AND s.name = ").text(server).say(")");
        }
        self.say(")")
    }

    fn page(&mut self, order: &str, offset: i64, limit: i64) -> &mut Self {
        self.say(" ORDER BY ").say(order).say(" LIMIT ");
        self.number(limit).say(" OFFSET ").number(offset)
    }

    pub(super) async fn all<T: Row>(self, tx: &mut Tx) -> sqlx::Result<Vec<T>> {
        on!(tx, |c| {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(self.text));
            for value in self.values {
                query = match value {
                    Bound::Text(text) => query.bind(text),
                    Bound::Number(number) => query.bind(number),
                };
            }
            query.fetch_all(c).await
        })
    }

    async fn count(self, tx: &mut Tx) -> sqlx::Result<i64> {
        let counted: Vec<(i64,)> = self.all(tx).await?;
        Ok(counted.first().map_or(0, |(many,)| *many))
    }
}
