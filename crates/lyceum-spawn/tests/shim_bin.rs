//! What `lyceum shim` is in production, for the tests of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    lyceum_spawn::local::shim::run()
}
