//! A directory that takes names which are no entries, as Active Directory does (`ada@example.edu`), and
//! whose marks are bytes. It is told whom each name and each search leads to, so that they can be two.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use lyceum_auth::Authenticator;
use lyceum_auth::attempt::{Attempt, Refused};
use lyceum_auth::ldap::{LdapConfig, Reader, Template};
use lyceum_model::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{PASSWORD, ask, door, everyone, is_let_in};

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;
/// Whom no search finds.
const NOBODY: &[u8] = b"nobody";
/// Where its groups are.
pub(super) const GROUPS: &str = "ou=g";

#[derive(Clone)]
pub(super) struct Fake {
    /// Names and their passwords.
    binds: Arc<Vec<(String, String)>>,
    /// What it answers to whoever is not among them.
    otherwise: u8,
    /// What any search finds: the name of the entry and its `sAMAccountName`.
    found: (String, String),
    /// The `memberOf` of what is found.
    pub(super) member_of: Vec<String>,
    /// How a search below `GROUPS` ends; it finds nothing.
    pub(super) groups_end: u8,
    /// The names that were bound, in their order.
    asked: Arc<Mutex<Vec<String>>>,
    /// What it was asked: binds and searches, in their order.
    operations: Arc<Mutex<Vec<u8>>>,
}

impl Fake {
    async fn start(binds: &[(&str, &str)], found: (&str, &str), otherwise: u8) -> (Self, String) {
        let fake = Self::new(binds, found, otherwise);
        let url = fake.listen().await;
        (fake, url)
    }

    pub(super) fn new(binds: &[(&str, &str)], found: (&str, &str), otherwise: u8) -> Self {
        let binds = binds
            .iter()
            .map(|(name, password)| ((*name).into(), (*password).into()));
        Self {
            binds: Arc::new(binds.collect()),
            otherwise,
            found: (found.0.into(), found.1.into()),
            member_of: Vec::new(),
            groups_end: 0,
            asked: Arc::default(),
            operations: Arc::default(),
        }
    }

    pub(super) async fn listen(&self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        let serving = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        url
    }

    /// Who was bound, or was to be.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(message) = read(&mut stream).await {
            let parts = parts(&message);
            let [(_, id), (operation, request)] = parts[..2] else {
                return;
            };
            self.operations.lock().unwrap().push(operation);
            let is_nobody = || request.windows(NOBODY.len()).any(|part| part == NOBODY);
            let answers = match operation {
                BIND => vec![self.bind(request)],
                SEARCH if self::parts(request)[0].1 == GROUPS.as_bytes() => {
                    vec![tlv(0x65, &result(self.groups_end))]
                }
                SEARCH if is_nobody() => vec![tlv(0x65, &result(0))],
                SEARCH => vec![self.entry(), tlv(0x65, &result(0))],
                _ => return,
            };
            for answer in answers {
                let message = tlv(0x30, &[tlv(0x02, id), answer].concat());
                stream.write_all(&message).await.unwrap();
            }
        }
    }

    fn bind(&self, request: &[u8]) -> Vec<u8> {
        let fields = parts(request);
        let text = |field: usize| String::from_utf8(fields[field].1.to_vec()).unwrap();
        self.asked.lock().unwrap().push(text(1));
        let code = match self.binds.contains(&(text(1), text(2))) {
            true => 0,
            false => self.otherwise,
        };
        tlv(0x61, &result(code))
    }

    fn entry(&self) -> Vec<u8> {
        let attribute = |name: &str, values: &[&[u8]]| {
            let values: Vec<u8> = values.iter().flat_map(|value| tlv(0x04, value)).collect();
            let values = tlv(0x31, &values);
            tlv(0x30, &[tlv(0x04, name.as_bytes()), values].concat())
        };
        let member_of: Vec<&[u8]> = self.member_of.iter().map(String::as_bytes).collect();
        let attributes = [
            attribute("sAMAccountName", &[self.found.1.as_bytes()]),
            attribute("objectGUID", &[b"0123456789abcde\xff"]),
            attribute("memberOf", &member_of),
        ];
        let name = tlv(0x04, self.found.0.as_bytes());
        tlv(0x64, &[name, tlv(0x30, &attributes.concat())].concat())
    }
}

/// One element of BER (X.690) with a short length, or one of two bytes.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], content].concat()
}

pub(super) fn result(code: u8) -> Vec<u8> {
    [tlv(0x0a, &[code]), tlv(0x04, b""), tlv(0x04, b"")].concat()
}

pub(super) async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    assert_eq!(stream.read_u8().await.ok()?, 0x30);
    let mut length = usize::from(stream.read_u8().await.ok()?);
    if length >= 0x80 {
        let bytes = length - 0x80;
        length = 0;
        for _ in 0..bytes {
            length = length << 8 | usize::from(stream.read_u8().await.ok()?);
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

pub(super) fn parts(mut content: &[u8]) -> Vec<(u8, &[u8])> {
    let mut parts = Vec::new();
    while let [tag, length, rest @ ..] = content {
        let (mut length, mut rest) = (usize::from(*length), rest);
        if length >= 0x80 {
            let (bytes, behind) = rest.split_at(length - 0x80);
            length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = behind;
        }
        let (part, behind) = rest.split_at(length);
        parts.push((*tag, part));
        content = behind;
    }
    parts
}

pub(super) fn config(url: String) -> LdapConfig {
    LdapConfig {
        id: String::new(),
        title: "Active Directory".into(),
        servers: vec![url],
        start_tls: false,
        authorities: None,
        base: "dc=example,dc=edu".into(),
        filter: Some(Template::people("(sAMAccountName={username})").unwrap()),
        bind: vec![Template::bind("{username}@example.edu").unwrap()],
        reader: None,
        names: lyceum_auth::ldap::Attributes {
            username: "sAMAccountName".into(),
            display_name: "displayName".into(),
            mark: "objectGUID".into(),
            uid: None,
            gid: None,
            mail: None,
        },
        groups: None,
        allow: Some(everyone()),
        admins: None,
        adopts: Default::default(),
        timeout: std::time::Duration::from_secs(20),
        connections: 2,
    }
}

#[tokio::test]
async fn the_entry_that_is_found_has_to_take_the_password_too() {
    let ada = "cn=Ada,dc=example,dc=edu";
    let (fake, url) = Fake::start(
        &[("ada@example.edu", PASSWORD), (ada, PASSWORD)],
        (ada, "ada"),
        49,
    )
    .await;
    let ldap = door(config(url));
    let identity = ask(&ldap, "ada", PASSWORD).await.unwrap();
    assert_eq!(identity.name.as_str(), "ada");
    let mark = identity.subject.unwrap().id;
    assert_eq!(mark, "303132333435363738396162636465ff");
    assert_eq!(fake.asked(), ["ada@example.edu", ada]);
    assert!(!is_let_in(&ldap, "ada", "wrong horse").await);

    // The name is Ada's, but the filter finds Ben, who has another password.
    let ben = "cn=Ben,dc=example,dc=edu";
    let (_, url) = Fake::start(
        &[("ada@example.edu", PASSWORD), (ben, "another horse")],
        (ben, "ada"),
        49,
    )
    .await;
    let ldap = door(config(url));
    assert!(!is_let_in(&ldap, "ada", PASSWORD).await);
    assert!(!is_let_in(&ldap, "ada", "another horse").await);
}

/// By the time that it takes nobody learns who has an account: it is asked as much about those who have none.
#[tokio::test]
async fn an_unknown_name_costs_the_directory_as_much_as_a_wrong_password() {
    let (ada, reader) = ("cn=Ada,dc=example,dc=edu", "cn=Reader,dc=example,dc=edu");
    let binds = [(ada, PASSWORD), (reader, "its secret")];
    let (fake, url) = Fake::start(&binds, (ada, "ada"), 49).await;
    let looked_up = LdapConfig {
        bind: Vec::new(),
        reader: Some(Reader {
            name: reader.into(),
            password: Secret::new("its secret"),
        }),
        ..config(url.clone())
    };
    for (config, expect) in [
        (looked_up, vec![BIND, SEARCH, BIND]),
        (config(url), vec![BIND]),
    ] {
        let ldap = door(config);
        // The first one of all makes the connection.
        assert!(is_let_in(&ldap, "ada", PASSWORD).await || expect.len() == 1);
        for name in ["ada", "nobody", "ada", "nobody"] {
            fake.operations.lock().unwrap().clear();
            assert!(!is_let_in(&ldap, name, "wrong horse").await);
            assert_eq!(*fake.operations.lock().unwrap(), expect, "{name}");
        }
    }
}

#[tokio::test]
async fn without_a_password_nothing_goes_out() {
    // The name without a password is one that it takes, as directories do.
    let name = "ada@example.edu";
    let ada = "cn=Ada,dc=example,dc=edu";
    let (fake, url) = Fake::start(&[(name, ""), (ada, "")], (ada, "ada"), 49).await;
    let ldap = door(config(url));
    let address = std::net::IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut attempt = Attempt::new("ada", Secret::new("x"), address).unwrap();
    attempt.password = Secret::new("");
    let refused = ldap.sign_in(&attempt).await;
    assert!(matches!(refused, Err(Refused::Credentials)));
    assert_eq!(fake.asked(), [""; 0]);
}

#[tokio::test]
async fn only_some_answers_mean_a_wrong_password() {
    let check = async |code: u8, expect: bool| {
        let (_, url) = Fake::start(&[], ("cn=Ada", "ada"), code).await;
        let refused = ask(&door(config(url)), "ada", PASSWORD).await;
        let is_wrong = match refused {
            Err(Refused::Credentials) => true,
            Err(Refused::Internal(_)) => false,
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(is_wrong, expect, "{code}");
    };
    for wrong in [19, 32, 34, 48, 49, 50, 53] {
        check(wrong, true).await;
    }
    // Out of order, a referral, another way to prove oneself, TLS wanted, busy, away, something else.
    for other in [1, 2, 7, 8, 10, 13, 14, 51, 52, 80] {
        check(other, false).await;
    }
}
