//! People: how an identity becomes a row.

use std::collections::BTreeSet;

use async_trait::async_trait;
use lyceum_auth::addresses::{self, MailAddress};
use lyceum_auth::{Here, KnownHere, Refused};
use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::identity::{Identity, Subject};
use lyceum_model::lti::is_platforms;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{Filter, Owner, ScopeSet};
use lyceum_store::{Db, Tx, settings};

use crate::audit::{self, Act, Doer, What};
use crate::db::users::User;
use crate::grants::Grants;
use crate::jobs::revocations;
use crate::{db, groups, posix, sittings};

/// The setting that remembers whose role is the configuration's.
const BY_CONFIGURATION: &str = "admins-by-configuration";

/// What is known of people before they come in, for the lists of the configuration.
pub struct KnownOf(pub Db);

#[async_trait]
impl KnownHere for KnownOf {
    async fn here(&self, identity: &Identity) -> anyhow::Result<Here> {
        let mut tx = self.0.read().await?;
        Ok(match db::users::find(&mut tx, &identity.name).await? {
            Some(user) => Here {
                exists: true,
                administers: db::users::was_made_admin(&mut tx, &user.id).await?,
                groups: groups_beside(&mut tx, &user, identity).await?,
            },
            None => Here::default(),
        })
    }
}

/// Her groups but those that her source has told of her before: what it tells now takes their place.
pub async fn groups_beside(
    tx: &mut Tx,
    user: &User,
    identity: &Identity,
) -> sqlx::Result<Vec<String>> {
    let mut groups = db::groups::names_of(tx, &user.id).await?;
    if let (Some(subject), Some(_)) = (&identity.subject, &identity.groups)
        && let Some(known) = db::identities::find(tx, subject).await?
    {
        let told: Vec<String> = serde_json::from_str(&known.groups).unwrap_or_default();
        groups.retain(|group| !told.contains(group));
    }
    Ok(groups)
}

/// Makes a person if there is none of that name.
pub async fn ensure(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<User> {
    if let Some(user) = db::users::find(tx, name).await? {
        return Ok(user);
    }
    // Two browsers may bring the same new person at the same moment: one row, whoever made it.
    match create(tx, name, now).await? {
        Some(user) => {
            note_made(tx, &user, now).await?;
            Ok(user)
        }
        None => db::users::find(tx, name)
            .await?
            .ok_or(sqlx::Error::RowNotFound),
    }
}

/// She is here because she came, or because the configuration or the command line names her.
async fn note_made(tx: &mut Tx, user: &User, now: Millis) -> sqlx::Result<()> {
    if user.name.is_of_course() {
        return Ok(());
    }
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, What::PersonMade).about(user);
    audit::note(tx, act, now).await
}

/// The role of an administrator comes or goes without an administrator.
async fn note_role(
    tx: &mut Tx,
    user: &User,
    admin: bool,
    by: &'static str,
    now: Millis,
) -> sqlx::Result<()> {
    let what = match admin {
        true => What::AdminGiven,
        false => What::AdminTaken,
    };
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, what).about(user).with("by", by);
    audit::note(tx, act, now).await
}

/// Makes a person, unless there is one of that name; whoever calls writes down who did. The home is
/// named once and for ever; the name of
/// a deleted person never leads to the old home, since each home carries its id.
pub async fn create(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<Option<User>> {
    let id = new_id(now);
    let user = User {
        home: home_name(name, &id),
        id,
        name: name.clone(),
        display_name: None,
        admin: false,
        created_at: now.0,
        last_activity_at: None,
        blocked_at: None,
    };
    let written = db::users::insert(tx, &user).await?;
    Ok(written.then_some(user))
}

/// Why somebody can't have another name, or can't go.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    /// One of her servers does something.
    #[error("{}", say!("person.has_servers", user = .0.as_str()))]
    Busy(UserName),
    #[error("{}", say!("person.name_taken", name = .0.as_str()))]
    Taken(UserName),
    /// Nobody is called so any more.
    #[error("{}", say!("refused.not_found"))]
    Gone,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Gives somebody another name; her home, her servers' files and her tokens stay hers. The password
/// of a local account goes with her. Her servers have to be at rest: they know her by the old name.
pub async fn rename(tx: &mut Tx, user: &User, to: &UserName, now: Millis) -> Result<(), NotNow> {
    hold_still(tx, user).await?;
    let taken = db::users::find(tx, to).await?.is_some()
        || !lyceum_auth::local::rename(tx, &user.name, to).await?;
    if taken {
        return Err(NotNow::Taken(to.clone()));
    }
    match db::users::set_name(tx, &user.id, to).await {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            return Err(NotNow::Taken(to.clone()));
        }
        done => done?,
    }
    db::sittings::rename(tx, user.name.as_str(), to.as_str()).await?;
    for name in [&user.name, to] {
        revocations::announce(tx, name.as_str(), now).await?;
    }
    Ok(())
}

/// Forgets somebody, with all she holds; her home stays on the disk. Tells what the spawner is to
/// forget.
pub async fn remove(tx: &mut Tx, user: &User, now: Millis) -> Result<Vec<String>, NotNow> {
    hold_still(tx, user).await?;
    let mut keys = Vec::new();
    for server in db::servers::of_user(tx, &user.id).await? {
        if !db::servers::delete(tx, &server.id).await? {
            return Err(NotNow::Busy(user.name.clone()));
        }
        keys.push(server.key);
    }
    // Before she is gone: those with whom she shared are found by her.
    revocations::announce(tx, user.name.as_str(), now).await?;
    db::sittings::revoke_unused(tx, user.name.as_str(), now.0).await?;
    db::shares::forget_giver(tx, &user.id).await?;
    db::users::delete(tx, &user.id).await?;
    lyceum_auth::local::remove(tx, &user.name).await?;
    Ok(keys)
}

/// Nothing of hers moves until the transaction ends, and she is still called what the caller thinks.
async fn hold_still(tx: &mut Tx, user: &User) -> Result<(), NotNow> {
    db::servers::lock_owner(tx, &user.id).await?;
    let now = db::users::get(tx, &user.id).await?;
    if now.is_none_or(|now| now.name != user.name) {
        return Err(NotNow::Gone);
    }
    let servers = db::servers::of_user(tx, &user.id).await?;
    match servers.iter().any(|server| server.state.is_active()) {
        true => Err(NotNow::Busy(user.name.clone())),
        false => Ok(()),
    }
}

/// What is in force when somebody comes in.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    pub grants: &'a Grants,
    /// Administrators by the configuration: a role that comes from there goes with it.
    pub admins: &'a BTreeSet<UserName>,
    /// A course names whoever comes as its teacher or grader.
    pub has_power_in_courses: bool,
    pub posix: &'a posix::Rules,
}

/// Why somebody who proved who she is does not get the account of the name that she brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHers {
    #[error("the name is somebody else's here")]
    Taken,
    #[error(
        "an account of this name was made here before; if nobody chooses names at the provider, let this way in have such accounts (`adopt: true`), else rename or delete it"
    )]
    Made,
    #[error(
        "an account of this name administers here, or has a role over others; if nobody chooses names at the provider, let this way in have such accounts (`adopt_administrators: true`)"
    )]
    Administrator,
    #[error("it is the name of an account that was made for an exam")]
    Numbered,
}

impl From<NotHers> for Refused {
    fn from(why: NotHers) -> Self {
        match why {
            NotHers::Taken => Self::Taken,
            NotHers::Made | NotHers::Administrator | NotHers::Numbered => Self::Reserved,
        }
    }
}

/// After a good sign-in: the row, brought up to date with what the source vouches for. Of a refusal
/// the transaction holds pieces: it must not be committed.
pub async fn admit(
    tx: &mut Tx,
    identity: &Identity,
    in_force: InForce<'_>,
    now: Millis,
) -> sqlx::Result<Result<User, NotHers>> {
    let owner = match &identity.subject {
        Some(subject) => owner(tx, identity, subject, in_force, now).await?,
        None => Ok((ensure(tx, &identity.name, now).await?, None)),
    };
    let (mut user, known) = match owner {
        Ok(owner) => owner,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(name) = &identity.display_name
        && user.display_name.as_ref() != Some(name)
    {
        db::users::set_display_name(tx, &user.id, name).await?;
        user.display_name = Some(name.clone());
    }
    // A place elsewhere takes back only what it gave.
    let gave = known.as_ref().is_some_and(|known| known.admin);
    let admin = match (identity.admin, &known) {
        (Some(true), _) => true,
        (Some(false), None) => false,
        (_, Some(_)) if gave => false,
        _ => user.admin,
    };
    let is_new = admin && !user.admin;
    if admin != user.admin {
        db::users::set_admin(tx, &user.id, admin).await?;
        revocations::announce(tx, user.name.as_str(), now).await?;
        let by = match in_force.admins.contains(&identity.name) {
            true => "configuration",
            false => "provider",
        };
        note_role(tx, &user, admin, by, now).await?;
        user.admin = admin;
        if admin && in_force.admins.contains(&identity.name) {
            let mut ids = configured(tx, now).await?;
            ids.insert(user.id.clone());
            keep_configured(tx, &ids, now).await?;
        }
    }
    if let (Some(subject), Some(known)) = (&identity.subject, known) {
        let by_configuration = in_force.admins.contains(&identity.name);
        let gives = admin && (gave || is_new && !by_configuration);
        let given = bring_groups(tx, &user, identity, &known, in_force.grants, now).await?;
        db::identities::update(tx, subject, &given, gives, now).await?;
    }
    posix::follow(tx, &user, identity, in_force.posix, now).await?;
    bring_mail(tx, &user, identity, now).await?;
    db::users::touch(tx, &user.id, now).await?;
    Ok(Ok(user))
}

/// Her address of mail, where a place tells it that an administrator trusts in that. One that an administrator
/// or she herself gave stays.
async fn bring_mail(
    tx: &mut Tx,
    user: &User,
    identity: &Identity,
    now: Millis,
) -> sqlx::Result<()> {
    let (Some(told), Some(subject)) = (&identity.mail, &identity.subject) else {
        return Ok(());
    };
    let Ok(address) = MailAddress::parse(told) else {
        return Ok(());
    };
    let known = addresses::find(tx, &user.name).await?;
    let is_theirs = |known: &addresses::Known| known.given_by == subject.issuer;
    if (known.as_ref()).is_some_and(|known| !is_theirs(known) || known.address == address.as_str())
    {
        return Ok(());
    }
    addresses::put(tx, &user.name, &address, &subject.issuer, Some(now)).await?;
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, What::MailGiven)
        .about(user)
        .with("by", "provider")
        .with("mail", &address);
    audit::note(tx, act, now).await
}

/// The place by which she came does not let her in any more: groups and the role that it gave her are taken
/// back, whatever else she holds.
pub async fn take_back(
    tx: &mut Tx,
    user: &User,
    subject: &Subject,
    grants: &Grants,
    now: Millis,
) -> sqlx::Result<()> {
    let known = db::identities::find(tx, subject).await?;
    let Some(known) = known.filter(|known| known.user_id == user.id) else {
        return Ok(());
    };
    let told: Vec<String> = serde_json::from_str(&known.groups).unwrap_or_default();
    leave(tx, user, &told, grants, now).await?;
    if known.admin && user.admin {
        db::users::set_admin(tx, &user.id, false).await?;
        revocations::announce(tx, user.name.as_str(), now).await?;
        note_role(tx, user, false, "provider", now).await?;
    }
    db::identities::update(tx, subject, "[]", false, now).await
}

async fn leave(
    tx: &mut Tx,
    user: &User,
    groups_left: &[String],
    grants: &Grants,
    now: Millis,
) -> sqlx::Result<()> {
    let who = std::slice::from_ref(&user.name);
    for group in groups_left {
        if db::groups::remove_member(tx, group, &user.id).await? {
            groups::announce(tx, grants, group, who, now).await?;
        }
    }
    Ok(())
}

/// This mark leads to her no more: what it gave her is taken back, and all that she is signed in with ends.
/// Which platform's mark made her a member of its courses is not written down, so she leaves all of them.
pub async fn forget_mark(
    tx: &mut Tx,
    user: &User,
    subject: &Subject,
    grants: &Grants,
    now: Millis,
) -> sqlx::Result<()> {
    take_back(tx, user, subject, grants, now).await?;
    let mut of_platforms = db::groups::names_of(tx, &user.id).await?;
    of_platforms.retain(|group| is_platforms(group));
    leave(tx, user, &of_platforms, grants, now).await?;
    db::identities::delete(tx, subject).await?;
    posix::forget_mark(tx, user, subject).await?;
    db::sessions::end_all(tx, &user.id).await?;
    revocations::announce(tx, user.name.as_str(), now).await
}

/// Whose row this identity is, by its mark and not by its name.
///
/// Invariant: a row that an identity or a password leads to is given to no other identity. What leads
/// nowhere yet (somebody was made, or put into a group, before she first came) is given by its name
/// only to who comes from a place that may have it.
async fn owner(
    tx: &mut Tx,
    identity: &Identity,
    subject: &Subject,
    in_force: InForce<'_>,
    now: Millis,
) -> sqlx::Result<Result<(User, Option<db::identities::Known>), NotHers>> {
    if db::identities::find(tx, subject).await?.is_none() {
        // Whoever has the code for it would come into her account, or she into that one's.
        if sittings::keeps(tx, &identity.name, now).await? {
            return Ok(Err(NotHers::Numbered));
        }
        let (user, is_new) = match create(tx, &identity.name, now).await? {
            Some(user) => {
                note_made(tx, &user, now).await?;
                (user, true)
            }
            None => (ensure(tx, &identity.name, now).await?, false),
        };
        // Two who bring the same name wait for each other here.
        db::servers::lock_owner(tx, &user.id).await?;
        let is_free = !db::identities::lead_to(tx, &user.id).await?
            && !lyceum_auth::local::is_there(tx, &user.name).await?;
        // Her other tab may have been faster; then what it wrote counts.
        if is_free {
            let adopts = identity.adopts;
            if rules_over_others(tx, &user, in_force).await? {
                if !adopts.administrators {
                    return Ok(Err(NotHers::Administrator));
                }
            } else if !is_new && !adopts.people {
                return Ok(Err(NotHers::Made));
            }
            db::identities::insert(tx, subject, &user.id, now).await?;
        }
    }
    let Some(known) = db::identities::find(tx, subject).await? else {
        return Ok(Err(NotHers::Taken));
    };
    let user = db::users::get(tx, &known.user_id).await?;
    // Admission was asked for this name; whoever was renamed since then asks again.
    let user = user.filter(|user| user.name == identity.name);
    Ok(user.map(|user| (user, Some(known))).ok_or(NotHers::Taken))
}

/// Whether the account may do more than look after itself: by its row, by the configuration that will
/// raise it, or by a role that her name or one of her groups has.
pub(crate) async fn rules_over_others(
    tx: &mut Tx,
    user: &User,
    in_force: InForce<'_>,
) -> sqlx::Result<bool> {
    if user.admin || in_force.admins.contains(&user.name) {
        return Ok(true);
    }
    if in_force.has_power_in_courses {
        return Ok(true);
    }
    let grants = in_force.grants;
    let mut groups = db::groups::names_of(tx, &user.id).await?;
    // The configuration puts her into these as soon as she is there.
    groups.extend(grants.groups_naming(&user.name));
    let owner = Owner::user(user.name.clone());
    let everybodys = grants.scopes_of([crate::grants::USER]).resolve(&owner);
    let everybodys: BTreeSet<_> = everybodys.to_list().into_iter().collect();
    let hers = grants.scopes_of_user(&user.name, user.admin, &groups);
    let is_own = |filter: &Filter| match filter {
        Filter::User(name) | Filter::Server { user: name, .. } => *name == user.name,
        _ => false,
    };
    let beyond = hers
        .resolve(&owner)
        .iter()
        .filter(|scope| !is_own(&scope.filter))
        .collect::<ScopeSet>();
    Ok(beyond
        .to_list()
        .iter()
        .any(|scope| !everybodys.contains(scope)))
}

/// Puts her into the groups that the place tells and takes her out of those that it told before. Groups
/// into which somebody here has put her are left alone. Gives those to remember, as JSON.
async fn bring_groups(
    tx: &mut Tx,
    user: &User,
    identity: &Identity,
    known: &db::identities::Known,
    grants: &Grants,
    now: Millis,
) -> sqlx::Result<String> {
    let before: BTreeSet<String> = serde_json::from_str(&known.groups).unwrap_or_default();
    let Some(told) = &identity.groups else {
        return Ok(known.groups.clone());
    };
    // Who is in a course at a learning platform that platform says.
    let told: BTreeSet<&String> = told.iter().filter(|group| !is_platforms(group)).collect();
    let mut given = BTreeSet::new();
    let who = std::slice::from_ref(&user.name);
    for group in before.iter().filter(|group| !told.contains(group)) {
        if db::groups::remove_member(tx, group, &user.id).await? {
            groups::announce(tx, grants, group, who, now).await?;
        }
    }
    let there: BTreeSet<String> = db::groups::names_of(tx, &user.id)
        .await?
        .into_iter()
        .collect();
    for group in told {
        if there.contains(group) {
            if before.contains(group) {
                given.insert(group);
            }
            continue;
        }
        db::groups::ensure(tx, group, now).await?;
        if db::groups::add_member(tx, group, &user.id).await? {
            groups::announce(tx, grants, group, who, now).await?;
            given.insert(group);
        }
    }
    Ok(serde_json::json!(given).to_string())
}

/// Nobody else changes who may administer until the transaction ends: whoever then looks whether she
/// still may herself, sees what the others did.
pub async fn hold_administrators(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    settings::lock(tx, BY_CONFIGURATION, "[]", now).await
}

/// Makes somebody an administrator for good, whatever the configuration says later.
pub async fn grant_admin(tx: &mut Tx, user: &User, now: Millis) -> sqlx::Result<()> {
    let mut ids = configured(tx, now).await?;
    if ids.remove(&user.id) {
        keep_configured(tx, &ids, now).await?;
    }
    db::users::set_admin(tx, &user.id, true).await?;
    revocations::announce(tx, user.name.as_str(), now).await
}

/// Takes the role back. One whom the configuration names has it again after her next log-in.
pub async fn revoke_admin(tx: &mut Tx, user: &User, now: Millis) -> sqlx::Result<()> {
    db::users::set_admin(tx, &user.id, false).await?;
    revocations::announce(tx, user.name.as_str(), now).await
}

/// Keeps somebody out, or lets her in again. What she holds stays and counts for nothing meanwhile
/// ([`crate::Hub::shuts_out`]).
pub async fn set_blocked(tx: &mut Tx, user: &User, blocked: bool, now: Millis) -> sqlx::Result<()> {
    db::users::set_blocked(tx, &user.id, blocked.then_some(now.0)).await?;
    revocations::announce(tx, user.name.as_str(), now).await
}

/// Takes the role back from those whom the configuration gave it and no longer names. Tells who.
pub async fn follow_configuration(
    tx: &mut Tx,
    admins: &BTreeSet<UserName>,
    now: Millis,
) -> sqlx::Result<Vec<UserName>> {
    let ids = configured(tx, now).await?;
    let (mut kept, mut lost) = (BTreeSet::new(), Vec::new());
    for id in &ids {
        let Some(user) = db::users::get(tx, id).await? else {
            continue;
        };
        if admins.contains(&user.name) {
            kept.insert(id.clone());
        } else if user.admin {
            db::users::set_admin(tx, id, false).await?;
            revocations::announce(tx, user.name.as_str(), now).await?;
            note_role(tx, &user, false, "configuration", now).await?;
            lost.push(user.name);
        }
    }
    if kept != ids {
        keep_configured(tx, &kept, now).await?;
    }
    Ok(lost)
}

/// The ids of those who are administrators because the configuration says so; nobody else changes
/// them until the transaction ends.
async fn configured(tx: &mut Tx, now: Millis) -> sqlx::Result<BTreeSet<String>> {
    settings::lock(tx, BY_CONFIGURATION, "[]", now).await?;
    let text = settings::get(tx, BY_CONFIGURATION).await?;
    // What is not readable is as good as nothing: roles stay where they are.
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

async fn keep_configured(tx: &mut Tx, ids: &BTreeSet<String>, now: Millis) -> sqlx::Result<()> {
    let text = serde_json::json!(ids).to_string();
    settings::set(tx, BY_CONFIGURATION, &text, now).await
}

/// A folder name: readable, lower case, unique by the id's random end.
fn home_name(name: &UserName, id: &str) -> String {
    let mut words: String = name
        .as_str()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .collect();
    words.truncate(40);
    let words = words.trim_matches(['.', '-']);
    format!("{words}-{}", &id[id.len().saturating_sub(8)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_safe_and_differ() {
        let name = |text: &str| UserName::parse(text).expect("a good name");
        let id = "01kb0000000000000000abcdefgh";
        assert_eq!(home_name(&name("ada"), id), "ada-abcdefgh");
        assert_eq!(home_name(&name("a+b@x.org"), id), "a-b-x.org-abcdefgh");
        assert!(home_name(&name(&"a".repeat(128)), id).len() < 60);
    }
}
