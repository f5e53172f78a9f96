//! The table against the naive reading of the rule, and swaps of tables under traffic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use lyceum_proxy::{Config, Proxy, Route, RouteAccess, RouteError, RouteTable};
use proptest::prelude::*;

use crate::support::{Server, TestProxy, route};

fn nowhere() -> std::net::SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

fn table(prefixes: &[&str]) -> RouteTable {
    let routes = prefixes
        .iter()
        .map(|prefix| Route {
            id: (*prefix).into(),
            ..route(prefix, nowhere(), RouteAccess::Open)
        })
        .collect();
    RouteTable::new(routes).unwrap()
}

#[test]
fn the_longest_prefix_of_whole_segments_wins() {
    let table = table(&[
        "/user/ada/",
        "/user/ada/lab/",
        "/user/é@x/",
        "/services/a b/",
        "/constructor/",
    ]);
    let check = |path: &str, expect: Option<&str>| {
        assert_eq!(
            table.find(path).map(|route| route.prefix).as_deref(),
            expect,
            "{path}"
        );
    };
    check("/user/ada/", Some("/user/ada/"));
    check("/user/ada", Some("/user/ada/"));
    check("/user/%61da/x", Some("/user/ada/"));
    check("/user/ada/lab/tree", Some("/user/ada/lab/"));
    check("/user/ada/labs", Some("/user/ada/"));
    check("/user/adam/", None);
    check("/user/", None);
    check("/user/%C3%A9%40x/", Some("/user/é@x/"));
    check("/services/a%20b/x", Some("/services/a b/"));
    check("/constructor/x", Some("/constructor/"));
    check("/user%2Fada/", None);
    check("//user/ada/", None);
    check("/user//ada/", None);
    check("/user/ada//x", Some("/user/ada/"));
    check("/%", None);
}

#[test]
fn bad_routes_are_named() {
    for wrong in [
        "", "user/", "/user", "/a//b/", "//", "/a/../b/", "/a\\b/", "/./",
    ] {
        let routes = vec![route(wrong, nowhere(), RouteAccess::Open)];
        let error = RouteTable::new(routes).unwrap_err();
        assert!(matches!(error, RouteError::Prefix { .. }), "{wrong}");
    }
    let one = route("/a/", nowhere(), RouteAccess::Open);
    let two = Route {
        id: "other".into(),
        ..one.clone()
    };
    let same_id = Route {
        prefix: "/b/".into(),
        ..one.clone()
    };
    let error = RouteTable::new(vec![one.clone(), two]).unwrap_err();
    assert!(matches!(error, RouteError::SamePrefix { .. }));
    let error = RouteTable::new(vec![one, same_id]).unwrap_err();
    assert!(matches!(error, RouteError::SameId { .. }));
}

/// The rule itself, without any structure.
fn naive<'a>(prefixes: &'a [String], path: &str) -> Option<&'a String> {
    let decode = |text: &str| -> Vec<Vec<u8>> {
        text.trim_start_matches('/')
            .split('/')
            .map(|part| percent_encoding::percent_decode_str(part).collect())
            .collect()
    };
    let path = decode(path);
    prefixes
        .iter()
        .filter(|prefix| {
            let inner = prefix.trim_matches('/');
            let wanted: Vec<&[u8]> = if inner.is_empty() {
                Vec::new()
            } else {
                inner.split('/').map(str::as_bytes).collect()
            };
            path.len() >= wanted.len() && wanted.iter().zip(&path).all(|(a, b)| a == b)
        })
        .max_by_key(|prefix| prefix.matches('/').count())
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_list(
        prefixes in proptest::collection::hash_set(
            proptest::collection::vec("[ab%é]{1,2}", 0..4), 0..12),
        segments in proptest::collection::vec(
            prop_oneof!["[ab]{0,2}", Just("%61".to_owned()), Just("%C3%A9".to_owned()), Just("%".to_owned()), Just("a%2Fb".to_owned())], 0..6),
    ) {
        let prefixes: Vec<String> = prefixes
            .into_iter()
            .map(|parts| if parts.is_empty() { "/".into() } else { format!("/{}/", parts.join("/")) })
            .collect();
        // A path that begins with two slashes is another matter, tested above.
        prop_assume!(segments.first().is_none_or(|first| !first.is_empty()));
        let path = format!("/{}", segments.join("/"));
        let names: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let table = table(&names);
        prop_assert_eq!(table.find(&path).map(|route| route.prefix), naive(&prefixes, &path).cloned());
    }
}

/// Prefixes of few words, so that changes meet each other.
fn prefix() -> impl Strategy<Value = String> {
    proptest::collection::vec("[ab]|é", 0..4).prop_map(|parts| match parts.as_slice() {
        [] => "/".into(),
        parts => format!("/{}/", parts.join("/")),
    })
}

proptest! {
    #[test]
    fn single_changes_agree_with_a_list(
        before in proptest::collection::hash_set(prefix(), 0..6),
        changes in proptest::collection::vec((any::<bool>(), prefix()), 0..24),
        paths in proptest::collection::vec("/([ab]|%61|%C3%A9|é){1,2}(/[ab]{0,2}){0,3}", 8),
    ) {
        let proxy = Proxy::drop_in(Config::default(), None);
        let names: Vec<&str> = before.iter().map(String::as_str).collect();
        proxy.set_routes(table(&names));
        let mut list: Vec<String> = before.iter().cloned().collect();
        for (puts, prefix) in changes {
            let was_there = list.contains(&prefix);
            list.retain(|other| *other != prefix);
            if puts {
                let it = Route { id: prefix.clone(), ..route(&prefix, nowhere(), RouteAccess::Open) };
                proxy.put_route(it).unwrap();
                list.push(prefix);
            } else {
                prop_assert_eq!(proxy.remove_route(&prefix), was_there);
            }
            for path in &paths {
                let found = proxy.routes().find(path).map(|route| route.prefix);
                prop_assert_eq!(found.as_ref(), naive(&list, path), "{}", path);
            }
        }
        let mut there: Vec<String> = proxy.routes().routes().into_iter().map(|r| r.prefix).collect();
        there.sort();
        list.sort();
        prop_assert_eq!(there, list);
    }
}

#[test]
fn a_table_that_grows_by_single_changes_loses_nothing() {
    let proxy = Proxy::drop_in(Config::default(), None);
    let name = |number: usize| format!("/user/u{number}/");
    for number in 0..5_000 {
        let prefix = name(number);
        let it = Route {
            id: prefix.clone(),
            ..route(&prefix, nowhere(), RouteAccess::Open)
        };
        proxy.put_route(it).unwrap();
    }
    let table = proxy.routes();
    assert_eq!(table.routes().len(), 5_000);
    for number in 0..5_000 {
        let found = table.find(&format!("{}lab", name(number))).unwrap();
        assert_eq!(found.prefix, name(number));
    }
    for number in 0..5_000 {
        assert!(proxy.remove_route(&name(number)));
    }
    assert_eq!(proxy.routes().routes().len(), 0);
}

#[test]
fn long_escaped_paths_are_found_like_short_ones() {
    let long = "%C3%A9".repeat(400);
    let name = "é".repeat(400);
    let table = table(&["/user/", &format!("/user/{name}/")]);
    let check = |path: &str, expect: &str| {
        assert_eq!(table.find(path).unwrap().prefix, expect, "{path}");
    };
    check(&format!("/user/{long}/lab"), &format!("/user/{name}/"));
    check(&format!("/user/{long}x/lab"), "/user/");
    check(&format!("/user/{}", "/%61".repeat(4_000)), "/user/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tables_under_traffic_break_nothing() {
    let server = Server::ok().await;
    let proxy = TestProxy::open(server.address).await;
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    let traffic = async {
        let mut client = proxy.connect().await;
        while !done.load(SeqCst) {
            client
                .send("GET /open/x HTTP/1.1\r\nHost: lab\r\n\r\n")
                .await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
            answered.fetch_add(1, SeqCst);
        }
    };
    let swaps = async {
        for number in 0..1_000 {
            let other = format!("/user/u{number}/");
            let routes = vec![
                route("/open/", server.address, RouteAccess::Open),
                route(&other, nowhere(), RouteAccess::Checked),
            ];
            proxy.proxy.set_routes(RouteTable::new(routes).unwrap());
            tokio::task::yield_now().await;
        }
        let before = answered.load(SeqCst);
        crate::support::until("traffic after the swaps", || {
            answered.load(SeqCst) > before + 10
        })
        .await;
        done.store(true, SeqCst);
    };
    tokio::join!(traffic, swaps);
    assert_eq!(proxy.proxy.routes().routes().len(), 2);
}
