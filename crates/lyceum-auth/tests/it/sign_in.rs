//! The whole door: throttle, accounts, admission.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use lyceum_auth::config::{Listed, LocalConfig, People, Who};
use lyceum_auth::dummy::DummyConfig;
use lyceum_auth::password::Hasher;
use lyceum_auth::{
    Admission, Attempt, Authenticator, Chain, Dummy, Here, KnownHere, LocalAccounts, NobodyKnown,
    Refused, SignIn, Throttle,
};
use lyceum_model::clock::{Clock, Millis};
use lyceum_model::identity::Identity;
use lyceum_model::name::UserName;
use lyceum_model::secret::Secret;
use lyceum_model::who::Forms;

use crate::db::TestDb;

const HOME: [u8; 4] = [192, 0, 2, 1];

struct Door {
    clock: Clock,
    hasher: Hasher,
    local: LocalAccounts,
    throttle: Throttle,
}

impl Door {
    /// With the accounts `ada` and `mallory`, password `correct horse`.
    async fn new(test: &TestDb) -> Self {
        let clock = Clock::manual(Millis(1_795_000_000_000));
        let hasher = Hasher::default();
        let db = test.db().clone();
        let local = LocalAccounts::new(
            db.clone(),
            clock.clone(),
            hasher.clone(),
            &LocalConfig::default(),
        );
        for name in ["ada", "mallory"] {
            let name = UserName::parse(name).unwrap();
            let made = local.set_password(&name, Secret::new("correct horse"));
            made.await.unwrap();
        }
        let throttle = Throttle::new(db, clock.clone());
        Self {
            clock,
            hasher,
            local,
            throttle,
        }
    }

    fn open(&self, before: Vec<Arc<dyn Authenticator>>, people: People) -> SignIn {
        self.open_with(before, people, Arc::new(NobodyKnown))
    }

    fn open_with(
        &self,
        mut methods: Vec<Arc<dyn Authenticator>>,
        people: People,
        known: Arc<dyn KnownHere>,
    ) -> SignIn {
        methods.push(Arc::new(self.local.clone()));
        let chain = Chain::new(methods);
        SignIn::new(self.throttle.clone(), chain, Admission::new(people), known)
    }

    /// With these methods alone, in their order.
    fn of(&self, methods: Vec<Arc<dyn Authenticator>>) -> SignIn {
        let (admission, groups) = (Admission::default(), Arc::new(NobodyKnown));
        SignIn::new(
            self.throttle.clone(),
            Chain::new(methods),
            admission,
            groups,
        )
    }
}

async fn ask(door: &SignIn, name: &str, password: &str) -> Result<Identity, Refused> {
    door.sign_in(name, Secret::new(password), IpAddr::from(HOME))
        .await
}

/// A source that knows `zoe` and `ada`, both with the password `campus card`.
struct Campus;

#[async_trait]
impl Authenticator for Campus {
    fn kind(&self) -> &'static str {
        "campus"
    }
    fn title(&self) -> &str {
        "University account"
    }
    async fn sign_in(&self, attempt: &Attempt) -> Result<Identity, Refused> {
        match (attempt.name.as_str(), attempt.password.expose()) {
            ("zoe" | "ada", "campus card") => Ok(Identity::named(attempt.name.clone())),
            _ => Err(Refused::Credentials),
        }
    }
}

/// A source that is out of order.
struct Broken;

#[async_trait]
impl Authenticator for Broken {
    fn kind(&self) -> &'static str {
        "broken"
    }
    fn title(&self) -> &str {
        "Broken"
    }
    async fn sign_in(&self, _attempt: &Attempt) -> Result<Identity, Refused> {
        Err(Refused::Internal(std::io::Error::other("no route").into()))
    }
}

struct ZoeIsStaff;

#[async_trait]
impl KnownHere for ZoeIsStaff {
    async fn here(&self, identity: &Identity) -> anyhow::Result<Here> {
        Ok(Here {
            groups: match identity.name.as_str() {
                "zoe" => vec!["staff".into()],
                _ => Vec::new(),
            },
            ..Here::default()
        })
    }
}

fn list(names: &[&str]) -> Listed {
    names
        .iter()
        .map(|name| Who::parse(name, Forms::People).unwrap())
        .collect()
}

#[tokio::test]
async fn who_comes_in() {
    for test in TestDb::both().await {
        let people = People {
            admins: list(&["ada"]),
            block: list(&["mallory"]),
            ..People::default()
        };
        let door = Door::new(&test).await.open(Vec::new(), people);
        let ada = ask(&door, " Ada ", "correct horse").await.unwrap();
        assert_eq!((ada.name.as_str(), ada.admin), ("ada", Some(true)));
        let blocked = ask(&door, "mallory", "correct horse").await;
        assert!(matches!(blocked, Err(Refused::NotAdmitted)));
        let unproved = ask(&door, "mallory", "battery staple").await;
        assert!(matches!(unproved, Err(Refused::Credentials)));
    }
}

#[tokio::test]
async fn another_source_needs_the_allow_list() {
    for test in TestDb::both().await {
        let setup = Door::new(&test).await;
        let campus = || vec![Arc::new(Campus) as Arc<dyn Authenticator>];
        let door = setup.open(campus(), People::default());
        assert_eq!(door.chain().methods().len(), 2);
        let zoe = ask(&door, "zoe", "campus card").await;
        assert!(matches!(zoe, Err(Refused::NotAdmitted)));
        // Ada's own account was made for her, whatever the campus says.
        assert!(ask(&door, "ada", "correct horse").await.is_ok());

        let people = People {
            allow: Some(list(&["group:staff"])),
            ..People::default()
        };
        let door = setup.open_with(campus(), people, Arc::new(ZoeIsStaff));
        assert!(ask(&door, "zoe", "campus card").await.is_ok());
        let ada = ask(&door, "ada", "campus card").await;
        assert!(matches!(ada, Err(Refused::NotAdmitted)));
    }
}

#[tokio::test]
async fn a_broken_source_keeps_nobody_else_out_and_counts_against_nobody() {
    for test in TestDb::both().await {
        let setup = Door::new(&test).await;
        let alone = setup.of(vec![Arc::new(Broken)]);
        for _ in 0..10 {
            let refused = ask(&alone, "ada", "battery staple").await.unwrap_err();
            assert!(matches!(refused, Refused::Internal(_)));
            assert!(!refused.to_string().contains("no route"));
        }
        let door = setup.open(vec![Arc::new(Broken)], People::default());
        assert!(ask(&door, "ada", "correct horse").await.is_ok());
    }
}

#[tokio::test]
async fn a_broken_source_beside_it_opens_no_account_to_guessing() {
    for test in TestDb::both().await {
        let setup = Door::new(&test).await;
        let local: Arc<dyn Authenticator> = Arc::new(setup.local.clone());
        let broken: Arc<dyn Authenticator> = Arc::new(Broken);
        for methods in [[broken.clone(), local.clone()], [local, broken]] {
            let door = &setup.of(methods.into());
            // The right one comes in within the limit, and takes back the slips before.
            for password in ["battery staple", "battery staple", "correct horse"] {
                let came = ask(door, "ada", password).await;
                assert_eq!(came.is_ok(), password == "correct horse", "{came:?}");
            }
            // Names nobody has are no different.
            for name in ["ada", "nobody"] {
                for _ in 0..5 {
                    let refused = ask(door, name, "battery staple").await;
                    assert!(matches!(refused, Err(Refused::Internal(_))), "{refused:?}");
                }
                let before = setup.hasher.runs();
                for password in ["battery staple", "correct horse"] {
                    let refused = ask(door, name, password).await;
                    assert!(
                        matches!(refused, Err(Refused::TooMany { retry_after: 1 })),
                        "{refused:?}"
                    );
                }
                assert_eq!(setup.hasher.runs(), before);
            }
            // A day later the other order of the two.
            setup.clock.advance(24 * 3_600_000);
        }
    }
}

#[tokio::test]
async fn guessing_is_slowed_down_before_any_hashing_alike_for_unknown_names() {
    for test in TestDb::both().await {
        let setup = Door::new(&test).await;
        let door = setup.open(Vec::new(), People::default());
        for name in ["ada", "nobody"] {
            for _ in 0..5 {
                let refused = ask(&door, name, "battery staple").await;
                assert!(matches!(refused, Err(Refused::Credentials)));
            }
            let before = setup.hasher.runs();
            let refused = ask(&door, name, "correct horse").await;
            assert!(matches!(refused, Err(Refused::TooMany { retry_after: 1 })));
            assert_eq!(setup.hasher.runs(), before);
        }
        setup.clock.advance(1_000);
        assert!(ask(&door, "ada", "correct horse").await.is_ok());
    }
}

#[tokio::test]
async fn odd_names_are_refused_without_work() {
    for test in TestDb::both().await {
        let setup = Door::new(&test).await;
        let door = setup.open(Vec::new(), People::default());
        let before = setup.hasher.runs();
        for name in ["", "\0", "a b", "ad\u{430}", &"x".repeat(1_000_000)] {
            let refused = ask(&door, name, "correct horse").await;
            assert!(matches!(refused, Err(Refused::Credentials)));
        }
        assert_eq!(setup.hasher.runs(), before);
    }
}

#[tokio::test]
async fn for_trying_out_everybody_is_whoever_she_says_on_this_machine() {
    let attempt = |password: &str, address: &str| {
        let address: IpAddr = address.parse().expect("an address");
        Attempt::new("ada", Secret::new(password), address).expect("it can be")
    };
    let check = async |password: Option<&str>, anywhere: bool, attempt: &Attempt, expect: bool| {
        let dummy = Dummy::new(DummyConfig {
            title: "Try".into(),
            password: password.map(Secret::new),
            anywhere,
        });
        let came = dummy.sign_in(attempt).await;
        assert_eq!(came.is_ok(), expect, "{password:?} {anywhere} {attempt:?}");
        if let Ok(identity) = came {
            assert_eq!(identity.name.as_str(), "ada");
            assert_eq!(identity.admin, None);
        }
    };
    for here in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"] {
        check(None, false, &attempt("any", here), true).await;
    }
    for there in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        check(None, false, &attempt("any", there), false).await;
        check(None, true, &attempt("any", there), true).await;
        check(Some("one"), true, &attempt("two", there), false).await;
    }
    check(Some("one"), false, &attempt("one", "::1"), true).await;
    check(Some("one"), false, &attempt("One", "::1"), false).await;
}
