//! A provider of plain OAuth 2.0 as a way in: `kind: oauth2` of `sign_in`.

use std::collections::BTreeMap;
use std::path::Path;

use lyceum_auth::claims::{Mapping, NameFrom, Rule};
use lyceum_auth::may_be_asked;
use lyceum_auth::oauth2::{List, OAuth2Config};
use lyceum_model::identity::Adopts;
use lyceum_written::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::SecretRef;
use super::oidc::{ONLY_WANTED, RawRule, check_numbers, check_only, check_rule, claim};
use super::refresh::{Refresh, check_refresh};
use super::sign_in::{Say, check_client, read_authorities};

const LISTS_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawOAuth2 {
    /// What the log-in page calls it: "Log in with …".
    pub title: String,
    /// `true`: the log-in page sends browsers there by itself. Whoever has just logged out stays, and with
    /// `/hub/login?local` the page shows all ways in.
    pub automatic: bool,
    /// Tells several such ways apart in addresses: with `staff` the provider sends browsers back to
    /// `/hub/oauth_callback/staff`. Left out, for one of them: `/hub/oauth_callback`.
    pub id: String,
    /// A provider whose addresses and claims are known: all keys below that are left out are as it wants
    /// them.
    pub preset: Option<Preset>,
    /// Where the provider of the preset is, if an organisation has its own: `git.example.edu`.
    pub host: Option<String>,
    /// Where browsers are sent.
    pub authorize_url: Option<String>,
    /// Where the code that they bring is changed for a token.
    pub token_url: Option<String>,
    /// What is asked with the token who it is.
    pub userdata_url: Option<String>,
    /// How that is asked.
    pub userdata_method: Method,
    /// Sent along with that.
    pub userdata_parameters: BTreeMap<String, String>,
    /// The name of this client at the provider.
    pub client_id: String,
    /// Its secret, `file:PATH` or `env:NAME`. Left out: the provider knows a client without one.
    pub client_secret: Option<SecretRef>,
    /// Where the secret stands when a code is changed. Left out: as the preset wants it, else in a header.
    pub client_secret_in: Option<SecretIn>,
    /// The claim by which the provider knows somebody for ever, such as a number: `claim:id`. Never a
    /// name or an address that could be given to somebody else one day.
    pub mark: Option<String>,
    /// What becomes the user name: `claim:login`, or a template such as `{given_name}.{family_name}` or
    /// `{email|local}`. It counts when somebody comes for the first time; later she is known by her mark.
    pub username: Option<String>,
    /// The claim with the name to show.
    pub display_name: String,
    /// The claim with her groups: `claim:groups`. She is put into these here, and taken out of those that
    /// it told before. Left out: groups are left alone.
    pub groups: Option<String>,
    /// Which of her groups there make groups here: whole names, or what they begin with (`uni:*`). Left
    /// out: all, so only where people can't name groups themselves.
    pub groups_only: Option<Vec<String>>,
    /// Lists that the provider tells at addresses of their own; each becomes a claim.
    pub lists: Option<Vec<RawList>>,
    /// `true`: the provider makes sure of every address of mail that it tells. Otherwise none counts:
    /// claims with `mail` in their names are not there.
    pub mail_is_verified: bool,
    /// The claim of whose domain `allow` and `admins` speak: `claim:ocs.data.email`. Only one that people
    /// can't write. Left out: `claim:email`.
    pub domain_of: Option<String>,
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
    /// What is asked of the provider.
    pub scopes: Option<Vec<String>>,
    /// Sent to the provider besides.
    pub parameters: BTreeMap<String, String>,
    /// So often the provider is asked about each who came by it and is here: whoever is disabled there is
    /// logged out, and what changed of her groups and her role there changes here. Left out: `5m` where it
    /// gives refresh tokens, else never. Written, it is asked also with an access token, if it does not
    /// say that such a token ends. `off`: never.
    pub refresh: Option<Refresh>,
    /// Whoever the provider has not confirmed for so long is logged out, also when it is away. Left out: as
    /// long as it is away, everybody stays.
    pub refresh_grace: Option<Span>,
    /// A file with the certificates of authorities that count for this provider besides the system's.
    pub authority: Option<String>,
}

impl Default for RawOAuth2 {
    fn default() -> Self {
        Self {
            title: String::new(),
            automatic: false,
            id: String::new(),
            preset: None,
            host: None,
            authorize_url: None,
            token_url: None,
            userdata_url: None,
            userdata_method: Method::default(),
            userdata_parameters: BTreeMap::new(),
            client_id: String::new(),
            client_secret: None,
            client_secret_in: None,
            mark: None,
            username: None,
            display_name: "claim:name".into(),
            groups: None,
            groups_only: None,
            uid: None,
            gid: None,
            gids: None,
            lists: None,
            mail_is_verified: false,
            domain_of: None,
            allow: None,
            admins: None,
            adopt: false,
            adopt_administrators: false,
            scopes: None,
            parameters: BTreeMap::new(),
            refresh: None,
            refresh_grace: None,
            authority: None,
        }
    }
}

/// A list such as `{claim: teams, url: …, each: "{organization.login}:{slug}"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawList {
    /// The claim that it becomes.
    pub claim: String,
    pub url: String,
    /// What becomes of each entry.
    pub each: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    #[default]
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretIn {
    /// In a header, as the standard wants it.
    Header,
    /// In the form, for providers that read it only there.
    Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// GitHub, or a GitHub Enterprise at `host`. Beside the claims of its `user` there are
    /// `organizations` and `teams` (`ORGANIZATION:TEAM`).
    Github,
}

/// What a preset says of keys that are left out.
struct Known {
    authorize_url: String,
    token_url: String,
    userdata_url: String,
    mark: &'static str,
    username: &'static str,
    scope: &'static str,
    /// For any of its lists.
    scope_of_lists: &'static str,
    lists: Vec<RawList>,
}

impl Preset {
    fn known(self, host: Option<&str>) -> Known {
        match self {
            Self::Github => {
                let (site, api) = match host {
                    None => (
                        "https://github.com".to_owned(),
                        "https://api.github.com".to_owned(),
                    ),
                    Some(host) if host.ends_with(".ghe.com") => {
                        (format!("https://{host}"), format!("https://api.{host}"))
                    }
                    Some(host) => (format!("https://{host}"), format!("https://{host}/api/v3")),
                };
                let list = |claim: &str, path: &str, each: &str| RawList {
                    claim: claim.into(),
                    url: format!("{api}/user/{path}?per_page=100"),
                    each: each.into(),
                };
                Known {
                    authorize_url: format!("{site}/login/oauth/authorize"),
                    token_url: format!("{site}/login/oauth/access_token"),
                    userdata_url: format!("{api}/user"),
                    mark: "claim:id",
                    username: "claim:login",
                    scope: "read:user",
                    scope_of_lists: "read:org",
                    lists: vec![
                        list("organizations", "orgs", "{login}"),
                        list("teams", "teams", "{organization.login}:{slug}"),
                    ],
                }
            }
        }
    }
}

pub(super) fn check_oauth2(raw: &RawOAuth2, folder: &Path, say: Say<'_>) -> Option<OAuth2Config> {
    if raw.host.is_some() && raw.preset.is_none() {
        say(
            "host",
            "it says where the provider of a `preset` is; without one write the addresses".into(),
        );
    }
    let fits = |host: &&str| {
        host.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    };
    let host = raw.host.as_deref().filter(|host| {
        let is_one = fits(host) && !host.is_empty();
        if !is_one {
            say(
                "host",
                format!("{host:?} is no host such as `git.example.edu`"),
            );
        }
        is_one
    });
    let known = raw.preset.map(|preset| preset.known(host));
    let of = |key: fn(&Known) -> &str| known.as_ref().map(key);
    let authorize_url = address(
        "authorize_url",
        raw.authorize_url.as_deref(),
        of(|k| &k.authorize_url),
        say,
    );
    let token_url = address(
        "token_url",
        raw.token_url.as_deref(),
        of(|k| &k.token_url),
        say,
    );
    let userdata_url = address(
        "userdata_url",
        raw.userdata_url.as_deref(),
        of(|k| &k.userdata_url),
        say,
    );
    let client = (raw.client_id.as_str(), raw.client_secret.as_ref());
    let client_secret = check_client(client, &raw.parameters, folder, say);
    // GitHub documents nothing else.
    let secret_in = raw.client_secret_in.or(raw.preset.map(|_| SecretIn::Form));
    let mark = raw.mark.as_deref().or(of(|k| k.mark));
    if mark.is_none() {
        say("mark", "by which claim does the provider know somebody for ever? Write `mark: claim:id`, or what it is called there".into());
    }
    let mark = mark.map(|text| claim("mark", text, say));
    let username = raw.username.as_deref().or(of(|k| k.username));
    if username.is_none() {
        say(
            "username",
            "which claim becomes the user name? Write `username: claim:…`".into(),
        );
    }
    let username = username.map(NameFrom::parse).transpose();
    let username = username.unwrap_or_else(|message| {
        say("username", message);
        None
    });
    let display_name = claim("display_name", &raw.display_name, say);
    let groups = raw.groups.as_deref().map(|text| claim("groups", text, say));
    let groups_only = check_only(raw.groups.as_deref(), raw.groups_only.as_ref(), say);
    if raw.preset == Some(Preset::Github) && groups.is_some() && groups_only.is_none() {
        say("groups", ONLY_WANTED.into());
    }
    let domain_of = raw.domain_of.as_deref();
    let domain_of = domain_of.map(|text| claim("domain_of", text, say));
    let fit = |scope: &String| !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic());
    if !raw.scopes.iter().flatten().all(fit) {
        say("scopes", "scopes are words without blanks".into());
    }
    let told = raw.lists.as_ref().or(known.as_ref().map(|k| &k.lists));
    let lists = lists(told.map_or(&[][..], Vec::as_slice), say);
    let knows_groups = raw.groups.is_some();
    let mut rule = |key: &str, rule: &Option<RawRule>| {
        let rule = rule.as_ref()?;
        if rule.domains.is_some() && !raw.mail_is_verified && raw.domain_of.is_none() {
            say(key, "domains are those of addresses of mail, and none counts unless `mail_is_verified: true` says that the provider makes sure of them".into());
        }
        Some(Rule {
            domain_of: domain_of.clone(),
            ..check_rule(key, rule, knows_groups, say)
        })
    };
    let allow = rule("allow", &raw.allow);
    let admins = rule("admins", &raw.admins);
    let domains = allow.as_ref().and_then(|rule| rule.domains.as_ref());
    let drops = username.as_ref().is_some_and(NameFrom::drops_domains);
    if drops && domains.is_none_or(|domains| domains.len() != 1) {
        say("username", "`|local` makes one name of addresses at several domains; `allow: {domains: […]}` has to name the one that is meant".into());
    }
    let renewing = check_refresh(raw.refresh, raw.refresh_grace, say);
    let authorities = read_authorities(raw.authority.as_ref(), folder, say);
    let mut userdata_url = userdata_url?;
    if !raw.userdata_parameters.is_empty() {
        let mut query = userdata_url.query_pairs_mut();
        query.extend_pairs(&raw.userdata_parameters);
    }
    let numbers = check_numbers(&raw.uid, &raw.gid, &raw.gids, say);
    let mapping = Mapping {
        numbers,
        mail: None,
        username: username?,
        display_name,
        groups,
        groups_only,
        allow,
        admins,
        adopts: Adopts {
            people: raw.adopt,
            administrators: raw.adopt_administrators,
        },
    };
    let scopes = raw.scopes.clone().unwrap_or_else(|| {
        let wants = |list: &List| mapping.names(&list.claim);
        let scopes = known.iter().flat_map(|known| {
            let more = lists.iter().any(wants).then_some(known.scope_of_lists);
            [known.scope].into_iter().chain(more)
        });
        scopes.map(str::to_owned).collect()
    });
    Some(OAuth2Config {
        id: raw.id.clone(),
        title: raw.title.trim().into(),
        automatic: raw.automatic,
        authorize_url: authorize_url?,
        token_url: token_url?,
        userdata_url,
        userdata_by_post: raw.userdata_method == Method::Post,
        secret_in_form: secret_in == Some(SecretIn::Form),
        client_id: raw.client_id.clone(),
        client_secret,
        scopes,
        parameters: raw.parameters.clone(),
        mark: mark?,
        mail_is_verified: raw.mail_is_verified,
        lists,
        mapping,
        renewing,
        by_access_token: matches!(raw.refresh, Some(Refresh::Every(_))),
        authorities,
    })
}

/// The address that is written, or the preset's.
fn address(key: &str, written: Option<&str>, known: Option<&str>, say: Say<'_>) -> Option<Url> {
    let Some(text) = written.or(known) else {
        say(
            key,
            "this address of the provider is missing; write it, or a `preset` that knows it".into(),
        );
        return None;
    };
    match Url::parse(text) {
        Ok(url) if url.fragment().is_some() || !url.username().is_empty() => {
            say(key, format!("{text:?} has more in it than an address"));
            None
        }
        Ok(url) if is_google(&url) => {
            say(key, "Google tells whose account it is only by OpenID Connect; take `kind: oidc, preset: google`".into());
            None
        }
        Ok(url) => {
            match may_be_asked(&url) {
                Ok(()) => Some(url),
                Err(_) => {
                    say(key, "a provider is asked by https; without it only on this machine, for trying out".into());
                    None
                }
            }
        }
        Err(_) => {
            say(
                key,
                format!(
                    "{text:?} is not the address of a provider, such as `https://login.example.edu/oauth/token`"
                ),
            );
            None
        }
    }
}

fn is_google(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default();
    let is_below = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    is_below("google.com") || is_below("googleapis.com")
}

fn lists(raw: &[RawList], say: Say<'_>) -> Vec<List> {
    if raw.len() > LISTS_MAX {
        say(
            "lists",
            format!("these are more than {LISTS_MAX}; each is asked for at each log-in"),
        );
    }
    let lists = raw.iter().take(LISTS_MAX).filter_map(|list| {
        if list.claim.trim().is_empty() || list.claim.starts_with("claim:") {
            say(
                "lists",
                format!(
                    "{:?} is no name for a claim; write it without `claim:`",
                    list.claim
                ),
            );
        }
        let url = address("lists", Some(&list.url), None, say)?;
        let each = NameFrom::parse(&list.each);
        let each = each.map_err(|message| say("lists", message)).ok()?;
        Some(List {
            claim: list.claim.clone(),
            url,
            each,
        })
    });
    lists.collect()
}
