//! "What may Ada start?" The hub asks; courses and configuration answer (in the binary).

use std::sync::Arc;

use async_trait::async_trait;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::posix::Posix;
use lyceum_model::saying::Saying;
use lyceum_model::server::ServerSpec;
use lyceum_model::who::{CourseId, CourseRole, Who};
use lyceum_store::Tx;
use lyceum_web::Caller;
use tokio::sync::watch;

use crate::course_work::{CourseWork, Mistake};
use crate::profiles::choose::Chosen;
use crate::rooms::Room;

/// A wish for a server.
#[derive(Debug, Clone)]
pub struct LaunchRequest {
    /// Who owns it: a person, or the account of a course whose own server it is.
    pub user: UserName,
    pub admin: bool,
    pub groups: Vec<String>,
    pub server: ServerName,
    /// The person's home, as stored with her row.
    pub home: String,
    /// The numbers by which her files are hers, if she has any.
    pub posix: Option<Posix>,
    /// What she chose, as JSON.
    pub options: serde_json::Value,
    /// What her options say by the profiles; nothing where there are none.
    pub chosen: Chosen,
}

/// Why a wish is not granted, in words for the person.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    NotAllowed(Saying),
    #[error("{0}")]
    BadOptions(Saying),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Turns a wish into a finished order for the spawner.
#[async_trait]
pub trait LaunchPlanner: Send + Sync + 'static {
    async fn plan(&self, request: &LaunchRequest) -> Result<ServerSpec, Refusal>;

    /// What a server of this course is like, as far as that does not depend on whose it is.
    async fn plan_room(&self, course: &str) -> anyhow::Result<ServerSpec>;

    /// Whether the machine has an account of this name and takes whoever is called so for its owner; also where
    /// that can't be looked up. It may take a while.
    async fn is_of_the_machine(&self, _name: &UserName) -> bool {
        false
    }
}

/// A course as the home page shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct CourseCard {
    pub id: String,
    pub title: String,
    pub term: Option<String>,
    /// Words like `student`, `teacher`; all that apply.
    pub roles: Vec<String>,
    /// Whether she may start a server for it.
    pub starts: bool,
    /// Nothing in it changes any more.
    pub archived: bool,
}

/// A course for which somebody may start a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourseStart {
    pub id: CourseId,
    pub title: String,
    /// As what she starts it.
    pub role: CourseRole,
}

/// A server that a course has for its teachers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourseServer {
    pub id: CourseId,
    /// The course's.
    pub title: String,
    /// Who opens, starts and stops it; by name or by group.
    pub open_to: Vec<Who>,
}

/// The servers that courses have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CourseServers {
    pub there: Vec<CourseServer>,
    /// Courses of which nobody knows now what they want: their servers are left alone.
    pub unclear: Vec<CourseId>,
}

/// A course file in which something is wrong, or the folder of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultyFile {
    /// None where the file is that of no course, and of the folder.
    pub course: Option<String>,
    pub file: String,
    pub mistakes: Vec<Mistake>,
    pub holds: Holds,
}

/// What holds although something is wrong in the file of a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    /// The last good version; and when it was written, where that is known.
    Earlier(Option<Millis>),
    /// The last good versions of all files: the folder itself can't be read.
    AllEarlier,
    /// All else in the file.
    Rest,
}

impl Holds {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Earlier(_) => "earlier",
            Self::AllEarlier => "all_earlier",
            Self::Rest => "rest",
        }
    }

    /// When the version that holds was written.
    pub fn written(self) -> Option<Millis> {
        match self {
            Self::Earlier(at) => at,
            Self::Nothing | Self::AllEarlier | Self::Rest => None,
        }
    }
}

/// "Which courses does Ada see, and what is she in them?"
#[async_trait]
pub trait CourseShelf: Send + Sync + 'static {
    async fn courses_of(
        &self,
        user: &UserName,
        groups: &[String],
    ) -> anyhow::Result<Vec<CourseCard>>;

    /// What is to be done in them by whoever asks, as far as it is known here; without those in which
    /// there is nothing to do.
    async fn work_of(&self, caller: &Caller) -> anyhow::Result<Vec<CourseWork>>;

    /// The page of a course in which she is something, as routes are registered; nothing where there is
    /// none for her.
    fn page_of(&self, _caller: &Caller, _course: &str) -> Option<String> {
        None
    }

    /// What she is in which course, whether she sees it or not.
    fn roles_of(&self, user: &UserName, groups: &[String]) -> Vec<(CourseId, Vec<CourseRole>)>;

    /// Whether something stands under this name, beside course files, that an account made now would have: what
    /// somebody was made in a course, or what she handed in there.
    async fn is_named(&self, tx: &mut Tx, name: &UserName) -> sqlx::Result<bool>;

    /// Whether there is a course of this id, also one whose file can't be read now.
    fn has_course(&self, id: &CourseId) -> bool;

    /// The courses that name this group as their people.
    fn naming_group(&self, group: &str) -> Vec<CourseId>;

    /// As what she may start a server for a course; what she may not use looks like what does not exist.
    async fn starts(
        &self,
        user: &UserName,
        groups: &[String],
        course: &str,
    ) -> anyhow::Result<Option<CourseStart>>;

    /// The servers that courses have; the same one as long as nothing has changed.
    fn servers(&self) -> Arc<CourseServers>;

    /// The course files in which something is wrong; before them the folder, if it can't be read.
    fn faulty_files(&self) -> Vec<FaultyFile>;

    /// Wakes when the courses may be others than before.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The next meetings to which many come, or those that are on, in any order.
    fn rooms(&self, now: Millis) -> Vec<Room>;
}
