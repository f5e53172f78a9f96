//! Text that operators write, made safe pieces of: plain words and links, and for pages headings,
//! paragraphs and lists. Markup is never taken over: templates write each piece, escaped.
//!
//! A link is `[words](https://…)`, or an address that stands by itself. Addresses are `https:`,
//! `http:`, `mailto:`, or a path of this site.

use serde::Serialize;

/// A run of words; with an address it is a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Piece {
    pub text: String,
    pub url: Option<String>,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Block {
    /// Below the title of the page.
    Heading {
        pieces: Vec<Piece>,
    },
    Paragraph {
        pieces: Vec<Piece>,
    },
    List {
        items: Vec<Vec<Piece>>,
    },
}

/// A page: its title, and what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The first line that begins with `#`.
    pub title: Option<String>,
    pub blocks: Vec<Block>,
}

impl Document {
    /// Reads the small part of Markdown that such pages need; what is unknown stays as it is.
    pub fn read(text: &str) -> Self {
        let mut document = Self::default();
        let mut lines: Vec<&str> = Vec::new();
        for line in text.lines().chain([""]) {
            let line = line.trim();
            let heading = line
                .strip_prefix('#')
                .map(|rest| rest.trim_start_matches('#').trim());
            let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
            if line.is_empty() || heading.is_some() || item.is_some() {
                document.end(&mut lines);
            }
            match (heading, item) {
                (Some(heading), _) if document.title.is_none() && document.blocks.is_empty() => {
                    document.title = Some(heading.to_owned());
                }
                (Some(heading), _) => document.blocks.push(Block::Heading {
                    pieces: pieces(heading),
                }),
                (None, Some(item)) => match document.blocks.last_mut() {
                    Some(Block::List { items }) => items.push(pieces(item)),
                    _ => document.blocks.push(Block::List {
                        items: vec![pieces(item)],
                    }),
                },
                (None, None) if !line.is_empty() => lines.push(line),
                (None, None) => {}
            }
        }
        document
    }

    fn end(&mut self, lines: &mut Vec<&str>) {
        if !lines.is_empty() {
            let pieces = pieces(&lines.join(" "));
            self.blocks.push(Block::Paragraph { pieces });
            lines.clear();
        }
    }
}

/// Whether a link may lead there.
pub fn is_address(url: &str) -> bool {
    let clean = url.len() <= 2000 && url.bytes().all(|b| b.is_ascii_graphic());
    let path = url.starts_with('/') && !url.starts_with("//") && !url.contains('\\');
    let mail = url
        .strip_prefix("mailto:")
        .is_some_and(|to| to.contains('@'));
    let web = url.starts_with("https://") || url.starts_with("http://");
    clean && (path || mail || web && url::Url::parse(url).is_ok())
}

/// Words and links of a line.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some((words, url, behind)) = written_link(rest).or_else(|| bare_link(rest, &plain)) {
            if !plain.is_empty() {
                let text = std::mem::take(&mut plain);
                found.push(Piece { text, url: None });
            }
            found.push(Piece {
                text: words.to_owned(),
                url: Some(url.to_owned()),
            });
            rest = behind;
        } else {
            plain.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    if !plain.is_empty() {
        found.push(Piece {
            text: plain,
            url: None,
        });
    }
    found
}

/// `[words](url)` at the start.
fn written_link(from: &str) -> Option<(&str, &str, &str)> {
    let (words, behind) = from.strip_prefix('[')?.split_once("](")?;
    let (url, behind) = behind.split_once(')')?;
    (!words.trim().is_empty() && !words.contains(['[', ']']) && is_address(url))
        .then_some((words, url, behind))
}

/// An address by itself, without the full stop behind it.
fn bare_link<'a>(from: &'a str, before: &str) -> Option<(&'a str, &'a str, &'a str)> {
    if !from.starts_with("http") || before.ends_with(char::is_alphanumeric) {
        return None;
    }
    let end = from.find(|c: char| c.is_whitespace() || "<>\"'()[]".contains(c));
    let url = &from[..end.unwrap_or(from.len())];
    let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?']);
    is_address(url).then_some((url, url, &from[url.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_what_looks_like_one_and_is_safe() {
        let check = |text: &str, expect: &[(&str, &str)]| {
            let found: Vec<(String, String)> = pieces(text)
                .into_iter()
                .map(|piece| (piece.text, piece.url.unwrap_or_default()))
                .collect();
            let expect: Vec<(String, String)> = expect
                .iter()
                .map(|(text, url)| ((*text).to_owned(), (*url).to_owned()))
                .collect();
            assert_eq!(found, expect, "{text}");
        };
        check("", &[]);
        check("a <b> & c", &[("a <b> & c", "")]);
        check(
            "See [the wiki](https://w.example/a), please",
            &[
                ("See ", ""),
                ("the wiki", "https://w.example/a"),
                (", please", ""),
            ],
        );
        check(
            "at https://w.example/a?b=1.",
            &[
                ("at ", ""),
                ("https://w.example/a?b=1", "https://w.example/a?b=1"),
                (".", ""),
            ],
        );
        check("[x](/hub/home)", &[("x", "/hub/home")]);
        check("[x](mailto:a@b.example)", &[("x", "mailto:a@b.example")]);
        for plain in [
            "[x](javascript:alert(1))",
            "[x](//evil.example)",
            "[x](data:text/html,a)",
            "[x](/\\evil.example)",
            "httpsx",
            "[é",
        ] {
            let found = pieces(plain);
            assert!(
                found.iter().all(|piece| piece.url.is_none()),
                "{plain}: {found:?}"
            );
        }
    }

    #[test]
    fn a_page_has_headings_paragraphs_and_lists() {
        let text = "# Privacy\n\nOne\ntwo.\n## What we keep\n- names\n- [logs](/hub/home)\n\n<b>\n";
        let document = Document::read(text);
        assert_eq!(document.title.as_deref(), Some("Privacy"));
        let plain = |text: &str| pieces(text);
        assert_eq!(
            document.blocks,
            [
                Block::Paragraph {
                    pieces: plain("One two.")
                },
                Block::Heading {
                    pieces: plain("What we keep")
                },
                Block::List {
                    items: vec![plain("names"), plain("[logs](/hub/home)")]
                },
                Block::Paragraph {
                    pieces: plain("<b>")
                },
            ]
        );
        assert_eq!(Document::read("").blocks, []);
    }
}
