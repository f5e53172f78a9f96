//! What the hubs of the stories start: this very test program, told by variables to play a notebook
//! server or a service. Whoever plays one notes that it is there, and who was there already.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lyceum_testkit::fake::{Manner, NotebookServer};

/// Names the process of the story; what is played ends with it.
const PLAY: &str = "LYCEUM_TEST_PLAYS_FOR";
/// Names the folder where they note their starts, and where servers wait for a file `closed` to go.
const NOTES: &str = "LYCEUM_TEST_NOTES";

const SERVERS: &str = "starts";
const SERVICES: &str = "services";
const TWINS: &str = "twins";
const CROWDS: &str = "crowds";

/// The command that plays this, for a configuration.
pub(crate) fn command(what: &str) -> String {
    let program = std::env::current_exe().expect("we run");
    format!("[{program:?}, \"played::{what}\", \"--exact\", \"--nocapture\"]")
}

/// A played one, as it noted itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) pid: i32,
    /// In ticks since the machine's start: numbers of processes come back.
    began: u64,
    pub(crate) client: String,
}

impl Birth {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            pid: words.next()?.parse().ok()?,
            began: words.next()?.parse().ok()?,
            client: words.next()?.to_owned(),
        })
    }

    fn of(pid: i32) -> Option<(u64, char)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let state = words.next()?.chars().next()?;
        Some((words.nth(18)?.parse().ok()?, state))
    }

    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|(began, state)| began == self.began && state != 'Z')
    }
}

/// The folder where all that is played in a story notes what it sees.
pub(crate) struct Notes(PathBuf);

impl Notes {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// What is to be told to those who play, for a configuration.
    pub(crate) fn environment(&self) -> String {
        format!("{PLAY}: \"{}\", {NOTES}: {:?}", std::process::id(), self.0)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    fn births(&self, name: &str) -> Vec<Birth> {
        let lines = self.read(name);
        lines.lines().filter_map(Birth::parse).collect()
    }

    /// All starts of servers there have been.
    pub(crate) fn servers(&self) -> Vec<Birth> {
        self.births(SERVERS)
    }

    /// All starts of services there have been.
    pub(crate) fn services(&self) -> Vec<Birth> {
        self.births(SERVICES)
    }

    /// Those that came up while another of theirs was still there.
    pub(crate) fn twins(&self) -> String {
        self.read(TWINS)
    }

    /// As many servers were there at a time, told by each that came.
    pub(crate) fn most_at_once(&self) -> usize {
        let crowds = self.read(CROWDS);
        let counts = crowds.lines().map(|line| line.parse().expect("a number"));
        counts.max().unwrap_or_default()
    }

    /// Servers that start from here on come up, but answer only when they are let.
    pub(crate) fn hold_servers(&self, held: bool) {
        let closed = self.0.join("closed");
        match held {
            true => std::fs::write(closed, "").expect("written"),
            false => std::fs::remove_file(closed).expect("removed"),
        }
    }

    fn add(&self, name: &str, line: &str) {
        let mut file = std::fs::OpenOptions::new();
        let file = file.create(true).append(true).open(self.0.join(name));
        file.and_then(|mut file| {
            std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes())
        })
        .expect("noted");
    }

    /// Writes down that this process is one of these; gives those who are there, itself among them.
    fn note(&self, name: &str, client: &str) -> Vec<Birth> {
        let pid = i32::try_from(std::process::id()).expect("a small number");
        let (began, _) = Birth::of(pid).expect("we live");
        self.add(name, &format!("{pid} {began} {client}"));
        let mut there = self.births(name);
        there.retain(Birth::is_alive);
        for other in &there {
            if other.client == client && other.pid != pid {
                self.add(TWINS, &format!("{client}: {pid} beside {}", other.pid));
            }
        }
        there
    }
}

/// The story for which this process plays, and its notes; nothing where it is a test like others.
fn part() -> Option<(PathBuf, Notes)> {
    let story = std::env::var(PLAY).ok()?;
    let notes = Notes(told(NOTES).into());
    Some((Path::new("/proc").join(story), notes))
}

fn told(name: &str) -> String {
    std::env::var(name).expect("told by the hub")
}

/// Not a test by itself: the server of whoever starts one.
#[tokio::test(flavor = "multi_thread")]
async fn a_notebook_server() {
    let Some((story, notes)) = part() else {
        return;
    };
    let there = notes.note(SERVERS, &told("JUPYTERHUB_CLIENT_ID"));
    notes.add(CROWDS, &there.len().to_string());
    // Whatever becomes of the story, its servers end with it.
    while story.exists() && notes.0.join("closed").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let url = told("JUPYTERHUB_SERVICE_URL");
    let (_, rest) = url.split_once("://").expect("a URL");
    let listener = tokio::net::TcpListener::bind(rest.split('/').next().expect("an address"))
        .await
        .expect("the port we were given");
    let user = told("JUPYTERHUB_USER");
    let hub = lyceum_testkit::fake::hub_env(&user, &told("JUPYTERHUB_SERVICE_PREFIX"));
    let _server = NotebookServer::start_on(listener, hub, Manner::Answers, Default::default())
        .expect("it serves");
    while story.exists() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Not a test by itself: a service that hubs run.
#[tokio::test]
async fn a_service() {
    let Some((story, notes)) = part() else {
        return;
    };
    notes.note(SERVICES, &told("JUPYTERHUB_SERVICE_NAME"));
    while story.exists() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
