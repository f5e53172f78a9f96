//! What a course file may say.

use std::collections::BTreeMap;

use lyceum_model::environment::Said;
use lyceum_model::name::UserName;
pub use lyceum_model::who::{CourseId, CourseRole as Role, Who};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, RawAssignment};
use crate::environment::{Environment, RawEnvironment};
use crate::lti::RawLink;
use crate::nbgrader::{self, RawLines};
use crate::people::{By, RawPeople};
use crate::schedule::Meeting;
use crate::server::{RawServer, Server};

pub use crate::people::{List, People};

/// A course as it is written; the comments are the manual.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCourse {
    /// The title people see.
    pub title: String,
    /// The term, in the words of the university: `autumn 2026`.
    pub term: Option<String>,
    /// Who sees that the course exists.
    pub visible: Visibility,
    /// Who belongs to it.
    pub people: RawPeople,
    /// What its people start for it. Left out: nothing is started for the course.
    pub environment: Option<RawEnvironment>,
    /// Whether it has a server of its own, which its teachers and graders share at `/services/ID/`, ID
    /// being the course's: `true`, or what is different there from what a teacher starts for it.
    pub server: RawServer,
    /// Whether those who teach it grade with nbgrader's formgrader in the course's server, which it has
    /// then also without `server`.
    pub formgrader: bool,
    /// What nbgrader is told in servers of the course, as `Class.trait: value`:
    /// `{ExecutePreprocessor.timeout: 120}`.
    pub nbgrader: RawLines,
    /// Until when assignments are to be handed in, by whom later, and what is taken, by their names.
    /// One that nobody has released yet may stand here.
    pub assignments: BTreeMap<String, RawAssignment>,
    /// When many come at once; room is made for them before.
    pub schedule: Vec<Meeting>,
    /// Courses at learning platforms whose people are this one's, as what they are there. Those in `people`
    /// belong to it besides.
    pub lti: Vec<RawLink>,
}

/// A course.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    pub title: String,
    pub term: Option<String>,
    pub visible: Visibility,
    pub people: People,
    pub environment: Option<Environment>,
    pub server: Option<Server>,
    /// Its server has the formgrader.
    pub formgrader: bool,
    /// What nbgrader is told, in whichever of its servers.
    pub(crate) nbgrader: Vec<Said>,
    pub assignments: BTreeMap<String, Assignment>,
    pub schedule: Vec<Meeting>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    Listed,
    /// Those who belong to it.
    #[default]
    Enrolled,
    /// Its teachers.
    Private,
    /// Those who belong to it, and nothing in it changes any more.
    Archived,
}

impl Visibility {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Enrolled => "enrolled",
            Self::Private => "private",
            Self::Archived => "archived",
        }
    }
}

impl Course {
    /// The roles of a person here, the most powerful first.
    pub fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<Role> {
        let is_one = |role: &Role| self.people.list(*role).has(user, groups);
        let mut roles: Vec<Role> = Role::ALL.into_iter().filter(is_one).collect();
        if self.is_blocked(user, groups) {
            roles.retain(|role| role.is_staff());
        }
        roles
    }

    /// Whether somebody is kept from taking it and from looking on, whatever makes her a student or an
    /// observer.
    ///
    /// Invariant: whoever makes somebody one in another way than by [`Course::roles_of`] asks this first.
    pub fn is_blocked(&self, user: &UserName, groups: &[String]) -> bool {
        self.people.blocked.has(user, groups)
    }

    /// By which entry of its lists somebody has a role.
    pub fn entry_of(&self, role: Role, user: &UserName, groups: &[String]) -> Option<By<'_>> {
        let is_kept_out = !role.is_staff() && self.is_blocked(user, groups);
        let entry = self.people.list(role).entry_of(user, groups);
        entry.filter(|_| !is_kept_out)
    }

    pub fn has_label(&self, label: &str, user: &UserName, groups: &[String]) -> bool {
        let holders = self.people.labels.get(label);
        holders.is_some_and(|list| list.has(user, groups))
    }

    /// Whether anything may change in it.
    pub fn is_archived(&self) -> bool {
        self.visible == Visibility::Archived
    }

    /// As what somebody with these roles may start a server for it: the most powerful one.
    pub fn starts_as(&self, roles: &[Role]) -> Option<Role> {
        let starts = self.environment.is_some() && self.shows(roles) && !self.is_archived();
        starts.then(|| roles.first().copied()).flatten()
    }

    /// Whether there is something to start for it. `knows`: whether the configuration has an environment
    /// of this name, which may have been taken out since the file was read.
    pub fn has_environment(&self, knows: impl Fn(&str) -> bool) -> bool {
        self.environment.as_ref().is_some_and(|environment| {
            let base = environment.base.as_ref();
            base.is_none_or(|base| knows(&base.name))
        })
    }

    /// Its server and those who open it; none of a course that is archived.
    pub fn open_server(&self) -> Option<(&Server, Vec<&Who>)> {
        let server = self.server.as_ref()?;
        let openers = server.open_to.iter();
        let openers = openers.flat_map(|role| self.people.list(*role).iter());
        (!self.is_archived()).then(|| (server, openers.collect()))
    }

    /// Whether its server may do in the exchange what a teacher may.
    pub fn grades_in_its_server(&self) -> bool {
        self.formgrader && self.open_server().is_some()
    }

    /// What nbgrader is told in its own server, or else in one that somebody starts for it.
    pub fn nbgrader(&self, in_its_own: bool) -> impl Iterator<Item = &Said> {
        let all = self.nbgrader.iter();
        all.filter(move |said| in_its_own || !nbgrader::is_for_its_own_server(said))
    }

    pub(crate) fn names_group(&self, role: Role, group: &str) -> bool {
        let mut groups = self.people.list(role).groups().iter();
        groups.any(|named| named == group)
    }

    /// Whether those who take it can start servers for it, so that places that are kept for them can be
    /// taken.
    pub fn members_start(&self, knows: impl Fn(&str) -> bool) -> bool {
        self.has_environment(knows)
            && !self.people.students.is_empty()
            && self.starts_as(&[Role::Student]).is_some()
    }

    /// Whether a person with these roles sees it on her page.
    pub fn shows(&self, roles: &[Role]) -> bool {
        match self.visible {
            Visibility::Listed => true,
            Visibility::Enrolled | Visibility::Archived => !roles.is_empty(),
            Visibility::Private => roles.contains(&Role::Teacher),
        }
    }
}
