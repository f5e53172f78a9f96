//! What a provider says of a person becomes an [`Identity`], or a refusal. Pure rules.
//!
//! Every comparison is of whole texts: a group, a domain or a claim that merely begins like one that
//! is let in is another one. An address of mail counts only if the provider vouches for it.

use std::collections::{BTreeMap, BTreeSet};

use lyceum_model::identity::{Adopts, Identity, Subject};
use lyceum_model::lti::is_platforms;
use lyceum_model::name::{UserName, is_free_name};
use lyceum_model::posix::Told;
use serde_json::{Map, Value};

use crate::attempt::Refused;

/// The claims of a person, by their names.
pub type Claims = Map<String, Value>;

/// More groups than this are not looked at.
const GROUPS_MAX: usize = 1_000;
const VALUE_MAX: usize = 1_024;
const DISPLAY_MAX: usize = 120;
/// Whose accounts outside of organisations have addresses of mail at any domain.
const GOOGLE: &str = "https://accounts.google.com";

/// How a name is made of claims: `claim:preferred_username`, or `{given_name}.{family_name}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFrom(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Claim(String),
    /// What stands before the `@`.
    Local(String),
}

impl NameFrom {
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(claim) = text.strip_prefix("claim:") {
            return match claim.trim() {
                "" => Err("`claim:` wants the name of a claim: `claim:preferred_username`".into()),
                claim => Ok(Self(vec![Piece::Claim(claim.into())])),
            };
        }
        let wrong = || {
            format!(
                "{text:?} is neither `claim:NAME` nor a template such as `{{given_name}}.{{family_name}}` or `{{email|local}}`"
            )
        };
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (inner, behind) = after.split_once('}').ok_or_else(wrong)?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(match inner.split_once('|') {
                None if !inner.trim().is_empty() => Piece::Claim(inner.trim().into()),
                Some((claim, filter)) if filter.trim() == "local" && !claim.trim().is_empty() => {
                    Piece::Local(claim.trim().into())
                }
                _ => return Err(wrong()),
            });
            rest = behind;
        }
        if pieces.is_empty() || rest.contains('}') {
            return Err(wrong());
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(Self(pieces))
    }

    /// The claims it is made of.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Claim(claim) | Piece::Local(claim) => Some(claim.as_str()),
        })
    }

    /// Whether people of several domains would get one name.
    pub fn drops_domains(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Local(_)))
    }

    /// `domains`: of which what stands before the @ is taken.
    fn render(
        &self,
        claims: &Claims,
        domains: Option<&BTreeSet<String>>,
    ) -> Result<UserName, String> {
        let name = self.text(claims, domains)?;
        UserName::parse(&name).map_err(|error| error.to_string())
    }

    pub(crate) fn text(
        &self,
        claims: &Claims,
        domains: Option<&BTreeSet<String>>,
    ) -> Result<String, String> {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Claim(claim) => name.push_str(&one(claims, claim)?),
                Piece::Local(claim) => {
                    let text = one(claims, claim)?;
                    let Some((local, domain)) = text.split_once('@') else {
                        return Err(format!("the claim {claim:?} has no @"));
                    };
                    // Somebody of another domain is somebody else.
                    let domain = domain.to_ascii_lowercase();
                    if !domains.is_some_and(|domains| domains.contains(&domain)) {
                        return Err(format!(
                            "the claim {claim:?} is not of a domain that `allow` names"
                        ));
                    }
                    name.push_str(local);
                }
            }
        }
        Ok(name)
    }
}

/// Who is meant. What is given must hold all at once; of each list one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    pub everyone: bool,
    pub groups: Option<BTreeSet<String>>,
    /// In small letters.
    pub domains: Option<BTreeSet<String>>,
    /// The claim whose domain it is; `None`: Google's `hd`, else the address of mail.
    pub domain_of: Option<String>,
    pub claims: BTreeMap<String, BTreeSet<String>>,
}

impl Rule {
    fn holds(&self, issuer: &str, claims: &Claims, groups: &[String]) -> bool {
        let in_groups =
            |wanted: &BTreeSet<String>| groups.iter().any(|group| wanted.contains(group));
        let says = |(claim, wanted): (&String, &BTreeSet<String>)| {
            many(claims, claim)
                .iter()
                .any(|value| wanted.contains(value))
        };
        let named = self.everyone
            || self.groups.is_some()
            || self.domains.is_some()
            || !self.claims.is_empty();
        named
            && self.groups.as_ref().is_none_or(in_groups)
            && (self.domains.as_ref()).is_none_or(|domains| match &self.domain_of {
                Some(claim) => one(claims, claim).is_ok_and(|text| ends_in(&text, domains)),
                None => of_domain(issuer, claims, domains),
            })
            && self.claims.iter().all(says)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let domain_of = self.domain_of.as_deref().unwrap_or("email");
        let domain_of = self.domains.is_some().then_some(domain_of);
        self.claims.keys().map(String::as_str).chain(domain_of)
    }
}

/// What of the claims becomes what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub username: NameFrom,
    pub display_name: String,
    /// The claim with groups. `None`: groups are left alone.
    pub groups: Option<String>,
    /// Which of these make groups here: whole names, or what they begin with (`uni:*`). `None`: all.
    pub groups_only: Option<Vec<String>>,
    /// Who may come in this way, whatever other lists say. `None`: whom other lists name.
    pub allow: Option<Rule>,
    /// Who is an administrator. `None`: the provider does not say.
    pub admins: Option<Rule>,
    pub adopts: Adopts,
    pub numbers: Numbers,
    /// The claim with an address of mail that is hers without more ado. `None`: none is.
    pub mail: Option<String>,
}

/// The claims with numbers for files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    pub uid: Option<String>,
    pub gid: Option<String>,
    /// What the group of that number is called.
    pub group: Option<String>,
    /// Of further groups.
    pub gids: Option<String>,
}

impl Numbers {
    fn claims(&self) -> impl Iterator<Item = &str> {
        [&self.uid, &self.gid, &self.group, &self.gids]
            .into_iter()
            .filter_map(Option::as_deref)
    }

    /// What can't be a number is as good as nothing, and is told.
    fn told(&self, claims: &Claims) -> Told {
        let number = |claim: &String| {
            let text = one(claims, claim).ok()?;
            let number = text.trim().parse().ok();
            if number.is_none() {
                tracing::warn!(claim, text, "told of somebody, and no number for files");
            }
            number
        };
        let group = self.group.as_ref();
        Told {
            uid: self.uid.as_ref().and_then(number),
            gid: self.gid.as_ref().and_then(number),
            group: group.and_then(|claim| one(claims, claim).ok()),
            gids: self.gids.as_ref().map(|claim| {
                let all = many(claims, claim);
                all.iter().filter_map(|text| text.parse().ok()).collect()
            }),
        }
    }
}

impl Mapping {
    /// Whether something is wanted that these claims don't have.
    pub fn lacks(&self, claims: &Claims) -> bool {
        self.wanted().any(|claim| find(claims, claim).is_none())
    }

    /// Whether this claim means anything here.
    pub fn names(&self, claim: &str) -> bool {
        self.wanted().any(|wanted| wanted == claim)
    }

    /// Which claims are there that decide about something here. Not her names: people may change theirs, and
    /// take them away.
    pub fn had(&self, claims: &Claims) -> BTreeSet<String> {
        let had = self
            .deciding()
            .filter(|claim| find(claims, claim).is_some());
        had.map(str::to_owned).collect()
    }

    fn wanted(&self) -> impl Iterator<Item = &str> {
        self.username
            .claims()
            .chain(self.deciding())
            .chain([self.display_name.as_str()])
            .chain(self.numbers.claims())
            .chain(self.mail.as_deref())
    }

    fn deciding(&self) -> impl Iterator<Item = &str> {
        let rules = self.allow.iter().chain(&self.admins).flat_map(Rule::names);
        self.groups.as_deref().into_iter().chain(rules)
    }

    fn of_ours(&self, mut groups: Vec<String>) -> Vec<String> {
        if let Some(only) = &self.groups_only {
            groups.retain(|group| {
                only.iter().any(|one| match one.strip_suffix('*') {
                    Some(beginning) => group.starts_with(beginning),
                    None => group == one,
                })
            });
        }
        groups
    }

    /// Who these claims are about. `issuer` and `subject` have been made sure of.
    pub fn identity(
        &self,
        issuer: &str,
        subject: &str,
        claims: &Claims,
    ) -> Result<Identity, Refused> {
        self.identity_called(issuer, subject, claims, None)
    }

    /// `name`: what somebody is called who has one already; it need not be told again.
    pub fn identity_called(
        &self,
        issuer: &str,
        subject: &str,
        claims: &Claims,
        name: Option<&UserName>,
    ) -> Result<Identity, Refused> {
        let told = self.groups.as_deref().map(|claim| many(claims, claim));
        let groups = told.map(|groups| {
            // What a platform says of its courses nobody else says.
            let fits = |group: &String| is_free_name(group) && !is_platforms(group);
            let groups: BTreeSet<String> = groups.into_iter().filter(fits).collect();
            groups.into_iter().take(GROUPS_MAX).collect::<Vec<_>>()
        });
        if let Some(claim) = &self.groups
            && let Some(Value::Object(elsewhere)) = claims.get("_claim_names")
            && elsewhere.contains_key(claim)
        {
            // To take it for none would take her out of all.
            return Err(Refused::Internal(anyhow::anyhow!(
                "the provider has more groups of her than it tells in a token (`_claim_names`); let it tell only those that are assigned to the application"
            )));
        }
        let known = groups.as_deref().unwrap_or_default();
        if let Some(allow) = &self.allow
            && !allow.holds(issuer, claims, known)
        {
            let called = match name {
                Some(name) => Some(name.clone()),
                None => self.username.render(claims, allow.domains.as_ref()).ok(),
            };
            let name = called.as_ref().map(UserName::as_str);
            tracing::info!(
                name,
                issuer,
                subject,
                "sign-in refused: `allow` of this way in does not hold"
            );
            return Err(Refused::NotAdmitted);
        }
        let name = match name {
            Some(name) => name.clone(),
            None => self.name(issuer, subject, claims)?,
        };
        let admin = (self.admins.as_ref()).map(|rule| rule.holds(issuer, claims, known));
        let display_name = one(claims, &self.display_name).ok();
        Ok(Identity {
            display_name: display_name.as_deref().and_then(shown),
            groups: groups.map(|groups| self.of_ours(groups)),
            admin,
            adopts: self.adopts,
            posix: self.numbers.told(claims),
            mail: (self.mail.as_ref()).and_then(|claim| one(claims, claim).ok()),
            subject: Some(Subject {
                issuer: issuer.into(),
                id: subject.into(),
            }),
            ..Identity::named(name)
        })
    }

    fn name(&self, issuer: &str, subject: &str, claims: &Claims) -> Result<UserName, Refused> {
        let domains = self.allow.as_ref().and_then(|rule| rule.domains.as_ref());
        self.username.render(claims, domains).map_err(|problem| {
            tracing::warn!(
                issuer,
                subject,
                problem,
                "sign-in refused: no name can be made of what the provider says"
            );
            Refused::Unnamed
        })
    }
}

/// A name to show: one line, not too long, nothing that turns the writing around.
fn shown(text: &str) -> Option<String> {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && !turns(*c))
        .take(DISPLAY_MAX)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A claim by its name, which may have dots in it, or by its path through objects.
pub(crate) fn find<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    match claims.get(first)? {
        Value::Object(inner) => find(inner, rest),
        _ => None,
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
    .filter(|text| !text.is_empty() && text.len() <= VALUE_MAX)
}

/// Whether the provider vouches for the address of mail. Some write the truth in quotes.
fn mail_is_vouched_for(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(truth)) => *truth,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// The one value of a claim.
fn one(claims: &Claims, name: &str) -> Result<String, String> {
    if name == "email" && !mail_is_vouched_for(claims) {
        return Err(
            "the provider does not vouch for the address of mail (`email_verified`)".into(),
        );
    }
    let value = find(claims, name).ok_or_else(|| format!("there is no claim {name:?}"))?;
    let one = match value {
        Value::Array(values) if values.len() == 1 => &values[0],
        value => value,
    };
    text_of(one).ok_or_else(|| format!("the claim {name:?} is not one text"))
}

/// All values of a claim; none if there is no such claim.
fn many(claims: &Claims, name: &str) -> Vec<String> {
    if name == "email" {
        return one(claims, name).into_iter().collect();
    }
    match find(claims, name) {
        Some(Value::Array(values)) => values.iter().take(GROUPS_MAX).filter_map(text_of).collect(),
        Some(value) => text_of(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Whether she is of one of these domains: by `hd`, in which Google says whose account it is; else by
/// her address of mail. At Google an address proves nothing: whoever has one may have a private account
/// under it.
fn of_domain(issuer: &str, claims: &Claims, domains: &BTreeSet<String>) -> bool {
    match claims.get("hd") {
        Some(Value::String(domain)) => domains.contains(&domain.to_ascii_lowercase()),
        Some(_) => false,
        None if issuer == GOOGLE => false,
        None => one(claims, "email").is_ok_and(|mail| ends_in(&mail, domains)),
    }
}

/// Whether what stands behind the one `@` is one of these.
fn ends_in(text: &str, domains: &BTreeSet<String>) -> bool {
    let mut parts = text.split('@');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(local), Some(domain), None) => {
            !local.is_empty() && domains.contains(&domain.to_ascii_lowercase())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://login.example.edu";

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(claims) => claims,
            other => panic!("no claims: {other}"),
        }
    }

    fn words(text: &str) -> BTreeSet<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn mapping(username: &str) -> Mapping {
        Mapping {
            numbers: Numbers::default(),
            mail: None,
            username: NameFrom::parse(username).unwrap(),
            display_name: "name".into(),
            groups: Some("groups".into()),
            groups_only: None,
            allow: None,
            admins: None,
            adopts: Adopts::default(),
        }
    }

    #[test]
    fn names_are_made_of_claims() {
        let said = json!({
            "preferred_username": "Ada", "given_name": "Ada", "family_name": "Lovelace", "n": 4711,
            "email": "ada@example.edu", "email_verified": true, "list": ["ada", "eve"],
            "upn": ["ada@Example.edu"], "mine": "ada@evil.org", "both": "ada@evil.org@example.edu", "odd": "а\u{43b}", "path": "../../etc", "long": "a".repeat(2000),
            "empty": "", "https://example.edu/name": "ada.l", "a": {"b": "inner"}
        });
        let domains = words("example.edu");
        let check = |username: &str, expect: Result<&str, ()>| {
            let got = NameFrom::parse(username)
                .unwrap()
                .render(&claims(said.clone()), Some(&domains));
            let got = got.as_ref().map(UserName::as_str).map_err(|_| ());
            assert_eq!(got, expect, "{username}");
        };
        check("claim:preferred_username", Ok("ada"));
        check("{given_name}.{family_name}", Ok("ada.lovelace"));
        check("x-{n}", Ok("x-4711"));
        check("claim:email", Ok("ada@example.edu"));
        check("{email|local}", Ok("ada"));
        check("{upn|local}", Ok("ada"));
        check("{ n }-x", Ok("4711-x"));
        check("claim:https://example.edu/name", Ok("ada.l"));
        check("claim:a.b", Ok("inner"));
        check("claim:a", Err(()));
        check("claim:list", Err(()));
        check("claim:nothing", Err(()));
        check("claim:odd", Err(()));
        check("claim:path", Err(()));
        check("claim:long", Err(()));
        check("claim:empty", Err(()));
        check("{preferred_username|local}", Err(()));
        // Of another domain she is somebody else, whatever her other claims say.
        check("{mine|local}", Err(()));
        check("{both|local}", Err(()));
        for wrong in [
            "", "ada", "claim:", "{", "{}", "a}", "{a", "{a|b}", "{|local}", "{a}}",
        ] {
            assert!(NameFrom::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_counts_only_if_it_is_vouched_for() {
        let check = |verified: Value, expect: bool| {
            let said = claims(json!({"email": "ada@example.edu", "email_verified": verified}));
            let name = NameFrom::parse("claim:email").unwrap();
            assert_eq!(name.render(&said, None).is_ok(), expect, "{verified}");
            let rule = Rule {
                domains: Some(words("example.edu")),
                ..Rule::default()
            };
            assert_eq!(rule.holds(ISSUER, &said, &[]), expect, "{verified}");
            let rule = Rule {
                claims: [("email".to_owned(), words("ada@example.edu"))].into(),
                ..Rule::default()
            };
            assert_eq!(rule.holds(ISSUER, &said, &[]), expect, "{verified}");
        };
        check(json!(true), true);
        check(json!("true"), true);
        check(json!(false), false);
        check(json!("false"), false);
        check(json!(1), false);
        check(Value::Null, false);
    }

    #[test]
    fn domains_are_whole_and_google_says_them_by_hd() {
        let rule = Rule {
            domains: Some(words("example.edu uni.example")),
            ..Rule::default()
        };
        let check = |issuer: &str, hd: Value, mail: &str, expect: bool| {
            let mut said = claims(json!({"email": mail, "email_verified": true}));
            if !hd.is_null() {
                said.insert("hd".into(), hd.clone());
            }
            assert_eq!(
                rule.holds(issuer, &said, &[]),
                expect,
                "{issuer} {hd} {mail}"
            );
        };
        check(ISSUER, Value::Null, "ada@example.edu", true);
        check(ISSUER, Value::Null, "ada@EXAMPLE.edu", true);
        check(ISSUER, Value::Null, "ada@uni.example", true);
        check(ISSUER, Value::Null, "ada@evil-example.edu", false);
        check(ISSUER, Value::Null, "ada@example.edu.evil.org", false);
        check(ISSUER, Value::Null, "ada@sub.example.edu", false);
        check(ISSUER, Value::Null, "ada@evil.org@example.edu", false);
        check(ISSUER, Value::Null, "\"ada@example.edu\"@evil.org", false);
        check(ISSUER, Value::Null, "@example.edu", false);
        check(ISSUER, Value::Null, "example.edu", false);
        check(ISSUER, json!("evil.org"), "ada@example.edu", false);
        check(ISSUER, json!("example.edu"), "ada@gmail.com", true);
        check(ISSUER, json!(["example.edu"]), "ada@example.edu", false);
        check(GOOGLE, Value::Null, "ada@example.edu", false);
        check(GOOGLE, json!("example.edu"), "ada@example.edu", true);
    }

    #[test]
    fn another_claim_says_the_domain_where_it_is_named() {
        let rule = Rule {
            domains: Some(words("example.edu")),
            domain_of: Some("upn".into()),
            ..Rule::default()
        };
        let check = |said: Value, expect: bool| {
            let holds = rule.holds(ISSUER, &claims(said.clone()), &[]);
            assert_eq!(holds, expect, "{said}");
        };
        check(json!({"upn": "ada@Example.edu"}), true);
        check(json!({"upn": "ada@example.org"}), false);
        check(json!({"upn": "ada@example.edu@example.org"}), false);
        check(json!({"upn": ["a@example.edu", "b@example.edu"]}), false);
        // It alone does.
        let mail = json!({"email": "ada@example.edu", "email_verified": true, "hd": "example.edu"});
        check(mail, false);
        assert!(rule.names().any(|claim| claim == "upn"));
    }

    #[test]
    fn whoever_is_allowed_is_named_whole() {
        let rule = |text: &str| -> Rule {
            let mut rule = Rule::default();
            for word in text.split_whitespace() {
                match word.split_once('=') {
                    Some(("group", group)) => {
                        rule.groups.get_or_insert_default().insert(group.into());
                    }
                    Some((claim, value)) => {
                        (rule.claims.entry(claim.into()).or_default()).insert(value.into());
                    }
                    None => rule.everyone = true,
                }
            }
            rule
        };
        let check = |text: &str, groups: Value, affiliation: Value, expect: bool| {
            let mut mapping = mapping("claim:preferred_username");
            mapping.allow = Some(rule(text));
            let said = claims(json!({
                "preferred_username": "ada", "groups": groups, "affiliation": affiliation
            }));
            let got = mapping.identity(ISSUER, "1", &said);
            assert_eq!(got.is_ok(), expect, "{text} {groups} {affiliation}");
        };
        let none = Value::Null;
        check("", none.clone(), none.clone(), false);
        check("everyone", none.clone(), none.clone(), true);
        check("group=staff", json!(["staff"]), none.clone(), true);
        check("group=staff", json!("staff"), none.clone(), true);
        check("group=staff", json!(["staff-guests"]), none.clone(), false);
        check("group=staff", json!(["sta"]), none.clone(), false);
        check("group=staff", json!(["Staff"]), none.clone(), false);
        check("group=staff", json!(["other/staff"]), none.clone(), false);
        check("group=staff", json!([["staff"]]), none.clone(), false);
        check("group=staff", json!({"staff": true}), none.clone(), false);
        check("group=staff", json!("staff students"), none.clone(), false);
        check("group=a group=b", json!(["b"]), none.clone(), true);
        check(
            "affiliation=member",
            none.clone(),
            json!(["member", "x"]),
            true,
        );
        check(
            "affiliation=member",
            none.clone(),
            json!("non-member"),
            false,
        );
        check(
            "group=a affiliation=member",
            json!(["a"]),
            none.clone(),
            false,
        );
        check(
            "group=a affiliation=member",
            json!(["a"]),
            json!("member"),
            true,
        );
        check("everyone group=a", none.clone(), none, false);
    }

    #[test]
    fn groups_and_roles_come_along() {
        let mut mapping = mapping("claim:preferred_username");
        mapping.groups = Some("realm.roles".into());
        mapping.admins = Some(Rule {
            groups: Some(words("it")),
            ..Rule::default()
        });
        let identity = |groups: Value| {
            let said = claims(json!({
                "preferred_username": "ada", "realm": {"roles": groups},
                "name": "Ada \u{202e}Lovelace\n", "email": "a@b.c"
            }));
            mapping.identity(ISSUER, "1", &said).unwrap()
        };
        let ada = identity(json!(["it", "b", "b", "a\nb", " x", "", 7, {"x": 1}]));
        assert_eq!(ada.groups.unwrap(), ["7", "b", "it"]);
        // Who is in a course elsewhere its platform says, and nobody else.
        let groups = identity(json!(["lti::context:42/teacher", "b"])).groups;
        assert_eq!(groups.unwrap(), ["b"]);
        assert_eq!(ada.admin, Some(true));
        assert_eq!(ada.display_name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(ada.subject.unwrap().id, "1");
        assert_eq!(identity(json!(["italy"])).admin, Some(false));
        let many: Vec<String> = (0..5_000).map(|n| format!("g{n}")).collect();
        assert_eq!(identity(json!(many)).groups.unwrap().len(), GROUPS_MAX);
    }
}
