//! The table against a list that is looked through from its beginning to its end.

use crate::route::{Route, RouteAccess, RouteTable};

use super::naive::decode;

/// Lines: with a `+` before it a prefix to add, else a path to look for.
pub fn routes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = || text.split('\n').take(64);
    let prefixes: Vec<&str> = lines().filter_map(|line| line.strip_prefix('+')).collect();
    let target = "http://127.0.0.1:9".parse().expect("a target");
    let route = |(index, prefix): (usize, &&str)| Route {
        prefix: (*prefix).to_owned(),
        id: index.to_string(),
        target: Clone::clone(&target),
        access: RouteAccess::Open,
        owner: String::new(),
    };
    // Each alone is taken if it is a prefix, and all together if none is there twice.
    let mut good: Vec<&str> = Vec::new();
    for prefix in &prefixes {
        let alone = RouteTable::new(vec![route((0, prefix))]);
        assert_eq!(alone.is_ok(), is_prefix(prefix), "{prefix:?}");
        if alone.is_ok() && !good.contains(prefix) {
            good.push(prefix);
        }
    }
    let all = RouteTable::new(prefixes.iter().enumerate().map(route).collect());
    assert_eq!(all.is_ok(), good.len() == prefixes.len());
    let table = RouteTable::new(good.iter().enumerate().map(route).collect());
    let table = table.expect("each is good and none is there twice");
    for path in lines().filter(|line| !line.starts_with('+')) {
        // What is no path is refused before anyone looks for it.
        if crate::path::check_path(path).is_err() {
            continue;
        }
        let found = table.find(path).map(|route| route.prefix.clone());
        let longest = good
            .iter()
            .filter(|prefix| covers(prefix, path))
            .max_by_key(|prefix| prefix.matches('/').count());
        assert_eq!(found.as_deref(), longest.copied(), "{path:?}");
    }
}

fn is_prefix(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["", ""] => true,
        ["", ref inner @ .., ""] => inner.iter().all(|part| {
            !part.is_empty() && *part != "." && *part != ".." && !part.contains(['\\', '\0'])
        }),
        _ => false,
    }
}

fn covers(prefix: &str, path: &str) -> bool {
    if prefix == "/" {
        return true;
    }
    let wanted = prefix.trim_matches('/').split('/');
    let mut there = path.split('/').skip(1);
    wanted.into_iter().all(|part| {
        there
            .next()
            .is_some_and(|raw| decode(raw.as_bytes()) == part.as_bytes())
    })
}
