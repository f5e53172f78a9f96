//! A learning platform that has nothing newer than LTI 1.1. It signs by its own reading of RFC 5849, so that it
//! shares no mistake with whoever looks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use data_encoding::BASE64;

use super::provider::now;

pub const KEY: &str = "the old & only one";
pub const SECRET: &str = "a secret +with% signs in it";

/// What it has to say of who follows a link.
pub struct OldPlatform {
    fields: BTreeMap<String, String>,
}

/// No two launches have one nonce.
static LAUNCHES: AtomicUsize = AtomicUsize::new(0);

impl Default for OldPlatform {
    /// Ada takes the course `42` there.
    fn default() -> Self {
        let fields = [
            ("lti_message_type", "basic-lti-launch-request"),
            ("lti_version", "LTI-1p0"),
            ("resource_link_id", "link 1"),
            ("context_id", "42"),
            ("context_label", "BIO-101"),
            ("context_title", "Biology & <more>"),
            ("user_id", "1"),
            ("roles", "Learner"),
            ("lis_person_name_full", "Ada Lovelace, née Byron"),
            ("lis_person_contact_email_primary", "ada@example.edu"),
            ("ext_user_username", "ada"),
            ("custom_empty", ""),
            (
                "launch_presentation_return_url",
                "https://lms.example.edu/?a=b&c=d%20e",
            ),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            fields: fields.into(),
        }
    }
}

impl OldPlatform {
    /// Launches have this field from now on.
    pub fn say(&mut self, name: &str, value: &str) -> &mut Self {
        self.fields.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn without(&mut self, name: &str) -> &mut Self {
        self.fields.remove(name);
        self
    }

    /// Somebody else is logged in there.
    pub fn log_in(&mut self, mark: &str, name: &str) -> &mut Self {
        self.say("user_id", mark).say("ext_user_username", name)
    }

    /// The form that a browser posts to this address, which may have a query.
    pub fn launch(&self, to: &str) -> Vec<(String, String)> {
        self.launch_at(to, 0, SECRET)
    }

    /// The same by a clock that goes wrong by so many seconds, and with this secret.
    pub fn launch_at(&self, to: &str, late: i64, secret: &str) -> Vec<(String, String)> {
        let number = LAUNCHES.fetch_add(1, Ordering::Relaxed);
        let time = i64::try_from(now()).expect("a time") + late;
        let mut form = self.fields.clone();
        for (name, value) in [
            ("oauth_version", "1.0"),
            ("oauth_callback", "about:blank"),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_consumer_key", KEY),
            ("oauth_nonce", &format!("nonce {number} {time}")),
            ("oauth_timestamp", &time.to_string()),
        ] {
            form.entry(name.into()).or_insert(value.into());
        }
        let signature = signature(to, &form, secret);
        let mut form: Vec<(String, String)> = form.into_iter().collect();
        form.push(("oauth_signature".into(), signature));
        form
    }
}

fn signature(to: &str, form: &BTreeMap<String, String>, secret: &str) -> String {
    let (address, query) = to.split_once('?').unwrap_or((to, ""));
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned();
    let form = form
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let mut pairs: Vec<String> = query
        .chain(form)
        .map(|(name, value)| format!("{}={}", code(&name), code(&value)))
        .collect();
    // No sign of a coded text stands before `=` in order but `%`, `-` and `.`, and no name here begins like
    // another and goes on with one of these.
    pairs.sort_unstable();
    let text = ["POST", address, &pairs.join("&")].map(code).join("&");
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{}&", code(secret)).as_bytes(),
    );
    BASE64.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

fn code(text: &str) -> String {
    let of = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(of).collect()
}
