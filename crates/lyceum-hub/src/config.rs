//! What of the configuration concerns the hub, already checked.

use std::time::Duration;

/// Settings that can change while the hub runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://jupyter.example.edu`, without a slash; `None`: as the browser says.
    pub public_origin: Option<String>,
    /// Where servers reach the API: `http://127.0.0.1:8081/hub/api`.
    pub api_url: String,
    /// How long a server may take until it answers.
    pub start_timeout: Duration,
    /// Starts under way at once on this replica.
    pub starting_at_once: usize,
    /// Servers one person may have besides the default one.
    pub named_servers: usize,
    /// What the site is called, on every page.
    pub site_name: String,
    pub theme: lyceum_web::page::Theme,
    /// Shown on the log-in page, for instance where the first password stands.
    pub sign_in_hint: Option<String>,
    /// State of the configuration file, for the admin page.
    pub config_state: ConfigState,
}

/// What the admin page says of the configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigState {
    pub generation: u64,
    pub loaded_at: i64,
    /// Path of the file; none when everything is default.
    pub source: Option<String>,
    /// Set when the last edit was bad and the one before is in force: when, and what is wrong.
    pub problem: Option<(i64, String)>,
}
