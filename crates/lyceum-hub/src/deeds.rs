//! What others did with somebody's servers: written down for her to see, with the log's line.
//!
//! Whoever is not the owner counts, an administrator, a guest or a service. What she does herself is
//! not written down, nor what rules do ([`crate::cull`]): their reason stands at the server. The server
//! of a course belongs to nobody who could look. The site's own list of what was done has it, too
//! ([`crate::audit`]).

use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;
use lyceum_web::page::contexts::DeedRow;

use crate::Hub;
use crate::audit::{self, Act};
use crate::db::deeds::{self, Deed};
use crate::db::servers::Server;

pub use crate::audit::Doer;

/// Who keeps a server open opens it once in this time.
const SAME_VISIT_MS: i64 = 3_600_000;
/// They are shown for so long, and then forgotten.
const KEEP_MS: i64 = 90 * 24 * 3_600_000;
/// On the home page for so long, and so many.
const NEWS_MS: i64 = 7 * 24 * 3_600_000;
const NEWS_MAX: i64 = 5;
const SERVICE: &str = "service:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Opened,
    Started,
    Stopped,
    Added,
    Changed,
    Removed,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    fn in_audit(self) -> audit::What {
        match self {
            Self::Opened => audit::What::ServerOpened,
            Self::Started => audit::What::ServerStarted,
            Self::Stopped => audit::What::ServerStopped,
            Self::Added => audit::What::ServerAdded,
            Self::Changed => audit::What::ServerChanged,
            Self::Removed => audit::What::ServerRemoved,
        }
    }
}

/// Why a server has ended that this one stopped.
fn why_stopped(doer: &Doer) -> Saying {
    match doer.as_service() {
        Some(service) => say!("stopped.by_service", name = service),
        None => say!("stopped.by_person", name = doer.name()),
    }
}

/// Whose server it is, if somebody is to be told of what this one does with it.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub owner_id: &'a str,
    pub owner: &'a UserName,
    pub server: &'a ServerName,
}

impl<'a> From<&'a Server> for About<'a> {
    fn from(server: &'a Server) -> Self {
        Self {
            owner_id: &server.user_id,
            owner: &server.user_name,
            server: &server.name,
        }
    }
}

impl About<'_> {
    fn concerns(&self, doer: &Doer) -> bool {
        !self.owner.is_of_course() && !doer.is(self.owner)
    }

    fn deed(&self, doer: &Doer, what: What, now: Millis) -> Deed {
        Deed {
            server: self.server.to_string(),
            what: what.word().to_owned(),
            doer: doer.name().to_owned(),
            at: now.0,
        }
    }

    /// The reason that is left at the server, if another than its owner stops it.
    pub fn why_stopped(&self, doer: &Doer) -> Option<Saying> {
        self.concerns(doer).then(|| why_stopped(doer))
    }
}

/// In the transaction that does it.
pub async fn note(
    tx: &mut Tx,
    about: impl Into<About<'_>>,
    doer: &Doer,
    what: What,
    now: Millis,
) -> sqlx::Result<()> {
    let about = about.into();
    if !about.concerns(doer) {
        return Ok(());
    }
    let deed = about.deed(doer, what, now);
    deeds::insert(tx, &new_id(now), about.owner_id, &deed).await?;
    let act = Act::new(doer, what.in_audit())
        .about_her(about.owner_id, about.owner.as_str())
        .with("server", about.server);
    audit::note(tx, act, now).await?;
    tracing::info!(by = doer.name(), user = %about.owner, server = %about.server, what = deed.what, "somebody else's server");
    Ok(())
}

/// Somebody else's request may go to the server: written down before it does, once for each visit.
/// `looked`: what is read first.
pub async fn note_visit(
    hub: &Hub,
    mut looked: Tx,
    server: &Server,
    doer: &Doer,
) -> anyhow::Result<()> {
    let about = About::from(server);
    if !about.concerns(doer) {
        return Ok(());
    }
    let now = hub.now();
    let deed = about.deed(doer, What::Opened, now);
    let since = now.plus(-SAME_VISIT_MS).0;
    if deeds::is_known(&mut looked, about.owner_id, &deed, since).await? {
        return Ok(());
    }
    drop(looked);
    let mut tx = hub.db().write().await?;
    // Another request of the same visit may have come first.
    if !deeds::is_known(&mut tx, about.owner_id, &deed, since).await? {
        note(&mut tx, about, doer, What::Opened, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What her home page tells.
pub async fn news(tx: &mut Tx, user_id: &str, now: Millis) -> sqlx::Result<Vec<DeedRow>> {
    let deeds = deeds::of_user(tx, user_id, now.plus(-NEWS_MS).0, NEWS_MAX).await?;
    Ok(deeds.into_iter().map(row).collect())
}

/// All that is kept.
pub async fn all(tx: &mut Tx, user_id: &str, now: Millis) -> sqlx::Result<Vec<DeedRow>> {
    let deeds = deeds::of_user(tx, user_id, now.plus(-KEEP_MS).0, i64::MAX).await?;
    Ok(deeds.into_iter().map(row).collect())
}

fn row(deed: Deed) -> DeedRow {
    let service = deed.doer.strip_prefix(SERVICE).map(str::to_owned);
    DeedRow {
        is_service: service.is_some(),
        who: service.unwrap_or(deed.doer),
        server: deed.server,
        what: deed.what,
        at: deed.at,
    }
}

pub async fn prune(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    deeds::prune(tx, now.plus(-KEEP_MS).0).await
}
