//! What the operator tells everybody: announcements, and times of maintenance.
//!
//! During maintenance only those come in and start servers who are let in; what runs goes on.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use lyceum_model::clock::Millis;
use lyceum_model::lang::Lang;
use lyceum_model::say;
use lyceum_model::scope::{ScopeName, Target};
use lyceum_model::who::Who;
use lyceum_web::page::contexts;
use lyceum_web::page::plain::{Document, pieces};
use lyceum_web::{ApiError, ApiResult, Caller};

use crate::Hub;

/// Without an end in sight, when to come back.
const TRY_AGAIN_SECONDS: u64 = 600;

/// A text in one language or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(pub BTreeMap<Lang, String>);

impl Words {
    /// In English if there is none in this language, or else in whichever there is.
    fn in_lang(&self, lang: Lang) -> &str {
        let text = self.0.get(&lang).or_else(|| self.0.get(&Lang::En));
        text.or_else(|| self.0.values().next())
            .map_or("", String::as_str)
    }

    fn for_pages(&self) -> BTreeMap<&'static str, Vec<lyceum_web::page::plain::Piece>> {
        Lang::ALL
            .into_iter()
            .map(|lang| (lang.as_str(), pieces(self.in_lang(lang))))
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
    /// `who`: her name and groups, if she is signed in.
    fn has(&self, who: Option<(&str, &[String])>) -> bool {
        match (self, who) {
            (Self::All, _) | (Self::LogIn, None) => true,
            (Self::Some(who), Some((own, groups))) => who.is_among(own, groups),
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
    /// Besides administrators.
    pub allow: Vec<Audience>,
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
    /// `privacy`, `terms`, `imprint`.
    pub documents: BTreeMap<&'static str, Document>,
}

impl Notices {
    /// What somebody sees now.
    pub fn of(&self, who: Option<(&str, &[String])>, now: Millis) -> Vec<contexts::Notice> {
        let sees = |one: &&Announcement| {
            one.window.contains(now) && one.audience.iter().any(|audience| audience.has(who))
        };
        let announcements = self.announcements.iter().filter(sees);
        announcements
            .map(|one| contexts::Notice {
                texts: one.words.for_pages(),
                warning: one.warning,
            })
            .collect()
    }

    /// The maintenance that is, or that comes.
    pub fn maintenance(&self, now: Millis) -> Option<contexts::Maintenance> {
        let coming = self.maintenance.as_ref();
        let coming = coming.filter(|maintenance| !maintenance.window().is_over(now))?;
        Some(contexts::Maintenance {
            from: coming.from.0,
            until: coming.until.map(|until| until.0),
            now: coming.window().contains(now),
            texts: coming.words.for_pages(),
        })
    }

    /// Why somebody must wait, who is no administrator.
    pub fn refuse(&self, who: (&str, &[String]), now: Millis) -> Option<ApiError> {
        let maintenance = self.maintenance.as_ref()?;
        let may = (maintenance.allow.iter()).any(|audience| audience.has(Some(who)));
        if may || !maintenance.window().contains(now) {
            return None;
        }
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

/// Whether this caller may start something now.
pub fn require_open(hub: &Hub, caller: &Caller) -> ApiResult<()> {
    if caller.may(ScopeName::AdminServers, Target::Everything) {
        return Ok(());
    }
    let (name, groups) = caller.person().map_or(("", [].as_slice()), |person| {
        (person.name.as_str(), &person.groups)
    });
    let settings = hub.settings();
    match settings.notices.refuse((name, groups), hub.now()) {
        Some(refused) => Err(refused),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use lyceum_model::who::Forms;

    use super::*;

    fn some(text: &str) -> Audience {
        Audience::Some(Who::parse(text, Forms::People).expect("good"))
    }

    fn words(en: &str) -> Words {
        Words([(Lang::En, en.to_owned())].into())
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
                audience: vec![some("group:bio"), Audience::LogIn],
                warning: false,
            }],
            ..Notices::default()
        };
        let bio = ["bio".to_owned()];
        let check = |who: Option<(&str, &[String])>, now: i64, expect: bool| {
            assert_eq!(
                !notices.of(who, Millis(now)).is_empty(),
                expect,
                "{who:?} {now}"
            );
        };
        check(Some(("ada", &bio)), 9, false);
        check(Some(("ada", &bio)), 10, true);
        check(Some(("ada", &bio)), 20, false);
        check(Some(("ada", &[])), 10, false);
        check(None, 10, true);
    }

    #[test]
    fn words_fall_back_to_english_and_then_to_any() {
        let both = Words([(Lang::En, "a".into()), (Lang::De, "b".into())].into());
        assert_eq!((both.in_lang(Lang::De), both.in_lang(Lang::En)), ("b", "a"));
        assert_eq!(words("a").in_lang(Lang::De), "a");
        assert_eq!(
            Words([(Lang::De, "b".into())].into()).in_lang(Lang::En),
            "b"
        );
    }

    #[test]
    fn maintenance_is_told_before_and_refuses_while_it_is() {
        let notices = Notices {
            maintenance: Some(Maintenance {
                from: Millis(10_000),
                until: Some(Millis(20_500)),
                words: Words::default(),
                allow: vec![some("tess"), some("group:ops")],
            }),
            ..Notices::default()
        };
        let told = |now: i64| notices.maintenance(Millis(now)).map(|it| it.now);
        assert_eq!(
            (told(9_999), told(10_000), told(20_500)),
            (Some(false), Some(true), None)
        );
        let refused = |who: (&str, &[String]), now: i64| notices.refuse(who, Millis(now)).is_some();
        assert!(refused(("ada", &[]), 10_000));
        assert!(!refused(("ada", &[]), 9_999) && !refused(("ada", &[]), 20_500));
        assert!(!refused(("tess", &[]), 10_000) && !refused(("ada", &["ops".into()]), 10_000));
        assert!(
            !Notices::default()
                .maintenance(Millis(0))
                .is_some_and(|it| it.now)
        );
    }
}
