//! A provider of OpenID Connect that does as it is told: right, or wrong in one way. It writes its
//! tokens by hand, so that it shares no mistake with whoever reads them.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

pub const CLIENT: &str = "lyceum";
/// With signs that have to be written in a special way.
pub const CLIENT_SECRET: &str = "s3cret: of+tests%";

/// What it does wrong, or differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twist {
    /// `alg: none` and no signature.
    Unsigned,
    /// Signed with the client's secret (HS256 in the header).
    SignedWithSecret,
    /// Signed by a key that is not published, with the id of one that is.
    ForeignKey,
    /// The signature is of something else.
    Tampered,
    /// Everything is answered with "away".
    Away,
    /// Answers never end; nothing comes.
    Silent,
    /// Each document is a hundred megabytes.
    Huge,
    /// The token endpoint sends elsewhere.
    Redirect,
    /// It calls itself otherwise.
    OtherIssuer,
    /// Tells HTML where JSON belongs.
    Html,
    /// Userinfo is about somebody else.
    OtherInUserinfo,
    /// Says in each answer that it is the one that answers, and that it does so.
    SaysIssuer,
    /// Says that it does so, and does not.
    PromisesIssuer,
    /// Does not look at the code, as one that an attacker runs.
    TakesAnyCode,
    /// Says no with the status of a yes, as GitHub does.
    NoWithYes,
    /// Its tokens are of a kind of their own.
    OtherTokens,
    /// No ID token comes with what is given for a refresh token.
    NoIdToken,
    /// Userinfo does not take the token that was just given.
    RefusesAccess,
    /// Userinfo breaks down.
    UserinfoBreaks,
    /// Says no to a refresh token as one who is overloaded.
    Overloaded,
    /// Says that the client is none.
    UnknownClient,
    /// Wants to see the person before it gives tokens for a refresh token.
    WantsToSeeHer,
}

struct Grant {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

/// Of whom a refresh token is, and of which log-in.
#[derive(Clone)]
struct Refresh {
    subject: String,
    family: usize,
}

pub(super) enum Key {
    Rsa(Box<RsaKey>),
    Ec(Box<EcdsaKeyPair>),
}

struct Inner {
    issuer: String,
    /// Claims of whoever is logged in there.
    person: Value,
    /// Claims that only userinfo tells.
    userinfo: Value,
    /// Lists that it tells by themselves.
    lists: HashMap<String, Value>,
    /// Over the claims of each token.
    replaced: Vec<(String, Value)>,
    twist: Option<Twist>,
    grants: HashMap<String, Grant>,
    next_code: usize,
    keys: Vec<(String, Key)>,
    asked_for_keys: usize,
    /// Each token is about somebody else, by this number.
    numbered: Option<usize>,
    /// Whether refresh tokens are given, and whether each is good once.
    refreshes: Option<bool>,
    /// Those that are good, and those that were.
    refresh_tokens: HashMap<String, Refresh>,
    used: HashMap<String, Refresh>,
    next_refresh: usize,
    times_refreshed: usize,
    times_asked: usize,
    /// Claims by subject, for refreshed tokens.
    people: HashMap<String, Value>,
    disabled: HashSet<String>,
    /// Whether access tokens end, as it says.
    access_ends: bool,
    /// Refreshes wait as long as it is true.
    held: tokio::sync::watch::Sender<bool>,
}

/// A running provider; it ends with its maker.
#[derive(Clone)]
pub struct FakeProvider {
    inner: Arc<Mutex<Inner>>,
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

impl FakeProvider {
    /// Ada is logged in there.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let inner = Arc::new(Mutex::new(Inner {
            issuer: format!("http://{address}/realm"),
            person: json!({"sub": "1", "preferred_username": "ada", "name": "Ada Lovelace"}),
            userinfo: json!({}),
            lists: HashMap::new(),
            replaced: Vec::new(),
            twist: None,
            grants: HashMap::new(),
            next_code: 0,
            keys: vec![("first".into(), rsa())],
            asked_for_keys: 0,
            numbered: None,
            refreshes: None,
            refresh_tokens: HashMap::new(),
            used: HashMap::new(),
            next_refresh: 0,
            times_refreshed: 0,
            times_asked: 0,
            people: HashMap::new(),
            disabled: HashSet::new(),
            access_ends: true,
            held: tokio::sync::watch::Sender::new(false),
        }));
        let router = Router::new()
            .route("/realm/.well-known/openid-configuration", get(discovery))
            .route("/realm/keys", get(keys))
            .route("/realm/token", post(token))
            .route("/realm/userinfo", get(userinfo))
            .route("/realm/user", get(user).post(user))
            .route("/realm/user/{list}", get(list))
            .layer(axum::middleware::from_fn_with_state(inner.clone(), twisted))
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

    /// Somebody else is logged in there from now on.
    pub fn log_in(&self, claims: Value) -> &Self {
        lock(&self.inner).person = claims;
        self
    }

    /// Claims that userinfo tells and tokens don't.
    pub fn tell_in_userinfo(&self, claims: Value) -> &Self {
        lock(&self.inner).userinfo = claims;
        self
    }

    /// What it tells as this list.
    pub fn tell_list(&self, name: &str, entries: Value) -> &Self {
        lock(&self.inner).lists.insert(name.into(), entries);
        self
    }

    pub fn twist(&self, twist: Option<Twist>) -> &Self {
        lock(&self.inner).twist = twist;
        self
    }

    /// Tokens have this claim from now on; `null`: they don't have it.
    pub fn replace(&self, claim: &str, value: Value) -> &Self {
        lock(&self.inner).replaced.push((claim.into(), value));
        self
    }

    pub fn as_usual(&self) -> &Self {
        let mut inner = lock(&self.inner);
        inner.replaced.clear();
        inner.twist = None;
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

    /// From now on each token is about somebody else.
    pub fn number_subjects(&self) -> &Self {
        lock(&self.inner).numbered = Some(0);
        self
    }

    /// It gives refresh tokens from now on. `once`: each is good once, and whoever brings one a second time
    /// ends all that came of the same log-in.
    pub fn give_refresh_tokens(&self, once: bool) -> &Self {
        lock(&self.inner).refreshes = Some(once);
        self
    }

    /// It does not say that access tokens end.
    pub fn give_lasting_access(&self) -> &Self {
        lock(&self.inner).access_ends = false;
        self
    }

    /// Somebody is disabled there.
    pub fn disable(&self, subject: &str) -> &Self {
        lock(&self.inner).disabled.insert(subject.into());
        self
    }

    /// What it says from now on of somebody who logged in before.
    pub fn change(&self, claims: Value) -> &Self {
        let subject = claims["sub"].as_str().expect("a subject").to_owned();
        lock(&self.inner).people.insert(subject, claims);
        self
    }

    pub fn times_refreshed(&self) -> usize {
        lock(&self.inner).times_refreshed
    }

    /// How often anything of it was asked.
    pub fn times_asked(&self) -> usize {
        lock(&self.inner).times_asked
    }

    /// All refresh tokens it ever gave.
    pub fn refresh_tokens(&self) -> Vec<String> {
        let inner = lock(&self.inner);
        let all = inner.refresh_tokens.keys().chain(inner.used.keys());
        all.cloned().collect()
    }

    /// Whoever comes with a refresh token waits for the answer, or does so no longer.
    pub fn hold(&self, held: bool) -> &Self {
        lock(&self.inner).held.send_replace(held);
        self
    }

    /// A message that it signs: that somebody has logged out there, unless `claims` say otherwise; `null`:
    /// it does not have this one.
    pub fn log_out_message(&self, claims: &Value) -> String {
        let inner = lock(&self.inner);
        let mut all = json!({
            "iss": inner.issuer,
            "aud": CLIENT,
            "iat": now(),
            "exp": now() + 120,
            "jti": "the first",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let object = all.as_object_mut().expect("claims");
        for (name, value) in claims.as_object().expect("claims") {
            match value {
                Value::Null => object.remove(name),
                value => object.insert(name.clone(), value.clone()),
            };
        }
        sign(&inner, &all)
    }

    pub fn times_asked_for_keys(&self) -> usize {
        lock(&self.inner).asked_for_keys
    }

    /// What a browser is sent back with that was sent here: the query of the way back.
    pub fn authorize(&self, way_out: &str) -> String {
        let url: Url = way_out.parse().expect("an address");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let of = |key: &str| asked.get(key).cloned().unwrap_or_default();
        let mut inner = lock(&self.inner);
        assert_eq!(
            url.as_str().split('?').next(),
            Some(&*format!("{}/auth", inner.issuer))
        );
        assert_eq!(of("client_id"), CLIENT);
        assert_eq!(of("response_type"), "code");
        assert_eq!(of("code_challenge_method"), "S256");
        // Whoever wants no ID token speaks plain OAuth.
        let is_openid = of("scope").split(' ').any(|scope| scope == "openid");
        assert_eq!(is_openid, !of("nonce").is_empty());
        inner.next_code += 1;
        let code = format!("code {}", inner.next_code);
        let grant = Grant {
            nonce: of("nonce"),
            challenge: of("code_challenge"),
            redirect_uri: of("redirect_uri"),
        };
        inner.grants.insert(code.clone(), grant);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("code", &code)
            .append_pair("state", &of("state"));
        if inner.twist == Some(Twist::SaysIssuer) {
            query.append_pair("iss", &inner.issuer);
        }
        query.finish()
    }
}

pub(super) fn rsa() -> Key {
    Key::Rsa(Box::new(RsaKey::generate(KeySize::Rsa2048).expect("a key")))
}

pub(super) fn ec() -> Key {
    Key::Ec(Box::new(
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
    ))
}

pub(super) fn coded(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Key {
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
        }
    }

    pub(super) fn public(&self, id: &str) -> Value {
        match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "kty": "RSA", "use": "sig", "kid": id,
                    "n": coded(n.big_endian_without_leading_zero()),
                    "e": coded(e.big_endian_without_leading_zero()),
                })
            }
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": id,
                    "x": coded(&point[1..33]), "y": coded(&point[33..65]),
                })
            }
        }
    }

    pub(super) fn sign(&self, text: &str) -> String {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
                    .expect("signed");
                coded(&signature)
            }
            Self::Ec(key) => coded(key.sign(&random, text.as_bytes()).expect("signed").as_ref()),
        }
    }
}

async fn twisted(
    State(inner): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    let twist = {
        let mut inner = lock(&inner);
        inner.times_asked += 1;
        inner.twist
    };
    match twist {
        Some(Twist::Away) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Twist::Silent) => std::future::pending().await,
        Some(Twist::Html) => ([(header::CONTENT_TYPE, "text/html")], "<p>{}</p>").into_response(),
        Some(Twist::Huge) => {
            let piece = bytes::Bytes::from(vec![b' '; 1024 * 1024]);
            let pieces = (0..100).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
            let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ => next.run(request).await,
    }
}

async fn discovery(State(inner): State<Shared>) -> Json<Value> {
    let inner = lock(&inner);
    let issuer = &inner.issuer;
    let said = match inner.twist {
        Some(Twist::OtherIssuer) => "https://login.example.edu",
        _ => issuer,
    };
    let says = matches!(inner.twist, Some(Twist::SaysIssuer | Twist::PromisesIssuer));
    Json(json!({
        "issuer": said,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "end_session_endpoint": format!("{issuer}/logout?x=1"),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": says,
    }))
}

async fn keys(State(inner): State<Shared>) -> Json<Value> {
    let mut inner = lock(&inner);
    inner.asked_for_keys += 1;
    let keys: Vec<Value> = inner.keys.iter().map(|(id, key)| key.public(id)).collect();
    Json(json!({ "keys": keys }))
}

async fn token(
    State(inner): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let of = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let is_refresh = of("grant_type") == "refresh_token";
    if is_refresh {
        lock(&inner).times_refreshed += 1;
        let mut held = lock(&inner).held.subscribe();
        let free = held.wait_for(|held| !held).await;
        drop(free.expect("the provider is there"));
    }
    let mut inner = lock(&inner);
    let refuse = |error: &str| {
        (
            StatusCode::BAD_REQUEST,
            Json(json!({"error": error, "error_description": "no"})),
        )
            .into_response()
    };
    if inner.twist == Some(Twist::Redirect) {
        let there = format!("{}/keys", inner.issuer);
        return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, there)]).into_response();
    }
    if inner.twist == Some(Twist::NoWithYes) {
        return Json(json!({"error": "bad_verification_code"})).into_response();
    }
    let written =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", written(CLIENT), written(CLIENT_SECRET));
    let wanted = format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let given = headers.get(header::AUTHORIZATION);
    if given.and_then(|value| value.to_str().ok()) != Some(&*wanted) {
        return refuse("invalid_client");
    }
    if is_refresh {
        return match refresh(&mut inner, of("refresh_token")) {
            Ok(answer) => Json(answer).into_response(),
            Err(error) => refuse(error),
        };
    }
    if of("grant_type") != "authorization_code" {
        return refuse("unsupported_grant_type");
    }
    let grant = match inner.grants.remove(of("code")) {
        Some(grant) => grant,
        None if inner.twist == Some(Twist::TakesAnyCode) => Grant {
            nonce: "of another journey".into(),
            challenge: String::new(),
            redirect_uri: String::new(),
        },
        None => return refuse("invalid_grant"),
    };
    let challenge = coded(&Sha256::digest(of("code_verifier").as_bytes()));
    let holds = challenge == grant.challenge && of("redirect_uri") == grant.redirect_uri;
    if !holds && inner.twist != Some(Twist::TakesAnyCode) {
        return refuse("invalid_grant");
    }
    if let Some(number) = inner.numbered.as_mut() {
        *number += 1;
        let subject = format!("number {number}");
        inner.person["sub"] = json!(subject);
    }
    // Says itself whom it is for: others may be given theirs before userinfo is asked.
    let access = format!(
        "access {}",
        inner.person["sub"].as_str().unwrap_or_default()
    );
    let kind = match inner.twist {
        Some(Twist::OtherTokens) => "mac",
        _ => "Bearer",
    };
    let person = inner.person.clone();
    let mut answer = json!({
        "token_type": kind, "access_token": access,
        "id_token": id_token(&inner, &person, Some(&grant.nonce)),
    });
    if inner.access_ends {
        answer["expires_in"] = json!(300);
    }
    let subject = person["sub"].as_str().unwrap_or_default().to_owned();
    inner.people.insert(subject.clone(), person);
    if inner.refreshes.is_some() {
        let family = inner.next_refresh;
        answer["refresh_token"] = json!(new_refresh(&mut inner, Refresh { subject, family }));
    }
    Json(answer).into_response()
}

fn new_refresh(inner: &mut Inner, of: Refresh) -> String {
    inner.next_refresh += 1;
    let token = format!("refresh token {} of tests", inner.next_refresh);
    inner.refresh_tokens.insert(token.clone(), of);
    token
}

/// What is given for a refresh token, or the standard's word for why not.
fn refresh(inner: &mut Inner, token: &str) -> Result<Value, &'static str> {
    match inner.twist {
        Some(Twist::Overloaded) => return Err("temporarily_unavailable"),
        Some(Twist::UnknownClient) => return Err("invalid_client"),
        Some(Twist::WantsToSeeHer) => return Err("interaction_required"),
        _ => {}
    }
    if let Some(used) = inner.used.get(token).cloned() {
        // Somebody has copied one: who it is can't be told.
        (inner.refresh_tokens).retain(|_, refresh| refresh.family != used.family);
    }
    let known = inner.refresh_tokens.get(token).cloned();
    let known = known.ok_or("invalid_grant")?;
    if inner.disabled.contains(&known.subject) {
        return Err("invalid_grant");
    }
    let person = inner.people[&known.subject].clone();
    let mut answer = json!({
        "token_type": "Bearer", "access_token": format!("access {}", known.subject),
        "id_token": id_token(inner, &person, None), "expires_in": 300,
    });
    if inner.twist == Some(Twist::NoIdToken) {
        answer
            .as_object_mut()
            .expect("an object")
            .remove("id_token");
    }
    if inner.refreshes == Some(true) {
        let used = inner.refresh_tokens.remove_entry(token).expect("known");
        inner.used.insert(used.0, used.1);
        answer["refresh_token"] = json!(new_refresh(inner, known));
    }
    Ok(answer)
}

fn id_token(inner: &Inner, person: &Value, nonce: Option<&str>) -> String {
    let mut claims = person.clone();
    let all = claims.as_object_mut().expect("claims");
    for (name, value) in [
        ("iss", json!(inner.issuer)),
        ("aud", json!(CLIENT)),
        ("iat", json!(now())),
        ("exp", json!(now() + 300)),
    ] {
        all.insert(name.into(), value);
    }
    // One that comes for a refresh token need not have it (12.2).
    if let Some(nonce) = nonce {
        all.insert("nonce".into(), json!(nonce));
    }
    for (name, value) in &inner.replaced {
        match value {
            Value::Null => all.remove(name),
            value => all.insert(name.clone(), value.clone()),
        };
    }
    sign(inner, &claims)
}

pub(super) fn now() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

fn sign(inner: &Inner, claims: &Value) -> String {
    let (id, key) = inner.keys.last().expect("a key");
    let algorithm = match inner.twist {
        Some(Twist::Unsigned) => "none",
        Some(Twist::SignedWithSecret) => "HS256",
        _ => key.algorithm(),
    };
    let header = json!({"alg": algorithm, "kid": id, "typ": "JWT"});
    let text = format!(
        "{}.{}",
        coded(header.to_string().as_bytes()),
        coded(claims.to_string().as_bytes())
    );
    let signature = match inner.twist {
        Some(Twist::Unsigned) => String::new(),
        Some(Twist::SignedWithSecret) => {
            let key =
                aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
            coded(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref())
        }
        Some(Twist::ForeignKey) => rsa().sign(&text),
        Some(Twist::Tampered) => key.sign("something else"),
        _ => key.sign(&text),
    };
    format!("{text}.{signature}")
}

/// Whose token this is.
fn whose(inner: &Inner, headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let subject = given.strip_prefix("Bearer access ")?;
    let refuses = inner.twist == Some(Twist::RefusesAccess) || inner.disabled.contains(subject);
    (!refuses).then(|| subject.to_owned())
}

/// Who it is, as those tell it that don't speak OpenID Connect.
async fn user(State(inner): State<Shared>, headers: HeaderMap) -> Response {
    let inner = lock(&inner);
    let Some(subject) = whose(&inner, &headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let known = inner.people.get(&subject).unwrap_or(&inner.person);
    let mut person = known.clone();
    let all = person.as_object_mut().expect("claims");
    all.remove("sub");
    // Most number their people.
    let number = subject.parse::<u64>();
    all.insert("id".into(), number.map_or(json!(subject), |id| json!(id)));
    for (name, value) in &inner.replaced {
        all.insert(name.clone(), value.clone());
    }
    Json(person).into_response()
}

async fn list(
    State(inner): State<Shared>,
    headers: HeaderMap,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Response {
    let inner = lock(&inner);
    match inner.lists.get(&name) {
        _ if whose(&inner, &headers).is_none() => StatusCode::UNAUTHORIZED.into_response(),
        Some(entries) => Json(entries.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn userinfo(State(inner): State<Shared>, headers: HeaderMap) -> Response {
    let inner = lock(&inner);
    if inner.twist == Some(Twist::UserinfoBreaks) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let Some(subject) = whose(&inner, &headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let mut claims = inner.userinfo.clone();
    let subject = match inner.twist {
        Some(Twist::OtherInUserinfo) => json!("2"),
        _ => json!(subject),
    };
    claims["sub"] = subject;
    Json(claims).into_response()
}
