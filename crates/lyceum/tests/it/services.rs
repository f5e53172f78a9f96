//! Services that the hub runs, where there are two hubs: who looks after them while one takes long.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lyceum_hub::grants::{Managed, Service};
use lyceum_hub::jobs::managed::Services;
use lyceum_hub::{Settings, db};
use lyceum_model::clock::Clock;
use lyceum_spawn::local::{LocalConfig, LocalSpawner};
use lyceum_testkit::fake::FakeSpawner;
use lyceum_testkit::{TestDb, TestHub};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::PATIENCE;

/// So long that a hub which is kept waiting for the processor does not lose it.
const LEASE: Duration = Duration::from_secs(6);
/// Notes its start and that it was asked to end, and does so once it may.
const STUBBORN: &str = r#"
trap '' INT
trap 'told=1; echo "told $0 $WORD" >> notes' TERM
echo "start $0 $WORD" >> notes
while [ -e notes ] && { [ -z "$told" ] || [ -e "closed-$0" ]; }; do sleep 0.05; done
[ -e notes ] && echo "end $0 $WORD" >> notes
"#;

/// One of two hubs.
struct Replica {
    hub: TestHub,
    shutdown: CancellationToken,
    services: JoinHandle<()>,
}

impl Replica {
    async fn start(db: &TestDb, place: &Place) -> Self {
        let begin = TestHub::start_tuned(db.db().clone(), FakeSpawner::default(), |_, timings| {
            timings.lease = LEASE;
            timings.stop_limit = PATIENCE * 2;
        });
        let hub = begin.await;
        let spawner = Arc::new(place.spawner());
        let services = Services::new(hub.hub.clone(), spawner, Vec::new(), [7; 32]);
        let shutdown = CancellationToken::new();
        let services = tokio::spawn(services.run(shutdown.clone()));
        Self {
            hub,
            shutdown,
            services,
        }
    }

    /// Services by name, each with the word that makes its order.
    async fn configure(&self, place: &Place, services: &[(&str, &str)]) {
        let services = services
            .iter()
            .map(|(name, word)| (*name, place.managed(name, word)));
        self.configure_as(services.collect()).await;
    }

    async fn configure_as(&self, services: Vec<(&str, Managed)>) {
        let mut settings = Settings::clone(&self.hub.hub.settings());
        let services = services.into_iter().map(|(name, managed)| {
            let service = Service {
                client_id: format!("service-{name}"),
                managed: Some(managed),
                ..Service::default()
            };
            (name.to_owned(), service)
        });
        settings.grants.services = services.collect();
        self.hub.hub.reload(settings).await;
    }

    fn api_url(&self) -> String {
        self.hub.hub.settings().api_url.clone()
    }

    /// As a hub that dies: its services go on, and its leases run out.
    async fn kill(self) {
        self.services.abort();
        drop(self.services.await);
        self.hub.kill().await;
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.services).await;
        ended.expect("it ends").expect("it does not panic");
        self.hub.stop().await;
    }
}

/// The machine that both hubs are on. Services end when it goes.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn spawner(&self) -> LocalSpawner {
        let shim = vec![env!("CARGO_BIN_EXE_lyceum").to_owned(), "shim".to_owned()];
        let (run, homes) = (self.path().join("run"), self.path().join("homes"));
        let mut config = LocalConfig::new(shim, run, homes);
        config.inherited = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        config.interrupt = Duration::ZERO;
        // Nobody is killed here for taking long.
        config.term = PATIENCE;
        LocalSpawner::new(config).expect("a spawner")
    }

    fn managed(&self, name: &str, word: &str) -> Managed {
        Managed {
            command: ["sh", "-c", STUBBORN, name].map(str::to_owned).to_vec(),
            // Of a service whose order is the same at both hubs, as where `hub.api_url` is configured.
            environment: [("WORD", word), ("JUPYTERHUB_API_URL", "http://127.0.0.1:9")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            folder: Some(self.path().to_str().expect("text").to_owned()),
            ..Managed::default()
        }
    }

    /// One that is told where the API of the hub is that starts it, and notes that as its word.
    fn managed_by_whoever_has_it(&self, name: &str) -> Managed {
        let story = format!("WORD=$JUPYTERHUB_API_URL\n{STUBBORN}");
        Managed {
            command: ["sh", "-c", &story, name].map(str::to_owned).to_vec(),
            environment: Default::default(),
            ..self.managed(name, "")
        }
    }

    /// It takes long to end from here on.
    fn hold(&self, name: &str) {
        std::fs::write(self.path().join(format!("closed-{name}")), "").expect("written");
    }

    fn let_go(&self, name: &str) {
        std::fs::remove_file(self.path().join(format!("closed-{name}"))).expect("removed");
    }

    /// What services of this name have noted.
    fn notes(&self, name: &str) -> Vec<String> {
        let notes = std::fs::read_to_string(self.path().join("notes")).unwrap_or_default();
        let lines = notes.lines().filter_map(|line| {
            let (what, rest) = line.split_once(' ')?;
            let (whose, word) = rest.split_once(' ')?;
            (whose == name).then(|| format!("{what} {word}"))
        });
        lines.collect()
    }

    async fn until_noted(&self, name: &str, expect: &[&str]) {
        let began = Instant::now();
        while self.notes(name) != expect {
            let notes = self.notes(name);
            assert!(
                began.elapsed() < PATIENCE,
                "{expect:?} is not yet {notes:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Who has the lease of a service, and until when.
async fn lease(db: &TestDb, name: &str) -> (String, i64) {
    let mut tx = db.db().read().await.expect("a transaction");
    let rows = db::managed::all(&mut tx).await.expect("read");
    let row = rows.into_iter().find(|row| row.name == name);
    let row = row.expect("a row");
    let owner = row.lease_owner.unwrap_or_default();
    (owner, row.lease_until.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_long_to_stop_stays_with_whoever_stops_it() {
    let db = TestDb::postgres().await;
    let place = Place::new();
    let first = Replica::start(&db, &place).await;
    place.hold("slow");
    first.configure(&place, &[("slow", "one")]).await;
    place.until_noted("slow", &["start one"]).await;
    let owner = first.hub.hub.replica().to_owned();
    assert_eq!(lease(&db, "slow").await.0, owner);

    // The other one looks after services too: by one of its own it is seen that it does.
    let second = Replica::start(&db, &place).await;
    let both = [("slow", "one"), ("quick", "1")];
    second.configure(&place, &both).await;
    place.until_noted("quick", &["start 1"]).await;

    // Now both are to start it anew. Whoever has its lease asks it to end, and waits.
    first
        .configure(&place, &[("slow", "two"), ("quick", "1")])
        .await;
    let asked = ["start one", "told one"];
    place.until_noted("slow", &asked).await;
    let (_, ends) = lease(&db, "slow").await;
    let (mut round, mut quick) = (1, vec!["start 1".to_owned()]);
    // The other one makes whole rounds, the last of them when a lease that nobody had renewed would
    // have been over.
    loop {
        round += 1;
        let is_over = Clock::system().now().0 > ends;
        let word = round.to_string();
        second
            .configure(&place, &[("slow", "two"), ("quick", &word)])
            .await;
        let before = round - 1;
        quick.extend([format!("told {before}"), format!("end {before}")]);
        quick.push(format!("start {word}"));
        let expect: Vec<&str> = quick.iter().map(String::as_str).collect();
        place.until_noted("quick", &expect).await;
        let (has_it, until) = lease(&db, "slow").await;
        assert_eq!(has_it, owner, "it went to another in round {round}");
        assert_eq!(place.notes("slow"), asked);
        if is_over {
            assert!(until > ends, "it was renewed");
            break;
        }
    }

    // Once it has ended, the one who waited starts it; one runs and not two.
    place.let_go("slow");
    let anew = ["start one", "told one", "end one", "start two"];
    place.until_noted("slow", &anew).await;
    assert_eq!(lease(&db, "slow").await.0, owner);
    for replica in [first, second] {
        replica.stop().await;
    }
    // Whoever ends first hands it to the other; at no time are there two.
    let notes = place.notes("slow");
    for (at, note) in notes.iter().enumerate() {
        let expect = ["start", "told", "end"][at % 3];
        assert!(note.starts_with(expect), "{notes:?}");
    }
}

/// Of a hub that died the other one takes up what runs. It goes on as it is if it can reach the API as
/// before; else what it knows is a hub that is no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_a_dead_hub_is_started_anew_only_where_it_knows_no_other() {
    let db = TestDb::postgres().await;
    let place = Place::new();
    let services = || {
        vec![
            ("stays", place.managed("stays", "one")),
            ("moves", place.managed_by_whoever_has_it("moves")),
        ]
    };
    let first = Replica::start(&db, &place).await;
    first.configure_as(services()).await;
    let (before, started) = (first.api_url(), |url: &str| format!("start {url}"));
    place.until_noted("stays", &["start one"]).await;
    place.until_noted("moves", &[&started(&before)]).await;
    let second = Replica::start(&db, &place).await;
    second.configure_as(services()).await;
    first.kill().await;

    let after = second.api_url();
    let (told, end) = (format!("told {before}"), format!("end {before}"));
    let moved = [started(&before), told, end, started(&after)];
    let moved: Vec<&str> = moved.iter().map(String::as_str).collect();
    place.until_noted("moves", &moved).await;
    let owner = second.hub.hub.replica().to_owned();
    let began = Instant::now();
    while lease(&db, "stays").await.0 != owner {
        assert!(began.elapsed() < PATIENCE, "nobody took it up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Whole rounds with both: what is told by the last has come after it was looked at.
    let third = [services(), vec![("quick", place.managed("quick", "1"))]].concat();
    second.configure_as(third).await;
    place.until_noted("quick", &["start 1"]).await;
    assert_eq!(place.notes("stays"), ["start one"]);
    assert_eq!(place.notes("moves"), moved);
    second.stop().await;
}
