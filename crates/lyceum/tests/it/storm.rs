//! Random trouble on two hubs, two proxies and a PostgreSQL of their own, all real processes: people
//! come and go, servers start and stop, for fewer places than are wished for, and meanwhile whatever
//! there is gets killed. After each round everything must be as the rows say, and the service that
//! the hubs run be there once.
//!
//! The seed says what is done when; what the processes make of it depends on the machine, so a seed
//! leads near a failure, not always to it. `cargo xtask storm --rounds 200 --seed 7` tells it longer.

mod trouble;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use lyceum_hub::db::{self, servers::Server};
use lyceum_hub::servers::State;
use lyceum_store::Db;
use lyceum_store::db::Location;
use lyceum_testkit::Client;
use lyceum_testkit::postgres::Postgres;
use serde_json::{Value, json};

use self::trouble::{Deal, Trouble};
use self::wishes::{ANSWER, Asked, Before, NAMED, Wish, check_wishes};
use crate::played::Birth;
use crate::replicas::{Place, Running, until};

const ROUNDS: &str = "LYCEUM_STORM_ROUNDS";
const SEED: &str = "LYCEUM_STORM_SEED";

const PEOPLE: [&str; 8] = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];
/// So many servers may run; people wish for up to five times as many.
const PLACES: usize = 3;
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How long it may take until all is quiet: a lease of a dead hub, a pause after a failure and the
/// look for servers that nobody knows, all one after the other and on a slow machine.
const QUIET: Duration = Duration::from_secs(240);

pub(crate) const CONFIG: &str = "services:\n  - {name: storm, api_token: env:LYCEUM_TEST_TOKEN}\n\
    load_roles:\n  - {name: admin, services: [storm]}\n";

/// Small and repeatable: xorshift.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("fewer than sides")
    }
}

struct Storm {
    place: Place,
    postgres: Option<Postgres>,
    db: Db,
    hubs: Vec<Running>,
    /// Where they listen, whichever process it is.
    addresses: [SocketAddr; 2],
    proxies: Vec<Running>,
    /// Servers as they were at the end of the last round, by their clients.
    before: BTreeMap<String, Before>,
    /// How often servers had started by then, by their clients: a row that is made anew has the client
    /// of the one before.
    births: BTreeMap<String, usize>,
    /// How often the service had started by then.
    services: usize,
    deal: Deal,
    history: Vec<String>,
    figures: BTreeMap<&'static str, usize>,
}

/// Where a program listens that is stopped and started again while others run beside it: an address of
/// this process's own, from which nobody's connections start, and a port that the system hands out to
/// nobody, so that nothing takes it in between.
fn address_to_keep(dice: &mut Dice) -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 64 | high, middle, low.max(1));
    loop {
        let port = 5_000 + u16::try_from(dice.roll(5_000)).expect("small");
        let address = SocketAddr::from((own, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl Storm {
    async fn new(dice: &mut Dice) -> Self {
        let postgres = Postgres::start().expect("PostgreSQL");
        let location = Location::Postgres(postgres.url().to_owned());
        let place = Place::on(location.clone(), &format!("  running: {PLACES}\n{CONFIG}"));
        let place = place.with_service();
        // Other stories run beside this one.
        let mut ports = Dice(u64::from(std::process::id()) * 7919 + 1);
        let addresses = [0, 1].map(|_| address_to_keep(&mut ports));
        let hubs: Vec<Running> = addresses
            .iter()
            .map(|address| place.hub(&address.to_string()))
            .collect();
        let urls = addresses.map(|address| format!("http://{address}"));
        let proxies = (0..2)
            .map(|at| {
                let urls = [urls[0].as_str(), urls[1].as_str()];
                let listen = address_to_keep(&mut ports).to_string();
                place.proxy(&format!("state-{at}"), &listen, &urls)
            })
            .collect();
        let db = Db::open(&location).await.expect("the database opens");
        Self {
            place,
            postgres: Some(postgres),
            db,
            hubs,
            addresses,
            proxies,
            before: BTreeMap::new(),
            births: BTreeMap::new(),
            services: 0,
            deal: Deal::new(dice),
            history: Vec::new(),
            figures: BTreeMap::new(),
        }
    }

    fn proxy(&self, at: usize, more: &[&str]) -> Running {
        let urls = self.addresses.map(|address| format!("http://{address}"));
        let listen = self.proxies[at].address().to_string();
        let urls = [urls[0].as_str(), urls[1].as_str()];
        self.place
            .proxy_with(&format!("state-{at}"), &listen, &urls, more)
    }

    fn count(&mut self, what: &'static str) {
        *self.figures.entry(what).or_default() += 1;
    }

    async fn round(&mut self, number: usize, dice: &mut Dice) {
        let servers = !self.living().is_empty();
        let trouble = self.deal.next(dice, servers);
        let wishes: Vec<(Wish, &str, usize, u64)> = (0..6 + dice.roll(14))
            .map(|_| {
                let person = PEOPLE[dice.roll(PEOPLE.len())];
                // At a hub, or through a proxy.
                (Wish::any(dice), person, dice.roll(4), dice.roll(600) as u64)
            })
            .collect();
        let after = Duration::from_millis(dice.roll(600) as u64);
        self.history.push(format!("round {number}: {trouble:?}"));
        let mut doors: Vec<SocketAddr> = self.addresses.to_vec();
        doors.extend(self.proxies.iter().map(Running::address));
        let clients: Vec<Arc<Client>> = doors
            .iter()
            .map(|door| Arc::new(Client::new(*door).with_token(TOKEN)))
            .collect();
        let asked: Vec<_> = wishes
            .into_iter()
            .map(|(wish, person, door, pause)| {
                let client = clients[door].clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    let answer = wish.ask(&client, person).await;
                    (wish, person, door, pause, answer)
                })
            })
            .collect();
        tokio::time::sleep(after).await;
        let mut of_round = Asked {
            victim: self.make(trouble).await,
            service_ended: matches!(trouble, Trouble::HandOver(_) | Trouble::KillService),
            ..Asked::default()
        };
        if trouble.is_of_server() && of_round.victim.is_none() {
            self.deal.put_back(trouble);
        }
        for asked in asked {
            let (wish, person, door, pause, answer) = asked.await.expect("asked");
            of_round.note(wish, person, answer);
            self.count("requests");
            if answer.is_none_or(|status| status >= 500) {
                self.count(match trouble {
                    Trouble::None => "of these without an answer or with 5xx, without trouble",
                    _ => "of these without an answer or with 5xx, in trouble",
                });
            }
            let line = format!("  {wish:?} {person} at {door} after {pause} ms: {answer:?}");
            self.history.push(line);
        }
        self.comes_to_rest(&of_round).await;
    }

    /// Gives the client of the server that is killed.
    async fn make(&mut self, trouble: Trouble) -> Option<String> {
        match trouble {
            Trouble::None => self.count("rounds without trouble"),
            Trouble::KillHub(at) => {
                self.kill_hubs(&[at]);
                self.count("hubs killed");
            }
            Trouble::KillBothHubs => {
                self.kill_hubs(&[0, 1]);
                self.count("both hubs killed");
            }
            Trouble::HandOver(at) => {
                self.hubs[at].terminate();
                assert_eq!(self.hubs[at].ended().await, Some(0), "a hub that was asked");
                self.hubs[at] = self.place.hub(&self.addresses[at].to_string());
                self.count("hubs stopped and started");
            }
            Trouble::KillProxy(at) => {
                self.proxies[at].child.kill().expect("killed");
                self.proxies[at].child.wait().expect("waited");
                self.proxies[at] = self.proxy(at, &[]);
                self.count("proxies killed");
            }
            Trouble::ReplaceProxy(at) => {
                let next = self.proxy(at, &["--take-over"]);
                let mut old = std::mem::replace(&mut self.proxies[at], next);
                assert_eq!(old.ended().await, Some(0), "a proxy that was replaced");
                self.count("proxies replaced");
            }
            Trouble::RestartDatabase(pause) => {
                let mut postgres = self.postgres.take().expect("there");
                let restarted = tokio::task::spawn_blocking(move || {
                    let outcome = postgres.restart(Duration::from_millis(pause));
                    (postgres, outcome)
                });
                let (postgres, outcome) = restarted.await.expect("no panic");
                outcome.expect("PostgreSQL comes back");
                self.postgres = Some(postgres);
                self.count("PostgreSQL restarted");
            }
            Trouble::KillServer(which) | Trouble::KillKeeper(which) => {
                let living = self.living();
                let victim = living.get(which % living.len().max(1))?;
                let keeper = matches!(trouble, Trouble::KillKeeper(_));
                let pid = match keeper {
                    true => parent(victim.pid),
                    false => Some(victim.pid),
                };
                let pid = pid.and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    // It may have ended this very moment.
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
                }
                self.count(if keeper {
                    "keepers of servers killed"
                } else {
                    "servers killed"
                });
                return Some(victim.client.clone());
            }
            Trouble::KillService => {
                for service in self.living_services() {
                    if let Some(pid) = rustix::process::Pid::from_raw(service.pid) {
                        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
                    }
                    until("it has ended", async || !service.is_alive()).await;
                }
                self.count("services killed");
            }
        }
        None
    }

    fn kill_hubs(&mut self, which: &[usize]) {
        for at in which {
            self.hubs[*at].child.kill().expect("killed");
            self.hubs[*at].child.wait().expect("waited");
        }
        for at in which {
            self.hubs[*at] = self.place.hub(&self.addresses[*at].to_string());
        }
    }

    fn living(&self) -> Vec<Birth> {
        let births = self.place.notes.servers();
        births.into_iter().filter(Birth::is_alive).collect()
    }

    fn living_services(&self) -> Vec<Birth> {
        let births = self.place.notes.services();
        births.into_iter().filter(Birth::is_alive).collect()
    }

    async fn comes_to_rest(&mut self, asked: &Asked) {
        let begun = Instant::now();
        let rows = loop {
            match self.look().await {
                Ok(rows) => break rows,
                Err(what) => assert!(begun.elapsed() < QUIET, "no rest: {what}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        self.history.push(format!(
            "  at rest after {} ms",
            begun.elapsed().as_millis()
        ));
        let twins = self.place.notes.twins();
        assert_eq!(twins, "", "two processes of one server or service");
        let most = self.place.notes.most_at_once();
        assert!(most <= PLACES, "{most} servers at a time");
        self.check_service(asked);
        for running in self.hubs.iter_mut().chain(&mut self.proxies) {
            let ended = running.child.try_wait().expect("waited");
            assert_eq!(ended, None, "one of the programs ended by itself");
        }
        let births = self.place.notes.servers();
        self.check_rows(rows, &births, asked);
        // What is killed here says nothing of the environment, which would be held back for it.
        self.forget_failures().await;
        *self.figures.entry("processes of servers").or_default() = births.len();
    }

    fn check_rows(&mut self, rows: Vec<Server>, births: &[Birth], asked: &Asked) {
        let living = self.living();
        let mut counted = BTreeMap::<String, usize>::new();
        for birth in births {
            *counted.entry(birth.client.clone()).or_default() += 1;
        }
        let mut after = BTreeMap::new();
        for row in rows {
            let client = row.client_id.clone();
            let of = |counts: &BTreeMap<String, usize>| counts.get(&client).copied();
            let anew = of(&counted).unwrap_or_default() - of(&self.births).unwrap_or_default();
            let process = living.iter().find(|birth| birth.client == client);
            let now = Before::of(&row, process.map(|birth| birth.pid));
            check_wishes(
                &row,
                self.before.remove(&client).as_ref(),
                &now,
                anew,
                asked,
            );
            if now.waited {
                self.count("rounds of waiting for a place");
            }
            after.insert(client, now);
        }
        // Of these there is no row any more.
        for (client, before) in &self.before {
            assert!(
                before.is_at_rest() || asked.ended.contains(&before.key),
                "{client} is gone, and nobody ended it"
            );
        }
        self.before = after;
        self.births = counted;
    }

    /// Whatever became of the hubs, the service went on, unless it was ended.
    fn check_service(&mut self, asked: &Asked) {
        let births = self.place.notes.services().len();
        let anew = births - self.services;
        let may = usize::from(asked.service_ended);
        assert!(anew <= may, "the service was started {anew} times");
        self.services = births;
    }

    /// All that runs is stopped, until nothing waits any more: whoever stands in line has a turn.
    async fn all_go_home(&mut self) {
        let client = Client::new(self.proxies[0].address()).with_token(TOKEN);
        // As many turns as it takes to give each a place, and one to see that none is left.
        for _ in 0..=(PEOPLE.len() * 2).div_ceil(PLACES) {
            let rows = self.rows().await.expect("read");
            let ready = rows.iter().filter(|row| row.state == State::Ready);
            let mut asked = Asked::default();
            for row in ready {
                let wish = match row.name.is_default() {
                    true => Wish::Stop,
                    false => Wish::StopNamed,
                };
                let answer = wish.ask(&client, row.user_name.as_str()).await;
                asked.note(wish, row.user_name.as_str(), answer);
            }
            self.history.push("all that runs is stopped".to_owned());
            self.comes_to_rest(&asked).await;
        }
        let left = self
            .before
            .values()
            .filter(|one| one.pid.is_some() || one.waited);
        assert_eq!(left.count(), 0, "somebody never had a turn");
    }

    async fn forget_failures(&self) {
        let mut tx = self.db.write().await.expect("a transaction");
        db::trouble::forget(&mut tx).await.expect("forgotten");
        tx.commit().await.expect("committed");
    }

    /// All rows, if everything is as they say; else what is not.
    async fn look(&self) -> Result<Vec<Server>, String> {
        let rows = self.rows().await.map_err(|error| error.to_string())?;
        let (mut ready, mut waiting) = (BTreeMap::new(), None);
        for row in &rows {
            if row.state == State::Queued {
                waiting = Some(&row.client_id);
            } else if row.state.pending().is_some() {
                return Err(format!("{} is {}", row.client_id, row.state));
            }
            if row.lease_owner.is_some() {
                return Err(format!("{} has a lease in {}", row.client_id, row.state));
            }
            if row.state == State::Failed && row.failure.as_deref().is_none_or(str::is_empty) {
                return Err(format!("{} failed without a word", row.client_id));
            }
            if row.state == State::Ready {
                ready.insert(row.client_id.clone(), row);
            }
        }
        if let Some(waiting) = waiting
            && ready.len() < PLACES
        {
            return Err(format!("{waiting} waits, and {} run", ready.len()));
        }
        let services = self.living_services();
        if services.len() != 1 {
            return Err(format!("of the service there live {services:?}"));
        }
        let living = self.living();
        assert!(living.len() <= PLACES, "{living:?}");
        let clients: BTreeSet<&String> = living.iter().map(|birth| &birth.client).collect();
        if clients.len() != living.len() || !clients.into_iter().eq(ready.keys()) {
            let ready: Vec<_> = ready.keys().collect();
            return Err(format!("ready are {ready:?}, there live {living:?}"));
        }
        for proxy in &self.proxies {
            let client = Client::new(proxy.address()).with_token(TOKEN);
            for person in PEOPLE {
                for name in ["", NAMED] {
                    let runs = |name: &str| {
                        let mut ready = ready.values();
                        ready.any(|row| {
                            row.user_name.as_str() == person && row.name.as_str() == name
                        })
                    };
                    let dash = if name.is_empty() { "" } else { "/" };
                    let path = format!("/user/{person}{dash}{name}/api");
                    let answer = client
                        .dare(Method::GET, &path, &Value::Null, ANSWER)
                        .await
                        .ok_or_else(|| format!("no answer to {path}"))?;
                    let version = serde_json::from_slice::<Value>(&answer.body);
                    let came = answer.status == 200
                        && version.is_ok_and(|answer| answer["version"] == "fake");
                    let is_right = match runs(name) {
                        true => came,
                        // To the default server it is a path like others. A way to where the named one
                        // was would lead to nobody.
                        false if runs("") => !came && answer.status == 200,
                        // The hub sends who looks to where it is explained: no proxy knows a way any
                        // more. One that did would say 503.
                        false => answer.status == 302 && answer.location() == format!("/hub{path}"),
                    };
                    if !is_right {
                        let status = answer.status;
                        return Err(format!("{path} at {}: {status}", proxy.address()));
                    }
                }
            }
        }
        Ok(rows)
    }

    async fn rows(&self) -> Result<Vec<Server>, lyceum_store::DbError> {
        let mut tx = self.db.read().await?;
        let mut rows = Vec::new();
        for state in [
            State::Queued,
            State::Starting,
            State::Ready,
            State::Stopping,
            State::Stopped,
            State::Failed,
        ] {
            rows.extend(db::servers::in_state(&mut tx, state).await?);
        }
        Ok(rows)
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// Says where it was when a round fails.
struct Teller<'a> {
    seed: u64,
    storm: &'a mut Storm,
}

impl Drop for Teller<'_> {
    #[expect(clippy::print_stderr, reason = "for whoever reads why the test failed")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let history = &self.storm.history;
        let from = history.len().saturating_sub(120);
        let log = self.storm.place.site.read("log");
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.len().saturating_sub(150);
        eprintln!(
            "{SEED}={}\n{}\nthe log ends:\n{}",
            self.seed,
            history[from..].join("\n"),
            lines[last..].join("\n")
        );
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let told = std::env::var(name);
    told.map_or(otherwise, |told| told.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_as_the_rows_say_after_any_trouble() {
    let seed = number(SEED, 1);
    let rounds = usize::try_from(number(ROUNDS, 12)).expect("a number");
    let begun = Instant::now();
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut storm = Storm::new(&mut dice).await;
    {
        let teller = Teller {
            seed,
            storm: &mut storm,
        };
        let client = Client::new(teller.storm.proxies[0].address()).with_token(TOKEN);
        until("the proxies know the hubs", async || {
            client.get("/hub/api/user").await.status == 200
        })
        .await;
        until("the service runs", async || {
            teller.storm.living_services().len() == 1
        })
        .await;
        teller.storm.services = teller.storm.place.notes.services().len();
        for person in PEOPLE {
            client
                .post_json(&format!("/hub/api/users/{person}"), &json!({}))
                .await
                .expect(201);
        }
        for round in 0..rounds {
            teller.storm.round(round, &mut dice).await;
            if rounds > 50 && round % 10 == 9 {
                eprintln!("{} rounds, {} s", round + 1, begun.elapsed().as_secs());
            }
        }
        teller.storm.all_go_home().await;
    }
    eprintln!(
        "{rounds} rounds of seed {seed} in {} s: {:?}",
        begun.elapsed().as_secs(),
        storm.figures
    );
}
