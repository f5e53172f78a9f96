//! Servers that would end soon anyway end earlier if a course needs their places.
//!
//! Only as many as lack, only such as nobody has used for half of what their rule allows, the
//! longest unused first; and of those only such as say themselves that no kernel works and that
//! nobody is connected. One that does not answer is left alone.

use std::time::Duration;

use futures_util::future::join_all;
use lyceum_model::clock::Millis;
use lyceum_spawn::inquiry::Answer;

use super::{ASKED_AT_ONCE, ROWS, ask, limits_among};
use crate::cull::{Limits, Why, in_ms};
use crate::db::servers::Server;
use crate::{Hub, db, rooms};

/// The share of its rule that a server has to have been idle for.
const SHARE: i64 = 2;

/// Ends what may end, if there is not room enough.
pub(super) async fn make(hub: &Hub, now: Millis) -> anyhow::Result<()> {
    let settings = hub.settings();
    let Some(shortest) = settings.culling.shortest(|limits| limits.idle) else {
        return Ok(());
    };
    let mut tx = hub.db().read().await?;
    let Some(places) = rooms::places(hub, &mut tx, now).await? else {
        return Ok(());
    };
    let mut lack = places.lack();
    if lack == 0 {
        return Ok(());
    }
    let unused_since = now.plus(-in_ms(shortest) / SHARE).0 + 1;
    let ids = db::cull::candidates(&mut tx, unused_since, 0).await?;
    drop(tx);
    let mut found: Vec<(Limits, Server)> = Vec::new();
    for ids in ids.chunks(ROWS) {
        let all = limits_among(hub, ids).await?;
        found.extend(all.into_iter().filter(|(limits, server)| {
            let unused = limits.idle.is_some_and(|idle| {
                used(server).is_some_and(|used| now.since(used) >= in_ms(idle) / SHARE)
            });
            unused && !places.is_for(server.course.as_deref())
        }));
    }
    found.sort_by_key(|(_, server)| used(server));
    for some in found.chunks(ASKED_AT_ONCE) {
        // All answers first: a question that nobody goes on with would hold what the end needs.
        let asked = some.iter().map(|(limits, server)| {
            let idle = limits.idle.unwrap_or_default();
            is_free(hub, server, idle, now)
        });
        let asked = join_all(asked).await;
        for ((limits, server), free) in some.iter().zip(asked) {
            let Some(used) = used(server).filter(|_| lack > 0) else {
                return Ok(());
            };
            if !free? {
                continue;
            }
            let unused = Duration::from_millis(now.since(used).unsigned_abs());
            // In whole minutes, where there are any: nobody counts the rest.
            let shown = match unused.as_secs() / 60 * 60 {
                0 => unused,
                whole => Duration::from_secs(whole),
            };
            let known = server.last_activity_at.unwrap_or(0);
            if super::end(hub, server, limits, Why::Room(shown), known, now).await? {
                lack -= 1;
            }
        }
    }
    Ok(())
}

fn used(server: &Server) -> Option<Millis> {
    let since = server.ready_at?;
    Some(Millis(server.last_activity_at.unwrap_or(since).max(since)))
}

async fn is_free(hub: &Hub, server: &Server, idle: Duration, now: Millis) -> anyhow::Result<bool> {
    let Some(Answer::Report(report)) = ask(hub, server).await? else {
        return Ok(false);
    };
    let unused = report
        .last_activity
        .is_none_or(|last| now.since(last) >= in_ms(idle) / SHARE);
    Ok(report.busy == 0 && report.connections == 0 && unused)
}
