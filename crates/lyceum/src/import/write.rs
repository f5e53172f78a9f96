//! A `lyceum.yaml` as a person would write it: keys in their order, nothing quoted that need not be.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Out {
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

impl From<&str> for Out {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Out {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Out {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<Vec<String>> for Out {
    fn from(list: Vec<String>) -> Self {
        Self::List(list.into_iter().map(Self::Text).collect())
    }
}

/// Keys of a mapping, in the order in which they are put there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Keys(pub Vec<(String, Out)>);

impl Keys {
    pub fn put(&mut self, key: &str, value: impl Into<Out>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Out> {
        let mut keys = self.0.iter();
        keys.find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Keys> for Out {
    fn from(keys: Keys) -> Self {
        Self::Map(keys.0)
    }
}

/// The text of a document.
pub fn document(keys: &Keys) -> String {
    let mut text = String::new();
    for (index, (key, value)) in keys.0.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        entry(&mut text, 0, key, value);
    }
    text
}

fn entry(text: &mut String, indent: usize, key: &str, value: &Out) {
    let _ = write!(text, "{:indent$}{}:", "", scalar(key));
    match value {
        Out::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            for (key, value) in entries {
                entry(text, indent + 2, key, value);
            }
        }
        Out::List(items) if items.iter().any(|item| matches!(item, Out::Map(_))) => {
            text.push('\n');
            for item in items {
                list_item(text, indent + 2, item);
            }
        }
        other => {
            let _ = writeln!(text, " {}", flow(other));
        }
    }
}

fn list_item(text: &mut String, indent: usize, item: &Out) {
    match item {
        Out::Map(entries) if !entries.is_empty() => {
            let mut inner = String::new();
            for (key, value) in entries {
                entry(&mut inner, indent + 2, key, value);
            }
            // The first key stands behind the dash.
            let _ = write!(text, "{:indent$}- {}", "", inner.trim_start());
        }
        other => {
            let _ = writeln!(text, "{:indent$}- {}", "", flow(other));
        }
    }
}

fn flow(value: &Out) -> String {
    match value {
        Out::Bool(yes) => yes.to_string(),
        Out::Int(number) => number.to_string(),
        Out::Text(text) => scalar(text),
        Out::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Out::Map(entries) => {
            let entries: Vec<String> = (entries.iter())
                .map(|(key, value)| format!("{}: {}", scalar(key), flow(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

/// Plain where nothing could take it for something else, else as JSON writes it, which YAML reads.
fn scalar(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./@".contains(c);
    let is_word = text.chars().all(fits)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    let is_reference = text.split_once(':').is_some_and(|(form, rest)| {
        matches!(
            form,
            "claim" | "file" | "env" | "https" | "http" | "ldaps" | "ldap"
        ) && !rest.is_empty()
            && rest.chars().all(fits_behind)
    });
    match is_word || is_reference || is_sentence(text) {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

fn fits_behind(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./@:".contains(c)
}

/// Words with blanks between them, as in a title.
fn is_sentence(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '.' || c == '-';
    text.contains(' ')
        && text.trim() == text
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was_meant() {
        let mut keys = Keys::default();
        let texts = [
            "ada",
            "true",
            "No",
            "12",
            "1.5",
            "",
            " a",
            "a: b",
            "#x",
            "{a}",
            "[x",
            "group:it",
            "claim:sub",
            "https://a.example/b?c=d",
            "file:secrets/x",
            "Log in here",
            "- a",
            "a,b",
            "é\u{7}\"\\",
            "~",
            "null",
        ];
        for (index, text) in texts.iter().enumerate() {
            keys.put(&format!("k{index}"), *text);
        }
        let list: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        keys.put("list", list);
        let mut inner = Keys::default();
        inner.put("yes", true);
        inner.put("empty", Out::Map(Vec::new()));
        inner.put(
            "deep",
            Out::List(vec![Out::Map(vec![
                ("a".into(), Out::Int(1)),
                ("b: c".into(), "x".into()),
            ])]),
        );
        keys.put("map", inner);
        let text = document(&keys);
        let node =
            lyceum_written::Node::parse(&text).unwrap_or_else(|(_, why)| panic!("{why}\n{text}"));
        assert_eq!(as_written(&node), Out::from(keys), "{text}");
    }

    fn as_written(node: &lyceum_written::Node) -> Out {
        use lyceum_written::tree::Value;
        match &node.value {
            Value::Bool(yes) => Out::Bool(*yes),
            Value::Int(number) => Out::Int(*number),
            Value::Text(text) => Out::Text(text.clone()),
            Value::List(items) => Out::List(items.iter().map(as_written).collect()),
            Value::Map(entries) => Out::Map(
                (entries.iter())
                    .map(|entry| (entry.key.clone(), as_written(&entry.node)))
                    .collect(),
            ),
            other => panic!("{other:?}"),
        }
    }
}
