//! A course of the exchange: it is there because a course file describes it, or because it was made
//! by request, or both. Who is what in it follows from both; [`crate::people`] has the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lyceum_courses::{Course as CourseFile, CourseId, Visibility, Who};
use lyceum_model::id::new_id;
use lyceum_model::name::UserName;
use lyceum_model::who::CourseRole;
use lyceum_store::Tx;
use lyceum_web::Person;

use crate::db::people::Row;
use crate::names::Name;
use crate::people::{self, Added, Standing};
use crate::{Exchange, db, removal};

pub struct Course {
    pub name: Name,
    /// None: nobody wrote anything here yet.
    row: Option<db::courses::Row>,
    pub file: Option<Arc<CourseFile>>,
    /// There is a file, which could never be read.
    pub is_unclear: bool,
}

/// Somebody in a course, with what she is called there.
#[derive(Debug, Clone, Default)]
pub struct Member {
    pub standing: Standing,
    /// What the file says, also while it hides the course from her.
    pub in_file: Option<CourseRole>,
    /// The file keeps her from taking the course.
    pub is_blocked: bool,
    pub called: Row,
}

impl Course {
    pub async fn find(exchange: &Exchange, tx: &mut Tx, name: &Name) -> sqlx::Result<Option<Self>> {
        let course = Self::look(exchange, tx, name).await?;
        let is_there = course.file.is_some() || course.is_made();
        Ok(is_there.then_some(course))
    }

    async fn look(exchange: &Exchange, tx: &mut Tx, name: &Name) -> sqlx::Result<Self> {
        let id = CourseId::parse(name.as_str());
        Ok(Self {
            name: name.clone(),
            row: db::courses::find(tx, name.as_str()).await?,
            is_unclear: id
                .as_ref()
                .is_some_and(|id| exchange.shelf().is_unclear(id)),
            file: id.and_then(|id| exchange.shelf().course(&id)),
        })
    }

    /// Makes one; none if it is there already.
    pub async fn make(exchange: &Exchange, tx: &mut Tx, name: &Name) -> sqlx::Result<Option<Self>> {
        let mut course = Self::look(exchange, tx, name).await?;
        if course.file.is_some() {
            return Ok(None);
        }
        if course.is_made() {
            return Ok(None);
        }
        // What a file's course of this name left behind is no part of this one.
        if let Some(left) = course.row.take() {
            db::collect::gate(tx).await?;
            db::courses::remove(tx, &left.id, exchange.now().0).await?;
        }
        let id = course.id(exchange, tx).await?.to_owned();
        let is_new = db::courses::make(tx, &id, exchange.now().0).await?;
        Ok(is_new.then_some(course))
    }

    /// Under which its things are kept; made when there is none.
    pub async fn id(&mut self, exchange: &Exchange, tx: &mut Tx) -> sqlx::Result<&str> {
        if self.row.is_none() {
            let id = new_id(exchange.now());
            db::courses::insert(tx, &id, self.name.as_str()).await?;
            self.row = db::courses::find(tx, self.name.as_str()).await?;
        }
        let row = self.row.as_ref();
        row.map(|row| row.id.as_str())
            .ok_or(sqlx::Error::RowNotFound)
    }

    /// As [`Course::id`]; none if there are no things yet.
    pub fn known_id(&self) -> Option<&str> {
        self.row.as_ref().map(|row| row.id.as_str())
    }

    fn is_made(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.made_at.is_some())
    }

    /// Read only.
    pub fn is_archived(&self) -> bool {
        let file = self.file.as_ref();
        file.is_some_and(|file| file.visible == Visibility::Archived)
    }

    /// Frees its name; what was handed in stays until somebody lets go of it ([`crate::removal`]).
    pub async fn remove(self, exchange: &Exchange, tx: &mut Tx) -> sqlx::Result<()> {
        match self.known_id() {
            Some(id) => removal::mark_in(tx, id, exchange.now()).await,
            None => Ok(()),
        }
    }

    /// Whoever asks.
    pub async fn standing(&self, tx: &mut Tx, person: &Person) -> sqlx::Result<Standing> {
        let mut member = self.look_up(tx, &person.name, &person.groups).await?;
        member.standing.admin = person.admin;
        Ok(member.standing)
    }

    /// Whoever is asked about.
    pub async fn member(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        name: &UserName,
    ) -> sqlx::Result<Member> {
        let groups = match self.file {
            Some(_) => exchange.groups().of(tx, name).await?,
            None => Vec::new(),
        };
        self.look_up(tx, name, &groups).await
    }

    async fn look_up(
        &self,
        tx: &mut Tx,
        name: &UserName,
        groups: &[String],
    ) -> sqlx::Result<Member> {
        let row = match self.known_id() {
            Some(id) => db::people::find(tx, id, name.as_str()).await?,
            None => None,
        };
        let file = self.file.as_ref();
        let by_file = file.and_then(|file| {
            let account = || people::of_account(file, self.name.as_str(), name);
            people::by_file(file, name, groups).or_else(account)
        });
        let in_file = file.and_then(|file| file.roles_of(name, groups).into_iter().next());
        let is_blocked = file.is_some_and(|file| file.is_blocked(name, groups));
        Ok(Member {
            in_file,
            ..Member::new(name, self.file.as_deref(), by_file, row, is_blocked)
        })
    }

    /// Everybody of whom it is known that she is something here.
    pub async fn members(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
    ) -> sqlx::Result<BTreeMap<UserName, Member>> {
        let mut rows: BTreeMap<UserName, Row> = BTreeMap::new();
        if let Some(id) = self.known_id() {
            for row in db::people::list(tx, id).await? {
                if let Ok(name) = UserName::parse(&row.name) {
                    rows.insert(name, row);
                }
            }
        }
        let mut roles: BTreeMap<UserName, CourseRole> = BTreeMap::new();
        let mut blocked = BTreeSet::new();
        if let Some(file) = &self.file {
            for who in &*file.people.blocked {
                blocked.extend(named(exchange, tx, who).await?);
            }
            for (role, who) in listed(file) {
                for name in named(exchange, tx, who).await? {
                    if role.is_staff() || !blocked.contains(&name) {
                        roles.entry(name).or_insert(role);
                    }
                }
            }
        }
        let names: BTreeSet<UserName> = rows.keys().chain(roles.keys()).cloned().collect();
        let members = names.into_iter().map(|name| {
            let (role, row) = (roles.get(&name).copied(), rows.remove(&name));
            let is_blocked = blocked.contains(&name);
            let member = Member::new(&name, self.file.as_deref(), role, row, is_blocked);
            (name, member)
        });
        let members = members.filter(|(_, member)| member.standing.role().is_some());
        Ok(members.collect())
    }
}

impl Member {
    fn new(
        name: &UserName,
        file: Option<&CourseFile>,
        by_file: Option<CourseRole>,
        row: Option<Row>,
        is_blocked: bool,
    ) -> Self {
        let called = row.unwrap_or_else(|| Row {
            name: name.to_string(),
            ..Row::default()
        });
        let standing = Standing {
            admin: false,
            by_file,
            added: added(file, called.role.as_deref(), is_blocked),
        };
        Self {
            standing,
            in_file: by_file,
            is_blocked,
            called,
        }
    }
}

/// Those whom an entry names.
async fn named(exchange: &Exchange, tx: &mut Tx, who: &Who) -> sqlx::Result<BTreeSet<UserName>> {
    Ok(match who {
        Who::Person(name) => BTreeSet::from([name.clone()]),
        Who::Group(group) => exchange.groups().members(tx, group).await?,
        Who::Course { .. } | Who::Role(_) => BTreeSet::new(),
    })
}

/// What somebody was added as; in a course that its teachers alone see, students are nothing yet, and who
/// is blocked is none.
pub(crate) fn added(
    file: Option<&CourseFile>,
    word: Option<&str>,
    is_blocked: bool,
) -> Option<Added> {
    let added = word.and_then(Added::parse)?;
    let hidden = file.is_some_and(|file| file.visible == Visibility::Private);
    (added == Added::Instructor || !(hidden || is_blocked)).then_some(added)
}

/// The entries of a file's lists, the most powerful first.
pub(crate) fn listed(file: &CourseFile) -> impl Iterator<Item = (CourseRole, &Who)> {
    let is_open = move |role: &CourseRole| {
        file.visible != Visibility::Private || *role == CourseRole::Teacher
    };
    let roles = CourseRole::ALL.into_iter().filter(is_open);
    roles.flat_map(move |role| file.people.list(role).iter().map(move |who| (role, who)))
}

/// The names of the courses that somebody is something in; of all for administrators.
pub async fn names_for(
    exchange: &Exchange,
    tx: &mut Tx,
    person: &Person,
) -> sqlx::Result<BTreeSet<String>> {
    let shelf = exchange.shelf();
    let mut names = BTreeSet::new();
    for id in shelf.ids() {
        let Some(file) = shelf.course(&id) else {
            continue;
        };
        let is_in_file = people::by_file(&file, &person.name, &person.groups).is_some();
        let is_account = || people::of_account(&file, id.as_str(), &person.name).is_some();
        if person.admin || is_in_file || is_account() {
            names.insert(id.to_string());
        }
    }
    if person.admin {
        names.extend(db::courses::list_made(tx).await?);
        return Ok(names);
    }
    for (name, made, role) in db::people::courses_of(tx, person.name.as_str()).await? {
        let file = CourseId::parse(&name).and_then(|id| shelf.course(&id));
        let is_there = made || file.is_some();
        let is_blocked =
            (file.as_ref()).is_some_and(|file| file.is_blocked(&person.name, &person.groups));
        if is_there && added(file.as_deref(), Some(&role), is_blocked).is_some() {
            names.insert(name);
        }
    }
    Ok(names)
}
