//! What somebody may do at this moment: the one place where roles, groups and tokens come together.
//!
//! A person holds what her roles and those of her groups grant, what she is in courses that have servers
//! ([`crate::course_servers`]), and what was shared with her; a service what its roles grant; a token no more than its owner. Scopes can be narrowed down to groups, so whoever asks has to know
//! who is in these: they are looked up when such a scope is held, and only then, in the
//! transaction in which it was looked up who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use lyceum_model::name::UserName;
use lyceum_model::scope::{Members, Owner, ScopeSet};
use lyceum_store::Tx;

use crate::db::tokens::Token;
use crate::db::users::User;
use crate::services::Known;
use crate::{Hub, Settings, course_servers, db, oauth, services, shares};

/// What a person or a service holds, and what is known of groups.
pub struct Standing {
    settings: Arc<Settings>,
    owner: Owner,
    /// Expanded, with the owner filled in.
    held: ScopeSet,
    /// What of it came by shares; expanded too.
    shared: ScopeSet,
    /// What of it opens servers of courses to those who teach there; expanded too.
    by_courses: ScopeSet,
    groups: Vec<String>,
    members: Members,
    /// Only this person is of interest, who is in these groups.
    toward: Option<(UserName, Vec<String>)>,
}

impl Standing {
    pub async fn of_user(hub: &Hub, tx: &mut Tx, user: &User) -> sqlx::Result<Self> {
        Self::begin_user(hub, tx, user, None).await
    }

    /// As [`Standing::of_user`], for questions about one person and what is hers: of the groups it
    /// is known whether she is in them.
    pub async fn of_user_toward(
        hub: &Hub,
        tx: &mut Tx,
        user: &User,
        other: &User,
    ) -> sqlx::Result<Self> {
        let groups = db::groups::names_of(tx, &other.id).await?;
        let toward = Some((other.name.clone(), groups));
        Self::begin_user(hub, tx, user, toward).await
    }

    /// As [`Standing::of_user_toward`], without what was shared with her: what she can give others
    /// rests on this in the end.
    pub async fn by_roles_toward(
        hub: &Hub,
        tx: &mut Tx,
        user: &User,
        (other, other_id): (&UserName, &str),
    ) -> sqlx::Result<Self> {
        let groups = db::groups::names_of(tx, other_id).await?;
        let toward = Some((other.clone(), groups));
        Self::by_roles(hub, tx, user, toward).await
    }

    async fn begin_user(
        hub: &Hub,
        tx: &mut Tx,
        user: &User,
        toward: Option<(UserName, Vec<String>)>,
    ) -> sqlx::Result<Self> {
        let (groups, shares) = db::groups::names_and_shares_of(tx, &user.id).await?;
        let mut standing = Self::with_groups(hub, tx, user, groups, toward).await?;
        if shares {
            standing.shared = shares::held_by(hub, tx, &user.id).await?.expand();
            standing.held.extend(standing.shared.iter());
        }
        Ok(standing)
    }

    async fn by_roles(
        hub: &Hub,
        tx: &mut Tx,
        user: &User,
        toward: Option<(UserName, Vec<String>)>,
    ) -> sqlx::Result<Self> {
        let groups = db::groups::names_of(tx, &user.id).await?;
        Self::with_groups(hub, tx, user, groups, toward).await
    }

    async fn with_groups(
        hub: &Hub,
        tx: &mut Tx,
        user: &User,
        groups: Vec<String>,
        toward: Option<(UserName, Vec<String>)>,
    ) -> sqlx::Result<Self> {
        let settings = hub.settings();
        let granted = settings
            .grants
            .scopes_of_user(&user.name, user.admin, &groups);
        let owner = Owner::user(user.name.clone());
        let by_courses = course_servers::scopes_of(hub, &user.name, &groups).expand();
        let mut standing = Self::begin(settings, tx, owner, granted, groups, toward).await?;
        standing.held.extend(by_courses.iter());
        standing.by_courses = by_courses;
        Ok(standing)
    }

    pub async fn of_service(hub: &Hub, tx: &mut Tx, known: &Known) -> sqlx::Result<Self> {
        let settings = hub.settings();
        let roles = known.roles(&settings.grants);
        let granted = settings.grants.scopes_of(roles);
        let owner = Owner::service(&known.name);
        Self::begin(settings, tx, owner, granted, Vec::new(), None).await
    }

    async fn begin(
        settings: Arc<Settings>,
        tx: &mut Tx,
        owner: Owner,
        granted: ScopeSet,
        groups: Vec<String>,
        toward: Option<(UserName, Vec<String>)>,
    ) -> sqlx::Result<Self> {
        let mut standing = Self {
            held: granted.resolve(&owner).expand(),
            shared: ScopeSet::new(),
            by_courses: ScopeSet::new(),
            settings,
            owner,
            groups,
            members: Members::default(),
            toward,
        };
        let held = standing.held.clone();
        standing.know(tx, &held).await?;
        Ok(standing)
    }

    /// Looks up who is in the groups that a set is narrowed down to.
    pub async fn know(&mut self, tx: &mut Tx, set: &ScopeSet) -> sqlx::Result<()> {
        for group in set.groups() {
            if self.members.knows(group) {
                continue;
            }
            let members = match &self.toward {
                None => db::groups::members(tx, group).await?,
                Some((name, groups)) if groups.iter().any(|one| one == group) => {
                    BTreeSet::from([name.clone()])
                }
                Some(_) => BTreeSet::new(),
            };
            self.members.set(group, members);
        }
        Ok(())
    }

    /// What a token of this owner may do.
    pub async fn token(&mut self, tx: &mut Tx, token: &Token) -> sqlx::Result<ScopeSet> {
        let settings = Arc::clone(&self.settings);
        let asked = oauth::stored_scopes(&settings.grants.vocabulary, &token.scopes);
        let mut owner = self.owner.clone();
        let mut limit = None;
        if let Some(id) = &token.oauth_client {
            let client = match services::by_client(&settings.grants, tx, id).await? {
                Some(known) => {
                    owner.service = Some(known.name.clone());
                    Some(oauth::Client::from(known))
                }
                None => {
                    let server = db::servers::by_client(tx, id).await?;
                    server.map(oauth::Client::Server)
                }
            };
            let Some(client) = client else {
                // It was taken away, and nothing says any more what it may have.
                return Ok(ScopeSet::new());
            };
            limit = client.most(&settings.grants);
        }
        self.know(tx, &asked).await?;
        let granted = asked.grant(&owner, &self.held, &self.members);
        // The configuration may let the client have less than when it was given the token.
        let Some(limit) = limit else {
            return Ok(granted);
        };
        let limit = limit.resolve(&owner).expand();
        self.know(tx, &limit).await?;
        Ok(granted.intersect(&limit, &self.members))
    }

    pub fn held(&self) -> &ScopeSet {
        &self.held
    }

    pub fn shared(&self) -> &ScopeSet {
        &self.shared
    }

    pub fn by_courses(&self) -> &ScopeSet {
        &self.by_courses
    }

    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The groups she is in, and who is in those that were looked up.
    pub fn into_parts(self) -> (Vec<String>, Arc<Members>) {
        (self.groups, Arc::new(self.members))
    }
}
