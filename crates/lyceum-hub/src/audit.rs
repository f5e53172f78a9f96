//! Who did what, and from where: every sign-in, and every act on people, groups, tokens, servers of others and
//! the site. Written down in the transaction that does it, for administrators to see and, as far as it is about
//! her account, for the person.
//!
//! What others do with somebody's servers has a list of its own beside this one ([`crate::deeds`]): that list is
//! hers, asked at each visit, with an end for each kind, and goes with her account. Its one function that writes
//! it writes this one, too, so that an act is noted at one place.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use lyceum_auth::throttle::network;
use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_store::Tx;
use lyceum_web::page::contexts::AuditRow;
use lyceum_web::{Caller, Who};
use tokio::sync::Semaphore;

use crate::db::audit::{self, Row};
use crate::db::search::audit::Search;
use crate::db::users::User;
use crate::sessions::browser;
use crate::{Hub, db};

const SERVICE: &str = "service:";
/// What the way in is called where a password was typed.
pub const BY_PASSWORD: &str = "password";
/// Characters of one text of the detail: some of them come from outside.
const LONGEST: usize = 300;
/// One row stands for the refused sign-ins of so long.
const HOUR_MS: i64 = 3_600_000;
/// So many refused sign-ins are being written down; what comes then is not.
static REFUSED_AT_ONCE: Semaphore = Semaphore::const_new(32);
/// On her own page, of each list.
const SHOWN_TO_HER: i64 = 20;

/// What was done. The words are in the database: none is ever given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    SignIn,
    SignInRefused,
    SignOut,
    SessionsEnded,
    PersonMade,
    PersonRenamed,
    PersonKeptOut,
    PersonLetIn,
    PersonDeleted,
    PersonForgotten,
    PasswordSet,
    PasswordLink,
    SecondFactorOn,
    SecondFactorOff,
    MarkRemoved,
    AdminGiven,
    AdminTaken,
    InvitationMade,
    InvitationUsed,
    InvitationWithdrawn,
    SignedUp,
    SignUpAsked,
    SignUpApproved,
    SignUpRefused,
    MailGiven,
    MailProved,
    MailRemoved,
    PasswordAsked,
    PosixSet,
    PosixRefused,
    GroupMade,
    GroupDeleted,
    MemberAdded,
    MemberRemoved,
    TokenMade,
    TokenRevoked,
    ServerOpened,
    ServerStarted,
    ServerStopped,
    ServerAdded,
    ServerChanged,
    ServerRemoved,
    ExamMade,
    ExamCodeMade,
    ExamCodeWithdrawn,
    ExamEndMoved,
    ExamRemoved,
    MaintenanceBegun,
    MaintenanceEnded,
    Shutdown,
    ServiceMade,
    ServiceDeleted,
    CourseRemoved,
    ArchiveDeleted,
    PersonErased,
    PersonExported,
}

/// What lists are narrowed down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SignIns,
    People,
    Groups,
    Tokens,
    Servers,
    Site,
}

impl Kind {
    /// As it stands in a query.
    pub const WORDS: &'static [&'static str] = &[
        "all", "sign_ins", "people", "groups", "tokens", "servers", "site",
    ];

    /// None: all.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "sign_ins" => Some(Self::SignIns),
            "people" => Some(Self::People),
            "groups" => Some(Self::Groups),
            "tokens" => Some(Self::Tokens),
            "servers" => Some(Self::Servers),
            "site" => Some(Self::Site),
            _ => None,
        }
    }

    /// The words of all that is of this kind.
    pub fn words(self) -> Vec<String> {
        let of_it = What::ALL.iter().filter(|what| what.kind() == self);
        of_it.map(|what| what.word().to_owned()).collect()
    }
}

impl What {
    pub const ALL: &'static [Self] = &[
        Self::SignIn,
        Self::SignInRefused,
        Self::SignOut,
        Self::SessionsEnded,
        Self::PersonMade,
        Self::PersonRenamed,
        Self::PersonKeptOut,
        Self::PersonLetIn,
        Self::PersonDeleted,
        Self::PersonForgotten,
        Self::PasswordSet,
        Self::PasswordLink,
        Self::SecondFactorOn,
        Self::SecondFactorOff,
        Self::MarkRemoved,
        Self::AdminGiven,
        Self::AdminTaken,
        Self::InvitationMade,
        Self::InvitationUsed,
        Self::InvitationWithdrawn,
        Self::SignedUp,
        Self::SignUpAsked,
        Self::SignUpApproved,
        Self::SignUpRefused,
        Self::MailGiven,
        Self::MailProved,
        Self::MailRemoved,
        Self::PasswordAsked,
        Self::PosixSet,
        Self::PosixRefused,
        Self::GroupMade,
        Self::GroupDeleted,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::TokenMade,
        Self::TokenRevoked,
        Self::ServerOpened,
        Self::ServerStarted,
        Self::ServerStopped,
        Self::ServerAdded,
        Self::ServerChanged,
        Self::ServerRemoved,
        Self::ExamMade,
        Self::ExamCodeMade,
        Self::ExamCodeWithdrawn,
        Self::ExamEndMoved,
        Self::ExamRemoved,
        Self::MaintenanceBegun,
        Self::MaintenanceEnded,
        Self::Shutdown,
        Self::ServiceMade,
        Self::ServiceDeleted,
        Self::CourseRemoved,
        Self::ArchiveDeleted,
        Self::PersonErased,
        Self::PersonExported,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInRefused => "sign_in_refused",
            Self::SignOut => "sign_out",
            Self::SessionsEnded => "sessions_ended",
            Self::PersonMade => "person_made",
            Self::PersonRenamed => "person_renamed",
            Self::PersonKeptOut => "person_kept_out",
            Self::PersonLetIn => "person_let_in",
            Self::PersonDeleted => "person_deleted",
            Self::PersonForgotten => "person_forgotten",
            Self::PasswordSet => "password_set",
            Self::PasswordLink => "password_link",
            Self::SecondFactorOn => "second_factor_on",
            Self::SecondFactorOff => "second_factor_off",
            Self::MarkRemoved => "mark_removed",
            Self::AdminGiven => "admin_given",
            Self::AdminTaken => "admin_taken",
            Self::InvitationMade => "invitation_made",
            Self::InvitationUsed => "invitation_used",
            Self::InvitationWithdrawn => "invitation_withdrawn",
            Self::SignedUp => "signed_up",
            Self::SignUpAsked => "sign_up_asked",
            Self::SignUpApproved => "sign_up_approved",
            Self::SignUpRefused => "sign_up_refused",
            Self::MailGiven => "mail_given",
            Self::MailProved => "mail_proved",
            Self::MailRemoved => "mail_removed",
            Self::PasswordAsked => "password_asked",
            Self::PosixSet => "posix_set",
            Self::PosixRefused => "posix_refused",
            Self::GroupMade => "group_made",
            Self::GroupDeleted => "group_deleted",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
            Self::TokenMade => "token_made",
            Self::TokenRevoked => "token_revoked",
            Self::ServerOpened => "server_opened",
            Self::ServerStarted => "server_started",
            Self::ServerStopped => "server_stopped",
            Self::ServerAdded => "server_added",
            Self::ServerChanged => "server_changed",
            Self::ServerRemoved => "server_removed",
            Self::ExamMade => "exam_made",
            Self::ExamCodeMade => "exam_code_made",
            Self::ExamCodeWithdrawn => "exam_code_withdrawn",
            Self::ExamEndMoved => "exam_end_moved",
            Self::ExamRemoved => "exam_removed",
            Self::MaintenanceBegun => "maintenance_begun",
            Self::MaintenanceEnded => "maintenance_ended",
            Self::Shutdown => "shutdown",
            Self::ServiceMade => "service_made",
            Self::ServiceDeleted => "service_deleted",
            Self::CourseRemoved => "course_removed",
            Self::ArchiveDeleted => "archive_deleted",
            Self::PersonErased => "person_erased",
            Self::PersonExported => "person_exported",
        }
    }

    pub fn kind(self) -> Kind {
        match self {
            Self::SignIn | Self::SignInRefused | Self::SignOut | Self::SessionsEnded => {
                Kind::SignIns
            }
            Self::PersonMade
            | Self::PersonRenamed
            | Self::PersonKeptOut
            | Self::PersonLetIn
            | Self::PersonDeleted
            | Self::PersonForgotten
            | Self::PersonErased
            | Self::PersonExported
            | Self::PasswordSet
            | Self::PasswordLink
            | Self::SecondFactorOn
            | Self::SecondFactorOff
            | Self::MarkRemoved
            | Self::AdminGiven
            | Self::AdminTaken
            | Self::InvitationMade
            | Self::InvitationUsed
            | Self::InvitationWithdrawn
            | Self::SignedUp
            | Self::SignUpAsked
            | Self::SignUpApproved
            | Self::SignUpRefused
            | Self::MailGiven
            | Self::MailProved
            | Self::MailRemoved
            | Self::PasswordAsked
            | Self::PosixSet
            | Self::PosixRefused => Kind::People,
            Self::GroupMade | Self::GroupDeleted | Self::MemberAdded | Self::MemberRemoved => {
                Kind::Groups
            }
            Self::TokenMade | Self::TokenRevoked => Kind::Tokens,
            Self::ServerOpened
            | Self::ServerStarted
            | Self::ServerStopped
            | Self::ServerAdded
            | Self::ServerChanged
            | Self::ServerRemoved => Kind::Servers,
            Self::ExamMade
            | Self::ExamCodeMade
            | Self::ExamCodeWithdrawn
            | Self::ExamEndMoved
            | Self::ExamRemoved
            | Self::MaintenanceBegun
            | Self::MaintenanceEnded
            | Self::Shutdown
            | Self::ServiceMade
            | Self::ServiceDeleted
            | Self::CourseRemoved
            | Self::ArchiveDeleted => Kind::Site,
        }
    }
}

/// Who does something, and from where: `ada`, or `service:cull`, which is nobody's name, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doer {
    name: Option<String>,
    address: Option<IpAddr>,
}

impl Doer {
    pub fn of(caller: &Caller) -> Self {
        let doer = match &caller.who {
            Who::Person(person) => Self::person(&person.name),
            Who::Service(name) => Self::service(name),
        };
        doer.at(caller.from)
    }

    pub fn person(name: &UserName) -> Self {
        Self {
            name: Some(name.to_string()),
            address: None,
        }
    }

    pub fn service(name: &str) -> Self {
        Self {
            name: Some(format!("{SERVICE}{name}")),
            address: None,
        }
    }

    /// No caller: the command line, the configuration, rules, a provider elsewhere. The detail says `by` what.
    pub fn nobody() -> Self {
        Self {
            name: None,
            address: None,
        }
    }

    #[must_use]
    pub fn at(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// Empty for nobody.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Its name, if it is a service.
    pub fn as_service(&self) -> Option<&str> {
        self.name().strip_prefix(SERVICE)
    }

    pub fn is(&self, name: &UserName) -> bool {
        self.name() == name.as_str()
    }
}

/// Something that was done.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    what: What,
    doer: &'a Doer,
    about: Option<(Option<&'a str>, &'a str)>,
    detail: BTreeMap<&'static str, String>,
}

impl<'a> Act<'a> {
    pub fn new(doer: &'a Doer, what: What) -> Self {
        Self {
            what,
            doer,
            about: None,
            detail: BTreeMap::new(),
        }
    }

    /// Whose account it is about.
    #[must_use]
    pub fn about(self, user: &'a User) -> Self {
        self.about_her(&user.id, user.name.as_str())
    }

    /// As [`Act::about`], by her id and her name.
    #[must_use]
    pub fn about_her(self, id: &'a str, name: &'a str) -> Self {
        self.about_whoever(Some(id), name)
    }

    /// As [`Act::about_her`]; her account may be gone.
    #[must_use]
    pub fn about_whoever(mut self, id: Option<&'a str>, name: &'a str) -> Self {
        self.about = Some((id, name));
        self
    }

    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        let text = value.to_string();
        let text: String = text.chars().take(LONGEST).collect();
        self.detail.insert(key, text);
        self
    }

    fn row(&self, id: String, now: Millis) -> Row {
        let address = self.doer.address;
        Row {
            id,
            at: now.0,
            doer: self.doer.name.clone(),
            address: address.map(|address| address.to_canonical().to_string()),
            what: self.what.word().to_owned(),
            about_id: self.about.and_then(|(id, _)| id).map(str::to_owned),
            about_name: self.about.map(|(_, name)| name.to_owned()),
            detail: serde_json::json!(self.detail).to_string(),
            times: 1,
        }
    }
}

/// In the transaction that does it.
pub async fn note(tx: &mut Tx, act: Act<'_>, now: Millis) -> sqlx::Result<()> {
    audit::insert(tx, &act.row(new_id(now), now)).await
}

/// Somebody was not let in under a name, if there is an account of that name. One row for each account, address,
/// reason and hour says how often. It is written beside the answer, which must not take longer for a name that is
/// somebody's.
pub(crate) fn note_refused(hub: &Hub, name: &str, address: IpAddr, why: &'static str) {
    let Ok(name) = UserName::parse(name.trim()) else {
        return;
    };
    // Under a storm of guesses, log-ins have the database to themselves.
    let Ok(turn) = REFUSED_AT_ONCE.try_acquire() else {
        return;
    };
    let hub = hub.clone();
    tokio::spawn(async move {
        let _turn = turn;
        if let Err(error) = refused(&hub, &name, address, why).await {
            tracing::warn!(error = %error, "a refused sign-in could not be written down");
        }
    });
}

async fn refused(
    hub: &Hub,
    name: &UserName,
    address: IpAddr,
    why: &'static str,
) -> anyhow::Result<()> {
    let mut tx = hub.db().write().await?;
    let Some(user) = db::users::find(&mut tx, name).await? else {
        tx.rollback().await?;
        return Ok(());
    };
    let now = hub.now();
    let doer = Doer::nobody().at(Some(address));
    let act = Act::new(&doer, What::SignInRefused)
        .about(&user)
        .with("why", why);
    let hour = now.0.div_euclid(HOUR_MS);
    let is_same = format!("{}\n{}\n{hour}\n{why}", user.id, network(address));
    let id = hash_secret("lyceum refused sign-in 1", &is_same);
    audit::insert_or_count(&mut tx, &act.row(id, now)).await?;
    tx.commit().await?;
    Ok(())
}

/// How it is shown; `page` is where a person's page is for whoever looks.
pub fn row(row: Row, page: impl Fn(&UserName) -> Option<String>) -> AuditRow {
    let service = (row.doer.as_deref()).and_then(|doer| doer.strip_prefix(SERVICE));
    let service = service.map(str::to_owned);
    let url = |name: Option<&str>| {
        let name = UserName::parse(name?).ok()?;
        page(&name)
    };
    AuditRow {
        is_service: service.is_some(),
        who_url: match service {
            Some(_) => None,
            None => url(row.doer.as_deref()),
        },
        who: service.or(row.doer),
        address: row.address,
        about_url: url(row.about_name.as_deref()),
        about: row.about_name,
        detail: told(&row.detail),
        what: row.what,
        at: row.at,
        times: row.times.try_into().unwrap_or(1),
    }
}

/// The texts of a row for people: a browser in short words, and nothing of the way in that is the usual one.
fn told(text: &str) -> Vec<(String, String)> {
    let mut detail = detail(text);
    if let Some(agent) = detail.get_mut("agent") {
        *agent = browser(agent);
    }
    detail.retain(|key, text| !text.is_empty() && (key != "method" || text != BY_PASSWORD));
    detail.into_iter().collect()
}

/// The texts of a row; what can't be read is as good as nothing.
pub fn detail(text: &str) -> BTreeMap<String, String> {
    serde_json::from_str(text).unwrap_or_default()
}

/// What others did with her account; what they did with her servers, [`crate::deeds`] tells.
pub async fn by_others(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<AuditRow>> {
    let apart = [Kind::SignIns, Kind::Servers];
    let all = What::ALL.iter();
    let meant = all.filter(|what| match what {
        What::SessionsEnded => true,
        // Whoever made it, it was before she had one.
        What::PersonMade | What::SignUpApproved => false,
        _ => !apart.contains(&what.kind()),
    });
    let words: Vec<&str> = meant.map(|what| what.word()).collect();
    let search = Search {
        about: Some(user_id),
        by_others: true,
        words: &words,
        ..Search::default()
    };
    let found = search.page(tx, 0, SHOWN_TO_HER).await?;
    Ok(found.into_iter().map(|one| row(one, |_| None)).collect())
}

/// Her last sign-ins, and those that were refused, which push none of hers out of sight.
pub async fn sign_ins(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<AuditRow>> {
    let mut found = Vec::new();
    for what in [What::SignIn, What::SignInRefused] {
        let search = Search {
            about: Some(user_id),
            words: &[what.word()],
            ..Search::default()
        };
        found.append(&mut search.page(tx, 0, SHOWN_TO_HER).await?);
    }
    found.sort_by_key(|one| Reverse(one.at));
    Ok(found.into_iter().map(|one| row(one, |_| None)).collect())
}

/// Forgets what the configuration does not keep any longer.
pub async fn prune(hub: &Hub, tx: &mut Tx) -> sqlx::Result<()> {
    let kept = hub.settings().log_kept.as_millis();
    let kept = i64::try_from(kept).unwrap_or(i64::MAX);
    audit::prune(tx, hub.now().0.saturating_sub(kept)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_apart_and_each_has_a_kind_that_can_be_asked_for() {
        let mut words: Vec<&str> = What::ALL.iter().map(|what| what.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), What::ALL.len());
        let kinds = Kind::WORDS.iter().filter_map(|word| Kind::parse(word));
        let many: usize = kinds.map(|kind| kind.words().len()).sum();
        assert_eq!(many, What::ALL.len());
    }

    #[test]
    fn what_comes_from_outside_has_an_end() {
        let doer = Doer::nobody().at(Some(IpAddr::from([127, 0, 0, 1])));
        let act = Act::new(&doer, What::SignIn).with("agent", "x".repeat(5_000));
        let row = act.row("id".into(), Millis(7));
        assert_eq!(detail(&row.detail)["agent"].len(), LONGEST);
        assert_eq!(row.address.as_deref(), Some("127.0.0.1"));
        assert_eq!((row.doer, row.at), (None, 7));
        assert!(detail("[").is_empty());
    }
}
