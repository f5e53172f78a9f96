//! Ways in by which a browser is sent to another site, which says who is there.

use async_trait::async_trait;
use lyceum_model::clock::Millis;
use lyceum_model::identity::Identity;
use url::Url;

use crate::attempt::Refused;
use crate::journey::Proofs;
use crate::renewal::{Arrived, Grant, NotSaid, Renewed, Renewing};

/// The longest value that a way back may bring.
const VALUE_MAX: usize = 8 * 1024;

/// Another site that says who somebody is.
#[async_trait]
pub trait Elsewhere: Send + Sync {
    /// The word in the configuration: `oidc`.
    fn kind(&self) -> &'static str;

    /// Tells it from others in addresses; empty for the one without a name of its own.
    fn id(&self) -> &str;

    /// What the log-in page calls it.
    fn title(&self) -> &str;

    /// Whether browsers are sent there from the log-in page without being asked.
    fn is_automatic(&self) -> bool {
        false
    }

    /// Whether its own rule says who may come; otherwise an allow list must name the person.
    fn names_people(&self) -> bool;

    /// Where to send the browser. `back` is where it shall come back to.
    async fn depart(&self, proofs: &Proofs, back: &Url) -> Result<Url, Refused>;

    /// Who came back. Every doubt is a refusal.
    async fn arrive(
        &self,
        proofs: &Proofs,
        back: &Url,
        answer: &Return,
    ) -> Result<Arrived, Refused>;

    /// How often it is asked about those who came by it, as long as they are here. Nothing: never.
    fn renewing(&self) -> Option<Renewing> {
        None
    }

    /// Asks about somebody who came by it, with what she left here. What is given instead of that has to
    /// be kept, whatever is said besides.
    async fn renew(&self, _grant: &Grant) -> Renewed<Identity> {
        Renewed::without(NotSaid::Unasked)
    }

    /// Where to send a browser that logs out here, to log out there too and come back.
    async fn log_out(&self, back: &Url) -> Option<Url>;

    /// What the site says of somebody who has logged out there, in a message that it sends by itself.
    /// Every doubt is a refusal.
    async fn told(&self, _message: &str) -> Result<LoggedOut, Refused> {
        tracing::warn!(
            kind = self.kind(),
            "messages about log-outs are not known of this way in"
        );
        Err(Refused::Denied)
    }

    /// Whether whoever logs out here is sent there without being asked.
    fn logs_out_there(&self) -> bool {
        false
    }
}

/// Somebody has logged out at another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// Who says so.
    pub issuer: String,
    /// Who; nothing: whoever has that session.
    pub subject: Option<String>,
    /// Of which session there; nothing: of all.
    pub session: Option<String>,
    /// Tells this message from others.
    pub(crate) mark: String,
    /// Until then it could be sent once more.
    pub(crate) until: Millis,
}

impl LoggedOut {
    pub(crate) fn message(&self) -> String {
        format!("{}\n{}", self.issuer, self.mark)
    }
}

/// What a browser brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Return {
    pub state: String,
    pub code: Option<String>,
    pub error: Option<String>,
    /// Who says that it answers (RFC 9207).
    pub issuer: Option<String>,
}

impl Return {
    /// Reads a query. What is said twice, or is too long, could be understood in two ways: nothing
    /// of it counts.
    pub fn parse(query: &str) -> Option<Self> {
        let (mut state, mut found) = (None, Self::default());
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let place = match &*key {
                "state" => &mut state,
                "code" => &mut found.code,
                "error" => &mut found.error,
                "iss" => &mut found.issuer,
                _ => continue,
            };
            if place.is_some() || value.len() > VALUE_MAX {
                return None;
            }
            *place = Some(value.into_owned());
        }
        found.state = state?;
        (found.code.is_some() != found.error.is_some()).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_is_read_in_one_way() {
        let good = Return::parse("code=a%2Bb&state=s&iss=https%3A%2F%2Fx&session_state=1").unwrap();
        assert_eq!(good.code.as_deref(), Some("a+b"));
        assert_eq!(good.issuer.as_deref(), Some("https://x"));
        assert!(Return::parse("error=access_denied&state=s").is_some());
        let long = format!("code={}&state=s", "a".repeat(VALUE_MAX + 1));
        for odd in [
            "",
            "state=s",
            "code=a",
            "code=a&error=b&state=s",
            "code=a&code=a&state=s",
            "code=a&state=s&state=s",
            "code=a&state=s&iss=a&iss=b",
            &long,
        ] {
            assert_eq!(Return::parse(odd), None, "{odd:.60}");
        }
    }
}
