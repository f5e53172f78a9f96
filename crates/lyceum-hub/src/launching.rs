//! Wishes about servers, the same for pages and API: start, stop, wait.

use std::time::Duration;

use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::server::{ServerKey, ServerSpec};
use lyceum_model::who::{CourseId, Standing};
use lyceum_store::{Tx, Waiting};
use lyceum_web::{ApiError, Caller};

use crate::db::servers::{NO_CHOICE, Order, Server, Wished};
use crate::db::users::User;
use crate::deeds::{self, About, Doer, What};
use crate::jobs::keeper;
use crate::launch::{LaunchRequest, Refusal};
use crate::metrics::StatusLabel;
use crate::posix::{self, NotHers};
use crate::profiles::choose::{COURSE, Chosen, Wrong};
use crate::servers::{State, client_id};
use crate::{Hub, choosing, db};

/// Whoever waits looks again after so long even without news, since a wake-up can get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
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
    #[error("{}", say!("wish.not_at_rest"))]
    NotAtRest,
    #[error("{}", say!("wish.name_taken"))]
    NameTaken,
    /// With the status for programs.
    #[error("{0}")]
    Refused(Saying, StatusCode),
    /// The options are not among what she may choose.
    #[error("{}", .0.why)]
    BadChoice(Wrong),
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
            WishError::NotAtRest => Self::bad_request(say!("wish.not_at_rest")),
            WishError::NameTaken => Self::conflict(say!("wish.name_taken")),
            WishError::Refused(why, status) => Self::new(status, why),
            WishError::BadChoice(wrong) => Self::bad_request(wrong.why),
            WishError::Database(error) => error.into(),
            WishError::Internal(error) => error.into(),
        }
    }
}

/// What a start is to be made from.
#[derive(Debug, Default, PartialEq)]
pub enum Options {
    Chosen(serde_json::Value),
    /// Nothing was said: what she chose the last time.
    #[default]
    Last,
    /// Nobody was asked, since there is one way only.
    Usual,
}

/// What is wanted of a start.
#[derive(Debug, Default)]
pub struct Wish {
    pub options: Options,
    /// What she calls it from now on.
    pub display_name: Option<String>,
    /// Who wishes it, if it may be another than the owner.
    pub by: Option<Doer>,
}

impl Wish {
    pub fn by(self, caller: &Caller) -> Self {
        Self {
            by: Some(Doer::of(caller)),
            ..self
        }
    }
}

impl From<serde_json::Value> for Wish {
    fn from(options: serde_json::Value) -> Self {
        Self {
            options: Options::Chosen(options),
            ..Self::default()
        }
    }
}

impl From<Options> for Wish {
    fn from(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }
}

/// What became of a wish to start.
pub enum Started {
    /// With the news of it from then on.
    Queued(Server, Waiting),
    /// It was on its way already.
    Pending(Server),
}

/// Asks for a server. The answer comes at once; [`wait`] tells how it went on.
pub async fn start(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    wish: impl Into<Wish>,
) -> Result<Started, WishError> {
    let Wish {
        options,
        display_name,
        by,
    } = wish.into();
    let planned = plan(hub, owner, name, options).await?;
    let spec_text = serde_json::to_string(&planned.spec).map_err(anyhow::Error::from)?;
    let environment = environment(&planned.spec, owner.name.is_of_course());
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    still_let_in(&mut tx, owner).await?;
    let server = ensure(hub, &mut tx, owner, name, now).await?;
    let course = planned.course.as_ref().map(CourseId::as_str);
    if course.is_some() && server.state.is_active() && server.course.as_deref() != course {
        let status = StatusCode::CONFLICT;
        return Err(WishError::Refused(say!("course.other_runs"), status));
    }
    match server.state {
        State::Queued | State::Starting => return Ok(Started::Pending(server)),
        State::Ready => return Err(WishError::Running),
        State::Stopping => return Err(WishError::Stopping),
        State::Stopped | State::Failed => {}
    }
    let order = planned.order(&server, &spec_text, &environment);
    let Some(generation) = db::servers::request_start(&mut tx, &server.id, &order, now.0).await?
    else {
        // Somebody else's click came first.
        return Ok(Started::Pending(server));
    };
    if let Some(display_name) = &display_name {
        db::servers::set_display_name(&mut tx, &server.id, display_name).await?;
    }
    if let Some(by) = &by {
        deeds::note(&mut tx, &server, by, What::Started, now).await?;
    }
    db::servers::forget_steps(&mut tx, &server.id, generation);
    let mut told = vec![say!("start.requested")];
    told.extend((planned.refused_choice).then(|| say!("start.usual_choice")));
    for told in told {
        db::servers::add_step(&mut tx, &server.id, generation, now.0, 0, &told);
    }
    keeper::announce_start(&mut tx, &server).await?;
    let mut queued = server.requested(&order, generation, now.0);
    queued.display_name = display_name.or(queued.display_name);
    let news = news_of(hub, &server.id);
    // Who has a server that starts may do what she could before.
    hub.seen().pass(tx, 1).await?;
    Ok(Started::Queued(queued, news))
}

/// What a server would be after a start, or why that would be refused as things are: for whoever gives
/// something up for it.
pub async fn foresee(
    hub: &Hub,
    owner: &User,
    server: &Server,
    options: Options,
) -> Result<Server, WishError> {
    let planned = plan(hub, owner, &server.name, options).await?;
    let environment = environment(&planned.spec, owner.name.is_of_course());
    let order = planned.order(server, "", &environment);
    Ok(server.requested(&order, server.generation + 1, hub.now().0))
}

/// What a start will be.
struct Planned {
    spec: ServerSpec,
    /// As they are kept.
    options: String,
    course: Option<CourseId>,
    keeps_choice: bool,
    refused_choice: bool,
}

impl Planned {
    /// As the row of this server takes it.
    fn order<'a>(&'a self, server: &'a Server, spec: &'a str, environment: &'a str) -> Order<'a> {
        let kept_choice = self.keeps_choice.then(|| server.choice());
        Order {
            spec,
            options: &self.options,
            kept_choice: kept_choice.filter(|choice| *choice != NO_CHOICE),
            profile: self.spec.profile.as_deref(),
            course: self.spec.course.as_deref(),
            environment,
        }
    }
}

async fn plan(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    options: Options,
) -> Result<Planned, WishError> {
    let options = match owner.name.is_of_course() {
        true => Options::Chosen(serde_json::json!({})),
        false => options,
    };
    let standing = choosing::standing(hub, owner).await?;
    let Picked {
        options,
        chosen,
        keeps_choice,
        refused_choice,
    } = pick(hub, owner, name, options, &standing).await?;
    let options_text = checked(&options)?;
    let posix = posix::for_start(hub, owner)
        .await
        .map_err(|why| match why {
            NotHers::Database(error) => WishError::Internal(error.into()),
            why => WishError::Refused(why.saying(), StatusCode::FORBIDDEN),
        })?;
    let request = LaunchRequest {
        user: owner.name.clone(),
        admin: owner.admin,
        groups: standing.groups,
        server: name.clone(),
        home: owner.home.clone(),
        posix,
        options,
        chosen,
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
    Ok(Planned {
        spec,
        options: options_text,
        course: request.chosen.course.map(|(course, _)| course),
        keeps_choice,
        refused_choice,
    })
}

/// The options of a start, and what they say.
struct Picked {
    options: serde_json::Value,
    chosen: Chosen,
    /// They stand in for her choice, which stays for another time.
    keeps_choice: bool,
    /// Her choice is not offered any more.
    refused_choice: bool,
}

async fn pick(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    options: Options,
    standing: &Standing,
) -> Result<Picked, WishError> {
    let usual = async |refused_choice: bool| {
        let options = serde_json::json!({});
        Ok(Picked {
            chosen: choosing::chosen(hub, owner, standing, &options).await?,
            options,
            keeps_choice: true,
            refused_choice,
        })
    };
    let said = match options {
        Options::Chosen(options) => options,
        Options::Last => {
            let last = last_choice(hub, owner, name).await?;
            let chosen = choosing::chosen(hub, owner, standing, &last).await;
            if let Err(WishError::BadChoice(_)) = chosen {
                return usual(true).await;
            }
            last
        }
        Options::Usual => {
            let last = last_choice(hub, owner, name).await?;
            let names_course = last.get(COURSE).is_some();
            if !names_course || choosing::chosen(hub, owner, standing, &last).await.is_err() {
                return usual(false).await;
            }
            // Who could start it for her course and starts it plainly has chosen that.
            serde_json::json!({})
        }
    };
    Ok(Picked {
        chosen: choosing::chosen(hub, owner, standing, &said).await?,
        options: said,
        keeps_choice: false,
        refused_choice: false,
    })
}

/// What starts of this kind have in common, so that they fail together: the profile and course they
/// are made for, the image, the program. A course's own server is another thing than those of its people.
fn environment(spec: &ServerSpec, is_courses_own: bool) -> String {
    let named = (
        &spec.profile,
        &spec.course,
        &spec.image,
        spec.command.first(),
    );
    let mut text = serde_json::to_string(&named).expect("texts are JSON");
    if is_courses_own {
        text.push_str(" its own");
    }
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// Holds the person until the transaction ends: what was planned for her is planned under her name,
/// and nobody deletes or renames her while a server of hers begins.
async fn still_there(tx: &mut Tx, owner: &User) -> Result<(), WishError> {
    match db::servers::lock_owner(tx, &owner.id).await? {
        Some((now, _)) if now == owner.name.as_str() => Ok(()),
        _ => Err(WishError::NoSuchServer),
    }
}

/// The same, of somebody who may come in: what would wait for her to be let in would wait for ever.
async fn still_let_in(tx: &mut Tx, owner: &User) -> Result<(), WishError> {
    match db::servers::lock_owner(tx, &owner.id).await? {
        Some((now, None)) if now == owner.name.as_str() => Ok(()),
        Some((now, Some(_))) if now == owner.name.as_str() => Err(WishError::Refused(
            say!("wish.kept_out", name = owner.name.as_str()),
            StatusCode::FORBIDDEN,
        )),
        _ => Err(WishError::NoSuchServer),
    }
}

/// Options as they are kept; too many of them are refused.
fn checked(options: &serde_json::Value) -> Result<String, WishError> {
    let text = options.to_string();
    if text.len() > OPTIONS_LIMIT {
        return Err(WishError::Refused(
            say!("wish.options_too_large"),
            StatusCode::BAD_REQUEST,
        ));
    }
    Ok(text)
}

/// What a person chose the last time.
async fn last_choice(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
) -> Result<serde_json::Value, WishError> {
    let mut tx = hub.db().glance().await?;
    let server = db::servers::find(&mut tx, &owner.id, name).await?;
    let kept = server.and_then(|server| serde_json::from_str(server.choice()).ok());
    Ok(kept.unwrap_or_else(|| serde_json::json!({})))
}

/// What is to be different of a server at rest; what is left out stays.
#[derive(Debug, Default)]
pub struct Change {
    pub name: Option<ServerName>,
    pub wish: Wish,
}

/// Makes a named server without starting it; none when there is one of that name.
pub async fn add(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    wish: Wish,
) -> Result<Option<Server>, WishError> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    still_there(&mut tx, owner).await?;
    if db::servers::find(&mut tx, &owner.id, name).await?.is_some() {
        return Ok(None);
    }
    let server = ensure(hub, &mut tx, owner, name, now).await?;
    if let Some(by) = &wish.by {
        deeds::note(&mut tx, &server, by, What::Added, now).await?;
    }
    let change = Change { name: None, wish };
    let server = apply(&mut tx, server, change).await?;
    tx.commit().await?;
    Ok(Some(server))
}

/// Changes a server at rest. The default one is always there; with another name it is a named one
/// from then on, and she has a default one that never ran.
pub async fn change(
    hub: &Hub,
    owner: &User,
    name: &ServerName,
    change: Change,
) -> Result<Server, WishError> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    still_there(&mut tx, owner).await?;
    let server = match db::servers::find(&mut tx, &owner.id, name).await? {
        Some(server) => server,
        None if name.is_default() => ensure(hub, &mut tx, owner, name, now).await?,
        None => return Err(WishError::NoSuchServer),
    };
    if let Some(to) = &change.name {
        if to.is_default() || db::servers::find(&mut tx, &owner.id, to).await?.is_some() {
            return Err(WishError::NameTaken);
        }
        if name.is_default() {
            room_for_one_more(hub, &mut tx, owner).await?;
        }
    }
    if let Some(by) = &change.wish.by {
        deeds::note(&mut tx, &server, by, What::Changed, now).await?;
    }
    let server = apply(&mut tx, server, change).await?;
    tx.commit().await?;
    Ok(server)
}

async fn apply(tx: &mut Tx, mut server: Server, change: Change) -> Result<Server, WishError> {
    if let Some(name) = change.name {
        server.name = name;
    }
    if let Some(display_name) = change.wish.display_name {
        server.display_name = Some(display_name);
    }
    if let Options::Chosen(options) = change.wish.options {
        server.user_options = checked(&options)?;
        server.kept_choice = None;
    }
    let changed = db::servers::change(
        tx,
        &server.id,
        &server.name,
        server.display_name.as_deref(),
        &server.user_options,
        server.kept_choice.as_deref(),
    )
    .await?;
    // Somebody may have started it this very moment.
    changed.then_some(server).ok_or(WishError::NotAtRest)
}

async fn room_for_one_more(hub: &Hub, tx: &mut Tx, owner: &User) -> Result<(), WishError> {
    let limit = hub.settings().named_servers;
    let named = db::servers::named_of(tx, &owner.id).await?;
    if usize::try_from(named).is_ok_and(|named| named >= limit) {
        return Err(WishError::Refused(
            say!("wish.too_many", n = limit),
            StatusCode::BAD_REQUEST,
        ));
    }
    Ok(())
}

/// The row, made when there is none yet. Her own row is held, so that two wishes take turns.
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
    if !name.is_default() {
        room_for_one_more(hub, tx, owner).await?;
    }
    let id = new_id(now);
    // `a-b` and `a` + `b` give one client id; whoever comes second gets a mark.
    let plain = client_id(&owner.name, name);
    let marked = format!("{plain}--{}", &id[id.len().saturating_sub(8)..]);
    let mut server = Server {
        key: ServerKey::make(&owner.name, name, &id).to_string(),
        id,
        client_id: plain,
        created_at: now.0,
        ..Server::unborn(owner, name.clone())
    };
    if !db::servers::insert(tx, &server).await? {
        // Another server has it, or took it this very moment.
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
    match wait(hub, server, limit).await {
        Ok(now) => Ok(!now.state.is_active() || now.generation != server.generation),
        // It is not only at rest, it is gone.
        Err(WishError::NoSuchServer) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Asks for a server's end; one at rest is left alone, and a start that still waits in line is over
/// at once.
pub async fn stop(hub: &Hub, server: &Server) -> Result<(), WishError> {
    ask_to_stop(hub, server, None).await
}

/// The same, for somebody who may be another than its owner.
pub async fn stop_by(hub: &Hub, server: &Server, caller: &Caller) -> Result<(), WishError> {
    stop_as(hub, server, Doer::of(caller)).await
}

pub async fn stop_as(hub: &Hub, server: &Server, doer: Doer) -> Result<(), WishError> {
    ask_to_stop(hub, server, Some(doer)).await
}

async fn ask_to_stop(hub: &Hub, server: &Server, by: Option<Doer>) -> Result<(), WishError> {
    let mut tx = hub.db().write().await?;
    let Some(asked) = ask_within(&mut tx, server, by.as_ref(), hub.now()).await? else {
        return Ok(());
    };
    tx.commit().await?;
    // Who is told that it stops finds it so.
    crate::proxy::pass_on(hub).await;
    if asked == Asked::Cancelled {
        count_cancelled(hub, server);
    }
    Ok(())
}

/// What came of asking for an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A start that waited is over.
    Cancelled,
    Stops,
}

/// Nothing, if it is at rest.
async fn ask_within(
    tx: &mut Tx,
    server: &Server,
    by: Option<&Doer>,
    now: Millis,
) -> Result<Option<Asked>, WishError> {
    let why = by.and_then(|by| About::from(server).why_stopped(by));
    let why = why.as_ref();
    let (asked, wished) = if db::servers::cancel_queued(tx, &server.id, why, now.0).await? {
        keeper::announce_end(tx, server).await?;
        (Asked::Cancelled, Wished::First)
    } else if let Some(wished) = db::servers::request_stop(tx, &server.id, why, now.0).await? {
        keeper::publish(tx, server, now).await?;
        (Asked::Stops, wished)
    } else {
        return Ok(None);
    };
    if let Some(by) = by.filter(|_| wished == Wished::First) {
        deeds::note(tx, server, by, What::Stopped, now).await?;
    }
    Ok(Some(asked))
}

fn count_cancelled(hub: &Hub, server: &Server) {
    let starts = &hub.metrics().starts;
    let status = "cancelled";
    starts.get_or_create(&StatusLabel { status }).inc();
    tracing::info!(user = %server.user_name, server = %server.name, "start cancelled while it waited");
}

/// Ends what of somebody's waits or is on its way up, in the transaction in which she is kept out: nobody
/// would open it, and what waits would wait until she is let in. What runs goes on. Her row is held, so
/// that nothing begins meanwhile. Tells which starts are over.
pub(crate) async fn end_starts(
    tx: &mut Tx,
    user: &User,
    by: &Doer,
    now: Millis,
) -> Result<Vec<Server>, WishError> {
    let mut over = Vec::new();
    for server in db::servers::of_users(tx, &[user.id.as_str()], false).await? {
        let begins = matches!(server.state, State::Queued | State::Starting);
        if begins && ask_within(tx, &server, Some(by), now).await? == Some(Asked::Cancelled) {
            over.push(server);
        }
    }
    Ok(over)
}

/// Once they are over for good.
pub(crate) fn starts_ended(hub: &Hub, over: &[Server]) {
    over.iter().for_each(|server| count_cancelled(hub, server));
}

/// Somebody needs a server that runs: as good as use. Says whether it still runs.
pub async fn keep(hub: &Hub, server: &Server) -> Result<bool, WishError> {
    let mut tx = hub.db().write().await?;
    let now = db::servers::get(&mut tx, &server.id).await?;
    let runs = now.is_some_and(|now| now.state == State::Ready);
    if runs {
        db::servers::touch(&mut tx, &server.id, hub.now()).await?;
    }
    tx.commit().await?;
    Ok(runs)
}

/// Notes that a server is to be forgotten once it has ended, whoever sees that.
pub async fn want_removed(hub: &Hub, server: &Server, caller: &Caller) -> Result<(), WishError> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    if db::servers::request_removal(&mut tx, &server.id, now.0).await? {
        deeds::note(&mut tx, server, &Doer::of(caller), What::Removed, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Forgets servers that have ended and whose removal was asked for. Their files stay.
pub async fn forget_unwanted(hub: &Hub) -> Result<(), WishError> {
    let mut tx = hub.db().read().await?;
    if !db::servers::any_unwanted(&mut tx).await? {
        return Ok(());
    }
    drop(tx);
    let mut tx = hub.db().write().await?;
    let keys = db::servers::remove_unwanted(&mut tx).await?;
    tx.commit().await?;
    forget(hub, &keys).await;
    Ok(())
}

/// The spawner forgets what there was under these keys. The rows are gone: what goes wrong with one
/// is told in the log, and the others are forgotten all the same.
pub async fn forget(hub: &Hub, keys: &[String]) {
    for key in keys.iter().filter_map(|key| ServerKey::parse(key)) {
        if let Err(error) = hub.spawner().forget(&key).await {
            tracing::error!(%key, %error, "what is left of a removed server could not be cleared away");
        }
    }
}

/// Waits until this life of the server is no longer on its way (ready, failed, stopped, or another
/// has begun), at most so long; gives the row as it is then.
pub async fn wait(hub: &Hub, server: &Server, limit: Duration) -> Result<Server, WishError> {
    look_until_over(hub, server, news_of(hub, &server.id), limit).await
}

/// The same, for a start that has just been asked for, whose news are all there.
pub async fn wait_for_start(
    hub: &Hub,
    server: &Server,
    mut news: Waiting,
    limit: Duration,
) -> Result<Server, WishError> {
    let asked = tokio::time::Instant::now();
    drop(tokio::time::timeout(limit.min(LOOK_AGAIN), news.woken()).await);
    let left = limit.saturating_sub(asked.elapsed());
    look_until_over(hub, server, news, left).await
}

fn news_of(hub: &Hub, server: &str) -> Waiting {
    hub.db().wake_ups_of(&keeper::state_topic(server))
}

async fn look_until_over(
    hub: &Hub,
    server: &Server,
    mut news: Waiting,
    limit: Duration,
) -> Result<Server, WishError> {
    let (id, life) = (&server.id, server.generation);
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let mut tx = hub.db().glance().await?;
        let server = db::servers::get(&mut tx, id)
            .await?
            .ok_or(WishError::NoSuchServer)?;
        drop(tx);
        let is_over = server.state.pending().is_none() || server.generation > life;
        if is_over || tokio::time::Instant::now() >= deadline {
            return Ok(server);
        }
        let look_again = tokio::time::Instant::now() + LOOK_AGAIN;
        tokio::select! {
            () = tokio::time::sleep_until(deadline.min(look_again)) => {}
            () = news.woken() => {}
        }
    }
}
