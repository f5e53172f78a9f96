//! Marks what a template's own text has inline, so that our content policy lets it through.
//!
//! The mark goes into the *source*, before anything is filled in: a `<script>` that comes in by a
//! value has none, and does not run. Line numbers stay as they are.

/// What is put behind the tag's name.
const MARK: &str = " nonce=\"{{ csp_nonce }}\"";

/// Adds a nonce to each `<style>`, and to each inline `<script>` if `scripts` says so.
pub(super) fn mark(source: &str, scripts: bool) -> String {
    let mut marked = String::with_capacity(source.len() + 64);
    let mut rest = source;
    // Up to its end, what stands in a script or a style sheet is no HTML either.
    let mut inside = None;
    // What stands in Jinja's own marks is not HTML.
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        marked.push_str(before);
        let taken = if let Some(end) = jinja_end(from) {
            marked.push_str(&from[..end]);
            end
        } else if let Some(tag) = inside {
            if ends(from, tag) {
                inside = None;
            }
            marked.push_str(&from[..1]);
            1
        } else {
            inside = tag_of(from);
            let tag = inside.filter(|tag| *tag == "style" || scripts);
            let head = tag.map_or(1, |tag| 1 + tag.len());
            marked.push_str(&from[..head]);
            if tag.is_some() && !has_own(&from[head..]) {
                marked.push_str(MARK);
            }
            head
        };
        rest = &from[taken..];
    }
    marked.push_str(rest);
    marked
}

/// Where a `{{ … }}`, `{% … %}`, `{# … #}` or a raw block ends that starts here.
fn jinja_end(from: &str) -> Option<usize> {
    let close = match from.as_bytes().get(..2)? {
        b"{{" => "}}",
        b"{#" => "#}",
        b"{%" => "%}",
        _ => return None,
    };
    let end = from.find(close).map_or(from.len(), |at| at + 2);
    let word = from[2..end].trim_start_matches(['-', '+', ' ']);
    if close == "%}" && word.starts_with("raw") {
        // Nothing is filled in there, so no mark would be right.
        let rest = &from[end..];
        let raw = rest.find("endraw").map_or(rest.len(), |at| at);
        return Some(end + raw);
    }
    Some(end)
}

/// Whether what is inside of this tag ends here.
fn ends(from: &str, tag: &str) -> bool {
    let name = from
        .strip_prefix("</")
        .and_then(|name| name.get(..tag.len()));
    name.is_some_and(|name| name.eq_ignore_ascii_case(tag))
}

fn tag_of(from: &str) -> Option<&'static str> {
    if !from.starts_with('<') {
        return None;
    }
    let name = |tag: &'static str| {
        let head = from.get(1..=tag.len())?;
        let next = from.as_bytes().get(1 + tag.len())?;
        (head.eq_ignore_ascii_case(tag) && (next.is_ascii_whitespace() || *next == b'>'))
            .then_some(tag)
    };
    name("script").or_else(|| name("style"))
}

/// Whether the author wrote a nonce.
fn has_own(attributes: &str) -> bool {
    let end = attributes.find('>').unwrap_or(attributes.len());
    attributes[..end].to_ascii_lowercase().contains("nonce=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_templates_own_tags_are_marked() {
        let check = |source: &str, expect: &str| {
            let expect = expect.replace('@', MARK);
            assert_eq!(mark(source, true), expect, "{source}");
        };
        check("<script>x</script>", "<script@>x</script>");
        check("<SCRIPT src='a'>", "<SCRIPT@ src='a'>");
        check("<style\n>", "<style@\n>");
        check("<scripted> <styled>", "<scripted> <styled>");
        check("{{ '<script>' }}", "{{ '<script>' }}");
        check("{# <script> #}<style>", "{# <script> #}<style@>");
        check("{% if a %}<style>", "{% if a %}<style@>");
        check(
            "{% raw %}<style>{% endraw %}",
            "{% raw %}<style>{% endraw %}",
        );
        check(
            "<script nonce=\"{{ csp_nonce }}\">",
            "<script nonce=\"{{ csp_nonce }}\">",
        );
        check("<", "<");
        check("é < {", "é < {");
        check("<script", "<script");
        assert_eq!(
            mark("<script></script><style>", false),
            format!("<script></script><style{MARK}>")
        );
    }

    #[test]
    fn what_a_script_holds_stays_as_it_is() {
        let check = |source: &str, expect: &str| {
            let expect = expect.replace('@', MARK);
            assert_eq!(mark(source, true), expect, "{source}");
        };
        check(
            "<script>f(\"<style>\", {style })</script><style>",
            "<script@>f(\"<style>\", {style })</script><style@>",
        );
        check("<p>{style } {script}</p>", "<p>{style } {script}</p>");
        check(
            "<style>/* <script> */ a {b: c}</STYLE ><script>",
            "<style@>/* <script> */ a {b: c}</STYLE ><script@>",
        );
        check(
            "<script>{{ '</script>' }}\"<style>\"</script>",
            "<script@>{{ '</script>' }}\"<style>\"</script>",
        );
        check(
            "<script>a < b && c</script >",
            "<script@>a < b && c</script >",
        );
        // Without scripts of its own, what one holds is left alone, too.
        let own = "<script>\"<style>\"</script>";
        assert_eq!(mark(own, false), own);
    }
}
