//! How a request and its answer are changed on their way, for those who are used to
//! configurable-http-proxy's options. What the defaults leave alone is forwarded as it came.
//!
//! Only the wishes are here; `outgoing` obeys them.

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Headers that say how a message is cut; another value than the true one would let a second
/// request hide in a first.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

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

impl Rewrite {
    /// Reads `NAME:VALUE` for [`Rewrite::custom_headers`].
    pub fn parse_header(text: &str) -> Result<(String, String), String> {
        let (name, value) = text
            .split_once(':')
            .ok_or("a header is written NAME:VALUE")?;
        let name: HeaderName = name
            .trim()
            .parse()
            .map_err(|_| format!("\"{}\" can't be the name of a header", name.trim()))?;
        if FRAMING.contains(&name.as_str()) {
            return Err(format!("{name} is for the proxy alone to say"));
        }
        let value = value.trim();
        HeaderValue::from_str(value)
            .map_err(|_| "its value has a character that no header may have")?;
        Ok((name.to_string(), value.to_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_headers_are_read() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let got = Rewrite::parse_header(text).ok();
            let got = got
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(got, expect, "{text}");
        };
        check("X-Site: a:b", Some(("x-site", "a:b")));
        check(" k1 : v1 ", Some(("k1", "v1")));
        for wrong in ["k1", ":v", "a b:c", "k:a\nb", "Content-Length: 3", "host:x"] {
            check(wrong, None);
        }
    }
}
