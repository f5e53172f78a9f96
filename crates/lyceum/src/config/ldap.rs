//! The directory of an organisation as a way in: `kind: ldap` of `sign_in`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lyceum_auth::claims::Rule;
use lyceum_auth::ldap::{
    Attributes, Dn, Groups, GroupsBy, LdapConfig, Reader, Template, check_attribute,
};
use lyceum_model::identity::Adopts;
use lyceum_written::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::sign_in::{Meant, Say, read_authorities};

const SERVERS_MAX: usize = 8;
const CONNECTIONS_MAX: usize = 256;
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);
/// Groups of names, of unique names, and of accounts.
const GROUPS_OF: &str = "(|(member={dn})(uniqueMember={dn})(memberUid={username}))";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLdap {
    /// What it is called.
    pub title: String,
    /// Tells several directories apart. People are known by it and their `mark`: don't change it.
    pub id: String,
    /// Its servers, `ldaps://HOST` or `ldap://HOST`, asked in this order; one that does not answer is asked
    /// last for a while. To `ldap://` nothing is said before the connection goes over to TLS (StartTLS).
    pub servers: Vec<String>,
    /// `true`: passwords go to `ldap://` without TLS, for whoever listens. For trying out.
    pub insecure: bool,
    /// A file with the certificates of authorities that count for these servers besides the system's.
    pub authority: Option<String>,
    /// Below which people are looked up.
    pub base: Option<String>,
    /// Finds the person who is called `{username}`; whoever it does not find can't come in. Left out: the
    /// attribute of `username` is what was typed.
    pub filter: Option<String>,
    /// What to bind as instead of looking people up, one after the other: names of entries such as
    /// `uid={username},ou=people,dc=example,dc=edu`, or `{username}@example.edu`.
    pub bind: Vec<String>,
    /// An account of the directory that reads people and groups. Left out: each person reads her own
    /// entry, and is looked up without a name.
    pub reader: Option<RawReader>,
    /// The attribute that becomes the user name when somebody comes for the first time; later she is known
    /// by `mark`.
    pub username: String,
    /// The attribute with the name to show.
    pub display_name: String,
    /// The attribute that stays when a person is renamed, and is given to nobody else: `objectGUID` in
    /// Active Directory.
    pub mark: String,
    /// The attribute with her uid: `uidNumber`. Left out: none is asked for.
    pub uid: Option<String>,
    /// The attribute with the number of her group: `gidNumber`. Left out: none is asked for.
    pub gid: Option<String>,
    /// The attribute with her address of mail: `mail`. Only together with `mail_is_verified`.
    pub mail: Option<String>,
    /// `true`: nobody writes her address into the directory herself, so it is hers.
    pub mail_is_verified: bool,
    /// How groups are found. She is put into these here, and taken out of those that it told before. Left
    /// out: groups are left alone.
    pub groups: Option<RawLdapGroups>,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawLdapRule>,
    /// Who is an administrator, as long as it holds at each log-in. Left out: the directory does not say.
    pub admins: Option<RawLdapRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// How long one server may take for one log-in before the next is asked.
    pub timeout: Span,
    /// How many log-ins are asked for at once; more wait their turn.
    pub connections: usize,
}

impl Default for RawLdap {
    fn default() -> Self {
        Self {
            title: String::new(),
            id: String::new(),
            servers: Vec::new(),
            insecure: false,
            authority: None,
            base: None,
            filter: None,
            bind: Vec::new(),
            reader: None,
            username: "uid".into(),
            display_name: "cn".into(),
            mark: "entryUUID".into(),
            uid: None,
            gid: None,
            mail: None,
            mail_is_verified: false,
            groups: None,
            allow: None,
            admins: None,
            adopt: false,
            adopt_administrators: false,
            timeout: Span(Duration::from_secs(5)),
            connections: 16,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawReader {
    /// The name of its entry.
    pub name: String,
    /// Its password, `file:PATH` or `env:NAME`.
    pub password: SecretRef,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLdapGroups {
    /// Below which groups are; others do not count.
    pub base: String,
    /// Finds the groups of a person, by `{dn}` (the name of her entry) or `{username}`. Left out: those that
    /// have her as `member`, `uniqueMember` or `memberUid`.
    pub filter: Option<String>,
    /// Instead of it, an attribute of the person that holds the names of her groups' entries: `memberOf`.
    pub member_of: Option<String>,
    /// The attribute that is a group's name.
    pub name: String,
    /// The attribute with a group's number for files: `gidNumber`. By it people are in these groups there, too.
    /// Not beside `member_of`. Left out: none is asked for.
    pub gid: Option<String>,
}

impl Default for RawLdapGroups {
    fn default() -> Self {
        Self {
            base: String::new(),
            filter: None,
            member_of: None,
            name: "cn".into(),
            gid: None,
        }
    }
}

/// Who is meant. All keys that are given must hold; of each list one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLdapRule {
    /// `true`: whoever the directory knows, and `filter` finds.
    pub everyone: bool,
    /// Groups that `groups` finds.
    pub groups: Option<Vec<String>>,
    /// Attributes, each with the values that are meant: `{eduPersonAffiliation: [staff, student]}`.
    pub attributes: BTreeMap<String, Vec<String>>,
}

pub(super) fn check_ldap(raw: &RawLdap, folder: &Path, say: Say<'_>) -> LdapConfig {
    check_servers(raw, say);
    let bind: Vec<Template> = each("bind", &raw.bind, Template::bind, say);
    let names_entries = |template: &Template| template.is_entry();
    let looks_up = !bind.iter().all(names_entries) || raw.bind.is_empty();
    let base = check_base(raw, looks_up, say);
    for (key, attribute) in [
        ("username", &raw.username),
        ("display_name", &raw.display_name),
        ("mark", &raw.mark),
    ] {
        attribute_at(key, attribute, say);
    }
    for (key, attribute) in [("uid", &raw.uid), ("gid", &raw.gid), ("mail", &raw.mail)] {
        if let Some(attribute) = attribute {
            attribute_at(key, attribute, say);
        }
    }
    if raw.mail.is_some() != raw.mail_is_verified {
        say("mail", "an address by which links to passwords may go must be hers: write `mail: mail` and `mail_is_verified: true` together, where people can't write it themselves, or neither".into());
    }
    let own_filter = || looks_up.then(|| format!("({}={{username}})", raw.username));
    let filter = raw.filter.clone().or_else(own_filter);
    let filter = filter.and_then(|text| told("filter", Template::people(&text), say));
    let knows_groups = raw.groups.is_some();
    let allow = (raw.allow.as_ref()).map(|rule| check_rule("allow", rule, knows_groups, say));
    let admins = (raw.admins.as_ref()).map(|rule| check_rule("admins", rule, knows_groups, say));
    let groups = (raw.groups.as_ref()).and_then(|groups| check_groups(groups, say));
    let reader = (raw.reader.as_ref()).and_then(|reader| check_reader(reader, folder, say));
    if !TIMEOUTS.contains(&raw.timeout.0) {
        say("timeout", "it is between 100ms and 1m".into());
    }
    if !(1..=CONNECTIONS_MAX).contains(&raw.connections) {
        let message = format!("it is between 1 and {CONNECTIONS_MAX}");
        say("connections", message);
    }
    let authorities = read_authorities(raw.authority.as_ref(), folder, say);
    LdapConfig {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        servers: raw.servers.clone(),
        start_tls: !raw.insecure,
        authorities,
        base,
        filter,
        bind,
        reader,
        names: Attributes {
            username: raw.username.clone(),
            display_name: raw.display_name.clone(),
            mark: raw.mark.clone(),
            uid: raw.uid.clone(),
            gid: raw.gid.clone(),
            mail: raw.mail.clone().filter(|_| raw.mail_is_verified),
        },
        groups,
        allow,
        admins,
        adopts: Adopts {
            people: raw.adopt,
            administrators: raw.adopt_administrators,
        },
        timeout: raw.timeout.0,
        connections: raw.connections,
    }
}

fn check_servers(raw: &RawLdap, say: Say<'_>) {
    if raw.servers.is_empty() || raw.servers.len() > SERVERS_MAX {
        let message = format!(
            "a directory has one to {SERVERS_MAX} servers, such as `[ldaps://ldap.example.edu]`"
        );
        say("servers", message);
    }
    for text in &raw.servers {
        match Url::parse(text).ok().filter(is_bare) {
            Some(url) if url.scheme() == "ldaps" && raw.insecure => say(
                "insecure",
                format!("{text:?} is asked by TLS in any case; remove one of the two"),
            ),
            Some(_) => {}
            None => say(
                "servers",
                format!(
                    "{text:?} is no address of a directory, such as `ldaps://ldap.example.edu`; what is looked for stands in `base` and `filter`"
                ),
            ),
        }
    }
}

fn is_bare(url: &Url) -> bool {
    let has_nothing_else = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    matches!(url.scheme(), "ldap" | "ldaps")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && has_nothing_else
}

fn check_base(raw: &RawLdap, looks_up: bool, say: Say<'_>) -> String {
    match &raw.base {
        None if looks_up => say(
            "base",
            "below what are people looked up? Such as `ou=people,dc=example,dc=edu`".into(),
        ),
        Some(_) if !looks_up => say(
            "base",
            "nobody is looked up: `bind` names the entries of people. Remove one of the two".into(),
        ),
        Some(base) if Dn::parse(base).is_none() => say("base", no_entry(base)),
        _ => {}
    }
    raw.base.clone().unwrap_or_default()
}

fn no_entry(text: &str) -> String {
    format!("{text:?} is no name of an entry such as `ou=people,dc=example,dc=edu`")
}

fn check_reader(raw: &RawReader, folder: &Path, say: Say<'_>) -> Option<Reader> {
    if raw.name.trim().is_empty() {
        say("reader.name", "the name of the account is missing".into());
    }
    let password = told("reader.password", raw.password.resolve(folder), say)?;
    Some(Reader {
        name: raw.name.clone(),
        password,
    })
}

fn check_groups(raw: &RawLdapGroups, say: Say<'_>) -> Option<Groups> {
    if Dn::parse(&raw.base).is_none() {
        say("groups.base", no_entry(&raw.base));
    }
    attribute_at("groups.name", &raw.name, say);
    if let Some(gid) = &raw.gid {
        attribute_at("groups.gid", gid, say);
        if raw.member_of.is_some() {
            say("groups.gid", "by `member_of` groups are not looked at, only their names; find them by `filter` for their numbers".into());
        }
    }
    let by = match (&raw.filter, &raw.member_of) {
        (Some(_), Some(_)) => {
            let message = "groups are found by `filter` or by `member_of`; remove one of the two";
            say("groups.filter", message.into());
            return None;
        }
        (None, Some(attribute)) => {
            attribute_at("groups.member_of", attribute, say);
            GroupsBy::Attribute(attribute.clone())
        }
        (filter, None) => {
            let filter = Template::groups(filter.as_deref().unwrap_or(GROUPS_OF));
            GroupsBy::Filter(told("groups.filter", filter, say)?)
        }
    };
    Some(Groups {
        base: raw.base.clone(),
        name: raw.name.clone(),
        gid: raw.gid.clone(),
        by,
    })
}

fn check_rule(key: &str, raw: &RawLdapRule, knows_groups: bool, say: Say<'_>) -> Rule {
    for attribute in raw.attributes.keys() {
        attribute_at(key, attribute, say);
    }
    let meant = Meant {
        everyone: raw.everyone,
        groups: raw.groups.as_ref(),
        domains: None,
        claims: &raw.attributes,
        keys: "`groups` or `attributes`",
        groups_want: (!knows_groups)
            .then_some("where are the groups? Add `groups: {base: …}` beside it"),
    };
    meant.check(key, say)
}

fn attribute_at(key: &str, text: &str, say: Say<'_>) {
    told(key, check_attribute(text), say);
}

fn each<T>(
    key: &str,
    texts: &[String],
    make: impl Fn(&str) -> Result<T, String>,
    say: Say<'_>,
) -> Vec<T> {
    texts
        .iter()
        .filter_map(|text| told(key, make(text), say))
        .collect()
}

fn told<T>(key: &str, result: Result<T, String>, say: Say<'_>) -> Option<T> {
    result.map_err(|message| say(key, message)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, SignInMethod, parse};
    use super::*;

    const SERVERS: &str = "servers: ['ldaps://ldap.example.edu']";
    const GOOD: &str =
        "servers: ['ldaps://ldap.example.edu'], base: 'ou=people,dc=edu', allow: {everyone: true}";

    fn read(entries: &str) -> Result<Config, String> {
        let text = format!("sign_in:\n{entries}\n");
        let loaded = parse("lyceum.yaml", &text, Path::new("."));
        loaded
            .map(|loaded| loaded.config)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_directory_is_read() {
        let config = read(&format!(
            "  - {{kind: ldap, title: University, {GOOD}}}\n  - {{kind: local, title: Guests}}\n  \
             - {{kind: ldap, id: staff, title: Staff, servers: ['ldap://127.0.0.1:3890'], insecure: true, \
             bind: ['uid={{username}},dc=edu'], groups: {{base: 'ou=groups,dc=edu', member_of: memberOf}}, \
             allow: {{groups: [it], attributes: {{title: [x]}}}}, admins: {{groups: [it]}}, adopt: true, timeout: 1s}}"
        ));
        let methods = config.unwrap().sign_in;
        let [
            SignInMethod::Ldap(first),
            SignInMethod::Local(_),
            SignInMethod::Ldap(second),
        ] = &methods[..]
        else {
            panic!("{methods:?}");
        };
        assert_eq!(first.filter, Template::people("(uid={username})").ok());
        assert!(first.start_tls && first.groups.is_none() && first.admins.is_none());
        assert_eq!(first.names.mark, "entryUUID");
        assert_eq!(first.adopts, Adopts::default());
        assert!(!second.start_tls && second.filter.is_none());
        assert_eq!(second.timeout, Duration::from_secs(1));
        let by = second.groups.as_ref().map(|groups| groups.by.clone());
        assert_eq!(by, Some(GroupsBy::Attribute("memberOf".into())));
        assert!(second.allow.as_ref().unwrap().claims.contains_key("title"));
        assert!(second.adopts.people && !second.adopts.administrators);
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        let check = |entry: &str, expect: &str| {
            let said = read(&format!("  - {entry}")).expect_err(entry);
            assert!(said.contains(expect), "{entry}: {said}");
        };
        let good = |more: &str| format!("{{kind: ldap, title: T, {GOOD}, {more}}}");
        check(&good("fliter: x"), "filter");
        check(&good("groups: {bsae: x}"), "base");
        check(&good("uid: 'a b'"), "sign_in[0].uid");
        check(&good("mail: mail"), "mail_is_verified");
        check(&good("mail_is_verified: true"), "or neither");
        check(
            &good("groups: {base: 'ou=groups,dc=edu', member_of: memberOf, gid: gidNumber}"),
            "find them by `filter`",
        );
        check(&good("filter: 'uid={username}'"), "is no filter");
        check(&good("filter: '(uid=ada)'"), "{username}");
        check(&good("filter: '(uid={user})'"), "there is no value");
        check(&good("bind: ['uid=ada,dc=edu']"), "sign_in[0].bind");
        check(
            &good("bind: ['uid={username},dc=edu']"),
            "nobody is looked up",
        );
        check(&good("username: 'claim:uid'"), "sign_in[0].username");
        check(&good("mark: ''"), "sign_in[0].mark");
        check(&good("insecure: true"), "by TLS in any case");
        check(&good("timeout: 2h"), "between 100ms and 1m");
        check(&good("connections: 0"), "between 1 and 256");
        check(&good("authority: gone.pem"), "gone.pem");
        check(&good("id: A/B"), "small letters");
        check(
            &good("reader: {name: 'cn=r,dc=edu', password: x}"),
            "a secret does not stand",
        );
        check(&good("reader: {name: 'cn=r,dc=edu'}"), "password");
        check(
            &good("reader: {name: '', password: env:LYCEUM_TEST_NOT_SET}"),
            "reader.name",
        );
        check(&good("groups: {base: groups}"), "sign_in[0].groups.base");
        check(
            &good("groups: {base: 'dc=edu', filter: '(member={dn})', member_of: memberOf}"),
            "remove one of the two",
        );
        check(
            &good("groups: {base: 'dc=edu', filter: '(cn=staff)'}"),
            "the same groups for everybody",
        );
        check(&good("admins: {groups: [it]}"), "where are the groups?");
        check(&good("admins: {everyone: true}"), "can't be meant");
        let servers = |list: &str| {
            format!(
                "{{kind: ldap, title: T, base: 'dc=edu', allow: {{everyone: true}}, servers: {list}}}"
            )
        };
        check(&servers("[]"), "one to 8 servers");
        check(&servers("['https://x.edu']"), "no address of a directory");
        check(
            &servers("['ldaps://x.edu/dc=edu']"),
            "no address of a directory",
        );
        check(
            &servers("['ldap.example.edu']"),
            "no address of a directory",
        );
        check(
            &servers("['ldapi:///run/ldapi']"),
            "no address of a directory",
        );
        let entry = |more: &str| format!("{{kind: ldap, title: T, {SERVERS}{more}}}");
        check(&entry(", allow: {everyone: true}"), "below what are people");
        check(&entry(", base: people"), "is no name of an entry");
        // Never "everybody" by a slip.
        let base = ", base: 'dc=edu'";
        check(&entry(base), "nobody could come in this way");
        check(&entry(&format!("{base}, allow: {{}}")), "names nobody");
        check(&entry(&format!("{base}, allow: {{group: [a]}}")), "groups");
        check(
            &entry(&format!("{base}, allow: {{attributes: {{uid: []}}}}")),
            "a list is empty",
        );
        check(
            &entry(&format!(
                "{base}, allow: {{everyone: true, attributes: {{uid: [a]}}}}"
            )),
            "can't be meant",
        );
        let twice = format!("{}\n  - {}", good("id: a"), good("id: a"));
        check(&twice, "two directories have this id");
    }
}
