//! What the programs in a server are told of the course it was started for: where nbgrader finds the
//! course and how it works there, and which of nbgrader's pages are not for whom.
//!
//! Each kind of server has a folder of its own, so that what one is told no other reads. What the
//! course file says goes there as data, which a program of ours reads.

use anyhow::Context;
use lyceum_model::environment::{Said, Setting};
use lyceum_model::who::CourseId;
use serde_json::{Map, Value, json};

use super::{JupyterConfig, write};

const PROGRAM: &str = include_str!("nbgrader_config_for_course.py");
const FORMGRADER: &str = "nbgrader.server_extensions.formgrader";
const FORMGRADER_IN_LAB: &str = "@jupyter/nbgrader:formgrader";
const CREATE_ASSIGNMENT_IN_LAB: &str = "@jupyter/nbgrader:create-assignment";

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The one that those who teach the course share.
    Course,
    /// A teacher's or a grader's own.
    Teacher,
    Student,
}

/// What there is to tell.
#[derive(Debug)]
pub struct ForCourse<'a> {
    pub id: &'a CourseId,
    pub whose: Whose,
    /// The course's own server has the formgrader.
    pub formgrader: bool,
    pub nbgrader: Vec<&'a Said>,
}

impl JupyterConfig {
    /// Writes what has changed, and gives the folder.
    pub fn for_course(&self, of: &ForCourse<'_>) -> anyhow::Result<String> {
        let folder = self.exchange.join("courses").join(of.id.as_str());
        let folder = folder.join(match of.whose {
            Whose::Course => "own",
            Whose::Teacher => "teacher",
            Whose::Student => "student",
        });
        let lab = folder.join("labconfig");
        let files = [
            (&folder, "course.json", of.told().to_string()),
            (&folder, "nbgrader_config.py", PROGRAM.to_owned()),
            (
                &folder,
                "jupyter_server_config.json",
                of.server().to_string(),
            ),
            (&lab, "page_config.json", of.page().to_string()),
        ];
        for (folder, name, text) in &files {
            write(folder, (name, text))
                .with_context(|| format!("{} can't be written", folder.join(name).display()))?;
        }
        folder
            .into_os_string()
            .into_string()
            .map_err(|path| anyhow::anyhow!("{} is no text", path.display()))
    }
}

impl ForCourse<'_> {
    /// Whether the course's files are here, and are graded here.
    fn grades_here(&self) -> bool {
        self.whose == Whose::Course && self.formgrader
    }

    /// Grading is done in one place, and not by students.
    fn hides_formgrader(&self) -> bool {
        match self.whose {
            Whose::Course => false,
            Whose::Teacher => self.formgrader,
            Whose::Student => true,
        }
    }

    fn told(&self) -> Value {
        let mut traits: Map<String, Value> = Map::new();
        for said in &self.nbgrader {
            if let Setting::Nbgrader(name, value) = &said.setting
                && let Some((class, name)) = name.split_once('.')
                && let Some(class) =
                    (traits.entry(class).or_insert_with(|| json!({}))).as_object_mut()
            {
                class.insert(name.to_owned(), value.clone());
            }
        }
        json!({ "course": self.id, "grades_here": self.grades_here(), "traits": traits })
    }

    fn server(&self) -> Value {
        let mut extensions = Map::new();
        if self.grades_here() {
            extensions.insert(FORMGRADER.into(), true.into());
        }
        if self.hides_formgrader() {
            extensions.insert(FORMGRADER.into(), false.into());
        }
        let mut app = json!({ "jpserver_extensions": extensions });
        if self.grades_here() {
            // JupyterLab shows the formgrader in a frame, which a hub's servers refuse by themselves.
            let headers = json!({ "Content-Security-Policy": "frame-ancestors 'self'" });
            app["tornado_settings"] = json!({ "headers": headers });
        }
        json!({ "ServerApp": app })
    }

    /// What JupyterLab does not show.
    fn page(&self) -> Value {
        let hidden = [
            (FORMGRADER_IN_LAB, self.hides_formgrader()),
            (CREATE_ASSIGNMENT_IN_LAB, self.whose == Whose::Student),
        ];
        let hidden = hidden.into_iter().filter(|(_, is_hidden)| *is_hidden);
        let hidden: Map<String, Value> =
            hidden.map(|(name, is)| (name.into(), is.into())).collect();
        json!({ "disabledExtensions": hidden })
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::data::DataFolder;

    /// Jupyter as far as the program asks it.
    const JUPYTER: &str = r#"
import json, sys

class Config(dict):
    def __missing__(self, name):
        self[name] = Config()
        return self[name]
    def __getattr__(self, name):
        return self[name]
    def __setattr__(self, name, value):
        self[name] = value

config = Config()
file = sys.argv[1]
for again in range(2):
    exec(compile(open(file).read(), file, "exec"), {"get_config": lambda: config, "__file__": file})
print(json.dumps(config, sort_keys=True))
"#;

    fn told_to_nbgrader(folder: &str, home: &Path) -> Value {
        let output = Command::new("python3")
            .args(["-c", JUPYTER])
            .arg(format!("{folder}/nbgrader_config.py"))
            .env("HOME", home)
            .output()
            .expect("python3 runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn read(folder: &str, name: &str) -> Value {
        let text = std::fs::read_to_string(PathBuf::from(folder).join(name)).expect("there");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn each_kind_of_server_is_told_what_is_its() {
        let temp = tempfile::tempdir().expect("a folder");
        let data = DataFolder::open(&temp.path().join("data")).expect("a data folder");
        let config = JupyterConfig::write(data.layout()).expect("written");
        let home = temp.path().join("home");
        std::fs::create_dir(&home).expect("made");
        let id = CourseId::parse("bio").expect("an id");
        // Quotes and lines stay what they are: text.
        let hostile = "'\"\"\"\n__import__('os').abort()\n#";
        let nbgrader = [
            ("Execute.timeout", json!(120)),
            ("Execute.words", json!([hostile, null, true, 1.5])),
            ("ClearSolutions.code_stub", json!({ "python": hostile })),
        ];
        let nbgrader = nbgrader.map(|(name, value)| {
            Said::new(
                format!("nbgrader.{name}"),
                Setting::Nbgrader(name.into(), value),
            )
        });
        let check =
            |whose: Whose, formgrader: bool, root: Option<&str>, served: Value, hidden: Value| {
                let of = ForCourse {
                    id: &id,
                    whose,
                    formgrader,
                    nbgrader: nbgrader.iter().collect(),
                };
                let folder = config.for_course(&of).expect("written");
                let mut directory = json!({ "course_id": "bio" });
                if let Some(root) = root {
                    directory["root"] = json!(home.join(root));
                }
                let expect = json!({
                    "CourseDirectory": directory,
                    "Execute": { "timeout": 120, "words": [hostile, null, true, 1.5] },
                    "ClearSolutions": { "code_stub": { "python": hostile } },
                });
                assert_eq!(told_to_nbgrader(&folder, &home), expect, "{whose:?}");
                let server = read(&folder, "jupyter_server_config.json");
                assert_eq!(
                    server["ServerApp"]["jpserver_extensions"], served,
                    "{whose:?}"
                );
                let frames = &server["ServerApp"]["tornado_settings"]["headers"];
                let own = json!({ "Content-Security-Policy": "frame-ancestors 'self'" });
                let expect = if root.is_some() { own } else { Value::Null };
                assert_eq!(*frames, expect, "{whose:?}");
                let page = read(&folder, "labconfig/page_config.json");
                assert_eq!(page["disabledExtensions"], hidden, "{whose:?}");
                folder
            };
        let (on, off) = (json!({ FORMGRADER: true }), json!({ FORMGRADER: false }));
        let all = json!({ FORMGRADER_IN_LAB: true, CREATE_ASSIGNMENT_IN_LAB: true });
        let of_lab = json!({ FORMGRADER_IN_LAB: true });
        let plain = check(Whose::Course, false, None, json!({}), json!({}));
        assert!(!home.join("bio").exists());
        let own = check(Whose::Course, true, Some("bio"), on, json!({}));
        assert_eq!(plain, own);
        assert!(home.join("bio").is_dir());
        let teacher = check(Whose::Teacher, true, None, off.clone(), of_lab);
        check(Whose::Teacher, false, None, json!({}), json!({}));
        let student = check(Whose::Student, false, None, off, all);
        assert!(own != teacher && teacher != student && own != student);
    }
}
