//! The environment of a server, as a pure function of the order and the address.
//!
//! Invariant: nothing of the hub's own environment reaches a server but what [`inherit`] lets
//! through. Later layers win: the system's few, the person's, `JUPYTERHUB_*`, limits, the spec's.

use std::collections::BTreeMap;

use lyceum_model::server::{HubEnv, Resources, ServerSpec};

use crate::error::SpawnError;
use crate::spawner::StartOrder;
use lyceum_model::say;

/// Sorted, so that the same order makes the same environment.
pub type Env = BTreeMap<String, String>;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a spawner adds to the order.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// `http://127.0.0.1:41234`.
    pub address: &'a str,
    /// The home folder as the server sees it.
    pub home: &'a str,
    pub shell: &'a str,
    /// What came through [`inherit`].
    pub inherited: &'a Env,
}

/// Picks what servers get of the hub's environment: `PATH`, language, time zone, and the names
/// that the configuration declares.
pub fn inherit(own: impl IntoIterator<Item = (String, String)>, declared: &[String]) -> Env {
    let passes = |name: &str| {
        matches!(name, "PATH" | "LANG" | "LANGUAGE" | "TZ")
            || name.starts_with("LC_")
            || declared.iter().any(|d| d == name)
    };
    own.into_iter().filter(|(name, _)| passes(name)).collect()
}

/// The whole environment of a server.
pub fn build(order: &StartOrder, around: &Surroundings<'_>) -> Result<Env, SpawnError> {
    of(&order.spec, Some(&order.hub), around)
}

/// The same for any program; one that is no server is told by its spec alone what it must know.
pub fn of(
    spec: &ServerSpec,
    hub: Option<&HubEnv>,
    around: &Surroundings<'_>,
) -> Result<Env, SpawnError> {
    let mut env = around.inherited.clone();
    env.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());

    let user = match (&spec.run_as, hub) {
        (Some(run_as), _) => Some(run_as.account.as_str()),
        (None, hub) => hub.map(|hub| hub.user.as_str()),
    };
    let inherited_path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let folders = spec.path_first.iter().map(String::as_str);
    let path: Vec<&str> = folders.chain([inherited_path]).collect();
    let path = path.join(":");
    for (name, value) in [
        ("HOME", Some(around.home)),
        ("USER", user),
        ("LOGNAME", user),
        ("SHELL", Some(around.shell)),
        ("PATH", Some(path.as_str())),
    ] {
        if let Some(value) = value {
            env.insert(name.into(), value.into());
        }
    }

    if let Some(hub) = hub {
        env.extend(jupyterhub(hub, around.address));
    }
    if let Some(page) = &spec.default_url {
        env.insert("JUPYTERHUB_DEFAULT_URL".into(), page.clone());
    }
    env.extend(limits(&spec.resources));
    env.extend(spec.env.clone());
    check(&env)?;
    Ok(env)
}

/// The variables by which a Jupyter server finds its hub.
pub fn jupyterhub(hub: &HubEnv, address: &str) -> Env {
    let token = hub.api_token.expose();
    let access = json_list(&hub.access_scopes);
    let api = hub.api_url.trim_end_matches('/');
    let user = hub.user.as_str();
    let pairs = [
        ("JUPYTERHUB_API_TOKEN", token.to_owned()),
        ("JPY_API_TOKEN", token.to_owned()),
        ("JUPYTERHUB_CLIENT_ID", hub.client_id.clone()),
        ("JUPYTERHUB_USER", user.to_owned()),
        ("JUPYTERHUB_SERVER_NAME", hub.server.as_str().to_owned()),
        ("JUPYTERHUB_HOST", hub.host.clone()),
        ("JUPYTERHUB_API_URL", api.to_owned()),
        (
            "JUPYTERHUB_ACTIVITY_URL",
            format!("{api}/users/{}/activity", quoted(user)),
        ),
        ("JUPYTERHUB_BASE_URL", hub.base_url.clone()),
        ("JUPYTERHUB_SERVICE_PREFIX", hub.prefix.clone()),
        ("JUPYTERHUB_SERVICE_URL", format!("{address}{}", hub.prefix)),
        (
            "JUPYTERHUB_OAUTH_CALLBACK_URL",
            format!("{}{}oauth_callback", hub.own_host, hub.prefix),
        ),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", access.clone()),
        ("JUPYTERHUB_OAUTH_SCOPES", access),
        (
            "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES",
            json_list(&hub.client_allowed_scopes),
        ),
        (
            "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED",
            u8::from(hub.host_cookies).to_string(),
        ),
        ("JUPYTERHUB_PUBLIC_URL", hub.public_url.clone()),
        ("JUPYTERHUB_PUBLIC_HUB_URL", hub.public_hub_url.clone()),
    ];
    pairs.map(|(name, value)| (name.into(), value)).into()
}

/// What resource displays in the notebook read.
fn limits(resources: &Resources) -> Env {
    let whole = |value: Option<u64>| value.map(|v| v.to_string());
    // With a decimal point even for whole cores, as Python writes a float.
    let cores = |value: Option<f64>| value.map(|v| format!("{v:?}"));
    let pairs = [
        ("MEM_LIMIT", whole(resources.memory_limit)),
        ("MEM_GUARANTEE", whole(resources.memory_guarantee)),
        ("CPU_LIMIT", cores(resources.cpu_limit)),
        ("CPU_GUARANTEE", cores(resources.cpu_guarantee)),
    ];
    let set = pairs.into_iter();
    set.filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Refuses what no process can have in its environment. The message names the variable and never
/// its value.
fn check(env: &Env) -> Result<(), SpawnError> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            let words = say!("order.bad_variable", name = name);
            return Err(SpawnError::BadSpec(words));
        }
        if value.contains('\0') {
            let words = say!("order.nul_in_variable", name = name);
            return Err(SpawnError::BadSpec(words));
        }
    }
    Ok(())
}

fn json_list(scopes: &[String]) -> String {
    serde_json::to_string(scopes).expect("a list of texts is always JSON")
}

/// A user name as one segment of a URL.
fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
