//! How many files this process may have open, and how many client connections go with that.
//!
//! A client connection takes one descriptor and, while it is served or tunnelled, one more towards
//! its server. Idle connections to servers take what is left, and give it up when it runs short
//! (`upstream/pool.rs`).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For listening sockets, files, the control API, connections to a hub.
const RESERVED: u64 = 256;
/// Whatever the limit is. Where it is too low for even these, accepting waits.
const LEAST: usize = 64;
/// However high the limit is: each connection may also hold buffers.
const MOST: usize = 32_768;

/// Raises this process's limit of open files as far as the system lets it, and gives what holds
/// then; none if there is no limit. What it starts inherits that.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(maximum)
}

/// Client connections that go with the limit as it is now.
pub(crate) fn connections_now() -> usize {
    connections_within(getrlimit(Resource::Nofile).current)
}

fn connections_within(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.unwrap_or(u64::MAX);
    let pairs = descriptors.saturating_sub(RESERVED) / 2;
    usize::try_from(pairs).map_or(MOST, |pairs| pairs.clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_descriptors_for_each_client_and_some_for_the_rest() {
        let check = |descriptors: Option<u64>, expect: usize| {
            assert_eq!(
                connections_within(descriptors),
                expect,
                "within {descriptors:?}"
            );
        };
        check(Some(0), 64);
        check(Some(256), 64);
        check(Some(1_024), 384);
        check(Some(20_000), 9_872);
        check(Some(65_536), 32_640);
        check(Some(1_048_576), 32_768);
        check(None, 32_768);
    }
}
