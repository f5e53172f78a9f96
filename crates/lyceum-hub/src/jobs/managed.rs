//! Services that the hub runs: started, watched, and started again when they end.
//!
//! Each replica looks at all of them; one holds the lease of each and acts. A replica that ends stops
//! those it holds, so that another starts them at once; one that dies loses its leases, and whoever
//! takes a service up finds it running and leaves it so, if it knows a place of the hub's API that is
//! the same for all hubs: else what it knows is the hub that died, and it is started anew.
//!
//! Invariant: only the holder of the lease starts or stops a service.

mod environment;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lyceum_model::clock::Millis;
use lyceum_model::digest::Digest;
use lyceum_model::id::new_id;
use lyceum_model::name::{ServerName, UserName};
use lyceum_model::saying::Saying;
use lyceum_model::server::{ServerKey, ServerSpec};
use lyceum_proxy::Target;
use lyceum_spawn::local::LocalSpawner;
use lyceum_spawn::{PortOwner, Spawner, Status};
use lyceum_store::Engine;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::environment::{environment, without_secrets};
use super::keeper::Trouble;
use crate::config::Settings;
use crate::db::managed::Row;
use crate::grants::Service;
use crate::{Hub, db};

/// How often each is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// SQLite's only process takes up whatever an earlier one held.
const LONE_LEASE_MS: i64 = 24 * 3_600_000;
/// Whoever has run for so long has begun well.
const WELL_MS: i64 = 60_000;
const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 300_000;
/// Rounds between two looks for services that nobody knows.
const STRAYS_EVERY: u32 = 60;
/// Of what an ended one wrote last, for the log.
const LAST_LINES: usize = 10;

pub struct Services {
    hub: Hub,
    spawner: Arc<LocalSpawner>,
    /// Folders that come first on their `PATH`.
    path_first: Vec<String>,
    /// What tells one order from another. Orders hold secrets, and some can be guessed: a digest
    /// without a key would tell who guessed right.
    digest_key: [u8; 32],
    /// Since when each lease is ours, renewed.
    held: HashMap<String, Millis>,
    /// Those that can't be looked after; it is told when that begins and when it is over.
    failing: HashSet<String>,
    /// Rounds until it is looked for what nobody knows.
    until_strays: u32,
}

impl Services {
    pub fn new(
        hub: Hub,
        spawner: Arc<LocalSpawner>,
        path_first: Vec<String>,
        digest_key: [u8; 32],
    ) -> Self {
        hub.set_service_spawner(spawner.clone());
        Self {
            hub,
            spawner,
            path_first,
            digest_key,
            held: HashMap::new(),
            failing: HashSet::new(),
            until_strays: 0,
        }
    }

    /// Until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // There may be rows of a service that is no longer wanted.
        let mut any = true;
        let mut trouble = Trouble::with("looking after services");
        let mut strays = Trouble::with("looking for services that nobody knows");
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => {}
            }
            if self.until_strays == 0 {
                let Some(ended) = shutdown.run_until_cancelled(self.end_strays()).await else {
                    break;
                };
                strays.note(ended);
                self.until_strays = STRAYS_EVERY;
            }
            self.until_strays -= 1;
            if !any && !self.hub.settings().grants.services.values().any(is_managed) {
                continue;
            }
            let round = shutdown.run_until_cancelled(self.round()).await;
            match round {
                None => break,
                Some(Ok(there)) => {
                    any = there;
                    trouble.note(Ok(()));
                }
                Some(Err(error)) => {
                    any = true;
                    trouble.note(Err(error));
                }
            }
        }
        self.leave().await;
    }

    /// Whether there are any.
    async fn round(&mut self) -> anyhow::Result<bool> {
        let settings = self.hub.settings();
        let wanted = self.wanted(&settings);
        let mut tx = self.hub.db().read().await?;
        let mut rows = db::managed::all(&mut tx).await?;
        drop(tx);
        let new = |name: &&String| !rows.iter().any(|row| row.name == **name);
        let missing: Vec<&String> = wanted.keys().filter(new).collect();
        if !missing.is_empty() {
            let mut tx = self.hub.db().write().await?;
            for name in missing {
                db::managed::insert(&mut tx, name, &self.key(name)).await?;
            }
            rows = db::managed::all(&mut tx).await?;
            tx.commit().await?;
        }
        self.held
            .retain(|name, _| rows.iter().any(|row| row.name == *name));
        let mut ours = Vec::new();
        for row in &rows {
            if self.claim(row).await? {
                ours.push(row);
            }
        }
        let names: Vec<&str> = ours.iter().map(|row| row.name.as_str()).collect();
        let works = ours.iter().map(|row| {
            let order = wanted.get(&row.name);
            let work = self.tend(row, order);
            async move { (row.name.clone(), work.await) }
        });
        let outcomes = tokio::select! {
            outcomes = join_all(works) => outcomes,
            // What was begun is safe to begin again, for whoever holds the lease now.
            lost = self.keep_leases(&names) => {
                self.held.clear();
                return Err(lost);
            }
        };
        for (name, outcome) in outcomes {
            self.note(name, outcome);
        }
        Ok(!rows.is_empty())
    }

    fn note(&mut self, name: String, outcome: anyhow::Result<()>) {
        match outcome {
            Ok(()) => {
                if self.failing.remove(&name) {
                    tracing::info!(service = name, "a service is looked after again");
                }
            }
            Err(error) => {
                if !self.failing.contains(&name) {
                    let error = format!("{error:#}");
                    tracing::warn!(
                        service = name,
                        error,
                        "a service could not be looked after; trying again until it works"
                    );
                }
                self.failing.insert(name);
            }
        }
    }

    /// Renews leases while services are looked after, which may take long. Ends when that fails.
    async fn keep_leases(&self, names: &[&str]) -> anyhow::Error {
        let lease = Duration::from_millis(self.lease().unsigned_abs());
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(lease / 4).await;
            let asked = Instant::now();
            match timeout(lease / 4, self.renew(names)).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return anyhow::anyhow!("another replica took a service over"),
                _ if renewed.elapsed() >= lease * 2 / 3 => {
                    return anyhow::anyhow!("the leases of services could not be renewed");
                }
                _ => {}
            }
        }
    }

    /// Whether all of these are still ours.
    async fn renew(&self, names: &[&str]) -> anyhow::Result<bool> {
        let until = self.hub.now().plus(self.lease()).0;
        let mut tx = self.hub.db().write().await?;
        let kept = db::managed::renew(&mut tx, self.hub.replica(), until).await?;
        let rows = db::managed::all(&mut tx).await?;
        tx.commit().await?;
        // One whose row is gone was forgotten by us.
        let there = |name: &str| rows.iter().any(|row| row.name == name);
        Ok(names
            .iter()
            .all(|name| !there(name) || kept.iter().any(|kept| kept == name)))
    }

    /// Ends what runs without a row: a backup was restored, for one.
    async fn end_strays(&self) -> anyhow::Result<()> {
        // Listed before the rows are read: a row is made before its service starts.
        let limit = self.hub.timings().answer_limit;
        let running = timeout(limit, self.spawner.list()).await??;
        if running.is_empty() {
            return Ok(());
        }
        let mut tx = self.hub.db().read().await?;
        let rows = db::managed::all(&mut tx).await?;
        drop(tx);
        for key in running {
            if rows.iter().all(|row| row.key != key.as_str()) {
                tracing::warn!(service = %key, "runs but belongs to nobody, stopping it");
                self.stop(&key).await?;
                self.spawner.forget(&key).await?;
            }
        }
        Ok(())
    }

    fn wanted(&self, settings: &Settings) -> BTreeMap<String, Order> {
        let services = settings.grants.services.iter();
        let managed =
            services.filter_map(|(name, service)| Some((name, service, service.managed.as_ref()?)));
        managed
            .map(|(name, service, managed)| {
                let spec = ServerSpec {
                    command: managed.command.clone(),
                    env: environment(&settings.api_url, &settings.origins, name, service, managed),
                    path_first: self.path_first.clone(),
                    home: home(name),
                    folder: managed.folder.clone(),
                    run_as: managed.run_as.clone(),
                    ..ServerSpec::default()
                };
                let digest = digest(&spec, &self.digest_key);
                (name.clone(), Order { spec, digest })
            })
            .collect()
    }

    fn key(&self, name: &str) -> String {
        let id = new_id(self.hub.now());
        let user = UserName::parse("service").expect("a good name");
        let words: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = ServerName::parse(&words).unwrap_or_default();
        ServerKey::make(&user, &name, &id).to_string()
    }

    fn lease(&self) -> i64 {
        let lease = self.hub.timings().lease;
        match self.hub.db().engine() {
            Engine::Sqlite => LONE_LEASE_MS,
            Engine::Postgres => i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Whether it is ours to look after.
    async fn claim(&mut self, row: &Row) -> anyhow::Result<bool> {
        let (now, lease, name) = (self.hub.now(), self.lease(), row.name.as_str());
        // A clock that was set back tells nothing of how old it is.
        let fresh = 0..lease / 4;
        if (self.held.get(name)).is_some_and(|since| fresh.contains(&now.since(*since))) {
            return Ok(true);
        }
        // On SQLite no other process can hold it.
        let over = match self.hub.db().engine() {
            Engine::Sqlite => i64::MAX,
            Engine::Postgres => now.0,
        };
        let owner = self.hub.replica();
        if !row.is_free_for(owner, over) {
            self.held.remove(name);
            return Ok(false);
        }
        let mut tx = self.hub.db().write().await?;
        let ours = db::managed::claim(&mut tx, name, owner, over, now.plus(lease).0).await?;
        tx.commit().await?;
        match ours {
            true => self.held.insert(name.to_owned(), now),
            false => self.held.remove(name),
        };
        Ok(ours)
    }

    async fn tend(&self, row: &Row, order: Option<&Order>) -> anyhow::Result<()> {
        let Some(key) = ServerKey::parse(&row.key) else {
            anyhow::bail!("a damaged key, {:?}", row.key);
        };
        let (owner, now) = (self.hub.replica(), self.hub.now());
        let Some(order) = order else {
            self.stop(&key).await?;
            self.spawner.forget(&key).await?;
            let mut tx = self.hub.db().write().await?;
            db::managed::delete(&mut tx, &row.name, owner).await?;
            tx.commit().await?;
            tracing::info!(
                service = row.name,
                "stopped; the configuration no longer has it"
            );
            return Ok(());
        };
        let changed = row.digest.as_deref() != Some(&order.digest);
        let limit = self.hub.timings().answer_limit;
        let why = match timeout(limit, self.spawner.poll(&key)).await?? {
            Status::Running { .. } if !changed => {
                let since = row.started_at.unwrap_or(now.0);
                if row.failures > 0 && now.0 - since > WELL_MS {
                    let mut tx = self.hub.db().write().await?;
                    db::managed::set_well(&mut tx, &row.name, owner).await?;
                    tx.commit().await?;
                }
                if row.started_at.is_none() {
                    // Whoever started it did not get to hear that it runs.
                    let mut tx = self.hub.db().write().await?;
                    let digest = &order.digest;
                    db::managed::set_started(&mut tx, &row.name, owner, digest, now.0).await?;
                    tx.commit().await?;
                }
                return Ok(());
            }
            Status::Running { .. } => {
                tracing::info!(
                    service = row.name,
                    why = why_anew(row.digest.as_deref(), &order.digest),
                    "starting a service anew"
                );
                self.stop(&key).await?;
                None
            }
            Status::Exited { reason, .. } => Some(reason),
            Status::Gone => None,
        };
        if !changed && row.started_at.is_some() {
            return self.ended(row, order, &key, why.as_ref()).await;
        }
        if !changed && row.start_at.is_some_and(|at| now.0 < at) {
            return Ok(());
        }
        // With the lease it is made sure of right before.
        let mut tx = self.hub.db().write().await?;
        let (name, digest) = (row.name.as_str(), order.digest.as_str());
        let ours = db::managed::set_started(&mut tx, name, owner, digest, now.0).await?;
        tx.commit().await?;
        if !ours {
            return Ok(());
        }
        let limit = self.hub.timings().launch_limit;
        match timeout(limit, self.spawner.start_program(&key, &order.spec)).await? {
            Ok(_) => tracing::info!(service = name, %key, "service started"),
            Err(error) => {
                let why = error.saying();
                self.ended(row, order, &key, Some(&why)).await?;
            }
        }
        Ok(())
    }

    /// It ended though nobody asked it to.
    async fn ended(
        &self,
        row: &Row,
        order: &Order,
        key: &ServerKey,
        why: Option<&Saying>,
    ) -> anyhow::Result<()> {
        let failures = row.failures + 1;
        let doubled = u32::try_from(row.failures).unwrap_or(u32::MAX).min(16);
        let pause = (FIRST_PAUSE_MS << doubled).min(LONGEST_PAUSE_MS);
        let mut tx = self.hub.db().write().await?;
        let start_at = self.hub.now().plus(pause).0;
        let owner = self.hub.replica();
        db::managed::set_ended(&mut tx, &row.name, owner, why, failures, start_at).await?;
        tx.commit().await?;
        let lines = self.spawner.log_tail(key, LAST_LINES).await;
        let lines = without_secrets(&lines.unwrap_or_default().join("\n"), &order.spec.env);
        tracing::warn!(
            service = row.name,
            why = why.map(ToString::to_string),
            again_in_s = pause / 1_000,
            last_lines = lines,
            "a service ended"
        );
        Ok(())
    }

    async fn stop(&self, key: &ServerKey) -> anyhow::Result<()> {
        let limit = self.hub.timings().stop_limit;
        timeout(limit, self.spawner.stop(key)).await??;
        Ok(())
    }

    /// Stops what is ours, and lets another replica have it.
    async fn leave(&self) {
        let leaving = self.held.keys().map(|name| async move {
            if let Err(error) = self.leave_one(name).await {
                let error = format!("{error:#}");
                tracing::warn!(service = name, error, "a service could not be stopped");
            }
        });
        join_all(leaving).await;
    }

    async fn leave_one(&self, name: &str) -> anyhow::Result<()> {
        let mut tx = self.hub.db().read().await?;
        let rows = db::managed::all(&mut tx).await?;
        drop(tx);
        let row = rows.iter().find(|row| row.name == name);
        let Some((row, key)) = row.and_then(|row| Some((row, ServerKey::parse(&row.key)?))) else {
            return Ok(());
        };
        let (owner, now) = (self.hub.replica(), self.hub.now());
        let until = now.plus(self.lease()).0;
        let mut tx = self.hub.db().write().await?;
        let ours = db::managed::claim(&mut tx, name, owner, now.0, until).await?;
        tx.commit().await?;
        if !ours {
            // Another has taken it up meanwhile.
            return Ok(());
        }
        self.stop(&key).await?;
        let mut tx = self.hub.db().write().await?;
        db::managed::set_ended(&mut tx, name, owner, None, row.failures, now.0).await?;
        db::managed::release(&mut tx, name, owner).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What a service is started with.
struct Order {
    spec: ServerSpec,
    digest: String,
}

/// The variable that tells a service where the hub's API is.
const API_URL: &str = "JUPYTERHUB_API_URL";

/// Tells one order from another: where the hub's API is, which may differ from hub to hub, apart from
/// all the rest.
fn digest(spec: &ServerSpec, key: &[u8; 32]) -> String {
    let mut rest = spec.clone();
    let api_url = rest.env.remove(API_URL).unwrap_or_default();
    let rest = serde_json::to_vec(&rest).expect("our own types are JSON");
    let of = |bytes: &[u8]| blake3::keyed_hash(key, bytes).to_hex();
    format!("{} {}", of(&rest), of(api_url.as_bytes()))
}

/// What of its order is another than what it was started with.
fn why_anew(before: Option<&str>, now: &str) -> &'static str {
    let rest = |digest: &str| digest.split_once(' ').map(|(rest, _)| rest.to_owned());
    match before.and_then(rest) == rest(now) {
        true => "it knows another place of the hub's API; hub.api_url would name one that stays",
        false => "its order is another than before",
    }
}

fn is_managed(service: &Service) -> bool {
    service.managed.is_some()
}

/// Whether what listens at the address of a service is that service, as far as the hub runs it: a
/// port of this machine may be anybody's while the service is away.
pub(crate) async fn listens(hub: &Hub, name: &str, address: &Target) -> anyhow::Result<bool> {
    let settings = hub.settings();
    let service = settings.grants.services.get(name);
    if !service.is_some_and(is_managed) {
        return Ok(true);
    }
    let Some(spawner) = hub.service_spawner() else {
        return Ok(true);
    };
    let mut tx = hub.db().read().await?;
    let rows = db::managed::all(&mut tx).await?;
    drop(tx);
    let row = rows.into_iter().find(|row| row.name == name);
    let Some(key) = row.and_then(|row| ServerKey::parse(&row.key)) else {
        return Ok(false);
    };
    let address = address.to_string();
    let owner = spawner.owner_at(&key, &address);
    let owner = timeout(hub.timings().answer_limit, owner).await??;
    Ok(match owner {
        // What root listens with (a container's port, for one) is the administrator's, unless what
        // Lyceum starts may be root's too.
        PortOwner::Stranger { uid: 0, .. } => !spawner.is_root(),
        owner => owner.is_safe(),
    })
}

/// A folder of its own; names of services may hold what names of folders may not.
fn home(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name.len() <= 64 && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("_{}", &Digest::of(name.as_bytes()).to_hex()[..32]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_another_is_told() {
        let order = |word: &str, api_url: &str| ServerSpec {
            command: vec![word.to_owned()],
            env: [(API_URL.to_owned(), api_url.to_owned())].into(),
            ..ServerSpec::default()
        };
        let digest = |word, api_url| digest(&order(word, api_url), &[7; 32]);
        let before = digest("watch", "http://a/hub/api");
        assert_eq!(before, digest("watch", "http://a/hub/api"));
        let check = |now: &str, expect: &str| {
            assert_ne!(now, before);
            let why = why_anew(Some(&before), now);
            assert!(why.contains(expect), "{why}");
        };
        check(&digest("watch", "http://b/hub/api"), "hub.api_url");
        check(&digest("look", "http://a/hub/api"), "its order");
        check(&digest("look", "http://b/hub/api"), "its order");
        // Of an earlier version.
        let why = why_anew(Some("0123"), &before);
        assert!(why.contains("its order"), "{why}");
    }
}
