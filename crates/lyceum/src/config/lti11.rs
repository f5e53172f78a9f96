//! A learning platform that has nothing newer than LTI 1.1: `kind: lti11` of `sign_in`.

use std::collections::BTreeMap;
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Numbers, Rule};
use lyceum_auth::lti::OldLtiConfig;
use lyceum_model::identity::Adopts;
use lyceum_model::secret::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;
use super::lti::{address, check_roles};
use super::oidc::{RawRule, check_rule, claim};
use super::sign_in::Say;

/// Shorter ones can be guessed from one launch, without asking here.
const SECRET_MIN: usize = 16;
const CONSUMERS_MAX: usize = 200;
/// Where mail stands in a launch; here it is called `email`.
const MAIL: &str = "lis_person_contact_email_primary";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOldLti {
    /// What the log-in page calls it: people come "from …".
    pub title: String,
    /// Tells several platforms apart in addresses: with `moodle` one posts launches to `/hub/lti/launch/moodle`.
    /// Left out, for one of them: `/hub/lti/launch`.
    pub id: String,
    /// Where people find it, for the log-in page.
    pub home: Option<String>,
    /// The keys by which it says who it is, each with its secret: `file:PATH` or `env:NAME`. All of them together
    /// are one platform.
    pub consumers: BTreeMap<String, SecretRef>,
    /// What becomes the user name: `claim:ext_user_username`, `claim:custom_login`, or a template such as
    /// `{email|local}`. It counts when somebody comes for the first time; later she is known by the platform's
    /// mark for her (`user_id`).
    pub username: Option<String>,
    /// The field with the name to show.
    pub display_name: String,
    /// `true`: the platform makes sure of every address of mail that it tells. Otherwise none counts.
    pub mail_is_verified: bool,
    /// `true`: a course file may name a course there by its short name (`label`). Only where those who teach
    /// can't give theirs another's.
    pub trust_labels: bool,
    /// `true`: a course file may name what links to it have as parameter `course` (`link`). Only where those
    /// who teach can't write parameters.
    pub trust_links: bool,
    /// What other roles at the platform make of somebody in a course here, each to the letter.
    pub roles: BTreeMap<String, String>,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name. Only where people can't choose their names at the platform.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
}

impl Default for RawOldLti {
    fn default() -> Self {
        Self {
            title: String::new(),
            id: String::new(),
            home: None,
            consumers: BTreeMap::new(),
            username: None,
            display_name: "claim:name".into(),
            mail_is_verified: false,
            trust_labels: false,
            trust_links: false,
            roles: BTreeMap::new(),
            allow: None,
            adopt: false,
            adopt_administrators: false,
        }
    }
}

pub(super) fn check_old_lti(raw: &RawOldLti, folder: &Path, say: Say<'_>) -> Option<OldLtiConfig> {
    let consumers = check_consumers(&raw.consumers, folder, say);
    let home = raw.home.as_deref().map(|text| address("home", text, say));
    let username = raw.username.as_deref().unwrap_or_default();
    let username = NameFrom::parse(username).map_err(|_| {
        say("username", "say what becomes the user name: a field of the launch such as `claim:ext_user_username`, or a template such as `{email|local}`".into());
    });
    let display_name = claim("display_name", &raw.display_name, say);
    let allow = raw.allow.as_ref().map(|rule| {
        if rule.groups.is_some() {
            say("allow", "platforms tell no groups; name `domains` or `claims`".into());
        }
        if rule.domains.is_some() && !raw.mail_is_verified {
            say("allow", "domains are those of addresses of mail, and none counts unless `mail_is_verified: true` says that the platform makes sure of them".into());
        }
        Rule {
            domain_of: None,
            ..check_rule("allow", rule, true, say)
        }
    });
    let roles = check_roles(&raw.roles, say);
    let username = username.ok()?;
    let domains = allow.as_ref().and_then(|rule| rule.domains.as_ref());
    if username.drops_domains() && domains.is_none_or(|domains| domains.len() != 1) {
        say("username", "`|local` makes one name of addresses at several domains; `allow: {domains: […]}` has to name the one that is meant".into());
    }
    if username.claims().any(|claim| claim == "email") && !raw.mail_is_verified {
        say("username", "no address of mail counts unless `mail_is_verified: true` says that the platform makes sure of them".into());
    }
    if username.claims().any(|claim| claim == MAIL) {
        say(
            "username",
            "an address of mail is called `email` here, and counts with `mail_is_verified: true`"
                .into(),
        );
    }
    Some(OldLtiConfig {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        consumers,
        home: home.flatten(),
        mapping: Mapping {
            username,
            display_name,
            groups: None,
            groups_only: None,
            allow,
            admins: None,
            adopts: Adopts {
                people: raw.adopt,
                administrators: raw.adopt_administrators,
            },
            numbers: Numbers::default(),
            mail: None,
        },
        mail_is_verified: raw.mail_is_verified,
        trust_labels: raw.trust_labels,
        trust_links: raw.trust_links,
        roles,
    })
}

fn check_consumers(
    raw: &BTreeMap<String, SecretRef>,
    folder: &Path,
    say: Say<'_>,
) -> BTreeMap<String, Secret> {
    if raw.is_empty() || raw.len() > CONSUMERS_MAX {
        say(
            "consumers",
            format!(
                "the keys of the platform stand here with their secrets, 1 to {CONSUMERS_MAX} of them: `{{moodle: 'file:secrets/moodle'}}`"
            ),
        );
    }
    let mut consumers = BTreeMap::new();
    for (key, secret) in raw {
        if key.is_empty() || key.len() > 255 || key.chars().any(char::is_control) {
            say("consumers", format!("{key:?} is no key of a platform"));
        }
        match secret.resolve(folder) {
            Ok(secret) if secret.expose().chars().count() < SECRET_MIN => say(
                "consumers",
                format!(
                    "the secret of {key:?} has less than {SECRET_MIN} characters; whoever sees one launch could find it by trying"
                ),
            ),
            Ok(secret) => {
                consumers.insert(key.clone(), secret);
            }
            Err(message) => say("consumers", format!("{key:?}: {message}")),
        }
    }
    consumers
}

#[cfg(test)]
mod tests {
    use super::super::sign_in::SignInMethod;
    use super::super::{Config, parse};
    use super::*;

    fn read(entry: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("long"), "0123456789abcdef0123").expect("written");
        std::fs::write(folder.path().join("short"), "secret").expect("written");
        let text = format!(
            "public_url: https://hub.example.edu\nsign_in:\n  - {{kind: lti11, title: Old, {entry}}}\n"
        );
        let loaded = parse("lyceum.yaml", &text, folder.path());
        loaded
            .map(|loaded| loaded.config)
            .map_err(|problems| problems.to_string())
    }

    const GOOD: &str = "consumers: {moodle: 'file:long'}";
    const ALL: &str = "allow: {everyone: true}";

    #[test]
    fn an_old_platform_is_read() {
        let config = read(&format!(
            "{GOOD}, username: 'claim:ext_user_username', {ALL}, roles: {{Mentor: grader}}"
        ))
        .expect("a good one");
        let [SignInMethod::OldLti(old)] = &config.sign_in[..] else {
            panic!("{:?}", config.sign_in);
        };
        assert_eq!(old.consumers["moodle"].expose(), "0123456789abcdef0123");
        assert!(old.mapping.names("ext_user_username"));
        assert_eq!(old.roles.len(), 1);
        // No secret is shown.
        assert!(!format!("{old:?}").contains("0123456789"));
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let check = |entry: &str, expect: &str| {
            let said = read(entry).expect_err(entry);
            assert!(said.contains(expect), "{entry}: {said}");
        };
        let name = "username: 'claim:user_id'";
        check(&format!("{name}, {ALL}"), "sign_in[0].consumers");
        check(
            &format!("consumers: {{}}, {name}, {ALL}"),
            "sign_in[0].consumers",
        );
        let short = "consumers: {a: 'file:short'}";
        check(&format!("{short}, {name}, {ALL}"), "less than 16");
        let none = "consumers: {a: 'file:nothing'}";
        check(&format!("{none}, {name}, {ALL}"), "sign_in[0].consumers");
        check(&format!("{GOOD}, {ALL}"), "sign_in[0].username");
        check(&format!("{GOOD}, {name}"), "nobody could come in this way");
        let mail = format!("{GOOD}, username: 'claim:email', {ALL}");
        check(&mail, "mail_is_verified");
        let field = format!("{GOOD}, username: 'claim:{MAIL}', {ALL}");
        check(&field, "called `email` here");
        let roles = format!("{GOOD}, {name}, {ALL}, roles: {{Mentor: boss}}");
        check(&roles, "sign_in[0].roles");
        // Courses name platforms by their ids, whichever kind they are of.
        let newer = format!(
            "{GOOD}, {name}, {ALL}}}\n  - {{kind: lti, title: New, client_ids: [c], deployments: ['1'], issuer: 'https://lms.example.edu', authorize_url: 'https://lms.example.edu/a', keys_url: 'https://lms.example.edu/k', username: 'claim:sub', {ALL}"
        );
        check(&newer, "two ways in have this id");
    }
}
