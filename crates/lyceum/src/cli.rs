//! The command line: what can be said, and who does it. One file per subcommand in `cli/`.

mod audit;
pub mod backup;
pub mod config;
mod courses;
pub mod doctor;
mod exchange;
pub mod explain;
mod guarantees;
pub mod import;
mod languages;
mod mail;
mod maintenance;
mod marks;
pub mod people;
mod person;
pub mod posix;
mod proxy;
mod second_factor;
pub mod serve;
pub mod servers;
mod services;
mod sittings;
pub mod tokens;
pub mod up;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::compose::Ground;
use crate::data::{DEFAULT_FOLDER, Layout};
use crate::failure::Failure;

/// Jupyter for universities, in one program.
#[derive(Debug, Parser)]
#[command(
    name = "lyceum",
    version,
    long_about = "Jupyter for universities, in one program.\n\n\
        `lyceum up` prepares everything it needs in one folder and runs. The rest of the commands \
        look after an installation.",
    after_help = "Examples:\n  \
        lyceum up                      run with everything in ./lyceum-data\n  \
        lyceum up --demo               the same, with a course, a teacher and two students\n  \
        lyceum config check            say what is wrong in ./lyceum.yaml\n  \
        lyceum doctor                  look for what would keep Lyceum from running\n\n\
        Exit codes: 0 good, 1 failed, 2 wrong usage, 3 looked and found problems."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Up(up::Up),
    Serve(serve::Serve),
    // The largest by far.
    Proxy(Box<proxy::ProxyCommand>),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    User(people::UserCommand),
    #[command(subcommand)]
    Admin(people::AdminCommand),
    #[command(subcommand)]
    Token(tokens::TokenCommand),
    #[command(subcommand)]
    Server(servers::ServerCommand),
    #[command(subcommand)]
    Service(services::ServiceCommand),
    #[command(subcommand)]
    Sitting(sittings::SittingCommand),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Mail(mail::MailCommand),
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    #[command(subcommand)]
    Language(languages::LanguageCommand),
    #[command(subcommand)]
    Course(courses::CourseCommand),
    #[command(subcommand)]
    Exchange(exchange::ExchangeCommand),
    #[command(subcommand)]
    Import(import::ImportCommand),
    Explain(explain::Explain),
    Backup(backup::Backup),
    Restore(backup::Restore),
    /// Print completions for a shell.
    #[command(
        after_help = "Example:\n  lyceum completions bash > ~/.local/share/bash-completion/completions/lyceum"
    )]
    Completions {
        shell: Shell,
    },
}

/// Where the data is; shared by every command that touches it.
#[derive(Debug, Clone, clap::Args)]
pub struct DataArgs {
    /// The data folder: database, keys, homes, Jupyter environment.
    #[arg(long, env = "LYCEUM_DATA", value_name = "FOLDER", default_value = DEFAULT_FOLDER)]
    pub data: PathBuf,
}

/// Which configuration; shared likewise.
#[derive(Debug, Clone, clap::Args)]
pub struct ConfigArgs {
    /// The configuration. Left out: lyceum.yaml in this folder if it is there, else the defaults.
    #[arg(long, env = "LYCEUM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where people come in; shared by `up` and by `doctor`, which looks whether it is free.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenArgs {
    /// Address and port to listen on, instead of the configuration's.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "port")]
    pub listen: Option<SocketAddr>,
    /// Port to listen on, at the configuration's address.
    #[arg(long)]
    pub port: Option<u16>,
}

impl ListenArgs {
    pub fn address(&self, configured: SocketAddr) -> SocketAddr {
        match (self.listen, self.port) {
            (Some(listen), _) => listen,
            (None, Some(port)) => SocketAddr::new(configured.ip(), port),
            (None, None) => configured,
        }
    }
}

/// How a command that did its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    /// Looked and found problems.
    Problems,
}

/// Does what was asked.
pub fn run(cli: Cli) -> Result<Outcome, Failure> {
    match cli.command {
        Command::Up(up) => up.run(),
        Command::Serve(serve) => serve.run(),
        Command::Proxy(proxy) => proxy.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Config(command) => command.run(),
        Command::User(command) => command.run(),
        Command::Admin(command) => command.run(),
        Command::Token(command) => command.run(),
        Command::Server(command) => command.run(),
        Command::Service(command) => command.run(),
        Command::Sitting(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Mail(command) => command.run(),
        Command::Maintenance(command) => command.run(),
        Command::Language(command) => command.run(),
        Command::Course(command) => command.run(),
        Command::Exchange(command) => command.run(),
        Command::Import(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lyceum", &mut text);
            print(&String::from_utf8_lossy(&text))?;
            Ok(Outcome::Good)
        }
    }
}

/// Runs a command that needs the async runtime.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the async runtime can't be started", &error))?;
    runtime.block_on(work)
}

/// Opens the store that a configuration and a data folder name, beside a Lyceum that runs on it.
pub async fn ground(
    data: &DataArgs,
    config: &ConfigArgs,
) -> Result<(Ground, crate::config::Config, Layout), Failure> {
    let loaded = config::load(crate::config::locate(config.config.as_deref()).as_deref())?;
    let layout = Layout::existing(&data.data)?;
    let ground = Ground::open(&loaded.config, &layout).await?;
    Ok((ground, loaded.config, layout))
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no failure.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::io("standard output can't be written", &error))
        }
        _ => Ok(()),
    }
}

/// Asks whoever sits at the terminal; her line.
pub fn ask(question: &str) -> Result<String, Failure> {
    let mut to = std::io::stderr().lock();
    let asked = to.write_all(question.as_bytes()).and_then(|()| to.flush());
    asked.map_err(|error| Failure::io("standard error can't be written", &error))?;
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Failure::io("the answer can't be read", &error))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).expect("our own types are JSON");
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
