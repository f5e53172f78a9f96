//! Numbers by which a file system knows people: told by an institution, said by an administrator, or given out
//! here from a range.
//!
//! Invariant: a uid is one person's for ever. It stays hers when she is renamed and when her account is gone,
//! since her files on disk are that number's; who comes back by the same mark has it again, nobody else does.

use lyceum_model::clock::Millis;
use lyceum_model::digest::hash_secret;
use lyceum_model::identity::{Identity, Subject};
use lyceum_model::posix::{Posix, Told, is_group_name};
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_store::Tx;

use crate::audit::{self, Act, Doer, What};
use crate::db::posix::{self as rows, Known};
use crate::db::users::User;
use crate::{Hub, db};

/// Nobody's files, by the convention of systems, and what some of them take for "no number".
pub const NOBODY: [u32; 3] = [65_534, 65_535, u32::MAX];
/// `users`, the group of everybody on many systems and in many images: worth nothing, though it is low.
const USERS: u32 = 100;
/// More groups than systems take.
const GIDS_MAX: usize = 256;
/// How a number from the range is written down.
const BY_RANGE: &str = "range";

/// What of the configuration concerns them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Out of which they are given to those of whom nobody tells one. `None`: to nobody.
    pub uids: Option<(u32, u32)>,
    /// The group of those of whom nobody tells one.
    pub gid: Option<u32>,
    pub lowest_uid: u32,
    pub lowest_gid: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            uids: None,
            gid: None,
            lowest_uid: 1_000,
            // Lower ones are worth root on many machines: docker, lxd, disk.
            lowest_gid: 1_000,
        }
    }
}

impl Rules {
    /// Why nobody has this number.
    fn refuse_uid(&self, uid: u32) -> Option<NotHers> {
        let is_low = uid == 0 || uid < self.lowest_uid || NOBODY.contains(&uid);
        is_low.then_some(NotHers::Low {
            number: uid,
            lowest: self.lowest_uid,
        })
    }

    pub fn takes_gid(&self, gid: u32) -> bool {
        let is_low = gid == 0 || gid < self.lowest_gid && gid != USERS;
        !is_low && !NOBODY.contains(&gid)
    }

    fn refuse_gid(&self, gid: u32) -> Option<NotHers> {
        (!self.takes_gid(gid)).then_some(NotHers::Low {
            number: gid,
            lowest: self.lowest_gid,
        })
    }
}

/// Why somebody does not get what was told or said.
#[derive(Debug, thiserror::Error)]
pub enum NotHers {
    #[error("{}", self.saying())]
    Low { number: u32, lowest: u32 },
    /// It is somebody else's, or was.
    #[error("{}", self.saying())]
    Taken { uid: u32, name: String },
    #[error("{}", self.saying())]
    Group,
    #[error("{}", self.saying())]
    Many,
    /// All of the range are somebody's.
    #[error("{}", self.saying())]
    NoneLeft,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl NotHers {
    pub fn saying(&self) -> Saying {
        match self {
            Self::Low { number, lowest } => {
                say!(
                    "posix.low",
                    number = number.to_string(),
                    lowest = lowest.to_string()
                )
            }
            Self::Taken { uid, name } => {
                say!("posix.taken", uid = uid.to_string(), name = name.as_str())
            }
            Self::Group => say!("posix.group"),
            Self::Many => say!("posix.many", most = GIDS_MAX),
            Self::NoneLeft => say!("posix.none_left"),
            Self::Database(_) => say!("posix.none_left"),
        }
    }
}

fn mark(subject: &Subject) -> String {
    let text = format!("{}\n{}", subject.issuer, subject.id);
    hash_secret("lyceum posix mark 1", &text)
}

/// That of the one place by which she comes. Of several it is not known which will bring her back.
async fn mark_of(tx: &mut Tx, user: &User) -> sqlx::Result<Option<String>> {
    let marks = db::identities::list(tx, Some(&user.id), 2).await?;
    let [only] = marks.as_slice() else {
        return Ok(None);
    };
    Ok(Some(mark(&Subject {
        issuer: only.issuer.clone(),
        id: only.subject.clone(),
    })))
}

/// A mark was taken from her: who has it does not get her files when she is gone.
pub(crate) async fn forget_mark(tx: &mut Tx, user: &User, subject: &Subject) -> sqlx::Result<()> {
    rows::forget_mark(tx, &user.id, &mark(subject)).await
}

/// Makes a uid hers, if it is nobody else's.
async fn claim(
    tx: &mut Tx,
    uid: u32,
    user: &User,
    mark: Option<&str>,
    by: &str,
    now: Millis,
) -> Result<(), NotHers> {
    rows::claim(tx, uid, user, mark, by, now).await?;
    let Some(owner) = rows::owner(tx, uid).await? else {
        return Err(sqlx::Error::RowNotFound.into());
    };
    if owner.owner == user.id {
        if let Some(mark) = mark {
            rows::set_mark(tx, uid, mark).await?;
        }
        return Ok(());
    }
    let is_gone = db::users::get(tx, &owner.owner).await?.is_none();
    if is_gone && mark.is_some() && owner.mark.as_deref() == mark {
        rows::hand_on(tx, uid, user).await?;
        return Ok(());
    }
    Err(NotHers::Taken {
        uid,
        name: owner.owner_name,
    })
}

/// After a good sign-in: what her institution tells of her. What can't be hers is left out, and told in the log
/// and the audit; she comes in all the same.
pub(crate) async fn follow(
    tx: &mut Tx,
    user: &User,
    identity: &Identity,
    rules: &Rules,
    now: Millis,
) -> sqlx::Result<()> {
    let told = &identity.posix;
    let mark = identity.subject.as_ref().map(mark);
    let before = rows::of(tx, &user.id).await?;
    // Whoever gave her the number: by this she gets it back when her account is made anew.
    if let (Some(known), Some(mark)) = (&before, &mark) {
        rows::set_mark(tx, known.posix.uid, mark).await?;
    }
    if *told == Told::default() {
        return Ok(());
    }
    let uid = match (&before, told.uid) {
        (Some(known), told) => {
            let kept = known.posix.uid;
            if let Some(told) = told.filter(|told| *told != kept) {
                tracing::warn!(user = %user.name, kept, told, "her uid is another one at her sign-in provider; she keeps the first, since her files are that number's. `lyceum user posix` moves her");
            }
            kept
        }
        (None, None) => return Ok(()),
        (None, Some(uid)) => {
            let hers = match rules.refuse_uid(uid) {
                Some(low) => Err(low),
                None => claim(tx, uid, user, mark.as_deref(), "provider", now).await,
            };
            match hers {
                Ok(()) => uid,
                Err(NotHers::Database(error)) => return Err(error),
                Err(why) => return refused(tx, user, uid, &why, now).await,
            }
        }
    };
    if before.as_ref().is_some_and(|known| known.by_hand) {
        return Ok(());
    }
    // What is told besides another uid is that number's.
    if told.uid.is_some_and(|told| told != uid) {
        return Ok(());
    }
    let kept = before.as_ref().map(|known| known.posix.clone());
    let fits = |gid: &u32| rules.takes_gid(*gid);
    let gid = told.gid.filter(fits);
    let told_gids = (told.gids.as_ref()).map(|gids| {
        let mut gids: Vec<u32> = gids.iter().copied().filter(fits).collect();
        gids.sort_unstable();
        gids.dedup();
        gids.truncate(GIDS_MAX);
        gids
    });
    let group = told.group.clone().filter(|group| is_group_name(group));
    // A place that tells numbers and no group says that she is in none.
    let stays = kept.as_ref().filter(|_| told.uid.is_none());
    let posix = Posix {
        uid,
        gid: gid.or(stays.and_then(|kept| kept.gid)),
        group: group.or(stays.and_then(|kept| kept.group.clone())),
        gids: told_gids.or(kept.map(|kept| kept.gids)).unwrap_or_default(),
    };
    if before.as_ref().is_none_or(|known| known.posix != posix) {
        let known = Known {
            posix,
            by_hand: false,
        };
        rows::put(tx, &user.id, &known).await?;
        let nobody = Doer::nobody();
        note(tx, &nobody, user, &known.posix, Some("provider"), now).await?;
    }
    Ok(())
}

async fn refused(
    tx: &mut Tx,
    user: &User,
    uid: u32,
    why: &NotHers,
    now: Millis,
) -> sqlx::Result<()> {
    tracing::warn!(user = %user.name, uid, "the uid that her sign-in provider tells is not given to her: {why}");
    let nobody = Doer::nobody();
    let mut act = Act::new(&nobody, What::PosixRefused)
        .about(user)
        .with("by", "provider")
        .with("uid", uid);
    if let NotHers::Taken { name, .. } = why {
        act = act.with("of", name);
    }
    audit::note(tx, act, now).await
}

async fn note(
    tx: &mut Tx,
    doer: &Doer,
    user: &User,
    posix: &Posix,
    by: Option<&'static str>,
    now: Millis,
) -> sqlx::Result<()> {
    let mut act = Act::new(doer, What::PosixSet)
        .about(user)
        .with("uid", posix.uid);
    if let Some(gid) = posix.gid {
        act = act.with("gid", gid);
    }
    if !posix.gids.is_empty() {
        act = act.with("gids", lyceum_model::posix::list(&posix.gids));
    }
    if let Some(by) = by {
        act = act.with("by", by);
    }
    audit::note(tx, act, now).await
}

/// What an administrator says; nothing: it stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub group: Option<String>,
    pub gids: Option<Vec<u32>>,
}

/// Says somebody's numbers. From then on what is told elsewhere does not change them. Another uid than before
/// is hers besides it: nobody else gets the first.
pub async fn set(
    tx: &mut Tx,
    user: &User,
    wish: &Wish,
    (doer, by): (&Doer, Option<&'static str>),
    rules: &Rules,
    now: Millis,
) -> Result<Posix, NotHers> {
    let before = rows::of(tx, &user.id).await?.map(|known| known.posix);
    let uid = match (wish.uid, &before) {
        (Some(uid), _) => uid,
        (None, Some(before)) => before.uid,
        (None, None) => give(tx, user, rules, now).await?,
    };
    let before = before.as_ref();
    let kept_group = || before.and_then(|one| one.group.clone());
    let posix = Posix {
        uid,
        gid: wish.gid.or(before.and_then(|one| one.gid)),
        group: wish.group.clone().or_else(kept_group),
        gids: (wish.gids.clone())
            .or_else(|| before.map(|one| one.gids.clone()))
            .unwrap_or_default(),
    };
    if before.is_none_or(|before| before.uid != uid)
        && let Some(low) = rules.refuse_uid(uid)
    {
        return Err(low);
    }
    let mut gids = wish.gid.iter().chain(wish.gids.iter().flatten());
    if let Some(low) = gids.find_map(|gid| rules.refuse_gid(*gid)) {
        return Err(low);
    }
    if posix.gids.len() > GIDS_MAX {
        return Err(NotHers::Many);
    }
    if wish.group.as_ref().is_some_and(|name| !is_group_name(name)) {
        return Err(NotHers::Group);
    }
    let mark = mark_of(tx, user).await?;
    claim(tx, uid, user, mark.as_deref(), "administrator", now).await?;
    let known = Known {
        posix,
        by_hand: true,
    };
    rows::put(tx, &user.id, &known).await?;
    note(tx, doer, user, &known.posix, by, now).await?;
    Ok(known.posix)
}

/// The one that she had before her account was deleted.
async fn left(tx: &mut Tx, mark: Option<&str>, rules: &Rules) -> sqlx::Result<Option<u32>> {
    let Some(mark) = mark else {
        return Ok(None);
    };
    let uid = rows::left_by(tx, mark).await?;
    Ok(uid.filter(|uid| rules.refuse_uid(*uid).is_none()))
}

/// The one that she had, or the next of the range.
async fn give(tx: &mut Tx, user: &User, rules: &Rules, now: Millis) -> Result<u32, NotHers> {
    let mark = mark_of(tx, user).await?;
    let mark = mark.as_deref();
    if let Some(uid) = left(tx, mark, rules).await? {
        claim(tx, uid, user, mark, BY_RANGE, now).await?;
        return Ok(uid);
    }
    let (first, last) = rules.uids.ok_or(NotHers::NoneLeft)?;
    loop {
        let uid = rows::free(tx, first, last).await?;
        let uid = uid.ok_or(NotHers::NoneLeft)?;
        if NOBODY.contains(&uid) {
            rows::reserve(tx, uid, now).await?;
            continue;
        }
        match claim(tx, uid, user, mark, BY_RANGE, now).await {
            // Another replica was faster.
            Err(NotHers::Taken { .. }) => {}
            done => return done.map(|()| uid),
        }
    }
}

/// Hers as a server has them, with what the configuration says for all.
pub fn in_force(posix: Posix, rules: &Rules) -> Posix {
    Posix {
        gid: posix.gid.or(rules.gid),
        ..posix
    }
}

/// Hers for a start: from the range, if nobody has told one and there is a range.
pub(crate) async fn for_start(hub: &Hub, user: &User) -> Result<Option<Posix>, NotHers> {
    let settings = hub.settings();
    let rules = &settings.posix;
    let mut tx = hub.db().read().await?;
    if let Some(known) = rows::of(&mut tx, &user.id).await? {
        return Ok(Some(in_force(known.posix, rules)));
    }
    if rules.uids.is_none() {
        let mark = mark_of(&mut tx, user).await?;
        if left(&mut tx, mark.as_deref(), rules).await?.is_none() {
            return Ok(None);
        }
    }
    drop(tx);
    let now = hub.now();
    let mut tx = hub.db().write().await?;
    // Two starts of hers at once wait for each other here.
    db::servers::lock_owner(&mut tx, &user.id).await?;
    if let Some(known) = rows::of(&mut tx, &user.id).await? {
        tx.rollback().await?;
        return Ok(Some(in_force(known.posix, rules)));
    }
    let uid = give(&mut tx, user, rules, now).await?;
    let known = Known {
        posix: Posix {
            uid,
            gid: None,
            group: None,
            gids: Vec::new(),
        },
        by_hand: false,
    };
    rows::put(&mut tx, &user.id, &known).await?;
    let nobody = Doer::nobody();
    note(&mut tx, &nobody, user, &known.posix, Some(BY_RANGE), now).await?;
    tx.commit().await?;
    Ok(Some(in_force(known.posix, rules)))
}
