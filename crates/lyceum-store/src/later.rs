//! Statements that are left for the commit ([`Tx::later`](crate::Tx::later)).
//!
//! On SQLite each statement is a message to the connection's thread and one back; those that were
//! left go there in one, with the `COMMIT` at their end.

use std::fmt::Write as _;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe};

/// A portable statement and what is bound in it. It gives no rows.
#[derive(Debug, Clone)]
pub struct Later {
    sql: &'static str,
    values: Vec<Value>,
}

#[derive(Debug, Clone)]
pub enum Value {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

impl Later {
    pub fn new(sql: &'static str) -> Self {
        Self {
            sql,
            values: Vec::new(),
        }
    }

    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    pub(crate) async fn run(self, to: &mut PgConnection) -> sqlx::Result<()> {
        let mut query = sqlx::query(self.sql);
        for value in self.values {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
            };
        }
        query.execute(to).await.map(|_| ())
    }
}

/// All of them and `last` as one text for SQLite, which counts what is bound through all of it.
pub(crate) fn together(
    statements: Vec<Later>,
    last: &str,
) -> sqlx::Result<(AssertSqlSafe<String>, SqliteArguments)> {
    let mut text = String::new();
    let mut arguments = SqliteArguments::default();
    for statement in statements {
        let before = arguments.len();
        renumber(&mut text, statement.sql, before);
        text.push(';');
        for value in statement.values {
            let added = match value {
                Value::Text(text) => arguments.add(text),
                Value::Number(number) => arguments.add(number),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
    }
    text.push_str(last);
    Ok((AssertSqlSafe(text), arguments))
}

/// Writes a statement with `$1` as `$4`, if three are bound before it.
fn renumber(text: &mut String, sql: &str, before: usize) {
    let mut pieces = sql.split('$');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = piece.split_at(digits);
        match number.parse::<usize>() {
            Ok(number) => {
                let _ = write!(text, "${}{rest}", number + before);
            }
            Err(_) => {
                text.push('$');
                text.push_str(piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_from_one_statement_to_the_next() {
        let statements = vec![
            Later::new("DELETE FROM a WHERE x = $1 OR y = $2")
                .bind("x")
                .bind(2),
            Later::new("DELETE FROM b"),
            Later::new("INSERT INTO c VALUES ($2, $10, $1)").bind(None::<i64>),
        ];
        let (text, arguments) = together(statements, "COMMIT").expect("bound");
        let expect = "DELETE FROM a WHERE x = $1 OR y = $2;DELETE FROM b;INSERT INTO c VALUES ($4, $12, $3);COMMIT";
        assert_eq!(text.0, expect);
        assert_eq!(arguments.len(), 3);
    }
}
