//! Logs: pretty for people or JSON for machines, always to standard error. Request ids come from
//! the spans that `lyceum-web` opens. `LYCEUM_LOG` (`debug`, `lyceum_hub=trace,info`) wins over
//! the configuration.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogLevel, RawLog};
use crate::failure::Failure;

pub const VARIABLE: &str = "LYCEUM_LOG";

/// Starts logging; once per process.
pub fn start(log: &RawLog) -> Result<(), Failure> {
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let text = std::env::var(VARIABLE).unwrap_or_else(|_| level.into());
    let filter = EnvFilter::try_new(&text).map_err(|error| {
        Failure::new(format!("{VARIABLE}={text:?} is not a log filter: {error}"))
            .hint("write a level such as `debug`, or `lyceum_hub=trace,info`")
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Pretty => builder
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| Failure::new(format!("logging can't be started: {error}")))
}
