//! What `lyceum` is in production, for the tests of this crate: the keeper, and a hub to be killed.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lyceum_model::name::{ServerName, UserName};
use lyceum_model::secret::Secret;
use lyceum_model::server::{HubEnv, ServerKey, ServerSpec};
use lyceum_spawn::local::{LocalConfig, LocalSpawner, shim};
use lyceum_spawn::{Spawner, StartOrder, Steps};
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("hub") => hub(&arguments[0], &arguments[2], &arguments[3]),
        Some("poll") => poll(&arguments[0], &arguments[2]),
        _ => shim::run(),
    }
}

/// Starts the server `ada-1` with a shell script and then waits to be killed.
fn hub(program: &str, folder: &str, script: &str) -> ExitCode {
    let config = config(program, folder);
    runtime().block_on(async {
        let spawner = LocalSpawner::new(config).expect("a spawner");
        let started = spawner.start(&order(script), &Steps::silent()).await;
        started.expect("it starts");
        std::future::pending::<ExitCode>().await
    })
}

/// Prints what is seen of the server `ada-1`, for looks with other rights than the test's.
fn poll(program: &str, folder: &str) -> ExitCode {
    let spawner = LocalSpawner::new(config(program, folder)).expect("a spawner");
    let key = ServerKey::parse("ada-1").expect("a key");
    let status = runtime().block_on(spawner.poll(&key));
    let text = format!("{:?}", status.expect("known"));
    std::io::stdout().write_all(text.as_bytes()).expect("heard");
    ExitCode::SUCCESS
}

fn config(program: &str, folder: &str) -> LocalConfig {
    let folder = PathBuf::from(folder);
    let (run, homes) = (folder.join("run"), folder.join("homes"));
    let mut config = LocalConfig::new(vec![program.to_owned()], run, homes);
    config.inherited = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
    config
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn order(script: &str) -> StartOrder {
    StartOrder {
        key: ServerKey::parse("ada-1").expect("a key"),
        spec: ServerSpec {
            command: ["sh", "-c", script].map(str::to_owned).into(),
            home: "ada".into(),
            ..ServerSpec::default()
        },
        hub: HubEnv {
            user: UserName::parse("ada").expect("a name"),
            server: ServerName::parse("").expect("a name"),
            base_url: "/".into(),
            prefix: "/user/ada/".into(),
            api_url: "http://127.0.0.1:8081/hub/api".into(),
            host: String::new(),
            own_host: String::new(),
            host_cookies: false,
            public_url: String::new(),
            public_hub_url: String::new(),
            client_id: "jupyterhub-user-ada".into(),
            api_token: Secret::new("token"),
            access_scopes: Vec::new(),
            client_allowed_scopes: Vec::new(),
        },
    }
}
