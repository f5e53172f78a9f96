//! What of the configuration concerns the hub, already checked.

use lyceum_model::saying::Saying;
use std::collections::BTreeSet;
use std::time::Duration;

use lyceum_model::clock::Millis;
use lyceum_model::name::UserName;
use lyceum_model::who::Listed;

use crate::cull::Culling;
use crate::grants::Grants;
use crate::notices::Notices;
use crate::origins::Origins;
use crate::profiles::Profiles;
use crate::quota::Quota;

/// Settings that can change while the hub runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where browsers meet the hub and servers. Stays as it is while the hub runs: servers and
    /// routes were made for it.
    pub origins: Origins,
    /// Where servers reach the API: `http://127.0.0.1:8081/hub/api`.
    pub api_url: String,
    /// How long a server may take until it answers.
    pub start_timeout: Duration,
    pub starts: StartLimits,
    /// How many may run and start, in all and of some kind.
    pub quotas: Vec<Quota>,
    /// When servers have to end.
    pub culling: Culling,
    /// Servers one person may have besides the default one.
    pub named_servers: usize,
    /// Whether browsers open servers that were shared with a person even where all have one origin, and
    /// a page there can act as her.
    pub shared_in_browsers: bool,
    /// Who may come in. What others hold (sessions, tokens) counts for nothing.
    pub admission: Admission,
    /// How long it is kept who did what ([`crate::audit`]).
    pub log_kept: Duration,
    /// Whose password is not enough.
    pub second_factor: crate::second_factor::Required,
    /// Which numbers for files people have.
    pub posix: crate::posix::Rules,
    /// Where mail to people goes out, if it does.
    pub mail: Option<std::sync::Arc<crate::mail::MailConfig>>,
    /// Who has which role, and what that grants.
    pub grants: Grants,
    /// What people choose from when they start a server.
    pub profiles: Profiles,
    /// What the site is called, on every page.
    pub site_name: String,
    pub theme: lyceum_web::page::Theme,
    /// What the operator tells people, and when only some may come in.
    pub notices: Notices,
    /// Shown on the log-in page, for instance where the first password stands.
    pub sign_in_hint: Option<Saying>,
    /// State of the configuration file, for the admin page.
    pub config_state: ConfigState,
}

/// How starts share the machine. Everything else waits in line ([`crate::queue`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartLimits {
    /// Starts under way at once on this replica.
    pub at_once: usize,
    /// How many of these may be one person's.
    pub per_person: usize,
    /// A server that does not answer for so long after its launch goes on waiting without a place.
    pub slow_after: Duration,
}

impl StartLimits {
    /// As they are kept to: a limit of nothing would hold everything up.
    pub fn in_force(&self) -> Self {
        Self {
            at_once: self.at_once.max(1),
            per_person: self.per_person.clamp(1, self.at_once.max(1)),
            slow_after: self.slow_after,
        }
    }
}

/// The lists of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// Let in whatever the allow list says.
    pub admins: BTreeSet<UserName>,
    /// Groups whose members are let in likewise; that they administer stands in the grants.
    pub admin_groups: BTreeSet<String>,
    /// `None`: whoever has an account.
    pub allow: Option<Listed>,
    /// Whoever has an account is let in whatever the allow list says.
    pub existing: bool,
    /// Kept out whatever the others say.
    pub block: Listed,
}

impl Admission {
    /// Whether they let somebody in who has an account and is in these groups.
    pub fn lets_in(&self, name: &UserName, groups: &[String]) -> bool {
        let administers = || {
            self.admins.contains(name) || groups.iter().any(|one| self.admin_groups.contains(one))
        };
        let allows = |allow: &Listed| allow.has(name, groups);
        let allowed = self.existing || self.allow.as_ref().is_none_or(allows);
        !self.block.has(name, groups) && (allowed || administers())
    }

    /// Whether it matters who is in which group.
    pub fn names_groups(&self) -> bool {
        let mut lists = self.allow.iter().chain([&self.block]);
        !self.admin_groups.is_empty() || lists.any(|list| !list.groups.is_empty())
    }
}

impl Settings {
    /// What is wrong with the last edit of the configuration, and since when; or else with templates
    /// while pages are shown.
    pub fn config_problem(&self, now: Millis) -> Option<(i64, String)> {
        if let Some(told) = self.config_state.problem.clone() {
            return Some(told);
        }
        let troubles = self.theme.site()?.troubles();
        let lines: Vec<String> = troubles.iter().map(ToString::to_string).collect();
        (!lines.is_empty()).then(|| (now.0, lines.join("\n")))
    }
}

/// What the admin page says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    pub generation: u64,
    pub loaded_at: i64,
    /// Path of the file; none when everything is default.
    pub source: Option<String>,
    /// Set when the last edit was bad and the one before is in force: when, and what is wrong.
    pub problem: Option<(i64, String)>,
}

/// How patient the background work is. Operators have no reason to change these.
#[derive(Debug, Clone)]
pub struct Timings {
    /// How long a lease lasts without renewal; a dead replica's work is taken up after this, by the
    /// database's clock ([`lyceum_store::time`]).
    pub lease: Duration,
    pub renew_every: Duration,
    /// Without news the keeper looks this often; news only makes it quicker.
    pub sweep_every: Duration,
    /// How often ready servers are asked whether they still run.
    pub watch_every: Duration,
    /// How often the spawner is asked for servers that nobody knows.
    pub orphans_every: Duration,
    /// A process that is asked for must exist after this time.
    pub launch_limit: Duration,
    /// A stop that takes longer has gone wrong; it is tried again.
    pub stop_limit: Duration,
    /// The spawner answers a question within this time.
    pub answer_limit: Duration,
    /// The pause after work that failed; it doubles with each failure up to the longest.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// At shutdown, work under way may go on for so long; then it is handed over as it is.
    pub grace: Duration,
    /// How often the proxy's news of activity is written down.
    pub activity_every: Duration,
    /// A stream of progress that says nothing for so long sends a blank line, so that no proxy takes
    /// it for dead.
    pub keepalive: Duration,
    /// How often people are counted for the metrics.
    pub census_every: Duration,
    /// How often it is looked which servers have to end, and for how long none of them has to when
    /// this process is new: what they did meanwhile is told by and by.
    pub cull_every: Duration,
    pub cull_after: Duration,
    /// How often it is looked for meetings that need room.
    pub rooms_every: Duration,
    /// How often it is looked which learning platforms are to be asked who is in their courses.
    pub rosters_every: Duration,
    /// How often it is looked, also without news, which courses have servers; and for how long a course
    /// has to have none before its server is stopped.
    pub courses_every: Duration,
    /// How often it is looked who is to be asked about at the provider by which she came.
    pub refresh_every: Duration,
    /// A request of somebody who has to be asked about first waits so long at most.
    pub refresh_patience: Duration,
    /// How long a form that stops a server waits to show it done.
    pub stop_patience: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_every: Duration::from_secs(4),
            sweep_every: Duration::from_secs(1),
            watch_every: Duration::from_secs(10),
            orphans_every: Duration::from_secs(60),
            launch_limit: Duration::from_secs(60),
            stop_limit: Duration::from_secs(60),
            answer_limit: Duration::from_secs(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            grace: Duration::from_secs(5),
            activity_every: Duration::from_secs(15),
            keepalive: Duration::from_secs(8),
            census_every: Duration::from_secs(60),
            cull_every: Duration::from_secs(60),
            cull_after: Duration::from_secs(360),
            rooms_every: Duration::from_secs(10),
            rosters_every: Duration::from_secs(20),
            courses_every: Duration::from_secs(10),
            refresh_every: Duration::from_secs(5),
            refresh_patience: Duration::from_secs(3),
            stop_patience: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::{Forms, Who};

    use super::*;

    #[test]
    fn the_lists_let_in() {
        let listed = |text: &str| -> Listed {
            let entries = text.split_whitespace();
            let entries = entries.map(|who| Who::parse(who, Forms::People).expect("a good entry"));
            entries.collect()
        };
        let check = |admission: &Admission, name: &str, groups: &[&str], expect: bool| {
            let name = UserName::parse(name).expect("a good name");
            let groups: Vec<String> = groups.iter().map(|one| (*one).to_owned()).collect();
            assert_eq!(admission.lets_in(&name, &groups), expect, "{name}");
        };
        let open = Admission {
            block: listed("eve group:gone"),
            ..Admission::default()
        };
        check(&open, "ada", &[], true);
        check(&open, "eve", &[], false);
        check(&open, "ada", &["gone"], false);
        assert!(open.names_groups() && !Admission::default().names_groups());
        let mut closed = Admission {
            allow: Some(listed("ada eve group:staff")),
            admins: listed("root").people,
            admin_groups: listed("group:it").groups,
            existing: false,
            block: listed("eve"),
        };
        check(&closed, "ada", &[], true);
        check(&closed, "ben", &[], false);
        check(&closed, "ben", &["staff"], true);
        check(&closed, "ben", &["it"], true);
        check(&closed, "root", &[], true);
        check(&closed, "eve", &["staff", "it"], false);
        closed.existing = true;
        check(&closed, "ben", &[], true);
        check(&closed, "eve", &[], false);
    }
}
