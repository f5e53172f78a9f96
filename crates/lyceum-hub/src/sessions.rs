//! Browsers that are signed in: how they are ended, and what they are called.

use std::collections::BTreeMap;

use lyceum_auth::LoggedOut;
use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::identity::Subject;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::page::contexts::sessions::SessionRow;
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::audit::{self, Act, Doer, What};
use crate::db::sessions::Session;
use crate::db::users::User;
use crate::event_log::Event;
use crate::jobs::revocations;
use crate::refreshing::Why;
use crate::{Hub, db, giving, sittings};

/// So many are announced at a time, so that none counts for all that a person has.
const ANNOUNCED: usize = 32;

/// Browsers that one person is signed in with at a time. One more ends the one that was seen least lately.
pub const MOST: i64 = 200;

/// So long a browser is told why its session ended: as long as sessions last.
const REMEMBERED_MS: i64 = 14 * 24 * 3_600_000;

/// Which of a person's sessions.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    One(&'a str),
    These(&'a [String]),
    AllBut(&'a str),
    All,
    /// All but the [`MOST`] that were seen last.
    Beyond,
}

/// Ends sessions of a person, and with them their tokens and sockets. Tells how many. `act`: who does it, to be
/// written down if there are any.
pub async fn end<'a>(
    hub: &Hub,
    user_id: &'a str,
    name: &'a str,
    which: Which<'_>,
    act: Act<'a>,
) -> ApiResult<usize> {
    let mut tx = hub.db().write().await?;
    let ended = end_in(hub, &mut tx, user_id, name, which).await?;
    if ended > 0 {
        let act = act.about_her(user_id, name).with("sessions", ended);
        audit::note(&mut tx, act, hub.now()).await?;
    }
    tx.commit().await?;
    for _ in 0..ended {
        hub.tell(Event::Session {
            action: "sign-out",
            user: name,
        });
    }
    crate::proxy::pass_on(hub).await;
    Ok(ended)
}

async fn end_in(
    hub: &Hub,
    tx: &mut Tx,
    user_id: &str,
    name: &str,
    which: Which<'_>,
) -> sqlx::Result<usize> {
    let ids: Vec<String> = match which {
        Which::One(id) => vec![id.to_owned()],
        Which::These(ids) => ids.to_vec(),
        Which::AllBut(kept) => {
            let mut ids = db::sessions::ids_of_user(tx, user_id).await?;
            ids.retain(|id| id != kept);
            ids
        }
        Which::All => db::sessions::ids_of_user(tx, user_id).await?,
        Which::Beyond => db::sessions::ids_beyond(tx, user_id, MOST, hub.now().0).await?,
    };
    let ended = db::sessions::end_each(tx, ids, user_id).await?;
    for fallen in ended.chunks(ANNOUNCED) {
        revocations::announce_fallen(tx, name, fallen, hub.now()).await?;
    }
    Ok(ended.len())
}

/// Ends a session that is still this claim's ([`crate::refreshing`]), and remembers why for that browser.
/// Tells whose it was; nobody's: it is another replica's by now, or has ended. `loses`: the mark by which she
/// is not let in any more; what it gave her goes, too.
pub async fn end_unasked(
    hub: &Hub,
    (id, claim): (&str, &str),
    user_id: &str,
    why: Why,
    loses: Option<&Subject>,
) -> anyhow::Result<Option<UserName>> {
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    let cookie = db::refreshes::held(&mut tx, id, claim).await?;
    let user = db::users::get(&mut tx, user_id).await?;
    let (Some(cookie), Some(user)) = (cookie, user) else {
        tx.rollback().await?;
        return Ok(None);
    };
    let name = user.name.as_str();
    end_in(hub, &mut tx, user_id, name, Which::One(id)).await?;
    if let Some(subject) = loses {
        crate::users::take_back(&mut tx, &user, subject, &hub.settings().grants, now).await?;
    }
    let until = now.plus(REMEMBERED_MS).0;
    db::refreshes::note_end(&mut tx, &cookie, why.word(), until).await?;
    let nobody = Doer::nobody();
    let act = Act::new(&nobody, What::SignOut)
        .about(&user)
        .with("by", "provider")
        .with("why", why_in_audit(why));
    audit::note(&mut tx, act, now).await?;
    tx.commit().await?;
    let reason = why.word();
    hub.tell(Event::SessionEnded { user: name, reason });
    crate::proxy::pass_on(hub).await;
    Ok(Some(user.name))
}

fn why_in_audit(why: Why) -> &'static str {
    match why {
        Why::Ended => "ended",
        Why::Outsider => "outsider",
        Why::Unconfirmed => "unconfirmed",
    }
}

/// As [`end`], by somebody else: `admin:users` over her, and over an administrator only what
/// administrators may.
pub async fn end_of_other(
    hub: &Hub,
    caller: &Caller,
    user: &User,
    which: Which<'_>,
) -> ApiResult<usize> {
    caller.require(ScopeName::AdminUsers, Target::User(&user.name))?;
    if user.admin && !giving::holds_all(caller) {
        return Err(ApiError::forbidden(say!("person.admins_only")));
    }
    let doer = Doer::of(caller);
    let what = match doer.is(&user.name) {
        true => What::SignOut,
        false => What::SessionsEnded,
    };
    let act = Act::new(&doer, what);
    let ended = end(hub, &user.id, user.name.as_str(), which, act).await?;
    tracing::info!(by = %caller.who, user = %user.name, ended, "sessions ended");
    Ok(ended)
}

/// What is kept of a session at another site.
pub fn elsewhere(issuer: &str, session: &str) -> String {
    hash_secret(
        "lyceum session elsewhere 1",
        &format!("{issuer}\n{session}"),
    )
}

/// Somebody has logged out at the site by which she came in. Tells how many sessions ended.
pub async fn end_elsewhere(hub: &Hub, method: &str, out: &LoggedOut) -> ApiResult<usize> {
    let mut tx = hub.db().read().await?;
    let user = match &out.subject {
        None => None,
        Some(id) => {
            let subject = Subject {
                issuer: out.issuer.clone(),
                id: id.clone(),
            };
            let known = db::identities::find(&mut tx, &subject).await?;
            // Some call her otherwise here than in their tokens (Keycloak, where marks are pairwise).
            known.map(|known| known.user_id)
        }
    };
    let session = (out.session.as_deref()).map(|session| elsewhere(&out.issuer, session));
    let found =
        db::sessions::of_elsewhere(&mut tx, method, user.as_deref(), session.as_deref()).await?;
    if found.is_empty() {
        tracing::info!(
            method,
            "a log-out at the provider is about nobody who is here"
        );
    }
    let mut of_users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user_id, id) in found {
        of_users.entry(user_id).or_default().push(id);
    }
    let mut users = Vec::new();
    for user_id in of_users.keys() {
        users.extend(db::users::get(&mut tx, user_id).await?);
    }
    drop(tx);
    let mut ended = 0;
    let nobody = Doer::nobody();
    for user in users {
        let these = of_users.remove(&user.id).unwrap_or_default();
        let name = user.name.as_str();
        let act = Act::new(&nobody, What::SignOut).with("by", "provider");
        ended += end(hub, &user.id, name, Which::These(&these), act).await?;
        tracing::info!(
            user = name,
            method,
            "logged out at the provider, and so here"
        );
    }
    Ok(ended)
}

/// How long a browser keeps the cookie of a session, in seconds. The end of an exam can be moved while people
/// are in, and no browser would hear of it: there the row alone says when it is over.
pub fn cookie_age(session: &Session, now: Millis) -> i64 {
    let left = match session.method.as_deref() {
        Some(sittings::METHOD) => sittings::LONGEST_MS,
        _ => Millis(session.expires_at).since(now),
    };
    left / 1000
}

/// After a log-in: whether there are more than are kept. To end them is a transaction of its own.
pub async fn are_too_many(tx: &mut Tx, user_id: &str, now: Millis) -> sqlx::Result<bool> {
    let beyond = db::sessions::ids_beyond(tx, user_id, MOST, now.0).await?;
    Ok(!beyond.is_empty())
}

/// How a session is shown; `this` is the one that looks.
pub fn row(session: Session, this: &str) -> SessionRow {
    let agent_text = session.agent.unwrap_or_default();
    SessionRow {
        this: session.id == this,
        id: session.id,
        address: session.address.unwrap_or_default(),
        agent: browser(&agent_text),
        agent_text,
        since: session.created_at,
        last_seen: session.seen_at,
    }
}

/// A browser in short words, `Firefox 145, Linux`, by what it says of itself; empty when that is
/// nothing known.
pub fn browser(agent: &str) -> String {
    // Each names those it is made after, too: the first that fits is meant.
    const BROWSERS: &[(&str, &str)] = &[
        ("Edg/", "Edge"),
        ("EdgA/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("HeadlessChrome/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Version/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let program = BROWSERS.iter().find_map(|(mark, name)| {
        let (_, rest) = agent.split_once(mark)?;
        let digits = rest.chars().take_while(char::is_ascii_digit).take(6);
        let version: String = digits.collect();
        Some(format!("{name} {version}").trim_end().to_owned())
    });
    let system = SYSTEMS.iter().find(|(mark, _)| agent.contains(mark));
    let system = system.map(|(_, name)| (*name).to_owned());
    let words: Vec<String> = program.into_iter().chain(system).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_browser_forgets_a_session_whose_end_can_be_moved() {
        let check = |method: Option<&str>, expect: i64| {
            let session = Session {
                id: "s".into(),
                cookie_hash: String::new(),
                access_hash: String::new(),
                user_id: "u".into(),
                created_at: 0,
                seen_at: 0,
                expires_at: 61_000,
                address: None,
                agent: None,
                method: method.map(str::to_owned),
                elsewhere: None,
                refresh_at: None,
            };
            assert_eq!(cookie_age(&session, Millis(1_000)), expect, "{method:?}");
        };
        check(None, 60);
        check(Some("idp"), 60);
        check(Some(sittings::METHOD), 14 * 24 * 3_600);
    }

    #[test]
    fn browsers_in_short_words() {
        let check = |agent: &str, expect: &str| assert_eq!(browser(agent), expect, "{agent}");
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Firefox 145, Linux",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0",
            "Edge 150, Windows",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
            "Safari 18, iOS",
        );
        check(
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36",
            "Chrome 150, Android",
        );
        check("curl/8.5.0", "curl 8");
        check("", "");
        check("<script>alert(1)</script>", "");
        check("Chrome/", "Chrome");
    }
}
