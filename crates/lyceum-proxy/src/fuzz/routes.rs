//! The table against a list that is looked through from its beginning to its end.

use std::sync::Arc;

use crate::{
    path::check_path,
    prefix_map::DEPTH,
    route::{Route, RouteAccess, RouteTable},
};

use super::naive::decode;

/// Lines: `+/prefix/` is put, `-/prefix/` removed, `@host/path` and `/path` are looked for.
pub fn routes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let target = "http://127.0.0.1:9".parse().expect("a target");
    let route = |prefix: &str| Route {
        prefix: prefix.to_owned(),
        id: prefix.to_owned(),
        target: Clone::clone(&target),
        access: RouteAccess::Open,
        owner: String::new(),
    };
    let table = RouteTable::default();
    let mut model: Vec<&str> = Vec::new();
    let mut asked: Vec<(Option<&str>, &str)> = Vec::new();
    for line in text.split('\n').take(64) {
        match line.as_bytes().first() {
            Some(b'+') => {
                let prefix = &line[1..];
                let is_put = table.put_route(route(prefix), |_| Arc::default()).is_ok();
                assert_eq!(is_put, is_prefix(prefix), "{prefix:?}");
                if is_put && !model.contains(&prefix) {
                    model.push(prefix);
                }
            }
            Some(b'-') => {
                let prefix = &line[1..];
                let was_there = model.contains(&prefix);
                assert_eq!(table.remove_route(prefix), was_there);
                model.retain(|other| *other != prefix);
            }
            Some(b'@') => {
                let (host, path) =
                    line[1..].split_at(line[1..].find('/').unwrap_or(line.len() - 1));
                let is_host = |byte: u8| {
                    byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(&byte)
                };
                if host.bytes().all(is_host) {
                    asked.push((Some(host), path));
                    check(&table, &model, Some(host), path);
                }
            }
            _ => {
                asked.push((None, line));
                check(&table, &model, None, line);
            }
        }
    }
    // Made at once it is the same table; and made of a list with one route twice it is none.
    let mut list: Vec<Route> = model.iter().map(|prefix| route(prefix)).collect();
    let at_once = RouteTable::new(list.clone()).expect("each is good and none is there twice");
    for (host, path) in asked {
        check(&at_once, &model, host, path);
    }
    let mut names: Vec<String> = table
        .routes()
        .into_iter()
        .map(|route| route.prefix)
        .collect();
    model.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, model);
    if let Some(first) = list.first().cloned() {
        list.push(Route {
            id: "again".into(),
            ..first
        });
        assert!(RouteTable::new(list).is_err());
    }
}

fn check(table: &RouteTable, model: &[&str], host: Option<&str>, path: &str) {
    // What is no path is refused before anyone looks for it.
    if check_path(path).is_err() {
        return;
    }
    let found = table.find_entry(host, path);
    let longest = model
        .iter()
        .filter_map(|prefix| Some((*prefix, covers(prefix, host, path)?)))
        .max_by_key(|(prefix, _)| prefix.matches('/').count());
    let found = found
        .as_ref()
        .map(|(entry, taken)| (entry.prefix.as_str(), *taken));
    assert_eq!(found, longest, "{host:?} {path:?}");
}

fn is_prefix(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", ""] => true,
        ["", ref inner @ .., ""] => {
            inner.len() <= DEPTH
                && inner.iter().all(|part| {
                    !part.is_empty()
                        && *part != "."
                        && *part != ".."
                        && !part.contains(['\\', '\0'])
                })
        }
        _ => false,
    }
}

/// How many bytes of the path a prefix takes, if it covers it.
fn covers(prefix: &str, host: Option<&str>, path: &str) -> Option<usize> {
    if prefix == "/" {
        return Some(0);
    }
    let inner = &prefix[1..prefix.len() - 1];
    let mut wanted = inner.split('/');
    if let Some(host) = host {
        let name = match host.strip_prefix('[').and_then(|rest| rest.find(']')) {
            Some(end) => &host[..end + 2],
            None if host.starts_with('[') => host,
            None => host.split(':').next()?,
        };
        // Keys of the hub are in small letters already.
        if wanted.next()? != name.to_ascii_lowercase() {
            return None;
        }
    }
    let (mut there, mut taken) = (path.split('/').skip(1), 0);
    for part in wanted {
        let raw = there.next()?;
        if decode(raw.as_bytes()) != part.as_bytes() {
            return None;
        }
        taken += 1 + raw.len();
    }
    Some(taken)
}
