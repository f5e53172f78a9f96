//! A fresh, migrated database for one test, on either engine.
//!
//! PostgreSQL is started once per test process ([`crate::postgres`]), or taken from
//! `LYCEUM_TEST_POSTGRES` when a run of many processes shares one. Each test gets its own database,
//! copied from a migrated template and dropped afterwards. What goes wrong here panics: a test
//! without its database has failed.

use std::process;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use lyceum_store::db::Location;
use lyceum_store::{Db, migrate};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use crate::postgres::Postgres;

/// Names the server to use instead of starting one.
pub const POSTGRES_ENV: &str = "LYCEUM_TEST_POSTGRES";

/// A database that lives as long as this value.
pub struct TestDb {
    db: Db,
    location: Location,
    keep: Keep,
}

/// What has to be removed in the end.
enum Keep {
    Folder(#[expect(dead_code, reason = "held for its Drop, which removes the folder")] TempDir),
    Database { server: String, name: String },
}

impl TestDb {
    /// Migrated, on SQLite in a temporary folder.
    pub async fn sqlite() -> Self {
        let test = Self::empty_sqlite().await;
        migrate::run(test.db()).await.expect("the migrations run");
        test
    }

    /// Migrated, on PostgreSQL.
    pub async fn postgres() -> Self {
        Self::create_postgres(true).await
    }

    /// One of each engine: tell the story on both.
    pub async fn both() -> Vec<Self> {
        vec![Self::sqlite().await, Self::postgres().await]
    }

    /// Without any table, on SQLite.
    pub async fn empty_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let location = Location::Sqlite(folder.path().join("lyceum.db"));
        let db = Db::open(&location).await.expect("SQLite opens");
        Self {
            db,
            location,
            keep: Keep::Folder(folder),
        }
    }

    /// Without any table, on PostgreSQL.
    pub async fn empty_postgres() -> Self {
        Self::create_postgres(false).await
    }

    /// Without any table, one of each engine.
    pub async fn both_empty() -> Vec<Self> {
        vec![Self::empty_sqlite().await, Self::empty_postgres().await]
    }

    pub fn db(&self) -> &Db {
        &self.db
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// A second handle on the same database, as another replica would have it.
    pub async fn another(&self) -> Db {
        Db::open(&self.location)
            .await
            .expect("the database opens again")
    }

    async fn create_postgres(migrated: bool) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let server = server().await;
        let mut connection = connect(&server).await;
        let template = match migrated {
            true => migrated_template(&server, &mut connection).await,
            false => "template0".to_owned(),
        };
        // Several processes may share the server, and one may have had our process id before.
        let started = lyceum_model::clock::Clock::system().now().0;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("lyceum_test_{}_{started}_{number}", process::id());
        run(
            &mut connection,
            format!("CREATE DATABASE {name} TEMPLATE {template}"),
        )
        .await;
        let _ = connection.close().await;
        let url = database_url(&server, &name);
        let location = Location::Postgres(url);
        let db = Db::open(&location).await.expect("the new database opens");
        Self {
            db,
            location,
            keep: Keep::Database { server, name },
        }
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let Keep::Database { server, name } = &self.keep else {
            return;
        };
        let (server, name) = (server.clone(), name.clone());
        // A thread, since a runtime can't be started inside the one that drops us.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                let mut connection = connect(&server).await;
                run(
                    &mut connection,
                    format!("DROP DATABASE {name} WITH (FORCE)"),
                )
                .await;
            });
        });
        if dropping.join().is_err() && !std::thread::panicking() {
            panic!("the test database could not be dropped");
        }
    }
}

/// From its next connection on, this database's clock is so much ahead of the machine's.
pub async fn set_clock(test: &TestDb, milliseconds: i64) {
    let Location::Postgres(url) = test.location() else {
        panic!("SQLite has the machine's clock");
    };
    let mut connection = connect(url).await;
    for sql in [
        "CREATE SCHEMA IF NOT EXISTS ahead".to_owned(),
        format!(
            "CREATE OR REPLACE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
             $$ SELECT pg_catalog.clock_timestamp() + {milliseconds} * INTERVAL '1 millisecond' $$"
        ),
        // What is looked for here first is found before what the system brings.
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = ahead, pg_catalog, public', \
         current_database()); END $$"
            .to_owned(),
    ] {
        run(&mut connection, sql).await;
    }
    let _ = connection.close().await;
}

/// The URL of the server's maintenance database.
async fn server() -> String {
    static SERVER: OnceLock<Result<Postgres, String>> = OnceLock::new();
    if let Ok(url) = std::env::var(POSTGRES_ENV) {
        return url;
    }
    let start = || SERVER.get_or_init(|| Postgres::start().map_err(|error| format!("{error:#}")));
    let started = tokio::task::spawn_blocking(start)
        .await
        .expect("starting PostgreSQL does not panic");
    match started {
        Ok(server) => server.url().to_owned(),
        Err(error) => panic!("{error}"),
    }
}

/// The name of a migrated database to copy, made by whoever comes first.
async fn migrated_template(server: &str, connection: &mut PgConnection) -> String {
    let mut hasher = blake3::Hasher::new();
    for step in migrate::STEPS {
        hasher.update(step.sql.as_bytes());
    }
    let name = format!("lyceum_template_{}", &hasher.finalize().to_hex()[..16]);
    run(connection, "SELECT pg_advisory_lock(4953171)".into()).await;
    let finished: Option<bool> =
        sqlx::query_scalar("SELECT datistemplate FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut *connection)
            .await
            .expect("the list of databases can be read");
    if finished != Some(true) {
        // One that is there without the mark was left half made.
        run(
            connection,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        run(
            connection,
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        let db = Db::open(&Location::Postgres(database_url(server, &name)))
            .await
            .expect("the template opens");
        migrate::run(&db).await.expect("the migrations run");
        db.close().await;
        run(
            connection,
            format!("ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"),
        )
        .await;
    }
    run(connection, "SELECT pg_advisory_unlock(4953171)".into()).await;
    name
}

/// `server` with another database name, whatever else the URL says.
fn database_url(server: &str, name: &str) -> String {
    let (before, options) = match server.split_once('?') {
        Some((before, options)) => (before, format!("?{options}")),
        None => (server, String::new()),
    };
    let scheme_end = before.find("://").map_or(0, |at| at + 3);
    let authority_end = before[scheme_end..]
        .find('/')
        .map_or(before.len(), |at| scheme_end + at);
    format!("{}/{name}{options}", &before[..authority_end])
}

async fn connect(server: &str) -> PgConnection {
    PgConnectOptions::from_str(server)
        .expect("the URL of the test server can be read")
        .connect()
        .await
        .expect("the test server answers")
}

async fn run(connection: &mut PgConnection, sql: String) {
    connection
        .execute(AssertSqlSafe(sql.clone()))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_urls() {
        let check = |server: &str, expect: &str| assert_eq!(database_url(server, "x"), expect);
        check("postgres://a:b@h:5/postgres", "postgres://a:b@h:5/x");
        check("postgres://h", "postgres://h/x");
        check(
            "postgres://a@h/p?host=/tmp/y",
            "postgres://a@h/x?host=/tmp/y",
        );
    }
}
