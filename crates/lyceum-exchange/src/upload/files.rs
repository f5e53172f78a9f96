//! The JSON of files that clients of ngshare send, `[{"path": …, "content": …}]`, read as it comes.
//!
//! What comes out are contents in pieces, and after each content's last piece the path it belongs to.
//! Nothing grows with the size of a content. The text is read to its end whatever is wrong with a
//! file, since a text that is no JSON at all is the graver mistake and is told instead.

use std::collections::VecDeque;

use serde::de::IgnoredAny;

use super::base64::Decoder;
use crate::tree::FilePath;

/// Longest path, and longest name of a value, that is kept until it is read whole.
const TEXT_MAX: usize = 8 * 1024;
/// Longest value that we don't ask for.
const OTHER_MAX: usize = 64 * 1024;
/// More files than this are no assignment.
pub const FILES_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    NoJson,
    Path,
    Base64,
    TooMany,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// More of the content of the file whose path comes next.
    Content(Vec<u8>),
    File(FilePath),
}

#[derive(Default)]
pub struct FilesReader {
    state: State,
    path: Option<String>,
    has_content: bool,
    files: usize,
    output: VecDeque<Output>,
    mistake: Option<Mistake>,
}

#[derive(Default)]
enum State {
    #[default]
    Begin,
    ItemOrEnd,
    Item,
    AfterItem,
    KeyOrEnd,
    Key,
    Colon(Slot),
    Value(Slot),
    AfterValue,
    Text(Text),
    Other(Other),
    End,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Key,
    Path,
    Content,
    Other,
}

struct Text {
    slot: Slot,
    escape: Escape,
    /// The first half of a letter that is written as two.
    high: Option<u16>,
    /// Of a key or a path.
    kept: Vec<u8>,
    decoder: Decoder,
}

enum Escape {
    None,
    Begun,
    Hex { value: u16, digits: u8 },
}

/// A value that we don't ask for.
#[derive(Default)]
struct Other {
    kept: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl FilesReader {
    pub fn push(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() && self.mistake != Some(Mistake::NoJson) {
            match std::mem::take(&mut self.state) {
                State::Text(text) => at += self.text(text, &bytes[at..]),
                State::Other(other) => at += self.other(other, bytes[at]),
                state => {
                    at += 1;
                    self.state = self.step(state, bytes[at - 1]);
                }
            }
        }
    }

    /// What has come out since this was last asked.
    pub fn take(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// At the end of the text.
    pub fn finish(&self) -> Result<(), Mistake> {
        match (self.mistake, &self.state) {
            (Some(mistake), State::End) => Err(mistake),
            (None, State::End) => Ok(()),
            _ => Err(Mistake::NoJson),
        }
    }

    /// The first mistake counts, unless the text is no JSON.
    fn wrong(&mut self, mistake: Mistake) {
        if self.mistake.is_none() || mistake == Mistake::NoJson {
            self.mistake = Some(mistake);
        }
        self.output.clear();
    }

    fn no_json(&mut self) -> State {
        self.wrong(Mistake::NoJson);
        State::End
    }

    fn step(&mut self, state: State, byte: u8) -> State {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return state;
        }
        match (state, byte) {
            (State::Begin, b'[') => State::ItemOrEnd,
            (State::ItemOrEnd | State::Item, b'{') => {
                (self.path, self.has_content) = (None, false);
                State::KeyOrEnd
            }
            (State::ItemOrEnd | State::AfterItem, b']') => State::End,
            (State::AfterItem, b',') => State::Item,
            (State::KeyOrEnd | State::Key, b'"') => State::Text(Text::new(Slot::Key)),
            (State::KeyOrEnd | State::AfterValue, b'}') => self.file(),
            (State::AfterValue, b',') => State::Key,
            (State::Colon(slot), b':') => State::Value(slot),
            (State::Value(Slot::Other), byte) => {
                self.other(Other::default(), byte);
                std::mem::take(&mut self.state)
            }
            (State::Value(slot), b'"') => State::Text(Text::new(slot)),
            _ => self.no_json(),
        }
    }

    /// At the end of an object.
    fn file(&mut self) -> State {
        let (Some(path), true) = (self.path.take(), self.has_content) else {
            return self.no_json();
        };
        self.files += 1;
        match FilePath::parse(&path) {
            None => self.wrong(Mistake::Path),
            Some(_) if self.files > FILES_MAX => self.wrong(Mistake::TooMany),
            Some(path) => self.say(Output::File(path)),
        }
        State::AfterItem
    }

    fn say(&mut self, output: Output) {
        if self.mistake.is_none() {
            self.output.push_back(output);
        }
    }

    /// Says how many bytes were read.
    fn text(&mut self, mut text: Text, bytes: &[u8]) -> usize {
        if !matches!(text.escape, Escape::None) {
            if self.escape(&mut text, bytes[0]).is_err() {
                self.state = self.no_json();
            } else {
                self.state = State::Text(text);
            }
            return 1;
        }
        let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        let run = &bytes[..end];
        // To the end, whatever is found: so it is done for many bytes at a time.
        let is_odd = run.iter().fold(false, |odd, byte| odd | (*byte < b' '));
        if is_odd || (text.high.is_some() && !run.is_empty()) {
            self.state = self.no_json();
            return bytes.len();
        }
        self.keep(&mut text, run);
        self.state = match bytes.get(end) {
            None => State::Text(text),
            Some(b'\\') => {
                text.escape = Escape::Begun;
                State::Text(text)
            }
            Some(_) if text.high.is_some() => self.no_json(),
            Some(_) => self.end_of_text(text),
        };
        (end + 1).min(bytes.len())
    }

    fn keep(&mut self, text: &mut Text, bytes: &[u8]) {
        if text.slot != Slot::Content {
            // Longer than any path that is taken, so that it is refused as one.
            let room = TEXT_MAX.saturating_sub(text.kept.len());
            text.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        let mut content = Vec::new();
        match text.decoder.push(bytes, &mut content) {
            Err(_) => self.wrong(Mistake::Base64),
            Ok(()) if content.is_empty() => {}
            Ok(()) => self.say(Output::Content(content)),
        }
    }

    fn escape(&mut self, text: &mut Text, byte: u8) -> Result<(), ()> {
        let (mut value, mut digits) = match text.escape {
            Escape::Hex { value, digits } => (value, digits),
            Escape::None | Escape::Begun => {
                let plain = match byte {
                    b'"' | b'\\' | b'/' => byte,
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'u' => {
                        text.escape = Escape::Hex {
                            value: 0,
                            digits: 0,
                        };
                        return Ok(());
                    }
                    _ => return Err(()),
                };
                text.escape = Escape::None;
                if text.high.is_some() {
                    return Err(());
                }
                self.keep(text, &[plain]);
                return Ok(());
            }
        };
        let digit = (byte as char).to_digit(16).ok_or(())?;
        value = value << 4 | u16::try_from(digit).map_err(|_| ())?;
        digits += 1;
        if digits < 4 {
            text.escape = Escape::Hex { value, digits };
            return Ok(());
        }
        text.escape = Escape::None;
        let letter = match (text.high.take(), value) {
            (None, 0xd800..=0xdbff) => {
                text.high = Some(value);
                return Ok(());
            }
            (high, low) => char::decode_utf16(high.into_iter().chain([low])),
        };
        for letter in letter {
            let letter = letter.map_err(|_| ())?;
            self.keep(text, letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }

    fn end_of_text(&mut self, text: Text) -> State {
        if text.slot == Slot::Content {
            if text.decoder.finish().is_err() {
                self.wrong(Mistake::Base64);
            }
            if std::mem::replace(&mut self.has_content, true) {
                return self.no_json();
            }
            return State::AfterValue;
        }
        let Ok(kept) = String::from_utf8(text.kept) else {
            return self.no_json();
        };
        match text.slot {
            Slot::Key => State::Colon(match kept.as_str() {
                "path" => Slot::Path,
                "content" => Slot::Content,
                _ => Slot::Other,
            }),
            _ => {
                self.path = Some(kept);
                State::AfterValue
            }
        }
    }

    /// Says how many bytes were read: none of what comes behind a number.
    fn other(&mut self, mut other: Other, byte: u8) -> usize {
        let ends = !other.in_text && other.depth == 0 && !other.kept.is_empty();
        if ends && matches!(byte, b',' | b'}') {
            self.state = match serde_json::from_slice::<IgnoredAny>(&other.kept) {
                Ok(_) => State::AfterValue,
                Err(_) => self.no_json(),
            };
            return 0;
        }
        match byte {
            _ if other.escaped => other.escaped = false,
            b'\\' if other.in_text => other.escaped = true,
            b'"' => other.in_text = !other.in_text,
            b'[' | b'{' if !other.in_text => other.depth += 1,
            b']' | b'}' if !other.in_text => other.depth = other.depth.saturating_sub(1),
            _ => {}
        }
        other.kept.push(byte);
        self.state = match other.kept.len() > OTHER_MAX {
            true => self.no_json(),
            false => State::Other(other),
        };
        1
    }
}

impl Text {
    fn new(slot: Slot) -> Self {
        Self {
            slot,
            escape: Escape::None,
            high: None,
            kept: Vec::new(),
            decoder: Decoder::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Files = Vec<(String, Vec<u8>)>;

    fn read(text: &[u8], step: usize) -> Result<Files, Mistake> {
        let mut reader = FilesReader::default();
        let (mut files, mut content) = (Vec::new(), Vec::new());
        for piece in text.chunks(step) {
            reader.push(piece);
            while let Some(output) = reader.take() {
                match output {
                    Output::Content(more) => content.extend(more),
                    Output::File(path) => {
                        files.push((path.as_str().to_owned(), std::mem::take(&mut content)));
                    }
                }
            }
        }
        reader.finish().map(|()| files)
    }

    fn check(text: &str, expect: Result<&[(&str, &str)], Mistake>) {
        let expect = expect.map(|files| {
            let files = files.iter();
            let owned =
                |(path, content): &(&str, &str)| ((*path).to_owned(), content.as_bytes().to_vec());
            files.map(owned).collect::<Files>()
        });
        for step in [1, 2, 7, 1000] {
            assert_eq!(read(text.as_bytes(), step), expect, "{text} by {step}");
        }
    }

    #[test]
    fn files_are_read() {
        check("[]", Ok(&[]));
        check(" [ ] ", Ok(&[]));
        check(
            r#"[{"path": "a.ipynb", "content": "aGVsbG8="}, {"content":"aGVs\nbG8=\n","path":"d/b"}]"#,
            Ok(&[("a.ipynb", "hello"), ("d/b", "hello")]),
        );
        check(
            r#"[{"checksum": "x", "path": "\u00e4\ud83d\ude00\/b", "n": -1.5e3, "more": [{"a": "]}\"\\"}, null], "content": ""}]"#,
            Ok(&[("ä😀/b", "")]),
        );
        check(
            r#"[{"path":"a","content":"aGVs\u0062G8="}]"#,
            Ok(&[("a", "hello")]),
        );
    }

    #[test]
    fn what_is_no_json_of_files() {
        for text in [
            "",
            "x",
            "{}",
            "null",
            "\"a\"",
            "[",
            "[1]",
            "[[]]",
            "[{}]",
            "[{\"path\":\"a\"}]",
            "[{\"content\":\"\"}]",
            "[{\"path\":1,\"content\":\"\"}]",
            "[{\"path\":\"a\",\"content\":null}]",
            "[{\"path\":\"a\",\"content\":\"\"},]",
            "[{\"path\":\"a\",\"content\":\"\",}]",
            "[{\"path\":\"a\",\"content\":\"\"}] x",
            "[{\"path\":\"a\",\"content\":\"\"}",
            "[{\"path\":\"a\",\"content\":\"",
            "[{\"path\":\"a\",\"content\":\"\\x\"}]",
            "[{\"path\":\"a\\ud800\",\"content\":\"\"}]",
            "[{\"path\":\"a\\ud800b\",\"content\":\"\"}]",
            "[{\"path\":\"a\\udc00\",\"content\":\"\"}]",
            "[{\"path\":\"a\",\"content\":\"aGVs\nbG8=\"}]",
            "[{\"path\":\"a\",\"content\":\"\",\"content\":\"\"}]",
            "[{\"path\":\"a\",\"content\":\"\",\"x\":01}]",
            "[{\"path\":\"a\",\"content\":\"\",\"x\":}]",
            "[{\"path\":\"a\",\"content\":\"\",\"x\":tru}]",
            "[{path:\"a\"}]",
            "[{\"path\" \"a\"}]",
        ] {
            check(text, Err(Mistake::NoJson));
        }
    }

    #[test]
    fn the_graver_mistake_is_told() {
        let file = |path: &str, content: &str| {
            format!("{{\"path\":\"{path}\",\"content\":\"{content}\"}}")
        };
        let of = |files: &[String]| format!("[{}]", files.join(","));
        let good = file("a", "");
        check(&of(&[file("../a", "")]), Err(Mistake::Path));
        check(&of(&[good.clone(), file("a", "a")]), Err(Mistake::Base64));
        check(&of(&[file("/a", ""), file("a", "a")]), Err(Mistake::Path));
        check(&of(&[file("a", "!"), file("/a", "")]), Err(Mistake::Base64));
        check(&format!("[{},", file("/a", "")), Err(Mistake::NoJson));
        check(&of(&[file("a\\u0000", "")]), Err(Mistake::Path));
        check(&of(&[file(&"a".repeat(100_000), "")]), Err(Mistake::Path));
        let most: Vec<String> = (0..FILES_MAX).map(|n| file(&n.to_string(), "")).collect();
        assert_eq!(
            read(of(&most).as_bytes(), 4096).map(|files| files.len()),
            Ok(FILES_MAX)
        );
        let more = [most, vec![good]].concat();
        assert_eq!(read(of(&more).as_bytes(), 4096), Err(Mistake::TooMany));
    }

    #[test]
    fn a_content_comes_in_pieces() {
        let mut reader = FilesReader::default();
        reader.push(b"[{\"content\":\"");
        for _ in 0..1000 {
            reader.push(&b"AAAA".repeat(1000));
            assert_eq!(reader.take(), Some(Output::Content(vec![0; 3000])));
            assert_eq!(reader.take(), None);
        }
    }

    #[test]
    fn a_value_that_nobody_asks_for_has_an_end() {
        let text = format!("[{{\"x\":{}", "[".repeat(OTHER_MAX + 1));
        check(&text, Err(Mistake::NoJson));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let text = format!("[{{\"x\":{deep},\"path\":\"a\",\"content\":\"\"}}]");
        check(&text, Ok(&[("a", "")]));
    }

    proptest::proptest! {
        #[test]
        fn as_others_write_it(files: Vec<(u8, Vec<u8>)>, step in 1..50usize) {
            let all = files.iter().enumerate().map(|(at, (letter, content))| {
                let path = format!("{at}-{}", char::from(*letter).escape_default());
                (path.replace('/', "-"), content.clone())
            });
            let all: Files = all.collect();
            let json: Vec<serde_json::Value> = all.iter().map(|(path, content)| {
                serde_json::json!({ "path": path, "content": data_encoding::BASE64.encode(content) })
            }).collect();
            let text = serde_json::to_string(&json).expect("JSON");
            proptest::prop_assert_eq!(read(text.as_bytes(), step), Ok(all));
        }

        #[test]
        fn no_text_makes_it_panic(text: Vec<u8>, step in 1..50usize) {
            let _ = read(&text, step);
        }
    }
}
