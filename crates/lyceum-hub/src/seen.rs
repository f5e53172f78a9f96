//! Who came lately with which token, or with the session of a password. It is kept for as long as nothing was
//! committed since it was looked up ([`lyceum_store::stamp`]) and the configuration and the courses are the same,
//! so that nobody holds more than a look at them would give. When something was used and how a server's start
//! goes on gives and takes no rights: [`Callers::pass`]. On PostgreSQL what announces something to other
//! replicas comes back as news of its own, so there only the quiet ones of these pass.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use lyceum_model::clock::Millis;
use lyceum_model::name::ServerName;
use lyceum_store::{Stamp, Tx};
use lyceum_web::Caller;

use crate::moment::Moment;

/// How many are kept; then it begins anew.
const MOST: usize = 4096;
/// States of the database that are told to be alike: requests that are under way began at one of
/// the last.
const ALIKE: usize = 16;
/// What is longer is made anew each time.
const LONGEST: usize = 8 * 1024;

/// Somebody who came with a token, or a session.
pub struct Seen {
    pub caller: Caller,
    /// What she was told of herself, and when: without and with the servers at rest.
    told: [Mutex<Option<(Stamp, Bytes)>>; 2],
    /// The id of the server that she asked for last by its owner and name.
    server: Mutex<Option<Asked>>,
}

/// A server, as `(owner's id, name)`, and its id. What gives it another name or takes it away is
/// nothing that callers outlive.
type Asked = ((String, ServerName), String);

/// Somebody who came with a token, and the state of the database from before that was looked up.
#[derive(Clone)]
pub struct Sight {
    pub seen: Arc<Seen>,
    stamp: Option<Stamp>,
}

impl Sight {
    pub fn new(seen: Arc<Seen>, stamp: Option<Stamp>) -> Self {
        Self { seen, stamp }
    }

    /// What she was told before, if nothing at all was committed since.
    pub fn told(&self, stopped: bool) -> Option<Bytes> {
        let told = self.seen.told[usize::from(stopped)].lock();
        let told = told.unwrap_or_else(PoisonError::into_inner);
        let (at, body) = told.as_ref()?;
        (Some(*at) == self.stamp).then(|| body.clone())
    }

    /// The id of a server that is there.
    pub fn server(&self, owner: &str, name: &ServerName) -> Option<String> {
        let server = self.seen.server.lock();
        let server = server.unwrap_or_else(PoisonError::into_inner);
        let ((of, called), id) = server.as_ref()?;
        (of == owner && called == name).then(|| id.clone())
    }

    pub fn know_server(&self, owner: &str, name: &ServerName, id: &str) {
        let server = self.seen.server.lock();
        *server.unwrap_or_else(PoisonError::into_inner) =
            Some(((owner.to_owned(), name.clone()), id.to_owned()));
    }

    pub fn tell(&self, stopped: bool, body: &Bytes) {
        if let Some(stamp) = self.stamp
            && body.len() <= LONGEST
        {
            let told = self.seen.told[usize::from(stopped)].lock();
            *told.unwrap_or_else(PoisonError::into_inner) = Some((stamp, body.clone()));
        }
    }
}

/// What there is to know of a token beside who comes with it.
#[derive(Default)]
pub struct Ticket {
    /// When it ends by itself.
    pub until: Option<i64>,
    /// The id of the server whose own it is.
    pub server: Option<String>,
    /// The client that a person got it through.
    pub client: Option<String>,
}

/// By the hash of the token, or of the session's cookie.
#[derive(Default)]
pub struct Callers(Mutex<Kept>);

impl Ticket {
    fn falls_with(&self, fallen: &Fallen) -> bool {
        self.server.as_ref() == Some(&fallen.server) || self.client.as_ref() == Some(&fallen.client)
    }
}

/// A server's own tokens and those that people got through its client.
#[derive(Clone)]
struct Fallen {
    server: String,
    client: String,
}

/// A state of the database, and what was taken on the way to it from the one before.
struct State {
    stamp: Stamp,
    fallen: Option<Fallen>,
}

/// All of one moment: what was kept of another can never be right again.
#[derive(Default)]
struct Kept {
    /// Its configuration and its courses.
    of: Option<Moment>,
    /// The states of the database that are alike for callers but for what fell, the newest last.
    states: VecDeque<State>,
    /// Something is being committed that gives and takes no rights.
    passing: usize,
    callers: HashMap<String, (Ticket, Arc<Seen>)>,
}

impl Kept {
    fn is_of(&self, moment: &Moment) -> bool {
        let of = self.of.as_ref();
        of.is_some_and(|of| of.is_but_for_rows(moment)) && self.has(moment.stamp())
    }

    fn has(&self, stamp: Stamp) -> bool {
        self.states.iter().any(|state| state.stamp == stamp)
    }

    /// Whether a token that was good at `stamp` was taken since.
    fn fell_since(&self, stamp: Stamp, ticket: &Ticket) -> bool {
        let later = self.states.iter().rev();
        let later = later.take_while(|state| state.stamp != stamp);
        let mut fallen = later.filter_map(|state| state.fallen.as_ref());
        fallen.any(|fallen| ticket.falls_with(fallen))
    }
}

impl Callers {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who came with it before, if the rows, the configuration and the courses are still as they were.
    pub fn find(&self, hash: &str, moment: &Moment, now: Millis) -> Option<Arc<Seen>> {
        let kept = self.lock();
        if !kept.is_of(moment) {
            return None;
        }
        let (ticket, seen) = kept.callers.get(hash)?;
        let lives = ticket.until.is_none_or(|until| until > now.0);
        lives.then(|| Arc::clone(seen))
    }

    /// `moment` is that from before it was looked up who that is; `is_new` says whether it is still now. What
    /// is older takes nobody else's place.
    pub fn keep(
        &self,
        hash: String,
        moment: Option<Moment>,
        is_new: bool,
        ticket: Ticket,
        caller: Caller,
    ) -> Arc<Seen> {
        let seen = Arc::new(Seen {
            caller,
            told: Default::default(),
            server: Mutex::default(),
        });
        let Some(moment) = moment else {
            return seen;
        };
        let stamp = moment.stamp();
        let mut kept = self.lock();
        if !kept.is_of(&moment) || kept.callers.len() >= MOST {
            if kept.passing > 0 || !is_new {
                // It may yet turn out to be a state like that of the others.
                return seen;
            }
            kept.callers.clear();
            let fallen = None;
            kept.states = [State { stamp, fallen }].into();
            kept.of = Some(moment);
        }
        if kept.fell_since(stamp, &ticket) {
            return seen;
        }
        kept.callers.insert(hash, (ticket, Arc::clone(&seen)));
        seen
    }

    /// Commits what gives nobody more or less: whoever was kept stays, if nothing else is committed
    /// at the same time.
    /// `rows`: how many it has changed. With none there is nothing to commit, and nothing by which another's
    /// commit could be told from it.
    pub async fn pass(&self, tx: Tx, rows: u64) -> sqlx::Result<()> {
        match rows {
            0 => tx.rollback().await,
            _ => self.pass_but(tx, None).await,
        }
    }

    /// Commits what takes a server's own tokens and those that people got through its client, and
    /// gives and takes nothing else.
    pub async fn pass_without(&self, tx: Tx, server: &str, client: &str) -> sqlx::Result<()> {
        let fallen = Fallen {
            server: server.to_owned(),
            client: client.to_owned(),
        };
        self.pass_but(tx, Some(fallen)).await
    }

    async fn pass_but(&self, tx: Tx, fallen: Option<Fallen>) -> sqlx::Result<()> {
        self.lock().passing += 1;
        let passing = Passing(self);
        let both = tx.commit_alone().await?;
        let mut kept = self.lock();
        if let Some((before, after)) = both
            && kept.has(before)
            && !kept.has(after)
        {
            if kept.states.len() >= ALIKE {
                kept.states.pop_front();
            }
            if let Some(fallen) = &fallen {
                (kept.callers).retain(|_, (ticket, _)| !ticket.falls_with(fallen));
            }
            let stamp = after;
            kept.states.push_back(State { stamp, fallen });
        }
        drop(kept);
        drop(passing);
        Ok(())
    }
}

/// However the commit ends.
struct Passing<'a>(&'a Callers);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.lock().passing -= 1;
    }
}
