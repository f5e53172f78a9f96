//! What each page shows, as structs that handlers fill in; one per template.
//!
//! Times are milliseconds since 1970. Fields that end in `url` are finished local URLs with the
//! base path. Forms name the field `_xsrf`, and post to fixed paths below [`Page::base`]:
//!
//! | path | fields | from |
//! |---|---|---|
//! | `login` | `username`, `password`, `next` | login |
//! | `logout` | - | every page |
//! | `language` | `language` | every page |
//! | `servers/start`, `servers/stop` (also cancels a start), `servers/remove` | `user`, `server`, `next` | home, progress, logs, admin |
//! | `servers/add` | `server` | home |
//! | `servers/keep` | `user`, `server`, `next` | home |
//! | [`SpawnPage::action`] | `profile`, and as [`OptionRow`] and [`UnlistedRow`] name them | spawn |
//! | `servers/title` | `user`, `server`, `title` | home |
//! | `token/new` | `note`, `expires_in` (seconds, or empty for never), `scope` repeated, `scopes` | token |
//! | `token/revoke` | `id` | token |
//! | `sharing/code` | `server`, `expires_in` (seconds) | sharing |
//! | `sharing/give` | `server`, `user` or `group` | sharing |
//! | `sharing/revoke`, `sharing/revoke-code`, `sharing/revoke-all` | `id`; of the last `server` | sharing |
//! | `sharing/leave` | `owner`, `server` | home |
//! | `accept-share` | `code`, `next` | accept_share |
//! | [`OAuthPage::action`] | `scopes`, repeated | oauth |
//!
//! `next` is the local path to go back to. The forms of administrators are told of in [`admin`], those
//! of sessions in [`sessions`], those of courses in [`courses`].

pub mod admin;
mod audit;
mod course_work;
pub mod courses;
mod culling;
mod deeds;
pub mod mail;
pub mod password;
pub mod rooms;
pub mod second_factor;
pub mod sessions;
pub mod sign_up;
pub mod sittings;

mod shares;
mod site;
mod spawn;

use std::collections::BTreeMap;

use serde::Serialize;

pub use audit::AuditRow;
pub use course_work::{ArrivalRow, FeedbackRow, MistakeRow, TaskRow, WaitingRow};
pub use culling::{Hold, ServerEnd};
pub use deeds::DeedRow;
pub use shares::*;
pub use site::{DocumentPage, LanguageChoice, LogoutPage, Maintenance, Notice, StillThere};
pub use spawn::*;

/// What the frame around every page needs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Page {
    /// `/hub/`, with the base path before it.
    pub base: String,
    /// Who is logged in.
    pub user: Option<PageUser>,
    /// The token for the forms of this page.
    pub xsrf: String,
    pub site: Site,
    /// A line of the operator's above everything.
    pub announcement: Option<String>,
    /// Services with a page that she may open.
    pub services: Vec<ServiceLink>,
    /// What the operator tells her.
    pub notices: Vec<Notice>,
    /// A maintenance that is, or that comes.
    pub maintenance: Option<Maintenance>,
    /// What the reader can choose from.
    pub languages: Vec<LanguageChoice>,
    /// What she may do, as scopes with their filters. Only templates of a site ask; without any it is
    /// empty.
    pub scopes: Vec<String>,
}

/// A service that this person may open.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServiceLink {
    pub name: String,
    /// Its page, `/services/NAME/`.
    pub href: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct PageUser {
    pub name: String,
    /// What to call them; the name again when nothing else is known.
    pub display_name: String,
    pub admin: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Site {
    pub name: String,
}

/// `login.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoginPage {
    pub page: Page,
    /// Ways in besides the form, each a link.
    pub methods: Vec<LoginMethod>,
    /// Learning platforms from which people come; nobody is sent there to log in.
    pub platforms: Vec<Platform>,
    /// Whether user name and password are asked for.
    pub password_form: bool,
    /// Which accounts the form is for, where there is more than one way in.
    pub password_of: Vec<String>,
    /// For trying out: which password lets in under any name, `any` or `shared`.
    pub try_out: Option<&'static str>,
    /// Where a code on paper is typed, while there is an exam for which there are some.
    pub code_url: Option<String>,
    /// What was typed before.
    pub username: String,
    /// In templates `next_path`: `next` is JupyterHub's, made for a query.
    #[serde(rename = "next_path")]
    pub next: String,
    pub error: Option<LoginError>,
    /// Seconds until the next try is allowed.
    pub wait_seconds: Option<u64>,
    /// A first-time hint of the operator's.
    pub hint: Option<String>,
    /// Whether whoever has forgotten her password has a link sent.
    pub forgotten: bool,
    /// Whether people make accounts by themselves, or ask for one.
    pub sign_up: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct LoginMethod {
    /// "Log in with {name}".
    pub name: String,
    pub url: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Platform {
    pub name: String,
    /// Where people find it, if that is known.
    pub url: Option<String>,
}

/// `lti_onward.html`: a form that goes on with what a learning platform has sent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LtiOnwardPage {
    pub page: Page,
    /// What the platform is called.
    pub platform: String,
    pub action: String,
    pub fields: Vec<(String, String)>,
    /// It is shown inside a page of the platform, and goes on in a window of its own.
    pub new_window: bool,
    /// It goes to the platform, which has asked for it.
    pub answer: bool,
}

/// `lti_other.html`: somebody comes from a learning platform and somebody else is logged in. Posts `held`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LtiOtherPage {
    pub page: Page,
    /// What the platform is called.
    pub platform: String,
    /// Who is logged in, and who comes.
    pub present: String,
    pub name: String,
    pub action: String,
    pub held: String,
}

/// `lti_pick.html`: what a link at a learning platform opens. Posts `what` (`start` or `file`), `path` and
/// `name`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LtiPickPage {
    pub page: Page,
    /// What the platform is called.
    pub platform: String,
    pub action: String,
    /// As it was sent the last time.
    pub is_file: bool,
    pub path: String,
    pub name: String,
    /// The path leads nowhere below the home folder.
    pub is_wrong: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginError {
    /// Wrong name or password; never says which.
    Refused,
    /// The person is who they say, but not allowed in here.
    Excluded,
    /// The form was too old or its token wrong.
    Expired,
    /// The directory that knows the passwords doesn't answer.
    Unavailable,
    /// The way back from another site was too old, taken before or another browser's.
    Stale,
    /// The other site did not let her in, or she changed her mind there.
    Denied,
    /// The other site doesn't answer, or not as it should.
    Unreachable,
    /// Who she is there is clear, but she is not allowed in here.
    Outsider,
    /// What the other site says of her makes no user name.
    Unnamed,
    /// The other site does not say who she is.
    Anonymous,
    /// Her name there is somebody else's here.
    Taken,
    /// An account of her name was made beforehand, and may be meant for somebody else.
    Reserved,
    /// She was logged out: her log-in at the other site is over.
    Gone,
    /// She was logged out: by what the other site says of her now she is not allowed in here.
    Withdrawn,
    /// She was logged out: the other site could not be asked about her for too long.
    Unconfirmed,
}

/// `home.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HomePage {
    pub page: Page,
    /// The one thing to do now; [`NextThing::of`] the servers.
    pub next: Option<NextThing>,
    /// What she is to hand in next; it is done where `next` leads to.
    pub task: Option<TaskRow>,
    /// What waits for her in the courses that she teaches.
    pub waiting: Vec<WaitingRow>,
    /// Exams with codes that she looks after, as long as they are not over.
    pub exams: Vec<ExamRow>,
    /// A maintenance keeps her from starting anything.
    pub closed: bool,
    /// The default server first, also when it never ran.
    pub servers: Vec<ServerRow>,
    /// The form for a named server, for those who may have one.
    pub add: Option<AddServer>,
    pub courses: Vec<CourseRow>,
    /// Other people's servers.
    /// What is to be done could not be looked up.
    pub work_unknown: bool,
    pub shared: Vec<SharedRow>,
    /// Not all that is shared with her is on the page.
    pub shared_more: bool,
    /// Whether there is something to see on the page about sharing one's own.
    pub sharing: bool,
    pub services: Vec<ServiceLink>,
    /// What others did with her servers lately, the newest first.
    pub deeds: Vec<DeedRow>,
    /// What she has just done, where nothing on the page shows it any more.
    pub done: Option<Done>,
}

/// An exam with codes on paper, for whoever looks after it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExamRow {
    pub id: String,
    pub url: String,
    pub title: String,
    pub begins: i64,
    pub ends: i64,
}

/// A named server of which nothing is left on the page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Done {
    /// `removed`, or `cancelled`: its first start.
    pub what: &'static str,
    pub server: String,
}

/// The primary action of the home page.
#[derive(Debug, Clone, Serialize)]
pub struct NextThing {
    pub kind: NextKind,
    pub server: ServerRow,
    /// The id of the course that the server is to be started for, to work on the page's `task`.
    pub course: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NextKind {
    /// A server is ready.
    Open,
    /// A server is on its way.
    Watch,
    /// The default server failed.
    Retry,
    /// The default server can start.
    Start,
    /// It could, but for a maintenance.
    Closed,
}

impl NextThing {
    /// The ready server used last; else one on its way; else the first one that can start.
    pub fn of(servers: &[ServerRow]) -> Option<Self> {
        Self::among(servers.iter())
    }

    fn among<'a>(servers: impl Iterator<Item = &'a ServerRow> + Clone) -> Option<Self> {
        let ready = (servers.clone())
            .filter(|server| server.state == ServerState::Ready)
            .max_by_key(|server| server.last_activity);
        let coming = || {
            (servers.clone())
                .find(|s| matches!(s.state, ServerState::Waiting | ServerState::Starting))
        };
        let startable = || {
            (servers.clone())
                .find(|s| matches!(s.state, ServerState::Stopped | ServerState::Failed))
        };
        let server = ready.or_else(coming).or_else(startable)?;
        let kind = match server.state {
            ServerState::Ready => NextKind::Open,
            ServerState::Waiting | ServerState::Starting => NextKind::Watch,
            ServerState::Failed => NextKind::Retry,
            ServerState::Stopped | ServerState::Stopping => NextKind::Start,
        };
        Some(Self {
            kind,
            server: server.clone(),
            course: None,
        })
    }

    /// Where she works on something of a course: in what runs for it, else in her default server,
    /// which is started for it; before that she is asked whether what it runs for may end. What was
    /// started plainly has nothing of the course's environment either.
    #[must_use]
    pub fn in_course(servers: &[ServerRow], course: &CourseRow) -> Option<Self> {
        let running = course.server.as_ref().and_then(|server| {
            let kind = match server.state {
                ServerState::Ready => NextKind::Open,
                ServerState::Waiting | ServerState::Starting => NextKind::Watch,
                ServerState::Stopped | ServerState::Stopping | ServerState::Failed => return None,
            };
            Some(Self {
                kind,
                server: server.clone(),
                course: None,
            })
        });
        if running.is_some() {
            return running;
        }
        if !course.starts {
            return Self::of(servers);
        }
        let next = Self::among(
            servers
                .iter()
                .filter(|one| !one.runs_for_other_than(course)),
        );
        let default = servers.iter().find(|server| server.server.is_empty());
        let starts = match &next {
            Some(next) => match next.kind {
                NextKind::Open | NextKind::Watch | NextKind::Closed => false,
                NextKind::Retry => next.server.course.as_deref() != Some(course.id.as_str()),
                NextKind::Start => true,
            },
            None => true,
        };
        let default = default.filter(|one| starts && one.state != ServerState::Stopping);
        match default {
            Some(default) => Some(Self {
                kind: NextKind::Start,
                server: default.clone(),
                course: Some(course.id.clone()),
            }),
            // As soon as it has ended.
            None => next.filter(|_| !starts),
        }
    }

    /// While nothing can be started.
    #[must_use]
    pub fn closed(self) -> Self {
        let kind = match self.kind {
            NextKind::Start | NextKind::Retry => NextKind::Closed,
            kind => kind,
        };
        Self { kind, ..self }
    }
}

/// One server in a list.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServerRow {
    pub user: String,
    /// Empty for the default server.
    pub server: String,
    /// What its owner calls it, if they said.
    pub title: Option<String>,
    pub state: ServerState,
    /// Why it failed, or what it waits for, in plain words.
    pub reason: Option<String>,
    /// When it came into this state.
    pub since: Option<i64>,
    pub last_activity: Option<i64>,
    /// Where it answers when ready.
    pub url: String,
    /// The page that shows its start.
    pub progress_url: String,
    /// Its last output; none when there never was any.
    pub log_url: Option<String>,
    /// Whether the entry can be removed (a named server that doesn't run).
    pub removable: bool,
    /// Whether it can be given another title (it was made, and is at rest).
    pub renamable: bool,
    /// When it ends by itself; home alone tells it.
    pub end: Option<ServerEnd>,
    /// The id of the course that its last start was for: to try again is to start it for that.
    pub course: Option<String>,
    /// The title of the course that it runs for, if the reader sees that course.
    pub course_title: Option<String>,
    /// The title of the profile that it runs with.
    pub profile: Option<String>,
    /// Its place in the line, if it waits for nothing but its turn.
    pub place: Option<u64>,
}

impl ServerRow {
    /// Whether it is there for another course, or for none.
    fn runs_for_other_than(&self, course: &CourseRow) -> bool {
        let runs = matches!(
            self.state,
            ServerState::Ready | ServerState::Waiting | ServerState::Starting
        );
        runs && self.course.as_deref() != Some(course.id.as_str())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    #[default]
    Stopped,
    Waiting,
    Starting,
    Ready,
    Stopping,
    Failed,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct AddServer {
    /// What was typed before.
    pub name: String,
    /// Why that was refused.
    pub error: Option<String>,
    /// How many named servers a person can have; none is unlimited.
    pub limit: Option<u64>,
    /// Whether the limit is reached.
    pub full: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct CourseRow {
    pub id: String,
    /// Under which it is found on the page.
    pub anchor: String,
    pub title: String,
    pub term: Option<String>,
    /// `student`, `teacher`, `grader`, `assistant`; others are shown as they are.
    pub roles: Vec<String>,
    pub url: Option<String>,
    /// Whether she may start a server for it.
    pub starts: bool,
    /// Nothing in it changes any more.
    pub archived: bool,
    /// Her server for it that runs, or is on its way.
    pub server: Option<ServerRow>,
    /// The course's own server, if she works in it.
    pub own: Option<ServerRow>,
    /// What she is to hand in next.
    pub task: Option<TaskRow>,
    /// How many assignments can be handed in that she has not.
    pub open: u64,
    /// What she got back lately, the newest first.
    pub feedback: Vec<FeedbackRow>,
}

/// `progress.html`: a start that is under way, or has just failed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ProgressPage {
    pub page: Page,
    pub server: ServerRow,
    /// 0 to 100.
    pub percent: u64,
    pub steps: Vec<Step>,
    /// When the start was asked for.
    pub started_at: i64,
    /// Seconds since, by the server's clock.
    pub elapsed: i64,
    /// Place in the line of starts that wait, from 1.
    pub place: Option<u64>,
    /// About how many seconds until its turn, if that can be said honestly.
    pub estimate: Option<i64>,
    /// It waits for other starts of its owner's, not for other people's.
    pub own_first: bool,
    /// What keeps it back though there are places.
    pub held: Option<Hold>,
    /// The event stream. A browser's `EventSource` is a request of mode `cors`, so with cookies
    /// it needs `?_xsrf=`. Each connection starts with all steps from the first; the page leaves
    /// out what it has. Events are as in JupyterHub, plus the moment `at`.
    pub events_url: String,
    /// Where to go when ready, with the `next` of the request in it.
    pub url: String,
    /// Set when the start failed; then there is no stream.
    pub failure: Option<Failure>,
    /// Nobody may start just now: a maintenance is under way.
    pub closed: bool,
    /// The last output, shown with a failure.
    pub log: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Step {
    pub at: i64,
    pub message: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Failure {
    /// What happened, in plain words.
    pub reason: String,
    /// What the person can do about it, if anything is known.
    pub remedy: Option<String>,
    /// The id the log has too.
    pub code: Option<String>,
}

/// `not_running.html`: somebody went to a server that doesn't run (424).
#[derive(Debug, Clone, Default, Serialize)]
pub struct NotRunningPage {
    pub page: Page,
    pub server: ServerRow,
    /// Its start was cancelled before it was ready.
    pub cancelled: bool,
    /// She may start it, but not during this maintenance.
    pub closed: bool,
    /// `…/hub/spawn/ada?next=…`; none for who may look but not start.
    pub start_url: Option<String>,
}

/// `stopping.html`: the server is on its way down; the page looks again by itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StoppingPage {
    pub page: Page,
    pub server: ServerRow,
}

/// `switch.html`: a server runs for something else than the course that it is to be started for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SwitchPage {
    pub page: Page,
    /// Whoever may not read about it learns its state alone.
    pub server: ServerRow,
    /// Whether the reader owns it.
    pub own: bool,
    /// The course that it runs for.
    pub now_for: Option<String>,
    /// The course that it is to be for.
    pub course: CourseChoice,
    pub action: String,
    /// The life of the server that ends for it; nothing: she may not end it.
    pub ends: Option<i64>,
    /// Whether the reader's browser can open it.
    pub may_open: bool,
    /// Whether the reader may see how its start goes.
    pub may_watch: bool,
    /// Where the page goes by itself while the server is on its way down: the link that starts it for the
    /// course.
    pub look_at: Option<String>,
    /// The start would wait, since the place that gets free is not kept for it.
    pub waits: Option<SwitchWait>,
}

/// What a start would wait for that comes in the place of a server.
#[derive(Debug, Clone, Serialize)]
pub struct SwitchWait {
    /// So many others wait for the same.
    pub waiting: u64,
    /// What keeps it back even with the place that gets free.
    pub held: Option<Hold>,
}

/// `error.html`. Words for the status come from the messages.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ErrorPage {
    pub page: Page,
    pub status: u16,
    /// What exactly happened, when more can be said than the status says.
    pub detail: Option<String>,
    /// What a program said about it, in its own words and language.
    pub technical: Option<String>,
    /// The request id, to give to support.
    pub code: Option<String>,
    /// A better place to go than home.
    pub retry_url: Option<String>,
    /// It is a maintenance that holds the reader up.
    pub maintenance: bool,
}

/// `message.html`: something to say, and one way on.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MessagePage {
    pub page: Page,
    pub title: String,
    pub paragraphs: Vec<String>,
    pub link: Option<Link>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Link {
    pub text: String,
    pub url: String,
}

/// `token.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenPage {
    pub page: Page,
    pub list: admin::Listing<TokenRow>,
    /// The token just made; it can't be shown again.
    pub new_token: Option<NewToken>,
    pub form: TokenForm,
    /// Programs that people sign in to, and what they may do for this one.
    pub applications: Vec<Application>,
    /// What scopes mean that the site defines itself, by their names.
    pub own_scopes: BTreeMap<String, String>,
    /// A code on paper let her in: no token can be made.
    pub in_exam: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Application {
    /// One of its tokens; to take one back takes back all.
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
    /// Since when it has any.
    pub since: i64,
    pub last_used: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenRow {
    pub id: String,
    pub note: String,
    /// The program it was given to, when it came by OAuth.
    pub client: Option<String>,
    /// Whether it is a notebook server's own.
    pub of_server: bool,
    pub scopes: Vec<String>,
    pub created: i64,
    pub last_used: Option<i64>,
    pub expires: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct NewToken {
    pub token: String,
    pub note: String,
    pub expires: Option<i64>,
}

/// What was typed before, and what was wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenForm {
    pub note: String,
    pub error: Option<String>,
    /// The longest life of a token in seconds, where the site limits it.
    pub max_lifetime: Option<u64>,
    /// What a token can be narrowed down to.
    pub scopes: Vec<ScopeChoice>,
    /// Others that were typed.
    pub more: String,
    /// In seconds, as it was chosen before.
    pub lifetime: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ScopeChoice {
    pub scope: String,
    pub chosen: bool,
}

/// `oauth.html`: may this program act for me?
#[derive(Debug, Clone, Default, Serialize)]
pub struct OAuthPage {
    pub page: Page,
    /// The URL of the request, with its query.
    pub action: String,
    pub client: OAuthClient,
    pub scopes: Vec<String>,
    /// What scopes mean that the site defines itself, by their names.
    pub own_scopes: BTreeMap<String, String>,
    pub cancel_url: String,
}

/// Who wants to act. Names alone: a title that its owner wrote could say it is something else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OAuthClient {
    /// `server` (somebody's default one), `named`, `service`.
    pub kind: &'static str,
    /// Of the named server, or the service.
    pub name: String,
    /// Whose server it is.
    pub owner: String,
    /// Where it is.
    pub path: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ConfigState {
    /// Counts the configurations since the start.
    pub generation: u64,
    pub loaded_at: i64,
    /// Path of the file; none when everything is default.
    pub source: Option<String>,
    /// Set when the last edit was bad and the one before is in force.
    pub problem: Option<ConfigProblem>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct ConfigProblem {
    pub at: i64,
    pub text: String,
}

/// `logs.html`: the last output of a server.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogsPage {
    pub page: Page,
    pub server: ServerRow,
    pub lines: Vec<String>,
    /// Whether older lines were left out.
    pub truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_thing() {
        let server = |state: ServerState, last_activity: i64| ServerRow {
            state,
            last_activity: Some(last_activity),
            ..ServerRow::default()
        };
        let check = |servers: &[ServerRow], expect: Option<(NextKind, i64)>| {
            let next = NextThing::of(servers);
            let found = next.map(|next| (next.kind, next.server.last_activity.unwrap_or(0)));
            assert_eq!(found, expect);
        };
        use ServerState::{Failed, Ready, Starting, Stopped, Stopping};
        check(&[], None);
        check(&[server(Stopping, 1)], None);
        check(
            &[server(Stopped, 1), server(Stopped, 2)],
            Some((NextKind::Start, 1)),
        );
        check(&[server(Failed, 1)], Some((NextKind::Retry, 1)));
        check(
            &[server(Stopped, 1), server(Starting, 2)],
            Some((NextKind::Watch, 2)),
        );
        check(
            &[server(Ready, 1), server(Ready, 3), server(Starting, 4)],
            Some((NextKind::Open, 3)),
        );
        let closed = |state: ServerState| {
            let next = NextThing::of(&[server(state, 1)]).map(NextThing::closed);
            next.map(|next| next.kind)
        };
        assert_eq!(closed(Stopped), Some(NextKind::Closed));
        assert_eq!(closed(Failed), Some(NextKind::Closed));
        assert_eq!(closed(Ready), Some(NextKind::Open));
        assert_eq!(closed(Starting), Some(NextKind::Watch));
    }

    #[test]
    fn where_something_of_a_course_is_done() {
        use ServerState::{Failed, Ready, Starting, Stopped, Stopping};
        let server = |name: &str, state: ServerState, course: Option<&str>| ServerRow {
            server: name.into(),
            state,
            course: course.map(str::to_owned),
            ..ServerRow::default()
        };
        let course = |starts: bool, running: Option<ServerRow>| CourseRow {
            id: "bio".into(),
            starts,
            server: running,
            ..CourseRow::default()
        };
        let check =
            |servers: &[ServerRow], course: &CourseRow, expect: Option<(NextKind, &str, bool)>| {
                let next = NextThing::in_course(servers, course);
                let found = next.as_ref().map(|next| {
                    let name = next.server.server.as_str();
                    (next.kind, name, next.course.is_some())
                });
                assert_eq!(found, expect);
            };
        let bio = |name: &str, state: ServerState| server(name, state, Some("bio"));
        let rests = server("", Stopped, None);
        // What runs for it comes before what was used last.
        let lab = server("lab", Ready, None);
        let own = course(true, Some(bio("mine", Starting)));
        check(
            &[rests.clone(), lab.clone()],
            &own,
            Some((NextKind::Watch, "mine", false)),
        );
        let own = course(true, Some(bio("mine", Ready)));
        check(
            &[rests.clone(), lab.clone()],
            &own,
            Some((NextKind::Open, "mine", false)),
        );
        let ends = course(true, Some(bio("mine", Stopping)));
        check(
            &[rests.clone(), lab.clone()],
            &ends,
            Some((NextKind::Start, "", true)),
        );
        // What was started plainly is not for it.
        let none = course(true, None);
        check(
            &[rests.clone(), lab.clone()],
            &none,
            Some((NextKind::Start, "", true)),
        );
        check(
            &[server("", Ready, None)],
            &none,
            Some((NextKind::Start, "", true)),
        );
        check(
            &[rests.clone(), lab],
            &course(false, None),
            Some((NextKind::Open, "lab", false)),
        );
        check(
            std::slice::from_ref(&rests),
            &none,
            Some((NextKind::Start, "", true)),
        );
        check(
            &[rests],
            &course(false, None),
            Some((NextKind::Start, "", false)),
        );
        check(
            &[bio("", Failed)],
            &none,
            Some((NextKind::Retry, "", false)),
        );
        let other = server("", Failed, Some("art"));
        check(
            std::slice::from_ref(&other),
            &none,
            Some((NextKind::Start, "", true)),
        );
        check(
            &[other],
            &course(false, None),
            Some((NextKind::Retry, "", false)),
        );
        // What runs for another course is none of its, and is asked about before it ends.
        for state in [Ready, Starting] {
            let other = server("", state, Some("art"));
            let beside = server("lab", state, Some("art"));
            let kind = match state {
                Ready => NextKind::Open,
                _ => NextKind::Watch,
            };
            check(
                std::slice::from_ref(&other),
                &none,
                Some((NextKind::Start, "", true)),
            );
            check(
                &[server("", Stopped, None), beside],
                &none,
                Some((NextKind::Start, "", true)),
            );
            check(&[other], &course(false, None), Some((kind, "", false)));
        }
        // The default server is on its way out, so nothing can be started for a course.
        let named = server("lab", Stopped, None);
        check(&[server("", Stopping, None), named], &none, None);
        check(&[server("", Stopping, None)], &none, None);
    }
}
