//! Bodies in chunks, read strictly and written anew (RFC 9112, section 7.1).
//!
//! Sizes are bounded, extensions are read over (bounded too) and never passed on, lines end in CR
//! LF only. Trailers are kept, at most [`MOST_TRAILERS`] bytes, for the one who forwards them.

use super::Refused;

/// Bytes of trailers.
const MOST_TRAILERS: usize = 8 * 1024;
/// Bytes of extensions of one chunk, and of a whole body per chunk of it that carries some.
const MOST_EXTENSION: u32 = 256;
/// Bytes of extensions in a whole body.
const MOST_EXTENSIONS: u32 = 16 * 1024;
/// Hexadecimal digits of a size: up to 2^60 cannot overflow.
const MOST_DIGITS: u8 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8 },
    Extension { length: u32 },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
    Bad(&'static str),
    TooManyTrailers,
}

#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    left: u64,
    extensions: u32,
    /// With the empty line at their end.
    trailers: Vec<u8>,
}

/// What one piece of input gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes of input used up.
    pub(crate) used: usize,
    /// Bytes of data, now at the input's beginning.
    pub(crate) data: usize,
    pub(crate) done: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Size { digits: 0 },
            left: 0,
            extensions: 0,
            trailers: Vec::new(),
        }
    }
}

impl Decoder {
    /// Reads on, and moves the data among `input` to its beginning. What is wrong is said by the
    /// call after the one that gave the data before it.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, Refused> {
        let (mut at, mut data) = (0, 0);
        while at < input.len() {
            if let State::Data = self.state {
                let piece = self.left.min((input.len() - at) as u64) as usize;
                if at != data {
                    input.copy_within(at..at + piece, data);
                }
                at += piece;
                data += piece;
                self.left -= piece as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            if self.state == State::Done {
                break;
            }
            self.step(input[at]);
            let refused = match self.state {
                State::Bad(why) => Some(Refused::Bad(why)),
                State::TooManyTrailers => Some(Refused::TrailersTooLarge),
                _ => None,
            };
            if let Some(refused) = refused {
                if data == 0 {
                    return Err(refused);
                }
                break;
            }
            at += 1;
        }
        Ok(Decoded {
            used: at,
            data,
            done: self.state == State::Done,
        })
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Size { digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits >= MOST_DIGITS {
                    State::Bad("a chunk's size is too large")
                } else {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    self.left = self.left << 4 | u64::from(digit);
                    State::Size { digits: digits + 1 }
                }
            }
            (State::Size { digits: 1.. }, b'\r') => State::SizeLf,
            (State::Size { digits: 1.. }, b';') => State::Extension { length: 0 },
            (State::Size { .. }, _) => State::Bad("a chunk's size is not a number"),
            (State::Extension { .. }, b'\r') => State::SizeLf,
            (State::Extension { length }, byte) => {
                self.extensions += 1;
                if length >= MOST_EXTENSION || self.extensions > MOST_EXTENSIONS {
                    State::Bad("its chunks carry too much besides data")
                } else if byte < b' ' && byte != b'\t' || byte == 0x7f {
                    State::Bad("a chunk's extension has a control character in it")
                } else {
                    State::Extension { length: length + 1 }
                }
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::Trailers,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            (State::SizeLf | State::DataCr | State::DataLf, _) => {
                State::Bad("a chunk does not end in CR LF")
            }
            (State::Trailers, byte) => self.trailer(byte),
            (state @ (State::Data | State::Done | State::Bad(_) | State::TooManyTrailers), _) => {
                state
            }
        };
    }

    fn trailer(&mut self, byte: u8) -> State {
        let last = self.trailers.last().copied();
        if byte == b'\n' && last != Some(b'\r') || byte != b'\n' && last == Some(b'\r') {
            return State::Bad("a trailer does not end in CR LF");
        }
        if self.trailers.len() >= MOST_TRAILERS {
            return State::TooManyTrailers;
        }
        self.trailers.push(byte);
        if self.trailers == b"\r\n" {
            self.trailers.clear();
            return State::Done;
        }
        if self.trailers.ends_with(b"\r\n\r\n") {
            return State::Done;
        }
        State::Trailers
    }

    /// The trailers as they came; empty if there are none.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }
}

/// Room before data for the size line that [`size_line`] writes.
pub(crate) const SIZE_ROOM: usize = 10;

/// Writes `1a\r\n` so that it ends at the end of `room`; gives its length.
pub(crate) fn size_line(room: &mut [u8; SIZE_ROOM], mut size: u32) -> usize {
    let mut at = SIZE_ROOM - 2;
    room[at..].copy_from_slice(b"\r\n");
    while at == SIZE_ROOM - 2 || size > 0 {
        at -= 1;
        room[at] = b"0123456789abcdef"[(size & 15) as usize];
        size >>= 4;
    }
    SIZE_ROOM - at
}

/// Writes the last chunk and those trailers that may pass: none that frames, routes or controls a
/// message or only concerns this hop (RFC 9110, section 6.5.1).
pub(crate) fn write_end(out: &mut Vec<u8>, trailers: &[u8]) -> Result<(), Refused> {
    out.extend_from_slice(b"0\r\n");
    if !trailers.is_empty() {
        let mut room = [httparse::EMPTY_HEADER; 64];
        let Ok(httparse::Status::Complete((_, headers))) =
            httparse::parse_headers(trailers, &mut room)
        else {
            return Err(Refused::Bad("its trailers cannot be read"));
        };
        for header in headers {
            let name = header.name.to_ascii_lowercase();
            if may_trail(&name) {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(header.value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `name` is in lower case.
pub(crate) fn may_trail(name: &str) -> bool {
    const NEVER: &[&str] = &[
        "accept",
        "age",
        "authorization",
        "authentication-info",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "forwarded",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "vary",
        "warning",
        "www-authenticate",
        "alt-svc",
        "clear-site-data",
        "service-worker-allowed",
        "strict-transport-security",
        "nel",
        "report-to",
        "reporting-endpoints",
        "x-real-ip",
        "x-scheme",
        "x-request-id",
        "x-requested-with",
        "x-forwarded",
    ];
    let dashed = name.replace('_', "-");
    !name.contains('"')
        && !NEVER.contains(&dashed.as_str())
        && !dashed.starts_with("x-forwarded-")
        && !dashed.starts_with("x-lyceum-")
        && !dashed.starts_with("sec-")
        && !dashed.starts_with("access-control-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str, piece: usize) -> Result<(String, usize, String), Refused> {
        let mut decoder = Decoder::default();
        let (mut data, mut used) = (Vec::new(), 0);
        let mut bytes = input.as_bytes().to_vec();
        while used < bytes.len() {
            let end = bytes.len().min(used + piece);
            let got = decoder.decode(&mut bytes[used..end])?;
            data.extend_from_slice(&bytes[used..used + got.data]);
            used += got.used;
            if got.done {
                let trailers = String::from_utf8_lossy(decoder.trailers()).into_owned();
                return Ok((String::from_utf8_lossy(&data).into_owned(), used, trailers));
            }
        }
        Err(Refused::Bad("unfinished"))
    }

    #[test]
    fn chunks_are_read_in_pieces_of_any_size() {
        let input = "4;a=\"b\"\r\nwiki\r\n00A\r\n0123456789\r\n0\r\nX-A: 1\r\nB: 2\r\n\r\nGET /";
        for piece in 1..=input.len() {
            let (data, used, trailers) = all(input, piece).expect("valid");
            assert_eq!(
                (data.as_str(), &input[used..]),
                ("wiki0123456789", "GET /"),
                "{piece}"
            );
            assert_eq!(trailers, "X-A: 1\r\nB: 2\r\n\r\n");
        }
        assert_eq!(all("0\r\n\r\n", 9), Ok((String::new(), 5, String::new())));
    }

    #[test]
    fn chunks_with_two_meanings_are_refused() {
        for wrong in [
            "\r\n",
            "g\r\n",
            "-1\r\nx",
            "+1\r\nx",
            "0x1\r\nx",
            " 1\r\nx",
            "1 \r\nx",
            "1\nx\n",
            "1\rx",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "1\r\nx\r0",
            "ffffffffffffffff\r\n",
            "0000000000000000\r\n\r\n",
            "1;a\nb\r\nx",
            "1;\0\r\n",
            "0\r\nA: 1\n\n",
            "0\r\n\n",
            "0\r\nA: 1\rB: 2\r\n\r\n",
            ";a\r\n",
        ] {
            assert!(all(wrong, 64).is_err(), "{wrong:?}");
            assert!(all(wrong, 1).is_err(), "{wrong:?} byte by byte");
        }
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(300));
        assert!(all(&long, 4096).is_err());
        let many = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(1_000);
        assert!(all(&many, 1 << 20).is_err());
        let trailers = format!("0\r\n{}\r\n\r\n", "A: 1\r\n".repeat(4_000));
        assert!(all(&trailers, 1 << 20).is_err());
    }

    #[test]
    fn data_before_a_fault_is_given_first() {
        let mut decoder = Decoder::default();
        let mut input = b"4\r\npart\r\nzz\r\n".to_vec();
        let got = decoder.decode(&mut input).expect("data first");
        assert_eq!((got.data, &input[..4], got.done), (4, &b"part"[..], false));
        assert!(decoder.decode(&mut input[got.used..]).is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        for size in [0_u32, 1, 15, 16, 255, 65_536, u32::MAX] {
            let mut room = [0; SIZE_ROOM];
            let length = size_line(&mut room, size);
            let text = std::str::from_utf8(&room[SIZE_ROOM - length..]).expect("ASCII");
            assert_eq!(text, format!("{size:x}\r\n"));
        }
        let mut out = Vec::new();
        let trailers = b"X-Sum: 7\r\nContent-Length: 9\r\nSet-Cookie: a\r\nx_lyceum_a: 1\r\n\r\n";
        write_end(&mut out, trailers).expect("readable");
        assert_eq!(out, b"0\r\nx-sum: 7\r\n\r\n");
        assert!(write_end(&mut out, b"X-Sum : 7\r\n\r\n").is_err());
    }
}
