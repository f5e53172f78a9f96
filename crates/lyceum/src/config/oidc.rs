//! A provider that speaks OpenID Connect as a way in: `kind: oidc` of `sign_in`.

use std::collections::BTreeMap;
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Numbers, Rule};
use lyceum_auth::may_be_asked;
use lyceum_auth::oidc::OidcConfig;
use lyceum_model::identity::Adopts;
use lyceum_written::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::refresh::{Refresh, check_refresh};
use super::sign_in::{Meant, Say, check_client, read_authorities};

const USERNAME: &str = "claim:preferred_username";
const SCOPES: [&str; 3] = ["openid", "profile", "email"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOidc {
    /// What the log-in page calls it: "Log in with …".
    pub title: String,
    /// `true`: the log-in page sends browsers there by itself. Whoever has just logged out stays, and with
    /// `/hub/login?local` the page shows all ways in.
    pub automatic: bool,
    /// Tells several such ways apart in addresses: with `staff` the provider sends browsers back to
    /// `/hub/oauth_callback/staff`. Left out, for one of them: `/hub/oauth_callback`.
    pub id: String,
    /// A provider that is known: all keys that are left out are as it wants them.
    pub preset: Option<Preset>,
    /// The id of the organisation at `preset: entra`.
    pub tenant: Option<String>,
    /// Where the provider of `preset: gitlab` or `keycloak` is: `git.example.edu`.
    pub host: Option<String>,
    /// The realm at `preset: keycloak`.
    pub realm: Option<String>,
    /// The address of the provider, exactly as it calls itself in its
    /// `/.well-known/openid-configuration`. Left out: the preset's.
    pub issuer: String,
    /// The name of this client at the provider.
    pub client_id: String,
    /// Its secret, `file:PATH` or `env:NAME`. Left out: the provider knows a client without one.
    pub client_secret: Option<SecretRef>,
    /// What becomes the user name: `claim:preferred_username`, or a template such as
    /// `{given_name}.{family_name}` or `{email|local}` (what stands before the `@`). It counts when
    /// somebody comes for the first time; later she is known by the provider's mark for her (`sub`).
    /// Left out: the preset's, else `claim:preferred_username`.
    pub username: Option<String>,
    /// The claim of whose domain `allow` and `admins` speak: `claim:preferred_username`. Only one that
    /// people can't write. Left out: the preset's, else Google's `hd` or the address of mail.
    pub domain_of: Option<String>,
    /// The claim with the name to show.
    pub display_name: String,
    /// The claim with her groups: `claim:groups`. She is put into these here, and taken out of those that
    /// it told before. Left out: groups are left alone.
    pub groups: Option<String>,
    /// Which of her groups there make groups here: whole names, or what they begin with (`uni:*`). Left
    /// out: all, so only where people can't name groups themselves.
    pub groups_only: Option<Vec<String>>,
    /// The claim with her uid, the number of her group, and those of further ones: `claim:uidNumber`. Left out:
    /// none is asked for.
    pub uid: Option<String>,
    pub gid: Option<String>,
    pub gids: Option<String>,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawRule>,
    /// Who is an administrator, as long as it holds at each log-in. Left out: the provider does not say.
    pub admins: Option<RawRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name. Only where people can't choose their names at the provider.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// What is asked of the provider. Left out: the preset's, else `[openid, profile, email]`.
    pub scopes: Option<Vec<String>>,
    /// Sent to the provider besides: `{prompt: select_account}`.
    pub parameters: BTreeMap<String, String>,
    /// So often the provider is asked about each who came by it and is here, if it gives refresh tokens (some
    /// want `offline_access` among `scopes` for it): whoever is disabled there is logged out, and what
    /// changed of her groups and her role there changes here. `off`: never. Left out: `5m`.
    pub refresh: Option<Refresh>,
    /// Whoever the provider has not confirmed for so long is logged out, also when it is away. Left out: as
    /// long as it is away, everybody stays.
    pub refresh_grace: Option<Span>,
    /// `true`: whoever logs out here is sent on to log out there. Otherwise she is offered it.
    pub log_out_there: bool,
    /// A file with the certificates of authorities that count for this provider besides the system's.
    pub authority: Option<String>,
}

impl Default for RawOidc {
    fn default() -> Self {
        Self {
            title: String::new(),
            automatic: false,
            id: String::new(),
            preset: None,
            tenant: None,
            host: None,
            realm: None,
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            username: None,
            domain_of: None,
            display_name: "claim:name".into(),
            groups: None,
            groups_only: None,
            uid: None,
            gid: None,
            gids: None,
            allow: None,
            admins: None,
            adopt: false,
            adopt_administrators: false,
            scopes: None,
            parameters: BTreeMap::new(),
            refresh: None,
            refresh_grace: None,
            log_out_there: false,
            authority: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Google, with accounts of an organisation; `allow` names its domain.
    Google,
    /// Microsoft's Entra ID (Azure AD), with the id of the organisation as `tenant`; `allow` names its
    /// domain.
    Entra,
    /// GitLab, or an organisation's own at `host`.
    Gitlab,
    /// Keycloak at `host`, with its `realm`.
    Keycloak,
    /// CILogon; `allow` names the domain of the organisation.
    Cilogon,
}

impl Preset {
    fn issuer(self, raw: &RawOidc, say: Say<'_>) -> Option<String> {
        let mut wants = |key: &str, value: &Option<String>, example: &str| {
            let fits = |text: &&String| {
                let fits =
                    |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
                !text.is_empty() && text.bytes().all(fits)
            };
            let found = value.as_ref().filter(fits).cloned();
            if found.is_none() {
                say(key, format!("this preset wants it, such as `{example}`"));
            }
            found
        };
        match self {
            Self::Google => Some("https://accounts.google.com".into()),
            Self::Cilogon => Some("https://cilogon.org".into()),
            Self::Entra => {
                let example = "4f1c2a7e-0000-4000-8000-0123456789ab";
                let tenant = wants("tenant", &raw.tenant, example)?;
                if tenant.len() != example.len() || tenant.matches('-').count() != 4 {
                    say(
                        "tenant",
                        format!(
                            "{tenant:?} is not the id of one organisation, such as `{example}`; its name or `common` does not tell whose people they are"
                        ),
                    );
                }
                Some(format!("https://login.microsoftonline.com/{tenant}/v2.0"))
            }
            Self::Gitlab if raw.host.is_none() => Some("https://gitlab.com".into()),
            Self::Gitlab => {
                let host = wants("host", &raw.host, "git.example.edu")?;
                Some(format!("https://{host}"))
            }
            Self::Keycloak => {
                let host = wants("host", &raw.host, "login.example.edu");
                let realm = wants("realm", &raw.realm, "students");
                Some(format!("https://{}/realms/{}", host?, realm?))
            }
        }
    }

    fn username(self) -> &'static str {
        match self {
            Self::Google => "{email|local}",
            Self::Entra => "{preferred_username|local}",
            Self::Cilogon => "{eppn|local}",
            Self::Gitlab | Self::Keycloak => USERNAME,
        }
    }

    /// The claim with a domain that the organisation has, not the person.
    fn domain_of(self) -> Option<&'static str> {
        match self {
            Self::Entra => Some("claim:preferred_username"),
            Self::Cilogon => Some("claim:eppn"),
            Self::Google | Self::Gitlab | Self::Keycloak => None,
        }
    }

    fn scopes(self) -> &'static [&'static str] {
        match self {
            Self::Cilogon => &["openid", "profile", "email", "org.cilogon.userinfo"],
            _ => &SCOPES,
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

pub(super) fn check_oidc(raw: &RawOidc, folder: &Path, say: Say<'_>) -> Option<OidcConfig> {
    let issuer = match raw.preset {
        Some(preset) if raw.issuer.is_empty() => preset.issuer(raw, say),
        _ => Some(raw.issuer.clone()),
    };
    if let Some(message) = issuer.as_deref().and_then(|text| check_issuer(text).err()) {
        say("issuer", message);
    }
    for (key, value, owner) in [
        ("tenant", &raw.tenant, Preset::Entra),
        ("realm", &raw.realm, Preset::Keycloak),
    ] {
        if value.is_some() && raw.preset != Some(owner) {
            say(key, "no provider but that of its preset has one".into());
        }
    }
    if raw.host.is_some() && !matches!(raw.preset, Some(Preset::Gitlab | Preset::Keycloak)) {
        say("host", "it says where the provider of `preset: gitlab` or `preset: keycloak` is; else write `issuer`".into());
    }
    let client = (raw.client_id.as_str(), raw.client_secret.as_ref());
    let client_secret = check_client(client, &raw.parameters, folder, say);
    let known = raw.preset.map_or(USERNAME, Preset::username);
    let username = NameFrom::parse(raw.username.as_deref().unwrap_or(known));
    let username = username.map_err(|message| say("username", message)).ok();
    let display_name = claim("display_name", &raw.display_name, say);
    let groups = raw.groups.as_deref().map(|text| claim("groups", text, say));
    let groups_only = check_only(raw.groups.as_deref(), raw.groups_only.as_ref(), say);
    // Everybody may make some there.
    if raw.preset == Some(Preset::Gitlab) && groups.is_some() && groups_only.is_none() {
        say("groups", ONLY_WANTED.into());
    }
    if raw.preset == Some(Preset::Cilogon) {
        let names_places = |rule: &RawRule| rule.claims.contains_key("idp");
        if !raw.allow.as_ref().is_some_and(names_places) {
            say("allow", "by CILogon people come from thousands of places; name yours: `claims: {idp: [https://login.example.edu/idp/shibboleth]}`".into());
        }
    }
    let scopes = raw.scopes.clone().unwrap_or_else(|| {
        let known = raw.preset.map_or(&SCOPES[..], Preset::scopes);
        known.iter().map(|scope| (*scope).to_owned()).collect()
    });
    let has_openid = scopes.iter().any(|scope| scope == "openid");
    let fit = |scope: &String| !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic());
    if !has_openid || !scopes.iter().all(fit) {
        say(
            "scopes",
            "scopes are words without blanks, `openid` among them".into(),
        );
    }
    let knows_groups = raw.groups.is_some();
    let known = raw.preset.and_then(Preset::domain_of);
    let domain_of = raw.domain_of.as_deref().or(known);
    let domain_of = domain_of.map(|text| claim("domain_of", text, say));
    let mut rule = |key: &str, rule: &Option<RawRule>| {
        let checked = check_rule(key, rule.as_ref()?, knows_groups, say);
        Some(Rule {
            domain_of: domain_of.clone(),
            ..checked
        })
    };
    let allow = rule("allow", &raw.allow);
    let admins = rule("admins", &raw.admins);
    let username = username?;
    let domains = allow.as_ref().and_then(|rule| rule.domains.as_ref());
    if username.drops_domains() && domains.is_none_or(|domains| domains.len() != 1) {
        say("username", "`|local` makes one name of addresses at several domains; `allow: {domains: […]}` has to name the one that is meant".into());
    }
    let numbers = check_numbers(&raw.uid, &raw.gid, &raw.gids, say);
    let renewing = check_refresh(raw.refresh, raw.refresh_grace, say);
    let authorities = read_authorities(raw.authority.as_ref(), folder, say);
    Some(OidcConfig {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        automatic: raw.automatic,
        issuer: issuer?,
        client_id: raw.client_id.clone(),
        client_secret,
        scopes,
        parameters: raw.parameters.clone(),
        mapping: Mapping {
            numbers,
            mail: None,
            username,
            display_name,
            groups,
            groups_only,
            allow,
            admins,
            adopts: Adopts {
                people: raw.adopt,
                administrators: raw.adopt_administrators,
            },
        },
        log_out_there: raw.log_out_there,
        renewing,
        authorities,
    })
}

/// Claims with numbers for files.
pub(super) fn check_numbers(
    uid: &Option<String>,
    gid: &Option<String>,
    gids: &Option<String>,
    say: Say<'_>,
) -> Numbers {
    let mut named = |key: &str, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| claim(key, text, say))
    };
    Numbers {
        uid: named("uid", uid),
        gid: named("gid", gid),
        group: None,
        gids: named("gids", gids),
    }
}

pub(super) const ONLY_WANTED: &str = "people make groups there themselves and name them; say which of them count here: `groups_only: [\"uni:*\"]`";

/// Which groups of a provider make groups here.
pub(super) fn check_only(
    groups: Option<&str>,
    only: Option<&Vec<String>>,
    say: Say<'_>,
) -> Option<Vec<String>> {
    let only = only?;
    if groups.is_none() {
        say(
            "groups_only",
            "which claim holds the groups? Add `groups: claim:…` beside it".into(),
        );
    }
    let fits = |one: &String| {
        let beginning = one.strip_suffix('*').unwrap_or(one);
        !beginning.trim().is_empty() && !beginning.contains('*')
    };
    if only.is_empty() || !only.iter().all(fits) {
        say(
            "groups_only",
            "it names groups, whole or by what they begin with: `[staff, \"uni:*\"]`".into(),
        );
    }
    Some(only.clone())
}

pub(super) fn check_issuer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(
            "the key is missing here; write the address of the provider, such as `https://login.example.edu`, or a `preset`"
                .into(),
        );
    }
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

pub(super) fn claim(key: &str, text: &str, say: Say<'_>) -> String {
    match text.strip_prefix("claim:").map(str::trim) {
        Some(claim) if !claim.is_empty() => claim.to_owned(),
        _ => {
            say(key, format!("{text:?} names no claim; write `claim:NAME`"));
            String::new()
        }
    }
}

pub(super) fn check_rule(key: &str, raw: &RawRule, knows_groups: bool, say: Say<'_>) -> Rule {
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
    let meant = Meant {
        everyone: raw.everyone,
        groups: raw.groups.as_ref(),
        domains: raw.domains.as_ref(),
        claims: &raw.claims,
        keys: "`groups`, `domains` or `claims`",
        groups_want: (!knows_groups)
            .then_some("which claim holds the groups? Add `groups: claim:…` beside it"),
    };
    meant.check(key, say)
}
