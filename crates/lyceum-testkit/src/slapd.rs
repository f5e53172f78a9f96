//! A directory of our own: OpenLDAP's `slapd` on a free port of loopback, with its own folder and a
//! certificate of its own authority, gone with its maker.
//!
//! There are people below `ou=people`, groups below `ou=groups`, and an account that may read; who is
//! asked without a name may look nobody up. Groups of names (`member`) show in `memberOf` of their members.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ldap3::{Ldap, LdapConnAsync, Mod, dn_escape};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// What everything stands below.
pub const ROOT: &str = "dc=example,dc=edu";
pub const PEOPLE: &str = "ou=people,dc=example,dc=edu";
pub const GROUPS: &str = "ou=groups,dc=example,dc=edu";
/// May read everything but passwords.
pub const READER: &str = "cn=reader,dc=example,dc=edu";
pub const READER_PASSWORD: &str = "the reader's secret";
const ADMIN: &str = "cn=admin,dc=example,dc=edu";
const ADMIN_PASSWORD: &str = "the administrator's secret";

const PROGRAM: &str = "/usr/sbin/slapd";
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often another program may have taken the port that was found free.
const PORTS: usize = 5;

/// A running directory; it stops when this is dropped or the process ends.
pub struct Slapd {
    /// Holds the pipe the watching shell reads from.
    shell: Child,
    port: u16,
    tls_port: u16,
    authority: String,
}

/// `$1` is the folder, `$2` the addresses. The end of input is the end of whoever started us.
const SHELL: &str = r#"
end() {
    trap '' EXIT
    [ -n "$server" ] && kill -KILL "$server" 2>/dev/null && wait "$server"
    rm -rf "$1"
}
server=
trap '' PIPE
trap 'exit 1' HUP INT TERM
trap 'end "$@"' EXIT
/usr/sbin/slapd -d 0 -f "$1/slapd.conf" -h "$2" >"$1/log" 2>&1 &
server=$!
echo "$server"
read -r end
"#;

impl Slapd {
    /// Starts one without people; takes less than a second.
    pub async fn start() -> Self {
        let slapd = tokio::task::spawn_blocking(Self::begin).await;
        let slapd = slapd.expect("no panic").expect("a directory");
        let mut admin = slapd.admin().await;
        for (dn, class, name) in [
            (ROOT, "domain", ("dc", "example")),
            (PEOPLE, "organizationalUnit", ("ou", "people")),
            (GROUPS, "organizationalUnit", ("ou", "groups")),
        ] {
            add(&mut admin, dn, &[("objectClass", class), name]).await;
        }
        let reader = [
            ("objectClass", "organizationalRole"),
            ("objectClass", "simpleSecurityObject"),
            ("cn", "reader"),
            ("userPassword", READER_PASSWORD),
        ];
        add(&mut admin, READER, &reader).await;
        slapd
    }

    fn begin() -> anyhow::Result<Self> {
        if !Path::new(PROGRAM).exists() {
            bail!(
                "OpenLDAP's server is needed for this test and was not found: install it (Debian: `apt-get install slapd`)"
            );
        }
        let mut ended = String::new();
        // It can't be told to take any port that is free: what was free may be taken a moment later.
        for _ in 0..PORTS {
            // Both at once, so that they are two.
            let free = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
            let [plain, tls] = free;
            let (plain, tls) = (plain?.local_addr()?.port(), tls?.local_addr()?.port());
            match Self::begin_at(plain, tls)? {
                Ok(slapd) => return Ok(slapd),
                Err(log) => ended = log,
            }
        }
        bail!("slapd ended at once; its log:\n{ended}")
    }

    /// `Err`: it has ended, with this log.
    fn begin_at(port: u16, tls_port: u16) -> anyhow::Result<Result<Self, String>> {
        let folder = tempfile::Builder::new()
            .prefix("lyceum-slapd-")
            .tempdir()
            .context("making a folder for slapd")?
            .keep();
        let authority = write_certificates(&folder)?;
        fs::create_dir(folder.join("data"))?;
        fs::write(folder.join("slapd.conf"), configuration(&folder))?;
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SHELL, "sh"])
            .arg(&folder)
            .arg(format!(
                "ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at a terminal is for the tests; the shell then sees the pipe end.
            .process_group(0)
            .spawn()
            .context("starting /bin/sh")?;
        let mut server = String::new();
        BufReader::new(shell.stdout.take().context("stdout is piped")?).read_line(&mut server)?;
        let slapd = Self {
            shell,
            port,
            tls_port,
            authority,
        };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if !is_running(server.trim()) {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Ok(Err(log));
            }
            if begun.elapsed() > START_LIMIT {
                bail!("slapd did not listen within a minute");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(Ok(slapd))
    }

    /// By its name, for which it has a certificate.
    pub fn url(&self) -> String {
        format!("ldap://localhost:{}", self.port)
    }

    /// The same by TLS from the beginning.
    pub fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls_port)
    }

    /// By its address, which its certificate does not name.
    pub fn url_by_address(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// The certificate of whoever vouches for it, in PEM form.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Somebody with `uid` and `cn` of this name.
    pub async fn add_person(&self, uid: &str, password: &str) -> String {
        let dn = format!("uid={},{PEOPLE}", dn_escape(uid));
        let name = format!("The person {uid}");
        let number = "1000";
        let home = format!("/home/{uid}");
        let person = [
            ("objectClass", "inetOrgPerson"),
            ("objectClass", "posixAccount"),
            ("uid", uid),
            ("cn", &name),
            ("sn", uid),
            ("uidNumber", number),
            ("gidNumber", number),
            ("homeDirectory", &home),
            ("userPassword", password),
        ];
        add(&mut self.admin().await, &dn, &person).await;
        dn
    }

    /// A `groupOfNames` with these entries in it.
    pub async fn add_group(&self, below: &str, name: &str, members: &[&str]) -> String {
        let dn = format!("cn={name},{below}");
        let mut group = vec![("objectClass", "groupOfNames"), ("cn", name)];
        group.extend(members.iter().map(|member| ("member", *member)));
        add(&mut self.admin().await, &dn, &group).await;
        dn
    }

    /// A `posixGroup` with these names of accounts in it.
    pub async fn add_posix_group(&self, name: &str, members: &[&str]) {
        let dn = format!("cn={name},{GROUPS}");
        let mut group = vec![
            ("objectClass", "posixGroup"),
            ("cn", name),
            ("gidNumber", "2000"),
        ];
        group.extend(members.iter().map(|member| ("memberUid", *member)));
        add(&mut self.admin().await, &dn, &group).await;
    }

    pub async fn add_unit(&self, name: &str) -> String {
        let dn = format!("ou={name},{ROOT}");
        let unit = [("objectClass", "organizationalUnit"), ("ou", name)];
        add(&mut self.admin().await, &dn, &unit).await;
        dn
    }

    /// Gives an attribute these values instead of those it had.
    pub async fn set(&self, dn: &str, attribute: &str, values: &[&str]) {
        let change = Mod::Replace(attribute, values.iter().copied().collect());
        let done = self.admin().await.modify(dn, vec![change]).await;
        done.expect("an answer").success().expect("changed");
    }

    /// Another `uid`, and with it another name of the entry.
    pub async fn rename(&self, dn: &str, uid: &str) -> String {
        let rdn = format!("uid={}", dn_escape(uid));
        let done = self.admin().await.modifydn(dn, &rdn, true, None).await;
        done.expect("an answer").success().expect("renamed");
        format!("{rdn},{PEOPLE}")
    }

    pub async fn remove(&self, dn: &str) {
        let done = self.admin().await.delete(dn).await;
        done.expect("an answer").success().expect("removed");
    }

    async fn admin(&self) -> Ldap {
        let (connection, mut admin) = LdapConnAsync::new(&self.url_by_address())
            .await
            .expect("connected");
        tokio::spawn(connection.drive());
        let bound = admin.simple_bind(ADMIN, ADMIN_PASSWORD).await;
        bound.expect("an answer").success().expect("bound");
        admin
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

async fn add(admin: &mut Ldap, dn: &str, attributes: &[(&str, &str)]) {
    let mut grouped: Vec<(&str, std::collections::HashSet<&str>)> = Vec::new();
    for (name, value) in attributes {
        match grouped.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => {
                values.insert(value);
            }
            None => grouped.push((name, [*value].into())),
        }
    }
    let done = admin.add(dn, grouped).await;
    done.expect("an answer").success().expect("added");
}

fn is_running(pid: &str) -> bool {
    // Whoever has ended and was not yet waited for has no program any more.
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
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
moduleload memberof
TLSCACertificateFile {folder}/authority.pem
TLSCertificateFile {folder}/server.pem
TLSCertificateKeyFile {folder}/server.key
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree=\"{PEOPLE}\" by dn.exact=\"{READER}\" read by self read by anonymous auth by users search by * none
access to * by users read by * search
database mdb
suffix \"{ROOT}\"
rootdn \"{ADMIN}\"
rootpw \"{ADMIN_PASSWORD}\"
directory {folder}/data
maxsize 16777216
dbnosync
overlay memberof
"
    )
}

/// Writes them into the folder; gives the authority's.
fn write_certificates(folder: &Path) -> anyhow::Result<String> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    fs::write(folder.join("authority.pem"), issuer.pem())?;
    fs::write(folder.join("server.pem"), server.pem())?;
    fs::write(folder.join("server.key"), key.serialize_pem())?;
    Ok(issuer.pem())
}
