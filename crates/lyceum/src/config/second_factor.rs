//! The `second_factor` section: of whom a second step behind the password is wanted.

use lyceum_hub::grants::default_roles;
use lyceum_hub::second_factor::{Meant, Required};
use lyceum_model::who::Who;
use lyceum_written::problem::suggest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::raw::RawConfig;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawSecondFactor {
    /// Those who don't come in by a password alone: `ada`, `group:NAME`, `role:NAME` (`role:admin` are
    /// administrators, `role:user` is everybody), `course:ID/ROLE`, and `course:*/teacher` for whoever
    /// teaches any course. Who has none yet sets it up at the next log-in. Everybody else may have one.
    pub required_for: Vec<String>,
}

pub(super) fn check_second_factor(
    raw: &RawConfig,
    problem: &mut dyn FnMut(&str, String),
) -> Required {
    let own = raw.load_roles.iter().map(|role| role.name.as_str());
    let there = default_roles().map(|(name, _, _)| name);
    let roles: Vec<&str> = own.chain(there).collect();
    let mut all = Vec::new();
    for (index, text) in raw.second_factor.required_for.iter().enumerate() {
        let path = format!("second_factor.required_for[{index}]");
        match Meant::parse(text) {
            Ok(Meant::Some(Who::Role(role))) if !roles.contains(&role.as_str()) => problem(
                &path,
                format!("there is no role `{role}`; {}", suggest(&role, &roles)),
            ),
            Ok(meant) => all.push(meant),
            Err(message) => problem(&path, message),
        }
    }
    Required(all)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    #[test]
    fn it_is_read_and_mistakes_have_their_places() {
        let read = |list: &str| {
            let text = format!("second_factor:\n  required_for: [{list}]\n");
            let loaded = parse("lyceum.yaml", &text, Path::new("."));
            loaded
                .map(|loaded| loaded.config.second_factor)
                .map_err(|problems| problems.to_string())
        };
        let good = ["role:admin", "course:*/teacher", "group:staff", "ada"];
        let expect = good.map(|text| Meant::parse(text).expect(text));
        assert_eq!(read(&good.join(", ")), Ok(Required(expect.to_vec())));
        let check = |list: &str, words: &str| {
            let said = read(list).expect_err(list);
            assert!(
                said.contains("lyceum.yaml:2:") && said.contains(words),
                "{said}"
            );
        };
        check(
            "role:admins",
            "there is no role `admins`; did you mean `admin`",
        );
        check("ada, course:*/teachers", "known: teacher, grader, student");
        check("'group:'", "`group:` needs a name");
        let text = "second_factor: {required: [ada]}\n";
        let said = parse("lyceum.yaml", text, Path::new(".")).expect_err("a mistake");
        assert!(said.to_string().contains("required_for"), "{said}");
    }
}
