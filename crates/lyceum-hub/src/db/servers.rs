//! Servers as rows. Every change of state is a compare-and-set: it says from which state it leads
//! and answers whether it happened, so two replicas or two clicks can't both win.

use lyceum_model::clock::Millis;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_store::{Engine, Later, Tx, on};

use crate::db::users::User;
use crate::servers::State;

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
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.user_id, u.name AS user_name, s.name, s.key, s.client_id, s.display_name, s.state, s.generation, \
             s.spec, s.user_options, s.kept_choice, s.address, s.failure, s.failure_saying, s.created_at, s.requested_at, s.started_at, s.ready_at, \
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

pub async fn of_user(tx: &mut Tx, user_id: &str) -> sqlx::Result<Vec<Server>> {
    on!(tx, |c| sqlx::query_as(select!(
        "WHERE s.user_id = $1 ORDER BY s.name LIMIT 200"
    ))
    .bind(user_id)
    .fetch_all(c)
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

/// Says whether it was written; not when one of its names is taken.
pub async fn insert(tx: &mut Tx, server: &Server) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "INSERT INTO servers (id, user_id, name, key, client_id, display_name, state, generation, user_options, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9) ON CONFLICT DO NOTHING"
    )
    .bind(&server.id)
    .bind(&server.user_id)
    .bind(server.name.as_str())
    .bind(&server.key)
    .bind(&server.client_id)
    .bind(&server.display_name)
    .bind(server.state.as_str())
    .bind(&server.user_options)
    .bind(server.created_at)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Until the end of the transaction nobody else adds a server for this person. Tells her name now.
pub async fn lock_owner(tx: &mut Tx, user_id: &str) -> sqlx::Result<Option<String>> {
    let sql = match tx.engine() {
        Engine::Postgres => "SELECT name FROM users WHERE id = $1 FOR NO KEY UPDATE",
        // Whoever writes is alone.
        Engine::Sqlite => "SELECT name FROM users WHERE id = $1",
    };
    on!(tx, |c| sqlx::query_scalar(sql)
        .bind(user_id)
        .fetch_optional(c)
        .await)
}

/// What a start is made from, as the row keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// JSON.
    pub spec: &'a str,
    /// JSON.
    pub options: &'a str,
    /// What she chose, where the options are something else.
    pub kept_choice: Option<&'a str>,
    pub profile: Option<&'a str>,
    pub course: Option<&'a str>,
    /// What starts of it have in common that fail together.
    pub environment: &'a str,
}

/// A person wants it: stopped or failed → queued, as a new generation.
pub async fn request_start(
    tx: &mut Tx,
    id: &str,
    order: &Order<'_>,
    now: i64,
) -> sqlx::Result<Option<i64>> {
    let row: Option<(i64,)> = on!(tx, |c| {
        sqlx::query_as(
        "UPDATE servers SET state = 'queued', generation = generation + 1, spec = $2, user_options = $3, address = NULL, \
         failure = NULL, failure_saying = NULL, requested_at = $4, started_at = NULL, ready_at = NULL, stop_requested_at = NULL, \
         stop_reason = NULL, stop_reason_saying = NULL, profile = $5, course = $6, environment = $7, \
         remove_requested_at = NULL, lease_owner = NULL, lease_until = NULL, kept_choice = $8 \
         WHERE id = $1 AND state IN ('stopped', 'failed') RETURNING generation"
    )
    .bind(id)
    .bind(order.spec)
    .bind(order.options)
    .bind(now)
    .bind(order.profile)
    .bind(order.course)
    .bind(order.environment)
    .bind(order.kept_choice)
    .fetch_optional(c)
    .await
    })?;
    Ok(row.map(|(generation,)| generation))
}

/// A start that nobody has begun is no longer wanted: there is nothing of it, so it ends here.
/// Whoever has just taken its lease finds it gone.
pub async fn cancel_queued(
    tx: &mut Tx,
    id: &str,
    why: Option<&Saying>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(why);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'stopped', failure = $3, failure_saying = $4, stopped_at = $2, \
         stop_requested_at = NULL, lease_owner = NULL, lease_until = NULL WHERE id = $1 AND state = 'queued'"
    )
    .bind(id)
    .bind(now)
    .bind(&text)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// A person wants it gone: marks the wish; whoever holds the lease sees to it. A pause after a
/// failure ends with it. `why`: what is left as the reason of the end, if this is the first to wish it.
pub async fn request_stop(
    tx: &mut Tx,
    id: &str,
    why: Option<&Saying>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(why);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET stop_requested_at = COALESCE(stop_requested_at, $2), \
         stop_reason = CASE WHEN stop_requested_at IS NULL THEN $3 ELSE stop_reason END, \
         stop_reason_saying = CASE WHEN stop_requested_at IS NULL THEN $4 ELSE stop_reason_saying END, \
         state = CASE WHEN state = 'ready' THEN 'stopping' ELSE state END, \
         lease_until = CASE WHEN lease_owner IS NULL THEN NULL ELSE lease_until END \
         WHERE id = $1 AND state IN ('starting', 'ready', 'stopping')"
    )
    .bind(id)
    .bind(now)
    .bind(&text)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Takes rows' leases where nobody has them, and tells which those are. What waited in line has its
/// place from here.
pub async fn claim(
    tx: &mut Tx,
    ids: &[&str],
    owner: &str,
    now: i64,
    until: i64,
) -> sqlx::Result<Vec<String>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Two replicas that take up the same crowd wait for each other in one order.
    let lock = match tx.engine() {
        Engine::Postgres => "FOR UPDATE",
        Engine::Sqlite => "",
    };
    let sql = format!(
        "UPDATE servers SET lease_owner = $1, lease_until = $3, \
         placed_at = CASE WHEN state = 'queued' THEN $2 ELSE placed_at END, \
         unplaced_at = CASE WHEN state = 'queued' THEN NULL ELSE unplaced_at END \
         WHERE id IN (SELECT id FROM servers WHERE id IN ({}) AND (lease_until IS NULL OR lease_until < $2) \
         AND state IN ('queued', 'starting', 'stopping') ORDER BY id {lock}) RETURNING id",
        super::users::places(4, ids.len())
    );
    on!(tx, |c| {
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(now)
            .bind(until);
        for id in ids {
            query = query.bind(*id);
        }
        query.fetch_all(c).await
    })
}

/// Keeps all leases of a replica that lives, and tells which they are.
pub async fn renew_all(tx: &mut Tx, owner: &str, until: i64) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| sqlx::query_as(
        "UPDATE servers SET lease_until = $2 WHERE lease_owner = $1 RETURNING id"
    )
    .bind(owner)
    .bind(until)
    .fetch_all(c)
    .await)?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Keeps one lease, if it is still this owner's.
pub async fn renew(tx: &mut Tx, id: &str, owner: &str, until: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_until = $3 WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Gives a lease back, but nobody may take it before `until`: the work failed and needs a pause.
pub async fn postpone(tx: &mut Tx, id: &str, owner: &str, until: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = $3 WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// Servers that this replica is starting and that somebody has asked to stop.
pub async fn unwanted(tx: &mut Tx, owner: &str) -> sqlx::Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT id FROM servers WHERE state = 'starting' AND stop_requested_at IS NOT NULL AND lease_owner = $1"
    )
    .bind(owner)
    .fetch_all(c)
    .await
    })?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

pub async fn release(tx: &mut Tx, id: &str, owner: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// A replica goes.
pub async fn release_of(tx: &mut Tx, owner: &str) -> sqlx::Result<u64> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1"
    )
    .bind(owner)
    .execute(c)
    .await
    .map(|done| done.rows_affected()))
}

/// For the only replica of an embedded database: nobody else can hold a lease.
pub async fn release_all(tx: &mut Tx) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET lease_owner = NULL, lease_until = NULL WHERE lease_owner IS NOT NULL"
    )
    .execute(c)
    .await
    .map(|_| ()))
}

/// What the holder of the lease may write; its lease is new with it.
pub async fn set_starting(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    now: i64,
    until: i64,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'starting', started_at = COALESCE(started_at, $3), lease_until = $4 \
         WHERE id = $1 AND lease_owner = $2 AND state IN ('queued', 'starting')"
    )
    .bind(id)
    .bind(owner)
    .bind(now)
    .bind(until)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

pub async fn set_ready(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    address: &str,
    now: i64,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'ready', address = $4, ready_at = $3, last_activity_at = $3, \
         unplaced_at = COALESCE(unplaced_at, $3), lease_owner = NULL, lease_until = NULL \
         WHERE id = $1 AND lease_owner = $2 AND state = 'starting' AND stop_requested_at IS NULL",
        )
        .bind(id)
        .bind(owner)
        .bind(now)
        .bind(address)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A failure's reason goes with it, so that it survives a crash in the middle of the stop.
pub async fn set_stopping(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    failure: Option<&Saying>,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(failure);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = 'stopping', failure = COALESCE($3, failure), \
         failure_saying = CASE WHEN $3 IS NULL THEN failure_saying ELSE $4 END WHERE id = $1 AND lease_owner = $2"
    )
        .bind(id)
        .bind(owner)
        .bind(&text)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// Nothing of it is left at the spawner. `failure` is kept for the owner to read; without one, why
/// the stop was asked for, if the row says so.
pub async fn set_ended(
    tx: &mut Tx,
    id: &str,
    owner: &str,
    state: State,
    failure: Option<&Saying>,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(failure);
    changed(on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET state = $3, failure = COALESCE($4, stop_reason), \
         failure_saying = CASE WHEN $4 IS NULL THEN stop_reason_saying ELSE $6 END, address = NULL, stopped_at = $5, \
         stop_requested_at = NULL, unplaced_at = COALESCE(unplaced_at, $5), lease_owner = NULL, lease_until = NULL WHERE id = $1 AND lease_owner = $2"
    )
    .bind(id)
    .bind(owner)
    .bind(state.as_str())
    .bind(&text)
    .bind(now)
    .bind(&stored)
    .execute(c)
    .await
    .map(|done| done.rows_affected())
    }))
}

/// A ready server was found ended. Ready rows have no lease; state and generation guard.
pub async fn set_gone(
    tx: &mut Tx,
    server: &Server,
    reason: &Saying,
    now: i64,
) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(reason));
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopped', failure = $3, failure_saying = $5, address = NULL, stopped_at = $4 \
         WHERE id = $1 AND generation = $2 AND state = 'ready'",
        )
        .bind(&server.id)
        .bind(server.generation)
        .bind(&text)
        .bind(now)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A ready server whose port somebody else has: it is to be stopped, and has no address meanwhile.
pub async fn set_robbed(tx: &mut Tx, server: &Server, reason: &Saying) -> sqlx::Result<bool> {
    let (text, stored) = columns(Some(reason));
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopping', failure = $3, failure_saying = $4, address = NULL, \
         lease_owner = NULL, lease_until = NULL WHERE id = $1 AND generation = $2 AND state = 'ready'",
        )
        .bind(&server.id)
        .bind(server.generation)
        .bind(&text)
        .bind(&stored)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
}

/// A ready server answers elsewhere now.
pub async fn set_moved(tx: &mut Tx, server: &Server, address: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET address = $3 WHERE id = $1 AND generation = $2 AND state = 'ready'"
    )
    .bind(&server.id)
    .bind(server.generation)
    .bind(address)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Something runs under the key of a server at rest: it has to be stopped.
pub async fn set_stray(tx: &mut Tx, key: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| {
        sqlx::query(
            "UPDATE servers SET state = 'stopping', lease_owner = NULL, lease_until = NULL \
         WHERE key = $1 AND state IN ('stopped', 'failed')",
        )
        .bind(key)
        .execute(c)
        .await
        .map(|done| done.rows_affected())
    }))
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

pub async fn touch(tx: &mut Tx, id: &str, at: Millis) -> sqlx::Result<()> {
    on!(tx, |c| {
        sqlx::query(
        "UPDATE servers SET last_activity_at = $2 WHERE id = $1 AND (last_activity_at IS NULL OR last_activity_at < $2)"
    )
    .bind(id)
    .bind(at.0)
    .execute(c)
    .await
    .map(|_| ())
    })
}

pub async fn delete(tx: &mut Tx, id: &str) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "DELETE FROM servers WHERE id = $1 AND state IN ('stopped', 'failed')"
    )
    .bind(id)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// What of a server at rest can be changed. Its key, its client and its home stay. With other options
/// it is no longer of what it was started for the last time.
pub async fn change(
    tx: &mut Tx,
    id: &str,
    name: &ServerName,
    display_name: Option<&str>,
    options: &str,
    kept_choice: Option<&str>,
) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET name = $2, display_name = $3, user_options = $4, kept_choice = $5, \
         profile = CASE WHEN user_options = $4 THEN profile END, \
         course = CASE WHEN user_options = $4 THEN course END \
         WHERE id = $1 AND state IN ('stopped', 'failed')"
    )
    .bind(id)
    .bind(name.as_str())
    .bind(display_name)
    .bind(options)
    .bind(kept_choice)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

pub async fn set_display_name(tx: &mut Tx, id: &str, name: &str) -> sqlx::Result<()> {
    on!(tx, |c| sqlx::query(
        "UPDATE servers SET display_name = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(name)
    .execute(c)
    .await
    .map(|_| ()))
}

/// A person wants it forgotten once it has ended. A start that is asked for later takes that back.
/// Says whether nobody had wanted that before.
pub async fn request_removal(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    changed(on!(tx, |c| sqlx::query(
        "UPDATE servers SET remove_requested_at = $2 WHERE id = $1 AND remove_requested_at IS NULL"
    )
    .bind(id)
    .bind(now)
    .execute(c)
    .await
    .map(|done| done.rows_affected())))
}

/// Whether [`remove_unwanted`] has something to do.
pub async fn any_unwanted(tx: &mut Tx) -> sqlx::Result<bool> {
    let found: Option<(String,)> = on!(tx, |c| {
        sqlx::query_as(
        "SELECT id FROM servers WHERE remove_requested_at IS NOT NULL AND state IN ('stopped', 'failed') LIMIT 1"
    )
    .fetch_optional(c)
    .await
    })?;
    Ok(found.is_some())
}

/// Forgets what has ended and is no longer wanted; tells the keys.
pub async fn remove_unwanted(tx: &mut Tx) -> sqlx::Result<Vec<String>> {
    on!(tx, |c| {
        sqlx::query_scalar(
        "DELETE FROM servers WHERE remove_requested_at IS NOT NULL AND state IN ('stopped', 'failed') RETURNING key"
    )
    .fetch_all(c)
    .await
    })
}

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Step {
    pub seq: i64,
    pub at: i64,
    pub progress: i64,
    /// In English; see [`Step::saying`].
    pub message: String,
    pub saying: Option<String>,
}

impl Step {
    pub fn saying(&self) -> Saying {
        Saying::from_stored(&self.message, self.saying.as_deref())
    }
}

/// Steps of one start are few; a spawner that talks without end is cut here.
const STEPS_MAX: i64 = 200;

/// Left for the commit.
pub fn add_step(tx: &mut Tx, id: &str, generation: i64, at: i64, progress: u8, message: &Saying) {
    let text: String = message.to_string().chars().take(500).collect();
    tx.later(
        Later::new(
            "INSERT INTO server_steps (server_id, generation, seq, at, progress, message, saying) \
             SELECT $1, $2, COALESCE(MAX(seq), 0) + 1, $3, $4, $5, $7 FROM server_steps WHERE server_id = $1 AND generation = $2 \
             HAVING COALESCE(MAX(seq), 0) < $6",
        )
        .bind(id)
        .bind(generation)
        .bind(at)
        .bind(i64::from(progress))
        .bind(text)
        .bind(STEPS_MAX)
        .bind(message.to_stored()),
    );
}

pub async fn steps(tx: &mut Tx, id: &str, generation: i64, after: i64) -> sqlx::Result<Vec<Step>> {
    on!(tx, |c| {
        sqlx::query_as(
        "SELECT seq, at, progress, message, saying FROM server_steps WHERE server_id = $1 AND generation = $2 AND seq > $3 ORDER BY seq"
    )
    .bind(id)
    .bind(generation)
    .bind(after)
    .fetch_all(c)
    .await
    })
}

/// Earlier generations' steps are of no use once a new start is asked for. Left for the commit.
pub fn forget_steps(tx: &mut Tx, id: &str, before_generation: i64) {
    tx.later(
        Later::new("DELETE FROM server_steps WHERE server_id = $1 AND generation < $2")
            .bind(id)
            .bind(before_generation),
    );
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
