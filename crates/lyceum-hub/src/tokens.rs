//! API tokens: what they are kept as, who may ask for which.

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::say;
use lyceum_store::Tx;
use lyceum_web::{ApiError, ApiResult};

use crate::db;
use crate::db::users::User;
use crate::jobs::revocations;

const TOKEN_PURPOSE: &str = "lyceum 2026 api token";
const SESSION_PURPOSE: &str = "lyceum 2026 session cookie";
const ACCESS_PURPOSE: &str = "lyceum 2026 access cookie";

pub fn hash(token: &str) -> String {
    hash_secret(TOKEN_PURPOSE, token)
}

pub fn hash_session(cookie: &str) -> String {
    hash_secret(SESSION_PURPOSE, cookie)
}

pub fn hash_access(cookie: &str) -> String {
    hash_secret(ACCESS_PURPOSE, cookie)
}

/// Tokens that somebody asked for which one person has at a time: nobody tells more of them apart.
pub const ASKED_MOST: i64 = 1000;
/// Tokens by which one program knows one person. A well-behaved one has a token in each browser where she
/// is signed in; those that nobody used for longest go.
const OF_CLIENT_MOST: i64 = crate::sessions::MOST;

/// A token to be made.
#[derive(Debug, Default)]
pub struct NewToken {
    pub note: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<i64>,
    pub session_id: Option<String>,
    pub oauth_client: Option<String>,
}

/// Refuses one more token that is asked for where there are too many already.
pub async fn room_for_one_more(tx: &mut Tx, user: &User, now: Millis) -> ApiResult<()> {
    match db::tokens::count_asked(tx, &user.id, now.0).await? {
        0..ASKED_MOST => Ok(()),
        _ => Err(ApiError::bad_request(say!(
            "token.too_many",
            name = user.name.as_str(),
            most = ASKED_MOST
        ))),
    }
}

/// Makes a token for a person; the secret is told once and kept nowhere.
pub async fn issue(
    tx: &mut Tx,
    user: &User,
    token: NewToken,
    now: Millis,
) -> anyhow::Result<(db::tokens::Token, String)> {
    let secret = new_secret();
    let row = db::tokens::Token {
        id: format!("a{}", new_id(now)),
        hash: hash(&secret),
        user_id: user.id.clone(),
        note: token.note,
        scopes: serde_json::to_string(&token.scopes)?,
        created_at: now.0,
        last_used_at: None,
        expires_at: token.expires_at,
        session_id: token.session_id,
        oauth_client: token.oauth_client,
        server_id: None,
    };
    db::tokens::insert(tx, &row).await?;
    Ok((row, secret))
}

/// As [`issue`], for a program that she signed in to. Says whether older ones fell for it, which proxies
/// have to be told.
pub async fn issue_to_client(
    tx: &mut Tx,
    user: &User,
    client: &str,
    token: NewToken,
    now: Millis,
) -> anyhow::Result<(db::tokens::Token, String, bool)> {
    let token = NewToken {
        oauth_client: Some(client.to_owned()),
        ..token
    };
    let (row, secret) = issue(tx, user, token, now).await?;
    let fallen = db::tokens::keep_latest(tx, &user.id, client, OF_CLIENT_MOST).await?;
    if !fallen.is_empty() {
        revocations::announce_fallen(tx, user.name.as_str(), &fallen, now).await?;
    }
    Ok((row, secret, !fallen.is_empty()))
}
