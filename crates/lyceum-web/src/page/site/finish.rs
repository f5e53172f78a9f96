//! What a site's page still needs after its template is done: a token in each form, our script, and
//! a refresh for browsers without script.
//!
//! Templates of older JupyterHubs know no form tokens, and their buttons need JupyterHub's scripts.

/// What is put into a page.
pub(super) struct Extras<'a> {
    pub xsrf: &'a str,
    /// Goes before the end of the body.
    pub at_end: &'a str,
    /// Goes before the end of the head.
    pub in_head: &'a str,
}

pub(super) fn finish(html: &str, extras: &Extras<'_>) -> String {
    let mut done = with_tokens(html, extras.xsrf);
    for (end, what) in [("</head>", extras.in_head), ("</body>", extras.at_end)] {
        if what.is_empty() {
            continue;
        }
        let at = match end {
            "</head>" => find_ignoring_case(&done, end, false),
            _ => Some(find_ignoring_case(&done, end, true).unwrap_or(done.len())),
        };
        if let Some(at) = at {
            done.insert_str(at, what);
        }
    }
    done
}

fn find_ignoring_case(text: &str, what: &str, last: bool) -> Option<usize> {
    let is =
        |at: &usize| text.as_bytes()[*at..*at + what.len()].eq_ignore_ascii_case(what.as_bytes());
    let mut places = 0..=text.len().checked_sub(what.len())?;
    if last {
        places.rev().find(is)
    } else {
        places.find(is)
    }
}

/// Each form that posts to this site gets the field `_xsrf`, unless it has one.
fn with_tokens(html: &str, xsrf: &str) -> String {
    let mut done = String::with_capacity(html.len() + 128);
    let mut rest = html;
    while let Some(at) = find_ignoring_case(rest, "<form", false) {
        let (before, from) = rest.split_at(at);
        done.push_str(before);
        let Some(end) = tag_end(from) else {
            rest = from;
            break;
        };
        let (tag, behind) = from.split_at(end);
        done.push_str(&as_fields(tag));
        let content = find_ignoring_case(behind, "</form", false);
        let content = &behind[..content.unwrap_or(behind.len())];
        if posts_here(tag) && !has_token(content) {
            done.push_str("<input type=\"hidden\" name=\"_xsrf\" value=\"");
            for letter in xsrf.chars() {
                match letter {
                    '&' => done.push_str("&amp;"),
                    '"' => done.push_str("&quot;"),
                    '<' => done.push_str("&lt;"),
                    _ => done.push(letter),
                }
            }
            done.push_str("\">");
        }
        rest = behind;
    }
    done.push_str(rest);
    done
}

/// JupyterHub's form of a start posts its fields as a form with files would; no form of ours takes
/// files, so they come as every other form's.
fn as_fields(tag: &str) -> std::borrow::Cow<'_, str> {
    let is_multipart = |kind: &str| kind.eq_ignore_ascii_case("multipart/form-data");
    match find_ignoring_case(tag, "enctype", false) {
        Some(at) if posts_here(tag) && attribute(tag, "enctype").is_some_and(is_multipart) => {
            format!("{}data-{}", &tag[..at], &tag[at..]).into()
        }
        _ => tag.into(),
    }
}

fn has_token(content: &str) -> bool {
    ["name=\"_xsrf\"", "name='_xsrf'", "name=_xsrf"]
        .iter()
        .any(|field| find_ignoring_case(content, field, false).is_some())
}

/// Behind the `>` that ends a tag, over quoted values.
fn tag_end(from: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in from.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'>') => return Some(at + 1),
            (None, _) => {}
        }
    }
    None
}

/// A token must not go to other hosts.
fn posts_here(tag: &str) -> bool {
    let method = attribute(tag, "method").is_some_and(|value| value.eq_ignore_ascii_case("post"));
    let action = attribute(tag, "action").unwrap_or_default();
    let action = action.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control());
    // A query leads nowhere else; before it an entity could spell anything.
    let path = action.split(['?', '#']).next().unwrap_or_default();
    method && !path.starts_with("//") && !path.contains([':', '\\', '&', '\t', '\n', '\r'])
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag.get("<form".len()..)?.trim_end_matches('>');
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=');
        let (own, behind) = rest.split_at(end.unwrap_or(rest.len()));
        let behind = behind.trim_start();
        let Some(value) = behind.strip_prefix('=') else {
            rest = behind;
            if own.is_empty() {
                rest = rest.get(1..).unwrap_or_default();
            }
            continue;
        };
        let value = value.trim_start();
        let (value, behind) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(
                value
                    .find(|c: char| c.is_ascii_whitespace())
                    .unwrap_or(value.len()),
            ),
        };
        if own.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_this_site_get_a_token() {
        let field = "<input type=\"hidden\" name=\"_xsrf\" value=\"t&quot;\">";
        let check = |html: &str, expect: &str| {
            let expect = expect.replace('@', field);
            assert_eq!(with_tokens(html, "t\""), expect, "{html}");
        };
        check("<form method=post>x</form>", "<form method=post>@x</form>");
        check(
            "<FORM action='/hub/login?a=1&amp;b=2' METHOD='POST'></FORM>",
            "<FORM action='/hub/login?a=1&amp;b=2' METHOD='POST'>@</FORM>",
        );
        check(
            "<form method=\"post\" data-x=\"a>b\" action=\"\">",
            "<form method=\"post\" data-x=\"a>b\" action=\"\">@",
        );
        check(
            "<form method=post></form><form method=post>",
            "<form method=post>@</form><form method=post>@",
        );
        check(
            "<form EncType='multipart/form-data' method=post>",
            "<form data-EncType='multipart/form-data' method=post>@",
        );
        for untouched in [
            "<form>",
            "<form enctype='multipart/form-data' method=post action='https://x.example'>",
            "<form method=get>",
            "<form method=post><input name=\"_xsrf\"></form>",
            "<form method=post action=https://evil.example/>",
            "<form method=post action=' //evil.example/'>",
            "<form method=post action='/\\evil.example/'>",
            "<form method=post action='java&#x73;cript:x'>",
            "<form method=post action='&#47;/evil.example'>",
            "<form method=post action='/&#47;evil.example'>",
            "<form method=post action='/\t/evil.example'>",
            "<form method=post",
            "<form = method=post action='https:x'>",
            "é",
        ] {
            check(untouched, untouched);
        }
    }

    #[test]
    fn pieces_go_before_the_ends() {
        let extras = Extras {
            xsrf: "t",
            at_end: "<b>",
            in_head: "<h>",
        };
        let check = |html: &str, expect: &str| assert_eq!(finish(html, &extras), expect);
        check(
            "<head></HEAD><body>x</Body></html>",
            "<head><h></HEAD><body>x<b></Body></html>",
        );
        check("x", "x<b>");
    }
}
