//! A proxy in front that says who people are: `kind: header` of `sign_in`.

use std::collections::BTreeMap;
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::header::{DISPLAY, GROUPS, HeaderConfig, Proof, USER};
use lyceum_model::identity::Adopts;
use lyceum_model::network::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::sign_in::{Meant, Say};

/// Shorter ones could be guessed.
const SECRET_MIN: usize = 16;
/// Fewest bits of a network that is believed: of IPv4 and of IPv6.
const BITS_MIN: (u8, u8) = (16, 32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawHeader {
    /// What the log-in page calls it: "Log in with …".
    pub title: String,
    /// `true`: whom the proxy in front names is in without choosing, also where there are other ways in
    /// (alone it always is so). With `/hub/login?local` the log-in page shows all of them.
    pub automatic: bool,
    /// The header with the user name: `X-Remote-User`.
    pub header: String,
    /// The addresses of the proxy in front, as it connects to Lyceum: `[10.0.0.1]`. From any other address
    /// these headers are dropped. It must be a proxy that never passes on what browsers send by these names.
    pub from: Vec<String>,
    /// A header with a secret that only the proxy in front has, so that an address is not enough. Needed
    /// where it runs on this machine.
    pub proof: Option<RawProof>,
    /// The header with a mark that stays when a person is renamed, and is given to nobody else. Left out:
    /// her name is it.
    pub mark: Option<String>,
    /// What becomes the user name: `{user}`, or `{user|local}` for what stands before the `@`; then
    /// `allow` names the domain.
    pub username: String,
    /// The header with the name to show.
    pub display_name: Option<String>,
    /// The header with the address of mail.
    pub mail: Option<String>,
    /// The header with her groups. She is put into these here, and taken out of those that it told before.
    /// Left out: groups are left alone.
    pub groups: Option<String>,
    /// What stands between two values of a header.
    pub separator: String,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawHeaderRule>,
    /// Who is an administrator, as long as it holds at each log-in. Left out: the proxy in front does not
    /// say.
    pub admins: Option<RawHeaderRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// Where whoever logs out here is sent on, to log out there too.
    pub log_out: Option<String>,
}

impl Default for RawHeader {
    fn default() -> Self {
        Self {
            title: String::new(),
            automatic: false,
            header: String::new(),
            from: Vec::new(),
            proof: None,
            mark: None,
            username: "{user}".into(),
            display_name: None,
            mail: None,
            groups: None,
            separator: ";".into(),
            allow: None,
            admins: None,
            adopt: false,
            adopt_administrators: false,
            log_out: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawProof {
    /// Its name.
    pub header: String,
    /// Its value, `file:PATH` or `env:NAME`.
    pub secret: SecretRef,
}

/// Who is meant. All keys that are given must hold; of each list one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawHeaderRule {
    /// `true`: whoever the proxy in front names.
    pub everyone: bool,
    /// Groups of the header `groups`.
    pub groups: Option<Vec<String>>,
    /// What stands behind the `@` of the user name.
    pub domains: Option<Vec<String>>,
    /// Headers, each with the values that are meant: `{X-Affiliation: [staff, student]}`.
    pub headers: BTreeMap<String, Vec<String>>,
}

pub(super) fn check_header(raw: &RawHeader, folder: &Path, say: Say<'_>) -> Option<HeaderConfig> {
    let header = name("header", &raw.header, say);
    let from = check_from(raw, say);
    let proof = (raw.proof.as_ref()).and_then(|proof| check_proof(proof, folder, say));
    let optional = |key: &str, value: &Option<String>, say: Say<'_>| {
        value.as_ref().and_then(|value| name(key, value, say))
    };
    let mark = optional("mark", &raw.mark, say);
    let display_name = optional("display_name", &raw.display_name, say);
    let mail = optional("mail", &raw.mail, say);
    let groups = optional("groups", &raw.groups, say);
    let mut letters = raw.separator.chars();
    let separator = match (letters.next(), letters.next()) {
        (Some(one), None) if !one.is_control() => one,
        _ => {
            say(
                "separator",
                "it is one character, such as `;` or `,`".into(),
            );
            ';'
        }
    };
    let allow = (raw.allow.as_ref()).map(|rule| check_rule("allow", rule, groups.is_some(), say));
    let admins =
        (raw.admins.as_ref()).map(|rule| check_rule("admins", rule, groups.is_some(), say));
    let username = check_username(raw, allow.as_ref(), say);
    let log_out = raw.log_out.as_ref().and_then(|text| {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "https" | "http"));
        if url.is_none() {
            let message =
                format!("{text:?} is no address, such as `https://login.example.edu/logout`");
            say("log_out", message);
        }
        url
    });
    let (header, username) = (header?, username?);
    Some(HeaderConfig {
        title: raw.title.trim().into(),
        automatic: raw.automatic,
        header,
        mark,
        display_name,
        mail,
        groups: groups.clone(),
        separator,
        from,
        proof,
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
            username,
            display_name: DISPLAY.into(),
            groups: groups.map(|_| GROUPS.into()),
            groups_only: None,
            allow,
            admins,
            adopts: Adopts {
                people: raw.adopt,
                administrators: raw.adopt_administrators,
            },
        },
        log_out,
    })
}

/// Which headers our own proxy has to keep to itself and the hub. The secret is not asked for: the machine of
/// a proxy need not have it.
pub(super) fn identity(raw: &RawHeader) -> lyceum_proxy::Identity {
    let optional = [&raw.mark, &raw.display_name, &raw.mail, &raw.groups];
    let rules = raw.allow.iter().chain(&raw.admins);
    let headers = [&raw.header]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .chain(raw.proof.iter().map(|proof| &proof.header))
        .chain(rules.flat_map(|rule| rule.headers.keys()));
    lyceum_proxy::Identity {
        headers: headers
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        from: (raw.from.iter())
            .filter_map(|network| network.trim().parse().ok())
            .collect(),
    }
}

/// Headers that mean something else, to Lyceum or to every server.
const TAKEN: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// In small letters.
fn name(key: &str, text: &str, say: Say<'_>) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=100).contains(&lower.len()) && lower.bytes().all(fits);
    let beginnings = ["x-forwarded-", "x-lyceum-", "sec-"];
    let said_by_gateways =
        ["user", "email", "groups", "preferred-username"].map(|end| format!("x-forwarded-{end}"));
    let is_taken = TAKEN.contains(&&*lower)
        || [
            "forwarded",
            "x-forwarded",
            "x-real-ip",
            "x-scheme",
            "x-request-id",
        ]
        .contains(&&*lower)
        || (beginnings
            .iter()
            .any(|beginning| lower.starts_with(beginning))
            && !said_by_gateways.contains(&lower));
    if !is_name {
        say(
            key,
            format!(
                "{text:?} is no name of a header for this: letters, digits and hyphens, such as `X-Remote-User`"
            ),
        );
    } else if is_taken {
        say(
            key,
            format!("{text:?} means something else already; take another, such as `X-Remote-User`"),
        );
    }
    (is_name && !is_taken).then_some(lower)
}

fn check_from(raw: &RawHeader, say: Say<'_>) -> Vec<Network> {
    if raw.from.is_empty() {
        say("from", "say from which addresses the proxy in front connects, such as `[10.0.0.1]`; whoever writes this header is believed, so nobody else may".into());
    }
    let mut networks = Vec::new();
    for (index, text) in raw.from.iter().enumerate() {
        let at = format!("from[{index}]");
        let network: Network = match text.parse() {
            Ok(network) => network,
            Err(error) => {
                say(&at, format!("{error}"));
                continue;
            }
        };
        let least = if network.is_v4() {
            BITS_MIN.0
        } else {
            BITS_MIN.1
        };
        if network.bits() < least {
            say(
                &at,
                format!(
                    "{network} has so many addresses that nearly anybody could say who she is; name those of the proxy in front alone"
                ),
            );
        } else if network.has_loopback() && raw.proof.is_none() {
            say(&at, "notebook servers run on this machine and connect from this address too, so anybody could say who she is; add `proof: {header: X-Proof, secret: file:…}`, which the proxy in front sends along".into());
        }
        networks.push(network);
    }
    networks
}

fn check_proof(raw: &RawProof, folder: &Path, say: Say<'_>) -> Option<Proof> {
    let header = name("proof.header", &raw.header, say)?;
    let secret = match raw.secret.resolve(folder) {
        Ok(secret) => secret,
        Err(message) => {
            say("proof.secret", message);
            return None;
        }
    };
    if secret.expose().trim().len() < SECRET_MIN {
        let message = format!("it is shorter than {SECRET_MIN} characters, and could be guessed");
        say("proof.secret", message);
    }
    Some(Proof { header, secret })
}

fn check_username(raw: &RawHeader, allow: Option<&Rule>, say: Say<'_>) -> Option<NameFrom> {
    let username = match NameFrom::parse(&raw.username) {
        Ok(username) => username,
        Err(message) => {
            say("username", message);
            return None;
        }
    };
    if username.claims().any(|claim| claim != USER) {
        let message = "it is made of `user` alone: `{user}` or `{user|local}`";
        say("username", message.into());
    }
    let domains = allow.and_then(|rule| rule.domains.as_ref());
    if username.drops_domains() && domains.is_none_or(|domains| domains.len() != 1) {
        let message = "people of several domains would get one name; say in `allow` which domain is meant: `allow: {domains: [example.edu]}`";
        say("username", message.into());
    }
    Some(username)
}

fn check_rule(key: &str, rule: &RawHeaderRule, knows_groups: bool, say: Say<'_>) -> Rule {
    let mut headers = BTreeMap::new();
    for (header, values) in &rule.headers {
        if let Some(header) = name(&format!("{key}.headers"), header, say) {
            headers.insert(header, values.clone());
        }
    }
    let meant = Meant {
        everyone: rule.everyone,
        groups: rule.groups.as_ref(),
        domains: rule.domains.as_ref(),
        claims: &headers,
        keys: "`groups`, `domains` or `headers`",
        groups_want: (!knows_groups).then_some(
            "which groups somebody is in is not known here. Add `groups: NAME-OF-A-HEADER`",
        ),
    };
    Rule {
        domain_of: Some(USER.into()),
        ..meant.check(key, say)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SignInMethod, parse};
    use super::*;

    fn read(keys: &str) -> Result<HeaderConfig, String> {
        let text = format!("sign_in:\n  - {{kind: header, title: University, {keys}}}\n");
        match parse("lyceum.yaml", &text, Path::new(".")) {
            Ok(loaded) => match &loaded.config.sign_in[..] {
                [SignInMethod::Header(config)] => Ok((**config).clone()),
                other => panic!("{other:?}"),
            },
            Err(problems) => Err(problems.to_string()),
        }
    }

    #[test]
    fn keys_become_rules() {
        let config = read(
            "header: X-Remote-User, from: [10.0.0.1, 'fd00:1::/64'], mail: X-Mail, groups: X-Groups, \
             separator: ',', username: '{user|local}', \
             allow: {domains: [Example.edu], headers: {X-Affiliation: [staff]}}, admins: {groups: [it]}, \
             log_out: 'https://login.example.edu/logout'",
        )
        .expect("good keys");
        assert_eq!(config.header, "x-remote-user");
        assert_eq!((config.separator, config.from.len()), (',', 2));
        let headers: Vec<&str> = config.headers().collect();
        assert_eq!(
            headers,
            ["x-remote-user", "x-mail", "x-groups", "x-affiliation"]
        );
        assert!(config.mapping.username.drops_domains());
        assert_eq!(
            config.log_out.expect("there").as_str(),
            "https://login.example.edu/logout"
        );
        // Beside a secret a proxy may run on this machine.
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("proof");
        std::fs::write(&file, "a secret of thirty characters..\n").expect("written");
        let config = read(&format!(
            "header: X-User, from: [127.0.0.1], proof: {{header: X-Proof, secret: 'file:{}'}}, allow: {{everyone: true}}",
            file.display()
        ));
        assert!(config.expect("good keys").proof.is_some());
    }

    #[test]
    fn what_would_let_anybody_in_is_refused() {
        let check = |keys: &str, expect: &str| {
            let said = read(keys).expect_err(keys);
            assert!(said.contains(expect), "{keys}: {said}");
        };
        let all = "allow: {everyone: true}";
        let at = |from: &str| format!("header: X-User, from: {from}, {all}");
        check(&format!("header: X-User, {all}"), "sign_in[0].from");
        check(&at("[]"), "from which addresses");
        check(&at("[0.0.0.0/0]"), "nearly anybody");
        check(&at("['::/0']"), "nearly anybody");
        check(&at("[128.0.0.0/1]"), "nearly anybody");
        check(&at("[everyone]"), "is not a network");
        check(&at("[127.0.0.1]"), "add `proof");
        check(&at("['::1']"), "add `proof");
        check("header: X-User, from: [10.0.0.1]", "nobody could come in");
        check(
            &format!("header: '', from: [10.0.0.1], {all}"),
            "no name of a header",
        );
        check(
            &format!("header: X_User, from: [10.0.0.1], {all}"),
            "no name of a header",
        );
        check(
            &format!("header: Cookie, from: [10.0.0.1], {all}"),
            "something else",
        );
        check(
            &format!("header: X-Forwarded-For, from: [10.0.0.1], {all}"),
            "something else",
        );
        check(
            &format!("header: X-Lyceum-Proxy, from: [10.0.0.1], {all}"),
            "something else",
        );
        check(
            &format!("header: X-User, from: [10.0.0.1], username: '{{user|local}}', {all}"),
            "several domains",
        );
        check(
            &format!("header: X-User, from: [10.0.0.1], username: '{{mail}}', {all}"),
            "of `user` alone",
        );
        check(
            &format!("header: X-User, from: [10.0.0.1], separator: ', ', {all}"),
            "one character",
        );
        check(
            "header: X-User, from: [10.0.0.1], allow: {groups: [a]}",
            "Add `groups:",
        );
        check(
            &format!("header: X-User, from: [10.0.0.1], {all}, log_out: 'javascript:x'"),
            "is no address",
        );
        check(
            &format!(
                "header: X-User, from: [10.0.0.1], {all}, proof: {{header: X-P, secret: hunter2}}"
            ),
            "does not stand in this file",
        );
    }
}
