//! Rows to text and back. The tables come from the database's own catalogue, so none is forgotten.
//!
//! A row is one line, a JSON list in the order of the columns. Real numbers are written as text,
//! which keeps every bit of them. Types outside the common subset (see `migrations/README.md`) are
//! refused rather than guessed.

use std::io::Write;

use anyhow::{Context, bail, ensure};
use futures_util::TryStreamExt;
use lyceum_model::digest::Digest;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};

use super::archive::{Archive, Stream};
use crate::db::{Conn, Engine, Tx, at_length};
use crate::on;

/// Tables that have rows in a database that was just migrated.
const SEEDED: [&str; 2] = ["schema_steps", "counters"];

pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    pub(super) name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
    Bool,
    Real,
}

/// All tables with their columns, sorted by name.
pub(super) async fn list(tx: &mut Tx) -> anyhow::Result<Vec<Table>> {
    let (tables, columns) = match tx.engine() {
        Engine::Sqlite => (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name",
            "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
        ),
        Engine::Postgres => (
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') ORDER BY c.relname COLLATE \"C\"",
            "SELECT column_name::text, data_type::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
        ),
    };
    let names: Vec<String> = on!(tx, |c| sqlx::query_scalar(tables).fetch_all(c).await)?;
    let mut found = Vec::new();
    for name in names {
        let rows: Vec<(String, String)> = on!(tx, |c| sqlx::query_as(columns)
            .bind(&name)
            .fetch_all(c)
            .await)?;
        let columns = rows
            .into_iter()
            .map(|(column, kind)| {
                let kind = Kind::parse(&kind).with_context(|| {
                    format!("the column {name}.{column} has the type {kind}, which a backup does not know")
                })?;
                Ok(Column { name: column, kind })
            })
            .collect::<anyhow::Result<_>>()?;
        found.push(Table { name, columns });
    }
    Ok(found)
}

impl Kind {
    fn parse(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "text" => Some(Self::Text),
            "bigint" => Some(Self::Int),
            "boolean" => Some(Self::Bool),
            "double precision" => Some(Self::Real),
            _ => None,
        }
    }
}

/// The value of one column as JSON, on either engine's row.
macro_rules! value {
    ($row:expr, $at:expr, $kind:expr) => {
        match $kind {
            Kind::Text => $row.try_get::<Option<String>, _>($at)?.map(Value::from),
            Kind::Int => $row.try_get::<Option<i64>, _>($at)?.map(Value::from),
            Kind::Bool => $row.try_get::<Option<bool>, _>($at)?.map(Value::from),
            Kind::Real => $row
                .try_get::<Option<f64>, _>($at)?
                .map(|real| Value::from(format!("{real:e}"))),
        }
        .unwrap_or(Value::Null)
    };
}

/// Writes all rows of a table; says how many.
pub(super) async fn dump<W: Write + Send + 'static>(
    tx: &mut Tx,
    table: &Table,
    stream: &mut Stream<'_, W>,
) -> anyhow::Result<u64> {
    let sql = format!("SELECT {} FROM {}", table.column_list(), quote(&table.name));
    let mut count = 0;
    let mut line = Vec::new();
    at_length!(tx, |c| {
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(c);
        while let Some(row) = rows.try_next().await? {
            let mut values = Vec::with_capacity(table.columns.len());
            for (at, column) in table.columns.iter().enumerate() {
                values.push(value!(row, at, column.kind));
            }
            line.clear();
            serde_json::to_writer(&mut line, &values)?;
            line.push(b'\n');
            stream.write(&line).await?;
            count += 1;
        }
    });
    Ok(count)
}

/// Reads the rows of a table from the archive; gives their number and digest.
pub(super) async fn load(
    tx: &mut Tx,
    table: &Table,
    archive: &mut Archive,
) -> anyhow::Result<(u64, Digest)> {
    let folder = format!("tables/{}", table.name);
    let insert = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        quote(&table.name),
        table.column_list(),
        crate::events::placeholders(1, table.columns.len())
    );
    let mut hasher = blake3::Hasher::new();
    let (mut number, mut count) = (0, 0);
    // The start of a line whose end comes with the next piece.
    let mut rest: Vec<u8> = Vec::new();
    while let Some(piece) = archive.next_piece(&folder, number).await? {
        number += 1;
        hasher.update(&piece);
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            rest.extend_from_slice(part);
            if rest.ends_with(b"\n") {
                insert_row(tx, table, &insert, &rest)
                    .await
                    .with_context(|| format!("row {} of {}", count + 1, table.name))?;
                count += 1;
                rest.clear();
            }
        }
    }
    ensure!(rest.is_empty(), "the last row of {} is cut", table.name);
    let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
    Ok((count, digest))
}

async fn insert_row(tx: &mut Tx, table: &Table, insert: &str, line: &[u8]) -> anyhow::Result<()> {
    let values: Vec<Value> = serde_json::from_slice(line)?;
    ensure!(
        values.len() == table.columns.len(),
        "it has {} values for {} columns",
        values.len(),
        table.columns.len()
    );
    at_length!(tx, |c| {
        let mut query = sqlx::query(AssertSqlSafe(insert.to_owned()));
        for (value, column) in values.iter().zip(&table.columns) {
            let wrong = || format!("the value of {} is not of its type", column.name);
            let null = value.is_null();
            query = match column.kind {
                Kind::Text if null => query.bind(None::<String>),
                Kind::Int if null => query.bind(None::<i64>),
                Kind::Bool if null => query.bind(None::<bool>),
                Kind::Real if null => query.bind(None::<f64>),
                Kind::Text => query.bind(value.as_str().with_context(wrong)?),
                Kind::Int => query.bind(value.as_i64().with_context(wrong)?),
                Kind::Bool => query.bind(value.as_bool().with_context(wrong)?),
                Kind::Real => {
                    let text = value.as_str().with_context(wrong)?;
                    query.bind(text.parse::<f64>().ok().with_context(wrong)?)
                }
            };
        }
        query.execute(c).await.map(|_| ())
    })?;
    Ok(())
}

/// The first table with rows that a fresh database does not have.
pub(super) async fn first_filled(tx: &mut Tx, tables: &[Table]) -> anyhow::Result<Option<String>> {
    for table in tables {
        let sql = match table.name.as_str() {
            // Counts from 0 on.
            "counters" => "SELECT EXISTS (SELECT 1 FROM counters WHERE value <> 0)".to_owned(),
            name if SEEDED.contains(&name) => continue,
            name => format!("SELECT EXISTS (SELECT 1 FROM {})", quote(name)),
        };
        let filled: bool = on!(tx, |c| sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(c)
            .await)?;
        if filled {
            return Ok(Some(table.name.clone()));
        }
    }
    Ok(None)
}

/// Foreign keys that were taken away: the statements that bring them back.
pub(super) struct Loosened(Vec<String>);

/// Lets rows come in any order until [`tighten`]: tables may refer to each other in circles.
pub(super) async fn loosen(tx: &mut Tx) -> anyhow::Result<Loosened> {
    if tx.engine() == Engine::Sqlite {
        // Until the end of the transaction; the commit checks.
        run(tx, "PRAGMA defer_foreign_keys = ON".into()).await?;
        return Ok(Loosened(Vec::new()));
    }
    let keys: Vec<(String, String, String)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
    )
    .fetch_all(c)
    .await
    })?;
    let mut back = Vec::new();
    for (table, name, definition) in keys {
        run(tx, format!("ALTER TABLE {table} DROP CONSTRAINT {name}")).await?;
        back.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"
        ));
    }
    Ok(Loosened(back))
}

/// Brings the foreign keys back and checks them.
pub(super) async fn tighten(tx: &mut Tx, loosened: Loosened) -> anyhow::Result<()> {
    for sql in loosened.0 {
        run(tx, sql)
            .await
            .context("the rows of the archive refer to rows that it does not have")?;
    }
    if let Conn::Sqlite(transaction) = &mut tx.conn {
        let broken = sqlx::query("PRAGMA foreign_key_check")
            .fetch_optional(&mut **transaction)
            .await?;
        if let Some(row) = broken {
            let table: String = row.try_get(0)?;
            bail!("the rows of the archive refer to rows that it does not have (in {table})");
        }
    }
    Ok(())
}

/// Removes the rows that a fresh database has.
pub(super) async fn clear(tx: &mut Tx, tables: &[Table]) -> anyhow::Result<()> {
    for table in tables {
        run(tx, format!("DELETE FROM {}", quote(&table.name))).await?;
    }
    Ok(())
}

/// Removes the tables, which have no rows but those of a fresh database.
pub(super) async fn drop_all(tx: &mut Tx, tables: &[Table]) -> anyhow::Result<()> {
    let names: Vec<String> = tables.iter().map(|table| quote(&table.name)).collect();
    match tx.engine() {
        Engine::Postgres => run(tx, format!("DROP TABLE {} CASCADE", names.join(", "))).await,
        Engine::Sqlite => {
            run(tx, "PRAGMA defer_foreign_keys = ON".into()).await?;
            let links: Vec<(String, String)> = on!(tx, |c| {
                sqlx::query_as(
                "SELECT m.name, f.\"table\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f WHERE m.type = 'table'"
            )
            .fetch_all(c)
            .await
            })?;
            // To drop a table looks at those that refer to it, and at all that these refer to.
            let mut left: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            while !left.is_empty() {
                let is_free = |name: &str| {
                    let referring = links.iter().filter(|(_, to)| to == name);
                    referring
                        .into_iter()
                        .all(|(from, _)| from == name || !left.contains(&from.as_str()))
                };
                let next = left.iter().position(|name| is_free(name)).unwrap_or(0);
                let name = quote(left.remove(next));
                run(tx, format!("DROP TABLE {name}")).await?;
            }
            Ok(())
        }
    }
}

async fn run(tx: &mut Tx, sql: String) -> anyhow::Result<()> {
    at_length!(tx, |c| sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(c)
        .await
        .map(|_| ()))?;
    Ok(())
}

impl Table {
    fn column_list(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| quote(&c.name)).collect();
        names.join(", ")
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
