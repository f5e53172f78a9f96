//! Learning platforms, by LTI 1.3 and 1.1.

use super::super::write::Keys;
use super::Work;
use super::said::Said;

const NEEDLESS: [(&str, &str); 12] = [
    ("any_allow_config", "nobody comes in unless she is named"),
    ("auto_login", "people come by links at the platform"),
    (
        "delete_invalid_users",
        "who was renamed at the platform is the same person here",
    ),
    ("otp_prompt", "the platform asks for what it wants"),
    ("request_otp", "the platform asks for what it wants"),
    ("enable_auth_state", "servers get nothing of a launch"),
    (
        "auth_refresh_age",
        "a platform can't be asked about people who are here",
    ),
    (
        "auth_refresh_strict",
        "a platform can't be asked about people who are here",
    ),
    (
        "jwks_algorithms",
        "signatures count by the kinds that the standard has",
    ),
    ("tool_description", "the platform is told at its own page"),
    ("uri_scheme", "`public_url` says it"),
    (
        "manage_groups",
        "what people are in courses there they are here",
    ),
];

/// Of these, what only the newer platforms have, or is said of older ones otherwise.
const NEWER: [&str; 3] = ["jwks_algorithms", "tool_description", "uri_scheme"];

const PYTHON: &str =
    "Python can't run here; what it decides has to be said by keys of `lyceum.yaml`";

const REFUSED: [(&str, &str); 5] = [
    ("post_auth_hook", PYTHON),
    ("reconcile_auth_state_hook", PYTHON),
    ("username_map", "names can't be replaced by others here"),
    (
        "username_pattern",
        "it keeps people out by their names, which can't be said here; say with `allow` who may come",
    ),
    (
        "manage_roles",
        "roles are given by groups here (`load_roles`)",
    ),
];

pub(super) fn translate(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "lti");
    let name = said.text("tool_name", &mut work.report);
    if let Some((_, at)) = &name {
        at.taken("sign_in[0].title", &mut work.report);
    }
    let title = name.map_or("Learning platform".to_owned(), |(name, _)| name);
    work.method.put("title", title);
    for (from, to) in [
        ("issuer", "issuer"),
        ("authorize_url", "authorize_url"),
        ("jwks_endpoint", "keys_url"),
    ] {
        if let Some((text, at)) = said.text(from, &mut work.report) {
            at.taken(&format!("sign_in[0].{to}"), &mut work.report);
            work.method.put(to, text);
        }
    }
    if let Some((ids, at)) = said.list("client_id", &mut work.report) {
        at.taken("sign_in[0].client_ids", &mut work.report);
        work.method.put("client_ids", ids);
    }
    let claim = said.text("username_key", &mut work.report);
    if let Some((_, at)) = &claim {
        at.taken("sign_in[0].username", &mut work.report);
    }
    let claim = claim.map_or("email".to_owned(), |(claim, _)| claim);
    // There, parameters of a link are said so.
    let claim = match claim.strip_prefix("custom_") {
        Some(name) => format!("custom.{name}"),
        None => claim,
    };
    if claim == "email" {
        work.report.leave("`mail_is_verified` of the way in: names are made of addresses of mail, which count where the platform makes sure of them");
    }
    work.method.put("username", format!("claim:{claim}"));
    work.report.leave("`deployments` of the way in: the ids of the deployments at the platform from which people come");
    said.drop_needless(&NEEDLESS, &mut work.report);
    said.refuse(&REFUSED, &mut work.report);
}

const OLD_NEEDLESS: [(&str, &str); 3] = [
    (
        "config_description",
        "an address that tells old platforms how to register this site is not there; enter address, key and secret by hand",
    ),
    (
        "config_icon",
        "an address that tells old platforms how to register this site is not there; enter address, key and secret by hand",
    ),
    ("uri_scheme", "`public_url` says it"),
];

/// What an old platform calls addresses of mail.
const OLD_MAIL: &str = "lis_person_contact_email_primary";

/// What is left to do where there are several keys.
const SEVERAL: &str = "several keys in `consumers`: each has become a platform of its own, since all keys of one entry are one platform, whose numbers for people and courses mean the same. At the platforms of all but the first the launch URL becomes `/hub/lti/launch/platform-2` and so on. Where keys do belong to one platform, write them into one entry; give each other one an `id` and a title that people know";

pub(super) fn translate_old(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "lti11");
    let name = said.text("config_title", &mut work.report);
    if let Some((_, at)) = &name {
        at.taken("sign_in[0].title", &mut work.report);
    }
    let title = name.map_or("Learning platform".to_owned(), |(name, _)| name);
    work.method.put("title", title.as_str());
    let mut consumers = Keys::default();
    if let Some((pairs, at)) = said.pairs("consumers", &mut work.report) {
        for (index, (key, secret)) in pairs.iter().enumerate() {
            let number = index + 1;
            let file = work.secret(&format!("lti-consumer-{number}"), secret);
            if index == 0 {
                consumers.put(key, file);
            } else {
                work.beside.push(another(&title, number, key, file));
            }
        }
        if pairs.len() > 1 {
            work.report.leave(SEVERAL);
        }
        at.taken("sign_in[0].consumers", &mut work.report);
    }
    if consumers.is_empty() {
        work.report
            .leave("`consumers` of the way in: the keys of the platform with their secrets");
    }
    work.method.put("consumers", consumers);
    let field = said.text("username_key", &mut work.report);
    if let Some((_, at)) = &field {
        at.taken("sign_in[0].username", &mut work.report);
    }
    let field = field.map_or("custom_canvas_user_id".to_owned(), |(field, _)| field);
    let field = match field.as_str() {
        OLD_MAIL => "email".to_owned(),
        _ => field,
    };
    if field == "email" {
        work.report.leave("`mail_is_verified` of the way in: names are made of addresses of mail, which count where the platform makes sure of them");
    }
    work.method.put("username", format!("claim:{field}"));
    let needless = NEEDLESS.iter().filter(|(name, _)| !NEWER.contains(name));
    let needless: Vec<(&str, &str)> = needless.chain(&OLD_NEEDLESS).copied().collect();
    said.drop_needless(&needless, &mut work.report);
    said.refuse(&REFUSED, &mut work.report);
}

/// A platform of its own for one more key: keys of one entry share its numbers for people and courses, so people of
/// one platform would come into accounts of another's.
fn another(title: &str, number: usize, key: &str, file: String) -> Keys {
    let mut consumers = Keys::default();
    consumers.put(key, file);
    let mut own = Keys::default();
    own.put("title", format!("{title} ({number})"));
    own.put("id", format!("platform-{number}"));
    own.put("consumers", consumers);
    own
}
