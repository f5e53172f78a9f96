//! Small real servers on loopback that stand where a test needs something quick or naughty.

pub mod lti;
pub mod notebook_server;
pub mod old_lti;
pub mod provider;
pub mod spawner;

pub use lti::{FakePlatform, Slip};
pub use notebook_server::{Manner, NotebookServer};
pub use old_lti::OldPlatform;
pub use provider::{FakeProvider, Twist};
pub use spawner::{Behaviour, Ending, FakeSpawner};

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::secret::Secret;
use lyceum_model::server::HubEnv;

/// As much of a hub as a [`NotebookServer`] must know.
pub fn hub_env(user: &str, prefix: &str) -> HubEnv {
    HubEnv {
        user: UserName::parse(user).expect("a good name"),
        server: ServerName::parse("").expect("the default server"),
        base_url: "/".into(),
        prefix: prefix.into(),
        api_url: String::new(),
        host: String::new(),
        own_host: String::new(),
        host_cookies: false,
        public_url: String::new(),
        public_hub_url: String::new(),
        client_id: String::new(),
        api_token: Secret::new(""),
        access_scopes: Vec::new(),
        client_allowed_scopes: Vec::new(),
    }
}
