//! `load_groups`, `load_roles`, `custom_scopes`, `services`: who may do what, with JupyterHub's names
//! and forms. What they come to is [`lyceum_hub::grants`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use lyceum_hub::grants::{ADMIN, CLIENT_PREFIX, Grants, GroupWish, Managed, Role, Service};
use lyceum_hub::{services, tokens};
use lyceum_model::lti::is_platforms;
use lyceum_model::name::{UserName, is_free_name};
use lyceum_model::scope::{Definition, ScopeSet, Vocabulary};
use lyceum_model::secret::Secret;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::raw::{RawConfig, RawPkce};
use super::secret_ref::SecretRef;
use lyceum_written::problem::suggest;

/// What a group is written as: a list of its people, or keys.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RawGroup {
    Users(Vec<String>),
    Keys(RawGroupKeys),
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawGroupKeys {
    /// Names of people who are in it.
    pub users: Vec<String>,
    /// What is noted about it; takes the place of what was noted before.
    pub properties: Option<serde_json::Map<String, serde_json::Value>>,
}

impl<'de> Deserialize<'de> for RawGroup {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawGroup;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of people, or `users` and `properties`")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<RawGroup, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(RawGroup::Users)
            }
            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<RawGroup, A::Error> {
                RawGroupKeys::deserialize(MapAccessDeserializer::new(keys)).map(RawGroup::Keys)
            }
        }
        from.deserialize_any(Either)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRole {
    pub name: String,
    pub description: Option<String>,
    /// What whoever has it may do: `read:users!group=staff`. Of a default role, left out: as ever.
    pub scopes: Option<Vec<String>>,
    /// Names of people who have it.
    #[serde(default)]
    pub users: Vec<String>,
    /// Groups whose members have it.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Services that have it.
    #[serde(default)]
    pub services: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCustomScope {
    /// What a holder may do, for the page where people confirm it.
    pub description: String,
    /// Other custom scopes that it includes.
    #[serde(default)]
    pub subscopes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawService {
    pub name: String,
    /// Where it answers, `http://10.0.0.5:9000`. The proxy leads `/services/NAME/` there.
    pub url: Option<String>,
    /// `file:PATH` or `env:NAME`, holding its API token, which is its OAuth secret too. One that the
    /// hub runs needs none: it is made for it.
    pub api_token: Option<SecretRef>,
    /// The program and its arguments, for a service that the hub shall run, on one replica, and start
    /// again when it ends. Left out: it runs by itself.
    pub command: Option<Vec<String>>,
    /// Environment variables of a service that the hub runs.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The folder in which the command begins. Left out: one of its own in the data folder.
    pub cwd: Option<String>,
    /// The system account that the command runs under, which needs root. Left out: Lyceum's own.
    pub user: Option<String>,
    /// `true`: it has the role `admin`.
    #[serde(default)]
    pub admin: bool,
    /// Left out: `service-NAME`.
    pub oauth_client_id: Option<String>,
    /// Where browsers return to with a code. Left out: `/services/NAME/oauth_callback`.
    pub oauth_redirect_uri: Option<String>,
    /// What it may do in the name of those who sign in to it.
    #[serde(default)]
    pub oauth_client_allowed_scopes: Vec<String>,
    /// The same by roles.
    #[serde(default)]
    pub oauth_roles: Vec<String>,
    /// `true`: people are not asked whether they want to sign in to it.
    #[serde(default)]
    pub oauth_no_confirm: bool,
    /// `false`: not shown to people.
    #[serde(default = "yes")]
    pub display: bool,
    /// Whatever is to be told about it.
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
}

fn yes() -> bool {
    true
}

pub(super) fn check_grants(
    raw: &RawConfig,
    folder: &Path,
    problem: &mut dyn FnMut(&str, String),
) -> Grants {
    let vocabulary = check_custom_scopes(raw, problem);
    let names: BTreeSet<&str> = raw.services.iter().map(|one| one.name.as_str()).collect();
    let mut grants = Grants {
        groups: check_groups(raw, problem),
        vocabulary,
        ..Grants::default()
    };
    check_roles(raw, &names, &mut grants, problem);
    grants.services = check_services(raw, folder, &grants, problem);
    grants.server_clients = scopes(
        "servers.oauth_client_allowed_scopes",
        &raw.servers.oauth_client_allowed_scopes,
        &grants.vocabulary,
        problem,
    );
    grants.needs_pkce = raw.oauth.pkce == RawPkce::Required;
    grants
}

fn check_custom_scopes(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> Vocabulary {
    let definitions: BTreeMap<String, Definition> = raw
        .custom_scopes
        .iter()
        .map(|(name, scope)| {
            let definition = Definition {
                description: scope.description.clone(),
                subscopes: scope.subscopes.clone(),
            };
            (name.clone(), definition)
        })
        .collect();
    let (vocabulary, problems) = Vocabulary::define(&definitions);
    for (name, error) in problems {
        problem(&format!("custom_scopes.{name}"), error.to_string());
    }
    vocabulary
}

fn check_groups(
    raw: &RawConfig,
    problem: &mut dyn FnMut(&str, String),
) -> BTreeMap<String, GroupWish> {
    let mut groups = BTreeMap::new();
    for (name, group) in &raw.load_groups {
        let path = format!("load_groups.{name}");
        group_name(&path, name, problem);
        if is_platforms(name) {
            problem(
                &path,
                format!(
                    "{name:?}: who is in a group whose name begins with `lti:` a learning platform says; take another name"
                ),
            );
        }
        let (users, properties, path) = match group {
            RawGroup::Users(users) => (users, None, path),
            RawGroup::Keys(keys) => (&keys.users, keys.properties.clone(), path + ".users"),
        };
        let users = super::check::names(&path, users, problem);
        groups.insert(name.clone(), GroupWish { users, properties });
    }
    groups
}

fn group_name(path: &str, name: &str, problem: &mut dyn FnMut(&str, String)) {
    if !is_free_name(name) {
        problem(
            path,
            format!(
                "{name:?}: the name of a group has 1 to 255 bytes, no control characters and no spaces at its ends"
            ),
        );
    }
}

fn check_roles(
    raw: &RawConfig,
    services: &BTreeSet<&str>,
    grants: &mut Grants,
    problem: &mut dyn FnMut(&str, String),
) {
    for (index, role) in raw.load_roles.iter().enumerate() {
        let path = format!("load_roles[{index}]");
        if !is_role_name(&role.name) {
            problem(
                &format!("{path}.name"),
                format!(
                    "{:?}: the name of a role has 3 to 255 characters of a-z, 0-9 and -_~., begins with a letter and ends with a letter or digit",
                    role.name
                ),
            );
        }
        let before = |one: &RawRole| one.name == role.name;
        if raw.load_roles[..index].iter().any(before) {
            problem(
                &format!("{path}.name"),
                format!("the role `{}` stands here a second time", role.name),
            );
        }
        let mut is: Role = grants.roles.remove(&role.name).unwrap_or_default();
        if let Some(list) = &role.scopes {
            let given = scopes(&format!("{path}.scopes"), list, &grants.vocabulary, problem);
            if role.name == ADMIN && given != is.scopes {
                problem(
                    &format!("{path}.scopes"),
                    "the scopes of the role `admin` can't be changed; leave them out, or make a role of another name".into(),
                );
            }
            is.scopes = given;
        }
        if let Some(description) = &role.description {
            is.description.clone_from(description);
        }
        is.users.extend(super::check::names(
            &format!("{path}.users"),
            &role.users,
            problem,
        ));
        for (at, group) in role.groups.iter().enumerate() {
            group_name(&format!("{path}.groups[{at}]"), group, problem);
            is.groups.insert(group.clone());
        }
        for (at, service) in role.services.iter().enumerate() {
            if !services.contains(service.as_str()) {
                let known: Vec<&str> = services.iter().copied().collect();
                problem(
                    &format!("{path}.services[{at}]"),
                    format!(
                        "there is no service `{service}` under `services`; {}",
                        suggest(service, &known)
                    ),
                );
            }
            is.services.insert(service.clone());
        }
        grants.roles.insert(role.name.clone(), is);
    }
}

/// JupyterHub's own rule.
fn is_role_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (3..=255).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.last().is_some_and(|last| letter(*last))
        && bytes
            .iter()
            .all(|byte| letter(*byte) || b"-_~.".contains(byte))
}

fn scopes(
    path: &str,
    list: &[String],
    vocabulary: &Vocabulary,
    problem: &mut dyn FnMut(&str, String),
) -> ScopeSet {
    let mut set = ScopeSet::new();
    for (index, text) in list.iter().enumerate() {
        match vocabulary.parse(text) {
            Ok(scope) => set.insert(scope),
            Err(error) => problem(&format!("{path}[{index}]"), error.to_string()),
        }
    }
    set
}

fn check_services(
    raw: &RawConfig,
    folder: &Path,
    grants: &Grants,
    problem: &mut dyn FnMut(&str, String),
) -> BTreeMap<String, Service> {
    let mut known: BTreeMap<String, Service> = BTreeMap::new();
    for (index, service) in raw.services.iter().enumerate() {
        let path = |key: &str| format!("services[{index}].{key}");
        let name = &service.name;
        if let Err(message) = services::check_name(name) {
            problem(&path("name"), message);
            continue;
        }
        if known.contains_key(name) {
            problem(
                &path("name"),
                format!("the service `{name}` stands here a second time"),
            );
            continue;
        }
        let url = service.url.as_deref().and_then(|text| {
            let origin =
                services::check_address(text).map_err(|message| problem(&path("url"), message));
            origin.ok()
        });
        let token = service.api_token.as_ref().and_then(|from| {
            let secret = from.resolve(folder);
            let secret = secret
                .map_err(|message| problem(&path("api_token"), message))
                .ok()?;
            if let Err(message) = services::check_token(secret.expose()) {
                problem(&path("api_token"), message);
            }
            Some(secret)
        });
        let token_hash = token.as_ref().map(|secret| tokens::hash(secret.expose()));
        let same_token = |one: &Service| token_hash.is_some() && one.token_hash == token_hash;
        if let Some((other, _)) = known.iter().find(|(_, one)| same_token(one)) {
            problem(
                &path("api_token"),
                format!("the service `{other}` has the same token; each has its own"),
            );
        }
        let client_id = match &service.oauth_client_id {
            Some(id) => id.clone(),
            None => format!("{CLIENT_PREFIX}{name}"),
        };
        if !client_id.starts_with(CLIENT_PREFIX) {
            problem(
                &path("oauth_client_id"),
                format!("{client_id:?} must begin with `{CLIENT_PREFIX}`"),
            );
        }
        if let Some((other, _)) = known.iter().find(|(_, one)| one.client_id == client_id) {
            let written = service.oauth_client_id.is_some();
            problem(
                &path(if written { "oauth_client_id" } else { "name" }),
                format!("the service `{other}` has the same client id, {client_id:?}"),
            );
        }
        if let Some(uri) = &service.oauth_redirect_uri
            && let Err(message) = services::check_redirect(uri)
        {
            problem(&path("oauth_redirect_uri"), message);
        }
        let signs_in = service.oauth_redirect_uri.is_some()
            || service.oauth_client_id.is_some()
            || service.oauth_no_confirm
            || !service.oauth_client_allowed_scopes.is_empty()
            || !service.oauth_roles.is_empty();
        if signs_in && service.api_token.is_none() && service.command.is_none() {
            problem(
                &path("name"),
                "people can sign in to a service only if it has an `api_token`".into(),
            );
        }
        let managed = check_managed(service, index, token, problem);
        let allowed_scopes = scopes(
            &path("oauth_client_allowed_scopes"),
            &service.oauth_client_allowed_scopes,
            &grants.vocabulary,
            problem,
        );
        let by_roles = check_oauth_roles(service, &path("oauth_roles"), grants, problem);
        if !allowed_scopes.is_empty() && !service.oauth_roles.is_empty() {
            problem(
                &path("oauth_roles"),
                "write either `oauth_roles` or `oauth_client_allowed_scopes`, not both".into(),
            );
        }
        known.insert(
            name.clone(),
            Service {
                url,
                admin: service.admin,
                token_hash,
                client_id,
                redirect_uri: service.oauth_redirect_uri.clone(),
                allowed_scopes: allowed_scopes.union(&by_roles),
                no_confirm: service.oauth_no_confirm,
                display: service.display,
                info: service.info.clone(),
                managed,
            },
        );
    }
    known
}

fn check_managed(
    service: &RawService,
    index: usize,
    token: Option<Secret>,
    problem: &mut dyn FnMut(&str, String),
) -> Option<Managed> {
    let path = |key: &str| format!("services[{index}].{key}");
    let Some(command) = &service.command else {
        let of_managed = [
            ("environment", !service.environment.is_empty()),
            ("cwd", service.cwd.is_some()),
            ("user", service.user.is_some()),
        ];
        for (key, _) in of_managed.iter().filter(|(_, written)| *written) {
            problem(
                &path(key),
                format!("`{key}` is for services that the hub runs, and this one has no `command`"),
            );
        }
        return None;
    };
    if command.first().is_none_or(String::is_empty) {
        problem(
            &path("command"),
            "a program is missing: `[python3, -m, jupyterhub_idle_culler]`".into(),
        );
    }
    for (name, value) in &service.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            problem(
                &path("environment"),
                format!("{name:?}: no process can have such a variable"),
            );
        }
    }
    if let Some(folder) = service.cwd.as_deref()
        && !Path::new(folder).is_absolute()
    {
        problem(
            &path("cwd"),
            format!("{folder:?} must be a whole path, from `/` on"),
        );
    }
    let run_as = service.user.as_deref().and_then(|name| {
        let found = crate::launch::service_account(name);
        found
            .map_err(|message| problem(&path("user"), message))
            .ok()
    });
    let mut environment = service.environment.clone();
    if let Some(run_as) = &run_as
        && let Some(home) = crate::launch::home_of(&run_as.account)
    {
        // No other account gets through the data folder, where its folder is.
        environment.entry("HOME".into()).or_insert(home);
    }
    Some(Managed {
        command: command.clone(),
        environment,
        folder: service.cwd.clone(),
        run_as,
        token,
    })
}

fn check_oauth_roles(
    service: &RawService,
    path: &str,
    grants: &Grants,
    problem: &mut dyn FnMut(&str, String),
) -> ScopeSet {
    for (at, role) in service.oauth_roles.iter().enumerate() {
        if !grants.roles.contains_key(role) {
            let known: Vec<&str> = grants.roles.keys().map(String::as_str).collect();
            problem(
                &format!("{path}[{at}]"),
                format!("there is no role `{role}`; {}", suggest(role, &known)),
            );
        }
    }
    grants.scopes_of(service.oauth_roles.iter().map(String::as_str))
}

/// Those who have the role `admin` by `load_roles`: administrators as those under `people` are.
pub(super) fn admins(grants: &Grants) -> BTreeSet<UserName> {
    let role = grants.roles.get(ADMIN);
    role.map(|role| role.users.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// A folder of its own lies in the data folder, where no other account gets through.
    #[test]
    fn a_service_of_another_account_has_that_account_s_home() {
        let check = |environment: &str, expect: &str| {
            let text = format!(
                "services: [{{name: s, command: [s], user: nobody, environment: {environment}}}]"
            );
            let loaded = crate::config::parse("lyceum.yaml", &text, Path::new("."));
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
            let service = &loaded.config.grants.services["s"];
            let managed = service.managed.as_ref().expect("it has a command");
            assert_eq!(managed.environment["HOME"], expect);
        };
        let nobody = crate::launch::home_of("nobody").expect("every system has it");
        check("{}", &nobody);
        check("{HOME: /srv/s}", "/srv/s");
    }
}
