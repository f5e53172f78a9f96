//! The courses of learning platforms whose people are a course's people.

use lyceum_model::lti::{By, Place};
use lyceum_model::who::{CourseRole, Who};
use lyceum_written::Tell;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::people::People;

const KEY: &str = "lti";
const LINKS_MAX: usize = 50;
const VALUE_MAX: usize = 255;

/// A learning platform, and what of its courses may be believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    pub id: String,
    /// Their short names, too.
    pub trusts_labels: bool,
    /// What links say, too.
    pub trusts_links: bool,
}

/// A course at a learning platform: one of `context`, `label` and `link`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLink {
    /// The platform, by its `id` in `sign_in`. Left out: the one without.
    pub platform: String,
    /// The platform's own mark for the course there (`context.id`).
    pub context: Option<String>,
    /// Its short name there (`context.label`), if the platform's `trust_labels` is on.
    pub label: Option<String>,
    /// What links to it have as their parameter `course`, if the platform's `trust_links` is on.
    pub link: Option<String>,
}

impl RawLink {
    fn place(&self) -> Option<Place> {
        let given = [
            (By::Context, &self.context),
            (By::Label, &self.label),
            (By::Link, &self.link),
        ];
        let mut given = given
            .into_iter()
            .filter_map(|(by, value)| Some((by, value.as_ref()?)));
        let (by, value) = given.next()?;
        let fits = (1..=VALUE_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
        (fits && given.next().is_none()).then(|| Place {
            platform: self.platform.clone(),
            by,
            value: value.clone(),
        })
    }
}

/// Whether they name courses at platforms that there are.
pub(crate) fn check(links: &[RawLink], platforms: &[Platform], problem: Tell<'_>) {
    if links.len() > LINKS_MAX {
        problem(KEY, format!("has more than {LINKS_MAX} entries"));
    }
    for (index, link) in links.iter().enumerate() {
        let at = format!("{KEY}[{index}]");
        if link.place().is_none() {
            let message = "wants one of `context`, `label` and `link`, with the text that the platform tells: `{platform: moodle, context: \"42\"}`";
            problem(&at, message.into());
        }
        let platform = platforms.iter().find(|one| one.id == link.platform);
        if let Some(platform) = platform {
            for (key, written, trusts) in [
                ("label", &link.label, platform.trusts_labels),
                ("link", &link.link, platform.trusts_links),
            ] {
                if written.is_some() && !trusts {
                    let message = format!(
                        "the configuration does not trust that of this platform (`trust_{key}s`); write `context`"
                    );
                    problem(&format!("{at}.{key}"), message);
                }
            }
        } else {
            let message = match link.platform.as_str() {
                "" => "which platform? Every `kind: lti` in `sign_in` of the configuration has an `id`; write it as `platform`, or add the platform".to_owned(),
                id => format!("there is no `kind: lti` with the id `{}` in `sign_in` of the configuration", id.chars().take(40).collect::<String>()),
            };
            problem(&at, message);
        }
    }
}

/// Those whom the platforms name are its people, beside those in its lists.
pub(crate) fn add(people: &mut People, links: &[RawLink]) {
    for place in links.iter().filter_map(RawLink::place) {
        for role in CourseRole::ALL {
            let list = people.list_mut(role);
            list.push(Who::Group(place.group(role)));
        }
    }
}
