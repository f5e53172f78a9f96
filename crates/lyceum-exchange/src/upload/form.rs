//! The two ways in which forms are sent, taken apart as they come: urlencoded, and multipart
//! (RFC 7578). Whatever is neither has no fields.

use FormError::{Broken, Nameless, TooManyFields};

/// Longest name of a field, and longest heading of a part.
const NAME_MAX: usize = 1024;
const HEADING_MAX: usize = 8 * 1024;
/// Of one form, unless its fields are files. No client sends more than a handful.
const FIELDS_MAX: usize = 1000;

/// Who is told what is in a form.
pub trait Receive {
    fn begin(&mut self, name: &str);

    /// As [`Receive::begin`], of a part that is a file: with the name that it has where it comes from,
    /// which is empty where none was chosen.
    fn begin_file(&mut self, name: &str, _file_name: &str) {
        self.begin(name);
    }

    fn data(&mut self, bytes: &[u8]);
    fn end(&mut self);

    /// Whether a part that is no field, or whose name can't be used, may be read over.
    fn may_skip(&self) -> bool {
        true
    }
}

/// Why the rest is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// This is not what its content type says.
    Broken,
    TooManyFields,
    /// The part of this number, counted from 1, has no name that can be used.
    Nameless(usize),
}

pub enum FormReader {
    Urlencoded(Urlencoded),
    Multipart(Multipart),
    Other,
}

impl FormReader {
    pub fn new(content_type: &str) -> Self {
        Self::with_fields(content_type, FIELDS_MAX)
    }

    /// With so many fields at most.
    pub fn with_fields(content_type: &str, most: usize) -> Self {
        let mut parts = content_type.split(';');
        let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Urlencoded(Urlencoded::new(most)),
            "multipart/form-data" => match parameter(content_type, "boundary") {
                Some(boundary) if (1..=70).contains(&boundary.len()) => {
                    Self::Multipart(Multipart::new(&boundary, most))
                }
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    pub fn push(&mut self, bytes: &[u8], to: &mut impl Receive) -> Result<(), FormError> {
        match self {
            Self::Urlencoded(reader) => reader.push(bytes, to),
            Self::Multipart(reader) => reader.push(bytes, to),
            Self::Other => Ok(()),
        }
    }

    pub fn finish(self, to: &mut impl Receive) -> Result<(), FormError> {
        match self {
            Self::Urlencoded(mut reader) => reader.finish(to),
            Self::Multipart(reader) => reader.finish(),
            Self::Other => Ok(()),
        }
    }
}

pub struct Urlencoded {
    name: Vec<u8>,
    in_value: bool,
    escape: Escape,
    plain: Vec<u8>,
    /// How many more may come.
    left: usize,
}

/// What is no hexadecimal digit.
const NOT: u8 = 0xff;

static HEX: [u8; 256] = {
    let mut values = [NOT; 256];
    let mut at = 0;
    while at < 16 {
        values[b"0123456789abcdef"[at] as usize] = at as u8;
        values[b"0123456789ABCDEF"[at] as usize] = at as u8;
        at += 1;
    }
    values
};

#[derive(Default, Clone, Copy)]
enum Escape {
    #[default]
    None,
    Begun,
    First(u8),
}

impl Urlencoded {
    fn new(most: usize) -> Self {
        Self {
            name: Vec::new(),
            in_value: false,
            escape: Escape::None,
            plain: Vec::new(),
            left: most,
        }
    }

    fn push(&mut self, bytes: &[u8], to: &mut impl Receive) -> Result<(), FormError> {
        let mut at = 0;
        while at < bytes.len() {
            if let Escape::None = self.escape {
                at += self.run(&bytes[at..]);
            }
            let Some(&byte) = bytes.get(at) else { break };
            at += 1;
            match (self.escape, byte) {
                (Escape::None, b'%') => self.escape = Escape::Begun,
                (Escape::None, b'&') => self.end(to)?,
                (Escape::None, b'=') if !self.in_value => self.begin(to)?,
                (Escape::None, b'+') => self.plain.push(b' '),
                (Escape::None, byte) => self.plain.push(byte),
                (Escape::Begun, byte) if byte.is_ascii_hexdigit() => {
                    self.escape = Escape::First(byte);
                }
                (Escape::First(first), byte) if byte.is_ascii_hexdigit() => {
                    let digit = |byte: u8| HEX[usize::from(byte)];
                    self.plain.push(digit(first) << 4 | digit(byte));
                    self.escape = Escape::None;
                }
                // Whoever writes `100%` means it.
                (Escape::Begun, byte) => {
                    self.escape = Escape::None;
                    self.plain.push(b'%');
                    self.push(&[byte], to)?;
                }
                (Escape::First(first), byte) => {
                    self.escape = Escape::None;
                    self.plain.extend([b'%', first]);
                    self.push(&[byte], to)?;
                }
            }
        }
        self.hand_on(to)
    }

    /// Takes what stands for itself, and whole escapes in between; gives how much that was. Values are
    /// as large as all files together, and this is where they go through byte by byte.
    fn run(&mut self, bytes: &[u8]) -> usize {
        // A name ends at `=`, in a value that is a letter like others.
        if !self.in_value {
            return 0;
        }
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            let end = memchr::memchr3(b'%', b'&', b'+', rest).unwrap_or(rest.len());
            self.plain.extend_from_slice(&rest[..end]);
            at += end;
            let [b'%', first, second, ..] = rest[end..] else {
                return at;
            };
            let digits = (HEX[usize::from(first)], HEX[usize::from(second)]);
            if digits.0 == NOT || digits.1 == NOT {
                return at;
            }
            self.plain.push(digits.0 << 4 | digits.1);
            at += 3;
        }
    }

    fn hand_on(&mut self, to: &mut impl Receive) -> Result<(), FormError> {
        if self.in_value {
            if !self.plain.is_empty() {
                to.data(&self.plain);
            }
        } else {
            if self.name.len() + self.plain.len() > NAME_MAX {
                return Err(Broken);
            }
            self.name.extend_from_slice(&self.plain);
        }
        self.plain.clear();
        Ok(())
    }

    fn begin(&mut self, to: &mut impl Receive) -> Result<(), FormError> {
        self.hand_on(to)?;
        count(&mut self.left)?;
        to.begin(&String::from_utf8_lossy(&self.name));
        self.in_value = true;
        Ok(())
    }

    fn end(&mut self, to: &mut impl Receive) -> Result<(), FormError> {
        self.hand_on(to)?;
        if !self.in_value && !self.name.is_empty() {
            self.begin(to)?;
        }
        if self.in_value {
            to.end();
        }
        (self.in_value, self.name) = (false, Vec::new());
        Ok(())
    }

    fn finish(&mut self, to: &mut impl Receive) -> Result<(), FormError> {
        match std::mem::take(&mut self.escape) {
            Escape::None => {}
            Escape::Begun => self.plain.push(b'%'),
            Escape::First(first) => self.plain.extend([b'%', first]),
        }
        self.end(to)
    }
}

fn count(left: &mut usize) -> Result<(), FormError> {
    *left = left.checked_sub(1).ok_or(TooManyFields)?;
    Ok(())
}

pub struct Multipart {
    /// What ends a content: a line break, two hyphens and the boundary.
    mark: Vec<u8>,
    /// Bytes that can't be told yet, behind those that were.
    held: Vec<u8>,
    /// How many were told.
    told: usize,
    state: Part,
    /// How many have come.
    parts: usize,
    /// How many more may come.
    parts_left: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before the first boundary.
    Preamble,
    /// Behind a boundary: another part, or the end.
    Boundary,
    Heading,
    /// `true`: of a field.
    Content(bool),
    End,
}

impl Multipart {
    fn new(boundary: &str, most: usize) -> Self {
        Self {
            mark: format!("\r\n--{boundary}").into_bytes(),
            // The first boundary may stand at the very beginning.
            held: b"\r\n".to_vec(),
            told: 0,
            state: Part::Preamble,
            parts: 0,
            parts_left: most,
        }
    }

    fn push(&mut self, bytes: &[u8], to: &mut impl Receive) -> Result<(), FormError> {
        self.held.extend_from_slice(bytes);
        while self.step(to)? {}
        // Once for all steps: each would move all that is left.
        self.held.drain(..self.told);
        self.told = 0;
        Ok(())
    }

    fn left(&self) -> &[u8] {
        &self.held[self.told..]
    }

    /// Says whether there may be more to do.
    fn step(&mut self, to: &mut impl Receive) -> Result<bool, FormError> {
        match self.state {
            Part::Preamble | Part::Content(_) => {
                let is_field = self.state == Part::Content(true);
                let left = self.left();
                let found = memchr::memmem::find(left, &self.mark);
                let sure = found.unwrap_or_else(|| {
                    // The last bytes may be the beginning of the mark.
                    left.len().saturating_sub(self.mark.len() - 1)
                });
                if is_field && sure > 0 {
                    to.data(&left[..sure]);
                }
                self.told += sure;
                if found.is_none() {
                    return Ok(false);
                }
                self.told += self.mark.len();
                if is_field {
                    to.end();
                }
                self.state = Part::Boundary;
            }
            Part::Boundary => {
                let left = self.left();
                if left.len() < 2 {
                    return Ok(false);
                }
                if left.starts_with(b"--") {
                    self.state = Part::End;
                    return Ok(true);
                }
                let Some(end) = memchr::memmem::find(left, b"\r\n") else {
                    return self.wait_for_line();
                };
                let padded = left[..end].iter().all(|b| matches!(b, b' ' | b'\t'));
                if !padded {
                    return Err(Broken);
                }
                // The line break stays, so that a part without headings ends like others.
                self.told += end;
                count(&mut self.parts_left)?;
                self.parts += 1;
                self.state = Part::Heading;
            }
            Part::Heading => {
                let Some(end) = memchr::memmem::find(self.left(), b"\r\n\r\n") else {
                    return self.wait_for_line();
                };
                if end > HEADING_MAX {
                    return Err(Broken);
                }
                let heading = String::from_utf8_lossy(&self.left()[..end]);
                let name = name_of(&heading);
                match &name {
                    Some((name, Some(file_name))) => to.begin_file(name, file_name),
                    Some((name, None)) => to.begin(name),
                    None if to.may_skip() => {}
                    None => return Err(Nameless(self.parts)),
                }
                self.told += end + 4;
                self.state = Part::Content(name.is_some());
            }
            Part::End => {
                self.told = self.held.len();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wait_for_line(&self) -> Result<bool, FormError> {
        match self.left().len() > HEADING_MAX {
            true => Err(Broken),
            false => Ok(false),
        }
    }

    fn finish(self) -> Result<(), FormError> {
        match self.state {
            Part::End => Ok(()),
            _ => Err(Broken),
        }
    }
}

/// The name of the field that a part is, and that of its file.
fn name_of(heading: &str) -> Option<(String, Option<String>)> {
    let disposition = heading.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let kind = disposition.split(';').next().unwrap_or_default().trim();
    let name = parameter(disposition, "name")?;
    // Browsers write a quotation mark like this, and nothing else (HTML, section 4.10.22.8).
    let file_name = file_name(disposition).map(|name| name.replace("%22", "\""));
    let fits = kind.eq_ignore_ascii_case("form-data") && name.len() <= NAME_MAX;
    fits.then_some((name, file_name))
}

/// As [`parameter`], of a browser: a backslash is itself.
fn file_name(disposition: &str) -> Option<String> {
    let raw = |quoted: &str| quoted.split_once('"').map(|(value, _)| value.to_owned());
    find(disposition, "filename", raw)
}

/// `x; NAME=value` or `x; NAME="value"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    find(header, name, |quoted| {
        unquote(quoted).map(|(value, _)| value)
    })
}

/// `read` takes the value that is looked for up to the quotation mark that closes it.
fn find(header: &str, name: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (_, mut rest) = header.split_once(';')?;
    loop {
        let (key, after) = rest.split_once('=')?;
        let is_it = key.trim().eq_ignore_ascii_case(name);
        let after = after.trim_start();
        let (value, more) = match after.strip_prefix('"') {
            None => match after.split_once(';') {
                Some((value, more)) => (value.trim().to_owned(), more),
                None => (after.trim().to_owned(), ""),
            },
            Some(quoted) if is_it => return read(quoted),
            Some(quoted) => {
                let (value, more) = unquote(quoted)?;
                (value, more.split_once(';').map_or("", |(_, more)| more))
            }
        };
        if is_it {
            return Some(value);
        }
        rest = more;
    }
}

/// What stands up to the closing quotation mark, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<(String, String)>, bool);

    impl Receive for Kept {
        fn begin(&mut self, name: &str) {
            assert!(!self.1, "a field in a field");
            self.0.push((name.to_owned(), String::new()));
            self.1 = true;
        }

        fn data(&mut self, bytes: &[u8]) {
            assert!(self.1, "data of no field");
            let (_, value) = self.0.last_mut().expect("a field");
            value.push_str(&String::from_utf8_lossy(bytes));
        }

        fn end(&mut self) {
            assert!(self.1, "the end of no field");
            self.1 = false;
        }
    }

    fn read(kind: &str, body: &[u8], step: usize) -> Result<Vec<(String, String)>, FormError> {
        let (mut reader, mut kept) = (FormReader::new(kind), Kept::default());
        for piece in body.chunks(step) {
            reader.push(piece, &mut kept)?;
        }
        reader.finish(&mut kept)?;
        Ok(kept.0)
    }

    fn check(kind: &str, body: &str, expect: Result<&[(&str, &str)], FormError>) {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let expect = expect.map(|pairs| pairs.iter().map(own).collect::<Vec<_>>());
        for step in [1, 2, 3, 5, 1000] {
            let read = read(kind, body.as_bytes(), step);
            assert_eq!(read, expect, "{body:?} by {step}");
        }
    }

    #[test]
    fn urlencoded() {
        let check = |body: &str, expect| {
            check(
                "Application/x-www-form-urlencoded; charset=utf-8",
                body,
                Ok(expect),
            );
        };
        check("", &[]);
        check("a=1&b=2", &[("a", "1"), ("b", "2")]);
        check("a=%5B%2b+%7D=&b", &[("a", "[+ }="), ("b", "")]);
        check("&&a=&=x&", &[("a", ""), ("", "x")]);
        check("a=100%&b=%zz%4", &[("a", "100%"), ("b", "%zz%4")]);
        check("%61=%41%42", &[("a", "AB")]);
    }

    #[test]
    fn multipart() {
        let kind = "multipart/form-data; boundary=\"x y\"";
        let part =
            |heading: &str, content: &str| format!("--x y\r\n{heading}\r\n\r\n{content}\r\n");
        let field = |name: &str, content: &str| {
            let heading =
                format!("content-disposition: form-data; filename=\"a;\\\"b\"; Name=\"{name}\"");
            part(&heading, content)
        };
        let end = "--x y--\r\n";
        check(kind, end, Ok(&[]));
        check(
            kind,
            &format!("{}{}{end}", field("a", "1"), field("b", "")),
            Ok(&[("a", "1"), ("b", "")]),
        );
        check(
            kind,
            &format!("hello\r\n{}{end}and more", field("a", "--x\r\n--x\r\n-")),
            Ok(&[("a", "--x\r\n--x\r\n-")]),
        );
        let nameless = part("Content-Type: text/plain", "x");
        check(
            kind,
            &format!("{nameless}{}{end}", field("a", "1")),
            Ok(&[("a", "1")]),
        );
        check(kind, &format!("--x y\r\n\r\nx\r\n{end}"), Ok(&[]));
        for broken in [
            "",
            "x",
            &field("a", "1"),
            "--x y\r\nContent",
            "--x yz\r\n\r\n--x y--",
        ] {
            check(kind, broken, Err(Broken));
        }
        let endless = format!("--x y\r\n{}", "a".repeat(100_000));
        check(kind, &endless, Err(Broken));
    }

    #[test]
    fn fields_are_counted() {
        let multipart = "multipart/form-data; boundary=b";
        let part = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
        let nameless = "--b\r\n\r\n\r\n";
        let urlencoded = "application/x-www-form-urlencoded";
        for (kind, field, end) in [
            (multipart, part, "--b--"),
            (multipart, nameless, "--b--"),
            (urlencoded, "a=&", ""),
            (urlencoded, "a&", ""),
        ] {
            let some = format!("{}{end}", field.repeat(FIELDS_MAX));
            assert!(read(kind, some.as_bytes(), 1000).is_ok(), "{field}");
            let many = field.repeat(FIELDS_MAX + 1);
            assert_eq!(
                read(kind, many.as_bytes(), 1000),
                Err(TooManyFields),
                "{field}"
            );
        }
    }

    #[test]
    fn what_is_no_form_has_no_fields() {
        check("application/json", "{\"files\":[]}", Ok(&[]));
        check("", "a=1", Ok(&[]));
        check("multipart/form-data", "--x", Ok(&[]));
    }

    proptest::proptest! {
        #[test]
        fn as_others_write_it(pairs: Vec<(String, String)>, step in 1..30usize) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(key, _)| key.len() < NAME_MAX).collect();
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let mut reader = FormReader::new("application/x-www-form-urlencoded");
            let mut bytes = Bytes::default();
            for piece in body.as_bytes().chunks(step) {
                reader.push(piece, &mut bytes).expect("a good form");
            }
            reader.finish(&mut bytes).expect("a good form");
            let expect: Vec<_> = pairs.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
            proptest::prop_assert_eq!(bytes.0, expect);
        }

        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>, step in 1..30usize) {
            for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=-"] {
                let _ = read(kind, &body, step);
            }
        }
    }

    #[derive(Default)]
    struct Bytes(Vec<(String, Vec<u8>)>);

    impl Receive for Bytes {
        fn begin(&mut self, name: &str) {
            self.0.push((name.to_owned(), Vec::new()));
        }

        fn data(&mut self, bytes: &[u8]) {
            self.0
                .last_mut()
                .expect("a field")
                .1
                .extend_from_slice(bytes);
        }

        fn end(&mut self) {}
    }
}
