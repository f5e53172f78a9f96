//! A rolling upgrade: a hub of a version to come joins the one that serves, and either takes up what
//! the other leaves behind.
//!
//! The version to come is this very test program: the same hub with one more step to the shape of the
//! database. What it does to the tables alone, and when this version can't go on: [`crate::faults`].

use std::collections::BTreeSet;
use std::process::Command;

use clap::Parser;
use lyceum::cli::Cli;
use lyceum::compose::Program;
use lyceum_hub::servers::State;
use lyceum_store::{Db, on};
use lyceum_testkit::TestDb;

use crate::faults::{
    EXPAND, Working, ask_for_servers, client, make, people, rows, steps_to_come, until,
};
use crate::harness::Site;
use crate::played::Birth;
use crate::replicas::{Place, Running};
use crate::storm::CONFIG;

/// The arguments of the version to come, one a line.
const ARGS: &str = "LYCEUM_TEST_NEWER_ARGS";

/// What runs the version to come with these arguments.
pub(crate) fn command(site: &Site, args: &[&str]) -> Command {
    let program = std::env::current_exe().expect("we run");
    let test = ["newer::a_version_to_come", "--exact", "--nocapture"];
    let mut command = site.command_of(&program, &test);
    command.env(ARGS, args.join("\n"));
    command
}

/// Not a test by itself: the program as it will be.
#[test]
fn a_version_to_come() {
    let Ok(args) = std::env::var(ARGS) else {
        return;
    };
    let args = ["lyceum"].into_iter().chain(args.lines());
    let cli = Cli::try_parse_from(args).expect("good arguments");
    let lyceum::cli::Command::Serve(serve) = cli.command else {
        panic!("it only serves");
    };
    let keeper = [env!("CARGO_BIN_EXE_lyceum"), "shim"];
    let program = Program {
        steps: steps_to_come(&[EXPAND]).leak(),
        keeper: keeper.map(str::to_owned).to_vec(),
    };
    serve.run_as(program).expect("it served");
}

async fn shape(db: &Db) -> i64 {
    let mut tx = db.read().await.expect("a transaction");
    let newest = on!(tx, |c| sqlx::query_scalar(
        "SELECT MAX(version) FROM schema_steps"
    )
    .fetch_one(c)
    .await);
    newest.expect("the table of steps")
}

/// One hub dies in the middle of starts at both. The other brings all of them up, each once.
async fn dies_in_the_middle(
    place: &Place,
    db: &Db,
    dies: Running,
    stays: &mut Running,
    people: &[String],
) {
    let before = place.notes.servers().len();
    place.notes.hold_servers(true);
    ask_for_servers(&[&dies, &*stays], people);
    until("both have begun, and some wait", async || {
        let starting = rows(db, State::Starting).await;
        let owners: BTreeSet<_> = starting.iter().map(|row| &row.lease_owner).collect();
        let queued = rows(db, State::Queued).await.len();
        starting.len() + queued == people.len()
            && queued > 0
            && owners.into_iter().flatten().count() == 2
            && place.notes.servers().len() >= before + 4
    })
    .await;
    dies.kill();
    place.notes.hold_servers(false);
    until("all are ready", async || {
        rows(db, State::Ready).await.len() == people.len()
    })
    .await;
    let births = place.notes.servers().split_off(before);
    let clients: BTreeSet<&String> = births.iter().map(|birth| &birth.client).collect();
    assert_eq!((births.len(), clients.len()), (people.len(), people.len()));
    assert_eq!(stays.child.try_wait().expect("waited"), None);
    is_as_the_rows_say(place, db).await;
}

/// One process for each ready row, a ready row for each process, and nothing under way. The service has
/// gone on through all of it.
async fn is_as_the_rows_say(place: &Place, db: &Db) {
    for state in [State::Queued, State::Starting, State::Stopping] {
        assert_eq!(rows(db, state).await.len(), 0, "{state}");
    }
    let ready = rows(db, State::Ready).await;
    assert!(ready.iter().all(|row| row.lease_owner.is_none()));
    let ready: BTreeSet<String> = ready.into_iter().map(|row| row.client_id).collect();
    let living = place.notes.servers().into_iter().filter(Birth::is_alive);
    let living: Vec<String> = living.map(|birth| birth.client).collect();
    assert_eq!(living.len(), ready.len());
    assert_eq!(living.into_iter().collect::<BTreeSet<_>>(), ready);
    assert_eq!(place.notes.twins(), "");
    let services = place.notes.services();
    assert_eq!(services.len(), 1, "{services:?}");
    assert!(services.iter().all(Birth::is_alive));
}

async fn stop_all(db: &Db, hub: &Running) {
    let client = client(hub);
    until("all have stopped", async || {
        for row in rows(db, State::Ready).await {
            let path = format!("/hub/api/users/{}/server", row.user_name);
            let stopped = client.delete(&path).await.status.as_u16();
            assert!([202, 204].contains(&stopped), "{stopped}");
        }
        let pending = [
            State::Queued,
            State::Starting,
            State::Ready,
            State::Stopping,
        ];
        let mut left = 0;
        for state in pending {
            left += rows(db, state).await.len();
        }
        left == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_joins_and_each_takes_up_what_the_other_began() {
    let test = TestDb::empty_postgres().await;
    let db = test.db();
    // So few at once at each hub that neither takes all, and some wait for their turn.
    let config = format!("  concurrent_starts: 3\n{CONFIG}");
    let place = Place::on(test.location().clone(), &config).with_service();
    let mut old = place.hub("127.0.0.1:0");
    let people = people(12);
    make(&old, &people).await;
    until("the service runs", async || {
        place.notes.services().len() == 1
    })
    .await;

    // It joins while people work at the one that serves, and nobody notices.
    let at_old = Working::at(&old, &people[..2]);
    until("people work", async || place.notes.servers().len() >= 4).await;
    assert!(shape(db).await < EXPAND.version);
    let newer = place.newer_hub("127.0.0.1:0");
    assert_eq!(shape(db).await, EXPAND.version);
    let at_newer = Working::at(&newer, &people[2..4]);
    let births = place.notes.servers().len();
    until("people work at both", async || {
        place.notes.servers().len() >= births + 20
    })
    .await;
    at_old.end().await;
    at_newer.end().await;
    // What one has started is stopped by the other.
    stop_all(db, &old).await;
    ask_for_servers(&[&newer], &people[..2]);
    until("two are ready", async || {
        rows(db, State::Ready).await.len() == 2
    })
    .await;
    stop_all(db, &old).await;
    is_as_the_rows_say(&place, db).await;

    // The newer one goes down in the middle of it all: the old one, to which its tables are new, goes on.
    dies_in_the_middle(&place, db, newer, &mut old, &people).await;
    stop_all(db, &old).await;

    // And the other way round.
    let mut newer = place.newer_hub("127.0.0.1:0");
    dies_in_the_middle(&place, db, old, &mut newer, &people).await;

    // The upgrade is taken back: the old program starts on the newer tables, and has what runs there.
    let old = place.hub("127.0.0.1:0");
    newer.kill();
    stop_all(db, &old).await;
    ask_for_servers(&[&old], &people[..2]);
    until("two are ready again", async || {
        rows(db, State::Ready).await.len() == 2
    })
    .await;
    is_as_the_rows_say(&place, db).await;
}
