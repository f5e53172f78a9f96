//! The `sign_in` section: the ways in, each with keys of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::ldap::LdapConfig;
use lyceum_auth::oidc::{OidcConfig, RESERVED};
use lyceum_auth::{check_authorities, may_be_asked};
use lyceum_model::identity::Adopts;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::ldap::{RawLdap, check_ldap};
use super::raw::RawConfig;

/// More ways in than anybody could choose from.
const METHODS_MAX: usize = 16;
/// A certificate authority's file is not larger.
const AUTHORITY_MAX: u64 = 1024 * 1024;

const NOBODY: &str = "nobody could come in this way: say with `allow` who may, such as `allow: {everyone: true}`, or name people in `people.allow`";

/// One way in. `kind` says which keys it has, and stands first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RawSignIn {
    /// Accounts kept here, with passwords.
    Local(RawLocal),
    /// A provider that speaks OpenID Connect.
    Oidc(Box<RawOidc>),
    /// The directory of an organisation, with passwords that people have there.
    Ldap(Box<RawLdap>),
}

const KINDS: [&str; 3] = ["local", "oidc", "ldap"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLocal {
    /// What the log-in page calls it.
    pub title: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOidc {
    /// What the log-in page calls it: "Log in with …".
    pub title: String,
    /// Tells several such ways apart in addresses: with `staff` the provider sends browsers back to
    /// `/hub/oauth_callback/staff`. Left out, for one of them: `/hub/oauth_callback`.
    pub id: String,
    /// The address of the provider, exactly as it calls itself in its
    /// `/.well-known/openid-configuration`.
    pub issuer: String,
    /// The name of this client at the provider.
    pub client_id: String,
    /// Its secret, `file:PATH` or `env:NAME`. Left out: the provider knows a client without one.
    pub client_secret: Option<SecretRef>,
    /// What becomes the user name: `claim:preferred_username`, or a template such as
    /// `{given_name}.{family_name}` or `{email|local}` (what stands before the `@`). It counts when
    /// somebody comes for the first time; later she is known by the provider's mark for her (`sub`).
    pub username: String,
    /// The claim with the name to show.
    pub display_name: String,
    /// The claim with her groups: `claim:groups`. She is put into these here, and taken out of those that
    /// it told before. Left out: groups are left alone.
    pub groups: Option<String>,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawRule>,
    /// Who is an administrator, as long as it holds at each log-in. Left out: the provider does not say.
    pub admins: Option<RawRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name. Only where people can't choose their names at the provider.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// What is asked of the provider.
    pub scopes: Vec<String>,
    /// Sent to the provider besides: `{prompt: select_account}`.
    pub parameters: BTreeMap<String, String>,
    /// `true`: whoever logs out here is sent on to log out there. Otherwise she is offered it.
    pub log_out_there: bool,
    /// A file with the certificates of authorities that count for this provider besides the system's.
    pub authority: Option<String>,
}

impl Default for RawOidc {
    fn default() -> Self {
        Self {
            title: String::new(),
            id: String::new(),
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            username: "claim:preferred_username".into(),
            display_name: "claim:name".into(),
            groups: None,
            allow: None,
            admins: None,
            adopt: false,
            adopt_administrators: false,
            scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
            parameters: BTreeMap::new(),
            log_out_there: false,
            authority: None,
        }
    }
}

/// Who is meant. All keys that are given must hold; of each list one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawRule {
    /// `true`: whoever has an account there.
    pub everyone: bool,
    /// Groups of the claim that `groups` names.
    pub groups: Option<Vec<String>>,
    /// Domains: Google's `hd`, else of the address of mail, if the provider has made sure of that.
    pub domains: Option<Vec<String>>,
    /// Claims, each with the values that are meant: `{eduperson_affiliation: [staff, student]}`.
    pub claims: BTreeMap<String, Vec<String>>,
}

impl<'de> Deserialize<'de> for RawSignIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = RawSignIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a way in such as `{kind: local, title: …}`")
            }
            // The keys behind `kind` are read as they come, so that each mistake keeps its place.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawSignIn, A::Error> {
                if map.next_key::<String>()?.as_deref() != Some("kind") {
                    return Err(de::Error::custom(
                        "`kind` says what the other keys mean, so it stands first: `kind: local`, `kind: oidc` or `kind: ldap`",
                    ));
                }
                let kind = map.next_value::<String>()?;
                let rest = MapAccessDeserializer::new(map);
                match kind.as_str() {
                    "local" => RawLocal::deserialize(rest).map(RawSignIn::Local),
                    "oidc" => RawOidc::deserialize(rest).map(|oidc| RawSignIn::Oidc(oidc.into())),
                    "ldap" => RawLdap::deserialize(rest).map(|ldap| RawSignIn::Ldap(ldap.into())),
                    other => Err(de::Error::unknown_variant(other, &KINDS)),
                }
            }
        }
        from.deserialize_map(Entry)
    }
}

/// A way in that passed.
#[derive(Debug, Clone, PartialEq)]
pub enum SignInMethod {
    Local,
    Oidc(Box<OidcConfig>),
    Ldap(Box<LdapConfig>),
}

pub(super) fn check_sign_in(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Vec<SignInMethod> {
    let list = &raw.sign_in.0;
    if list.is_empty() {
        problem("sign_in", "without a way to sign in nobody gets in; remove the key or add `{kind: local, title: …}`".into());
    }
    if list.len() > METHODS_MAX {
        problem(
            "sign_in",
            format!("these are more than {METHODS_MAX} ways in"),
        );
    }
    let (mut ids, mut directories) = (BTreeSet::new(), BTreeSet::new());
    let mut methods = Vec::new();
    for (index, method) in list.iter().enumerate().take(METHODS_MAX) {
        let at = format!("sign_in[{index}]");
        let title = match method {
            RawSignIn::Local(local) => &local.title,
            RawSignIn::Oidc(oidc) => &oidc.title,
            RawSignIn::Ldap(ldap) => &ldap.title,
        };
        if title.trim().is_empty() || title.chars().count() > 80 {
            problem(
                &format!("{at}.title"),
                "the title is empty or longer than 80 characters".into(),
            );
        }
        match method {
            RawSignIn::Local(_) => {
                if methods.contains(&SignInMethod::Local) {
                    problem(
                        &format!("{at}.kind"),
                        "this kind stands here a second time".into(),
                    );
                } else {
                    methods.push(SignInMethod::Local);
                }
            }
            RawSignIn::Oidc(oidc) => {
                if raw.public_url.is_none() {
                    problem(&at, "the provider sends browsers back to an address that is registered there; write it as `public_url`".into());
                }
                if oidc.allow.is_none() && raw.people.allow.is_none() {
                    problem(&at, NOBODY.into());
                }
                let twice = "two ways in have this id, or none; each wants its own, all but one";
                if let Some(message) = check_id(&oidc.id, &mut ids, twice) {
                    problem(&format!("{at}.id"), message);
                }
                if let Some(config) = check_oidc(oidc, &at, folder, problem) {
                    methods.push(SignInMethod::Oidc(config.into()));
                }
            }
            RawSignIn::Ldap(ldap) => {
                if ldap.allow.is_none() && raw.people.allow.is_none() {
                    problem(&at, NOBODY.into());
                }
                let twice =
                    "two directories have this id, or none; each wants its own, all but one";
                if let Some(message) = check_id(&ldap.id, &mut directories, twice) {
                    problem(&format!("{at}.id"), message);
                }
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                let config = check_ldap(ldap, folder, &mut say);
                methods.push(SignInMethod::Ldap(config.into()));
            }
        }
    }
    methods
}

/// What is wrong with an id; else it is one of those that are taken.
fn check_id<'a>(id: &'a str, taken: &mut BTreeSet<&'a str>, twice: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !id.bytes().all(fits) || id.len() > 32 {
        return Some("an id has small letters, digits and hyphens, 32 at most".into());
    }
    (!taken.insert(id)).then(|| twice.to_owned())
}

fn check_oidc(
    raw: &RawOidc,
    at: &str,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Option<OidcConfig> {
    let mut say = |key: &str, message: String| problem(&format!("{at}.{key}"), message);
    if let Err(message) = check_issuer(&raw.issuer) {
        say("issuer", message);
    }
    if raw.client_id.trim().is_empty() || raw.client_id.len() > 512 {
        say(
            "client_id",
            "the name of this client at the provider is missing or too long".into(),
        );
    }
    let secret = raw
        .client_secret
        .as_ref()
        .map(|secret| secret.resolve(folder));
    let client_secret = secret.transpose().unwrap_or_else(|message| {
        say("client_secret", message);
        None
    });
    let username = NameFrom::parse(&raw.username);
    let username = username.map_err(|message| say("username", message)).ok();
    let display_name = claim("display_name", &raw.display_name, &mut say);
    let groups = raw
        .groups
        .as_deref()
        .map(|text| claim("groups", text, &mut say));
    let has_openid = raw.scopes.iter().any(|scope| scope == "openid");
    let fit = |scope: &String| !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic());
    if !has_openid || !raw.scopes.iter().all(fit) {
        say(
            "scopes",
            "scopes are words without blanks, `openid` among them".into(),
        );
    }
    for key in raw.parameters.keys() {
        if key.is_empty() || RESERVED.contains(&key.as_str()) {
            say("parameters", format!("{key:?} is said by Lyceum itself"));
        }
    }
    let knows_groups = raw.groups.is_some();
    let allow = (raw.allow.as_ref()).map(|rule| check_rule("allow", rule, knows_groups, &mut say));
    let admins =
        (raw.admins.as_ref()).map(|rule| check_rule("admins", rule, knows_groups, &mut say));
    let username = username?;
    let domains = allow.as_ref().and_then(|rule| rule.domains.as_ref());
    if username.drops_domains() && domains.is_none_or(|domains| domains.len() != 1) {
        say("username", "`|local` makes one name of addresses at several domains; `allow: {domains: […]}` has to name the one that is meant".into());
    }
    let authorities = raw.authority.as_ref().and_then(|file| {
        let read = read_authority(&folder.join(file));
        read.map_err(|message| say("authority", format!("{file}: {message}")))
            .ok()
    });
    Some(OidcConfig {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        issuer: raw.issuer.clone(),
        client_id: raw.client_id.clone(),
        client_secret,
        scopes: raw.scopes.clone(),
        parameters: raw.parameters.clone(),
        mapping: Mapping {
            username,
            display_name,
            groups,
            allow,
            admins,
            adopts: Adopts {
                people: raw.adopt,
                administrators: raw.adopt_administrators,
            },
        },
        log_out_there: raw.log_out_there,
        authorities,
    })
}

fn check_issuer(text: &str) -> Result<(), String> {
    let wrong = || {
        format!("{text:?} is not the address of a provider, such as `https://login.example.edu`")
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !is_bare || !matches!(url.scheme(), "http" | "https") {
        return Err(wrong());
    }
    may_be_asked(&url).map_err(|_| {
        "a provider is asked by https; without it only on this machine, for trying out".into()
    })
}

fn claim(key: &str, text: &str, say: &mut dyn FnMut(&str, String)) -> String {
    match text.strip_prefix("claim:").map(str::trim) {
        Some(claim) if !claim.is_empty() => claim.to_owned(),
        _ => {
            say(key, format!("{text:?} names no claim; write `claim:NAME`"));
            String::new()
        }
    }
}

fn check_rule(
    key: &str,
    raw: &RawRule,
    knows_groups: bool,
    say: &mut dyn FnMut(&str, String),
) -> Rule {
    let says = raw.groups.is_some() || raw.domains.is_some() || !raw.claims.is_empty();
    if raw.everyone && (says || key == "admins") {
        say(
            key,
            "`everyone: true` can't be meant here; remove it or what stands beside it".into(),
        );
    }
    if !raw.everyone && !says {
        say(key, "it names nobody; write `everyone: true`, `groups`, `domains` or `claims`, or remove the key".into());
    }
    if raw.groups.is_some() && !knows_groups {
        say(
            key,
            "which claim holds the groups? Add `groups: claim:…` beside it".into(),
        );
    }
    let empty = |list: &[String]| list.is_empty() || list.iter().any(|text| text.trim().is_empty());
    let lists = raw
        .groups
        .iter()
        .chain(&raw.domains)
        .chain(raw.claims.values());
    if lists.clone().any(|list| empty(list)) {
        say(
            key,
            "a list is empty, or a text in it, so that nobody is meant".into(),
        );
    }
    for domain in raw.domains.iter().flatten() {
        let fits = domain
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        if !fits || !domain.contains('.') || domain.starts_with('.') {
            say(
                key,
                format!("{domain:?} is no domain such as `example.edu`; each is written whole"),
            );
        }
    }
    let set = |list: &Vec<String>| list.iter().cloned().collect::<BTreeSet<_>>();
    Rule {
        everyone: raw.everyone,
        groups: raw.groups.as_ref().map(set),
        domains: (raw.domains.as_ref()).map(|list| {
            list.iter()
                .map(|domain| domain.to_ascii_lowercase())
                .collect()
        }),
        claims: raw
            .claims
            .iter()
            .map(|(claim, list)| (claim.clone(), set(list)))
            .collect(),
    }
}

pub(super) fn read_authority(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(AUTHORITY_MAX).read_to_end(&mut pem))
        .map_err(|error| format!("can't be read: {error}"))?;
    check_authorities(&pem).map_err(|error| error.to_string())?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, parse};
    use super::*;

    const GOOD: &str =
        "issuer: https://login.example.edu, client_id: lyceum, allow: {everyone: true}";

    fn read(entries: &str) -> Result<Config, String> {
        let text = format!("public_url: https://hub.example.edu\nsign_in:\n{entries}\n");
        let loaded = parse("lyceum.yaml", &text, Path::new("."));
        loaded
            .map(|loaded| loaded.config)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn several_ways_in_are_read() {
        let config = read(&format!(
            "  - {{kind: oidc, title: University, {GOOD}}}\n  - {{kind: local, title: Guests}}\n  \
             - {{kind: oidc, id: staff, title: Staff, {GOOD}, groups: 'claim:a.b', admins: {{groups: [it]}}, adopt: true}}"
        ));
        let methods = config.unwrap().sign_in;
        let [
            SignInMethod::Oidc(first),
            SignInMethod::Local,
            SignInMethod::Oidc(second),
        ] = &methods[..]
        else {
            panic!("{methods:?}");
        };
        assert_eq!((first.id.as_str(), second.id.as_str()), ("", "staff"));
        assert_eq!(first.scopes, ["openid", "profile", "email"]);
        assert_eq!(second.mapping.groups.as_deref(), Some("a.b"));
        assert!(first.mapping.admins.is_none() && first.client_secret.is_none());
        // Accounts of others are given away only where it is written, each kind for itself.
        assert_eq!(first.mapping.adopts, Adopts::default());
        assert!(second.mapping.adopts.people && !second.mapping.adopts.administrators);
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let check = |entry: &str, expect: &str| {
            let said = read(&format!("  - {entry}")).expect_err(entry);
            assert!(said.contains(expect), "{entry}: {said}");
        };
        let oidc = |more: &str| format!("{{kind: oidc, title: T, {GOOD}, {more}}}");
        check("{title: T, kind: local}", "stands first");
        check("{kind: ldapp, title: T}", "ldapp");
        check("{kind: local, titel: T}", "lyceum.yaml:3:");
        check("{kind: local, title: T, issuer: x}", "issuer");
        check(&oidc("isuer: x"), "isuer");
        check(
            &oidc("client_secret: hunter2"),
            "a secret does not stand in this file",
        );
        check(
            &oidc("client_secret: env:LYCEUM_TEST_NOT_SET"),
            "is not set",
        );
        check(&oidc("username: ada"), "sign_in[0].username");
        check(&oidc("username: '{email|local}'"), "several domains");
        check(&oidc("groups: groups"), "write `claim:NAME`");
        check(&oidc("scopes: [profile]"), "`openid` among them");
        check(&oidc("parameters: {state: x}"), "said by Lyceum itself");
        check(&oidc("id: A/B"), "small letters");
        check(&oidc("admins: {everyone: true}"), "can't be meant");
        check(&oidc("admins: {groups: [it]}"), "Add `groups: claim:");
        check(&oidc("authority: gone.pem"), "gone.pem");
        let entry = |issuer: &str, allow: &str| {
            format!("{{kind: oidc, title: T, client_id: c, issuer: '{issuer}'{allow}}}")
        };
        let all = ", allow: {everyone: true}";
        check(&entry("http://login.example.edu", all), "asked by https");
        check(
            &entry("login.example.edu", all),
            "not the address of a provider",
        );
        check(
            &entry("https://login.example.edu?x", all),
            "not the address of a provider",
        );
        // Never "everybody" by a slip.
        let here = "https://login.example.edu";
        check(&entry(here, ""), "nobody could come in this way");
        check(&entry(here, ", allow: {}"), "names nobody");
        check(&entry(here, ", allow: {group: [a]}"), "group");
        check(&entry(here, ", allow: {domains: []}"), "a list is empty");
        check(
            &entry(here, ", allow: {claims: {a: ['']}}"),
            "a list is empty",
        );
        check(&entry(here, ", allow: {domains: [edu]}"), "is no domain");
        check(
            &entry(here, ", allow: {domains: ['*.example.edu']}"),
            "is no domain",
        );
        check(
            &entry(here, ", allow: {everyone: true, domains: [example.edu]}"),
            "can't be meant",
        );
        let twice = format!("{}\n  - {}", oidc("id: a"), oidc("id: a"));
        check(&twice, "two ways in have this id");
        check(
            "{kind: local, title: A}\n  - {kind: local, title: B}",
            "a second time",
        );
        let text = format!("sign_in:\n  - {{kind: oidc, title: T, {GOOD}}}\n");
        let said = parse("lyceum.yaml", &text, Path::new(".")).expect_err("no address");
        assert!(said.to_string().contains("public_url"));
    }
}
