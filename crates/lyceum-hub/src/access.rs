//! The answer to the proxy's question: is this browser or token allowed at that server?
//!
//! The notebook server asks the hub again by OAuth; this check is there so that a request to
//! somebody else's server never reaches it. And to the second question: is what listens at a server's
//! address that server?

use std::time::Duration;

use async_trait::async_trait;
use lyceum_model::name::UserName;
use lyceum_model::scope::{ScopeName, ScopeSet, Target, Verdict};
use lyceum_proxy::{self as proxy, Access, Ask, Credential, Decision};
use lyceum_spawn::Status;
use lyceum_store::Tx;
use lyceum_web::Caller;

use crate::db::servers::Server;
use crate::deeds::{self, Doer};
use crate::identify::{Bearer, bearer_of};
use crate::jobs::managed;
use crate::services::Known;
use crate::standing::Standing;
use crate::{Hub, Settings, course_servers, db, grants, groups, refreshing, shares, tokens};

/// How long the proxy may act on an answer. Log-out and lost roles are told at once besides.
const KEEP: Duration = Duration::from_secs(30);
/// The same as long as it is not known whether she may still be here. The proxy does not wait for her
/// provider: it would take this hub for one that is away.
const KEEP_UNSURE: Duration = Duration::from_secs(3);

#[async_trait]
impl Access for Hub {
    async fn check(&self, ask: &Ask) -> Decision {
        match decide(self, ask).await {
            Ok(decision) => decision,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "could not check access");
                Decision::Unavailable
            }
        }
    }

    /// Asks the spawner, and has the watch look after the server at once if the answer is no.
    async fn vouch(&self, route_id: &str, address: &proxy::Target) -> bool {
        match is_server(self, route_id, address).await {
            Ok(true) => true,
            Ok(false) => {
                if let Some(key) = self.links().key(route_id) {
                    self.suspicion().tell(key);
                }
                false
            }
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "could not check who listens at a server's address"
                );
                false
            }
        }
    }
}

/// Whether what listens at the address is the server of this route.
async fn is_server(hub: &Hub, route_id: &str, address: &proxy::Target) -> anyhow::Result<bool> {
    if let Some(name) = grants::service_of_route(route_id) {
        let mut tx = hub.db().read().await?;
        let row = db::services::find(&mut tx, name).await?;
        let url = row.and_then(|row| row.url);
        if url.is_none_or(|url| url.parse().ok().as_ref() != Some(address)) {
            return Ok(false);
        }
        drop(tx);
        return managed::listens(hub, name, address).await;
    }
    let Some(key) = hub.links().key(route_id) else {
        return Ok(false);
    };
    let status = tokio::time::timeout(hub.timings().answer_limit, hub.spawner().poll(&key));
    Ok(match status.await?? {
        Status::Running { address: at, port } => {
            port.is_safe() && at.parse().ok().as_ref() == Some(address)
        }
        Status::Exited { .. } | Status::Gone => false,
    })
}

async fn decide(hub: &Hub, ask: &Ask) -> anyhow::Result<Decision> {
    let now = hub.now();
    let settings = hub.settings();
    let mut tx = hub.db().read().await?;
    let Some(server) = db::servers::get(&mut tx, &ask.route_id).await? else {
        return Ok(Decision::Deny);
    };
    let mut keep = KEEP;
    let (user_id, token, grounds) = match &ask.credential {
        Credential::None => return Ok(Decision::SignIn),
        Credential::AccessCookie(cookie) => {
            let session = match settings.origins.host_of(&server.user_name) {
                Some(host) => match hub.host_key().session(cookie, &host) {
                    Some(id) => db::sessions::by_id(&mut tx, id, now.0).await?,
                    None => None,
                },
                None => {
                    db::sessions::by_access(&mut tx, &tokens::hash_access(cookie), now.0).await?
                }
            };
            match session {
                Some(session) => {
                    // A no ends what the proxy has been told, whenever it comes.
                    if refreshing::is_late(hub, &session) {
                        refreshing::begin(hub, &session);
                        keep = KEEP_UNSURE;
                    }
                    hub.token_uses().note_session(&session.id, now);
                    (session.user_id, None, vec![session.id])
                }
                None => return Ok(Decision::SignIn),
            }
        }
        Credential::Token(token) => {
            match bearer_of(hub, &mut tx, token, now).await? {
                // Whoever worked in a course's server may have its token, also when she does no more. Nothing
                // needs it here: the server reports to the hub.
                Some(Bearer::Person { user, .. }) if user.name.is_of_course() => {
                    return Ok(Decision::Deny);
                }
                Some(Bearer::Person { user, token }) => {
                    hub.token_uses().note(&token.id, now);
                    // One made through a session ends with it.
                    let grounds = [Some(token.id.clone()), token.session_id.clone()];
                    let grounds = grounds.into_iter().flatten().collect();
                    (user.id, Some(token), grounds)
                }
                Some(Bearer::Service(known)) => {
                    return service(hub, tx, &known, &server).await;
                }
                None => return Ok(Decision::Deny),
            }
        }
    };
    let Some(user) = db::users::get(&mut tx, &user_id).await? else {
        return Ok(Decision::SignIn);
    };
    if hub.shuts_out(&mut tx, &user).await? {
        return Ok(Decision::Deny);
    }
    let Some(owner) = db::users::get(&mut tx, &server.user_id).await? else {
        return Ok(Decision::Deny);
    };
    let mut standing = Standing::of_user_toward(hub, &mut tx, &user, &owner).await?;
    let scopes = match token {
        None if user.id == server.user_id => standing.held().clone(),
        None => for_browsers(&settings, &standing, user.admin),
        Some(token) => standing.token(&mut tx, &token).await?,
    };
    // With the share, or her role in the course, falls what rests on it, and nothing else that she has
    // open.
    let target = Target::Server(&server.user_name, &server.name);
    let opens = |by: &ScopeSet| {
        by.allows(ScopeName::AccessServers, target, standing.members())
            .is_yes()
    };
    let for_this_one = opens(standing.shared()) || opens(standing.by_courses());
    let mut grounds: Vec<String> = grounds;
    grounds.extend(for_this_one.then(|| shares::ground(&server.id)));
    let subject = user.name.to_string();
    let mut decision = decision(&scopes, &server, &standing, subject, grounds);
    if let Decision::Allow { for_how_long, .. } = &mut decision {
        *for_how_long = keep;
    }
    told_of(hub, tx, &server, &Doer::person(&user.name), decision).await
}

/// Whoever is let into somebody else's server, its owner is told of.
async fn told_of(
    hub: &Hub,
    tx: Tx,
    server: &Server,
    doer: &Doer,
    decision: Decision,
) -> anyhow::Result<Decision> {
    if matches!(decision, Decision::Allow { .. }) {
        deeds::note_visit(hub, tx, server, doer).await?;
    }
    Ok(decision)
}

/// What opens somebody else's server to this person's browser. Where all servers share one origin, a
/// page of another's could act as whoever looks at it. There a browser opens its owner's servers
/// only, those of the courses that she teaches, and those that were shared with her if the
/// configuration says that this may be; programs use tokens. Who teaches a course together trusts one
/// one another with it, and nobody else writes in its server; but no course makes administrators, so
/// theirs stay out.
pub fn for_browsers(settings: &Settings, standing: &Standing, is_admin: bool) -> ScopeSet {
    let none = ScopeSet::new();
    let by_courses = match is_admin && !settings.shared_in_browsers {
        true => &none,
        false => standing.by_courses(),
    };
    match (settings.origins.are_apart(), settings.shared_in_browsers) {
        (true, _) => standing.held().clone(),
        (false, true) => by_courses.clone().union(standing.shared()),
        (false, false) => by_courses.clone(),
    }
}

/// Whether pages offer the servers of this owner to a browser, if its reader may open them at all.
/// Where all are at one host, it opens her own only, and those of courses that she teaches.
pub fn is_for_browser_of(hub: &Hub, caller: &Caller, owner: &UserName) -> bool {
    let apart = hub.settings().origins.are_apart();
    let taught = (caller.person())
        .is_ok_and(|her| course_servers::opens(hub, owner, &her.name, &her.groups));
    apart || taught || caller.is(owner)
}

/// A service with its own token.
async fn service(
    hub: &Hub,
    mut tx: Tx,
    known: &Known,
    server: &Server,
) -> anyhow::Result<Decision> {
    let standing = Standing::of_service(hub, &mut tx, known).await?;
    let subject = groups::service_subject(&known.name);
    let scopes = standing.held();
    let decision = decision(scopes, server, &standing, subject, Vec::new());
    told_of(hub, tx, server, &Doer::service(&known.name), decision).await
}

fn decision(
    scopes: &ScopeSet,
    server: &Server,
    standing: &Standing,
    subject: String,
    grounds: Vec<String>,
) -> Decision {
    let target = Target::Server(&server.user_name, &server.name);
    match scopes.allows(ScopeName::AccessServers, target, standing.members()) {
        Verdict::Yes => Decision::Allow {
            subject,
            grounds: grounds.into(),
            for_how_long: KEEP,
        },
        _ => Decision::Deny,
    }
}
