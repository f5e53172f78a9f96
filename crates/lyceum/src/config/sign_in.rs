//! The `sign_in` section: the ways in, each with keys of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use lyceum_auth::addresses::is_domain;
use lyceum_auth::check_authorities;
use lyceum_auth::claims::Rule;
use lyceum_auth::code::RESERVED;
use lyceum_auth::config::{LocalConfig, SignUp};
use lyceum_auth::dummy::DummyConfig;
use lyceum_auth::header::HeaderConfig;
use lyceum_auth::ldap::LdapConfig;
use lyceum_auth::lti::{LtiConfig, OldLtiConfig};
use lyceum_auth::oauth2::OAuth2Config;
use lyceum_auth::oidc::OidcConfig;
use lyceum_auth::pam::PamConfig;
use lyceum_auth::password::{NEW_MIN, NEW_MIN_MOST};
use lyceum_model::secret::Secret;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::dummy::{RawDummy, check_dummy};
use super::header::{RawHeader, check_header};
use super::ldap::{RawLdap, check_ldap};
use super::lti::{RawLti, check_lti};
use super::lti11::{RawOldLti, check_old_lti};
use super::oauth2::{Preset, RawOAuth2, check_oauth2};
use super::oidc::{RawOidc, check_oidc};
use super::pam::{RawPam, check_pam};
use super::people::names_somebody;
use super::raw::{RawConfig, SpawnerAccounts};

/// More ways in than anybody could choose from.
const METHODS_MAX: usize = 16;
/// More domains than one place has.
const DOMAINS_MAX: usize = 50;
/// A certificate authority's file is not larger.
const AUTHORITY_MAX: u64 = 1024 * 1024;

const NOBODY: &str = "nobody could come in this way: say with `allow` who may, such as `allow: {everyone: true}`, or name people in `people.allow`";

/// What can't be where servers run under people's own accounts of the machine.
pub const NAMES_OF_THE_MACHINE: &str = "with system accounts (`spawner.accounts`) a server runs under the machine's account of the person's name, so nobody may take a name without anybody's yes: write `sign_up: approval` or `sign_up: invitation`, or run all servers under one account with `spawner: {accounts: shared}`";

/// Tells what is wrong with a key of one way in.
pub(super) type Say<'a> = &'a mut dyn FnMut(&str, String);

/// One way in. `kind` says which keys it has, and stands first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RawSignIn {
    /// Accounts kept here, with passwords.
    Local(RawLocal),
    /// A provider that speaks OpenID Connect.
    Oidc(Box<RawOidc>),
    /// A provider that speaks OAuth 2.0 without OpenID Connect.
    #[serde(rename = "oauth2")]
    OAuth2(Box<RawOAuth2>),
    /// For trying out: everybody is whoever she says.
    Dummy(RawDummy),
    /// The directory of an organisation, with passwords that people have there.
    Ldap(Box<RawLdap>),
    /// A proxy in front that says who people are.
    Header(Box<RawHeader>),
    /// A learning platform from which people come, by LTI 1.3.
    Lti(Box<RawLti>),
    /// An old learning platform, by LTI 1.1.
    #[serde(rename = "lti11")]
    OldLti(Box<RawOldLti>),
    /// Accounts of the machine, by its own rules; in programs that are built with it.
    Pam(RawPam),
}

const KINDS: [&str; 9] = [
    "local", "oidc", "oauth2", "ldap", "lti", "lti11", "header", "pam", "dummy",
];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLocal {
    /// What the log-in page calls it.
    pub title: String,
    /// Fewest characters of a new password: 8 to 64.
    #[serde(default = "shortest")]
    pub password_length: usize,
    /// How people come to accounts that nobody made for them: `invitation`, by a link that an administrator
    /// hands over; `approval`, by asking for one, and an administrator's yes; `{domains: [example.edu]}`, by
    /// a link that is sent to an address there; `open`, by coming: whoever reaches the page makes one. Left
    /// out: not at all.
    #[serde(default, skip_serializing_if = "is_closed")]
    pub sign_up: SignUp,
}

fn is_closed(sign_up: &SignUp) -> bool {
    *sign_up == SignUp::Closed
}

pub(super) fn shortest() -> usize {
    LocalConfig::default().password_length
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
                    return Err(de::Error::custom(format!(
                        "`kind` says what the other keys mean, so it stands first, such as `kind: local`; known here: {}",
                        KINDS.join(", ")
                    )));
                }
                let kind = map.next_value::<String>()?;
                let rest = MapAccessDeserializer::new(map);
                match kind.as_str() {
                    "local" => RawLocal::deserialize(rest).map(RawSignIn::Local),
                    "oidc" => RawOidc::deserialize(rest).map(|oidc| RawSignIn::Oidc(oidc.into())),
                    "oauth2" => {
                        RawOAuth2::deserialize(rest).map(|oauth| RawSignIn::OAuth2(oauth.into()))
                    }
                    "ldap" => RawLdap::deserialize(rest).map(|ldap| RawSignIn::Ldap(ldap.into())),
                    "header" => {
                        RawHeader::deserialize(rest).map(|header| RawSignIn::Header(header.into()))
                    }
                    "lti" => RawLti::deserialize(rest).map(|lti| RawSignIn::Lti(lti.into())),
                    "lti11" => {
                        RawOldLti::deserialize(rest).map(|old| RawSignIn::OldLti(old.into()))
                    }
                    "pam" => RawPam::deserialize(rest).map(RawSignIn::Pam),
                    "dummy" => RawDummy::deserialize(rest).map(RawSignIn::Dummy),
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
    Local(LocalConfig),
    Oidc(Box<OidcConfig>),
    OAuth2(Box<OAuth2Config>),
    Ldap(Box<LdapConfig>),
    Header(Box<HeaderConfig>),
    Lti(Box<LtiConfig>),
    OldLti(Box<OldLtiConfig>),
    Pam(PamConfig),
    Dummy(DummyConfig),
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
    let (mut platforms, mut chosen) = (BTreeSet::new(), false);
    let mut methods = Vec::new();
    for (index, method) in list.iter().enumerate().take(METHODS_MAX) {
        let at = format!("sign_in[{index}]");
        let title = match method {
            RawSignIn::Local(local) => &local.title,
            RawSignIn::Oidc(oidc) => &oidc.title,
            RawSignIn::OAuth2(oauth) => &oauth.title,
            RawSignIn::Ldap(ldap) => &ldap.title,
            RawSignIn::Header(header) => &header.title,
            RawSignIn::Lti(lti) => &lti.title,
            RawSignIn::OldLti(old) => &old.title,
            RawSignIn::Pam(pam) => &pam.title,
            RawSignIn::Dummy(dummy) => &dummy.title,
        };
        let automatic = match method {
            RawSignIn::Oidc(oidc) => oidc.automatic,
            RawSignIn::OAuth2(oauth) => oauth.automatic,
            RawSignIn::Header(header) => header.automatic,
            _ => false,
        };
        if automatic && std::mem::replace(&mut chosen, true) {
            problem(
                &format!("{at}.automatic"),
                "another way in is taken by itself already; which one shall it be?".into(),
            );
        }
        if title.trim().is_empty() || title.chars().count() > 80 {
            problem(
                &format!("{at}.title"),
                "the title is empty or longer than 80 characters".into(),
            );
        }
        match method {
            RawSignIn::Local(local) => {
                if !(NEW_MIN..=NEW_MIN_MOST).contains(&local.password_length) {
                    problem(
                        &format!("{at}.password_length"),
                        format!("say a number from {NEW_MIN} to {NEW_MIN_MOST}"),
                    );
                }
                let mut say = |message| problem(&format!("{at}.sign_up"), message);
                check_sign_up(&local.sign_up, raw, &mut say);
                if (methods.iter()).any(|one| matches!(one, SignInMethod::Local(_))) {
                    problem(
                        &format!("{at}.kind"),
                        "this kind stands here a second time".into(),
                    );
                } else {
                    methods.push(SignInMethod::Local(LocalConfig {
                        title: local.title.clone(),
                        password_length: local.password_length,
                        sign_up: local.sign_up.clone(),
                    }));
                }
            }
            RawSignIn::Oidc(oidc) => {
                let known = (oidc.id.as_str(), oidc.allow.is_some());
                check_way_out(raw, &at, known, &mut ids, problem);
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                if let Some(config) = check_oidc(oidc, folder, &mut say) {
                    methods.push(SignInMethod::Oidc(config.into()));
                }
            }
            RawSignIn::OAuth2(oauth) => {
                let known = (oauth.id.as_str(), oauth.allow.is_some());
                check_way_out(raw, &at, known, &mut ids, problem);
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                // It lets everybody come back to addresses below the one that is registered there.
                if oauth.preset == Some(Preset::Github) && oauth.id.is_empty() && list.len() > 1 {
                    say("id", "beside other ways in this one wants an `id`, so that its way back is not the beginning of others'".into());
                }
                if let Some(config) = check_oauth2(oauth, folder, &mut say) {
                    if methods.iter().any(|other| is_another_place(other, &config)) {
                        say("mark", "another way in takes these marks for those of another place; people would be taken for each other".into());
                    }
                    methods.push(SignInMethod::OAuth2(config.into()));
                }
            }
            RawSignIn::Ldap(ldap) => {
                if ldap.allow.is_none() && !names_somebody(&raw.people) {
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
            RawSignIn::Header(header) => {
                if header.allow.is_none() && !names_somebody(&raw.people) {
                    problem(&at, NOBODY.into());
                }
                if (methods.iter()).any(|one| matches!(one, SignInMethod::Header(_))) {
                    let message = "this kind stands here a second time";
                    problem(&format!("{at}.kind"), message.into());
                }
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                if let Some(config) = check_header(header, folder, &mut say) {
                    methods.push(SignInMethod::Header(config.into()));
                }
            }
            RawSignIn::Lti(lti) => {
                let known = (lti.id.as_str(), lti.allow.is_some());
                check_way_out(raw, &at, known, &mut platforms, problem);
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                if let Some(config) = check_lti(lti, folder, &mut say) {
                    methods.push(SignInMethod::Lti(config.into()));
                }
            }
            RawSignIn::OldLti(old) => {
                let known = (old.id.as_str(), old.allow.is_some());
                check_way_out(raw, &at, known, &mut platforms, problem);
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                if let Some(config) = check_old_lti(old, folder, &mut say) {
                    methods.push(SignInMethod::OldLti(config.into()));
                }
            }
            RawSignIn::Pam(pam) => {
                if pam.allow.is_none() && raw.people.allow.is_none() {
                    problem(&at, NOBODY.into());
                }
                if (methods.iter()).any(|one| matches!(one, SignInMethod::Pam(_))) {
                    let message = "this kind stands here a second time";
                    problem(&format!("{at}.kind"), message.into());
                }
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                methods.push(SignInMethod::Pam(check_pam(pam, &mut say)));
            }
            RawSignIn::Dummy(dummy) => {
                if list.len() > 1 {
                    problem(&format!("{at}.kind"), "`dummy` stands alone: by it anybody would be those whom other ways in know".into());
                }
                let public_url = raw.public_url.as_ref().and_then(|url| Url::parse(url).ok());
                let mut say = |key: &str, message| problem(&format!("{at}.{key}"), message);
                let config = check_dummy(dummy, public_url.as_ref(), folder, &mut say);
                methods.push(SignInMethod::Dummy(config));
            }
        }
    }
    methods
}

fn check_sign_up(sign_up: &SignUp, raw: &RawConfig, say: &mut dyn FnMut(String)) {
    if sign_up.gives_names_away() && raw.spawner.accounts == Some(SpawnerAccounts::System) {
        say(NAMES_OF_THE_MACHINE.into());
    }
    if *sign_up == SignUp::Open && raw.people.allow.is_some() && !raw.people.existing {
        say("`people.allow` says who may come in, so nobody could make an account for herself; write `people.existing: true` beside it, so that those come in who have made one; or leave one of the two out, or take `sign_up: invitation`".into());
    }
    let SignUp::Domains(domains) = sign_up else {
        return;
    };
    if domains.is_empty() || domains.len() > DOMAINS_MAX {
        say(format!(
            "say which domains, 1 to {DOMAINS_MAX} of them, such as `domains: [example.edu]`"
        ));
    }
    for domain in domains.iter().filter(|domain| !is_domain(domain)) {
        say(format!(
            "{domain:?} is no domain such as `example.edu`; what is below one is another"
        ));
    }
    if raw.mail.server.is_none() {
        say("a link is sent to each address, so `mail` must say by which server".into());
    }
}

/// What our own proxy has to know of a proxy in front that says who people are.
pub(super) fn identity(raw: &RawConfig) -> Option<lyceum_proxy::Identity> {
    raw.sign_in.0.iter().find_map(|method| match method {
        RawSignIn::Header(header) => Some(super::header::identity(header)),
        _ => None,
    })
}

/// Whether both tell people by the same marks, though they ask at different addresses.
fn is_another_place(other: &SignInMethod, one: &OAuth2Config) -> bool {
    let SignInMethod::OAuth2(other) = other else {
        return false;
    };
    let places = |config: &OAuth2Config| (config.token_url.clone(), config.userdata_url.clone());
    other.source() == one.source() && places(other) != places(one)
}

/// What every way in over another site needs: an address to come back to, one of its own, and somebody
/// who may come.
fn check_way_out<'a>(
    raw: &RawConfig,
    at: &str,
    (id, says_who): (&'a str, bool),
    taken: &mut BTreeSet<&'a str>,
    problem: &mut dyn FnMut(&str, String),
) {
    if raw.public_url.is_none() {
        problem(at, "the provider sends browsers back to an address that is registered there; write it as `public_url`".into());
    }
    if !says_who && !names_somebody(&raw.people) {
        problem(at, NOBODY.into());
    }
    let twice = "two ways in have this id, or none; each wants its own, all but one";
    if let Some(message) = check_id(id, taken, twice) {
        problem(&format!("{at}.id"), message);
    }
}

/// Lyceum as a provider knows it, and what it is sent besides; gives the secret.
pub(super) fn check_client(
    (id, secret): (&str, Option<&SecretRef>),
    parameters: &BTreeMap<String, String>,
    folder: &Path,
    say: Say<'_>,
) -> Option<Secret> {
    if id.trim().is_empty() || id.len() > 512 {
        say(
            "client_id",
            "the name of this client at the provider is missing or too long".into(),
        );
    }
    for key in parameters.keys() {
        if key.is_empty() || RESERVED.contains(&key.as_str()) {
            say("parameters", format!("{key:?} is said by Lyceum itself"));
        }
    }
    let secret = secret.map(|secret| secret.resolve(folder));
    secret.transpose().unwrap_or_else(|message| {
        say("client_secret", message);
        None
    })
}

/// What is wrong with an id; else it is one of those that are taken.
fn check_id<'a>(id: &'a str, taken: &mut BTreeSet<&'a str>, twice: &str) -> Option<String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !id.bytes().all(fits) || id.len() > 32 {
        return Some("an id has small letters, digits and hyphens, 32 at most".into());
    }
    (!taken.insert(id)).then(|| twice.to_owned())
}

/// Who is meant by a rule, as a way in that brings people from elsewhere says it in its own words.
pub(super) struct Meant<'a> {
    pub(super) everyone: bool,
    pub(super) groups: Option<&'a Vec<String>>,
    pub(super) domains: Option<&'a Vec<String>>,
    pub(super) claims: &'a BTreeMap<String, Vec<String>>,
    /// The keys by which somebody can be named, for whoever has named nobody.
    pub(super) keys: &'static str,
    /// Nothing where it is known how groups are found; else what to add.
    pub(super) groups_want: Option<&'static str>,
}

impl Meant<'_> {
    pub(super) fn check(&self, key: &str, say: Say<'_>) -> Rule {
        let says = self.groups.is_some() || self.domains.is_some() || !self.claims.is_empty();
        if self.everyone && (says || key == "admins") {
            say(
                key,
                "`everyone: true` can't be meant here; remove it or what stands beside it".into(),
            );
        }
        if !self.everyone && !says {
            let keys = self.keys;
            let message =
                format!("it names nobody; write `everyone: true`, {keys}, or remove the key");
            say(key, message);
        }
        if let Some(wanted) = self.groups_want.filter(|_| self.groups.is_some()) {
            say(key, wanted.into());
        }
        let empty =
            |list: &Vec<String>| list.is_empty() || list.iter().any(|text| text.trim().is_empty());
        let mut lists = (self.groups.into_iter().chain(self.domains)).chain(self.claims.values());
        if lists.any(empty) {
            say(
                key,
                "a list is empty, or a text in it, so that nobody is meant".into(),
            );
        }
        let set = |list: &Vec<String>| list.iter().cloned().collect::<BTreeSet<_>>();
        let claims = self.claims.iter();
        Rule {
            everyone: self.everyone,
            groups: self.groups.map(set),
            domains: self
                .domains
                .map(|list| list.iter().map(|one| one.to_ascii_lowercase()).collect()),
            domain_of: None,
            claims: claims
                .map(|(claim, list)| (claim.clone(), set(list)))
                .collect(),
        }
    }
}

/// The certificates of a file, if one is named.
pub(super) fn read_authorities(
    file: Option<&String>,
    folder: &Path,
    say: Say<'_>,
) -> Option<Vec<u8>> {
    let file = file?;
    read_authority(&folder.join(file))
        .map_err(|message| say("authority", format!("{file}: {message}")))
        .ok()
}

fn read_authority(path: &Path) -> Result<Vec<u8>, String> {
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
    use lyceum_model::identity::Adopts;

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
            SignInMethod::Local(local),
            SignInMethod::Oidc(second),
        ] = &methods[..]
        else {
            panic!("{methods:?}");
        };
        assert_eq!((first.id.as_str(), second.id.as_str()), ("", "staff"));
        assert_eq!((local.title.as_str(), local.password_length), ("Guests", 8));
        assert_eq!(first.scopes, ["openid", "profile", "email"]);
        assert_eq!(second.mapping.groups.as_deref(), Some("a.b"));
        assert!(first.mapping.admins.is_none() && first.client_secret.is_none());
        // Accounts of others are given away only where it is written, each kind for itself.
        assert_eq!(first.mapping.adopts, Adopts::default());
        assert!(second.mapping.adopts.people && !second.mapping.adopts.administrators);
    }

    #[test]
    fn one_mistake_is_told_once() {
        let check = |entry: &str, expect: &str| {
            let said = read(&format!("  - {{{entry}}}")).expect_err(entry);
            assert_eq!(said.lines().count(), 1, "{entry}: {said}");
            assert!(said.contains(expect), "{entry}: {said}");
        };
        check("kind: locale, title: T", "did you mean `local`?");
        check("title: T, kind: local", "lti11, header, pam, dummy");
        let rest = "kind: oidc, title: T, client_id: c, allow: {domains: [example.edu]}";
        check(
            &format!("{rest}, isuer: 'https://x.org'"),
            "did you mean `issuer`?",
        );
        check(&format!("{rest}, preset: goggle"), "did you mean `google`?");
        check(rest, "`sign_in[0].issuer`: the key is missing here");
        check(
            "kind: local, title: T, sign_up: domains",
            "`domains` says nothing by itself; write what is meant behind it, `{domains: …}`",
        );
    }

    #[test]
    fn a_preset_knows_what_is_left_out() {
        let read = |keys: &str| {
            let entry = format!(
                "  - {{kind: oauth2, title: T, client_id: c, preset: github, allow: {{claims: {{organizations: [uni]}}}}, {keys}}}"
            );
            match &read(&entry).expect(keys).sign_in[..] {
                [SignInMethod::OAuth2(config)] => (**config).clone(),
                other => panic!("{other:?}"),
            }
        };
        let github = read("adopt: false");
        assert_eq!(github.userdata_url.as_str(), "https://api.github.com/user");
        assert_eq!(github.mark, "id");
        assert_eq!(github.scopes, ["read:user", "read:org"]);
        assert!(github.mapping.names("organizations") && !github.mapping.names("teams"));
        let own = read("host: git.example.edu, scopes: [], userdata_parameters: {a: b c}");
        assert_eq!(
            own.userdata_url.as_str(),
            "https://git.example.edu/api/v3/user?a=b+c"
        );
        assert_eq!(own.token_url.host_str(), Some("git.example.edu"));
        assert!(own.scopes.is_empty());
    }

    #[test]
    fn presets_of_openid_connect_know_what_is_left_out() {
        let read = |keys: &str| {
            let entry = format!("  - {{kind: oidc, title: T, client_id: c, {keys}}}");
            match &read(&entry).expect(keys).sign_in[..] {
                [SignInMethod::Oidc(config)] => (**config).clone(),
                other => panic!("{other:?}"),
            }
        };
        let (all, edu) = ("allow: {everyone: true}", "allow: {domains: [example.edu]}");
        let tenant = "4f1c2a7e-0000-4000-8000-0123456789ab";
        let entra = read(&format!("preset: entra, tenant: {tenant}, {edu}"));
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        assert_eq!(entra.issuer, issuer);
        let allow = entra.mapping.allow.expect("a rule");
        assert_eq!(allow.domain_of.as_deref(), Some("preferred_username"));
        let google = read(&format!("preset: google, {edu}"));
        assert_eq!(google.issuer, "https://accounts.google.com");
        assert!(google.mapping.username.drops_domains());
        let keycloak = format!("preset: keycloak, host: login.example.edu, realm: uni, {all}");
        let keycloak = read(&keycloak);
        assert_eq!(keycloak.issuer, "https://login.example.edu/realms/uni");
        assert_eq!(keycloak.scopes, ["openid", "profile", "email"]);
        let gitlab = read(&format!(
            "preset: gitlab, username: 'claim:nickname', {all}"
        ));
        assert_eq!(gitlab.issuer, "https://gitlab.com");
        assert!(gitlab.mapping.names("nickname"));
        let gitlab = read(&format!("preset: gitlab, host: git.example.edu, {all}"));
        assert_eq!(gitlab.issuer, "https://git.example.edu");
        let cilogon = "preset: cilogon, allow: {domains: [example.edu], claims: {idp: [https://login.example.edu/idp]}}";
        let cilogon = read(cilogon);
        assert!(cilogon.scopes.contains(&"org.cilogon.userinfo".to_owned()));
    }

    #[test]
    fn providers_are_asked_again_unless_it_is_off() {
        use std::time::Duration;
        let read = |keys: &str| {
            let entry = format!("  - {{kind: oidc, title: T, {GOOD}{keys}}}");
            match &read(&entry).expect(keys).sign_in[..] {
                [SignInMethod::Oidc(config)] => config.renewing,
                other => panic!("{other:?}"),
            }
        };
        let usual = read("").expect("asked");
        assert_eq!((usual.every, usual.grace), (Duration::from_secs(300), None));
        let own = read(", refresh: 1m, refresh_grace: 8h").expect("asked");
        assert_eq!(own.every, Duration::from_secs(60));
        assert_eq!(own.grace, Some(Duration::from_secs(8 * 3600)));
        for off in ["off", "false", "'off'"] {
            assert_eq!(read(&format!(", refresh: {off}")), None, "{off}");
        }
        let plain = |keys: &str| {
            let entry = format!(
                "  - {{kind: oauth2, title: T, client_id: c, preset: github, allow: {{everyone: true}}{keys}}}"
            );
            match &super::tests::read(&entry).expect(keys).sign_in[..] {
                [SignInMethod::OAuth2(config)] => (config.renewing, config.by_access_token),
                other => panic!("{other:?}"),
            }
        };
        // That an access token lasts is asked for, not guessed.
        assert_eq!(plain(""), (Some(usual), false));
        assert_eq!(plain(", refresh: 5m"), (Some(usual), true));
        assert_eq!(plain(", refresh: off"), (None, false));
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
        check("{kind: local, title: T, sign_up: everybody}", "everybody");
        check(
            "{kind: local, title: T, sign_up: open}\npeople: {allow: [ada]}",
            "write `people.existing: true`",
        );
        check(
            "{kind: local, title: T, sign_up: {domains: [example.edu]}}",
            "`mail` must say",
        );
        check(
            "{kind: local, title: T, sign_up: {domains: [example]}}",
            "is no domain",
        );
        check(
            "{kind: local, title: T, sign_up: {domains: []}}",
            "say which domains",
        );
        for names in ["open", "{domains: [example.edu]}"] {
            check(
                &format!(
                    "{{kind: local, title: T, sign_up: {names}}}\nspawner: {{accounts: system}}"
                ),
                "without anybody's yes",
            );
        }
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
        let chosen = |id: &str| oidc(&format!("id: {id}, automatic: true"));
        let both = format!("{}\n  - {}", chosen("a"), chosen("b"));
        check(&both, "taken by itself already");
        check(&oidc("tenant: x"), "has one");
        check(&oidc("host: git.example.edu"), "else write `issuer`");
        check(&oidc("domain_of: upn"), "write `claim:NAME`");
        let preset = |keys: &str| {
            format!("{{kind: oidc, title: T, client_id: c, allow: {{everyone: true}}, {keys}}}")
        };
        check(&preset("preset: google"), "several domains");
        check(&preset("preset: keycloak, host: x.org"), "sign_in[0].realm");
        check(
            &preset("preset: keycloak, host: 'x.org/y', realm: z"),
            "sign_in[0].host",
        );
        check(&preset("preset: entra"), "sign_in[0].tenant");
        check(
            &preset("preset: entra, tenant: common"),
            "id of one organisation",
        );
        check(&preset("preset: okta"), "okta");
        check(&preset("preset: cilogon"), "name yours");
        check(&preset("groups_only: [a]"), "Add `groups: claim:");
        check(
            &preset("groups: 'claim:g', groups_only: ['*']"),
            "names groups, whole",
        );
        let gitlab = "preset: gitlab, groups: 'claim:groups_direct'";
        check(&preset(gitlab), "groups_only");
        check(&oidc("admins: {everyone: true}"), "can't be meant");
        check(&oidc("admins: {groups: [it]}"), "Add `groups: claim:");
        check(&oidc("refresh: 5"), "sign_in[0].refresh");
        check(&oidc("refresh: true"), "how often?");
        check(&oidc("refresh: 1s"), "between `10s` and `24h`");
        check(&oidc("refresh: off, refresh_grace: 1h"), "never asked");
        check(&oidc("refresh: 1h, refresh_grace: 1h"), "twice as long");
        check(&oidc("authority: gone.pem"), "gone.pem");
        let oauth = |keys: &str| {
            format!("{{kind: oauth2, title: T, client_id: c, allow: {{everyone: true}}, {keys}}}")
        };
        check(&oauth("mark: 'claim:id'"), "sign_in[0].authorize_url");
        check(&oauth("preset: gitea"), "gitea");
        check(&oauth("host: git.example.edu"), "without one write");
        check(&oauth("preset: github, host: 'git/x'"), "is no host");
        check(
            &oauth("preset: github, token_url: 'http://x.org'"),
            "asked by https",
        );
        check(&oauth("preset: github, mark: id"), "write `claim:NAME`");
        check(
            &oauth("preset: github, admins: {domains: [example.edu]}"),
            "mail_is_verified",
        );
        check("{kind: dummy, title: T}", "sign_in[0].anywhere");
        check("{kind: dummy, title: T, password: x}", "does not stand in");
        check(
            "{kind: dummy, title: T, anywhere: true}\n  - {kind: local, title: A}",
            "stands alone",
        );
        let urls = "authorize_url: 'https://x.org/a', token_url: 'https://x.org/t', userdata_url: 'https://x.org/u'";
        check(&oauth(urls), "sign_in[0].mark");
        check(&oauth(urls), "sign_in[0].username");
        check(
            &oauth("preset: github, groups: 'claim:teams'"),
            "groups_only",
        );
        check(
            &oauth("preset: github, userdata_url: 'https://www.googleapis.com/u'"),
            "preset: google",
        );
        let beside = format!("{}\n  - {{kind: local, title: A}}", oauth("preset: github"));
        check(&beside, "the beginning of others'");
        let at = |id: &str, token: &str| {
            oauth(&format!(
                "id: {id}, mark: 'claim:id', username: 'claim:id', authorize_url: 'https://x.org/a', token_url: 'https://x.org/{token}', userdata_url: 'https://x.org/u'"
            ))
        };
        let two = format!("{}\n  - {}", at("a", "t"), at("b", "s"));
        check(&two, "taken for each other");
        let both = format!("{}\n  - {}", oauth("preset: github"), oidc("adopt: true"));
        check(&both, "two ways in have this id");
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
