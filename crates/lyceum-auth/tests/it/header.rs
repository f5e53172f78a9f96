//! A proxy in front that says who it is: whose word counts, and what is made of it.

use std::net::IpAddr;

use lyceum_auth::Refused;
use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::header::{ByHeader, GROUPS, HeaderConfig, Proof, USER};
use lyceum_model::identity::{Adopts, Identity};
use lyceum_model::secret::Secret;

const GATEWAY: &str = "10.0.0.1";

fn config() -> HeaderConfig {
    HeaderConfig {
        title: "University".into(),
        automatic: false,
        header: "x-user".into(),
        mark: None,
        display_name: Some("x-name".into()),
        mail: Some("x-mail".into()),
        groups: Some("x-groups".into()),
        separator: ',',
        from: vec!["10.0.0.1".parse().unwrap(), "fd00:1::/64".parse().unwrap()],
        proof: None,
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username: NameFrom::parse("{user|local}").unwrap(),
            display_name: "display".into(),
            groups: Some(GROUPS.into()),
            groups_only: None,
            allow: Some(Rule {
                domains: Some(["example.edu".to_owned()].into()),
                domain_of: Some(USER.into()),
                claims: [("x-affiliation".to_owned(), ["staff".to_owned()].into())].into(),
                ..Rule::default()
            }),
            admins: None,
            adopts: Adopts::default(),
        },
        log_out: None,
    }
}

fn ask(
    way: &ByHeader,
    peer: Option<&str>,
    said: &[(&str, &str)],
) -> Option<Result<Identity, Refused>> {
    let peer: Option<IpAddr> = peer.map(|peer| peer.parse().unwrap());
    way.identity(peer, &|name| {
        let lines = said.iter().filter(|(one, _)| *one == name);
        lines.map(|(_, value)| value.as_bytes()).collect()
    })
}

#[test]
fn the_log_says_why_nobody_is_named() {
    let mut config = config();
    config.proof = Some(Proof {
        header: "x-proof".into(),
        secret: Secret::new("between the two"),
    });
    let way = ByHeader::new(config);
    let why = |peer: &str, said: &[(&str, &'static str)]| {
        let peer: IpAddr = peer.parse().unwrap();
        way.why_nobody(Some(peer), &|name| {
            let lines = said.iter().filter(|(one, _)| *one == name);
            lines.map(|(_, value)| value.as_bytes()).collect()
        })
    };
    let proof = ("x-proof", "between the two");
    assert!(why("10.0.0.2", &[proof]).contains("`from`"));
    assert!(why(GATEWAY, &[("x-user", "ada")]).contains("`proof`"));
    assert!(why(GATEWAY, &[("x-user", "ada"), ("x-proof", "guessed")]).contains("`proof`"));
    assert!(why(GATEWAY, &[proof]).contains("missing or empty"));
}

#[test]
fn what_is_said_becomes_somebody() {
    let way = ByHeader::new(config());
    let said = [
        ("x-user", "Ada@example.edu"),
        ("x-name", "Ada \u{202e}Lovelace"),
        ("x-groups", "math, it,"),
        ("x-affiliation", "member,staff"),
    ];
    for peer in [GATEWAY, "::ffff:10.0.0.1", "fd00:1::7"] {
        let ada = ask(&way, Some(peer), &said).unwrap().unwrap();
        assert_eq!(ada.name.as_str(), "ada");
        assert_eq!(ada.display_name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(ada.groups, Some(vec!["it".to_owned(), "math".to_owned()]));
        assert_eq!(ada.subject.unwrap().id, "ada@example.edu");
        assert_eq!(ada.admin, None);
    }
    for peer in [None, Some("10.0.0.2"), Some("fd00:2::7"), Some("127.0.0.1")] {
        assert!(ask(&way, peer, &said).is_none(), "{peer:?}");
    }
}

#[test]
fn rules_are_held_against_what_is_said() {
    let way = ByHeader::new(config());
    let of = |user: &'static str, affiliation: &'static str| {
        let said = [("x-user", user), ("x-affiliation", affiliation)];
        ask(&way, Some(GATEWAY), &said).unwrap()
    };
    assert!(of("ada@example.edu", "staff").is_ok());
    for (user, affiliation) in [
        ("ada@example.edu", "student"),
        ("ada@example.edu", ""),
        ("ada@other.edu", "staff"),
        ("ada", "staff"),
        ("ada@example.edu.evil.org", "staff"),
    ] {
        let refused = of(user, affiliation);
        assert!(matches!(refused, Err(Refused::NotAdmitted)), "{user}");
    }
}

#[test]
fn a_mark_is_somebody_for_ever() {
    let way = ByHeader::new(HeaderConfig {
        mark: Some("x-id".into()),
        ..config()
    });
    let said = [
        ("x-user", "ada@example.edu"),
        ("x-id", "A17"),
        ("x-affiliation", "staff"),
    ];
    let ada = ask(&way, Some(GATEWAY), &said).unwrap().unwrap();
    assert_eq!(ada.subject.unwrap().id, "A17");
    // A name without a mark could be anybody's, and a mark without a name is left of somebody.
    let no_mark = ask(&way, Some(GATEWAY), &said[..1]).unwrap();
    assert!(matches!(no_mark, Err(Refused::Unnamed)));
    assert!(ask(&way, Some(GATEWAY), &said[1..]).is_none());
}

#[test]
fn a_secret_is_asked_for_beside_the_address() {
    let way = ByHeader::new(HeaderConfig {
        proof: Some(Proof {
            header: "x-proof".into(),
            secret: Secret::new("0123456789abcdef"),
        }),
        ..config()
    });
    let user = [("x-user", "ada@example.edu"), ("x-affiliation", "staff")];
    let with = |proof: &[&'static str]| {
        let proofs = proof.iter().map(|proof| ("x-proof", *proof));
        let said: Vec<_> = user.into_iter().chain(proofs).collect();
        ask(&way, Some(GATEWAY), &said)
    };
    assert!(with(&["0123456789abcdef"]).unwrap().is_ok());
    assert!(with(&[]).is_none());
    assert!(with(&[""]).is_none());
    assert!(with(&["0123456789abcdeF"]).is_none());
    assert!(with(&["0123456789abcdef", "0123456789abcdef"]).is_none());
    let names: Vec<_> = config().headers().map(str::to_owned).collect();
    assert_eq!(
        names,
        ["x-user", "x-name", "x-mail", "x-groups", "x-affiliation"]
    );
}
