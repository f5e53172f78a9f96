//! How many servers may run and start at a time, in all and of some kind.

use lyceum_hub::quota::Quota;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cull::RawSelector;
use super::raw::RawConfig;

/// Each is counted at every start.
const QUOTAS_MAX: usize = 50;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawQuota {
    /// Servers of these people, counted together: users' names and `group:NAME`.
    #[serde(rename = "for")]
    pub people: Option<Vec<String>>,
    /// Servers made from these profiles, by their slugs.
    pub profiles: Option<Vec<String>>,
    /// Servers of these courses, by their ids.
    pub courses: Option<Vec<String>>,
    /// How many of them may run at once.
    pub running: Option<u64>,
    /// How many of them may be starting at once.
    pub starting: Option<u64>,
}

pub(super) fn check_quotas(raw: &RawConfig, problem: &mut dyn FnMut(&str, String)) -> Vec<Quota> {
    let servers = &raw.servers;
    let mut quotas = Vec::new();
    if let Some(running) = servers.running {
        if running == 0 {
            problem(
                "servers.running",
                "with 0 nothing ever starts; to let nobody in for a time there is `maintenance`"
                    .into(),
            );
        }
        quotas.push(Quota {
            running: Some(running),
            ..Quota::default()
        });
    }
    if servers.quotas.len() > QUOTAS_MAX {
        problem(
            "servers.quotas",
            format!("more than {QUOTAS_MAX} quotas; say more with one, for instance by a group"),
        );
    }
    for (at, quota) in servers.quotas.iter().take(QUOTAS_MAX).enumerate() {
        let key = format!("servers.quotas[{at}]");
        let whom = RawSelector {
            people: quota.people.as_deref(),
            profiles: quota.profiles.as_deref(),
            courses: quota.courses.as_deref(),
        };
        if quota.people.is_none() && quota.profiles.is_none() && quota.courses.is_none() {
            problem(
                &key,
                "of which servers? Give `for`, `profiles` or `courses`; for all there are `servers.running` and `servers.concurrent_starts`".into(),
            );
        }
        if quota.running.is_none() && quota.starting.is_none() {
            problem(&key, "how many? Give `running`, `starting` or both".into());
        }
        quotas.push(Quota {
            whom: whom.check(&key, problem),
            running: quota.running,
            starting: quota.starting,
        });
    }
    quotas
}
