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
    // What stands in Jinja's own marks is not HTML.
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        marked.push_str(before);
        let taken = if let Some(end) = jinja_end(from) {
            marked.push_str(&from[..end]);
            end
        } else {
            let tag = tag_of(from).filter(|tag| *tag == "style" || scripts);
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

fn tag_of(from: &str) -> Option<&'static str> {
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
            mark("<script><style>", false),
            format!("<script><style{MARK}>")
        );
    }
}
