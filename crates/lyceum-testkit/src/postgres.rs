//! A PostgreSQL server of our own: in a temporary folder, on a unix socket, gone with its maker. It
//! can be restarted without warning, and have a standby that takes its place, as in a fail-over.
//!
//! The distribution's binaries are started under a small shell that holds one end of a pipe. When
//! the other end closes (dropped, panicked, killed) the shell stops the server and removes the
//! folder, so nothing is left behind whichever way the test process ends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sqlx::{Connection as _, PgConnection};

/// A running server; it stops when this is dropped or the process ends.
pub struct Postgres {
    /// Holds the pipe the watching shell reads from.
    shell: Child,
    answers: BufReader<ChildStdout>,
    url: String,
    folder: PathBuf,
}

/// `$1` is the folder of the binaries, `$2` our own folder, `$3` that of a server to follow. Each line of
/// input is a number of seconds for which the server shall be away, and perhaps `follows` for what it
/// is from then on.
///
/// Acknowledged commits outlive a restart, but no loss of power: nothing waits for the disk.
const SHELL: &str = r#"
end() {
    trap '' EXIT
    [ -n "$server" ] && kill -QUIT "$server" 2>/dev/null && wait "$server"
    rm -rf "$2/data" "$2"/.s.* "$2/log"
    rmdir "$2" 2>/dev/null
}
server=
# Who started us may be gone before it could be told `ready`: that must not end this shell.
trap '' PIPE
trap 'exit 1' HUP INT TERM
trap 'end "$@"' EXIT
make() {
    if [ -n "$3" ]; then
        "$1/pg_basebackup" -D "$2/data" -h "$3" -U lyceum -d application_name=standby -R -X stream -c fast --no-sync
    else
        "$1/initdb" -D "$2/data" -U lyceum --auth=trust --no-sync --encoding=UTF8 --locale=C
    fi
}
make "$@" >"$2/log" 2>&1 || { echo "making its files: $(tail -n 3 "$2/log" | tr '\n' ' ')"; exit 1; }
begin() {
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=on \
        -c full_page_writes=off -c max_connections=400 -c shared_buffers=64MB >>"$2/log" 2>&1 &
    server=$!
    tries=0
    until "$1/pg_isready" -q -h "$2" -d postgres; do
        kill -0 "$server" 2>/dev/null || { echo "postgres: $(tail -n 3 "$2/log" | tr '\n' ' ')"; exit 1; }
        tries=$((tries + 1))
        [ "$tries" -gt 600 ] && { echo "postgres did not answer within a minute"; exit 1; }
        sleep 0.1
    done
    echo ready
}
begin "$@"
# The end of input is the end of the process that started us.
while read -r pause role; do
    kill -QUIT "$server"
    wait "$server"
    [ "$role" = follows ] && : >"$2/data/standby.signal"
    sleep "$pause"
    begin "$@"
done
"#;

const FOLLOWED_WITHIN: Duration = Duration::from_secs(60);

impl Postgres {
    /// Starts a server; takes about two seconds.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_after(None)
    }

    /// Starts a standby with all that this server has: it follows it until it is promoted
    /// (`SELECT pg_promote()`). From then on this server calls nothing committed that the standby does
    /// not have.
    pub async fn standby(&self) -> anyhow::Result<Self> {
        let leader = self.folder.clone();
        let standby = move || Self::start_after(Some(&leader));
        let standby = tokio::task::spawn_blocking(standby).await??;
        let mut own = PgConnection::connect(&self.url).await?;
        for sql in [
            "ALTER SYSTEM SET synchronous_standby_names = 'standby'",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::query(sql).execute(&mut own).await?;
        }
        let begun = Instant::now();
        loop {
            let sync = "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
            let sync: i64 = sqlx::query_scalar(sync).fetch_one(&mut own).await?;
            if sync == 1 {
                return Ok(standby);
            }
            if begun.elapsed() > FOLLOWED_WITHIN {
                bail!("the standby does not follow");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Of a standby: it follows nobody any more, and takes changes.
    pub async fn promote(&self) -> anyhow::Result<()> {
        let mut own = PgConnection::connect(&self.url).await?;
        let promoted = sqlx::query_scalar("SELECT pg_promote()").fetch_one(&mut own);
        match promoted.await? {
            true => Ok(()),
            false => bail!("the standby was not promoted"),
        }
    }

    fn start_after(leader: Option<&Path>) -> anyhow::Result<Self> {
        let binaries = find_binaries()?;
        if leader.is_some() {
            expect_copier(&binaries)?;
        }
        let folder = tempfile::Builder::new()
            .prefix("lyceum-pg-")
            .tempdir()
            .context("making a folder for PostgreSQL")?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SHELL, "sh"])
            .arg(&binaries)
            .arg(folder.path())
            .args(leader)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at a terminal is for the tests; the shell then sees the pipe end.
            .process_group(0);
        if rustix::process::geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            let (uid, gid) = find_account()?;
            chown(folder.path(), Some(uid), Some(gid))?;
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn().context("starting /bin/sh")?;
        let mut answers = BufReader::new(shell.stdout.take().expect("stdout is piped"));
        until_ready(&mut answers)?;
        // From here the shell removes the folder.
        let folder = folder.keep();
        let url = format!(
            "postgres://lyceum@localhost/postgres?host={}",
            folder.display()
        );
        Ok(Self {
            shell,
            answers,
            url,
            folder,
        })
    }

    /// Ends it at once, cutting all connections off in the middle of whatever they did, and
    /// returns when it answers again, after this pause and what it takes to recover.
    pub fn restart(&mut self, pause: Duration) -> anyhow::Result<()> {
        let shell = self.shell.stdin.as_mut().context("the shell has ended")?;
        writeln!(shell, "{}", pause.as_secs_f64())?;
        until_ready(&mut self.answers)
    }

    /// As [`Postgres::restart`]; from then on it is a standby that waits for news of another server:
    /// it answers questions and takes no changes, until it is promoted (`SELECT pg_promote()`).
    pub fn follow(&mut self) -> anyhow::Result<()> {
        let shell = self.shell.stdin.as_mut().context("the shell has ended")?;
        writeln!(shell, "0 follows")?;
        until_ready(&mut self.answers)
    }

    /// `postgres://…` of its maintenance database, with the right to create databases.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn until_ready(answers: &mut impl BufRead) -> anyhow::Result<()> {
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    match answer.trim() {
        "ready" => Ok(()),
        other => bail!("PostgreSQL did not start: {other}"),
    }
}

/// Debian keeps the server's binaries out of `PATH`, one folder per version; the newest is taken.
fn find_binaries() -> anyhow::Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .map(|version| (version, format!("/usr/lib/postgresql/{version}/bin").into()))
        .filter(|(_, folder): &(u32, PathBuf)| is_server(folder))
        .max_by_key(|(version, _)| *version);
    if let Some((_, folder)) = newest {
        return Ok(folder);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| is_server(folder))
        .context(
            "PostgreSQL is needed for this test and was not found: install it (Debian: `apt-get install postgresql`), \
             or set LYCEUM_TEST_POSTGRES to the postgres:// URL of a server where databases can be created",
        )
}

fn is_server(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"]
        .iter()
        .all(|name| folder.join(name).is_file())
}

/// A standby begins as a copy of its leader.
fn expect_copier(binaries: &Path) -> anyhow::Result<()> {
    if !binaries.join("pg_basebackup").is_file() {
        bail!(
            "a standby of PostgreSQL is made with `pg_basebackup`, which is not in {}: install what is missing \
             of PostgreSQL there (Debian: `apt-get install postgresql`)",
            binaries.display()
        );
    }
    Ok(())
}

/// User and group id of `postgres`, else of `nobody`.
fn find_account() -> anyhow::Result<(u32, u32)> {
    let accounts = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| {
            let line = accounts
                .lines()
                .find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .context("PostgreSQL refuses to run as root, and there is neither an account `postgres` nor `nobody`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_server_leaves_nothing_behind() {
        let server = Postgres::start().unwrap();
        let (_, folder) = server.url().split_once("host=").unwrap();
        let folder = PathBuf::from(folder);
        assert!(folder.join("data/postmaster.pid").exists());
        drop(server);
        assert!(!folder.exists());
    }

    #[test]
    fn what_a_standby_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = expect_copier(folder.path()).unwrap_err().to_string();
        let place = folder.path().display().to_string();
        assert!(refused.contains("`pg_basebackup`"), "{refused}");
        assert!(refused.contains(&place), "{refused}");
        fs::write(folder.path().join("pg_basebackup"), "").unwrap();
        expect_copier(folder.path()).unwrap();
    }
}
