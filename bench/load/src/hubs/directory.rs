//! A real directory, OpenLDAP's `slapd` over TLS, behind a relay that holds each piece of what it says back for a
//! while, as the way to a busy directory far off does.

use super::peers::{PASSWORD, free_address};
use crate::http::PATIENCE;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

pub(super) const ANSWERS_AFTER: Duration = Duration::from_millis(200);
/// Where the password stands of the account that reads.
pub(super) const PASSWORD_FILE: &str = "reader";
const READER_PASSWORD: &str = "the reader's secret";
const ROOT: &str = "dc=example,dc=edu";
const SLAPD: &str = "/usr/sbin/slapd";
const SLAPADD: &str = "/usr/sbin/slapadd";

pub(super) struct Directory {
    _slapd: Process,
    relay: JoinHandle<()>,
    /// Of the relay.
    address: SocketAddr,
    certificate: String,
}

/// Who is in it: so many people, and a group with all of them.
pub(super) fn name_of(number: u32) -> String {
    format!("person{number:05}")
}

impl Directory {
    pub(super) async fn start(folder: &Path, people: u32) -> Result<Self> {
        fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
        fs::create_dir(folder.join("data"))?;
        let certificate = write_certificate(folder)?;
        fs::write(folder.join("slapd.conf"), configuration(folder))?;
        fs::write(folder.join(PASSWORD_FILE), READER_PASSWORD)?;
        fs::write(folder.join("people.ldif"), entries(people)?)?;
        let mut add = Command::new(SLAPADD);
        add.arg("-q").arg("-f").arg(folder.join("slapd.conf"));
        call(add.arg("-l").arg(folder.join("people.ldif")))?;
        let address = free_address()?;
        let words = [
            "-d".to_owned(),
            "0".to_owned(),
            "-f".to_owned(),
            folder.join("slapd.conf").display().to_string(),
            "-h".to_owned(),
            format!("ldaps://{address}/"),
        ];
        let mut slapd = Process::start(OsStr::new(SLAPD), &words, &[], folder.join("log"))?;
        let asked = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            slapd.check_running()?;
            if asked.elapsed() > PATIENCE {
                bail!("slapd does not listen");
            }
            sleep(Duration::from_millis(5)).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            _slapd: slapd,
            address: listener.local_addr()?,
            relay: tokio::spawn(relay(listener, address)),
            certificate,
        })
    }

    /// How Lyceum asks it, local accounts after it.
    pub(super) fn configuration(&self, password: &Path) -> String {
        let port = self.address.port();
        format!(
            "sign_in:\n\
             - kind: ldap\n  \
               title: The directory\n  \
               servers: ['ldaps://localhost:{port}']\n  \
               authority: '{}'\n  \
               base: ou=people,{ROOT}\n  \
               reader: {{name: 'cn=reader,{ROOT}', password: 'file:{}'}}\n  \
               groups: {{base: 'ou=groups,{ROOT}'}}\n  \
               allow: {{everyone: true}}\n\
             - kind: local\n  \
               title: Lyceum\n",
            self.certificate,
            password.display()
        )
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {folder}/server.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * search
database mdb
suffix \"{ROOT}\"
directory {folder}/data
maxsize 16777216
dbnosync
index uid,memberUid,member,uniqueMember eq
"
    )
}

fn entries(people: u32) -> Result<String> {
    let mut text = format!(
        "dn: {ROOT}\nobjectClass: domain\ndc: example\n\n\
         dn: ou=people,{ROOT}\nobjectClass: organizationalUnit\nou: people\n\n\
         dn: ou=groups,{ROOT}\nobjectClass: organizationalUnit\nou: groups\n\n\
         dn: cn=reader,{ROOT}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\nuserPassword: {READER_PASSWORD}\n"
    );
    for uid in (1..=people).map(name_of) {
        write!(
            text,
            "\ndn: uid={uid},ou=people,{ROOT}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: The person {uid}\nsn: {uid}\nuserPassword: {PASSWORD}\n"
        )?;
    }
    write!(
        text,
        "\ndn: cn=students,ou=groups,{ROOT}\nobjectClass: posixGroup\ncn: students\ngidNumber: 2000\n"
    )?;
    for uid in (1..=people).map(name_of) {
        writeln!(text, "memberUid: {uid}")?;
    }
    Ok(text)
}

/// Vouches for itself; gives its path.
fn write_certificate(folder: &Path) -> Result<String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let wish = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = localhost\n[more]\nsubjectAltName = DNS:localhost\nbasicConstraints = critical, CA:FALSE\n";
    fs::write(folder.join("openssl.cnf"), wish)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-config", &path("openssl.cnf")]);
    openssl.args(["-keyout", &path("server.key"), "-out", &path("server.pem")]);
    call(&mut openssl)?;
    Ok(path("server.pem"))
}

fn call(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Passes on at once what the hub asks, and late what is answered.
async fn relay(listener: TcpListener, to: SocketAddr) {
    while let Ok((hub, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(directory) = TcpStream::connect(to).await else {
                return;
            };
            for stream in [&hub, &directory] {
                stream.set_nodelay(true).ok();
            }
            let (from_hub, to_hub) = hub.into_split();
            let (from_directory, to_directory) = directory.into_split();
            tokio::join!(
                pass(from_hub, to_directory, Duration::ZERO),
                pass(from_directory, to_hub, ANSWERS_AFTER)
            );
        });
    }
}

/// Each piece so much later than it came; many may be on their way at once.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, later: Duration) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece).await {
            let due = Instant::now() + later;
            if sender.send((due, piece[..length].to_vec())).is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        to.shutdown().await.ok();
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_come_late_and_whole() {
        let (mut asked, there) = tokio::io::duplex(64);
        let (back, mut got) = tokio::io::duplex(64);
        tokio::spawn(pass(there, back, ANSWERS_AFTER));
        let began = Instant::now();
        asked.write_all(b"one").await.expect("sent");
        asked.write_all(b"two").await.expect("sent");
        drop(asked);
        let mut all = Vec::new();
        got.read_to_end(&mut all).await.expect("the end");
        assert_eq!(all, b"onetwo");
        assert!(began.elapsed() >= ANSWERS_AFTER);
    }
}
