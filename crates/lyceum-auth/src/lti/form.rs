//! What browsers bring from a platform: the request to begin, and the launch. Nothing of it is believed here.

/// The longest value of the request to begin.
const VALUE_MAX: usize = 4 * 1024;
/// A token with long texts of a course in it.
const TOKEN_MAX: usize = 64 * 1024;
const ERROR_MAX: usize = 64;

/// A platform asks that somebody be sent to it (Security Framework, 5.1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Initiation {
    pub issuer: String,
    pub login_hint: String,
    pub message_hint: Option<String>,
    pub client_id: Option<String>,
    pub deployment: Option<String>,
}

impl Initiation {
    /// Reads a query or a form. What is said twice, or is too long, could be understood in two ways:
    /// nothing of it counts. Where the link leads is not read: the signed launch says it once more.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (mut issuer, mut login_hint, mut target) = (None, None, None);
        let mut found = Self::default();
        for (key, value) in url::form_urlencoded::parse(text) {
            let place = match &*key {
                "iss" => &mut issuer,
                "login_hint" => &mut login_hint,
                "target_link_uri" => &mut target,
                "lti_message_hint" => &mut found.message_hint,
                "client_id" => &mut found.client_id,
                "lti_deployment_id" => &mut found.deployment,
                _ => continue,
            };
            if place.is_some() || value.len() > VALUE_MAX {
                return None;
            }
            *place = Some(value.into_owned());
        }
        found.issuer = issuer?;
        found.login_hint = login_hint?;
        target.map(|_| found)
    }

    /// The same once more, for a form or a query.
    pub fn fields(&self, target: &str) -> Vec<(&'static str, String)> {
        let more = [
            ("lti_message_hint", &self.message_hint),
            ("client_id", &self.client_id),
            ("lti_deployment_id", &self.deployment),
        ];
        let more = more
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)));
        [
            ("iss", self.issuer.clone()),
            ("login_hint", self.login_hint.clone()),
            ("target_link_uri", target.to_owned()),
        ]
        .into_iter()
        .chain(more)
        .collect()
    }
}

/// A launch as a browser posts it, or that there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Posted {
    pub state: String,
    pub token: Option<String>,
    /// Why not, in a word.
    pub error: Option<String>,
    /// It was posted by a page of ours that had it from the platform.
    pub again: bool,
}

impl Posted {
    /// Reads the form. What is said twice, or is too long, is refused as a whole.
    pub fn parse(form: &[u8]) -> Option<Self> {
        let (mut state, mut again, mut found) = (None, None, Self::default());
        for (key, value) in url::form_urlencoded::parse(form) {
            let (place, most) = match &*key {
                "state" => (&mut state, VALUE_MAX),
                "id_token" => (&mut found.token, TOKEN_MAX),
                "error" => (&mut found.error, ERROR_MAX),
                "again" => (&mut again, 1),
                _ => continue,
            };
            if place.is_some() || value.len() > most {
                return None;
            }
            *place = Some(value.into_owned());
        }
        let is_word = |word: &String| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if found.error.as_ref().is_some_and(|word| !is_word(word)) {
            return None;
        }
        found.state = state?;
        found.again = again.is_some();
        (found.token.is_some() != found.error.is_some()).then_some(found)
    }

    /// The same once more, for a form.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let more = [("id_token", &self.token), ("error", &self.error)];
        let more = more
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)));
        [("state", self.state.clone()), ("again", "1".into())]
            .into_iter()
            .chain(more)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_begin_is_read_in_one_way() {
        let good =
            b"iss=https%3A%2F%2Fx&login_hint=a+b&target_link_uri=https%3A%2F%2Fy&client_id=c";
        let read = Initiation::parse(good).unwrap();
        assert_eq!((&*read.issuer, &*read.login_hint), ("https://x", "a b"));
        let again = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(read.fields("https://y"))
            .finish();
        assert_eq!(Initiation::parse(again.as_bytes()), Some(read));
        let long = format!("iss=x&login_hint={}&target_link_uri=y", "a".repeat(5_000));
        for odd in [
            "",
            "iss=x&login_hint=a",
            "iss=x&target_link_uri=y",
            "login_hint=a&target_link_uri=y",
            "iss=x&iss=z&login_hint=a&target_link_uri=y",
            "iss=x&login_hint=a&target_link_uri=y&client_id=a&client_id=b",
            &long,
        ] {
            assert_eq!(Initiation::parse(odd.as_bytes()), None, "{odd:.60}");
        }
    }

    #[test]
    fn a_launch_is_read_in_one_way() {
        let read = Posted::parse(b"state=s&id_token=a.b.c&extra=1").unwrap();
        assert_eq!(read.token.as_deref(), Some("a.b.c"));
        assert!(!read.again);
        let again = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(read.fields())
            .finish();
        assert!(Posted::parse(again.as_bytes()).unwrap().again);
        assert!(Posted::parse(b"state=s&error=login_required").is_some());
        let long = format!("state=s&id_token={}", "a".repeat(70_000));
        for odd in [
            "",
            "state=s",
            "id_token=a",
            "state=s&id_token=a&error=b",
            "state=s&state=t&id_token=a",
            "state=s&id_token=a&id_token=b",
            "state=s&error=log%0Aline",
            &long,
        ] {
            assert_eq!(Posted::parse(odd.as_bytes()), None, "{odd:.60}");
        }
    }
}
