//! A reader of HTTP that takes the whole message at once and shares no code with `http1`.

/// A head, and what follows it.
pub(super) struct Message<'a> {
    pub(super) first: &'a [u8],
    /// Names as they came, values without the blanks around them.
    pub(super) fields: Vec<(&'a [u8], &'a [u8])>,
    pub(super) rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// Panics where a strict reader would refuse: it is for what we have written ourselves.
    pub(super) fn strict(bytes: &'a [u8]) -> Self {
        let (first, mut rest) = strict_line(bytes);
        let mut fields = Vec::new();
        loop {
            let (line, after) = strict_line(rest);
            rest = after;
            if line.is_empty() {
                return Self {
                    first,
                    fields,
                    rest,
                };
            }
            let colon = line.iter().position(|byte| *byte == b':');
            let colon = colon.expect("a line of a head has a colon");
            let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
            assert!(!name.is_empty() && name.iter().all(|byte| is_token(*byte)));
            assert!(
                value.iter().all(|byte| is_plain(*byte)),
                "a control character in a value"
            );
            fields.push((name, value));
        }
    }

    pub(super) fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let same = |field: &&(&[u8], &[u8])| field.0.eq_ignore_ascii_case(name.as_bytes());
        let fields = self.fields.iter().filter(same);
        fields.map(|(_, value)| *value).collect()
    }

    /// The value of a field that may be there once.
    pub(super) fn one(&self, name: &str) -> Option<&'a [u8]> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} is there {} times", all.len());
        all.first().copied()
    }
}

fn strict_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.expect("a head has an empty line at its end");
    let line = bytes[..end]
        .strip_suffix(b"\r")
        .expect("lines end in CR LF");
    assert!(!line.contains(&b'\r') && !line.contains(&0));
    (line, &bytes[end + 1..])
}

pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_plain(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

/// Percent-decoded once; what is no escape stands for itself.
pub(super) fn decode(raw: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*raw.get(at)?).to_digit(16);
    let (mut at, mut out) = (0, Vec::new());
    while at < raw.len() {
        match (raw[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// After so many bytes.
    Done(usize),
    More,
    Bad,
}

/// A body in chunks: its data, trailers with their empty line (nothing if there are none), end.
pub(super) fn unchunk(input: &[u8]) -> (Vec<u8>, Vec<u8>, End) {
    let mut data = Vec::new();
    let (trailers, end) = unchunk_into(input, &mut data);
    (data, trailers, end)
}

fn unchunk_into(input: &[u8], data: &mut Vec<u8>) -> (Vec<u8>, End) {
    const BAD: (Vec<u8>, End) = (Vec::new(), End::Bad);
    const MORE: (Vec<u8>, End) = (Vec::new(), End::More);
    let (mut at, mut extensions) = (0, 0);
    loop {
        let digits = input[at..]
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        if digits > 15 {
            return BAD;
        }
        let text = String::from_utf8_lossy(&input[at..at + digits]).into_owned();
        at += digits;
        match input.get(at) {
            None => return MORE,
            Some(b'\r' | b';') if digits > 0 => {}
            Some(_) => return BAD,
        }
        if input[at] == b';' {
            at += 1;
            let length = input[at..]
                .iter()
                .take_while(|byte| **byte != b'\r')
                .count();
            let extension = &input[at..at + length];
            extensions += length;
            if length > 256 || extensions > 16 * 1024 || !extension.iter().all(|b| is_plain(*b)) {
                return BAD;
            }
            at += length;
        }
        match &input[at..] {
            [] | [b'\r'] => return MORE,
            [b'\r', b'\n', ..] => at += 2,
            _ => return BAD,
        }
        let size = usize::from_str_radix(&text, 16).expect("few digits");
        if size == 0 {
            break;
        }
        let piece = size.min(input.len() - at);
        data.extend_from_slice(&input[at..at + piece]);
        at += piece;
        match &input[at..] {
            _ if piece < size => return MORE,
            [] | [b'\r'] => return MORE,
            [b'\r', b'\n', ..] => at += 2,
            _ => return BAD,
        }
    }
    if input[at..].starts_with(b"\r\n") {
        return (Vec::new(), End::Done(at + 2));
    }
    let length = input[at..].windows(4).position(|four| four == b"\r\n\r\n");
    let trailers = &input[at..length.map_or(input.len(), |length| at + length + 4)];
    let torn = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
    if trailers.first() == Some(&b'\n')
        || trailers.windows(2).any(torn)
        || trailers.len() > 8 * 1024
    {
        return BAD;
    }
    match length {
        Some(_) => (trailers.to_vec(), End::Done(at + trailers.len())),
        None => MORE,
    }
}
