//! One request on an HTTP/2 connection: decided on as in HTTP/1, answered, and recorded.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use hyper::{
    Response,
    header::{CONTENT_LENGTH, HeaderValue, STRICT_TRANSPORT_SECURITY},
    http::request::Parts,
};
use tokio::time::Instant;

use super::{
    OpenStream, exchange, head,
    websocket::{self, poll_room},
};
use crate::{
    access_log::{self, Line, Measured},
    alarm::{Alarm, after},
    error_page::{self, Failure},
    fields::Known,
    head::Head,
    http1::{Refused, answer::Answer},
    listen::Conn,
    metrics::Kind,
    request::{Ctx, Stop, check, find_way},
    request_id::RequestId,
    serve::Worker,
    upgrade::Tunnel,
};

pub(super) struct Stream {
    pub(super) worker: Arc<Worker>,
    pub(super) conn: Arc<Conn>,
    pub(super) head: Head,
    pub(super) answer: Answer,
    pub(super) alarm: Alarm,
    /// None once nothing more of the request is wanted.
    pub(super) recv: Option<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
    /// Some of the request's body has been taken.
    pub(super) body_touched: bool,
    pub(super) measured: Measured,
    /// For a WebSocket: what its server has to answer to.
    pub(super) key: String,
    parts: Option<Parts>,
    pub(super) open: OpenStream,
}

/// How a request ended that was sent on.
pub(super) enum Served {
    Whole,
    /// The answer broke off, and the client was told.
    Broken,
    Tunnel(Box<Tunnel>),
}

impl Stream {
    pub(super) fn new(
        worker: Arc<Worker>,
        conn: Arc<Conn>,
        open: OpenStream,
        parts: Parts,
        recv: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Self {
            worker,
            conn,
            head: Head::default(),
            answer: Answer::default(),
            alarm: Alarm::default(),
            recv: Some(recv),
            respond,
            body_touched: false,
            measured: Measured::default(),
            key: String::new(),
            parts: Some(parts),
            open,
        }
    }

    pub(super) async fn run(mut self) {
        let kill = self.conn.kill.clone();
        let tunnel = tokio::select! {
            biased;
            tunnel = self.serve() => tunnel,
            () = kill.cancelled() => None,
        };
        let Some(tunnel) = tunnel else { return };
        // A task of its own, which is much smaller than this one.
        let (tasks, open) = (self.conn.tasks.clone(), self.open);
        tasks.spawn(async move {
            let _open = open;
            tunnel.run().await;
        });
    }

    async fn serve(&mut self) -> Option<Box<Tunnel>> {
        let began = Instant::now();
        let id = RequestId::new();
        let worker = self.worker.clone();
        let inner = &worker.inner;
        let mut kind = Kind::Proxy;
        let checked = self.read_head();
        let is_tunnel = self.head.upgrade().is_some();
        let is_for_us = matches!(checked, Err(Stop::Answer(_)));
        if !is_for_us {
            inner.metrics.chp.count_begun(is_tunnel);
        }
        let mut found = None;
        let outcome = match checked {
            Err(stop) => Err(stop),
            Ok(()) => {
                let host = self.head.host().unwrap_or_default();
                let host = str::from_utf8(host).unwrap_or_default();
                found = inner.find(host, &self.head);
                match find_way(inner, found.as_ref()) {
                    Err(failure) => Err(failure.into()),
                    Ok(way) => {
                        kind = way.kind;
                        let conn = self.conn.clone();
                        let ctx = Ctx {
                            inner,
                            conn: &conn,
                            id: &id,
                        };
                        match ctx.admit(&way, &self.head, is_tunnel).await {
                            Ok(admitted) => exchange::run(self, &ctx, &way, admitted).await,
                            Err(stop) => Err(stop),
                        }
                    }
                }
            }
        };
        let route_id = found.as_ref().map_or("", |(entry, _)| entry.id.as_str());
        let mut tunnel = None;
        let status = match outcome {
            Ok((status, Served::Whole)) => status,
            Ok((status, Served::Tunnel(opened))) => {
                tunnel = Some(opened);
                status
            }
            Ok((status, Served::Broken)) => {
                tracing::debug!(request = %id, route = route_id, "an answer was cut");
                status
            }
            Err(Stop::Answer(answer)) => {
                let status = answer.status().as_u16();
                self.give(*answer, &id).await;
                status
            }
            Err(Stop::Failure(failure)) => {
                let answer = self.page(&failure, kind, &id).await;
                let status = answer.status().as_u16();
                self.give(answer, &id).await;
                status
            }
            Err(Stop::Cut) => {
                inner.http2.resets.inc();
                tracing::debug!(request = %id, route = route_id, "the client left before its answer");
                self.respond.send_reset(Reason::CANCEL);
                if let Some(line) = self.line(kind, began, access_log::CLIENT_LEFT, &id) {
                    line.tell();
                }
                return None;
            }
        };
        inner.metrics.count_request(kind, status);
        if !is_for_us {
            inner.metrics.chp.count_proxied(status);
        }
        match (self.line(kind, began, status, &id), &mut tunnel) {
            (Some(line), Some(tunnel)) => tunnel.opened.line = Some(Box::new(line)),
            (Some(line), None) => line.tell(),
            (None, _) => {}
        }
        // Never the query: tokens and codes travel there.
        tracing::debug!(
            request = %id,
            method = %String::from_utf8_lossy(self.head.method()),
            path = self.head.path(),
            status,
            route = route_id,
            client = %self.conn.address,
            micros = began.elapsed().as_micros() as u64,
            "request"
        );
        tunnel
    }

    fn line(&self, kind: Kind, began: Instant, status: u16, id: &RequestId) -> Option<Line> {
        let (inner, measured) = (&self.worker.inner, self.measured);
        Line::of(
            inner, &self.conn, &self.head, id, kind, began, status, measured,
        )
    }

    fn read_head(&mut self) -> Result<(), Stop> {
        // Taken, so that it is not held for as long as the request lasts.
        let Some(parts) = self.parts.take() else {
            return Err(Stop::Cut);
        };
        let has_ended = self.recv.as_ref().is_none_or(RecvStream::is_end_stream);
        if parts.extensions.get::<h2::ext::Protocol>().is_some() {
            self.key = websocket::new_key().map_err(|error| {
                tracing::error!(%error, "the system gives no random numbers");
                Failure::NoServer
            })?;
        }
        let most = self.worker.inner.config.limits.header_bytes;
        if let Err(refused) = head::fill(&mut self.head, &parts, has_ended, most, &self.key) {
            if refused == Refused::TooLarge {
                self.worker.inner.metrics.count_limit("headers");
            }
            // What has been read of it must not decide anything, but how the page looks.
            return Err(Failure::from(refused).into());
        }
        if self.head.fields.list.len() > self.worker.inner.config.limits.header_count {
            self.worker.inner.metrics.count_limit("headers");
            return Err(Failure::HeadersTooLarge.into());
        }
        check(&self.worker.inner, &self.conn, &self.head)
    }

    async fn page(&self, failure: &Failure, kind: Kind, id: &RequestId) -> Response<Bytes> {
        let head = &self.head;
        let accept = head.fields.first(Known::Accept).unwrap_or_default();
        let url = format!("{}{}", head.path(), String::from_utf8_lossy(head.query()));
        let asked = error_page::Asked {
            failure,
            kind,
            url: if url.is_empty() { "/" } else { &url },
            wants_json: error_page::wants_json(accept, head.path()),
            lang: error_page::language(&self.worker.inner, &head.fields),
            is_websocket: head.upgrade().is_some(),
            request_id: id.as_str(),
        };
        let page = error_page::answer(&self.worker.inner, &asked).await;
        page.into()
    }

    /// Gives an answer made here. What the client still sends is not wanted: the codec says so when
    /// this stream is dropped (RFC 9113, section 8.1).
    async fn give(&mut self, answer: Response<Bytes>, id: &RequestId) {
        self.recv = None;
        let (mut parts, body) = answer.into_parts();
        parts
            .headers
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Some(strict) = self.conn.strict_transport()
            && let Ok(strict) = HeaderValue::from_bytes(strict.as_bytes())
        {
            parts.headers.insert(STRICT_TRANSPORT_SECURITY, strict);
        }
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            parts.headers.insert(error_page::X_REQUEST_ID, id);
        }
        let is_empty = self.head.is_head() || body.is_empty();
        let response = Response::from_parts(parts, ());
        let Ok(mut send) = self.respond.send_response(response, is_empty) else {
            return;
        };
        if is_empty {
            return;
        }
        let idle = self.worker.inner.config.limits.idle;
        let deadline = after(Instant::now(), idle);
        let mut body = body;
        poll_fn(|cx| {
            loop {
                match poll_room(&mut send, &self.open.streams.seen, cx, body.len()) {
                    Poll::Ready(Ok(room)) => {
                        let piece = body.split_to(room);
                        let is_last = body.is_empty();
                        if send.send_data(piece, is_last).is_err() || is_last {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            if is_reset(&mut send, cx) {
                return Poll::Ready(());
            }
            self.alarm.poll_at(cx, deadline)
        })
        .await;
    }
}

/// Whether the client has taken its request back, or gone altogether.
pub(super) fn is_reset(send: &mut SendStream<Bytes>, cx: &mut std::task::Context<'_>) -> bool {
    send.poll_reset(cx).is_ready()
}
