//! Providers: OAuth and OpenID Connect.

use url::Url;

use super::classes::Class;
use super::said::{At, Said, texts};
use super::{Work, map};
use crate::import::Out;

const PYTHON: &str =
    "Python can't run here; what it decides has to be said by keys of `lyceum.yaml`";
const CALLBACK: &str = "/hub/oauth_callback";

/// What every authenticator of this kind can be told, and what has no meaning here.
const NEEDLESS: [(&str, &str); 16] = [
    ("any_allow_config", "nobody comes in unless she is named"),
    (
        "auth_refresh_strict",
        "a provider that is away logs nobody out",
    ),
    (
        "auto_login_oauth2_authorize",
        "services find somebody who is not logged in on the log-in page",
    ),
    (
        "delete_invalid_users",
        "who was renamed at the provider is the same person here",
    ),
    (
        "refresh_pre_stop",
        "people are asked about in the background",
    ),
    (
        "refresh_pre_spawn",
        "people are asked about in the background",
    ),
    (
        "reset_managed_roles_on_startup",
        "roles of the configuration are never kept",
    ),
    ("otp_prompt", "the provider asks for it"),
    ("enable_pkce", "it always is"),
    (
        "custom_403_message",
        "pages say what is wrong; theme texts are in docs/admin/theme.md",
    ),
    ("gitlab_api", "the address of GitLab is enough"),
    ("gitlab_api_version", "the address of GitLab is enough"),
    ("github_api", "the address of GitHub is enough"),
    (
        "populate_teams_in_auth_state",
        "teams are asked for where they matter",
    ),
    ("exclude_tokens", "no token of the provider goes to servers"),
    ("skin", "it is how the provider's page looks"),
];

const REFUSED: [(&str, &str); 24] = [
    ("post_auth_hook", PYTHON),
    ("reconcile_auth_state_hook", PYTHON),
    ("modify_auth_state_hook", PYTHON),
    ("refresh_user_hook", PYTHON),
    (
        "username_map",
        "names can't be replaced by others here; an account is renamed by `lyceum`'s administrators, and stays that person's",
    ),
    (
        "username_pattern",
        "it keeps people out by their names, which can't be said here; say with `allow` who may come",
    ),
    (
        "allowed_scopes",
        "it lets people in by what their tokens may do; say with `allow` who may come",
    ),
    (
        "manage_roles",
        "roles are given by groups here (`load_roles`)",
    ),
    (
        "token_params",
        "the request for a token can't be told more here",
    ),
    (
        "http_request_kwargs",
        "how requests are made can't be told here; certificates of an authority of your own are `authority`",
    ),
    (
        "userdata_from_id_token",
        "take `kind: oidc` with the provider's `issuer` instead, which reads the ID token and checks it",
    ),
    (
        "allowed_project_ids",
        "projects of GitLab can't let people in here; take groups",
    ),
    (
        "admin_google_groups",
        "groups of Google's directory can't be asked for here",
    ),
    (
        "allowed_google_groups",
        "groups of Google's directory can't be asked for here",
    ),
    (
        "google_service_account_keys",
        "groups of Google's directory can't be asked for here",
    ),
    (
        "gsuite_administrator",
        "groups of Google's directory can't be asked for here",
    ),
    (
        "include_nested_groups",
        "groups of Google's directory can't be asked for here",
    ),
    (
        "admin_globus_groups",
        "groups of Globus can't be asked for here",
    ),
    (
        "allowed_globus_groups",
        "groups of Globus can't be asked for here",
    ),
    ("globus_local_endpoint", "nothing is moved by Globus here"),
    (
        "idp_whitelist",
        "it has had no effect since CILogonOAuthenticator 15; say `allowed_idps`",
    ),
    (
        "strip_idp_domain",
        "it has had no effect since CILogonOAuthenticator 15; say `allowed_idps`",
    ),
    (
        "additional_username_claims",
        "one claim becomes the name here; later people are known by the provider's mark",
    ),
    (
        "userdata_method",
        "it has had no effect since oauthenticator 15",
    ),
];

const OLD: [(&str, &str); 17] = [
    ("whitelist", "allowed_users"),
    ("admin_whitelist", "admin_users"),
    ("blacklist", "blocked_users"),
    ("username_key", "username_claim"),
    ("claim_groups_key", "auth_state_groups_key"),
    ("user_groups_claim", "auth_state_groups_key"),
    ("extra_params", "token_params"),
    ("github_client_id", "client_id"),
    ("github_client_secret", "client_secret"),
    ("github_organization_whitelist", "allowed_organizations"),
    ("gitlab_group_whitelist", "allowed_gitlab_groups"),
    ("gitlab_project_id_whitelist", "allowed_project_ids"),
    ("google_group_whitelist", "allowed_google_groups"),
    ("auth0_subdomain", "auth0_domain"),
    ("idp", "shown_idps"),
    ("idps", "allowed_idps"),
    ("group_whitelist", "allowed_groups"),
];

pub(super) fn old(said: &mut Said, work: &mut Work) {
    said.rename(&OLD, &mut work.report);
}

/// Which provider, and what is special about it.
enum Place {
    Generic,
    Entra,
    Github,
    Gitlab,
    Google,
    Cilogon,
    Globus,
    Auth0,
}

pub(super) fn translate(work: &mut Work, said: &mut Said, class: &'static Class) {
    let place = match class.name {
        "AzureAdOAuthenticator" => Place::Entra,
        "GitHubOAuthenticator" => Place::Github,
        "GitLabOAuthenticator" => Place::Gitlab,
        "GoogleOAuthenticator" => Place::Google,
        "CILogonOAuthenticator" => Place::Cilogon,
        "GlobusOAuthenticator" => Place::Globus,
        "Auth0OAuthenticator" => Place::Auth0,
        _ => Place::Generic,
    };
    let is_oidc = !matches!(place, Place::Generic | Place::Github);
    work.method
        .put("kind", if is_oidc { "oidc" } else { "oauth2" });
    let (title, preset) = match place {
        Place::Generic => ("OAuth 2.0", None),
        Place::Entra => ("Microsoft", Some("entra")),
        Place::Github => ("GitHub", Some("github")),
        Place::Gitlab => ("GitLab", Some("gitlab")),
        Place::Google => ("Google", Some("google")),
        Place::Cilogon => ("CILogon", Some("cilogon")),
        Place::Globus => ("Globus", None),
        Place::Auth0 => ("Auth0", None),
    };
    let service = said.text("login_service", &mut work.report);
    if let Some((_, at)) = &service {
        at.taken("sign_in[0].title", &mut work.report);
    }
    let title = service.map_or(title.to_owned(), |(title, _)| title);
    work.method.put("title", title);
    if let Some(preset) = preset {
        work.method.put("preset", preset);
    }
    match place {
        Place::Generic => addresses(work, said),
        Place::Entra => copy(work, said, "tenant_id", "tenant"),
        Place::Github => host(work, said, "github_url"),
        Place::Gitlab => host(work, said, "gitlab_url"),
        Place::Globus => work.method.put("issuer", "https://auth.globus.org"),
        Place::Auth0 => auth0(work, said),
        Place::Google | Place::Cilogon => {}
    }
    client(work, said);
    let scopes = scopes(work, said, &place);
    name(work, said, &place, &scopes);
    lists(work, said, &place);
    more(work, said);
    if !matches!(place, Place::Generic) {
        let known = "the preset knows the addresses of this provider";
        let addresses = [
            "authorize_url",
            "token_url",
            "userdata_url",
            "graph_url",
            "google_api_url",
            "cilogon_host",
            "globus_groups_url",
            "revocation_url",
            "revoke_tokens_on_logout",
            "userdata_params",
            "userdata_token_method",
            "basic_auth",
        ];
        said.drop_needless(&addresses.map(|name| (name, known)), &mut work.report);
    }
    said.drop_needless(&NEEDLESS, &mut work.report);
    said.refuse(&REFUSED, &mut work.report);
}

fn copy(work: &mut Work, said: &mut Said, from: &str, to: &str) {
    if let Some((text, at)) = said.text(from, &mut work.report) {
        at.taken(&format!("sign_in[0].{to}"), &mut work.report);
        work.method.put(to, text);
    }
}

fn host(work: &mut Work, said: &mut Said, from: &str) {
    let Some((text, at)) = said.text(from, &mut work.report) else {
        return;
    };
    let url = Url::parse(&text).ok();
    let host = url.as_ref().and_then(Url::host_str);
    match host {
        Some("github.com" | "gitlab.com") => at.not_needed("the preset knows it", &mut work.report),
        Some(host) => {
            at.taken("sign_in[0].host", &mut work.report);
            work.method.put("host", host);
        }
        None => at.problem("it is no web address", &mut work.report),
    }
}

fn auth0(work: &mut Work, said: &mut Said) {
    if let Some((domain, at)) = said.text("auth0_domain", &mut work.report) {
        let domain = match domain.contains('.') {
            true => domain,
            false => format!("{domain}.auth0.com"),
        };
        at.taken("sign_in[0].issuer", &mut work.report);
        work.method.put("issuer", format!("https://{domain}/"));
    }
    if let Some((yes, at)) = said.flag("allow_unverified_email", &mut work.report) {
        match yes {
            true => at.problem(
                "an address that nobody has made sure of is nobody's",
                &mut work.report,
            ),
            false => at.not_needed("it never counts", &mut work.report),
        }
    }
}

fn addresses(work: &mut Work, said: &mut Said) {
    for key in ["authorize_url", "token_url", "userdata_url"] {
        copy(work, said, key, key);
    }
    if let Some((pairs, at)) = said.pairs("userdata_params", &mut work.report) {
        at.taken("sign_in[0].userdata_parameters", &mut work.report);
        let pairs = pairs.into_iter().map(|(key, text)| (key, text.into()));
        work.method
            .put("userdata_parameters", Out::Map(pairs.collect()));
    }
    if let Some((how, at)) = said.text("userdata_token_method", &mut work.report) {
        match how.as_str() {
            "header" => at.not_needed("it always is", &mut work.report),
            _ => at.problem(
                "the token goes in a header only: in an address it would stand in logs",
                &mut work.report,
            ),
        }
    }
    // The other way round from the standard: there it is in the form unless said.
    let basic = said.flag("basic_auth", &mut work.report);
    if let Some((_, at)) = &basic {
        at.taken("sign_in[0].client_secret_in", &mut work.report);
    }
    if !basic.is_some_and(|(yes, _)| yes) {
        work.method.put("client_secret_in", "form");
    }
}

fn client(work: &mut Work, said: &mut Said) {
    copy(work, said, "client_id", "client_id");
    if let Some((secret, at)) = said.text("client_secret", &mut work.report) {
        at.taken("sign_in[0].client_secret", &mut work.report);
        let kept = work.secret("client_secret", &secret);
        work.method.put("client_secret", kept);
    }
    let Some((callback, at)) = said.text("oauth_callback_url", &mut work.report) else {
        return;
    };
    match callback.strip_suffix(CALLBACK) {
        Some(site) if !site.contains('{') => {
            at.taken("public_url", &mut work.report);
            work.public_url = Some(site.to_owned());
        }
        _ => {
            at.changed("`public_url` says it", &mut work.report);
            let left = format!(
                "register the way back at the provider: `public_url` with `{CALLBACK}` behind it"
            );
            work.report.leave(left);
        }
    }
}

fn scopes(work: &mut Work, said: &mut Said, place: &Place) -> Vec<String> {
    let Some((scopes, at)) = said.list("scope", &mut work.report) else {
        return Vec::new();
    };
    let is_oidc = !matches!(place, Place::Generic | Place::Github);
    match is_oidc && !scopes.iter().any(|one| one == "openid") {
        true => at.changed(
            "OpenID Connect is asked with `openid`, `profile` and `email`",
            &mut work.report,
        ),
        false => {
            at.taken("sign_in[0].scopes", &mut work.report);
            work.method.put("scopes", scopes.clone());
        }
    }
    scopes
}

/// What becomes the user name, and by what she is known for ever.
fn name(work: &mut Work, said: &mut Said, place: &Place, scopes: &[String]) {
    let claim = said.text("username_claim", &mut work.report);
    let strip = said.flag("strip_domain", &mut work.report);
    let from_mail = said.flag("username_from_email", &mut work.report);
    for (_, at) in strip.iter().chain(&from_mail) {
        at.taken("sign_in[0].username", &mut work.report);
    }
    if let Some((_, at)) = &claim {
        at.taken("sign_in[0].username", &mut work.report);
    }
    let claim = claim.map(|(claim, _)| claim);
    let username = match (place, claim) {
        (Place::Google, None) if strip.is_some_and(|(yes, _)| yes) => {
            Some("{email|local}".to_owned())
        }
        (Place::Google, None) => Some("claim:email".into()),
        (Place::Globus, None) if from_mail.is_some_and(|(yes, _)| yes) => {
            Some("claim:email".into())
        }
        (Place::Entra, None) => Some("claim:preferred_username".into()),
        (Place::Auth0, None) => Some("claim:email".into()),
        (Place::Generic, None) => Some("claim:username".into()),
        (_, Some(claim)) => Some(format!("claim:{claim}")),
        (Place::Github | Place::Gitlab | Place::Cilogon | Place::Globus, None) => None,
    };
    if let Some(username) = username {
        work.method.put("username", username);
    }
    if matches!(place, Place::Generic) {
        match scopes.iter().any(|scope| scope == "openid") {
            true => work.method.put("mark", "claim:sub"),
            false => work.report.leave("`mark` of the way in: the claim by which the provider knows somebody for ever, such as `claim:id`; names are given to others one day"),
        }
    }
}

/// Who may come in, by what the provider says.
fn lists(work: &mut Work, said: &mut Said, place: &Place) {
    let groups = said.text("auth_state_groups_key", &mut work.report);
    let mut claim = None;
    if let Some((key, at)) = &groups {
        // A path in what is kept of a log-in begins with the provider's answer.
        let mut parts = key.split('.');
        let first = parts.next().unwrap_or_default();
        let path = match first.ends_with("_user") || first == "user" {
            true => parts.collect::<Vec<_>>().join("."),
            false => key.clone(),
        };
        at.taken("sign_in[0].groups", &mut work.report);
        claim = Some(path);
    }
    if let Some((yes, at)) = said.flag("manage_groups", &mut work.report) {
        at.not_needed(
            "groups that the provider tells are hers here",
            &mut work.report,
        );
        if yes && claim.is_none() {
            claim = Some("groups".into());
        }
    }
    let mut only = Vec::new();
    for key in ["allowed_groups", "allowed_gitlab_groups"] {
        if let Some((list, at)) = said.list(key, &mut work.report) {
            at.taken("people.allow", &mut work.report);
            claim.get_or_insert_with(|| "groups".into());
            if key == "allowed_gitlab_groups" {
                only.extend(list.iter().cloned());
            }
            work.groups.extend(list);
        }
    }
    if let Some((list, at)) = said.list("admin_groups", &mut work.report) {
        at.taken("people.admins", &mut work.report);
        claim.get_or_insert_with(|| "groups".into());
        work.admins
            .extend(list.iter().map(|group| format!("group:{group}")));
    }
    if let Some((list, at)) = said.list("allowed_organizations", &mut work.report) {
        organizations(work, &list, &at, &mut claim, &mut only);
    }
    if let Some(claim) = &claim {
        work.method.put("groups", format!("claim:{claim}"));
    }
    if !only.is_empty() {
        work.method.put("groups_only", only);
    }
    if let Some((domains, at)) = said.list("hosted_domain", &mut work.report) {
        at.taken("sign_in[0].allow.domains", &mut work.report);
        work.rule.put("domains", domains);
    }
    if let Some((domain, at)) = said.text("identity_provider", &mut work.report) {
        // There it is a domain of the names that the provider tells.
        at.taken("sign_in[0].allow.domains", &mut work.report);
        work.rule.put("domains", vec![domain]);
        work.method.put("domain_of", "claim:preferred_username");
        if work.method.get("username").is_none() {
            work.method.put("username", "{preferred_username|local}");
        }
    }
    if matches!(place, Place::Cilogon) {
        idps(work, said);
    }
}

/// `uni` or `uni:team`.
fn organizations(
    work: &mut Work,
    list: &[String],
    at: &At,
    claim: &mut Option<String>,
    only: &mut Vec<String>,
) {
    let teams = list.iter().filter(|one| one.contains(':')).count();
    if teams > 0 && teams < list.len() {
        at.problem("organisations and teams can't let people in side by side here; take teams alone, or organisations", &mut work.report);
        return;
    }
    at.taken("people.allow", &mut work.report);
    *claim = Some(if teams > 0 { "teams" } else { "organizations" }.into());
    only.extend(list.iter().cloned());
    work.groups.extend(list.iter().cloned());
}

fn idps(work: &mut Work, said: &mut Said) {
    if let Some((_, at)) = said.take("shown_idps") {
        at.changed(
            "the provider shows all; `allow` says who may come",
            &mut work.report,
        );
    }
    let Some((node, at)) = said.take("allowed_idps") else {
        return;
    };
    let entries = map(&node);
    let names: Vec<String> = match entries.is_empty() {
        true => texts(&node).unwrap_or_default(),
        false => entries.iter().map(|entry| entry.key.clone()).collect(),
    };
    if names.is_empty()
        || !names.iter().all(|name| {
            name.starts_with("https://") || name.starts_with("http://") || name.starts_with("urn:")
        })
    {
        at.problem("each place is named by its entity id, such as `https://login.example.edu/idp/shibboleth`", &mut work.report);
        return;
    }
    if names.len() > 1 && entries.iter().any(|entry| !map(&entry.node).is_empty()) {
        at.problem("several places with ways of their own to make names can't be said in one way in; make one way in for each, with an `id`", &mut work.report);
        return;
    }
    at.taken("sign_in[0].allow.claims.idp", &mut work.report);
    let claims = Out::Map(vec![("idp".into(), names.into())]);
    if let [entry] = entries {
        idp(work, &at, map(&entry.node));
    }
    work.rule.put("claims", claims);
}

fn idp(work: &mut Work, at: &At, said: &[lyceum_written::tree::Entry]) {
    use lyceum_written::tree::Value;
    for entry in said {
        let at = At {
            key: format!("{}.{}", at.key, entry.key),
            place: entry.key_place,
        };
        match (entry.key.as_str(), &entry.node.value) {
            ("username_derivation", Value::Map(parts)) => derive(work, &at, parts),
            ("allow_all", Value::Bool(yes)) => {
                at.taken("sign_in[0].allow", &mut work.report);
                work.everyone |= *yes;
            }
            ("allowed_domains", _) => match texts(&entry.node) {
                Some(domains) => {
                    at.taken("sign_in[0].allow.domains", &mut work.report);
                    work.rule.put("domains", domains);
                    work.everyone = true;
                }
                None => at.problem("a list of domains is expected here", &mut work.report),
            },
            ("allowed_domains_claim", Value::Text(claim)) => {
                at.taken("sign_in[0].domain_of", &mut work.report);
                work.method.put("domain_of", format!("claim:{claim}"));
            }
            _ => at.problem("this can't be said here", &mut work.report),
        }
    }
}

fn derive(work: &mut Work, at: &At, parts: &[lyceum_written::tree::Entry]) {
    let find = |key: &str| {
        let part = parts.iter().find(|part| part.key == key)?;
        texts(&part.node)?.pop()
    };
    let claim = find("username_claim").unwrap_or_else(|| "eppn".into());
    match (find("action").as_deref(), find("domain"), find("prefix")) {
        (None, None, None) => {
            at.taken("sign_in[0].username", &mut work.report);
            work.method.put("username", format!("claim:{claim}"));
        }
        (Some("strip_idp_domain"), Some(domain), None) => {
            at.taken("sign_in[0].username", &mut work.report);
            work.method.put("username", format!("{{{claim}|local}}"));
            work.method.put("domain_of", format!("claim:{claim}"));
            // Of another domain, the same name is another person's.
            work.rule.put("domains", vec![domain]);
        }
        (Some("prefix"), None, Some(prefix)) => {
            at.taken("sign_in[0].username", &mut work.report);
            work.method.put(
                "username",
                format!("{prefix}:{{{claim}}}").replace(':', "-"),
            );
            at.changed(
                "names here have no colon; a hyphen stands there",
                &mut work.report,
            );
        }
        _ => at.problem(
            "names can't be made so here; write `username` by hand",
            &mut work.report,
        ),
    }
}

fn more(work: &mut Work, said: &mut Said) {
    if let Some((pairs, at)) = said.pairs("extra_authorize_params", &mut work.report) {
        at.taken("sign_in[0].parameters", &mut work.report);
        let pairs = pairs.into_iter().map(|(key, text)| (key, text.into()));
        work.method.put("parameters", Out::Map(pairs.collect()));
    }
    if let Some((seconds, at)) = said.number("auth_refresh_age", &mut work.report) {
        at.taken("sign_in[0].refresh", &mut work.report);
        let every = match seconds {
            0 => "off".to_owned(),
            seconds => format!("{seconds}s"),
        };
        work.method.put("refresh", every);
    }
    for key in ["validate_server_cert", "tls_verify"] {
        if let Some((yes, at)) = said.flag(key, &mut work.report) {
            match yes {
                true => at.not_needed("it always is", &mut work.report),
                false => at.problem("a provider whose certificate nobody looks at can be anybody; give the certificate of its authority as `authority`", &mut work.report),
            }
        }
    }
    if let Some((_, at)) = said.text("logout_redirect_url", &mut work.report) {
        at.changed(
            "who logs out is offered to log out at the provider too (`log_out_there`)",
            &mut work.report,
        );
    }
    if let Some((yes, at)) = said.flag("auto_login", &mut work.report) {
        match yes {
            true => {
                at.taken("sign_in[0].automatic", &mut work.report);
                work.method.put("automatic", true);
            }
            false => at.not_needed("the log-in page is always there", &mut work.report),
        }
    }
    if let Some((yes, at)) = said.flag("enable_auth_state", &mut work.report) {
        match yes {
            true => at.changed(
                "tokens are kept sealed, for asking the provider again; no server gets them",
                &mut work.report,
            ),
            false => at.not_needed("no server gets tokens of the provider", &mut work.report),
        }
    }
    if let Some((yes, at)) = said.flag("request_otp", &mut work.report) {
        match yes {
            true => at.changed("the provider asks for a second factor", &mut work.report),
            false => at.not_needed("the provider asks for what it wants", &mut work.report),
        }
    }
}
