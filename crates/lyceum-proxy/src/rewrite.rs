//! How a request and its answer are changed on their way, for those who are used to
//! configurable-http-proxy's options. What the defaults leave alone is forwarded as it came.
//!
//! Only the wishes are here; `outgoing` obeys them.

use serde::{Deserialize, Serialize};

/// How requests and answers are changed on their way, as configurable-http-proxy's options say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewrite {
    /// The route's prefix stays in the path that is sent on.
    pub include_prefix: bool,
    /// The target's own path comes before the path that is sent on.
    pub prepend_path: bool,
    /// `X-Forwarded-*` headers are added.
    pub x_forward: bool,
    /// A `Location` (of a 201, 301, 302, 307 or 308) that names the target's host gets the host
    /// that the client asked for.
    pub auto_rewrite: bool,
    /// The target gets its own name as `Host`, instead of the one that the client asked for.
    pub change_origin: bool,
    /// The scheme that such a `Location` gets.
    pub protocol_rewrite: Option<Scheme>,
    /// Headers added to every request that is sent on; they replace the client's of that name.
    pub custom_headers: Vec<(String, String)>,
}

impl Default for Rewrite {
    fn default() -> Self {
        Self {
            include_prefix: true,
            prepend_path: true,
            x_forward: true,
            auto_rewrite: false,
            change_origin: false,
            protocol_rewrite: None,
            custom_headers: Vec::new(),
        }
    }
}

/// What an address begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
