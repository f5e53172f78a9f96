//! Servers that are shared: who holds what by them, and codes.
//!
//! A share gives scopes over one server to a person or to all in a group. Like everything that was
//! given it counts for no more than its giver may give *now*: she needs `shares` over the server, and
//! each scope herself. That is asked anew with each request, so a share whose giver has lost the right
//! is as good as none, and is good again when she has it back.
//!
//! What a giver holds by shares counts too (whoever was given `shares` may pass on), as long as
//! it leads back, by whatever way, to somebody who has it by a role.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::id::{new_id, new_secret};
use lyceum_model::name::UserName;
use lyceum_model::scope::{Filter, Scope, ScopeName, ScopeSet, Target, Vocabulary};
use lyceum_store::Tx;
use lyceum_web::Who;
use subtle::ConstantTimeEq;

use crate::db::shares::{Code, Given, NewCode, Of, With};
use crate::groups::service_subject;
use crate::jobs::revocations;
use crate::standing::Standing;
use crate::{Hub, db, services};

/// A code lives for a day unless something else is asked for.
pub const CODE_LIFE_S: i64 = 86_400;
pub const CODE_LIFE_LEAST_S: i64 = 60;
/// A year.
pub const CODE_LIFE_MOST_S: i64 = 365 * 86_400;
/// Codes of one server at a time.
pub const MOST_CODES: i64 = 200;
const CODE_PURPOSE: &str = "lyceum 2026 share code";
/// Longer texts are no codes.
const CODE_MOST: usize = 128;
/// With more to be told than this, everybody is.
const MOST_TOLD: usize = 2_000;
/// Wrong codes that somebody may come with, and after how long one of them is forgotten.
const FREE_GUESSES: i64 = 20;
const GUESS_LEAK_MS: i64 = 30_000;
/// People whose guesses are remembered at a time.
const MOST_GUESSING: usize = 10_000;

/// What somebody gives under: a person's id, or `service/NAME`.
pub fn giver(who: &Who) -> String {
    match who {
        Who::Person(person) => person.id.clone(),
        Who::Service(name) => service_subject(name),
    }
}

/// On what a decision about a server rests that was shared with whoever asks.
pub fn ground(server_id: &str) -> String {
    format!("shared {server_id}")
}

/// What this person holds by shares, at this moment. Not expanded.
pub async fn held_by(hub: &Hub, tx: &mut Tx, user_id: &str) -> sqlx::Result<ScopeSet> {
    let given = db::shares::given(tx, Of::Holder(user_id)).await?;
    if given.is_empty() {
        return Ok(ScopeSet::new());
    }
    let good = in_force(hub, tx, given).await?;
    let vocabulary = &hub.settings().grants.vocabulary;
    let scopes = good.iter().filter_map(|one| scope_of(one, vocabulary));
    Ok(scopes.collect())
}

/// Those of the things given that their givers may give.
pub async fn in_force(hub: &Hub, tx: &mut Tx, given: Vec<Given>) -> sqlx::Result<Vec<Given>> {
    let mut givers = Givers::new(hub);
    let mut good = Vec::new();
    let mut doubtful: BTreeMap<String, Vec<Given>> = BTreeMap::new();
    for one in given {
        match givers.may_by_roles(tx, &one).await? {
            true => good.push(one),
            false => doubtful.entry(one.server_id.clone()).or_default().push(one),
        }
    }
    for (server_id, doubtful) in doubtful {
        let passed_on = givers.passed_on(tx, &server_id, &doubtful).await?;
        good.extend(doubtful.into_iter().filter(|one| {
            passed_on
                .get(&one.giver)
                .is_some_and(|held| lets_give(held, one, &hub.settings().grants.vocabulary))
        }));
    }
    Ok(good)
}

/// A scope as it is kept, with the filter it always has. None of one that is defined no longer.
fn scope_of(given: &Given, vocabulary: &Vocabulary) -> Option<Scope> {
    let filter = Filter::Server {
        user: given.owner.clone(),
        server: given.server.clone(),
    };
    let scope = vocabulary.parse(&given.scope).ok()?;
    Some(Scope::new(scope.name, filter))
}

/// Whether these scopes, which concern the server, let their holder give this.
fn lets_give(held: &ScopeSet, given: &Given, vocabulary: &Vocabulary) -> bool {
    let Some(scope) = scope_of(given, vocabulary) else {
        return false;
    };
    let target = Target::Server(&given.owner, &given.server);
    let may = |name| held.allows(name, target, &lyceum_model::scope::NoGroups);
    may(ScopeName::Shares).is_yes() && may(scope.name).is_yes()
}

/// What givers hold by their roles over people's servers, looked up once.
struct Givers<'a> {
    hub: &'a Hub,
    /// By giver and owner. None: she is not there, or may not come in.
    known: HashMap<(String, String), Option<Standing>>,
}

impl<'a> Givers<'a> {
    fn new(hub: &'a Hub) -> Self {
        Self {
            hub,
            known: HashMap::new(),
        }
    }

    async fn may_by_roles(&mut self, tx: &mut Tx, given: &Given) -> sqlx::Result<bool> {
        let key = (given.giver.clone(), given.owner_id.clone());
        if !self.known.contains_key(&key) {
            let found = self.look_up(tx, given).await?;
            self.known.insert(key.clone(), found);
        }
        let Some(Some(standing)) = self.known.get(&key) else {
            return Ok(false);
        };
        let Some(scope) = scope_of(given, &self.hub.settings().grants.vocabulary) else {
            return Ok(false);
        };
        let target = Target::Server(&given.owner, &given.server);
        let may = |name| standing.held().allows(name, target, standing.members());
        Ok(may(ScopeName::Shares).is_yes() && may(scope.name).is_yes())
    }

    async fn look_up(&self, tx: &mut Tx, given: &Given) -> sqlx::Result<Option<Standing>> {
        let hub = self.hub;
        if let Some(service) = crate::grants::service_of_route(&given.giver) {
            let grants = &hub.settings().grants;
            return match services::find(grants, tx, service).await? {
                Some(known) => Standing::of_service(hub, tx, &known).await.map(Some),
                None => Ok(None),
            };
        }
        let user = db::users::get(tx, &given.giver).await?;
        match hub.let_in(tx, user).await? {
            Some(user) => {
                let owner = (&given.owner, given.owner_id.as_str());
                Standing::by_roles_toward(hub, tx, &user, owner)
                    .await
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    /// What givers hold over a server by shares that lead back to a role: what is good makes more
    /// good, until nothing is added.
    async fn passed_on(
        &mut self,
        tx: &mut Tx,
        server_id: &str,
        asked: &[Given],
    ) -> sqlx::Result<BTreeMap<String, ScopeSet>> {
        let settings = self.hub.settings();
        let vocabulary = &settings.grants.vocabulary;
        let all = db::shares::given(tx, Of::Server(server_id)).await?;
        // Whoever made a code may not have given anything yet.
        let givers = all.iter().chain(asked).map(|one| one.giver.as_str());
        let givers: BTreeSet<&str> = givers.collect();
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for giver in givers {
            let user = db::users::get(tx, giver).await?;
            if self.hub.let_in(tx, user).await?.is_some() {
                groups.insert(giver, db::groups::names_of(tx, giver).await?);
            }
        }
        let mut held: BTreeMap<String, ScopeSet> = BTreeMap::new();
        let mut left: Vec<&Given> = Vec::new();
        let mut good: Vec<&Given> = Vec::new();
        for one in &all {
            match self.may_by_roles(tx, one).await? {
                true => good.push(one),
                false => left.push(one),
            }
        }
        while !good.is_empty() {
            for one in good.drain(..) {
                let Some(scope) = scope_of(one, vocabulary) else {
                    continue;
                };
                let has = |giver: &str, groups: &[String]| {
                    one.user_id.as_deref() == Some(giver)
                        || (one.group_name.as_ref()).is_some_and(|name| groups.contains(name))
                };
                for (giver, _) in groups.iter().filter(|(giver, of)| has(giver, of)) {
                    held.entry((*giver).to_owned())
                        .or_default()
                        .insert(scope.clone());
                }
            }
            left.retain(|one| {
                let now_good = held
                    .get(&one.giver)
                    .is_some_and(|held| lets_give(held, one, vocabulary));
                if now_good {
                    good.push(one);
                }
                !now_good
            });
        }
        Ok(held)
    }
}

/// Those who hold what this one shared, or what was passed on from there, each with the grounds that
/// may have fallen. None when there are too many to name.
pub async fn resting_on(
    tx: &mut Tx,
    subject: &str,
) -> sqlx::Result<Option<BTreeMap<String, Vec<String>>>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut asked = BTreeSet::new();
    let mut left = vec![subject.to_owned()];
    while let Some(giver) = left.pop() {
        if !asked.insert(giver.clone()) {
            continue;
        }
        for (holder, server) in db::shares::holders_by(tx, &giver, MOST_TOLD + 1).await? {
            left.push(holder.clone());
            told.entry(holder).or_default().insert(ground(&server));
        }
        if told.values().map(BTreeSet::len).sum::<usize>() > MOST_TOLD {
            return Ok(None);
        }
    }
    let grounds =
        |(holder, servers): (String, BTreeSet<String>)| (holder, servers.into_iter().collect());
    Ok(Some(told.into_iter().map(grounds).collect()))
}

/// Says, in the transaction that takes it, that what was shared of this server is less now.
pub async fn announce_fallen(
    tx: &mut Tx,
    holders: &[String],
    server_id: &str,
    now: Millis,
) -> sqlx::Result<()> {
    let mut told = BTreeSet::new();
    for holder in holders {
        told.insert(holder.clone());
        let Some(further) = resting_on(tx, holder).await? else {
            return revocations::announce_all(tx, now).await;
        };
        told.extend(further.into_keys());
        if told.len() > MOST_TOLD {
            return revocations::announce_all(tx, now).await;
        }
    }
    let fallen = told
        .into_iter()
        .map(|holder| (holder, Some(vec![ground(server_id)])));
    revocations::announce_several(tx, &fallen.collect(), now).await
}

/// Takes everything back that is shared of a server; codes stay.
pub async fn revoke_all(tx: &mut Tx, server_id: &str, now: Millis) -> sqlx::Result<u64> {
    let holders = db::shares::holders(tx, server_id, MOST_TOLD + 1).await?;
    let holders: Vec<String> = holders.into_iter().map(|(name, _)| name).collect();
    match holders.len() > MOST_TOLD {
        true => revocations::announce_all(tx, now).await?,
        false => announce_fallen(tx, &holders, server_id, now).await?,
    }
    db::shares::delete_of_server(tx, server_id).await
}

/// Takes a share back, or some scopes of it.
pub async fn revoke(
    tx: &mut Tx,
    share: &db::shares::Share,
    scopes: Option<&[ScopeName]>,
    now: Millis,
) -> sqlx::Result<()> {
    let mut taken = scopes.is_none();
    for scope in scopes.unwrap_or_default() {
        taken |= db::shares::revoke(tx, &share.id, scope.as_str()).await?;
    }
    // Where nothing is taken, there is nothing to tell.
    if !taken {
        return Ok(());
    }
    let holders: Vec<String> = match (&share.user_name, &share.group_name) {
        (Some(user), _) => vec![user.clone()],
        (None, Some(group)) => {
            let members = db::groups::members(tx, group).await?;
            members.iter().map(UserName::to_string).collect()
        }
        (None, None) => Vec::new(),
    };
    match holders.len() > MOST_TOLD {
        true => revocations::announce_all(tx, now).await?,
        false => announce_fallen(tx, &holders, &share.server_id, now).await?,
    }
    match scopes {
        None => db::shares::delete(tx, &share.id).await,
        Some(_) => Ok(()),
    }
}

/// Makes a code; the secret is given away here and not kept.
pub async fn new_code(
    tx: &mut Tx,
    server_id: &str,
    scopes: &[ScopeName],
    giver: &str,
    life_s: i64,
    now: Millis,
) -> sqlx::Result<(String, String)> {
    let (id, code) = (new_id(now), new_secret());
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let new = NewCode {
        id: &id,
        hash: &hash_secret(CODE_PURPOSE, &code),
        server_id,
        scopes: &serde_json::json!(names).to_string(),
        giver,
        created_at: now.0,
        expires_at: now.plus(life_s.saturating_mul(1000)).0,
    };
    db::shares::insert_code(tx, &new).await?;
    Ok((id, code))
}

/// Whose code this is, if it is good still.
pub async fn find_code(tx: &mut Tx, code: &str, now: Millis) -> sqlx::Result<Option<Code>> {
    if code.len() > CODE_MOST {
        return Ok(None);
    }
    let hash = hash_secret(CODE_PURPOSE, code);
    let found = db::shares::find_code(tx, &hash, now.0).await?;
    Ok(found.filter(|found| found.hash.as_bytes().ct_eq(hash.as_bytes()).into()))
}

/// The scopes of a code that whoever made it may give still.
pub async fn scopes_of_code(hub: &Hub, tx: &mut Tx, code: &Code) -> sqlx::Result<Vec<String>> {
    let scopes: Vec<String> = serde_json::from_str(&code.scopes).unwrap_or_default();
    let given = scopes.into_iter().map(|scope| Given {
        server_id: code.server_id.clone(),
        owner_id: code.owner_id.clone(),
        owner: code.owner.clone(),
        server: code.server.clone(),
        user_id: None,
        group_name: None,
        scope,
        giver: code.giver.clone(),
    });
    let good = in_force(hub, tx, given.collect()).await?;
    Ok(good.into_iter().map(|one| one.scope).collect())
}

/// Changes a code for a share with this person, and counts it. None when the code was taken back or
/// has expired meanwhile, or whoever made it may not share any more.
pub async fn exchange(
    hub: &Hub,
    tx: &mut Tx,
    code: &Code,
    user_id: &str,
    now: Millis,
) -> sqlx::Result<bool> {
    let scopes = scopes_of_code(hub, tx, code).await?;
    if scopes.is_empty() || !db::shares::use_code(tx, &code.id, now.0).await? {
        return Ok(false);
    }
    let with = With::User(user_id);
    db::shares::grant(tx, &code.server_id, with, &scopes, &code.giver, now).await?;
    Ok(true)
}

/// Slows down who tries codes. They can't be guessed; this keeps the trying cheap for everybody else.
/// Each replica counts by itself.
#[derive(Debug, Default)]
pub struct Guesses(Mutex<HashMap<String, (i64, Millis)>>);

impl Guesses {
    /// Whether this person may come with a code.
    pub fn may_try(&self, user_id: &str, now: Millis) -> bool {
        let known = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        known
            .get(user_id)
            .is_none_or(|tally| left(*tally, now).0 < FREE_GUESSES)
    }

    /// Notes that the code was nobody's.
    pub fn missed(&self, user_id: &str, now: Millis) {
        let mut known = self.0.lock().unwrap_or_else(|broken| broken.into_inner());
        if known.len() >= MOST_GUESSING {
            known.retain(|_, tally| left(*tally, now).0 > 0);
        }
        let (misses, since) = known
            .get(user_id)
            .map_or((0, now), |tally| left(*tally, now));
        if known.len() < MOST_GUESSING || misses > 0 {
            known.insert(user_id.to_owned(), (misses + 1, since));
        }
    }
}

/// What is not forgotten yet, and since when it is counted.
fn left((misses, since): (i64, Millis), now: Millis) -> (i64, Millis) {
    let gone = now.since(since).max(0) / GUESS_LEAK_MS;
    match misses > gone {
        true => (misses - gone, since.plus(gone * GUESS_LEAK_MS)),
        false => (0, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_run_out_and_come_back() {
        let guesses = Guesses::default();
        let now = Millis(1_000_000);
        for _ in 0..FREE_GUESSES {
            assert!(guesses.may_try("eve", now));
            guesses.missed("eve", now);
        }
        assert!(!guesses.may_try("eve", now));
        assert!(guesses.may_try("ada", now));
        assert!(!guesses.may_try("eve", now.plus(GUESS_LEAK_MS - 1)));
        assert!(guesses.may_try("eve", now.plus(GUESS_LEAK_MS)));
        guesses.missed("eve", now.plus(GUESS_LEAK_MS));
        assert!(!guesses.may_try("eve", now.plus(GUESS_LEAK_MS)));
    }
}
