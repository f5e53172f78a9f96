//! What is no mistake of a configuration, but hardly what somebody meant.

use lyceum_auth::config::SignUp;
use lyceum_hub::grants::{Grants, SERVER};
use lyceum_hub::profiles::{Override, Profiles, Unlisted};
use url::Url;

use super::dummy::is_here;
use super::sign_in::SignInMethod;
use crate::exchange;

/// What people might type: numbers, sizes, words, images.
const TRIED: [&str; 16] = [
    "1",
    "2",
    "8",
    "16",
    "0.5",
    "1.0",
    "1G",
    "2G",
    "512M",
    "4096M",
    "1073741824",
    "x",
    "lab",
    "/lab",
    "latest",
    "registry.example.edu/notebook:1",
];

/// Where nobody has said that it is meant: with one host for all, whatever a notebook shows is a page of
/// the hub's own host.
pub(super) fn of_hosts(public_url: Option<&Url>, subdomains: Option<bool>) -> Option<String> {
    let url = public_url.filter(|_| subdomains.is_none())?;
    let host = url.host_str()?;
    // There each person has a host without being asked.
    if format!(".{host}").ends_with(".localhost") {
        return None;
    }
    let way = match url.domain() {
        Some(host) => format!("`true`, with a record in the DNS and a certificate for *.{host}"),
        None => {
            "a name as `public_url`, since there are none below a number, and `true`".to_owned()
        }
    };
    Some(format!(
        "is not set, so pages of people's servers share the host {host} with the hub: a script in a notebook may act as whoever opens it. Set {way}; or `false`, if that is meant"
    ))
}

/// Where strangers make accounts for themselves by an address that is not this machine's own.
pub(super) fn of_sign_up(methods: &[SignInMethod], public_url: Option<&Url>) -> Option<String> {
    let is_open = |way: &SignInMethod| matches!(way, SignInMethod::Local(local) if local.sign_up == SignUp::Open);
    let url = public_url.filter(|url| !is_here(url))?;
    let host = methods.iter().any(is_open).then(|| url.host_str())??;
    Some(format!(
        "is `open`: whoever reaches {host} makes an account and runs programs on your machines, one after another if she likes. Take `approval`, `invitation` or `domains`, unless only those reach it whom you mean"
    ))
}

/// Of roles that are in the way of the exchange, each with its key.
pub fn of_exchange(grants: &Grants) -> Vec<(String, String)> {
    let roles = exchange::kept_from_people(grants).into_iter();
    roles
        .map(|(role, scope)| {
            let whom = match role {
                SERVER => "nbgrader in a notebook server neither fetches nor hands in",
                _ => "nobody fetches or hands anything in by it, unless another role lets her",
            };
            let words = format!(
                "its `scopes` take the place of what it has otherwise, and lack `{scope}`, which the exchange of Lyceum asks for: {whom}. Add it, if courses use the exchange"
            );
            (format!("load_roles: {role}"), words)
        })
        .collect()
}

/// Of profiles: each with the key it is about.
pub(super) fn of_profiles(profiles: &Profiles) -> Vec<(String, String)> {
    let mut notes = Vec::new();
    for profile in &profiles.0 {
        for option in &profile.options {
            let Some(unlisted) = &option.unlisted else {
                continue;
            };
            let key =
                |rest: &str| format!("profiles: {:?}, {:?}{rest}", profile.title, option.name);
            if option.choices.is_empty() {
                let words = "has only values of one's own and so no default: a start that names none of them is refused";
                notes.push((key(""), words.to_owned()));
            }
            for one in &unlisted.overrides {
                if never_fits(unlisted, one) {
                    let words = format!(
                        "no value that was tried is let through by `validation_regex` and fits `{}`",
                        one.name
                    );
                    notes.push((key(""), words));
                }
            }
        }
    }
    notes
}

/// Whether nothing of what was tried passes the pattern and makes a good value. What takes any word
/// takes whatever passes.
fn never_fits(unlisted: &Unlisted, one: &Override) -> bool {
    let passes = |value: &&&str| {
        let pattern = unlisted.pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.matches(value))
    };
    one.with("x").is_err() && !(TRIED.iter().filter(passes)).any(|value| one.with(value).is_ok())
}

#[cfg(test)]
mod tests {
    use lyceum_hub::profiles::Pattern;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_and_what_is_made_of_its_values() {
        let check = |name: &str, value: serde_json::Value, pattern: Option<&str>, expect: bool| {
            let unlisted = Unlisted {
                pattern: pattern.map(|text| Pattern::parse(text).expect("good")),
                ..Unlisted::default()
            };
            let one = Override {
                name: name.into(),
                value,
                path: "x".into(),
            };
            assert_eq!(never_fits(&unlisted, &one), expect, "{name} {pattern:?}");
        };
        check("mem_limit", json!("{value}"), None, false);
        check("mem_limit", json!("{value}"), Some("^[a-z]+$"), true);
        check("mem_limit", json!("{value}G"), Some("^[0-9]+$"), false);
        check("mem_limit", json!("{value}B"), Some("^[0-9]+$"), true);
        // It must be a number, which text in quotes never is.
        check("cpu_limit", json!("{value}"), Some("^[0-9.]+$"), true);
        check("image", json!("{value}"), Some("^jupyter/.+:.+$"), false);
        check("image", json!("{value}"), Some("^[a-z]+$"), false);
    }
}
