//! One trouble at a time for hubs on a real PostgreSQL, at the moment when it hurts most.
//!
//! Many troubles at random: [`crate::storm`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Method;
use lyceum_hub::db::{self, servers::Server};
use lyceum_hub::servers::State;
use lyceum_model::clock::{Clock, Millis};
use lyceum_store::Db;
use lyceum_store::db::Location;
use lyceum_store::migrate::{self, Step};
use lyceum_testkit::postgres::Postgres;
use lyceum_testkit::{Client, Relay, TestDb};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::played::Birth;
use crate::replicas::{Place, Running};
use crate::storm::{CONFIG, TOKEN};

const HOUR: i64 = 3_600_000;

/// Dozens of processes on a slow machine, after a lease has run out.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn client(hub: &Running) -> Client {
    let url = hub.text("hub");
    let address = url.strip_prefix("http://").expect("a URL");
    Client::new(address.parse().expect("an address")).with_token(TOKEN)
}

pub(crate) fn people(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("person{number}")).collect()
}

pub(crate) async fn make(hub: &Running, people: &[String]) {
    let all = json!({ "usernames": people });
    let made = client(hub).post_json("/hub/api/users", &all).await;
    made.expect(201);
}

/// Asks for everybody's server, at these hubs by turns. Nobody waits for the answers.
pub(crate) fn ask_for_servers(hubs: &[&Running], people: &[String]) {
    let clients: Vec<Arc<Client>> = hubs.iter().map(|hub| Arc::new(client(hub))).collect();
    for (number, person) in people.iter().enumerate() {
        let client = clients[number % clients.len()].clone();
        let path = format!("/hub/api/users/{person}/server");
        tokio::spawn(async move {
            let limit = Duration::from_secs(60);
            drop(client.dare(Method::POST, &path, &json!({}), limit).await);
        });
    }
}

pub(crate) async fn rows(db: &Db, state: State) -> Vec<Server> {
    let Ok(mut tx) = db.read().await else {
        return Vec::new();
    };
    let rows = db::servers::in_state(&mut tx, state).await;
    rows.unwrap_or_default()
}

/// Each server runs, in one process that was its first.
fn each_runs_once(place: &Place, count: usize) {
    each_ran_once(place, count);
    assert!(place.notes.servers().iter().all(Birth::is_alive));
}

/// Each server had one process, whether or not it still has.
fn each_ran_once(place: &Place, count: usize) {
    let births = place.notes.servers();
    let clients: BTreeSet<&String> = births.iter().map(|birth| &birth.client).collect();
    assert_eq!((births.len(), clients.len()), (count, count));
    assert_eq!(place.notes.twins(), "");
}

/// Two hubs that were asked for fifty servers, have both begun, and hold those that come up.
async fn in_the_middle_of_fifty_starts(test: &TestDb, place: &Place) -> (Running, Running) {
    let (first, second) = (place.hub("127.0.0.1:0"), place.hub("127.0.0.1:0"));
    let people = people(50);
    make(&first, &people).await;
    place.notes.hold_servers(true);
    ask_for_servers(&[&first, &second], &people);
    until("all are asked for, and both hubs have begun", async || {
        let starting = rows(test.db(), State::Starting).await;
        let owners: BTreeSet<_> = starting.iter().map(|row| &row.lease_owner).collect();
        let queued = rows(test.db(), State::Queued).await.len();
        starting.len() + queued == 50
            && owners.into_iter().flatten().count() == 2
            && place.notes.servers().len() >= 8
    })
    .await;
    (first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_killed_in_the_middle_of_fifty_starts() {
    let test = TestDb::empty_postgres().await;
    let place = Place::on(test.location().clone(), CONFIG);
    let (first, mut second) = in_the_middle_of_fifty_starts(&test, &place).await;
    first.kill();
    place.notes.hold_servers(false);
    until("all fifty are ready", async || {
        rows(test.db(), State::Ready).await.len() == 50
    })
    .await;
    each_runs_once(&place, 50);
    assert_eq!(second.child.try_wait().expect("waited"), None);
}

/// Places that the dead hub had given away are neither lost nor given twice, and the one that is left
/// gives away the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_killed_while_most_of_fifty_starts_wait_for_a_place() {
    const PLACES: usize = 12;
    let test = TestDb::empty_postgres().await;
    // So that neither hub takes all places.
    let limits = format!("  running: {PLACES}\n  concurrent_starts: 8\n");
    let place = Place::on(test.location().clone(), &format!("{limits}{CONFIG}"));
    let (first, mut second) = in_the_middle_of_fifty_starts(&test, &place).await;
    first.kill();
    place.notes.hold_servers(false);
    until("all places are taken", async || {
        rows(test.db(), State::Ready).await.len() == PLACES
    })
    .await;
    // Whoever had a turn makes room for the next.
    let there = client(&second);
    until("everybody had a turn", async || {
        for row in rows(test.db(), State::Ready).await {
            let path = format!("/hub/api/users/{}/server", row.user_name);
            let stopped = there.delete(&path).await.status.as_u16();
            assert!([202, 204].contains(&stopped), "{stopped}");
        }
        place.notes.servers().len() == 50 && rows(test.db(), State::Stopped).await.len() == 50
    })
    .await;
    each_ran_once(&place, 50);
    assert_eq!(place.notes.most_at_once(), PLACES);
    assert_eq!(second.child.try_wait().expect("waited"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_goes_away_in_the_middle_of_starts() {
    let mut postgres = Postgres::start().expect("PostgreSQL");
    let location = Location::Postgres(postgres.url().to_owned());
    let place = Place::on(location.clone(), CONFIG);
    let mut hubs = [place.hub("127.0.0.1:0"), place.hub("127.0.0.1:0")];
    let db = Db::open(&location).await.expect("the database opens");
    let people = people(12);
    make(&hubs[0], &people).await;
    place.notes.hold_servers(true);
    ask_for_servers(&[&hubs[0], &hubs[1]], &people);
    until("servers are coming up", async || {
        place.notes.servers().len() >= 4
            && rows(&db, State::Starting).await.len() + rows(&db, State::Queued).await.len() == 12
    })
    .await;
    // Away while servers are let go, so that nothing can be written down when they answer.
    let away = tokio::task::spawn_blocking(move || {
        let outcome = postgres.restart(Duration::from_secs(2));
        (postgres, outcome)
    });
    place.notes.hold_servers(false);
    let (_postgres, outcome) = away.await.expect("no panic");
    outcome.expect("PostgreSQL comes back");
    until("all are ready", async || {
        rows(&db, State::Ready).await.len() == 12
    })
    .await;
    each_runs_once(&place, 12);
    for hub in &mut hubs {
        assert_eq!(hub.child.try_wait().expect("waited"), None);
        client(hub).get("/hub/api/user").await.expect(200);
    }
}

/// Makes people one after the other, and notes those that the hub says it has made.
async fn write_until_it_fails(client: Client, acknowledged: Arc<Mutex<Vec<String>>>) {
    for number in 0.. {
        let name = format!("another{number}");
        let path = format!("/hub/api/users/{name}");
        let limit = Duration::from_secs(60);
        let made = client.dare(Method::POST, &path, &json!({}), limit).await;
        if made.is_none_or(|made| made.status != 201) {
            return;
        }
        acknowledged.lock().expect("unpoisoned").push(name);
    }
}

/// The database's machine vanishes in the middle of starts, and its standby takes over: no connection
/// ends, nothing is answered any more, and what was acknowledged is at the other.
#[tokio::test(flavor = "multi_thread")]
async fn postgresql_fails_over_in_the_middle_of_starts() {
    let primary = Postgres::start().expect("PostgreSQL");
    let standby = primary.standby().await.expect("a standby");
    let relay = Relay::before(primary.url()).await;
    let through = Location::Postgres(relay.url().to_owned());
    // So that neither hub takes all of them.
    let place = Place::on(through, &format!("  concurrent_starts: 8\n{CONFIG}"));
    let mut hubs = [place.hub("127.0.0.1:0"), place.hub("127.0.0.1:0")];
    let people = people(12);
    make(&hubs[0], &people).await;
    place.notes.hold_servers(true);
    ask_for_servers(&[&hubs[0], &hubs[1]], &people);
    {
        let location = Location::Postgres(primary.url().to_owned());
        let db = Db::open(&location).await.expect("the database opens");
        until("both hubs have begun", async || {
            let starting = rows(&db, State::Starting).await;
            let owners: BTreeSet<_> = starting.iter().map(|row| &row.lease_owner).collect();
            let queued = rows(&db, State::Queued).await.len();
            starting.len() + queued == 12
                && owners.into_iter().flatten().count() == 2
                && place.notes.servers().len() >= 4
        })
        .await;
        db.close().await;
    }
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let writing = tokio::spawn(write_until_it_fails(client(&hubs[0]), acknowledged.clone()));
    until("somebody writes", async || {
        acknowledged.lock().expect("unpoisoned").len() >= 5
    })
    .await;
    relay.vanish();
    tokio::task::spawn_blocking(move || drop(primary))
        .await
        .expect("no panic");
    for hub in &hubs {
        let client = client(hub);
        until("the hub misses it", async || {
            let limit = Duration::from_secs(60);
            let health = client.dare(Method::GET, "/hub/health", &json!(null), limit);
            health.await.is_some_and(|health| health.status == 503)
        })
        .await;
    }
    standby.promote().await.expect("promoted");
    relay.lead_to(standby.url());
    let over = Instant::now();
    // What they say now can be written down only over new connections.
    place.notes.hold_servers(false);
    let location = Location::Postgres(standby.url().to_owned());
    let db = Db::open(&location).await.expect("the database opens");
    until("all are ready", async || {
        rows(&db, State::Ready).await.len() == 12
    })
    .await;
    eprintln!("all were ready {} s later", over.elapsed().as_secs());
    each_runs_once(&place, 12);
    writing.await.expect("no panic");
    let there = client(&hubs[1]);
    let names = std::mem::take(&mut *acknowledged.lock().expect("unpoisoned"));
    for name in names {
        let path = format!("/hub/api/users/{name}");
        there.get(&path).await.expect(200);
    }
    for hub in &mut hubs {
        assert_eq!(hub.child.try_wait().expect("waited"), None);
        client(hub).get("/hub/api/user").await.expect(200);
    }
}

/// What replicas write down and compare is the database's time, whatever the machine's clock shows.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_the_database_is_the_clock_of_all() {
    let test = TestDb::empty_postgres().await;
    lyceum_testkit::db::set_clock(&test, HOUR).await;
    let place = Place::on(test.location().clone(), CONFIG);
    let (first, second) = (place.hub("127.0.0.1:0"), place.hub("127.0.0.1:0"));
    let people = people(2);
    make(&first, &people).await;
    let machine = Clock::system().now();
    for (hub, person) in [(&first, &people[0]), (&second, &people[1])] {
        let path = format!("/hub/api/users/{person}/server");
        drop(client(hub).post_json(&path, &json!({})).await);
        let path = format!("/hub/api/users/{person}");
        let mut started = None;
        until("it is known when it started", async || {
            let model = client(&second).get(&path).await.expect(200).json();
            let told = model["servers"][""]["started"]
                .as_str()
                .map(Millis::from_iso);
            started = told.flatten();
            started.is_some()
        })
        .await;
        let started = started.expect("a time");
        let ahead = started.since(machine);
        assert!(ahead > HOUR / 2 && ahead < 2 * HOUR, "{ahead} ms");
    }
}

/// People who start and stop their servers all the time; each request must be answered as ever.
pub(crate) struct Working {
    stop: CancellationToken,
    people: Vec<JoinHandle<usize>>,
}

impl Working {
    pub(crate) fn at(hub: &Running, people: &[String]) -> Self {
        let stop = CancellationToken::new();
        let work = |person: &String| {
            let (client, stop) = (client(hub), stop.clone());
            let path = format!("/hub/api/users/{person}/server");
            tokio::spawn(async move {
                let mut rounds = 0;
                while !stop.is_cancelled() {
                    // Where it takes long, it is still on its way, or being stopped.
                    let started = client.post_json(&path, &json!({})).await.status.as_u16();
                    assert!([201, 202, 400].contains(&started), "{started}");
                    let stopped = client.delete(&path).await.status.as_u16();
                    assert!([202, 204, 400].contains(&stopped), "{stopped}");
                    client.get("/hub/api/users").await.expect(200);
                    rounds += 1;
                }
                rounds
            })
        };
        let people = people.iter().map(work).collect();
        Self { stop, people }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        for person in self.people {
            assert!(person.await.expect("all was answered") >= 2);
        }
    }
}

/// The steps of a version to come, of which the program under test knows nothing.
pub(crate) fn steps_to_come(more: &[Step]) -> Vec<Step> {
    let copy = |step: &Step| Step {
        version: step.version,
        name: step.name,
        sql: step.sql,
    };
    migrate::STEPS.iter().chain(more).map(copy).collect()
}

pub(crate) const EXPAND: Step = Step {
    version: 9001,
    name: "expand",
    sql: "ALTER TABLE servers ADD COLUMN colour TEXT;\n\
          ALTER TABLE users ADD COLUMN shoes BIGINT NOT NULL DEFAULT 42;\n\
          CREATE TABLE colours (id TEXT PRIMARY KEY, of_server TEXT REFERENCES servers (id) ON DELETE CASCADE);\n\
          CREATE INDEX servers_colour ON servers (colour, name);",
};

const CONTRACT: Step = Step {
    version: 9002,
    name: "contract",
    sql: "-- needs: 9001\nDROP INDEX servers_requested;",
};

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_migrates_while_this_one_serves() {
    let test = TestDb::empty_postgres().await;
    let place = Place::on(test.location().clone(), CONFIG);
    let hub = place.hub("127.0.0.1:0");
    let people = people(4);
    make(&hub, &people).await;
    let working = Working::at(&hub, &people);
    until("everybody works", async || place.notes.servers().len() >= 8).await;
    let newer = test.another().await;
    let steps = steps_to_come(&[EXPAND]);
    assert_eq!(
        migrate::run_steps(&newer, &steps).await.expect("migrated"),
        1
    );
    let births = place.notes.servers().len();
    until("everybody goes on", async || {
        place.notes.servers().len() >= births + 12
    })
    .await;
    working.end().await;
    // One of this version may still be restarted, and join.
    hub.kill();
    let hub = place.hub("127.0.0.1:0");
    until("it starts a server", async || {
        let path = format!("/hub/api/users/{}/server", people[0]);
        drop(client(&hub).post_json(&path, &json!({})).await);
        !rows(test.db(), State::Ready).await.is_empty()
    })
    .await;

    // A release later something goes that this one needs: it is not started any more.
    let steps = steps_to_come(&[EXPAND, CONTRACT]);
    assert_eq!(
        migrate::run_steps(&newer, &steps).await.expect("migrated"),
        1
    );
    let mut command = place.site.command(&[
        "serve",
        "--data",
        "data",
        "--jupyter-env",
        "mine",
        "--listen",
        "127.0.0.1:0",
    ]);
    let Location::Postgres(url) = test.location() else {
        unreachable!("it is on PostgreSQL");
    };
    command
        .env("DATABASE_URL", url)
        .env("LYCEUM_TEST_TOKEN", TOKEN);
    let said = place.site.said(command.output().expect("runs"));
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("9002_contract"), "{}", said.err);
    // What runs was not told; it is replaced by now, and until then it answers.
    client(&hub).get("/hub/api/users").await.expect(200);
}
