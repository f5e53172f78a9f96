//! One request and its answer, once it is clear where it goes: both directions at the same time.
//!
//! A request is sent a second time only if the first attempt went to a kept connection that turned
//! out closed, and then only if nothing of it was sent or it may safely be repeated. An answer may
//! come before the request's body is sent; then both go on. What cannot be finished cuts the
//! client's connection, so that a part never looks like the whole.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::{
    activity::Stats,
    alarm::{TICK, after},
    error_page::Failure,
    head::Version,
    http1::framing::Framing,
    link::{Broken, Inflow, Outflow, poll_pump},
    metrics::Direction,
    outgoing::{self, Ending},
    pace::Pace,
    request::{Ctx, Stop, Way},
    serve::{After, Client},
    upgrade::{Admitted, Gauges, Opened, while_allowed},
    upstream::{AnswerError, ConnectError, Pool, Server},
};

/// Bytes of hints (103) that are passed on before one answer; no window of a client's holds them back.
pub(crate) const MOST_HINTS: usize = 16 * 1024;

/// How long a server may leave a client without the word to send its body, before we say it.
const CONTINUE: Duration = Duration::from_secs(1);
/// Answers below 200 to one request.
pub(crate) const MOST_INTERIM: usize = 16;
/// Bytes that a client may send ahead while it waits for an answer.
const AHEAD: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    Going,
    Done,
    /// The server takes no more; its answer may still come.
    Broken,
}

/// Why waiting for a head ended without one.
enum Trouble {
    Stop(Stop),
    Server(AnswerError),
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

struct Exchange<'a> {
    client: &'a mut Client,
    server: Server,
    ctx: &'a Ctx<'a>,
    way: &'a Way<'a>,
    upload: Upload,
    up: Inflow,
    up_as: Outflow,
    up_counter: Counter,
    up_pace: Pace,
    /// Bytes that the request's body may have.
    most: u64,
    began: Instant,
    /// When body data last moved, in either direction.
    moved: Instant,
    looked: Instant,
    said_continue: bool,
}

/// Serves it; gives the status and what becomes of the client's connection.
pub(crate) async fn run<'w>(
    client: &mut Client,
    ctx: &Ctx<'w>,
    way: &Way<'w>,
    admitted: Admitted,
) -> Result<(u16, After), Stop> {
    let pool = client.worker.pool.clone();
    let repeatable = client.head.is_repeatable();
    let is_upgrade = client.head.upgrade().is_some();
    client.body_touched = false;
    if let Framing::Length(length) = client.head.framing
        && length > ctx.inner.config.limits.body_bytes(way.kind)
    {
        return Err(too_large(ctx));
    }
    let mut way = *way;
    let mut kept = if is_upgrade {
        None
    } else {
        pool.take(way.target, !repeatable)
    };
    loop {
        let server = match kept.take() {
            Some(server) => server,
            None => connect(&pool, ctx, &mut way).await?,
        };
        let mut exchange = Exchange::new(client, server, ctx, &way);
        match exchange.head().await {
            Ok(()) => return exchange.finish(admitted).await,
            Err(Trouble::Stop(stop)) => return Err(stop),
            Err(Trouble::Server(error)) => {
                let server = &exchange.server;
                let unsent = !server.link.has_written && !exchange.client.body_touched;
                let again = server.is_reused
                    && matches!(error, AnswerError::Closed)
                    && (repeatable || unsent);
                if !again {
                    return Err(bad_answer(ctx, &way, &error));
                }
            }
        }
    }
}

/// A connection made to whom the route is meant for. When one of several hubs can't be reached, the
/// way leads to another: nothing was sent yet.
pub(crate) async fn connect<'w>(
    pool: &Arc<Pool>,
    ctx: &Ctx<'w>,
    way: &mut Way<'w>,
) -> Result<Server, Stop> {
    let mut tried = 1;
    let why = loop {
        let target = way.target;
        // On the heap, because it is large and seldom: every connection would carry room for it.
        match Box::pin(pool.connect(target)).await {
            Ok(server) if is_meant(ctx, way).await => return Ok(server),
            Ok(_) => {
                let error = "another program listens there, or the server has just ended";
                tracing::warn!(request = %ctx.id, %target, error, "a server cannot be reached");
                break "stranger";
            }
            Err(error) => {
                if way.is_hub()
                    && let Some(hubs) = &ctx.inner.fallback
                    && let Some(other) = hubs.instead_of(target, tried)
                {
                    tracing::debug!(request = %ctx.id, %target, %error, "a hub cannot be reached, asking another");
                    way.target = other;
                    tried += 1;
                    continue;
                }
                tracing::info!(request = %ctx.id, %target, %error, "a server cannot be reached");
                break match error {
                    ConnectError::TimeOut => "connect_time_out",
                    ConnectError::Tls(_) => "tls",
                    ConnectError::Refused(_) | ConnectError::Settings(_) => "connect",
                };
            }
        }
    };
    ctx.inner.metrics.count_upstream_error(why);
    Err(Failure::NoServer.into())
}

/// Asked before anything is sent on a new connection.
async fn is_meant(ctx: &Ctx<'_>, way: &Way<'_>) -> bool {
    let Some(route) = way.route else {
        return true;
    };
    let vouched = ctx.inner.access.vouch(&route.id, way.target);
    let limit = ctx.inner.config.limits.connect;
    tokio::time::timeout(limit, vouched).await.unwrap_or(false)
}

pub(crate) fn too_slow(ctx: &Ctx<'_>) -> Stop {
    ctx.inner.metrics.count_limit("least_speed");
    tracing::debug!(request = %ctx.id, client = %ctx.conn.address, "the client is too slow");
    Stop::Cut
}

pub(crate) fn too_large(ctx: &Ctx<'_>) -> Stop {
    ctx.inner.metrics.count_limit("body_bytes");
    Failure::BodyTooLarge.into()
}

pub(crate) fn bad_answer(ctx: &Ctx<'_>, way: &Way<'_>, error: &AnswerError) -> Stop {
    let (why, failure) = match error {
        AnswerError::Closed => ("closed", Failure::NoServer),
        AnswerError::Tls(_) => ("tls", Failure::NoServer),
        AnswerError::Bad(_) => ("bad_answer", Failure::BadAnswer),
    };
    ctx.inner.metrics.count_upstream_error(why);
    tracing::info!(request = %ctx.id, target = %way.target, %error, "a server gave no proper answer");
    failure.into()
}

impl<'a> Exchange<'a> {
    fn new(client: &'a mut Client, mut server: Server, ctx: &'a Ctx<'a>, way: &'a Way<'a>) -> Self {
        server.link.has_written = false;
        outgoing::request_head(&mut server.link.out, ctx, way, &client.head);
        let now = Instant::now();
        let framing = client.head.framing;
        Self {
            up: Inflow::new(framing),
            up_as: match framing {
                Framing::Chunked => Outflow::Chunked,
                _ => Outflow::Plain,
            },
            up_pace: Pace::of_sender(&ctx.inner.config.limits),
            most: ctx.inner.config.limits.body_bytes(way.kind),
            up_counter: ctx.inner.metrics.bytes(way.kind, Direction::In),
            upload: Upload::Going,
            client,
            server,
            ctx,
            way,
            began: now,
            moved: now,
            looked: now,
            said_continue: false,
        }
    }

    /// Waits for the head of the real answer, and passes on those before it that concern the client.
    async fn head(&mut self) -> Result<(), Trouble> {
        let mut hints = 0;
        for _ in 0..MOST_INTERIM {
            poll_fn(|cx| self.poll_head(cx)).await?;
            let status = self.client.answer.status;
            let newer = self.client.head.version == Version::Http11;
            match status {
                200.. => return Ok(()),
                101 if self.client.head.upgrade().is_some() => return Ok(()),
                // Nobody asked to change protocols.
                101 => return Err(self.is_bad().into()),
                100 => self.say_continue(),
                103 if newer => {
                    let Client {
                        link, head, answer, ..
                    } = &mut *self.client;
                    hints += answer.fields.text.len();
                    if hints > MOST_HINTS {
                        continue;
                    }
                    let ending = Ending {
                        keep_alive: true,
                        chunked: false,
                    };
                    outgoing::answer_head(&mut link.out, self.ctx, self.way, head, answer, ending);
                }
                _ => {}
            }
        }
        self.ctx.inner.metrics.count_limit("interim");
        Err(self.is_bad().into())
    }

    fn is_bad(&self) -> Stop {
        self.ctx.inner.metrics.count_upstream_error("bad_answer");
        Failure::BadAnswer.into()
    }

    fn say_continue(&mut self) {
        if self.client.head.expects_continue && !self.said_continue && self.upload == Upload::Going
        {
            self.said_continue = true;
            self.client
                .link
                .out
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        loop {
            if self.client.link.has_out()
                && let Poll::Ready(Err(_)) = self.client.link.poll_flush(cx)
            {
                return Poll::Ready(Err(Stop::Cut.into()));
            }
            self.poll_upload(cx)?;
            let to_head = self.client.head.is_head();
            match self
                .server
                .poll_answer(cx, to_head, &mut self.client.answer)
            {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Trouble::Server(error))),
                Poll::Pending => {}
            }
            let is_blind = self.poll_watch(cx)?;
            let limits = &self.ctx.inner.config.limits;
            let give_up = after(self.moved, limits.first_byte);
            let stuck = after(self.moved, limits.idle);
            let slow = self.client_deadline();
            let mut when = give_up.min(slow);
            if self.upload == Upload::Going {
                when = when.min(stuck);
            }
            if is_blind {
                when = when.min(self.looked + TICK);
            }
            let waits = self.client.head.expects_continue
                && !self.said_continue
                && self.upload == Upload::Going
                && !self.up.is_begun;
            if waits {
                when = when.min(self.began + CONTINUE);
            }
            if self.client.alarm.poll_at(cx, when).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now >= slow {
                return Poll::Ready(Err(too_slow(self.ctx).into()));
            }
            if now >= give_up {
                self.ctx.inner.metrics.count_upstream_error("first_byte");
                return Poll::Ready(Err(Stop::from(Failure::TooSlow).into()));
            }
            if self.upload == Upload::Going && now >= stuck {
                self.ctx.inner.metrics.count_limit("idle");
                return Poll::Ready(Err(Stop::Cut.into()));
            }
            if waits && now >= self.began + CONTINUE {
                self.say_continue();
            }
            self.look(now)?;
        }
    }

    /// Sends on what there is of the request.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Stop> {
        if self.upload != Upload::Going {
            return Ok(());
        }
        let (stats, counter, moved) = (self.way.stats, &self.up_counter, &mut self.moved);
        let (pace, sent) = (&mut self.up_pace, &mut self.client.measured.bytes_in);
        let state = poll_pump(
            cx,
            &mut self.client.link,
            &mut self.up,
            &mut self.server.link,
            self.up_as,
            |bytes| {
                *moved = Instant::now();
                if bytes > 0 {
                    *sent += bytes as u64;
                    pace.moved(bytes);
                    counter.inc_by(bytes as u64);
                    if let Some(stats) = stats {
                        stats.touch();
                        stats.add_in(bytes as u64);
                    }
                }
            },
        );
        self.client.body_touched |= self.up.is_begun;
        if *sent > self.most {
            return Err(too_large(self.ctx));
        }
        match state {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = Upload::Done,
            Poll::Ready(Err(Broken::To)) => self.upload = Upload::Broken,
            Poll::Ready(Err(Broken::From)) => return Err(Stop::Cut),
            Poll::Ready(Err(Broken::Unreadable(refused))) => {
                self.ctx.inner.metrics.count_refused(refused);
                return Err(Failure::from(refused).into());
            }
        }
        Ok(())
    }

    /// When a client that sends too slowly has had its time; far away for any other.
    fn client_deadline(&mut self) -> Instant {
        let waits = self.upload == Upload::Going && !self.server.link.has_out();
        let slow = self.up_pace.wait(waits);
        slow.unwrap_or_else(|| after(self.moved, Duration::MAX))
    }

    /// Notices a client that leaves while it waits. True if it cannot be noticed by reading.
    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let link = &mut self.client.link;
        match self.upload {
            // The pump reads, unless the server does not take what it has.
            Upload::Going => return Ok(self.server.link.has_out()),
            Upload::Broken => match link.poll_discard(cx) {
                Poll::Ready(_) => return Err(Stop::Cut),
                Poll::Pending => return Ok(false),
            },
            Upload::Done => {}
        }
        while link.input.len() < AHEAD {
            let most = AHEAD - link.input.len();
            match link.poll_fill(cx, most) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Err(Stop::Cut),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    fn look(&mut self, now: Instant) -> Result<(), Stop> {
        if now >= self.looked + TICK {
            self.looked = now;
            if self.client.link.io.is_gone() {
                return Err(Stop::Cut);
            }
        }
        Ok(())
    }

    /// Passes the answer on, or makes a tunnel of the two connections.
    async fn finish(mut self, admitted: Admitted) -> Result<(u16, After), Stop> {
        let status = self.client.answer.status;
        let stats = self.way.stats;
        if status == 101 {
            return self
                .into_tunnel(admitted)
                .map(|tunnel| (status, After::Tunnel(tunnel)));
        }
        let is_success = status < 300;
        if is_success && let Some(stats) = stats {
            stats.touch();
        }
        let framing = self.client.answer.framing;
        let newer = self.client.head.version >= Version::Http11;
        let has_length = matches!(framing, Framing::None | Framing::Length(_));
        let ending = Ending {
            keep_alive: self.client.head.keep_alive
                && (newer || has_length)
                && self.upload != Upload::Broken
                && !self.client.is_draining(),
            chunked: newer && !has_length,
        };
        let Client {
            link, head, answer, ..
        } = &mut *self.client;
        outgoing::answer_head(&mut link.out, self.ctx, self.way, head, answer, ending);
        let stats = stats.filter(|_| is_success).map(AsRef::as_ref);
        let (ctx, way) = (self.ctx, self.way);
        let body = self.body(framing, ending, stats);
        let allowed = while_allowed(ctx, admitted, body).await;
        let complete = allowed.unwrap_or_default();
        self.client.measured.ended = Some(self.moved);
        if !complete {
            match allowed {
                Some(_) => ctx.inner.metrics.count_upstream_error("cut"),
                None => ctx.inner.metrics.count_denied("revoked"),
            }
            // Without a length the close itself would look like the end.
            let by_reset = !has_length && !newer;
            tracing::debug!(request = %ctx.id, target = %way.target, "an answer was cut");
            return Ok((
                status,
                if by_reset {
                    After::Reset
                } else {
                    After::Linger
                },
            ));
        }
        let finished = self.upload == Upload::Done;
        if finished && self.client.answer.keep_alive {
            self.server.give_back();
        }
        let after = match (ending.keep_alive, finished) {
            (true, true) => After::Keep,
            (false, true) if self.client.link.input.is_empty() => After::Close,
            _ => After::Linger,
        };
        Ok((status, after))
    }

    /// Whether all of the answer's body went to the client.
    async fn body(&mut self, framing: Framing, ending: Ending, stats: Option<&Stats>) -> bool {
        let mut down = Inflow::new(framing);
        let down_as = if ending.chunked {
            Outflow::Chunked
        } else {
            Outflow::Plain
        };
        let counter = self.ctx.inner.metrics.bytes(self.way.kind, Direction::Out);
        self.moved = Instant::now();
        self.client.measured.upstream = Some(self.moved - self.began);
        let mut pace = Pace::of_reader(&self.ctx.inner.config.limits);
        poll_fn(|cx| {
            loop {
                let (from, to) = (&mut self.server.link, &mut self.client.link);
                let moved = &mut self.moved;
                let taken = &mut self.client.measured.bytes_out;
                let state = poll_pump(cx, from, &mut down, to, down_as, |bytes| {
                    *moved = Instant::now();
                    if bytes > 0 {
                        *taken += bytes as u64;
                        pace.moved(bytes);
                        counter.inc_by(bytes as u64);
                        if let Some(stats) = stats {
                            stats.touch();
                            stats.add_out(bytes as u64);
                        }
                    }
                });
                if let Poll::Ready(state) = state {
                    if let Err(Broken::Unreadable(refused)) = state {
                        self.ctx.inner.metrics.count_refused(refused);
                    }
                    return Poll::Ready(state.is_ok());
                }
                if self.poll_upload(cx).is_err() {
                    return Poll::Ready(false);
                }
                let Ok(is_blind) = self.poll_watch(cx) else {
                    return Poll::Ready(false);
                };
                let idle = after(self.moved, self.ctx.inner.config.limits.idle);
                let is_held_back = self.client.link.has_out();
                let mut slow = self.client_deadline();
                if let Some(reader) = pace.wait(is_held_back) {
                    slow = slow.min(reader);
                }
                let mut when = idle.min(slow);
                if is_blind || is_held_back {
                    when = when.min(self.looked + TICK);
                }
                if self.client.alarm.poll_at(cx, when).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if now >= slow {
                    let _ = too_slow(self.ctx);
                    return Poll::Ready(false);
                }
                if now >= idle {
                    self.ctx.inner.metrics.count_limit("idle");
                    return Poll::Ready(false);
                }
                if self.look(now).is_err() {
                    return Poll::Ready(false);
                }
            }
        })
        .await
    }

    fn into_tunnel(self, admitted: Admitted) -> Result<Box<Opened>, Stop> {
        let inner = self.ctx.inner;
        let metrics = &inner.metrics;
        let entered = inner
            .tunnels
            .enter(
                admitted,
                &inner.log,
                metrics.websockets.clone(),
                &self.ctx.conn.kill,
            )
            .ok_or(Failure::Denied)?;
        let gauges = Gauges {
            stats: self.way.stats.cloned(),
            _websocket: self.way.stats.map(Stats::open_websocket),
            bytes_in: metrics.bytes(self.way.kind, Direction::In),
            bytes_out: metrics.bytes(self.way.kind, Direction::Out),
        };
        if let Some(stats) = self.way.stats {
            stats.touch();
        }
        let Client {
            link, head, answer, ..
        } = &mut *self.client;
        let ending = Ending {
            keep_alive: true,
            chunked: false,
        };
        outgoing::answer_head(&mut link.out, self.ctx, self.way, head, answer, ending);
        Ok(Box::new(Opened {
            server: self.server,
            inner: inner.clone(),
            _conn: self.ctx.conn.clone(),
            id: *self.ctx.id,
            entered,
            gauges,
            line: None,
        }))
    }
}
