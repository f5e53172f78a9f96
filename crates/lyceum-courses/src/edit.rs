//! Changes to the text of a course file that leave all else in it as somebody wrote it.

use lyceum_written::tree::{Node, Value};

/// The same course, archived. Comments stay; what comes out is held against what went in.
pub fn archived(text: &str) -> Result<String, String> {
    with_word(text, "visible", "archived")
}

/// The file with a word as the value of a key at its top.
fn with_word(text: &str, key: &str, word: &str) -> Result<String, String> {
    let by_hand = || {
        format!(
            "it is written in a way that can't be changed here; write `{key}: {word}` into it by hand"
        )
    };
    let before = parse(text)?;
    let Value::Map(entries) = &before.value else {
        return Err(by_hand());
    };
    let known = entries.iter().find(|entry| entry.key == key);
    let changed = match known {
        Some(entry) => {
            let from = offset(text, entry.node.place.line, entry.node.place.column);
            let from = from.ok_or_else(by_hand)?;
            let end = from + scalar(&text[from..]).ok_or_else(by_hand)?;
            format!("{}{word}{}", &text[..from], &text[end..])
        }
        None => {
            let title = entries.iter().find(|entry| entry.key == "title");
            let place = title.map(|entry| entry.key_place);
            let place = place
                .filter(|place| place.column == 1)
                .ok_or_else(by_hand)?;
            let at = below(text, place.line).ok_or_else(by_hand)?;
            let is_line = at == 0 || text[..at].ends_with('\n');
            let gap = if is_line { "" } else { "\n" };
            format!("{}{gap}{key}: {word}\n{}", &text[..at], &text[at..])
        }
    };
    let after = parse(&changed).map_err(|_| by_hand())?;
    match is_same_but(&before, &after, key, word) {
        true => Ok(changed),
        false => Err(by_hand()),
    }
}

fn parse(text: &str) -> Result<Node, String> {
    Node::parse(text).map_err(|(_, message)| message)
}

/// Where a place is, in bytes.
pub(crate) fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?;
    let mut chars = rest.char_indices();
    let at = chars.nth(column).map_or(rest.len(), |(at, _)| at);
    Some(start + at)
}

/// How long a word is, in quotation marks or not.
fn scalar(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if first == '"' || first == '\'' {
        return text[1..].find(first).map(|end| end + 2);
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then_some(end)
}

/// The beginning of the line below the one with this number; of that one itself where its text goes on.
fn below(text: &str, line: u64) -> Option<usize> {
    let own = offset(text, line, 1)?;
    let next = text[own..]
        .find('\n')
        .map_or(text.len(), |end| own + end + 1);
    let goes_on = text[next..]
        .lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with([' ', '\t']));
    Some(if goes_on { own } else { next })
}

/// Whether two files say the same except in one key.
fn is_same_but(before: &Node, after: &Node, key: &str, word: &str) -> bool {
    let (Value::Map(before), Value::Map(after)) = (&before.value, &after.value) else {
        return false;
    };
    let is_set = |entry: &&lyceum_written::tree::Entry| entry.key == key;
    let set = after.iter().find(is_set);
    let is_word = |node: &Node| matches!(&node.value, Value::Text(text) if text == word);
    let others = |entries: &[lyceum_written::tree::Entry]| {
        let others = entries.iter().filter(|entry| entry.key != key);
        others
            .map(|entry| (entry.key.clone(), plain(&entry.node)))
            .collect::<Vec<_>>()
    };
    set.is_some_and(|entry| is_word(&entry.node)) && others(before) == others(after)
}

/// What a value says, without where.
fn plain(node: &Node) -> String {
    match &node.value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries: Vec<String> = entries
                .map(|entry| format!("{:?}:{}", entry.key, plain(&entry.node)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        leaf => format!("{leaf:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_archived_and_nothing_else_is_touched() {
        let check = |text: &str, expect: &str| {
            assert_eq!(archived(text).as_deref(), Ok(expect), "{text}");
        };
        check(
            "# Ours\ntitle: Bio   # the old one\nterm: x\n\npeople: {students: [ada]} # all\n",
            "# Ours\ntitle: Bio   # the old one\nvisible: archived\nterm: x\n\npeople: {students: [ada]} # all\n",
        );
        check(
            "title: B\nvisible: listed # for now\nterm: x",
            "title: B\nvisible: archived # for now\nterm: x",
        );
        check(
            "title: B\nvisible: 'listed'\n",
            "title: B\nvisible: archived\n",
        );
        check("title: B", "title: B\nvisible: archived\n");
        check(
            "{title: ü, visible: \"private\"}",
            "{title: ü, visible: archived}",
        );
        check(
            "title: >\n  A long\n  title\n",
            "visible: archived\ntitle: >\n  A long\n  title\n",
        );
        check(
            "title: B\nvisible: archived\n",
            "title: B\nvisible: archived\n",
        );
        for refused in ["{title: B}", "- title", "title: ["] {
            assert!(archived(refused).is_err(), "{refused}");
        }
    }
}
