//! How many files this process may open. Service managers let a program open 1,024 until it asks
//! for more, and a proxy needs two for each connection. Notebook servers get back what there was,
//! since old programs expect few.

use std::sync::OnceLock;

/// The limit before it was raised; none if there was none.
static EARLIER: OnceLock<Option<u64>> = OnceLock::new();

/// Raises the limit as far as the system lets us. To be called before a data plane is made, which
/// looks at it, and before anything is started that should not have it.
pub fn raise() {
    EARLIER.get_or_init(|| {
        let before = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        match lyceum_proxy::raise_descriptor_limit() {
            Ok(limit) => tracing::debug!(?limit, "the limit of open files is raised"),
            Err(error) => tracing::warn!(%error, "the limit of open files can't be raised"),
        }
        before
    });
}

/// What it was before; none if it is as it was.
pub fn earlier() -> Option<u64> {
    EARLIER.get().copied().flatten()
}
