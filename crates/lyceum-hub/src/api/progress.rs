//! What happens on the way up, as server-sent events.
//!
//! The events are JupyterHub's, and their `message` is English. Our own page asks for its language
//! with `?lang=` and shows what then stands beside it as `words`.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use lyceum_model::lang::Lang;
use lyceum_model::name::ServerName;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Waiting;
use lyceum_web::{ApiError, ApiResult, Caller};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::db::servers::Server;
use crate::jobs::keeper;
use crate::queue::{self, Held, Wait};
use crate::servers::State as ServerState;
use crate::visit::ServerPath;
use crate::{Hub, course_servers, db, identify};

/// Without news the rows are looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// And this often whether whoever watches may still do so.
const ASK_EVERY: Duration = Duration::from_secs(3);

#[derive(Debug, Default, Deserialize)]
pub struct WatchQuery {
    #[serde(default)]
    lang: String,
}

/// Scope: `read:servers!server=…`.
pub async fn watch(
    State(hub): State<Hub>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<WatchQuery>,
    ServerPath { user, server }: ServerPath,
) -> ApiResult<Response> {
    let mut tx = hub.db().read().await?;
    let Ok(owner) = course_servers::owner(&mut tx, &user).await else {
        caller.require(ScopeName::ReadServers, Target::Everything)?;
        return Err(ApiError::not_found());
    };
    let name = ServerName::parse(&server).map_err(|_| ApiError::not_found())?;
    caller.require(ScopeName::ReadServers, Target::Server(&owner.name, &name))?;
    let server = db::servers::find(&mut tx, &owner.id, &name)
        .await?
        .ok_or_else(ApiError::not_found)?;
    drop(tx);
    // What came since it was read is read again at the first look.
    let wake = [keeper::state_topic, keeper::step_topic]
        .map(|topic| hub.db().wake_ups_of(&topic(&server.id)));
    // A start that failed is stopping for a moment; who connects just then waits for the reason.
    let failing = server.state == ServerState::Stopping && server.failure.is_some();
    if matches!(server.state, ServerState::Stopped | ServerState::Stopping) && !failing {
        return Err(ApiError::bad_request(Saying::quote(format!(
            "The server {}/{} is not starting",
            server.user_name, server.name
        ))));
    }
    let settled = matches!(server.state, ServerState::Ready | ServerState::Failed);
    let there = hub.settings().theme.languages();
    let lang = there.into_iter().find(|lang| lang.as_str() == query.lang);
    let watcher = Watcher {
        // One that has settled is told in one event.
        after: if settled { i64::MAX } else { 0 },
        begun: false,
        told: None,
        quiet_since: tokio::time::Instant::now(),
        asked: tokio::time::Instant::now(),
        done: false,
        lang,
        caller,
        headers,
        hub,
        server,
        wake,
    };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let chunk = watcher.next().await?;
        Some((Ok::<_, Infallible>(chunk), watcher))
    });
    Ok((
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        Body::from_stream(events),
    )
        .into_response())
}

struct Watcher {
    hub: Hub,
    server: Server,
    wake: [Waiting; 2],
    after: i64,
    /// A step was told that lies behind the wait for a place.
    begun: bool,
    /// What was told last of the wait for a place.
    told: Option<Wait>,
    quiet_since: tokio::time::Instant,
    /// When it was last found that she may watch.
    asked: tokio::time::Instant,
    done: bool,
    /// The language of the page that watches, if one does.
    lang: Option<Lang>,
    caller: Caller,
    /// What she came with.
    headers: HeaderMap,
}

impl Watcher {
    /// The next piece of the stream; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.done {
                return None;
            }
            let news = self.news().await;
            // How it ended is told to nobody who has just lost that.
            if !self.may_watch().await {
                return None;
            }
            match news {
                Ok(text) if !text.is_empty() => {
                    self.quiet_since = tokio::time::Instant::now();
                    return Some(text.into());
                }
                Ok(_) => {}
                Err(error) => {
                    // The stream ends; the browser connects again.
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "progress of a start could not be read"
                    );
                    return None;
                }
            }
            if self.quiet_since.elapsed() >= self.hub.timings().keepalive {
                self.quiet_since = tokio::time::Instant::now();
                return Some(Bytes::from_static(b"\n\n"));
            }
            let [state, step] = &mut self.wake;
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = state.woken() => {}
                () = step.woken() => {}
            }
        }
    }

    /// A token may be taken back, and a session end, while a start takes its minutes.
    async fn may_watch(&mut self) -> bool {
        if self.asked.elapsed() < ASK_EVERY && !self.done {
            return true;
        }
        self.asked = tokio::time::Instant::now();
        let Some(now) = identify::now(&self.hub, &self.headers).await else {
            return false;
        };
        let (owner, name) = (&self.server.user_name, &self.server.name);
        let may = now.require(ScopeName::ReadServers, Target::Server(owner, name));
        now.who.to_string() == self.caller.who.to_string() && may.is_ok()
    }

    async fn news(&mut self) -> anyhow::Result<String> {
        let mut tx = self.hub.db().read().await?;
        let now = db::servers::get(&mut tx, &self.server.id).await?;
        let steps =
            db::servers::steps(&mut tx, &self.server.id, self.server.generation, self.after)
                .await?;
        drop(tx);
        let mut text = String::new();
        let Some(now) = now else {
            self.done = true;
            self.fail(&mut text, &say!("start.removed"));
            return Ok(text);
        };
        for step in &steps {
            self.after = step.seq;
            self.begun |= step.progress > 0;
            if step.progress < 100 {
                let mut told =
                    json!({ "progress": step.progress, "message": step.message, "at": step.at });
                self.add_words(&mut told, &step.saying());
                event(&mut text, &told);
            }
        }
        if now.generation != self.server.generation {
            self.done = true;
            self.fail(&mut text, &say!("start.anew"));
            return Ok(text);
        }
        match now.state {
            ServerState::Ready => {
                self.done = true;
                // The route is in force before anybody is sent there.
                crate::proxy::refresh(&self.hub).await?;
                let origins = &self.hub.settings().origins;
                let url = origins.url(&now.user_name, &now.name);
                let ready = say!("start.ready_at", url = &url);
                let mut told = json!({
                    "progress": 100,
                    "ready": true,
                    "message": ready.to_string(),
                    "html_message": format!("Server ready at <a href=\"{url}\">{url}</a>"),
                    "url": url,
                });
                self.add_words(&mut told, &ready);
                event(&mut text, &told);
                Ok(text)
            }
            ServerState::Failed => {
                self.done = true;
                let why = now.why_failed();
                self.fail(&mut text, &why.unwrap_or_else(|| say!("start.no_reason")));
                Ok(text)
            }
            ServerState::Stopped => {
                self.done = true;
                let why = now.why_failed();
                let why = why.unwrap_or_else(|| match now.started_at {
                    Some(_) => say!("start.stopped"),
                    None => say!("start.cancelled"),
                });
                self.fail(&mut text, &why);
                Ok(text)
            }
            ServerState::Queued => {
                let wait = queue::wait_of(&self.hub, &now).await?;
                if let Some(wait) =
                    wait.filter(|wait| !self.begun && self.told.as_ref() != Some(wait))
                {
                    let saying = waiting(&wait);
                    // Fields beside `progress` and `message` are ours; JupyterHub's clients show
                    // the message.
                    let mut told = json!({
                        "progress": 0,
                        "message": saying.to_string(),
                        "place": wait.place,
                        "estimate": wait.estimate,
                        "own_first": wait.own_first,
                        "held": wait.held.map(|held| match held {
                            Held::Site => "site",
                            Held::Full => "full",
                            Held::Maintenance => "maintenance",
                            Held::Room => "room",
                            Held::Trouble(_) => "trouble",
                        }),
                        "again": match wait.held {
                            Some(Held::Trouble(seconds)) => Some(seconds),
                            _ => None,
                        },
                    });
                    self.add_words(&mut told, &saying);
                    event(&mut text, &told);
                    self.told = Some(wait);
                }
                Ok(text)
            }
            ServerState::Starting | ServerState::Stopping => Ok(text),
        }
    }

    fn fail(&self, text: &mut String, reason: &Saying) {
        let failed = say!("start.failed", reason = reason.clone());
        let mut told = json!({ "progress": 100, "failed": true, "message": failed.to_string() });
        self.add_words(&mut told, &failed);
        event(text, &told);
    }

    fn add_words(&self, told: &mut Value, saying: &Saying) {
        if let Some(lang) = &self.lang {
            told["words"] = saying.in_lang(lang).into();
        }
    }
}

fn event(text: &mut String, value: &Value) {
    text.push_str("data: ");
    text.push_str(&value.to_string());
    text.push_str("\n\n");
}

fn waiting(wait: &Wait) -> Saying {
    let place = match wait {
        Wait {
            held: Some(Held::Trouble(seconds)),
            ..
        } => say!("start.trouble", seconds = *seconds),
        Wait {
            held: Some(Held::Site),
            place,
            ..
        } => say!("start.site", place = *place),
        Wait {
            held: Some(Held::Full),
            place,
            ..
        } => say!("start.full", place = *place),
        Wait {
            held: Some(Held::Maintenance),
            ..
        } => say!("start.maintenance"),
        Wait {
            held: Some(Held::Room),
            place,
            ..
        } => say!("start.room", place = *place),
        Wait {
            own_first: true, ..
        } => say!("start.own_first"),
        Wait { place: 1, .. } => say!("start.next"),
        Wait { place, .. } => say!("start.place", place = *place),
    };
    match wait.estimate {
        Some(seconds) => say!("start.soon", wait = place, seconds = seconds),
        None => place,
    }
}
