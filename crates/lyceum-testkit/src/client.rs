//! A browser without a screen: it keeps cookies by host and path, follows nothing by itself unless
//! it visits, and fills in the form token that the last page held.
//!
//! Where a path is asked for, so can be an address with any host: all lead to the same machine.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use lyceum_model::base::BasePath;
use lyceum_model::clock::{Clock, Millis};

use crate::below;
use crate::hub::PASSWORD;

/// More than any way through the product has.
const MOST_REDIRECTS: usize = 12;
/// How long a stream may be silent about what is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    /// Where a redirect leads.
    pub fn location(&self) -> &str {
        self.headers
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Fails with the whole answer when the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{:?}\n{}",
            self.headers,
            self.text()
        );
        self
    }
}

struct Stored {
    name: String,
    value: String,
    host: String,
    /// Sent to hosts below as well.
    wide: bool,
    path: String,
    /// When its time is over, if it has an end that this browser keeps to.
    until: Option<Millis>,
}

impl Stored {
    fn is_for(&self, host: &str, path: &str) -> bool {
        let below = host.strip_suffix(&self.host);
        let fits = below.is_some_and(|rest| rest.is_empty() || self.wide && rest.ends_with('.'));
        fits && path.starts_with(&self.path)
    }
}

/// An answer whose body is still coming.
pub struct Stream {
    body: Incoming,
    text: String,
    base: BasePath,
}

impl Stream {
    /// Reads on until this was said.
    pub async fn until(&mut self, words: &str) {
        let reading = async {
            while !self.text.contains(words) {
                let more = self.more().await;
                assert!(more, "ended without {words:?}: {}", self.text);
            }
        };
        let said = tokio::time::timeout(PATIENCE, reading).await;
        assert!(said.is_ok(), "waited in vain for {words:?}: {}", self.text);
    }

    /// All there is, when it has ended.
    pub async fn rest(mut self) -> String {
        let reading = async { while self.more().await {} };
        let ended = tokio::time::timeout(PATIENCE, reading).await;
        assert!(ended.is_ok(), "did not end: {}", self.text);
        self.text
    }

    async fn more(&mut self) -> bool {
        let Some(frame) = self.body.frame().await else {
            return false;
        };
        if let Ok(data) = frame.expect("a whole body").into_data() {
            let text = String::from_utf8_lossy(&data);
            self.text.push_str(&text.replace(self.base.as_str(), "/"));
        }
        true
    }
}

/// One browser, or one program with a token.
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    /// What it calls the machine, with a port.
    host: String,
    /// Where all it asks for stands; see [`crate::below`].
    base: BasePath,
    cookies: Mutex<Vec<Stored>>,
    clock: Option<Clock>,
    token: Option<String>,
    headers: HeaderMap,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            pool: Pool::builder(TokioExecutor::new()).build_http(),
            address,
            host: address.to_string(),
            base: BasePath::default(),
            cookies: Mutex::default(),
            clock: None,
            token: None,
            headers: HeaderMap::new(),
        }
    }

    /// Whatever it asks for is below this path, and nothing that comes back may lead out of it.
    #[must_use]
    pub fn below(mut self, base: BasePath) -> Self {
        self.base = base;
        self
    }

    /// Forgets cookies by this clock when their `Max-Age` is over, as browsers do. Without one it sends them for
    /// ever, as a thief does.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Goes to the machine by this name.
    #[must_use]
    pub fn at(mut self, host: &str) -> Self {
        self.host = format!("{host}:{}", self.address.port());
        self
    }

    /// Looks at a page as a person does: goes wherever it is sent. Gives the address it ends at.
    pub async fn visit(&self, page: &str) -> (String, Answer) {
        let mut here = page.to_owned();
        for _ in 0..MOST_REDIRECTS {
            let html = [("accept", "text/html"), ("sec-fetch-mode", "navigate")];
            let answer = self.send(Method::GET, &here, &html, Bytes::new()).await;
            if !answer.status.is_redirection() {
                return (here, answer);
            }
            here = match answer.location() {
                path if path.starts_with('/') => {
                    let (host, _) = self.split(&here);
                    format!("http://{host}{path}")
                }
                whole => whole.to_owned(),
            };
        }
        panic!("went round and round: {page}, at last {here}");
    }

    /// Host and path of what is asked for.
    fn split<'a>(&'a self, to: &'a str) -> (&'a str, &'a str) {
        match to.strip_prefix("http://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => (&self.host, to),
        }
    }

    /// Sends `Authorization: token …` with everything.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// The status alone: the rest may be broken off, as it is when access is taken back.
    pub async fn status(&self, path: &str) -> u16 {
        let (parts, _) = self.ask(Method::GET, path, &[], Bytes::new()).await;
        parts.status.as_u16()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub async fn post_json(&self, path: &str, body: &serde_json::Value) -> Answer {
        let body = Bytes::from(body.to_string());
        self.send(
            Method::POST,
            path,
            &[("content-type", "application/json")],
            body,
        )
        .await
    }

    /// Posts a form as the page it stands on would, with the token of this browser.
    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = fields.iter().copied();
        let xsrf = self.cookie("_xsrf").unwrap_or_default();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields.map(|(key, value)| (key, below::field(&self.base, key, value))))
            .append_pair("_xsrf", &xsrf)
            .finish();
        self.send(
            Method::POST,
            path,
            &[("content-type", "application/x-www-form-urlencoded")],
            body.into(),
        )
        .await
    }

    /// Opens the log-in page and fills the form in.
    pub async fn log_in(&self, name: &str, password: &str) -> Answer {
        self.get("/hub/login").await.expect(200);
        self.post_form("/hub/login", &[("username", name), ("password", password)])
            .await
    }

    /// The same where this client is told whole paths.
    pub async fn log_in_below(&self, base: &str, name: &str) {
        let page = format!("{base}hub/login");
        self.get(&page).await.expect(200);
        let fields = [("username", name), ("password", PASSWORD)];
        self.post_form(&page, &fields).await.expect(302);
    }

    /// A stream of events, read as it comes.
    pub async fn listen(&self, path: &str) -> Stream {
        let (parts, body) = self.ask(Method::GET, path, &[], Bytes::new()).await;
        assert_eq!(parts.status, 200, "{path}");
        Stream {
            body,
            text: String::new(),
            base: self.base.clone(),
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Answer {
        let (mut parts, body) = self.ask(method, path, headers, body).await;
        let mut body = body.collect().await.expect("a whole body").to_bytes();
        if !self.base.is_root() {
            let text = String::from_utf8_lossy(&body).into_owned();
            let told = below::inwards(&self.base, &mut parts.headers, &text, path);
            if told != text {
                body = told.into();
            }
        }
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The answer to a request that may meet nobody, get none, or have it broken off.
    pub async fn dare(
        &self,
        method: Method,
        path: &str,
        body: &serde_json::Value,
        limit: Duration,
    ) -> Option<Answer> {
        let body = match body {
            serde_json::Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let asking = async {
            let headers = [("content-type", "application/json")];
            let (parts, body) = self.try_ask(method, path, &headers, body).await.ok()?;
            Some(Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.ok()?.to_bytes(),
            })
        };
        tokio::time::timeout(limit, asking).await.ok().flatten()
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (Parts, Incoming) {
        let asked = self.try_ask(method, path, headers, body).await;
        asked.expect("an answer")
    }

    async fn try_ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(Parts, Incoming), hyper_util::client::legacy::Error> {
        let (host, path) = self.split(path);
        let path = below::outwards(&self.base, path);
        let path = path.as_str();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        let all = request.headers_mut().expect("a good request");
        all.insert(HOST, HeaderValue::from_str(host).expect("a host"));
        all.extend(self.headers.clone());
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("token {token}")).expect("a token");
            all.insert("authorization", value);
        }
        let bare = host.split(':').next().unwrap_or_default().to_owned();
        let cookies = self.cookies_for(&bare, path);
        if !cookies.is_empty() {
            all.insert(COOKIE, HeaderValue::from_str(&cookies).expect("cookies"));
        }
        for (at, (name, value)) in headers.iter().enumerate() {
            let again = headers[..at].iter().any(|(before, _)| before == name);
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            let value = HeaderValue::from_str(value).expect("a header value");
            match again {
                true => drop(all.append(name, value)),
                false => drop(all.insert(name, value)),
            }
        }
        if !all.contains_key(CONTENT_TYPE) && !body.is_empty() {
            all.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
        }
        let request = request.body(Full::new(body)).expect("a good request");
        let (parts, body) = self.pool.request(request).await?.into_parts();
        self.keep(&bare, &parts.headers);
        Ok((parts, body))
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies
            .iter()
            .find(|cookie| cookie.name == name && !self.is_over(cookie))
            .map(|cookie| cookie.value.clone())
    }

    /// Plants a cookie, as a naughty page would.
    pub fn plant(&self, name: &str, value: &str, path: &str) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        cookies.insert(
            0,
            Stored {
                name: name.into(),
                value: value.into(),
                host: self.host.split(':').next().unwrap_or_default().into(),
                wide: false,
                path: below::outwards(&self.base, path),
                until: None,
            },
        );
    }

    fn is_over(&self, cookie: &Stored) -> bool {
        let now = self.clock.as_ref().map(Clock::now);
        now.zip(cookie.until)
            .is_some_and(|(now, until)| now.0 >= until.0)
    }

    fn cookies_for(&self, host: &str, path: &str) -> String {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting =
            (cookies.iter()).filter(|cookie| cookie.is_for(host, path) && !self.is_over(cookie));
        fitting
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn keep(&self, host: &str, headers: &HeaderMap) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for line in headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let rest: Vec<&str> = parts.collect();
            let path = rest
                .iter()
                .find_map(|part| part.strip_prefix("Path="))
                .unwrap_or("/")
                .to_owned();
            let domain = rest.iter().find_map(|part| part.strip_prefix("Domain="));
            let own = domain.unwrap_or(host).to_owned();
            cookies.retain(|cookie| {
                !(cookie.name == name && cookie.path == path && cookie.host == own)
            });
            let age = rest.iter().find_map(|part| part.strip_prefix("Max-Age="));
            let age = age.and_then(|age| age.parse::<i64>().ok());
            let until = (self.clock.as_ref().zip(age))
                .map(|(clock, age)| clock.now().plus(age.saturating_mul(1000)));
            if !rest.contains(&"Max-Age=0") {
                cookies.push(Stored {
                    name: name.into(),
                    value: value.into(),
                    host: own,
                    wide: domain.is_some(),
                    path,
                    until,
                });
            }
        }
    }
}
