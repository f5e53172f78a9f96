//! What hub and proxy say to each other: the paths, the lines of the route stream, questions and
//! reports. The hub speaks these types too, in process as over HTTP.
//!
//! The stream is one JSON object a line. Numbers are those of the hub's outbox: without gaps, in
//! commit order, the same on every replica; so a proxy that has seen N at one hub asks another for
//! what came after N. What is unknown to a reader is skipped, so that old and new can talk.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::{
    access::{Credential, Decision, Revoked},
    error_page::AddedLanguage,
    moment::Moment,
    route::{Route, RouteAccess},
    target::Target,
};

/// `GET …?numbering=ID&after=N`
pub const STREAM_PATH: &str = "/hub/api/lyceum/proxy/routes/stream";
pub const ACCESS_PATH: &str = "/hub/api/lyceum/proxy/access";
pub const VOUCH_PATH: &str = "/hub/api/lyceum/proxy/vouch";
pub const ACTIVITY_PATH: &str = "/hub/api/lyceum/proxy/activity";
/// `Authorization: lyceum-proxy SECRET`. Not the header that goes with forwarded requests: that one
/// travels with everybody's.
pub const AUTH_SCHEME: &str = "lyceum-proxy";
/// Routes in one line of a snapshot.
pub const ROUTES_PER_LINE: usize = 500;
/// The longest line a reader takes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;
/// Questions in one request.
pub const MAX_ASKS: usize = 64;
/// Routes in one report.
pub const MAX_REPORTED: usize = 500;
/// A longer cookie or token is nobody's.
pub const MAX_CREDENTIAL: usize = 2_048;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// First of all: which database the numbers belong to, and which hub speaks.
    Hello { numbering: String, hub: String },
    /// The whole table as of `number`, or the next part of it while there is `more`.
    Snapshot {
        number: i64,
        routes: Vec<PublishedRoute>,
        more: bool,
    },
    /// What is different at `number`.
    Changes {
        number: i64,
        put: Vec<PublishedRoute>,
        /// Ids of routes.
        removed: Vec<String>,
        revoked: Vec<Taken>,
        /// Of these persons among them, only what rests on one of these grounds. Beside `revoked`
        /// and not in it, so that a proxy that does not know it ends more and not less.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        only: BTreeMap<String, Vec<String>>,
    },
    /// In which languages the site has error pages besides the built-in ones: all there are, after
    /// each hello and whenever they change. Not numbered, since they are the configuration's and not
    /// the database's.
    Languages {
        #[serde(default)]
        languages: Vec<AddedLanguage>,
    },
    /// Nothing new; the hub follows its database as of `number`.
    Beat { number: i64 },
    #[serde(other)]
    Unknown,
}

/// A route as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedRoute {
    pub id: String,
    pub prefix: String,
    /// The only host that it is for, without a port. A proxy of an earlier version takes the route
    /// for one of all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub target: Target,
    pub owner: String,
    /// Whether access is asked for first. When in doubt it is.
    #[serde(default = "yes")]
    pub checked: bool,
    /// What the publisher calls that which is behind it; stays with the publisher.
    #[serde(skip)]
    pub key: String,
}

fn yes() -> bool {
    true
}

impl PublishedRoute {
    /// [`Route::prefix`]
    pub(crate) fn place(&self) -> Cow<'_, str> {
        match &self.host {
            Some(host) => format!("//{}{}", host.to_ascii_lowercase(), self.prefix).into(),
            None => self.prefix.as_str().into(),
        }
    }
}

impl From<PublishedRoute> for Route {
    fn from(route: PublishedRoute) -> Self {
        Self {
            prefix: route.place().into_owned(),
            id: route.id,
            target: route.target,
            access: if route.checked {
                RouteAccess::Checked
            } else {
                RouteAccess::Open
            },
            owner: route.owner,
        }
    }
}

/// Whose access was taken away. What a reader does not know means everybody to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", from = "ReadTaken")]
pub enum Taken {
    Subject(String),
    All,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ReadTaken {
    Subject { subject: String },
    Other(IgnoredAny),
}

impl From<ReadTaken> for Taken {
    fn from(read: ReadTaken) -> Self {
        match read {
            ReadTaken::Subject { subject } => Self::Subject(subject),
            ReadTaken::Other(_) => Self::All,
        }
    }
}

impl Taken {
    /// What ends at a proxy; `only` as in [`News::Changes`].
    pub(crate) fn narrowed(self, only: &mut BTreeMap<String, Vec<String>>) -> Revoked {
        match self {
            Self::Subject(subject) => match only.remove(&subject) {
                Some(fallen) => Revoked::Grounds { subject, fallen },
                None => Revoked::Subject(subject),
            },
            Self::All => Revoked::All,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct AccessRequest {
    pub asks: Vec<AccessAsk>,
}

#[derive(Serialize, Deserialize)]
pub struct AccessAsk {
    pub route: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl AccessAsk {
    pub fn new(route: &str, credential: &Credential) -> Self {
        let (cookie, token) = match credential {
            Credential::AccessCookie(cookie) => (Some(cookie.clone()), None),
            Credential::Token(token) => (None, Some(token.clone())),
            Credential::None => (None, None),
        };
        Self {
            route: route.to_owned(),
            cookie,
            token,
        }
    }

    pub fn credential(&self) -> Credential {
        match (&self.token, &self.cookie) {
            (Some(token), _) => Credential::Token(token.clone()),
            (None, Some(cookie)) => Credential::AccessCookie(cookie.clone()),
            (None, None) => Credential::None,
        }
    }
}

impl std::fmt::Debug for AccessAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessAsk")
            .field("route", &self.route)
            .field("credential", &self.credential())
            .finish()
    }
}

/// The answers, in the order of the questions.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccessAnswers {
    pub answers: Vec<AccessAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum AccessAnswer {
    Allow {
        subject: String,
        /// What the answer rests upon; see [`Decision::Allow`].
        #[serde(default)]
        grounds: Vec<String>,
        /// How long the answer may be kept, in milliseconds.
        keep_ms: u64,
    },
    Deny,
    SignIn,
    #[serde(other)]
    Unavailable,
}

impl From<Decision> for AccessAnswer {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow {
                subject,
                grounds,
                for_how_long,
            } => Self::Allow {
                subject,
                grounds: grounds.to_vec(),
                keep_ms: u64::try_from(for_how_long.as_millis()).unwrap_or(u64::MAX),
            },
            Decision::Deny => Self::Deny,
            Decision::SignIn => Self::SignIn,
            Decision::Unavailable => Self::Unavailable,
        }
    }
}

impl From<AccessAnswer> for Decision {
    fn from(answer: AccessAnswer) -> Self {
        match answer {
            AccessAnswer::Allow {
                subject,
                grounds,
                keep_ms,
            } => Self::Allow {
                subject,
                grounds: grounds.into(),
                for_how_long: Duration::from_millis(keep_ms),
            },
            AccessAnswer::Deny => Self::Deny,
            AccessAnswer::SignIn => Self::SignIn,
            AccessAnswer::Unavailable => Self::Unavailable,
        }
    }
}

/// Whether what listens at a route's address is whom the route is meant for.
#[derive(Debug, Serialize, Deserialize)]
pub struct VouchRequest {
    pub route: String,
    pub target: Target,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Vouched {
    pub vouched: bool,
}

/// What a proxy tells: how far it has come, and which routes were used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The proxy's own name, made at its start.
    pub proxy: String,
    /// The number its table is of. Left out: it follows nobody at the moment.
    #[serde(default)]
    pub number: Option<i64>,
    #[serde(default)]
    pub activity: Vec<RouteUse>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteUse {
    pub route: String,
    /// The last moment of activity, in milliseconds since 1970 by the proxy's clock. For hubs that
    /// don't know the age; an earlier proxy tells only this.
    pub last_ms: i64,
    /// How long ago that was when this was said. Clocks of two machines need not agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

impl RouteUse {
    pub(crate) fn new(route: &str, last: Moment) -> Self {
        Self {
            route: route.to_owned(),
            last_ms: i64::try_from(last.since_1970()).unwrap_or(i64::MAX),
            age_ms: u64::try_from(last.age().as_millis()).ok(),
        }
    }

    /// When it was by the clock of whoever hears of it `now`. Nothing was used in the future.
    pub fn last(&self, now_ms: i64) -> i64 {
        match self.age_ms {
            Some(age) => now_ms.saturating_sub_unsigned(age),
            None => self.last_ms.min(now_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_written_and_unknown_ones_skipped() {
        let line = r#"{"news":"changes","number":7,"put":[{"id":"a","prefix":"/user/ada/","target":"http://127.0.0.1:1","owner":"ada","later":1}],"removed":["b"],"revoked":[{"subject":"ada"},{"subject":"ben"},"all",{"planet":{"name":"earth"}},"moon"],"only":{"ben":["s1"]}}"#;
        let news: News = serde_json::from_str(line).expect("read");
        let News::Changes {
            put, revoked, only, ..
        } = &news
        else {
            panic!("{news:?}");
        };
        assert!(put[0].checked, "in doubt a route is checked");
        let mut only = only.clone();
        let meant = revoked
            .iter()
            .map(|taken| taken.clone().narrowed(&mut only));
        assert_eq!(
            meant.collect::<Vec<_>>(),
            [
                Revoked::Subject("ada".into()),
                Revoked::Grounds {
                    subject: "ben".into(),
                    fallen: vec!["s1".into()]
                },
                Revoked::All,
                Revoked::All,
                Revoked::All,
            ]
        );
        let text = serde_json::to_string(&news).expect("written");
        assert_eq!(serde_json::from_str::<News>(&text).expect("read"), news);
        let later = r#"{"news":"weather","sun":true}"#;
        assert_eq!(
            serde_json::from_str::<News>(later).expect("read"),
            News::Unknown
        );
    }

    #[test]
    fn questions_do_not_print_secrets() {
        let ask = AccessAsk::new("r", &Credential::Token("hunter2".into()));
        let shown = format!("{:?}", AccessRequest { asks: vec![ask] });
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
