//! What is in force and where it comes from; the schema; the example.

use schemars::schema_for;
use serde::Serialize;
use serde_json::Value as Json;

use super::Loaded;
use super::raw::RawConfig;
use lyceum_written::tree::{Node, Step, path_text};

/// One effective value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub key: String,
    pub value: Json,
    /// `lyceum.yaml:7` or `default`.
    pub from: String,
}

impl Loaded {
    /// Every value with its origin, in the order of the manual; secrets show as `***`.
    pub fn show(&self) -> Vec<Shown> {
        let json = serde_json::to_value(&self.raw).expect("text keys and finite numbers");
        let mut rows = Vec::new();
        walk(&json, &mut Vec::new(), self, &mut rows);
        // serde_json may sort keys; people expect the order of the manual.
        let order = top_level_keys();
        rows.sort_by_key(|row| {
            let top = row.key.split(['.', '[']).next().unwrap_or_default();
            order.iter().position(|key| *key == top)
        });
        rows
    }
}

/// What holds where a secret is.
const SECRETS: [&str; 4] = [
    "store.database",
    "store.key",
    "proxy.secret",
    "mail.password",
];

fn walk(json: &Json, steps: &mut Vec<Step>, loaded: &Loaded, rows: &mut Vec<Shown>) {
    match json {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                steps.push(Step::Key(key.clone()));
                walk(value, steps, loaded, rows);
                steps.pop();
            }
        }
        Json::Array(items) if items.iter().any(Json::is_object) => {
            for (index, value) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                walk(value, steps, loaded, rows);
                steps.pop();
            }
        }
        leaf => {
            let key = path_text(steps);
            let mut from = match loaded.tree.as_ref().and_then(|tree| tree.find(steps)) {
                Some(Node { place, .. }) => format!("{}:{}", loaded.file, place.line),
                None => "default".into(),
            };
            let mut value = leaf.clone();
            let is_secret = SECRETS.contains(&key.as_str())
                || key.ends_with("].api_token")
                || key.ends_with("].client_secret");
            // Whatever a service is told may be a password, and has no form to be known by.
            let is_told = key.starts_with("services[") && key.contains("].environment");
            if is_told && !leaf.is_null() && *leaf != serde_json::json!({}) {
                value = "***".into();
            } else if is_secret && !leaf.is_null() {
                from = format!("{from}, {}", leaf.as_str().unwrap_or_default());
                value = "***".into();
            }
            rows.push(Shown { key, value, from });
        }
    }
}

fn top_level_keys() -> Vec<&'static str> {
    vec![
        "public_url",
        "base_url",
        "subdomains",
        "listen",
        "tls",
        "trusted_proxies",
        "proxy_protocol",
        "store",
        "hub",
        "proxy",
        "sign_in",
        "second_factor",
        "posix",
        "mail",
        "people",
        "load_groups",
        "load_roles",
        "custom_scopes",
        "services",
        "oauth",
        "servers",
        "environments",
        "profiles",
        "courses",
        "spawner",
        "exchange",
        "time_zone",
        "log",
        "metrics_prefix",
        "events",
        "theme",
        "languages",
        "site",
        "announcements",
        "maintenance",
    ]
}

/// The JSON Schema of `lyceum.yaml`, for editors and for the chart.
pub fn schema() -> Json {
    serde_json::to_value(schema_for!(RawConfig)).expect("a schema is JSON")
}

/// The text of `config.example.yaml`: every key commented out, with its manual and default.
pub fn example() -> String {
    let mut text = String::from(
        "# Every key of lyceum.yaml with its default. Made by `lyceum config example`; not edited by hand.\n\
         # Take over only what differs. `lyceum config check` says what is wrong, `lyceum config show` what is in force.\n",
    );
    let schema = schema();
    let defaults = serde_json::to_value(RawConfig::default()).expect("defaults are JSON");
    for key in top_level_keys() {
        text.push('\n');
        example_key(
            &mut text,
            0,
            key,
            &schema["properties"][key],
            &defaults[key],
            &schema,
        );
    }
    text
}

fn example_key(
    text: &mut String,
    depth: usize,
    key: &str,
    about: &Json,
    default: &Json,
    schema: &Json,
) {
    let pad = "  ".repeat(depth);
    let target = resolve(about, schema);
    let words = about["description"]
        .as_str()
        .or_else(|| target["description"].as_str());
    for line in words.unwrap_or_default().lines() {
        text.push_str(&format!("# {pad}# {line}\n"));
    }
    match (target["properties"].as_object(), default) {
        (Some(properties), Json::Object(values)) => {
            text.push_str(&format!("# {pad}{key}:\n"));
            for (key, about) in properties {
                example_key(text, depth + 1, key, about, &values[key], schema);
            }
        }
        (_, value) => {
            let value = match value {
                Json::Null => String::new(),
                Json::String(word) if !word.contains(['#', ':']) => format!(" {word}"),
                other => format!(" {other}"),
            };
            text.push_str(&format!("# {pad}{key}:{value}\n"));
        }
    }
}

fn resolve<'a>(about: &'a Json, schema: &'a Json) -> &'a Json {
    let name = about["$ref"]
        .as_str()
        .and_then(|text| text.strip_prefix("#/$defs/"));
    name.map_or(about, |name| &schema["$defs"][name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_leaves_no_key_out() {
        let schema = schema();
        let keys = schema["properties"].as_object().expect("an object").keys();
        let mut keys: Vec<&str> = keys.map(String::as_str).collect();
        let mut told = top_level_keys();
        keys.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, keys);
    }
}
