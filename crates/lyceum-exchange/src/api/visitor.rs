//! Who asks, and the questions that come before all others: is the course there, and may she?

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use lyceum_model::name::UserName;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_store::Tx;
use lyceum_web::{Caller, Credential, Person, Who};

use super::refusal::Refusal;
use crate::course::{Course, Member};
use crate::names::Name;
use crate::people::Standing;
use crate::rules::Author;
use crate::{Exchange, SERVICE, db};

/// A person whose token or session may use the exchange.
pub(crate) struct Visitor(pub(crate) Person);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let refuse = |message: &'static str| Refusal::new(StatusCode::FORBIDDEN, message);
        let Some(caller) = parts.extensions.get::<Caller>() else {
            return Err(refuse(
                "Who are you? Send a good token: `Authorization: token …`",
            ));
        };
        if !caller.may(ScopeName::AccessServices, Target::Service(SERVICE)) {
            return Err(refuse(
                "This token may not use the exchange: it lacks the scope access:services!service=ngshare",
            ));
        }
        match &caller.who {
            // Whatever runs in an administrator's notebook has her server's token.
            Who::Person(person) => Ok(Self(Person {
                admin: person.admin && !is_of_server(&caller.credential),
                ..person.clone()
            })),
            Who::Service(_) => Err(refuse("The exchange is for people; a service is none")),
        }
    }
}

fn is_of_server(credential: &Credential) -> bool {
    matches!(
        credential,
        Credential::Token {
            server_id: Some(_),
            ..
        }
    )
}

/// Somebody in a course that is there.
pub(crate) struct Entered {
    pub(crate) course: Course,
    pub(crate) standing: Standing,
    pub(crate) now: Timestamp,
}

impl Visitor {
    pub(crate) fn name(&self) -> &UserName {
        &self.0.name
    }

    pub(crate) fn as_author(&self, standing: Standing) -> Author<'_> {
        Author {
            name: &self.0.name,
            groups: &self.0.groups,
            standing,
        }
    }

    /// Whether she is the one whom a path names.
    pub(crate) fn is(&self, name: &str) -> bool {
        parse(name).is_some_and(|name| name == self.0.name)
    }

    pub(crate) fn require_admin(&self) -> Result<(), Refusal> {
        match self.0.admin {
            true => Ok(()),
            false => Err(Refusal::denied()),
        }
    }

    pub(crate) async fn enter(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        course: &str,
    ) -> Result<Entered, Refusal> {
        let missing = || Refusal::not_found("Course");
        let name = Name::parse(course).ok_or_else(missing)?;
        let course = Course::find(exchange, tx, &name)
            .await?
            .ok_or_else(missing)?;
        let standing = course.standing(tx, &self.0).await?;
        let now = exchange.time();
        Ok(Entered {
            course,
            standing,
            now,
        })
    }
}

impl Entered {
    pub(crate) fn require(&self, may: impl Fn(Standing) -> bool) -> Result<(), Refusal> {
        match may(self.standing) {
            true => Ok(()),
            false => Err(Refusal::denied()),
        }
    }

    /// That something may be changed here.
    pub(crate) fn require_open(&self) -> Result<(), Refusal> {
        match self.course.is_archived() {
            false => Ok(()),
            true => Err(Refusal::archived()),
        }
    }

    /// That she may hand something in.
    pub(super) fn require_hands_in(&self) -> Result<(), Refusal> {
        match self.standing.hands_in() {
            true => Ok(()),
            false if self.standing.belongs() => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "You are an observer in this course: observers hand nothing in",
            )),
            false => Err(Refusal::denied()),
        }
    }

    /// Whether she may know of an assignment.
    pub(crate) fn sees(&self, assignment: &str) -> bool {
        self.course.shows(assignment, self.standing, self.now)
    }

    /// An assignment that can be had.
    pub(crate) async fn assignment(
        &self,
        tx: &mut Tx,
        name: &str,
    ) -> Result<db::assignments::Row, Refusal> {
        let missing = || Refusal::not_found("Assignment");
        let name = Name::parse(name).ok_or_else(missing)?;
        let course_id = self.course.known_id().ok_or_else(missing)?;
        let found = db::assignments::find(tx, course_id, name.as_str()).await?;
        found
            .filter(|row| row.withdrawn_at.is_none() && self.sees(&row.name))
            .ok_or_else(missing)
    }

    /// Somebody of the course, of whom it is asked what she handed in.
    pub(crate) async fn student(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        name: &str,
    ) -> Result<UserName, Refusal> {
        let missing = || Refusal::not_found("Student");
        let (name, member) = self.member(exchange, tx, name).await?.ok_or_else(missing)?;
        member.standing.role().ok_or_else(missing)?;
        Ok(name)
    }

    /// Anybody, as far as something is known of her here.
    pub(crate) async fn member(
        &self,
        exchange: &Exchange,
        tx: &mut Tx,
        name: &str,
    ) -> Result<Option<(UserName, Member)>, Refusal> {
        let Some(name) = parse(name) else {
            return Ok(None);
        };
        let member = self.course.member(exchange, tx, &name).await?;
        Ok(Some((name, member)))
    }
}

fn parse(name: &str) -> Option<UserName> {
    UserName::parse(name).ok()
}
