//! Wishes about servers, the same for pages and API: start, stop, wait.

use std::time::Duration;

use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::server::ServerKey;
use lyceum_store::Tx;
use lyceum_web::ApiError;

use crate::db::servers::Server;
use crate::db::users::User;
use crate::jobs::keeper;
use crate::launch::{LaunchRequest, Refusal};
use crate::metrics::StatusLabel;
use crate::servers::{State, client_id};
use crate::{Hub, db};

/// Options a person sends with a start: small, or it is no choice.
const OPTIONS_LIMIT: usize = 64 * 1024;

/// Why a wish was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    #[error("{}", say!("wish.running"))]
    Running,
    #[error("{}", say!("wish.stopping"))]
    Stopping,
    #[error("{}", say!("wish.no_server"))]
    NoSuchServer,
    /// With the status for programs.
    #[error("{0}")]
    Refused(Saying, StatusCode),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl From<WishError> for ApiError {
    fn from(error: WishError) -> Self {
        match error {
            WishError::Running => Self::bad_request(say!("wish.running")),
            WishError::Stopping => Self::bad_request(say!("wish.stopping")),
            WishError::NoSuchServer => Self::not_found(),
            WishError::Refused(why, status) => Self::new(status, why),
            WishError::Database(error) => error.into(),
            WishError::Internal(error) => error.into(),
        }
    }
}

/// What became of a wish to start.
pub enum Started {
    Queued(Server),
    /// It was on its way already.
    Pending(Server),
}

/// Asks for a server. The answer comes at once; [`wait`] tells how it went on.
pub async fn start(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    options: serde_json::Value,
) -> Result<Started, WishError> {
    let options_text = options.to_string();
    if options_text.len() > OPTIONS_LIMIT {
        return Err(WishError::Refused(
            say!("wish.options_too_large"),
            StatusCode::BAD_REQUEST,
        ));
    }
    let mut tx = hub.db().read().await?;
    let groups = db::groups::names_of(&mut tx, &owner.id).await?;
    drop(tx);
    let request = LaunchRequest {
        user: owner.name.clone(),
        admin: owner.admin,
        groups,
        server: name.clone(),
        home: owner.home.clone(),
        options,
    };
    let spec = hub
        .planner()
        .plan(&request)
        .await
        .map_err(|refusal| match refusal {
            Refusal::NotAllowed(why) => WishError::Refused(why, StatusCode::FORBIDDEN),
            Refusal::BadOptions(why) => WishError::Refused(why, StatusCode::BAD_REQUEST),
            Refusal::Internal(error) => WishError::Internal(error),
        })?;
    let spec = serde_json::to_string(&spec).map_err(anyhow::Error::from)?;
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let server = ensure(hub, &mut tx, owner, name, now).await?;
    match server.state {
        State::Queued | State::Starting => return Ok(Started::Pending(server)),
        State::Ready => return Err(WishError::Running),
        State::Stopping => return Err(WishError::Stopping),
        State::Stopped | State::Failed => {}
    }
    let Some(generation) =
        db::servers::request_start(&mut tx, &server.id, &spec, &options_text, now.0).await?
    else {
        // Somebody else's click came first.
        return Ok(Started::Pending(server));
    };
    db::servers::forget_steps(&mut tx, &server.id, generation).await?;
    db::servers::add_step(
        &mut tx,
        &server.id,
        generation,
        now.0,
        0,
        &say!("start.requested"),
    )
    .await?;
    keeper::publish(&mut tx, &server, now).await?;
    let server = db::servers::get(&mut tx, &server.id)
        .await?
        .ok_or(WishError::NoSuchServer)?;
    tx.commit().await?;
    Ok(Started::Queued(server))
}

/// The row, made when there is none yet.
async fn ensure(
    hub: &Hub,
    tx: &mut Tx,
    owner: &User,
    name: &ServerName,
    now: Millis,
) -> Result<Server, WishError> {
    if let Some(server) = db::servers::find(tx, &owner.id, name).await? {
        return Ok(server);
    }
    // Two replicas may get the same wish at once: here they take turns.
    if !db::servers::lock_owner(tx, &owner.id).await? {
        return Err(WishError::NoSuchServer);
    }
    if let Some(server) = db::servers::find(tx, &owner.id, name).await? {
        return Ok(server);
    }
    if !name.is_default() {
        let limit = hub.settings().named_servers;
        let named = db::servers::of_user(tx, &owner.id)
            .await?
            .iter()
            .filter(|s| !s.name.is_default())
            .count();
        if named >= limit {
            return Err(WishError::Refused(
                say!("wish.too_many", n = limit),
                StatusCode::BAD_REQUEST,
            ));
        }
    }
    let id = new_id(now);
    // `a-b` and `a` + `b` give one client id; whoever comes second gets a mark.
    let plain = client_id(&owner.name, name);
    let marked = format!("{plain}--{}", &id[id.len().saturating_sub(8)..]);
    let client_id = match db::servers::by_client(tx, &plain).await? {
        None => plain,
        Some(_) => marked.clone(),
    };
    let mut server = Server {
        key: ServerKey::make(&owner.name, name, &id).to_string(),
        id,
        user_id: owner.id.clone(),
        user_name: owner.name.clone(),
        name: name.clone(),
        client_id,
        display_name: None,
        state: State::Stopped,
        generation: 0,
        spec: None,
        user_options: "{}".into(),
        address: None,
        failure: None,
        failure_saying: None,
        created_at: now.0,
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
    };
    if !db::servers::insert(tx, &server).await? {
        // Somebody else's server took the client id this very moment.
        server.client_id = marked;
        if !db::servers::insert(tx, &server).await? {
            return Err(anyhow::anyhow!("no free client id for {}", server.key).into());
        }
    }
    Ok(server)
}

/// Waits for the end that [`stop`] asked for; true once it came. A start that somebody asked for
/// right after it is another life of the server and none of our concern.
pub async fn has_ended(hub: &Hub, server: &Server, limit: Duration) -> Result<bool, WishError> {
    let now = wait(hub, server, limit).await?;
    Ok(!now.state.is_active() || now.generation != server.generation)
}

/// Asks for a server's end; one at rest is left alone, and a start that still waits in line is over
/// at once.
pub async fn stop(hub: &Hub, server: &Server) -> Result<(), WishError> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let cancelled = db::servers::cancel_queued(&mut tx, &server.id, now.0).await?;
    if cancelled || db::servers::request_stop(&mut tx, &server.id, now.0).await? {
        keeper::publish(&mut tx, server, now).await?;
    }
    tx.commit().await?;
    if cancelled {
        let starts = &hub.metrics().starts;
        let status = "cancelled";
        starts.get_or_create(&StatusLabel { status }).inc();
        tracing::info!(user = %server.user_name, server = %server.name, "start cancelled while it waited");
    }
    Ok(())
}

/// Waits until this life of the server is no longer on its way (ready, failed, stopped, or another
/// has begun), at most so long; gives the row as it is then.
pub async fn wait(hub: &Hub, server: &Server, limit: Duration) -> Result<Server, WishError> {
    let (id, life) = (&server.id, server.generation);
    let topic = keeper::step_topic(id);
    let topics = [topic.as_str()];
    let mut wake = hub.db().wake_ups();
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let mut tx = hub.db().read().await?;
        let server = db::servers::get(&mut tx, id)
            .await?
            .ok_or(WishError::NoSuchServer)?;
        drop(tx);
        let is_over = server.state.pending().is_none() || server.generation > life;
        if is_over || tokio::time::Instant::now() >= deadline {
            return Ok(server);
        }
        // Looks again after a second even without news, since a wake-up can get lost.
        let look_again = tokio::time::Instant::now() + Duration::from_secs(1);
        tokio::select! {
            () = tokio::time::sleep_until(deadline.min(look_again)) => {}
            () = lyceum_store::events::woken(&mut wake, &topics) => {}
        }
    }
}
