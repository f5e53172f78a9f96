//! Where browsers meet the hub and people's servers: one origin for all, or one for each person.
//!
//! With an origin each, a page of a server is a stranger to the hub and to everybody else's servers,
//! whatever script it holds. The hub's cookies stay at the hub's host. So whoever comes to a server
//! for the first time is sent to the hub, which sends her back with a ticket; the ticket is changed
//! for a cookie of that host alone ([`crate::pages::enter`]).
//!
//! Hosts are derived, not stored: nothing is kept under them.

use lyceum_model::base::BasePath;
use lyceum_model::name::{ServerName, UserName};
use lyceum_web::cookie;
use subtle::ConstantTimeEq;

use crate::servers;

/// Longest label of a host name (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;
/// How much of a name that is no label stands before its digest.
const SLUG_MAX: usize = 40;
const DIGEST_BYTES: usize = 10;
/// What a cookie of one host begins with.
const COOKIE_MARK: &str = "at.";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// `https://jupyter.example.edu`, without a slash; `None`: as the browser says.
    hub: Option<String>,
    /// The host of the hub, above those of people; `None`: all have one origin.
    domain: Option<String>,
    /// Below which path all of it is, at every host.
    base: BasePath,
}

impl Origins {
    /// One for the hub and all servers.
    pub fn one(hub: Option<String>) -> Self {
        Self {
            hub,
            domain: None,
            base: BasePath::default(),
        }
    }

    /// One for the hub, and below its host one for each person. `None` if the hub's host is no name.
    pub fn apart(hub: &url::Url) -> Option<Self> {
        let domain = hub.domain()?.trim_end_matches('.').to_ascii_lowercase();
        Some(Self {
            hub: Some(hub.origin().ascii_serialization()),
            domain: Some(domain),
            base: BasePath::default(),
        })
    }

    /// The same below a path.
    #[must_use]
    pub fn below_path(self, base: BasePath) -> Self {
        Self { base, ..self }
    }

    pub fn base(&self) -> &BasePath {
        &self.base
    }

    /// The path of a server.
    pub fn path(&self, user: &UserName, server: &ServerName) -> String {
        servers::prefix(&self.base, user, server)
    }

    /// The address of a path of the hub's, if its host is known.
    pub fn hub_url(&self, path: &str) -> Option<String> {
        Some(format!("{}{}", self.hub()?, self.base.at(path)))
    }

    pub fn are_apart(&self) -> bool {
        self.domain.is_some()
    }

    pub fn hub(&self) -> Option<&str> {
        self.hub.as_deref()
    }

    /// Whether browsers come by TLS, as far as the configuration says.
    pub fn are_secure(&self) -> bool {
        self.hub().is_some_and(|hub| hub.starts_with("https://"))
    }

    /// The host below which people have theirs.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// Of a person's servers.
    pub fn of(&self, user: &UserName) -> Option<String> {
        let hub = self.hub()?;
        Some(match &self.domain {
            Some(_) => hub.replacen("://", &format!("://{}.", label(user)), 1),
            None => hub.to_owned(),
        })
    }

    /// The host of a person's servers, without a port, if it is not the hub's.
    pub fn host_of(&self, user: &UserName) -> Option<String> {
        let domain = self.domain.as_ref()?;
        Some(format!("{}.{domain}", label(user)))
    }

    /// What clients are told as the address of a server: whole where it has another origin than the
    /// hub, else a path.
    pub fn url(&self, user: &UserName, server: &ServerName) -> String {
        let path = self.path(user, server);
        match self.are_apart() {
            true => format!("{}{path}", self.of(user).unwrap_or_default()),
            false => path,
        }
    }

    /// The address of a server with scheme and host, if they are known.
    pub fn full_url(&self, user: &UserName, server: &ServerName) -> Option<String> {
        Some(format!("{}{}", self.of(user)?, self.path(user, server)))
    }

    /// Whether this host, as a browser sends it, is below the hub's.
    pub fn is_below(&self, host: &str) -> bool {
        let host = without_port(host).to_ascii_lowercase();
        self.domain.as_ref().is_some_and(|domain| {
            host.strip_suffix(domain.as_str())
                .is_some_and(|above| above.ends_with('.'))
        })
    }

    /// Whether this host is the number of the machine whose name the hub goes by: cookies and hosts
    /// below belong to the name alone.
    pub fn is_alias(&self, host: &str) -> bool {
        let is_number = without_port(host) == "127.0.0.1" || host.starts_with("[::1]");
        is_number && self.domain.as_deref() == Some("localhost")
    }

    /// Whether this host is the one of a person's servers.
    pub fn is_of(&self, host: &str, user: &UserName) -> bool {
        let own = self.host_of(user);
        own.is_some_and(|own| own.eq_ignore_ascii_case(without_port(host)))
    }

    /// Where a form of ours may lead in the end, besides the hub: to somebody's server.
    pub fn below(&self) -> Option<String> {
        self.domain.as_ref()?;
        Some(self.hub()?.replacen("://", "://*.", 1))
    }

    /// What the session's name is sent to: all hosts below the hub's, so that servers see when the
    /// session changes. Browsers refuse it for a name without a dot.
    pub fn cookie_domain(&self) -> Option<&str> {
        self.domain.as_deref().filter(|domain| domain.contains('.'))
    }

    /// The cookie that proves a session to the hub, and its path. A server's page can set cookies
    /// for the hub's host from below it, except those that browsers keep to one host by their name.
    pub fn login_cookie(&self) -> (&'static str, String) {
        match self.are_apart() && self.are_secure() {
            true => (cookie::LOGIN_ONE_HOST, "/".into()),
            false => (cookie::LOGIN, self.base.hub()),
        }
    }
}

/// What stands before the hub's host for a person. No two names have the same: what is derived from
/// a digest has two hyphens in it, and no name that is used as it is has.
fn label(user: &UserName) -> String {
    let name = user.as_str();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= LABEL_MAX
        && name.chars().all(fits)
        && !name.ends_with('-')
        && !name.contains("--")
    {
        return name.to_owned();
    }
    let slug: String = name.chars().filter(|&c| fits(c) && c != '-').collect();
    let slug: String = slug.chars().take(SLUG_MAX).collect();
    let digest = blake3::hash(name.as_bytes());
    let digest = &digest.as_bytes()[..DIGEST_BYTES];
    let digest = data_encoding::BASE32_NOPAD
        .encode(digest)
        .to_ascii_lowercase();
    format!("{slug}--{digest}")
}

/// The host of a `Host` header.
pub fn without_port(host: &str) -> &str {
    let host = host.split(':').next().unwrap_or_default();
    host.trim_end_matches('.')
}

/// Makes and checks the cookies by which a session opens the servers of one host.
#[derive(Clone)]
pub struct HostKey([u8; 32]);

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostKey(***)")
    }
}

impl HostKey {
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The cookie of a session for one host. Nothing of it is kept.
    pub fn cookie(&self, session: &str, host: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(session.as_bytes());
        hasher.update(b"\0");
        hasher.update(host.as_bytes());
        let proof = data_encoding::BASE64URL_NOPAD.encode(hasher.finalize().as_bytes());
        format!("{COOKIE_MARK}{session}.{proof}")
    }

    /// The session that a cookie stands for at this host.
    pub fn session<'a>(&self, cookie: &'a str, host: &str) -> Option<&'a str> {
        let (session, _) = cookie.strip_prefix(COOKIE_MARK)?.split_once('.')?;
        let good = self.cookie(session, host);
        bool::from(good.as_bytes().ct_eq(cookie.as_bytes())).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserName {
        UserName::parse(name).expect("a good name")
    }

    fn apart(hub: &str) -> Origins {
        Origins::apart(&hub.parse().expect("a URL")).expect("a host name")
    }

    #[test]
    fn everybody_has_an_origin() {
        let check = |hub: &str, name: &str, expect: &str| {
            assert_eq!(apart(hub).of(&user(name)).as_deref(), Some(expect));
        };
        check(
            "https://hub.example.edu",
            "ada",
            "https://ada.hub.example.edu",
        );
        check("http://localhost:8000", "ada", "http://ada.localhost:8000");
        check(
            "https://Hub.Example.edu:443",
            "b-2",
            "https://b-2.hub.example.edu",
        );
        let one = Origins::one(Some("https://hub.example.edu".into()));
        assert_eq!(
            one.of(&user("ada")).as_deref(),
            Some("https://hub.example.edu")
        );
        assert_eq!(one.url(&user("ada"), &ServerName::default()), "/user/ada/");
        assert!(Origins::apart(&"http://127.0.0.1:8000".parse().expect("a URL")).is_none());
    }

    #[test]
    fn no_two_people_share_a_host() {
        let long = "a".repeat(64);
        let names = [
            "ada", "ada.", "ada@x", "ada_x", "a.da", "ada-", "ada--x", "adax", "ada-x", "a", &long,
        ];
        let mut seen = std::collections::HashMap::new();
        for name in names {
            let label = label(&user(name));
            assert!(label.len() <= LABEL_MAX && !label.ends_with('-'), "{label}");
            assert!(
                label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                "{label}"
            );
            if label.contains("--") {
                // Whoever calls herself by what another got does not get it.
                assert_ne!(super::label(&user(&label)), label);
            }
            assert_eq!(seen.insert(label.clone(), name), None, "{name}: {label}");
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        let origins = apart("https://hub.example.edu:8443");
        let check = |host: &str, below: bool, of_ada: bool| {
            assert_eq!(origins.is_below(host), below, "{host}");
            assert_eq!(origins.is_of(host, &user("ada")), of_ada, "{host}");
        };
        check("hub.example.edu", false, false);
        check("hub.example.edu:8443", false, false);
        check("ada.hub.example.edu:8443", true, true);
        check("ADA.Hub.Example.Edu.", true, true);
        check("eve.hub.example.edu", true, false);
        check("x.ada.hub.example.edu", true, false);
        check("evilhub.example.edu", false, false);
        check("127.0.0.1:8081", false, false);
        check("", false, false);
        assert!(!Origins::one(None).is_below("ada.localhost"));
    }

    #[test]
    fn a_cookie_is_good_at_its_own_host() {
        let key = HostKey::new([1; 32]);
        let cookie = key.cookie("s1", "ada.localhost");
        assert_eq!(key.session(&cookie, "ada.localhost"), Some("s1"));
        assert_eq!(key.session(&cookie, "eve.localhost"), None);
        assert_eq!(
            HostKey::new([2; 32]).session(&cookie, "ada.localhost"),
            None
        );
        assert_eq!(
            key.session(&cookie.replace("s1", "s2"), "ada.localhost"),
            None
        );
        assert_eq!(key.session(&format!("{cookie}x"), "ada.localhost"), None);
        assert_eq!(key.session("at.", "ada.localhost"), None);
        assert_eq!(key.session("", "ada.localhost"), None);
    }
}
