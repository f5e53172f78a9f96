//! Steps that many stories share.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lyceum_model::messages::Messages;
use lyceum_model::name::UserName;
use lyceum_model::server::HubEnv;
use lyceum_testkit::client::Answer;
use lyceum_testkit::{Client, TestHub};
use lyceum_web::cookie;
use lyceum_web::page::Lang;
use lyceum_web::page::messages::OWN_MESSAGES;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(60);

/// Starts the default server and gives the environment it got.
pub(crate) async fn start_server(hub: &TestHub, name: &str) -> HubEnv {
    let token = hub.token(name).await;
    hub.client()
        .with_token(&token)
        .post_json(
            &format!("/hub/api/users/{name}/server"),
            &serde_json::json!({}),
        )
        .await
        .expect(201);
    let orders = hub.spawner.orders();
    let order = orders
        .iter()
        .rev()
        .find(|order| order.hub.user.as_str() == name);
    order.expect("the spawner was asked").hub.clone()
}

/// A WebSocket of Ada's server, through the proxy.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// With one header that says who comes; none if it is refused.
    pub(crate) async fn open(hub: &TestHub, name: &'static str, value: &str) -> Option<Self> {
        Self::open_at(hub, "127.0.0.1", name, value).await
    }

    /// As `open`, at a host.
    pub(crate) async fn open_at(
        hub: &TestHub,
        host: &str,
        name: &'static str,
        value: &str,
    ) -> Option<Self> {
        Self::open_as(hub, host, "/user/ada/echo", name, value).await
    }

    /// As `open`, of another server.
    pub(crate) async fn open_path(
        hub: &TestHub,
        path: &str,
        name: &'static str,
        value: &str,
    ) -> Option<Self> {
        Self::open_as(hub, "127.0.0.1", path, name, value).await
    }

    async fn open_as(
        hub: &TestHub,
        host: &str,
        path: &str,
        name: &'static str,
        value: &str,
    ) -> Option<Self> {
        let path = hub.hub.at(path);
        let mut request = format!("ws://{}{path}", hub.address())
            .into_client_request()
            .expect("a request");
        let value = value.parse().expect("a header");
        request.headers_mut().insert(name, value);
        let host = host.parse().expect("a host");
        request.headers_mut().insert("host", host);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.ok()?;
        let mut socket = Self(socket);
        socket.assert_open().await;
        Some(socket)
    }

    pub(crate) async fn by_cookie(hub: &TestHub, client: &Client) -> Self {
        let access = client.cookie(cookie::ACCESS).expect("an access cookie");
        let cookies = format!("{}={access}", cookie::ACCESS);
        let socket = Self::open(hub, "cookie", &cookies).await;
        socket.expect("a WebSocket")
    }

    pub(crate) async fn by_token(hub: &TestHub, token: &str) -> Self {
        let socket = Self::open(hub, "authorization", &format!("token {token}")).await;
        socket.expect("a WebSocket")
    }

    pub(crate) async fn assert_open(&mut self) {
        self.0.send(Message::text("6*7")).await.expect("sent");
        let echo = tokio::time::timeout(LONG, self.0.next()).await;
        let echo = echo.expect("an echo").expect("open").expect("a message");
        assert_eq!(echo, Message::text("6*7"));
    }

    pub(crate) async fn assert_ends(&mut self) {
        let ended = async {
            while let Some(Ok(message)) = self.0.next().await {
                if message.is_close() {
                    break;
                }
            }
        };
        let ended = tokio::time::timeout(LONG, ended).await;
        ended.expect("the open WebSocket ends");
    }
}

/// A program with a new token of this person.
pub(crate) async fn program(hub: &TestHub, name: &str) -> Client {
    let token = hub.token(name).await;
    hub.client().with_token(&token)
}

/// People without passwords, enough for lists.
pub(crate) async fn add_people(hub: &TestHub, names: &[String]) {
    let mut tx = hub.hub.db().write().await.expect("a transaction");
    for name in names {
        let name = UserName::parse(name).expect("a good name");
        lyceum_hub::users::ensure(&mut tx, &name, hub.hub.now())
            .await
            .expect("a user");
    }
    tx.commit().await.expect("written");
}

/// The form token that a page holds.
pub(crate) fn form_token(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"_xsrf\" value=\"")
        .unwrap_or_else(|| panic!("no form token: {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// The fields of a page's form that nobody sees, in order.
pub(crate) fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("<input type=\"hidden\" name=\"").skip(1);
    let fields = inputs.filter_map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"")?;
        let (value, _) = rest.split_once('"')?;
        Some((name.to_owned(), value.replace("&#x2f;", "/")))
    });
    fields.collect()
}

/// One value of a URL's query.
pub(crate) fn query_value(url: &str, key: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.into_owned())
}

pub(crate) fn quoted(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A form as a program posts it: no form token.
pub(crate) async fn post_plain(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    client
        .send(
            hyper::Method::POST,
            path,
            &[("content-type", "application/x-www-form-urlencoded")],
            body.into(),
        )
        .await
}

pub(crate) async fn send_json(
    client: &Client,
    method: hyper::Method,
    path: &str,
    body: &serde_json::Value,
) -> Answer {
    let json = [("content-type", "application/json")];
    client
        .send(method, path, &json, body.to_string().into())
        .await
}

/// A header of an answer as text.
pub(crate) fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer
        .headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A browser whose reader speaks German.
pub(crate) fn in_german(client: Client) -> Client {
    client
        .with_header("accept-language", "de-DE,de;q=0.9,en;q=0.5")
        .with_header("accept", "text/html,*/*;q=0.8")
}

/// Fails when a page says something of the English files.
pub(crate) fn assert_german(page: &str) {
    assert!(page.contains("<html lang=\"de\">"), "{page}");
    assert_no_english(page);
}

pub(crate) fn assert_no_english(text: &str) {
    let text = ["&#39;'", "&quot;\"", "&amp;&"]
        .iter()
        .fold(text.to_owned(), |text, pair| {
            let (entity, c) = pair.split_at(pair.len() - 1);
            text.replace(entity, c)
        });
    for phrase in ENGLISH.iter() {
        assert!(!text.contains(phrase.as_str()), "{phrase:?} in {text}");
    }
}

/// All that pages say in English, cut where values are filled in. Single words are left out, since
/// some are the same in both languages.
static ENGLISH: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut phrases = Vec::new();
    for files in [lyceum_model::saying::FILES, OWN_MESSAGES] {
        let messages = Messages::read(files).expect("good files");
        for key in messages.keys(&Lang::En) {
            let text = messages.find(&Lang::En, key).expect("just listed");
            let german = messages.find(&Lang::De, key).expect("in both");
            let parts = text.split('{').enumerate().map(|(at, part)| match at {
                0 => part,
                _ => part.split_once('}').map_or("", |(_, rest)| rest),
            });
            phrases.extend(
                parts
                    .map(|part| part.trim_matches([' ', ',', ';', '.', '(', ')', ':', '"']))
                    .filter(|part| part.contains(' ') && part.len() > 6 && !german.contains(part))
                    .map(str::to_owned),
            );
        }
    }
    assert!(phrases.len() > 300, "the files are read");
    phrases
});

/// Waits for what comes by itself.
pub(crate) async fn until(what: &str, come: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + LONG;
    while !come().await {
        assert!(
            tokio::time::Instant::now() < end,
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all servers of this person are at rest.
pub(crate) async fn settled(hub: &TestHub, name: &str) {
    let name = UserName::parse(name).expect("a good name");
    until("her servers are at rest", async || {
        let mut tx = hub.hub.db().read().await.expect("a transaction");
        let user = lyceum_hub::db::users::find(&mut tx, &name).await;
        let user = user.expect("read").expect("the user is there");
        let servers = lyceum_hub::db::servers::of_user(&mut tx, &user.id).await;
        let servers = servers.expect("read");
        servers.iter().all(|server| !server.state.is_active())
    })
    .await;
}
