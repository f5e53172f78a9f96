//! A learning platform from which people come by LTI 1.3: `kind: lti` of `sign_in`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::lti::LtiConfig;
use lyceum_auth::may_be_asked;
use lyceum_model::identity::Adopts;
use lyceum_model::who::CourseRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::oidc::{RawRule, check_issuer, check_rule, claim};
use super::sign_in::{Say, read_authorities};

const CANVAS: &str = "https://canvas.instructure.com";
const CANVAS_SSO: &str = "https://sso.canvaslms.com";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLti {
    /// What the log-in page calls it: people come "from …".
    pub title: String,
    /// Tells several platforms apart in addresses: with `canvas` one posts launches to
    /// `/hub/lti13/oauth_callback/canvas`. Left out, for one of them: `/hub/lti13/oauth_callback`.
    pub id: String,
    /// A platform that is known: all addresses that are left out are as it has them.
    pub preset: Option<Preset>,
    /// Where the platform of `preset: moodle` is: `https://moodle.example.edu`. With others: where people
    /// find it, for the log-in page.
    pub home: Option<String>,
    /// Exactly as the platform calls itself.
    pub issuer: String,
    /// The names of this tool there.
    pub client_ids: Vec<String>,
    /// The deployments there from which people come, by their ids. Of all of them together a course's id
    /// (`context`) must mean one course.
    pub deployments: Vec<String>,
    /// Where the platform says who somebody is.
    pub authorize_url: String,
    /// Where it publishes its keys (JWKS).
    pub keys_url: String,
    /// Where it gives out tokens. Left out, and without a preset: it is not asked who is in its courses.
    pub token_url: Option<String>,
    /// What it calls itself to those who ask for tokens, if not by `token_url`.
    pub token_audience: Option<String>,
    /// What becomes the user name: `claim:custom.login`, or a template such as `{email|local}`. It counts
    /// when somebody comes for the first time; later she is known by the platform's mark for her (`sub`).
    /// Left out: the preset's.
    pub username: Option<String>,
    /// The claim with the name to show.
    pub display_name: String,
    /// `true`: the platform makes sure of every address of mail that it tells. Otherwise none counts.
    pub mail_is_verified: bool,
    /// `true`: a course file may name a course there by its short name (`label`). Only where those who teach
    /// can't give theirs another's.
    pub trust_labels: bool,
    /// `true`: a course file may name what links to it have as parameter `course` (`link`). Only where those
    /// who teach can't write parameters.
    pub trust_links: bool,
    /// What other roles at the platform make of somebody in a course here, each to the letter:
    /// `{"http://purl.imsglobal.org/vocab/lis/v2/membership#Administrator": teacher}`. Instructors, teaching
    /// assistants and learners are known.
    pub roles: BTreeMap<String, String>,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name. Only where people can't choose their names at the platform.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// A file with the certificates of authorities that count for this platform besides the system's.
    pub authority: Option<String>,
}

impl Default for RawLti {
    fn default() -> Self {
        Self {
            title: String::new(),
            id: String::new(),
            preset: None,
            home: None,
            issuer: String::new(),
            client_ids: Vec::new(),
            deployments: Vec::new(),
            authorize_url: String::new(),
            keys_url: String::new(),
            token_url: None,
            token_audience: None,
            username: None,
            display_name: "claim:name".into(),
            mail_is_verified: false,
            trust_labels: false,
            trust_links: false,
            roles: BTreeMap::new(),
            allow: None,
            adopt: false,
            adopt_administrators: false,
            authority: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Moodle at `home`. Names are its user names.
    Moodle,
    /// Canvas in the cloud of its makers.
    Canvas,
}

/// What is left out.
#[derive(Default)]
struct Known {
    issuer: String,
    authorize_url: String,
    keys_url: String,
    token_url: Option<String>,
    username: Option<&'static str>,
}

impl Preset {
    fn known(self, raw: &RawLti, say: Say<'_>) -> Known {
        match self {
            Self::Canvas => Known {
                issuer: CANVAS.into(),
                authorize_url: format!("{CANVAS_SSO}/api/lti/authorize_redirect"),
                keys_url: format!("{CANVAS_SSO}/api/lti/security/jwks"),
                token_url: Some(format!("{CANVAS_SSO}/login/oauth2/token")),
                username: None,
            },
            Self::Moodle => {
                let home = raw.home.as_deref().unwrap_or_default();
                let home = home.trim_end_matches('/');
                if home.is_empty() {
                    say(
                        "home",
                        "this preset wants it, such as `https://moodle.example.edu`".into(),
                    );
                }
                Known {
                    issuer: home.into(),
                    authorize_url: format!("{home}/mod/lti/auth.php"),
                    keys_url: format!("{home}/mod/lti/certs.php"),
                    token_url: Some(format!("{home}/mod/lti/token.php")),
                    username: Some("claim:ext.user_username"),
                }
            }
        }
    }
}

pub(super) fn check_lti(raw: &RawLti, folder: &Path, say: Say<'_>) -> Option<LtiConfig> {
    let known = match raw.preset {
        Some(preset) => preset.known(raw, say),
        None => Known::default(),
    };
    let or = |written: &String, known: String| match written.is_empty() {
        true => known,
        false => written.clone(),
    };
    let issuer = or(&raw.issuer, known.issuer);
    if let Err(message) = check_issuer(&issuer) {
        say("issuer", message);
    }
    let client_ids = marks(
        "client_ids",
        &raw.client_ids,
        "the name of this tool at the platform stands here, such as `[\"10000000000003\"]`",
        say,
    );
    let deployments = marks(
        "deployments",
        &raw.deployments,
        "name the deployments from which people come, such as `[\"1\"]`; by a name of this tool alone they could come from places that you do not know",
        say,
    );
    let authorize_url = address(
        "authorize_url",
        &or(&raw.authorize_url, known.authorize_url),
        say,
    );
    let keys_url = address("keys_url", &or(&raw.keys_url, known.keys_url), say);
    let token_url = raw.token_url.clone().or(known.token_url);
    let token_url = token_url.map(|text| address("token_url", &text, say));
    let home = raw.home.as_deref().map(|text| address("home", text, say));
    let username = match raw.username.as_deref().or(known.username) {
        Some(text) => NameFrom::parse(text)
            .map_err(|message| say("username", message))
            .ok(),
        None => {
            say("username", "say what becomes the user name: a claim such as `claim:custom.login`, or a template such as `{email|local}`".into());
            None
        }
    };
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
    let authorities = read_authorities(raw.authority.as_ref(), folder, say);
    let username = username?;
    let domains = allow.as_ref().and_then(|rule| rule.domains.as_ref());
    if username.drops_domains() && domains.is_none_or(|domains| domains.len() != 1) {
        say("username", "`|local` makes one name of addresses at several domains; `allow: {domains: […]}` has to name the one that is meant".into());
    }
    if username.claims().any(|claim| claim == "email") && !raw.mail_is_verified {
        say("username", "no address of mail counts unless `mail_is_verified: true` says that the platform makes sure of them".into());
    }
    Some(LtiConfig {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        issuer,
        client_ids,
        deployments,
        authorize_url: authorize_url?,
        keys_url: keys_url?,
        token_url: token_url.flatten(),
        token_audience: raw.token_audience.clone(),
        home: home.flatten(),
        mapping: Mapping {
            numbers: Default::default(),
            mail: None,
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
        },
        mail_is_verified: raw.mail_is_verified,
        trust_labels: raw.trust_labels,
        trust_links: raw.trust_links,
        roles,
        authorities,
    })
}

fn marks(key: &str, list: &[String], wanted: &str, say: Say<'_>) -> BTreeSet<String> {
    let fits = |text: &String| {
        !text.trim().is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
    };
    if list.is_empty() || !list.iter().all(fits) {
        say(key, wanted.into());
    }
    list.iter().cloned().collect()
}

pub(super) fn check_roles(
    raw: &BTreeMap<String, String>,
    say: Say<'_>,
) -> BTreeMap<String, CourseRole> {
    let mut roles = BTreeMap::new();
    for (word, role) in raw {
        match role.parse::<CourseRole>() {
            Ok(role) => {
                roles.insert(word.clone(), role);
            }
            Err(message) => say("roles", message),
        }
    }
    roles
}

pub(super) fn address(key: &str, text: &str, say: Say<'_>) -> Option<Url> {
    let url = match text.parse::<Url>() {
        Ok(url) if url.has_host() && url.username().is_empty() => url,
        _ => {
            say(
                key,
                format!(
                    "{text:?} is not an address of a platform, such as `https://lms.example.edu/lti/keys`"
                ),
            );
            return None;
        }
    };
    match may_be_asked(&url) {
        Ok(()) => Some(url),
        Err(_) => {
            say(
                key,
                "a platform is asked by https; without it only on this machine, for trying out"
                    .into(),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sign_in::SignInMethod;
    use super::super::{Config, parse};
    use super::*;

    fn read(keys: &str) -> Result<Config, String> {
        let text = format!(
            "public_url: https://hub.example.edu\nsign_in:\n  - {{kind: lti, title: Moodle, client_ids: ['c'], deployments: ['1'], {keys}}}\n"
        );
        let loaded = parse("lyceum.yaml", &text, Path::new("."));
        loaded
            .map(|loaded| loaded.config)
            .map_err(|problems| problems.to_string())
    }

    fn platform(keys: &str) -> LtiConfig {
        match &read(keys).expect(keys).sign_in[..] {
            [SignInMethod::Lti(config)] => (**config).clone(),
            other => panic!("{other:?}"),
        }
    }

    const ALL: &str = "allow: {everyone: true}";
    const OWN: &str = "issuer: 'https://lms.example.edu', authorize_url: 'https://lms.example.edu/a', keys_url: 'https://lms.example.edu/k'";

    #[test]
    fn presets_know_what_is_left_out() {
        let moodle = platform(&format!(
            "preset: moodle, home: 'https://moodle.example.edu/', {ALL}"
        ));
        assert_eq!(moodle.issuer, "https://moodle.example.edu");
        assert_eq!(
            moodle.keys_url.as_str(),
            "https://moodle.example.edu/mod/lti/certs.php"
        );
        assert!(moodle.mapping.names("ext.user_username"));
        let token = moodle.token_url.expect("known");
        assert_eq!(token.path(), "/mod/lti/token.php");
        let canvas = platform(&format!(
            "preset: canvas, username: 'claim:custom.login', {ALL}"
        ));
        assert_eq!(canvas.issuer, CANVAS);
        assert_eq!(canvas.authorize_url.host_str(), Some("sso.canvaslms.com"));
        let own = platform(&format!("{OWN}, username: 'claim:sub', {ALL}, adopt: true"));
        assert!(own.home.is_none() && own.mapping.adopts.people);
        assert!(!own.mapping.adopts.administrators);
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let check = |keys: &str, expect: &str| {
            let said = read(keys).expect_err(keys);
            assert!(said.contains(expect), "{keys}: {said}");
        };
        let own = |more: &str| format!("{OWN}, {more}");
        check(
            &own("username: 'claim:sub'"),
            "nobody could come in this way",
        );
        check(&own(ALL), "sign_in[0].username");
        check(
            &own(&format!("username: ada, {ALL}")),
            "sign_in[0].username",
        );
        check(
            &own(&format!("username: 'claim:email', {ALL}")),
            "mail_is_verified",
        );
        check(
            &own(&format!(
                "username: '{{email|local}}', mail_is_verified: true, {ALL}"
            )),
            "several domains",
        );
        check(
            &own("username: 'claim:sub', allow: {domains: [example.edu]}"),
            "mail_is_verified",
        );
        check(
            &own("username: 'claim:sub', allow: {groups: [a]}"),
            "tell no groups",
        );
        check(&own("username: 'claim:sub', allow: {}"), "names nobody");
        check(&format!("preset: moodle, {ALL}"), "sign_in[0].home");
        check(
            &format!("preset: moodle, home: 'http://moodle.example.edu', {ALL}"),
            "by https",
        );
        check(
            &format!("username: 'claim:sub', {ALL}"),
            "sign_in[0].issuer",
        );
        check(
            &format!("username: 'claim:sub', {ALL}"),
            "sign_in[0].keys_url",
        );
        check(&own(&format!("isuer: x, {ALL}")), "isuer");
        check(
            &own(&format!("username: 'claim:sub', roles: {{a: boss}}, {ALL}")),
            "known: teacher, grader, student",
        );
        let text = |list: &str| {
            format!(
                "public_url: https://hub.example.edu\nsign_in:\n  - {{kind: lti, title: T, {list}, username: 'claim:sub', {OWN}, {ALL}}}\n"
            )
        };
        for (list, expect) in [
            ("deployments: ['1']", "client_ids"),
            ("client_ids: [c]", "deployments"),
            ("client_ids: [c], deployments: ['']", "deployments"),
        ] {
            let said = parse("lyceum.yaml", &text(list), Path::new(".")).expect_err(list);
            assert!(said.to_string().contains(expect), "{said}");
        }
        let groups = "load_groups: {'lti::context:42/teacher': [ada]}\n";
        let said = parse("lyceum.yaml", groups, Path::new(".")).expect_err("a platform's");
        assert!(said.to_string().contains("learning platform"), "{said}");
        let twice = text("client_ids: [c], deployments: ['1']");
        let entry = twice.lines().last().expect("a line");
        let both = format!("{}{entry}\n", twice);
        let said = parse("lyceum.yaml", &both, Path::new(".")).expect_err("two");
        assert!(said.to_string().contains("have this id"), "{said}");
    }
}
