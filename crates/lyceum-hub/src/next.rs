//! Where to go after sign-in: only to a page of this site, in whatever disguise the wish comes.

use lyceum_model::base::BasePath;

/// Reduces a wished target to a local path with query and fragment, or refuses it.
///
/// Browsers read `\` as `/`, drop tabs and line breaks, and take `//host` for another site; each of
/// these has been an open redirect in some product. So: one leading slash, no backslash, no control
/// character, nothing that parses as a host. An absolute URL is fine if its host is ours.
pub fn local_target(base: &BasePath, wish: &str, own_host: &str) -> Option<String> {
    if wish.is_empty() || wish.len() > 4096 || wish.chars().any(|c| c.is_control() || c == '\\') {
        return None;
    }
    let path = match wish.split_once("://") {
        Some((scheme, rest)) if !wish.starts_with('/') => {
            if !matches!(scheme, "http" | "https") {
                return None;
            }
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (host, path) = rest.split_at(end);
            if own_host.is_empty() || !host.eq_ignore_ascii_case(own_host) {
                return None;
            }
            if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            }
        }
        _ => wish.to_owned(),
    };
    if !path.starts_with('/') {
        return None;
    }
    // `//host` and longer runs would leave the site; a browser may also decode `/%2F` late.
    let lower = path.to_ascii_lowercase();
    let tail = lower.trim_start_matches('/');
    if path.starts_with("//") || tail.starts_with("%2f") || tail.starts_with("%5c") {
        return None;
    }
    // What remains must mean the same thing to a URL parser.
    let site = url::Url::parse("http://site.invalid").expect("a fixed URL");
    let parsed = site.join(&path).ok()?;
    let ours = parsed.host_str() == Some("site.invalid") && parsed.username().is_empty();
    // As the parser writes it: `..` is gone, so a prefix means what it says, and what a header
    // can't hold is encoded. `/a/..//evil.example` becomes `//evil.example` here.
    let local = &parsed[url::Position::BeforePath..];
    if !ours || local.starts_with("//") {
        return None;
    }
    // The rest of the host is somebody else's.
    let end = local.find(['?', '#']).unwrap_or(local.len());
    base.within(&local[..end]).map(|_| local.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_site() {
        let check = |wish: &str, expect: Option<&str>| {
            assert_eq!(
                local_target(&BasePath::default(), wish, "hub.example.edu:8000").as_deref(),
                expect,
                "{wish:?}"
            );
        };
        check("/hub/home", Some("/hub/home"));
        check("/user/ada/lab?x=1#y", Some("/user/ada/lab?x=1#y"));
        check(
            "/hub/login?next=http://evil.example",
            Some("/hub/login?next=http://evil.example"),
        );
        check("http://hub.example.edu:8000/hub/home", Some("/hub/home"));
        check("https://HUB.example.edu:8000", Some("/"));
        check("/user/ada/../../hub/logout", Some("/hub/logout"));
        check("/user/ada/%2e%2e/eve/", Some("/user/eve/"));
        check("/user/ada/\u{fc}b 1", Some("/user/ada/%C3%BCb%201"));
        check("/user/ada/%C3%BCb%2F1", Some("/user/ada/%C3%BCb%2F1"));
        check("/a/..//evil.example", None);
        check("/.//evil.example", None);
        check("/%2e//evil.example", None);
        check("", None);
        check("hub/home", None);
        check("//evil.example", None);
        check("///evil.example", None);
        check("/\\evil.example", None);
        check("\\\\evil.example", None);
        check("/%2f/evil.example", None);
        check("/%5Cevil.example", None);
        check("/\t/evil.example", None);
        check("\u{1}//evil.example", None);
        check("http://evil.example/", None);
        check("http://hub.example.edu:8000@evil.example/", None);
        check("http://hub.example.edu:8000.evil.example/", None);
        check("https:evil.example", None);
        check("https:/evil.example", None);
        check("javascript:alert(1)", None);
        check("javascript://hub.example.edu:8000/%0aalert(1)", None);
        check("data:text/html,x", None);
        check(&format!("/{}", "a".repeat(5000)), None);
    }

    #[test]
    fn only_below_the_base() {
        let base = BasePath::parse("/x/").expect("a good base");
        for (wish, expect) in [
            ("/x/hub/home?a#b", Some("/x/hub/home?a#b")),
            ("http://h/x/user/ada/", Some("/x/user/ada/")),
            ("/x", Some("/x")),
            ("/x?to=/x/", Some("/x?to=/x/")),
            ("/hub/home", None),
            ("/wiki/", None),
            ("/xy/", None),
            ("/x/../wiki/", None),
            ("/x/%2e%2e/wiki/", None),
            ("/wiki?a=/x/", None),
            ("http://h/wiki/", None),
        ] {
            assert_eq!(local_target(&base, wish, "h").as_deref(), expect, "{wish}");
        }
    }
}
