//! What is no mistake of a configuration, but hardly what somebody meant.

use std::net::{IpAddr, SocketAddr};

use lyceum_auth::claims::Mapping;
use lyceum_auth::config::SignUp;
use lyceum_hub::grants::{Grants, SERVER};
use lyceum_hub::profiles::{Override, Profiles, Unlisted};
use lyceum_model::identity::Adopts;
use url::Url;

use super::Config;
use super::dummy::is_here;
use super::people::People;
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

/// Of who comes in, each with its key.
pub(super) fn of_sign_in(config: &Config, listen: SocketAddr) -> Vec<(String, String)> {
    let (methods, public_url) = (&config.sign_in[..], config.public_url.as_ref());
    let mut notes = of_lists(&config.people);
    let mut add = |key: String, words: Option<String>| {
        notes.extend(words.map(|words| (key, words)));
    };
    add("sign_up".into(), of_sign_up(methods, public_url));
    for (index, method) in methods.iter().enumerate() {
        match method {
            SignInMethod::Dummy(dummy) => {
                let words = of_dummy(dummy.anywhere, public_url, listen);
                add(format!("sign_in[{index}]"), words);
            }
            SignInMethod::Ldap(ldap) => {
                let key = format!("sign_in[{index}].insecure");
                add(key, of_insecure(&ldap.servers, ldap.start_tls));
            }
            _ => {}
        }
    }
    notes
}

/// Lists that shut out more than somebody may have meant.
fn of_lists(people: &People) -> Vec<(String, String)> {
    let Some(allow) = people.allow.as_ref().filter(|_| !people.existing) else {
        return Vec::new();
    };
    if allow.people.is_empty() && allow.groups.is_empty() {
        let words = "names nobody, so that only administrators come in: everybody else is refused, and what they hold counts for nothing. Name people or groups, or remove the key";
        return vec![("people.allow".into(), words.into())];
    }
    let empty = people.nobody.iter();
    empty
        .map(|(key, file)| (key.clone(), format!("{file} names nobody")))
        .collect()
}

/// Where anybody else might come as whoever she says.
fn of_dummy(anywhere: bool, public_url: Option<&Url>, listen: SocketAddr) -> Option<String> {
    let host = public_url
        .filter(|url| !is_here(url))
        .and_then(Url::host_str);
    let is_open = !listen.ip().is_loopback();
    match (anywhere, host) {
        (true, Some(host)) => Some(format!(
            "is `dummy` with `anywhere: true`: whoever reaches {host} is whoever she says, administrators among them. Take another way in, unless only those reach it whom you mean"
        )),
        (true, None) if is_open => Some(format!(
            "is `dummy` with `anywhere: true`: whoever reaches {listen} is whoever she says, administrators among them. Listen on 127.0.0.1 or take another way in, unless only those reach it whom you mean"
        )),
        (false, _) if is_open => Some(format!(
            "is `dummy`, and {listen} is open to other machines: they are refused, but whatever passes them on from this machine, such as a web server in front, makes everybody whoever she says. Listen on 127.0.0.1, or take another way in"
        )),
        _ => None,
    }
}

/// Passwords that others can read on their way.
fn of_insecure(servers: &[String], start_tls: bool) -> Option<String> {
    let is_elsewhere = |text: &&String| {
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "ldap");
        let host = url.as_ref().and_then(Url::host_str).unwrap_or("localhost");
        let number: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        number.map_or(host != "localhost", |number| !number.is_loopback())
    };
    let server = servers.iter().find(is_elsewhere).filter(|_| !start_tls)?;
    Some(format!(
        "is `true`: passwords go to {server} in the clear, for whoever listens on the way. Remove it, so that the connection goes over to TLS, or write `ldaps://`"
    ))
}

/// Where neither the configuration nor a way in makes an administrator, and none has a password here.
pub(super) fn of_administrators(config: &Config) -> Option<(String, String)> {
    let says = |method: &SignInMethod| match method {
        // The first start makes `admin` for the one; by the other everybody is whoever she says.
        SignInMethod::Local(_) | SignInMethod::Dummy(_) => true,
        SignInMethod::Oidc(oidc) => brings(&oidc.mapping, config),
        SignInMethod::OAuth2(oauth) => brings(&oauth.mapping, config),
        SignInMethod::Header(header) => brings(&header.mapping, config),
        SignInMethod::Lti(lti) => brings(&lti.mapping, config),
        SignInMethod::OldLti(old) => brings(&old.mapping, config),
        SignInMethod::Ldap(ldap) => ldap.admins.is_some() || goes(&ldap.adopts, config),
        SignInMethod::Pam(pam) => goes(&pam.adopts, config),
    };
    if config.sign_in.iter().any(says) || !config.people.admin_groups.is_empty() {
        return None;
    }
    let words = match config.people.admins.is_empty() {
        true => {
            "unless somebody is an administrator already (`lyceum admin list`), nobody is: no way in makes one, and none takes the password of an account here. Say with `admins` of a way in who is one, or make one of somebody who has come: `lyceum admin grant NAME`"
        }
        false => {
            "whoever has not come yet does not come in by these names: an administrator's goes to nobody for bringing it. Write `adopt_administrators: true` at the way in, where names are given by the organisation and to nobody twice, until they have come; or say with `admins` there who is one"
        }
    };
    Some(("people.admins".into(), words.into()))
}

fn brings(mapping: &Mapping, config: &Config) -> bool {
    mapping.admins.is_some() || goes(&mapping.adopts, config)
}

/// Whether the account of an administrator goes to whoever brings the name.
fn goes(adopts: &Adopts, config: &Config) -> bool {
    adopts.administrators && !config.people.admins.is_empty()
}

/// Where strangers make accounts for themselves by an address that is not this machine's own.
fn of_sign_up(methods: &[SignInMethod], public_url: Option<&Url>) -> Option<String> {
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

    fn notes(text: &str) -> String {
        let loaded = crate::config::parse("lyceum.yaml", text, std::path::Path::new("/"));
        let notes = loaded.expect("good").config.notes();
        notes.iter().map(|note| format!("{note}\n")).collect()
    }

    #[test]
    fn who_can_be_anybody_and_what_others_can_read() {
        let check = |text: &str, expect: &str| {
            let said = notes(text);
            match expect {
                "" => assert_eq!(said, "", "{text}"),
                words => assert!(said.contains(words), "{text}{said}"),
            }
        };
        let dummy = |more: &str| format!("sign_in: [{{kind: dummy, title: T{more}}}]\n");
        check(&dummy(""), "");
        check(&dummy(", anywhere: true"), "");
        let open = "listen: 0.0.0.0:8000\nsubdomains: false\n";
        check(
            &format!("{open}{}", dummy("")),
            "sign_in[0]: is `dummy`, and 0.0.0.0:8000 is open",
        );
        let public = "public_url: https://hub.example.edu\nsubdomains: false\n";
        let anywhere = dummy(", anywhere: true");
        check(
            &format!("{public}{anywhere}"),
            "whoever reaches hub.example.edu",
        );
        check(&format!("{open}{anywhere}"), "whoever reaches 0.0.0.0:8000");
        let ldap = |server: &str| {
            format!(
                "sign_in:\n  - {{kind: ldap, title: T, servers: ['{server}'], insecure: true, base: 'o=x', allow: {{everyone: true}}, admins: {{attributes: {{a: [b]}}}}}}\n"
            )
        };
        check(
            &ldap("ldap://ldap.example.edu"),
            "sign_in[0].insecure: is `true`: passwords go to",
        );
        for here in [
            "ldap://localhost:389",
            "ldap://127.0.0.1:3890",
            "ldap://[::1]",
        ] {
            check(&ldap(here), "");
        }
    }

    #[test]
    fn somebody_can_become_an_administrator() {
        let check = |more: &str, people: &str, expect: &str| {
            let text = format!(
                "{people}sign_in:\n  - {{kind: ldap, title: T, servers: ['ldaps://x.org'], base: 'o=x', allow: {{everyone: true}}{more}}}\n"
            );
            let said = notes(&text);
            assert_eq!(said.is_empty(), expect.is_empty(), "{text}{said}");
            assert!(said.contains(expect), "{text}{said}");
        };
        let admins = "people: {admins: [grace]}\n";
        check("", "", "`lyceum admin grant NAME`");
        check("", admins, "`adopt_administrators: true`");
        check(", adopt_administrators: true", admins, "");
        check(
            ", adopt_administrators: true",
            "",
            "`lyceum admin grant NAME`",
        );
        check(", admins: {attributes: {a: [b]}}", "", "");
        check("}\n  - {kind: local, title: G", "", "");
    }

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
