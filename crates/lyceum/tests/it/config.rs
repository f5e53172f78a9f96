//! `lyceum config …`

use insta::assert_snapshot;

use crate::harness::Site;

fn check(text: &str) -> String {
    let site = Site::new();
    site.write("lyceum.yaml", text);
    let said = site.run(&["config", "check"]);
    assert_eq!(said.err, "");
    assert_eq!(
        said.code,
        Some(if said.out.ends_with(": no problems\n") {
            0
        } else {
            3
        })
    );
    said.out
}

#[test]
fn every_mistake_is_told_with_its_place() {
    assert_snapshot!(check("
listen: 8000
peple: {admins: [ada]}
servers:
  memroy: {limit: 2G}
  memory: {limit: 2}
  start_timeout: 2 minutes
  per_person: many
  opens: lab
  env: {MODE: 0755, JUPYTERHUB_USER: x}
log: {level: inof}
people:
  admins: [ada, 'Ada Lovelace', grace/x]
"), @"");
}

#[test]
fn syntax_and_hostile_files() {
    assert_snapshot!(check("listen: [1\nlog: {}\n"), @"");
    assert_snapshot!(check("log: {level: info}\nlog: {level: warn}\n"), @"");
    assert_snapshot!(check("a: &a [x]\nb: [*a, *a]\n"), @"");
    assert_snapshot!(check("log: {}\n---\nlog: {}\n"), @"");
    assert_snapshot!(check(&"[".repeat(5000)), @"");
    assert_snapshot!(check(&"x: ".repeat(60)), @"");
    assert_snapshot!(check("just words\n"), @"");
    assert_snapshot!(check("log: !!python/object:os.system {}\n"), @"");
    assert_snapshot!(check(&format!("# {}\n", "x".repeat(1 << 20))), @"");
    assert_snapshot!(check(""), @"");
    assert_snapshot!(check("# nothing but words\n"), @"");
}

#[test]
fn a_file_that_is_not_there_or_not_text() {
    let site = Site::new();
    let said = site.run(&["config", "check", "gone.yaml"]);
    assert_snapshot!(said.out, @"");
    std::fs::write(site.path("lyceum.yaml"), b"log: {}\n\xff\xfe").expect("written");
    assert_snapshot!(site.run(&["config", "check"]).out, @"");
}

#[test]
fn secrets_stay_out_of_the_file_and_of_what_is_printed() {
    let plain = check("store: {database: 'postgres://lyceum:hunter2@db/x'}\n");
    assert!(!plain.contains("hunter2"), "{plain}");
    assert_snapshot!(plain, @"");

    let site = Site::new();
    site.write(
        "lyceum.yaml",
        "store:\n  database: file:url\ntheme: {name: Physics}\n",
    );
    site.write("url", "postgres://lyceum:hunter2@db/x\n");
    let said = site.run(&["config", "show"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(!said.out.contains("hunter2"));
    assert_snapshot!(said.out, @"");
    let json = site.run(&["config", "show", "--json"]).out;
    let rows: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let row = |key: &str| {
        rows.as_array()
            .expect("a list")
            .iter()
            .find(|row| row["key"] == key)
            .expect(key)
            .clone()
    };
    assert_eq!(row("theme.name")["from"], "lyceum.yaml:3");
    assert_eq!(row("store.database")["value"], "***");
}

#[test]
fn the_example_is_current_and_good() {
    let site = Site::new();
    let example = site.run(&["config", "example"]).out;
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config.example.yaml");
    let kept = std::fs::read_to_string(kept).expect("config.example.yaml at the root");
    assert!(
        example == kept,
        "run: cargo run -- config example > config.example.yaml"
    );
    // Every line taken in is good too, and means the defaults.
    let all: String = example
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
        .collect();
    let all = all
        .split_once('\n')
        .expect("a head")
        .1
        .split_once('\n')
        .expect("a head")
        .1;
    site.write("lyceum.yaml", all);
    let said = site.run(&["config", "check"]);
    assert_eq!(said.out, "lyceum.yaml: no problems\n", "{all}");
    let values = |args: &[&str]| -> Vec<(String, String)> {
        let json: serde_json::Value = serde_json::from_str(&site.run(args).out).expect("JSON");
        json.as_array()
            .expect("a list")
            .iter()
            .map(|row| (row["key"].to_string(), row["value"].to_string()))
            .collect()
    };
    let taken = values(&["config", "show", "--json"]);
    std::fs::remove_file(site.path("lyceum.yaml")).expect("removed");
    assert_eq!(taken, values(&["config", "show", "--json"]));
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema: serde_json::Value =
        serde_json::from_str(&Site::new().run(&["config", "schema"]).out).expect("JSON");
    assert_eq!(schema["additionalProperties"], false);
    let keys: Vec<&str> = schema["properties"]
        .as_object()
        .expect("keys")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys,
        [
            "listen",
            "log",
            "people",
            "public_url",
            "servers",
            "sign_in",
            "spawner",
            "store",
            "theme"
        ]
    );
}
