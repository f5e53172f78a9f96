//! The layout of before chart 1.0: `auth.*`. Each key is what a trait says today.

use lyceum_written::Node;
use lyceum_written::tree::{Entry, Value};

use super::classes::find;
use super::map;
use super::said::{At, Said, access};
use crate::import::Report;
use lyceum_written::problem::suggest;

/// Keys of `auth` below which one provider is told of, and its class.
const PROVIDERS: [(&str, &str); 8] = [
    ("azuread", "AzureAdOAuthenticator"),
    ("cilogon", "CILogonOAuthenticator"),
    ("github", "GitHubOAuthenticator"),
    ("gitlab", "GitLabOAuthenticator"),
    ("globus", "GlobusOAuthenticator"),
    ("google", "GoogleOAuthenticator"),
    ("dummy", "DummyAuthenticator"),
    ("ldap", "LDAPAuthenticator"),
];

/// Its keys for all of them.
const TRAITS: [(&str, &str); 15] = [
    ("clientId", "client_id"),
    ("clientSecret", "client_secret"),
    ("callbackUrl", "oauth_callback_url"),
    ("tenantId", "tenant_id"),
    ("orgWhitelist", "allowed_organizations"),
    ("gitlabGroupWhitelist", "allowed_gitlab_groups"),
    ("gitlabProjectIdWhitelist", "allowed_project_ids"),
    ("gitlabUrl", "gitlab_url"),
    ("gitlabApiVersion", "gitlab_api_version"),
    ("hostedDomain", "hosted_domain"),
    ("loginService", "login_service"),
    ("identityProvider", "identity_provider"),
    ("password", "password"),
    ("allowedGroups", "allowed_groups"),
    ("serverAddress", "server_address"),
];

/// Keys of `auth.ldap`.
const LDAP: [(&str, &str); 14] = [
    ("server.address", "server_address"),
    ("server.port", "server_port"),
    ("server.ssl", "use_ssl"),
    ("dn.lookup", "lookup_dn"),
    ("dn.templates", "bind_dn_template"),
    ("dn.search.filter", "lookup_dn_search_filter"),
    ("dn.search.user", "lookup_dn_search_user"),
    ("dn.search.password", "lookup_dn_search_password"),
    ("dn.user.dnAttribute", "lookup_dn_user_dn_attribute"),
    ("dn.user.escape", "escape_userdn"),
    ("dn.user.validRegex", "valid_username_regex"),
    ("dn.user.searchBase", "user_search_base"),
    ("dn.user.attribute", "user_attribute"),
    ("dn.user.useLookupName", "use_lookup_dn_username"),
];

const KEYS: [&str; 17] = [
    "type",
    "admin",
    "whitelist",
    "allowlist",
    "blacklist",
    "blocklist",
    "state",
    "scopes",
    "custom",
    "azuread",
    "cilogon",
    "github",
    "gitlab",
    "globus",
    "google",
    "dummy",
    "ldap",
];

pub(super) fn read(auth: &Entry, said: &mut Said, report: &mut Report) {
    let word = map(&auth.node).iter().find(|entry| entry.key == "type");
    let word = match word.map(|entry| &entry.node.value) {
        Some(Value::Text(word)) => word.clone(),
        _ => "dummy".into(),
    };
    for entry in map(&auth.node) {
        let at = At {
            key: format!("auth.{}", entry.key),
            place: entry.key_place,
        };
        match entry.key.as_str() {
            "type" if word != "custom" => said.choose(&word, at),
            "type" => at.taken("sign_in[0].kind", report),
            "admin" => admin(&at, entry, said, report),
            "whitelist" | "allowlist" => users(&at, entry, "allowed_users", said, report),
            "blacklist" | "blocklist" => users(&at, entry, "blocked_users", said, report),
            "state" => at.not_needed("no server gets tokens of the provider", report),
            "scopes" => said.put("OAuthenticator", "scope", at.key, at.place, &entry.node),
            "custom" => custom(&at, entry, &word, said, report),
            other => match PROVIDERS.iter().find(|(key, _)| *key == other) {
                Some((_, class)) => provider(&at, class, &entry.node, said, report),
                None => unknown(&at, other, &KEYS, report),
            },
        }
    }
}

fn unknown(at: &At, key: &str, known: &[&str], report: &mut Report) {
    let message = format!("no such key is known here; {}", suggest(key, known));
    at.problem(&message, report);
}

/// What is no mapping would be passed over.
fn expect_keys(at: &At, entry: &Entry, report: &mut Report) {
    if !matches!(entry.node.value, Value::Map(_) | Value::Null) {
        at.problem("keys are expected here, such as `users: [ada]`", report);
    }
}

/// `users` below it.
fn users(at: &At, entry: &Entry, name: &str, said: &mut Said, report: &mut Report) {
    expect_keys(at, entry, report);
    for one in map(&entry.node) {
        let key = format!("{}.{}", at.key, one.key);
        match one.key.as_str() {
            "users" => said.put("Authenticator", name, key, one.key_place, &one.node),
            other => unknown(
                &At {
                    key,
                    place: one.key_place,
                },
                other,
                &["users"],
                report,
            ),
        }
    }
}

fn admin(at: &At, entry: &Entry, said: &mut Said, report: &mut Report) {
    expect_keys(at, entry, report);
    for one in map(&entry.node) {
        let at = At {
            key: format!("{}.{}", at.key, one.key),
            place: one.key_place,
        };
        match one.key.as_str() {
            "users" => said.put("Authenticator", "admin_users", at.key, at.place, &one.node),
            "access" => access(&at, &one.node.value, report),
            other => unknown(&at, other, &["users", "access"], report),
        }
    }
}

/// A class by name, with its traits.
fn custom(at: &At, entry: &Entry, word: &str, said: &mut Said, report: &mut Report) {
    if word != "custom" {
        at.not_needed("another authenticator is chosen", report);
        return;
    }
    let find_key = |key: &str| map(&entry.node).iter().find(|one| one.key == key);
    let class = find_key("className").and_then(|one| match &one.node.value {
        Value::Text(text) => Some((text.clone(), one.key_place)),
        _ => None,
    });
    let Some((name, place)) = class else {
        at.problem("`className` says which authenticator", report);
        return;
    };
    let key = format!("{}.className", at.key);
    said.choose(&name, At { key, place });
    for one in map(&entry.node) {
        let key = format!("{}.{}", at.key, one.key);
        match one.key.as_str() {
            "className" => {}
            "config" => {
                let last = name.rsplit('.').next().unwrap_or(&name);
                if let Some(class) = find(last) {
                    said.read_class(&key, class, &one.node, report);
                }
            }
            other => unknown(
                &At {
                    key,
                    place: one.key_place,
                },
                other,
                &["className", "config"],
                report,
            ),
        }
    }
}

fn provider(at: &At, class: &'static str, node: &Node, said: &mut Said, report: &mut Report) {
    if class == "LDAPAuthenticator" {
        leaves(&at.key, "", node, &mut |key, path, entry| {
            let known = LDAP
                .iter()
                .chain(&TRAITS[13..14])
                .find(|(known, _)| *known == path);
            match known {
                Some((_, name)) => said.put(class, name, key, entry.key_place, &entry.node),
                None => {
                    let known: Vec<&str> = LDAP.iter().map(|(key, _)| *key).collect();
                    unknown(
                        &At {
                            key,
                            place: entry.key_place,
                        },
                        path,
                        &known,
                        report,
                    );
                }
            }
        });
        return;
    }
    let own = find(class).expect("it is one of them");
    for entry in map(node) {
        let key = format!("{}.{}", at.key, entry.key);
        let name = TRAITS.iter().find(|(known, _)| *known == entry.key);
        let has = |name: &str| own.line().any(|class| class.traits.contains(&name));
        match name.filter(|(_, name)| has(name)) {
            Some((_, name)) => said.put(class, name, key, entry.key_place, &entry.node),
            None => {
                let known = TRAITS.iter().filter(|(_, name)| has(name));
                let known: Vec<&str> = known.map(|(key, _)| *key).collect();
                unknown(
                    &At {
                        key,
                        place: entry.key_place,
                    },
                    &entry.key,
                    &known,
                    report,
                );
            }
        }
    }
}

/// Every value that is no mapping, with its path.
fn leaves(key: &str, path: &str, node: &Node, each: &mut dyn FnMut(String, &str, &Entry)) {
    for entry in map(node) {
        let key = format!("{key}.{}", entry.key);
        let path = match path.is_empty() {
            true => entry.key.clone(),
            false => format!("{path}.{}", entry.key),
        };
        match &entry.node.value {
            Value::Map(_) => leaves(&key, &path, &entry.node, each),
            _ => each(key, &path, entry),
        }
    }
}
