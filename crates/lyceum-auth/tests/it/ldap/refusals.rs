//! Whom a directory's answers keep out, and what they say of the server.

use lyceum_auth::Refused;
use lyceum_auth::ldap::{Groups, GroupsBy, LdapConfig, Reader, Template};
use lyceum_model::identity::Identity;
use lyceum_model::secret::Secret;

use super::principal::{self, Fake, GROUPS};
use super::{PASSWORD, ask, door};

const ADA: &str = "cn=Ada,dc=example,dc=edu";
const READER: &str = "cn=reader,dc=example,dc=edu";

/// Who knows Ada, and the account that reads.
fn fake() -> Fake {
    let binds = [
        ("ada@example.edu", PASSWORD),
        (ADA, PASSWORD),
        (READER, "the reader's"),
    ];
    Fake::new(&binds, (ADA, "ada"), 49)
}

fn with_groups(by: GroupsBy, config: LdapConfig) -> LdapConfig {
    let groups = Groups {
        base: GROUPS.into(),
        name: "cn".into(),
        gid: None,
        by,
    };
    LdapConfig {
        groups: Some(groups),
        ..config
    }
}

fn reader(password: &str) -> Option<Reader> {
    Some(Reader {
        name: READER.into(),
        password: Secret::new(password),
    })
}

/// Why she was not let in.
fn problem(answer: Result<Identity, Refused>) -> String {
    match answer {
        Err(Refused::Internal(problem)) => format!("{problem:#}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_has_groups_that_cannot_all_be_told_is_kept_out() {
    let told = async |member_of: Vec<String>| {
        let mut fake = fake();
        fake.member_of = member_of;
        let by = GroupsBy::Attribute("memberOf".into());
        let config = with_groups(by, principal::config(fake.listen().await));
        ask(&door(config), "ada", PASSWORD).await
    };
    let many = |how_many: usize, below: &str| -> Vec<String> {
        (0..how_many).map(|n| format!("cn=g{n},{below}")).collect()
    };
    let groups = told(many(1_000, GROUPS)).await.unwrap().groups.unwrap();
    assert_eq!(groups.len(), 1_000);
    // Those elsewhere do not count, wherever they stand in the list.
    let both = [many(900, "ou=x"), many(900, GROUPS)].concat();
    assert_eq!(told(both).await.unwrap().groups.unwrap().len(), 900);

    let check = async |member_of: Vec<String>, expect: &str| {
        let problem = problem(told(member_of).await);
        assert!(problem.starts_with("she can't be let in"), "{problem}");
        assert!(problem.contains(expect), "{problem}");
        assert!(problem.len() < 600, "{problem}");
    };
    check(many(1_001, GROUPS), "more groups than 1000").await;
    let cut = [many(2_000, "ou=x"), many(1, GROUPS)].concat();
    check(cut, "in pieces, or there are very many").await;
    let other_name = vec!["cn=staff,ou=g".into(), "ou=staff,ou=g".into()];
    check(other_name, "is not called by \"cn\"").await;
    let no_name = format!("cn=\"staff\nx{}\",ou=g", "x".repeat(1_000));
    check(vec![no_name], "no name of an entry: cn=\\\"staff\\nx").await;
    assert!(told(vec!["ou=staff,ou=x".into()]).await.is_ok());
}

#[tokio::test]
async fn what_she_may_not_see_is_no_fault_of_the_server() {
    let by = || GroupsBy::Filter(Template::groups("(member={dn})").unwrap());
    for code in [32, 50] {
        let (mut first, second) = (fake(), fake());
        first.groups_end = code;
        let config = with_groups(by(), principal::config(first.listen().await));
        let config = LdapConfig {
            servers: [config.servers.clone(), vec![second.listen().await]].concat(),
            ..config
        };
        let problem = problem(ask(&door(config.clone()), "ada", PASSWORD).await);
        assert!(problem.starts_with("she can't be let in"), "{problem}");
        assert_eq!(second.asked(), [""; 0], "{code}");
        // What the account that reads may not see, nobody gets to see there.
        let ldap = door(LdapConfig {
            reader: reader("the reader's"),
            ..config
        });
        assert!(ask(&ldap, "ada", PASSWORD).await.is_ok(), "{code}");
        assert_ne!(second.asked(), [""; 0], "{code}");
    }
}

#[tokio::test]
async fn a_reader_that_is_refused_is_not_tried_until_its_account_is_locked() {
    let looking_up = |url: String| LdapConfig {
        bind: Vec::new(),
        reader: reader("of yesterday"),
        ..principal::config(url)
    };
    let asked_thrice = async |fake: Fake| {
        let ldap = door(looking_up(fake.listen().await));
        for _ in 0..3 {
            let problem = problem(ask(&ldap, "ada", PASSWORD).await);
            assert!(
                problem.contains("name and password of `reader`"),
                "{problem}"
            );
        }
        fake.asked()
    };
    assert_eq!(asked_thrice(fake()).await, [READER]);
    // What is no word on its password is asked anew.
    let away = Fake::new(&[], (ADA, "ada"), 51);
    assert_eq!(asked_thrice(away).await, [READER; 3]);
}
