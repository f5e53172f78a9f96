//! Sittings: people come in with a code on paper, once, in one window of time, from some networks.
//!
//! A code is made for an account: a person's own, or a numbered one that is made for the sitting and
//! belongs to a seat. It is not made for a seat alone with a name to be typed beside it: whoever holds any
//! code could then open the home of everybody on the list. So a code says both who and where, one field is
//! all that is typed, and whoever sits at a numbered account is written down on its sheet.
//!
//! What is wrong with a code (used, too early, another network) is said only of one that is ours; all
//! others look alike. The sheets are shown once, when they are made; what is kept is a hash with a key.

mod deeds;
pub mod lines;
pub mod qr;
mod tickets;

use std::collections::BTreeMap;

use lyceum_auth::otp::{Code, CodeKey};
use lyceum_auth::{local, second_factor};
use lyceum_model::clock::Millis;
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_model::network::Network;
use lyceum_model::say;
use lyceum_model::saying::Saying;
use lyceum_model::who::CourseId;
use lyceum_store::{Tx, settings};
use lyceum_web::{Caller, Credential};
use serde::{Deserialize, Serialize};

pub use self::deeds::{By, as_text, ended_by, made_by, removed_by, renewed_by, taken_back_by};
pub use self::lines::{Place, places};
pub use self::tickets::{Ticket, Unfit, look_up};
use crate::audit::{self, Act, What};
use crate::db::sittings::{Code as Row, Sitting as SittingRow};
use crate::db::users::User;
use crate::jobs::revocations;
use crate::{db, users};

/// What sessions that began with a code have as their method; no way in elsewhere can be called so.
pub const METHOD: &str = ":sitting";
/// A sitting is told of at the log-in page so long before it begins.
const SOON_MS: i64 = 3_600_000;
const TITLE_MAX: usize = 120;
pub const LONGEST_MS: i64 = 14 * 24 * 3_600_000;
/// So long after the end the names of numbered accounts are nobody else's: what was written is looked at then.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;
/// The setting that whoever makes a sitting locks.
const MAKING: &str = "sittings-being-made";
const NETWORKS_MAX: usize = 64;
const INVIGILATORS_MAX: usize = 200;
/// In a list of all.
pub const LIST_MAX: i64 = 500;

/// One exam, as it is kept.
#[derive(Debug, Clone)]
pub struct Sitting {
    pub id: String,
    pub title: String,
    pub course: Option<String>,
    pub begins: Millis,
    pub ends: Millis,
    pub networks: Vec<Network>,
    pub invigilators: Vec<Invigilator>,
    pub made_by: String,
}

/// Who looks after a room: an account, whatever it is called by now. Whoever gets the name after her does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invigilator {
    pub id: String,
    /// What she was called when she was named.
    pub name: String,
}

impl From<SittingRow> for Sitting {
    fn from(row: SittingRow) -> Self {
        Self {
            id: row.id,
            title: row.title,
            course: row.course,
            begins: Millis(row.begins_at),
            ends: Millis(row.ends_at),
            networks: networks_of(&row.networks),
            invigilators: serde_json::from_str(&row.invigilators).unwrap_or_default(),
            made_by: row.made_by,
        }
    }
}

/// What is not understood lets nobody in; it must not be as if there were none.
fn networks_of(json: &str) -> Vec<Network> {
    let Ok(texts) = serde_json::from_str::<Vec<String>>(json) else {
        return vec![nowhere()];
    };
    let network = |text: &String| text.parse().unwrap_or_else(|_| nowhere());
    texts.iter().map(network).collect()
}

/// An address that nobody comes from.
fn nowhere() -> Network {
    "255.255.255.255".parse().expect("a network")
}

/// A sitting that is wished for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub title: String,
    pub course: Option<String>,
    pub begins: Millis,
    pub ends: Millis,
    pub networks: Vec<String>,
    pub invigilators: Vec<String>,
    /// One line for each, see [`lines`].
    pub people: String,
}

/// What is wrong with a wish: which field, and why.
#[derive(Debug, Clone)]
pub struct Wrong {
    pub field: &'static str,
    pub why: Saying,
}

impl Wrong {
    pub(crate) fn at(field: &'static str, why: Saying) -> Self {
        Self { field, why }
    }
}

/// A code that was just made, for one sheet.
#[derive(Debug, Clone)]
pub struct Sheet {
    pub place: i64,
    pub seat: String,
    pub who: UserName,
    pub code: Code,
}

/// A wish that passed.
#[derive(Debug, Clone)]
pub struct Checked {
    title: String,
    course: Option<String>,
    begins: Millis,
    ends: Millis,
    networks: Vec<Network>,
    invigilators: Vec<UserName>,
    places: Vec<Place>,
}

impl Wish {
    pub fn check(self, now: Millis) -> Result<Checked, Wrong> {
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        if title.is_empty() || title.chars().count() > TITLE_MAX {
            return Err(Wrong::at("title", say!("sitting.title", most = TITLE_MAX)));
        }
        let course = self.course.as_deref().map(str::trim).unwrap_or_default();
        if !course.is_empty() && CourseId::parse(course).is_none() {
            return Err(Wrong::at("course", say!("sitting.course")));
        }
        if self.ends.0 <= self.begins.0 || self.ends.0 <= now.0 {
            return Err(Wrong::at("ends", say!("sitting.ends")));
        }
        if self.ends.since(self.begins) > LONGEST_MS {
            return Err(Wrong::at("ends", say!("sitting.too_long")));
        }
        let mut networks = Vec::new();
        for text in &self.networks {
            let network: Network = text.parse().map_err(|_| {
                let text: String = text.chars().take(60).collect();
                Wrong::at("networks", say!("sitting.network", text = text))
            })?;
            networks.push(network);
        }
        if networks.len() > NETWORKS_MAX {
            return Err(Wrong::at(
                "networks",
                say!("sitting.too_many", most = NETWORKS_MAX),
            ));
        }
        let mut invigilators = Vec::new();
        for text in &self.invigilators {
            let name = UserName::parse(text).map_err(|_| {
                let text: String = text.chars().take(60).collect();
                Wrong::at("invigilators", say!("sitting.name", text = text))
            })?;
            invigilators.push(name);
        }
        if invigilators.len() > INVIGILATORS_MAX {
            let why = say!("sitting.too_many", most = INVIGILATORS_MAX);
            return Err(Wrong::at("invigilators", why));
        }
        let places = places(&self.people)?;
        // Whoever sits an exam looks after no room: she could give herself more time.
        if let Some(both) = places
            .iter()
            .find(|place| invigilators.contains(&place.who))
        {
            let why = say!("sitting.both", name = both.who.as_str());
            return Err(Wrong::at("invigilators", why));
        }
        Ok(Checked {
            title,
            course: (!course.is_empty()).then(|| course.to_owned()),
            begins: self.begins,
            ends: self.ends,
            networks,
            invigilators,
            places,
        })
    }
}

impl Checked {
    /// For which course it is, if it is for one; that there is such a one is for whoever knows them to see.
    pub fn course(&self) -> Option<CourseId> {
        self.course.as_deref().and_then(CourseId::parse)
    }

    /// Of a course that there is not.
    pub fn no_such_course(id: &CourseId) -> Wrong {
        Wrong::at("course", say!("sitting.no_course", id = id.as_str()))
    }

    /// Who is meant, for whoever has to look whether that may be.
    pub fn names(&self) -> impl Iterator<Item = &UserName> {
        self.places.iter().map(|place| &place.who)
    }
}

/// Makes it, with a code for each place.
pub async fn make(
    tx: &mut Tx,
    key: &CodeKey,
    wish: &Checked,
    by: By<'_>,
    now: Millis,
) -> sqlx::Result<Result<(Sitting, Vec<Sheet>), Wrong>> {
    // Two that are made at once do not take the same names for their accounts.
    settings::lock(tx, MAKING, "", now).await?;
    for place in &wish.places {
        if let Some(why) = misfit(tx, place).await? {
            return Ok(Err(Wrong::at("people", why)));
        }
    }
    let mut invigilators = Vec::new();
    for name in &wish.invigilators {
        let Some(user) = account_of(tx, name, now).await? else {
            let why = say!("sitting.no_account", name = name.as_str());
            return Ok(Err(Wrong::at("invigilators", why)));
        };
        let (id, name) = (user.id, user.name.to_string());
        invigilators.push(Invigilator { id, name });
    }
    let networks: Vec<String> = wish.networks.iter().map(ToString::to_string).collect();
    let row = SittingRow {
        id: new_id(now),
        title: wish.title.clone(),
        course: wish.course.clone(),
        begins_at: wish.begins.0,
        ends_at: wish.ends.0,
        networks: serde_json::json!(networks).to_string(),
        invigilators: serde_json::json!(invigilators).to_string(),
        made_by: by.name().to_owned(),
        created_at: now.0,
    };
    db::sittings::insert(tx, &row).await?;
    let mut sheets = Vec::new();
    for (at, place) in (1..).zip(&wish.places) {
        sheets.push(issue(tx, key, &row.id, at, place, now).await?);
    }
    let act = by.act(What::ExamMade, &row.title);
    audit::note(tx, act.with("codes", sheets.len()), now).await?;
    Ok(Ok((row.into(), sheets)))
}

/// Why there can't be a code for this account.
async fn misfit(tx: &mut Tx, place: &Place) -> sqlx::Result<Option<Saying>> {
    let (who, name) = (&place.who, place.who.as_str());
    let user = db::users::find(tx, who).await?;
    if user.as_ref().is_some_and(|user| user.admin) {
        return Ok(Some(say!("sitting.administrator", name = name)));
    }
    if let Some(user) = &user
        && second_factor::is_on(tx, &user.id).await?
    {
        return Ok(Some(say!("sitting.second_step", name = name)));
    }
    let is_there = user.is_some() || local::is_there(tx, who).await?;
    if place.is_numbered {
        let is_taken = is_there || db::sittings::is_named(tx, name).await?;
        return Ok(is_taken.then(|| say!("sitting.numbered_taken", name = name)));
    }
    // A code would make an account that nothing leads to, and her way in might not give her that later.
    Ok((!is_there).then(|| say!("sitting.no_account", name = name)))
}

/// Somebody's account. Whoever has but a password here has one from now on.
async fn account_of(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<Option<User>> {
    if let Some(user) = db::users::find(tx, name).await? {
        return Ok(Some(user));
    }
    match local::is_there(tx, name).await? {
        true => users::ensure(tx, name, now).await.map(Some),
        false => Ok(None),
    }
}

/// Whether an account of this name is an exam's own, now or lately: it is given to nobody who comes another way.
pub async fn keeps(tx: &mut Tx, name: &UserName, now: Millis) -> sqlx::Result<bool> {
    db::sittings::is_numbered(tx, name.as_str(), now.plus(-KEPT_MS).0).await
}

/// Whether a code let in whoever calls: what such a one gets for herself ends with the exam. A token of a
/// session counts as that session.
pub async fn let_in(tx: &mut Tx, caller: &Caller) -> sqlx::Result<bool> {
    let session = match &caller.credential {
        Credential::Session { id, .. } => Some(id),
        Credential::Token { session_id, .. } => session_id.as_ref(),
    };
    let Some(session) = session else {
        return Ok(false);
    };
    // Also when its time is over: its tokens go a moment later.
    let session = db::sessions::by_id(tx, session, i64::MIN).await?;
    let method = session.and_then(|session| session.method);
    Ok(method.as_deref() == Some(METHOD))
}

async fn issue(
    tx: &mut Tx,
    key: &CodeKey,
    sitting: &str,
    at: i64,
    place: &Place,
    now: Millis,
) -> sqlx::Result<Sheet> {
    let code = Code::new();
    let row = Row {
        id: new_id(now),
        sitting_id: sitting.to_owned(),
        place: at,
        seat: place.seat.clone(),
        user_name: place.who.to_string(),
        is_numbered: place.is_numbered,
        network: place.network.map(|network| network.to_string()),
        hash: key.hash(&code),
        made_at: now.0,
        used_at: None,
        used_address: None,
        session_id: None,
        revoked_at: None,
    };
    db::sittings::insert_code(tx, &row).await?;
    Ok(Sheet {
        place: at,
        seat: place.seat.clone(),
        who: place.who.clone(),
        code,
    })
}

/// The newest code of each place, in their order.
pub async fn now_at(tx: &mut Tx, sitting: &str) -> sqlx::Result<Vec<Row>> {
    let all = db::sittings::codes_of(tx, sitting).await?;
    let newest: BTreeMap<i64, Row> = all.into_iter().map(|row| (row.place, row)).collect();
    Ok(newest.into_values().collect())
}

/// Which places get new codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    One(i64),
    /// All where nobody has come yet.
    Unused,
}

/// Why something can't be done to a sitting, or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotNow {
    Gone,
    /// It is over, and whoever asks makes none.
    Over,
    /// The end does not fit the beginning.
    End,
}

/// The sitting as it is, held until the transaction ends, if it is this one's to change. Who only looks after a
/// room does so until the end.
async fn held(
    tx: &mut Tx,
    sitting: &str,
    by: By<'_>,
    now: Millis,
) -> sqlx::Result<Result<SittingRow, NotNow>> {
    Ok(match db::sittings::hold(tx, sitting).await? {
        None => Err(NotNow::Gone),
        Some(row) if now.0 >= row.ends_at && !by.is_maker => Err(NotNow::Over),
        Some(row) => Ok(row),
    })
}

/// New codes; those before die. A session that one of them began ends.
pub async fn renew(
    tx: &mut Tx,
    key: &CodeKey,
    sitting: &str,
    which: Which,
    by: By<'_>,
    now: Millis,
) -> sqlx::Result<Result<Vec<Sheet>, NotNow>> {
    let held = match held(tx, sitting, by, now).await? {
        Ok(held) => held,
        Err(why) => return Ok(Err(why)),
    };
    let mut sheets = Vec::new();
    for row in now_at(tx, sitting).await? {
        let is_meant = match which {
            Which::One(place) => row.place == place,
            Which::Unused => row.used_at.is_none(),
        };
        let Ok(who) = UserName::parse(&row.user_name) else {
            continue;
        };
        if !is_meant {
            continue;
        }
        revoke(tx, sitting, row.place, now).await?;
        let place = Place {
            who,
            seat: row.seat,
            network: row
                .network
                .map(|text| text.parse().unwrap_or_else(|_| nowhere())),
            is_numbered: row.is_numbered,
        };
        sheets.push(issue(tx, key, sitting, row.place, &place, now).await?);
    }
    for sheet in &sheets {
        let act = by.act(What::ExamCodeMade, &held.title);
        about(tx, act, &sheet.who, &sheet.seat, now).await?;
    }
    Ok(Ok(sheets))
}

/// The code of a place is good no more, and the session that it began ends. Tells whether it was good.
pub async fn take_back(
    tx: &mut Tx,
    sitting: &str,
    place: i64,
    by: By<'_>,
    now: Millis,
) -> sqlx::Result<bool> {
    let Some(held) = db::sittings::hold(tx, sitting).await? else {
        return Ok(false);
    };
    let rows = now_at(tx, sitting).await?;
    let was = revoke(tx, sitting, place, now).await?;
    let row = rows.into_iter().find(|row| row.place == place);
    let who = (row.as_ref()).and_then(|row| UserName::parse(&row.user_name).ok());
    if let (Some(row), Some(who)) = (row, who) {
        let act = by.act(What::ExamCodeWithdrawn, &held.title);
        about(tx, act, &who, &row.seat, now).await?;
    }
    Ok(was)
}

/// Writes down what was done to a place, with whose account it is.
async fn about(
    tx: &mut Tx,
    act: Act<'_>,
    who: &UserName,
    seat: &str,
    now: Millis,
) -> sqlx::Result<()> {
    let user = db::users::find(tx, who).await?;
    let act = match seat.is_empty() {
        true => act,
        false => act.with("seat", seat),
    };
    match &user {
        Some(user) => audit::note(tx, act.about(user), now).await,
        // A numbered one is made when somebody comes.
        None => audit::note(tx, act.with("account", who), now).await,
    }
}

/// As [`take_back`], of a sitting that is held: whoever was using the code has written her session down by now.
async fn revoke(tx: &mut Tx, sitting: &str, place: i64, now: Millis) -> sqlx::Result<bool> {
    let was = db::sittings::revoke(tx, sitting, place, now.0).await?;
    let rows = db::sittings::codes_of(tx, sitting).await?;
    for row in rows.iter().filter(|row| row.place == place) {
        end_session(tx, row, now).await?;
    }
    Ok(was)
}

/// Whose it is the session says: she may be called otherwise than on the sheet by now.
async fn end_session(tx: &mut Tx, row: &Row, now: Millis) -> sqlx::Result<()> {
    let Some(session) = &row.session_id else {
        return Ok(());
    };
    let Some((user_id, name)) = db::sittings::owner_of(tx, session).await? else {
        return Ok(());
    };
    if db::sessions::end(tx, session, &user_id).await? {
        let fallen = std::slice::from_ref(session);
        revocations::announce_fallen(tx, &name, fallen, now).await?;
    }
    Ok(())
}

/// It goes on until another moment; sessions that are going on do so, too.
pub async fn set_end(
    tx: &mut Tx,
    sitting: &str,
    ends: Millis,
    by: By<'_>,
    now: Millis,
) -> sqlx::Result<Result<(), NotNow>> {
    let row = match held(tx, sitting, by, now).await? {
        Ok(row) => row,
        Err(why) => return Ok(Err(why)),
    };
    if ends.0 <= row.begins_at || ends.since(Millis(row.begins_at)) > LONGEST_MS {
        return Ok(Err(NotNow::End));
    }
    db::sittings::set_end(tx, sitting, ends.0).await?;
    match ends.0 <= now.0 {
        // Over at once: those who are in are not in any more.
        true => end_sessions(tx, sitting, now).await?,
        false => db::sittings::set_end_of_sessions(tx, sitting, ends.0).await?,
    }
    let act = by.act(What::ExamEndMoved, &row.title);
    audit::note(tx, act.with("ends", ends.to_iso()), now).await?;
    Ok(Ok(()))
}

async fn end_sessions(tx: &mut Tx, sitting: &str, now: Millis) -> sqlx::Result<()> {
    for row in db::sittings::codes_of(tx, sitting).await? {
        end_session(tx, &row, now).await?;
    }
    Ok(())
}

/// Forgets it, its codes and the sessions they began.
pub async fn remove(tx: &mut Tx, sitting: &str, by: By<'_>, now: Millis) -> sqlx::Result<bool> {
    let Some(held) = db::sittings::hold(tx, sitting).await? else {
        return Ok(false);
    };
    end_sessions(tx, sitting, now).await?;
    audit::note(tx, by.act(What::ExamRemoved, &held.title), now).await?;
    db::sittings::delete(tx, sitting).await
}

/// Closes what sessions have open whose time is over, before they are cleared away.
pub async fn close_over(tx: &mut Tx, now: Millis) -> sqlx::Result<()> {
    for (name, session) in db::sittings::sessions_over(tx, METHOD, now.0).await? {
        revocations::announce_fallen(tx, &name, &[session], now).await?;
    }
    Ok(())
}

/// Those that are not over and that this account looks after, the earliest first.
pub async fn looked_after_by(
    tx: &mut Tx,
    user_id: &str,
    now: Millis,
) -> sqlx::Result<Vec<Sitting>> {
    let all = db::sittings::not_over(tx, now.0, LIST_MAX).await?;
    let all = all.into_iter().map(Sitting::from);
    let is_hers = |one: &Sitting| one.invigilators.iter().any(|who| who.id == user_id);
    Ok(all.filter(is_hers).collect())
}

/// Whether one goes on, or begins soon.
pub async fn are_near(tx: &mut Tx, now: Millis) -> sqlx::Result<bool> {
    db::sittings::is_one_between(tx, now.0, now.plus(SOON_MS).0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            title: " Signals  and Systems ".into(),
            course: Some("signals".into()),
            begins: Millis(1_000),
            ends: Millis(2_000),
            networks: vec!["10.0.5.0/24".into()],
            invigilators: vec!["Ivy".into()],
            people: "ada, 17\nben".into(),
        }
    }

    #[test]
    fn networks_that_are_not_understood_let_nobody_in() {
        let check = |json: &str, expect: &[&str]| {
            let shown: Vec<String> = networks_of(json).iter().map(ToString::to_string).collect();
            assert_eq!(shown, expect, "{json}");
        };
        check("[]", &[]);
        check(r#"["10.0.5.0/24"]"#, &["10.0.5.0/24"]);
        let nowhere = nowhere().to_string();
        for odd in ["", "{", r#"{"a": 1}"#, r#"["?"]"#] {
            check(odd, &[&nowhere]);
        }
    }

    #[test]
    fn what_is_wrong_with_a_wish_is_told_at_its_field() {
        let check = |change: &dyn Fn(&mut Wish), field: &str| {
            let mut wish = wish();
            change(&mut wish);
            let wrong = wish.check(Millis(0)).expect_err(field);
            assert_eq!(wrong.field, field);
        };
        let good = wish().check(Millis(0)).expect("a good one");
        assert_eq!(good.title, "Signals and Systems");
        assert_eq!(good.names().count(), 2);
        check(&|wish| wish.title = " ".into(), "title");
        check(&|wish| wish.title = "x".repeat(121), "title");
        check(&|wish| wish.course = Some("../x".into()), "course");
        check(&|wish| wish.ends = Millis(1_000), "ends");
        check(
            &|wish| (wish.begins, wish.ends) = (Millis(-9), Millis(0)),
            "ends",
        );
        check(&|wish| wish.ends = Millis(LONGEST_MS + 1_001), "ends");
        check(&|wish| wish.networks = vec!["room 5".into()], "networks");
        check(
            &|wish| wish.invigilators = vec!["no body".into()],
            "invigilators",
        );
        check(&|wish| wish.people = String::new(), "people");
    }

    #[test]
    fn whoever_takes_part_looks_after_no_room() {
        let both = Wish {
            invigilators: vec!["ben".into()],
            ..wish()
        };
        let wrong = both
            .check(Millis(0))
            .expect_err("she would give herself time");
        assert_eq!(wrong.field, "invigilators");
        assert!(wish().check(Millis(0)).is_ok());
    }
}
