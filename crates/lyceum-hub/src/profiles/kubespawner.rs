//! The settings of KubeSpawner that a profile can change here, with KubeSpawner's meaning: `mem_limit:
//! 2G` are powers of 1024, a variable that is `null` is taken out.

use serde_json::{Map, Value};

use super::Override;
use lyceum_model::environment::{Said, Setting, rules};

/// Those that are understood.
pub const SETTINGS: &[&str] = &[
    "args",
    "cmd",
    "cpu_guarantee",
    "cpu_limit",
    "default_url",
    "environment",
    "image",
    "mem_guarantee",
    "mem_limit",
];

/// Those that KubeSpawner has besides and that mean nothing to processes on this machine.
pub const OTHERS: &[&str] = &[
    "after_pod_created_hook",
    "allow_privilege_escalation",
    "automount_service_account_token",
    "common_labels",
    "container_security_context",
    "dns_name_template",
    "extra_annotations",
    "extra_container_config",
    "extra_containers",
    "extra_labels",
    "extra_pod_config",
    "extra_resource_guarantees",
    "extra_resource_limits",
    "fs_gid",
    "gid",
    "image_pull_policy",
    "image_pull_secrets",
    "init_containers",
    "lifecycle_hooks",
    "namespace",
    "node_affinity_preferred",
    "node_affinity_required",
    "node_selector",
    "pod_security_context",
    "priority_class_name",
    "privileged",
    "run_as_gid",
    "run_as_uid",
    "runtime_class_name",
    "scheduler_name",
    "service_account",
    "storage_capacity",
    "storage_class",
    "storage_pvc_ensure",
    "supplemental_gids",
    "tolerations",
    "uid",
    "volume_mounts",
    "volumes",
    "working_dir",
];

/// What stands for the value that was typed.
pub const VALUE: &str = "{value}";

/// Why a setting can't be used; the path is of the value that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub path: String,
    pub why: String,
}

/// What one setting says. The name is one of [`SETTINGS`].
pub fn said(name: &str, value: &Value, path: &str) -> Result<Vec<Said>, Misfit> {
    let wrong = |why: String| Misfit {
        path: path.to_owned(),
        why,
    };
    let setting = match name {
        "image" => {
            let image = text(value).map_err(wrong)?;
            rules::image(&image).map_err(wrong)?;
            Setting::Image(image)
        }
        "default_url" => {
            let page = text(value).map_err(wrong)?;
            rules::opens(&page).map_err(wrong)?;
            Setting::Opens(page)
        }
        "cmd" => {
            let words = match value {
                Value::String(word) => vec![word.clone()],
                other => list(other).map_err(wrong)?,
            };
            rules::command(&words).map_err(wrong)?;
            Setting::Command(words)
        }
        "args" => {
            let words = list(value).map_err(wrong)?;
            rules::words(&words).map_err(wrong)?;
            Setting::Args(words)
        }
        "mem_limit" => {
            let bytes = bytes(value).map_err(wrong)?;
            bytes.map_or(Ok(()), rules::memory_limit).map_err(wrong)?;
            Setting::MemoryLimit(bytes)
        }
        "mem_guarantee" => Setting::MemoryGuarantee(bytes(value).map_err(wrong)?),
        "cpu_limit" => Setting::CpuLimit(cores(value).map_err(wrong)?),
        "cpu_guarantee" => Setting::CpuGuarantee(cores(value).map_err(wrong)?),
        "environment" => {
            let Value::Object(variables) = value else {
                return Err(wrong("expected names and values of variables".into()));
            };
            return environment(variables, path);
        }
        other => return Err(wrong(format!("`{other}` is not known"))),
    };
    Ok(vec![Said::new(path, setting)])
}

fn environment(variables: &Map<String, Value>, path: &str) -> Result<Vec<Said>, Misfit> {
    let one = |(name, value): (&String, &Value)| {
        let path = format!("{path}.{name}");
        let value = match value {
            Value::Null => Ok(None),
            other => text(other).map(Some),
        };
        let checked = value.and_then(|value| {
            rules::variable(name, value.as_deref().unwrap_or_default())?;
            Ok(value)
        });
        match checked {
            Ok(value) => Ok(Said::new(path, Setting::Env(name.clone(), value))),
            Err(why) => Err(Misfit { path, why }),
        }
    };
    variables.iter().map(one).collect()
}

impl Override {
    /// What it says with this value in it.
    pub fn with(&self, value: &str) -> Result<Vec<Said>, Misfit> {
        said(&self.name, &filled(&self.value, value), &self.path)
    }

    /// Whether it can be known what it says before a value is typed.
    pub fn is_fixed(&self) -> bool {
        filled(&self.value, "") == self.value
    }
}

fn filled(value: &Value, with: &str) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace(VALUE, with)),
        Value::Array(items) => items.iter().map(|item| filled(item, with)).collect(),
        Value::Object(keys) => {
            let keys = keys.iter();
            Value::Object(
                keys.map(|(key, one)| (key.clone(), filled(one, with)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(format!("expected text (put it in quotes), found {other}")),
    }
}

fn list(value: &Value) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else {
        return Err(format!("expected a list of words, found {value}"));
    };
    items.iter().map(text).collect()
}

/// A number of bytes, or one with `K`, `M`, `G` or `T` behind it.
fn bytes(value: &Value) -> Result<Option<u64>, String> {
    let bad = || {
        format!(
            "expected bytes, or a number with K, M, G or T right behind it (powers of 1024), found {value}"
        )
    };
    let number = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => {
            let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
            units.into_iter().find_map(|(unit, power)| {
                let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
                Some(number * f64::from(2_u32).powi(power))
            })
        }
        _ => None,
    };
    let number = number.filter(|number| (1.0..=9e15).contains(number));
    number.map(whole).map(Some).ok_or_else(bad)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 1 to 9e15, which both hold exactly"
)]
fn whole(number: f64) -> u64 {
    number.trunc() as u64
}

fn cores(value: &Value) -> Result<Option<f64>, String> {
    match value {
        Value::Null => Ok(None),
        other => {
            let number = other
                .as_f64()
                .ok_or_else(|| format!("expected a number of cores, found {other}"))?;
            rules::cores(number).map(|()| Some(number))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_mean_what_they_mean_to_kubespawner() {
        let check = |name: &str, value: Value, expect: Option<Setting>| {
            let said = said(name, &value, "p").ok().and_then(|said| {
                assert_eq!(said[0].path, "p");
                said.into_iter().next()
            });
            assert_eq!(said.map(|said| said.setting), expect, "{name} {value}");
        };
        check(
            "mem_limit",
            json!("2G"),
            Some(Setting::MemoryLimit(Some(2 << 30))),
        );
        check(
            "mem_limit",
            json!("1.5G"),
            Some(Setting::MemoryLimit(Some(3 << 29))),
        );
        check(
            "mem_limit",
            json!(536_870_912),
            Some(Setting::MemoryLimit(Some(1 << 29))),
        );
        check("mem_limit", json!(null), Some(Setting::MemoryLimit(None)));
        for bad in [
            json!("2Gi"),
            json!("2"),
            json!("64M"),
            json!("-2G"),
            json!("infG"),
            json!([]),
        ] {
            check("mem_limit", bad, None);
        }
        check(
            "mem_guarantee",
            json!("64M"),
            Some(Setting::MemoryGuarantee(Some(64 << 20))),
        );
        check("cpu_limit", json!(2), Some(Setting::CpuLimit(Some(2.0))));
        check(
            "cpu_guarantee",
            json!(0.5),
            Some(Setting::CpuGuarantee(Some(0.5))),
        );
        check("cpu_limit", json!("2"), None);
        check("cpu_limit", json!(0), None);
        check("cmd", json!("x"), Some(Setting::Command(vec!["x".into()])));
        check(
            "cmd",
            json!(["x", "-a"]),
            Some(Setting::Command(vec!["x".into(), "-a".into()])),
        );
        check("cmd", json!([]), None);
        check("args", json!([]), Some(Setting::Args(vec![])));
        check("args", json!("x"), None);
        check(
            "image",
            json!("a/b:1"),
            Some(Setting::Image("a/b:1".into())),
        );
        check("image", json!("a b"), None);
        check(
            "default_url",
            json!("/tree"),
            Some(Setting::Opens("/tree".into())),
        );
        check("default_url", json!("//evil"), None);
        check("node_selector", json!({}), None);
        for name in SETTINGS {
            check(name, json!({ "JUPYTERHUB_X": "1" }), None);
        }
    }

    #[test]
    fn variables_have_places_of_their_own() {
        let value = json!({ "A": "1", "B": null });
        let found = said("environment", &value, "p").expect("good");
        let expect = [
            Said::new("p.A", Setting::Env("A".into(), Some("1".into()))),
            Said::new("p.B", Setting::Env("B".into(), None)),
        ];
        assert_eq!(found, expect);
        let bad = said("environment", &json!({ "A": 1 }), "p").expect_err("a number");
        assert_eq!(bad.path, "p.A");
    }

    #[test]
    fn a_typed_value_is_put_in_everywhere() {
        let one = Override {
            name: "environment".into(),
            value: json!({ "TAG": "v{value}", "B": "b" }),
            path: "p".into(),
        };
        assert!(!one.is_fixed());
        let said = one.with("{value}").expect("good");
        assert_eq!(
            said[1].setting,
            Setting::Env("TAG".into(), Some("v{value}".into()))
        );
    }
}
