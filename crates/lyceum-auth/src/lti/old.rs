//! Launches by LTI 1.1, of platforms that have nothing newer: a form that the browser of whoever follows a
//! link posts, signed with a secret that platform and tool share ([`super::oauth1`]).
//!
//! No request goes before it, so nothing binds it to a browser. It counts once, for five minutes.

use std::collections::{BTreeMap, BTreeSet};

use lyceum_model::clock::{Clock, Millis};
use lyceum_model::lti::Place;
use lyceum_model::secret::Secret;
use lyceum_model::who::CourseRole;
use serde_json::Value;
use url::Url;

use super::message::{Context, Message, text};
use super::oauth1::{Fields, SIGNATURE, is_signed};
use super::{Launch, role};
use crate::attempt::Refused;
use crate::claims::{Claims, Mapping};
use crate::oidc::is_subject;

/// More, or longer ones, no platform sends.
const FIELDS_MAX: usize = 200;
const NAME_MAX: usize = 255;
const VALUE_MAX: usize = 16 * 1024;
/// Of all together; platforms send a few kilobytes.
const FORM_MAX: usize = 64 * 1024;
const ID_MAX: usize = 255;
const TEXT_MAX: usize = 1_024;
const ROLES_MAX: usize = 100;
/// How far its clock may be from ours, in seconds.
const WINDOW: i64 = 300;
/// What the words of roles begin with where they are written whole.
const ROLE: &str = "urn:lti:role:ims/lis/";

/// One platform, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct OldLtiConfig {
    /// Tells it from others in addresses; may be empty.
    pub id: String,
    pub title: String,
    /// The keys by which it says who it is, with the secrets that it signs by.
    pub consumers: BTreeMap<String, Secret>,
    /// Where people find it.
    pub home: Option<Url>,
    pub mapping: Mapping,
    pub mail_is_verified: bool,
    pub trust_labels: bool,
    pub trust_links: bool,
    pub roles: BTreeMap<String, CourseRole>,
}

/// Launches from one platform.
pub struct OldLti {
    config: OldLtiConfig,
    clock: Clock,
}

/// A launch as it was posted. Nothing of it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    fields: Fields,
    /// What of it stands in the address. The platform signs that, too, but whoever writes a link writes it: at some
    /// platforms anybody in a course does.
    in_address: BTreeSet<String>,
}

/// A launch that was signed, and what makes sure that it counts once.
pub(crate) struct Proved {
    pub(crate) launch: Launch,
    /// No other launch has this.
    pub(crate) mark: String,
    /// From then on it is too old.
    pub(crate) until: Millis,
}

impl Signed {
    /// Reads form and query. What is said twice could be understood in two ways; such a launch is refused as a
    /// whole, as is one that is too large.
    pub fn parse(query: &[u8], form: &[u8]) -> Option<Self> {
        if query.len() + form.len() > FORM_MAX {
            return None;
        }
        let (mut fields, mut names) = (Fields::new(), BTreeSet::new());
        let mut size = 0;
        let all = url::form_urlencoded::parse(query).chain(url::form_urlencoded::parse(form));
        for (name, value) in all {
            // Bytes that are no text grow when they are read.
            size += name.len() + value.len();
            let is_large = name.len() > NAME_MAX || value.len() > VALUE_MAX || size > FORM_MAX;
            if is_large || fields.len() == FIELDS_MAX || !names.insert(name.to_string()) {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        let in_address = names_in(query);
        let is_there = names.contains(SIGNATURE) && !in_address.contains(SIGNATURE);
        is_there.then_some(Self { fields, in_address })
    }

    /// Takes out what a page of ours put in; the platform has not signed it.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.swap_remove(at).1)
    }

    /// The form once more; what stands in the address stays there.
    pub fn fields_without(&self, query: &[u8]) -> Fields {
        let inside = names_in(query);
        let fields = self.fields.iter();
        fields
            .filter(|(name, _)| !inside.contains(name))
            .cloned()
            .collect()
    }

    /// What stands in the form.
    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.fields.iter();
        all.filter(|(name, _)| !self.in_address.contains(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields().find(|(key, _)| *key == name);
        found.map(|(_, value)| value)
    }

    fn text(&self, name: &str, most: usize) -> Option<String> {
        text(Some(&Value::from(self.get(name)?)), most)
    }

    /// Where whoever wrote the link says that it leads; that may stand in the address.
    fn wish(&self) -> Option<String> {
        ["custom_next", "next"].into_iter().find_map(|name| {
            let (_, value) = self.fields.iter().find(|(key, _)| key == name)?;
            text(Some(&Value::from(value.as_str())), VALUE_MAX)
        })
    }
}

fn names_in(query: &[u8]) -> BTreeSet<String> {
    let fields = url::form_urlencoded::parse(query);
    fields.map(|(name, _)| name.into_owned()).collect()
}

impl OldLti {
    pub fn new(config: OldLtiConfig, clock: Clock) -> Self {
        Self { config, clock }
    }

    pub fn id(&self) -> &str {
        &self.config.id
    }

    pub fn title(&self) -> &str {
        &self.config.title
    }

    /// Where people find it.
    pub fn home(&self) -> Option<&Url> {
        self.config.home.as_ref()
    }

    pub(crate) fn names_people(&self) -> bool {
        self.config.mapping.allow.is_some()
    }

    /// What it says of who came, and from where. `address`: where it was posted to, without a query.
    pub(crate) fn prove(&self, posted: &Signed, address: &str) -> Result<Proved, Refused> {
        let refuse = |problem: &str| {
            tracing::warn!(platform = self.config.id, "a launch is refused: {problem}");
            Refused::Denied
        };
        let (key, until) = self.is_signed(posted, address).map_err(refuse)?;
        if posted.get("lti_version") != Some("LTI-1p0") {
            return Err(refuse("it is not of LTI 1.1 (`lti_version`)"));
        }
        if posted.get("lti_message_type") != Some("basic-lti-launch-request") {
            return Err(refuse("it is no launch of a link (`lti_message_type`)"));
        }
        if posted.text("resource_link_id", ID_MAX).is_none() {
            return Err(refuse(
                "it does not say which link it is (`resource_link_id`)",
            ));
        }
        let subject = posted.get("user_id").filter(|text| is_subject(text));
        let subject = subject.ok_or(Refused::Anonymous)?;
        let message = message(posted, address);
        let nonce = posted.get("oauth_nonce").unwrap_or_default();
        let mark = format!("{key}\n{}\n{nonce}", until.0);
        let mapping = &self.config.mapping;
        let identity = mapping.identity(&self.issuer(), subject, &self.told(posted))?;
        let (places, role) = self.course(&message);
        Ok(Proved {
            launch: Launch {
                identity,
                target: message.target.clone(),
                message,
                places,
                role,
                client: key.to_owned(),
            },
            mark,
            until,
        })
    }

    /// Whose marks for people these are: all its keys together are one platform.
    fn issuer(&self) -> String {
        format!("lti11:{}", self.config.id)
    }

    /// By which key it was signed, and until when it counts. Only here and behind it anything is believed.
    fn is_signed<'a>(
        &self,
        posted: &'a Signed,
        address: &str,
    ) -> Result<(&'a str, Millis), &'static str> {
        let key = posted.get("oauth_consumer_key").unwrap_or_default();
        // Keys are no secrets: they stand in every launch. One that there is not costs no work.
        let secret = self.config.consumers.get(key);
        let good = secret.is_some_and(|secret| is_signed(address, &posted.fields, secret));
        if !good {
            return Err(
                "it is not signed by the secret of a key in `consumers`, or for another address than this one",
            );
        }
        if posted.get("oauth_version").is_some_and(|one| one != "1.0") {
            return Err("it is signed by rules that are not known here (`oauth_version`)");
        }
        let nonce = posted.get("oauth_nonce").unwrap_or_default();
        if nonce.is_empty() || nonce.len() > ID_MAX {
            return Err("nothing tells it from others (`oauth_nonce`)");
        }
        let time = posted.get("oauth_timestamp").unwrap_or_default();
        let digits = time.bytes().all(|byte| byte.is_ascii_digit());
        let time = time.parse::<i64>().ok().filter(|_| digits);
        let now = self.clock.now().0 / 1_000;
        match time {
            Some(time) if (now - time).abs() <= WINDOW => {
                Ok((key, Millis((time + WINDOW + 1) * 1_000)))
            }
            _ => Err(
                "it was signed more than five minutes ago, or will be (`oauth_timestamp`); look at the clocks",
            ),
        }
    }

    /// From which course it is, and what somebody with these roles is in it.
    fn course(&self, message: &Message) -> (Vec<Place>, Option<CourseRole>) {
        let trusts = (self.config.trust_labels, self.config.trust_links);
        let places = message.places(&self.config.id, trusts);
        let role = role::in_course(&message.roles, &self.config.roles);
        let role = role.filter(|_| !places.is_empty());
        (places, role)
    }

    /// The fields by their names, and under those that the claims of newer platforms have.
    fn told(&self, posted: &Signed) -> Claims {
        let mut claims = Claims::new();
        for (name, value) in posted.fields() {
            if !name.starts_with("oauth_") {
                claims.insert(name.to_owned(), Value::from(value));
            }
        }
        claims.remove("hd");
        for (name, from) in [
            ("name", "lis_person_name_full"),
            ("email", "lis_person_contact_email_primary"),
        ] {
            claims.remove(name);
            if let Some(value) = posted.get(from) {
                claims.insert(name.into(), Value::from(value));
            }
        }
        claims.insert(
            "email_verified".into(),
            Value::Bool(self.config.mail_is_verified),
        );
        claims
    }
}

fn message(posted: &Signed, address: &str) -> Message {
    let context = posted.text("context_id", ID_MAX).map(|id| Context {
        id,
        label: posted.text("context_label", ID_MAX),
        title: posted.text("context_title", TEXT_MAX),
    });
    Message {
        deployment: String::new(),
        target: address.to_owned(),
        roles: roles(posted.get("roles").unwrap_or_default()),
        context,
        next: posted.wish(),
        course: posted.text("custom_course", ID_MAX),
        roster: None,
        picking: None,
    }
}

/// Roles as they were written, and whole without their parts.
fn roles(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split(',').map(str::trim).take(ROLES_MAX) {
        if word.is_empty() || word.len() > TEXT_MAX {
            continue;
        }
        found.push(word.to_owned());
        // `Instructor` is `urn:lti:role:ims/lis/Instructor`, of which `…/Instructor/GuestInstructor` is a part.
        let role = word.strip_prefix(ROLE).unwrap_or(word);
        let main = role.split('/').next().unwrap_or_default();
        if !main.contains(':') {
            found.push(format!("{ROLE}{main}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_read_in_one_way() {
        let read = Signed::parse(b"next=%2Fhub", b"user_id=1&oauth_signature=x&a=%20+").unwrap();
        assert_eq!(read.get("a"), Some("  "));
        assert_eq!(read.wish().as_deref(), Some("/hub"));
        let mut again = read.clone();
        assert_eq!(again.take("user_id").as_deref(), Some("1"));
        assert_eq!(again.take("user_id"), None);
        let names = |fields: Fields| {
            let mut names: Vec<String> = fields.into_iter().map(|(name, _)| name).collect();
            names.sort();
            names
        };
        let form = names(read.fields_without(b"next=%2Fhub"));
        assert_eq!(form, ["a", "oauth_signature", "user_id"]);
        let many = vec!["x=1"; 201].join("&");
        let long = format!("oauth_signature=x&a={}", "a".repeat(VALUE_MAX + 1));
        let five = |value: &str| -> String {
            let fields = ["a", "b", "c", "d", "e"].map(|name| format!("&{name}={value}"));
            format!("oauth_signature=x{}", fields.concat())
        };
        let large = five(&"a".repeat(VALUE_MAX));
        assert!(Signed::parse(b"", five(&"a".repeat(VALUE_MAX / 2)).as_bytes()).is_some());
        for (query, form) in [
            ("", ""),
            ("", "user_id=1"),
            ("", "oauth_signature=x&oauth_signature=y"),
            ("", "oauth_signature=x&user_id=1&user_id=1"),
            ("user_id=2", "oauth_signature=x&user_id=1"),
            ("oauth_signature=x", "user_id=1"),
            ("", &long),
            ("", &many),
            ("", &large),
            (&large, "oauth_nonce=1"),
        ] {
            let read = Signed::parse(query.as_bytes(), form.as_bytes());
            assert_eq!(read, None, "{query:.60} {form:.60}");
        }
        // Each byte that is no text is three of it when it is read.
        let odd = |many: usize| -> Vec<u8> {
            let mut form = b"oauth_signature=x".to_vec();
            for name in *b"abcde" {
                form.extend([b'&', name, b'=']);
                form.extend(vec![0xFF; many]);
            }
            form
        };
        assert!(Signed::parse(b"", &odd(4_000)).is_some());
        assert_eq!(Signed::parse(b"", &odd(5_000)), None);
    }

    /// Whoever writes a link writes its address, and says nothing of who comes and from where.
    #[test]
    fn what_stands_in_the_address_says_only_where_it_leads() {
        let query = b"next=%2Fhub&custom_course=bio&context_label=BIO&roles=Instructor&user_id=2";
        let form = b"oauth_signature=x&context_id=42&oauth_nonce=1";
        let read = Signed::parse(query, form).unwrap();
        for name in ["user_id", "roles", "custom_course", "next"] {
            assert_eq!(read.get(name), None, "{name}");
        }
        assert_eq!(read.get("oauth_nonce"), Some("1"));
        let message = message(&read, "https://hub.example.edu/hub/lti/launch");
        assert_eq!(message.next.as_deref(), Some("/hub"));
        assert_eq!((message.course, message.roles), (None, Vec::new()));
        let context = message.context.unwrap();
        assert_eq!((&*context.id, context.label), ("42", None));
        let names: Vec<&str> = read.fields().map(|(name, _)| name).collect();
        assert_eq!(names, ["oauth_signature", "context_id", "oauth_nonce"]);
    }

    #[test]
    fn roles_are_those_of_the_course_alone() {
        let check = |text: &str, expect: Option<CourseRole>| {
            let found = role::in_course(&roles(text), &BTreeMap::new());
            assert_eq!(found, expect, "{text}");
        };
        check("Instructor", Some(CourseRole::Teacher));
        check("Learner", Some(CourseRole::Student));
        check("TeachingAssistant", Some(CourseRole::Grader));
        check("urn:lti:role:ims/lis/Instructor", Some(CourseRole::Teacher));
        let part = "urn:lti:role:ims/lis/TeachingAssistant/TeachingAssistantSection";
        check(part, Some(CourseRole::Grader));
        check("Learner/NonCreditLearner", Some(CourseRole::Student));
        check("Learner, Instructor", Some(CourseRole::Teacher));
        for odd in [
            "",
            "Administrator",
            "instructor",
            "urn:lti:instrole:ims/lis/Instructor",
            "urn:lti:sysrole:ims/lis/Instructor",
            "x/Instructor",
        ] {
            check(odd, None);
        }
    }
}
