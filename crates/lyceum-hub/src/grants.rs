//! What the configuration grants: roles and who has them, scopes of one's own, groups, services.
//! JupyterHub's `load_roles`, `custom_scopes`, `load_groups` and `services`, checked.
//!
//! Nobody's roles are kept in a row: they follow from a person's name, whether she is an
//! administrator, and the groups she is in, so that an edit holds at once for all that was given
//! before. What is in rows is brought up to date by [`follow`]. What it all amounts to for somebody
//! is in [`crate::standing`].

use std::collections::{BTreeMap, BTreeSet};

use lyceum_model::base::BasePath;
use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::scope::{
    Owner, ScopeSet, Vocabulary, admin_role, server_role, token_role, user_role,
};
use lyceum_model::secret::Secret;
use lyceum_model::server::RunAs;
use lyceum_store::{Tx, events};
use serde_json::{Map, Value};

use crate::audit::{self, Act, Doer, What};
use crate::db::services::Row;
use crate::jobs::revocations;
use crate::{db, groups, services, users};

/// Everybody has it.
pub const USER: &str = "user";
pub const ADMIN: &str = "admin";
/// What the token of a notebook server may do.
pub const SERVER: &str = "server";
/// What a token may do that was asked for without more words.
pub const TOKEN: &str = "token";

/// The OAuth client of each service begins so.
pub const CLIENT_PREFIX: &str = "service-";

/// The roles there always are. The configuration may give them other scopes, except `admin`.
pub fn default_roles() -> [(&'static str, &'static str, ScopeSet); 4] {
    [
        (USER, "Standard user privileges", user_role()),
        (ADMIN, "Elevated privileges (can do anything)", admin_role()),
        (SERVER, "Post activity only", server_role()),
        (
            TOKEN,
            "Token with same permissions as its owner",
            token_role(),
        ),
    ]
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    pub vocabulary: Vocabulary,
    /// Invariant: the four default ones are among them.
    pub roles: BTreeMap<String, Role>,
    pub groups: BTreeMap<String, GroupWish>,
    pub services: BTreeMap<String, Service>,
    /// What a visitor's token for a notebook server may do, besides letting her in and saying who
    /// she is.
    pub server_clients: ScopeSet,
    /// Clients of the OAuth provider must show that a code was meant for them (RFC 7636).
    pub needs_pkce: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    pub description: String,
    /// As written: not expanded, the owner not filled in.
    pub scopes: ScopeSet,
    pub users: BTreeSet<UserName>,
    pub groups: BTreeSet<String>,
    pub services: BTreeSet<String>,
}

/// A group that is to be there. People are added to it and never taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupWish {
    pub users: BTreeSet<UserName>,
    /// Take the place of those it has.
    pub properties: Option<Map<String, Value>>,
}

/// A program beside the hub that speaks to its API, or that people sign in to by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Where it answers. The proxy leads `/services/NAME/` there.
    pub url: Option<String>,
    pub admin: bool,
    /// Of its API token, which is its OAuth secret too.
    pub token_hash: Option<String>,
    pub client_id: String,
    /// Where it is returned to with a code; `None`: below its own prefix.
    pub redirect_uri: Option<String>,
    /// What a person's token for it may do, besides letting her in and saying who she is.
    pub allowed_scopes: ScopeSet,
    pub no_confirm: bool,
    pub display: bool,
    pub info: Map<String, Value>,
    /// How the hub runs it itself; none: somebody else does.
    pub managed: Option<Managed>,
}

/// How a service is run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managed {
    pub command: Vec<String>,
    pub environment: BTreeMap<String, String>,
    /// Where it begins, if not in a folder of its own.
    pub folder: Option<String>,
    pub run_as: Option<RunAs>,
    /// What it proves itself with. None: made when the hub starts.
    pub token: Option<Secret>,
}

impl Default for Grants {
    fn default() -> Self {
        let roles = default_roles().map(|(name, description, scopes)| {
            let role = Role {
                description: description.to_owned(),
                scopes,
                ..Role::default()
            };
            (name.to_owned(), role)
        });
        Self {
            vocabulary: Vocabulary::default(),
            roles: roles.into(),
            groups: BTreeMap::new(),
            services: BTreeMap::new(),
            server_clients: ScopeSet::new(),
            needs_pkce: false,
        }
    }
}

impl Grants {
    /// The roles of a person herself; her groups' are [`Grants::roles_of_group`].
    pub fn roles_of_user<'a>(&'a self, name: &UserName, admin: bool) -> BTreeSet<&'a str> {
        let own = |role: &str| role == USER || (admin && role == ADMIN);
        self.named(|role, is| own(role) || is.users.contains(name))
    }

    /// All roles of a person, her groups' among them.
    pub fn all_roles_of(&self, name: &UserName, admin: bool, groups: &[String]) -> Vec<String> {
        let mut roles = self.roles_of_user(name, admin);
        for group in groups {
            roles.extend(self.roles_of_group(group));
        }
        roles.into_iter().map(str::to_owned).collect()
    }

    /// The groups into which the configuration puts whoever has this name.
    pub fn groups_naming(&self, name: &UserName) -> impl Iterator<Item = String> {
        let groups = self.groups.iter();
        let groups = groups.filter(|(_, wish)| wish.users.contains(name));
        groups.map(|(group, _)| group.clone())
    }

    pub fn roles_of_group(&self, group: &str) -> BTreeSet<&str> {
        self.named(|_, is| is.groups.contains(group))
    }

    /// Those that name it; one that is an administrator has [`ADMIN`] besides.
    pub fn roles_of_service(&self, service: &str) -> BTreeSet<&str> {
        self.named(|_, is| is.services.contains(service))
    }

    fn named(&self, has: impl Fn(&str, &Role) -> bool) -> BTreeSet<&str> {
        let roles = self.roles.iter().filter(|(name, role)| has(name, role));
        roles.map(|(name, _)| name.as_str()).collect()
    }

    /// What roles grant, as written.
    pub fn scopes_of<'a>(&self, roles: impl IntoIterator<Item = &'a str>) -> ScopeSet {
        let roles = roles.into_iter().filter_map(|name| self.roles.get(name));
        roles.flat_map(|role| role.scopes.iter()).collect()
    }

    /// All that a person's roles and those of her groups grant, as written.
    pub fn scopes_of_user(&self, name: &UserName, admin: bool, groups: &[String]) -> ScopeSet {
        let mut roles = self.roles_of_user(name, admin);
        roles.extend(groups.iter().flat_map(|group| self.roles_of_group(group)));
        self.scopes_of(roles)
    }

    /// What a token may do that was asked for without more words.
    pub fn token_scopes(&self) -> Vec<String> {
        self.scopes_of([TOKEN]).to_list()
    }

    /// What the token of a notebook server may do.
    pub fn server_scopes(&self, user: &UserName, server: &ServerName) -> Vec<String> {
        let owner = Owner::server(user.clone(), server.clone());
        self.scopes_of([SERVER]).resolve(&owner).to_list()
    }

    /// The service that holds this token, and its name.
    pub fn service_by_token(&self, token_hash: &str) -> Option<(&str, &Service)> {
        self.service(|one| one.token_hash.as_deref() == Some(token_hash))
    }

    /// The service of an OAuth client.
    pub fn service_by_client(&self, client_id: &str) -> Option<(&str, &Service)> {
        self.service(|one| one.client_id == client_id && one.is_client())
    }

    /// Gives each service that the hub runs a token, where the configuration names none.
    pub fn fill_tokens(&mut self, make: impl Fn(&str) -> Secret) {
        for (name, service) in &mut self.services {
            let Some(managed) = &mut service.managed else {
                continue;
            };
            let token = managed.token.get_or_insert_with(|| make(name));
            service.token_hash = Some(crate::tokens::hash(token.expose()));
        }
    }

    fn service(&self, is: impl Fn(&Service) -> bool) -> Option<(&str, &Service)> {
        let found = self.services.iter().find(|(_, service)| is(service))?;
        Some((found.0, found.1))
    }
}

impl Service {
    /// Whether people can sign in to it by the hub.
    pub fn is_client(&self) -> bool {
        self.token_hash.is_some() && (self.redirect_uri.is_some() || self.url.is_some())
    }
}

/// The id of a service's route. No server is called so.
pub fn service_route(name: &str) -> String {
    format!("service/{name}")
}

pub fn service_of_route(id: &str) -> Option<&str> {
    id.strip_prefix("service/")
}

/// `/services/NAME/`
pub fn service_prefix(base: &BasePath, name: &str) -> String {
    base.at(&format!("/services/{}/", crate::servers::encode(name)))
}

/// Brings the rows up to what the configuration says: groups with their people, routes of services.
/// Of services that are gone, what people's browsers held through them ends.
pub async fn follow(tx: &mut Tx, grants: &Grants, now: Millis) -> sqlx::Result<()> {
    let named = grants.roles.values().flat_map(|role| role.groups.iter());
    // Lists are in the order in which groups came.
    for (later, group) in (0..).zip(grants.groups.keys().chain(named)) {
        db::groups::ensure(tx, group, now.plus(later)).await?;
    }
    for user in grants.roles.values().flat_map(|role| role.users.iter()) {
        users::ensure(tx, user, now).await?;
    }
    for (group, wish) in &grants.groups {
        let there = db::groups::members(tx, group).await?;
        let mut added = Vec::new();
        for name in wish.users.difference(&there) {
            let user = users::ensure(tx, name, now).await?;
            db::groups::add_member(tx, group, &user.id).await?;
            let nobody = Doer::nobody();
            let act = Act::new(&nobody, What::MemberAdded)
                .about(&user)
                .with("group", group)
                .with("by", "configuration");
            audit::note(tx, act, now).await?;
            added.push(user.name);
        }
        if !added.is_empty() {
            groups::announce(tx, grants, group, &added, now).await?;
        }
        if let Some(properties) = &wish.properties {
            let text = Value::Object(properties.clone()).to_string();
            db::groups::set_properties(tx, group, &text).await?;
        }
    }
    follow_services(tx, grants, now).await
}

async fn follow_services(tx: &mut Tx, grants: &Grants, now: Millis) -> sqlx::Result<()> {
    let rows = db::services::all(tx).await?;
    for row in &rows {
        let configured = grants.services.contains_key(&row.name);
        if configured && row.made.is_some() {
            tracing::warn!(
                service = row.name,
                "the configuration names a service that was made by the API; the configuration's is in force"
            );
        }
        // One that the API made stays until the API deletes it.
        let routed = (grants.services.get(&row.name)).is_some_and(|one| one.url.is_some());
        if !routed && (configured || row.made.is_none()) {
            db::services::delete(tx, &row.name).await?;
            announce_route(tx, &row.name, now).await?;
        }
    }
    for (name, service) in &grants.services {
        let wanted = Row {
            name: name.clone(),
            url: service.url.clone(),
            made: None,
            token_hash: None,
            client_id: None,
        };
        if wanted.url.is_some() && !rows.contains(&wanted) {
            db::services::put(tx, &wanted).await?;
            announce_route(tx, name, now).await?;
        }
    }
    // What one gave that is gone would come back with another of its name.
    for giver in db::shares::services_that_gave(tx).await? {
        let name = giver.strip_prefix(groups::SERVICE_MARK).unwrap_or_default();
        let made = rows
            .iter()
            .any(|row| row.name == name && row.made.is_some());
        if !made && !grants.services.contains_key(name) {
            revocations::announce(tx, &giver, now).await?;
            db::shares::forget_giver(tx, &giver).await?;
        }
    }
    for client in db::services::clients(tx).await? {
        if services::by_client(grants, tx, &client).await?.is_none() {
            end_client(tx, &client, now).await?;
        }
    }
    Ok(())
}

/// Ends what people's browsers hold through a service that is gone.
pub async fn end_client(tx: &mut Tx, client_id: &str, now: Millis) -> sqlx::Result<()> {
    for owner in db::tokens::delete_of_client(tx, client_id).await? {
        revocations::announce(tx, &owner, now).await?;
    }
    Ok(())
}

/// The topic under which a changed route of a service is published; the subject is its name.
pub const SERVICE_TOPIC: &str = "service";

pub async fn announce_route(tx: &mut Tx, name: &str, now: Millis) -> sqlx::Result<()> {
    events::publish(tx, SERVICE_TOPIC, name, &serde_json::json!({}), now).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).expect("a good name")
    }

    #[test]
    fn roles_come_from_the_name_from_groups_and_by_default() {
        let mut grants = Grants::default();
        let tutor = Role {
            scopes: ScopeSet::parse(["list:users!group=course"]).expect("good"),
            users: [name("ada")].into(),
            groups: ["staff".to_owned()].into(),
            services: ["grader".to_owned()].into(),
            ..Role::default()
        };
        grants.roles.insert("tutor".into(), tutor);
        let check = |roles: BTreeSet<&str>, expect: &[&str]| {
            assert_eq!(roles.into_iter().collect::<Vec<_>>(), expect);
        };
        check(
            grants.roles_of_user(&name("ada"), false),
            &["tutor", "user"],
        );
        check(grants.roles_of_user(&name("ben"), true), &["admin", "user"]);
        check(grants.roles_of_group("staff"), &["tutor"]);
        check(grants.roles_of_group("course"), &[]);
        check(grants.roles_of_service("grader"), &["tutor"]);
        check(grants.roles_of_service("nobody"), &[]);
        let of_ben = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|&name| name.into()).collect();
            grants
                .scopes_of_user(&name("ben"), false, &groups)
                .to_list()
        };
        assert_eq!(of_ben(&["course"]), ["self"]);
        assert_eq!(of_ben(&["staff"]), ["list:users!group=course", "self"]);
    }
}
