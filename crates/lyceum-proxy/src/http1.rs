//! HTTP/1.1 as bytes: heads, lengths and chunks, without any IO (RFC 9112).
//!
//! Everything here takes slices and gives values, so that it can be fuzzed. The rule throughout:
//! what two readers could understand in two ways is refused. Reading order: `scan` (where a head
//! ends) → `request`, `answer` (a head becomes an index) → `framing` (how long its body is) →
//! `chunked` (a body in pieces).

pub(crate) mod answer;
pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod request;
pub(crate) mod scan;

/// Why bytes are not taken for HTTP; the text is for whoever sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// 400.
    #[error("{0}")]
    Bad(&'static str),
    #[error("it names more than one host")]
    TwoHosts,
    #[error("it names no host")]
    NoHost,
    #[error("its address and its host differ")]
    HostsDiffer,
    /// 431.
    #[error("its headers are too large")]
    TooLarge,
    /// 400.
    #[error("its trailers are too large")]
    TrailersTooLarge,
    /// 501.
    #[error("{0}")]
    Unknown(&'static str),
}
