//! Which certificate is shown to whom, by the name the client asks for (SNI, RFC 6066).
//!
//! An exact name wins over a wildcard; a wildcard stands for one label (RFC 6125). Whoever names
//! no host, or none that we know, gets the first certificate. Several certificates for one name
//! (an EC and an RSA key, say) are tried in order until the client can use one.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    Names,
    acme::{self, Answers},
    pair::Pair,
};

pub(crate) struct Chooser {
    table: ArcSwap<Table>,
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Table {
    first: Vec<Arc<Pair>>,
    names: Names,
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chooser").finish_non_exhaustive()
    }
}

impl Chooser {
    pub(super) fn new(answers: Arc<Answers>) -> Self {
        Self {
            table: ArcSwap::default(),
            answers,
        }
    }

    pub(super) fn set(&self, pairs: impl Iterator<Item = Arc<Pair>>) {
        let mut table = Table::default();
        for pair in pairs {
            for name in &pair.names {
                let known = table.names.entry(name.clone()).or_default();
                known.push(pair.clone());
            }
            table.first.push(pair);
        }
        self.table.store(Arc::new(table));
    }
}

impl Table {
    fn find(&self, name: Option<&str>) -> &[Arc<Pair>] {
        name.and_then(|name| find_name(&self.names, name))
            .unwrap_or(&self.first)
    }
}

fn find_name<'a, T>(names: &'a BTreeMap<String, Vec<T>>, name: &str) -> Option<&'a [T]> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if let Some(exact) = names.get(&name) {
        return Some(exact);
    }
    let (_, parent) = name.split_once('.')?;
    names.get(&format!("*.{parent}")).map(Vec::as_slice)
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        let asks_acme = hello.alpn().is_some_and(|mut offered| {
            offered.next() == Some(acme::ALPN) && offered.next().is_none()
        });
        if asks_acme {
            return self.answers.find_alpn(name?);
        }
        let table = self.table.load();
        let fitting = table.find(name);
        let usable = fitting.iter().find(|pair| {
            pair.key
                .key
                .choose_scheme(hello.signature_schemes())
                .is_some()
        });
        usable.or(fitting.first()).map(|pair| pair.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards() {
        let names = ["lab.example.edu", "*.lab.example.edu", "a.lab.example.edu"];
        let names: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (name.to_owned(), vec![name]))
            .collect();
        let check = |name: &str, expect: Option<&str>| {
            let found = find_name(&names, name).and_then(|found| found.first().copied());
            assert_eq!(found, expect, "{name}");
        };
        check("lab.example.edu", Some("lab.example.edu"));
        check("LAB.example.EDU", Some("lab.example.edu"));
        check("lab.example.edu.", Some("lab.example.edu"));
        check("a.lab.example.edu", Some("a.lab.example.edu"));
        check("b.lab.example.edu", Some("*.lab.example.edu"));
        check("c.b.lab.example.edu", None);
        check("example.edu", None);
        check("edu", None);
    }
}
