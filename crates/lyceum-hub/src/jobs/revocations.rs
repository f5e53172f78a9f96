//! Announcements that somebody's access has changed. They reach every proxy of every replica, also
//! from another process (a command on the command line): open sockets of that person end,
//! remembered answers are forgotten. Of all that she has, or of what rests on single grounds: a
//! session, a token, a share ([`crate::access`] says what an answer rests upon).
//!
//! Who passes them on is [`crate::proxy`].

use std::collections::BTreeMap;

use lyceum_model::clock::Millis;
use lyceum_store::{Tx, events};

use crate::shares;

/// The topic; the subject is the person's name.
pub const TOPIC: &str = "access";
/// The subject that means everybody; no name is like that. An announcement about several people has it
/// too and names them in its body: a hub of before, which looks at the subject alone, cuts off more
/// than it need, never less.
pub(crate) const EVERYBODY: &str = "*";
const PEOPLE: &str = "people";
/// So many are named in one.
const MOST_IN_ONE: usize = 250;
const GROUNDS: &str = "grounds";
/// News have to fit into a line for the proxies, many announcements in one.
const MOST_GROUNDS: usize = 32;

/// Says, in the transaction that changes it, that somebody's access has changed; and with it that of
/// those who hold what she shared, since they hold no more than she may give.
pub async fn announce(tx: &mut Tx, user: &str, now: Millis) -> sqlx::Result<()> {
    let Some(holders) = shares::resting_on(tx, user).await? else {
        return announce_all(tx, now).await;
    };
    let mut fallen: Fallen = BTreeMap::from([(user.to_owned(), None)]);
    for (holder, servers) in holders {
        fallen.entry(holder).or_insert(Some(servers));
    }
    announce_several(tx, &fallen, now).await
}

/// What of somebody's access rests on grounds that have fallen; nothing: all of it may have.
pub type Fallen = BTreeMap<String, Option<Vec<String>>>;

/// As [`announce_fallen`], of any number of people. Those with whom they share are not looked for.
pub async fn announce_several(tx: &mut Tx, fallen: &Fallen, now: Millis) -> sqlx::Result<()> {
    let all: Vec<(&String, &Option<Vec<String>>)> = fallen.iter().collect();
    for some in all.chunks(MOST_IN_ONE) {
        if let [(user, grounds)] = some {
            match grounds {
                Some(grounds) => announce_fallen(tx, user, grounds, now).await?,
                None => say(tx, user, now).await?,
            }
            continue;
        }
        let people: BTreeMap<&str, Option<&Vec<String>>> = some
            .iter()
            .map(|(user, grounds)| {
                let few = grounds.as_ref().filter(|few| few.len() <= MOST_GROUNDS);
                (user.as_str(), few)
            })
            .collect();
        let body = serde_json::json!({ PEOPLE: people });
        events::publish(tx, TOPIC, EVERYBODY, &body, now).await?;
    }
    Ok(())
}

async fn say(tx: &mut Tx, subject: &str, now: Millis) -> sqlx::Result<()> {
    events::publish(tx, TOPIC, subject, &serde_json::json!({}), now).await?;
    Ok(())
}

/// As [`announce`], of what rests on one of these sessions, tokens or shared servers only.
pub async fn announce_fallen(
    tx: &mut Tx,
    user: &str,
    fallen: &[String],
    now: Millis,
) -> sqlx::Result<()> {
    if fallen.len() > MOST_GROUNDS {
        return say(tx, user, now).await;
    }
    let body = serde_json::json!({ GROUNDS: fallen });
    events::publish(tx, TOPIC, user, &body, now).await?;
    Ok(())
}

/// Whom an announcement is about. What can't be read is about everybody.
pub(crate) fn told(subject: &str, body: &serde_json::Value) -> Fallen {
    let Some(people) = body.get(PEOPLE) else {
        return BTreeMap::from([(subject.to_owned(), grounds(body))]);
    };
    serde_json::from_value(people.clone())
        .unwrap_or_else(|_| BTreeMap::from([(EVERYBODY.to_owned(), None)]))
}

/// What it is limited to; nothing: it is about all that the person has.
fn grounds(body: &serde_json::Value) -> Option<Vec<String>> {
    let fallen = body.get(GROUNDS)?.as_array()?.iter();
    fallen.map(|one| one.as_str().map(str::to_owned)).collect()
}

/// Says that the rules have changed, and everybody is to be asked about anew.
pub async fn announce_all(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    say(tx, EVERYBODY, now).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whom_an_announcement_is_about() {
        let check = |subject: &str, body: serde_json::Value, expect: &[(&str, Option<&[&str]>)]| {
            let told = told(subject, &body);
            let expect: Fallen = expect
                .iter()
                .map(|(name, grounds)| {
                    let grounds = grounds.map(|all| all.iter().map(|one| (*one).to_owned()));
                    ((*name).to_owned(), grounds.map(Iterator::collect))
                })
                .collect();
            assert_eq!(told, expect, "{subject} {body}");
        };
        check("ada", json!({}), &[("ada", None)]);
        check("ada", json!({"grounds": ["s"]}), &[("ada", Some(&["s"]))]);
        check("*", json!({}), &[("*", None)]);
        let several = json!({"people": {"ada": null, "ben": ["s"]}});
        let both: [(&str, Option<&[&str]>); 2] = [("ada", None), ("ben", Some(&["s"]))];
        check("*", several.clone(), &both);
        // As a hub of before wrote it.
        check("+", several, &both);
        check("*", json!({"people": 7}), &[("*", None)]);
    }
}
