//! The rules of a course's assignments, for `lyceum course show`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lyceum_courses::assignment::{Assignment, Limits, To};
use lyceum_courses::{Course, Terms};
use serde_json::{Value, json};

/// Labels and assignments, a line each.
pub(super) fn rows(course: &Course, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let labels = course.people.labels.iter().map(|(label, list)| {
        let all = list.shown().join(", ");
        ("label", format!("{label}: {all}"))
    });
    let work = course.assignments.iter();
    let work = work.map(|(name, rules)| ("work", format!("{name}: {}", text(rules, zone))));
    labels.chain(work).collect()
}

fn text(rules: &Assignment, zone: &TimeZone) -> String {
    let at = |at: Timestamp| {
        let at = at.to_zoned(zone.clone());
        at.strftime("%Y-%m-%d %H:%M").to_string()
    };
    let terms = |terms: &Terms| {
        let mut said = format!("due {}", at(terms.due));
        if terms.in_time > terms.due {
            said.push_str(&format!(", in time until {}", at(terms.in_time)));
        }
        match terms.ends {
            None => said.push_str(", taken late without end"),
            Some(ends) if ends > terms.in_time => {
                said.push_str(&format!(", taken late until {}", at(ends)));
            }
            Some(_) => {}
        }
        said
    };
    let mut said = Vec::new();
    said.extend(rules.opens.map(|opens| format!("opens {}", at(opens))));
    said.push(rules.terms.as_ref().map_or("at any time".into(), terms));
    said.extend(rules.costs.map(|costs| format!("being late costs {costs}")));
    let extended = rules.extended.iter();
    said.extend(extended.map(|(to, own)| format!("for {to} {}", terms(own))));
    said.extend(limits(&rules.limits));
    said.join("; ")
}

fn limits(limits: &Limits) -> Option<String> {
    let kinds = limits.kinds.as_ref().map(|kinds| {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!(".{kind}")).collect();
        format!("only {}", kinds.join(" "))
    });
    let said = [
        limits.size.map(|size| size.to_string()),
        limits.files.map(|files| format!("{files} files")),
        kinds,
        limits.submissions.map(|times| format!("{times} times")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| format!("at most {}", said.join(", ")))
}

/// Moments are in UTC.
pub(super) fn json(course: &Course) -> Value {
    let one = |rules: &Assignment| {
        let terms = |terms: &Terms| {
            json!({
                "due": terms.due.to_string(),
                "in_time_until": terms.in_time.to_string(),
                "taken_until": terms.ends.map(|ends| ends.to_string()),
            })
        };
        let extended = rules.extended.iter().map(|(to, own)| {
            let mut told = terms(own);
            match to {
                To::Label(label) => told["label"] = label.as_str().into(),
                To::Person(name) => told["person"] = name.as_str().into(),
            }
            told
        });
        json!({
            "opens": rules.opens.map(|opens| opens.to_string()),
            "terms": rules.terms.as_ref().map(terms),
            "late_costs": rules.costs,
            "extended": extended.collect::<Vec<_>>(),
            "limits": rules.limits,
        })
    };
    let all = course.assignments.iter();
    all.map(|(name, rules)| (name.clone(), one(rules)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
