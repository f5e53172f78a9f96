//! The area of administrators. Forms post to fixed paths below [`Page::base`]:
//!
//! | path | fields |
//! |---|---|
//! | `admin/users/add` | `names`, `admin`, `next` |
//! | `admin/users/do` | `do`, `chosen` repeated, `group`, `next` |
//! | `admin/user/NAME` | `do` and what it needs |
//! | `admin/groups/add` | `name`, `users` |
//! | `admin/group` | `name`, `do`, `users` or `chosen` repeated, `confirm` |
//! | `admin/servers/do` | `do`, `chosen` repeated (`ada/gpu`), `next` |
//! | `admin/tokens/do` | `do`, `chosen` repeated (`ada/a01…`), `next` |

use serde::Serialize;

use super::rooms::RoomRow;
use super::sessions::SessionRow;
use super::{AuditRow, ConfigState, Page, ServerRow, TokenRow};

/// What each page of the area shows besides its own.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Area {
    pub here: &'static str,
    /// The pages that this visitor may see.
    pub entries: Vec<AreaEntry>,
    pub notice: Option<Notice>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct AreaEntry {
    pub key: &'static str,
    pub url: String,
}

/// What the form that led here has done.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Notice {
    pub key: &'static str,
    pub n: u64,
    /// How many it was refused for.
    pub refused: u64,
}

/// The newest of somebody's tokens.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PersonTokens {
    pub rows: Vec<TokenRow>,
    /// How many she has.
    pub total: u64,
}

/// One page of a long list; what it shows is in the URL.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Listing<Row> {
    pub rows: Vec<Row>,
    /// How many match.
    pub total: u64,
    pub offset: u64,
    pub query: String,
    /// The page without its query, where the search goes to.
    pub action: String,
    /// This view, to come back to.
    pub here: String,
    /// What the search hands on unseen.
    pub kept: Vec<(String, String)>,
    pub columns: Vec<Column>,
    pub filters: Vec<Choice>,
    pub previous: Option<String>,
    pub next: Option<String>,
    /// The whole list as a file.
    pub csv: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Column {
    pub key: &'static str,
    /// The same list in the order of this column; none when it can't be sorted by it.
    pub url: Option<String>,
    pub up: bool,
    pub down: bool,
}

/// One way to narrow a list down.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Choice {
    pub name: &'static str,
    pub value: String,
    pub options: Vec<&'static str>,
}

/// `admin.html`: what is wrong.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OverviewPage {
    pub page: Page,
    pub area: Area,
    pub config: ConfigState,
    /// Whether the state of the configuration may be seen.
    pub sees_config: bool,
    /// For those who may see it: course files in which something is wrong, the first ones, and how many
    /// more there are.
    pub faulty: Vec<FaultyFile>,
    pub more_faulty: u64,
    /// Each with the list it counts.
    pub counts: Vec<Count>,
    /// What went wrong with servers in the last day, the newest first; a server as often as it failed.
    pub failures: Vec<AdminServer>,
    pub failures_total: u64,
    /// Those that should be stopped, and whose stop fails again and again.
    pub stuck: Vec<AdminServer>,
    pub stuck_total: u64,
    /// How many starts wait, and for how many seconds the first of them has.
    pub waiting: u64,
    pub longest: Option<i64>,
    pub blocked: u64,
    /// How many wait for a yes to their account, for those who say it.
    pub sign_ups: u64,
    /// Services that the hub runs, and which ended by themselves.
    pub services_down: Vec<String>,
    /// For those who may begin and end a maintenance.
    pub switch: Option<MaintenanceSwitch>,
    /// Meetings to which many come, the next ones.
    pub rooms: Vec<RoomRow>,
    /// Whether so many servers may run as want to: no places are kept then.
    pub no_limit: bool,
    /// Whether one of them lacks something.
    pub rooms_short: bool,
}

/// A maintenance that is switched on and off, not planned.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MaintenanceSwitch {
    pub on: bool,
    pub by: Option<String>,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub message: Option<String>,
    /// How many minutes can be chosen.
    pub lasts: Vec<i64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Count {
    pub key: &'static str,
    pub n: u64,
    pub url: Option<String>,
}

/// `admin_users.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct UsersPage {
    pub page: Page,
    pub area: Area,
    pub list: Listing<PersonRow>,
    pub may_add: bool,
    pub may_block: bool,
    pub may_group: bool,
    pub may_make_admins: bool,
    pub form: AddForm,
    /// None for those who make none.
    pub invitations: Option<Invitations>,
    /// Who asks for an account, for those who decide; who asked first at the top.
    pub sign_ups: Option<Vec<SignUpRow>>,
}

/// Somebody who waits for an account.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SignUpRow {
    pub id: String,
    pub name: String,
    /// Who she is, in her words.
    pub note: String,
    pub asked: i64,
    pub expires: i64,
}

/// Links by which people make accounts.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Invitations {
    /// One that was just made.
    pub link: Option<PasswordLink>,
    /// What was typed before, and what is wrong with it.
    pub note: String,
    pub groups: String,
    pub error: Option<String>,
    /// The newest first.
    pub open: Vec<InvitationRow>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct InvitationRow {
    pub id: String,
    pub note: String,
    pub groups: Vec<String>,
    pub made_by: String,
    pub expires: i64,
}

/// What was typed before, and what is wrong with it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AddForm {
    pub text: String,
    pub error: Option<String>,
}

/// What the visitor may not see is none.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PersonRow {
    pub name: String,
    pub display_name: Option<String>,
    pub admin: bool,
    pub blocked: bool,
    pub created: Option<i64>,
    pub last_activity: Option<i64>,
    /// Servers that are not at rest.
    pub running: u64,
    pub url: String,
}

/// `admin_user.html`: one person.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PersonPage {
    pub page: Page,
    pub area: Area,
    pub person: PersonRow,
    /// Whether the lists of the configuration keep her out.
    pub shut_out: bool,
    pub sees_activity: bool,
    pub servers: Option<Vec<AdminServer>>,
    pub may: PersonMay,
    pub groups: Option<Vec<GroupRow>>,
    pub roles: Option<Vec<RoleRow>>,
    pub tokens: Option<PersonTokens>,
    pub sessions: Option<Vec<SessionRow>>,
    /// What was done with her account, for those who may know.
    pub audit: Option<PersonAudit>,
    /// A link for a new password that was just made.
    pub link: Option<PasswordLink>,
    /// Where she reads her mail, for those who may give her another address.
    pub mail: Option<AddressRow>,
    /// The numbers by which her files are hers, for those who may say others.
    pub numbers: Option<NumbersRow>,
    pub problem: Option<String>,
}

/// An address of mail; empty where there is none.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AddressRow {
    pub address: String,
    pub given_by: String,
    /// When it was shown that it is read.
    pub verified: Option<i64>,
}

/// Numbers for files as they are typed; empty where there is none.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NumbersRow {
    pub uid: String,
    pub gid: String,
    pub group: String,
    /// With commas between them.
    pub gids: String,
    /// An administrator has said them.
    pub by_hand: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct PasswordLink {
    pub url: String,
    pub expires: i64,
}

/// What the visitor may do to a person.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PersonMay {
    pub change: bool,
    pub make_admin: bool,
    pub block: bool,
    pub delete: bool,
    pub groups: bool,
    pub tokens: bool,
    pub end_sessions: bool,
    /// Makes a link by which she gives herself a password.
    pub password_link: bool,
    /// Takes off the second step behind her password, which she has.
    pub second_factor_off: bool,
}

/// A role and why somebody has it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoleRow {
    pub name: String,
    /// A site's words; of a role that there always is, empty where the messages have words.
    pub description: String,
    /// `everybody`, `admin`, `configuration`, or `group` with its name.
    pub source: &'static str,
    pub group: Option<String>,
}

/// `admin_groups.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GroupsPage {
    pub page: Page,
    pub area: Area,
    pub list: Listing<GroupRow>,
    pub may_add: bool,
    pub form: AddForm,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct GroupRow {
    pub name: String,
    pub members: Option<u64>,
    pub url: String,
    /// Whether the visitor may change who is in it.
    pub may_change: bool,
}

/// `admin_group.html`: one group.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GroupPage {
    pub page: Page,
    pub area: Area,
    pub name: String,
    pub roles: Option<Vec<String>>,
    /// JSON, if there are any.
    pub properties: Option<String>,
    /// Whether the configuration says who is in it, too.
    pub configured: bool,
    pub members: Option<Listing<PersonRow>>,
    pub may_change: bool,
    pub may_delete: bool,
    pub problem: Option<String>,
    pub form: AddForm,
}

/// `admin_servers.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServersPage {
    pub page: Page,
    pub area: Area,
    pub list: Listing<AdminServer>,
    pub may_any: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct AdminServer {
    pub server: ServerRow,
    /// `ada/gpu`
    pub about: String,
    /// The page of its owner, for those who may see it.
    pub owner_url: Option<String>,
    pub may_start: bool,
    pub may_stop: bool,
    pub may_open: bool,
    pub may_log: bool,
    /// What it takes at the moment, in words; the list of servers alone tells it.
    pub usage: Option<String>,
}

/// `admin_services.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServicesPage {
    pub page: Page,
    pub area: Area,
    pub services: Vec<AdminService>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct AdminService {
    pub name: String,
    pub url: Option<String>,
    pub prefix: Option<String>,
    pub roles: Option<Vec<String>>,
    pub configured: bool,
    /// Whether something listens at its address; none when it has none, or nobody may know.
    pub reachable: Option<bool>,
    /// None: the hub does not run it, or nobody may know.
    pub run: Option<ServiceRun>,
}

/// How a service is that the hub runs.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServiceRun {
    /// None: it does not run.
    pub since: Option<i64>,
    /// Why it ended last.
    pub why: Option<String>,
}

/// `admin_tokens.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokensPage {
    pub page: Page,
    pub area: Area,
    pub list: Listing<AdminToken>,
    pub may_any: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct AdminToken {
    pub token: TokenRow,
    pub owner: String,
    pub owner_url: Option<String>,
    /// `ada/a01…`
    pub about: String,
    pub may_revoke: bool,
}

/// `admin_activity.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ActivityPage {
    pub page: Page,
    pub area: Area,
    /// How many were active in the last hour, day and week; none for those who may not know.
    pub active: Option<Vec<Count>>,
    pub latest: Vec<PersonRow>,
    pub starts: Vec<AdminServer>,
    pub starts_total: u64,
    pub failures: Vec<AdminServer>,
    pub failures_total: u64,
    pub sign_ins: Option<Vec<SignInRow>>,
    pub sign_ins_total: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct SignInRow {
    pub name: String,
    pub url: String,
    pub at: i64,
    /// The browser in short words.
    pub agent: String,
}

/// `admin_audit.html`: who did what.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AuditPage {
    pub page: Page,
    pub area: Area,
    pub list: Listing<AuditRow>,
}

/// The latest about one person.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PersonAudit {
    pub rows: Vec<AuditRow>,
    pub total: u64,
    /// The whole list, for those who may see it.
    pub url: Option<String>,
}

/// `admin_configuration.html`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ConfigurationPage {
    pub page: Page,
    pub area: Area,
    pub config: ConfigState,
    /// Course files in which something is wrong, and how many there are beyond these.
    pub faulty: Vec<FaultyFile>,
    pub more_faulty: u64,
}

/// A course file in which something is wrong.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FaultyFile {
    /// None where the file is that of no course.
    pub course: Option<String>,
    pub file: String,
    pub mistakes: Vec<FileMistake>,
    /// How many there are beyond these.
    pub more: u64,
    /// `nothing`, `earlier` or `rest`: what is in force meanwhile.
    pub holds: &'static str,
    /// When the version that is in force was written.
    pub written: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct FileMistake {
    pub line: Option<u64>,
    /// In English.
    pub words: String,
}
