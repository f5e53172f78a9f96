//! Accounts of the machine as a way in: `kind: pam` of `sign_in`.

use std::collections::BTreeSet;
use std::time::Duration;

use lyceum_auth::pam::{Allow, PamConfig};
use lyceum_model::identity::Adopts;
use lyceum_written::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sign_in::Say;

/// Whether this program can ask.
const IS_BUILT_IN: bool = cfg!(feature = "pam");
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(60);
const AT_ONCE_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPam {
    /// What the log-in page calls it.
    pub title: String,
    /// The rules of the machine that hold: a file in `/etc/pam.d`.
    pub service: String,
    /// Who may come in this way. Left out: those alone whom `people.allow` names.
    pub allow: Option<RawPamRule>,
    /// `true`: an account that was made here beforehand and that nobody has come to yet goes to whoever
    /// brings its name.
    pub adopt: bool,
    /// The same for accounts of administrators and of those whose roles reach beyond what is theirs.
    pub adopt_administrators: bool,
    /// How long the machine may take for one log-in.
    pub timeout: Span,
    /// How many log-ins are asked for at once; more wait their turn.
    pub at_once: usize,
}

impl Default for RawPam {
    fn default() -> Self {
        Self {
            title: String::new(),
            service: "login".into(),
            allow: None,
            adopt: false,
            adopt_administrators: false,
            timeout: Span(Duration::from_secs(20)),
            at_once: 16,
        }
    }
}

/// Who is meant: one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawPamRule {
    /// `true`: whoever has an account of the machine.
    pub everyone: bool,
    /// Groups of the machine, of which one is enough.
    pub groups: Option<Vec<String>>,
}

pub(super) fn check_pam(raw: &RawPam, say: Say<'_>) -> PamConfig {
    if !IS_BUILT_IN {
        say("kind", "this program was built without PAM. Build one with it, on a machine with the package libpam0g-dev (pam-devel): `cargo build --release -p lyceum --features pam`".into());
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if raw.service.is_empty() || raw.service.len() > 60 || !raw.service.bytes().all(fits) {
        let message = "it is the name of a file in /etc/pam.d, such as `login`";
        say("service", message.into());
    }
    if !TIMEOUTS.contains(&raw.timeout.0) {
        say("timeout", "it is between 500ms and 1m".into());
    }
    if !(1..=AT_ONCE_MAX).contains(&raw.at_once) {
        say("at_once", format!("it is between 1 and {AT_ONCE_MAX}"));
    }
    PamConfig {
        title: raw.title.trim().into(),
        service: raw.service.clone(),
        allow: raw.allow.as_ref().map(|rule| check_rule(rule, say)),
        adopts: Adopts {
            people: raw.adopt,
            administrators: raw.adopt_administrators,
        },
        timeout: raw.timeout.0,
        at_once: raw.at_once,
    }
}

fn check_rule(rule: &RawPamRule, say: Say<'_>) -> Allow {
    match (&rule.groups, rule.everyone) {
        (None, true) => Allow::Everyone,
        (Some(groups), false)
            if !groups.is_empty() && groups.iter().all(|group| !group.trim().is_empty()) =>
        {
            Allow::Groups(groups.iter().cloned().collect())
        }
        (Some(_), false) => {
            say(
                "allow",
                "a list is empty, or a text in it, so that nobody is meant".into(),
            );
            Allow::Groups(BTreeSet::new())
        }
        _ => {
            say(
                "allow",
                "write either `everyone: true` or `groups: [NAME, …]`".into(),
            );
            Allow::Groups(BTreeSet::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    fn said(keys: &str) -> String {
        let text = format!("sign_in:\n  - {{kind: pam, title: T, {keys}}}\n");
        match parse("lyceum.yaml", &text, Path::new(".")) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn whoever_has_a_program_without_it_is_told_how_to_get_one() {
        let said = said("allow: {everyone: true}");
        assert_eq!(said.is_empty(), IS_BUILT_IN, "{said}");
        assert!(IS_BUILT_IN || said.contains("--features pam"), "{said}");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        let check = |keys: &str, expect: &str| {
            let said = said(keys);
            assert!(said.contains(expect), "{keys}: {said}");
        };
        let all = "allow: {everyone: true}";
        check("service: login", "nobody could come in");
        check("allow: {}", "write either");
        check("allow: {groups: []}", "nobody is meant");
        check("allow: {everyone: true, groups: [a]}", "write either");
        check(&format!("service: ../login, {all}"), "a file in /etc/pam.d");
        check(&format!("service: '', {all}"), "a file in /etc/pam.d");
        check(&format!("timeout: 2m, {all}"), "between 500ms");
        check(&format!("at_once: 0, {all}"), "between 1 and 64");
        check(&format!("srevice: login, {all}"), "srevice");
    }
}
