//! Sign-in by a directory, against a real one.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lyceum_auth::attempt::{Attempt, Refused};
use lyceum_auth::claims::Rule;
use lyceum_auth::ldap::{Attributes, Groups, GroupsBy, LdapConfig, Reader, Template};
use lyceum_auth::{Authenticator, Ldap};
use lyceum_model::identity::{Adopts, Identity};
use lyceum_model::secret::Secret;
use lyceum_testkit::Slapd;
use lyceum_testkit::slapd::{GROUPS, PEOPLE, READER, READER_PASSWORD};

mod principal;
mod refusals;
mod start_tls;

const PASSWORD: &str = "correct horse";

/// By look-up, without TLS.
fn config(slapd: &Slapd) -> LdapConfig {
    LdapConfig {
        id: String::new(),
        title: "University account".into(),
        servers: vec![slapd.url()],
        start_tls: false,
        authorities: None,
        base: PEOPLE.into(),
        filter: Some(Template::people("(uid={username})").unwrap()),
        bind: Vec::new(),
        reader: Some(Reader {
            name: READER.into(),
            password: Secret::new(READER_PASSWORD),
        }),
        names: Attributes {
            username: "uid".into(),
            display_name: "cn".into(),
            mark: "entryUUID".into(),
            uid: None,
            gid: None,
            mail: None,
        },
        groups: None,
        allow: Some(everyone()),
        admins: None,
        adopts: Adopts::default(),
        timeout: Duration::from_secs(20),
        connections: 4,
    }
}

/// By the name of the entry.
fn by_template(slapd: &Slapd) -> LdapConfig {
    let template = format!("uid={{username}},{PEOPLE}");
    LdapConfig {
        bind: vec![Template::bind(&template).unwrap()],
        filter: None,
        reader: None,
        base: String::new(),
        ..config(slapd)
    }
}

fn everyone() -> Rule {
    Rule {
        everyone: true,
        ..Rule::default()
    }
}

fn in_group(group: &str) -> Rule {
    Rule {
        groups: Some([group.to_owned()].into()),
        ..Rule::default()
    }
}

fn groups(by: GroupsBy) -> Option<Groups> {
    Some(Groups {
        base: GROUPS.into(),
        name: "cn".into(),
        gid: None,
        by,
    })
}

fn found_by(filter: &str) -> Option<Groups> {
    groups(GroupsBy::Filter(Template::groups(filter).unwrap()))
}

/// What the door would ask, or what it would refuse before.
async fn ask(ldap: &Ldap, name: &str, password: &str) -> Result<Identity, Refused> {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    let attempt = Attempt::new(name, Secret::new(password), address)?;
    ldap.sign_in(&attempt).await
}

async fn is_let_in(ldap: &Ldap, name: &str, password: &str) -> bool {
    match ask(ldap, name, password).await {
        Ok(_) => true,
        Err(Refused::Credentials) => false,
        Err(other) => panic!("{name}: {other:?}"),
    }
}

fn door(config: LdapConfig) -> Ldap {
    Ldap::new(config).unwrap()
}

#[tokio::test]
async fn whoever_has_the_password_comes_in_by_either_way() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    slapd.add_person("ben", "another horse").await;
    for config in [config(&slapd), by_template(&slapd)] {
        let ldap = door(config);
        let ada = ask(&ldap, " Ada", PASSWORD).await.unwrap();
        assert_eq!(ada.name.as_str(), "ada");
        assert_eq!(ada.display_name.as_deref(), Some("The person ada"));
        assert_eq!((ada.groups, ada.admin), (None, None));
        let subject = ada.subject.unwrap();
        let issuer = "ldap::entryuuid";
        assert_eq!((subject.issuer.as_str(), subject.id.len()), (issuer, 36));
        assert!(!is_let_in(&ldap, "ada", "wrong horse").await);
        assert!(!is_let_in(&ldap, "ada", "another horse").await);
        assert!(!is_let_in(&ldap, "nobody", PASSWORD).await);
        // The next one on the same connection is nobody else.
        assert!(is_let_in(&ldap, "ben", "another horse").await);
        assert!(!is_let_in(&ldap, "ben", PASSWORD).await);
    }
}

#[tokio::test]
async fn whoever_looks_before_people_come_finds_what_they_would() {
    let slapd = Slapd::start().await;
    let look = async |config: LdapConfig| {
        let ldap = door(config);
        let looks = ldap.look(Duration::from_secs(20)).await;
        assert_eq!(looks.len(), 1);
        looks.into_iter().next().and_then(|(_, found)| found.err())
    };
    let check = async |config: LdapConfig, expect: &str| {
        let found = look(config).await.map(|error| format!("{error:#}"));
        match (expect, found) {
            ("", None) => {}
            ("", Some(error)) => panic!("{error}"),
            (words, found) => assert!(
                found.as_ref().is_some_and(|it| it.contains(words)),
                "{found:?}"
            ),
        }
    };
    check(config(&slapd), "").await;
    check(by_template(&slapd), "").await;
    let mut wrong = config(&slapd);
    wrong.reader = Some(Reader {
        name: READER.into(),
        password: Secret::new("wrong"),
    });
    check(wrong, "does not take name and password of `reader`").await;
    let mut gone = config(&slapd);
    gone.base = format!("ou=gone,{PEOPLE}");
    check(gone, "there is no \"ou=gone").await;
    let mut groups_gone = config(&slapd);
    groups_gone.groups = found_by("(member={dn})");
    check(groups_gone.clone(), "").await;
    groups_gone.groups.as_mut().expect("set").base = format!("ou=gone,{GROUPS}");
    check(groups_gone, "there is no").await;
    let mut away = config(&slapd);
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    away.servers = vec![format!("ldap://{address}")];
    check(away, "refused").await;
}

#[tokio::test]
async fn an_empty_password_opens_nothing() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    for config in [config(&slapd), by_template(&slapd)] {
        let ldap = door(config);
        assert!(!is_let_in(&ldap, "ada", "").await);
        assert!(!is_let_in(&ldap, "ada", "\0").await);
        // Also from whoever does not come by the door's own check.
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut attempt = Attempt::new("ada", Secret::new("x"), address).unwrap();
        attempt.password = Secret::new("");
        let refused = ldap.sign_in(&attempt).await;
        assert!(matches!(refused, Err(Refused::Credentials)));
    }
}

#[tokio::test]
async fn names_are_never_read_as_anything_else() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    slapd.add_person("a+b@example.edu", PASSWORD).await;
    for config in [config(&slapd), by_template(&slapd)] {
        let ldap = door(config);
        for name in [
            "*",
            "a*",
            "ad\\61",
            "*)(uid=*",
            "ada)(|(uid=*",
            "ada,ou=x",
            "ada,ou=people,dc=example,dc=edu",
            "ada\0",
            "ada\n",
            "аda",
            "ａda",
            "ada\u{200b}",
            "uid=ada",
            "",
        ] {
            // A line end or blank at the end is trimmed, as everywhere.
            let expect = name.trim() == "ada";
            assert_eq!(is_let_in(&ldap, name, PASSWORD).await, expect, "{name:?}");
        }
        for name in ["ada", "ADA", "aDa"] {
            let ada = ask(&ldap, name, PASSWORD).await.unwrap();
            assert_eq!(ada.name.as_str(), "ada");
        }
        let odd = ask(&ldap, "A+B@example.edu", PASSWORD).await.unwrap();
        assert_eq!(odd.name.as_str(), "a+b@example.edu");
        assert!(is_let_in(&ldap, "ada", PASSWORD).await);
    }
}

#[tokio::test]
async fn a_name_that_is_bound_and_an_entry_that_is_found_are_one_person() {
    let slapd = Slapd::start().await;
    let ada = slapd.add_person("ada", PASSWORD).await;
    slapd.add_person("ben", "another horse").await;
    // What the template makes of a name binds as Ada, and the filter finds Ben.
    let ldap = door(LdapConfig {
        bind: vec![Template::bind(&format!("uid={{username}},{PEOPLE}")).unwrap()],
        filter: Some(Template::people("(description={username})").unwrap()),
        ..config(&slapd)
    });
    let ben = format!("uid=ben,{PEOPLE}");
    slapd.set(&ben, "description", &["ada"]).await;
    assert!(!is_let_in(&ldap, "ada", PASSWORD).await);
    slapd.set(&ada, "description", &["ada"]).await;
    assert!(is_let_in(&ldap, "ada", PASSWORD).await);
    // A filter that finds two finds nobody.
    let ldap = door(LdapConfig {
        filter: Some(Template::people("(description={username})").unwrap()),
        ..config(&slapd)
    });
    assert!(!is_let_in(&ldap, "ada", PASSWORD).await);
    assert!(!is_let_in(&ldap, "ada", "another horse").await);
    for name in ["cleo", "dora"] {
        let dn = slapd.add_person(name, PASSWORD).await;
        slapd.set(&dn, "description", &["ada"]).await;
    }
    assert!(!is_let_in(&ldap, "ada", PASSWORD).await);
}

#[tokio::test]
async fn a_renamed_person_is_the_same_and_a_name_given_away_is_not() {
    let slapd = Slapd::start().await;
    let dn = slapd.add_person("ada", PASSWORD).await;
    let ldap = door(config(&slapd));
    let before = ask(&ldap, "ada", PASSWORD).await.unwrap();
    slapd.rename(&dn, "ada.king").await;
    assert!(!is_let_in(&ldap, "ada", PASSWORD).await);
    let after = ask(&ldap, "ada.king", PASSWORD).await.unwrap();
    assert_eq!(after.name.as_str(), "ada.king");
    assert_eq!(after.subject, before.subject);
    slapd.add_person("ada", "another horse").await;
    let other = ask(&ldap, "ada", "another horse").await.unwrap();
    assert_ne!(other.subject, before.subject);
    // Another directory's people are others, whatever their marks.
    let elsewhere = door(LdapConfig {
        id: "staff".into(),
        ..config(&slapd)
    });
    let same = ask(&elsewhere, "ada.king", PASSWORD).await.unwrap();
    assert_ne!(same.subject, before.subject);
}

#[tokio::test]
async fn what_another_attribute_says_is_another_mark() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    let with = |mark: &str| {
        let mut config = config(&slapd);
        config.names.mark = mark.into();
        door(config)
    };
    let subject = async |ldap: Ldap, name: &str| {
        let identity = ask(&ldap, name, PASSWORD).await.unwrap();
        identity.subject.unwrap()
    };
    let ada = subject(with("entryUUID"), "ada").await;
    assert_eq!(subject(with("ENTRYuuid"), "ada").await, ada);
    // Whoever may write that attribute writes what she likes into it.
    let ben = slapd.add_person("ben", PASSWORD).await;
    slapd.set(&ben, "employeeNumber", &[&ada.id]).await;
    let ben = subject(with("employeeNumber"), "ben").await;
    assert_eq!(ben.id, ada.id);
    assert_ne!(ben, ada);
}

#[tokio::test]
async fn whoever_is_disabled_or_gone_stays_out() {
    let slapd = Slapd::start().await;
    let dn = slapd.add_person("ada", PASSWORD).await;
    let active = "(&(uid={username})(!(employeeType=former)))";
    let filter = Some(Template::people(active).unwrap());
    let doors = [config(&slapd), by_template(&slapd)].map(|config| {
        door(LdapConfig {
            filter: filter.clone(),
            ..config
        })
    });
    for ldap in &doors {
        assert!(is_let_in(ldap, "ada", PASSWORD).await);
    }
    slapd.set(&dn, "employeeType", &["former"]).await;
    for ldap in &doors {
        assert!(!is_let_in(ldap, "ada", PASSWORD).await);
    }
    slapd.set(&dn, "employeeType", &["active"]).await;
    slapd.set(&dn, "userPassword", &["{SSHA}!"]).await;
    for ldap in &doors {
        assert!(!is_let_in(ldap, "ada", PASSWORD).await);
    }
    slapd.set(&dn, "userPassword", &[]).await;
    for ldap in &doors {
        assert!(!is_let_in(ldap, "ada", PASSWORD).await);
    }
    slapd.set(&dn, "userPassword", &[PASSWORD]).await;
    for ldap in &doors {
        assert!(is_let_in(ldap, "ada", PASSWORD).await);
    }
    slapd.remove(&dn).await;
    for ldap in &doors {
        assert!(!is_let_in(ldap, "ada", PASSWORD).await);
    }
}

#[tokio::test]
async fn groups_are_found_in_each_way_and_only_where_they_belong() {
    let slapd = Slapd::start().await;
    let ada = slapd.add_person("ada", PASSWORD).await;
    let ben = slapd.add_person("ben", PASSWORD).await;
    slapd.add_group(GROUPS, "staff", &[&ada, &ben]).await;
    slapd.add_group(GROUPS, "it-jupyter", &[&ben]).await;
    slapd.add_posix_group("students", &["ada"]).await;
    slapd.add_posix_group("tutors", &["ben", "adaa"]).await;
    // Where others may make groups of any name.
    let clubs = slapd.add_unit("clubs").await;
    slapd.add_group(&clubs, "it-jupyter", &[&ada]).await;
    let check = async |config: LdapConfig, expect: &[&str]| {
        let ldap = door(config);
        let identity = ask(&ldap, "Ada", PASSWORD).await.unwrap();
        assert_eq!(identity.groups.unwrap(), expect);
        assert_eq!(identity.admin, Some(false));
        assert!(!is_let_in(&ldap, "ada", "wrong horse").await);
    };
    for config in [config(&slapd), by_template(&slapd)] {
        let found = |groups: Option<Groups>| LdapConfig {
            groups,
            admins: Some(in_group("it-jupyter")),
            ..config.clone()
        };
        check(found(found_by("(member={dn})")), &["staff"]).await;
        check(found(found_by("(memberUid={username})")), &["students"]).await;
        let either = "(|(member={dn})(uniqueMember={dn})(memberUid={username}))";
        check(found(found_by(either)), &["staff", "students"]).await;
        let attribute = groups(GroupsBy::Attribute("memberOf".into()));
        check(found(attribute), &["staff"]).await;
    }
    let ldap = door(LdapConfig {
        groups: found_by("(member={dn})"),
        allow: Some(in_group("staff")),
        admins: Some(in_group("it-jupyter")),
        ..config(&slapd)
    });
    assert_eq!(ask(&ldap, "ben", PASSWORD).await.unwrap().admin, Some(true));
    let ldap = door(LdapConfig {
        groups: found_by("(member={dn})"),
        allow: Some(in_group("it-jupyter")),
        ..config(&slapd)
    });
    // She is told only once she has proved who she is.
    let refused = ask(&ldap, "ada", PASSWORD).await;
    assert!(matches!(refused, Err(Refused::NotAdmitted)));
    assert!(!is_let_in(&ldap, "ada", "wrong horse").await);
    assert!(is_let_in(&ldap, "ben", PASSWORD).await);
}

#[tokio::test]
async fn numbers_for_files_and_the_address_of_mail_are_told() {
    let slapd = Slapd::start().await;
    let ada = slapd.add_person("ada", PASSWORD).await;
    slapd.add_posix_group("students", &["ada"]).await;
    slapd.set(&ada, "mail", &["ada@example.edu"]).await;
    let names = |numbers: bool, mail: bool| {
        let config = config(&slapd);
        let named = |name: &str, is: bool| is.then(|| name.to_owned());
        LdapConfig {
            names: Attributes {
                uid: named("uidNumber", numbers),
                gid: named("gidNumber", numbers),
                mail: named("mail", mail),
                ..config.names.clone()
            },
            groups: found_by("(memberUid={username})").map(|groups| Groups {
                gid: named("gidNumber", numbers),
                ..groups
            }),
            ..config
        }
    };
    let told = ask(&door(names(false, false)), "ada", PASSWORD).await;
    let told = told.unwrap();
    assert_eq!((told.posix.uid, told.posix.gid), (None, None));
    assert_eq!((told.posix.gids, told.mail), (None, None));
    let told = ask(&door(names(true, true)), "ada", PASSWORD).await;
    let told = told.unwrap();
    assert_eq!(told.groups.unwrap(), ["students"]);
    assert_eq!((told.posix.uid, told.posix.gid), (Some(1000), Some(1000)));
    assert_eq!(told.posix.gids, Some(vec![2000]));
    assert_eq!(
        (told.posix.group, told.mail.as_deref()),
        (None, Some("ada@example.edu"))
    );
    // Of several nobody knows which is hers; what her own group is called is told with its number.
    slapd.set(&ada, "gidNumber", &["2000"]).await;
    slapd
        .set(&ada, "mail", &["a@example.edu", "b@example.edu"])
        .await;
    let told = ask(&door(names(true, true)), "ada", PASSWORD).await;
    let told = told.unwrap();
    assert_eq!(told.posix.gid, Some(2000));
    assert_eq!(
        (told.posix.group.as_deref(), told.mail),
        (Some("students"), None)
    );
}

#[tokio::test]
async fn a_rule_can_ask_for_attributes() {
    let slapd = Slapd::start().await;
    let ada = slapd.add_person("ada", PASSWORD).await;
    let rule = Rule {
        claims: [("employeeType".into(), ["staff".to_owned()].into())].into(),
        ..Rule::default()
    };
    let ldap = door(LdapConfig {
        allow: Some(rule),
        ..config(&slapd)
    });
    let refused = ask(&ldap, "ada", PASSWORD).await;
    assert!(matches!(refused, Err(Refused::NotAdmitted)));
    slapd.set(&ada, "employeeType", &["staff-guest"]).await;
    let refused = ask(&ldap, "ada", PASSWORD).await;
    assert!(matches!(refused, Err(Refused::NotAdmitted)));
    slapd.set(&ada, "employeeType", &["x", "staff"]).await;
    assert!(is_let_in(&ldap, "ada", PASSWORD).await);
}

#[tokio::test]
async fn tls_wants_the_right_authority_and_the_right_name() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    let with = |authorities: Option<&Slapd>, url: String| {
        door(LdapConfig {
            servers: vec![url],
            start_tls: true,
            authorities: authorities.map(|slapd| slapd.authority().into()),
            ..config(&slapd)
        })
    };
    for url in [slapd.url(), slapd.tls_url()] {
        let trusted = with(Some(&slapd), url);
        assert!(is_let_in(&trusted, "ada", PASSWORD).await);
        assert!(!is_let_in(&trusted, "ada", "wrong horse").await);
    }
    let other = Slapd::start().await;
    for ldap in [
        with(None, slapd.url()),
        with(Some(&other), slapd.url()),
        with(None, slapd.tls_url()),
        with(Some(&other), slapd.tls_url()),
        with(Some(&slapd), slapd.url_by_address()),
    ] {
        let refused = ask(&ldap, "ada", PASSWORD).await;
        let Err(Refused::Internal(problem)) = refused else {
            panic!("{refused:?}");
        };
        let problem = format!("{problem:#}");
        assert!(problem.contains("certificate"), "{problem}");
        assert!(!problem.contains(PASSWORD), "{problem}");
    }
}

/// An address that takes connections and never says anything.
fn silent() -> (TcpListener, String) {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("ldap://{}", silent.local_addr().unwrap());
    (silent, url)
}

/// An address where nothing listens.
fn dead() -> String {
    silent().1
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_asked_when_one_is_dead_or_silent() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    let (_silent, silent) = silent();
    let limit = Duration::from_secs(2);
    for first in [dead(), silent.clone()] {
        let ldap = door(LdapConfig {
            servers: vec![first, slapd.url()],
            timeout: limit,
            ..config(&slapd)
        });
        assert!(is_let_in(&ldap, "ada", PASSWORD).await);
        // From now on nobody waits for the one that did not answer.
        let begun = Instant::now();
        assert!(!is_let_in(&ldap, "ada", "wrong horse").await);
        assert!(is_let_in(&ldap, "ada", PASSWORD).await);
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    }
    let ldap = door(LdapConfig {
        servers: vec![dead(), silent],
        timeout: Duration::from_millis(100),
        ..config(&slapd)
    });
    let refused = ask(&ldap, "ada", PASSWORD).await;
    let Err(Refused::Internal(problem)) = refused else {
        panic!("{refused:?}");
    };
    let problem = format!("{problem:#}");
    assert!(
        problem.contains("did not answer within 100 ms"),
        "{problem}"
    );
    assert!(problem.contains("refused"), "{problem}");
    assert!(!problem.contains(PASSWORD), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_no_place_is_told_so_and_nobody_waits_for_ever() {
    let slapd = Slapd::start().await;
    let (_silent, silent) = silent();
    let ldap = Arc::new(door(LdapConfig {
        servers: vec![silent],
        timeout: Duration::from_millis(300),
        connections: 1,
        ..config(&slapd)
    }));
    let asks = (0..8).map(|_| {
        let ldap = ldap.clone();
        tokio::spawn(async move { ask(&ldap, "ada", PASSWORD).await })
    });
    let asks: Vec<_> = asks.collect();
    let (mut busy, mut away) = (0, 0);
    for ask in asks {
        match ask.await.unwrap() {
            Err(Refused::Busy) => busy += 1,
            Err(Refused::Internal(_)) => away += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(busy >= 5 && away >= 1, "{busy} {away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_asked_for_over_few_connections() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    slapd.add_person("ben", "another horse").await;
    let ldap = Arc::new(door(config(&slapd)));
    let asks = (0..100).map(|n| {
        let ldap = ldap.clone();
        tokio::spawn(async move {
            // Each connection is somebody's alone: no answer is taken for another's.
            let (name, right) = [("ada", PASSWORD), ("ben", "another horse")][n % 2];
            let password = [right, "wrong horse"][n / 2 % 2];
            let expect = password == right;
            let answer = ask(&ldap, name, password).await;
            match answer {
                Ok(identity) => assert!(expect && identity.name.as_str() == name),
                Err(Refused::Credentials) => assert!(!expect),
                Err(other) => panic!("{other:?}"),
            }
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
}

#[tokio::test]
async fn what_the_directory_withholds_is_the_operators_to_know() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    let check = async |config: LdapConfig, expect: &str| {
        let refused = ask(&door(config), "ada", PASSWORD).await;
        let Err(Refused::Internal(problem)) = refused else {
            panic!("{expect}: {refused:?}");
        };
        let problem = format!("{problem:#}");
        assert!(problem.contains(expect), "{problem}");
        for secret in [PASSWORD, READER_PASSWORD, "not the reader's"] {
            assert!(!problem.contains(secret), "{problem}");
        }
    };
    let reader = |password: &str| {
        Some(Reader {
            name: READER.into(),
            password: Secret::new(password),
        })
    };
    check(
        LdapConfig {
            reader: reader("not the reader's"),
            ..config(&slapd)
        },
        "name and password of `reader`",
    )
    .await;
    check(
        LdapConfig {
            base: "ou=gone,dc=example,dc=edu".into(),
            ..config(&slapd)
        },
        "is `base` right",
    )
    .await;
    let mut without_mark = config(&slapd);
    without_mark.names.mark = "employeeNumber".into();
    check(without_mark, "has not one \"employeeNumber\"").await;
    // A name that can't be one here is no fault of hers.
    let mut unnamed = config(&slapd);
    unnamed.names.username = "cn".into();
    let refused = ask(&door(unnamed), "ada", PASSWORD).await;
    assert!(matches!(refused, Err(Refused::Unnamed)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_restarted_is_asked_anew() {
    let slapd = Slapd::start().await;
    slapd.add_person("ada", PASSWORD).await;
    let gate = Gate::before(&slapd).await;
    let ldap = door(LdapConfig {
        servers: vec![gate.url.clone()],
        ..config(&slapd)
    });
    assert!(is_let_in(&ldap, "ada", PASSWORD).await);
    gate.cut_off().await;
    assert!(is_let_in(&ldap, "ada", PASSWORD).await);
}

/// Something between us and the directory, such as a load balancer, that ends connections.
struct Gate {
    url: String,
    under_way: Arc<tokio::sync::Mutex<tokio::task::JoinSet<()>>>,
}

impl Gate {
    async fn before(slapd: &Slapd) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let url = format!("ldap://{}", listener.local_addr().unwrap());
        let under_way: Arc<tokio::sync::Mutex<tokio::task::JoinSet<()>>> = Arc::default();
        let (all, behind) = (under_way.clone(), slapd.url_by_address());
        tokio::spawn(async move {
            while let Ok((mut ours, _)) = listener.accept().await {
                let behind = behind.trim_start_matches("ldap://").to_owned();
                all.lock().await.spawn(async move {
                    let mut theirs = tokio::net::TcpStream::connect(behind).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
                });
            }
        });
        Self { url, under_way }
    }

    async fn cut_off(&self) {
        self.under_way.lock().await.shutdown().await;
    }
}
