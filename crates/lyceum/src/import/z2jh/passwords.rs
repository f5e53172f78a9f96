//! Accounts that are kept here, and ways in for trying out.

use super::Work;
use super::classes::Class;
use super::said::{At, Said};

const SHORTEST: i64 = 8;
const LONGEST: i64 = 64;

const PYTHON: &str =
    "Python can't run here; what it decides has to be said by keys of `lyceum.yaml`";

const NEEDLESS: [(&str, &str); 24] = [
    ("any_allow_config", "nobody comes in unless she is named"),
    ("auto_login", "passwords are asked for on the log-in page"),
    ("delete_invalid_users", "names follow one rule everywhere"),
    ("otp_prompt", "the log-in page asks for what it wants"),
    ("request_otp", "the log-in page asks for what it wants"),
    (
        "enable_auth_state",
        "a password leaves nothing that servers could use",
    ),
    (
        "auth_refresh_age",
        "accounts are looked at with each request",
    ),
    (
        "auth_refresh_strict",
        "accounts are looked at with each request",
    ),
    (
        "refresh_pre_spawn",
        "accounts are looked at with each request",
    ),
    (
        "refresh_pre_stop",
        "accounts are looked at with each request",
    ),
    ("manage_groups", "groups are kept here"),
    (
        "check_common_password",
        "passwords that are guessed first are always refused",
    ),
    (
        "allowed_failed_logins",
        "guessing is slowed down without locking anybody out",
    ),
    (
        "seconds_before_next_try",
        "guessing is slowed down without locking anybody out",
    ),
    ("secret_key", "links are kept as hashes"),
    (
        "firstuse_db_path",
        "passwords of the old hub are not taken over",
    ),
    ("dbm_path", "passwords of the old hub are not taken over"),
    (
        "check_passwords_on_startup",
        "passwords of the old hub are not taken over",
    ),
    (
        "import_from_firstuse",
        "passwords of the old hub are not taken over",
    ),
    (
        "delete_firstuse_db_after_import",
        "passwords of the old hub are not taken over",
    ),
    ("config_description", "the platform is told at its own page"),
    ("config_icon", "the platform is told at its own page"),
    ("config_title", "the platform is told at its own page"),
    ("uids", "system accounts have their own numbers"),
];

/// What its sign-up can besides, and what there is here.
const SIGN_UP_CHANGED: [(&str, &str); 7] = [
    (
        "ask_email_on_signup",
        "people give their address of mail on the page of their password, where there is `mail`",
    ),
    ("tos", "a link to terms is one of `theme.links`"),
    (
        "recaptcha_key",
        "no other site is asked; sign-ups are slowed down by address",
    ),
    (
        "recaptcha_secret",
        "no other site is asked; sign-ups are slowed down by address",
    ),
    (
        "allow_self_approval_for",
        "name the domains instead: `sign_up: {domains: [example.edu]}`, with `mail`",
    ),
    (
        "self_approval_email",
        "letters are written here; `mail` says by which server they go out",
    ),
    (
        "self_approval_server",
        "`mail` says by which server letters go out",
    ),
];

const REFUSED: [(&str, &str); 7] = [
    ("post_auth_hook", PYTHON),
    ("reconcile_auth_state_hook", PYTHON),
    ("username_map", "names can't be replaced by others here"),
    (
        "username_pattern",
        "it keeps people out by their names, which can't be said here; say with `people.allow` who may come",
    ),
    (
        "manage_roles",
        "roles are given by groups here (`load_roles`)",
    ),
    ("process_user", PYTHON),
    (
        "password_groups",
        "whoever knows a password is no group here",
    ),
];

const OLD: [(&str, &str); 4] = [
    ("whitelist", "allowed_users"),
    ("admin_whitelist", "admin_users"),
    ("blacklist", "blocked_users"),
    ("group_whitelist", "allowed_groups"),
];

pub(super) fn old(said: &mut Said, work: &mut Work) {
    said.rename(&OLD, &mut work.report);
}

pub(super) fn translate(work: &mut Work, said: &mut Said, class: &'static Class) {
    match class.name {
        "DummyAuthenticator" => dummy(work, said),
        "NativeAuthenticator" => native(work, said),
        "FirstUseAuthenticator" => first_use(work, said),
        other => {
            let why = match other {
                "NullAuthenticator" => {
                    "nobody signs in by it; leave it away, and there are local accounts"
                }
                "SharedPasswordAuthenticator" => {
                    "one password for all tells nobody apart; make accounts (`kind: local`), or take `kind: dummy` for trying out"
                }
                "TmpAuthenticator" => {
                    "whoever comes gets an account of no name; make accounts, or take `kind: dummy` for trying out"
                }
                _ => {
                    "this way in can't be translated; docs/admin/sign-in.md says how it is written here"
                }
            };
            said.refuse_choice(why, &mut work.report);
        }
    }
    said.drop_needless(&NEEDLESS, &mut work.report);
    said.refuse(&REFUSED, &mut work.report);
}

fn dummy(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "dummy");
    work.method.put("title", "For trying out");
    if let Some((password, at)) = said.text("password", &mut work.report) {
        at.taken("sign_in[0].password", &mut work.report);
        let kept = work.secret("password", &password);
        work.method.put("password", kept);
    }
    work.report.leave("`kind: dummy` lets in whoever comes from this machine as whoever she says; on another machine it wants `anywhere: true`, and is for nothing but trying out");
}

fn native(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "local");
    work.method.put("title", "Local account");
    length(work, said, "minimum_password_length");
    if let Some((_, at)) = said.flag("allow_2fa", &mut work.report) {
        at.not_needed(
            "everybody may have a second step behind the password",
            &mut work.report,
        );
    }
    sign_up(work, said);
    for (key, what) in SIGN_UP_CHANGED {
        if let Some((_, at)) = said.take(key) {
            at.changed(what, &mut work.report);
        }
    }
    work.report.leave("passwords of the old hub are not taken over: make links for new ones, on each person's page in the area of administrators");
}

/// There whoever signs up waits for an administrator, unless it is said otherwise.
fn sign_up(work: &mut Work, said: &mut Said) {
    let open = said.flag("open_signup", &mut work.report);
    let enabled = said.flag("enable_signup", &mut work.report);
    let is = |flag: &Option<(bool, At)>| flag.as_ref().map(|(yes, _)| *yes);
    let how = match (is(&enabled), is(&open)) {
        (Some(false), _) => None,
        (_, Some(true)) => Some("open"),
        _ => Some("approval"),
    };
    for (_, at) in [open, enabled].into_iter().flatten() {
        match how {
            Some(_) => at.taken("sign_in[0].sign_up", &mut work.report),
            None => at.not_needed("accounts are made by administrators", &mut work.report),
        }
    }
    if let Some(how) = how {
        work.method.put("sign_up", how);
    }
}

fn first_use(work: &mut Work, said: &mut Said) {
    work.method.put("kind", "local");
    work.method.put("title", "Local account");
    length(work, said, "min_password_length");
    if let Some((_, at)) = said.flag("create_users", &mut work.report) {
        at.changed(
            "the first who comes by a name does not get it: accounts are made by administrators",
            &mut work.report,
        );
    }
    work.report.leave("accounts: whoever came first by a name had it there. Here they are made, by `lyceum user add` or in the area of administrators");
}

fn length(work: &mut Work, said: &mut Said, key: &str) {
    let Some((length, at)) = said.number(key, &mut work.report) else {
        return;
    };
    let here = length.clamp(SHORTEST, LONGEST);
    match here == length {
        true => at.taken("sign_in[0].password_length", &mut work.report),
        false => at.changed(
            &format!("{SHORTEST} to {LONGEST} characters are asked for"),
            &mut work.report,
        ),
    }
    work.method
        .put("password_length", crate::import::Out::Int(here));
}
