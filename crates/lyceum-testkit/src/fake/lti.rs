//! A learning platform that speaks LTI 1.3 and is strict: it fails whoever asks for less, or otherwise, than
//! the specification has it. It slips only where it is told to. It writes its tokens by hand, so that it
//! shares no mistake with whoever reads them.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use url::Url;

use super::provider::{Key, coded, ec, now, rsa};

pub const TOOL: &str = "10000000000003";
pub const DEPLOYMENT: &str = "07940580-b309";
const CLAIM: &str = "https://purl.imsglobal.org/spec/lti/claim/";
const NRPS: &str = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice";
const NRPS_SCOPE: &str =
    "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly";
const NRPS_KIND: &str = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json";
const DL: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/";
const DL_SETTINGS: &str = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings";
const MEMBERSHIP: &str = "http://purl.imsglobal.org/vocab/lis/v2/membership";

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// `alg: none` and no signature.
    Unsigned,
    /// Signed with a word that is no secret (HS256 in the header).
    SignedWithWord,
    /// Signed by a key that is not published, with the id of one that is.
    ForeignKey,
    /// The same, with an id that is not published.
    UnknownKey,
    /// The signature is of something else.
    Tampered,
    /// Everything is answered with "away".
    Away,
    /// Its second page of members is at another site.
    StrayPage,
    /// It tells the members of another course.
    OtherCourse,
    /// It says that a course is empty.
    Nobody,
    /// Its tokens are of a kind of their own.
    OtherTokens,
}

struct Inner {
    issuer: String,
    /// Where launches may be posted to.
    registered: HashSet<String>,
    person: Value,
    /// Claims of LTI, by their last words.
    launch: HashMap<String, Value>,
    /// Over the claims of each token; `@WORD` is one of LTI.
    replaced: Vec<(String, Value)>,
    slip: Option<Slip>,
    keys: Vec<(String, Key)>,
    asked_for_keys: usize,
    /// Hints that were given and not come back yet, with where the link leads.
    hints: HashMap<String, String>,
    next_hint: usize,
    nonces: HashSet<String>,
    /// What the tool publishes (JWKS), as it was registered.
    tool_keys: Value,
    assertions: HashSet<String>,
    tokens: HashSet<String>,
    /// Who is in the course.
    members: Vec<Value>,
    /// So many of them on a page.
    page_size: usize,
    asked_for_members: usize,
    /// What was wrong with what the tool asked for, most lately.
    refused: Option<String>,
}

/// A running platform; it ends with its maker.
#[derive(Clone)]
pub struct FakePlatform {
    inner: Shared,
    _running: Arc<Running>,
}

struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Shared = Arc<Mutex<Inner>>;

fn lock(inner: &Shared) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A role in a course, in the platform's words.
pub fn role(word: &str) -> String {
    format!("{MEMBERSHIP}#{word}")
}

impl FakePlatform {
    /// Ada is logged in there and takes the course `42`.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let launch = [
            ("message_type", json!("LtiResourceLinkRequest")),
            ("version", json!("1.3.0")),
            ("deployment_id", json!(DEPLOYMENT)),
            (
                "resource_link",
                json!({"id": "link 1", "title": "Notebooks"}),
            ),
            ("roles", json!([role("Learner")])),
            (
                "context",
                json!({"id": "42", "label": "BIO-101", "title": "Biology", "type": ["http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"]}),
            ),
            ("ext", json!({"user_username": "ada", "lms": "fake"})),
        ];
        let inner = Arc::new(Mutex::new(Inner {
            issuer: format!("http://{address}/lms"),
            registered: HashSet::new(),
            person: json!({"sub": "1", "name": "Ada Lovelace", "email": "ada@example.edu"}),
            launch: launch.map(|(word, value)| (word.to_owned(), value)).into(),
            replaced: Vec::new(),
            slip: None,
            keys: vec![("first".into(), rsa())],
            asked_for_keys: 0,
            hints: HashMap::new(),
            next_hint: 0,
            nonces: HashSet::new(),
            tool_keys: Value::Null,
            assertions: HashSet::new(),
            tokens: HashSet::new(),
            members: Vec::new(),
            page_size: 2,
            asked_for_members: 0,
            refused: None,
        }));
        let router = Router::new()
            .route("/lms/keys", get(keys))
            .route("/lms/token", post(token))
            .route("/lms/members", get(members))
            .layer(axum::middleware::from_fn_with_state(
                inner.clone(),
                slipping,
            ))
            .with_state(inner.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            inner,
            _running: Arc::new(Running(task)),
        }
    }

    pub fn issuer(&self) -> String {
        lock(&self.inner).issuer.clone()
    }

    /// Launches may be posted there.
    pub fn register(&self, redirect_uri: &str) -> &Self {
        lock(&self.inner).registered.insert(redirect_uri.to_owned());
        self
    }

    /// Somebody else is logged in there from now on; `name` is what the platform calls her.
    pub fn log_in(&self, sub: &str, name: &str) -> &Self {
        let mut inner = lock(&self.inner);
        inner.person = json!({"sub": sub, "name": name, "email": format!("{name}@example.edu")});
        let ext = json!({"user_username": name});
        inner.launch.insert("ext".into(), ext);
        drop(inner);
        self
    }

    /// Launches have this from now on; `null`: they don't.
    pub fn say(&self, word: &str, value: Value) -> &Self {
        lock(&self.inner).launch.insert(word.into(), value);
        self
    }

    pub fn slip(&self, slip: Option<Slip>) -> &Self {
        lock(&self.inner).slip = slip;
        self
    }

    /// Tokens have this claim from now on, `@WORD` being one of LTI; `null`: they don't have it.
    pub fn replace(&self, claim: &str, value: Value) -> &Self {
        lock(&self.inner).replaced.push((claim.into(), value));
        self
    }

    pub fn as_usual(&self) -> &Self {
        let mut inner = lock(&self.inner);
        inner.replaced.clear();
        inner.slip = None;
        drop(inner);
        self
    }

    /// New keys, of another kind; the old ones sign nothing any more and are not published.
    pub fn rotate(&self) -> &Self {
        let mut inner = lock(&self.inner);
        let number = inner.keys.len() + 1;
        inner.keys = vec![(format!("key {number} of another kind"), ec())];
        drop(inner);
        self
    }

    /// The keys that the tool publishes, as an administrator there registers them.
    pub fn know_tool(&self, keys: Value) -> &Self {
        lock(&self.inner).tool_keys = keys;
        self
    }

    /// Launches say where it is told who is in the course; these are: mark, roles, whether active.
    pub fn enrol(&self, people: &[(&str, &[&str], &str)]) -> &Self {
        let mut inner = lock(&self.inner);
        inner.members = people
            .iter()
            .map(|(mark, roles, status)| {
                let roles: Vec<String> = roles.iter().map(|word| role(word)).collect();
                json!({"user_id": mark, "roles": roles, "status": status, "name": "Somebody"})
            })
            .collect();
        let claim = json!({
            "context_memberships_url": format!("{}/members?course=42", inner.issuer),
            "service_versions": ["2.0"],
        });
        inner.replaced.retain(|(name, _)| name != NRPS);
        inner.replaced.push((NRPS.into(), claim));
        drop(inner);
        self
    }

    /// It tells so many members on a page.
    pub fn tell_at_once(&self, many: usize) -> &Self {
        lock(&self.inner).page_size = many;
        self
    }

    /// Launches ask what a link shall open. Gives where the answer goes.
    pub fn ask_for_link(&self, data: &str) -> String {
        let back = format!("{}/picked?course=42", lock(&self.inner).issuer);
        let settings = json!({
            "deep_link_return_url": back, "data": data, "accept_multiple": false,
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["iframe", "window"],
        });
        self.replace("@message_type", json!("LtiDeepLinkingRequest"))
            .replace("@resource_link", Value::Null)
            .replace("@target_link_uri", Value::Null)
            .replace(DL_SETTINGS, settings);
        back
    }

    /// What somebody has picked, as her browser brings it. Refused is what is not ours, not for it, or not for
    /// now.
    #[track_caller]
    pub fn take_link(&self, token: &str, data: &str) -> Vec<Value> {
        let mut inner = lock(&self.inner);
        let said = signed_by_tool(&inner, token).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(said["iss"], TOOL);
        assert_eq!(said["aud"], json!([inner.issuer]));
        let at = |name: &str| said[name].as_u64().unwrap_or_default();
        assert!(at("iat") <= now() + 5 && at("exp") > now() && at("exp") <= now() + 300);
        let nonce = said["nonce"].as_str().unwrap_or_default();
        assert!(nonce.len() >= 16 && inner.nonces.insert(nonce.to_owned()));
        let of = |word: &str| said[format!("{CLAIM}{word}")].clone();
        assert_eq!(of("message_type"), "LtiDeepLinkingResponse");
        assert_eq!(of("version"), "1.3.0");
        assert_eq!(of("deployment_id"), DEPLOYMENT);
        assert_eq!(said[format!("{DL}data")], data);
        let items = said[format!("{DL}content_items")].as_array();
        items.expect("a list").clone()
    }

    /// How often the first page of members was asked for in the right way.
    pub fn times_asked_for_members(&self) -> usize {
        lock(&self.inner).asked_for_members
    }

    /// What it last refused the tool, and why.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.inner).refused.take()
    }

    pub fn times_asked_for_keys(&self) -> usize {
        lock(&self.inner).asked_for_keys
    }

    /// Somebody follows a link there that leads to `target`: what her browser is sent to the tool with.
    pub fn follow(&self, target: &str) -> Vec<(String, String)> {
        let mut inner = lock(&self.inner);
        inner.next_hint += 1;
        let hint = format!("hint & {}", inner.next_hint);
        inner.hints.insert(hint.clone(), target.to_owned());
        [
            ("iss", inner.issuer.as_str()),
            ("login_hint", &hint),
            ("target_link_uri", target),
            ("lti_message_hint", &format!("message of {hint}")),
            ("client_id", TOOL),
            ("lti_deployment_id", DEPLOYMENT),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    /// A browser was sent here. Gives where the platform posts to, and the form.
    #[track_caller]
    pub fn authorize(&self, way_out: &str) -> (String, Vec<(String, String)>) {
        let url: Url = way_out.parse().expect("an address");
        let mut asked: HashMap<String, String> = HashMap::new();
        for (key, value) in url.query_pairs().into_owned() {
            let before = asked.insert(key.clone(), value);
            assert!(before.is_none(), "{key} is said twice");
        }
        let of = |key: &str| asked.get(key).cloned().unwrap_or_default();
        let mut inner = lock(&self.inner);
        let here = format!("{}/auth", inner.issuer);
        assert_eq!(url.as_str().split('?').next(), Some(&*here));
        assert_eq!(of("scope"), "openid");
        assert_eq!(of("response_type"), "id_token");
        assert_eq!(of("response_mode"), "form_post");
        assert_eq!(of("prompt"), "none");
        assert_eq!(of("client_id"), TOOL);
        let back = of("redirect_uri");
        assert!(inner.registered.contains(&back), "{back} is not registered");
        let hint = of("login_hint");
        assert_eq!(of("lti_message_hint"), format!("message of {hint}"));
        let target = inner.hints.remove(&hint);
        let target = target.expect("a hint that was given, once");
        let (state, nonce) = (of("state"), of("nonce"));
        assert!(!state.is_empty() && nonce.len() >= 16, "{url}");
        assert!(
            inner.nonces.insert(nonce.clone()),
            "the nonce was used before"
        );
        let token = id_token(&inner, &nonce, &target);
        let form = [("state", state), ("id_token", token)];
        (
            back,
            form.map(|(key, value)| (key.to_owned(), value)).into(),
        )
    }
}

async fn slipping(
    State(inner): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let slip = lock(&inner).slip;
    match slip {
        Some(Slip::Away) => StatusCode::BAD_GATEWAY.into_response(),
        _ => next.run(request).await,
    }
}

async fn keys(State(inner): State<Shared>) -> Response {
    let mut inner = lock(&inner);
    inner.asked_for_keys += 1;
    let keys: Vec<Value> = inner.keys.iter().map(|(id, key)| key.public(id)).collect();
    let kind = [(header::CONTENT_TYPE, "application/jwk-set+json")];
    (kind, Json(json!({ "keys": keys }))).into_response()
}

fn id_token(inner: &Inner, nonce: &str, target: &str) -> String {
    let mut claims = inner.person.clone();
    let all = claims.as_object_mut().expect("claims");
    for (name, value) in [
        ("iss", json!(inner.issuer)),
        ("aud", json!([TOOL])),
        ("azp", json!(TOOL)),
        ("nonce", json!(nonce)),
        ("iat", json!(now())),
        ("exp", json!(now() + 300)),
    ] {
        all.insert(name.into(), value);
    }
    all.insert(format!("{CLAIM}target_link_uri"), json!(target));
    for (word, value) in &inner.launch {
        if !value.is_null() {
            all.insert(format!("{CLAIM}{word}"), value.clone());
        }
    }
    for (name, value) in &inner.replaced {
        let name = match name.strip_prefix('@') {
            Some(word) => format!("{CLAIM}{word}"),
            None => name.clone(),
        };
        match value {
            Value::Null => all.remove(&name),
            value => all.insert(name, value.clone()),
        };
    }
    sign(inner, &claims)
}

fn sign(inner: &Inner, claims: &Value) -> String {
    let (id, key) = inner.keys.last().expect("a key");
    let algorithm = match inner.slip {
        Some(Slip::Unsigned) => "none",
        Some(Slip::SignedWithWord) => "HS256",
        _ => key.algorithm(),
    };
    let id = match inner.slip {
        Some(Slip::UnknownKey) => "unknown",
        _ => id,
    };
    let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"});
    let text = format!(
        "{}.{}",
        coded(header.to_string().as_bytes()),
        coded(claims.to_string().as_bytes())
    );
    let signature = match inner.slip {
        Some(Slip::Unsigned) => String::new(),
        Some(Slip::SignedWithWord) => {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, TOOL.as_bytes());
            coded(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref())
        }
        Some(Slip::ForeignKey | Slip::UnknownKey) => rsa().sign(&text),
        Some(Slip::Tampered) => key.sign("something else"),
        _ => key.sign(&text),
    };
    format!("{text}.{signature}")
}

/// What the tool has signed; why not otherwise.
fn signed_by_tool(inner: &Inner, token: &str) -> Result<Value, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        return Err("no token".into());
    };
    let part = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes());
    let read = |text: &str| -> Option<Value> { serde_json::from_slice(&part(text).ok()?).ok() };
    let (header_read, said) = (read(header), read(claims));
    let (Some(head), Some(said)) = (header_read, said) else {
        return Err("not JSON".into());
    };
    if head["alg"] != "RS256" {
        return Err(format!("signed by {}", head["alg"]));
    }
    let keys = inner.tool_keys["keys"].as_array().cloned();
    let keys = keys.unwrap_or_default();
    let key = keys.iter().find(|key| key["kid"] == head["kid"]);
    let key = key.ok_or("a key that is not registered")?;
    let number = |name: &str| part(key[name].as_str().unwrap_or_default()).unwrap_or_default();
    let components = PublicKeyComponents {
        n: number("n"),
        e: number("e"),
    };
    let text = format!("{header}.{claims}");
    let signature = part(signature).map_err(|_| "no signature")?;
    components
        .verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &signature)
        .map_err(|_| "a wrong signature")?;
    Ok(said)
}

/// Who asks, by what the tool has signed; why not otherwise.
fn assertion(inner: &mut Inner, token: &str) -> Result<(), String> {
    let said = signed_by_tool(inner, token)?;
    let token_url = format!("{}/token", inner.issuer);
    if said["iss"] != TOOL || said["sub"] != TOOL || said["aud"] != json!(token_url) {
        return Err(format!("for somebody else: {said}"));
    }
    let at = |name: &str| said[name].as_u64().unwrap_or_default();
    if at("iat") > now() + 5 || at("exp") <= now() || at("exp") > now() + 300 {
        return Err(format!("not for now: {said}"));
    }
    let mark = said["jti"].as_str().unwrap_or_default();
    match !mark.is_empty() && inner.assertions.insert(mark.to_owned()) {
        true => Ok(()),
        false => Err("a mark that was used before, or none".into()),
    }
}

async fn token(State(inner): State<Shared>, Form(form): Form<HashMap<String, String>>) -> Response {
    let of = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let mut inner = lock(&inner);
    let wanted = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("scope", NRPS_SCOPE),
    ];
    let odd = wanted.iter().find(|(key, value)| of(key) != *value);
    let checked = match odd {
        Some((key, _)) => Err(format!("{key} is {:?}", of(key))),
        None => assertion(&mut inner, of("client_assertion")),
    };
    if let Err(why) = checked {
        inner.refused = Some(why);
        let error = Json(json!({"error": "invalid_client"}));
        return (StatusCode::BAD_REQUEST, error).into_response();
    }
    let access = format!("access {}", inner.tokens.len());
    inner.tokens.insert(access.clone());
    let kind = match inner.slip {
        Some(Slip::OtherTokens) => "mac",
        _ => "bearer",
    };
    Json(json!({
        "access_token": access, "token_type": kind, "expires_in": 3600, "scope": NRPS_SCOPE,
    }))
    .into_response()
}

async fn members(
    State(inner): State<Shared>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut inner = lock(&inner);
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = of("authorization").and_then(|line| line.strip_prefix("Bearer "));
    if !token.is_some_and(|token| inner.tokens.contains(token)) {
        inner.refused = Some("members without a token".into());
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if of("accept") != Some(NRPS_KIND) {
        inner.refused = Some(format!("members as {:?}", of("accept")));
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    let page: usize = query
        .get("page")
        .map_or(0, |page| page.parse().unwrap_or(0));
    if page == 0 {
        inner.asked_for_members += 1;
    }
    let size = inner.page_size;
    let all: &[Value] = match inner.slip {
        Some(Slip::Nobody) => &[],
        _ => &inner.members,
    };
    let shown: Vec<&Value> = all.iter().skip(page * size).take(size).collect();
    let context = match inner.slip {
        Some(Slip::OtherCourse) => "43",
        _ => "42",
    };
    let body = json!({
        "id": format!("{}/members", inner.issuer),
        "context": {"id": context, "label": "BIO-101"},
        "members": shown,
    });
    let mut response = ([(header::CONTENT_TYPE, NRPS_KIND)], body.to_string()).into_response();
    if all.len() > (page + 1) * size {
        let next = match inner.slip {
            Some(Slip::StrayPage) => "http://localhost:9/members".to_owned(),
            _ => format!("{}/members?course=42&page={}", inner.issuer, page + 1),
        };
        let line = format!(
            "<{}/members?since=1>; rel=\"differences\", <{next}>; rel=\"next\"",
            inner.issuer
        );
        response
            .headers_mut()
            .insert(header::LINK, line.parse().expect("a header"));
    }
    response
}
