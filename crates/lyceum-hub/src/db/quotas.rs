//! Counts for quotas, and the condition by which SQL finds the servers that a quota speaks of.

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, settings};

use super::search::Statement;
use crate::quota::Count;
use crate::select::{People, Selector};

/// The lock under which places are given.
const LOCK: &str = "quotas";

/// Until the end of the transaction nobody else gives a place.
pub async fn lock(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    settings::lock(tx, LOCK, "", now).await
}

/// How many servers of these there are.
pub async fn count(tx: &mut Tx, whom: &Selector, now: i64) -> sqlx::Result<Count> {
    let mut statement = Statement::new(
        "SELECT COUNT(*), COUNT(CASE WHEN s.state = 'queued' OR (s.state = 'starting' AND s.unplaced_at IS NULL) THEN 1 END) \
         FROM servers s",
    );
    if needs_owner(whom) {
        statement.say(" JOIN users u ON u.id = s.user_id");
    }
    // One that was just taken up has its place, though its row is still in line.
    statement.and().say("(s.state IN ('starting', 'ready', 'stopping') OR (s.state = 'queued' AND s.lease_owner IS NOT NULL AND s.lease_until >= ");
    statement.number(now).say("))");
    if *whom != Selector::default() {
        statement.and();
        condition(&mut statement, whom);
    }
    let rows: Vec<(i64, i64)> = statement.all(tx).await?;
    let (running, starting) = rows.first().copied().unwrap_or_default();
    Ok(Count { running, starting })
}

pub(super) fn needs_owner(whom: &Selector) -> bool {
    whom.people.is_some() || whom.admins.is_some()
}

/// That `u` is one of these people. Never NULL: an empty list in SQL would be, and so would its opposite.
pub(super) fn of_people(statement: &mut Statement, people: &People) {
    statement.say("(1 = 0");
    if !people.names.is_empty() {
        statement
            .say(" OR u.name IN (")
            .texts(&people.names)
            .say(")");
    }
    if !people.groups.is_empty() {
        statement
            .say(" OR u.id IN (SELECT m.user_id FROM group_members m JOIN groups g ON g.id = m.group_id WHERE g.name IN (")
            .texts(&people.groups)
            .say("))");
    }
    statement.say(")");
}

/// That a quota speaks of `s`, whose owner is `u`. Never NULL, so that its opposite holds too.
pub(super) fn condition(statement: &mut Statement, whom: &Selector) {
    statement.say("(1 = 1");
    if let Some(people) = &whom.people {
        statement.say(" AND ");
        of_people(statement, people);
    }
    for (column, list) in [("profile", &whom.profiles), ("course", &whom.courses)] {
        match list.as_deref() {
            None => {}
            Some([]) => {
                statement.say(" AND 1 = 0");
            }
            Some(list) => {
                statement.say(" AND COALESCE(s.").say(column);
                statement.say(", '') IN (").texts(list).say(")");
            }
        }
    }
    if let Some(list) = whom
        .beside_courses
        .as_deref()
        .filter(|list| !list.is_empty())
    {
        statement
            .say(" AND COALESCE(s.course, '') NOT IN (")
            .texts(list)
            .say(")");
    }
    statement.say(match whom.admins {
        Some(true) => " AND u.admin",
        Some(false) => " AND NOT u.admin",
        None => "",
    });
    statement.say(match whom.named {
        Some(true) => " AND s.name <> ''",
        Some(false) => " AND s.name = ''",
        None => "",
    });
    if let Some(environment) = &whom.environment {
        statement
            .say(" AND COALESCE(s.environment, '') = ")
            .text(environment);
    }
    statement.say(")");
}
