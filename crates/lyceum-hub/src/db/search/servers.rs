//! Servers of everybody, or of those whom somebody may see.

use std::collections::HashMap;

use lyceum_store::Tx;

use super::Statement;
use crate::db::servers::{Server, of_ids};
use crate::db::users::Among;
use crate::servers::State;

/// Which servers are looked for.
#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// What the owner's name holds; behind a `/`, what the server's own does.
    pub filter: &'a str,
    /// None: in whatever state.
    pub states: Option<&'static [State]>,
    /// In their state since then.
    pub since: Option<i64>,
    /// Whose last start was asked for since then.
    pub started_since: Option<i64>,
    /// Whose stop fails again and again.
    pub stuck: bool,
    pub among: Option<Among>,
    /// Behind this one, by its owner's name and its own, for lists that are read piece by piece.
    pub after: Option<(&'a str, &'a str)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Owner,
    OwnerDown,
    Since,
    SinceDown,
    Activity,
    ActivityDown,
    /// The start that was asked for last comes first.
    Started,
}

/// As the index has it.
const SINCE: &str = "COALESCE(CASE s.state WHEN 'ready' THEN s.ready_at WHEN 'stopping' THEN s.stop_requested_at \
     WHEN 'stopped' THEN s.stopped_at WHEN 'failed' THEN s.stopped_at ELSE s.requested_at END, 0)";

impl Sort {
    fn sql(self) -> String {
        match self {
            Self::Owner => "u.name, s.name".into(),
            Self::OwnerDown => "u.name DESC, s.name DESC".into(),
            Self::Since => format!("{SINCE}, s.id"),
            Self::SinceDown => format!("{SINCE} DESC, s.id DESC"),
            Self::Activity => "COALESCE(s.last_activity_at, 0), s.id".into(),
            Self::ActivityDown => "COALESCE(s.last_activity_at, 0) DESC, s.id DESC".into(),
            Self::Started => "s.requested_at DESC, s.id DESC".into(),
        }
    }
}

impl Search<'_> {
    pub async fn page(
        &self,
        tx: &mut Tx,
        sort: Sort,
        offset: i64,
        limit: i64,
    ) -> sqlx::Result<Vec<Server>> {
        let ids: Vec<(String,)> = self.statement(sort, offset, limit).all(tx).await?;
        let ids: Vec<String> = ids.into_iter().map(|(id,)| id).collect();
        let found = of_ids(tx, &ids).await?;
        let mut found: HashMap<String, Server> = found
            .into_iter()
            .map(|server| (server.id.clone(), server))
            .collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    pub async fn count(&self, tx: &mut Tx) -> sqlx::Result<i64> {
        // Who owns them is looked up only where it matters.
        let owners = !self.filter.is_empty() || self.among.is_some() || self.after.is_some();
        let from = match (owners, self.is_narrow()) {
            (false, _) => "servers s",
            (true, true) => "servers s CROSS JOIN users u",
            (true, false) => "users u CROSS JOIN servers s",
        };
        let mut statement = Statement::new("SELECT COUNT(*) FROM ");
        statement.say(from);
        if owners {
            statement.and().say("u.id = s.user_id");
        }
        self.conditions(&mut statement);
        statement.count(tx).await
    }

    /// What finds a page.
    pub fn statement(&self, sort: Sort, offset: i64, limit: i64) -> Statement {
        // SQLite takes the tables of a CROSS JOIN as they stand, so that a page is read in its order
        // and from few rows; PostgreSQL makes its own plan.
        let by_owner = matches!(sort, Sort::Owner | Sort::OwnerDown);
        let mut statement = Statement::new(match by_owner && !self.is_narrow() {
            true => "SELECT s.id FROM users u CROSS JOIN servers s",
            false => "SELECT s.id FROM servers s CROSS JOIN users u",
        });
        statement.and().say("u.id = s.user_id");
        self.conditions(&mut statement);
        statement.page(&sort.sql(), offset, limit);
        statement
    }

    /// Whether only few can be meant: those that do something, or did lately.
    fn is_narrow(&self) -> bool {
        let resting = |states: &[State]| states.contains(&State::Stopped);
        self.states.is_some_and(|states| !resting(states))
            || self.since.is_some()
            || self.started_since.is_some()
    }

    fn conditions(&self, statement: &mut Statement) {
        if let Some(states) = self.states {
            statement.and().say("s.state IN (");
            for (at, state) in states.iter().enumerate() {
                // Words of our own, as the index finds them.
                statement.say(if at > 0 { ", '" } else { "'" });
                statement.say(state.as_str()).say("'");
            }
            statement.say(")");
        }
        if !self.filter.is_empty() {
            let (user, server) = match self.filter.split_once('/') {
                Some((user, server)) => (user, Some(server)),
                None => (self.filter, None),
            };
            statement.and().holds("u.name", user, true);
            if let Some(server) = server.filter(|server| !server.is_empty()) {
                statement.and().holds("s.name", server, true);
            }
        }
        if let Some(since) = self.since {
            statement.and().say(SINCE).say(" > ").number(since);
        }
        if let Some(since) = self.started_since {
            statement.and().say("s.requested_at > ").number(since);
        }
        if self.stuck {
            statement.and().say("s.stop_trouble IS NOT NULL");
        }
        if let Some(among) = &self.among {
            statement.among(among, true);
        }
        if let Some((user, server)) = self.after {
            statement.and().say("(u.name > ").text(user);
            statement.say(" OR (u.name = ").text(user);
            statement.say(" AND s.name > ").text(server).say("))");
        }
    }
}
