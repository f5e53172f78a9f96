//! A PostgreSQL server for one run of the tests: Debian's program, a folder of
//! its own, a free port, no care for power cuts. It ends with us, however we
//! end: dropped, interrupted or killed.

use crate::tools::{cache, command, is_root, read};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    server: Child,
    folder: PathBuf,
    url: String,
}

/// Where Debian keeps the server's programs: the newest version's folder.
pub(crate) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
            folder
                .join("bin/initdb")
                .is_file()
                .then(|| (version, folder.join("bin")))
        })
        .max()
        .map(|(_, bin)| bin)
}

impl Postgres {
    pub(crate) fn start() -> Result<Self> {
        let bin = programs()
            .context("PostgreSQL's server programs are missing; run `cargo xtask setup`")?;
        let account = Account::choose()?;
        let folder = account.make_folder()?;
        let password = make_password()?;
        let started = start_server(&bin, &account, &folder, &password);
        if started.is_err() {
            fs::remove_dir_all(&folder).ok();
        }
        let (server, url) = started?;
        Ok(Self {
            server,
            folder,
            url,
        })
    }

    /// Address of the server, with the right to make databases.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn stop(&mut self) -> Result<()> {
        // The interrupt is PostgreSQL's "fast" shutdown: connections are cut.
        read(Command::new("kill").args(["-INT", &self.server.id().to_string()]))?;
        let asked = Instant::now();
        while self.server.try_wait()?.is_none() {
            if asked.elapsed() > STOP_LIMIT {
                println!(
                    "PostgreSQL did not stop within {} s and is killed",
                    STOP_LIMIT.as_secs()
                );
                self.server.kill()?;
                self.server.wait()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        fs::remove_dir_all(&self.folder)
            .with_context(|| format!("removing {}", self.folder.display()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            println!("stopping PostgreSQL: {error:#}");
        }
    }
}

/// Who runs the server. PostgreSQL refuses to run as root.
enum Account {
    Ourselves,
    Postgres { uid: u32, gid: u32 },
}

impl Account {
    fn choose() -> Result<Self> {
        if !is_root()? {
            return Ok(Self::Ourselves);
        }
        let id = |what: &str| -> Result<u32> {
            let text = read(Command::new("id").args([what, "postgres"]))
                .context("Debian's PostgreSQL package makes the account `postgres`")?;
            text.trim().parse().context("reading the output of `id`")
        };
        Ok(Self::Postgres {
            uid: id("-u")?,
            gid: id("-g")?,
        })
    }

    /// The program as this account. It also gets the signal that ends it when
    /// we die, whatever we die of.
    fn command(&self, program: &Path) -> Command {
        let mut command = command("setpriv");
        command.args(["--pdeathsig", "INT"]);
        if let Self::Postgres { uid, gid } = self {
            command.args([
                format!("--reuid={uid}"),
                format!("--regid={gid}"),
                "--init-groups".to_owned(),
            ]);
        }
        command.arg("--").arg(program);
        command
    }

    /// A new private folder that the account can reach.
    fn make_folder(&self) -> Result<PathBuf> {
        let name = format!("pg-{}", std::process::id());
        sweep(&cache())?;
        let folder = cache().join(&name);
        make_private(&folder)?;
        let Self::Postgres { uid, gid } = *self else {
            return Ok(folder);
        };
        chown(&folder, Some(uid), Some(gid))?;
        if read(self.command(Path::new("test")).arg("-w").arg(&folder)).is_ok() {
            return Ok(folder);
        }
        // The checkout is in someone's private home.
        fs::remove_dir(&folder)?;
        let folder = std::env::temp_dir().join(format!("lyceum-{name}"));
        make_private(&folder)?;
        chown(&folder, Some(uid), Some(gid))?;
        Ok(folder)
    }
}

fn make_private(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// Folders of runs that were killed before they could clean up.
fn sweep(cache: &Path) -> Result<()> {
    fs::create_dir_all(cache)?;
    for entry in fs::read_dir(cache)? {
        let folder = entry?.path();
        let owner = folder
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("pg-")?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    Ok(())
}

fn make_password() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn start_server(
    bin: &Path,
    account: &Account,
    folder: &Path,
    password: &str,
) -> Result<(Child, String)> {
    let password_file = folder.join("password");
    fs::write(&password_file, password)?;
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
    if let Account::Postgres { uid, gid } = *account {
        chown(&password_file, Some(uid), Some(gid))?;
    }
    let data = folder.join("data");
    read(
        account
            .command(&bin.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=password",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .arg(format!("--pwfile={}", password_file.display()))
            .arg("-D")
            .arg(&data),
    )?;

    // PostgreSQL cannot take port 0. The port found free here could be taken
    // by another program before it is used; the log says so then.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let log_path = folder.join("log");
    let log = fs::File::create(&log_path)?;
    let mut server = account
        .command(&bin.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args([
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=300",
        ])
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("starting PostgreSQL")?;

    let ready = [
        format!("--port={port}"),
        "--host=127.0.0.1".to_owned(),
        "--quiet".to_owned(),
    ];
    let asked = Instant::now();
    while read(Command::new(bin.join("pg_isready")).args(&ready)).is_err() {
        let ended = server.try_wait()?;
        if ended.is_some() || asked.elapsed() > START_LIMIT {
            server.kill().ok();
            server.wait()?;
            let log = fs::read_to_string(&log_path).unwrap_or_default();
            bail!(
                "PostgreSQL is not ready after {} s; its log:\n{log}",
                asked.elapsed().as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("PostgreSQL on 127.0.0.1:{port}, in {}", folder.display());
    Ok((
        server,
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"),
    ))
}
