//! LDAP.

use lyceum_auth::ldap::Dn;
use lyceum_written::tree::Value;

use super::said::{At, Said};
use super::{Work, map};
use crate::import::write::Keys;

const NEEDLESS: [(&str, &str); 9] = [
    ("any_allow_config", "nobody comes in unless she is named"),
    ("attributes", "servers get no attributes of people"),
    (
        "auth_state_attributes",
        "servers get no attributes of people",
    ),
    ("escape_userdn", "names are always escaped"),
    (
        "group_attributes",
        "groups are found by `member`, `uniqueMember` and `memberUid`, or by a filter",
    ),
    ("auto_login", "passwords are asked for on the log-in page"),
    (
        "delete_invalid_users",
        "an account belongs to the entry's lasting mark",
    ),
    ("otp_prompt", "the log-in page asks for what it wants"),
    ("request_otp", "the log-in page asks for what it wants"),
];

const REFUSED: [(&str, &str); 6] = [
    (
        "post_auth_hook",
        "Python can't run here; what it decides has to be said by keys of `lyceum.yaml`",
    ),
    ("username_map", "names can't be replaced by others here"),
    (
        "username_pattern",
        "it keeps people out by their names, which can't be said here; say with `filter` or `allow` who may come",
    ),
    (
        "manage_roles",
        "roles are given by groups here (`load_roles`)",
    ),
    ("reconcile_auth_state_hook", "Python can't run here"),
    (
        "auth_refresh_age",
        "people of a directory are not asked about while they are here",
    ),
];

const OLD: [(&str, &str); 3] = [
    ("whitelist", "allowed_users"),
    ("admin_whitelist", "admin_users"),
    ("blacklist", "blocked_users"),
];

pub(super) fn old(said: &mut Said, work: &mut Work) {
    said.rename(&OLD, &mut work.report);
}

pub(super) fn translate(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "ldap");
    work.method.put("title", "Log-in name of the organisation");
    server(work, said);
    people(work, said);
    groups(work, said);
    if let Some((yes, at)) = said.flag("enable_auth_state", &mut work.report) {
        match yes {
            true => at.changed("servers get no attributes of people", &mut work.report),
            false => at.not_needed("servers get no attributes of people", &mut work.report),
        }
    }
    if let Some((form, at)) = said.text("valid_username_regex", &mut work.report) {
        match form.as_str() {
            r"^[a-z][.a-z0-9_-]*$" => at.changed(
                "one rule for names holds everywhere: letters, digits and `. _ @ + -`",
                &mut work.report,
            ),
            _ => at.problem(
                "it keeps people out by their names, which can't be said here; say with `filter` or `allow` who may come",
                &mut work.report,
            ),
        }
    }
    said.drop_needless(&NEEDLESS, &mut work.report);
    said.refuse(&REFUSED, &mut work.report);
}

fn server(work: &mut Work, said: &mut Said) {
    let strategy = said.text("tls_strategy", &mut work.report);
    let ssl = said.flag("use_ssl", &mut work.report);
    for at in strategy
        .iter()
        .map(|(_, at)| at)
        .chain(ssl.iter().map(|(_, at)| at))
    {
        at.taken("sign_in[0].servers", &mut work.report);
    }
    let strategy = match (strategy.as_ref().map(|(word, _)| word.as_str()), &ssl) {
        (Some(word), _) => word,
        (None, Some((true, _))) => "on_connect",
        (None, _) => "before_bind",
    };
    let scheme = match strategy {
        "on_connect" => "ldaps",
        "insecure" => {
            work.method.put("insecure", true);
            work.report.leave("`insecure: true`: passwords go to the directory for whoever listens; take it out, and StartTLS or `ldaps://` is asked for");
            "ldap"
        }
        _ => "ldap",
    };
    let port = said.number("server_port", &mut work.report);
    if let Some((_, at)) = &port {
        at.taken("sign_in[0].servers", &mut work.report);
    }
    if let Some((address, at)) = said.text("server_address", &mut work.report) {
        at.taken("sign_in[0].servers", &mut work.report);
        let bare = address.rsplit("://").next().unwrap_or(&address).to_owned();
        let behind = port.map_or(String::new(), |(port, _)| format!(":{port}"));
        work.method
            .put("servers", vec![format!("{scheme}://{bare}{behind}")]);
    }
    if let Some((node, at)) = said.take("tls_kwargs") {
        if map(&node).is_empty() {
            at.problem("names with values are expected here", &mut work.report);
        }
        for entry in map(&node) {
            let at = At {
                key: format!("{}.{}", at.key, entry.key),
                place: entry.key_place,
            };
            match (entry.key.as_str(), &entry.node.value) {
                ("ca_certs_file", Value::Text(file)) => {
                    at.taken("sign_in[0].authority", &mut work.report);
                    work.method.put("authority", file.as_str());
                }
                _ => at.problem("how TLS is spoken can't be told here, but for the `authority` whose certificates count", &mut work.report),
            }
        }
    }
}

fn people(work: &mut Work, said: &mut Said) {
    let looks_up = said.flag("lookup_dn", &mut work.report);
    if let Some((_, at)) = &looks_up {
        at.taken("sign_in[0].base", &mut work.report);
    }
    let looks_up = looks_up.is_some_and(|(yes, _)| yes);
    let attribute = said.text("user_attribute", &mut work.report);
    if let Some((attribute, at)) = &attribute {
        at.taken("sign_in[0].username", &mut work.report);
        work.method.put("username", attribute.as_str());
    }
    let attribute = attribute.map_or("uid".to_owned(), |(attribute, _)| attribute);
    let base = said.text("user_search_base", &mut work.report);
    let templates = said.list("bind_dn_template", &mut work.report);
    if let Some((base, at)) = base {
        match looks_up || templates.is_none() {
            true => {
                at.taken("sign_in[0].base", &mut work.report);
                work.method.put("base", base);
            }
            false => at.not_needed("entries are named by `bind`", &mut work.report),
        }
    }
    if let Some((templates, at)) = templates {
        match looks_up {
            // What is found is an entry already.
            true => at.changed(
                "people are looked up, and bind as the entry that is found",
                &mut work.report,
            ),
            false => {
                at.taken("sign_in[0].bind", &mut work.report);
                work.method.put("bind", templates);
            }
        }
    }
    filter(work, said, looks_up, &attribute);
    let name = said.text("lookup_dn_search_user", &mut work.report);
    let password = said.text("lookup_dn_search_password", &mut work.report);
    match (name, password) {
        (Some((name, at)), Some((password, beside))) => {
            at.taken("sign_in[0].reader.name", &mut work.report);
            beside.taken("sign_in[0].reader.password", &mut work.report);
            let mut reader = Keys::default();
            reader.put("name", name);
            let kept = work.secret("directory", &password);
            reader.put("password", kept);
            work.method.put("reader", reader);
        }
        (Some((_, at)), None) | (None, Some((_, at))) => at.problem(
            "an account that reads has a name and a password, `lookup_dn_search_user` and `lookup_dn_search_password`",
            &mut work.report,
        ),
        (None, None) => {}
    }
    if let Some((_, at)) = said.text("lookup_dn_user_dn_attribute", &mut work.report) {
        at.changed("people bind as the entry that is found", &mut work.report);
    }
    if let Some((yes, at)) = said.flag("use_lookup_dn_username", &mut work.report) {
        match yes {
            true => at.not_needed("the name is the one in the directory", &mut work.report),
            false => at.changed(
                "the name is the one in the directory, in small letters",
                &mut work.report,
            ),
        }
    }
}

/// Both filters at once: of looking up, and of who may be found.
fn filter(work: &mut Work, said: &mut Said, looks_up: bool, attribute: &str) {
    let mut filters = Vec::new();
    if let Some((text, at)) = said.text("lookup_dn_search_filter", &mut work.report) {
        at.taken("sign_in[0].filter", &mut work.report);
        if looks_up {
            filters.push(
                text.replace("{login_attr}", attribute)
                    .replace("{login}", "{username}"),
            );
        }
    } else if looks_up {
        filters.push(format!("({attribute}={{username}})"));
    }
    if let Some((text, at)) = said.text("search_filter", &mut work.report) {
        at.taken("sign_in[0].filter", &mut work.report);
        filters.push(text.replace("{userattr}", attribute));
    }
    match filters.as_slice() {
        [] => {}
        [one] => work.method.put("filter", one.as_str()),
        all => work.method.put("filter", format!("(&{})", all.concat())),
    }
}

/// Entries of groups, which have to stand below one base.
fn groups(work: &mut Work, said: &mut Said) {
    let filter = said.text("group_search_filter", &mut work.report);
    let Some((list, at)) = said.list("allowed_groups", &mut work.report) else {
        if let Some((_, at)) = filter {
            at.not_needed("no group is named", &mut work.report);
        }
        return;
    };
    let mut base: Option<String> = None;
    let mut names = Vec::new();
    for text in &list {
        let parts = Dn::parse(text).and(text.split_once(','));
        let Some((name, below)) = parts.and_then(|(first, below)| {
            Some((
                first
                    .trim()
                    .strip_prefix("cn=")
                    .or(first.trim().strip_prefix("CN="))?,
                below.trim(),
            ))
        }) else {
            at.problem(&format!("{text:?} is no name of a group's entry such as `cn=staff,ou=groups,dc=example,dc=edu`"), &mut work.report);
            return;
        };
        if base
            .as_deref()
            .is_some_and(|base| !base.eq_ignore_ascii_case(below))
        {
            at.problem("these groups stand in several places of the directory; one `groups.base` has to stand over all, and no other group of these names below it", &mut work.report);
            return;
        }
        base = Some(below.to_owned());
        names.push(name.to_owned());
    }
    at.taken("people.allow", &mut work.report);
    work.report.leave("groups of the directory are known by their names here (`groups.name`): see that no other group below `groups.base` has the name of one that lets people in");
    work.groups.extend(names);
    let mut groups = Keys::default();
    groups.put("base", base.unwrap_or_default());
    if let Some((text, at)) = filter {
        at.taken("sign_in[0].groups.filter", &mut work.report);
        groups.put(
            "filter",
            text.replace("{userdn}", "{dn}")
                .replace("{uid}", "{username}"),
        );
    }
    work.method.put("groups", groups);
}
