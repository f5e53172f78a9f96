//! What Lyceum adds to the configuration of Jupyter's programs in servers that run under its own account:
//! files in folders on their configuration path. Those for all servers yield to what people,
//! environments and the machine say themselves; those of a course are in [`for_course`].

mod for_course;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::data::Layout;
use crate::failure::Failure;

pub(crate) use for_course::{ForCourse, Whose};

/// Tells nbgrader in a server where the exchange is, if its environment has the client.
const EXCHANGE: (&str, &str) = (
    "nbgrader_config.py",
    include_str!("jupyter_config/nbgrader_config.py"),
);
/// Terminals find the programs of the server's environment.
const TERMINALS: (&str, &str) = (
    "jupyter_server_config.py",
    include_str!("jupyter_config/jupyter_server_config.py"),
);

/// The folders with these files.
#[derive(Debug, Clone, Default)]
pub struct JupyterConfig {
    server: PathBuf,
    exchange: PathBuf,
}

impl JupyterConfig {
    /// Writes what is not there yet.
    pub fn write(data: &Layout) -> Result<Self, Failure> {
        let exchange = data.jupyter_config();
        let server = exchange.join("server");
        for (folder, file) in [(&server, TERMINALS), (&exchange, EXCHANGE)] {
            write(folder, file).map_err(|error| {
                Failure::io(format!("{} can't be written", folder.display()), &error)
            })?;
        }
        Ok(Self { server, exchange })
    }

    /// What to put first on the path; `exchange`: the site has Lyceum's.
    pub fn path(&self, exchange: bool) -> String {
        let mut path = OsString::from(&self.server);
        if exchange {
            path.push(":");
            path.push(&self.exchange);
        }
        path.to_string_lossy().into_owned()
    }
}

/// The file is there whole or not at all: a server may be reading it.
fn write(folder: &Path, (name, text): (&str, &str)) -> std::io::Result<()> {
    let file = folder.join(name);
    if std::fs::read_to_string(&file).is_ok_and(|known| known == text) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    let mut whole = tempfile::NamedTempFile::new_in(folder)?;
    whole.write_all(text.as_bytes())?;
    whole.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::data::DataFolder;

    /// Jupyter as far as the files ask it, and a client that says what it was told.
    const JUPYTER: &str = r#"
import sys, types

home, file = sys.argv[1:]
ours = file.rpartition("/")[0]
paths = types.ModuleType("jupyter_core.paths")
paths.jupyter_config_dir = lambda: home
paths.jupyter_config_path = lambda: [ours, home, "/nowhere"]
client = types.ModuleType("ngshare_exchange")
client.configureExchange = lambda c, url: print(url)
sys.modules["jupyter_core"] = types.ModuleType("jupyter_core")
sys.modules["jupyter_core.paths"] = paths
sys.modules["ngshare_exchange"] = client

class Config(dict):
    ServerApp = types.SimpleNamespace()

config = Config()
names = {"get_config": lambda: config, "__file__": file}
exec(compile(open(file).read(), file, "exec"), names)
for settings in vars(config.ServerApp).values():
    print(settings)
"#;

    /// What one of these files says beside a home where somebody configured things.
    struct Said {
        home: PathBuf,
        file: PathBuf,
        _temp: tempfile::TempDir,
    }

    impl Said {
        fn by((name, text): (&str, &str)) -> Self {
            let temp = tempfile::tempdir().expect("a folder");
            let (home, ours) = (temp.path().join("home"), temp.path().join("ours"));
            std::fs::create_dir(&home).expect("made");
            write(&ours, (name, text)).expect("written");
            Self {
                home,
                file: ours.join(name),
                _temp: temp,
            }
        }

        fn now(&self) -> String {
            let output = Command::new("python3")
                .args(["-c", JUPYTER])
                .args([&self.home, &self.file])
                .current_dir(&self.home)
                .env("JUPYTERHUB_API_URL", "http://127.0.0.1:1/lab/hub/api")
                .env("SHELL", "/bin/shell")
                .output()
                .expect("python3 runs");
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).expect("text")
        }

        fn check(&self, name: &str, text: &str, expect: &str) {
            let file = self.home.join(name);
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(&file, text).expect("written");
            assert_eq!(self.now(), expect, "{name}: {text:?}");
            std::fs::remove_file(file).expect("removed");
        }
    }

    #[test]
    fn what_people_said_of_an_exchange_wins() {
        let said = Said::by(EXCHANGE);
        let url = "http://127.0.0.1:1/lab/services/ngshare\n";
        assert_eq!(said.now(), url);
        let py = "nbgrader_config.py";
        said.check(py, "c.CourseDirectory.course_id = 'bio'\n", url);
        said.check(py, "# c.ExchangeFactory.exchange = 'x'\n", url);
        said.check(py, "c.ExchangeFactory.exchange = 'x'\n", "");
        said.check(py, "\u{0}configureExchange(c, 'x')\n", "");
        said.check(py, "c.Exchange.root = '/srv/exchange'\n", "");
        said.check("jupyter_config.py", "c.Exchange.root = '/x'\n", "");
        said.check("nbgrader_config.json", "{\"Exchange\": {}}", "");
        std::fs::create_dir(said.home.join(py)).expect("made");
        assert_eq!(said.now(), url);
    }

    #[test]
    fn what_people_said_of_terminals_wins() {
        let said = Said::by(TERMINALS);
        let ours = "{'shell_command': ['/bin/shell']}\n";
        assert_eq!(said.now(), ours);
        let py = "jupyter_server_config.py";
        said.check(py, "c.ServerApp.ip = ''\n", ours);
        said.check(py, "# c.ServerApp.terminado_settings = {}\n", ours);
        said.check(py, "c.ServerApp.terminado_settings = {}\n", "");
        let json = "{\"ServerApp\": {\"terminado_settings\": {}}}";
        said.check("jupyter_lab_config.json", json, "");
        said.check("jupyter_server_config.d/site.json", json, "");
    }

    #[test]
    fn both_are_on_the_path_or_one() {
        let temp = tempfile::tempdir().expect("a folder");
        let data = DataFolder::open(&temp.path().join("data")).expect("a data folder");
        let config = JupyterConfig::write(data.layout()).expect("written");
        let root = data.layout().jupyter_config().display().to_string();
        assert_eq!(config.path(true), format!("{root}/server:{root}"));
        assert_eq!(config.path(false), format!("{root}/server"));
    }
}
