//! What the operator tells everybody: announcements, and times of maintenance.
//!
//! During maintenance only those come in and start servers who are let in; what runs goes on.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::lang::Lang;
use lyceum_model::name::UserName;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::who::{Standing, Who};
use lyceum_web::page::contexts;
use lyceum_web::page::plain::{Document, Piece, pieces};
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::maintenance::{self, Closed, Switched};
use crate::select::People;
use crate::{Hub, Settings};

/// Without an end in sight, when to come back.
const TRY_AGAIN_SECONDS: u64 = 600;
/// The key of what those are told who must wait.
pub(crate) const REFUSED: &str = "refused.maintenance";

/// A text in one language or several, by their tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub BTreeMap<String, String>);

impl Words {
    /// In English if there is none in this language, or else in whichever there is.
    fn in_lang(&self, tag: &str) -> &str {
        let text = self.0.get(tag).or_else(|| self.0.get("en"));
        text.or_else(|| self.0.values().next())
            .map_or("", String::as_str)
    }

    fn for_pages(&self) -> BTreeMap<String, Vec<Piece>> {
        let built_in = Lang::BUILT_IN.into_iter();
        let tags = built_in.map(|lang| lang.as_str().to_owned());
        tags.chain(self.0.keys().cloned())
            .map(|tag| (tag.clone(), pieces(self.in_lang(&tag))))
            .collect()
    }
}

/// A time between two moments; either can be open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    pub from: Option<Millis>,
    pub until: Option<Millis>,
}

impl Window {
    pub fn contains(&self, now: Millis) -> bool {
        self.from.is_none_or(|from| from.0 <= now.0) && !self.is_over(now)
    }

    fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until.0 <= now.0)
    }
}

/// Whom a list of the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    All,
    /// Those who are not signed in.
    LogIn,
    Some(Who),
}

impl Audience {
    /// `reader`: who she is, if she is signed in.
    fn has(&self, reader: Option<(&UserName, &Standing)>) -> bool {
        match (self, reader) {
            (Self::All, _) | (Self::LogIn, None) => true,
            (Self::Some(who), Some((name, standing))) => who.is(name, standing),
            _ => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub words: Words,
    pub window: Window,
    pub audience: Vec<Audience>,
    pub warning: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    pub from: Millis,
    pub until: Option<Millis>,
    pub words: Words,
}

impl Maintenance {
    fn window(&self) -> Window {
        Window {
            from: Some(self.from),
            until: self.until,
        }
    }
}

/// All of it, and the site's own pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices {
    pub announcements: Vec<Announcement>,
    pub maintenance: Option<Maintenance>,
    /// Who is let in during any maintenance, besides administrators.
    pub let_in: Vec<Audience>,
    /// `privacy`, `terms`, `imprint`.
    pub documents: BTreeMap<&'static str, Document>,
}

impl Notices {
    /// What somebody sees now.
    pub fn of(&self, reader: Option<(&UserName, &Standing)>, now: Millis) -> Vec<contexts::Notice> {
        let sees = |one: &&Announcement| {
            one.window.contains(now) && one.audience.iter().any(|audience| audience.has(reader))
        };
        let announcements = self.announcements.iter().filter(sees);
        announcements
            .map(|one| contexts::Notice {
                texts: one.words.for_pages(),
                warning: one.warning,
            })
            .collect()
    }

    /// When the maintenance that the configuration has began, if it is now.
    pub fn maintenance_since(&self, now: Millis) -> Option<Millis> {
        let written = self.maintenance.as_ref();
        let written = written.filter(|one| one.window().contains(now));
        written.map(|one| one.from)
    }

    /// Whom a maintenance that began then keeps waiting, unless it keeps nobody.
    pub fn closed(&self, since: Millis) -> Option<Closed> {
        let mut people = People::default();
        for audience in &self.let_in {
            match audience {
                Audience::All => return None,
                Audience::Some(Who::Person(name)) => people.names.push(name.to_string()),
                Audience::Some(Who::Group(group)) => people.groups.push(group.clone()),
                // By these nobody is let in: see `Who::is_among`.
                Audience::LogIn | Audience::Some(Who::Course { .. } | Who::Role(_)) => {}
            }
        }
        Some(Closed {
            since,
            let_in: people,
        })
    }

    /// The maintenance that is, or that comes, as those see it who are not let in; `switched` was switched on, by whatever way.
    pub fn maintenance(
        &self,
        switched: Option<&Maintenance>,
        now: Millis,
    ) -> Option<contexts::Maintenance> {
        let all = switched.into_iter().chain(&self.maintenance);
        let coming = all.filter(|maintenance| !maintenance.window().is_over(now));
        // One that is comes before one that is to be.
        let coming = coming.min_by_key(|maintenance| !maintenance.window().contains(now))?;
        Some(contexts::Maintenance {
            from: coming.from.0,
            until: coming.until.map(|until| until.0),
            now: coming.window().contains(now),
            let_in: false,
            texts: coming.words.for_pages(),
        })
    }

    /// Whether she comes in during any maintenance.
    fn lets_in(&self, (name, groups): (&str, &[String])) -> bool {
        self.let_in.iter().any(|audience| match audience {
            Audience::All => true,
            Audience::LogIn => false,
            Audience::Some(who) => who.is_among(name, groups),
        })
    }

    /// Why somebody must wait, who is no administrator.
    pub fn refuse(
        &self,
        switched: Option<&Maintenance>,
        who: (&str, &[String]),
        now: Millis,
    ) -> Option<ApiError> {
        if self.lets_in(who) {
            return None;
        }
        let mut all = switched.into_iter().chain(&self.maintenance);
        let maintenance = all.find(|maintenance| maintenance.window().contains(now))?;
        let left = maintenance.until.map(|until| until.0 - now.0);
        let left = left.and_then(|left| u64::try_from(left).ok());
        let seconds = left.map_or(TRY_AGAIN_SECONDS, |left| left.div_ceil(1000));
        Some(ApiError::later(
            StatusCode::SERVICE_UNAVAILABLE,
            say!("refused.maintenance"),
            seconds,
        ))
    }
}

/// Why somebody must wait now, who is no administrator. The database is asked, so that a maintenance
/// holds at every replica from the moment it is switched on. What pages say is left to those who follow
/// it: a request knows only how it was when it asked.
pub async fn refuse(
    hub: &Hub,
    settings: &Settings,
    who: (&str, &[String]),
) -> ApiResult<Option<ApiError>> {
    let order = maintenance::ordered(hub).await?;
    let switched = order.as_ref().map(Switched::to_maintenance);
    Ok(settings.notices.refuse(switched.as_ref(), who, hub.now()))
}

/// The maintenance that was switched on, as far as this replica knows: good enough for what pages say.
pub fn switched(hub: &Hub) -> Option<Maintenance> {
    let order = hub.switched().load();
    order.as_deref().map(Switched::to_maintenance)
}

/// Whether this caller may start something now.
pub async fn require_open(hub: &Hub, caller: &Caller) -> ApiResult<()> {
    if is_over_it(caller) {
        return Ok(());
    }
    let refused = refuse(hub, &hub.settings(), named(caller)).await?;
    refused.map_or(Ok(()), Err)
}

/// Whether a maintenance keeps this caller from starting anything, for what her pages show.
pub fn is_closed(hub: &Hub, caller: &Caller) -> bool {
    let switched = switched(hub);
    let notices = &hub.settings().notices;
    let refused = notices.refuse(switched.as_ref(), named(caller), hub.now());
    !is_over_it(caller) && refused.is_some()
}

/// Whether no maintenance keeps this caller from anything.
pub fn is_let_in(hub: &Hub, caller: &Caller) -> bool {
    is_over_it(caller) || hub.settings().notices.lets_in(named(caller))
}

fn is_over_it(caller: &Caller) -> bool {
    caller.may(ScopeName::AdminServers, Target::Everything)
}

/// By what lists know her.
fn named(caller: &Caller) -> (&str, &[String]) {
    caller.person().map_or(("", [].as_slice()), |person| {
        (person.name.as_str(), &person.groups)
    })
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::{CourseId, CourseRole, Forms};

    use super::*;

    fn some(text: &str) -> Audience {
        Audience::Some(Who::parse(text, Forms::All).expect("good"))
    }

    fn words(en: &str) -> Words {
        Words([("en".to_owned(), en.to_owned())].into())
    }

    #[test]
    fn announcements_have_their_time_and_their_readers() {
        let notices = Notices {
            announcements: vec![Announcement {
                words: words("x"),
                window: Window {
                    from: Some(Millis(10)),
                    until: Some(Millis(20)),
                },
                audience: vec![
                    some("group:bio"),
                    some("course:signals"),
                    some("course:waves/teacher"),
                    Audience::LogIn,
                ],
                warning: false,
            }],
            ..Notices::default()
        };
        let ada = UserName::parse("ada").expect("a name");
        let bio = Standing::of_groups(&["bio".to_owned()]);
        let none = Standing::default();
        let student_of = |course: &str| Standing {
            courses: vec![(
                CourseId::parse(course).expect("an id"),
                vec![CourseRole::Student],
            )],
            ..Standing::default()
        };
        let check = |who: Option<&Standing>, now: i64, expect: bool| {
            let reader = who.map(|who| (&ada, who));
            assert_eq!(
                !notices.of(reader, Millis(now)).is_empty(),
                expect,
                "{who:?} {now}"
            );
        };
        check(Some(&bio), 9, false);
        check(Some(&bio), 10, true);
        check(Some(&bio), 20, false);
        check(Some(&none), 10, false);
        check(Some(&student_of("signals")), 10, true);
        check(Some(&student_of("waves")), 10, false);
        check(None, 10, true);
    }

    #[test]
    fn words_fall_back_to_english_and_then_to_any() {
        let both = Words([("en".into(), "a".into()), ("de".into(), "b".into())].into());
        assert_eq!((both.in_lang("de"), both.in_lang("en")), ("b", "a"));
        assert_eq!(words("a").in_lang("de"), "a");
        let german = Words([("de".into(), "b".into())].into());
        assert_eq!(german.in_lang("en"), "b");
    }

    #[test]
    fn maintenance_is_told_before_and_refuses_while_it_is() {
        let notices = Notices {
            maintenance: Some(Maintenance {
                from: Millis(10_000),
                until: Some(Millis(20_500)),
                words: Words::default(),
            }),
            let_in: vec![some("tess"), some("group:ops")],
            ..Notices::default()
        };
        let told = |now: i64| notices.maintenance(None, Millis(now)).map(|it| it.now);
        assert_eq!(
            (told(9_999), told(10_000), told(20_500)),
            (Some(false), Some(true), None)
        );
        let refused =
            |who: (&str, &[String]), now: i64| notices.refuse(None, who, Millis(now)).is_some();
        assert!(refused(("ada", &[]), 10_000));
        assert!(!refused(("ada", &[]), 9_999) && !refused(("ada", &[]), 20_500));
        assert!(!refused(("tess", &[]), 10_000) && !refused(("ada", &["ops".into()]), 10_000));
        assert!(
            !Notices::default()
                .maintenance(None, Millis(0))
                .is_some_and(|it| it.now)
        );
    }

    #[test]
    fn one_that_was_switched_on_counts_beside_the_one_that_is_planned() {
        let planned = Notices {
            maintenance: Some(Maintenance {
                from: Millis(10_000),
                until: None,
                words: words("planned"),
            }),
            let_in: vec![some("tess")],
            ..Notices::default()
        };
        let switched = Maintenance {
            from: Millis(1_000),
            until: Some(Millis(5_000)),
            words: words("now"),
        };
        let told = |now: i64| {
            let told = planned.maintenance(Some(&switched), Millis(now));
            told.map(|it| (it.now, it.texts["en"][0].text.clone()))
        };
        assert_eq!(told(1_000), Some((true, "now".into())));
        assert_eq!(told(5_000), Some((false, "planned".into())));
        let refused = |who: &str, now: i64| {
            planned
                .refuse(Some(&switched), (who, &[]), Millis(now))
                .is_some()
        };
        assert!(refused("ada", 1_000) && !refused("tess", 1_000));
        assert!(!refused("ada", 5_000));
        assert!(refused("ada", 10_000) && !refused("tess", 10_000));
    }
}
