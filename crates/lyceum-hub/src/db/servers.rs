//! Servers as rows. Every change of state is a compare-and-set: it says from which state it leads
//! and answers whether it happened, so two replicas or two clicks can't both win.
//!
//! Here they are read. What people and programs wish is written by `servers/wishes.rs`, what the
//! replica with the lease does by `servers/lease.rs`, and what it tells on the way by
//! `servers/steps.rs`.

mod lease;
mod steps;
mod wishes;

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_store::{Tx, on};

use crate::db::users::User;
use crate::servers::State;

pub use lease::{
    claim, postpone, release, release_all, release_of, renew, renew_all, set_ended, set_gone,
    set_moved, set_ready, set_robbed, set_starting, set_stop_trouble, set_stopping, set_stray,
    unwanted,
};
pub use steps::{Step, add_step, forget_steps, steps};
pub use wishes::{
    Order, Wished, any_unwanted, cancel_queued, change, delete, insert, lock_owner,
    remove_unwanted, request_removal, request_start, request_stop, set_display_name, touch,
};
/// The options of whoever chose nothing.
pub const NO_CHOICE: &str = "{}";

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Server {
    pub id: String,
    pub user_id: String,
    #[sqlx(try_from = "String")]
    pub user_name: UserName,
    #[sqlx(try_from = "String")]
    pub name: ServerName,
    pub key: String,
    pub client_id: String,
    pub display_name: Option<String>,
    #[sqlx(try_from = "String")]
    pub state: State,
    pub generation: i64,
    pub spec: Option<String>,
    /// What the last start was made from.
    pub user_options: String,
    /// See [`Server::choice`].
    pub kept_choice: Option<String>,
    pub address: Option<String>,
    /// Why the last start failed, in English; see [`Server::why_failed`].
    pub failure: Option<String>,
    pub failure_saying: Option<String>,
    /// Why its stop does not work, as long as it does not; see [`Server::why_not_stopped`].
    pub stop_trouble: Option<String>,
    pub stop_trouble_saying: Option<String>,
    pub created_at: i64,
    pub requested_at: Option<i64>,
    pub started_at: Option<i64>,
    pub ready_at: Option<i64>,
    pub stopped_at: Option<i64>,
    pub last_activity_at: Option<i64>,
    pub stop_requested_at: Option<i64>,
    pub lease_owner: Option<String>,
    pub lease_until: Option<i64>,
    /// When it was last given a place among the starts under way, and when it gave it back.
    pub placed_at: Option<i64>,
    pub unplaced_at: Option<i64>,
    /// The slug of the profile that its last start was made from, and the id of its course.
    pub profile: Option<String>,
    pub course: Option<String>,
    /// What starts of it have in common that fail together.
    pub environment: Option<String>,
}

impl Server {
    /// One of which there is no row yet: it never ran.
    pub fn unborn(owner: &User, name: ServerName) -> Self {
        Self {
            id: String::new(),
            user_id: owner.id.clone(),
            user_name: owner.name.clone(),
            name,
            key: String::new(),
            client_id: String::new(),
            display_name: None,
            state: State::Stopped,
            generation: 0,
            spec: None,
            user_options: NO_CHOICE.into(),
            kept_choice: None,
            address: None,
            failure: None,
            failure_saying: None,
            stop_trouble: None,
            stop_trouble_saying: None,
            created_at: 0,
            requested_at: None,
            started_at: None,
            ready_at: None,
            stopped_at: None,
            last_activity_at: None,
            stop_requested_at: None,
            lease_owner: None,
            lease_until: None,
            placed_at: None,
            unplaced_at: None,
            profile: None,
            course: None,
            environment: None,
        }
    }

    /// What she chose when she last did; a start for which that was not offered has left it alone.
    pub fn choice(&self) -> &str {
        match &self.kept_choice {
            Some(choice) if self.user_options == NO_CHOICE => choice,
            _ => &self.user_options,
        }
    }

    /// As its row is after [`request_start`].
    pub fn requested(&self, order: &Order<'_>, generation: i64, now: i64) -> Self {
        Self {
            id: self.id.clone(),
            user_id: self.user_id.clone(),
            user_name: self.user_name.clone(),
            name: self.name.clone(),
            key: self.key.clone(),
            client_id: self.client_id.clone(),
            display_name: self.display_name.clone(),
            created_at: self.created_at,
            stopped_at: self.stopped_at,
            last_activity_at: self.last_activity_at,
            placed_at: self.placed_at,
            unplaced_at: self.unplaced_at,
            state: State::Queued,
            generation,
            spec: Some(order.spec.into()),
            user_options: order.options.into(),
            kept_choice: order.kept_choice.map(str::to_owned),
            address: None,
            failure: None,
            failure_saying: None,
            stop_trouble: None,
            stop_trouble_saying: None,
            requested_at: Some(now),
            started_at: None,
            ready_at: None,
            stop_requested_at: None,
            lease_owner: None,
            lease_until: None,
            profile: order.profile.map(str::to_owned),
            course: order.course.map(str::to_owned),
            environment: Some(order.environment.into()),
        }
    }

    /// Why the last start failed.
    pub fn why_failed(&self) -> Option<Saying> {
        let text = self.failure.as_deref()?;
        Some(Saying::from_stored(text, self.failure_saying.as_deref()))
    }

    /// Why it could not be stopped so far.
    pub fn why_not_stopped(&self) -> Option<Saying> {
        let text = self.stop_trouble.as_deref()?;
        let stored = self.stop_trouble_saying.as_deref();
        (self.state == State::Stopping).then(|| Saying::from_stored(text, stored))
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.user_id, u.name AS user_name, s.name, s.key, s.client_id, s.display_name, s.state, s.generation, \
             s.spec, s.user_options, s.kept_choice, s.address, s.failure, s.failure_saying, s.stop_trouble, s.stop_trouble_saying, s.created_at, s.requested_at, s.started_at, s.ready_at, \
             s.stopped_at, s.last_activity_at, s.stop_requested_at, s.lease_owner, s.lease_until, s.placed_at, s.unplaced_at, \
             s.profile, s.course, s.environment \
             FROM servers s JOIN users u ON u.id = s.user_id ",
            $rest
        )
    };
}

pub async fn find(tx: &mut Tx, user_id: &str, name: &ServerName) -> sqlx::Result<Option<Server>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE s.user_id = $1 AND s.name = $2"
    ))
    .bind(user_id)
    .bind(name.as_str())
    .fetch_optional(c)
    .await)
}

pub async fn get(tx: &mut Tx, id: &str) -> sqlx::Result<Option<Server>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE s.id = $1"))
        .bind(id)
        .fetch_optional(c)
        .await)
}

pub async fn by_client(tx: &mut Tx, client_id: &str) -> sqlx::Result<Option<Server>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE s.client_id = $1"))
        .bind(client_id)
        .fetch_optional(c)
        .await)
}

/// All of a person's; how many that may be is a matter of [`named_of`], not of this.
pub async fn of_user(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE s.user_id = $1 ORDER BY s.name"
    ))
    .bind(user_id)
    .fetch_all(c)
    .await)
}

/// How many named servers a person has.
pub async fn named_of(tx: &mut Tx, user_id: &str) -> sqlx::Result<i64> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT COUNT(*) FROM servers WHERE user_id = $1 AND name <> ''"
    )
    .bind(user_id)
    .fetch_one(c)
    .await)
}

/// These servers, in no order.
pub async fn of_ids(tx: &mut Tx, ids: &[String]) -> sqlx::Result<Vec<Server>> {
    let sql = format!(
        "{} WHERE s.id IN ({})",
        select!("").trim_end(),
        super::users::places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(id);
        }
        query.fetch_all(c).await
    })
}

/// The servers of each of these people.
pub async fn of_users(tx: &mut Tx, ids: &[&str], at_rest: bool) -> sqlx::Result<Vec<Server>> {
    let state = match at_rest {
        true => "",
        false => " AND s.state IN ('queued', 'starting', 'ready', 'stopping')",
    };
    let sql = format!(
        "{} WHERE s.user_id IN ({}){state} ORDER BY s.name",
        select!("").trim_end(),
        super::users::places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

pub async fn by_key(tx: &mut Tx, key: &str) -> sqlx::Result<Option<Server>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE s.key = $1"))
        .bind(key)
        .fetch_optional(c)
        .await)
}

pub async fn in_state(tx: &mut Tx, state: State) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| sqlx::query_as(select!("WHERE s.state = $1"))
        .bind(state.as_str())
        .fetch_all(c)
        .await)
}

/// Ids and keys of all that are ready.
pub async fn ready(tx: &mut Tx) -> sqlx::Result<Vec<(String, String)>> {
    on!(tx, |c| sqlx::query_as(
        "SELECT id, key FROM servers WHERE state = 'ready'"
    )
    .fetch_all(c)
    .await)
}

/// Everything that is not at rest.
pub async fn active(tx: &mut Tx) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE s.state NOT IN ('stopped', 'failed')"
    ))
    .fetch_all(c)
    .await)
}

/// Servers of courses that are not at rest.
pub async fn active_of_courses(tx: &mut Tx) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE u.course IS NOT NULL AND s.state NOT IN ('stopped', 'failed')"
    ))
    .fetch_all(c)
    .await)
}

/// The default servers of owners with these names.
pub async fn default_of(tx: &mut Tx, owners: &[String]) -> sqlx::Result<Vec<Server>> {
    let sql = format!(
        "{} WHERE s.name = '' AND u.name IN ({})",
        select!("").trim_end(),
        super::users::places(1, owners.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for owner in owners {
            query = query.bind(owner);
        }
        query.fetch_all(c).await
    })
}

/// What a proxy must know of a server: its id, its owner's and its own name, its key, its address.
pub type RouteRow = (String, String, String, String, String);

/// Those of these servers that answer.
pub async fn routes_of(tx: &mut Tx, ids: &[&str]) -> sqlx::Result<Vec<RouteRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT s.id, u.name, s.name, s.key, s.address FROM servers s JOIN users u ON u.id = s.user_id \
         WHERE s.id IN ({}) AND s.state = 'ready' AND s.address IS NOT NULL",
        super::users::places(1, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// The id of somebody's server of that name.
pub async fn id_of(tx: &mut Tx, user_id: &str, name: &ServerName) -> sqlx::Result<Option<String>> {
    on!(tx, |c| sqlx::query_scalar(
        "SELECT id FROM servers WHERE user_id = $1 AND name = $2"
    )
    .bind(user_id)
    .bind(name.as_str())
    .fetch_optional(c)
    .await)
}

/// Every server that answers.
pub async fn routes(tx: &mut Tx) -> sqlx::Result<Vec<RouteRow>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT s.id, u.name, s.name, s.key, s.address FROM servers s JOIN users u ON u.id = s.user_id \
         WHERE s.state = 'ready' AND s.address IS NOT NULL"
    )
    .fetch_all(c)
    .await
    })
}

/// Keys of everything that may exist at the spawner.
pub async fn active_keys(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| sqlx::query_as(
        "SELECT key FROM servers WHERE state NOT IN ('stopped', 'failed')"
    )
    .fetch_all(c)
    .await)?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// Servers for the command line: those that are not at rest first, then the last failures.
pub async fn for_admin(tx: &mut Tx, limit: i64) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| {
        sqlx::query_as(select!(
        "WHERE s.state <> 'stopped' ORDER BY CASE s.state WHEN 'failed' THEN 1 ELSE 0 END, s.requested_at DESC LIMIT $1"
    ))
    .bind(limit)
    .fetch_all(c)
    .await
    })
}

/// A reason as the two columns keep it.
pub(super) fn columns(reason: Option<&Saying>) -> (Option<String>, Option<String>) {
    (
        reason.map(Saying::to_string),
        reason.and_then(Saying::to_stored),
    )
}

pub(super) fn changed(rows: sqlx::Result<u64>) -> sqlx::Result<bool> {
    rows.map(|rows| rows > 0)
}
